"""The life of an alert as a table, after ANSI/ISA-18.2-2016 (alarm states and their transitions).

Everything that affects an alert's state stands in this file. Of the standard's states the two are here that
something can reach today: there is no acknowledge, shelve or suppress yet.
"""

import hashlib
from typing import Literal

State = Literal["normal", "unacknowledged"]
Trigger = Literal["raise", "clear"]

TRANSITIONS: dict[tuple[State, Trigger], State] = {
    ("normal", "raise"): "unacknowledged",
    ("unacknowledged", "clear"): "normal",
}

HEAD = "risk"


def alert_id(source: str, device: str, head: str, clock_epoch: int, raised_t_ns: int) -> str:
    """32 hex digits from content, so that replay, restart and a bundle swap give an alert the same id.

    The first half of SHA-256 over the length-prefixed source, device and head, then epoch and event time of the raise.
    """
    digest = hashlib.sha256()
    names = [name.encode() for name in (source, device, head)]
    for part in (*names, clock_epoch.to_bytes(8), raised_t_ns.to_bytes(8, signed=True)):
        digest.update(len(part).to_bytes(4))
        digest.update(part)
    return digest.hexdigest()[:32]
