"""Regranting what another account shared: the permission cascading rules."""

import pytest
from lab import refused
from lake_calls import IAM_ALLOWED, LAKE_ACTIONS, data_product, grant, holds, on_table, on_tag, one_organization, sees


@pytest.fixture(scope="module", autouse=True)
def accounts(lab):
    one_organization(lab)
    for part in ("central", "consumer", "producer"):
        lab.lake(part)


@pytest.fixture(scope="module")
def reader(lab):
    return lab.role("consumer", "reader", allow=LAKE_ACTIONS)


@pytest.fixture
def product(lab):
    return data_product(lab)


def _sees(product, who):
    return sees(product.lab, who, product.database, product.table, product.catalog)


@pytest.mark.statement("sharing.cascade-identical")
def test_an_identical_expression_with_the_grant_option_is_regranted_without_describe_on_its_tags(lab, product, reader):
    grant(lab, "central", "consumer", product.tables("none"), "SELECT", options=True)
    grant(lab, "consumer", reader, product.tables("NONE", catalog=product.catalog), "SELECT")
    assert _sees(product, reader) == ["id", "total"]


@pytest.mark.statement("sharing.cascade-without-option")
def test_an_identical_expression_without_the_grant_option_is_denied_even_with_describe_on_its_tags(
    lab, product, reader
):
    product.share("consumer", options=False)
    with refused("AccessDeniedException", message="grant option"):
        grant(lab, "consumer", reader, product.tables("none", catalog=product.catalog), "SELECT")
    assert _sees(product, reader) is None


@pytest.mark.statement("sharing.cascade-different", "sharing.cascade-within")
def test_another_expression_needs_describe_on_all_its_pairs_and_gives_no_more_than_was_shared(lab, product, reader):
    product.share("consumer", options=False)
    wider = product.tables("none", "contact", catalog=product.catalog)
    with refused("AccessDeniedException", message=f"{product.pii}=contact"):
        grant(lab, "consumer", reader, wider, "SELECT")
    grant(lab, "central", "consumer", on_tag(product.pii, "contact"), "DESCRIBE")
    grant(lab, "consumer", reader, wider, "SELECT")
    assert _sees(product, reader) == ["id", "total"]


@pytest.mark.statement("sharing.cascade-kind", "sharing.cascade-subset")
def test_identical_is_per_kind_of_resource_and_covers_only_grantable_permissions(lab, product, reader):
    grant(lab, "central", "consumer", product.databases(), "DESCRIBE", options=True)
    grant(lab, "central", "consumer", product.tables("none", "unknown"), "SELECT", "ALTER", options=["SELECT"])
    with refused("AccessDeniedException", message="ALTER"):
        grant(lab, "consumer", reader, product.tables("none", "unknown", catalog=product.catalog), "ALTER")
    with refused("AccessDeniedException", message="Describe"):
        grant(lab, "consumer", reader, product.tables("none", catalog=product.catalog), "SELECT")
    tables_like_databases = {**product.databases(product.catalog)["LFTagPolicy"], "ResourceType": "TABLE"}
    with refused("AccessDeniedException", message="Describe"):
        grant(lab, "consumer", reader, {"LFTagPolicy": tables_like_databases}, "SELECT")


@pytest.mark.statement("sharing.regrant-unshared")
def test_nothing_is_regranted_from_an_account_that_shared_nothing(lab, product, reader):
    somebody = lab.role("producer", "somebody", allow=LAKE_ACTIONS)
    with refused("EntityNotFoundException"):
        grant(lab, "producer", somebody, product.tables("none", catalog=product.catalog), "SELECT")
    with refused("EntityNotFoundException"):
        grant(lab, "producer", somebody, on_table(product.database, product.table, product.catalog), "SELECT")
    with refused("EntityNotFoundException", "AccessDeniedException"):
        grant(lab, "producer", somebody, on_table(product.database, None, product.catalog), "SELECT")
    product.share("consumer")
    hidden = lab.table("central", product.database, "hidden")
    with refused("EntityNotFoundException"):
        grant(lab, "consumer", reader, on_table(product.database, hidden, product.catalog), "SELECT")


@pytest.mark.statement("sharing.no-transit", "sharing.no-iam-allowed-regrant")
@pytest.mark.parametrize("to", ["outsider", "central", "consumer", "role of producer", IAM_ALLOWED])
def test_a_regrant_stays_within_the_account(lab, product, to):
    product.share("consumer")
    whom = lab.role("producer", "foreign") if to == "role of producer" else to
    with refused("InvalidInputException"):
        grant(lab, "consumer", whom, product.tables("none", catalog=product.catalog), "SELECT")


@pytest.mark.statement("sharing.regrant-group")
def test_what_was_shared_is_regranted_to_all_principals_of_the_account(lab, product, reader):
    product.share("consumer")
    everybody = f"{lab.account('consumer')}:IAMPrincipals"
    assert _sees(product, reader) is None
    grant(lab, "consumer", everybody, product.tables("none", catalog=product.catalog), "SELECT")
    assert _sees(product, reader) == ["id", "total"]
    with refused("InvalidInputException"):
        others = f"{lab.account('producer')}:IAMPrincipals"
        grant(lab, "consumer", others, product.tables("none", catalog=product.catalog), "SELECT")


@pytest.mark.statement("sharing.regrant-holder")
def test_besides_administrators_only_holders_of_the_grant_option_regrant(lab, product):
    product.share("consumer")
    holder, other = (lab.role("consumer", hint, allow=LAKE_ACTIONS) for hint in ("holder", "other"))
    policy = product.tables("none", catalog=product.catalog)
    with refused("EntityNotFoundException", "AccessDeniedException"):
        grant(lab, holder, other, policy, "SELECT")
    grant(lab, "consumer", holder, policy, "SELECT")
    with refused("AccessDeniedException"):
        grant(lab, holder, other, policy, "SELECT")
    grant(lab, "consumer", holder, policy, "SELECT", options=True)
    grant(lab, holder, other, policy, "SELECT")
    assert _sees(product, other) == ["id", "total"]


@pytest.mark.statement("sharing.regrant-nobody")
def test_a_regrant_to_a_role_that_does_not_exist_is_an_invalid_principal(lab, product):
    product.share("consumer")
    missing = f"arn:aws:iam::{lab.account('consumer')}:role/{lab.name('missing', '-')}"
    with refused("InvalidInputException", message="invalid principal"):
        grant(lab, "consumer", missing, product.tables("none", catalog=product.catalog), "SELECT")


@pytest.mark.statement("sharing.regrant-by-name")
def test_a_table_shared_by_name_is_regranted_by_name_as_far_as_the_grant_option_goes(lab, product, reader):
    table = on_table(product.database, product.table)
    shared = on_table(product.database, product.table, product.catalog)
    grant(lab, "central", "consumer", table, "SELECT", "DESCRIBE", options=["SELECT"])
    grant(lab, "consumer", reader, shared, "SELECT")
    assert "SELECT" in holds(lab, reader, shared)
    assert _sees(product, reader) == ["id", "email", "total"]
    with refused("AccessDeniedException", message="grant option"):
        grant(lab, "consumer", reader, shared, "DESCRIBE")


@pytest.mark.statement("sharing.regrant-by-name")
def test_all_tables_of_a_database_are_regranted_as_they_were_shared(lab, product, reader):
    grant(lab, "central", "consumer", on_table(product.database, None), "SELECT", options=True)
    grant(lab, "consumer", reader, on_table(product.database, None, product.catalog), "SELECT")
    later = lab.table("central", product.database, "later")
    assert sees(lab, reader, product.database, later, product.catalog) == ["id", "email", "total"]
