"""Learning-rate schedules: functions of the initial learning rate and the epoch, and who applies them.

Epochs are counted from 0, and `epoch` is the one that is about to run: the rate of epoch 0 is the initial one
(warm-up apart), and it changes between epochs, never between mini-batches. Every function starts from the
initial rate `lr`, not from the rate of the epoch before.

All return a Python float; all raise TypeError for an epoch or interval that is not an integer, and ValueError
for a negative rate or epoch and for parameters out of range.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

from scratch.checks import check_not_negative, check_range, plain_numbers


@plain_numbers
def inverse_time(lr: float, epoch: int, *, decay_rate: float) -> float:
    """1/(1 + k·epoch) · lr, with k = `decay_rate` ≥ 0

    Half the rate at epoch 1/k, a third at 2/k.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """
    _check_epoch(lr, epoch)
    check_not_negative(decay_rate=decay_rate)
    return lr * (1 / (1 + decay_rate * epoch))


@plain_numbers
def fixed_interval(lr: float, epoch: int, *, decay_rate: float, interval: int) -> float:
    """1/(1 + k·⌊epoch/interval⌋) · lr, with k = `decay_rate` ≥ 0

    Inverse time in steps: the rate holds for `interval` epochs. Epochs 0 … interval − 1 run at lr.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """
    _check_epoch(lr, epoch)
    check_not_negative(decay_rate=decay_rate)
    _check_integer("interval", interval, least=1)
    return lr * (1 / (1 + decay_rate * (epoch // interval)))


@plain_numbers
def exponential(lr: float, epoch: int, *, gamma: float) -> float:
    """γ^epoch · lr, with γ > 0

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html
    """
    _check_epoch(lr, epoch)
    _check_positive(gamma=gamma)
    return lr * gamma**epoch


@plain_numbers
def inverse_sqrt(lr: float, epoch: int, *, k: float) -> float:
    """k/√t · lr, with t = epoch + 1 and k > 0

    t counts from 1, since 1/√0 does not exist: the first epoch runs at k·lr.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """
    _check_epoch(lr, epoch)
    _check_positive(k=k)
    return lr * (k / math.sqrt(epoch + 1))


@plain_numbers
def staircase(lr: float, epoch: int, *, step_size: int, gamma: float) -> float:
    """γ^⌊epoch/step_size⌋ · lr, with γ > 0

    Epochs 0 … step_size − 1 run at lr, epoch step_size is the first one at γ·lr.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """
    _check_epoch(lr, epoch)
    _check_integer("step_size", step_size, least=1)
    _check_positive(gamma=gamma)
    return lr * gamma ** (epoch // step_size)


@plain_numbers
def milestones(lr: float, epoch: int, *, milestones: Sequence[int], gamma: float) -> float:
    """γ^(number of milestones ≤ epoch) · lr, with γ > 0: decay "by hand"

    A milestone is the first epoch at the new rate, so that one at 0 lowers the rate from the start.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """
    _check_epoch(lr, epoch)
    _check_milestones(milestones)
    _check_positive(gamma=gamma)
    return lr * gamma ** sum(milestone <= epoch for milestone in milestones)


@plain_numbers
def cosine_with_warmup(
    lr: float, epoch: int, *, warmup_epochs: int, total_epochs: int, lr_min: float = 0.0
) -> float:
    """(epoch + 1)/w · lr while epoch < w, then lr_min + ½(lr − lr_min)(1 + cos(π·(epoch − w)/(T − w)))

    with w = `warmup_epochs` and T = `total_epochs`. The warm-up starts at lr/w, since an epoch at rate 0
    would be lost, and reaches lr in its last epoch, w − 1; the first epoch of the cosine, w, runs at lr
    too. The last one, T − 1, runs a little above lr_min, which epoch T would reach. Beyond T the cosine
    rises again, as PyTorch's does.

    Loshchilov and Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983, equation 5 (without restarts);
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
    """
    _check_epoch(lr, epoch)
    _check_warmup(warmup_epochs, total_epochs)
    check_not_negative(lr_min=lr_min)
    if epoch < warmup_epochs:
        return lr * ((epoch + 1) / warmup_epochs)
    progress = (epoch - warmup_epochs) / (total_epochs - warmup_epochs)  # 0 … 1
    return lr_min + (lr - lr_min) * (1 + math.cos(math.pi * progress)) / 2


class Scheduler:
    """Sets an optimizer's learning rate by a schedule: that of epoch 0 at once, the next one at every `step`

    It counts the epochs on from one call of `train` to the next. The initial rate is that of the optimizer
    when the first scheduler was made for it, and is kept there, as `initial_lr`: another scheduler begins
    with that again and not with a rate that has been decayed.

    Args:
        optimizer: has a rate `lr`
        schedule: (initial rate, epoch) → rate, such as `functools.partial(exponential, gamma=0.9)`

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    def __init__(self, optimizer: Any, schedule: Callable[[float, int], float]) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        if optimizer.initial_lr is None:
            optimizer.initial_lr = optimizer.lr
        self.last_epoch = -1
        self.step()

    def step(self) -> None:
        """Go to the next epoch; belongs after an epoch, not before it and not after a batch."""
        self.last_epoch += 1
        self.optimizer.lr = self.schedule(self.optimizer.initial_lr, self.last_epoch)


def _check_epoch(lr: float, epoch: int) -> None:
    check_not_negative(lr=lr)
    _check_integer("epoch", epoch, least=0)


def _check_integer(name: str, value: int, *, least: int) -> None:
    if not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name}: expected an integer >= {least}, got {value}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        check_range(name, value, "> 0")


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
