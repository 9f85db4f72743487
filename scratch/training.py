"""Mini-batches and the training loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratch.batch_norm import BatchNorm1d
from scratch.checks import expects
from scratch.network import Network
from scratch.random import Generator
from scratch.schedules import Scheduler


@expects(batch_size=">= 1", generator="draws")
def minibatches(
    x: np.ndarray, targets: np.ndarray, batch_size: int, generator: Generator, *, drop_last: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: the examples in a new random order, `batch_size` at a time, the last batch smaller.

    Args:
        x: (examples, features)
        targets: (examples, …)
        batch_size: examples of a batch
        generator: draws the order
        drop_last: leave a smaller last batch out

    Raises:
        ValueError: no examples, another number of targets, or not one whole batch where the last is dropped.

    https://docs.pytorch.org/docs/stable/data.html
    """
    check_examples(len(x), len(targets), batch_size, drop_last)
    order = generator.epoch_order(len(x))
    end = len(x) // batch_size * batch_size if drop_last else len(x)
    batches = (order[start : start + batch_size] for start in range(0, end, batch_size))
    return ((x[batch], targets[batch]) for batch in batches)


def train_step(network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray) -> float:
    """Forward → cost → backward → update; returns the cost before the update."""
    logits = network.forward(x)
    cost = network.cost(logits, targets)
    network.backward()
    optimizer.step(network.gradients(optimizer.params))
    return cost


@dataclass
class History:
    """What happened: the cost of every step; the learning rate of every epoch and, after it, the accuracy

    on the training set (none for a squared error).
    """

    cost: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


@expects(epochs=">= 0", batch_size=">= 1", generator="draws")
def train(
    network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray,
    *, epochs: int, batch_size: int, generator: Generator, scheduler: Scheduler | None = None,
    drop_last: bool = False,
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
        drop_last: leave the last batch of an epoch out where it is smaller

    Raises:
        ValueError: as `minibatches`; a batch of one example, of which batch normalisation takes no variance.
    """
    check_batches(network, len(x), batch_size, drop_last)
    history = History()
    network.train()
    for _ in range(epochs):
        history.learning_rate.append(optimizer.lr)
        for batch_x, batch_targets in minibatches(x, targets, batch_size, generator, drop_last=drop_last):
            history.cost.append(train_step(network, optimizer, batch_x, batch_targets))
        if network.loss != "mse_loss":
            history.accuracy.append(accuracy(network, x, targets))
        if scheduler:
            scheduler.step()
    return history


def accuracy(network: Network, x: np.ndarray, targets: np.ndarray) -> float:
    """The share of right answers: over the rows, or over rows and outputs where each output is a label

    Raises ValueError for a network with a squared error, whose outputs are neither right nor wrong.
    """
    if network.loss == "mse_loss":
        raise ValueError("accuracy: expected a network that tells classes, got one with mse_loss")
    told = network.predict(x)
    dtype = np.result_type(x, targets)  # rounds neither classes nor targets
    return float(np.mean(told.astype(dtype) == targets.reshape(told.shape).astype(dtype)))


def check_examples(examples: int, targets: int, batch_size: int, drop_last: bool) -> None:
    """Raise ValueError unless there are examples for a batch, and as many targets."""
    if examples == 0:
        raise ValueError("x: expected at least one example, got none")
    if targets != examples:
        raise ValueError(f"targets: expected {examples} like x, got {targets}")
    if drop_last and examples < batch_size:
        raise ValueError(
            f"batch_size: expected at most the {examples} examples where drop_last is set, got {batch_size}"
        )


def check_batches(network: Network, examples: int, batch_size: int, drop_last: bool) -> None:
    """Raise ValueError if a batch of one example would meet a batch normalisation."""
    normalised = any(isinstance(layer, BatchNorm1d) for layer in network.layers.values())
    of_one = batch_size == 1 or (examples % batch_size == 1 and not drop_last)
    if normalised and of_one:
        raise ValueError(
            "batch_size: expected no batch of one example, of which batch normalisation takes no variance, "
            f"got {examples} examples in batches of {batch_size}: another batch_size, or drop_last=True"
        )
