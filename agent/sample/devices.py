"""Which field of a payload names the device."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from agent.decode.paths import Path
from agent.decode.topic import device_id_problem

SHARE: Final = 0.9  # of the readings that must have it
ID_BYTES_MAX: Final = 128
_STRONG: Final = re.compile(
    r"(?:device|machine|asset|equipment|thing|sensor|node|unit|station|client|host|pump|motor|gateway|end_?device)?"
    r"(?:id|ids|uid|eui|serial|serialnumber|name)|device|machine|asset|equipment|thing|serial|serialnumber|sn|deveui|"
    r"hostname|host|mac|imei"
)
_WEAK: Final = ("id", "name", "uid", "from", "src", "source", "node", "station", "unit", "tag")
_NOT: Final = ("correlationid", "messageid", "msgid", "tenantid", "applicationid", "profileid", "joineui", "seq")
_PLAIN: Final = re.compile(r"[^a-z0-9]")
_OF_ITS_OWN_NAME: Final = 3  # rank of a field whose texts begin with its name, as "fan": "fan-07"


def rank_of(path: str) -> int | None:
    """How well the name of a field says that it names the device, 0 best; None for not at all."""
    try:
        names = [_PLAIN.sub("", name.lower()) for name in Path.parse(path.removeprefix("$.")).names]
    except ValueError:
        return None
    last = names[-1] if names else ""
    before = names[-2] if len(names) > 1 else ""
    if last in _NOT or before + last in _NOT:
        return None
    for rank, text in enumerate((last, before + last)):
        if _STRONG.fullmatch(text) and text not in _WEAK:
            return rank if not text.endswith("name") else 2 + rank
    return 4 if last in _WEAK else None


def device_field(leaves: Sequence[Mapping[str, Any]], topics: Sequence[str]) -> tuple[str, bool]:
    """The field that names the device, "" for none; and whether one topic brings several devices by it.

    leaves  of readings, path -> value; topics: of each
    """
    values: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for found, topic in zip(leaves, topics, strict=True):
        for path, value in found.items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                values[path][topic][str(value)] += 1
    ranked = []
    for path, by_topic in values.items():
        rank = rank_of(path)
        counts = [count for of_topic in by_topic.values() for count in of_topic.values()]
        ids = {text for of_topic in by_topic.values() for text in of_topic}
        if rank is None and _begin_with(ids, path):
            rank = _OF_ITS_OWN_NAME
        if (
            rank is None
            or sum(counts) < SHARE * len(leaves)
            or any(device_id_problem(one, ID_BYTES_MAX) for one in ids)
        ):
            continue
        if max(counts) == 1 and len(counts) > max(2, len(by_topic)) and rank > 1:
            continue  # another one in each message: the message's own
        is_several = any(len(of_topic) > 1 for of_topic in by_topic.values())
        ranked.append((not is_several and rank > 1, rank, path.count("."), path, is_several))
    if not ranked:
        return "", False
    best = min(ranked)
    return best[3], best[4]


def _begin_with(ids: Collection[str], path: str) -> bool:
    """Are several texts the name of their own field, and then each another number?"""
    name = _PLAIN.sub("", path.rpartition(".")[2].lower())
    plain = [_PLAIN.sub("", text.lower()) for text in ids]
    return len(ids) > 1 and bool(name) and all(one.startswith(name) and one[len(name) :].isdigit() for one in plain)
