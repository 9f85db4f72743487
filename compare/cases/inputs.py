"""The probe inputs that the cases share: sizes, layouts, and the values that tell right from wrong."""

from typing import Any

import numpy as np

SIZES = {  # name of a case → (batch, features)
    "typical": (32, 20),
    "smallest": (2, 1),
    "odd": (13, 7),
    "odd, wide": (7, 129),
    "large": (512, 258),  # more than PyTorch's loops (32768) or our optimizers (131072) take at once
}

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf]


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Standard normal numbers: what upstream gradients are made of (never ones: they hide errors)."""
    return rng.standard_normal(shape).astype(dtype)


def strided(array: np.ndarray) -> np.ndarray:
    """The same values, every other row of a larger array: not contiguous."""
    base = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
    base[::2] = array
    return base[::2]


def fortran(array: np.ndarray) -> np.ndarray:
    """The same values, column after column."""
    return np.asfortranarray(array)


def other(dtype: Any) -> Any:
    """The other one of the two dtypes: arrays of both are not to be mixed."""
    return np.float64 if dtype == np.float32 else np.float32


def subnormals(dtype: Any) -> list[float]:
    """The smallest positive number, a larger subnormal one, and the smallest normal one."""
    info = np.finfo(dtype)
    return [float(info.smallest_subnormal), float(info.tiny) / 8, float(info.tiny)]


def zeros_and_subnormals(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros of both signs and numbers down to an eighth of the smallest normal one, in turn

    Not smaller: a product that underflows is a zero, and in a sum of such its sign depends on the order.
    """
    tiny = float(np.finfo(dtype).tiny)
    return np.resize(np.array([0.0, tiny, -tiny / 8, -0.0, -tiny, tiny / 8, tiny / 3], dtype), shape)


def finite_part(array: np.ndarray) -> np.ndarray:
    """In float64, with 0 for NaN and infinities: what the size of an error is reckoned from."""
    return np.where(np.isfinite(array), array, 0).astype(np.float64)
