"""The embedded broker: amqtt on 127.0.0.1, for a replay where no mosquitto is installed.

    python -m agent.replay.broker.embedded PORT

A process of its own, so that it shares no interpreter with the player. It ends when its standard input does: that is a
pipe from the process that started it, so it outlives that one by no means, however it ends. It speaks MQTT 3.1.1 only,
lets everybody in and keeps nothing on disk. amqtt comes with the extra `demo`, and is imported here alone.
"""

import asyncio
import logging
import sys

from amqtt.broker import Broker

_LET_IN = "amqtt.plugins.authentication.AnonymousAuthPlugin"


async def serve(port: int) -> None:
    """Run until standard input ends. Raises amqtt's BrokerError when `port` cannot be listened on."""
    parent_gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), parent_gone.set)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {_LET_IN: {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await parent_gone.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(int(sys.argv[1])))
