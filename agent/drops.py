"""Dropped and doubtful messages as columns.

A flood of bad messages must cost little, so names and texts are made where the core hands drops out, of samples only.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agent.reasons import REASONS, ReasonName
from agent.words import Bool, Devices, Drop, DropCounts, Int64

NO_SOURCE = -1


@dataclass(frozen=True, slots=True)
class Drops:
    """Messages that were dropped or doubted for one reason, as columns of n elements.

    message  int64 [n]  index into the messages of the call
    source   int64 [n]  index, NO_SOURCE where the topic matches none
    device   [n]        ids, "" where the topic names none
    detail              makes the text of one message, from its element of each of `values`
    values              columns of n elements: what the text needs
    """

    reason: ReasonName
    message: Int64
    source: Int64
    device: Devices
    detail: Callable[..., str]
    values: tuple[Sequence[Any] | npt.NDArray[Any], ...] = ()

    def shifted(self, n_messages: int) -> "Drops":
        """The same, of a call in which `n_messages` more came before."""
        return replace(self, message=self.message + n_messages)

    def only(self, which: Bool) -> "Drops":
        """Those where bool [n] holds."""
        values = tuple([*compress(column, which)] for column in self.values)
        return Drops(self.reason, self.message[which], self.source[which], self.device[which], self.detail, values)

    def sample(self, row: int, topics: Sequence[str], names: Sequence[str]) -> Drop:
        """One of them with its names; `topics` are those of the call's messages, `names` those of the sources."""
        return Drop(
            source=_name(int(self.source[row]), names),
            device=str(self.device[row]),
            topic=topics[self.message[row]],
            reason=self.reason,
            detail=self.detail(*(column[row] for column in self.values)),
        )


class SingleDrop(NamedTuple):
    """A message that was dropped or doubted by itself, as `Drops` has many; `detail` is its text."""

    reason: ReasonName
    message: int
    source: int
    device: str
    detail: str


def as_columns(singles: Sequence[SingleDrop]) -> list[Drops]:
    """A record a reason, each in the order given."""
    drops = []
    for reason in dict.fromkeys(single.reason for single in singles):
        _, message, source, device, detail = zip(*(one for one in singles if one.reason == reason), strict=True)
        columns = (np.array(message), np.array(source), np.array(device, np.object_))
        drops.append(Drops(reason, *columns, str, (detail,)))
    return drops


def used_readings(message: Int64, left_out: Sequence[Drops]) -> Bool | None:
    """Which readings are of messages that are used, bool [n], None for all: a reading at least of each is not left out.

    message int64 [n] of each reading that was decoded; left_out  what became of them after that, doubts too
    """
    dropped = [group.message for group in left_out if not REASONS[group.reason].is_used]
    if not dropped:
        return None
    n_left = np.bincount(message)
    n_dropped = np.bincount(np.concatenate(dropped), minlength=len(n_left))[: len(n_left)]
    return np.asarray(n_left > n_dropped)[message]


def without_idle_doubts(drops: Sequence[Drops], used: Sequence[int]) -> list[Drops]:
    """Without doubts of messages of which nothing is used, but those of devices: what became of them has been said."""
    is_of_message = [REASONS[group.reason].is_used and not REASONS[group.reason].of_device for group in drops]
    return [
        group.only(np.isin(group.message, used)) if of_message else group
        for group, of_message in zip(drops, is_of_message, strict=True)
    ]


def count_drops(
    drops: Iterable[Drops], topics: Sequence[str], names: Sequence[str], counts: DropCounts, samples_max: int
) -> list[Drop]:
    """Add to `counts`, and return a sample of each source and reason, the last one, at most `samples_max` in all.

    topics, names  of the call's messages and of the sources
    """
    newest: dict[tuple[int, ReasonName], tuple[Drops, int]] = {}
    for group in drops:
        sources = group.source.tolist()
        for source, count in Counter(sources).items():
            counts[_name(source, names), group.reason] += count
        for source, row in dict(zip(sources, range(len(sources)), strict=True)).items():
            if (source, group.reason) in newest or len(newest) < samples_max:
                newest[source, group.reason] = group, row
    return [group.sample(row, topics, names) for group, row in newest.values()]


def _name(source: int, names: Sequence[str]) -> str:
    return names[source] if source != NO_SOURCE else ""
