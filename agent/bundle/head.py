"""What a head is: one output of a model beside its state, known by its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.bundle.manifest import JudgePolicy, Manifest
from agent.words import BundleLabel, Float32, UInt8


@dataclass(frozen=True, slots=True)
class Judged:
    """How the judge takes a head: element i of both depends on row i only (law 2).

    value  float32 [b] from outputs [b, width]: what is compared with the threshold
    level  uint8 [b], index into SEVERITIES
    """

    value: Callable[[Float32, JudgePolicy], Float32]
    level: Callable[[Float32, JudgePolicy], UInt8]


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
