"""Batch normalisation: batches whose mean may be far larger than their spread, and any ε and momentum."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import NAME, Inputs, floats, near_zero, sizes


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """Two batches of at least two examples; running statistics, γ and β are never the initial ones"""
    batch, features = draw(sizes(2, 300)), draw(sizes(1, 40))
    affine = draw(st.booleans())
    arrays = {name: draw(floats((batch, features), dtype)) for name in ("x", "next_x", "dy")}
    center = dtype(10.0 ** draw(near_zero(-3, 3)) * draw(st.sampled_from([0, 1, -1])))
    for name in ("x", "next_x"):
        arrays[name][...] += center
    if affine:
        arrays |= {name: draw(floats((features,), dtype, zeros=False)) for name in ("gamma", "beta")}
    arrays |= {name: draw(floats((features,), dtype)) for name in ("running_mean", "running_var")}
    arrays["running_var"][...] = np.abs(arrays["running_var"])
    options = {"affine": affine, "num_batches_tracked": draw(st.integers(0, 1000))}
    if draw(st.booleans()):
        options["eps"] = draw(st.floats(1e-12, 1.0))
    if draw(st.booleans()):
        options["momentum"] = draw(st.none() | st.floats(0, 1))
    return Case(NAME, arrays, options, dtype=dtype)


INPUTS: Inputs = {"batch_norm": cases}
