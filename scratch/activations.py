"""Activation functions, element by element, each with its backward pass.

All take `x` of any shape and return y of that shape and a cache, which is a copy: whoever changes x or y in
place before the backward pass changes no gradient. All raise TypeError for an array that is not
floating, and ValueError for an upstream gradient of another shape.
"""

from collections.abc import Callable

import numpy as np

from scratch.checks import expects
from scratch.layer import Layer


@expects(x="*shape")
def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = x for x > 0, else 0

    NaN stays NaN and −0 stays −0, as in PyTorch.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html
    """
    y = np.where(x < 0, x.dtype.type(0), x)
    return y, y.copy()


@expects(cache={"x": "*shape"}, dy="*shape")
def relu_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0

    At the kink, x = 0, any number from 0 to 1 is a subgradient; the choice here is PyTorch's: 0.
    """
    y = cache
    return np.where(y <= 0, dy.dtype.type(0), dy)


@expects(x="*shape")
def leaky_relu_forward(x: np.ndarray, negative_slope: float = 0.01) -> tuple[np.ndarray, tuple]:
    """y = x for x > 0, else a·x, with a = `negative_slope`

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.leaky_relu.html
    """
    return np.where(x > 0, x, x * negative_slope), (x.copy(), negative_slope)


@expects(cache={"x": "*shape"}, dy="*shape")
def leaky_relu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy where x > 0, else a·dy

    At the kink, x = 0, PyTorch takes the slope of the left side, a.
    """
    x, negative_slope = cache
    return np.where(x > 0, dy, dy * negative_slope)


@expects(x="*shape")
def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = tanh x

    https://docs.pytorch.org/docs/stable/generated/torch.tanh.html
    """
    y = np.tanh(x)
    return y, y.copy()


@expects(cache={"x": "*shape"}, dy="*shape")
def tanh_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy·(1 − y²)

    From tanh′ = 1 − tanh²: only the result is needed, not the input.
    """
    y = cache
    return dy * (1 - y * y)


@expects(x="*shape")
def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = 1/(1 + e⁻ˣ)

    For x < 0 the equal form eˣ/(1 + eˣ) is used, so that the exponent is never positive and nothing
    overflows: sigmoid(±1000) is 1 and 0 without a warning.

    https://docs.pytorch.org/docs/stable/generated/torch.sigmoid.html
    """
    e = np.exp(-np.abs(x))  # in (0, 1]
    y = np.where(x < 0, e, x.dtype.type(1)) / (1 + e)
    return y, y.copy()


@expects(cache={"x": "*shape"}, dy="*shape")
def sigmoid_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy·y·(1 − y)

    From y = 1/(1 + e⁻ˣ): dy/dx = e⁻ˣ/(1 + e⁻ˣ)² = y·(1 − y).
    """
    y = cache
    return dy * (1 - y) * y


ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "relu": (relu_forward, relu_backward),
    "leaky_relu": (leaky_relu_forward, leaky_relu_backward),
    "tanh": (tanh_forward, tanh_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
}


class Activation(Layer):
    """An activation function, one of `ACTIVATIONS`, as a layer; `negative_slope` is that of leaky_relu."""

    @expects(activation=ACTIVATIONS)
    def __init__(self, activation: str, negative_slope: float = 0.01) -> None:
        super().__init__()
        self._forward, self._backward = ACTIVATIONS[activation]
        self._options = {"negative_slope": negative_slope} if activation == "leaky_relu" else {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Apply the function and remember what `backward` needs."""
        y, self.cache = self._forward(x, **self._options)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Return dx."""
        self.check_ran()
        return self._backward(dy, self.cache)
