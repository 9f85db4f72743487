"""Holds somebody's own functions against ours: what is equal, where it first differs, and which mistake.

    from compare import assert_matches

    def test_my_relu():
        assert_matches(relu_forward, relu_backward)

Functions are found by name: those of `scratch/` (NumPy) or those of `torch_ref/` (PyTorch). They run on the
cases that our own two sides are compared on, and the reference is PyTorch.
"""

import ast
import functools
import importlib
import inspect
import itertools
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare import symptoms
from compare.component import Case, Component, Mistake, Results, copy_with_strides
from compare.exercise import top_level
from compare.measure import Difference, compare_results, to_numpy
from compare.parity import DTYPES, cases_of, warnings_of
from compare.registry import all_components

SLOW = 20_000  # elements: a case with more is left out for functions that would take too long on it
ANOTHER_ORDER = 8  # rounding units: the same operations, in another order, are not another result
SAME_MISTAKE = 1e-4  # how much closer to a mistake than to the right result it must be to be that mistake


@dataclass(frozen=True)
class Attempt:
    """Somebody's version of a component: functions by their names, and the library they are written in."""

    component: Component
    functions: Mapping[str, Callable]
    side: str  # scratch (NumPy) or torch
    missing: tuple[str, ...] = ()  # functions of the component that were not written: ours take their place


@dataclass(frozen=True)
class Outcome:
    """What one case gave: named arrays, or the exception that came instead."""

    results: Results = field(default_factory=dict)
    error: BaseException | None = None
    changed: tuple[str, ...] = ()  # inputs that were not left as they were


@dataclass(frozen=True)
class Trial:
    """One case, what it should give, and what it gave."""

    case: Case
    expected: Results
    outcome: Outcome
    scales: Mapping[str, Any]
    budget: float
    differences: list[Difference]
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether every array is within the budget, and every input still what it was."""
        kept = self.outcome.error is None and not self.outcome.changed
        return kept and all(d.units <= self.budget for d in self.differences)

    @property
    def wrong(self) -> list[Difference]:
        """The arrays that are not, in order of computation."""
        return [d for d in self.differences if d.units > self.budget]


@dataclass(frozen=True)
class Verdict:
    """What is said of one component."""

    component: str
    functions: list[str]
    side: str
    status: str  # equal, different, raises, unwritten, not here, timeout or crash
    cases: int = 0
    units: float = 0.0  # the worst case
    budget: float = 0.0
    first: dict[str, Any] = field(default_factory=dict)  # case, dtype, array, index, yours, right, problem
    right: list[str] = field(default_factory=list)  # arrays that are right in every case
    wrong: list[str] = field(default_factory=list)  # arrays that are wrong in some
    error: dict[str, Any] = field(default_factory=dict)  # message, line, source
    mistakes: list[dict[str, str]] = field(default_factory=list)  # name, explanation, convention; or two
    everywhere: bool = True  # the mistakes give the same also for NaN and infinity
    symptoms: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # cases left out: too slow
    formula: str = ""

    @property
    def equal(self) -> bool:
        """Whether it is right."""
        return self.status == "equal"


def assert_matches(*functions: Callable, component: str | None = None) -> None:
    """Raise AssertionError, with the diagnosis, unless the functions do what ours of the same name do

    Args:
        functions: named as in `scratch/` (NumPy) or `torch_ref/` (PyTorch)
        component: which one they belong to, where the names alone leave it open

    Raises:
        ValueError: a name that is not one of ours, or an unknown component.
        AssertionError: a difference.
    """
    given = {function.__name__: function for function in functions}
    attempts = [a for a in find(given) if component in (None, a.component.name)]
    known = {name for attempt in attempts for name in attempt.functions}
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"functions: no component has one called {', '.join(unknown)}")
    for attempt in attempts:
        verdict = check(attempt)
        if not verdict.equal:
            raise AssertionError("\n".join([f"{verdict.component}: {verdict.status}", *explain(verdict)]))


def find(namespace: Mapping[str, Any]) -> list[Attempt]:
    """What a namespace (of a module, say) attempts of our components, in teaching order."""
    attempts = []
    for component in all_components().values():
        ours = top_level(component.functions)
        numpy_names = [name for name in ours if callable(namespace.get(name))]
        torch_names = [name for name in component.reference if callable(namespace.get(name))]
        if torch_names and (not numpy_names or library(namespace[torch_names[0]]) == "torch"):
            written = {n: namespace[n] for n in torch_names if not is_stub(namespace[n])}
            attempts.append(Attempt(component, written, "torch"))
        elif numpy_names:
            module = importlib.import_module(f"scratch.{component.topic}")
            written = {
                name: adapted(namespace[name], getattr(module, name))
                for name in numpy_names
                if not is_stub(namespace[name])
            }
            missing = tuple(name for name in ours if name not in written)
            attempts.append(Attempt(component, written, "scratch", missing))
    return attempts


def adapted(function: Callable, ours: Callable) -> Callable:
    """The function, callable with the names of our arguments whatever its own are called."""
    try:
        theirs, wanted = inspect.signature(function), inspect.signature(ours)
    except (TypeError, ValueError):
        return function
    if list(theirs.parameters) == list(wanted.parameters) or len(theirs.parameters) != len(wanted.parameters):
        return function
    names = dict(zip(wanted.parameters, theirs.parameters.values(), strict=True))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = wanted.bind(*args, **kwargs).arguments
        parameters = [(names[name], value) for name, value in given.items()]
        in_place = [value for parameter, value in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        named = {p.name: value for p, value in parameters if p.kind is p.KEYWORD_ONLY}
        return function(*in_place, **named)

    return call


def library(function: Callable) -> str:
    """Which library a function is written in: torch, or numpy where it does not say."""
    if "torch" in str(getattr(function, "__annotations__", "")):
        return "torch"
    code, namespace = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    used = [namespace.get(name) for name in code.co_names] if code else []
    modules = {module.__name__.split(".")[0] for module in used if isinstance(module, types.ModuleType)}
    return "torch" if "torch" in modules and "numpy" not in modules else "numpy"


def is_stub(function: Callable) -> bool:
    """Whether nothing was written yet: the body only raises NotImplementedError."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return False
    definition = tree.body[0]
    bodies = [n for n in ast.walk(definition) if isinstance(n, ast.FunctionDef)]
    unwritten = [ast.unparse(node.body[-1]) == "raise NotImplementedError" for node in bodies]
    return bool(unwritten) and all(unwritten)  # of a lambda there is no body


def check(
    attempt: Attempt, *, seconds: float = 40.0, announce: Callable[[str], None] = lambda case: None
) -> Verdict:
    """Hold one attempt against the reference on every case, and say what is wrong with it

    Args:
        attempt: the functions
        seconds: large cases are left out where they would take longer than this
        announce: called with the name of each case before it runs
    """
    component = attempt.component
    about: dict[str, Any] = {
        "component": component.name,
        "functions": list(attempt.functions),
        "side": attempt.side,
        "formula": _formula(component),
    }
    if not attempt.functions:
        return Verdict(**about, status="unwritten")
    if component.not_here:
        return Verdict(**about, status="not here", error={"message": component.not_here})
    trials: list[Trial] = []
    skipped: list[str] = []
    deadline = time.monotonic() + seconds
    for case in sorted(_all_cases(component), key=_elements):
        if _elements(case) > SLOW and _would_take(trials, case) > deadline - time.monotonic():
            skipped.append(case.name)
            continue
        announce(f"{case.name}, {np.dtype(case.dtype).name}")
        trials.append(_try(attempt, case))
    bad = [trial for trial in _in_order(component, trials) if not trial.equal]
    about |= {"cases": len(trials), "skipped": sorted(set(skipped))}
    if not bad:
        worst = max(
            trials, key=lambda t: max((d.units for d in t.differences), default=0) / max(t.budget, 1e-9)
        )
        units = max((d.units for d in worst.differences), default=0.0)
        return Verdict(**about, status="equal", units=units, budget=worst.budget)
    first = bad[0]
    raising = [trial for trial in bad if trial.outcome.error is not None]
    all_arrays = [d.array for trial in trials for d in trial.differences]
    wrong = list(dict.fromkeys(d.array for trial in bad for d in trial.wrong))
    found, everywhere = diagnose(attempt, trials)
    return Verdict(
        **about,
        status="raises" if first.outcome.error is not None else "different",
        units=max((d.units for d in first.differences), default=np.inf),
        budget=first.budget,
        first=_first(first),
        right=[array for array in dict.fromkeys(all_arrays) if array not in wrong],
        wrong=wrong,
        error=describe_error(raising[0].outcome.error, attempt) if raising else {},
        mistakes=[{"name": m.name, "explanation": m.explanation, "convention": m.convention} for m in found],
        symptoms=symptoms.of(trials),
        everywhere=everywhere,
    )


def diagnose(attempt: Attempt, trials: Sequence[Trial]) -> tuple[list[Mistake], bool]:
    """The classic mistake whose results equal these in every case, or the two that do together; else none

    Nothing is guessed: a mistake is named only if it gives the same numbers, within the budget, wherever the
    attempt was tried; or, said so, wherever it was tried without NaN and infinity.

    Returns:
        the mistakes, and whether they fit also where the inputs are NaN or infinite
    """
    precise = [trial for trial in trials if np.dtype(trial.case.dtype) == np.float64]
    finite = [trial for trial in precise if trial.case.finite]
    for considered in (precise, finite):
        wrong = any(not trial.equal for trial in considered)
        if wrong and (found := _fitting(attempt, considered)):
            return found, considered is precise
    return [], True


def _fitting(attempt: Attempt, trials: Sequence[Trial]) -> list[Mistake]:
    """The mistakes that give the same, with ours in the place of functions that were not attempted."""
    component = attempt.component
    # Those cases first that the attempt gets wrong: they tell the mistakes apart soonest.
    order = sorted(trials, key=lambda trial: trial.equal)
    theirs = {
        mistake.name: {name: f for name, f in mistake.functions.items() if name in attempt.functions}
        for mistake in component.mistakes
    }
    possible = [mistake for mistake in component.mistakes if theirs[mistake.name] or attempt.side == "torch"]
    if attempt.side == "torch":
        theirs = {mistake.name: dict(mistake.functions) for mistake in possible}

    def fits(functions: Mapping[str, Callable]) -> bool:
        # Autograd follows a wrong forward pass; the backward pass that belongs to ours does not.
        forward_only = attempt.side == "torch" and all(name.endswith("_forward") for name in functions)
        return all(
            _same(trial, _run(component, trial.case, functions), forward_only=forward_only) for trial in order
        )

    for mistake in possible:
        if fits(theirs[mistake.name]):
            return [mistake]
    for one, other in itertools.combinations(possible, 2):
        both = {**theirs[one.name], **theirs[other.name]}
        if len(both) == len(theirs[one.name]) + len(theirs[other.name]) and fits(both):
            return [one, other]
    return []


def explain(verdict: Verdict) -> list[str]:
    """The verdict in lines of text, for a person."""
    lines = []
    if verdict.error:
        error = verdict.error
        lines.append(f"{error['message']}")
        if error.get("line"):
            lines.append(f"  line {error['line']}: {error['source']}")
    if verdict.first:
        first = verdict.first
        lines.append(f"first difference: case “{first['case']}”, {first['dtype']}")
        if first.get("problem"):
            lines.append(f"  {first['array']}: {first['problem']}")
        if first.get("index") is not None:
            index = f"[{', '.join(map(str, first['index']))}]" if first["index"] else ""
            lines.append(f"  {first['array']}{index} is {first['yours']!r}, should be {first['right']!r}")
    if verdict.wrong:
        lines.append(f"wrong: {_names(verdict.wrong)}")
        lines.append(f"right: {_names(verdict.right) or 'nothing'}")
    for mistake in verdict.mistakes:
        both = " (one of two)" if len(verdict.mistakes) > 1 else ""
        lines.append(f"this is “{mistake['name']}”{both}: {mistake['explanation']}")
        if mistake["convention"]:
            lines.append(f"  right elsewhere: {mistake['convention']}")
    if verdict.mistakes and not verdict.everywhere:
        lines.append("  (NaN and infinity aside: there it gives something else again)")
    if verdict.mistakes and verdict.formula:
        lines.append(f"the formula: {verdict.formula}")
    if not verdict.mistakes:
        lines += verdict.symptoms
    if verdict.skipped:
        lines.append(f"not tried, since it would take too long: {', '.join(verdict.skipped)}")
    return lines


def describe_error(error: BaseException | None, attempt: Attempt) -> dict[str, Any]:
    """The exception, and the line of the learner's own code that it came from."""
    files = {inspect.getsourcefile(inspect.unwrap(f)) for f in attempt.functions.values() if _has_source(f)}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files] if error else []
    message = f"{type(error).__name__}: {error}".removesuffix(": ")
    if frames:
        return {"message": message, "line": frames[-1].lineno, "source": (frames[-1].line or "").strip()}
    if attempt.missing:
        message += f" (not written yet, so that ours was called: {', '.join(attempt.missing)})"
    return {"message": message}


def _all_cases(component: Component) -> Iterator[Case]:
    for dtype in ("float64", "float32"):
        yield from cases_of(component, 0, DTYPES[dtype])


def _elements(case: Case) -> int:
    return sum(int(np.size(array)) for array in case.arrays.values())


def _would_take(trials: Sequence[Trial], case: Case) -> float:
    """Seconds, at the pace of the largest case so far."""
    largest = trials[-1]
    return largest.seconds / _elements(largest.case) * _elements(case)


def _try(attempt: Attempt, case: Case) -> Trial:
    component = attempt.component
    scales, budget = component.magnitude(case), component.budget.allowed(case, "cpu")
    if component.topic != "random":  # the one topic where bits are the point
        budget = max(budget, ANOTHER_ORDER)
    expected = _kept(component.run_torch(case.for_torch("cpu")))
    start = time.perf_counter()
    run = _run_torch if attempt.side == "torch" else _run
    outcome = run(component, case, attempt.functions)
    seconds = time.perf_counter() - start
    differences = compare_results(outcome.results, expected, scales) if outcome.error is None else []
    return Trial(case, expected, outcome, scales, budget, differences, seconds)


def _run(component: Component, case: Case, functions: Mapping[str, Callable]) -> Outcome:
    """NumPy functions in the place of ours, on arrays that they can write to: one that does is found out."""
    own = replace(case, arrays={name: copy_with_strides(array) for name, array in case.arrays.items()})
    try:
        with warnings_of(case):
            results = component.run_scratch(own, component.implementation(functions))
    except Exception as error:
        return Outcome(error=error)
    return Outcome(_kept(results), changed=_changed(case, own))


def _run_torch(component: Component, case: Case, functions: Mapping[str, Callable]) -> Outcome:
    """PyTorch functions in the place of those of torch_ref/: its optimizers change parameters in place."""
    module = importlib.import_module(f"torch_ref.{component.topic}")
    ours = {name: getattr(module, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(module, name, function)
        results = component.run_torch(case.for_torch("cpu"))
    except Exception as error:
        return Outcome(error=error)
    finally:
        for name, function in ours.items():
            setattr(module, name, function)
    return Outcome(_kept(results))


def _kept(results: Results) -> Results:
    """Copies, with 0 for −0: nobody's version is wrong for the sign of a zero."""
    arrays = {name: np.array(to_numpy(value)) for name, value in results.items()}
    return {name: array + 0.0 if array.dtype.kind == "f" else array for name, array in arrays.items()}


def _changed(before: Case, after: Case) -> tuple[str, ...]:
    """The names of the inputs that are not what they were."""
    return tuple(
        name
        for name, array in before.arrays.items()
        if not np.array_equal(array, to_numpy(after[name]), equal_nan=array.dtype.kind == "f")
    )


def _same(trial: Trial, other: Outcome, *, forward_only: bool = False) -> bool:
    """Whether another version gives in this case what the attempt gave; gradients may be left out."""
    mine = trial.outcome
    if mine.error is not None or other.error is not None:
        return type(mine.error) is type(other.error)
    to_right = {d.array: d.units for d in trial.differences if np.isfinite(d.units)}
    return all(
        d.units <= max(trial.budget, SAME_MISTAKE * to_right.get(d.array, 0.0))
        for d in compare_results(mine.results, other.results, trial.scales)
        if not (forward_only and "grad" in d.array)
    )


def _in_order(component: Component, trials: Sequence[Trial]) -> list[Trial]:
    """In the order in which the component lists its cases: the plain ones first."""
    names = {(case.name, np.dtype(case.dtype).name): i for i, case in enumerate(_all_cases(component))}
    return sorted(trials, key=lambda trial: names[trial.case.name, np.dtype(trial.case.dtype).name])


def _first(trial: Trial) -> dict[str, Any]:
    where: dict[str, Any] = {"case": trial.case.name, "dtype": np.dtype(trial.case.dtype).name}
    if trial.wrong:
        first = trial.wrong[0]
        where |= {"array": first.array, "problem": symptoms.in_words(first.problem)}
        if first.scratch is not None:
            where |= {"index": list(first.index), "yours": first.scratch, "right": first.torch}
    return where


def _names(arrays: Sequence[str], most: int = 6) -> str:
    more = f" and {len(arrays) - most} more" if len(arrays) > most else ""
    return ", ".join(arrays[:most]) + more


def _formula(component: Component) -> str:
    from compare.report import formulas

    return "; ".join(" ".join(formula.split()) for _, formula in formulas(component) if formula)


def _has_source(function: Callable) -> bool:
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) is not None
    except TypeError:
        return False
