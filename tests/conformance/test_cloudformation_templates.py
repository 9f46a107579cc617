"""CloudFormation: what a template may say, and its parameters hold; what is refused before anything is made."""

import pytest
from lab import refused
from stacks import body, given, group, make, queue

Q = {"Q": queue()}


def parameter(**attributes):
    return {"Parameters": {"P": {"Type": "String", **attributes}}, "Resources": Q}


def output(value):
    return {"Resources": Q, "Outputs": {"O": {"Value": value}}}


def named(value):
    """A queue whose name is a value."""
    return {"Resources": {"Q": queue(QueueName=value), "Other": queue()}}


@pytest.fixture(scope="module")
def cloudformation(lab):
    return lab.client("cloudformation", "central")


def refuse(lab, template, message="", **options):
    """CreateStack refuses the template, and there is no stack."""
    cloudformation, name = lab.client("cloudformation", "central"), lab.name("refused", "-")
    lab.at_end(cloudformation.delete_stack, StackName=name)
    with refused("ValidationError", message=message):
        cloudformation.create_stack(StackName=name, TemplateBody=body(template), **options)
    with refused("ValidationError", message="does not exist"):
        cloudformation.describe_stacks(StackName=name)


# -- structure


@pytest.mark.statement("cloudformation.structure")
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Resources: [", "Template format error"),
        ("only text", "Template format error"),
        ({"Resources": {}}, "At least one Resources member must be defined"),
        ({"Description": "nothing else"}, "At least one Resources member must be defined"),
        ({"Resources": [queue()]}, ""),
        ({"Resources": Q, "Recipes": {}}, "Recipes"),
        ({"Resources": Q, "AWSTemplateFormatVersion": "2011-01-01"}, ""),
        ({"Resources": {"not-alphanumeric": queue()}}, "non alphanumeric"),
        ({"Resources": {"Q": "AWS::SQS::Queue"}}, ""),
        ({"Resources": {"Q": {"Properties": {}}}}, "contain a Type member"),
        ({"Resources": {"Q": {"Type": ["AWS::SQS::Queue"]}}}, ""),
        ({"Resources": {"Q": {**queue(), "Colour": "blue"}}}, ""),
        ({"Resources": {"Q": {**queue(), "Properties": ["x"]}}}, ""),
        ({"Resources": {"Q": {**queue(), "DeletionPolicy": "Hide"}}}, "DeletionPolicy"),
        ({"Resources": {"Q": {**queue(), "UpdateReplacePolicy": "Hide"}}}, "UpdateReplacePolicy"),
        ({"Resources": {"Q": {**queue(), "DeletionPolicy": {"a": "b"}}}}, "DeletionPolicy"),
        ({"Resources": Q, "Outputs": {"O": {"Description": "no value"}}}, ""),
        ({"Resources": Q, "Outputs": {"O": "text"}}, ""),
        ({"Resources": {"Q": {**queue(), "Condition": "Nowhere"}}}, "Unresolved condition"),
    ],
)
def test_a_template_of_another_structure_is_refused(lab, template, message):
    refuse(lab, template, message)


@pytest.mark.statement("cloudformation.key-twice")
@pytest.mark.local_only("which of two equal keys AWS takes is documented nowhere: here neither")
def test_a_key_that_stands_twice_is_refused(lab):
    refuse(lab, "Resources: {Q: {Type: AWS::SQS::Queue}, Q: {Type: AWS::SNS::Topic}}", "twice")


@pytest.mark.statement("cloudformation.quotas")
@pytest.mark.parametrize("section", ["Mappings", "Parameters", "Outputs"])
def test_two_hundred_mappings_parameters_and_outputs_at_most(cloudformation, section):
    entries = {
        "Mappings": {"a": {"b": "c"}},
        "Parameters": {"Type": "String", "Default": "x"},
        "Outputs": {"Value": "x"},
    }
    declared = {f"N{n}": entries[section] for n in range(200)}
    cloudformation.validate_template(TemplateBody=body({"Resources": Q, section: declared}))
    with refused("ValidationError"):
        cloudformation.validate_template(
            TemplateBody=body({"Resources": Q, section: {**declared, "More": entries[section]}})
        )


@pytest.mark.statement("cloudformation.quotas")
def test_five_hundred_resources_and_names_of_255_characters_at_most(cloudformation):
    bare = {"Type": "AWS::SQS::Queue"}
    resources = {f"N{n}": bare for n in range(500)}
    cloudformation.validate_template(TemplateBody=body({"Resources": resources}))
    for too_much in (
        {"Resources": {**resources, "More": bare}},
        {"Resources": {"N" * 256: bare}},
        {"Resources": Q, "Outputs": {"N" * 256: {"Value": "x"}}},
        {"Resources": Q, "Description": "d" * 1025},
    ):
        with refused("ValidationError"):
            cloudformation.validate_template(TemplateBody=body(too_much))
    cloudformation.validate_template(
        TemplateBody=body({"Resources": Q, "Outputs": {"N" * 255: {"Value": "x"}}, "Description": "d" * 1024})
    )


@pytest.mark.statement("cloudformation.template-size")
def test_a_template_of_51200_bytes_is_taken_as_such_and_of_a_mebibyte_from_s3(lab, cloudformation):
    def of_size(size):
        template = {"Resources": Q, "Metadata": {"Filling": ""}}
        template["Metadata"]["Filling"] = "f" * (size - len(body(template)))
        return body(template)

    cloudformation.validate_template(TemplateBody=of_size(51_200))
    with refused("ValidationError"):
        cloudformation.validate_template(TemplateBody=of_size(51_201))
    bucket = lab.bucket("central")
    url = f"https://{bucket}.s3.{lab.region}.amazonaws.com/template.json"
    lab.put("central", bucket, "template.json", of_size(1_048_576))
    cloudformation.validate_template(TemplateURL=url)
    lab.put("central", bucket, "template.json", of_size(1_048_577))
    with refused("ValidationError"):
        cloudformation.validate_template(TemplateURL=url)


@pytest.mark.statement("cloudformation.template-url")
def test_a_template_is_read_from_s3_as_the_caller_however_its_url_is_spelt(lab, cloudformation):
    bucket = lab.bucket("central")
    lab.put("central", bucket, "folder/t.json", body({"Resources": Q, "Description": "stored"}))
    for host in (f"s3.{lab.region}.amazonaws.com/{bucket}", f"{bucket}.s3.{lab.region}.amazonaws.com"):
        url = f"https://{host}/folder/t.json"
        assert cloudformation.validate_template(TemplateURL=url)["Description"] == "stored"
    for wrong in (
        url + ".not",
        "https://example.com/",
        f"ftp://{host}/folder/t.json",
        "https://example.com/onlybucket",
    ):
        with refused("ValidationError"):
            cloudformation.validate_template(TemplateURL=wrong)
    for neither_or_both in ({}, {"TemplateURL": url, "TemplateBody": body({"Resources": Q})}):
        with refused("ValidationError", message="Template"):
            cloudformation.validate_template(**neither_or_both)
    role = lab.role("central", allow=["cloudformation:*"])
    with refused("ValidationError", message="S3"):
        lab.client("cloudformation", role).create_stack(StackName=lab.name("unread", "-"), TemplateURL=url)


# -- what is not built


@pytest.mark.statement("cloudformation.unlisted")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    ("resource", "named_as"),
    [
        ({"Type": "AWS::EC2::Instance"}, "resource type AWS::EC2::Instance"),
        ({"Type": "AWS::Nothing::AtAll"}, "resource type AWS::Nothing::AtAll"),
        (queue(RedriveAllowPolicy={}), "property RedriveAllowPolicy of AWS::SQS::Queue"),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"NotificationConfiguration": {"LambdaConfigurations": []}}},
            "property NotificationConfiguration.LambdaConfigurations of AWS::S3::Bucket",
        ),
    ],
)
def test_a_type_or_property_that_is_not_built_is_refused_by_name_and_nothing_is_made(lab, resource, named_as):
    name = lab.name("never", "-")
    template = {"Resources": {"A": queue(QueueName=name), "X": resource}}
    refuse(lab, template, named_as)
    refuse(lab, template, "local_aws/allowed/cloudformation.yaml")
    with refused("ValidationError", message=named_as):
        lab.client("cloudformation", "central").create_change_set(
            StackName=name, ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=body(template)
        )
    assert "QueueUrls" not in lab.client("sqs", "central").list_queues(QueueNamePrefix=name)


@pytest.mark.statement("cloudformation.unlisted")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"Resources": Q, "Rules": {}}, "'Rules' is not supported locally"),
        ({"Resources": Q, "Transform": "AWS::LanguageExtensions"}, "AWS::LanguageExtensions"),
        ({"Resources": {"Q": {**queue(), "CreationPolicy": {}}}}, "CreationPolicy"),
        ({"Resources": {"Q": {**queue(), "DeletionPolicy": "Snapshot"}}}, "Snapshot"),
        (parameter(Type="AWS::SSM::Parameter::Value<String>", Default="/p"), "AWS::SSM::Parameter::Value<String>"),
        (named({"Fn::GetAZs": ""}), "Fn::GetAZs is not supported locally"),
        (named({"Fn::Sub": ["${A}", {"A": {"Fn::Cidr": ["10.0.0.0/16", 1, 8]}}]}), "Fn::Cidr is not supported locally"),
        (output({"Fn::Transform": {"Name": "AWS::Include"}}), "Fn::Transform is not supported locally"),
        (output({"Fn::Length": ["a"]}), "Fn::Length is not supported locally"),
        (output({"Fn::ToJsonString": {"a": "b"}}), "Fn::ToJsonString is not supported locally"),
        (named("{{resolve:ssm:/name}}"), "dynamic references are not supported locally"),
        (output({"Fn::Sub": "{{resolve:secretsmanager:s}}"}), "dynamic references are not supported locally"),
    ],
)
def test_a_section_function_or_reference_that_is_not_built_is_refused_before_anything_is_made(lab, template, message):
    refuse(lab, template, message)


# -- references


@pytest.mark.statement("cloudformation.references")
@pytest.mark.parametrize(
    ("template", "message"),
    [
        (named({"Ref": "Nobody"}), "Unresolved resource dependencies [Nobody]"),
        (named({"Fn::GetAtt": ["Nobody", "Arn"]}), "Unresolved resource dependencies [Nobody]"),
        (named({"Fn::Sub": "a-${Nobody}"}), "Unresolved resource dependencies [Nobody]"),
        (named({"Fn::Sub": ["a-${B}", {"B": {"Ref": "Nobody"}}]}), "Unresolved resource dependencies [Nobody]"),
        (output({"Ref": "Nobody"}), "Unresolved resource dependencies [Nobody]"),
        ({"Resources": {"Q": {**queue(), "DependsOn": "Nobody"}}}, "Unresolved resource dependencies [Nobody]"),
        (named({"Fn::GetAtt": ["Other", "Size"]}), "Size"),
        (output({"Fn::GetAtt": "Q.Size"}), "Size"),
        (named({"Ref": ["Other"]}), ""),
        (named({"Ref": "Other", "Also": "x"}), ""),
    ],
)
def test_what_is_referred_to_must_be_there(lab, template, message):
    refuse(lab, template, message)


@pytest.mark.statement("cloudformation.circular")
@pytest.mark.parametrize(
    "resources",
    [
        {"A": queue(QueueName={"Fn::Sub": "x${B}"}), "B": queue(QueueName={"Fn::Sub": "x${A}"})},
        {"A": {**queue(), "DependsOn": ["B"]}, "B": queue(QueueName={"Fn::GetAtt": ["A", "QueueName"]})},
    ],
)
def test_resources_that_need_each_other_are_refused(lab, resources):
    refuse(lab, {"Resources": {**resources, "Free": queue()}}, "Circular dependency between resources: [A, B]")


# -- parameters


@pytest.mark.statement("cloudformation.parameters-declared")
@pytest.mark.parametrize(
    ("template", "parameters", "message"),
    [
        (parameter(), {}, "Parameters: [P] must have values"),
        (parameter(Default="x"), {"Other": "x"}, "Parameters: [Other] do not exist in the template"),
        (parameter(Type="Colour"), {"P": "x"}, ""),
        (parameter(Colour="blue"), {"P": "x"}, "Colour"),
        ({"Parameters": {"P": "String"}, "Resources": Q}, {"P": "x"}, ""),
    ],
)
def test_parameters_are_declared_and_all_have_values(lab, template, parameters, message):
    refuse(lab, template, message, Parameters=given(**parameters))


@pytest.mark.statement("cloudformation.parameters-declared")
def test_a_first_stack_has_no_previous_value(lab):
    refuse(lab, parameter(), "previous", Parameters=[{"ParameterKey": "P", "UsePreviousValue": True}])


LIST = "CommaDelimitedList"
CONSTRAINTS = [
    ({"Type": "Number"}, "many", "number"),
    ({"Type": "Number"}, "1,2", "number"),
    ({"Type": "Number", "MinValue": 2}, "1", "2"),
    ({"Type": "Number", "MaxValue": 2}, "2.5", "2"),
    ({"Type": "List<Number>"}, "1,x", "number"),
    ({"Type": "List<Number>", "MaxValue": 2}, "1,3", "2"),
    ({"AllowedValues": ["a", "b"]}, "c", "a, b"),
    ({"Type": LIST, "AllowedValues": ["a", "b"]}, "a,c", "a, b"),
    ({"AllowedPattern": "[a-z]+"}, "a1", "[a-z]+"),
    ({"Type": LIST, "AllowedPattern": "[a-z]+"}, "a,B", "[a-z]+"),
    ({"MinLength": 3}, "ab", "3"),
    ({"MaxLength": 1}, "ab", "1"),
    ({"AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"}, "A", "must be small letters"),
    ({"Default": "c", "AllowedValues": ["a"]}, None, "a"),
    ({}, "x" * 4097, "4096"),
]


@pytest.mark.statement("cloudformation.parameter-constraints")
@pytest.mark.parametrize(("attributes", "value", "message"), CONSTRAINTS, ids=range(len(CONSTRAINTS)))
def test_a_value_outside_its_parameters_constraints_is_refused(lab, attributes, value, message):
    parameters = {} if value is None else {"P": value}
    refuse(lab, parameter(**attributes), message, Parameters=given(**parameters))


@pytest.mark.statement("cloudformation.parameter-constraints")
def test_values_within_their_constraints_are_taken(lab):
    within = {
        "Number": ({"Type": "Number", "MinValue": 2, "MaxValue": 2}, "2"),
        "Fraction": ({"Type": "Number"}, "1.5"),
        "Numbers": ({"Type": "List<Number>", "MinValue": 1}, "1, 2"),
        "WithComma": ({"AllowedValues": ["a,b"], "MinLength": 3, "MaxLength": 3}, "a,b"),
        "One": ({"AllowedValues": [1, 2]}, "2"),
        "Pattern": ({"AllowedPattern": "[a-z]+"}, "ab"),
        "Items": ({"Type": LIST, "AllowedValues": ["a", "b"]}, "b, a"),
        "Long": ({}, "x" * 4096),
        "Default": ({"Type": "Number", "Default": 7}, None),
        "Defaults": ({"Type": LIST, "Default": "x,y"}, None),
    }
    declared = {name: {"Type": "String", **attributes} for name, (attributes, _) in within.items()}
    values = {name: value for name, (_, value) in within.items() if value is not None}
    outputs = {
        "Default": {"Value": {"Ref": "Default"}},
        "Joined": {"Value": {"Fn::Join": ["+", {"Ref": "Items"}]}},
        "Defaults": {"Value": {"Fn::Select": [1, {"Ref": "Defaults"}]}},
    }
    stack = make(lab, {"Parameters": declared, "Resources": Q, "Outputs": outputs}, Parameters=given(**values))
    assert stack.outputs() == {"Default": "7", "Joined": "b+a", "Defaults": "y"}


@pytest.mark.statement("cloudformation.no-echo", "cloudformation.previous-value")
def test_a_value_is_kept_from_before_and_hidden_where_the_template_says_so(lab):
    name = lab.name("/kept", "-")
    template = {
        "Parameters": {
            "Name": {"Type": "String"},
            "Secret": {"Type": "String", "NoEcho": True},
            "Open": {"Type": "String", "NoEcho": False},
        },
        "Resources": {"G": group({"Ref": "Name"})},
    }
    stack = make(lab, template, Parameters=given(Name=name, Secret="hush", Open="all"))
    template["Resources"]["G"]["Properties"]["RetentionInDays"] = 1
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in ("Name", "Secret", "Open")]
    assert stack.update(template, Parameters=previous) == "UPDATE_COMPLETE"
    shown = {each["ParameterKey"]: each["ParameterValue"] for each in stack.described()["Parameters"]}
    assert shown == {"Name": name, "Secret": "****", "Open": "all"}
    assert stack.physical() == {"G": name}
