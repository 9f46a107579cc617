"""Event patterns: the documented operators match what they should, and what EventBridge refuses is refused."""

import json

import pytest

from local_aws.events.event_patterns import InvalidPattern, compile_pattern, matches

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
        "deleted": False,
        "owner": None,
        "price": 301.8,
        "state.status": "running",
        "tags": ["raw", "daily"],
        "nothing": [],
        "items": [
            {"sku": "a", "count": 1, "place": {"aisle": 3}},
            {"sku": "b", "count": 2, "place": {"aisle": 4}},
        ],
    },
}


def fits(pattern: dict, event: dict = EVENT) -> bool:
    return matches(compile_pattern(json.dumps(pattern)), event)


def detail(**fields: list) -> dict:
    return {"detail": {name.replace("_", "-"): values for name, values in fields.items()}}


MATCHING = [
    {"source": ["aws.s3"]},
    {"source": ["aws.ec2", "aws.s3"], "detail-type": ["Object Created"]},
    {"resources": ["arn:aws:s3:::second"]},
    {"time": [{"prefix": "2021-11-12"}]},
    {"detail": {"object": {"key": [{"suffix": ".csv"}]}}},
    {"detail": {"object": {"key": [{"prefix": {"equals-ignore-case": "SALES/"}}]}}},
    {"detail": {"object": {"key": [{"suffix": {"equals-ignore-case": ".CSV"}}]}}},
    {"detail": {"object": {"key": [{"wildcard": "sales/*/part-*.csv"}]}}},
    {"detail-type": [{"equals-ignore-case": "object created"}]},
    {"detail": {"object": {"etag": [""]}}},
    detail(reason=[{"anything-but": "DeleteObject"}]),
    detail(reason=[{"anything-but": ["DeleteObject", "CopyObject"]}]),
    detail(reason=[{"anything-but": {"prefix": "Delete"}}]),
    detail(reason=[{"anything-but": {"prefix": ["Delete", "Copy"]}}]),
    detail(reason=[{"anything-but": {"suffix": [".tmp", "Upload"]}}]),
    detail(reason=[{"anything-but": {"equals-ignore-case": "deleteobject"}}]),
    {"detail": {"object": {"key": [{"anything-but": {"wildcard": ["*/tmp/*", "*.tmp"]}}]}}},
    {"detail": {"object": {"size": [{"anything-but": [4, 6]}]}}},
    {"detail": {"object": {"size": [5]}}},
    {"detail": {"object": {"size": [{"numeric": [">", 0, "<=", 5]}]}}},
    detail(price=[{"numeric": ["=", 3.018e2]}]),
    detail(source_ip_address=[{"cidr": "10.0.0.0/24"}]),
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
    {"$or": [{"source": ["aws.ec2"]}, {"detail": {"bucket": {"name": ["orders"]}}}]},
    {"source": ["aws.s3"], "detail": {"$or": [{"reason": ["PutObject"]}, {"price": [{"numeric": ["<", 1]}]}]}},
]

NOT_MATCHING = [
    {"source": ["aws.ec2"]},
    {"source": ["aws.s3"], "account": ["999999999999"]},
    {"resources": ["arn:aws:s3:::third"]},
    {"source": [{"prefix": "aws.e"}]},
    {"detail": {"object": {"key": [{"suffix": ".CSV"}]}}},
    {"detail": {"object": {"key": [{"wildcard": "sales/*.json"}]}}},
    {"detail": {"object": {"size": ["5"]}}},
    {"detail": {"object": {"size": [5.0]}}},
    {"detail": {"object": {"size": [{"numeric": [">", 5]}]}}},
    {"detail": {"object": {"size": [{"prefix": "5"}]}}},
    detail(reason=[{"anything-but": "PutObject"}]),
    detail(reason=[{"anything-but": {"prefix": ["Copy", "Put"]}}]),
    detail(missing=[{"anything-but": "x"}]),
    detail(source_ip_address=[{"cidr": "10.0.1.0/24"}]),
    detail(reason=[{"cidr": "10.0.0.0/8"}]),
    detail(deleted=["false"]),
    detail(deleted=[0]),
    detail(owner=[""]),
    detail(reason=[{"exists": False}]),
    detail(missing=[{"exists": True}]),
    detail(bucket=[{"exists": True}]),  # exists works on leaves only
    detail(nothing=[{"exists": True}]),
    {"detail": {"items": {"sku": ["a"], "count": [2]}}},  # true of different elements only
    {"detail": {"items": {"count": [{"exists": False}]}}},
    {"$or": [{"source": ["aws.ec2"]}, {"region": ["eu-west-1"]}]},
]

REFUSED = [
    ("not json", "not valid JSON"),
    ("[]", "not an object"),
    ("{}", "Empty objects"),
    ('{"source": "aws.s3"}', "must be an object or an array"),
    ('{"source": []}', "Empty arrays"),
    ('{"source": [["aws.s3"]]}', "not an array"),
    ('{"source": [{"prefixx": "a"}]}', "Unrecognized match type prefixx"),
    ('{"source": [{"prefix": "a", "suffix": "b"}]}', "Only one key"),
    ('{"source": [{}]}', "Only one key"),
    ('{"source": [{"prefix": 1}]}', "prefix match pattern must be a string"),
    ('{"source": [{"suffix": {"wildcard": "*"}}]}', "equals-ignore-case"),
    ('{"source": [{"exists": "yes"}]}', "true or false"),
    ('{"source": [{"anything-but": ["a", 1]}]}', "all values must be strings"),
    ('{"source": [{"anything-but": true}]}', "all values must be strings"),
    ('{"source": [{"anything-but": {"numeric": ["=", 1]}}]}', "Unsupported anything-but"),
    ('{"source": [{"anything-but": {"prefix": ""}}]}', "non-empty string"),
    ('{"source": [{"numeric": ["about", 1]}]}', "Unrecognized numeric range operator"),
    ('{"source": [{"numeric": [">", "1"]}]}', "must be numeric"),
    ('{"source": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
    ('{"source": [{"numeric": ["<", 5, ">", 1]}]}', "Bad numeric range"),
    ('{"source": [{"numeric": ["=", 9007199254740993]}]}', "cannot be represented exactly"),
    ('{"source": [{"cidr": "10.0.0.0/99"}]}', "Malformed CIDR"),
    ('{"source": [{"wildcard": "a**b"}]}', "Consecutive wildcard"),
    ('{"source": [{"wildcard": "a\\\\b"}]}', "Invalid escape"),
    ('{"$or": [{"source": ["a"]}]}', "at least 2 objects"),
    ('{"$or": ["a", "b"]}', "at least 2 objects"),
]


@pytest.mark.parametrize("pattern", MATCHING, ids=json.dumps)
def test_a_documented_pattern_matches(pattern: dict):
    assert fits(pattern)


@pytest.mark.parametrize("pattern", NOT_MATCHING, ids=json.dumps)
def test_a_pattern_that_differs_does_not_match(pattern: dict):
    assert not fits(pattern)


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_eventbridge_refuses_is_refused(text: str, why: str):
    with pytest.raises(InvalidPattern, match=why):
        compile_pattern(text)


def test_literal_asterisks_and_backslashes_are_escaped_in_wildcards():
    pattern = {"detail": {"key": [{"wildcard": "a\\*b*c\\\\d"}]}}
    assert fits(pattern, {"detail": {"key": "a*b anything c\\d"}})
    assert not fits(pattern, {"detail": {"key": "axb c\\d"}})


def test_the_last_of_duplicate_fields_counts():
    pattern = compile_pattern('{"source": ["aws.ec2"], "source": ["aws.s3"]}')
    assert matches(pattern, EVENT)


def test_a_pattern_with_too_many_combinations_is_refused():
    branches = [{f"field{index}": ["x"]} for index in range(11)]
    nested = {"$or": branches, "detail": {"$or": branches, "inner": {"$or": branches}}}
    with pytest.raises(InvalidPattern, match="more than 1000"):
        compile_pattern(json.dumps(nested))


def test_a_pattern_longer_than_the_quota_is_refused():
    with pytest.raises(InvalidPattern, match="longer than 2048"):
        compile_pattern(json.dumps({"source": ["x" * 2048]}))
