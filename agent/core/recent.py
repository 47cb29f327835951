"""Which messages of a kept session were recorded already, where the broker delivers them again.

A message that is not acknowledged comes again with the next connection, under its packet identifier and with the DUP
flag (MQTT 5, section 4.4). It may have been recorded before: then only its acknowledgement was lost. So the newest
messages that were recorded are remembered by packet identifier and digest: as many as there are identifiers, since
mosquitto 2.0.11 keeps to no Receive Maximum (asked for 1,000, it had 56,000 under way after some reconnections with a
long queue, and all came again). A message without the flag is always a new one, whose identifier the broker uses
again: what was remembered of that identifier goes.

One case stays ambiguous. The broker gets the acknowledgement of a message, uses its identifier again for one of the
same topic and payload, and the connection breaks before that one has come: it is then taken for the first. That needs
two readings equal to the byte, so without a time or a counter in them, and an identifier that comes again within
REDELIVERED_MAX messages.

Digests are made when one is asked for: messages come again only after a connection broke. Until then references to the
newest messages are enough. Those of all take a fifth of a second, so who knows that it will ask lets them be made
before, some at a time (`prepare`).
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from agent.core.input_log import REDELIVERED_MAX, RowWaits, Waiting, digest_of

HELD_BYTES_MAX = 2**24  # of payloads that are kept alive for their digests
_Read = tuple[Sequence[int], Sequence[str], Sequence[bytes]]


class Recent:
    """The newest messages that were recorded, at most some REDELIVERED_MAX.

    n_without  of how many there is no digest yet
    """

    def __init__(self, digests: Mapping[int, bytes] | None = None) -> None:
        """digests: those of an earlier process."""
        self._digests = {**(digests or {})}  # of the oldest, the newest last
        self._reads: deque[_Read] = deque()  # newer than those
        self.n_without = self._n_bytes = 0  # messages in them, and their payloads

    def add(self, packet_ids: Sequence[int], topics: Sequence[str], payloads: Sequence[bytes]) -> None:
        """Messages were recorded, one element each; packet_ids 0 at QoS 0. The lists must not change any more."""
        n_ids = _n_ids(packet_ids)
        if not n_ids:
            return
        self._reads.append((packet_ids, topics, payloads))
        self.n_without += n_ids
        self._n_bytes += sum(map(len, payloads))
        while self.n_without - _n_ids(self._reads[0][0]) >= REDELIVERED_MAX:
            oldest_ids, _, oldest_payloads = self._reads.popleft()
            self.n_without -= _n_ids(oldest_ids)
            self._n_bytes -= sum(map(len, oldest_payloads))
            self._digests.clear()
        while self._n_bytes > HELD_BYTES_MAX:
            self._make_oldest()

    def add_rows(self, changes: Iterable[Waiting]) -> None:
        """The same of the rows among these, which were recorded as ones that wait."""
        rows = [change for change in changes if isinstance(change, RowWaits)]
        if rows:
            self.add([row.packet_id for row in rows], [row.topic for row in rows], [row.payload for row in rows])

    def prepare(self, n_messages: int) -> int:
        """Make the digests of the oldest so many, in whole reads; returns how many there were."""
        n_before = self.n_without
        while self._reads and n_before - self.n_without < n_messages:
            self._make_oldest()
        return n_before - self.n_without

    def has(self, packet_id: int, topic: str, payload: bytes) -> bool:
        """Whether the newest message of that identifier is this one."""
        self._make_digests()
        return self._digests.get(packet_id) == digest_of(topic, payload)

    def digests(self) -> dict[int, bytes]:
        """Packet identifier -> digest of the newest message of it, the newest last."""
        self._make_digests()
        return {**self._digests}

    def forget(self) -> None:
        """The broker has begun another session: its identifiers are others."""
        self._digests.clear()
        self._reads.clear()
        self.n_without = self._n_bytes = 0

    def _make_digests(self) -> None:
        while self._reads:
            self._make_oldest()

    def _make_oldest(self) -> None:
        """The digests of the oldest read."""
        digests = self._digests
        packet_ids, topics, payloads = self._reads.popleft()
        for packet_id, topic, payload in zip(packet_ids, topics, payloads, strict=True):
            if packet_id:
                digests.pop(packet_id, None)
                digests[packet_id] = digest_of(topic, payload)
        self.n_without -= _n_ids(packet_ids)
        self._n_bytes -= sum(map(len, payloads))


def _n_ids(packet_ids: Sequence[int]) -> int:
    return len(packet_ids) - packet_ids.count(0)
