"""Recorded rows -> exactly the messages that their devices would have published, in the order of time.

At one time devices go by name. A float32 is printed with the fewest digits that read back as the same float32, a
missing value is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest
from agent.decode.paths import path_of
from agent.decode.topic import DEVICE
from agent.replay.recorded import Recorded
from agent.score.early_warning import Float64
from agent.score.time_unit import seconds
from agent.sources import Source, plain_channels
from agent.step.stops import rows_that_run
from agent.words import FirstSeen, Float32, Int64

SOURCE_NAME = "replay"


@dataclass(frozen=True, slots=True)
class Stream:
    """All rows in playing order: owner int64 [n] indexes `devices`, t_ns int64 [n], x float32 [n, F]."""

    source: Source
    devices: tuple[str, ...]
    owner: Int64
    t_ns: Int64
    x: Float32

    @property
    def t_s(self) -> Float64:
        """float64 [n]: the same times in seconds, or in cycles."""
        return seconds(self.t_ns)

    def __len__(self) -> int:
        return len(self.owner)

    def messages(self, start: int, end: int) -> tuple[list[str], list[bytes]]:
        """Topics and payloads of messages `start` to `end` - 1."""
        topics = [self.topic(self.devices[owner]) for owner in self.owner[start:end].tolist()]
        names = [msgspec.json.encode(field.strip('"')).decode() + ":" for field in self.source.fields]
        payloads = []
        times = self.t_ns[start:end].tolist()  # a number of nanoseconds, or of cycles
        if self.source.time_unit == "cycle":
            times = [int(t) if t.is_integer() else repr(t) for t in self.t_s[start:end].tolist()]
        for time, cells in zip(times, self.x[start:end].astype(np.str_).tolist(), strict=True):
            values = [name + cell for name, cell in zip(names, cells, strict=True) if cell != "nan"]
            payloads.append(f'{{"{self.source.time_field}":{time},{",".join(values)}}}'.encode())
        return topics, payloads

    def topic(self, device: str) -> str:
        return self.source.topics[0].replace(DEVICE, device)


def source_for(manifest: Manifest, topic: str, *, first_seen: FirstSeen = "unknown") -> Source:
    """How an agent must read what is played. `topic` holds `{device}`, and no wildcard beside it.

    first_seen  `new` when every recording begins with its device's life
    """
    cycles = manifest.time_unit == "cycle"
    return Source(
        name=SOURCE_NAME,
        topics=(topic,),
        time_field="cycle" if cycles else "t",
        time_unit="cycle" if cycles else "ns",
        channels=plain_channels(*(path_of(channel.name) for channel in manifest.inputs)),
        first_seen=first_seen,
    )


def without_rows_too_soon(recorded: Sequence[Recorded], manifest: Manifest) -> tuple[list[Recorded], int]:
    """The recordings less the rows that an agent leaves out as `too_fast`, and how many those were."""
    kept = []
    cadence = manifest.cadence
    closest_ns, due_ns = round(cadence.closest_s * 1e9), round(cadence.due_s * 1e9)
    for device in recorded:
        t_ns = device.t_ns
        is_stepped = rows_that_run(manifest, t_ns, device.x)
        rows: list[int] = []
        newest_ns, wait_ns = -due_ns, closest_ns
        for row, (t, steps) in enumerate(zip(t_ns.tolist(), is_stepped.tolist(), strict=True)):
            if not steps:
                rows.append(row)
            elif t - newest_ns >= wait_ns:
                rows.append(row)
                newest_ns, wait_ns = t, closest_ns
            else:
                wait_ns = due_ns
        kept.append(Recorded(device.device, t_ns[rows], device.x[rows]))
    return kept, sum(len(one.t_ns) for one in recorded) - sum(len(one.t_ns) for one in kept)


def stream(recorded: Sequence[Recorded], source: Source) -> Stream:
    """Merge the histories of devices, which come in the order of their names."""
    owner = np.repeat(np.arange(len(recorded)), [len(one.t_ns) for one in recorded])
    t_ns = np.concatenate([one.t_ns for one in recorded])
    order = np.argsort(t_ns, kind="stable")  # at one time in the order of the devices
    x = np.concatenate([one.x for one in recorded])
    return Stream(source, tuple(one.device for one in recorded), owner[order], t_ns[order], x[order])
