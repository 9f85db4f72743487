"""Layer normalisation and RMS normalisation: every example by itself, over its features, the last axis.

No statistics of other examples enter: training and evaluation are the same, and a batch of one will do.
γ and β, one number for each feature, may be None, for 1 and 0. (PyTorch's `normalized_shape` may be several
axes; here it is the last one.)

All take x (…, features). All raise TypeError for arrays that are not floating or not of one dtype, and
ValueError for shapes that do not fit and for an ε out of range.
"""

from typing import Any

import numpy as np

from scratch.checks import check_floating, check_shape, expects
from scratch.layer import Layer, copied


@expects(x="*shape", gamma="scales", beta="shifts", eps="> 0")
def layer_norm_forward(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, eps: float = 1e-5
) -> tuple[np.ndarray, tuple]:
    """y = γ·x̂ + β with x̂ = (x − μ)/√(σ² + ε), from the mean and the biased variance of the example

        μ = 1/n·Σ_features x        σ² = 1/n·Σ_features (x − μ)²

    Returns y in the shape of x, and the cache for `layer_norm_backward`.

    Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
    """
    _check_features(x, gamma=gamma, beta=beta)
    n = x.shape[-1]
    centred = x - x.sum(axis=-1, keepdims=True) / n  # (…, features)
    variance = (centred * centred).sum(axis=-1, keepdims=True) / n  # (…, 1)
    std = (variance + eps) ** 0.5
    x_hat = centred / std
    y = x_hat.copy() if gamma is None else x_hat * gamma
    return y if beta is None else y + beta, (x_hat, std, copied(gamma))


@expects(cache={"x": "*shape", "parts": 3}, dy="*shape")
def layer_norm_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients: every x reaches every y of its example by way of μ and σ²

    With dx̂ = γ·dy, s = √(σ² + ε), and the means over the features, as in batch normalisation over the batch:

        dx  = 1/s·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂))

    γ belongs to a feature, so that it can not be taken out of the means. Over all other axes:

        dγ  = Σ dy·x̂        dβ  = Σ dy

    Returns dx in the shape of x, dγ (features,) and dβ (features,).
    """
    x_hat, std, gamma = cache
    examples = tuple(range(dy.ndim - 1))
    dgamma, dbeta = (dy * x_hat).sum(axis=examples), dy.sum(axis=examples)
    dx_hat = dy if gamma is None else dy * gamma
    mean, slope = (each.sum(axis=-1, keepdims=True) / dy.shape[-1] for each in (dx_hat, dx_hat * x_hat))
    return (dx_hat - mean - x_hat * slope) / std, dgamma, dbeta


@expects(x="*shape", gamma="scales", eps="> 0")
def rms_norm_forward(
    x: np.ndarray, gamma: np.ndarray | None, eps: float | None = None
) -> tuple[np.ndarray, tuple]:
    """y = γ·x̂ with x̂ = x/√(1/n·Σ_features x² + ε): no mean is subtracted, and there is no β

    Without `eps`, ε is the distance from 1 to the next number of the dtype: 2⁻²³ or 2⁻⁵².

    Returns y in the shape of x, and the cache for `rms_norm_backward`.

    Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467
    https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
    """
    _check_features(x, gamma=gamma)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    rms = ((x * x).sum(axis=-1, keepdims=True) / x.shape[-1] + eps) ** 0.5  # (…, 1)
    x_hat = x / rms
    y = x_hat.copy() if gamma is None else x_hat * gamma
    return y, (x_hat, rms, copied(gamma))


@expects(cache={"x": "*shape", "parts": 3}, dy="*shape")
def rms_norm_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dx = 1/r·(dx̂ − x̂·mean(dx̂·x̂)), with dx̂ = γ·dy, r = √(mean(x²) + ε) and the means over the features

    From x̂ = x·r⁻¹ and ∂r/∂xᵢ = xᵢ/(n·r) = x̂ᵢ/n. Over all other axes, dγ = Σ dy·x̂.

    Returns dx in the shape of x and dγ (features,).
    """
    x_hat, rms, gamma = cache
    dgamma = (dy * x_hat).sum(axis=tuple(range(dy.ndim - 1)))
    dx_hat = dy if gamma is None else dy * gamma
    slope = (dx_hat * x_hat).sum(axis=-1, keepdims=True) / dy.shape[-1]
    return (dx_hat - x_hat * slope) / rms, dgamma


def _check_features(x: np.ndarray, **parameters: np.ndarray | None) -> None:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x: expected a last axis of features, at least one, got the shape {x.shape}")
    for name, parameter in parameters.items():
        if parameter is not None:
            check_shape(name, parameter, x.shape[-1:])


class LayerNorm(Layer):
    """A layer normalisation layer, which keeps γ ("weight") and β ("bias")

    Args:
        normalized_shape: the number of features, the last axis of x
        eps: ε, inside the root
        elementwise_affine: False for a layer without γ and β
        bias: False for one without β
        dtype: of the parameters
    """

    @expects(normalized_shape=">= 1", eps="> 0", dtype="floating")
    def __init__(
        self, normalized_shape: int, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
        *, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        gamma, beta = np.ones(normalized_shape, dtype), np.zeros(normalized_shape, dtype)
        parameters = {"weight": gamma, "bias": beta} if bias else {"weight": gamma}
        super().__init__(**(parameters if elementwise_affine else {}))
        self.eps, self._like = eps, gamma

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Normalise each example."""
        _check_input(self._like, x)
        gamma, beta = self.parameters.get("weight"), self.parameters.get("bias")
        y, self.cache = layer_norm_forward(x, gamma, beta, self.eps)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Fill `gradients` and return dx."""
        self.check_ran()
        dx, *found = layer_norm_backward(dy, self.cache)
        for gradient, value in zip(self.gradients.values(), found, strict=False):
            gradient[...] = value
        return dx


class RMSNorm(Layer):
    """An RMS normalisation layer, which keeps γ ("weight")

    Args:
        normalized_shape: the number of features, the last axis of x
        eps: ε, inside the root; None for the distance from 1 to the next number
        elementwise_affine: False for a layer without γ
        dtype: of the parameter
    """

    @expects(normalized_shape=">= 1", eps="> 0", dtype="floating")
    def __init__(
        self, normalized_shape: int, eps: float | None = None, elementwise_affine: bool = True,
        *, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        gamma = np.ones(normalized_shape, dtype)
        super().__init__(**({"weight": gamma} if elementwise_affine else {}))
        self.eps, self._like = eps, gamma

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Normalise each example."""
        _check_input(self._like, x)
        y, self.cache = rms_norm_forward(x, self.parameters.get("weight"), self.eps)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Fill `gradients` and return dx."""
        self.check_ran()
        dx, dgamma = rms_norm_backward(dy, self.cache)
        if self.gradients:
            self.gradients["weight"][...] = dgamma
        return dx


def _check_input(like: np.ndarray, x: np.ndarray) -> None:
    check_floating(weight=like, x=x)
    check_shape("x", x, (*x.shape[:-1], len(like)))
