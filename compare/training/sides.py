"""The one pair of trainers: the same network, optimizer and schedule on each side, taken step by step.

What goes into a side and comes out of it are NumPy's arrays, by PyTorch's names; only `array` and
`minibatches` return what `step` takes, which is tensors on PyTorch's side.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
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
from compare.training.weights import to_scratch
from scratch.random import Generator

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Setup:
    """What both sides build.

    Args:
        network: arguments of `Network`
        optimizer: name of a class in `scratch.optimizers` and `torch_ref.optimizers`
        lr: learning rate, the initial one if there is a schedule
        hyperparameters: the optimizer's other arguments
        schedule: name of a function in `scratch.schedules` and `torch_ref.schedules`
        schedule_options: its arguments
    """

    network: Mapping[str, Any]
    optimizer: str = "Adam"
    lr: float = 1e-3
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)


class ScratchSide:
    """A NumPy network in training.

    Args:
        setup: what to build
        draws: draws the weights, the orders of the examples and the dropout masks
        dtype: of everything
    """

    def __init__(self, setup: Setup, draws: Generator, *, dtype: Any = np.float32) -> None:
        self.draws, self.dtype = draws, dtype
        self.network = scratch.network.Network(generator=draws, dtype=dtype, **setup.network)
        optimizer = getattr(scratch.optimizers, setup.optimizer)
        self.optimizer = optimizer(self.network.parameters(), lr=setup.lr, **setup.hyperparameters)
        self.scheduler: Any = None
        if setup.schedule:
            schedule = partial(getattr(scratch.schedules, setup.schedule), **setup.schedule_options)
            self.scheduler = scratch.schedules.Scheduler(self.optimizer, schedule)

    def array(self, values: Any) -> np.ndarray:
        """`values` as `step` takes them: floating-point numbers in the side's dtype."""
        values = np.asarray(values)
        return values.astype(self.dtype) if values.dtype.kind == "f" else values

    def minibatches(self, x: np.ndarray, targets: np.ndarray, batch_size: int) -> list:
        """The batches of one epoch."""
        return list(scratch.training.minibatches(x, targets, batch_size, self.draws))

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        """One training step; returns the cost."""
        return scratch.training.train_step(self.network, self.optimizer, x, targets)

    def end_epoch(self) -> None:
        """Go to the learning rate of the next epoch."""
        if self.scheduler:
            self.scheduler.step()

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.optimizer.lr

    def parameters(self) -> Arrays:
        """Every parameter by name."""
        return self.network.named(self.network.flat_parameters)

    def weights(self) -> Arrays:
        """Copies of every parameter and running statistic by name."""
        return {name: array.copy() for name, array in self.network.state_dict().items()}

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over parameters and running statistics; those that are not given stay as they are."""
        given = {name: self.array(array) for name, array in weights.items()}
        self.network.load_state_dict({**self.network.state_dict(), **given})

    def state(self) -> Arrays:
        """The weights, and what the optimizer keeps of every parameter: linear1.weight.exp_avg, …"""
        state = self.weights()
        for moment, (flat,) in self.optimizer.state.items():
            state |= {f"{name}.{moment}": array for name, array in self.network.named(flat).items()}
        return state

    def logits(self, x: np.ndarray) -> np.ndarray:
        """In evaluation mode."""
        logits = self.network.eval().forward(self.array(x))
        self.network.train()
        return logits

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Classes."""
        return self.network.predict(self.array(x))


class TorchSide:
    """The same in PyTorch.

    Args:
        setup: what to build
        draws: a context of `compare.draws`, within which PyTorch draws; None: from its global generator
        dtype: of everything, one of NumPy's
        device: where everything lies
    """

    def __init__(
        self, setup: Setup, draws: AbstractContextManager | None = None,
        *, dtype: Any = np.float32, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.draws: Any = draws or nullcontext()
        self.dtype, self.device = dtype, device
        with self.draws:
            self.network = torch_ref.network.Network(
                dtype=getattr(torch, np.dtype(dtype).name), device=device, **setup.network
            )
        for layer in self.network.children():
            if isinstance(layer, torch.nn.Dropout):  # nothing else draws in a step
                layer.forward = self._drawing(layer.forward)  # type: ignore[method-assign]
        optimizer = getattr(torch_ref.optimizers, setup.optimizer)
        self.optimizer = optimizer(self.network.parameters(), lr=setup.lr, **setup.hyperparameters)
        self.scheduler: Any = None
        if setup.schedule:
            schedule = getattr(torch_ref.schedules, setup.schedule)
            self.scheduler = schedule(self.optimizer, **setup.schedule_options)

    def _drawing(self, forward: Callable) -> Callable:
        def within_draws(x: torch.Tensor) -> torch.Tensor:
            with self.draws:
                return forward(x)

        return within_draws

    def array(self, values: Any) -> torch.Tensor:
        """`values` as `step` takes them: floating-point numbers in the side's dtype."""
        values = np.asarray(values)
        values = values.astype(self.dtype) if values.dtype.kind == "f" else values
        return torch.from_numpy(values).to(self.device)

    def minibatches(self, x: np.ndarray, targets: np.ndarray, batch_size: int) -> list:
        """The batches of one epoch."""
        data = torch.from_numpy(x), torch.from_numpy(targets)
        with self.draws:
            loader = torch_ref.training.minibatches(*data, batch_size)
            return [[tensor.to(self.device) for tensor in batch] for batch in loader]

    def step(self, x: torch.Tensor, targets: torch.Tensor) -> float:
        """One training step; returns the cost."""
        return torch_ref.training.train_step(self.network, self.optimizer, x, targets)

    def end_epoch(self) -> None:
        """Go to the learning rate of the next epoch."""
        if self.scheduler:
            self.scheduler.step()

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.optimizer.param_groups[0]["lr"]

    def parameters(self) -> Arrays:
        """Every parameter by name."""
        return to_scratch(dict(self.network.named_parameters()))

    def weights(self) -> Arrays:
        """Copies of every parameter and running statistic by name."""
        return to_scratch(self.network.state_dict())

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over parameters and running statistics; those that are not given stay as they are."""
        given = {name: self.array(array) for name, array in weights.items()}
        self.network.load_state_dict({**self.network.state_dict(), **given})

    def state(self) -> Arrays:
        """The weights, and what the optimizer keeps of every parameter: linear1.weight.exp_avg, …"""
        state = self.weights()
        for name, parameter in self.network.named_parameters():
            moments = {f"{name}.{key}": value for key, value in self.optimizer.state[parameter].items()}
            state |= to_scratch({key: value for key, value in moments.items() if key != f"{name}.step"})
        return state

    def logits(self, x: np.ndarray) -> np.ndarray:
        """In evaluation mode."""
        with torch.no_grad():
            logits = self.network.eval()(self.array(x))
        self.network.train()
        return logits.cpu().numpy()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Classes."""
        return self.network.predict(self.array(x)).cpu().numpy()
