"""What the stages made of readings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.core.marks import Key
from agent.core.scores import concatenated
from agent.devices.rows import Rows
from agent.drops import Drops
from agent.words import AlertEvent, Handled, HideChange, InterventionLabel, Scores


@dataclass(frozen=True, slots=True)
class Stepped:
    """What readings became: scores, one a model, and alerts, both in the order of the messages; and what is left out.

    labels   of interventions; rows: what the models were given, where the core keeps it
    handled  what came of commands, and `hides` what they have hidden or shown
    """

    scores: list[Scores]
    alerts: list[AlertEvent]
    drops: list[Drops]
    labels: Sequence[InterventionLabel] = ()
    rows: Sequence[Rows] = ()
    handled: Sequence[Handled] = ()
    hides: Sequence[HideChange] = ()


class Ticked(NamedTuple):
    """What comes of time that has passed: steps of alerts, who is forgotten, and what is not hidden any more."""

    alerts: list[AlertEvent]
    forgotten: list[Key]
    hides: list[HideChange]


def merged(parts: Sequence[Stepped]) -> Stepped:
    """All parts of one call, in their order; at least one."""
    if len(parts) == 1:
        return parts[0]
    return Stepped(
        [concatenated(of_model) for of_model in zip(*(part.scores for part in parts), strict=True)],
        [event for part in parts for event in part.alerts],
        [group for part in parts for group in part.drops],
        [label for part in parts for label in part.labels],
        [rows for part in parts for rows in part.rows],
        [one for part in parts for one in part.handled],
        [change for part in parts for change in part.hides],
    )
