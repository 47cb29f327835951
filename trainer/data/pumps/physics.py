"""A centrifugal pump: speed, pressures, flows, bearing and oil temperatures, and the wear that ends it.

The equations are those of Daigle and Goebel, "Model-based prognostics under limited sensing" (IEEE Aerospace 2010) and
"Multiple damage progression paths in model-based prognostics" (IEEE Aerospace 2011); docs/pumps.md writes them out and
says where a constant is not the published one. SI units throughout. What is below is sums, products, quotients and
square roots of arrays, element by element, so that a pump comes out the same to the bit whoever is beside it.
"""

from dataclasses import dataclass

import numpy as np

from agent.words import Bool
from trainer.data.history import Float64

ITERATIONS = 3
"""Speed, flow and leakage depend on each other; a pass leaves a twentieth of the error that the last step left."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Constants of pumps, float64 [n] each."""

    a0: Float64  # N m s^2, of the load torque a0 w^2 + a1 w Q - a2 Q^2
    a1: Float64  # N s^2/m^2
    a2: Float64  # N s^2/m^5
    b: Float64  # Pa s^2/m^3, of the pump pressure A w^2 + b w Q
    c: Float64  # m^3/s/sqrt(Pa), pump flow coefficient
    inertia: Float64  # kg m^2, impeller, shaft and motor
    friction: Float64  # N m s, all but the two bearings'
    motor: Float64  # N m s, torque per slip in rad/s: the linear part of an induction motor's curve
    area_new: Float64  # Pa s^2, "impeller area" A
    area_limit: Float64
    thrust_sound: Float64  # N m s, friction coefficient of the thrust bearing without damage
    thrust_first: Float64  # N m s, what damage adds to it at first
    thrust_limit: Float64  # N m s, and at most
    radial_sound: Float64
    radial_first: Float64
    radial_limit: Float64
    leak_new: Float64  # m^3/s/sqrt(Pa), area of the internal leakage times its flow coefficient
    leak_limit: Float64
    mc_thrust: Float64  # J/K, heat capacities
    mc_radial: Float64
    mc_oil: Float64
    thrust_air: Float64  # W/K, conductances
    thrust_oil: Float64
    radial_air: Float64
    radial_oil: Float64
    oil_air: Float64
    wear_area: Float64  # dA/dt = -w Q^2
    wear_thrust: Float64  # dr/dt = w r omega^2, 1/(rad^2/s)
    wear_radial: Float64
    wear_leak: Float64  # da/dt = w Q_leak


@dataclass(frozen=True, slots=True)
class Load:
    """What plant and weather ask of the pumps, float64 [n] each (the planner keeps whole tables [n, hours])."""

    drive: Float64  # rad/s, speed of the motor's field
    resistance: Float64  # Pa s^2/m^6, of pipes and valves behind the pump
    static: Float64  # Pa, discharge pressure without flow
    suction: Float64  # Pa
    ambient: Float64  # degC


@dataclass(frozen=True, slots=True)
class Attack:
    """How hard the parts are worn, float64 [n] each: 1 is full wear, by solids in the water or dirt in the oil."""

    impeller: Float64
    thrust: Float64
    radial: Float64
    seal: Float64


@dataclass(frozen=True, slots=True)
class Condition:
    """How worn pumps are, float64 [n] each."""

    area: Float64  # Pa s^2
    thrust: Float64  # N m s, what damage adds to the friction of the bearing
    radial: Float64  # N m s
    leak: Float64  # m^3/s/sqrt(Pa)


@dataclass(frozen=True, slots=True)
class Motion:
    """How pumps turn and what flows, float64 [n] each."""

    speed: Float64  # rad/s
    torque: Float64  # N m, of the motor
    load_torque: Float64  # N m, of the water
    flow: Float64  # m^3/s, through the impeller
    leak: Float64  # m^3/s, of it back to the suction side
    out: Float64  # m^3/s, of it into the pipes
    discharge: Float64  # Pa


@dataclass(frozen=True, slots=True)
class Heat:
    """Temperatures, float64 [n] each, degC."""

    thrust: Float64
    radial: Float64
    oil: Float64


def as_new(machine: Machine) -> Condition:
    return Condition(machine.area_new, machine.thrust_first, machine.radial_first, machine.leak_new)


def at_limit(machine: Machine) -> Condition:
    return Condition(machine.area_limit, machine.thrust_limit, machine.radial_limit, machine.leak_limit)


def at_rest(load: Load) -> tuple[Motion, Heat]:
    """Before the start: the speed asked for, no flow, everything as warm as the air."""
    none = np.zeros_like(load.drive)
    return Motion(load.drive, none, none, none, none, none, load.static), Heat(load.ambient, load.ambient, load.ambient)


def turn(machine: Machine, condition: Condition, load: Load, before: Motion, dt_s: float) -> Motion:
    """Speed and flows `dt_s` seconds later, by an implicit step: I dw/dt = T_motor - r w - T_load.

    The water's own inertia (seconds) is neglected: its flow solves (Q / c)^2 = A w^2 + b w Q + p_suction - p_discharge
    with the pipes' p_discharge = p_static + k (Q - Q_leak)^2, and Q_leak = a sqrt(p_discharge - p_suction).
    """
    speed, leak = before.speed, before.leak
    inertia = machine.inertia / dt_s
    friction = friction_of(machine, condition)
    for _ in range(ITERATIONS):
        square = 1 / (machine.c * machine.c) + load.resistance
        half = (machine.b * speed + 2 * load.resistance * leak) / 2
        head = condition.area * speed * speed + load.suction - load.static - load.resistance * leak * leak
        flow = (half + np.sqrt(np.maximum(half * half + square * head, 0))) / square
        out = flow - leak
        discharge = load.static + load.resistance * out * out
        leak = condition.leak * np.sqrt(np.maximum(discharge - load.suction, 0))
        load_torque = (machine.a0 * speed + machine.a1 * flow) * speed - machine.a2 * flow * flow
        driving = machine.motor * load.drive + inertia * before.speed - load_torque
        speed = driving / (machine.motor + inertia + friction)
    return Motion(speed, machine.motor * (load.drive - speed), load_torque, flow, leak, flow - leak, discharge)


def friction_of(machine: Machine, condition: Condition) -> Float64:
    """Friction torque per speed, N m s, of bearings and all else."""
    bearings = machine.thrust_sound + condition.thrust + machine.radial_sound + condition.radial
    return machine.friction + bearings


def warm(machine: Machine, condition: Condition, load: Load, motion: Motion, heat: Heat, dt_s: float) -> Heat:
    """Temperatures `dt_s` seconds later: friction r w^2 heats a bearing, air and oil cool it, and air the oil."""
    square = motion.speed * motion.speed
    thrust_to_oil = machine.thrust_oil * (heat.thrust - heat.oil)
    radial_to_oil = machine.radial_oil * (heat.radial - heat.oil)
    thrust_in = (machine.thrust_sound + condition.thrust) * square
    thrust_out = machine.thrust_air * (heat.thrust - load.ambient) + thrust_to_oil
    radial_in = (machine.radial_sound + condition.radial) * square
    radial_out = machine.radial_air * (heat.radial - load.ambient) + radial_to_oil
    oil_out = machine.oil_air * (heat.oil - load.ambient)
    return Heat(
        thrust=heat.thrust + dt_s / machine.mc_thrust * (thrust_in - thrust_out),
        radial=heat.radial + dt_s / machine.mc_radial * (radial_in - radial_out),
        oil=heat.oil + dt_s / machine.mc_oil * (thrust_to_oil + radial_to_oil - oil_out),
    )


def wear(machine: Machine, condition: Condition, attack: Attack, motion: Motion, dt_s: float) -> Condition:
    """Condition `dt_s` seconds later.

    The impeller loses area with the square of its flow; the damage of a bearing grows with itself and w^2. The seal's
    gap is washed out by what leaks through it, so that it too speeds up its own wear; this law is ours.
    """
    square = motion.speed * motion.speed
    return Condition(
        area=condition.area - dt_s * attack.impeller * machine.wear_area * motion.flow * motion.flow,
        thrust=condition.thrust + dt_s * attack.thrust * machine.wear_thrust * condition.thrust * square,
        radial=condition.radial + dt_s * attack.radial * machine.wear_radial * condition.radial * square,
        leak=condition.leak + dt_s * attack.seal * machine.wear_leak * motion.leak,
    )


def has_failed(machine: Machine, condition: Condition) -> Bool:
    """bool [n]: the first limit is reached."""
    bearing = (condition.thrust >= machine.thrust_limit) | (condition.radial >= machine.radial_limit)
    return bearing | (condition.area <= machine.area_limit) | (condition.leak >= machine.leak_limit)
