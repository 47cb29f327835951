"""What a head is: one output of a model beside its state, known by its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.bundle.manifest import JudgePolicy, Manifest
from agent.words import Bool, BundleLabel, Float32, UInt8


@dataclass(frozen=True, slots=True)
class Judged:
    """How the judge takes a head: element i of all three depends on row i only (law 2).

    value     float32 [b] from outputs [b, width]: what is compared with the threshold
    level     uint8 [b], index into SEVERITIES, from outputs and the threshold
    is_ready  bool [b] from outputs; where it does not hold the head warms up, whatever the row's own quality is. None:
              it is always ready
    """

    value: Callable[[Float32, JudgePolicy], Float32]
    level: Callable[[Float32, JudgePolicy, float], UInt8]
    is_ready: Callable[[Float32], Bool] | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """One head.

    width    columns of its output, float32 [b, width]; 0 where a manifest says that the model has none
    faults   what does not make sense of what the manifest says of it, in words
    members  what a message says of one row's values, by the names of JSON members; () where there is no row
    judged   None for one that is only told
    """

    width: Callable[[Manifest], int]
    faults: Callable[[Manifest], Iterator[str]]
    members: Callable[[tuple[float, ...], BundleLabel], dict[str, Any]]
    judged: Judged | None = None


def shortest(value: float) -> float:
    """The float with the fewest digits that reads back as the same float32."""
    return float(str(np.float32(value)))
