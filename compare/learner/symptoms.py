"""What the cases that went wrong have in common, where no classic mistake explains them."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.measure import compare_arrays

if TYPE_CHECKING:
    from compare.learner.trial import Trial

CLOSE = 1e-5  # relative spread up to which ratios count as one factor
WRONG_SIGN = "−1 times"
PROMOTED = (
    "float64 although the input was float32: it comes from an array of integers, or one made without"
    " dtype=x.dtype, or from a number of NumPy's own, as np.sqrt(2) is one and float(np.sqrt(2)) is none"
)
OF_BATCH, OF_BOTH = "(m is the batch size)", "(m is the batch size, k the number of columns)"
FACTORS: dict[str, Callable[[int, int], float]] = {  # of those that are alike, the first is told
    WRONG_SIGN: lambda m, k: -1,
    "½ of": lambda m, k: 0.5,
    "twice": lambda m, k: 2,
    "−½ times": lambda m, k: -0.5,
    "−2 times": lambda m, k: -2,
    f"1/m {OF_BATCH} of": lambda m, k: 1 / m,
    f"m times {OF_BATCH}": lambda m, k: m,
    f"1/(2m) {OF_BATCH} of": lambda m, k: 0.5 / m,
    f"2m times {OF_BATCH}": lambda m, k: 2 * m,
    f"2/m {OF_BATCH} of": lambda m, k: 2 / m,
    f"m/2 times {OF_BATCH}": lambda m, k: m / 2,
    f"m² times {OF_BATCH}": lambda m, k: m * m,
    f"1/m² {OF_BATCH} of": lambda m, k: 1 / m / m,
    f"m/(m − 1) times {OF_BATCH}": lambda m, k: m / (m - 1) if m > 1 else math.nan,
    f"(m − 1)/m {OF_BATCH} of": lambda m, k: (m - 1) / m,
    f"√m times {OF_BATCH}": lambda m, k: math.sqrt(m),
    f"1/√m {OF_BATCH} of": lambda m, k: 1 / math.sqrt(m),
    f"1/k {OF_BOTH} of": lambda m, k: 1 / k,
    f"k times {OF_BOTH}": lambda m, k: k,
    f"1/(m·k) {OF_BOTH} of": lambda m, k: 1 / (m * k),
    f"m·k times {OF_BOTH}": lambda m, k: m * k,
    f"m/k times {OF_BOTH}": lambda m, k: m / k,
    f"k/m times {OF_BOTH}": lambda m, k: k / m,
}


def of(trials: "Sequence[Trial]") -> list[str]:
    """Sentences, the most telling first; only what holds in every case that went wrong."""
    bad = [trial for trial in trials if not trial.equal]
    good = [trial for trial in trials if trial.equal]
    with np.errstate(all="ignore"):
        return [*_swapped(bad), *_kind(bad), *_factor(bad), *_where(bad), *_when(bad, good)]


def in_words(problem: str) -> str:
    """A problem of the harness, said to somebody whose version stands in scratch's place."""
    return problem.replace("scratch", "yours").replace("torch", "the right one")


def _swapped(bad: "Sequence[Trial]") -> Iterator[str]:
    """Arrays that are right, but in each other's place."""
    wrong = {difference.array for trial in bad for difference in trial.wrong}
    stands_for: dict[str, set[str]] = {array: wrong - {array} for array in wrong}
    seen: set[tuple[str, str]] = set()
    for trial in bad:
        for array in {difference.array for difference in trial.wrong} & trial.outcome.results.keys():
            for other in stands_for[array] & trial.expected.keys():
                if _is_equal(trial, array, other):
                    seen.add((array, other))
                else:
                    stands_for[array].discard(other)
    found = {a: b for a, others in stands_for.items() for b in others if len(others) == 1 and (a, b) in seen}
    if found and found.keys() == {*found.values()}:
        told = dict.fromkeys(f"{_plain(a)} is what {_plain(b)} should be" for a, b in sorted(found.items()))
        yield f"in another order: {', '.join(told)}"


def _plain(array: str) -> str:
    """Without the step, and the number of the parameter: exp_avg for step2.exp_avg.0."""
    return re.sub(r"^step\d+\.|\.\d+$", "", array)


def _is_equal(trial: "Trial", array: str, other: str) -> bool:
    mine, right = trial.outcome.results[array], trial.expected[other]
    units = compare_arrays(array, mine, right, trial.scales.get(other)).units
    return mine.shape == right.shape and units <= trial.budget


def _kind(bad: "Sequence[Trial]") -> Iterator[str]:
    """Wrong dtype, wrong shape, transposed, missing."""
    pairs = list(_pairs(bad))
    if any(a.dtype == np.float64 and b.dtype == np.float32 for _, a, b in pairs):
        yield PROMOTED
    for name in dict.fromkeys(name for name, a, b in pairs if a.dtype == bool and b.dtype.kind == "f"):
        yield f"{name} is True or False, where the number is meant"
    if pairs and all(a.shape == b.shape[::-1] != b.shape for _, a, b in pairs if a.shape != b.shape):
        shapes = [(name, a, b) for name, a, b in pairs if a.shape != b.shape and a.dtype.kind in "biufc"]
        if shapes and all(np.allclose(a.T, b, equal_nan=True) for _, a, b in shapes):
            yield "transposed"
    for name, a, b in pairs:
        if a.shape != b.shape and a.size == b.size and a.ndim != b.ndim:
            yield f"{name} has the shape {a.shape} where {b.shape} is meant"
            break


def _factor(bad: "Sequence[Trial]") -> Iterator[str]:
    """One factor between what is and what should be."""
    factors: dict[str, list[tuple[Any, float]]] = {}
    for trial in bad:
        for difference in trial.wrong:
            a, b = trial.outcome.results.get(difference.array), trial.expected.get(difference.array)
            if a is None or b is None or a.shape != b.shape or not trial.case.finite:
                continue
            if a.dtype.kind not in "biuf" or b.dtype.kind != "f":
                continue
            largest = np.unravel_index(np.argmax(np.abs(b)), b.shape) if b.size else None
            factor = float(a[largest] / b[largest]) if largest is not None and b[largest] != 0 else 1.0
            scaled = (factor * b).astype(b.dtype)
            scale = trial.scales.get(difference.array)
            units = compare_arrays(difference.array, a, scaled, scale).units if a.dtype == b.dtype else np.inf
            if (
                not np.isfinite(factor)
                or abs(factor - 1) < CLOSE
                or units > 2 * max(trial.budget, 1) * max(abs(factor), 1)
            ):
                return
            factors.setdefault(difference.array, []).append((trial.case, factor))
    for array, seen in factors.items():
        found = [factor for _, factor in seen]
        named = next((name for name, value in FACTORS.items() if _is_always(value, seen)), "")
        if named == WRONG_SIGN:
            yield f"{array} has the wrong sign"
        elif named:
            yield f"{array} is {named} what it should be"
        elif np.ptp(found) <= CLOSE * max(map(abs, found)):
            yield f"{array} is off by the constant factor {float(np.median(found)):.6g}"
        else:
            between = f"from {min(found):.4g} to {max(found):.4g}"
            yield f"{array} is off by a factor that changes with the case, {between}"


def _is_always(value: Callable[[int, int], float], seen: Sequence[tuple[Any, float]]) -> bool:
    """Whether all factors are this one of the batch size m and the number of columns k."""
    wanted = []
    for case, factor in seen:
        shape = next((a.shape for a in _arrays(case)), ())
        m, k = (shape[0], shape[1]) if len(shape) == 2 else (math.prod(shape), 1)
        wanted.append((value(m, k), factor))
    return all(abs(factor - expected) <= CLOSE * abs(expected) for expected, factor in wanted)


def _where(bad: "Sequence[Trial]") -> Iterator[str]:
    """Only one of the arrays, or only from some step on."""
    wrong = {d.array for trial in bad for d in trial.wrong}
    every = {d.array for trial in bad for d in trial.differences}
    if len(wrong) == 1 and len(every) > 1:
        yield f"only {wrong.pop()} is wrong"
        return
    steps = [_step(array) for array in wrong]
    if steps and None not in steps:
        first = min(step for step in steps if step is not None)
        if first > 1:
            yield f"only from step {first} on"
    kinds = {array.partition(".")[0] for array in wrong}
    if kinds == {"grad"} and any(not array.startswith("grad") for array in every):
        yield "only the gradients are wrong: the forward pass is right"


def _step(array: str) -> int | None:
    head = array.partition(".")[0]
    return int(head.removeprefix("step")) if head.startswith("step") and head[4:].isdigit() else None


def _when(bad: "Sequence[Trial]", good: "Sequence[Trial]") -> Iterator[str]:
    """An option, a dtype or a kind of input that all bad cases have and no good one has."""
    if not bad or not good:
        return
    dtypes = {np.dtype(trial.case.dtype).name for trial in bad}
    if len(dtypes) == 1 and any(np.dtype(trial.case.dtype).name not in dtypes for trial in good):
        name = next(iter(dtypes))
        same = {t.case.name for t in bad} & {t.case.name for t in good}
        if same:
            yield f"only in {name}"
    options = sorted({key for trial in bad for key in trial.case.options})
    for key in options:
        values = [trial.case.options.get(key) for trial in bad]
        others = [trial.case.options.get(key) for trial in good]
        if all(map(_truth, values)) and not any(map(_truth, others)):
            yield f"only with {key} other than {_shown(others)}"
        elif all(isinstance(v, str | bool) for v in values) and not {*values} & {*map(_hashable, others)}:
            yield f"only with {key} = {_shown(values)}"
    for name, test in KINDS.items():
        if all(test(trial.case) for trial in bad) and not any(test(trial.case) for trial in good):
            yield f"only with {name}"
    names = list(dict.fromkeys(trial.case.name for trial in bad))
    if len(names) <= 3 and not {t.case.name for t in good} & set(names):
        yield f"only in the {'case' if len(names) == 1 else 'cases'} {', '.join(f'“{n}”' for n in names)}"


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | bool) else None


def _truth(value: Any) -> bool:
    return bool(np.any(value)) if isinstance(value, np.ndarray) else bool(value)


def _shown(values: Sequence[Any]) -> str:
    return " or ".join(sorted({str(value) for value in values}))


def _arrays(case: Any) -> list[np.ndarray]:
    return [array for array in case.arrays.values() if np.ndim(array) > 0]


KINDS: dict[str, Any] = {
    "NaN or infinity among the inputs": lambda case: any(
        not np.isfinite(a).all() for a in _arrays(case) if a.dtype.kind == "f"
    ),
    "inputs that are not contiguous": lambda case: any(not a.flags.c_contiguous for a in _arrays(case)),
    "a batch of two or fewer": lambda case: any(len(a) <= 2 for a in _arrays(case) if a.ndim == 2),
}


def _pairs(bad: "Sequence[Trial]") -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for trial in bad:
        for difference in trial.wrong:
            a, b = trial.outcome.results.get(difference.array), trial.expected.get(difference.array)
            if a is not None and b is not None:
                yield difference.array, np.asarray(a), np.asarray(b)
