"""The same effort for every method: its settings, each with the fleet's scale and with a device's own."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.baselines.own_scale import OwnScaled, own_scale
from trainer.baselines.scorer import Baseline, Candidate, Scorer, Task
from trainer.data.history import History


@dataclass(frozen=True, slots=True)
class Tuned:
    """The method with the setting that came to most, the setting in words, and how many were tried."""

    scorer: Scorer
    setting: str
    n_tried: int


def tuned(baseline: Baseline, histories: Sequence[History], task: Task) -> Tuned:
    """Fit with every setting and take the best; of equals the first. Raises DataRefused where it cannot be fitted."""
    candidates = list(baseline.candidates(histories, task))
    scale = own_scale(histories, task)
    if scale is not None:
        in_own_scale = [scale.of(history) for history in histories]
        candidates += [
            (f"{setting}, own scale", OwnScaled(scale, scorer))
            for setting, scorer in baseline.candidates(in_own_scale, task)
        ]
    setting, scorer = max(candidates, key=lambda one: objective_of(one, task))
    return Tuned(scorer, setting, len(candidates))


def objective_of(candidate: Candidate, task: Task) -> float:
    """What a candidate comes to at the task."""
    return task.objective(candidate[1])
