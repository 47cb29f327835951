"""The table of interventions is always whole, and has a bound."""

import csv

import pytest

from agent.record import labels
from agent.record.labels import Labels
from agent.words import InterventionLabel

LABEL = InterventionLabel("press", "p1", 1_795_824_000_123_456_789, "repaired", 7)


def rows(folder) -> list[list[str]]:
    return list(csv.reader((folder / "interventions.csv").read_text().splitlines()))


def test_times_are_exact_and_cycles_are_numbers(tmp_path):
    one = Labels(tmp_path, frozenset({"mill"}))
    one.hear([LABEL, LABEL._replace(source="mill", device='a,"b', t_ns=12 * 10**9)], lambda _, device: device)
    one.flush()
    Labels(tmp_path, frozenset()).flush()
    assert rows(tmp_path) == [
        ["device", "t", "kind", "source"],
        ["p1", "2026-11-28T00:00:00.123456789Z", "repaired", "press"],
        ['a,"b', "12", "repaired", "mill"],
    ]


def test_a_full_table_stays_and_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "BYTES_MAX", 80)
    one = Labels(tmp_path, frozenset())
    one.hear([LABEL], lambda _, device: device)
    one.flush()
    one.hear([LABEL], lambda _, device: device)
    with pytest.raises(OSError, match="move it elsewhere"):
        one.flush()
    (tmp_path / "interventions.csv").rename(tmp_path / "old.csv")
    one.flush()
    assert len(rows(tmp_path)) == 2
    assert one.n_written == 2
