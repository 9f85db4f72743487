"""What an experiment trains, in full, and what was published of it."""

import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compare.training.sides import Setup
from scratch.random import NumpyGenerator

SCALES: dict[str, Callable[[int], float]] = {  # what the standard normal weights of a layer are multiplied by
    "zeros": lambda fan_in: 0.0,
    "small": lambda fan_in: 0.01,
    "standard_normal": lambda fan_in: 1.0,
    "large_random": lambda fan_in: 10.0,
    "he": lambda fan_in: math.sqrt(2 / fan_in),
    "inverse_sqrt": lambda fan_in: 1 / math.sqrt(fan_in),
}

with open(Path(__file__).with_name("published.toml"), "rb") as file:
    _PUBLISHED = tomllib.load(file)

_ORDERS = np.random.RandomState()  # to seed it anew takes a hundredth of the time of making another


@dataclass(frozen=True)
class Published:
    """Figures that others printed of a run, digit for digit.

    Args:
        costs: epoch → cost, the mean over the examples of the epoch
        last_costs: epoch → cost of the last mini-batch of the epoch
        cost_tolerance: the distance up to which a cost counts as reproduced
        correct: epochs trained → correct answers of the training and of the test set (None: not printed)
    """

    costs: Mapping[int, str] = field(default_factory=dict)
    last_costs: Mapping[int, str] = field(default_factory=dict)
    cost_tolerance: float = 0.0
    correct: Mapping[int, tuple[int, int | None]] = field(default_factory=dict)


def published(experiment: str, run: str, cost_tolerance: float) -> Published:
    """What published.toml has of a run."""
    found = _PUBLISHED[experiment].get(run, {"every": 1})
    costs, last_costs = (every(found["every"], found.get(kind, "")) for kind in ("costs", "last_costs"))
    correct = {int(epochs): (*counts, None)[:2] for epochs, counts in found.get("correct", {}).items()}
    return Published(costs, last_costs, cost_tolerance, correct)


def every(epochs: int, figures: str) -> dict[int, str]:
    """Epoch → figure, of a list of figures that begins at epoch 0."""
    return {i * epochs: figure for i, figure in enumerate(figures.split())}


@dataclass(frozen=True)
class Recipe:
    """One training run of a network, in float64; if nothing else is said, with one sigmoid output.

    Every draw is made by NumPy's legacy generator from the seeds given here, and reaches both sides.

    Args:
        name: what tables and figures call it
        widths: of the layers, input to output; the activation in between
        scale: a name of `SCALES`; the weights are standard normal numbers times that, biases are 0
        lr: learning rate, of the first epoch if there is a schedule
        epochs: passes over the data
        optimizer: name of a class in `scratch.optimizers` and `torch_ref.optimizers`, with its
            `hyperparameters`
        batch_size: None for all examples at once, in their own order
        schedule: name of a function in `scratch.schedules` and `torch_ref.schedules`, with its
            `schedule_options`
        late_schedule: the rate of an epoch is computed after it, for the next one: epochs 0 and 1 both run
            at the first rate, and epoch e at that of e − 1. Otherwise epoch e runs at its own
        l2: λ
        dropout: the probability of being zeroed; `fresh_masks` says whether each step draws its own or all
            steps share those of the first
        batch_norm: in front of each activation
        weight_seed: of the weights
        order_seed: epoch e shuffles with order_seed + 1 + e
        mask_seed: of the dropout masks
        activation: after every hidden layer
        loss: a name that `Network` knows
    """

    name: str
    widths: tuple[int, ...]
    scale: str
    lr: float
    epochs: int
    optimizer: str = "SGD"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    late_schedule: bool = True
    l2: float = 0.0
    dropout: float = 0.0
    fresh_masks: bool = True
    batch_norm: bool = False
    weight_seed: int = 3
    order_seed: int = 10
    mask_seed: int = 1
    activation: str = "relu"
    loss: str = "binary_cross_entropy_with_logits"
    published: Published = Published()

    def setup(self) -> Setup:
        """What both sides build."""
        network = {
            "widths": self.widths,
            "activation": self.activation,
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "init": "zeros",
            "loss": self.loss,
            "l2": self.l2,
        }
        return Setup(
            network, self.optimizer, self.lr, self.hyperparameters, self.schedule, self.schedule_options
        )

    def weights(self) -> dict[str, np.ndarray]:
        """The initial weights (fan_out, fan_in) by name, layer by layer from one stream."""
        generator = np.random.RandomState(self.weight_seed)
        return {
            f"linear{i}.weight": generator.randn(fan_out, fan_in) * SCALES[self.scale](fan_in)
            for i, (fan_in, fan_out) in enumerate(itertools.pairwise(self.widths), start=1)
        }

    def batches(self, epoch: int, x: Any, targets: Any) -> Iterator[tuple[Any, Any]]:
        """The mini-batches of an epoch, of arrays or tensors."""
        if self.batch_size is None:
            yield x, targets
            return
        _ORDERS.seed(self.order_seed + 1 + epoch)
        order = _ORDERS.permutation(len(x))
        for start in range(0, len(x), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield x[rows], targets[rows]


class RecipeMasks(NumpyGenerator):
    """The dropout masks of a recipe, for either side: uniform numbers of the legacy generator, below 1 − p

    They are drawn for a layout with one example a column, and so come transposed. With `fresh` False the
    generator is seeded anew for every forward pass: every step then drops the same units of the same
    examples, and what is trained is another, fixed network for each example.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(0)  # draws the weights that the recipe's own replace
        self._recipe = recipe
        self._layers = len(recipe.widths) - 2
        self._frozen: list[np.ndarray] = []
        self._drawn = 0
        self._masks = np.random.RandomState(recipe.mask_seed)

    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any = np.float32) -> np.ndarray:
        """1 with probability p, else 0."""
        if not self._recipe.fresh_masks and len(self._frozen) == self._layers:
            mask = self._frozen[self._drawn % self._layers]
        else:
            mask = (self._masks.rand(*size[::-1]) < p).T.astype(dtype)
            if not self._recipe.fresh_masks:
                self._frozen.append(mask)
        self._drawn += 1
        return mask.copy()
