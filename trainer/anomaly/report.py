"""What report.json tells of the `anomaly` head."""

from agent.bundle.file import Bundle
from agent.judge.threshold import choose, default_budget, parse_budget
from trainer.anomaly.calibrate import since_learnt
from trainer.anomaly.learn import Learnt
from trainer.config import Config
from trainer.data.split import Parts
from trainer.evaluation.judge_rules import anomaly_rules
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import judged_scores, table_at


def anomaly_report(bundle: Bundle, head: Learnt, parts: Parts, config: Config) -> dict[str, object]:
    """The part of report.json: charts, what the net foresees, and the alerts of the held-out devices."""
    assert bundle.manifest.anomaly is not None
    return {
        "charts": bundle.manifest.anomaly.charts,
        "learning_rows": bundle.manifest.anomaly.learning_rows,
        "choice": head.choice.why,
        "skills": {f"{residual} {ahead}": skill for (residual, ahead), skill in head.choice.skills.items()},
        "thresholds": bundle.manifest.anomaly.thresholds,
        "losses": head.losses,
        "held_out": held_out(bundle, parts, config),
    }


def held_out(bundle: Bundle, parts: Parts, config: Config) -> dict[str, object]:
    """Alerts on devices that nothing was fitted on, at the threshold of the default budget."""
    assert bundle.manifest.anomaly is not None
    chosen = choose(
        bundle.manifest.anomaly.thresholds, parse_budget(default_budget(bundle.manifest.time_unit), fleet_size=0)
    )
    played, rules = play(bundle, bundle.model, parts.play, NEVER), anomaly_rules(config)
    pairs = [
        since_learnt(history, judged_scores(one, "anomaly", rules.policy))
        for history, one in zip(parts.play, played, strict=True)
    ]
    kept = [(history, scores) for history, scores in pairs if len(scores)]
    if not kept:
        return {"devices": 0}
    table = table_at([chosen.threshold], [scores for _, scores in kept], [history for history, _ in kept], rules)
    row = table.rows[0]
    return {
        "devices": len(kept),
        "threshold": chosen.threshold,
        "exposure_s": table.exposure_s,
        "false_alarms": row.false_alarms,
        "failures": table.failures,
        "detected": row.detected,
        "mean_lead_s": row.mean_lead_s,
    }
