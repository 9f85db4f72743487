"""Softmax and its logarithm: `torch.nn.functional`, differentiated by autograd."""

import torch
from torch.nn import functional as F  # noqa: N812


def softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """yᵢ = e^xᵢ/Σⱼ e^xⱼ along the axis `dim`

    PyTorch wants `dim` to be given. Without it, it warns, and takes axis 0 of one or three axes, else axis 1.
    """
    return F.softmax(x, dim)


def log_softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """yᵢ = log softmax(x)ᵢ, in one step: the logarithm of a softmax that is 0 would be −∞"""
    return F.log_softmax(x, dim)
