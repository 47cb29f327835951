"""One model at work: which rows it steps, what it says of them, and what the judge makes of that."""

from collections.abc import Sequence

import numpy as np

from agent.bundle.heads import judged_heads
from agent.bundle.label import label_of
from agent.core.model import Model
from agent.core.scores import no_scores, selected
from agent.devices.rows import Rows
from agent.devices.slots import Slots
from agent.drops import Drops
from agent.judge.events import AlertEvents, EndCause
from agent.judge.evidence import Evidence, judge
from agent.step.quality import QualityRule
from agent.step.state import States
from agent.step.steady import Steady
from agent.words import AlertEvent, Bool, Float32, Int64, Scores

NOT_FINITE = "with this row a number of the model's state became infinite or not a number"


class Predictor:
    """A model, its states and its evidence; `sources` are the names of the core's."""

    def __init__(self, model: Model, sources: Sequence[str], slots: Slots, batch_max: int) -> None:
        manifest, n_sources = model.bundle.manifest, len(sources)
        self.model = model
        self.groups = tuple(f"model/{model.name}/{group}" for group in ("state", "evidence", "steady"))
        self.states = States(manifest, slots, self.groups[0])
        self.evidence = slots.register(self.groups[1], Evidence)
        self.steady = Steady(manifest, slots, self.groups[2])
        self.label = label_of(manifest, model.bundle.digest)
        self.unit = "cycles" if manifest.time_unit == "cycle" else "s"
        (self._head, self._judged), *_ = judged_heads(manifest).items()
        self._alerts = AlertEvents(model.name, self._head, self.label, sources, slots, self.evidence)
        self.nothing = no_scores(model.name, manifest)
        self._quality_rule = QualityRule(manifest)
        self._max_batch = batch_max
        self._reads = np.asarray(np.isin(np.arange(n_sources), model.sources))
        self._reads_all = bool(self._reads.all())
        self._channels = np.zeros((n_sources, manifest.n_channels), np.int64)
        for source, channels in zip(model.sources, model.channels, strict=True):
            self._channels[source] = channels
        self._takes_x_whole = all(one == tuple(range(manifest.n_channels)) for one in model.channels)

    def reads_source(self, source: int) -> bool:
        return bool(self._reads[source])

    def reads(self, rows: Rows) -> Bool | None:
        """Which rows are for this model, bool [b]; None for all of them.

        A row in which none of its channels has a value is none for it: it is another model's of the same source.
        """
        own = None if self._reads_all else self._reads[rows.source]
        if self._takes_x_whole:
            return own
        has_any = np.asarray(~np.isnan(self._x(rows)).all(axis=1))
        return has_any if own is None else has_any & own

    def step(self, rows: Rows, epochs: Int64, drops: list[Drops]) -> tuple[Scores, list[AlertEvent], Bool]:
        """Step the rows of distinct devices that this model reads; epochs int64 [capacity] of all clocks.

        Returns scores, alert events, and which rows were too fast for it, bool [b]: those it did not take.
        """
        pace = self.states.pace(rows)
        too_fast, dt, is_lost, is_gap = pace.too_fast, pace.dt, pace.is_lost, pace.is_gap
        if np.count_nonzero(too_fast):
            taken = ~too_fast
            rows, dt, is_lost, is_gap = rows.only(taken), dt[taken], is_lost[taken], is_gap[taken]
        if len(rows) == 0:
            return self.nothing, [], too_fast
        slots, columns = rows.slot, self.states.columns
        self.states.prepare(slots, dt, is_lost)
        x = self._x(rows)
        outputs, sound = self.states.step(self.model.engine, slots, x, dt, self._max_batch)
        is_gap = is_gap | columns.history_lost[slots]
        runs = self.steady.read(slots, rows.t_ns, x, is_lost)
        self._say_stuck(rows, runs.became_stuck, drops)
        of_state = columns.rows[slots], columns.is_new[slots]
        quality = self._quality_rule.quality(x, *of_state, is_gap, runs.is_stuck, runs.is_absent)
        self.states.stepped(rows, quality, sound)
        scores = Scores(self.model.name, rows.entry, rows.source, rows.device, rows.t_ns, quality, outputs)
        if np.count_nonzero(sound) < len(sound):  # a device that the model cannot follow starts again, the others go on
            drops.append(rows.dropped(~sound, "not_finite", lambda: NOT_FINITE))
            scores, slots = selected(scores, np.flatnonzero(sound)), slots[sound]
        return scores, self._judge(scores, slots, epochs), too_fast

    def too_fast(self, rows: Rows, which: Bool) -> Drops:
        """Rows that no model took, bool [b], by this one's account."""
        span_s = (rows.t_ns - self.states.columns.paced_ns[rows.slot]) / 1e9
        every = f"{self.model.bundle.manifest.cadence.every_s:g} {self.unit}"
        text = f"{{:g}} {self.unit} after the row before it; this bundle steps a row each {every}"
        return rows.dropped(which, "too_fast", text.format, span_s)

    def _say_stuck(self, rows: Rows, channel: Int64, drops: list[Drops]) -> None:
        """Name the channel, int64 [b], that stands still for too long from a row on; -1 for none."""
        becomes = channel >= 0
        if np.count_nonzero(becomes):
            names = self.model.bundle.manifest.channels
            text = "{} has stood still for more than three times as long as in training".format
            drops.append(rows.dropped(becomes, "stuck", lambda column: text(names[column].name), channel))

    def adopt(self, slot: int, event: AlertEvent) -> None:
        """An alert of this model stands; `event` is its newest one in the alert table."""
        self.evidence.stand(slot, event)
        self._alerts.adopt(slot, event)

    def forget_alerts(self) -> None:
        """Alerts are taken from the table anew; evidence starts empty."""
        self.evidence.reset()
        self._alerts.forget()

    def forget_adopted(self) -> None:
        """Nothing is known any more of alerts that were raised before."""
        self._alerts.forget()

    def forget(self) -> None:
        """States and evidence of another bundle say nothing to this one."""
        self.states.forget()
        self.steady.forget()
        self.evidence.reset()

    def end_alert(self, slot: int, cause: EndCause, entry: int, t_ns: int, epoch: int) -> AlertEvent | None:
        """The end of a device's alert that no score ended, None where none stands."""
        if not self.evidence.is_standing(slot):
            return None
        self.evidence.end(slot)
        return self._alerts.ended(slot, cause, entry, t_ns, epoch)

    def begin_new_lives(self, slots: Int64) -> None:
        """These devices are others from now on: nothing counts for them yet."""
        self.states.forget_pace(slots)
        self.steady.start_again(slots)
        for slot in slots.tolist():
            self.evidence.clear(slot)

    def _x(self, rows: Rows) -> Float32:
        """float32 [b, F] in the model's channels."""
        if self._takes_x_whole and rows.x.shape[1] == self._channels.shape[1]:
            return rows.x
        return np.take_along_axis(rows.x, self._channels[rows.source], axis=1)

    def _judge(self, scores: Scores, slots: Int64, epochs: Int64) -> list[AlertEvent]:
        policy, output = self.model.bundle.manifest.judging[self._head].policy, scores.outputs[self._head]
        threshold = self.model.thresholds[self._head]
        value, level = self._judged.value(output, policy), self._judged.level(output, policy, threshold)
        verdict = judge(self.evidence, slots, scores.t_ns, scores.quality, value, level, threshold, policy)
        if not len(verdict.rows):
            return []
        epoch = epochs[slots]
        self.evidence.raised_in(slots[verdict.raised], epoch[verdict.raised])
        return list(self._alerts.decided(verdict, scores, slots, epoch))
