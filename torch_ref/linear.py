"""The affine layer, `torch.nn.Linear`."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

Linear = nn.Linear


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """y = x Wᵀ + b, for x (…, in_features), weight (out_features, in_features), bias (out_features,)"""
    return F.linear(x, weight, bias)
