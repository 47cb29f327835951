"""Sessions of Sparkplug edge nodes: births, deaths, the order of messages, and requests for a rebirth."""

import numpy as np

from agent.decode import sparkplug_nodes
from agent.decode.readings import Address, Batch
from agent.decode.sparkplug import SparkplugCodec
from agent.sources import Source, plain_channels
from tests.edge_node import EdgeNode, metric, payload

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
REORDER_S = sparkplug_nodes.REORDER_NS / 1e9
EVERY_S = sparkplug_nodes.REBIRTH_EVERY_NS / 1e9


class Host:
    """A codec that is given messages at times in s after T.

    values    of all readings so far; reasons likewise; asked: topics of requests
    """

    def __init__(self):
        self.codec = SparkplugCodec(SOURCE)
        self.values, self.reasons, self.asked = [], [], []

    def hear(self, *messages, at_s=0.0):
        arrived_ns = np.full(len(messages), T * NS + round(at_s * 1e9), np.int64)
        addresses = [Address(0, "", (), topic) for topic, _ in messages]
        decoded = self.codec.decode(Batch([payload for _, payload in messages], arrived_ns, addresses))
        self.values += decoded.x.ravel().tolist()
        self.reasons += [fault.reason for fault in decoded.faults]
        self.asked += [topic for topic, _ in decoded.requests]
        return decoded


def temp(value):
    return {"temp": ("Float", float(value))}


def born(host, node, *devices, at_s=0.0):
    host.hear(node.birth(T), *(node.device_birth(device, T, temp(0)) for device in devices or ["d"]), at_s=at_s)
    host.values.clear()


def data(node, value, device="d"):
    return node.data(device, T + value, temp(value))


def test_data_before_any_birth_are_dropped_and_a_rebirth_is_requested():
    host, node = Host(), EdgeNode()
    node.aliases["d", "temp"] = 1
    decoded = host.hear(data(node, 1))
    assert (host.values, host.reasons) == ([], ["no_birth"])
    ((topic, command),) = decoded.requests
    assert topic == "spBv1.0/G/NCMD/n1"
    rebirth = metric(1, "Boolean", name="Node Control/Rebirth", time_ms=T)
    assert command == payload(rebirth, time_ms=T)


def test_a_rebirth_is_requested_again_after_a_while_and_no_sooner():
    host, node = Host(), EdgeNode()
    node.aliases["d", "temp"] = 1
    for at_s in (0, 1, EVERY_S - 0.001, EVERY_S, EVERY_S + 1):
        host.hear(data(node, 1), at_s=at_s)
    assert len(host.asked) == 2
    assert host.reasons == ["no_birth"] * 5


def test_nodes_are_asked_one_after_the_other_since_their_births_come_at_once():
    host = Host()
    nodes = [EdgeNode(name=f"n{index}") for index in range(100)]
    for node in nodes:
        node.aliases["d", "temp"] = 1
    host.hear(*(data(node, 1) for node in nodes))
    assert host.asked == ["spBv1.0/G/NCMD/n0"]
    host.hear(*(data(node, 2) for node in nodes), at_s=0.02)
    assert host.asked[1:] == ["spBv1.0/G/NCMD/n1"]


def test_a_message_that_comes_late_takes_its_place():
    host, node = Host(), EdgeNode()
    born(host, node)
    first, second, third, fourth = (data(node, value) for value in (1, 2, 3, 4))
    host.hear(first, third, at_s=1)
    assert host.values == [1]
    host.hear(fourth, at_s=1.5)
    decoded = host.hear(second, at_s=2)
    assert host.values == [1, 2, 3, 4]
    assert decoded.row.tolist() == [0, 0, 0]
    host.hear(data(node, 5), at_s=60)
    assert (host.values[-1], host.reasons, host.asked) == (5, [], [])


def test_data_of_a_known_form_take_their_place_too_and_let_those_behind_them_go():
    host, node = Host(), EdgeNode()
    born(host, node)
    host.hear(*(data(node, value) for value in range(4)))
    missing, early = data(node, 4), data(node, 5)
    host.hear(early, missing, data(node, 6))
    assert host.values == [*range(7)]
    assert (host.reasons, host.asked) == ([], [])


def test_a_message_that_does_not_come_is_missed_and_nothing_is_believed_until_the_birth():
    host, node = Host(), EdgeNode()
    born(host, node)
    data(node, 1)
    host.hear(data(node, 2), at_s=1)
    host.hear(data(node, 3), at_s=1 + REORDER_S - 0.001)
    assert (host.reasons, host.asked) == ([], [])
    host.hear(data(node, 4), at_s=1 + REORDER_S)
    assert host.reasons == ["no_birth"] * 3
    assert host.asked == ["spBv1.0/G/NCMD/n1"]
    assert host.values == []
    born(host, node, at_s=5)
    host.hear(data(node, 5), at_s=5)
    assert host.values == [5]
    assert host.reasons == ["no_birth"] * 3


def test_the_wait_ends_by_messages_of_other_nodes_too():
    host, node, other = Host(), EdgeNode(), EdgeNode(name="n2")
    born(host, node)
    born(host, other)
    data(node, 1)
    host.hear(data(node, 2), at_s=1)
    host.hear(data(other, 7), at_s=1 + REORDER_S)
    assert (host.values, host.reasons, host.asked) == ([7], ["no_birth"], ["spBv1.0/G/NCMD/n1"])


def test_a_new_wait_begins_when_the_missing_message_has_come_and_another_is_missing():
    host, node = Host(), EdgeNode()
    born(host, node)
    first, second, _, fourth = (data(node, value) for value in (1, 2, 3, 4))
    host.hear(second, fourth, at_s=0)
    host.hear(first, at_s=REORDER_S - 0.5)
    host.hear(data(node, 5), at_s=2 * REORDER_S - 0.6)
    assert (host.values, host.reasons) == ([1, 2], [])
    host.hear(data(node, 6), at_s=2 * REORDER_S - 0.5)
    assert host.reasons == ["no_birth"] * 3


def test_no_more_than_so_many_messages_wait():
    host, node = Host(), EdgeNode()
    born(host, node)
    data(node, 0)
    host.hear(*(data(node, value) for value in range(sparkplug_nodes.WAITING_MAX)), at_s=0)
    assert host.reasons == []
    host.hear(data(node, 99), at_s=0)
    assert host.reasons == ["no_birth"] * (sparkplug_nodes.WAITING_MAX + 1)
    assert len(host.asked) == 1


def test_bytes_that_wait_are_bounded_over_all_nodes(monkeypatch):
    monkeypatch.setattr(sparkplug_nodes, "WAITING_BYTES_MAX", 60)
    host, nodes = Host(), [EdgeNode(name=f"n{index}") for index in range(3)]
    for node in nodes:
        born(host, node)
        data(node, 0)
    host.hear(*(data(node, 1) for node in nodes))
    assert 0 < len(host.reasons) < 3
    assert set(host.reasons) == {"no_birth"}


def test_sequence_numbers_go_round():
    host, node = Host(), EdgeNode()
    born(host, node)
    host.hear(*(data(node, value) for value in range(600)))
    assert host.values == [*range(600)]
    assert host.reasons == []


def test_a_message_that_is_sent_twice_is_counted_and_harms_nothing():
    host, node = Host(), EdgeNode()
    born(host, node)
    first, second = data(node, 1), data(node, 2)
    host.hear(first, first, second, second, first, data(node, 3))
    assert host.values == [1, 2, 3]
    assert host.reasons == ["repeated"] * 3
    host.hear(data(node, 4), at_s=60)
    assert (host.values[-1], host.asked) == (4, [])


def test_a_device_birth_that_overtakes_the_nodes_birth_waits_for_it():
    host, node = Host(), EdgeNode()
    born(host, node)
    host.hear(*(data(node, value) for value in range(9)))
    birth, device_birth = node.birth(T + 100), node.device_birth("d", T + 100, temp(50))
    host.hear(device_birth, at_s=1)
    host.hear(birth, data(node, 101), at_s=1.1)
    assert host.values[9:] == [50, 101]
    assert (host.reasons, host.asked) == ([], [])


def test_a_birth_ends_the_wait_of_messages_of_the_session_before():
    host, node = Host(), EdgeNode()
    born(host, node)
    data(node, 1)
    host.hear(data(node, 2), at_s=1)
    host.hear(node.birth(T + 100), node.device_birth("d", T + 100, temp(0)), data(node, 200), at_s=1.5)
    assert host.reasons == ["no_birth"]
    host.hear(data(node, 201), at_s=9)
    assert host.values == [0, 200, 201]
    assert host.asked == []


def test_a_rebirth_forgets_the_devices_that_are_not_born_again():
    host, node = Host(), EdgeNode()
    born(host, node, "d", "gone")
    host.hear(node.birth(T), node.device_birth("d", T, temp(0)), data(node, 1, "gone"), data(node, 2))
    assert host.values == [0, 2]
    assert host.reasons == ["no_birth"]
    assert len(host.asked) == 1


def test_the_death_of_a_node_ends_it_if_it_is_of_this_birth():
    host, node = Host(), EdgeNode()
    old_death = node.death()
    node.bd_seq = 1
    born(host, node)
    host.hear(old_death, data(node, 1))
    assert host.values == [1]
    host.hear(node.death(), data(node, 2))
    assert (host.values, host.reasons) == ([1], ["no_birth"])


def test_messages_that_wait_when_their_node_dies_are_counted():
    host, node = Host(), EdgeNode()
    born(host, node)
    data(node, 1)
    host.hear(data(node, 2), node.death())
    assert host.reasons == ["no_birth"]
    host.hear(node.birth(T), at_s=60)
    assert host.reasons == ["no_birth"]


def test_the_death_of_a_device_ends_it_alone():
    host, node = Host(), EdgeNode()
    born(host, node, "d", "e")
    host.hear(node.device_death("d", T), data(node, 1, "d"), data(node, 2, "e"))
    assert (host.values, host.reasons) == ([2], ["no_birth"])


def test_a_publisher_without_any_sequence_numbers_is_read():
    host, node = Host(), EdgeNode()
    vib = metric(1.0, "Float", name="temp", alias=3)
    said = [
        (node.topic("NBIRTH"), payload(metric(0, "Int64", name="bdSeq"), time_ms=T)),
        (node.topic("DBIRTH", "d"), payload(vib, time_ms=T)),
        (node.topic("DDATA", "d"), payload(metric(2.0, alias=3, as_type="Float"), time_ms=T)),
    ]
    host.hear(*said)
    assert (host.values, host.reasons) == ([1, 2], [])


def test_a_message_without_a_number_among_numbered_ones_is_cut_off():
    host, node = Host(), EdgeNode()
    born(host, node)
    host.hear((node.topic("DDATA", "d"), payload(metric(2.0, alias=1, as_type="Float"), time_ms=T)), data(node, 1))
    assert (host.values, host.reasons) == ([1], ["malformed"])


def test_a_birth_without_metrics_is_cut_off_and_the_session_goes_on():
    host, node = Host(), EdgeNode()
    born(host, node)
    host.hear((node.topic("NBIRTH"), payload(time_ms=T, seq=0)), data(node, 1))
    assert (host.values, host.reasons) == ([1], ["malformed"])


# Bounds -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_new_nodes_pushes_out_none_that_lives(monkeypatch):
    monkeypatch.setattr(sparkplug_nodes, "NODES_MAX", 3)
    host, nodes = Host(), [EdgeNode(name=f"n{index}") for index in range(3)]
    for node in nodes:
        born(host, node)
    fakes = [EdgeNode(name=f"fake{index}") for index in range(50)]
    for fake in fakes:
        fake.aliases["d", "temp"] = 1
    host.hear(*(fake.birth(T) for fake in fakes))
    host.hear(*(data(fake, 1) for fake in fakes))
    assert host.reasons == ["births_max"] * 50 + ["no_birth"] * 50
    assert len(host.asked) == 1
    host.hear(*(data(node, 7) for node in nodes))
    assert host.values == [7, 7, 7]
    host.hear(nodes[0].death(), fakes[0].birth(T), nodes[0].birth(T))
    assert host.reasons[100:] == ["births_max"]


def test_a_node_that_is_not_heard_for_a_day_makes_room(monkeypatch):
    monkeypatch.setattr(sparkplug_nodes, "NODES_MAX", 2)
    host, silent, living, new = Host(), *(EdgeNode(name=name) for name in ("silent", "living", "new"))
    born(host, silent)
    born(host, living)
    host.hear(data(living, 1), at_s=86_000)
    host.hear(new.birth(T), at_s=86_300)
    assert host.reasons == ["births_max"]
    host.hear(new.birth(T), at_s=86_401)
    host.hear(data(living, 2), data(silent, 3), at_s=86_402)
    assert (host.values, host.reasons) == ([1, 2], ["births_max", "no_birth"])


def test_definitions_are_bounded_over_all_nodes(monkeypatch):
    monkeypatch.setattr(sparkplug_nodes, "DEFINITIONS_MAX", 30)
    host, node = Host(), EdgeNode()
    many = {f"m{index}": ("Float", 1.0) for index in range(30)}
    host.hear(node.birth(T), node.device_birth("big", T, many), node.device_birth("d", T, temp(1)), data(node, 2))
    assert (host.values, host.reasons) == ([1, 2], ["births_max"])
    big = EdgeNode(name="n2")
    metrics = [metric(1.0, "Float", name=f"m{index}", alias=index) for index in range(30)]
    host.hear(big.birth(T, *metrics))
    assert host.reasons == ["births_max"] * 2
    host.hear(node.birth(T, *metrics), at_s=1)
    host.hear(data(node, 3), at_s=1)
    assert host.reasons[2:] == ["births_max", "no_birth"]
