"""CloudFormation: custom resources."""

import threading
import time

import pytest
from functions_lab import Functions, role_for
from lab import refused
from stacks import Stack, body, make, queue

CODE = """
import json, time, urllib.request

def handler(event, context):
    print(json.dumps({**event, "at": time.time()}))
    properties = event["ResourceProperties"]
    if event["RequestType"] == "Delete":
        properties = {key: properties[key] for key in ("Id", "FailOn", "IdLater") if key in properties}
    if "Crash" in properties:
        raise RuntimeError("crashed")
    if "Silent" in properties:
        return
    answer = {
        "Status": "FAILED" if event["RequestType"] in properties.get("FailOn", "") else "SUCCESS",
        "Reason": "as asked",
        "PhysicalResourceId": properties.get("Id", "thing"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Greeting": "hello " + properties.get("Name", ""), **properties.get("Data", {})},
        **properties.get("Answer", {}),
    }
    for key in properties.get("Without", []):
        del answer[key]
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), method="PUT", headers={"Content-Type": ""}
    )
    urllib.request.urlopen(request)
"""


@pytest.fixture(scope="module")
def functions(lab):
    return Functions(lab, role_for(lab))


@pytest.fixture(scope="module")
def token(functions):
    return functions.arn(functions.make(CODE, Timeout=10))


@pytest.fixture(scope="module")
def requests(lab, functions, token):
    """What the function was asked for a stack."""

    def of(stack, count):
        def seen():
            asked = functions.printed(token.rsplit(":", 1)[1])
            found = [each for each in asked if each["StackId"] == stack.id]
            return found if len(found) >= count else None

        found = lab.eventually(seen)
        assert found is not None
        return found

    return of


def thing(token, **properties):
    return {
        "Resources": {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": token, **properties}}},
        "Outputs": {"Greeting": {"Value": {"Fn::GetAtt": ["Thing", "Greeting"]}}, "Id": {"Value": {"Ref": "Thing"}}},
    }


@pytest.mark.statement("cloudformation.custom-request", "cloudformation.custom-response")
def test_the_function_is_asked_to_create_update_and_delete_with_every_value_as_text(lab, token, requests):
    stack = make(lab, thing(token, Name="a", Number=3, Flag=True, Nested={"List": [1, "x"]}))
    assert stack.outputs() == {"Greeting": "hello a", "Id": "thing"}
    assert stack.update(thing(token, Name="b")) == "UPDATE_COMPLETE"
    assert stack.outputs()["Greeting"] == "hello b"
    assert stack.delete() == "DELETE_COMPLETE"
    create, update, delete = requests(stack, 3)
    assert [each["RequestType"] for each in (create, update, delete)] == ["Create", "Update", "Delete"]
    assert create["ResourceProperties"] == {
        "ServiceToken": token,
        "Name": "a",
        "Number": "3",
        "Flag": "true",
        "Nested": {"List": ["1", "x"]},
    }
    assert (create["ResourceType"], create["LogicalResourceId"]) == ("Custom::Thing", "Thing")
    assert "PhysicalResourceId" not in create
    assert update["OldResourceProperties"] == create["ResourceProperties"]
    assert update["PhysicalResourceId"] == delete["PhysicalResourceId"] == "thing"
    assert delete["ResourceProperties"] == {"ServiceToken": token, "Name": "b"}
    assert len({each["RequestId"] for each in (create, update, delete)}) == 3


@pytest.mark.statement("cloudformation.custom-replacement")
def test_a_new_physical_id_is_a_replacement_and_the_old_one_is_deleted(lab, token, requests):
    stack = make(lab, thing(token, Id="one"))
    assert stack.update(thing(token, Id="two")) == "UPDATE_COMPLETE"
    asked = [(each["RequestType"], each.get("PhysicalResourceId")) for each in requests(stack, 3)]
    assert asked == [("Create", None), ("Update", "one"), ("Delete", "one")]
    assert stack.outputs()["Id"] == "two"


@pytest.mark.statement("cloudformation.custom-failed")
def test_a_resource_that_fails_shows_its_reason_and_is_deleted_and_an_update_taken_back(lab, token, requests):
    broken = make(lab, thing(token, FailOn="Create", Id="half-made"))
    assert broken.status == "ROLLBACK_COMPLETE"
    assert "as asked" in broken.reasons("CREATE_FAILED")
    asked = [(each["RequestType"], each.get("PhysicalResourceId")) for each in requests(broken, 2)]
    assert asked == [("Create", None), ("Delete", "half-made")]
    stack = make(lab, thing(token, Name="a"))
    assert stack.update(thing(token, Name="b", FailOn="Update")) == "UPDATE_ROLLBACK_COMPLETE"
    last = requests(stack, 3)[-1]
    assert (last["RequestType"], last["ResourceProperties"]["Name"]) == ("Update", "a")
    assert stack.outputs()["Greeting"] == "hello a"


@pytest.mark.statement("cloudformation.custom-delete-failed")
def test_a_deletion_that_fails_leaves_the_stack(lab, token):
    stack = make(lab, thing(token, FailOn="Delete"))
    assert stack.delete() == "DELETE_FAILED"
    assert "as asked" in stack.reasons("DELETE_FAILED")
    assert stack.delete(RetainResources=["Thing"]) == "DELETE_COMPLETE"


ANSWERS = [
    ({"Answer": {"StackId": "other"}, "ServiceTimeout": 2}, "StackId"),
    ({"Answer": {"RequestId": "other"}, "ServiceTimeout": 2}, "RequestId"),
    ({"Answer": {"LogicalResourceId": "Other"}, "ServiceTimeout": 2}, "LogicalResourceId"),
    ({"Answer": {"Status": "DONE"}}, "Status"),
    ({"Answer": {"PhysicalResourceId": ""}}, "PhysicalResourceId"),
    ({"Answer": {"PhysicalResourceId": ["x"]}}, "PhysicalResourceId"),
    ({"Without": ["PhysicalResourceId"]}, "PhysicalResourceId"),
    ({"Data": {"Long": "x" * 4096}}, "Response object is too long"),
]


@pytest.mark.statement("cloudformation.custom-response")
@pytest.mark.parametrize(("properties", "reason"), ANSWERS, ids=range(len(ANSWERS)))
def test_an_answer_that_is_none_fails_the_resource(lab, token, properties, reason):
    stack = make(lab, thing(token, **properties), DisableRollback=True)
    assert stack.status == "CREATE_FAILED"
    assert reason in stack.reasons("CREATE_FAILED") or not lab.is_local


@pytest.mark.statement("cloudformation.custom-size")
@pytest.mark.local_only("the size of an answer's other members differs on AWS by the lengths of ids")
def test_an_answer_of_4096_bytes_is_taken(lab, token, requests):
    def size(fill):
        return make(lab, thing(token, Data={"Fill": "x" * fill}), name=lab.name("size", "-"), DisableRollback=True)

    known = size(0)
    request = requests(known, 1)[0]
    answer = {
        "Status": "SUCCESS", "Reason": "as asked", "PhysicalResourceId": "thing", "StackId": request["StackId"],
        "RequestId": request["RequestId"], "LogicalResourceId": "Thing", "Data": {"Greeting": "hello ", "Fill": ""},
    }  # fmt: skip
    room = 4096 - len(body(answer))
    assert [size(room).status, size(room + 1).status] == ["CREATE_COMPLETE", "CREATE_FAILED"]


@pytest.mark.statement("cloudformation.custom-attribute")
def test_an_attribute_that_the_answer_lacks_fails_the_resource_that_asks_for_it(lab, token):
    template = thing(token)
    template["Resources"]["Q"] = queue(QueueName={"Fn::GetAtt": ["Thing", "Nothing"]})
    stack = make(lab, template)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "Vendor response doesn't contain Nothing attribute" in stack.reasons("CREATE_FAILED")


@pytest.mark.statement("cloudformation.unlisted")
@pytest.mark.local_only("what is not built is refused here only")
def test_what_is_not_built_is_refused_also_where_an_attribute_brings_it(lab, token):
    template = thing(token, Data={"Redrive": {"LambdaConfigurations": []}})
    value = {"Fn::GetAtt": ["Thing", "Redrive"]}
    template["Resources"]["B"] = {"Type": "AWS::S3::Bucket", "Properties": {"NotificationConfiguration": value}}
    stack = make(lab, template)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "property NotificationConfiguration.LambdaConfigurations" in stack.reasons("CREATE_FAILED")


@pytest.mark.statement("cloudformation.service-token")
def test_the_service_token_is_needed_and_stays(lab, functions, token):
    without = {"Resources": {"Thing": {"Type": "AWS::CloudFormation::CustomResource", "Properties": {"Name": "a"}}}}
    stack = make(lab, without)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "ServiceToken" in stack.reasons("CREATE_FAILED")
    stack = make(lab, thing(token, Name="a"))
    other = functions.arn(functions.make(CODE, Timeout=10))
    assert stack.update(thing(other, Name="a")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed" in stack.reasons("UPDATE_FAILED")


@pytest.mark.statement("cloudformation.service-timeout")
@pytest.mark.parametrize("wrong", [0, 3601, "soon"])
def test_the_service_timeout_is_between_a_second_and_an_hour(lab, token, wrong):
    stack = make(lab, thing(token, ServiceTimeout=wrong))
    assert stack.status == "ROLLBACK_COMPLETE"
    assert stack.physical() == {}


@pytest.mark.statement("cloudformation.service-timeout")
def test_a_function_that_never_answers_fails_the_resource_when_its_time_is_over(lab, token):
    stack = make(lab, thing(token, Silent=True, ServiceTimeout=1), DisableRollback=True)
    assert stack.status == "CREATE_FAILED"
    assert "did not receive a response" in stack.reasons("CREATE_FAILED")


@pytest.mark.statement("cloudformation.custom-crash")
@pytest.mark.local_only("AWS waits minutes between the attempts, and then for the answer")
def test_a_function_that_crashes_is_tried_three_times_and_fails_the_resource(lab, token, requests):
    stack = make(lab, thing(token, Crash=True), DisableRollback=True)
    assert stack.status == "CREATE_FAILED"
    assert "RuntimeError" in stack.reasons("CREATE_FAILED")
    assert len(requests(stack, 3)) == 3


@pytest.mark.statement("cloudformation.in-progress")
def test_a_stack_on_which_something_is_under_way_is_left_alone(lab, token):
    stack = make(lab, thing(token, Name="a"))
    slow = thing(token, Silent=True, ServiceTimeout=1)
    update = threading.Thread(target=stack.update, args=(slow,))
    update.start()
    while stack.cloudformation.describe_stacks(StackName=stack.id)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE":
        time.sleep(0.02)
    with refused("ValidationError", message="UPDATE_IN_PROGRESS"):
        stack.cloudformation.delete_stack(StackName=stack.id)
    with refused("ValidationError", message="UPDATE_IN_PROGRESS"):
        stack.cloudformation.update_stack(StackName=stack.id, TemplateBody=body(thing(token)))
    update.join()
    assert isinstance(stack, Stack)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
