"""Heads side by side: a device is warned of by the one that raises first."""

from agent.score.early_warning import ObservedDevice, Spell, measure
from bench.heads import together


def test_both_heads_together_warn_when_the_first_of_them_does():
    risk = [ObservedDevice("p1", 0, 100, 100, (Spell(90),)), ObservedDevice("p2", 0, 100, 100, ())]
    anomaly = [ObservedDevice("p1", 0, 100, 100, (Spell(70),)), ObservedDevice("p2", 0, 100, 100, (Spell(80),))]
    leads = [measure(fleet, h_max_s=50, h_min_s=5).strict for fleet in (risk, anomaly, together([risk, anomaly]))]
    assert [(one.detected, one.mean_lead_s) for one in leads] == [(1, 5), (2, 25), (2, 25)]
