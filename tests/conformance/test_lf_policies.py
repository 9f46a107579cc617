"""Grants by LF-Tag expressions: what matches, what part of it is given, limits, and how they are passed on."""

import json
import threading

import pytest
from lab import refused
from lake_calls import (
    assign,
    grant,
    on_columns,
    on_database,
    on_policy,
    on_table,
    on_tag,
    principal,
    revoke,
    sees,
    shown_database,
)
from lf_desk import CENTRAL, a_role, lake_formation, readable

ALL_COLUMNS = ["email", "id", "total"]


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture(scope="module")
def keys(lab):
    return lab.lf_tag(CENTRAL, "domain", "sales", "hr"), lab.lf_tag(CENTRAL, "pii", "none", "contact", "unknown")


@pytest.fixture
def names(lab):
    """A new database and a table (id, email, total) in it."""
    database = lab.database(CENTRAL)
    return database, lab.table(CENTRAL, database, "orders")


@pytest.fixture
def reader(lab):
    return a_role(lab, "reader")


@pytest.mark.statement("lf-grants.and-or")
def test_keys_are_anded_and_values_ored(lab, keys, names, reader):
    domain, pii = keys
    grant(lab, CENTRAL, reader, on_policy("TABLE", {domain: ["Sales"], pii: ["none", "CONTACT"]}), "SELECT")
    for tags, expected in (
        ({domain: "sales"}, []),
        ({pii: "none"}, ALL_COLUMNS),
        ({pii: "contact"}, ALL_COLUMNS),
        ({pii: "unknown"}, []),
        ({pii: "none", domain: "hr"}, []),
    ):
        assign(lab, CENTRAL, on_table(*names), **tags)
        assert readable(lab, reader, *names) == expected, tags


@pytest.mark.statement("lf-grants.any-value")
def test_a_wildcard_is_any_value_of_the_key(lab, keys, names, reader):
    grant(lab, CENTRAL, reader, on_policy("TABLE", {keys[1]: ["*"]}), "SELECT")
    assert readable(lab, reader, *names) == []
    assign(lab, CENTRAL, on_database(names[0]), **{keys[1]: "unknown"})
    assert readable(lab, reader, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.database-policy", "lf-grants.table-policy")
def test_a_database_policy_gives_nothing_on_tables_nor_a_table_policy_on_databases(lab, keys, names, reader):
    domain, other = keys[0], a_role(lab, "other")
    assign(lab, CENTRAL, on_database(names[0]), **{domain: "sales"})
    grant(lab, CENTRAL, reader, on_policy("DATABASE", {domain: ["sales"]}), "DESCRIBE")
    assert shown_database(lab, reader, names[0])
    assert sees(lab, reader, *names) is None
    grant(lab, CENTRAL, other, on_policy("TABLE", {domain: ["sales"]}), "SELECT")
    assert shown_database(lab, other, names[0]) is None
    assert readable(lab, other, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.database-policy")
def test_a_database_policy_reaches_only_databases_that_match(lab, keys, names, reader):
    people = lab.database(CENTRAL, "people")
    assign(lab, CENTRAL, on_database(names[0]), **{keys[0]: "sales"})
    assign(lab, CENTRAL, on_database(people), **{keys[0]: "hr"})
    grant(lab, CENTRAL, reader, on_policy("DATABASE", {keys[0]: ["sales"]}), "CREATE_TABLE")
    assert shown_database(lab, reader, names[0]) and not shown_database(lab, reader, people)
    lab.table(reader, names[0])
    with refused("AccessDeniedException"):
        lab.table(reader, people)


@pytest.mark.statement("lf-grants.column-override")
def test_a_column_overridden_to_another_value_is_all_that_is_lost(lab, keys, names, reader):
    _, pii = keys
    assign(lab, CENTRAL, on_table(*names), **{pii: "none"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {pii: ["none"]}), "SELECT")
    assign(lab, CENTRAL, on_columns(*names, "email"), **{pii: "contact"})
    assert readable(lab, reader, *names) == sees(lab, reader, *names) == ["id", "total"]


@pytest.mark.statement("lf-grants.column-opened")
def test_some_columns_of_an_otherwise_closed_table_can_be_opened(lab, keys, reader):
    _, pii = keys
    database = lab.database(CENTRAL)
    daily = lab.table(CENTRAL, database, "daily", keys=("day",))
    assign(lab, CENTRAL, on_database(database), **{pii: "unknown"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {pii: ["none"]}), "SELECT")
    assert sees(lab, reader, database, daily) is None
    assign(lab, CENTRAL, on_columns(database, daily, "id"), **{pii: "none"})
    assert readable(lab, reader, database, daily) == sees(lab, reader, database, daily) == ["id"]


@pytest.mark.statement("lf-grants.collapse")
@pytest.mark.parametrize("permission", ["ALTER", "DROP", "INSERT", "DELETE"])
def test_on_some_columns_what_changes_the_table_collapses_to_describe(lab, keys, names, reader, permission):
    _, pii = keys
    assign(lab, CENTRAL, on_table(*names), **{pii: "none"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {pii: ["none"]}), permission)
    held = effective(lab, reader, names)
    assert held == {"DESCRIBE", permission}
    assign(lab, CENTRAL, on_columns(*names, "email"), **{pii: "contact"})
    assert sees(lab, reader, *names) == ["id", "total"]
    assert effective(lab, reader, names) == {"DESCRIBE"}
    with refused("AccessDeniedException", message="Required Drop"):
        lab.client("glue", reader).delete_table(DatabaseName=names[0], Name=names[1])


@pytest.mark.statement("lf-grants.collapse-super")
def test_on_some_columns_super_collapses_to_select_and_describe(lab, keys, names, reader):
    _, pii = keys
    assign(lab, CENTRAL, on_table(*names), **{pii: "none"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {pii: ["none"]}), "ALL")
    assert "DROP" in effective(lab, reader, names)
    assign(lab, CENTRAL, on_columns(*names, "email"), **{pii: "contact"})
    assert readable(lab, reader, *names) == ["id", "total"]
    assert effective(lab, reader, names) == {"SELECT", "DESCRIBE"}


def effective(lab, who, names):
    asked = {"Principal": principal(lab, who), "Resource": on_table(*names)}
    entries = lake_formation(lab, who).list_permissions(**asked)["PrincipalResourcePermissions"]
    return {permission for entry in entries for permission in entry["Permissions"]}


@pytest.mark.statement("lf-grants.union")
def test_named_and_tag_grants_add_up(lab, keys, names, reader):
    _, pii = keys
    assign(lab, CENTRAL, on_columns(*names, "total"), **{pii: "none"})
    grant(lab, CENTRAL, reader, on_columns(*names, "id"), "SELECT")
    grant(lab, CENTRAL, reader, on_policy("TABLE", {pii: ["none"]}), "SELECT")
    assert readable(lab, reader, *names) == ["id", "total"]


@pytest.mark.statement("lf-grants.expression-form")
def test_an_expression_has_keys_once_each_with_values(lab, keys, reader):
    pair = {"TagKey": keys[1], "TagValues": ["none"]}
    for wrong in ([], [pair, {**pair, "TagKey": keys[1].upper()}]):
        resource = {"LFTagPolicy": {"ResourceType": "TABLE", "Expression": wrong}}
        with refused("InvalidInputException"):
            grant(lab, CENTRAL, reader, resource, "SELECT")


@pytest.mark.statement("lf-grants.expression-size")
def test_an_inline_expression_has_at_most_900_bytes(lab, reader):
    values = [f"value-number-{number:02}" for number in range(50)]
    key = lab.lf_tag(CENTRAL, "long", *values)
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: values[:40]}), "SELECT")
    with refused("InvalidInputException", message="900"):
        grant(lab, CENTRAL, reader, on_policy("TABLE", {key: values}), "SELECT")


@pytest.mark.statement("lf-grants.expression-size-counted")
def test_the_bytes_of_an_expression_are_those_of_its_compact_json(lab, reader):
    values = [f"value-number-{number:02}" for number in range(45)]
    key = lab.name("k").ljust(20, "k")
    size = len(json.dumps([{"TagKey": key, "TagValues": values}], separators=(",", ":")))
    exact, over = "x" * (900 - size - 3), "x" * (900 - size - 2)
    lake_formation(lab).create_lf_tag(TagKey=key, TagValues=[*values, exact, over])
    lab.at_end(lake_formation(lab).delete_lf_tag, TagKey=key)
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: [*values, exact]}), "SELECT")
    with refused("InvalidInputException", message="901"):
        grant(lab, CENTRAL, reader, on_policy("TABLE", {key: [*values, over]}), "SELECT")


@pytest.mark.statement("lf-grants.policies-per-principal")
def test_a_principal_has_at_most_50_policies_of_each_kind(lab, reader):
    values = [f"v{number}" for number in range(50)]
    key, other = lab.lf_tag(CENTRAL, "many", *values), a_role(lab, "other")
    for start in range(0, 50, 20):
        entries = [
            {
                "Id": value,
                "Principal": principal(lab, reader),
                "Resource": on_policy("TABLE", {key: [value]}),
                "Permissions": ["SELECT"],
            }
            for value in values[start : start + 20]
        ]
        assert lake_formation(lab).batch_grant_permissions(Entries=entries)["Failures"] == []
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["v0"]}), "DESCRIBE")
    grant(lab, CENTRAL, reader, on_policy("DATABASE", {key: ["v0"]}), "DESCRIBE")
    grant(lab, CENTRAL, other, on_policy("TABLE", {key: ["v0", "v1"]}), "DESCRIBE")
    with refused("InvalidInputException", message="more than 50"):
        grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["v0", "v1"]}), "SELECT")
    revoke(lab, CENTRAL, reader, on_policy("TABLE", {key: ["v1"]}), "SELECT")
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["v0", "v1"]}), "SELECT")


@pytest.mark.statement("lf-grants.concurrent")
@pytest.mark.local_only("one grant is held under way while the other is made")
def test_parallel_changes_of_one_principals_policies_are_concurrent_modifications(lab, keys, names, reader):
    _, pii = keys
    other = a_role(lab, "other")
    policy = on_policy("TABLE", {pii: ["contact"]})
    entry = {"Id": "1", "Principal": principal(lab, reader), "Resource": policy, "Permissions": ["SELECT"]}
    with lab.aws.world.engines["lakeformation"]._policy_changes.on({reader.arn}):
        for change in (
            lambda: grant(lab, CENTRAL, reader, policy, "SELECT"),
            lambda: revoke(lab, CENTRAL, reader, policy, "SELECT"),
            lambda: lake_formation(lab).batch_grant_permissions(Entries=[entry]),
            lambda: lake_formation(lab).batch_revoke_permissions(Entries=[entry]),
        ):
            with refused("ConcurrentModificationException"):
                change()
        grant(lab, CENTRAL, reader, on_table(*names), "DESCRIBE")
        grant(lab, CENTRAL, other, policy, "SELECT")
    grant(lab, CENTRAL, reader, policy, "SELECT")


@pytest.mark.statement("lf-grants.concurrent")
@pytest.mark.local_only("calls wait for each other where the test says so")
def test_two_threads_that_grant_to_one_principal_collide_and_a_retry_mends_it(lab, keys, names):
    _, pii = keys
    reader = a_role(lab, "racer")
    policies = [on_policy("TABLE", {pii: [value]}) for value in ("none", "contact")]
    world, codes = lab.aws.world, []

    def change(policy):
        try:
            lab.aws.session(lab.account(CENTRAL)).client("lakeformation").grant_permissions(
                Principal=principal(lab, reader), Resource=policy, Permissions=["SELECT"]
            )
            codes.append("granted")
        except lake_formation(lab).exceptions.ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=change, args=(policy,)) for policy in policies]
    with world.lock:
        for thread in threads:
            thread.start()
        while not codes and any(thread.is_alive() for thread in threads):
            threads[0].join(0.01)
    for thread in threads:
        thread.join(10)
    assert sorted(set(codes)) in (["ConcurrentModificationException", "granted"], ["granted"])
    for policy in policies:
        grant(lab, CENTRAL, reader, policy, "SELECT")
    assign(lab, CENTRAL, on_table(*names), **{pii: "contact"})
    assert readable(lab, reader, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.pass-on-policy")
def test_a_policy_is_passed_on_identical_and_with_permission_on_its_tags(lab, keys, reader):
    domain, pii = keys
    other, policy = a_role(lab, "other"), on_policy("TABLE", {pii: ["none", "contact"], domain: ["sales"]})
    grant(lab, CENTRAL, reader, policy, "SELECT", options=True)
    with refused("EntityNotFoundException"):
        grant(lab, reader, other, policy, "SELECT")
    grant(lab, CENTRAL, reader, on_tag(pii, "none", "contact"), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("EntityNotFoundException"):
        grant(lab, reader, other, policy, "SELECT")
    grant(lab, CENTRAL, reader, on_tag(domain, "*"), "GRANT_WITH_LF_TAG_EXPRESSION")
    with refused("EntityNotFoundException"):
        grant(lab, reader, other, on_policy("TABLE", {pii: ["none"], domain: ["sales"]}), "SELECT")
    grant(lab, reader, other, on_policy("TABLE", {domain: ["SALES"], pii: ["contact", "none"]}), "SELECT")
    with refused("AccessDeniedException"):
        grant(lab, reader, other, policy, "ALTER")
