"""How many rows a stream that starts in mid-life needs until its risk is that of one heard from the beginning.

Every calibration device is also played from zero state at every `STARTS_EVERY`-th row of its life, and each row's risk
is compared with that of the whole stream. Two risks agree when they are within `AGREES_WITHIN`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.bundle.file import Bundle
from agent.words import Bool
from trainer.data.history import History
from trainer.played import NEVER, play

STARTS_EVERY = 6
AGREES_WITHIN = 0.1
AGREEING_SHARE = 0.9
WINDOW_ROWS = 10


def agreements(bundle: Bundle, histories: Sequence[History]) -> list[Bool]:
    """For each late start, bool [rows left]: is the judged risk that of the whole stream?"""
    horizon = bundle.manifest.judge.horizon
    late = [
        (number, replace(history, device=f"{history.device}@{first}", t_s=history.t_s[first:], x=history.x[first:]))
        for number, history in enumerate(histories)
        for first in range(STARTS_EVERY, len(history.t_s), STARTS_EVERY)
    ]
    whole = play(bundle, bundle.model, histories, NEVER)
    started = play(bundle, bundle.model, [history for _, history in late], NEVER)
    return [
        np.abs(told.risk[:, horizon] - whole[number].risk[-len(told.risk) :, horizon]) <= AGREES_WITHIN
        for (number, _), told in zip(late, started, strict=True)
    ]


def warmup_rows(found: Sequence[Bool]) -> int:
    """Fewest rows n from which on a share of `AGREEING_SHARE` agrees, over the starts: both of the `WINDOW_ROWS` rows
    that follow and of all later rows together, so that neither a quiet moment nor a long calm end can pass for it.
    """
    longest = max(len(one) for one in found)
    for n in range(longest):
        soon = np.concatenate([one[n : n + WINDOW_ROWS] for one in found])
        later = np.concatenate([one[n:] for one in found])
        if min(soon.mean(), later.mean()) >= AGREEING_SHARE:
            return n + 1
    return longest
