"""deploy/forewarn.service: systemd takes it, and the agent runs with what it leaves."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.streams import life

UNIT = Path(__file__).parents[2] / "deploy" / "forewarn.service"
MAY_FAIL = {"mbind", "fchown"}  # a hint of OpenBLAS; SQLite as root, whose files are its user's anyway


def analyze(*args: str) -> str:
    """What systemd-analyze prints. It must end with 0."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def unit(tmp_path) -> Path:
    """A copy whose ExecStart exists."""
    text, n_replaced = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.M)
    assert n_replaced == 1
    path = tmp_path / "forewarn.service"
    path.write_text(text)
    return path


def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_the_exposure_of_the_unit_is_printed(unit, capsys):
    """By systemd's own count from 0 to 10; what is left is mostly that it has a network."""
    overall = analyze("security", "--offline=true", "--no-pager", str(unit)).splitlines()[-1]
    with capsys.disabled():
        sys.stdout.write(f"\n{overall}\n")
    assert "exposure level for forewarn.service" in overall


def allowed_calls() -> set[str]:
    """The system calls that the unit's filter leaves."""
    allowed: set[str] = set()
    for words in re.findall(r"^SystemCallFilter=(.+)", UNIT.read_text(), re.M):
        named = set().union(*(calls(group) for group in words.removeprefix("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


def calls(group: str) -> set[str]:
    """The system calls of a group such as @system-service."""
    if not group.startswith("@"):
        return {group}
    lines = [line.strip() for line in analyze("syscall-filter", group).splitlines()[1:]]
    return set().union(*(calls(line) for line in lines if line and not line.startswith("#")))


@pytest.mark.slow
def test_the_agent_needs_no_call_that_the_unit_takes_away_and_no_writable_code(make_agent, tmp_path):
    """Traced from its first instruction to its end: loaded, an alert raised, reloaded, stopped."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    allowed, trace, agent = allowed_calls(), tmp_path / "trace", make_agent()
    agent.start(under=("strace", "-f", "-qq", "-o", str(trace)))
    agent.wait_until_it_listens()
    agent.feed(life("p1", 60))
    assert agent.log("alert_raised")
    pid = int(trace.read_text().split(maxsplit=1)[0])
    os.kill(pid, signal.SIGHUP)
    agent.wait_for_log("configuration_reloaded")
    os.kill(pid, signal.SIGTERM)
    assert agent.process.wait(20) == 0
    text = trace.read_text()
    used = set(re.findall(r"^\d+ +(\w+)\(", text, re.M))
    assert {"mmap", "fsync", "socket"} <= used
    assert used - allowed <= MAY_FAIL
    assert not re.search(r"PROT_WRITE\|PROT_EXEC|mprotect\(.*PROT_EXEC", text), "MemoryDenyWriteExecute="
