"""The targets of the codecs. The first byte of an input chooses the variant that reads its messages."""

from functools import cache, partial

from agent.decode.codec import CODECS
from agent.decode.intake import Intake
from tests.edge_node import EdgeNode
from tests.fuzz.costs import Costs
from tests.fuzz.large import LARGE
from tests.fuzz.reads import Outcome, check_remembering, check_stateless, new_intake, read
from tests.fuzz.target import FIRST_NS, Message, Target, input_of, messages_of
from tests.fuzz.variants import SPARKPLUG_TOPICS, T_S, Variant, neighbour_of_sparkplug, variants_of
from tests.hostile import FOLDERS, cases_of, source_of
from tests.unit.decode.test_codec_contract import cases, source, topic

LONG_GAP = 4 * len(SPARKPLUG_TOPICS)  # in the first byte of a message: it comes an hour later
REMEMBERS = "sparkplug"  # its messages mean something in their order only


@cache
def all_variants(codec: str) -> tuple[Variant, ...]:
    """Those of the target, that of the codec's cases, and that of hostile payloads."""
    if codec == REMEMBERS:
        return tuple(variants_of(codec))
    whole = next(one.payload for one in cases(codec) if one.readings and not one.drops)
    of_cases = Variant(source(codec), tuple(topic(codec, device) for device in ("p1", "p2", "n1")), whole)
    found = [of_cases, *variants_of(codec)]
    for folder in FOLDERS:
        hostile = source_of(folder)
        used = [case.payload for case in cases_of(folder) if not case.counts]
        if hostile.codec == codec and used and folder != "topics":
            pattern = hostile.topics[0]
            topics = tuple(pattern.replace("{device}", device) for device in ("p1", "p2", "n1"))
            found.append(Variant(hostile, topics, used[0]))
    return tuple(found)


@cache
def stateless(codec: str, index: int) -> tuple[Intake, tuple[Message, Outcome]]:
    """The intake of a variant, which all inputs share, and its healthy neighbour."""
    variant = all_variants(codec)[index]
    intake = new_intake([variant.source])
    neighbour = Message(variant.topics[-1], variant.healthy, FIRST_NS)
    ((outcome,), _) = read(intake, [neighbour])
    assert outcome.rows, f"the healthy payload of variant {index} of {codec} is not used: {outcome.drops}"
    return intake, (neighbour, outcome)


def check_codec(codec: str, data: bytes, costs: Costs) -> None:
    variants = all_variants(codec)
    index = (data[0] if data else 0) % len(variants)
    messages = messages_of(data[1:], variants[index].topics)
    if codec == REMEMBERS:
        neighbour = [Message(*one, FIRST_NS + 10**9 * at) for at, one in enumerate(neighbour_of_sparkplug())]
        check_remembering([variants[index].source], messages, neighbour, costs)
    else:
        intake, healthy = stateless(codec, index)
        check_stateless(intake, messages, healthy, costs)


def seeds(codec: str) -> list[bytes]:
    """Healthy payloads, large ones, the codec's cases and hostile ones, one a message, and some joined to one input."""
    if codec == REMEMBERS:
        return _sparkplug_seeds()
    n_variants = len(all_variants(codec))
    found = [bytes([at]) + input_of((0, variant.healthy)) for at, variant in enumerate(all_variants(codec))]
    found += [bytes([at % n_variants]) + input_of((0, payload)) for at, payload in enumerate(LARGE[codec]())]
    of_cases = [one.payload for one in cases(codec)]
    found += [b"\0" + input_of((0, payload)) for payload in of_cases]
    found.append(b"\0" + input_of(*((at, payload) for at, payload in enumerate(of_cases[:8]))))
    for folder in FOLDERS:
        if source_of(folder).codec == codec and source_of(folder).compression == "none" and folder != "topics":
            for at, case in enumerate(cases_of(folder)):
                found.append(bytes([at % n_variants]) + input_of((0, case.payload)))
    return found


def _sparkplug_seeds() -> list[bytes]:
    """Sessions, the codec's cases as births, and each hostile payload after a birth."""
    node, t_ms = EdgeNode(), T_S * 1000
    births = [node.birth(t_ms), node.device_birth("p1", t_ms, {"temp": ("Float", 1.0), "vib": ("Int32", 3)})]
    alike = [node.data("p1", t_ms + 1000 * at, {"temp": ("Float", at), "vib": ("Int32", 3)}) for at in range(1, 8)]
    parts = [node.data("p1", t_ms + 9000 + at, {("temp", "vib")[at % 2]: ("Int32", at)}) for at in range(3)]
    ends = [node.device_death("p1", t_ms + 10_000), node.death()]
    swapped = [*births, alike[1], alike[0], alike[2], alike[2]]
    missing = [*births, alike[0], *alike[2:5]]
    sessions = [[*births, *alike], [*births, *alike[:2], *parts, *ends, *births], swapped, missing, [*missing, *births]]
    told = EdgeNode()
    work = [told.birth(t_ms), told.device_birth("p1", t_ms, {"event": ("String", "fixed"), "temp": ("Double", 1e300)})]
    work += [
        told.data("p1", t_ms + at, {"event": ("String", word)}) for at, word in enumerate(("new", "what", "fixed"))
    ]
    work += [told.data("p1", t_ms + 9, {"event": ("String", "new"), "temp": ("Double", 2.5)})]
    hostile = [case for folder in FOLDERS if source_of(folder).codec == REMEMBERS for case in cases_of(folder)]
    late = input_of(*map(_on_topic, missing[:-1]), (_on_topic(missing[-1])[0] + LONG_GAP, missing[-1][1]))
    return [
        *(bytes([variant]) + input_of(*map(_on_topic, session)) for session in sessions for variant in (0, 1)),
        b"\0" + late,
        b"\2" + input_of(*map(_on_topic, work)),
        *(b"\0" + input_of(_on_topic(births[0]), (kind, payload)) for payload in LARGE[REMEMBERS]() for kind in (0, 3)),
        *(b"\0" + input_of((0, one.payload)) for one in cases(REMEMBERS)),
        *(b"\0" + input_of(*map(_on_topic, births), (kind, case.payload)) for case in hostile for kind in (0, 4)),
    ]


def _on_topic(message: tuple[str, bytes]) -> tuple[int, bytes]:
    place, payload = message
    return SPARKPLUG_TOPICS.index(place), payload


TARGETS = {codec: Target(partial(check_codec, codec), partial(seeds, codec)) for codec in CODECS}
