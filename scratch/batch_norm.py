"""Batch normalisation: every feature is brought to mean 0 and variance 1, then scaled and shifted.

Two variances are in use. The batch is normalised with the biased one, 1/m·Σ(x−μ)², the best description of
these very numbers; the running variance keeps the unbiased one, 1/(m−1)·Σ(x−μ)², the best guess about the
data that they came from. (Keras, d2l.ai and CS231n keep the biased one there too.)

γ and β may be None, for 1 and 0. All raise TypeError for arrays that are not floating or not of one dtype,
and ValueError for shapes that do not fit and for numbers out of range.
"""

from typing import Any

import numpy as np

from scratch.checks import check_floating, check_shape, expects
from scratch.layer import Layer, copied


@expects(x="batch>=2 features", gamma="features", beta="features", eps="> 0")
def batch_norm_forward(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, eps: float = 1e-5
) -> tuple[np.ndarray, tuple, tuple[np.ndarray, np.ndarray]]:
    """In training: y = γ·x̂ + β with x̂ = (x − μ)/√(σ² + ε), from the mean and variance of the batch

        μ = 1/m·Σ_batch x        σ² = 1/m·Σ_batch (x − μ)²

    A batch has at least two examples. Returns y (batch, features), the cache for `batch_norm_backward`, and
    (μ, σ²), each (features,), for `update_running_statistics`.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """
    m = len(x)
    mean = x.sum(axis=0) / m  # (features,)
    centred = x - mean  # (batch, features)
    variance = (centred * centred).sum(axis=0) / m  # (features,)
    std = (variance + eps) ** 0.5
    x_hat = centred / std
    return _scale_and_shift(x_hat, gamma, beta), (x_hat, std, copied(gamma)), (mean, variance)


@expects(cache={"x": "batch features", "parts": 3}, dy="batch features")
def batch_norm_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of the training pass, in which every x reaches every y of its feature by way of μ and σ²

    With s = √(σ² + ε), m the batch size and all sums over the batch, from y back to x:

        dβ  = Σ dy                      y = γ·x̂ + β
        dγ  = Σ dy·x̂
        dx̂  = γ·dy
        dσ² = Σ dx̂·(x − μ)·(−½)s⁻³      x̂ = (x − μ)·(σ² + ε)^(−½)
            = −½·γ·dγ/s²
        dμ  = −Σ dx̂/s                   σ² does not count here: ∂σ²/∂μ = −2/m·Σ(x − μ) = 0
            = −γ·dβ/s
        dx  = dx̂/s + dσ²·2(x − μ)/m + dμ/m

    The last line with the two above it put in, and γ/s taken out, is what the code computes:

        dx  = γ/s·(dy − dβ/m − x̂·dγ/m)

    Returns dx (batch, features), dγ (features,) and dβ (features,).
    """
    x_hat, std, gamma = cache
    m = len(dy)
    dgamma = (dy * x_hat).sum(axis=0)  # (features,)
    dbeta = dy.sum(axis=0)  # (features,)
    dx = (dy - dbeta / m - x_hat * (dgamma / m)) * _slope(std, gamma)  # (batch, features)
    return dx, dgamma, dbeta


@expects(
    running_mean="features", running_var="features", mean="features", variance="features",
    batch_size=">= 2", momentum="0 to 1",
)  # fmt: skip
def update_running_statistics(
    running_mean: np.ndarray, running_var: np.ndarray, num_batches_tracked: np.ndarray,
    mean: np.ndarray, variance: np.ndarray, batch_size: int, momentum: float | None = 0.1,
) -> None:  # fmt: skip
    """After a training pass, in place: running ← (1 − momentum)·running + momentum·batch

    The momentum is the weight of the **new** value, as in PyTorch; in the paper, Keras and d2l.ai it is
    that of the old one: their 0.9 is 0.1 here. The batch's variance enters unbiased, σ²·m/(m − 1).

    Args:
        running_mean: starts at 0; updated
        running_var: starts at 1; updated
        num_batches_tracked: int64, shape (), starts at 0; counted up
        mean: μ of the batch, from `batch_norm_forward`
        variance: its biased σ²
        batch_size: m
        momentum: None for the plain average over all batches, 1/num_batches_tracked
    """
    num_batches_tracked += 1
    if momentum is None:
        momentum = running_mean.dtype.type(1) / int(num_batches_tracked)
    unbiased = variance * batch_size / (batch_size - 1)
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + momentum * unbiased


@expects(
    x="batch features", gamma="features", beta="features",
    running_mean="features", running_var="features", eps="> 0",
)  # fmt: skip
def batch_norm_inference_forward(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None,
    running_mean: np.ndarray, running_var: np.ndarray, eps: float = 1e-5,
) -> tuple[np.ndarray, tuple]:  # fmt: skip
    """In evaluation: y = γ·x̂ + β with x̂ = (x − running_mean)/√(running_var + ε)

    An example's result no longer depends on which others share its batch.

    Returns y (batch, features), and the cache for `batch_norm_inference_backward`.
    """
    std = (running_var + eps) ** 0.5  # (features,)
    x_hat = (x - running_mean) / std  # (batch, features)
    return _scale_and_shift(x_hat, gamma, beta), (x_hat, std, copied(gamma))


@expects(cache={"x": "batch features", "parts": 3}, dy="batch features")
def batch_norm_inference_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of the evaluation pass, whose statistics are constants: dx = γ/√(running_var + ε)·dy

    dγ = Σ dy·x̂ and dβ = Σ dy as in training.
    """
    x_hat, std, gamma = cache
    dgamma = (dy * x_hat).sum(axis=0)  # (features,)
    dbeta = dy.sum(axis=0)  # (features,)
    dx = dy * _slope(std, gamma)  # (batch, features)
    return dx, dgamma, dbeta


class BatchNorm1d(Layer):
    """A batch normalisation layer, which keeps γ ("weight"), β ("bias") and the running statistics.

    `training` says which of the two passes `forward` makes.

    Args:
        num_features: of x
        eps: ε, inside the root
        momentum: weight of the newest batch in the running statistics; None for a plain average
        affine: False for a layer without γ and β
        bias: False for one without β
        dtype: of parameters and buffers
    """

    @expects(num_features=">= 1", eps="> 0", momentum="0 to 1", dtype="floating")
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        *, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        gamma, beta = np.ones(num_features, dtype), np.zeros(num_features, dtype)
        parameters = {"weight": gamma, "bias": beta} if bias else {"weight": gamma}
        super().__init__(**(parameters if affine else {}))
        self.eps = eps
        self.momentum = momentum
        self.buffers = {
            "running_mean": np.zeros(num_features, dtype),
            "running_var": np.ones(num_features, dtype),
            "num_batches_tracked": np.array(0, np.int64),
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Normalise with the batch's statistics and remember them; in evaluation, with those remembered."""
        gamma, beta = self.parameters.get("weight"), self.parameters.get("bias")
        running_mean, running_var, num_batches_tracked = self.buffers.values()
        check_floating(running_mean=running_mean, x=x)
        check_shape("x", x, (None, len(running_mean)))
        if self.training:
            y, self.cache, statistics = batch_norm_forward(x, gamma, beta, self.eps)
            update_running_statistics(
                running_mean, running_var, num_batches_tracked, *statistics, len(x), self.momentum
            )
            self._backward = batch_norm_backward
        else:
            y, self.cache = batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, self.eps)
            self._backward = batch_norm_inference_backward
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Fill `gradients` and return dx, for the pass that `forward` made."""
        self.check_ran()
        dx, dgamma, dbeta = self._backward(dy, self.cache)
        if "weight" in self.parameters:
            self.gradients["weight"][...] = dgamma
        if "bias" in self.parameters:
            self.gradients["bias"][...] = dbeta
        return dx


def _scale_and_shift(x_hat: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None) -> np.ndarray:
    y = x_hat.copy() if gamma is None else x_hat * gamma
    return y if beta is None else y + beta


def _slope(std: np.ndarray, gamma: np.ndarray | None) -> np.ndarray:
    return 1 / std if gamma is None else gamma / std
