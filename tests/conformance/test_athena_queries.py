"""Query executions: how they start and end, where results go and how they are read, workgroups, SHOW and DESCRIBE."""

import json
import threading

import pytest
from athena_desk import JSON, desk, workgroup
from lab import refused

from local_aws.athena import athena_data

NULL = None


@pytest.fixture(scope="module")
def here(lab):
    return desk(lab, EnforceWorkGroupConfiguration=False)


@pytest.fixture(scope="module")
def people(here):
    """A table with awkward values."""
    rows = [{"id": 1, "name": 'a "b", c', "price": 2.5}, {"id": 2, "name": "", "price": None}]
    columns = {"id": "bigint", "name": "string", "price": "double"}
    return here.table(columns, JSON, files={"1": "\n".join(map(json.dumps, rows))}, name="people")


def stored(here, execution, suffix=""):
    bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
    return here.client("s3").get_object(Bucket=bucket, Key=key + suffix)


# -- results ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena.results", "athena.header-row", "athena.column-info", "athena.result-file")
def test_a_result_has_a_header_rows_types_and_a_file_with_quoted_values(here, people):
    execution = here.run(f"SELECT *, 1 + 1 FROM {people} ORDER BY id")
    results = here.client().get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    rows = here.all_rows(execution["QueryExecutionId"])
    assert rows == [("id", "name", "price", "_col3"), ("1", 'a "b", c', "2.5", "2"), ("2", "", NULL, "2")]
    assert results["UpdateCount"] == 0
    shown = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [each["Name"] for each in shown] == ["id", "name", "price", "_col3"]
    types = [(each["Type"], each["Precision"], each["Scale"], each["CaseSensitive"]) for each in shown]
    assert types == [
        ("bigint", 19, 0, False),
        ("varchar", 2147483647, 0, True),
        ("double", 17, 0, False),
        ("integer", 10, 0, False),
    ]
    body = stored(here, execution)["Body"].read().decode()
    assert body == '"id","name","price","_col3"\n"1","a ""b"", c","2.5","2"\n"2","",,"2"\n'


@pytest.mark.statement("athena.result-location", "athena.metadata-file")
def test_files_are_named_by_the_query_and_the_metadata_file_may_be_deleted(here):
    execution = here.run("SELECT 1")
    query_id = execution["QueryExecutionId"]
    assert execution["ResultConfiguration"]["OutputLocation"] == f"s3://{here.bucket}/results/{query_id}.csv"
    assert stored(here, execution, ".metadata")["ContentLength"] > 0
    here.client("s3").delete_object(Bucket=here.bucket, Key=f"results/{query_id}.csv.metadata")
    assert here.all_rows(query_id) == [("_col0",), ("1",)]
    shown = here.run("SHOW DATABASES")
    assert shown["ResultConfiguration"]["OutputLocation"].endswith(f"{shown['QueryExecutionId']}.txt")


@pytest.mark.statement("athena.result-gone")
def test_results_that_were_deleted_are_not_found(here):
    query_id = here.run("SELECT 1")["QueryExecutionId"]
    here.client("s3").delete_object(Bucket=here.bucket, Key=f"results/{query_id}.csv")
    with refused("InvalidRequestException", message="Could not find results"):
        here.client().get_query_results(QueryExecutionId=query_id)


@pytest.mark.statement("athena.value-texts")
def test_values_are_written_as_athena_writes_them(here):
    values = [
        ("1e10", "1.0E10"),
        ("12345678.0", "1.2345678E7"),
        ("1234567.0", "1234567.0"),
        ("-0.0001", "-1.0E-4"),
        ("0.001", "0.001"),
        ("0.0", "0.0"),
        ("cast(1.1 as real)", "1.1"),
        ("cast(12345678 as real)", "1.2345678E7"),
        ("true", "true"),
        ("cast('1.50' as decimal(5, 2))", "1.50"),
        ("date '2024-01-02'", "2024-01-02"),
        ("timestamp '2024-01-02 03:04:05.678'", "2024-01-02 03:04:05.678"),
        ("array[1, null]", "[1, null]"),
        ("array['a, b']", "[a, b]"),
        ("null", NULL),
        ("'two\nlines'", "two\nlines"),
    ]
    (row,) = here.rows(f"SELECT {', '.join(value for value, _ in values)}")
    assert list(zip((value for value, _ in values), row, strict=True)) == values


@pytest.mark.statement("athena.column-info")
def test_types_are_described_by_athenas_names(here, people):
    sql = (
        "SELECT cast(1 as tinyint), cast(1.5 as real), cast(1 as decimal(10, 2)), date '2020-01-01', now(), array[1],"
        " true, cast(1 as smallint), timestamp '2020-01-01 00:00:00'"
    )
    query_id = here.run(sql)["QueryExecutionId"]
    shown = here.client().get_query_results(QueryExecutionId=query_id)["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [(each["Type"], each["Precision"], each["Scale"]) for each in shown] == [
        ("tinyint", 3, 0),
        ("float", 17, 0),
        ("decimal", 10, 2),
        ("date", 0, 0),
        ("timestamp with time zone", 3, 0),
        ("array", 0, 0),
        ("boolean", 0, 0),
        ("smallint", 5, 0),
        ("timestamp", 3, 0),
    ]


@pytest.mark.statement("athena.result-pages")
def test_results_come_by_page_of_at_most_a_thousand_rows(here):
    table = here.table({"id": "bigint"}, files={"1.csv": "".join(f"{number}\n" for number in range(1500))})
    query_id = here.run(f"SELECT id FROM {table} ORDER BY id")["QueryExecutionId"]
    get = here.client().get_query_results
    assert len(get(QueryExecutionId=query_id)["ResultSet"]["Rows"]) == 1000
    assert here.all_rows(query_id) == [("id",), *((str(number),) for number in range(1500))]
    page = get(QueryExecutionId=query_id, MaxResults=2)
    assert [row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]] == ["id", "0"]
    following = get(QueryExecutionId=query_id, MaxResults=1000, NextToken=page["NextToken"])["ResultSet"]["Rows"]
    assert (following[0]["Data"][0]["VarCharValue"], len(following)) == ("1", 1000)
    with refused("InvalidRequestException", message="MaxResults"):
        get(QueryExecutionId=query_id, MaxResults=1001)
    for token in ("nonsense", "99999999"):
        with refused("InvalidRequestException"):
            get(QueryExecutionId=query_id, NextToken=token)


# -- states -------------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena.execution", "athena.statement-type")
def test_an_execution_says_what_ran_where_and_how_it_ended(here, people):
    execution = here.run(f"SELECT id FROM {people}")
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DML", "SELECT")
    assert execution["Query"] == f"SELECT id FROM {people}"
    assert execution["QueryExecutionContext"] == {"Database": here.database}
    assert execution["WorkGroup"] == here.workgroup
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    assert execution["Status"]["CompletionDateTime"] >= execution["Status"]["SubmissionDateTime"]
    assert "StateChangeReason" not in execution["Status"]
    assert "AthenaError" not in execution["Status"]
    assert execution["Statistics"]["EngineExecutionTimeInMillis"] >= 0
    shown = here.run("SHOW TABLES")
    assert (shown["StatementType"], shown["SubstatementType"]) == ("UTILITY", "SHOW_TABLES")


ERRORS = [
    ("SELECT nope FROM people", 1006),
    ("SELECT * FROM gone", 1301),
    ("SELECT * FROM nowhere.people", 1301),
    ("SELECT id FROM people WHERE id = 'x'", 1002),
    ("SELECT 1 / 0", 1001),
    ("SELECT cast('x' AS bigint)", 1100),
    ("SELECT array[1][2]", 1106),
    ("SELECT upper(1)", 1303),
    ("SELECT nosuchfunction(1)", 1200),
]


@pytest.mark.statement("athena.error")
def test_a_failed_query_has_a_reason_and_an_error_of_the_catalogue(here, people):
    for sql, kind in ERRORS:
        status = here.failed(sql)
        error = status["AthenaError"]
        assert (error["ErrorCategory"], error["ErrorType"], error["Retryable"]) == (2, kind, False), sql
        assert error["ErrorMessage"] == status["StateChangeReason"]


@pytest.mark.statement("athena.unfinished-results")
def test_a_failed_query_has_no_results(here):
    query_id = here.ended(here.start("SELECT 1 / 0"))["QueryExecutionId"]
    with refused("InvalidRequestException", message="Final query state: FAILED") as caught:
        here.client().get_query_results(QueryExecutionId=query_id)
    assert caught.value.response["AthenaErrorCode"] == "INVALID_QUERY_EXECUTION_STATE"


@pytest.fixture
def halted(here, monkeypatch):
    """A function that starts a query which waits before it reads its table's files; it gives what lets it go on."""
    reading, go_on = threading.Event(), threading.Event()
    real = athena_data.Tables._listed

    def slow(self, *arguments):
        reading.set()
        assert go_on.wait(20)
        return real(self, *arguments)

    monkeypatch.setattr(athena_data.Tables, "_listed", slow)

    def start(sql):
        reading.clear()
        go_on.clear()
        query_id = here.start(sql)
        assert reading.wait(20)
        return query_id, go_on

    return start


@pytest.mark.statement("athena.stop", "athena.unfinished-results")
@pytest.mark.local_only("the query is held while it runs")
def test_a_running_query_has_no_results_and_can_be_stopped(here, halted):
    columns = {"id": "bigint"}
    full = here.table(columns, files={"1.csv": "1\n", "2.csv": "2\n", "3.csv": "3\n"})
    for table, scanned in ((full, 2), (here.table(columns), 0)):
        query_id, go_on = halted(f"SELECT * FROM {table}")
        athena = here.client()
        assert athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"] == "RUNNING"
        with refused("InvalidRequestException", message="Current state: RUNNING"):
            athena.get_query_results(QueryExecutionId=query_id)
        athena.stop_query_execution(QueryExecutionId=query_id)
        status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Query cancelled by user")
        go_on.set()
        here.lab.aws.world.wait_idle(20)
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        assert execution["Status"]["State"] == "CANCELLED"
        assert execution["Statistics"]["DataScannedInBytes"] == scanned
        with refused("InvalidRequestException", message="Could not find results"):
            athena.get_query_results(QueryExecutionId=query_id)
        with refused("NoSuchKey"):
            stored(here, execution)


@pytest.mark.statement("athena.stop")
def test_stopping_a_query_that_has_ended_changes_nothing(here):
    query_id = here.run("SELECT 1")["QueryExecutionId"]
    here.client().stop_query_execution(QueryExecutionId=query_id)
    assert here.ended(query_id)["Status"]["State"] == "SUCCEEDED"


@pytest.mark.statement("athena.token")
def test_a_client_request_token_starts_one_query(here):
    token = here.lab.name("token" * 8)
    first = here.start("SELECT 1", ClientRequestToken=token)
    assert here.start("SELECT 1", ClientRequestToken=token) == first
    with refused("InvalidRequestException", message="Idempotent parameters do not match"):
        here.start("SELECT 2", ClientRequestToken=token)
    assert here.start("SELECT 1") != here.start("SELECT 1")


@pytest.mark.statement("athena.history", "athena.accounts")
def test_executions_are_listed_newest_first_by_workgroup_and_account(here, lab):
    athena, group = here.client(), workgroup(lab, "producer", here.bucket)
    ids = [here.run(f"SELECT {number}", WorkGroup=group)["QueryExecutionId"] for number in range(3)]
    page = athena.list_query_executions(WorkGroup=group, MaxResults=2)
    rest = athena.list_query_executions(WorkGroup=group, NextToken=page["NextToken"])
    assert page["QueryExecutionIds"] + rest["QueryExecutionIds"] == ids[::-1]
    batch = athena.batch_get_query_execution(QueryExecutionIds=[ids[0], "gone"])
    assert [each["Query"] for each in batch["QueryExecutions"]] == ["SELECT 0"]
    missing = [(each["QueryExecutionId"], each["ErrorCode"]) for each in batch["UnprocessedQueryExecutionIds"]]
    assert missing == [("gone", "INVALID_INPUT")]
    for part, query_id in (("outsider", ids[0]), ("producer", "gone")):
        for call in ("get_query_execution", "get_query_results", "stop_query_execution"):
            with refused("InvalidRequestException", message="was not found"):
                getattr(lab.client("athena", part), call)(QueryExecutionId=query_id)


@pytest.mark.statement("athena.query-length")
def test_a_query_string_has_at_most_262144_bytes(here):
    longest = "SELECT 'ä'" + " " * (262_144 - 11)
    assert here.rows(longest) == [("ä",)]
    for sql in (longest + " ", "SELECT 1" + " " * 262_144):
        with refused("InvalidRequestException"):
            here.start(sql)


@pytest.mark.statement("athena.not-built")
@pytest.mark.parametrize(
    "options",
    [
        {"ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": True}}},
        {"ExecutionParameters": ["1"]},
        {"ResultConfiguration": {"AclConfiguration": {"S3AclOption": "BUCKET_OWNER_FULL_CONTROL"}}},
    ],
)
@pytest.mark.local_only("these work on AWS")
def test_what_is_not_built_is_refused(here, options):
    with refused("LocalAwsNotSupported"):
        here.start("SELECT 1", **options)


@pytest.mark.statement("athena.other-catalog")
def test_another_catalogue_is_not_there(here):
    for sql in ("SELECT 1 FROM people", "SELECT 1 FROM x.people"):
        reason = here.reason(sql, QueryExecutionContext={"Catalog": "other", "Database": here.database})
        assert reason == "CATALOG_NOT_FOUND: Catalog 'other' does not exist"
    assert here.rows("SELECT 1", QueryExecutionContext={"Catalog": "other"}) == [("1",)]


# -- events -------------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena.events", "athena.first-event")
def test_each_change_of_state_is_an_event(here, lab):
    events, sqs, name = here.client("events"), here.client("sqs"), lab.name("states", "-")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=queue)
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.athena"], "detail": {"workgroupName": [here.workgroup]}}
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    lab.at_end(events.delete_rule, Name=name)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    lab.at_end(events.remove_targets, Rule=name, Ids=["queue"])
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    good = here.run("SELECT 1")["QueryExecutionId"]
    bad = here.ended(here.start("SELECT 1 / 0"))["QueryExecutionId"]
    seen = {}

    def all_there():
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert (event["detail-type"], event["resources"]) == ("Athena Query State Change", [])
            detail = event["detail"]
            seen[detail["queryExecutionId"], detail["sequenceNumber"]] = detail
        return len(seen) == 6

    lab.eventually(all_there)
    told = [(seen[good, n].get("previousState"), seen[good, n]["currentState"]) for n in ("1", "2", "3")]
    assert told == [(None, "QUEUED"), ("QUEUED", "RUNNING"), ("RUNNING", "SUCCEEDED")]
    assert (seen[good, "3"]["statementType"], seen[good, "3"]["versionId"]) == ("DML", "0")
    assert "athenaError" not in seen[good, "3"]
    error = seen[bad, "3"]["athenaError"]
    assert (seen[bad, "3"]["currentState"], error["errorCategory"], error["errorType"]) == ("FAILED", 2, 1001)
    assert (error["errorMessage"], error["retryable"]) == ("DIVISION_BY_ZERO: Division by zero", False)
