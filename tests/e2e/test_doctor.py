"""Each door past the LF-Tags, planted in a deployed mesh: found, said with its mend, and gone when it is mended."""

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError
from demo_run import run_demo, tagmesh
from deployed import CENTRAL, HR, SALES, Mesh
from tagmesh.doors import DOOR, NOTICE, UNSEEN

from cli import doctor
from cli.mesh import find

pytestmark = pytest.mark.slow

ANALYTICS, FINANCE, HR_ACCOUNT = "333333333333", "444444444444", "222222222222"
EVERYBODY = {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}
ORDERS = {"Table": {"DatabaseName": "sales_orders", "Name": "orders"}}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    run = run_demo(tmp_path_factory.mktemp("doctor"), "--keep")
    assert run.code == 0, run.printed
    yield Mesh(run.port)
    tagmesh("local", "down", "--port", run.port)


def seen(mesh, *asked):
    return {(door.severity, door.code, door.account, door.subject) for door in doctor.examine(find(mesh.port), asked)}


@pytest.fixture(scope="module")
def quiet(mesh):
    """What is said of a mesh that nobody has meddled with."""
    found = seen(mesh)
    assert {severity for severity, *_ in found} == {NOTICE}
    return found


def someone(mesh, account, name="Somebody", policy=None):
    """A role's ARN in an account."""
    iam = mesh.client(account, "iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    try:
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        return f"arn:aws:iam::{account}:role/{name}"


def by_an_administrator(mesh, account):
    """Lake Formation as an administrator of the account, who is no reader."""
    arn = someone(mesh, account, "LakeAdmin")
    iam, lf = mesh.client(account, "iam"), mesh.client(account, "lakeformation")
    allow = {"Effect": "Allow", "Action": ["lakeformation:*", "glue:*", "iam:PassRole", "ram:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="LakeAdmin", PolicyName="lake", PolicyDocument=policy)
    settings = lf.get_data_lake_settings()["DataLakeSettings"]
    if arn not in str(settings["DataLakeAdmins"]):
        settings["DataLakeAdmins"].append({"DataLakePrincipalIdentifier": arn})
        lf.put_data_lake_settings(DataLakeSettings=settings)
    return mesh.role(account, "LakeAdmin")


@contextmanager
def granted(mesh, account, principal, resource, permissions, **more):
    lf = by_an_administrator(mesh, account).client("lakeformation")
    entry = {"Principal": {"DataLakePrincipalIdentifier": principal}, "Resource": resource, "Permissions": permissions}
    lf.grant_permissions(**entry, **more)
    yield
    lf.revoke_permissions(**entry, **more)


@contextmanager
def settings_of(mesh, account, change):
    lf = mesh.client(account, "lakeformation")
    before = lf.get_data_lake_settings()["DataLakeSettings"]
    before["Parameters"] = {"CROSS_ACCOUNT_VERSION": before["Parameters"]["CROSS_ACCOUNT_VERSION"]}
    lf.put_data_lake_settings(DataLakeSettings={**before, **change(before)})
    yield
    lf.put_data_lake_settings(DataLakeSettings=before)


@contextmanager
def bucket_policy_with(mesh, statement, owned=SALES):
    account, bucket = owned
    s3 = mesh.client(account, "s3")
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    policy = json.loads(before)
    policy["Statement"].append({"Effect": "Allow", "Resource": f"arn:aws:s3:::{bucket}/*", **statement})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    yield
    s3.put_bucket_policy(Bucket=bucket, Policy=before)


@contextmanager
def location(mesh, path, **registered):
    lf = by_an_administrator(mesh, CENTRAL).client("lakeformation")
    arn = f"arn:aws:s3:::{path}"
    before = [each for each in lf.list_resources()["ResourceInfoList"] if each["ResourceArn"] == arn]
    if before:
        lf.deregister_resource(ResourceArn=arn)
    lf.register_resource(ResourceArn=arn, **registered)
    yield
    lf.deregister_resource(ResourceArn=arn)
    if before:
        lf.register_resource(ResourceArn=arn, UseServiceLinkedRole=False, RoleArn=before[0]["RoleArn"])


@contextmanager
def table_with(mesh, change):
    """The orders table changed by the crawler's own hand, as a crawl of Avro files would leave it."""
    glue = mesh.role(CENTRAL, "LakeAdmin").client("glue")
    with granted(mesh, CENTRAL, f"arn:aws:iam::{CENTRAL}:role/LakeAdmin", ORDERS, ["ALTER"]):
        before = glue.get_table(DatabaseName="sales_orders", Name="orders")["Table"]
        kept = ("Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters", "Owner", "Retention")
        shape = {key: before[key] for key in kept if key in before}
        glue.update_table(DatabaseName="sales_orders", TableInput=change(json.loads(json.dumps(shape))))
    yield
    with granted(mesh, CENTRAL, f"arn:aws:iam::{CENTRAL}:role/LakeAdmin", ORDERS, ["ALTER"]):
        glue.update_table(DatabaseName="sales_orders", TableInput=shape)


def found_only(mesh, quiet, *doors):
    """Whether just these are said besides what is always said, and the administrators who plant doors."""
    told = {each for each in seen(mesh) - quiet if each[1] != "other-administrator"}
    assert told == set(doors), told


def test_a_mesh_that_nobody_meddled_with_has_no_door_and_the_command_ends_well(mesh, quiet):
    told = tagmesh("doctor", "--port", mesh.port)
    assert told.returncode == 0, told.stdout
    assert told.stdout.startswith("0 doors, ")
    as_json = json.loads(tagmesh("doctor", "--port", mesh.port, "--json").stdout)
    assert {(d["severity"], d["code"], d["account"], d["subject"]) for d in as_json} == quiet


def test_our_roles_hold_in_lake_formation_what_they_need_and_administer_what_they_must(mesh, quiet):
    """Whether they need it: tests/convergence/test_permissions_needed.py."""
    lf = mesh.role(CENTRAL, "tagmesh-doctor").client("lakeformation")
    settings = lf.get_data_lake_settings()["DataLakeSettings"]

    def named(kind, of=settings):
        return [each["DataLakePrincipalIdentifier"].rpartition("/")[2] for each in of[kind]]

    assert named("DataLakeAdmins") == ["tagmesh-automation"]
    assert named("ReadOnlyAdmins") == ["tagmesh-doctor"]
    for account in (ANALYTICS, FINANCE, HR_ACCOUNT):
        of_account = mesh.client(account, "lakeformation").get_data_lake_settings()["DataLakeSettings"]
        assert named("DataLakeAdmins", of_account) == ["tagmesh-consumer"]
        assert named("ReadOnlyAdmins", of_account) == ["tagmesh-consumer-doctor"]

    held = {}
    for row in lf.list_permissions()["PrincipalResourcePermissions"]:
        principal = row["Principal"]["DataLakePrincipalIdentifier"]
        if f"::{CENTRAL}:role/" in principal:
            (kind,) = row["Resource"]
            named_all = row["Resource"][kind].get("Name") == "ALL_TABLES"
            at = (principal.rpartition("/")[2], kind, "all" if named_all else "one")
            held.setdefault(at, set()).update(row["Permissions"])
    every = {"ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"}
    whole = {"ALL", "ALTER", "DESCRIBE", "DROP"}
    assert held == {
        ("tagmesh-crawler", "DataLocation", "one"): {"DATA_LOCATION_ACCESS"},
        ("tagmesh-crawler", "Database", "one"): {"CREATE_TABLE", "DESCRIBE"},
        ("tagmesh-crawler", "Table", "one"): {"ALL", *every},  # as the maker of tables
        ("tagmesh-crawler", "TableWithColumns", "one"): {"SELECT"},
        ("tagmesh-automation", "Database", "one"): {"CREATE_TABLE", *whole},  # as the maker of databases
        ("tagmesh-automation", "Table", "all"): every,
        ("tagmesh-automation", "TableWithColumns", "all"): {"SELECT"},
    }


def test_the_automations_administrator_reads_nothing(mesh, quiet):
    """It could be let assume the role, it holds SELECT to assign tags, and still it gets no rows."""
    iam = mesh.client(CENTRAL, "iam")
    trust = iam.get_role(RoleName="tagmesh-automation")["Role"]["AssumeRolePolicyDocument"]
    person = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"}, "Action": "sts:AssumeRole"}
    opened = {**trust, "Statement": [*trust["Statement"], person]}
    iam.update_assume_role_policy(RoleName="tagmesh-automation", PolicyDocument=json.dumps(opened))
    automation = mesh.role(CENTRAL, "tagmesh-automation")
    iam.update_assume_role_policy(RoleName="tagmesh-automation", PolicyDocument=json.dumps(trust))

    with pytest.raises(ClientError, match="AccessDenied"):
        automation.client("athena").start_query_execution(
            QueryString="SELECT * FROM orders",
            QueryExecutionContext={"Database": "sales_orders"},
            ResultConfiguration={"OutputLocation": f"s3://tagmesh-governance-{CENTRAL}-eu-west-1/plans/"},
        )
    with pytest.raises(ClientError, match="AccessDenied"):
        automation.client("s3").get_object(
            Bucket=SALES[1], Key="orders/orders/order_year=2025/order_month=01/orders.csv"
        )
    action = ["lakeformation:GetDataAccess"]
    role = f"arn:aws:iam::{CENTRAL}:role/tagmesh-automation"
    (answer,) = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=action)["EvaluationResults"]
    assert answer["EvalDecision"] == "implicitDeny"


def test_what_is_granted_to_everybody_or_by_name(mesh, quiet):
    somebody = someone(mesh, CENTRAL)
    with granted(mesh, CENTRAL, "IAM_ALLOWED_PRINCIPALS", ORDERS, ["ALL"]):
        found_only(mesh, quiet, (DOOR, "open-to-iam", CENTRAL, "sales_orders.orders"))
    with granted(mesh, CENTRAL, somebody, ORDERS, ["SELECT"]):
        found_only(mesh, quiet, (DOOR, "named-grant", CENTRAL, "sales_orders.orders"))
    with granted(mesh, CENTRAL, somebody, ORDERS, ["DESCRIBE"]):
        found_only(mesh, quiet)


def test_what_is_granted_by_tags_and_not_by_us(mesh, quiet):
    somebody = someone(mesh, CENTRAL)
    expression = [{"TagKey": "pii", "TagValues": ["contact"]}]
    policy = {"LFTagPolicy": {"ResourceType": "TABLE", "Expression": expression}}
    with granted(mesh, CENTRAL, somebody, policy, ["SELECT"]):
        found_only(mesh, quiet, (DOOR, "foreign-tag-policy", CENTRAL, somebody))
    lf = by_an_administrator(mesh, CENTRAL).client("lakeformation")
    lf.create_lf_tag_expression(Name="contacts", Expression=expression)
    saved = {"LFTagPolicy": {"ResourceType": "TABLE", "ExpressionName": "contacts"}}
    with granted(mesh, CENTRAL, somebody, saved, ["SELECT"]):
        found_only(mesh, quiet, (DOOR, "foreign-tag-policy", CENTRAL, somebody))
    lf.delete_lf_tag_expression(Name="contacts")
    nothing = {"LFTagPolicy": {"ResourceType": "TABLE", "Expression": [{"TagKey": "pii", "TagValues": ["multiple"]}]}}
    with granted(mesh, CENTRAL, somebody, nothing, ["SELECT"]):
        found_only(mesh, quiet)


def test_settings(mesh, quiet):
    opened = [{"Principal": EVERYBODY, "Permissions": ["ALL"]}]
    with settings_of(mesh, CENTRAL, lambda _: {"CreateTableDefaultPermissions": opened}):
        found_only(mesh, quiet, (DOOR, "open-defaults", CENTRAL, "settings"))

    def with_admin(arn):
        return lambda before: {"DataLakeAdmins": [*before["DataLakeAdmins"], {"DataLakePrincipalIdentifier": arn}]}

    for account, arn in (
        (CENTRAL, f"arn:aws:iam::{CENTRAL}:role/tagmesh-crawler"),
        (ANALYTICS, f"arn:aws:iam::{ANALYTICS}:role/Analyst"),
    ):
        with settings_of(mesh, account, with_admin(arn)):
            found_only(mesh, quiet, (DOOR, "reader-administers", account, arn))


def test_the_bucket_that_others_read(mesh, quiet):
    bucket = f"s3://{SALES[1]}"
    door = (DOOR, "bucket-readable", SALES[0], bucket)
    for principal in ({"AWS": ANALYTICS}, {"AWS": f"arn:aws:iam::{ANALYTICS}:root"}):
        with bucket_policy_with(mesh, {"Principal": principal, "Action": "s3:Get*"}):
            found_only(mesh, quiet, door)
    with bucket_policy_with(mesh, {"Principal": {"AWS": ANALYTICS}, "Action": "s3:PutObject"}):
        found_only(mesh, quiet)
    with bucket_policy_with(mesh, {"Principal": {"AWS": CENTRAL}, "Action": "s3:GetObject"}):
        found_only(mesh, quiet, door)


def test_a_reader_in_the_account_that_owns_the_bucket(mesh, quiet):
    iam = mesh.client(HR_ACCOUNT, "iam")
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="PeopleAnalyst", PolicyName="all-of-s3", PolicyDocument=policy)
    arn = f"arn:aws:iam::{HR_ACCOUNT}:role/PeopleAnalyst"
    found_only(mesh, quiet, (DOOR, "reader-reads-bucket", HR_ACCOUNT, arn))
    iam.delete_role_policy(RoleName="PeopleAnalyst", PolicyName="all-of-s3")
    found_only(mesh, quiet)
    with bucket_policy_with(mesh, {"Principal": {"AWS": arn}, "Action": "s3:GetObject"}, HR):
        found_only(mesh, quiet, (DOOR, "bucket-readable", HR_ACCOUNT, f"s3://{HR[1]}"))


def test_locations(mesh, quiet):
    path, role = f"{SALES[1]}/orders", f"arn:aws:iam::{CENTRAL}:role/tagmesh-registration"
    subject = f"s3://{path}/"
    with location(mesh, path, UseServiceLinkedRole=False, RoleArn=role, HybridAccessEnabled=True):
        found_only(mesh, quiet, (DOOR, "hybrid-location", CENTRAL, subject))
    with location(mesh, path, UseServiceLinkedRole=False, RoleArn=someone(mesh, CENTRAL)):
        found_only(mesh, quiet, (DOOR, "foreign-location", CENTRAL, subject))
    with location(mesh, f"{path}/orders", UseServiceLinkedRole=False, RoleArn=role):
        found_only(mesh, quiet, (NOTICE, "overlapping-location", CENTRAL, f"{subject}orders/"))


def test_tables_that_spell_out_closed_columns_or_lie_elsewhere(mesh, quiet):
    by_an_administrator(mesh, CENTRAL)
    schema = json.dumps({"type": "record", "name": "r", "fields": [{"name": "customer_id", "type": "string"}]})

    def spelled(table):
        table["Parameters"]["avro.schema.literal"] = schema
        return table

    def elsewhere(table):
        table["StorageDescriptor"]["Location"] = f"s3://{SALES[1]}/customers/customers/"
        return table

    with table_with(mesh, spelled):
        found_only(mesh, quiet, (DOOR, "avro-schema", CENTRAL, "sales_orders.orders"))
    with table_with(mesh, elsewhere):
        found_only(mesh, quiet, (DOOR, "table-outside", CENTRAL, "sales_orders.orders"))


def test_what_a_consumers_administrator_passes_on(mesh, quiet):
    somebody = someone(mesh, ANALYTICS)
    lf = mesh.role(CENTRAL, "tagmesh-doctor").client("lakeformation")
    rows = lf.list_permissions(ResourceType="LF_TAG_POLICY")["PrincipalResourcePermissions"]
    (policy,) = [
        row["Resource"]
        for row in rows
        if row["Principal"]["DataLakePrincipalIdentifier"] == ANALYTICS
        and row["Resource"]["LFTagPolicy"]["ResourceType"] == "TABLE"
        and "hr" not in str(row["Resource"])
    ]
    with granted(mesh, ANALYTICS, somebody, policy, ["SELECT"], CatalogId=CENTRAL):
        found_only(mesh, quiet, (DOOR, "regrant", ANALYTICS, somebody))


def test_workgroups(mesh, quiet):
    athena = mesh.client(ANALYTICS, "athena")
    place = athena.get_work_group(WorkGroup="tagmesh")["WorkGroup"]["Configuration"]["ResultConfiguration"]
    athena.create_work_group(
        Name="tagmesh-mine",
        Configuration={"EnforceWorkGroupConfiguration": False, "ResultConfiguration": place},
    )
    found_only(
        mesh,
        quiet,
        (DOOR, "workgroup-not-enforced", ANALYTICS, "tagmesh-mine"),
        (DOOR, "same-results", ANALYTICS, "tagmesh, tagmesh-mine"),
    )
    athena.delete_work_group(WorkGroup="tagmesh-mine", RecursiveDeleteOption=True)


def test_an_account_without_the_role_is_not_taken_for_one_without_doors(mesh, quiet):
    iam = mesh.client(FINANCE, "iam")
    trust = iam.get_role(RoleName="tagmesh-consumer-doctor")["Role"]["AssumeRolePolicyDocument"]
    nobody = json.loads(json.dumps(trust).replace(CENTRAL, "999999999999"))
    iam.update_assume_role_policy(RoleName="tagmesh-consumer-doctor", PolicyDocument=json.dumps(nobody))
    assert (UNSEEN, "not-seen", FINANCE, "consumer finance") in seen(mesh, "finance")
    told = tagmesh("doctor", "finance", "--port", mesh.port)
    assert told.returncode == 1
    assert "UNSEEN" in told.stdout and f"deploy accounts/consumer.yaml in {FINANCE}" in told.stdout
    iam.update_assume_role_policy(RoleName="tagmesh-consumer-doctor", PolicyDocument=json.dumps(trust))
    assert seen(mesh, "finance") <= quiet


def test_what_is_safe_is_mended_and_what_was_closed_for_it_opens(mesh, quiet):
    lf = by_an_administrator(mesh, CENTRAL).client("lakeformation")
    lf.grant_permissions(Principal=EVERYBODY, Resource=ORDERS, Permissions=["ALL"])
    tagmesh("sweep", "--port", mesh.port)
    mesh.settle()
    assert "COUNT" not in str(refusal(mesh))  # refused for the table, not for the statement
    refused = tagmesh("doctor", "--fix", "--port", mesh.port)
    assert refused.returncode == 1 and "could not be mended" in refused.stdout, refused.stdout
    admin = f"arn:aws:iam::{CENTRAL}:role/LakeAdmin"
    fixed = tagmesh("doctor", "--fix", "--as", admin, "--port", mesh.port)
    assert "mended: open-to-iam sales_orders.orders" in fixed.stdout, fixed.stdout
    assert fixed.returncode == 0
    tagmesh("sweep", "--port", mesh.port)
    mesh.settle()
    assert mesh.query("Analyst", "SELECT COUNT(*) FROM orders").rows == (("300",),)
    found_only(mesh, quiet)


def refusal(mesh):
    from cli.athena_client import QueryRefused

    with pytest.raises(QueryRefused) as refused:
        mesh.query("Analyst", "SELECT COUNT(*) FROM orders")
    return refused.value


@pytest.mark.parametrize("asked", ["999999999999", "nobody"])
def test_who_is_not_of_the_mesh_is_said(mesh, asked):
    told = tagmesh("doctor", asked, "--port", mesh.port)
    assert told.returncode == 2
    assert f"{asked} is no account, consumer or producer of the mesh" in told.stdout
