"""Gradient descent, momentum, RMSProp, Adam: the same gradients, four ways to step along them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.experiments import figures
from compare.experiments.experiment import Experiment, Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, lines
from compare.experiments.published import Sides, compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe, every
from compare.experiments.train import Run
from compare.training.data import moons

BASE = Recipe("gradient descent", (2, 5, 2, 1), "he", lr=0.0007, epochs=10000, batch_size=64)
TOLERANCE = 5e-7  # half a unit of the last digit that was printed
RECIPES = {
    "gd": replace(
        BASE,
        published=Published(
            every(
                1000,
                "0.702405 0.668101 0.635288 0.600491 0.573367 0.551977 0.532370 0.514007 0.496472 0.468014",
            ),
            every(
                1000,
                "0.690736 0.685273 0.647072 0.619525 0.576584 0.607243 0.529403 0.460768 0.465586 0.464518",
            ),
            cost_tolerance=TOLERANCE,
            correct={5000: (215, None), 10000: (239, None)},
        ),
    ),
    "momentum": replace(
        BASE,
        name="momentum",
        optimizer="Momentum",
        hyperparameters={"beta": 0.9},
        published=Published(
            every(
                1000,
                "0.702413 0.668167 0.635388 0.600591 0.573444 0.552058 0.532458 0.514101 0.496652 0.468160",
            ),
            cost_tolerance=TOLERANCE,
            correct={5000: (215, None), 10000: (239, None)},
        ),
    ),
    "rmsprop": replace(
        BASE,
        name="RMSProp",
        optimizer="RMSprop",
        hyperparameters={"alpha": 0.99},
        published=Published(cost_tolerance=TOLERANCE),
    ),
    "adam": replace(
        BASE,
        name="Adam",
        optimizer="Adam",
        published=Published(
            every(
                1000,
                "0.702166 0.167845 0.141316 0.138788 0.136066 0.134240 0.131127 0.130216 0.129623 0.129118",
            ),
            every(
                1000,
                "0.690552 0.185567 0.150852 0.074454 0.125936 0.104235 0.100552 0.031601 0.111709 0.197648",
            ),
            cost_tolerance=TOLERANCE,
            correct={5000: (283, None), 10000: (282, None)},
        ),
    ),
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
        name="optimizers",
        title="Optimizers",
        text=(
            "The same network, 2-5-2-1, on two half-moons in mini-batches of 64, at the same small learning"
            " rate; only the rule differs that turns gradients into steps.",
            "Gradient descent and momentum have hardly begun when RMSProp and Adam are done. These two divide"
            " by the root of an average square of the gradient, so that each weight moves by about the"
            " learning rate in every step, whether its gradient is large or small. Momentum averages the"
            " gradients of the last ten steps or so. Steps as small as these hardly change the gradient,"
            " their average is the gradient itself, and nothing is gained.",
        ),
        recipe=lines(
            ("data", "300 points in two half-moons (noise 0.2, seed 3), no test set"),
            ("network", "2-5-2-1, ReLU, sigmoid output, mean cross-entropy, float64"),
            ("weights", "standard normal from seed 3, layer by layer, times √(2/fan_in); biases 0"),
            (
                "training",
                f"mini-batches of 64 (the last one of 44), epoch e in the order of seed 11 + e, learning rate"
                f" 0.0007, {options.shortened(BASE).epochs} epochs",
            ),
            ("hyperparameters", "momentum β = 0.9; RMSProp α = 0.99, ε = 1e-8; Adam 0.9, 0.999, 1e-8"),
        ),
        comparisons=comparisons,
        figures=[_costs(runs), _boundaries(runs), _averages(runs), _hyperparameters(results)],
        diagnoses=diagnoses(runs, data),
        notes=(
            "Two editions of the course print different averages of the same run: the older one the cost of"
            " the last mini-batch of the epoch, 44 examples, the later ones the mean over all 300. Weights"
            " and accuracies are the same. One stops after 10000 epochs, the other after 5000.",
            "The second moment needs its bias correction as much as the first: widely copied solutions leave"
            " it out, with ε inside the root besides, and print 0.687550 as their first cost in place of"
            " 0.690552.",
            "ε stands outside the root. Inside, 1e-8 acts like 1e-4, and the cost at epoch 1000 becomes"
            " 0.167966 in place of 0.167845: a difference that one update does not show and a thousand do.",
            "t in 1 − βᵗ counts updates, which are mini-batches, not epochs.",
            "The textbook's momentum averages, v ← βv + (1−β)g; PyTorch's sums, b ← βb + g. They take the"
            " same steps if PyTorch gets the learning rate lr·(1−β): the run above shows it. At the same"
            " learning rate PyTorch's goes 1/(1−β) = 10 times as far.",
        ),
    )


def _variants() -> dict[str, dict[str, Any]]:
    """Each variant once, by name; the first of each hyperparameter is Adam as it is."""
    return {name: options for variants in VARIANTS.values() for name, options in variants.items()}


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(height=4.2) as (drawing, axes):
        named = {_name(sides): {s: run.cost for s, run in sides.items()} for sides in runs.values()}
        figures.curves(axes, named, every=_every(runs, 200))
        axes.set(xlabel="epoch", ylabel="cost (nats per example)", ylim=(0, 0.75))
        figures.legend_below(drawing, axes)
    caption = (
        "The mean cost of the epochs. Momentum cannot be told from gradient descent, nor, after the first"
        " thousand epochs, Adam from RMSProp."
    )
    return Figure("optimizers-costs", drawing, caption)


def _boundaries(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(rows=2, columns=2, sharex=True, sharey=True) as (drawing, axes):
        for one, sides in zip(axes.flat, runs.values(), strict=True):
            run = next(iter(sides.values()))
            figures.boundary(one, list(sides.values()), moons())
            one.set_title(f"{run.recipe.name}: {run.final[0]} of 300")
            one.label_outer()
    caption = (
        "What each network says of the plane at the end, with its number of right answers: circles are of"
        " class 0, triangles of class 1. The boundary of scratch is the white line, that of torch the dashed"
        " one on it."
    )
    return Figure("optimizers-boundaries", drawing, caption)


def _averages(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=2, sharey=True) as (drawing, axes):
        for one, key in zip(axes, ("gd", "adam"), strict=True):
            run = next(iter(runs[key].values()))
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
    caption = (
        "One run, two columns of figures: the cost of the last 44 examples of an epoch, which jumps with"
        " what examples they are, and the mean over all 300."
    )
    return Figure("optimizers-averages", drawing, caption)


def _hyperparameters(results: Results) -> Figure:
    with figures.drawing(columns=3, height=3.4, sharey=True) as (drawing, axes):
        for one, (symbol, variants) in zip(axes, VARIANTS.items(), strict=True):
            named = {
                name.split(" = ")[1]: {side: run.cost for side, run in sides_of(results, name).items()}
                for name in variants
            }
            figures.curves(one, named, name_sides=False)
            one.set(xlabel="epoch", ylim=(0, 1.15))
            one.legend(title=symbol, loc="upper right")
        axes[0].set_ylabel("cost (nats per example)")
    caption = (
        f"Adam at the learning rate {ADAM.lr:g}, one hyperparameter changed at a time; wide and pale:"
        " scratch, thin on it: torch. β₁ averages the gradient: 0 lets every mini-batch steer, so that the"
        " cost trembles at the end, and 0.999 keeps going where gradients 200 epochs old pointed. β₂"
        " averages its square: with a short memory each gradient is divided by little more than its own size,"
        " rare large ones count no more than frequent small ones, and training settles elsewhere. ε bounds"
        " the denominator from below: far above the size of the gradients it turns Adam into momentum at"
        " the rate lr/ε."
    )
    return Figure("optimizers-hyperparameters", drawing, caption)


def _every(runs: Mapping[str, Sides], points: int) -> int:
    return max(1, _first(runs["gd"]).recipe.epochs // points)


def _first(sides: Sides) -> Run:
    return next(iter(sides.values()))


def _name(sides: Sides) -> str:
    return _first(sides).recipe.name


EXPERIMENT = Experiment("optimizers", "Optimizers", tasks, report)
