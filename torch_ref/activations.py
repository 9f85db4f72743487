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


def gelu(x: torch.Tensor, approximate: str = "none") -> torch.Tensor:
    """y = x·Φ(x), or with approximate="tanh" ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))

    In float32, on processors without AVX-512, PyTorch gives 0 for −0 and for −6, not −0.
    """
    return F.gelu(x, approximate=approximate)


def silu(x: torch.Tensor) -> torch.Tensor:
    """y = x·σ(x)"""
    return F.silu(x)


def softplus(x: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> torch.Tensor:
    """y = 1/β·log(1 + e^(β·x)); y = x where β·x is above the threshold"""
    return F.softplus(x, beta, threshold)


ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}
