"""CloudFormation: intrinsic functions, pseudo parameters and conditions."""

import pytest
from lab import refused
from stacks import body, given, group, make, queue

TEMPLATE = """
Parameters:
  Stage: {Type: String, Default: dev}
  Zones: {Type: CommaDelimitedList, Default: "a, b,c"}
  Days: {Type: Number, Default: 7}
Mappings:
  Sizes: {dev: {Small: s1, Many: [x, y]}, prod: {Small: p1, Many: [z]}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Either: !Or [!Condition IsProd, !Equals [!Ref Days, 7]]
  Both: !And [{Condition: IsDev}, !Condition Either]
  Listed: !Equals [!Join ["", !Ref Zones], abc]
  Mapped: !Equals [!FindInMap [Sizes, !Ref Stage, Small], s1]
Resources:
  Q:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: !If [IsDev, 11, !Ref "AWS::NoValue"]
      DelaySeconds: !If [IsProd, 5, !Ref "AWS::NoValue"]
      Tags:
        - !If [IsProd, {Key: prod, Value: "yes"}, !Ref "AWS::NoValue"]
        - {Key: stage, Value: !Ref Stage}
  OnlyProd: {Type: AWS::SQS::Queue, Condition: IsProd, DependsOn: Q}
  After: {Type: AWS::SQS::Queue, DependsOn: [OnlyProd, Q]}
Outputs:
  Ref: {Value: !Ref Q}
  GetAtt: {Value: !GetAtt Q.Arn}
  GetAttList: {Value: {"Fn::GetAtt": [Q, QueueName]}}
  Sub: {Value: !Sub "${Stage}/${Q.QueueName}/${AWS::Region}/$NoReference/${!Literal}"}
  SubWith: {Value: !Sub ["${Name}-${Stage}-${Days}", {Name: !Select [2, !Ref Zones]}]}
  SubShadows: {Value: !Sub ["${Stage}", {Stage: shadowed}]}
  Join: {Value: !Join ["/", [!Ref "AWS::Partition", !Ref "AWS::URLSuffix", !Ref "AWS::AccountId", !Ref "AWS::Region"]]}
  Stack: {Value: !Join [" ", [!Ref "AWS::StackName", !Ref "AWS::StackId"]]}
  Select: {Value: !Select [1, !Ref Zones]}
  SelectText: {Value: !Select ["0", [first, second]]}
  Split: {Value: !Select [0, !Split ["-", "x-y"]]}
  Map: {Value: !FindInMap [Sizes, !Ref Stage, Small]}
  MapList: {Value: !Join ["+", !FindInMap [Sizes, !Ref Stage, Many]]}
  Base64: {Value: {"Fn::Base64": !Sub "hello ${Stage}"}}
  If: {Value: !If [Both, yes-both, not-both]}
  IfNot: {Value: !If [IsProd, prod, not-prod]}
  IfListed: {Value: !If [Listed, listed, not-listed]}
  IfMapped: {Value: !If [Mapped, mapped, not-mapped]}
  Number: {Value: !Ref Days}
  Truth: {Value: true}
  Prod: {Condition: IsProd, Value: !GetAtt OnlyProd.Arn}
"""


@pytest.fixture(scope="module")
def dev(lab):
    return make(lab, TEMPLATE)


@pytest.mark.statement("cloudformation.functions", "cloudformation.pseudo-parameters")
def test_each_function_gives_what_is_documented(lab, dev):
    outputs, account = dev.outputs(), lab.account("central")
    url, name = outputs["Ref"], outputs["GetAttList"]
    assert url.endswith(f"/{account}/{name}")
    assert outputs == {
        "Ref": url,
        "GetAtt": f"arn:aws:sqs:{lab.region}:{account}:{name}",
        "GetAttList": name,
        "Sub": f"dev/{name}/{lab.region}/$NoReference/${{Literal}}",
        "SubWith": "c-dev-7",
        "SubShadows": "shadowed",
        "Join": f"aws/amazonaws.com/{account}/{lab.region}",
        "Stack": f"{dev.name} {dev.id}",
        "Select": "b",
        "SelectText": "first",
        "Split": "x",
        "Map": "s1",
        "MapList": "x+y",
        "Base64": "aGVsbG8gZGV2",
        "If": "yes-both",
        "IfNot": "not-prod",
        "IfListed": "listed",
        "IfMapped": "mapped",
        "Number": "7",
        "Truth": "true",
    }


@pytest.mark.statement("cloudformation.conditions", "cloudformation.no-value")
def test_a_condition_decides_resources_properties_items_and_outputs_and_may_turn(lab, dev):
    sqs = lab.client("sqs", "central")

    def seen():
        url = dev.physical()["Q"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        tags = sqs.list_queue_tags(QueueUrl=url)["Tags"]
        own = {key: value for key, value in tags.items() if not key.startswith("aws:")}
        return attributes["VisibilityTimeout"], attributes["DelaySeconds"], own

    assert set(dev.physical()) == {"Q", "After"}
    assert seen() == ("11", "0", {"stage": "dev"})
    assert dev.update(TEMPLATE, Parameters=given(Stage="prod")) == "UPDATE_COMPLETE"
    assert set(dev.physical()) == {"Q", "After", "OnlyProd"}
    assert seen() == ("30", "5", {"prod": "yes", "stage": "prod"})
    outputs = dev.outputs()
    assert (outputs["If"], outputs["IfNot"], outputs["IfMapped"]) == ("not-both", "prod", "not-mapped")
    assert outputs["Prod"].startswith("arn:aws:sqs:")
    only_prod = dev.physical()["OnlyProd"]
    assert dev.update(TEMPLATE, Parameters=given(Stage="dev", Days="8")) == "UPDATE_COMPLETE"
    assert set(dev.physical()) == {"Q", "After"}
    assert dev.outputs()["If"] == "not-both"
    assert "Prod" not in dev.outputs()
    with refused("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
        sqs.get_queue_attributes(QueueUrl=only_prod, AttributeNames=["All"])


def conditioned(condition, **more):
    return {"Conditions": {"C": condition, **more}, "Resources": {"Q": {**queue(), "Condition": "C"}, "R": queue()}}


def valued(value, **more):
    return {"Resources": {"Q": queue(), "G": queue(QueueName=value)}, **more}


SAME = {"Fn::Equals": ["a", "a"]}
MISTAKEN = [
    conditioned("C"),
    conditioned(["a"]),
    conditioned({"Fn::Equals": ["a", "a"], "Fn::Not": [SAME]}),
    conditioned({"Fn::Equals": ["a"]}),
    conditioned({"Fn::Equals": ["a", "b", "c"]}),
    conditioned({"Fn::Not": [SAME, SAME]}),
    conditioned({"Fn::And": [SAME]}),
    conditioned({"Fn::And": [SAME] * 11}),
    conditioned({"Fn::Or": [SAME] * 11}),
    conditioned({"Fn::Or": {"A": SAME, "B": SAME}}),
    conditioned({"Fn::Join": ["", ["a", "b"]]}),
    conditioned({"Condition": "Nowhere"}),
    conditioned({"Condition": "D"}, D={"Condition": "C"}),
    conditioned({"Fn::Equals": [{"Ref": "R"}, "a"]}),
    conditioned({"Fn::Equals": [{"Ref": ["R"]}, "a"]}),
    conditioned({"Fn::Equals": [{"Fn::GetAtt": ["R", "Arn"]}, "a"]}),
    valued({"Fn::If": ["Nowhere", "a", "b"]}),
    valued({"Fn::If": ["C", "a"]}, Conditions={"C": SAME}),
    valued({"Fn::If": ["C", "a", "b"], "Also": "x"}, Conditions={"C": SAME}),
    valued({"Fn::Join": ["-", ["a"]], "Ref": "Q"}),
    valued({"Fn::Sub": ["${A}"]}),
    valued({"Fn::Sub": [["${A}"], {"A": "x"}]}),
    valued({"Fn::Sub": ["${A}", ["A"]]}),
    valued({"Fn::Sub": {"A": "x"}}),
    valued({"Fn::GetAtt": ["Q"]}),
    valued({"Fn::GetAtt": ["Q", "Arn", "Arn"]}),
    valued({"Fn::GetAtt": [["Q"], "Arn"]}),
]


@pytest.mark.statement("cloudformation.function-arguments")
@pytest.mark.parametrize("template", MISTAKEN, ids=range(len(MISTAKEN)))
def test_a_function_that_is_written_wrong_is_refused(lab, template):
    cloudformation, name = lab.client("cloudformation", "central"), lab.name("wrong", "-")
    lab.at_end(cloudformation.delete_stack, StackName=name)
    with refused("ValidationError"):
        cloudformation.create_stack(StackName=name, TemplateBody=body(template))


SEEN_LATER = [
    ({"Fn::Select": [2, ["a", "b"]]}, "cannot select nonexistent value at index 2"),
    ({"Fn::Select": [-1, ["a", "b"]]}, "cannot select"),
    ({"Fn::Select": [0, "text"]}, ""),
    ({"Fn::Select": [0, ["a"], "b"]}, ""),
    ({"Fn::Join": ["-", {"a": "b"}]}, ""),
    ({"Fn::Join": ["-", [["a"], "b"]]}, ""),
    ({"Fn::Split": ["-", ["a-b"]]}, ""),
    ({"Fn::Base64": ["a"]}, ""),
    ({"Fn::FindInMap": ["M", "a"]}, ""),
    ({"Fn::FindInMap": ["M", "a", "c"]}, "Unable to get mapping for M::a::c"),
    ({"Fn::FindInMap": ["N", "a", "b"]}, "Unable to get mapping for N::a::b"),
]


@pytest.mark.statement("cloudformation.function-arguments")
@pytest.mark.parametrize(("value", "message"), SEEN_LATER, ids=range(len(SEEN_LATER)))
def test_a_function_that_has_no_value_fails_the_stack_and_nothing_stays(lab, value, message):
    """When it is seen is not documented: some are refused at once on AWS, others fail their resource."""
    name, cloudformation = lab.name("valueless", "-"), lab.client("cloudformation", "central")
    template = {"Mappings": {"M": {"a": {"b": "c"}}}, **valued(value)}
    try:
        stack = make(lab, template, name=name)
    except cloudformation.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationError"
        assert message in error.response["Error"]["Message"]
    else:
        assert stack.status == "ROLLBACK_COMPLETE"
        assert message in stack.reasons("CREATE_FAILED")
        assert stack.physical() == {}


@pytest.mark.statement("cloudformation.output-text")
@pytest.mark.parametrize("value", [["a", "b"], {"a": "b"}])
def test_an_output_is_text(lab, value):
    stack = make(lab, {"Resources": {"Q": queue()}, "Outputs": {"O": {"Value": value}}})
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "Output O" in stack.reasons("ROLLBACK_IN_PROGRESS")


@pytest.mark.statement("cloudformation.order")
def test_resources_are_made_after_what_they_refer_to_and_deleted_before_it(lab):
    log, name = lab.name("/order", "-"), lab.name("order", "-")
    template = {
        "Resources": {
            "Last": {**queue(), "DependsOn": ["Middle"]},
            "Middle": group({"Fn::Sub": log + "/${First.QueueName}"}),
            "First": queue(QueueName=name),
        }
    }
    stack = make(lab, template)
    made = [logical_id for logical_id, status, _ in stack.events() if status == "CREATE_COMPLETE"]
    assert made == ["First", "Middle", "Last", "stack"]
    assert stack.physical()["Middle"] == f"{log}/{name}"
    assert stack.delete() == "DELETE_COMPLETE"
    gone = [logical_id for logical_id, status, _ in stack.events() if status == "DELETE_COMPLETE"]
    assert gone == ["Last", "Middle", "First", "stack"]
