"""Grants to organizations and their units: which accounts they reach, and when they are refused."""

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS, data_product, grant, on_database, on_table, on_tag, revoke, sees

ORGANIZATION = "o-conformance"
pytestmark = pytest.mark.local_only("organizations and their units are made for the tests")


@pytest.fixture
def unit(lab):
    """An organizational unit with the consumer; the producer is in its organization, and the outsider in none."""
    return _put(lab, "consumer")


def _put(lab, *accounts, ram_sharing=True):
    """The unit's ARN, with these accounts in it."""
    lab.organization("central", "consumer", "producer", ram_sharing=ram_sharing)
    arn = f"arn:aws:organizations::{lab.account('central')}:ou/{ORGANIZATION}/ou-conf-readers12"
    lab.aws.world.organization["units"] = {arn: {lab.account(each) for each in accounts}}
    return arn


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    for part in ("central", "consumer", "producer", "outsider"):
        lab.lake(part)
    yield
    lab.organization()
    lab.aws.world.organization.pop("units", None)


@pytest.fixture(scope="module")
def readers(lab):
    return {part: lab.role(part, "reader", allow=LAKE_ACTIONS) for part in ("consumer", "producer", "outsider")}


@pytest.fixture
def product(lab, unit):
    return data_product(lab)


def _sees(product, who):
    return sees(product.lab, who, product.database, product.table, product.catalog)


def _whole(unit):
    return f"{unit.partition(':ou/')[0]}:organization/{ORGANIZATION}"


def _share(lab, product, whom, values=("none",)):
    for value in values:
        grant(lab, "central", whom, on_tag(product.pii, value), "DESCRIBE", options=True)
    grant(lab, "central", whom, product.databases(), "DESCRIBE", options=True)
    grant(lab, "central", whom, product.tables(*values), "SELECT", options=True)


def _reaches(lab, product, part):
    """Whether an account's administrator sees the table that was shared."""
    return _sees(product, part) is not None


@pytest.mark.statement("sharing.organizations", "sharing.organization-members")
def test_what_a_unit_is_granted_reaches_its_accounts_and_no_others(lab, product, unit, readers):
    _share(lab, product, unit)
    assert [part for part in readers if _reaches(lab, product, part)] == ["consumer"]
    assert _sees(product, readers["consumer"]) is None
    grant(lab, "consumer", readers["consumer"], product.tables("none", catalog=product.catalog), "SELECT")
    assert _sees(product, readers["consumer"]) == ["id", "total"]
    with refused("EntityNotFoundException"):
        grant(lab, "producer", readers["producer"], product.tables("none", catalog=product.catalog), "SELECT")
    assert not lab.client("ram", "consumer").get_resource_share_invitations()["resourceShareInvitations"]


@pytest.mark.statement("sharing.organizations", "sharing.organization-members")
def test_what_an_organization_is_granted_reaches_all_members(lab, product, unit):
    _share(lab, product, _whole(unit))
    reached = [part for part in ("consumer", "producer", "outsider") if _reaches(lab, product, part)]
    assert reached == ["consumer", "producer"]


@pytest.mark.statement("sharing.organization-members")
def test_the_cascade_is_that_of_an_account(lab, product, unit, readers):
    grant(lab, "central", unit, product.tables("none"), "SELECT")
    policy = product.tables("none", catalog=product.catalog)
    with refused("AccessDeniedException", message="grant option"):
        grant(lab, "consumer", readers["consumer"], policy, "SELECT")
    with refused("AccessDeniedException", message="Describe"):
        wider = product.tables("none", "contact", catalog=product.catalog)
        grant(lab, "consumer", readers["consumer"], wider, "SELECT")
    for tag in (on_tag(product.domain, "sales"), on_tag(product.pii, "none", "contact")):
        grant(lab, "central", unit, tag, "DESCRIBE")
    grant(lab, "consumer", readers["consumer"], wider, "SELECT")
    assert _sees(product, readers["consumer"]) == ["id", "total"]


@pytest.mark.statement("sharing.organization-members")
def test_an_account_that_leaves_the_unit_reads_nothing_more(lab, product, unit, readers):
    _share(lab, product, unit)
    grant(lab, "consumer", readers["consumer"], product.tables("none", catalog=product.catalog), "SELECT")
    _put(lab, "producer")
    assert _sees(product, readers["consumer"]) is None
    assert _reaches(lab, product, "producer")
    _put(lab, "consumer")
    assert _sees(product, readers["consumer"]) == ["id", "total"]


@pytest.mark.statement("sharing.organization-members")
def test_what_is_revoked_from_the_unit_is_lost_to_its_accounts(lab, product, unit, readers):
    _share(lab, product, unit)
    grant(lab, "consumer", readers["consumer"], product.tables("none", catalog=product.catalog), "SELECT")
    revoke(lab, "central", unit, product.tables("none"), "SELECT")
    assert _sees(product, readers["consumer"]) is None


@pytest.mark.statement("sharing.organization-members")
def test_a_table_by_name_reaches_the_unit_and_is_passed_on(lab, product, unit, readers):
    grant(lab, "central", unit, on_table(product.database, None), "SELECT", options=True)
    grant(lab, "consumer", readers["consumer"], on_table(product.database, None, product.catalog), "SELECT")
    assert _sees(product, readers["consumer"]) == ["id", "email", "total"]


@pytest.mark.statement("sharing.organization-ram-entity")
def test_one_share_of_each_kind_has_the_unit_as_its_principal(lab, product, unit):
    _share(lab, product, unit)
    found = lab.client("ram", "central").get_resource_share_associations(associationType="PRINCIPAL", principal=unit)
    live = [each for each in found["resourceShareAssociations"] if each["status"] == "ASSOCIATED"]
    assert len(live) == 2
    assert not any(each["external"] for each in live)
    arns = {each["resourceShareArn"] for each in live}
    seen = lab.client("ram", "consumer").get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert arns <= {each["resourceShareArn"] for each in seen}
    others = lab.client("ram", "producer").get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert arns.isdisjoint({each["resourceShareArn"] for each in others})


@pytest.mark.statement("sharing.organization-ram")
@pytest.mark.parametrize("wrong", ["no RAM sharing", "another organization", "no such unit", "owner outside"])
def test_a_unit_that_ram_does_not_share_with_is_refused(lab, product, unit, wrong):
    whom = unit
    if wrong == "no RAM sharing":
        _put(lab, "consumer", ram_sharing=False)
    elif wrong == "another organization":
        whom = unit.replace(ORGANIZATION, "o-another1234")
    elif wrong == "no such unit":
        whom = f"{unit}3"
    else:
        lab.aws.world.organization["members"].discard(lab.account("central"))
    with refused("InvalidInputException", message="principal"):
        grant(lab, "central", whom, product.tables("none"), "SELECT")
    assert not _reaches(lab, product, "consumer")


@pytest.mark.statement("sharing.organizations")
def test_below_version_3_nothing_is_granted_by_tags_to_a_unit(lab, product, unit):
    lake = lab.client("lakeformation", "central")
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    old = {**settings, "Parameters": {**settings.get("Parameters", {}), "CROSS_ACCOUNT_VERSION": "2"}}
    lake.put_data_lake_settings(DataLakeSettings=old)
    try:
        with refused("InvalidInputException", message="CROSS_ACCOUNT_VERSION 3"):
            grant(lab, "central", unit, product.tables("none"), "SELECT")
        with refused("LocalAwsNotSupported"):
            grant(lab, "central", unit, on_database(product.database), "DESCRIBE")
    finally:
        lake.put_data_lake_settings(DataLakeSettings=settings)


@pytest.mark.statement("sharing.organization-rest")
def test_opting_in_a_unit_is_refused_as_not_built(lab, product, unit):
    with refused("LocalAwsNotSupported", message="opting in"):
        lab.client("lakeformation", "central").create_lake_formation_opt_in(
            Principal={"DataLakePrincipalIdentifier": unit}, Resource=on_database(product.database)
        )
