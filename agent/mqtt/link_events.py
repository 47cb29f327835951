"""What happens to an MQTT link, as its owner tells link_state.py: plain values, nothing of paho."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Begun:
    """A try begins."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nobody answered, or the secret or a certificate cannot be read."""

    why: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The network connection stands, CONNECT is on its way."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """CONNACK. limits: what the broker says that it cannot do, in words; has_session: it kept ours."""

    limits: tuple[str, ...] = ()
    has_session: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """CONNACK that says no. is_mended: the owner has changed what was refused, the next try may come at once."""

    code: int
    why: str
    is_mended: bool = False


@dataclass(frozen=True, slots=True)
class Subscribed:
    """All that the owner waits for has been answered."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection has ended. is_from_broker: by a DISCONNECT, whose reason the code is."""

    code: int
    why: str
    is_from_broker: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """The broker said what nobody may say: a protocol error, in words."""

    why: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """`is_overdue`: what, in words, where it is not CONNACK."""

    what: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """The agent has ended the connection, to make it anew."""

    why: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The agent ends."""


Ending = Unreachable | Refused | Lost | Broken | Unanswered | Left
Event = Begun | Opened | Accepted | Subscribed | Ending | Closed
