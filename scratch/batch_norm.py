"""Batch normalisation: every feature is brought to mean 0 and variance 1, then scaled and shifted.

Two variances are in use. The batch is normalised with the biased one, 1/m·Σ(x−μ)², the best description of
these very numbers; the running variance keeps the unbiased one, 1/(m−1)·Σ(x−μ)², the best guess about the
data that they came from. (Keras, d2l.ai and CS231n keep the biased one there too.)
"""

from typing import Any

import numpy as np

from scratch.checks import (
    check_dtype,
    check_floating,
    check_ran,
    check_range,
    check_shape,
    given,
    plain_numbers,
)


@plain_numbers
def batch_norm_forward(
    x: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None, eps: float = 1e-5
) -> tuple[np.ndarray, tuple, tuple[np.ndarray, np.ndarray]]:
    """In training: y = γ·x̂ + β with x̂ = (x − μ)/√(σ² + ε), from the mean and variance of the batch

        μ = 1/m·Σ_batch x        σ² = 1/m·Σ_batch (x − μ)²

    Args:
        x: (batch, features), a batch of at least two
        gamma: (features,), or None for 1
        beta: (features,), or None for 0
        eps: ε > 0, inside the root

    Returns:
        y (batch, features), the cache for `batch_norm_backward`, and (μ, σ²), each (features,), for
        `update_running_statistics`.

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: shapes that do not fit, a batch of fewer than two, or eps ≤ 0.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """
    _check(x, gamma, beta, eps)
    if len(x) < 2:
        raise ValueError(f"x: expected a batch of at least 2 in training, got {len(x)}")
    m = len(x)
    mean = x.sum(axis=0) / m  # (features,)
    centred = x - mean  # (batch, features)
    variance = (centred * centred).sum(axis=0) / m  # (features,)
    std = (variance + eps) ** 0.5
    x_hat = centred / std
    return _scale_and_shift(x_hat, gamma, beta), (x_hat, std, gamma), (mean, variance)


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

    Args:
        dy: (batch, features), the gradient of the cost with respect to y
        cache: from `batch_norm_forward`

    Returns:
        dx (batch, features), dγ (features,), dβ (features,)

    Raises:
        TypeError: `dy` has another dtype than the forward pass.
        ValueError: `dy` has the wrong shape.
    """
    x_hat, std, gamma = cache
    _check_upstream(dy, x_hat)
    m = len(dy)
    dgamma = (dy * x_hat).sum(axis=0)  # (features,)
    dbeta = dy.sum(axis=0)  # (features,)
    dx = (dy - dbeta / m - x_hat * (dgamma / m)) * _slope(std, gamma)  # (batch, features)
    return dx, dgamma, dbeta


@plain_numbers
def update_running_statistics(
    running_mean: np.ndarray,
    running_var: np.ndarray,
    num_batches_tracked: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    batch_size: int,
    momentum: float | None = 0.1,
) -> None:
    """After a training pass, in place: running ← (1 − momentum)·running + momentum·batch

    The momentum is the weight of the **new** value, as in PyTorch; in the paper, Keras and d2l.ai it is
    that of the old one: their 0.9 is 0.1 here. The batch's variance enters unbiased, σ²·m/(m − 1).

    Args:
        running_mean: (features,), starts at 0; updated
        running_var: (features,), starts at 1; updated
        num_batches_tracked: int64, shape (), starts at 0; counted up
        mean: (features,), μ of the batch, from `batch_norm_forward`
        variance: (features,), its biased σ²
        batch_size: m ≥ 2
        momentum: 0 … 1, or None for the plain average over all batches, 1/num_batches_tracked

    Raises:
        ValueError: momentum outside 0 … 1, a batch of fewer than two, or shapes that do not fit; nothing is
            updated then.
        TypeError: not floating, or the running statistics, or the new ones, not of one dtype.
    """
    check_floating(running_mean=running_mean, running_var=running_var)
    check_floating(mean=mean, variance=variance)
    check_momentum(momentum)
    if batch_size < 2:
        raise ValueError(f"batch_size: expected an integer >= 2, got {batch_size}")
    check_shape("running_var", running_var, running_mean.shape)
    check_shape("mean", mean, running_mean.shape)
    check_shape("variance", variance, running_var.shape)
    num_batches_tracked += 1
    if momentum is None:
        momentum = running_mean.dtype.type(1) / int(num_batches_tracked)
    unbiased = variance * batch_size / (batch_size - 1)
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + momentum * unbiased


@plain_numbers
def batch_norm_inference_forward(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    running_mean: np.ndarray,
    running_var: np.ndarray,
    eps: float = 1e-5,
) -> tuple[np.ndarray, tuple]:
    """In evaluation: y = γ·x̂ + β with x̂ = (x − running_mean)/√(running_var + ε)

    An example's result no longer depends on which others share its batch.

    Args:
        x: (batch, features), any batch size
        gamma: (features,), or None for 1
        beta: (features,), or None for 0
        running_mean: (features,), from `update_running_statistics`
        running_var: (features,), from there too
        eps: ε > 0, inside the root

    Returns:
        y (batch, features), and the cache for `batch_norm_inference_backward`.

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: shapes that do not fit, or eps ≤ 0.
    """
    _check(x, gamma, beta, eps, running_mean=running_mean, running_var=running_var)
    std = (running_var + eps) ** 0.5  # (features,)
    x_hat = (x - running_mean) / std  # (batch, features)
    return _scale_and_shift(x_hat, gamma, beta), (x_hat, std, gamma)


def batch_norm_inference_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of the evaluation pass, whose statistics are constants: dx = γ/√(running_var + ε)·dy

    dγ = Σ dy·x̂ and dβ = Σ dy as in training; arguments, results and errors as `batch_norm_backward`.
    """
    x_hat, std, gamma = cache
    _check_upstream(dy, x_hat)
    return dy * _slope(std, gamma), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


class BatchNorm1d:
    """A batch normalisation layer, which keeps γ ("weight"), β ("bias") and the running statistics.

    `training` says which of the two passes `forward` makes; it starts True.

    Args:
        num_features: integer ≥ 1
        eps: ε > 0, inside the root
        momentum: weight of the newest batch in the running statistics, 0 … 1; None for a plain average
        affine: False for a layer without γ and β
        dtype: of parameters and buffers

    Raises:
        ValueError: an argument out of its range.
    """

    @plain_numbers
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        check_num_features(num_features)
        check_eps(eps)
        check_momentum(momentum)
        check_dtype(dtype)
        self.eps = eps
        self.momentum = momentum
        self.training = True
        self.parameters: dict[str, np.ndarray] = {}
        if affine:
            self.parameters = {"weight": np.ones(num_features, dtype), "bias": np.zeros(num_features, dtype)}
        self.gradients = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        self.buffers = {
            "running_mean": np.zeros(num_features, dtype),
            "running_var": np.ones(num_features, dtype),
            "num_batches_tracked": np.array(0, np.int64),
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Normalise with the batch's statistics and remember them; in evaluation, with those remembered."""
        gamma, beta = self.parameters.get("weight"), self.parameters.get("bias")
        running_mean, running_var, num_batches_tracked = self.buffers.values()
        check_floating(x=x, **given(gamma=gamma), running_mean=running_mean)
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
        check_ran(self)
        dx, dgamma, dbeta = self._backward(dy, self.cache)
        if self.parameters:
            self.gradients["weight"][...] = dgamma
            self.gradients["bias"][...] = dbeta
        return dx


def check_num_features(num_features: int) -> None:
    """Raise ValueError unless there is at least one feature."""
    if num_features < 1:
        raise ValueError(f"num_features: expected an integer >= 1, got {num_features}")


def check_eps(eps: float) -> None:
    """Raise ValueError unless eps is a positive number: with 0, a constant feature would be 0/0."""
    check_range("eps", eps, "> 0")


def check_momentum(momentum: float | None) -> None:
    """Raise ValueError unless momentum is None or from 0 to 1."""
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"momentum: expected None or a number from 0 to 1, got {momentum}")


def _scale_and_shift(x_hat: np.ndarray, gamma: np.ndarray | None, beta: np.ndarray | None) -> np.ndarray:
    y = x_hat if gamma is None else x_hat * gamma
    return y if beta is None else y + beta


def _slope(std: np.ndarray, gamma: np.ndarray | None) -> np.ndarray:
    return 1 / std if gamma is None else gamma / std


def _check(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    eps: float,
    **statistics: np.ndarray,
) -> None:
    arrays = {**given(gamma=gamma, beta=beta), **statistics}
    check_floating(x=x, **arrays)
    check_shape("x", x, (None, None))
    for name, array in arrays.items():
        check_shape(name, array, (x.shape[1],))
    check_eps(eps)


def _check_upstream(dy: np.ndarray, x_hat: np.ndarray) -> None:
    check_floating(x=x_hat, dy=dy)
    check_shape("dy", dy, x_hat.shape)
