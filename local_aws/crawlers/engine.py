"""AWS Glue's crawlers and classifiers.

A crawl runs in the background as the crawler's role, which must trust glue.amazonaws.com (`crawl_read.py`,
`crawl_catalog.py`), or reads with Lake Formation's credentials ["Configuring a crawler to use Lake Formation
credentials"]. It takes as long as the work does. Not built, and refused: other targets than S3, crawls by S3 events,
grok, XML and JSON classifiers. A crawl's DPUHour is not given: AWS does not say what a crawl uses.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.access import authorization, identity
from local_aws.access.actions import Need
from local_aws.access.role_clients import RoleClients
from local_aws.alarms import Alarms
from local_aws.crawlers import crawl_catalog
from local_aws.crawlers.crawl import (
    CrawlFailed,
    Settings,
    Stopped,
    Target,
    detect,
    split_s3,
)
from local_aws.crawlers.crawl_read import Memory, read_target
from local_aws.crawlers.crawler_shapes import (
    LOG_GROUP,
    Classifier,
    Crawl,
    Crawler,
    check_recrawl,
    csv_classifier,
    csv_members,
    described_classifier,
    described_crawler,
    history,
    invalid,
    metrics,
    next_start,
    only_new_folders,
    parse_configuration,
    passes,
    schema_change_policy,
    targets_of,
)
from local_aws.files.formats import NotBuilt
from local_aws.files.hive_types import UnknownType
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

GLUE = "glue.amazonaws.com"
LAKE_FORMATION = "lakeformation.amazonaws.com"
MOST_CRAWLERS = 1000
"""The quota of an account and Region [AWS General Reference, "AWS Glue endpoints and quotas"]."""

DEFAULT_DATABASE = "default"
"""Where the tables of a crawler without a database go."""


@dataclass
class Account:
    """The crawlers and classifiers of one account in one Region, by name."""

    crawlers: dict[str, Crawler] = field(default_factory=dict)
    classifiers: dict[str, Classifier] = field(default_factory=dict)


class Crawlers:
    """The crawler and classifier operations of AWS Glue."""

    service = "glue"

    def __init__(self, world: World) -> None:
        self.world = world
        self._accounts: dict[tuple[str, str], Account] = {}
        self._clients = RoleClients(world, GLUE)
        self._lake_clients = RoleClients(world, LAKE_FORMATION)
        self._alarms = Alarms(world, "crawlers")
        world.busy_checks.append(self._running)

    def _account(self, caller: Caller) -> Account:
        return self._accounts.setdefault((caller.account, caller.region), Account())

    def _running(self) -> list[str]:
        with self.world.lock:
            return [
                f"crawl of {crawler.name}"
                for account in self._accounts.values()
                for crawler in account.crawlers.values()
                if crawler.state != "READY"
            ]

    def _crawler(self, caller: Caller, name: str) -> Crawler:
        found = self._account(caller).crawlers.get(name)
        if found is None:
            raise AwsError("EntityNotFoundException", f"Crawler entry with name {name} does not exist")
        return found

    # -- crawlers --------------------------------------------------------------------------------

    def CreateCrawler(self, caller: Caller, Name: str, Role: str, Targets: dict, **members: Any) -> dict:
        given = {**members, "Role": Role, "Targets": Targets}
        role = self._checked(caller, Name, given)
        with self.world.lock:
            crawlers = self._account(caller).crawlers
            if Name in crawlers:
                raise AwsError("AlreadyExistsException", f"Crawler with name {Name} already exists")
            if len(crawlers) >= MOST_CRAWLERS:
                raise AwsError("ResourceNumberLimitExceededException", f"There are {MOST_CRAWLERS} crawlers already")
            now = self.world.now()
            crawlers[Name] = Crawler(Name, role, given, now, now, caller)
            self._schedule(crawlers[Name], members.get("Schedule"))
        return {}

    def UpdateCrawler(self, caller: Caller, Name: str, **members: Any) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, Name)
            if crawler.state != "READY":
                raise AwsError("CrawlerRunningException", f"Cannot update crawler {Name}: it is {crawler.state}")
            before = crawler.members
            after = {**before, **members}
        if only_new_folders(before) and only_new_folders(after) and before["Targets"] != after["Targets"]:
            raise invalid("Amazon S3 target is immutable when Crawl new folders only is selected")
        role = self._checked(caller, Name, after)
        with self.world.lock:
            crawler.members, crawler.role_arn = after, role
            crawler.updated, crawler.version = self.world.now(), crawler.version + 1
            if "Schedule" in members:
                self._schedule(crawler, members["Schedule"])
        return {}

    def _checked(self, caller: Caller, name: str, members: dict[str, Any]) -> str:
        """The ARN of the crawler's role. Raises InvalidInputException for what CreateCrawler refuses."""
        targets_of(members)
        for classifier in members.get("Classifiers") or ():
            if classifier not in self._account(caller).classifiers:
                raise AwsError("EntityNotFoundException", f"Classifier {classifier} not found.")
        parse_configuration(members.get("Configuration"))
        check_recrawl(members)
        if members.get("Schedule"):
            next_start(members["Schedule"], self.world.now())
        return self._role(caller, name, members["Role"])

    def _role(self, caller: Caller, crawler: str, role: str) -> str:
        """The ARN of a role given by ARN or by name (with its path); it must be one that Glue can assume."""
        try:
            arn = role if role.startswith("arn:") else identity.role_arn(caller.account, role.rpartition("/")[2])
            identity.assume_as_service(self.world, arn, "glue", GLUE, _arn(caller, crawler))
        except AwsError as error:
            raise invalid(
                f"Service is unable to assume provided role {role}. Please verify role's TrustPolicy ({error.message})"
            ) from error
        return arn

    def DeleteCrawler(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, Name)
            if crawler.state != "READY":
                raise AwsError("CrawlerRunningException", f"Crawler {Name} is running")
            self._silence(crawler)
            del self._account(caller).crawlers[Name]
        return {}

    def GetCrawler(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            return {"Crawler": described_crawler(self._crawler(caller, Name), self.world.now())}

    def GetCrawlers(self, caller: Caller, MaxResults: int | None = None, NextToken: str | None = None) -> dict:
        with self.world.lock:
            crawlers = _by_name(self._account(caller).crawlers)
            found, following = page(crawlers, NextToken, MaxResults, 1000)
            now = self.world.now()
            return with_token({"Crawlers": [described_crawler(each, now) for each in found]}, following)

    def ListCrawlers(self, caller: Caller, MaxResults: int | None = None, NextToken: str | None = None) -> dict:
        with self.world.lock:
            names = sorted(self._account(caller).crawlers)
        found, following = page(names, NextToken, MaxResults, 100)
        return with_token({"CrawlerNames": found}, following)

    def BatchGetCrawlers(self, caller: Caller, CrawlerNames: list[str]) -> dict:
        with self.world.lock:
            known = self._account(caller).crawlers
            now = self.world.now()
            return {
                "Crawlers": [described_crawler(known[name], now) for name in CrawlerNames if name in known],
                "CrawlersNotFound": [name for name in CrawlerNames if name not in known],
            }

    def GetCrawlerMetrics(
        self,
        caller: Caller,
        CrawlerNameList: list[str] | None = None,
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict:
        with self.world.lock:
            crawlers = [
                each
                for each in _by_name(self._account(caller).crawlers)
                if not CrawlerNameList or each.name in CrawlerNameList
            ]
            found, following = page(crawlers, NextToken, MaxResults, 1000)
            return with_token({"CrawlerMetricsList": [metrics(each) for each in found]}, following)

    # -- schedules -------------------------------------------------------------------------------

    def UpdateCrawlerSchedule(self, caller: Caller, CrawlerName: str, Schedule: str = "") -> dict:
        """A crawler with another schedule, or with none. What it does goes on, as it is stopped or not."""
        with self.world.lock:
            crawler = self._crawler(caller, CrawlerName)
            if Schedule:
                next_start(Schedule, self.world.now())
            stopped = crawler.schedule and not crawler.alarm
            self._schedule(crawler, Schedule)
            if stopped:
                self._silence(crawler)
        return {}

    def StartCrawlerSchedule(self, caller: Caller, CrawlerName: str) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, CrawlerName)
            if not crawler.schedule:
                raise AwsError("NoScheduleException", f"Crawler {CrawlerName} has no schedule")
            if crawler.alarm:
                raise AwsError("SchedulerRunningException", f"The schedule of crawler {CrawlerName} is running")
            self._wind(crawler)
        return {}

    def StopCrawlerSchedule(self, caller: Caller, CrawlerName: str) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, CrawlerName)
            if not crawler.alarm:
                raise AwsError("SchedulerNotRunningException", f"The schedule of crawler {CrawlerName} is not running")
            self._silence(crawler)
        return {}

    def _schedule(self, crawler: Crawler, expression: str | None) -> None:
        self._silence(crawler)
        crawler.schedule = expression or ""
        if crawler.schedule:
            self._wind(crawler)

    def _wind(self, crawler: Crawler) -> None:
        moment = next_start(crawler.schedule, self.world.now())
        if moment is not None:
            crawler.alarm = self._alarms.at(moment, lambda: self.world.submit(self._due, crawler))

    def _silence(self, crawler: Crawler) -> None:
        if crawler.alarm:
            crawler.alarm.cancel()
        crawler.alarm = None

    def _due(self, crawler: Crawler) -> None:
        """A crawl by schedule; left out while another one runs (a choice)."""
        with self.world.lock:
            if crawler.alarm is None or crawler.alarm.cancelled:
                return
            self._wind(crawler)
            if crawler.state != "READY":
                return
        self.StartCrawler(crawler.owner, crawler.name)

    # -- crawls ----------------------------------------------------------------------------------

    def StartCrawler(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, Name)
            if crawler.state != "READY":
                raise AwsError("CrawlerRunningException", f"Crawler with name {Name} has already started")
            now = self.world.now()
            # In milliseconds, as the API gives it: whoever filters by a start it was told must find it.
            started = now.replace(microsecond=now.microsecond // 1000 * 1000)
            crawl = Crawl(str(uuid.uuid4()), started)
            crawler.crawls.append(crawl)
            crawler.state = "RUNNING"
            settings = self._settings(caller, crawler)
            targets = targets_of(crawler.members)
        self._emit(caller, crawler, "Started", startTime=_iso(crawl.started), message="Crawler Started")
        self.world.activity("crawl", Name, f"started on {len(targets)} folders")
        self.world.submit(self._run, caller, crawler, crawl, settings, targets)
        return {}

    def StopCrawler(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            crawler = self._crawler(caller, Name)
            if crawler.state == "READY":
                raise AwsError("CrawlerNotRunningException", f"Crawler with name {Name} isn't running")
            if crawler.state == "STOPPING":
                raise AwsError("CrawlerStoppingException", f"Crawler with name {Name} is stopping")
            crawler.state = "STOPPING"
            crawler.crawls[-1].stop.set()
        return {}

    def _settings(self, caller: Caller, crawler: Crawler) -> Settings:
        members = crawler.members
        configuration = parse_configuration(members.get("Configuration"))
        grouping = configuration.get("Grouping", {})
        output = configuration.get("CrawlerOutput", {})
        policy = schema_change_policy(members)
        known = self._account(caller).classifiers
        return Settings(
            name=crawler.name,
            database=members.get("DatabaseName") or DEFAULT_DATABASE,
            table_prefix=members.get("TablePrefix") or "",
            classifiers=tuple(known[name].csv for name in members.get("Classifiers") or () if name in known),
            update=policy["UpdateBehavior"],
            delete=policy["DeleteBehavior"],
            combine="TableGroupingPolicy" in grouping,
            table_level=grouping.get("TableLevelConfiguration"),
            table_threshold=output.get("Tables", {}).get("TableThreshold"),
            merge_new_columns="AddOrUpdateBehavior" in output.get("Tables", {}),
            partitions_inherit="AddOrUpdateBehavior" in output.get("Partitions", {}),
            only_new_folders=only_new_folders(members),
        )

    def _run(
        self, caller: Caller, crawler: Crawler, crawl: Crawl, settings: Settings, targets: tuple[Target, ...]
    ) -> None:
        """One crawl from start to end. Whatever breaks, the crawler does not stay busy, and the end is told."""
        state, reason = "FAILED", "Internal Service Exception"
        try:
            self._crawl(caller, crawler, crawl, settings, targets)
            state, reason = "COMPLETED", None
        except Stopped:
            state, reason = "STOPPED", None
        except (AwsError, CrawlFailed, NotBuilt, UnknownType) as error:
            reason = str(error)
        except ClientError as error:
            reason = crawl_catalog.reason(error)
        finally:
            with self.world.lock:
                crawl.state, crawl.error, crawl.ended = state, reason, self.world.now()
                crawler.state = "READY"
            self._announce(caller, crawler, crawl)

    def _crawl(
        self, caller: Caller, crawler: Crawler, crawl: Crawl, settings: Settings, targets: tuple[Target, ...]
    ) -> None:
        def client(name: str) -> Any:
            return self._clients.client(name, crawler.role_arn, _arn(caller, settings.name), caller.region)

        found, learnt = [], Memory()
        lake = crawler.members.get("LakeFormationConfiguration") or {}
        for target in targets:
            if lake.get("UseLakeFormationCredentials"):
                s3 = self._lake_s3(caller, crawler, target.path, lake.get("AccountId") or caller.account)
            else:
                s3 = client("s3")
            files = read_target(s3, target, settings, crawler.memory, learnt, crawl.changes, crawl.stop)
            found += detect(target, files, settings)
        paths = [target.path for target in targets]
        crawl_catalog.write(client("glue"), settings, paths, found, self.world.now(), crawl.changes)
        crawler.memory = learnt

    def _lake_s3(self, caller: Caller, crawler: Crawler, path: str, catalog: str) -> Any:
        """An S3 client with the credentials that Lake Formation vends for a location.

        The location must be registered in `catalog`, and the crawler's role must have data location permissions on it
        and be allowed lakeformation:GetDataAccess. Raises CrawlFailed, AwsError.
        """
        lake = self.world.engines["lakeformation"]
        registered = lake.registration_for(path, catalog)
        if registered is None:
            raise CrawlFailed(f"The S3 location: {path} is not registered")
        with self.world.lock:
            held = lake.access.location(crawler.role_arn, catalog, "/".join(split_s3(path)).rstrip("/"))
        if "DATA_LOCATION_ACCESS" not in held.permissions:
            raise CrawlFailed(f"Insufficient Lake Formation permission(s) on {path}")
        role = identity.assume_as_service(self.world, crawler.role_arn, "glue", GLUE, _arn(caller, crawler.name)).caller
        authorization.authorize(self.world, role, "lakeformation", [Need("lakeformation:GetDataAccess", "*")])
        return self._lake_clients.client("s3", registered, "", caller.region)

    def _announce(self, caller: Caller, crawler: Crawler, crawl: Crawl) -> None:
        """The event and the activity line of a crawl's end. AWS documents no event for a stopped one."""
        tables, partitions = crawl.changes.tables, crawl.changes.partitions
        if crawl.state == "COMPLETED":
            self._emit(
                caller,
                crawler,
                "Succeeded",
                message="Crawler Succeeded",
                completionDate=_iso(crawl.ended),
                **{"runningTime (sec)": str(_seconds(crawl))},
                tablesCreated=str(len(tables["ADD"])),
                tablesUpdated=str(len(tables["UPDATE"])),
                tablesDeleted=str(len(tables["DELETE"])),
                partitionsCreated=str(len(partitions["ADD"])),
                partitionsUpdated=str(len(partitions["UPDATE"])),
                partitionsDeleted=str(len(partitions["DELETE"])),
                warningMessage="; ".join(crawl.changes.warnings) or "N/A",
                cloudWatchLogLink=_log_link(caller, crawler),
            )
            text = f"{len(tables['ADD'])} tables made, {len(tables['UPDATE'])} changed,"
            self.world.activity("crawl", crawler.name, f"{text} {len(partitions['ADD'])} partitions added")
        elif crawl.state == "FAILED":
            self._emit(
                caller,
                crawler,
                "Failed",
                message="Crawler Failed",
                errorMessage=crawl.error,
                cloudWatchLogLink=_log_link(caller, crawler),
            )
            self.world.activity("crawl", crawler.name, f"failed: {crawl.error}")
        else:
            self.world.activity("crawl", crawler.name, "stopped")

    def _emit(self, caller: Caller, crawler: Crawler, state: str, **detail: Any) -> None:
        self.world.emit_event(
            caller.account,
            caller.region,
            "aws.glue",
            "Glue Crawler State Change",
            {"accountId": caller.account, "crawlerName": crawler.name, "state": state, **detail},
        )

    def ListCrawls(
        self,
        caller: Caller,
        CrawlerName: str,
        MaxResults: int | None = None,
        Filters: list[dict] | None = None,
        NextToken: str | None = None,
    ) -> dict:
        """The newest first. 20 a page unless asked for otherwise."""
        with self.world.lock:
            crawls = list(reversed(self._crawler(caller, CrawlerName).crawls))
            kept = [each for each in crawls if all(passes(each, each_filter) for each_filter in Filters or ())]
            found, following = page(kept, NextToken, MaxResults if MaxResults is not None else 20, 1000)
            return with_token({"Crawls": [history(each, CrawlerName) for each in found]}, following)

    # -- classifiers -----------------------------------------------------------------------------

    def CreateClassifier(self, caller: Caller, CsvClassifier: dict) -> dict:
        made = csv_classifier(CsvClassifier)
        with self.world.lock:
            known = self._account(caller).classifiers
            if made.name in known:
                raise AwsError("AlreadyExistsException", f"Classifier {made.name} already exists.")
            now = self.world.now()
            known[made.name] = Classifier(made, now, now, 1)
        return {}

    def UpdateClassifier(self, caller: Caller, CsvClassifier: dict) -> dict:
        """What is not given stays as it was."""
        with self.world.lock:
            before = self._classifier(caller, CsvClassifier["Name"])
            members = {**csv_members(before.csv), **CsvClassifier}
            after = replace(before, csv=csv_classifier(members), updated=self.world.now(), version=before.version + 1)
            self._account(caller).classifiers[after.csv.name] = after
        return {}

    def _classifier(self, caller: Caller, name: str) -> Classifier:
        found = self._account(caller).classifiers.get(name)
        if found is None:
            raise AwsError("EntityNotFoundException", f"Classifier {name} not found.")
        return found

    def GetClassifier(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            return {"Classifier": {"CsvClassifier": described_classifier(self._classifier(caller, Name))}}

    def GetClassifiers(self, caller: Caller, MaxResults: int | None = None, NextToken: str | None = None) -> dict:
        with self.world.lock:
            classifiers = _by_name(self._account(caller).classifiers)
            found, following = page(classifiers, NextToken, MaxResults, 1000)
            described = [{"CsvClassifier": described_classifier(each)} for each in found]
            return with_token({"Classifiers": described}, following)

    def DeleteClassifier(self, caller: Caller, Name: str) -> dict:
        with self.world.lock:
            self._classifier(caller, Name)
            del self._account(caller).classifiers[Name]
        return {}


def _arn(caller: Caller, crawler: str) -> str:
    return f"arn:aws:glue:{caller.region}:{caller.account}:crawler/{crawler}"


def _by_name(named: dict[str, Any]) -> list[Any]:
    return [named[name] for name in sorted(named)]


def _iso(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _seconds(crawl: Crawl) -> int:
    return round(((crawl.ended or crawl.started) - crawl.started).total_seconds())


def _log_link(caller: Caller, crawler: Crawler) -> str:
    where = f"https://console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    return f"{where}#logEventViewer:group={LOG_GROUP};stream={crawler.name}"
