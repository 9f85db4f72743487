"""Timing ratios, scratch against PyTorch: interleaved in one process, the same number of threads."""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import scratch.network
import scratch.optimizers
import scratch.training
import torch_ref.network
import torch_ref.training
from compare.weights import to_torch
from scratch.random import NumpyGenerator

SIZES = (  # widths, batch, the ratio to reach
    ((2, 10, 5, 2), 300, 0.35),
    ((64, 64, 32, 10), 64, 0.35),
    ((784, 512, 256, 10), 128, 0.8),
    ((1024, 2048, 2048, 10), 512, 1.0),
)
ROUNDS = 15  # interleaved measurements of each side
SECONDS = 0.15  # of each measurement


def training_steps(widths: tuple[int, ...], batch: int) -> dict[str, Callable[[], Any]]:
    """One training step in float32 (forward, backward, Adam) on each side, and its matrix products alone."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, widths[0])).astype(np.float32)
    targets = rng.integers(0, widths[-1], batch)
    ours = scratch.network.Network(widths, NumpyGenerator(0))
    theirs = torch_ref.network.Network(widths)
    theirs.load_state_dict(to_torch(ours.state_dict()))
    our_optimizer = scratch.optimizers.Adam(ours.parameters())
    their_optimizer = torch.optim.Adam(theirs.parameters())
    x_torch, targets_torch = torch.from_numpy(x), torch.from_numpy(targets)
    products = [
        (rng.standard_normal((batch, fan_in), np.float32), rng.standard_normal((fan_out, fan_in), np.float32))
        for fan_in, fan_out in itertools.pairwise(widths)
    ]

    def matrix_products() -> None:
        for i, (inputs, weight) in enumerate(products):
            y = inputs @ weight.T
            y.T @ inputs
            if i:
                y @ weight

    return {
        "scratch": lambda: scratch.training.train_step(ours, our_optimizer, x, targets),
        "torch": lambda: torch_ref.training.train_step(theirs, their_optimizer, x_torch, targets_torch),
        "matmul": matrix_products,
    }


def seconds_per_call(function: Callable[[], Any], calls: int) -> float:
    """The mean over `calls` calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def interleaved(
    functions: dict[str, Callable[[], Any]], tick: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """ROUNDS measurements of each function, taking turns so that a busy machine disturbs all alike."""
    calls = {}
    for name, function in functions.items():
        function()
        calls[name] = max(1, int(SECONDS / seconds_per_call(function, 3)))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            times[name].append(seconds_per_call(function, calls[name]))
        tick()
    return times


def run_bench(console: Console) -> None:
    """Print one row per size: the median time of each side, and the median of the ratios."""
    table = Table(title="One training step: forward, backward, Adam; float32")
    for column in ("network", "batch", "scratch", "torch", "scratch ÷ torch", "aim", "scratch ÷ its matmuls"):
        table.add_column(column, justify="left" if column == "network" else "right")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=len(SIZES) * ROUNDS)
        for widths, batch, aim in SIZES:
            times = interleaved(training_steps(widths, batch), lambda: progress.advance(task))
            table.add_row(
                "-".join(map(str, widths)),
                str(batch),
                _milliseconds(times["scratch"]),
                _milliseconds(times["torch"]),
                f"{_ratio(times['scratch'], times['torch']):.2f}",
                f"{aim:.2f}",
                f"{_ratio(times['scratch'], times['matmul']):.2f}",
            )
    console.print(table)
    console.print(
        f"{torch.get_num_threads()} threads; medians of {ROUNDS} interleaved measurements;"
        f" NumPy {np.__version__}, PyTorch {torch.__version__}"
    )


def _ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def _milliseconds(times: list[float]) -> str:
    return f"{1e3 * statistics.median(times):.3g} ms"
