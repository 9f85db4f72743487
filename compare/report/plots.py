"""The figures of a training run: loss, one-step error and drift, as SVG in the colours of the page."""

import html
import io
import math
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compare.measure import units_text
from compare.training.lockstep import TrainingResult

# Placeholders that become variables of the page's style sheet, light and dark.

COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--rule)",
    "#030303": "var(--one)",
    "#040404": "var(--two)",
    "#050505": "var(--yes)",
    "#060606": "var(--keyword)",
    "#070707": "var(--no)",
    "#080808": "var(--soft)",
}
_INK, _RULE, _ONE, _TWO, *_ = COLOURS
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _RULE,
    "grid.linewidth": 0.5,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "ytick.minor.size": 0,
    "legend.frameon": False,
}


def figures(runs: list[TrainingResult]) -> list[tuple[str, Markup]]:
    """Caption and SVG of each figure of one training run: the loss in each dtype, one-step error, drift."""
    runs = [run for run in runs if run.drift]
    name = "-".join([runs[0].name, str(runs[0].seed)]) if runs else ""
    made: list[tuple[str, str, str, Callable[[Axes], None]]] = []  # caption, name, in words, what draws it
    for run in runs:
        caption, words = f"Loss at every step, {run.dtype}", _loss_alternative(run)
        made.append((caption, f"loss-{run.dtype}", words, partial(_draw_loss, run)))
    if runs:
        steps = "; ".join(f"{r.dtype}: at most {units_text(max(r.one_step))} of {r.budget:g}" for r in runs)
        drift = "; ".join(f"{run.dtype}: {run.drift[-1]:.1e} after the last step" for run in runs)
        made += [
            (
                "One-step error: rounding units apart after one step from identical state",
                "one-step",
                f"One-step error in rounding units. {steps}",
                partial(_draw_steps, runs),
            ),
            (
                "Drift: largest distance of any parameter, both sides running free",
                "drift",
                f"Drift of the parameters. {drift}",
                partial(_draw_drift, runs),
            ),
        ]
    return [(caption, to_svg(f"{name}-{what}", words, draw)) for caption, what, words, draw in made]


def _loss_alternative(run: TrainingResult) -> str:
    return (
        f"Loss of both sides, {run.dtype}: from {run.loss_scratch[0]:.3g} to {run.loss_scratch[-1]:.3g} in"
        f" scratch, from {run.loss_torch[0]:.3g} to {run.loss_torch[-1]:.3g} in torch"
    )


def _draw_loss(run: TrainingResult, axes: Axes) -> None:
    torch, scratch = _draw_logarithmic(axes, [run.loss_torch, run.loss_scratch])
    axes.plot(_epochs(run), torch, color=_TWO, linewidth=5, alpha=0.45, label="torch")
    axes.plot(_epochs(run), scratch, color=_ONE, linewidth=1, label="scratch")
    axes.set_ylabel("loss")
    axes.set_xlabel("epoch")


def _draw_steps(runs: list[TrainingResult], axes: Axes) -> None:
    budgets = sorted({run.budget for run in runs})
    lines = _draw_logarithmic(axes, [run.one_step for run in runs], budgets)
    for run, line, colour in zip(runs, lines, (_ONE, _TWO), strict=False):
        axes.plot(_epochs(run), line, color=colour, linewidth=1, label=run.dtype)
    for budget in budgets:
        axes.axhline(budget, color=_INK, linestyle="--", linewidth=1, label=f"budget {budget:g}")
    axes.set_ylabel("rounding units")
    axes.set_xlabel("epoch")


def _draw_drift(runs: list[TrainingResult], axes: Axes) -> None:
    lines = _draw_logarithmic(axes, [run.drift for run in runs])
    for run, line, colour in zip(runs, lines, (_ONE, _TWO), strict=False):
        axes.plot(_epochs(run), line, color=colour, linewidth=1.5, label=run.dtype)
    axes.set_ylabel("max |difference|")
    axes.set_xlabel("epoch")


def _epochs(run: TrainingResult) -> np.ndarray:
    return (1 + np.arange(len(run.drift))) / run.steps_per_epoch


def _draw_logarithmic(
    axes: Axes, lines: Iterable[Iterable[float]], others: Iterable[float] = ()
) -> list[np.ndarray]:
    """A logarithmic axis with a tick for 0 (equal to the bit) below it and one for ∞ above it.

    Returns:
        the lines, with zeros and infinities moved to those ticks
    """
    arrays = [np.asarray(line, np.float64) for line in lines]
    values = np.concatenate([*arrays, np.asarray(list(others), np.float64)])
    positive = values[(values > 0) & np.isfinite(values)]
    if not positive.size:
        positive = np.ones(1)
        axes.text(0.5, 0.5, "equal to the bit at every step", transform=axes.transAxes, ha="center")
    first, last = math.floor(np.log10(positive.min())), math.ceil(np.log10(positive.max()))
    has_zero, has_infinity = bool((values == 0).any()), bool((~np.isfinite(values)).any())
    gap = max(1, (last - first) / 6)
    bottom, top = 10.0 ** (first - gap * has_zero), 10.0 ** (last + gap * has_infinity)
    decades = range(first, last + 1, 1 + (last - first) // 6)
    ticks = {10.0**decade: "10" + str(decade).translate(SUPERSCRIPT) for decade in decades}
    ticks |= {bottom: "0"} if has_zero else {}
    ticks |= {top: "∞"} if has_infinity else {}
    axes.set_yscale("log")
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_yticks([], minor=True)
    axes.set_ylim(bottom / 1.5, top * 1.5)
    return [np.where(line == 0, bottom, np.where(np.isfinite(line), line, top)) for line in arrays]


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def to_svg(
    name: str, alternative: str, draw: Callable[[Axes], None], size: tuple[float, float] = (4.6, 2.9)
) -> Markup:
    """An <svg> element: the same bytes for the same data, every id of its own."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    for placeholder, variable in COLOURS.items():
        svg = svg.replace(placeholder, variable)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alternative)}"', 1))
