"""What a source reads of a payload that is a tree of objects and arrays, as a tree of the same form.

A payload has readings: one, or those in its arrays and objects (`payload.readings`). Of each reading, and of the
payload around them, the source reads leaves: the time, channels, tags, an intervention. Everything else is passed over.
`agent.decode.typed` makes types of the tree, so that C code decodes ordinary payloads; `agent.decode.mend` walks
along it through one that is not ordinary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from agent.decode.paths import Each, Keys, Path, Step, readings_steps
from agent.decode.readings import readings_max
from agent.sources import PayloadForm, Source

Kind = Literal["time", "channel", "tag", "intervention", "name", "value"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is read. `path` as the source has it; `index` of the channel or tag."""

    kind: Kind
    path: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Many:
    """An array (`keys` is ""), or an object whose keys tell `keys`."""

    item: "Tree"
    keys: str = ""


@dataclass(slots=True)
class Node:
    """An object.

    required  names without which it brings no reading
    reports   a field of it that no member names may be a channel that was forgotten
    """

    members: "dict[str, Tree]" = field(default_factory=dict)
    required: tuple[str, ...] = ()
    reports: bool = False


Tree = Leaf | Many | Node


@dataclass(frozen=True, slots=True)
class Place:
    """Where a leaf stands: its attribute in the structs of `agent.decode.typed`, in the reading or in the payload."""

    attribute: str
    is_of_payload: bool


class ShapeProblem(ValueError):
    """A leaf has no place beside the others."""

    def __init__(self, leaf: Leaf, what: str) -> None:
        super().__init__(what)
        self.leaf = leaf


class Shape:
    """The trees of a source's payload and of one reading in it, and where the leaves are.

    steps    from the payload to its readings; () where it is one reading, then both are the same tree
    places   of the leaves, by kind and index
    """

    def __init__(self, source: Source) -> None:
        """Raises ValueError where two paths cannot both be, or one cannot be at all."""
        self.steps, self._before = _steps(source.payload)
        self.reading: Tree = Node()
        self.payload = self._around(self.steps)
        self.places: dict[tuple[Kind, int], Place] = {}
        for leaf in leaves(source):
            self._add(leaf)
        _mark(self.payload, is_reading=False)
        _mark(self.reading, is_reading=True)
        self.readings_max = readings_max(len(source.channels))

    def of(self, kind: Kind) -> list[Place]:
        """Where the leaves of a kind are, by index."""
        return [place for (of, _), place in sorted(self.places.items()) if of == kind]

    def _around(self, steps: tuple[Step, ...]) -> Tree:
        """The tree from a step on, down to the readings."""
        if not steps:
            return self.reading
        step, inner = steps[0], self._around(steps[1:])
        if isinstance(step, str):
            return Node({step: inner})
        return Many(inner, step.name if isinstance(step, Keys) else "")

    def _add(self, leaf: Leaf) -> None:
        path = Path.parse(leaf.path)
        is_of_payload = path.is_of_payload and bool(self.steps)
        names = path.names if path.is_of_payload else self._before + path.names
        if not names and leaf.kind == "value" and not self.steps and not self.places:
            self.payload = self.reading = leaf
            self.places[leaf.kind, leaf.index] = Place("", False)
            return
        tree, attributes = self.payload if is_of_payload else self.reading, []
        for depth, name in enumerate(names, 1):
            if not isinstance(tree, Node):
                raise ShapeProblem(leaf, f"{leaf.path!r} goes on where a value or an array stands")
            if depth == len(names) and name in tree.members:
                raise ShapeProblem(leaf, f"{leaf.path!r} is read twice, or another path goes on from there")
            if name not in tree.members:
                tree.members[name] = leaf if depth == len(names) else Node()
            attributes.append(attribute(tree, name))
            tree = tree.members[name]
        if not names:
            raise ShapeProblem(leaf, f"a {leaf.kind} needs a path into the payload")
        self.places[leaf.kind, leaf.index] = Place(".".join(attributes), is_of_payload)


def attribute(node: Node, name: str) -> str:
    """Attribute of a member in the struct of its node."""
    return f"m{list(node.members).index(name)}"


def has_required(tree: Tree) -> bool:
    """Whether a payload without it brings no reading: it holds the time, or the readings themselves."""
    if isinstance(tree, Node):
        return any(map(has_required, tree.members.values()))
    return isinstance(tree, Many) or tree.kind == "time"


def has_time(tree: Tree) -> bool:
    """Whether the time is in it, and not in readings below."""
    if isinstance(tree, Node):
        return any(map(has_time, tree.members.values()))
    return isinstance(tree, Leaf) and tree.kind == "time"


def _steps(form: PayloadForm) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps to the readings, and the names that a reading's paths begin with where there is only one."""
    steps = readings_steps(form.readings)
    names = tuple(step for step in steps if isinstance(step, str))
    if form.form == "pairs" and len(names) == len(steps):
        return (*steps, Each()), ()
    return ((), names) if len(names) == len(steps) else (steps, ())


def _mark(tree: Tree, *, is_reading: bool) -> None:
    """Set what a tree's nodes require and report.

    An object with fields beside its channels is one whose other fields may be channels too.

    One below it that has a single channel describes that: `{"temp": {"value": 55.1, "unit": "C"}}` lacks no channel.
    """
    if isinstance(tree, Many):
        _mark(tree.item, is_reading=False)
    if not isinstance(tree, Node):
        return
    n_channels = sum(map(_leads_to_channel, tree.members.values()))
    is_beside = any(isinstance(member, Leaf) and member.kind == "channel" for member in tree.members.values())
    tree.required = tuple(name for name, member in tree.members.items() if has_required(member))
    tree.reports = n_channels > 1 or (is_reading and is_beside)
    for member in tree.members.values():
        _mark(member, is_reading=False)


def _leads_to_channel(tree: Tree) -> bool:
    """Whether a channel is in it, and not in readings below."""
    if isinstance(tree, Node):
        return any(map(_leads_to_channel, tree.members.values()))
    return isinstance(tree, Leaf) and tree.kind == "channel"


def leaves(source: Source) -> Iterator[Leaf]:
    """What a source reads: the time first, then the channels in their order."""
    form = source.payload
    if source.time_unit != "arrival":
        yield Leaf("time", source.time_field)
    if form.form in ("fields", "columns"):
        for index, path in enumerate(source.fields):
            yield Leaf("channel", path, index)
    if form.form == "pairs":
        yield Leaf("name", form.name)
    if form.form in ("pairs", "value"):
        yield Leaf("value", form.value)
    for index, (_, path) in enumerate(source.tags):
        yield Leaf("tag", path, index)
    if source.interventions is not None:
        yield Leaf("intervention", source.interventions.field)
