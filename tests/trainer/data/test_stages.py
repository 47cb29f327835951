"""What a training is at: lines in a file or a pipe, a bar on a terminal."""

import io
import re
import sys

import numpy as np
import pytest

from trainer.data.history import History
from trainer.data.stages import size, stage, steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def walk(n: int, done: int = 0) -> None:
    with steps("epochs", n, done) as step:
        for number in range(done, n):
            step({"loss": f"{number}"})


def test_a_stage_is_a_line_with_the_time_since_the_program_began(capsys: pytest.CaptureFixture[str]) -> None:
    history = History("p1", np.arange(1234.0), np.zeros((1234, 1), np.float32), None)
    stage(f"plays {size([history])}")
    stage(f"plays {size([history, history])}")
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\[\d+:[0-5]\d\] plays 1 device, 1,234 rows", first)
    assert second.endswith("plays 2 devices, 2,468 rows")


def test_many_steps_are_told_by_tenths_where_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    walk(25)
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said[0] == "epochs: 3 of 25, loss 2"
    assert [int(line.split()[1]) for line in said] == [3, 5, 8, 10, 13, 15, 18, 20, 23]
    walk(25, done=21)
    assert capsys.readouterr().err.count("epochs:") == 1
    walk(9)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    walk(20)
    assert "epochs:" in terminal.getvalue()
    assert "20/20" in terminal.getvalue()
    assert "epochs: 3 of" not in terminal.getvalue()
