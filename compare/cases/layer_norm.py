"""Layer and RMS normalisation: rows of any spread and mean, any number of axes, with and without γ and β."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.batch_norm import training_scales
from compare.cases.choices import any_size, chance, floats, near_zero, some_of
from compare.cases.inputs import SIZES, finite_part, fortran, normal, other, strided, subnormals
from compare.cases.limits import FLOAT32, FLOAT64, INFINITE, LARGEST, at, edge, without_signs
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from torch_ref import layer_norm as reference

PARAMETERS = {"layer_norm": ("gamma", "beta"), "rms_norm": ("gamma",)}
SPREADS = np.array([[1], [1e-1], [3e-3], [1e-4]])  # of rows, down to where ε matters


def _cases(name: str) -> Callable[[np.random.Generator, Any], Iterator[Case]]:
    def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        """γ ≠ 1, β ≠ 0, upstream never ones, under which dx would be 0 whatever is computed."""

        def case(
            title: str, shape: tuple[int, ...], spread: Any = 1, mean: Any = 0,
            parameters: tuple[str, ...] = PARAMETERS[name], **options: Any,
        ) -> Case:  # fmt: skip
            x, dy = (normal(rng, shape, dtype) for _ in range(2))
            arrays = {"x": (x * spread + mean).astype(dtype), "dy": dy}
            arrays |= {parameter: normal(rng, shape[-1:], dtype) for parameter in parameters}
            return Case(title, arrays, options, dtype=dtype)

        for title, size in SIZES.items():
            yield case(title, size)
        for axes in (1, 3, 4):
            yield case(f"{axes} axes", (2, 3, 4, 9)[-axes:])
        yield case("one example", (1, 8))
        yield case("four spreads", (4, 6), SPREADS)
        yield case("mean 3", (64, 32), mean=3)
        yield case("mean is 1000 spreads", (4, 32), SPREADS, 1e3 * SPREADS)
        yield case("extreme", (4, 13), np.array([[1e3], [1e-12], [1e-3], [1e6]]))
        for eps in (1e-3, 1e-8, 1.0):
            yield case(f"eps {eps}", (4, 7), SPREADS, eps=eps)
        yield case("not affine", (4, 7), SPREADS, parameters=())
        if name == "layer_norm":
            yield case("no beta", (4, 7), SPREADS, parameters=("gamma",))
        constant = case("constant and zero", (3, 6))
        constant["x"][...] = np.array([[3.7], [0.0], [-0.0]])
        constant["gamma"][1] = 0
        yield constant
        tiny = case("subnormal", (3, 6))
        tiny["x"][...] = np.array(subnormals(dtype))[:, None] * rng.choice([-1, 1], (3, 6))
        tiny["dy"][:, :3] = subnormals(dtype)
        yield tiny
        for title, layout in (("fortran order", fortran), ("not contiguous", strided)):
            arrays = case(title, (13, 7)).arrays
            yield Case(title, {key: layout(value) for key, value in arrays.items()}, dtype=dtype)
        broken = case("nan and infinity", (6, 5))
        broken["x"][0, 0], broken["x"][1, 1], broken["x"][2, 2] = np.nan, np.inf, -np.inf
        broken["dy"][4, 2] = np.nan
        yield Case(broken.name, broken.arrays, dtype=dtype, finite=False)
        yield Case("empty", case("empty", (0, 3)).arrays, dtype=dtype, finite=False)

    return cases


def _refused(name: str) -> Callable[[np.random.Generator, Any], Iterator[Case]]:
    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        """Nothing to normalise, arrays that do not fit, and an ε out of its range."""
        good = next(_cases(name)(rng, dtype))
        x = good["x"]
        for shape in ((), (3, 0)):
            features = shape[-1:] or (1,)
            arrays = {
                key: np.ones(features if key in PARAMETERS[name] else shape, dtype) for key in good.arrays
            }
            yield Case(f"x of shape {shape}", arrays, dtype=dtype)
        yield good.but("integers", {"x": x.astype(np.int64)})
        yield good.but("another dtype", {"x": x.astype(other(dtype))})
        yield good.but("upstream of another shape", {"dy": good["dy"][0]})
        for parameter in PARAMETERS[name]:
            long, square = np.resize(good[parameter], 2 * x.shape[-1]), np.ones(2 * x.shape[-1:], dtype)
            yield good.but(f"{parameter} too long", {parameter: long})
            yield good.but(f"{parameter} of two axes", {parameter: square})
        for eps in (0.0, -1e-5, np.nan, np.inf):
            yield good.but(f"eps {eps}", eps=eps)

    return refused


def _random_case(name: str) -> Callable[[Choose, Any], Case]:
    def random_case(choose: Choose, dtype: Any) -> Case:
        """One to three axes; means that may be far larger than the spread."""
        axes, features = choose.integer(0, 2), any_size(choose, 1, 300)
        shape = (*(any_size(choose, 0, 9 if axes == 2 else 40) for _ in range(axes)), features)
        arrays = {key: floats(choose, shape, dtype) for key in ("x", "dy")}
        arrays["x"][...] += dtype(10.0 ** near_zero(choose, -3, 3) * choose.one_of((0, 1, -1)))
        if chance(choose):
            arrays |= {key: floats(choose, (features,), dtype, zeros=False) for key in PARAMETERS[name]}
        options = some_of(choose, eps=lambda choose: choose.number(1e-12, 1))
        return Case("random", arrays, options, dtype=dtype)

    return random_case


def edges(base: Case) -> Iterator[Edge]:
    """No variance, one feature and none, no batch, and any ε."""
    for value in (0.0, 0.1, 3e5):
        yield edge(base, "zero variance", f"all {value:g}", {"x": np.full_like(base["x"], value)})
    for title, features in (("one feature", 1), ("no features", 0)):
        yield edge(base, title, arrays={key: array[..., :features] for key, array in base.arrays.items()})
    yield edge(base, "no batch", arrays={key: base[key][0] for key in ("x", "dy")})
    yield from at(base, "eps", 0.0, 5e-324, 1e308, -1e-5, math.nan, math.inf)


def run_scratch(name: str, case: Case, f: Any) -> Results:
    """Forward and backward by hand."""
    parameters = [case.arrays.get(key) for key in PARAMETERS[name]]
    options = dict(case.options)
    if name == "rms_norm" and case.drawn_in and "eps" not in options:
        options["eps"] = float(np.finfo(case.drawn_in).eps)  # of the dtype that is compared
    y, cache = getattr(f, f"{name}_forward")(case["x"], *parameters, **options)
    dx, *found = getattr(f, f"{name}_backward")(case["dy"], cache)
    named = zip(PARAMETERS[name], found, strict=True)
    return {"output": y, "grad.x": dx, **{f"grad.{key}": value for key, value in named if key in case.arrays}}


def run_torch(name: str, case: Case) -> Results:
    """nn.LayerNorm or nn.RMSNorm, and autograd."""
    x, options = differentiable(case["x"]), dict(case.options)
    if name == "layer_norm":
        options["bias"] = "beta" in case.arrays
    make: Any = reference.LayerNorm if name == "layer_norm" else reference.RMSNorm
    affine = "gamma" in case.arrays
    layer = make(x.shape[-1:], elementwise_affine=affine, **options, dtype=case.dtype, device=case.device)
    keys = {key: of for key, of in (("gamma", "weight"), ("beta", "bias")) if key in case.arrays}
    layer.load_state_dict({of: case[key] for key, of in keys.items()})
    y = layer(x)
    return {"output": y, **gradients(y, case["dy"], x=x, **{k: getattr(layer, of) for k, of in keys.items()})}


def _in_rows(case: Case) -> tuple[np.ndarray, ...]:
    """x and dy (examples, features), |γ| and |β|: finite, in float64."""
    arrays = {name: finite_part(array) for name, array in case.arrays.items()}
    features = case["x"].shape[-1] if case["x"].ndim else 1
    x, dy = (arrays[name].reshape(-1, max(features, 1)) for name in ("x", "dy"))
    gamma, beta = arrays.get("gamma", np.ones(1)), arrays.get("beta", np.zeros(1))
    return x, dy, np.abs(gamma), np.abs(beta)


def layer_norm_magnitude(case: Case) -> dict[str, Any]:
    """That of batch normalisation, see `training_scales`, with the example in the place of the feature

    There γ and β belong to what is normalised together; here they do not: the upstream gradient of x̂ is γ·dy,
    and y = γ·x̂ + β has |γ| times the scale of x̂, plus |β|.
    """
    x, dy, gamma, beta = _in_rows(case)
    with np.errstate(all="ignore"):
        eps, u = case.options.get("eps", 1e-5), float(np.finfo(case.dtype).eps)
        rows = training_scales(x.T, (dy * gamma).T, 1, 0, eps, u)
        off = rows["output"].T
        return {
            "output": (gamma * off + beta).reshape(case["x"].shape),
            "grad.x": rows["grad.x"].T.reshape(case["x"].shape),
            "grad.gamma": _partial_sums(dy * off),
            "grad.beta": _partial_sums(dy),
        }


def rms_norm_magnitude(case: Case) -> dict[str, Any]:
    """x̂ = x/r is known to its own rounding units, since mean(x²) is a sum of numbers ≥ 0

    dx = (dx̂ − x̂·mean(dx̂·x̂))/r is a difference: (|dx̂| + |x̂|·mean|dx̂·x̂|)/r. dγ = Σ dy·x̂ of terms t is a sum
    whose partial sums grow to √(Σt² + (Σt)²).
    """
    x, dy, gamma, _ = _in_rows(case)
    with np.errstate(all="ignore"):
        eps = case.options.get("eps", float(np.finfo(case.dtype).eps))
        r = np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)
        x_hat, dx_hat = np.abs(x) / r, np.abs(dy) * gamma
        dx = (dx_hat + x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)) / r
        return {
            "output": (gamma * x_hat).reshape(case["x"].shape),
            "grad.x": dx.reshape(case["x"].shape),
            "grad.gamma": _partial_sums(np.abs(dy) * x_hat),
        }


def _partial_sums(terms: np.ndarray) -> np.ndarray:
    return np.sqrt((terms**2).sum(axis=0) + terms.sum(axis=0) ** 2)


def _units(case: Case) -> float:
    features = max(case["x"].shape[-1], 1)
    return sum_units(max(features, case["x"].size // features), max(case["x"].size, 1))


BUDGET = Budget(
    _units,
    "N sums over n features or examples, in another order: ¼·√n·ln(10⁶·N) units of partial sums, at least 32",
)


def _component(
    name: str,
    layer: str,
    magnitude: Callable[[Case], dict[str, Any]],
    mistakes: tuple[Mistake, ...],
    departures: tuple[Departure, ...],
) -> Component:
    return Component(
        name=name,
        topic="layer_norm",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.{layer}.html",
        functions=(f"{name}_forward", f"{name}_backward"),
        reference=(layer,),
        cases=_cases(name),
        random_case=_random_case(name),
        run_scratch=lambda case, f: without_signs(run_scratch(name, case, f)),
        run_torch=lambda case: without_signs(run_torch(name, case)),
        budget=BUDGET,
        magnitude=magnitude,
        mistakes=mistakes,
        refused=_refused(name),
        rare={"smallest": "a single feature", "constant and zero": "features that are all the same"},
        edges=Edges(bases=("odd", "not affine"), rows=("x", "dy"), others=edges),
        departures=departures,
    )


STD = "std = (variance + eps) ** 0.5"
VARIANCE = "variance = (centred * centred).sum(axis=-1, keepdims=True) / n"
CENTRED = "centred = x - x.sum(axis=-1, keepdims=True) / n"
Y = "y = x_hat.copy() if gamma is None else x_hat * gamma"
DGAMMA_DBETA = "(dy * x_hat).sum(axis=examples), dy.sum(axis=examples)"
DX = "(dx_hat - mean - x_hat * slope) / std"
MEANS = "each.sum(axis=-1, keepdims=True) / dy.shape[-1] for each in"
DX_HAT = "dx_hat = dy if gamma is None else dy * gamma"
RMS = "rms = ((x * x).sum(axis=-1, keepdims=True) / x.shape[-1] + eps) ** 0.5"
RMS_DX = "(dx_hat - x_hat * slope) / rms"
RMS_SLOPE = "slope = (dx_hat * x_hat).sum(axis=-1, keepdims=True) / dy.shape[-1]"
RMS_DGAMMA = "(dy * x_hat).sum(axis=tuple(range(dy.ndim - 1)))"
FIRST_AXIS = "Only axis 0 is summed: with more than two axes, the gradient has more than one axis."
OVER_FEATURES = "Summed over the features instead of over the examples."

TERMS = (
    "PyTorch takes the factors γ, 1/s, dy and x̂ in another order, and one of the orders overflows on the way:"
    " ∞ − ∞ and 0·∞ are NaN."
)
MOMENTS = "The sum overflows here; PyTorch brings mean and variance up to date number by number."
SQUARES = "The mean of the squares overflows: x/∞ is 0 here, and in PyTorch's gradient 0·∞ is NaN."
OF_X, OF_DY = (
    tuple(f"{a}{b}{x}" for a in ("", "not affine: ") for b in ("", "one of ")) for x in ("x", "dy")
)
LAYER_DEPARTURES = (
    Departure(INFINITE, ("one of dy", "not affine: one of dy", "one of gamma"), TERMS),
    Departure(LARGEST, (*OF_DY, "gamma", "one of gamma"), TERMS),
    Departure(LARGEST, ("not affine: one of x",), MOMENTS),
    Departure(LARGEST, ("one of x",), MOMENTS, FLOAT32),
    Departure(LARGEST, ("x", "not affine: x"), MOMENTS, FLOAT64),
)
RMS_DEPARTURES = (
    Departure(LARGEST, ("dy", "not affine: dy", "not affine: one of dy", "gamma", "one of gamma"), TERMS),
    Departure(LARGEST, OF_X, SQUARES),
)

COMPONENTS = (
    _component(
        "layer_norm",
        "LayerNorm",
        layer_norm_magnitude,
        (
            Mistake(
                "unbiased variance",
                "Divided by n − 1, not by n: with few features far too small an x̂.",
                [(VARIANCE, VARIANCE.replace("/ n", "/ max(n - 1, 1)"))],
            ),
            Mistake(
                "ε outside the root",
                "√σ² + ε instead of √(σ² + ε): tells only where the spread is small.",
                [(STD, "std = variance**0.5 + eps")],
            ),
            Mistake(
                "unbiased, and ε outside the root",
                "x.std() of PyTorch, which divides by n − 1, plus ε.",
                [(STD, "std = (variance * (n / max(n - 1, 1))) ** 0.5 + eps")],
                convention="The Annotated Transformer",
            ),
            Mistake(
                "ε forgotten",
                "x̂ = (x − μ)/σ: features that are all the same are 0/0.",
                [(STD, "std = variance**0.5")],
            ),
            Mistake(
                "divided by the variance",
                "(x − μ)/(σ² + ε): the root is forgotten, and small spreads become large ones.",
                [(STD, "std = variance + eps")],
            ),
            Mistake(
                "root taken twice",
                "√(σ + ε): the standard deviation where the variance belongs, and its root once more.",
                [(STD, "std = (variance**0.5 + eps) ** 0.5")],
            ),
            Mistake(
                "statistics of the batch",
                "Mean and variance of each feature over the examples: that is batch normalisation.",
                [
                    (CENTRED, "centred = x - x.sum(axis=0, keepdims=True) / len(x)"),
                    (VARIANCE, "variance = (centred * centred).sum(axis=0, keepdims=True) / len(x)"),
                ],
            ),
            Mistake(
                "statistics of all examples",
                "One mean and one variance for the whole array: the examples are no longer independent.",
                [
                    (CENTRED, "centred = x - x.mean()"),
                    (VARIANCE, "variance = (centred * centred).mean(keepdims=True)"),
                ],
            ),
            Mistake(
                "mean not subtracted",
                "x/√(σ² + ε): the spread is 1, and the mean is anywhere.",
                [("x_hat = centred / std", "x_hat = x / std")],
            ),
            Mistake(
                "RMS normalisation",
                "Neither is the mean subtracted, nor is it in the variance: that is another layer.",
                [(CENTRED, "centred = x.copy()")],
            ),
            Mistake(
                "variance as a difference",
                "mean(x²) − μ²: where the mean is far larger than the spread, no digit of it is left.",
                [
                    (
                        VARIANCE,
                        "mean = x - centred\n"
                        "    variance = np.maximum((x * x).sum(axis=-1, keepdims=True) / n - mean * mean, 0)",
                    )
                ],
                convention="flax, unless use_fast_variance=False",
            ),
            Mistake(
                "γ forgotten",
                "y = x̂ + β: unseen as long as γ is 1.",
                [(Y, "y = x_hat.copy()")],
            ),
            Mistake(
                "β forgotten",
                "y = γ·x̂: unseen as long as β is 0.",
                [("return y if beta is None else y + beta,", "return y,")],
            ),
            Mistake(
                "statistics taken as constants",
                "dx = γ·dy/s, as if μ and σ² did not depend on x.",
                [(DX, "dx_hat / std")],
            ),
            Mistake(
                "gradient through the mean forgotten",
                "The term −mean(dx̂) is missing: a shift of all x, which changes nothing, gets a gradient.",
                [(DX, "(dx_hat - x_hat * slope) / std")],
            ),
            Mistake(
                "gradient through the variance forgotten",
                "The term −x̂·mean(dx̂·x̂) is missing: a stretch of x, which changes nothing, gets a gradient.",
                [(DX, "(dx_hat - mean) / std")],
            ),
            Mistake(
                "sums in the place of means",
                "Σ where 1/n·Σ belongs: mean and variance hold every x with the weight 1/n.",
                [(MEANS, "each.sum(axis=-1, keepdims=True) for each in")],
            ),
            Mistake(
                "means over the batch",
                "The gradient of batch normalisation.",
                [(MEANS, "each.sum(axis=0, keepdims=True) / len(dy) for each in")],
            ),
            Mistake(
                "γ outside the means",
                "γ/s·(dy − mean(dy) − x̂·mean(dy·x̂)) is right in batch normalisation, where a mean has one γ.",
                [(DX_HAT, "dx_hat = dy"), (DX, f"{DX} * (1 if gamma is None else gamma)")],
            ),
            Mistake(
                "γ forgotten in dx",
                "dx is that of x̂: unseen as long as γ is 1.",
                [(DX_HAT, "dx_hat = dy")],
            ),
            Mistake(
                "not divided by s",
                "The 1/√(σ² + ε) in front of dx is forgotten.",
                [(DX, "dx_hat - mean - x_hat * slope")],
            ),
            Mistake(
                "γ's gradient with x",
                "dγ = Σ dy·(x − μ) instead of Σ dy·x̂: unseen as long as the spread is 1.",
                [(DGAMMA_DBETA, DGAMMA_DBETA.replace("(dy * x_hat)", "(dy * x_hat * std)"))],
            ),
            Mistake(
                "γ's gradient without x̂",
                "Σ dy is that of β.",
                [(DGAMMA_DBETA, "dy.sum(axis=examples), dy.sum(axis=examples)")],
            ),
            Mistake(
                "γ's and β's gradients over the wrong axis",
                OVER_FEATURES,
                [(DGAMMA_DBETA, DGAMMA_DBETA.replace("axis=examples", "axis=-1"))],
            ),
            Mistake(
                "γ's and β's gradients over the first axis",
                FIRST_AXIS,
                [(DGAMMA_DBETA, DGAMMA_DBETA.replace("axis=examples", "axis=examples[:1]"))],
            ),
            Mistake(
                "γ's and β's gradients averaged",
                "The mean over the examples where the sum belongs: the 1/m of the cost is already in dy.",
                [(DGAMMA_DBETA, DGAMMA_DBETA.replace(".sum(", ".mean("))],
            ),
        ),
        LAYER_DEPARTURES,
    ),
    _component(
        "rms_norm",
        "RMSNorm",
        rms_norm_magnitude,
        (
            Mistake(
                "mean subtracted",
                "That is layer normalisation: here the mean stays in.",
                [(RMS, f"x = x - x.sum(axis=-1, keepdims=True) / x.shape[-1]\n    {RMS}")],
            ),
            Mistake(
                "sum of the squares",
                "Divided by the norm, √Σx²: the mean is missing, and y is smaller by √n.",
                [(RMS, RMS.replace(" / x.shape[-1]", ""))],
            ),
            Mistake(
                "ε outside the root",
                "√mean(x²) + ε: tells only where x is small.",
                [(RMS, "rms = ((x * x).sum(axis=-1, keepdims=True) / x.shape[-1]) ** 0.5 + eps")],
            ),
            Mistake(
                "ε forgotten",
                "x/√mean(x²): an example of zeros is 0/0.",
                [(RMS, "rms = ((x * x).sum(axis=-1, keepdims=True) / x.shape[-1]) ** 0.5")],
            ),
            Mistake(
                "root forgotten",
                "x/(mean(x²) + ε): large examples become small ones.",
                [(RMS, "rms = (x * x).sum(axis=-1, keepdims=True) / x.shape[-1] + eps")],
            ),
            Mistake(
                "over the batch",
                "The mean of each feature over the examples.",
                [(RMS, RMS.replace("axis=-1", "axis=0").replace("x.shape[-1]", "len(x)"))],
            ),
            Mistake(
                "over all elements",
                "One mean for the whole array: the examples are no longer independent.",
                [(RMS, "rms = ((x * x).mean(keepdims=True) + eps) ** 0.5")],
            ),
            Mistake(
                "ε of layer normalisation",
                "10⁻⁵ unless told otherwise, where PyTorch has the distance from 1 to the next number.",
                [("eps = float(np.finfo(x.dtype).eps)", "eps = 1e-5")],
                convention="Llama 2 and Mistral",
            ),
            Mistake(
                "γ forgotten",
                "y = x̂: unseen as long as γ is 1.",
                [(Y, "y = x_hat.copy()")],
            ),
            Mistake(
                "1 + γ",
                "y = (1 + γ)·x̂, with a γ that starts at 0.",
                [(Y, "y = x_hat.copy() if gamma is None else x_hat * (1 + gamma)")],
                convention="Gemma",
            ),
            Mistake(
                "root mean square taken as a constant",
                "dx = γ·dy/r, as if r did not depend on x.",
                [(RMS_DX, "dx_hat / rms")],
            ),
            Mistake(
                "gradient of layer normalisation",
                "The term −mean(dx̂) is that of a mean which nobody has subtracted.",
                [(RMS_DX, "(dx_hat - dx_hat.mean(axis=-1, keepdims=True) - x_hat * slope) / rms")],
            ),
            Mistake(
                "sum in the place of the mean",
                "Σ where 1/n·Σ belongs: mean(x²) holds every x with the weight 1/n.",
                [(RMS_SLOPE, RMS_SLOPE.removesuffix(" / dy.shape[-1]"))],
            ),
            Mistake(
                "γ outside the mean",
                "γ/r·(dy − x̂·mean(dy·x̂)): γ belongs to a feature, and the mean is over the features.",
                [(DX_HAT, "dx_hat = dy"), (RMS_DX, f"{RMS_DX} * (1 if gamma is None else gamma)")],
            ),
            Mistake(
                "γ forgotten in dx",
                "dx is that of x̂: unseen as long as γ is 1.",
                [(DX_HAT, "dx_hat = dy")],
            ),
            Mistake(
                "not divided by r",
                "The 1/√(mean(x²) + ε) in front of dx is forgotten.",
                [(RMS_DX, "dx_hat - x_hat * slope")],
            ),
            Mistake(
                "γ's gradient with x",
                "dγ = Σ dy·x instead of Σ dy·x̂: unseen as long as x is about 1.",
                [(RMS_DGAMMA, RMS_DGAMMA.replace("(dy * x_hat)", "(dy * x_hat * rms)"))],
            ),
            Mistake(
                "γ's gradient over the wrong axis",
                OVER_FEATURES,
                [(RMS_DGAMMA, "(dy * x_hat).sum(axis=-1)")],
            ),
            Mistake(
                "γ's gradient over the first axis",
                FIRST_AXIS,
                [(RMS_DGAMMA, RMS_DGAMMA.replace("range(dy.ndim - 1)", "range(dy.ndim - 1)[:1]"))],
            ),
            Mistake(
                "γ's gradient averaged",
                "The mean over the examples where the sum belongs: the 1/m of the cost is already in dy.",
                [(RMS_DGAMMA, RMS_DGAMMA.replace(".sum(", ".mean("))],
            ),
        ),
        RMS_DEPARTURES,
    ),
)
