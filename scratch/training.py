"""Mini-batches and the training loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.network import Network
from scratch.random import Generator
from scratch.schedules import Scheduler


@expects(batch_size=">= 1")
def minibatches(
    x: np.ndarray, targets: np.ndarray, batch_size: int, generator: Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: the examples in a new random order, `batch_size` at a time, the last batch smaller.

    Args:
        x: (examples, features)
        targets: (examples, …)
        batch_size: examples of a batch
        generator: draws the order

    Raises:
        ValueError: no examples, or another number of targets.

    https://docs.pytorch.org/docs/stable/data.html
    """
    check_examples(len(x), len(targets))
    order = generator.epoch_order(len(x))
    batches = (order[start : start + batch_size] for start in range(0, len(x), batch_size))
    return ((x[batch], targets[batch]) for batch in batches)


def train_step(network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray) -> float:
    """Forward → cost → backward → update; returns the cost before the update."""
    logits = network.forward(x)
    cost = network.cost(logits, targets)
    network.backward()
    optimizer.step(network.gradients())
    return cost


@dataclass
class History:
    """What happened: the cost of every step; learning rate and training accuracy of every epoch."""

    cost: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


@expects(epochs=">= 0", batch_size=">= 1")
def train(
    network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray,
    *, epochs: int, batch_size: int, generator: Generator, scheduler: Scheduler | None = None,
) -> History:  # fmt: skip
    """Train in place, epoch after epoch, on mini-batches in a new order each time.

    The scheduler steps after each epoch: epoch e runs at the rate of e, epoch 0 at the initial one.

    Args:
        network: is left in training mode
        optimizer: built on `network.parameters()`
        x: (examples, features)
        targets: what the network's loss wants
        epochs: passes over the examples
        batch_size: examples of a step
        generator: draws the orders
        scheduler: changes the learning rate between epochs

    Raises:
        ValueError: as `minibatches`.
    """
    history = History()
    network.train()
    for _ in range(epochs):
        history.learning_rate.append(optimizer.lr)
        for batch_x, batch_targets in minibatches(x, targets, batch_size, generator):
            history.cost.append(train_step(network, optimizer, batch_x, batch_targets))
        history.accuracy.append(accuracy(network, x, targets))
        if scheduler:
            scheduler.step()
    return history


def accuracy(network: Network, x: np.ndarray, targets: np.ndarray) -> float:
    """The share of rows whose predicted class is the target's (0 or 1 where the network has one logit)."""
    dtype = np.result_type(x, targets)  # rounds neither classes nor targets
    return float(np.mean(network.predict(x).astype(dtype) == targets.reshape(len(x)).astype(dtype)))


def check_examples(examples: int, targets: int) -> None:
    """Raise ValueError unless there are examples, and as many targets."""
    if examples == 0:
        raise ValueError("x: expected at least one example, got none")
    if targets != examples:
        raise ValueError(f"targets: expected {examples} like x, got {targets}")
