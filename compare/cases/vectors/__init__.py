"""Other people's tests, held against both sides: ONNX's of its operators, PyTorch's of its own.

The tolerance is the component's own budget, in units of its own magnitude.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compare.cases.vectors import onnx_tests, torch_tests
from compare.cases.vectors.trial import Trial
from compare.component import Component
from compare.measure import Difference, compare_arrays, to_numpy
from compare.run import SIDES, run_both

SOURCES = {"ONNX": onnx_tests.trials, "PyTorch": torch_tests.trials}


@dataclass(frozen=True)
class Held:
    """What holding one test against both sides gave."""

    name: str
    component: str
    budget: float = 0.0
    worst: Mapping[str, Difference] = field(default_factory=dict)  # side → where it is furthest from the test
    error: str = ""
    source: str = ""
    dtype: str = ""

    @property
    def equal(self) -> bool:
        """Whether both sides are within the budget."""
        return not self.error and all(d.units <= self.budget for d in self.worst.values())


@dataclass(frozen=True)
class Vectors:
    """All tests of some components: those held against both sides, and why the others are not."""

    held: Sequence[Held] = ()
    not_ours: Mapping[str, str] = field(default_factory=dict)  # "ONNX's test_…" → reason
    not_run: Mapping[str, str] = field(default_factory=dict)  # whose → why there is none at all

    @property
    def different(self) -> list[str]:
        """The names of those that one side or both do not meet."""
        return [held.name for held in self.held if not held.equal]

    @property
    def text(self) -> str:
        """All of it in one line; empty where there are no tests."""
        parts = []
        for source in SOURCES:
            held = sum(one.source == source for one in self.held)
            others = sum(name.startswith(f"{source}'s ") for name in self.not_ours)
            if held or others:
                parts.append(f"{held} of {source}'s on both sides, {others} not ours")
        parts += [f"{source}'s not run ({why})" for source, why in self.not_run.items()]
        return f"other people's tests: {'; '.join(parts)}" if parts else ""


def run(components: Sequence[Component], device: str, sources: Collection[str] = tuple(SOURCES)) -> Vectors:
    """Hold the tests of these components against both sides."""
    known = {component.name: component for component in components}
    held: list[Held] = []
    not_ours, not_run = {}, {}
    for source in sources:
        try:
            for name, component, trial in SOURCES[source](known):
                if isinstance(trial, str):
                    not_ours[f"{source}'s {name}"] = trial
                else:
                    found = hold(trial, known[component], device)
                    held.append(replace(found, name=f"{source}'s {name}", source=source))
        except ImportError as error:
            not_run[source] = f"the package {error.name} is not installed" if error.name else str(error)
    return Vectors(held, not_ours, not_run)


def hold(trial: Trial, component: Component, device: str) -> Held:
    """Run a trial on both sides."""
    case, worst = replace(trial.case, device=device), {side: Difference("") for side in SIDES}
    outcome, dtype = run_both(component, case), np.dtype(case.dtype).name
    if outcome.error:
        return Held(case.name, component.name, worst=worst, error=outcome.error, dtype=dtype)
    scales, budget = component.magnitude(case), component.budget.allowed(case, device)
    for side, results in zip(SIDES, outcome.results, strict=True):
        for name, expected in trial.expected.items():
            difference = compare_arrays(name, to_numpy(results[name]), expected, scales.get(name))
            worst[side] = max(worst[side], difference, key=_units)
    return Held(case.name, component.name, budget, worst, dtype=dtype)


def _units(difference: Difference) -> float:
    return np.inf if np.isnan(difference.units) else difference.units
