"""deploy/mosquitto.conf: mosquitto takes it below a file as Debian's, and keeps sessions over a restart with it."""

import shutil
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import wait_until

CONF = Path(__file__).parents[2] / "deploy" / "mosquitto.conf"


def has_session(port: int) -> bool:
    """Connect as a client with a session of an hour; whether the broker had it."""
    found: list[bool] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "keeps", protocol=paho.MQTTv5)
    client.on_connect = lambda _client, _data, flags, _code, _properties: found.append(flags.session_present)
    hour = Properties(PacketTypes.CONNECT)
    hour.SessionExpiryInterval = 3600
    client.connect("127.0.0.1", port, clean_start=False, properties=hour)
    client.loop_start()
    try:
        wait_until(lambda: bool(found), "CONNACK")
    finally:
        client.disconnect()
        client.loop_stop()
    return found[0]


def test_mosquitto_keeps_sessions_over_a_restart_with_the_file_to_copy(tmp_path):
    (tmp_path / "conf.d").mkdir()
    shutil.copy(CONF, tmp_path / "conf.d" / "forewarn.conf")
    broker = PrivateBroker(tmp_path, has_default_limits=True)
    of_debian = ("persistence true", f"persistence_location {tmp_path}/", f"include_dir {tmp_path}/conf.d")
    broker.settings += of_debian
    broker.start()
    try:
        assert not has_session(broker.port)
        broker.close()
        broker.start()
        assert has_session(broker.port)
    finally:
        broker.close()
