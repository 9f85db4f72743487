"""How weights start: so that signals neither die nor explode on their way through the layers.

A sum of `fan_in` products has fan_in times the variance of one. With weights of variance 1/fan_in a linear
unit passes the variance on; ReLU throws half of it away, so He takes 2/fan_in (the gain is √2). Glorot and
Bengio average over both directions, 2/(fan_in + fan_out).

Every initialiser takes `shape` = (fan_out, fan_in) = (out_features, in_features) and returns an array of
`dtype`. All raise ValueError for a shape that is not two lengths ≥ 1 and for an unknown mode or nonlinearity,
and TypeError for a shape that is not integers.
"""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.random import Generator

MODES = ("fan_in", "fan_out")
NONLINEARITIES = ("linear", "sigmoid", "tanh", "relu", "leaky_relu")


@expects(generator="draws", dtype="floating")
def zeros(
    shape: tuple[int, ...], generator: Generator | None = None, *, dtype: Any = np.float32
) -> np.ndarray:
    """All zeros, which never learn anything: the units of a layer stay copies of each other

    The generator is not used; all initialisers can be called alike.
    """
    fan_in_and_fan_out(shape)
    return np.zeros(shape, dtype)


@expects(generator="draws")
def large_random(shape: tuple[int, ...], generator: Generator, *, dtype: Any = np.float32) -> np.ndarray:
    """Normal with a standard deviation of 10, which saturates and explodes: how not to do it"""
    fan_in_and_fan_out(shape)
    return generator.normal(shape, 0.0, 10.0, dtype)


@expects(generator="draws", mode=MODES, nonlinearity=NONLINEARITIES)
def kaiming_normal(
    shape: tuple[int, ...], generator: Generator,
    *, mode: str = "fan_in", nonlinearity: str = "relu", a: float = 0.0, dtype: Any = np.float32,
) -> np.ndarray:  # fmt: skip
    """He: normal with mean 0 and std = gain/√fan

    The mode fan_in keeps the variance of the activations, fan_out that of the gradients. The gain is that of
    the nonlinearity that follows the layer; a is the slope of the leaky ReLU, see `calculate_gain`.

    He et al. 2015, https://arxiv.org/abs/1502.01852
    https://docs.pytorch.org/docs/stable/nn.init.html
    """
    return generator.normal(shape, 0.0, _kaiming_std(shape, mode, nonlinearity, a), dtype)


@expects(generator="draws", mode=MODES, nonlinearity=NONLINEARITIES)
def kaiming_uniform(
    shape: tuple[int, ...], generator: Generator,
    *, mode: str = "fan_in", nonlinearity: str = "relu", a: float = 0.0, dtype: Any = np.float32,
) -> np.ndarray:  # fmt: skip
    """He: uniform on [−b, b) with b = √3·std and std = gain/√fan

    A uniform number on ±b has the variance b²/3: the √3 gives it that of `kaiming_normal`.
    """
    bound = math.sqrt(3) * _kaiming_std(shape, mode, nonlinearity, a)
    return generator.uniform(shape, -bound, bound, dtype)


@expects(generator="draws")
def xavier_normal(
    shape: tuple[int, ...], generator: Generator, *, gain: float = 1.0, dtype: Any = np.float32
) -> np.ndarray:
    """Glorot: normal with mean 0 and std = gain·√(2/(fan_in + fan_out))

    The gain is that of what follows the layer, see `calculate_gain`.

    Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html
    https://docs.pytorch.org/docs/stable/nn.init.html
    """
    return generator.normal(shape, 0.0, _xavier_std(shape, gain), dtype)


@expects(generator="draws")
def xavier_uniform(
    shape: tuple[int, ...], generator: Generator, *, gain: float = 1.0, dtype: Any = np.float32
) -> np.ndarray:
    """Glorot: uniform on [−b, b) with b = √3·std and std = gain·√(2/(fan_in + fan_out))"""
    bound = math.sqrt(3) * _xavier_std(shape, gain)
    return generator.uniform(shape, -bound, bound, dtype)


INITIALIZERS: dict[str, Callable[..., np.ndarray]] = {
    "zeros": zeros,
    "large_random": large_random,
    "kaiming_normal": kaiming_normal,
    "kaiming_uniform": kaiming_uniform,
    "xavier_normal": xavier_normal,
    "xavier_uniform": xavier_uniform,
}


@expects(nonlinearity=NONLINEARITIES)
def calculate_gain(nonlinearity: str, a: float = 0.01) -> float:
    """What a nonlinearity's loss of variance is made up for with: 1, 5/3, √2 or √(2/(1 + a²))

    a is the negative slope of the leaky ReLU; the others do not use it. (PyTorch's default is 0.01 here, and
    0 in `kaiming_normal` and `kaiming_uniform`.)
    """
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + a**2))
    return 1.0


def fan_in_and_fan_out(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs a unit has, and to how many units an input goes"""
    if not isinstance(shape, list | tuple) or not all(isinstance(length, Integral) for length in shape):
        raise TypeError(f"shape: expected (fan_out, fan_in), two integers, got {shape}")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape: expected (fan_out, fan_in), both >= 1, got {tuple(shape)}")
    fan_out, fan_in = shape
    return fan_in, fan_out


def _kaiming_std(shape: tuple[int, ...], mode: str, nonlinearity: str, a: float) -> float:
    fan_in, fan_out = fan_in_and_fan_out(shape)
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _xavier_std(shape: tuple[int, ...], gain: float) -> float:
    fan_in, fan_out = fan_in_and_fan_out(shape)
    return gain * math.sqrt(2 / (fan_in + fan_out))
