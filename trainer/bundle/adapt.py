"""A bundle whose thresholds know what people said of its alerts; its graphs stay as they are."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest, ThresholdTable
from agent.errors import ConfigurationRefused, DataRefused
from agent.judge.threshold import Budget, Chosen, choose, is_within, verdict
from agent.replay.inline import PlayedDevice
from agent.replay.recorded import read_recorded
from agent.score.time_unit import Unit, unit_of
from agent.words import AlertHead
from trainer.data.alert_labels import AlertSpan, Verdict, find_recorded, read_alert_labels
from trainer.data.history import History
from trainer.data.plural import plural
from trainer.data.runs import running_by
from trainer.evaluation.budget import budget_of
from trainer.evaluation.labelled_table import Observed, is_refuted, merged, observe
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import judged_scores, rules_of


@dataclass(frozen=True, slots=True)
class AdaptedHead:
    """One head's table before and after, and what a budget chooses of them.

    verdicts  alerts of the recording by what was said of them: good, bad, or ""
    is_alone  the plant's false alarms refuted those of the calibration devices, and stand alone
    why       the threshold stays where it was, in words; "" where it moved
    """

    before: Chosen
    after: Chosen
    observed: Observed
    verdicts: Counter[Verdict]
    is_alone: bool
    table: ThresholdTable
    why: str


@dataclass(frozen=True, slots=True)
class Adapted:
    """What `adapt` did. `left_out`: alerts that were not used, by why; `doubts` of how the recording was read."""

    path: Path
    budget: str
    heads: dict[AlertHead, AdaptedHead]
    left_out: dict[str, int]
    doubts: tuple[str, ...]


def adapt(
    bundle_path: Path,
    labels: Path,
    data: Sequence[str],
    out: Path,
    *,
    budget: str = "",
    unlabelled_is_bad: bool = False,
) -> Adapted:
    """Write the bundle, one version later, into the folder `out`; `data` are files or folders that `forewarn record`
    wrote while it ran. An alert without a label is left out, unless it is taken for a false alarm.

    Raises ForewarnError: for labels of another bundle, and for a recording in which none of its alerts was raised.
    """
    bundle = file.read(bundle_path)
    manifest = bundle.manifest
    alerts, others = read_alert_labels(labels, bundle)
    recordings = read_recorded(data, manifest)
    allowed = budget_of(budget, manifest, n_devices=len(recordings.devices))
    histories = [
        running_by(manifest, History(one.device, one.t_s, one.x, None, one.t_ns, machine=one.device.partition("~")[0]))
        for one in recordings.devices
    ]
    histories = [history for history in histories if len(history.t_s)]
    spans, n_elsewhere = _by_head(alerts, histories, unlabelled_is_bad=unlabelled_is_bad)
    if not spans:
        what = f"holds no row of the time of any of the {len(alerts)} alerts in {labels}"
        next_step = "Give the recording of the time in which the bundle ran (`forewarn record`)."
        raise DataRefused(", ".join(data), what, next_step=next_step)
    played = play(bundle, bundle.model, histories, NEVER)
    heads = {
        head: _adapt_head(manifest, head, spans[head], (played, histories), allowed)
        for head in manifest.judging
        if head in spans
    }
    left_out = {f"of {name}": n for name, n in others.items()}
    left_out |= {"not in the recording, or in more than one life": n_elsewhere} if n_elsewhere else {}
    adapted = Adapted(out / _file_name(manifest), allowed.text, heads, left_out, recordings.doubts)
    _write(bundle, adapted, out)
    return adapted


def _by_head(
    alerts: Sequence[AlertSpan], histories: Sequence[History], *, unlabelled_is_bad: bool
) -> tuple[dict[str, dict[str, list[AlertSpan]]], int]:
    """The alerts by head and recorded device, and how many were raised elsewhere."""
    spans: dict[str, dict[str, list[AlertSpan]]] = defaultdict(lambda: defaultdict(list))
    n_elsewhere = 0
    for span in alerts:
        life = find_recorded(span, histories)
        if life is None:
            n_elsewhere += 1
        else:
            is_bad = unlabelled_is_bad and not span.verdict
            spans[span.head][life.device].append(replace(span, verdict="bad") if is_bad else span)
    return spans, n_elsewhere


def _adapt_head(
    manifest: Manifest,
    head: AlertHead,
    spans: dict[str, list[AlertSpan]],
    recording: tuple[Sequence[PlayedDevice], Sequence[History]],
    budget: Budget,
) -> AdaptedHead:
    """Raises DataRefused when no row of the recording was judged."""
    played, histories = recording
    policy, table = manifest.judging[head]
    rules = rules_of(manifest, head)
    observed = observe(table, rules, [judged_scores(one, head, policy) for one in played], histories, spans)
    if not observed.exposure_s:
        what = "no row of the recording is judged outside of alerts that were right or have no label"
        raise DataRefused(head, what, next_step="Record for longer: nothing is known of what false alarms cost.")
    before = choose(table, budget)
    place = next(place for place, row in enumerate(table.rows) if row.threshold == before.threshold)
    n_before = table.rows[place].false_alarms
    is_alone = is_refuted(observed.false_alarms[place], observed.exposure_s, n_before, table.exposure_s)
    after = merged(table, observed, len(histories), is_alone=is_alone)
    verdicts = Counter(span.verdict for of_device in spans.values() for span in of_device)
    chosen = choose(after, budget)
    why = _why_it_stays(after, chosen, budget, unit_of(manifest)) if chosen.threshold == before.threshold else ""
    return AdaptedHead(before, chosen, observed, verdicts, is_alone, after, why)


def _why_it_stays(table: ThresholdTable, chosen: Chosen, budget: Budget, unit: Unit) -> str:
    """Why what people said of its alerts moved no threshold."""
    place = next(place for place, row in enumerate(table.rows) if row.threshold == chosen.threshold)
    row, exposure = table.rows[place], unit.text(table.exposure_s)
    came = f"{plural(row.false_alarms, 'false alarm')} came in {exposure} there"
    if not is_within(budget.rate_per_s, chosen.rate_per_s):
        what = f"no threshold of the table keeps to the budget, and this is the highest: {came}"
        return f"{what}. Were those planned stops? Train with [runs], which leaves them out"
    if chosen.stands_too_long:
        return "at every threshold of the table, of which this is the highest, false alarms stand for too long"
    if not place:
        return f"it is the lowest of the table, and keeps to the budget: {came}"
    below = table.rows[place - 1]
    return f"{came}, which the budget allows; {below.false_alarms} at the next lower one, {below.threshold:.4f}"


def _file_name(manifest: Manifest) -> str:
    return f"{manifest.name}-{_next_version(manifest.version)}.fwb"


def _next_version(version: str) -> str:
    """The patch level raised by 1; one more number where the version does not end in one."""
    first, dot, last = version.rpartition(".")
    return f"{first}{dot}{int(last) + 1}" if last.isdigit() else f"{version}.1"


def _write(bundle: Bundle, adapted: Adapted, out: Path) -> None:
    manifest = bundle.manifest
    changed = msgspec.structs.replace(
        manifest,
        version=_next_version(manifest.version),
        created_from=msgspec.structs.replace(manifest.created_from, adapted_from=bundle.digest),
    )
    if "risk" in adapted.heads:
        changed = msgspec.structs.replace(changed, thresholds=adapted.heads["risk"].table)
    if "anomaly" in adapted.heads and manifest.anomaly is not None:
        anomaly = msgspec.structs.replace(manifest.anomaly, thresholds=adapted.heads["anomaly"].table)
        changed = msgspec.structs.replace(changed, anomaly=anomaly)
    text = as_text(adapted, manifest)
    report = msgspec.json.decode(bundle.report, type=dict[str, object])
    report["adapted"] = {"from": bundle.digest, "heads": {head: one.table for head, one in adapted.heads.items()}}
    about = f"The thresholds of {manifest.name} {manifest.version}, by what people said of its alerts:"
    card = f"{bundle.card.rstrip()}\n\n## Adapted\n\n{about}\n\n```text\n{text}\n```\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = str(error.strerror).lower()
        raise ConfigurationRefused(f"--out {out}", what, next_step="Give a folder that can be written in.") from None
    members = {
        "model.onnx": bundle.model,
        "model.fp32.onnx": bundle.model_fp32,
        "golden.npz": bundle.golden.pack(),
        "report.json": msgspec.json.format(msgspec.json.encode(report)) + b"\n",
        "MODEL_CARD.md": card.encode(),
    }
    file.write(adapted.path, changed, members)


def as_text(adapted: Adapted, manifest: Manifest) -> str:
    """What changed, in words, a paragraph a head."""
    unit = unit_of(manifest)
    lines = []
    for head, of in adapted.heads.items():
        n = of.verdicts
        change = "stays" if of.after.threshold == of.before.threshold else f"was {of.before.threshold:.4f}, is now"
        lines += [
            f"{head}: {n['good']} alerts labelled good, {n['bad']} bad, {n['']} without a label left out; "
            f"{unit.text(of.observed.exposure_s)} of normal time",
            f'  budget "{adapted.budget}": the threshold {change} {of.after.threshold:.4f}',
            *([f"  it stays, since {of.why}"] if of.why else []),
            f"  {verdict(of.after)}",
        ]
        if of.is_alone:
            why = "  More false alarms came than the calibration devices gave, so those of the recording stand alone."
            lines.append(why)
    lines += [f"left out: {plural(n, 'alert')} {why}" for why, n in adapted.left_out.items()]
    return "\n".join(lines)
