"""Twelve simulated fans, which docs/first-warning.md follows from a broker to a warning: a row each five minutes.

    python -m docs.fans live          a row a second and fan, of this moment
    python -m docs.fans 0:14          the first two weeks at once, in the times in which they were

A fan follows the load of its line: steps of half an hour, less at night. Current, pressure, vibration and the
temperature of the bearing follow its speed and the air, each fan in its own way, with noise that hangs together in
time. Nothing fails in the first two weeks. Then a bearing of fan-07 wears: from day 18 on its vibration grows by a
factor of 1.9 and its temperature by 9 degrees, bit by bit and with bursts, until it seizes at the end of day 22. Load
moves both further than the wear does in its first days. No physics of a real fan is in it.
"""

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import paho.mqtt.client as mqtt

from trainer.data.history import Float64

N_FANS = 12
EVERY_S = 300
ROWS_A_DAY = 86_400 // EVERY_S
EPOCH_S = 1_767_571_200  # 2026-01-05T00:00:00Z, a Monday
DAYS_MAX = 30
WORN = 7
WEAR_DAYS = (18.0, 23.0)
CHANNELS = ("speed", "current", "pressure", "bearing", "vibration", "ambient")
DIGITS = (0, 2, 1, 1, 2, 1)
WAITING_MAX = 200
ANSWER_S = 30.0


def rows_of(fan: int) -> Float64:
    """float64 [T, 6]: what a fan shows in DAYS_MAX days, in the order of CHANNELS; the worn one's end when it fails."""
    draw = np.random.default_rng((2026, fan))
    n = DAYS_MAX * ROWS_A_DAY
    day = np.arange(n) / ROWS_A_DAY
    ambient = 12 + 5 * np.sin(2 * np.pi * (day - 0.4)) + slow(draw, n, 0.99, 0.05)
    night = (day % 1 < 0.25) | (day % 1 > 0.9)
    plan = lagged(np.where(night, 0.75, 1.0), 0.1)
    steps = np.repeat(draw.choice((0.7, 0.8, 0.9, 1.0), n // 6 + 1), 6)[:n]
    load = plan * steps + slow(draw, n, 0.9, 0.006)
    own = 1 + 0.06 * draw.standard_normal(5)
    speed = 1480 * load * own[0]
    current = 41 * own[1] * load**2.6 + slow(draw, n, 0.8, 0.25)
    pressure = 310 * own[2] * load**2 + slow(draw, n, 0.8, 1.5)
    wear = wear_of(fan, day)
    bearing = lagged(ambient + 34 * own[3] * load**1.5 + 9 * wear, 0.08) + slow(draw, n, 0.7, 0.2)
    vibration = 2.1 * own[4] * (0.4 + 0.6 * load**2) * (1 + 0.9 * wear) * np.exp(slow(draw, n, 0.6, 0.05))
    vibration *= np.where(draw.random(n) < 0.1 * wear, draw.uniform(1.2, 1.7, n), 1)
    rows = np.stack([speed, current, pressure, bearing, vibration, ambient], axis=1)
    return rows[day < WEAR_DAYS[1]] if fan == WORN else rows


def wear_of(fan: int, day: Float64) -> Float64:
    """0 for as long as nothing wears, 1 at the end."""
    begin, end = WEAR_DAYS
    return np.clip((day - begin) / (end - begin), 0, 1) * (fan == WORN)


def slow(draw: np.random.Generator, n: int, memory: float, spread: float) -> Float64:
    """float64 [n]: noise of the first order in time; `spread` is that of what each row adds."""
    noise = spread * draw.standard_normal(n)
    for row in range(1, n):
        noise[row] += memory * noise[row - 1]
    return noise


def lagged(wanted: Float64, rate: float) -> Float64:
    """What follows `wanted` by so much a row."""
    found = wanted.copy()
    for row in range(1, len(found)):
        found[row] = found[row - 1] + rate * (wanted[row] - found[row - 1])
    return found


def live(fans: Sequence[Float64]) -> Iterator[tuple[str, str]]:
    """Topics and payloads: a row of each fan, each second, as of now."""
    for row in range(len(fans[0])):
        for fan in range(1, N_FANS + 1):
            yield message(fan, time.time(), fans[fan - 1][row])
        time.sleep(1)


def history(fans: Sequence[Float64], first_day: float, last_day: float) -> Iterator[tuple[str, str]]:
    """Topics and payloads: all fans take turns, in the order of time."""
    for row in range(round(first_day * ROWS_A_DAY), round(last_day * ROWS_A_DAY)):
        for fan, rows in enumerate(fans, 1):
            if row < len(rows):
                yield message(fan, EPOCH_S + EVERY_S * row, rows[row])


def message(fan: int, t_s: float, row: Float64) -> tuple[str, str]:
    values = {name: round(float(x), n) for name, x, n in zip(CHANNELS, row, DIGITS, strict=True)}
    return f"plant/fan-{fan:02d}/telemetry", json.dumps({"ts": round(t_s), **values})


def publish(messages: Iterable[tuple[str, str]], host: str, port: int, rate_per_s: float) -> int:
    """Publish at QoS 1, no faster than the rate and than the broker takes them; returns how many it took."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect(host, port)
    client.loop_start()
    waiting: deque[mqtt.MQTTMessageInfo] = deque()
    n, begun_s = 0, time.monotonic()
    for topic, payload in messages:
        if (early_s := begun_s + n / rate_per_s - time.monotonic()) > 0:
            time.sleep(early_s)
        waiting.append(client.publish(topic, payload, qos=1))
        n += 1
        if len(waiting) > WAITING_MAX:
            waiting.popleft().wait_for_publish(ANSWER_S)
    for one in waiting:
        one.wait_for_publish(ANSWER_S)
    client.disconnect()
    client.loop_stop()
    return n


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("days", help="first and last day, as 14:24, or live")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--rate", type=float, default=4000, help="rows a second at the most")
    chosen = parser.parse_args(argv)
    fans = [rows_of(fan) for fan in range(1, N_FANS + 1)]
    messages = live(fans) if chosen.days == "live" else history(fans, *map(float, chosen.days.split(":")))
    sys.stderr.write(f"{publish(messages, chosen.host, chosen.port, chosen.rate):,} rows\n")


if __name__ == "__main__":
    main()
