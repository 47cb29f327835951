"""The life of an alert as a table, after ANSI/ISA-18.2-2016 (alarm states and their transitions).

**What is here.** Everything that affects an alert's state stands in this file: the states, the triggers, and which
trigger leads from which state to which. The state of each device's alert is a column of the judge's evidence, one
number a slot, and it changes by `apply` alone: judging raises, updates and clears; a device that is forgotten or begins
a new life, a source or a model that the configuration loses, end. What no row of the table allows is a fault of
forewarn, and `apply` says so at once instead of writing a state that nobody meant.

**Why a table.** Others will pull the same triggers: an operator who acknowledges or shelves, maintenance that
suppresses. They must find one place that says what follows, and a reader one picture. The table is compiled to an
array, so that a batch of alerts moves in one indexed read.

**What is not here.** *When* a trigger is pulled: m of n, hysteresis and severity are in `evidence.py`. What is said of
a transition: `events.py`. Of the standard's states the two are here that something can reach today: there is no
acknowledge, shelve or suppress yet. Severity moves are updates of one alert, never new ones.

**Ids** come from content (law 3): after a crash the core judges some rows again, and must raise the same alert under
the same id. So the id is a digest of what the raise is about, and neither random nor counted.
"""

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.words import MAIN_MODEL, UInt8

State = Literal["normal", "unacknowledged"]
Trigger = Literal["raise", "update", "clear", "end"]

STATES: tuple[State, ...] = ("normal", "unacknowledged")  # a state's number in the column is its place here
TRIGGERS: tuple[Trigger, ...] = ("raise", "update", "clear", "end")
NORMAL = STATES.index("normal")

TRANSITIONS: dict[tuple[State, Trigger], State] = {
    ("normal", "raise"): "unacknowledged",
    ("normal", "end"): "normal",
    ("unacknowledged", "update"): "unacknowledged",
    ("unacknowledged", "clear"): "normal",
    ("unacknowledged", "end"): "normal",
}

_NOWHERE = 255
_TABLE: npt.NDArray[np.uint8] = np.array(
    [
        [
            STATES.index(TRANSITIONS[state, trigger]) if (state, trigger) in TRANSITIONS else _NOWHERE
            for trigger in TRIGGERS
        ]
        for state in STATES
    ],
    np.uint8,
)  # [states, triggers]


def apply(state: UInt8, trigger: Trigger) -> UInt8:
    """The states uint8 [b] that follow from `state` uint8 [b] by `trigger`.

    Raises ValueError for a state from which it leads nowhere.
    """
    after: UInt8 = _TABLE[state, TRIGGERS.index(trigger)]
    if np.count_nonzero(after == _NOWHERE):
        lost = STATES[int(np.asarray(state).reshape(-1)[np.flatnonzero(after == _NOWHERE)[0]])]
        raise ValueError(f"an alert that is {lost} has no transition for {trigger!r}; see TRANSITIONS")
    return after


def next_state(state: State, trigger: Trigger) -> State:
    """The same of one state by its name."""
    return STATES[int(apply(np.array([STATES.index(state)], np.uint8), trigger)[0])]


def alert_id(source: str, device: str, model: str, head: str, clock_epoch: int, raised_t_ns: int) -> str:
    """32 hex digits from content, so that replay, restart and a bundle swap give an alert the same id.

    The first half of SHA-256 over the length-prefixed source, device and head, then epoch and event time of the raise;
    of a model that has a name of its own, over the name as well: two models may raise at one row of one device.
    """
    digest = hashlib.sha256()
    names = [name.encode() for name in (source, device, head, *(() if model == MAIN_MODEL else (model,)))]
    for part in (*names, clock_epoch.to_bytes(8), raised_t_ns.to_bytes(8, signed=True)):
        digest.update(len(part).to_bytes(4))
        digest.update(part)
    return digest.hexdigest()[:32]
