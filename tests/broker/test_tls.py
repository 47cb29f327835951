"""TLS and a password, against a broker that wants both."""

import shutil
import ssl
import subprocess
import sys
import threading
import time

import pytest
import structlog
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.receive.client import Receiver
from agent.receive.inbox import ReadBounds
from agent.receive.input_options import InputOptions
from agent.replay.broker.own_broker import free_port
from bench.fake_broker import FakeBroker
from tests.broker.running_agent import configuration
from tests.broker.told import scores_inline
from tests.bundles import write_small_bundle
from tests.conftest import require
from tests.recorded import worn, write_recorded, write_truth
from tests.streams import SOURCE, interleaved, life

SECRET = "correct horse battery staple"


@pytest.fixture
def certificates(tmp_path):
    """broker.pem, other.pem and agent.pem for `localhost`, each its own authority, with their keys."""
    require("mosquitto", shutil.which("openssl") is not None, "openssl is not installed")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    for name in ("broker", "other", "agent"):
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        subprocess.run([*make, "-addext", "subjectAltName=DNS:localhost", *files], check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def tls_port(broker, certificates, tmp_path) -> int:
    """The broker's second listener, with the certificate broker.pem and a user."""
    require("mosquitto", shutil.which("mosquitto_passwd") is not None, "mosquitto_passwd is not installed")
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
    """Scores and alerts as without it."""
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


def test_a_replay_goes_over_tls_with_a_password_too(broker, tls_port, tmp_path):
    over_tls(tls_port, tmp_path)  # writes the password
    broker.kill()
    broker.start()
    files = [
        "--bundle", write_small_bundle(tmp_path / "small.fwb"),
        "--data", write_recorded(tmp_path / "data.csv", [worn("worn", 90)]),
        "--truth", write_truth(tmp_path / "truth.csv", {"worn": 90.0}),
        "--out", tmp_path / "out", "--no-html", "--through", "mqtt", "--require", "detection==1",
    ]  # fmt: skip
    password = tmp_path / "password"
    through = ["--broker", f"mqtts://fw@localhost:{tls_port}", "--password-file", password]
    through += ["--ca-file", tmp_path / "broker.pem"]
    for secret, code, told in ((SECRET, 0, "met    detection == 1"), ("wrong", 1, "refuses the connection")):
        password.write_text(secret)
        command = [sys.executable, "-m", "agent.cli", "replay", *files, *through]
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
        assert done.returncode == code
        assert told in done.stdout + done.stderr


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
    assert why in str(agent.wait_for_log("broker_not_connected")["why"])
    agent.wait_for_log("output_not_connected")
    assert agent.process.poll() is None
    assert agent.stop() == 0
    for secret in (SECRET, "wrong"):
        assert secret not in agent.file.with_name("agent.log").read_text()


@pytest.fixture
def strict_port(broker, certificates, tmp_path) -> int:
    """A listener that lets in nobody without the certificate agent.pem."""
    port = free_port()
    broker.settings += (
        f"listener {port} 127.0.0.1",
        f"certfile {tmp_path / 'broker.pem'}",
        f"keyfile {tmp_path / 'broker.key'}",
        f"cafile {tmp_path / 'agent.pem'}",
        "require_certificate true",
    )
    return port


def with_certificate(port: int, tmp_path, name: str) -> str:
    more = f'tls = true\nca_file = "{tmp_path / "broker.pem"}"\n'
    if name:
        more += f'cert_file = "{tmp_path / f"{name}.pem"}"\nkey_file = "{tmp_path / f"{name}.key"}"\n'
    return configuration(port).replace('host = "127.0.0.1"\n', 'host = "localhost"\n' + more)


def test_everything_works_with_a_client_certificate(broker, listener, strict_port, make_agent, tmp_path):
    """Input and output show it."""
    agent = make_agent(with_certificate(strict_port, tmp_path, "agent"))
    broker.kill()
    broker.start()
    listener.wait_until_subscribed(2)
    agent.go()
    messages = life("p1", 20)
    agent.feed(messages)
    assert agent.scores("p1") == scores_inline(messages, "p1")
    assert agent.stop() == 0


@pytest.mark.parametrize("name", ["", "other"])
def test_without_the_right_client_certificate_nothing_works_and_that_is_said(
    broker, listener, strict_port, make_agent, tmp_path, name
):
    agent = make_agent(with_certificate(strict_port, tmp_path, name))
    broker.kill()
    broker.start()
    listener.wait_until_subscribed(2)
    agent.start()
    for event in ("broker_not_connected", "output_not_connected"):
        assert agent.wait_for_log(event)["why"]
    assert agent.log("broker_connected") == []
    assert agent.stop() == 0


@pytest.fixture
def tls_broker(certificates):
    """One in the test's own hand."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "broker.pem", certificates / "broker.key")
    with FakeBroker(context) as broker:
        yield broker


@pytest.fixture(params=["auto", "paho"])
def receiver(request, tls_broker, certificates):
    """Of either path, on its way to the broker."""
    settings = Broker(host="localhost", port=tls_broker.port, tls=True, ca_file=certificates / "broker.pem")
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    one = Receiver(settings, InputOptions("fw", [SOURCE], [1], ReadBounds(100_000), path=request.param), log)
    one.read(0.0)
    return one


def test_what_tls_has_read_and_not_given_yet_does_not_wait_for_more(tls_broker, receiver):
    """Several packets in one TLS record: after the first the socket is empty, and the others are inside."""
    session = tls_broker.session()
    session.read_connect()
    session.send(b"\x20\x03\0\0\0" + session.publish_bytes(b"plant/p1/cycle", b"x") * 5)
    received: list[bytes] = []
    for _ in range(5):
        received += receiver.read(2.0).payloads
        if len(received) == 5:
            break
    assert len(received) == 5


def test_messages_over_many_records_are_taken_and_acknowledged(tls_broker, receiver):
    """Larger than a record, cut anywhere, and one too large to be held; then part of a packet keeps nobody awake."""
    session = tls_broker.session()
    session.read_connect()
    session.accept()
    payloads = [bytes([number]) * (number * 997) for number in range(1, 100)]
    data = [session.publish_bytes(b"plant/p1/cycle", payload, mid=mid) for mid, payload in enumerate(payloads, 1)]
    large = session.publish_bytes(b"plant/p2/cycle", b"x" * 1_000_000, mid=100)
    said = b"".join(data) + large[:-100]
    pieces = [said[at : at + 40_009] for at in range(0, len(said), 40_009)]
    pieces.append(large[-100:] + data[0])  # one record: what follows a message that goes by is inside
    sender = threading.Thread(target=lambda: [session.send(piece) for piece in pieces])
    sender.start()
    received, packet_ids = [], []
    deadline = time.monotonic() + 10
    while len(packet_ids) < 101:
        assert time.monotonic() < deadline, packet_ids
        got = receiver.read(0.1)
        received += got.payloads
        packet_ids += got.packet_ids
    sender.join()
    assert received == [*payloads, payloads[0]]
    assert receiver.inbox.counts == {("press", "too_large"): 1}
    assert packet_ids == [*range(1, 101), 1]
    session.read()  # SUBSCRIBE
    receiver.acknowledge(packet_ids)
    assert [session.read() for _ in packet_ids] == [(0x40, mid.to_bytes(2)) for mid in packet_ids]
    session.send(data[0][:10])
    receiver.read(0.2)
    began = time.process_time()
    receiver.read(0.5)
    assert time.process_time() - began < 0.25, "it turns without waiting"
