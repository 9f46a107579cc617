"""Lake Formation of the local AWS: settings, registered locations, data location permissions; the lake over HTTP."""

import pytest
import yaml
from botocore.exceptions import ClientError
from lake_scene import IAM_ONLY, lake_world, on_database, on_location, on_table, refused_with, root

from local_aws import allowed
from local_aws.allowed import entries


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


def _settings(lake, principal):
    return lake.call(principal, "lakeformation:GetDataLakeSettings")["DataLakeSettings"]


def _put(lake, account, **settings):
    lake.call(root(account), "lakeformation:PutDataLakeSettings", DataLakeSettings=settings)


# -- settings ---------------------------------------------------------------------------------------------------------


def test_a_fresh_account_has_no_administrators_and_leaves_all_to_iam(lake):
    account = lake.account()
    settings = _settings(lake, root(account))
    assert settings["DataLakeAdmins"] == []
    assert settings["CreateDatabaseDefaultPermissions"] == IAM_ONLY
    assert settings["CreateTableDefaultPermissions"] == IAM_ONLY
    assert settings["Parameters"]["CROSS_ACCOUNT_VERSION"] == "1"


def test_put_replaces_the_administrators(lake):
    account = lake.account()
    first, second = lake.role(account, "first"), lake.role(account, "second")
    for admin in (first, second):
        _put(lake, account, DataLakeAdmins=[{"DataLakePrincipalIdentifier": admin}])
    assert _settings(lake, first)["DataLakeAdmins"] == [{"DataLakePrincipalIdentifier": second}]
    with refused_with("AccessDeniedException"):
        lake.call(first, "lakeformation:CreateLFTag", TagKey="domain", TagValues=["sales"])


def test_settings_that_were_read_can_be_written_back(lake):
    account = lake.account()
    before = _settings(lake, root(account))
    _put(lake, account, **before)
    assert _settings(lake, root(account)) == before


def test_an_absent_list_of_defaults_means_lake_formation_decides(lake):
    account = lake.account()
    _put(lake, account, DataLakeAdmins=[])
    assert _settings(lake, root(account))["CreateTableDefaultPermissions"] == []


def test_administrators_must_be_principals_of_the_account(lake):
    account, other = lake.account(), lake.account()
    foreign = lake.role(other, "foreign")
    for wrong in (f"arn:aws:iam::{account}:role/missing", foreign, account, f"arn:aws:sts::{account}:assumed-role/a/b"):
        with refused_with("InvalidInputException", "Invalid principal"):
            _put(lake, account, DataLakeAdmins=[{"DataLakePrincipalIdentifier": wrong}])


def test_default_permissions_are_empty_or_all_to_iam(lake):
    account = lake.account()
    wrong = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["SELECT"]}]
    with refused_with("InvalidInputException", "only permitted values"):
        _put(lake, account, CreateTableDefaultPermissions=wrong)


def test_parameters_are_checked_and_version_5_is_irreversible(lake):
    account = lake.account()
    with refused_with("InvalidInputException", "Valid Parameters Keys are: [CROSS_ACCOUNT_VERSION]"):
        _put(lake, account, Parameters={"CrossAccountVersion": "4"})
    with refused_with("InvalidInputException"):
        _put(lake, account, Parameters={"CROSS_ACCOUNT_VERSION": "6"})
    _put(lake, account, Parameters={"CROSS_ACCOUNT_VERSION": "5"})
    with refused_with("InvalidInputException", "cannot be changed back"):
        _put(lake, account, Parameters={"CROSS_ACCOUNT_VERSION": "4"})
    _put(lake, account)
    assert _settings(lake, root(account))["Parameters"]["CROSS_ACCOUNT_VERSION"] == "5"


def test_read_only_administrators_see_and_change_nothing(lake):
    account, admin = lake.governed()
    auditor = lake.role(account, "auditor")
    lake.settings(account, [admin], ReadOnlyAdmins=[{"DataLakePrincipalIdentifier": auditor}])
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders")
    lake.tag(admin, "domain", "sales")
    assert lake.sees(auditor, "sales", "orders") == ["id", "email", "total"]
    assert lake.reads(auditor, "sales", "orders") == set()
    assert lake.call(auditor, "lakeformation:GetLFTag", TagKey="domain")["TagValues"] == ["sales"]
    with refused_with("AccessDeniedException"):
        lake.grant(auditor, auditor, on_table("sales", "orders"), "SELECT")


def test_engines_outside_aws_are_refused(lake):
    with refused_with("LocalAwsNotSupported", "AllowExternalDataFiltering"):
        _put(lake, lake.account(), AllowExternalDataFiltering=True)


def test_another_accounts_settings_are_not_accessible(lake):
    mine, theirs = lake.account(), lake.account()
    with refused_with("AccessDeniedException"):
        lake.call(root(mine), "lakeformation:GetDataLakeSettings", CatalogId=theirs)


# -- registered locations ---------------------------------------------------------------------------------------------


def _register(lake, principal, path, **how):
    lake.call(principal, "lakeformation:RegisterResource", ResourceArn=f"arn:aws:s3:::{path}", **how)


def test_a_location_is_registered_with_a_role_and_covers_what_lies_below(lake):
    account, admin = lake.governed()
    role = lake.role(account, "registration")
    _register(lake, admin, "data/sales/", RoleArn=role)
    engine = lake.world.engines["lakeformation"]
    assert engine.registration_for("s3://data/sales/orders/part.csv") == role
    assert engine.registration_for("s3://data/sales") == role
    assert engine.registration_for("s3://data/salesforce") is None
    assert engine.registration_for("s3://data/sales/orders", lake.account()) is None
    described = lake.call(admin, "lakeformation:DescribeResource", ResourceArn="arn:aws:s3:::data/sales")
    assert described["ResourceInfo"]["RoleArn"] == role
    with refused_with("AlreadyExistsException"):
        _register(lake, admin, "data/sales", RoleArn=role)
    lake.call(admin, "lakeformation:DeregisterResource", ResourceArn="arn:aws:s3:::data/sales")
    assert engine.registration_for("s3://data/sales/orders") is None
    with refused_with("EntityNotFoundException"):
        lake.call(admin, "lakeformation:DeregisterResource", ResourceArn="arn:aws:s3:::data/sales")


def test_the_longest_registered_prefix_counts_and_its_role_can_change(lake):
    account, admin = lake.governed()
    wide, narrow = lake.role(account, "wide"), lake.role(account, "narrow")
    _register(lake, admin, "data", RoleArn=wide)
    _register(lake, admin, "data/sales", RoleArn=wide)
    arn = "arn:aws:s3:::data/sales"
    lake.call(admin, "lakeformation:UpdateResource", ResourceArn=arn, RoleArn=narrow)
    engine = lake.world.engines["lakeformation"]
    assert engine.registration_for("s3://data/sales/orders") == narrow
    assert engine.registration_for("s3://data/hr") == wide
    listed = lake.pages(admin, "lakeformation:ListResources", "ResourceInfoList", MaxResults=1)
    assert [each["ResourceArn"] for each in listed] == ["arn:aws:s3:::data", arn]


def test_the_service_linked_role_cannot_register_another_accounts_bucket(lake):
    account, admin = lake.governed()
    mine, theirs = lake.bucket(account), lake.bucket(lake.account())
    _register(lake, admin, mine, UseServiceLinkedRole=True)
    with refused_with("InvalidInputException", "service-linked role"):
        _register(lake, admin, theirs, UseServiceLinkedRole=True)
    _register(lake, admin, theirs, RoleArn=lake.role(account, "registration"))


def test_a_registration_needs_one_existing_role_of_the_account(lake):
    account, admin = lake.governed()
    foreign = lake.role(lake.account(), "foreign")
    for role in (f"arn:aws:iam::{account}:role/missing", foreign):
        with refused_with("InvalidInputException", "RoleArn"):
            _register(lake, admin, "data", RoleArn=role)
    with refused_with("InvalidInputException"):
        _register(lake, admin, "data")


def test_hybrid_access_is_refused(lake):
    account, admin = lake.governed()
    with refused_with("LocalAwsNotSupported", "HybridAccessEnabled"):
        _register(lake, admin, "data", RoleArn=lake.role(account, "registration"), HybridAccessEnabled=True)
    with refused_with("LocalAwsNotSupported"):
        lake.call(
            admin,
            "lakeformation:CreateLakeFormationOptIn",
            Principal={"DataLakePrincipalIdentifier": admin},
            Resource=on_database("sales"),
        )


# -- data location permissions ----------------------------------------------------------------------------------------


@pytest.fixture
def producer(lake):
    """(administrator, a role that may create databases and tables, a registered path)."""
    account, admin = lake.governed()
    maker = lake.role(account, "maker")
    _register(lake, admin, "data/sales", RoleArn=lake.role(account, "registration"))
    lake.database(admin, "sales")
    lake.grant(admin, maker, on_database("sales"), "CREATE_TABLE")
    return admin, maker


def test_a_table_on_a_registered_location_needs_data_location_access(lake, producer):
    admin, maker = producer
    with refused_with("AccessDeniedException", "Data Location"):
        lake.table(maker, "sales", "orders", location="s3://data/sales/orders")
    lake.table(maker, "sales", "elsewhere", location="s3://other/orders")
    lake.grant(admin, maker, on_location("data/sales"), "DATA_LOCATION_ACCESS")
    lake.table(maker, "sales", "orders", location="s3://data/sales/orders")
    table = lake.call(maker, "glue:GetTable", DatabaseName="sales", Name="orders")["Table"]
    assert table["IsRegisteredWithLakeFormation"] is True


def test_a_database_on_a_registered_prefix_needs_it_for_itself_but_spares_its_tables(lake, producer):
    admin, maker = producer
    with refused_with("AccessDeniedException", "Data Location"):
        lake.database(maker, "mine", LocationUri="s3://data/sales")
    lake.database(admin, "theirs", LocationUri="s3://data/sales/")
    lake.grant(admin, maker, on_database("theirs"), "CREATE_TABLE")
    lake.table(maker, "theirs", "orders", location="s3://data/sales/orders/")


@pytest.mark.parametrize("location", ["s3://other", "s3://data", "s3://data/sales/returns"])
def test_a_database_elsewhere_spares_its_tables_nothing(lake, producer, location):
    admin, maker = producer
    lake.database(admin, "elsewhere", LocationUri=location)
    lake.grant(admin, maker, on_database("elsewhere"), "CREATE_TABLE")
    with refused_with("AccessDeniedException", "Data Location"):
        lake.table(maker, "elsewhere", "orders", location="s3://data/sales/orders")


def test_a_table_cannot_be_moved_to_a_registered_location_without_it(lake, producer):
    admin, maker = producer
    lake.table(maker, "sales", "orders", location="s3://other/orders")
    moved = {"Name": "orders", "StorageDescriptor": {"Columns": [], "Location": "s3://data/sales/orders"}}
    with refused_with("AccessDeniedException", "Data Location"):
        lake.call(maker, "glue:UpdateTable", DatabaseName="sales", TableInput=moved)
    lake.grant(admin, maker, on_location("data/sales"), "DATA_LOCATION_ACCESS")
    lake.call(maker, "glue:UpdateTable", DatabaseName="sales", TableInput=moved)


def test_administrators_have_data_location_permissions_everywhere(lake, producer):
    admin, _ = producer
    lake.table(admin, "sales", "orders", location="s3://data/sales/orders")


def test_data_location_access_can_be_passed_on_only_with_the_grant_option(lake, producer):
    admin, maker = producer
    other = lake.role(admin.split(":")[4], "other")
    lake.grant(admin, maker, on_location("data/sales"), "DATA_LOCATION_ACCESS")
    with refused_with("AccessDeniedException"):
        lake.grant(maker, other, on_location("data/sales"), "DATA_LOCATION_ACCESS")
    lake.grant(admin, maker, on_location("data/sales"), "DATA_LOCATION_ACCESS", grantable=True)
    lake.grant(maker, other, on_location("data/sales/orders"), "DATA_LOCATION_ACCESS")
    with refused_with("InvalidInputException"):
        lake.grant(maker, other, on_location("data/sales"), "SELECT")


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_the_lake_answers_every_operation_it_allows_and_in_one_region_only(aws):
    for service in ("lakeformation", "ram"):
        for operation in allowed.operations(service):
            assert aws.world.handler(service, operation), f"{service}:{operation} would fall through to moto"
    glue = yaml.safe_load((entries.FOLDER / "glue.yaml").read_text("utf-8"))["operations"]
    assert all(hasattr(aws.world.engines["glue"], operation) for operation in glue)
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*us-east-1"):
        aws.session("111111111111").client("glue", region_name="us-east-1").get_databases()


def test_clients_get_results_pages_and_errors_as_from_aws(aws):
    session = aws.session("111111111111")
    lake_formation, glue = session.client("lakeformation"), session.client("glue")
    me = "arn:aws:iam::111111111111:user/admin"
    lake_formation.put_data_lake_settings(
        DataLakeSettings={
            "DataLakeAdmins": [{"DataLakePrincipalIdentifier": me}],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
            "Parameters": {"CROSS_ACCOUNT_VERSION": "4"},
        }
    )
    glue.create_database(DatabaseInput={"Name": "sales", "CreateTableDefaultPermissions": []})
    columns = [{"Name": "id", "Type": "bigint"}, {"Name": "email", "Type": "string"}]
    descriptor = {"Columns": columns, "Location": "s3://lake/sales"}
    for name in ("a", "b", "c"):
        glue.create_table(DatabaseName="sales", TableInput={"Name": name, "StorageDescriptor": descriptor})
    pages = glue.get_paginator("get_tables").paginate(DatabaseName="sales", PaginationConfig={"PageSize": 2})
    assert [table["Name"] for page in pages for table in page["TableList"]] == ["a", "b", "c"]
    lake_formation.create_lf_tag(TagKey="PII", TagValues=["None", "Contact"])
    column = {"TableWithColumns": {"DatabaseName": "sales", "Name": "a", "ColumnNames": ["email"]}}
    missing = {"TagKey": "pii", "TagValues": ["missing"]}
    answer = lake_formation.add_lf_tags_to_resource(
        Resource=column, LFTags=[{"TagKey": "pii", "TagValues": ["contact"]}]
    )
    assert answer["Failures"] == []
    answer = lake_formation.add_lf_tags_to_resource(Resource=column, LFTags=[missing])
    assert answer["Failures"][0]["Error"]["ErrorCode"] == "EntityNotFoundException"
    tags = lake_formation.get_resource_lf_tags(Resource=column)
    assert tags["LFTagsOnColumns"][0]["LFTags"][0]["TagValues"] == ["contact"]
    with pytest.raises(lake_formation.exceptions.EntityNotFoundException):
        lake_formation.get_lf_tag(TagKey="missing")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_table(DatabaseName="sales", Name="missing")
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*ListDataCellsFilter"):
        lake_formation.list_data_cells_filter()
    assert aws.session("222222222222").client("ram").get_resource_share_invitations()["resourceShareInvitations"] == []
