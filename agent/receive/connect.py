"""What the input asks of a broker in CONNECT, and the client that does."""

from functools import partial
from typing import Literal

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from structlog.typing import FilteringBoundLogger

from agent.config.broker_settings import Broker
from agent.mqtt.client import make_client, seconds
from agent.mqtt.connecting import Attempt
from agent.mqtt.frame_deadline import CountingClient
from agent.mqtt.link_state import LinkState
from agent.receive.fast_client import FastClient, packet_bytes_max
from agent.receive.inbox import Inbox
from agent.receive.paho_check import difference

RECEIVE_MAXIMUM = 1000  # QoS 1 messages the broker may have under way to us (MQTT 5)

ClientPath = Literal["fast", "paho"]


def choose_path(asked: Literal["auto", "paho"], log: FilteringBoundLogger) -> ClientPath:
    """Who parses: the fast client, unless paho is asked for or is not the one that the fast client was written for."""
    if asked == "paho":
        return "paho"
    why = difference()
    if why:
        next_step = "Everything works, with more CPU a message. Install the paho-mqtt of requirements.lock."
        log.warning("receiver_fallback", why=why, next_step=next_step)
        return "paho"
    return "fast"


def attempt(
    broker: Broker, client_id: str, link: LinkState, inbox: Inbox, *, path: ClientPath, keeps_session: bool
) -> Attempt:
    """Begin a connection, in the version and with the session that `link` asks for.

    Raises ConfigurationRefused for an unreadable secret or certificate.
    """
    version, is_clean = link.protocol.name, link.starts_clean
    build = partial(FastClient, inbox) if path == "fast" else CountingClient
    client = make_client(broker, client_id, version, kind="input", build=build, clean_session=is_clean)
    connect = partial(client.connect, broker.host, broker.port, seconds(broker.keepalive))
    if version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = packet_bytes_max(inbox.bounds.payload_bytes_max)
        if keeps_session:
            properties.SessionExpiryInterval = seconds(broker.session_expiry)
        connect = partial(connect, clean_start=is_clean, properties=properties)
    return Attempt(client, connect)
