"""One contract, two receivers: over the fast path and over plain paho the same bytes give the same `Received`."""

import threading
from itertools import pairwise

import paho.mqtt.client as paho
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import LogCapture

from agent.mqtt import frame_deadline, retry
from agent.receive import overload
from agent.receive.client import Receiver
from agent.receive.received import Received
from bench.fake_broker import Session
from bench.mqtt_packets import PUBACK, packet, text
from tests.unit.receive.cases import PAYLOAD_BYTES_MAX, VERSIONS, Case, cases, errors, publish
from tests.unit.receive.talk import PRESS, PUMP, TOPIC, add, connected, pump, taken

pytestmark = pytest.mark.slow

NAMES = [(version, name) for version in VERSIONS for name in cases(version)]
PINGRESP = b"\xd0\x00"


@pytest.fixture
def wired(broker, receiver):
    """Makes a receiver of one version, and its session."""

    def make(version: str, **more) -> tuple[Receiver, Session]:
        one = receiver(PRESS, PUMP, protocol=version, payload_bytes_max=PAYLOAD_BYTES_MAX, **more)
        return one, connected(broker, one)

    return make


def check(found: Received, wanted: list[Case]) -> None:
    """All that was received is all that the cases say, in their order."""
    for name in ("topics", "payloads", "packet_ids", "drops"):
        assert getattr(found, name) == [one for case in wanted for one in getattr(case, name)]
    assert len(found.arrived_ns) == len(found.topics)
    assert found.arrived_ns == sorted(found.arrived_ns)
    assert found.n_bytes == sum(map(len, found.payloads))


def all_of(wanted: list[Case]):
    n_topics, n_drops = (sum(len(getattr(case, name)) for case in wanted) for name in ("topics", "drops"))
    return lambda found: len(found.topics) >= n_topics and len(found.drops) >= n_drops


@pytest.mark.parametrize(("version", "name"), NAMES)
def test_a_packet_cut_anywhere_is_taken_once_it_is_whole(wired, version, name):
    """Every prefix, of long packets those of the head and some more. Nothing comes of it before the rest is there."""
    one, session = wired(version)
    case = cases(version)[name]
    for size in [*range(1, min(len(case.data), 60)), *range(60, len(case.data), 20_011)]:
        session.send(case.data[:size])
        check(one.read(0.05), [])
        session.send(case.data[size:])
        check(pump(one, all_of([case])), [case])


@pytest.mark.parametrize("version", VERSIONS)
def test_any_sequence_in_any_pieces_gives_the_same_messages_and_acknowledgements(wired, version):
    """Joined with other packets, cut at random places, with reads between; nothing is acknowledged by itself."""
    one, session = wired(version)
    table = {name: case for name, case in cases(version).items() if len(case.data) < 70_000}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data):
        wanted = [table[name] for name in data.draw(st.lists(st.sampled_from(list(table)), min_size=1, max_size=8))]
        said = b"".join(case.data + data.draw(st.sampled_from([b"", PINGRESP])) for case in wanted)
        places = sorted({0, len(said), *data.draw(st.lists(st.integers(0, len(said)), max_size=12))})
        found = Received()
        for begin, end in pairwise(places):
            session.send(said[begin:end])
            add(found, one.read(0.05))
        check(pump(one, all_of(wanted), found=found), wanted)
        one.acknowledge(found.packet_ids)
        assert [session.read() for _ in found.packet_ids] == [(PUBACK, mid.to_bytes(2)) for mid in found.packet_ids]

    run()
    assert one.link.is_connected


@pytest.mark.parametrize("version", VERSIONS)
def test_byte_by_byte_and_all_at_once_are_the_same(wired, version):
    one, session = wired(version)
    wanted = [case for case in cases(version).values() if len(case.data) < 400]
    said = b"".join(case.data for case in wanted)
    found = Received()
    for place in range(len(said)):
        session.send(said[place : place + 1])
        add(found, one.read(0.05))
    check(pump(one, all_of(wanted), found=found), wanted)
    session.send(said)
    check(pump(one, all_of(wanted)), wanted)
    counts = {(drop.source, drop.reason): 0 for case in wanted for drop in case.drops}
    for drop in found.drops:
        counts[drop.source, drop.reason] += 2  # it was said twice
    assert one.inbox.counts == counts


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in errors(version)])
def test_a_protocol_error_ends_the_connection_and_is_counted(broker, wired, version, name):
    """What came before it is taken; the next connection works."""
    log = LogCapture()
    one, session = wired(version, log=log)
    session.send(publish(version, b"before", mid=1) + errors(version)[name] + publish(version, b"after") * 4)
    found = pump(one, lambda _: not one.link.is_connected)
    assert (found.payloads, found.packet_ids) == ([b"before"], [1])
    assert one.inbox.counts == {("", "protocol_error"): 1}
    assert one.link.why.startswith("protocol error: ")
    assert log.entries[-1]["why"] == one.link.why
    assert session.is_ended()
    session = connected(broker, one)
    session.send(publish(version, b"again"))
    assert pump(one, taken(1)).payloads == [b"again"]


@pytest.mark.parametrize("version", VERSIONS)
def test_any_bytes_are_messages_or_drops_or_the_end_of_the_connection(broker, wired, version, monkeypatch):
    """Packets of the tables, of paho's own and junk, with bytes changed: nothing is raised, and the next one works."""
    monkeypatch.setattr(retry, "RETRY_MAX_S", 0.002)
    one, session = wired(version)
    pieces = [case.data for case in cases(version).values() if len(case.data) < 400] + list(errors(version).values())
    pieces += [
        PINGRESP,
        b"\x90\x03\x00\x01\x01",
        b"\x90\x04\x00\x01\x00\x01",
        b"\xe0\x00",
        b"\x20\x02\x00\x00",
        b"\x20\x03\x00\x00\x00",
    ]
    pieces += [bytes([first << 4, 2, 0, 1]) for first in range(16)]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data):
        nonlocal session
        said = bytearray(b"".join(data.draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=5))))
        for place in data.draw(st.lists(st.integers(0, len(said) - 1), max_size=3)):
            said[place] = data.draw(st.integers(0, 255))
        session.send(bytes(said))
        one.read(0.05)
        session.close()
        pump(one, lambda _: not one.link.is_connected)
        session = connected(broker, one)
        session.send(publish(version, b"next"))
        assert pump(one, taken(1)).payloads == [b"next"]

    run()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_protocol_error_again_and_again_is_waited_out_ever_longer(broker, wired, version, monkeypatch):
    """No loop at full speed; each change of state is said once."""
    monkeypatch.setattr(retry, "RETRY_MAX_S", 0.01)
    log = LogCapture()
    one, session = wired(version, log=log)
    waits = []
    for _ in range(5):
        session.send(errors(version)["QoS 3"])
        pump(one, lambda _: not one.link.is_connected)
        waits.append(one.link._retry._wait_s)
        session = connected(broker, one)
    assert waits == [0.002, 0.004, 0.008, 0.01, 0.01]
    assert one.inbox.counts == {("", "protocol_error"): 5}
    assert [line["event"] for line in log.entries] == ["broker_connected"] + ["broker_lost", "broker_connected"] * 5


def test_text_that_a_publisher_wrote_into_a_property_ends_nothing_on_the_fast_path(wired, path):
    """A broker may hand on what it never read. Plain paho looks at it, so that one publisher ends the connection."""
    one, session = wired("5")
    session.send(publish("5", b"a", properties=b"\x03" + text(b"\xff")) + publish("5", b"b"))
    found = pump(one, lambda found: len(found.topics) == 2 or not one.link.is_connected)
    assert found.payloads == ([b"a", b"b"] if path == "fast" else [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["QoS 1", "far above it", "longest topic"])
def test_a_connection_that_ends_inside_a_packet_leaves_nothing_of_it(broker, wired, version, name):
    one, session = wired(version)
    case = cases(version)[name]
    for size in (1, 2, 10, len(case.data) // 2, len(case.data) - 1):
        session.send(publish(version, b"whole") + case.data[:size])
        session.close()
        found = pump(one, lambda _: not one.link.is_connected)
        assert (found.payloads, found.packet_ids, found.drops) == ([b"whole"], [], [])
        session = connected(broker, one)
        session.send(publish(version, b"next", mid=2))
        found = pump(one, taken(1))
        assert (found.payloads, found.packet_ids) == ([b"next"], [2])
    assert not one.inbox.counts


@pytest.mark.parametrize("version", VERSIONS)
def test_a_message_as_large_as_mqtt_allows_goes_by_and_the_next_ones_come(wired, path, version):
    """The largest remaining length there is; plain paho, which holds it whole, gets a smaller one."""
    n_bytes = 268_435_455 if path == "fast" else 10_000_000
    one, session = wired(version)
    frame = publish(version, b"", mid=7)
    start = frame[2:]  # all of its body
    payload_bytes = n_bytes - len(start)
    chunk = publish(version, b"inside") * 3000  # what goes by is not looked at

    def stream():
        session.send(packet_start(n_bytes) + start)
        left = payload_bytes
        while left:
            session.send(chunk[:left])
            left -= min(left, len(chunk))
        session.send(publish(version, b"after", mid=8))

    sender = threading.Thread(target=stream)
    sender.start()
    found = pump(one, taken(1), timeout_s=60)
    sender.join()
    assert (found.payloads, found.packet_ids) == ([b"after"], [7, 8])
    assert [(drop.source, drop.device, drop.reason, drop.detail) for drop in found.drops] == [
        ("press", "p1", "too_large", f"{payload_bytes} bytes")
    ]
    assert one.inbox.counts == {("press", "too_large"): 1}
    assert one.link.is_connected


def packet_start(n_bytes: int) -> bytes:
    """First byte of a PUBLISH of QoS 1 and a remaining length of four bytes."""
    return b"\x32" + bytes(
        [n_bytes & 0x7F | 0x80, n_bytes >> 7 & 0x7F | 0x80, n_bytes >> 14 & 0x7F | 0x80, n_bytes >> 21]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_read_ends_when_it_has_brought_enough_bytes(wired, version, monkeypatch):
    """Law 5: what is left waits, and nothing of it is lost."""
    monkeypatch.setattr(overload, "BYTES_MAX", 10_000)
    one, session = wired(version)
    sender = threading.Thread(target=session.send, args=(publish(version, b"x" * 1000) * 2000,))
    sender.start()
    first = pump(one, taken(1))
    assert len(first.topics) < 1000
    assert len(pump(one, taken(2000 - len(first.topics))).topics) == 2000 - len(first.topics)
    sender.join()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_one_read_leaves_does_not_wait_for_the_socket(wired, version, monkeypatch):
    """Whole packets that wait are taken at once, a timeout of an hour notwithstanding."""
    monkeypatch.setattr(overload, "MESSAGES_MAX", 10)
    one, session = wired(version)
    session.send(publish(version) * 25 + publish(version)[:9])
    assert [len(one.read(3600.0).topics) for _ in range(3)] == [10, 10, 5]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [1, 2, 9, 30])
def test_part_of_a_packet_keeps_nobody_awake(wired, version, size, monkeypatch):
    """Reads of the client are counted while it waits for the rest."""
    one, session = wired(version)
    session.send(publish(version, b"x" * 20_000)[:size])
    one.read(0.1)
    turns = []
    loop_read = one._client.loop_read
    monkeypatch.setattr(one._client, "loop_read", lambda: turns.append(1) or loop_read())
    for _ in range(5):
        assert one.read(0.02).topics == []
    assert turns == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_keepalive_counts_data_as_a_sign_of_life(wired, version, monkeypatch):
    """With steady data an answer to a ping may be late; with neither the connection ends."""
    ahead_s = [0.0]
    monkeypatch.setattr(paho, "time_func", lambda now=paho.time_func: now() + ahead_s[0])
    one, session = wired(version)
    for _ in range(10):
        ahead_s[0] += 30.0
        session.send(publish(version))
        assert len(pump(one, taken(1)).topics) == 1
        assert one.link.is_connected
    session.send(PINGRESP)
    one.read(0.05)
    for _ in range(4):
        ahead_s[0] += 31.0
        one.read(0.0)
    assert not one.link.is_connected
    assert one.link.why == "the connection ended: Keep alive timeout"
    pings = [session.read()[0] for _ in range(2)]
    assert pings == [0xC0, 0xC0]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_packet_that_grows_for_ever_ends_the_connection_and_a_slow_large_one_does_not(wired, version, monkeypatch):
    """O7. Any byte is a sign of life to the keepalive; two keepalives are 0.12 s here."""
    monkeypatch.setattr(frame_deadline, "KEEPALIVES", 0.002)
    one, session = wired(version)
    large = publish(version, b"x" * 4_000)
    for start in range(0, len(large), 200):
        session.send(large[start : start + 200])
        one.read(0.02)
    assert one.link.is_connected
    monkeypatch.setattr(frame_deadline, "BYTES_PER_S_MIN", 10**7)  # a test is fast
    session.send(large[:100])
    pump(one, lambda _: not one.link.is_connected or session.send(b"x"))
    assert one.link.why == "protocol error: a packet that does not end"


@pytest.mark.parametrize("version", VERSIONS)
def test_packets_of_pahos_own_may_stand_anywhere(wired, version):
    """Between messages of one read; a disconnect of the broker ends it with what came before."""
    one, session = wired(version)
    data = PINGRESP.join([publish(version, b"a"), publish(version, b"b", mid=2), publish(version, b"c")])
    goodbye = packet(0xE0, b"\x8b\x00" if version == "5" else b"")
    session.send(data + goodbye + publish(version, b"never"))
    found = pump(one, lambda _: not one.link.is_connected)
    assert found.payloads == [b"a", b"b", b"c"]
    assert one.inbox.counts["", "protocol_error"] == (0 if version == "5" else 1)


def test_a_broker_that_blames_us_is_not_counted_as_wrong_itself(wired):
    one, session = wired("5")
    session.send(packet(0xE0, b"\x82\x00"))
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == "the connection ended: Protocol error"
    assert not one.inbox.counts


@pytest.mark.parametrize("version", VERSIONS)
def test_a_qos_that_was_not_asked_for_ends_the_connection(wired, version):
    """Plain paho hands the message over after its PUBREL."""
    one, session = wired(version)
    session.send(packet(0x34, text(TOPIC) + b"\0\1" + (b"\0" if version == "5" else b"")) + b"\x62\x02\0\1")
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == "protocol error: a PUBLISH of QoS 2, which was not asked for"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_that_is_reset_is_lost_like_any_other(broker, wired, version):
    one, session = wired(version)
    session.reset()
    pump(one, lambda _: not one.link.is_connected)
    connected(broker, one)


@pytest.mark.parametrize("version", VERSIONS)
def test_only_mqtt_5_can_tell_the_broker_the_largest_packet(broker, receiver, version):
    one = receiver(protocol=version, payload_bytes_max=PAYLOAD_BYTES_MAX)
    one.read(0.1)
    connect = broker.session().read_connect()
    wanted = b"\x27" + (PAYLOAD_BYTES_MAX + 2**17 + 5).to_bytes(4)
    assert (wanted in connect) == (version == "5")
    assert TOPIC not in connect
