"""What somebody's functions reach for by name, or have in their text, replaced for as long as they run."""

import contextlib
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from scratch.random import Generator

GENERATORS = (np.random.Generator, np.random.RandomState)
EPSILON = 1e-4  # a positive number that stands in the text and is not larger is an ε


def with_globals(function: Callable, **names: Any) -> Callable:
    """The function, with others in the place of those that it calls by these names."""
    is_plain = isinstance(function, types.FunctionType)
    return _remade(function, function.__code__, names) if is_plain else function


def with_epsilon(function: Any, eps: float) -> Any:
    """The function or class with another ε: the one in its text, and in that of its file's that it calls

    A course that writes the number out has no argument for it.
    """
    if isinstance(function, type):
        own = {name: f for name, f in vars(function).items() if isinstance(f, types.FunctionType)}
        methods = {name: with_epsilon(method, eps) for name, method in own.items()}
        return type(function)(function.__name__, (function,), methods)
    return _with_epsilon(function, eps, frozenset())


def _with_epsilon(function: Any, eps: float, callers: frozenset[str]) -> Any:
    code, known = function.__code__, callers | {function.__name__}
    named = {name: function.__globals__.get(name) for name in code.co_names if name not in known}
    names: dict[str, Any] = {name: eps for name, value in named.items() if _is_epsilon(value)}
    for name, value in named.items():
        if isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
            names[name] = _with_epsilon(value, eps, known)
    constants = tuple(eps if _is_epsilon(constant) else constant for constant in code.co_consts)
    return _remade(function, code.replace(co_consts=constants), names)


def _is_epsilon(value: Any) -> bool:
    return isinstance(value, float) and 0 < value <= EPSILON


def _remade(function: Any, code: types.CodeType, names: dict[str, Any]) -> Callable:
    namespace = {**function.__globals__, **names}
    made = types.FunctionType(code, namespace, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def is_drawing(value: Any) -> bool:
    """Whether it is a function of `np.random`, or a method of one of its generators."""
    is_method = isinstance(value, types.MethodType | types.BuiltinMethodType)
    return is_method and isinstance(value.__self__, GENERATORS)


@contextlib.contextmanager
def drawing_from(
    generator: Generator, *, mirrored: bool = False, known: Iterable[dict[str, Any]] = ()
) -> Iterator[None]:
    """Within, NumPy's global functions draw what the generator draws, and a seed changes nothing

    Args:
        generator: of a case
        mirrored: 1 − u for every uniform u: for a mask that keeps where u is large
        known: namespaces in which generators of NumPy's, and its functions by name, are to be the same
    """
    ours = _Draws(generator, mirrored)
    with contextlib.ExitStack() as stack:
        drawn = {name: getattr(ours, name) for name in dir(ours) if not name.startswith("_")}
        for namespace in (vars(np.random), *known):
            stack.callback(namespace.update, dict(namespace))
            if namespace is vars(np.random):
                namespace.update(drawn)
                continue
            for name, value in [*namespace.items()]:
                if isinstance(value, GENERATORS):
                    namespace[name] = ours
                elif is_drawing(value):
                    namespace[name] = drawn.get(value.__name__, value)
        yield


class _Draws:
    """NumPy's names for the draws of a generator."""

    def __init__(self, generator: Generator, mirrored: bool) -> None:
        self._generator, self._mirrored = generator, mirrored

    def seed(self, *seed: Any) -> None:
        """Nothing."""

    def default_rng(self, *seed: Any) -> "_Draws":
        """Itself."""
        return self

    RandomState = default_rng

    def random(self, size: Any = ()) -> np.ndarray:
        """Uniform on [0, 1)."""
        u = self._generator.uniform(_shape(size), 0.0, 1.0, np.float64)
        return 1 - u if self._mirrored else u

    random_sample = random

    def rand(self, *size: int) -> np.ndarray:
        """The same."""
        return self.random(size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = ()) -> np.ndarray:
        """Uniform on [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Any = ()) -> np.ndarray:
        """From N(0, 1)."""
        return self._generator.normal(_shape(size), 0.0, 1.0, np.float64)

    def randn(self, *size: int) -> np.ndarray:
        """The same."""
        return self.standard_normal(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = ()) -> np.ndarray:
        """From N(loc, scale²)."""
        return loc + scale * self.standard_normal(size)

    def binomial(self, n: int, p: float, size: Any = ()) -> np.ndarray:
        """1 where u < p, else 0: of n = 1, what a mask is drawn with."""
        return sum((self.random(size) < p).astype(int) for _ in range(n))  # type: ignore[return-value]

    def randint(self, low: int, high: int | None = None, size: Any = ()) -> np.ndarray:
        """Of low … high − 1, or of 0 … low − 1."""
        low, high = (0, low) if high is None else (low, high)
        return (low + (high - low) * self.random(size)).astype(int)

    integers = randint

    def choice(self, a: Any, size: Any = (), replace: bool = True, p: Any = None) -> np.ndarray:
        """Of the numbers in a, or of 0 … a − 1, with these probabilities."""
        values = np.arange(a) if np.ndim(a) == 0 else np.asarray(a)
        if not replace:
            return values[self.permutation(len(values))[: int(np.prod(_shape(size)))]]
        shares = np.full(len(values), 1 / len(values)) if p is None else p
        return values[np.searchsorted(np.cumsum(shares)[:-1], self.random(size), side="right")]

    def permutation(self, x: Any) -> np.ndarray:
        """Of 0 … x − 1, or of the rows of an array."""
        return self._generator.epoch_order(x) if np.ndim(x) == 0 else np.asarray(x)[self.permutation(len(x))]

    def shuffle(self, x: Any) -> None:
        """In place."""
        x[:] = [x[i] for i in self.permutation(len(x))]


class Even:
    """A generator of uniform numbers that rise evenly: a mask shows which of them it keeps."""

    def uniform(self, size: Any, low: float = 0.0, high: float = 1.0, dtype: Any = np.float64) -> np.ndarray:
        """From 1/2n to 1 − 1/2n."""
        return ((np.arange(np.prod(size)) + 0.5) / np.prod(size)).reshape(size)


def _shape(size: Any) -> tuple[int, ...]:
    if size is None:
        return ()
    return (int(size),) if np.ndim(size) == 0 else tuple(size)
