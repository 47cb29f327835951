"""Builds a streaming graph: nodes and initializers in order, and the products, which differ between fp32 and int8.

The two forms differ in one thing, the product of a layer's input with its weights (`PRODUCTS`). Names are short since
they are a good part of what is not weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from agent.words import Float32
from trainer.graph.quantize import ACTIVATION_SCALE, ACTIVATION_ZERO, quantize

Form = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Linear:
    """weight float32 [n, m], bias float32 [m]."""

    weight: Float32
    bias: Float32


class GraphBuilder:
    """Nodes and initializers in the order they are written."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[bytes, TensorProto] = {}

    def op(self, kind: str, *inputs: str, axis: int | None = None, to: int | None = None) -> str:
        """Append a node with one output; returns the output's name."""
        return self.ops(kind, 1, *inputs, axis=axis, to=to)[0]

    def ops(self, kind: str, n_outputs: int, *inputs: str, axis: int | None = None, to: int | None = None) -> list[str]:
        """Append a node, leaving out attributes that are None; returns its outputs' names."""
        outputs = [f"{len(self.nodes)}{'_' * bool(index)}{index or ''}" for index in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, axis=axis, to=to))
        return outputs

    def named(self, name: str, source: str) -> None:
        """Give a value the name of a graph output."""
        self.nodes.append(helper.make_node("Identity", [source], [name]))

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """An initializer, shared between equal values; returns its name.

        A number becomes [1, 1]: ONNX Runtime takes a column [b, 1] and a scalar, or [1], element by element, 20 times
        as slow as two matrices.
        """
        array = np.asarray(value, dtype=dtype)
        return self._initializer(array if array.ndim else array.reshape(1, 1))

    def scalar(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """An initializer without dimensions, where an operator asks for one."""
        return self._initializer(np.asarray(value, dtype=dtype))

    def _initializer(self, array: npt.NDArray[Any]) -> str:
        key = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"k{len(self.constants)}")
        return self.constants[key].name

    def split(self, source: str, sizes: list[int]) -> list[str]:
        """Columns of `source` in runs of `sizes`."""
        return self.ops("Split", len(sizes), source, self.constant(sizes, np.int64), axis=1)

    def affine(self, source: str, scale: npt.ArrayLike, offset: npt.ArrayLike) -> str:
        return self.op("Add", self.op("Mul", source, self.constant(scale)), self.constant(offset))

    def linear(self, source: str, layer: Linear) -> str:
        return self.op("Add", self.op("MatMul", source, self.constant(layer.weight)), self.constant(layer.bias))


GraphProduct = Callable[[GraphBuilder, str, Linear], str]


def float_product(builder: GraphBuilder, source: str, layer: Linear) -> str:
    """source @ weight + bias in float32."""
    return builder.linear(source, layer)


def integer_product(builder: GraphBuilder, source: str, layer: Linear) -> str:
    """The same with 8-bit inputs within +-1, 7-bit weights and 32-bit sums, exact in any order and any batch."""
    quantized = quantize(layer.weight)
    zero = builder.scalar(ACTIVATION_ZERO, np.uint8)
    read = builder.op("QuantizeLinear", source, builder.scalar(ACTIVATION_SCALE), zero)
    sums = builder.op("MatMulInteger", read, builder.constant(quantized.values, np.int8), zero)
    return builder.affine(
        builder.op("Cast", sums, to=TensorProto.FLOAT), quantized.scale * ACTIVATION_SCALE, layer.bias
    )


PRODUCTS: dict[Form, GraphProduct] = {"fp32": float_product, "int8": integer_product}
