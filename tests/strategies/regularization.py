"""The L2 penalty of networks of any depth and width, weight decay, and dropout of any probability."""

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import ANY_SHAPE, NAME, SEEDS, Inputs, floats, sizes


@st.composite
def l2_cases(draw: Any, dtype: Any) -> Case:
    """Weights and biases of one to three layers, their gradients, and any strength"""
    widths = draw(st.lists(sizes(0, 40), min_size=2, max_size=4))
    arrays = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        for name in ("weight", "dweight"):
            arrays[f"{name}{i}"] = draw(floats((fan_out, fan_in), dtype))
        for name in ("bias", "dbias"):
            arrays[f"{name}{i}"] = draw(floats((fan_out,), dtype))
    arrays["dy"] = draw(floats((), dtype))
    options = {"l2": draw(st.just(0.0) | st.floats(1e-8, 1e4)), "m": draw(st.integers(1, 10**6))}
    return Case(NAME, arrays, options, dtype=dtype)


@st.composite
def dropout_cases(draw: Any, dtype: Any) -> Case:
    """Any probability, both ends among them"""
    shape = draw(ANY_SHAPE)
    arrays = {"x": draw(floats(shape, dtype, (-12, 12))), "dy": draw(floats(shape, dtype))}
    return Case(NAME, arrays, {"p": draw(st.floats(0, 1))}, seed=draw(SEEDS), dtype=dtype)


INPUTS: Inputs = {"l2_penalty": l2_cases, "weight_decay": l2_cases, "dropout": dropout_cases}
