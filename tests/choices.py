"""Hypothesis chooses what random cases are made with: it shrinks what fails."""

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from compare.component import Choose


class Hypothesis(Choose):
    """One example of a strategy."""

    def __init__(self, draw: Callable):
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def number(self, low: float, high: float, dtype: Any = np.float64) -> float:
        return self._draw(st.floats(low, high, width=8 * np.dtype(dtype).itemsize))

    def one_of(self, values: Sequence) -> Any:
        return self._draw(st.sampled_from(values))

    def assume(self, condition: bool) -> None:
        hypothesis.assume(condition)


@st.composite
def made(draw: Callable, make: Callable, *arguments: Any) -> Any:
    """What `make(choose, *arguments)` makes: a random case, for example."""
    return make(Hypothesis(draw), *arguments)
