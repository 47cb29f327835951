"""How many rows a stream that starts in mid-life needs until it agrees with one scored from its first row on.

Every calibration device is also played from zero state at every `STARTS_EVERY`-th row of its life, and the risks of
each row are compared with those of the whole stream at the same row. The two agree when the mean square of their
difference is at most the mean square of the whole stream's own error (its Brier score): what is left of the late
start is then smaller than what the bundle does not know anyway. The judged horizon counts, and every longer one,
since a short one alone is calm for most of a life and would pass too soon. Shorter ones only set the severity of an
alert that stands.

Lives of more than `FOLLOWED_ROWS` rows start at fewer rows, and a start is followed for as many rows at most, which is
then the longest warm-up that can be found: else the work would grow with the square of a life.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.bundle.file import Bundle
from agent.core import Bounds
from trainer.data.history import Float64, History
from trainer.evaluation.device_bootstrap import mean
from trainer.evaluation.playback import NEVER, play

STARTS_EVERY = 6
WINDOW_ROWS = 10
FOLLOWED_ROWS = 1000
STARTS_OF_LONG = 20
"""Late starts of a life of more than `FOLLOWED_ROWS` rows."""


@dataclass(frozen=True, slots=True)
class LateStart:
    """One late start, float64 [rows, horizons], all squared: its difference to the whole stream, and both their errors.

    The first column is the judged horizon, the others are the longer ones.
    """

    difference: Float64
    error: Float64
    whole_error: Float64


def late_starts(bundle: Bundle, histories: Sequence[History]) -> list[LateStart]:
    """Play every late start and every whole stream, up to the last row that knows what followed."""
    judged = slice(bundle.manifest.judging["risk"].policy.horizon, None)
    horizons_s = np.array(bundle.manifest.horizons_s[judged])
    late = [
        (first, number, start_at(history, first, f"{number}@{first}"))
        for number, history in enumerate(histories)
        for first in first_rows(len(history.t_s))
    ]
    whole = [device.risk[:, judged].astype(np.float64) for device in play(bundle, bundle.model, histories, NEVER)]
    faults = [history.faults_within(horizons_s) for history in histories]  # [T, horizons] each
    most = Bounds().devices_max  # each start is a device of its own
    played = [
        device
        for begin in range(0, len(late), most)
        for device in play(bundle, bundle.model, [history for _, _, history in late[begin : begin + most]], NEVER)
    ]
    starts = []
    for (first, number, history), device in zip(late, played, strict=True):
        fault, is_known = faults[number]
        end = min(first + len(history.t_s), int(is_known.all(axis=1).sum()))
        rows = slice(first, max(first, end))
        risk = device.risk[: rows.stop - first, judged].astype(np.float64)
        risk_of_whole, truth = whole[number][rows], fault[rows]
        starts.append(LateStart((risk - risk_of_whole) ** 2, (risk - truth) ** 2, (risk_of_whole - truth) ** 2))
    return starts


def start_at(history: History, first: int, device: str) -> History:
    """The rows from `first` on as those of a device of its own. Its times are those of the life's first rows and the
    steps between them are kept: streams that run side by side are stepped together.
    """
    late = history.only(slice(first, first + FOLLOWED_ROWS))
    t_ns = late.t_ns - late.t_ns[0] + history.t_ns[0]
    return replace(late, device=device, t_s=late.t_s - late.t_s[0] + history.t_s[0], t_ns=t_ns)


def first_rows(n_rows: int) -> range:
    """The rows of a life of `n_rows` at which streams start late."""
    every = STARTS_EVERY if n_rows <= FOLLOWED_ROWS else n_rows // STARTS_OF_LONG
    return range(every, n_rows, every)


def warmup_rows(starts: Sequence[LateStart]) -> int:
    """Fewest rows from which on the late starts agree at each of these horizons, both over the `WINDOW_ROWS` rows that
    follow and over all later rows together, so that neither a quiet moment nor a long calm end can pass for it.
    """
    longest = max(len(one.difference) for one in starts)
    for n in range(longest):
        soon, later = slice(n, n + WINDOW_ROWS), slice(n, None)
        if all(
            mean(one.difference[rows, k] for one in starts) <= mean(one.whole_error[rows, k] for one in starts)
            for rows in (soon, later)
            for k in range(starts[0].difference.shape[1])
        ):
            return n + 1
    return longest


def brier_after(starts: Sequence[LateStart], rows: int) -> tuple[float, float]:
    """Brier score at the judged horizon of late starts once warmed up, and of the whole streams at the same rows."""
    warm = slice(rows - 1, None)
    return mean(one.error[warm, 0] for one in starts), mean(one.whole_error[warm, 0] for one in starts)
