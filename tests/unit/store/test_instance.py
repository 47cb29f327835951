"""The instance id: one a state directory, for good."""

import re

import structlog
from structlog.testing import LogCapture

from agent.store.disk import StateFolder
from agent.store.instance import INSTANCE, instance_id


def test_it_is_made_once_and_survives_a_restart(tmp_path):
    log = LogCapture()
    logger = structlog.wrap_logger(None, processors=[log])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = instance_id(StateFolder(tmp_path / "a"), logger)
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert instance_id(StateFolder(tmp_path / "a"), logger) == one
    assert instance_id(StateFolder(tmp_path / "b"), logger) != one
    assert log.entries == []


def test_a_file_that_is_none_of_ours_is_set_aside_and_said(tmp_path):
    log = LogCapture()
    (tmp_path / INSTANCE).write_bytes(b"junk")
    one = instance_id(StateFolder(tmp_path), structlog.wrap_logger(None, processors=[log]))
    assert re.fullmatch("[0-9a-f]{16}", one)
    (line,) = log.entries
    assert line["event"] == "instance_set_aside"
    assert [path.read_bytes() for path in tmp_path.glob("instance.corrupt-*")] == [b"junk"]
