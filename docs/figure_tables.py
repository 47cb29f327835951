"""From the content of a JSON file in docs/figures to a table or an output of a page; figures.py says which on which."""

import json
import statistics
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.config.settings import Agent
from agent.score.early_warning import bootstrap95
from agent.store.flash_wear import DAY_S
from bench.result import markdown

LINE_CHARS = 120
HOUR_S = 3600.0
SNAPSHOT_EVERY_S = Agent.model_fields["snapshot_every"].default.total_seconds()
SNAPSHOT_BYTES_PER_DAY_MAX = Agent.model_fields["snapshot_bytes_per_day_max"].default
Json = dict[str, Any]

# What the README shows of the demo's output: lines that begin so, "" for an empty one.
DEMO_SHOWN = (
    "pumps ", "      ", "interval holds", "Brier, 48 hours", "bytes of the model", "",
    "however a stream", "      ", "whole, new", "whole, unknown", "75 rows unseen", "",
    "beside what a plant", "      ", "lstm", "limits", "ewma", "age ",
)  # fmt: skip


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


def early_warning(new: Json, unknown: Json) -> str:
    """FD001's engines that were warned of in time and the mean lead, by method and by what is known of their age."""
    methods = {"lstm": "LSTM", "limits": "limits per channel", "ewma": "EWMA", "age": "age"}
    rows = []
    for name, content in (("known to be new", new), ("of unknown age", unknown)):
        of = {row["method"]: row for row in content["rows"]}
        cells = [
            f"{of[method]['detected']} of {of[method]['failures']}, {of[method]['mean_lead_s']:.1f}"
            f"{interval(of[method]['mean_lead_s_95'])}"
            for method in methods
        ]
        rows.append((name, *cells, of["lstm"]["false_alarms"]))
    return markdown(("100 FD001 engines, cycles", *methods.values(), "false alarms of the LSTM"), rows)


def early_warning_ahead(new: Json, unknown: Json) -> str:
    """By how much the LSTM's mean lead is longer than that of the others, engine by engine."""
    rows = []
    for name, content in (("known to be new", new), ("of unknown age", unknown)):
        ahead = [row["lstm_ahead"] for row in content["rows"] if row["lstm_ahead"]]
        rows.append((name, *(f"{lead['mean_lead_s']:+.1f}{interval(lead['mean_lead_s_95'])}" for lead in ahead)))
    return markdown(("LSTM's mean lead minus that of", "limits", "EWMA", "age"), rows)


def throughput(content: Json) -> str:
    """The whole agent beside paho's own loop: messages from a sender that is always ready, and CPU behind a broker."""
    ratios = content["ratios"]
    rows = [
        (name, *(f"{ratios[key][part]:.1f}" for part in ("median", "min", "max")))
        for name, key in (
            ("messages of the agent for one of paho's loop, sender always ready", "agent_vs_paho_noop"),
            ("CPU of paho's loop for one of the agent's, behind mosquitto", "cpu_paho_noop_vs_agent"),
        )
    ]
    return markdown(("", "median", "min", "max"), rows)


def codecs(content: Json) -> str:
    """What each shape of payload costs the whole agent, beside paho's own loop."""
    ratios = content["ratios"]
    shapes = {
        row["shape"]: row for row in content["rows"] if row["shape"] not in ("paho_noop", "grid", "one_bad_in_100")
    }
    rows = [
        (
            name.replace("_", " "),
            *(
                f"{of['median']:.2f} [{of['min']:.2f}-{of['max']:.2f}]" if of["median"] is not None else "-"
                for of in (ratios[f"{name} messages"], ratios[f"{name} rows"])
            ),
        )
        for name in shapes
    ]
    costs = [
        (label, *(f"{ratios[name][part]:.2f}" for part in ("median", "min", "max")))
        for label, name in (
            ("a message with one of eight channels, on a grid", "grid_cost"),
            ("a message where one in a hundred is cut off", "bad_cost"),
        )
    ]
    beside = markdown(("shape", "messages", "rows of eight channels"), rows)
    return f"{beside}\n\n{markdown(('CPU, where a flat JSON row is 1', 'median', 'min', 'max'), costs)}"


def at_rest(content: Json) -> str:
    """Memory and CPU of an agent that nothing is sent to, beside what it imports."""
    rows = [
        (row["name"], f"{row['rss_mb']:.0f} MB", f"{row['pss_mb']:.0f} MB", f"{row['cpu_share']:.1%}")
        for row in content["rows"]
        if row["name"] != "start"
    ]
    return markdown(("", "resident (RSS)", "its share of it (PSS)", "CPU of a core"), rows)


def snapshots(content: Json) -> str:
    """What snapshots weigh and write, and how long the stream waits for them."""
    rows = [
        (
            f"{row['devices']:,}",
            f"{row['mb']:,.1f} MB",
            f"{row['stall_cpu_ms']:.1f} ms",
            f"{row['mb'] * DAY_S / SNAPSHOT_EVERY_S / 1e3:,.1f} GB",
            f"{max(SNAPSHOT_EVERY_S, row['mb'] * 1e6 * DAY_S / SNAPSHOT_BYTES_PER_DAY_MAX):,.0f} s",
        )
        for row in content["rows"]
    ]
    return markdown(
        ("devices", "a snapshot", "longest wait of a turn", "a day, one each 30 s", "by default one each"), rows
    )


def durability(content: Json) -> str:
    """What each way to keep the state costs, and how long a start takes over the largest journal."""
    *rounds, recovery = content["rows"]
    void = {row["round"] for row in rounds if row["n_lost"]}
    keys = ("rate_per_s", "cpu_us", "written_bytes_per_message")
    rows = []
    for mode in ("snapshot", "journal"):
        own = [row for row in rounds if row["mode"] == mode and row["round"] not in void]
        rate, cpu_us, written = (statistics.median(row[key] for row in own) for key in keys)
        rows.append((f"`{mode}`", f"{rate:,.0f}", f"{cpu_us:.1f} us", f"{written:,.0f}"))
    table = markdown(("", "messages a second", "CPU of the agent a message", "bytes written a message"), rows)
    ratio = content["ratios"]["journal_vs_snapshot"]
    told = (
        f"`journal` has {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) of the rate of `snapshot`. "
        f"A start with {recovery['devices']:,} devices over {recovery['journal_mib']:.0f} MiB of journal "
        f"({recovery['tail_messages']:,} messages) took {recovery['recovery_s']:.1f} s."
    )
    return f"{table}\n\n{textwrap.fill(told, LINE_CHARS)}"


def soak(content: Json) -> str:
    """What a long run under faults gave, and what became of its memory."""
    (row,) = content["rows"]
    n_faults = sum(count for name, count in row.items() if name.startswith("fault "))
    n_events = sum(row[f"events {kind}"] for kind in ("raised", "updated", "cleared"))
    steady = row["memory_mb_by_minute"][5:]
    every_s = 60 * row["minutes"] / n_faults
    told = (
        f"{row['minutes']:.0f} minutes at {row['rate_per_s']:,} messages a second, a third of what this machine could, "
        f"with a fault every {every_s:.1f} s: {row['messages']:,} messages were acknowledged to the publisher or "
        f"were junk, {row['taken']:,} were taken; {n_events:,} events, {row['broken']} of them lost, doubled or other "
        "than the twin's. Memory of the last process, the least of each minute from its sixth on: "
        f"{steady[0]:.0f} MB at first, {steady[-1]:.0f} MB at last, between {min(steady):.0f} and {max(steady):.0f}."
    )
    return textwrap.fill(told, LINE_CHARS)


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


def first_warning(name: str, content: Json) -> str:
    """What one step of docs/first-warning.md printed; an event as JSON with as many fields in a line as go in."""
    (output,) = (step["output"] for step in content["steps"] if step["name"] == name)
    return fenced(packed(output), "json") if output.startswith("{") else fenced(output)


def heads(content: Json) -> str:
    """What each head of one bundle is worth, as `bench.heads` prints it."""
    rows = [
        (
            row["head"],
            f"{row['detected']} of {row['failures']}",
            f"{row['mean_lead_h']:.1f}",
            f"{row['false_alarms']} ({row['allowed']:.0f} allowed) in {row['hours']:,.0f} hours",
            f"{row['in_false_alarm']:.1%}",
        )
        for row in content["rows"]
    ]
    return markdown(("head", "warned of in time", "mean lead, hours", "false alarms", "in false alarm"), rows)


UNLABELLED = {
    "row_f1": "F1 of rows", "far": "false rows", "events": "faults told of", "false_per_h": "false an hour",
    "auc": "AUC",
    "ap": "average precision", "recall": "faults told of", "median_delay_min": "median delay, min",
    "recall_72h": "failures told of", "days_per_false": "days a false alarm", "mean_lead": "mean lead, cycles",
    "detected": "engines told of", "false_per_1000": "false per 1,000 cycles", "real_over_asked": "real / asked",
}  # fmt: skip


def unlabelled(content: Json) -> str:
    """Rows of `bench.unlabelled`, means over their seeds."""
    lines = []
    for name in dict.fromkeys(row["row"] for row in content["rows"]):
        seeds = [row for row in content["rows"] if row["row"] == name]
        figures = ((UNLABELLED[key], [row[key] for row in seeds]) for key in seeds[0] if key in UNLABELLED)
        said = (f"{label} {statistics.mean(values):.3g}" for label, values in figures)
        lines.append((name, len(seeds), ", ".join(said)))
    return markdown(("set", "seeds", "figures"), lines)


HAD = ("limits", "ewma", "smoothing", "age")
"""What a plant has without forewarn."""


def plants(content: Json) -> str:
    """Rows of `bench.plants`: mean lead by plant and method, and the shipped bundle's less the best of what is had."""
    rows = content["rows"]
    methods, ours = [*dict.fromkeys(row["method"] for row in rows)], "bundle, labelled"
    lines = []
    for plant in dict.fromkeys(row["plant"] for row in rows):
        leads = {
            method: np.concatenate(
                [row["leads_rows"] for row in rows if (row["plant"], row["method"]) == (plant, method)]
            )
            for method in methods
        }
        best = max((leads[method] for method in methods if method in HAD), key=np.mean)
        bounds, _ = bootstrap95(leads[ours] - best)
        over = f"{(leads[ours] - best).mean():+.0f} ({bounds.low:+.0f} to {bounds.high:+.0f})"
        lines.append((plant, *(f"{values.mean():.0f}" for values in leads.values()), over))
    return markdown(("plant", *methods, "bundle less the best of the plant's"), lines)


def packed(payload: str) -> str:
    """A JSON object with as many fields in a line as go in."""
    lines = [""]
    fields = [f'"{key}": {json.dumps(value)}' for key, value in json.loads(payload).items()]
    for field in [*(f"{field}," for field in fields[:-1]), fields[-1]]:
        if lines[-1] and len(lines[-1]) + len(field) > LINE_CHARS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {field}" if lines[-1] else f"  {field}"
    return "\n".join(["{", *lines, "}"])


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def interval(bounds: Mapping[str, float]) -> str:
    return f" [{bounds['low']:.1f}, {bounds['high']:.1f}]"


def percent(bounds: Mapping[str, float]) -> str:
    return f"{bounds['low']:.0%} to {bounds['high']:.0%}"
