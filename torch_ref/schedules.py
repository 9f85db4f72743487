"""Learning-rate schedules: `torch.optim.lr_scheduler`.

A scheduler sets the rate of epoch 0 when it is made, and that of the next epoch at each `scheduler.step()`,
which belongs after the epoch (after `optimizer.step()`): called before, it skips the first rate; called after
every mini-batch, it decays as if each were an epoch.

`LambdaLR` computes lr·f(epoch) from the initial rate, as the formulas of `scratch/schedules.py` do. The
others compute each rate from the one before: the exponential one lr_e = γ·lr_(e−1), not γ^e·lr. Equal on
paper, but every epoch adds a rounding, unless γ is a power of two.
"""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)

from torch_ref.checks import check_not_negative


def inverse_time(optimizer: Optimizer, *, decay_rate: float) -> LRScheduler:
    """1/(1 + k·epoch) · lr, with k = `decay_rate` ≥ 0"""
    _check_rate(optimizer)
    check_not_negative(decay_rate=decay_rate)
    return LambdaLR(optimizer, lambda epoch: 1 / (1 + decay_rate * epoch))


def fixed_interval(optimizer: Optimizer, *, decay_rate: float, interval: int) -> LRScheduler:
    """1/(1 + k·⌊epoch/interval⌋) · lr, with k = `decay_rate` ≥ 0"""
    _check_rate(optimizer)
    check_not_negative(decay_rate=decay_rate)
    _check_integer("interval", interval, least=1)
    return LambdaLR(optimizer, lambda epoch: 1 / (1 + decay_rate * (epoch // interval)))


def exponential(optimizer: Optimizer, *, gamma: float) -> LRScheduler:
    """γ^epoch · lr, with γ > 0"""
    _check_rate(optimizer)
    _check_positive(gamma=gamma)
    return ExponentialLR(optimizer, gamma)


def inverse_sqrt(optimizer: Optimizer, *, k: float) -> LRScheduler:
    """k/√t · lr, with t = epoch + 1 and k > 0"""
    _check_rate(optimizer)
    _check_positive(k=k)
    return LambdaLR(optimizer, lambda epoch: k / math.sqrt(epoch + 1))


def staircase(optimizer: Optimizer, *, step_size: int, gamma: float) -> LRScheduler:
    """γ^⌊epoch/step_size⌋ · lr, with γ > 0"""
    _check_rate(optimizer)
    _check_integer("step_size", step_size, least=1)
    _check_positive(gamma=gamma)
    return StepLR(optimizer, step_size, gamma)


def milestones(optimizer: Optimizer, *, milestones: Sequence[int], gamma: float) -> LRScheduler:
    """γ^(number of milestones ≤ epoch) · lr, with γ > 0"""
    _check_rate(optimizer)
    _check_milestones(milestones)
    _check_positive(gamma=gamma)
    return MultiStepLR(optimizer, milestones, gamma)


def cosine_with_warmup(
    optimizer: Optimizer, *, warmup_epochs: int, total_epochs: int, lr_min: float = 0.0
) -> LRScheduler:
    """(epoch + 1)/w · lr while epoch < w, then lr_min + ½(lr − lr_min)(1 + cos(π·(epoch − w)/(T − w)))

    with w = `warmup_epochs` and T = `total_epochs`. CosineAnnealingLR computes each rate from the one before,

        lr_e = lr_min + (lr_(e−1) − lr_min)·(1 + cos(π·e/T))/(1 + cos(π·(e − 1)/T)),

    which is the same on paper.
    """
    _check_rate(optimizer)
    _check_warmup(warmup_epochs, total_epochs)
    check_not_negative(lr_min=lr_min)
    if warmup_epochs == 0:
        return CosineAnnealingLR(optimizer, total_epochs, lr_min)
    warmup = LambdaLR(optimizer, lambda epoch: (epoch + 1) / warmup_epochs)
    cosine = CosineAnnealingLR(optimizer, total_epochs - warmup_epochs, lr_min)
    return _Sequential(optimizer, [warmup, cosine], [warmup_epochs])


class _Sequential(SequentialLR):
    """Without the warning by which older PyTorch disapproves of a call that it makes itself."""

    def step(self) -> None:  # type: ignore[override]  # as in SequentialLR itself
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"The epoch parameter in `scheduler.step\(\)`")
            super().step()


def _check_rate(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        check_not_negative(lr=group["lr"])


def _check_integer(name: str, value: int, *, least: int) -> None:
    if not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name}: expected an integer >= {least}, got {value}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a finite number > 0, got {value}")


def _check_milestones(milestones: Sequence[int]) -> None:
    for milestone in milestones:
        _check_integer("milestones", milestone, least=0)
    if any(a >= b for a, b in pairwise(milestones)):
        raise ValueError(f"milestones: expected epochs in increasing order, got {list(milestones)}")


def _check_warmup(warmup_epochs: int, total_epochs: int) -> None:
    _check_integer("total_epochs", total_epochs, least=1)
    _check_integer("warmup_epochs", warmup_epochs, least=0)
    if warmup_epochs >= total_epochs:
        raise ValueError(
            f"warmup_epochs: expected fewer than total_epochs = {total_epochs}, got {warmup_epochs}"
        )
