"""A device is scored by a model that never saw it, also while thresholds are chosen on the devices of the fit.

A method with many parameters knows the devices it was fitted to by heart: on them its warnings are perfect, and a
threshold chosen there holds nowhere else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainer.baselines.scorer import Scorer
from trainer.data.history import Float64, History

FOLDS = 3


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """whole: fitted to all devices; held_out: by machine of the fit, the model of the folds that it is not in."""

    whole: Scorer
    held_out: Mapping[str, Scorer]

    def score(self, history: History) -> Float64:
        """As the model that did not see the device scores it."""
        return self.held_out.get(history.owner, self.whole).score(history)


def cross_fitted(histories: Sequence[History], fit: Callable[[Sequence[History]], Scorer]) -> CrossFitted:
    """Fit FOLDS models, each to the devices of the others, and one to all. Raises what `fit` does."""
    machines = sorted({history.owner for history in histories})
    held_out: dict[str, Scorer] = {}
    for fold in range(FOLDS):
        kept = set(machines[fold::FOLDS])
        model = fit([history for history in histories if history.owner not in kept])
        held_out |= dict.fromkeys(kept, model)
    return CrossFitted(fit(histories), held_out)
