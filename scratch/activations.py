"""Activation functions, element by element, each with its backward pass.

All take `x` of any shape and return y of that shape and a cache, which is a copy: whoever changes x or y in
place before the backward pass changes no gradient. All raise TypeError for an array that is not
floating, and ValueError for an upstream gradient of another shape.
"""

import math
from collections.abc import Callable

import numpy as np

from scratch.checks import expects
from scratch.layer import Layer, copied


@expects(x="*shape")
def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = x for x > 0, else 0

    NaN stays NaN and −0 stays −0, as in PyTorch: of two equal numbers `np.maximum` takes the second one.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu.html
    """
    y = np.maximum(0, x)
    return y, copied(y)


@expects(cache={"x": "*shape"}, dy="*shape")
def relu_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy where y > 0, else 0

    At the kink, x = 0, any number from 0 to 1 is a subgradient; the choice here is PyTorch's: 0. A unit whose
    x is below 0 for every example gets no gradient and stays there: a dead ReLU, which `leaky_relu` avoids.
    """
    y = cache
    return _zero_where(y <= 0, dy)


def _zero_where(off: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """np.where(off, 0, dy), by the bits: all of them times 0 or times 1

    `np.where` asks of each element where to go, and with signs as random as these a processor guesses wrong
    every other time: eight times as slow. (In floating point ∞·0 would be NaN, and a negative number times 0
    is −0.)
    """
    if dy.dtype.itemsize > 8:
        return np.where(off, dy.dtype.type(0), dy)
    bits = np.asarray(dy).view(f"i{dy.dtype.itemsize}")
    return np.asarray(bits * ~off).view(dy.dtype)


@expects(x="*shape")
def leaky_relu_forward(x: np.ndarray, negative_slope: float = 0.01) -> tuple[np.ndarray, tuple]:
    """y = x for x > 0, else a·x, with a = `negative_slope`

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.leaky_relu.html
    """
    return np.where(x > 0, x, x * negative_slope), (copied(x), negative_slope)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
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
    return y, copied(y)


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
    return y, copied(y)


@expects(cache={"x": "*shape"}, dy="*shape")
def sigmoid_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy·y·(1 − y)

    From y = 1/(1 + e⁻ˣ): dy/dx = e⁻ˣ/(1 + e⁻ˣ)² = y·(1 − y).
    """
    y = cache
    return dy * (1 - y) * y


@expects(x="*shape", approximate=("none", "tanh"))
def gelu_forward(x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, tuple]:
    """y = x·Φ(x), with Φ(x) = ½(1 + erf(x/√2)), the chance that a normal number is below x

    With approximate="tanh": y = ½x·(1 + tanh u), u = √(2/π)·(x + 0.044715·x³), off by 0.0005 at most.

    Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html
    """
    if approximate == "tanh":
        y = 0.5 * x * (1 + np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))
    else:
        y = 0.5 * x * (1 + _erf(x * SQRT_HALF))
    return y, (copied(x), approximate)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
def gelu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy·(Φ(x) + x·φ(x)), with φ(x) = e^(−x²/2)/√(2π), the derivative of Φ

    With approximate="tanh": dx = dy·½(1 + t + x·(1 − t²)·u′), with t = tanh u and
    u′ = √(2/π)·(1 + 3·0.044715·x²).
    """
    x, approximate = cache
    if approximate == "tanh":
        t = np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))
        slope = SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x)
        return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)
    density = np.exp(-0.5 * x * x) * (0.5 * SQRT_2_OVER_PI)
    return dy * (0.5 * (1 + _erf(x * SQRT_HALF)) + x * density)


SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # of GELU's approximation, fitted by its authors


def _erf(x: np.ndarray) -> np.ndarray:
    """2/√π·∫₀ˣ e^(−t²) dt, which NumPy has not: Python's, number by number, with the digits of float64."""
    return np.asarray(_ERF(x), x.dtype)


_ERF = np.frompyfunc(math.erf, 1, 1)


@expects(x="*shape")
def silu_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = x·σ(x), also called swish

    Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.silu.html
    """
    sigmoid, _ = sigmoid_forward(x)
    return x * sigmoid, (copied(x), sigmoid)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
def silu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy·σ(x)·(1 + x·(1 − σ(x)))

    From the product rule, σ + x·σ′, and σ′ = σ·(1 − σ).
    """
    x, sigmoid = cache
    return dy * sigmoid * (1 + x * (1 - sigmoid))


@expects(x="*shape", beta="> 0", threshold=">= 0 or infinite")
def softplus_forward(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> tuple[np.ndarray, tuple]:
    """y = 1/β·log(1 + e^(β·x)), a smooth ReLU; y = x where β·x is above the threshold

    With log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|) the exponent is never positive. Above the threshold PyTorch
    leaves the logarithm out, which is e^−β·x/β at most: 2·10⁻⁹ for β = 1.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html
    """
    z = beta * x
    smooth = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
    return np.where(z > threshold, x, smooth), (z, threshold)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
def softplus_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy·σ(β·x), and dx = dy where β·x is above the threshold

    From d log(1 + eᶻ)/dz = eᶻ/(1 + eᶻ) = σ(z); the β of z = β·x and the 1/β cancel.
    """
    z, threshold = cache
    sigmoid, _ = sigmoid_forward(z)
    return np.where(z > threshold, dy, dy * sigmoid)


ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "relu": (relu_forward, relu_backward),
    "leaky_relu": (leaky_relu_forward, leaky_relu_backward),
    "tanh": (tanh_forward, tanh_backward),
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    "gelu": (gelu_forward, gelu_backward),
    "silu": (silu_forward, silu_backward),
    "softplus": (softplus_forward, softplus_backward),
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
