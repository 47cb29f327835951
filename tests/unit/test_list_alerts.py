"""`forewarn alerts` lists what stands and tells each change, from the state directory."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.list_alerts import POLL_S, by_key, changes
from agent.store.alert_table import Rows
from agent.store.outbox import Outbox
from agent.words import UNKNOWN_BUNDLE, Hide
from tests.alert_events import CYCLES, event

pytestmark = pytest.mark.slow

HOURLY = msgspec.structs.replace(CYCLES, name="hourly", digest="c" * 64, time_unit="s", horizons=("1 h", "6 h", "1 d"))
TIMEOUT_S = 20.0


def as_listed(event):
    """The event as JSON, with a list for each head where the table has one object of them."""
    told = json.loads(msgspec.json.encode(event))
    return told | told.pop("outputs")


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, args)])


def test_standing_alerts_are_listed_beside_a_running_agent(tmp_path):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    stands, ended = event("raised", "ab12", t=57.0, device="p7"), event("raised", "cd34", t=5.0, device="p8")
    outbox.commit([stands, ended])
    outbox.commit([event("cleared", "cd34", t=9.0, device="p8")])
    done = run("--state-dir", tmp_path)
    assert done.exit_code == 0
    risks = "risk 15 cycles 0.10, 30 cycles 0.30, 60 cycles 0.70"
    shown = f"minor    p7                       press        {risks}  since cycle 57  ab12"
    assert done.stdout == f"{shown}\n"
    assert done.stderr == "1 standing\n"
    as_json = run("--state-dir", tmp_path, "--json")
    more = {"horizons": list(CYCLES.horizons), "raised_t": 57, "label": ""}
    assert json.loads(as_json.stdout) == [as_listed(stands) | more]
    outbox.commit([event("cleared", "ab12", t=60.0, device="p7")])  # it was not locked by the reader
    assert json.loads(run("--state-dir", tmp_path, "--json").stdout) == []


@pytest.mark.parametrize(
    ("bundle", "decided_by", "shown", "horizons", "raised_t"),
    [
        (HOURLY, None, "1 h 0.10, 6 h 0.30, 1 d 0.70  since 1970-01-01T00:00:57+00:00", HOURLY.horizons,
         "1970-01-01T00:00:57+00:00"),
        (CYCLES, HOURLY, "1 h 0.10, 6 h 0.30, 1 d 0.70  since cycle 57  ab12", HOURLY.horizons, 57),
        (UNKNOWN_BUNDLE, None, "horizon 1 0.10, horizon 2 0.30, horizon 3 0.70  since 57 (seconds or cycles: ",
         ("horizon 1", "horizon 2", "horizon 3"), 57),
    ],
    ids=["clock", "updated by another bundle", "of an older version"],
)  # fmt: skip
def test_horizons_and_times_are_those_of_the_alerts_own_bundles(
    tmp_path, bundle, decided_by, shown, horizons, raised_t
):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    stands = event("raised", "ab12", t=57.0, device="p7", bundle=bundle)
    outbox.commit([msgspec.structs.replace(stands, decided_by=decided_by)])
    assert shown in run("--state-dir", tmp_path).stdout
    (told,) = json.loads(run("--state-dir", tmp_path, "--json").stdout)
    assert (told["horizons"], told["raised_t"], told["bundle"]["name"]) == (list(horizons), raised_t, bundle.name)


def test_a_state_directory_without_a_table_is_named(tmp_path):
    done = run("--state-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"{tmp_path / 'alerts.db'}: is not there" in done.stderr
    assert list(tmp_path.iterdir()) == [], "asking makes no file"


def test_changes_are_told_once_and_in_the_order_of_their_time():
    """What stood before is `standing`; a row that vanishes is `gone` only where it stood."""
    a, b = event("raised", "a", t=5.0, device="p1"), event("cleared", "b", t=6.0, device="p2")
    rows = Rows([a, b])
    assert list(changes(None, rows)) == [("standing", a)]
    assert list(changes(by_key(rows), rows)) == []
    later = event("raised", "c", t=8.0, device="p2")
    cleared = msgspec.structs.replace(event("cleared", "a", t=9.0, device="p1"), sequence=2)
    assert list(changes(by_key(rows), Rows([cleared, later]))) == [("raised", later), ("cleared", cleared)]
    worse = msgspec.structs.replace(a, kind="updated", sequence=2)
    assert list(changes(by_key(rows), Rows([worse, b]))) == [("updated", worse)]
    assert list(changes(by_key(rows), Rows([]))) == [("gone", a)]


def test_alerts_of_two_sources_and_of_two_models_are_told_apart():
    """One device id and head."""
    a = event("raised", "ab12", t=5.0)
    others = [
        msgspec.structs.replace(a, alert="cd34", source="oven"),
        msgspec.structs.replace(a, alert="ef56", model="next"),
    ]
    rows = Rows([a, *others])
    assert len(by_key(rows)) == 3
    assert list(changes(by_key(rows), Rows([a]))) == [("gone", one) for one in others]


class Watching:
    """`forewarn alerts --watch` as a process whose output is a pipe, or a terminal."""

    def __init__(self, folder, *options: str, terminal: bool = False) -> None:
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        command = [sys.executable, "-m", "agent.cli", "alerts", "--watch", "--state-dir", str(folder), *options]
        self.process = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        self.said = ""

    def wait_for(self, pattern: str) -> str:
        """All that was said, once the pattern is in it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, self.said):
            assert select.select([self.reader], [], [], deadline - time.monotonic())[0], self.said
            self.said += os.read(self.reader, 65_536).decode()
        return self.said

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C; exit code and standard error."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, said


@pytest.fixture
def watch(tmp_path):
    made: list[Watching] = []

    def start(*options: str, terminal: bool = False) -> Watching:
        made.append(Watching(tmp_path, *options, terminal=terminal))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()
        os.close(one.reader)


def test_in_a_pipe_each_change_is_a_line(tmp_path, watch):
    """What stands, then each change; Ctrl-C is a good end."""
    outbox = Outbox(tmp_path / "alerts.db", 100)
    outbox.commit([event("raised", "ab12", t=57.0, device="p7")])
    one = watch()
    one.wait_for("standing .*ab12\n")
    outbox.commit([event("raised", "cd34", t=58.0, device="p8")])
    one.wait_for("raised .*cd34\n")
    outbox.commit([msgspec.structs.replace(event("cleared", "ab12", t=60.0, device="p7"), sequence=2)])
    lines = one.wait_for("cleared .*ab12\n").splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("raised    minor    p8 ")
    assert one.interrupt() == (0, "")


def test_in_a_pipe_with_json_each_change_is_one_object(tmp_path, watch):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    one = watch("--json")
    raised = event("raised", "ab12", t=57.0, device="p7")
    outbox.commit([raised])
    told = json.loads(one.wait_for("\n"))
    assert told.pop("change") in ("raised", "standing")
    assert told == as_listed(raised) | {"horizons": list(CYCLES.horizons), "raised_t": 57}


def test_a_watch_begins_before_the_agent_does_and_outlives_a_table_that_is_begun_anew(tmp_path, watch):
    one = watch()
    assert one.process.stderr.readline() == f"{tmp_path / 'alerts.db'}: is not there; waiting\n"
    assert not select.select([one.process.stderr], [], [], 3 * POLL_S)[0], "it is said once"
    Outbox(tmp_path / "alerts.db", 100).commit([event("raised", "ab12", t=57.0)])
    one.wait_for("(standing|raised) .*ab12\n")  # it may look while the table is there and the alert is not yet
    (tmp_path / "alerts.db").rename(tmp_path / "aside")
    for ending in ("-wal", "-shm"):
        (tmp_path / f"alerts.db{ending}").unlink(missing_ok=True)
    Outbox(tmp_path / "alerts.db", 100).commit([event("raised", "cd34", t=58.0, device="p2")])
    one.wait_for("raised .*cd34\n")
    assert "gone " in one.said
    assert one.interrupt()[0] == 0


def test_on_a_terminal_the_list_is_drawn_anew_with_each_change(tmp_path, watch):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    outbox.commit([event("raised", "ab12", t=57.0, device="p7")])
    one = watch(terminal=True)
    one.wait_for("1 standing; Ctrl-C ends")
    one.said = ""
    outbox.commit([event("raised", "cd34", t=58.0, device="p8")])
    shown = one.wait_for("2 standing; Ctrl-C ends")
    assert "ab12" in shown
    assert "cd34" in shown
    assert "\x1b[2J" in shown
    assert one.interrupt()[0] == 0


def test_what_is_hidden_is_listed_whether_an_alert_stands_or_not(tmp_path):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    shelved = Hide("shelved", 10**18, 10**18 + 3600 * 10**9, "anna", "sensor\nis wet")
    wide = Hide("suppressed", 10**18, 0)
    of_head, of_source = ("press", "p7", "main", "risk"), ("press", "", "", "")
    outbox.commit([], hidden=[(of_head, "shelved", shelved), (of_source, "suppressed", wide)])
    done = run("hidden", "--state-dir", tmp_path)
    since = "since 2001-09-09T01:46:40+00:00  until"
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            f"suppressed     *                        press        all alerts  {since} somebody ends it",
            f"shelved        p7                       press        main risk  {since} 2001-09-09T02:46:40+00:00"
            r"  by anna  sensor\nis wet",
        ],
    )
    assert run("--state-dir", tmp_path).stderr == "0 standing; 2 hidden: `forewarn alerts hidden` lists them\n"
    listed = json.loads(run("hidden", "--state-dir", tmp_path, "--json").stdout)
    assert [(one["device"], one["until"], one["by"]) for one in listed] == [
        ("", None, ""),
        ("p7", "2001-09-09T02:46:40+00:00", "anna"),
    ]


def test_no_name_of_others_commands_the_terminal(tmp_path):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    hide = Hide("shelved", 10**18, 0, "\x1b[2Janna", "größer\n")
    outbox.commit(
        [event("raised", "ab12", t=57.0, device="p\x1b[2J7")], hidden=[(("press", "p\x07", "", ""), "shelved", hide)]
    )
    for listed in (run("--state-dir", tmp_path), run("hidden", "--state-dir", tmp_path)):
        assert (listed.exit_code, listed.stdout.rstrip("\n").isprintable()) == (0, True)
    assert r"größer\n" in listed.stdout
