"""Crawlers, crawls and classifiers as values, and as the Glue API writes them. Pure."""

from __future__ import annotations

import json
import statistics
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_aws.crawlers.crawl import Changes, Target
from local_aws.crawlers.crawl_read import Memory
from local_aws.crawlers.exclusions import BadPattern, excluded_by
from local_aws.events import schedule_expressions
from local_aws.files.formats import UNKNOWN, CsvClassifier
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.alarms import Alarm

LOG_GROUP = "/aws-glue/crawlers"
MEMBERS = ("Role", "DatabaseName", "Description", "Targets", "Classifiers", "TablePrefix", "Configuration")
DEFAULT_POLICY = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"}
INCREMENTAL_POLICY = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
SAMPLE_SIZES = range(1, 250)
SHORTEST_SCHEDULE = timedelta(minutes=5)

CONFIGURATION = {
    "Version": {1.0},
    "Grouping": {"TableGroupingPolicy": {"CombineCompatibleSchemas"}, "TableLevelConfiguration": int},
    "CrawlerOutput": {
        "Tables": {"AddOrUpdateBehavior": {"MergeNewColumns"}, "TableThreshold": int},
        "Partitions": {"AddOrUpdateBehavior": {"InheritFromTable"}},
    },
}
"""What a crawler's Configuration may say: names to nested names, to the values known here, or to a positive number."""


@dataclass
class Crawl:
    """One run of a crawler."""

    id: str
    started: datetime
    state: str = "RUNNING"
    ended: datetime | None = None
    error: str | None = None
    changes: Changes = field(default_factory=Changes)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass
class Crawler:
    name: str
    role_arn: str
    members: dict[str, Any]
    created: datetime
    updated: datetime
    owner: Caller
    """Who made it: its account and Region."""
    version: int = 1
    state: str = "READY"
    crawls: list[Crawl] = field(default_factory=list)
    """Oldest first."""
    memory: Memory = field(default_factory=Memory)
    schedule: str = ""
    alarm: Alarm | None = None
    """Of the next crawl by schedule; None while the schedule is stopped."""


@dataclass(frozen=True)
class Classifier:
    csv: CsvClassifier
    created: datetime
    updated: datetime
    version: int


def invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)


def not_built(what: str) -> AwsError:
    return AwsError("LocalAwsNotSupported", f"the local AWS does not do {what} (local_aws/crawlers/engine.py)")


def parse_configuration(text: str | None) -> dict[str, Any]:
    """A crawler's Configuration. InvalidInputException if it is no JSON; what is not known here is refused."""
    if not text:
        return {}
    try:
        configuration = json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid(f"Configuration is not JSON: {error}") from error
    if not isinstance(configuration, dict) or configuration.get("Version") != 1.0:
        raise invalid("Configuration must be an object with Version 1.0")
    _check_known(configuration, CONFIGURATION, "Configuration")
    return configuration


def _check_known(value: Any, known: Any, path: str) -> None:
    if isinstance(known, dict):
        if not isinstance(value, dict):
            raise invalid(f"{path} must be an object")
        for name, below in value.items():
            if name not in known:
                raise not_built(f"{path}.{name}")
            _check_known(below, known[name], f"{path}.{name}")
    elif known is int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(f"{path} must be a number above 0, not {value!r}")
    elif value not in known:
        raise not_built(f"{path} {value!r}")


def targets_of(members: dict[str, Any]) -> tuple[Target, ...]:
    """The S3 targets of a crawler. Raises InvalidInputException for those that Glue refuses."""
    targets = members["Targets"].get("S3Targets") or []
    if not targets:
        raise invalid("At least one S3 target is needed")
    found = []
    for given in targets:
        path, size = given.get("Path", ""), given.get("SampleSize")
        if not path.startswith("s3://") or not path.removeprefix("s3://").partition("/")[0]:
            raise invalid(f"The S3 path is not valid: {path!r}; it must be s3://bucket/folder/")
        if size is not None and size not in SAMPLE_SIZES:
            raise invalid(f"SampleSize must be between {SAMPLE_SIZES[0]} and {SAMPLE_SIZES[-1]}, not {size}")
        try:
            for each in given.get("Exclusions") or ():
                excluded_by(each)
        except BadPattern as error:
            raise invalid(f"Exclude pattern is not valid: {error}") from error
        found.append(Target(path, tuple(given.get("Exclusions") or ()), size))
    return tuple(found)


def only_new_folders(members: dict[str, Any]) -> bool:
    return _recrawl(members) == "CRAWL_NEW_FOLDERS_ONLY"


def _recrawl(members: dict[str, Any]) -> str:
    return (members.get("RecrawlPolicy") or {}).get("RecrawlBehavior") or "CRAWL_EVERYTHING"


def schema_change_policy(members: dict[str, Any]) -> dict[str, str]:
    """A crawler's schema change policy; what is not given is LOG for incremental crawls."""
    default = INCREMENTAL_POLICY if only_new_folders(members) else DEFAULT_POLICY
    return {**default, **(members.get("SchemaChangePolicy") or {})}


def check_recrawl(members: dict[str, Any]) -> None:
    """Incremental crawls only log what changed or is gone. Raises InvalidInputException; event mode is not built."""
    if _recrawl(members) == "CRAWL_EVENT_MODE":
        raise not_built("RecrawlBehavior CRAWL_EVENT_MODE")
    if only_new_folders(members) and schema_change_policy(members) != INCREMENTAL_POLICY:
        raise invalid(
            'The SchemaChangePolicy for "Crawl new folders only" Amazon S3 target can have only LOG DeleteBehavior'
            " value and LOG UpdateBehavior value."
        )


def next_start(schedule: str, now: datetime) -> datetime | None:
    """When a schedule starts its next crawl: cron() in UTC, no more often than every five minutes.

    Raises InvalidInputException. ["Time-based schedules for jobs and crawlers"]
    """
    try:
        expression = schedule_expressions.parse(schedule)
    except schedule_expressions.InvalidExpression as error:
        raise invalid(f"Schedule is not valid: {error}") from error
    if not isinstance(expression, schedule_expressions.Cron):
        raise invalid(f"Schedule is not valid: {schedule} is no cron expression")
    first = expression.after(now)
    second = first and expression.after(first)
    if second and second - first < SHORTEST_SCHEDULE:
        raise invalid(f"Schedule is not valid: {schedule} is due more often than every five minutes")
    return first


def described_crawler(crawler: Crawler, now: datetime) -> dict[str, Any]:
    members = {name: crawler.members[name] for name in MEMBERS if crawler.members.get(name) is not None}
    described = {
        **members,
        "Name": crawler.name,
        # Glue answers with the role's path and name, whatever it was given.
        "Role": crawler.role_arn.partition(":role/")[2],
        "Classifiers": members.get("Classifiers", []),
        "RecrawlPolicy": {"RecrawlBehavior": _recrawl(crawler.members)},
        "SchemaChangePolicy": schema_change_policy(crawler.members),
        "LineageConfiguration": {"CrawlerLineageSettings": "DISABLE"},
        "State": crawler.state,
        "CrawlElapsedTime": 0,
        "CreationTime": crawler.created,
        "LastUpdated": crawler.updated,
        "Version": crawler.version,
        "LakeFormationConfiguration": {
            "UseLakeFormationCredentials": False,
            "AccountId": "",
            **(crawler.members.get("LakeFormationConfiguration") or {}),
        },
    }
    if crawler.schedule:
        state = "SCHEDULED" if crawler.alarm else "NOT_SCHEDULED"
        described["Schedule"] = {"ScheduleExpression": crawler.schedule, "State": state}
    if crawler.state != "READY":
        elapsed = now - crawler.crawls[-1].started
        described["CrawlElapsedTime"] = int(elapsed.total_seconds() * 1000)
    ended = [crawl for crawl in crawler.crawls if crawl.state != "RUNNING"]
    if ended:
        described["LastCrawl"] = _last_crawl(ended[-1], crawler.name)
    return described


def _last_crawl(crawl: Crawl, name: str) -> dict[str, Any]:
    status = {"COMPLETED": "SUCCEEDED", "STOPPED": "CANCELLED", "FAILED": "FAILED"}[crawl.state]
    last = {
        "Status": status,
        "LogGroup": LOG_GROUP,
        "LogStream": name,
        "MessagePrefix": crawl.id,
        "StartTime": crawl.started,
    }
    return {**last, "ErrorMessage": crawl.error[:2048]} if crawl.error else last


def history(crawl: Crawl, name: str) -> dict[str, Any]:
    history = {
        "CrawlId": crawl.id,
        "State": crawl.state,
        "StartTime": crawl.started,
        "Summary": _summary(crawl.changes),
        "LogGroup": LOG_GROUP,
        "LogStream": name,
        "MessagePrefix": crawl.id,
    }
    if crawl.ended:
        history["EndTime"] = crawl.ended
    if crawl.error:
        history["ErrorMessage"] = crawl.error[:2048]
    return history


def _summary(changes: Changes) -> str:
    """JSON in JSON: what was done to tables, with names, and to partitions, with counts; `{}` if nothing was.

    Names are left out where the text would grow beyond the 255 characters that the API allows it.
    """

    def text(with_names: bool) -> str:
        parts = {}
        for what, actions in (("TABLE", changes.tables), ("PARTITION", changes.partitions)):
            done = {}
            for action, names in actions.items():
                if names:
                    details = {"Details": {"names": names}} if with_names and what == "TABLE" else {}
                    done[action] = {**details, "Count": len(names)}
            if done:
                parts[what] = json.dumps(done, separators=(",", ":"))
        return json.dumps(parts, separators=(",", ":"))

    return full if len(full := text(True)) <= 255 else text(False)


def metrics(crawler: Crawler) -> dict[str, Any]:
    ended = [crawl for crawl in crawler.crawls if crawl.ended]
    seconds = [(crawl.ended - crawl.started).total_seconds() for crawl in ended]

    def total(action: str) -> int:
        return sum(len(crawl.changes.tables[action]) for crawl in ended)

    return {
        "CrawlerName": crawler.name,
        "TimeLeftSeconds": 0.0,
        "StillEstimating": crawler.state != "READY",
        "LastRuntimeSeconds": seconds[-1] if seconds else 0.0,
        "MedianRuntimeSeconds": statistics.median(seconds) if seconds else 0.0,
        "TablesCreated": total("ADD"),
        "TablesUpdated": total("UPDATE"),
        "TablesDeleted": total("DELETE"),
    }


COMPARE = {
    "EQ": lambda one, other: one == other,
    "NE": lambda one, other: one != other,
    "GT": lambda one, other: one > other,
    "GE": lambda one, other: one >= other,
    "LT": lambda one, other: one < other,
    "LE": lambda one, other: one <= other,
}


def passes(crawl: Crawl, wanted: dict[str, str]) -> bool:
    """Whether a crawl passes one filter of ListCrawls. Times are ISO 8601 or epoch seconds or milliseconds."""
    name, operator, value = wanted.get("FieldName"), wanted.get("FilterOperator"), wanted.get("FieldValue", "")
    if name in ("CRAWL_ID", "STATE"):
        if operator not in ("EQ", "NE"):
            raise invalid(f"{name} takes the operators EQ and NE, not {operator}")
        return COMPARE[operator](crawl.id if name == "CRAWL_ID" else crawl.state, value)
    if name in ("START_TIME", "END_TIME"):
        moment = crawl.started if name == "START_TIME" else crawl.ended
        return moment is not None and COMPARE[operator](moment, _moment(value))
    raise not_built(f"the ListCrawls filter {name} {operator}")


def _moment(text: str) -> datetime:
    try:
        if text.isdigit():
            number = int(text)
            return datetime.fromtimestamp(number / 1000 if number > 10**11 else number, UTC)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"not a time: {text!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def csv_classifier(members: dict[str, Any]) -> CsvClassifier:
    if members.get("Delimiter") and members.get("Delimiter") == members.get("QuoteSymbol"):
        raise invalid("Delimiter and QuoteSymbol must differ")
    return CsvClassifier(
        name=members["Name"],
        delimiter=members.get("Delimiter"),
        quote=members.get("QuoteSymbol"),
        contains_header=members.get("ContainsHeader") or UNKNOWN,
        header=tuple(members.get("Header") or ()),
        disable_value_trimming=members.get("DisableValueTrimming", True),
        allow_single_column=bool(members.get("AllowSingleColumn")),
        serde=members.get("Serde") or "None",
    )


def csv_members(csv: CsvClassifier) -> dict[str, Any]:
    members = {
        "Name": csv.name,
        "Delimiter": csv.delimiter,
        "QuoteSymbol": csv.quote,
        "ContainsHeader": csv.contains_header,
        "Header": list(csv.header),
        "DisableValueTrimming": csv.disable_value_trimming,
        "AllowSingleColumn": csv.allow_single_column,
        "Serde": csv.serde,
    }
    return {name: value for name, value in members.items() if value not in (None, [])}


def described_classifier(classifier: Classifier) -> dict[str, Any]:
    return {
        **csv_members(classifier.csv),
        "CreationTime": classifier.created,
        "LastUpdated": classifier.updated,
        "Version": classifier.version,
    }
