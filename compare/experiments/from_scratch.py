"""The smallest complete story: one network, five steps, and a boundary that bends around the data."""

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Listing, Section, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import GRID, Run, Sides, costs_of, first, grid, rebuild
from compare.training.data import Data, circles
from scratch.activations import relu_backward, relu_forward
from scratch.linear import linear_backward, linear_forward
from scratch.losses import (
    binary_cross_entropy_with_logits_backward,
    binary_cross_entropy_with_logits_forward,
)
from scratch.optimizers import sgd_step

RECIPE = Recipe("2-8-1", (2, 8, 1), "he", lr=0.3, epochs=2000, published=Published(cost_tolerance=1e-12))
STEP_TOLERANCE = 1e-15  # one step rounds a few times; all its numbers are of size 1
WHAT_FOR = {
    "initialise": "random weights, so that no two units are alike; biases 0",
    "forward": "from the inputs to one logit for each example",
    "cost": "one number that says how wrong all logits are together",
    "backward": "the chain rule from the cost back to every weight",
    "update": "every parameter a little against its gradient",
}


def step_on_scratch(x: np.ndarray, targets: np.ndarray) -> tuple[Any, ...]:
    """The five steps in NumPy: the cost, and the parameters after one update."""
    # initialise
    generator = np.random.RandomState(3)
    W1 = generator.randn(8, 2) * (2 / 2) ** 0.5  # (8, 2)
    b1 = np.zeros(8)  # (8,)
    W2 = generator.randn(1, 8) * (2 / 8) ** 0.5  # (1, 8)
    b2 = np.zeros(1)  # (1,)
    # forward
    z1, linear1 = linear_forward(x, W1, b1)  # (300, 8)
    a1, relu1 = relu_forward(z1)  # (300, 8)
    z2, linear2 = linear_forward(a1, W2, b2)  # (300, 1)
    # cost
    cost, loss = binary_cross_entropy_with_logits_forward(z2, targets)
    # backward
    dz2 = binary_cross_entropy_with_logits_backward(1.0, loss)  # (300, 1)
    da1, dW2, db2 = linear_backward(dz2, linear2)  # (300, 8), (1, 8), (1,)
    dz1 = relu_backward(da1, relu1)  # type: ignore[arg-type]  # (300, 8)
    _, dW1, db1 = linear_backward(dz1, linear1)  # (8, 2), (8,)
    # update
    sgd_step(W1, dW1, lr=0.3)
    sgd_step(b1, db1, lr=0.3)
    sgd_step(W2, dW2, lr=0.3)
    sgd_step(b2, db2, lr=0.3)
    return cost, W1, b1, W2, b2


def step_on_torch(x: torch.Tensor, targets: torch.Tensor) -> tuple[Any, ...]:
    """The five steps in PyTorch: the cost, and the parameters after one update."""
    # initialise
    generator = np.random.RandomState(3)
    W1 = torch.tensor(generator.randn(8, 2) * (2 / 2) ** 0.5)  # (8, 2)
    b1 = torch.zeros(8, dtype=torch.float64)  # (8,)
    W2 = torch.tensor(generator.randn(1, 8) * (2 / 8) ** 0.5)  # (1, 8)
    b2 = torch.zeros(1, dtype=torch.float64)  # (1,)
    parameters = [p.requires_grad_() for p in (W1, b1, W2, b2)]
    # forward
    z1 = F.linear(x, W1, b1)  # (300, 8)
    a1 = F.relu(z1)  # (300, 8)
    z2 = F.linear(a1, W2, b2)  # (300, 1)
    # cost
    cost = F.binary_cross_entropy_with_logits(z2, targets)
    # backward
    cost.backward()
    # update
    torch.optim.SGD(parameters, lr=0.3).step()
    return cost, W1, b1, W2, b2


def tasks(options: Options) -> list[Task]:
    """The network on each side, looked at at the start, after one step, and early in training."""
    looks = _looks(options.shortened(RECIPE).epochs)
    return tasks_of({"network": RECIPE}, circles, options, snapshot_at=(*looks, 1), evaluate_at=looks[1:])


def report(options: Options, results: Results) -> Section:
    """The five steps as code, the cost as it falls, and the boundary as it bends."""
    data, sides = circles(), sides_of(results, "network")
    epochs = options.shortened(RECIPE).epochs
    comparisons = [
        *_compare_step(sides, data),
        *compare_costs(sides, shown=[*range(0, epochs, max(epochs // 4, 1)), epochs - 1]),
        *compare_accuracies(sides, data),
    ]
    return Section(
        **texts("from_scratch", lr=RECIPE.lr, epochs=epochs),
        comparisons=comparisons,
        listings=[_listing(options)],
        figures=[_costs(sides), _boundaries(sides, data)],
        diagnoses=diagnoses({"network": sides}, data),
    )


def _looks(epochs: int) -> tuple[int, ...]:
    return 0, max(epochs // 100, 1), epochs


def _listing(options: Options) -> Listing:
    functions: dict[str, Callable[..., Any]] = {"scratch": step_on_scratch, "torch": step_on_torch}
    codes = {side: steps_of(functions[side]) for side in options.sides}
    steps = [
        (f"{name}: {why}", {side: code[name] for side, code in codes.items()})
        for name, why in WHAT_FOR.items()
    ]
    return Listing("One step of training, as it runs", steps)


def steps_of(function: Callable[..., Any]) -> dict[str, str]:
    """The code under each comment that names a step."""
    body = inspect.getsource(function).split("\n    return")[0].replace("# type: ignore[arg-type]  ", "")
    _, *parts = re.split(r"^    # (\w+)\n", body, flags=re.MULTILINE)
    return {name: textwrap.dedent(code).strip() for name, code in zip(parts[::2], parts[1::2], strict=True)}


def _compare_step(sides: Sides, data: Data) -> list[Comparison]:
    """The code that is shown, against the first step of the run on its side."""
    costs, distances, agrees = {}, {}, True
    for side, run in sides.items():
        if side == "torch":
            x, targets = torch.from_numpy(data.x_train), torch.from_numpy(data.targets_train)
            cost, *parameters = (tensor.detach().numpy() for tensor in step_on_torch(x, targets))
        else:
            cost, *parameters = step_on_scratch(data.x_train, data.targets_train)
        expected = run.snapshots[1].values()
        distance = max(np.abs(a - b).max() for a, b in zip(parameters, expected, strict=True))
        costs[side], distances[side] = f"{float(cost):.16g}", f"{distance:.1g}"
        agrees = agrees and bool(max(distance, abs(cost - run.cost[0])) <= STEP_TOLERANCE)
    why = f"as the first step of the run below, to within {STEP_TOLERANCE:g}"
    return [
        Comparison("the code shown", "cost", None, costs, agrees, why),
        Comparison("the code shown", "parameters, distance", None, distances, agrees, why),
    ]


def _costs(sides: Sides) -> Figure:
    with figures.drawing() as (drawing, axes):
        figures.curves(axes, {"cost": costs_of(sides)})
        axes.set(xlabel="iteration", ylabel="cost (nats per example)", ylim=(0, None))
        axes.legend()
    return figure("from_scratch-cost", drawing)


def _boundaries(sides: Sides, data: Data) -> Figure:
    with figures.drawing(columns=3, sharex=True, sharey=True) as (drawing, axes):
        for one, epochs in zip(axes, _looks(first(sides).recipe.epochs), strict=True):
            then = {side: _as_it_was(run, epochs, data) for side, run in sides.items()}
            figures.boundary(one, then, data)
            one.set_title(f"after {epochs} iterations")
        figures.legend_below(drawing, axes[0])
    return figure("from_scratch-boundary", drawing, key=figures.boundary_key(sides))


def _as_it_was(run: Run, epochs: int, data: Data) -> Run:
    points = np.stack(np.meshgrid(*grid(data)), axis=-1).reshape(-1, 2)
    logits = rebuild(run, epochs).logits(points)
    return replace(run, grid_logits=logits.reshape(GRID, GRID))
