"""Snapshots whose header says what cannot be are refused, and never end the agent, at the restore or later."""

import json

import numpy as np
import pytest

from agent.errors import SnapshotRefused
from tests.streams import core, life, take


def parts():
    one = core()
    take(one, life("p1", 60))
    good = one.snapshot()
    end = 16 + int.from_bytes(good[8:16], "little")
    return json.loads(good[16:end]), good[end:]


def packed(header, body):
    head = json.dumps(header).encode()
    return b"FWSTATE\n" + len(head).to_bytes(8, "little") + head + body


def refused(data):
    with pytest.raises(SnapshotRefused):
        core().restore(data)


@pytest.mark.parametrize("dtype", ["(", "f4,", "{}", "(999999999999,)f4", "2147483648f4", "[('a','f4')]"])
def test_a_dtype_that_numpy_cannot_read_is_refused(dtype):
    header, body = parts()
    header["groups"][1]["columns"][0]["dtype"] = dtype
    refused(packed(header, body))


def test_a_width_beyond_all_arrays_of_no_devices_is_refused():
    header, _ = parts()
    header["devices"] = []
    header["groups"][-2]["columns"][0]["width"] = 10**30
    refused(packed(header, b""))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log_time_ns", "next_tick_ns", "new_from_ns", "complete_from_ns", "entry"])
@pytest.mark.parametrize("value", [2**63 - 1, 10**30, -(10**30)])
def test_a_time_beyond_int64_is_refused(name, value):
    header, body = parts()
    header[name] = {"press": value} if name.endswith("_from_ns") else value
    refused(packed(header, body))


def test_a_device_without_a_source_is_none():
    """NO_SOURCE would index the last source's names: the device would be found there, and known to nobody else."""
    header, body = parts()
    group = next(one for one in header["groups"] if one["name"] == "owner")
    assert header["groups"][0] is group, "its array is the first"
    data = packed(header, np.array([-1], np.int64).tobytes() + body[8:])
    refused(data)


@pytest.mark.parametrize(("group", "column"), [("clock", "clock_epoch"), ("model/main/state", "rows")])
def test_a_count_below_zero_is_refused(group, column):
    """An id is made of the epoch's bytes, which a negative one has not."""
    one = core()
    take(one, life("p1", 5))
    getattr(one._stepper.slots.groups[group], column)[0] = -5
    with pytest.raises(SnapshotRefused, match=f"a device's {column} is negative"):
        core().restore(one.snapshot())
