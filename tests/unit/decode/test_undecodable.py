from itertools import accumulate

import numpy as np
import pytest

from agent.decode import undecodable as module
from agent.decode.undecodable import Undecodable


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [7, 0, 13, 20], [39, 1]])
def test_the_share_is_that_of_the_newest_messages_however_they_come(monkeypatch, sizes):
    monkeypatch.setattr(module, "WINDOW", 16)
    monkeypatch.setattr(module, "COUNTED_MIN", 1)
    is_bad = np.random.default_rng(4).random(40) < 0.3
    share = Undecodable()
    for end, size in zip(accumulate(sizes), sizes, strict=True):
        share.add(size, np.flatnonzero(is_bad[end - size : end]).tolist())
        newest = is_bad[max(0, end - 16) : end]
        assert share.share == (newest.mean() if len(newest) else 0)
    assert share.n_messages == 40


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 16)
    share = Undecodable()
    for _ in range(10):
        share.add(100, range(100))
        assert len(share._bad) == 16


def test_the_first_messages_say_little_of_a_source():
    share = Undecodable()
    assert share.share == 0
    share.add(1, [0])
    assert share.share == 0.01
    share.add(199, [0])
    assert share.share == 0.01
