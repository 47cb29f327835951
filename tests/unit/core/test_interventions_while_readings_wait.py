"""What was done to a machine whose readings still wait for older ones (`lateness`)."""

import json
from dataclasses import replace

import pytest

from agent.core import Core
from agent.core.entries import Messages
from agent.sources import AlignRule, InterventionRule
from tests.small_bundle import CHANNELS
from tests.streams import SOURCE, core

S = 10**9
SOURCE_THAT_WAITS = replace(
    SOURCE,
    time_field="t",
    time_unit="s",
    align=AlignRule(lateness_s=30),
    interventions=InterventionRule("event", (("fixed", "repaired"),)),
)


def send(into: Core, t_s: int, arrived_s: int | None = None, **fields: object) -> list[int]:
    """Event times in s of the rows that were scored."""
    payload = json.dumps({"t": t_s, **fields}).encode()
    taken = into.apply(Messages(["plant/p1/cycle"], [payload], [(arrived_s or t_s) * S]))
    return [t_ns // S for t_ns in taken.scores[0].t_ns.tolist()]


VALUES = dict.fromkeys(CHANNELS, 0.1)


def test_readings_that_wait_are_stepped_before_the_intervention_or_counted():
    into = core(SOURCE_THAT_WAITS)
    rows = [row for t_s in range(1000, 1020) for row in send(into, t_s, **VALUES)]
    rows += send(into, 1020, event="fixed")
    rows += [row for t_s in range(1021, 1100) for row in send(into, t_s, **VALUES)]
    n_waiting = 1099 - rows[-1]
    assert len(rows) + n_waiting + sum(into.counts.values()) == 20 + 79


@pytest.mark.parametrize("t_s", [1015])
def test_a_reading_of_before_the_repair_is_no_row_of_the_new_life(t_s):
    into = core(SOURCE_THAT_WAITS)
    for t in range(1000, 1020):
        send(into, t, **VALUES)
    send(into, 1020, event="fixed")
    rows = send(into, t_s, arrived_s=1021, **(VALUES | {"wear": 3.0}))
    rows += [row for t in range(1022, 1100) for row in send(into, t, **VALUES)]
    assert t_s not in rows
