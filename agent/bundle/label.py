"""What of a bundle travels in its alerts, since they may outlive it."""

from agent.bundle.manifest import Manifest
from agent.words import BundleLabel


def label_of(manifest: Manifest, digest: str) -> BundleLabel:
    """The label of a bundle; `digest` is the SHA-256 of its manifest's bytes."""
    return BundleLabel(
        name=manifest.name,
        version=manifest.version,
        digest=digest,
        time_unit=manifest.time_unit,
        horizons=tuple(duration(horizon_s, manifest) for horizon_s in manifest.horizons_s),
        quantiles=manifest.rul.quantiles if manifest.rul else (),
        cap_s=manifest.rul.cap_s if manifest.rul else 0.0,
        channels=tuple(channel.name for channel in manifest.channels) if manifest.anomaly else (),
    )


def duration(span_s: float, manifest: Manifest) -> str:
    """A horizon in the largest unit that divides it: "15 cycles", "6 h", "90 s"."""
    if manifest.time_unit == "cycle":
        return f"{span_s:g} cycles"
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if span_s % size_s == 0:
            return f"{span_s / size_s:g} {unit}"
    return f"{span_s:g} s"
