r"""What each head of one bundle is worth on the devices that it never saw: `risk`, `anomaly`, and both together.

    forewarn-train fit configs/train/pumps.toml --out build/heads \
        --set 'heads=["risk","anomaly"]' --set anomaly.learning=72h
    python -m bench.heads build/heads/pumps-0.1.0.fwb --json docs/figures/heads.json

Each head is judged by its own policy, at the threshold that its table gives for the budget, over all rows in which the
device is known. `anomaly` learned nothing of failures but its threshold. Both together have half the budget each, so
that they may give as many false alarms as one: a device is warned of by the head that raises first.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.bundle.file import Bundle, read
from agent.judge.threshold import Budget, choose, default_budget
from agent.score.early_warning import EarlyWarning, ObservedDevice, measure
from agent.words import AlertHead
from bench.result import markdown, write
from trainer.comparison.compare import Devices, devices_of
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import alerts_at, judged_scores, rules_of

HOUR_S = 3600.0
Row = dict[str, float | str]


def fleets(bundle: Bundle, devices: Devices, budget: Budget) -> dict[AlertHead, Sequence[ObservedDevice]]:
    """The alerts of each head on the held-out devices."""
    played = play(bundle, bundle.model, devices.played, NEVER)
    by_head: dict[AlertHead, Sequence[ObservedDevice]] = {}
    for head, (policy, table) in bundle.manifest.judging.items():
        scores = [judged_scores(one, head, policy) for one in played]
        threshold = choose(table, budget).threshold
        (by_head[head],) = alerts_at([threshold], scores, devices.played, rules_of(bundle.manifest, head))
    return by_head


def together(fleets: Sequence[Sequence[ObservedDevice]]) -> list[ObservedDevice]:
    """Devices with the alerts of all heads, in the order of their raises."""
    merged = []
    for of_heads in zip(*fleets, strict=True):
        spells = sorted((spell for one in of_heads for spell in one.spells), key=lambda spell: spell.raised_s)
        merged.append(replace(of_heads[0], spells=tuple(spells)))
    return merged


def rows_of(bundle: Bundle, data: Path | None) -> list[Row]:
    """A row a head, and one for both."""
    text = default_budget(bundle.manifest.time_unit)
    devices = devices_of([bundle], data, text, "unknown")
    rules = devices.rules

    def row(name: str, fleet: Sequence[ObservedDevice]) -> Row:
        return figures(name, measure(fleet, h_max_s=rules.h_max_s, h_min_s=rules.h_min_s), devices.budget)

    half = replace(devices.budget, rate_per_s=devices.budget.rate_per_s / 2)
    rows = [row(head, fleet) for head, fleet in fleets(bundle, devices, devices.budget).items()]
    return [*rows, row("both, half the budget each", together([*fleets(bundle, devices, half).values()]))]


def figures(name: str, score: EarlyWarning, budget: Budget) -> Row:
    return {
        "head": name,
        "detected": score.strict.detected,
        "failures": score.failures,
        "mean_lead_h": score.strict.mean_lead_s / HOUR_S,
        "false_alarms": score.false_alarms,
        "allowed": budget.rate_per_s * score.exposure_s,
        "hours": score.exposure_s / HOUR_S,
        "in_false_alarm": score.false_alarm_share,
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, help="folder of recorded sets")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(argv)
    rows = rows_of(read(chosen.bundle), chosen.data)
    write(chosen.json, "heads", rows, {})
    print(markdown(tuple(rows[0]), [tuple(row.values()) for row in rows]))


if __name__ == "__main__":
    main()
