"""The pumps keep the books of nature: power, water and heat go somewhere, and wear only grows unless it is mended."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from trainer.data.history import Float64
from trainer.data.pumps.fleet import CHANNELS, measured
from trainer.data.pumps.life import (
    HOURS_MAX,
    PARTS,
    STEP_S,
    WEAR_RATES,
    Life,
    Plan,
    lives,
    machines,
    mortal,
    plan,
    run,
    tables,
)
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
    friction_of,
    has_failed,
    turn,
    warm,
    wear,
)

pytestmark = pytest.mark.slow

WORN = (("area", -1, "nothing"), ("thrust", 1, "bearings"), ("radial", 1, "bearings"), ("leak", 1, "seal"))
"""Condition, the sign of its wear, and what service mends it."""


def plans(n: int, seed: int = 7) -> list[Plan]:
    return [plan(np.random.default_rng((seed, number))) for number in range(n)]


def hour_of(loads: Load, hour: int) -> Load:
    return Load(*(getattr(loads, field.name)[:, hour] for field in fields(Load)))


def halfway(machine: Machine) -> Condition:
    """Half of all wear."""
    new, limit = as_new(machine), at_limit(machine)
    return Condition(*((getattr(new, f.name) + getattr(limit, f.name)) / 2 for f in fields(Condition)))


def turned(n: int = 50, steps: int = 200) -> tuple[Machine, Condition, list[tuple[Load, Motion, Heat]]]:
    """Half-worn pumps through `steps` steps of their loads, a new hour every other step."""
    some = plans(n)
    machine, (loads, _) = machines(some), tables(some)
    condition = halfway(machine)
    motion, heat = at_rest(hour_of(loads, 0))
    told = [(hour_of(loads, 0), motion, heat)]
    for step in range(steps):
        load = hour_of(loads, step // 2)
        motion = turn(machine, condition, load, motion, STEP_S)
        heat = warm(machine, condition, load, motion, heat, STEP_S)
        told.append((load, motion, heat))
    return machine, condition, told


def test_power_of_the_motor_goes_into_friction_water_and_the_turning_mass() -> None:
    """To 0.1 % of the energy of thirty hours; what is missing is the implicit step's own damping."""
    machine, condition, told = turned()
    gone: Float64 = np.zeros(50)
    came: Float64 = np.zeros(50)
    for _, motion, _ in told[1:]:
        water = (
            machine.a0 * motion.speed**2
            + machine.a1 * motion.speed * motion.flow
            - machine.a2 * motion.flow**2  # Daigle and Goebel's load torque, once more
        ) * motion.speed
        came += motion.torque * motion.speed * STEP_S
        gone += (water + friction_of(machine, condition) * motion.speed**2) * STEP_S
    first, last = told[1][1].speed, told[-1][1].speed
    stored = machine.inertia * (last**2 - first**2) / 2
    assert came == pytest.approx(gone + stored, rel=1e-3)
    for load, motion, _ in told[1:]:
        useful = (motion.discharge - load.suction) * motion.out
        through = (motion.discharge - load.suction) * motion.flow
        assert (useful < through).all()
        assert (through < 0.95 * motion.load_torque * motion.speed).all(), "no pump is better than its shaft"
        assert (motion.torque * load.drive > motion.torque * motion.speed).all(), "an induction motor slips"


def test_water_is_neither_made_nor_lost_and_obeys_pump_pipe_and_gap() -> None:
    machine, condition, told = turned()
    for load, motion, _ in told[2::2]:  # the second step of each hour, when the passes have met
        assert motion.flow == pytest.approx(motion.out + motion.leak, rel=1e-12)
        assert (motion.leak > 0).all()
        assert (motion.out > 0).all()
        rise = motion.discharge - load.suction
        assert motion.discharge == pytest.approx(load.static + load.resistance * motion.out**2, rel=1e-3)
        assert motion.leak == pytest.approx(condition.leak * np.sqrt(rise), rel=1e-3)
        pump = condition.area * motion.speed**2 + machine.b * motion.speed * motion.flow
        assert (motion.flow / machine.c) ** 2 == pytest.approx(pump - rise, rel=2e-3)


def test_heat_of_friction_warms_bearings_and_oil_or_leaves_into_the_air() -> None:
    machine, condition, told = turned()
    came: Float64 = np.zeros(50)
    left: Float64 = np.zeros(50)
    for (_, _, heat), (load, motion, _) in pairwise(told):
        bearings = machine.thrust_sound + condition.thrust + machine.radial_sound + condition.radial
        came += STEP_S * bearings * motion.speed**2
        left += STEP_S * machine.thrust_air * (heat.thrust - load.ambient)
        left += STEP_S * machine.radial_air * (heat.radial - load.ambient)
        left += STEP_S * machine.oil_air * (heat.oil - load.ambient)
    first, last = told[0][2], told[-1][2]
    stored = (
        machine.mc_thrust * (last.thrust - first.thrust)
        + machine.mc_radial * (last.radial - first.radial)
        + machine.mc_oil * (last.oil - first.oil)
    )
    assert came == pytest.approx(left + stored, rel=1e-9)
    assert (last.thrust > last.oil).all()
    assert (last.radial > last.oil).all()


def test_a_bearing_warms_up_over_hours() -> None:
    """Thermal lag: after a jump of speed the thrust bearing is half-way within 0.5 to 4 hours."""
    some = plans(1)
    machine, (loads, _) = machines(some), tables(some)
    slow = replace(hour_of(loads, 0), drive=np.array([270.0]))
    fast = replace(slow, drive=np.array([370.0]))
    motion, heat = at_rest(slow)
    told = []
    for step in range(800):
        load = slow if step < 400 else fast
        motion = turn(machine, as_new(machine), load, motion, STEP_S)
        heat = warm(machine, as_new(machine), load, motion, heat, STEP_S)
        told.append(float(heat.thrust[0]))
    halfway_up = (told[399] + told[-1]) / 2
    lag_h = (next(step for step in range(400, 800) if told[step] > halfway_up) - 400) * STEP_S / 3600
    assert told[-1] > told[399] + 10
    assert 0.5 < lag_h < 4


def test_wear_follows_the_laws() -> None:
    """Against the closed forms: area falls with flow^2, and what feeds itself grows as an exponential."""
    some = plans(4)
    machine, (loads, _) = machines(some), tables(some)
    motion, _ = at_rest(hour_of(loads, 0))
    motion = turn(machine, as_new(machine), hour_of(loads, 0), motion, STEP_S)
    full = Attack(*(np.full(4, 0.5) for _ in PARTS))
    condition = new = as_new(machine)
    for _ in range(300):
        leak = condition.leak * np.sqrt(motion.discharge - hour_of(loads, 0).suction)
        condition = wear(machine, condition, full, replace(motion, leak=leak), STEP_S)
    exposure_s = 0.5 * 300 * STEP_S
    turned2 = motion.speed**2 * exposure_s
    assert new.area - condition.area == pytest.approx(machine.wear_area * motion.flow**2 * exposure_s)
    assert np.log(condition.thrust / new.thrust) == pytest.approx(machine.wear_thrust * turned2, rel=2e-3)
    assert np.log(condition.radial / new.radial) == pytest.approx(machine.wear_radial * turned2, rel=2e-3)
    root = np.sqrt(motion.discharge - hour_of(loads, 0).suction)
    assert np.log(condition.leak / new.leak) == pytest.approx(machine.wear_leak * root * exposure_s, rel=2e-3)


@pytest.mark.parametrize("part", ["area", "thrust", "radial", "leak"])
def test_the_first_limit_reached_is_the_failure(part: str) -> None:
    machine = machines(plans(3))
    limit, condition = getattr(at_limit(machine), part), halfway(machine)
    assert not has_failed(machine, condition).any()
    beyond = np.where([True, False, True], limit, getattr(condition, part))
    assert has_failed(machine, replace(condition, **{part: beyond})).tolist() == [True, False, True]


def test_wear_only_grows_between_services_and_a_service_undoes_a_part_of_it() -> None:
    undone = 0
    for life in lives(80, 3):
        for name, sign, of in (
            ("area", -1, ""),
            ("thrust", 1, "bearings"),
            ("radial", 1, "bearings"),
            ("leak", 1, "seal"),
        ):
            steps = sign * np.diff(getattr(life.condition, name))
            falls = np.flatnonzero(steps < 0).tolist()
            if life.plan.serviced == of and life.plan.service_hour < len(steps):
                assert falls == [life.plan.service_hour - 1]
                undone += 1
            else:
                assert falls == []
    assert undone > 20


def test_no_pump_outlives_the_longest_life_however_slowly_it_would_wear() -> None:
    lasting = [
        replace(one, machine=one.machine | {rate: one.machine[rate] / 10 for rate in WEAR_RATES.values()})
        for one in plans(60)
    ]
    loads, attacks = tables(lasting)
    mended = run(mortal(lasting, loads, attacks), loads, attacks)
    assert max(life.t_fail_h for life in mended) <= HOURS_MAX
    assert min(life.t_fail_h for life in mended) > HOURS_MAX * 0.6, "the floor of the rate is not a cut"
    assert all(np.isinf(life.t_fail_h) for life in run(lasting, loads, attacks))
    assert {one.first for one in lasting} == set(PARTS)
    assert {one.serviced for one in lasting} == {"none", "bearings", "seal"}


def beside_sound_twins(n: int, seed: int) -> list[tuple[Life, Life]]:
    """Pumps, and the same ones under the same load without any wear."""
    loads, attacks = tables(some := plans(n, seed))
    some = mortal(some, loads, attacks)
    sound = Attack(*(np.zeros_like(loads.drive) for _ in PARTS))
    return list(zip(run(some, loads, attacks), run(some, loads, sound), strict=True))


def test_load_moves_each_channel_more_than_wear_until_the_last_tenth_of_life() -> None:
    """Wear is what a channel differs by from that of the sound twin, load the deviation of the twin's own channel."""
    early, late = [], []
    for worn, sound in beside_sound_twins(100, 21):
        ideal, rows = measured(worn), len(worn.heat.oil)
        twin = measured(sound)[:rows]
        wear_by_load = np.abs(ideal - twin) / twin.std(axis=0)
        tenth = rows - rows // 10
        early.append(wear_by_load[tenth - 12 : tenth].mean(axis=0))
        late.append(wear_by_load[-12:].mean(axis=0))
    at_a_tenth = dict(zip((channel.name for channel in CHANNELS), np.mean(early, axis=0).tolist(), strict=True))
    assert max(at_a_tenth.values()) < 1, at_a_tenth
    assert np.mean(list(at_a_tenth.values())) < 0.4
    assert np.median(np.max(late, axis=1)) > 1.5, "at the end it shows"
