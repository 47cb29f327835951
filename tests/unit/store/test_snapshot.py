"""Two snapshots are kept; the newest good one wins, and a bad one is set aside with the reason."""

import os

import pytest

from agent.errors import SnapshotRefused, StateRefused
from agent.store import snapshot
from agent.store.disk import StateFolder


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


def restored(folder) -> tuple[list[bytes], list[str]]:
    """What was restored, and why others were not."""
    contents: list[bytes] = []
    _, refused = snapshot.restore(StateFolder(folder), contents.append)
    return contents, [one.why for one in refused]


def test_nothing_is_restored_from_an_empty_folder(tmp_path):
    assert snapshot.restore(StateFolder(tmp_path), pytest.fail) == (None, [])


def test_the_newest_two_are_kept(tmp_path):
    for number in range(12):
        snapshot.write(StateFolder(tmp_path), b"%d" % number)
    assert names(tmp_path) == ["snapshot-000000000011", "snapshot-000000000012"]
    assert restored(tmp_path) == ([b"11"], [])


def test_a_torn_snapshot_gives_way_to_the_older_one_at_every_byte(tmp_path):
    """Whatever a power cut left of the newest, the older one is restored and the torn one can still be looked at."""
    snapshot.write(StateFolder(tmp_path), b"older")
    newest = tmp_path / snapshot.write(StateFolder(tmp_path), b"newest")
    whole = newest.read_bytes()
    for size in range(len(whole)):
        newest.write_bytes(whole[:size])
        contents, why = restored(tmp_path)
        assert contents == [b"older"]
        assert len(why) == 1
        (aside,) = tmp_path.glob("*.corrupt-*")
        assert aside.read_bytes() == whole[:size]
        aside.unlink()
    newest.write_bytes(whole)
    assert restored(tmp_path) == ([b"newest"], [])


def test_one_that_the_core_refuses_is_set_aside_with_its_reason(tmp_path):
    """A newer schema, another bundle: the reason is the core's, and the older one is tried."""
    snapshot.write(StateFolder(tmp_path), b"ours")
    snapshot.write(StateFolder(tmp_path), b"foreign")
    taken = []

    def take(content: bytes) -> None:
        if content == b"foreign":
            raise SnapshotRefused("snapshot", "its schema is version 9", next_step="")
        taken.append(content)

    path, refused = snapshot.restore(StateFolder(tmp_path), take)
    assert taken == [b"ours"]
    assert path == "snapshot-000000000001"
    assert [(one.why, one.aside.exists()) for one in refused] == [("its schema is version 9", True)]
    assert refused[0].aside.name.startswith("snapshot-000000000002.foreign-"), "it is whole"


def test_both_bad_is_a_start_without_state(tmp_path):
    for content in (b"one", b"two"):
        (tmp_path / snapshot.write(StateFolder(tmp_path), content)).write_bytes(b"junk")
    contents, why = restored(tmp_path)
    assert (contents, len(why)) == ([], 2)
    snapshot.write(StateFolder(tmp_path), b"three")
    assert restored(tmp_path) == ([b"three"], [])


def test_a_write_that_fails_keeps_both_older_ones(tmp_path, monkeypatch):
    snapshot.write(StateFolder(tmp_path), b"one")
    snapshot.write(StateFolder(tmp_path), b"two")

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        snapshot.write(StateFolder(tmp_path), b"three")
    monkeypatch.undo()
    assert names(tmp_path) == ["snapshot-000000000001", "snapshot-000000000002"]
    assert restored(tmp_path) == ([b"two"], [])


def test_other_files_are_no_snapshots(tmp_path):
    """What a crash left half written, what was set aside, and what a person put there."""
    for name in ("snapshot-000000000007.new", "snapshot-000000000008.corrupt-1", "snapshot-", "snapshot-x", "lock"):
        (tmp_path / name).write_bytes(b"junk")
    before = names(tmp_path)
    assert restored(tmp_path) == ([], [])
    assert snapshot.write(StateFolder(tmp_path), b"one") == "snapshot-000000000001"
    assert names(tmp_path) == sorted([*before, "snapshot-000000000001"])


def test_a_snapshot_that_the_disk_does_not_give_is_not_called_corrupt(tmp_path, monkeypatch):
    """EIO says nothing about the content: the start fails by name, and the file stays where it is."""
    path = tmp_path / snapshot.write(StateFolder(tmp_path), b"one")

    def failing(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(StateFolder, "read", failing)
    with pytest.raises(StateRefused, match=r"snapshot-000000000001: cannot be read \(Input/output error\)"):
        snapshot.restore(StateFolder(tmp_path), pytest.fail)
    assert path.exists()


def test_a_bad_snapshot_on_a_disk_that_is_read_only_fails_the_start_by_name(tmp_path, monkeypatch):
    path = tmp_path / snapshot.write(StateFolder(tmp_path), b"one")
    path.write_bytes(path.read_bytes()[:-1])

    def failing(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(StateFolder, "rename", failing)
    with pytest.raises(StateRefused, match=r"000001: is corrupt and cannot be set aside \(Read-only file system\)"):
        snapshot.restore(StateFolder(tmp_path), pytest.fail)
    assert path.exists()
