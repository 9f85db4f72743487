"""Early stopping: training ends once the validation cost gets no better, with the best weights so far."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.network import Network

COUNTS = ("best", "best_epoch", "wait", "epoch", "stopped")


class EarlyStopping:
    """Says when to stop, and keeps the best weights: copies of every parameter and running statistic

    An epoch is an improvement where

        metric < best − min_delta    mode min: of a cost
        metric > best + min_delta    mode max: of an accuracy

    After `patience` epochs in a row without one, training stops: with 1, after the first of them. A metric of
    NaN stops it at once, since the weights will not come back from there. (PyTorch's ReduceLROnPlateau waits
    one epoch more before it acts.)

    Args:
        patience: epochs without an improvement
        min_delta: an improvement is larger than that; a number >= 0
        mode: min or max
        restore_best: whether `train` ends with the best weights, stopped or not, instead of the last ones

    Attributes:
        best, best_epoch: the metric of the best epoch, and its number from 0; ±∞ and −1 before there was one
        wait: epochs since then
        epoch: epochs that were seen
        stopped: whether training should end
        best_weights: what `network.state_dict()` was after the best epoch; None before there was one

    Prechelt 1998, "Early stopping — but when?"
    """

    @expects(patience=">= 1", min_delta=">= 0", mode=("min", "max"))
    def __init__(
        self, patience: int, min_delta: float = 0.0, mode: str = "min", restore_best: bool = True
    ) -> None:
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.restore_best = restore_best
        self.best = math.inf if mode == "min" else -math.inf
        self.best_epoch = -1
        self.wait = self.epoch = 0
        self.stopped = False
        self.best_weights: dict[str, np.ndarray] | None = None

    @expects()
    def improves(self, metric: float) -> bool:
        """Whether a metric is better than the best so far, by more than `min_delta`."""
        if self.mode == "min":
            return metric < self.best - self.min_delta
        return metric > self.best + self.min_delta

    @expects()
    def step(self, metric: float, network: Network) -> bool:
        """Take in an epoch's metric, and the weights if it is the best so far; tell whether to stop."""
        if self.improves(metric):
            self.best, self.best_epoch, self.wait = metric, self.epoch, 0
            self.best_weights = {name: array.copy() for name, array in network.state_dict().items()}
        else:
            self.wait += 1
        self.epoch += 1
        self.stopped = self.wait >= self.patience or math.isnan(metric)
        return self.stopped

    def restore(self, network: Network) -> None:
        """Copy the best weights into the network; before there are any, it stays as it is."""
        if self.best_weights is not None:
            network.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on: the counts, and the best weights (the arrays themselves)."""
        return {**{name: getattr(self, name) for name in COUNTS}, "best_weights": self.best_weights or {}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the counts, and copies of the weights; raise ValueError for anything else."""
        if not isinstance(state, Mapping) or state.keys() != self.state_dict().keys():
            raise ValueError(f"state: expected {', '.join(self.state_dict())}, got {', '.join(state)}")
        for name in COUNTS:
            setattr(self, name, type(getattr(self, name))(state[name]))
        weights = {name: np.array(array) for name, array in state["best_weights"].items()}
        self.best_weights = weights or None
