"""Tables of one machine to rows on a grid: the values of several tables beside each other, as the agent has them.

The agent holds the newest value of each channel and makes a row at each multiple of `every`, whichever topic a value
came on. Recorded readings go through that very code, in the order of their times, so that a training learns from the
rows that a gateway will have (law 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.align.alignment import Alignment
from agent.devices.rows import Rows
from agent.devices.slots import Slots
from agent.drops import Drops
from agent.sources import AlignRule, Source, SourceChannel
from agent.words import Float32, Int64

AT_ONCE = 50_000
"""Readings: what they need in between is some hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one table has of a machine.

    columns    where each of its channels is in a row
    max_age_s  its values are held for so long, None: as the rule says
    events     places of its channels that count events
    t_ns       int64 [n] rising; x float32 [n, f], NaN = no value
    """

    columns: tuple[int, ...]
    max_age_s: float | None
    events: frozenset[int]
    t_ns: Int64
    x: Float32


def grid_rows(tables: Sequence[Part], rule: AlignRule) -> tuple[Int64, Float32]:
    """Times int64 [T] and values float32 [T, F] of the rows; at one time the readings of the first table come first."""
    width = sum(len(table.columns) for table in tables)
    sources = [_source(number, table, rule, width) for number, table in enumerate(tables)]
    slots = Slots(1, len(sources))
    slots.claim(0, "machine")
    alignment = Alignment(sources, slots)
    t_ns = np.concatenate([table.t_ns for table in tables])
    order = np.argsort(t_ns, kind="stable")
    source = np.repeat(np.arange(len(tables)), [len(table.t_ns) for table in tables])[order]
    t_ns, place = t_ns[order], np.concatenate([np.arange(len(table.t_ns)) for table in tables])[order]
    made = []
    drops: list[Drops] = []  # a value that is missing is counted live; here a row says so by itself
    for start in range(0, len(t_ns), AT_ONCE):
        at = slice(start, start + AT_ONCE)
        x = np.full((len(t_ns[at]), width), np.nan, np.float32)
        for number, table in enumerate(tables):
            which = np.flatnonzero(source[at] == number)
            x[which[:, None], list(table.columns)] = table.x[place[at][which]]
        made.append(alignment.align(_rows(t_ns[at], source[at], x), drops))
        drops.clear()
    return np.concatenate([one.t_ns for one in made]), np.concatenate([one.x for one in made])


def _source(number: int, table: Part, rule: AlignRule, width: int) -> Source:
    channels = tuple(
        SourceChannel(str(column), max_age_s=table.max_age_s, event="" if place in table.events else None)
        for place, column in enumerate(table.columns)
    )
    joins = "0" if number else ""
    return Source(str(number), (), "t", "ns", channels, align=rule, joins=joins, columns=table.columns, width=width)


def _rows(t_ns: Int64, source: Int64, x: Float32) -> Rows:
    none = np.zeros(len(t_ns), np.int64)
    return Rows(none, none, source, none, np.full(len(t_ns), "machine", object), t_ns, t_ns, x)
