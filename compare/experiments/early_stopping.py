"""Early stopping beside L2: two ways to keep a network from learning its examples by heart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import scratch.early_stopping
import torch_ref.early_stopping
from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.regularization import all_weights, test_losses
from compare.experiments.train import Run, build, first
from compare.training.data import NOISE, Data, noisy_classes

BASE = Recipe(
    "λ = 0",
    (2, 20, 20, 1),
    "he",
    lr=0.01,
    epochs=600,
    optimizer="Adam",
    published=Published(cost_tolerance=1e-9),
)
RECIPES = {l2: replace(BASE, name=f"λ = {l2:g}", l2=l2) for l2 in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)}
CHECKS = 60  # looks at the development set during a whole training
PATIENCE = 5  # checks without a new lowest cost, after which training stops


@dataclass(frozen=True)
class Course:
    """What became of a training, check by check."""

    side: str
    epochs: Sequence[int]
    train: Sequence[float]  # cross-entropy of the training set, without the penalty
    dev: Sequence[float]
    norm: Sequence[float]  # of all weights together
    right: Sequence[int]  # answers, of the development set

    @property
    def stop(self) -> int:
        """The check at which patience ends; the last one if it never does."""
        return stops(self.side, self.dev)[1]

    @property
    def best(self) -> int:
        """The check whose weights are kept: the lowest cost until the stop."""
        return stops(self.side, self.dev)[0]


EARLY_STOPPING: dict[str, Callable[[int], Any]] = {
    "scratch": scratch.early_stopping.EarlyStopping,
    "torch": torch_ref.early_stopping.EarlyStopping,
}


def stops(side: str, costs: Sequence[float]) -> tuple[int, int]:
    """The check with the lowest cost, and the one that stops: `PATIENCE` checks without a lower one"""
    stopping, network = EARLY_STOPPING[side](PATIENCE), build(BASE, side).network
    for cost in costs:
        if stopping.step(cost, network):
            break
    return stopping.best_epoch, stopping.epoch - 1


def tasks(options: Options) -> list[Task]:
    """A training for each λ on each side, looked at again and again."""
    found = []
    for l2, recipe in RECIPES.items():
        shortened = options.shortened(recipe, 4)
        every = max(1, BASE.epochs // CHECKS)
        at = tuple(range(0, shortened.epochs, every))
        looks = {"snapshot_at": at, "evaluate_at": at[1:]}
        found += [Task(f"{l2:g}", shortened, side, noisy_classes, looks) for side in options.sides]
    return found


def report(options: Options, results: Results) -> Section:
    """Where early stopping stops, what each λ comes to, and how large the weights are."""
    data = noisy_classes()
    runs = {l2: sides_of(results, f"{l2:g}") for l2 in RECIPES}
    courses = {l2: {side: course(run, data) for side, run in sides.items()} for l2, sides in runs.items()}
    comparisons: list[Comparison] = []
    for l2, sides in runs.items():
        comparisons += compare_costs(sides, shown=(0, first(sides).recipe.epochs - 1))
        comparisons += compare_accuracies(sides, data)
        comparisons.append(_compare_stops(first(sides).recipe.name, courses[l2]))
    one = {l2: next(iter(sides.values())) for l2, sides in courses.items()}
    return Section(
        **texts(
            "early_stopping",
            noise=NOISE,
            stopping=stopping(one[0.0]),
            penalties=penalties(one),
            coupling=coupling(one[0.0]),
            patience=PATIENCE,
            every=one[0.0].epochs[1],
            dev=len(data.x_test),
            lr=BASE.lr,
            epochs=first(runs[0.0]).recipe.epochs,
        ),
        comparisons=comparisons,
        tables=[_table(one, data)],
        figures=[_curves(courses), _norms(courses)],
        diagnoses=diagnoses({str(l2): sides for l2, sides in runs.items()}, data, NOISE),
    )


def course(run: Run, data: Data) -> Course:
    """What the snapshots of a run say."""
    epochs = sorted(run.snapshots)
    train = test_losses(run, replace(data, x_test=data.x_train, targets_test=data.targets_train))
    norm = [float(np.linalg.norm(all_weights(run, epoch))) for epoch in epochs]
    right = [run.correct[epoch][1] if epoch in run.correct else 0 for epoch in epochs]
    return Course(run.side, epochs, train, test_losses(run, data), norm, right)


def stopping(plain: Course) -> str:
    """Where it stops without a penalty, and what the rest of training would have come to"""
    best, stop = plain.best, plain.stop
    if stop == len(plain.dev) - 1 and stop - best < PATIENCE:
        return (
            f"Without a penalty the cost of the development set is {plain.dev[best]:.3f} at its lowest, after"
            f" {plain.epochs[best]} iterations; patience did not come to its end."
        )
    answers = f"{plain.right[-1]} answers right in place of {plain.right[best]}"
    if plain.right[-1] == plain.right[best]:
        answers = "as many answers right"
    return (
        f"Without a penalty the cost of the development set is lowest after {plain.epochs[best]} iterations,"
        f" {plain.dev[best]:.3f}; {PATIENCE} checks later, after {plain.epochs[stop]}, training stops and"
        f" goes back to those weights. Had it gone on to {plain.epochs[-1]}, the cost would be"
        f" {plain.dev[-1]:.3f}, and {answers}."
    )


def penalties(courses: Mapping[float, Course]) -> str:
    """Which λ ends at the lowest cost of the development set, and how that compares with the stop"""
    l2 = min(courses, key=lambda l2: courses[l2].dev[-1])
    end, stopped = courses[l2].dev[-1], courses[0.0].dev[courses[0.0].best]
    word = "less" if end < stopped else "no less"
    return (
        f"Trained to the end, λ = {l2:g} has the lowest cost of the development set, {end:.3f}: {word} than"
        f" early stopping has. The norm of its weights is {courses[l2].norm[-1]:.1f}, that of the stopped"
        f" network {courses[0.0].norm[courses[0.0].best]:.1f}, and without either it is"
        f" {courses[0.0].norm[-1]:.1f}."
    )


def coupling(plain: Course) -> str:
    """What stopping costs on the training set"""
    return f"{plain.train[plain.best]:.3f} where it stopped, {plain.train[-1]:.3f} at the end"


def _compare_stops(name: str, sides: Mapping[str, Course]) -> Comparison:
    values = {
        side: f"{found.epochs[found.best]}, {found.epochs[found.stop]}, {found.dev[found.best]:.12g}"
        for side, found in sides.items()
    }
    one, *others = sides.values()
    agrees = all(
        (one.best, one.stop) == (other.best, other.stop)
        and np.allclose(one.dev, other.dev, rtol=0, atol=1e-9)
        for other in others
    )
    what = "lowest at iteration, stopped at, cost there"
    return Comparison(
        name, what, None, values, agrees, "and all costs of the development set, to within 1e-9"
    )


def _table(courses: Mapping[float, Course], data: Data) -> Table:
    plain = courses[0.0]
    ends = [("none: early stopping", plain, plain.best)]
    ends += [(f"{l2:g}" if l2 else "none", of, len(of.dev) - 1) for l2, of in courses.items()]
    rows = [
        (
            name,
            f"{of.epochs[i]}",
            f"{of.train[i]:.4f}",
            f"{of.dev[i]:.4f}",
            f"{of.right[i] / len(data.x_test):.1%}",
            f"{of.norm[i]:.2f}",
        )
        for name, of, i in ends
    ]
    header = (
        "λ",
        "iterations",
        "cost, training",
        "cost, development",
        "right, development",
        "norm of the weights",
    )
    return Table("Stopped early, and trained to the end with each λ; costs without the penalty", header, rows)


def _curves(courses: Mapping[float, Mapping[str, Course]]) -> Figure:
    plain = courses[0.0]
    one = next(iter(plain.values()))
    with figures.drawing(columns=2, height=3.4, sharey=True) as (drawing, axes):
        spacing = one.epochs[1]
        _plot(axes[0], {"training set": plain}, "train", 1)
        _plot(axes[0], {"development set": plain}, "dev", 2)
        axes[0].axvline(one.epochs[one.best], color="0.4", lw=0.9)
        axes[0].axvline(one.epochs[one.stop], color="0.4", lw=0.9, ls=(0, (4, 2)))
        axes[0].set(title="λ = 0", xlabel="iteration", ylabel="cost (nats per example)")
        axes[0].legend(loc="lower left")
        for i, (l2, sides) in enumerate(courses.items()):
            _plot(axes[1], {f"λ = {l2:g}": sides}, "dev", i)
        axes[1].set(title="development set", xlabel="iteration", xlim=(-spacing, None))
        axes[1].legend(loc="upper left", ncols=2)
    return figure("early_stopping-costs", drawing)


def _norms(courses: Mapping[float, Mapping[str, Course]]) -> Figure:
    one = next(iter(courses[0.0].values()))
    with figures.drawing() as (drawing, axes):
        for i, (l2, sides) in enumerate(courses.items()):
            _plot(axes, {f"λ = {l2:g}": sides}, "norm", i)
        axes.plot(
            one.epochs[one.best], one.norm[one.best], "o", color=figures.COLOURS[2], label="early stopping"
        )
        axes.set(xlabel="iteration", ylabel="norm of the weights", ylim=(0, None))
        axes.legend(loc="upper left", ncols=2)
    return figure("early_stopping-norms", drawing)


def _plot(axes: Any, named: Mapping[str, Mapping[str, Course]], what: str, i: int) -> None:
    for name, sides in named.items():
        for side, found in sides.items():
            label = "_" if figures.is_wide(side, sides) else name
            axes.plot(found.epochs, getattr(found, what), label=label, **figures.side_style(i, side, sides))
