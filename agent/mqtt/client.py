"""A paho client as the configuration wants it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.config.broker_settings import Broker
from agent.config.secret import read_secret
from agent.config.trust import trust

Client = TypeVar("Client", bound=paho.Client)


def make_client(
    broker: Broker,
    client_id: str,
    protocol: str,
    *,
    kind: Literal["input", "output", "player"],
    build: Callable[..., Client],
    clean_session: bool = True,
) -> Client:
    """A client that is not connected yet. Raises ConfigurationRefused for an unreadable secret or certificate.

    build          makes it from the arguments of paho.Client
    clean_session  of MQTT 3.1.1: the broker is to forget the session before; MQTT 5 says so in CONNECT

    Input and output leave it to their owner when to connect again, the input also when to acknowledge.
    """
    is_v5 = protocol == "5"
    client = build(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if is_v5 else clean_session,
        protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
        manual_ack=kind == "input",
        reconnect_on_failure=kind == "player",
    )
    client.connect_timeout = broker.connect_timeout.total_seconds()
    if broker.username:
        client.username_pw_set(broker.username, read_secret(broker.password_file) if broker.password_file else None)
    if broker.tls:
        client.tls_set_context(trust(broker))
    return client


def seconds(span: timedelta) -> int:
    """A keepalive in whole seconds, as MQTT has it."""
    return max(1, round(span.total_seconds()))
