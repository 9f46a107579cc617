"""The RAM shares that Lake Formation makes: what is in them, who sees them, what becomes of them."""

import json

import pytest
from lab import refused
from lake_calls import (
    LAKE_ACTIONS,
    SHARING_ACTIONS,
    accept,
    data_product,
    grant,
    on_database,
    on_table,
    pending,
    revoke,
    sees,
    shared_resources,
)

pytestmark = pytest.mark.local_only("needs accounts that nobody has shared with, and organizations")


@pytest.fixture
def owner(lab):
    """An account of its own that governs a lake; in one organization with the consumer."""
    account = lab.fresh()
    lab.lake(account)
    return account


@pytest.fixture
def consumer(lab, owner):
    account = lab.fresh()
    lab.lake(account)
    lab.organization(owner, account)
    return account


@pytest.fixture
def product(lab, owner):
    return data_product(lab, owner)


def _share(lab, owner, product, to, *permissions):
    grant(lab, owner, to, on_table(product.database, product.table), *(permissions or ("SELECT",)))


def _named(product):
    return [f"database/{product.database}", f"table/{product.database}/{product.table}"]


def _associations(lab, who, kind, **filters):
    ram = lab.client("ram", who)
    return ram.get_resource_share_associations(associationType=kind, **filters)["resourceShareAssociations"]


def _shares(lab, who, whose, **filters):
    return lab.client("ram", who).get_resource_shares(resourceOwner=whose, **filters)["resourceShares"]


# -- what is in them ----------------------------------------------------------------------------------------------


@pytest.mark.statement("ram.both-sides")
def test_an_associated_share_is_seen_from_both_sides_with_resources_and_principals(lab, owner, consumer, product):
    _share(lab, owner, product, consumer)
    mine, theirs = _shares(lab, owner, "SELF"), _shares(lab, consumer, "OTHER-ACCOUNTS")
    assert mine == theirs
    assert len(mine) == 2
    assert {(each["owningAccountId"], each["status"], each["allowExternalPrincipals"]) for each in mine} == {
        (owner, "ACTIVE", True)
    }
    assert shared_resources(lab, owner, "SELF") == shared_resources(lab, consumer, "OTHER-ACCOUNTS") == _named(product)
    assert shared_resources(lab, owner, "OTHER-ACCOUNTS") == shared_resources(lab, consumer, "SELF") == []
    for who, whose, expected in ((owner, "SELF", consumer), (consumer, "OTHER-ACCOUNTS", owner)):
        principals = lab.client("ram", who).list_principals(resourceOwner=whose)["principals"]
        assert {each["id"] for each in principals} == {expected}
    assert _shares(lab, lab.fresh(), "OTHER-ACCOUNTS") == []


@pytest.mark.statement("ram.tag-policies-wildcards")
def test_tag_policies_are_shared_as_wildcards_and_tags_alone_are_not_shared(lab, owner, consumer, product):
    grant(
        lab,
        owner,
        consumer,
        {"LFTag": {"TagKey": product.pii, "TagValues": ["none"]}},
        "DESCRIBE",
    )
    assert _shares(lab, owner, "SELF") == []
    grant(lab, owner, consumer, product.tables("none"), "SELECT")
    assert shared_resources(lab, owner, "SELF") == ["database/*", "table/*/*"]
    _share(lab, owner, product, consumer)
    assert shared_resources(lab, owner, "SELF") == sorted(["database/*", "table/*/*", *_named(product)])


@pytest.mark.statement("ram.two-shares")
def test_a_database_is_shared_with_all_its_tables_and_all_tables_with_their_database(lab, owner, consumer, product):
    grant(lab, owner, consumer, on_database(product.database), "DESCRIBE")
    expected = [f"database/{product.database}", f"table/{product.database}/*"]
    assert shared_resources(lab, owner, "SELF") == expected
    revoke(lab, owner, consumer, on_database(product.database), "DESCRIBE")
    assert shared_resources(lab, owner, "SELF") == []
    grant(lab, owner, consumer, on_table(product.database, None), "SELECT")
    assert shared_resources(lab, owner, "SELF") == expected


@pytest.mark.statement("ram.version-1-shares", "ram.shares-reused")
@pytest.mark.parametrize(("version", "tables"), [("1", 2), ("2", 1), ("4", 1)])
def test_version_1_has_a_share_for_each_grant_later_ones_put_them_together(
    lab, owner, consumer, product, version, tables
):
    lab.lake(owner, version=version)
    lab.organization()
    another = lab.table(owner, product.database, "another")
    for table in (product.table, another):
        grant(lab, owner, consumer, on_table(product.database, table), "SELECT")
    assert len(_shares(lab, owner, "SELF")) == 1 + tables
    assert all(each["name"].startswith(f"LakeFormation-V{version}-") for each in _shares(lab, owner, "SELF"))
    assert accept(lab, consumer) == 1 + tables
    assert len(shared_resources(lab, consumer, "OTHER-ACCOUNTS")) == 3
    revoke(lab, owner, consumer, on_table(product.database, another), "SELECT")
    assert len(_shares(lab, owner, "SELF", resourceShareStatus="ACTIVE")) == 2
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == _named(product)


@pytest.mark.statement("ram.version-5-wildcards")
def test_version_5_shares_wildcards_whatever_was_granted(lab, owner, consumer, product):
    lab.lake(owner, version="5")
    _share(lab, owner, product, consumer)
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == ["database/*", "table/*/*"]
    another = lab.table(owner, product.database, "another")
    assert sees(lab, consumer, product.database, product.table, owner)
    assert sees(lab, consumer, product.database, another, owner) is None


@pytest.mark.statement("ram.direct")
def test_a_direct_grant_is_shared_with_the_principal_alone(lab, owner, consumer, product):
    reader, other = (lab.role(consumer, hint, allow=SHARING_ACTIONS) for hint in ("reader", "other"))
    _share(lab, owner, product, reader)
    assert shared_resources(lab, reader, "OTHER-ACCOUNTS") == _named(product)
    for nobody in (consumer, other):
        assert shared_resources(lab, nobody, "OTHER-ACCOUNTS") == []
    assert {each["associatedEntity"] for each in _associations(lab, owner, "PRINCIPAL")} == {reader.arn}


# -- what becomes of them -----------------------------------------------------------------------------------------


@pytest.mark.statement("ram.follow-grants", "ram.deleted-listed")
def test_shares_lose_what_is_revoked_and_are_deleted_with_the_last_grant(lab, owner, consumer, product):
    another = lab.table(owner, product.database, "another")
    for table in (product.table, another):
        grant(lab, owner, consumer, on_table(product.database, table), "SELECT", "DESCRIBE")
    revoke(lab, owner, consumer, on_table(product.database, another), "SELECT")
    assert len(shared_resources(lab, owner, "SELF")) == 3
    revoke(lab, owner, consumer, on_table(product.database, another), "DESCRIBE")
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == _named(product)
    revoke(lab, owner, consumer, on_table(product.database, product.table), "SELECT", "DESCRIBE")
    assert shared_resources(lab, owner, "SELF") == shared_resources(lab, consumer, "OTHER-ACCOUNTS") == []
    assert {each["status"] for each in _shares(lab, owner, "SELF")} == {"DELETED"}
    assert _shares(lab, consumer, "OTHER-ACCOUNTS") == []
    assert lab.client("ram", owner).list_principals(resourceOwner="SELF")["principals"] == []
    assert {each["status"] for each in _associations(lab, owner, "PRINCIPAL")} == {"DISASSOCIATED"}
    _share(lab, owner, product, consumer)
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == _named(product)


@pytest.mark.statement("ram.orphans")
@pytest.mark.parametrize("deleted", ["table", "database"])
def test_what_is_deleted_before_it_is_revoked_stays_shared(lab, owner, consumer, product, deleted):
    glue = lab.client("glue", owner)
    kept = lab.database(owner, "kept")
    other = lab.table(owner, kept, "other")
    _share(lab, owner, product, consumer)
    if deleted == "table":
        glue.delete_table(DatabaseName=product.database, Name=product.table)
    else:
        glue.delete_database(Name=product.database)
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == _named(product)
    assert sees(lab, consumer, product.database, product.table, owner) is None
    grant(lab, owner, consumer, on_table(kept, other), "SELECT")
    revoke(lab, owner, consumer, on_table(kept, other), "SELECT")
    orphans = _named(product) if deleted == "database" else _named(product)[1:]
    assert shared_resources(lab, consumer, "OTHER-ACCOUNTS") == orphans
    if deleted == "database":
        glue.create_database(DatabaseInput={"Name": product.database})
    lab.table(owner, product.database, "orders")
    assert sees(lab, consumer, product.database, product.table, owner) is None


# -- asking for them ----------------------------------------------------------------------------------------------


@pytest.mark.statement("ram.associations")
def test_associations_tell_who_has_not_accepted_yet(lab, owner, consumer, product):
    lab.organization()
    _share(lab, owner, product, consumer)
    assert {(each["associatedEntity"], each["status"]) for each in _associations(lab, owner, "PRINCIPAL")} == {
        (consumer, "ASSOCIATING")
    }
    assert {each["status"] for each in _associations(lab, owner, "RESOURCE")} == {"ASSOCIATED"}
    assert {each["status"] for each in _shares(lab, owner, "SELF")} == {"ACTIVE"}
    accept(lab, consumer)
    assert {each["status"] for each in _associations(lab, owner, "PRINCIPAL")} == {"ASSOCIATED"}
    assert _associations(lab, consumer, "PRINCIPAL") == []


@pytest.mark.statement("ram.association-filters", "ram.association-source")
def test_associations_are_filtered_by_principal_or_resource(lab, owner, consumer, product):
    other = lab.fresh()
    lab.organization(owner, consumer, other)
    for account in (consumer, other):
        _share(lab, owner, product, account)
    table = f"arn:aws:glue:{lab.region}:{owner}:{_named(product)[1]}"
    found = _associations(lab, owner, "PRINCIPAL", principal=other)
    assert {each["associatedEntity"] for each in found} == {other}
    assert len(found) == 2
    found = _associations(lab, owner, "RESOURCE", resourceArn=table)
    assert {each["associatedEntity"] for each in found} == {table}
    assert len(found) == 2
    one = found[0]["resourceShareArn"]
    assert [each["associatedEntity"] for each in _associations(lab, owner, "RESOURCE", resourceShareArns=[one])] == [
        table
    ]
    assert _associations(lab, owner, "PRINCIPAL", associationStatus="ASSOCIATING") == []
    assert len(_associations(lab, owner, "PRINCIPAL", associationStatus="ASSOCIATED")) == 4
    with refused("InvalidParameterException"):
        _associations(lab, owner, "PRINCIPAL", resourceArn=table)
    with refused("InvalidParameterException"):
        _associations(lab, owner, "RESOURCE", principal=other)
    with refused("LocalAwsNotSupported", message="SOURCE"):
        _associations(lab, owner, "SOURCE")


@pytest.mark.statement("ram.filters", "ram.malformed", "ram.resource-types")
def test_shares_resources_and_principals_are_filtered(lab, owner, consumer, product):
    other = lab.fresh()
    lab.organization(owner, consumer, other)
    another = lab.table(owner, product.database, "another")
    _share(lab, owner, product, consumer)
    grant(lab, owner, other, on_table(product.database, another), "SELECT")
    ram, every = lab.client("ram", owner), _shares(lab, owner, "SELF")
    one = every[0]
    assert len(every) == 4
    assert _shares(lab, owner, "SELF", resourceShareArns=[one["resourceShareArn"]]) == [one]
    assert _shares(lab, owner, "SELF", name=one["name"]) == [one]
    assert _shares(lab, owner, "SELF", resourceShareStatus="DELETED") == []
    with refused("UnknownResourceException"):
        _shares(lab, consumer, "SELF", resourceShareArns=[one["resourceShareArn"]])
    with refused("MalformedArnException"):
        _shares(lab, owner, "SELF", resourceShareArns=["mine"])

    def resources(**filters):
        found = ram.list_resources(resourceOwner="SELF", **filters)["resources"]
        return sorted(each["arn"].split(":", 5)[5] for each in found)

    database, table = _named(product)
    assert resources(principal=consumer) == [database, table]
    assert resources(resourceType="glue:Database") == [database, database]
    assert len(resources(resourceType="glue:Table")) == 2
    assert resources(resourceArns=[f"arn:aws:glue:{lab.region}:{owner}:{table}"]) == [table]
    assert len(resources(resourceShareArns=[one["resourceShareArn"]])) == 1
    with refused("InvalidResourceTypeException"):
        resources(resourceType="glue:Nonsense")

    def principals(**filters):
        return sorted(each["id"] for each in ram.list_principals(resourceOwner="SELF", **filters)["principals"])

    assert principals() == sorted([consumer, consumer, other, other])
    assert principals(principals=[other]) == [other, other]
    assert principals(resourceArn=f"arn:aws:glue:{lab.region}:{owner}:{table}") == [consumer]
    assert len(principals(resourceShareArns=[one["resourceShareArn"]])) == 1


@pytest.mark.statement("ram.pages")
def test_lists_come_in_pages(lab, owner, consumer, product):
    _share(lab, owner, product, consumer)
    ram = lab.client("ram", owner)
    for operation, member, more in (
        ("get_resource_shares", "resourceShares", {"resourceOwner": "SELF"}),
        ("list_resources", "resources", {"resourceOwner": "SELF"}),
        ("list_principals", "principals", {"resourceOwner": "SELF"}),
        ("get_resource_share_associations", "resourceShareAssociations", {"associationType": "RESOURCE"}),
    ):
        sizes, token = [], {}
        while token is not None:
            page = getattr(ram, operation)(**more, maxResults=1, **token)
            sizes.append(len(page[member]))
            token = {"nextToken": page["nextToken"]} if page.get("nextToken") else None
        assert sizes == [1, 1]
        with refused("InvalidNextTokenException"):
            getattr(ram, operation)(**more, nextToken="nonsense")


@pytest.mark.statement("ram.own-shares")
def test_shares_of_ones_own_making_are_refused_as_not_built(lab, owner):
    with refused("LocalAwsNotSupported", message="CreateResourceShare"):
        lab.client("ram", owner).create_resource_share(name="mine")


@pytest.mark.statement("ram.regional")
@pytest.mark.parametrize(
    ("service", "operation"),
    [("ram", "get_resource_share_invitations"), ("glue", "get_databases"), ("lakeformation", "list_permissions")],
)
def test_the_lake_of_another_region_is_refused_as_not_built(lab, service, operation):
    client = lab.session("central").client(service, region_name="us-east-1")
    with refused("LocalAwsNotSupported", message="us-east-1"):
        getattr(client, operation)()


# -- the catalogue's policy ---------------------------------------------------------------------------------------


def _statement(lab, owner, *, leave_out=(), **changes):
    prefix = f"arn:aws:glue:{lab.region}:{owner}"
    resources = {"catalog": f"{prefix}:catalog", "database": f"{prefix}:database/*", "table": f"{prefix}:table/*/*"}
    return {
        "Effect": "Allow",
        "Principal": {"Service": "ram.amazonaws.com"},
        "Action": "glue:ShareResource",
        "Resource": [arn for kind, arn in resources.items() if kind not in leave_out],
        **changes,
    }


def _policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.mark.statement("ram.policy-blocks", "ram.policy-mended", "ram.enable-hybrid", "ram.no-policy-needed")
def test_a_policy_without_ram_blocks_the_share_though_the_grant_succeeds(lab, owner, consumer, product):
    glue = lab.client("glue", owner)
    theirs = {"Effect": "Allow", "Principal": {"AWS": consumer}, "Action": "glue:*", "Resource": "*"}
    glue.put_resource_policy(PolicyInJson=_policy(theirs))
    _share(lab, owner, product, consumer)
    assert sees(lab, consumer, product.database, product.table, owner) is None
    assert {each["status"] for each in _shares(lab, owner, "SELF")} == {"FAILED"}
    assert {each["status"] for each in _associations(lab, owner, "RESOURCE")} == {"FAILED"}
    assert "glue:ShareResource" in _associations(lab, owner, "PRINCIPAL")[0]["statusMessage"]
    assert pending(lab, consumer) == []
    mended = _policy(theirs, _statement(lab, owner))
    with refused("InvalidInputException", message="EnableHybrid"):
        glue.put_resource_policy(PolicyInJson=mended)
    with refused("InvalidInputException", message="EnableHybrid"):
        glue.put_resource_policy(PolicyInJson=mended, EnableHybrid="FALSE")
    glue.put_resource_policy(PolicyInJson=mended, EnableHybrid="TRUE")
    _share(lab, owner, product, consumer)
    assert sees(lab, consumer, product.database, product.table, owner) == ["id", "email", "total"]


@pytest.mark.statement("ram.policy-statement")
def test_the_policy_must_let_ram_share_catalogue_databases_and_tables(lab, owner, consumer, product):
    for shares, changes in (
        (True, {}),
        (True, {"Principal": "*", "Action": ["glue:GetTable", "glue:Share*"], "Resource": "*"}),
        (False, {"leave_out": ("catalog",)}),
        (False, {"leave_out": ("database",)}),
        (False, {"leave_out": ("table",)}),
        (False, {"Effect": "Deny"}),
        (False, {"Action": "glue:GetTable"}),
        (False, {"Principal": {"Service": "glue.amazonaws.com"}}),
    ):
        policy = _policy(_statement(lab, owner, **changes))
        lab.client("glue", owner).put_resource_policy(PolicyInJson=policy, EnableHybrid="TRUE")
        _share(lab, owner, product, consumer)
        assert (sees(lab, consumer, product.database, product.table, owner) is not None) == shares, changes
        revoke(lab, owner, consumer, on_table(product.database, product.table), "SELECT")


@pytest.mark.statement("ram.policy-denies")
@pytest.mark.parametrize("denied", ["catalog", "database", "table"])
def test_a_denial_in_the_policy_counts_more_than_what_it_allows(lab, owner, consumer, product, denied):
    others = {"catalog", "database", "table"} - {denied}
    denial = _statement(lab, owner, leave_out=others, Effect="Deny")
    policy = _policy(_statement(lab, owner), denial)
    lab.client("glue", owner).put_resource_policy(PolicyInJson=policy, EnableHybrid="TRUE")
    _share(lab, owner, product, consumer)
    assert sees(lab, consumer, product.database, product.table, owner) is None


@pytest.mark.statement("ram.enable-hybrid")
def test_without_shares_through_ram_the_policy_needs_no_enable_hybrid(lab, owner, consumer, product):
    glue, policy = lab.client("glue", owner), _policy(_statement(lab, owner))
    glue.put_resource_policy(PolicyInJson=policy)
    reader = lab.role(owner, "reader", allow=LAKE_ACTIONS)
    grant(lab, owner, reader, on_table(product.database, product.table), "SELECT")
    glue.put_resource_policy(PolicyInJson=policy)
    _share(lab, owner, product, consumer)
    with refused("InvalidInputException", message="EnableHybrid"):
        glue.put_resource_policy(PolicyInJson=policy)
    revoke(lab, owner, consumer, on_table(product.database, product.table), "SELECT")
    glue.put_resource_policy(PolicyInJson=policy)
