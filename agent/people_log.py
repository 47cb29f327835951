"""What people do, as lines of the log: interventions, labels, commands; as many as do not fill it."""

import math
from collections import Counter
from typing import Final

from structlog.typing import FilteringBoundLogger

from agent.log import DROP_EVERY_S, escaped
from agent.words import AlertLabel, Handled, Taken

LABELS_SAID: Final = 20


class InterventionLog:
    """One line for each thing that was done to a machine, at most LABELS_SAID in DROP_EVERY_S; then how many more.

    n  taken since the start
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self.n = 0
        self._log = log
        self._ration = Ration(log, "interventions_not_logged")

    def hear(self, taken: Taken, now_s: float) -> None:
        """Log what was done; now_s is monotonic."""
        ended = Counter((event.source, event.device, event.entry, event.cause) for event in taken.alerts)
        for label in taken.labels:
            self.n += 1
            if self._ration.allows(now_s):
                self._log.info(
                    "intervention_applied",
                    source=label.source,
                    device=escaped(label.device),
                    kind=label.kind,
                    alerts_ended=ended[label.source, label.device, label.entry, label.kind],
                    is_known=label.is_known,
                    note=escaped(label.note),
                )


class LabelLog:
    """One line for each label of an alert, as many as `InterventionLog` writes."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._ration = Ration(log, "labels_not_logged")

    def hear(self, label: AlertLabel, now_s: float, *, is_known: bool) -> None:
        """Log one that was kept, or is of no known alert; now_s is monotonic."""
        if not self._ration.allows(now_s):
            return
        texts = {"id": escaped(label.alert), "by": escaped(label.by), "note": escaped(label.note)}
        if is_known:
            self._log.info("alert_labelled", source=label.source, label=label.label, **texts)
        else:
            next_step = "`forewarn alerts export --labels FILE` lists the alerts that can be labelled."
            self._log.warning("label_refused", source=label.source, label=label.label, **texts, next_step=next_step)


class HandledLog:
    """One line for each command that acts on alerts, as many as `InterventionLog` writes."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._ration = Ration(log, "commands_not_logged")

    def hear(self, handled: Handled, now_s: float) -> None:
        """Log what came of it; now_s is monotonic."""
        command = handled.command
        if self._ration.allows(now_s):
            say = self._log.info if handled.outcome in ("done", "needless") else self._log.warning
            say(
                "alerts_handled",
                action=command.action,
                source=command.source,
                device=escaped(command.device),
                outcome=handled.outcome,
                why=handled.detail,
                alerts=len(handled.alerts),
                by=escaped(command.by),
                note=escaped(command.note),
            )


class Ration:
    """At most LABELS_SAID lines in DROP_EVERY_S; then one line `event` says how many more there were."""

    def __init__(self, log: FilteringBoundLogger, event: str) -> None:
        self._log = log
        self._event = event
        self._since_s = -math.inf
        self._n_said = self._n_unsaid = 0

    def allows(self, now_s: float) -> bool:
        """Count a line, and say whether it is to be written."""
        if now_s - self._since_s >= DROP_EVERY_S:
            if self._n_unsaid:
                self._log.warning(self._event, count=self._n_unsaid)
            self._since_s, self._n_said, self._n_unsaid = now_s, 0, 0
        is_allowed = self._n_said < LABELS_SAID
        self._n_said += is_allowed
        self._n_unsaid += not is_allowed
        return is_allowed
