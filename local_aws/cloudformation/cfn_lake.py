"""CloudFormation resource types of Athena, Lake Formation and Step Functions."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation import cfn_template
from local_aws.cloudformation.cfn_intrinsics import text
from local_aws.cloudformation.cfn_resources import (
    Made,
    Properties,
    ResourceType,
    Site,
    changed,
    first_lower,
    given,
    tag_changes,
    tag_list,
    tag_map,
    tolerating,
)

# -- AWS::Athena::WorkGroup ------------------------------------------------------------------------------------------


def _create_work_group(site: Site, properties: Properties) -> Made:
    athena, name = site.client("athena"), properties["Name"]
    athena.create_work_group(
        Name=name,
        **given(
            Configuration=properties.get("WorkGroupConfiguration"),
            Description=properties.get("Description"),
            Tags=properties.get("Tags"),
        ),
    )
    site.created(name)
    if properties.get("State") == "DISABLED":
        athena.update_work_group(WorkGroup=name, State="DISABLED")
    return Made(name)


def _configuration_updates(configuration: Properties) -> dict[str, Any]:
    """A configuration in the shape of UpdateWorkGroup, with what it lacks removed."""
    updates = dict(configuration)
    result = dict(updates.pop("ResultConfiguration", {}))
    for key in ("OutputLocation", "EncryptionConfiguration", "ExpectedBucketOwner"):
        if key not in result:
            result[f"Remove{key}"] = True
    if "BytesScannedCutoffPerQuery" not in updates:
        updates["RemoveBytesScannedCutoffPerQuery"] = True
    return {**updates, "ResultConfigurationUpdates": result}


def _update_work_group(site: Site, name: str, old: Properties, new: Properties) -> Made:
    athena = site.client("athena")
    if changed(old, new, "WorkGroupConfiguration", "Description", "State"):
        athena.update_work_group(
            WorkGroup=name,
            Description=new.get("Description", ""),
            State=new.get("State", "ENABLED"),
            ConfigurationUpdates=_configuration_updates(new.get("WorkGroupConfiguration", {})),
        )
    to_set, to_remove = tag_changes(old, new)
    arn = site.arn("athena", f"workgroup/{name}")
    if to_remove:
        athena.untag_resource(ResourceARN=arn, TagKeys=to_remove)
    if to_set:
        athena.tag_resource(ResourceARN=arn, Tags=tag_list(to_set))
    return Made(name)


def _delete_work_group(site: Site, name: str, properties: Properties) -> None:
    recursive = properties.get("RecursiveDeleteOption", False)
    with tolerating("InvalidRequestException"):
        site.client("athena").get_work_group(WorkGroup=name)
        site.client("athena").delete_work_group(WorkGroup=name, RecursiveDeleteOption=recursive)


# -- AWS::LakeFormation::DataLakeSettings ----------------------------------------------------------------------------

_SETTINGS_LISTS = {"Admins": "DataLakeAdmins", "ReadOnlyAdmins": "ReadOnlyAdmins"}


def _put_settings(site: Site, removed: Properties, properties: Properties) -> Made:
    """Write the settings; with APPEND, add to what the account has.

    CloudFormation leaves empty lists of default permissions out (aws-cloudformation/cloudformation-coverage-roadmap
    #2197), so the account's present ones stay. `removed` holds administrators that an earlier version added.
    """
    lake = site.client("lakeformation")
    present = lake.get_data_lake_settings()["DataLakeSettings"]
    append = properties.get("MutationType", "REPLACE") == "APPEND"
    settings = dict(present)
    for key, member in _SETTINGS_LISTS.items():
        listed = properties.get(key)
        if append:
            kept = [each for each in present.get(member, ()) if each not in removed.get(key, ())]
            settings[member] = [*kept, *(listed or ())]  # Lake Formation keeps each once
        elif listed is not None:
            settings[member] = listed
        else:
            settings[member] = []
    for key in ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions"):
        if properties.get(key):
            settings[key] = properties[key]
    for key in ("TrustedResourceOwners", "AllowExternalDataFiltering"):
        if key in properties:
            settings[key] = properties[key]
    if properties.get("Parameters"):
        parameters = {key: text(value) for key, value in properties["Parameters"].items()}
        settings["Parameters"] = {**present.get("Parameters", {}), **parameters}
    lake.put_data_lake_settings(DataLakeSettings=settings)
    return Made(f"{site.account}-{site.region}", {"Id": f"{site.account}-{site.region}"})


def _delete_settings(site: Site, _id: str, properties: Properties) -> None:
    """Take away the administrators that the resource listed (what AWS does here is documented nowhere)."""
    lake = site.client("lakeformation")
    settings = lake.get_data_lake_settings()["DataLakeSettings"]
    for key, member in _SETTINGS_LISTS.items():
        settings[member] = [each for each in settings.get(member, ()) if each not in properties.get(key, ())]
    lake.put_data_lake_settings(DataLakeSettings=settings)


# -- AWS::StepFunctions::StateMachine --------------------------------------------------------------------------------


def _definition(site: Site, properties: Properties) -> str:
    """The definition's text with its substitutions made."""
    if "DefinitionString" in properties:
        definition = properties["DefinitionString"]
    elif "DefinitionS3Location" in properties:
        where = properties["DefinitionS3Location"]
        stored = site.client("s3").get_object(
            Bucket=where["Bucket"], Key=where["Key"], **given(VersionId=where.get("Version"))
        )
        definition = stored["Body"].read().decode()
        if not definition.lstrip().startswith("{"):
            definition = json.dumps(cfn_template.read(definition))
    else:
        definition = json.dumps(properties["Definition"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + name + "}", text(value))
    return definition


def _machine(arn: str, revision: str = "") -> Made:
    return Made(arn, {"Arn": arn, "Name": arn.rsplit(":", 1)[1], "StateMachineRevisionId": revision})


def _create_machine(site: Site, properties: Properties) -> Made:
    answer = site.client("stepfunctions").create_state_machine(
        name=properties.get("StateMachineName") or site.generated_name(80),
        definition=_definition(site, properties),
        roleArn=properties["RoleArn"],
        **given(
            type=properties.get("StateMachineType"),
            loggingConfiguration=first_lower(properties.get("LoggingConfiguration")),
            tracingConfiguration=first_lower(properties.get("TracingConfiguration")),
            tags=tag_list(tag_map(properties), "key", "value") or None,
        ),
    )
    return _machine(answer["stateMachineArn"])


def _update_machine(site: Site, arn: str, old: Properties, new: Properties) -> Made:
    states = site.client("stepfunctions")
    no_logs = {"level": "OFF", "includeExecutionData": False}
    answer = states.update_state_machine(
        stateMachineArn=arn,
        definition=_definition(site, new),
        roleArn=new["RoleArn"],
        loggingConfiguration=first_lower(new.get("LoggingConfiguration")) or no_logs,
        tracingConfiguration=first_lower(new.get("TracingConfiguration")) or {"enabled": False},
    )
    to_set, to_remove = tag_changes(old, new)
    if to_remove:
        states.untag_resource(resourceArn=arn, tagKeys=to_remove)
    if to_set:
        states.tag_resource(resourceArn=arn, tags=tag_list(to_set, "key", "value"))
    return _machine(arn, answer.get("revisionId", ""))


def _delete_machine(site: Site, arn: str, _properties: Properties) -> None:
    with tolerating("StateMachineDoesNotExist"):
        site.client("stepfunctions").delete_state_machine(stateMachineArn=arn)


TYPES = {
    "AWS::Athena::WorkGroup": ResourceType(_create_work_group, _update_work_group, _delete_work_group, named_by="Name"),
    "AWS::LakeFormation::DataLakeSettings": ResourceType(
        lambda site, properties: _put_settings(site, {}, properties),
        lambda site, _id, old, new: _put_settings(site, old, new),
        _delete_settings,
        frozenset({"Id"}),
    ),
    "AWS::StepFunctions::StateMachine": ResourceType(
        _create_machine,
        _update_machine,
        _delete_machine,
        frozenset({"Arn", "Name", "StateMachineRevisionId"}),
        named_by="StateMachineName",
    ),
}
