"""What the recipes' publishers send, guessed: what comes out right as it is, and what does not, by name."""

import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from agent.decode.intake import Intake
from agent.sample.guess import guesses_of
from agent.sample.traffic import Message, Traffic
from agent.sample.trial import source_of
from agent.values.times import text_time_ns
from tests.unit.config.test_recipes import ARRIVED_NS, RECIPES, payload_of

OTHERWISE = {
    ("the-things-network", "devices"): "named without its application, of which only one was heard",
    ("the-things-network", "times"): "of two times of receipt, 0.2 s apart, the outer one is taken",
    ("tasmota", "times"): "local times of summer and winter in one sample, as no clock has them at once",
}
"""What the guess of a recipe has otherwise."""


def outcome(recipe: Path) -> dict[str, bool]:
    """Whether the readings that the recipe wants come of the guess: their times, values and devices."""
    messages = json.loads((recipe / "messages.json").read_text())
    fields = recipe_fields((recipe / "source.toml").read_text())
    traffic = Traffic()
    for message in messages:
        times = [text_time_ns(one["time"]) for one in message["readings"] if one["time"]]
        traffic.add(Message(message["topic"], payload_of(message), max(times, default=ARRIVED_NS), False))
    sources = [source_of(one.settings) for one in guesses_of(traffic, 20.0).sources]
    result = {"times": True, "values": True, "devices": True}
    for message in messages:
        intake = Intake(sources, payload_bytes_max=65_536, device_id_bytes_max=128)
        readings = intake.read([message["topic"]], [payload_of(message)], np.array([ARRIVED_NS]))
        read = {}
        for device, t_ns, at, x in zip(readings.device, readings.t_ns, readings.source, readings.x, strict=True):
            values = {
                field: value for field, value in zip(sources[at].fields, x, strict=False) if not math.isnan(value)
            }
            read.setdefault(device.rpartition("/")[2], []).append((device, int(t_ns), values))
        for wanted in message["readings"]:
            own = read.get(wanted["device"].rpartition("/")[2], [])
            t_ns = text_time_ns(wanted["time"]) if wanted["time"] else ARRIVED_NS
            found = next((one for one in own if one[1] == t_ns), None)
            result["times"] &= found is not None
            if found is not None:
                got = {name: found[2].get(fields[name]) for name in wanted["channels"]}
                result["values"] &= got == {name: np.float32(one) for name, one in wanted["channels"].items()}
            result["devices"] &= wanted["device"] in {one[0] for one in own}
    return result


def recipe_fields(text: str) -> dict[str, str]:
    (source,) = tomllib.loads(text)["source"]
    return {name: one if isinstance(one, str) else one["field"] for name, one in source["channels"].items()}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_is_guessed(recipe):
    """The values of every channel, its time and its device, whatever else the guess reads; but for OTHERWISE."""
    right = {name: (recipe.name, name) not in OTHERWISE for name in ("times", "values", "devices")}
    assert outcome(recipe) == right
