"""Crawlers, classifiers and schedules as resources."""

import json

import pytest
from crawling import ACTIONS, COMBINE, NUMBERS, glue_role, place
from lab import refused


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture(scope="module")
def here(lab, role):
    return place(lab, role)


@pytest.fixture
def glue(here):
    return here.glue


# -- crawlers ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.described", "crawlers.updated")
def test_a_crawler_is_described_as_it_was_made_and_changed(here, glue):
    classifier = here.classifier(Delimiter=",")
    name = here.crawler(
        {"Path": here.path("t/"), "Exclusions": ["*.x"], "SampleSize": 3},
        Classifiers=[classifier],
        Description="d",
        Configuration=COMBINE,
        TablePrefix="p_",
    )
    crawler = glue.get_crawler(Name=name)["Crawler"]
    assert crawler["Role"] == here.role.name
    target = {"Path": here.path("t/"), "Exclusions": ["*.x"], "SampleSize": 3}
    assert crawler["Targets"]["S3Targets"] == [target]
    assert json.loads(crawler["Configuration"]) == {"Version": 1.0, **COMBINE}
    assert crawler["SchemaChangePolicy"] == {
        "UpdateBehavior": "UPDATE_IN_DATABASE",
        "DeleteBehavior": "DEPRECATE_IN_DATABASE",
    }
    assert crawler["RecrawlPolicy"] == {"RecrawlBehavior": "CRAWL_EVERYTHING"}
    assert crawler["LakeFormationConfiguration"]["UseLakeFormationCredentials"] is False
    assert (crawler["Classifiers"], crawler["TablePrefix"]) == ([classifier], "p_")
    assert (crawler["State"], crawler["Version"], crawler["CrawlElapsedTime"]) == ("READY", 1, 0)
    assert crawler["DatabaseName"] == here.database
    assert not {"LastCrawl", "Schedule"} & set(crawler)
    glue.update_crawler(Name=name, TablePrefix="q_", Role=here.role.name)
    changed = glue.get_crawler(Name=name)["Crawler"]
    assert (changed["TablePrefix"], changed["Description"], changed["Version"]) == ("q_", "d", 2)
    assert changed["LastUpdated"] >= crawler["LastUpdated"] >= crawler["CreationTime"]


@pytest.mark.statement("crawlers.names")
def test_a_name_is_taken_once_and_must_be_known(here, glue):
    name = here.crawler("t/")
    with refused("AlreadyExistsException"):
        glue.create_crawler(Name=name, **here.asked("t/"))
    glue.delete_crawler(Name=name)
    for call in (glue.get_crawler, glue.delete_crawler, glue.start_crawler, glue.stop_crawler, glue.update_crawler):
        with refused("EntityNotFoundException", message=name):
            call(Name=name)
    for call in (glue.start_crawler_schedule, glue.stop_crawler_schedule, glue.list_crawls):
        with refused("EntityNotFoundException", message=name):
            call(CrawlerName=name)
    with refused("EntityNotFoundException"):
        glue.update_crawler_schedule(CrawlerName=name, Schedule="cron(0 1 * * ? *)")


@pytest.mark.statement("crawlers.listed", "crawlers.metrics")
def test_crawlers_are_listed_in_pages(lab, glue, here):
    made = {here.crawler("t/") for _ in range(3)}

    def pages(call, member, **more):
        found, token = [], {}
        while True:
            page = call(MaxResults=2, **token, **more)
            assert len(page[member]) <= 2
            found += page[member]
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}

    assert made <= set(pages(glue.list_crawlers, "CrawlerNames"))
    assert made <= set(glue.list_crawlers(MaxResults=1000)["CrawlerNames"])
    with refused("ValidationException", message="maxResults"):
        glue.list_crawlers(MaxResults=1001)
    assert made <= {each["Name"] for each in pages(glue.get_crawlers, "Crawlers")}
    of_these = pages(glue.get_crawler_metrics, "CrawlerMetricsList", CrawlerNameList=sorted(made))
    assert {each["CrawlerName"] for each in of_these} == made
    batch = glue.batch_get_crawlers(CrawlerNames=[*sorted(made), "x"])
    assert ({each["Name"] for each in batch["Crawlers"]}, batch["CrawlersNotFound"]) == (made, ["x"])
    classifiers = {here.classifier(Delimiter=",") for _ in range(3)}
    assert classifiers <= {each["CsvClassifier"]["Name"] for each in pages(glue.get_classifiers, "Classifiers")}


@pytest.mark.statement("crawlers.targets", "crawlers.configuration")
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"Targets": {"S3Targets": []}}, "target"),
        ({"Targets": {}}, "target"),
        ({"Targets": {"S3Targets": [{"Path": "/local/folder"}]}}, "path"),
        ({"Targets": {"S3Targets": [{"Path": "bucket/folder"}]}}, "path"),
        ({"Targets": {"S3Targets": [{"Path": "s3://"}]}}, "path"),
        ({"Targets": {"S3Targets": [{}]}}, "path"),
        ({"Configuration": "not json"}, "JSON"),
        ({"Configuration": "[1.0]"}, "Version"),
        ({"Configuration": json.dumps({"Version": 2})}, "Version"),
        ({"Configuration": {"CrawlerOutput": []}}, "object"),
        ({"Configuration": {"CrawlerOutput": {"Tables": {"TableThreshold": 0}}}}, "above 0"),
        ({"Configuration": {"CrawlerOutput": {"Tables": {"TableThreshold": True}}}}, "above 0"),
        ({"Configuration": {"Grouping": {"TableLevelConfiguration": "2"}}}, "above 0"),
    ],
)
def test_a_crawler_that_cannot_be_is_refused(here, settings, told):
    with refused("InvalidInputException", message=told):
        here.crawler("t/", **settings)


@pytest.mark.statement("crawlers.configuration", "crawlers.targets")
def test_what_is_just_right_is_taken(here):
    output = {"CrawlerOutput": {"Tables": {"TableThreshold": 1}}, "Grouping": {"TableLevelConfiguration": 1}}
    here.crawler({"Path": f"s3://{here.bucket}"}, Configuration=output)
    here.crawler("t/", Configuration="")


@pytest.mark.statement("crawlers.updated", "crawlers.targets", "crawlers.configuration")
def test_an_update_is_checked_as_the_making_is(here, glue):
    name = here.crawler("t/")
    for change in ({"Targets": {"S3Targets": []}}, {"Configuration": "x"}, {"Schedule": "x"}):
        with refused("InvalidInputException"):
            glue.update_crawler(Name=name, **change)
    assert glue.get_crawler(Name=name)["Crawler"]["Version"] == 1


@pytest.mark.statement("crawlers.classifier-known")
def test_a_crawler_names_classifiers_that_are_there(here):
    with refused("EntityNotFoundException", message="nobodys"):
        here.crawler("t/", Classifiers=["nobodys"])


@pytest.mark.statement("crawlers.role-trust")
def test_the_role_must_be_there_and_trust_glue(lab, here):
    other = glue_role(lab, "producer", service="lambda.amazonaws.com")
    for role in (other.arn, other.name, f"arn:aws:iam::{lab.account('producer')}:role/nobody", "nobody"):
        with refused("InvalidInputException", message="unable to assume"):
            here.crawler("t/", Role=role)


@pytest.mark.local_only("lowers the quota")
@pytest.mark.statement("crawlers.quota")
def test_there_are_at_most_so_many_crawlers(here, glue, monkeypatch):
    from local_aws.crawlers import engine

    assert engine.MOST_CRAWLERS == 1000
    monkeypatch.setattr(engine, "MOST_CRAWLERS", len(glue.list_crawlers()["CrawlerNames"]) + 1)
    here.crawler("t/")
    with refused("ResourceNumberLimitExceededException"):
        here.crawler("t/")


@pytest.mark.local_only("a real account does these")
@pytest.mark.statement("crawlers.refused")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "CRAWL_EVENT_MODE"),
        ({"Targets": {"JdbcTargets": [{"Path": "x"}]}}, "JdbcTargets"),
        ({"Targets": {"S3Targets": [{"Path": "s3://b/t", "EventQueueArn": "x"}]}}, "EventQueueArn"),
        ({"Configuration": {"CreatePartitionIndex": True}}, "CreatePartitionIndex"),
        ({"Configuration": {"Grouping": {"TableGroupingPolicy": "Other"}}}, "TableGroupingPolicy"),
        ({"Configuration": {"CrawlerOutput": {"Tables": {"Other": 1}}}}, "CrawlerOutput.Tables.Other"),
        ({"LineageConfiguration": {"CrawlerLineageSettings": "ENABLE"}}, "LineageConfiguration"),
        ({"CrawlerSecurityConfiguration": "x"}, "CrawlerSecurityConfiguration"),
    ],
)
def test_what_is_not_built_is_refused_by_name(here, settings, named):
    with refused("LocalAwsNotSupported", message=named):
        here.crawler("t/", **settings)


# -- classifiers ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.classifiers")
def test_a_classifier_is_kept_changed_and_deleted(here, glue):
    settings = {
        "Delimiter": ";",
        "QuoteSymbol": "'",
        "ContainsHeader": "PRESENT",
        "Header": ["a", "b"],
        "DisableValueTrimming": False,
        "AllowSingleColumn": True,
        "Serde": "OpenCSVSerDe",
    }
    name = here.classifier(**settings)
    found = glue.get_classifier(Name=name)["Classifier"]["CsvClassifier"]
    assert settings.items() <= found.items()
    assert found["Version"] == 1
    glue.update_classifier(CsvClassifier={"Name": name, "ContainsHeader": "ABSENT"})
    changed = glue.get_classifier(Name=name)["Classifier"]["CsvClassifier"]
    assert {**settings, "ContainsHeader": "ABSENT", "Version": 2}.items() <= changed.items()
    assert changed["LastUpdated"] >= changed["CreationTime"] == found["CreationTime"]
    with refused("InvalidInputException", message="differ"):
        glue.update_classifier(CsvClassifier={"Name": name, "QuoteSymbol": ";"})
    with refused("AlreadyExistsException", message=name):
        glue.create_classifier(CsvClassifier={"Name": name})
    glue.delete_classifier(Name=name)
    for call in (glue.get_classifier, glue.delete_classifier):
        with refused("EntityNotFoundException", message=name):
            call(Name=name)
    with refused("EntityNotFoundException", message=name):
        glue.update_classifier(CsvClassifier={"Name": name})


@pytest.mark.statement("crawlers.classifiers", "files.csv-trimming", "files.csv-serde")
def test_a_classifier_has_defaults(here, glue):
    found = glue.get_classifier(Name=here.classifier())["Classifier"]["CsvClassifier"]
    shown = {"ContainsHeader": "UNKNOWN", "DisableValueTrimming": True, "AllowSingleColumn": False, "Serde": "None"}
    assert shown.items() <= found.items()
    assert not {"Delimiter", "QuoteSymbol", "Header"} & set(found)


@pytest.mark.statement("crawlers.classifiers")
def test_a_crawler_goes_on_without_a_classifier_that_was_deleted(here, glue):
    classifier = here.classifier(Delimiter=":", ContainsHeader="PRESENT")
    crawler = here.crawler("k/", Classifiers=[classifier])
    glue.delete_classifier(Name=classifier)
    here.put("k/a.csv", NUMBERS)
    assert here.run(crawler)["State"] == "COMPLETED"
    assert here.columns("k") == {"id": "bigint", "x": "bigint"}


@pytest.mark.local_only("a real account has these")
@pytest.mark.statement("crawlers.refused")
@pytest.mark.parametrize(
    ("classifier", "named"),
    [
        ({"GrokClassifier": {"Name": "g", "Classification": "c", "GrokPattern": "%{DATA:a}"}}, "GrokClassifier"),
        ({"XMLClassifier": {"Name": "x", "Classification": "c", "RowTag": "r"}}, "XMLClassifier"),
        ({"JsonClassifier": {"Name": "j", "JsonPath": "$[*]"}}, "JsonClassifier"),
        ({"CsvClassifier": {"Name": "c", "CustomDatatypeConfigured": True}}, "CustomDatatype"),
        ({"CsvClassifier": {"Name": "c", "CustomDatatypes": ["INT"]}}, "CustomDatatypes"),
    ],
)
def test_other_classifiers_are_refused_by_name(glue, classifier, named):
    with refused("LocalAwsNotSupported", message=named):
        glue.create_classifier(**classifier)


# -- schedules -----------------------------------------------------------------------------------------------------


def schedule(glue, name):
    return glue.get_crawler(Name=name)["Crawler"].get("Schedule")


@pytest.mark.statement("crawlers.schedule", "crawlers.schedule-states")
def test_a_schedule_is_set_stopped_started_and_taken_away(here, glue):
    name = here.crawler("t/", Schedule="cron(0 1 * * ? *)")
    assert schedule(glue, name) == {"ScheduleExpression": "cron(0 1 * * ? *)", "State": "SCHEDULED"}
    with refused("SchedulerRunningException"):
        glue.start_crawler_schedule(CrawlerName=name)
    glue.stop_crawler_schedule(CrawlerName=name)
    assert schedule(glue, name)["State"] == "NOT_SCHEDULED"
    with refused("SchedulerNotRunningException"):
        glue.stop_crawler_schedule(CrawlerName=name)
    glue.update_crawler_schedule(CrawlerName=name, Schedule="cron(0 2 * * ? *)")
    assert schedule(glue, name) == {"ScheduleExpression": "cron(0 2 * * ? *)", "State": "NOT_SCHEDULED"}
    glue.start_crawler_schedule(CrawlerName=name)
    assert schedule(glue, name)["State"] == "SCHEDULED"
    glue.update_crawler_schedule(CrawlerName=name, Schedule="cron(0 3 * * ? *)")
    assert schedule(glue, name) == {"ScheduleExpression": "cron(0 3 * * ? *)", "State": "SCHEDULED"}
    glue.update_crawler(Name=name, Schedule="")
    assert schedule(glue, name) is None
    with refused("NoScheduleException"):
        glue.start_crawler_schedule(CrawlerName=name)
    glue.update_crawler_schedule(CrawlerName=name, Schedule="cron(0 4 * * ? *)")
    assert schedule(glue, name)["State"] == "SCHEDULED"


@pytest.mark.statement("crawlers.schedule", "crawlers.schedule-shortest")
@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("cron(0/5 * * * ? *)", True),
        ("cron(0 1 1 1 ? 2020)", True),  # never again
        ("cron(0 1 1 1 ? 2150)", True),  # once
        ("cron(0/4 * * * ? *)", False),
        ("cron(* * * * ? *)", False),
        ("rate(1 hour)", False),
        ("at 5", False),
        ("cron(0 1 * * * *)", False),
    ],
)
def test_a_schedule_is_a_cron_expression_due_every_five_minutes_at_most(here, glue, expression, fine):
    if fine:
        assert schedule(glue, here.crawler("t/", Schedule=expression))["ScheduleExpression"] == expression
        return
    with refused("InvalidInputException", message="schedule"):
        here.crawler("t/", Schedule=expression)
    with refused("InvalidInputException", message="schedule"):
        glue.update_crawler_schedule(CrawlerName=here.crawler("t/"), Schedule=expression)


@pytest.mark.local_only("moves the clock")
@pytest.mark.statement("crawlers.schedule")
def test_a_crawler_crawls_by_its_schedule(lab, here, glue):
    here.put("t/a.csv", NUMBERS)
    hourly = "cron(0 * * * ? *)"
    going, stopped, deleted = (here.crawler("t/", Schedule=hourly) for _ in range(3))
    glue.stop_crawler_schedule(CrawlerName=stopped)
    glue.delete_crawler(Name=deleted)
    lab.aws.world.pass_time(2 * 3600)
    assert len(glue.list_crawls(CrawlerName=going)["Crawls"]) == 2
    assert {crawl["StartTime"].minute for crawl in glue.list_crawls(CrawlerName=going)["Crawls"]} == {0}
    assert glue.list_crawls(CrawlerName=stopped)["Crawls"] == []
    glue.stop_crawler_schedule(CrawlerName=going)
