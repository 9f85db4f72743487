"""The one style of all figures: readable in greyscale and by the colour-blind, both sides in one picture."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Drawing

from compare.experiments.train import Run, grid
from compare.training.data import Data

STYLE: Any = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "scratch-vs-torch",  # the same drawing is the same file
    "svg.fonttype": "path",
}
# Okabe and Ito's colours, dark to light, so that they also differ in greyscale; a dash pattern each besides.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 2, 2)), (0, (1, 1)), (0, (8, 3)), (0, (4, 1, 1, 1, 1, 1)))
CLASSES = ListedColormap(["#9ecae1", "#fdd0a2"])  # where the network says 0, and 1


@contextmanager
def drawing(
    rows: int = 1, columns: int = 1, *, height: float = 2.9, **options: Any
) -> Iterator[tuple[Drawing, Any]]:
    """A drawing in the common style, without a display: (drawing, axes of `Drawing.subplots`)

    Rows are `height` inches high; `options` go to `Drawing.subplots`.
    """
    size = (min(max(3.4 * columns + 0.6, 6.5), 10.5), height * rows + 0.3)
    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=size)
        yield figure, figure.subplots(rows, columns, **options)
        figure.canvas.draw()


def curves(
    axes: Axes,
    named: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    start: int = 0,
    every: int = 1,
    spacing: int = 1,
    name_sides: bool = True,
) -> None:
    """Curves by name and side: scratch as a wide pale line, torch as a thin dark one on it

    Args:
        axes: where
        named: name → side → value of each epoch
        start: the first epoch to plot
        every: plot each so manieth value
        spacing: epochs between two values
        name_sides: in the legend; otherwise it has one entry for both
    """
    for i, (name, sides) in enumerate(named.items()):
        colour = COLOURS[i % len(COLOURS)]
        for side, values in sides.items():
            wide = side == "scratch" and len(sides) > 1
            style: dict[str, Any] = (
                {"lw": 4.5, "alpha": 0.3} if wide else {"lw": 1.4, "ls": DASHES[i % len(DASHES)]}
            )
            label = f"{name} ({side})" if len(sides) > 1 and name_sides else name
            if wide and not name_sides:
                label = "_"  # matplotlib's sign for: not in the legend
            epochs = np.arange(start, len(values), every) * spacing
            axes.plot(epochs, np.asarray(values)[start::every], color=colour, label=label, **style)


def boundary(axes: Axes, runs: Sequence[Run], data: Data) -> None:
    """The points of the training set, and where each side says 0 and 1: one as areas, both as lines."""
    first, second = grid(data)
    axes.contourf(first, second, runs[0].grid_logits > 0, levels=[-0.5, 0.5, 1.5], cmap=CLASSES, alpha=0.6)
    for run, colour, style in zip(runs, ("white", "black"), ("solid", "dashed"), strict=False):
        if run.grid_logits.min() < 0 < run.grid_logits.max():
            width = 3 if colour == "white" and len(runs) > 1 else 1.2
            axes.contour(
                first, second, run.grid_logits, levels=[0], colors=colour, linewidths=width, linestyles=style
            )
    for value, marker, colour in ((0, "o", "#08519c"), (1, "^", "#a63603")):
        points = data.x_train[data.targets_train[:, 0] == value]
        axes.scatter(
            points[:, 0], points[:, 1], s=9, marker=marker, c=colour, linewidths=0, label=f"class {value}"
        )
    axes.grid(False)
    axes.set(xlabel="$x_1$", ylabel="$x_2$")


def boundary_key(runs: Sequence[Run]) -> str:
    """Which line of `boundary` is whose, for a caption."""
    first, *second = (run.side for run in runs)
    return f"White line: {first}." if not second else f"White line: {first}; dashed line on it: {second[0]}."


def legend_below(drawing: Drawing, axes: Axes, columns: int = 2) -> None:
    """A legend that covers no curve."""
    handles, labels = axes.get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=columns)
