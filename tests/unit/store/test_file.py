"""The disk protocol for one file: what is read is what was written, or it is refused."""

import os

import pytest

from agent.store import file

CONTENT = bytes(range(256))


def test_what_is_written_is_read(tmp_path):
    for content in (b"", CONTENT):
        file.write(tmp_path / "state", content)
        assert file.read(tmp_path / "state") == content
    assert os.listdir(tmp_path) == ["state"]


def test_a_file_torn_at_any_byte_is_refused(tmp_path):
    path = tmp_path / "state"
    file.write(path, CONTENT)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(file.Corrupt, match=r"does not begin|does not match its checksum"):
            file.read(path)


def test_a_file_with_any_bit_flipped_is_refused(tmp_path):
    path = tmp_path / "state"
    file.write(path, CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(file.Corrupt):
            file.read(path)


def test_bytes_after_the_end_are_refused(tmp_path):
    path = tmp_path / "state"
    file.write(path, CONTENT)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(file.Corrupt):
        file.read(path)


def test_what_is_set_aside_keeps_its_content_and_what_belongs_to_it(tmp_path):
    """Two set aside under one name do not overwrite each other."""
    for content in ("one", "two"):
        (tmp_path / "a.db").write_text(content)
        (tmp_path / "a.db-wal").write_text(f"wal of {content}")
        aside = file.set_aside(tmp_path / "a.db", along=("-wal", "-shm"))
        assert aside.name.startswith("a.db.corrupt-")
        assert aside.read_text() == content
        assert aside.with_name(f"{aside.name}-wal").read_text() == f"wal of {content}"
    assert len(os.listdir(tmp_path)) == 4
