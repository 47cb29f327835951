"""A builder of alert events."""

from typing import Literal

from agent.bundle.label import label_of
from agent.words import AlertEvent, BundleLabel
from tests.small_bundle import small_manifest

CYCLES = label_of(small_manifest(), "d" * 64)


def event(
    kind: Literal["raised", "updated", "cleared"],
    alert: str,
    *,
    t: float,
    device: str = "e1",
    cause: Literal["risk", "below_threshold", "forgotten"] | None = None,
    bundle: BundleLabel = CYCLES,
) -> AlertEvent:
    """One event of `alert` at time t (seconds or cycles)."""
    return AlertEvent(
        kind=kind,
        alert=alert,
        sequence=1,
        source="press",
        device=device,
        head="risk",
        state="normal" if kind == "cleared" else "unacknowledged",
        severity="minor",
        entry=round(t),
        t_ns=round(t * 1e9),
        raised_t_ns=round(t * 1e9),
        quality="ok",
        outputs={"risk": (0.1, 0.3, 0.7), "rul": (20.0, 30.0, 40.0)},
        cause=cause or ("below_threshold" if kind == "cleared" else "risk"),
        bundle=bundle,
    )
