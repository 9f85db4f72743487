"""Timing ratios, scratch against PyTorch: interleaved in one process, the same number of threads."""

import functools
import importlib.util
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

from compare.training.jax_step import jax_step
from compare.training.sides import ScratchSide, Setup, TorchSide
from scratch.random import NumpyGenerator, TorchGenerator

SIZES = (  # widths, batch, the ratio to PyTorch's plain step that is to be reached
    ((2, 10, 5, 2), 300, 0.35),
    ((64, 64, 32, 10), 64, 0.35),
    ((784, 512, 256, 10), 128, 0.8),
    ((1024, 2048, 2048, 10), 512, 1.0),
)
PARTED = 2  # which of them is taken apart
PARTED_STEPS = 20  # in each round
STEPS = {  # what scratch is compared with, and the ratio to reach in each row
    "torch": None,
    "fused": 1.0,
    "compiled": None,
    "JAX": 1.4,
}
MILLION = 10**6
AIMS = ", ".join(f"÷ {name} at most {aim}" for name, aim in STEPS.items() if aim)
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
    "uniforms between bounds": (
        lambda generator: generator.uniform(MILLION, -0.3, 0.7),
        lambda: torch.empty(MILLION).uniform_(-0.3, 0.7),
        0.01,
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
    """One training step in float32 (forward, backward, Adam) on each side, and its matrix products alone.

    PyTorch's also with the optimizer in one kernel (fused), and with its network compiled, too; JAX's, if it
    is installed, is compiled as a whole, and updates in place.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, widths[0])).astype(np.float32)
    targets = rng.integers(0, widths[-1], batch)
    setup = Setup({"widths": widths})
    fused_setup = Setup({"widths": widths}, hyperparameters={"fused": True})
    ours = ScratchSide(setup, NumpyGenerator(0))
    theirs = {"torch": TorchSide(setup), "fused": TorchSide(fused_setup)}
    if "compiled" not in absent():
        theirs["compiled"] = TorchSide(fused_setup)
        theirs["compiled"].network.compile()
    for side in theirs.values():
        side.load(ours.weights())
    steps: dict[str, Callable[[], Any]] = {"scratch": partial(ours.step, ours.array(x), ours.array(targets))}
    steps |= {name: partial(side.step, side.array(x), side.array(targets)) for name, side in theirs.items()}
    if "JAX" not in absent():
        steps["JAX"] = jax_step(ours.weights(), x, targets)
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

    return steps | {"matmul": matrix_products}


@functools.cache
def absent() -> dict[str, str]:
    """Of the steps that need more than PyTorch, those that cannot be taken here, and why."""
    missing = {} if importlib.util.find_spec("jax") else {"JAX": "is not installed"}
    try:
        torch.compile(torch.neg)(torch.zeros(1))
    except Exception as error:  # of a compiler that is not there, or fails
        missing["compiled"] = f"torch.compile says {type(error).__name__}"
    return missing


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


def times_of_parts(widths: tuple[int, ...], batch: int, steps: int) -> dict[str, list[float]]:
    """The seconds that each line of scratch's training step takes, within the step, and the whole step."""
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((batch, widths[0]), np.float32), rng.integers(0, widths[-1], batch)
    side = ScratchSide(Setup({"widths": widths}), NumpyGenerator(0))
    times: dict[str, list[float]] = {}

    def time_method(owner: Any, method: str, name: str) -> None:
        call = getattr(owner, method)

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = call(*args, **options)
            times.setdefault(name, []).append(time.perf_counter() - start)
            return result

        setattr(owner, method, timed)

    for name, layer in side.network.layers.items():
        time_method(layer, "forward", f"{name}.forward")
        time_method(layer, "backward", f"{name}.backward")
    time_method(side.network, "_loss_forward", "cross_entropy_forward")
    time_method(side.network, "_loss_backward", "cross_entropy_backward")
    time_method(side.optimizer, "step", "Adam.step")
    time_method(side, "step", "the whole step")
    for _ in range(steps):
        side.step(x, targets)
    return times


def run_bench(console: Console) -> None:
    """Print the times of a training step, of its parts, and of a million random numbers, as medians."""
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("measuring", total=(len(SIZES) + 1 + len(DRAWS)) * ROUNDS)
        for table in (_training_table, _parts_table, _draws_table):
            console.print(table(lambda: progress.advance(task)))
    console.print(
        f"{torch.get_num_threads()} threads; medians of {ROUNDS} interleaved measurements;"
        f" NumPy {np.__version__}, PyTorch {torch.__version__}"
    )
    for name, why in absent().items():
        console.print(f"{name}: {why}")


def _training_table(tick: Callable[[], None]) -> Table:
    table = Table(title="One training step: forward, backward, Adam; float32", caption=AIMS)
    table.add_column("network", no_wrap=True)
    for column in ("batch", "scratch", *(f"÷ {name}" for name in STEPS), "÷ its matmuls"):
        table.add_column(column, justify="right")
    for widths, batch, aim in SIZES:
        times = interleaved(training_steps(widths, batch), tick)
        ratios = [f"{_ratio(times['scratch'], times[name]):.2f}" if name in times else "" for name in STEPS]
        ratios[0] += f" of {aim:.2f}"
        matmuls = f"{_ratio(times['scratch'], times['matmul']):.2f}"
        size = "-".join(map(str, widths)), str(batch)
        table.add_row(*size, _milliseconds(times["scratch"]), *ratios, matmuls)
    return table


def _parts_table(tick: Callable[[], None]) -> Table:
    widths, batch, _ = SIZES[PARTED]
    table = Table(
        title=f"Where scratch's step of {'-'.join(map(str, widths))}, batch {batch}, spends its time"
    )
    table.add_column("line", no_wrap=True)
    table.add_column("time", justify="right")
    table.add_column("of the step", justify="right")
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, some in times_of_parts(widths, batch, PARTED_STEPS).items():
            times.setdefault(name, []).extend(some)
        tick()
    whole = statistics.median(times["the whole step"])
    for name, each in times.items():
        table.add_row(name, _milliseconds(each), f"{statistics.median(each) / whole:.0%}")
    return table


def _draws_table(tick: Callable[[], None]) -> Table:
    table = Table(title="A million random numbers: TorchGenerator and PyTorch")
    table.add_column("draw", no_wrap=True)
    for column in ("scratch", "torch", "scratch ÷ torch", "aim"):
        table.add_column(column, justify="right")
    generator = TorchGenerator(0)
    for name, (ours, theirs, aim) in DRAWS.items():
        times = interleaved({"scratch": partial(ours, generator), "torch": theirs}, tick)
        both = [_milliseconds(times[side]) for side in ("scratch", "torch")]
        ratio = f"{_ratio(times['scratch'], times['torch']):.2f}"
        table.add_row(name, *both, ratio, f"{1e3 * aim:g} ms" if aim else "")
    return table


def _ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def _milliseconds(times: list[float]) -> str:
    return f"{1e3 * statistics.median(times):.3g} ms"
