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
    ],
)
def test_every_bound_holds_and_topics_count_as_bytes(monkeypatch, bound, of, n_bytes, adds):
    monkeypatch.setattr(backlog, bound, of)
    one = Backlog()
    assert [(device, one.add(device, row(0, n_bytes))) for device, _ in adds] == adds


def test_a_topic_counts_as_the_bytes_that_it_has_in_the_journal():
    text = Row("\N{SNOWFLAKE}" * 5, b"xx", 1)
    assert (text.n_bytes, row(1, 3).n_bytes) == (17, 4)
    assert [Backlog(n_bytes).add(A, text) for n_bytes in (16, 17)] == [False, True]


def test_the_bound_of_all_bytes_is_that_of_the_backlog():
    one = Backlog(22)
    assert [one.add(device, row(0, 10)) for device in (A, B, A, B)] == [True, True, False, False]


def test_the_oldest_make_room_and_the_hole_stands_before_the_rest(monkeypatch):
    monkeypatch.setattr(backlog, "ROWS_OF_ONE_MAX", 3)
    one = Backlog()
    assert [one.add_newest(A, row(number)) for number in (1, 2, 3)] == [0, 0, 0]
    assert one.add_newest(A, row(4)) == 2, "the hole takes a place itself"
    assert one.add_newest(A, row(5)) == 1
    assert (one.n_rows, one.take(9)) == (2, ([row(4), row(5)], [A]))
    assert not one


def test_the_oldest_go_over_a_hole_that_stands_between(monkeypatch):
    monkeypatch.setattr(backlog, "ROWS_OF_ONE_MAX", 4)
    one = Backlog()
    one.add_newest(A, row(1))
    one.lose_rows(A)
    for number in (2, 3, 4):
        one.add_newest(A, row(number))
    assert one.take(9) == ([row(2), row(3), row(4)], [A]), "two holes became one"


def test_where_others_leave_no_room_the_newest_row_itself_is_shed(monkeypatch):
    monkeypatch.setattr(backlog, "ROWS_MAX", 2)
    one = Backlog()
    fill(one, B, 11)
    monkeypatch.setattr(backlog, "ROWS_MAX", 1)
    assert (one.add_newest(A, row(1)), one.n_rows, one.n_bytes) == (1, 1, 1)
    assert one.take(9) == ([row(11)], [A])


def test_a_lost_row_of_a_device_of_which_none_wait_is_a_hole():
    one = Backlog()
    one.lose_rows(A)
    fill(one, A, 1)
    assert one.take(9) == ([row(1)], [A])


@pytest.mark.parametrize("n_hogs", [1, 5, 40])
@pytest.mark.parametrize("policy", ["newest", "oldest"])
def test_however_many_hogs_there_are_they_leave_room_for_another_device(monkeypatch, n_hogs, policy):
    """Each sends far more than all may wait; then one comes that sends ten rows."""
    monkeypatch.setattr(backlog, "ROWS_MAX", 1000)
    monkeypatch.setattr(backlog, "ROWS_OF_ONE_MAX", 400)
    one = Backlog()
    for number in range(1000):
        for hog in range(n_hogs):
            device = ("press", f"hog{hog}")
            if policy == "oldest":
                one.add_newest(device, row(number))
            else:
                one.add(device, row(number))
    assert one.n_rows <= 1000
    assert fill(one, A, *range(10)) == [True] * 10


def test_what_is_left_for_the_devices_of_some_sources():
    one = Backlog()
    assert one.room({"press"}) == (backlog.ROWS_OF_ONE_MAX, backlog.BYTES_OF_ONE_MAX)
    one.add(A, row(1, 9))
    one.add(("yard", "y1"), row(2, 99))
    one.add(("yard", "y1"), row(3, 99))
    assert one.room({"press"}) == (backlog.ROWS_OF_ONE_MAX - 1, backlog.BYTES_OF_ONE_MAX - 10)
    assert one.room({"press", "yard"}) == (backlog.ROWS_OF_ONE_MAX - 2, backlog.BYTES_OF_ONE_MAX - 200)


@given(st.lists(st.sampled_from(["add a", "add a", "add b", "lose", "lose a", "take"])))
def test_by_the_policy_oldest_the_newest_rows_are_taken_and_a_hole_tells_what_is_not(acts):
    """Against a model: rows in order, None where some are missing; what is taken begins with the hole, if any."""
    one, number = Backlog(), count()
    model: dict[tuple[str, str], list[int | None]] = {A: [], B: []}

    def lose(device):
        if not model[device] or model[device][-1] is not None:
            model[device].append(None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog, "ROWS_OF_ONE_MAX", 4)
        for act in acts:
            device = ("press", act[-1])
            if act.startswith("add"):
                new, waits = next(number), model[device]
                n_shed = 0
                while len(waits) >= 4:
                    first = waits.index(next(one for one in waits if one is not None))
                    waits[: first + 1] = [None]
                    if waits[1:2] == [None]:
                        del waits[1]
                    n_shed += 1
                waits.append(new)
                assert one.add_newest(device, row(new)) == n_shed
            elif act == "lose a":
                lose(A)
                one.lose_rows(A)
            elif act == "lose":
                for each in (A, B):
                    if model[each]:
                        lose(each)
                one.lose_history()
            else:
                rows, holes = one.take(2)
                expected, behind = set(), []
                for each, waits in model.items():
                    if waits[:1] == [None]:
                        behind.append(each)
                        del waits[0]
                    for _ in range(2):
                        if waits and waits[0] is not None:
                            expected.add(waits.pop(0))
                assert (set(numbers(rows)), sorted(holes)) == (expected, sorted(behind))
            waiting = [each for waits in model.values() for each in waits if each is not None]
            assert (one.n_rows, one.n_bytes) == (len(waiting), len(waiting))


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
