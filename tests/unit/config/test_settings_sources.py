"""Settings come from files, environment and $CREDENTIALS_DIRECTORY, and from nowhere else; no secret is a setting."""

from pathlib import Path

import pytest

from agent.config.load import load, problems
from agent.config.settings import Settings
from tests.configurations import SOURCE, VALID, write_configuration

DURATION = 'a duration such as "250ms", "30s", "2m", "1h" or "30d"'
PLAIN = {
    "model": [{"bundle": Path("a.fwb")}],
    "source": [{"name": "press", "topic": "plant/{device}"}],
}


def told(path, environ: dict[str, str]) -> list[str]:
    return [str(problem).replace(f"{path.parent}/", "") for problem in problems(path, environ)]


def test_settings_of_their_arguments_are_those_alone(tmp_path, monkeypatch):
    """Nor does a .env file of the working folder count, for those that are read either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREWARN_BROKER__PORT", "1")
    (tmp_path / ".env").write_text("FOREWARN_BROKER__PORT=2\n")
    assert Settings.model_validate(PLAIN).broker.port == 1883
    assert load(write_configuration(tmp_path), {}).broker.port == 1883


def test_the_environment_adds_to_a_table_of_the_files_and_makes_one_that_is_not_there(tmp_path):
    text = VALID + '[broker]\nhost = "in"\nport = 2\n' + SOURCE
    loaded = load(write_configuration(tmp_path, text), {"FOREWARN_BROKER__PORT": "3", "FOREWARN_OUTPUT__HOST": "out"})
    assert (loaded.broker.host, loaded.broker.port) == ("in", 3)
    assert loaded.output is not None
    assert (loaded.output.host, loaded.output.port) == ("out", 1883)


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("FOREWARN_AGENT__STALE_AFTER", "7200", f"agent.stale_after: must be {DURATION}, not '7200'"),
        ("FOREWARN_AGENT__STALE_AFTER", "PT2H", f"agent.stale_after: must be {DURATION}, not 'PT2H'"),
        ("FOREWARN_BROKER__TLS", "yes", "broker.tls: must be true or false, not 'yes'"),
        ("FOREWARN_BROKER__PORT", "1.0", "broker.port: must be a whole number, not 1.0"),
        ("FOREWARN_BROKER__PORT", "1\nport = 2", "broker.port: must be a whole number, not '1\\nport = 2'"),
        ("FOREWARN_BROKER__PORT", "[" * 5000, f"broker.port: must be a whole number, not '{'[' * 59}..."),
        ("FOREWARN_BROKER__HOST", "", "broker.host: string must have at least 1 character, not ''"),
    ],
)  # fmt: skip
def test_a_value_of_the_environment_is_what_it_would_be_in_a_file(tmp_path, variable, text, problem):
    """And its problem names the variable."""
    assert told(write_configuration(tmp_path), {variable: text}) == [f"environment {variable}: {problem}"]


def test_a_table_in_one_variable_is_not_ours(tmp_path):
    """A service named `forewarn-broker` gives every container of its cluster such variables."""
    environ = {"FOREWARN_BROKER": '{"port": 3}', "FOREWARN_MODEL": "[]", "FOREWARN_SOURCE": "x"}
    assert load(write_configuration(tmp_path), environ).broker.port == 1883


def test_a_credential_may_be_named_by_the_environment_too(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("mqtt", "other"):
        (credentials / name).write_text("s3cret\n")
        (credentials / name).chmod(0o400)
    text = VALID + '[broker]\nusername = "u"\npassword_file = "mqtt"\n' + SOURCE
    environ = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "FOREWARN_BROKER__PASSWORD_FILE": "other",
        "FOREWARN_OUTPUT__USERNAME": "u",
        "FOREWARN_OUTPUT__PASSWORD_FILE": "./mqtt",
    }
    path = write_configuration(tmp_path, text)
    assert told(path, environ) == [
        "environment FOREWARN_OUTPUT__PASSWORD_FILE: output.password_file: mqtt no such file or directory"
    ]
    del environ["FOREWARN_OUTPUT__PASSWORD_FILE"]
    loaded = load(path, environ)
    assert loaded.broker.password_file == credentials / "other"
    assert "s3cret" not in repr(loaded)


@pytest.mark.parametrize(
    ("line", "environ", "problem"),
    [
        ('password = "hunter2"', {}, "forewarn.toml:10: broker.password: a secret does not belong in this file"),
        ("", {"FOREWARN_BROKER__PASSWORD": "hunter2"}, "environment FOREWARN_BROKER__PASSWORD: there is no such key"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path, line, environ, problem):
    (said,) = told(write_configuration(tmp_path, f"{VALID}[broker]\ntls = false\n{line}\n{SOURCE}"), environ)
    assert said.startswith(problem)
    assert "hunter2" not in said
