"""The blocks of README and docs that are made from a JSON file in docs/figures, and the command that wrote each file.

A figure stands on a page only as its JSON has it. To change one, run the command again and then `make docs`. Each file
has the machine and the versions that it was measured with.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.result import markdown

FIGURES = Path(__file__).parent / "figures"
HOUR_S = 3600.0
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


def demo(content: Json) -> str:
    """The output of `make demo`, shortened."""
    lines = iter(content["evaluate"].splitlines())
    shown = [next(line for line in lines if line.startswith(begin) and (begin or not line)) for begin in DEMO_SHOWN]
    warnings = [line for warning in content["live"] for line in (warning, "...")]
    return fenced("\n".join([*shown, "", content["broker"], *warnings]))


def pumps(content: Json) -> str:
    """Four detectors on the pumps that the demo plays."""
    names = {"lstm": "LSTM, int8 2x32", "limits": "limits per channel", "ewma": "EWMA chart per channel", "age": "age"}
    scores = {name: content["figures"]["compared"][name]["early_warning"] for name in names}
    hours = scores["lstm"]["exposure_s"] / HOUR_S
    allowed = content["rate_per_s"] * scores["lstm"]["exposure_s"]
    head = (
        "", "warned 120 to 4 hours ahead", "95 %", "mean lead, hours",
        f"false alarms in {hours:,.0f} hours ({allowed:.0f} allowed)", "time in false alarm",
    )  # fmt: skip
    rows = [
        (
            names[name],
            f"{score['strict']['detected']} of {score['failures']}",
            percent(score["strict"]["detection_rate_95"]),
            f"{score['strict']['mean_lead_s'] / HOUR_S:.1f}",
            score["false_alarms"],
            f"{score['false_alarm_share']:.1%}",
        )
        for name, score in scores.items()
    ]
    return markdown(head, rows)


def accuracy(content: Json) -> str:
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
        for row in content["rows"]
    ]
    return markdown(head, rows)


def accuracy_short(content: Json) -> str:
    """Mean and standard deviation by set, and the best that was published."""
    of = {row["set"]: row for row in content["rows"]}
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


def early_warning(pumps: Json, new: Json, unknown: Json) -> str:
    """Devices warned of in time and mean lead by method, a line a set and what is known of its devices."""
    sets = (
        ("960 simulated pumps, of unknown age", pumps, HOUR_S, "hours"),
        ("100 FD001 engines, known to be new", new, 1.0, "cycles"),
        ("the same, of unknown age", unknown, 1.0, "cycles"),
    )
    methods = {"lstm": "LSTM", "limits": "limits per channel", "ewma": "EWMA", "age": "age"}
    rows = []
    for name, content, size_s, unit in sets:
        score = {row["method"]: row for row in content["rows"]}
        cells = [
            f"{row['detected']}; {row['mean_lead_s'] / size_s:.1f} {unit}{interval(row['mean_lead_s_95'], size_s)}"
            for row in (score[method] for method in methods)
        ]
        rows.append((name, *cells, f"{score['lstm']['false_alarms']}, {score['ewma']['false_alarms']}"))
    return markdown(("", *methods.values(), "false alarms: LSTM, EWMA"), rows)


def early_warning_ahead(pumps: Json, new: Json, unknown: Json) -> str:
    """By how much the LSTM's mean lead is longer than that of the others, device by device."""
    rows = []
    for name, content, size_s in (
        ("pumps, hours", pumps, HOUR_S),
        ("FD001, known to be new, cycles", new, 1.0),
        ("FD001, of unknown age, cycles", unknown, 1.0),
    ):
        ahead = {row["method"]: row["lstm_ahead"] for row in content["rows"] if row["lstm_ahead"]}
        cells = [
            f"{lead['mean_lead_s'] / size_s:+.1f}{interval(lead['mean_lead_s_95'], size_s)}" for lead in ahead.values()
        ]
        rows.append((name, *cells))
    return markdown(("LSTM's mean lead minus that of", "limits", "EWMA", "age"), rows)


def memory_tasks(content: Json) -> str:
    """Median and range over the seeds, and beside the plain RNN's run of the same seed."""
    errors: dict[tuple[str, str], dict[int, float]] = {}
    cpu_s: dict[str, list[float]] = {}
    for row in content["rows"]:
        errors.setdefault((row["task"], row["cell"]), {})[row["seed"]] = row["error"]
        if row["task"] == "adding":
            cpu_s.setdefault(row["cell"], []).append(row["cpu_s"])
    rows = []
    for cell, seconds in cpu_s.items():
        cells = []
        for task, digits in (("adding", 4), ("copy", 2)):
            own, plain = errors[task, cell], errors[task, "rnn"]
            cells.append(spread(list(own.values()), f".{digits}f"))
            below = [1 - own[seed] / plain[seed] for seed in own]
            cells.append("" if cell == "rnn" else spread([100 * share for share in below], ".0f", " %"))
        rows.append((f"`{cell}`", len(seconds), *cells, f"{statistics.median(seconds):.0f}"))
    errors_of = ("adding: error", "below RNN", "copy: error", "below RNN")
    return markdown(("cell", "seeds", *errors_of, "CPU s to learn adding"), rows)


def gaps(content: Json) -> str:
    """RMSE in and after a silence, a plain RNN beside an LSTM."""
    rmse = {(row["memory"], row["cell"]): row["rmse"] for row in content["rows"]}
    rows = []
    for memory in dict.fromkeys(memory for memory, _ in rmse):
        plain, lstm = rmse[memory, "rnn"], rmse[memory, "lstm"]
        means = [f"{statistics.mean(seeds):.1f} ± {statistics.stdev(seeds):.1f}" for seeds in (plain, lstm)]
        off = statistics.mean(a / b for a, b in zip(lstm, plain, strict=True)) - 1
        rows.append((memory, *means, f"{off:+.0%}"))
    return markdown(("", "RNN", "LSTM", "LSTM beside RNN"), rows)


def at_rest(content: Json) -> str:
    """Memory and CPU of an agent that nothing is sent to, beside what it imports."""
    rows = [
        (row["name"], f"{row['rss_mb']:.0f} MB", f"{row['pss_mb']:.0f} MB", f"{row['cpu_share']:.1%}")
        for row in content["rows"]
        if row["name"] != "start"
    ]
    return markdown(("", "resident (RSS)", "its share of it (PSS)", "CPU of a core"), rows)


def gateway(content: Json) -> str:
    """CPU and latency at a gateway's rates, beside a script that makes one call a message."""
    shares: dict[tuple[str, int], list[float]] = {}
    latency: dict[tuple[str, int], str] = {}
    for row in content["rows"]:
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
            f"{content['ratios'][f'cpu_agent_vs_naive_{rate}']['median']:.2f}",
            latency["agent", rate],
            latency["naive", rate],
        )
        for rate in sorted({rate for _, rate in cpu})
    ]
    latencies = ("publish to score, agent, p50 / p95", "script")
    return markdown(("messages a second", "CPU of a core, agent", "script", "agent / script", *latencies), rows)


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def interval(bounds: Mapping[str, float], size: float = 1.0) -> str:
    return f" [{bounds['low'] / size:.1f}, {bounds['high'] / size:.1f}]"


def spread(values: Sequence[float], form: str, unit: str = "") -> str:
    """The median, and the range where there are several."""
    middle = f"{statistics.median(values):{form}}{unit}"
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def percent(interval: Mapping[str, float]) -> str:
    return f"{interval['low']:.0%} to {interval['high']:.0%}"


DEMO = "python -m docs.record"
BLOCKS: dict[str, Block] = {
    "readme_demo": Block(("demo.json",), DEMO, demo),
    "pumps": Block(("demo.json",), DEMO, pumps),
    "accuracy": Block(("accuracy.json",), "python -m bench.accuracy --json", accuracy),
    "accuracy_short": Block(("accuracy.json",), "python -m bench.accuracy --json", accuracy_short),
    "at_rest": Block(("footprint.json",), "python -m bench.footprint --json", at_rest),
    "gateway": Block(("gateway.json",), "python -m bench.gateway --short --json", gateway),
}
