"""What the strategies share: sizes, arrays of any layout, and a case of them.

Hypothesis draws a seed, a power of ten, a pattern and a layout; NumPy draws the numbers. So an example costs
a fraction of a millisecond whatever its size, and what fails shrinks to few elements of size 1, in C order.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from compare.component import Case

Inputs = dict[str, Callable[[Any], SearchStrategy[Case]]]

SEEDS = st.integers(0, 2**32 - 1)
PATTERNS = st.sampled_from(["plain", "plain", "zeros", "ties", "mixed scales"])
PATTERNS_WITHOUT_ZEROS = st.sampled_from(["plain", "mixed scales"])
NAME = "random"  # of every case


@cache  # the same strategy object every time: to make one costs more than to draw from it
def sizes(least: int = 1, most: int = 70) -> SearchStrategy[int]:
    """A length: few elements mostly, and as many as fill a vector register and leave a remainder."""
    return st.integers(least, min(9, most)) | st.integers(least, most)


@cache
def shapes(least: int = 1, dimensions: int = 2) -> SearchStrategy[tuple[int, ...]]:
    """A shape of so many dimensions, each at least `least`."""
    return st.tuples(*[sizes(least)] * dimensions)


ANY_SHAPE = st.one_of(shapes(0, 0), shapes(0, 1), shapes(0, 2), st.tuples(*[sizes(0, 9)] * 3))


@st.composite
def floats(
    draw: Any, shape: tuple[int, ...], dtype: Any, exponents: tuple[int, int] = (-3, 3), zeros: bool = True
) -> np.ndarray:
    """Numbers of either sign around a power of ten between the two exponents, in any layout

    Now and then with elements of very different sizes or, if `zeros` are wanted, with those of both signs
    among them, or with ties (few different values, zeros too).
    """
    rng = np.random.default_rng(draw(SEEDS))
    values = np.asarray(rng.standard_normal(shape))  # asarray: of shape () too
    match draw(PATTERNS if zeros else PATTERNS_WITHOUT_ZEROS):
        case "zeros":
            values *= rng.random(shape) < 0.5
        case "ties":
            values = np.asarray(np.round(values))
        case "mixed scales":
            values = np.asarray(values * 10.0 ** rng.integers(exponents[0], exponents[1] + 1, shape))
            return laid_out(draw, values.astype(dtype))
    values *= 10.0 ** draw(near_zero(*exponents))
    return laid_out(draw, values.astype(dtype))


@cache
def near_zero(low: int, high: int) -> SearchStrategy[int]:
    """An integer, 0 in a third of all cases."""
    return st.just(0) | st.integers(low, high) | st.integers(low, high)


def laid_out(draw: Any, array: np.ndarray) -> np.ndarray:
    """The same values in C or Fortran order, or as a view of a larger array, with strides of either sign."""
    return draw(LAYOUTS)(array)


def _c(array: np.ndarray) -> np.ndarray:
    return array.copy(order="C")


def _fortran(array: np.ndarray) -> np.ndarray:
    return array.copy(order="F")


def _strided(array: np.ndarray) -> np.ndarray:
    return _view(array, [2 * n for n in array.shape], slice(None, None, 2))


def _reversed(array: np.ndarray) -> np.ndarray:
    return _view(array, array.shape, slice(None, None, -1))


def _transposed(array: np.ndarray) -> np.ndarray:
    return _view(array.T, [n + 2 for n in reversed(array.shape)], slice(1, -1)).T


def _view(array: np.ndarray, shape: Sequence[int], part: slice) -> np.ndarray:
    view = np.zeros(shape, array.dtype)[(..., *[part] * array.ndim)]  # an array even if it has no dimension
    view[...] = array
    return view


LAYOUTS = st.sampled_from([_c, _fortran, _strided, _reversed, _transposed])
