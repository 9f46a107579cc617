"""What a target receives: Input, InputPath and InputTransformer, as the user guide's examples show."""

import json

import pytest

from local_aws.events import event_inputs

EVENT = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "disks": [{"gb": 8}, {"gb": 16}]},
}
RULE = "arn:aws:events:us-east-1:123456789012:rule/machines/example"
PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "resource": "$.resources[0]",
    "sizes": "$.detail.disks[*].gb",
    "detail": "$.detail",
    "nothing": "$.detail.nothing",
}


def received(**settings: object) -> str:
    target = {"Id": "t", "Arn": "arn", **settings}
    event_inputs.check(target)
    return event_inputs.payload(target, EVENT, RULE, "2015-11-11T21:30:00Z")


def transformed(template: str) -> str:
    return received(InputTransformer={"InputPathsMap": PATHS, "InputTemplate": template})


def test_without_settings_a_target_receives_the_whole_event():
    assert json.loads(received()) == EVENT


def test_input_replaces_the_event():
    assert received(Input='{"reason": "governance"}') == '{"reason": "governance"}'


def test_input_path_passes_a_part_of_the_event():
    assert json.loads(received(InputPath="$.detail.state")) == "RUNNING"


def test_an_input_path_that_finds_nothing_delivers_nothing():
    with pytest.raises(event_inputs.NoInput):
        received(InputPath="$.detail.nothing")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('{"instance": <instance>, "state": <state>}', '{"instance": "i-0123456789", "state": "RUNNING"}'),
        ('{"state": [9, <state>, true]}', '{"state": [9, "RUNNING", true]}'),
        ('{"text": "instance \\"<instance>\\""}', '{"text": "instance \\"i-0123456789\\""}'),
        ('{"sizes": <sizes>}', '{"sizes": [8, 16]}'),
        ('"sizes <detail>"', '"sizes {instance-id: i-0123456789, state: RUNNING, disks: [{gb: 8}, {gb: 16}]}"'),
        ('{"rule": <aws.events.rule-name>}', '{"rule": "example"}'),
        ('{"arn": <aws.events.rule-arn>}', f'{{"arn": "{RULE}"}}'),
        ('{"at": <aws.events.event.ingestion-time>}', '{"at": "2015-11-11T21:30:00Z"}'),
        ('"nothing: <nothing>!"', '"nothing: !"'),
    ],
)
def test_a_template_is_filled_as_documented(template: str, expected: str):
    assert transformed(template) == expected


def test_the_original_event_can_be_passed_with_or_without_its_detail():
    assert json.loads(transformed('{"event": <aws.events.event.json>}'))["event"] == EVENT
    without = json.loads(transformed('{"event": <aws.events.event>}'))["event"]
    assert without == {name: value for name, value in EVENT.items() if name != "detail"}


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"Input": "{", "InputPath": "$"}, "Only one of"),
        ({"Input": "not json"}, "JSON syntax error"),
        ({"Input": json.dumps("x" * 9000)}, "longer than 8192"),
        ({"InputPath": "$.detail["}, "Invalid path"),
        ({"InputPath": "$.a[?(@.b)]"}, "Invalid path"),
        ({"InputTransformer": {"InputTemplate": '{"a": <unknown>}'}}, "not in InputPathsMap"),
        ({"InputTransformer": {"InputPathsMap": {"a": "$.id"}, "InputTemplate": '{"a": <a>'}}, "Invalid InputTemplate"),
        ({"InputTransformer": {"InputPathsMap": {"aws.x": "$.id"}, "InputTemplate": "1"}}, "Invalid variable name"),
    ],
)
def test_what_eventbridge_refuses_is_refused(settings: dict, why: str):
    with pytest.raises(event_inputs.InvalidInput, match=why):
        event_inputs.check({"Id": "t", "Arn": "arn", **settings})
