"""A bundle is verified in a process of its own, with limits, where an agent runs beside it.

What reading a bundle takes is counted and bounded beforehand (bundle/), and still ONNX Runtime is a large library that
runs a file of somebody else's. A bundle that crashes it, eats the memory or never ends must not take the stream with
it. So at SIGHUP, and for `check` beside a running agent, this module is run as a program: it reads the bundle, loads
and verifies it, and says what it found in one line. Its death is a reason to refuse the bundle, like any other.

At its start the agent verifies in its own process: nothing runs yet that could be hurt, and another process would cost
each start the time to load ONNX Runtime twice.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import msgspec

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.core.model import load_engine
from agent.errors import BundleRefused

CPU_S_MAX = 60  # verification is bounded at some ten seconds of one core, of a slow gateway some more
TIME_S_MAX = 120.0
MEMORY_BYTES_MAX = 2**30  # of addresses; 230 MB are what an ordinary bundle takes
ANSWER_BYTES_MAX = 65_536
VERIFIED_MAX = 100  # bundles that are remembered
NEXT_STEP = "It may be broken or hostile: make it anew with `forewarn-train fit`, or keep the one that runs."


class Verdict(msgspec.Struct, frozen=True):
    """What the other process says: `what` is wrong, "" for nothing."""

    what: str = ""
    next_step: str = ""


class BundlesApart:
    """Reads bundles that another process has verified; the bytes of one that was fine are not verified twice."""

    def __init__(self) -> None:
        self._verified: set[bytes] = set()

    def read(self, path: Path) -> Bundle:
        """Raises BundleRefused, whatever the bytes are and whatever they do."""
        digest = _digest(path)
        if digest not in self._verified:
            verify_apart(path)
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            self._verified.add(digest)
        return file.read(path)


def verify_apart(path: Path) -> None:
    """Raises BundleRefused for one that is refused, or that ends its verification otherwise than by passing it."""
    command = [sys.executable, "-P", "-m", "agent.config.bundle_apart", str(path.absolute())]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # each would take addresses
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **threads},
    ) as process:
        assert process.stdout is not None
        end = threading.Timer(TIME_S_MAX, process.kill)
        end.daemon = True
        end.start()
        try:
            answer = process.stdout.read(ANSWER_BYTES_MAX)
        finally:
            is_late = not end.is_alive()
            end.cancel()
            process.kill()  # it has said what it has to say
    raise_for(path, answer, process.returncode, is_late=is_late)


def raise_for(path: Path, answer: bytes, returncode: int, *, is_late: bool) -> None:
    """Raise BundleRefused unless the answer is that of a bundle that is fine."""
    try:
        verdict = msgspec.json.decode(answer, type=Verdict)
    except msgspec.MsgspecError:
        verdict = Verdict(f"the process that verified it {_end(returncode, is_late=is_late)}", NEXT_STEP)
    if verdict.what:
        raise BundleRefused(path, verdict.what, next_step=verdict.next_step or NEXT_STEP)


def _end(returncode: int, *, is_late: bool) -> str:
    if is_late:
        return f"did not end within {TIME_S_MAX:.0f} s"
    if returncode == -signal.SIGXCPU:
        return f"took more than {CPU_S_MAX} s of the processor"
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with {returncode}"


def _digest(path: Path) -> bytes:
    """Of the file's bytes; of one that cannot be read, or is too large, nothing that was verified."""
    try:
        with path.open("rb") as opened:
            return sha256(opened.read(file.FILE_BYTES_MAX + 1)).digest()
    except OSError:
        return b""


# The other process ----------------------------------------------------------------------------------------------------


def main(path: Path) -> None:
    """Verify the bundle and say what came of it."""
    _limit()
    try:
        load_engine(file.read(path))
        verdict = Verdict()
    except BundleRefused as error:
        verdict = Verdict(error.what, error.next_step)
    except MemoryError:
        verdict = Verdict(f"verifying it takes more than {MEMORY_BYTES_MAX // 2**20} MiB of memory", NEXT_STEP)
    sys.stdout.buffer.write(msgspec.json.encode(verdict))
    sys.stdout.buffer.flush()


def _limit() -> None:
    """Where memory is short all the same, the kernel ends this process first."""
    resource.prlimit(0, resource.RLIMIT_CORE, (0, 0))
    resource.prlimit(0, resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX + 5))
    resource.prlimit(0, resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    with suppress(OSError):  # a kernel without it
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
