"""RAM's invitations to what Lake Formation shares: sent, accepted, rejected, expired; organizations on and off."""

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS, accept, data_product, grant, on_table, pending, revoke, sees, shown_database

pytestmark = pytest.mark.local_only("needs accounts that nobody has shared with, organizations, and a clock")

HOURS = 3600


@pytest.fixture(scope="module")
def product(lab):
    lab.lake("central")
    return data_product(lab)


@pytest.fixture
def consumer(lab):
    """An account of its own, in no organization."""
    account = lab.fresh()
    lab.lake(account)
    return account


def _share(product, to, options=False):
    grant(product.lab, "central", to, on_table(product.database, product.table), "SELECT", "DESCRIBE", options=options)


def _invitations(lab, who, **filters):
    return lab.client("ram", who).get_resource_share_invitations(**filters)["resourceShareInvitations"]


def _accept(lab, who, arn):
    return lab.client("ram", who).accept_resource_share_invitation(resourceShareInvitationArn=arn)


def _reject(lab, who, arn):
    return lab.client("ram", who).reject_resource_share_invitation(resourceShareInvitationArn=arn)


def _seen(product, who):
    return sees(product.lab, who, product.database, product.table, product.catalog)


@pytest.mark.statement("ram.two-shares", "ram.shares-reused", "ram.invitation-shape", "ram.names")
def test_a_first_grant_sends_two_invitations_and_a_second_none(lab, product, consumer):
    _share(product, consumer)
    invitations = _invitations(lab, consumer)
    assert len(invitations) == 2
    for each in invitations:
        assert (each["senderAccountId"], each["receiverAccountId"]) == (product.catalog, consumer)
        assert each["resourceShareName"].startswith("LakeFormation-V4-")
        assert each["resourceShareArn"].startswith(f"arn:aws:ram:{lab.region}:{product.catalog}:resource-share/")
        assert abs((each["invitationTimestamp"] - lab.aws.world.now()).total_seconds()) < 60
        assert (each["status"], each.get("receiverArn")) == ("PENDING", None)
    another = lab.table("central", product.database, "another")
    grant(lab, "central", consumer, on_table(product.database, another), "SELECT")
    product.share(consumer)
    assert _invitations(lab, consumer) == invitations


@pytest.mark.statement("ram.invitation-shape", "ram.direct")
def test_a_principal_that_was_granted_to_is_named_in_the_invitation_and_sees_it_when_its_account_accepts(
    lab, product, consumer
):
    reader = lab.role(consumer, "reader", allow=LAKE_ACTIONS)
    _share(product, reader)
    assert {each["receiverArn"] for each in _invitations(lab, consumer)} == {reader.arn}
    assert _seen(product, reader) is None
    accept(lab, consumer)
    assert _seen(product, reader) == ["id", "email", "total"]
    assert _seen(product, consumer) is None


@pytest.mark.statement("ram.invisible-until-accepted", "ram.tbac-acceptance")
def test_nothing_that_was_shared_by_tags_is_visible_before_the_invitations_are_accepted(lab, product, consumer):
    product.share(consumer)
    glue, formation = lab.client("glue", consumer), lab.client("lakeformation", consumer)
    reader = lab.role(consumer, "reader")

    def shown():
        return (
            len(glue.get_databases(ResourceShareType="FOREIGN")["DatabaseList"]),
            len(formation.list_lf_tags(CatalogId=product.catalog)["LFTags"]),
            len(formation.list_permissions(CatalogId=product.catalog)["PrincipalResourcePermissions"]),
        )

    assert shown() == (0, 0, 0)
    assert _seen(product, consumer) is None
    with refused("EntityNotFoundException"):
        product.regrant(consumer, reader)
    assert accept(lab, consumer) == 2
    assert shown() == (1, 2, 4)
    assert _seen(product, consumer) == ["id", "total"]
    product.regrant(consumer, reader)


@pytest.mark.statement("ram.both-invitations")
@pytest.mark.parametrize("kind", ["database", "table"])
def test_accepting_one_invitation_shows_what_is_of_its_kind(lab, product, consumer, kind):
    product.share(consumer)
    found = lab.client("ram", "central").list_resources(
        resourceOwner="SELF", principal=consumer, resourceType=f"glue:{kind.title()}"
    )
    (share,) = {each["resourceShareArn"] for each in found["resources"]}
    (invitation,) = _invitations(lab, consumer, resourceShareArns=[share])
    _accept(lab, consumer, invitation["resourceShareInvitationArn"])
    assert (shown_database(lab, consumer, product.database, product.catalog) is not None) == (kind == "database")
    assert (_seen(product, consumer) is not None) == (kind == "table")


@pytest.mark.statement("ram.answered-once", "ram.receiver-answers", "ram.rejected-sees-nothing")
def test_invitations_are_answered_once_and_by_their_receiver(lab, product, consumer):
    stranger = lab.fresh()
    _share(product, consumer)
    first, second = (each["resourceShareInvitationArn"] for each in _invitations(lab, consumer))
    assert _invitations(lab, stranger) == []
    assert _invitations(lab, "central") == []
    with refused("ResourceShareInvitationArnNotFoundException"):
        _accept(lab, stranger, first)
    answer = _accept(lab, consumer, first)["resourceShareInvitation"]
    assert (answer["resourceShareInvitationArn"], answer["status"]) == (first, "ACCEPTED")
    assert _reject(lab, consumer, second)["resourceShareInvitation"]["status"] == "REJECTED"
    for answer_again in (_accept, _reject):
        with refused("ResourceShareInvitationAlreadyAcceptedException"):
            answer_again(lab, consumer, first)
        with refused("ResourceShareInvitationAlreadyRejectedException"):
            answer_again(lab, consumer, second)
    assert [each["status"] for each in _invitations(lab, consumer)] == ["ACCEPTED", "REJECTED"]
    assert _seen(product, consumer) is None


@pytest.mark.statement("ram.receiver-answers")
def test_a_client_token_comes_back_with_the_answer(lab, product, consumer):
    _share(product, consumer)
    first, second = (each["resourceShareInvitationArn"] for each in pending(lab, consumer))
    ram = lab.client("ram", consumer)
    answer = ram.accept_resource_share_invitation(resourceShareInvitationArn=first, clientToken="mine")
    assert answer["clientToken"] == "mine"
    answer = ram.reject_resource_share_invitation(resourceShareInvitationArn=second, clientToken="my own")
    assert answer["clientToken"] == "my own"


@pytest.mark.statement("ram.expire-12-hours", "ram.expired-not-accepted")
def test_an_invitation_expires_after_12_hours(lab, product, consumer):
    _share(product, consumer)
    first, second = (each["resourceShareInvitationArn"] for each in _invitations(lab, consumer))
    lab.aws.world.advance(12 * HOURS - 60)
    _accept(lab, consumer, first)
    lab.aws.world.advance(120)
    found = _invitations(lab, consumer, resourceShareInvitationArns=[second])
    assert [each["status"] for each in found] == ["EXPIRED"]
    assert pending(lab, consumer) == []
    for answer in (_accept, _reject):
        with refused("ResourceShareInvitationExpiredException"):
            answer(lab, consumer, second)
    statuses = {each["resourceShareInvitationArn"]: each["status"] for each in _invitations(lab, consumer)}
    assert statuses == {first: "ACCEPTED", second: "EXPIRED"}


@pytest.mark.statement("ram.expired-regrant")
@pytest.mark.parametrize("how", ["expired", "rejected"])
def test_after_an_invitation_has_expired_or_was_rejected_a_new_grant_invites_again(lab, product, consumer, how):
    _share(product, consumer)
    if how == "expired":
        lab.aws.world.advance(12 * HOURS + 1)
    else:
        for each in pending(lab, consumer):
            _reject(lab, consumer, each["resourceShareInvitationArn"])
    assert pending(lab, consumer) == []
    _share(product, consumer)
    assert accept(lab, consumer) == 2
    assert len(_invitations(lab, consumer)) == 4
    assert _seen(product, consumer) == ["id", "email", "total"]


@pytest.mark.statement("ram.expired-regrant")
def test_an_accepted_share_neither_expires_nor_invites_again(lab, product, consumer):
    _share(product, consumer)
    accept(lab, consumer)
    lab.aws.world.advance(24 * HOURS)
    _share(product, consumer)
    assert len(_invitations(lab, consumer)) == 2
    assert _seen(product, consumer) == ["id", "email", "total"]


@pytest.mark.statement("ram.deleted-listed")
def test_a_revoked_grant_takes_its_invitations_with_it(lab, product, consumer):
    _share(product, consumer)
    arn = pending(lab, consumer)[0]["resourceShareInvitationArn"]
    revoke(lab, "central", consumer, on_table(product.database, product.table), "SELECT", "DESCRIBE")
    assert _invitations(lab, consumer) == []
    with refused("ResourceShareInvitationArnNotFoundException"):
        _accept(lab, consumer, arn)


@pytest.mark.statement("ram.malformed", "ram.pages")
def test_invitations_are_found_by_arn_and_come_in_pages(lab, product, consumer):
    _share(product, consumer)
    ram = lab.client("ram", consumer)
    both = _invitations(lab, consumer)
    pages = list(ram.get_paginator("get_resource_share_invitations").paginate(PaginationConfig={"PageSize": 1}))
    assert [page["resourceShareInvitations"] for page in pages] == [[both[0]], [both[1]]]
    assert _invitations(lab, consumer, resourceShareArns=[both[1]["resourceShareArn"]]) == [both[1]]
    missing = both[0]["resourceShareInvitationArn"] + "x"
    for arns, code in (
        ([missing], "ResourceShareInvitationArnNotFoundException"),
        (["invitation"], "MalformedArnException"),
    ):
        with refused(code):
            _invitations(lab, consumer, resourceShareInvitationArns=arns)
    with refused("MalformedArnException"):
        _accept(lab, consumer, "invitation")
    with refused("MalformedArnException"):
        _invitations(lab, consumer, resourceShareArns=["share"])
    with refused("InvalidNextTokenException"):
        _invitations(lab, consumer, nextToken="nonsense")


# -- organizations ------------------------------------------------------------------------------------------------


@pytest.fixture
def organization(lab):
    """A function that puts accounts in one organization with the second as its management account."""

    def put(management, *members, ram_sharing):
        lab.organization(management, *members, ram_sharing=ram_sharing)
        lab.aws.world.organization["management"] = lab.account(management)

    yield put
    lab.organization()
    lab.aws.world.organization.pop("management", None)


@pytest.mark.statement("ram.no-invitation-inside", "ram.two-shares")
def test_within_an_organization_that_shares_there_is_no_invitation(lab, product, consumer, organization):
    organization("central", consumer, ram_sharing=True)
    _share(product, consumer)
    assert _invitations(lab, consumer) == []
    assert _seen(product, consumer) == ["id", "email", "total"]
    shares = lab.client("ram", consumer).get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"]
    assert len(shares) == 2
    principals = lab.client("ram", "central").list_principals(resourceOwner="SELF", principals=[consumer])
    assert {each["external"] for each in principals["principals"]} == {False}


@pytest.mark.statement("ram.no-invitation-inside")
def test_accounts_outside_the_organization_are_invited(lab, product, consumer, organization):
    organization("central", lab.fresh(), ram_sharing=True)
    _share(product, consumer)
    assert len(pending(lab, consumer)) == 2
    principals = lab.client("ram", "central").list_principals(resourceOwner="SELF", principals=[consumer])
    assert {each["external"] for each in principals["principals"]} == {True}


@pytest.mark.statement("ram.sharing-to-enable", "ram.enable-by-management", "ram.enable-not-backwards")
def test_sharing_is_enabled_by_the_management_account_and_for_new_shares(lab, product, consumer, organization):
    later, management = lab.fresh(), lab.fresh()
    organization(management, "central", consumer, later, ram_sharing=False)
    _share(product, consumer)
    assert len(pending(lab, consumer)) == 2
    for other in ("central", lab.fresh()):
        with refused("OperationNotPermittedException"):
            lab.client("ram", other).enable_sharing_with_aws_organization()
    assert lab.client("ram", management).enable_sharing_with_aws_organization()["returnValue"] is True
    assert len(pending(lab, consumer)) == 2
    assert _seen(product, consumer) is None
    lab.lake(later)
    lab.aws.world.organization.pop("management")
    with refused("OperationNotPermittedException"):
        lab.client("ram", lab.fresh()).enable_sharing_with_aws_organization()
    _share(product, later)
    assert _invitations(lab, later) == []
    assert _seen(product, later) == ["id", "email", "total"]
