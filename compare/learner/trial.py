"""One case of an attempt: what it should give, what it gave, and how far apart the two are."""

import functools
import pickle
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from compare.component import DTYPES, Case, Component, Results
from compare.learner.finding import Attempt
from compare.learner.running import Answer, kept
from compare.measure import Difference, compare_arrays, compare_results
from compare.run import cases_of, run_torch

ANOTHER_ORDER = {"float32": 64, "float64": 4500}  # rounding units (10⁻¹²): other operations in other orders
QUESTIONS = 5000  # whose answers are kept
LARGE = 2000  # elements: the answers to larger ones take more room than they save time


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
        """Whether every array is within the budget."""
        return not self.outcome.error and all(d.units <= self.budget for d in self.differences)

    @property
    def units(self) -> float:
        """The largest distance, in rounding units."""
        return max((d.units for d in self.differences), default=np.inf if self.outcome.error else 0.0)

    @property
    def wrong(self) -> list[Difference]:
        """The arrays that are not, in order of computation."""
        return [d for d in self.differences if d.units > self.budget]


class Question:
    """A case of a component, equal to any other that asks the same

    Args:
        component, case: what is asked
        known_by: what tells the rest that is asked from anything else
        given: that rest, for whoever answers
    """

    def __init__(self, component: Component, case: Case, known_by: Hashable = None, **given: Any) -> None:
        self.component, self.case, self.known_by, self.given = component, case, known_by, given

    @functools.cached_property
    def _key(self) -> Hashable:
        component, case = self.component, self.case
        arrays = [(name, a.dtype, a.shape, a.strides, a.tobytes()) for name, a in case.arrays.items()]
        settings = (case.seed, case.dtype, case.draws, case.drawn_in, case.finite)
        options = pickle.dumps(sorted(case.options.items()))
        sides = (component.run_scratch, component.run_torch, component.budget)
        scales = (component.magnitude, component.terms)
        return (*sides, *scales, case.name, tuple(arrays), settings, options, self.known_by)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Question) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


R = TypeVar("R")


def remembered(answer: Callable[[Question], R]) -> Callable[[Question], R]:
    """Keeps the answers to the last questions, unless they are large: a file is checked again and again."""
    known = functools.lru_cache(QUESTIONS)(answer)
    return lambda question: (known if elements(question.case) <= LARGE else answer)(question)


@remembered
def _reference(question: Question) -> tuple[Mapping[str, Any], float, Results]:
    component, case = question.component, question.case
    scales = {**component.magnitude(case), **component.terms(case)}
    return scales, component.budget.allowed(case, "cpu"), kept(run_torch(component, case))


def try_case(attempt: Attempt, case: Case, deadline: float) -> Trial:
    """Run the attempt on a case, and compare; may raise StoppedError."""
    component = attempt.component
    scales, budget, expected = _reference(Question(component, case))
    if component.topic != "random":  # the one topic where bits are the point
        one_after_the_other = 4 * np.sqrt(elements(case))  # what a sum may be off that a loop adds up
        budget = max(budget, ANOTHER_ORDER[np.dtype(case.dtype).name], one_after_the_other)
    start = time.perf_counter()
    outcome = attempt.run(case, deadline)
    seconds = time.perf_counter() - start
    expected = outcome.seen(expected)
    results = {name: _as_expected(array, expected.get(name)) for name, array in outcome.results.items()}
    differences = [] if outcome.error else compare_results(results, expected, scales)
    return Trial(case, expected, outcome, scales, budget, differences, seconds)


def _as_expected(array: np.ndarray, expected: np.ndarray | None) -> np.ndarray:
    """A single number in the dtype that is expected: Python's has none of its own."""
    if expected is None or array.shape != () or array.dtype != np.float64 or expected.shape != ():
        return array
    return array.astype(expected.dtype) if expected.dtype.kind == "f" else array


def all_cases(component: Component) -> Iterator[Case]:
    """In both dtypes, in the order in which the component lists them."""
    for dtype in ("float64", "float32"):
        yield from cases_of(component, 0, DTYPES[dtype])


def elements(case: Case) -> int:
    """How many numbers its arrays have."""
    return sum(int(np.size(array)) for array in case.arrays.values())


def would_take(trials: Sequence[Trial], case: Case) -> float:
    """Seconds, at the pace of the largest case so far."""
    largest = trials[-1]
    return largest.seconds / elements(largest.case) * elements(case)


def is_precise(trial: Trial) -> bool:
    """Whether it is in float64."""
    return np.dtype(trial.case.dtype) == np.float64


def is_only_wider(trial: Trial) -> bool:
    """Whether what is wrong is right but for its dtype, float64 where float32 is meant."""
    if trial.equal or trial.outcome.error:
        return False
    mine, expected = trial.outcome.results, trial.expected
    wrong = {difference.array for difference in trial.wrong}
    with np.errstate(all="ignore"):  # what is too large for float32 becomes infinite, as it is meant to
        return wrong <= mine.keys() & expected.keys() and all(
            (mine[name].dtype, expected[name].dtype) == (np.float64, np.float32)
            and compare_arrays(
                name, mine[name].astype(np.float32), expected[name], trial.scales.get(name)
            ).units
            <= trial.budget
            for name in wrong
        )
