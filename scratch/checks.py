"""What every public function asks of its arguments, with messages that say what was expected and given."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence, ValuesView
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def plain_numbers(function: Callable[P, R]) -> Callable[P, R]:
    """Hand a function its hyperparameters as Python's numbers; raise TypeError for what is no number

    Python's numbers take the dtype of the arrays that they meet. NumPy's scalars have one of their own: a
    float32 array times `np.float64(0.1)` is float64. Which arguments are numbers, their annotations say.
    (Among arrays of `longdouble` a number of that dtype stays what it is, since Python's have fewer digits.)
    """
    parameters = inspect.signature(function).parameters
    kinds = {name: _KINDS.get(p.annotation) for name, p in parameters.items()}
    numbers = [(i, name, plain) for i, (name, plain) in enumerate(kinds.items()) if plain]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for i, name, plain in numbers:
            if name in kwargs:
                if type(kwargs[name]) is not float:  # which there is nothing to do about
                    kwargs[name] = plain(name, kwargs[name], (args, kwargs))
            elif i < len(args) and type(args[i]) is not float:
                number = plain(name, args[i], (args, kwargs))
                args = (*args[:i], number, *args[i + 1 :])  # type: ignore[assignment]
        return function(*args, **kwargs)

    return call


def _number(name: str, value: Any, arguments: Any) -> Any:
    if type(value) in (float, int):
        return value
    value = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if isinstance(value, np.longdouble) and _dtypes(arguments) <= {value.dtype}:
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _number_or_none(name: str, value: Any, arguments: Any) -> Any:
    return None if value is None else _number(name, value, arguments)


def _numbers(name: str, value: Any, arguments: Any) -> Any:
    if type(value) is tuple and [type(number) for number in value] == [float, float]:
        return value
    if not isinstance(value, list | tuple | np.ndarray) or np.ndim(value) == 0:
        raise TypeError(f"{name}: expected two numbers, got {type(value).__name__}")
    if len(value) != 2:
        raise ValueError(f"{name}: expected two numbers, got {tuple(value)}")
    return tuple(_number(f"{name}[{i}]", number, arguments) for i, number in enumerate(value))


def _integer(name: str, value: Any, arguments: Any) -> Any:
    if type(value) is int:
        return value
    if not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    return int(value) if isinstance(value, np.integer) else value


_KINDS: dict[Any, Callable] = {
    float: _number,
    float | None: _number_or_none,
    tuple[float, float]: _numbers,
    int: _integer,
}


def _dtypes(arguments: Any) -> set[np.dtype]:
    """Those of all arrays among arguments, and any that is an argument itself."""
    if isinstance(arguments, list | tuple | Mapping | ValuesView):
        inside = arguments.values() if isinstance(arguments, Mapping) else arguments
        return set().union(*map(_dtypes, inside))
    if isinstance(arguments, type) and issubclass(arguments, np.generic):
        return {np.dtype(arguments)}
    return {arguments.dtype} if isinstance(arguments, np.ndarray) and arguments.ndim else set()


def check_ran(layer: Any) -> None:
    """Raise RuntimeError unless a layer has been through a forward pass, which `backward` goes back."""
    if not hasattr(layer, "cache"):
        name = type(layer).__name__
        raise RuntimeError(f"backward: expected a forward pass of this {name} before it, got none")


def check_floating(**arrays: np.ndarray) -> None:
    """Raise TypeError unless all the arrays share one floating dtype.

    NumPy's scalars are arrays too: that is what its functions make of an array without dimensions.
    """
    first_name, first_dtype = "", None
    for name, array in arrays.items():
        if not isinstance(array, (np.ndarray, np.floating)) or array.dtype.kind != "f":
            given = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"{name}: expected a floating-point array, got {given}")
        if first_dtype is None:
            first_name, first_dtype = name, array.dtype
        elif array.dtype != first_dtype:
            raise TypeError(f"{name}: expected {first_dtype} like {first_name}, got {array.dtype}")


def check_dtype(dtype: Any) -> None:
    """Raise TypeError unless `dtype` is a floating-point one."""
    try:
        floating = dtype is not None and np.issubdtype(dtype, np.floating)
    except (TypeError, ValueError):
        floating = False
    if not floating:
        raise TypeError(f"dtype: expected a floating-point dtype, got {dtype}")


def given(**arrays: np.ndarray | None) -> dict[str, np.ndarray]:
    """Those that are not None: which ones that may be, only the caller knows."""
    return {name: array for name, array in arrays.items() if array is not None}


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
    if not isinstance(value, str) or value not in choices:
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
