"""Holds runs against published figures, and the two sides against each other."""

from collections.abc import Mapping, Sequence

from compare.experiments.diagnosis import diagnose
from compare.experiments.experiment import Results
from compare.experiments.page import Comparison
from compare.experiments.train import SIDES, Run, Sides, first
from compare.training.data import Data


def sides_of(results: Results, key: str, sides: Sequence[str] = SIDES) -> dict[str, Run]:
    """The runs of one recipe by side, scratch first; the arbiter is no side."""
    return {side: results[key, side] for side in sides if (key, side) in results}


def everyone_of(results: Results, key: str) -> dict[str, Run]:
    """The runs of one recipe, the arbiter's too."""
    return sides_of(results, key, (*SIDES, "arbiter"))


def compare_costs(runs: Sides, *, shown: Sequence[int] = (), why: str = "") -> list[Comparison]:
    """Each published cost that the runs got to, beside those of both sides

    Args:
        runs: of one recipe
        shown: epochs to show though nothing was published of them; there the sides are held together
        why: said in every row, in place of the tolerance
    """
    recipe = first(runs).recipe
    published, tolerance = recipe.published, recipe.published.cost_tolerance

    def row(what: str, figure: str | None, values: Mapping[str, float]) -> Comparison:
        reference = float(figure) if figure else next(iter(values.values()))
        agrees = all(abs(value - reference) <= tolerance for value in values.values())
        texts = {side: f"{value:.16g}" for side, value in values.items()}
        return Comparison(recipe.name, what, figure, texts, agrees, why or f"to within {tolerance:g}")

    rows = []
    for epoch in sorted({*published.costs, *shown}):
        if epoch < recipe.epochs:
            costs = {side: run.cost[epoch] for side, run in runs.items()}
            rows.append(row(f"cost, epoch {epoch}", published.costs.get(epoch), costs))
    for epoch, figure in published.last_costs.items():
        if epoch < recipe.epochs:
            costs = {side: run.last_cost[epoch] for side, run in runs.items()}
            rows.append(row(f"last mini-batch, epoch {epoch}", figure, costs))
    return rows


def compare_accuracies(runs: Sides, data: Data) -> list[Comparison]:
    """Correct answers, as exact counts, wherever they were published and at the end of training

    A shortened run does not get to where figures were published: its sides are held against each other.
    """
    recipe = first(runs).recipe
    rows = []
    for epochs in sorted({*recipe.published.correct, recipe.epochs}):
        if epochs > recipe.epochs:
            continue
        figures = recipe.published.correct.get(epochs, (None, None))
        for name, of, figure, i in (
            ("training", len(data.x_train), figures[0], 0),
            ("test", len(data.x_test), figures[1], 1),
        ):
            if of:
                counts = {side: run.correct[epochs][i] for side, run in runs.items()}
                reference = next(iter(counts.values())) if figure is None else figure
                rows.append(
                    Comparison(
                        recipe.name,
                        f"{name} set, {epochs} epochs",
                        None if figure is None else _share(figure, of),
                        {side: _share(count, of) for side, count in counts.items()},
                        all(count == reference for count in counts.values()),
                        "as an exact count",
                    )
                )
    return rows


def diagnoses(runs: Mapping[str, Sides], data: Data, base_error: float = 0.0) -> list[str]:
    """One line for each recipe: its errors, and what the basic recipe says of them."""
    lines = []
    for sides in runs.values():
        run = first(sides)
        train_error = 1 - run.final[0] / len(data.x_train)
        if len(data.x_test) == 0:
            lines.append(
                f"{run.recipe.name}: training error {train_error:.1%}; no other set to tell variance by"
            )
            continue
        dev_error = 1 - run.final[1] / len(data.x_test)
        found = diagnose(train_error, dev_error, base_error)
        base = f"base error {base_error:.0%}, " if base_error else ""
        lines.append(
            f"{run.recipe.name}: {base}training error {train_error:.1%}, test error {dev_error:.1%}: {found}"
        )
    return lines


def _share(correct: int, of: int) -> str:
    return f"{correct / of:.2%} = {correct}/{of}"
