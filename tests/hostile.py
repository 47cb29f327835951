"""Messages that mean harm, or are broken: tests/data/hostile, a folder a format.

`source.json` is the source that reads them. `cases.json` says what each payload `NAME.payload` is, and `counts`: the
one reason that it counts, and how often where that is not once; nothing where it is used as it is. `topic` is where it
comes, `repeats` what its end is made of.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from agent.core import Bounds, Core
from agent.reasons import ReasonName
from agent.sources import Source
from tests.small_bundle import CHANNELS
from tests.streams import SOURCE, model

HOSTILE = Path(__file__).parent / "data" / "hostile"
DEVICE = "bad"


@dataclass(frozen=True)
class HostileCase:
    """One message and what it counts."""

    folder: str
    name: str
    topic: str
    payload: bytes
    counts: dict[ReasonName, int]

    @property
    def id(self) -> str:
        return f"{self.folder}-{self.name}"


def source_of(folder: str) -> Source:
    """The source of a folder's messages; its channels are those of the small bundle."""
    given = json.loads((HOSTILE / folder / "source.json").read_text())
    fields = given.pop("fields", CHANNELS)
    known = {"name": folder, "codec": folder, "topics": [f"hostile/{folder}/{{device}}"]}
    return msgspec.convert(known | {"channels": [{"field": field} for field in fields]} | given, Source)


def cases_of(folder: str) -> Iterator[HostileCase]:
    """All messages of a folder."""
    table = json.loads((HOSTILE / folder / "cases.json").read_text())
    for name, row in table.items():
        text, n_times = row.get("repeats", ("", 0))
        topic = row.get("topic", f"hostile/{folder}/{DEVICE}") + text * n_times
        yield HostileCase(
            folder, name, topic, (HOSTILE / folder / f"{name}.payload").read_bytes(), row.get("counts", {})
        )


def core_of(*sources: Source) -> Core:
    """A core that reads the sources beside the one of `tests.streams`."""
    every = (SOURCE, *sources)
    reads, channels = tuple(range(len(every))), ((0, 1, 2),) * len(every)
    return Core(every, (replace(model(SOURCE), sources=reads, channels=channels),), Bounds())


FOLDERS = sorted(path.name for path in HOSTILE.iterdir())
