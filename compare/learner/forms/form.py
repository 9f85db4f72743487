"""What a form is: signatures that somebody published, and how to call as ours what is written in them."""

import contextlib
import functools
import inspect
import io
import re
import types
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.environment import undisturbed


@dataclass(frozen=True)
class Form:
    """The signatures in which a course has a component written.

    Args:
        component: ours
        published: the course's signatures, such as "linear_forward(A, W, b)"; a default marks what may be
            left out; of a class the constructor and the methods: "Affine(W, b) with forward, backward"
        read: what somebody wrote, by the course's names (None where there is none) → functions called as ours
            are, by our names; or None, where the names fit but it is not this form
        words: finishes the sentence "read as …"
        convention: where a right version has other numbers than ours: whose convention, and how to map it
    """

    component: str
    published: tuple[str, ...]
    read: Callable[..., Mapping[str, Callable | None] | None]
    words: str
    convention: str = ""

    @property
    def signatures(self) -> dict[str, str]:
        """The published signatures by name."""
        return {_parsed(text)[0]: text for text in self.published}

    def written(self, namespace: Mapping[str, Any]) -> dict[str, Callable]:
        """What can be called as published, by the course's names."""
        return {
            name: namespace[name] for name, text in self.signatures.items() if fits(text, namespace.get(name))
        }

    def functions(self, namespace: Mapping[str, Any]) -> dict[str, Callable]:
        """Ours by name, calling what is written in this form; none where nothing is."""
        written = self.written(namespace)
        read = self.read(**{**dict.fromkeys(self.signatures), **written}) if written else None
        return {name: function for name, function in (read or {}).items() if function is not None}


@dataclass(frozen=True)
class OurCache:
    """What our forward pass kept, where it ran in the place of theirs."""

    content: Any


class Kept:
    """What is kept for each array (or block of one) from call to call, for as long as the array is there."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], Any] = {}

    def get(self, array: np.ndarray) -> Any:
        """None where there is nothing yet."""
        return self._values.get(_place(array))

    def set(self, array: np.ndarray, value: Any) -> None:
        """In the place of what there was."""
        key = _place(array)
        if key not in self._values:
            weakref.finalize(_owner(array), self._values.pop, key, None)
        self._values[key] = value


def _owner(array: np.ndarray) -> Any:
    return array if array.base is None else array.base  # blocks are views, made anew for every step


def _place(array: np.ndarray) -> tuple[int, int]:
    return id(_owner(array)), array.ctypes.data


def stands_for(theirs: Callable | None) -> Callable[[Callable], Callable]:
    """Marks the function that calls theirs: errors are then told of theirs. Of None, it stays our own."""

    def decorate(function: Callable) -> Callable:
        if theirs is not None:
            function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
            function.__wrapped__ = theirs  # type: ignore[attr-defined]
            function.__name__ = getattr(theirs, "__name__", function.__name__)
        return function

    return decorate


def is_theirs(function: Callable) -> bool:
    """Whether it stands for something that was written, and does not just complete it."""
    return hasattr(function, "__wrapped__")


def fits(published: str, function: Any) -> bool:
    """Whether it can be called as the signature says, and has the methods."""
    _, arguments, methods = _parsed(published)
    if not callable(function) or (methods and not isinstance(function, type)):
        return False
    if not all(callable(getattr(function, method, None)) for method in methods):
        return False
    fewest = sum("=" not in argument for argument in arguments)
    return any(takes(function, n) for n in range(fewest, len(arguments) + 1))


@functools.cache
def _parsed(published: str) -> tuple[str, list[str], list[str]]:
    """Name, arguments and methods."""
    name, arguments, methods = re.fullmatch(r"(\w+)\((.*?)\)(?: with (.+))?", published).groups()  # type: ignore[union-attr]
    return name, arguments.split(", ") if arguments else [], methods.split(", ") if methods else []


def takes(function: Callable, n: int) -> bool:
    """Whether it can be called with so many arguments by position, beside those that have a name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return sum(p.default is p.empty for p in by_position) <= n and (n <= len(by_position) or any_number)


def called_alike(function: Any, ours: Callable) -> bool:
    """Whether it takes as many arguments by position as ours takes, or can take."""
    parameters = inspect.signature(ours).parameters.values()
    kinds = [p.default is p.empty for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return callable(function) and any(takes(function, n) for n in range(sum(kinds), len(kinds) + 1))


def arguments_of(published: str) -> list[str]:
    """The names of the arguments of a published signature."""
    return [argument.partition("=")[0] for argument in _parsed(published)[1]]


def is_named_as(published: str, name: str, function: Any) -> bool:
    """Whether a function and its arguments have the published names."""
    theirs, arguments, _ = _parsed(published)
    code = getattr(function, "__code__", None)
    return name == theirs and code is not None and [*code.co_varnames[: len(arguments)]] == arguments


def as_many(function: Callable, *arguments: Any) -> Any:
    """Call it with as many of the arguments as it takes: the last ones are options that it may not have."""
    while arguments and not takes(function, len(arguments)):
        arguments = arguments[:-1]
    return function(*arguments)


def tried(function: Callable, *arguments: Any) -> Any:
    """What a function gives for arguments that tell two forms apart; None if it can not take them."""
    with undisturbed(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        try:
            return function(*arguments)
        except (Exception, SystemExit):
            return None


def one_row(function: Callable) -> Callable:
    """A function of rows, callable with a vector: that is its only row, in what it returns as well."""

    @functools.wraps(function)
    def call(x: np.ndarray, *settings: Any) -> Any:
        if x.ndim > 1:
            return function(x, *settings)
        returned = function(x[np.newaxis], *settings)
        parts = returned if isinstance(returned, tuple) else (returned,)
        first = np.reshape(parts[0], x.shape)
        return (first, *parts[1:]) if isinstance(returned, tuple) else first

    return call


def modules(function: Any) -> set[str]:
    """The names of the modules that a function mentions, without what is below them."""
    code, known = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    used = [known.get(name) for name in code.co_names] if code else []
    return {module.__name__.split(".")[0] for module in used if isinstance(module, types.ModuleType)}


def first_argument(function: Callable) -> str:
    """Its name."""
    return next(iter(inspect.signature(function).parameters), "")


def has_shape(array: Any, *shape: int) -> bool:
    """Whether it is an array of this shape."""
    return isinstance(array, np.ndarray) and array.shape == shape


def is_close(a: Any, b: Any) -> bool:
    """Whether what was tried is these numbers."""
    try:
        return bool(np.allclose(np.asarray(a, float), b, rtol=1e-6, atol=1e-12))
    except (TypeError, ValueError):
        return False
