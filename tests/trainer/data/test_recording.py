"""Pumps that are recorded from their messages are learnt from and played with the same rows, to the bit."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from agent.bundle import file
from agent.cli import main
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.record.recorder import Recorded, Recorder
from agent.replay.messages import SOURCE_NAME, Stream, stream
from agent.replay.recorded import Recorded as Lived
from agent.replay.recorded import read_recorded
from agent.sources import Source, plain_channels
from tests.trainer.data.test_own_recordings import EXAMPLE, run, some_pumps
from trainer.config_file import read_config
from trainer.data.history import History
from trainer.data.table import read_table, write_table

pytestmark = pytest.mark.slow


def messages_of(pumps: Sequence[History], channels: tuple[str, ...]) -> Stream:
    source = Source(SOURCE_NAME, ("plant/{device}/row",), "t", "ns", plain_channels(*channels))
    return stream([Lived(one.device, one.t_ns, one.x) for one in sorted(pumps, key=lambda one: one.device)], source)


def record(rows: Stream, channels: tuple[str, ...], folder: Path) -> None:
    """As `forewarn record` does when these pumps publish."""
    core = Core((rows.source,), (), Bounds(), keeps_rows=True)
    of = Recorded(0, SOURCE_NAME, channels, counts_cycles=False)
    recorder = Recorder([of], folder, structlog.get_logger(), flush_every_s=10, size_max=2**40)
    for number, start in enumerate(range(0, len(rows), 500)):
        topics, payloads = rows.messages(start, min(start + 500, len(rows)))
        taken = core.apply(Messages(topics, payloads, [int(rows.t_ns.max())] * len(topics)))
        recorder.hear(taken, {SOURCE_NAME: SOURCE_NAME})
        recorder.flush(number)
    recorder.close()
    assert recorder.n_rows == {SOURCE_NAME: len(rows)}


def as_bytes(lives: Sequence[Lived | History]) -> dict[str, tuple[bytes, bytes]]:
    return {one.device: (one.t_ns.tobytes(), one.x.tobytes()) for one in lives}


def test_pumps_that_are_recorded_are_trained_on_and_played_as_they_were(tmp_path: Path) -> None:
    channels = read_config(EXAMPLE).data.channels
    pumps = some_pumps(20, channels)
    record(messages_of(pumps, channels), channels, tmp_path / "recording")
    write_table(pumps, channels, tmp_path / "rows.csv", tmp_path / "failures.csv")
    text = EXAMPLE.read_text().replace('"rows.csv"', f'"recording/{SOURCE_NAME}/*.parquet"')
    (tmp_path / "table.toml").write_text(text.replace("hidden = 32", "hidden = 8") + "thresholds = 9\n")
    config = read_config(tmp_path / "table.toml")
    assert as_bytes(read_table(config.data, channels, tmp_path)) == as_bytes(pumps)

    done = run("fit", tmp_path / "table.toml", "--out", tmp_path / "out", "--epochs", 1)
    assert done.exception is None, done.output
    bundle = tmp_path / "out/my-pumps-0.1.0.fwb"
    recordings = read_recorded([str(tmp_path / "recording")], file.read(bundle).manifest)
    assert as_bytes(recordings.devices) == as_bytes(pumps)
    options = ["replay", "--bundle", bundle, "--data", tmp_path / "recording", "--truth", tmp_path / "failures.csv"]
    played = CliRunner().invoke(main, [*map(str, options), "--out", str(tmp_path / "replay"), "--no-html"])
    assert played.exit_code == 0, played.output
