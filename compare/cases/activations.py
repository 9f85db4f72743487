"""ReLU, leaky ReLU, tanh and sigmoid: kinks, saturation, subnormals, every layout."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_shape, floats, some_of
from compare.cases.inputs import SIZES, SPECIAL, fortran, normal, strided, subnormals
from compare.cases.limits import BEYOND, FLOAT32, at, elementwise
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from torch_ref import activations as reference


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Random data never meets a kink or a saturated tail: those have cases of their own."""

    def case(name: str, x: np.ndarray, **kwargs: Any) -> Case:
        return Case(name, {"x": x, "dy": normal(rng, x.shape, dtype)}, dtype=dtype, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, 2 * normal(rng, shape, dtype))
    kink = np.array([0.0, -0.0, *subnormals(dtype), *(-x for x in subnormals(dtype))], dtype)
    yield case("kink", np.repeat(kink, 8))
    yield case("saturated", np.array([1e3, -1e3, 88, -88, 20, -20, 710, -710], dtype))
    yield case("nan and infinity", np.array(SPECIAL * 4, dtype), finite=False)
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)))
    yield case("empty", normal(rng, (0, 3), dtype))


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Integers, and an upstream gradient of another shape.

    Not one of another dtype: autograd casts it, where we refuse.
    """
    good = next(iter(cases(rng, dtype)))
    for kind in (np.int64, np.uint8, np.bool_, np.complex128):
        yield good.but(f"{np.dtype(kind)}", {"x": np.arange(3).astype(kind), "dy": np.ones(3, kind)})
    yield good.but("upstream of another shape", {"dy": good["dy"][0]})


def leaky_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same, and other slopes."""
    yield from cases(rng, dtype)
    for slope in (0.0, 0.3, 1.0, 1.5, -0.5):
        arrays = {"x": normal(rng, (13, 7), dtype), "dy": normal(rng, (13, 7), dtype)}
        yield Case(f"slope {slope}", arrays, {"negative_slope": slope}, dtype=dtype)
    zeros = {"x": np.array([0.0, -0.0], dtype), "dy": normal(rng, (2,), dtype)}
    yield Case("kink, slope -0.5", zeros, {"negative_slope": -0.5}, dtype=dtype)  # each times it is the other


def random_case(choose: Choose, dtype: Any) -> Case:
    """Any number of dimensions, kinks, saturation."""
    shape = any_shape(choose)
    x = floats(choose, shape, dtype, (-12, 3))
    return Case("random", {"x": x, "dy": floats(choose, shape, dtype)}, dtype=dtype)


def leaky_random_case(choose: Choose, dtype: Any) -> Case:
    """The default slope, or another one."""
    options = some_of(choose, negative_slope=lambda choose: choose.number(-2, 2))
    return random_case(choose, dtype).but("random", **options)


def leaky_edges(base: Case) -> Iterator[Edge]:
    """And any slope."""
    yield from elementwise(base)
    yield from at(base, "negative_slope", 0.0, -0.0, 5e-324, 1e308, math.inf, -math.inf, math.nan)


def _component(
    name: str,
    budget: Budget,
    mistakes: tuple[Mistake, ...],
    cases: Callable[[np.random.Generator, Any], Iterator[Case]] = cases,
    random_case: Callable[[Choose, Any], Case] = random_case,
    magnitude: Callable[[Case], dict[str, Any]] = lambda case: {},
    arbiter: bool = True,
    edges: Callable[[Case], Iterator[Edge]] = elementwise,
    departures: tuple[Departure, ...] = (),
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        y, cache = getattr(f, f"{name}_forward")(case["x"], **case.options)
        return {"output": y, "grad.x": getattr(f, f"{name}_backward")(case["dy"], cache)}

    def run_torch(case: Case) -> Results:
        x = differentiable(case["x"])
        y = getattr(reference, name)(x, **case.options)
        return {"output": y, **gradients(y, case["dy"], x=x)}

    return Component(
        name=name,
        topic="activations",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html",
        functions=(f"{name}_forward", f"{name}_backward"),
        reference=(name,),
        cases=cases,
        rare={"kink": "zeros and very small numbers"},
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=budget,
        magnitude=magnitude,
        mistakes=mistakes,
        refused=refused,
        arbiter=arbiter,
        edges=Edges(rows=("x", "dy"), others=edges),
        departures=departures,
    )


def tanh_magnitude(case: Case) -> dict[str, Any]:
    """1 − y² loses its digits where y² → 1: its rounding units are those of 1, times the upstream dy."""
    return {"grad.x": np.abs(case["dy"])}


def sigmoid_magnitude(case: Case) -> dict[str, Any]:
    """1 − y loses its digits where y → 1: its rounding units are those of 1, times the factors dy·y.

    Below the smallest normal number y's rounding unit no longer shrinks (PyTorch's y is 0 there), and dy
    magnifies it.
    """
    x, info = case["x"].astype(np.float64), np.finfo(case.dtype)
    return {"grad.x": np.abs(case["dy"]) * np.maximum(np.exp(np.minimum(x, 0)), info.tiny / info.eps)}


EXACT = Budget(0, "a choice between two numbers: nothing is rounded")
ONE_PRODUCT = Budget(0, "one product by the same number, rounded once on both sides")
ELEMENTWISE = Budget(4, "element by element: an exponential of about one unit and two or three roundings")

COMPONENTS = (
    _component(
        "relu",
        EXACT,
        (
            Mistake(
                "masked by the gradient",
                "dy·[dy > 0]: negative gradients are lost, and units that were off get positive ones.",
                [("np.where(y <= 0,", "np.where(dy <= 0,")],
            ),
            Mistake(
                "minimum for maximum",
                "min(x, 0): what is negative stays, and what is positive goes.",
                [("np.where(x < 0, x.dtype.type(0), x)", "np.minimum(x, 0)"), ("return y, y", "return y, x")],
            ),
            Mistake(
                "maximum along an axis",
                "np.max(x, 0) is the largest element of each column; np.maximum(x, 0) is meant.",
                [("np.where(x < 0, x.dtype.type(0), x)", "np.max(x, 0)"), ("return y, y", "return y, x")],
            ),
            Mistake(
                "gradient not masked",
                "The upstream gradient is passed on where the unit was off.",
                [("return np.where(y <= 0, dy.dtype.type(0), dy)", "return dy")],
            ),
            Mistake(
                "gradient 1 at zero",
                "The slope at x = 0 is taken from the right side; PyTorch takes 0.",
                [("return y, y", "return y, x"), ("np.where(y <= 0,", "np.where(y < 0,")],
                convention="torch.clamp(x, min=0)",
            ),
            Mistake(
                "gradient ½ at zero",
                "At x = 0 both arguments of max(x, 0) are the larger one, and the gradient is shared.",
                [
                    ("return y, y", "return y, x"),
                    (
                        "np.where(y <= 0, dy.dtype.type(0), dy)",
                        "dy * (y > 0) + dy / 2 * (y == 0)",
                    ),
                ],
                convention="torch.maximum(x, 0) and JAX's jnp.maximum(x, 0)",
            ),
            Mistake(
                "multiplied by the output",
                "dy·y instead of dy·[y > 0]: the derivative is 0 or 1, not the activation.",
                [("np.where(y <= 0, dy.dtype.type(0), dy)", "dy * y")],
            ),
            Mistake(
                "NaN swallowed",
                "x·[x > 0] written as a choice turns NaN into 0, and a broken run looks healthy.",
                [("np.where(x < 0, x.dtype.type(0), x)", "np.where(x > 0, x, x.dtype.type(0))")],
            ),
        ),
        arbiter=False,
    ),
    _component(
        "leaky_relu",
        ONE_PRODUCT,
        (
            Mistake(
                "gradient 1 at zero",
                "The slope at x = 0 is taken from the right side; PyTorch takes the left side's.",
                [("np.where(x > 0, dy,", "np.where(x >= 0, dy,")],
            ),
            Mistake(
                "slope without the gradient",
                "a instead of a·dy on the left side: the upstream gradient is forgotten there.",
                [("dy * negative_slope)", "np.full_like(dy, negative_slope))")],
            ),
            Mistake(
                "slope forgotten in the backward pass",
                "The gradient of the left side is 0, as if it were a plain ReLU.",
                [("dy, dy * negative_slope)", "dy, dy.dtype.type(0))")],
            ),
            Mistake(
                "maximum of x and a·x",
                "max(x, a·x) picks the wrong branch for a slope above 1, and at infinity for a slope of 0.",
                [("np.where(x > 0, x, x * negative_slope)", "np.maximum(x, x * negative_slope)")],
            ),
        ),
        cases=leaky_cases,
        random_case=leaky_random_case,
        arbiter=False,
        edges=leaky_edges,
        departures=(Departure(("negative_slope = 1e308",), ("",), BEYOND, FLOAT32),),
    ),
    _component(
        "tanh",
        ELEMENTWISE,
        (
            Mistake(
                "derivative of the input",
                "1 − x² instead of 1 − tanh² x: the cache holds the input where it should hold the result.",
                [("return y, y", "return y, x")],
            ),
            Mistake(
                "1 − y",
                "The square of 1 − y² is forgotten: units at −1 get the steepest slope instead of none.",
                [("(1 - y * y)", "(1 - y)")],
            ),
            Mistake(
                "tanh taken twice",
                "1 − tanh² y, where y is tanh x already: a formula for the input is given the output.",
                [("(1 - y * y)", "(1 - np.tanh(y) ** 2)")],
            ),
            Mistake(
                "derivative of the sigmoid",
                "y·(1 − y) is another function's derivative: 0 at x = 0, where that of tanh is largest.",
                [("dy * (1 - y * y)", "dy * y * (1 - y)")],
            ),
            Mistake(
                "derivative forgotten",
                "The upstream gradient is passed on as it is: saturated units learn as fast as others.",
                [("dy * (1 - y * y)", "dy")],
            ),
            Mistake(
                "exponentials overflow",
                "(eˣ − e⁻ˣ)/(eˣ + e⁻ˣ) cancels near 0, and is ∞/∞ from x = 710 on.",
                [("np.tanh(x)", "(np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))")],
            ),
        ),
        magnitude=tanh_magnitude,
    ),
    _component(
        "sigmoid",
        ELEMENTWISE,
        (
            Mistake(
                "e⁻ˣ overflows",
                "1/(1 + e⁻ˣ) for every x: right in value, but e¹⁰⁰⁰ overflows with a warning.",
                [("np.where(x < 0, e, x.dtype.type(1)) / (1 + e)", "1 / (1 + np.exp(-x))")],
            ),
            Mistake(
                "minus in the exponent forgotten",
                "1/(1 + eˣ) is 1 − σ(x): it falls where it should rise, and y·(1 − y) points uphill.",
                [
                    (
                        "np.where(x < 0, e, x.dtype.type(1)) / (1 + e)",
                        "np.where(x < 0, x.dtype.type(1), e) / (1 + e)",
                    )
                ],
            ),
            Mistake(
                "derivative of the input",
                "x·(1 − x) instead of y·(1 − y): the derivative is taken of the input, not of the result.",
                [("return y, y", "return y, x")],
            ),
            Mistake(
                "sigmoid taken twice",
                "σ(y)·(1 − σ(y)), where y is σ(x) already: between 0.2 and 0.25 wherever x is.",
                [("y = cache", "y = sigmoid_forward(cache)[0]")],
            ),
            Mistake(
                "derivative of tanh",
                "1 − y² is another function's derivative: it is 1, not 0, where the unit is off.",
                [("dy * (1 - y) * y", "dy * (1 - y * y)")],
            ),
            Mistake(
                "derivative forgotten",
                "The upstream gradient is passed on as it is: saturated units learn as fast as others.",
                [("dy * (1 - y) * y", "dy")],
            ),
        ),
        magnitude=sigmoid_magnitude,
    ),
)
