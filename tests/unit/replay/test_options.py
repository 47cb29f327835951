"""Which broker an option names."""

from pathlib import Path

import click
import pytest

from agent.config.broker_settings import Broker
from agent.replay.options import broker_at

CERTIFICATE = """
-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUckYCJp5aJ5GV7ebkqbmpz7xUK08wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODAwMzMyNFoYDzIxMjYxMTA0
MDAzMzI0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARWxh+fjY1n8n3Vhvk/nXgoyF8TrYzThsO2oQVS6301Z5wvgrwTd9Xb
pV+Ht4qmcjpJpjKA8niwrxVRZZmcHbZ4o1MwUTAdBgNVHQ4EFgQU61NGm8pSorQz
CjKwJLpT91P4x1owHwYDVR0jBBgwFoAU61NGm8pSorQzCjKwJLpT91P4x1owDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAivUjeL4AbgZT0ZT7ADgE
J2Y/tBFaggQyw+b8XtH+m8sCIQCBh98Or+XAQtip9dkzFsKMVLRg5Llo3J31EtAX
X4Ve7Q==
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("localhost:1884", Broker(host="localhost", port=1884)),
        ("[::1]:1883", Broker(host="::1")),
        ("mqtt://localhost", Broker(host="localhost")),
        ("mqtt://fw@10.0.0.7:99", Broker(host="10.0.0.7", port=99, username="fw")),
        (
            "mqtts://press%40plant@broker.plant/",
            Broker(host="broker.plant", port=8883, username="press@plant", tls=True),
        ),
    ],
)
def test_a_broker_by_host_and_port_or_by_url(text, broker):
    assert broker_at(text, None, None) == broker


def test_files_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("secret", "x\n"), ("ca.pem", CERTIFICATE)):
        Path(name).write_text(text)
        Path(name).chmod(0o600)
    broker = broker_at("mqtts://fw@localhost", Path("secret"), Path("ca.pem"))
    assert (broker.password_file, broker.ca_file) == (tmp_path / "secret", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("text", "password_file", "ca_file", "told"),
    [
        ("localhost", None, None, "'localhost' is not HOST:PORT or mqtts://USER@HOST:PORT"),
        ("localhost:0x1", None, None, "is not HOST:PORT"),
        (":1883", None, None, "is not HOST:PORT"),
        ("[::1:1883", None, None, "is not HOST:PORT"),
        ("http://localhost:1883", None, None, "is not HOST:PORT"),
        ("mqtt://localhost/topic", None, None, "is not HOST:PORT"),
        ("mqtt://fw:secret@localhost", None, None, "a password goes into a file: --password-file"),
        ("localhost:1883", Path("secret"), None, "password_file needs a username"),
        ("localhost:1883", None, Path("ca.pem"), "ca_file needs tls = true"),
        ("mqtt://fw@localhost", Path("nowhere"), None, "nowhere"),
        ("mqtts://localhost", None, Path("nowhere"), "is not a file that may be read"),
    ],
)
def test_a_wrong_one_is_refused(text, password_file, ca_file, told):
    with pytest.raises(click.BadParameter) as refused:
        broker_at(text, password_file, ca_file)
    assert told in refused.value.format_message()
