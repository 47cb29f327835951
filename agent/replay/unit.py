"""Times as a reader wants them: cycles where a bundle counts cycles, else seconds to days by what the horizon is."""

from dataclasses import dataclass

from agent.bundle.manifest import Manifest

_CLOCK = (("day", 86_400.0, 30), ("hour", 3600.0, 1000), ("minute", 60.0, 1000), ("second", 1.0, 1000))


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of time; exposure is told in multiples of `per` of them."""

    name: str
    size_s: float
    per: int

    @property
    def plural(self) -> str:
        return f"{self.name}s"

    @property
    def exposure(self) -> str:
        """What false alarms are counted per: "1000 cycles", "30 device-days"."""
        return f"{self.per} {'' if self.name == 'cycle' else 'device-'}{self.plural}"

    def of(self, span_s: float) -> float:
        return span_s / self.size_s

    def text(self, span_s: float) -> str:
        """ "48.3 cycles", "60 cycles", "1 day", "11,474 days"."""
        span = self.of(span_s)
        number = f"{span:,.0f}" if span >= 1000 else f"{span:.1f}".removesuffix(".0")
        return f"{number} {self.name if number == '1' else self.plural}"

    def rate(self, rate_per_s: float) -> float:
        """Events per `exposure`."""
        return rate_per_s * self.size_s * self.per


def unit_of(manifest: Manifest) -> Unit:
    """The unit in which the bundle's longest true warning is at least 2."""
    if manifest.time_unit == "cycle":
        return Unit("cycle", 1.0, 1000)
    fits = (Unit(*one) for one in _CLOCK if manifest.thresholds.h_max_s >= 2 * one[1])
    return next(fits, Unit(*_CLOCK[-1]))
