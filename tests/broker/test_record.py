"""`forewarn record` as a process: what is in its folder while it runs, when it is killed, and when the disk is full."""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agent.errors import DataRefused
from agent.replay.recorded import Layout, read_recorded
from agent.sources import plain_channels
from agent.table.files import table_files
from agent.table.form import TableForm
from agent.table.rows import read_rows
from tests.broker.listener import TIMEOUT_S
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import configuration, wait_until
from tests.configurations import write_configuration
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import interleaved, life, message
from trainer.recorded import read_recording

GRANTED = '"press": "granted"'
FULL_BYTES = 15_000  # more than the log needs, less than a file with some thousand rows has
FORM = TableForm("device", "t", "cycle", plain_channels(*CHANNELS))
WITHOUT_MODEL = """
[agent]
node = "gateway-1"
delay_max = "2ms"
rows_per_device_max = 4096
[broker]
host = "127.0.0.1"
port = {port}
"""
PRESS = """
[[source]]
name = "press"
topic = "plant/{device}/cycle"
qos = 1
time = { field = "cycle", unit = "cycle" }
channels = { temp = "temp", load = "load", wear = "wear" }
"""
YARD = """
[brokers.yard]
host = "127.0.0.1"
port = {port}
[[source]]
name = "yard"
topic = "plant/{{device}}/cycle"
broker = "yard"
qos = 1
time = {{ field = "cycle", unit = "cycle" }}
channels = {{ wear = "wear" }}
[[source]]
name = "oil"
topic = "yard/{{device}}"
broker = "yard"
joins = "press"
qos = 1
time = {{ field = "cycle", unit = "cycle" }}
channels = {{ oil = "oil" }}
"""
CODES = """
[[source]]
name = "codes"
topic = "plant/{device}/code"
joins = "press"
qos = 1
time = { field = "cycle", unit = "cycle" }
channels = { error3 = { field = "errorID", event = "e3" } }
"""


class Recording:
    """A `forewarn record` and its folder: started, killed, started again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = write_configuration(folder, text)
        self.out = folder / "recording"
        self._log = folder / "record.log"

    def start(self, *options: str) -> None:
        """And wait until it is subscribed: a broker that queues for nobody would lose what comes before."""
        command = [sys.executable, "-m", "agent.cli", "record", "--config", str(self.file), "--out", str(self.out)]
        n_before = self.log().count(GRANTED)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--flush-every", "1s", *options], stdout=subprocess.PIPE, stderr=log, text=True
            )
        wait_until(lambda: self.log().count(GRANTED) > n_before, "it is subscribed")

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def stop(self) -> str:
        """SIGTERM; returns what it printed."""
        self.process.send_signal(signal.SIGTERM)
        text, _ = self.process.communicate(timeout=TIMEOUT_S)
        return text

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def rows(self) -> dict[str, list[float]]:
        """Cycles of each device, in the order in which a reader of the folder meets them."""
        if not list(self.out.glob("press/*.parquet")):
            return {}
        try:
            rows = read_rows(table_files([str(self.out / "press" / "*.parquet")], Path(), next_step="?"), FORM)
        except DataRefused as error:
            if "No such file" not in error.what:
                raise
            return self.rows()  # files were joined after the folder was listed
        return {name: (rows.t_ns[at] / 1e9).tolist() for name, at in rows.by_device("t").items()}


@pytest.fixture
def recording(tmp_path: Path, broker: PrivateBroker) -> Iterator[Recording]:
    """Without a model."""
    one = Recording(tmp_path, WITHOUT_MODEL.format(port=broker.port) + PRESS)
    yield one
    one.end()


def test_what_arrives_is_recorded_until_the_end_and_told(recording, broker):
    sent = interleaved(life("p1", 60), life("line 2", 40, seed=2))
    recording.start("--json")
    broker.publish_all([("plant/p1/cycle", b"{"), *sent])
    wait_until(lambda: sum(map(len, recording.rows().values())) == 100, "all rows are flushed")
    told = json.loads(recording.stop())
    assert recording.process.returncode == 0
    assert recording.rows() == {"p1": [*range(1, 61)], "line 2": [*range(1, 41)]}
    assert told | {"seconds": 0, "bytes": 0, "folder": ""} == {
        "folder": "", "seconds": 0, "messages": 101, "rows": {"press": 100}, "devices": {"press": 2},
        "interventions": 0, "files": 1, "bytes": 0, "left_out": {}, "drops": {"press": {"malformed": 1}},
        "lost_s": {}, "doubts": {}, "not_written": "",
    }  # fmt: skip
    (one,) = (recording.out / "press").iterdir()
    assert one.name.endswith(".parquet")
    recorded = read_recorded([str(recording.out)], small_manifest(), Layout()).devices
    for device, messages in (("p1", sent), ("line 2", sent)):
        (of,) = [one for one in recorded if one.device == device]
        values = [json.loads(text) for topic, text in messages if topic == f"plant/{device}/cycle"]
        assert of.x.tobytes() == np.float32([[one[name] for name in CHANNELS] for one in values]).tobytes()


@pytest.mark.slow
def test_a_recording_that_is_killed_at_any_moment_reads_whole_up_to_the_last_flush(recording, broker):
    """Ten times; while it runs, after each kill, and after each start the reader takes the folder as it is."""
    cycle = 0
    for kill in range(10):
        recording.start()
        before = recording.rows().get("p1", [])
        for _ in range(4):
            broker.publish_all([message("p1", cycle + index) for index in range(1, 1 + 10 * (1 + kill))])
            cycle += 10 * (1 + kill)
            seen = recording.rows().get("p1", [])
            assert seen[: len(before)] == before
            assert seen == sorted(set(seen))
        if kill % 2:
            wait_until(lambda due=cycle: recording.rows().get("p1", [0])[-1] == due, "all is flushed")
        recording.kill()
        after = recording.rows().get("p1", [])
        assert after[: len(before)] == before
        if kill % 2:
            assert after[-1] == cycle
    recording.start()
    recording.stop()
    assert recording.rows()["p1"] == after, "joined into fewer files, with the same rows"
    assert len(list((recording.out / "press").iterdir())) == 1


@pytest.mark.slow
def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again(recording, broker):
    recording.start()
    sent = life("p1", 2000)
    broker.publish_all(sent[:10])
    wait_until(lambda: recording.rows().get("p1", [0])[-1] == 10, "a first flush")
    _, most = resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, most))
    broker.publish_all(sent[10:])
    wait_until(lambda: "recording_not_written" in recording.log(), "it is said")
    assert "File too large" in recording.log()
    resource.prlimit(recording.process.pid, resource.RLIMIT_FSIZE, (most, most))
    wait_until(lambda: recording.rows()["p1"][-1] == 2000, "what waited is written")
    assert recording.rows()["p1"] == [*range(1, 2001)]
    recording.stop()
    assert recording.process.returncode == 0


def test_it_runs_beside_the_agent_and_reads_what_its_models_read(agent, broker, tmp_path):
    beside = Recording(agent.folder, configuration(broker.port))
    beside.start()
    try:
        agent.feed(life("p1", 30))
        wait_until(lambda: len(beside.rows().get("p1", [])) == 30, "its rows are flushed")
        beside.stop()
    finally:
        beside.end()
    assert beside.rows() == {"p1": [*range(1, 31)]}
    assert agent.status()["broker"]["input"]["connected"]
    assert len(agent.scores("p1")) == 30


def test_two_recordings_of_one_host_hear_all_each(recording, broker, tmp_path):
    (tmp_path / "second").mkdir()
    second = Recording(tmp_path / "second", WITHOUT_MODEL.format(port=broker.port) + PRESS)
    recording.start()
    second.start()
    try:
        broker.publish_all(life("p1", 30))
        for one in (recording, second):
            wait_until(lambda one=one: len(one.rows().get("p1", [])) == 30, "its rows are flushed")
        assert "lost" not in second.stop() + recording.stop()
    finally:
        second.end()
    assert "client_id_taken" not in recording.log() + second.log()


def test_a_connection_that_was_lost_is_told_with_how_long(recording, broker):
    recording.start("--json")
    broker.kill()
    wait_until(lambda: "broker_lost" in recording.log(), "it is noticed")
    broker.start()
    wait_until(lambda: recording.log().count("broker_connected") == 2, "it is connected again")
    told = json.loads(recording.stop())
    assert [*told["lost_s"]] == ["broker"]
    assert told["lost_s"]["broker"] > 0


@pytest.mark.slow
def test_it_reads_every_broker_and_only_the_sources_that_are_wanted(tmp_path, broker, output_broker):
    """Sources of two brokers, and columns of a source that joins one of them from the other broker."""
    text = WITHOUT_MODEL.format(port=broker.port) + PRESS + YARD.format(port=output_broker.port)
    both = Recording(tmp_path, text)
    both.start()
    try:
        wait_until(lambda: '"yard": "granted"' in both.log(), "the yard is subscribed to")
        broker.publish_all(life("p1", 20))
        wait_until(lambda: both.rows() == {"p1": [*range(1, 21)]}, "its rows are flushed, so that oil comes after them")
        output_broker.publish_all([*life("p1", 30, seed=1), ("yard/p1", b'{"cycle": 21, "oil": 7.5}')])
        wait_until(lambda: len(both.rows()["p1"]) == 21, "the oil is flushed")
        both.stop()
        (path,) = (both.out / "press").iterdir()
        assert pl.read_parquet(path).columns == ["device", "t", "temp", "load", "wear", "oil"]
        assert pl.read_parquet(path)["oil"].to_list() == [*[None] * 20, 7.5]
        assert both.rows() == {"p1": [*range(1, 22)]}
        assert [*pl.read_parquet(both.out / "yard" / "*.parquet")["t"]] == [*range(1, 31)]
        both.start("--source", "press")
        broker.publish_all([message("p1", 22)])
        output_broker.publish_all([message("p1", 31)])
        wait_until(lambda: len(both.rows()["p1"]) == 22, "its row is flushed")
        both.stop()
    finally:
        both.end()
    assert both.rows() == {"p1": [*range(1, 23)]}
    assert len(pl.read_parquet(both.out / "yard" / "*.parquet")) == 30


@pytest.mark.slow
def test_two_recordings_of_one_folder_are_refused_and_so_is_a_name_that_is_no_source(recording, broker):
    recording.start()
    command = [sys.executable, "-m", "agent.cli", "record", "--config", str(recording.file), "--out"]
    second = subprocess.run([*command, str(recording.out)], capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert "another `forewarn record` uses it" in second.stderr
    third = subprocess.run(
        [*command, str(recording.out), "--source", "pres"], capture_output=True, text=True, check=False
    )
    assert third.returncode == 2
    assert "nearest 'press'" in third.stderr
    assert "0 rows" in recording.stop()


def test_error_codes_are_recorded_as_counts_that_fit_knows(tmp_path, broker):
    """Whatever file they are in: before a kill, after it, and in the one that all are joined into."""
    coded = Recording(tmp_path, WITHOUT_MODEL.format(port=broker.port) + PRESS + CODES)
    codes = {3: 1, 17: 2, 34: 1}
    sent = [
        one
        for cycle in range(1, 41)
        for one in [
            *(("plant/p1/code", json.dumps({"cycle": cycle - 0.3 * n, "errorID": "e3"}).encode())
              for n in range(codes.get(cycle, 0), 0, -1)),
            message("p1", cycle, temp=float(np.sin(cycle)), load=float(np.cos(cycle))),
        ]
    ]  # fmt: skip
    try:
        coded.start()
        broker.publish_all(sent[:20])
        wait_until(lambda: coded.rows().get("p1", [0])[-1] == 17, "a first flush")
        coded.kill()
        coded.start()
        broker.publish_all(sent[20:])
        wait_until(lambda: coded.rows()["p1"][-1] == 40, "all rows are flushed")
        coded.stop()
    finally:
        coded.end()
    (path,) = (coded.out / "press").iterdir()
    column = pl.read_parquet(path)["error3"]
    assert column.dtype == pl.UInt32
    assert {cycle: n for cycle, n in enumerate(column.to_list(), 1) if n} == codes
    found = read_recording(coded.out)
    assert (found.channels, found.events, found.still) == (("temp", "load", "error3"), ("error3",), ("wear",))
