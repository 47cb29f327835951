"""Law 5: one payload makes a bounded number of rows, whatever its source's rule of alignment."""

import json
from dataclasses import replace

import pytest

from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.sources import AlignRule, PayloadForm
from tests.small_bundle import CHANNELS
from tests.streams import SOURCE, model

S = 10**9
ROWS_MAX = 300  # of one device and message: as many steps as take 50 ms


def columns(start_s: int, n: int, step_s: int) -> bytes:
    times = [start_s + step_s * index for index in range(n)]
    return json.dumps({"t": times, **{name: [0.1] * n for name in CHANNELS}}).encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("align", "payloads"),
    [
        # 7 kB, 17,940 rows, seconds: 300 readings pass 60 points each
        (AlignRule(every_s=1, max_age_s=100), [columns(0, 300, 61)]),
        # the last reading ends the waiting of up to 1,024
        (AlignRule(lateness_s=2000), [*(columns(200 * k, 200, 1) for k in range(6)), columns(9000, 1, 1)]),
    ],
)
def test_a_message_makes_few_rows(align, payloads):
    source = replace(
        SOURCE, time_field="t", time_unit="s", align=align, payload=PayloadForm(form="columns"), past_max_s=1e9
    )
    into = Core((source,), (model(source),), Bounds())
    for index, payload in enumerate(payloads):
        taken = into.apply(Messages(["plant/p1/cycle"], [payload], [(20_000 + index) * S]))
        assert len(taken.scores[0].entry) <= ROWS_MAX
