"""What the configuration names exists, and keeps out of its own way."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.config.agree import agent_faults, broker_faults, journal_faults, qos_faults, time_doubts
from agent.config.broker_settings import Broker
from agent.config.settings import Agent
from agent.config.source_settings import SourceSettings


def test_the_state_folder_is_there_or_can_be_made(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert list(agent_faults(Agent(state_dir=tmp_path))) == []
    assert list(agent_faults(Agent(state_dir=tmp_path / "new" / "deep"))) == []
    for folder, words in ((file, "is not a folder"), (file / "in", "is not a folder"), (Path("a\0b"), "null byte")):
        ((key, what),) = agent_faults(Agent(state_dir=folder))
        assert (key, words in what) == (("agent", "state_dir"), True)


@pytest.mark.parametrize(
    ("durability", "qos", "is_fault"), [("journal", 0, True), ("journal", 1, False), ("snapshot", 0, False)]
)
def test_with_a_journal_all_is_read_at_qos_1(durability, qos, is_fault):
    source = SourceSettings(name="press", topic="plant/{device}", qos=qos)
    faults = list(qos_faults(Agent(durability=durability), [(3, source)]))
    assert [(key, "must be 1" in what) for key, what in faults] == [(("source", 3, "qos"), True)] * is_fault


@pytest.mark.parametrize(
    ("durability", "n_brokers", "is_fault"),
    [("journal", 5, True), ("journal", 4, False), ("snapshot", 5, False)],
)
def test_a_journal_has_room_for_the_rows_of_each_broker_that_wait(durability, n_brokers, is_fault):
    sources = [SourceSettings(name=f"s{n}", topic=f"{n}/{{device}}", broker=f"b{n}") for n in range(n_brokers)]
    sources.append(SourceSettings(name="more", topic="more/{device}", broker="b0"))
    faults = list(journal_faults(Agent(durability=durability), [*enumerate(sources)]))
    said = "must be 320MiB or more for 5 brokers, and not 256MiB"
    assert faults == [(("agent", "journal_max"), said)] * is_fault


@pytest.mark.parametrize(("durability", "is_doubt"), [("journal", True), ("snapshot", False)])
def test_with_a_journal_a_source_without_a_time_is_doubted(durability, is_doubt):
    doubts = list(time_doubts(Agent(durability=durability), [3]))
    assert [(key, "`repeated`" in what) for key, what in doubts] == [(("source", 3), True)] * is_doubt


def test_a_state_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    """Whoever runs the tests may be root, who may write anywhere: so the question is answered here."""
    monkeypatch.setattr("os.access", lambda *_: False)
    ((_, what),) = agent_faults(Agent(state_dir=tmp_path))
    assert what == f"{tmp_path} may not be written to by this user"
    ((_, what),) = agent_faults(Agent(state_dir=tmp_path / "new"))
    assert what == f"{tmp_path / 'new'} does not exist, and {tmp_path} may not be written to by this user"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"s3cret\n", 0o600, None),
        (b"s3cret", 0o440, None),
        (b"s3cret", 0o644, "may be read by everybody (mode 0644): chmod o-rwx"),
        (b"\n", 0o600, "has 0 characters"),
        (b"x" * 5000, 0o600, "has 5000 characters"),
        (b"\xff", 0o600, "is not text"),
    ],
)
def test_secrets(tmp_path, content, mode, words):
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    faults = list(broker_faults(("output",), Broker(username="u", password_file=file)))
    assert [(key, words in what) for key, what in faults] == (
        [] if words is None else [(("output", "password_file"), True)]
    )


def test_missing_files_of_a_broker_are_refused(tmp_path):
    broker = Broker(username="u", password_file=tmp_path, tls=True, ca_file=tmp_path / "ca.pem")
    assert [what.rpartition("/")[2].partition(" ")[2] for _, what in broker_faults(("broker",), broker)] == [
        "is not a file",
        "is not a file that may be read",
    ]


def test_silence_must_be_stale_before_it_is_forgotten():
    with pytest.raises(ValueError, match="forget_after must be longer"):
        Agent(forget_after=timedelta(minutes=1))


def test_what_a_broker_would_close_the_connection_for_is_named():
    broker = Broker(client_id="a\0b", username="a\nb")
    assert [key for key, _ in broker_faults(("broker",), broker)] == [("broker", "client_id"), ("broker", "username")]
