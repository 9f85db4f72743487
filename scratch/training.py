"""Mini-batches and the training loop."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratch.batch_norm import BatchNorm1d
from scratch.checks import expects
from scratch.clipping import clip_grad_norm_
from scratch.early_stopping import EarlyStopping
from scratch.network import LOSSES, Network
from scratch.random import Generator


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


@expects(micro_batch_size=">= 1", max_norm=">= 0 or infinite")
def train_step(
    network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray,
    *, micro_batch_size: int | None = None, max_norm: float | None = None,
) -> float:  # fmt: skip
    """Forward → cost → backward → update; returns the cost before the update.

    Args:
        network: in training mode
        optimizer: built on `network.parameters()`
        x: (batch, features)
        targets: what the network's loss wants
        micro_batch_size: for a batch that is too large to be taken at once, how many examples are; see
            `accumulate`
        max_norm: gradients are clipped to this norm, see `clip_grad_norm_`; None for none

    Raises ValueError or TypeError for what the network, the loss or the optimizer can not take.
    """
    if micro_batch_size is None:
        cost = network.cost_and_gradients(x, targets)
    else:
        cost = accumulate(network, x, targets, micro_batch_size)
    gradients = network.gradients(optimizer.params)
    if max_norm is not None:
        clip_grad_norm_(gradients, max_norm)
    optimizer.step(gradients)
    return cost


@expects(micro_batch_size=">= 1")
def accumulate(network: Network, x: np.ndarray, targets: np.ndarray, micro_batch_size: int) -> float:
    """Gradient accumulation: the cost of a batch and its gradient, from micro-batches, one after the other

        L = Σₖ nₖ/n·Lₖ        ∂L/∂θ = Σₖ nₖ/n·∂Lₖ/∂θ

    with nₖ of the n examples in micro-batch k, fewer in the last one, or what their classes weigh
    (`Network.counted`). Weighted like this they are the cost and the gradient of the whole batch, but for
    rounding; the penalty is λ/2m with the m of the whole batch in each of them.

    Batch normalisation takes its statistics from each micro-batch: with it, this is another gradient than
    that of the whole batch, and the running statistics move once for each.

    Fills `network.flat_gradients`; returns the cost.
    """
    if len(x) == 0:
        raise ValueError("x: expected at least one example, got none")
    cost, gradient, counted = 0.0, np.zeros_like(network.flat_gradients), network.counted(targets)
    for start in range(0, len(x), micro_batch_size):
        part = slice(start, start + micro_batch_size)
        share = network.counted(targets[part]) / counted
        cost += share * network.cost_and_gradients(x[part], targets[part], batch=len(x))
        gradient += share * network.flat_gradients
    network.flat_gradients[...] = gradient
    return cost


@dataclass
class History:
    """What happened: the cost of every step; the learning rate of every epoch and, after it, the accuracy

    on the training set (none for a squared error). With a validation set, its mean loss and its accuracy
    after every epoch. With early stopping, whether it stopped, and the best of its epochs, from 0; else −1.
    """

    cost: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    stopped: bool = False
    best_epoch: int = -1

    def metric(self, mode: str) -> float:
        """What is to fall, in mode min: the last validation cost; or to rise, in mode max: the accuracy."""
        return (self.validation_cost if mode == "min" else self.validation_accuracy)[-1]


@expects(
    epochs=">= 0", batch_size=">= 1", generator="draws", micro_batch_size=">= 1", max_norm=">= 0 or infinite"
)  # fmt: skip
def train(
    network: Network, optimizer: Any, x: np.ndarray, targets: np.ndarray,
    *, epochs: int, batch_size: int, generator: Generator, scheduler: Any = None, drop_last: bool = False,
    validation: tuple[np.ndarray, np.ndarray] | None = None, early_stopping: EarlyStopping | None = None,
    micro_batch_size: int | None = None, max_norm: float | None = None,
) -> History:  # fmt: skip
    """Train in place, epoch after epoch, on mini-batches in a new order each time.

    The scheduler steps after each epoch: epoch e runs at the rate of e, epoch 0 at the initial one. One whose
    `step` takes a metric gets the validation cost or, in its mode max, the validation accuracy; so does early
    stopping, which at the end puts the best weights back (the optimizer's state stays as it is).

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
        validation: examples and targets that are looked at after each epoch, in evaluation mode
        early_stopping: ends the run; once it has stopped, no further epoch runs
        micro_batch_size: see `train_step`
        max_norm: see `train_step`

    Raises:
        ValueError: as `minibatches`; a batch of one example, of which batch normalisation takes no variance;
            no validation set, or no accuracy, where there has to be one.
    """
    check_batches(network, len(x), batch_size, drop_last, micro_batch_size)
    check_validation(network, validation, early_stopping, scheduler)
    how: dict[str, Any] = {"micro_batch_size": micro_batch_size, "max_norm": max_norm}
    history = History()
    network.train()
    for _ in range(epochs):
        if early_stopping and early_stopping.stopped:
            break
        history.learning_rate.append(optimizer.lr)
        for batch_x, batch_targets in minibatches(x, targets, batch_size, generator, drop_last=drop_last):
            history.cost.append(train_step(network, optimizer, batch_x, batch_targets, **how))
        if network.loss != "mse_loss":
            history.accuracy.append(accuracy(network, x, targets))
        if validation is not None:
            _validate(history, network, *validation)
        if scheduler:
            scheduler.step(*(history.metric(scheduler.mode),) if _takes_metric(scheduler) else ())
        if early_stopping:
            early_stopping.step(history.metric(early_stopping.mode), network)
    if early_stopping:
        _end_early(history, network, early_stopping)
    return history


def _end_early(history: History, network: Network, early_stopping: EarlyStopping) -> None:
    history.stopped, history.best_epoch = early_stopping.stopped, early_stopping.best_epoch
    if early_stopping.restore_best:
        early_stopping.restore(network)


def _validate(history: History, network: Network, x: np.ndarray, targets: np.ndarray) -> None:
    history.validation_cost.append(mean_loss(network, x, targets))
    if network.loss != "mse_loss":
        history.validation_accuracy.append(accuracy(network, x, targets))


def mean_loss(network: Network, x: np.ndarray, targets: np.ndarray) -> float:
    """The mean loss in evaluation mode, without the L2 penalty: what a validation set is for

    The penalty is about the weights, and would hide from one epoch to the next what becomes of the examples.
    """
    forward, _ = LOSSES[network.loss]
    return float(forward(network._evaluate(x), targets, **network.loss_options)[0])


def accuracy(network: Network, x: np.ndarray, targets: np.ndarray) -> float:
    """The share of right answers: over the rows, or over rows and outputs where each output is a label

    Where targets are probabilities of classes, the likeliest is right; ignored classes do not count.

    Raises ValueError for a network with a squared error, whose outputs are neither right nor wrong, and if
    there is no target that counts.
    """
    if network.loss == "mse_loss":
        raise ValueError("accuracy: expected a network that tells classes, got one with mse_loss")
    told = network.predict(x)
    if network.loss == "binary_cross_entropy_with_logits":
        dtype = np.result_type(x, targets)  # rounds neither labels nor targets
        return float(np.mean(told.astype(dtype) == targets.reshape(told.shape).astype(dtype)))
    if targets.dtype.kind == "f":
        return float(np.mean(told == targets.argmax(axis=1)))
    counts = targets != network.loss_options.get("ignore_index", -100)
    if not counts.any():
        raise ValueError("targets: expected at least one that counts, got none")
    return float(np.mean((told == targets)[counts]))


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


def _takes_metric(scheduler: Any) -> bool:
    """Whether its `step` has to be told how well the network does."""
    parameters = inspect.signature(scheduler.step).parameters.values() if scheduler else ()
    return any(parameter.default is parameter.empty for parameter in parameters)


def check_validation(
    network: Network, validation: Any, early_stopping: EarlyStopping | None, scheduler: Any
) -> None:
    """Raise ValueError unless there is a validation set, and an accuracy, for whoever needs one."""
    if early_stopping is not None and not hasattr(early_stopping, "stopped"):
        raise TypeError(f"early_stopping: expected an EarlyStopping, got {type(early_stopping).__name__}")
    if validation is not None:
        if not isinstance(validation, tuple | list):
            raise TypeError(f"validation: expected (x, targets), got {type(validation).__name__}")
        if len(validation) != 2:
            raise TypeError(f"validation: expected (x, targets), got {len(validation)} of them")
        examples, targets = map(len, validation)
        if examples == 0 or targets != examples:
            raise ValueError(
                f"validation: expected examples and as many targets, got {examples} and {targets}"
            )
    named = {"early_stopping": early_stopping, "scheduler": scheduler if _takes_metric(scheduler) else None}
    for name, watching in named.items():
        if watching is None:
            continue
        if validation is None:
            raise ValueError(f"validation: expected examples and targets for {name}, got None")
        if watching.mode == "max" and network.loss == "mse_loss":
            raise ValueError(f"{name}: expected mode min for mse_loss, which has no accuracy, got max")


def check_batches(
    network: Network, examples: int, batch_size: int, drop_last: bool, micro_batch_size: int | None = None
) -> None:
    """Raise ValueError if a batch of one example, or a micro-batch, would meet a batch normalisation."""
    if not any(isinstance(layer, BatchNorm1d) for layer in network.layers.values()):
        return
    sizes = {min(batch_size, examples)} | (set() if drop_last else {examples % batch_size})
    of_one = "expected no batch of one example, of which batch normalisation takes no variance, got"
    batches = f"{examples} examples in batches of {batch_size}"
    if 1 in sizes:
        raise ValueError(f"batch_size: {of_one} {batches}: another batch_size, or drop_last=True")
    if micro_batch_size and 1 in {micro_batch_size, *(size % micro_batch_size for size in sizes)}:
        raise ValueError(f"micro_batch_size: {of_one} {batches}, each in micro-batches of {micro_batch_size}")
