"""What moto's SNS lacks: deliveries that ask the queue's policy, and a refusal of those that would go nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_aws.wire import AwsError, Call

if TYPE_CHECKING:
    from local_aws.world import World

DELIVERED = ("sqs",)
KEPT = ("email", "email-json")
"""Protocols whose subscriptions are kept and shown. There is no mail here."""

ATTRIBUTES = {
    "CreateTopic": {"DisplayName", "KmsMasterKeyId", "Policy"},
    "SetTopicAttributes": {"DisplayName", "KmsMasterKeyId", "Policy"},
    "Subscribe": {"FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"},
    "SetSubscriptionAttributes": {"FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"},
}
"""Operation -> the attributes that are known here."""

_moto_publish: Any = None


class Sns:
    """Amazon SNS, the part that moto does not do: it stands between a topic and the queues that subscribe to it."""

    service = "sns"

    def __init__(self, world: World) -> None:
        self.world = world
        self._watched = False

    def watch(self) -> None:
        """Ask before each delivery of moto's. On the first call to SNS: importing it takes time."""
        global _moto_publish
        if self._watched:
            return
        from moto.sns.models import Subscription

        if _moto_publish is None:
            _moto_publish = Subscription.publish
        publish, admitted = _moto_publish, self._admitted

        def publish_if_admitted(subscription: Any, *message: Any, **options: Any) -> None:
            if subscription.protocol in DELIVERED and admitted(subscription):
                publish(subscription, *message, **options)

        Subscription.publish = publish_if_admitted
        self._watched = True

    def _admitted(self, subscription: Any) -> bool:
        """Whether the queue takes messages of the topic. As in AWS, a publisher does not learn that it does not."""
        topic, queue = subscription.topic.arn, subscription.endpoint
        try:
            self.world.authorize_service(
                "sns.amazonaws.com", "sqs:SendMessage", queue, topic, subscription.topic.account_id
            )
        except AwsError as error:
            self.world.activity("error", topic, error.message)
            return False
        return True


def before(world: World, call: Call) -> None:
    """Refuse attributes that are not known, and a subscription to where nothing here delivers to."""
    world.engines["sns"].watch()
    given = call.params.get("Attributes") or {call.params.get("AttributeName")} - {None}
    if unknown := sorted(set(given) - ATTRIBUTES.get(call.operation, set(given))):
        raise AwsError("LocalAwsNotSupported", f"the local AWS does not know the attribute {unknown[0]} of SNS")
    protocol = call.params.get("Protocol")
    if call.operation == "Subscribe" and protocol not in (*DELIVERED, *KEPT):
        message = f"the local AWS does not deliver to {protocol} subscriptions of SNS topics"
        raise AwsError("LocalAwsNotSupported", message)
