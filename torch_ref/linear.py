"""The affine layer, `torch.nn.Linear`."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from torch_ref.checks import check_floating, check_shape


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """y = x Wᵀ + b

    Args:
        x: (batch, in_features)
        weight: (out_features, in_features)
        bias: (out_features,) or None

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: shapes that do not fit.
    """
    check_floating(x=x, weight=weight, bias=bias)
    check_shape("weight", weight, (None, None))
    check_shape("x", x, (None, weight.shape[1]))
    if bias is not None:
        check_shape("bias", bias, (weight.shape[0],))
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear`, with its arguments checked as those of `linear` are

    Raises:
        ValueError: no input or no output features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        check_features(in_features=in_features, out_features=out_features)
        super().__init__(in_features, out_features, bias, dtype=dtype, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        return linear(x, self.weight, self.bias)


def check_features(**counts: int) -> None:
    """Raise ValueError unless every number of features is at least 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: expected an integer >= 1, got {count}")
