"""The share of a device: its first rows are taken, the rest is beyond it, nobody else's row is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive.backlog import Backlog, Row
from agent.receive.share import SHARE_S, Share

HOG = ("press", "hog")
NOBODY = Backlog()


def whose(topic: str) -> tuple[str, str]:
    """`plant/DEVICE/ANYTHING` is of the source press."""
    levels = topic.split("/")
    return ("press", levels[1]) if levels[0] == "plant" else ("", "")


def share(rows_max: int, *, has_one_topic_a_device: bool = False) -> Share:
    one = Share(rows_max, whose, has_one_topic_a_device=has_one_topic_a_device)
    one.begin(10.0)
    return one


def test_a_device_has_its_first_rows_taken_and_the_others_all_of_theirs():
    topics = ["plant/hog/x", "plant/p1/x", *["plant/hog/x"] * 3, "plant/p2/x"]
    assert share(2).over(topics, NOBODY) == [None, None, None, HOG, HOG, None]


def test_rows_are_counted_by_device_and_not_by_topic():
    topics = ["plant/hog/x", "plant/hog/y", "plant/hog/y", "plant/p1/x"]
    assert share(2).over(topics, NOBODY) == [None, None, HOG, None]


def test_what_belongs_to_no_source_is_left_to_the_core_which_drops_it():
    assert share(1).over(["other/x"] * 5, NOBODY) == []


def test_reads_of_one_share_share_it_with_rows_that_have_waited():
    one = share(4, has_one_topic_a_device=True)
    one.use(["plant/hog/x"])
    assert one.over(["plant/hog/x"] * 2, NOBODY) == []
    assert one.over(["plant/hog/x"] * 2, NOBODY) == [None, HOG]
    assert one.over(["plant/hog/x", "plant/p1/x"], NOBODY) == [HOG, None]
    one.begin(11.0)
    assert one.over(["plant/hog/x"] * 4, NOBODY) == []


def test_while_rows_of_a_device_wait_its_new_ones_are_beyond_its_share():
    waiting = Backlog()
    waiting.add(HOG, Row("plant/hog/x", b"", 0))
    assert share(4, has_one_topic_a_device=True).over(["plant/hog/x", "plant/p1/x"], waiting) == [HOG, None]


def test_a_share_of_which_a_device_wants_more_lasts_twice_as_long_as_its_rows_took():
    one = share(1, has_one_topic_a_device=True)
    assert one.ends_s == 10.0 + SHARE_S
    one.over(["plant/hog/x"], NOBODY)
    one.spend(SHARE_S)
    assert one.ends_s == 10.0 + SHARE_S, "nobody is over it"
    one.over(["plant/hog/x"], NOBODY)
    one.spend(3 * SHARE_S)
    one.spend(100.0)  # by others, when the hog costs nothing any more
    assert one.ends_s == 10.0 + 2 * 4 * SHARE_S


def test_a_share_in_which_waiting_rows_are_taken_lasts_twice_as_long_as_they_took():
    one = share(1)
    one.use(["plant/hog/x"])
    one.spend(SHARE_S)
    assert one.ends_s == 10.0 + 2 * SHARE_S


def test_a_fleet_that_is_busy_all_the_time_is_not_held_back():
    """However long its rows take: nobody is over the share."""
    one = share(2, has_one_topic_a_device=True)
    for number in range(100):
        one.begin(number * SHARE_S)
        assert one.over([f"plant/p{device}/x" for device in range(50)], NOBODY) == []
        one.spend(SHARE_S)
        assert one.ends_s == number * SHARE_S + SHARE_S


def test_no_message_at_all_is_no_fault():
    assert share(1, has_one_topic_a_device=True).over([], NOBODY) == []


@pytest.mark.slow
@given(
    st.lists(st.lists(st.sampled_from(["plant/a/x", "plant/a/y", "plant/b/x", "plant/c/x", "other"]))),
    st.integers(1, 5),
)
def test_whatever_comes_in_one_share_each_device_has_its_first_rows_taken(reads, rows_max):
    one = share(rows_max)
    n_taken = {"a": 0, "b": 0, "c": 0}
    for topics in reads:
        over = one.over(topics, NOBODY) or [None] * len(topics)
        for topic, beyond in zip(topics, over, strict=True):
            device = whose(topic)[1]
            is_taken = not device or n_taken[device] < rows_max
            assert beyond == (None if is_taken else ("press", device))
            if device:
                n_taken[device] += is_taken
