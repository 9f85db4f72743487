"""Softmax regression: a network without hidden layer tells ten digits, and its weights are pictures."""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Run, Sides, costs_of, first
from compare.training.data import Data, digit_pictures, digits
from scratch.losses import cross_entropy_forward
from scratch.softmax import softmax_forward

CLASSES = 10
TOLERANCE = 1e-10
RECIPE = Recipe(
    "64-10",
    (64, CLASSES),
    "zeros",
    lr=0.3,
    epochs=1000,
    optimizer="SGD",
    hyperparameters={"momentum": 0.9},
    l2=10.0,
    loss="cross_entropy",
    published=Published(cost_tolerance=TOLERANCE),
)
DATA: Callable[[], Data] = partial(digits, np.float64)
SHOWN = 8  # digits that are taken for others
NEAR = 1e-8  # of the least cost, which takes the training that is there


def tasks(options: Options) -> list[Task]:
    """One training on each side."""
    return tasks_of({"softmax": RECIPE}, DATA, options, 5)


def report(options: Options, results: Results) -> Section:
    """The cost, the weights as pictures, and what is taken for what."""
    data, sides = DATA(), sides_of(results, "softmax")
    run = first(sides)
    comparisons = compare_costs(sides, shown=(0, 10, 100, run.recipe.epochs - 1))
    comparisons += compare_accuracies(sides, data)
    best = minimum(data)
    least = cost_of(*best, data)
    if not options.quick:
        comparisons += _compare_minimum(sides, best[0], least)
    return Section(
        **texts(
            "softmax_regression",
            training=len(data.x_train),
            testing=len(data.x_test),
            right=f"{run.final[1]} of the {len(data.x_test)}",
            mistakes=mistakes(run, data),
            least=least,
            above=run.cost[-1] - least,
            start=run.cost[0],
            l2=RECIPE.l2,
            lr=RECIPE.lr,
            epochs=run.recipe.epochs,
        ),
        comparisons=comparisons,
        tables=[_confusions(run, data)],
        figures=[_costs(sides, least), _weights(run, data), _wrong(run, data)],
        diagnoses=diagnoses({"softmax": sides}, data),
    )


def weights_of(run: Run) -> np.ndarray:
    """(classes, features), at the end"""
    return run.snapshots[run.recipe.epochs]["linear1.weight"]


def cost_of(weight: np.ndarray, bias: np.ndarray, data: Data) -> float:
    """The cost that is trained, of any weights."""
    loss, _ = cross_entropy_forward(data.x_train @ weight.T + bias, data.targets_train)
    return float(loss + RECIPE.l2 / (2 * len(data.x_train)) * np.sum(weight * weight))


def minimum(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the least cost, as scikit-learn finds them: its C is 1/λ"""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / RECIPE.l2, tol=1e-10, max_iter=5000)
    model.fit(data.x_train, data.targets_train)
    return model.coef_, model.intercept_


def confusions(run: Run, data: Data) -> Counter[tuple[int, int]]:
    """(digit, what it is taken for) → how often, in the test set"""
    answers = run.test_logits.argmax(axis=1)
    pairs = zip(data.targets_test.tolist(), answers.tolist(), strict=True)
    return Counter((digit, answer) for digit, answer in pairs if digit != answer)


def mistakes(run: Run, data: Data) -> str:
    """The mistakes that are made most often."""
    found = confusions(run, data)
    if not found:
        return "None is taken for another."
    most = max(found.values())
    said = " and ".join(f"{digit} is taken for {answer}" for (digit, answer), n in found.items() if n == most)
    return f"Most often, {most} times, {said}." if most > 1 else "No mistake is made twice."


def _compare_minimum(sides: Sides, weight: np.ndarray, least: float) -> list[Comparison]:
    costs = {side: run.cost[-1] for side, run in sides.items()}
    apart = {side: float(np.abs(weights_of(run) - weight).max()) for side, run in sides.items()}
    return [
        Comparison(
            RECIPE.name,
            "cost above the least possible",
            None,
            {side: f"{cost - least:.1e}" for side, cost in costs.items()},
            all(abs(cost - least) <= NEAR for cost in costs.values()),
            f"scikit-learn's LogisticRegression gets to {least:.12g}; to within {NEAR:g}",
        ),
        Comparison(
            RECIPE.name,
            "weights, distance from scikit-learn's",
            None,
            {side: f"{distance:.1e}" for side, distance in apart.items()},
            all(distance <= 1e-3 for distance in apart.values()),
            "to within 1e-3: about the minimum the cost is flat",
        ),
    ]


def _confusions(run: Run, data: Data) -> Table:
    answers = run.test_logits.argmax(axis=1)
    rows = []
    for digit in range(CLASSES):
        of = data.targets_test == digit
        counts = [int(np.sum(answers[of] == answer)) for answer in range(CLASSES)]
        rows.append((str(digit), *(str(count) if count else "·" for count in counts)))
    header = ("digit", *(f"is called {answer}" for answer in range(CLASSES)))
    return Table("The test set: digits, and what they are called", header, rows)


def _costs(sides: Sides, least: float) -> Figure:
    costs = costs_of(sides)
    with figures.drawing(columns=2) as (drawing, axes):
        early = {side: cost[: max(len(cost) // 10, 2)] for side, cost in costs.items()}
        figures.curves(axes[0], {"cost": early})
        axes[0].axhline(math.log(CLASSES), color="0.6", lw=0.8, zorder=0)
        axes[0].set(xlabel="iteration", ylabel="cost (nats per example)", ylim=(0, None))
        axes[0].legend()
        above = {side: [abs(value - least) for value in cost] for side, cost in costs.items()}
        figures.curves(axes[1], {"cost": above})
        axes[1].set(xlabel="iteration", ylabel="cost above the least possible", yscale="log")
    return figure("softmax_regression-cost", drawing, guessing=math.log(CLASSES))


def _weights(run: Run, data: Data) -> Figure:
    weights = weights_of(run)
    largest = np.abs(weights).max()
    pictures, _ = digit_pictures()
    with figures.drawing(rows=2, columns=CLASSES, height=1.1) as (drawing, axes):
        for digit, (above, below) in enumerate(axes.T):
            _picture(above, pictures[data.targets_train == digit].mean(axis=0), 0, 16, "gray_r")
            _picture(below, weights[digit], -largest, largest, "PuOr_r")
            above.set_title(str(digit))
    return figure("softmax_regression-weights", drawing)


def _wrong(run: Run, data: Data) -> Figure:
    probabilities, _ = softmax_forward(run.test_logits)
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != data.targets_test)[:SHOWN]
    _, pictures = digit_pictures()
    with figures.drawing(columns=SHOWN, height=1.6) as (drawing, axes):
        for one in axes:
            one.axis("off")
        for one, i in zip(axes, wrong, strict=False):
            _picture(one, pictures[i], 0, 16, "gray_r")
            said = (answers[i], data.targets_test[i])
            lines = [f"p({digit}) = {probabilities[i, digit]:.2f}" for digit in said]
            one.set_title("\n".join(lines), fontsize=9)
    return figure("softmax_regression-wrong", drawing, shown=len(wrong))


def _picture(axes: Axes, pixels: np.ndarray, low: float, high: float, colours: str) -> None:
    axes.imshow(pixels.reshape(8, 8), cmap=colours, vmin=low, vmax=high)
    axes.axis("off")
