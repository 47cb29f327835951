"""What each part of the split must hold so that what is done with it after the training can be done.

Asked before the first epoch: a part whose recordings stop too long before the failures would end the fit after the last
one. Where a key of the configuration is at fault, the message says what it would have to be.
"""

import math
from collections.abc import Sequence

from agent.errors import DataRefused
from trainer.config import Config
from trainer.data.check import spelled
from trainer.data.history import History, failure_time
from trainer.data.split import Parts

CLOSER = "or record closer to the failures"


def check_parts(parts: Parts, config: Config) -> None:
    """Raise DataRefused for a part whose failures cannot be learnt from, calibrated on, or judged by."""
    for name, part in (("fit", parts.fit), ("calibrate", parts.calibrate), ("play", parts.play)):
        failed = [history for history in part if history.failed]
        check_near(name, failed, config, "rul.cap", config.rul.cap)
        if name != "play":
            check_near(name, failed, config, "judge.horizon", config.judge.horizon)
        if name != "fit":
            check_judged(name, failed, config)


def check_near(name: str, failed: Sequence[History], config: Config, key: str, most_s: float) -> None:
    """Is some row at most so long before a failure of the part?"""
    nearest_s = min(map(silence_s, failed))
    if nearest_s > most_s:
        nearest = spelled(nearest_s, config)
        what = f"is {spelled(most_s, config)}, but no failure in {of_split(name, failed)} comes so soon after a row: "
        what += f"the soonest comes {nearest} after its device's last row"
        raise DataRefused(key, what, next_step=f"Set {key} well above {nearest}, {CLOSER}.")


def check_judged(name: str, failed: Sequence[History], config: Config) -> None:
    """Does a recording of the part hold the end of its failure's window, so that warnings can be judged by it?"""
    judge, every_s = config.judge, config.model.cadence
    if n_judged(failed, judge.h_min, every_s):
        return
    what = f"is {spelled(judge.h_min, config)}, but no failure in {of_split(name, failed)} can be judged: "
    if min(map(silence_s, failed)) <= judge.h_min:
        what += "the recordings are no longer than that, or end before it"
        raise DataRefused("judge.h_min", what, next_step="Lower it, or deal out other devices with split.seed.")
    silences_s = [math.ceil(silence_s(history)) for history in failed]
    ends = list(dict.fromkeys(spelled(one, config) for one in (min(silences_s), max(silences_s))))
    what += f"the rows end {' to '.join(ends)} before it, and a warning counts until h_min before it"
    able = {one: n_judged(failed, one, every_s) for one in sorted(silences_s) if one < judge.h_max}
    if any(able.values()):
        h_min_s = max(able, key=lambda one: able[one])  # the lowest of those
        next_step = f"Set judge.h_min = {spelled(h_min_s, config)}: then {able[h_min_s]} of them count; {CLOSER}."
    else:
        next_step = f"Set judge.h_min = {ends[0]} and judge.h_max well above it, {CLOSER}."
    raise DataRefused("judge.h_min", what, next_step=next_step)


def n_judged(failed: Sequence[History], h_min_s: float, every_s: float) -> int:
    """How many failures the early-warning score counts, as `agent/score/early_warning.py` says."""
    closes_s = [failure_time(history) - h_min_s for history in failed]
    return sum(
        bool(history.t_s[0] - every_s < end_s <= history.t_s[-1])
        for history, end_s in zip(failed, closes_s, strict=True)
    )


def silence_s(history: History) -> float:
    """From the last row to the failure."""
    return failure_time(history) - float(history.t_s[-1])


def of_split(name: str, failed: Sequence[History]) -> str:
    return f"part {name!r} of the split ({len(failed)} recorded)"
