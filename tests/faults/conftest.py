"""What the tests against a real broker use, and each way to keep the state."""

from collections.abc import Iterator

import pytest

from agent.store.durability import DURABILITIES
from tests.broker.conftest import agent as agent
from tests.broker.conftest import broker as broker
from tests.broker.conftest import listener as listener
from tests.broker.conftest import make_agent as make_agent
from tests.broker.conftest import output_broker as output_broker
from tests.broker.private_broker import PrivateBroker
from tests.faults.lives import Lives
from tests.faults.proxy import Proxy
from tests.faults.system_calls import require_strace


@pytest.fixture(params=sorted(DURABILITIES))
def durability(request: pytest.FixtureRequest) -> str:
    """`agent.durability`: a test that takes it runs once for each."""
    return request.param


@pytest.fixture
def proxy(broker: PrivateBroker) -> Iterator[Proxy]:
    """A way to the broker that can be spoilt."""
    with Proxy(broker.port) as one:
        yield one


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    require_strace()
    one = Lives()
    yield one
    one.close()
