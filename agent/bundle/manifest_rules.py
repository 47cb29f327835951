"""Whether a manifest makes sense: what its types cannot say."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from agent.bundle.bounds import TIME_S_MAX, TIME_S_MIN, WARMUP_ROWS_MAX, rising_faults
from agent.bundle.heads import HEADS
from agent.bundle.manifest import Channel, JudgePolicy, Manifest, ThresholdTable

CHANNELS_MAX = 1024
STATE_SIZE_MAX = 65_536
WINDOW_MAX = 32  # `judge` keeps the last n rows as bits of a uint32
THRESHOLDS_MAX = 10_000
ANOMALY_MAX = 1e12  # of a threshold
FALSE_ALARMS_MAX = 10**12
SPAN_S_MAX = 1e9  # of what is reckoned with in int64 nanoseconds, beside event times: some 30 years
STATE_VALUE_MAX = 3e38  # a float32 can hold it
WORDS_MAX = 100  # of a channel, the numbers for no value among them
WORD_CHARS_MAX = 100
FAULTS_MAX = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def faults(manifest: Manifest) -> list[str]:
    """What is wrong, in words, up to FAULTS_MAX; none means the rest of forewarn can rely on the manifest."""
    return list(islice(_faults(manifest), FAULTS_MAX))


def _faults(manifest: Manifest) -> Iterator[str]:
    if manifest.schema_version < 1:
        yield f"schema_version is {manifest.schema_version}, must be at least 1"
    for what, text in (("name", manifest.name), ("version", manifest.version)):
        if not _NAME.fullmatch(text):
            yield f"{what} {text!r} must be up to 64 letters, digits and . _ + -"
    if not _SHA256.fullmatch(manifest.created_from.data_sha256):
        yield "created_from.data_sha256 is not a SHA-256"
    yield from _channel_faults(manifest)
    yield from _state_faults(manifest)
    cadence = manifest.cadence
    if not 0 < cadence.every_s <= cadence.dt_max_s <= SPAN_S_MAX:
        spans = f"every_s {cadence.every_s} and dt_max_s {cadence.dt_max_s}"
        yield f"cadence: {spans} must be above 0, at most {SPAN_S_MAX:g} and in this order"
    if not 0 <= cadence.least_s <= cadence.every_s:
        yield f"cadence.least_s is {cadence.least_s}, must be 0 to every_s"
    if not 0 <= manifest.numerics.tolerance <= 1:
        yield f"numerics.tolerance is {manifest.numerics.tolerance}, must be 0 to 1"
    for head in HEADS.values():
        yield from head.faults(manifest)
    if manifest.risk is None and not manifest.judging:
        yield "it has no head that raises alerts: neither risk nor anomaly"
    for head_name, (policy, thresholds) in manifest.judging.items():
        at = "" if head_name == "risk" else f"{head_name}: "
        below = 1.0 if head_name == "risk" else ANOMALY_MAX
        yield from (at + fault for fault in (*_judge_faults(policy), *_table_faults(thresholds, below)))
    for what, lives_s in (("lives_s", manifest.lives_s), ("unfailed_s", manifest.unfailed_s)):
        if not all(_is_positive(life) for life in lives_s):
            yield f"{what} holds a life that is not > 0"
    for name, value in manifest.metrics.items():
        if not math.isfinite(value):
            yield f"metrics.{name} is not finite"


def _channel_faults(manifest: Manifest) -> Iterator[str]:
    names = Counter(channel.name for channel in manifest.channels)
    if not 1 <= manifest.n_channels <= len(manifest.inputs) <= CHANNELS_MAX:
        yield f"it has {len(manifest.inputs)} channels, must be 1 to {CHANNELS_MAX}"
    for name, count in names.items():
        if count > 1:
            yield f"the channel {name!r} is there {'twice' if count == 2 else f'{count} times'}"
    for channel in manifest.inputs:
        if not channel.name or not channel.name.isprintable():
            yield f"the channel name {channel.name!r} cannot be printed"
        if not (math.isfinite(channel.low) and math.isfinite(channel.high) and channel.low <= channel.high):
            yield f"the channel {channel.name!r} has the range {channel.low} to {channel.high}"
        yield from _mapping_faults(channel)
    if (runs := manifest.runs) is not None:
        if not (abs(runs.above) <= STATE_VALUE_MAX and 0 <= runs.after_s <= SPAN_S_MAX):
            yield f"runs: above {runs.above} must be finite as a float32, after_s {runs.after_s} 0 to {SPAN_S_MAX:g}"
        if runs.channel.event:
            yield f"runs: the channel {runs.channel.name!r} counts events, which say nothing of whether a machine runs"
    margin = manifest.out_of_domain_margin
    if not (math.isfinite(margin) and margin >= 0):
        yield f"out_of_domain_margin is {margin}, must be >= 0"


def _mapping_faults(channel: Channel) -> Iterator[str]:
    """What is wrong with what stood for its values in the recordings."""
    of, words = f"the channel {channel.name!r}", [*channel.words, *channel.missing_words]
    n_words = len(channel.missing) + len(words)
    if n_words > WORDS_MAX:
        yield f"{of} has {n_words} words and missing numbers, at most {WORDS_MAX} are looked for"
    if not all(map(math.isfinite, (*channel.missing, *channel.words.values()))):
        yield f"{of} has a word or a missing number that is not finite"
    for word in words:
        if not 0 < len(word) <= WORD_CHARS_MAX or word != word.strip():
            yield f"{of} has the word {word[:40]!r}: 1 to {WORD_CHARS_MAX} characters, no blanks around them"
    if twice := sorted(set(channel.words) & set(channel.missing_words)):
        yield f"{of} has the word {twice[0]!r} for a number and for no value"
    for what, span_s in (("steady_max_s", channel.steady_max_s), ("absent_max_s", channel.absent_max_s)):
        if span_s is not None and not 0 <= span_s <= TIME_S_MAX:
            yield f"{of} has {what} {span_s}, must be 0 to {TIME_S_MAX:g}"


def _state_faults(manifest: Manifest) -> Iterator[str]:
    if not all(block.size > 0 for block in manifest.state) or not 1 <= manifest.state_size <= STATE_SIZE_MAX:
        yield f"the state has {manifest.state_size} columns, must be 1 to {STATE_SIZE_MAX} in blocks of at least 1"
    names = [block.name for block in manifest.state]
    if len(set(names)) < len(names):
        yield "two blocks of the state have one name"
    for block in manifest.state:
        if not abs(block.new) <= STATE_VALUE_MAX:
            yield f"the block {block.name!r} of the state is {block.new} for a new device, must be finite as a float32"
    if not 0 <= manifest.warmup_rows <= WARMUP_ROWS_MAX:
        yield f"warmup_rows is {manifest.warmup_rows}, must be 0 to {WARMUP_ROWS_MAX}"


def _judge_faults(judge: JudgePolicy) -> Iterator[str]:
    if not 0 < judge.severity_risk <= 1:
        yield f"judge.severity_risk is {judge.severity_risk}, must be above 0 and at most 1"
    if not 1 <= judge.m <= judge.n <= WINDOW_MAX:
        yield f"judge: m {judge.m} of n {judge.n} must be 1 <= m <= n <= {WINDOW_MAX}"
    if not 0 < judge.clear_ratio <= 1:
        yield f"judge.clear_ratio is {judge.clear_ratio}, must be above 0 and at most 1"
    if not 0 <= judge.clear_after_s <= SPAN_S_MAX:
        yield f"judge.clear_after_s is {judge.clear_after_s}, must be 0 to {SPAN_S_MAX:g}"


def _table_faults(table: ThresholdTable, below: float) -> Iterator[str]:
    yield from rising_faults("thresholds", [row.threshold for row in table.rows], THRESHOLDS_MAX, below)
    if not 0 <= table.h_min_s < table.h_max_s <= TIME_S_MAX:
        yield f"thresholds: h_min_s {table.h_min_s} must be >= 0 and below h_max_s {table.h_max_s}"
    stood_s_max = table.exposure_s
    if not (TIME_S_MIN <= table.exposure_s <= TIME_S_MAX and table.n_devices >= 1):
        stood_s_max = math.inf
        yield f"thresholds: {table.exposure_s} s of {table.n_devices} devices is no exposure"
    failures_max = {"failures": table.n_devices, "intervals": FALSE_ALARMS_MAX, "normal": 0}[table.basis]
    failures = failures_max if table.failures is None else table.failures
    if not 0 <= failures <= failures_max:
        yield f"thresholds: {failures} failures of {table.n_devices} devices cannot be, on the basis of {table.basis}"
    if table.window_s is not None and not _is_positive(table.window_s):
        yield f"thresholds: window_s {table.window_s} must be above 0"
    for row in table.rows:
        lead, stood_s = row.mean_lead_s, row.false_alarm_s or 0.0
        counts = 0 <= row.false_alarms <= FALSE_ALARMS_MAX and 0 <= row.detected <= max(failures, 0)
        rates = 0 <= row.rate_upper95_per_s < math.inf and 0 <= lead < math.inf and 0 <= stood_s <= stood_s_max
        if not (counts and rates):
            yield f"thresholds: the row at {row.threshold} has counts, a rate, a lead or a time that cannot be"


def _is_positive(value: float) -> bool:
    return 0 < value <= TIME_S_MAX
