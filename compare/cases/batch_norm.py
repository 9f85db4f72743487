"""Batch normalisation: two training batches, then evaluation, with both backward passes."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_size, chance, floats, near_zero, some_of
from compare.cases.inputs import SIZES, finite_part, fortran, normal, other, strided, subnormals
from compare.cases.limits import FLOAT32, FUSION, INFINITE, LARGEST, at, edge
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from torch_ref import batch_norm as reference


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Spreads down to where ε matters, γ ≠ 1, β ≠ 0, running statistics ≠ 0 and 1, upstream never ones

    Under a sum of the outputs, or an upstream of ones, dx is zero whatever the backward pass computes.
    """

    def case(name: str, batch: int, features: int, spread: Any = 1, mean: Any = 0, **options: Any) -> Case:
        arrays = {name: normal(rng, (batch, features), dtype) for name in ("x", "next_x", "dy")}
        for name_of_x in ("x", "next_x"):
            arrays[name_of_x] = (arrays[name_of_x] * spread + mean).astype(dtype)
        if options.get("affine", True):
            arrays |= {name_of: normal(rng, (features,), dtype) for name_of in ("gamma", "beta")}
        arrays["running_mean"] = normal(rng, (features,), dtype)
        arrays["running_var"] = np.exp(normal(rng, (features,), dtype))
        return Case(name, arrays, options, dtype=dtype)

    probe = np.array([1, 1e-1, 3e-3, 1e-4])
    yield case("four spreads", 4, 4, probe)
    for name, size in SIZES.items():
        yield case(name, *size)
    yield case("large, mean 3", 512, 64, mean=3)
    yield case("two rows", 2, 9, np.logspace(-6, 2, 9))
    yield case("mean is 1000 spreads", 32, 4, probe, 1e3 * probe)
    yield case("many rows, mean is 1000 spreads", 512, 4, probe, 1e3 * probe)
    yield case("extreme", 13, 4, [1e3, 1e-12, 1e-3, 1e6])
    for eps in (1e-3, 1e-8, 1.0):
        yield case(f"eps {eps}", 7, 4, probe, eps=eps)
    for momentum in (0.0, 0.01, 0.9, 1.0, None):
        yield case(f"momentum {momentum}", 5, 4, probe, momentum=momentum)
    yield case("plain average, third batch", 5, 4, probe, momentum=None, num_batches_tracked=2)
    yield case("not affine", 7, 4, probe, affine=False)
    yield without_beta(case("without beta", 7, 4, probe))

    constant = case("constant and zero", 6, 3)
    constant["x"][...] = [3.7, 0.0, -0.0]
    constant["gamma"][1] = 0
    yield constant
    tiny = case("subnormal", 6, 3)
    tiny["x"][...] = np.array(subnormals(dtype)) * rng.choice([-1, 1], (6, 3))
    tiny["dy"][0] = subnormals(dtype)
    yield tiny
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        arrays = case(name, 13, 7).arrays
        yield Case(name, {key: layout(value) for key, value in arrays.items()}, dtype=dtype)
    broken = case("nan and infinity", 6, 5)
    broken["x"][0, 0], broken["x"][1, 1], broken["x"][2, 2] = np.nan, np.inf, -np.inf
    broken["dy"][3, 3], broken["dy"][4, 2] = np.inf, np.nan
    yield Case(broken.name, broken.arrays, dtype=dtype, finite=False)


def without_beta(case: Case) -> Case:
    """The same with γ alone."""
    return replace(case, arrays={name: array for name, array in case.arrays.items() if name != "beta"})


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Batches too small for a variance, arrays that do not fit, and options out of their range."""
    good = next(iter(cases(rng, dtype)))
    for batch in (0, 1):
        yield good.but(f"a batch of {batch}", {name: good[name][:batch] for name in ("x", "dy", "next_x")})
    yield good.but("integers", {"x": good["x"].astype(np.int64)})
    yield good.but("another dtype", {"x": good["x"].astype(other(dtype))})
    plain = {name: array for name, array in good.arrays.items() if name not in ("gamma", "beta")}
    for name in ("x", "dy", "next_x"):
        plain[name] = plain[name].astype(other(dtype))
    yield Case("another dtype, not affine", plain, {**good.options, "affine": False}, dtype=dtype)
    yield good.but("upstream of another shape", {"dy": good["dy"][0]})
    for name in ("gamma", "beta", "running_mean", "running_var"):
        yield good.but(f"{name} too long", {name: np.resize(good[name], 2 * good[name].size)})
    for eps in (0.0, -1e-5, np.nan, np.inf):
        yield good.but(f"eps {eps}", eps=eps)
    for momentum in (-0.1, 1.1, np.nan):
        yield good.but(f"momentum {momentum}", momentum=momentum)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Two batches of at least two examples, whose mean may be far larger than their spread

    Running statistics, γ and β are never the initial ones.
    """
    batch, features, affine = any_size(choose, 2, 300), any_size(choose, 1, 40), chance(choose)
    arrays = {name: floats(choose, (batch, features), dtype) for name in ("x", "next_x", "dy")}
    center = dtype(10.0 ** near_zero(choose, -3, 3) * choose.one_of((0, 1, -1)))
    for name in ("x", "next_x"):
        arrays[name][...] += center
    if affine:
        arrays |= {name: floats(choose, (features,), dtype, zeros=False) for name in ("gamma", "beta")}
    arrays |= {name: floats(choose, (features,), dtype) for name in ("running_mean", "running_var")}
    arrays["running_var"][...] = np.abs(arrays["running_var"])
    options = some_of(
        choose,
        eps=lambda choose: choose.number(1e-12, 1),
        momentum=lambda choose: choose.number(0, 1) if chance(choose) else None,
    )
    options |= {"affine": affine, "num_batches_tracked": choose.integer(0, 1000)}
    case = Case("random", arrays, options, dtype=dtype)
    return without_beta(case) if choose.one_of((False, False, True)) else case


def edges(base: Case) -> Iterator[Edge]:
    """No variance, a running one that is none, and any ε, momentum and number of batches."""
    for value in (0.0, 0.1, 3e5):
        yield edge(base, "zero variance", f"all {value:g}", {"x": np.full_like(base["x"], value)})
    zeros = np.zeros_like(base["running_var"])
    yield edge(base, "running variance 0", arrays={"running_var": zeros})
    yield edge(base, "running variance 0", "momentum 0", {"running_var": zeros}, momentum=0.0)
    yield edge(base, "running variance negative", "momentum 0", {"running_var": zeros - 1}, momentum=0.0)
    yield from at(base, "eps", 0.0, 5e-324, 1e308, -1e-5, math.nan, math.inf)
    yield from at(base, "momentum", 0.0, 1.0, None, 1.1, -0.1, math.nan)
    most, full = 2**63 - 2, "2⁶³ − 1 batches counted"
    yield edge(base, full, "momentum 0.1", num_batches_tracked=most)
    yield edge(base, full, "momentum None", num_batches_tracked=most, momentum=None)


def run_scratch(case: Case, f: Any) -> Results:
    """Forward and backward by hand, the state passed along by hand too."""
    gamma, beta = case.arrays.get("gamma"), case.arrays.get("beta")
    eps, momentum = _given(case, "eps"), _given(case, "momentum")
    state = {
        "running_mean": case["running_mean"].copy(),
        "running_var": case["running_var"].copy(),
        "num_batches_tracked": np.array(case.options.get("num_batches_tracked", 0), np.int64),
    }
    y, cache, statistics = f.batch_norm_forward(case["x"], gamma, beta, **eps)
    results = {"output": y, **_named(f.batch_norm_backward(case["dy"], cache), case, "grad")}
    f.update_running_statistics(*state.values(), *statistics, len(y), **momentum)
    results |= {f"first.{name}": value.copy() for name, value in state.items()}

    next_y, _, statistics = f.batch_norm_forward(case["next_x"], gamma, beta, **eps)
    f.update_running_statistics(*state.values(), *statistics, len(y), **momentum)
    results["next.output"] = next_y

    y, cache = f.batch_norm_inference_forward(
        case["x"], gamma, beta, state["running_mean"], state["running_var"], **eps
    )
    dx_and_more = f.batch_norm_inference_backward(case["dy"], cache)
    results |= {"evaluation.output": y, **_named(dx_and_more, case, "evaluation.grad")}
    return results | {f"state.{name}": value for name, value in state.items()}


def run_torch(case: Case) -> Results:
    """nn.BatchNorm1d and autograd."""
    options = {name: value for name, value in case.options.items() if name != "num_batches_tracked"}
    x, next_x, dy = differentiable(case["x"]), case["next_x"], case["dy"]
    layer = reference.BatchNorm1d(x.shape[1], **options, dtype=case.dtype, device=case.device)
    names = {name: own for name, own in {"gamma": "weight", "beta": "bias"}.items() if name in case.arrays}
    if "beta" not in names:
        # What bias=False makes of it, which PyTorch 2.6 does not take.
        layer.bias = None  # type: ignore[assignment]
    layer.load_state_dict(
        {
            "running_mean": case["running_mean"],
            "running_var": case["running_var"],
            "num_batches_tracked": torch.tensor(case.options.get("num_batches_tracked", 0)),
        }
        | {own: case[name] for name, own in names.items()}
    )
    inputs = {"x": x} | {name: getattr(layer, own) for name, own in names.items()}

    y = layer(x)
    results = {"output": y, **gradients(y, dy, **inputs)}
    results |= {f"first.{name}": value.clone() for name, value in layer.named_buffers()}
    results["next.output"] = layer(next_x)
    y = layer.eval()(x)
    found = gradients(y, dy, **inputs)
    results |= {"evaluation.output": y} | {f"evaluation.{name}": value for name, value in found.items()}
    return results | {f"state.{name}": value for name, value in layer.named_buffers()}


def _given(case: Case, option: str) -> dict[str, Any]:
    """The option if the case has it, so that the defaults are compared too."""
    return {option: case.options[option]} if option in case.options else {}


def _named(found: tuple, case: Case, prefix: str) -> Results:
    gradients = zip(("x", "gamma", "beta"), found, strict=True)
    return {f"{prefix}.{name}": gradient for name, gradient in gradients if name in case.arrays}


def training_scales(x: Any, dy: Any, gamma: Any, beta: Any, eps: float, u: float) -> dict[str, Any]:
    """How far one rounding unit u of the mean reaches, feature by feature; γ and β are magnitudes

    The mean adds numbers of size q = √(mean x²) = √(μ² + σ²), so it is known to u·q, and q/σ may be 1000.
    With s = √(σ² + ε) and r = q/s the rounding units are, in u:

    - σ²: σ² + u·q², since an error δ of the mean adds δ² to Σ(x − μ)²/m. Therefore s and all that is
      divided by it have, beside their own, the relative error w = 1 + u·r². The unbiased one times m/(m − 1).
    - x̂ = (x − μ)/s: |x̂| + r. PyTorch's x·(γ/s) + (β − μ·γ/s) cancels in the same way.
    - y = γ·x̂ + β: |γ|·(|x̂| + r)·w + |β|.
    - dγ = Σ dy·x̂ of terms t = dy·(|x̂| + r): √(Σt² + (Σt)²)·w, as partial sums grow, those of random signs to
      √Σt² and those of one sign to Σt; dβ = Σ dy likewise.
    - dx = γ/s·(dy − mean(dy) − x̂·mean(dy·x̂)), a difference that two rows cancel to nearly nothing. With
      B = mean|dy| and A = mean|dy·x̂|: in the last term x̂ is uncertain by |x̂| + r and the mean by
      A + r·B, so |γ|/s·(|dy| + B + (|x̂| + r)·A + |x̂|·r·B)·w.
    """
    mu, sigma2, m = x.mean(axis=0), x.var(axis=0), len(x)
    q2, s = mu**2 + sigma2, np.sqrt(sigma2 + eps)
    x_hat, r, w = np.abs(x - mu) / s, np.sqrt(q2) / s, 1 + u * q2 / s**2
    dy = np.broadcast_to(dy, x.shape)
    a, b = np.abs(dy * x_hat).mean(axis=0), np.abs(dy).mean(axis=0)
    return {
        "mean": np.sqrt(q2),
        "variance": (sigma2 + u * q2) * m / (m - 1),
        "output": gamma * (x_hat + r) * w + beta,
        "grad.x": gamma / s * (np.abs(dy) + b + (x_hat + r) * a + x_hat * r * b) * w,
        "grad.gamma": _partial_sums(dy * (x_hat + r)) * w,
        "grad.beta": _partial_sums(dy),
    }


def magnitude(case: Case) -> dict[str, Any]:
    """The scales of the training passes, and what becomes of them

    The running statistics are sums of (1 − momentum)·old and momentum·new. PyTorch rounds the momentum before
    it takes the difference, whose rounding unit is therefore that of 1: old + momentum·new are the scales. In
    evaluation x − running_mean cancels: (|x| + |running_mean|)/s takes the place of |x̂|, and the rest is as
    in training without the mean's dependence on x. There s = √(running_var + ε), and a relative error v/(2s²)
    of it comes with the scale v of running_var: w = 1 + v/(2s²), for all that is divided by s.
    """
    u = float(np.finfo(case.dtype).eps)
    eps, momentum = case.options.get("eps", 1e-5), case.options.get("momentum", 0.1)
    tracked = case.options.get("num_batches_tracked", 0)
    arrays = {name: finite_part(array) for name, array in case.arrays.items()}
    x, dy, var = (arrays[name] for name in ("x", "dy", "running_var"))
    gamma, beta = np.abs(arrays.get("gamma", np.ones(1))), np.abs(arrays.get("beta", np.zeros(1)))
    mean_scale, var_scale = np.abs(arrays["running_mean"]), var
    first, following = (training_scales(batch, dy, gamma, beta, eps, u) for batch in (x, arrays["next_x"]))
    scales = {name: first[name] for name in ("output", "grad.x", "grad.gamma", "grad.beta")}
    scales["next.output"] = following["output"]
    for pass_, batch, new_scales in (("first", x, first), ("state", arrays["next_x"], following)):
        tracked += 1
        new = 1 / tracked if momentum is None else momentum
        mean_scale = mean_scale + new * new_scales["mean"]
        var_scale = var_scale + new * new_scales["variance"]
        var = (1 - new) * var + new * batch.var(axis=0, ddof=1)
        scales |= {f"{pass_}.running_mean": mean_scale, f"{pass_}.running_var": var_scale}
    s = np.sqrt(var + eps)
    w = 1 + var_scale / (2 * s**2)
    x_hat = (np.abs(x) + mean_scale) / s * w
    return scales | {
        "evaluation.output": gamma * x_hat + beta,
        "evaluation.grad.x": gamma / s * np.abs(dy) * w,
        "evaluation.grad.gamma": _partial_sums(dy * x_hat),
        "evaluation.grad.beta": _partial_sums(dy),
    }


def _partial_sums(array: np.ndarray) -> np.ndarray:
    return np.sqrt((array**2).sum(axis=0) + array.sum(axis=0) ** 2)


STD = "std = (variance + eps) ** 0.5"
EVALUATION_STD = "std = (running_var + eps) ** 0.5"
EVALUATION_X_HAT = "x_hat = (x - running_mean) / std"
DX = "dx = (dy - dbeta / m - x_hat * (dgamma / m)) * _slope(std, gamma)"
THEN = f"{DX}  # (batch, features)\n    return dx,"

MISTAKES = (
    Mistake(
        "biased running variance",
        "The running variance takes σ², divided by m; PyTorch's divides by m − 1.",
        [("momentum * unbiased", "momentum * variance")],
        convention="Keras, flax, d2l.ai, CS231n and numpy-ml",
    ),
    Mistake(
        "momentum the other way round",
        "running ← momentum·running + (1 − momentum)·batch: PyTorch's momentum is the weight of the new "
        "value.",
        [
            (
                "(1 - momentum) * running_mean + momentum * mean",
                "momentum * running_mean + (1 - momentum) * mean",
            ),
            (
                "(1 - momentum) * running_var + momentum * unbiased",
                "momentum * running_var + (1 - momentum) * unbiased",
            ),
        ],
        convention="Keras, flax, CS231n, and d2l.ai until 2022: their 0.9 is PyTorch's 0.1",
    ),
    Mistake(
        "running statistics replaced",
        "Only the newest batch is remembered: running ← batch.",
        [
            ("(1 - momentum) * running_mean + momentum * mean", "mean"),
            ("(1 - momentum) * running_var + momentum * unbiased", "unbiased"),
        ],
    ),
    Mistake(
        "running statistics never updated",
        "running_mean = … binds the name to a new array: the buffer, which evaluation uses, stays as it was.",
        [("running_mean[...] =", "running_mean ="), ("running_var[...] =", "running_var =")],
    ),
    Mistake(
        "running variance corrected twice",
        "The factor m/(m − 1) of a variance that has it already, as that of np.var(x, ddof=1).",
        [("batch_size / (batch_size - 1)", "batch_size / (batch_size - 1) * batch_size / (batch_size - 1)")],
    ),
    Mistake(
        "running standard deviation",
        "The running variance is fed with σ, of which evaluation takes the root once more.",
        [("momentum * unbiased", "momentum * unbiased**0.5")],
    ),
    Mistake(
        "unbiased variance in the normalisation",
        "The batch is normalised with the variance divided by m − 1, not by m.",
        [(STD, "std = (variance * m / (m - 1) + eps) ** 0.5")],
        convention="Karpathy's makemore lectures",
    ),
    Mistake(
        "root taken twice",
        "√(σ + ε): the standard deviation where the variance belongs, and its root once more.",
        [("std = (variance + eps) ** 0.5", "std = (variance**0.5 + eps) ** 0.5")],
    ),
    Mistake(
        "standard deviation for the variance",
        "std() where var() belongs, in the normalisation and in the running statistics: √(σ + ε).",
        [
            (STD, "std = (variance**0.5 + eps) ** 0.5"),
            ("momentum * unbiased", "momentum * variance**0.5"),
        ],
    ),
    Mistake(
        "unbiased standard deviation for the variance",
        "PyTorch's std(), of m − 1, where var() belongs, in the normalisation and in the running statistics.",
        [
            (STD, "std = ((variance * m / (m - 1)) ** 0.5 + eps) ** 0.5"),
            ("momentum * unbiased", "momentum * unbiased**0.5"),
        ],
    ),
    Mistake(
        "ε outside the root",
        "√σ² + ε instead of √(σ² + ε): tells only where the spread is small.",
        [(STD, "std = variance**0.5 + eps")],
    ),
    Mistake(
        "variance as a difference",
        "mean(x²) − μ² is σ² on paper; where the mean is far larger than the spread, no digit of it is left.",
        [
            (
                "variance = (centred * centred).sum(axis=0) / m",
                "variance = np.maximum((x * x).sum(axis=0) / m - mean * mean, 0)",
            )
        ],
        convention="flax, unless use_fast_variance=False",
    ),
    Mistake(
        "ε forgotten",
        "x̂ = (x − μ)/σ: a constant feature is 0/0.",
        [(STD, "std = variance**0.5")],
    ),
    Mistake(
        "divided by the variance",
        "(x − μ)/(σ² + ε): the root is forgotten, and small spreads become large ones.",
        [(STD, "std = variance + eps")],
    ),
    Mistake(
        "statistics of each row",
        "Mean and variance over the features of an example: that is layer normalisation.",
        [
            (STD, "std = (x.var(axis=1, keepdims=True) + eps) ** 0.5"),
            ("x_hat = centred / std", "x_hat = (x - x.mean(axis=1, keepdims=True)) / std"),
        ],
    ),
    Mistake(
        "running statistics in training",
        "The batch is normalised with the running statistics: before the first update, with 0 and 1.",
        [
            (STD, "std = (np.ones_like(variance) + eps) ** 0.5"),
            ("x_hat = centred / std", "x_hat = x / std"),
        ],
    ),
    Mistake(
        "batch statistics in evaluation",
        "The result for an example depends on which others are predicted along with it.",
        [
            (EVALUATION_STD, "std = (x.var(axis=0) + eps) ** 0.5"),
            (EVALUATION_X_HAT, "x_hat = (x - x.mean(axis=0)) / std"),
        ],
    ),
    Mistake(
        "running statistics updated in evaluation",
        "Predicting changes the model: the test set leaks into the running statistics.",
        [
            (
                f"{EVALUATION_X_HAT}  # (batch, features)\n",
                f"{EVALUATION_X_HAT}  # (batch, features)\n"
                "    batch = x.mean(axis=0), x.var(axis=0), len(x)\n"
                "    update_running_statistics(running_mean, running_var, np.array(0), *batch)\n",
            )
        ],
    ),
    Mistake(
        "γ and β forgotten in evaluation",
        "The prediction is x̂, not what was trained on it.",
        [
            (
                "return _scale_and_shift(x_hat, gamma, beta), (x_hat, std, copied(gamma))\n",
                "return x_hat, (x_hat, std, None)\n",
            )
        ],
    ),
    Mistake(
        "training gradient in evaluation",
        "In evaluation mean and variance are constants; the terms that pass through them do not exist.",
        [
            (
                "dx = dy * _slope(std, gamma)  # (batch, features)\n    return dx, dgamma, dbeta",
                "return batch_norm_backward(dy, cache)",
            )
        ],
    ),
    Mistake(
        "statistics taken as constants",
        "dx = dy·γ/s, as if μ and σ² did not depend on x: it pushes where normalisation lets nothing move.",
        [(DX, "dx = dy * _slope(std, gamma)")],
    ),
    Mistake(
        "gradient through the mean forgotten",
        "The term −mean(dy) of dx is missing: a shift of all x, which changes nothing, gets a gradient.",
        [("(dy - dbeta / m - x_hat", "(dy - x_hat")],
    ),
    Mistake(
        "gradient through the mean not averaged",
        "dβ where dβ/m belongs: the mean holds every x with the weight 1/m.",
        [("(dy - dbeta / m -", "(dy - dbeta -")],
    ),
    Mistake(
        "gradient through the variance forgotten",
        "The term −x̂·mean(dy·x̂) of dx is missing: a stretch of x, which changes nothing, gets a gradient.",
        [("dbeta / m - x_hat * (dgamma / m))", "dbeta / m)")],
    ),
    Mistake(
        "γ forgotten in dx",
        "dx is that of x̂: unseen as long as γ is 1.",
        [("(dgamma / m)) * _slope(std, gamma)", "(dgamma / m)) / std")],
    ),
    Mistake(
        "γ's gradient with x",
        "dγ = Σ dy·(x − μ) instead of Σ dy·x̂: unseen as long as the spread is 1.",
        [(f"{THEN} dgamma, dbeta", f"{THEN} (dy * x_hat * std).sum(axis=0), dbeta")],
    ),
    Mistake(
        "γ's and β's gradients over the wrong axis",
        "Summed over the features instead of over the batch: as many numbers as there are examples.",
        [(f"{THEN} dgamma, dbeta", f"{THEN} (dy * x_hat).sum(axis=1), dy.sum(axis=1)")],
    ),
    Mistake(
        "γ's and β's gradients averaged",
        "The mean over the batch where the sum belongs: the 1/m of the cost is already in dy.",
        [(f"{THEN} dgamma, dbeta", f"{THEN} dgamma / m, dbeta / m")],
    ),
)

FOLDED = (
    "PyTorch computes x·α + (β − μ·α) with α = γ/s, ours γ·(x − μ)/s + β: where α or μ·α is infinite, or"
    " x − μ is 0, the two forms part."
)
LAST_FACTOR = (
    "PyTorch multiplies Σ dy·(x − μ) by 1/s, ours adds up dy·((x − μ)/s): where a factor is 0 or infinite,"
    " the order of the factors shows."
)
THREE_FACTORS = "dy, 1/s and γ are multiplied in another order, and one of the orders overflows on the way."
BATCHES = ("not affine: x", "not affine: next_x")
DEPARTURES = (
    Departure(INFINITE, ("gamma", "one of gamma"), FOLDED),
    Departure(("+∞",), ("not affine: running_var", "not affine: one of running_var"), FOLDED),
    Departure(("−0",), BATCHES, FOLDED),
    Departure(("−smallest subnormal",), BATCHES, FOLDED, depends_on=FUSION),
    Departure(
        LARGEST,
        ("gamma", "one of gamma", "running_mean", "not affine: one of x", "not affine: one of next_x"),
        FOLDED,
    ),
    Departure(("+∞",), ("running_var",), LAST_FACTOR),
    Departure(("eps = 1e308",), ("",), LAST_FACTOR, FLOAT32),
    Departure(("−largest float",), ("one of x",), LAST_FACTOR),
    Departure(("largest float",), ("one of next_x",), LAST_FACTOR),
    Departure(LARGEST, ("one of running_mean",), LAST_FACTOR, depends_on=FUSION),
    Departure(LARGEST, ("dy", "one of dy", "not affine: dy", "not affine: one of dy"), THREE_FACTORS),
)

COMPONENTS = (
    Component(
        name="batch_norm",
        topic="batch_norm",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html",
        functions=(
            "batch_norm_forward",
            "batch_norm_backward",
            "update_running_statistics",
            "batch_norm_inference_forward",
            "batch_norm_inference_backward",
        ),
        reference=("BatchNorm1d",),
        cases=cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        budget=Budget(
            lambda case: sum_units(len(case["x"]), case["x"].shape[1]),
            "N sums over a batch of m, in another order: ¼·√m·ln(10⁶·N) units of partial sums, at least 32",
        ),
        mistakes=MISTAKES,
        refused=refused,
        edges=Edges(bases=("odd", "not affine"), rows=("x", "next_x", "dy"), others=edges),
        departures=DEPARTURES,
    ),
)
