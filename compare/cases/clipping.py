"""Gradient clipping: norms above and below the bound, arrays of every size, and what has no norm."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from compare.cases.choices import any_shape, chance, floats, power, some_of
from compare.cases.inputs import finite_part, fortran, normal, other, strided, subnormals
from compare.cases.limits import BEYOND, FLOAT32, at, edge
from compare.component import (
    Budget,
    Case,
    Choose,
    Component,
    Departure,
    Edge,
    Edges,
    Mistake,
    Results,
    copy_with_strides,
)
from compare.measure import sum_units
from torch_ref import clipping as reference

SHAPES = ((13, 7), (7,), (5, 13), (5,))


def _case(
    rng: np.random.Generator, dtype: Any, name: str, shapes: tuple[tuple[int, ...], ...], scale: float = 1,
    finite: bool = True, **options: Any,
) -> Case:  # fmt: skip
    arrays = {
        f"gradient{i}": np.asarray(scale * normal(rng, shape, dtype), dtype)
        for i, shape in enumerate(shapes, start=1)
    }
    return Case(name, arrays, options, dtype=dtype, finite=finite)


def _shared_cases(rng: np.random.Generator, dtype: Any, bound: str, typical: float) -> Iterator[Case]:
    """What both have: one array and many, every layout, zeros, subnormal numbers, NaN and infinity."""

    def case(name: str, *shapes: tuple[int, ...], **options: Any) -> Case:
        return _case(rng, dtype, name, shapes or SHAPES, **{bound: typical, **options})

    yield case("typical")
    yield case("one array", (32, 20))
    yield case("a single number", (1,))
    yield case("without dimensions", (), (3,))
    yield case("large", (129, 1024), (512,))
    yield case("many", *[(i % 7 + 1,) for i in range(60)])
    yield case("an empty one", (4, 3), (0, 3), (2,))
    yield case("below the bound", scale=1e-3)
    yield case("far above", scale=1e3)
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        plain = case(name, (13, 7), (6,))
        yield Case(name, {n: layout(a) for n, a in plain.arrays.items()}, plain.options, dtype=dtype)
    tiny = case("zeros and subnormals", (5,), (3, 5), scale=0)
    tiny["gradient1"][...] = [0.0, -0.0, *subnormals(dtype)]
    yield tiny
    for value in (np.nan, np.inf, -np.inf):
        broken = case(f"{value}", finite=False)
        broken["gradient2"][3] = value
        yield broken


def norm_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """And other norms, and arrays of very different size, of which only the largest counts."""
    yield from _shared_cases(rng, dtype, "max_norm", 1.0)
    for norm_type in (1.0, math.inf, 3.0, 0.5):
        for max_norm in (0.3, 1e6):
            name = f"norm_type {norm_type}, max_norm {max_norm:g}"
            yield _case(rng, dtype, name, SHAPES, max_norm=max_norm, norm_type=norm_type)
    mixed = _case(rng, dtype, "mixed scales", SHAPES, max_norm=2.0)
    for i, array in enumerate(mixed.arrays.values()):
        array *= dtype(10.0 ** (2 * i - 4))
    yield mixed
    for max_norm in (0.0, 0.1, 12.0, math.inf):
        yield _case(rng, dtype, f"max_norm {max_norm:g}", SHAPES, max_norm=max_norm)
    yield _case(rng, dtype, "norm of 1e-6", ((3,), (2,)), scale=5e-7, max_norm=1e-6)
    yield _case(rng, dtype, "finite, and asked for", SHAPES, max_norm=1.0, error_if_nonfinite=True)


def value_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """And numbers that lie on the bound, and next to it."""
    yield from _shared_cases(rng, dtype, "clip_value", 0.5)
    for clip_value in (0.1, 2.0, 100.0, math.inf):
        yield _case(rng, dtype, f"clip_value {clip_value:g}", SHAPES, clip_value=clip_value)
    on = _case(rng, dtype, "on the bound", ((6,),), clip_value=0.5)
    half = dtype(0.5)
    on["gradient1"][...] = [
        half,
        -half,
        *np.nextafter(half, dtype([0, 1])),
        *np.nextafter(-half, dtype([0, -1])),
    ]
    yield on


def _refused(cases: Callable[[np.random.Generator, Any], Iterator[Case]]) -> Callable:
    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        """Bounds that are none, no gradients, and gradients that are no numbers or of two dtypes."""
        good = next(cases(rng, dtype))
        (bound,) = good.options
        for value in (-1.0, np.nan):
            option: dict[str, Any] = {bound: value}
            yield good.but(f"{bound} {value}", **option)
        yield Case("no gradients", {}, good.options, dtype=dtype)
        yield good.but("integers", {"gradient1": np.arange(3)})
        yield good.but("two dtypes", {"gradient2": good["gradient2"].astype(other(dtype))})
        if bound == "max_norm":
            for norm_type in (0.0, -1.0, np.nan):
                yield good.but(f"norm_type {norm_type}", norm_type=norm_type)
            for value in (np.nan, np.inf):
                broken = {"gradient2": np.full_like(good["gradient2"], value)}
                yield good.but(f"a norm of {value}", broken, error_if_nonfinite=True)

    return refused


def norm_random_case(choose: Choose, dtype: Any) -> Case:
    """Up to four arrays, any bound, any norm."""
    arrays = _random_gradients(choose, dtype)
    options = some_of(
        choose, norm_type=lambda choose: choose.one_of((1.0, 2.0, math.inf)) if chance(choose) else 3.0
    )
    return Case("random", arrays, {"max_norm": power(choose, -3, 3), **options}, dtype=dtype)


def value_random_case(choose: Choose, dtype: Any) -> Case:
    """Up to four arrays, any bound."""
    return Case("random", _random_gradients(choose, dtype), {"clip_value": power(choose, -3, 3)}, dtype=dtype)


def _random_gradients(choose: Choose, dtype: Any) -> dict[str, np.ndarray]:
    arrays = {
        f"gradient{i}": floats(choose, any_shape(choose), dtype, (-6, 6))
        for i in range(1, choose.integer(1, 4) + 1)
    }
    choose.assume(all(array.size for array in arrays.values()))  # PyTorch knows no largest one of none
    return arrays


def edges(base: Case) -> Iterator[Edge]:
    """Nothing but zeros, nothing at all, and any bound and norm."""
    yield edge(base, "all zeros", arrays={name: np.zeros_like(array) for name, array in base.arrays.items()})
    yield edge(base, "all empty", arrays={name: array[:0] for name, array in base.arrays.items()})
    (bound,) = base.options
    yield from at(base, bound, 0.0, -0.0, 5e-324, 1e308, math.inf, -1.0, math.nan)
    if bound == "max_norm":
        yield from at(base, "norm_type", 0.0, -1.0, -math.inf, math.nan)


def _run_scratch(case: Case, clip: Callable) -> Results:
    """On copies: the gradients are changed in place."""
    clipped = {name: copy_with_strides(array) for name, array in case.arrays.items()}
    total_norm = clip(list(clipped.values()), **case.options)
    return _named(clipped, {} if total_norm is None else {"total_norm": total_norm})


def _run_torch(case: Case, clip: Callable) -> Results:
    parameters = {name: torch.zeros_like(gradient) for name, gradient in case.arrays.items()}
    for name, parameter in parameters.items():
        parameter.grad = case[name].clone()
    total_norm = clip(list(parameters.values()), **case.options)
    clipped = {name: parameter.grad for name, parameter in parameters.items()}
    return _named(clipped, {} if total_norm is None else {"total_norm": total_norm})


def _named(clipped: dict[str, Any], more: Results) -> Results:
    return {name.replace("gradient", "clipped"): array for name, array in clipped.items()} | more


def norm_magnitude(case: Case) -> dict[str, Any]:
    """A norm is a sum of numbers ≥ 0, known to its own rounding units; so is the one factor of all gradients

    Every number is counted in itself. The power 1/p multiplies the error of the sum by 1/p.
    """
    p, arrays = (
        case.options.get("norm_type", 2.0),
        {n: np.abs(finite_part(a)) for n, a in case.arrays.items()},
    )
    every = np.concatenate([array.ravel() for array in arrays.values()])
    with np.errstate(all="ignore"):
        total = every.max(initial=0) if p == math.inf else (every**p).sum() ** (1 / p)
        factor = min(1.0, case.options["max_norm"] / (total + 1e-6)) * max(1, 1 / p)
        found = {name.replace("gradient", "clipped"): array * factor for name, array in arrays.items()}
        return {"total_norm": total * max(1, 1 / p), **found}


def _component(
    name: str,
    cases: Callable[[np.random.Generator, Any], Iterator[Case]],
    random_case: Callable[[Choose, Any], Case],
    budget: Budget,
    mistakes: tuple[Mistake, ...],
    **more: Any,
) -> Component:
    return Component(
        name=name,
        topic="clipping",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.{name}_.html",
        functions=(f"{name}_",),
        reference=(f"{name}_",),
        cases=cases,
        random_case=random_case,
        run_scratch=lambda case, f: _run_scratch(case, getattr(f, f"{name}_")),
        run_torch=lambda case: _run_torch(case, getattr(reference, f"{name}_")),
        budget=budget,
        mistakes=mistakes,
        refused=_refused(cases),
        edges=Edges(others=edges),
        **more,
    )


def _units(case: Case) -> float:
    return sum_units(max(1, sum(array.size for array in case.arrays.values())))


TOTAL = "total_norm = _norm(norms, norm_type)"
COEFFICIENT = "coefficient = np.minimum(1, max_norm / (total_norm + 1e-6))"
LOOP = "for gradient in gradients:\n        gradient *= coefficient"
CLIP = "np.clip(gradient, -clip_value, clip_value, out=gradient)"
POWER = "(size**p).sum() ** (1 / p)"

COMPONENTS = (
    _component(
        "clip_grad_norm",
        norm_cases,
        norm_random_case,
        Budget(_units, "a sum of n numbers ≥ 0, in another order: ¼·√n·ln(10⁶) units, at least 32"),
        (
            Mistake(
                "each array by itself",
                "Every array is held against its own norm: the direction of the step changes.",
                [
                    (
                        LOOP,
                        "for gradient, norm in zip(gradients, norms, strict=True):\n"
                        "        gradient *= np.minimum(1, max_norm / (norm + 1e-6))",
                    )
                ],
                convention="Keras' clipnorm",
            ),
            Mistake(
                "sum of the norms",
                "The norms of the arrays are added up, where the norm of the norms is meant.",
                [(TOTAL, "total_norm = norms.sum()")],
            ),
            Mistake(
                "mean of the norms",
                "The norms of the arrays are averaged: the more arrays, the larger the step.",
                [(TOTAL, "total_norm = norms.mean()")],
            ),
            Mistake(
                "norm of the largest array",
                "Only the array with the largest norm is held against the bound.",
                [(TOTAL, "total_norm = norms.max()")],
            ),
            Mistake(
                "without 10⁻⁶",
                "max_norm/‖g‖: the norm is then exactly max_norm, and gradients of 0 are 0/0.",
                [
                    (
                        COEFFICIENT,
                        "coefficient = max_norm / np.maximum(total_norm, max_norm) if max_norm else 0",
                    )
                ],
                convention="TensorFlow's clip_by_global_norm and optax",
            ),
            Mistake(
                "small gradients scaled up",
                "max_norm/‖g‖ without the bound of 1: every gradient gets the norm max_norm.",
                [(COEFFICIENT, "coefficient = max_norm / (total_norm + 1e-6)")],
            ),
            Mistake(
                "bound of 1 the wrong way round",
                "max instead of min: large gradients stay, and small ones grow.",
                [(COEFFICIENT, COEFFICIENT.replace("minimum", "maximum"))],
            ),
            Mistake(
                "scaled to 1",
                "Divided by the norm: what max_norm is does not count.",
                [(COEFFICIENT, COEFFICIENT.replace("max_norm /", "1 /"))],
            ),
            Mistake(
                "square of the norm",
                "The root is forgotten: Σg² is held against max_norm.",
                [(POWER, "(size**p).sum()")],
            ),
            Mistake(
                "always the 2-norm",
                "`norm_type` is not looked at.",
                [("size = np.abs(x)", "size, p = np.abs(x), 2")],
            ),
            Mistake(
                "mean of the squares",
                "The root of the mean of the squares of each array: large arrays count too little.",
                [(POWER, "(size**p).mean() ** (1 / p) if size.size else size.sum()")],
            ),
            Mistake(
                "clipped number by number",
                "Each number is cut off at ±max_norm: that is the other function.",
                [
                    (
                        LOOP,
                        "for each in gradients:\n        np.clip(each, -max_norm, max_norm, out=each)",
                    )
                ],
            ),
            Mistake(
                "norm after clipping",
                "What is returned is the norm of what is left: nobody sees that the gradients explode.",
                [("return total_norm", "return total_norm * coefficient")],
            ),
            Mistake(
                "gradients not changed",
                "gradient = … binds the name to a new array: those of the network stay as they were.",
                [(LOOP, "for gradient in gradients:\n        gradient = gradient * coefficient")],
            ),
        ),
        magnitude=norm_magnitude,
    ),
    _component(
        "clip_grad_value",
        value_cases,
        value_random_case,
        Budget(0, "a choice between two numbers: nothing is rounded"),
        (
            Mistake(
                "from above only",
                "Large negative numbers stay as they are.",
                [(CLIP, "np.minimum(gradient, clip_value, out=gradient)")],
            ),
            Mistake(
                "from below only",
                "Large positive numbers stay as they are.",
                [(CLIP, "np.maximum(gradient, -clip_value, out=gradient)")],
            ),
            Mistake(
                "from 0 to the bound",
                "Negative numbers become 0.",
                [(CLIP, CLIP.replace("-clip_value", "0"))],
            ),
            Mistake(
                "from −1 to 1",
                "What the bound is does not count.",
                [(CLIP, "np.clip(gradient, -1, 1, out=gradient)")],
            ),
            Mistake(
                "0 beyond the bound",
                "Numbers that are too large are dropped, not cut off.",
                [(CLIP, "gradient[np.abs(gradient) > clip_value] = 0")],
            ),
            Mistake(
                "sign lost",
                "The absolute values are cut off: nothing is negative afterwards.",
                [(CLIP, "np.minimum(np.abs(gradient), clip_value, out=gradient)")],
            ),
            Mistake(
                "scaled by the largest",
                "All are scaled so that the largest is on the bound: clipping by the ∞-norm, array by array.",
                [(CLIP, "gradient *= min(1, clip_value / float(np.abs(gradient).max(initial=1e-300)))")],
            ),
            Mistake(
                "squashed",
                "c·tanh(g/c) changes numbers that are within the bound, too.",
                [(CLIP, "gradient[...] = min(clip_value, 1e6) * np.tanh(gradient / min(clip_value, 1e6))")],
            ),
            Mistake(
                "gradients not changed",
                "np.clip returns a new array: those of the network stay as they were.",
                [(CLIP, "np.clip(gradient, -clip_value, clip_value)")],
            ),
        ),
        arbiter=False,
        departures=(Departure(("clip_value = 1e308",), ("",), BEYOND, FLOAT32),),
    ),
)
