"""What is kept of Sparkplug edge nodes in a snapshot: MessagePack, with a version, checked again when it is read."""

from typing import Annotated, Final

import msgspec

from agent.decode.sparkplug_nodes import (
    AMBIGUOUS,
    DEFINITIONS_MAX,
    NODES_MAX,
    WAITING_BYTES_MAX,
    WAITING_MAX,
    Birth,
    Message,
    Node,
    Nodes,
)
from agent.decode.sparkplug_payload import SEQ_MAX, parse
from agent.decode.sparkplug_topic import DEVICE, IN_ORDER, place, templates

VERSION: Final = 1
_IDS: Final = templates(DEVICE)  # they are not looked at
_Seq = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
_UInt64 = Annotated[int, msgspec.Meta(ge=0)]


class _Birth(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    datatypes: bytes
    aliases: dict[_UInt64, int]


class _Node(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    next_seq: Annotated[int, msgspec.Meta(ge=-1, le=SEQ_MAX)]
    bd_seq: Annotated[int, msgspec.Meta(ge=-1)]
    newest_ms: _UInt64
    heard_ns: _Time
    births: dict[str, _Birth]
    waiting: dict[_Seq, Message]
    since_ns: _Time


class _Kept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    fields: tuple[bytes, ...]
    born: dict[str, _Node]
    late: tuple[str, ...]
    asked: dict[str, _Time]
    swept_ns: _Time


def keep(nodes: Nodes, fields: tuple[bytes, ...]) -> bytes:
    """`fields` are the metrics to which the columns of births belong."""
    born = {
        name: _Node(
            node.next_seq,
            node.bd_seq,
            node.newest_ms,
            node.heard_ns,
            {device: _Birth(birth.datatypes, birth.aliases) for device, birth in node.births.items()},
            node.waiting,
            node.since_ns,
        )
        for name, node in nodes.born.items()
    }
    return msgspec.msgpack.encode(_Kept(VERSION, fields, born, tuple(nodes.late), nodes.asked, nodes.swept_ns))


def restored(kept: bytes, fields: tuple[bytes, ...]) -> Nodes:
    """Raises ValueError for what `keep` did not give, or gave for other `fields`."""
    try:
        memory = msgspec.msgpack.decode(kept, type=_Kept)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it is no memory of Sparkplug nodes: {error}") from None
    if memory.version != VERSION:
        raise ValueError(f"it is of version {memory.version}, this forewarn reads version {VERSION}")
    if memory.fields != fields:
        raise ValueError("the source had other channels, so the births have to be heard again")
    nodes = Nodes()
    nodes.born = {name: _node(name, node, len(fields)) for name, node in memory.born.items()}
    waiting = {name for name, node in nodes.born.items() if node.waiting}
    if len(nodes.born) > NODES_MAX or waiting != set(memory.late) or len(waiting) != len(memory.late):
        raise ValueError("its nodes do not belong together")
    nodes.late = {name: nodes.born[name] for name in memory.late}
    nodes.asked, nodes.swept_ns = memory.asked, memory.swept_ns
    if not all(map(_is_node, memory.asked)):
        raise ValueError("it names a node that cannot be")
    if sum(node.size for node in nodes.born.values()) > DEFINITIONS_MAX:
        raise ValueError(f"it has more than {DEFINITIONS_MAX} definitions")
    if sum(node.waiting_bytes for node in nodes.born.values()) > WAITING_BYTES_MAX:
        raise ValueError("it has more waiting messages than may wait")
    nodes.recount()
    return nodes


def _node(name: str, kept: _Node, n_fields: int) -> Node:
    if not _is_node(name) or len(kept.waiting) > WAITING_MAX:
        raise ValueError(f"node {name[:64]!r} cannot be")
    for message in kept.waiting.values():
        parse(message.payload)
        at = place(message.topic, _IDS)
        if at.node != name or at.kind not in IN_ORDER:
            raise ValueError(f"a message that waits is none of node {name[:64]!r}")
    births = {device: _birth(birth, n_fields) for device, birth in kept.births.items()}
    return Node(kept.next_seq, kept.bd_seq, kept.newest_ms, kept.heard_ns, births, kept.waiting, kept.since_ns)


def _birth(kept: _Birth, n_fields: int) -> Birth:
    columns = kept.aliases.values()
    if len(kept.datatypes) != n_fields or min(columns, default=0) < AMBIGUOUS or max(columns, default=0) >= n_fields:
        raise ValueError("a birth has columns that cannot be")
    return Birth(kept.aliases, kept.datatypes)


def _is_node(name: str) -> bool:
    group, _, node = name.partition("/")
    return bool(group and node) and not any(char in name.replace("/", "", 1) for char in "/+#\0")
