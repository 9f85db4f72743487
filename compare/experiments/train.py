"""Trains a recipe on one side or the other, and records the same things of both."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.training
import torch_ref.network
import torch_ref.optimizers
import torch_ref.schedules
import torch_ref.training
from compare.experiments.recipe import Recipe, RecipeMasks
from compare.training.data import Data
from scratch.random import NumpyGenerator
from scratch.regularization import Dropout

SIDES = ("scratch", "torch")
GRID = 160  # points along each side of the grid that decision boundaries are drawn on
REPORT_EVERY = 100  # epochs between two calls of `progress`
Progress = Callable[[int], None]  # told how many epochs have gone by since it was last told


@dataclass
class Run:
    """What training a recipe on one side gave; epochs are counted by how many have gone by."""

    recipe: Recipe
    side: str
    cost: list[float] = field(default_factory=list)  # of each epoch: the mean over its examples, as trained
    last_cost: list[float] = field(default_factory=list)  # of the last mini-batch of each epoch
    learning_rate: list[float] = field(default_factory=list)  # of each epoch
    correct: dict[int, tuple[int, int]] = field(default_factory=dict)  # epochs → (train, test)
    snapshots: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # epochs → state
    train_logits: np.ndarray = field(default_factory=lambda: np.empty(0))  # at the end; (examples,)
    test_logits: np.ndarray = field(default_factory=lambda: np.empty(0))
    grid_logits: np.ndarray = field(default_factory=lambda: np.empty(0))  # on `grid(data)`; (GRID, GRID)

    @property
    def final(self) -> tuple[int, int]:
        """Correct answers of the training and of the test set, at the end."""
        return self.correct[len(self.cost)]


def train(
    recipe: Recipe,
    side: str,
    data: Data,
    *,
    evaluate_at: tuple[int, ...] = (),
    snapshot_at: tuple[int, ...] = (),
    dtype: Any = np.float64,
    rule: Callable[..., None] | None = None,
    progress: Progress = lambda epochs: None,
) -> Run:
    """Train a recipe from its own seeds.

    Args:
        recipe: what to train
        side: scratch, torch, or arbiter: scratch in a wider dtype
        data: two features; targets (examples, 1), 0 or 1
        evaluate_at: numbers of epochs after which to count correct answers; the end always is one
        snapshot_at: numbers of epochs after which to keep a copy of the state; the end always is one
        dtype: of everything; longdouble is for the arbiter, on scratch's side
        rule: of the optimizer, in place of its own, to show what another one does; on scratch's side
        progress: called now and then with the number of epochs since the last call
    """
    run = Run(recipe, side)
    trainer = (_Torch if side == "torch" else _Scratch)(recipe, data, dtype)
    if rule:
        trainer.optimizer.rule = rule
    n = len(data.x_train)
    size = recipe.batch_size or n
    for epoch in range(recipe.epochs):
        if epoch in snapshot_at:
            run.snapshots[epoch] = trainer.state()
        run.learning_rate.append(trainer.learning_rate())
        order = recipe.order(epoch, n) if recipe.batch_size else None
        total = 0.0
        for start in range(0, n, size):
            rows = None if order is None else order[start : start + size]
            cost = trainer.step(rows)
            total += cost * (n if rows is None else len(rows))
        run.cost.append(total / n)
        run.last_cost.append(cost)
        trainer.end_epoch(epoch)
        if epoch + 1 in evaluate_at:
            run.correct[epoch + 1] = _count_correct(trainer, data)
        if (epoch + 1) % REPORT_EVERY == 0:
            progress(REPORT_EVERY)
    progress(recipe.epochs % REPORT_EVERY)
    run.snapshots[recipe.epochs] = trainer.state()
    run.correct[recipe.epochs] = _count_correct(trainer, data)
    run.train_logits, run.test_logits = trainer.logits(data.x_train), trainer.logits(data.x_test)
    if data.x_train.shape[1] == 2:
        first, second = grid(data)
        points = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
        run.grid_logits = trainer.logits(points).reshape(GRID, GRID)
    return run


def grid(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates, (GRID,) each, of a grid that covers the points of a two-dimensional data set."""
    low, high = data.x_train.min(axis=0), data.x_train.max(axis=0)
    margin = 0.1 * (high - low)
    first, second = np.linspace(low - margin, high + margin, GRID).T
    return first, second


def rebuild(run: Run, epochs: int, dtype: Any = np.float64) -> scratch.network.Network:
    """The network as it was after so many epochs, one of `snapshots`, of either side, as scratch's."""
    network = scratch.network.Network(
        generator=NumpyGenerator(0), dtype=dtype, **run.recipe.network_options()
    )
    network.load_state_dict({name: np.asarray(array) for name, array in run.snapshots[epochs].items()})
    return network


def _count_correct(trainer: Any, data: Data) -> tuple[int, int]:
    train, test = (
        int(np.sum((trainer.logits(x) > 0) == (targets[:, 0] == 1)))
        for x, targets in ((data.x_train, data.targets_train), (data.x_test, data.targets_test))
    )
    return train, test


class _Scratch:
    def __init__(self, recipe: Recipe, data: Data, dtype: Any) -> None:
        self.recipe = recipe
        self.network = scratch.network.Network(
            generator=NumpyGenerator(0), dtype=dtype, **recipe.network_options()
        )
        masks: Any = RecipeMasks(recipe)
        for layer in self.network.layers.values():
            if isinstance(layer, Dropout):
                layer.generator = masks
        for i, weight in enumerate(recipe.weights(), start=1):
            self.network.layers[f"linear{i}"].parameters["weight"][...] = weight
        optimizer = getattr(scratch.optimizers, recipe.optimizer)
        self.optimizer = optimizer(self.network.parameters(), lr=recipe.lr, **recipe.hyperparameters)
        self.x, self.targets = data.x_train.astype(dtype), data.targets_train.astype(dtype)

    def step(self, rows: np.ndarray | None) -> float:
        x, targets = (self.x, self.targets) if rows is None else (self.x[rows], self.targets[rows])
        return scratch.training.train_step(self.network, self.optimizer, x, targets)

    def end_epoch(self, epoch: int) -> None:
        if self.recipe.schedule:
            schedule = getattr(scratch.schedules, self.recipe.schedule)
            due = epoch if self.recipe.late_schedule else epoch + 1
            self.optimizer.lr = schedule(self.recipe.lr, due, **self.recipe.schedule_options)

    def learning_rate(self) -> float:
        return self.optimizer.lr

    def state(self) -> dict[str, np.ndarray]:
        return copy.deepcopy(self.network.state_dict())

    def logits(self, x: np.ndarray) -> np.ndarray:
        """In evaluation mode; (examples,)"""
        logits = self.network.eval().forward(x.astype(self.x.dtype))
        self.network.train()
        return logits[:, 0].astype(np.float64)


class MaskedDropout(nn.Module):
    """Dropout with masks that the recipe gives, in place of `nn.Dropout`, which asks PyTorch's generator."""

    def __init__(self, p: float, masks: RecipeMasks) -> None:
        super().__init__()
        self.p, self.masks = p, masks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x·mask/(1 − p) in training, x in evaluation."""
        if not self.training:
            return x
        mask = torch.from_numpy(self.masks.dropout_mask(x.detach().numpy(), self.p))
        return x * (mask / (1 - self.p))


class _Torch:
    def __init__(self, recipe: Recipe, data: Data, dtype: Any) -> None:
        self.recipe = recipe
        torch_dtype = getattr(torch, np.dtype(dtype).name)
        self.network = torch_ref.network.Network(dtype=torch_dtype, **recipe.network_options())
        masks = RecipeMasks(recipe)
        for name, layer in self.network.named_children():
            if isinstance(layer, nn.Dropout):
                setattr(self.network, name, MaskedDropout(recipe.dropout, masks))
        with torch.no_grad():
            for layer, weight in zip(self.network.linear_layers(), recipe.weights(), strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
        optimizer = getattr(torch_ref.optimizers, recipe.optimizer)
        self.optimizer = optimizer(self.network.parameters(), lr=recipe.lr, **recipe.hyperparameters)
        self.scheduler = None
        if recipe.schedule:
            schedule = getattr(torch_ref.schedules, recipe.schedule)
            self.scheduler = schedule(self.optimizer, **recipe.schedule_options)
        self.x = torch.from_numpy(data.x_train.astype(dtype))
        self.targets = torch.from_numpy(data.targets_train.astype(dtype))

    def step(self, rows: np.ndarray | None) -> float:
        x, targets = (self.x, self.targets) if rows is None else (self.x[rows], self.targets[rows])
        return torch_ref.training.train_step(self.network, self.optimizer, x, targets)

    def end_epoch(self, epoch: int) -> None:
        if self.scheduler and not (self.recipe.late_schedule and epoch == 0):
            self.scheduler.step()

    def learning_rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def state(self) -> dict[str, np.ndarray]:
        return {name: tensor.detach().numpy().copy() for name, tensor in self.network.state_dict().items()}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """In evaluation mode; (examples,)"""
        with torch.no_grad():
            logits = self.network.eval()(torch.from_numpy(x.astype(self.x.numpy().dtype)))
        self.network.train()
        return logits[:, 0].double().numpy()
