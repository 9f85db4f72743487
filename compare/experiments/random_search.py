"""Random search: sixteen points on a grid, and sixteen that have no value in common."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import sides_of
from compare.experiments.recipe import Recipe
from compare.experiments.train import Run, Sides, first
from compare.training.data import noisy_classes

TOLERANCE = 1e-9
LR = (1e-3, 10.0)
BETA = (0.0, 0.999)  # drawn as 1 − β, from 1e-3 to 1
SIDE = 4  # of the grid
POINTS = SIDE * SIDE
DRAWS = 5  # times that a search is drawn; the first one is shown
DEV = 600
BASE = Recipe("", (2, 16, 1), "he", lr=0.0, epochs=100, optimizer="Momentum")
MANY = 1000  # numbers that are drawn to show a scale

Point = tuple[float, float]  # learning rate, β


def grid_points() -> list[Point]:
    """Each of four learning rates with each of four β, evenly on logarithmic scales"""
    rates, rests = np.geomspace(*LR, SIDE), np.geomspace(1, 1 - BETA[1], SIDE)
    return [(float(lr), float(1 - rest)) for lr, rest in itertools.product(rates, rests)]


def random_points(seed: int) -> list[Point]:
    """As many, each with a learning rate and a β of its own: lr = 10^u, β = 1 − 10^v, u and v uniform"""
    generator = np.random.RandomState(seed)
    return [
        (float(log_uniform(generator, *LR)), float(1 - log_uniform(generator, 1 - BETA[1], 1)))
        for _ in range(POINTS)
    ]


def log_uniform(generator: np.random.RandomState, low: float, high: float, size: Any = None) -> Any:
    """10^u with u uniform from log₁₀ low to log₁₀ high: as many numbers in each decade"""
    return 10 ** generator.uniform(np.log10(low), np.log10(high), size)


def searches(options: Options) -> dict[str, list[Point]]:
    """The grid and the draws, by name"""
    draws = 2 if options.quick else DRAWS
    return {"grid": grid_points(), **{f"draw {seed}": random_points(seed) for seed in range(draws)}}


def tasks(options: Options) -> list[Task]:
    """A training at each point of each search, on each side; a first look has fewer draws."""
    recipes = {
        f"{name} {i}": replace(BASE, name=f"{name} {i}", lr=lr, hyperparameters={"beta": beta})
        for name, points in searches(options).items()
        for i, (lr, beta) in enumerate(points)
    }
    return tasks_of(recipes, noisy_classes, options, 1)


def report(options: Options, results: Results) -> Section:
    """What the searches find, how many values they try, and on which scale to draw."""
    found = {name: [sides_of(results, f"{name} {i}") for i in range(POINTS)] for name in searches(options)}
    return Section(
        **texts(
            "random_search",
            points=POINTS,
            side=SIDE,
            outcome=outcome(
                {name: [first(sides).final[1] for sides in runs] for name, runs in found.items()}
            ),
            linear=1 - share_below(linear_draws(*LR), 1),
            logarithmic=1 - share_below(log_draws(*LR), 1),
            linear_beta=1 - share_below(linear_draws(0.9, 0.999), 0.99),
            logarithmic_beta=1 - share_below(1 - log_draws(0.001, 0.1), 0.99),
            dev=DEV,
            epochs=BASE.epochs,
        ),
        comparisons=[row for name, runs in found.items() for row in _compare(name, runs)],
        tables=[_table(options, found)],
        figures=[_searches(options, found), _scales()],
    )


def linear_draws(low: float, high: float) -> np.ndarray:
    """Many numbers, uniform from low to high"""
    return np.random.RandomState(0).uniform(low, high, MANY)


def log_draws(low: float, high: float) -> np.ndarray:
    """Many numbers, uniform in their logarithm"""
    return log_uniform(np.random.RandomState(0), low, high, MANY)


def share_below(draws: np.ndarray, limit: float) -> float:
    """The share of numbers that are smaller"""
    return float(np.mean(draws < limit))


def outcome(right: Mapping[str, Sequence[int]]) -> str:
    """What the best of the grid is right about, and the best of each draw"""
    best = {name: max(counts) for name, counts in right.items()}
    grid = best.pop("grid")
    above, below = (sum(sign * (count - grid) > 0 for count in best.values()) for sign in (1, -1))
    low, high = min(best.values()), max(best.values())
    bests = f"{low / DEV:.1%}" if low == high else f"{low / DEV:.1%} to {high / DEV:.1%}"
    return (
        f"The best point of the grid is right about {grid / DEV:.1%} of the development set, the best of a"
        f" random draw about {bests}: of {len(best)} draws {_times(above)} more than the grid,"
        f" {_times(below)} less."
    )


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def best_of(runs: Sequence[Sides]) -> int:
    """The point with the most right answers of the development set, the first such"""
    return max(range(len(runs)), key=lambda i: first(runs[i]).final[1])


def _compare(name: str, runs: Sequence[Sides]) -> list[Comparison]:
    by_side: dict[str, list[Run]] = {side: [sides[side] for sides in runs] for side in runs[0]}
    right = {side: [run.final for run in of] for side, of in by_side.items()}
    costs = {side: np.array([run.cost[-1] for run in of]) for side, of in by_side.items()}
    one, *others = costs.values()
    label = "16 points on a grid" if name == "grid" else f"16 points, {name}"
    return [
        Comparison(
            label,
            "right answers, development set, all points",
            None,
            {side: f"{sum(dev for _, dev in counts)}" for side, counts in right.items()},
            all(counts == next(iter(right.values())) for counts in right.values()),
            "as exact counts of each point, also of the training set",
        ),
        Comparison(
            label,
            "last cost, mean of all points",
            None,
            {side: f"{cost.mean():.14g}" for side, cost in costs.items()},
            all(np.abs(one - other).max() <= TOLERANCE for other in others),
            f"each to within {TOLERANCE:g}",
        ),
    ]


def _table(options: Options, found: Mapping[str, Sequence[Sides]]) -> Table:
    rows = []
    for name, points in searches(options).items():
        i = best_of(found[name])
        lr, beta = points[i]
        right = first(found[name][i]).final[1]
        counts = [len({round(point[which], 12) for point in points}) for which in (0, 1)]
        rows.append((name, *map(str, counts), f"{right / DEV:.1%}", f"{lr:.3g}", f"{beta:.4g}"))
    header = ("search", "learning rates tried", "β tried", "best: right", "its learning rate", "its β")
    return Table(f"{POINTS} points each", header, rows)


def _searches(options: Options, found: Mapping[str, Sequence[Sides]]) -> Figure:
    shown = {name: points for name, points in searches(options).items() if name in ("grid", "draw 0")}
    right = [run.final[1] / DEV for name in shown for sides in found[name] for run in sides.values()]
    with figures.drawing(columns=2, height=3.8, sharex=True, sharey=True) as (drawing, axes):
        for one, (name, points) in zip(axes, shown.items(), strict=True):
            rates, rests = np.array([(lr, 1 - beta) for lr, beta in points]).T
            for side in found[name][0]:
                shares = [sides[side].final[1] / DEV for sides in found[name]]
                dots = one.scatter(
                    rates,
                    rests,
                    c=shares,
                    s=140 if side == "scratch" else 40,
                    cmap="viridis",
                    vmin=min(right),
                    vmax=max(right),
                    edgecolors=figures.LINES[0],
                    linewidths=0.8,
                    zorder=3,
                )
            best = best_of(found[name])
            one.scatter(
                rates[best], rests[best], s=260, facecolors="none", edgecolors="black", linewidths=1.4
            )
            one.plot(rates, np.full(POINTS, 4e-4), "|", color="black", ms=9)
            one.plot(np.full(POINTS, 4e-4), rests, "_", color="black", ms=9)
            one.set(xscale="log", yscale="log", xlabel="learning rate")
            one.set_title("a grid" if name == "grid" else "at random")
        axes[0].set_ylabel("1 − β")
        drawing.colorbar(dots, ax=axes, label="right, development set")
    return figure("random_search-points", drawing)


def _scales() -> Figure:
    panels = (
        ("learning rate", linear_draws(*LR), log_draws(*LR)),
        ("window of momentum, 1/(1 − β)", 1 / (1 - linear_draws(0.9, 0.999)), 1 / log_draws(0.001, 0.1)),
    )
    with figures.drawing(columns=2, height=2.2, sharey=True) as (drawing, axes):
        for one, (what, *rows) in zip(axes, panels, strict=True):
            for i, draws in enumerate(rows):
                bins = np.geomspace(min(map(np.min, rows)), max(map(np.max, rows)), 41)
                one.hist(
                    draws,
                    bins,
                    histtype="step" if i else "stepfilled",
                    color=figures.COLOURS[0 if i else 6],
                    label="uniform in the logarithm" if i else "uniform",
                )
            one.set(xscale="log", xlabel=what)
        axes[0].set_ylabel(f"of {MANY} draws")
        figures.legend_below(drawing, axes[0])
    return figure("random_search-scales", drawing, many=MANY)
