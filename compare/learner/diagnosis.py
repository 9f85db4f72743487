"""Which classic mistake somebody's version is: the one that gives the same numbers in every case."""

import contextlib
import itertools
import time
from collections.abc import Sequence

import numpy as np

from compare.component import Mistake
from compare.learner.finding import Attempt
from compare.learner.ordinary import ORDINARY
from compare.learner.running import Answer, StoppedError, run
from compare.learner.trial import Trial, elements, is_precise
from compare.measure import compare_arrays

SAME_MISTAKE = 1e-4  # how much closer to a mistake than to the right result it must be to be that mistake


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
    precise = [trial for trial in trials if is_precise(trial)]
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
    order = sorted(trials, key=lambda trial: (trial.equal, elements(trial.case)))

    def fits(*mistakes: Mistake) -> bool:
        functions = dict(component.text.functions(tuple(edit for m in mistakes for edit in m.edits)))
        if attempt.side == "scratch":
            functions = {name: f for name, f in functions.items() if name in attempt.functions}
        # Autograd follows a wrong forward pass; the backward pass that belongs to ours does not.
        forward_only = attempt.side == "torch" and all(name.endswith("_forward") for name in functions)
        for trial in order if functions else ():
            if time.monotonic() > deadline:
                raise StoppedError("timeout")
            version = run(component, "scratch", functions, trial.case)
            if not same(trial, version, forward_only=forward_only):
                return False
        return bool(functions)

    fitting = []
    for mistakes in itertools.combinations(component.mistakes, at_once):
        with contextlib.suppress(ValueError):  # two edits of one line
            if fits(*mistakes):
                fitting.append([*mistakes])
    return fitting[0] if len(fitting) == 1 else []  # of several that fit, none is certain


def same(trial: Trial, other: Answer, *, forward_only: bool = False) -> bool:
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
