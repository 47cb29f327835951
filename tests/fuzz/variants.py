"""Sources that the fuzz targets of codecs read by: every form of payload, unit of time and kind of rule."""

import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import cbor2
import msgspec

from agent.sources import InterventionRule, PayloadForm, Source, SourceChannel, plain_channels
from tests import edge_node
from tests.unit.decode.test_codec_contract import source as source_of_cases

WIDE: Final = 1024  # channels, as many as a bundle may have
T_S: Final = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Variant:
    """topics: that messages come on, the healthy neighbour's last; healthy: a payload that is used."""

    source: Source
    topics: tuple[str, ...]
    healthy: bytes


Encode = Callable[[object], bytes]
_FLAT: Final = Source("flat", ("f/{device}",), "ts", "s", plain_channels("temp", "load"))
_TOPICS: Final = ("f/p1", "f/p2", "f/n1")
_RULED: Final = (
    SourceChannel("temp", missing=(-9999.0,), scale=0.1, offset=-40.0, words=(("ON", 1.0), ("OFF", math.nan))),
    SourceChannel("load", missing=(1e300, 65535.0)),
)
_REPAIRED: Final = InterventionRule("event", (("fixed", "repaired"), ("new", "replaced")))


def _form(**keys: str) -> PayloadForm:
    return msgspec.convert(keys, PayloadForm)


_READING: Final = {"temp": 55.1, "load": 2}
_WIDE: Final = [f"channel {number}" for number in range(WIDE)]
# name -> (changes to the source, topics, a tree that is read)
_TREES: Final[Mapping[str, tuple[dict[str, object], tuple[str, ...], object]]] = {
    "flat": ({}, _TOPICS, {"ts": T_S + 0.5, **_READING}),
    "nested": (
        {
            "time_field": "$.head.at",
            "time_unit": "iso8601",
            "zone": "Europe/Berlin",
            "channels": plain_channels("values.temp.value", 'values."a.b"'),
            "tags": (("id", "head.id"),),
            "device": "{line}/{id}",
            "topics": ("f/{line}",),
        },
        _TOPICS,
        {"head": {"id": "m7", "at": "2026-03-29T02:30:00,123456789"}, "values": {"temp": {"value": 1}, "a.b": 2}},
    ),
    "array": (
        {"time_unit": "ns", "payload": _form(readings="metrics[]")},
        _TOPICS,
        {"metrics": [{"ts": T_S * 10**9 + row, **_READING} for row in range(3)]},
    ),
    "keys": (
        {"time_unit": "ms", "payload": _form(readings="{device}[]"), "topics": ("f/+",)},
        _TOPICS,
        {"p1": [{"ts": T_S * 1000, **_READING}], "p2": [{"ts": T_S * 1000 + row, **_READING} for row in range(2)]},
    ),
    "pairs": (
        {"time_field": "$.ts", "time_unit": "us", "payload": _form(readings="tags", form="pairs")},
        _TOPICS,
        {"ts": T_S * 10**6, "tags": [{"name": name, "value": value} for name, value in _READING.items()]},
    ),
    "columns": (
        {"payload": _form(form="columns")},
        _TOPICS,
        {"ts": [T_S, T_S + 1], "temp": [1, None], "load": [3, 4.5]},
    ),
    "columns of texts": (
        {"time_unit": "iso8601", "payload": PayloadForm(form="columns", numbers_as_text=True)},
        _TOPICS,
        {"ts": ["2026-11-27T21:24:54.123Z"] * 60, "temp": ["55.1"] * 60, "load": [1] * 60},
    ),
    "value": (
        {"topics": ("f/{device}/{field}",), "channel": "{field}", "payload": PayloadForm(form="value")},
        ("f/p1/temp", "f/p1/load", "f/p2/other", "f/n1/temp"),
        {"ts": T_S, "value": 21.4},
    ),
    "rules": (
        {
            "channels": _RULED,
            "payload": PayloadForm(numbers_as_text=True),
            "interventions": _REPAIRED,
            "report_extra": False,
        },
        _TOPICS,
        {"ts": T_S, "temp": "ON", "load": "1e3", "event": "fixed"},
    ),
    "cycles": ({"time_field": "cycle", "time_unit": "cycle"}, _TOPICS, {"cycle": 17, **_READING}),
    "arrival": ({"time_field": "", "time_unit": "arrival", "compression": "auto"}, _TOPICS, _READING),
    "wide": ({"channels": plain_channels(*_WIDE)}, _TOPICS, {"ts": T_S, **dict.fromkeys(_WIDE, 0.5)}),
    "wide and nested": (
        {"channels": plain_channels(*(f"a.{name}.value" for name in _WIDE)), "payload": _form(readings="[]")},
        _TOPICS,
        [{"ts": T_S, "a": {name: {"value": 1} for name in _WIDE}}],
    ),
}  # fmt: skip


def _trees(codec: str, encode: Encode) -> list[Variant]:
    return [
        Variant(replace(_FLAT, codec=codec, **changes), topics, encode(tree))
        for changes, topics, tree in _TREES.values()
    ]


def _json(tree: object) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()


def _text() -> list[Variant]:
    plain = Source("text", ("f/{device}",), "", "arrival", (_RULED[0],), codec="text")
    by_topic = replace(
        plain,
        topics=("f/{device}/{field}", "f/{device}"),
        channels=_RULED,
        channel="{field}",
        interventions=replace(_REPAIRED, field=""),
    )
    topics = ("f/p1/temp", "f/p1/load", "f/p1/other", "f/n1/load")
    return [Variant(plain, _TOPICS, b"21.4"), Variant(by_topic, topics, b"21.4"),
            Variant(replace(plain, compression="gzip"), _TOPICS, zlib.compress(b"21.4", wbits=31))]  # fmt: skip


def _senml(codec: str, encode: Encode) -> list[Variant]:
    cases = source_of_cases(codec)
    things = replace(cases, topics=("f/all",), tags=(("thing", "n"),), device="{thing}")
    arrival = replace(cases, topics=("f/{device}",), time_field="", time_unit="arrival")
    wide = replace(cases, channels=plain_channels(*_WIDE), topics=("f/{device}",))
    bases = {"bn": "m1:", "bt": T_S, "bv": 1, "bs": 2}
    pack = encode([{**bases, "n": "temp", "v": 21.4}, {"n": "energy sum", "s": 4, "t": 1}, {"n": "open", "vb": True}])
    return [
        Variant(things, ("f/all",), pack),
        Variant(arrival, _TOPICS, encode([{"n": "temp", "v": 21.4}])),
        Variant(wide, _TOPICS, encode([{"bt": T_S, "n": name, "v": 1} for name in _WIDE])),
    ]


def _influx() -> list[Variant]:
    cases = replace(source_of_cases("influx"), topics=("f/{device}",))
    tags = replace(cases, topics=("f/#",), device="{host}", tags=(("host", "host"),), time_unit="s")
    arrival = replace(cases, time_field="", time_unit="arrival", channels=_RULED, report_extra=False)
    wide = replace(cases, channels=plain_channels(*(f"m.c{number}" for number in range(WIDE))), time_unit="ms")
    line = f"m,host=a {','.join(f'c{number}=1.5' for number in range(WIDE))} {T_S * 1000}"
    return [
        Variant(tags, ("f/a", "f/b/c"), f"press,host=p7 temp=21.4,vib=2i,ok=t {T_S}".encode()),
        Variant(arrival, _TOPICS, b"x temp=1,load=2"),
        Variant(wide, _TOPICS, line.encode()),
    ]


def _float32() -> list[Variant]:
    cases = replace(source_of_cases("float32"), topics=("f/{device}",))
    seconds = replace(cases, time_field="float64", time_unit="s")
    arrival = replace(cases, time_field="", time_unit="arrival", channels=plain_channels("0", "3"))
    wide = replace(cases, channels=plain_channels(*map(str, range(WIDE))))
    return [
        Variant(seconds, _TOPICS, struct.pack("<dffdff", T_S, 1, 2, T_S + 1, 3, 4)),
        Variant(arrival, _TOPICS, struct.pack("<4f", 1, 2, 3, 4)),
        Variant(wide, _TOPICS, struct.pack(f"<q{WIDE}f", T_S * 1000, *range(WIDE))),
    ]


SPARKPLUG_TOPICS: Final = tuple(
    f"spBv1.0/{place}"
    for place in (
        "G/NBIRTH/n1", "G/NDATA/n1", "G/NDEATH/n1", "G/DBIRTH/n1/p1", "G/DDATA/n1/p1", "G/DDEATH/n1/p1",
        "G/DBIRTH/n1/p2", "G/DDATA/n1/p2", "G/NCMD/n1", "STATE/host", "G/NBIRTH/n2", "G/DDATA/n2/p1", "G/BAD/n1",
    )
)  # fmt: skip


def neighbour_of_sparkplug() -> list[edge_node.Message]:
    """A whole session of a healthy node."""
    node = edge_node.EdgeNode(name="healthy")
    t_ms = T_S * 1000
    return [
        node.birth(t_ms),
        node.device_birth("h1", t_ms, {"temp": ("Float", 1.0), "vib": ("Int32", 3)}),
        node.data("h1", t_ms + 1000, {"temp": ("Float", 2.0)}),
        node.data("h1", t_ms + 2000, {"temp": ("Float", 3.0), "vib": ("Int32", -4)}),
    ]


def _sparkplug() -> list[Variant]:
    cases = source_of_cases("sparkplug")
    of_device = replace(cases, device="{group}/{node}/{device}")
    held = replace(of_device, payload=PayloadForm(numbers_as_text=True), channels=(*_RULED, *cases.channels))
    worked_on = replace(of_device, interventions=_REPAIRED, channels=cases.channels[:1])
    return [Variant(one, SPARKPLUG_TOPICS, neighbour_of_sparkplug()[0][1]) for one in (of_device, held, worked_on)]


_MADE: Final[Mapping[str, Callable[[], list[Variant]]]] = {
    "cbor": lambda: _trees("cbor", cbor2.dumps),
    "float32": _float32,
    "influx": _influx,
    "json": lambda: _trees("json", _json),
    "msgpack": lambda: _trees("msgpack", msgspec.msgpack.encode),
    "senml": lambda: _senml("senml", _json),
    "senml_cbor": lambda: _senml("senml_cbor", cbor2.dumps),
    "sparkplug": _sparkplug,
    "text": _text,
}


def variants_of(codec: str) -> list[Variant]:
    return _MADE[codec]()
