"""Learning-rate schedules: functions of the initial learning rate and the epoch, and who applies them.

Epochs are counted from 0, and `epoch` is the one that is about to run: epoch 0 has the initial rate (warm-up
apart), and the rate changes between epochs, never between mini-batches. Every function starts from the
initial rate `lr`, not from that of the epoch before. PyTorch has the formulas without a link as `LambdaLR`,
https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html

All return a Python float. The initial rate and the epoch are ≥ 0.

`ReduceLROnPlateau` is no function of the epoch: it waits for what a training says.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np

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


@expects(lr=">= 0", epoch=">= 0", T_0=">= 1", T_mult=">= 1", eta_min=">= 0")
def cosine_with_restarts(lr: float, epoch: int, *, T_0: int, T_mult: int = 1, eta_min: float = 0.0) -> float:
    """η + ½(lr − η)(1 + cos(π·e/T)), with e epochs since the last restart and η = `eta_min`

    The first cycle is T = `T_0` epochs long, each later one `T_mult` times as long as the one before. Its
    first epoch runs at lr; in its last one η is not quite reached, and the next one is a restart.

    Loshchilov and Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983, equation 5;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.html
    """
    length = T_0
    while T_mult > 1 and epoch >= length:
        epoch, length = epoch - length, length * T_mult
    return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * (epoch % length) / length)) / 2


@expects(
    lr=">= 0", epoch=">= 0", total_steps=">= 1", pct_start="0 to 1", anneal_strategy=("cos", "linear"),
    div_factor="> 0", final_div_factor="> 0",
)  # fmt: skip
def one_cycle(
    lr: float, epoch: int, *, total_steps: int, pct_start: float = 0.3, anneal_strategy: str = "cos",
    div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
) -> float:  # fmt: skip
    """b + ½(a − b)(1 + cos(π·p)): from a = lr/d up to b = lr, then from there down to lr/(d·f)

    with d = `div_factor` and f = `final_div_factor`; lr is the largest rate, and p goes from 0 to 1 on the
    way up and again on the way down. Of T = `total_steps`, counted from 0, step `pct_start`·T − 1 runs at lr
    and the last one, T − 1, at lr/(d·f). "linear" goes in straight lines, a + (b − a)·p. With `three_phase`
    the rate first comes down to lr/d as it went up, in step 2·`pct_start`·T − 2.

    What is a step is the caller's choice: here, as in all schedules, an epoch. PyTorch, unless it is told
    `cycle_momentum=False`, lowers the momentum as the rate rises; here it stays.

    Raises:
        ValueError: an epoch beyond T, which would be no part of the cycle.

    Smith and Topin, Super-convergence, 2018, https://arxiv.org/abs/1708.07120;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
    """
    _check_cycle(epoch, total_steps)
    first, last = lr / div_factor, lr / div_factor / final_div_factor
    points = [(0.0, first), (pct_start * total_steps - 1, lr), (total_steps - 1, last)]
    if three_phase:
        points.insert(2, (2 * pct_start * total_steps - 2, first))
    phases = list(pairwise(points))
    (begin, a), (end, b) = next((phase for phase in phases if epoch <= phase[1][0]), phases[-1])
    progress = (epoch - begin) / (end - begin) if end != begin else 1.0  # a phase of no length is over
    if anneal_strategy == "linear":
        return (b - a) * progress + a
    return b + (a - b) / 2 * (1 + math.cos(math.pi * progress))


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

    def state_dict(self) -> dict[str, Any]:
        """The epoch."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the epoch; the rates of that epoch are the optimizer's to bring."""
        _take_over(self, state_dict, ("last_epoch",))


class ReduceLROnPlateau:
    """lr ← max(factor·lr, min_lr), once more than `patience` epochs in a row were no better than the best

    Better is what is smaller, or larger if `mode` is "max", by more than the threshold: a share of the best
    ("rel": below best·(1 − threshold), above best·(1 + threshold)), or a number ("abs": best ∓ threshold).
    NaN is never better. After a reduction the count begins anew, and it stays 0 for `cooldown` epochs. A
    reduction of no more than `eps` is left out.

    Args:
        optimizer: its `param_groups` have rates, `lr`
        mode: "min", for costs, or "max", for accuracies
        min_lr: of all groups, or a list with one for each

    Raises:
        TypeError, ValueError: a word that is none of these, or a number that is out of range

    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
    """

    @expects(
        mode=("min", "max"), factor=">= 0, < 1", patience=">= 0", threshold=">= 0",
        threshold_mode=("rel", "abs"), cooldown=">= 0", eps=">= 0",
    )  # fmt: skip
    def __init__(
        self, optimizer: Any, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
        min_lr: float | Sequence[float] = 0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        self.optimizer, self.mode, self.factor, self.eps = optimizer, mode, factor, eps
        self.patience, self.cooldown = patience, cooldown
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lrs = _for_each_group(min_lr, len(optimizer.param_groups))
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    @expects()
    def step(self, metrics: float) -> None:
        """Look at the cost or the accuracy after an epoch, and reduce the rates if it is time to."""
        self.last_epoch += 1
        if self._is_better(metrics):
            self.best, self.num_bad_epochs = metrics, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """What changes, by PyTorch's names: the best metric, the counts and the epoch."""
        return {name: getattr(self, name) for name in self._kept}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; the rates are the optimizer's to bring."""
        _take_over(self, state_dict, self._kept)

    _kept = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")

    def _is_better(self, metrics: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        relative = self.threshold_mode == "rel"
        bar = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return metrics > bar if self.mode == "max" else metrics < bar

    def _reduce(self) -> None:
        for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, min_lr)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr


def _take_over(scheduler: Any, state_dict: Mapping[str, Any], names: Sequence[str]) -> None:
    """Set the attributes of these names; raise ValueError unless all are there."""
    if missing := [name for name in names if name not in state_dict]:
        raise ValueError(f"scheduler: expected {', '.join(names)}, found no {', '.join(missing)}")
    for name in names:
        setattr(scheduler, name, state_dict[name])


def _for_each_group(min_lr: float | Sequence[float], groups: int) -> list[float]:
    """A smallest rate for each; raise unless they are numbers >= 0, one or as many as there are groups."""
    given: list[Any] = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * groups
    if len(given) != groups:
        raise ValueError(f"min_lr: expected {groups}, one for each group, got {len(given)}")
    given = [rate[()] if isinstance(rate, np.ndarray) else rate for rate in given]
    for rate in given:
        if not isinstance(rate, Real):
            raise TypeError(f"min_lr: expected a number, got {type(rate).__name__}")
        if not 0 <= float(rate) < math.inf:
            raise ValueError(f"min_lr: expected a finite number >= 0, got {rate}")
    return [float(rate) for rate in given]


def _check_cycle(epoch: int, total_steps: int) -> None:
    """Raise ValueError beyond the step after the last one, to which a scheduler goes when all is done."""
    if epoch > total_steps:
        raise ValueError(f"epoch: expected at most total_steps = {total_steps}, got {epoch}")


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
