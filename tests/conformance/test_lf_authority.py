"""Who may grant and revoke, in one call or in a batch, and what ListPermissions tells whom."""

import pytest
from lab import refused
from lake_calls import assign, grant, on_columns, on_database, on_policy, on_table, on_tag, principal, revoke, sees
from lf_desk import CENTRAL, a_role, kinds, lake_formation, listed, me, readable

ALL_COLUMNS = ["email", "id", "total"]


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture
def names(lab):
    database = lab.database(CENTRAL)
    return database, lab.table(CENTRAL, database, "orders")


@pytest.fixture
def reader(lab):
    return a_role(lab, "reader")


@pytest.fixture
def other(lab):
    return a_role(lab, "other")


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-grants.admin-grants")
def test_administrators_grant_anything_on_what_others_made_and_read_none_of_it(lab, names, reader):
    maker, database = a_role(lab, "maker"), names[0]
    grant(lab, CENTRAL, maker, on_database(database), "CREATE_TABLE")
    made = lab.table(maker, database, "made")
    assert sees(lab, CENTRAL, database, made) and readable(lab, CENTRAL, database, made) == []
    with refused("AccessDeniedException", message="Required Drop"):
        lab.client("glue", CENTRAL).delete_table(DatabaseName=database, Name=made)
    grant(lab, CENTRAL, reader, on_table(database, made), "SELECT")
    grant(lab, CENTRAL, me(lab), on_table(database, made), "SELECT")
    assert readable(lab, reader, database, made) == readable(lab, CENTRAL, database, made) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.creator-owns")
def test_who_makes_a_table_or_database_holds_all_of_it_with_the_grant_option(lab, names, reader, other):
    grant(lab, CENTRAL, reader, on_database(names[0]), "CREATE_TABLE")
    made = lab.table(reader, names[0], "made")
    grant(lab, reader, other, on_table(names[0], made), "SELECT", options=True)
    assert readable(lab, other, names[0], made) == ALL_COLUMNS
    assert lab.client("glue", reader).get_database(Name=names[0])
    grant(lab, CENTRAL, reader, {"Catalog": {}}, "CREATE_DATABASE")
    mine = lab.database(reader, "mine")
    grant(lab, reader, other, on_database(mine), "DESCRIBE")
    (entry,) = listed(lab, reader, Resource=on_database(mine), Principal=principal(lab, reader))
    assert set(entry["PermissionsWithGrantOption"]) >= {"ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"}


@pytest.mark.statement("lf-grants.option")
def test_the_grant_option_passes_on_what_it_was_given_for(lab, names, reader, other):
    with refused("EntityNotFoundException", message="not authorized"):
        grant(lab, reader, other, on_table(*names), "SELECT")
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT", "ALTER", options=["SELECT"])
    grant(lab, reader, other, on_table(*names), "SELECT")
    assert readable(lab, other, *names) == ALL_COLUMNS
    with refused("AccessDeniedException", message="ALTER"):
        grant(lab, reader, other, on_table(*names), "ALTER")
    with refused("AccessDeniedException", message="ALTER"):
        revoke(lab, reader, other, on_table(*names), "ALTER")
    revoke(lab, reader, other, on_table(*names), "SELECT")
    assert readable(lab, other, *names) == []


@pytest.mark.statement("lf-grants.option")
def test_the_grant_option_on_super_passes_on_everything(lab, names, reader, other):
    grant(lab, CENTRAL, reader, on_table(names[0], None), "ALL", options=True)
    grant(lab, reader, other, on_table(names[0], None), "ALL")
    grant(lab, reader, other, on_table(*names), "DROP", "SELECT", options=True)
    assert readable(lab, other, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.option-by-resource")
@pytest.mark.parametrize("kind", ["catalog", "database", "all tables", "tag", "location", "columns"])
def test_each_kind_of_resource_is_passed_on_with_the_grant_option_only(lab, names, reader, other, kind):
    key = lab.lf_tag(CENTRAL, "passed", "v", "w")
    resource, permission = {
        "catalog": ({"Catalog": {}}, "CREATE_DATABASE"),
        "database": (on_database(names[0]), "DESCRIBE"),
        "all tables": (on_table(names[0], None), "SELECT"),
        "tag": (on_tag(key, "v"), "DESCRIBE"),
        "location": ({"DataLocation": {"ResourceArn": "arn:aws:s3:::somewhere/data"}}, "DATA_LOCATION_ACCESS"),
        "columns": ({"TableWithColumns": {"DatabaseName": names[0], "Name": names[1], "ColumnWildcard": {}}}, "SELECT"),
    }[kind]
    with refused("EntityNotFoundException", "AccessDeniedException"):
        grant(lab, reader, other, resource, permission)
    grant(lab, CENTRAL, reader, resource, permission)
    with refused("AccessDeniedException", message="grant option"):
        grant(lab, reader, other, resource, permission)
    grant(lab, CENTRAL, reader, resource, permission, options=True)
    grant(lab, reader, other, resource, permission, options=True)
    assert {tuple(each["Permissions"]) for each in listed(lab, other, Principal=principal(lab, other))} == {
        (permission,)
    }


@pytest.mark.statement("lf-grants.option-by-resource")
def test_a_tags_grant_option_is_for_its_values(lab, reader, other):
    key = lab.lf_tag(CENTRAL, "valued", "v", "w")
    grant(lab, CENTRAL, reader, on_tag(key, "v"), "DESCRIBE", options=True)
    for values in (("w",), ("v", "w"), ("*",)):
        with refused("EntityNotFoundException", "AccessDeniedException"):
            grant(lab, reader, other, on_tag(key, *values), "DESCRIBE")


@pytest.mark.statement("lf-grants.iam-admin")
@pytest.mark.local_only("an account whose IAM administrator is no data lake administrator")
def test_the_accounts_iam_administrator_is_no_data_lake_administrator(lab):
    part = lab.fresh()
    admin, reader = a_role(lab, "admin", part=part), a_role(lab, "reader", part=part)
    lakeformation = lake_formation(lab, part)
    lakeformation.put_data_lake_settings(
        DataLakeSettings={"DataLakeAdmins": [principal(lab, admin)], "CreateTableDefaultPermissions": []}
    )
    database = lab.database(admin)
    table = lab.table(admin, database)
    assert sees(lab, part, database, table) is None
    with refused("EntityNotFoundException"):
        grant(lab, part, reader, on_table(database, table), "SELECT")
    with refused("EntityNotFoundException"):
        revoke(lab, part, reader, on_table(database, table), "SELECT")


@pytest.mark.statement("lf-grants.revoke-missing")
def test_on_what_is_not_there_nothing_is_revoked(lab, names, reader, other):
    gone = lab.name("missing")
    for resource in (on_database(gone), on_table(names[0], gone), on_columns(names[0], gone, "id")):
        with refused("EntityNotFoundException"):
            revoke(lab, CENTRAL, reader, resource, "SELECT" if "TableWithColumns" in resource else "DESCRIBE")
    grant(lab, CENTRAL, other, on_table(*names), "SELECT")
    with refused("EntityNotFoundException"):
        revoke(lab, reader, other, on_table(*names), "SELECT")
    assert readable(lab, other, *names) == ALL_COLUMNS


@pytest.mark.statement("lf-grants.deleted-principal")
def test_what_a_deleted_principal_held_can_be_revoked(lab, names):
    gone = a_role(lab, "gone")
    grant(lab, CENTRAL, gone, on_table(*names), "SELECT")
    iam = lab.client("iam", CENTRAL)
    for name in iam.list_role_policies(RoleName=gone.name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=gone.name, PolicyName=name)
    iam.delete_role(RoleName=gone.name)
    revoke(lab, CENTRAL, gone, on_table(*names), "SELECT")
    assert listed(lab, CENTRAL, Principal=principal(lab, gone)) == []


# -- batches ----------------------------------------------------------------------------------------------------------


def entry(lab, name, who, resource, *permissions, options=()):
    given = {"Principal": principal(lab, who), "Resource": resource, "Permissions": list(permissions)}
    return {"Id": name, **given, "PermissionsWithGrantOption": list(options)}


@pytest.mark.statement("lf-grants.batch")
def test_a_batch_does_what_it_can_and_names_the_rest(lab, names, reader, other):
    good = entry(lab, "good", reader, on_table(*names), "SELECT", options=["SELECT"])
    bad = entry(lab, "bad", reader, on_table(names[0], lab.name("missing")), "SELECT")
    failures = lake_formation(lab).batch_grant_permissions(Entries=[bad, good])["Failures"]
    assert [(each["RequestEntry"]["Id"], each["Error"]["ErrorCode"]) for each in failures] == [
        ("bad", "EntityNotFoundException")
    ]
    assert readable(lab, reader, *names) == ALL_COLUMNS
    grant(lab, reader, other, on_table(*names), "SELECT")
    failures = lake_formation(lab).batch_revoke_permissions(Entries=[bad, good])["Failures"]
    assert [each["RequestEntry"]["Id"] for each in failures] == ["bad"]
    assert readable(lab, reader, *names) == []


@pytest.mark.statement("lf-grants.batch-size")
def test_a_batch_has_at_most_20_entries_with_ids_of_their_own(lab, names, reader):
    entries = [entry(lab, str(number), reader, on_table(*names), "SELECT") for number in range(21)]
    with refused("InvalidInputException", "ValidationException"):
        lake_formation(lab).batch_grant_permissions(Entries=entries)
    assert readable(lab, reader, *names) == []
    with refused("InvalidInputException", message="unique"):
        lake_formation(lab).batch_grant_permissions(Entries=[entries[0], entries[0]])
    assert lake_formation(lab).batch_grant_permissions(Entries=entries[:20])["Failures"] == []


@pytest.mark.statement("lf-grants.batch")
def test_an_entry_without_principal_or_resource_fails_alone(lab, names, reader):
    whole = entry(lab, "whole", reader, on_table(*names), "SELECT")
    key = lab.lf_tag(CENTRAL, "pii", "none")
    nobody = {**entry(lab, "nobody", reader, on_policy("TABLE", {key: ["none"]}), "SELECT")}
    nothing = entry(lab, "nothing", reader, on_table(*names), "SELECT")
    del nobody["Principal"], nothing["Resource"]
    failures = lake_formation(lab).batch_grant_permissions(Entries=[nobody, nothing, whole])["Failures"]
    assert [(each["RequestEntry"]["Id"], each["Error"]["ErrorCode"]) for each in failures] == [
        ("nobody", "InvalidInputException"),
        ("nothing", "InvalidInputException"),
    ]
    assert readable(lab, reader, *names) == ALL_COLUMNS


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-grants.list-explicit", "lf-grants.list-filters")
def test_explicit_grants_are_listed_with_select_apart_and_by_every_filter(lab, names, reader):
    key = lab.lf_tag(CENTRAL, "pii", "none", "contact", "unknown")
    location = {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{lab.name('b', '-')}/data"}}
    grant(lab, CENTRAL, reader, on_table(*names), "SELECT", "DESCRIBE")
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["none"]}), "SELECT")
    grant(lab, CENTRAL, reader, on_policy("DATABASE", {key: ["none"]}), "DESCRIBE")
    grant(lab, CENTRAL, reader, on_tag(key, "none", "contact"), "DESCRIBE")
    grant(lab, CENTRAL, reader, on_database(names[0]), "ALTER")
    grant(lab, CENTRAL, reader, location, "DATA_LOCATION_ACCESS")
    grant(lab, CENTRAL, reader, {"Catalog": {}}, "CREATE_DATABASE")
    by_type = {
        "TABLE": {"Table": ["DESCRIBE"], "TableWithColumns": ["SELECT"]},
        "DATABASE": {"Database": ["ALTER"]},
        "LF_TAG": {"LFTag": ["DESCRIBE"]},
        "LF_TAG_POLICY": {"LFTagPolicy": ["DESCRIBE", "SELECT"]},
        "LF_TAG_POLICY_TABLE": {"LFTagPolicy": ["SELECT"]},
        "LF_TAG_POLICY_DATABASE": {"LFTagPolicy": ["DESCRIBE"]},
        "DATA_LOCATION": {"DataLocation": ["DATA_LOCATION_ACCESS"]},
        "CATALOG": {"Catalog": ["CREATE_DATABASE"]},
    }
    for kind, expected in by_type.items():
        shown = {}
        for each in listed(lab, CENTRAL, Principal=principal(lab, reader), ResourceType=kind):
            shown.setdefault(next(iter(each["Resource"])), []).extend(each["Permissions"])
        assert {name: sorted(permissions) for name, permissions in shown.items()} == expected, kind
    on_it = kinds(listed(lab, CENTRAL, Resource=on_table(*names)))
    assert {who for who, _ in on_it} == {me(lab), reader.arn}
    (tag,) = [e for e in listed(lab, CENTRAL, Resource=on_tag(key, "none")) if reader.arn in str(e["Principal"])]
    assert tag["Resource"]["LFTag"]["TagValues"] == ["none"]
    assert listed(lab, CENTRAL, Resource=on_tag(key, "unknown")) == []
    (both,) = listed(lab, CENTRAL, Resource=on_tag(key, "*"))
    assert both["Resource"]["LFTag"]["TagValues"] == ["contact", "none"]
    (held,) = listed(lab, CENTRAL, Resource=location)
    assert held["Resource"]["DataLocation"]["ResourceArn"] == location["DataLocation"]["ResourceArn"]
    (policy,) = listed(lab, CENTRAL, Resource=on_policy("TABLE", {key: ["none"]}))
    assert policy["LastUpdatedBy"] == me(lab)


@pytest.mark.statement("lf-grants.list-effective")
def test_with_principal_and_resource_what_is_effective_is_listed(lab, names, reader, other):
    key = lab.lf_tag(CENTRAL, "pii", "none")
    assign(lab, CENTRAL, on_columns(*names, "id"), **{key: "none"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["none"]}), "SELECT")
    shown = {
        next(iter(each["Resource"])): each
        for each in listed(lab, CENTRAL, Principal=principal(lab, reader), Resource=on_table(*names))
    }
    assert shown["TableWithColumns"]["Resource"]["TableWithColumns"]["ColumnNames"] == ["id"]
    assert shown["Table"]["Permissions"] == ["DESCRIBE"]
    assert listed(lab, CENTRAL, Principal=principal(lab, other), Resource=on_table(*names)) == []
    assert listed(lab, CENTRAL, Principal=principal(lab, other), Resource=on_database(names[0])) == []
    gone = on_table(names[0], lab.name("missing"))
    assert listed(lab, CENTRAL, Principal=principal(lab, reader), Resource=gone) == []
    explicit = kinds(listed(lab, CENTRAL, Resource=on_table(*names)))
    assert {who for who, _ in explicit} == {me(lab)}
    grant(lab, CENTRAL, other, on_table(*names), "SELECT", "ALTER", options=["SELECT"])
    own = {e["Permissions"][0]: e["PermissionsWithGrantOption"] for e in listed(lab, other, Resource=on_table(*names))}
    assert own["SELECT"] == ["SELECT"] and own["ALTER"] == []


@pytest.mark.statement("lf-grants.list-effective-whom")
def test_strangers_are_not_told_what_others_effectively_have(lab, names, reader, other):
    key = lab.lf_tag(CENTRAL, "pii", "none")
    assign(lab, CENTRAL, on_table(*names), **{key: "none"})
    grant(lab, CENTRAL, reader, on_policy("TABLE", {key: ["none"]}), "SELECT")
    asked = {"Principal": principal(lab, reader), "Resource": on_table(*names)}
    assert len(listed(lab, reader, **asked)) == 2
    assert listed(lab, other, **asked) == []


@pytest.mark.statement("lf-grants.list-seen")
def test_others_see_what_is_theirs_and_what_they_may_pass_on(lab, names, reader, other):
    grant(lab, CENTRAL, other, on_table(*names), "SELECT", "ALTER")
    assert listed(lab, reader) == []
    grant(lab, CENTRAL, reader, on_table(*names), "ALTER", options=True)
    shown = kinds(listed(lab, reader))
    assert shown == {
        (reader.arn, "Table"): ["ALTER"],
        (other.arn, "Table"): ["ALTER"],
        (me(lab), "Table"): ["ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT"],
    }


@pytest.mark.statement("lf-grants.list-pages")
def test_lists_come_in_pages_of_at_most_1000(lab):
    many = a_role(lab, "many")
    for batch in range(51):
        entries = [
            entry(
                lab,
                str(number),
                many,
                {"DataLocation": {"ResourceArn": f"arn:aws:s3:::paged/{batch}/{number}"}},
                "DATA_LOCATION_ACCESS",
            )
            for number in range(20)
        ]
        assert lake_formation(lab).batch_grant_permissions(Entries=entries)["Failures"] == []
    asked = {"Principal": principal(lab, many)}
    first = lake_formation(lab).list_permissions(**asked)
    assert len(first["PrincipalResourcePermissions"]) == 1_000
    assert len(listed(lab, CENTRAL, **asked)) == 1_020
    for wrong in ({"MaxResults": 1_001}, {"NextToken": "?"}):
        with refused("InvalidInputException", "ValidationException"):
            lake_formation(lab).list_permissions(**asked, **wrong)


@pytest.mark.statement("lf-grants.list-columns")
def test_columns_cannot_be_listed_by_themselves(lab, names):
    with refused("InvalidInputException", message="TableWithColumns"):
        lake_formation(lab).list_permissions(Resource=on_columns(*names, "id"))


@pytest.mark.statement("lf-grants.list-related")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_related_data_cell_filters_are_refused(lab, names):
    with refused("LocalAwsNotSupported"):
        lake_formation(lab).list_permissions(Resource=on_table(*names), IncludeRelated="TRUE")
    assert lake_formation(lab).list_permissions(Resource=on_table(*names), IncludeRelated="FALSE")
