"""What a budget comes to with a bundle, as the status and `forewarn check --json` tell it."""

from collections.abc import Mapping
from typing import Self

import msgspec

from agent.judge.threshold import Basis, Judged, findings
from agent.words import AlertHead


class Budgeted(msgspec.Struct, frozen=True):
    """The threshold that keeps to the budget; false alarms a second and device, as the bundle's table has them.

    The other fields as in `Chosen`; `verdict` says them in words.
    """

    budget: str
    threshold: float
    false_alarms_per_s: float
    extrapolated: bool
    finest_budget: str
    warned_of: int
    failures: int | None
    by_chance: float | None
    alarm_share: float | None
    time_in_alarm_max: float
    basis: Basis
    verdict: str

    @classmethod
    def of(cls, judged: Judged) -> Self:
        chosen = judged.chosen
        return cls(
            budget=judged.budget.text,
            threshold=chosen.threshold,
            false_alarms_per_s=chosen.rate_per_s,
            **findings(chosen),
        )

    @classmethod
    def of_each(cls, heads: Mapping[AlertHead, Judged]) -> dict[AlertHead, Self]:
        return {head: cls.of(judged) for head, judged in heads.items()}
