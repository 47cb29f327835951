"""Rows wait in the order of their device, within bounds, and where history is lost in between is never forgotten."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive import backlog
from agent.receive.backlog import Backlog, Row

A, B = ("press", "a"), ("press", "b")


def row(number: int, n_bytes: int = 0) -> Row:
    return Row("t", b"x" * n_bytes, number)


def fill(one: Backlog, device: tuple[str, str], *numbers: int) -> list[bool]:
    return [one.add(device, row(number)) for number in numbers]


def numbers(rows: list[Row]) -> list[int]:
    return [one.arrived_ns for one in rows]


def test_devices_take_turns_and_each_keeps_its_order():
    one = Backlog()
    fill(one, A, 1, 2, 3)
    fill(one, B, 11)
    rows, holes = one.take(2)
    assert (numbers(rows), holes, one.n_rows, A in one, B in one) == ([1, 11, 2], [], 1, True, False)
    rows, holes = one.take(2)
    assert (numbers(rows), holes, one.n_rows, one.n_bytes, bool(one)) == ([3], [], 0, 0, False)


def test_rows_on_both_sides_of_a_loss_are_not_taken_together():
    one = Backlog()
    fill(one, A, 1)
    one.lose_history()
    one.lose_history()
    fill(one, A, 2)
    fill(one, B, 11)
    assert one.take(9) == ([row(1), row(11)], [])
    assert one.take(9) == ([row(2)], [A])
    assert not one


def test_once_a_row_was_shed_all_are_until_those_that_wait_are_taken(monkeypatch):
    """One long gap, and not many small ones; it is told even where no row of the device follows."""
    monkeypatch.setattr(backlog, "ROWS_OF_ONE_MAX", 3)
    one = Backlog()
    assert fill(one, A, 1, 2, 3, 4) == [True, True, True, False]
    assert one.take(2) == ([row(1), row(2)], [])
    assert (fill(one, A, 5), fill(one, B, 11)) == ([False], [True])
    assert one.take(2) == ([row(3), row(11)], [])
    assert (fill(one, A, 6), A in one) == ([False], True)
    assert one.take(2) == ([], [A])
    assert (fill(one, A, 7), one.take(2)) == ([True], ([row(7)], []))


@pytest.mark.parametrize(
    ("bound", "of", "n_bytes", "adds"),
    [
        ("ROWS_OF_ONE_MAX", 2, 0, [(A, True), (A, True), (A, False), (B, True)]),
        ("BYTES_OF_ONE_MAX", 22, 10, [(A, True), (A, True), (A, False), (B, True)]),
        ("ROWS_MAX", 2, 0, [(A, True), (B, True), (A, False), (B, False)]),
        ("BYTES_MAX", 22, 10, [(A, True), (B, True), (A, False), (B, False)]),
    ],
)
def test_every_bound_holds_and_topics_count_as_bytes(monkeypatch, bound, of, n_bytes, adds):
    monkeypatch.setattr(backlog, bound, of)
    one = Backlog()
    assert [(device, one.add(device, row(0, n_bytes))) for device, _ in adds] == adds


@given(st.lists(st.sampled_from(["add a", "add a", "add a", "add b", "lose", "take"])))
def test_whatever_happens_each_row_is_taken_in_order_or_a_hole_stands_in_its_place(acts):
    one, number = Backlog(), count()
    in_order: dict[tuple[str, str], list[int | None]] = {A: [], B: []}  # None: history was lost here
    taken: dict[tuple[str, str], list[int | None]] = {A: [], B: []}
    owner = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog, "ROWS_OF_ONE_MAX", 4)
        for act in [*acts, *["take"] * (len(acts) + 1)]:
            if act == "take":
                rows, holes = one.take(2)
                for device in holes:
                    taken[device].append(None)
                for got in rows:
                    taken[owner[got.arrived_ns]].append(got.arrived_ns)
            elif act == "lose":
                for device in (A, B):
                    if device in one and in_order[device][-1] is not None:
                        in_order[device].append(None)
                one.lose_history()
            else:
                device = ("press", act[-1])
                new = next(number)
                owner[new] = device
                if one.add(device, row(new)):
                    in_order[device].append(new)
                elif in_order[device][-1] is not None:
                    in_order[device].append(None)
    assert (taken, one.n_rows, one.n_bytes, bool(one)) == (in_order, 0, 0, False)
