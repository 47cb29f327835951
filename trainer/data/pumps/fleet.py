"""A simulated fleet of centrifugal pumps that run to failure: what `data.dataset = "pumps"` trains on.

A row is the mean of an hour at its end, as a plant's historian keeps it: nine channels in engineering units, with
noise, lasting errors of the sensors, missing values and gaps in time. How the pumps live is in `life.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from agent.table.lives.section import Channels, Margin, Section
from agent.words import Float32
from trainer.data.history import ChannelInfo, Float64, History, columns_of
from trainer.data.pumps.life import HOUR_S, Life, lives
from trainer.data.section import Subject

CHANNELS: tuple[ChannelInfo, ...] = (
    ChannelInfo("speed", "rpm", "shaft speed"),
    ChannelInfo("suction_pressure", "kPa", "absolute pressure before the pump"),
    ChannelInfo("discharge_pressure", "kPa", "absolute pressure behind the pump"),
    ChannelInfo("flow", "m3/h", "flow into the pipes"),
    ChannelInfo("power", "kW", "electrical power of the motor"),
    ChannelInfo("thrust_bearing", "degC", "temperature of the thrust bearing"),
    ChannelInfo("radial_bearing", "degC", "temperature of the radial bearing"),
    ChannelInfo("oil", "degC", "temperature of the bearings' oil"),
    ChannelInfo("ambient", "degC", "temperature of the air"),
)
NOISE: Float64 = np.array([4.0, 2.0, 5.0, 2.5, 0.7, 0.4, 0.4, 0.3, 0.3])
"""Standard deviation of an hour's mean by channel, in its unit."""
OFFSET: Float64 = np.array([3.0, 1.0, 3.0, 1.5, 0.5, 0.4, 0.4, 0.4, 0.4])
"""Standard deviation of a sensor's lasting error by channel, in its unit."""

EPOCH_S = 1_704_067_200.0
"""2024-01-01T00:00:00Z; the pumps are started in the week from then on."""
MOTOR_EFFICIENCY = 0.93
MISSING_SHARE = 0.002
HOURS_PER_OUTAGE = 400
"""A sensor says nothing for 3 to 23 hours."""
HOURS_PER_GAP = 300
"""No row arrives for 1 to 11 hours."""
COMPLETE_ROWS = 12
"""The last rows before a failure have no gap, so that every failure can be judged."""


class Pumps(Section):
    """The simulated pump fleet; as many pumps as `split` deals out."""

    dataset: Literal["pumps"]
    fleet_seed: int = Field(default=0, ge=0, description="Another seed, another fleet.")
    channels: Channels
    out_of_domain_margin: Margin = 0.25

    @property
    def counts(self) -> Literal["s", "cycle"]:
        return "s"

    @property
    def lies_beside_config(self) -> bool:
        return False

    @property
    def subject(self) -> Subject:
        return Subject(
            failure="centrifugal pump failure",
            row="an hour",
            source=f"The simulated pump fleet {self.fleet_seed} (docs/pumps.md): pumps that run to failure",
            device="pump",
            every="an hour",
            first="start",
            test_set="",
            not_for="Real pumps, or faults that are not simulated: the data is.",
            reset="Pumps whose worn part is replaced without their state being reset: a service undid 60 % at most.",
        )

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        return histories(n_devices, self.fleet_seed, channels)

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        return {}

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        return tuple(CHANNELS[column] for column in columns_of(channels, CHANNELS))


def histories(n: int, fleet_seed: int, names: Sequence[str]) -> list[History]:
    """Pumps 1 to n of a fleet with the named channels, all run to failure. Raises DataRefused for an unknown name."""
    columns = columns_of(names, CHANNELS)
    return [recorded(number, fleet_seed, life, columns) for number, life in enumerate(lives(n, fleet_seed))]


def recorded(number: int, fleet_seed: int, life: Life, columns: Sequence[int]) -> History:
    """What the historian kept of one pump."""
    rng = np.random.default_rng((fleet_seed, number, 1))
    x = measured(life)
    x += NOISE * rng.standard_normal(x.shape) + OFFSET * rng.standard_normal(len(OFFSET))
    hours = len(x)
    x[rng.random(x.shape) < MISSING_SHARE] = np.nan
    for _ in range(rng.poisson(hours / HOURS_PER_OUTAGE)):
        first, channel = rng.integers(hours), rng.integers(len(CHANNELS))
        x[first : first + rng.integers(3, 24), channel] = np.nan
    kept = np.ones(hours, np.bool_)
    for _ in range(rng.poisson(hours / HOURS_PER_GAP)):
        first = rng.integers(1, hours - COMPLETE_ROWS)
        kept[first : min(first + rng.integers(1, 12), hours - COMPLETE_ROWS)] = False
    start_s = EPOCH_S + HOUR_S * life.plan.first_hour
    t_s = (start_s + HOUR_S * (1 + np.flatnonzero(kept))).astype(np.float64)
    rows: Float32 = x[kept][:, columns].astype(np.float32)
    return History(f"pump-{number + 1:04d}", t_s, rows, start_s + HOUR_S * life.t_fail_h)


def measured(life: Life) -> Float64:
    """float64 [T, F]: what ideal sensors would show, in the order and units of `CHANNELS`."""
    power = life.motion.torque * life.load.drive / MOTOR_EFFICIENCY
    return np.stack(
        [
            life.motion.speed * 30 / np.pi,
            life.load.suction / 1e3,
            life.motion.discharge / 1e3,
            life.motion.out * 3600,
            power / 1e3,
            life.heat.thrust,
            life.heat.radial,
            life.heat.oil,
            life.load.ambient,
        ],
        axis=1,
    )
