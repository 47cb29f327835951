"""A device that did not fail, in what is measured over whole devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import Bundle, read
from tests.bundles import write_small_bundle
from trainer.data.history import History, digest_of
from trainer.evaluation.warmup import late_starts


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_small_bundle(tmp_path / "small-1.0.0.fwb"))


def life(n: int, t_fail: float | None) -> History:
    x = np.random.default_rng(0).normal(0, 0.5, (n, 3)).astype(np.float32)
    return History("p1", np.arange(1.0, n + 1), x, t_fail)


def test_late_starts_are_compared_where_the_recording_knows_what_followed(bundle: Bundle) -> None:
    """Of 80 rows, 20 see the whole horizon of 60 ahead without a failure: as if it had failed far off."""
    alive, far = life(80, None), life(80, 1e6)
    found, whole = late_starts(bundle, [alive]), late_starts(bundle, [far])
    assert [len(one.error) for one in found] == [14, 8, 2, *[0] * 10]
    for mine, theirs in zip(found, whole, strict=True):
        n = len(mine.error)
        assert len(theirs.error) == len(theirs.difference)
        for name in ("difference", "error", "whole_error"):
            assert getattr(mine, name).tolist() == getattr(theirs, name)[:n].tolist()


def test_the_digest_tells_another_failure() -> None:
    one = life(9, 9.0)
    assert len({digest_of([replace(one, t_fail=t_fail)]) for t_fail in (9.0, 9.5, None)}) == 3
