"""Event source mappings: their settings, what is refused, and how they are described and listed."""

import pytest
from functions_lab import Functions, role_for
from lab import refused
from test_event_sources import CODE, QUEUES, Desk

INVALID = ("InvalidParameterValueException", "ValidationException")


@pytest.fixture(scope="module")
def desk(lab):
    return Desk(lab)


@pytest.fixture(scope="module")
def client(desk):
    return desk.client


@pytest.fixture(scope="module")
def name(desk):
    return desk.functions.make(CODE, Timeout=6, Publish=True)


@pytest.mark.statement("event-sources.described")
def test_a_mapping_is_described_with_its_settings_and_defaults(lab, desk, client, name):
    plain = desk.queue()
    made = client.create_event_source_mapping(FunctionName=name, EventSourceArn=desk.arn(plain), Enabled=False)
    lab.at_end(client.delete_event_source_mapping, UUID=made["UUID"])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["State"] == "Creating"
    lab.eventually(lambda: desk.state(made["UUID"])["State"] == "Disabled")
    seen = desk.state(made["UUID"])
    assert (seen["BatchSize"], seen["MaximumBatchingWindowInSeconds"]) == (10, 0)
    assert seen["FunctionArn"] == desk.functions.arn(name)
    assert seen["EventSourceArn"] == desk.arn(plain)
    assert seen.get("FunctionResponseTypes", []) == []
    assert "ScalingConfig" not in seen
    assert seen["EventSourceMappingArn"].endswith(f":event-source-mapping:{made['UUID']}")
    client.update_event_source_mapping(
        UUID=made["UUID"],
        BatchSize=100,
        MaximumBatchingWindowInSeconds=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 7},
    )
    lab.eventually(lambda: desk.state(made["UUID"])["State"] == "Disabled")
    seen = desk.state(made["UUID"])
    assert (seen["BatchSize"], seen["MaximumBatchingWindowInSeconds"]) == (100, 5)
    assert seen["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert seen["ScalingConfig"] == {"MaximumConcurrency": 7}
    client.update_event_source_mapping(UUID=made["UUID"], FunctionName=f"{name}:1", ScalingConfig={})
    lab.eventually(lambda: desk.state(made["UUID"])["State"] == "Disabled")
    seen = desk.state(made["UUID"])
    assert seen["FunctionArn"].endswith(f":{name}:1")
    assert "ScalingConfig" not in seen
    assert seen["BatchSize"] == 100


REFUSED = [
    {"BatchSize": 10_001, "MaximumBatchingWindowInSeconds": 1},
    {"BatchSize": 11},
    {"MaximumBatchingWindowInSeconds": 301},
    {"ScalingConfig": {"MaximumConcurrency": 1001}},
    {"FunctionResponseTypes": ["ReportEverything"]},
]


@pytest.mark.statement("event-sources.ranges")
@pytest.mark.parametrize("settings", REFUSED, ids=range(len(REFUSED)))
def test_settings_outside_their_ranges_are_refused_by_create_and_update(lab, desk, client, name, settings):
    url = desk.queue()
    with refused(*INVALID):
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=desk.arn(url), **settings)
    uuid = desk.map(name, url, Enabled=False)
    with refused(*INVALID):
        client.update_event_source_mapping(UUID=uuid, **settings)
    assert desk.state(uuid)["BatchSize"] == 10


@pytest.mark.statement("event-sources.ranges")
def test_settings_at_their_limits_are_taken(desk, name):
    most = {"BatchSize": 10_000, "MaximumBatchingWindowInSeconds": 300, "ScalingConfig": {"MaximumConcurrency": 1000}}
    for settings in (most, {"BatchSize": 10, "ScalingConfig": {"MaximumConcurrency": 2}}, {"BatchSize": 1}):
        desk.map(name, desk.queue(), Enabled=False, **settings)
    desk.map(name, desk.queue(), Enabled=False, BatchSize=11, MaximumBatchingWindowInSeconds=1)


@pytest.mark.statement("event-sources.visibility")
def test_a_queue_that_shows_messages_again_before_the_function_times_out_is_refused(desk, client, name):
    short, enough = desk.queue(VisibilityTimeout="5"), desk.queue(VisibilityTimeout="6")
    with refused(
        "InvalidParameterValueException", message="visibility timeout: 5 seconds is less than Function timeout"
    ):
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=desk.arn(short))
    desk.map(name, enough, Enabled=False)


@pytest.mark.statement("event-sources.role")
def test_the_functions_role_must_be_allowed_to_read_the_queue(lab, desk, client):
    for missing in QUEUES:
        role = role_for(lab, *(each for each in QUEUES if each != missing))
        name = desk.functions.make(CODE, Role=role.arn)
        action = missing.split(":")[1]
        with refused("InvalidParameterValueException", message=f"does not have permissions to call {action} on SQS"):
            client.create_event_source_mapping(FunctionName=name, EventSourceArn=desk.arn(desk.queue()))


@pytest.mark.statement("event-sources.source")
def test_the_queue_must_be_there_and_in_the_functions_region(lab, desk, client, name):
    arn = desk.arn(desk.queue())
    with refused("InvalidParameterValueException"):
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn + "-nobody")
    with refused("InvalidParameterValueException", message="Region"):
        client.create_event_source_mapping(
            FunctionName=name, EventSourceArn=arn.replace(lab.region, "us-east-1" if lab.is_local else lab.region + "x")
        )
    with refused("ResourceNotFoundException", message="Function not found"):
        client.create_event_source_mapping(FunctionName="nobody", EventSourceArn=arn)
    with refused("ResourceNotFoundException", message="Function not found"):
        client.create_event_source_mapping(FunctionName=f"{name}:7", EventSourceArn=arn)


@pytest.mark.statement("event-sources.other-account")
def test_a_queue_of_another_account_needs_a_policy_that_admits_the_role(lab, desk, client, name):
    sqs = lab.client("sqs", "producer")
    url = sqs.create_queue(QueueName=lab.name("theirs", "-"))["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    with refused("InvalidParameterValueException", message="ReceiveMessage on SQS"):
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn)


@pytest.mark.statement("event-sources.once")
def test_a_queue_is_mapped_to_a_function_once(desk, client, name):
    url = desk.queue()
    uuid = desk.map(name, url, Enabled=False)
    with refused("ResourceConflictException", message=uuid):
        client.create_event_source_mapping(FunctionName=name, EventSourceArn=desk.arn(url))
    other = desk.map(f"{name}:1", url, Enabled=False)
    assert other != uuid
    assert desk.map(f"{name}:$LATEST", desk.queue(), Enabled=False)
    client.delete_event_source_mapping(UUID=uuid)
    assert desk.map(name, url, Enabled=False) != uuid


@pytest.mark.statement("event-sources.deleted")
def test_a_deleted_mapping_is_gone(lab, desk, client, name):
    uuid = desk.map(name, desk.queue())
    answer = client.delete_event_source_mapping(UUID=uuid)
    assert (answer["State"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("Deleting", 202)
    if lab.is_local:
        for call in (client.get_event_source_mapping, client.delete_event_source_mapping):
            with refused("ResourceNotFoundException"):
                call(UUID=uuid)
    with refused("ResourceNotFoundException"):
        client.update_event_source_mapping(UUID="00000000-0000-0000-0000-000000000000", BatchSize=1)


@pytest.mark.statement("event-sources.listed")
def test_mappings_are_listed_by_queue_and_function_in_pages_and_are_the_accounts_own(lab, desk, client, name):
    queue = desk.queue()
    here = {desk.map(name, queue, Enabled=False), desk.map(f"{name}:1", queue, Enabled=False)}
    elsewhere = desk.map(name, desk.queue(), Enabled=False)

    def listed(**parameters):
        pages = client.get_paginator("list_event_source_mappings").paginate(**parameters)
        return {each["UUID"] for page in pages for each in page["EventSourceMappings"]}

    assert listed(EventSourceArn=desk.arn(queue)) == here
    assert elsewhere in listed(FunctionName=name)
    assert listed(FunctionName=f"{name}:1", EventSourceArn=desk.arn(queue)) < here
    assert here | {elsewhere} <= listed()
    first = client.list_event_source_mappings(MaxItems=2)
    assert len(first["EventSourceMappings"]) == 2
    second = client.list_event_source_mappings(MaxItems=2, Marker=first["NextMarker"])
    assert not {each["UUID"] for each in first["EventSourceMappings"]} & {
        each["UUID"] for each in second["EventSourceMappings"]
    }
    theirs = Functions(lab, role_for(lab, part="consumer"), "consumer").client
    seen = {each["UUID"] for each in theirs.list_event_source_mappings()["EventSourceMappings"]}
    assert not seen & here
    with refused("ResourceNotFoundException", "AccessDeniedException"):
        theirs.get_event_source_mapping(UUID=elsewhere)


@pytest.mark.statement("event-sources.not-built")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("fifo", {}, "only standard SQS queues"),
        ("arn:aws:kinesis:eu-west-1:111111111111:stream/s", {}, "only standard SQS queues"),
        ("arn:aws:dynamodb:eu-west-1:111111111111:table/t/stream/x", {}, "only standard SQS queues"),
        (None, {"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "FilterCriteria"),
        (None, {"ProvisionedPollerConfig": {"MinimumPollers": 2}}, "ProvisionedPollerConfig"),
        (None, {"KMSKeyArn": "arn:aws:kms:eu-west-1:111111111111:key/k"}, "KMSKeyArn"),
    ],
)
def test_fifo_queues_streams_and_filters_are_refused(lab, desk, client, name, source, settings, message):
    if source == "fifo":
        created = desk.sqs.create_queue(QueueName=lab.name("f", "-") + ".fifo", Attributes={"FifoQueue": "true"})
        source = desk.arn(created["QueueUrl"])
    with refused("LocalAwsNotSupported", message=message):
        client.create_event_source_mapping(
            FunctionName=name, EventSourceArn=source or desk.arn(desk.queue()), **settings
        )
