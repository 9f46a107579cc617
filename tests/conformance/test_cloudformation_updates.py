"""CloudFormation: how a stack is made, changed, rolled back and deleted, and what each does to its resources."""

import json

import pytest
from lab import refused
from stacks import group, make, queue

GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


@pytest.fixture(scope="module")
def taken(lab):
    """The name of a queue that is there already, whoever makes another of it fails."""
    sqs, name = lab.client("sqs", "central"), lab.name("taken", "-")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    return name


@pytest.fixture(scope="module")
def alike(lab):
    """Queues whose names begin so: the set of their names."""

    def names(prefix):
        urls = lab.client("sqs", "central").list_queues(QueueNamePrefix=prefix).get("QueueUrls", [])
        return {url.rsplit("/", 1)[1] for url in urls}

    return names


def group_of(lab, name):
    """The log group of a name, or None."""
    found = lab.client("logs", "central").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((each for each in found if each["logGroupName"] == name), None)


# -- updates


@pytest.mark.statement("cloudformation.in-place", "cloudformation.replacement")
def test_a_property_changes_in_place_or_replaces_as_its_type_says(lab, alike):
    log, name = lab.name("/change", "-"), lab.name("change", "-")
    template = {
        "Resources": {
            "Q": queue(QueueName=name + "-old", VisibilityTimeout=10),
            "Dependent": group({"Fn::Sub": log + "/${Q.QueueName}"}, RetentionInDays=1),
            "Same": queue(QueueName=name + "-same"),
        }
    }
    stack = make(lab, template)
    first = stack.physical()
    properties = template["Resources"]["Q"]["Properties"]
    properties["VisibilityTimeout"] = 20
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert stack.physical() == first
    attributes = lab.client("sqs", "central").get_queue_attributes(QueueUrl=first["Q"], AttributeNames=["All"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "20"

    properties["QueueName"] = name + "-new"
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert alike(name) == {name + "-new", name + "-same"}
    second = stack.physical()
    assert second["Dependent"] == f"{log}/{name}-new"
    assert second["Same"] == first["Same"]
    assert group_of(lab, f"{log}/{name}-old") is None
    steps = [(logical_id, status) for logical_id, status, _ in stack.events()]
    assert steps.index(("Q", "DELETE_IN_PROGRESS")) > steps.index(("Dependent", "UPDATE_COMPLETE"))
    assert steps.index(("Q", "DELETE_IN_PROGRESS")) > steps.index(("stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert [status for logical_id, status in steps if logical_id == "Same"] == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert "creation of a new physical resource" in stack.reasons("UPDATE_IN_PROGRESS")


@pytest.mark.statement("cloudformation.removed")
def test_what_a_template_no_longer_has_is_deleted_after_the_update(lab, alike):
    name = lab.name("removed", "-")
    template = {"Resources": {"Stays": queue(QueueName=name + "-stays"), "Goes": queue(QueueName=name + "-goes")}}
    stack = make(lab, template)
    del template["Resources"]["Goes"]
    template["Resources"]["New"] = queue(QueueName=name + "-new")
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert alike(name) == {name + "-stays", name + "-new"}
    listed = stack.cloudformation.list_stack_resources(StackName=stack.id)["StackResourceSummaries"]
    assert {each["LogicalResourceId"] for each in listed} == {"Stays", "New"}


@pytest.mark.statement("cloudformation.removed")
def test_a_removed_resource_that_cannot_be_deleted_leaves_the_update_complete(lab):
    bucket = lab.name("left", "-")
    template = {
        "Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}, "Q": queue()},
    }
    stack = make(lab, template)
    s3 = lab.client("s3", "central")
    lab.at_end(s3.delete_bucket, Bucket=bucket)
    lab.at_end(s3.delete_object, Bucket=bucket, Key="k")
    lab.put("central", bucket, "k", "x")
    del template["Resources"]["B"]
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert "not empty" in stack.reasons("DELETE_FAILED")
    s3.head_bucket(Bucket=bucket)


TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.mark.statement("cloudformation.custom-named")
def test_a_custom_named_resource_is_not_replaced_under_its_name_others_are(lab):
    name = lab.name("role", "-")

    def template(path, **named):
        properties = {"AssumeRolePolicyDocument": TRUST, "Path": path}
        return {
            "Resources": {
                "Named": {"Type": "AWS::IAM::Role", "Properties": {**properties, "RoleName": name}},
                "Unnamed": {"Type": "AWS::IAM::Role", "Properties": {**properties, **named}},
            }
        }

    capable = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stack = make(lab, template("/a/"), **capable)
    unnamed = stack.physical()["Unnamed"]
    assert stack.update(template("/b/"), **capable) == "UPDATE_ROLLBACK_COMPLETE"
    assert f"Rename {name} and update the stack again" in stack.reasons("UPDATE_FAILED")
    iam = lab.client("iam", "central")
    assert iam.get_role(RoleName=name)["Role"]["Path"] == "/a/"
    assert stack.physical() == {"Named": name, "Unnamed": unnamed}
    only_unnamed = template("/b/")
    only_unnamed["Resources"]["Named"]["Properties"]["Path"] = "/a/"
    assert stack.update(only_unnamed, **capable) == "UPDATE_COMPLETE"
    replaced = stack.physical()["Unnamed"]
    assert iam.get_role(RoleName=replaced)["Role"]["Path"] == "/b/"
    with refused("NoSuchEntity"):
        iam.get_role(RoleName=unnamed)


@pytest.mark.statement("cloudformation.type-change")
def test_a_logical_id_keeps_its_type(lab):
    stack = make(lab, {"Resources": {"X": queue(), "Y": queue()}})
    before = stack.physical()
    changed = {"Resources": {"X": {"Type": "AWS::SNS::Topic"}, "Y": queue()}}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Update of resource type is not permitted" in stack.reasons("UPDATE_FAILED")
    assert stack.physical() == before


@pytest.mark.statement("cloudformation.no-updates")
def test_an_update_that_changes_nothing_is_refused(lab):
    template = {"Resources": {"Q": queue(VisibilityTimeout=7)}, "Outputs": {"O": {"Value": "1"}}}
    stack = make(lab, template)
    with refused("ValidationError", message="No updates are to be performed."):
        stack.update(template)
    with refused("ValidationError", message="No updates are to be performed."):
        stack.cloudformation.update_stack(StackName=stack.id, UsePreviousTemplate=True)
    template["Outputs"]["O"]["Value"] = "2"
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert stack.outputs() == {"O": "2"}
    assert stack.update(template, Tags=[{"Key": "a", "Value": "b"}]) == "UPDATE_COMPLETE"


# -- failures


@pytest.mark.statement("cloudformation.create-rollback", "cloudformation.rollback-complete")
def test_a_creation_that_fails_takes_everything_back_and_can_only_be_deleted(lab, alike, taken):
    name = lab.name("back", "-")
    template = {
        "Resources": {
            "A": queue(QueueName=name),
            "Taken": {**queue(QueueName=taken), "DependsOn": "A"},
            "Never": {**queue(QueueName=name + "-never"), "DependsOn": "Taken"},
        }
    }
    stack = make(lab, template)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "already exists" in stack.reasons("CREATE_FAILED")
    assert "failed to create: [Taken]" in stack.reasons("ROLLBACK_IN_PROGRESS")
    assert alike(name) == set()
    assert alike(taken) == {taken}, "what the stack did not make stays"
    steps = [(logical_id, status) for logical_id, status, _ in stack.events()]
    assert ("A", "DELETE_COMPLETE") in steps
    assert "Never" not in dict(steps)
    with refused("ValidationError", message="ROLLBACK_COMPLETE state and can not be updated"):
        stack.update(template)
    with refused("AlreadyExistsException"):
        stack.cloudformation.create_stack(StackName=stack.name, TemplateBody=json.dumps(template))
    assert stack.delete() == "DELETE_COMPLETE"


@pytest.mark.statement("cloudformation.disable-rollback")
def test_without_rollback_what_was_made_stays_and_can_be_updated(lab, alike, taken):
    name = lab.name("stays", "-")
    template = {
        "Resources": {"A": queue(QueueName=name), "Taken": {**queue(QueueName=taken), "DependsOn": "A"}},
    }
    stack = make(lab, template, DisableRollback=True)
    assert stack.status == "CREATE_FAILED"
    assert alike(name) == {name}
    template["Resources"]["Taken"]["Properties"]["QueueName"] = name + "-free"
    assert stack.update(template) == "UPDATE_COMPLETE"
    assert alike(name) == {name, name + "-free"}
    template["Resources"]["A"]["Properties"]["VisibilityTimeout"] = 5
    template["Resources"]["Taken"]["Properties"]["QueueName"] = taken
    assert stack.update(template, DisableRollback=True) == "UPDATE_FAILED"
    attributes = lab.client("sqs", "central").get_queue_attributes(
        QueueUrl=stack.physical()["A"], AttributeNames=["VisibilityTimeout"]
    )["Attributes"]
    assert attributes["VisibilityTimeout"] == "5"


@pytest.mark.statement("cloudformation.update-rollback")
def test_an_update_that_fails_leaves_the_stack_as_it_was(lab, alike, taken):
    log, name = lab.name("/was", "-"), lab.name("was", "-")
    template = {
        "Parameters": {"Days": {"Type": "String", "Default": "1"}},
        "Resources": {
            "Changes": group(log, RetentionInDays={"Ref": "Days"}),
            "Moves": queue(QueueName=name + "-here"),
            "Goes": queue(QueueName=name + "-goes"),
        },
        "Outputs": {"Days": {"Value": {"Ref": "Days"}}},
    }
    stack = make(lab, template)
    before = stack.physical()
    changed = json.loads(json.dumps(template))
    resources = changed["Resources"]
    resources["Moves"]["Properties"]["QueueName"] = name + "-there"
    resources["Added"] = {**queue(QueueName=name + "-added"), "DependsOn": ["Changes", "Moves"]}
    resources["Taken"] = {**queue(QueueName=taken), "DependsOn": "Added"}
    del resources["Goes"]
    thirty = [{"ParameterKey": "Days", "ParameterValue": "30"}]
    assert stack.update(changed, Parameters=thirty) == "UPDATE_ROLLBACK_COMPLETE"
    assert "failed to update: [Taken]" in stack.reasons("UPDATE_ROLLBACK_IN_PROGRESS")
    assert group_of(lab, log)["retentionInDays"] == 1
    assert alike(name) == {name + "-here", name + "-goes"}
    assert stack.outputs() == {"Days": "1"}
    assert stack.physical() == before
    listed = stack.cloudformation.list_stack_resources(StackName=stack.id)["StackResourceSummaries"]
    assert {each["LogicalResourceId"] for each in listed} == {"Changes", "Moves", "Goes"}
    assert [each["ParameterValue"] for each in stack.described()["Parameters"]] == ["1"]
    resources["Taken"]["Properties"]["QueueName"] = name + "-free"
    assert stack.update(changed, Parameters=thirty) == "UPDATE_COMPLETE"
    assert alike(name) == {f"{name}-{each}" for each in ("there", "added", "free")}


# -- policies


@pytest.mark.statement("cloudformation.deletion-policy")
def test_a_retained_resource_outlives_its_stack_and_its_part_of_the_template(lab, alike):
    name = lab.name("policy", "-")

    def of(policy):
        return {**queue(QueueName=f"{name}-{policy}"), "DeletionPolicy": policy}

    resources = {each: of(each) for each in ("Retain", "Delete", "RetainExceptOnCreate")}
    resources["Removed"] = {**queue(QueueName=name + "-removed"), "DeletionPolicy": "Retain"}
    stack = make(lab, {"Resources": resources})
    sqs = lab.client("sqs", "central")
    for url in stack.physical().values():
        lab.at_end(sqs.delete_queue, QueueUrl=url)
    del resources["Removed"]
    assert stack.update({"Resources": resources}) == "UPDATE_COMPLETE"
    assert stack.delete() == "DELETE_COMPLETE"
    assert alike(name) == {f"{name}-{each}" for each in ("Retain", "RetainExceptOnCreate", "removed")}
    skipped = {logical_id for logical_id, status, _ in stack.events() if status == "DELETE_SKIPPED"}
    assert skipped == {"Retain", "RetainExceptOnCreate", "Removed"}


@pytest.mark.statement("cloudformation.retain-except-on-create")
def test_a_failed_creation_takes_back_what_is_retained_except_on_create(lab, alike, taken):
    name = lab.name("except", "-")
    resources = {
        each: {**queue(QueueName=f"{name}-{each}"), "DeletionPolicy": each}
        for each in ("Retain", "RetainExceptOnCreate")
    }
    resources["Taken"] = {**queue(QueueName=taken), "DependsOn": list(resources), "DeletionPolicy": "Retain"}
    stack = make(lab, {"Resources": resources})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert alike(name) == {f"{name}-Retain"}
    sqs = lab.client("sqs", "central")
    lab.at_end(sqs.delete_queue, QueueUrl=stack.physical()["Retain"])
    assert ("Taken", "DELETE_SKIPPED") not in [each[:2] for each in stack.events()]


@pytest.mark.statement("cloudformation.update-replace-policy")
def test_what_a_replacement_replaces_stays_if_its_policy_says_so(lab, alike):
    name = lab.name("replaced", "-")

    def template(version):
        return {
            "Resources": {
                each: {**queue(QueueName=f"{name}-{each}-{version}"), "UpdateReplacePolicy": each}
                for each in ("Retain", "Delete")
            }
        }

    stack = make(lab, template(1))
    lab.at_end(lab.client("sqs", "central").delete_queue, QueueUrl=stack.physical()["Retain"])
    assert stack.update(template(2)) == "UPDATE_COMPLETE"
    assert alike(name) == {f"{name}-Retain-1", f"{name}-Retain-2", f"{name}-Delete-2"}
    assert stack.delete() == "DELETE_COMPLETE"
    assert alike(name) == {f"{name}-Retain-1"}


# -- deletion


@pytest.mark.statement("cloudformation.delete-failed")
def test_a_stack_that_cannot_be_deleted_says_why_and_may_then_retain(lab):
    bucket = lab.name("full", "-")
    template = {"Resources": {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}, "Q": queue()}}
    stack = make(lab, template)
    s3 = lab.client("s3", "central")
    lab.at_end(s3.delete_bucket, Bucket=bucket)
    lab.at_end(s3.delete_object, Bucket=bucket, Key="k")
    lab.put("central", bucket, "k", "x")
    with refused("ValidationError"):
        stack.delete(RetainResources=["B"])
    assert stack.delete() == "DELETE_FAILED"
    assert "not empty" in stack.reasons("DELETE_FAILED")
    assert "failed to delete: [B]" in stack.reasons("DELETE_FAILED")
    assert set(stack.physical()) == {"B"}
    with refused("ValidationError", message="can not be updated"):
        stack.update({"Resources": {"Q": queue()}})
    assert stack.delete(RetainResources=["B"]) == "DELETE_COMPLETE"
    s3.head_bucket(Bucket=bucket)


@pytest.mark.statement("cloudformation.deleted-stack")
def test_a_deleted_stack_is_found_by_its_id_alone_and_its_name_is_free(lab):
    stack = make(lab, {"Resources": {"Q": queue()}})
    assert stack.delete() == "DELETE_COMPLETE"
    with refused("ValidationError", message="does not exist"):
        stack.cloudformation.describe_stacks(StackName=stack.name)
    stack.cloudformation.delete_stack(StackName=stack.name)  # not there: nothing to do
    again = make(lab, {"Resources": {"Q": queue()}}, name=stack.name)
    assert again.status == "CREATE_COMPLETE"
    assert again.id != stack.id
    listed = stack.cloudformation.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert stack.id in [each["StackId"] for each in listed]
    assert again.id not in [each["StackId"] for each in listed]


# -- as whom


@pytest.mark.statement("cloudformation.as-the-caller")
def test_a_stack_is_deployed_with_the_callers_permissions(lab):
    role = lab.role("central", allow=["cloudformation:*", "logs:*"])
    template = {"Resources": {"G": group(lab.name("/limited", "-")), "Q": {**queue(), "DependsOn": "G"}}}
    stack = lab.eventually(lambda: make(lab, template, who=role))
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "sqs:" in stack.reasons("CREATE_FAILED")


@pytest.mark.statement("cloudformation.service-role")
def test_a_service_role_deploys_in_the_callers_stead_if_it_trusts_cloudformation(lab):
    iam, names = lab.client("iam", "central"), [lab.name("service", "-"), lab.name("other", "-")]
    arns = []
    for name, service in zip(names, ("cloudformation", "lambda"), strict=True):
        trust = json.loads(json.dumps(TRUST).replace("lambda", service))
        arns.append(iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"])
        lab.at_end(iam.delete_role, RoleName=name)
    allowed = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=names[0], PolicyName="logs", PolicyDocument=document)
    lab.at_end(iam.delete_role_policy, RoleName=names[0], PolicyName="logs")
    log = lab.name("/service", "-")
    stack = lab.eventually(lambda: make(lab, {"Resources": {"G": group(log)}}, RoleARN=arns[0]))
    assert (stack.status, stack.described()["RoleARN"]) == ("CREATE_COMPLETE", arns[0])
    assert stack.update({"Resources": {"G": group(log), "Q": queue()}}) == "UPDATE_ROLLBACK_COMPLETE"
    assert "sqs:" in stack.reasons("UPDATE_FAILED") + stack.reasons("CREATE_FAILED")
    with refused("ValidationError", "AccessDenied"):
        make(lab, {"Resources": {"Q": queue()}}, RoleARN=arns[1])


# -- tags


@pytest.mark.statement("cloudformation.tags")
def test_a_stacks_tags_are_on_its_resources_under_their_own(lab):
    tags = [{"Key": "owner", "Value": "stack"}, {"Key": "stage", "Value": "dev"}]
    own = [{"Key": "owner", "Value": "queue"}]
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": "Tagged"}],
            "PolicyDocument": {
                "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}]
            },
        },
    }
    template = {"Resources": {"Tagged": queue(Tags=own), "Plain": queue(), "Policy": policy}}
    stack = make(lab, template, Tags=tags)
    assert stack.described()["Tags"] == tags
    sqs = lab.client("sqs", "central")

    def seen(logical_id):
        found = sqs.list_queue_tags(QueueUrl=stack.physical()[logical_id]).get("Tags", {})
        return {key: value for key, value in found.items() if not key.startswith("aws:")}

    assert seen("Tagged") == {"owner": "queue", "stage": "dev"}
    assert seen("Plain") == {"owner": "stack", "stage": "dev"}
    assert stack.update(template, Tags=tags[:1]) == "UPDATE_COMPLETE"
    assert (seen("Tagged"), seen("Plain")) == ({"owner": "queue"}, {"owner": "stack"})
