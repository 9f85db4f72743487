"""Mini-batches and the training loop: `DataLoader`, autograd, `torch.optim`."""

from dataclasses import dataclass, field

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset

from torch_ref.network import Network


def minibatches(
    x: torch.Tensor, targets: torch.Tensor, batch_size: int, generator: torch.Generator | None = None
) -> DataLoader:
    """Batches in an order that `generator` draws anew in each epoch, the last batch smaller."""
    return DataLoader(TensorDataset(x, targets), batch_size, shuffle=True, generator=generator)


def train_step(network: Network, optimizer: Optimizer, x: torch.Tensor, targets: torch.Tensor) -> float:
    """Forward → cost → backward → update; returns the cost before the update."""
    optimizer.zero_grad()
    cost = network.cost(network(x), targets)
    cost.backward()
    optimizer.step()
    return cost.item()


@dataclass
class History:
    """What happened: the cost of every step; learning rate and training accuracy of every epoch."""

    cost: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def train(
    network: Network,
    optimizer: Optimizer,
    x: torch.Tensor,
    targets: torch.Tensor,
    *,
    epochs: int,
    batch_size: int,
    generator: torch.Generator | None = None,
    scheduler: LRScheduler | None = None,
) -> History:
    """Train in place, epoch after epoch; the network is left in training mode.

    The scheduler steps after each epoch: epoch e runs at the rate of e, epoch 0 at the initial one.
    """
    history = History()
    loader = minibatches(x, targets, batch_size, generator)
    network.train()
    for _ in range(epochs):
        history.learning_rate.append(optimizer.param_groups[0]["lr"])
        for batch_x, batch_targets in loader:
            history.cost.append(train_step(network, optimizer, batch_x, batch_targets))
        history.accuracy.append(accuracy(network, x, targets))
        if scheduler:
            scheduler.step()
    return history


def accuracy(network: Network, x: torch.Tensor, targets: torch.Tensor) -> float:
    """The share of rows whose predicted class is the target's (0 or 1 where the network has one logit)."""
    return (network.predict(x) == targets.reshape(len(x))).double().mean().item()
