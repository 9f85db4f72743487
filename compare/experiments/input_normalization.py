"""Input normalization: the same network, and the same two weights, on raw and on standardised inputs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from matplotlib.axes import Axes

import scratch.standardization
import torch_ref.standardization
from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import SIDES, Sides, costs_of, first, rebuild
from compare.experiments.two_weights import PATHS, TwoWeights
from compare.training.data import Data, moons

TRAINING = 200  # of the 300 points; the others are for testing
GOAL = 0.2  # the cost that the networks are to reach
_BASE = Recipe("", (2, 8, 1), "he", lr=0.0, epochs=1200, published=Published(cost_tolerance=1e-10))
RATES = {"raw": (0.1, 0.2, 0.4, 0.8), "standardised": (0.5, 1.0, 2.0, 4.0, 8.0)}
WEIGHTS = (0.5, 2.0)  # of the linear function that the two weights are to find
REST = 1e-3  # of the excess cost of the two weights: there they have arrived
FRACTIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # of the rate beyond which descent diverges
ITERATIONS = 400  # of the two weights
PATH_TOLERANCE = 1e-12
RATE_TICKS, COUNT_TICKS = (0.2, 0.5, 1, 2, 5, 10), (30, 100, 300, 1000)
CONTOURS = 10.0 ** np.arange(-3, 2, 0.5)  # of the excess cost


def stretched_moons(inputs: str = "raw", side: str = "scratch") -> Data:
    """The half-moons with x₁ stretched fivefold and moved: raw, or standardised by one side

    Mean and standard deviation are those of the training set, for the test set too.
    """
    data = moons()
    x, targets = data.x_train * [5.0, 1.0] + [1.0, 0.0], data.targets_train
    x_train, x_test = x[:TRAINING], x[TRAINING:]
    if inputs == "standardised" and side == "torch":
        theirs = torch_ref.standardization.Standardizer().fit(torch.from_numpy(x_train))
        x_train, x_test = (theirs.transform(torch.from_numpy(part)).numpy() for part in (x_train, x_test))
    elif inputs == "standardised":
        ours = scratch.standardization.Standardizer().fit(x_train)
        x_train, x_test = ours.transform(x_train), ours.transform(x_test)
    return Data(x_train, targets[:TRAINING], x_test, targets[TRAINING:])


def recipe(inputs: str, lr: float) -> Recipe:
    """The network's training on these inputs at this rate."""
    return replace(_BASE, name=f"{inputs}, learning rate {lr:g}", lr=lr)


def tasks(options: Options) -> list[Task]:
    """Every rate of the scan, on raw and on standardised inputs, on each side."""
    return [
        Task(
            f"{inputs} {lr:g}",
            options.shortened(recipe(inputs, lr)),
            side,
            partial(stretched_moons, inputs, side),
        )
        for inputs, rates in RATES.items()
        for lr in rates
        for side in options.sides
    ]


def report(options: Options, results: Results) -> Section:
    """The data, the two weights, the network, and what a test set has to be standardised by."""
    scan = {
        inputs: {lr: sides_of(results, f"{inputs} {lr:g}") for lr in rates} for inputs, rates in RATES.items()
    }
    best = {inputs: min(runs.values(), key=_speed) for inputs, runs in scan.items()}
    descents = {inputs: _descent(inputs, options.sides) for inputs in RATES}
    epochs = options.shortened(_BASE).epochs
    comparisons: list[Comparison] = []
    for inputs, descent in descents.items():
        comparisons += descent.compare(inputs)
    for inputs, runs in scan.items():
        for sides in runs.values():
            comparisons.append(_compare_speeds(sides))
            if sides is best[inputs]:
                comparisons += compare_costs(sides, shown=[0, epochs - 1])
                comparisons += compare_accuracies(sides, stretched_moons(inputs))
    raw = stretched_moons()
    mean, std = scratch.standardization.standardize_fit(raw.x_train)
    return Section(
        **texts(
            "input_normalization",
            conditions={inputs: descent.model.condition for inputs, descent in descents.items()},
            training=TRAINING,
            mean=mean,
            std=std,
            weights=WEIGHTS,
            epochs=epochs,
        ),
        comparisons=comparisons,
        tables=[_speeds(best, descents), _test_statistics(best["standardised"], raw)],
        figures=[_steps(raw, mean, std), _contours(descents), _network(scan, best)],
        diagnoses=[
            line
            for inputs, sides in best.items()
            for line in diagnoses({inputs: sides}, stretched_moons(inputs))
        ],
    )


@dataclass(frozen=True)
class Descent:
    """Gradient descent of the two weights, at the best rate of the scan, on each side."""

    model: TwoWeights
    fraction: float
    paths: Mapping[str, np.ndarray]

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.fraction * self.model.largest_rate

    def iterations(self, side: str) -> int | None:
        """How many it takes until the excess cost is at most `REST` of what it was."""
        return _arrival(self.model.excess(self.paths[side]), REST)

    def excesses(self) -> dict[str, list[float]]:
        """Excess cost on each side, at each iteration."""
        return {side: list(self.model.excess(path)) for side, path in self.paths.items()}

    def compare(self, inputs: str) -> list[Comparison]:
        """The sides against each other."""
        counts = {side: str(self.iterations(side)) for side in self.paths}
        ends = np.array([path[-1] for path in self.paths.values()])
        texts = {side: ", ".join(f"{value:.15g}" for value in path[-1]) for side, path in self.paths.items()}
        name = f"two weights, {inputs}"
        return [
            Comparison(name, "iterations", None, counts, len(set(counts.values())) == 1, "as an exact count"),
            Comparison(
                name,
                "weights at the end",
                None,
                texts,
                bool(np.ptp(ends, axis=0).max() <= PATH_TOLERANCE),
                f"to within {PATH_TOLERANCE:g}",
            ),
        ]


def _two_weights(inputs: str, side: str) -> TwoWeights:
    """The linear function to be found is one of the raw inputs; on standardised ones its weights differ."""
    raw, x = stretched_moons().x_train, stretched_moons(inputs, side).x_train
    noise = 0.3 * np.random.RandomState(0).randn(len(raw), 1)
    targets = (raw - raw.mean(axis=0)) @ np.array([WEIGHTS]).T + noise
    return TwoWeights(x - x.mean(axis=0), targets)


def _descent(inputs: str, sides: tuple[str, ...]) -> Descent:
    models = {side: _two_weights(inputs, side) for side in sides}
    first = models[sides[0]]

    def speed(fraction: float) -> float:
        path = PATHS[sides[0]](first, fraction * first.largest_rate, ITERATIONS)
        return _or_infinity(_arrival(first.excess(path), REST))

    fraction = min(FRACTIONS, key=speed)
    rate = fraction * first.largest_rate
    return Descent(first, fraction, {side: PATHS[side](models[side], rate, ITERATIONS) for side in sides})


def _arrival(values: np.ndarray, goal: float) -> int | None:
    """The first index at which the goal is reached."""
    reached = np.flatnonzero(np.asarray(values) <= goal)
    return int(reached[0]) if len(reached) else None


def _or_infinity(iterations: int | None) -> float:
    return math.inf if iterations is None else iterations


def _speed(sides: Sides) -> tuple[float, float]:
    """Iterations to the goal; where none got there, the cost at the end decides."""
    cost = first(sides).cost
    return _or_infinity(_arrival(np.array(cost), GOAL)), cost[-1]


def _text(iterations: int | None, limit: int) -> str:
    return f"not within {limit}" if iterations is None else str(iterations)


def _compare_speeds(sides: Sides) -> Comparison:
    counts = {
        side: _text(_arrival(np.array(run.cost), GOAL), run.recipe.epochs) for side, run in sides.items()
    }
    agrees = len(set(counts.values())) == 1
    name = first(sides).recipe.name
    return Comparison(name, f"iterations to a cost of {GOAL:g}", None, counts, agrees, "as an exact count")


def _speeds(best: Mapping[str, Sides], descents: Mapping[str, Descent]) -> Table:
    rows = []
    for inputs, descent in descents.items():
        model, side = descent.model, next(iter(descent.paths))
        rows.append(
            (
                "two weights",
                inputs,
                f"{descent.rate:.3g} ({model.best_rate:.3g} in theory)",
                _text(descent.iterations(side), ITERATIONS),
                f"κ = {model.condition:.2f}",
            )
        )
    for inputs, sides in best.items():
        run = first(sides)
        reached = _arrival(np.array(run.cost), GOAL)
        rows.append(("network", inputs, f"{run.recipe.lr:g}", _text(reached, run.recipe.epochs), ""))
    header = ("model", "inputs", "best rate", "iterations", "condition")
    caption = (
        f"Iterations at the best learning rate of a small scan: two weights to {REST:.1%} of their excess"
        f" cost, the network to a cost of {GOAL:g}"
    )
    return Table(caption, header, rows)


def _test_statistics(sides: Sides, raw: Data) -> Table:
    """Right answers on the test set, standardised in ways that are right and wrong."""
    fit = scratch.standardization.Standardizer().fit
    test, classes = raw.x_test, raw.targets_test[:, 0]
    by_class, by_example = np.empty_like(test), np.empty_like(test)
    for value in (0, 1):
        rows = classes == value
        by_class[rows] = fit(test[rows]).transform(test[rows])
    for i in range(len(test)):
        by_example[i] = fit(test[i : i + 1]).transform(test[i : i + 1])[0]
    ways = {
        "the training set": fit(raw.x_train).transform(test),
        "the test set": fit(test).transform(test),
        "each class of the test set by itself": by_class,
        "each example by itself: every input becomes 0": by_example,
    }
    table = []
    for name, x in ways.items():
        counts = [int((rebuild(run, len(run.cost)).predict(x) == classes).sum()) for run in sides.values()]
        table.append((name, *(f"{count}/{len(test)}" for count in counts)))
    caption = "Right answers on the test set, when it is standardised by the statistics of …"
    return Table(caption, ("statistics of", *sides), table)


def _steps(raw: Data, mean: np.ndarray, std: np.ndarray) -> Figure:
    x = raw.x_train
    shown = {
        "raw": x,
        "minus μ": x - mean,
        "divided by σ": (x - mean) / std,
        "divided by σ², the misprint": (x - mean) / std**2,
    }
    with figures.drawing(2, 2, sharex=True, sharey=True) as (drawing, axes):
        drawing.set_size_inches(7.4, 4.4)
        for one, (name, points) in zip(axes.flat, shown.items(), strict=True):
            figures.points(one, points, raw.targets_train, size=8)
            spreads = points.std(axis=0)
            one.set(
                title=f"{name}: σ = {spreads[0]:.2g} and {spreads[1]:.2g}",
                xlim=(-10, 14),
                ylim=(-5, 5),
                aspect="equal",
            )
        for one in axes[1]:
            one.set_xlabel("$x_1$")
        for one in axes[:, 0]:
            one.set_ylabel("$x_2$")
        figures.legend_below(drawing, axes[0, 0])
    return figure("input_normalization-data", drawing)


def _contours(descents: Mapping[str, Descent]) -> Figure:
    with figures.drawing(columns=3) as (drawing, axes):
        for one, (inputs, descent) in zip(axes, descents.items(), strict=False):
            _valley(one, descent)
            one.set_title(f"{inputs}: κ = {descent.model.condition:.3g}, rate {descent.rate:.2g}")
        figures.curves(axes[2], {inputs: descent.excesses() for inputs, descent in descents.items()})
        axes[2].set(xlabel="iteration", ylabel="excess cost (1 at the start)", yscale="log", ylim=(1e-6, 2))
        axes[2].set(xlim=(-5, 2 * (descents["raw"].iterations(next(iter(descents["raw"].paths))) or 100)))
        axes[2].legend(fontsize=8)
    return figure("input_normalization-contours", drawing)


def _valley(axes: Axes, descent: Descent) -> None:
    model = descent.model
    corners = np.array([next(iter(descent.paths.values())).min(axis=0), model.minimum])
    middle, half = corners.mean(axis=0), 0.65 * np.ptp(corners, axis=0).max()
    first, second = np.linspace(middle - half, middle + half, 200).T
    excess = model.excess(np.stack(np.meshgrid(first, second), axis=-1))
    axes.contour(first, second, excess, levels=CONTOURS, colors="0.6", linewidths=0.8)
    for side, path in descent.paths.items():
        if figures.is_wide(side, descent.paths):
            axes.plot(*path.T, color=figures.COLOURS[1], lw=4.5, alpha=0.3)
        else:
            axes.plot(*path.T, color="black", lw=0.9, marker="o", ms=2.5)
    axes.plot(0, 0, "x", color="black", ms=9, mew=2)
    axes.plot(*model.minimum, "*", color=figures.COLOURS[2], mec="black", mew=0.6, ms=13, zorder=3)
    axes.grid(False)
    axes.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal")


def _network(scan: Mapping[str, Mapping[float, Sides]], best: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=2) as (drawing, axes):
        left, right = axes
        figures.curves(left, {inputs: costs_of(sides) for inputs, sides in best.items()})
        left.axhline(GOAL, color="0.4", lw=0.8)
        rates = " and ".join(f"{first(sides).recipe.lr:g}" for sides in best.values())
        left.set(
            title=f"at the best rates, {rates}", xlabel="iteration", xscale="log", xlim=(1, None), ylim=(0, 1)
        )
        left.set_ylabel("cost (nats per example)")
        for i, runs in enumerate(scan.values()):
            for side in next(iter(runs.values())):
                counts = {lr: _arrival(np.array(sides[side].cost), GOAL) for lr, sides in runs.items()}
                reached = {lr: count for lr, count in counts.items() if count is not None}
                style = figures.side_style(i, side, SIDES)
                right.loglog(list(reached), list(reached.values()), marker="os"[i], **style)
        right.set(title="at every rate of the scan", xlabel="learning rate")
        right.set_ylabel(f"iterations to a cost of {GOAL:g}")
        right.set_xticks(RATE_TICKS, [f"{tick:g}" for tick in RATE_TICKS])
        right.set_yticks(COUNT_TICKS, [f"{tick:g}" for tick in COUNT_TICKS])
        right.minorticks_off()
        figures.legend_below(drawing, left)
    return figure("input_normalization-network", drawing, goal=GOAL)
