"""Batch normalisation: a deeper network with and without it, at three learning rates, tenfold apart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from compare.experiments import figures
from compare.experiments.experiment import Experiment, Options, Results, Task
from compare.experiments.page import Comparison, Figure, Section, Table, lines
from compare.experiments.published import Sides, compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Run, rebuild
from compare.training.data import circles

RATES = (0.01, 0.1, 1.0)
WIDTHS = (2, 16, 16, 16, 16, 1)
HIDDEN = range(1, len(WIDTHS) - 1)
TOLERANCE = 1e-6  # the two sides stay a thousand times closer, save where rounding grows
ONE_STEP = 1e-12  # a parameter after one step from equal states: rounding alone
HAS_ARBITER = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
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
        at = {"snapshot_at": tuple(t + i for t in _moments(shortened) for i in (0, 1))}
        found += [Task(_key(*key), shortened, side, circles, at) for side in options.sides]
    if HAS_ARBITER and not options.quick:
        recipe = replace(RECIPES[AMPLIFYING], epochs=600)
        found.append(Task(_key(*AMPLIFYING), recipe, "arbiter", circles, {"dtype": np.longdouble}))
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
            comparisons.append(_compare_one_step(sides["torch"]))
    return Section(
        name="batch_normalization",
        title="Batch normalisation",
        text=(
            "A network with four hidden layers of 16 on the two rings, plain and with batch norm in front of"
            " each ReLU, at three learning rates. All examples are in one batch, whose mean and variance are"
            " those of the training set.",
            "Plain, the smallest rate has hardly begun after 1000 iterations; the middle one learns, but its"
            " cost jumps again and again; the largest kills the network: units get to where their ReLU is"
            " 0 for every example, in the end all those of a layer, no gradient passes, and the cost stays at"
            " log 2 for good. With batch norm all three rates learn, the largest fastest: whatever a step"
            " does to the weights in front, z̃ = γẑ + β has mean β and standard deviation γ again, and no"
            " ReLU is closed to every example. The cost jumps there too, and comes back within a few"
            " dozen iterations.",
            "It is not free: a step takes twice the time or more. And it is no cure for variance: at all"
            " three rates the training set is learnt almost to the last point, and some 7 of the 100 test"
            " points stay wrong.",
        ),
        recipe=lines(
            ("data", "300 points in two circles (noise 0.05, seed 1), 100 for testing (seed 2)"),
            ("network", "2-16-16-16-16-1, ReLU, sigmoid output, mean cross-entropy, float64"),
            (
                "weights",
                "standard normal from seed 3, layer by layer, times √(2/fan_in); β and biases 0, γ 1",
            ),
            ("batch norm", "ε = 1e-5; running statistics with momentum 0.1; no bias in the layer before"),
            ("training", f"gradient descent on all points, {options.shortened(BASE).epochs} iterations"),
        ),
        comparisons=comparisons,
        tables=[_summary(runs)],
        figures=[
            _costs(runs),
            _preactivations(runs),
            _scale_and_shift(runs[PROFILED, True]),
            _parting(results, runs),
        ],
        diagnoses=diagnoses({_key(*key): sides for key, sides in runs.items()}, data),
        notes=(
            "Batch norm stands in front of the activation here, on z. The layer before it has no bias:"
            " subtracting the mean would take it out again, and β has its place.",
            "In training μ and σ² are those of the batch; for predictions they are averages over the training"
            " steps. A network that is left in training mode gives another answer for the same point,"
            " depending on which others are in its batch.",
            "The costs are computed with the statistics of the batch, the accuracies with the running ones,"
            " which lag behind weights that move fast.",
            "γ = √(σ² + ε) and β = μ would undo batch norm: the network can still compute everything that it"
            " could without.",
            "At the largest rate with batch norm, rounding grows until it can be seen, and the two sides do"
            " not end at the same cost. Their steps agree all the same: wherever it was tried, a step of"
            " scratch from a state of torch leads where torch went, to the last digit or two.",
        ),
    )


def _key(rate: float, batch_norm: bool) -> str:
    return f"{rate:g} {batch_norm}"


def _moments(recipe: Recipe) -> list[int]:
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
    for t in _moments(run.recipe):
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


def _compare_one_step(run: Run) -> Comparison:
    error = max(one_step_errors(run).values())
    return Comparison(
        run.recipe.name,
        "a step of scratch from torch's state: largest difference of a weight",
        None,
        {"scratch": f"{error:.1e}", "torch": "reference"},
        error <= ONE_STEP,
        f"at {len(_moments(run.recipe))} iterations, each to within {ONE_STEP:g}",
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
                "batch norm" if batch_norm else "plain": {
                    side: run.cost for side, run in runs[rate, batch_norm].items()
                }
                for batch_norm in (False, True)
            }
            figures.curves(one, named)
            one.set(title=f"learning rate {rate:g}", xlabel="iteration", yscale="log")
        axes[0].set(ylabel="cost (nats per example)", ylim=(1e-3, 3))
        figures.legend_below(drawing, axes[0])
    caption = "The cost of each iteration, on a logarithmic scale; the plain network dies at the rate 1."
    return Figure("batch_normalization-costs", drawing, caption)


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
                moments = [*_moments(run.recipe), run.recipe.epochs]
                found = [preactivations(run, t) for t in moments]
                for one, number in zip(row, HIDDEN, strict=True):
                    z = np.array([layers[f"{layer}{number}"] for layers in found])
                    _band(one, moments, z, filled=i == 0)
            row[0].set_ylabel(label)
        _label_layers(axes)
    caption = (
        "What is in front of the ReLUs over training, of all units and examples of a layer: median, middle"
        " half (dark) and middle nine tenths (pale), as areas of scratch and dashed lines of torch."
        " Plain, each layer gets what the ones before it make, on another scale every time they move; at"
        " the rate 1 a layer soon has only negative numbers, and passes on nothing. Batch norm, at its"
        " output, keeps every layer at the scale that γ and β give it."
    )
    return Figure("batch_normalization-preactivations", drawing, caption)


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
                    moments = [*_moments(run.recipe), run.recipe.epochs]
                    values = [run.snapshots[t][f"batch_norm{i}.{parameter}"] for t in moments]
                    first = side == next(iter(sides))
                    style: Any = {"lw": 3, "alpha": 0.35} if first else {"lw": 0.8, "ls": (0, (4, 2))}
                    one.plot(moments, values, color=figures.COLOURS[1 if first else 0], **style)
            row[0].set_ylabel(f"{symbol} of each unit")
        _label_layers(axes)
    caption = (
        f"γ and β at the learning rate {PROFILED:g}, a line for each unit: scratch wide and pale, torch"
        " dashed. They begin at 1 and 0. The first layers hardly use them; the last one makes some units"
        " count for more than others."
    )
    return Figure("batch_normalization-gamma_beta", drawing, caption)


def _parting(results: Results, runs: Mapping[tuple[float, bool], Sides]) -> Figure:
    with figures.drawing(columns=2, height=3.4, sharey=True) as (drawing, axes):
        for i, ((rate, batch_norm), sides) in enumerate(runs.items()):
            if len(sides) > 1:
                name = f"rate {rate:g}, {'batch norm' if batch_norm else 'plain'}"
                _distance(axes[0], sides["scratch"], sides["torch"], i, name)
        found = {side: run for (key, side), run in results.items() if key == _key(*AMPLIFYING)}
        for i, (a, b) in enumerate((("scratch", "torch"), ("scratch", "arbiter"), ("torch", "arbiter"))):
            if a in found and b in found:
                _distance(axes[1], found[a], found[b], i, f"{a} − {b}")
        axes[0].set(title="scratch − torch", ylabel="distance of the costs (nats)")
        axes[1].set(title="rate 1, batch norm")
        for one in axes:
            one.set(xlabel="iteration", yscale="log")
        if axes[1].lines:
            axes[1].legend(loc="lower right")
        figures.legend_below(drawing, axes[0], columns=3)
    caption = (
        "How far the two sides are apart. In one run they part visibly"
        f"{_when_parted(runs[AMPLIFYING])}. The arbiter, scratch in 64-bit mantissas, leaves both of them as"
        " they leave each other, at the same time: large steps make rounding grow, and neither side is at"
        " fault."
    )
    return Figure("batch_normalization-parting", drawing, caption)


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


def _distance(axes: Axes, a: Run, b: Run, i: int, label: str) -> None:
    n = min(len(a.cost), len(b.cost))
    distance = np.maximum(np.abs(np.subtract(a.cost[:n], b.cost[:n])), 1e-17)
    axes.plot(distance, color=figures.COLOURS[i], ls=figures.DASHES[i], lw=1, label=label)


EXPERIMENT = Experiment("batch_normalization", "Batch normalisation", tasks, report)
