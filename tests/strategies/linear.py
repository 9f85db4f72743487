"""The affine layer: any three sizes, batches of none among them, each array of its own scale."""

from typing import Any

from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import NAME, Inputs, floats, sizes


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """With a bias or without"""
    batch, fan_in, fan_out = draw(sizes(0, 300)), draw(sizes()), draw(sizes())
    shapes = {"x": (batch, fan_in), "weight": (fan_out, fan_in), "dy": (batch, fan_out)}
    if draw(st.booleans()):
        shapes["bias"] = (fan_out,)
    return Case(NAME, {name: draw(floats(shape, dtype)) for name, shape in shapes.items()}, dtype=dtype)


INPUTS: Inputs = {"linear": cases}
