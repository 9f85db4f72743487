"""Zeros, large random numbers, He: where the weights start decides whether anything is learnt."""

from dataclasses import replace

import numpy as np

from compare.experiments import figures
from compare.experiments.experiment import Experiment, Options, Results, Task, tasks_of
from compare.experiments.page import Comparison, Figure, Section, lines
from compare.experiments.published import compare_accuracies, compare_costs, diagnoses, sides_of
from compare.experiments.recipe import Published, Recipe, every
from compare.experiments.train import Run
from compare.training.data import Data, circles

_BASE = Recipe("He", (2, 10, 5, 1), "he", lr=0.01, epochs=15000)
RECIPES = {
    "zeros": replace(
        _BASE,
        name="zeros",
        scale="zeros",
        published=Published(
            every(1000, "0.6931471805599453 " * 10 + "0.6931471805599455 " + "0.6931471805599453 " * 4),
            cost_tolerance=1e-12,
            correct={15000: (150, 50)},
        ),
    ),
    "large_random": replace(
        _BASE,
        name="large random",
        scale="large_random",
        published=Published(
            every(
                1000,
                "inf 0.6247924745506072 0.5980258056061102 0.5637539062842213 0.5501256393526495"
                " 0.5443826306793814 0.5373895855049121 0.47157999220550006 0.39770475516243037"
                " 0.3934560146692851 0.3920227137490125 0.38913700035966736 0.3861358766546214"
                " 0.38497629552893475 0.38276694641706693",
            ),
            cost_tolerance=0.01,
            correct={15000: (249, 86)},
        ),
    ),
    "he": replace(
        _BASE,
        published=Published(
            every(
                1000,
                "0.8830537463419761 0.6879825919728063 0.6751286264523371 0.6526117768893805"
                " 0.6082958970572938 0.5304944491717495 0.4138645817071794 0.3117803464844441"
                " 0.23696215330322562 0.1859728720920684 0.15015556280371808 0.12325079292273551"
                " 0.09917746546525937 0.08457055954024283 0.07357895962677366",
            ),
            cost_tolerance=1e-10,
            correct={15000: (298, 96)},
        ),
    ),
}
STABLE_INFINITY = 1773.5859549374  # the cost at the start that was printed as inf
VISIBLE = 1e-4  # a difference between two costs that a plot would show
HAS_ARBITER = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps


def tasks(options: Options) -> list[Task]:
    """Each start on each side; the large one also in higher precision."""
    found = tasks_of(RECIPES, circles, options, snapshot_at=(0,))
    if HAS_ARBITER:
        recipe = options.shortened(RECIPES["large_random"])
        found.append(Task("large_random", recipe, "arbiter", circles, {"dtype": np.longdouble}))
    return found


def report(options: Options, results: Results) -> Section:
    """Costs, boundaries, the symmetry of zeros, and how rounding grows in the large start."""
    data = circles()
    runs = {key: sides_of(results, key) for key in RECIPES}
    comparisons: list[Comparison] = []
    for key, sides in runs.items():
        rows = compare_costs(sides)
        comparisons += [_at_infinity(sides), *rows[1:]] if key == "large_random" else rows
        if key != "large_random" or not options.quick:  # half-way the two sides are not where they were
            comparisons += compare_accuracies(sides, data)
    drawings = [_costs(runs), _boundaries(runs, data), _symmetry(runs)]
    if len(options.sides) > 1 or HAS_ARBITER:
        drawings.append(_parting(results))
    return Section(
        name="initialization",
        title="Initialization",
        text=(
            "The same network, 2-10-5-1, on two rings of points, one inside the other; only the first weights"
            " differ. From zeros nothing is learnt, from large numbers something is learnt late, from He's"
            " almost everything.",
            "With zeros, every unit of a layer computes the same and gets the same gradient, so that all stay"
            " copies of each other. Worse: ReLU(0) = 0, and the hidden layers pass on neither signal"
            " nor gradient, and only the last bias could ever move. Half of the points are of either"
            " class: it has no reason to.",
        ),
        recipe=lines(
            ("data", "300 points in two circles (noise 0.05, seed 1), 100 for testing (seed 2)"),
            ("network", "2-10-5-1, ReLU, sigmoid output, mean cross-entropy, float64"),
            ("weights", "standard normal from seed 3, layer by layer, times 0, 10 or √(2/fan_in); biases 0"),
            ("training", f"gradient descent on all points, learning rate 0.01, {_epochs(runs)} iterations"),
        ),
        comparisons=comparisons,
        figures=drawings,
        diagnoses=diagnoses(runs, data),
        notes=(
            "The published program printed a cost of inf at the start of the large run: some sigmoid outputs"
            f" round to exactly 0 or 1, and it took their logarithm. From the logits the cost is"
            f" {STABLE_INFINITY:g}.",
            "The costs of the large run can not be reproduced digit for digit by anyone: the published copies"
            " themselves differ by up to 4e-3, with equal predictions. Weights of size 10 amplify a"
            " rounding error with every step; the figure shows from where on.",
        ),
    )


def _epochs(runs: dict[str, dict[str, Run]]) -> int:
    return next(iter(runs["he"].values())).recipe.epochs


def _at_infinity(sides: dict[str, Run]) -> Comparison:
    costs = {side: run.cost[0] for side, run in sides.items()}
    return Comparison(
        "large random",
        "cost, epoch 0",
        "inf",
        {side: f"{cost:.16g}" for side, cost in costs.items()},
        all(abs(cost - STABLE_INFINITY) < 1e-9 for cost in costs.values()),
        "inf was the logarithm of a rounded sigmoid; computed from the logits it is finite",
    )


def _costs(runs: dict[str, dict[str, Run]]) -> Figure:
    with figures.drawing(columns=1) as (drawing, axes):
        named = {_name(key): {s: run.cost for s, run in sides.items()} for key, sides in runs.items()}
        figures.curves(axes, named, every=20)
        axes.set(xlabel="iteration", ylabel="cost (nats per example)", ylim=(0, 1))
        figures.legend_below(drawing, axes)
    return Figure(
        "initialization-costs", drawing, "The cost of the three starts. The large one begins at 1774."
    )


def _boundaries(runs: dict[str, dict[str, Run]], data: Data) -> Figure:
    with figures.drawing(columns=3, sharex=True, sharey=True) as (drawing, axes):
        for one, sides in zip(axes, runs.values(), strict=True):
            run = next(iter(sides.values()))
            figures.boundary(one, list(sides.values()), data)
            one.set_title(f"{run.recipe.name}: {run.final[0] / 300:.2%} / {run.final[1] / 100:.0%}")
    caption = "What each network says of the plane, with its share of right answers in training / test set."
    return Figure("initialization-boundaries", drawing, caption)


def _symmetry(runs: dict[str, dict[str, Run]]) -> Figure:
    with figures.drawing(columns=2) as (drawing, axes):
        for one, key in zip(axes, ("zeros", "he"), strict=True):
            run = next(iter(runs[key].values()))
            first, last = (run.snapshots[epoch]["linear1.weight"] for epoch in (0, run.recipe.epochs))
            one.scatter(*first.T, marker="x", color=figures.COLOURS[2], s=35, label="at the start")
            one.scatter(*last.T, marker="o", color=figures.COLOURS[1], s=22, label="after training")
            one.set(title=run.recipe.name, xlabel="weight of $x_1$", ylabel="weight of $x_2$")
            one.legend()
    caption = (
        "The ten hidden units of the first layer, each a point of its two weights. From zeros all ten stay"
        " where they were, in one point; from He's numbers each goes its own way."
    )
    return Figure("initialization-symmetry", drawing, caption)


def _parting(results: Results) -> Figure:
    costs = {side: run.cost for (key, side), run in results.items() if key == "large_random"}
    pairs = [(a, b) for a, b in (("scratch", "torch"), ("scratch", "arbiter"), ("torch", "arbiter"))]
    parted = "they do not"
    with figures.drawing() as (drawing, axes):
        for i, (a, b) in enumerate(pairs):
            if a in costs and b in costs:
                distance = np.abs(np.subtract(costs[a], costs[b])).astype(float)
                seen = np.maximum(distance, 1e-17)
                axes.semilogy(
                    seen, color=figures.COLOURS[i], ls=figures.DASHES[i], lw=1.1, label=f"{a} − {b}"
                )
                if i == 0 and (distance > VISIBLE).any():
                    parted = f"from iteration {np.argmax(distance > VISIBLE)}"
        axes.set(xlabel="iteration", ylabel="distance of the costs (nats)")
        axes.legend()
    caption = (
        f"Large random start: where the two sides part by more than {VISIBLE:g} ({parted}). The arbiter is"
        " scratch in 64-bit mantissas. Both sides leave it as they leave each other, at the same time:"
        " it is rounding that grows, and neither side is at fault."
    )
    return Figure("initialization-parting", drawing, caption)


def _name(key: str) -> str:
    return RECIPES[key].name


EXPERIMENT = Experiment("initialization", "Initialization", tasks, report)
