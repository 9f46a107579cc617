"""CROSS_ACCOUNT_VERSION: what grantor and recipient must be at."""

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS, data_product, grant, on_table, on_tag, sees

pytestmark = pytest.mark.local_only("changes the cross-account version, also to one without a way back")


def _version(lab, part):
    settings = lab.client("lakeformation", part).get_data_lake_settings()["DataLakeSettings"]
    return settings["Parameters"]["CROSS_ACCOUNT_VERSION"]


@pytest.fixture
def owner(lab):
    return lab.fresh()


@pytest.fixture
def consumer(lab, owner):
    other = lab.fresh()
    lab.organization(owner, other)
    return other


@pytest.mark.statement("sharing.versions")
def test_versions_are_1_to_5(lab, owner):
    for version in "12345":
        lab.lake(owner, version=version)
        assert _version(lab, owner) == version
    for wrong in ("6", "0", "latest"):
        with refused("InvalidInputException"):
            lab.lake(owner, version=wrong)


@pytest.mark.statement("sharing.version-5-stays")
def test_there_is_no_way_back_from_version_5(lab, owner):
    lab.lake(owner, version="5")
    with refused("InvalidInputException", message="5"):
        lab.lake(owner, version="4")
    assert _version(lab, owner) == "5"


@pytest.mark.statement("sharing.version-old-grantor", "sharing.version-1-2-policies")
def test_tag_grants_by_an_old_grantor_fail_for_a_newer_recipient_and_are_not_built_for_an_old_one(lab, owner, consumer):
    lab.lake(owner, version="2")
    product = data_product(lab, owner)
    for theirs, code, message in (
        ("3", "InvalidInputException", "Invalid cross account grant request"),
        ("5", "InvalidInputException", "Invalid cross account grant request"),
    ):
        lab.lake(consumer, version=theirs)
        for resource, permission in ((product.tables("none"), "SELECT"), (on_tag(product.pii, "none"), "DESCRIBE")):
            with refused(code, message=message):
                grant(lab, owner, consumer, resource, permission)
    old = lab.fresh()
    lab.lake(old, version="2")
    with refused("LocalAwsNotSupported", message="version 3 or higher"):
        grant(lab, owner, old, product.tables("none"), "SELECT")


@pytest.mark.statement("sharing.version-new-grantor")
@pytest.mark.parametrize("theirs", ["1", "2", "5"])
@pytest.mark.parametrize("ours", ["3", "5"])
def test_a_grantor_at_version_3_or_higher_shares_with_any_recipient(lab, owner, consumer, ours, theirs):
    lab.lake(owner, version=ours)
    lab.lake(consumer, version=theirs)
    product = data_product(lab, owner)
    product.share(consumer)
    assert sees(lab, consumer, product.database, product.table, product.catalog) == ["id", "total"]


@pytest.mark.statement("sharing.version-direct")
def test_a_direct_grant_needs_version_3_of_the_grantor_alone(lab, owner, consumer):
    lab.lake(owner, version="2")
    reader = lab.role(consumer, "reader", allow=LAKE_ACTIONS)
    product = data_product(lab, owner)
    table = on_table(product.database, product.table)
    with refused("InvalidInputException", message="version 3"):
        grant(lab, owner, reader, table, "SELECT")
    lab.lake(owner, version="3")
    grant(lab, owner, reader, table, "SELECT")
    assert sees(lab, reader, product.database, product.table, product.catalog) == ["id", "email", "total"]


@pytest.mark.statement("sharing.version-keeps")
def test_a_newer_version_leaves_what_recipients_have(lab, owner, consumer):
    lab.lake(owner, version="1")
    lab.lake(consumer)
    product = data_product(lab, owner)
    grant(lab, owner, consumer, on_table(product.database, product.table), "SELECT")
    for version in "2345":
        lab.lake(owner, version=version)
        assert sees(lab, consumer, product.database, product.table, product.catalog) == ["id", "email", "total"]
