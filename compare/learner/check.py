"""Holds somebody's own functions against ours: what is right, where it first differs, and which mistake.

    from compare import assert_matches

    def test_my_relu():
        assert_matches(relu_forward, relu_backward)

Functions are found by name: those of `scratch/` (NumPy) or those of `torch_ref/` (PyTorch). They run on the
cases that our own two sides are compared on, and the reference is PyTorch.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import Case, Component, Mistake
from compare.environment import one_thread, undisturbed
from compare.learner import symptoms
from compare.learner.diagnosis import diagnose
from compare.learner.finding import Attempt, find
from compare.learner.ordinary import ORDINARY, apart, beyond
from compare.learner.running import Answer, StoppedError, visible
from compare.learner.trial import Trial, all_cases, elements, try_case, would_take

SLOW = 20_000  # elements: a case with more is left out for functions that would take too long on it


@dataclass(frozen=True)
class Verdict:
    """What is said of one component."""

    component: str
    functions: list[str]
    side: str
    status: str  # right, right but, convention, different, raises, unwritten, not here, timeout or crash
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
    form: str = ""  # the published form in which the functions are written
    convention: str = ""  # how to map what it means otherwise, if it does

    @property
    def equal(self) -> bool:
        """Whether it is right for all ordinary inputs."""
        return self.status in ("right", "right but", "convention")

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
        "form": attempt.form,
        "convention": attempt.convention,
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
    for case in sorted(cases, key=elements):
        left = began + seconds - time.monotonic()
        if trials and elements(case) > SLOW and would_take(trials, case) > left - seconds / 2:
            skipped.append(case.name)
            continue
        try:
            if left < 0:
                raise StoppedError("timeout")
            trials.append(try_case(attempt, case, began + seconds))
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
        status = "convention" if attempt.convention else "right but" if bad else "right"
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


def explain(verdict: Verdict) -> list[str]:
    """The verdict in lines of text, for a person."""
    lines = [f"read as {verdict.form}"] if verdict.form else []
    if verdict.status == "convention":
        lines.append(f"to map it: {verdict.convention}")
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
