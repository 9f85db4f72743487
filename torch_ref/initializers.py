"""How weights start: `torch.nn.init`, which fills a tensor in place."""

from collections.abc import Callable

import torch
from torch import nn

from torch_ref.checks import check_choice

MODES = ("fan_in", "fan_out")
NONLINEARITIES = ("linear", "sigmoid", "tanh", "relu", "leaky_relu")


def zeros(tensor: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
    """All zeros

    Args:
        tensor: (fan_out, fan_in), is filled and returned
        generator: not used; all initialisers can be called alike

    Raises:
        ValueError: a shape that is not two lengths ≥ 1.
    """
    check_fans(tensor)
    return nn.init.zeros_(tensor)


def large_random(tensor: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
    """Normal with a standard deviation of 10: how not to do it

    Args:
        tensor: (fan_out, fan_in), is filled and returned
        generator: draws; None for PyTorch's default one

    Raises:
        ValueError: a shape that is not two lengths ≥ 1.
    """
    check_fans(tensor)
    return nn.init.normal_(tensor, 0.0, 10.0, generator=generator)


def kaiming_normal(
    tensor: torch.Tensor,
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    a: float = 0.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """He: normal with mean 0 and std = gain/√fan

    PyTorch's own default for `nonlinearity` is leaky_relu with a = 0, whose gain √(2/(1 + a²)) is that of
    relu, √2: no difference until one sets a.

    Args:
        tensor: (fan_out, fan_in), is filled and returned
        mode: fan_in keeps the variance of the activations, fan_out that of the gradients
        nonlinearity: linear, sigmoid, tanh, relu or leaky_relu, what follows the layer; gives the gain
        a: negative slope of the leaky ReLU
        generator: draws; None for PyTorch's default one

    Raises:
        ValueError: a shape that is not two lengths ≥ 1, an unknown mode or nonlinearity.

    https://docs.pytorch.org/docs/stable/nn.init.html
    """
    check_kaiming(tensor, mode, nonlinearity)
    return nn.init.kaiming_normal_(tensor, a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def kaiming_uniform(
    tensor: torch.Tensor,
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    a: float = 0.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """He: uniform on [−b, b) with b = √3·std and std = gain/√fan; see `kaiming_normal`"""
    check_kaiming(tensor, mode, nonlinearity)
    return nn.init.kaiming_uniform_(tensor, a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def xavier_normal(
    tensor: torch.Tensor, *, gain: float = 1.0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Glorot: normal with mean 0 and std = gain·√(2/(fan_in + fan_out))

    Args:
        tensor: (fan_out, fan_in), is filled and returned
        gain: of what follows the layer, see `calculate_gain`
        generator: draws; None for PyTorch's default one

    Raises:
        ValueError: a shape that is not two lengths ≥ 1.

    https://docs.pytorch.org/docs/stable/nn.init.html
    """
    check_fans(tensor)
    return nn.init.xavier_normal_(tensor, gain, generator)


def xavier_uniform(
    tensor: torch.Tensor, *, gain: float = 1.0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Glorot: uniform on [−b, b) with b = √3·std and std = gain·√(2/(fan_in + fan_out))

    Arguments and errors as `xavier_normal`.
    """
    check_fans(tensor)
    return nn.init.xavier_uniform_(tensor, gain, generator)


INITIALIZERS: dict[str, Callable[..., torch.Tensor]] = {
    "zeros": zeros,
    "large_random": large_random,
    "kaiming_normal": kaiming_normal,
    "kaiming_uniform": kaiming_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
}


def calculate_gain(nonlinearity: str, a: float = 0.0) -> float:
    """`nn.init.calculate_gain`: 1, 5/3, √2 or √(2/(1 + a²))

    PyTorch's own default for the slope of the leaky ReLU is 0.01 here, but 0 in `nn.init.kaiming_normal_`.

    Args:
        nonlinearity: linear, sigmoid, tanh, relu or leaky_relu
        a: negative slope of the leaky ReLU; the others do not use it

    Raises:
        ValueError: an unknown nonlinearity.
    """
    check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
    return nn.init.calculate_gain(nonlinearity, a)  # type: ignore[arg-type]


def check_fans(tensor: torch.Tensor) -> None:
    """Raise ValueError unless the shape is two lengths ≥ 1."""
    if tensor.dim() != 2 or min(tensor.shape) < 1:
        raise ValueError(f"shape: expected (fan_out, fan_in), both >= 1, got {tuple(tensor.shape)}")


def check_kaiming(tensor: torch.Tensor, mode: str, nonlinearity: str) -> None:
    """Raise ValueError for a shape that is not two lengths ≥ 1, an unknown mode or nonlinearity."""
    check_fans(tensor)
    check_choice("mode", mode, MODES)
    check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
