"""What a manifest's numbers may be, at most, and the rule for a list of them that rises."""

from collections.abc import Iterator, Sequence

HORIZONS_MAX = 64
QUANTILES_MAX = 64
CHARTS_MAX = 16
FORECAST_ROWS_MAX = 1024
WARMUP_ROWS_MAX = 1_000_000
TIME_S_MIN, TIME_S_MAX = 1e-9, 1e10


def rising_faults(what: str, values: Sequence[float], n_max: int, below: float) -> Iterator[str]:
    """What is wrong, in words, with 1 to `n_max` values that must rise strictly within 0 and `below`."""
    if not 1 <= len(values) <= n_max:
        yield f"{what} has {len(values)} values, must be 1 to {n_max}"
    if not all(0 < value < below for value in values) or list(values) != sorted(set(values)):
        yield f"{what} must rise strictly, within 0 and {below:g}"
