"""Recipes: what a source needs for what well-known publishers send, with messages as they send them.

A folder of tests/data/recipes is one: `source.toml` with the configuration, `messages.json` with topics, payloads (a
text, or JSON as it is) and the readings that must come of each. `docs/sources_page.py` makes a table of them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from agent.config.load import load
from agent.config.plan import plan
from agent.decode.intake import Intake
from agent.values.times import text_time_ns

RECIPES = sorted((Path(__file__).parents[2] / "data" / "recipes").iterdir())
ARRIVED_NS = 1_800_000_000 * 10**9


def payload_of(message):
    found = message["payload"]
    return (found if isinstance(found, str) else json.dumps(found)).encode()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_reads_what_its_publisher_sends(recipe, tmp_path):
    """Through the configuration as it stands, checked without a problem."""
    configuration = tmp_path / "forewarn.toml"
    configuration.write_text('[agent]\nnode = "n"\n' + (recipe / "source.toml").read_text())
    planned = plan(load(configuration, {}), {})
    (source,), (names,) = planned.sources, planned.names
    intake = Intake([source], payload_bytes_max=65_536, device_id_bytes_max=128)
    for message in json.loads((recipe / "messages.json").read_text()):
        readings = intake.read([message["topic"]], [payload_of(message)], np.array([ARRIVED_NS]))
        found = [
            (device, t_ns, {name: value for name, value in zip(names, x, strict=True) if not np.isnan(value)})
            for device, t_ns, x in zip(readings.device, readings.t_ns.tolist(), readings.x, strict=True)
        ]
        wanted = [
            (
                one["device"],
                text_time_ns(one["time"]) if one["time"] else ARRIVED_NS,
                {name: np.float32(value) for name, value in one["channels"].items()},
            )
            for one in message["readings"]
        ]
        assert found == wanted
        reasons = {group.reason for group in readings.drops}
        assert reasons <= ({"missing_channel"} if wanted else {"no_channels", "extra_topic"})
