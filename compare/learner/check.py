"""Holds somebody's own functions against ours: what is right, where it first differs, and which mistake.

    from compare import assert_matches

    def test_my_relu():
        assert_matches(relu_forward, relu_backward)

Functions are found by name: those of `scratch/` (NumPy) or those of `torch_ref/` (PyTorch). They run on the
cases that our own two sides are compared on, and the reference is PyTorch.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import itertools
import time
import traceback
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from compare.cases import all_components
from compare.component import DTYPES, Case, Component, Mistake, Results, copy_with_strides
from compare.environment import one_thread, undisturbed
from compare.learner import symptoms
from compare.learner.exercise import top_level
from compare.learner.ordinary import apart, beyond
from compare.measure import Difference, compare_arrays, compare_results, to_numpy
from compare.run import cases_of, run_torch, runner

SLOW = 20_000  # elements: a case with more is left out for functions that would take too long on it
ANOTHER_ORDER = {"float32": 64, "float64": 4500}  # rounding units (10⁻¹²): other operations in other orders
ORDINARY = "for ordinary inputs"
SAME_MISTAKE = 1e-4  # how much closer to a mistake than to the right result it must be to be that mistake


@dataclass(frozen=True)
class Answer:
    """What one case gave: named arrays, or the exception that came instead; in plain data

    The one door for all that comes from somebody's functions: text in here is one line that can be shown.
    """

    results: Results = field(default_factory=dict)  # arrays of numbers; of None where it was something else
    error: Mapping[str, Any] = field(default_factory=dict)  # kind, message; line, source where it is known
    changed: Mapping[str, str] = field(default_factory=dict)  # input that was not left alone → function
    called: Sequence[str] = ()  # the functions that ran

    def __post_init__(self) -> None:
        error = {key: visible(value) if key != "line" else value for key, value in self.error.items()}
        changed = {visible(name): visible(function) for name, function in self.changed.items()}
        object.__setattr__(self, "error", error)
        object.__setattr__(self, "changed", changed)
        object.__setattr__(self, "called", [visible(name) for name in self.called])
        object.__setattr__(self, "results", {visible(name): array for name, array in self.results.items()})


class StoppedError(Exception):
    """An attempt that can not be tried any further."""

    def __init__(self, status: str, message: str = "") -> None:
        super().__init__(message)
        self.status = status  # timeout or crash


@dataclass(frozen=True)
class Attempt:
    """Somebody's version of a component: which functions, and the library they are written in."""

    component: Component
    functions: tuple[str, ...]
    side: str  # scratch (NumPy) or torch
    run: Callable[[Case, float], Answer]  # a case, until a time.monotonic(); may raise StoppedError
    missing: tuple[str, ...] = ()  # functions of the component that were not written: ours take their place


@dataclass(frozen=True)
class Trial:
    """One case, what it should give, and what it gave."""

    case: Case
    expected: Results
    outcome: Answer
    scales: Mapping[str, Any]
    budget: float
    differences: list[Difference]
    seconds: float
    beyond: tuple[str, ...] = ()  # what it asks that is not ordinary

    @property
    def equal(self) -> bool:
        """Whether every array is within the budget, and every input still what it was."""
        kept = not self.outcome.error and not self.outcome.changed
        return kept and all(d.units <= self.budget for d in self.differences)

    @property
    def units(self) -> float:
        """The largest distance, in rounding units."""
        return max((d.units for d in self.differences), default=np.inf if self.outcome.error else 0.0)

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
    status: str  # right, right but, different, raises, unwritten, not here, timeout or crash
    cases: int = 0
    units: float = 0.0  # the worst case
    budget: float = 0.0
    first: dict[str, Any] = field(default_factory=dict)  # case, dtype, array, index, yours, right, problem
    right: list[str] = field(default_factory=list)  # arrays that are right in every case
    wrong: list[str] = field(default_factory=list)  # arrays that are wrong in some
    error: dict[str, Any] = field(default_factory=dict)  # message, line, source
    mistakes: list[dict[str, str]] = field(default_factory=list)  # one, or two
    fits: str = ""  # where the mistakes give the same, if that is not everywhere
    not_handled: list[str] = field(default_factory=list)  # what goes beyond ordinary inputs, and is not right
    handled: list[str] = field(default_factory=list)  # what goes beyond them, and is
    symptoms: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)  # input that was not left alone → function
    skipped: list[str] = field(default_factory=list)  # cases left out: too slow
    formula: str = ""

    @property
    def equal(self) -> bool:
        """Whether it is right for all ordinary inputs."""
        return self.status in ("right", "right but")

    def passes(self, strict: bool) -> bool:
        """Whether that is enough, or everything has to be right."""
        return self.status == "right" if strict else self.equal


def assert_matches(*functions: Callable, component: str | None = None, **named: Callable) -> None:
    """Raise AssertionError, with the diagnosis, unless the functions do what ours of the same name do

    They run in this process: what they change in NumPy, in PyTorch or in us stays changed, for the reference
    too, and one that never ends is not ended. `python -m compare check` keeps a file apart.

    Args:
        functions: named as in `scratch/` (NumPy) or `torch_ref/` (PyTorch)
        component: which one they belong to, where the names alone leave it open
        named: the same, for what has no name of its own or another one: a lambda, a functools.partial
            object, a callable object; `assert_matches(relu_forward=partial(my_relu, slope=0))`

    Raises:
        ValueError: no function, no name, a name that is not one of ours, or an unknown component.
        AssertionError: a difference.
    """
    given = {_name(function): function for function in functions} | named
    for name, function in named.items():
        if not callable(function):
            raise ValueError(f"{visible(name)}: expected a function, got a {_kind(function)}")
    attempts = [a for a in find(given) if component in (None, a.component.name)]
    known = {name for attempt in attempts for name in attempt.functions}
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"functions: no component has one called {', '.join(map(visible, unknown))}")
    for attempt in attempts:
        verdict = check(attempt)
        if not verdict.equal:
            raise AssertionError("\n".join([f"{verdict.component}: {verdict.status}", *explain(verdict)]))


def _name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not callable(function) or not isinstance(name, str) or name == "<lambda>":
        given = f"got a {_kind(function)}: pass it by one, as in relu_forward=…"
        raise ValueError(f"functions: expected functions with a name, {given}")
    return name


def _kind(value: Any) -> str:
    return visible(type(value).__name__)


def visible(text: str, most: int = 500) -> str:
    """Somebody else's text in one line that draws nothing: what can not be printed as an escape sequence."""
    text = str.__str__(text)  # of a subclass, the text itself
    text = text if len(text) <= most else text[:most] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def find(namespace: Mapping[str, Any]) -> list[Attempt]:
    """What a namespace (of a module, say) attempts of our components, in teaching order."""
    attempts = []
    for component in all_components().values():
        ours = top_level(component.functions)
        numpy_names = [name for name in ours if callable(namespace.get(name))]
        torch_names = [name for name in component.reference if callable(namespace.get(name))]
        if torch_names and (not numpy_names or library(namespace[torch_names[0]]) == "torch"):
            written = {n: namespace[n] for n in torch_names if not is_stub(namespace[n])}
            run = functools.partial(_run, component, "torch", written)
            attempts.append(Attempt(component, tuple(written), "torch", run))
        elif numpy_names:
            module = importlib.import_module(f"scratch.{component.topic}")
            written = {
                name: adapted(namespace[name], getattr(module, name))
                for name in numpy_names
                if not is_stub(namespace[name])
            }
            missing = tuple(name for name in ours if name not in written)
            run = functools.partial(_run, component, "scratch", written)
            attempts.append(Attempt(component, tuple(written), "scratch", run, missing))
    return attempts


def adapted(function: Callable, ours: Callable) -> Callable:
    """The function, callable as ours is: whatever its arguments are called, and without options it has not

    An option that it has not is left out where it has the value that ours has unless told otherwise.
    """
    try:
        theirs, wanted = inspect.signature(function), inspect.signature(ours)
    except (TypeError, ValueError):
        return function
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in theirs.parameters.values()):
        return function
    if list(theirs.parameters) == list(wanted.parameters):
        return function
    required = [p for p in wanted.parameters.values() if p.default is p.empty]
    if not len(required) <= len(theirs.parameters) <= len(wanted.parameters):
        return function
    names = _matched(wanted.parameters, theirs.parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = wanted.bind(*args, **kwargs).arguments
        for name in given.keys() - names.keys():
            if not _usual(wanted, name, given[name]):
                raise TypeError(f"{function.__name__}() has no argument {name}")
        parameters = [(names[name], value) for name, value in given.items() if name in names]
        in_place = [value for parameter, value in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
        named = {p.name: value for p, value in parameters if p.kind is p.KEYWORD_ONLY}
        return function(*in_place, **named)

    return call


def _matched(wanted: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Of each of our arguments, theirs: the one of its name, else the next one that has no name of ours."""
    others = [parameter for name, parameter in theirs.items() if name not in wanted]
    found = {}
    for name, parameter in wanted.items():
        if name in theirs:
            found[name] = theirs[name]
        elif others and (len(theirs) == len(wanted) or parameter.default is parameter.empty):
            found[name] = others.pop(0)
    return found


def _usual(wanted: inspect.Signature, name: str, value: Any) -> bool:
    default = wanted.parameters[name].default
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))


def underlying(function: Any) -> Any:
    """The definition behind a partial object, a wrapper such as a cache, or a callable object."""
    for _ in range(20):  # deep enough for people, and an end for what wraps itself
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, np.vectorize):
            function = function.pyfunc
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not isinstance(function, type) and isinstance(type(function).__call__, types.FunctionType):
            return type(function).__call__
    return function


def library(function: Callable) -> str:
    """Which library a function is written in: torch, or numpy where it does not say."""
    function = underlying(function)
    if isinstance(function, type):
        return "torch" if any(base.__module__.startswith("torch.") for base in function.__mro__) else "numpy"
    if "torch" in str(getattr(function, "__annotations__", "")):
        return "torch"
    code, namespace = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    used = [namespace.get(name) for name in code.co_names] if code else []
    modules = {module.__name__.split(".")[0] for module in used if isinstance(module, types.ModuleType)}
    return "torch" if "torch" in modules and "numpy" not in modules else "numpy"


def is_stub(function: Callable) -> bool:
    """Whether nothing was written yet: the body only raises NotImplementedError."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(underlying(function))))
    except (OSError, TypeError, ValueError, SyntaxError):
        return False
    definition = tree.body[0]
    bodies = [n for n in ast.walk(definition) if isinstance(n, ast.FunctionDef)]
    unwritten = [ast.unparse(node.body[-1]) == "raise NotImplementedError" for node in bodies]
    return bool(unwritten) and all(unwritten)  # of a lambda there is no body


@one_thread()
@undisturbed()
def check(attempt: Attempt, *, seconds: float = 60.0, began: float | None = None) -> Verdict:
    """Hold one attempt against the reference on every case, and say what is wrong with it

    Args:
        attempt: the functions
        seconds: no case and no search for the mistake begins after this time, and large cases are left out
            where they would take it beyond half of it
        began: the time.monotonic() from which that counts, if not from now
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
    began = time.monotonic() if began is None else began
    trials: list[Trial] = []
    skipped: list[str] = []
    stopped, error = "", {}
    cases = list(all_cases(component))
    for case in sorted(cases, key=_elements):
        left = began + seconds - time.monotonic()
        if trials and _elements(case) > SLOW and _would_take(trials, case) > left - seconds / 2:
            skipped.append(case.name)
            continue
        try:
            if left < 0:
                raise StoppedError("timeout")
            trials.append(_try(attempt, case, began + seconds))
        except StoppedError as end:
            why = f"not finished after {seconds:g} s" if end.status == "timeout" else str(end)
            where = f"in the case “{case.name}, {np.dtype(case.dtype).name}”"
            stopped, error = end.status, {"message": f"{why} {where}"}
            break
    trials = _judged(cases, trials)
    about |= {"cases": len(trials), "skipped": sorted(set(skipped))}
    bad = [trial for trial in trials if not trial.equal]
    if stopped and not bad:
        return Verdict(**about, status=stopped, error=error)
    asked = dict.fromkeys(trial.beyond for trial in trials if trial.beyond)
    failed = dict.fromkeys(trial.beyond for trial in bad if trial.beyond)
    not_handled, handled = apart(list(asked), failed)
    about |= {"not_handled": not_handled, "handled": handled}
    ordinary = [trial for trial in bad if not trial.beyond]
    found: list[Mistake] = []
    fits = ""
    if not ordinary and not stopped:
        worst = max((t for t in trials if t.equal), key=lambda trial: trial.units / max(trial.budget, 1e-9))
        status = "right but" if bad else "right"
        with contextlib.suppress(StoppedError):
            found, fits = diagnose(attempt, trials, began + seconds)
        about |= {"units": worst.units, "budget": worst.budget, "mistakes": _named(found), "fits": fits}
        return Verdict(**about, status=status, changed=_changed(bad))
    bad = ordinary or bad
    first = bad[0]
    raising = [trial for trial in bad if trial.outcome.error]
    all_arrays = [d.array for trial in trials for d in trial.differences]
    wrong = list(dict.fromkeys(d.array for trial in bad for d in trial.wrong))
    if raising:
        raised = describe_error(raising[0].outcome, attempt)
        before = f"{error['message']}; before that, " if stopped else ""
        error = {**raised, "message": before + raised["message"]}
    signs: list[str] = []
    if not stopped:
        signs = symptoms.of([trial for trial in trials if not trial.beyond])
        try:
            found, fits = diagnose(attempt, trials, began + seconds)
        except StoppedError:
            signs.append("there was no time left to try which mistake it is")
    return Verdict(
        **about,
        status=stopped or ("raises" if first.outcome.error else "different"),
        units=first.units,
        budget=first.budget,
        first=_first(first),
        right=[array for array in dict.fromkeys(all_arrays) if array not in wrong],
        wrong=wrong,
        error=error,
        mistakes=_named(found),
        symptoms=signs,
        changed=_changed(bad),
        fits=fits,
    )


def _named(mistakes: Sequence[Mistake]) -> list[dict[str, str]]:
    return [
        {"name": m.name, "explanation": m.explanation, "convention": m.convention, "diff": m.diff}
        for m in mistakes
    ]


def _changed(trials: Sequence[Trial]) -> dict[str, str]:
    return {name: by for trial in reversed(trials) for name, by in trial.outcome.changed.items()}


def _is_precise(trial: Trial) -> bool:
    return np.dtype(trial.case.dtype) == np.float64


def _judged(cases: Sequence[Case], trials: Sequence[Trial]) -> list[Trial]:
    """Those in which the functions ran, in the component's order, with what each asks beyond the first."""
    place = {id(case): i for i, case in enumerate(cases)}
    ran = [trial for trial in trials if trial.outcome.called or trial.outcome.error] or trials
    ran = sorted(ran, key=lambda trial: place[id(trial.case)])
    first = {np.dtype(trial.case.dtype): trial.case for trial in reversed(ran)}

    def asks(case: Case) -> tuple[str, ...]:
        plain = first[np.dtype(case.dtype)]
        return () if case is plain else beyond(plain, case)  # the first one has to be right, whatever it asks

    return [replace(trial, beyond=asks(trial.case)) for trial in ran]


def diagnose(
    attempt: Attempt, trials: Sequence[Trial], deadline: float = np.inf
) -> tuple[list[Mistake], str]:
    """The classic mistake whose results equal these in every case, or the two that do together; else none

    Nothing is guessed: a mistake is named only if it gives the same numbers, within the budget, wherever the
    attempt was tried; or, said so, in all finite or in all ordinary cases, where no other one does.

    Returns:
        the mistakes, and where they fit if that is not everywhere

    Raises:
        StoppedError: at the deadline, a time.monotonic().
    """
    precise = [trial for trial in trials if _is_precise(trial)]
    finite = [trial for trial in precise if trial.case.finite]
    ordinary = [trial for trial in precise if not trial.beyond]
    sets = ((precise, ""), (finite, "NaN and infinity aside"), (ordinary, ORDINARY))
    for at_once in (1, 2):
        for considered, where in sets:
            wrong = any(trial.wrong or trial.outcome.error for trial in considered)
            if wrong and (found := _fitting(attempt, considered, at_once, deadline)):
                return found, where
    return [], ""


def _fitting(attempt: Attempt, trials: Sequence[Trial], at_once: int, deadline: float) -> list[Mistake]:
    """So many mistakes that together give the same, with ours in the place of what was not attempted."""
    component = attempt.component
    # Those cases first that the attempt gets wrong, and the small ones: they tell the mistakes apart soonest.
    order = sorted(trials, key=lambda trial: (trial.equal, _elements(trial.case)))

    def fits(*mistakes: Mistake) -> bool:
        functions = dict(component.text.functions(tuple(edit for m in mistakes for edit in m.edits)))
        if attempt.side == "scratch":
            functions = {name: f for name, f in functions.items() if name in attempt.functions}
        # Autograd follows a wrong forward pass; the backward pass that belongs to ours does not.
        forward_only = attempt.side == "torch" and all(name.endswith("_forward") for name in functions)
        for trial in order if functions else ():
            if time.monotonic() > deadline:
                raise StoppedError("timeout")
            version = _run(component, "scratch", functions, trial.case)
            if not _same(trial, version, forward_only=forward_only):
                return False
        return bool(functions)

    fitting = []
    for mistakes in itertools.combinations(component.mistakes, at_once):
        with contextlib.suppress(ValueError):  # two edits of one line
            if fits(*mistakes):
                fitting.append([*mistakes])
    return fitting[0] if len(fitting) == 1 else []  # of several that fit, none is certain


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
        if mistake["diff"]:
            lines.append("  the right line (-) and the wrong one (+), in our words:")
        lines += [f"    {line}" for line in mistake["diff"].splitlines()]
    if verdict.mistakes and verdict.fits:
        lines.append(f"  ({verdict.fits}: elsewhere yours gives something else again)")
    if verdict.mistakes and verdict.formula:
        lines.append(f"the formula: {verdict.formula}")
    if not verdict.mistakes:
        lines += verdict.symptoms
    for function in dict.fromkeys(verdict.changed.values()):
        names = [name for name, by in verdict.changed.items() if by == function]
        lines.append(f"the input {_names(names)} was modified in place by {function}")
    if verdict.not_handled and (verdict.equal or verdict.fits == ORDINARY):
        lines.append(f"not handled: {', '.join(verdict.not_handled)}")
        lines.append(f"handled: {', '.join(verdict.handled) or 'nothing else'}")
    if verdict.skipped:
        lines.append(f"not tried, since it would take too long: {', '.join(verdict.skipped)}")
    return lines


def describe_error(outcome: Answer, attempt: Attempt) -> dict[str, Any]:
    """The exception, and the line of the learner's own code that it came from."""
    error = outcome.error
    message = f"{error['kind']}: {error['message']}".removesuffix(": ")
    if "line" in error:
        return {"message": message, "line": error["line"], "source": error["source"]}
    if attempt.missing:
        message += f" (not written yet, so that ours was called: {', '.join(attempt.missing)})"
    return {"message": message}


def failure(error: BaseException, files: Collection[str]) -> dict[str, Any]:
    """An exception in plain data, whatever its class makes of itself: kind, message, line in these files."""
    kind = type.__dict__["__name__"].__get__(type(error))
    try:
        message, frames = str(error), traceback.extract_tb(error.__traceback__)
    except Exception:
        return {"kind": kind, "message": "its own message can not be had"}
    own = [frame for frame in frames if frame.filename in files]
    where = {"line": own[-1].lineno, "source": (own[-1].line or "").strip()} if own else {}
    return {"kind": kind, "message": message, **where}


def all_cases(component: Component) -> Iterator[Case]:
    """In both dtypes, in the order in which the component lists them."""
    for dtype in ("float64", "float32"):
        yield from cases_of(component, 0, DTYPES[dtype])


def _elements(case: Case) -> int:
    return sum(int(np.size(array)) for array in case.arrays.values())


def _would_take(trials: Sequence[Trial], case: Case) -> float:
    """Seconds, at the pace of the largest case so far."""
    largest = trials[-1]
    return largest.seconds / _elements(largest.case) * _elements(case)


def _as_expected(array: np.ndarray, expected: np.ndarray | None) -> np.ndarray:
    """A single number in the dtype that is expected: Python's has none of its own."""
    if expected is None or array.shape != () or array.dtype != np.float64 or expected.shape != ():
        return array
    return array.astype(expected.dtype) if expected.dtype.kind == "f" else array


def _try(attempt: Attempt, case: Case, deadline: float) -> Trial:
    component = attempt.component
    scales, budget = component.magnitude(case), component.budget.allowed(case, "cpu")
    if component.topic != "random":  # the one topic where bits are the point
        one_after_the_other = 4 * np.sqrt(_elements(case))  # what a sum may be off that a loop adds up
        budget = max(budget, ANOTHER_ORDER[np.dtype(case.dtype).name], one_after_the_other)
    expected = _kept(run_torch(component, case))
    start = time.perf_counter()
    outcome = attempt.run(case, deadline)
    seconds = time.perf_counter() - start
    results = {name: _as_expected(array, expected.get(name)) for name, array in outcome.results.items()}
    differences = [] if outcome.error else compare_results(results, expected, scales)
    return Trial(case, expected, outcome, scales, budget, differences, seconds)


def _run(
    component: Component, side: str, functions: Mapping[str, Callable], case: Case, deadline: float = np.inf
) -> Answer:
    """Functions in the place of ours, on arrays that they can write to: one that does is found out."""
    writable = {name: copy_with_strides(array) for name, array in case.arrays.items()}
    own = case.for_torch("cpu") if side == "torch" else replace(case, arrays=writable, finite=False)
    module = importlib.import_module(f"{'torch_ref' if side == 'torch' else 'scratch'}.{component.topic}")
    watch = _Watch(component, case, own)
    try:
        watched = {name: watch.over(name, f, getattr(module, name, None)) for name, f in functions.items()}
        results = _kept(runner(component, side, watched)(own))
    except (Exception, SystemExit) as error:
        return Answer(error=failure(error, _files(functions)), called=watch.called)
    if side == "scratch":  # of PyTorch's, an optimizer that was returned may change what it was given
        watch.look(" or ".join(functions))
    return Answer(results, changed=watch.changed, called=watch.called)


class _Watch:
    """Finds the function that changes an input, even if another one puts it back."""

    def __init__(self, component: Component, before: Case, after: Case) -> None:
        self.component, self.before, self.after = component, before, after
        self.changed: dict[str, str] = {}  # input → the function that changed it first
        self.called: list[str] = []  # the functions that ran

    def over(self, name: str, function: Callable, ours: Callable | None) -> Callable:
        """The function (or the class: its public methods), watched at every call."""
        if isinstance(function, type):
            methods = {
                key: self.over(f"{name}.{key}", method, None)
                for key, method in vars(function).items()
                if isinstance(method, types.FunctionType) and not key.startswith("_")
            }
            return type(function)(function.__name__, (function,), methods)
        signature = inspect.signature(ours) if ours is not None else None

        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in self.called:
                self.called.append(name)
            given = signature.bind(*args, **kwargs).arguments if signature else {}
            inputs = {key: value for key, value in given.items() if self._is_input(name, key, value)}
            before = {key: np.array(to_numpy(value)) for key, value in inputs.items()}
            try:
                return function(*args, **kwargs)
            finally:
                self.look(name)
                for key, value in inputs.items():
                    self._note(key, before[key], value, name)

        return call

    def look(self, function: str) -> None:
        """Compare the inputs of the whole case with what they were; the function is who ran last."""
        for key, array in self.before.arrays.items():
            # PyTorch's optimizers hold the parameters themselves, scratch's a copy.
            if not (self.component.topic == "optimizers" and key.startswith("param")):
                self._note(key, array, self.after[key], function)

    def _note(self, key: str, before: np.ndarray, after: Any, function: str) -> None:
        after = to_numpy(after)
        if not np.array_equal(before, after, equal_nan=before.dtype.kind == after.dtype.kind == "f"):
            self.changed.setdefault(key, function)

    def _is_input(self, function: str, argument: str, value: Any) -> bool:
        """Whether an argument is an array that the function has to leave alone."""
        if not isinstance(value, np.ndarray | torch.Tensor) or any(
            value is a for a in self.after.arrays.values()
        ):
            return False
        if argument in ("cache", "tensor"):  # what a forward pass kept for itself; what is to be filled
            return False
        if self.component.topic == "optimizers":
            return argument == "grad"
        return function != "update_running_statistics" or argument in ("mean", "variance")


def _files(functions: Mapping[str, Callable]) -> set[str]:
    """The files that the functions stand in."""
    files = set()
    for function in functions.values():
        with contextlib.suppress(TypeError, ValueError):
            files.add(inspect.getsourcefile(underlying(function)) or "")
    return files


def _kept(results: Results) -> Results:
    """Copies, with 0 for −0: nobody's version is wrong for the sign of a zero."""
    arrays = {name: _plain(value) for name, value in results.items()}
    return {name: array + 0.0 if array.dtype.kind == "f" else array for name, array in arrays.items()}


def _plain(value: Any) -> np.ndarray:
    """An array of numbers and of no class of its own; of anything else, only its shape."""
    array = np.array(to_numpy(value))
    return array if array.dtype.kind in "biufc" else np.broadcast_to(np.array(None), array.shape)


def _same(trial: Trial, other: Answer, *, forward_only: bool = False) -> bool:
    """Whether another version gives in this case what the attempt gave; gradients may be left out."""
    mine = trial.outcome
    if mine.error or other.error:
        return False  # equal exceptions are no equal results
    if mine.results.keys() != other.results.keys():
        return False
    to_right = {d.array: d.units for d in trial.differences if np.isfinite(d.units)}
    for name, array in mine.results.items():
        if not (forward_only and "grad" in name):
            found = compare_arrays(name, array, other.results[name], trial.scales.get(name))
            if not found.units <= max(trial.budget, SAME_MISTAKE * to_right.get(name, 0.0)):
                return False
    return True


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
    formulas = [text.split("\n\n")[0] for text in component.docstrings.values()]
    return "; ".join(" ".join(formula.split()) for formula in formulas if formula)
