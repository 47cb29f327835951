"""What a source of JSON, CBOR or MessagePack needs: the time, the device, channels, and how they come together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from agent.sample.cadence import TOGETHER, align_of, presence
from agent.sample.channels import Field, fields_of, settings_of
from agent.sample.devices import device_field
from agent.sample.groups import Group
from agent.sample.kinds import Seen
from agent.sample.levels import unnamed
from agent.sample.moments import Moment, moment_of
from agent.sample.trees import Reading, leaves, readings_of
from agent.sources import PayloadForm

TAG = "machine"


class Row(NamedTuple):
    """A reading that was seen: its leaves, those of the payload around it with `$.` before, its message, its key."""

    leaves: Mapping[str, Any]
    around: Mapping[str, Any]
    message: Seen
    reading: Reading


class Naming(NamedTuple):
    """Topics, the template of the device, and the payload field of its tag ("" for none)."""

    topics: list[str]
    device: str
    tag: str
    why: str


def rows_of(group: Group, form: PayloadForm) -> list[Row]:
    """All readings of a group's messages."""
    rows = []
    for message in group.messages:
        for reading in readings_of(message.content, form):
            is_whole = reading.tree is reading.payload
            around = {} if is_whole else {f"$.{path}": value for path, value in leaves(reading.payload).items()}
            own = reading.tree if form.form == "pairs" else leaves(reading.tree)
            rows.append(Row(own, around, message, reading))
    return rows


def tree_settings(group: Group, span_s: float) -> tuple[dict[str, Any], dict[str, str]]:
    """The keys of a source that reads a group of trees, and comments on them. Raises ValueError where none can."""
    form = group.form
    assert form is not None
    rows = rows_of(group, form)
    if not rows:
        raise ValueError("no reading in it")
    moment = _moment(rows, form, group)
    naming = _naming(rows, form, group)
    left_out = {moment.field, naming.tag}
    fields = fields_of([row.leaves for row in rows], left_out, are_paths=form.form != "pairs")
    fields = {path: one for path, one in fields.items() if not _is_of_device(path, one)}
    if not fields:
        raise ValueError("no field with numbers in it")
    settings: dict[str, Any] = {"topic": naming.topics, "device": naming.device}
    why = {"device": naming.why, "time": moment.why}
    if naming.tag:
        settings["tags"] = {TAG: naming.tag}
    settings |= time_of(moment)
    if not moment.field:
        why["codec"] = moment.why
    payload = payload_of(form, fields)
    if payload:
        settings["payload"] = payload
    align = _align(rows, fields, naming, span_s)
    if align is not None:
        settings["align"], why["align"] = align
    settings["report_extra"] = False
    settings["channels"] = settings_of(fields, are_paths=form.form != "pairs")
    return settings, why


def time_of(moment: Moment) -> dict[str, Any]:
    """The key `time`, none for the time of arrival."""
    if not moment.field:
        return {}
    time = {"field": moment.field, "unit": moment.unit}
    return {"time": time | {"zone": moment.zone} if moment.zone else time}


def payload_of(form: PayloadForm, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The keys of `payload` that differ from their defaults."""
    default = asdict(PayloadForm())
    payload = {name: value for name, value in asdict(form).items() if value != default[name]}
    if any(one.n_number_texts for one in fields.values()):
        payload["numbers_as_text"] = True
    return payload


def _is_of_device(path: str, one: Field) -> bool:
    """A text of digits in a field that is called an id is no number to learn from."""
    return bool(one.n_number_texts) and not one.n_numbers and path.lower().endswith(("id", "eui", "addr", "serial"))


def _moment(rows: Sequence[Row], form: PayloadForm, group: Group) -> Moment:
    """The time, of readings first; of pairs, the payload's first, since pairs of several times are several readings."""
    arrived = [row.message.message.arrived_ns for row in rows]
    around = moment_of([row.around for row in rows], arrived)
    if form.form != "pairs":
        own = moment_of([row.leaves for row in rows], arrived)
        return own if own.field else around
    if around.field:
        return around
    pairs, at_ns = [], []
    for message in group.messages:
        for reading in readings_of(message.content, PayloadForm(readings=f"{form.readings}[]")):
            pairs.append(leaves(reading.tree))
            at_ns.append(message.message.arrived_ns)
    return moment_of(pairs, at_ns)


def _naming(rows: Sequence[Row], form: PayloadForm, group: Group) -> Naming:
    """How the device is named: by keys, by the topic where that is sure, by a field otherwise."""
    levels = group.levels[0]
    if "{device}" in form.readings:
        return Naming([unnamed(group.topics, ())], "{device}", "", "keys of the payload name the devices")
    seen = [{**row.around, **({} if form.form == "pairs" else row.leaves)} for row in rows]
    tag, is_several = device_field(seen, [row.message.message.topic for row in rows])
    if tag and (is_several or not levels.is_sure):
        why = "one topic brings several devices" if is_several else "no level of the topic is sure to name the device"
        ids = {str(found.get(tag, "")) for found in seen}
        return Naming([unnamed(group.topics, ids)], f"{{{TAG}}}", tag, f"{why}; the field {tag} does")
    if not levels.device:
        topic = group.topics[0]
        name = "".join(char if char.isalnum() or char in "-_" else "-" for char in topic)[:64] or "device"
        return Naming([topic], name, "", "neither topic nor payload names it: one device is assumed")
    why = "" if levels.is_sure else "a guess: only one was heard"
    return Naming([levels.pattern], levels.device, "", why)


def _align(
    rows: Sequence[Row], fields: Mapping[str, Field], naming: Naming, span_s: float
) -> tuple[dict[str, Any], str] | None:
    """`align` where a message mostly has a part of its device's channels alone; None where it has all."""
    sets: dict[object, list[set[str]]] = defaultdict(list)
    series: dict[object, list[int]] = defaultdict(list)
    for row in rows:
        own = fields.keys() & row.leaves.keys()
        topic = row.message.message.topic
        device = (topic, row.leaves.get(naming.tag, row.around.get(naming.tag, "")), row.reading.key)
        sets[device].append(own)
        if not row.message.message.is_retained:
            for path in own:
                series[device, path].append(row.message.message.arrived_ns)
    if presence(sets) >= TOGETHER:
        return None
    return align_of(series, span_s)
