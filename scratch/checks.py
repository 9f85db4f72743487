"""What every public function asks of its arguments, declared in a line above it with `expects`.

An error says which argument, what was expected and what was given. It is a TypeError if the argument is of
another kind (no number, no floating-point array, another dtype than the first array), and a ValueError if a
shape does not fit or a value is out of range.
"""

import functools
import inspect
import math
from collections.abc import Callable, Hashable, Mapping, Sequence, ValuesView
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
    ">= 0 or infinite": ("a number >= 0", lambda value: value >= 0),
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
        "batch>=2"         one with an axis of at least that length
        ""                 an array without axes, or Python's number
        "*shape"           an array of any shape; again, one of the same shape; "any" may be another one
        "*batch features"  one with any number of axes in front of the named ones
        "*shape: 0 to 1"   and its elements are from 0 to 1
        {"x": "*shape"}    a cache that is one array, and what errors call it
        {"x": "*shape", "parts": 2}   one of two parts, of which the first is an array
        ">= 0"             a number in one of the `RANGES`; for an integer, ">=" and any least one
        ("mean", "sum")    one of these words
        "floating"         a dtype
        "draws"            a generator of scratch.random, or one that draws as they do

    All floating-point arrays have one dtype. The annotations say what may be None, and what is a number:
    numbers reach the function as Python's.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        annotations = {n: p.annotation for n, p in inspect.signature(function).parameters.items()}
        arrays = {
            n: what for n, what in expected.items() if n == "cache" or np.ndarray in _kinds(annotations[n])
        }
        places = {name: i for i, name in enumerate(annotations)}
        numbers = [(places[n], n, *_NUMBERS[kind]) for n, kind in annotations.items() if kind in _NUMBERS]
        others = {n: what for n, what in expected.items() if n not in arrays}
        values = [(places[n], n, _check_value(n, what, annotations[n])) for n, what in others.items()]
        first = 1 + max((places[n] for n in arrays), default=-1)  # arguments up to the last array
        names = list(annotations)[:first]
        check_arrays = _check_arrays(function.__name__, names, arrays, annotations)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> R:
            for i, name, usual, plain in numbers:
                if name in kwargs:
                    if type(kwargs[name]) is not usual:
                        kwargs[name] = plain(name, kwargs[name], (args, kwargs))
                elif i < len(args) and type(args[i]) is not usual:
                    args = (*args[:i], plain(name, args[i], (args, kwargs)), *args[i + 1 :])
            while len(args) < first and names[len(args)] in kwargs:
                args = (*args, kwargs.pop(names[len(args)]))
            if 0 < first <= len(args):  # with fewer, Python says what is missing
                check_arrays(args[:first])
            for i, name, check in values:
                if name in kwargs:
                    check(kwargs[name])
                elif i < len(args):
                    check(args[i])
            return function(*args, **kwargs)

        return call

    return decorate


def _kinds(annotation: Any) -> set[Any]:
    kinds = set(get_args(annotation)) or {annotation}
    return kinds | {int} if float in kinds else kinds


def _check_arrays(
    function: str, names: list[str], expected: dict[str, Any], annotations: dict[str, Any]
) -> Callable:
    """Of the first arguments: one check for all arrays, since they have to fit each other."""
    cached = dict(expected.get("cache", {}))  # what is in the cache counts as the first arguments
    parts = cached.pop("parts", None)
    cache_at = names.index("cache") if cached else 0
    forward = function.replace("backward", "forward")
    declared = cached | {name: what for name, what in expected.items() if name != "cache"}
    axes = {name: what.partition(": ")[0] for name, what in declared.items()}
    inside = {name: what.partition(": ")[2] for name, what in declared.items() if ": " in what}
    instead = {name: _kinds(annotations[name]) for name in expected}
    instead |= dict.fromkeys(cached, _kinds(annotations.get("cache")) & {NoneType})

    @functools.lru_cache
    def check_described(*described: Hashable) -> None:
        """By dtypes and shapes; those that have fitted once need no second look."""
        every = dict(zip([*cached, *names], described, strict=True))
        arrays = {n: it for n, it in every.items() if n in declared and it not in instead[n]}
        _check_dtypes({n: it[0] if type(it) is tuple else it for n, it in arrays.items()})
        lengths: dict[str, Any] = {}
        for name in axes:
            if name in arrays:
                _check_axes(name, arrays[name][1], axes[name], lengths)

    def check(args: tuple) -> None:
        arrays = args
        if cached:
            cache = args[cache_at]
            if parts and not (type(cache) is tuple and len(cache) == parts):
                given = len(cache) if type(cache) is tuple else type(cache).__name__
                raise TypeError(f"cache: expected the {parts} parts that {forward} returned, got {given}")
            arrays = (*(cache[: len(cached)] if parts else [cache]), *args)
        described: list[Any] = [(a.dtype, a.shape) if isinstance(a, ARRAYS) else type(a) for a in arrays]
        check_described(*described)
        for name, what in inside.items():
            check_elements(name, args[names.index(name)], what)

    return check


def _check_dtypes(dtypes: Mapping[str, Any]) -> None:
    """Raise TypeError unless arrays share one floating dtype."""
    first_name, first_dtype = "", None
    for name, dtype in dtypes.items():
        given = dtype.__name__ if isinstance(dtype, type) else dtype
        kind = "" if isinstance(dtype, type) else dtype.kind
        if kind != "f":
            raise TypeError(f"{name}: expected a floating-point array, got {given}")
        if first_dtype is None:
            first_name, first_dtype = name, dtype
        elif dtype != first_dtype:
            raise TypeError(f"{name}: expected {first_dtype} like {first_name}, got {dtype}")


def _check_axes(name: str, shape: tuple[int, ...], axes: str, lengths: dict[str, Any]) -> None:
    """Raise ValueError unless axes that have a length already have it again; note those of the others."""
    if axes == "any":
        return
    every = [axis.partition(">=") for axis in axes.split()]
    front: tuple[int, ...] = ()
    if axes.startswith("*"):
        (several, _, _), *every = every
        front = lengths.setdefault(several, shape[: max(len(shape) - len(every), 0)])
    _check_lengths(name, shape, [*front, *(lengths.get(axis) for axis, _, _ in every)])
    shape = shape[len(front) :]
    for (axis, _, least), length in zip(every, shape, strict=True):
        lengths[axis] = length
        if least and length < int(least):
            raise ValueError(f"{name}: expected {axis} >= {least}, got {length}")


def _check_lengths(name: str, shape: tuple[int, ...], expected: Sequence[int | None]) -> None:
    fits = len(shape) == len(expected)
    if not fits or any(wanted not in (None, n) for n, wanted in zip(shape, expected, strict=True)):
        wished = str(tuple("any" if length is None else length for length in expected)).replace("'", "")
        raise ValueError(f"{name}: expected shape {wished}, got {tuple(shape)}")


def _check_value(name: str, wanted: Any, annotation: Any) -> Callable[[Any], None]:
    """Of a dtype, a generator, a word, a number, or each of two numbers."""
    if wanted == "floating":
        return check_dtype
    if wanted == "draws":
        return check_generator if NoneType not in _kinds(annotation) else lambda value: None
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
    if annotation == int | None:
        words, fits = _rule(wanted, int)
        return f"None or {words}", lambda value: value is None or fits(value)
    words, fits = RANGES[wanted]
    if NoneType in _kinds(annotation):
        return f"None or {words}", lambda value: value is None or fits(value)
    return words, fits


def _number(name: str, value: Any, arguments: Any) -> Any:
    """Python's number, which takes the dtype of the arrays that it meets: np.float64(0.1) would widen them.

    Among arrays of `longdouble` a number of that dtype stays what it is, since Python's have fewer digits.
    """
    if type(value) in (float, int):
        return value
    value = value[()] if isinstance(value, np.ndarray) else value  # a scalar, if it has no dimensions
    if not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if isinstance(value, np.longdouble) and _dtypes(arguments) <= {value.dtype}:
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _number_or_none(name: str, value: Any, arguments: Any) -> Any:
    return None if value is None else _number(name, value, arguments)


def _integer_or_none(name: str, value: Any, arguments: Any) -> Any:
    return None if value is None else _integer(name, value, arguments)


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


_NUMBERS: dict[Any, tuple[type | None, Callable]] = {  # what needs no look, and how the others are made it
    float: (float, _number),
    float | None: (float, _number_or_none),
    tuple[float, float]: (None, _numbers),
    int: (int, _integer),
    int | None: (int, _integer_or_none),
}


def _dtypes(arguments: Any) -> set[np.dtype]:
    """Those of all arrays among arguments, and any that is an argument itself."""
    if isinstance(arguments, list | tuple | Mapping | ValuesView):
        inside = arguments.values() if isinstance(arguments, Mapping) else arguments
        return set().union(*map(_dtypes, inside))
    if isinstance(arguments, type) and issubclass(arguments, np.generic):
        return {np.dtype(arguments)}
    return {arguments.dtype} if isinstance(arguments, np.ndarray) and arguments.ndim else set()


def check_floating(**arrays: np.ndarray) -> None:
    """Raise TypeError unless all the arrays share one floating dtype."""
    _check_dtypes({n: a.dtype if isinstance(a, ARRAYS) else type(a) for n, a in arrays.items()})


def check_dtype(dtype: Any) -> None:
    """Raise TypeError unless `dtype` is a floating-point one."""
    try:
        floating = dtype is not None and np.issubdtype(dtype, np.floating)
    except (TypeError, ValueError):
        floating = False
    if not floating:
        raise TypeError(f"dtype: expected a floating-point dtype, got {dtype}")


def check_generator(generator: Any) -> None:
    """Raise TypeError unless initial weights, dropout masks and orders can be drawn from it."""
    if not hasattr(generator, "dropout_mask"):  # which a seed and NumPy's own generators have not
        raise TypeError(
            "generator: expected one of scratch.random, such as NumpyGenerator(0) or TorchGenerator(0), "
            f"got {generator!r}"
        )


def check_shape(name: str, array: np.ndarray, expected: Sequence[int | None]) -> None:
    """Raise ValueError unless `array` has the expected shape; None stands for any length."""
    _check_lengths(name, array.shape, expected)


def check_elements(name: str, array: np.ndarray, wanted: str) -> None:
    """Raise ValueError unless all elements are in a range of `RANGES`."""
    if not array.size:
        return
    low, high = array.min(), array.max()
    _, fits = RANGES[wanted]
    if not (fits(low) and fits(high)):
        raise ValueError(f"{name}: expected numbers from {wanted}, got {low} to {high}")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value}")


def check_state(state: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], owner: str) -> None:
    """Raise unless `state` has an array of the same shape and dtype for each of `own`, and no others."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state: expected arrays by name, got {type(state).__name__}")
    if own.keys() != state.keys():
        raise ValueError(
            f"state: expected the arrays of this {owner}, "
            f"missing {sorted(own.keys() - state.keys())}, unknown {sorted(state.keys() - own.keys())}"
        )
    for name, array in own.items():
        check_shape(name, state[name], array.shape)
        if state[name].dtype != array.dtype:
            raise TypeError(f"{name}: expected {array.dtype}, got {state[name].dtype}")
