"""Mini-batches and the training loop: `DataLoader`, autograd, `torch.optim`."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from torch_ref.clipping import clip_grad_norm_
from torch_ref.early_stopping import EarlyStopping
from torch_ref.losses import binary_cross_entropy_with_logits, mse_loss
from torch_ref.network import Network


def minibatches(
    x: torch.Tensor, targets: torch.Tensor, batch_size: int, generator: torch.Generator | None = None,
    *, drop_last: bool = False,
) -> DataLoader:  # fmt: skip
    """Batches in an order that `generator` draws anew in each epoch, the last batch smaller, or dropped."""
    data = TensorDataset(x, targets)
    return DataLoader(data, batch_size, shuffle=True, generator=generator, drop_last=drop_last)


def train_step(
    network: Network,
    optimizer: Optimizer,
    x: torch.Tensor,
    targets: torch.Tensor,
    *,
    micro_batch_size: int | None = None,
    max_norm: float | None = None,
) -> float:
    """Forward → cost → backward → update; returns the cost before the update."""
    optimizer.zero_grad()
    if micro_batch_size is None:
        loss = network.cost(network(x), targets)
        loss.backward()
        cost = loss.item()
    else:
        cost = accumulate(network, x, targets, micro_batch_size)
    if max_norm is not None:
        clip_grad_norm_(network.parameters(), max_norm)
    optimizer.step()
    return cost


def accumulate(network: Network, x: torch.Tensor, targets: torch.Tensor, micro_batch_size: int) -> float:
    """Gradient accumulation: the cost of a batch and its gradient, from micro-batches, one after the other

    `backward` adds to the gradients that are there: those of micro-batches, each weighted by its share of the
    batch, add up to the gradient of the mean over the batch. Batch normalisation takes the statistics of each
    micro-batch, so that with it the gradient is another one.

    Keras' `gradient_accumulation_steps` and Lightning's `accumulate_grad_batches` take the plain mean over
    the micro-batches, in which the examples of a smaller last one count more.
    """
    total, counted = 0.0, network.counted(targets)
    for part, some in zip(x.split(micro_batch_size), targets.split(micro_batch_size), strict=True):
        cost = network.counted(some) / counted * network.cost(network(part), some, batch=len(x))
        cost.backward()
        total += cost.item()
    return total


@dataclass
class History:
    """What happened: cost of every step; learning rate and accuracies (but of mse_loss) of every epoch."""

    cost: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    stopped: bool = False
    best_epoch: int = -1

    def metric(self, mode: str) -> float:
        """The last validation cost or, in mode max, accuracy."""
        return {"min": self.validation_cost, "max": self.validation_accuracy}[mode][-1]


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
    drop_last: bool = False,
    validation: tuple[torch.Tensor, torch.Tensor] | None = None,
    early_stopping: EarlyStopping | None = None,
    micro_batch_size: int | None = None,
    max_norm: float | None = None,
) -> History:
    """Train in place, epoch after epoch; the network is left in training mode.

    The scheduler steps after each epoch: epoch e runs at the rate of e, epoch 0 at the initial one. A last
    batch of one, of which BatchNorm1d takes no variance, is an error in the middle of it: `drop_last`.

    ReduceLROnPlateau and early stopping watch the cost of the validation set or, in mode max, its accuracy.
    """
    how: dict[str, Any] = {"micro_batch_size": micro_batch_size, "max_norm": max_norm}
    history = History()
    loader = minibatches(x, targets, batch_size, generator, drop_last=drop_last)
    network.train()
    for _ in range(epochs):
        if early_stopping and early_stopping.stopped:
            break
        history.learning_rate.append(optimizer.param_groups[0]["lr"])
        for batch_x, batch_targets in loader:
            history.cost.append(train_step(network, optimizer, batch_x, batch_targets, **how))
        if network.loss is not mse_loss:
            history.accuracy.append(accuracy(network, x, targets))
        if validation:
            history.validation_cost.append(mean_loss(network, *validation))
            if network.loss is not mse_loss:
                history.validation_accuracy.append(accuracy(network, *validation))
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(history.metric(scheduler.mode))
        elif scheduler:
            scheduler.step()
        if early_stopping:
            early_stopping.step(history.metric(early_stopping.mode), network)
    if early_stopping:
        history.stopped, history.best_epoch = early_stopping.stopped, early_stopping.best_epoch
        if early_stopping.restore_best:
            early_stopping.restore(network)
    return history


def mean_loss(network: Network, x: torch.Tensor, targets: torch.Tensor) -> float:
    """The mean loss in evaluation mode, without the L2 penalty."""
    return network.loss(network.evaluate(x), targets, **network.loss_options).item()


def accuracy(network: Network, x: torch.Tensor, targets: torch.Tensor) -> float:
    """The share of right answers: over the rows, or over rows and outputs where each output is a label

    Of probabilities the likeliest is right; ignored classes do not count.
    """
    told = network.predict(x)
    if network.loss is binary_cross_entropy_with_logits:
        return (told == targets.reshape(told.shape)).double().mean().item()
    if targets.is_floating_point():
        return (told == targets.argmax(dim=1)).double().mean().item()
    counts = targets != network.loss_options.get("ignore_index", -100)
    return (told == targets)[counts].double().mean().item()
