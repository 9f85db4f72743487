"""Every backward pass of scratch/ against difference quotients of its own forward pass, without PyTorch.

With L = Σ upstream·output and D(h) = (L(x + h·d) − L(x − h·d))/2h, all in longdouble,
R(h) = (4·D(h/2) − D(h))/3 is free of the h² of its error. R(h/2) must be Σ d·gradient to within what it can
be wrong by:

- truncation: R(h/2) − R(h), of which R(h/2) has a fifteenth
- a kink: with the second difference S(h) = (L(x + h·d) − 2·L(x) + L(x − h·d))/h, 2·S(h/2) − S(h) is O(h³)
  where L is smooth, and the jump of the slope where x lies on a kink: D(h) has a value there, but no meaning
- rounding: every output that d moves is known to u·units·scale, by the component's own budget and magnitude,
  and R(h/2) adds up to (4·4 + 2)/3 times |upstream| times that, over h; the gradient to u·units·scale as well

The step is the largest one that leaves less than `SHARP` of Σ|d·gradient|, otherwise the best one. Where even
that leaves more than `SHARP` of the largest gradient there is little to learn; only `EDGES` may be so.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.exceptions import AxisError

from compare.cases import all_components
from compare.component import Case, Component, Mistake, Results, higher_precision
from compare.measure import to_numpy
from compare.run import cases_of, run_scratch
from scratch.network import LOSSES, Network
from scratch.regularization import l2_penalty

WIDE = np.longdouble
STEPS = (2.0**-9, 2.0**-17, 2.0**-27, 2.0**-37)  # powers of two: x ± h is exact; small ones for steep slopes
SHARP = 1e-9  # a wrong ninth digit would show
LARGEST = 5000  # numbers that go into a case

# On a kink, at the ends of the domain, where the gradient is 0 or lost in the rounding of L, and in a network
# of GELUs, which is held in float64
EDGES = re.compile(
    "kink|zero|subnormal|saturated|minimum|certain|extreme|smallest|large values|of 1e3|^gelu$"
)

# Python's erf has the digits of float64.
OF_FLOAT64 = {"gelu"}

# Evaluation takes running statistics for constants; at momentum 0 they do not depend on x.
HELD = {"batch_norm": {"momentum": 0.0}}

AT_A_KINK = {("leaky_relu", "gradient 1 at zero")}  # right everywhere else, and there is no derivative

pytestmark = pytest.mark.skipif(
    higher_precision(np.float64) is None, reason="longdouble has no more digits than float64 here"
)


class InEvaluation(Network):
    """A network that never trains: its backward pass is that of the evaluation."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eval()


def is_backward(name: str, function: Any) -> bool:
    """Whether it is a backward pass, or a class that has one."""
    return name.endswith("_backward") or name == "l2_gradient" or hasattr(function, "backward")


BACKWARD = [
    component.name
    for component in all_components().values()
    if any(is_backward(*item) for item in vars(component.implementation()).items())
]


@pytest.mark.parametrize("component", all_components().values(), ids=lambda component: component.name)
def test_what_has_a_backward_pass_returns_gradients_and_nothing_else_does(component: Component):
    assert bool(gradients_of(component)) == (component.name in BACKWARD)


@pytest.mark.parametrize("name", BACKWARD)
def test_gradients_are_those_of_the_forward_pass(name: str):
    component = all_components()[name]
    checks = list(checked(component))
    assert [check for check in checks if not check.right] == []
    assert [check for check in checks if not check.sharp and not EDGES.search(check.case)] == []
    assert {check.gradient for check in checks if check.sharp} == gradients_of(component)


def test_gradients_of_a_network_in_evaluation_are_those_of_its_forward_pass():
    network = all_components()["network"]
    rng = np.random.default_rng(0)
    for case in cases_of_use(network):
        if case.name in ("everything", "one logit", "deep"):
            checks = list(checked_case(network, case, {"Network": InEvaluation}, rng))
            assert [check for check in checks if not (check.right and check.sharp)] == []


def test_the_cost_of_a_network_is_what_its_gradients_are_held_against():
    network = all_components()["network"]
    for case in cases_of_use(network):
        results = run_scratch(network, case)
        np.testing.assert_allclose(results["cost"], objective("grad.x", case, results), rtol=1e-15)


def test_a_mistake_in_a_backward_pass_is_rejected():
    found = [(c, m) for c in all_components().values() for m in c.mistakes if in_backward(m)]
    assert len(found) >= 40
    passed = {(c.name, m.name) for c, m in found if passes(c, m)}
    assert passed == AT_A_KINK


def in_backward(mistake: Mistake) -> bool:
    """Whether it replaces backward passes only; of a class, whether it overrides nothing else."""
    return all(
        {key for key in vars(f) if not key.startswith("__")} == {"backward"}
        if isinstance(f, type)
        else name.endswith("_backward") or name == "l2_gradient"
        for name, f in mistake.functions.items()
    )


def passes(component: Component, mistake: Mistake) -> bool:
    try:
        return all(check.right for check in checked(component, mistake.functions))
    except (AssertionError, FloatingPointError, AxisError):  # a gradient of another shape, or 0/0
        return False


@dataclass(frozen=True)
class Check:
    """One gradient along one direction."""

    case: str
    gradient: str
    claimed: float  # Σ d·gradient
    found: float  # R
    tolerance: float  # how far they may be apart
    size: float  # Σ|d·gradient|, or the largest |gradient|

    @property
    def sharp(self) -> bool:
        return bool(self.tolerance <= SHARP * self.size)

    @property
    def right(self) -> bool:
        return bool(abs(self.claimed - self.found) <= self.tolerance)


def checked(component: Component, replaced: Any = None) -> Iterator[Check]:
    """Every gradient of every case that is finite and not too large."""
    rng = np.random.default_rng(zlib.crc32(component.name.encode()))
    for case in cases_of_use(component):
        yield from checked_case(component, case, replaced, rng)


def checked_case(
    component: Component, case: Case, replaced: Any, rng: np.random.Generator
) -> Iterator[Check]:
    case = replace(case, options={**case.options, **HELD.get(component.name, {})})
    widest = np.float64 if OF_FLOAT64 & {component.name, case.options.get("activation")} else WIDE
    wide, scales, u = case.in_higher_precision(widest), component.magnitude(case), float(np.finfo(widest).eps)
    units = max(8, component.budget.allowed(case, "cpu"))  # 0 says that both sides round alike
    results = run_scratch(component, wide, replaced)
    names = list(filter(is_gradient, results))
    elements, sums = (6, 4) if len(names) <= 3 else (1, 1)

    def terms(x: np.ndarray, name: str) -> Any:
        moved = replace(wide, arrays={**wide.arrays, input_of(name, case): x})
        return objective(name, moved, run_scratch(component, moved, replaced))

    for name in names:
        gradient, x = to_numpy(results[name]), wide[input_of(name, case)]
        assert gradient.shape == x.shape, name
        largest = np.abs(gradient).max(initial=0)
        sizes = sizes_of_terms(name, case, results, scales)
        for d in (each.astype(widest) for each in directions(rng, x.shape, elements, sums)):
            size = np.abs(d * gradient).sum()
            found, tolerance = quotient(partial(terms, name=name), x, d, u * units, sizes, SHARP * size)
            tolerance += u * units * (np.abs(d) * scales.get(name, largest)).sum()
            yield Check(case.name, name, (d * gradient).sum(), found, tolerance, max(size, largest))


def quotient(
    value: Callable[[np.ndarray], Any], x: np.ndarray, d: np.ndarray, off: float, sizes: Any, sharp: float
) -> tuple[Any, Any]:
    """R(h/2) and how far it may be off, for the first step that is good enough, or the best."""
    best: tuple[Any, Any] = WIDE(0), np.inf
    here = value(x)
    for h in STEPS:
        try:
            plus, minus = (np.array([value(x + sign * s * d) for s in (h, h / 2, h / 4)]) for sign in (1, -1))
        except ValueError:  # beyond the domain of the function
            continue
        per_step = np.array([1 / h, 2 / h, 4 / h]).reshape(3, *[1] * here.ndim)
        slopes = [slope.sum() for slope in (plus - minus) / 2 * per_step]
        bends = ((plus - here) + (minus - here)) * per_step
        coarse, fine = ((4 * narrow - wide) / 3 for wide, narrow in pairwise(slopes))
        errors = off * np.maximum(sizes, np.abs([plus, minus]).max(axis=(0, 1)))
        moved = errors.sum() if np.count_nonzero(d) > 1 else (errors * (plus != minus).any(axis=0)).sum()
        rounding = 6 / h * np.maximum(moved, errors.max())  # what moves by less than a rounding does not show
        tolerance = abs(fine - coarse) + np.abs(2 * bends[2] - bends[1]).sum() + rounding
        if tolerance < best[1]:
            best = fine, tolerance
        if tolerance <= sharp:
            break
    return best


def directions(
    rng: np.random.Generator, shape: tuple[int, ...], elements: int, sums: int
) -> Iterator[np.ndarray]:
    """Single elements, and all of them with random signs."""
    size = int(np.prod(shape))
    for i in rng.permutation(size)[:elements]:
        yield np.eye(1, size, i, dtype=WIDE).reshape(shape)
    for _ in range(sums if size > elements else 0):
        yield rng.choice([-1, 1], shape).astype(WIDE)


def cases_of_use(component: Component) -> list[Case]:
    return [
        case
        for case in cases_of(component, 0, np.float64)
        if case.finite and 0 < sum(map(np.size, case.arrays.values())) <= LARGEST
    ]


# What the names of the results mean


def is_gradient(name: str) -> bool:
    return re.search(r"(^|\.)grad\.", name) is not None


def gradients_of(component: Component) -> set[str]:
    """The names of all gradients in its results."""
    results = (run_scratch(component, case) for case in cases_of_use(component))
    return {name for found in results for name in found if is_gradient(name)}


def input_of(gradient: str, case: Case) -> str:
    """The array that a gradient is taken with respect to: training.grad.x → x, of a network also state.x"""
    name = gradient.partition("grad.")[2]
    return name if name in case.arrays else f"state.{name}"


def output_of(gradient: str, results: Results) -> str:
    """training.grad.x → training.output; grad.logits → loss; a network's → cost"""
    prefix = gradient.partition("grad.")[0]
    return next(name for name in (f"{prefix}output", "loss", "cost") if name in results)


def objective(gradient: str, case: Case, results: Results) -> Any:
    """The terms of L; a network's cost, which is a Python float, is put together from its logits."""
    output = output_of(gradient, results)
    if output != "cost":
        return np.asarray(upstream(output, case) * results[output])
    forward = LOSSES[case.options.get("loss", "cross_entropy")][0]
    loss = forward(results["logits"], case["targets"], **case.options.get("loss_options", {}))[0]
    weights = [a for name, a in case.arrays.items() if "linear" in name and name.endswith("weight")]
    return np.asarray(loss + l2_penalty(weights, case.options.get("l2", 0), len(case["x"])))


def upstream(output: str, case: Case) -> Any:
    return 1 if output == "cost" else case["dloss" if output == "loss" else "dy"]


def sizes_of_terms(gradient: str, case: Case, results: Results, scales: Any) -> Any:
    """The magnitude of each term of L."""
    output = output_of(gradient, results)
    return np.abs(upstream(output, case)) * scales.get(output, np.abs(results[output]))
