"""Standardisation: features of any center and spread, some of them constant."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import NAME, Inputs, floats, laid_out, near_zero, sizes


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """A training set, whose mean may be far larger than its spread, and a test set of another spread

    At least one feature: of an empty table, PyTorch's std warns.
    """
    features = draw(sizes(1, 20))
    train = draw(floats((draw(sizes()), features), dtype))
    test = draw(floats((draw(sizes(0)), features), dtype))
    center = 10.0 ** draw(near_zero(-3, 3)) * draw(st.sampled_from([0, 1, -1]))
    train[...] += np.array(center, dtype)
    test[...] += np.array(center, dtype)
    constant = draw(st.lists(st.integers(0, features - 1), max_size=3))
    train[:, constant] = train[:1, constant]
    return Case(NAME, {"x_train": train, "x_test": laid_out(draw, test)}, dtype=dtype)


INPUTS: Inputs = {"standardization": cases}
