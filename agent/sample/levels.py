"""Levels of topics: which of them name the device, which one the channel, and which are the same for all.

A level whose text varies names something. The last one that varies names the channel where a payload is one value;
those before it name the device. Of a level that does not vary, a text such as `pump7` or `0x00158d00` is taken for a
name all the same, since the next machine will have another one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

KINDS: Final = frozenset({
    "telemetry", "tele", "data", "state", "status", "value", "values", "sensor", "sensors", "measurement",
    "measurements", "reading", "readings", "up", "uplink", "down", "downlink", "join", "event", "events", "rpc",
    "attributes", "attribute", "info", "config", "cmd", "command", "set", "get", "stat", "lwt", "availability",
    "online", "result", "results", "ack", "txack", "log", "logs", "health", "heartbeat", "metrics", "raw",
    "message", "messages", "announce", "attr", "json", "process", "temperature", "humidity", "pressure",
    "vibration", "alarm", "alarms",
})  # fmt: skip
_NUMBERED: Final = re.compile(r"(?P<stem>[^\W\d_]+)[ _.:-]?\d+(?:[ _.:-].*)?|.*\d.*")
_VERSION: Final = re.compile(r"v\d{1,2}|spBv1\.0", re.IGNORECASE)
_INDEX: Final = re.compile(r"\d{1,3}")
_STEM: Final = re.compile(r"[A-Za-z]+")
RESERVED: Final = ("device", "channel")


class Levels(NamedTuple):
    """Topics as a source has them: `pattern`, and the templates of the device and of the channel, "" for none.

    is_sure  something says that the device's levels are names: they vary, or they count
    """

    pattern: str
    device: str
    channel: str
    is_sure: bool


def is_id(text: str) -> bool:
    """Whether a level that is the same in all topics may be another one in the next: it counts or is an address."""
    return _NUMBERED.fullmatch(text) is not None and not _VERSION.fullmatch(text) and not _INDEX.fullmatch(text)


def is_kind(text: str) -> bool:
    """Whether a level says what kind of message it is."""
    return text.lower() in KINDS


def levels_of(topics: Sequence[str], *, has_channel: bool) -> Levels:
    """The pattern of topics of equal depth. has_channel: a payload is one value, whose channel the topic names"""
    columns = [*zip(*(topic.split("/") for topic in topics), strict=True)]
    varying = [place for place, texts in enumerate(columns) if len(set(texts)) > 1]
    channel = _channel_place(columns, varying) if has_channel else -1
    fields = [channel] if channel >= 0 else []
    devices = [place for place in varying if place != channel]
    if has_channel:
        parts = _parts(columns, devices, channel)
        fields, devices = sorted([*fields, *parts]), [place for place in devices if place not in parts]
    devices = sorted({*devices, *_counted(columns, devices, fields)})
    is_sure = bool(devices)
    if not is_sure:
        devices = _place_of_last_resort(columns, fields)
    names = _names(columns, devices, fields)
    pattern = "/".join(f"{{{names[place]}}}" if place in names else texts[0] for place, texts in enumerate(columns))
    return Levels(pattern, _template(names, devices), _template(names, fields), is_sure)


def _counted(columns: Sequence[Sequence[str]], devices: Collection[int], fields: Collection[int]) -> list[int]:
    """Levels that are the same in all topics and look like a name: of a word and a number, or the last that counts.

    The first level mostly is the plant's or the program's, such as `zigbee2mqtt`, so it must be the only one.
    """
    fixed = [place for place, texts in enumerate(columns) if place not in fields and len(set(texts)) == 1]
    places = [place for place in fixed if is_id(columns[place][0])]
    inner = [place for place in places if place]
    if not inner and not devices and (len(columns) == 1 or _stem(columns[0])):
        return places
    last = [] if devices else inner[-1:]
    return [place for place in inner if place in last or _stem(columns[place])]


def _channel_place(columns: Sequence[Sequence[str]], varying: Sequence[int]) -> int:
    """The level that names the channel: the last that varies; or one after it, where only names of machines vary."""
    fixed = [place for place, texts in enumerate(columns) if place not in varying and not is_kind(texts[0])]
    named = [place for place, texts in enumerate(columns) if place not in varying and texts[0].lower() in _QUANTITIES]
    if not varying:
        return next(reversed([*fixed, *named]), len(columns) - 1) if not named else named[-1]
    last = varying[-1]
    after = [place for place in sorted({*fixed, *named}) if place > last]
    if after and all(map(is_id, columns[last])):
        return after[-1]
    return last


_QUANTITIES: Final = ("temperature", "humidity", "pressure", "vibration")  # kinds of message, and channels as well


def _parts(columns: Sequence[Sequence[str]], devices: Sequence[int], channel: int) -> list[int]:
    """Levels before the channel that belong to its name: a short index, and texts that every device has alike."""
    parts = []
    for place in devices[1:] if len(devices) > 1 else devices:
        texts = columns[place]
        if place > channel:
            continue
        if all(map(_INDEX.fullmatch, texts)):
            parts.append(place)
            continue
        below: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row, text in enumerate(texts):
            below[tuple(columns[one][row] for one in devices if one < place)].add(text)
        sets = [*below.values()]
        if len(sets) > 1 and len(sets[0]) > 1 and all(one == sets[0] for one in sets) and not any(map(is_id, texts)):
            parts.append(place)
    return [] if len(parts) == len(devices) else parts


def _place_of_last_resort(columns: Sequence[Sequence[str]], fields: Sequence[int]) -> list[int]:
    """Nothing varies and nothing looks like a name: the last level before the channel that says no kind of message."""
    before = range(fields[0] if fields else len(columns))
    free = [place for place in before if not is_kind(columns[place][0]) and columns[place][0]]
    return free[-1:] if free and (free[-1] > 0 or fields) else []


def _names(columns: Sequence[Sequence[str]], devices: Sequence[int], fields: Sequence[int]) -> dict[int, str]:
    names: dict[int, str] = {}
    for places, word in ((devices, "device"), (fields, "channel")):
        for place in places:
            name = word if place == places[-1] else _stem(columns[place]) or f"level{place + 1}"
            names[place] = name if name not in names.values() else f"level{place + 1}"
    return names


def _stem(texts: Iterable[str]) -> str:
    """The word that most numbered texts begin with: `line` of line1 and line2; "" for none."""
    found = Counter(match["stem"].lower() for text in texts if (match := _NUMBERED.fullmatch(text)) and match["stem"])
    stem = found.most_common(1)[0][0] if found else ""
    return stem if _STEM.fullmatch(stem) and len(stem) <= 32 and stem not in RESERVED else ""


def unnamed(topics: Sequence[str], ids: Collection[str]) -> str:
    """A pattern without names, of topics of equal depth: `+` for what varies or is the id of a device."""
    columns = zip(*(topic.split("/") for topic in topics), strict=True)
    return "/".join(texts[0] if len(set(texts)) == 1 and texts[0] not in ids else "+" for texts in columns)


def _template(names: dict[int, str], places: Sequence[int]) -> str:
    return "/".join(f"{{{names[place]}}}" for place in places)
