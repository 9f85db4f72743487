"""The page of a trace: how far every tensor is apart at every step, both losses, and what parts them."""

import io
from collections.abc import Callable, Mapping
from functools import partial

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from compare.recording.replay import Runs
from compare.recording.trace import Trace

MOST = 400  # steps that are drawn


def page(trace: Trace) -> str:
    """One HTML document that needs no other file."""
    loader = jinja2.PackageLoader("compare.recording")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    figures = [("How far each tensor is apart, in rounding units", _svg(_heat_map, trace, _height(trace)))]
    if both := losses(trace):
        figures.append(("Both losses", _svg(partial(_draw_losses, both), trace, 2.8)))
    return environment.get_template("trace.html").render(trace=trace, figures=figures)


def _height(trace: Trace) -> float:
    return max(2.2, 1.2 + 0.2 * len(trace.pairing.pairs))


def _drawn(trace: Trace) -> list[int]:
    steps = trace.steps
    return sorted({steps[i] for i in np.linspace(0, len(steps) - 1, min(MOST, len(steps))).astype(int)})


def _heat_map(axes: Axes, trace: Trace) -> None:
    steps, pairs = _drawn(trace), trace.pairing.pairs
    units = np.array([[trace.units[step][pair.theirs] for step in steps] for pair in pairs])
    units = np.where(np.isfinite(units), units, 1e16).clip(0.1, 1e16)
    image = axes.pcolormesh(
        np.arange(len(steps) + 1), np.arange(len(pairs) + 1), units, norm=LogNorm(0.1, 1e16), cmap="cividis"
    )
    axes.set_yticks(np.arange(len(pairs)) + 0.5, [pair.mine for pair in pairs])
    axes.invert_yaxis()
    ticks = range(0, len(steps), max(1, len(steps) // 8))
    axes.set_xticks([i + 0.5 for i in ticks], [str(steps[i]) for i in ticks])
    axes.set_xlabel("step")
    first = trace.faults[0] if trace.faults else None
    if first and first.step in steps:
        position = next((i for i, pair in enumerate(pairs) if pair.theirs == first.tensor), None)
        if position is not None:
            axes.plot(steps.index(first.step) + 0.5, position + 0.5, "o", mfc="none", mec="red", ms=9)
    axes.figure.colorbar(image, ax=axes, label="rounding units")


def losses(trace: Trace) -> dict[str, list[float]]:
    """Of both runs at the steps that are drawn; none where one has no loss."""
    runs = Runs(trace.mine, trace.theirs, trace.pairing)
    found: dict[str, list[float]] = {}
    for side, whose in enumerate(("yours", "theirs")):
        values = [runs.of(side, step, "loss") for step in _drawn(trace)]
        if any(value is None or value.size != 1 for value in values):
            return {}
        found[whose] = [value.item() for value in values if value is not None]
    return found


def _draw_losses(both: Mapping[str, list[float]], axes: Axes, trace: Trace) -> None:
    steps = _drawn(trace)
    axes.plot(steps, both["theirs"], color="#e69f00", linewidth=4, alpha=0.6, label="theirs")
    axes.plot(steps, both["yours"], color="#0072b2", linewidth=1.2, label="yours")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)


def _svg(draw: Callable[[Axes, Trace], None], trace: Trace, height: float) -> Markup:
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trace", "font.size": 9}):
        figure = Figure(figsize=(8, height), layout="constrained")
        draw(figure.subplots(), trace)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Markup(file.getvalue()[file.getvalue().index("<svg") :])
