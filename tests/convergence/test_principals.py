"""Principals that come, go and change, and grants that Lake Formation refuses: each a finding, and the rest goes on."""

from __future__ import annotations

import pytest
from convergence.doubles import CENTRAL, REGION
from convergence.ends import holds
from convergence.histories import ACCOUNTS, TYPES, Exposure, Wanted
from convergence.mesh_in_process import EVERYTHING, TRUST, MeshInProcess
from moto.iam.models import iam_backends
from tagmesh.aws import units
from tagmesh.catalog import Finding
from tagmesh.governance import load

from local_aws.access.identity import Caller
from local_aws.wire import AwsError

ACCOUNT = ACCOUNTS["analytics"]
SUBSCRIBED = Wanted("usual", ("orders",), {"analytics": ("open", "contacts")})
READERS = [f"arn:aws:iam::{ACCOUNT}:role/analytics-{name}" for name in ("open", "contacts")]
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/tagmesh-consumer"
RESERVED = "/aws-reserved/sso.amazonaws.com/"


@pytest.fixture
def mesh():
    with MeshInProcess() as mesh:
        Exposure(mesh)
        yield mesh


def begin(mesh: MeshInProcess, files: dict[str, str], *, missing: tuple[str, ...] = ()) -> None:
    """A mesh with one data product, and all principals of the files but those that are missing."""
    governance = load(files)
    mesh.apply(files)
    for name in missing:
        delete_role(mesh, name)
    mesh.settle()
    mesh.upload(governance.data_products[0], "first", tuple(TYPES.items()))
    mesh.settle()


def delete_role(mesh: MeshInProcess, name: str) -> None:
    backend = iam_backends[ACCOUNT]["aws"]
    (found,) = [identity for identity, role in backend.roles.items() if role.name == name]
    del backend.roles[found]


def permission_set(name: str, suffix: str, region: str = "") -> str:
    """The ARN of the role that IAM Identity Center makes for a permission set."""
    role = f"AWSReservedSSO_{name}_{suffix}"
    path = f"{RESERVED}{region}/" if region else RESERVED
    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_role(role, TRUST, path, None, "", [], "3600")
    backend.put_role_policy(role, "everything", EVERYTHING)
    return f"arn:aws:iam::{ACCOUNT}:role{path}{role}"


def readers(mesh: MeshInProcess) -> set[str]:
    return {principal for principal, *_ in mesh.queryable()}


def found(mesh: MeshInProcess) -> list[Finding]:
    unit = units.read_all(mesh.client("dynamodb"))["consumer/analytics"]
    return [Finding(**each) for each in unit.findings]


def a_sweep_later(mesh: MeshInProcess) -> None:
    mesh.wait(1000)
    mesh.sweep()


def test_a_principal_that_is_not_there_yet_is_a_finding_and_is_granted_when_it_appears(mesh):
    begin(mesh, SUBSCRIBED.files(), missing=("analytics-contacts",))
    assert readers(mesh) == {READERS[0]}
    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("principal-missing", "consumer/analytics/analytics-contacts")

    mesh.role(ACCOUNT, "analytics-contacts")
    a_sweep_later(mesh)

    assert readers(mesh) == {*READERS}
    assert found(mesh) == []
    holds(mesh, load(SUBSCRIBED.files()))


def test_a_role_that_is_deleted_between_plan_and_grant_is_a_finding_and_the_others_are_granted(mesh):
    gone = []

    def delete_before_the_grant(service, operation, params, caller):
        if operation == "BatchGrantPermissions" and caller.account == ACCOUNT and not gone:
            gone.append("analytics-contacts")
            delete_role(mesh, "analytics-contacts")

    begin(mesh, Wanted("usual", ("orders",), {"analytics": ("open",)}).files())
    mesh.on_call.append(delete_before_the_grant)
    mesh.apply(SUBSCRIBED.files())
    mesh.settle()

    assert gone and not mesh.failed
    assert readers(mesh) == {READERS[0]}
    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("not-granted", f"consumer/analytics/{READERS[1]}")
    assert "Invalid principal" in finding.message and "analytics/contacts" in finding.message
    assert f"create {READERS[1]} again" in finding.mend

    a_sweep_later(mesh)
    assert {each.code for each in found(mesh)} == {"principal-missing"}, "and what was not made is not missed"
    mesh.role(ACCOUNT, "analytics-contacts")
    a_sweep_later(mesh)
    assert readers(mesh) == {*READERS}
    holds(mesh, load(SUBSCRIBED.files()))


LIMIT = 50  # of LF-Tag policies on a principal and resource type [General reference, Lake Formation quotas]


def many(count: int, principal: str = "Analyst") -> dict[str, str]:
    """Files whose one consumer has so many subscriptions with tag expressions of their own."""
    files = Wanted("usual", ("orders",), {}).files()
    topics = ", ".join(f"t{number}" for number in range(count))
    files["mesh.yaml"] += f"  topic:       {{values: [{topics}, none], default: none}}\n"
    files["producers/sales.yaml"] = files["producers/sales.yaml"].replace(
        "{domain: sales}", "{domain: sales, topic: t0}"
    )
    listed = "\n".join(
        f"  - {{name: s{number}, tags: {{domain: [sales], topic: [t{number}]}}, principals: [{{role: {principal}}}]}}"
        for number in range(count)
    )
    head = f'consumer: analytics\naccount: "{ACCOUNT}"\nowner: a@example.com\nsubscriptions:\n'
    return {**files, "consumers/analytics.yaml": f"{head}{listed}\n"}


def test_policies_over_the_quota_are_a_finding_and_those_under_it_are_granted(mesh):
    begin(mesh, many(LIMIT + 2))

    assert not mesh.failed
    assert readers(mesh) == {f"arn:aws:iam::{ACCOUNT}:role/Analyst"}
    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("not-granted", f"consumer/analytics/{ACCOUNT}")
    assert "analytics/s" in finding.message and "50 LF-Tag policies" in finding.mend

    mesh.apply(many(LIMIT))
    mesh.settle()
    a_sweep_later(mesh)
    assert found(mesh) == []
    holds(mesh, load(many(LIMIT)))


def test_what_others_granted_counts_and_what_a_principal_has_stays(mesh):
    begin(mesh, many(LIMIT - 1))
    before = mesh.queryable()
    assert before
    arn = f"arn:aws:iam::{ACCOUNT}:role/Analyst"
    somebody = mesh.client("lakeformation", Caller(ACCOUNT, REGION, ADMINISTRATOR, ADMINISTRATOR))
    expression = [{"TagKey": "domain", "TagValues": ["sales"]}, {"TagKey": "topic", "TagValues": ["t0", "t1"]}]
    somebody.grant_permissions(
        CatalogId=CENTRAL,
        Principal={"DataLakePrincipalIdentifier": arn},
        Resource={"LFTagPolicy": {"CatalogId": CENTRAL, "ResourceType": "TABLE", "Expression": expression}},
        Permissions=["DESCRIBE"],
    )

    mesh.apply(many(LIMIT))
    mesh.settle()

    assert not mesh.failed
    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("not-granted", f"consumer/analytics/{arn}")
    assert mesh.queryable() == before
    mesh.apply(many(LIMIT - 1))
    mesh.settle()
    assert found(mesh) == []
    assert mesh.queryable() == before


# -- permission sets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["", "eu-west-1"], ids=["no region", "region"])
def test_a_permission_set_is_followed_when_its_suffix_changes(mesh, region):
    files = SUBSCRIBED.files()
    at = "consumers/analytics.yaml"
    files[at] = files[at].replace("role: analytics-open", "permission_set: Analyst")
    governance = load(files)
    mesh.provide(governance)
    first = permission_set("Analyst", "0123456789abcdef", region)
    permission_set("AnalystOfOthers", "0123456789abcdef", region)
    begin(mesh, files)
    assert readers(mesh) == {first, READERS[1]}
    assert found(mesh) == []

    # All assignments were removed: Identity Center deletes the role, and makes another for the next one.
    delete_role(mesh, first.rpartition("/")[2])
    second = permission_set("Analyst", "fedcba9876543210", region)
    a_sweep_later(mesh)

    assert readers(mesh) == {second, READERS[1]}
    holds(mesh, governance)
    assert not [
        grant
        for grant in mesh.lake.ListPermissions(mesh.automation, MaxResults=1000)["PrincipalResourcePermissions"]
        if grant["Principal"]["DataLakePrincipalIdentifier"] == first
    ]
    delete_role(mesh, second.rpartition("/")[2])
    a_sweep_later(mesh)
    assert {(each.code, each.subject) for each in found(mesh)} == {("principal-missing", "consumer/analytics/Analyst")}
    assert readers(mesh) == {READERS[1]}


# -- names that are taken ------------------------------------------------------------------------------------------


def test_a_real_database_of_a_links_name_is_never_touched_and_the_rest_is_linked(mesh):
    wanted = Wanted("usual", ("orders", "customers"), {"analytics": ("open",)})
    governance = load(wanted.files())
    mesh.apply(wanted.files())
    theirs = mesh.client("glue", Caller(ACCOUNT, REGION, ADMINISTRATOR, ADMINISTRATOR))
    theirs.create_database(DatabaseInput={"Name": "sales_orders", "Description": "ours for years"})
    mesh.settle()
    for product in governance.data_products:
        mesh.upload(product, "first", tuple(TYPES.items()))
    mesh.settle()

    def there():
        database = theirs.get_database(Name="sales_orders")["Database"]
        return {name: database.get(name) for name in ("Description", "TargetDatabase")}

    assert not mesh.failed
    assert {table for _, table, _ in mesh.queryable()} == {"sales_customers.first"}
    (finding,) = found(mesh)
    assert finding.code == "link-name-taken" and "never touches it" in finding.mend
    assert there() == {"Description": "ours for years", "TargetDatabase": None}

    mesh.apply(Wanted("usual", ("orders", "customers"), {}).files())  # and not when the consumer leaves
    mesh.settle()
    assert there() == {"Description": "ours for years", "TargetDatabase": None}
    mesh.apply(wanted.files())
    mesh.settle()
    theirs.delete_database(Name="sales_orders")
    a_sweep_later(mesh)
    assert found(mesh) == []
    holds(mesh, governance)


# -- a whole account -----------------------------------------------------------------------------------------------


def test_a_whole_account_is_every_principal_of_it_and_ends_with_its_subscription(mesh):
    files = SUBSCRIBED.files()
    at = "consumers/analytics.yaml"
    everybody = {**files, at: files[at].replace("role: analytics-open", "whole_account: true")}
    begin(mesh, files)
    named = mesh.queryable()
    nobody = mesh.role(ACCOUNT, "InNoFile")
    elsewhere = mesh.role("444444444444", "InNoFile")

    mesh.apply(everybody)
    mesh.settle()

    def columns(principal):
        return {(table, column) for who, table, column in mesh.queryable() if who == principal}

    opened = {(table, column) for who, table, column in named if who == READERS[0]}
    assert found(mesh) == []
    assert opened and columns(nobody) == columns(READERS[0]) == opened
    assert columns(READERS[1]) == opened | {(t, c) for who, t, c in named if who == READERS[1]}
    assert columns(elsewhere) == set()
    holds(mesh, load(everybody))

    mesh.apply(files)
    mesh.settle()
    assert mesh.queryable() == named
    holds(mesh, load(files))


# -- results that are not shared -----------------------------------------------------------------------------------

OWN = [f"tagmesh-role-analytics-{name}" for name in ("open", "contacts")]


def workgroup(mesh: MeshInProcess, name: str) -> tuple[str, bool, str] | None:
    """State, whether settings are enforced, and where results go."""
    try:
        group = mesh.workgroups.GetWorkGroup(Caller(ACCOUNT, REGION, ADMINISTRATOR, ADMINISTRATOR), WorkGroup=name)
    except AwsError:
        return None
    configuration = group["WorkGroup"]["Configuration"]
    location = configuration["ResultConfiguration"]["OutputLocation"]
    return group["WorkGroup"]["State"], configuration["EnforceWorkGroupConfiguration"], location


def right(name: str) -> tuple[str, bool, str]:
    return "ENABLED", True, f"s3://tagmesh-athena-results-{ACCOUNT}-{REGION}/apart/{name}/"


def apart(files: dict[str, str]) -> dict[str, str]:
    at = "consumers/analytics.yaml"
    return {**files, at: files[at].replace("owner:", "results: apart\nowner:")}


def test_each_principal_has_a_workgroup_of_its_own_where_results_are_apart(mesh):
    begin(mesh, apart(SUBSCRIBED.files()))
    assert found(mesh) == []
    assert [workgroup(mesh, name) for name in OWN] == [right(name) for name in OWN]
    holds(mesh, load(apart(SUBSCRIBED.files())))

    # Somebody lets results go elsewhere, and deletes another: within a sweep both are as they should be.
    somebody = Caller(ACCOUNT, REGION, ADMINISTRATOR, ADMINISTRATOR)
    mesh.workgroups.UpdateWorkGroup(
        somebody, WorkGroup=OWN[0], ConfigurationUpdates={"EnforceWorkGroupConfiguration": False}
    )
    mesh.workgroups.DeleteWorkGroup(somebody, WorkGroup=OWN[1])
    a_sweep_later(mesh)
    assert [workgroup(mesh, name) for name in OWN] == [right(name) for name in OWN]


@pytest.mark.parametrize("used", [False, True], ids=["without queries", "with queries"])
@pytest.mark.parametrize("how", ["a subscription ends", "results are shared again", "the consumer leaves"])
def test_a_workgroup_that_nobody_is_to_have_is_removed_or_closed_and_comes_back(mesh, used, how):
    begin(mesh, apart(SUBSCRIBED.files()))
    mesh.workgroups.used |= {OWN[1]} if used else set()
    without = {
        "a subscription ends": apart(Wanted("usual", ("orders",), {"analytics": ("open",)}).files()),
        "results are shared again": SUBSCRIBED.files(),
        "the consumer leaves": Wanted("usual", ("orders",), {}).files(),
    }[how]

    mesh.apply(without)
    mesh.settle()

    left = ("DISABLED", *right(OWN[1])[1:]) if used else None
    assert workgroup(mesh, OWN[1]) == left
    assert workgroup(mesh, OWN[0]) == (right(OWN[0]) if how == "a subscription ends" else None)
    holds(mesh, load(without))

    mesh.apply(apart(SUBSCRIBED.files()))
    mesh.settle()
    assert [workgroup(mesh, name) for name in OWN] == [right(name) for name in OWN]


def test_a_workgroup_of_somebody_else_is_never_touched_and_the_rest_goes_on(mesh):
    mesh.apply(apart(SUBSCRIBED.files()))
    somebody = Caller(ACCOUNT, REGION, ADMINISTRATOR, ADMINISTRATOR)
    theirs = {"ResultConfiguration": {"OutputLocation": "s3://theirs/"}}
    mesh.workgroups.CreateWorkGroup(somebody, Name=OWN[0], Configuration=theirs)
    begin(mesh, apart(SUBSCRIBED.files()))

    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("workgroup-name-taken", f"{ACCOUNT}/{OWN[0]}")
    assert workgroup(mesh, OWN[0]) == ("ENABLED", True, "s3://theirs/")
    assert workgroup(mesh, OWN[1]) == right(OWN[1])
    assert readers(mesh) == {*READERS}
    mesh.apply(SUBSCRIBED.files())
    mesh.settle()
    assert workgroup(mesh, OWN[0]) == ("ENABLED", True, "s3://theirs/")
    assert found(mesh) == []


def test_a_stack_that_may_not_make_workgroups_yet_is_a_finding_and_access_is_granted(mesh):
    def older(service, operation, params, caller):
        if service == "athena":
            raise AwsError("AccessDeniedException", f"not authorized to perform: athena:{operation}", 400)

    mesh.on_call.append(older)
    begin(mesh, apart(SUBSCRIBED.files()))
    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("workgroups-not-made", ACCOUNT)
    assert f"deploy accounts/consumer.yaml in {ACCOUNT}" in finding.mend
    assert readers(mesh) == {*READERS} and not mesh.failed

    mesh.on_call.clear()
    a_sweep_later(mesh)
    assert found(mesh) == []
    assert [workgroup(mesh, name) for name in OWN] == [right(name) for name in OWN]


def test_in_the_central_account_results_are_not_apart_and_that_is_said(mesh):
    at = "consumers/analytics.yaml"
    files = apart(SUBSCRIBED.files())
    files[at] = files[at].replace(ACCOUNT, CENTRAL)
    begin(mesh, files)

    (finding,) = found(mesh)
    assert (finding.code, finding.subject) == ("workgroups-not-made", CENTRAL)
    assert readers(mesh) == {each.replace(ACCOUNT, CENTRAL) for each in READERS}
    assert mesh.counts["athena:CreateWorkGroup"] == 0
