"""What rows that come too fast do to warnings: recorded devices once as they were, once at several times the rate.

    python -m bench.too_fast --bundle build/demo/pumps/bundle.fwb --data build/demo/pumps/play.csv \
        --truth build/demo/pumps/truth.csv

Between two recorded rows the values go on in a straight line, with as much noise as neighbouring rows show. Each way
is played twice through the agent's core: as it is, and by one that steps every row that comes. Prints Markdown.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.judge.threshold import choose, default_budget, parse_budget
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream, without_rows_too_soon
from agent.replay.recorded import Layout, Recorded, asked_for, read_labelled
from agent.score.early_warning import EarlyWarning, measure, observed_device, spells_of
from agent.score.time_unit import nanoseconds
from agent.table.lives.logs import LabelKeys
from bench.result import markdown

NOISE_ROWS = 25
"""Rows over which the mean difference of neighbours tells the noise of a channel."""
ANY_S = 1e-6


def faster(device: Recorded, times: int, rng: np.random.Generator) -> Recorded:
    """A device that sends `times` rows where it sent one."""
    n_rows = len(device.t_s)
    place = np.arange((n_rows - 1) * times + 1) / times
    t_s = np.interp(place, np.arange(n_rows), device.t_s)
    x = np.empty((len(place), device.x.shape[1]), np.float32)
    for column in range(device.x.shape[1]):
        values = device.x[:, column].astype(np.float64)
        at = np.flatnonzero(~np.isnan(values))
        noise = np.nanmedian(np.abs(np.diff(values, 2))) / 2 if len(at) > NOISE_ROWS else 0.0
        x[:, column] = np.interp(place, at, values[at]) + rng.normal(0, noise, len(place)) * (place % 1 > 0)
    return Recorded(device.device, nanoseconds(t_s), x)


def early_warning(
    bundle: Bundle, recorded: Sequence[Recorded], truth: Mapping[str, float | None], budget: str
) -> EarlyWarning:
    """The early-warning score of a bundle at the threshold of a budget."""
    manifest = bundle.manifest
    kept, _ = without_rows_too_soon(recorded, manifest)
    chosen = choose(manifest.judging["risk"].thresholds, parse_budget(budget, fleet_size=len(recorded)))
    played = play_inline(bundle, bundle.model, stream(kept, source_for(manifest, "r/{device}")), chosen.threshold)
    every_s = manifest.cadence.every_s
    fleet = [
        observed_device(one.device, one.t_ns / 1e9, every_s, truth[one.device], spells_of(one.events)) for one in played
    ]
    return measure(
        fleet, h_max_s=manifest.judging["risk"].thresholds.h_max_s, h_min_s=manifest.judging["risk"].thresholds.h_min_s
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bundle", "data", "truth"):
        parser.add_argument(f"--{name}", type=str if name == "data" else Path, required=True)
    parser.add_argument("--times", type=int, default=5, help="rows where one was")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    bundle = file.read(asked.bundle)
    labels = LabelKeys.model_validate({"failures": str(asked.truth)})
    recordings = read_labelled(asked_for(bundle.manifest, [asked.data], Layout(), labels))
    recorded, truth = recordings.devices, recordings.t_fail_s
    rng = np.random.default_rng(asked.seed)
    fast = [faster(one, asked.times, rng) for one in recorded]
    cadence = msgspec.structs.replace(bundle.manifest.cadence, least_s=ANY_S)
    steps_all = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, cadence=cadence))
    budget = default_budget(bundle.manifest.time_unit)
    allowed = parse_budget(budget, fleet_size=len(recorded)).rate_per_s
    rows, figures = [], {}
    for name, how, data in (
        ("as recorded", bundle, recorded),
        (f"{asked.times} times too fast", bundle, fast),
        (f"{asked.times} times too fast, every row stepped", steps_all, fast),
    ):
        score = early_warning(how, data, truth, budget)
        ratio = score.false_alarms_per_s / allowed
        figures[name] = {"detected": score.strict.detected, "false_alarms": score.false_alarms, "of_budget": ratio}
        caught = f"{score.strict.detected} of {score.failures}"
        rows.append([name, caught, f"{score.strict.mean_lead_s / 3600:.1f} h", str(score.false_alarms), f"{ratio:.2f}"])
    print(markdown(["rows", "warned in time", "mean lead", "false alarms", "of the budget"], rows))
    print(json.dumps({"bench": "too_fast", "budget": budget, "times": asked.times, "found": figures}))


if __name__ == "__main__":
    main()
