"""Binary cross-entropy (from logits and from probabilities), softmax cross-entropy and squared error."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_seed, any_shape, any_size, chance, floats, laid_out, some_of
from compare.cases.inputs import SIZES, SPECIAL, fortran, normal, other, strided, subnormals
from compare.cases.limits import at, edge, unsigned_zeros
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from scratch.losses import EPSILON
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
    yield case("none", normal(rng, (13, 7), dtype), rng.random((13, 7)), reduction="none")
    weights = {"weight": rng.random((13, 1)) + 0.1, "pos_weight": 3 * rng.random(7)}
    for names in (["weight"], ["pos_weight"], [*weights]):
        for reduction in ("mean", "none"):
            arrays = normal(rng, (13, 7), dtype), rng.random((13, 7))
            given = {name: weights[name] for name in names}
            yield case(f"{' and '.join(names)}, {reduction}", *arrays, reduction=reduction, weights=given)
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
    yield case("none", rng.random((13, 7)), rng.random((13, 7)), reduction="none")
    for name, reduction in (("weights", "mean"), ("weights, none", "none")):
        weights = {"weight": rng.random(7) + 0.1}
        yield case(name, rng.random((13, 7)), rng.random((13, 7)), reduction=reduction, weights=weights)
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
        if targets.dtype.kind == "f" and kwargs.get("reduction") == "none":
            kwargs["dloss"] = rng.standard_normal(without_classes(logits.shape))
        return _case(rng, dtype, name, {"logits": logits, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, 2 * normal(rng, shape, dtype))
    yield case("two classes", normal(rng, (8, 2), dtype))
    yield case("single sample", normal(rng, (1, 5), dtype))
    yield case("sum", normal(rng, (13, 7), dtype), reduction="sum")
    yield case("none", normal(rng, (13, 7), dtype), reduction="none")
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
    yield from _with_options(case, rng, dtype)
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


def _with_options(case: Callable[..., Case], rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Class weights, targets that do not count, smoothed labels, probabilities, further axes; and several."""
    weights = {"weight": rng.random(7) + 0.1}
    weighted = {"weights": weights, "label_smoothing": 0.3}
    some = rng.integers(0, 7, 13)
    some[[1, 5, 6, 12]] = -100
    padded = np.where(some < 0, 2, some)
    probabilities = rng.random((13, 7))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    steps, pixels = rng.integers(0, 7, (4, 3)), rng.integers(0, 7, (2, 3, 4))
    kinds: dict[str, tuple[tuple[int, ...], np.ndarray | None, dict[str, Any]]] = {
        "class weights": ((13, 7), None, {"weights": weights}),
        "ignored": ((13, 7), some, {}),
        "smoothed": ((13, 7), None, {"label_smoothing": 0.1}),
        "weighted and smoothed": ((13, 7), None, weighted),
        "ignored, weighted and smoothed": ((13, 7), padded, {**weighted, "ignore_index": 2}),
        "probabilities": ((13, 7), probabilities, {}),
        "weighted probabilities": ((13, 7), probabilities, weighted),
        "further axes": ((4, 7, 3), steps, {}),
        "pixels": ((2, 7, 3, 4), pixels, {**weighted, "ignore_index": 2}),
        "pixels of probabilities": ((2, 7, 3, 4), rng.random((2, 7, 3, 4)), weighted),
        "a single example": ((7,), np.array(4), {}),
    }
    for name, (shape, targets, options) in kinds.items():
        for reduction in ("mean", "none"):
            logits = normal(rng, shape, dtype)
            yield case(f"{name}, {reduction}", logits, targets, reduction=reduction, **options)
    everything = {**weighted, "ignore_index": 2, "reduction": "sum"}
    yield case("ignored, weighted and smoothed, sum", normal(rng, (13, 7), dtype), padded, **everything)
    masked = normal(rng, (6, 4), dtype)
    masked[:, 3] = -np.inf
    right, of_4 = rng.integers(0, 3, 6), {"weight": rng.random(4) + 0.1}
    yield case("masked and weighted", masked, right, weights=of_4, finite=False)
    padding = np.where(right[:, None] == 1, np.nan, masked)
    yield case("padding of nan", padding, right, ignore_index=1, finite=False)


def without_classes(shape: Sequence[int]) -> tuple[int, ...]:
    """Of logits (batch, classes, …) the (batch, …); () of (classes,)"""
    return (*shape[:1], *shape[2:]) if len(shape) > 1 else ()


def squares_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Several outputs, so that it shows what the mean is taken over; differences of close numbers."""

    def case(name: str, input: np.ndarray, targets: np.ndarray, **kwargs: Any) -> Case:
        return _case(rng, dtype, name, {"input": input, "targets": targets}, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, normal(rng, shape, dtype), normal(rng, shape, dtype))
    yield case("single sample", normal(rng, (1, 1), dtype), normal(rng, (1, 1), dtype))
    yield case("sum", normal(rng, (13, 7), dtype), normal(rng, (13, 7), dtype), reduction="sum")
    yield case("none", normal(rng, (13, 7), dtype), normal(rng, (13, 7), dtype), reduction="none")
    for name, reduction in (("weights", "mean"), ("weights, sum", "sum"), ("weights, none", "none")):
        weights = {"weight": rng.random((13, 7)) + 0.1}
        arrays = normal(rng, (13, 7), dtype), normal(rng, (13, 7), dtype)
        yield case(name, *arrays, reduction=reduction, weights=weights)
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
    weights: dict[str, np.ndarray] | None = None,
    finite: bool = True,
    **options: Any,
) -> Case:
    """The upstream gradient is a random number of either sign, never 1; for "none", one for each loss."""
    prediction, targets = arrays
    arrays[prediction] = arrays[prediction].astype(dtype, copy=False)
    if prediction != "logits" or arrays["logits"].shape == arrays["targets"].shape:
        arrays[targets] = arrays[targets].astype(dtype, copy=False)
    shape = arrays[targets].shape if reduction == "none" else ()
    upstream = rng.standard_normal(shape) if dloss is None else dloss
    arrays["dloss"] = np.array(upstream, dtype)
    arrays |= {name: np.asarray(array, dtype) for name, array in (weights or {}).items()}
    reduction = "".join(reduction)  # an object of its own: only == finds it equal
    return Case(name, arrays, {"reduction": reduction, **options}, dtype=dtype, finite=finite)


def random_probabilities(choose: Choose, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """From 0 to 1: zeros and ones only, evenly spread, or crowded at either end."""
    p = np.asarray(np.random.default_rng(any_seed(choose)).random(shape))
    match choose.one_of(("hard", "soft", "near 0", "near 1")):
        case "hard":
            p = np.round(p)
        case "near 0":
            p = p ** choose.integer(1, 12)
        case "near 1":
            p = 1 - p ** choose.integer(1, 12)
    return laid_out(choose, np.asarray(p, dtype))


def random_binary_logits(choose: Choose, dtype: Any) -> Case:
    """Any logits; in a third of all cases, targets near the minimum of the loss."""
    logits = floats(choose, any_shape(choose), dtype, (-6, 3))
    targets = random_probabilities(choose, logits.shape, dtype)
    if choose.one_of((False, False, True)):
        targets[...] = np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64)))
    return _random_case(choose, dtype, logits=logits, targets=targets)


def random_binary_probabilities(choose: Choose, dtype: Any) -> Case:
    """Any probabilities; in a third of all cases, targets that are equal to them or nearly so."""
    p = random_probabilities(choose, any_shape(choose), dtype)
    targets = random_probabilities(choose, p.shape, dtype)
    if choose.one_of((False, False, True)):
        targets[...] = p * dtype(1 - choose.one_of((0, 1e-5, 1e-3)))
    return _random_case(choose, dtype, probabilities=p, targets=targets)


def random_classes(choose: Choose, dtype: Any) -> Case:
    """Any number of classes, one among them, and batches of none; any options, at least one target counts."""
    shape: tuple[int, ...] = (any_size(choose, 0, 300), any_size(choose))
    if choose.one_of((False, False, True)):
        shape = choose.one_of(((shape[1],), (any_size(choose, 0, 9), shape[1], any_size(choose, 0, 9))))
    logits = floats(choose, shape, dtype, (-6, 3))
    logits[...] += dtype(choose.one_of((0, 0, 1, -30, 1e3)))
    rng, classes = np.random.default_rng(any_seed(choose)), shape[min(1, len(shape) - 1)]
    options = some_of(choose, label_smoothing=lambda choose: choose.number(0, 1))
    weights = {"weight": floats(choose, (classes,), dtype, zeros=False)} if chance(choose) else {}
    if chance(choose):
        targets = random_probabilities(choose, shape, dtype)
    else:
        integers = rng.integers(0, classes, without_classes(shape), choose.one_of((np.int64, np.int32)))
        targets = laid_out(choose, np.asarray(integers))
        if chance(choose):
            options["ignore_index"] = choose.one_of((-100, choose.integer(0, classes - 1)))
            targets.flat[1::2] = options["ignore_index"]
            choose.assume(not targets.size or (targets != options["ignore_index"]).any())
    return _random_case(choose, dtype, options, logits=logits, targets=targets, **weights)


def random_squares(choose: Choose, dtype: Any) -> Case:
    """Any two arrays; in a third of all cases, nearly the same ones."""
    x = floats(choose, any_shape(choose), dtype, (-6, 6))
    targets = floats(choose, x.shape, dtype, (-6, 6))
    if choose.one_of((False, False, True)):
        targets[...] = x * dtype(1 - choose.one_of((0, 1e-6, 1e-3)))
    return _random_case(choose, dtype, input=x, targets=targets)


def _random_case(
    choose: Choose, dtype: Any, options: dict[str, Any] | None = None, **arrays: np.ndarray
) -> Case:
    # No upstream gradient of 0: near the minimum, only rounding decides on the sign of 0·dx.
    reduction = choose.one_of(("mean", "sum", "none"))
    prediction, targets, *_ = arrays.values()
    one_each = prediction.shape == targets.shape and options is None
    shape = targets.shape if one_each else without_classes(prediction.shape)
    finite = all(array.size for array in arrays.values())  # the mean of no numbers is NaN
    arrays["dloss"] = floats(choose, shape if reduction == "none" else (), dtype, zeros=False)
    return Case("random", arrays, {"reduction": reduction, **(options or {})}, dtype=dtype, finite=finite)


def edges_of_targets(base: Case) -> Iterator[Edge]:
    """Targets that are all alike, that are reached, and that are of another shape."""
    prediction, targets = next(iter(base.arrays)), base["targets"]
    for value in (0.0, 1.0, 0.5):
        yield edge(base, f"all targets {value:g}", arrays={"targets": np.full_like(targets, value)})
    for value in (0.0, 1.0):
        found = np.full_like(base[prediction], value)
        equal = {prediction: found, "targets": found}
        yield edge(base, "predictions equal the targets", f"{value:g}", equal)
    none = {prediction: found[:0], "targets": found[:0]}
    yield edge(base, "sum over no examples", arrays=none, reduction="sum")
    yield edge(base, "targets of another shape", arrays={"targets": targets[:, :1]})
    yield from at(base, "reduction", "sum", "none")


def edges_of_classes(base: Case) -> Iterator[Edge]:
    """Classes that do not exist, one and none, and logits that are certain or say nothing."""
    logits, targets = base["logits"], base["targets"]
    rows, classes = logits.shape
    for name, value in (("class 0", 0), ("class K − 1", classes - 1), ("class K", classes), ("class −1", -1)):
        yield edge(base, f"all targets {name}", arrays={"targets": np.full_like(targets, value)})
    ignored, some = np.full_like(targets, -100), np.where(np.arange(rows) % 2, targets, -100)
    yield edge(base, "a mean of ignored targets", "", {"targets": ignored})
    yield edge(base, "a mean of ignored targets", "smoothed", {"targets": ignored}, label_smoothing=0.1)
    yield edge(base, "a sum of ignored targets", "", {"targets": ignored}, reduction="sum")
    yield edge(base, "some targets ignored", arrays={"targets": some})
    spoiled = np.where(some[:, None] < 0, np.nan, logits)
    yield edge(base, "ignored logits of NaN", arrays={"targets": some, "logits": spoiled})
    yield from at(base, "ignore_index", -1, 0, classes)
    yield from at(base, "label_smoothing", 0.0, 1.0, 1.5, -0.1, np.nan)
    ones = np.ones(classes, logits.dtype)
    for value in (0.0, 1.0, -1.0, np.inf, np.nan):
        for reduction in ("mean", "sum"):
            weight = {"weight": value * ones}
            yield edge(base, f"all weights {value:g}", reduction, weight, reduction=reduction)
    of_one = {"weight": np.where(np.arange(classes) == targets[0], 0, ones)}
    yield edge(base, "a class of weight 0", arrays=of_one)
    for value in (0.0, 1.0, 1 / classes):
        yield edge(base, "all probabilities", f"{value:g}", {"targets": np.full_like(logits, value)})
    one_hot = np.eye(classes, dtype=logits.dtype)[targets]
    yield edge(base, "probabilities of one class", arrays={"targets": one_hot})
    hidden = np.where(one_hot == 1, logits, -np.inf)
    yield edge(base, "a class of probability 0 at −∞", arrays={"targets": one_hot, "logits": hidden})
    yield edge(base, "a single example", arrays={"logits": logits[0], "targets": np.array(targets[0])})
    axes = {"logits": logits[:, :, None], "targets": targets[:, None]}
    yield edge(base, "a further axis", "of length 1", axes)
    empty = {"logits": axes["logits"][:, :, :0], "targets": axes["targets"][:, :0]}
    yield edge(base, "a further axis", "of length 0", empty)
    yield edge(base, "a further axis", "of length 0, a sum", empty, reduction="sum")
    zeros = np.zeros_like(targets)
    yield edge(base, "one class", arrays={"logits": logits[:, :1], "targets": zeros})
    yield edge(base, "no classes", arrays={"logits": logits[:, :0], "targets": zeros})
    yield edge(base, "no classes", "no examples", {"logits": logits[:0, :0], "targets": targets[:0]})
    for name, value in (("all logits equal", 3.0), ("all logits −∞", -np.inf), ("all logits +∞", np.inf)):
        yield edge(base, name, arrays={"logits": np.full_like(logits, value)})
    masked = np.full_like(logits, -np.inf)
    masked[np.arange(rows), targets] = 0.5
    yield edge(base, "all but the target −∞", arrays={"logits": masked})
    yield edge(base, "the target −∞", arrays={"logits": np.where(masked == 0.5, -np.inf, logits)})
    none = {"logits": logits[:0], "targets": targets[:0]}
    yield edge(base, "sum over no examples", arrays=none, reduction="sum")
    probabilities = {"logits": logits[:0], "targets": logits[:0]}
    yield edge(base, "sum over no examples", "of probabilities", probabilities, reduction="sum")
    yield from at(base, "reduction", "sum", "none")


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
        yield good.but("one upstream number for every loss", reduction="none")
        if targets.dtype.kind == "f":
            yield good.but("weights of another dtype", {"weight": np.ones(values.shape, other(dtype))})
            yield good.but("weights of another shape", {"weight": np.ones(values.shape[-1] + 1, dtype)})
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
            yield good.but("logits of no dimension", {prediction: np.array(0, dtype), "targets": np.array(0)})
            yield good.but("only ignored targets", {"targets": np.full_like(targets, -100)})
            some = np.where(np.arange(len(targets)) % 2, -100, last + 1)
            yield good.but("a class too high among ignored ones", {"targets": some})
            even = np.full_like(values, 1 / values.shape[1])
            yield good.but("probabilities of another dtype", {"targets": even.astype(other(dtype))})
            yield good.but("probabilities of fewer rows", {"targets": even[1:]})
            for value in (-0.5, 1.5, np.nan):
                yield good.but(f"a target probability of {value}", {"targets": with_one(even, value)})
            ones = np.ones(values.shape[1], dtype)
            yield good.but("weights of another dtype", {"weight": ones.astype(other(dtype))})
            yield good.but("a weight too few", {"weight": ones[1:]})
            yield good.but("weights of zeros", {"weight": 0 * ones})
            for value in (-0.1, 1.5, np.nan):
                yield good.but(f"label_smoothing {value}", label_smoothing=value)
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


RARE = {
    "certain and right": "probabilities of exactly 0 and 1",
    "near the minimum": "almost no loss left",
}


RARE_OF_CLASSES = {"smallest": "a single class"} | {
    f"{case}, {reduction}": what
    for case, what in {
        "ignored": "targets that do not count",
        "probabilities": "probabilities as targets",
        "weighted probabilities": "probabilities as targets",
        "further axes": "axes behind that of the classes",
        "pixels": "axes behind that of the classes",
        "pixels of probabilities": "axes behind that of the classes",
        "a single example": "an example without an axis for the batch",
    }.items()
    for reduction in ("mean", "none")
}


def _component(
    name: str,
    cases: Callable[[np.random.Generator, Any], Iterator[Case]],
    random_case: Callable[[Choose, Any], Case],
    budget: Budget,
    magnitude: Callable[[Case], dict[str, Any]],
    mistakes: tuple[Mistake, ...],
    edges: Callable[[Case], Iterator[Edge]] = edges_of_targets,
    departures: tuple[Departure, ...] = (),
    terms: Callable[[Case], dict[str, Any]] = lambda case: {},
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        prediction, options = next(iter(case.arrays)), {**case.options, **_weights(case)}
        loss, cache = getattr(f, f"{name}_forward")(case[prediction], case["targets"], **options)
        gradient = getattr(f, f"{name}_backward")(case["dloss"], cache)
        return {"loss": of_any_zero(name, loss), f"grad.{prediction}": gradient}

    def run_torch(case: Case) -> Results:
        prediction, options = next(iter(case.arrays)), {**case.options, **_weights(case)}
        inputs = {prediction: differentiable(case[prediction])}
        targets = case["targets"]
        if targets.dtype == torch.int32:  # PyTorch takes classes of 64 bits only
            targets = targets.long()
        loss = getattr(reference, name)(case[prediction], targets, **options)
        found = gradients(loss, case["dloss"], **inputs)
        return {"loss": of_any_zero(name, loss), **found}

    def quiet(scales: Callable[[Case], dict[str, Any]]) -> Callable[[Case], dict[str, Any]]:
        return np.errstate(all="ignore")(scales)  # NaN and infinities: only their pattern is compared

    return Component(
        name=name,
        topic="losses",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html",
        functions=(f"{name}_forward", f"{name}_backward"),
        reference=(name,),
        cases=cases,
        rare=RARE | (RARE_OF_CLASSES if name == "cross_entropy" else {}),
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=budget,
        magnitude=quiet(magnitude),
        terms=quiet(terms),
        refused=_refused(cases),
        mistakes=mistakes,
        edges=Edges(rows=("logits", "probabilities", "input", "targets"), others=edges),
        departures=departures,
    )


def of_any_zero(name: str, loss: Any) -> Any:
    """The loss, of classes 0 for −0: PyTorch takes the minus of −log p last, so that its 0 is −0."""
    return unsigned_zeros(loss) if name == "cross_entropy" else loss


def _weights(case: Case) -> dict[str, Any]:
    return {name: case[name] for name in ("weight", "pos_weight") if name in case.arrays}


def binary_logits_magnitude(case: Case) -> dict[str, Any]:
    """(1 − y)·x − log σ(x) is a difference of two terms, σ(x) − y one of two numbers: on the right side, or
    near the minimum, little is left of either. Counted in what they are made of: the mean (or sum) of
    |(1 − y)·x| + |log σ(x)|, and (σ(x) + y)·|dloss|/n; a `pos_weight` q adds |q − 1|·y·|log σ(x)| to the
    one and q·y·(1 + σ(x)) to the other.

    Below the smallest normal number σ's rounding unit no longer shrinks (PyTorch's σ is 0 there), and dloss
    magnifies it: one such unit is added. Where nothing but an underflow is left, even its sign is open.
    """
    x, y, scale = _in_float64(case, "logits")
    log_sigmoid = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    terms, sigmoid = np.abs((1 - y) * x) - log_sigmoid, np.exp(log_sigmoid)
    slopes = sigmoid + y
    if "pos_weight" in case.arrays:
        q = case["pos_weight"].astype(np.float64)
        terms, slopes = terms - np.abs(q - 1) * y * log_sigmoid, slopes + q * y * (1 + sigmoid)
    weight = np.abs(_weights(case).get("weight", np.float64(1)).astype(np.float64))
    factor, info = weight * scale / _count(case, x.size), np.finfo(case.dtype)
    gradient = _not_0(slopes, factor)
    gradient = gradient + np.where(gradient < info.tiny, 0, info.tiny / info.eps * factor)
    return {"loss": _reduced(case, weight * terms, x.size), "grad.logits": gradient}


def probability_magnitude(case: Case) -> dict[str, Any]:
    """No cancellation but for weights below 0: both terms of the loss are ≥ 0, and p − y is one rounding of
    two given numbers. So the gradient is counted element by element in itself: at p = 0 and 1 it is 10¹²
    times that of its neighbours, beside which any error in them would go unseen. PyTorch forms
    dloss·(p − y) first: where that is below the smallest normal number its rounding unit no longer shrinks,
    and the division by 10⁻¹² magnifies it.
    """
    p, y, _ = _in_float64(case, "probabilities")
    gradient = _probability_gradient(case, np.abs(p - y))
    weight = _weights(case).get("weight", np.float64(1)).astype(np.float64)
    if (weight >= 0).all():
        return gradient
    logs = np.maximum(np.log(p), -100), np.maximum(np.log(1 - p), -100)
    terms = np.abs(weight * (y * logs[0] + (1 - y) * logs[1]))
    return {"loss": _reduced(case, terms, p.size), **gradient}


def probability_terms(case: Case) -> dict[str, Any]:
    """−y/p + (1 − y)/(1 − p) is the same gradient as a difference, and what autograd makes of the loss: both
    terms are rounded, and near the minimum little else is left. With the denominator in common it is counted
    in |p − y| no longer, but in y·(1 − p) + (1 − y)·p.
    """
    p, y, _ = _in_float64(case, "probabilities")
    return _probability_gradient(case, y * (1 - p) + (1 - y) * p)


def _probability_gradient(case: Case, numerator: np.ndarray) -> dict[str, Any]:
    """The scale of the gradient, of what stands above p(1 − p) in it."""
    p, _, scale = _in_float64(case, "probabilities")
    product = np.where(numerator == 0, 0, np.maximum(numerator * scale, np.finfo(case.dtype).tiny))
    weight = np.abs(_weights(case).get("weight", np.float64(1)).astype(np.float64))
    gradient = weight * product / np.maximum(p * (1 - p), EPSILON) / _count(case, p.size)
    return {"grad.probabilities": gradient}


def classes_magnitude(case: Case) -> dict[str, Any]:
    """With s = log Σ e^(x − m), log p = (x − m) − s and the target distribution q:

    Loss: s − (x_j − m) is a difference, and a relative error of the sum Σ is an absolute one of its
    logarithm, however small that is: the mean (or sum) of Σ_j |q_j|·(1 + s + |x_j − m|).

    Gradient: p·Σq − q is a difference, and p = e^(log p) multiplies the rounding of log p by |log p|:
    (p·(1 + |log p|)·Σ|q| + |q|)·|dloss|/m. Where p is not 0, this is at least the smallest positive number: a
    fused multiply-add knows the sign of a p·dloss that underflows. So it is everywhere under weights below 0,
    which turn the sign of a 0 that they multiply, and of probabilities that may all be 0.
    """
    x, _, scale = _in_float64(case, "logits")
    axis = min(1, x.ndim - 1)
    q, counted = _distribution(case, axis)
    shifted = x - x.max(axis=axis, keepdims=True)
    s = np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    log_p = np.maximum(shifted - s, -1e9)  # so that p·|log p| is 0 at p = 0
    terms = np.exp(log_p) * (1 - log_p) * q.sum(axis=axis, keepdims=True) + q
    each = np.multiply(q, 1 + s - shifted, out=np.zeros_like(q), where=q != 0)
    losses = each.sum(axis=axis)
    share = (np.expand_dims(scale, axis) if np.ndim(scale) else scale) / _count(case, counted)
    gradient = _not_0(terms, share)
    if case["targets"].dtype.kind == "f" or (_weights(case).get("weight", np.ones(1)) < 0).any():
        gradient = np.maximum(gradient, np.finfo(np.float64).smallest_subnormal)
    return {"loss": _reduced(case, losses, counted), "grad.logits": gradient}


def _distribution(case: Case, axis: int) -> tuple[np.ndarray, float]:
    """What each class of each example counts for, like the logits, and how much counts in a mean."""
    logits, targets = case["logits"], case["targets"]
    column = (-1, *[1] * (logits.ndim - axis - 1))
    signed = _weights(case).get("weight", np.ones(logits.shape[axis])).astype(np.float64).reshape(column)
    weight = np.abs(signed)
    if targets.dtype.kind == "f":
        q, kept = targets.astype(np.float64), np.array(True)
        counted = float(np.prod(without_classes(logits.shape)))
    else:
        kept = np.expand_dims(targets != case.options.get("ignore_index", -100), axis)
        q = kept * (np.expand_dims(targets, axis) == np.arange(logits.shape[axis]).reshape(column))
        counted = _sum_of_weights(q * signed)
    smoothing = case.options.get("label_smoothing", 0.0)
    return ((1 - smoothing) * q + smoothing / logits.shape[axis]) * kept * weight, counted


def _sum_of_weights(weights: np.ndarray) -> float:
    """|Σw|, by which a mean divides; with signs among them as much less as their roundings count for more."""
    return weights.sum() ** 2 / np.abs(weights).sum() if (weights < 0).any() else weights.sum()


def squares_magnitude(case: Case) -> dict[str, Any]:
    """x − t is one rounding of two given numbers: the gradient is counted in itself, element by element.

    Below the smallest normal number its rounding unit no longer shrinks.
    """
    x, t, scale = _in_float64(case, "input")
    signed = _weights(case).get("weight", np.float64(1)).astype(np.float64)
    weight = np.abs(signed)
    count = _count(case, _sum_of_weights(signed) if "weight" in case.arrays else x.size)
    share = 2 * weight * scale / count  # first, since twice the largest number is infinite
    gradient = np.maximum(np.abs(x - t) * share, np.finfo(case.dtype).tiny)
    found = {"grad.input": np.where(x == t, 0, gradient)}
    if (signed < 0).any():  # then the terms of the loss cancel
        found["loss"] = _reduced(case, weight * (x - t) ** 2, count)
    return found


def _in_float64(case: Case, prediction: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wide = (case[name].astype(np.float64) for name in (prediction, "targets", "dloss"))
    x, y, dloss = wide
    return x, y, np.abs(dloss)


def _not_0(terms: np.ndarray, factor: float | np.ndarray) -> np.ndarray:
    """Their product, at least the smallest positive number where a term is not 0"""
    smallest = np.finfo(np.float64).smallest_subnormal
    return np.where(terms > 0, np.maximum(terms * factor, smallest), terms * factor)


def _reduced(case: Case, terms: np.ndarray, n: float) -> Any:
    return terms if case.options["reduction"] == "none" else terms.sum() / _count(case, n)


def _count(case: Case, n: float) -> float:
    return np.float64(n) if case.options["reduction"] == "mean" else np.float64(1)


SUMMED = Budget(
    8,
    "element by element an exponential and a logarithm, each of one to two units, and two or three roundings;"
    " terms of one sign summed in blocks add about one unit on each side",
)


def _mean_gradient_forgotten(before: str, after: str) -> Mistake:
    return Mistake(
        "gradient not averaged",
        "The loss is a mean, the gradient that of a sum: the 1/n is missing in the backward pass.",
        [(before, after)],
    )


def _batch_only(before: str, after: str) -> Mistake:
    return Mistake(
        "averaged over the batch only",
        "Divided by m where PyTorch divides by all m·outputs elements: seen with several outputs only.",
        [(before, after)],
        convention="the course and most textbooks, whose cost has 1/m",
    )


def _summed(before: str, after: str) -> Mistake:
    return Mistake(
        "summed, not averaged",
        "The sum where the mean was asked for: the steps grow with the batch.",
        [(before, after)],
    )


def _upstream_ignored(before: str, after: str) -> Mistake:
    return Mistake(
        "upstream gradient ignored",
        "The backward pass takes dloss for 1: right until the loss is scaled or has a second term.",
        [(before, after)],
    )


def _wrong_sign(*edits: tuple[str, str]) -> Mistake:
    return Mistake(
        "target minus prediction",
        "The difference is taken the wrong way round: gradient descent climbs.",
        edits,
    )


def _minus_forgotten(before: str, after: str) -> Mistake:
    return Mistake(
        "minus forgotten",
        "The logarithm of a probability is negative, and so is this loss: the better, the larger.",
        [(before, after)],
    )


def _weight_forgotten(before: str, after: str) -> Mistake:
    return Mistake(
        "weights forgotten in the backward pass",
        "The loss counts some examples more than others, its gradient all alike.",
        [(before, after)],
    )


BINARY_MEAN = 'n = logits.size if reduction == "mean" else 1'
PROBABILITY_MEAN = 'n = probabilities.size if reduction == "mean" else 1'
CLASSES_MEAN = 'm = counted if reduction == "mean" else 1'
SQUARES_MEAN = 'n = input.size if reduction == "mean" else 1'
BINARY_WEIGHTS = """
    if weight is not None and reduction == "mean":
        n = np.broadcast_to(weight, losses.shape).sum()"""
BINARY_LOSSES = "losses = (1 - targets) * logits - log_sigmoid"
CLASSES_LOSSES = "losses = np.log(total[:, 0]) - shifted[batch, classes]"
LARGEST = "    largest = rows.T.copy()"
SHIFTED = "shifted = rows - largest[:, np.newaxis]"
SIGMOID = "np.exp(np.minimum(logits, 0)) / (1 + e)"

COMPONENTS = (
    _component(
        "binary_cross_entropy_with_logits",
        binary_logits_cases,
        random_binary_logits,
        SUMMED,
        binary_logits_magnitude,
        (
            _mean_gradient_forgotten(
                "_weighted(difference, weight) * dloss / n", "_weighted(difference, weight) * dloss"
            ),
            _batch_only(BINARY_MEAN, BINARY_MEAN.replace("logits.size", "len(logits)")),
            _weight_forgotten("_weighted(difference, weight) * dloss", "difference * dloss"),
            Mistake(
                "pos_weight counts the negative examples too",
                "q·L is another weight of everything; of a negative example it leaves the loss as it is.",
                [
                    ("(pos_weight - 1) * targets * log_sigmoid", "(1 - pos_weight) * losses"),
                    ("(pos_weight - 1) * targets * (1 - sigmoid)", "(1 - pos_weight) * difference"),
                ],
            ),
            Mistake(
                "pos_weight forgotten in the backward pass",
                "The loss counts positive examples for more, its gradient does not.",
                [("(pos_weight - 1) * targets * (1 - sigmoid)", "0")],
            ),
            Mistake(
                "mean over the weights",
                "Divided by Σw, as PyTorch does for a squared error and for classes, and nowhere else.",
                [(BINARY_MEAN, BINARY_MEAN + BINARY_WEIGHTS)],
            ),
            _summed(BINARY_MEAN, "n = 1"),
            _upstream_ignored(
                "_weighted(difference, weight) * dloss / n", "_weighted(difference, weight) / n"
            ),
            _wrong_sign(("= sigmoid - targets", "= targets - sigmoid")),
            _minus_forgotten(BINARY_LOSSES, "losses = log_sigmoid - (1 - targets) * logits"),
            Mistake(
                "sigmoid twice",
                "The loss applies its own sigmoid: σ(σ(x)) is 0.5 to 0.73, and no example is ever learned.",
                [
                    (
                        "    log_sigmoid = np.minimum(logits, 0)",
                        f"    logits = {SIGMOID}\n    e = np.exp(-logits)\n"
                        "    log_sigmoid = np.minimum(logits, 0)",
                    ),
                    ("= sigmoid - targets", "= (sigmoid - targets) * logits * (1 - logits)"),
                ],
            ),
            Mistake(
                "sigmoid twice in the loss",
                "The gradient is right, but the loss is that of σ(σ(x)), and never falls below 0.31.",
                [(BINARY_LOSSES, f"p = {SIGMOID}\n    losses = (1 - targets) * p + np.log1p(np.exp(-p))")],
            ),
            Mistake(
                "logarithm of the sigmoid",
                "log(σ(x)) in two steps: σ(−1000) is 0, and its logarithm −∞.",
                [
                    (
                        BINARY_LOSSES,
                        f"p = {SIGMOID}\n    losses = -targets * np.log(p) - (1 - targets) * np.log(1 - p)",
                    )
                ],
            ),
            Mistake(
                "ε inside the logarithm",
                "log(σ(x) + 10⁻⁸) hides the infinity and bounds the loss of a wrong certainty at 18.",
                [
                    (
                        BINARY_LOSSES,
                        f"p = {SIGMOID}\n"
                        "    losses = -targets * np.log(p + 1e-8) - (1 - targets) * np.log(1 - p + 1e-8)",
                    )
                ],
            ),
            Mistake(
                "negative class forgotten",
                "−y log σ(x) alone: examples of class 0 cost nothing.",
                [(BINARY_LOSSES, "losses = -targets * log_sigmoid")],
            ),
            Mistake(
                "negative class forgotten in the gradient",
                "−y·(1 − σ) alone: examples of class 0 change nothing.",
                [("= sigmoid - targets", "= (sigmoid - 1) * targets")],
            ),
            Mistake(
                "logarithm to base 2",
                "The loss in bits: larger by 1/ln 2 = 1.44 than the one that the gradient belongs to.",
                [(BINARY_LOSSES, "losses = ((1 - targets) * logits - log_sigmoid) / float(np.log(2))")],
            ),
            Mistake(
                "sigmoid differentiated twice",
                "Multiplied by σ(1 − σ), which is in σ − y already: a wrong certainty stops learning.",
                [("= sigmoid - targets", "= (sigmoid - targets) * sigmoid * (1 - sigmoid)")],
            ),
        ),
    ),
    _component(
        "binary_cross_entropy",
        probability_cases,
        random_binary_probabilities,
        SUMMED,
        probability_magnitude,
        (
            _mean_gradient_forgotten("denominator, weight) * dloss / n", "denominator, weight) * dloss"),
            _weight_forgotten(
                "_weighted((probabilities - targets) / denominator, weight)",
                "(probabilities - targets) / denominator",
            ),
            _batch_only(
                PROBABILITY_MEAN, PROBABILITY_MEAN.replace("probabilities.size", "len(probabilities)")
            ),
            _summed(PROBABILITY_MEAN, "n = 1"),
            _upstream_ignored("denominator, weight) * dloss / n", "denominator, weight) / n"),
            _wrong_sign(("(probabilities - targets)", "(targets - probabilities)")),
            _minus_forgotten(
                "(targets - 1) * log_not_p - targets * log_p", "(1 - targets) * log_not_p + targets * log_p"
            ),
            Mistake(
                "logarithm not bounded",
                "−∞ at probabilities 0 and 1 (and NaN, from 0·∞, if they are right).",
                [
                    ("np.maximum(np.log(probabilities), -100)", "np.log(probabilities)"),
                    ("np.maximum(np.log1p(-probabilities), -100)", "np.log1p(-probabilities)"),
                ],
            ),
            Mistake(
                "ε inside the logarithm",
                "log(p + 10⁻⁸): a certain wrong answer costs 18 and not 100, the others a bit too little.",
                [
                    ("np.maximum(np.log(probabilities), -100)", "np.log(probabilities + 1e-8)"),
                    ("np.maximum(np.log1p(-probabilities), -100)", "np.log(1 - probabilities + 1e-8)"),
                ],
            ),
            Mistake(
                "negative class forgotten",
                "−y log p alone: examples of class 0 cost nothing.",
                [("(targets - 1) * log_not_p - targets * log_p", "-targets * log_p")],
            ),
            Mistake(
                "negative class forgotten in the gradient",
                "−y/p alone: examples of class 0 change nothing.",
                [("(probabilities - targets) / denominator", "targets * (probabilities - 1) / denominator")],
            ),
            Mistake(
                "log(1 − p) for log1p(−p)",
                "1 − p is rounded before the logarithm: for p below 10⁻¹⁶ its loss is 0.",
                [("np.log1p(-probabilities)", "np.log(1 - probabilities)")],
            ),
            Mistake(
                "probabilities clipped",
                "p is moved into [10⁻⁷, 1 − 10⁻⁷]: at most 16 where PyTorch goes up to 100.",
                [
                    (
                        "        log_p =",
                        "        probabilities = np.clip(probabilities, 1e-7, 1 - 1e-7)\n        log_p =",
                    )
                ],
                convention="Keras",
            ),
            Mistake(
                "gradient of the logits",
                "p − y belongs to the logit before the sigmoid; the probability's is (p − y)/(p(1 − p)).",
                [("(probabilities - targets) / denominator", "(probabilities - targets)")],
            ),
            Mistake(
                "denominator not bounded",
                "Divided by p(1 − p) as it is: infinite, or 0/0, at probabilities 0 and 1.",
                [
                    (
                        "np.maximum(probabilities * (1 - probabilities), EPSILON)",
                        "probabilities * (1 - probabilities)",
                    )
                ],
            ),
            Mistake(
                "denominator 1 − p only",
                "The derivative of −y log p is −y/p: one of the two factors is missing.",
                [("np.maximum(probabilities * (1 - probabilities),", "np.maximum(1 - probabilities,")],
            ),
        ),
        terms=probability_terms,
    ),
    _component(
        "cross_entropy",
        classes_cases,
        random_classes,
        SUMMED,
        classes_magnitude,
        (
            _mean_gradient_forgotten("share = dloss / (m or 1)", "share = 1.0 * dloss"),
            Mistake(
                "gradient averaged over the classes too",
                "The loss is divided by m, its gradient by m·classes, as dlogits.size or a mean would do.",
                [("dloss / (m or 1)", "dloss / (m or 1) / softmax.shape[1]")],
            ),
            Mistake(
                "averaged over batch and classes",
                "Divided by m·classes: the softmax cross-entropy has one term an example, not one a class.",
                [(CLASSES_MEAN, CLASSES_MEAN.replace("counted", "counted * rows.shape[1]"))],
            ),
            Mistake(
                "averaged over the classes",
                "Divided by the number of classes where the batch size belongs.",
                [(CLASSES_MEAN, CLASSES_MEAN.replace("counted", "rows.shape[1]"))],
            ),
            _summed(CLASSES_MEAN, "m = 1"),
            _upstream_ignored("share = dloss / (m or 1)", "share = np.ones(shape) / (m or 1)"),
            _wrong_sign(
                ("    dlogits -= softmax * (0 - column)", "    dlogits = softmax * (0 - column) - dlogits")
            ),
            _minus_forgotten(CLASSES_LOSSES, "losses = shifted[batch, classes] - np.log(total[:, 0])"),
            Mistake(
                "softmax over the wrong axis",
                "Normalised over the batch: the probabilities of an example do not add up to 1.",
                [
                    (SHIFTED, "shifted = rows - rows.max(axis=0, initial=-np.inf)"),
                    (
                        "e.sum(axis=1, keepdims=True)  # (batch, 1)",
                        "e.sum(axis=0, keepdims=True)  # (1, classes)",
                    ),
                    ("np.log(total[:, 0])", "np.log(total[0, classes])"),
                ],
            ),
            Mistake(
                "softmax twice",
                "The loss applies its own softmax, which makes probabilities nearly equal: learning crawls.",
                [
                    (
                        LARGEST,
                        "    e = np.exp(rows - rows.max(axis=1, keepdims=True))\n"
                        f"    rows = e / e.sum(axis=1, keepdims=True)\n{LARGEST}",
                    ),
                    (
                        "(e / total, batch, classes, q, m, loss.shape, logits.shape)",
                        "(e / total, batch, classes, q, m, loss.shape, (logits.shape, rows))",
                    ),
                    (
                        "shape, shape_of_logits = cache",
                        "shape, (shape_of_logits, p) = cache",
                    ),
                    (
                        "    return _from_rows(dlogits,",
                        "    dlogits = p * (dlogits - (dlogits * p).sum(axis=1, keepdims=True))\n"
                        "    return _from_rows(dlogits,",
                    ),
                ],
            ),
            Mistake(
                "softmax twice in the loss",
                "The gradient is right, but the loss is that of the softmax of the softmax.",
                [
                    (
                        CLASSES_LOSSES,
                        "p = e / total\n        losses = np.log(np.exp(p).sum(axis=1)) - p[batch, classes]",
                    )
                ],
            ),
            Mistake(
                "largest logit not subtracted",
                "log Σ eˣ as it stands: e¹⁰⁰⁰ overflows, and the loss is infinite or NaN.",
                [(SHIFTED, "shifted = logits")],
            ),
            Mistake(
                "largest logit of the batch",
                "One maximum for all rows: a row far below it becomes log 0.",
                [(SHIFTED, "shifted = logits - logits.max(initial=-np.inf)")],
            ),
            Mistake(
                "logarithm of the softmax",
                "log(softmax(x)) in two steps: a probability that underflows to 0 gives −∞.",
                [(CLASSES_LOSSES, "losses = -np.log(e / total)[batch, classes]")],
            ),
            Mistake(
                "ε inside the logarithm",
                "log(p + 10⁻⁸) hides the infinity and bounds the loss at 18.",
                [(CLASSES_LOSSES, "losses = -np.log(e / total + 1e-8)[batch, classes]")],
            ),
            Mistake(
                "every row by every target",
                "p[:, y] is m×m: each row is asked for the targets of all; p[arange(m), y] is meant.",
                [(CLASSES_LOSSES, "losses = np.log(total) - shifted[:, classes]")],
            ),
            Mistake(
                "every row by every target, averaged",
                "p[:, y] is m×m: the mean of it mixes the targets of all rows; p[arange(m), y] is meant.",
                [(CLASSES_LOSSES, "losses = (np.log(total) - shifted[:, classes]).mean(axis=1)")],
            ),
            Mistake(
                "target subtracted in every row",
                "p[:, y] −= 1 goes through all rows: each is pushed towards the targets of all.",
                [("dlogits[batch, classes] = -each", "dlogits[:, classes] = -each")],
            ),
            Mistake(
                "targets counted from 1",
                "The 1 is subtracted one class to the left of the target.",
                [("dlogits[batch, classes] =", "dlogits[batch, classes - 1] =")],
            ),
            Mistake(
                "targets not one-hot",
                "p − y with y the number of the class, broadcast over all classes.",
                [
                    ("dlogits[batch, classes] = -each", "dlogits -= classes[:, np.newaxis] * column"),
                ],
            ),
            Mistake(
                "target not subtracted",
                "p alone: every logit is pushed down, the right one too.",
                [("dlogits[batch, classes] = -each", "pass")],
            ),
            Mistake(
                "weighted mean divided by the batch",
                "1/m·Σw·L, where the divisor is Σw: with rare classes in the batch, the steps grow.",
                [("counted = (q if weight is None else _times(q, weight)).sum()", "counted = q.sum()")],
                convention="Keras' class_weight and sample_weight",
            ),
            Mistake(
                "ignored examples counted in the mean",
                "Divided by all examples: the more padding in a batch, the smaller the loss and the steps.",
                [
                    (
                        "counted = (q if weight is None else _times(q, weight)).sum()",
                        "counted = len(rows) if weight is None else weight[y].sum()",
                    )
                ],
            ),
            Mistake(
                "gradient of ignored examples",
                "The loss leaves them out, the gradient does not: they pull towards no class, away from all.",
                [
                    (
                        "column * q.sum(axis=1, keepdims=True)",
                        "column * np.where(q.any(axis=1, keepdims=True), q.sum(axis=1, keepdims=True), 1)",
                    )
                ],
            ),
            Mistake(
                "weights of the target alone in the gradient",
                "p − w_y·[j = y], where w_y belongs to both terms: the gradients no longer add up to 0.",
                [("        column = column * q.sum(axis=1, keepdims=True)\n", "")],
            ),
            Mistake(
                "smoothing over the other classes",
                "ε/(K − 1) for each of the wrong classes: the right one has no share in ε.",
                [("label_smoothing / classes)", "label_smoothing / (classes - 1) * (1 - q))")],
                convention="fairseq",
            ),
            Mistake(
                "smoothing without 1 − ε",
                "ε is added to every class, and taken from none: the targets add up to 1 + ε.",
                [("(1 - label_smoothing) * q +", "q +")],
            ),
            Mistake(
                "smoothing without 1/K",
                "Each class gets ε, where all of them share it.",
                [("label_smoothing / classes)", "label_smoothing)")],
            ),
            Mistake(
                "weights forgotten in the smoothed part",
                "ε/K·Σ −log p without the weights: they belong to every class that has a share.",
                [
                    (
                        "(1 - label_smoothing) * q +",
                        "(1 - label_smoothing) * q * (1 if weight is None else weight) +",
                    ),
                    ("return q if weight is None else _times(q, weight), counted", "return q, counted"),
                ],
            ),
            Mistake(
                "the target's weight for the smoothed part",
                "The weights are of classes, not of examples: what the other classes share has theirs.",
                [
                    (
                        "return q if weight is None else _times(q, weight), counted",
                        'w = 1 if weight is None else weight if targets.dtype.kind == "f" else weight[y]\n'
                        "    return q * w, counted",
                    ),
                ],
                convention="Keras, whose class_weight is one of examples",
            ),
            Mistake(
                "rows cut from the wrong axis",
                "reshape(−1, classes) of (batch, classes, …) mixes positions: first the classes go last.",
                [
                    (
                        "np.moveaxis(scores, min(1, scores.ndim - 1), -1)",
                        "scores.reshape(len(scores), -1, *scores.shape[1:2])",
                    )
                ],
            ),
            Mistake(
                "the most probable class alone",
                "argmax of the target probabilities: whatever the others say is lost.",
                [
                    (
                        "_rows(targets).copy()",
                        "np.eye(classes, dtype=rows.dtype)[_rows(targets).argmax(axis=1)]",
                    )
                ],
            ),
            Mistake(
                "divided by the sum of the probabilities' weights",
                "Of classes the mean divides by Σw; of probabilities PyTorch divides by their number.",
                [
                    (
                        "True, len(rows)",
                        "True, (_rows(targets) if weight is None else _rows(targets) * weight).sum()",
                    )
                ],
            ),
        ),
        edges_of_classes,
        (
            Departure(
                ("no classes",),
                ("no examples",),
                "NumPy knows no largest of no logits, and says so; PyTorch's loss is NaN.",
            ),
            Departure(
                ("all weights 0", "a class of weight 0"),
                ("", "sum"),
                "PyTorch's gradient is −0 at a target of weight 0, scratch's is 0.",
            ),
            Departure(
                ("a class of probability 0 at −∞",),
                ("",),
                "A class without a share in the target costs nothing: 0·∞ is 0, where PyTorch has NaN.",
            ),
        ),
    ),
    _component(
        "mse_loss",
        squares_cases,
        random_squares,
        SUMMED,
        squares_magnitude,
        (
            _mean_gradient_forgotten("difference / n * 2", "difference * 2"),
            _batch_only(SQUARES_MEAN, SQUARES_MEAN.replace("input.size", "len(input)")),
            _weight_forgotten("_weighted(difference / n * 2, weight) * dloss", "difference / n * 2 * dloss"),
            Mistake(
                "weights not divided by",
                "Σw·L/n: PyTorch divides the squared error by Σw, so that weights of 2 change nothing.",
                [("        n = weight.sum()\n", "        n = input.size\n")],
            ),
            _summed(SQUARES_MEAN, "n = 1"),
            _upstream_ignored("n * 2, weight) * dloss", "n * 2, weight)"),
            _wrong_sign(("difference / n * 2", "-difference / n * 2")),
            Mistake(
                "2 forgotten",
                "The gradient of ½(x − t)² beside the loss (x − t)²: steps of half the length.",
                [("difference / n * 2", "difference / n")],
            ),
            Mistake(
                "half of the square",
                "½(x − t)², whose gradient is x − t: PyTorch has no ½.",
                [
                    ("difference * difference", "difference * difference / 2"),
                    ("difference / n * 2", "difference / n * 1"),
                ],
                convention="many textbooks, d2l.ai and optax.l2_loss",
            ),
            Mistake(
                "half of the square in the loss alone",
                "½(x − t)² beside the gradient 2·(x − t).",
                [("difference * difference", "0.5 * difference * difference")],
            ),
            Mistake(
                "root of the mean",
                "√(1/n Σ(x − t)²) is another function, whose gradient is divided by the loss.",
                [
                    (
                        "loss = _reduced(losses, reduction) / n",
                        "loss = (_reduced(losses, reduction) / n) ** 0.5",
                    )
                ],
            ),
            Mistake(
                "absolute value",
                "|x − t| is another loss (L1): the square is forgotten.",
                [("difference * difference", "np.abs(difference)")],
            ),
        ),
    ),
)
