"""What the judge decided, as events with everything that a reader of an alert needs."""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from agent.judge.evidence import Evidence, Verdict
from agent.judge.lifecycle import HEAD, TRANSITIONS, alert_id
from agent.words import SEVERITIES, AlertEvent, Int64, Quality, Scores


def decided(
    verdict: Verdict, scores: Scores, slots: Int64, evidence: Evidence, source_of: Callable[[int], str]
) -> Iterator[AlertEvent]:
    """One event for each row of a batch that raises, updates or clears; `source_of` names a slot's source."""
    for row in verdict.rows.tolist():
        slot, device = int(slots[row]), str(scores.device[row])
        source = source_of(slot)
        raised_t_ns, clock_epoch = int(evidence.raised_t_ns[slot]), int(evidence.raised_epoch[slot])
        yield AlertEvent(
            kind="raised" if verdict.raised[row] else "cleared" if verdict.cleared[row] else "updated",
            alert=alert_id(source, device, HEAD, clock_epoch, raised_t_ns),
            sequence=int(evidence.sequence[slot]),
            source=source,
            device=device,
            head=HEAD,
            state=TRANSITIONS["unacknowledged", "clear"] if verdict.cleared[row] else TRANSITIONS["normal", "raise"],
            severity=SEVERITIES[evidence.severity[slot]],
            entry=int(scores.entry[row]),
            t_ns=int(scores.t_ns[row]),
            raised_t_ns=raised_t_ns,
            quality=Quality(scores.quality[row]).name.lower(),
            risk=tuple(scores.risk[row].tolist()),
            rul=tuple(scores.rul[row].tolist()),
            cause="below_threshold" if verdict.cleared[row] else "risk",
            clock_epoch=clock_epoch,
        )


def ended(
    evidence: Evidence,
    slot: int,
    device: str,
    source: str,
    cause: Literal["forgotten", "new_life"],
    entry: int,
    t_ns: int,
) -> AlertEvent:
    """The end of a device's alert that no score ended; `t_ns` is the time of its newest row."""
    raised_t_ns, clock_epoch = int(evidence.raised_t_ns[slot]), int(evidence.raised_epoch[slot])
    return AlertEvent(
        kind="cleared",
        alert=alert_id(source, device, HEAD, clock_epoch, raised_t_ns),
        sequence=int(evidence.sequence[slot]) + 1,
        source=source,
        device=device,
        head=HEAD,
        state=TRANSITIONS["unacknowledged", "clear"],
        severity=SEVERITIES[evidence.severity[slot]],
        entry=entry,
        t_ns=t_ns,
        raised_t_ns=raised_t_ns,
        quality=Quality.STALE.name.lower(),
        risk=(),
        rul=(),
        cause=cause,
        clock_epoch=clock_epoch,
    )


def orphaned(event: AlertEvent, entry: int) -> AlertEvent:
    """The end of a standing alert whose source the configuration no longer has; `event` is the alert's last one."""
    return msgspec.structs.replace(
        event,
        kind="cleared",
        sequence=event.sequence + 1,
        state=TRANSITIONS["unacknowledged", "clear"],
        entry=entry,
        quality=Quality.STALE.name.lower(),
        risk=(),
        rul=(),
        cause="source_removed",
    )
