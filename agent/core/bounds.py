"""The core's hard sizes (law 5), and the spans of log time after which silence counts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Defaults are those of the configuration."""

    devices_max: int = 10_000
    batch_max: int = 512
    payload_bytes_max: int = 65_536
    device_id_bytes_max: int = 128
    tick_every_s: float = 1.0
    stale_after_s: float = 600.0
    forget_after_s: float = 30 * 86_400.0
