"""What a comparison found: its verdict in words, and everything as JSON for programs."""

import dataclasses
import json
import math
from collections.abc import Mapping
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from compare.cases.vectors import Held, Vectors
from compare.component import Component
from compare.measure import Difference, difference_text
from compare.run import CaseResult
from compare.training.lockstep import TrainingResult

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
    vectors: Vectors = dataclasses.field(default_factory=Vectors)
    edges: Mapping[str, list[Any]] = dataclasses.field(default_factory=dict)  # component → groups of probes

    def summaries(self, component: Component) -> list[Summary]:
        """The component's results, dtype by dtype."""
        mine = self._by_component.get(component.name, [])
        return [Summary(dtype, list(results)) for dtype, results in groupby(mine, key=lambda r: r.dtype)]

    @cached_property
    def _by_component(self) -> dict[str, list[CaseResult]]:
        found: dict[str, list[CaseResult]] = {}
        for result in self.results:
            found.setdefault(result.component, []).append(result)
        return found

    @property
    def compared(self) -> list[Component]:
        """The components but those that the installed PyTorch computes otherwise by design."""
        return [component for component in self.components if not component.not_here]

    @cached_property
    def different(self) -> list[str]:
        """The names of the components, training runs and vectors that are not equal."""
        unequal = [result.component for result in self.results if not result.equal]
        unequal += [name for name, groups in self.edges.items() if not all(group.ok for group in groups)]
        unequal += [run.name for run in self.training if not run.equal]
        return list(dict.fromkeys(unequal + self.vectors.different))

    @property
    def equal(self) -> bool:
        """The verdict."""
        return not self.different

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if not self.results and not self.training:
            return "not measured"
        if not self.equal:
            return f"NOT equal: {', '.join(self.different)}"
        counts = [
            _count(len(self.compared), "component"),
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
        found += [
            Finding(f"{name}, edge values: {' · '.join(group.entries)}", [group.text, group.example])
            for name, groups in self.edges.items()
            for group in groups
            if not group.ok
        ]
        found += [_training_finding(run) for run in self.training if not run.equal]
        return found + [_vector_finding(held) for held in self.vectors.held if not held.equal]


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


def ulp_text(ulp: int) -> str:
    """A count of representable numbers, short."""
    return str(ulp) if ulp < 100_000 else f"{ulp:.0e}"


def _case_finding(result: CaseResult) -> Finding:
    where = f"{result.component}, case “{result.case}”, {result.dtype}, seed {result.seed}"
    if result.error:
        return Finding(where, [result.error])
    beyond = [difference for difference in result.differences if not difference.units <= result.budget]
    lines = [difference_text(difference, result.budget, result.dtype) for difference in beyond]
    return Finding(where, lines or ["neither side returned an array"])


def _training_finding(run: TrainingResult) -> Finding:
    where = f"training {run.name}, {run.dtype}, seed {run.seed}"
    if run.error:
        return Finding(where, [run.error])
    lines = []
    if run.breach is not None:
        breach = run.breach
        found = Difference(breach.tensor, breach.units, 0, tuple(breach.index), breach.scratch, breach.torch)
        text = difference_text(found, breach.budget, run.dtype)
        lines.append(f"epoch {breach.epoch}, step {breach.step} (from 0): {text}")
    if run.different_predictions:
        lines.append(f"{run.different_predictions} of {run.test_samples} test samples get another class")
    return Finding(where, lines)


def _vector_finding(held: Held) -> Finding:
    lines = [held.error] if held.error else []
    lines += [
        difference_text(found, held.budget, held.dtype, (side, "should be"))
        for side, found in held.worst.items()
        if not found.units <= held.budget
    ]
    return Finding(f"{held.component}, {held.name}", lines)


# report.json


def as_json(report: Report) -> str:
    """Everything, for programs: strict JSON, so NaN and the infinities are strings."""
    document = {
        "verdict": {
            "equal": report.equal,
            "text": report.verdict,
            "components": len(report.compared),
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
                "not_here": component.not_here,
                "cases": [
                    _fields(result) | {"units": result.units, "equal": result.equal}
                    for result in report.results
                    if result.component == component.name
                ],
            }
            for component in report.components
        ],
        "vectors": {
            "text": report.vectors.text,
            "held": [
                {"name": held.name, "component": held.component, "equal": held.equal, "error": held.error}
                | {"budget": held.budget, "units": {side: found.units for side, found in held.worst.items()}}
                for held in report.vectors.held
            ],
            "not_ours": report.vectors.not_ours,
        },
        "training": [_fields(run) | {"equal": run.equal} for run in report.training],
    }
    return json.dumps(_plain(document), ensure_ascii=False, allow_nan=False) + "\n"


def _fields(of: Any) -> dict[str, Any]:
    return {field.name: getattr(of, field.name) for field in dataclasses.fields(of)}


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, bool) or (type(value) is float and math.isfinite(value)):
        return value
    if dataclasses.is_dataclass(value):
        value = _fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = float(value) if isinstance(value, np.floating) else value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def worst_of_cases(summaries: list[Summary]) -> dict[str, dict[str, CaseResult]]:
    """Name of a case → dtype → its result; of several seeds and of cases that share a name, the worst."""
    worst: dict[str, dict[str, CaseResult]] = {}
    for result in (result for summary in summaries for result in summary.results):
        row = worst.setdefault(result.case, {})
        if result.dtype not in row or share(result) > share(row[result.dtype]):
            row[result.dtype] = result
    return worst
