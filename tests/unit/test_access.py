"""Why and why not: the worked rules of Lake Formation's guide, one change at a time to a mesh in which all is right.

`facts` beside each case: A (tags), B (other accounts), C (resource links) of the Lake Formation developer guide.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tagmesh import grants
from tagmesh.access import can, iam_needs
from tagmesh.access_chain import MISSING, Answer
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import Governance, Principal, load
from tagmesh.grants import IAM_ALLOWED, Grant
from tagmesh.observed import Account, Database, Link, Location, Observed, OptIn, Tagged, Who
from tagmesh.resolution import MISFIT
from tagmesh.rules import decide

CENTRAL, ACCOUNT, REGION = "555555555555", "333333333333", "eu-west-1"
ANN, BOB = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("Ann", "Bob"))
SALES, OPEN = (("domain", ("sales",)),), (("domain", ("sales",)), ("level", ("open", "inner")))
FILES = {
    "mesh.yaml": (
        "version: 1\nlf_tags:\n  domain: {values: [sales, none], default: none}\n"
        "  level: {values: [open, inner, secret, unknown], ordered: true, default: unknown}\n"
    ),
    "producers/p.yaml": (
        'producer: p\naccount: "111111111111"\ndata_products:\n'
        "  - {name: orders, location: s3://raw/orders/, tags: {domain: sales}}\n"
    ),
    "consumers/c.yaml": (
        f'consumer: c\naccount: "{ACCOUNT}"\nsubscriptions:\n'
        "  - name: some\n    tags: {domain: [sales], level: [open, inner]}\n    principals: [{role: Ann}]\n"
    ),
}
GOVERNANCE: Governance = load(FILES)


def granted(to: str, resource: grants.Resource, *permissions: str) -> Grant:
    return Grant(to, resource, frozenset(permissions))


def named(kind: str, **content: Any) -> grants.Resource:
    """A resource as ListPermissions tells it."""
    row = {
        "Principal": {"DataLakePrincipalIdentifier": "x"},
        "Resource": {kind: content},
        "Permissions": ["DESCRIBE"],
    }
    return grants.from_api(row, CENTRAL).resource


def tables(expression: Any) -> grants.Resource:
    return grants.tag_policy(CENTRAL, "TABLE", expression)


def databases(expression: Any) -> grants.Resource:
    return grants.tag_policy(CENTRAL, "DATABASE", expression)


ORDERS = Table(
    "p_orders", "orders", (Column("id"), Column("email"), Column("note")), (Column("day"),), "s3://raw/orders/orders/"
)
TAGS = AssignedTags(
    {"domain": "sales", "level": "unknown"}, {}, {"id": {"level": "open"}, "email": {"level": "secret"}}
)
LINK = grants.database(ACCOUNT, "p_orders")


def right(**changes: Any) -> Observed:
    """A mesh in which Ann reads the column id, and the partition key day with it; with some things otherwise."""
    to_account = (granted(ACCOUNT, tables(OPEN), "SELECT", "DESCRIBE"), granted(ACCOUNT, databases(SALES), "DESCRIBE"))
    to_ann = (granted(ANN, tables(OPEN), "SELECT", "DESCRIBE"), granted(ANN, databases(SALES), "DESCRIBE"))
    home = Account(CENTRAL, grants=changes.pop("grants", to_account), workgroups=("primary",))
    there = Account(
        ACCOUNT,
        links=changes.pop("links", (Link("p_orders", CENTRAL, "p_orders"),)),
        grants=changes.pop("own", (granted(ANN, LINK, "DESCRIBE"),)),
        regrants=changes.pop("regrants", to_ann),
        administrators=changes.pop("administrators", frozenset()),
        workgroups=("tagmesh", "primary"),
        problem=changes.pop("problem", ""),
    )
    tagged = Tagged(ORDERS, changes.pop("tags", TAGS))
    seen = Observed(
        central=CENTRAL,
        region=REGION,
        governance=changes.pop("governance", GOVERNANCE),
        databases={"p_orders": Database(tagged.tags.database, "s3://raw/orders/", {"orders": ORDERS.location})},
        tables={("p_orders", "orders"): tagged},
        accounts={CENTRAL: home, ACCOUNT: there},
        shares=changes.pop("shares", dict.fromkeys([(ACCOUNT, "table"), (ACCOUNT, "database")], "ASSOCIATED")),
        locations=changes.pop("locations", {"raw/orders": Location("arn:aws:iam::555555555555:role/r")}),
        buckets={"raw": "111111111111"},
    )
    lacking = changes.pop("lacking", ())
    seen = replace(seen, **changes)
    allowed = {}
    for arn in (ANN, BOB):
        needs, groups = iam_needs(seen, arn, "p_orders", "orders")
        of_arn = dict.fromkeys((*needs, *(each for group in groups for each in group)), True)
        allowed[arn] = of_arn | {need: False for need in of_arn if need[0] in lacking or need in lacking}
    return replace(seen, allowed=allowed)


def asked(seen: Observed, column: str = "id", arn: str | None = ANN) -> Answer:
    who = Who("c/Ann", ACCOUNT, arn, (Principal("role", "Ann"),))
    return can(seen, who, "p_orders", "orders", column)


def first(answer: Answer) -> str:
    return next((link.name for link in answer.chain if link.state == MISSING), "")


def test_where_all_is_right_the_open_column_and_the_partition_key_are_read_and_the_others_not():
    readable = {column: asked(right(), column).readable for column in ("id", "email", "note", "day")}

    assert readable == {"id": True, "email": False, "note": False, "day": True}
    assert first(asked(right(), "email")) == first(asked(right(), "note")) == "tags"


@pytest.mark.parametrize(
    ("tags", "readable"),
    [
        pytest.param({"database": {"domain": "sales", "level": "open"}}, {"id", "email", "note"}, id="A inherited"),
        pytest.param({"table": {"level": "open"}}, {"id", "email", "note"}, id="A the table overrides its database"),
        pytest.param({"columns": {"note": {"level": "inner"}}}, {"note"}, id="A the column overrides its table"),
        pytest.param({"database": {"level": "open"}}, set(), id="A a key that is missing does not match"),
        pytest.param({"columns": {"id": {"level": "open", "domain": "none"}}}, set(), id="A keys are ANDed"),
        pytest.param({"columns": {"id": {"level": "inner"}, "email": {"level": "open"}}}, {"id", "email"}, id="A ORed"),
        pytest.param({"columns": {"day": {"level": "open"}}}, set(), id="A a key alone opens no column"),
        pytest.param({"columns": {"day": {"level": "secret"}, "id": {"level": "open"}}}, {"id"}, id="A keys go along"),
    ],
)
def test_tags_are_inherited_and_overridden(tags: dict[str, Any], readable: set[str]):
    carried = AssignedTags(**({"database": {"domain": "sales", "level": "unknown"}} | tags))
    found = {column for column in ("id", "email", "note") if asked(right(tags=carried), column).readable}

    assert found == readable
    assert asked(right(tags=carried), "day").readable == bool(readable or "day" in tags.get("columns", {}))


ON_TABLE = {"CatalogId": CENTRAL, "DatabaseName": "p_orders", "Name": "orders"}
EVERY_TABLE = {"CatalogId": CENTRAL, "DatabaseName": "p_orders", "Name": "ALL_TABLES"}


@pytest.mark.parametrize(
    ("resource", "permissions", "columns"),
    [
        pytest.param(tables(OPEN), ["SELECT"], {"id", "day"}, id="A a policy that matches some columns selects those"),
        pytest.param(tables(OPEN), ["ALL"], {"id", "day"}, id="A ALL on some columns is SELECT on those"),
        pytest.param(tables(OPEN), ["DESCRIBE", "INSERT", "DROP"], set(), id="A other permissions read nothing"),
        pytest.param(databases(SALES), ["ALL"], set(), id="A a DATABASE policy gives nothing on tables"),
        pytest.param(tables([("level", ["*"])]), ["SELECT"], {"id", "email", "note", "day"}, id="A * is any value"),
        pytest.param(tables([("owner", ["*"])]), ["SELECT"], set(), id="A * of a key that nothing has"),
        pytest.param(named("Table", **ON_TABLE), ["SELECT"], {"id", "email", "note", "day"}, id="A a named table"),
        pytest.param(named("Table", **ON_TABLE), ["DESCRIBE"], set(), id="A DESCRIBE is not SELECT"),
        pytest.param(
            named("TableWithColumns", **ON_TABLE, ColumnNames=["email"]),
            ["SELECT"],
            {"email", "day"},
            id="A named columns, and the partition keys with them",
        ),
        pytest.param(
            named("TableWithColumns", **ON_TABLE, ColumnWildcard={"ExcludedColumnNames": ["id", "note"]}),
            ["SELECT"],
            {"email", "day"},
            id="A all but some columns",
        ),
        pytest.param(
            named("TableWithColumns", **ON_TABLE, ColumnWildcard={}),
            ["SELECT"],
            {"id", "email", "note", "day"},
            id="A all columns",
        ),
        pytest.param(
            named("TableWithColumns", **EVERY_TABLE, ColumnWildcard={}),
            ["SELECT"],
            {"id", "email", "note", "day"},
            id="A all tables",
        ),
        pytest.param(
            named("Table", **{**ON_TABLE, "DatabaseName": "other"}), ["ALL"], set(), id="A another database's table"
        ),
    ],
)
@pytest.mark.parametrize("where", ["account and principal", "principal itself", "all of the account", "at home"])
def test_a_grant_opens_these_columns(resource: grants.Resource, permissions: list[str], columns: set[str], where: str):
    shown = granted(ACCOUNT, databases(SALES), "DESCRIBE"), granted(ANN, databases(SALES), "DESCRIBE")
    if where == "account and principal":
        seen = right(
            grants=(granted(ACCOUNT, resource, *permissions), shown[0]),
            regrants=(granted(ANN, resource, *permissions), shown[1]),
        )
    elif where == "principal itself":
        shares = dict.fromkeys([(ANN, "table"), (ACCOUNT, "database")], "ASSOCIATED")
        seen = right(grants=(granted(ANN, resource, *permissions), shown[0]), regrants=shown[1:], shares=shares)
    elif where == "all of the account":
        group = f"{ACCOUNT}:IAMPrincipals"
        seen = right(grants=(granted(group, resource, *permissions), shown[0]), regrants=shown[1:])
    else:
        home = f"arn:aws:iam::{CENTRAL}:role/Cid"
        seen = right(grants=(granted(home, resource, *permissions),))
        seen = replace(seen, allowed={home: _enough(seen, home)})
        who = Who("home/Cid", CENTRAL, home)
        found = {c for c in ("id", "email", "note", "day") if can(seen, who, "p_orders", "orders", c).readable}
        assert found == columns
        return

    assert {column for column in ("id", "email", "note", "day") if asked(seen, column).readable} == columns


def _enough(seen: Observed, arn: str) -> dict[tuple[str, str], bool]:
    needs, groups = iam_needs(seen, arn, "p_orders", "orders")
    return dict.fromkeys([*needs, *(each for group in groups for each in group)], True)


def test_who_is_of_an_account_that_is_subscribed_whole_reads_by_that_subscription():
    files = FILES | {"consumers/c.yaml": FILES["consumers/c.yaml"].replace("role: Ann", "whole_account: true")}
    group = f"{ACCOUNT}:IAMPrincipals"
    to_all = (granted(group, tables(OPEN), "SELECT", "DESCRIBE"), granted(group, databases(SALES), "DESCRIBE"))
    seen = right(governance=load(files), regrants=to_all, own=(granted(group, LINK, "DESCRIBE"),))

    answer = asked(seen)

    assert answer.readable
    assert next(link for link in answer.chain if link.name == "subscription").state == "ok"
    assert "c/some" in next(link.seen for link in answer.chain if link.name == "subscription")
    assert not asked(seen, "email").readable


OTHER = (("domain", ("sales",)), ("level", ("secret",)))
GROUP = f"{ACCOUNT}:IAMPrincipals"
DIRECT = dict.fromkeys([(ANN, "table"), (ANN, "database")], "ASSOCIATED")
SHOWN = granted(ACCOUNT, databases(SALES), "DESCRIBE")
READS = granted(ACCOUNT, tables(OPEN), "SELECT", "DESCRIBE")
ANN_SHOWN, ANN_READS = granted(ANN, databases(SALES), "DESCRIBE"), granted(ANN, tables(OPEN), "SELECT")
DATA_ACCESS = ("lakeformation:GetDataAccess", "*")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        pytest.param({"grants": (SHOWN,)}, "account_grant", id="B the account is granted nothing"),
        pytest.param({"grants": (SHOWN,), "version": 2}, "account_grant", id="B the version is too low"),
        pytest.param({"regrants": (ANN_SHOWN,)}, "regrant", id="B what an account has its principals do not have"),
        pytest.param(
            {"regrants": (ANN_SHOWN, granted(BOB, tables(OPEN), "SELECT"))}, "regrant", id="B another one's regrant"
        ),
        pytest.param(
            {"grants": (SHOWN, granted(ACCOUNT, tables(OTHER), "SELECT"))},
            "account_grant",
            id="B a regrant gives no more than the account was granted",
        ),
        pytest.param({"shares": {}}, "share", id="B no share"),
        pytest.param(
            {"shares": {(ACCOUNT, "table"): "ASSOCIATING", (ACCOUNT, "database"): "ASSOCIATED"}},
            "share",
            id="B an invitation that waits",
        ),
        pytest.param({"shares": {(ACCOUNT, "table"): "ASSOCIATED"}}, "database", id="B the share of databases alone"),
        pytest.param({"grants": (READS,)}, "database", id="B the account sees no database"),
        pytest.param({"regrants": (ANN_READS,)}, "database", id="B the principal sees no database"),
        pytest.param({"administrators": frozenset({ANN}), "regrants": (ANN_READS,)}, "", id="A an administrator sees"),
        pytest.param(
            {"administrators": frozenset({ANN}), "regrants": ()}, "regrant", id="A an administrator is no reader"
        ),
        pytest.param(
            {
                "grants": (
                    READS,
                    SHOWN,
                    granted(IAM_ALLOWED, named("Database", CatalogId=CENTRAL, Name="p_orders"), "ALL"),
                )
            },
            "iam_allowed_principals",
            id="A IAMAllowedPrincipals on the database",
        ),
        pytest.param(
            {"grants": (READS, SHOWN, granted(IAM_ALLOWED, named("Table", **ON_TABLE), "ALL"))},
            "iam_allowed_principals",
            id="A IAMAllowedPrincipals on the table",
        ),
        pytest.param({"links": ()}, "resource_link", id="C no link"),
        pytest.param({"links": (Link("p_orders"),)}, "resource_link", id="C the name is taken by a database"),
        pytest.param(
            {"links": (Link("p_orders", CENTRAL, "elsewhere"),)}, "resource_link", id="C the link leads elsewhere"
        ),
        pytest.param({"own": ()}, "link_describe", id="C no DESCRIBE on the link"),
        pytest.param({"own": (granted(ANN, LINK, "DROP"),)}, "", id="A any permission implies DESCRIBE"),
        pytest.param({"own": (granted(GROUP, LINK, "DESCRIBE"),)}, "", id="B to all of the account's principals"),
        pytest.param({"own": (granted(IAM_ALLOWED, LINK, "ALL"),)}, "", id="C a link that IAM alone decides about"),
        pytest.param(
            {
                "links": (Link("mine", CENTRAL, "p_orders"), Link("p_orders", CENTRAL, "p_orders")),
                "own": (granted(ANN, grants.database(ACCOUNT, "mine"), "DESCRIBE"),),
            },
            "",
            id="C a link of another name",
        ),
        pytest.param(
            {"links": (Link("p_orders", CENTRAL, "p_orders"), Link("default"))}, "default_database", id="no `default`"
        ),
        pytest.param(
            {
                "links": (Link("p_orders", CENTRAL, "p_orders"), Link("default")),
                "own": (granted(ANN, LINK, "DESCRIBE"), granted(ANN, grants.database(ACCOUNT, "default"), "DESCRIBE")),
            },
            "",
            id="`default` is seen",
        ),
        pytest.param({"lacking": ("lakeformation:GetDataAccess",)}, "iam", id="A no GetDataAccess"),
        pytest.param({"lacking": ("glue:GetTable",)}, "iam", id="B no glue:GetTable"),
        pytest.param({"lacking": ("glue:GetPartitions",)}, "iam", id="no glue:GetPartitions on a partitioned table"),
        pytest.param({"lacking": ("athena:GetQueryResults",)}, "iam", id="no Athena"),
        pytest.param(
            {"lacking": [("athena:StartQueryExecution", f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/tagmesh")]},
            "",
            id="Athena in another workgroup",
        ),
        pytest.param({"locations": {}}, "location", id="A the location is not registered"),
        pytest.param({"locations": {"raw/orders/orders2": Location("r")}}, "location", id="A a path is no beginning"),
        pytest.param({"locations": {"raw": Location("r", hybrid=True)}}, "location", id="A hybrid, not opted in"),
        pytest.param(
            {
                "locations": {"raw": Location("r", hybrid=True)},
                "opt_ins": frozenset({OptIn(ANN, "p_orders", "orders")}),
            },
            "",
            id="A hybrid, opted in",
        ),
        pytest.param(
            {
                "grants": (READS, SHOWN, granted(IAM_ALLOWED, named("Table", **ON_TABLE), "ALL")),
                "locations": {"raw": Location("r", hybrid=True)},
                "opt_ins": frozenset({OptIn(ACCOUNT, "p_orders", "*"), OptIn(ACCOUNT, "p_orders")}),
            },
            "",
            id="A IAMAllowedPrincipals, hybrid, all tables and the database opted in",
        ),
        pytest.param(
            {
                "grants": (READS, SHOWN, granted(IAM_ALLOWED, named("Table", **ON_TABLE), "ALL")),
                "locations": {"raw": Location("r", hybrid=True)},
                "opt_ins": frozenset({OptIn(ACCOUNT, "p_orders", "*")}),
            },
            "iam_allowed_principals",
            id="A all tables opted in without their database",
        ),
        pytest.param(
            {"grants": (granted(ANN, databases(SALES), "DESCRIBE"), ANN_READS), "regrants": (), "shares": DIRECT},
            "",
            id="B a grant to the principal itself needs no regrant",
        ),
        pytest.param({"void": frozenset({"level"})}, "account_grant", id="A an LF-Tag that was deleted"),
        pytest.param({"problem": "its role cannot be assumed", "links": (), "regrants": ()}, "regrant", id="not seen"),
    ],
)
def test_the_first_missing_link(changes: dict[str, Any], missing: str):
    answer = asked(right(**changes))

    assert (answer.readable, first(answer)) == (not missing, missing)
    assert answer.reason
    assert all(link.mend for link in answer.chain if link.state == MISSING)


def test_who_is_not_there_reads_nothing_and_that_comes_first():
    answer = asked(right(), arn=None)

    assert (answer.readable, first(answer)) == (False, "principal")
    assert "no principal c/Ann" in answer.reason


def test_whom_no_file_names_reads_nothing_for_want_of_a_subscription():
    answer = can(right(), Who("c/Bob", ACCOUNT, BOB, (Principal("role", "Bob"),)), "p_orders", "orders", "id")

    assert (answer.readable, first(answer)) == (False, "subscription")
    assert "consumers/c.yaml" in answer.reason


def test_who_is_not_there_and_is_called_almost_as_somebody_named_is_asked_whether_that_one_is_meant():
    told = can(right(), Who("c/Anne", ACCOUNT, None, (Principal("role", "Anne"),)), "p_orders", "orders", "id")

    assert (told.readable, "is Ann meant?" in told.reason) == (False, True), told.reason


def test_the_reason_of_a_closed_column_says_why_it_is_closed():
    product = GOVERNANCE.data_products[0]
    by_rules = {("p_orders", "orders"): decide(GOVERNANCE, product, ORDERS)}
    reason = asked(right(decisions=by_rules), "note").reason
    assert "has level=unknown, the default, since no rule speaks about its level; c/some reaches only" in reason
    assert "tagmesh explain p_orders.orders.note" in reason

    shut = {("p_orders", "orders"): decide(GOVERNANCE, product, ORDERS, closed=MISFIT)}
    assert MISFIT in asked(right(decisions=shut, tags=replace(TAGS, columns={})), "id").reason

    loosened = asked(right(decisions=by_rules, tags=replace(TAGS, columns={"note": {"level": "secret"}})), "note")
    assert "it should be unknown, which the next run assigns" in loosened.reason


def test_what_others_have_granted_is_read_all_the_same_and_said_so():
    by_name = granted(BOB, named("Table", **ON_TABLE), "SELECT")
    shown = granted(BOB, databases(SALES), "DESCRIBE")
    seen = right(
        grants=(SHOWN, granted(ACCOUNT, named("Table", **ON_TABLE), "SELECT")),
        regrants=(by_name, shown),
        own=(granted(BOB, LINK, "DESCRIBE"),),
    )
    answer = can(seen, Who("c/Bob", ACCOUNT, BOB, (Principal("role", "Bob"),)), "p_orders", "orders", "email")

    assert answer.readable
    assert {link.name: link.state for link in answer.chain}["subscription"] == "bypassed"
    assert "by no governance file" in answer.reason
    assert "SELECT on p_orders.orders by name" in answer.reason


def test_a_subscription_that_waits_for_approval_or_has_expired_is_said_so():
    waiting = dict(FILES)
    waiting["mesh.yaml"] = waiting["mesh.yaml"].replace("secret", "{value: secret, approval: required}")
    waiting["consumers/c.yaml"] += "  - name: all\n    tags: {domain: [sales]}\n    principals: [{role: Ann}]\n"
    answer = asked(right(governance=_in_force(waiting)), "email")
    assert (answer.readable, first(answer)) == (False, "approval")
    assert "c/all reaches it, and waits for approval of level=secret" in answer.reason
    assert "tagmesh approve c/all" in answer.reason
    assert asked(right(governance=_in_force(waiting))).readable

    (withheld,) = _in_force(waiting).withheld
    denied = {withheld.key: "denied by bo on 2026-11-28 07:00 UTC: not needed"}
    answer = asked(right(governance=_in_force(waiting), denied=denied), "email")
    assert "c/all reaches it, and was denied by bo on 2026-11-28 07:00 UTC: not needed" in answer.reason

    gone = dict(FILES)
    gone["consumers/c.yaml"] = gone["consumers/c.yaml"].replace(
        "- name: some\n", "- name: some\n    expires: 2020-01-01\n"
    )
    answer = asked(right(governance=_in_force(gone), regrants=()))
    assert (answer.readable, first(answer)) == (False, "approval")
    assert "has expired on 2020-01-01" in answer.reason


def test_an_approval_is_not_asked_for_where_it_would_let_nobody_read():
    waiting = dict(FILES)
    waiting["mesh.yaml"] = waiting["mesh.yaml"].replace("secret", "{value: secret, approval: required}")
    seen = "  - name: all\n    permissions: [DESCRIBE]\n    tags: {domain: [sales]}\n    principals: [{role: Ann}]\n"
    waiting["consumers/c.yaml"] += seen
    answer = asked(right(governance=_in_force(waiting)), "email")
    assert first(answer) == "tags" and "approve" not in answer.reason

    alone = {**waiting, "consumers/c.yaml": f'consumer: c\naccount: "{ACCOUNT}"\nsubscriptions:\n' + seen}
    answer = asked(right(governance=_in_force(alone), regrants=()), "email")
    assert first(answer) == "subscription" and "c/all names c/Ann without SELECT" in answer.reason


def _in_force(files: dict[str, str]) -> Governance:
    from tagmesh import approvals

    loaded = load(files)
    return approvals.in_force(loaded, (), approvals.expired(loaded, "2026-11-28"))


def test_the_reason_of_a_reader_names_tags_grants_share_link_and_location():
    reason = asked(right()).reason

    for part in (
        "level=open",
        "c/some",
        f"granted to {ACCOUNT}",
        "share of tables",
        f"granted to {ANN}",
        "p_orders leads",
    ):
        assert part in reason
    assert "raw/orders is registered" in reason


def test_what_iam_allows_that_could_not_be_asked_is_said_and_taken_to_be_enough():
    answer = asked(replace(right(), allowed={}))

    assert answer.readable
    assert "could not be looked at" in answer.reason
    assert {link.name: link.state for link in answer.chain}["iam"] == "unknown"


def test_as_json_it_has_exactly_what_the_command_promises():
    told = asked(right(own=())).as_json()

    assert list(told) == ["readable", "reason", "chain"]
    assert {"link", "state", "account", "seen", "mend"} == set(told["chain"][0])
