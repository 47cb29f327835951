"""What holds of every codec in CODECS, shown with the cases of tests/data/codec/NAME.

`source.json` has what of `Source` the cases need; `fields` there are channels whose numbers are taken as they come.
`topic` is one of its topics, with `{device}` where the device stands, if it is not `NAME/{device}`.
`CASE.payload` is a payload, `CASE.json` what it becomes: `readings` as pairs of event time in ns and channels (null =
missing), `drops` as reasons of drops and doubts. An event time that is a text counts from the arrival.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decode.codec import CODECS
from agent.decode.intake import Intake
from agent.decode.topic import device_id_problem
from agent.reasons import REASONS
from agent.sources import Source, plain_channels

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "codec"
ARRIVED_NS = 1_700_000_000 * 10**9
Readings = list[tuple[int | str, list[object]]]  # event times and channels
Message = tuple[str, bytes]  # topic, payload
Row = tuple[str, int, bytes]  # device, event time, channels
Drop = tuple[str, str]  # device, reason


@dataclass(frozen=True)
class Case:
    codec: str
    name: str
    payload: bytes
    readings: list[tuple[int | str, bytes]]
    drops: list[str]

    def rows(self, device: str) -> list[Row]:
        """What the payload becomes when `device` sends it."""
        arrived_ns = arrival_ns(f"{self.codec}/{device}", self.payload)
        times = [arrived_ns + int(t) if isinstance(t, str) else t for t, _ in self.readings]
        return [(device, t_ns, x) for t_ns, (_, x) in zip(times, self.readings, strict=True)]


def cases(codec: str) -> list[Case]:
    return [
        case(codec, path.stem, path.read_bytes(), **json.loads(path.with_suffix(".json").read_text()))
        for path in sorted((DATA / codec).glob("*.payload"))
    ]


def case(
    codec: str, name: str, payload: bytes, *, readings: Readings | None = None, drops: list[str] | None = None
) -> Case:
    as_bytes = [(t, np.array(x, np.float32).tobytes()) for t, x in readings or []]
    return Case(codec, name, payload, as_bytes, drops or [])


def arrival_ns(topic: str, payload: bytes) -> int:
    """Of its own for each message."""
    return ARRIVED_NS + crc32(topic.encode() + payload)


def source(codec: str) -> Source:
    changes = json.loads((DATA / codec / "source.json").read_text())
    changes.pop("topic", None)
    channels = [{"field": field} for field in changes.pop("fields", ())]
    given = {"name": codec, "codec": codec, "topics": [f"{codec}/{{device}}"], "channels": channels, **changes}
    return msgspec.convert(given, Source)


def topic(codec: str, device: str) -> str:
    """On which a device of the cases' source publishes."""
    pattern = json.loads((DATA / codec / "source.json").read_text()).get("topic", f"{codec}/{{device}}")
    return str(pattern.replace("{device}", device))


def read(*messages: Message, sources: list[Source], cuts: tuple[int, ...] = ()) -> tuple[list[Row], list[Drop]]:
    """What messages (topic, payload) become, read in as many reads as `cuts` make of them."""
    intake = Intake(sources, payload_bytes_max=10**6, device_id_bytes_max=128)
    rows: list[Row] = []
    drops: list[Drop] = []
    for part in parts(messages, cuts):
        topics, payloads = [topic for topic, _ in part], [payload for _, payload in part]
        arrived_ns = np.array([*map(arrival_ns, topics, payloads)], np.int64)
        readings = intake.read(topics, payloads, arrived_ns)
        assert readings.message.tolist() == sorted(readings.message.tolist())
        assert not any(device_id_problem(device, 128) for device in readings.device)
        x = [row[: len(sources[of].fields)].tobytes() for row, of in zip(readings.x, readings.source, strict=True)]
        rows += zip(readings.device.tolist(), readings.t_ns.tolist(), x, strict=True)
        drops += ((device, group.reason) for group in readings.drops for device in group.device)
    return rows, drops


def parts(items: list[Message], cuts: tuple[int, ...]) -> Iterator[list[Message]]:
    places = [0, *sorted(cuts), len(items)]
    return (items[start:end] for start, end in pairwise(places))


def some_cases(codec: str) -> list[Case]:
    """The cases of a codec that has some."""
    found = cases(codec)
    assert found, f"tests/data/codec/{codec} is missing or has no cases: the docstring here says which files it needs"
    return found


ALL = [(codec, one) for codec in CODECS for one in cases(codec)]


@pytest.mark.parametrize(("codec", "one"), ALL, ids=lambda value: getattr(value, "name", value))
def test_a_payload_becomes_what_its_case_says(codec, one):
    rows, drops = read((topic(codec, "p1"), one.payload), sources=[source(codec)])
    assert rows == one.rows("p1")
    assert sorted(reason for _, reason in drops) == sorted(one.drops)
    assert {device for device, *_ in rows} <= {"p1"}
    assert {device for device, _ in drops} <= {"p1", ""}  # "" where the topic alone does not name it


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_has_cases_that_are_read_that_are_doubted_and_that_are_dropped_and_a_section_in_the_docs(codec):
    found = some_cases(codec)
    assert any(one.readings and not one.drops for one in found)
    assert any(not one.readings and one.drops for one in found)
    assert {one.payload for one in found} >= {b""}
    assert re.search(rf"^### `{codec}`$", (ROOT / "docs" / "sources.md").read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_payloads_mean_the_same_split_joined_and_beside_junk_and_other_sources(codec, data):
    """Cases, junk and a second source's messages in any order, cut anywhere: each row as it is alone, in its order."""
    ordinary = st.sampled_from(some_cases(codec)).map(lambda one: one.payload)
    cut_off = ordinary.flatmap(lambda payload: st.integers(0, len(payload)).map(lambda size: payload[:size]))
    own_topics = [topic(codec, "p1"), topic(codec, "p2")]
    other = Source("other", ("other/{device}",), "", "arrival", plain_channels("only"))
    message = st.one_of(
        st.tuples(st.sampled_from(own_topics), ordinary | cut_off | st.binary(max_size=40)),
        st.tuples(st.just("other/o1"), st.sampled_from([b'{"only": 1}', b"{"])),
        st.tuples(st.sampled_from(["nobody's", topic(codec, "")]), ordinary),
    )
    messages = data.draw(st.lists(message, max_size=12))
    cuts = tuple(data.draw(st.lists(st.integers(0, len(messages)), max_size=3)))
    both = [source(codec), other]
    alone = [read(one, sources=both) for one in messages]
    rows, drops = read(*messages, sources=both, cuts=cuts)
    assert rows == [row for of_message, _ in alone for row in of_message]
    assert sorted(drops) == sorted(drop for _, of_message in alone for drop in of_message)
    assert {reason for _, reason in drops} <= set(REASONS)


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "one"), ALL, ids=lambda value: getattr(value, "name", value))
def test_every_truncated_prefix_is_read_or_dropped_and_touches_no_neighbour(codec, one):
    (whole, *_) = (case for case in cases(codec) if case.readings and not case.drops)
    for size in range(len(one.payload)):
        rows, drops = read(
            (topic(codec, "n1"), whole.payload),
            (topic(codec, "p1"), one.payload[:size]),
            (topic(codec, "n2"), whole.payload),
            sources=[source(codec)],
        )  # fmt: skip
        own = [device for device, *_ in (*rows, *drops) if device in ("p1", "")]
        assert own, f"the first {size} bytes are lost without a word"
        for neighbour in ("n1", "n2"):
            assert [row for row in rows if row[0] == neighbour] == whole.rows(neighbour)
