"""Replays as `forewarn replay` makes them, without files."""

from collections.abc import Mapping, Sequence

from agent.bundle.file import Bundle
from agent.config.plan import judged_heads
from agent.config.settings import Model
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream
from agent.replay.options import Budgets, model_for
from agent.replay.recorded import Recorded
from agent.replay.result import Replay, Truth, assess
from agent.score.early_warning import Float64


def model_at(bundle: Bundle, budget: str) -> Model:
    """The bundle in a configuration, for one device."""
    return model_for(Budgets(budget), bundle.manifest, bundle=bundle.path, n_devices=1)


def replay_of(
    bundle: Bundle,
    recorded: Sequence[Recorded],
    t_fail_s: Mapping[str, float | None],
    budgets: Budgets,
    faults: Mapping[str, Float64] | None = None,
) -> Replay:
    """Inline, each head at its own threshold."""
    model = model_for(budgets, bundle.manifest, bundle=bundle.path, n_devices=len(recorded))
    judged = judged_heads(model, bundle.manifest)
    rows = stream(recorded, source_for(bundle.manifest, "rig/{device}/cycle"))
    played = play_inline(bundle, bundle.model, rows, {head: one.chosen.threshold for head, one in judged.items()})
    return assess(bundle, "inline", judged, played, Truth(t_fail_s, faults))
