"""A configuration is examined in a thread, so that the stream goes on meanwhile: bundles may take a minute."""

import threading
from collections.abc import Callable

from agent.config.load import Examined


class Examination:
    """One that has begun."""

    def __init__(self, examine: Callable[[], Examined]) -> None:
        self._examine = examine
        self._found: Examined | None = None
        self._thread = threading.Thread(target=self._run, name="examine", daemon=True)
        self._thread.start()

    def result(self) -> Examined | None:
        """What was found, None while it goes on. Raises RuntimeError where `examine` raised, which its thread says."""
        if self._thread.is_alive():
            return None
        if self._found is None:
            raise RuntimeError("the examination of the configuration has failed")
        return self._found

    def _run(self) -> None:
        self._found = self._examine()
