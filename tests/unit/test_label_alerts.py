"""`forewarn alerts`, `alerts label` and `alerts export` are told alike where the alerts are."""

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.judge import silence
from agent.store.outbox import Outbox
from tests.alert_events import CYCLES, event
from tests.configurations import SOURCE, VALID, write_configuration


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, args)])


@pytest.fixture
def places(tmp_path):
    """A configuration whose state directory has an alert, and another directory that has one."""
    config = write_configuration(tmp_path, VALID + SOURCE + "\n[commands]\nlabels = true\n")
    for name in ("state", "elsewhere"):
        (tmp_path / name).mkdir()
        Outbox(tmp_path / name / "alerts.db", 100).commit([event("raised", f"of-{name}", t=57.0)])
    return {"--config": config}, {"--state-dir": tmp_path / "elsewhere"}, tmp_path


def options(*pairs: dict) -> list[object]:
    return [part for pair in pairs for option in pair.items() for part in option]


def test_each_takes_the_configuration_or_the_directory(places):
    config, elsewhere, folder = places
    table = folder / "labels.csv"
    for named, expected in ((config, "of-state"), (elsewhere, "of-elsewhere"), (config | elsewhere, "of-elsewhere")):
        listed = run(*options(named))
        assert listed.exit_code == 0, listed.output
        assert listed.stdout.split()[-1] == expected
        for before, after in ((named, {}), ({}, named)):
            assert run(*options(before), "export", "--labels", table, *options(after)).exit_code == 0
            assert table.read_text().splitlines()[1].startswith(expected)
    assert run(*options(elsewhere), "export", "--labels", table, *options(config)).exit_code == 0
    assert table.read_text().splitlines()[1].startswith("of-elsewhere"), "a directory is what a configuration is not"


def test_a_label_is_for_an_alert_of_the_directory(places):
    config, elsewhere, folder = places
    for named, where in ((config, "state"), (config | elsewhere, "elsewhere")):
        refused = run("label", "abc", "bad", *options(named))
        assert refused.exit_code == 1
        assert f"{folder / where}/alerts.db: alert 'abc'" in refused.stderr


def test_silence_is_listed_in_words_and_no_label_for_the_trainer(tmp_path):
    of_all, of_one = (silence.raised("press", name, 7, 10**18, 612 * 10**9, 600 * 10**9) for name in ("", "p7"))
    Outbox(tmp_path / "alerts.db", 100).commit([of_all, of_one])
    first, second = run("--state-dir", tmp_path).stdout.splitlines()
    said = "press        silent for 612 s, more than 600 s  since 2001-09-09T01:46:40+00:00  "
    assert first == f"{'major':<9}{'all of its devices':<24} {said}{of_all.alert}"
    assert second == f"{'warning':<9}{'p7':<24} {said}{of_one.alert}"
    assert run("--state-dir", tmp_path, "export", "--labels", tmp_path / "labels.csv").exit_code == 0
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 1


def test_channels_whose_share_rounds_to_nothing_are_left_out(tmp_path):
    label = msgspec.structs.replace(CYCLES, channels=("oil", "temp", "load"))
    outputs = {"anomaly": (2.5,), "contribution": (0.9951, 0.0049, 0.0)}
    raised = msgspec.structs.replace(
        event("raised", "ab12", t=57.0, device="p7", bundle=label), head="anomaly", outputs=outputs
    )
    Outbox(tmp_path / "alerts.db", 100).commit([raised])
    shown = run("--state-dir", tmp_path).stdout
    assert "anomaly 2.5 by oil 1.00  since" in shown


def test_the_table_may_go_to_standard_output(tmp_path):
    Outbox(tmp_path / "alerts.db", 100).commit([event("raised", "ab12", t=57.0, device="p7")])
    done = run("--state-dir", tmp_path, "export", "--labels", "-")
    assert (done.exit_code, [line.split(",")[0] for line in done.stdout.splitlines()]) == (0, ["alert", "ab12"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shelve", "of-state"), "Missing option '--for'"),
        (("shelve", "of-state", "--for", "0s"), "no time at all"),
        (("shelve", "", "--for", "8h"), "is empty"),
        (("shelve", "of-state", "--for", "8h", "--note", "\udcff"), "is not UTF-8"),
        (("acknowledge", "of-state"), 'alerts = ["shelve", "acknowledge"] under [commands]'),
    ],
)
def test_a_command_that_cannot_work_is_refused_before_it_is_sent(tmp_path, arguments, says):
    config = write_configuration(tmp_path, VALID + SOURCE + '\n[commands]\nalerts = ["shelve"]\n')
    (tmp_path / "state").mkdir()
    Outbox(tmp_path / "state" / "alerts.db", 100).commit([event("raised", "of-state", t=57.0)])
    done = run(*arguments, "--config", config)
    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr
