"""Data lake settings: administrators, what new databases and tables get, parameters."""

import pytest
from lab import refused
from lake_calls import IAM_ALLOWED, grant, on_database, on_table, principal, revoke, sees, shown_database
from lf_desk import a_role, kinds, lake_formation, listed, me, readable

IAM_ONLY = [{"Principal": {"DataLakePrincipalIdentifier": IAM_ALLOWED}, "Permissions": ["ALL"]}]

pytestmark = pytest.mark.local_only("settings of accounts that nobody has used yet; a real account's are in use")


@pytest.fixture
def part(lab):
    """An account that nobody has used yet."""
    return lab.fresh()


def settings(lab, who):
    return lake_formation(lab, who).get_data_lake_settings()["DataLakeSettings"]


def put(lab, part, **given):
    lake_formation(lab, part).put_data_lake_settings(DataLakeSettings=given)


def identified(*names):
    return [{"DataLakePrincipalIdentifier": name} for name in names]


@pytest.mark.statement("lf-settings.fresh")
def test_a_fresh_account_has_no_administrators_and_leaves_all_to_iam(lab, part):
    fresh = settings(lab, part)
    assert fresh["DataLakeAdmins"] == fresh["ReadOnlyAdmins"] == []
    assert fresh["CreateDatabaseDefaultPermissions"] == fresh["CreateTableDefaultPermissions"] == IAM_ONLY
    assert fresh["Parameters"]["CROSS_ACCOUNT_VERSION"] == "1"
    reader, database = a_role(lab, part=part), lab.database(part)
    table = lab.table(part, database)
    assert shown_database(lab, reader, database) and readable(lab, reader, database, table)
    lab.database(reader)


@pytest.mark.statement("lf-settings.replace")
def test_put_replaces_the_administrators(lab, part):
    first, second = a_role(lab, "first", part=part), a_role(lab, "second", part=part)
    for admin in (first, second):
        put(lab, part, DataLakeAdmins=[principal(lab, admin)])
    assert settings(lab, first)["DataLakeAdmins"] == [principal(lab, second)]
    with refused("AccessDeniedException"):
        lake_formation(lab, first).create_lf_tag(TagKey="domain", TagValues=["sales"])
    lake_formation(lab, second).create_lf_tag(TagKey="domain", TagValues=["sales"])


@pytest.mark.statement("lf-settings.replace")
def test_what_was_read_can_be_written_back_and_absent_lists_are_empty(lab, part):
    before = settings(lab, part)
    put(lab, part, **before)
    assert settings(lab, part) == before
    put(lab, part, DataLakeAdmins=[], TrustedResourceOwners=[lab.account("central")])
    after = settings(lab, part)
    assert after["CreateTableDefaultPermissions"] == after["CreateDatabaseDefaultPermissions"] == []
    assert after["TrustedResourceOwners"] == [lab.account("central")]
    with refused("InvalidInputException", message="TrustedResourceOwners"):
        put(lab, part, TrustedResourceOwners=["somebody"])


@pytest.mark.statement("lf-settings.admins-exist")
def test_administrators_are_iam_principals_of_the_account(lab, part):
    foreign = a_role(lab, "foreign")
    account = lab.account(part)
    for wrong in (
        f"arn:aws:iam::{account}:role/missing",
        foreign.arn,
        account,
        f"arn:aws:sts::{account}:assumed-role/a/b",
    ):
        for name in ("DataLakeAdmins", "ReadOnlyAdmins"):
            with refused("InvalidInputException", message="Invalid principal"):
                put(lab, part, **{name: identified(wrong)})


@pytest.mark.statement("lf-settings.admins-number")
def test_there_are_at_most_30_administrators(lab, part):
    roles = [lab.role(part, f"admin{number}").arn for number in range(31)]
    put(lab, part, DataLakeAdmins=identified(*roles[:30]))
    with refused("InvalidInputException", "ValidationException"):
        put(lab, part, DataLakeAdmins=identified(*roles))
    assert len(settings(lab, part)["DataLakeAdmins"]) == 30


@pytest.mark.statement("lf-settings.read-only")
def test_read_only_administrators_see_all_and_change_nothing(lab, part):
    auditor = a_role(lab, "auditor", part=part)
    put(lab, part, DataLakeAdmins=identified(me(lab, part)), ReadOnlyAdmins=[principal(lab, auditor)])
    database = lab.database(part)
    table, key = lab.table(part, database), lab.lf_tag(part, "domain", "sales")
    assert sees(lab, auditor, database, table) == ["id", "email", "total"]
    assert shown_database(lab, auditor, database) and readable(lab, auditor, database, table) == []
    assert lake_formation(lab, auditor).get_lf_tag(TagKey=key)["TagValues"] == ["sales"]
    assert kinds(listed(lab, auditor)) == kinds(listed(lab, part)) != {}, "every grant"
    with refused("AccessDeniedException"):
        grant(lab, auditor, auditor, on_table(database, table), "SELECT")
    with refused("AccessDeniedException"):
        lake_formation(lab, auditor).update_lf_tag(TagKey=key, TagValuesToAdd=["x"])


@pytest.mark.statement("lf-settings.defaults-form")
@pytest.mark.parametrize(
    "wrong",
    [
        [{**IAM_ONLY[0], "Permissions": ["SELECT"]}],
        [{**IAM_ONLY[0], "Principal": {"DataLakePrincipalIdentifier": "111111111111"}}],
        [*IAM_ONLY, *IAM_ONLY],
    ],
)
def test_default_permissions_are_empty_or_super_to_iam(lab, part, wrong):
    for name in ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions"):
        with refused("InvalidInputException", message="only permitted values"):
            put(lab, part, **{name: wrong})
        put(lab, part, **{name: IAM_ONLY})
        assert settings(lab, part)[name] == IAM_ONLY


@pytest.mark.statement("lf-settings.defaults-new", "lf-settings.defaults-database")
def test_the_accounts_default_is_for_new_databases_and_the_databases_for_its_new_tables(lab, part):
    reader, old = a_role(lab, part=part), lab.database(part, "old")
    put(lab, part, DataLakeAdmins=identified(me(lab, part)))
    new = lab.database(part, "new")
    open_ = lab.database(part, "open", CreateTableDefaultPermissions=IAM_ONLY)
    assert shown_database(lab, reader, old) and not shown_database(lab, reader, new)
    tables = {database: lab.table(part, database) for database in (old, new, open_)}
    assert [bool(sees(lab, reader, database, tables[database])) for database in (old, new, open_)] == [
        True,
        False,
        True,
    ]
    for resource in (on_database(old), on_table(old, tables[old])):
        revoke(lab, part, IAM_ALLOWED, resource, "ALL")
    assert sees(lab, reader, old, tables[old]) is None and shown_database(lab, reader, old) is None


@pytest.mark.statement("lf-settings.create-database")
def test_databases_are_made_by_administrators_once_iam_alone_no_longer_decides(lab, part):
    maker = a_role(lab, "maker", part=part)
    put(lab, part, DataLakeAdmins=identified(me(lab, part)))
    revoke(lab, part, IAM_ALLOWED, {"Catalog": {}}, "CREATE_DATABASE")
    with refused("AccessDeniedException"):
        lab.database(maker)
    lab.database(part)
    grant(lab, part, maker, {"Catalog": {}}, "CREATE_DATABASE")
    lab.database(maker)


@pytest.mark.statement("lf-settings.parameters", "lf-settings.version-5")
def test_parameters_are_checked_and_version_5_is_for_good(lab, part):
    with refused("InvalidInputException", message="Valid Parameters Keys are: [CROSS_ACCOUNT_VERSION]"):
        put(lab, part, Parameters={"CrossAccountVersion": "4"})
    for wrong in ("6", "0"):
        with refused("InvalidInputException"):
            put(lab, part, Parameters={"CROSS_ACCOUNT_VERSION": wrong})
    for version in ("3", "2", "5"):
        put(lab, part, Parameters={"CROSS_ACCOUNT_VERSION": version})
    with refused("InvalidInputException", message="cannot be changed back"):
        put(lab, part, Parameters={"CROSS_ACCOUNT_VERSION": "4"})
    put(lab, part, Parameters={"CROSS_ACCOUNT_VERSION": "5"})
    put(lab, part)
    assert settings(lab, part)["Parameters"]["CROSS_ACCOUNT_VERSION"] == "5"


@pytest.mark.statement("lf-settings.engines")
def test_engines_outside_aws_are_refused(lab, part):
    for given in (
        {"AllowExternalDataFiltering": True},
        {"AllowFullTableExternalDataAccess": True},
        {"ExternalDataFilteringAllowList": identified("111111111111")},
        {"AuthorizedSessionTagValueList": ["engine"]},
    ):
        with refused("LocalAwsNotSupported", message=next(iter(given))):
            put(lab, part, **given)


@pytest.mark.statement("lf-settings.own")
def test_another_accounts_settings_are_not_accessible(lab, part):
    theirs = lab.account("central")
    with refused("AccessDeniedException"):
        lake_formation(lab, part).get_data_lake_settings(CatalogId=theirs)
    with refused("AccessDeniedException"):
        lake_formation(lab, part).put_data_lake_settings(CatalogId=theirs, DataLakeSettings={})
    with refused("LocalAwsNotSupported"):
        lake_formation(lab, part).get_data_lake_settings(CatalogId="s3tablescatalog")
    assert lake_formation(lab, part).get_data_lake_settings(CatalogId=lab.account(part))


@pytest.mark.statement("lf-settings.iam")
def test_who_iam_lets_puts_settings_administrator_or_not(lab, part):
    lowly = lab.role(part, "lowly", allow=["lakeformation:Get*"])
    with refused("AccessDeniedException", message="PutDataLakeSettings"):
        put(lab, lowly, DataLakeAdmins=[principal(lab, lowly)])
    lab.allow(lowly, "lakeformation:PutDataLakeSettings")
    put(lab, lowly, DataLakeAdmins=[principal(lab, lowly)])
    assert settings(lab, lowly)["DataLakeAdmins"] == [principal(lab, lowly)]


@pytest.mark.statement("lf-settings.region")
def test_the_lake_is_in_one_region(lab, part):
    session = lab.session(part)
    with refused("LocalAwsNotSupported", message="us-east-1"):
        session.client("lakeformation", region_name="us-east-1").list_lf_tags()
