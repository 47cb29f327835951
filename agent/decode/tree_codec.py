"""What the codecs of trees, `json`, `cbor` and `msgpack`, have in common: payloads to readings.

An ordinary payload goes bytes -> struct -> columns, all in C. One that the source's types refuse is looked at again by
itself: another field beside the channels costs a second decoding; anything else is parsed to plain objects and mended.
A payload with so many fields that finding each among many channels would take long is mended at once, since a dict
finds a field sooner than a struct does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, NamedTuple

import msgspec
import numpy as np

from agent.decode.device_name import DeviceName, payload_names
from agent.decode.flat import Found, readings_of, text_of
from agent.decode.forms import FORMS
from agent.decode.intervention_words import InterventionWords
from agent.decode.mend import mended
from agent.decode.paths import Keys, Path, readings_steps
from agent.decode.readings import Batch, Decoded, Fault, Intervened
from agent.decode.shape import Leaf, Shape, ShapeProblem, leaves
from agent.decode.typed import payload_type
from agent.decode.unread import Unread
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS
from agent.words import Devices, Int64, InterventionKind

WIDE: Final = 64  # leaves; with fewer of them no payload takes long
COMPARISONS_MAX: Final = 2**21  # of fields with leaves, about 10 ms: msgspec goes through the leaves for each field


class Encoding(NamedTuple):
    """How trees are written as bytes.

    decoder         from a type, and whether it is strict about texts for numbers, a function bytes -> that type
    parse           bytes -> plain objects, as much of them as can be read
    errors          what these raise for bytes that they refuse
    fields_max      of bytes, as many fields as there can be in them
    checks_numbers  NaN and infinite numbers can be written
    """

    decoder: Callable[[Any, bool], Callable[[bytes], Any]]
    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    fields_max: Callable[[bytes], int]
    checks_numbers: bool


class TreeCodec:
    """Decodes the payloads of one source that are trees in one encoding, which a subclass names."""

    encoding: ClassVar[Encoding]

    def __init__(self, source: Source) -> None:
        encoding = self.encoding
        self._source = source
        self._shape = Shape(source)
        self._errors = encoding.errors
        self._parse = encoding.parse
        as_text = source.payload.numbers_as_text
        self._any, forbidding = (payload_type(source, self._shape, forbids_extra=forbids) for forbids in (False, True))
        self._lenient = encoding.decoder(self._any, not as_text)
        self._strict = encoding.decoder(forbidding, not as_text) if source.report_extra else self._lenient
        n_leaves = len(self._shape.places)
        if n_leaves > WIDE:
            self._strict = _for_few_fields(self._strict, encoding.fields_max, COMPARISONS_MAX // n_leaves)
        self._form = FORMS[source.payload.form](source, self._shape, checks_numbers=encoding.checks_numbers or as_text)
        self._device = DeviceName(source)
        self._tags = self._shape.of("tag")
        key_names = [step.name for step in self._shape.steps if isinstance(step, Keys)]
        self._keys = [key_names.index(name) for name in payload_names(source)[len(self._tags) :]]
        self._intervention = self._shape.places.get(("intervention", 0))
        self._words = InterventionWords(source)

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that no codec of trees can use; see `agent.decode.codec`."""
        return _problems(source)

    def decode(self, batch: Batch) -> Decoded:
        """The readings of payloads; see `agent.decode.codec`."""
        payloads: list[Any] = []
        faults: list[Fault] = []
        dropped: list[int] = []
        rest = map(self._strict, batch.payloads)
        while True:
            try:
                payloads.extend(rest)  # what it has decoded stays when it raises, and it goes on with the next payload
                break
            except self._errors as error:
                row = len(payloads) + len(dropped)
                try:
                    payload, doubts = self._look_again(batch.payloads[row], row, error)
                except Unread as fate:
                    dropped.append(row)
                    faults.append(Fault(row, fate.reason, str(fate)))
                else:
                    payloads.append(payload)
                    faults += doubts
        rows = np.delete(np.arange(len(batch.payloads)), dropped) if dropped else None
        return self._decoded(payloads, rows, batch, faults)

    def _look_again(self, payload: bytes, row: int, error: Exception) -> tuple[Any, list[Fault]]:
        """The struct of a payload that was refused with `error`, and its doubts. Raises Unread."""
        if not payload:
            raise Unread("empty", "the payload has no bytes")
        if isinstance(error, msgspec.ValidationError) and "unknown field" in str(error):
            with suppress(*self._errors):
                return self._lenient(payload), [Fault(row, "extra_channel", str(error))]
        try:
            parsed = self._parse(payload)
        except self._errors as fault:
            raise Unread("malformed", str(fault)) from None
        good, faults = mended(self._source, self._shape, parsed, row)
        return msgspec.convert(good, self._any), faults

    def _decoded(self, payloads: list[Any], rows: Int64 | None, batch: Batch, faults: list[Fault]) -> Decoded:
        """Structs to columns; rows int64 [n] are the indexes of their payloads, None for all of them."""
        flat = readings_of(payloads, self._shape.steps)
        flat = self._without_too_many_or_none(flat, rows, faults)
        row = rows if flat.owner is None else flat.owner if rows is None else rows[flat.owner]
        device = self._devices(flat, row, batch)
        made = self._form.rows(flat, row, batch, device)
        doubted = {(fault.row, fault.reason) for fault in faults}
        for doubt in made.doubts:
            of = doubt.item if row is None else int(row[doubt.item])
            if (of, doubt.reason) not in doubted:
                doubted.add((of, doubt.reason))
                faults.append(Fault(of, doubt.reason, doubt.detail))
        unread = {fault.row for fault in faults if fault.reason == "extra_topic"}
        if unread:  # then nothing else is said of the payload
            faults = [fault for fault in faults if fault.row not in unread or fault.reason == "extra_topic"]
        if made.item is not None:
            row, device = made.item if row is None else row[made.item], None if device is None else device[made.item]
        if self._intervention:
            texts = flat.values(self._intervention)
            said = texts if made.item is None else [texts[item] for item in made.item.tolist()]
            return self._with_interventions(said, Decoded(row, made.t_ns, made.x, faults, device))
        return Decoded(row, made.t_ns, made.x, faults, device)

    def _without_too_many_or_none(self, flat: Found, rows: Int64 | None, faults: list[Fault]) -> Found:
        """The readings of payloads that bring some, and not more than one payload may; `faults` gets the others."""
        sizes = self._form.sizes(flat)
        if sizes is None and flat.owner is None:
            return flat
        owner = np.arange(len(flat.readings)) if flat.owner is None else flat.owner
        n_rows = np.bincount(owner, sizes, minlength=len(flat.payloads)).astype(np.int64)
        is_wrong = (n_rows == 0) | (n_rows > self._shape.readings_max)
        if not is_wrong.any():
            return flat
        fates: dict[int, Fault] = {}
        for of in is_wrong.nonzero()[0].tolist():
            row = of if rows is None else int(rows[of])
            too_many = f"{n_rows[of]} readings, at most {self._shape.readings_max} are read"
            fates[row] = (
                Fault(row, "too_many_readings", too_many)
                if n_rows[of]
                else Fault(row, "no_channels", "the payload brings no reading")
            )
        faults[:] = [fault for fault in faults if fault.row not in fates]
        faults += fates.values()
        return flat.only(~is_wrong[owner])

    def _devices(self, flat: Found, row: Int64 | None, batch: Batch) -> Devices | None:
        """Ids that payloads name, one a reading; None where the topics name them."""
        if self._device.is_in_topic:
            return None
        texts: list[Iterable[str]] = [map(text_of, flat.values(place)) for place in self._tags]
        texts += [flat.keys[index] for index in self._keys]
        addresses = batch.addresses if row is None else [batch.addresses[of] for of in row.tolist()]
        ids = map(self._device.of, [address.tags for address in addresses], zip(*texts, strict=True))
        return np.fromiter(ids, np.object_, len(flat.readings))

    def _with_interventions(self, texts: Sequence[Any], decoded: Decoded) -> Decoded:
        """With what readings say of work on the machine, a text each. One that says nothing else is no reading."""
        kinds = list(map(self._words.kind, texts))
        row = np.arange(len(kinds)) if decoded.row is None else decoded.row
        faults = [*decoded.faults, *self._strange_words(texts, kinds, row)]
        if not self._source.channels:
            faults += self._silent(texts, kinds, row, faults)
        elif not any(kinds):
            return msgspec.structs.replace(decoded, faults=faults)
        interventions = [
            Intervened(int(row[item]), None if decoded.device is None else decoded.device[item], int(t_ns), kind)
            for item, (kind, t_ns) in enumerate(zip(kinds, decoded.t_ns, strict=True))
            if kind and t_ns != IMPOSSIBLE_NS
        ]
        is_told = np.array([kind is not None for kind in kinds]) & (decoded.t_ns != IMPOSSIBLE_NS)
        kept = ~(is_told & np.isnan(decoded.x).all(axis=1))
        if not self._source.channels:
            kept = decoded.t_ns == IMPOSSIBLE_NS  # no reading, but something to be said
        device = None if decoded.device is None else decoded.device[kept]
        return Decoded(row[kept], decoded.t_ns[kept], decoded.x[kept], faults, device, interventions)

    def _silent(
        self, texts: Sequence[Any], kinds: Sequence[InterventionKind | None], row: Int64, faults: Sequence[Fault]
    ) -> list[Fault]:
        """Payloads of which nothing is said yet and that tell of no work: of a source that reads nothing else."""
        found = dict(zip(row.tolist(), texts, strict=True))
        said = {of for of, kind in zip(row.tolist(), kinds, strict=True) if kind} | {fault.row for fault in faults}
        return [Fault(of, "no_channels", self._words.no_word(text)) for of, text in found.items() if of not in said]

    def _strange_words(
        self, texts: Sequence[Any], kinds: Sequence[InterventionKind | None], row: Int64
    ) -> Iterator[Fault]:
        """One doubt of each payload that has a text which is no word."""
        last = -1
        for of, text, kind in zip(row.tolist(), texts, kinds, strict=True):
            if kind is None and of != last and (doubt := self._words.doubt(text)):
                last = of
                yield Fault(of, "unknown_intervention", doubt)


def _for_few_fields(
    decode: Callable[[bytes], Any], fields_max: Callable[[bytes], int], n_fields_max: int
) -> Callable[[bytes], Any]:
    """The same, but refusing a payload that may have more fields."""

    def decode_few(payload: bytes) -> Any:
        if fields_max(payload) > n_fields_max:
            raise msgspec.ValidationError("so many fields that each is looked up by itself")
        return decode(payload)

    return decode_few


def _problems(source: Source) -> Iterator[tuple[str, str]]:
    form = source.payload
    try:
        readings_steps(form.readings)
    except ValueError as error:
        yield "payload.readings", str(error)
        return
    is_whole = False
    bad = False
    for leaf in leaves(source):
        try:
            path = Path.parse(leaf.path)
            is_whole |= leaf.kind == "value" and not path.names
        except ValueError as error:
            bad = True
            yield _key(source, leaf), str(error)
    if is_whole and (source.time_unit != "arrival" or source.tags or source.interventions or form.readings):
        yield "payload.value", "a payload that is the value itself has no time, tags, readings or interventions in it"
    elif not bad:
        try:
            Shape(source)
        except ShapeProblem as problem:
            yield _key(source, problem.leaf), str(problem)
    if form.form == "value" and not source.channel:
        yield "payload.form", 'needs a channel that the topic names: channel = "{channel}"'
    if source.channel and form.form != "value":
        yield "channel", 'names the channel of the one value of a payload: payload.form = "value"'
    if source.interventions and form.form in ("pairs", "columns"):
        yield "interventions.field", f"form {form.form!r} has no place for it; give interventions a source of their own"


def _key(source: Source, leaf: Leaf) -> str:
    """The setting that a leaf is from."""
    return {
        "time": "time.field",
        "channel": "channels",
        "tag": f"tags.{source.tags[leaf.index][0]}" if leaf.kind == "tag" else "tags",
        "intervention": "interventions.field",
        "name": "payload.name",
        "value": "payload.value",
    }[leaf.kind]
