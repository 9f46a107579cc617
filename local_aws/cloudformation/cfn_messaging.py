"""CloudFormation resource types of SQS and SNS."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation.cfn_intrinsics import text
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
    tag_map,
    tolerating,
)

# -- AWS::SQS::Queue -------------------------------------------------------------------------------------------------

_QUEUE_ATTRIBUTES = (
    "DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout", "SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedrivePolicy",
    "FifoQueue", "ContentBasedDeduplication",
)  # fmt: skip
_QUEUE_DEFAULTS = {
    "DelaySeconds": "0", "MaximumMessageSize": "262144", "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "30", "SqsManagedSseEnabled": "true",
    "KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": "300", "RedrivePolicy": "",
    "ContentBasedDeduplication": "false",
}  # fmt: skip
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


def _attribute(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else text(value)


def _queue(site: Site, url: str, name: str) -> Made:
    return Made(url, {"Arn": site.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _create_queue(site: Site, properties: Properties) -> Made:
    sqs = site.client("sqs")
    suffix = ".fifo" if properties.get("FifoQueue") else ""
    name = properties.get("QueueName")
    if name and exists(lambda: sqs.get_queue_url(QueueName=name), *_NO_QUEUE):
        refuse_existing(site, name)
    name = name or site.generated_name(80, suffix=suffix)
    attributes = {key: _attribute(properties[key]) for key in _QUEUE_ATTRIBUTES if key in properties}
    url = sqs.create_queue(QueueName=name, Attributes=attributes, **given(tags=tag_map(properties) or None))["QueueUrl"]
    return _queue(site, url, name)


def _update_queue(site: Site, url: str, old: Properties, new: Properties) -> Made:
    sqs = site.client("sqs")
    attributes = {
        key: _attribute(new[key]) if key in new else _QUEUE_DEFAULTS[key]
        for key in _QUEUE_ATTRIBUTES
        if changed(old, new, key)
    }
    if attributes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    to_set, to_remove = tag_changes(old, new)
    if to_remove:
        sqs.untag_queue(QueueUrl=url, TagKeys=to_remove)
    if to_set:
        sqs.tag_queue(QueueUrl=url, Tags=to_set)
    return _queue(site, url, url.rsplit("/", 1)[1])


def _delete_queue(site: Site, url: str, _properties: Properties) -> None:
    with tolerating(*_NO_QUEUE):
        site.client("sqs").delete_queue(QueueUrl=url)


# -- AWS::SQS::QueuePolicy, AWS::SNS::TopicPolicy --------------------------------------------------------------------


def _set_queue_policy(site: Site, url: str, policy: str) -> None:
    with tolerating(*(() if policy else _NO_QUEUE)):
        site.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def _create_queue_policy(site: Site, properties: Properties) -> Made:
    name = site.generated_name(255)
    for url in properties["Queues"]:
        _set_queue_policy(site, url, _attribute(properties["PolicyDocument"]))
        site.created(name)
    return Made(name, {"Id": name})


def _update_queue_policy(site: Site, policy_id: str, old: Properties, new: Properties) -> Made:
    for url in new["Queues"]:
        _set_queue_policy(site, url, _attribute(new["PolicyDocument"]))
    for url in set(old["Queues"]) - set(new["Queues"]):
        _set_queue_policy(site, url, "")
    return Made(policy_id, {"Id": policy_id})


def _delete_queue_policy(site: Site, _policy_id: str, properties: Properties) -> None:
    for url in properties["Queues"]:
        _set_queue_policy(site, url, "")


def _default_topic_policy(arn: str, account: str) -> str:
    """The policy that SNS gives a new topic: only its owner."""
    actions = (
        "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
        "ListSubscriptionsByTopic", "Publish",
    )  # fmt: skip
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in actions],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


def _create_topic_policy(site: Site, properties: Properties) -> Made:
    name = site.generated_name(255)
    _put_topic_policy(site, properties["Topics"], properties)
    return Made(name, {"Id": name})


def _put_topic_policy(site: Site, topics: list[str], properties: Properties) -> None:
    for arn in topics:
        site.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=_attribute(properties["PolicyDocument"])
        )


def _restore_topic_policy(site: Site, topics: list[str]) -> None:
    for arn in topics:
        with tolerating("NotFound", "NotFoundException"):
            site.client("sns").set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=_default_topic_policy(arn, site.account)
            )


def _update_topic_policy(site: Site, policy_id: str, old: Properties, new: Properties) -> Made:
    _put_topic_policy(site, new["Topics"], new)
    _restore_topic_policy(site, sorted(set(old["Topics"]) - set(new["Topics"])))
    return Made(policy_id, {"Id": policy_id})


# -- AWS::SNS::Topic, AWS::SNS::Subscription -------------------------------------------------------------------------


def _topic(arn: str) -> Made:
    return Made(arn, {"TopicArn": arn, "TopicName": arn.rsplit(":", 1)[1]})


def _create_topic(site: Site, properties: Properties) -> Made:
    sns = site.client("sns")
    name = properties.get("TopicName") or site.generated_name(256)
    if exists(lambda: sns.get_topic_attributes(TopicArn=site.arn("sns", name)), "NotFound", "NotFoundException"):
        refuse_existing(site, site.arn("sns", name))
    attributes = {key: properties[key] for key in ("DisplayName", "KmsMasterKeyId") if key in properties}
    arn = sns.create_topic(Name=name, Attributes=attributes, **given(Tags=tag_list(tag_map(properties)) or None))[
        "TopicArn"
    ]
    site.created(arn)
    for subscription in properties.get("Subscription", ()):
        sns.subscribe(TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
    return _topic(arn)


def _update_topic(site: Site, arn: str, old: Properties, new: Properties) -> Made:
    sns = site.client("sns")
    for key in ("DisplayName", "KmsMasterKeyId"):
        if changed(old, new, key):
            sns.set_topic_attributes(TopicArn=arn, AttributeName=key, AttributeValue=new.get(key, ""))
    before = {(each["Protocol"], each["Endpoint"]) for each in old.get("Subscription", ())}
    after = {(each["Protocol"], each["Endpoint"]) for each in new.get("Subscription", ())}
    for protocol, endpoint in sorted(after - before):
        sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
    if before - after:
        for each in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
            if (each["Protocol"], each["Endpoint"]) in before - after:
                sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
    to_set, to_remove = tag_changes(old, new)
    if to_remove:
        sns.untag_resource(ResourceArn=arn, TagKeys=to_remove)
    if to_set:
        sns.tag_resource(ResourceArn=arn, Tags=tag_list(to_set))
    return _topic(arn)


def _delete_topic(site: Site, arn: str, _properties: Properties) -> None:
    with tolerating("NotFound", "NotFoundException"):
        site.client("sns").delete_topic(TopicArn=arn)


_SUBSCRIPTION_ATTRIBUTES = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")


def _create_subscription(site: Site, properties: Properties) -> Made:
    attributes = {key: _attribute(properties[key]) for key in _SUBSCRIPTION_ATTRIBUTES if key in properties}
    arn = site.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
        **given(Endpoint=properties.get("Endpoint")),
    )["SubscriptionArn"]
    return Made(arn, {"Arn": arn})


def _update_subscription(site: Site, arn: str, old: Properties, new: Properties) -> Made:
    for key in _SUBSCRIPTION_ATTRIBUTES:
        if changed(old, new, key):
            empty = {"FilterPolicy": "{}", "FilterPolicyScope": "MessageAttributes", "RawMessageDelivery": "false"}
            value = _attribute(new[key]) if key in new else empty.get(key, "")
            site.client("sns").set_subscription_attributes(SubscriptionArn=arn, AttributeName=key, AttributeValue=value)
    return Made(arn, {"Arn": arn})


def _delete_subscription(site: Site, arn: str, _properties: Properties) -> None:
    with tolerating("NotFound", "NotFoundException"):
        site.client("sns").unsubscribe(SubscriptionArn=arn)


TYPES = {
    "AWS::SQS::Queue": ResourceType(
        _create_queue,
        _update_queue,
        _delete_queue,
        frozenset({"Arn", "QueueName", "QueueUrl"}),
        named_by="QueueName",
    ),
    "AWS::SQS::QueuePolicy": ResourceType(
        _create_queue_policy, _update_queue_policy, _delete_queue_policy, frozenset({"Id"})
    ),
    "AWS::SNS::Topic": ResourceType(
        _create_topic, _update_topic, _delete_topic, frozenset({"TopicArn", "TopicName"}), named_by="TopicName"
    ),
    "AWS::SNS::TopicPolicy": ResourceType(
        _create_topic_policy,
        _update_topic_policy,
        lambda site, _id, properties: _restore_topic_policy(site, properties["Topics"]),
        frozenset({"Id"}),
    ),
    "AWS::SNS::Subscription": ResourceType(
        _create_subscription, _update_subscription, _delete_subscription, frozenset({"Arn"})
    ),
}
