"""Learning-rate schedules: `torch.optim.lr_scheduler`.

A scheduler sets the rate of epoch 0 when it is made, and that of the next epoch at each `scheduler.step()`,
which belongs after the epoch (after `optimizer.step()`): called before, it skips the first rate; called after
every mini-batch, it decays as if each were an epoch.

`LambdaLR` computes lr·f(epoch) from the initial rate, as the formulas of `scratch/schedules.py` do. The
others compute each rate from the one before: the exponential one lr_e = γ·lr_(e−1), not γ^e·lr. Equal on
paper, but every epoch adds a rounding, unless γ is a power of two.
"""

import math
from collections.abc import Sequence
from typing import Literal

from torch.optim import Optimizer, lr_scheduler


def inverse_time(optimizer: Optimizer, *, decay_rate: float) -> lr_scheduler.LRScheduler:
    """1/(1 + k·epoch) · lr, with k = `decay_rate`"""
    return lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + decay_rate * epoch))


def fixed_interval(optimizer: Optimizer, *, decay_rate: float, interval: int) -> lr_scheduler.LRScheduler:
    """1/(1 + k·⌊epoch/interval⌋) · lr, with k = `decay_rate`"""
    return lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + decay_rate * (epoch // interval)))


def exponential(optimizer: Optimizer, *, gamma: float) -> lr_scheduler.LRScheduler:
    """γ^epoch · lr"""
    return lr_scheduler.ExponentialLR(optimizer, gamma)


def inverse_sqrt(optimizer: Optimizer, *, k: float) -> lr_scheduler.LRScheduler:
    """k/√t · lr, with t = epoch + 1"""
    return lr_scheduler.LambdaLR(optimizer, lambda epoch: k / math.sqrt(epoch + 1))


def staircase(optimizer: Optimizer, *, step_size: int, gamma: float) -> lr_scheduler.LRScheduler:
    """γ^⌊epoch/step_size⌋ · lr"""
    return lr_scheduler.StepLR(optimizer, step_size, gamma)


def milestones(optimizer: Optimizer, *, milestones: Sequence[int], gamma: float) -> lr_scheduler.LRScheduler:
    """γ^(number of milestones ≤ epoch) · lr"""
    return lr_scheduler.MultiStepLR(optimizer, milestones, gamma)


def cosine_with_warmup(
    optimizer: Optimizer, *, warmup_epochs: int, total_epochs: int, lr_min: float = 0.0
) -> lr_scheduler.LRScheduler:
    """(epoch + 1)/w · lr while epoch < w, then lr_min + ½(lr − lr_min)(1 + cos(π·(epoch − w)/(T − w)))

    with w = `warmup_epochs` and T = `total_epochs`. CosineAnnealingLR computes each rate from the one before,

        lr_e = lr_min + (lr_(e−1) − lr_min)·(1 + cos(π·e/T))/(1 + cos(π·(e − 1)/T)),

    which is the same on paper.
    """
    if not warmup_epochs:
        return lr_scheduler.CosineAnnealingLR(optimizer, total_epochs, lr_min)
    warmup = lr_scheduler.LambdaLR(optimizer, lambda epoch: (epoch + 1) / warmup_epochs)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, total_epochs - warmup_epochs, lr_min)
    return lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [warmup_epochs])


def cosine_with_restarts(
    optimizer: Optimizer, *, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> lr_scheduler.LRScheduler:
    """η + ½(lr − η)(1 + cos(π·e/T)), with e epochs since the last restart and η = `eta_min`"""
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)


def one_cycle(
    optimizer: Optimizer,
    *,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> lr_scheduler.LRScheduler:
    """From lr/d up to lr, and down to lr/(d·f), with d = `div_factor` and f = `final_div_factor`

    The optimizer's rate is the largest one, `max_lr`; PyTorch's `initial_lr` is lr/d then. Momentum is left
    alone: by default, OneCycleLR lowers it from 0.95 to 0.85 as the rate rises.
    """
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=pct_start,
        anneal_strategy=anneal_strategy,
        cycle_momentum=False,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
    )


ReduceLROnPlateau = lr_scheduler.ReduceLROnPlateau
"""lr ← max(factor·lr, min_lr), once more than `patience` epochs in a row were no better than the best

`step` takes the metric: the cost or the accuracy after an epoch, of a set that is not trained on.
"""
