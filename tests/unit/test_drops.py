"""Drops as columns: what is counted, and which of them get a name and a text."""

from collections import Counter

import numpy as np

from agent.drops import NO_SOURCE, Drops, count_drops, used_readings, without_idle_doubts
from agent.words import Drop


def drops(reason, *rows):
    """A row is (message, source, device, span in s)."""
    message, source, device, span_s = zip(*rows, strict=True)
    columns = (np.array(message), np.array(source), np.array(device, np.object_))
    return Drops(reason, *columns, "{:g} s before".format, (np.array(span_s),))


def test_all_are_counted_and_the_last_of_each_source_and_reason_is_told():
    topics, names, counts = [f"t{number}" for number in range(6)], ["press", "oven"], Counter({("oven", "late"): 1})
    late = drops("late", (0, 0, "p1", 1.5), (1, 1, "o1", 2.5), (2, 0, "p2", 3.5), (3, NO_SOURCE, "", 4.5))
    again = drops("late", (4, 0, "p3", 5.5))
    future = drops("future", (5, 0, "p3", 6.5))
    assert count_drops([late, again, future], topics, names, counts, samples_max=9) == [
        Drop("press", "p3", "t4", "late", "5.5 s before"),
        Drop("oven", "o1", "t1", "late", "2.5 s before"),
        Drop("", "", "t3", "late", "4.5 s before"),
        Drop("press", "p3", "t5", "future", "6.5 s before"),
    ]
    assert counts == {("press", "late"): 3, ("oven", "late"): 2, ("", "late"): 1, ("press", "future"): 1}


def test_texts_are_made_for_samples_only():
    made = []
    group = Drops(
        "late", np.arange(1000), np.zeros(1000, np.int64), np.full(1000, "p", object), made.append, (range(1000),)
    )
    (sample,) = count_drops([group.shifted(5)], [f"t{number}" for number in range(1005)], ["press"], Counter(), 64)
    assert (made, sample.topic) == ([999], "t1004")


def test_samples_are_bounded():
    rows = [(number, number, "p", 1.0) for number in range(100)]
    names = [f"s{number}" for number in range(100)]
    counts = Counter()
    samples = count_drops([drops("late", *rows), drops("late", *rows)], names, names, counts, samples_max=10)
    assert [sample.source for sample in samples] == names[:10]
    assert counts.total() == 200


def test_a_message_is_used_when_one_of_its_readings_is():
    message = np.array([0, 0, 1, 2, 2])
    late, doubt = (
        drops("late", (0, 0, "p", 1.0), (2, 0, "p", 1.0), (2, 0, "q", 1.0)),
        drops("mixed_rows", (1, 0, "p", 1.0)),
    )
    assert used_readings(message, [late, doubt]).tolist() == [True, True, True, False, False]
    assert used_readings(message, [doubt]) is None


def test_doubts_stay_with_messages_that_are_used():
    doubts = drops("extra_channel", (0, 0, "p", 1.0), (1, 0, "q", 2.0))
    late = drops("late", (1, 0, "q", 1.0))
    kept = without_idle_doubts([doubts, late], [0])
    assert [(group.reason, group.device.tolist()) for group in kept] == [("extra_channel", ["p"]), ("late", ["q"])]
    assert kept[0].sample(0, ["t0", "t1"], ["press"]).detail == "1 s before"
