"""What every public function asks of its arguments, with messages that say what was expected and given."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_floating(**arrays: np.ndarray | None) -> None:
    """Raise TypeError unless all the arrays (None is passed over) share one floating dtype.

    NumPy's scalars are arrays too: that is what its functions make of an array without dimensions.
    """
    first_name, first_dtype = "", None
    for name, array in arrays.items():
        if array is None:
            continue
        if not isinstance(array, (np.ndarray, np.floating)) or array.dtype.kind != "f":
            given = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"{name}: expected a floating-point array, got {given}")
        if first_dtype is None:
            first_name, first_dtype = name, array.dtype
        elif array.dtype != first_dtype:
            raise TypeError(f"{name}: expected {first_dtype} like {first_name}, got {array.dtype}")


def check_shape(name: str, array: np.ndarray, expected: Sequence[int | None]) -> None:
    """Raise ValueError unless `array` has the expected shape; None stands for any length."""
    shape = array.shape
    fits = len(shape) == len(expected)
    for length, wanted in zip(shape, expected):  # noqa: B905  (in every step of a network: kept fast)
        fits = fits and (wanted is None or length == wanted)
    if not fits:
        wished = str(tuple("any" if length is None else length for length in expected)).replace("'", "")
        raise ValueError(f"{name}: expected shape {wished}, got {tuple(shape)}")


def check_probability(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value <= 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a probability from 0 to 1, got {value}")


def check_not_negative(**values: float) -> None:
    """Raise ValueError unless every value is a finite number >= 0."""
    for name, value in values.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ValueError(f"{name}: expected a finite number >= 0, got {value}")


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(str, choices))}, got {value}")


def check_targets(targets: np.ndarray, batch: int, classes: int) -> None:
    """Raise unless `targets` are `batch` integers from 0 to classes - 1."""
    if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "iu":
        given = getattr(targets, "dtype", type(targets).__name__)
        raise TypeError(f"targets: expected integer classes, got {given}")
    check_shape("targets", targets, (batch,))
    if targets.size and not (targets.min() >= 0 and targets.max() < classes):
        raise ValueError(
            f"targets: expected classes from 0 to {classes - 1}, got {targets.min()} to {targets.max()}"
        )
