"""Athena's workgroups. Source: Amazon Athena API reference, WorkGroupConfiguration.

That a workgroup publishes metrics is kept and shown; nothing is published here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

PRIMARY = "primary"
ENGINES = ("AUTO", "Athena engine version 3")
RESULT_MEMBERS = ("OutputLocation", "EncryptionConfiguration", "ExpectedBucketOwner")
NAME = re.compile(r"[a-zA-Z0-9._-]{1,128}")


@dataclass
class WorkGroup:
    name: str
    created: datetime
    configuration: dict[str, Any]
    description: str = ""
    state: str = "ENABLED"
    tags: dict[str, str] = field(default_factory=dict)

    def engine_version(self) -> dict[str, str]:
        selected = self.configuration.get("EngineVersion", {}).get("SelectedEngineVersion", ENGINES[0])
        return {"SelectedEngineVersion": selected, "EffectiveEngineVersion": ENGINES[1]}


def invalid(message: str, code: str = "INVALID_INPUT") -> AwsError:
    """InvalidRequestException, with Athena's own code beside it."""
    return AwsError("InvalidRequestException", message, AthenaErrorCode=code)


class WorkGroups:
    """The workgroups of all accounts. Each account has one, `primary`, from the start.

    `is_empty` says whether a workgroup has no queries.
    """

    def __init__(self, world: World, is_empty: Callable[[WorkGroup], bool]) -> None:
        self.world = world
        self._is_empty = is_empty
        self._groups: dict[tuple[str, str], dict[str, WorkGroup]] = {}

    def _of(self, caller: Caller) -> dict[str, WorkGroup]:
        groups = self._groups.setdefault((caller.account, caller.region), {})
        if PRIMARY not in groups:
            unenforced = checked_configuration({"EnforceWorkGroupConfiguration": False})
            groups[PRIMARY] = WorkGroup(PRIMARY, self.world.now(), unenforced)
        return groups

    def find(self, caller: Caller, name: str) -> WorkGroup:
        """A workgroup of the caller's account and Region. InvalidRequestException."""
        with self.world.lock:
            found = self._of(caller).get(name)
        if found is None:
            raise invalid("WorkGroup is not found.")
        return found

    def create(self, caller: Caller, params: dict[str, Any]) -> dict:
        """CreateWorkGroup."""
        name = params["Name"]
        if not NAME.fullmatch(name):
            raise invalid(f"{name!r} is no workgroup name: 1 to 128 letters, digits, dots, dashes, underscores")
        made = WorkGroup(
            name,
            self.world.now(),
            checked_configuration(params.get("Configuration") or {}),
            params.get("Description") or "",
            tags={tag["Key"]: tag.get("Value", "") for tag in params.get("Tags") or ()},
        )
        with self.world.lock:
            if name in self._of(caller):
                raise invalid("WorkGroup already exists")
            self._of(caller)[name] = made
        return {}

    def update(self, caller: Caller, params: dict[str, Any]) -> dict:
        """UpdateWorkGroup: what is not given stays."""
        group = self.find(caller, params["WorkGroup"])
        configuration = group.configuration
        if params.get("ConfigurationUpdates") is not None:
            configuration = checked_configuration(_updated(configuration, params["ConfigurationUpdates"]))
        with self.world.lock:
            group.configuration = configuration
            group.description = params.get("Description", group.description)
            group.state = params.get("State", group.state)
        return {}

    def get(self, caller: Caller, params: dict[str, Any]) -> dict:
        """GetWorkGroup. An empty description is left out, as AWS does."""
        group = self.find(caller, params["WorkGroup"])
        described: dict[str, Any] = {
            "Name": group.name,
            "State": group.state,
            "Configuration": {**group.configuration, "EngineVersion": group.engine_version()},
            "CreationTime": group.created,
        }
        if group.description:
            described["Description"] = group.description
        return {"WorkGroup": described}

    def delete(self, caller: Caller, params: dict[str, Any]) -> dict:
        """DeleteWorkGroup. One with queries goes with RecursiveDeleteOption only, `primary` never."""
        group = self.find(caller, params["WorkGroup"])
        if group.name == PRIMARY:
            raise invalid("The primary workgroup cannot be deleted")
        if not params.get("RecursiveDeleteOption") and not self._is_empty(group):
            raise invalid(f"WorkGroup {group.name} is not empty")
        with self.world.lock:
            self._of(caller).pop(group.name, None)
        return {}

    def list(self, caller: Caller, params: dict[str, Any]) -> dict:
        """ListWorkGroups, by name."""
        with self.world.lock:
            groups = sorted(self._of(caller).values(), key=lambda group: group.name)
        found, following = page(
            groups, params.get("NextToken"), params.get("MaxResults"), 50, "InvalidRequestException"
        )
        summaries = [
            {
                "Name": group.name,
                "State": group.state,
                "Description": group.description,
                "CreationTime": group.created,
                "EngineVersion": group.engine_version(),
            }
            for group in found
        ]
        return with_token({"WorkGroups": summaries}, following)

    # -- tags ------------------------------------------------------------------------------------

    def _tagged(self, caller: Caller, arn: str) -> WorkGroup:
        found = re.fullmatch(rf"arn:aws:athena:{caller.region}:{caller.account}:workgroup/(.+)", arn)
        if not found or found[1] not in self._of(caller):
            raise AwsError("ResourceNotFoundException", f"Resource not found: {arn}", ResourceName=arn)
        return self._of(caller)[found[1]]

    def tag(self, caller: Caller, params: dict[str, Any]) -> dict:
        """TagResource."""
        with self.world.lock:
            group = self._tagged(caller, params["ResourceARN"])
            group.tags |= {tag["Key"]: tag.get("Value", "") for tag in params["Tags"]}
        return {}

    def untag(self, caller: Caller, params: dict[str, Any]) -> dict:
        """UntagResource."""
        with self.world.lock:
            group = self._tagged(caller, params["ResourceARN"])
            group.tags = {key: value for key, value in group.tags.items() if key not in params["TagKeys"]}
        return {}

    def tags(self, caller: Caller, params: dict[str, Any]) -> dict:
        """ListTagsForResource."""
        with self.world.lock:
            tags = sorted(self._tagged(caller, params["ResourceARN"]).tags.items())
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags]}


def checked_configuration(given: dict[str, Any]) -> dict[str, Any]:
    """A WorkGroupConfiguration with its defaults. InvalidRequestException for what AWS refuses."""
    result = dict(given.get("ResultConfiguration") or {})
    check_result_configuration(result)
    configuration: dict[str, Any] = {
        "ResultConfiguration": result,
        "EnforceWorkGroupConfiguration": given.get("EnforceWorkGroupConfiguration", True),
        "PublishCloudWatchMetricsEnabled": given.get("PublishCloudWatchMetricsEnabled", False),
        "RequesterPaysEnabled": False,
        "EnableMinimumEncryptionConfiguration": False,
    }
    if given.get("BytesScannedCutoffPerQuery") is not None:
        configuration["BytesScannedCutoffPerQuery"] = given["BytesScannedCutoffPerQuery"]
    engine = (given.get("EngineVersion") or {}).get("SelectedEngineVersion", ENGINES[0])
    if engine not in ENGINES:
        raise invalid(f"{engine} is not a valid engine version")
    configuration["EngineVersion"] = {"SelectedEngineVersion": engine}
    return configuration


def check_result_configuration(result: dict[str, Any]) -> None:
    """Refuse an output location that is none, and encryption that is not built."""
    location = result.get("OutputLocation")
    if location is not None and not re.fullmatch(r"s3://[^/]+(/.*)?", location):
        raise invalid("outputLocation is not a valid S3 path.")
    encryption = result.get("EncryptionConfiguration") or {}
    option = encryption.get("EncryptionOption")
    if option == "CSE_KMS":
        raise AwsError("LocalAwsNotSupported", "the local AWS does not encrypt results on the client's side")
    if option == "SSE_KMS" and not encryption.get("KmsKey"):
        raise invalid("KMS key is required for SSE_KMS")


def _updated(configuration: dict[str, Any], updates: dict[str, Any]) -> dict[str, Any]:
    """A configuration after WorkGroupConfigurationUpdates, whose `Remove...` members take settings away."""
    after = dict(configuration)
    result = dict(configuration["ResultConfiguration"])
    given = updates.get("ResultConfigurationUpdates") or {}
    for member in RESULT_MEMBERS:
        if given.get(f"Remove{member}"):
            result.pop(member, None)
        elif member in given:
            result[member] = given[member]
    if updates.get("RemoveBytesScannedCutoffPerQuery"):
        after.pop("BytesScannedCutoffPerQuery", None)
    for member in (
        "EnforceWorkGroupConfiguration",
        "PublishCloudWatchMetricsEnabled",
        "BytesScannedCutoffPerQuery",
        "EngineVersion",
    ):
        if updates.get(member) is not None:
            after[member] = updates[member]
    return {**after, "ResultConfiguration": result}
