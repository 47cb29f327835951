"""The lives of a fleet's pumps: constants, load and wear of each are drawn, then all run side by side until they fail.

A pump is drawn from (fleet seed, its number) alone, so it is the same in a fleet of any size. None outlives `HOURS_MAX`
and none is cut short: the part that is to fail first wears fast enough to fail by then even if
the pump, already worn out, did the least work that its plan asks for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

import numpy as np

from agent.words import Bool
from trainer.data.history import Float64
from trainer.data.pumps.load import blocks, planned
from trainer.data.pumps.physics import (
    Attack,
    Condition,
    Heat,
    Load,
    Machine,
    Motion,
    as_new,
    at_limit,
    at_rest,
    has_failed,
    turn,
    warm,
    wear,
)

Part = Literal["impeller", "thrust", "radial", "seal"]
Serviced = Literal["none", "bearings", "seal"]
PARTS: tuple[Part, ...] = ("impeller", "thrust", "radial", "seal")

Table = TypeVar("Table", Load, Attack)

HOURS_MAX = 800
HOUR_S = 3600.0
STEPS_PER_HOUR = 6
SAFETY = 1.02
"""Explicit steps let damage that feeds itself grow a little slower than its rate says."""

STEP_S = HOUR_S / STEPS_PER_HOUR
NAMES = tuple(field.name for field in fields(Machine))
WEAR_RATES: Mapping[Part, str] = {
    "impeller": "wear_area",
    "thrust": "wear_thrust",
    "radial": "wear_radial",
    "seal": "wear_leak",
}
MEANS = tuple(
    (name, field.name)
    for name, of in (("condition", Condition), ("motion", Motion), ("heat", Heat))
    for field in fields(of)
)
"""What is kept of every hour, as (struct, field)."""

ONSET_H = (60, 500)
"""When what wears the first part out begins: a torn strainer, dirt in the oil, a cut in the seal's face."""
PROGRESS_H = (90.0, 140.0)
"""From a new part to its limit under full attack and the reference load."""
SOUND = (0.04, 0.14)
"""Attack on a part before its onset, and on the parts that have none."""
UNEVEN = (0.8, 1.2)
"""Attack once it has begun, for a day or some at a time."""
REFERENCE = (0.0081, 105e3, 105e3, 680.0)
"""Mean of what wears the parts: flow^2 in (m^3/s)^2, speed^2 in (rad/s)^2 twice, the root of the pressure in Pa."""

SERVICED_SHARE = 0.3
SERVICE_HOURS = (60, 260)
UNDONE = 0.6
"""Share of the damage that a service of the bearings or of the seal undoes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is drawn of one pump before it runs: `machine` by field, `load` and `attack` as float64 [HOURS_MAX].

    first_hour    hour of the week in which it is started
    first         the part that is to fail first under the reference load
    serviced      what is serviced at the begin of hour `service_hour`
    """

    machine: dict[str, float]
    load: Load
    attack: Attack
    first_hour: int
    first: Part
    serviced: Serviced
    service_hour: int


@dataclass(frozen=True, slots=True)
class Life:
    """One pump from its start to its failure, hour by hour.

    load, condition, motion, heat  float64 [T] in each field: the hour's load, and means over the hour
    t_fail_h                       hours from the start, within the hour after the last row; infinite if it did not
    """

    plan: Plan
    load: Load
    condition: Condition
    motion: Motion
    heat: Heat
    t_fail_h: float


def lives(n: int, fleet_seed: int) -> list[Life]:
    """Pumps 0 to n - 1 of a fleet."""
    plans = [plan(np.random.default_rng((fleet_seed, number))) for number in range(n)]
    loads, attacks = tables(plans)
    return run(mortal(plans, loads, attacks), loads, attacks)


def tables(plans: Sequence[Plan]) -> tuple[Load, Attack]:
    """Loads and attacks side by side, float64 [n, HOURS_MAX] in each field."""
    loads = Load(*(np.stack([getattr(one.load, field.name) for one in plans]) for field in fields(Load)))
    attacks = Attack(*(np.stack([getattr(one.attack, part) for one in plans]) for part in PARTS))
    return loads, attacks


def plan(rng: np.random.Generator) -> Plan:
    """Draw one pump."""

    def near(value: float, spread: float) -> float:
        return value * math.exp(spread * float(np.clip(rng.standard_normal(), -2.5, 2.5)))

    machine = {
        "a0": near(1.49204e-3, 0.01),
        "a1": near(5.77703, 0.01),
        "a2": 9179.4,
        "b": 17984.6,
        "c": near(8.24123e-5, 0.01),
        "inertia": 50.0,
        "friction": near(8e-3, 0.2),
        "motor": near(45.0, 0.1),
        "area_new": near(12.7084, 0.01),
        "area_limit": 9.5,
        "thrust_sound": near(1.4e-3, 0.06),
        "thrust_first": near(2e-5, 0.3),
        "thrust_limit": 0.7e-3,
        "radial_sound": near(1.8e-3, 0.06),
        "radial_first": near(3e-5, 0.3),
        "radial_limit": 1.0e-3,
        "leak_new": near(2.7e-6, 0.15),
        "leak_limit": 3.0e-5,
        "mc_thrust": near(40e3, 0.1),
        "mc_radial": near(40e3, 0.1),
        "mc_oil": near(120e3, 0.1),
        "thrust_air": near(3.4, 0.05),
        "thrust_oil": near(2.6, 0.05),
        "radial_air": near(1.8, 0.05),
        "radial_oil": near(20.0, 0.05),
        "oil_air": near(10.0, 0.05),
    }
    for part, demand, reference in zip(PARTS, demands(machine), REFERENCE, strict=True):
        machine[WEAR_RATES[part]] = demand / (reference * HOUR_S * rng.uniform(*PROGRESS_H))
    first, onset_h = PARTS[rng.integers(len(PARTS))], int(rng.integers(*ONSET_H))
    attack = {part: np.full(HOURS_MAX, rng.uniform(*SOUND)) for part in PARTS}
    attack[first][onset_h:] = blocks(rng, HOURS_MAX - onset_h, (12, 72), UNEVEN)
    serviced: Serviced = "none"
    if rng.random() < SERVICED_SHARE:
        serviced = "bearings" if rng.random() < 0.5 else "seal"
    first_hour = int(rng.integers(168))
    return Plan(
        machine=machine,
        load=planned(rng, first_hour, HOURS_MAX),
        attack=Attack(**attack),
        first_hour=first_hour,
        first=first,
        serviced=serviced,
        service_hour=int(rng.integers(*SERVICE_HOURS)),
    )


def demands(machine: Mapping[str, float]) -> tuple[float, float, float, float]:
    """What wears each part out once, rate times exposure: the laws of `wear`, integrated from new to the limit."""
    return (
        machine["area_new"] - machine["area_limit"],
        math.log(machine["thrust_limit"] / machine["thrust_first"]),
        math.log(machine["radial_limit"] / machine["radial_first"]),
        math.log(machine["leak_limit"] / machine["leak_new"]),
    )


def mortal(plans: Sequence[Plan], load: Load, attack: Attack) -> list[Plan]:
    """The same plans, the first part's rate raised where it might outlive `HOURS_MAX`, what a service undoes included.

    A worn impeller passes the least water; a worn seal as well leaves the least pressure; worn bearings turn slowest.
    """
    machine = machines(plans, np.newaxis)
    worn = at_limit(machine)
    start, _ = at_rest(load)
    no_leak = replace(worn, leak=np.zeros_like(worn.leak))
    dry, leaky = (turn(machine, condition, load, start, math.inf) for condition in (no_leak, worn))
    least = (
        attack.impeller * dry.flow * dry.flow,
        attack.thrust * leaky.speed * leaky.speed,
        attack.radial * leaky.speed * leaky.speed,
        attack.seal * np.sqrt(leaky.discharge - load.suction),
    )
    exposure = HOUR_S * np.stack([rate[:, : HOURS_MAX - 1].sum(axis=1) for rate in least])  # [parts, n]
    faster = []
    for number, plan in enumerate(plans):
        part = PARTS.index(plan.first)
        demand = SAFETY * demands(plan.machine)[part]
        if plan.first != "impeller" and plan.serviced == ("seal" if plan.first == "seal" else "bearings"):
            demand -= math.log(1 - UNDONE)
        rate = WEAR_RATES[plan.first]
        raised = max(plan.machine[rate], demand / float(exposure[part, number]))
        faster.append(replace(plan, machine=plan.machine | {rate: raised}))
    return faster


def machines(plans: Sequence[Plan], *axes: None) -> Machine:
    """Their constants as columns [n], or [n, 1] to stand beside tables by hour."""
    return Machine(*(np.array([one.machine[name] for one in plans])[(..., *axes)] for name in NAMES))


def run(plans: Sequence[Plan], loads: Load, attacks: Attack) -> list[Life]:
    """Run all pumps from new until the last has failed, or for HOURS_MAX; wear of one that has failed stands still."""
    machine, n = machines(plans), len(plans)
    condition = as_new(machine)
    motion, heat = at_rest(at_hour(loads, 0))
    rows = np.empty((HOURS_MAX, len(MEANS), n))
    t_fail_h = np.full(n, math.inf)
    for hour in range(HOURS_MAX):
        load, attack = at_hour(loads, hour), at_hour(attacks, hour)
        condition = serviced_at(hour, plans, machine, condition)
        total = np.zeros((len(MEANS), n))
        for step in range(STEPS_PER_HOUR):
            motion = turn(machine, condition, load, motion, STEP_S)
            heat = warm(machine, condition, load, motion, heat, STEP_S)
            total += values(condition, motion, heat)
            condition = kept_where(np.isfinite(t_fail_h), condition, wear(machine, condition, attack, motion, STEP_S))
            failed = has_failed(machine, condition) & np.isinf(t_fail_h)
            t_fail_h[failed] = hour + (step + 1) / STEPS_PER_HOUR
        rows[hour] = total / STEPS_PER_HOUR
        if np.isfinite(t_fail_h).all():
            break
    return [life_of(one, rows[:, :, number], float(t_fail_h[number])) for number, one in enumerate(plans)]


def life_of(plan: Plan, rows: Float64, t_fail_h: float) -> Life:
    """Cut one pump's means [hours, MEANS] at the last whole hour before its failure."""
    hours = HOURS_MAX if math.isinf(t_fail_h) else math.ceil(t_fail_h) - 1
    means = dict(zip(MEANS, rows[:hours].T, strict=True))
    return Life(
        plan=plan,
        load=Load(*(getattr(plan.load, field.name)[:hours] for field in fields(Load))),
        condition=Condition(*(means["condition", field.name] for field in fields(Condition))),
        motion=Motion(*(means["motion", field.name] for field in fields(Motion))),
        heat=Heat(*(means["heat", field.name] for field in fields(Heat))),
        t_fail_h=t_fail_h,
    )


def values(condition: Condition, motion: Motion, heat: Heat) -> Float64:
    """float64 [MEANS, n]"""
    return np.stack([getattr({"condition": condition, "motion": motion, "heat": heat}[of], name) for of, name in MEANS])


def at_hour(table: Table, hour: int) -> Table:
    """One hour of a table whose fields are float64 [n, hours]."""
    return type(table)(*(getattr(table, field.name)[:, hour] for field in fields(table)))


def kept_where(stands: Bool, before: Condition, after: Condition) -> Condition:
    names = [field.name for field in fields(Condition)]
    return Condition(*(np.where(stands, getattr(before, name), getattr(after, name)) for name in names))


def serviced_at(hour: int, plans: Sequence[Plan], machine: Machine, condition: Condition) -> Condition:
    """The condition after the services planned for the begin of `hour`."""
    bearings, seal = (
        np.array([UNDONE if (one.serviced, one.service_hour) == (part, hour) else 0.0 for one in plans])
        for part in ("bearings", "seal")
    )
    return replace(
        condition,
        thrust=condition.thrust * (1 - bearings),
        radial=condition.radial * (1 - bearings),
        leak=condition.leak - seal * (condition.leak - machine.leak_new),
    )
