"""Zeros, large random numbers, He: where the weights start decides whether anything is learnt."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, arbiter_tasks, tasks_of
from compare.experiments.figures import VISIBLE
from compare.experiments.page import Comparison, Figure, Section, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, everyone_of, sides_of
from compare.experiments.recipe import Recipe, published
from compare.experiments.train import Sides, costs_of, first
from compare.training.data import Data, circles

_BASE = Recipe(
    "He", (2, 10, 5, 1), "he", lr=0.01, epochs=15000, published=published("initialization", "he", 1e-10)
)
RECIPES = {
    "zeros": replace(
        _BASE, name="zeros", scale="zeros", published=published("initialization", "zeros", 1e-12)
    ),
    "large_random": replace(
        _BASE,
        name="large random",
        scale="large_random",
        published=published("initialization", "large_random", 0.01),
    ),
    "he": _BASE,
}
STABLE_INFINITY = 1773.5859549374  # the cost at the start that was printed as inf


def tasks(options: Options) -> list[Task]:
    """Each start on each side; the large one also in higher precision."""
    large = options.shortened(RECIPES["large_random"])
    return [
        *tasks_of(RECIPES, circles, options, snapshot_at=(0,)),
        *arbiter_tasks("large_random", large, circles),
    ]


def report(options: Options, results: Results) -> Section:
    """Costs, boundaries, the symmetry of zeros, and how rounding grows in the large start."""
    data = circles()
    runs = {key: sides_of(results, key) for key in RECIPES}
    comparisons: list[Comparison] = []
    for key, sides in runs.items():
        rows = compare_costs(sides)
        comparisons += [_at_infinity(sides), *rows[1:]] if key == "large_random" else rows
        if key != "large_random" or not options.quick:  # half-way the two sides are not where they were
            comparisons += compare_accuracies(sides, data)
    drawings = [_costs(runs), _boundaries(runs, data), _symmetry(runs)]
    everyone = everyone_of(results, "large_random")
    if len(everyone) > 1:
        drawings.append(_parting(everyone))
    right = {key: f"{first(sides).final[0] / 300:.0%}" for key, sides in runs.items()}
    epochs = options.shortened(_BASE).epochs
    return Section(
        **texts("initialization", at_infinity=STABLE_INFINITY, epochs=epochs, **right),
        comparisons=comparisons,
        figures=drawings,
        diagnoses=diagnoses(runs, data),
    )


def _at_infinity(sides: Sides) -> Comparison:
    costs = {side: run.cost[0] for side, run in sides.items()}
    return Comparison(
        "large random",
        "cost, epoch 0",
        "inf",
        {side: f"{cost:.16g}" for side, cost in costs.items()},
        all(abs(cost - STABLE_INFINITY) < 1e-9 for cost in costs.values()),
        "inf was the logarithm of a rounded sigmoid; computed from the logits it is finite",
    )


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=1) as (drawing, axes):
        named = {RECIPES[key].name: costs_of(sides) for key, sides in runs.items()}
        figures.curves(axes, named, every=20)
        axes.set(xlabel="iteration", ylabel="cost (nats per example)", ylim=(0, 1))
        figures.legend_below(drawing, axes)
    return figure("initialization-costs", drawing)


def _boundaries(runs: Mapping[str, Sides], data: Data) -> Figure:
    with figures.drawing(columns=3, sharex=True, sharey=True) as (drawing, axes):
        for one, sides in zip(axes, runs.values(), strict=True):
            run = first(sides)
            figures.boundary(one, sides, data)
            one.set_title(f"{run.recipe.name}: {run.final[0] / 300:.2%} / {run.final[1] / 100:.0%}")
    return figure("initialization-boundaries", drawing)


def _symmetry(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=2) as (drawing, axes):
        for one, key in zip(axes, ("zeros", "he"), strict=True):
            run = first(runs[key])
            start, end = (run.snapshots[epoch]["linear1.weight"] for epoch in (0, run.recipe.epochs))
            one.scatter(*start.T, marker="x", color=figures.COLOURS[2], s=35, label="at the start")
            one.scatter(*end.T, marker="o", color=figures.COLOURS[1], s=22, label="after training")
            one.set(title=run.recipe.name, xlabel="weight of $x_1$", ylabel="weight of $x_2$")
            one.legend()
    return figure("initialization-symmetry", drawing)


def _parting(everyone: Sides) -> Figure:
    parted = "they do not"
    with figures.drawing() as (drawing, axes):
        apart = figures.partings(axes, everyone).get(("scratch", "torch"))
        if apart is not None and (apart > VISIBLE).any():
            parted = f"from iteration {np.argmax(apart > VISIBLE)}"
        axes.set(xlabel="iteration", ylabel="distance of the costs (nats)")
        axes.legend()
    return figure("initialization-parting", drawing, visible=VISIBLE, parted=parted)
