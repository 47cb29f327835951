"""`forewarn record` at its start: what it refuses, and what to do then."""

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.record import command
from tests.configurations import SOURCE, write_configuration

CHANNELS = 'channels = { temp = "temp" }\n'


def run(folder, *options: str, text: str = SOURCE + CHANNELS) -> Result:
    path = write_configuration(folder, text)
    return CliRunner().invoke(main, ["record", "--config", str(path), "--out", str(folder / "out"), *options], env={})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--for", "5"], "--for: must be a duration"),
        (["--flush-every", "0s"], "--flush-every: must be from 1s to 1h"),
        (["--size-max", "much"], "--size-max: must be a size"),
        (["--source", "prss"], "--source: 'prss' is no source that has devices of its own; nearest 'press'"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_made(tmp_path, options, told):
    result = run(tmp_path, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_configuration_with_a_problem_is_refused(tmp_path):
    result = run(tmp_path, text=SOURCE + 'chanels = { temp = "temp" }\n')
    assert result.exit_code == 2
    assert "chanels" in result.stderr


def test_without_polars_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "pip install 'forewarn[tables]'" in result.stderr


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "press").write_text("a file")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path}/out/press: File exists" in result.stderr
    assert "--out" in result.stderr


def test_sources_without_a_channel_are_nothing_to_record(tmp_path):
    result = run(tmp_path, text=SOURCE)
    assert result.exit_code == 2
    assert "no source has a channel" in result.stderr
