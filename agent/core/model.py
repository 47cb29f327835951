"""A model: a loaded bundle and how it is used. The core has one or several."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.bundle.file import ANEW, Bundle
from agent.bundle.verify import verify
from agent.errors import BundleRefused
from agent.step.engine import Engine, ModelFailed
from agent.words import AlertHead


@dataclass(frozen=True, slots=True)
class Model:
    """Immutable.

    name        of the configuration's `[[model]]`
    thresholds  by head, of each that is judged
    sources     indexes of the core's sources which it reads
    channels    for each of `sources`: where each of the model's channels is among the source's
    """

    name: str
    bundle: Bundle
    engine: Engine
    thresholds: Mapping[AlertHead, float]
    sources: tuple[int, ...]
    channels: tuple[tuple[int, ...], ...]

    @property
    def rules(self) -> tuple[object, ...]:
        """All that its scores and alerts depend on."""
        return self.name, self.bundle.digest, sorted(self.thresholds.items()), self.sources, self.channels


def load_engine(bundle: Bundle) -> Engine:
    """An engine to be trusted with this machine's devices: as `run`, `check` and `replay` all load it.

    Raises BundleRefused when ONNX Runtime does not take the model, or does not compute what the bundle promises.
    """
    try:
        engine = Engine(bundle.model, bundle.manifest)
        verify(bundle.golden, bundle.manifest, engine, bundle.path)
    except ModelFailed as error:
        what = f"model.onnx is refused by ONNX Runtime: {error}"
        raise BundleRefused(bundle.path, what, next_step=ANEW) from None
    return engine
