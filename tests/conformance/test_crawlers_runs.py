"""Runs of crawlers: their states, lists, permissions and events."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from crawling import ACTIONS, NUMBERS, glue_role, place, with_role
from lab import refused

LAKE = {"LakeFormationConfiguration": {"UseLakeFormationCredentials": True}}
CATALOG_ACTIONS = [action for action in ACTIONS if not action.startswith("s3:")]


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    made = place(lab, role)
    made.put("t/a.csv", NUMBERS)
    return made


@contextmanager
def held(lab, monkeypatch):
    """Crawls stand still while they read, until the context is left. Only a local AWS lets them be held."""
    from local_aws.crawlers import engine

    go_on, reading, real = threading.Event(), threading.Event(), engine.read_target

    def slow(*arguments):
        reading.set()
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(engine, "read_target", slow)
    try:
        yield reading
    finally:
        go_on.set()


# -- states --------------------------------------------------------------------------------------------------------


@pytest.mark.local_only("holds a crawl")
@pytest.mark.statement("crawlers.one-run", "crawlers.states", "crawlers.start-empty", "crawlers.metrics")
def test_a_crawler_runs_once_at_a_time_and_cannot_be_changed_then(lab, here, monkeypatch):
    crawler, glue = here.crawler("t/"), here.glue
    with held(lab, monkeypatch) as reading:
        started = glue.start_crawler(Name=crawler)
        assert set(started) == {"ResponseMetadata"}
        assert reading.wait(20)
        found = glue.get_crawler(Name=crawler)["Crawler"]
        assert (found["State"], "LastCrawl" in found, found["CrawlElapsedTime"] >= 0) == ("RUNNING", False, True)
        crawl = glue.list_crawls(CrawlerName=crawler)["Crawls"][0]
        assert (crawl["State"], "EndTime" in crawl) == ("RUNNING", False)
        assert glue.get_crawler_metrics(CrawlerNameList=[crawler])["CrawlerMetricsList"][0]["StillEstimating"] is True
        assert any(crawler in each for each in lab.aws.world.busy())
        for call, more in (
            (glue.start_crawler, {}),
            (glue.update_crawler, {"Description": "x"}),
            (glue.delete_crawler, {}),
        ):
            with refused("CrawlerRunningException", message=crawler):
                call(Name=crawler, **more)
    assert here.ended(crawler)["State"] == "COMPLETED"
    found = glue.get_crawler(Name=crawler)["Crawler"]
    assert (found["LastCrawl"]["Status"], found["CrawlElapsedTime"]) == ("SUCCEEDED", 0)


@pytest.mark.local_only("holds a crawl")
@pytest.mark.statement("crawlers.stop", "crawlers.stop-errors", "crawlers.states", "crawlers.events-stopped")
def test_a_crawl_that_is_stopped_writes_nothing(lab, here, monkeypatch):
    queue = listening(lab, "producer")
    crawler, glue = here.crawler("t/"), here.glue
    with refused("CrawlerNotRunningException", message=crawler):
        glue.stop_crawler(Name=crawler)
    with held(lab, monkeypatch) as reading:
        glue.start_crawler(Name=crawler)
        assert reading.wait(20)
        glue.stop_crawler(Name=crawler)
        assert glue.get_crawler(Name=crawler)["Crawler"]["State"] == "STOPPING"
        with refused("CrawlerStoppingException", message=crawler):
            glue.stop_crawler(Name=crawler)
        with refused("CrawlerRunningException", message=crawler):
            glue.start_crawler(Name=crawler)
    crawl = here.ended(crawler)
    assert (crawl["State"], "ErrorMessage" in crawl) == ("STOPPED", False)
    assert glue.get_crawler(Name=crawler)["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"
    assert here.tables() == {}
    assert [each["detail"]["state"] for each in received(lab, "producer", queue, 1)] == ["Started"]


@pytest.mark.local_only("holds a crawl and moves the clock")
@pytest.mark.statement("crawlers.schedule-busy")
def test_a_crawl_by_schedule_is_left_out_while_another_one_runs(lab, here, monkeypatch):
    crawler, glue = here.crawler("t/", Schedule="cron(0 * * * ? *)"), here.glue
    with held(lab, monkeypatch) as reading:
        glue.start_crawler(Name=crawler)
        assert reading.wait(20)
        lab.aws.world.advance(3600)
        deadline = threading.Event()
        while not deadline.wait(0.01) and (lab.aws.world.clock.next_moment() - lab.aws.world.now()) <= timedelta(0):
            pass
    here.ended(crawler)
    glue.stop_crawler_schedule(CrawlerName=crawler)
    lab.eventually(lambda: None)
    assert len(glue.list_crawls(CrawlerName=crawler)["Crawls"]) == 1


# -- lists ---------------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.list-crawls", "crawlers.start-empty")
def test_crawls_are_listed_newest_first_by_page_and_by_filter(here):
    crawler, glue = here.crawler("t/"), here.glue
    crawls = [here.run(crawler) for _ in range(3)]
    page = glue.list_crawls(CrawlerName=crawler, MaxResults=2)
    rest = glue.list_crawls(CrawlerName=crawler, MaxResults=2, NextToken=page["NextToken"])
    ids = [crawl["CrawlId"] for crawl in page["Crawls"] + rest["Crawls"]]
    assert ids == [crawl["CrawlId"] for crawl in reversed(crawls)]
    assert "NextToken" not in rest

    def filtered(name, operator, value):
        wanted = {"FieldName": name, "FilterOperator": operator, "FieldValue": value}
        return [crawl["CrawlId"] for crawl in glue.list_crawls(CrawlerName=crawler, Filters=[wanted])["Crawls"]]

    newest, middle = ids[0], ids[1]
    started, ended = crawls[2]["StartTime"], crawls[1]["EndTime"]
    milliseconds = str(int(started.timestamp() * 1000))
    assert filtered("CRAWL_ID", "EQ", middle) == [middle]
    assert filtered("CRAWL_ID", "NE", middle) == [ids[0], ids[2]]
    assert filtered("STATE", "EQ", "FAILED") == []
    assert filtered("STATE", "NE", "FAILED") == ids
    assert filtered("START_TIME", "GT", milliseconds) == []
    assert filtered("START_TIME", "GE", milliseconds) == [newest]
    assert filtered("START_TIME", "EQ", started.isoformat()) == [newest]
    assert filtered("START_TIME", "LT", milliseconds) == ids[1:]
    assert filtered("START_TIME", "LE", str(int(started.timestamp()) + 600)) == ids
    assert set(filtered("END_TIME", "LT", (ended + timedelta(milliseconds=1)).isoformat())) >= set(ids[1:])
    both = [
        {"FieldName": "CRAWL_ID", "FilterOperator": "EQ", "FieldValue": middle},
        {"FieldName": "STATE", "FilterOperator": "EQ", "FieldValue": "FAILED"},
    ]
    assert glue.list_crawls(CrawlerName=crawler, Filters=both)["Crawls"] == []
    with refused("InvalidInputException", message="EQ and NE"):
        filtered("STATE", "GT", "FAILED")
    with refused("InvalidInputException", message="time"):
        filtered("START_TIME", "GT", "yesterday")


@pytest.mark.local_only("holds a crawl")
@pytest.mark.statement("crawlers.list-crawls")
def test_a_crawl_that_runs_has_no_end_to_filter_by(lab, here, monkeypatch):
    crawler = here.crawler("t/")
    later = {"FieldName": "END_TIME", "FilterOperator": "GT", "FieldValue": "0"}
    with held(lab, monkeypatch) as reading:
        here.glue.start_crawler(Name=crawler)
        assert reading.wait(20)
        assert here.glue.list_crawls(CrawlerName=crawler, Filters=[later])["Crawls"] == []
    here.ended(crawler)
    assert len(here.glue.list_crawls(CrawlerName=crawler, Filters=[later])["Crawls"]) == 1


@pytest.mark.local_only("a real account filters by it")
@pytest.mark.statement("crawlers.refused")
def test_a_filter_by_dpu_hours_is_refused(here):
    wanted = {"FieldName": "DPU_HOUR", "FilterOperator": "GT", "FieldValue": "1"}
    crawler = here.crawl("t/")
    with refused("LocalAwsNotSupported", message="DPU_HOUR"):
        here.glue.list_crawls(CrawlerName=crawler, Filters=[wanted])


@pytest.mark.statement("crawlers.summary", "crawlers.metrics")
def test_a_crawl_sums_up_what_it_did(here):
    here.put("u/p=1/a.csv", NUMBERS)
    policy = {"SchemaChangePolicy": {"DeleteBehavior": "DELETE_FROM_DATABASE"}}
    crawler = here.crawler("t/", "u/", **policy)
    first = json.loads(here.run(crawler)["Summary"])
    assert json.loads(first["TABLE"]) == {"ADD": {"Details": {"names": ["t", "u"]}, "Count": 2}}
    assert json.loads(first["PARTITION"]) == {"ADD": {"Count": 1}}
    here.put("t/a.csv", "id,y\n1,2\n3,4\n")
    here.delete("u/p=1/a.csv")
    second = json.loads(json.loads(here.run(crawler)["Summary"])["TABLE"])
    assert second == {
        "UPDATE": {"Details": {"names": ["t"]}, "Count": 1},
        "DELETE": {"Details": {"names": ["u"]}, "Count": 1},
    }
    metrics = here.glue.get_crawler_metrics(CrawlerNameList=[crawler])["CrawlerMetricsList"][0]
    counted = {key: metrics[key] for key in ("TablesCreated", "TablesUpdated", "TablesDeleted", "StillEstimating")}
    assert counted == {"TablesCreated": 2, "TablesUpdated": 1, "TablesDeleted": 1, "StillEstimating": False}
    assert metrics["LastRuntimeSeconds"] >= 0
    assert metrics["MedianRuntimeSeconds"] >= 0


@pytest.mark.statement("crawlers.metrics")
def test_a_crawler_that_never_ran_has_metrics_too(here):
    metrics = here.glue.get_crawler_metrics(CrawlerNameList=[here.crawler("t/")])["CrawlerMetricsList"]
    assert [(each["LastRuntimeSeconds"], each["MedianRuntimeSeconds"]) for each in metrics] == [(0.0, 0.0)]


@pytest.mark.statement("crawlers.summary-length")
def test_a_long_summary_leaves_the_names_out(here):
    for n in range(6):
        here.put(f"{'n' * 50}{n}/a.csv", NUMBERS)
    crawl = here.run(here.crawler(*(f"{'n' * 50}{n}/" for n in range(6))))
    assert json.loads(json.loads(crawl["Summary"])["TABLE"]) == {"ADD": {"Count": 6}}


# -- permissions ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.as-role")
@pytest.mark.parametrize("missing", ["s3:ListBucket", "s3:GetObject", "glue:GetTables", "glue:CreateTable"])
def test_a_crawl_fails_with_what_its_role_may_not_do(lab, here, missing):
    allowed = ["s3:ListBucket", "s3:GetObject", "glue:GetTables", "glue:GetDatabase", "glue:CreateTable", "logs:*"]
    role = glue_role(lab, "producer", *(action for action in allowed if action != missing))
    crawler = with_role(here, role).crawler("t/")
    crawl = here.run(crawler)
    assert crawl["State"] == "FAILED"
    assert missing in crawl["ErrorMessage"]
    assert here.tables() == {}
    last = here.glue.get_crawler(Name=crawler)["Crawler"]["LastCrawl"]
    assert (last["Status"], last["ErrorMessage"]) == ("FAILED", crawl["ErrorMessage"])
    lab.allow(role, missing)
    assert here.run(crawler)["State"] == "COMPLETED"


@pytest.mark.statement("crawlers.role-trust")
def test_a_role_that_no_longer_trusts_glue_crawls_no_more(lab, here):
    role = glue_role(lab, "producer", *ACTIONS)
    crawler = with_role(here, role).crawl("t/")
    other = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    lab.client("iam", "producer").update_assume_role_policy(
        RoleName=role.name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [other]})
    )
    crawl = lab.eventually(lambda: here.run(crawler))
    assert crawl["State"] == "FAILED"
    assert "sts:AssumeRole" in crawl["ErrorMessage"]


@pytest.mark.statement("crawlers.as-role")
def test_a_crawl_into_a_database_or_of_a_bucket_that_is_not_there_fails(here):
    assert "EntityNotFoundException" in here.run(here.crawler("t/", DatabaseName="gone"))["ErrorMessage"]
    nowhere = {"Path": f"s3://{here.bucket}-gone/t/"}
    assert "NoSuchBucket" in here.run(here.crawler(nowhere))["ErrorMessage"]


@pytest.fixture
def lake(lab):
    """A place whose database Lake Formation governs, crawled by a role that may do nothing yet."""
    lab.lake("consumer")
    made = place(lab, glue_role(lab, "consumer", *CATALOG_ACTIONS))
    made.put("t/a.csv", NUMBERS)
    return made


def grant(lake, resource, *permissions):
    lake.lab.client("lakeformation", "consumer").grant_permissions(
        Principal={"DataLakePrincipalIdentifier": lake.role.arn}, Resource=resource, Permissions=list(permissions)
    )


def register(lake):
    """Register the bucket, with a role of its own that may read it."""
    lab, formation = lake.lab, lake.lab.client("lakeformation", "consumer")
    reader = glue_role(lab, "consumer", "s3:GetObject", "s3:ListBucket", service="lakeformation.amazonaws.com")
    formation.register_resource(ResourceArn=f"arn:aws:s3:::{lake.bucket}", RoleArn=reader.arn)
    lab.at_end(formation.deregister_resource, ResourceArn=f"arn:aws:s3:::{lake.bucket}")


def location(lake):
    return {"DataLocation": {"ResourceArn": f"arn:aws:s3:::{lake.bucket}"}}


@pytest.mark.statement("crawlers.lake-create", "crawlers.lake-location")
def test_a_crawl_needs_create_table_and_the_data_location(lab, lake):
    lab.allow(lake.role, "s3:GetObject", "s3:ListBucket", "lakeformation:GetDataAccess")
    register(lake)
    crawler = lake.crawler("t/")
    grant(lake, {"Database": {"Name": lake.database}}, "DESCRIBE")
    assert "Insufficient Lake Formation permission" in lake.run(crawler)["ErrorMessage"]
    grant(lake, {"Database": {"Name": lake.database}}, "CREATE_TABLE")
    assert "Data Location" in lake.run(crawler)["ErrorMessage"]
    grant(lake, location(lake), "DATA_LOCATION_ACCESS")
    assert lake.run(crawler)["State"] == "COMPLETED"


@pytest.mark.statement("crawlers.lake-credentials", "crawlers.lake-registered", "crawlers.lake-data-access")
def test_a_crawl_with_lake_formations_credentials_needs_no_rights_on_s3(lab, lake):
    grant(lake, {"Database": {"Name": lake.database}}, "CREATE_TABLE", "DESCRIBE")
    crawler = lake.crawler("t/", **LAKE)
    shown = lake.glue.get_crawler(Name=crawler)["Crawler"]["LakeFormationConfiguration"]
    assert shown["UseLakeFormationCredentials"] is True
    assert f"The S3 location: s3://{lake.bucket}/t/ is not registered" in lake.run(crawler)["ErrorMessage"]
    register(lake)
    assert "Insufficient Lake Formation permission(s) on s3://" in lake.run(crawler)["ErrorMessage"]
    grant(lake, location(lake), "DATA_LOCATION_ACCESS")
    assert "lakeformation:GetDataAccess" in lake.run(crawler)["ErrorMessage"]
    lab.allow(lake.role, "lakeformation:GetDataAccess")
    assert lake.run(crawler)["State"] == "COMPLETED"
    assert lake.columns() == {"id": "bigint", "x": "bigint"}


@pytest.mark.statement("crawlers.lake-account", "crawlers.lake-registered")
def test_the_location_must_be_registered_in_the_account_that_is_named(lab, lake):
    register(lake)
    grant(lake, {"Database": {"Name": lake.database}}, "CREATE_TABLE", "DESCRIBE")
    grant(lake, location(lake), "DATA_LOCATION_ACCESS")
    lab.allow(lake.role, "lakeformation:GetDataAccess")
    for part, state in (("central", "FAILED"), ("consumer", "COMPLETED")):
        asked = {"UseLakeFormationCredentials": True, "AccountId": lab.account(part)}
        assert lake.run(lake.crawler("t/", LakeFormationConfiguration=asked))["State"] == state


# -- events --------------------------------------------------------------------------------------------------------


def listening(lab, part):
    """A queue that gets the account's crawler events: its URL."""
    sqs, events, name = lab.client("sqs", part), lab.client("events", part), lab.name("events", "-")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {"source": ["aws.glue"], "detail-type": ["Glue Crawler State Change"]}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    lab.at_end(events.delete_rule, Name=name)
    lab.at_end(events.remove_targets, Rule=name, Ids=["q"])
    return url


def received(lab, part, url, count):
    """The events in a queue, oldest first, once there are so many."""
    sqs, found = lab.client("sqs", part), []

    def enough():
        found.extend(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []))
        return len(found) >= count

    lab.eventually(enough)
    return sorted((json.loads(each["Body"]) for each in found), key=lambda event: (event["time"], order(event)))


def order(event):
    return ["Started", "Succeeded", "Failed"].index(event["detail"]["state"])


@pytest.mark.statement("crawlers.events")
def test_a_crawl_that_succeeds_is_told_as_documented(lab, here):
    here.put("u/p=1/a.csv", NUMBERS)
    queue, crawler = listening(lab, "producer"), here.crawl("t/", "u/")
    account = lab.account("producer")
    started, ended = received(lab, "producer", queue, 2)
    assert {(each["source"], each["detail-type"], each["account"], each["region"]) for each in (started, ended)} == {
        ("aws.glue", "Glue Crawler State Change", account, lab.region)
    }
    assert (started["resources"], ended["resources"]) == ([], [])
    begun = started["detail"].pop("startTime")
    assert begun.endswith("Z")
    assert started["detail"] == {
        "accountId": account,
        "crawlerName": crawler,
        "state": "Started",
        "message": "Crawler Started",
    }
    detail = ended["detail"]
    assert detail.pop("completionDate") >= begun
    assert detail.pop("runningTime (sec)").isdigit()
    assert crawler in detail.pop("cloudWatchLogLink")
    assert detail == {
        "accountId": account,
        "crawlerName": crawler,
        "state": "Succeeded",
        "message": "Crawler Succeeded",
        "tablesCreated": "2",
        "tablesUpdated": "0",
        "tablesDeleted": "0",
        "partitionsCreated": "1",
        "partitionsUpdated": "0",
        "partitionsDeleted": "0",
        "warningMessage": "N/A",
    }


@pytest.mark.statement("crawlers.events", "files.broken")
def test_what_was_left_out_is_the_events_warning(lab, here):
    queue = listening(lab, "producer")
    here.put("t/cut.gz", b"\x1f\x8b")
    here.crawl("t/")
    warning = received(lab, "producer", queue, 2)[1]["detail"]["warningMessage"]
    assert f"s3://{here.bucket}/t/cut.gz was left out" in warning


@pytest.mark.statement("crawlers.events")
def test_a_crawl_that_fails_is_told_as_documented(lab, here):
    queue, crawler = listening(lab, "producer"), here.crawler("t/", DatabaseName="gone")
    crawl = here.run(crawler)
    detail = received(lab, "producer", queue, 2)[1]["detail"]
    assert crawler in detail.pop("cloudWatchLogLink")
    assert detail == {
        "accountId": lab.account("producer"),
        "crawlerName": crawler,
        "state": "Failed",
        "message": "Crawler Failed",
        "errorMessage": crawl["ErrorMessage"],
    }
