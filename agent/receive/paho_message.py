"""A message as plain paho hands it over, held to what the fast path holds it to."""

import paho.mqtt.client as paho

from agent.receive.publish_frame import Message, ProtocolError


def message_of(message: paho.MQTTMessage) -> Message:
    """Raises ProtocolError for what paho lets pass."""
    try:
        topic = message.topic.encode()
    except UnicodeDecodeError as error:
        topic = error.object
    if message.qos > 1:
        raise ProtocolError(f"a PUBLISH of QoS {message.qos}, which was not asked for")
    if message.qos and not message.mid:
        raise ProtocolError("a PUBLISH with packet identifier 0")
    if hasattr(message.properties, "TopicAlias"):
        raise ProtocolError("a topic alias, though none was allowed")
    if not topic:
        raise ProtocolError("a PUBLISH without a topic")
    return Message(
        topic=topic,
        payload=bytes(message.payload),
        qos=message.qos,
        packet_id=message.mid,
        retain=message.retain,
        dup=message.dup,
        subscription_ids=tuple(getattr(message.properties, "SubscriptionIdentifier", ())),
    )
