"""Softmax and its logarithm: any numbers become probabilities, which add up to 1 along one axis.

All take `x` of any shape with an axis `dim`, the last one unless told otherwise, and return y of that shape
and a cache; all raise TypeError for an array that is not floating, and ValueError for an axis that x has not
and for an upstream gradient of another shape. All sums and maxima are those along the axis.
"""

import numpy as np

from scratch.checks import expects
from scratch.layer import copied


@expects(x="*shape")
def softmax_forward(x: np.ndarray, dim: int = -1) -> tuple[np.ndarray, tuple]:
    """yᵢ = e^(xᵢ − m)/Σⱼ e^(xⱼ − m), with m = maxⱼ xⱼ

    Subtracting the largest number changes nothing in exact arithmetic, and keeps every exponent ≤ 0 and the
    sum ≥ 1: nothing overflows. The probability of −∞ is 0, as masks want it; where all are −∞, it is NaN, as
    in PyTorch.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    """
    e = np.exp(_shifted(x, dim))
    y = e / e.sum(axis=dim, keepdims=True)
    return y, (copied(y), dim)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
def softmax_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = yᵢ·(dyᵢ − Σⱼ dyⱼ·yⱼ)

    Every x reaches every y by way of the sum: ∂yⱼ/∂xᵢ = yⱼ·([i = j] − yᵢ), and dxᵢ = Σⱼ dyⱼ·∂yⱼ/∂xᵢ.
    """
    y, dim = cache
    return (dy - (dy * y).sum(axis=dim, keepdims=True)) * y


@expects(x="*shape")
def log_softmax_forward(x: np.ndarray, dim: int = -1) -> tuple[np.ndarray, tuple]:
    """yᵢ = log softmax(x)ᵢ = (xᵢ − m) − log Σⱼ e^(xⱼ − m), with m = maxⱼ xⱼ

    Not in two steps: the softmax of a number 1000 below the largest is 0, and the logarithm of that −∞.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
    """
    shifted = _shifted(x, dim)
    e = np.exp(shifted)
    total = e.sum(axis=dim, keepdims=True)
    return shifted - np.log(total), (e / total, dim)


@expects(cache={"x": "*shape", "parts": 2}, dy="*shape")
def log_softmax_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dxᵢ = dyᵢ − pᵢ·Σⱼ dyⱼ, with p = softmax(x)

    From ∂yⱼ/∂xᵢ = [i = j] − pᵢ: the logarithm of the sum has the derivative pᵢ.
    """
    softmax, dim = cache
    return dy - softmax * dy.sum(axis=dim, keepdims=True)


def _shifted(x: np.ndarray, dim: int) -> np.ndarray:
    """x − max x."""
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"dim: expected an axis of x, which has the shape {x.shape}, got {dim}")
    return x - x.max(axis=dim, keepdims=True, initial=-np.inf)  # along an axis without numbers, too
