"""What a comparison found: its verdict, as JSON for programs and as a page that needs only a browser."""

import dataclasses
import html
import importlib
import inspect
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compare.component import Component
from compare.lockstep import TrainingResult
from compare.measure import Difference
from compare.parity import CaseResult

SHOWN = 5  # differences of one component that are written out; report.json has them all


@dataclasses.dataclass(frozen=True)
class Summary:
    """The cases of one component in one dtype."""

    dtype: str
    results: list[CaseResult]

    @property
    def count(self) -> int:
        """How many cases there are, counted per seed."""
        return len(self.results)

    @property
    def worst(self) -> CaseResult:
        """The case that uses the largest share of its budget."""
        return max(self.results, key=share)

    @property
    def ulp(self) -> int:
        """The largest distance of two elements, in representable numbers."""
        return max((d.ulp for result in self.results for d in result.differences), default=0)

    @property
    def to_truth(self) -> tuple[float, float] | None:
        """Scratch's and PyTorch's largest distance from the arbiter's values, if there is an arbiter."""
        both = [
            (result.scratch_to_truth, result.torch_to_truth)
            for result in self.results
            if result.scratch_to_truth is not None and result.torch_to_truth is not None
        ]
        return (max(s for s, _ in both), max(t for _, t in both)) if both else None

    @property
    def equal(self) -> bool:
        """Whether every case stays within its budget."""
        return all(result.equal for result in self.results)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A difference, in words: where, and what stands there."""

    where: str
    lines: list[str]


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that one run compared."""

    environment: Mapping[str, Any]
    options: Mapping[str, Any]  # device, dtypes, seeds, only
    components: list[Component]
    results: list[CaseResult]
    training: list[TrainingResult]

    def summaries(self, component: Component) -> list[Summary]:
        """The component's results, dtype by dtype."""
        mine = [result for result in self.results if result.component == component.name]
        return [Summary(dtype, list(results)) for dtype, results in groupby(mine, key=lambda r: r.dtype)]

    @property
    def different(self) -> list[str]:
        """The names of the components and training runs that are not equal."""
        unequal = [result.component for result in self.results if not result.equal]
        return list(dict.fromkeys(unequal + [run.name for run in self.training if not run.equal]))

    @property
    def equal(self) -> bool:
        """The verdict."""
        return not self.different

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if not self.equal:
            return f"NOT equal: {', '.join(self.different)}"
        counts = [
            _count(len(self.components), "component"),
            _count(len(self.results), "case"),
            _count(len(self.training), "training run"),
        ]
        return f"equal: {', '.join(filter(None, counts))}"

    def findings(self) -> list[Finding]:
        """The first differences of every component, and every difference of the training runs."""
        found = []
        for component in self.components:
            unequal = [r for r in self.results if r.component == component.name and not r.equal]
            found += [_case_finding(result) for result in unequal[:SHOWN]]
            if len(unequal) > SHOWN:
                more = _count(len(unequal) - SHOWN, "more case")
                found.append(Finding(f"{component.name}: {more}", ["report.json has them all"]))
        return found + [_training_finding(run) for run in self.training if not run.equal]


def share(result: CaseResult) -> float:
    """The used share of a case's budget; infinite where nothing was allowed and something was found."""
    if result.error or math.isnan(result.units):
        return math.inf
    if result.units == 0:
        return 0.0
    return result.units / result.budget if result.budget else math.inf


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""


def last_loss(run: TrainingResult, losses: list[float]) -> float:
    """The mean of the last epoch's steps: the last batch alone says little."""
    return float(np.mean(losses[-run.steps_per_epoch :]))


# Numbers as a reader wants them.


def units_text(units: float) -> str:
    """Rounding units: one decimal is enough to see the margin."""
    if math.isinf(units) or math.isnan(units):
        return "∞"
    if 0 < units < 0.05:
        return "<0.1"
    return f"{units:.1f}".removesuffix(".0") if units < 10_000 else f"{units:.0e}"


def ulp_text(ulp: int) -> str:
    """A count of representable numbers, short."""
    return str(ulp) if ulp < 100_000 else f"{ulp:.0e}"


def value_text(value: Any, dtype: str) -> str:
    """A number with all the digits that its dtype has."""
    return f"{value:.{9 if dtype == 'float32' else 17}g}" if isinstance(value, float) else str(value)


def _case_finding(result: CaseResult) -> Finding:
    where = f"{result.component}, case “{result.case}”, {result.dtype}, seed {result.seed}"
    if result.error:
        return Finding(where, [result.error])
    beyond = [difference for difference in result.differences if not difference.units <= result.budget]
    lines = [_difference_text(difference, result.budget, result.dtype) for difference in beyond]
    return Finding(where, lines or ["neither side returned an array"])


def _difference_text(difference: Difference, budget: float, dtype: str) -> str:
    if difference.problem and not difference.index:
        return f"{difference.array}: {difference.problem}"
    index = list(difference.index) if difference.index else ""
    values = f"scratch {value_text(difference.scratch, dtype)}, torch {value_text(difference.torch, dtype)}"
    distance = difference.problem or f"{units_text(difference.units)} units"
    return f"{difference.array}{index}: {values}: {distance}, budget {units_text(budget)}"


def _training_finding(run: TrainingResult) -> Finding:
    where = f"training {run.name}, {run.dtype}, seed {run.seed}"
    if run.error:
        return Finding(where, [run.error])
    lines = []
    if run.breach is not None:
        breach = run.breach
        found = Difference(breach.tensor, breach.units, 0, tuple(breach.index), breach.scratch, breach.torch)
        text = _difference_text(found, breach.budget, run.dtype)
        lines.append(f"epoch {breach.epoch}, step {breach.step} (from 0): {text}")
    if run.different_predictions:
        lines.append(f"{run.different_predictions} of {run.test_samples} test samples get another class")
    return Finding(where, lines)


# report.json


def as_json(report: Report) -> str:
    """Everything, for programs: strict JSON, so NaN and the infinities are strings."""
    document = {
        "verdict": {
            "equal": report.equal,
            "text": report.verdict,
            "components": len(report.components),
            "cases": len(report.results),
            "training_runs": len(report.training),
            "different": report.different,
        },
        "environment": report.environment,
        "options": report.options,
        "components": [
            {
                "name": component.name,
                "topic": component.topic,
                "source": component.source,
                "scratch": component.functions,
                "torch": component.reference,
                "budget": {
                    "reason": component.budget.reason,
                    "cuda_reason": component.budget.cuda_reason,
                },
                "mistakes": {mistake.name: mistake.explanation for mistake in component.mistakes},
                "equal": component.name not in report.different,
                "cases": [
                    dataclasses.asdict(result) | {"units": result.units, "equal": result.equal}
                    for result in report.results
                    if result.component == component.name
                ],
            }
            for component in report.components
        ],
        "training": [dataclasses.asdict(run) | {"equal": run.equal} for run in report.training],
    }
    return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


# report/index.html


def as_html(report: Report) -> str:
    """The page: all styles and figures within, nothing to load."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("compare"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "units": units_text,
        "ulp": ulp_text,
        "share": share,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "breakable": lambda name: Markup(str(html.escape(name)).replace("_", "_<wbr>")),
    }
    topics = [(topic, list(group)) for topic, group in groupby(report.components, key=lambda c: c.topic)]
    runs: dict[tuple[str, int], list[TrainingResult]] = {}
    for run in report.training:
        runs.setdefault((run.name, run.seed), []).append(run)
    return templates.get_template("report.html").render(
        report=report,
        topics=topics,
        runs=runs,
        formulas=formulas,
        worst_of_cases=worst_of_cases,
        figures=figures,
        last_loss=last_loss,
    )


def formulas(component: Component) -> list[tuple[str, str]]:
    """The functions that stand in `scratch/`, each with what its docstring begins with: the formula."""
    module = importlib.import_module(f"scratch.{component.topic}")
    docstrings = [(name, inspect.getdoc(attrgetter(name)(module)) or "") for name in component.functions]
    return [(name, docstring.split("\n\n")[0]) for name, docstring in docstrings]


def worst_of_cases(summaries: list[Summary]) -> dict[str, dict[str, CaseResult]]:
    """Name of a case → dtype → its result; of several seeds and of cases that share a name, the worst."""
    worst: dict[str, dict[str, CaseResult]] = {}
    for result in (result for summary in summaries for result in summary.results):
        row = worst.setdefault(result.case, {})
        if result.dtype not in row or share(result) > share(row[result.dtype]):
            row[result.dtype] = result
    return worst


# Figures. Colours are placeholders that become variables of the page's style sheet, light and dark.

_COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--rule)",
    "#030303": "var(--one)",
    "#040404": "var(--two)",
}
_INK, _RULE, _ONE, _TWO = _COLOURS
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
    made = [
        (
            f"Loss at every step, {run.dtype}",
            _svg(
                f"{name}-loss-{run.dtype}",
                _loss_alternative(run),
                partial(_draw_loss, run),
            ),
        )
        for run in runs
    ]
    if runs:
        steps = "; ".join(f"{r.dtype}: at most {units_text(max(r.one_step))} of {r.budget:g}" for r in runs)
        drift = "; ".join(f"{run.dtype}: {run.drift[-1]:.1e} after the last step" for run in runs)
        made += [
            (
                "One-step error: rounding units apart after one step from identical state",
                _svg(
                    f"{name}-one-step",
                    f"One-step error in rounding units. {steps}",
                    partial(_draw_steps, runs),
                ),
            ),
            (
                "Drift: largest distance of any parameter, both sides running free",
                _svg(f"{name}-drift", f"Drift of the parameters. {drift}", partial(_draw_drift, runs)),
            ),
        ]
    return made


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


def _draw_steps(runs: list[TrainingResult], axes: Axes) -> None:
    budgets = sorted({run.budget for run in runs})
    lines = _draw_logarithmic(axes, [run.one_step for run in runs], budgets)
    for run, line, colour in zip(runs, lines, (_ONE, _TWO), strict=False):
        axes.plot(_epochs(run), line, color=colour, linewidth=1, label=run.dtype)
    for budget in budgets:
        axes.axhline(budget, color=_INK, linestyle="--", linewidth=1, label=f"budget {budget:g}")
    axes.set_ylabel("rounding units")


def _draw_drift(runs: list[TrainingResult], axes: Axes) -> None:
    lines = _draw_logarithmic(axes, [run.drift for run in runs])
    for run, line, colour in zip(runs, lines, (_ONE, _TWO), strict=False):
        axes.plot(_epochs(run), line, color=colour, linewidth=1.5, label=run.dtype)
    axes.set_ylabel("max |difference|")


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
    ticks = {10.0**decade: "10" + str(decade).translate(_SUPERSCRIPT) for decade in decades}
    ticks |= {bottom: "0"} if has_zero else {}
    ticks |= {top: "∞"} if has_infinity else {}
    axes.set_yscale("log")
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_yticks([], minor=True)
    axes.set_ylim(bottom / 1.5, top * 1.5)
    return [np.where(line == 0, bottom, np.where(np.isfinite(line), line, top)) for line in arrays]


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _svg(name: str, alternative: str, draw: Callable[[Axes], None]) -> Markup:
    """An <svg> element: the same bytes for the same data, every id of its own."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.6, 2.9), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_xlabel("epoch")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    for placeholder, variable in _COLOURS.items():
        svg = svg.replace(placeholder, variable)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alternative)}"', 1))


# Writing


def check_folder(folder: Path) -> None:
    """Make the folder of the report, and raise OSError unless files can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = _temporary(folder / "probe")
    probe.touch()
    probe.unlink()


def write(report: Report, folder: Path) -> Path:
    """Write report.json and index.html; return the path of the page.

    Both are rendered before either is written, and each appears under its name only when it is whole.
    """
    texts = {"report.json": as_json(report), "index.html": as_html(report)}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = {name: _temporary(folder / name) for name in texts}
    try:
        for name, text in texts.items():
            unfinished[name].write_text(text, encoding="utf-8")
        for name in texts:
            os.replace(unfinished[name], folder / name)
    finally:
        for path in unfinished.values():
            path.unlink(missing_ok=True)
    return folder / "index.html"


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
