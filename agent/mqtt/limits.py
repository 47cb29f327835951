"""What a broker says that it can do when it accepts a connection: the properties of CONNACK (MQTT 5, section 3.2.2.3).

A broker closes the connection of a client that goes beyond them. MQTT 3.1.1 has none of them: then everything goes.
"""

from dataclasses import dataclass

from paho.mqtt.properties import Properties

RECEIVE_MAXIMUM = 65_535  # of a broker that does not say
AMPLE_PACKET_BYTES = 16_384  # no message of ours comes near: not worth a word


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection.

    receive_maximum     publishes at QoS 1 that may wait for their acknowledgement, >= 1
    qos_max             highest QoS that the broker takes
    retain              whether it keeps retained messages
    packet_bytes_max    its longest packet, None for none
    keepalive_s         the keepalive it wants instead of ours, None for none
    wildcards           whether a subscription may have `+` and `#`
    session_expiry_s    how long it keeps a session instead of what was asked for, None for that
    """

    receive_maximum: int = RECEIVE_MAXIMUM
    qos_max: int = 2
    retain: bool = True
    packet_bytes_max: int | None = None
    keepalive_s: int | None = None
    wildcards: bool = True
    session_expiry_s: int | None = None

    @classmethod
    def of(cls, properties: Properties | None) -> "Limits":
        """Those that a CONNACK names."""
        return cls(
            receive_maximum=max(1, getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)),
            qos_max=getattr(properties, "MaximumQoS", 2),
            retain=bool(getattr(properties, "RetainAvailable", 1)),
            packet_bytes_max=getattr(properties, "MaximumPacketSize", None),
            keepalive_s=getattr(properties, "ServerKeepAlive", None),
            wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
            session_expiry_s=getattr(properties, "SessionExpiryInterval", None),
        )

    def missing_to_publish(self, keepalive_s: int) -> list[str]:
        """In words, what an output has to do without."""
        missing = []
        if self.qos_max == 0:
            missing.append("no QoS 1: nothing is acknowledged, an event counts as delivered once it is written")
        if not self.retain:
            missing.append("no retained messages: standing alerts, status and availability reach only who listens")
        if self.packet_bytes_max is not None and self.packet_bytes_max < AMPLE_PACKET_BYTES:
            missing.append(f"no packet above {self.packet_bytes_max} bytes: a larger message stays here")
        return missing + self.missing_to_read(keepalive_s)

    def missing_to_read(self, keepalive_s: int, session_expiry_s: int = 0) -> list[str]:
        """In words, what an input has to do without. session_expiry_s: for how long it asks for its session, or 0."""
        missing = [] if self.wildcards else ["no wildcards in subscriptions"]
        if self.keepalive_s is not None and self.keepalive_s > keepalive_s:
            missing.append(f"a keepalive of {self.keepalive_s} s: a dead connection is noticed within twice that")
        if self.session_expiry_s is not None and self.session_expiry_s < session_expiry_s:
            missing.append(f"a session of {session_expiry_s} s: it keeps messages for {self.session_expiry_s} s")
        if self.keepalive_s == 0:
            missing.append("no keepalive: a dead connection may go unnoticed")
        return missing
