"""ReLU, leaky ReLU, tanh, sigmoid, GELU, SiLU and softplus: kinks, saturation, subnormals, every layout."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_shape, floats, some_of
from compare.cases.inputs import SIZES, SPECIAL, finite_part, fortran, normal, strided, subnormals
from compare.cases.limits import AVX512, BEYOND, FLOAT32, LARGEST, at, edge, elementwise, without_signs
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from scratch import activations as ours
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


def gelu_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same with both formulas, and where they differ most; without +∞, see the departures."""
    for case in cases(rng, dtype):
        case.arrays["x"][case["x"] == np.inf] = 0.5
        yield case
        if case.name in ("typical", "odd", "kink", "saturated", "nan and infinity", "empty"):
            yield case.but(f"{case.name}, tanh", approximate="tanh")
    bends = np.concatenate([np.linspace(-9, 9, 181), np.linspace(-3, 3, 181)])
    for approximate in ("none", "tanh"):
        yield _bends(rng, dtype, bends, f"bends, {approximate}", approximate=approximate)


def silu_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same, and the valley, where the slope is 0."""
    yield from cases(rng, dtype)
    yield _bends(rng, dtype, np.linspace(-60, 60, 601), "bends")


def softplus_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same, both sides of the threshold, other thresholds and other β."""
    yield from cases(rng, dtype)
    bends = np.linspace(-60.1, 59.9, 601)
    yield _bends(rng, dtype, bends, "bends")
    yield _bends(rng, dtype, np.nextafter(dtype(20), np.arange(18, 23, dtype=dtype)), "kink at the threshold")
    for beta in (0.5, 2.0, 0.3):
        yield _bends(rng, dtype, bends, f"beta {beta}", beta=beta)
    for threshold in (0.0, 3.0, 50.0):
        yield _bends(rng, dtype, bends, f"threshold {threshold}", threshold=threshold)
    yield _bends(rng, dtype, bends, "beta 3, threshold 5", beta=3.0, threshold=5.0)


def _bends(rng: np.random.Generator, dtype: Any, x: np.ndarray, name: str, **options: Any) -> Case:
    return Case(name, {"x": x.astype(dtype), "dy": normal(rng, x.shape, dtype)}, options, dtype=dtype)


def gelu_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same, and formulas that there are not."""
    yield from refused(rng, dtype)
    for approximate in ("erf", True):
        yield next(cases(rng, dtype)).but(f"approximate {approximate}", approximate=approximate)


def softplus_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """The same, a β that is not above 0, and a threshold below 0."""
    yield from refused(rng, dtype)
    good = next(cases(rng, dtype))
    for beta in (0.0, -1.0, math.nan, math.inf):
        yield good.but(f"beta {beta}", beta=beta)
    for threshold in (-1.0, math.nan):
        yield good.but(f"threshold {threshold}", threshold=threshold)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Any number of dimensions, kinks, saturation."""
    shape = any_shape(choose)
    x = floats(choose, shape, dtype, (-12, 3))
    return Case("random", {"x": x, "dy": floats(choose, shape, dtype)}, dtype=dtype)


def leaky_random_case(choose: Choose, dtype: Any) -> Case:
    """The default slope, or another one."""
    options = some_of(choose, negative_slope=lambda choose: choose.number(-2, 2))
    return random_case(choose, dtype).but("random", **options)


def gelu_random_case(choose: Choose, dtype: Any) -> Case:
    """Either formula."""
    options = some_of(choose, approximate=lambda choose: choose.one_of(("none", "tanh")))
    return random_case(choose, dtype).but("random", **options)


def softplus_random_case(choose: Choose, dtype: Any) -> Case:
    """Any β, and thresholds at which PyTorch's exponential does not overflow."""
    options = some_of(
        choose,
        beta=lambda choose: choose.number(0.01, 10),
        threshold=lambda choose: choose.number(0, 80),
    )
    return random_case(choose, dtype).but("random", **options)


def gelu_edges(base: Case) -> Iterator[Edge]:
    """And both formulas."""
    yield from elementwise(base)
    yield from at(base, "approximate", "none", "tanh", "erf")


def softplus_edges(base: Case) -> Iterator[Edge]:
    """And any β and threshold."""
    yield from elementwise(base)
    yield from at(base, "beta", 0.0, -0.0, -1.0, 5e-324, 1e308, math.inf, math.nan)
    yield from at(base, "threshold", 0.0, -1.0, 1e308, math.inf, math.nan)
    huge = {"x": np.full_like(base["x"], 1e3)}
    yield edge(base, "threshold = ∞", "x = 1000", huge, threshold=math.inf)


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
    refused: Callable[[np.random.Generator, Any], Iterator[Case]] = refused,
    signed_zeros: bool = True,
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        y, cache = getattr(f, f"{name}_forward")(case["x"], **case.options)
        dx = getattr(f, f"{name}_backward")(case["dy"], cache)
        return told({"output": y, "grad.x": dx})

    def run_torch(case: Case) -> Results:
        x = differentiable(case["x"])
        y = getattr(reference, name)(x, **case.options)
        return told({"output": y, **gradients(y, case["dy"], x=x)})

    def told(results: Results) -> Results:
        return results if signed_zeros else without_signs(results)

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


def gelu_magnitude(case: Case) -> dict[str, Any]:
    """1 + erf and 1 + tanh lose their digits where those are −1: their rounding units are those of 1

    They are multiplied by |x| in y and by |dy| in dx, whose other term, x·φ(x), is never more than 1. With
    the approximation 1 − t² rounds 1 too, and dx multiplies that by ½x·u′, which grows with x³, until t is 1
    to the last digit: from there on it is 0 on both sides.
    """
    x, dy = (finite_part(case[name]) for name in ("x", "dy"))
    slope: Any = 1.0
    if case.options.get("approximate") == "tanh":
        u, du = (
            ours.SQRT_2_OVER_PI * (x + ours.CUBIC * x**3),
            ours.SQRT_2_OVER_PI * (1 + 3 * ours.CUBIC * x**2),
        )
        below_1 = 4 * np.exp(-2 * np.abs(u)) > np.finfo(case.dtype).eps / 16
        slope = 1 + np.where(below_1, np.abs(x) / 2 * du, 0)
    return {"output": np.abs(x), "grad.x": np.abs(dy) * slope}


def silu_magnitude(case: Case) -> dict[str, Any]:
    """Element by element: y in itself; in dx = dy·σ·(1 + x·(1 − σ)), two terms that may cancel

    1 − σ loses its digits where σ → 1, and x magnifies that, until σ is 1 to the last digit. Below the
    smallest normal number σ's rounding unit no longer shrinks, and dy and x magnify it.
    """
    x, info = finite_part(case["x"]), np.finfo(case.dtype)
    sigmoid = np.maximum(np.exp(np.minimum(x, 0)), info.tiny / info.eps)  # at most twice as much
    off = np.where(np.exp(-np.maximum(x, 0)) > info.eps / 8, np.abs(x), 0)
    return {"output": np.abs(x) * sigmoid, "grad.x": np.abs(finite_part(case["dy"])) * sigmoid * (1 + off)}


def softplus_magnitude(case: Case) -> dict[str, Any]:
    """Element by element in itself: y is a sum of two terms ≥ 0

    On the left y is eᶻ/β, in which a rounding of z = β·x is multiplied by |z|. Below the smallest normal
    number the rounding unit no longer shrinks, and dy magnifies it.
    """
    beta, info = case.options.get("beta", 1.0), np.finfo(case.dtype)
    z = finite_part(case["x"]) * beta
    floor, rounded = info.tiny / info.eps, 1 + np.maximum(-z, 0)
    y = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    sigmoid = np.maximum(np.exp(np.minimum(z, 0)) * rounded, floor)  # at most twice as much
    return {
        "output": np.maximum(y * rounded, floor) / beta,
        "grad.x": np.abs(finite_part(case["dy"])) * sigmoid,
    }


EXACT = Budget(0, "a choice between two numbers: nothing is rounded")
ONE_PRODUCT = Budget(0, "one product by the same number, rounded once on both sides")
ELEMENTWISE = Budget(4, "element by element: an exponential of about one unit and two or three roundings")

NORMAL = Budget(
    8,
    "element by element: an erf or a tanh of up to three units (PyTorch has a polynomial for it), an"
    " exponential of one or two, and three or four roundings",
)

Y_NONE = "y = 0.5 * x * (1 + _erf(x * SQRT_HALF))"
Y_TANH = "y = 0.5 * x * (1 + np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))"
DX_NONE = "dy * (0.5 * (1 + _erf(x * SQRT_HALF)) + x * density)"
DX_TANH = "dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)"
DENSITY = "np.exp(-0.5 * x * x) * (0.5 * SQRT_2_OVER_PI)"
IF_FORWARD, IF_BACKWARD = (f'if approximate == "tanh":\n        {letter} =' for letter in "yt")
DX_SILU = "dy * sigmoid * (1 + x * (1 - sigmoid))"
SMOOTH = "smooth = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta"
Y_SOFTPLUS = "return np.where(z > threshold, x, smooth), (z, threshold)"
DX_SOFTPLUS = "np.where(z > threshold, dy, dy * sigmoid)"


COMPONENTS = (
    _component(
        "relu",
        EXACT,
        (
            Mistake(
                "masked by the gradient",
                "dy·[dy > 0]: negative gradients are lost, and units that were off get positive ones.",
                [("_zero_where(y <= 0,", "_zero_where(dy <= 0,")],
            ),
            Mistake(
                "minimum for maximum",
                "min(x, 0): what is negative stays, and what is positive goes.",
                [("np.maximum(0, x)", "np.minimum(0, x)"), ("copied(y)", "copied(x)")],
            ),
            Mistake(
                "maximum along an axis",
                "np.max(x, 0) is the largest element of each column; np.maximum(x, 0) is meant.",
                [("np.maximum(0, x)", "np.max(x, 0)"), ("copied(y)", "copied(x)")],
            ),
            Mistake(
                "gradient not masked",
                "The upstream gradient is passed on where the unit was off.",
                [("return _zero_where(y <= 0, dy)", "return dy")],
            ),
            Mistake(
                "gradient 1 at zero",
                "The slope at x = 0 is taken from the right side; PyTorch takes 0.",
                [("copied(y)", "copied(x)"), ("_zero_where(y <= 0,", "_zero_where(y < 0,")],
                convention="torch.clamp(x, min=0)",
            ),
            Mistake(
                "gradient ½ at zero",
                "At x = 0 both arguments of max(x, 0) are the larger one, and the gradient is shared.",
                [
                    ("copied(y)", "copied(x)"),
                    (
                        "_zero_where(y <= 0, dy)",
                        "dy * (y > 0) + dy / 2 * (y == 0)",
                    ),
                ],
                convention="torch.maximum(x, 0) and JAX's jnp.maximum(x, 0)",
            ),
            Mistake(
                "multiplied by the output",
                "dy·y instead of dy·[y > 0]: the derivative is 0 or 1, not the activation.",
                [("_zero_where(y <= 0, dy)", "dy * y")],
            ),
            Mistake(
                "NaN swallowed",
                "x·[x > 0] written as a choice turns NaN into 0, and a broken run looks healthy.",
                [("np.maximum(0, x)", "np.where(x > 0, x, x.dtype.type(0))")],
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
                [("copied(y)", "copied(x)")],
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
                [("copied(y)", "copied(x)")],
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
    _component(
        "gelu",
        NORMAL,
        (
            Mistake(
                "always the approximation",
                "`approximate` is not looked at: the formula with tanh, whatever was asked for.",
                [(IF_FORWARD, "if True:\n        y ="), (IF_BACKWARD, "if True:\n        t =")],
                convention="JAX (jax.nn.gelu), unless told otherwise, and the first GPTs",
            ),
            Mistake(
                "x·σ(1.702·x)",
                "The sigmoid in the place of Φ: an approximation that is off by 0.02.",
                [
                    (Y_NONE, "y = 0.5 * x * (1 + np.tanh(0.851 * x))"),
                    (
                        DX_NONE,
                        "dy * (0.5 * (1 + np.tanh(0.851 * x))"
                        " + 0.5 * 0.851 * x * (1 - np.tanh(0.851 * x) ** 2))",
                    ),
                ],
                convention="QuickGELU, as in CLIP",
            ),
            Mistake(
                "erf of x",
                "erf(x) instead of erf(x/√2): a normal distribution that is too narrow.",
                [(Y_NONE, "y = 0.5 * x * (1 + _erf(x))")],
            ),
            Mistake(
                "½ forgotten",
                "x·(1 + erf) instead of ½x·(1 + erf): twice as much.",
                [(Y_NONE, "y = x * (1 + _erf(x * SQRT_HALF))")],
            ),
            Mistake(
                "Φ alone",
                "The factor x is forgotten: what is left is a kind of sigmoid.",
                [(Y_NONE, "y = 0.5 * (1 + _erf(x * SQRT_HALF))")],
            ),
            Mistake(
                "second term forgotten",
                "dx = dy·Φ(x): as if Φ did not depend on x.",
                [(DX_NONE, "dy * 0.5 * (1 + _erf(x * SQRT_HALF))")],
            ),
            Mistake(
                "first term forgotten",
                "dx = dy·x·φ(x): as if the factor x were a constant.",
                [(DX_NONE, "dy * x * density")],
            ),
            Mistake(
                "x forgotten in the second term",
                "Φ(x) + φ(x): of the product rule, the factor of the derivative is missing.",
                [(DX_NONE, DX_NONE.replace("x * density", "density"))],
            ),
            Mistake(
                "1/√(2π) forgotten",
                "e^(−x²/2) alone is no density: it is too large by √(2π) = 2.5.",
                [(DENSITY, "np.exp(-0.5 * x * x)")],
            ),
            Mistake(
                "e^(−x²)",
                "The ½ in the exponent of the density is forgotten.",
                [(DENSITY, DENSITY.replace("-0.5 * x * x", "-x * x"))],
            ),
            Mistake(
                "the ReLU's derivative",
                "1 for x > 0: the slope of the function that it is a smooth form of.",
                [(DX_NONE, "dy * (x > 0)")],
            ),
            Mistake(
                "cubic term forgotten",
                "tanh(√(2/π)·x) in the approximation: without 0.044715·x³ it is off by ten times as much.",
                [(Y_TANH, "y = 0.5 * x * (1 + np.tanh(SQRT_2_OVER_PI * x))")],
            ),
            Mistake(
                "√(2/π) forgotten",
                "The approximation without the factor in the tanh.",
                [(Y_TANH, "y = 0.5 * x * (1 + np.tanh(x + CUBIC * x * x * x))")],
            ),
            Mistake(
                "inner derivative forgotten",
                "In the gradient of the approximation, u′ is missing.",
                [(DX_TANH, DX_TANH.replace(" * slope", ""))],
            ),
            Mistake(
                "3 forgotten",
                "u′ with 0.044715·x² instead of 3·0.044715·x².",
                [("(1 + 3 * CUBIC * x * x)", "(1 + CUBIC * x * x)")],
            ),
            Mistake(
                "1 − t",
                "The square of 1 − t² is forgotten: the derivative of tanh is taken wrongly.",
                [("(1 - t * t)", "(1 - t)")],
            ),
            Mistake(
                "exact gradient of the approximation",
                "The backward pass has the formula of Φ, where the forward pass had that of tanh.",
                [(IF_BACKWARD, "if False:\n        t =")],
            ),
        ),
        cases=gelu_cases,
        random_case=gelu_random_case,
        magnitude=gelu_magnitude,
        edges=gelu_edges,
        # Far to the left Φ(x) and Φ(x) + x·φ(x) are roundings, with a sign; of float32 without AVX-512,
        # PyTorch returns 0 for −0 and there.
        signed_zeros=False,
        refused=gelu_refused,
        departures=(
            Departure(
                ("+∞", "largest float"),
                ("x", "one of x"),
                "In float32 PyTorch multiplies x by 1 + erf before it halves it, which overflows; +∞ is NaN.",
                FLOAT32,
                depends_on=AVX512,
            ),
        ),
    ),
    _component(
        "silu",
        ELEMENTWISE,
        (
            Mistake(
                "second term forgotten",
                "dx = dy·σ(x): as if σ did not depend on x.",
                [(DX_SILU, "dy * sigmoid")],
            ),
            Mistake(
                "derivative of the sigmoid",
                "dy·σ·(1 − σ): the factor x in y is forgotten.",
                [(DX_SILU, "dy * sigmoid * (1 - sigmoid)")],
            ),
            Mistake(
                "first term forgotten",
                "dy·x·σ·(1 − σ): as if the factor x were a constant.",
                [(DX_SILU, "dy * sigmoid * x * (1 - sigmoid)")],
            ),
            Mistake(
                "x forgotten in the second term",
                "σ + σ·(1 − σ): of the product rule, the factor of the derivative is missing.",
                [(DX_SILU, "dy * sigmoid * (1 + (1 - sigmoid))")],
            ),
            Mistake(
                "1 − σ forgotten",
                "σ·(1 + x): the derivative of the sigmoid is σ·(1 − σ), not σ.",
                [(DX_SILU, "dy * sigmoid * (1 + x)")],
            ),
            Mistake(
                "σ forgotten in the second term",
                "σ + x·(1 − σ): the derivative of the sigmoid is σ·(1 − σ), not 1 − σ.",
                [(DX_SILU, "dy * (sigmoid + x * (1 - sigmoid))")],
            ),
            Mistake(
                "y in the place of x",
                "The cache holds the result where it should hold the input.",
                [("(copied(x), sigmoid)", "(x * sigmoid, sigmoid)")],
            ),
            Mistake(
                "sigmoid alone",
                "The factor x is forgotten.",
                [("return x * sigmoid,", "return sigmoid.copy(),")],
            ),
            Mistake(
                "x·σ(1.702·x)",
                "An approximation of another function, GELU.",
                [("return x * sigmoid,", "return 0.5 * x * (1 + np.tanh(0.851 * x)),")],
            ),
            Mistake(
                "e⁻ˣ overflows",
                "x/(1 + e⁻ˣ) for every x: right in value, but e¹⁰⁰⁰ overflows with a warning.",
                [("return x * sigmoid,", "return x / (1 + np.exp(-x)),")],
            ),
            Mistake(
                "the ReLU's derivative",
                "1 for x > 0: the slope of the function that it is a smooth form of.",
                [(DX_SILU, "dy * (x > 0)")],
            ),
        ),
        cases=silu_cases,
        magnitude=silu_magnitude,
    ),
    _component(
        "softplus",
        ELEMENTWISE,
        (
            Mistake(
                "derivative of the output",
                "σ(y) instead of σ(β·x): the cache holds the result where it should hold the input.",
                [(Y_SOFTPLUS, "return np.where(z > threshold, x, smooth), (smooth, threshold)")],
            ),
            Mistake(
                "the ReLU's derivative",
                "1 for x > 0: the slope of the function that it is a smooth form of.",
                [(DX_SOFTPLUS, "dy * (z > 0)")],
            ),
            Mistake(
                "derivative of the sigmoid",
                "σ·(1 − σ) is the second derivative of this function.",
                [(DX_SOFTPLUS, "dy * sigmoid * (1 - sigmoid)")],
            ),
            Mistake(
                "σ(−x)",
                "The sign is lost: the slope falls from 1 to 0.",
                [(DX_SOFTPLUS, "np.where(z > threshold, dy, dy * (1 - sigmoid))")],
            ),
            Mistake(
                "β forgotten",
                "log(1 + eˣ)/β: the division makes it smaller, and no steeper.",
                [("z = beta * x", "z = x.copy()")],
            ),
            Mistake(
                "not divided by β",
                "log(1 + e^(β·x)): for large x it is β·x and not x.",
                [(SMOOTH, SMOOTH.removesuffix(" / beta"))],
            ),
            Mistake(
                "β in the gradient",
                "dy·β·σ(β·x): the 1/β in front of the logarithm is forgotten.",
                [
                    (DX_SOFTPLUS, "np.where(z > threshold, dy, dy * sigmoid * beta)"),
                    ("(z, threshold)\n", "(z, (threshold, beta))\n"),
                    ("z, threshold = cache", "z, (threshold, beta) = cache"),
                ],
            ),
            Mistake(
                "threshold for x",
                "x is held against the threshold, not β·x.",
                [(Y_SOFTPLUS, Y_SOFTPLUS.replace("z > threshold", "x > threshold"))],
            ),
            Mistake(
                "no threshold",
                "The logarithm for every x: the truth, from which PyTorch's shortcut is off by 10⁻⁹ at most.",
                [
                    (Y_SOFTPLUS, Y_SOFTPLUS.replace("np.where(z > threshold, x, smooth)", "smooth")),
                    (DX_SOFTPLUS, "dy * sigmoid"),
                ],
                convention="JAX, TensorFlow and Keras",
            ),
            Mistake(
                "no threshold in the gradient",
                "Above the threshold the forward pass is the identity, and its slope 1.",
                [(DX_SOFTPLUS, "dy * sigmoid")],
            ),
            Mistake(
                "exponential overflows",
                "log(1 + eˣ) as it stands: e¹⁰⁰⁰ overflows, even where it is not used.",
                [(SMOOTH, "smooth = np.log1p(np.exp(z)) / beta")],
            ),
            Mistake(
                "log(1 + e) for log1p(e)",
                "1 + e is rounded before the logarithm: for x below −37 nothing is left.",
                [("np.log1p(np.exp(-np.abs(z)))", "np.log(1 + np.exp(-np.abs(z)))")],
            ),
            Mistake(
                "logarithm to base 2",
                "log₂ beside a power of e.",
                [("np.log1p(np.exp(-np.abs(z)))", "np.log1p(np.exp(-np.abs(z))) / float(np.log(2))")],
            ),
        ),
        cases=softplus_cases,
        random_case=softplus_random_case,
        magnitude=softplus_magnitude,
        edges=softplus_edges,
        refused=softplus_refused,
        departures=(
            Departure(
                LARGEST, ("dy", "one of dy"), "PyTorch multiplies dy by e^(β·x) first, which overflows."
            ),
            Departure(
                ("threshold = ∞",),
                ("x = 1000",),
                "Below the threshold PyTorch takes the logarithm of 1 + e^(β·x), which overflows.",
            ),
            Departure(("beta = 1e308", "threshold = 1e308"), ("",), BEYOND, FLOAT32),
        ),
    ),
)
