"""TLS and a password, against a broker that wants both."""

import shutil
import subprocess

import pytest

from agent.replay.broker import free_port
from tests.broker.running_agent import configuration
from tests.broker.told import scores_inline
from tests.conftest import require
from tests.streams import interleaved, life

SECRET = "correct horse battery staple"


@pytest.fixture
def tls_port(broker, tmp_path) -> int:
    """The broker's second listener, with a certificate of its own for `localhost`, in tmp_path/broker.pem."""
    tools = [shutil.which("openssl"), shutil.which("mosquitto_passwd")]
    require("mosquitto", None not in tools, "openssl or mosquitto_passwd is not installed")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    for name in ("broker", "other"):
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        subprocess.run([*make, "-addext", "subjectAltName=DNS:localhost", *files], check=True, capture_output=True)
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "fw", SECRET], check=True, capture_output=True)
    port = free_port()
    broker.settings += (
        f"password_file {users}",  # for who names a user; the test itself does not
        f"listener {port} 127.0.0.1",
        f"certfile {tmp_path / 'broker.pem'}",
        f"keyfile {tmp_path / 'broker.key'}",
    )
    return port


def over_tls(port: int, tmp_path, *, ca: str = "broker", secret: str = SECRET) -> str:
    password = tmp_path / "password"
    password.write_text(secret + "\n")
    password.chmod(0o600)
    more = f'tls = true\nca_file = "{tmp_path / f"{ca}.pem"}"\nusername = "fw"\npassword_file = "{password}"\n'
    return configuration(port).replace('host = "127.0.0.1"\n', 'host = "localhost"\n' + more)


def test_everything_works_over_tls_with_a_password(broker, listener, tls_port, make_agent, tmp_path):
    """A burst larger than a TLS record: what TLS has read and not yet given must not wait for the next packet."""
    agent = make_agent(over_tls(tls_port, tmp_path))
    broker.kill()
    broker.start()
    listener.wait_until_subscribed(2)
    agent.go()
    messages = interleaved(*(life(f"p{number}", 60, seed=number) for number in range(8)))
    agent.feed(messages)
    assert agent.scores("p1") == scores_inline(messages, "p1")
    assert agent.standing()
    assert agent.stop() == 0


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"ca": "other"}, "certificate verify failed"),
        ({"secret": "wrong"}, "the broker refuses: Not authorized"),
    ],
)
def test_a_wrong_certificate_or_password_is_named_and_the_agent_lives(
    broker, listener, tls_port, make_agent, tmp_path, wrong, why
):
    """Once for input and once for output, without the secret, and it goes on trying."""
    agent = make_agent(over_tls(tls_port, tmp_path, **wrong))
    broker.kill()
    broker.start()
    listener.wait_until_subscribed(2)
    agent.start()
    assert why in str(agent.wait_for_log("broker_lost")["why"])
    agent.wait_for_log("output_lost")
    assert agent.process.poll() is None
    assert agent.stop() == 0
    for secret in (SECRET, "wrong"):
        assert secret not in agent.file.with_name("agent.log").read_text()
