"""Batch normalisation: a deeper network with and without it, at three learning rates, tenfold apart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, arbiter_tasks
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, everyone_of, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Run, Sides, costs_of, rebuild
from compare.training.data import circles

RATES = (0.01, 0.1, 1.0)
WIDTHS = (2, 16, 16, 16, 16, 1)
HIDDEN = range(1, len(WIDTHS) - 1)
TOLERANCE = 1e-6  # the two sides stay a thousand times closer, save where rounding grows
ONE_STEP = 1e-12  # a parameter after one step from equal states: rounding alone
BASE = Recipe("", WIDTHS, "he", lr=0.0, epochs=1000, published=Published(cost_tolerance=TOLERANCE))
RECIPES = {
    (rate, batch_norm): replace(
        BASE,
        name=f"learning rate {rate:g}, {'batch norm' if batch_norm else 'plain'}",
        lr=rate,
        batch_norm=batch_norm,
    )
    for rate in RATES
    for batch_norm in (False, True)
}
AMPLIFYING = (1.0, True)  # the run in which rounding grows until it can be seen
PROFILED = 0.1  # the rate at which both networks learn


def tasks(options: Options) -> list[Task]:
    """Each rate with and without batch norm on each side; the run that amplifies also in higher precision."""
    found = []
    for key, recipe in RECIPES.items():
        shortened = options.shortened(recipe)
        at = {"snapshot_at": tuple(t + i for t in moments_of(shortened) for i in (0, 1))}
        found += [Task(_key(*key), shortened, side, circles, at) for side in options.sides]
    if not options.quick:
        found += arbiter_tasks(_key(*AMPLIFYING), replace(RECIPES[AMPLIFYING], epochs=600), circles)
    return found


def report(options: Options, results: Results) -> Section:
    """Costs, pre-activations, γ and β, and how far rounding carries the two sides apart."""
    data = circles()
    runs = {key: sides_of(results, _key(*key)) for key in RECIPES}
    comparisons: list[Comparison] = []
    for key, sides in runs.items():
        if key == AMPLIFYING:
            comparisons += compare_costs(sides, shown=(0, 50))
        else:
            comparisons += compare_costs(sides, shown=range(0, BASE.epochs, 200))
            comparisons += compare_accuracies(sides, data)
        if len(sides) > 1:
            comparisons.append(compare_one_step(sides["torch"]))
    return Section(
        **texts("batch_normalization", epochs=options.shortened(BASE).epochs),
        comparisons=comparisons,
        tables=[_summary(runs)],
        figures=[
            _costs(runs),
            _preactivations(runs),
            _scale_and_shift(runs[PROFILED, True]),
            _parting(results, runs),
        ],
        diagnoses=diagnoses({_key(*key): sides for key, sides in runs.items()}, data),
    )


def _key(rate: float, batch_norm: bool) -> str:
    return f"{rate:g} {batch_norm}"


def moments_of(recipe: Recipe) -> list[int]:
    """The iterations at which the state is kept, with that of one step later."""
    return list(range(0, recipe.epochs, max(1, recipe.epochs // 40)))


def preactivations(run: Run, epochs: int) -> dict[str, np.ndarray]:
    """What goes into and comes out of batch norm, or only into the ReLU: layer → (examples, units)"""
    x = circles().x_train
    found = {}
    for name, layer in rebuild(run, epochs).network.layers.items():
        x = layer.forward(x)
        if not name.startswith("relu"):
            found[name] = x
    return found


def one_step_errors(run: Run) -> dict[int, float]:
    """Iteration → the largest difference between the weights after this side's step and after scratch's

    Both start from the state that this side had. The running statistics are not compared: scratch's step
    does not use them.
    """
    data = circles()
    errors = {}
    for t in moments_of(run.recipe):
        side = rebuild(run, t)
        side.step(data.x_train, data.targets_train)
        weights, after = side.weights(), run.snapshots[t + 1]
        errors[t] = max(float(np.abs(weights[name] - after[name]).max()) for name in side.network.shapes)
    return errors


def dead_units(run: Run) -> tuple[int, int]:
    """At the end: the hidden units whose ReLU is 0 for every training example, and all of them"""
    z = preactivations(run, run.recipe.epochs)
    layers = [z[_relu_input(run, i)] for i in HIDDEN]
    return sum(int((layer <= 0).all(axis=0).sum()) for layer in layers), sum(WIDTHS[1:-1])


def _relu_input(run: Run, i: int) -> str:
    return f"batch_norm{i}" if run.recipe.batch_norm else f"linear{i}"


def compare_one_step(run: Run) -> Comparison:
    """Steps of scratch from states of the other side, for a run in which rounding grows."""
    error = max(one_step_errors(run).values())
    return Comparison(
        run.recipe.name,
        "a step of scratch from torch's state: largest difference of a weight",
        None,
        {"scratch": f"{error:.1e}", "torch": "reference"},
        error <= ONE_STEP,
        f"at {len(moments_of(run.recipe))} iterations, each to within {ONE_STEP:g}",
    )


def _summary(runs: Mapping[tuple[float, bool], Sides]) -> Table:
    rows = []
    for sides in runs.values():
        for side, run in sides.items():
            dead, units = dead_units(run)
            rows.append(
                [
                    run.recipe.name,
                    side,
                    f"{run.cost[-1]:.6f}",
                    f"{run.final[0]} of 300",
                    f"{run.final[1]} of 100",
                    f"{dead} of {units}",
                ]
            )
    header = ("", "side", "last cost", "training set", "test set", "dead hidden units")
    return Table("After training", header, rows)


def _costs(runs: Mapping[tuple[float, bool], Sides]) -> Figure:
    with figures.drawing(columns=3, sharey=True) as (drawing, axes):
        for one, rate in zip(axes, RATES, strict=True):
            named = {
                "batch norm" if batch_norm else "plain": costs_of(runs[rate, batch_norm])
                for batch_norm in (False, True)
            }
            figures.curves(one, named)
            one.set(title=f"learning rate {rate:g}", xlabel="iteration", yscale="log")
        axes[0].set(ylabel="cost (nats per example)", ylim=(1e-3, 3))
        figures.legend_below(drawing, axes[0])
    return figure("batch_normalization-costs", drawing)


def _preactivations(runs: Mapping[tuple[float, bool], Sides]) -> Figure:
    rows = (
        ("plain, rate 1:\nz", (1.0, False), "linear"),
        ("plain, rate 0.1:\nz", (PROFILED, False), "linear"),
        ("batch norm, rate 0.1:\nz, before it", (PROFILED, True), "linear"),
        ("batch norm, rate 0.1:\nz̃ = γẑ + β, after it", (PROFILED, True), "batch_norm"),
    )
    with figures.drawing(rows=4, columns=4, height=2.2, sharex=True, sharey="row") as (drawing, axes):
        for row, (label, key, layer) in zip(axes, rows, strict=True):
            for i, run in enumerate(runs[key].values()):
                moments = [*moments_of(run.recipe), run.recipe.epochs]
                found = [preactivations(run, t) for t in moments]
                for one, number in zip(row, HIDDEN, strict=True):
                    z = np.array([layers[f"{layer}{number}"] for layers in found])
                    _band(one, moments, z, filled=i == 0)
            row[0].set_ylabel(label)
        _label_layers(axes)
    return figure("batch_normalization-preactivations", drawing)


def _label_layers(axes: Any) -> None:
    for i, one in zip(HIDDEN, axes[0], strict=True):
        one.set_title(f"layer {i}")
    for one in axes[-1]:
        one.set_xlabel("iteration")


def _band(axes: Axes, moments: Sequence[int], z: np.ndarray, *, filled: bool) -> None:
    low, lower, middle, upper, high = np.percentile(z, (5, 25, 50, 75, 95), axis=(1, 2))
    if filled:
        axes.fill_between(moments, low, high, color=figures.COLOURS[1], alpha=0.25, lw=0)
        axes.fill_between(moments, lower, upper, color=figures.COLOURS[1], alpha=0.4, lw=0)
        axes.plot(moments, middle, color="white", lw=3)
    else:
        for line in (low, lower, middle, upper, high):
            axes.plot(moments, line, color="black", lw=0.8, ls=(0, (4, 2)))


def _scale_and_shift(sides: Sides) -> Figure:
    with figures.drawing(rows=2, columns=len(HIDDEN), sharex=True, sharey="row") as (drawing, axes):
        for row, (symbol, parameter) in zip(axes, (("γ", "weight"), ("β", "bias")), strict=True):
            for one, i in zip(row, HIDDEN, strict=True):
                for side, run in sides.items():
                    moments = [*moments_of(run.recipe), run.recipe.epochs]
                    values = [run.snapshots[t][f"batch_norm{i}.{parameter}"] for t in moments]
                    first = side == next(iter(sides))
                    style: Any = {"lw": 3, "alpha": 0.35} if first else {"lw": 0.8, "ls": (0, (4, 2))}
                    one.plot(moments, values, color=figures.COLOURS[1 if first else 0], **style)
            row[0].set_ylabel(f"{symbol} of each unit")
        _label_layers(axes)
    return figure("batch_normalization-gamma_beta", drawing, rate=PROFILED)


def _parting(results: Results, runs: Mapping[tuple[float, bool], Sides]) -> Figure:
    with figures.drawing(columns=2, height=3.4, sharey=True) as (drawing, axes):
        for i, ((rate, batch_norm), sides) in enumerate(runs.items()):
            if len(sides) > 1:
                name = f"rate {rate:g}, {'batch norm' if batch_norm else 'plain'}"
                figures.distance(axes[0], sides["scratch"], sides["torch"], i, name, lw=1)
        figures.partings(axes[1], everyone_of(results, _key(*AMPLIFYING)), lw=1)
        axes[0].set(title="scratch − torch", ylabel="distance of the costs (nats)")
        axes[1].set(title="rate 1, batch norm")
        for one in axes:
            one.set(xlabel="iteration", yscale="log")
        if axes[1].lines:
            axes[1].legend(loc="lower right")
        figures.legend_below(drawing, axes[0], columns=3)
    return figure("batch_normalization-parting", drawing, when=_when_parted(runs[AMPLIFYING]))


def _when_parted(sides: Sides) -> str:
    """The first iterations at which the costs differ by more than two distances."""
    if len(sides) < 2:
        return ""
    distance = np.abs(np.subtract(sides["scratch"].cost, sides["torch"].cost))
    return "".join(
        f", by more than {seen:g} for the first time at iteration {np.argmax(distance > seen)}"
        for seen in (1e-6, 1e-3)
        if (distance > seen).any()
    )
