"""A bundle's figures by how a stream starts: with a device known to be new, with one of unknown age, or in mid-life.

Each held-out device is played whole, and again from later rows on. The figures are always those of the rows near the
failure, because every one of these streams has them.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.score.early_warning import EarlyWarning
from agent.words import FirstSeen
from trainer.data.history import History
from trainer.evaluation.device_bootstrap import mean
from trainer.evaluation.playback import fleet_of, play
from trainer.evaluation.threshold_sweep import early_warning, rules_of

UNSEEN_ROWS = (25, 50, 75)
NEAR = 0.8
"""Rows count whose remaining life is at most this share of the cap (100 of C-MAPSS's 125 cycles)."""


class StreamStart(msgspec.Struct, frozen=True):
    """Figures of streams that begin in one way; NaN where no row is near a failure.

    first_seen         as the source says it
    unseen_rows        rows of the device's life that nobody saw
    rmse_s             of the remaining life over the rows near the failure
    interval_coverage  share of these rows whose truth lies in the interval
    brier              of the judged horizon over these rows
    early_warning      over all devices and rows
    """

    first_seen: FirstSeen
    unseen_rows: int
    n_rows: int
    rmse_s: float
    interval_coverage: float
    brier: float
    early_warning: EarlyWarning


def stream_starts(bundle: Bundle, histories: Sequence[History], threshold: float) -> tuple[StreamStart, ...]:
    """Known new, unknown, and joined after each of UNSEEN_ROWS; a device with no more rows than that is left out, and
    so is a way for which no device is left.
    """
    ways: list[tuple[FirstSeen, int]] = [("new", 0), ("unknown", 0), *(("unknown", unseen) for unseen in UNSEEN_ROWS)]
    return tuple(
        stream_start(
            bundle, [later(one, unseen) for one in histories if len(one.t_s) > unseen], threshold, first, unseen
        )
        for first, unseen in ways
        if any(len(one.t_s) > unseen for one in histories)
    )


def left_out(starts: Sequence[StreamStart]) -> list[int]:
    """Which of UNSEEN_ROWS are not among the starts."""
    return [unseen for unseen in UNSEEN_ROWS if unseen not in {start.unseen_rows for start in starts}]


def later(history: History, unseen: int) -> History:
    """The same history without its first rows."""
    return history.only(slice(unseen, None))


def stream_start(
    bundle: Bundle, histories: Sequence[History], threshold: float, first_seen: FirstSeen, unseen: int
) -> StreamStart:
    """Play the histories as they are; `unseen` is what they have lost already."""
    played = play(bundle, bundle.model, histories, threshold, first_seen=first_seen)
    manifest = bundle.manifest
    assert manifest.rul is not None
    left = np.concatenate([history.observed_left() for history in histories])
    failed = np.repeat([history.failed for history in histories], [len(history.t_s) for history in histories])
    near = failed & (left <= NEAR * manifest.rul.cap_s)
    low, centre, high = np.concatenate([device.rul for device in played])[near].T
    risk = np.concatenate([device.risk[:, manifest.judging["risk"].policy.horizon] for device in played])[near].astype(
        np.float64
    )
    left, horizon_s = left[near], manifest.horizons_s[manifest.judging["risk"].policy.horizon]
    return StreamStart(
        first_seen=first_seen,
        unseen_rows=unseen,
        n_rows=len(left),
        rmse_s=math.sqrt(mean([(centre - left) ** 2])) if len(left) else math.nan,
        interval_coverage=mean([(low <= left) & (left <= high)]) if len(left) else math.nan,
        brier=mean([(risk - (left <= horizon_s)) ** 2]) if len(left) else math.nan,
        early_warning=early_warning(fleet_of(manifest, played, histories), rules_of(manifest)),
    )
