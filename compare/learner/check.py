"""Holds somebody's own functions against ours: what is right, where it first differs, and which mistake.

    from compare import assert_matches

    def test_my_relu():
        assert_matches(relu_forward, relu_backward)

Functions are found by name: those of `scratch/` (NumPy) or those of `torch_ref/` (PyTorch). They run on the
cases that our own two sides are compared on, and the reference is PyTorch.
"""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.cases import all_components
from compare.cases.names import names_of
from compare.component import SEEDED, Case, Component
from compare.environment import one_thread, undisturbed
from compare.files import visible
from compare.learner import symptoms
from compare.learner.diagnosis import Change, Diagnosis, diagnose, ignoring, same, usual_options
from compare.learner.finding import Attempt, close_names, find, with_results
from compare.learner.ordinary import FINITE, ORDINARY, apart, beyond
from compare.learner.process import StoppedError
from compare.learner.running import DRAWS, Answer
from compare.learner.trial import Trial, all_cases, elements, is_only_wider, is_precise, try_case, would_take
from compare.report.conventions import of_mistake

RIGHT = ("right", "right but", "distribution", "convention")
OF_THE_CASE = "drawn from NumPy, whose numbers are replaced by ours"
FLOAT32 = "float32 (it comes back as float64)"
WIDER = "NumPy draws float64, and with it float32 becomes float64: {}"
SLOW = 20_000  # elements: a case with more is left out for functions that would take too long on it


@dataclass(frozen=True)
class Verdict:
    """What is said of one component."""

    component: str
    functions: list[str]
    side: str
    status: str  # one of `STATUS` in show.py: right, right but, convention, different, …
    cases: int = 0
    failed: int = 0  # of those, wrong
    digits: int | None = None  # decimal digits that are right in every float64 case; None: all
    units: float = 0.0  # the worst case
    budget: float = 0.0
    first: dict[str, Any] = field(default_factory=dict)  # case, dtype, array, index, yours, right, problem
    right: list[str] = field(default_factory=list)  # arrays that are right in every case
    wrong: list[str] = field(default_factory=list)  # arrays that are wrong in some
    error: dict[str, Any] = field(default_factory=dict)  # message, line, source, call
    mistakes: list[dict[str, str]] = field(default_factory=list)  # one, or two
    fits: str = ""  # where the mistakes give the same, if that is not everywhere
    not_handled: list[str] = field(default_factory=list)  # what goes beyond ordinary inputs, and is not right
    handled: list[str] = field(default_factory=list)  # what goes beyond them, and is
    symptoms: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)  # input that was not left alone → function
    skipped: list[str] = field(default_factory=list)  # cases left out: too slow
    missing: list[str] = field(default_factory=list)  # functions not written, that these need: ours stood in
    unwritten: list[str] = field(default_factory=list)  # other functions that are not
    unseen: list[str] = field(default_factory=list)  # what can not be had from it, and is not compared
    formula: str = ""
    defaults: list[str] = field(default_factory=list)  # that are others than ours
    asked: dict[str, str] = field(default_factory=dict)  # a name that is almost ours → ours
    form: str = ""  # the published form in which the functions are written
    convention: str = ""  # how to map what it means otherwise, if it does
    passed_over: list[str] = field(default_factory=list)  # what failed while its notebook was loaded

    @property
    def equal(self) -> bool:
        """Whether what is written is right for all ordinary inputs."""
        return self.status in RIGHT

    def counts(self, strict: bool) -> bool:
        """Whether it was looked at; asked strictly, it had to be."""
        return self.status != "asked" and (strict or self.status != "not called")

    def right_so_far(self, strict: bool) -> bool:
        """Whether what is written is right: for all ordinary inputs, or everywhere."""
        return self.status == "right" if strict else self.equal

    def passes(self, strict: bool) -> bool:
        """Whether nothing is left to write, either. (A course may have no function for what is missing.)"""
        return self.right_so_far(strict) and (not self.missing or bool(self.form))


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
    for verdict in check_functions(functions, named, component):
        if not verdict.equal:
            raise AssertionError("\n".join([f"{verdict.component}: {verdict.status}", *explain(verdict)]))


def check_functions(
    functions: Sequence[Callable], named: Mapping[str, Callable], component: str | None = None
) -> Iterator[Verdict]:
    """A verdict for each component that functions belong to; arguments and errors are `assert_matches`'s."""
    given = {_name(function): function for function in functions} | dict(named)
    if not given:
        raise ValueError("functions: expected at least one")
    for name, function in named.items():
        if not callable(function):
            raise ValueError(f"{visible(name)}: expected a function, got a {_kind(function)}")
    if component is not None and component not in all_components():
        raise ValueError(f"component: expected the name of one, got {visible(str(component))}")
    attempts = [a for a in find(given) if component in (None, a.component.name)]
    known = {name for a in attempts for name in (*names_of(a.component), *a.names)}
    if unknown := sorted(given.keys() - known):
        meant = close_names({name: given[name] for name in unknown}, [])
        hint = "".join(f": {theirs} may mean {with_results(ours)}" for theirs, ours in meant.items())
        names = ", ".join(map(visible, unknown))
        raise ValueError(f"functions: no component has one called {names}{visible(hint)}")
    for attempt in attempts:
        yield check(attempt)


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
    verdict = Verdict(
        component.name,
        list(attempt.functions),
        attempt.side,
        "unwritten",
        formula=_formula(attempt),
        defaults=list(attempt.defaults),
        form=attempt.form,
        convention=attempt.convention,
        unwritten=list(attempt.missing),
    )
    if not attempt.functions:
        return verdict
    if component.not_here:
        return replace(verdict, status="not here", error={"message": component.not_here})
    deadline = (time.monotonic() if began is None else began) + seconds
    cases = [attempt.asked(case) for case in all_cases(component)]
    trials, skipped, end = _trials(attempt, cases, deadline, seconds)
    trials = _with_wrong_options(attempt, _judged(component, cases, trials))
    ordinary = [trial for trial in trials if not trial.beyond]
    wrong = [trial for trial in trials if not trial.equal]
    bad = [trial for trial in ordinary if not trial.equal]
    stood_in = {name for trial in trials for name in trial.outcome.ours}
    verdict = replace(
        verdict,
        cases=len(trials),
        failed=len(wrong),
        skipped=skipped,
        missing=[name for name in attempt.missing if name in stood_in],
        unwritten=[name for name in attempt.missing if name not in stood_in],
        changed={name: by for trial in reversed(trials) for name, by in trial.outcome.changed.items()},
        unseen=_unseen(trials),
    )
    if end and not wrong:
        return replace(verdict, status=end.status, error={"message": str(end)})
    if not end and all(trial.outcome.error.get("call") for trial in trials):
        told = describe_error((bad or wrong)[0].outcome)
        about: dict[str, Any] = {"missing": [], "unwritten": list(attempt.missing), "cases": 0, "failed": 0}
        return replace(verdict, status="not called", error=told, **about)
    signs: list[str] = []
    if bad and not end and component.stream:
        if not (against := _against_its_distribution(attempt, ordinary, deadline)):
            method = f"the numbers come from another stream: {component.stream.method} draws the same bits"
            return replace(verdict, status="distribution", convention=method)
        if not any(trial.outcome.error for trial in bad):
            signs.append(against)
        of_numpy = not attempt.form and against != SEEDED and any(trial.outcome.drawn for trial in bad)
        for draws in DRAWS if of_numpy and deadline - time.monotonic() > seconds / 2 else ():
            run = functools.partial(attempt.run, draws=draws)
            again = check(
                replace(attempt, run=run, form=OF_THE_CASE), seconds=seconds, began=deadline - seconds
            )
            if again.mistakes or again.status in ("timeout", "crash"):
                return again
    diagnosis = Diagnosis()
    if not end:
        try:
            diagnosis = diagnose(attempt, trials, deadline)
        except StoppedError:
            signs.append("there was no time left to try which mistake it is")
        if diagnosis.stopped:
            signs.append("not all pairs of mistakes could be tried in the time there is for it")
    asked = dict.fromkeys(trial.beyond for trial in trials if trial.beyond)
    failed = dict.fromkeys(
        trial.beyond for trial in _not_explained(wrong, diagnosis if bad else Diagnosis()) if trial.beyond
    )
    not_handled, handled = apart(list(asked), failed)
    handled = [what for what in handled if what != diagnosis.fits]  # where a mistake was seen
    verdict = replace(
        verdict,
        mistakes=_named(component.name, diagnosis.changes),
        fits=diagnosis.fits,
        not_handled=not_handled,
        handled=handled,
    )
    if not bad and not end:
        worst = max((t for t in trials if t.equal), key=lambda trial: trial.units / max(trial.budget, 1e-9))
        verdict = replace(verdict, units=worst.units, budget=worst.budget, digits=_digits(trials))
        lines = [trial.outcome.drawn for trial in wrong if FLOAT32 in trial.beyond]
        signs += dict.fromkeys(WIDER.format(line) if line else symptoms.PROMOTED for line in lines)
        return replace(verdict, status=_right(verdict, attempt, wrong), symptoms=signs)
    return _wrong(verdict, attempt, trials, bad or wrong, signs, end)


def _trials(
    attempt: Attempt, cases: Sequence[Case], deadline: float, seconds: float
) -> tuple[list[Trial], list[str], StoppedError | None]:
    """The cases, small ones first; those left out, since they would take too long; and what stopped it."""
    trials: list[Trial] = []
    skipped: set[str] = set()
    for case in sorted(cases, key=elements):
        left = deadline - time.monotonic()
        if trials and elements(case) > SLOW and would_take(trials, case) > left - seconds / 2:
            skipped.add(case.name)
            continue
        try:
            if left < 0:
                raise StoppedError("timeout")
            trials.append(try_case(attempt, case, deadline))
        except StoppedError as end:
            why = f"not finished after {seconds:g} s" if end.status == "timeout" else str(end)
            where = f"in the case “{case.name}, {np.dtype(case.dtype).name}”"
            return trials, sorted(skipped), StoppedError(end.status, f"{why} {where}")
    return trials, sorted(skipped), None


def _unseen(trials: Sequence[Trial]) -> list[str]:
    """What no case could be asked for, of those that ran."""
    unseen = [set(trial.outcome.unseen) for trial in trials if not trial.outcome.error]
    return sorted(set.intersection(*unseen)) if unseen else []


def _with_wrong_options(attempt: Attempt, trials: Sequence[Trial]) -> list[Trial]:
    """Of an option that is there and computed wrongly the cases count as any: ignored, it is not handled."""
    if attempt.side == "torch" or any(not trial.equal and not trial.beyond for trial in trials):
        return list(trials)
    wrong = [t for t in trials if not t.equal and not t.outcome.error and t.beyond and is_precise(t)]
    counted = {what for what in {t.beyond for t in wrong} if _is_wrong_option(attempt, wrong, what)}
    return [replace(trial, beyond=()) if trial.beyond in counted else trial for trial in trials]


def _is_wrong_option(attempt: Attempt, wrong: Sequence[Trial], what: tuple[str, ...]) -> bool:
    """Whether these are options, and no one gets such numbers by ignoring some of them

    Results of another shape are those of another choice: one number where "none" asks for all losses.
    """
    names, usual = [name.partition("=")[0] for name in what], usual_options(attempt.component)
    if not {*names} <= usual.keys():
        return False
    some = itertools.chain.from_iterable(itertools.combinations(names, n) for n in range(1, len(names) + 1))
    versions = [ignoring(attempt, {name: usual[name] for name in chosen}) for chosen in some]
    trials = [trial for trial in wrong if trial.beyond == what]
    if all(_has_another_shape(trial) for trial in trials):
        return False
    return not any(all(same(trial, version(trial)) for trial in trials) for version in versions if version)


def _has_another_shape(trial: Trial) -> bool:
    found, expected = trial.outcome.results, trial.expected
    return any(np.shape(found[name]) != np.shape(expected[name]) for name in found.keys() & expected.keys())


def _not_explained(wrong: Sequence[Trial], diagnosis: Diagnosis) -> list[Trial]:
    """Cases that are wrong, and not only for the mistakes that were found anyway."""
    version = diagnosis.version
    if version is None:
        return list(wrong)
    if not diagnosis.fits:  # they fit everywhere
        return []
    return [trial for trial in wrong if not (trial.beyond and same(trial, version(trial)))]


def _against_its_distribution(attempt: Attempt, trials: Sequence[Trial], deadline: float) -> str:
    """What speaks against draws that are right but for the stream that they come from; or nothing."""
    assert attempt.component.stream is not None
    precise = [trial for trial in trials if is_precise(trial)]
    if any(trial.outcome.error for trial in precise):
        return "an exception says nothing of the draws"
    if any(trial.outcome.results.keys() != trial.expected.keys() for trial in precise):
        return "there are other results than those of ours"
    cases, expected = [trial.case for trial in precise], [trial.expected for trial in precise]
    results = [trial.outcome.results for trial in precise]
    if any(a[name].shape != b[name].shape for a, b in zip(results, expected, strict=True) for name in a):
        return "there are other shapes than those of ours"
    return attempt.component.stream.against(cases, results, expected)


def _right(verdict: Verdict, attempt: Attempt, wrong: Sequence[Trial]) -> str:
    """Which kind of right, of an attempt that is so in all ordinary cases."""
    if verdict.changed:
        return "in place"
    if attempt.convention:
        return "convention"
    return "right but" if wrong else "right"


def _digits(trials: Sequence[Trial]) -> int | None:
    precise = [trial.units for trial in trials if trial.equal and is_precise(trial)]
    units = max(precise, default=0.0)
    return int(-np.log10(units * np.finfo(np.float64).eps)) if units else None


def _wrong(
    verdict: Verdict,
    attempt: Attempt,
    trials: Sequence[Trial],
    bad: Sequence[Trial],
    signs: Sequence[str],
    end: StoppedError | None,
) -> Verdict:
    """The verdict with what is wrong in these cases: the first difference, and what they have in common."""
    all_arrays = [d.array for trial in trials for d in trial.differences]
    wrong = list(dict.fromkeys(d.array for trial in bad for d in trial.wrong))
    raising = [trial for trial in bad if trial.outcome.error]
    error = {"message": str(end)} if end else {}
    if raising:
        raised = describe_error(raising[0].outcome)
        before = f"{end}; before that, " if end else ""
        error = {**raised, "message": before + raised["message"]}
    mapped = [mistake["mapping"] for mistake in verdict.mistakes]
    if end:
        status = end.status
    elif bad[0].outcome.error:
        status = "raises"
    elif mapped and all(mapped) and not verdict.changed and not attempt.convention:
        status = "convention"
    else:
        status = "different"
    return replace(
        verdict,
        status=status,
        units=bad[0].units,
        budget=bad[0].budget,
        first=_first(bad[0]),
        right=[array for array in dict.fromkeys(all_arrays) if array not in wrong],
        wrong=wrong,
        error=error,
        symptoms=[*signs, *([] if end else symptoms.of([t for t in trials if not t.beyond]))],
    )


def _named(component: str, changes: Sequence[Change]) -> list[dict[str, str]]:
    return [
        {
            "name": c.name,
            "explanation": c.explanation,
            "convention": c.convention,
            "mapping": getattr(of_mistake(component, c.name), "mapping", ""),
            "diff": c.diff,
        }
        for c in changes
    ]


def _judged(component: Component, cases: Sequence[Case], trials: Sequence[Trial]) -> list[Trial]:
    """Those in which the functions ran, in the component's order, with what each asks beyond the first."""
    place = {id(case): i for i, case in enumerate(cases)}
    ran = [trial for trial in trials if trial.outcome.called or trial.outcome.error] or trials
    ran = sorted(ran, key=lambda trial: place[id(trial.case)])
    first = {np.dtype(trial.case.dtype): trial.case for trial in reversed(ran)}

    def asks(trial: Trial) -> tuple[str, ...]:
        plain = first[np.dtype(trial.case.dtype)]
        wider = (FLOAT32,) if is_only_wider(trial) else ()
        if trial.case is plain:  # the first one has to be right, whatever it asks
            return wider
        return wider + beyond(component, plain, trial.case)

    return [replace(trial, beyond=asks(trial)) for trial in ran]


def explain(verdict: Verdict) -> list[str]:
    """The verdict in lines of text, for a person."""
    lines = [f"read as {verdict.form}"] if verdict.form else []
    if verdict.status == "distribution":
        lines.append(verdict.convention)
    if verdict.status == "convention" and verdict.convention:
        lines.append(f"to map it: {verdict.convention}")
    if verdict.status == "not called":
        form = " --form torch" if verdict.side == "torch" else ""
        lines.append(verdict.error["call"])
        lines.append(f"`python -m compare exercise {verdict.component}{form}` writes one that is understood")
    if verdict.error:
        error = verdict.error
        lines.append(f"{error['message']}")
        if error.get("line"):
            cell = f"cell {error['cell']}, " if "cell" in error else ""
            lines.append(f"  {cell}line {error['line']}: {error['source']}")
    if verdict.first and verdict.status != "convention":
        first = verdict.first
        lines.append(f"first difference: case “{first['case']}”, {first['dtype']}")
        if first.get("problem"):
            lines.append(f"  {first['array']}: {first['problem']}")
        if first.get("index") is not None:
            index = f"[{', '.join(map(str, first['index']))}]" if first["index"] else ""
            lines.append(f"  {first['array']}{index} is {first['yours']!r}, should be {first['right']!r}")
    if verdict.wrong and verdict.status != "convention":
        lines.append(f"wrong: {_names(verdict.wrong)}")
        lines.append(f"right: {_names(verdict.right) or 'nothing'}")
    for mistake in verdict.mistakes:
        number = {2: " (one of two)", 3: " (one of three)"}.get(len(verdict.mistakes), "")
        lines.append(f"this is “{mistake['name']}”{number}: {mistake['explanation']}")
        if mistake["convention"] and not verdict.convention:  # else in theirs it may be as wrong as in ours
            lines.append(f"  right elsewhere: {mistake['convention']}")
        if mistake["mapping"]:
            lines.append(f"  to map it: {' '.join(mistake['mapping'].split())}")
        if mistake["diff"]:
            which = (
                "PyTorch's line (-) and yours (+)"
                if verdict.equal
                else "the right line (-) and the wrong one (+)"
            )
            lines.append(f"  {which}, in our words:")
        lines += [f"    {line}" for line in mistake["diff"].splitlines()]
    if verdict.mistakes and verdict.fits not in ("", ORDINARY):
        seen = "" if verdict.fits == FINITE else "seen in: "
        lines.append(f"  ({seen}{verdict.fits})")
    if verdict.mistakes and verdict.formula:
        lines.append(f"the formula: {verdict.formula}")
    if not verdict.mistakes:
        lines += verdict.symptoms
    if verdict.defaults:
        lines.append(f"another default: {'; '.join(verdict.defaults)}")
    for theirs, ours in verdict.asked.items():
        lines.append(f"{theirs}: did you mean {with_results(ours)}? It was not looked at.")
    for function in dict.fromkeys(verdict.changed.values()):
        names = [name for name, by in verdict.changed.items() if by == function]
        lines.append(f"the input {_names(names)} was modified in place by {function}")
    if verdict.not_handled and (verdict.equal or verdict.mistakes):
        lines.append(f"not handled: {', '.join(verdict.not_handled)}")
        lines.append(f"handled: {', '.join(verdict.handled) or 'nothing else'}")
    if verdict.missing:
        lines += [f"{'✗' if _is_wrong(name, verdict) else '✓'} {name}" for name in verdict.functions]
        lines.append(f"– not written, so that ours stood in: {', '.join(verdict.missing)}")
    if verdict.unwritten and verdict.functions:
        lines.append(f"not written, and not looked at: {_names(verdict.unwritten)}")
    if verdict.unseen:
        lines.append(f"not compared, since it can not be had from yours: {', '.join(verdict.unseen)}")
    if verdict.skipped:
        lines.append(f"not tried, since it would take too long: {', '.join(verdict.skipped)}")
    return lines


def _is_wrong(function: str, verdict: Verdict) -> bool:
    """Whether something that this function computes is wrong: of a pass forward, not the gradients."""
    if verdict.equal or verdict.error or not verdict.wrong:
        return not verdict.equal
    gradients = [array for array in verdict.wrong if "grad" in array]
    if function.endswith("_forward"):
        return len(gradients) < len(verdict.wrong)
    return bool(gradients) or not function.endswith("_backward")


def describe_error(outcome: Answer) -> dict[str, Any]:
    """The exception, and the line of the learner's own code that it came from."""
    error = outcome.error
    message = f"{error['kind']}: {error['message']}".removesuffix(": ").removeprefix(": ")
    return {"message": message, **{key: error[key] for key in ("line", "source", "call") if key in error}}


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


def _formula(attempt: Attempt) -> str:
    docstrings = attempt.component.docstrings
    written = [name for name in docstrings if name.partition(".")[0] in attempt.functions]
    formulas = [docstrings[name].split("\n\n")[0] for name in written or docstrings]
    return "; ".join(" ".join(formula.split()) for formula in formulas if formula)
