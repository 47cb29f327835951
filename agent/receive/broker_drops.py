"""What the broker says it dropped: mosquitto counts that, for all its clients together, and tells who asks.

Another broker has no such count and never says one. A drop of ours means that rows of some device are missing, and
nobody knows of which. But the count may be of any client: a page that is left open and reads slowly would then make
every device say `gap` for ever, and a row that says `gap` raises no alert. So the devices say `gap` only where there
is a sign that the drop was ours: a broker drops what is beyond the window or the queue of a client, and before that
happens much has come together: a window of messages within the time that an acknowledgement takes to free it. No
broker says how much it lets wait, so the signs are careful ones, and where there is none the drop was *probably*
another client's. The count itself is said in any case.

A broker that keeps our session queues for it while we are away, and drops what is beyond its queue. So the count is
then compared with the last one before, over restarts of either end too, and growth soon after we came back is a sign.
"""

import math
from collections import deque

import paho.mqtt.client as paho

from agent.receive.inbox import BROKER_DROPPED
from agent.receive.kept_session import KeptSession
from agent.receive.nap import QUEUE, WINDOW
from agent.receive.received import Received
from agent.words import Drop, DropCounts

OURS_S = 60.0  # so long after a sign; mosquitto renews its counts every 10 s by default
SOCKET_BYTES = 2**17  # so much lies in a socket before a broker queues anything of QoS 0
LATE_S = 0.5  # until a read is acknowledged: longer than a turn and a nap
BREATH_S = 0.001  # between the ends of two reads that were one burst: shorter than a turn that takes its messages
ROUND_TRIP_S_MAX = 1.0
ROUND_TRIPS = 1.5  # in which a window is acknowledged: the trip that was measured may have been a quick one
PAUSE_S = 2.0  # between two reads: longer than any nap, and than any turn of a machine that is well
DROPPED = "broker_dropped"  # name of the note: the newest count of a broker that keeps our session
HANG_UPS_MAX = 2  # some brokers hang up on who asks for what he may not have; once may be chance
RATE_S = 10.0  # the rate of messages is that of about so long
SAID_WITHIN_S = 60.0  # mosquitto retains its count: it comes at once, or within 10 s of the broker's start
UNSAID = f"no count of what it drops ({BROKER_DROPPED.decode()}): messages beyond its queue are lost without a word"
_DIGITS_MAX = 18  # the journal keeps 64 bits


class BrokerDrops:
    """Asks for the count on each connection, and adds its growth to `counts` under no source.

    limits  what is missed where the broker says no count, in words: it has none, or we may not read it
    """

    def __init__(self, counts: DropCounts, session: KeptSession) -> None:
        self.limits: tuple[str, ...] = ()
        self._unsaid_at_s = math.inf  # the broker should have said its count by then
        self._counts = counts
        self._session = session
        self._hung_up = 0  # connections in a row that ended before the question was answered
        self._message_id: int | None = None  # of a SUBSCRIBE that is not answered
        self._asked_s = -math.inf
        self._round_trip_s = 0.0
        self._newest = session.notes.get(DROPPED)  # what the broker said, on this connection unless it keeps sessions
        self._is_back = self._is_first = session.has_past  # nothing was read since; the next count is the first since
        self._ours_until_s = -math.inf
        self._last_read_s = math.inf  # the end of the last read
        self._rate_per_s = 0.0
        self._n_late = 0  # messages of the last read, where they were acknowledged late
        self._n_burst = 0  # messages that came at once, in however many reads
        self._under_way: deque[tuple[float, int]] = deque()  # when reads were acknowledged, with how many messages
        self._is_behind_pause = self._is_behind_hold = False  # the burst: of a read that was acknowledged late

    def ask(self, client: paho.Client, now_s: float) -> None:
        """Subscribe to the count, once all sources are."""
        self._unsaid_at_s = now_s + SAID_WITHIN_S
        self._asked_s = now_s
        if self._hung_up < HANG_UPS_MAX:
            _, self._message_id = client.subscribe(BROKER_DROPPED.decode(), 0)

    def answer(self, message_id: int, now_s: float, *, is_refused: bool) -> None:
        """A SUBACK that is for no source. A grant says nothing: mosquitto grants what its ACL then never serves."""
        if message_id == self._message_id:
            self._message_id = None
            self._round_trip_s = min(now_s - self._asked_s, ROUND_TRIP_S_MAX)
            self._hung_up = 0
            self.limits = (UNSAID,) if is_refused else self.limits

    def lose_connection(self) -> None:
        """The connection has ended: without a session that is kept, the count of the next one begins anew."""
        self._hung_up += self._message_id is not None
        self._message_id = None
        self._is_back = self._is_first = self._session.has_past
        if not self._session.is_kept:
            self._newest = None
        self._last_read_s = self._unsaid_at_s = math.inf
        self._under_way.clear()

    def acknowledge(self, n_messages: int, now_s: float) -> None:
        """The last read is acknowledged: until the broker knows, its messages take room in the window.

        Nothing is read meanwhile, for as long as a full disk lets nothing be kept: what came then waited at the broker.
        """
        held_s = now_s - self._last_read_s
        if held_s >= LATE_S:  # with what was acknowledged just before it was read, the window was as full
            n_messages += sum(n for at_s, n in self._under_way if at_s >= self._last_read_s - self._trip_s)
        self._n_late = n_messages if held_s >= LATE_S else 0
        if n_messages:
            self._under_way.append((now_s, n_messages))
        if held_s >= PAUSE_S:
            self._ours_until_s = now_s + OURS_S

    def take(self, received: Received, now_s: float) -> None:
        """Look at one read, at monotonic now_s: count what the broker says, and mark lost history that may be ours."""
        if self._has_sign(received, now_s) or self._is_back:
            self._ours_until_s = now_s + OURS_S
        self._is_back = False
        if now_s >= self._unsaid_at_s:
            self.limits = (UNSAID,)
        payload = received.broker_dropped
        if not payload.isdigit() or len(payload) > _DIGITS_MAX:
            return
        self.limits, self._unsaid_at_s = (), math.inf
        before, self._newest = self._newest, int(payload)
        if self._is_first and (before is None or self._newest < before):
            before = 0  # it began anew while we were away, or a moment before we came first and had said nothing yet
        self._is_first = False
        if self._session.is_kept:
            self._session.notes.set(DROPPED, self._newest)
        may_be_ours = now_s < self._ours_until_s
        if before is None or self._newest <= before:  # the first on this connection, or a broker that begins anew
            received.history_lost |= before is None and self._newest > 0 and may_be_ours  # it came late
            return
        n_dropped = self._newest - before
        self._counts["", "broker_dropped"] += n_dropped
        received.history_lost |= may_be_ours
        whose = (
            "that may have been ours: the next row of each device says `gap`"
            if may_be_ours
            else "that were probably another client's: nothing here looks like a backlog"
        )
        detail = f"the broker dropped {n_dropped} messages {whose}"
        received.drops.append(Drop("", "", BROKER_DROPPED.decode(), "broker_dropped", detail))

    def _has_sign(self, received: Received, now_s: float) -> bool:
        """Whether a read, before its rows are shared out, looks as if the broker had kept messages back for us."""
        n_messages = len(received.topics)
        passed_s = max(0.0, now_s - self._last_read_s)
        n_due = self._rate_per_s * passed_s  # as many as come in that time
        n_late, self._n_late, self._last_read_s = self._n_late, 0, now_s
        if n_late or passed_s >= BREATH_S:
            self._n_burst = n_late
            self._is_behind_pause = passed_s >= PAUSE_S
            self._is_behind_hold = n_late > 0
        self._n_burst += n_messages
        n_under_way = len(received.packet_ids) + max(n_late, self._n_before(now_s, passed_s))
        self._rate_per_s += (n_messages - n_due) / max(RATE_S, passed_s)
        return (
            received.is_cut
            or n_under_way >= WINDOW
            or n_messages >= QUEUE
            or received.n_bytes >= SOCKET_BYTES
            or (self._is_behind_pause and max(self._n_burst, n_due) >= WINDOW)
            or (self._is_behind_hold and self._n_burst >= WINDOW)
        )

    @property
    def _trip_s(self) -> float:
        return max(ROUND_TRIPS * self._round_trip_s, BREATH_S)

    def _n_before(self, now_s: float, passed_s: float) -> int:
        """Messages that may have been under way together with those of a read at now_s, the first after passed_s.

        They came at any time since the read before, so with all that had just been acknowledged then, too. But where
        those are no more than a nap lets come (`Nap`), each read may as well be of messages that came after another.
        """
        trip_s = self._trip_s
        while self._under_way and self._under_way[0][0] < now_s - passed_s - trip_s:
            self._under_way.popleft()
        n_then = sum(n for _, n in self._under_way)
        return n_then if n_then > WINDOW // 2 else sum(n for at_s, n in self._under_way if at_s >= now_s - trip_s)
