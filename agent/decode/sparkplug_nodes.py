"""Sparkplug edge nodes: which are born, what their births define, and in which order their messages count.

An edge node and the devices behind it are one session. NBIRTH begins it, NDEATH ends it, and the sequence numbers of
all messages between them, of its devices too, count 0 to 255 and around. A message that comes before one with a lower
number waits for it, up to REORDER_NS; then a message is taken for lost, perhaps a birth, so that nothing of the node
can be believed: it is asked for a rebirth, and is unborn until the NBIRTH comes. A node of which data come before any
birth is asked likewise, as the agent was started later than it.

Time is log time, the arrival of the messages, so that a replay makes the same of them. All that is kept has a bound.
What lives is never pushed out by what is new.

Source: Eclipse Sparkplug 3.0, sections 5.4 (edge nodes), 5.9 (message ordering in host applications).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agent.decode.sparkplug_payload import rebirth_command

NODES_MAX = 4096  # whose sessions run
DEFINITIONS_MAX = 2**19  # of metrics, of all births together
WAITING_MAX = 32  # messages of a node
WAITING_BYTES_MAX = 8 * 2**20  # of all nodes
BIRTH_SIZE = 8
REORDER_NS = 2 * 10**9
REBIRTH_EVERY_NS = 10 * 10**9  # a node is asked no more often,
ASK_EVERY_NS = 20 * 10**6  # nor all of them: their births come at once
FORGET_NS = 24 * 3600 * 10**9  # a node so long unheard of makes room for a new one
SWEEP_EVERY_NS = 60 * 10**9

NEVER: Final = -(2**62)
NONE_DUE: Final = 2**62
UNNUMBERED: Final = -1  # what a session's next number is while its publisher gives none
UNUSED, AMBIGUOUS, UNKNOWN = -1, -2, -3  # columns of metrics that no channel names, of aliases of two metrics, of none


class Birth:
    """What a birth says of the metrics of a node or a device.

    aliases    column of the metric of each alias, or UNUSED, or AMBIGUOUS
    datatypes  of each column's metric; ABSENT_TYPE where the birth has none
    mark       of this birth alone, for what others remember of it
    """

    ABSENT_TYPE: Final = 255
    __slots__ = ("aliases", "datatypes", "mark")

    def __init__(self, aliases: dict[int, int], datatypes: bytes) -> None:
        self.aliases = aliases
        self.datatypes = datatypes
        self.mark = object()

    @property
    def size(self) -> int:
        """How many definitions it holds; it costs as much memory as some by itself."""
        return BIRTH_SIZE + len(self.aliases) + len(self.datatypes)

    @property
    def has_channels(self) -> bool:
        """Whether any metric is one that the source reads."""
        return self.datatypes.count(self.ABSENT_TYPE) < len(self.datatypes)

    def datatype(self, column: int) -> int:
        """Of a column's metric, 0 where the birth does not say it."""
        return self.datatypes[column] % self.ABSENT_TYPE


class Message(NamedTuple):
    """A message that waits for those before it."""

    arrived_ns: int
    topic: str
    payload: bytes
    time_ms: int


@dataclass(slots=True)
class Node:
    """A session of an edge node.

    next_seq   sequence number of the message that comes next, UNNUMBERED for any
    bd_seq     number that its birth has in common with its death, -1 for unknown
    newest_ms  time of the newest payload that was taken
    heard_ns   when its newest message came
    births     of its devices, and "" of itself
    waiting    messages that came too early, by sequence number
    since_ns   when the first of them began to wait
    """

    next_seq: int
    bd_seq: int
    newest_ms: int
    heard_ns: int
    births: dict[str, Birth] = field(default_factory=dict)
    waiting: dict[int, Message] = field(default_factory=dict)
    since_ns: int = NEVER

    @property
    def size(self) -> int:
        """How many definitions its births hold."""
        return sum(birth.size for birth in self.births.values())

    @property
    def waiting_bytes(self) -> int:
        """Of the payloads that wait."""
        return sum(len(message.payload) for message in self.waiting.values())


class Nodes:
    """The edge nodes of a source.

    born      those whose session runs, by name
    late      those of them for which messages wait, the one that waits the longest first
    asked     name -> when, of those that were asked for a rebirth in the last REBIRTH_EVERY_NS
    swept_ns  when room was last made
    due_ns    from this log time on, what waits may have waited for long enough
    requests  (topic, payload) of what nodes are to be asked for; the caller takes them away
    """

    def __init__(self) -> None:
        self.born: dict[str, Node] = {}
        self.late: dict[str, Node] = {}
        self.asked: dict[str, int] = {}
        self.swept_ns = NEVER
        self.due_ns = NONE_DUE
        self.requests: list[tuple[str, bytes]] = []
        self._n_definitions = self._waiting_bytes = 0

    # Sessions -----------------------------------------------------------------------------------------------------

    def bear(self, name: str, session: Node) -> int | None:
        """NBIRTH: `session` takes the place of the one before. None where there is no room.

        Messages that wait move over if they can be of the new session: DBIRTH may have come before NBIRTH. Returns how
        many were let go.
        """
        if name not in self.born and len(self.born) >= NODES_MAX:
            self._sweep(session.heard_ns)
        before = self.born.get(name)
        n_definitions = self._n_definitions + session.size - (before.size if before is not None else 0)
        if (before is None and len(self.born) >= NODES_MAX) or n_definitions > DEFINITIONS_MAX:
            return None
        self.born[name] = session
        self._n_definitions = n_definitions
        old = before.waiting if before is not None else {}
        session.waiting = {seq: message for seq, message in old.items() if message.time_ms >= session.newest_ms}
        gone = [message for seq, message in old.items() if seq not in session.waiting]
        self._waiting_bytes -= sum(len(message.payload) for message in gone)
        self._wait_anew(name, session)
        return len(gone)

    def end(self, name: str) -> int:
        """A session is over; how many messages waited for one that will not come now."""
        node = self.born.pop(name, None)
        if node is None:
            return 0
        self._n_definitions -= node.size
        self._waiting_bytes -= node.waiting_bytes
        n_waiting = len(node.waiting)
        node.waiting.clear()
        self._wait_anew(name, node)
        return n_waiting

    def add(self, node: Node, device: str, birth: Birth) -> bool:
        """DBIRTH; False where there is no room."""
        self.remove(node, device)
        if self._n_definitions + birth.size > DEFINITIONS_MAX:
            return False
        node.births[device] = birth
        self._n_definitions += birth.size
        return True

    def remove(self, node: Node, device: str) -> None:
        """DDEATH."""
        birth = node.births.pop(device, None)
        self._n_definitions -= birth.size if birth is not None else 0

    def ask(self, name: str, arrived_ns: int) -> None:
        """Request a rebirth, unless that was done lately."""
        asked = self.asked
        while asked and arrived_ns - asked[first := next(iter(asked))] >= REBIRTH_EVERY_NS:
            del asked[first]
        if name in asked or (asked and arrived_ns - asked[next(reversed(asked))] < ASK_EVERY_NS):
            return
        asked[name] = arrived_ns
        group, edge_node = name.split("/")
        self.requests.append((f"spBv1.0/{group}/NCMD/{edge_node}", rebirth_command(arrived_ns // 10**6)))

    # Order --------------------------------------------------------------------------------------------------------

    def hold(self, name: str, node: Node, seq: int, message: Message) -> bool:
        """Let a message wait for those before it; False where too many do, so that one is to be taken for lost."""
        n_bytes = len(message.payload) - (len(node.waiting[seq].payload) if seq in node.waiting else 0)
        if len(node.waiting) >= WAITING_MAX or self._waiting_bytes + n_bytes > WAITING_BYTES_MAX:
            return False
        is_first = not node.waiting
        node.waiting[seq] = message
        self._waiting_bytes += n_bytes
        if is_first:
            self._wait_anew(name, node)
        return True

    def release(self, name: str, node: Node) -> Message | None:
        """The next message in order if it is one of those that wait. Those that still wait do so from now on."""
        message = node.waiting.pop(node.next_seq, None)
        if message is not None:
            self._waiting_bytes -= len(message.payload)
            self._wait_anew(name, node)
        return message

    def recount(self) -> None:
        """After `born`, `late` and `asked` were filled from a snapshot."""
        self._n_definitions = sum(node.size for node in self.born.values())
        self._waiting_bytes = sum(node.waiting_bytes for node in self.born.values())
        self._set_due()

    def overdue(self, arrived_ns: int) -> Iterator[tuple[str, int]]:
        """End the sessions whose missing message has not come in time: name, and how many messages waited for it."""
        while arrived_ns >= self.due_ns:
            name = next(iter(self.late))
            yield name, self.end(name)

    def _wait_anew(self, name: str, node: Node) -> None:
        self.late.pop(name, None)
        if node.waiting:
            node.since_ns = node.heard_ns
            self.late[name] = node
        self._set_due()

    def _set_due(self) -> None:
        self.due_ns = next(iter(self.late.values())).since_ns + REORDER_NS if self.late else NONE_DUE

    def _sweep(self, arrived_ns: int) -> None:
        """Make room of sessions that fell silent without a death."""
        if arrived_ns - self.swept_ns < SWEEP_EVERY_NS:
            return
        self.swept_ns = arrived_ns
        for name in [name for name, node in self.born.items() if arrived_ns - node.heard_ns > FORGET_NS]:
            self.end(name)
