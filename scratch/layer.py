"""What every layer keeps between a forward pass, the backward pass and the next step."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

A = TypeVar("A", bound=np.ndarray | None)


class Layer:
    """A layer: its parameters by PyTorch's names, their gradients, and what `backward` needs of `forward`.

    Attributes:
        parameters, gradients: arrays of the same names and shapes
        buffers: arrays that training changes otherwise than by gradients
        training: False in evaluation, where some layers do something else
        cache: of the last forward pass
    """

    cache: Any = NotImplemented  # until there was a forward pass

    def __init__(self, **parameters: np.ndarray) -> None:
        self.parameters = parameters
        self.gradients = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.buffers: dict[str, np.ndarray] = {}
        self.training = True

    def check_ran(self) -> None:
        """Raise RuntimeError unless there was a forward pass, which `backward` goes back."""
        if self.cache is NotImplemented:
            name = type(self).__name__
            raise RuntimeError(f"backward: expected a forward pass of this {name} before it, got none")


def copied(array: A) -> A:
    """A copy for a cache, which nobody else may change; within `one_pass` the array itself; of None, None."""
    return array if array is None or _in_one_pass.get() else array.copy()


_in_one_pass = ContextVar("in_one_pass", default=False)


@contextmanager
def one_pass() -> Iterator[None]:
    """Caches do without copies: nobody comes between the forward and the backward pass to change an array."""
    before = _in_one_pass.set(True)
    try:
        yield
    finally:
        _in_one_pass.reset(before)
