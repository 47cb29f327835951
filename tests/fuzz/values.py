"""The targets of what stands below codecs: compression, topics and paths, times and numbers."""

import gzip
import io
import math
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import zstandard
from paho.mqtt.client import topic_matches_sub

from agent.decode.address import Addresses
from agent.decode.device_name import DeviceName
from agent.decode.expand import Expander
from agent.decode.paths import LEVELS_MAX, Path, readings_steps
from agent.decode.template import Template
from agent.decode.topic import Pattern
from agent.decode.unread import Unread
from agent.drops import SingleDrop
from agent.reasons import REASONS
from agent.sources import Source, SourceChannel, plain_channels
from agent.values.numbers import engineering_units, number_of
from agent.values.times import IMPOSSIBLE_NS, T_NS_MAX, scaled_ns, text_time_ns, texts_ns, zoned_ns
from agent.values.value import BadValue, number_of_text
from tests.fuzz.costs import Costs
from tests.fuzz.reads import DEVICE_ID_BYTES_MAX, PAYLOAD_BYTES_MAX
from tests.fuzz.target import Target
from tests.hostile import cases_of

EXPANDERS = [Expander(kind, PAYLOAD_BYTES_MAX) for kind in ("gzip", "zstd", "auto")]
ZONES = ("", "Europe/Berlin", "America/St_Johns", "Africa/Monrovia", "Australia/Lord_Howe")
COLUMNS_FROM = 60  # so many texts of one form are read as columns of characters


def check_expand(data: bytes, costs: Costs) -> None:
    """Never more than the bound; what another library makes of it; and what was compressed comes back."""
    kind, payload = (data[0] if data else 0) % len(EXPANDERS), data[1:]
    held = costs.of(lambda: lambda: _expanded(EXPANDERS[kind], payload))
    if held is not None:
        assert len(held) <= max(PAYLOAD_BYTES_MAX, len(payload))
        if payload.startswith(b"\x1f\x8b"):
            assert held == gzip.decompress(payload)
        elif payload.startswith(b"\x28\xb5\x2f\xfd"):
            reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(payload), read_across_frames=True)
            assert held == reader.read()
    if payload:
        for small in (zlib.compress(payload, 1, wbits=31), zstandard.ZstdCompressor(1).compress(payload)):
            assert EXPANDERS[2].expand(small) == payload


def _expanded(expander: Expander, payload: bytes) -> bytes | None:
    try:
        return expander.expand(payload)
    except Unread as error:
        if REASONS[error.reason].is_used:
            raise
        return None


def expand_seeds() -> list[bytes]:
    hostile = [case.payload for folder in ("gzip", "zstd") for case in cases_of(folder)]
    plain = b'{"ts": 1, "temp": 55.1}'
    small = [gzip.compress(plain), zstandard.compress(plain), gzip.compress(plain) * 3, zstandard.compress(plain) * 3]
    return [bytes([kind]) + payload for payload in (*small, *hostile) for kind in range(len(EXPANDERS))]


def check_topics(data: bytes, costs: Costs) -> None:
    """A pattern, a template, a path and topics, a line each."""
    lines = data.decode("utf-8", "replace").split("\n")[:12]
    pattern_text, device, path, *topics = [*lines, "", "", ""][: max(3, len(lines))]
    topics = [topic for topic in topics if topic and not set("+#\0") & set(topic)]
    costs.of(lambda: lambda: _check_path(path))
    template = _template(device)
    if template is not None and len(topics) >= 2 * len(template.names):
        n = len(template.names)
        first, second = topics[:n], topics[n : 2 * n]
        assert first == second or template.told_apart(first) != template.told_apart(second)
    try:
        pattern = Pattern.parse(pattern_text)
    except ValueError:
        return
    for topic in topics:
        tags = costs.of(lambda topic=topic: lambda: pattern.tags(topic))
        assert (tags is not None) == topic_matches_sub(pattern.filter, topic)
        if tags is not None and not {"+", "#"} & set(pattern.levels):
            named = iter(tags)
            assert topic == "/".join(next(named) if level.startswith("{") else level for level in pattern.levels)
    _check_addresses(Source("s", (pattern_text,), "", "arrival", plain_channels("x"), device=device), topics, costs)


def _template(text: str) -> Template | None:
    try:
        return Template.parse(text)
    except ValueError:
        return None


def _check_path(text: str) -> None:
    try:
        path = Path.parse(text)
    except ValueError:
        is_path = False
    else:
        is_path = True
        quoted = ".".join(f'"{name}"' for name in path.names)
        assert Path.parse(("$." if path.is_of_payload else "") + quoted) == path
        assert len(path.names) <= LEVELS_MAX
    try:
        assert len(readings_steps(text)) <= LEVELS_MAX
    except ValueError:
        assert not is_path or set("[]{}") & set(text)


def _check_addresses(source: Source, topics: list[str], costs: Costs) -> None:
    """A topic means the same the first time and from memory, and other texts of levels are other devices."""
    try:
        DeviceName(source)
    except ValueError:
        return
    addresses = Addresses([source], DEVICE_ID_BYTES_MAX)
    found = costs.of(lambda: lambda: addresses.find(topics, []))
    drops: list[SingleDrop] = []
    assert addresses.find(topics, drops) == found
    assert [drop.message for drop in drops] == [message for message, one in enumerate(found) if one is None]


def topics_seeds() -> list[bytes]:
    patterns = ("plant/{line}/{device}/telemetry", "+/{device}/#", "#", "$SYS/{device}", "{device}", "a//{device}")
    templates = ("{line}/{device}", "{device}", "x-{device}")
    paths = ("values.temp", '"a.b".c', "$.ts", "metrics[]", "{line}.{device}[]", "lines[].rows[]", "a.b.c.d.e.f.g.h.i")
    topics = ("plant/l1/p1/telemetry", "plant/l%/a%2Fb/telemetry", "$SYS/p1", "a//p1", "p1", "/", "../p1/x")
    hostile = [case.topic for case in cases_of("topics") if len(case.topic) < 1000]
    found = [
        "\n".join((pattern, templates[at % 3], paths[at], *topics)) for at, pattern in enumerate(patterns)
    ] + ["\n".join((patterns[0], templates[0], path, topic)) for path in paths for topic in hostile]  # fmt: skip
    return [text.encode("utf-8", "replace") for text in found]


def check_times(data: bytes, costs: Costs) -> None:
    """Texts as columns mean what each means alone; numbers are within a nanosecond of the exact time."""
    zone, rest = ZONES[(data[0] if data else 0) % len(ZONES)], data[1:]
    texts = rest.decode("utf-8", "replace").split("\n")[:16]
    alone = [_alone(text, zone) for text in texts]
    many = [texts[at % len(texts)] for at in range(COLUMNS_FROM * len(texts))]
    found = costs.of(lambda: lambda: texts_ns(many, zone))
    assert found.tolist() == [alone[at % len(texts)] for at in range(len(many))]
    for text in texts:
        _check_number(text)
    for scale in (1, 10**3, 10**6, 10**9):
        given = np.frombuffer(rest[: len(rest) // 8 * 8], np.float64)
        for number, t_ns in zip(given.tolist(), scaled_ns(given, scale).tolist(), strict=True):
            assert t_ns == IMPOSSIBLE_NS or abs(Fraction(number) * scale - t_ns) <= 1
    local = np.frombuffer(rest[: len(rest) // 8 * 8], np.int64)
    zoned = zoned_ns(local, zone).tolist()
    for wall_ns, t_ns in zip(local.tolist(), zoned, strict=True):
        if t_ns != IMPOSSIBLE_NS:
            naive = datetime(1970, 1, 1) + timedelta(seconds=wall_ns // 10**9)
            assert t_ns // 10**9 == text_time_ns(naive.isoformat(), zone) // 10**9
    _check_units(rest)


def _alone(text: str, zone: str) -> int:
    """What a text means, IMPOSSIBLE_NS for nothing; Python's own reader must have it within its microsecond."""
    try:
        t_ns = text_time_ns(text, zone)
    except ValueError:
        return IMPOSSIBLE_NS
    assert 0 <= t_ns < T_NS_MAX
    moment = datetime.fromisoformat(text.strip().upper())
    if moment.tzinfo is not None:
        assert (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == t_ns // 1000
    return t_ns


def _check_number(text: str) -> None:
    """What is read as a number is one for Python, in payloads as in tables."""
    try:
        number = number_of(text)
    except ValueError:
        number = math.nan
    else:
        assert number == float(text)
    try:
        of_payload = number_of_text(text, "temp")
    except BadValue:
        assert math.isinf(number)
    else:
        is_none = of_payload is None or math.isnan(of_payload) or text.strip().lower() in ("true", "false")
        assert is_none or len(text) > 300 or of_payload == number


def _check_units(data: bytes) -> None:
    """A row is worth the same alone and among others, as float64 and, where it is one, as float32."""
    channels = (SourceChannel("a", missing=(-9999.0, 1e300), scale=0.1, offset=-40.0), SourceChannel("b", (65535.0,)))
    rows = np.frombuffer(data[: len(data) // 16 * 16], np.float64).reshape(-1, 2)
    whole = engineering_units(rows, channels)
    for at in range(len(rows)):
        assert engineering_units(rows[at : at + 1], channels).tobytes() == whole[at].tobytes()


def times_seeds() -> list[bytes]:
    texts = (
        "2026-11-27T21:24:54.123456789Z", "2026-11-27 21:24:54", "2026-03-29T02:30:00", "2026-10-25T02:30:00.5",
        "20261127T212454+01", "2026-W48-5", "2026-11-27", "1970-01-01T00:00:00+00:01", "2116-02-20T23:53:38Z",
        "2026-11-27T21:24:54,1-03:30", "1972-01-07T00:00:00", "2026-02-30T00:00:00Z", "-55.1", "1e400", "nan", "+.5",
        "0" * 401, "1_000",
    )  # fmt: skip
    numbers = np.array([1.7e9, 0.1, -9999.0, np.nan, 1e300, 65535.0, np.inf, -0.0]).tobytes()
    times = np.array([1_700_000_000 * 10**9, 0, -1, 2**62, 1_774_747_800 * 10**9 + 1], np.int64).tobytes()
    joined = "\n".join(texts[:12]).encode()
    singles = [bytes([zone]) + text.encode() for text in texts for zone in range(2)]
    return [*singles, b"\3" + joined, b"\0" + numbers, b"\1" + times, b"\4" + times]


TARGETS = {
    "expand": Target(check_expand, expand_seeds),
    "topics": Target(check_topics, topics_seeds),
    "times": Target(check_times, times_seeds),
}
