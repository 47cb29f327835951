"""A guess, tried: the sample is read by it as the agent would read it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from agent.config.plain import plain_channel, plain_source
from agent.config.source_settings import SourceSettings
from agent.config.topics import name_faults
from agent.config.wording import what_is_wrong
from agent.decode.codec import CODECS
from agent.decode.expand import compression_problem
from agent.decode.intake import Intake
from agent.reasons import REASONS
from agent.sample.kinds import Seen
from agent.sample.traffic import PAYLOAD_BYTES_MAX
from agent.sources import Source

DEVICE_ID_BYTES_MAX = 128  # the agent's default


class Trial(NamedTuple):
    """n_read of n messages were not dropped, and gave these devices; reasons: of those that were, and of doubts."""

    n: int
    n_read: int
    devices: frozenset[str]
    reasons: Mapping[str, int]


def source_of(settings: Mapping[str, Any]) -> Source:
    """The source that settings mean. Raises ValueError that says what is wrong with them."""
    try:
        checked = SourceSettings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {what_is_wrong(first)}") from None
    source = plain_source(checked, [plain_channel(checked, name) for name in checked.channels])
    problems = [what for _, what in name_faults(0, checked)]
    problems = problems or [what for _, what in CODECS[checked.codec].problems(source)]
    problems = problems or [what for what in [compression_problem(checked.compression)] if what]
    if problems:
        raise ValueError(problems[0])
    return source


def trial(source: Source, messages: Sequence[Seen]) -> Trial:
    """What becomes of messages, in the order of their arrival."""
    intake = Intake([source], payload_bytes_max=PAYLOAD_BYTES_MAX, device_id_bytes_max=DEVICE_ID_BYTES_MAX)
    given = [one.message for one in messages]
    readings = intake.read(
        [one.topic for one in given],
        [one.payload for one in given],
        np.array([one.arrived_ns for one in given], np.int64),
    )
    reasons: Counter[str] = Counter()
    dropped: set[int] = set()
    for group in readings.drops:
        reasons[group.reason] += len(group.message)
        if not REASONS[group.reason].is_used:
            dropped.update(group.message.tolist())
    return Trial(
        len(given), len(given) - len(dropped), frozenset(readings.device.tolist()), dict(sorted(reasons.items()))
    )
