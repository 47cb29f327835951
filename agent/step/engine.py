"""Row -> score: one ONNX Runtime session on one thread.

The graph optimization level is fixed, because it can change the bits a bundle computes, and the bundle's golden
vectors were recorded and are checked at this level.
"""

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from agent.bundle.heads import widths
from agent.bundle.manifest import Manifest
from agent.words import Float32

SAID_CHARS_MAX = 300
_FATAL = 4  # what ONNX Runtime refuses is raised, and needs no lines of its own on standard error
_REFUSALS: tuple[type[Exception], ...] = (
    # a class for each of its status codes, without a common base; the others come from the binding
    *(kind for kind in vars(ort_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
    TypeError,
    MemoryError,
)


class ModelFailed(Exception):
    """ONNX Runtime does not load or run a model; the text is what it says."""


class Engine:
    """Steps a batch. `model` has been checked by agent.bundle before it comes here. Raises ModelFailed."""

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _FATAL
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        except _REFUSALS as error:
            raise _failed(error) from error
        self._heads = [*widths(manifest)]

    def run(self, x: Float32, dt: Float32, state: Float32) -> tuple[Float32, dict[str, Float32]]:
        """Step b devices once. Raises ModelFailed.

        x float32 [b, F] raw units, NaN = missing; dt float32 [b] seconds; state float32 [b, S].
        Returns state_out [b, S] and, by head, the outputs [b, width] that the manifest names, all float32.
        """
        try:
            state_out, *outputs = self._session.run(["state_out", *self._heads], {"x": x, "dt": dt, "state": state})
        except _REFUSALS as error:
            raise _failed(error) from error
        return state_out, dict(zip(self._heads, outputs, strict=True))


def _failed(error: Exception) -> ModelFailed:
    said = " ".join(str(error).split()) or type(error).__name__
    return ModelFailed(said if len(said) <= SAID_CHARS_MAX else f"{said[:SAID_CHARS_MAX]}...")
