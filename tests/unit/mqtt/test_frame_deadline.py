"""A packet that grows for ever is found, and nothing else is taken for one. Two keepalives are 10 s."""

from agent.mqtt.frame_deadline import FrameDeadline


def is_over(*asked: tuple[float, int, int]) -> bool:
    """Of (time, packets, bytes) that are asked one after the other."""
    one = FrameDeadline(5)
    return True in [one.is_over(now_s, mark=mark, n_bytes=n_bytes) for now_s, mark, n_bytes in asked]


def test_two_bytes_a_second_and_no_packet_are_over_after_two_keepalives():
    assert not is_over(*((second, 0, 2 * second) for second in range(10)))
    assert is_over(*((second, 0, 2 * second) for second in range(11)))


def test_a_packet_that_ends_silence_and_a_large_packet_on_a_slow_line_are_not():
    assert not is_over(*((second, second // 9, 2 * second) for second in range(100))), "packets end"
    assert not is_over(*((second, 0, 100) for second in range(100))), "nothing comes: that is the keepalive's"
    assert not is_over(*((second, 0, 1000 * second) for second in range(10_000))), "it grows"


def test_who_has_not_read_meanwhile_begins_anew():
    assert not is_over((0, 0, 0), (1, 0, 2), (1000, 0, 4), (1001, 0, 6))


def test_another_connection_begins_anew():
    assert not is_over(*((second, (second > 8) * 10, 2 * (second % 9)) for second in range(15)))
