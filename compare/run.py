"""Runs the cases of a component on both sides, compares them, and asks the arbiter who is closer."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import DTYPES, Case, Component, Results, higher_precision
from compare.environment import undisturbed
from compare.measure import Difference, compare_results, distance_to_truth, to_numpy


@dataclass(frozen=True)
class CaseResult:
    """One case of one component in one dtype."""

    component: str
    case: str
    dtype: str
    seed: int
    budget: float
    differences: list[Difference] = field(default_factory=list)
    error: str = ""  # an exception of one side, if there was one
    scratch_to_truth: float | None = None  # rounding units from the arbiter's value
    torch_to_truth: float | None = None

    @property
    def worst(self) -> Difference | None:
        """The array that is furthest apart."""
        return max(self.differences, key=lambda d: d.units, default=None)

    @property
    def units(self) -> float:
        """The largest distance of the case, in rounding units."""
        return self.worst.units if self.worst else np.inf

    @property
    def equal(self) -> bool:
        """Whether the case stays within its budget."""
        return not self.error and self.units <= self.budget


@undisturbed()
def cases_of(component: Component, seed: int, dtype: Any) -> list[Case]:
    """The cases of a component for one seed, made independently of which other components run."""
    return list(component.cases(_rng(component, seed), dtype))


@undisturbed()
def refused_of(component: Component, seed: int, dtype: Any) -> list[Case]:
    """The inputs that a component refuses, made likewise."""
    return list(component.refused(_rng(component, seed), dtype))


def _rng(component: Component, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(component.name.encode())])


@undisturbed()
def run_case(
    component: Component,
    case: Case,
    device: str = "cpu",
    *,
    replaced: Mapping[str, Callable] | None = None,
    arbiter: bool = True,
    seed: int = 0,
    draws: str = "shared",
) -> CaseResult:
    """Run one case on both sides and compare; `replaced` puts other functions in scratch's place."""
    case = replace(case, device=device, draws=draws)
    budget = component.budget.allowed(case, device)
    result = CaseResult(component.name, case.name, np.dtype(case.dtype).name, seed, budget)
    implementation = component.implementation(replaced)
    try:
        scratch = run_scratch(component, case, implementation)
        torch = component.run_torch(case.for_torch(device))
    except Exception as error:  # any failure of either side is a finding about this component
        return replace(result, error=f"{type(error).__name__}: {error}")
    scales = component.magnitude(case)
    differences = compare_results(scratch, torch, scales)
    to_truth: dict[str, Any] = {}
    wider = higher_precision(case.dtype)
    if arbiter and component.arbiter and case.finite and wider is not None:
        truth = run_scratch(component, case.in_higher_precision(wider), implementation)
        for side, values in (("scratch_to_truth", scratch), ("torch_to_truth", torch)):
            to_truth[side] = max(
                (
                    distance_to_truth(to_numpy(values[name]), np.asarray(truth[name]), scales.get(name))
                    for name in truth
                    if name in values
                ),
                default=0.0,
            )
    return replace(result, differences=differences, **to_truth)


@undisturbed()
def run_refused(component: Component, case: Case, *, seed: int = 0, draws: str = "shared") -> CaseResult:
    """Run a bad input on scratch, which must refuse it in its own words."""
    case = replace(case, draws=draws)
    try:
        run_scratch(component, case, component.implementation())
        problem = "scratch takes it"
    except Exception as error:  # of any kind: a breakdown is a difference
        problem = "" if in_our_words(error) else f"scratch: {type(error).__name__}: {error}"
    difference = Difference("refusal", np.inf if problem else 0.0, problem=problem)
    name = f"refused: {case.name}"
    return CaseResult(component.name, name, np.dtype(case.dtype).name, seed, 0, [difference])


def in_our_words(error: Exception) -> bool:
    """Whether an exception is a refusal of scratch, "argument: expected …, got …", and no breakdown."""
    return isinstance(error, TypeError | ValueError) and ": expected " in str(error)


def run_scratch(component: Component, case: Case, implementation: Any) -> Results:
    """The scratch side alone; a warning of NumPy counts as an error wherever all is meant to be finite."""
    with warnings_of(case):
        return component.run_scratch(case.for_scratch(), implementation)


def warnings_of(case: Case) -> np.errstate:
    """A context in which NumPy's warnings are errors, unless overflow and NaN are the point of the case."""
    state: Any = "raise" if case.finite else "ignore"
    return np.errstate(over=state, invalid=state, divide=state, under="ignore")


def run_component(
    component: Component,
    device: str,
    dtypes: list[str],
    seeds: list[int],
    *,
    arbiter: bool = True,
    draws: str = "shared",
) -> Iterator[CaseResult]:
    """Every case and every bad input in every dtype for every seed."""
    for dtype in dtypes:
        for seed in seeds:
            for case in cases_of(component, seed, DTYPES[dtype]):
                yield run_case(component, case, device, arbiter=arbiter, seed=seed, draws=draws)
            for case in refused_of(component, seed, DTYPES[dtype]):
                yield run_refused(component, case, seed=seed, draws=draws)
