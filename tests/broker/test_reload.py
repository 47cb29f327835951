"""SIGHUP: what changes under a running agent, what is named and left, and what a broken file does: nothing."""

import os
import signal
from dataclasses import replace

import msgspec

from agent.bundle import file as bundle_file
from agent.bundle import stored_zip
from bench.fake_broker import FakeBroker
from tests.broker.running_agent import ROOT, configuration, wait_until, with_output
from tests.bundles import write_small_bundle
from tests.service_manager import ServiceManager
from tests.small_bundle import small_manifest
from tests.streams import life


def reload(agent, text: str) -> None:
    """Write another configuration and send SIGHUP."""
    agent.file.write_text(text)
    agent.process.send_signal(signal.SIGHUP)


def statuses(agent) -> int:
    return sum(one.topic == f"{ROOT}/status" for one in agent.listener.heard)


def test_what_is_live_takes_effect_and_no_state_is_lost(broker, make_agent):
    """No status but the first within an hour; after the reload ten a second. The device's rows go on without a gap."""
    agent = make_agent(configuration(broker.port))
    agent.go()
    whole = life("p1", 60)
    agent.feed(whole[:30])
    slow = configuration(broker.port).replace('"100ms"', '"1h"').replace('scores = "all"', 'scores = "none"')
    reload(agent, slow)
    agent.wait_for_log("configuration_reloaded")
    broker.publish_all(whole[30:40])
    wait_until(lambda: not statuses_within(agent, 0.5), "no status any more")
    assert len(agent.scores("p1")) == 30
    reload(agent, configuration(broker.port))
    wait_until(lambda: statuses_within(agent, 0.5) > 3, "many again")
    assert [line["key"] for line in agent.log("setting_applied")] == ["agent.status_every", "publish.scores"] * 2
    agent._due += 10
    agent.feed(whole[40:])
    assert "gap" not in agent.qualities("p1")
    assert len(agent.scores("p1")) == 50


def statuses_within(agent, time_s: float) -> int:
    """How many come in that time, by the clock of a process that does nothing else."""
    before = statuses(agent)
    end_s = os.times().elapsed + time_s
    wait_until(lambda: os.times().elapsed > end_s, "the time is over")
    return statuses(agent) - before


def test_a_shorter_time_between_snapshots_counts_from_the_reload(broker, make_agent):
    agent = make_agent(configuration(broker.port).replace('snapshot_every = "1s"', 'snapshot_every = "1h"'))
    agent.go()
    agent.feed(life("p1", 5))
    reload(agent, configuration(broker.port))
    agent.wait_for_snapshots(1)


def test_a_new_password_is_used_for_the_next_connection_of_the_output(broker, make_agent):
    """And the connection that stands is not ended for it."""
    with FakeBroker() as output:
        text = with_output(broker.port, output.port) + 'username = "u"\npassword_file = "secret"\n'
        agent = make_agent(text)
        secret = agent.folder / "secret"
        secret.write_text("old")
        secret.chmod(0o600)
        agent.start()
        session = output.session()
        assert session.read_connect().endswith(b"\0\x03old")
        session.accept()
        agent.wait_for_log("output_connected")
        secret.write_text("new")
        reload(agent, text)
        agent.wait_for_log("configuration_reloaded")
        session.close()
        assert output.session().read_connect().endswith(b"\0\x03new")


def test_what_needs_a_restart_is_named_and_left(agent, broker):
    text = configuration(broker.port).replace('"gateway-1"', '"other"').replace("plant/{device}", "plant2/{device}")
    reload(agent, text)
    agent.wait_for_log("configuration_reloaded")
    lines = {line["key"]: (line["running"], line["file"]) for line in agent.log("setting_needs_restart")}
    assert lines == {
        "agent.node": ("gateway-1", "other"),
        "source[press].topic": ("plant/{device}/cycle", "plant2/{device}/cycle"),
    }
    agent.feed(life("p1", 5))


def test_another_bundle_under_the_same_name_is_named_and_left(agent, broker):
    before = agent.status()["models"]["main"]["digest"]
    bundle = agent.folder / "small.fwb"
    write_small_bundle(bundle, msgspec.structs.replace(small_manifest(), version="2.0.0"))
    reload(agent, configuration(broker.port))
    (line,) = (agent.wait_for_log("configuration_reloaded"),)
    assert line["needs_restart"] == 1
    (line,) = agent.log("setting_needs_restart")
    assert (line["key"], line["running"]) == ("model[main].bundle", before)
    agent.feed(life("p1", 5))
    assert agent.status()["models"]["main"]["digest"] == before


def test_a_broken_file_changes_nothing_and_each_problem_is_logged(agent, broker):
    broken = configuration(broker.port).replace('"100ms"', '"1h"').replace("[[model]]", 'nod = "x"\n[[model]]')
    reload(agent, broken.replace("qos = 1", "qos = 7"))
    wait_until(lambda: len(agent.log("configuration_refused")) == 2, "both problems")
    found = [(line["key"], line["file"], line["line"] > 0) for line in agent.log("configuration_refused")]
    assert found == [("broker.nod", str(agent.file), True), ("source[press].qos", str(agent.file), True)]
    assert agent.log("configuration_reloaded") == []
    agent.feed(life("p1", 5))  # waits for a status, which still comes often


def test_a_hostile_bundle_at_a_reload_is_refused_and_the_stream_goes_on(agent, broker):
    """Its manifest lists 2,000 channels; the agent keeps the one that runs, and steps it."""
    path = agent.folder / "small.fwb"
    members = stored_zip.unpack(path.read_bytes(), members_max=6)
    manifest = msgspec.json.decode(members["manifest.json"])
    manifest["channels"] = manifest["channels"][:1] * 2_000
    path.write_bytes(stored_zip.pack({**members, "manifest.json": msgspec.json.encode(manifest)}))
    reload(agent, configuration(broker.port))
    line = agent.wait_for_log("configuration_refused")
    assert (line["key"], agent.log("configuration_reloaded")) == ("model[main].bundle", [])
    assert "it has 2000 channels, must be 1 to 1024" in line["why"]
    agent.feed(life("p1", 5))
    assert agent.qualities("p1")[-1] == "ok"


def test_a_bundle_that_computes_something_else_is_refused_at_the_reload_and_the_stream_goes_on(agent, broker):
    """It is verified in a process of its own; the agent learns of it before its restart."""
    path = agent.folder / "small.fwb"
    whole = bundle_file.read(path)
    wrong = replace(whole.golden, state_out=whole.golden.state_out + 1)
    members = stored_zip.unpack(path.read_bytes(), members_max=6)
    del members["manifest.json"]
    bundle_file.write(path, whole.manifest, {**members, "golden.npz": wrong.pack()})
    reload(agent, configuration(broker.port))
    line = agent.wait_for_log("configuration_refused")
    assert (line["key"], agent.log("configuration_reloaded")) == ("model[main].bundle", [])
    assert "golden row 0 gives state_out[0]" in line["why"]
    agent.feed(life("p1", 5))
    assert agent.qualities("p1")[-1] == "ok"


def test_a_reload_is_told_to_the_service_manager(broker, make_agent, tmp_path):
    with ServiceManager(tmp_path / "notify") as manager:
        agent = make_agent(configuration(broker.port))
        agent.start(NOTIFY_SOCKET=manager.address)
        manager.wait_for("READY=1")
        agent.process.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        assert "READY=1" in manager.wait_for("READY=1")
