"""CloudFormation: change sets, exports, capabilities, protection, and how stacks are described."""

import json

import pytest
from lab import refused
from stacks import Stack, body, given, group, make, queue

ONE = {"Resources": {"Q": queue()}}


@pytest.fixture(scope="module")
def cloudformation(lab):
    return lab.client("cloudformation", "central")


# -- change sets


def change_set(stack, name, template, kind="UPDATE", **options):
    """Make a change set; returns its description."""
    made = stack.cloudformation.create_change_set(
        StackName=stack.name, ChangeSetName=name, ChangeSetType=kind, TemplateBody=body(template), **options
    )
    stack.id = made["StackId"]
    waited = ("CREATE_PENDING", "CREATE_IN_PROGRESS")
    return stack.lab.eventually(
        lambda: (
            (found := stack.cloudformation.describe_change_set(ChangeSetName=made["Id"]))["Status"] not in waited
            and found
        )
    )


def shown(described):
    changes = (each["ResourceChange"] for each in described["Changes"])
    return {each["LogicalResourceId"]: (each["Action"], each.get("Replacement")) for each in changes}


@pytest.fixture
def stack(lab, cloudformation):
    made = Stack(lab, lab.name("set", "-"), "central")
    lab.at_end(cloudformation.delete_stack, StackName=made.name)
    return made


@pytest.mark.statement("cloudformation.change-set", "cloudformation.change-set-changes")
def test_a_change_set_says_what_would_change_and_does_it_when_executed(lab, cloudformation, stack):
    name = lab.name("/set", "-")
    template = {
        "Resources": {
            "Same": queue(QueueName={"Fn::Sub": "${AWS::StackName}-same"}),
            "Changes": group(name + "/changes"),
            "Moves": group(name + "/moves"),
            "Follows": queue(Tags=[{"Key": "log", "Value": {"Ref": "Moves"}}]),
            "Goes": queue(),
        }
    }
    first = change_set(stack, "first", template, "CREATE", Description="the first")
    assert (first["Status"], first["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert first["Description"] == "the first"
    assert shown(first) == dict.fromkeys(template["Resources"], ("Add", None))
    assert stack.status == "REVIEW_IN_PROGRESS"
    assert stack.physical() == {}
    cloudformation.execute_change_set(StackName=stack.name, ChangeSetName="first")
    assert stack.status == "CREATE_COMPLETE"

    resources = template["Resources"]
    resources["Changes"]["Properties"]["RetentionInDays"] = 3
    resources["Moves"]["Properties"]["LogGroupName"] = name + "/moved"
    resources["New"] = queue()
    del resources["Goes"]
    second = change_set(stack, "second", template)
    assert shown(second) == {
        "Changes": ("Modify", "False"),
        "Moves": ("Modify", "True"),
        "Follows": ("Modify", "Conditional" if lab.is_local else shown(second)["Follows"][1]),
        "New": ("Add", None),
        "Goes": ("Remove", None),
    }
    changes = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in second["Changes"]}
    assert changes["Moves"]["PhysicalResourceId"] == name + "/moves"
    assert "PhysicalResourceId" not in changes["New"]
    (detail,) = changes["Changes"]["Details"]
    assert (detail["Target"]["Attribute"], detail["Target"]["Name"]) == ("Properties", "RetentionInDays")
    assert stack.physical()["Moves"] == name + "/moves"
    cloudformation.execute_change_set(ChangeSetName=second["ChangeSetId"])
    assert stack.status == "UPDATE_COMPLETE"
    assert stack.physical()["Moves"] == name + "/moved"
    assert stack.described()["ChangeSetId"] == second["ChangeSetId"]


@pytest.mark.statement("cloudformation.change-set-empty")
def test_a_change_set_without_changes_fails_and_cannot_be_executed(lab, cloudformation):
    stack = make(lab, ONE)
    empty = change_set(stack, "empty", ONE)
    assert (empty["Status"], empty["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert empty["StatusReason"].startswith("The submitted information didn't contain changes.")
    with refused("InvalidChangeSetStatus", "InvalidChangeSetStatusException"):
        cloudformation.execute_change_set(StackName=stack.name, ChangeSetName="empty")
    cloudformation.delete_change_set(StackName=stack.name, ChangeSetName="empty")
    assert cloudformation.list_change_sets(StackName=stack.name)["Summaries"] == []


@pytest.mark.statement("cloudformation.change-set-once")
def test_a_change_set_is_executed_once_and_takes_the_others_with_it(lab, cloudformation, stack):
    change_set(stack, "a", ONE, "CREATE")
    change_set(stack, "b", {"Resources": {"Q": queue(), "R": queue()}}, "CREATE")
    with refused("AlreadyExistsException"):
        change_set(stack, "a", ONE, "CREATE")
    cloudformation.execute_change_set(StackName=stack.name, ChangeSetName="a")
    assert stack.status == "CREATE_COMPLETE"
    with refused("ChangeSetNotFound", "ChangeSetNotFoundException"):
        cloudformation.describe_change_set(StackName=stack.name, ChangeSetName="b")
    (left,) = cloudformation.list_change_sets(StackName=stack.name)["Summaries"]
    assert (left["ChangeSetName"], left["ExecutionStatus"]) == ("a", "EXECUTE_COMPLETE")
    with refused("InvalidChangeSetStatus", "InvalidChangeSetStatusException"):
        cloudformation.execute_change_set(StackName=stack.name, ChangeSetName="a")
    with refused("ValidationError", message="already exists"):
        change_set(stack, "c", ONE, "CREATE")


@pytest.mark.statement("cloudformation.change-set")
def test_a_stack_that_was_never_made_is_deleted_with_its_change_sets(lab, cloudformation, stack):
    change_set(stack, "a", ONE, "CREATE")
    assert stack.delete() == "DELETE_COMPLETE"
    with refused("ValidationError", message="does not exist"):
        cloudformation.describe_stacks(StackName=stack.name)


@pytest.mark.statement("cloudformation.change-set-type")
def test_an_update_needs_a_stack_and_a_first_template_is_not_the_previous_one(lab, cloudformation, stack):
    with refused("ValidationError", message="does not exist"):
        change_set(stack, "c", ONE)
    with refused("ValidationError"):
        cloudformation.create_change_set(
            StackName=stack.name, ChangeSetName="c", ChangeSetType="CREATE", UsePreviousTemplate=True
        )
    with refused("ValidationError", message="Unresolved"):
        change_set(stack, "c", {"Resources": {"Q": queue(QueueName={"Ref": "Nobody"})}}, "CREATE")
    with refused("ValidationError", message="does not exist"):
        cloudformation.list_change_sets(StackName=stack.name)


@pytest.mark.statement("cloudformation.change-set-type")
def test_no_change_set_is_made_for_a_stack_that_can_not_be_updated(lab, cloudformation):
    taken = make(lab, ONE).physical()["Q"].rsplit("/", 1)[1]
    broken = make(lab, {"Resources": {"Q": queue(QueueName=taken)}})
    assert broken.status == "ROLLBACK_COMPLETE"
    with refused("ValidationError", message="ROLLBACK_COMPLETE state and can not be updated"):
        change_set(broken, "c", ONE)


@pytest.mark.statement("cloudformation.import")
@pytest.mark.local_only("what is not built is refused here only")
def test_a_change_set_that_imports_resources_is_refused(lab, stack):
    with refused("LocalAwsNotSupported", message="IMPORT"):
        change_set(stack, "c", ONE, "IMPORT")


# -- capabilities


def role(**properties):
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust, **properties}}


@pytest.mark.statement("cloudformation.capabilities")
def test_roles_and_policies_need_a_capability_and_named_ones_the_larger(lab, cloudformation):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    named_policy = {**policy, "Properties": {"PolicyDocument": document, "ManagedPolicyName": lab.name("p", "-")}}
    for resource, needed, too_little in (
        (role(), "CAPABILITY_IAM", []),
        (policy, "CAPABILITY_IAM", ["CAPABILITY_AUTO_EXPAND"]),
        (role(RoleName=lab.name("r", "-")), "CAPABILITY_NAMED_IAM", ["CAPABILITY_IAM"]),
        (named_policy, "CAPABILITY_NAMED_IAM", []),
    ):
        template = {"Resources": {"R": resource, "Q": queue()}}
        for call, more in (
            (cloudformation.create_stack, {}),
            (cloudformation.create_change_set, {"ChangeSetName": "c", "ChangeSetType": "CREATE"}),
        ):
            with refused("InsufficientCapabilitiesException", message=f"[{needed}]"):
                call(StackName=lab.name("capable", "-"), TemplateBody=body(template), Capabilities=too_little, **more)
    larger = make(lab, {"Resources": {"R": role(), "Q": queue()}}, Capabilities=["CAPABILITY_NAMED_IAM"])
    assert (larger.status, larger.described()["Capabilities"]) == ("CREATE_COMPLETE", ["CAPABILITY_NAMED_IAM"])
    enough = make(lab, {"Resources": {"R": role()}}, Capabilities=["CAPABILITY_IAM"])
    assert enough.status == "CREATE_COMPLETE"
    with refused("InsufficientCapabilitiesException"):
        enough.update({"Resources": {"R": role(Description="other")}})


# -- exports


def exporting(name, value):
    return {
        "Resources": {"Q": queue()},
        "Outputs": {"O": {"Value": value, "Export": {"Name": name}}, "P": {"Value": "x"}},
    }


def importing(name):
    tag = {"Key": "imported", "Value": {"Fn::ImportValue": {"Fn::Sub": name}}}
    return {"Resources": {"Q": queue(Tags=[tag])}}


@pytest.mark.statement("cloudformation.exports", "cloudformation.export-in-use")
def test_an_export_is_imported_by_name_and_stays_while_it_is(lab, cloudformation):
    name = lab.name("shared", "-")
    early = make(lab, importing(name))
    assert early.status == "ROLLBACK_COMPLETE"
    assert f"No export named {name} found" in early.reasons("CREATE_FAILED")
    exporter = make(lab, exporting(name, "first"))
    assert exporter.update(exporting(name, "second")) == "UPDATE_COMPLETE", "nobody imports it"
    with refused("ValidationError", message="not imported by any stack"):
        cloudformation.list_imports(ExportName=name)
    importer = make(lab, importing(name))
    tags = lab.client("sqs", "central").list_queue_tags(QueueUrl=importer.physical()["Q"])["Tags"]
    assert tags["imported"] == "second"
    assert cloudformation.list_imports(ExportName=name)["Imports"] == [importer.name]
    exports = {each["Name"]: each for page in pages(cloudformation, "list_exports") for each in page["Exports"]}
    assert (exports[name]["Value"], exports[name]["ExportingStackId"]) == ("second", exporter.id)

    changed = exporting(name, "second")
    changed["Outputs"]["More"] = {"Value": "1", "Export": {"Name": name + "-more"}}
    assert exporter.update(changed) == "UPDATE_COMPLETE", "what is imported is as it was"
    assert exporter.update(exporting(name, "third")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "in use by" in exporter.reasons("UPDATE_ROLLBACK_IN_PROGRESS")
    assert exporter.update(ONE) == "UPDATE_ROLLBACK_COMPLETE"
    assert exporter.outputs()["O"] == "second"


@pytest.mark.statement("cloudformation.export-deletion")
def test_a_stack_whose_export_is_imported_is_not_deleted(lab, cloudformation):
    name = lab.name("kept", "-")
    exporter = make(lab, exporting(name, "x"))
    importer = make(lab, importing(name))
    before = exporter.physical()
    assert exporter.delete() == "CREATE_COMPLETE"
    assert "in use by" in exporter.events()[-1][2]
    assert exporter.physical() == before
    assert importer.delete() == "DELETE_COMPLETE"
    assert exporter.delete() == "DELETE_COMPLETE"
    assert name not in [each["Name"] for page in pages(cloudformation, "list_exports") for each in page["Exports"]]


@pytest.mark.statement("cloudformation.export-unique")
def test_an_export_has_one_stack_in_an_account_and_region(lab):
    name = lab.name("unique", "-")
    first = make(lab, exporting(name, "x"))
    second = make(lab, exporting(name, "y"))
    assert second.status == "ROLLBACK_COMPLETE"
    assert f"Export with name {name} is already exported by stack {first.name}" in "\n".join(
        reason for _, _, reason in second.events()
    )
    elsewhere = make(lab, exporting(name, "z"), who="consumer")
    assert elsewhere.status == "CREATE_COMPLETE"
    assert make(lab, importing(name), who="producer").status == "ROLLBACK_COMPLETE", "exports are the account's own"


# -- stacks


@pytest.mark.statement("cloudformation.termination-protection")
def test_a_protected_stack_is_not_deleted_until_it_is_no_longer(lab, cloudformation):
    stack = make(lab, ONE, EnableTerminationProtection=True)
    lab.at_end(cloudformation.update_termination_protection, StackName=stack.name, EnableTerminationProtection=False)
    assert stack.described()["EnableTerminationProtection"] is True
    with refused("ValidationError", message="TerminationProtection is enabled"):
        stack.delete()
    assert stack.status == "CREATE_COMPLETE"
    cloudformation.update_termination_protection(StackName=stack.name, EnableTerminationProtection=False)
    assert stack.delete() == "DELETE_COMPLETE"


@pytest.mark.statement("cloudformation.stack-name")
def test_a_stacks_name_begins_with_a_letter_and_is_its_own(lab, cloudformation):
    stack = make(lab, ONE)
    with refused("AlreadyExistsException", message="already exists"):
        cloudformation.create_stack(StackName=stack.name, TemplateBody=body(ONE))
    for wrong in ("1st", "with_underscore", "n" * 129):
        with refused("ValidationError"):
            cloudformation.create_stack(StackName=wrong, TemplateBody=body(ONE))


@pytest.mark.statement("cloudformation.own-stacks")
def test_a_stack_belongs_to_its_account(lab, cloudformation):
    name = lab.name("mine", "-")
    mine, theirs = make(lab, ONE, name=name), make(lab, ONE, name=name, who="consumer")
    assert mine.id != theirs.id
    for stack, other in ((mine, theirs), (theirs, mine)):
        with refused("ValidationError", "AccessDenied"):
            stack.cloudformation.describe_stacks(StackName=other.id)
        listed = [each["StackId"] for page in pages(stack.cloudformation, "describe_stacks") for each in page["Stacks"]]
        assert stack.id in listed
        assert other.id not in listed
    theirs.delete()
    assert theirs.id not in [
        each["StackId"] for page in pages(theirs.cloudformation, "describe_stacks") for each in page["Stacks"]
    ]


def pages(cloudformation, operation, **parameters):
    return cloudformation.get_paginator(operation).paginate(**parameters)


@pytest.mark.statement("cloudformation.described")
def test_a_stack_its_resources_and_its_template_are_described(lab, cloudformation):
    name = lab.name("/told", "-")
    template = {
        "Description": "what it is",
        "Parameters": {"Days": {"Type": "Number", "Default": 3, "AllowedValues": [1, 3], "Description": "how long"}},
        "Resources": {"G": {**group(name), "Metadata": {"Note": "mine"}}, "Q": queue()},
        "Outputs": {"Name": {"Value": {"Ref": "G"}, "Export": {"Name": lab.name("told", "-")}, "Description": "it"}},
    }
    stack = make(lab, template, Parameters=given(Days="1"))
    described = stack.described()
    assert described["Description"] == "what it is"
    assert described["Parameters"] == [{"ParameterKey": "Days", "ParameterValue": "1"}]
    (output,) = described["Outputs"]
    assert (output["OutputValue"], output["Description"]) == (name, "it")
    assert output["ExportName"] == template["Outputs"]["Name"]["Export"]["Name"]
    assert "RoleARN" not in described
    assert "LastUpdatedTime" not in described
    detail = cloudformation.describe_stack_resource(StackName=stack.name, LogicalResourceId="G")["StackResourceDetail"]
    assert (detail["PhysicalResourceId"], json.loads(detail["Metadata"])) == (name, {"Note": "mine"})
    with refused("ValidationError", message="does not exist"):
        cloudformation.describe_stack_resource(StackName=stack.name, LogicalResourceId="Nobody")
    found = cloudformation.describe_stack_resources(StackName=stack.name, LogicalResourceId="Q")["StackResources"]
    assert [each["LogicalResourceId"] for each in found] == ["Q"]
    found = cloudformation.describe_stack_resources(PhysicalResourceId=name)["StackResources"]
    assert {each["StackName"] for each in found} == {stack.name}
    assert json.loads(body(cloudformation.get_template(StackName=stack.name)["TemplateBody"])) == template
    summary = cloudformation.get_template_summary(StackName=stack.name)
    (parameter,) = summary["Parameters"]
    assert (parameter["ParameterType"], parameter["DefaultValue"]) == ("Number", "3")
    assert parameter["ParameterConstraints"] == {"AllowedValues": ["1", "3"]}
    assert sorted(summary["ResourceTypes"]) == ["AWS::Logs::LogGroup", "AWS::SQS::Queue"]
    stack.delete()
    with refused("ValidationError", message="does not exist"):
        cloudformation.describe_stack_resources(PhysicalResourceId=name)


@pytest.mark.statement("cloudformation.pages")
def test_events_come_newest_first_page_by_page(lab, cloudformation):
    stack = make(lab, {"Resources": {f"Q{n}": queue() for n in range(55)}})
    first = cloudformation.describe_stack_events(StackName=stack.name)
    assert "NextToken" in first
    events = [
        each
        for page in pages(cloudformation, "describe_stack_events", StackName=stack.name)
        for each in page["StackEvents"]
    ]
    assert len({each["EventId"] for each in events}) == len(events) >= 112
    assert (events[0]["LogicalResourceId"], events[0]["ResourceStatus"]) == (stack.name, "CREATE_COMPLETE")
    assert (events[-1]["LogicalResourceId"], events[-1]["ResourceStatus"]) == (stack.name, "CREATE_IN_PROGRESS")
    times = [each["Timestamp"] for each in events]
    assert times == sorted(times, reverse=True)
    with refused("ValidationError"):
        cloudformation.describe_stack_events(StackName=stack.name, NextToken="not a token")


@pytest.mark.statement("cloudformation.not-built")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("set_stack_policy", {"StackPolicyBody": "{}"}),
        ("cancel_update_stack", {}),
        ("continue_update_rollback", {}),
        ("detect_stack_drift", {}),
        ("create_stack", {"TemplateBody": "{}", "StackPolicyBody": "{}"}),
        ("create_stack", {"TemplateBody": "{}", "NotificationARNs": ["arn:aws:sns:eu-west-1:111111111111:t"]}),
        ("create_stack", {"TemplateBody": "{}", "OnFailure": "DELETE"}),
    ],
)
def test_stack_policies_drift_and_interrupted_updates_are_refused_by_name(cloudformation, operation, parameters):
    with refused("LocalAwsNotSupported", message="local_aws/allowed/cloudformation.yaml"):
        getattr(cloudformation, operation)(StackName="any", **parameters)


# -- SAM

SAM = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Table: {Type: AWS::Serverless::SimpleTable}
"""


@pytest.mark.statement("cloudformation.transform")
def test_a_serverless_template_is_transformed_and_needs_a_change_set_or_its_capability(lab, cloudformation, stack):
    with refused("InsufficientCapabilitiesException", message="CAPABILITY_AUTO_EXPAND"):
        cloudformation.create_stack(StackName=stack.name, TemplateBody=SAM)
    with refused("ValidationError", message="does not exist"):
        cloudformation.describe_stacks(StackName=stack.name)
    made = change_set(stack, "c", SAM, "CREATE")
    assert shown(made) == {"Table": ("Add", None)}
    processed = cloudformation.get_template(
        StackName=stack.name, ChangeSetName=made["ChangeSetId"], TemplateStage="Processed"
    )["TemplateBody"]
    assert processed["Resources"]["Table"]["Type"] == "AWS::DynamoDB::Table"
    assert "AWS::Serverless::SimpleTable" in body(
        cloudformation.get_template(StackName=stack.name, ChangeSetName=made["ChangeSetId"])["TemplateBody"]
    )
    cloudformation.execute_change_set(ChangeSetName=made["ChangeSetId"])
    assert stack.status == "CREATE_COMPLETE"
    direct = make(lab, SAM, Capabilities=["CAPABILITY_AUTO_EXPAND"])
    assert direct.status == "CREATE_COMPLETE"
    assert cloudformation.validate_template(TemplateBody=SAM)["DeclaredTransforms"] == ["AWS::Serverless-2016-10-31"]


@pytest.mark.statement("cloudformation.transform-fails")
def test_a_transform_that_fails_makes_a_failed_change_set(stack):
    failed = change_set(stack, "c", SAM.replace("}", ", Properties: {PrimaryKey: text}}"), "CREATE")
    assert failed["Status"] == "FAILED"
    assert failed["StatusReason"].startswith("Transform AWS::Serverless-2016-10-31 failed with:")
