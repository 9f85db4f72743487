"""Is a backward pass right? Compare it with the slope that two evaluations of the forward pass show."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scratch.checks import check_floating, check_shape, expects

PASSES = 1e-7  # the largest relative error that a right gradient of a smooth function has in float64


@expects(x="*shape", eps="> 0")
def numerical_gradient(f: Callable[[np.ndarray], Any], x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """∂f/∂xᵢ ≈ (f(x + ε·eᵢ) − f(x − ε·eᵢ))/(2ε), one element after the other

    Two sides: the error of the quotient is ε²/6·f‴; with f(x + ε) − f(x) it would be ε/2·f″. Beside it,
    f's own rounding error is divided by 2ε, which is why neither a smaller ε nor float32 will do.

    `x` itself is changed for each evaluation, and restored. So it may be the buffer that holds all parameters
    of a network: f(x) is then the cost of that network.

    Args:
        f: from an array of the shape of x to a number; for a layer Σ dy·y with a random dy
        x: float64 or longer, of any shape, where f is smooth within ±ε. (TypeError for float32, in which the
            difference of two f is mostly rounding error.)
        eps: ε

    https://cs231n.github.io/neural-networks-3/#gradcheck
    """
    check_precision(x)
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        value = x[i]
        try:
            x[i] = value + eps
            plus = f(x)
            x[i] = value - eps
            minus = f(x)
        finally:
            x[i] = value
        gradient[i] = (plus - minus) / (2 * eps)
    return gradient


@expects(a="*shape", b="*shape")
def relative_error(a: np.ndarray, b: np.ndarray) -> np.floating | float:
    """‖a − b‖/(‖a‖ + ‖b‖) of two arrays of one shape: 0 where they are equal, even if zero, and 1 at most."""
    size = _norm(a) + _norm(b)
    return _norm(a - b) / size if size > 0 else size


@expects(eps="> 0")
def gradient_check(
    f: Callable[[np.ndarray], Any], x: np.ndarray, gradient: np.ndarray, eps: float = 1e-6
) -> np.floating | float:
    """The relative error of `gradient`, f's gradient at x, against the numerical one

    Below 1e-7 (`PASSES`) it is right; above 1e-5 it is wrong, unless x lies on a kink.

    Arguments and errors as `numerical_gradient`; also ValueError for a gradient of another shape than x.

    >>> x = np.array([0.5, -2.0, 3.0])
    >>> bool(gradient_check(lambda x: (x**3).sum(), x, 3 * x**2) < PASSES)
    True
    >>> bool(gradient_check(lambda x: (x**3).sum(), x, 2 * x**2) < PASSES)
    False
    """
    check_precision(x)
    check_floating(x=x, gradient=gradient)
    check_shape("gradient", gradient, x.shape)
    return relative_error(gradient, numerical_gradient(f, x, eps))


def check_precision(x: np.ndarray) -> None:
    """Raise TypeError unless x is float64 or longer."""
    check_floating(x=x)
    if x.dtype.itemsize < 8:
        raise TypeError(f"x: expected float64 or longer, got {x.dtype}")


def _norm(a: np.ndarray) -> Any:
    return (a * a).sum() ** 0.5
