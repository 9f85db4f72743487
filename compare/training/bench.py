"""Timing ratios, scratch against PyTorch: interleaved in one process, the same number of threads."""

import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from compare.training.sides import ScratchSide, Setup, TorchSide
from scratch.random import NumpyGenerator, TorchGenerator

SIZES = (  # widths, batch, the ratio to reach
    ((2, 10, 5, 2), 300, 0.35),
    ((64, 64, 32, 10), 64, 0.35),
    ((784, 512, 256, 10), 128, 0.8),
    ((1024, 2048, 2048, 10), 512, 1.0),
)
MILLION = 10**6
DRAWS: dict[str, tuple[Callable, Callable, float | None]] = {  # scratch, torch, seconds to reach
    "normals, float32": (
        lambda generator: generator.randn(MILLION),
        lambda: torch.randn(MILLION),
        0.25,
    ),
    "normals, float64": (
        lambda generator: generator.randn(MILLION, np.float64),
        lambda: torch.randn(MILLION, dtype=torch.float64),
        None,
    ),
    "uniforms, float32": (
        lambda generator: generator.rand(MILLION),
        lambda: torch.rand(MILLION),
        0.03,
    ),
    "raw words": (
        lambda generator: generator.random(MILLION),
        lambda: torch.empty(MILLION, dtype=torch.int32).random_(),
        None,
    ),
    "dropout mask": (
        lambda generator: generator.bernoulli(MILLION, 0.8),
        lambda: torch.empty(MILLION).bernoulli_(0.8),
        None,
    ),
    "permutation": (
        lambda generator: generator.randperm(MILLION),
        lambda: torch.randperm(MILLION),
        None,
    ),
}
ROUNDS = 15  # interleaved measurements of each side
SECONDS = 0.15  # of each measurement


def training_steps(widths: tuple[int, ...], batch: int) -> dict[str, Callable[[], Any]]:
    """One training step in float32 (forward, backward, Adam) on each side, and its matrix products alone."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, widths[0])).astype(np.float32)
    targets = rng.integers(0, widths[-1], batch)
    setup = Setup({"widths": widths})
    ours, theirs = ScratchSide(setup, NumpyGenerator(0)), TorchSide(setup)
    theirs.load(ours.weights())
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
        "scratch": partial(ours.step, ours.array(x), ours.array(targets)),
        "torch": partial(theirs.step, theirs.array(x), theirs.array(targets)),
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
    """Print how long a training step takes, and a million random numbers; medians, also of the ratios."""
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("measuring", total=(len(SIZES) + len(DRAWS)) * ROUNDS)
        for table in (_training_table, _draws_table):
            console.print(table(lambda: progress.advance(task)))
    console.print(
        f"{torch.get_num_threads()} threads; medians of {ROUNDS} interleaved measurements;"
        f" NumPy {np.__version__}, PyTorch {torch.__version__}"
    )


def _training_table(tick: Callable[[], None]) -> Table:
    table = _table("One training step: forward, backward, Adam; float32", "network", "batch")
    table.add_column("scratch ÷ its matmuls", justify="right")
    for widths, batch, aim in SIZES:
        times = interleaved(training_steps(widths, batch), tick)
        table.add_row(
            "-".join(map(str, widths)),
            str(batch),
            *_both(times),
            f"{aim:.2f}",
            f"{_ratio(times['scratch'], times['matmul']):.2f}",
        )
    return table


def _draws_table(tick: Callable[[], None]) -> Table:
    table = _table("A million random numbers: TorchGenerator and PyTorch", "draw")
    generator = TorchGenerator(0)
    for name, (ours, theirs, aim) in DRAWS.items():
        times = interleaved({"scratch": partial(ours, generator), "torch": theirs}, tick)
        table.add_row(name, *_both(times), f"{1e3 * aim:g} ms" if aim else "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in (*columns, "scratch", "torch", "scratch ÷ torch", "aim"):
        first = column == columns[0]
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    return table


def _both(times: dict[str, list[float]]) -> tuple[str, str, str]:
    ratio = _ratio(times["scratch"], times["torch"])
    return _milliseconds(times["scratch"]), _milliseconds(times["torch"]), f"{ratio:.2f}"


def _ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def _milliseconds(times: list[float]) -> str:
    return f"{1e3 * statistics.median(times):.3g} ms"
