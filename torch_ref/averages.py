"""Averages of a sequence, and of the weights of a network: `torch.lerp`, `torch.optim.swa_utils`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import swa_utils

from torch_ref.network import Network


def exponentially_weighted_average(
    x: torch.Tensor, beta: float, bias_correction: bool = True
) -> torch.Tensor:
    """v̂_t = v_t/(1 − βᵗ), of v_t = β·v_(t−1) + (1 − β)·x_t with v_0 = 0 and t from 1; x is (steps,)

    pandas' `ewm(alpha=1 - beta)` is v̂, and with `adjust=False` it starts at the first value instead:
    v_1 = x_1. `torch.lerp` takes the weight of the new value, 1 − β.
    """
    averages = torch.empty_like(x)
    average = x.new_zeros(())
    for t, value in enumerate(x, start=1):
        average = average.lerp(value, 1 - beta)
        averages[t - 1] = average / (1 - beta**t) if bias_correction else average
    return averages


class AveragedModel(swa_utils.AveragedModel):
    """A copy of a network whose parameters are averages: a ← decay·a + (1 − decay)·θ, or all alike

    The first `update_parameters` copies. TensorFlow's ExponentialMovingAverage starts with the weights that
    the network begins with, and with `num_updates` has a decay of min(decay, (1 + n)/(10 + n)); Keras'
    `ema_momentum` is the decay, and copies at first as well. Unless told otherwise, PyTorch weighs equal
    averages on a GPU by 1/(n + 1) in float32, whatever the dtype of the parameters: not so `get_swa_avg_fn`.
    """

    module: Network

    def __init__(self, model: Network, decay: float | None = None, use_buffers: bool = False) -> None:
        if decay is None:
            super().__init__(model, avg_fn=swa_utils.get_swa_avg_fn(), use_buffers=use_buffers)
        else:
            multi_avg_fn = swa_utils.get_ema_multi_avg_fn(decay)
            super().__init__(model, multi_avg_fn=multi_avg_fn, use_buffers=use_buffers)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """What the averaged network says of x."""
        return self.module.predict(x)

    def predict_proba(self, x: torch.Tensor) -> torch.Tensor:
        """How probable the averaged network holds each class."""
        return self.module.predict_proba(x)


def update_bn(loader: Iterable[Any], model: nn.Module) -> None:
    """New running statistics of every batch normalisation, in one pass over the loader

    The mean over the batches of μ and of the unbiased variance: as `momentum=None` has it.
    """
    swa_utils.update_bn(loader, model)
