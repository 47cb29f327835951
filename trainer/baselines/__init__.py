"""What a plant would do without a network: one file a method, listed here.

A method has `fit(histories, task)`, which returns a `Scorer`. `trainer/evaluation/compare.py` judges the scores as it
judges a bundle's. docs/baselines.md says what each is, after whom, and what it tunes; a new method is a
file and a line here.
"""

from collections.abc import Callable, Sequence

from trainer.baselines import ewma, limits
from trainer.baselines.scorer import Scorer, Task
from trainer.data.history import History

BASELINES: dict[str, Callable[[Sequence[History], Task], Scorer]] = {
    "limits": limits.fit,
    "ewma": ewma.fit,
}
