"""None, L2, dropout: what an overfitted network loses in training, and gains on points it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing

from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task, arbiter_tasks
from compare.experiments.figures import VISIBLE
from compare.experiments.page import TEXTS, Comparison, Figure, Section, Table, remarks, texts
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, everyone_of, sides_of
from compare.experiments.recipe import Published, Recipe, published
from compare.experiments.train import Run, Sides, costs_of, first, rebuild
from compare.training.data import NOISE, Data, check_course_data, mat_file, noisy_classes, parabola
from scratch.losses import binary_cross_entropy_with_logits_forward

KEEP = 0.86
METHODS: dict[str, dict] = {
    "none": {"name": "no regularization"},
    "l2": {"name": "L2, λ = 0.7", "l2": 0.7},
    "dropout": {"name": "dropout, fresh masks", "dropout": 1 - KEEP},
    "frozen": {"name": "dropout, frozen mask", "dropout": 1 - KEEP, "fresh_masks": False},
}
SEEDS = (1, 2, 3, 4, 5)  # of the masks; the published program's is 1
SNAPSHOTS = 50  # of a run, evenly spaced
LAST = 100  # iterations over which the cost of fresh masks, which jumps, is averaged
HELD = 10000  # iterations for which rounding does not show in fresh masks on the course's data


@dataclass(frozen=True)
class Part:
    """The methods on one set of data.

    Args:
        name: in keys, and of the figures' files
        where: completes the sentence "this is what comes out …"; ends the names of its runs
        base: its network without regularisation
        data: its points
        base_error: what the best possible model gets wrong
        published: of a method
        held: the iteration up to which the two sides of dropout with fresh masks are held together, where
            beyond it rounding has grown; None where they stay together
    """

    name: str
    where: str
    base: Recipe
    data: Callable[[], Data]
    base_error: float = 0.0
    published: Mapping[str, Published] = field(default_factory=dict)
    held: int | None = None

    def recipe(self, method: str, seed: int = SEEDS[0]) -> Recipe:
        """The network with a method of `METHODS`, and a seed of its masks."""
        changes = {**METHODS[method], "name": f"{METHODS[method]['name']}{self.where}"}
        published = self.published.get(method, self.base.published)
        return replace(self.base, **changes, mask_seed=seed, published=published)

    def key(self, method: str, seed: int = SEEDS[0]) -> str:
        """What its results are found by."""
        return f"{self.name} {method} {seed}"

    def runs(self, results: Results, method: str) -> list[dict[str, Run]]:
        """By side, for each seed."""
        return [sides_of(results, self.key(method, seed)) for seed in seeds_of(method)]

    def parts_ways(self, options: Options, method: str) -> bool:
        """Whether rounding drives the two sides of a method apart before training ends."""
        epochs = options.shortened(self.base).epochs
        return method == "dropout" and self.held is not None and self.held < epochs


OWN = Part(
    name="regularization",
    where="",
    # At the published rate, 0.3, the run with the frozen mask amplifies rounding errors on these points.
    base=Recipe(
        "", (2, 20, 3, 1), "inverse_sqrt", lr=0.2, epochs=8000, published=Published(cost_tolerance=1e-9)
    ),
    data=noisy_classes,
    base_error=NOISE,
)
COURSE_BASE = replace(OWN.base, lr=0.3, epochs=30000)
COURSE_PUBLISHED = {
    method: published("regularization", method, cost_tolerance)
    for method, cost_tolerance in (("none", 1e-9), ("l2", 1e-10), ("frozen", 1e-10))
}


def seeds_of(method: str) -> tuple[int, ...]:
    """The seeds that a method is run with: it has masks to draw, or it has none."""
    return SEEDS if "dropout" in METHODS[method] else SEEDS[:1]


def parts(options: Options) -> list[Part]:
    """The project's own data and, if the reader has the file, the course's.

    Raises:
        ValueError: the file is not what it should be.
    """
    if options.data is None:
        return [OWN]
    check_course_data(options.data)
    course = Part(
        name="regularization-course",
        where=", course's data",
        base=COURSE_BASE,
        data=partial(mat_file, options.data),
        published=COURSE_PUBLISHED,
        held=HELD,
    )
    return [OWN, course]


def tasks(options: Options) -> list[Task]:
    """Each method on each side; further frozen masks, which only show a spread, on one side

    Where rounding drives the sides apart, the arbiter runs too.
    """
    found = []
    for part in parts(options):
        for method in METHODS:
            for seed in seeds_of(method):
                recipe = options.shortened(part.recipe(method, seed))
                kept = {"snapshot_at": _snapshots(recipe)} if seed == SEEDS[0] else {}
                sides = options.sides if method != "frozen" or seed == SEEDS[0] else options.sides[:1]
                found += [Task(part.key(method, seed), recipe, side, part.data, kept) for side in sides]
            if part.parts_ways(options, method):
                recipe = options.shortened(part.recipe(method))
                found += arbiter_tasks(part.key(method), recipe, part.data)
    return found


def report(options: Options, results: Results) -> Section:
    """Gaps, boundaries, costs and weights of the methods, on each set of data."""
    comparisons: list[Comparison] = []
    tables: list[Table] = []
    drawings: list[Figure] = []
    lines_of_diagnosis: list[str] = []
    for part in parts(options):
        data = part.data()
        first = {method: part.runs(results, method)[0] for method in METHODS}
        for method, sides in first.items():
            comparisons += _compare(part, options, method, sides, data)
        if not part.parts_ways(options, "dropout"):
            comparisons += _compare_seeds(part, results, data)
        tables += _tables(part, options, results, data)
        drawings += [
            _gaps(part, results, data),
            _boundaries(part, first, data),
            _costs(part, first, data),
            _weights(part, first),
        ]
        everyone = everyone_of(results, part.key("dropout"))
        if part.parts_ways(options, "dropout") and len(everyone) > 1:
            drawings.append(_parting(part, everyone))
        lines_of_diagnosis += diagnoses(first, data, part.base_error)
    return Section(
        **_texts(options),
        comparisons=comparisons,
        tables=tables,
        figures=drawings,
        diagnoses=lines_of_diagnosis,
    )


def _texts(options: Options) -> dict[str, Any]:
    own, course = options.shortened(OWN.base), options.shortened(COURSE_BASE)
    shares = {"noise": NOISE, "right": 1 - NOISE, "keep": KEEP, "drop": 1 - KEEP}
    said = texts("regularization", **shares, lr=own.lr, epochs=own.epochs)
    if options.data:
        further = remarks(TEXTS["regularization"]["course"], lr=course.lr, epochs=course.epochs)
        said["recipe"] += further["recipe"]
        said["notes"] += [] if options.quick else further["notes"]
    return said


def _compare(part: Part, options: Options, method: str, sides: Sides, data: Data) -> list[Comparison]:
    if part.parts_ways(options, method):
        assert part.held is not None
        why = "up to here; the figure shows how rounding grows further on"
        return compare_costs(sides, shown=range(0, part.held + 1, 2000), why=why)
    shown = () if first(sides).recipe.published.costs else range(0, part.base.epochs, 2000)
    return compare_costs(sides, shown=shown) + compare_accuracies(sides, data)


def _compare_seeds(part: Part, results: Results, data: Data) -> list[Comparison]:
    """The correct answers of dropout with fresh masks, of all seeds at once."""
    runs = part.runs(results, "dropout")
    name = f"{first(runs[0]).recipe.name}, seeds {SEEDS[0]} … {SEEDS[-1]}"
    found = []
    for which, of, i in (("training", len(data.x_train), 0), ("test", len(data.x_test), 1)):
        counts = {side: [by_side[side].final[i] for by_side in runs] for side in runs[0]}
        texts = {side: " ".join(map(str, of_seeds)) for side, of_seeds in counts.items()}
        equal = len(set(texts.values())) == 1
        found.append(Comparison(name, f"{which} set, of {of}", None, texts, equal, "as exact counts"))
    return found


def _tables(part: Part, options: Options, results: Results, data: Data) -> list[Table]:
    shares: list[list[str]] = []
    losses: list[list[str]] = []
    for method in METHODS:
        runs = [first(sides) for sides in part.runs(results, method)]
        name = METHODS[method]["name"]
        groups = {name: runs} if len(runs) == 1 else {f"{name}, {len(runs)} seeds": runs}
        if method == "frozen":
            groups = {f"{name} of seed {SEEDS[0]}": runs[:1], f"{name}s, {len(runs)} seeds": runs}
        if len(options.sides) > 1 and part.parts_ways(options, method):
            by_side = {side: [one[side] for one in part.runs(results, method)] for side in options.sides}
            groups = {f"{name}, {len(runs)} seeds ({side})": of_side for side, of_side in by_side.items()}
        for title, group in groups.items():
            right = 100 * np.array([_shares(run, data) for run in group])
            right = np.column_stack([right, right[:, 0] - right[:, 1]])
            shares.append([title, *(_with_range(column, ".1f") for column in right.T)])
            found = [(np.mean(run.cost[-LAST:]), *_losses(run, data)) for run in group]
            losses.append([title, *(_with_range(column, ".3f") for column in np.array(found).T)])
    return [
        Table(
            f"Right answers in % (mean and range of the seeds){part.where}",
            ("", "training set", "test set", "gap"),
            shares,
        ),
        Table(
            f"The cost as printed, the mean of the last {LAST}, and the cross-entropy of the same weights"
            f" without masks and penalty{part.where}",
            ("", "as printed", "training set", "test set"),
            losses,
        ),
    ]


def _with_range(values: np.ndarray, form: str) -> str:
    mean = format(values.mean(), form)
    return f"{mean} ({values.min():{form}} … {values.max():{form}})" if len(values) > 1 else mean


def _gaps(part: Part, results: Results, data: Data) -> Figure:
    with figures.drawing() as (drawing, axes):
        for row, method in enumerate(METHODS):
            runs = part.runs(results, method)
            for place, by_side in zip(np.linspace(-0.26, 0.26, len(runs)), runs, strict=True):
                y = row + (place if len(runs) > 1 else 0)
                for i, (side, run) in enumerate(by_side.items()):
                    train, test = (100 * share for share in _shares(run, data))
                    axes.plot([test, train], [y, y], color="0.7", lw=1, ls=":" if i else "-", zorder=1)
                    for value, marker, colour, name in (
                        (train, "o", figures.COLOURS[1], "training set"),
                        (test, "^", figures.COLOURS[2], "test set"),
                    ):
                        face = "none" if i else colour
                        axes.scatter(
                            value, y, s=70 if i else 22, marker=marker, facecolors=face, edgecolors=colour,
                            linewidths=0.9 if i else 0, zorder=2, label=f"{name} ({side})",
                        )  # fmt: skip
        if part.base_error:
            best = 100 * (1 - part.base_error)
            axes.axvline(best, color="black", lw=1, ls=":", zorder=0, label="share of right labels")
        names = [str(changes["name"]).replace(", ", ",\n") for changes in METHODS.values()]
        axes.set_yticks(range(len(METHODS)), names)
        axes.set(xlabel="right answers (%)", ylim=(len(METHODS) - 0.5, -0.5))
        figures.legend_below(drawing, axes, columns=3 if part.base_error else 2)
    return _figure(part, "gaps", drawing, last=SEEDS[-1])


def _boundaries(part: Part, runs: Mapping[str, Sides], data: Data) -> Figure:
    with figures.drawing(rows=2, columns=2, sharex=True, sharey=True) as (drawing, axes):
        for one, (method, sides) in zip(axes.flat, runs.items(), strict=True):
            figures.boundary(one, sides, data)
            if part is OWN:
                x = np.linspace(-1, 1, 100)
                one.plot(x, parabola(x), color="black", lw=1, ls=":", label="where the classes part")
            train, test = _shares(first(sides), data)
            one.set_title(f"{METHODS[method]['name']}: {train:.1%} / {test:.1%}")
            one.label_outer()
        figures.legend_below(drawing, axes[0, 0], columns=3)
    return _figure(part, "boundaries", drawing)


def _costs(part: Part, runs: Mapping[str, Sides], data: Data) -> Figure:
    epochs = first(runs["none"]).recipe.epochs
    printed = {METHODS[method]["name"]: costs_of(sides) for method, sides in runs.items()}
    on_test = {
        METHODS[method]["name"]: {side: test_losses(run, data) for side, run in sides.items()}
        for method, sides in runs.items()
    }
    with figures.drawing(columns=2, sharey=True) as (drawing, axes):
        figures.curves(axes[0], printed, every=max(1, epochs // 100), name_sides=False)
        figures.curves(axes[1], on_test, spacing=_spacing(epochs), name_sides=False)
        axes[0].set(title="training, as printed", ylabel="cost (nats per example)", ylim=(0, None))
        axes[1].set(title="test set, cross-entropy")
        for one in axes:
            one.set_xlabel("iteration")
            one.locator_params(axis="x", nbins=4)
        figures.legend_below(drawing, axes[0])
    return _figure(part, "costs", drawing)


def _weights(part: Part, runs: Mapping[str, Sides]) -> Figure:
    epochs = first(runs["none"]).recipe.epochs
    norms: dict[str, dict[str, list[float]]] = {}
    sizes: dict[str, dict[str, Sequence[float]]] = {}
    for method, sides in runs.items():
        name = METHODS[method]["name"]
        norms[name] = {
            side: [float(np.linalg.norm(all_weights(run, epoch))) for epoch in sorted(run.snapshots)]
            for side, run in sides.items()
        }
        sizes[name] = {
            side: np.sort(np.abs(all_weights(run, epochs)))[::-1].tolist() for side, run in sides.items()
        }
    with figures.drawing(columns=2) as (drawing, axes):
        figures.curves(axes[0], norms, spacing=_spacing(epochs), name_sides=False)
        figures.curves(axes[1], sizes, name_sides=False)
        axes[0].set(xlabel="iteration", ylabel="norm of all weights, √Σ‖W‖²", ylim=(0, None))
        axes[1].set(xlabel="weight, the largest first", ylabel="size at the end, |w|", yscale="log")
        axes[1].set_ylim(bottom=1e-3)
        axes[0].locator_params(axis="x", nbins=4)
        figures.legend_below(drawing, axes[0])
    return _figure(part, "weights", drawing)


def _parting(part: Part, everyone: Sides) -> Figure:
    parted = []
    with figures.drawing() as (drawing, axes):
        for (a, b), distance in figures.partings(axes, everyone, every=20).items():
            when = np.argmax(distance > VISIBLE)
            parted.append(f"{a} and {b} {f'from iteration {when}' if when else 'never'}")
        axes.set(xlabel="iteration", ylabel="distance of the costs (nats)")
        axes.legend()
    return _figure(part, "parting", drawing, visible=VISIBLE, parted=", ".join(parted))


def _figure(part: Part, what: str, drawing: Drawing, **values: Any) -> Figure:
    name, file = f"regularization-{what}", f"{part.name}-{what}"
    return figure(name, drawing, file=file, where=part.where, **values)


def _shares(run: Run, data: Data) -> tuple[float, float]:
    return run.final[0] / len(data.x_train), run.final[1] / len(data.x_test)


def _losses(run: Run, data: Data) -> tuple[float, float]:
    """The cross-entropy of the training and of the test set, without masks and penalty."""
    train, _ = binary_cross_entropy_with_logits_forward(run.train_logits, data.targets_train[:, 0])
    test, _ = binary_cross_entropy_with_logits_forward(run.test_logits, data.targets_test[:, 0])
    return float(train), float(test)


def test_losses(run: Run, data: Data) -> list[float]:
    """The cross-entropy of the test set, without masks, at each snapshot."""
    logits = (rebuild(run, epoch).logits(data.x_test) for epoch in sorted(run.snapshots))
    return [float(binary_cross_entropy_with_logits_forward(z, data.targets_test)[0]) for z in logits]


def all_weights(run: Run, epoch: int) -> np.ndarray:
    """The weights of all layers in one line, without biases, at a snapshot."""
    state = run.snapshots[epoch]
    return np.concatenate([array.ravel() for name, array in state.items() if name.endswith("weight")])


def _spacing(epochs: int) -> int:
    return max(1, epochs // SNAPSHOTS)


def _snapshots(recipe: Recipe) -> tuple[int, ...]:
    return tuple(range(0, recipe.epochs, _spacing(recipe.epochs)))
