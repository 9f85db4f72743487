"""Learning-rate schedules: functions of the initial learning rate and the epoch, and who applies them.

Epochs are counted from 0, and `epoch` is the one that is about to run: epoch 0 has the initial rate (warm-up
apart), and the rate changes between epochs, never between mini-batches. Every function starts from the
initial rate `lr`, not from that of the epoch before. PyTorch has the formulas without a link as `LambdaLR`,
https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html

All return a Python float. The initial rate and the epoch are ≥ 0.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

from scratch.checks import expects


@expects(lr=">= 0", epoch=">= 0", decay_rate=">= 0")
def inverse_time(lr: float, epoch: int, *, decay_rate: float) -> float:
    """1/(1 + k·epoch) · lr, with k = `decay_rate`

    Half the rate at epoch 1/k, a third at 2/k.
    """
    return lr * (1 / (1 + decay_rate * epoch))


@expects(lr=">= 0", epoch=">= 0", decay_rate=">= 0", interval=">= 1")
def fixed_interval(lr: float, epoch: int, *, decay_rate: float, interval: int) -> float:
    """1/(1 + k·⌊epoch/interval⌋) · lr, with k = `decay_rate`

    Inverse time in steps: the rate holds for `interval` epochs. Epochs 0 … interval − 1 run at lr.
    """
    return lr * (1 / (1 + decay_rate * (epoch // interval)))


@expects(lr=">= 0", epoch=">= 0", gamma="> 0")
def exponential(lr: float, epoch: int, *, gamma: float) -> float:
    """γ^epoch · lr

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html
    """
    return lr * gamma**epoch


@expects(lr=">= 0", epoch=">= 0", k="> 0")
def inverse_sqrt(lr: float, epoch: int, *, k: float) -> float:
    """k/√t · lr, with t = epoch + 1

    t counts from 1, since 1/√0 does not exist: the first epoch runs at k·lr.
    """
    return lr * (k / math.sqrt(epoch + 1))


@expects(lr=">= 0", epoch=">= 0", step_size=">= 1", gamma="> 0")
def staircase(lr: float, epoch: int, *, step_size: int, gamma: float) -> float:
    """γ^⌊epoch/step_size⌋ · lr

    Epochs 0 … step_size − 1 run at lr, epoch step_size is the first one at γ·lr.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """
    return lr * gamma ** (epoch // step_size)


@expects(lr=">= 0", epoch=">= 0", gamma="> 0")
def milestones(lr: float, epoch: int, *, milestones: Sequence[int], gamma: float) -> float:
    """γ^(number of milestones ≤ epoch) · lr: decay "by hand"

    A milestone is the first epoch at the new rate, so that one at 0 lowers the rate from the start.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """
    _check_milestones(milestones)
    return lr * gamma ** sum(milestone <= epoch for milestone in milestones)


@expects(lr=">= 0", epoch=">= 0", warmup_epochs=">= 0", total_epochs=">= 1", lr_min=">= 0")
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
    _check_warmup(warmup_epochs, total_epochs)
    if epoch < warmup_epochs:
        return lr * ((epoch + 1) / warmup_epochs)
    progress = (epoch - warmup_epochs) / (total_epochs - warmup_epochs)  # 0 … 1
    return lr_min + (lr - lr_min) * (1 + math.cos(math.pi * progress)) / 2


class Scheduler:
    """Sets an optimizer's learning rate by a schedule: that of epoch 0 at once, the next one at every `step`

    It counts the epochs on from one call of `train` to the next. The initial rate of a group of parameters is
    the one that it had when the first scheduler was made, and is kept there, as `initial_lr`: another
    scheduler begins with that again and not with a rate that has been decayed.

    Args:
        optimizer: its `param_groups` have rates, `lr`
        schedule: (initial rate, epoch) → rate, such as `functools.partial(exponential, gamma=0.9)`

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    def __init__(self, optimizer: Any, schedule: Callable[[float, int], float]) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.last_epoch = -1
        self.step()

    def step(self) -> None:
        """Go to the next epoch; belongs after an epoch, not before it and not after a batch."""
        self.last_epoch += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(group["initial_lr"], self.last_epoch)


def _check_milestones(milestones: Sequence[int]) -> None:
    """Raise unless they are integers >= 0 in increasing order."""
    for milestone in milestones:
        if not isinstance(milestone, Integral):
            raise TypeError(f"milestones: expected an integer, got {type(milestone).__name__}")
        if milestone < 0:
            raise ValueError(f"milestones: expected an integer >= 0, got {milestone}")
    if any(a >= b for a, b in pairwise(milestones)):
        raise ValueError(f"milestones: expected epochs in increasing order, got {list(milestones)}")


def _check_warmup(warmup_epochs: int, total_epochs: int) -> None:
    """Raise ValueError unless something is left of the training after the warm-up."""
    if warmup_epochs >= total_epochs:
        raise ValueError(
            f"warmup_epochs: expected fewer than total_epochs = {total_epochs}, got {warmup_epochs}"
        )
