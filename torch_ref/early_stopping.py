"""Early stopping, which PyTorch leaves to its users; the names are those of Keras, Lightning and ignite."""

import copy
import math
from typing import Any

import torch
from torch import nn


class EarlyStopping:
    """Stops after `patience` epochs in a row without an improvement, and keeps the best weights

    An improvement is metric < best − min_delta in mode min, metric > best + min_delta in mode max.

    Keras, Lightning and ignite count like this; `ReduceLROnPlateau` and scikit-learn act one epoch later, at
    `patience + 1`. A NaN stops at once, as in Lightning; in Keras it is an epoch without an improvement. The
    `min_delta` of ignite is counted from the last metric that was better at all, however little (unless
    `cumulative_delta`), and the `threshold` of ReduceLROnPlateau is a share of the best metric.

    `state_dict()` returns the tensors of the network themselves: the best ones have to be copied.
    """

    def __init__(
        self, patience: int, min_delta: float = 0.0, mode: str = "min", restore_best: bool = True
    ) -> None:
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.restore_best = restore_best
        self.best = {"min": math.inf, "max": -math.inf}[mode]
        self.best_epoch = -1
        self.wait = self.epoch = 0
        self.stopped = False
        self.best_weights: dict[str, torch.Tensor] = {}

    def step(self, metric: float, network: nn.Module) -> bool:
        """Take in an epoch's metric, and the weights if it is the best so far; tell whether to stop."""
        if self.mode == "min":
            improved = metric < self.best - self.min_delta
        else:
            improved = metric > self.best + self.min_delta
        if improved:
            self.best, self.best_epoch, self.wait = metric, self.epoch, 0
            self.best_weights = copy.deepcopy(network.state_dict())
        else:
            self.wait += 1
        self.epoch += 1
        self.stopped = self.wait >= self.patience or math.isnan(metric)
        return self.stopped

    def restore(self, network: nn.Module) -> None:
        """Copy the best weights into the network, if there are any."""
        if self.best_weights:
            network.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on."""
        names = ("best", "best_epoch", "wait", "epoch", "stopped", "best_weights")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.__dict__.update(copy.deepcopy(state_dict))
