"""One cell as a streaming graph of its own, and what a row of each cell costs beside the LSTM.

    python -m bench.cells --json build/cells.json

Weights are drawn, not trained: only what they cost is measured. Graphs are run by ONNX Runtime in one thread, 256 rows
a call, the cells in turn so that noise hits all of them. Prints Markdown; exits 0 whatever the figures are.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, ValueInfoProto, checker, helper

from agent.bundle.onnx_graph import IR_VERSIONS, OPSET_VERSION
from agent.words import Float32
from bench.result import markdown, ratio, write
from trainer.graph.builder import PRODUCTS, Form, GraphBuilder
from trainer.model.cells import CELLS
from trainer.model.cells.cell import Cell

N_INPUTS, HIDDEN, ROWS = 43, 64, 256
ROUNDS, CALLS = 15, 20


def graph(cell: Cell, form: Form) -> bytes:
    """x [b, I], dt [b] and state [b, S] to state_out [b, S] and, in the place of risks, the output [b, W]."""
    builder = GraphBuilder()
    sizes = [size for _, size in cell.blocks]
    up, state = cell.export(builder, PRODUCTS[form], "x", builder.split("state", sizes))
    builder.named("state_out", builder.op("Concat", *state, axis=1))
    builder.named("risk", up)

    def value(name: str, *shape: int | str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    made = helper.make_graph(
        builder.nodes,
        "g",
        [value("x", "b", cell.n_inputs), value("dt", "b"), value("state", "b", cell.size)],
        [value("state_out", "b", cell.size), value("risk", "b", cell.width)],
        list(builder.constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET_VERSION)], ir_version=IR_VERSIONS[-1])
    checker.check_model(model, full_check=True)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


class OneCell:
    """A cell's graph in a session of one thread."""

    def __init__(self, cell: Cell, form: Form) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.model = graph(cell, form)
        self.session = ort.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])

    def step(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """x [b, I] and state [b, S] to the output [b, W] and the new state."""
        given = {"x": x, "dt": np.zeros(len(x), np.float32), "state": state}
        state, up = self.session.run(["state_out", "risk"], given)
        return up, state


def times(runs: list[OneCell], cells: list[Cell]) -> list[list[float]]:
    """Microseconds of CPU a row of each cell, a number a round."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (ROWS, N_INPUTS)).astype(np.float32)
    states = [np.zeros((ROWS, cell.size), np.float32) for cell in cells]
    times_us: list[list[float]] = [[] for _ in cells]
    for _ in range(1 + ROUNDS):  # the first one warms up
        for index, run in enumerate(runs):
            began = time.process_time()
            for _ in range(CALLS):
                _, states[index] = run.step(x, states[index])
            times_us[index].append((time.process_time() - began) / CALLS / ROWS * 1e6)
    return [rounds[1:] for rounds in times_us]


def main() -> None:
    parser = argparse.ArgumentParser(description="What each cell costs beside the LSTM.")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args()
    torch.manual_seed(0)
    cells = {name: made(N_INPUTS, HIDDEN) for name, made in CELLS.items()}
    for cell in cells.values():
        cell.start("forget_one", 2.0)
    forms: tuple[Form, ...] = ("fp32", "int8")
    taken = {}
    for form in forms:
        runs = [OneCell(cell, form) for cell in cells.values()]
        taken[form] = dict(zip(cells, times(runs, list(cells.values())), strict=True))
    rows, ratios = [], {}
    for name, cell in cells.items():
        beside = {
            form: ratio([one / lstm for one, lstm in zip(taken[form][name], taken[form]["lstm"], strict=True)])
            for form in forms
        }
        ratios |= {f"{name}_{form}_time_over_lstm": found for form, found in beside.items()}
        rows.append(
            {
                "cell": name,
                "state": cell.size,
                "width": cell.width,
                "parameters": sum(parameter.numel() for parameter in cell.parameters()),
                "int8_bytes": len(graph(cell, "int8")),
                **{f"{form}_time_over_lstm": found["median"] for form, found in beside.items()},
                **{f"{form}_us_a_row": float(np.median(taken[form][name])) for form in forms},
            }
        )
    print(f"{N_INPUTS} inputs, hidden width {HIDDEN}, {ROWS} rows a call; medians of {ROUNDS} rounds.\n")
    headings = ("cell", "state", "output", "parameters", "int8 bytes", "fp32 time", "int8 time")
    shown = [list(row.values())[: len(headings)] for row in rows]
    print(
        markdown(headings, [[f"{value:.2f}" if isinstance(value, float) else value for value in row] for row in shown])
    )
    write(given.json, "cells", rows, ratios)


if __name__ == "__main__":
    main()
