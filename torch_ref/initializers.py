"""How weights start: `torch.nn.init`, which fills a tensor (fan_out, fan_in) in place and returns it.

They draw from `generator`; None stands for PyTorch's default one.
"""

from collections.abc import Callable

from torch import Generator, Tensor, nn


def zeros(tensor: Tensor, *, generator: Generator | None = None) -> Tensor:
    """All zeros; nothing is drawn"""
    return nn.init.zeros_(tensor)


def large_random(tensor: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Normal with a standard deviation of 10: how not to do it"""
    return nn.init.normal_(tensor, 0.0, 10.0, generator=generator)


def kaiming_normal(
    tensor: Tensor,
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    a: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """He: normal with mean 0 and std = gain/√fan

    PyTorch's own default for `nonlinearity` is leaky_relu with a = 0, whose gain √(2/(1 + a²)) is that of
    relu, √2: no difference until one sets a.
    """
    return nn.init.kaiming_normal_(tensor, a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def kaiming_uniform(
    tensor: Tensor,
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    a: float = 0.0,
    generator: Generator | None = None,
) -> Tensor:
    """He: uniform on [−b, b) with b = √3·std and std = gain/√fan; see `kaiming_normal`"""
    return nn.init.kaiming_uniform_(tensor, a, mode, nonlinearity, generator)  # type: ignore[arg-type]


def xavier_normal(tensor: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Glorot: normal with mean 0 and std = gain·√(2/(fan_in + fan_out))"""
    return nn.init.xavier_normal_(tensor, gain, generator)


def xavier_uniform(tensor: Tensor, *, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Glorot: uniform on [−b, b) with b = √3·std and std = gain·√(2/(fan_in + fan_out))"""
    return nn.init.xavier_uniform_(tensor, gain, generator)


INITIALIZERS: dict[str, Callable[..., Tensor]] = {
    "zeros": zeros,
    "large_random": large_random,
    "kaiming_normal": kaiming_normal,
    "kaiming_uniform": kaiming_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
}


def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """1 (linear, sigmoid), 5/3 (tanh), √2 (relu) or √(2/(1 + a²)) (leaky_relu)

    The default slope is PyTorch's here; in `nn.init.kaiming_normal_` it is 0.
    """
    return nn.init.calculate_gain(nonlinearity, a)  # type: ignore[arg-type]
