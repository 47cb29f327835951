"""Lives of kept_process.py, as its parent sees them."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

ROOT = Path(__file__).parents[2]
At = Callable[[int], AbstractContextManager[object]]


class Lives:
    """Lives over one folder after the other, of a child that has loaded everything once."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.kept_process"]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def close(self) -> None:
        self._parent.communicate()

    def live(self, mode: str, folder: Path, first: int, at: At | None = None) -> tuple[list[tuple[str, str]], int]:
        """What a life said, word by word, and its exit status; `at` is entered with its process id for as long."""
        self._tell(f"{mode} {folder} {first}")
        pid = int(self._hear()[1])
        with at(pid) if at is not None else nullcontext():
            return self._until_it_ends()

    def _until_it_ends(self) -> tuple[list[tuple[str, str]], int]:
        self._tell("go")
        said = []
        while (line := self._hear())[0] != "x":
            said.append(line)
        return said, int(line[1])

    def _tell(self, line: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(line + "\n")
        self._parent.stdin.flush()

    def _hear(self) -> tuple[str, str]:
        assert self._parent.stdout is not None
        word, _, what = self._parent.stdout.readline().rstrip("\n").partition(" ")
        assert word, "the child has ended"
        return word, what
