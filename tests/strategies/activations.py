"""Activations: any number of dimensions, kinks, saturation, any slope."""

from typing import Any

from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import ANY_SHAPE, NAME, Inputs, floats


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """x and an upstream gradient"""
    shape = draw(ANY_SHAPE)
    x = draw(floats(shape, dtype, (-12, 3)))
    return Case(NAME, {"x": x, "dy": draw(floats(shape, dtype))}, dtype=dtype)


@st.composite
def leaky_cases(draw: Any, dtype: Any) -> Case:
    """The default slope, or another one"""
    case = draw(cases(dtype))
    slope = draw(st.none() | st.floats(-2, 2))
    options = {} if slope is None else {"negative_slope": slope}
    return Case(NAME, case.arrays, options, dtype=dtype)


INPUTS: Inputs = {"relu": cases, "leaky_relu": leaky_cases, "tanh": cases, "sigmoid": cases}
