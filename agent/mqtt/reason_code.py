"""The reason codes that something is decided by, as MQTT 5 numbers and names them (section 2.4).

MQTT 3.1.1 has a code in CONNACK alone; paho gives the one of MQTT 5 that means the same.
"""

from enum import IntEnum

FAILURE_MIN = 0x80  # codes below it are of success


class ReasonCode(IntEnum):
    """Of CONNACK, PUBACK and DISCONNECT."""

    UNSPECIFIED_ERROR = 0x80  # also what paho makes of a connection that just ends
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    NOT_AUTHORIZED = 0x87
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_NAME_INVALID = 0x90
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
