"""Faults below Python: system calls that fail, wait or kill (strace), and a disk of a few pages (tmpfs)."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conftest import require


class Attached:
    """While it is entered, strace is at a running process, with these options."""

    def __init__(self, pid: int, *options: str) -> None:
        self._command = ["strace", "-f", "-p", str(pid), *options]

    def __enter__(self) -> Self:
        self._tracer = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._tracer.stderr is not None
        assert "attached" in self._tracer.stderr.readline()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._tracer.terminate()
        self._tracer.communicate()


def failing(pid: int, *faults: str, paths: Iterable[Path] = ()) -> Attached:
    """System calls of it fail.

    faults  as strace says them: `fsync:signal=KILL:when=3`, `write:error=ENOSPC:when=40+`, `fsync:delay_exit=300000`
            (microseconds); `when` counts in each thread
    paths  calls on these files alone, those that the process has open and those it names; all where there are none
    """
    of_paths = [part for path in paths for part in ("-P", str(path))]
    calls = ",".join(fault.partition(":")[0] for fault in faults)
    inject = [part for fault in faults for part in ("-e", f"inject={fault}")]
    return Attached(pid, *of_paths, "-o", "/dev/null", "-e", f"trace={calls}", *inject)


def traced(pid: int, calls: str, to: Path) -> Attached:
    """What it calls of `calls`, with the paths of descriptors, is written to the file `to`."""
    return Attached(pid, "-y", "-s", "16", "-e", f"trace={calls}", "-o", str(to))


def require_strace() -> None:
    can_trace = shutil.which("strace") is not None and _works("strace", "-o", "/dev/null", "true")
    require("strace", can_trace, "strace is not installed, or may not trace here")


def require_namespaces() -> None:
    can_mount = _works("unshare", "-rm", "sh", "-c", "mount -t tmpfs none /mnt")
    require("namespaces", can_mount, "a user may not mount a tmpfs of its own here")


def _works(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, check=False, capture_output=True).returncode
    )


class SmallDisk:
    """A tmpfs on `folder` for processes that are started under `under`; it stays when they die.

    It is mounted in a namespace of its own, which needs no root, and which a process that sleeps holds open. `path` is
    the folder as seen from outside.
    """

    def __init__(self, folder: Path, *, size: str = "64k", inodes: int = 1000) -> None:
        require_namespaces()
        folder.mkdir(exist_ok=True)
        self._folder = folder
        mount = (
            f'mount -t tmpfs -o size={size},nr_inodes={inodes},mode=700 none "$0" && echo ready && exec sleep infinity'
        )
        self._holder = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", mount, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self.under = (
            "nsenter",
            "--preserve-credentials",
            "-U",
            "-m",
            "-t",
            str(self._holder.pid),
            f"--wd={os.getcwd()}",
        )
        self.path = Path(f"/proc/{self._holder.pid}/root{folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._holder.kill()
        self._holder.wait()

    def fill(self) -> None:
        """Until not one page is free; a file that is there already takes more."""
        with suppress(OSError), (self.path / "filler").open("ab", buffering=0) as filler:  # ENOSPC
            while True:
                filler.write(bytes(4096))

    def take_all_inodes(self) -> None:
        """Until no file can be made."""
        with suppress(OSError):  # ENOSPC
            for number in range(100_000):
                (self.path / f"filler-{number}").touch()

    def free(self) -> None:
        for file in self.path.glob("filler*"):
            file.unlink()
