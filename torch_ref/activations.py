"""Activation functions: `torch.nn.functional`, differentiated by autograd."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


def relu(x: torch.Tensor) -> torch.Tensor:
    """y = x for x > 0, else 0; the gradient at 0 is 0."""
    return F.relu(x)


def leaky_relu(x: torch.Tensor, negative_slope: float = 0.01) -> torch.Tensor:
    """y = x for x > 0, else a·x; the gradient at 0 is a."""
    return F.leaky_relu(x, negative_slope)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """y = tanh x"""
    return torch.tanh(x)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """y = 1/(1 + e⁻ˣ)

    Where y would be smaller than about 1e-38 (float32) or 1e-308 (float64), PyTorch's CPU kernel
    returns 0, because e⁻ˣ overflows to infinity: the true y is smaller than any rounding unit of 1.
    """
    return torch.sigmoid(x)


ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
