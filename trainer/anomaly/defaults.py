"""What a configuration leaves open and the recordings decide; each decision is said on standard error."""

import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from agent.score.time_unit import DAY_S
from trainer.config import Config
from trainer.data.history import History

LEARNING_SHARE = 1 / 3
"""Of what one part of the split has of a machine: the rest is judged."""


def with_defaults(config: Config, histories: Sequence[History]) -> Config:
    """The heads, over how long a device's own normal is learnt, and how early an alert may come."""
    return with_h_max(with_learning(with_heads(config, histories), histories))


def with_heads(config: Config, histories: Sequence[History]) -> Config:
    """Where the config names no head: both if something failed, of which `fit` keeps the better; else anomaly, which is
    said.
    """
    if config.heads:
        return config
    if any(history.failed for history in histories):
        return config.model_copy(update={"heads": ("risk", "anomaly")})
    what = (
        f"{config.name}: nothing failed in these recordings, so the bundle has the head that needs no labels, anomaly"
    )
    tqdm.write(what, file=sys.stderr)
    return config.model_copy(update={"heads": ("anomaly",)})


def with_learning(config: Config, histories: Sequence[History]) -> Config:
    """Where nobody said how long a device is learnt, and rows are counted by a clock: a day, since most machines have a
    cycle of one, as far as the recordings are long enough for it. Never less than what it is for cycles.
    """
    day_rows = round(DAY_S / config.model.cadence)
    is_open = not config.anomaly.learning and "anomaly" in config.heads and config.data.counts == "s"
    if not is_open or day_rows <= config.learning_rows:
        return config
    parts = config.split.fit, config.split.calibrate, config.split.play
    share = min(parts) / sum(parts) if config.split.by == "time" else 1.0
    most = int(np.median([len(one.t_s) for one in histories]) * share * LEARNING_SHARE)
    rows = max(config.learning_rows, min(day_rows, most))
    learning_s = rows * config.model.cadence
    learnt = config.requirements.text(learning_s)
    what = f"{config.name}: no anomaly.learning is given, so a device's own normal is learnt from {learnt}"
    if rows < day_rows:
        what += (
            ", since most lives in the recordings are too short for a day: where day and night differ, record longer"
        )
    tqdm.write(what, file=sys.stderr)
    return config.model_copy(update={"anomaly": config.anomaly.model_copy(update={"learning": learning_s})})


def with_h_max(config: Config) -> Config:
    """Where nobody said how early an alert may come, and rows are counted by a clock: the learning period, which is
    said. An alert that stands counts again for each of them, and 60 seconds, the default, may be a row.
    """
    is_said = "h_max" in config.judge.model_fields_set or config.anomaly.h_max
    if config.heads != ("anomaly",) or config.data.counts == "cycle" or is_said:
        return config
    learning_s = config.learning_rows * config.model.cadence
    h_max = config.requirements.text(learning_s)
    what = f"{config.name}: no judge.h_max is given, so an alert that stands counts again each {h_max}, as `learning`"
    tqdm.write(what, file=sys.stderr)
    return config.model_copy(update={"anomaly": config.anomaly.model_copy(update={"h_max": learning_s})})
