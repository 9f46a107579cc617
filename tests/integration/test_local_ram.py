"""RAM of the local AWS: the shares and invitations that Lake Formation's cross-account grants make."""

import pytest
from lake_scene import lake_world, on_database, on_table, refused_with


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


@pytest.fixture
def owner(lake):
    _, admin = lake.governed("4")
    lake.database(admin, "sales")
    lake.table(admin, "sales", "orders")
    lake.table(admin, "sales", "returns")
    return admin


def _account(arn):
    return arn.split(":")[4]


def _invitations(lake, principal, **filters):
    return lake.pages(
        principal, "ram:GetResourceShareInvitations", "resourceShareInvitations", token="nextToken", **filters
    )


def _answer(lake, principal, arn, how="Accept"):
    lake.call(principal, f"ram:{how}ResourceShareInvitation", resourceShareInvitationArn=arn)


def _resources(lake, principal, whose):
    return sorted(r["arn"] for r in lake.call(principal, "ram:ListResources", resourceOwner=whose)["resources"])


def test_a_first_grant_sends_two_invitations_a_second_none(lake, owner):
    consumer, admin = lake.governed()
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    invitations = _invitations(lake, admin)
    assert len(invitations) == 2
    for invitation in invitations:
        assert invitation["status"] == "PENDING"
        assert invitation["resourceShareName"].startswith("LakeFormation-V4-")
        assert (invitation["senderAccountId"], invitation["receiverAccountId"]) == (_account(owner), consumer)
    lake.grant(owner, consumer, on_table("sales", "returns"), "SELECT")
    assert len(_invitations(lake, admin)) == 2
    assert len(_invitations(lake, admin, maxResults=1)) == 2
    assert _invitations(lake, owner) == []


def test_an_accepted_share_is_seen_with_its_resources_from_both_sides(lake, owner):
    consumer, admin = lake.governed()
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    assert lake.call(admin, "ram:GetResourceShares", resourceOwner="OTHER-ACCOUNTS")["resourceShares"] == []
    lake.accept_shares(admin)
    theirs = lake.call(admin, "ram:GetResourceShares", resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    mine = lake.call(owner, "ram:GetResourceShares", resourceOwner="SELF", resourceShareStatus="ACTIVE")
    assert theirs == mine["resourceShares"]
    prefix = f"arn:aws:glue:eu-west-1:{_account(owner)}"
    expected = [f"{prefix}:database/sales", f"{prefix}:table/sales/orders"]
    assert _resources(lake, admin, "OTHER-ACCOUNTS") == _resources(lake, owner, "SELF") == expected
    principals = lake.call(owner, "ram:ListPrincipals", resourceOwner="SELF")["principals"]
    assert {(p["id"], p["external"]) for p in principals} == {(consumer, True)}
    owners = lake.call(admin, "ram:ListPrincipals", resourceOwner="OTHER-ACCOUNTS")["principals"]
    assert {p["id"] for p in owners} == {_account(owner)}


def test_associations_tell_who_has_not_accepted_yet(lake, owner):
    consumer, admin = lake.governed()
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")

    def statuses(kind):
        found = lake.call(owner, "ram:GetResourceShareAssociations", associationType=kind)
        return {each["associatedEntity"]: each["status"] for each in found["resourceShareAssociations"]}

    assert statuses("PRINCIPAL") == {consumer: "ASSOCIATING"}
    assert set(statuses("RESOURCE").values()) == {"ASSOCIATED"}
    lake.accept_shares(admin)
    assert statuses("PRINCIPAL") == {consumer: "ASSOCIATED"}


def test_invitations_are_answered_once_by_their_receiver(lake, owner):
    consumer, admin = lake.governed()
    _, stranger = lake.governed()
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    first, second = (each["resourceShareInvitationArn"] for each in _invitations(lake, admin))
    with refused_with("ResourceShareInvitationArnNotFoundException"):
        _answer(lake, stranger, first)
    _answer(lake, admin, first)
    with refused_with("ResourceShareInvitationAlreadyAcceptedException"):
        _answer(lake, admin, first)
    _answer(lake, admin, second, "Reject")
    with refused_with("ResourceShareInvitationAlreadyRejectedException"):
        _answer(lake, admin, second)
    assert [each["status"] for each in _invitations(lake, admin)] == ["ACCEPTED", "REJECTED"]


def test_an_invitation_expires_after_12_hours(lake, owner):
    consumer, admin = lake.governed()
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    first = _invitations(lake, admin)[0]["resourceShareInvitationArn"]
    lake.world.advance(12 * 3600 - 60)
    assert _invitations(lake, admin)[0]["status"] == "PENDING"
    lake.world.advance(120)
    assert _invitations(lake, admin, resourceShareInvitationArns=[first])[0]["status"] == "EXPIRED"
    with refused_with("ResourceShareInvitationExpiredException"):
        _answer(lake, admin, first)


def test_within_an_organization_that_shares_there_is_no_invitation(lake, owner):
    consumer, admin = lake.governed()
    lake.organization(_account(owner), consumer)
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    assert _invitations(lake, admin) == []
    assert len(_resources(lake, admin, "OTHER-ACCOUNTS")) == 2
    principals = lake.call(owner, "ram:ListPrincipals", resourceOwner="SELF")["principals"]
    assert {p["external"] for p in principals} == {False}


def test_sharing_has_to_be_enabled_for_the_organization(lake, owner):
    consumer, admin = lake.governed()
    members = {_account(owner), consumer}
    with refused_with("OperationNotPermittedException"):
        lake.call(owner, "ram:EnableSharingWithAwsOrganization")
    lake.world.organization = {"id": "o-mesh", "members": members, "ram_sharing": False, "management": consumer}
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    assert len(_invitations(lake, admin)) == 2
    with refused_with("OperationNotPermittedException"):
        lake.call(owner, "ram:EnableSharingWithAwsOrganization")
    lake.call(admin, "ram:EnableSharingWithAwsOrganization")
    lake.revoke(owner, consumer, on_table("sales", "orders"), "SELECT")
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    assert _invitations(lake, admin) == []


def test_shares_go_with_the_last_grant_and_follow_named_resources(lake, owner):
    consumer, admin = lake.governed()
    lake.organization(_account(owner), consumer)
    for name in ("orders", "returns"):
        lake.grant(owner, consumer, on_table("sales", name), "SELECT")
    lake.revoke(owner, consumer, on_table("sales", "orders"), "SELECT")
    prefix = f"arn:aws:glue:eu-west-1:{_account(owner)}"
    assert _resources(lake, admin, "OTHER-ACCOUNTS") == [f"{prefix}:database/sales", f"{prefix}:table/sales/returns"]
    lake.revoke(owner, consumer, on_table("sales", "returns"), "SELECT")
    assert _resources(lake, admin, "OTHER-ACCOUNTS") == []
    shares = lake.call(owner, "ram:GetResourceShares", resourceOwner="SELF")["resourceShares"]
    assert {share["status"] for share in shares} == {"DELETED"}


def test_dropping_a_table_before_revoking_leaves_an_orphaned_share(lake, owner):
    consumer, admin = lake.governed()
    lake.organization(_account(owner), consumer)
    lake.grant(owner, consumer, on_table("sales", "orders"), "SELECT")
    lake.call(owner, "glue:DeleteTable", DatabaseName="sales", Name="orders")
    assert len(_resources(lake, admin, "OTHER-ACCOUNTS")) == 2


def test_version_5_shares_by_wildcard(lake):
    account, owner = lake.governed("5")
    consumer, admin = lake.governed()
    lake.organization(account, consumer)
    lake.database(owner, "sales")
    lake.grant(owner, consumer, on_database("sales"), "DESCRIBE")
    prefix = f"arn:aws:glue:eu-west-1:{account}"
    assert _resources(lake, admin, "OTHER-ACCOUNTS") == [f"{prefix}:database/*", f"{prefix}:table/*/*"]


def test_a_direct_grant_is_shared_with_the_principal_alone(lake, owner):
    consumer, admin = lake.governed()
    analyst = lake.role(consumer, "analyst")
    lake.organization(_account(owner), consumer)
    lake.grant(owner, analyst, on_table("sales", "orders"), "SELECT")
    assert len(_resources(lake, analyst, "OTHER-ACCOUNTS")) == 2
    assert _resources(lake, admin, "OTHER-ACCOUNTS") == []


def test_shares_of_ones_own_making_are_refused(lake, owner):
    with refused_with("LocalAwsNotSupported", "CreateResourceShare"):
        lake.call(owner, "ram:CreateResourceShare", name="mine")
