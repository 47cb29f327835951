"""Law 3 below the agent: kill -9 at each call that makes something last, and look at what is left.

strace ends the process just before the N-th such call, for every N until the script comes to its end. A commit or a
snapshot that has returned is there; one that was under way is there whole or not at all; nothing is corrupt.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.store import snapshot
from agent.store.disk import StateFolder
from agent.store.labelled_alerts import read_labelled
from agent.store.outbox import Outbox
from tests.conftest import require

STEPS_MAX = 60
ROOT = Path(__file__).parents[3]
SCRIPT = """
import os, pathlib, sys
from agent.store import snapshot
from agent.store.disk import StateFolder
from agent.store.outbox import Outbox
from agent.words import AlertLabel
from tests.alert_events import event

folder = pathlib.Path(sys.argv[1])
outbox = Outbox(folder / "alerts.db", 100)
cursor, _ = outbox.cursor("mqtt", mirrors=False), outbox.cursor("stuck", mirrors=False)
for number in range(1, 5):
    raised = event("raised", f"a{number}", t=number, device=f"d{number}")
    outbox.commit([raised], [], [AlertLabel(f"a{number}", "bad", number, source="press")])
    os.write(1, b"c")
    snapshot.write(StateFolder(folder), b"%d" % number)
    os.write(1, b"s")
    if number % 2 == 0:
        cursor.settle([cursor.sendable(1)[0].number], {})
        os.write(1, b"r")
os.write(1, b".")
"""


def killed_at(call: str, number: int, folder: Path) -> str:
    """Run the script and kill it at the `number`-th `call`; returns what had returned by then: c, s, r or `.`."""
    strace = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={number}",
    ]
    command = [*strace, sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout


@pytest.mark.slow
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink"])
def test_kill_9_at_any_step_leaves_whole_commits_and_whole_snapshots(tmp_path, call):
    traced = ["strace", "-o", "/dev/null", "true"]
    can_trace = shutil.which("strace") is not None and subprocess.run(traced, check=False).returncode == 0
    require("strace", can_trace, "strace is not installed, or may not trace here")
    for number in range(1, STEPS_MAX):
        folder = tmp_path / str(number)
        folder.mkdir()
        said = killed_at(call, number, folder)
        if said.endswith("."):
            break
        check(folder, said)
    assert number > 2, "the call is made"
    assert said.endswith("."), "every step was reached"


def check(folder: Path, said: str) -> None:
    outbox = Outbox(folder / "alerts.db", 100)
    assert outbox.aside is None
    alerts = [event.alert for event in outbox.standing()]
    assert alerts == [f"a{number}" for number in range(1, len(alerts) + 1)]
    assert len(alerts) in (said.count("c"), said.count("c") + 1)
    assert [(one.event.alert, one.verdict) for one in read_labelled(folder / "alerts.db")] == [
        (alert, "bad") for alert in alerts
    ], "a label is there with its alert"
    due = {name: outbox.cursor(name, mirrors=False).sendable(100) for name in ("mqtt", "stuck")}
    assert [one.event.alert for one in due["stuck"]] == alerts
    waiting = [one.event.entry for one in due["mqtt"]]
    n_removed = len(alerts) - len(waiting)
    assert waiting == list(range(n_removed + 1, len(alerts) + 1)), "with its alert, and in order"
    assert n_removed in (said.count("r"), said.count("r") + 1)
    contents: list[bytes] = []
    _, refused = snapshot.restore(StateFolder(folder), contents.append)
    assert refused == []
    newest = int(contents[0]) if contents else 0
    assert newest in (said.count("s"), said.count("s") + 1)
