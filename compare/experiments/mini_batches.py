"""Mini-batches: the same examples in steps of one, of a few, and of all at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Run, Sides, build, costs_of, first
from compare.training.data import Data, checkerboard

EXAMPLES = 1024
SIZES = (1, 16, 64, 256, EXAMPLES)
TOLERANCE = 1e-9
BASE = Recipe(
    "batches of 1",
    (2, 32, 1),
    "he",
    lr=0.1,
    epochs=15,
    batch_size=1,
    published=Published(cost_tolerance=TOLERANCE),
)
RECIPES = {
    **{
        str(size): replace(
            BASE, name=f"batches of {size}" if size < EXAMPLES else "all at once", batch_size=size
        )
        for size in SIZES
    },
    "faster": replace(BASE, name="all at once, learning rate 1", batch_size=EXAMPLES, lr=1.0),
}
DATA: Callable[[], Data] = partial(checkerboard, EXAMPLES)


def tasks(options: Options) -> list[Task]:
    """A training for each size of the batches on each side, on the same number of examples."""
    return tasks_of(RECIPES, DATA, options, 5, snapshot_at=(0,))


def report(options: Options, results: Results) -> Section:
    """The cost by examples seen and by steps taken, what a step costs, and how far it points elsewhere."""
    data = DATA()
    runs = {key: sides_of(results, key) for key in RECIPES}
    noises = {size: {side: noise(run, size) for side, run in runs[str(size)].items()} for size in SIZES}
    comparisons: list[Comparison] = []
    for sides in runs.values():
        comparisons += compare_costs(sides, shown=(0, first(sides).recipe.epochs - 1))
        comparisons += compare_accuracies(sides, data)
    comparisons += [_compare_noise(size, sides) for size, sides in noises.items()]
    one = {key: first(sides) for key, sides in runs.items()}
    return Section(
        **texts(
            "mini_batches",
            examples=EXAMPLES,
            epochs=first(runs["1"]).recipe.epochs,
            lr=BASE.lr,
            ranking=ranking(one),
            seconds=seconds(one),
            noise={size: next(iter(sides.values())) for size, sides in noises.items()},
        ),
        comparisons=comparisons,
        tables=[_table(runs, noises)],
        figures=[_costs(runs), _noise(noises)],
        diagnoses=diagnoses(runs, data, base_error=0.05),
    )


def gradient_of(side: Any, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The gradient of the cost of a batch with respect to all weights, one after the other."""
    network, x, targets = side.network, side.array(x), side.array(targets)
    cost = network.cost(network.forward(x), targets)
    if hasattr(network, "flat_gradients"):
        network.backward()
        return network.flat_gradients.copy()
    network.zero_grad()
    cost.backward()
    return np.concatenate([p.grad.numpy().ravel() for p in network.parameters()])


def noise(run: Run, size: int) -> float:
    """How far the gradient of a batch is from that of all examples, at the first weights

    √(mean over the batches of ‖g_batch − g‖²) / ‖g‖
    """
    data, side = DATA(), build(run.recipe, run.side)
    side.load(run.snapshots[0])
    whole = gradient_of(side, data.x_train, data.targets_train)
    batches = replace(run.recipe, batch_size=size).batches(0, data.x_train, data.targets_train)
    squares = [float(np.sum((gradient_of(side, *batch) - whole) ** 2)) for batch in batches]
    return float(np.sqrt(np.mean(squares)) / np.linalg.norm(whole))


def expected_noise(of_one: float, size: int) -> float:
    """What batches drawn without replacement come to: √((n − B)/(n − 1)/B) times the noise of one example"""
    return of_one * float(np.sqrt((EXAMPLES - size) / (EXAMPLES - 1) / size))


def ranking(runs: Mapping[str, Run]) -> str:
    """The cost of the first and of the last epoch, best first"""
    at = [sorted(runs.values(), key=lambda run: run.cost[epoch]) for epoch in (0, -1)]
    early, late = (
        f"{order[0].recipe.name} ({order[0].cost[epoch]:.3f}), then {order[1].recipe.name}"
        f" ({order[1].cost[epoch]:.3f}); last {order[-1].recipe.name} ({order[-1].cost[epoch]:.3f})"
        for order, epoch in zip(at, (0, -1), strict=True)
    )
    same = at[0][0] is at[1][0]
    return (
        f"In the first epoch the cost is lowest for {early}. In the last one it is"
        f" {'still ' if same else ''}lowest for {late}."
    )


def seconds(runs: Mapping[str, Run]) -> str:
    """How much longer it takes to see the same examples one by one"""
    factor = runs["1"].seconds / runs["64"].seconds
    return f"in batches of 1, {factor:.0f} times as long as in batches of 64"


def steps_of_epoch(recipe: Recipe) -> int:
    """The steps of an epoch, the last one perhaps of fewer examples."""
    return -(-EXAMPLES // (recipe.batch_size or EXAMPLES))


def _compare_noise(size: int, sides: Mapping[str, float]) -> Comparison:
    one, *others = sides.values()
    return Comparison(
        "noise of the gradient",
        f"batches of {size}",
        None,
        {side: f"{value:.12g}" for side, value in sides.items()},
        all(abs(one - other) <= TOLERANCE for other in others),
        f"to within {TOLERANCE:g}",
    )


def _table(runs: Mapping[str, Sides], noises: Mapping[int, Mapping[str, float]]) -> Table:
    rows = []
    for key, sides in runs.items():
        run = first(sides)
        found = noises[run.recipe.batch_size or EXAMPLES]
        rows.append(
            (
                run.recipe.name,
                f"{steps_of_epoch(run.recipe) * run.recipe.epochs}",
                f"{run.cost[-1]:.4f}",
                f"{run.final[0] / EXAMPLES:.1%}",
                f"{next(iter(found.values())):.2f}" if key != "faster" else "",
                *(f"{side.seconds:.2f} s" for side in sides.values()),
            )
        )
    times = (f"time, {side}" for side in first_keys(runs))
    header = ("", "steps", "cost of the last epoch", "training set", "noise of the gradient", *times)
    return Table("The same examples in batches of each size; the times are those of this run", header, rows)


def first_keys(runs: Mapping[str, Sides]) -> tuple[str, ...]:
    """The sides that there are."""
    return tuple(next(iter(runs.values())))


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=2, height=3.6, sharey=True) as (drawing, axes):
        for one, by_steps in zip(axes, (False, True), strict=True):
            for i, sides in enumerate(runs.values()):
                for side, run in sides.items():
                    times = np.arange(1, run.recipe.epochs + 1)
                    if by_steps:
                        times *= steps_of_epoch(run.recipe)
                    label = "_" if figures.is_wide(side, sides) else run.recipe.name
                    style = {"marker": "."} | figures.side_style(i, side, sides)
                    one.plot(times, costs_of(sides)[side], label=label, **style)
        axes[0].set(xlabel="epochs: examples seen", ylabel="cost (nats per example)")
        axes[1].set(xlabel="steps taken", xscale="log")
        figures.legend_below(drawing, axes[0], columns=3)
    return figure("mini_batches-costs", drawing, lr=BASE.lr)


def _noise(noises: Mapping[int, Mapping[str, float]]) -> Figure:
    sizes = [size for size in SIZES if size < EXAMPLES]
    of_one = next(iter(noises[1].values()))
    with figures.drawing() as (drawing, axes):
        between = np.geomspace(1, sizes[-1], 50)
        expected = [expected_noise(of_one, size) for size in between]
        axes.plot(between, expected, color="0.6", lw=0.8, label="that of 1, times √((n − B)/(n − 1)/B)")
        for side in noises[1]:
            style = {"marker": "o", "ls": ""} | ({"ms": 9, "alpha": 0.3} if side == "scratch" else {"ms": 4})
            axes.plot(
                sizes, [noises[size][side] for size in sizes], color=figures.COLOURS[1], label=side, **style
            )
        axes.set(xscale="log", yscale="log", xlabel="examples in a batch, B", ylabel="noise of the gradient")
        axes.legend()
    return figure("mini_batches-noise", drawing)
