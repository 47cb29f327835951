"""How good a score is, from its row and the device's past (law 4)."""

import numpy as np

from agent.bundle.manifest import Manifest
from agent.words import Bool, Float32, Int64, Quality, UInt8


class QualityRule:
    """The manifest's warm-up and training ranges, ready to compare with rows."""

    def __init__(self, manifest: Manifest) -> None:
        low = np.array([channel.low for channel in manifest.channels])
        high = np.array([channel.high for channel in manifest.channels])
        margin = manifest.out_of_domain_margin * (high - low)
        counts = np.array([channel.event for channel in manifest.channels])  # any number of events may happen
        self._low = np.where(counts, -np.inf, low - margin).astype(np.float32)
        self._high = np.where(counts, np.inf, high + margin).astype(np.float32)
        self._is_needed = np.array([not channel.may_be_missing for channel in manifest.channels])
        self._warmup_rows = manifest.warmup_rows

    def quality(
        self, x: Float32, rows_before: Int64, is_new: Bool, is_gap: Bool, is_stuck: Bool, is_absent: Bool
    ) -> UInt8:
        """Quality uint8 [b] of rows x [b, F]: the first that holds of gap, warming_up, out_of_domain, stuck, ok.

        rows_before int64 [b] rows stepped since the state began, without this one; is_new bool [b] it began with the
        device's life, so that nothing is missing from it; is_gap, is_stuck bool [b]; is_absent bool [b] a channel that
        may be missing has been so for far longer than in training.
        """
        with np.errstate(invalid="ignore"):
            outside = (x < self._low) | (x > self._high) | (np.isnan(x) & self._is_needed)
        quality = np.full(len(x), Quality.OK, np.uint8)
        quality[is_stuck] = Quality.STUCK
        quality[is_absent] = Quality.OUT_OF_DOMAIN
        if np.count_nonzero(outside):
            quality[outside.any(axis=1)] = Quality.OUT_OF_DOMAIN
        quality[(rows_before + 1 < self._warmup_rows) & ~is_new] = Quality.WARMING_UP
        quality[is_gap] = Quality.GAP
        return quality
