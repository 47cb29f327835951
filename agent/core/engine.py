"""A bundle -> the engine that steps its model, once it has computed the bundle's golden rows."""

from agent.bundle import golden
from agent.bundle.file import ANEW, Bundle
from agent.errors import BundleRefused
from agent.step.engine import Engine, ModelFailed


def load_engine(bundle: Bundle) -> Engine:
    """An engine to be trusted with this machine's devices: as `run`, `check` and `replay` all load it.

    Raises BundleRefused when ONNX Runtime does not take the model, or does not compute what the bundle promises.
    """
    try:
        engine = Engine(bundle.model, bundle.manifest)
        golden.verify(bundle, engine)
    except ModelFailed as error:
        what = f"model.onnx is refused by ONNX Runtime: {error}"
        raise BundleRefused(bundle.path, what, next_step=ANEW) from None
    return engine
