"""One model at work: which rows it steps, what it says of them, and what the judge makes of that."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from agent.bundle.head_learned import is_unusual
from agent.bundle.label import label_of
from agent.core.handling import Handling
from agent.core.judged_head import JudgedHead
from agent.core.model import Model
from agent.core.scores import concatenated, no_scores, selected, unstepped
from agent.core.view import ModelView
from agent.devices.rows import Rows
from agent.devices.slots import GONE, Slots
from agent.drops import Drops
from agent.judge.events import EndCause
from agent.judge.lifecycle import AlertRules
from agent.step.learning import Learning
from agent.step.quality import QualityRule
from agent.step.state import States
from agent.step.steady import Steady
from agent.step.stops import Stops, says_something
from agent.words import AlertEvent, AlertKey, Bool, Float32, Int64, Quality, Scores

NOT_FINITE = "with this row a number of the model's state became infinite or not a number"


class Predictor:
    """A model, its states and its evidence; `sources` are the names of the core's."""

    def __init__(
        self,
        model: Model,
        sources: Sequence[str],
        slots: Slots,
        batch_max: int,
        handling: Handling,
        rules: AlertRules,
    ) -> None:
        manifest, n_sources = model.bundle.manifest, len(sources)
        self.model = model
        state, steady, learning, stops = (
            f"model/{model.name}/{group}" for group in ("state", "steady", "learning", "stops")
        )
        self.label = label_of(manifest, model.bundle.digest)
        self.states = States(manifest, slots, state)
        self.heads: dict[str, JudgedHead] = {
            head: JudgedHead(model, head, self.label, sources, slots, handling, rules) for head in manifest.judging
        }
        self.steady = Steady(manifest, slots, steady)
        self.learning = Learning(slots, learning) if manifest.anomaly is not None else None
        self.stops = Stops(manifest.runs, slots, stops) if manifest.runs is not None else None
        of_heads = [one.group for one in self.heads.values()]
        self.groups = (
            state,
            *of_heads,
            steady,
            *([learning] if self.learning else []),
            *([stops] if self.stops else []),
        )
        self.unit = "cycles" if manifest.time_unit == "cycle" else "s"
        self.nothing = no_scores(model.name, manifest)
        self._quality_rule = QualityRule(manifest)
        self._max_batch = batch_max
        self._reads = np.asarray(np.isin(np.arange(n_sources), model.sources))
        self._reads_all = bool(self._reads.all())
        self._inputs = np.zeros((n_sources, len(manifest.inputs)), np.int64)
        for source, channels in zip(model.sources, model.channels, strict=True):
            self._inputs[source] = channels
        self._channels = self._inputs[:, : manifest.n_channels]
        names = [channel.name for channel in manifest.inputs]
        self._running = names.index(manifest.runs.channel.name) if manifest.runs is not None else -1
        self._counts = np.array([channel.event for channel in manifest.channels])  # events: none of them is 0
        self._has_counts = bool(self._counts.any())
        self._takes_x_whole = all(one == tuple(range(len(manifest.inputs))) for one in model.channels)

    def view(self, source: Int64, used: Int64) -> ModelView:
        """What it knows of the devices in the slots int64 [n] `used`, whose sources are int64 [n] `source`."""
        nobody, learning = np.zeros(len(used), np.bool_), self.learning
        return ModelView(
            name=self.model.name,
            reads=(source == GONE) | np.isin(source, self.model.sources),
            quality=self.states.columns.quality[used],
            states={name: head.evidence.alert_state[used] for name, head in self.heads.items()},
            learns=nobody if learning is None else learning.columns.learning_rows[used] > 0,
            is_unusual=nobody if learning is None else learning.columns.is_unusual[used],
        )

    def standing(self) -> Iterator[tuple[AlertKey, str]]:
        """Key and id of each alert of its heads that stands."""
        for head in self.heads.values():
            yield from head.standing()

    def reads_source(self, source: int) -> bool:
        return bool(self._reads[source])

    def reads(self, rows: Rows) -> Bool | None:
        """Which rows are for this model, bool [b]; None for all of them.

        A row in which none of what it reads has a value is none for it: it is another model's of the same source.
        """
        own = None if self._reads_all else self._reads[rows.source]
        if self._takes_x_whole:
            return own
        has_any = np.asarray(~np.isnan(self._read(rows, self._inputs)).all(axis=1))
        return has_any if own is None else has_any & own

    def step(self, rows: Rows, epochs: Int64, drops: list[Drops]) -> tuple[Scores, list[AlertEvent], Bool]:
        """Step the rows of distinct devices that this model reads; epochs int64 [capacity] of all clocks.

        Returns scores, alert events, and which rows were too fast for it, bool [b]: those it did not take.
        """
        if self.stops is None:
            return self._step(rows, epochs, drops)
        value = np.take_along_axis(rows.x, self._inputs[rows.source, self._running][:, None], axis=1)[:, 0]
        is_stopped = self.stops.read(rows.slot, rows.t_ns, value)
        left_out = is_stopped | ~says_something(self._x(rows), self._counts)
        if not np.count_nonzero(left_out):
            return self._step(rows, epochs, drops)
        self._say_stopped(rows, value, is_stopped, drops)
        self.states.stood(rows.only(is_stopped))
        scores, alerts, too_fast_of_steps = self._step(rows.only(~left_out), epochs, drops)
        too_fast = np.zeros(len(rows), np.bool_)
        too_fast[~left_out] = too_fast_of_steps
        quality = np.where(is_stopped, np.uint8(Quality.STOPPED), np.uint8(Quality.OUT_OF_DOMAIN))[left_out]
        return concatenated([scores, unstepped(self.nothing, rows.only(left_out), quality)]), alerts, too_fast

    def _step(self, rows: Rows, epochs: Int64, drops: list[Drops]) -> tuple[Scores, list[AlertEvent], Bool]:
        """The same for rows of machines that run."""
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
        if self._has_counts:
            x = np.where(np.isnan(x) & self._counts, np.float32(0), x)
        outputs, sound = self.states.step(self.model.engine, slots, x, dt, self._max_batch)
        is_gap = is_gap | columns.history_lost[slots]
        runs = self.steady.read(slots, rows.t_ns, x, is_lost)
        self._say_stuck(rows, runs.became_stuck, drops)
        of_state = columns.rows[slots], columns.is_new[slots]
        quality = self._quality_rule.quality(x, *of_state, is_gap, runs.is_stuck, runs.is_absent)
        quality[self._is_silent(outputs)] = Quality.WARMING_UP
        scores = Scores(self.model.name, rows.entry, rows.source, rows.device, rows.t_ns, quality, outputs)
        self.states.stepped(rows, quality, sound)
        if self.learning is not None:
            unusual = is_unusual(outputs["learned"]) & sound
            becomes = self.learning.read(slots, outputs["anomaly"][:, 0], unusual)
            self._say_unusual(rows, outputs["learned"][:, 0], becomes, drops)
        if np.count_nonzero(sound) < len(sound):  # a device that the model cannot follow starts again, the others go on
            drops.append(rows.dropped(~sound, "not_finite", lambda: NOT_FINITE))
            scores, slots = selected(scores, np.flatnonzero(sound)), slots[sound]
        alerts = [event for head in self.heads.values() for event in head.judge(scores, slots, epochs)]
        return scores, alerts, too_fast

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

    def _say_stopped(self, rows: Rows, value: Float32, which: Bool, drops: list[Drops]) -> None:
        """Name the rows, bool [b], of machines that stand or have just started."""
        runs = self.model.bundle.manifest.runs
        if runs is not None and np.count_nonzero(which):
            text = f"{runs.channel.name} is {{:g}}; it is above {runs.above:g} for {runs.after_s:g} {self.unit}".format
            drops.append(rows.dropped(which, "stopped", text, value))

    def _say_unusual(self, rows: Rows, learned: Float32, becomes: Bool, drops: list[Drops]) -> None:
        """Name the devices, bool [b], whose own normal was learnt from unusual rows."""
        if np.count_nonzero(becomes):
            text = "its normal is {:.3g} times as far from that of the training devices as their farthest 1 %".format
            drops.append(rows.dropped(becomes, "unusual_normal", text, learned))

    def _is_silent(self, outputs: Mapping[str, Float32]) -> Bool | slice:
        """Rows, bool [b], of which no head says anything: these devices warm up, whatever else is the matter."""
        is_ready = [ready for head in self.heads.values() if (ready := head.is_ready(outputs)) is not None]
        return ~np.logical_or.reduce(is_ready) if len(is_ready) == len(self.heads) else slice(0)

    def lose_history(self, which: Int64 | Bool) -> None:
        """Rows of these devices may have been missed: slots int64 [b], or bool [capacity]."""
        self.states.lose_history(which)
        if self.stops is not None:
            self.stops.lose_history(which)
        for head in self.heads.values():
            head.evidence.lose_history(which)

    def fall_behind(self, which: Bool) -> None:
        """Rows may have been stepped after the snapshot that the states are from, bool [capacity]."""
        self.states.fall_behind(which)
        if self.stops is not None:
            self.stops.lose_history(which)

    def start_again(self, slots: Int64, *, keeps_learnt: bool = False) -> None:
        """The states of these devices say nothing any more; see `States.start_again`."""
        self.states.start_again(slots, keeps_learnt=keeps_learnt)
        if self.stops is not None:
            self.stops.start_again(slots)

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies by_ns int64 [b] later."""
        self.states.move(slots, by_ns)
        self.steady.move(slots, by_ns)
        if self.stops is not None:
            self.stops.move(slots, by_ns)
        for head in self.heads.values():
            head.evidence.interrupt_clearing(slots)

    def forget_alerts(self) -> None:
        """Alerts are taken from the table anew; evidence starts empty."""
        for head in self.heads.values():
            head.forget_alerts()

    def forget_adopted(self) -> None:
        """Nothing is known any more of alerts that were raised before."""
        for head in self.heads.values():
            head.forget_adopted()

    def forget(self) -> None:
        """States and evidence of another bundle say nothing to this one."""
        self.states.forget()
        self.steady.forget()
        if self.learning is not None:
            self.learning.forget()
        if self.stops is not None:
            self.stops.forget()
        for head in self.heads.values():
            head.evidence.reset()

    def end_alerts(self, slot: int, cause: EndCause, entry: int, t_ns: int, epoch: int) -> list[AlertEvent]:
        """The ends of a device's alerts that no score ended."""
        ends = [head.end_alert(slot, cause, entry, t_ns, epoch) for head in self.heads.values()]
        return [event for event in ends if event is not None]

    def forget_evidence(self, slots: Int64) -> None:
        """Nothing that was seen of these devices counts any more."""
        self.steady.start_again(slots)
        for head in self.heads.values():
            for slot in slots.tolist():
                head.evidence.clear(slot)

    def begin_new_lives(self, slots: Int64) -> None:
        """These devices are others from now on: nothing counts for them yet."""
        self.states.forget_pace(slots)
        self.forget_evidence(slots)

    def _x(self, rows: Rows) -> Float32:
        """float32 [b, F] in the model's channels."""
        return self._read(rows, self._channels)

    def _read(self, rows: Rows, columns: Int64) -> Float32:
        """float32 [b, n]: those columns, int64 [sources, n], of rows x [b, ...] of each source."""
        if self._takes_x_whole and rows.x.shape[1] == columns.shape[1]:
            return rows.x
        return np.take_along_axis(rows.x, columns[rows.source], axis=1)
