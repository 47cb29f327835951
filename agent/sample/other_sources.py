"""What sources of single values, SenML, line protocol and Sparkplug B need."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.config.topics import overlap
from agent.decode.senml import records_of
from agent.decode.sparkplug_payload import ABSENT, Malformed, parse, value
from agent.decode.sparkplug_topic import BIRTHS, DATA, place, templates
from agent.decode.template import Template
from agent.decode.topic import Pattern
from agent.decode.unread import Unread
from agent.sample.cadence import TOGETHER, align_of, presence
from agent.sample.channels import Field, settings_of
from agent.sample.groups import Group
from agent.sample.kinds import Seen
from agent.sample.levels import unnamed
from agent.sample.moments import moment_of
from agent.sample.trees import leaves
from agent.sample.trees_source import payload_of, time_of

Settings = tuple[dict[str, Any], dict[str, str]]  # keys of a source, and comments on them
_OWN_METRICS: Final = ("Node Control/", "Node Info/", "Device Control/", "Properties/", "bdSeq")
_TAGGED: Final = ("device", "machine", "asset", "equipment", "host", "name", "id")
_LINE: Final = re.compile(r"(?P<series>(?:[^\\ ]|\\.)++) (?P<fields>.+?)(?: (?P<time>-?\d{1,20}))?")
_FIELD: Final = re.compile(r'((?:[^\\,= ]|\\.)++)=("(?:[^"\\]|\\.)*+"|[^\s,"]++)')
_BOOLEANS: Final = ("t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE")
_FAR_T_S: Final = 2.0**28  # SenML: a smaller time counts from now


def value_settings(group: Group, span_s: float) -> Settings:
    """One value a payload, whose channel the topic names. Raises ValueError where no number is heard."""
    levels = group.levels[0]
    patterns = [(Pattern.parse(one.pattern), Template.parse(one.channel)) for one in group.levels]
    fields: dict[str, Field] = defaultdict(Field)
    series: dict[object, list[int]] = defaultdict(list)
    trees, at_ns = [], []
    for seen in group.messages:
        topic = seen.message.topic
        field = next(f for pattern, template in patterns if (f := _field_of(topic, pattern, template)) is not None)
        content = seen.content
        if group.form is not None and isinstance(content, dict):
            trees.append(leaves(content))
            at_ns.append(seen.message.arrived_ns)
            content = content.get(group.form.value)
        fields[field].add(content, is_text_codec=group.codec == "text")
        if not seen.message.is_retained:
            series[topic].append(seen.message.arrived_ns)
    good = {field: one for field, one in sorted(fields.items()) if one.is_channel}
    if not good:
        raise ValueError("texts that are neither numbers nor words for them")
    if not levels.device:
        raise ValueError("one value a payload, and no level of the topic names the device")
    topics = [one.pattern for one in group.levels]
    settings: dict[str, Any] = {"topic": topics, "device": levels.device, "channel": levels.channel}
    why = {"device": "" if levels.is_sure else "a guess: only one was heard", "channel": "one value a payload"}
    if group.form is not None:
        moment = moment_of(trees, at_ns) if trees else moment_of([{}], [0])
        settings |= time_of(moment)
        why["time"] = moment.why
        settings["payload"] = payload_of(group.form, good if group.codec != "text" else {})
    settings["align"], why["align"] = align_of(series, span_s)
    if len(good) < len(fields):
        bad = [field for field in fields if field not in good][:5]
        why["report_extra"] = f"left out, no numbers: {', '.join(bad)}"
    settings["report_extra"] = False
    settings["channels"] = settings_of(good, are_paths=False)
    return settings, why


def _field_of(topic: str, pattern: Pattern, template: Template) -> str | None:
    tags = pattern.tags(topic)
    if tags is None:
        return None
    return template.composed([tags[pattern.names.index(name)] for name in template.names])


def senml_settings(group: Group, span_s: float) -> Settings:
    """SenML packs: the channel is the end of a record's name, the device what stands before it. Raises ValueError."""
    names: dict[str, Field] = {}
    prefixes: set[str] = set()
    rows: dict[object, list[set[str]]] = defaultdict(list)
    series: dict[object, list[int]] = defaultdict(list)
    has_time = False
    for seen in group.messages:
        try:
            records = records_of(seen.content)
        except Unread as error:
            raise ValueError(str(error)) from None
        base, own = "", set()
        for record in records:
            base = record.bn if isinstance(record.bn, str) else base
            full = base + (record.n if isinstance(record.n, str) else "")
            prefix, channel = _split(full, base)
            has_time |= isinstance(record.t, int | float) or isinstance(record.bt, int | float)
            given = next((x for x in (record.v, record.vb, record.vs) if isinstance(x, int | float | str | bool)), None)
            if given is None or not channel:
                continue
            names.setdefault(channel, Field()).add(given)
            unit = record.u if isinstance(record.u, str) else ""
            names[channel].unit = names[channel].unit or (unit if unit.isprintable() else "")
            prefixes.add(prefix)
            own.add(channel)
            series[seen.message.topic, channel].append(seen.message.arrived_ns)
        rows[seen.message.topic].append(own)
    good = {name: field for name, field in names.items() if field.is_channel}
    if not good:
        raise ValueError("no record with a number")
    levels = group.levels[0]
    by_payload = all(prefixes) and (len(prefixes) > len(group.topics) or not levels.is_sure)
    settings: dict[str, Any] = {"topic": [levels.pattern], "device": levels.device}
    why = {}
    if by_payload:
        settings["topic"] = [unnamed(group.topics, prefixes)]
        settings |= {"device": "{thing}", "tags": {"thing": "n"}}
        why["device"] = "the name of a record before its channel"
    elif not levels.device:
        raise ValueError("neither the topic nor the records' names say which device it is")
    if has_time:
        settings["time"] = {"field": "t", "unit": "s"}
    if presence(rows) < TOGETHER:
        settings["align"], why["align"] = align_of(series, span_s)
    settings["report_extra"] = False
    settings["channels"] = settings_of(good, are_paths=False)
    return settings, why


def _split(full: str, base: str) -> tuple[str, str]:
    """The name of a thing and the channel: what stands after the last `:` or `/`."""
    at = max(full.rfind(":"), full.rfind("/"))
    return (full[:at], full[at + 1 :]) if at >= 0 else ("", full)


def influx_settings(group: Group, span_s: float) -> Settings:
    """Line protocol: a tag names the device, or the topic. Raises ValueError."""
    fields: dict[str, Field] = {}
    tags: dict[str, set[str]] = defaultdict(set)
    n_tags: dict[str, int] = defaultdict(int)
    times, at_ns, n_lines = [], [], 0
    rows: dict[object, dict[object, set[str]]] = defaultdict(lambda: defaultdict(set))
    series: dict[object, list[int]] = defaultdict(list)
    for seen in group.messages:
        for line in str(seen.content).splitlines()[:1000]:
            match = _LINE.fullmatch(line.strip())
            if match is None:
                continue
            n_lines += 1
            measurement, *pairs = match["series"].split(",")
            own = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            for name, text in own.items():
                tags[name].add(text)
                n_tags[name] += 1
            if match["time"]:
                times.append({"timestamp": int(match["time"])})
                at_ns.append(seen.message.arrived_ns)
            for name, text in _FIELD.findall(match["fields"]):
                field = f"{measurement}.{name}"
                fields.setdefault(field, Field()).add(_influx_value(text))
                rows[tuple(own.items())][match["time"]].add(field)
                series[measurement, name, match["series"]].append(seen.message.arrived_ns)
    good = {name: field for name, field in fields.items() if field.is_channel}
    if not good:
        raise ValueError("no field with numbers in its lines")
    levels = group.levels[0]
    ids = [name for name in _TAGGED if n_tags[name] == n_lines] or [name for name in tags if n_tags[name] == n_lines]
    settings: dict[str, Any] = {"topic": [levels.pattern], "device": levels.device}
    why = {}
    if ids and (not levels.is_sure or len(tags[ids[0]]) > len(group.topics) or ids[0] in _TAGGED):
        settings["topic"] = [unnamed(group.topics, tags[ids[0]])]
        settings |= {"device": f"{{{_plain(ids[0])}}}", "tags": {_plain(ids[0]): ids[0]}}
        why["device"] = f"the tag {ids[0]}"
    elif not levels.device:
        raise ValueError("neither the topic nor a tag says which device it is")
    if times:
        moment = moment_of(times, at_ns, named="timestamp")
        settings |= time_of(moment)
        why["time"] = moment.why
    if presence({device: [*of_it.values()] for device, of_it in rows.items()}) < TOGETHER or len(rows) > 1:
        settings["align"], why["align"] = align_of(series, span_s)
    settings["report_extra"] = False
    settings["channels"] = settings_of(good, are_paths=False)
    return settings, why


def _influx_value(text: str) -> object:
    if text in _BOOLEANS:
        return text[0] in "tT"
    if text.startswith('"'):
        return text[1:-1]
    try:
        return float(text.rstrip("iu"))
    except ValueError:
        return text


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("0123456789") or "machine"


def sparkplug_settings(group: Group, span_s: float) -> Settings:
    """Sparkplug B: births name the metrics. Raises ValueError where none was heard."""
    fields: dict[str, Field] = {}
    aliases: set[int] = set()
    series: dict[object, list[int]] = defaultdict(list)
    for seen in group.messages:
        for metric, name in _metrics(seen):
            if name and not name.startswith(_OWN_METRICS):
                try:
                    content = value(metric, metric.datatype)
                except ValueError:
                    continue
                fields.setdefault(name, Field()).add(content)
            elif not name:
                aliases.add(metric.alias)
            series[seen.message.topic, metric.alias if metric.alias != ABSENT else name].append(seen.message.arrived_ns)
    good = {name: one for name, one in fields.items() if one.is_channel}
    if not good:
        what = f"{len(aliases)} metrics come by number, and no birth that names them was heard"
        raise ValueError(f"{what}: start an edge node again, or ask for births with --ask" if aliases else "no metric")
    patterns = sorted({f"{one.split('/')[0]}/{one.split('/')[1]}/#" for one in group.topics if one.count("/") > 1})
    settings: dict[str, Any] = {"topic": [one for one in patterns if not overlap(one, "spBv1.0/STATE/#")] or patterns}
    settings["device"] = "{group}/{node}/{device}"
    why = {"device": "levels of Sparkplug topics", "codec": "`forewarn record` needs --ask: it asks for births"}
    settings["align"], why["align"] = align_of({key: own for key, own in series.items() if len(own) > 1}, span_s)
    why["align"] = f"messages have what has changed; {why['align']}"
    settings["report_extra"] = False
    settings["channels"] = settings_of(good, are_paths=False)
    return settings, why


def _metrics(seen: Seen) -> Sequence[tuple[Any, str]]:
    """The metrics of a birth or of data, with their names."""
    try:
        if place(seen.message.topic, templates("{device}")).kind not in (*BIRTHS, *DATA):
            return ()
        metrics = parse(seen.message.payload).metrics
    except (ValueError, Malformed):
        return ()
    return [(metric, bytes(metric.name).decode(errors="replace")) for metric in metrics]


KINDS: Final[Mapping[str, Any]] = {
    "senml": senml_settings,
    "senml_cbor": senml_settings,
    "influx": influx_settings,
    "sparkplug": sparkplug_settings,
}
