"""The peer of bench/gateway.py: what a good engineer writes in an afternoon for the same model.

paho's loop, json.loads, one ONNX Runtime call a message on one thread, a dict of states, a threshold, a publish.
Prints `subscribed`, and how many messages came once the broker is gone.
"""

import json
import sys

import numpy as np
import onnxruntime as ort
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

THRESHOLD = 0.999  # as good as never: what is measured is the way to it
WARNINGS = "naive/warning"
SCORES = "naive/score"


class Naive:
    """Steps each message's device when it comes; `says_all`: publishes every score, for the latency of it."""

    def __init__(self, model: str, channels: list[str], *, says_all: bool) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.n_heard = 0
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._channels = channels
        self._says_all = says_all
        state_size = next(one.shape[1] for one in self._session.get_inputs() if one.name == "state")
        self._new = np.zeros((1, state_size), np.float32)
        self._states: dict[str, np.ndarray] = {}  # type: ignore[type-arg]
        self._newest_s: dict[str, float] = {}

    def hear(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        self.n_heard += 1
        device = message.topic.split("/")[1]
        reading = json.loads(message.payload)
        t_s = reading["ts"]
        x = np.array([[reading[name] for name in self._channels]], np.float32)
        dt = np.array([t_s - self._newest_s.get(device, t_s)], np.float32)
        state = self._states.get(device, self._new)
        state, risk = self._session.run(["state_out", "risk"], {"x": x, "dt": dt, "state": state})
        self._states[device] = state
        self._newest_s[device] = t_s
        highest = float(risk[0, -1])
        if self._says_all or highest > THRESHOLD:
            topic = SCORES if self._says_all else WARNINGS
            client.publish(f"{topic}/{device}", json.dumps({"device": device, "t_s": t_s, "risk": highest}))


def main(port: int, model: str, channels: list[str], *, says_all: bool) -> None:
    """Run until the broker is gone."""
    naive = Naive(model, channels, says_all=says_all)
    client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = lambda client, *_: client.subscribe("naive/+/telemetry", 0)
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.on_message = naive.hear
    client.connect("127.0.0.1", port, keepalive=600)
    client.loop_forever()
    print(naive.n_heard, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), says_all=sys.argv[4:] == ["all"])
