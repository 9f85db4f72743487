"""Which classic mistake somebody's version is: the one that gives the same numbers in every case.

Tried are, one by one and then in pairs: the component's mistakes, those that have a constant of their own
with others too, and our own functions with other constants in the place of an option: Adam with ε = 10⁻⁷.
"""

import functools
import inspect
import itertools
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import Component
from compare.learner.finding import Attempt
from compare.learner.ordinary import FINITE, NUMBERS, ORDINARY
from compare.learner.process import StoppedError
from compare.learner.running import Answer, run
from compare.learner.trial import Question, Trial, elements, is_precise, remembered
from compare.measure import compare_arrays

SAME_MISTAKE = 1e-4  # how much closer to a mistake than to the right result it must be to be that mistake
SECONDS = 5.0  # of work, for all that is not one listed mistake
CONSTANT = re.compile(r"\b\d*\.?\d*e-\d+\b")  # a small one, as it is written
SMALL = tuple(10.0**-k for k in range(1, 17))
USUAL = (0.5, 0.9, 0.95, 0.99, 0.999, 0.1, 0.01, 0.001, 0.2, 0.3, 0.0, 1.0)


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise: an edit of our text, or an option that is always the same."""

    name: str
    explanation: str
    edits: tuple[tuple[str, str], ...] = ()
    convention: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)  # argument of our functions → its value
    diff: str = ""


Candidate = tuple[Change, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What was found, and where it fits if that is not everywhere."""

    changes: tuple[Change, ...] = ()
    fits: str = ""
    version: Callable[[Trial], Answer] | None = None  # what those mistakes give in a case
    stopped: bool = False  # before all pairs were tried


def diagnose(attempt: Attempt, trials: Sequence[Trial], deadline: float = float("inf")) -> Diagnosis:
    """The mistake whose results equal these in every case, or the two or three that do together; else none

    Nothing is guessed: a mistake is named only if it gives the same numbers, within the budget, wherever the
    attempt was tried; or, said so, in all finite or in all ordinary cases, where no other one does.

    Raises:
        StoppedError: at the deadline, a time.monotonic().
    """
    precise = [trial for trial in trials if is_precise(trial)]
    finite = [trial for trial in precise if trial.case.finite]
    ordinary = [trial for trial in precise if not trial.beyond]
    sets = [(precise, ""), (finite, FINITE), (ordinary, ORDINARY)]
    right = all(trial.equal for trial in ordinary)
    # What they do not handle, kind by kind: an option that is not there is no mistake.
    kinds = {*NUMBERS, *attempt.component.rare.values()}
    asked = dict.fromkeys(t.beyond for t in precise if not t.equal and t.beyond and set(t.beyond) <= kinds)
    beyond = [([t for t in precise if t.beyond in ((), what)], " with ".join(what)) for what in asked]
    sets = beyond if right else sets
    sets = [(chosen, where) for chosen, where in sets if not all(trial.equal for trial in chosen)]
    component = attempt.component
    listed = [Change(m.name, m.explanation, tuple(m.edits), m.convention) for m in component.mistakes]
    found = _found(attempt, sets, listed, deadline, SECONDS / 3 if right else SECONDS)
    if found.fits != ORDINARY:
        return found  # else another one may show beyond ordinary inputs
    told = {change.name for change in found.changes}
    more = [(*found.changes, change) for change in listed if change.name not in told]
    unusual = [t for t in precise if not t.equal and t.beyond and set(t.beyond) <= kinds]
    for *_, change in more:
        alone = None if _combine(component, (*found.changes, change)) else _version(attempt, (change,))
        if alone and any(same(trial, alone[0](trial)) for trial in unusual):
            return found  # what can not be tried together with it may be the one
    return _first_fitting(attempt, [*sets[:-1], *beyond], more, deadline) or found


def _found(
    attempt: Attempt,
    sets: Sequence[tuple[Sequence[Trial], str]],
    listed: Sequence[Change],
    deadline: float,
    seconds: float,
) -> Diagnosis:
    """The first that fits: one that is listed, at once; all others in so many seconds of work."""
    if found := _first_fitting(attempt, sets, [(change,) for change in listed], deadline):
        return found
    constants, options = list(_other_constants(listed)), list(_other_options(attempt))
    stages: list[Sequence[Candidate]] = [
        [(change,) for change in [*constants, *options]],
        list(itertools.combinations(listed, 2)),
        list(itertools.product(listed, options)),
        list(itertools.product(listed, constants)),
        list(itertools.combinations(listed, 3)),
    ]
    budget = time.process_time() + seconds
    for stage, candidates in enumerate(stages):
        if found := _first_fitting(attempt, sets, candidates, deadline, budget):
            return found
        if time.process_time() > budget:
            return Diagnosis(stopped=bool(sets) and stage < 2)
    return Diagnosis()


def _first_fitting(
    attempt: Attempt,
    sets: Sequence[tuple[Sequence[Trial], str]],
    candidates: Sequence[Candidate],
    deadline: float,
    budget: float = float("inf"),
) -> Diagnosis | None:
    """The candidate that fits, in the largest of these sets of cases; None if none does, or time is up."""
    for considered, where in sets:
        if found := _fitting(attempt, considered, candidates, deadline, budget):
            return _told(attempt, found, where)
    return None


def same(trial: Trial, other: Answer, *, forward_only: bool = False) -> bool:
    """Whether another version gives in this case what the attempt gave; gradients may be left out."""
    mine = trial.outcome
    if mine.error or other.error:
        return False  # equal exceptions are no equal results
    if mine.results.keys() != mine.seen(other.results).keys():
        return False
    whole = 1 / float(np.finfo(trial.case.dtype).eps)  # a difference as large as the numbers themselves
    to_right = {d.array: d.units for d in trial.differences if np.isfinite(d.units)}
    for name, array in mine.results.items():
        if not (forward_only and "grad" in name):
            right = trial.expected.get(name)
            scale = trial.scales.get(name) if right is not None and array.shape == right.shape else None
            found = compare_arrays(name, array, other.results[name], scale)
            alone = compare_arrays(name, array, other.results[name])
            near = found.units <= max(trial.budget, SAME_MISTAKE * to_right.get(name, 0.0))
            if not near or alone.units > max(trial.budget, SAME_MISTAKE * whole):
                return False
    return True


def _other_constants(listed: Sequence[Change]) -> Iterator[Change]:
    """Each mistake that has a small constant of its own, with other sizes of it."""
    for change in listed:
        known, found = (set(CONSTANT.findall("".join(texts))) for texts in zip(*change.edits, strict=True))
        for text in sorted(found - known):
            for value in SMALL:
                if value != float(text):
                    edits = tuple(
                        (before, after.replace(text, repr(value))) for before, after in change.edits
                    )
                    explanation = f"{change.explanation} Where that has {text}, yours has {value:g}."
                    yield Change(change.name, explanation, edits, change.convention)


def _other_options(attempt: Attempt) -> Iterator[Change]:
    """Our functions with another value in the place of an option that has one unless told otherwise."""
    for name, default in usual_options(attempt.component).items():
        if isinstance(default, tuple) and all(isinstance(v, float) for v in default):
            values: list[Any] = [default[::-1], (0.9, 0.99), (0.9, 0.9), (0.5, 0.999), (0.9, 0.95)]
        elif isinstance(default, float):
            values = list(dict.fromkeys([*SMALL, *USUAL] if default < 1e-3 else [*USUAL, 1 - default]))
        else:
            continue
        for value in values:
            if value != default:
                text = f"{name} is {_number(value)}, where ours is {_number(default)}."
                yield Change(f"another {name}", text, options={name: value})


def usual_options(component: Component) -> dict[str, Any]:
    """The options of our functions, with the values that they have unless told otherwise."""
    usual: dict[str, Any] = {}
    for function in vars(component.implementation()).values():
        if not isinstance(function, type):
            parameters = inspect.signature(function).parameters.values()
            usual |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return usual


def ignoring(attempt: Attempt, options: Mapping[str, Any]) -> Callable[[Trial], Answer] | None:
    """What our functions give in a case whatever it says of these options; None if they have none of them."""
    made = _version(attempt, (Change("ignored", "", options=options),))
    return made[0] if made else None


def _number(value: Any) -> str:
    return f"({', '.join(f'{v:g}' for v in value)})" if isinstance(value, tuple) else f"{value:g}"


def _functions(component: Component, changes: Candidate) -> dict[str, Callable]:
    """The component's functions that are others after the changes

    Raises:
        SyntaxError, ValueError: two edits of one place.
    """
    edits = tuple(edit for change in changes for edit in change.edits)
    functions = dict(component.text.functions(edits)) if edits else {}
    for change in changes:
        for name, value in change.options.items():
            for function, ours in vars(component.implementation(functions)).items():
                if not isinstance(ours, type) and name in inspect.signature(ours).parameters:
                    functions[function] = _fixed(ours, name, value)
    return functions


def _combine(component: Component, changes: Candidate) -> bool:
    try:
        _functions(component, changes)
    except (SyntaxError, ValueError):  # two edits of one place
        return False
    return True


def _fixed(function: Callable, option: str, value: Any) -> Callable:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.arguments[option] = value
        return function(*given.args, **given.kwargs)

    return call


def _version(attempt: Attempt, changes: Candidate) -> tuple[Callable[[Trial], Answer], bool] | None:
    """What the changes give in a case, and whether gradients are to be left out; None: nothing to try."""
    component = attempt.component
    try:
        functions = _functions(component, changes)
    except (SyntaxError, ValueError):  # two edits of one place
        return None
    if attempt.side == "scratch":
        functions = {name: f for name, f in functions.items() if name in attempt.functions}
    if not functions:
        return None
    # Autograd follows a wrong forward pass; the backward pass that belongs to ours does not.
    passes = {name.rpartition("_")[2] for name in functions} & {"forward", "backward"}
    forward_only = attempt.side == "torch" and passes == {"forward"}

    told = tuple((change.edits, tuple(change.options.items())) for change in changes)
    known_by = (told, tuple(functions), tuple(attempt.missing))

    def version(trial: Trial) -> Answer:
        question = Question(component, trial.case, known_by, functions=functions, missing=attempt.missing)
        return _answer(question)

    return version, forward_only


@remembered
def _answer(question: Question) -> Answer:
    with warnings.catch_warnings():  # of a mistake of ours nobody need be warned
        warnings.simplefilter("ignore")
        return run(question.component, "scratch", case=question.case, **question.given)


def _fitting(
    attempt: Attempt,
    trials: Sequence[Trial],
    candidates: Sequence[Candidate],
    deadline: float,
    budget: float,
) -> Candidate:
    """The one candidate that gives the same in all of these cases; of several that do, none is certain

    But one that tells the gradients too is preferred to those whose gradients are left out. And of several
    changes each has to be needed.
    """
    # Those cases first that the attempt gets wrong, and the small ones: they tell the mistakes apart soonest.
    order = sorted(trials, key=lambda trial: (trial.equal, elements(trial.case)))

    only_gradients = all("grad" in difference.array for trial in trials for difference in trial.wrong)

    def fits(changes: Candidate) -> bool:
        if not (made := _version(attempt, changes)):
            return False
        version, forward_only = made
        if forward_only and only_gradients:
            return False  # it says nothing of what is wrong
        for trial in order:
            if time.monotonic() > deadline:
                raise StoppedError("timeout")
            if not same(trial, version(trial), forward_only=forward_only):
                return False
        return True

    fitting = []
    for changes in candidates:
        if time.process_time() > budget:
            return ()
        if fits(changes):
            fitting.append(changes)
    if len(fitting) > 1:
        fitting = [changes for changes in fitting if not (_version(attempt, changes) or (None, True))[1]]
    found = fitting[0] if len(fitting) == 1 else ()
    fewer = itertools.combinations(found, len(found) - 1) if len(found) > 1 else ()
    return () if any(map(fits, fewer)) else found


def _told(attempt: Attempt, changes: Candidate, where: str) -> Diagnosis:
    text = attempt.component.text
    shown = tuple(
        replace(change, diff=text.diff(change.edits)) if change.edits else change for change in changes
    )
    made = _version(attempt, changes)
    return Diagnosis(shown, where, made[0] if made else None)
