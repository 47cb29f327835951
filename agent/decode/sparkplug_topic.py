"""Sparkplug topics: `spBv1.0/GROUP/TYPE/NODE` and `spBv1.0/GROUP/TYPE/NODE/DEVICE`."""

from typing import NamedTuple

from agent.decode.template import Template

NAMESPACE = "spBv1.0"
TOPIC_CHARS_MAX = 512
OF_NODE = ("NBIRTH", "NDATA", "NDEATH")
OF_DEVICE = ("DBIRTH", "DDATA", "DDEATH")
BIRTHS = ("NBIRTH", "DBIRTH")
DATA = ("DDATA", "NDATA")
IN_ORDER = (*DATA, "DBIRTH", "DDEATH")  # have the sequence numbers of a session
OF_HOSTS = ("NCMD", "DCMD")  # what host applications say; and STATE, which stands at the group's place
LEVELS = ("group", "node", "device")
LEVELS_OF = {"sparkplug": LEVELS}  # codec -> names that its messages give by themselves for a source's `device`
DEVICE = "{device}"


class Place(NamedTuple):
    """What a topic means.

    kind    of its messages, as the specification names it; "" for those of host applications, which say nothing here
    node    `GROUP/NODE`
    device  "" for the node itself
    id      of the device in forewarn's sense
    """

    kind: str
    node: str = ""
    device: str = ""
    id: str = ""


def place(topic: str, ids: tuple[Template, Template]) -> Place:
    """What a topic means, by the `templates` of ids. Raises ValueError for one that is not of Sparkplug B."""
    if len(topic) > TOPIC_CHARS_MAX:
        raise ValueError(f"a topic of {len(topic)} characters, at most {TOPIC_CHARS_MAX} are read")
    levels = topic.split("/")
    if len(levels) < 3 or levels[0] != NAMESPACE:
        raise ValueError(f"the topic does not begin with {NAMESPACE}/GROUP/TYPE")
    _, group, kind, *names = levels
    if group == "STATE" or kind in OF_HOSTS:
        return Place("")
    if not (kind in OF_NODE and len(names) == 1) and not (kind in OF_DEVICE and len(names) == 2):
        raise ValueError(f"a topic of type {kind[:32]!r} with {len(names)} levels behind it is not one of Sparkplug B")
    if not group or not all(names):
        raise ValueError("a level of the topic is empty")
    node, device = [*names, ""][:2]
    texts = dict(zip(LEVELS, (group, node, device), strict=True))
    template = ids[0] if device else ids[1]
    return Place(kind, f"{group}/{node}", device, template.told_apart([texts[name] for name in template.names]))


def templates(template: str) -> tuple[Template, Template]:
    """How ids of devices, and those of nodes themselves, are made of a source's template.

    For a node, levels that name the device are left out. `{device}` alone, which says nothing of the node, stands for
    all three. Raises ValueError where it names other levels.
    """
    levels = ["{group}", "{node}", "{device}"] if template == "{device}" else template.split("/")
    both = Template.parse("/".join(levels)), Template.parse("/".join(one for one in levels if DEVICE not in one))
    unknown = [name for name in both[0].names if name not in LEVELS]
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is no level of a Sparkplug topic: {{group}}, {{node}} and {{device}} are")
    return both
