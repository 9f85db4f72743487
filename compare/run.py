"""Runs the two sides of a case. Whoever compares, probes, checks or holds a vector against them asks here."""

import contextlib
import importlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from compare.component import DTYPES, Case, Component, Results, higher_precision
from compare.environment import undisturbed
from compare.measure import Difference, compare_results, distance_to_truth, to_numpy

Replaced = Mapping[str, Callable] | None  # functions by name, in the place of a side's own
SIDES = ("scratch", "torch")


@dataclass(frozen=True)
class Outcome:
    """What one case gave: on each side named arrays, or the exception that came instead."""

    scratch: Results | Exception
    torch: Results | Exception

    @property
    def error(self) -> str:
        """The first exception in words; empty if there was none."""
        return next((in_words(of) for of in (self.scratch, self.torch) if isinstance(of, Exception)), "")

    @property
    def results(self) -> tuple[Results, Results]:
        """Of both sides, where neither has raised."""
        assert not isinstance(self.scratch, Exception), self.error
        assert not isinstance(self.torch, Exception), self.error
        return self.scratch, self.torch


def run_both(component: Component, case: Case, replaced: Replaced = None) -> Outcome:
    """Both sides of a case, with other functions in scratch's place if they are given."""
    scratch = _attempt(lambda: run_scratch(component, case, replaced))
    torch = _attempt(lambda: run_torch(component, case))
    return Outcome(scratch, torch)


def _attempt(run: Callable[[], Results]) -> Results | Exception:
    try:
        return run()
    except Exception as error:  # any failure of either side is a finding about this component
        return error


def run_scratch(component: Component, case: Case, replaced: Replaced = None) -> Results:
    """The scratch side, which can not write to its inputs."""
    return runner(component, "scratch", replaced)(case.for_scratch())


def run_torch(component: Component, case: Case, replaced: Replaced = None) -> Results:
    """The PyTorch side, on the case's device."""
    return runner(component, "torch", replaced)(case.for_torch(case.device))


def runner(component: Component, side: str, replaced: Replaced = None) -> Callable[[Case], Results]:
    """What runs one side, with other functions in the place of its own, on a case with that side's arrays

    A warning of NumPy counts as an error wherever all is meant to be finite, but see `_raise_invalid`.
    """
    if side == "torch":
        module = importlib.import_module(f"torch_ref.{component.topic}")

        def run_torch_side(case: Case) -> Results:
            with _in_place(module, replaced or {}):
                return component.run_torch(case)

        return run_torch_side
    implementation = component.implementation(replaced)

    def run_scratch_side(case: Case) -> Results:
        state: Any = "raise" if case.finite else "ignore"
        invalid: Any = "log" if case.finite else "ignore"
        report = SimpleNamespace(write=_raise_invalid)
        with np.errstate(over=state, divide=state, under="ignore", invalid=invalid, call=report):
            return component.run_scratch(case, implementation)

    return run_scratch_side


def _raise_invalid(message: str) -> None:
    """An invalid value is an error, but not in a product of matrices

    OpenBLAS reads what lies in memory that it has not written to, and drops the result: it reports an invalid
    value if a signalling NaN happens to lie there. (Its 0.3.31, as in NumPy's wheels, on processors with
    AVX-512: float32, one row or column, five features.) Nothing is missed: products and sums of finite
    numbers are invalid only after one of them was infinite, and that is an overflow.
    """
    if message.split()[-1] != "matmul":
        raise FloatingPointError(message.removeprefix("Warning: ").rstrip())


@contextlib.contextmanager
def _in_place(module: Any, replaced: Mapping[str, Callable]) -> Iterator[None]:
    own = {name: getattr(module, name) for name in replaced}
    try:
        for name, function in replaced.items():
            setattr(module, name, function)
        yield
    finally:
        for name, function in own.items():
            setattr(module, name, function)


def in_words(error: Exception) -> str:
    """An exception in a line: its type and what it says."""
    return f"{type(error).__name__}: {error}"


def in_our_words(error: Exception) -> bool:
    """Whether an exception is a refusal of scratch, "argument: expected …, got …", and no breakdown."""
    return isinstance(error, TypeError | ValueError) and ": expected " in str(error)


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

    @cached_property
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
    replaced: Replaced = None,
    arbiter: bool = True,
    seed: int = 0,
    draws: str = "shared",
) -> CaseResult:
    """Run one case on both sides and compare; `replaced` puts other functions in scratch's place."""
    case = replace(case, device=device, draws=draws)
    budget = component.budget.allowed(case, device)
    result = CaseResult(component.name, case.name, np.dtype(case.dtype).name, seed, budget)
    outcome = run_both(component, case, replaced)
    if outcome.error:
        return replace(result, error=outcome.error)
    try:
        return replace(result, **_measured(component, case, outcome, arbiter, replaced))
    except Exception as error:  # of a function of scratch's that a scale or the truth is computed by
        return replace(result, error=in_words(error))


def _measured(
    component: Component, case: Case, outcome: Outcome, arbiter: bool, replaced: Replaced
) -> dict[str, Any]:
    """The differences of the two sides, and how far each is from the truth."""
    scratch, torch = outcome.results
    scales = component.magnitude(case)
    differences = compare_results(scratch, torch, scales)
    to_truth: dict[str, Any] = {}
    wider = higher_precision(case.dtype)
    if arbiter and component.arbiter and case.finite and wider is not None:
        truth = run_scratch(component, case.in_higher_precision(wider), replaced)
        same = {found.array for found in differences if found.units == 0}
        ours, theirs = {}, {}
        for name in truth.keys() & scratch.keys() & torch.keys():
            distance = partial(distance_to_truth, truth=np.asarray(truth[name]), scale=scales.get(name))
            ours[name] = distance(to_numpy(scratch[name]))
            theirs[name] = ours[name] if name in same else distance(to_numpy(torch[name]))
        to_truth = {
            f"{side}_to_truth": max(distances.values(), default=0.0)
            for side, distances in zip(SIDES, (ours, theirs), strict=True)
        }
    return {"differences": differences, **to_truth}


@undisturbed()
def run_refused(component: Component, case: Case, *, seed: int = 0, draws: str = "shared") -> CaseResult:
    """Run a bad input on scratch, which must refuse it in its own words."""
    refusal = _attempt(lambda: run_scratch(component, replace(case, draws=draws)))
    if not isinstance(refusal, Exception):
        problem = "scratch takes it"
    else:  # of any kind: a breakdown is a difference
        problem = "" if in_our_words(refusal) else f"scratch: {in_words(refusal)}"
    difference = Difference("refusal", np.inf if problem else 0.0, problem=problem)
    name = f"refused: {case.name}"
    return CaseResult(component.name, name, np.dtype(case.dtype).name, seed, 0, [difference])


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
