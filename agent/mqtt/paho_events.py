"""What paho says of the end of a connection, as link_state.py takes it."""

from paho.mqtt import reasoncodes
from paho.mqtt.client import DisconnectFlags
from paho.mqtt.properties import Properties

from agent.mqtt.link_events import Broken, Lost, Refused
from agent.mqtt.reason_code import ReasonCode


def refusal_of(reason: reasoncodes.ReasonCode, properties: Properties | None) -> Refused:
    """A CONNACK that says no."""
    return Refused(reason.value, f"{reason}{_details(properties)}")


def loss_of(flags: DisconnectFlags, reason: reasoncodes.ReasonCode, properties: Properties | None) -> Lost | Broken:
    """A connection that has ended. Of the broker's packets that it cannot read paho says `protocol error` itself."""
    is_from_broker = flags.is_disconnect_packet_from_server
    if reason.value == ReasonCode.PROTOCOL_ERROR and not is_from_broker:
        return Broken("a packet that paho cannot read")
    return Lost(reason.value, f"{reason}{_details(properties)}", is_from_broker)


def _details(properties: Properties | None) -> str:
    """What the broker says beyond the reason: in its own words, and which server to use instead."""
    words = getattr(properties, "ReasonString", "")
    server = getattr(properties, "ServerReference", "")
    return (f" ({words})" if words else "") + (f"; it names another server: {server}" if server else "")
