"""The targets of the whole way: all sources of the recipes in one intake, and a core with a model."""

import json
import re
import tempfile
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

from agent.config.load import load
from agent.config.plan import plan
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.decode.intake import Intake
from agent.reasons import REASONS
from agent.sources import AlignRule, InterventionRule, PayloadForm, Source
from agent.words import Taken
from tests.fuzz.costs import Costs
from tests.fuzz.reads import Outcome, check_stateless, new_intake, read
from tests.fuzz.target import FIRST_NS, Message, Target, input_of, messages_of
from tests.fuzz.variants import SPARKPLUG_TOPICS, neighbour_of_sparkplug
from tests.hostile import FOLDERS, cases_of
from tests.small_bundle import CHANNELS
from tests.streams import SOURCE, bytes_of, life, message, model

RECIPES = sorted((Path(__file__).parents[1] / "data" / "recipes").iterdir())
NAMED = ""  # the topic of a message whose payload begins with its own, up to a new line


def named(messages: list[Message]) -> list[Message]:
    """The messages, with those topics that their payloads name."""
    found = []
    for one in messages:
        if one.topic == NAMED:
            topic, _, payload = one.payload.partition(b"\n")
            one = one._replace(topic=topic.decode("utf-8", "replace") or "/", payload=payload)
        found.append(one)
    return found


@cache
def recipe_sources() -> tuple[Source, ...]:
    """The sources of all recipes, which say what they do not read, and one that joins the first."""
    text = '[agent]\nnode = "n"\n' + "".join(map(_source_text, RECIPES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "forewarn.toml"
        path.write_text(text)
        planned = [replace(source, report_extra=True) for source in plan(load(path, {}), {}).sources]
    owner = replace(planned[0], width=len(planned[0].channels) + 1)
    joint = replace(SOURCE, name="joint", topics=("joint/{device}",), channels=SOURCE.channels[:1], joins=owner.name,
                    columns=(len(owner.channels),))  # fmt: skip
    return (owner, *planned[1:], joint)


def _source_text(recipe: Path) -> str:
    """A recipe's source, its topics below a level of the recipe's own: those of some makers overlap."""
    lines = (recipe / "source.toml").read_text().splitlines(keepends=True)
    return "".join(
        re.sub(r'"(?=[^",\]]+")', f'"{recipe.name}/', line) if line.startswith("topic") else line for line in lines
    )


@cache
def recipe_messages() -> tuple[tuple[str, bytes], ...]:
    listed = [(recipe.name, one) for recipe in RECIPES for one in json.loads((recipe / "messages.json").read_text())]
    return tuple(
        (
            f"{name}/{one['topic']}",
            (one["payload"] if isinstance(one["payload"], str) else json.dumps(one["payload"])).encode(),
        )
        for name, one in listed
    )


@cache
def recipe_topics() -> tuple[str, ...]:
    return (*dict.fromkeys(topic for topic, _ in recipe_messages()), "joint/p1", "nobody/p1", NAMED)


@cache
def recipe_intake() -> tuple[Intake, tuple[Message, Outcome]]:
    intake = new_intake(recipe_sources())
    neighbour = Message("joint/healthy", b'{"cycle": 1, "temp": 2}', FIRST_NS)
    ((outcome,), _) = read(intake, [neighbour])
    assert outcome.rows
    return intake, (neighbour, outcome)


def check_intake(data: bytes, costs: Costs) -> None:
    intake, healthy = recipe_intake()
    check_stateless(intake, named(messages_of(data, recipe_topics())), healthy, costs)


def intake_seeds() -> list[bytes]:
    topics = recipe_topics()
    known = [(topics.index(topic), payload) for topic, payload in recipe_messages()]
    by_name = [(len(topics) - 1, topic.encode() + b"\n" + payload) for topic, payload in recipe_messages()]
    hostile = [(at % len(topics), case.payload) for folder in FOLDERS for at, case in enumerate(cases_of(folder))]
    joined = [input_of(*known[at : at + 6]) for at in range(0, len(known), 6)]
    return [*joined, *(input_of(one) for one in (*known, *by_name, *hostile))]


_SECONDS = Source("seconds", ("s/{device}",), "ts", "s", SOURCE.channels)
CORE_SOURCES = (
    SOURCE,
    replace(_SECONDS, align=AlignRule(every_s=1.0, max_age_s=5.0, quorum=0.3, lateness_s=2.0)),
    replace(
        _SECONDS,
        name="values",
        topics=("v/{device}/{field}",),
        channel="{field}",
        payload=PayloadForm(form="value"),
        align=AlignRule(max_age_s=60.0),
    ),
    replace(_SECONDS, name="array", topics=("a/+",), payload=PayloadForm(readings="{device}[]"), first_seen="new"),
    replace(_SECONDS, name="sparkplug", topics=("spBv1.0/#",), time_field="", time_unit="ms", codec="sparkplug",
            device="{group}/{node}/{device}"),
    replace(SOURCE, name="work", topics=("work/{device}",), codec="text", time_field="", time_unit="arrival",
            channels=(), joins="press", interventions=InterventionRule("", (("fixed", "repaired"), ("x", "replaced")))),
)  # fmt: skip
CORE_TOPICS = (
    "plant/p1/cycle", "plant/p2/cycle", "s/p1", "s/p2", "v/p1/temp", "v/p1/load", "v/p1/wear", "a/x", "work/p1",
    *SPARKPLUG_TOPICS[:6], "nobody/p1", "plant//cycle", NAMED,
)  # fmt: skip
HEALTHY = life("healthy", 8)
OF_DEVICES = {"forgotten"}  # counted without a message


@cache
def _new_core(number: int) -> tuple[Core, bytes]:
    """A core, another one for another number, and its snapshot."""
    reads = [index for index, source in enumerate(CORE_SOURCES) if source.channels]
    bounds = Bounds(stale_after_s=60.0, forget_after_s=3000.0, devices_max=8)
    made = Core(CORE_SOURCES, (model(*CORE_SOURCES, reads=reads),), bounds)
    return made, made.snapshot()


def check_core(data: bytes, costs: Costs) -> None:
    """One message an entry, from a snapshot in their midst, and all at once: the same scores, alerts and counts.

    Each message of the first source, a reading each, has a score or one reason why not; and a healthy device is told
    what it is told alone.
    """
    messages = _with_healthy(named(messages_of(data, CORE_TOPICS)))
    singly, at_once = _begun(0), _begun(1)
    parts = []
    for at, one in enumerate(messages):
        if at == len(messages) // 2:
            after = _begun(2)
            after.restore(singly.snapshot())
            singly, after.counts = after, singly.counts
        counts = Counter(singly.counts)
        parts.append(singly.apply(_entry([one])))
        _check_counts(one, parts[-1], singly.counts - counts)
    whole = at_once.apply(_entry(messages))
    assert at_once.counts == singly.counts
    assert _told([whole]) == _told(parts)
    assert at_once.snapshot() == singly.snapshot()
    alone = _begun(1).apply(_entry([one for one in messages if one.topic == HEALTHY[0][0]]))
    assert bytes_of(whole, "healthy") == bytes_of(alone, "healthy")


def _begun(number: int) -> Core:
    """One of a few cores, as it was when it was new; to make one takes as long as a whole input."""
    core, empty = _new_core(number)
    core.restore(empty)
    core.counts = Counter()
    return core


def _check_counts(one: Message, taken: Taken, counted: Counter[tuple[str, str]]) -> None:
    n_dropped = sum(n for (_, reason), n in counted.items() if not REASONS[reason].is_used and reason not in OF_DEVICES)
    n_scored = len(taken.scores[0].t_ns)
    if one.topic.startswith("plant/"):
        assert n_scored + n_dropped == 1, f"{n_scored} scores, and counts {dict(counted)}"
        doubts = [reason for _, reason in counted if REASONS[reason].is_used and not REASONS[reason].of_device]
        assert n_scored or not doubts, f"doubts of a message that is dropped: {dict(counted)}"


def _with_healthy(messages: list[Message]) -> list[Message]:
    """A healthy device's messages between the others, at their times of arrival."""
    ends = [one.arrived_ns for one in messages]
    found = [*messages]
    for at, (topic, payload) in enumerate(HEALTHY):
        found.append(Message(topic, payload, ends[min(at, len(ends) - 1)]))
    return sorted(found, key=lambda one: one.arrived_ns)


def _entry(messages: list[Message]) -> Messages:
    topics, payloads, arrived_ns = ([*column] for column in zip(*messages, strict=True))
    return Messages(topics, payloads, arrived_ns)


def _told(parts: list[Taken]) -> tuple[bytes, list[object], list[object]]:
    """Scores as bytes, alerts, and what else is given back but samples of drops."""
    scores = [part.scores[0] for part in parts]
    columns = [getattr(one, name).tobytes() for name in ("entry", "source", "t_ns", "quality") for one in scores]
    columns += [one.outputs[head].tobytes() for head in ("risk", "rul") for one in scores]
    devices = [device for one in scores for device in one.device.tolist()]
    others = [one for part in parts for one in (*part.forgotten, *part.requests, *part.labels)]
    return b"".join(columns) + repr(devices).encode(), [event for part in parts for event in part.alerts], others


def core_seeds() -> list[bytes]:
    worn = [(0, message("p1", cycle, wear=2.0)[1]) for cycle in (1, 2, 3)]
    second = [(2 + at % 2, json.dumps({"ts": 1_700_000_000 + at, CHANNELS[at % 3]: 1.5}).encode()) for at in range(8)]
    single = [(4 + at % 3, b'{"ts": %d, "value": 1.5}' % (1_700_000_000 + at)) for at in range(8)]
    array = [(7, json.dumps({d: [{"ts": 1.7e9 + t, "temp": 1} for t in (0, 1)] for d in ("p1", "p2")}).encode())]
    session = [(9 + SPARKPLUG_TOPICS.index(place.replace("healthy", "n1").replace("h1", "p1")), payload)
               for place, payload in neighbour_of_sparkplug()]  # fmt: skip
    hostile = [(0, case.payload) for folder in ("json", "json_array") for case in cases_of(folder)]
    return [
        input_of(*worn, (8, b"fixed"), *worn),
        input_of(*second),
        input_of(*single),
        input_of(*array, *session),
        input_of((len(CORE_TOPICS) - 1, b"plant/p3/cycle\n" + worn[0][1])),
        *(input_of(worn[0], one, worn[1]) for one in hostile),
    ]


TARGETS = {"intake": Target(check_intake, intake_seeds), "core": Target(check_core, core_seeds)}
