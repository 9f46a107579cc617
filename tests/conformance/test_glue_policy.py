"""The resource policy of the Data Catalog. What it does to RAM is in test_ram_shares.py."""

import json

import pytest
from lab import refused

NOTHING, ANOTHER = (json.dumps({"Version": "2012-10-17", "Statement": [], "Id": name}) for name in ("a", "b"))


@pytest.fixture
def glue(lab):
    client = lab.client("glue", "producer")
    lab.at_end(client.delete_resource_policy)
    yield client
    if client.get_resource_policies()["GetResourcePoliciesResponseList"]:
        client.delete_resource_policy()


@pytest.mark.statement("glue.policy-kept", "glue.not-found")
def test_the_policy_is_kept_with_a_hash_until_it_is_deleted(glue):
    with refused("EntityNotFoundException"):
        glue.get_resource_policy()
    with refused("EntityNotFoundException"):
        glue.delete_resource_policy()
    assert glue.get_resource_policies()["GetResourcePoliciesResponseList"] == []
    made = glue.put_resource_policy(PolicyInJson=NOTHING)
    kept = glue.get_resource_policy()
    assert json.loads(kept["PolicyInJson"]) == json.loads(NOTHING)
    assert kept["PolicyHash"] == made["PolicyHash"]
    (listed,) = glue.get_resource_policies()["GetResourcePoliciesResponseList"]
    assert listed["PolicyHash"] == made["PolicyHash"]
    changed = glue.put_resource_policy(PolicyInJson=ANOTHER)
    assert changed["PolicyHash"] != made["PolicyHash"]
    after = glue.get_resource_policy()
    assert json.loads(after["PolicyInJson"])["Id"] == "b"
    assert after["CreateTime"] == kept["CreateTime"] <= after["UpdateTime"]
    glue.delete_resource_policy()
    assert glue.get_resource_policies()["GetResourcePoliciesResponseList"] == []


@pytest.mark.statement("glue.policy-conditions")
def test_putting_and_deleting_may_be_conditioned(glue):
    with refused("EntityNotFoundException"):
        glue.put_resource_policy(PolicyInJson=NOTHING, PolicyExistsCondition="MUST_EXIST")
    with refused("ConditionCheckFailureException"):
        glue.put_resource_policy(PolicyInJson=NOTHING, PolicyHashCondition="other")
    first = glue.put_resource_policy(PolicyInJson=NOTHING, PolicyExistsCondition="NOT_EXIST")["PolicyHash"]
    with refused("ConditionCheckFailureException"):
        glue.put_resource_policy(PolicyInJson=ANOTHER, PolicyExistsCondition="NOT_EXIST")
    for call in (
        lambda: glue.put_resource_policy(PolicyInJson=ANOTHER, PolicyHashCondition="other"),
        lambda: glue.delete_resource_policy(PolicyHashCondition="other"),
    ):
        with refused("ConditionCheckFailureException"):
            call()
    assert glue.get_resource_policy()["PolicyHash"] == first
    glue.put_resource_policy(PolicyInJson=ANOTHER, PolicyHashCondition=first, PolicyExistsCondition="MUST_EXIST")
    second = glue.put_resource_policy(PolicyInJson=NOTHING, PolicyExistsCondition="NONE")["PolicyHash"]
    glue.delete_resource_policy(PolicyHashCondition=second)
    with refused("EntityNotFoundException"):
        glue.get_resource_policy()


@pytest.mark.statement("glue.policy-json")
@pytest.mark.parametrize("text", ["{{", "[]", '"policy"', "true"])
def test_what_is_no_json_object_is_no_policy(glue, text):
    with refused("InvalidInputException", message="policy"):
        glue.put_resource_policy(PolicyInJson=text)
    assert glue.get_resource_policies()["GetResourcePoliciesResponseList"] == []
