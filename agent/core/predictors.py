"""All models at work: what they do with the same rows, and what several of them must do at once."""

import numpy as np

from agent.core.predictor import Predictor
from agent.devices.rows import Rows
from agent.drops import Drops
from agent.judge.events import EndCause
from agent.words import AlertEvent, AlertKey, Bool, Int64, Quality, Scores


class Predictors(list[Predictor]):
    """The models in the order of the configuration."""

    def step(self, rows: Rows, epochs: Int64, drops: list[Drops]) -> tuple[list[Scores], list[AlertEvent], Bool]:
        """Step rows of distinct devices; epochs int64 [capacity] of all clocks.

        Returns scores, one a model, alert events, and which rows a model took, bool [b]: all where there is no model.
        """
        is_left = np.full(len(rows), bool(self))  # no model took it yet
        parts, too_fast_of = [], []
        alerts: list[AlertEvent] = []
        for predictor in self:
            own = predictor.reads(rows)
            scores, events, too_fast = predictor.step(rows if own is None else rows.only(own), epochs, drops)
            if own is not None:
                too_fast = _spread(too_fast, own)
                is_left &= too_fast | ~own
            else:
                is_left &= too_fast
            parts.append(scores)
            too_fast_of.append(too_fast)
            alerts += events
        is_taken = ~is_left
        if np.count_nonzero(is_left):
            for predictor, too_fast in zip(self, too_fast_of, strict=True):
                unnamed = is_left & too_fast
                if np.count_nonzero(unnamed):
                    drops.append(predictor.too_fast(rows, unnamed))
                    is_left &= ~unnamed
        return parts, alerts, is_taken

    def stand(self, capacity: int) -> Bool:
        """bool [capacity]: whose machine stands, by what the newest row of it says to some model."""
        stand = np.zeros(capacity, np.bool_)
        for predictor in self:
            if predictor.stops is not None:
                stand |= predictor.stops.stand
        return stand

    def proven(self, capacity: int) -> Bool:
        """bool [capacity]: the newest row of the device was `ok` to some model, or an alert of it stands."""
        proven = np.zeros(capacity, np.bool_)
        for predictor in self:
            proven |= predictor.states.columns.quality == Quality.OK
            for head in predictor.heads.values():
                proven |= head.evidence.alert_state > 0
        return proven

    def stale(self, capacity: int) -> Bool:
        """bool [capacity]: every model says that the device is stale; nobody is where there is no model."""
        stale = np.full(capacity, bool(self))
        for predictor in self:
            stale &= predictor.states.columns.quality == Quality.STALE
        return stale

    def standing(self) -> dict[AlertKey, str]:
        """The id of each alert that stands."""
        return {key: alert for predictor in self for key, alert in predictor.standing()}

    def end_alerts(self, slot: int, cause: EndCause, entry: int, t_ns: int, epoch: int) -> list[AlertEvent]:
        """The ends of a device's alerts that no score ended."""
        return [event for predictor in self for event in predictor.end_alerts(slot, cause, entry, t_ns, epoch)]

    def start_again(self, slots: Int64, *, keeps_learnt: bool = False) -> None:
        """The states of these devices say nothing any more; see `States.start_again`."""
        for predictor in self:
            predictor.start_again(slots, keeps_learnt=keeps_learnt)

    def lose_history(self, slots: Int64 | Bool) -> None:
        """Rows of these devices may have been missed: slots int64 [b], or bool [capacity]."""
        for predictor in self:
            predictor.lose_history(slots)

    def fall_behind(self, is_known: Bool) -> None:
        """Rows of these devices, bool [capacity], may have been stepped that the states do not have."""
        for predictor in self:
            predictor.fall_behind(is_known)

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies by_ns int64 [b] later."""
        for predictor in self:
            predictor.move(slots, by_ns)
        self.lose_history(slots)

    def begin_new_lives(self, slots: Int64) -> None:
        """The counters of these devices have started again: they are others, of unknown age."""
        self.start_again(slots)
        for predictor in self:
            predictor.begin_new_lives(slots)


def _spread(values: Bool, which: Bool) -> Bool:
    """bool [b]: `values` where bool [b] `which` holds, in its order, and False elsewhere."""
    spread = np.zeros(len(which), np.bool_)
    spread[which] = values
    return spread
