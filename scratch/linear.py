"""The affine layer, y = x Wᵀ + b.

A textbook that keeps examples in columns writes Z = W X + b; the weight is the same matrix.
"""

import math
from typing import Any

import numpy as np

from scratch.checks import check_dtype, check_floating, check_ran, check_shape, given, plain_numbers
from scratch.initializers import kaiming_uniform
from scratch.random import Generator


def linear_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> tuple[np.ndarray, tuple]:
    """y = x Wᵀ + b

    Args:
        x: (batch, in_features)
        weight: (out_features, in_features)
        bias: (out_features,) or None

    Returns:
        y (batch, out_features), and the cache for `linear_backward`.

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: shapes that do not fit.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    check_floating(x=x, weight=weight, **given(bias=bias))
    check_shape("weight", weight, (None, None))
    check_shape("x", x, (None, weight.shape[1]))
    y = np.matmul(x, weight.T)  # (batch, out_features)
    if bias is not None:
        check_shape("bias", bias, (weight.shape[0],))
        y += bias
    return y, (x, weight)


def linear_backward(
    dy: np.ndarray,
    cache: tuple,
    *,
    out: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    input_gradient: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = dy W,  dW = dyᵀ x,  db = Σ_batch dy

    From y_ni = Σ_j x_nj W_ij + b_i: ∂y_ni/∂x_nj = W_ij, ∂y_ni/∂W_ij = x_nj, ∂y_ni/∂b_i = 1.

    Args:
        dy: (batch, out_features), the gradient of the cost with respect to y
        cache: from `linear_forward`
        out: arrays that receive dW and db, so that a network can keep all gradients in one buffer
        input_gradient: False leaves dx out (None): the first layer of a network has no use for it

    Returns:
        dx (batch, in_features), dW (out_features, in_features), db (out_features,)

    Raises:
        TypeError: `dy` has another dtype than the forward pass.
        ValueError: `dy` has the wrong shape.
    """
    x, weight = cache
    check_floating(x=x, dy=dy)
    check_shape("dy", dy, (x.shape[0], weight.shape[0]))
    dweight = np.matmul(dy.T, x, out=out[0])  # (out_features, in_features)
    dbias = dy.sum(axis=0, out=out[1])  # (out_features,)
    dx = np.matmul(dy, weight) if input_gradient else None  # (batch, in_features)
    return dx, dweight, dbias


class Linear:
    """An affine layer that keeps its weight, its bias and their gradients.

    It starts as `torch.nn.Linear` does: weight and bias uniform on ±1/√in_features, the weight drawn
    first. (A network then initialises the weight by the method that it was asked for.) The weight's bound
    is computed as He's for a leaky ReLU of slope √5: the same number, but for its last bit.

    Args:
        in_features, out_features: integers ≥ 1
        generator: draws the initial values
        bias: False for a layer without one, as in front of batch normalisation
        dtype: of weight and bias

    Raises:
        ValueError: no input or no output features.
    """

    @plain_numbers
    def __init__(
        self,
        in_features: int,
        out_features: int,
        generator: Generator,
        *,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        check_features(in_features=in_features, out_features=out_features)
        check_dtype(dtype)
        weight = kaiming_uniform(
            (out_features, in_features), generator, nonlinearity="leaky_relu", a=math.sqrt(5), dtype=dtype
        )
        self.parameters = {"weight": weight}
        if bias:
            bound = 1 / math.sqrt(in_features)
            self.parameters["bias"] = generator.uniform((out_features,), -bound, bound, dtype)
        self.gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Apply the layer and remember what `backward` needs."""
        y, self.cache = linear_forward(x, self.parameters["weight"], self.parameters.get("bias"))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> np.ndarray | None:
        """Fill `gradients` and return dx."""
        check_ran(self)
        out = (self.gradients["weight"], self.gradients.get("bias"))
        dx, _, _ = linear_backward(dy, self.cache, out=out, input_gradient=input_gradient)
        return dx


def check_features(**counts: int) -> None:
    """Raise ValueError unless every number of features is at least 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: expected an integer >= 1, got {count}")
