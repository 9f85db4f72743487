"""The still figures of the playground: each widget as it starts, computed by `scratch/`."""

from collections.abc import Callable
from functools import partial

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from compare.report.plots import COLOURS, to_svg
from scratch.optimizers import SGD, Adam, RMSprop

INK, RULE, *CURVES = COLOURS


def _optimizers(axes: Axes) -> None:
    """The ravine ½(x² + 50y²), forty steps from (−3.5, 1)."""
    x, y = np.meshgrid(np.linspace(-4, 4, 81), np.linspace(-1.5, 1.5, 81))
    axes.contour(x, y, np.log((x * x + 50 * y * y) / 2 + 0.05), levels=10, colors=RULE, linewidths=0.7)
    makers: dict[str, Callable] = {
        "gradient descent": partial(SGD, lr=0.025),
        "momentum": partial(SGD, lr=0.025, momentum=0.9),
        "Nesterov": partial(SGD, lr=0.025, momentum=0.9, nesterov=True),
        "RMSProp": partial(RMSprop, lr=0.1),
        "Adam": partial(Adam, lr=0.1),
    }
    for (label, make), colour, marker in zip(makers.items(), CURVES, "os^Dx", strict=False):
        theta = np.array([-3.5, 1.0])
        optimizer, path = make([theta]), [theta.copy()]
        for _ in range(40):
            optimizer.step([theta * [1, 50]])
            path.append(theta.copy())
        axes.plot(*np.array(path).T, color=colour, marker=marker, markevery=10, markersize=5, label=label)
    axes.set_xlim(-4, 4)
    axes.set_ylim(-1.5, 1.5)
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def _still(name: str, alternative: str, draw: Callable[[Axes], None]) -> Markup:
    return to_svg(f"playground-{name}", alternative, draw, size=(8, 4))


STILLS: dict[str, Callable[[], Markup]] = {
    "optimizers": partial(
        _still, "optimizers", "Forty steps of five optimizers over the level lines of a ravine", _optimizers
    ),
}
