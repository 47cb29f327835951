"""How devices are dealt out when not all of them failed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import fleet
from trainer.data.history import History, numbered
from trainer.data.split import Split, split


def mixed(n: int, *, failed: int) -> list[History]:
    """n devices of which the first `failed` failed."""
    return [one if index < failed else replace(one, t_fail=None) for index, one in enumerate(fleet(n))]


@pytest.mark.parametrize("seed", range(5))
def test_every_part_gets_its_share_of_the_failed_devices(seed: int) -> None:
    parts = split(mixed(40, failed=10), Split(seed=seed, fit=24, calibrate=8, play=8))
    assert [sum(one.failed for one in part) for part in (parts.fit, parts.calibrate, parts.play)] == [6, 2, 2]
    assert len({one.device for part in (parts.fit, parts.calibrate, parts.play) for one in part}) == 40


def test_another_seed_deals_other_devices() -> None:
    first, other = (split(mixed(40, failed=10), Split(seed=seed, fit=24, calibrate=8, play=8)) for seed in (0, 1))
    assert {one.device for one in first.play} != {one.device for one in other.play}


def test_a_refusal_counts_machines_and_not_their_lives() -> None:
    """Six machines of two lives, of which two failed: no part can be made large enough."""
    lives = [replace(one, machine=one.device, device=f"{one.device}~{n}") for one in mixed(6, failed=2) for n in (1, 2)]
    with pytest.raises(DataRefused, match=r"failed; of all 6, 2 did\n .*: record more failures, or .*heads = ") as no:
        split(lives, Split(fit=2, calibrate=2, play=2))
    assert "of the 2 in part" in str(no.value)


def test_a_part_without_a_failure_is_refused_with_the_number_that_would_do() -> None:
    fleet_of_40 = mixed(40, failed=4)
    with pytest.raises(DataRefused, match="no device of the 2 in part 'calibrate' failed; of all 40, 4 did") as no:
        split(fleet_of_40, Split(fit=27, calibrate=2, play=11))
    assert "raise split.calibrate to 11, or record more" in str(no.value)
    for fit in range(11, 19):
        split(fleet_of_40, Split(fit=fit, calibrate=11, play=29 - fit))


def test_one_device_alone_is_refused() -> None:
    with pytest.raises(DataRefused, match=r"split: 1 device, but split.fit \+ calibrate \+ play is 4\n  Lower"):
        split(fleet(1), Split(fit=1, calibrate=2, play=1))


def lived(n_machines: int, n_lives: int, *, start_s: float = 0.0) -> list[History]:
    """Every machine lives `n_lives` times for 40 rows and more, and fails at the end of each."""
    lives = fleet(n_machines)
    return [
        one
        for life in lives
        for one in numbered(life.device, [later(life, start_s + 100 * number) for number in range(n_lives)])
    ]


def later(one: History, by_s: float) -> History:
    return replace(one, t_s=one.t_s + by_s, t_fail=one.t_fail + by_s)


def machines_of(part: Sequence[History]) -> set[str]:
    return {one.owner for one in part}


@pytest.mark.parametrize("seed", range(5))
def test_no_machine_has_lives_in_two_parts(seed: int) -> None:
    """What would leak: the other life of the same machine, with its sensors and what was not replaced."""
    parts = split(lived(14, 3), Split(seed=seed, fit=8, calibrate=3, play=3))
    fit, calibrate, play = map(machines_of, (parts.fit, parts.calibrate, parts.play))
    assert (len(fit), len(calibrate), len(play)) == (8, 3, 3)
    assert not fit & calibrate
    assert not (fit | calibrate) & play
    assert [one.device for one in parts.play[:3]] == [f"{parts.play[0].owner}{life}" for life in ("", "~2", "~3")]
    assert (len(parts.fit), len(parts.play)) == (24, 9)


def test_lives_do_not_stand_for_machines() -> None:
    with pytest.raises(DataRefused, match=r"split: 4 devices, but"):
        split(lived(4, 3), Split(fit=8, calibrate=2, play=2))


def test_a_split_by_time_keeps_the_order_of_time_and_an_embargo() -> None:
    """No part has a row before another part's end and the embargo after it, whatever machine it is of."""
    machines = lived(6, 4)
    parts = split(machines, Split(by="time", fit=5, calibrate=3, play=3), embargo_s=12)
    times = [np.concatenate([one.t_s for one in part]) for part in (parts.fit, parts.calibrate, parts.play)]
    assert times[0].max() + 12 < times[1].min()
    assert times[1].max() + 12 < times[2].min()
    assert all(machines_of(part) == machines_of(machines) for part in (parts.fit, parts.calibrate, parts.play))
    names = [one.device for part in (parts.fit, parts.calibrate, parts.play) for one in part]
    assert len(set(names)) == len(names)


def test_a_life_that_spans_a_date_is_censored_before_it() -> None:
    """Its failure lies in the later part; the earlier one must not know of it."""
    one = lived(1, 1)[0]
    n_rows, t_fail = len(one.t_s), one.t_fail
    many = [replace(one, device=f"m{index}") for index in range(3)]
    parts = split(many, Split(by="time", fit=2, calibrate=2, play=1), embargo_s=2, needs_failures=False)
    assert {life.t_fail for part in (parts.fit, parts.calibrate) for life in part} == {None}
    assert {life.t_fail for life in parts.play} == {t_fail}
    assert sum(len(part[0].t_s) for part in (parts.fit, parts.calibrate, parts.play)) == n_rows - 2 * 2
    with pytest.raises(DataRefused, match="in part 'fit' failed"):
        split(many, Split(by="time", fit=2, calibrate=2, play=1))


def test_an_embargo_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataRefused, match="no row is left for part 'calibrate' once 1000 after each cut are left out"):
        split(lived(3, 1), Split(by="time", fit=2, calibrate=2, play=1), embargo_s=1000)


def test_parts_without_failures_are_dealt_out_where_none_are_needed() -> None:
    alive = mixed(14, failed=0)
    assert len(split(alive, Split(fit=8, calibrate=3, play=3), needs_failures=False).play) == 3
