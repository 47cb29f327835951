"""An agent that is started with another bundle says of a standing alert what the first one said."""

import json
import subprocess
import sys

import msgspec

from agent.bundle import file
from agent.bundle.manifest import RiskHead
from tests.broker.listener import retained
from tests.broker.running_agent import ROOT
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import life

LATER = msgspec.structs.replace(small_manifest(), name="later", version="2.0.0", risk=RiskHead((10.0, 20.0, 40.0)))


def named(bundle: file.Bundle) -> dict[str, str]:
    return {"name": bundle.manifest.name, "version": bundle.manifest.version, "digest": bundle.digest}


def test_a_standing_alert_keeps_what_it_was_raised_with_under_another_bundle(agent):
    """Byte for byte where it is retained, in `forewarn alerts`, and when rows of the later bundle end it."""
    agent.feed(life("p1", 45))
    before = retained(agent.broker.port, f"{ROOT}/alert/#")
    assert list(before) == [f"{ROOT}/alert/press/p1/risk"]
    assert agent.stop() == 0
    path = agent.folder / "small.fwb"
    first = file.read(path)
    write_small_bundle(path, LATER)
    later = file.read(path)
    since = len(agent.listener.heard)
    agent.go()

    (again,) = [one.payload for one in agent.listener.heard[since:] if one.topic == f"{ROOT}/alert/press/p1/risk"]
    assert again == before[f"{ROOT}/alert/press/p1/risk"]
    assert agent.status()["models"]["main"]["name"] == "later"
    command = [sys.executable, "-m", "agent.cli", "alerts", "--state-dir", str(agent.state)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for horizon in ("15 cycles 0.", "30 cycles 0.", "60 cycles 0."):
        assert horizon in shown

    agent.feed(life("p1", 40, start=46, wear_from=10**6))
    (cleared,) = agent.events()
    assert (cleared["event"], cleared["alert"]) == ("cleared", json.loads(again)["alert"])
    assert (cleared["bundle"], cleared["decided_by"]) == (named(first), named(later))
    assert list(cleared["risk"]) == ["10 cycles", "20 cycles", "40 cycles"]
    assert agent.standing() == {}
