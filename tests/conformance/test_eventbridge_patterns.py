"""Event patterns: the documented operators, and what is refused."""

import json

import pytest
from asl import queue
from bus import came, put, rule
from lab import refused

EVENT = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::orders", "arn:aws:s3:::second"],
    "detail": {
        "bucket": {"name": "orders"},
        "object": {"key": "sales/2021/part-1.csv", "size": 5, "etag": ""},
        "reason": "PutObject",
        "source-ip-address": "10.0.0.17",
        "six": "2001:db8::1",
        "deleted": False,
        "owner": None,
        "price": 301.8,
        "huge": 9007199254740994,
        "state.status": "running",
        "tags": ["raw", "daily"],
        "nothing": [],
        "star": "a*b anything c\\d",
        "items": [
            {"sku": "a", "count": 1, "place": {"aisle": 3}},
            {"sku": "b", "count": 2, "place": {"aisle": 4}},
        ],
    },
}


def detail(**fields):
    return {"detail": {name.replace("_", "-"): values for name, values in fields.items()}}


def key(*values):
    return {"detail": {"object": {"key": list(values)}}}


def size(*values):
    return {"detail": {"object": {"size": list(values)}}}


MATCHING = [
    {"source": ["aws.s3"]},
    {"source": ["aws.ec2", "aws.s3"], "detail-type": ["Object Created"]},
    {"resources": ["arn:aws:s3:::second"]},
    {"time": [{"prefix": "2021-11-12"}]},
    key({"suffix": ".csv"}),
    key({"prefix": {"equals-ignore-case": "SALES/"}}),
    key({"suffix": {"equals-ignore-case": ".CSV"}}),
    key({"wildcard": "sales/*/part-*.csv"}),
    key({"wildcard": "*"}),
    {"detail-type": [{"equals-ignore-case": "object created"}]},
    {"detail": {"object": {"etag": [""]}}},
    detail(reason=[{"anything-but": "DeleteObject"}]),
    detail(reason=[{"anything-but": ["DeleteObject", "CopyObject"]}]),
    detail(reason=[{"anything-but": {"prefix": "Delete"}}]),
    detail(reason=[{"anything-but": {"prefix": ["Delete", "Copy"]}}]),
    detail(reason=[{"anything-but": {"suffix": [".tmp", "Upload"]}}]),
    detail(reason=[{"anything-but": {"equals-ignore-case": "deleteobject"}}]),
    key({"anything-but": {"wildcard": ["*/tmp/*", "*.tmp"]}}),
    size({"anything-but": [4, 6]}),
    size({"anything-but": 6}),
    size(5),
    size({"numeric": [">", 0, "<=", 5]}),
    size({"numeric": [">=", 5, "<", 6]}),
    size({"numeric": ["<", 6]}),
    detail(price=[{"numeric": ["=", 3.018e2]}]),
    detail(source_ip_address=[{"cidr": "10.0.0.0/24"}]),
    detail(six=[{"cidr": "2001:db8::/32"}]),
    detail(deleted=[False]),
    detail(owner=[None]),
    detail(reason=[{"exists": True}]),
    detail(missing=[{"exists": False}]),
    detail(missing=["x", {"exists": False}]),
    detail(nothing=[{"exists": False}]),
    detail(tags=["daily"]),
    detail(tags=[{"anything-but": "daily"}]),
    {"detail": {"items": {"sku": ["b"], "count": [2], "place": {"aisle": [4]}}}},
    {"detail": {"state": {"status": ["running"]}}},
    {"detail": {"state.status": ["running"]}},
    detail(star=[{"wildcard": "a\\*b*c\\\\d"}]),
    {"$or": [{"source": ["aws.ec2"]}, {"detail": {"bucket": {"name": ["orders"]}}}]},
    {"source": ["aws.s3"], "detail": {"$or": [{"reason": ["PutObject"]}, {"price": [{"numeric": ["<", 1]}]}]}},
    '{"source": ["aws.ec2"], "source": ["aws.s3"]}',
]
DIFFERING = [
    {"source": ["aws.ec2"]},
    {"source": ["aws.s3"], "account": ["999999999999"]},
    {"resources": ["arn:aws:s3:::third"]},
    {"source": [{"prefix": "aws.e"}]},
    {"source": [{"prefix": "AWS"}]},
    {"source": [{"suffix": "S3"}]},
    {"source": [{"equals-ignore-case": "aws.s"}]},
    key({"suffix": ".CSV"}),
    key({"wildcard": "sales/*.json"}),
    key({"wildcard": "sales"}),
    size("5"),
    size(5.0),
    size({"numeric": [">", 5]}),
    size({"numeric": ["<", 5]}),
    size({"numeric": ["<=", 4]}),
    size({"numeric": [">=", 6]}),
    size({"numeric": ["=", 6]}),
    size({"numeric": [">", 0, "<", 5]}),
    size({"prefix": "5"}),
    size({"suffix": "5"}),
    size({"wildcard": "*"}),
    size({"equals-ignore-case": "5"}),
    size({"cidr": "0.0.0.0/0"}),
    size({"anything-but": [5, 6]}),
    key({"numeric": ["<", 5]}),
    detail(deleted=[{"numeric": ["=", 0]}]),
    detail(huge=[{"numeric": [">", 1]}]),
    detail(reason=[{"anything-but": "PutObject"}]),
    detail(reason=[{"anything-but": {"prefix": ["Copy", "Put"]}}]),
    detail(missing=[{"anything-but": "x"}]),
    detail(source_ip_address=[{"cidr": "10.0.1.0/24"}]),
    detail(six=[{"cidr": "0.0.0.0/0"}]),
    detail(reason=[{"cidr": "10.0.0.0/8"}]),
    detail(deleted=["false"]),
    detail(deleted=[0]),
    detail(owner=[""]),
    detail(reason=[{"exists": False}]),
    detail(missing=[{"exists": True}]),
    detail(bucket=[{"exists": True}]),
    detail(nothing=[{"exists": True}]),
    {"detail": {"items": {"sku": ["a"], "count": [2]}}},
    {"detail": {"items": {"count": [{"exists": False}]}}},
    detail(star=[{"wildcard": "a\\*c"}]),
    {"$or": [{"source": ["aws.ec2"]}, {"region": ["eu-west-1"]}]},
]
REFUSED = [
    "not json",
    "[]",
    "[1]",
    "{}",
    '{"source": {}}',
    '{"source": "aws.s3"}',
    '{"source": []}',
    '{"source": [["aws.s3"]]}',
    '{"source": [{"prefixx": "a"}]}',
    '{"source": [{"prefix": "a", "suffix": "b"}]}',
    '{"source": [{}]}',
    '{"source": [{"prefix": 1}]}',
    '{"source": [{"prefix": {"wildcard": "*"}}]}',
    '{"source": [{"suffix": {"equals-ignore-case": 1}}]}',
    '{"source": [{"equals-ignore-case": {"equals-ignore-case": "a"}}]}',
    '{"source": [{"exists": "yes"}]}',
    '{"source": [{"anything-but": ["a", 1]}]}',
    '{"source": [{"anything-but": []}]}',
    '{"source": [{"anything-but": true}]}',
    '{"source": [{"anything-but": {"numeric": ["=", 1]}}]}',
    '{"source": [{"anything-but": {}}]}',
    '{"source": [{"anything-but": {"prefix": "a", "suffix": "b"}}]}',
    '{"source": [{"anything-but": {"prefix": ""}}]}',
    '{"source": [{"anything-but": {"prefix": []}}]}',
    '{"source": [{"anything-but": {"prefix": [1]}}]}',
    '{"source": [{"numeric": ["about", 1]}]}',
    '{"source": [{"numeric": [">", "1"]}]}',
    '{"source": [{"numeric": [">", true]}]}',
    '{"source": [{"numeric": [">"]}]}',
    '{"source": [{"numeric": 1}]}',
    '{"source": [{"numeric": [">", 5, "<", 1]}]}',
    '{"source": [{"numeric": [">", 5, "<", 5]}]}',
    '{"source": [{"numeric": ["<", 1, ">", 5]}]}',
    '{"source": [{"numeric": [">", 1, ">", 5]}]}',
    '{"source": [{"numeric": ["=", 9007199254740993]}]}',
    '{"source": [{"cidr": "10.0.0.0/99"}]}',
    '{"source": [{"cidr": 10}]}',
    '{"source": [{"wildcard": "a**b"}]}',
    '{"source": [{"wildcard": "a\\\\b"}]}',
    '{"$or": [{"source": ["a"]}]}',
    '{"$or": {"source": ["a"]}}',
    '{"$or": ["a", "b"]}',
]


def tried(lab, pattern, event=EVENT):
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    return lab.client("events", "central").test_event_pattern(EventPattern=text, Event=json.dumps(event))["Result"]


@pytest.mark.statement("eventbridge.pattern-operators")
@pytest.mark.parametrize("pattern", MATCHING, ids=json.dumps)
def test_a_documented_pattern_matches(lab, pattern):
    assert tried(lab, pattern) is True


@pytest.mark.statement("eventbridge.pattern-operators", "eventbridge.pattern-types")
@pytest.mark.parametrize("pattern", DIFFERING, ids=json.dumps)
def test_a_pattern_that_differs_does_not_match(lab, pattern):
    assert tried(lab, pattern) is False


@pytest.mark.statement("eventbridge.pattern-refused")
@pytest.mark.parametrize("text", REFUSED)
def test_a_pattern_that_is_none_is_refused_when_the_rule_is_put_or_tried(lab, text):
    with refused("InvalidEventPatternException"):
        lab.client("events", "central").put_rule(Name=lab.name("refused", "-"), EventPattern=text)
    with refused("InvalidEventPatternException"):
        tried(lab, text)


@pytest.mark.statement("eventbridge.pattern-combinations")
def test_or_makes_1000_combinations_at_most(lab):
    def branches(count):
        return [{f"f{index}": [1]} for index in range(count)]

    tried(lab, {"$or": branches(10), "detail": {"$or": branches(10), "inner": {"$or": branches(10)}}})
    with refused("InvalidEventPatternException"):
        tried(lab, {"$or": branches(7), "detail": {"$or": branches(11), "inner": {"$or": branches(13)}}})


@pytest.mark.statement("eventbridge.pattern-size")
def test_a_pattern_has_2048_characters_at_most(lab):
    fits = json.dumps({"source": ["x" * (2048 - len('{"source": [""]}'))]})
    assert tried(lab, fits) is False
    with refused("InvalidEventPatternException", "ValidationException", "LimitExceededException"):
        tried(lab, fits.replace("x", "xx", 1))


@pytest.mark.statement("eventbridge.test-pattern")
def test_an_event_to_try_needs_its_envelope(lab):
    for event in ({"id": "1"}, {**{name: value for name, value in EVENT.items() if name != "time"}}, []):
        with refused("ValidationException"):
            tried(lab, {"source": ["a"]}, event)
    with refused("ValidationException"):
        lab.client("events", "central").test_event_pattern(EventPattern='{"source": ["a"]}', Event="{")


@pytest.mark.statement("eventbridge.pattern-operators")
def test_a_rule_matches_as_the_trial_says(lab):
    url, arn = queue(lab)
    source = lab.name("source", "-")
    rule(lab, {"Arn": arn}, pattern={"source": [source], "detail": {"n": [{"numeric": [">", 1]}]}})
    put(lab, source, Detail='{"n": 1}')
    put(lab, source, Detail='{"n": 2}')
    (message,) = came(lab, url)
    assert json.loads(message["Body"])["detail"] == {"n": 2}
