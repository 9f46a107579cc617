"""Short ways to make, tag and read what Lake Formation guards, for the tests of its rules."""

from __future__ import annotations

from typing import Any

from lab import Lab, Role, Who
from lake_calls import LAKE_ACTIONS, on_table, principal, sees

CENTRAL = "central"
"""The account whose administrator governs the lake in these tests."""

ON_TABLE = ("ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT")
ON_DATABASE = ("ALTER", "CREATE_TABLE", "DESCRIBE", "DROP")
"""What somebody who is no owner needs, with the grant option, to tag."""


def a_role(lab: Lab, hint: str = "role", path: str = "/", part: str = CENTRAL) -> Role:
    """A role that IAM lets do anything with Glue and Lake Formation: what it may is Lake Formation's decision."""
    return lab.role(part, hint, allow=LAKE_ACTIONS, path=path)


def lake_formation(lab: Lab, who: Who = CENTRAL) -> Any:
    return lab.client("lakeformation", who)


def me(lab: Lab, part: str = CENTRAL) -> str:
    """The ARN of an account's administrator."""
    return lab.client("sts", part).get_caller_identity()["Arn"]


def readable(lab: Lab, who: Who, database: str, table: str) -> list[str]:
    """The columns that a principal may SELECT, as the service computes it for the principal itself."""
    asked = {
        "Principal": principal(lab, who if isinstance(who, Role) else me(lab, who)),
        "Resource": on_table(database, table),
    }
    columns: set[str] = set()
    for each in lake_formation(lab, who).list_permissions(**asked)["PrincipalResourcePermissions"]:
        if "SELECT" in each["Permissions"]:
            shown = each["Resource"]["TableWithColumns"]
            columns |= set(shown.get("ColumnNames") or sees(lab, who, database, table))
    return sorted(columns)


def add_tags(lab: Lab, who: Who, resource: dict, *pairs: tuple[str, ...]) -> list[dict]:
    """The Failures of AddLFTagsToResource of (key, value, ...)."""
    tags = [{"TagKey": key, "TagValues": list(values)} for key, *values in pairs]
    return lake_formation(lab, who).add_lf_tags_to_resource(Resource=resource, LFTags=tags)["Failures"]


def remove_tag(lab: Lab, who: Who, resource: dict, key: str, value: str) -> list[dict]:
    """The Failures of RemoveLFTagsFromResource of one tag."""
    tags = [{"TagKey": key, "TagValues": [value]}]
    return lake_formation(lab, who).remove_lf_tags_from_resource(Resource=resource, LFTags=tags)["Failures"]


def codes(failures: list[dict]) -> list[str]:
    return [each["Error"]["ErrorCode"] for each in failures]


def tags_of(lab: Lab, who: Who, resource: dict, **more: Any) -> dict[str, dict[str, str]]:
    """{"database", "table" or a column's name: {key: value}} as GetResourceLFTags shows them."""
    answer = lake_formation(lab, who).get_resource_lf_tags(Resource=resource, **more)
    shown = {}
    for name, member in (("database", "LFTagOnDatabase"), ("table", "LFTagsOnTable")):
        if answer.get(member):
            shown[name] = _pairs(answer[member])
    for column in answer.get("LFTagsOnColumns", ()):
        shown[column["Name"]] = _pairs(column["LFTags"])
    return shown


def _pairs(tags: list[dict]) -> dict[str, str]:
    return {pair["TagKey"]: pair["TagValues"][0] for pair in tags}


def listed(lab: Lab, who: Who, **filters: Any) -> list[dict]:
    """All entries of ListPermissions, page by page."""
    entries, token = [], {}
    while True:
        answer = lake_formation(lab, who).list_permissions(**filters, **token)
        entries += answer["PrincipalResourcePermissions"]
        if "NextToken" not in answer:
            return entries
        token = {"NextToken": answer["NextToken"]}


def kinds(entries: list[dict]) -> dict[tuple[str, str], list[str]]:
    """{(principal, kind of resource): permissions} of entries of ListPermissions."""
    return {
        (each["Principal"]["DataLakePrincipalIdentifier"], next(iter(each["Resource"]))): each["Permissions"]
        for each in entries
    }
