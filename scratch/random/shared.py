"""What the streams of both devices share: the shape of a draw, what they check, and one draw at a time."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
Size = int | tuple[int, ...]  # the shape of the result
Out = np.ndarray | None  # an array to be filled, in the order in which its elements lie in memory


def one_at_a_time(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """While one thread draws, the others wait: every call gets its numbers in one piece of the stream."""

    @wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


def check_seed(seed: int) -> int:
    """The seed as an unsigned 64-bit number, by PyTorch's rules."""
    check_integers(seed=seed)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed: expected an integer from -2**63 to 2**64 - 1, got {seed}")
    return int(seed) % 2**64


def check_integers(**values: int) -> None:
    """Raise TypeError unless every value is an integer; True and False are none."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")


def check_size(
    size: Size, dtype: Any, out: Out = None, dtypes: tuple[Any, ...] = (np.float32, np.float64)
) -> np.ndarray:
    """A new array of `size` and `dtype`, or `out` if it is given and fits."""
    shape = tuple(size) if isinstance(size, tuple | list) else (size,)
    for length in shape:
        check_integers(size=length)
    if any(length < 0 for length in shape):
        raise ValueError(f"size: expected lengths >= 0, got {shape}")
    if np.dtype(dtype) not in dtypes:
        raise TypeError(f"dtype: expected float32 or float64, got {np.dtype(dtype)}")
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected an array, got {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out: expected {np.dtype(dtype)}{shape}, got {out.dtype}{out.shape}")
    return out


def check_bounds(low: float, high: float, dtype: Any) -> tuple[Any, Any]:
    """Both in `dtype`; raises ValueError unless low ≤ high and their distance is finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = dtype(low), dtype(high)
        if not (low <= high and math.isfinite(high - low)):
            raise ValueError(f"low, high: expected low <= high, a finite distance apart, got {low}, {high}")
    return low, high


def check_range(low: int, high: int) -> None:
    """Raise unless both are 64-bit integers, low < high."""
    check_integers(low=low, high=high)
    if not -(2**63) <= low < high <= 2**63 - 1:
        raise ValueError(f"low, high: expected 64-bit integers, low < high, got {low}, {high}")


def check_state(state: np.ndarray, length: int) -> None:
    """Raise unless `state` is an array of `length` bytes."""
    if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
        given = getattr(state, "dtype", type(state).__name__)
        raise TypeError(f"state: expected an array of uint8, got {given}")
    if state.shape != (length,):
        raise ValueError(f"state: expected {length} bytes, got shape {state.shape}")


def in_memory_order(array: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Fill `array` with a sequence of values, in the order in which its elements lie in memory."""
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    by_memory = array.transpose(axes)
    by_memory[...] = values.reshape(by_memory.shape)
    return array
