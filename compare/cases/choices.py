"""What random cases are made from: sizes, arrays of any layout, powers of ten, some of the options.

A seed, a power of ten, a pattern and a layout are chosen; NumPy draws the numbers. So a case costs a fraction
of a millisecond whatever its size, and what fails shrinks to few elements of size 1, in C order.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from compare.component import Choose


def chance(choose: Choose) -> bool:
    """Yes or no."""
    return choose.one_of((False, True))


def any_seed(choose: Choose) -> int:
    """Of a generator."""
    return choose.integer(0, 2**32 - 1)


def any_size(choose: Choose, least: int = 1, most: int = 70) -> int:
    """A length: few elements mostly, and as many as fill a vector register and leave a remainder."""
    return choose.integer(least, choose.one_of((min(9, most), most)))


def any_shape(choose: Choose) -> tuple[int, ...]:
    """Of up to three dimensions."""
    dimensions = choose.integer(0, 3)
    return tuple(any_size(choose, 0, 9 if dimensions == 3 else 70) for _ in range(dimensions))


def near_zero(choose: Choose, low: int, high: int) -> int:
    """An integer, 0 in a third of all cases."""
    return choose.integer(low, high) if choose.one_of((False, True, True)) else 0


def power(choose: Choose, low: float, high: float) -> float:
    """Spread over the orders of magnitude between two powers of ten."""
    return 10.0 ** choose.number(low, high)


def some_of(choose: Choose, **options: Callable[[Choose], Any]) -> dict[str, Any]:
    """Some of the options, or all, or none."""
    return {name: value(choose) for name, value in options.items() if chance(choose)}


def floats(
    choose: Choose, shape: Sequence[int], dtype: Any, exponents: tuple[int, int] = (-3, 3), zeros: bool = True
) -> np.ndarray:
    """Numbers of either sign around a power of ten between the two exponents, in any layout

    Now and then with elements of very different sizes or, if `zeros` are wanted, with those of both signs
    among them, or with ties (few different values, zeros too).
    """
    rng = np.random.default_rng(any_seed(choose))
    values = np.asarray(rng.standard_normal(shape))  # asarray: of shape () too
    match choose.one_of(
        ("plain", "plain", "zeros", "ties", "mixed scales") if zeros else ("plain", "mixed scales")
    ):
        case "zeros":
            values *= rng.random(shape) < 0.5
        case "ties":
            values = np.asarray(np.round(values))
        case "mixed scales":
            values = np.asarray(values * 10.0 ** rng.integers(exponents[0], exponents[1] + 1, shape))
            return laid_out(choose, values.astype(dtype))
    values *= 10.0 ** near_zero(choose, *exponents)
    return laid_out(choose, values.astype(dtype))


def laid_out(choose: Choose, array: np.ndarray) -> np.ndarray:
    """The same values in C or Fortran order, or as a view of a larger array, with strides of either sign."""
    match choose.one_of(("C", "Fortran", "strided", "reversed", "transposed")):
        case "Fortran":
            return array.copy(order="F")
        case "strided":
            return _view(array, [2 * n for n in array.shape], slice(None, None, 2))
        case "reversed":
            return _view(array, array.shape, slice(None, None, -1))
        case "transposed":
            return _view(array.T, [n + 2 for n in reversed(array.shape)], slice(1, -1)).T
    return array.copy(order="C")


def _view(array: np.ndarray, shape: Sequence[int], part: slice) -> np.ndarray:
    index: tuple[Any, ...] = (..., *[part] * array.ndim)  # with …, an array even if it has no dimension
    view = np.zeros(shape, array.dtype)[index]
    view[...] = array
    return view
