"""A log whose reader hangs costs log lines, not the stream."""

import os

import pytest

from tests.broker.told import scores_inline
from tests.streams import life


@pytest.fixture
def unread():
    """The writing end of a pipe that nobody reads, filled to the brim."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


def test_a_log_reader_that_hangs_costs_lines_and_not_the_stream(make_agent, unread):
    """A full pipe from the start: all is scored and said, the status counts the lines, SIGTERM ends the agent."""
    agent = make_agent()
    agent.start(log=unread)
    agent.wait_until_it_listens()
    messages = life("p1", 60)
    status = agent.feed(messages)
    assert agent.scores("p1") == scores_inline(messages, "p1")
    assert status["log_lines_lost"] >= 3
    assert agent.stop() == 0
