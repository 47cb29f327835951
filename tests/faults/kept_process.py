"""A child that runs the real core, journal, snapshots and outbox over a stream, and is killed at a system call.

    python -m tests.faults.kept_process

It loads everything once and then forks: a line `MODE FOLDER FIRST` on its standard input is a life over FOLDER that
takes the stream from its FIRST message on, as from a broker that has an acknowledgement of all before. The life says
its process id and waits for a line, so that a tracer may attach. It says `a N` when the broker may forget the first N
messages, `e JSON` for each event that is published, and `end`. When it is over its exit status is said, `x N`.
"""

import os
import sys
from pathlib import Path

import structlog
from structlog.testing import LogCapture

from agent.core.entries import Messages
from agent.core.input_log import Origin, Recovered, digest_of
from agent.publish.message import event_message
from agent.store.cursor import Cursor
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.state_directory import StateDirectory
from tests.streams import core, interleaved, life

READ = 24  # messages of one read
STREAM = interleaved(
    life("ill", 75), life("well", 75, wear_from=1000, seed=1),
    life("mended", 40, wear_from=5, seed=2) + life("mended", 35, start=41, wear_from=1000, seed=3),
)  # fmt: skip


def say(word: str, what: object = "") -> None:
    os.write(1, f"{word} {what}\n".encode())


def publish(cursor: Cursor) -> None:
    """Each event is said before it leaves the outbox, as with QoS 1."""
    for due in cursor.sendable(100):
        say("e", event_message(due.event).decode())
        cursor.settle([due.number], {})


def live(mode: str, folder: Path, first: int) -> None:
    """One life, to the end of the stream."""
    kept = core()
    outbox = Outbox(folder / ALERT_TABLE, 1000)
    cursor = outbox.cursor("mqtt", mirrors=False)
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    durability = DURABILITIES[mode](StateDirectory(StateFolder(folder), kept, outbox, log))
    recovered = durability.start(0.0).get("", Recovered())
    publish(cursor)
    for begin in range(first, len(STREAM), READ):
        numbers = range(begin, min(begin + READ, len(STREAM)))
        new = [number for number in numbers if recovered.recent.get(number + 1) != digest_of(*STREAM[number])]
        topics, payloads = [STREAM[number][0] for number in new], [STREAM[number][1] for number in new]
        entry = Messages(topics, payloads, [10**9 + 10**7 * number for number in new])
        taken = durability.apply(entry, Origin(packet_ids=[number + 1 for number in new]))
        durability.commit(taken)
        durability.before_acknowledge()
        say("a", numbers.stop)
        publish(cursor)
        durability.after_turn(float(begin), 2 * READ)
    durability.stop()
    publish(cursor)
    say("end")


def main() -> None:
    """A life for each line."""
    while line := os.read(0, 4096).decode():
        mode, folder, first = line.split()
        if (child := os.fork()) == 0:
            say("pid", os.getpid())
            os.read(0, 4096)
            live(mode, Path(folder), int(first))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("x", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main())
