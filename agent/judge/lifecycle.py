"""The life of an alert as a table, after ANSI/ISA-18.2-2016 and IEC 62682 (alarm states and their transitions).

**What is here.** Everything that affects an alert's state stands in this file: the states, the triggers, which trigger
leads from which state to which, and what the return of a risk to normal means by the rules of the plant. The state of
each device's alert is a column of the judge's evidence, one number a slot, and it changes by `apply` alone: judging,
people's commands, and what ends a device's alerts all pull triggers.

**Two questions, two answers.** ISA-18.2 draws one picture of two things: what has become of the alarm (raised, seen,
over), and whether it is shown at all (shelved, suppressed by design, out of service). A person who shelves an alert at
noon and a maintenance window that opens at one must not undo each other. So the states here are those of the first
kind, and hiding is held beside them (`agent.core.handling`): a hidden alert has a state, and is not shown in it.

    normal -- raise --> unacknowledged -- acknowledge --> acknowledged
    unacknowledged -- return --> returned_unacknowledged -- acknowledge --> normal
    unacknowledged, acknowledged -- latch --> latched -- reset --> normal
    returned_unacknowledged, latched -- recur --> unacknowledged
    acknowledged -- escalate --> unacknowledged        a higher severity has to be seen again

**Why a table.** Many pull the same triggers: the judge, an operator, maintenance, a configuration that has lost a
source. They must find one place that says what follows, and a reader one picture. The table is compiled to an array, so
that a batch of alerts moves in one indexed read.

**What is not here.** *When* a trigger is pulled: m of n, hysteresis and severity are in `evidence.py`. What is said of
a transition: `events.py`. Severity moves are updates of one alert, never new ones.

**Ids** come from content (law 3): after a crash the core judges some rows again, and must raise the same alert under
the same id. So the id is a digest of what the raise is about, and neither random nor counted.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from agent.judge.maintenance import Window
from agent.words import MAIN_MODEL, AlertState, Bool, UInt8

Trigger = Literal[
    "raise", "update", "escalate", "acknowledge", "return", "latch", "recur", "reset", "show", "clear", "end"
]

STATES: tuple[AlertState, ...] = (  # a state's number in the column is its place here
    "normal",
    "unacknowledged",
    "acknowledged",
    "returned_unacknowledged",
    "latched",
)
TRIGGERS: tuple[Trigger, ...] = (
    *("raise", "update", "escalate", "acknowledge", "return", "latch", "recur", "reset", "show", "clear", "end"),
)
NORMAL, UNACKNOWLEDGED, ACKNOWLEDGED, RETURNED, LATCHED = range(len(STATES))

TRANSITIONS: dict[tuple[AlertState, Trigger], AlertState] = {
    ("normal", "raise"): "unacknowledged",
    ("normal", "end"): "normal",
    ("unacknowledged", "update"): "unacknowledged",
    ("unacknowledged", "escalate"): "unacknowledged",
    ("unacknowledged", "acknowledge"): "acknowledged",
    ("unacknowledged", "return"): "returned_unacknowledged",
    ("unacknowledged", "latch"): "latched",
    ("unacknowledged", "show"): "unacknowledged",
    ("unacknowledged", "clear"): "normal",
    ("unacknowledged", "end"): "normal",
    ("acknowledged", "update"): "acknowledged",
    ("acknowledged", "escalate"): "unacknowledged",
    ("acknowledged", "latch"): "latched",
    ("acknowledged", "show"): "unacknowledged",
    ("acknowledged", "clear"): "normal",
    ("acknowledged", "end"): "normal",
    ("returned_unacknowledged", "acknowledge"): "normal",
    ("returned_unacknowledged", "recur"): "unacknowledged",
    ("returned_unacknowledged", "show"): "returned_unacknowledged",
    ("returned_unacknowledged", "end"): "normal",
    ("latched", "reset"): "normal",
    ("latched", "recur"): "unacknowledged",
    ("latched", "show"): "latched",
    ("latched", "end"): "normal",
}


@dataclass(frozen=True, slots=True)
class AlertRules:
    """What a plant wants of its alerts, beside what the bundle's judge decides. Spans are of event time.

    needs_acknowledgement   one that nobody has acknowledged does not end when the risk returns to normal
    latches                 one whose risk has returned to normal stands until a person resets it
    severity_falls_after_s  severity falls when every row has asked for less for so long; inf: it only rises
    chatter_raises          so many raises of one device and head within chatter_window_s are chatter: the newest of
                            them ends only once its risk was low for that long. 0: nothing is chatter
    shelve_max_s            nobody can shelve an alert for longer, of log time
    windows                 maintenance, as planned
    flood_raises            so many raises of one source within flood_window_s of log time are a flood; 0: none is
    """

    needs_acknowledgement: bool = False
    latches: bool = False
    severity_falls_after_s: float = math.inf
    chatter_raises: int = 0
    chatter_window_s: float = 600.0
    shelve_max_s: float = 30 * 86_400.0
    flood_raises: int = 0
    flood_window_s: float = 600.0
    windows: tuple[Window, ...] = ()


PLAIN = AlertRules()


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


def after_return(state: UInt8, rules: AlertRules) -> UInt8:
    """The states that follow where the risk has returned to normal, of alerts in `state` uint8 [b].

    A latched alert needs a person in any case, who resets it; so it need not be acknowledged too.
    """
    after = state
    for of, trigger in ((UNACKNOWLEDGED, _return_of(rules)), (ACKNOWLEDGED, "latch" if rules.latches else "clear")):
        which = state == of
        if np.count_nonzero(which):
            after = np.where(which, apply(state[which][:1], trigger)[0], after)
    return after


def _return_of(rules: AlertRules) -> Trigger:
    if rules.latches:
        return "latch"
    return "return" if rules.needs_acknowledgement else "clear"


def is_in_alarm(state: UInt8) -> Bool:
    """bool [b]: the risk has not returned to normal since the raise."""
    in_alarm: Bool = (state == UNACKNOWLEDGED) | (state == ACKNOWLEDGED)
    return in_alarm


def may_pull(state: AlertState, trigger: Trigger) -> bool:
    """Whether the trigger leads anywhere."""
    return (state, trigger) in TRANSITIONS


def next_state(state: AlertState, trigger: Trigger) -> AlertState:
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
