"""Brokers: URLs, several of them, client certificates; real files, each refusal with its line."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from tests.conftest import require
from tests.lab import MODEL, N_LINES, TWO, check, write_lab


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('host = "mqtt://10.0.0.5:1883"', "mqtt://10.0.0.5:1883"),
        ('host = "mqtt://10.0.0.5"', "mqtt://10.0.0.5:1883"),
        ('host = "mqtts://plant.example/"', "mqtts://plant.example:8883"),
        ('host = "mqtts://plant.example"\nport = 8884\ntls = true', "mqtts://plant.example:8884"),
        ('host = "mqtt://[::1]:1884"', "mqtt://::1:1884"),
    ],
)
def test_a_url_of_a_broker_is_read_as_what_it_means(tmp_path, text, address):
    write_lab(tmp_path)
    path = tmp_path / "forewarn.toml"
    path.write_text(f'{MODEL}[[source]]\nname = "press"\ntopic = "plant/{{device}}"\n[broker]\n{text}\n')
    result = CliRunner().invoke(main, ["check", str(path)], env={})
    assert result.exit_code == 0, result.stderr
    assert f"from {address}, runs" in result.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('host = "mqtt://u:hunter2@10.0.0.5"', "2 broker.host: may hold no user name or password: give `username`, and"
         " `password_file` for the secret"),
        ('host = "u:hunter2@10.0.0.5"', "2 broker.host: may hold no user name or password"),
        ('host = "ws://10.0.0.5"', "2 broker.host: a URL of a broker begins with mqtt://, mqtts://"),
        ('host = "mqtt://10.0.0.5/plant"', "2 broker.host: a URL says host and port alone"),
        ('host = "mqtt://10.0.0.5:x"', "2 broker.host: Port could not be cast"),
        ('host = "mqtt://:1883"', "2 broker.host: names no host, as in mqtt://10.0.0.5"),
        ('host = "10.0.0.5:1883"', '2 broker.host: is a name or an address alone: host = "10.0.0.5", port = 1883'),
        ('host = "mqtt://10.0.0.5:1883"\nport = 1884', "1 broker: host = 'mqtt://10.0.0.5:1883' and port = 1884"
         " contradict each other: leave one out"),
        ('host = "mqtts://10.0.0.5"\ntls = false', "1 broker: host = 'mqtts://10.0.0.5' and tls = false contradict"),
        ('host = "mqtt://10.0.0.5"\nca_file = "ca.pem"', "1 broker: ca_file needs tls = true"),
        ('cert_file = "c.pem"', "1 broker: cert_file needs tls = true"),
        ('tls = true\nkey_file = "c.pem"', "1 broker: key_file needs a cert_file"),
    ],
)  # fmt: skip
def test_a_broker_is_refused_with_its_line(tmp_path, text, problem):
    (found,) = check(tmp_path, f'[broker]\n{text}\n{MODEL}[[source]]\nname = "press"\ntopic = "plant/{{device}}"\n')
    assert found.removeprefix("forewarn.toml:").replace(": ", " ", 1).startswith(problem)
    assert "hunter2" not in found


def test_topics_may_be_equal_on_two_brokers_and_not_on_one(tmp_path):
    tables = '[broker]\nhost = "one"\n[brokers.plant2]\nhost = "two"\n[brokers.spare]\nhost = "three"\n'
    same = TWO.replace("b/{device}", "a/{device}")
    (found,) = check(tmp_path, MODEL + tables + same)
    assert found.endswith("source[flow].topic: overlaps with 'a/{device}' of the source 'press'")
    head = f"doubtful: forewarn.toml:{N_LINES + 5}: brokers.spare: "
    said = 'no source is read from it: broker = "spare" in a [[source]] says so'
    assert check(tmp_path, MODEL + tables + same + 'broker = "plant2"\n') == [head + said]
    (one_address,) = check(tmp_path, MODEL + tables.replace("two", "one") + same + 'broker = "plant2"\n')
    assert "source[flow].topic: overlaps with" in one_address
    (typo,) = check(tmp_path, MODEL + tables + TWO + 'broker = "plant"\n')
    assert typo.endswith("source[flow].broker: there is no [brokers.plant]; the nearest is plant2")


def test_what_is_wrong_in_the_table_of_a_broker_is_told_with_its_line(tmp_path):
    text = MODEL + TWO + '[brokers.plant2]\nhost = "two"\nprt = 1\n[brokers."a b"]\nhost = "x"\n'
    first, second = check(tmp_path, text)
    assert first == f"forewarn.toml:{N_LINES + 9}: brokers.plant2.prt: there is no such key; the nearest is port"
    said = f"forewarn.toml:{N_LINES + 10}: brokers.a b: must be up to 64 letters, digits and . _ -"
    assert second.startswith(said)


def test_a_time_that_mqtt_3_1_1_has_no_place_for_is_doubted(tmp_path):
    text = MODEL + TWO + '[broker]\nprotocol = "3.1.1"\nsession_expiry = "2h"\n'
    said = "broker.session_expiry: has no effect with MQTT 3.1.1: the broker alone decides"
    assert check(tmp_path, text) == [f"doubtful: forewarn.toml:{N_LINES + 9}: {said}"]
    assert check(tmp_path, text.replace("3.1.1", "auto")) == []


def test_several_brokers_are_told(tmp_path):
    write_lab(tmp_path)
    path = tmp_path / "forewarn.toml"
    path.write_text(MODEL + TWO + 'broker = "plant2"\n[brokers.plant2]\nhost = "mqtts://two"\n')
    out = CliRunner().invoke(main, ["check", str(path)], env={}).stdout
    assert "reads press (a/+), flow (b/+) from mqtt://localhost:1883 and mqtts://two:8883, runs" in out
    assert "flow: json from mqtts://two:8883, device {device}: " in out


def test_the_environment_sets_keys_of_a_named_broker(tmp_path):
    write_lab(tmp_path)
    path = tmp_path / "forewarn.toml"
    path.write_text(MODEL + TWO + 'broker = "line-2"\n[brokers.line-2]\nhost = "two"\n')
    for name, value, words in (
        ("FOREWARN_BROKERS__LINE_2__PORT", "1999", "flow: json from mqtt://two:1999"),
        ("FOREWARN_BROKERS__LINE_2__PORT", "x", "brokers.line-2.port: must be a whole number, not 'x'"),
        ("FOREWARN_BROKERS__LINE_2__PRT", "1", "there is no such key; the nearest is FOREWARN_BROKERS__LINE_2__PORT"),
        ("FOREWARN_BROKERS__LINE_3__PORT", "1", "there is no such [brokers.NAME]: a broker is named in a file"),
    ):
        result = CliRunner().invoke(main, ["check", str(path)], env={name: value})
        assert words in result.stdout + result.stderr


@pytest.fixture
def certificate(tmp_path) -> Path:
    """cert.pem with its key in cert.key, and another key."""
    require("mosquitto", shutil.which("openssl") is not None, "openssl is not installed")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gateway"]
    for name in ("cert", "other"):
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        subprocess.run([*make, *files], check=True, capture_output=True)
        (tmp_path / f"{name}.key").chmod(0o600)
    secret = ["-in", str(tmp_path / "cert.key"), "-aes128", "-passout", "pass:x", "-out", str(tmp_path / "closed.key")]
    subprocess.run(["openssl", "rsa", *secret], check=True, capture_output=True)
    (tmp_path / "cert.der").write_bytes(b"\x30\x82")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        ("cert.pem", "cert.key", None),
        ("cert.pem", "other.key", "cert_file: cert.pem does not belong to the private key in key_file"),
        ("cert.pem", "", "cert_file: cert.pem cannot be used: it must hold the certificate, and it or key_file its"),
        ("cert.der", "cert.key", "cert_file: cert.der cannot be used: it must hold the certificate"),
        ("cert.pem", "closed.key", "cert_file: cert.pem cannot be used: its private key has a pass phrase, which no"),
        ("cert.pem", "absent.key", "key_file: absent.key is not a file that may be read"),
    ],
)  # fmt: skip
def test_a_client_certificate_that_cannot_be_used_is_found_by_check(certificate, cert, key, problem):
    keys = f'tls = true\ncert_file = "{cert}"\n' + (f'key_file = "{key}"\n' if key else "")
    found = check(certificate, f"{MODEL}{TWO}[broker]\n{keys}")
    if problem is None:
        assert found == []
    else:
        (line,) = found
        assert line.partition(": broker.")[2].startswith(problem)


def test_a_private_key_that_everybody_may_read_is_doubtful(certificate):
    (certificate / "cert.key").chmod(0o644)
    text = f'{MODEL}{TWO}[broker]\ntls = true\ncert_file = "cert.pem"\nkey_file = "cert.key"\n'
    (found,) = check(certificate, text)
    assert found.endswith("broker.key_file: may be read by everybody (mode 0644): chmod o-rwx cert.key")
