"""The update gate is the memory of a GRU."""

from tests.trainer.model.cells.started import bias_of, started
from trainer.model.cells.gru import Gru


def test_memories_start_at_the_update_gate() -> None:
    made = Gru(4, 256)
    assert bias_of(started(made, "forget_one")).tolist() == [0.0] * 256 + [1.0] * 256 + [0.0] * 256
    bias = bias_of(started(made, "chrono"))
    rows = 1 + bias[256:512].exp()
    assert 2.0 <= rows.min() < 5.0
    assert 90.0 < rows.max() <= 100.0
    assert not bias[:256].any()
    assert not bias[512:].any()
