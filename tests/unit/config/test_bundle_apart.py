"""A bundle in a process of its own: whatever that does, the bundle is refused with a reason, within a time."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.config import bundle_apart
from agent.config.bundle_apart import BundlesApart, raise_for, verify_apart
from agent.config.examination import Examination
from agent.config.load import Examined
from agent.errors import BundleRefused
from agent.store.lock import is_held, lock
from tests.broker.running_agent import configuration
from tests.bundles import write_small_bundle
from tests.configurations import write_configuration

PATH = Path("x.fwb")


@pytest.fixture
def bundle(tmp_path) -> Path:
    path = tmp_path / "small.fwb"
    write_small_bundle(path)
    return path


@pytest.mark.slow
def test_a_bundle_that_is_fine_is_read_and_verified_once_for_the_same_bytes(bundle, monkeypatch):
    bundles = BundlesApart()
    assert bundles.read(bundle).manifest.name == "small"
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert bundles.read(bundle).manifest.name == "small"
    bundle.write_bytes(bundle.read_bytes() + b"x")
    with pytest.raises(BundleRefused, match="the process that verified it ended with 1"):
        bundles.read(bundle)


@pytest.mark.slow
def test_a_bundle_that_is_refused_says_there_what_it_says_here(bundle):
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(BundleRefused) as here:
        bundle_apart.file.read(bundle)
    with pytest.raises(BundleRefused) as there:
        verify_apart(bundle)
    assert (there.value.where, there.value.what, there.value.next_step) == (
        here.value.where,
        here.value.what,
        here.value.next_step,
    )


ENDS = {
    "a crash": ("kill -SEGV $$", "was ended by SIGSEGV"),
    "the kernel's out of memory": ("kill -KILL $$", "was ended by SIGKILL"),
    "an exit": ("exit 3", "ended with 3"),
    "no end": ("exec sleep 60", "did not end within 1 s"),
    "no end of talking": ("exec yes", "was ended by SIGKILL"),
    "nonsense": ("echo '{\"what\":1}'", "ended with 0"),
}


@pytest.mark.parametrize(("script", "why"), ENDS.values(), ids=ENDS)
def test_every_end_of_the_other_process_is_a_reason(tmp_path, monkeypatch, script, why):
    monkeypatch.setattr(bundle_apart, "TIME_S_MAX", 1.0)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(BundleRefused, match=f"the process that verified it {why}"):
        verify_apart(PATH)


def test_the_limit_of_the_processor_is_named():
    with pytest.raises(BundleRefused, match="took more than 60 s of the processor"):
        raise_for(PATH, b"", -signal.SIGXCPU, is_late=False)


HOSTILE = """
import sys
from pathlib import Path
from agent.config import bundle_apart
bundle_apart.CPU_S_MAX, bundle_apart.MEMORY_BYTES_MAX = 1, 2**29
def read(path):
    while sys.argv[1] == "endless":
        pass
    return bytes(2**29)
bundle_apart.file.read = read
bundle_apart.main(Path("x"))
"""


@pytest.mark.slow
def test_the_limits_hold():
    ended = {
        how: subprocess.run([sys.executable, "-c", HOSTILE, how], capture_output=True, timeout=60, check=False)
        for how in ("endless", "hungry")
    }
    assert ended["endless"].returncode == -signal.SIGXCPU
    said = msgspec.json.decode(ended["hungry"].stdout)
    assert said["what"] == "verifying it takes more than 512 MiB of memory"


def test_who_uses_a_state_directory_is_seen_without_its_lock(tmp_path):
    assert not is_held(tmp_path)
    held = lock(tmp_path)
    assert is_held(tmp_path)
    held.close()
    (tmp_path / "lock").write_text("999999999\n")
    assert not is_held(tmp_path)


def test_an_examination_goes_on_beside_its_caller():
    goes_on = [True]

    def examine() -> Examined:
        while goes_on[0]:
            time.sleep(0.001)
        return Examined(())

    one = Examination(examine)
    assert one.result() is None
    goes_on[0] = False
    one._thread.join(10)
    assert one.result() == Examined(())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_examination_that_fails_is_not_waited_for():
    one = Examination(lambda: {}["fault"])
    one._thread.join(10)
    with pytest.raises(RuntimeError, match="has failed"):
        one.result()


@pytest.mark.slow
def test_check_verifies_apart_where_an_agent_runs(tmp_path, monkeypatch):
    """Where none runs, nobody can be hurt."""
    path = write_configuration(tmp_path, configuration(1883))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert CliRunner().invoke(main, ["check", str(path)], env={}).exit_code == 0
    held = lock(tmp_path / "state")
    result = CliRunner().invoke(main, ["check", str(path)], env={})
    held.close()
    assert result.exit_code == 2
    assert "model[main].bundle" in result.stderr
    assert "the process that verified it ended with 1" in result.stderr
