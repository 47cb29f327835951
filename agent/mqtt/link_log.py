"""The log lines of a link's changes of state."""

from collections.abc import Sequence
from typing import Literal

from structlog.typing import FilteringBoundLogger

from agent.mqtt.link_state import Notice


def log_notices(
    log: FilteringBoundLogger, notices: Sequence[Notice], *, name: Literal["broker", "output"], client_id: str
) -> None:
    """One line each; `name` begins the event of the input's lines or of the output's."""
    for notice in notices:
        if notice.event == "client_id_taken":
            next_step = f"Is another agent called {client_id}? Give each its own agent.node or broker.client_id."
            log.error("client_id_taken", client_id=client_id, why=notice.why, next_step=next_step)
        elif notice.event == "session_lost":
            next_step = "The next row of each device says `gap`. Does the broker write its sessions down (persistence)?"
            log.warning(f"{name}_session_lost", why=notice.why, next_step=next_step)
        elif notice.event == "connected":
            log.info(f"{name}_connected", why=notice.why)
        else:
            log.warning(f"{name}_{notice.event}", why=notice.why)
