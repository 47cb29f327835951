"""What the next process must know of a session that the broker keeps: numbers by name, *notes* in the input log.

The session itself has one, which says whether it is *in doubt* (agent/mqtt/link_state.py). It is recorded as in doubt
before each CONNECT, since a process that ends right behind it never learns whether the broker had to begin a new one.

A session keeps nothing of what devices publish at QoS 0, whatever is subscribed to. So a source of which a connection
has brought readings at QoS 0 has lost history with the end of that connection.
"""

from collections.abc import Collection, Iterable, Mapping

from structlog.typing import FilteringBoundLogger

from agent.config.broker_settings import Broker
from agent.core.input_log import Recovered
from agent.mqtt.link_state import LinkState, Phase

SESSION = "session"  # the name of its note
AT_QOS_0 = "at QoS 0 "  # a note that begins so names a source: 1 where this connection has brought readings at QoS 0
_SETTLED, _IN_DOUBT = 1, 2


class Notes:
    """The notes of one broker: those of an earlier process, and what has changed since."""

    def __init__(self, known: Mapping[str, int]) -> None:
        self._values = {**known}
        self._changed: dict[str, int] = {}

    def get(self, name: str) -> int | None:
        """The last value of a name, None where there is none."""
        return self._values.get(name)

    def names(self, start: str) -> list[str]:
        """The rest of each name that begins so and whose value is not 0."""
        return [name.removeprefix(start) for name, value in self._values.items() if value and name.startswith(start)]

    def set(self, name: str, value: int) -> bool:
        """Whether that is news, which is then to be recorded."""
        if self._values.get(name) == value:
            return False
        self._values[name] = self._changed[name] = value
        return True

    def take(self) -> dict[str, int]:
        """What has changed since the last call."""
        changed, self._changed = self._changed, {}
        return changed


class KeptSession:
    """The session of one connection. `is_kept` is False where it ends with each connection: then nothing is noted."""

    def __init__(self, kept: Recovered | None) -> None:
        """kept: what an earlier process knew, None for clean sessions."""
        self.is_kept = kept is not None
        self.notes = Notes(kept.notes if kept is not None else {})

    @property
    def has_past(self) -> bool:
        """Whether the broker had it before, for this process or an earlier one."""
        return self.notes.get(SESSION) is not None

    def new_link(self, broker: Broker, retry_min_s: float) -> LinkState:
        """The link as the earlier process left it."""
        return LinkState(
            broker.protocol,
            retry_min_s=retry_min_s,
            answer_within_s=broker.connect_timeout.total_seconds(),
            keeps_session=self.is_kept,
            has_past=self.has_past,
            is_in_doubt=self.notes.get(SESSION) == _IN_DOUBT,
        )

    def may_connect(self) -> bool:
        """Whether a CONNECT may go out; if not, what was noted is to be recorded first."""
        return not self.has_past or not self.notes.set(SESSION, _IN_DOUBT)

    def resume(self, sources: Collection[str]) -> list[str]:
        """A new connection stands: which of the sources have lost history with the last one."""
        lost = self.notes.names(AT_QOS_0)
        for source in lost:
            self.notes.set(f"{AT_QOS_0}{source}", 0)
        return [source for source in lost if source in sources]

    def heed_qos_0(self, sources: Iterable[str], log: FilteringBoundLogger) -> None:
        """This connection has brought readings of these sources at QoS 0: said once of each."""
        for source in sources:
            if self.notes.set(f"{AT_QOS_0}{source}", 1):
                why = "its devices publish at QoS 0: what they send while the agent is away is lost, and a `gap`"
                log.warning("source_at_qos_0", source=source, why=why, next_step="Let them publish at QoS 1.")

    def follow(self, link: LinkState) -> None:
        """Something has happened to the link."""
        has_session = link.n_connections > 0 or self.has_past
        if self.is_kept and has_session and link.phase not in (Phase.OPENING, Phase.CONNECTING):
            self.notes.set(SESSION, _IN_DOUBT if link.is_in_doubt else _SETTLED)
