"""Times as a reader wants them: cycles where a bundle counts cycles, else seconds to days by what the horizon is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.bundle.manifest import Manifest
from agent.words import Int64

DAY_S, HOUR_S = 86_400.0, 3600.0


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of time. `exposure` is what false alarms are counted per: "1000 cycles", "30 device-days"."""

    name: str
    size_s: float
    exposure: str
    exposure_s: float

    @property
    def plural(self) -> str:
        return f"{self.name}s"

    def of(self, span_s: float) -> float:
        return span_s / self.size_s

    def text(self, span_s: float) -> str:
        """ "48.3 cycles", "60 cycles", "1 day", "11,474 days"."""
        span = self.of(span_s)
        number = f"{span:,.0f}" if span >= 1000 else f"{span:.1f}".removesuffix(".0")
        return f"{number} {self.name if number == '1' else self.plural}"

    def rate(self, rate_per_s: float) -> float:
        """Events per `exposure`."""
        return rate_per_s * self.exposure_s


_CLOCK = (  # the horizon that each is for at least, and the unit
    (7 * DAY_S, Unit("day", DAY_S, "30 device-days", 30 * DAY_S)),
    (2 * HOUR_S, Unit("hour", HOUR_S, "30 device-days", 30 * DAY_S)),
    (120.0, Unit("minute", 60.0, "device-day", DAY_S)),
    (0.0, Unit("second", 1.0, "device-hour", HOUR_S)),
)


def unit_of(manifest: Manifest) -> Unit:
    """Cycles where it counts them, else the unit that suits its longest true warning."""
    if manifest.time_unit == "cycle":
        return Unit("cycle", 1.0, "1000 cycles", 1000.0)
    longest_s = max(thresholds.h_max_s for _, thresholds in manifest.judging.values())
    return next(unit for h_max_s, unit in _CLOCK if longest_s >= h_max_s)


def nanoseconds(t_s: npt.NDArray[np.float64]) -> Int64:
    """int64 [n]: event times in seconds to the nanosecond, as the agent reads them from a payload."""
    whole = np.floor(t_s)  # apart, since a float64 of today's date in nanoseconds has no single ones
    return whole.astype(np.int64) * 10**9 + np.rint((t_s - whole) * 1e9).astype(np.int64)


def seconds(t_ns: Int64) -> npt.NDArray[np.float64]:
    """float64 [n]: the nearest to event times in nanoseconds."""
    whole, rest = np.divmod(t_ns, 10**9)  # apart, since a float64 of the whole would be rounded twice
    return whole + rest / 1e9
