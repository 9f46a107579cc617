"""CloudFormation resource types of EventBridge, EventBridge Scheduler and CloudWatch."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation.cfn_resources import (
    Made,
    Properties,
    ResourceType,
    Site,
    changed,
    exists,
    given,
    refuse_existing,
    tag_changes,
    tag_list,
    tolerating,
)

MISSING = "ResourceNotFoundException"

# -- AWS::Events::EventBus -------------------------------------------------------------------------------------------


def _event_bus(site: Site, name: str) -> Made:
    return Made(name, {"Arn": site.arn("events", f"event-bus/{name}"), "Name": name})


def _create_event_bus(site: Site, properties: Properties) -> Made:
    site.client("events").create_event_bus(
        Name=properties["Name"],
        **given(Description=properties.get("Description"), Tags=properties.get("Tags")),
    )
    return _event_bus(site, properties["Name"])


def _update_event_bus(site: Site, name: str, old: Properties, new: Properties) -> Made:
    events = site.client("events")
    if changed(old, new, "Description"):
        events.update_event_bus(Name=name, Description=new.get("Description", ""))
    to_set, to_remove = tag_changes(old, new)
    arn = site.arn("events", f"event-bus/{name}")
    if to_remove:
        events.untag_resource(ResourceARN=arn, TagKeys=to_remove)
    if to_set:
        events.tag_resource(ResourceARN=arn, Tags=tag_list(to_set))
    return _event_bus(site, name)


def _delete_event_bus(site: Site, name: str, _properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("events").delete_event_bus(Name=name)


# -- AWS::Events::EventBusPolicy -------------------------------------------------------------------------------------


def _put_bus_policy(site: Site, properties: Properties) -> Made:
    bus, statement_id = properties.get("EventBusName", "default"), properties["StatementId"]
    events = site.client("events")
    if "Statement" in properties:
        # PutPermission takes a whole policy or one principal: a statement is merged into what is there
        statement = properties["Statement"]
        statement = json.loads(statement) if isinstance(statement, str) else dict(statement)
        policy = json.loads(events.describe_event_bus(Name=bus).get("Policy") or '{"Version": "2012-10-17"}')
        others = [each for each in policy.get("Statement", ()) if each.get("Sid") != statement_id]
        policy["Statement"] = [*others, {**statement, "Sid": statement_id}]
        events.put_permission(EventBusName=bus, Policy=json.dumps(policy))
    else:
        events.put_permission(
            EventBusName=bus,
            StatementId=statement_id,
            Action=properties["Action"],
            Principal=properties["Principal"],
            **given(Condition=properties.get("Condition")),
        )
    return Made(f"{bus}|{statement_id}")


def _delete_bus_policy(site: Site, policy_id: str, _properties: Properties) -> None:
    bus, statement_id = policy_id.split("|")
    with tolerating(MISSING):
        site.client("events").remove_permission(EventBusName=bus, StatementId=statement_id)


# -- AWS::Events::Rule -----------------------------------------------------------------------------------------------


def _rule_place(properties: Properties) -> tuple[str, str]:
    """(bus as given, name of the bus): the property may hold its ARN."""
    bus = properties.get("EventBusName", "default")
    return bus, bus.rsplit("/", 1)[-1]


def _rule(site: Site, name: str, properties: Properties) -> Made:
    """Ref gives `bus|rule` for a rule on a bus of one's own."""
    bus = _rule_place(properties)[1]
    path = name if bus == "default" else f"{bus}/{name}"
    rule_id = name if bus == "default" else f"{bus}|{name}"
    return Made(rule_id, {"Arn": site.arn("events", f"rule/{path}"), "RuleName": name})


def _put_rule(site: Site, name: str, properties: Properties) -> None:
    pattern = properties.get("EventPattern")
    if pattern is not None and not isinstance(pattern, str):
        pattern = json.dumps(pattern)
    site.client("events").put_rule(
        Name=name,
        EventBusName=_rule_place(properties)[0],
        State=properties.get("State", "ENABLED"),
        **given(
            EventPattern=pattern,
            ScheduleExpression=properties.get("ScheduleExpression"),
            Description=properties.get("Description"),
            RoleArn=properties.get("RoleArn"),
            Tags=properties.get("Tags"),
        ),
    )


def _put_targets(site: Site, name: str, properties: Properties) -> None:
    targets = properties.get("Targets", [])
    if not targets:
        return
    site.client("events").put_targets(Rule=name, EventBusName=_rule_place(properties)[0], Targets=targets)


def _create_rule(site: Site, properties: Properties) -> Made:
    events, bus = site.client("events"), _rule_place(properties)[0]
    name = properties.get("Name")
    if name and exists(lambda: events.describe_rule(Name=name, EventBusName=bus), MISSING):
        refuse_existing(site, name)
    name = name or site.generated_name(64)
    _put_rule(site, name, properties)
    made = _rule(site, name, properties)
    site.created(made.id)
    _put_targets(site, name, properties)
    return made


def _update_rule(site: Site, rule_id: str, old: Properties, new: Properties) -> Made:
    name = rule_id.rsplit("|", 1)[-1]
    _put_rule(site, name, new)
    kept = {target["Id"] for target in new.get("Targets", ())}
    gone = [target["Id"] for target in old.get("Targets", ()) if target["Id"] not in kept]
    if gone:
        site.client("events").remove_targets(Rule=name, EventBusName=_rule_place(new)[0], Ids=gone)
    if changed(old, new, "Targets"):
        _put_targets(site, name, new)
    return _rule(site, name, new)


def _delete_rule(site: Site, rule_id: str, properties: Properties) -> None:
    events, bus, name = site.client("events"), _rule_place(properties)[0], rule_id.rsplit("|", 1)[-1]
    with tolerating(MISSING):
        targets = [target["Id"] for target in events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]]
        if targets:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=targets)
        events.delete_rule(Name=name, EventBusName=bus)


# -- AWS::Scheduler::Schedule ----------------------------------------------------------------------------------------


def _schedule_parameters(properties: Properties) -> dict[str, Any]:
    optional = ("Description", "EndDate", "GroupName", "ScheduleExpressionTimezone", "StartDate", "State")
    return {
        "ScheduleExpression": properties["ScheduleExpression"],
        "FlexibleTimeWindow": properties["FlexibleTimeWindow"],
        "Target": properties["Target"],
        **{key: properties[key] for key in optional if key in properties},
    }


def _schedule(site: Site, name: str, properties: Properties) -> Made:
    return Made(name, {"Arn": site.arn("scheduler", f"schedule/{properties.get('GroupName', 'default')}/{name}")})


def _create_schedule(site: Site, properties: Properties) -> Made:
    name = properties.get("Name") or site.generated_name(64)
    site.client("scheduler").create_schedule(Name=name, **_schedule_parameters(properties))
    return _schedule(site, name, properties)


def _update_schedule(site: Site, name: str, _old: Properties, new: Properties) -> Made:
    site.client("scheduler").update_schedule(Name=name, **_schedule_parameters(new))
    return _schedule(site, name, new)


def _delete_schedule(site: Site, name: str, properties: Properties) -> None:
    with tolerating(MISSING):
        site.client("scheduler").delete_schedule(Name=name, **given(GroupName=properties.get("GroupName")))


# -- AWS::CloudWatch::Alarm, AWS::CloudWatch::Dashboard --------------------------------------------------------------


def _alarm(site: Site, name: str) -> Made:
    return Made(name, {"Arn": site.arn("cloudwatch", f"alarm:{name}")})


def _put_alarm(site: Site, name: str, properties: Properties) -> Made:
    settings = {key: value for key, value in properties.items() if key not in ("AlarmName", "Tags")}
    site.client("cloudwatch").put_metric_alarm(AlarmName=name, **settings, **given(Tags=properties.get("Tags") or None))
    return _alarm(site, name)


def _create_alarm(site: Site, properties: Properties) -> Made:
    name = properties.get("AlarmName")
    if name and site.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]:
        refuse_existing(site, name)
    return _put_alarm(site, name or site.generated_name(255), properties)


def _delete_alarm(site: Site, name: str, _properties: Properties) -> None:
    with tolerating("ResourceNotFound"):
        site.client("cloudwatch").delete_alarms(AlarmNames=[name])


def _put_dashboard(site: Site, name: str, properties: Properties) -> Made:
    site.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=properties["DashboardBody"])
    return Made(name)


def _create_dashboard(site: Site, properties: Properties) -> Made:
    cloudwatch, name = site.client("cloudwatch"), properties.get("DashboardName")
    if name and exists(lambda: cloudwatch.get_dashboard(DashboardName=name), "ResourceNotFound", MISSING):
        refuse_existing(site, name)
    return _put_dashboard(site, name or site.generated_name(255), properties)


def _delete_dashboard(site: Site, name: str, _properties: Properties) -> None:
    with tolerating("ResourceNotFound", MISSING, "DashboardNotFoundError"):
        site.client("cloudwatch").delete_dashboards(DashboardNames=[name])


TYPES = {
    "AWS::Events::EventBus": ResourceType(
        _create_event_bus, _update_event_bus, _delete_event_bus, frozenset({"Arn", "Name"}), named_by="Name"
    ),
    "AWS::Events::EventBusPolicy": ResourceType(
        _put_bus_policy, lambda site, _id, _old, new: _put_bus_policy(site, new), _delete_bus_policy
    ),
    "AWS::Events::Rule": ResourceType(_create_rule, _update_rule, _delete_rule, frozenset({"Arn", "RuleName"})),
    "AWS::Scheduler::Schedule": ResourceType(
        _create_schedule, _update_schedule, _delete_schedule, frozenset({"Arn"}), named_by="Name"
    ),
    "AWS::CloudWatch::Alarm": ResourceType(
        _create_alarm,
        lambda site, name, _old, new: _put_alarm(site, name, new),
        _delete_alarm,
        frozenset({"Arn"}),
        named_by="AlarmName",
    ),
    "AWS::CloudWatch::Dashboard": ResourceType(
        _create_dashboard,
        lambda site, name, _old, new: _put_dashboard(site, name, new),
        _delete_dashboard,
        named_by="DashboardName",
    ),
}
