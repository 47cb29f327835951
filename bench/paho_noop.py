"""The peer: paho's own loop with a callback that only counts. Prints how many messages came when the sender is done.

python bench/paho_noop.py PORT N     subscribes, ends after N messages or when the connection ends
"""

import sys

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode


def main(port: int, n_wanted: int) -> int:
    """Receive by paho's loop; returns the count."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="noop-in", reconnect_on_failure=False)
    n_heard = 0

    def count(_client: paho.Client, _data: object, _message: paho.MQTTMessage) -> None:
        nonlocal n_heard
        n_heard += 1
        if n_heard == n_wanted:
            print(n_heard, flush=True)

    def subscribe(client: paho.Client, _data: object, _flags: object, _reason: ReasonCode, _properties: object) -> None:
        client.subscribe("plant/+/telemetry", 0)

    def subscribed(_client: paho.Client, _data: object, _mid: int, _reasons: object, _properties: object) -> None:
        print("subscribed", flush=True)

    client.on_message, client.on_connect, client.on_subscribe = count, subscribe, subscribed
    client.connect("127.0.0.1", port, keepalive=600)
    while client.loop(1.0) == MQTTErrorCode.MQTT_ERR_SUCCESS and n_heard < n_wanted:
        pass
    return n_heard


if __name__ == "__main__":
    n_wanted = int(sys.argv[2])
    n_heard = main(int(sys.argv[1]), n_wanted)
    if n_heard != n_wanted:
        print(n_heard, flush=True)
