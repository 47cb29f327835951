"""What a Sparkplug codec keeps in the snapshot: it goes on as if nothing had been, and takes nothing else over."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode import sparkplug_memory, sparkplug_nodes
from agent.decode.readings import Address, Batch
from agent.decode.sparkplug import SparkplugCodec
from agent.sources import Source, plain_channels
from tests.edge_node import EdgeNode

T = 1_795_814_327_000  # ms
NS = 10**6
SOURCE = Source(
    name="plant",
    topics=("spBv1.0/#",),
    time_field="",
    time_unit="ms",
    channels=plain_channels("temp"),
    codec="sparkplug",
)


def hear(codec, *messages, at_s=0.0):
    arrived_ns = np.full(len(messages), T * NS + round(at_s * 1e9), np.int64)
    addresses = [Address(0, "", (), topic) for topic, _ in messages]
    return codec.decode(Batch([payload for _, payload in messages], arrived_ns, addresses))


def temp(value):
    return {"temp": ("Float", float(value))}


def grown():
    """A codec that has everything to keep: births, a message that waits, a node that was asked; and its node."""
    codec, node, unborn = SparkplugCodec(SOURCE), EdgeNode(), EdgeNode(name="n2")
    unborn.aliases["d", "temp"] = 1
    hear(codec, node.birth(T), node.device_birth("d", T, temp(1)), unborn.data("d", T, temp(1)))
    missing = node.data("d", T + 1, temp(2))
    hear(codec, node.data("d", T + 2, temp(3)))
    return codec, node, missing


def test_it_goes_on_where_it_was():
    codec, _, missing = grown()
    kept = codec.keep()
    again = SparkplugCodec(SOURCE)
    again.restore(kept)
    assert again.keep() == kept
    for one in (codec, again):
        assert hear(one, missing).x.ravel().tolist() == [2, 3]
    assert again.keep() == codec.keep()


def test_the_wait_for_a_message_goes_on():
    codec, node, _ = grown()
    again = SparkplugCodec(SOURCE)
    again.restore(codec.keep())
    decoded = hear(again, node.data("d", T + 3, temp(4)), at_s=sparkplug_nodes.REORDER_NS / 1e9)
    assert [fault.reason for fault in decoded.faults] == ["no_birth"] * 2
    assert [topic for topic, _ in decoded.requests] == ["spBv1.0/G/NCMD/n1"]


def test_births_of_other_channels_have_to_be_heard_again():
    codec, _, _ = grown()
    other = SparkplugCodec(replace(SOURCE, channels=plain_channels("vib")))
    with pytest.raises(ValueError, match="other channels"):
        other.restore(codec.keep())


def changed(**changes):
    """What a codec keeps, with parts replaced: of the whole, of node `G/n1`, of the birth of its device."""
    codec, _, _ = grown()
    version, fields, born, late, asked, swept_ns = msgspec.msgpack.decode(codec.keep(), strict=False)
    ((name, (next_seq, bd_seq, newest_ms, heard_ns, births, waiting, since_ns)),) = born.items()
    datatypes, aliases = births["d"]
    ((seq, (arrived_ns, topic, payload, time_ms)),) = waiting.items()
    is_now = {"version": version, "late": late, "asked": asked, "name": name, "next_seq": next_seq, "seq": seq}
    is_now |= {"datatypes": datatypes, "aliases": aliases, "topic": topic, "payload": payload} | changes
    births["d"] = [is_now["datatypes"], is_now["aliases"]]
    waiting = {is_now["seq"]: [arrived_ns, is_now["topic"], is_now["payload"], time_ms]}
    node = [is_now["next_seq"], bd_seq, newest_ms, heard_ns, births, waiting, since_ns]
    whole = [is_now["version"], fields, {is_now["name"]: node}, is_now["late"], is_now["asked"], swept_ns]
    return msgspec.msgpack.encode(whole)


def test_what_is_only_taken_apart_and_put_together_is_taken():
    SparkplugCodec(SOURCE).restore(changed())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": 2}, "version 2"),
        ({"late": []}, "belong together"),
        ({"late": ["G/n1", "G/n1"]}, "belong together"),
        ({"late": ["G/n9"]}, "belong together"),
        ({"asked": {"G/#": 5}}, "cannot be"),
        ({"asked": {"n1": 5}}, "cannot be"),
        ({"asked": {"G/n1": "now"}}, "no memory"),
        ({"datatypes": b""}, "columns"),
        ({"aliases": {1: 1}}, "columns"),
        ({"aliases": {1: -3}}, "columns"),
        ({"aliases": {-1: 0}}, "no memory"),
        ({"name": "G/n/1"}, "cannot be"),
        ({"next_seq": 256}, "no memory"),
        ({"seq": 256}, "no memory"),
        ({"topic": "spBv1.0/G/DDATA/n2/d"}, "none of node"),
        ({"topic": "spBv1.0/G/NBIRTH/n1"}, "none of node"),
        ({"topic": "plant"}, "begin with"),
        ({"payload": b"\xff"}, "no Sparkplug B payload"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(changes, why):
    codec, _, _ = grown()
    before = codec.keep()
    with pytest.raises(ValueError, match=why):
        codec.restore(changed(**changes))
    assert codec.keep() == before


@pytest.mark.parametrize(
    ("room", "module"),
    [("NODES_MAX", 0), ("DEFINITIONS_MAX", 1), ("WAITING_MAX", 0), ("WAITING_BYTES_MAX", 1)],
)
def test_more_than_there_is_room_for_is_refused(monkeypatch, room, module):
    codec, _, _ = grown()
    kept = codec.keep()
    monkeypatch.setattr(sparkplug_memory, room, module)
    with pytest.raises(ValueError):
        codec.restore(kept)


@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_junk_and_torn_pieces_are_refused(junk, place):
    codec, _, _ = grown()
    kept = codec.keep()
    size = place % len(kept)
    for data in (junk, kept[:size], kept[:size] + junk):
        try:
            codec.restore(data)
        except ValueError:
            assert codec.keep() == kept
        else:  # pieces may make up another memory, which is one all the same
            hear(codec, EdgeNode().birth(T))
