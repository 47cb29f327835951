"""The disk protocol for one file: what is read is what was written, or it is refused."""

import os

import pytest

from agent.store import file
from agent.store.disk import StateFolder

CONTENT = bytes(range(256))


def test_what_is_written_is_read(tmp_path):
    for content in (b"", CONTENT):
        file.write(StateFolder(tmp_path), "state", content)
        assert file.read(StateFolder(tmp_path), "state") == content
    assert os.listdir(tmp_path) == ["state"]


def test_a_file_torn_at_any_byte_is_refused(tmp_path):
    path = tmp_path / "state"
    file.write(StateFolder(tmp_path), "state", CONTENT)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(file.Corrupt, match=r"does not begin|does not match its checksum"):
            file.read(StateFolder(tmp_path), "state")


def test_a_file_with_any_bit_flipped_is_refused(tmp_path):
    path = tmp_path / "state"
    file.write(StateFolder(tmp_path), "state", CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(file.Corrupt):
            file.read(StateFolder(tmp_path), "state")


def test_bytes_after_the_end_are_refused(tmp_path):
    path = tmp_path / "state"
    file.write(StateFolder(tmp_path), "state", CONTENT)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(file.Corrupt):
        file.read(StateFolder(tmp_path), "state")


def test_what_is_set_aside_keeps_its_content_and_what_belongs_to_it(tmp_path):
    """Two set aside under one name do not overwrite each other."""
    for content in ("one", "two"):
        (tmp_path / "a.db").write_text(content)
        (tmp_path / "a.db-wal").write_text(f"wal of {content}")
        aside = file.set_aside(StateFolder(tmp_path), "a.db", along=("-wal", "-shm"))
        assert aside.startswith("a.db.corrupt-")
        assert (tmp_path / aside).read_text() == content
        assert (tmp_path / f"{aside}-wal").read_text() == f"wal of {content}"
    assert len(os.listdir(tmp_path)) == 4
