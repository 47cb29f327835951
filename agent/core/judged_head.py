"""One head of a model at work: the judge's evidence of every device, and the alerts that come of it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agent.bundle.heads import judged_heads
from agent.core.handling import Handling
from agent.core.model import Model
from agent.devices.slots import Slots
from agent.judge.events import AlertEvents, EndCause, HandledStep, Outputs
from agent.judge.evidence import Evidence, JudgeRules, judge
from agent.judge.lifecycle import AlertRules, Trigger
from agent.words import AlertEvent, AlertHead, AlertKey, Bool, BundleLabel, Float32, Int64, Quality, Scores


def evidence_group(model: str, head: AlertHead) -> str:
    """Name of its column group; that of `risk` is of a time in which there was no other head."""
    return f"model/{model}/evidence" if head == "risk" else f"model/{model}/evidence/{head}"


class JudgedHead:
    """`sources` are the names of the core's; `label` is that of the model's bundle."""

    def __init__(
        self,
        model: Model,
        head: AlertHead,
        label: BundleLabel,
        sources: Sequence[str],
        slots: Slots,
        handling: Handling,
        rules: AlertRules,
    ) -> None:
        self.head = head
        self.group = evidence_group(model.name, head)
        self.evidence = slots.register(self.group, Evidence)
        self._rule = judged_heads(model.bundle.manifest)[head]
        self._policy = model.bundle.manifest.judging[head].policy
        self._threshold = model.thresholds[head]
        self._model = model.name
        self._slots = slots
        self._handling = handling
        self._rules = rules
        self._alerts = AlertEvents(model.name, head, label, sources, slots, self.evidence, handling.of)

    def is_ready(self, outputs: Mapping[str, Float32]) -> Bool | None:
        """bool [b]: which rows it says something of; None for all of them."""
        return None if self._rule.is_ready is None else self._rule.is_ready(outputs[self.head])

    def judge(self, scores: Scores, slots: Int64, epochs: Int64) -> list[AlertEvent]:
        """Alert events of distinct devices' scores; slots int64 [b], epochs int64 [capacity] of all clocks."""
        output, policy, threshold = scores.outputs[self.head], self._policy, self._threshold
        value, level = self._rule.value(output, policy), self._rule.level(output, policy, threshold)
        is_ready, quality = self.is_ready(scores.outputs), scores.quality
        if is_ready is not None:
            quality = np.where(is_ready, quality, np.uint8(Quality.WARMING_UP))
        hidden = self._handling.hidden(self._model, self.head, scores.source, scores.device)
        rules = JudgeRules(policy, self._rules, hidden)
        verdict = judge(self.evidence, slots, scores.t_ns, quality, value, level, threshold, rules)
        if not len(verdict.rows):
            return []
        epoch = epochs[slots]
        self.evidence.raised_in(slots[verdict.raised], epoch[verdict.raised])
        return list(self._alerts.decided(verdict, scores, slots, epoch))

    def adopt(self, slot: int, event: AlertEvent) -> None:
        """An alert of this head stands; `event` is its newest one in the alert table."""
        self.evidence.stand(slot, event)
        self._alerts.adopt(slot, event)

    def standing(self) -> Iterator[tuple[AlertKey, str]]:
        """Key and id of each alert that stands."""
        return map(self._alerts.key_and_id, np.flatnonzero(self.evidence.standing).tolist())

    def standing_slots(self, source: int) -> list[int]:
        """Of the devices of a source."""
        return np.flatnonzero(self.evidence.standing & (self._slots.source == source)).tolist()

    def id_of(self, slot: int) -> str:
        """Of the alert that stands in `slot`."""
        return self._alerts.key_and_id(slot)[1]

    def raised_before(self) -> list[tuple[int, AlertEvent]]:
        """Slot and newest event, as of then, of each alert that stands and was taken from the alert table."""
        return self._alerts.raised_before()

    def outputs(self) -> list[tuple[int, Outputs]]:
        """Slot, and outputs of the row that decided last, of each alert that stands."""
        return self._alerts.outputs()

    def take_outputs(self, outputs: Sequence[tuple[int, Outputs]]) -> None:
        """Those, after a restart."""
        self._alerts.take_outputs(outputs)

    def remember(self, slot: int, event: AlertEvent) -> None:
        """One of those, after a restart."""
        self._alerts.adopt(slot, event)

    def forget_alerts(self) -> None:
        """Alerts are taken from the table anew; evidence starts empty."""
        self.evidence.reset()
        self._alerts.forget()

    def forget_adopted(self) -> None:
        """Nothing is known any more of alerts that were raised before."""
        self._alerts.forget()

    def end_alert(self, slot: int, cause: EndCause, entry: int, t_ns: int, epoch: int) -> AlertEvent | None:
        """The end of a device's alert that no score ended, None where none stands."""
        if not self.evidence.is_standing(slot):
            return None
        self.evidence.pull(slot, "end")
        return self._alerts.ended(slot, cause, entry, t_ns, epoch)

    def handle(
        self, slot: int, trigger: Trigger | None, step: HandledStep, t_ns: int, epoch: int, quality: Quality
    ) -> AlertEvent:
        """What a person does with the standing alert of a slot, None for what leaves its state as it is.

        t_ns, epoch, quality  of the device's newest row
        """
        if trigger is None:
            self.evidence.step(slot)
        else:
            self.evidence.pull(slot, trigger)
        return self._alerts.handled(slot, step, t_ns, epoch, quality)
