"""Batch normalisation, `torch.nn.BatchNorm1d`; autograd is its backward pass."""

import torch
from torch import nn

from torch_ref.checks import check_floating, check_shape


class BatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d`, with its arguments checked

    In training y = γ·(x − μ)/√(σ² + ε) + β with the mean and the **biased** variance of the batch; in
    evaluation the running statistics stand in their place. After each training pass

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

    PyTorch differs from others in two places. Its momentum is the weight of the **new** value; in the
    paper, Keras and d2l.ai it is that of the old one, running ← momentum·running + (1 − momentum)·batch.
    And its running variance is **unbiased**; in Keras, d2l.ai and CS231n it is σ², biased as in the
    normalisation: running_var ← (1 − momentum)·running_var + momentum·σ².

    Args:
        num_features: integer ≥ 1
        eps: ε > 0, inside the root
        momentum: 0 … 1, or None for the plain average over all batches, 1/num_batches_tracked
        affine: False for a layer without γ (`weight`) and β (`bias`)
        dtype, device: of parameters and buffers

    Raises:
        ValueError: an argument out of its range.

    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        check_num_features(num_features)
        check_eps(eps)
        check_momentum(momentum)
        super().__init__(num_features, eps, momentum, affine, dtype=dtype, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x (batch, num_features) with the batch's statistics or, in evaluation, the running ones.

        Raises:
            TypeError: not floating, or of another dtype than the layer.
            ValueError: another number of features, or a batch of fewer than two in training.
        """
        check_floating(x=x, gamma=self.weight, running_mean=self.running_mean)
        check_shape("x", x, (None, self.num_features))
        if self.training:
            check_batch(x)
        return super().forward(x)


def check_num_features(num_features: int) -> None:
    """Raise ValueError unless there is at least one feature."""
    if num_features < 1:
        raise ValueError(f"num_features: expected an integer >= 1, got {num_features}")


def check_eps(eps: float) -> None:
    """Raise ValueError unless eps is a positive number: with 0, a constant feature would be 0/0."""
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps: expected a finite number > 0, got {eps}")


def check_batch(x: torch.Tensor) -> None:
    """Raise ValueError unless there are two examples: one alone is its own mean."""
    if len(x) < 2:
        raise ValueError(f"x: expected a batch of at least 2 in training, got {len(x)}")


def check_momentum(momentum: float | None) -> None:
    """Raise ValueError unless momentum is None or from 0 to 1."""
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"momentum: expected None or a number from 0 to 1, got {momentum}")
