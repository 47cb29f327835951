"""The budget of a command, or the default of what a bundle counts."""

from agent.bundle.manifest import Manifest
from agent.errors import ConfigurationRefused
from agent.judge.threshold import Budget, default_budget, parse_budget


def budget_of(text: str, manifest: Manifest, *, n_devices: int) -> Budget:
    """`text` "" is the default. Raises ConfigurationRefused for one that is none, or counts another time."""
    usual = default_budget(manifest.time_unit)
    try:
        budget = parse_budget(text or usual, fleet_size=n_devices)
    except ValueError as error:
        raise ConfigurationRefused("--budget", str(error), next_step="Give one of these forms.") from None
    if budget.time_unit != manifest.time_unit:
        counts = "cycles" if manifest.time_unit == "cycle" else "time"
        what = f"{text!r} does not fit a bundle that counts {counts}"
        raise ConfigurationRefused("--budget", what, next_step=f'Such as "{usual}".')
    return budget
