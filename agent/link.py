"""A paho client as the configuration wants it, and which MQTT version to speak."""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.secret import read_secret
from agent.config.settings import Broker
from agent.config.trust import trust

TAKEN_OVER = "Session taken over"  # 0x8E of MQTT 5: another client came with our id
TAKEN_OVER_S = (60, 120)  # wait then, or the two take the connection from each other for ever
TAKEN_OVER_NEXT_STEP = "Another client uses this name: give each agent its own agent.node or broker.client_id."
_EARLY_CLOSES_BEFORE_OTHER = 2
Client = TypeVar("Client", bound=paho.Client)
_UNSUPPORTED_PROTOCOL = "Unsupported protocol version"


class Protocol:
    """MQTT 5 first, 3.1.1 where the broker refuses 5 or hangs up on it; fixed when the configuration says so."""

    def __init__(self, wanted: str) -> None:
        self._is_auto = wanted == "auto"
        self._early_closes = 0
        self.name = "5" if self._is_auto else wanted

    @property
    def version(self) -> MQTTProtocolVersion:
        return MQTTProtocolVersion.MQTTv5 if self.name == "5" else MQTTProtocolVersion.MQTTv311

    def refused(self, reason: ReasonCode) -> bool:
        """The broker refused the connection; True when the other version is to be tried now."""
        return str(reason) == _UNSUPPORTED_PROTOCOL and self._turn()

    def closed_early(self) -> bool:
        """The connection ended before an answer; True when the other version is to be tried now."""
        self._early_closes += 1
        return self._early_closes % _EARLY_CLOSES_BEFORE_OTHER == 0 and self._turn()

    def accepted(self) -> None:
        """The version works: keep it."""
        self._is_auto = False

    def _turn(self) -> bool:
        if self._is_auto:
            self.name = "3.1.1" if self.name == "5" else "5"
        return self._is_auto


def make_client(
    broker: Broker,
    client_id: str,
    protocol: Protocol,
    *,
    kind: Literal["input", "output"],
    build: Callable[..., Client],
) -> Client:
    """A client that is not connected yet. Raises ConfigurationRefused for an unreadable secret or certificate.

    `build` makes it from the arguments of paho.Client.

    An input client leaves it to its owner when to acknowledge and when to connect again.
    """
    is_v5 = protocol.name == "5"
    client = build(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if is_v5 else True,
        protocol=protocol.version,
        manual_ack=kind == "input",
        reconnect_on_failure=kind == "output",
    )
    client.connect_timeout = broker.connect_timeout.total_seconds()
    if broker.username:
        client.username_pw_set(broker.username, read_secret(broker.password_file) if broker.password_file else None)
    if broker.tls:
        client.tls_set_context(trust(broker.ca_file))
    return client


def seconds(span: timedelta) -> int:
    """A keepalive in whole seconds, as MQTT has it."""
    return max(1, round(span.total_seconds()))
