"""The affine layer."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_shape, any_size, chance, floats
from compare.cases.inputs import finite_part, fortran, normal, other, strided, subnormals
from compare.cases.limits import ADDITION, LARGEST, OVERFLOW, SUBNORMAL, edge
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from scratch.linear import Linear
from torch_ref import linear as reference


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Bias never zero, upstream never ones."""

    def case(name: str, batch: int, fan_in: int, fan_out: int, bias: bool = True, **kwargs: Any) -> Case:
        arrays = {
            "x": normal(rng, (batch, fan_in), dtype),
            "weight": normal(rng, (fan_out, fan_in), dtype),
            "dy": normal(rng, (batch, fan_out), dtype),
        }
        if bias:
            arrays["bias"] = normal(rng, (fan_out,), dtype)
        return Case(name, arrays, dtype=dtype, **kwargs)

    yield case("typical", 32, 20, 10)
    yield case("smallest", 2, 1, 1)
    yield case("odd", 13, 7, 129)
    yield case("large", 64, 1024, 129)
    large = case("", 13, 7, 5)
    yield Case("values of 1e3", {k: 1e3 * v for k, v in large.arrays.items()}, dtype=dtype)
    yield case("no bias", 13, 7, 5, bias=False)
    extreme = case("mixed scales", 32, 20, 10)
    scales = np.logspace(-6, 3, 20).astype(dtype)
    yield Case("mixed scales", {**extreme.arrays, "x": extreme["x"] * scales}, dtype=dtype)
    zeros = case("zeros", 5, 4, 3)
    yield Case("zeros", {**zeros.arrays, "x": np.full_like(zeros["x"], -0.0)}, dtype=dtype)
    tiny = case("subnormal", 5, 3, 4)
    # Halfway below the smallest normal number: where all products of a sum underflow, its sign is open.
    tiny["x"][...] *= subnormals(dtype)[1]
    tiny["dy"][:3] *= subnormals(dtype)[1]
    yield tiny
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        arrays = case(name, 13, 7, 5).arrays
        yield Case(name, {key: layout(value) for key, value in arrays.items()}, dtype=dtype)
    for name, front in {"a single example": (), "time steps": (4, 6), "more axes": (2, 3, 4)}.items():
        yield in_front(case(name, math.prod(front), 7, 5), front)
    steps = in_front(case("time steps first", 24, 7, 5), (6, 4))
    turned = {key: steps[key].swapaxes(0, 1) for key in ("x", "dy")}
    yield replace(steps, arrays={**steps.arrays, **turned})
    broken = case("nan and infinity", 6, 4, 3, finite=False)
    broken["x"][0, 1], broken["x"][2, 0], broken["x"][3, 3] = np.nan, np.inf, -np.inf
    broken["dy"][5, 0] = np.inf
    yield broken
    layer = case("a new layer", 13, 7, 5)
    yield replace(layer, options={"in_features": 7, "out_features": 5}, seed=int(rng.integers(2**31)))


def in_front(case: Case, front: tuple[int, ...]) -> Case:
    """The same with its examples along these axes."""
    rows = {key: case[key].reshape(*front, case[key].shape[-1]) for key in ("x", "dy")}
    return replace(case, arrays={**case.arrays, **rows})


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Every argument of another dtype, number of dimensions, or size."""
    good = next(iter(cases(rng, dtype)))
    yield good.but("integers", {"x": good["x"].astype(np.int64)})
    for name in ("x", "weight", "bias", "dy"):
        if name != "dy":  # autograd casts it, where we refuse
            yield good.but(f"{name} of another dtype", {name: good[name].astype(other(dtype))})
        yield good.but(f"{name} of too many dimensions", {name: good[name][None]})
        yield good.but(f"{name} of too few dimensions", {name: good[name][0, ...]})
        yield good.but(f"{name} too short", {name: good[name][..., 1:]})
    yield good.but("dy of too few rows", {"dy": good["dy"][1:]})
    yield good.but("no inputs", in_features=0, out_features=5)
    yield good.but("no outputs", in_features=7, out_features=0)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Any sizes, batches of none among them, each array of its own scale; with a bias or without."""
    front: tuple[int, ...] = (any_size(choose, 0, 300),)
    fan_in, fan_out = any_size(choose), any_size(choose)
    if choose.one_of((False, False, True)):
        front = any_shape(choose)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (*front, fan_in),
        "weight": (fan_out, fan_in),
        "dy": (*front, fan_out),
    }
    if chance(choose):
        shapes["bias"] = (fan_out,)
    arrays = {name: floats(choose, shape, dtype) for name, shape in shapes.items()}
    return Case("random", arrays, dtype=dtype)


def edges(base: Case) -> Iterator[Edge]:
    """No features on either side, no bias, and no axis for a batch, or one more."""
    x, weight, dy = (base[name] for name in ("x", "weight", "dy"))
    yield edge(base, "no input features", arrays={"x": x[:, :0], "weight": weight[:, :0]})
    none_out = {"weight": weight[:0], "dy": dy[:, :0], "bias": base["bias"][:0]}
    yield edge(base, "no output features", arrays=none_out)
    yield Edge("no bias", "", replace(base, arrays={"x": x, "weight": weight, "dy": dy}))
    yield edge(base, "a single example", arrays={"x": x[0], "dy": dy[0]})
    yield edge(base, "a single number", arrays={"x": np.array(x[0, 0]), "dy": dy[0]})
    for name, part in (("of length 1", slice(0, 1)), ("of length 0", slice(0, 0))):
        yield edge(base, "an axis in front", name, {"x": x[None][part], "dy": dy[None][part]})


ZEROS = (
    "Every product of a sum is below the smallest number, and whether the sum is +0 or −0 depends on where"
    " the kernel of a matrix product starts to add, and on whether it rounds each product."
)


SEVERAL = "several axes in front of the features"


def run_scratch(case: Case, f: Any) -> Results:
    """Forward and backward by hand."""
    y, cache = f.linear_forward(case["x"], case["weight"], case.arrays.get("bias"))
    dx, dweight, dbias = f.linear_backward(case["dy"], cache)
    results = {"output": y, "grad.x": dx, "grad.weight": dweight}
    if case.options:
        layer = Linear(**case.options, generator=case.generator(), dtype=case.dtype)
        results |= {f"initial.{name}": parameter for name, parameter in layer.parameters.items()}
    return results | ({"grad.bias": dbias} if "bias" in case.arrays else {})


def run_torch(case: Case) -> Results:
    """F.linear and autograd."""
    inputs = {name: differentiable(value) for name, value in case.arrays.items() if name != "dy"}
    inputs = {name: inputs[name] for name in ("x", "weight", "bias") if name in inputs}
    y = reference.linear(inputs["x"], inputs["weight"], inputs.get("bias"))
    results = {"output": y, **gradients(y, case["dy"], **inputs)}
    if case.options:
        with case.torch_draws():
            layer = reference.Linear(**case.options, dtype=case.dtype, device=case.device)
        results |= {f"initial.{name}": parameter for name, parameter in layer.named_parameters()}
    return results


def magnitude(case: Case) -> dict[str, Any]:
    """How large the partial sums are, which is what gets rounded, element by element.

    y_ni adds the terms t = x_nj W_ij and b_i. Where their signs are as good as random, the partial sums grow
    to √Σt², whatever the total then cancels to; where all have one sign, to the total: √(Σt² + (Σt)²).
    The same for the gradients: dx adds dy W, dW adds dy x, db adds dy.

    Where all terms are zeros, the scale is the smallest positive number instead, which leaves the sign of the
    sum open: 0 + (−0) is 0, so that it depends on what a matrix product starts from, 0 or its first term.
    What a new layer starts with is equal to the bit: its scale is 0.
    """
    x, weight, dy = (finite_part(case[name]) for name in ("x", "weight", "dy"))
    rows_of_x, rows_of_dy = (array.reshape(_sizes(case)[0], array.shape[-1]) for array in (x, dy))
    bias = finite_part(case.arrays.get("bias", np.zeros(1)))
    scales = {
        "output": _partial_sums(x, weight.T, bias),
        "grad.x": _partial_sums(dy, weight),
        "grad.weight": _partial_sums(rows_of_dy.T, rows_of_x),
        "grad.bias": _partial_sums(np.ones(len(rows_of_dy)), rows_of_dy),
    }
    smallest = np.finfo(np.float64).smallest_subnormal
    scales = {name: np.maximum(scale, smallest) for name, scale in scales.items()}
    return {**scales, "initial.weight": 0.0, "initial.bias": 0.0}


def _partial_sums(a: np.ndarray, b: np.ndarray, added: Any = 0.0) -> np.ndarray:
    return np.sqrt(a**2 @ b**2 + added**2 + (a @ b + added) ** 2)


def _sizes(case: Case) -> tuple[int, int, int]:
    fan_out, fan_in = case["weight"].shape
    return math.prod(case["x"].shape[:-1]), fan_in, fan_out


COMPONENTS = (
    Component(
        name="linear",
        topic="linear",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html",
        functions=("linear_forward", "linear_backward"),
        reference=("linear",),
        cases=cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        magnitude=magnitude,
        refused=refused,
        edges=Edges(rows=("x", "dy"), others=edges),
        rare={
            "a single example": "an example without an axis for the batch",
            "time steps": SEVERAL,
            "more axes": SEVERAL,
            "time steps first": SEVERAL,
        },
        departures=(
            Departure(SUBNORMAL, ("x",), ZEROS, depends_on=ADDITION),
            Departure(LARGEST, ("x", "weight", "dy"), OVERFLOW, depends_on=ADDITION),
        ),
        budget=Budget(
            lambda case: sum_units(max(_sizes(case)), math.prod(sorted(_sizes(case))[1:])),
            "N sums of n terms in another order, the longest and the most of them in the case:"
            " ¼·√n·ln(10⁶·N) units of the partial sums, at least 32",
        ),
        mistakes=(
            Mistake(
                "bias gradient averaged",
                "The mean over the batch where the sum belongs: the 1/m of the cost is already in dy.",
                [("rows.sum(axis=0, out=out[1])", "rows.mean(axis=0, out=out[1])")],
            ),
            Mistake(
                "weight gradient averaged",
                "Divided by the batch size a second time: the 1/m of the cost is already in dy.",
                [
                    (
                        "np.matmul(rows.T, _rows(x), out=out[0])",
                        "np.matmul(rows.T, _rows(x), out=out[0]) / len(rows)",
                    )
                ],
            ),
            Mistake(
                "bias gradient in one number",
                "np.sum(dy) without an axis: the same for all units, and of no shape.",
                [("rows.sum(axis=0, out=out[1])", "dy.sum()")],
            ),
            Mistake(
                "bias gradient over the wrong axis",
                "Summed over the units instead of over the batch: as many numbers as there are examples.",
                [("rows.sum(axis=0, out=out[1])", "rows.sum(axis=1, out=out[1])")],
            ),
            Mistake(
                "bias gradient with a row too many",
                "keepdims=True leaves (1, units), and bias − lr·dbias is then no vector any more.",
                [("rows.sum(axis=0, out=out[1])", "rows.sum(axis=0, keepdims=True)")],
            ),
            Mistake(
                "weight gradient transposed",
                "xᵀ dy belongs to a weight (fan_in, fan_out): in a square layer not even the shape tells.",
                [("np.matmul(rows.T, _rows(x), out=out[0])", "np.matmul(_rows(x).T, rows)")],
                convention="Keras and CS231n, whose weights are (fan_in, fan_out)",
            ),
            Mistake(
                "bias gradient over the first axis only",
                "Of (batch, time, units) the sum over the batch leaves a number for each time and unit.",
                [("rows.sum(axis=0, out=out[1])", "dy.sum(axis=0)")],
            ),
            Mistake(
                "weight gradient for each sequence",
                "Of (batch, time, features) it is one matrix for each sequence: they have to be added.",
                [("np.matmul(rows.T, _rows(x), out=out[0])", "np.matmul(np.swapaxes(dy, -1, -2), x)")],
            ),
            Mistake(
                "weight gradient averaged over the sequences",
                "The mean of the sequences' gradients, where each counts in the sum.",
                [
                    (
                        "np.matmul(rows.T, _rows(x), out=out[0])",
                        "np.matmul(rows.T, _rows(x), out=out[0]) / (len(dy) if dy.ndim > 2 else 1)",
                    )
                ],
            ),
            Mistake(
                "bias forgotten",
                "y = x Wᵀ: unseen as long as the bias is zero, and then it is learned for nothing.",
                [("    if bias is not None:\n        y += bias\n", "")],
            ),
        ),
    ),
)
