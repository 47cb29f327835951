"""The share of a device: its first rows stay, the rest is shed and counted, nobody else's row is touched."""

from hypothesis import given
from hypothesis import strategies as st

from agent.receive.share import SHARE_S, Share
from agent.words import Shed


def whose(topic: str) -> tuple[str, str]:
    """`plant/DEVICE/ANYTHING` is of the source press."""
    levels = topic.split("/")
    return ("press", levels[1]) if levels[0] == "plant" else ("", "")


def share(rows_max: int, *, has_one_topic_a_device: bool = False) -> Share:
    return Share(rows_max, whose, has_one_topic_a_device=has_one_topic_a_device)


def test_a_device_keeps_its_first_rows_and_the_others_all_of_theirs():
    topics = ["plant/hog/x", "plant/p1/x", *["plant/hog/x"] * 3, "plant/p2/x"]
    kept, shed = share(2).over(topics, 0.0)
    assert kept == [True, True, True, False, False, True]
    assert shed == [Shed("press", "hog", "plant/hog/x", n_rows=4, n_shed=2)]


def test_rows_are_counted_by_device_and_not_by_topic():
    topics = ["plant/hog/x", "plant/hog/y", "plant/hog/y", "plant/p1/x"]
    kept, shed = share(2).over(topics, 0.0)
    assert kept == [True, True, False, True]
    assert shed == [Shed("press", "hog", "plant/hog/y", n_rows=3, n_shed=1)]


def test_what_belongs_to_no_source_is_left_to_the_core_which_drops_it():
    assert share(1).over(["other/x"] * 5, 0.0) == ([], [])


def test_small_reads_in_a_row_share_one_share_and_a_later_one_has_its_own():
    one = share(3, has_one_topic_a_device=True)
    assert one.over(["plant/hog/x"] * 2, 0.0) == ([], [])
    kept, shed = one.over(["plant/hog/x"] * 2, SHARE_S / 2)
    assert kept == [True, False]
    assert shed == [Shed("press", "hog", "plant/hog/x", n_rows=2, n_shed=1)]
    assert one.over(["plant/hog/x", "plant/p1/x"], SHARE_S / 2)[0] == [False, True]
    assert one.over(["plant/hog/x"] * 3, SHARE_S) == ([], [])


def test_a_share_in_which_something_was_shed_lasts_twice_as_long_as_its_rows_took():
    one = share(1, has_one_topic_a_device=True)
    one.over(["plant/hog/x"], 10.0)
    one.spend(SHARE_S)
    assert one.over(["plant/hog/x"], 10.0)[0] == [False]
    one.spend(3 * SHARE_S)
    one.spend(100.0)  # by others, when the hog costs nothing any more
    assert one.over(["plant/hog/x", "plant/p1/x"], 10.0 + 7.9 * SHARE_S)[0] == [False, True]
    assert one.over(["plant/hog/x"], 10.0 + 8.1 * SHARE_S) == ([], [])
    assert one.over(["plant/p1/x"], 10.0 + 9.2 * SHARE_S) == ([], []), "the next one is an ordinary one"


def test_a_fleet_that_is_busy_all_the_time_sheds_nothing():
    """However long its rows take: nobody is over the share."""
    one = share(2, has_one_topic_a_device=True)
    for number in range(100):
        assert one.over([f"plant/p{device}/x" for device in range(50)], number * SHARE_S) == ([], [])
        one.spend(SHARE_S)


def test_no_message_at_all_is_no_fault():
    assert share(1, has_one_topic_a_device=True).over([], 0.0) == ([], [])


@given(
    st.lists(st.lists(st.sampled_from(["plant/a/x", "plant/a/y", "plant/b/x", "plant/c/x", "other"]))),
    st.integers(1, 5),
)
def test_whatever_comes_in_one_share_each_device_keeps_its_first_rows(reads, rows_max):
    one = share(rows_max)
    n_kept = {"a": 0, "b": 0, "c": 0}
    for topics in reads:
        kept, shed = one.over(topics, 0.0)
        n_shed = 0
        for topic, stays in zip(topics, kept or [True] * len(topics), strict=True):
            device = whose(topic)[1]
            if device:
                assert stays == (n_kept[device] < rows_max)
                n_kept[device] += stays
            else:
                assert stays
            n_shed += not stays
        assert sum(one.n_shed for one in shed) == n_shed
