"""Bias and variance: the basic recipe, followed from a straight line to a model that is as good as any."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from compare.experiments import figures
from compare.experiments.diagnosis import Diagnosis, diagnose
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Run, Sides, first
from compare.training.data import Data, checkerboard

BASE_ERROR = 0.05  # of `checkerboard`: the share of its labels that is wrong
DEV = 1000  # examples of its other set
_BASE = Recipe(
    "",
    (2, 1),
    "he",
    lr=0.005,
    epochs=1000,
    optimizer="Adam",
    published=Published(cost_tolerance=1e-9),
)


@dataclass(frozen=True)
class Model:
    """A model, how many examples it learns from, and what it suffers from."""

    widths: tuple[int, ...]
    examples: int
    expected: str

    @property
    def recipe(self) -> Recipe:
        """Its training."""
        widths = "-".join(map(str, self.widths))
        return replace(_BASE, name=f"{widths}, {self.examples} examples", widths=self.widths)

    @property
    def data(self) -> partial[Data]:
        """What makes its data."""
        return partial(checkerboard, self.examples)


MODELS = {
    "line": Model((2, 1), 200, "high bias"),
    "small": Model((2, 4, 1), 200, "high bias and high variance"),
    "large": Model((2, 32, 32, 1), 200, "high variance"),
    "more_data": Model((2, 32, 32, 1), 2000, "neither"),
}
LECTURE = (  # training, development and base error, in percent
    (1, 11, 0),
    (15, 16, 0),
    (15, 30, 0),
    (0.5, 1, 0),
    (15, 16, 15),
)


@dataclass(frozen=True)
class Errors:
    """Shares of wrong answers of a run."""

    train: float
    dev: float

    @property
    def diagnosis(self) -> Diagnosis:
        """What the basic recipe says."""
        return diagnose(self.train, self.dev, BASE_ERROR)


def tasks(options: Options) -> list[Task]:
    """Each model on each side, on its own number of examples."""
    return [
        task
        for key, model in MODELS.items()
        for task in tasks_of({key: model.recipe}, model.data, options, 4)
    ]


def report(options: Options, results: Results) -> Section:
    """The four models, their errors and what follows from them; the lecture's examples beside them."""
    runs = {key: sides_of(results, key) for key in MODELS}
    comparisons: list[Comparison] = []
    for key, sides in runs.items():
        data = MODELS[key].data()
        comparisons += compare_costs(sides, shown=[0, first(sides).recipe.epochs - 1])
        comparisons += compare_accuracies(sides, data)
        comparisons.append(_compare_diagnoses(key, sides))
    return Section(
        **texts(
            "bias_variance",
            dev=DEV,
            learnt=learnt(_errors("large", first(runs["large"])).train),
            widths=", ".join(map(_widths, MODELS.values())),
            lr=_BASE.lr,
            epochs=options.shortened(_BASE, 4).epochs,
        ),
        comparisons=comparisons,
        tables=[_models(runs), _knobs(runs), _lecture()],
        figures=[_figure(runs)],
        diagnoses=[
            line
            for key, sides in runs.items()
            for line in diagnoses({key: sides}, MODELS[key].data(), BASE_ERROR)
        ],
    )


def learnt(error: float) -> str:
    """What a training error of the large network says"""
    included = ", wrong labels included" if error < BASE_ERROR else ""
    return f"{1 - error:.1%} of the training set right{included}"


def _widths(model: Model) -> str:
    return "-".join(map(str, model.widths))


def _errors(key: str, run: Run) -> Errors:
    return Errors(1 - run.final[0] / MODELS[key].examples, 1 - run.final[1] / DEV)


def _first_step(diagnosis: Diagnosis) -> str:
    return diagnosis.next_steps[0] if diagnosis.next_steps else "done"


def _compare_diagnoses(key: str, sides: Sides) -> Comparison:
    """The answer that the model was chosen for, also of a first look."""
    names = {side: _errors(key, run).diagnosis.name for side, run in sides.items()}
    expected = MODELS[key].expected
    agrees = all(name == expected for name in names.values())
    return Comparison(MODELS[key].recipe.name, "diagnosis", None, names, agrees, f"expected: {expected}")


def _models(runs: Mapping[str, Sides]) -> Table:
    rows = []
    for key, sides in runs.items():
        errors = _errors(key, first(sides))
        rows.append(
            (
                MODELS[key].recipe.name,
                f"{errors.train:.1%}",
                f"{errors.dev:.1%}",
                f"{100 * (errors.train - BASE_ERROR):+.1f}",
                f"{100 * (errors.dev - errors.train):+.1f}",
                errors.diagnosis.name,
                _first_step(errors.diagnosis),
            )
        )
    header = ("model", "training", "dev.", "bias", "variance", "diagnosis", "next")
    return Table("The recipe, followed: errors, and gaps in points (base error 5 %)", header, rows)


def _knobs(runs: Mapping[str, Sides]) -> Table:
    """One knob for each aim, in the order in which they are turned."""
    errors = {key: _errors(key, first(sides)) for key, sides in runs.items()}
    bigger = ", ".join(
        f"{_widths(MODELS[key])}: {errors[key].train:.1%}" for key in ("line", "small", "large")
    )
    before, after = (errors[key] for key in ("large", "more_data"))
    chance = 2 * (after.dev * (1 - after.dev) / DEV) ** 0.5
    rows = [
        (
            "the training set is fitted",
            "bigger network, training for longer, a better optimizer or start",
            f"training error of {bigger}",
        ),
        (
            "and so is the development set",
            "more data, L2, dropout",
            f"gap with {MODELS['large'].examples} examples {100 * (before.dev - before.train):.1f} points,"
            f" with {MODELS['more_data'].examples} {100 * (after.dev - after.train):.1f}",
        ),
        (
            "and a test set",
            "a bigger development set: the one that there is has been fitted",
            f"of {DEV} answers {100 * chance:.1f} points more or fewer may be chance",
        ),
        (
            "and it does well in the world",
            "another development set, or another cost: they ask for the wrong thing",
            "nothing: all points here are of one board",
        ),
    ]
    header = ("aim", "knobs", "what the runs above show")
    return Table("One knob for one aim; early stopping turns the first two at once", header, rows)


def _lecture() -> Table:
    rows = []
    for train, dev, base in LECTURE:
        found = diagnose(train / 100, dev / 100, base / 100)
        rows.append((f"{base:g} %", f"{train:g} %", f"{dev:g} %", found.name, _first_step(found)))
    header = ("base", "training", "dev.", "diagnosis", "next")
    return Table("The lecture's examples: cat pictures, and in the last line blurred ones", header, rows)


def _figure(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(2, len(runs), sharey="row") as (drawing, axes):
        for (above, below), (key, sides) in zip(axes.T, runs.items(), strict=True):
            model = MODELS[key]
            figures.boundary(above, sides, model.data())
            above.set_title(f"{_widths(model)}, {model.examples} examples")
            found = _errors(key, first(sides)).diagnosis
            name = found.name.replace(" and ", "\nand ")
            below.set_title(f"{name}\n→ {_first_step(found)}")
            _bars(below, {side: _errors(key, run) for side, run in sides.items()})
        for row in axes:
            for one in row[1:]:
                one.set_ylabel("")
        axes[1, 0].set_ylim(0, 1.08 * axes[1, 0].get_ylim()[1])
        figures.legend_below(drawing, *axes[:, 0], columns=4)
    return figure("bias_variance", drawing, key=figures.boundary_key(runs["line"]))


def _bars(axes: Any, errors: Mapping[str, Errors]) -> None:
    """Base, training and development error; the sides beside each other, the second one hatched."""
    width = 0.8 / len(errors)
    for i, (side, found) in enumerate(errors.items()):
        heights = 100 * np.array([BASE_ERROR, found.train, found.dev])
        places = np.arange(3) + (i - (len(errors) - 1) / 2) * width
        axes.bar(
            places,
            heights,
            0.92 * width,
            color=figures.COLOURS[6] if i else figures.COLOURS[1],
            hatch="///" if i else None,
            edgecolor="black",
            linewidth=0.6,
            label=side,
        )
    for place, height in enumerate(heights):
        axes.annotate(f"{height:.1f}", (place, height), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(3), ["base", "training", "dev."])
    axes.set_ylabel("error (%)")
    axes.grid(axis="x", visible=False)
