"""The lines on which durability hangs, broken one at a time in a copy of the tree: the tests that are named must fail.

    python -m tests.faults.mutants

A line is found by its text, so one that has moved is found and one that has changed is said. Before that, all tests
that are named are run on the copy as it is.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from bench.result import markdown

ROOT = Path(__file__).parents[2]
TEST_S_MAX, TIMEOUT_S = 100, 900.0  # a test that waits for what a mutant no longer does has failed
STORE, RECEIVE, FAULTS = "tests/unit/store", "tests/unit/receive", "tests/faults"
ORDER = f"{FAULTS}/test_order_of_calls.py"
RECOVERY = f"{STORE}/test_journal_recovery.py"
SIMULATED = "tests/simulation/test_simulation.py::test_whatever_happens_the_alerts_are_those_of_an_undisturbed_life"


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is broken: in the file `path` the text `line`, which is there once, becomes `by`. `tests` must then fail."""

    what: str
    path: str
    line: str
    by: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "an fsync of the journal is skipped",
        "agent/store/journal.py",
        "now.file.sync()",
        "pass",
        (ORDER, f"{RECOVERY}::test_one_read_is_one_sync_and_it_is_before_the_table"),
    ),
    Mutant(
        "the sync of the folder is skipped",
        "agent/store/file.py",
        "        raise\n    disk.sync()\n",
        "        raise\n",
        (ORDER,),
    ),
    Mutant(
        "a message is acknowledged before its record is on the disk",
        "agent/receive/feed.py",
        "                self._log.before_acknowledge()\n",
        "",
        (f"{RECEIVE}/test_feed.py",),
    ),
    Mutant(
        "the table is committed before the journal is on the disk",
        "agent/store/journal_durability.py",
        "            self._journal.sync()\n            self._commits.commit(",
        "            self._commits.commit(",
        (ORDER, f"{RECOVERY}::test_one_read_is_one_sync_and_it_is_before_the_table"),
    ),
    Mutant(
        "redeliveries are not recognised",
        "agent/core/recent.py",
        "        return self._digests.get(packet_id) == digest_of(topic, payload)",
        "        return False",
        (f"{RECEIVE}/test_redelivery.py", f"{RECEIVE}/test_kept_session.py"),
    ),
    Mutant(
        "messages are acknowledged, and the next ones taken, though an alert of theirs was not committed",
        "agent/store/commits.py",
        "            self.is_behind = True\n            raise NotRecorded(str(error)) from error\n",
        "            return\n",
        (f"{FAULTS}/test_disk.py::test_a_table_that_a_persons_shell_holds_is_waited_for",),
    ),
    Mutant(
        "a refused event leaves the outbox as if it had been taken",
        "agent/publish/sender.py",
        "            self._resolve(sent.what, kind, answer.why, now_s)\n\n    def receive",
        "            self._resolve(sent.what, Parked.NO, answer.why, now_s)\n\n    def receive",
        ("tests/unit/publish/test_mqtt.py",),
    ),
    Mutant(
        "`session present` is ignored",
        "agent/mqtt/link_state.py",
        "is_new_session = self.starts_clean or not event.has_session",
        "is_new_session = self.starts_clean",
        ("tests/unit/mqtt/test_link_state.py", f"{RECEIVE}/test_kept_session.py"),
    ),
    Mutant(
        "the snapshot wins over the alert table",
        "agent/store/reconcile.py",
        "core.apply(AlertsKept(standing, newest, hides))",
        "core.apply(AlertsKept([], {}))",
        (f"{STORE}/test_durability.py",),
    ),
    Mutant(
        "what passed while nobody listened is no loss",
        "agent/store/reconcile.py",
        "core.apply(HistoryLost())",
        "pass",
        (f"{SIMULATED}[0-snapshot]",),
    ),
    Mutant(
        "the watchdog is fed by a timer",
        "agent/run.py",
        "self._supervisor.heed(self._stuck(now_s))",
        'self._supervisor.heed("")',
        ("tests/broker/test_supervision.py::test_an_output_that_takes_nothing_starves_the_watchdog",),
    ),
    Mutant(
        "the journal lets go of what the older snapshot needs",
        "agent/store/journal_durability.py",
        "self._journal.let_go(before)",
        "self._journal.let_go(written.entry)",
        (f"{RECOVERY}::test_snapshots_let_go_of_files_but_for_those_that_the_older_one_needs",),
    ),
    Mutant(
        "`applied` is ignored",
        "agent/store/replay.py",
        "self._applied = directory.outbox.applied()",
        "self._applied = 0",
        (f"{RECOVERY}::test_what_was_committed_is_not_committed_again_and_what_was_not_is",),
    ),
    Mutant(
        "the core takes an entry before it is recorded",
        "agent/store/journal_durability.py",
        "self._core.entry, self._record(record)\n        try:\n            taken = self._core.apply(entry)\n",
        'self._core.entry, b""\n        try:\n            taken = self._core.apply(entry)\n'
        "            body = self._record(record)\n",
        (f"{STORE}/test_journal_faults.py::test_a_full_disk_stops_the_stream_and_it_goes_on_when_there_is_room",),
    ),
)


def copy_of_the_tree(to: Path) -> None:
    """What git knows, without the history."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0")[:-1]:
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)


def failure(tree: Path, tests: tuple[str, ...]) -> str:
    """What pytest says of the first one that fails, "" for none. Raises RuntimeError when they cannot be run."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--timeout={TEST_S_MAX}", *tests]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(tests)} cannot be run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout[-3000:] if done.returncode else ""


def try_out(tree: Path, mutant: Mutant) -> str:
    """`killed`, `SURVIVED`, or that its line was not found."""
    file = tree / mutant.path
    before = file.read_text()
    if before.count(mutant.line) != 1:
        return f"LINE NOT FOUND ({before.count(mutant.line)} times)"
    file.write_text(before.replace(mutant.line, mutant.by))
    try:
        return "killed" if failure(tree, mutant.tests) else "SURVIVED"
    finally:
        file.write_text(before)


@click.command()
@click.option("--only", default="", help="Those whose description has this in it.")
def main(only: str) -> None:
    """Try all mutants; print a table; exit 1 when one survives."""
    mutants = [mutant for mutant in MUTANTS if only in mutant.what]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_of_the_tree(tree)
        if said := failure(tree, tuple(sorted({test for mutant in mutants for test in mutant.tests}))):
            raise SystemExit(f"the tests fail without any mutant:\n{said}")
        for mutant in mutants:
            began_s = time.monotonic()
            found = try_out(tree, mutant)
            rows.append((mutant.what, f"`{mutant.path}`", found, f"{time.monotonic() - began_s:.0f} s"))
            click.echo(f"{found}: {mutant.what}", err=True)
    click.echo(markdown(["mutant", "in", "outcome", "time"], rows))
    raise SystemExit(any(row[2] != "killed" for row in rows))


if __name__ == "__main__":
    main()
