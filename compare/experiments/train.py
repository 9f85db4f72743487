"""Trains a recipe on one side or the other, and records the same things of both."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.draws import SharedDraws
from compare.experiments.recipe import Recipe, RecipeMasks
from compare.training.data import Data
from compare.training.sides import ScratchSide, TorchSide

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
    seconds: float = 0.0  # that training took, on this machine and beside whatever else ran on it
    train_logits: np.ndarray = field(default_factory=lambda: np.empty(0))  # at the end; see `_logits`
    test_logits: np.ndarray = field(default_factory=lambda: np.empty(0))
    grid_logits: np.ndarray = field(default_factory=lambda: np.empty(0))  # on `grid(data)`; (GRID, GRID)

    @property
    def final(self) -> tuple[int, int]:
        """Correct answers of the training and of the test set, at the end."""
        return self.correct[len(self.cost)]


Sides = Mapping[str, Run]  # side → run of one recipe


def first(sides: Sides) -> Run:
    """The run that stands for all, where they agree."""
    return next(iter(sides.values()))


def costs_of(sides: Sides) -> dict[str, list[float]]:
    """The cost of each epoch, by side."""
    return {side: run.cost for side, run in sides.items()}


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
        data: targets (examples, 1), 0 or 1, or classes (examples,), as the loss wants them
        evaluate_at: numbers of epochs after which to count correct answers; the end always is one
        snapshot_at: numbers of epochs after which to keep a copy of the state; the end always is one
        dtype: of everything; longdouble is for the arbiter, on scratch's side
        rule: of the optimizer, in place of its own, to show what another one does; on scratch's side
        progress: called now and then with the number of epochs since the last call
    """
    run = Run(recipe, side)
    trainer = build(recipe, side, dtype)
    trainer.load(recipe.weights())
    if rule:
        trainer.optimizer.rule = rule
    x, targets = trainer.array(data.x_train), trainer.array(data.targets_train)
    started = time.perf_counter()
    for epoch in range(recipe.epochs):
        if epoch in snapshot_at:
            run.snapshots[epoch] = trainer.weights()
        run.learning_rate.append(trainer.lr)
        total = 0.0
        for batch_x, batch_targets in recipe.batches(epoch, x, targets):
            cost = trainer.step(batch_x, batch_targets)
            total += cost * len(batch_x)
        run.cost.append(total / len(x))
        run.last_cost.append(cost)
        if epoch or not recipe.late_schedule:
            trainer.end_epoch()
        if epoch + 1 in evaluate_at:
            run.correct[epoch + 1] = _count_correct(trainer, data)
        if (epoch + 1) % REPORT_EVERY == 0:
            progress(REPORT_EVERY)
    run.seconds = time.perf_counter() - started
    progress(recipe.epochs % REPORT_EVERY)
    run.snapshots[recipe.epochs] = trainer.weights()
    run.correct[recipe.epochs] = _count_correct(trainer, data)
    run.train_logits, run.test_logits = (_logits(trainer, x) for x in (data.x_train, data.x_test))
    if data.x_train.shape[1] == 2:
        first, second = grid(data)
        points = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
        run.grid_logits = _logits(trainer, points).reshape(GRID, GRID)
    return run


def grid(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates, (GRID,) each, of a grid that covers the points of a two-dimensional data set."""
    low, high = data.x_train.min(axis=0), data.x_train.max(axis=0)
    margin = 0.1 * (high - low)
    first, second = np.linspace(low - margin, high + margin, GRID).T
    return first, second


def rebuild(run: Run, epochs: int) -> ScratchSide:
    """Scratch's side as either side was after so many epochs, one of `snapshots`."""
    side = build(run.recipe, "scratch")
    side.load(run.snapshots[epochs])
    return side


def build(recipe: Recipe, side: str, dtype: Any = np.float64) -> Any:
    """The side of this name (see `train`), before it has the recipe's weights."""
    masks = RecipeMasks(recipe)
    if side == "torch":
        return TorchSide(recipe.setup(), SharedDraws(masks), dtype=dtype)
    return ScratchSide(recipe.setup(), masks, dtype=dtype)


def _count_correct(trainer: Any, data: Data) -> tuple[int, int]:
    train, test = (
        int(np.sum(trainer.predict(x) == targets.ravel()))
        for x, targets in ((data.x_train, data.targets_train), (data.x_test, data.targets_test))
    )
    return train, test


def _logits(trainer: Any, x: np.ndarray) -> np.ndarray:
    """In evaluation mode; (examples,), or (examples, classes)"""
    logits = trainer.logits(x).astype(np.float64)
    return logits[:, 0] if logits.shape[1] == 1 else logits
