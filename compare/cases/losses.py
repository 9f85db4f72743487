"""Binary cross-entropy (from logits and from probabilities), softmax cross-entropy and squared error."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from compare.cases.inputs import SIZES, SPECIAL, fortran, normal, other, strided, subnormals
from compare.component import Budget, Case, Component, Mistake, Results, differentiable, gradients
from scratch import losses as scratch
from torch_ref import losses as reference


def binary_logits_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Hard and soft targets, saturated logits on the right and on the wrong side, and the loss' minimum."""

    def case(name: str, logits: np.ndarray, targets: np.ndarray, **kwargs: Any) -> Case:
        return _case(rng, dtype, name, {"logits": logits, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, 2 * normal(rng, shape, dtype), rng.integers(0, 2, shape))
    yield case("single sample", normal(rng, (1, 1), dtype), np.ones((1, 1)))
    yield case("soft targets", normal(rng, (13, 7), dtype), rng.random((13, 7)))
    yield case("sum", normal(rng, (13, 7), dtype), rng.random((13, 7)), reduction="sum")
    extreme = [1e3, -1e3, 710, -710, 88, -88, 37, -37, 17, -17]
    for name, target in (("saturated, 0", 0.0), ("saturated, 1", 1.0), ("saturated, soft", 0.3)):
        yield case(name, np.array(extreme), np.full(len(extreme), target))
    yield case("certain and right", np.array([1e3, -1e3]), np.array([1.0, 0.0]))
    at_zero = np.array([0.0, -0.0, *subnormals(dtype)])
    yield case("equal logits", np.tile(at_zero, 2), np.repeat([0.0, 1.0], len(at_zero)))
    targets = rng.random((5, 4))
    yield case("at the minimum", np.log(targets / (1 - targets)), targets)
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)), rng.random((13, 7)))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)), strided(rng.random((13, 7))))
    yield from _broken(case, rng.integers(0, 2, 5))
    yield case("empty", np.zeros((0, 3)), np.zeros((0, 3)), finite=False)


def probability_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Probabilities of exactly 0 and 1, and as close to them as the dtype can tell."""

    def case(name: str, probabilities: np.ndarray, targets: np.ndarray, **kwargs: Any) -> Case:
        return _case(rng, dtype, name, {"probabilities": probabilities, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, rng.random(shape), rng.integers(0, 2, shape))
    yield case("single sample", rng.random((1, 1)), np.ones((1, 1)))
    yield case("soft targets", rng.random((13, 7)), rng.random((13, 7)))
    yield case("sum", rng.random((13, 7)), rng.random((13, 7)), reduction="sum")
    below_one = 1 - float(np.finfo(dtype).epsneg)
    extreme = np.array([0.0, -0.0, 1.0, below_one, 1e-6, 1e-12, 1e-13, 1e-30, *subnormals(dtype)])
    for name, target in (("saturated, 0", 0.0), ("saturated, 1", 1.0), ("saturated, soft", 0.3)):
        yield case(name, extreme, np.full(len(extreme), target))
    yield case("certain and right", np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    yield case("almost certain and right", 1e-9 * rng.random(5), np.zeros(5))
    probabilities = rng.random((5, 4)).astype(dtype)
    yield case("at the minimum", probabilities, probabilities)
    yield case("near the minimum", probabilities, probabilities * (1 - 1e-5))
    yield case("fortran order", fortran(rng.random((13, 7))), rng.random((13, 7)))
    yield case("not contiguous", strided(rng.random((13, 7))), strided(rng.random((13, 7))))
    yield case("empty", np.zeros((0, 3)), np.zeros((0, 3)), finite=False)


def classes_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Logits far from 0 and far from each other, where an unguarded exponential overflows."""

    def case(name: str, logits: np.ndarray, targets: np.ndarray | None = None, **kwargs: Any) -> Case:
        if targets is None:
            targets = rng.integers(0, logits.shape[1], len(logits))
        return _case(rng, dtype, name, {"logits": logits, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, 2 * normal(rng, shape, dtype))
    yield case("two classes", normal(rng, (8, 2), dtype))
    yield case("single sample", normal(rng, (1, 5), dtype))
    yield case("sum", normal(rng, (13, 7), dtype), reduction="sum")
    yield case("equal logits", np.repeat([[0.0], [-0.0], [3.0], [-1e3]], 4, axis=1))
    yield case("subnormal", np.array([[0.0, -0.0, *subnormals(dtype)]] * 5), np.arange(5))
    yield case("far from zero", 1e3 * np.sign(normal(rng, (6, 1), dtype)) + normal(rng, (6, 4), dtype))
    extreme = np.array([1e3, -1e3, 0.0, 50.0])
    yield case("saturated", np.stack([np.roll(extreme, i) for i in range(4)]), np.zeros(4, np.int64))
    right = rng.integers(0, 4, 6)
    yield case("near the minimum", normal(rng, (6, 4), dtype) + 20 * np.eye(4)[right], right)
    yield case("certain and right", 1e3 * np.eye(4)[right], right)
    yield case("32-bit targets", normal(rng, (6, 4), dtype), right.astype(np.int32))
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)), strided(rng.integers(0, 7, 13)))
    masked = normal(rng, (6, 4), dtype)
    masked[np.arange(6), (right + 1) % 4] = -np.inf
    yield case("masked classes", masked, right, finite=False)
    broken = normal(rng, (7, 3), dtype)
    for row, value in enumerate(SPECIAL):
        broken[row, row % 3] = value
    broken[5] = -np.inf
    yield case("nan and infinity", broken, finite=False)
    yield case("infinite upstream", normal(rng, (4, 3), dtype), dloss=np.inf, finite=False)
    yield case("empty", np.zeros((0, 3)), np.zeros(0, np.int64), finite=False)


def squares_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Several outputs, so that it shows what the mean is taken over; differences of close numbers."""

    def case(name: str, input: np.ndarray, targets: np.ndarray, **kwargs: Any) -> Case:
        return _case(rng, dtype, name, {"input": input, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, normal(rng, shape, dtype), normal(rng, shape, dtype))
    yield case("single sample", normal(rng, (1, 1), dtype), normal(rng, (1, 1), dtype))
    yield case("sum", normal(rng, (13, 7), dtype), normal(rng, (13, 7), dtype), reduction="sum")
    same = normal(rng, (5, 4), dtype)
    yield case("at the minimum", same, same)
    yield case("near the minimum", 1e3 + same, 1e3 + same * (1 - 1e-2))
    yield case("mixed scales", same * np.logspace(-6, 3, 4), normal(rng, (5, 4), dtype))
    tiny = np.array([0.0, -0.0, *subnormals(dtype)])
    yield case("subnormal", tiny, -tiny)
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)), normal(rng, (13, 7), dtype))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)), strided(normal(rng, (13, 7), dtype)))
    yield from _broken(case, normal(rng, (5,), dtype))
    huge = np.full(3, np.finfo(dtype).max)
    yield case("square overflows", huge, huge / 2, finite=False)
    yield case("empty", np.zeros((0, 3)), np.zeros((0, 3)), finite=False)


def _case(
    rng: np.random.Generator,
    dtype: Any,
    name: str,
    arrays: dict[str, np.ndarray],
    *,
    reduction: str = "mean",
    dloss: float | None = None,
    finite: bool = True,
) -> Case:
    """The upstream gradient is a random number of either sign, never 1."""
    prediction, targets = arrays
    arrays[prediction] = arrays[prediction].astype(dtype, copy=False)
    if prediction != "logits" or arrays["logits"].shape == arrays["targets"].shape:
        arrays[targets] = arrays[targets].astype(dtype, copy=False)
    upstream = rng.standard_normal() if dloss is None else dloss
    arrays["dloss"] = np.array(upstream, dtype)
    reduction = "".join(reduction)  # an object of its own: only == finds it equal
    return Case(name, arrays, {"reduction": reduction}, dtype=dtype, finite=finite)


def _broken(case: Callable[..., Case], targets: np.ndarray) -> Iterator[Case]:
    """One NaN or infinity spoils the loss, so each stands in a case of its own."""
    for value in SPECIAL[2:]:
        prediction = np.array([0.5, -1.0, value, 2.0, -0.3])
        yield case(f"{value}", prediction, targets, finite=False)
    yield case("infinite upstream", np.array([0.5, -1.0, 0.0, 2.0, 9.0]), targets, dloss=np.inf, finite=False)


def _refused(cases: Callable[[np.random.Generator, Any], Iterator[Case]]) -> Callable:
    """What no loss takes, and what each has of its own."""

    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        good = next(iter(cases(rng, dtype)))
        prediction = next(iter(good.arrays))
        values, targets, upstream = good[prediction], good["targets"], good["dloss"]
        yield good.but("unknown reduction", reduction="Mean")
        yield good.but("integers", {prediction: values.astype(np.int64)})
        yield good.but("targets of fewer rows", {"targets": targets[1:]})
        yield good.but("targets of more dimensions", {"targets": targets[..., None]})
        yield good.but("upstream of another shape", {"dloss": np.resize(upstream, 3)})
        if targets.dtype.kind == "f":
            yield good.but("targets of another dtype", {"targets": targets.astype(other(dtype))})
            yield good.but("integer targets", {"targets": targets.astype(np.int64)})
        else:
            yield good.but("targets that are no integers", {"targets": targets.astype(dtype)})
            last = values.shape[1] - 1
            for step in (1, 2):
                yield good.but(f"a class {step} too high", {"targets": with_one(targets, last + step)})
            yield good.but("a class too low", {"targets": with_one(targets, -1)})
            yield good.but("logits of one dimension", {prediction: values[0]})
        if prediction != "input" and targets.dtype.kind == "f":
            for value in (-0.5, 1.5, np.nan):
                yield good.but(f"a target of {value}", {"targets": with_one(targets, value)})
        if prediction == "probabilities":
            for value in (-0.5, 1.5, np.nan):
                yield good.but(f"a probability of {value}", {prediction: with_one(values, value)})

    return refused


def with_one(array: np.ndarray, value: float) -> np.ndarray:
    """The same array but for one element: bad by itself, whatever was drawn for the others."""
    changed = array.copy()
    changed.flat[3] = value
    return changed


def _component(
    name: str,
    cases: Callable[[np.random.Generator, Any], Iterator[Case]],
    budget: Budget,
    magnitude: Callable[[Case], dict[str, Any]],
    mistakes: tuple[Mistake, ...],
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        prediction = next(iter(case.arrays))
        loss, cache = getattr(f, f"{name}_forward")(case[prediction], case["targets"], **case.options)
        return {"loss": loss, f"grad.{prediction}": getattr(f, f"{name}_backward")(case["dloss"], cache)}

    def run_torch(case: Case) -> Results:
        prediction = next(iter(case.arrays))
        inputs = {prediction: differentiable(case[prediction])}
        targets = case["targets"]
        if targets.dtype == torch.int32:  # PyTorch takes classes of 64 bits only
            targets = targets.long()
        loss = getattr(reference, name)(case[prediction], targets, **case.options)
        return {"loss": loss, **gradients(loss, case["dloss"], **inputs)}

    def quiet_magnitude(case: Case) -> dict[str, Any]:
        with np.errstate(all="ignore"):  # NaN and infinities: only their pattern is compared
            return magnitude(case)

    return Component(
        name=name,
        topic="losses",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html",
        functions=(f"{name}_forward", f"{name}_backward"),
        reference=(name,),
        cases=cases,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=budget,
        magnitude=quiet_magnitude,
        refused=_refused(cases),
        mistakes=mistakes,
    )


def binary_logits_magnitude(case: Case) -> dict[str, Any]:
    """(1 − y)·x − log σ(x) is a difference of two terms, σ(x) − y one of two numbers: on the right side, or
    near the minimum, little is left of either. Counted in what they are made of: the mean (or sum) of
    |(1 − y)·x| + |log σ(x)|, and (σ(x) + y)·|dloss|/n.

    Below the smallest normal number σ's rounding unit no longer shrinks (PyTorch's σ is 0 there), and dloss
    magnifies it: one such unit is added. Where nothing but an underflow is left, even its sign is open.
    """
    x, y, scale = _in_float64(case, "logits")
    log_sigmoid = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    terms = np.abs((1 - y) * x) - log_sigmoid
    factor, info = scale / _count(case, x.size), np.finfo(case.dtype)
    gradient = _not_0(np.exp(log_sigmoid) + y, factor)
    gradient += np.where(gradient < info.tiny, 0, info.tiny / info.eps * factor)
    return {"loss": terms.sum() / _count(case, x.size), "grad.logits": gradient}


def probability_magnitude(case: Case) -> dict[str, Any]:
    """No cancellation: both terms of the loss are ≥ 0, and p − y is one rounding of two given numbers. So the
    gradient is counted element by element in itself: at p = 0 and 1 it is 10¹² times that of its
    neighbours, beside which any error in them would go unseen. PyTorch forms dloss·(p − y) first: where
    that is below the smallest normal number its rounding unit no longer shrinks, and the division by 10⁻¹²
    magnifies it.
    """
    p, y, scale = _in_float64(case, "probabilities")
    product = np.abs(p - y) * scale
    product = np.where(p == y, 0, np.maximum(product, np.finfo(case.dtype).tiny))
    gradient = product / np.maximum(p * (1 - p), scratch.EPSILON) / _count(case, p.size)
    return {"grad.probabilities": gradient}


def classes_magnitude(case: Case) -> dict[str, Any]:
    """With s = log Σ e^(x − m) and log p = (x − m) − s:

    Loss: s − (x_y − m) is a difference, and a relative error of the sum Σ is an absolute one of its
    logarithm, however small that is: the mean (or sum) of 1 + s + |x_y − m|.

    Gradient: p − [j = y] is a difference, and p = e^(log p) multiplies the rounding of log p by |log p|:
    (p·(1 + |log p|) + [j = y])·|dloss|/m. Where p is not 0, this is at least the smallest positive number: a
    fused multiply-add knows the sign of a p·dloss that underflows.
    """
    x, _, scale = _in_float64(case, "logits")
    rows, targets = np.arange(len(x)), case["targets"]
    shifted = x - x.max(axis=1, keepdims=True)
    s = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_p = np.maximum(shifted - s, -1e9)  # so that p·|log p| is 0 at p = 0
    terms = np.exp(log_p) * (1 - log_p)
    terms[rows, targets] += 1
    loss = (1 + s[:, 0] - shifted[rows, targets]).sum()
    count = _count(case, len(x))
    return {"loss": loss / count, "grad.logits": _not_0(terms, scale / count)}


def squares_magnitude(case: Case) -> dict[str, Any]:
    """x − t is one rounding of two given numbers: the gradient is counted in itself, element by element.

    Below the smallest normal number its rounding unit no longer shrinks.
    """
    x, t, scale = _in_float64(case, "input")
    share = 2 * scale / _count(case, x.size)  # first, since twice the largest number is infinite
    gradient = np.maximum(np.abs(x - t) * share, np.finfo(case.dtype).tiny)
    return {"grad.input": np.where(x == t, 0, gradient)}


def _in_float64(case: Case, prediction: str) -> tuple[np.ndarray, np.ndarray, float]:
    wide = (case[name].astype(np.float64) for name in (prediction, "targets", "dloss"))
    x, y, dloss = wide
    return x, y, np.abs(dloss)


def _not_0(terms: np.ndarray, factor: float) -> np.ndarray:
    """Their product, at least the smallest positive number where a term is not 0"""
    smallest = np.finfo(np.float64).smallest_subnormal
    return np.where(terms > 0, np.maximum(terms * factor, smallest), terms * factor)


def _count(case: Case, n: int) -> float:
    return np.float64(n) if case.options["reduction"] == "mean" else np.float64(1)


SUMMED = Budget(
    8,
    "element by element an exponential and a logarithm, each of one to two units, and two or three roundings;"
    " terms of one sign summed in blocks add about one unit on each side",
)


def _upstream_ignored(name: str) -> Mistake:
    backward = getattr(scratch, f"{name}_backward")
    return Mistake(
        "upstream gradient ignored",
        "The backward pass takes dloss for 1: right until the loss is scaled or has a second term.",
        {f"{name}_backward": lambda dloss, cache: backward(1.0, cache)},
    )


def _mean_gradient_forgotten(name: str) -> Mistake:
    backward = getattr(scratch, f"{name}_backward")
    return Mistake(
        "gradient not averaged",
        "The loss is a mean, the gradient that of a sum: the 1/n is missing in the backward pass.",
        {f"{name}_backward": lambda dloss, cache: backward(dloss, (*cache[:-1], 1))},
    )


def _wrong_sign(name: str) -> Mistake:
    backward = getattr(scratch, f"{name}_backward")
    return Mistake(
        "target minus prediction",
        "The difference is taken the wrong way round: gradient descent climbs.",
        {f"{name}_backward": lambda dloss, cache: -backward(dloss, cache)},
    )


def _minus_forgotten(name: str) -> Mistake:
    forward = getattr(scratch, f"{name}_forward")

    def wrong(*args: Any) -> tuple:
        loss, cache = forward(*args)
        return -loss, cache

    return Mistake(
        "minus forgotten",
        "The logarithm of a probability is negative, and so is this loss: the better, the larger.",
        {f"{name}_forward": wrong},
    )


def _averaged_over(
    name: str, title: str, explanation: str, count: Callable[[np.ndarray], int], convention: str = ""
) -> Mistake:
    """A mean over something else, in the loss and in the gradient alike."""
    forward = getattr(scratch, f"{name}_forward")

    def wrong(prediction: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
        total, cache = forward(prediction, targets, "sum")
        n = count(prediction) if reduction == "mean" else 1
        return total / n, (*cache[:-1], n)

    return Mistake(title, explanation, {f"{name}_forward": wrong}, convention)


def _summed(name: str) -> Mistake:
    return _averaged_over(
        name,
        "summed, not averaged",
        "The sum where the mean was asked for: the steps grow with the batch.",
        lambda prediction: 1,
    )


def _batch_only(name: str) -> Mistake:
    return _averaged_over(
        name,
        "averaged over the batch only",
        "Divided by m where PyTorch divides by all m·outputs elements: seen with several outputs only.",
        len,
        "the course and most textbooks, whose cost has 1/m",
    )


def _other_loss(
    name: str, title: str, explanation: str, elementwise: Callable[..., np.ndarray], convention: str = ""
) -> Mistake:
    """Other losses of the elements; the backward pass stays right."""
    forward = getattr(scratch, f"{name}_forward")

    def wrong(prediction: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
        cache = forward(prediction, targets, reduction)[1]
        return elementwise(prediction, targets).sum() / cache[-1], cache

    return Mistake(title, explanation, {f"{name}_forward": wrong}, convention)


def _applied_before(
    name: str, function: Callable, derivative: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> dict[str, Callable]:
    """The loss of function(logits) in place of that of the logits, and the gradient of just this."""
    forward, backward = (getattr(scratch, f"{name}_{way}") for way in ("forward", "backward"))

    def wrong_forward(logits: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
        p = function(logits)
        loss, cache = forward(p, targets, reduction)
        return loss, (cache, p)

    def wrong_backward(dloss: Any, cache: tuple) -> np.ndarray:
        inner, p = cache
        return derivative(backward(dloss, inner), p)

    return {f"{name}_forward": wrong_forward, f"{name}_backward": wrong_backward}


def _entropy(p: np.ndarray, y: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """−y log(p + ε) − (1 − y) log(1 − p + ε), as one writes it down"""
    return -y * np.log(p + eps) - (1 - y) * np.log(1 - p + eps)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _sigmoid_gradient(dp: np.ndarray, p: np.ndarray) -> np.ndarray:
    return dp * p * (1 - p)


def _softmax_gradient(dp: np.ndarray, p: np.ndarray) -> np.ndarray:
    return p * (dp - (dp * p).sum(axis=1, keepdims=True))


def _derivative_twice(dloss: Any, cache: tuple) -> np.ndarray:
    sigmoid = _sigmoid(cache[0])
    return scratch.binary_cross_entropy_with_logits_backward(dloss, cache) * sigmoid * (1 - sigmoid)


def _clipped(p: np.ndarray, y: np.ndarray, reduction: str = "mean") -> tuple:
    inside = np.clip(p, 1e-7, 1 - 1e-7)
    return scratch.binary_cross_entropy_forward(inside, y, reduction)


def _probability_gradient(change: Callable[..., np.ndarray]) -> dict[str, Callable]:
    def backward(dloss: Any, cache: tuple) -> np.ndarray:
        p, y, n = cache
        return change(p, y) * dloss / n

    return {"binary_cross_entropy_backward": backward}


def _max_not_subtracted(x: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
    cache = scratch.cross_entropy_forward(x, targets, reduction)[1]
    losses = np.log(np.exp(x).sum(axis=1)) - x[np.arange(len(x)), targets]
    return losses.sum() / cache[-1], cache


def _max_of_the_batch(x: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
    cache = scratch.cross_entropy_forward(x, targets, reduction)[1]
    shifted = x - x.max(initial=-np.inf)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(x)), targets]
    return losses.sum() / cache[-1], cache


def _over_the_batch(x: np.ndarray, targets: np.ndarray, reduction: str = "mean") -> tuple:
    _, rows, _, m = scratch.cross_entropy_forward(x, targets, reduction)[1]
    shifted = x - x.max(axis=0, initial=-np.inf)
    e = np.exp(shifted)
    total = e.sum(axis=0)
    losses = np.log(total)[targets] - shifted[rows, targets]
    return losses.sum() / m, (e / total, rows, targets, m)


def _root_of_the_mean(x: np.ndarray, t: np.ndarray, reduction: str = "mean") -> tuple:
    loss, cache = scratch.mse_loss_forward(x, t, reduction)
    return loss**0.5, cache


def _of_the_target(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """−change(softmax) at the target"""
    return lambda x, targets: -change(_softmax(x))[np.arange(len(x)), targets]


def _one_off(dloss: Any, cache: tuple) -> np.ndarray:
    softmax, batch, targets, m = cache
    return scratch.cross_entropy_backward(dloss, (softmax, batch, targets - 1, m))


def _not_one_hot(dloss: Any, cache: tuple) -> np.ndarray:
    softmax, _, targets, m = cache
    return (softmax - targets[:, None].astype(softmax.dtype)) * dloss / m


def _softmax_alone(dloss: Any, cache: tuple) -> np.ndarray:
    softmax, _, _, m = cache
    return softmax * dloss / m


LOGITS, PROBABILITIES = "binary_cross_entropy_with_logits", "binary_cross_entropy"
CLASSES, SQUARES = "cross_entropy", "mse_loss"

COMPONENTS = (
    _component(
        LOGITS,
        binary_logits_cases,
        SUMMED,
        binary_logits_magnitude,
        (
            _mean_gradient_forgotten(LOGITS),
            _batch_only(LOGITS),
            _summed(LOGITS),
            _upstream_ignored(LOGITS),
            _wrong_sign(LOGITS),
            _minus_forgotten(LOGITS),
            Mistake(
                "sigmoid twice",
                "The loss applies its own sigmoid: σ(σ(x)) is 0.5 to 0.73, and no example is ever learned.",
                _applied_before(LOGITS, _sigmoid, _sigmoid_gradient),
            ),
            _other_loss(
                LOGITS,
                "sigmoid twice in the loss",
                "The gradient is right, but the loss is that of σ(σ(x)), and never falls below 0.31.",
                lambda x, y: (1 - y) * _sigmoid(x) - np.log(_sigmoid(_sigmoid(x))),
            ),
            _other_loss(
                LOGITS,
                "logarithm of the sigmoid",
                "log(σ(x)) in two steps: σ(−1000) is 0, and its logarithm −∞.",
                lambda x, y: _entropy(_sigmoid(x), y),
            ),
            _other_loss(
                LOGITS,
                "ε inside the logarithm",
                "log(σ(x) + 10⁻⁸) hides the infinity and bounds the loss of a wrong certainty at 18.",
                lambda x, y: _entropy(_sigmoid(x), y, 1e-8),
            ),
            _other_loss(
                LOGITS,
                "negative class forgotten",
                "−y log σ(x) alone: examples of class 0 cost nothing.",
                lambda x, y: -y * (np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))),
            ),
            _other_loss(
                LOGITS,
                "logarithm to base 2",
                "The loss in bits: larger by 1/ln 2 = 1.44 than the one that the gradient belongs to.",
                lambda x, y: (
                    ((1 - y) * x - np.minimum(x, 0) + np.log1p(np.exp(-np.abs(x)))) / float(np.log(2))
                ),
            ),
            Mistake(
                "sigmoid differentiated twice",
                "Multiplied by σ(1 − σ), which is in σ − y already: a wrong certainty stops learning.",
                {f"{LOGITS}_backward": _derivative_twice},
            ),
        ),
    ),
    _component(
        PROBABILITIES,
        probability_cases,
        SUMMED,
        probability_magnitude,
        (
            _mean_gradient_forgotten(PROBABILITIES),
            _batch_only(PROBABILITIES),
            _summed(PROBABILITIES),
            _upstream_ignored(PROBABILITIES),
            _wrong_sign(PROBABILITIES),
            _minus_forgotten(PROBABILITIES),
            _other_loss(
                PROBABILITIES,
                "logarithm not bounded",
                "−∞ at probabilities 0 and 1 (and NaN, from 0·∞, if they are right).",
                _entropy,
            ),
            _other_loss(
                PROBABILITIES,
                "ε inside the logarithm",
                "log(p + 10⁻⁸): a certain wrong answer costs 18 and not 100, the others a bit too little.",
                lambda p, y: _entropy(p, y, 1e-8),
            ),
            _other_loss(
                PROBABILITIES,
                "log(1 − p) for log1p(−p)",
                "1 − p is rounded before the logarithm: for p below 10⁻¹⁶ its loss is 0.",
                lambda p, y: (
                    -y * np.maximum(np.log(np.maximum(p, 1e-45)), -100)
                    - (1 - y) * np.maximum(np.log(np.maximum(1 - p, 1e-45)), -100)
                ),
            ),
            Mistake(
                "probabilities clipped",
                "p is moved into [10⁻⁷, 1 − 10⁻⁷]: at most 16 where PyTorch goes up to 100.",
                {f"{PROBABILITIES}_forward": _clipped},
                convention="Keras",
            ),
            Mistake(
                "gradient of the logits",
                "p − y belongs to the logit before the sigmoid; the probability's is (p − y)/(p(1 − p)).",
                _probability_gradient(lambda p, y: p - y),
            ),
            Mistake(
                "denominator not bounded",
                "Divided by p(1 − p) as it is: infinite, or 0/0, at probabilities 0 and 1.",
                _probability_gradient(lambda p, y: (p - y) / (p * (1 - p))),
            ),
            Mistake(
                "denominator 1 − p only",
                "The derivative of −y log p is −y/p: one of the two factors is missing.",
                _probability_gradient(lambda p, y: (p - y) / np.maximum(1 - p, 1e-12)),
            ),
        ),
    ),
    _component(
        CLASSES,
        classes_cases,
        SUMMED,
        classes_magnitude,
        (
            _mean_gradient_forgotten(CLASSES),
            _averaged_over(
                CLASSES,
                "averaged over batch and classes",
                "Divided by m·classes: the softmax cross-entropy has one term an example, not one a class.",
                lambda x: x.size,
            ),
            _averaged_over(
                CLASSES,
                "averaged over the classes",
                "Divided by the number of classes where the batch size belongs.",
                lambda x: x.shape[1],
            ),
            _summed(CLASSES),
            _upstream_ignored(CLASSES),
            _wrong_sign(CLASSES),
            _minus_forgotten(CLASSES),
            Mistake(
                "softmax over the wrong axis",
                "Normalised over the batch: the probabilities of an example do not add up to 1.",
                {f"{CLASSES}_forward": _over_the_batch},
            ),
            Mistake(
                "softmax twice",
                "The loss applies its own softmax, which makes probabilities nearly equal: learning crawls.",
                _applied_before(CLASSES, _softmax, _softmax_gradient),
            ),
            _other_loss(
                CLASSES,
                "softmax twice in the loss",
                "The gradient is right, but the loss is that of the softmax of the softmax.",
                _of_the_target(lambda p: np.log(_softmax(p))),
            ),
            Mistake(
                "largest logit not subtracted",
                "log Σ eˣ as it stands: e¹⁰⁰⁰ overflows, and the loss is infinite or NaN.",
                {f"{CLASSES}_forward": _max_not_subtracted},
            ),
            Mistake(
                "largest logit of the batch",
                "One maximum for all rows: a row far below it becomes log 0.",
                {f"{CLASSES}_forward": _max_of_the_batch},
            ),
            _other_loss(
                CLASSES,
                "logarithm of the softmax",
                "log(softmax(x)) in two steps: a probability that underflows to 0 gives −∞.",
                _of_the_target(np.log),
            ),
            _other_loss(
                CLASSES,
                "ε inside the logarithm",
                "log(p + 10⁻⁸) hides the infinity and bounds the loss at 18.",
                _of_the_target(lambda p: np.log(p + 1e-8)),
            ),
            Mistake(
                "targets counted from 1",
                "The 1 is subtracted one class to the left of the target.",
                {f"{CLASSES}_backward": _one_off},
            ),
            Mistake(
                "targets not one-hot",
                "p − y with y the number of the class, broadcast over all classes.",
                {f"{CLASSES}_backward": _not_one_hot},
            ),
            Mistake(
                "target not subtracted",
                "p alone: every logit is pushed down, the right one too.",
                {f"{CLASSES}_backward": _softmax_alone},
            ),
        ),
    ),
    _component(
        SQUARES,
        squares_cases,
        SUMMED,
        squares_magnitude,
        (
            _mean_gradient_forgotten(SQUARES),
            _batch_only(SQUARES),
            _summed(SQUARES),
            _upstream_ignored(SQUARES),
            _wrong_sign(SQUARES),
            Mistake(
                "2 forgotten",
                "The gradient of ½(x − t)² beside the loss (x − t)²: steps of half the length.",
                {f"{SQUARES}_backward": lambda dloss, cache: scratch.mse_loss_backward(dloss / 2, cache)},
            ),
            _other_loss(
                SQUARES,
                "half of the square",
                "½(x − t)², whose gradient is x − t: PyTorch has no ½.",
                lambda x, t: (x - t) ** 2 / 2,
                "many textbooks, d2l.ai and optax.l2_loss",
            ),
            Mistake(
                "root of the mean",
                "√(1/n Σ(x − t)²) is another function, whose gradient is divided by the loss.",
                {f"{SQUARES}_forward": _root_of_the_mean},
            ),
            _other_loss(
                SQUARES,
                "absolute value",
                "|x − t| is another loss (L1): the square is forgotten.",
                lambda x, t: np.abs(x - t),
            ),
        ),
    ),
)
