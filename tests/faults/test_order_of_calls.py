"""In which order a life syncs, commits and acknowledges, as the kernel sees it: kill -9 cannot show that.

What is written to a file is on the disk once that was synced, a new name once its folder was.
"""

import re
from pathlib import Path

import pytest

from tests.faults.system_calls import traced

MARKER_BYTES = 20  # an empty record behind each sync, which says how much was synced, and lasts with the next one
CALLS = "write,pwrite64,fsync,fdatasync,rename,unlink,openat"


def events(trace: str, folder: Path) -> list[tuple[str, str]]:
    """(what, name of the file) in order: write, sync, folder, rename, and `acknowledge`."""
    found = []
    for line in trace.splitlines():
        if match := re.search(r"\b(write|pwrite64|fsync|fdatasync)\(\d+<([^>]*)>(?:, \"(a ))?", line):
            call, path, acknowledges = match.groups()
            if path.startswith(f"{folder}/journal") and line.endswith(f"= {MARKER_BYTES}"):
                continue
            if acknowledges:
                found.append(("acknowledge", ""))
            elif path == str(folder):
                found.append(("folder", ""))
            elif path.startswith(f"{folder}/"):
                found.append(("write" if "write" in call else "sync", path.rpartition("/")[2]))
        elif match := re.search(r"\brename\(\"[^\"]*\", \"([^\"]*)\"", line):
            found.append(("rename", match[1].rpartition("/")[2]))
    return found


@pytest.fixture
def seen(lives, durability, tmp_path) -> list[tuple[str, str]]:
    """Of one life from its beginning to its end."""
    folder, to = tmp_path / "state", tmp_path / "trace"
    folder.mkdir()
    _, status = lives.live(durability, folder, 0, lambda pid: traced(pid, CALLS, to))
    assert status == 0
    return events(to.read_text(), folder)


@pytest.mark.slow
def test_everything_is_on_the_disk_before_it_is_relied_on(seen, durability):
    """Nothing of the journal is unsynced when a message is acknowledged, or an alert committed; no new name is without
    a sync of the folder when a message is acknowledged; no content is unsynced when it gets its name."""
    unsynced: set[str] = set()
    is_folder_synced = True
    n = {"acknowledge": 0, "commit": 0, "rename": 0}
    for what, name in seen:
        journal = {one for one in unsynced if one.startswith("journal")}
        if what == "write":
            if name == "alerts.db-wal" and name not in unsynced:
                n["commit"] += 1
                assert not journal, "the table would be ahead of the journal"
            unsynced.add(name)
        elif what == "sync":
            unsynced.discard(name)
        elif what == "folder":
            is_folder_synced = True
        elif what == "rename":
            n["rename"] += 1
            assert f"{name}.new" not in unsynced, "the name would be of a torn file"
            is_folder_synced = False
        elif what == "acknowledge":
            n["acknowledge"] += 1
            assert not journal, "the broker would forget what is not on the disk"
            assert "alerts.db-wal" not in unsynced
            assert is_folder_synced
    assert n["acknowledge"] == 10
    assert n["commit"] >= 6
    assert n["rename"] >= 2
