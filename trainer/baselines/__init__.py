"""What a plant would do without a network: one file a method, listed here and in `methods.py`.

A method is a `Baseline`; `tune.py` takes the best of its settings, and `trainer/evaluation/compare.py` judges its
scores as it judges a bundle's. docs/baselines.md is made from these lists; a new method is a file and a line.
"""

from trainer.baselines.ewma import EWMA
from trainer.baselines.limits import LIMITS
from trainer.baselines.scorer import Baseline

IN_USE: dict[str, Baseline] = {
    "limits": LIMITS,
    "ewma": EWMA,
}
"""What a plant's control system has already: these stand beside a bundle in `forewarn-train evaluate`."""
