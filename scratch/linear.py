"""The affine layer, y = x Wᵀ + b.

A textbook that keeps examples in columns writes Z = W X + b; the weight is the same matrix.

A forward pass wants floating-point arrays of one dtype, the backward pass a `dy` of that dtype: TypeError.
Shapes that do not fit, and a layer without features, are a ValueError.
"""

import math
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.initializers import kaiming_uniform
from scratch.layer import Layer, copied
from scratch.random import Generator


@expects(weight="out_features in_features", x="*batch in_features", bias="out_features")
def linear_forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> tuple[np.ndarray, tuple]:
    """y = x Wᵀ + b

    x is (batch, in_features), or has any other number of axes in front: (in_features,) is one example, and
    (batch, time, in_features) are sequences.

    Returns y (…, out_features), and the cache for `linear_backward`: copies, so that a later change of x or
    of the weight in place changes no gradient of this pass.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear.html
    """
    y = np.matmul(x, weight.T)  # (…, out_features)
    if bias is not None:
        y += bias
    return y, (copied(x), copied(weight))


@expects(
    cache={"x": "*batch in_features", "weight": "out_features in_features", "parts": 2},
    dy="*batch out_features",
)
def linear_backward(
    dy: np.ndarray, cache: tuple,
    *, out: tuple[np.ndarray | None, np.ndarray | None] = (None, None), input_gradient: bool = True,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:  # fmt: skip
    """dx = dy W,  dW = dyᵀ x,  db = Σ_batch dy

    From y_ni = Σ_j x_nj W_ij + b_i: ∂y_ni/∂x_nj = W_ij, ∂y_ni/∂W_ij = x_nj, ∂y_ni/∂b_i = 1. Every example
    counts, along whichever axes there are: for dW and db they are the rows of one matrix.

    Args:
        dy: the gradient of the cost with respect to y
        cache: from `linear_forward`
        out: arrays that receive dW and db, so that a network can keep all gradients in one buffer
        input_gradient: False leaves dx out (None): the first layer of a network has no use for it

    Returns dx (…, in_features), dW (out_features, in_features) and db (out_features,).
    """
    x, weight = cache
    rows = _rows(dy)  # (batch, out_features)
    dweight = np.matmul(rows.T, _rows(x), out=out[0])  # (out_features, in_features)
    dbias = rows.sum(axis=0, out=out[1])  # (out_features,)
    dx = np.matmul(dy, weight) if input_gradient else None  # (…, in_features)
    return dx, dweight, dbias


def _rows(x: np.ndarray) -> np.ndarray:
    """An example a row, whatever axes are in front of the features."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Linear(Layer):
    """An affine layer that keeps its weight, its bias and their gradients.

    It starts as `torch.nn.Linear` does: weight and bias uniform on ±1/√in_features, the weight drawn
    first. (A network then initialises the weight by the method that it was asked for.) The weight's bound
    is computed as He's for a leaky ReLU of slope √5: the same number, but for its last bit.

    `bias` is False for a layer without one, as in front of batch normalisation.
    """

    @expects(in_features=">= 1", out_features=">= 1", generator="draws", dtype="floating")
    def __init__(
        self, in_features: int, out_features: int, generator: Generator,
        *, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        parameters = {
            "weight": kaiming_uniform(
                (out_features, in_features), generator, nonlinearity="leaky_relu", a=math.sqrt(5), dtype=dtype
            )
        }
        if bias:
            bound = 1 / math.sqrt(in_features)
            parameters["bias"] = generator.uniform((out_features,), -bound, bound, dtype)
        super().__init__(**parameters)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Apply the layer and remember what `backward` needs."""
        y, self.cache = linear_forward(x, self.parameters["weight"], self.parameters.get("bias"))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> np.ndarray | None:
        """Fill `gradients` and return dx."""
        self.check_ran()
        out = (self.gradients["weight"], self.gradients.get("bias"))
        dx, _, _ = linear_backward(dy, self.cache, out=out, input_gradient=input_gradient)
        return dx
