"""Gradient descent, momentum, RMSProp, Adam: the same gradients, four ways to step along them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe, published
from compare.experiments.train import Sides, costs_of, first
from compare.training.data import moons

BASE = Recipe("gradient descent", (2, 5, 2, 1), "he", lr=0.0007, epochs=10000, batch_size=64)
TOLERANCE = 5e-7  # half a unit of the last digit that was printed
_CHANGES: dict[str, dict[str, Any]] = {
    "gd": {},
    "momentum": {"name": "momentum", "optimizer": "Momentum", "hyperparameters": {"beta": 0.9}},
    "rmsprop": {"name": "RMSProp", "optimizer": "RMSprop", "hyperparameters": {"alpha": 0.99}},
    "adam": {"name": "Adam", "optimizer": "Adam"},
}
RECIPES = {
    key: replace(BASE, **changes, published=published("optimizers", key, TOLERANCE))
    for key, changes in _CHANGES.items()
}
PYTORCHS_FORM = replace(
    RECIPES["momentum"],
    name="momentum as PyTorch has it, at 0.1 times the rate",
    optimizer="SGD",
    hyperparameters={"momentum": 0.9},
    lr=BASE.lr * (1 - 0.9),
    epochs=1001,
)
# What ε and the two averages change shows at a rate at which they matter, and within a few epochs.
ADAM = replace(RECIPES["adam"], lr=0.01, epochs=200, published=Published())
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "β₁": {f"β₁ = {beta:g}": {"betas": (beta, 0.999)} for beta in (0.9, 0.0, 0.99, 0.999)},
    "β₂": {f"β₂ = {beta:g}": {"betas": (0.9, beta)} for beta in (0.999, 0.9, 0.5)},
    "ε": {f"ε = {eps:g}": {"eps": eps} for eps in (1e-8, 0.01, 0.1, 1.0)},
}


def wrong_adam_step(
    corrected: bool,
    param: np.ndarray,
    grad: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """A mistake: θ ← θ − lr · m̂/√(v̂ + ε), with ε inside the root; v in place of v̂ unless `corrected`."""
    beta1, beta2 = betas
    exp_avg[...] = beta1 * exp_avg + (1 - beta1) * grad
    exp_avg_sq[...] = beta2 * exp_avg_sq + (1 - beta2) * grad * grad
    second_moment = exp_avg_sq / (1 - beta2**step) if corrected else exp_avg_sq
    param -= lr * exp_avg / (1 - beta1**step) / np.sqrt(second_moment + eps)


# Figures of widely copied solutions that this rule gives: they are not Adam's.
MISTAKES = {
    "uncorrected": (
        False,
        replace(
            RECIPES["adam"],
            name="wrong Adam: second moment not corrected, ε inside the root",
            epochs=1,
            published=Published(last_costs={0: "0.687550"}, cost_tolerance=TOLERANCE),
        ),
    ),
    "eps_inside": (
        True,
        replace(
            RECIPES["adam"],
            name="wrong Adam: ε inside the root",
            epochs=1001,
            published=Published({1000: "0.167966"}, cost_tolerance=TOLERANCE),
        ),
    ),
}


def tasks(options: Options) -> list[Task]:
    """The four, momentum in PyTorch's form and Adam's variants on each side; the mistakes on scratch's."""
    found = tasks_of(RECIPES, moons, options, evaluate_at=(5000,))
    found += tasks_of({"pytorchs_form": PYTORCHS_FORM}, moons, options)
    adam = replace(ADAM, epochs=ADAM.epochs // 4) if options.quick else ADAM
    for name, hyperparameters in _variants().items():
        recipe = replace(adam, name=name, hyperparameters=hyperparameters)
        found += [Task(name, recipe, side, moons) for side in options.sides]
    if "scratch" in options.sides and not options.quick:
        for key, (corrected, recipe) in MISTAKES.items():
            found.append(Task(key, recipe, "scratch", moons, {"rule": partial(wrong_adam_step, corrected)}))
    return found


def report(options: Options, results: Results) -> Section:
    """Costs, boundaries, the two averages of the cost, and what Adam's hyperparameters change."""
    data = moons()
    runs = {key: sides_of(results, key) for key in RECIPES}
    comparisons: list[Comparison] = []
    for key, sides in runs.items():
        shown = range(0, BASE.epochs, 1000) if key == "rmsprop" else ()
        comparisons += compare_costs(sides, shown=shown) + compare_accuracies(sides, data)
    comparisons += compare_costs(sides_of(results, "pytorchs_form"), why="the same steps in another form")
    for key in MISTAKES:
        if (key, "scratch") in results:
            comparisons += compare_costs(sides_of(results, key), why="the figure that this mistake prints")
    return Section(
        **texts("optimizers", epochs=options.shortened(BASE).epochs),
        comparisons=comparisons,
        figures=[_costs(runs), _boundaries(runs), _averages(runs), _hyperparameters(results)],
        diagnoses=diagnoses(runs, data),
    )


def _variants() -> dict[str, dict[str, Any]]:
    """Each variant once, by name; the first of each hyperparameter is Adam as it is."""
    return {name: options for variants in VARIANTS.values() for name, options in variants.items()}


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(height=4.2) as (drawing, axes):
        named = {first(sides).recipe.name: costs_of(sides) for sides in runs.values()}
        figures.curves(axes, named, every=_every(runs, 200))
        axes.set(xlabel="epoch", ylabel="cost (nats per example)", ylim=(0, 0.75))
        figures.legend_below(drawing, axes)
    is_long = len(first(runs["adam"]).cost) > 2000
    later = ", nor, after the first thousand epochs, Adam from RMSProp" if is_long else ""
    return figure("optimizers-costs", drawing, later=later)


def _boundaries(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(rows=2, columns=2, sharex=True, sharey=True) as (drawing, axes):
        for one, sides in zip(axes.flat, runs.values(), strict=True):
            run = first(sides)
            figures.boundary(one, sides, moons())
            one.set_title(f"{run.recipe.name}: {run.final[0]} of 300")
            one.label_outer()
    return figure("optimizers-boundaries", drawing)


def _averages(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=2, sharey=True) as (drawing, axes):
        for one, key in zip(axes, ("gd", "adam"), strict=True):
            run = first(runs[key])
            step = _every(runs, 200)
            epochs = np.arange(0, run.recipe.epochs, step)
            last = np.asarray(run.last_cost)[::step]
            one.plot(epochs, last, color="0.6", lw=0.8, label="last mini-batch")
            one.plot(epochs, np.asarray(run.cost)[::step], color="black", label="mean of the epoch")
            for printed, marker in (
                (run.recipe.published.last_costs, "o"),
                (run.recipe.published.costs, "s"),
            ):
                reached = {epoch: float(cost) for epoch, cost in printed.items() if epoch < run.recipe.epochs}
                one.scatter(
                    list(reached),
                    list(reached.values()),
                    marker=marker,
                    s=26,
                    facecolor="white",
                    edgecolor=figures.COLOURS[2],
                    zorder=3,
                    label=f"published, {'older' if marker == 'o' else 'later'} edition",
                )
            one.set(title=run.recipe.name, xlabel="epoch", ylim=(0, None))
        axes[0].set_ylabel("cost (nats per example)")
        figures.legend_below(drawing, axes[0])
    return figure("optimizers-averages", drawing)


def _hyperparameters(results: Results) -> Figure:
    with figures.drawing(columns=3, height=3.4, sharey=True) as (drawing, axes):
        for one, (symbol, variants) in zip(axes, VARIANTS.items(), strict=True):
            named = {name.split(" = ")[1]: costs_of(sides_of(results, name)) for name in variants}
            figures.curves(one, named, name_sides=False)
            one.set(xlabel="epoch", ylim=(0, 1.15))
            one.legend(title=symbol, loc="upper right")
        axes[0].set_ylabel("cost (nats per example)")
    return figure("optimizers-hyperparameters", drawing, lr=ADAM.lr)


def _every(runs: Mapping[str, Sides], points: int) -> int:
    return max(1, first(runs["gd"]).recipe.epochs // points)
