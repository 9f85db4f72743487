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


Linear = nn.Linear
