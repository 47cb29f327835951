"""What the stages made of readings."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.scores import concatenated
from agent.devices.rows import Rows
from agent.drops import Drops
from agent.words import AlertEvent, InterventionLabel, Scores


@dataclass(frozen=True, slots=True)
class Stepped:
    """What readings became: scores, one a model, and alerts, both in the order of the messages; and what is left out.

    labels  of interventions; rows: what the models were given, where the core keeps it
    """

    scores: list[Scores]
    alerts: list[AlertEvent]
    drops: list[Drops]
    labels: Sequence[InterventionLabel] = ()
    rows: Sequence[Rows] = ()


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
    )
