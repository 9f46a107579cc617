"""Registered locations, and the permission to put tables and databases there."""

import pytest
from lab import Role, refused
from lake_calls import grant, on_database, principal
from lf_desk import CENTRAL, a_role, lake_formation


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture(scope="module")
def registrar(lab):
    return lab.role(CENTRAL, "registration")


@pytest.fixture
def bucket(lab):
    return lab.name("bucket", "-")


def register(lab, path, who=CENTRAL, **how):
    arn = f"arn:aws:s3:::{path}"
    lake_formation(lab, who).register_resource(ResourceArn=arn, **how)
    lab.at_end(lake_formation(lab).deregister_resource, ResourceArn=arn)


def registered(lab, path):
    return lake_formation(lab).describe_resource(ResourceArn=f"arn:aws:s3:::{path}")["ResourceInfo"]


def on_location(path, **more):
    return {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{path}", **more}}


# -- registering ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-access.register")
def test_a_location_is_registered_once_described_and_deregistered(lab, bucket, registrar):
    register(lab, f"{bucket}/sales/", RoleArn=registrar.arn)
    shown = registered(lab, f"{bucket}/sales")
    assert (shown["RoleArn"], shown["HybridAccessEnabled"]) == (registrar.arn, False)
    with refused("AlreadyExistsException"):
        register(lab, f"{bucket}/sales", RoleArn=registrar.arn)
    lake_formation(lab).deregister_resource(ResourceArn=f"arn:aws:s3:::{bucket}/sales")
    for call in (lake_formation(lab).deregister_resource, lake_formation(lab).describe_resource):
        with refused("EntityNotFoundException"):
            call(ResourceArn=f"arn:aws:s3:::{bucket}/sales")


@pytest.mark.statement("lf-access.register-list", "lf-access.register-update")
def test_registrations_are_listed_in_pages_and_get_another_role(lab, bucket, registrar):
    other = lab.role(CENTRAL, "other")
    for path in (bucket, f"{bucket}/a", f"{bucket}/b"):
        register(lab, path, RoleArn=registrar.arn)
    lake_formation(lab).update_resource(ResourceArn=f"arn:aws:s3:::{bucket}/a", RoleArn=other.arn)
    listed, token = {}, {}
    while token is not None:
        answer = lake_formation(lab).list_resources(MaxResults=1, **token)
        assert len(answer["ResourceInfoList"]) == 1
        listed |= {each["ResourceArn"]: each["RoleArn"] for each in answer["ResourceInfoList"]}
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    assert listed[f"arn:aws:s3:::{bucket}/a"] == other.arn
    assert listed[f"arn:aws:s3:::{bucket}/b"] == listed[f"arn:aws:s3:::{bucket}"] == registrar.arn
    with refused("EntityNotFoundException"):
        lake_formation(lab).update_resource(ResourceArn=f"arn:aws:s3:::{bucket}/c", RoleArn=other.arn)
    with refused("InvalidInputException", message="RoleArn"):
        lake_formation(lab).update_resource(ResourceArn=f"arn:aws:s3:::{bucket}/a", RoleArn=other.arn + "x")


@pytest.mark.statement("lf-access.register-covers")
def test_a_table_below_a_registered_location_says_so(lab, bucket, registrar):
    register(lab, f"{bucket}/sales", RoleArn=registrar.arn)
    database = lab.database(CENTRAL)
    for folder, expected in (("sales/orders", True), ("sales", True), ("salesforce", False), ("other", False)):
        table = lab.table(CENTRAL, database, location=f"s3://{bucket}/{folder}/")
        shown = lab.client("glue", CENTRAL).get_table(DatabaseName=database, Name=table)["Table"]
        assert shown["IsRegisteredWithLakeFormation"] is expected, folder


@pytest.mark.statement("lf-access.service-linked")
def test_the_service_linked_role_cannot_register_another_accounts_bucket(lab, registrar):
    mine, theirs = lab.bucket(CENTRAL), lab.bucket("producer")
    register(lab, mine, UseServiceLinkedRole=True)
    assert registered(lab, mine)["RoleArn"].endswith("AWSServiceRoleForLakeFormationDataAccess")
    for path in (f"{theirs}/data", lab.name("nobodys", "-")):
        with refused("InvalidInputException", message="service-linked role"):
            register(lab, path, UseServiceLinkedRole=True)
    register(lab, f"{theirs}/data", RoleArn=registrar.arn)


@pytest.mark.statement("lf-access.register-role")
def test_a_registration_needs_one_existing_role_of_the_account(lab, bucket, registrar):
    account, foreign = lab.account(CENTRAL), lab.role("producer", "foreign")
    for role in (f"arn:aws:iam::{account}:role/missing", foreign.arn, f"arn:aws:iam::{account}:user/somebody"):
        with refused("InvalidInputException", "AccessDeniedException"):
            register(lab, bucket, RoleArn=role)
    for how in ({}, {"RoleArn": registrar.arn, "UseServiceLinkedRole": True}):
        with refused("InvalidInputException", message="either"):
            register(lab, bucket, **how)


@pytest.mark.statement("lf-access.passrole")
def test_who_registers_must_be_allowed_to_pass_the_role(lab, bucket, registrar):
    clerk = a_role(lab, "clerk")
    with refused("AccessDeniedException", message="iam:PassRole"):
        register(lab, bucket, clerk, RoleArn=registrar.arn)
    lab.allow(clerk, "iam:PassRole", resource=registrar.arn)
    register(lab, bucket, clerk, RoleArn=registrar.arn)


@pytest.mark.statement("lf-access.path-limits")
def test_a_registered_path_has_at_most_700_characters_and_20_folders(lab, bucket, registrar):
    fits, deep = f"{bucket}/".ljust(700, "x"), "/".join([bucket, *"abcdefghijklmnopqrst"])
    register(lab, fits, RoleArn=registrar.arn)
    register(lab, deep, RoleArn=registrar.arn)
    for path in (fits + "x", deep + "/u"):
        with refused("InvalidInputException", message="700"):
            register(lab, path, RoleArn=registrar.arn)
    with refused("InvalidInputException", message="S3"):
        lake_formation(lab).register_resource(ResourceArn="arn:aws:sqs:eu-west-1:1:q", RoleArn=registrar.arn)


@pytest.mark.statement("lf-access.federation")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_federated_and_privileged_registrations_are_refused(lab, bucket, registrar):
    for unbuilt in ("WithFederation", "WithPrivilegedAccess"):
        with refused("LocalAwsNotSupported"):
            register(lab, bucket, RoleArn=registrar.arn, **{unbuilt: True})
    register(lab, bucket, RoleArn=registrar.arn, WithFederation=False)
    with refused("LocalAwsNotSupported"):
        lake_formation(lab).update_resource(
            ResourceArn=f"arn:aws:s3:::{bucket}", RoleArn=registrar.arn, WithFederation=True
        )


# -- data location permissions ----------------------------------------------------------------------------------------


@pytest.fixture
def place(lab, bucket, registrar) -> tuple[str, Role, str]:
    """A registered path, a role that may create tables, and the database in which it may."""
    register(lab, f"{bucket}/sales", RoleArn=registrar.arn)
    maker, database = a_role(lab, "maker"), lab.database(CENTRAL)
    grant(lab, CENTRAL, maker, on_database(database), "CREATE_TABLE")
    return bucket, maker, database


@pytest.mark.statement("lf-access.data-location")
def test_a_table_on_a_registered_location_needs_data_location_access(lab, place):
    bucket, maker, database = place
    with refused("AccessDeniedException", message="Data Location"):
        lab.table(maker, database, location=f"s3://{bucket}/sales/orders")
    lab.table(maker, database, location=f"s3://{bucket}/elsewhere")
    grant(lab, CENTRAL, maker, on_location(f"{bucket}/sales/orders"), "DATA_LOCATION_ACCESS")
    with refused("AccessDeniedException", message="Data Location"):
        lab.table(maker, database, location=f"s3://{bucket}/sales/returns")
    lab.table(maker, database, location=f"s3://{bucket}/sales/orders/2024")


@pytest.mark.statement("lf-access.data-location-move")
def test_a_table_cannot_be_moved_to_a_registered_location_without_it(lab, place):
    bucket, maker, database = place
    table = lab.table(maker, database, location=f"s3://{bucket}/elsewhere")
    moved = {"Name": table, "StorageDescriptor": {"Columns": [], "Location": f"s3://{bucket}/sales/orders"}}
    with refused("AccessDeniedException", message="Data Location"):
        lab.client("glue", maker).update_table(DatabaseName=database, TableInput=moved)
    grant(lab, CENTRAL, f"{lab.account(CENTRAL)}:IAMPrincipals", on_location(f"{bucket}/sales"), "DATA_LOCATION_ACCESS")
    lab.client("glue", maker).update_table(DatabaseName=database, TableInput=moved)


@pytest.mark.statement("lf-access.database-location")
def test_a_database_on_a_registered_prefix_spares_its_tables(lab, place):
    bucket, maker, _ = place
    inside = lab.database(CENTRAL, LocationUri=f"s3://{bucket}/sales/")
    grant(lab, CENTRAL, maker, on_database(inside), "CREATE_TABLE")
    lab.table(maker, inside, location=f"s3://{bucket}/sales/orders/")
    with refused("AccessDeniedException", message="Data Location"):
        lab.database(maker, LocationUri=f"s3://{bucket}/sales")


@pytest.mark.statement("lf-access.database-location")
@pytest.mark.parametrize("folder", ["other", "", "sales/returns"])
def test_a_database_elsewhere_spares_its_tables_nothing(lab, place, folder):
    bucket, maker, _ = place
    elsewhere = lab.database(CENTRAL, LocationUri=f"s3://{bucket}/{folder}")
    grant(lab, CENTRAL, maker, on_database(elsewhere), "CREATE_TABLE")
    with refused("AccessDeniedException", message="Data Location"):
        lab.table(maker, elsewhere, location=f"s3://{bucket}/sales/orders")


@pytest.mark.statement("lf-access.data-location-admin")
def test_administrators_have_it_everywhere_and_pass_it_on(lab, place):
    bucket, maker, database = place
    other = a_role(lab, "other")
    lab.table(CENTRAL, database, location=f"s3://{bucket}/sales/orders")
    grant(lab, CENTRAL, maker, on_location(f"{bucket}/sales"), "DATA_LOCATION_ACCESS", options=True)
    grant(lab, maker, other, on_location(f"{bucket}/sales/orders"), "DATA_LOCATION_ACCESS")
    with refused("AccessDeniedException", "EntityNotFoundException"):
        grant(lab, maker, other, on_location(bucket), "DATA_LOCATION_ACCESS")
    (held,) = lake_formation(lab).list_permissions(Principal=principal(lab, other))["PrincipalResourcePermissions"]
    assert held["Resource"]["DataLocation"]["ResourceArn"] == f"arn:aws:s3:::{bucket}/sales/orders"


@pytest.mark.statement("lf-access.data-location-shared")
@pytest.mark.local_only("accounts of its own, in one organization")
def test_another_accounts_location_is_used_as_far_as_it_was_granted(lab):
    owner, consumer = lab.fresh(), lab.fresh()
    lab.organization(owner, consumer)
    for part in (owner, consumer):
        lab.lake(part)
    role, path = lab.role(owner, "registration"), f"{lab.name('shared', '-')}/sales"
    lake_formation(lab, owner).register_resource(ResourceArn=f"arn:aws:s3:::{path}", RoleArn=role.arn)
    maker, catalog = a_role(lab, "maker", part=consumer), lab.account(owner)
    shared = on_location(path, CatalogId=catalog)
    with refused("EntityNotFoundException", "AccessDeniedException"):
        grant(lab, consumer, maker, shared, "DATA_LOCATION_ACCESS")
    grant(lab, owner, lab.account(consumer), on_location(path), "DATA_LOCATION_ACCESS", options=True)
    grant(lab, consumer, maker, shared, "DATA_LOCATION_ACCESS")
    listed = lake_formation(lab, consumer).list_permissions(CatalogId=catalog, ResourceType="DATA_LOCATION")
    assert maker.arn in {
        each["Principal"]["DataLakePrincipalIdentifier"] for each in listed["PrincipalResourcePermissions"]
    }
