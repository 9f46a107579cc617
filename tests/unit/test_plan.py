"""Plans: they end where the files say, nobody sees anything on the way, and a second one is empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain, combinations, product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tagmesh.catalog import AssignedTags
from tagmesh.expressions import matches
from tagmesh.governance import Consumer, DataProduct, Governance, LFTagKey, Principal, Producer, Subscription
from tagmesh.grants import Grant, Revoke, database, diff, from_api, lf_tag, tag_policy, to_api
from tagmesh.plan import (
    AssignTags,
    CreateLink,
    DeleteLink,
    Link,
    mark_of_decision,
    mark_of_tags,
    plan_account_grants,
    plan_database_tags,
    plan_principal_grants,
    plan_tags,
)
from tagmesh.resolution import Decision, TableDecision

DOMAIN = LFTagKey("domain", ("sales", "hr", "unassigned"), "unassigned")
SENSITIVITY = LFTagKey("sensitivity", ("public", "restricted", "unclassified"), "unclassified", True)
PII = LFTagKey("pii", ("none", "contact", "unknown"), "unknown")
KEYS = (DOMAIN, SENSITIVITY, PII)
ORDERS = DataProduct("sales", "orders", "111111111111", "bucket", "orders/", (("domain", "sales"),))
HR = DataProduct("hr", "people", "222222222222", "bucket2", "", (("domain", "hr"),))
MESH = Governance(KEYS, (Producer("sales", "1", None, False, (ORDERS,)), Producer("hr", "2", None, False, (HR,))),
                  (), (), (), "digest")  # fmt: skip
DEFAULTS = {key.name: key.default for key in KEYS}
DATABASE = DEFAULTS | {"domain": "sales"}

# ---- Tags --------------------------------------------------------------------------------------------------------

Place = tuple[str | None, str | None]  # (None, None) the database, ("t", None) a table, ("t", "c") a column
State = dict[Place, dict[str, str]]  # assigned tags


def effective(state: State, table: str | None, column: str | None) -> dict[str, str]:
    levels = [(None, None), (table, None), (table, column)]
    return {key: value for level in levels for key, value in state.get(level, {}).items()}


def decisions_of(final: Mapping[Place, Mapping[str, str]]) -> list[TableDecision]:
    tables: dict[str, dict[str, dict[str, Decision]]] = {}
    for (table, column), tags in final.items():
        assert table is not None
        assert column is not None
        tables.setdefault(table, {})[column] = {key: Decision(value, "raised", "") for key, value in tags.items()}
    return [TableDecision(ORDERS.database, table, columns) for table, columns in tables.items()]


def plan(state: State, final: Mapping[Place, Mapping[str, str]], as_effective: bool = True) -> list[AssignTags]:
    """The plan for what Lake Formation would answer: effective tags, or only the assigned ones."""
    decisions = decisions_of(final)
    observed = {}
    for decision in decisions:
        columns = {
            column: effective(state, decision.table, column)
            if as_effective
            else state.get((decision.table, column), {})
            for column in decision.columns
        }
        table = effective(state, decision.table, None) if as_effective else state.get((decision.table, None), {})
        observed[decision.table] = AssignedTags(state.get((None, None), {}), table, columns)
    return plan_tags(MESH, ORDERS, state.get((None, None), {}), observed, decisions)


def applied(state: State, call: AssignTags, tags: Mapping[str, str] | None = None) -> State:
    """The state after a call, or after the part of it that assigned only some of its tags."""
    after = {place: dict(assigned) for place, assigned in state.items()}
    for place in [(call.table, column) for column in call.columns] or [(call.table, None)]:
        after.setdefault(place, {}).update(call.tags if tags is None else tags)
    return after


def parts(call: AssignTags) -> Iterator[dict[str, str]]:
    """Every subset of a call's tags: what a partly failed call has done."""
    tags = list(call.tags.items())
    yield from map(dict, chain.from_iterable(combinations(tags, size) for size in range(len(tags) + 1)))


def new_table(*columns: str, table: str = "t") -> State:
    return {(None, None): dict(DATABASE)} | {(table, column): {} for column in columns}


def decided(**columns: tuple[str, str]) -> dict[Place, dict[str, str]]:
    return {("t", column): {"sensitivity": s, "pii": p} for column, (s, p) in columns.items()}


def test_a_new_table_takes_one_call_for_each_set_of_tags():
    columns = [f"c{i}" for i in range(50)]
    sets = [("public", "none"), ("restricted", "contact"), ("public", "contact"), ("restricted", "none")]
    final = decided(**{column: sets[i % 4] for i, column in enumerate(columns)})
    calls = plan(new_table(*columns), final)

    assert len(calls) == 4
    assert sorted(len(call.columns) for call in calls) == [12, 12, 13, 13]
    assert all(call.loosens for call in calls)


def test_columns_that_stay_at_the_default_need_no_call():
    final = decided(a=("public", "none"), b=("unclassified", "unknown"), c=("unclassified", "contact"))

    assert [(call.columns, dict(call.tags)) for call in plan(new_table("a", "b", "c"), final)] == [
        (("c",), {"pii": "contact"}),
        (("a",), {"pii": "none", "sensitivity": "public"}),
    ]


def test_a_new_database_is_closed_before_the_crawl_and_opened_last():
    assert [dict(call.tags) for call in plan_database_tags(MESH, ORDERS, {})] == [DEFAULTS]
    assert plan_database_tags(MESH, ORDERS, DEFAULTS) == []
    assert plan_database_tags(MESH, ORDERS, DATABASE) == []
    assert [dict(call.tags) for call in plan_database_tags(MESH, ORDERS, DATABASE | {"pii": "none"})] == [
        {"pii": "unknown"}
    ]

    calls = plan({(None, None): DEFAULTS}, decided(a=("public", "none")))
    assert [(call.table, call.columns, dict(call.tags), call.loosens) for call in calls] == [
        ("t", ("a",), {"pii": "none", "sensitivity": "public"}, False),
        (None, (), {"domain": "sales"}, True),
    ]


def test_what_closes_comes_before_what_opens_over_all_tables():
    state = {(None, None): dict(DATABASE), ("t", "a"): {"sensitivity": "public", "pii": "none"}}
    final = decided(a=("unclassified", "none")) | {("s", "b"): {"sensitivity": "public", "pii": "none"}}

    assert [(call.table, call.loosens) for call in plan(state, final)] == [("t", False), ("s", True)]


def test_two_keys_that_move_at_once_go_by_way_of_a_default():
    state = {(None, None): dict(DATABASE), ("t", "a"): {"sensitivity": "public", "pii": "contact"}}

    assert [dict(call.tags) for call in plan(state, decided(a=("restricted", "none")))] == [
        {"sensitivity": "unclassified"},
        {"pii": "none"},
        {"sensitivity": "restricted"},
    ]


def test_one_key_that_moves_takes_one_call():
    state = {(None, None): dict(DATABASE), ("t", "a"): {"sensitivity": "public", "pii": "contact"}}

    (call,) = plan(state, decided(a=("restricted", "contact")))
    assert (dict(call.tags), call.loosens) == ({"sensitivity": "restricted"}, True)


def test_a_permissive_value_on_a_table_is_closed_there_so_that_new_columns_are():
    state = {(None, None): dict(DATABASE), ("t", None): {"sensitivity": "public", "pii": "none"}}
    final = decided(a=("public", "none"))
    for call in plan(state, final):
        state = applied(state, call)

    assert effective(state, "t", "a") == {"domain": "sales", "sensitivity": "public", "pii": "none"}
    assert effective(state, "t", "crawled tomorrow") == DATABASE


def test_tags_that_are_not_ours_are_left_alone():
    state = {(None, None): DATABASE | {"team": "x"}, ("t", "a"): {"team": "y", "sensitivity": "public", "pii": "none"}}

    assert plan(state, decided(a=("public", "none"))) == []


def test_a_call_takes_at_most_a_thousand_columns():
    columns = [f"c{i:04}" for i in range(2500)]
    calls = plan(new_table(*columns), decided(**dict.fromkeys(columns, ("public", "none"))))

    assert [len(call.columns) for call in calls] == [1000, 1000, 500]
    assert sorted(chain.from_iterable(call.columns for call in calls)) == columns


def test_a_plan_says_which_rules_gave_the_tags():
    from tagmesh.resolution import Match

    match = Match("contact.email", "raise", "contact", "", ())
    decision = {"pii": Decision("contact", "raised", "", (match,)), "sensitivity": Decision("public", "raised", "")}
    (call,) = plan_tags(MESH, ORDERS, DATABASE, {}, [TableDecision(ORDERS.database, "t", {"a": decision})])

    assert "contact.email" in call.why


values = {key.name: st.sampled_from(key.values) for key in KEYS}
some_tags = st.fixed_dictionaries({}, optional=values)
final_tags = st.fixed_dictionaries({name: values[name] for name in ("sensitivity", "pii")})
columns_drawn = st.lists(st.sampled_from([("s", "a"), ("s", "b"), ("t", "a"), ("t", "b")]), min_size=1, unique=True)
EXPRESSIONS = [
    tuple(zip([key.name for key in KEYS], sets, strict=True))
    for sets in product(*([(key.values[0],), (key.values[1],), key.values[:2]] for key in KEYS))
]


@st.composite
def states(draw: st.DrawFn, by_hand: bool) -> tuple[State, dict[Place, dict[str, str]]]:
    """A state and what it is to become. ``by_hand``: tables and the database may carry anything."""
    places = draw(columns_drawn)
    state: State = {(None, None): draw(some_tags) if by_hand else draw(st.sampled_from([DATABASE, DEFAULTS, {}]))}
    for table in {table for table, _ in places} if by_hand else ():
        state[table, None] = draw(some_tags)
    for place in places:
        state[place] = draw(some_tags)
    return state, {place: draw(final_tags) for place in places}


def readers(tags: Mapping[str, str]) -> frozenset[int]:
    """Which of all expressions match."""
    return _readers(tuple(sorted(tags.items())))


@cache
def _readers(tags: tuple[tuple[str, str], ...]) -> frozenset[int]:
    return frozenset(i for i, expression in enumerate(EXPRESSIONS) if matches(dict(tags), expression))


@settings(max_examples=120, deadline=None)
@given(st.booleans(), st.booleans(), st.data())
def test_a_table_has_the_mark_of_its_decision_exactly_if_there_is_nothing_to_do(by_hand, as_effective, data):
    state, final = data.draw(states(by_hand))
    for settled in (False, True):
        for decision in decisions_of(final):
            own = {place: tags for place, tags in final.items() if place[0] == decision.table}
            columns = {place[1]: effective(state, *place) if as_effective else state.get(place, {}) for place in own}
            table = effective(state, decision.table, None) if as_effective else state.get((decision.table, None), {})
            observed = AssignedTags(state.get((None, None), {}), table, columns)
            same = mark_of_tags(MESH, observed) == mark_of_decision(MESH, ORDERS, decision)
            assert same == (not plan(state, own, as_effective))
            event(f"{'settled' if settled else 'drawn'}: {same}")
        while calls := plan(state, final, as_effective):
            for call in calls:
                state = applied(state, call)


@given(st.booleans(), st.booleans(), st.data())
def test_no_expression_ever_reads_on_the_way_what_the_end_denies_it(by_hand: bool, as_effective: bool, data):
    """Brute force: every expression, after every call and after every part of every call."""
    state, final = data.draw(states(by_hand))
    allowed = {place: readers({"domain": "sales", **tags}) for place, tags in final.items()}
    hidden = any("domain" in tags for (table, _), tags in state.items() if table)
    runs = 0
    while calls := plan(state, final, as_effective):
        runs += 1
        started = {place: effective(state, *place) for place in final}
        opening = False
        for call in calls:
            opening = opening or call.why.startswith(("opened", "the data product"))
            if opening:  # everything that closes has happened
                for place in final:
                    assert readers(effective(state, *place)) <= allowed[place], (place, call)
            for part in parts(call):
                between = applied(state, call, part)
                for place in final:
                    tags = effective(between, *place)
                    if tags != started[place]:
                        assert readers(tags) <= allowed[place], (place, tags, call)
                    if not call.loosens:
                        assert readers(tags) <= readers(effective(state, *place)), "it said that it loosens nothing"
            state = applied(state, call)
        for place in final:
            assert readers(effective(state, *place)) <= allowed[place]
        # A default assigned by hand below one that is inherited shows a run later: at most on table, then column.
        assert runs <= (3 if hidden else 1)
    event(f"{runs} runs")

    for place, tags in final.items():
        assert effective(state, *place) == {"domain": "sales", **tags}
        assert effective(state, place[0], "crawled tomorrow") == DATABASE


# ---- Grants ------------------------------------------------------------------------------------------------------

CENTRAL, ACCOUNT = "555555555555", "333333333333"
ANALYST, ENGINEER = Principal("role", "Analyst"), Principal("permission_set", "Engineer")
ANALYST_ARN, ENGINEER_ARN = (
    f"arn:aws:iam::{ACCOUNT}:role/Analyst",
    f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/x_Engineer",
)
SELECT, DESCRIBE = frozenset({"SELECT", "DESCRIBE"}), frozenset({"DESCRIBE"})


def subscription(name: str, domain: str, sensitivities: Iterable[str], *principals: Principal) -> Subscription:
    expression = (("domain", (domain,)), ("sensitivity", tuple(sensitivities)), ("pii", ("none", "contact")))
    return Subscription(name, (), ("DESCRIBE", "SELECT"), principals, expression, expression[:1])


PUBLIC = subscription("public", "sales", ["public"], ANALYST, ENGINEER)
PEOPLE = subscription("people", "hr", ["public"], ANALYST)
ANALYTICS = Consumer("analytics", ACCOUNT, None, False, (PEOPLE, PUBLIC))


UNIT = "arn:aws:organizations::555555555555:ou/o-example1234/ou-exam-readers12"


def mesh_of(*consumers: Consumer) -> Governance:
    return replace(MESH, consumers=consumers)


def by_value(change: Grant | Revoke) -> list[Grant | Revoke]:
    """The values of an LF-Tag each by itself."""
    if change.resource.kind != "LFTag":
        return [change]
    content = change.resource.content
    key, catalog = content["TagKey"], content["CatalogId"]
    return [replace(change, resource=lf_tag(catalog, key, [value])) for value in content["TagValues"]]


def after(changes: Iterable[Grant | Revoke | CreateLink | DeleteLink], held: Iterable[Grant] = ()) -> list[Grant]:
    """What is granted after the changes, as Lake Formation adds up and takes away."""
    grants = {(grant.principal, grant.resource): grant for whole in held for grant in by_value(whole)}
    changed = [change for change in changes if isinstance(change, Grant | Revoke)]
    for change in chain.from_iterable(map(by_value, changed)):
        place = (change.principal, change.resource)
        old = grants.get(place, Grant(*place, frozenset()))
        if isinstance(change, Grant):
            new = Grant(*place, old.permissions | change.permissions, old.grantable | change.grantable)
        else:
            assert change.permissions <= old.permissions, "only what is granted can be revoked"
            new = Grant(*place, old.permissions - change.permissions, old.grantable - change.grantable)
        grants[place] = new
    return [grant for grant in grants.values() if grant.permissions]


def test_a_consumers_account_gets_both_policies_with_grant_option_and_sees_the_tags():
    changes = plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [], [])

    assert all(isinstance(change, Grant) and change.principal == ACCOUNT for change in changes)
    granted = {change.resource: (change.permissions, change.grantable) for change in changes}
    assert granted[tag_policy(CENTRAL, "TABLE", PUBLIC.table_expression)] == (SELECT, SELECT)
    assert granted[tag_policy(CENTRAL, "DATABASE", PUBLIC.database_expression)] == (DESCRIBE, DESCRIBE)
    assert granted[lf_tag(CENTRAL, "domain", ["hr", "sales"])] == (DESCRIBE, DESCRIBE)
    assert granted[lf_tag(CENTRAL, "pii", ["contact", "none"])] == (DESCRIBE, DESCRIBE)
    kinds = [change.resource.kind for change in changes]
    assert kinds == sorted(kinds), "LF-Tags before the policies that name them"


def test_what_is_granted_needs_nothing_and_what_is_gone_from_the_files_is_revoked_first():
    governance = mesh_of(ANALYTICS)
    held = after(plan_account_grants(governance, [ACCOUNT], CENTRAL, [], []))
    assert plan_account_grants(governance, [ACCOUNT], CENTRAL, held, held) == []

    wider = subscription("public", "sales", ["public", "restricted"], ANALYST)
    changed = replace(ANALYTICS, subscriptions=(wider,))
    changes = plan_account_grants(mesh_of(changed), [ACCOUNT], CENTRAL, held, held)
    kinds = [type(change) for change in changes]
    assert kinds == sorted(kinds, key=[Revoke, Grant].index)
    left = after(changes, held)
    assert plan_account_grants(mesh_of(changed), [ACCOUNT], CENTRAL, left, left) == []
    assert sorted(g.resource for g in left if g.resource.kind == "LFTagPolicy") == sorted(
        [
            tag_policy(CENTRAL, "TABLE", wider.table_expression),
            tag_policy(CENTRAL, "DATABASE", wider.database_expression),
        ]
    )


def test_only_what_the_ledger_says_is_ours_is_revoked():
    theirs = [
        Grant(ACCOUNT, tag_policy(CENTRAL, "TABLE", [("team", ["x"])]), SELECT, SELECT),
        Grant("999999999999", tag_policy(CENTRAL, "TABLE", PUBLIC.table_expression), SELECT),
    ]
    ours = Grant(ACCOUNT, tag_policy(CENTRAL, "TABLE", [("domain", ["old"])]), SELECT, SELECT)
    changes = plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [*theirs, ours], [ours])

    assert [change for change in changes if isinstance(change, Revoke)] == [
        Revoke(ACCOUNT, ours.resource, SELECT, SELECT)
    ]


def test_a_grant_option_in_excess_goes_alone():
    resource = tag_policy(CENTRAL, "TABLE", PUBLIC.table_expression)
    wanted, held = Grant(ANALYST_ARN, resource, SELECT), Grant(ANALYST_ARN, resource, SELECT, SELECT)

    assert diff([wanted], [held], [held]) == [Revoke(ANALYST_ARN, resource, frozenset(), SELECT)]


def test_a_consumer_in_the_central_account_is_granted_nothing_as_an_account_and_its_principals_get_no_links():
    local = replace(ANALYTICS, account=CENTRAL)
    governance = mesh_of(local)

    assert plan_account_grants(governance, [CENTRAL], CENTRAL, [], []) == []
    found = principal_plan(governance, local, catalog=[Link("sales_orders"), Link("default")])
    assert {type(action) for action in found.actions} == {Grant}
    assert found.findings == ()


def test_two_consumers_in_one_account_do_not_take_each_others_grants():
    other = Consumer("other", ACCOUNT, None, False, (PEOPLE,))
    alone = replace(ANALYTICS, subscriptions=(PUBLIC,))
    held = after(plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [], []))

    assert plan_account_grants(mesh_of(alone, other), [ACCOUNT], CENTRAL, held, held) == []


def test_consumers_of_one_unit_in_two_accounts_share_its_grants_and_keep_what_one_of_them_wants():
    one = replace(ANALYTICS, organizational_unit=UNIT)
    other = Consumer("other", "999999999999", None, False, (PEOPLE,), organizational_unit=UNIT)
    held = after(plan_account_grants(mesh_of(one, other), [UNIT], CENTRAL, [], []))
    assert {grant.principal for grant in held} == {UNIT}
    assert plan_account_grants(mesh_of(one, other), [ACCOUNT, "999999999999"], CENTRAL, held, held) == []

    left = after(plan_account_grants(mesh_of(other), [UNIT], CENTRAL, held, held), held)
    alone = after(plan_account_grants(mesh_of(other), [UNIT], CENTRAL, [], []))
    assert {(each.resource, each.permissions, each.grantable) for each in left} == {
        (each.resource, each.permissions, each.grantable) for each in alone
    }
    assert len(left) < len(held)


def test_a_consumer_that_comes_to_a_unit_is_granted_to_as_that_and_no_more_as_its_account():
    held = after(plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [], []))
    moved = mesh_of(replace(ANALYTICS, organizational_unit=UNIT))
    left = after(plan_account_grants(moved, [ACCOUNT, UNIT], CENTRAL, held, held), held)
    assert {(replace(each, principal="")) for each in left} == {replace(each, principal="") for each in held}
    assert {each.principal for each in left} == {UNIT}


def test_what_a_version_says_of_a_consumer_covers_all_of_its_unit():
    one, other = (Consumer(n, a, None, False, (PUBLIC,), organizational_unit=UNIT) for n, a in (("a", "1"), ("b", "2")))
    changed = replace(other, subscriptions=())
    assert mesh_of(one, other).version_of(one.unit) != mesh_of(one, changed).version_of(one.unit)
    outside = replace(one, organizational_unit=None)
    assert mesh_of(outside, other).version_of(one.unit) == mesh_of(outside, changed).version_of(one.unit)


def test_an_account_that_a_consumer_left_loses_what_it_was_granted():
    held = after(plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [], []))
    moved = replace(ANALYTICS, account="999999999999")

    changes = plan_account_grants(mesh_of(moved), ["999999999999", ACCOUNT], CENTRAL, held, held)

    assert {change.principal for change in changes if isinstance(change, Revoke)} == {ACCOUNT}
    assert {change.principal for change in changes if isinstance(change, Grant)} == {"999999999999"}
    assert not [grant for grant in after(changes, held) if grant.principal == ACCOUNT]


def test_an_account_without_consumers_loses_the_links_and_regrants_that_we_made():
    plan = principal_plan(mesh_of(ANALYTICS), ANALYTICS)
    made = [action for action in plan.actions if isinstance(action, Grant)]
    links = [action.name for action in plan.actions if isinstance(action, CreateLink)]
    catalog = [Link(name, CENTRAL, name) for name in links]

    gone = principal_plan(mesh_of(), ANALYTICS, catalog=catalog, observed=made, made=made, made_links=links)

    assert {type(action) for action in gone.actions} == {Revoke, DeleteLink}
    assert after([action for action in gone.actions if isinstance(action, Revoke)], made) == []
    assert sorted(action.name for action in gone.actions if isinstance(action, DeleteLink)) == sorted(links)


def principal_plan(governance: Governance, consumer: Consumer, **given):
    arguments = {
        "principals": {ANALYST: ANALYST_ARN, ENGINEER: ENGINEER_ARN},
        "databases": ["sales_orders", "hr_people"],
        "catalog": [],
        "observed": [],
        "made": [],
        "made_links": [],
    }
    return plan_principal_grants(governance, consumer.account, CENTRAL, **(arguments | given))


def test_principals_get_links_describe_on_them_and_the_identical_expressions_on_the_target():
    governance = mesh_of(ANALYTICS)
    found = principal_plan(governance, ANALYTICS, catalog=[Link("default")])
    grants = {(action.principal, action.resource): action for action in found.actions if isinstance(action, Grant)}

    assert found.actions[:2] == (
        CreateLink("hr_people", CENTRAL, "hr_people"),
        CreateLink("sales_orders", CENTRAL, "sales_orders"),
    )
    assert all(not grant.grantable for grant in grants.values())
    table_policy = tag_policy(CENTRAL, "TABLE", PUBLIC.table_expression)
    assert grants[ANALYST_ARN, table_policy].permissions == SELECT
    assert grants[ENGINEER_ARN, table_policy].why == "subscription analytics/public"
    assert grants[ANALYST_ARN, tag_policy(CENTRAL, "DATABASE", PEOPLE.database_expression)].permissions == DESCRIBE
    assert grants[ANALYST_ARN, database(ACCOUNT, "hr_people")].permissions == DESCRIBE
    assert (ENGINEER_ARN, database(ACCOUNT, "hr_people")) not in grants, "of people only the analyst reads"
    assert grants[ENGINEER_ARN, database(ACCOUNT, "default")].permissions == DESCRIBE


def test_a_second_run_changes_nothing_and_a_removed_subscription_takes_its_access_along():
    governance = mesh_of(ANALYTICS)
    links = [Link(name, CENTRAL, name) for name in ("hr_people", "sales_orders")]
    held = after(principal_plan(governance, ANALYTICS).actions)
    state = {"catalog": links, "observed": held, "made": held, "made_links": ["hr_people", "sales_orders"]}
    assert principal_plan(governance, ANALYTICS, **state).actions == ()

    alone = replace(ANALYTICS, subscriptions=(PUBLIC,))
    found = principal_plan(mesh_of(alone), alone, **state)
    kinds = [type(action) for action in found.actions]
    assert kinds == sorted(kinds, key=[Revoke, DeleteLink, CreateLink, Grant].index)
    assert DeleteLink("hr_people") in found.actions
    left = after(found.actions, held)
    assert {grant.resource for grant in left} == {
        tag_policy(CENTRAL, "TABLE", PUBLIC.table_expression),
        tag_policy(CENTRAL, "DATABASE", PUBLIC.database_expression),
        database(ACCOUNT, "sales_orders"),
    }


def test_links_are_only_made_to_databases_that_exist_and_match():
    found = principal_plan(mesh_of(ANALYTICS), ANALYTICS, databases=["sales_orders", "elsewhere_things"])

    assert [action.name for action in found.actions if isinstance(action, CreateLink)] == ["sales_orders"]


@pytest.mark.parametrize("taken", [Link("sales_orders"), Link("sales_orders", "999999999999", "sales_orders")])
def test_a_link_name_that_is_taken_is_a_finding_and_never_touched(taken: Link):
    found = principal_plan(mesh_of(ANALYTICS), ANALYTICS, catalog=[taken], made_links=["sales_orders"])

    assert [(f.code, f.subject) for f in found.findings] == [("link-name-taken", f"{ACCOUNT}/sales_orders")]
    touched = [action for action in found.actions if getattr(action, "name", None) == "sales_orders"]
    assert not touched
    assert database(ACCOUNT, "sales_orders") not in {getattr(action, "resource", None) for action in found.actions}
    assert CreateLink("hr_people", CENTRAL, "hr_people") in found.actions, "the others go on"


def test_a_real_database_is_never_deleted_though_the_ledger_knows_a_link_of_its_name():
    alone = replace(ANALYTICS, subscriptions=(PUBLIC,))
    found = principal_plan(mesh_of(alone), alone, catalog=[Link("hr_people")], made_links=["hr_people"])

    assert not [action for action in found.actions if isinstance(action, DeleteLink)]


def test_a_principal_that_does_not_exist_is_a_finding_and_the_others_are_granted():
    found = principal_plan(mesh_of(ANALYTICS), ANALYTICS, principals={ANALYST: ANALYST_ARN})

    assert [(f.code, f.subject) for f in found.findings] == [("principal-missing", "consumer/analytics/Engineer")]
    assert {action.principal for action in found.actions if isinstance(action, Grant)} == {ANALYST_ARN}


def test_a_principal_that_is_gone_loses_what_we_granted():
    governance = mesh_of(ANALYTICS)
    held = after(principal_plan(governance, ANALYTICS).actions)
    found = principal_plan(governance, ANALYTICS, principals={ANALYST: ANALYST_ARN}, observed=held, made=held)

    assert {action.principal for action in found.actions if isinstance(action, Revoke)} == {ENGINEER_ARN}
    assert {grant.principal for grant in after(found.actions, held)} == {ANALYST_ARN}


# ---- Grants as the API writes them --------------------------------------------------------------------------------


def row(resource: dict, permissions: list[str], grantable: list[str] | None = None, principal: str = ACCOUNT) -> dict:
    return {
        "Principal": {"DataLakePrincipalIdentifier": principal},
        "Resource": resource,
        "Permissions": permissions,
        "PermissionsWithGrantOption": grantable or [],
    }


def test_a_grant_goes_to_the_api_and_comes_back():
    for grant in plan_account_grants(mesh_of(ANALYTICS), [ACCOUNT], CENTRAL, [], []):
        assert isinstance(grant, Grant)
        assert from_api(to_api(grant), "000000000000") == grant


def test_the_order_and_case_of_the_api_make_no_difference():
    pairs = [{"TagKey": "Pii", "TagValues": ["Contact", "none"]}, {"TagKey": "domain", "TagValues": ["sales"]}]
    listed = row({"LFTagPolicy": {"ResourceType": "TABLE", "Expression": pairs}}, ["SELECT", "DESCRIBE"], ["SELECT"])
    expression = [("domain", ["sales"]), ("pii", ["none", "contact"])]

    assert from_api(listed, CENTRAL) == Grant(
        ACCOUNT, tag_policy(CENTRAL, "TABLE", expression), SELECT, frozenset({"SELECT"})
    )
    assert from_api(row({"Database": {"Name": "Sales"}}, ["DESCRIBE"]), ACCOUNT).resource == database(ACCOUNT, "sales")
    assert from_api(row({"Catalog": {}}, ["CREATE_DATABASE"]), CENTRAL).resource.kind == "Catalog"
    named = {"Table": {"CatalogId": CENTRAL, "DatabaseName": "d", "TableWildcard": {}}}
    assert to_api(from_api(row(named, ["DESCRIBE"]), CENTRAL))["Resource"] == named


def test_rows_that_list_a_grant_in_parts_add_up():
    resource = {"LFTagPolicy": {"CatalogId": CENTRAL, "ResourceType": "TABLE",
                                "Expression": [{"TagKey": "a", "TagValues": ["b"]}]}}  # fmt: skip
    tags = [row({"LFTag": {"CatalogId": CENTRAL, "TagKey": "a", "TagValues": [value]}}, ["DESCRIBE"]) for value in "bc"]
    rows = [row(resource, ["SELECT"]), row(resource, ["DESCRIBE"]), *tags]
    wanted = [
        Grant(ACCOUNT, tag_policy(CENTRAL, "TABLE", [("a", ["b"])]), SELECT),
        Grant(ACCOUNT, lf_tag(CENTRAL, "a", ["c", "b"]), DESCRIBE),
    ]

    assert diff(wanted, [from_api(each, CENTRAL) for each in rows], []) == []


def test_of_an_lf_tag_only_the_missing_values_are_granted_and_all_values_cover_each():
    wanted = [Grant(ACCOUNT, lf_tag(CENTRAL, "a", ["b", "c", "d"]), DESCRIBE, DESCRIBE)]
    some = [Grant(ACCOUNT, lf_tag(CENTRAL, "a", ["c"]), DESCRIBE, DESCRIBE)]
    every = [Grant(ACCOUNT, lf_tag(CENTRAL, "a", ["*"]), DESCRIBE, DESCRIBE)]

    assert diff(wanted, some, []) == [Grant(ACCOUNT, lf_tag(CENTRAL, "a", ["b", "d"]), DESCRIBE, DESCRIBE)]
    assert diff(wanted, every, []) == []


grants_drawn = st.lists(
    st.builds(
        lambda who, values, permissions, grantable: Grant(
            who, lf_tag(CENTRAL, "a", values), frozenset(permissions), frozenset(grantable) & frozenset(permissions)
        ),
        st.sampled_from(["1", "2"]),
        st.lists(st.sampled_from("xyz"), min_size=1),
        st.sets(st.sampled_from(["DESCRIBE", "ASSOCIATE"]), min_size=1),
        st.sets(st.sampled_from(["DESCRIBE", "ASSOCIATE"])),
    ),
    max_size=5,
)


@given(grants_drawn, grants_drawn, grants_drawn)
def test_a_difference_leads_to_what_is_wanted_and_to_what_others_granted(wanted, observed, made):
    def rights(grants: Iterable[Grant | Revoke]) -> set[tuple[str, str, str, bool]]:
        return {
            (grant.principal, value, permission, option)
            for grant in grants
            for value in grant.resource.content["TagValues"]
            for permissions, option in ((grant.permissions, False), (grant.grantable, True))
            for permission in permissions
        }

    changes = diff(wanted, observed, made)
    revoked = rights(change for change in changes if isinstance(change, Revoke))
    granted = rights(change for change in changes if isinstance(change, Grant))

    assert revoked == (rights(observed) & rights(made)) - rights(wanted)
    assert (rights(observed) - revoked) | granted >= rights(wanted)
    assert granted <= rights(wanted)
    kinds = [type(change) for change in changes]
    assert kinds == sorted(kinds, key=[Revoke, Grant].index)
