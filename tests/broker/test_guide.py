"""docs/guide.md, followed: its own configuration and commands, up to the first score and the warning."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.bundle.manifest import Cadence
from agent.cli import main
from tests.broker.schemas import faults
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "guide.md").read_text(), re.MULTILINE | re.DOTALL)
(CONFIGURATION,) = [text for kind, text in BLOCKS if kind == "toml"]
CHANNELS = ("thrust_bearing", "radial_bearing", "oil")
PLAY = """\
device,t,speed,suction_pressure,discharge_pressure,flow,power,thrust_bearing,radial_bearing,oil,ambient
pump-0022,1704070800,3102.4,228.1,861.8,317.1,90.5,0.1,0.2,1.5,25.1
pump-0022,1704074400,3089.9,227.6,858.1,317.3,91.1,0.1,0.3,,25.0
pump-0023,1704074400,3089.9,227.6,858.1,317.3,91.1,0.1,0.3,1.5,25.0
"""


def command(part: str) -> str:
    """The one command of the guide, or block of them, that has `part`."""
    (found,) = [text for kind, text in BLOCKS if kind == "sh" and part in text]
    return found


@pytest.fixture
def plant(tmp_path):
    """The folder of somebody who follows the guide: a bundle that stands in for the pumps' one, which takes minutes."""
    folder = tmp_path / "plant"
    folder.mkdir()
    channels = [
        msgspec.structs.replace(channel, name=name, low=-100.0, high=100.0)
        for channel, name in zip(small_manifest().channels, CHANNELS, strict=True)
    ]
    manifest = msgspec.structs.replace(
        small_manifest(),
        name="pumps",
        time_unit="s",
        channels=tuple(channels),
        cadence=Cadence(every_s=3600.0, dt_max_s=172_800.0),
    )
    write_small_bundle(folder / "pumps-0.1.0.fwb", manifest)
    (folder / "forewarn.toml").write_text(CONFIGURATION)
    (folder / "play.csv").write_text(PLAY)
    return folder


def test_the_configuration_of_the_guide_passes_its_check(plant, monkeypatch):
    monkeypatch.chdir(plant)
    result = CliRunner().invoke(main, command("forewarn check").split()[1:])
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1), "the bundle that stands in vouches for little"
    assert "model[main].budget" in result.stderr
    said = (
        r"reads pumps \(plant/\+/telemetry\) from mqtt://localhost:1883, runs pumps .*publishes forewarn/gateway-1/ to"
    )
    assert re.match(rf"forewarn.toml: ok: {said}", result.stdout)
    assert any(re.match(rf"forewarn.toml: ok: {said}", text) for kind, text in BLOCKS if kind == "text")


def test_the_problems_that_the_guide_shows_are_what_check_says(plant, monkeypatch):
    """The guide's configuration with three mistakes."""
    (shown,) = [text for kind, text in BLOCKS if kind == "text" and text.startswith("bad.toml")]
    bad = CONFIGURATION.replace("thrust_bearing =", "thrust_baring =").replace("host =", "hots =")
    (plant / "bad.toml").write_text(bad.replace('unit = "s"', 'unit = "cycle"'))
    monkeypatch.chdir(plant)
    result = CliRunner().invoke(main, ["check", "bad.toml"])
    assert result.stderr == shown


def test_the_guide_leads_to_the_first_score_and_the_played_pump(plant, broker, listener):
    """Its commands in a shell, with the clients' own configuration naming the test's port instead of 1883."""
    for client in ("mosquitto_sub", "mosquitto_pub"):
        (plant / client).write_text(f"-p {broker.port}\n")
    environ = os.environ | {
        "XDG_CONFIG_HOME": str(plant),
        "FOREWARN_BROKER__PORT": str(broker.port),
        "PYTHONPATH": str(ROOT),
    }

    def shell(text: str) -> str:
        run = subprocess.run(
            ["bash", "-euc", text], cwd=plant, env=environ, capture_output=True, text=True, timeout=30, check=True
        )
        return run.stdout

    arguments = command("forewarn run").split()[1:]
    with (plant / "log").open("wb") as log:
        agent = subprocess.Popen([sys.executable, "-m", "agent.cli", *arguments], cwd=plant, env=environ, stderr=log)
    try:
        listener.wait_for(lambda one: b'"pumps":"granted"' in one.payload, "the agent subscribes")
        (asked,) = [text for kind, text in BLOCKS if kind == "sh" and text.endswith("status' -C 1\n")]
        status = json.loads(shell(asked))
        assert (status["taken"], status["broker"]["input"]["subscriptions"]) == (0, {"pumps": "granted"})
        shell(command("plant/pump-1/telemetry -m"))
        heard = listener.wait_for(lambda one: one.topic == "forewarn/gateway-1/score/pumps/pump-1", "the first score")
        (shown,) = [text.split(" ", 1) for kind, text in BLOCKS if kind == "text" and "/score/" in text]
        assert shown[0] == heard.topic
        assert json.loads(shown[1]).keys() == json.loads(heard.payload).keys()
        shell(command("awk"))
        listener.wait_for(
            lambda one: one.topic.endswith("/score/pumps/pump-0022") and b'"t_ns":1704074400000000000' in one.payload,
            "the score of the played pump's last row",
        )
    finally:
        agent.terminate()
        assert agent.wait(20) == 0


def test_the_warning_that_the_guide_shows_is_one():
    """It fits the schema of its topic."""
    (shown,) = [text for kind, text in BLOCKS if kind == "json"]
    assert faults("forewarn/gateway-1/alert/pumps/pump-0022/risk", shown.encode()) == []
