"""The one style of all figures: readable in greyscale and by the colour-blind, both sides in one picture."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Drawing
from matplotlib.layout_engine import ConstrainedLayoutEngine

from compare.experiments.train import Run, grid
from compare.training.data import Data

STYLE: Any = {
    "figure.dpi": 100,
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
VISIBLE = 1e-4  # a difference between two costs that a plot would show
CLASSES = ("#9ecae1", "#fdd0a2")  # where the network says 0, and 1
POINTS = ("#08519c", "#a63603")
LINES = ("#fefefe", "#010101")  # of a boundary: white and black, also where a page turns those two round


@contextmanager
def drawing(
    rows: int = 1, columns: int = 1, *, height: float = 2.9, **options: Any
) -> Iterator[tuple[Drawing, Any]]:
    """A drawing in the common style, without a display: (drawing, axes of `Drawing.subplots`)

    Rows are `height` inches high; `options` go to `Drawing.subplots`.
    """
    size = (min(max(3.4 * columns + 0.6, 6.5), 10.5), height * rows + 0.3)
    layout = ConstrainedLayoutEngine()
    with matplotlib.rc_context(STYLE):
        figure = Drawing(figsize=size, layout=layout)
        yield figure, figure.subplots(rows, columns, **options)
        layout.execute(figure)
    figure.set_layout_engine(None)  # everything has its place now, in whatever format it is drawn


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
        for side, values in sides.items():
            label = f"{name} ({side})" if len(sides) > 1 and name_sides else name
            if is_wide(side, sides) and not name_sides:
                label = "_"  # matplotlib's sign for: not in the legend
            epochs = np.arange(start, len(values), every) * spacing
            axes.plot(epochs, np.asarray(values)[start::every], label=label, **side_style(i, side, sides))


def is_wide(side: str, sides: Collection[str]) -> bool:
    """Whether a side's line lies below that of another one."""
    return side == "scratch" and len(sides) > 1


def side_style(i: int, side: str, sides: Collection[str]) -> dict[str, Any]:
    """Of the i-th curve: scratch as a wide pale line, torch as a thin dark one on it."""
    colour = COLOURS[i % len(COLOURS)]
    if is_wide(side, sides):
        return {"color": colour, "lw": 4.5, "alpha": 0.3}
    return {"color": colour, "lw": 1.4, "ls": DASHES[i % len(DASHES)], "ms": 4}


def distance(
    axes: Axes, a: Run, b: Run, i: int, label: str = "", *, every: int = 1, lw: float = 1.1
) -> np.ndarray:
    """The distance of two costs on a logarithmic scale, as the i-th curve; returns that of each epoch."""
    n = min(len(a.cost), len(b.cost))
    found = np.abs(np.subtract(a.cost[:n], b.cost[:n])).astype(float)
    label = label or f"{a.side} − {b.side}"
    style: Any = {"color": COLOURS[i], "ls": DASHES[i], "lw": lw}
    axes.semilogy(np.arange(0, n, every), np.maximum(found[::every], 1e-17), label=label, **style)
    return found


def partings(axes: Axes, runs: Mapping[str, Run], **options: Any) -> dict[tuple[str, str], np.ndarray]:
    """How far scratch, torch and the arbiter are apart, as far as they are there; see `distance`."""
    pairs = list(itertools.combinations(("scratch", "torch", "arbiter"), 2))
    return {
        (a, b): distance(axes, runs[a], runs[b], i, **options)
        for i, (a, b) in enumerate(pairs)
        if a in runs and b in runs
    }


def boundary(axes: Axes, sides: Mapping[str, Run], data: Data) -> None:
    """The points of the training set, and where each side says 0 and 1: one as areas, both as lines."""
    runs = list(sides.values())
    first, second = grid(data)
    axes.contourf(
        first,
        second,
        runs[0].grid_logits > 0,
        levels=[-0.5, 0.5, 1.5],
        cmap=ListedColormap(CLASSES),
        alpha=0.6,
    )
    for run, colour, style in zip(runs, LINES, ("solid", "dashed"), strict=False):
        if run.grid_logits.min() < 0 < run.grid_logits.max():
            width = 3 if colour == LINES[0] and len(runs) > 1 else 1.2
            axes.contour(
                first, second, run.grid_logits, levels=[0], colors=colour, linewidths=width, linestyles=style
            )
    points(axes, data.x_train, data.targets_train, size=9)
    axes.grid(False)
    axes.set(xlabel="$x_1$", ylabel="$x_2$")


def points(axes: Axes, x: np.ndarray, targets: np.ndarray, size: float) -> None:
    """Points (examples, 2) of two classes, a marker and a colour for each."""
    for value, marker, colour in ((0, "o", POINTS[0]), (1, "^", POINTS[1])):
        some = x[targets[:, 0] == value]
        axes.scatter(
            some[:, 0], some[:, 1], s=size, marker=marker, c=colour, linewidths=0, label=f"class {value}"
        )


def boundary_key(sides: Collection[str]) -> str:
    """Which line of `boundary` is whose, for a caption."""
    first, *second = sides
    return f"White line: {first}." if not second else f"White line: {first}; dashed line on it: {second[0]}."


def legend_below(drawing: Drawing, *axes: Axes, columns: int = 2) -> None:
    """A legend that covers no curve, of what has a label in any of the axes; each label once."""
    found = [one.get_legend_handles_labels() for one in axes]
    once = {label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)}
    drawing.legend(once.values(), once.keys(), loc="outside lower center", ncols=columns)
