"""How the judge of the bundle that a configuration will make goes from scores to alerts, while there is none yet."""

from agent.bundle.manifest import JudgePolicy
from trainer.config import Config
from trainer.evaluation.threshold_sweep import Rules


def rules_of_config(config: Config) -> Rules:
    """The rules of its `risk`."""
    judge = config.judge
    return Rules(policy_of(config), config.model.cadence, judge.h_max, judge.h_min, judge.thresholds)


def policy_of(config: Config) -> JudgePolicy:
    """From risks to alerts."""
    judge = config.judge
    return JudgePolicy(
        horizon=config.risk.horizons.index(judge.horizon),
        m=judge.m,
        n=judge.n,
        clear_ratio=judge.clear_ratio,
        clear_after_s=judge.clear_after,
        severity_risk=judge.severity_risk,
    )


def anomaly_policy(config: Config) -> JudgePolicy:
    """From anomalies to alerts; horizons and risks mean nothing there."""
    keys = config.anomaly
    return JudgePolicy(0, keys.m, keys.n, keys.clear_ratio, config.anomaly_clear_after, severity_risk=1.0)


def anomaly_rules(config: Config) -> Rules:
    """The rules of its `anomaly`."""
    keys = config.anomaly
    return Rules(
        anomaly_policy(config), config.model.cadence, config.anomaly_h_max, config.judge.h_min, keys.thresholds
    )
