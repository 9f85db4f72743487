"""What every public function asks of its arguments, declared in a line above it with `expects`.

An error says which argument, what was expected and what was given. It is a TypeError if the argument is of
another kind (no number, no floating-point array, another dtype than the first array), and a ValueError if a
shape does not fit or a value is out of range.
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence, ValuesView
from numbers import Integral, Real
from types import NoneType
from typing import Any, ParamSpec, TypeVar, get_args

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")
ARRAYS = (np.ndarray, np.floating)  # NumPy makes a scalar of an array without dimensions

RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {  # of numbers, with the words of the error
    ">= 0": ("a finite number >= 0", lambda value: 0 <= value < math.inf),
    "> 0": ("a finite number > 0", lambda value: 0 < value < math.inf),
    ">= 0, < 1": ("a number >= 0 and < 1", lambda value: 0 <= value < 1),
    "0 to 1": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "probability": ("a probability from 0 to 1", lambda value: 0 <= value <= 1),
}


def expects(**expected: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Look at a function's arguments before it runs, so that its body is left to the mathematics.

        @expects(weight="out_features in_features", x="batch in_features", bias="out_features")
        def linear_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None): ...

    What can be said of an argument:

        "batch features"   an array with these axes; axes of one name have one length
        "*shape"           an array of any shape; again, one of the same shape
        "*shape: 0 to 1"   and its elements are from 0 to 1
        "batch: classes"   an array of integers from 0 to below the length `classes`
        {"x": "*shape"}    a cache, by the arrays that it begins with, as errors call them
        ">= 0"             a number in one of the `RANGES`; for an integer, ">=" and any least one
        ("mean", "sum")    one of these words
        "floating"         a dtype

    All floating-point arrays have one dtype. The annotations say what may be None, and what is a number.
    Numbers reach the function as Python's, which take the dtype of the arrays that they meet: a float32
    array times `np.float64(0.1)` is float64. (Among arrays of `longdouble` a number of that dtype stays what
    it is, since Python's have fewer digits.)
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        annotations = {n: p.annotation for n, p in inspect.signature(function).parameters.items()}
        arrays = {n: expected[n] for n in expected if n == "cache" or np.ndarray in _kinds(annotations[n])}
        numbers, values, first = [], [], 0
        for i, (name, annotation) in enumerate(annotations.items()):
            if annotation in _NUMBERS:
                numbers.append((i, name, _NUMBERS[annotation]))
            if name in arrays:
                first = i + 1
            elif name in expected:
                values.append((i, name, _check_value(name, expected[name], annotation)))
        names = list(annotations)[:first]  # of the arguments up to the last array
        check_arrays = _check_arrays(arrays, annotations)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> R:
            for i, name, plain in numbers:
                if name in kwargs:
                    if type(kwargs[name]) is not float:  # which there is nothing to do about
                        kwargs[name] = plain(name, kwargs[name], (args, kwargs))
                elif i < len(args) and type(args[i]) is not float:
                    args = (*args[:i], plain(name, args[i], (args, kwargs)), *args[i + 1 :])
            while len(args) < first and names[len(args)] in kwargs:
                args = (*args, kwargs.pop(names[len(args)]))
            if len(args) >= first > 0:  # with fewer, Python says what is missing
                check_arrays(args)
            for i, name, check in values:
                if name in kwargs:
                    check(kwargs[name])
                elif i < len(args):
                    check(args[i])
            return function(*args, **kwargs)

        return call

    return decorate


plain_numbers = expects()


def _kinds(annotation: Any) -> set[Any]:
    kinds = set(get_args(annotation)) or {annotation}
    return kinds | {int} if float in kinds else kinds


def _check_arrays(expected: dict[str, Any], annotations: dict[str, Any]) -> Callable[[tuple], None]:
    """One for all, since they have to fit each other; those in a cache come first."""
    places = {name: i for i, name in enumerate(annotations) if name in expected}
    cached, cache_at = expected.pop("cache", {}), places.pop("cache", None)
    instead = {name: {NoneType} for name in cached}  # what may come in place of an array
    instead |= {name: _kinds(annotations[name]) - {np.ndarray} for name in places}
    axes = {name: wanted.partition(": ")[0] for name, wanted in (cached | expected).items()}
    inside = {name: wanted.partition(": ")[2] for name, wanted in expected.items() if ": " in wanted}

    @functools.lru_cache
    def lengths_of(*described: tuple[Any, tuple[int, ...]]) -> dict[str, Any]:
        """Of each axis, if all arrays fit; those that have fitted once need no second look."""
        arrays = dict(zip(instead, described, strict=False))
        present = {name: array for name, array in arrays.items() if array[0] not in instead[name]}
        _check_dtypes({name: dtype for name, (dtype, _) in present.items()}, inside)
        lengths: dict[str, Any] = {}
        for name in axes:
            if name in present:
                _check_axes(name, present[name][1], axes[name], lengths)
        return lengths

    def check(args: tuple) -> None:
        arrays = [args[i] for i in places.values()]
        if cache_at is not None:
            cache = args[cache_at] if type(args[cache_at]) is tuple else (args[cache_at],)
            arrays = [*cache[: len(cached)], *arrays]
        lengths = lengths_of(
            *[(a.dtype, a.shape) if isinstance(a, ARRAYS) else (type(a), ()) for a in arrays]
        )
        for name, wanted in inside.items():
            _check_elements(name, args[places[name]], wanted, lengths)

    return check


def _check_dtypes(dtypes: Mapping[str, Any], inside: Mapping[str, str]) -> None:
    """Raise TypeError unless arrays share one floating dtype, but for those with integers inside."""
    first_name, first_dtype = "", None
    for name, dtype in dtypes.items():
        given = dtype.__name__ if isinstance(dtype, type) else dtype
        kind = "" if isinstance(dtype, type) else dtype.kind
        if inside.get(name, "0 to 1") not in RANGES:
            if kind not in ("i", "u"):
                raise TypeError(f"{name}: expected integer {inside[name]}, got {given}")
        elif kind != "f":
            raise TypeError(f"{name}: expected a floating-point array, got {given}")
        elif first_dtype is None:
            first_name, first_dtype = name, dtype
        elif dtype != first_dtype:
            raise TypeError(f"{name}: expected {first_dtype} like {first_name}, got {dtype}")


def _check_axes(name: str, shape: tuple[int, ...], axes: str, lengths: dict[str, Any]) -> None:
    """Raise ValueError unless axes that have a length already have it again; note those of the others."""
    if axes.startswith("*"):
        _check_lengths(name, shape, lengths.setdefault(axes, shape))
    else:
        _check_lengths(name, shape, [lengths.get(axis) for axis in axes.split()])
        lengths.update(zip(axes.split(), shape, strict=True))


def _check_lengths(name: str, shape: tuple[int, ...], expected: Sequence[int | None]) -> None:
    fits = len(shape) == len(expected)
    for length, wanted in zip(shape, expected):  # noqa: B905  (in every step of a network: kept fast)
        fits = fits and (wanted is None or length == wanted)
    if not fits:
        wished = str(tuple("any" if length is None else length for length in expected)).replace("'", "")
        raise ValueError(f"{name}: expected shape {wished}, got {tuple(shape)}")


def _check_elements(name: str, array: np.ndarray, wanted: str, lengths: dict[str, Any]) -> None:
    if not array.size:
        return
    low, high = array.min().item(), array.max().item()
    if wanted in RANGES and not (RANGES[wanted][1](low) and RANGES[wanted][1](high)):
        raise ValueError(f"{name}: expected numbers from {wanted}, got {low} to {high}")
    if wanted in lengths and not 0 <= low <= high < lengths[wanted]:
        raise ValueError(f"{name}: expected {wanted} from 0 to {lengths[wanted] - 1}, got {low} to {high}")


def _check_value(name: str, wanted: Any, annotation: Any) -> Callable[[Any], None]:
    """Of a dtype, a word, a number, or each of two numbers."""
    if wanted == "floating":
        return check_dtype
    words, fits = _rule(wanted, annotation)

    def check(value: Any, name: str = name) -> None:
        if not fits(value):
            raise ValueError(f"{name}: expected {words}, got {value}")

    def check_both(values: Any) -> None:
        for i, value in enumerate(values):
            check(value, f"{name}[{i}]")

    return check_both if annotation == tuple[float, float] else check


def _rule(wanted: Any, annotation: Any) -> tuple[str, Callable[[Any], bool]]:
    """What a value must be, in words, and whether it is."""
    if not isinstance(wanted, str):
        return f"one of {', '.join(wanted)}", lambda value: isinstance(value, str) and value in wanted
    if annotation is int:
        least = int(wanted.removeprefix(">="))
        return f"an integer {wanted}", lambda value: value >= least
    words, fits = RANGES[wanted]
    if NoneType in _kinds(annotation):
        return f"None or {words}", lambda value: value is None or fits(value)
    return words, fits


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


_NUMBERS: dict[Any, Callable] = {
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
    """Raise TypeError unless all the arrays share one floating dtype."""
    shared = None
    for array in arrays.values():  # in every step of a network: kept fast
        right = isinstance(array, ARRAYS) and array.dtype.kind == "f"
        if not right or (shared is not None and array.dtype != shared):
            _check_dtypes({n: a.dtype if isinstance(a, ARRAYS) else type(a) for n, a in arrays.items()}, {})
        shared = array.dtype


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
    _check_lengths(name, array.shape, expected)


def check_probability(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value <= 1."""
    check_range(name, value, "probability")


def check_not_negative(**values: float) -> None:
    """Raise ValueError unless every value is a finite number >= 0."""
    for name, value in values.items():
        check_range(name, value, ">= 0")


def check_range(name: str, value: float, wanted: str) -> None:
    """Raise ValueError unless a number is in one of the `RANGES`."""
    words, fits = RANGES[wanted]
    if not fits(value):
        raise ValueError(f"{name}: expected {words}, got {value}")


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
