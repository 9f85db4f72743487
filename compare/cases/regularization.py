"""The L2 penalty, its equivalence with weight decay, and dropout on shared masks."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_seed, any_shape, any_size, chance, floats
from compare.cases.inputs import SIZES, SPECIAL, fortran, normal, other, strided, subnormals
from compare.cases.limits import BEYOND, FLOAT32, FLOAT64, LARGEST, at, bad, edge, elementwise
from compare.component import (
    OUR_DRAWS,
    SEEDED,
    Budget,
    Case,
    Choose,
    Component,
    Departure,
    Edge,
    Edges,
    Mistake,
    Results,
    Stream,
)
from torch_ref import regularization as reference

NETWORKS = {  # name of a case → the widths of a network, input to output
    "typical": (20, 16, 10),
    "smallest": (1, 1),
    "odd": (7, 13, 129, 3),
    "large": (1024, 512, 10),
}


def l2_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Weights of several layers, batch sizes and strengths that are no powers of two."""

    def case(name: str, widths: tuple[int, ...], l2: float = 0.7, m: int = 13, **kwargs: Any) -> Case:
        arrays = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            arrays[f"weight{i}"] = normal(rng, (fan_out, fan_in), dtype)
            arrays[f"bias{i}"] = normal(rng, (fan_out,), dtype)
            arrays[f"dweight{i}"] = normal(rng, (fan_out, fan_in), dtype)
            arrays[f"dbias{i}"] = normal(rng, (fan_out,), dtype)
        arrays["dy"] = np.array(rng.standard_normal(), dtype)
        return Case(name, arrays, {"l2": l2, "m": m}, dtype=dtype, **kwargs)

    for name, widths in NETWORKS.items():
        yield case(name, widths)
    yield case("no penalty", (7, 5, 3), l2=0.0)
    yield case("batch of one", (7, 5, 3), m=1)
    yield case("strong", (7, 5, 3), l2=1e3, m=3)
    yield case("weak", (7, 5, 3), l2=1e-7, m=60000)
    zeros = case("zeros", (4, 3))
    yield Case("zeros", {**zeros.arrays, "weight1": np.full((3, 4), -0.0, dtype)}, zeros.options, dtype=dtype)
    large = case("values of 1e3", (7, 5, 3))
    for array in large.arrays.values():
        array[...] *= 1e3
    yield large
    cube = {name: normal(rng, (2, 3, 4), dtype) for name in ("bias1", "dbias1")}
    yield case("", (4, 3)).but("a bias of three dimensions", cube)
    tiny = case("subnormal", (3, 4))
    for name in ("weight1", "dweight1"):
        tiny[name][...] = np.array(subnormals(dtype)) * rng.choice([-1, 1], (4, 3))
    yield tiny
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        plain = case(name, (7, 13, 5))
        arrays = {key: layout(value) if value.ndim else value for key, value in plain.arrays.items()}
        yield Case(name, arrays, plain.options, dtype=dtype)
    broken = case("nan and infinity", (4, 3, 2), finite=False)
    broken["weight1"][0, 1], broken["weight2"][1, 0] = np.nan, np.inf
    yield broken


def l2_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """No strength, no examples, and weights that are no numbers or of two dtypes."""
    good = next(iter(l2_cases(rng, dtype)))
    for l2 in (-0.1, np.nan, np.inf):
        yield good.but(f"l2 {l2}", l2=l2)
    for m in (0, -1):
        yield good.but(f"m {m}", m=m)
    yield good.but("integers", {"weight1": good["weight1"].astype(np.int64)})
    yield good.but("two dtypes", {"weight2": good["weight2"].astype(other(dtype))})


def l2_random_case(choose: Choose, dtype: Any) -> Case:
    """Weights and biases of one to three layers, their gradients, and any strength."""
    widths = [any_size(choose, 0, 40) for _ in range(choose.integer(2, 4))]
    arrays = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        for name in ("weight", "dweight"):
            arrays[f"{name}{i}"] = floats(choose, (fan_out, fan_in), dtype)
        for name in ("bias", "dbias"):
            arrays[f"{name}{i}"] = floats(choose, (fan_out,), dtype)
    arrays["dy"] = floats(choose, (), dtype)
    l2 = choose.number(1e-8, 1e4) if chance(choose) else 0.0
    return Case("random", arrays, {"l2": l2, "m": choose.integer(1, 10**6)}, dtype=dtype)


def l2_edges(base: Case) -> Iterator[Edge]:
    """No weights, and any strength."""
    empty = {name: array[:0] for name, array in base.arrays.items() if array.ndim}
    yield edge(base, "empty weights", arrays=empty)
    yield from at(base, "l2", 0.0, 5e-324, 1e308)
    yield from at(base, "m", 0, 1, 10**6)
    yield from bad(base, "l2")


def dropout_random_case(choose: Choose, dtype: Any) -> Case:
    """Any probability, both ends among them."""
    shape = any_shape(choose)
    arrays = {"x": floats(choose, shape, dtype, (-12, 12)), "dy": floats(choose, shape, dtype)}
    return Case("random", arrays, {"p": choose.number(0, 1)}, any_seed(choose), dtype)


def dropout_edges(base: Case) -> Iterator[Edge]:
    """And any probability."""
    yield from elementwise(base)
    yield from at(base, "p", 0.0, 1.0, 5e-324, 1 - 2**-53, -0.0, 1.1)
    yield from bad(base, "p")


def dropout_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """A p that is no probability, integers, and an upstream gradient that does not fit."""
    good = next(iter(dropout_cases(rng, dtype)))
    for p in (-0.1, 1.1, np.nan, np.inf):
        yield good.but(f"p {p}", p=p)
    yield good.but("integers", {"x": np.arange(3)})
    yield good.but("upstream of another shape", {"dy": good["dy"][0]})


def run_scratch_penalty(case: Case, f: Any) -> Results:
    """The penalty of all weights, and the gradient of each one by hand."""
    weights = _of(case, "weight")
    results = {"output": np.asarray(f.l2_penalty(weights.values(), **case.options))}
    for name, weight in weights.items():
        results[f"grad.{name}"] = case["dy"] * f.l2_gradient(weight, **case.options)
    return results


def run_torch_penalty(case: Case) -> Results:
    """The penalty as an expression, and autograd."""
    weights = {name: differentiable(weight) for name, weight in _of(case, "weight").items()}
    penalty = torch.as_tensor(reference.l2_penalty(weights.values(), **case.options))
    return {"output": penalty, **gradients(penalty, case["dy"], **weights)}


def run_scratch_decay(case: Case, f: Any) -> Results:
    """One step on cost + penalty."""
    parameters = _of(case, "weight") | _of(case, "bias")
    found = {name: case[f"d{name}"] for name in parameters}
    stepped = f.sgd_step_with_l2(parameters, found, lr=0.3, **case.options)
    return {f"param.{name}": value for name, value in stepped.items()}


def run_torch_decay(case: Case) -> Results:
    """torch.optim.SGD with weight_decay = λ/m on the weights, which knows nothing of a penalty."""
    weights, biases = _of(case, "weight"), _of(case, "bias")
    optimizer = reference.sgd_with_weight_decay(weights.values(), biases.values(), lr=0.3, **case.options)
    for name, parameter in (weights | biases).items():
        parameter.grad = case[f"d{name}"]
    optimizer.step()
    return {f"param.{name}": parameter for name, parameter in (weights | biases).items()}


def decay_magnitude(case: Case) -> dict[str, Any]:
    """W − lr·(dW + λ/m·W) adds three terms that may cancel: |W| + lr·(|dW| + λ/m·|W|), element by element."""
    decay = case.options["l2"] / case.options["m"]
    scales = {}
    for kind, factor in (("weight", decay), ("bias", 0)):
        for name, parameter in _of(case, kind).items():
            size = np.abs(np.where(np.isfinite(parameter), parameter, 0))
            scales[f"param.{name}"] = size + 0.3 * (np.abs(case[f"d{name}"]) + factor * size)
    return scales


def _of(case: Case, kind: str) -> dict[str, Any]:
    return {name: array for name, array in case.arrays.items() if name.startswith(kind)}


def dropout_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Probabilities with no short binary form, both ends, and values for which 0·x is not 0."""

    def case(name: str, x: np.ndarray, p: float = 0.3, **kwargs: Any) -> Case:
        arrays = {"x": x, "dy": normal(rng, x.shape, dtype)}
        return Case(name, arrays, {"p": p}, seed=int(rng.integers(2**31)), dtype=dtype, **kwargs)

    for name, shape in SIZES.items():
        yield case(name, normal(rng, shape, dtype))
    for p in (0.0, 0.1, 0.5, 0.8, 0.999, 1.0):
        yield case(f"p = {p}", normal(rng, (13, 7), dtype), p)
    zeros = np.array([0.0, -0.0, *subnormals(dtype), *(-x for x in subnormals(dtype))], dtype)
    yield case("zeros and subnormals", np.repeat(zeros, 8))
    yield case("large values", 1e30 * normal(rng, (13, 7), dtype))
    for p in (0.0, 0.3, 1.0):
        yield case(f"nan and infinity, p = {p}", np.array(SPECIAL * 4, dtype), p, finite=False)
    yield case("fortran order", fortran(normal(rng, (13, 7), dtype)))
    yield case("not contiguous", strided(normal(rng, (13, 7), dtype)))
    yield case("empty", normal(rng, (0, 3), dtype))
    yield case("after a relu", np.maximum(normal(rng, (13, 7), dtype), 0))


def run_scratch_dropout(case: Case, f: Any) -> Results:
    """Training, evaluation, training: evaluation draws nothing, so the third pass shows the second mask."""
    x, dy, p, generator = case["x"], case["dy"], case.options["p"], case.generator()
    results: Results = {}
    for name, training in (("training", True), ("evaluation", False), ("again", True)):
        y, cache = f.dropout_forward(x, p, generator, training)
        results |= {f"{name}.output": y, f"{name}.grad.x": f.dropout_backward(dy, cache)}
    return results


def run_torch_dropout(case: Case) -> Results:
    """F.dropout and autograd, on the same draws."""
    x, dy, p = differentiable(case["x"]), case["dy"], case.options["p"]
    results: Results = {}
    with case.torch_draws():
        for name, training in (("training", True), ("evaluation", False), ("again", True)):
            y = reference.dropout(x, p, training)
            results |= {f"{name}.output": y, f"{name}.grad.x": gradients(y, dy, x=x)["grad.x"]}
    return results


def against_masks(cases: Sequence[Case], results: Sequence[Results], expected: Sequence[Results]) -> str:
    """What speaks against a mask of its own that drops a share p, the same forward and backward."""
    dropped = variance = number = 0.0
    for case, mine, right in zip(cases, results, expected, strict=True):
        x, dy, p = case["x"], case["dy"], case.options["p"]
        for name in ("training", "again"):
            kept = mine[f"{name}.output"] != 0
            masked = np.where(kept, 1 / (1 - p), 0)
            output, gradient = mine[f"{name}.output"], mine[f"{name}.grad.x"]
            if not np.allclose(output, x * masked, rtol=1e-6, atol=0):
                return f"what is kept is not x/(1 − p) in the case “{case.name}”"
            if not np.allclose(gradient, dy * masked, rtol=1e-6, atol=0) and x.all():
                return f"the gradient is not dy/(1 − p) where x was kept, else 0, in the case “{case.name}”"
            dropped += np.sum(~kept & (x != 0))
            number += p * np.sum(x != 0)
            variance += p * (1 - p) * np.sum(x != 0)
        if any(
            not np.array_equal(mine[f"evaluation.{of}"], right[f"evaluation.{of}"])
            for of in ("output", "grad.x")
        ):
            return "evaluation is no identity"
    if abs(dropped - number) > 6 * variance**0.5:
        return f"{dropped:.0f} elements are dropped where about {number:.0f} are meant"
    masks = [(mine["training.output"] != 0, mine["again.output"] != 0) for mine in results]
    if all(np.array_equal(first, second) for first, second in masks):
        return SEEDED
    if all(
        np.array_equal(a["training.output"] != 0, b["training.output"] != 0)
        for a, b in zip(results, expected, strict=True)
    ):
        return OUR_DRAWS
    return ""


PENALTY = "(weight * weight).sum()"
SCALED_WEIGHT = "return weight * (l2 / m)"
DECAYED = "gradient + l2_gradient(parameter, l2, m)"
IF_MATRIX = "        if parameter.ndim == 2:\n            gradient ="
UNSCALED = "        noise = noise / (1 - p)\n"

AUTOGRAD = "Autograd multiplies λ/2m, dloss and 2·W in another order than (λ/m)·W, and overflows elsewhere."

COMPONENTS = (
    Component(
        name="l2_penalty",
        topic="regularization",
        source="https://papers.nips.cc/paper/563-a-simple-weight-decay-can-improve-generalization",
        functions=("l2_penalty", "l2_gradient"),
        reference=("l2_penalty",),
        cases=l2_cases,
        random_case=l2_random_case,
        run_scratch=run_scratch_penalty,
        run_torch=run_torch_penalty,
        refused=l2_refused,
        edges=Edges(("batch of one",), ("weight1", "dy"), others=l2_edges),
        departures=(
            Departure(LARGEST, ("weight1", "one of weight1"), AUTOGRAD),
            Departure(("l2 = 1e308",), ("",), AUTOGRAD, FLOAT64),
        ),
        budget=Budget(32, "one sum of squares, all positive, in another order"),
        mistakes=(
            Mistake(
                "neither halved nor divided by m",
                "λ·Σ‖W‖² and 2λ·W, consistent with each other: 2m times the penalty.",
                [("l2 / (2 * m)", "l2"), (SCALED_WEIGHT, "return weight * (2 * l2)")],
                convention="Keras: regularizers.L2 has neither the ½ nor the 1/m; CS231n",
            ),
            Mistake(
                "neither divided by m",
                "(λ/2)·Σ‖W‖² and λ·W, consistent with each other: m times the penalty.",
                [("l2 / (2 * m)", "l2 / 2"), (SCALED_WEIGHT, "return weight * l2")],
                convention="CS231n and d2l.ai: (λ/2)·Σ‖W‖² beside a mean over the batch",
            ),
            Mistake(
                "½ forgotten",
                "(λ/m)·Σ‖W‖²: twice the penalty; its gradient no longer is (λ/m)·W.",
                [("(2 * m)", "(1 * m)")],
                convention="Keras: regularizers.L2 has neither the ½ nor the 1/m",
            ),
            Mistake(
                "penalty not divided by m",
                "(λ/2)·Σ‖W‖²: the penalty counts m times as much against the averaged cost.",
                [("(2 * m)", "(2 * 1)")],
                convention="CS231n and d2l.ai: (λ/2)·Σ‖W‖² beside a mean over the batch",
            ),
            Mistake(
                "sum of magnitudes",
                "Σ|W| instead of ΣW²: the L1 penalty, to which the gradient (λ/m)·W does not belong.",
                [(PENALTY, "np.abs(weight).sum()")],
            ),
            Mistake(
                "norm not squared",
                "‖W‖ instead of ‖W‖²: the root is taken by the library's norm and must be undone.",
                [(PENALTY, "(weight * weight).sum() ** 0.5")],
            ),
            Mistake(
                "last layer only",
                "The penalty is overwritten in the loop over the layers instead of added up.",
                [(f"{PENALTY} for weight in weights", f"{PENALTY} for weight in list(weights)[-1:]")],
            ),
            Mistake(
                "gradient with the 2",
                "(2λ/m)·W: the ½ of the penalty cancels the 2 of the square.",
                [(SCALED_WEIGHT, "return weight * (2 * l2 / m)")],
                convention="Keras: regularizers.L2 has neither the ½ nor the 1/m",
            ),
            Mistake(
                "gradient not divided by m",
                "λ·W: right for the penalty (λ/2)·Σ‖W‖² only.",
                [(SCALED_WEIGHT, "return weight * (l2 / 1)")],
                convention="CS231n, d2l.ai, and weight_decay of torch.optim",
            ),
            Mistake(
                "gradient with the sum of the weights",
                "(λ/m)·ΣW, one number for all: every weight is pushed the same way instead of towards 0.",
                [(SCALED_WEIGHT, "return weight.sum() * (l2 / m)")],
            ),
            Mistake(
                "penalty without its gradient",
                "The cost contains the penalty, the gradient does not: nothing is regularised.",
                [(SCALED_WEIGHT, "return np.zeros_like(weight)")],
            ),
        ),
    ),
    Component(
        name="weight_decay",
        topic="regularization",
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html",
        functions=("sgd_step_with_l2",),
        reference=("sgd_with_weight_decay",),
        cases=l2_cases,
        random_case=l2_random_case,
        run_scratch=run_scratch_decay,
        run_torch=run_torch_decay,
        magnitude=decay_magnitude,
        refused=l2_refused,
        edges=Edges(("batch of one",), ("weight1", "dweight1", "bias1", "dbias1"), others=l2_edges),
        departures=(Departure(("l2 = 1e308",), ("",), BEYOND, FLOAT32),),
        budget=Budget(4, "element by element: two products and two sums, each rounded once"),
        mistakes=(
            Mistake(
                "L2 on biases",
                "Every parameter decays: biases are too few to overfit with, and are pulled off their place.",
                [(IF_MATRIX, "        gradient =")],
                convention="torch.optim, given all parameters and one weight_decay",
            ),
            Mistake(
                "weight_decay = λ",
                "λ·W instead of (λ/m)·W: m times too strong, and the weights shrink to nothing.",
                [(DECAYED, "gradient + parameter * l2")],
                convention="CS231n and d2l.ai, whose penalty is (λ/2)·Σ‖W‖²",
            ),
            Mistake(
                "weight_decay = 2λ/m",
                "The 2 of the square has already cancelled the ½ of the penalty.",
                [(DECAYED, "gradient + parameter * (2 * l2 / m)")],
            ),
            Mistake(
                "wrong sign",
                "The weights grow: the term is subtracted from the gradient.",
                [(DECAYED, "gradient - l2_gradient(parameter, l2, m)")],
            ),
            Mistake(
                "sum of the weights",
                "(λ/m)·ΣW, one number for all: every weight is pushed the same way instead of towards 0.",
                [(DECAYED, "gradient + parameter.sum() * (l2 / m)")],
            ),
            Mistake(
                "no decay",
                "The penalty is in the cost that is printed, but not in the gradient.",
                [(f"{IF_MATRIX} {DECAYED}\n", "")],
            ),
        ),
    ),
    Component(
        name="dropout",
        topic="regularization",
        source="https://jmlr.org/papers/v15/srivastava14a.html",
        functions=("dropout_forward", "dropout_backward"),
        reference=("dropout",),
        cases=dropout_cases,
        rare={"p = 1.0": "p = 1"},
        stream=Stream("generator.dropout_mask(x, p)", against_masks),
        random_case=dropout_random_case,
        run_scratch=run_scratch_dropout,
        run_torch=run_torch_dropout,
        refused=dropout_refused,
        edges=Edges(rows=("x", "dy"), others=dropout_edges),
        budget=Budget(
            0,
            "the same mask, one quotient and one product, each rounded once on both sides",
            cuda_units=1,
            cuda_reason="the fused kernel multiplies by the rounded number 1/(1 − p)",
        ),
        mistakes=(
            Mistake(
                "no rescaling",
                "Without 1/(1 − p) the next layer gets less in training than in evaluation.",
                [(UNSCALED, "")],
            ),
            Mistake(
                "rescaled in evaluation instead",
                "y = x·(1 − p) in evaluation, and no division in training: not the inverted dropout.",
                [(UNSCALED, ""), ("return x.copy(), None", "return x * (1 - p), None")],
                convention="dropout as first published (Srivastava et al. 2014)",
            ),
            Mistake(
                "rescaled twice",
                "Divided by 1 − p with the mask and once more after it: the next layer gets too much.",
                [(UNSCALED, UNSCALED + UNSCALED)],
            ),
            Mistake(
                "rescaled in evaluation too",
                "Training has already divided by 1 − p; evaluation leaves x as it is.",
                [("return x.copy(), None", "return x * (1 - p), None")],
            ),
            Mistake(
                "divided by p",
                "mask/p instead of mask/(1 − p): unseen at p = ½, and activations explode at a small p.",
                [("noise / (1 - p)", "noise / p")],
            ),
            Mistake(
                "p taken as the keep probability",
                "Keeps a share p and drops 1 − p: PyTorch's p is the share that is dropped.",
                [("    if not training or", "    p = 1 - p\n    if not training or")],
                convention="TensorFlow 1, MindSpore before 2.0, and the course: their keep_prob",
            ),
            Mistake(
                "mask the other way round",
                "Keeps what should go: a share p, divided by 1 − p as if it were the rest.",
                [("noise = generator.dropout_mask(x, p)", "noise = 1 - generator.dropout_mask(x, p)")],
            ),
            Mistake(
                "active in evaluation",
                "Predictions become random: the mode is not asked for.",
                [("if not training or p == 0", "if p == 0")],
            ),
            Mistake(
                "fresh mask in the backward pass",
                "The gradient flows through units that were off, and not through units that were on.",
                [
                    (
                        UNSCALED,
                        f"{UNSCALED}        return x * noise, generator.dropout_mask(x, p) / (1 - p)\n",
                    )
                ],
            ),
            Mistake(
                "one mask for the whole batch",
                "Every example loses the same units: the batch trains one thinned network and not many.",
                [
                    (
                        "noise = generator.dropout_mask(x, p)",
                        "noise = generator.dropout_mask(x[:1], p).repeat(len(x), axis=0)",
                    )
                ],
            ),
            Mistake(
                "mask forgotten in the backward pass",
                "The gradient flows as if nothing had been dropped: units learn what they had no part in.",
                [("return dy * noise", "return dy")],
            ),
            Mistake(
                "mask read off the output",
                "What is 0 counts as dropped: where x was 0, as after a ReLU, no gradient comes through.",
                [("return x * noise, noise", "return x * noise, np.where(x == 0, x.dtype.type(0), noise)")],
            ),
            Mistake(
                "mask as output over input",
                "y/x is no mask where x is 0, as after a ReLU: there the gradient passes as it is.",
                [("return x * noise, noise", "return x * noise, np.where(x == 0, x.dtype.type(1), noise)")],
            ),
            Mistake(
                "rescaling forgotten in the backward pass",
                "dy·mask without 1/(1 − p): all layers below learn 1/(1 − p) times too slowly.",
                [("return dy * noise", "return dy * (noise > 0)")],
            ),
            Mistake(
                "NaN swallowed",
                "A choice instead of a product turns a dropped NaN into 0, and a broken run looks healthy.",
                [("return x * noise,", "return np.where(noise > 0, x * noise, x.dtype.type(0)),")],
                convention="flax",
            ),
            Mistake(
                "0/0 at p = 1",
                "mask/(1 − p) as it stands: where everything is dropped, everything becomes NaN.",
                [
                    (
                        "    if p == 1:\n        noise = np.zeros_like(x)\n    else:\n"
                        "        noise = generator.dropout_mask(x, p)\n        noise = noise / (1 - p)\n",
                        "    noise = generator.dropout_mask(x, p)\n    noise = noise / (1 - p)\n",
                    )
                ],
            ),
        ),
        arbiter=False,
    ),
)
