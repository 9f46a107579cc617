"""CloudFormation resource types of Lambda."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation.cfn_intrinsics import text
from local_aws.cloudformation.cfn_resources import (
    Made,
    Properties,
    ResourceFailed,
    ResourceType,
    Site,
    cannot_update,
    changed,
    given,
    tag_changes,
    tag_map,
    tolerating,
)

MISSING = "ResourceNotFoundException"

# -- AWS::Lambda::Function -------------------------------------------------------------------------------------------

_SETTINGS = (
    "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "DeadLetterConfig", "Environment",
    "TracingConfig", "LoggingConfig", "EphemeralStorage",
)  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "Description": "", "Timeout": 3, "MemorySize": 128, "DeadLetterConfig": {}, "Environment": {},
    "TracingConfig": {"Mode": "PassThrough"}, "LoggingConfig": {}, "EphemeralStorage": {"Size": 512},
}  # fmt: skip


def _settings(properties: Properties) -> dict[str, Any]:
    """The configuration that the template gives. Variables may be numbers there; their values are texts."""
    settings = {key: properties[key] for key in _SETTINGS if key in properties}
    if "Environment" in settings:
        variables = settings["Environment"].get("Variables", {})
        settings["Environment"] = {
            "Variables": {
                name: json.dumps(value) if isinstance(value, (dict, list)) else text(value)
                for name, value in variables.items()
            }
        }
    return settings


def _function(site: Site, name: str) -> Made:
    return Made(name, {"Arn": site.arn("lambda", f"function:{name}")})


def _create_function(site: Site, properties: Properties) -> Made:
    functions = site.client("lambda")
    name = properties.get("FunctionName") or site.generated_name(64)
    functions.create_function(
        FunctionName=name,
        Code=properties["Code"],
        **_settings(properties),
        **given(Architectures=properties.get("Architectures"), Tags=tag_map(properties) or None),
    )
    site.created(name)
    if "ReservedConcurrentExecutions" in properties:
        functions.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=properties["ReservedConcurrentExecutions"]
        )
    return _function(site, name)


def _update_function(site: Site, name: str, old: Properties, new: Properties) -> Made:
    functions = site.client("lambda")
    wanted = _DEFAULTS | _settings(new)
    settings = {key: wanted[key] for key in _SETTINGS if changed(old, new, key)}
    if settings:
        functions.update_function_configuration(FunctionName=name, **settings)
    if changed(old, new, "Code", "Architectures"):
        functions.update_function_code(
            FunctionName=name, Architectures=new.get("Architectures", ["x86_64"]), **new["Code"]
        )
    if changed(old, new, "ReservedConcurrentExecutions"):
        if "ReservedConcurrentExecutions" in new:
            functions.put_function_concurrency(
                FunctionName=name, ReservedConcurrentExecutions=new["ReservedConcurrentExecutions"]
            )
        else:
            functions.delete_function_concurrency(FunctionName=name)
    to_set, to_remove = tag_changes(old, new)
    arn = site.arn("lambda", f"function:{name}")
    if to_remove:
        functions.untag_resource(Resource=arn, TagKeys=to_remove)
    if to_set:
        functions.tag_resource(Resource=arn, Tags=to_set)
    return _function(site, name)


def _delete_function(site: Site, name: str, _properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").delete_function(FunctionName=name)


# -- AWS::Lambda::Version, AWS::Lambda::Alias ------------------------------------------------------------------------


def _create_version(site: Site, properties: Properties) -> Made:
    functions, name = site.client("lambda"), properties["FunctionName"]
    published = [each["Version"] for each in functions.list_versions_by_function(FunctionName=name)["Versions"]]
    version = functions.publish_version(
        FunctionName=name,
        **given(CodeSha256=properties.get("CodeSha256"), Description=properties.get("Description")),
    )
    if version["Version"] in published:
        raise ResourceFailed(
            f"A version for this Lambda function exists ( {version['Version']} ). "
            "Modify the function to create a new version."
        )
    return Made(version["FunctionArn"], {"Version": version["Version"], "FunctionArn": version["FunctionArn"]})


def _delete_version(site: Site, arn: str, _properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").delete_function(FunctionName=arn)


def _create_alias(site: Site, properties: Properties) -> Made:
    alias = site.client("lambda").create_alias(
        FunctionName=properties["FunctionName"],
        Name=properties["Name"],
        FunctionVersion=properties["FunctionVersion"],
        **given(Description=properties.get("Description")),
    )
    return Made(alias["AliasArn"], {"AliasArn": alias["AliasArn"]})


def _update_alias(site: Site, arn: str, _old: Properties, new: Properties) -> Made:
    site.client("lambda").update_alias(
        FunctionName=new["FunctionName"],
        Name=new["Name"],
        FunctionVersion=new["FunctionVersion"],
        Description=new.get("Description", ""),
    )
    return Made(arn, {"AliasArn": arn})


def _delete_alias(site: Site, _arn: str, properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").delete_alias(FunctionName=properties["FunctionName"], Name=properties["Name"])


# -- AWS::Lambda::Permission -----------------------------------------------------------------------------------------


def _create_permission(site: Site, properties: Properties) -> Made:
    statement_id = site.generated_name(100)
    site.client("lambda").add_permission(StatementId=statement_id, **properties)
    return Made(statement_id, {"Id": statement_id})


def _delete_permission(site: Site, statement_id: str, properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").remove_permission(FunctionName=properties["FunctionName"], StatementId=statement_id)


# -- AWS::Lambda::EventSourceMapping ---------------------------------------------------------------------------------

_MAPPING_DEFAULTS: dict[str, Any] = {
    "BatchSize": 10, "Enabled": True, "MaximumBatchingWindowInSeconds": 0, "FunctionResponseTypes": [],
    "ScalingConfig": {},
}  # fmt: skip


def _mapping(site: Site, uuid: str) -> Made:
    return Made(uuid, {"Id": uuid, "EventSourceMappingArn": site.arn("lambda", f"event-source-mapping:{uuid}")})


def _create_mapping(site: Site, properties: Properties) -> Made:
    parameters = {key: value for key, value in properties.items() if key != "Tags"}
    uuid = site.client("lambda").create_event_source_mapping(**parameters, **given(Tags=tag_map(properties) or None))[
        "UUID"
    ]
    return _mapping(site, uuid)


def _update_mapping(site: Site, uuid: str, old: Properties, new: Properties) -> Made:
    settings = {key: new.get(key, default) for key, default in _MAPPING_DEFAULTS.items() if changed(old, new, key)}
    site.client("lambda").update_event_source_mapping(UUID=uuid, FunctionName=new["FunctionName"], **settings)
    return _mapping(site, uuid)


def _delete_mapping(site: Site, uuid: str, _properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").delete_event_source_mapping(UUID=uuid)


# -- AWS::Lambda::EventInvokeConfig ----------------------------------------------------------------------------------


def _put_invoke_config(site: Site, properties: Properties) -> Made:
    site.client("lambda").put_function_event_invoke_config(**properties)
    return Made(f"{properties['FunctionName']}|{properties['Qualifier']}")


def _delete_invoke_config(site: Site, _id: str, properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("lambda").delete_function_event_invoke_config(
            FunctionName=properties["FunctionName"], Qualifier=properties["Qualifier"]
        )


TYPES = {
    "AWS::Lambda::Function": ResourceType(
        _create_function, _update_function, _delete_function, frozenset({"Arn"}), named_by="FunctionName"
    ),
    "AWS::Lambda::Version": ResourceType(
        _create_version, cannot_update, _delete_version, frozenset({"Version", "FunctionArn"})
    ),
    "AWS::Lambda::Alias": ResourceType(_create_alias, _update_alias, _delete_alias, frozenset({"AliasArn"})),
    "AWS::Lambda::Permission": ResourceType(_create_permission, cannot_update, _delete_permission, frozenset({"Id"})),
    "AWS::Lambda::EventSourceMapping": ResourceType(
        _create_mapping, _update_mapping, _delete_mapping, frozenset({"Id", "EventSourceMappingArn"})
    ),
    "AWS::Lambda::EventInvokeConfig": ResourceType(
        _put_invoke_config, lambda site, _id, _old, new: _put_invoke_config(site, new), _delete_invoke_config
    ),
}
