"""Peepholes."""

from tests.trainer.model.cells.started import started
from trainer.model.cells.peephole import Peephole


def test_peepholes_start_closed() -> None:
    assert not started(Peephole(4, 16), "chrono")["peepholes"].any()
