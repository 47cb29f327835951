"""The blocks of README and docs that are made from a JSON file in docs/figures, and the command that wrote each file.

A figure stands on a page only as its JSON has it. To change one, run the command again and then `make docs`. Each file
has the machine and the versions that it was measured with.
"""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.result import markdown

FIGURES = Path(__file__).parent / "figures"
DAY_S, HOUR_S = 86_400.0, 3600.0
Json = dict[str, Any]

# What the README shows of the demo's output: lines that begin so, "" for an empty one.
DEMO_SHOWN = (
    "pumps ", "      ", "interval holds", "Brier, 48 hours", "bytes of the model", "",
    "however a stream", "      ", "whole, new", "whole, unknown", "75 rows unseen", "",
    "beside what a plant", "      ", "lstm", "limits", "ewma", "age ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: what `render` makes of the content of `files` of docs/figures, which `command` wrote."""

    files: tuple[str, ...]
    command: str
    render: Callable[..., str]

    @property
    def origin(self) -> str:
        return f"docs/figures/{', '.join(self.files)}, written by `{self.command}`"

    def text(self) -> str:
        return self.render(*(json.loads((FIGURES / name).read_text()) for name in self.files))


def demo(found: Json) -> str:
    """The output of `make demo`, shortened."""
    lines = iter(found["evaluate"].splitlines())
    shown = [next(line for line in lines if line.startswith(begin) and (begin or not line)) for begin in DEMO_SHOWN]
    warnings = [line for warning in found["live"] for line in (warning, "...")]
    return fenced("\n".join([*shown, "", found["broker"], *warnings]))


def pumps(found: Json) -> str:
    """Four detectors on the pumps that the demo plays."""
    names = {"lstm": "LSTM, int8 2x32", "limits": "limits per channel", "ewma": "EWMA chart per channel", "age": "age"}
    score = {name: found["figures"]["compared"][name]["early_warning"] for name in names}
    hours = score["lstm"]["exposure_s"] / HOUR_S
    allowed = found["rate_per_s"] * score["lstm"]["exposure_s"]
    head = (
        "", "warned 120 to 4 hours ahead", "95 %", "mean lead, hours",
        f"false alarms in {hours:,.0f} hours ({allowed:.0f} allowed)", "time in false alarm",
    )  # fmt: skip
    rows = [
        (
            names[name],
            f"{one['strict']['detected']} of {one['failures']}",
            percent(one["strict"]["detection_rate_95"]),
            f"{one['strict']['mean_lead_s'] / HOUR_S:.1f}",
            one["false_alarms"],
            f"{one['false_alarm_share']:.1%}",
        )
        for name, one in score.items()
    ]
    return markdown(head, rows)


def accuracy(found: Json) -> str:
    """Every row of `bench.accuracy`."""
    head = (
        "set", "RMSE int8, mean", "sd", "each seed", "goal", "published", "fp32", "int8 off by", "raw truth", "NASA",
        "NASA, raw", "fit, s",
    )  # fmt: skip
    rows = [
        (
            row["set"],
            f"**{row['rmse_capped_mean']:.2f}**",
            f"{row['rmse_capped_sd']:.2f}",
            " ".join(f"{one:.2f}" for one in row["rmse_capped"]),
            row["goal"],
            f"{row['published']:.2f}",
            f"{row['fp32_rmse_capped_mean']:.2f}",
            f"{row['rmse_capped_mean'] / row['fp32_rmse_capped_mean'] - 1:+.2%}",
            f"{row['rmse_raw_mean']:.2f}",
            f"{row['nasa_score_mean']:.0f}",
            f"{row['nasa_score_raw_mean']:.0f}",
            f"{row['train_s']:.0f}",
        )
        for row in found["rows"]
    ]
    return markdown(head, rows)


def accuracy_short(found: Json) -> str:
    """Mean and standard deviation by set, and the best that was published."""
    of = {row["set"]: row for row in found["rows"]}
    sets = [name for name in of if not name.endswith("alone")]

    def cells(suffix: str, bold: str = "") -> list[str]:
        rows = [of[name + suffix] for name in sets]
        return [f"{bold}{row['rmse_capped_mean']:.2f}{bold} ± {row['rmse_capped_sd']:.2f}" for row in rows]

    published = "best published that we could read; offline, fp32, one set each, capping not verified"
    rows = [
        ("one model of all four sets, 2x96", *cells("", "**")),
        ("a model a set, 2x64", *cells(" alone")),
        (published, *(f"{of[name]['published']:.2f}" for name in sets)),
    ]
    return markdown(("", *sets), rows)


def gateway(found: Json) -> str:
    """CPU and latency at a gateway's rates, beside a script that makes one call a message."""
    shares: dict[tuple[str, int], list[float]] = {}
    latency: dict[tuple[str, int], str] = {}
    for row in found["rows"]:
        key = row.get("who", ""), row.get("rate", 0)
        if row["part"] == "cpu":
            shares.setdefault(key, []).append(row["share"])
        elif row["part"] == "latency":
            latency[key] = f"{row['p50_ms']:.0f} / {row['p95_ms']:.0f} ms"
    cpu = {key: f"{statistics.median(rounds):.1%}" for key, rounds in shares.items()}
    rows = [
        (
            f"{rate:,}",
            cpu["agent", rate],
            cpu["naive", rate],
            f"{found['ratios'][f'cpu_agent_vs_naive_{rate}']['median']:.2f}",
            latency["agent", rate],
            latency["naive", rate],
        )
        for rate in sorted({rate for _, rate in cpu})
    ]
    latencies = ("publish to score, agent, p50 / p95", "script")
    return markdown(("messages a second", "CPU of a core, agent", "script", "agent / script", *latencies), rows)


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def percent(interval: Mapping[str, float]) -> str:
    return f"{interval['low']:.0%} to {interval['high']:.0%}"


DEMO = "python -m docs.record"
BLOCKS: dict[str, Block] = {
    "readme_demo": Block(("demo.json",), DEMO, demo),
    "pumps": Block(("demo.json",), DEMO, pumps),
    "accuracy": Block(("accuracy.json",), "python -m bench.accuracy --json", accuracy),
    "accuracy_short": Block(("accuracy.json",), "python -m bench.accuracy --json", accuracy_short),
    "gateway": Block(("gateway.json",), "python -m bench.gateway --short --json", gateway),
}
