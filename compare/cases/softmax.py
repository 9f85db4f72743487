"""Softmax and its logarithm: along any axis, far from zero, saturated, masked."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_size, chance, floats
from compare.cases.inputs import SIZES, SPECIAL, fortran, normal, strided, subnormals
from compare.cases.limits import AVX2, FLOAT64, LARGEST, at, edge, unsigned_zeros
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from torch_ref import softmax as reference

SPREAD = np.array([1e3, -1e3, 88, -88, 20, -20, 710, -710])


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Each axis of arrays of one to four; rows far from zero and from each other; no row adds up to 0."""

    def case(name: str, x: np.ndarray, *, finite: bool = True, **options: Any) -> Case:
        arrays = {"x": np.asarray(x, dtype), "dy": normal(rng, x.shape, dtype)}
        return Case(name, arrays, options, dtype=dtype, finite=finite)

    for name, shape in SIZES.items():
        yield case(name, 2 * normal(rng, shape, dtype))
    for axes, dim in ((2, 0), (2, 1), (3, 0), (3, 1), (4, -3)):
        yield case(f"axis {dim} of {axes}", 2 * normal(rng, (4, 5, 6, 7)[:axes], dtype), dim=dim)
    yield case("one axis", 2 * normal(rng, (9,), dtype))
    yield case("a column", normal(rng, (7, 1), dtype), dim=0)
    yield case("equal", np.repeat([[0.0], [-0.0], [3.0], [-1e3]], 4, axis=1))
    yield case("subnormal", np.array([[0.0, -0.0, *subnormals(dtype)]] * 5))
    far = 1e3 * np.sign(normal(rng, (6, 1), dtype)) + normal(rng, (6, 4), dtype)
    far[0], far[1] = np.abs(far[0]), -np.abs(far[1])  # always of both signs
    yield case("far from zero", far)
    yield case("saturated", np.stack([np.roll(SPREAD, i) for i in range(4)]))
    yield case("almost certain", normal(rng, (6, 4), dtype) + 20 * np.eye(6, 4))
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)))
    masked = normal(rng, (6, 4), dtype)
    masked[np.arange(6), np.arange(6) % 4] = -np.inf
    yield case("masked", masked, finite=False)
    broken = normal(rng, (7, 3), dtype)
    for row, value in enumerate(SPECIAL):
        broken[row, row % 3] = value
    broken[5] = -np.inf
    yield case("nan and infinity", broken, finite=False)
    yield case("empty", normal(rng, (0, 3), dtype))
    yield case("nothing to share among", normal(rng, (3, 0), dtype), finite=False)


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Integers, axes that x has not, and an upstream gradient of another shape."""
    good = next(iter(cases(rng, dtype)))
    for kind in (np.int64, np.bool_):
        yield good.but(f"{np.dtype(kind)}", {"x": good["x"].astype(kind)})
    for dim in (2, -3):
        yield good.but(f"axis {dim} of 2", dim=dim)
    yield good.but("an axis that is no integer", dim=1.0)
    number = {name: np.array(0.5, dtype) for name in ("x", "dy")}
    yield good.but("a single number", number)
    yield good.but("upstream of another shape", {"dy": good["dy"][0]})


def random_case(choose: Choose, dtype: Any) -> Case:
    """One to three axes, and any of them; a constant may be added, which changes nothing."""
    axes = choose.integer(1, 3)
    shape = tuple(any_size(choose, 0, 9 if axes == 3 else 70) for _ in range(axes))
    x = floats(choose, shape, dtype, (-6, 3))
    x[...] += dtype(choose.one_of((0, 0, 1, -30, 1e3)))
    options = {"dim": choose.integer(-axes, axes - 1)} if chance(choose) else {}
    arrays = {"x": x, "dy": floats(choose, shape, dtype)}
    return Case("random", arrays, options, dtype=dtype, finite=x.size > 0)  # the logarithm of no sum is −∞


def edges(base: Case) -> Iterator[Edge]:
    """Rows that say nothing, rows that are certain, rows of one number and of none; every axis."""
    x = base["x"]
    yield edge(base, "one class", arrays={name: base[name][:, :1] for name in ("x", "dy")})
    yield edge(base, "no classes", arrays={name: base[name][:, :0] for name in ("x", "dy")})
    number = {name: np.array(0.7, base.dtype) for name in ("x", "dy")}
    yield edge(base, "a single number", arrays=number)
    for name, value in (("all equal", 3.0), ("all −∞", -np.inf), ("all +∞", np.inf)):
        yield edge(base, name, arrays={"x": np.full_like(x, value)})
    for name, others, value in (("one is not −∞", -np.inf, 0.5), ("one is +∞", 0.5, np.inf)):
        alike = np.full_like(x, others)
        alike[:, 1] = value
        yield edge(base, name, arrays={"x": alike})
    yield from at(base, "dim", 0, 1, -1, -2, 2, -3)


def _terms(case: Case) -> tuple[np.ndarray, ...]:
    """x − m, log Σ e^(x − m), how far off y may be in rounding units of 1, and dy: in float64."""
    dim = case.options.get("dim", -1)
    x, dy = (case[name].astype(np.float64) for name in ("x", "dy"))
    shifted = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    total = np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    log_y = np.maximum(shifted - total, -1e9)  # so that y·|log y| is 0 at y = 0
    y, info = np.exp(log_y), np.finfo(case.dtype)
    return shifted, total, np.maximum(y * (1 - log_y), info.tiny / info.eps), dy


def _partial_sums(terms: np.ndarray, dim: int) -> np.ndarray:
    """√(Σt² + (Σt)²), of numbers whose squares may be too small."""
    largest = np.abs(terms).max(axis=dim, keepdims=True, initial=0)
    share = terms / np.where(largest > 0, largest, 1)
    squares = (share**2).sum(axis=dim, keepdims=True) + share.sum(axis=dim, keepdims=True) ** 2
    return largest * np.sqrt(squares)


def softmax_magnitude(case: Case) -> dict[str, Any]:
    """With y = e^(log y), a rounding of x − m, which is one of |log y| at most, is multiplied by y:

    - y is off by w = y·(1 + |log y|); below the smallest normal number its rounding unit no longer shrinks
    - Σ dy·y of terms t = dy·w: S = √(Σt² + (Σt)²), as partial sums grow, those of random signs to √Σt² and
      those of one sign to Σt
    - dx = y·(dy − Σ dy·y), a difference that may cancel: w·(|dy| + S)
    """
    with np.errstate(all="ignore"):  # NaN and infinities: only their pattern is compared
        *_, off, dy = _terms(case)
        upstream = np.abs(dy) + _partial_sums(dy * off, case.options.get("dim", -1))
        return {"output": off, "grad.x": off * upstream}


def log_softmax_magnitude(case: Case) -> dict[str, Any]:
    """A relative error of the sum Σ is an absolute one of its logarithm, however small that is:

    - y = (x − m) − log Σ is off by 1 + |x − m| + log Σ
    - dx = dy − p·Σ dy: |dy| + w·S, with w = p·(1 + |log p|) as in the softmax and S = √(Σdy² + (Σdy)²)
    """
    with np.errstate(all="ignore"):
        shifted, total, off, dy = _terms(case)
        upstream = _partial_sums(dy, case.options.get("dim", -1))
        return {"output": 1 + np.abs(shifted) + total, "grad.x": np.abs(dy) + off * upstream}


def _units(case: Case) -> float:
    classes = case["x"].shape[case.options.get("dim", -1)]
    return sum_units(max(classes, 1), max(case["x"].size // max(classes, 1), 1))


BUDGET = Budget(
    _units,
    "N sums of n terms, in another order: ¼·√n·ln(10⁶·N) units of partial sums, at least 32; the exponential"
    " adds one or two",
)


def _component(
    name: str,
    magnitude: Callable[[Case], dict[str, Any]],
    mistakes: tuple[Mistake, ...],
    departures: tuple[Departure, ...] = (),
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        y, cache = getattr(f, f"{name}_forward")(case["x"], **case.options)
        dx = getattr(f, f"{name}_backward")(case["dy"], cache)
        return {"output": y, "grad.x": unsigned_zeros(dx)}

    def run_torch(case: Case) -> Results:
        x = differentiable(case["x"])
        y = getattr(reference, name)(x, **case.options)
        return {"output": y, "grad.x": unsigned_zeros(gradients(y, case["dy"], x=x)["grad.x"])}

    return Component(
        name=name,
        topic="softmax",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html",
        functions=(f"{name}_forward", f"{name}_backward"),
        reference=(name,),
        cases=cases,
        rare={"smallest": "a single class", "one axis": "an example without an axis for the batch"},
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=BUDGET,
        magnitude=magnitude,
        mistakes=mistakes,
        refused=refused,
        edges=Edges(rows=("x", "dy"), others=edges),
        departures=departures,
    )


SHIFTED = "x - x.max(axis=dim, keepdims=True, initial=-np.inf)"
Y = "y = e / e.sum(axis=dim, keepdims=True)"
DX = "(dy - (dy * y).sum(axis=dim, keepdims=True)) * y"
LOG_Y = "return shifted - np.log(total), (e / total, dim)"
LOG_DX = "dy - softmax * dy.sum(axis=dim, keepdims=True)"

LARGEST_KEPT = Mistake(
    "largest number not subtracted",
    "eˣ as it stands: e¹⁰⁰⁰ overflows, and ∞/∞ is NaN.",
    [(SHIFTED, "x")],
)
LARGEST_OF_ALL = Mistake(
    "largest number of all rows",
    "One maximum for the whole array: a row far below it becomes 0/0.",
    [(SHIFTED, "x - x.max(initial=-np.inf)")],
)
COMPONENTS = (
    _component(
        "softmax",
        softmax_magnitude,
        (
            LARGEST_KEPT,
            LARGEST_OF_ALL,
            Mistake(
                "over all elements",
                "Divided by the sum of the whole array: all numbers together add up to 1, and no row does.",
                [(Y, "y = e / e.sum()")],
            ),
            Mistake(
                "over the batch",
                "Summed along axis 0: the numbers of a column add up to 1, not those of an example.",
                [(Y, "y = e / e.sum(axis=0, keepdims=True)")],
            ),
            Mistake(
                "always over the last axis",
                "`dim` is not looked at in the sum.",
                [(Y, "y = e / e.sum(axis=-1, keepdims=True)")],
            ),
            Mistake(
                "divided by the largest",
                "e^(x − m) is left as it is: the largest becomes 1, and nothing adds up to 1.",
                [(Y, "y = e")],
            ),
            Mistake(
                "ε in the denominator",
                "The sum is at least 1 and needs no help: with it, the numbers add up to less than 1.",
                [(Y, "y = e / (e.sum(axis=dim, keepdims=True) + 1e-8)")],
            ),
            Mistake(
                "powers of 2",
                "2ˣ instead of eˣ: as if all numbers were smaller by the factor ln 2.",
                [("e = np.exp(_shifted(x, dim))", "e = np.exp2(_shifted(x, dim))")],
            ),
            Mistake(
                "diagonal of the Jacobian alone",
                "dy·y·(1 − y) is the sigmoid's derivative: it forgets that every x changes every y.",
                [(DX, "dy * y * (1 - y)")],
            ),
            Mistake(
                "gradients summed without y",
                "Σ dy instead of Σ dy·y: the upstream gradients are not weighed with the probabilities.",
                [(DX, "(dy - dy.sum(axis=dim, keepdims=True)) * y")],
            ),
            Mistake(
                "gradients averaged",
                "A mean of dy·y where the sum belongs.",
                [(DX, "(dy - (dy * y).mean(axis=dim, keepdims=True)) * y")],
            ),
            Mistake(
                "gradients summed over all elements",
                "Σ dy·y of the whole array: the examples get a share of each other's gradients.",
                [(DX, "(dy - (dy * y).sum()) * y")],
            ),
            Mistake(
                "y forgotten in dx",
                "dy − Σ dy·y without the factor y in front.",
                [(DX, "dy - (dy * y).sum(axis=dim, keepdims=True)")],
            ),
            Mistake(
                "gradient of the log-softmax",
                "dy − y·Σ dy belongs to the logarithm of this function.",
                [(DX, "dy - y * dy.sum(axis=dim, keepdims=True)")],
            ),
            Mistake(
                "derivative forgotten",
                "The upstream gradient is passed on as it is, as if the loss had the softmax in it.",
                [(DX, "dy")],
            ),
            Mistake(
                "derivative of the input",
                "x in the place of y: the cache holds the input where it should hold the result.",
                [("copied(y)", "copied(x)")],
            ),
            Mistake(
                "softmax taken twice",
                "The softmax of y, where y is the softmax of x already: nearly the same number everywhere.",
                [("y, dim = cache", "y, dim = softmax_forward(*cache)[1]")],
            ),
        ),
        departures=(
            Departure(
                LARGEST,
                ("dy",),
                "Σ dy·y is the largest number times 1, or times a rounding more, and then it overflows.",
                FLOAT64,
                depends_on=AVX2,
            ),
        ),
    ),
    _component(
        "log_softmax",
        log_softmax_magnitude,
        (
            LARGEST_KEPT,
            LARGEST_OF_ALL,
            Mistake(
                "logarithm of the softmax",
                "log(softmax(x)) in two steps: a softmax that is rounded to 0 has the logarithm −∞.",
                [(LOG_Y, LOG_Y.replace("shifted - np.log(total)", "np.log(e / total)"))],
            ),
            Mistake(
                "ε inside the logarithm",
                "log(softmax(x) + 10⁻⁸) hides the infinity: nothing is below −18.",
                [(LOG_Y, LOG_Y.replace("shifted - np.log(total)", "np.log(e / total + 1e-8)"))],
            ),
            Mistake(
                "largest number not put back",
                "x − log Σ e^(x − m): the m that was subtracted inside is missing outside.",
                [(LOG_Y, LOG_Y.replace("shifted - np.log(total)", "x - np.log(total)"))],
            ),
            Mistake(
                "over the batch",
                "Summed along axis 0: the probabilities of a column add up to 1, not those of an example.",
                [("e.sum(axis=dim, keepdims=True)", "e.sum(axis=0, keepdims=True)")],
            ),
            Mistake(
                "always over the last axis",
                "`dim` is not looked at in the sum.",
                [("e.sum(axis=dim, keepdims=True)", "e.sum(axis=-1, keepdims=True)")],
            ),
            Mistake(
                "over all elements",
                "The logarithm of the sum of the whole array: no row of probabilities adds up to 1.",
                [("e.sum(axis=dim, keepdims=True)", "e.sum(keepdims=True)")],
            ),
            Mistake(
                "logarithm to base 2",
                "log₂ of the sum beside a power of e: the probabilities do not add up to 1.",
                [("np.log(total)", "np.log2(total)")],
            ),
            Mistake(
                "minus forgotten",
                "−log softmax is the loss that is made of it, and not this function.",
                [(LOG_Y, LOG_Y.replace("shifted - np.log(total)", "np.log(total) - shifted"))],
            ),
            Mistake(
                "gradients taken to add up to 1",
                "dy − p is right only where Σ dy is 1, as in a loss that picks one class.",
                [(LOG_DX, "dy - softmax")],
            ),
            Mistake(
                "gradient of the softmax",
                "p·(dy − Σ dy·p) belongs to the softmax without the logarithm.",
                [(LOG_DX, "(dy - (dy * softmax).sum(axis=dim, keepdims=True)) * softmax")],
            ),
            Mistake(
                "gradients weighed with p",
                "p·Σ dy·p instead of p·Σ dy.",
                [(LOG_DX, "dy - softmax * (dy * softmax).sum(axis=dim, keepdims=True)")],
            ),
            Mistake(
                "gradients averaged",
                "A mean of dy where the sum belongs.",
                [(LOG_DX, "dy - softmax * dy.mean(axis=dim, keepdims=True)")],
            ),
            Mistake(
                "gradients summed over all elements",
                "Σ dy of the whole array: the examples get a share of each other's gradients.",
                [(LOG_DX, "dy - softmax * dy.sum()")],
            ),
            Mistake(
                "exponential forgotten",
                "y·Σ dy with the logarithms of the probabilities instead of the probabilities.",
                [(LOG_Y, LOG_Y.replace("e / total", "shifted - np.log(total)"))],
            ),
            Mistake(
                "added instead of subtracted",
                "dy + p·Σ dy: the sign of the logarithm of the sum is lost.",
                [(LOG_DX, LOG_DX.replace("dy - softmax", "dy + softmax"))],
            ),
            Mistake(
                "derivative forgotten",
                "The upstream gradient is passed on as it is.",
                [(LOG_DX, "dy")],
            ),
        ),
    ),
)
