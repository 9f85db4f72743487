"""Learning-rate decay: large steps to arrive, small ones to settle."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import scratch.schedules
import torch_ref.schedules
from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe, every, published
from compare.experiments.train import Sides, costs_of, first
from compare.training.data import moons

TOLERANCE = 5e-7  # half a unit of the last digit that was printed
BASE = Recipe(
    "gradient descent",
    (2, 5, 2, 1),
    "he",
    lr=0.1,
    epochs=5000,
    batch_size=64,
    published=Published(cost_tolerance=TOLERANCE),
)
OPTIMIZERS = {
    "gd": BASE,
    "momentum": replace(BASE, name="momentum", optimizer="Momentum", hyperparameters={"beta": 0.9}),
    "adam": replace(BASE, name="Adam", optimizer="Adam", lr=0.01),
}
DECAYS: dict[str, dict[str, Any]] = {
    "no decay": {},
    "inverse time": {"schedule": "inverse_time", "schedule_options": {"decay_rate": 1}},
    "fixed interval": {
        "schedule": "fixed_interval",
        "schedule_options": {"decay_rate": 1, "interval": 1000},
    },
}
RATES = {  # printed after epoch 0, 1000, …: the rates of the epochs that follow
    "gd, inverse time": "0.100000 0.000100 0.000050 0.000033 0.000025",
    "gd, fixed interval": "0.100000 0.050000 0.033333 0.025000 0.020000",
    "adam, fixed interval": "0.010000 0.005000 0.003333 0.002500 0.002000",
}


RECIPES = {
    f"{key}, {decay}": replace(
        base,
        name=f"{base.name}, {decay}",
        published=published("learning_rate_decay", f"{key}, {decay}", TOLERANCE),
        **options,
    )
    for key, base in OPTIMIZERS.items()
    for decay, options in DECAYS.items()
}
EARLY = replace(
    RECIPES["gd, inverse time"],
    name="gradient descent, inverse time, the rate of each epoch set before it",
    epochs=1001,
    late_schedule=False,
    published=Published(cost_tolerance=TOLERANCE),
)
# Without ⌊ ⌋ the fixed interval is inverse time at a thousandth of the rate of decay.
NO_FLOOR = {
    f"{key}, no floor": replace(
        base,
        name=f"{base.name}, fixed interval with the floor forgotten",
        schedule="inverse_time",
        schedule_options={"decay_rate": 1 / 1000},
        published=Published(correct={5000: (correct, None)}),
    )
    for (key, base), correct in zip(OPTIMIZERS.items(), (284, 283, 282), strict=True)
}

SHOWN_RATE, SHOWN_EPOCHS = 0.2, 100
FORMULAS: dict[str, tuple[str, dict[str, Any]]] = {  # what the figure shows of each schedule
    "inverse time, k = 0.1": ("inverse_time", {"decay_rate": 0.1}),
    "fixed interval, k = 1, 20 epochs": ("fixed_interval", {"decay_rate": 1, "interval": 20}),
    "exponential, γ = 0.95": ("exponential", {"gamma": 0.95}),
    "k/√t, k = 1": ("inverse_sqrt", {"k": 1.0}),
    "staircase, halved every 25 epochs": ("staircase", {"step_size": 25, "gamma": 0.5}),
    "by hand, a third at 40 and at 80": ("milestones", {"milestones": (40, 80), "gamma": 1 / 3}),
    "cosine after 10 epochs of warm-up": (
        "cosine_with_warmup",
        {"warmup_epochs": 10, "total_epochs": SHOWN_EPOCHS},
    ),
}


def tasks(options: Options) -> list[Task]:
    """Three optimizers, three decays, and the early rate on each side; the floor forgotten on scratch's."""
    found = [
        replace(task, recipe=_with_interval(task.recipe))
        for task in tasks_of({**RECIPES, "early": EARLY}, moons, options)
    ]
    if "scratch" in options.sides and not options.quick:
        found += [Task(key, recipe, "scratch", moons) for key, recipe in NO_FLOOR.items()]
    return found


def _with_interval(recipe: Recipe) -> Recipe:
    """A shortened training gets shorter intervals: as many of them fit into it."""
    if recipe.schedule != "fixed_interval":
        return recipe
    return replace(recipe, schedule_options={"decay_rate": 1, "interval": recipe.epochs // 5})


def report(options: Options, results: Results) -> Section:
    """The formulas, the costs with and without decay, and how calm they are at the end."""
    data, epochs = moons(), options.shortened(BASE).epochs
    runs = {key: sides_of(results, key) for key in RECIPES}
    rates = {
        name: {side: rates_of(side, *formula, SHOWN_RATE, SHOWN_EPOCHS) for side in options.sides}
        for name, formula in FORMULAS.items()
    }
    comparisons = [_compare_formula(name, sides) for name, sides in rates.items()]
    comparisons.append(_compare_lecture(options.sides))
    for key, sides in runs.items():
        comparisons += compare_costs(sides, shown=range(0, BASE.epochs, 1000))
        comparisons += _compare_rates(sides, RATES.get(key))
        comparisons += compare_accuracies(sides, data)
    comparisons += compare_costs(sides_of(results, "early"), shown=(0, 1000))
    for key in NO_FLOOR:
        if (key, "scratch") in results:
            comparisons += compare_accuracies(sides_of(results, key), data)
    constant, decayed = (
        f"{first(runs[key]).final[0] / 300:.0%}" for key in ("gd, no decay", "gd, fixed interval")
    )
    return Section(
        **texts(
            "learning_rate_decay", epochs=epochs, interval=epochs // 5, constant=constant, decayed=decayed
        ),
        comparisons=comparisons,
        tables=[_summary(runs)],
        figures=[_formulas(rates), _costs(runs), _ends(runs)],
        diagnoses=diagnoses(runs, data),
    )


def rates_of(side: str, schedule: str, options: Mapping[str, Any], lr: float, epochs: int) -> list[float]:
    """The rate of each epoch, from the formula of scratch or from PyTorch's scheduler."""
    if side == "scratch":
        formula = getattr(scratch.schedules, schedule)
        return [formula(lr, epoch, **options) for epoch in range(epochs)]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = getattr(torch_ref.schedules, schedule)(optimizer, **options)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _compare_formula(name: str, sides: Mapping[str, list[float]]) -> Comparison:
    first, *others = sides.values()
    agrees = all(np.allclose(first, other, rtol=1e-13, atol=0) for other in others)
    values = {side: f"{rates[-1]:.16g}" for side, rates in sides.items()}
    why = f"all {SHOWN_EPOCHS} rates, to within 1e-13 of each"
    return Comparison("formulas", f"{name}: rate of epoch {SHOWN_EPOCHS - 1}", None, values, agrees, why)


def _compare_lecture(sides: Sequence[str]) -> Comparison:
    printed = "0.1 0.067 0.05 0.04"
    expected = [float(rate) for rate in printed.split()]
    rates = {side: rates_of(side, "inverse_time", {"decay_rate": 1}, 0.2, 5)[1:] for side in sides}
    return Comparison(
        "formulas",
        "inverse time from 0.2, k = 1: epochs 1 to 4",
        printed,
        {side: " ".join(f"{rate:.4g}" for rate in found) for side, found in rates.items()},
        all(np.allclose(found, expected, rtol=0, atol=5e-4) for found in rates.values()),
        "to within 0.0005, half of the last digit",
    )


def _compare_rates(sides: Sides, printed: str | None) -> list[Comparison]:
    """The published rates; each was printed after an epoch, and holds for the next."""
    rows = []
    name, why = first(sides).recipe.name, f"to within {TOLERANCE:g}"
    for epoch, said in every(1000, printed or "").items():
        rates = {
            side: run.learning_rate[epoch + 1] for side, run in sides.items() if epoch + 1 < len(run.cost)
        }
        if rates:
            agrees = all(abs(rate - float(said)) <= TOLERANCE for rate in rates.values())
            texts = {side: f"{rate:.16g}" for side, rate in rates.items()}
            rows.append(Comparison(name, f"learning rate after epoch {epoch}", said, texts, agrees, why))
    return rows


def _summary(runs: Mapping[str, Sides]) -> Table:
    rows = []
    last = len(first(runs["gd, no decay"]).cost) // 10
    for sides in runs.values():
        run = first(sides)
        costs = run.cost[-last:]
        rows.append(
            [
                run.recipe.name,
                f"{run.final[0] / 300:.2%}",
                f"{sum(run.learning_rate) / run.recipe.lr:.1f}",
                f"{np.mean(costs):.4f}",
                f"{np.std(costs):.5f}",
            ]
        )
    header = (
        "",
        "accuracy",
        "sum of the rates ÷ first rate",
        f"cost, mean of the last {last} epochs",
        "its standard deviation",
    )
    return Table("What decay does to the end of training", header, rows)


def _formulas(rates: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    with figures.drawing(columns=2, height=3.6, sharey=True) as (drawing, axes):
        for one, title in zip(axes, ("from epoch to epoch", "in steps"), strict=True):
            shown = {
                name: sides
                for name, sides in rates.items()
                if (FORMULAS[name][0] in ("fixed_interval", "staircase", "milestones"))
                == (title == "in steps")
            }
            figures.curves(one, shown, name_sides=False)
            one.set(title=title, xlabel="epoch", ylim=(0, 0.34))
            one.legend(loc="upper left")
        axes[0].set_ylabel("learning rate")
    return figure("learning_rate_decay-formulas", drawing, rate=SHOWN_RATE)


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=3, sharey=True) as (drawing, axes):
        _panels(axes, runs, 0)
        axes[0].set(ylabel="cost (nats per example)", ylim=(0, 0.75))
        figures.legend_below(drawing, axes[0], columns=3)
    return figure("learning_rate_decay-costs", drawing)


def _ends(runs: Mapping[str, Sides]) -> Figure:
    calm = {key: sides for key, sides in runs.items() if "inverse" not in key}
    epochs = len(first(runs["gd, no decay"]).cost)
    with figures.drawing(columns=3, sharey=True) as (drawing, axes):
        _panels(axes, calm, epochs - epochs // 10)
        axes[0].set(ylabel="cost (nats per example)")
        figures.legend_below(drawing, axes[0], columns=2)
    return figure("learning_rate_decay-ends", drawing)


def _panels(axes: Any, runs: Mapping[str, Sides], start: int) -> None:
    """A panel for each optimizer, with a curve for each decay."""
    for one, (key, base) in zip(axes, OPTIMIZERS.items(), strict=True):
        named = {decay: costs_of(runs[f"{key}, {decay}"]) for decay in DECAYS if f"{key}, {decay}" in runs}
        figures.curves(one, named, start=start, every=1 if start else 10)
        one.set(title=f"{base.name}, from {base.lr:g}", xlabel="epoch")
