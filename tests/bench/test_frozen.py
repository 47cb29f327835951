"""The bench of frozen sensors freezes what it says and counts rows where they belong."""

import numpy as np

from agent.replay.inline import PlayedDevice
from agent.replay.recorded import Recorded
from agent.words import Quality
from bench.frozen import frozen, ok_rows

NAN = np.nan


def test_a_channel_freezes_at_the_newest_value_of_the_first_half():
    x = np.array([[1, 10], [2, 20], [NAN, 30], [4, 40], [5, 50], [6, 60]], np.float32)
    device = Recorded("p1", np.arange(6) * 10**9, x)
    one, since_s = frozen(device, 0)
    assert since_s == 1
    np.testing.assert_array_equal(one.x[:, 0], np.float32([1, 2, 2, 2, 2, 2]))
    np.testing.assert_array_equal(one.x[:, 1], x[:, 1])
    assert np.isnan(device.x[2, 0])


def test_rows_are_counted_before_soon_after_and_long_after():
    quality = np.array([Quality.WARMING_UP, Quality.OK, Quality.OK, Quality.OK, Quality.STUCK, Quality.OK], np.uint8)
    played = PlayedDevice("p1", np.arange(6) * 10**9, quality, {}, ())
    assert ok_rows([played], {"p1": 2.0}, 1.0) == ([1, 2, 1], [2, 2, 2])
