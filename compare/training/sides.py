"""The one pair of trainers: the same network, optimizer and schedule on each side, taken step by step.

What goes into a side and comes out of it are NumPy's arrays, by PyTorch's names; only `array` and
`minibatches` return what `step` takes, which is tensors on PyTorch's side.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.training
import torch_ref.network
import torch_ref.optimizers
import torch_ref.schedules
import torch_ref.training
from compare.measure import to_numpy
from scratch.random import Generator

Arrays = dict[str, np.ndarray]
GLOBAL_GENERATOR = nullcontext()  # within it PyTorch draws as ever


@dataclass(frozen=True)
class Setup:
    """What both sides build: arguments of `Network`, and names that both libraries have."""

    network: Mapping[str, Any]
    optimizer: str = "Adam"
    lr: float = 1e-3  # the initial one, if there is a schedule
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)


class Side:
    """A network in training: what is the same on both sides."""

    library: Any
    scheduler: Any = None

    def __init__(self, setup: Setup, draws: Any, dtype: Any, network: Any) -> None:
        self.draws, self.dtype, self.network = draws, dtype, network
        optimizer = getattr(self.library.optimizers, setup.optimizer)
        self.optimizer = optimizer(network.parameters(), lr=setup.lr, **setup.hyperparameters)

    def array(self, values: np.ndarray) -> Any:
        """`values` as `step` takes them: floating-point numbers in the side's dtype."""
        return values.astype(self.dtype) if values.dtype.kind == "f" else values

    def step(self, x: Any, targets: Any) -> float:
        """One training step; returns the cost."""
        return self.library.training.train_step(self.network, self.optimizer, x, targets)

    def end_epoch(self) -> None:
        """Go to the learning rate of the next epoch."""
        if self.scheduler:
            self.scheduler.step()

    def weights(self) -> Arrays:
        """Copies of every parameter and running statistic."""
        return {name: to_numpy(array).copy() for name, array in self.network.state_dict().items()}

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over weights; those that are not given stay as they are."""
        given = {name: self.array(array) for name, array in weights.items()}
        self.network.load_state_dict({**self.network.state_dict(), **given})

    @torch.no_grad()
    def logits(self, x: np.ndarray) -> np.ndarray:
        """In evaluation mode."""
        logits = self.network.eval().forward(self.array(x))
        self.network.train()
        return to_numpy(logits)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The class of each row."""
        return to_numpy(self.network.predict(self.array(x)))


class ScratchSide(Side):
    """NumPy's side; `draws` draws weights, orders of the examples and dropout masks."""

    library = scratch

    def __init__(self, setup: Setup, draws: Generator, *, dtype: Any = np.float32) -> None:
        network = scratch.network.Network(generator=draws, dtype=dtype, **setup.network)
        super().__init__(setup, draws, dtype, network)
        if setup.schedule:
            schedule = partial(getattr(scratch.schedules, setup.schedule), **setup.schedule_options)
            self.scheduler = scratch.schedules.Scheduler(self.optimizer, schedule)

    def minibatches(self, x: np.ndarray, targets: np.ndarray, batch_size: int) -> list:
        """The batches of one epoch."""
        return list(scratch.training.minibatches(x, targets, batch_size, self.draws))

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.optimizer.lr

    def state(self) -> Arrays:
        """The weights, and what the optimizer keeps of every parameter: linear1.weight.exp_avg, …"""
        moments = {
            key: self.network.named(flat) if flat.ndim else dict.fromkeys(self.network.shapes, flat)
            for key, (flat,) in self.optimizer.state.items()
        }
        return self.weights() | {f"{n}.{key}": moments[key][n] for key in moments for n in moments[key]}


class TorchSide(Side):
    """PyTorch's side; `draws` is a context, one of `compare.draws`, within which PyTorch draws."""

    library = torch_ref

    def __init__(
        self, setup: Setup, draws: Any = GLOBAL_GENERATOR, *, dtype: Any = np.float32, device: str = "cpu"
    ) -> None:
        self.device = device
        options = {"dtype": getattr(torch, np.dtype(dtype).name), "device": device, **setup.network}
        with draws:
            super().__init__(setup, draws, dtype, torch_ref.network.Network(**options))
        for layer in self.network.children():
            if isinstance(layer, torch.nn.Dropout):  # nothing else draws in a step
                layer.forward = self._drawing(layer.forward)  # type: ignore[method-assign]
        if setup.schedule:
            schedule = getattr(torch_ref.schedules, setup.schedule)
            self.scheduler = schedule(self.optimizer, **setup.schedule_options)

    def _drawing(self, forward: Callable) -> Callable:
        def within_draws(x: torch.Tensor) -> torch.Tensor:
            with self.draws:
                return forward(x)

        return within_draws

    def array(self, values: np.ndarray) -> torch.Tensor:
        """`values` as `step` takes them: a tensor on the device."""
        return torch.from_numpy(super().array(values)).to(self.device)

    def minibatches(self, x: np.ndarray, targets: np.ndarray, batch_size: int) -> list:
        """The batches of one epoch."""
        with self.draws:
            data = torch.from_numpy(x), torch.from_numpy(targets)
            loader = torch_ref.training.minibatches(*data, batch_size)
            return [[tensor.to(self.device) for tensor in batch] for batch in loader]

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.optimizer.param_groups[0]["lr"]

    def state(self) -> Arrays:
        """The same names as on NumPy's side."""
        kept = {name: self.optimizer.state[p] for name, p in self.network.named_parameters()}
        moments = {f"{n}.{key}": kept[n][key] for n in kept for key in kept[n] if key != "step"}
        return self.weights() | {name: to_numpy(tensor) for name, tensor in moments.items()}
