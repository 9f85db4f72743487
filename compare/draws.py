"""Hands NumPy's draws to PyTorch, so that idiomatic PyTorch code runs on shared random numbers.

`torch_ref/` asks PyTorch for random numbers as anyone would: `nn.init.kaiming_normal_`, `nn.Dropout`,
`DataLoader(shuffle=True)`. Under `SharedDraws` the few kernels that draw (below autograd, so that
gradients are PyTorch's own) are answered by a generator of `scratch.random`; fan, gain, scaling,
rescaling and order all remain PyTorch's.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scratch.random import Generator

aten = torch.ops.aten


class SharedDraws(TorchDispatchMode):
    """While active, PyTorch's random kernels return the draws of `generator`."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self._shuffled: tuple[Any, int] | None = None
        self._answers: dict[Any, Callable] = {
            aten.normal_.default: self._normal_,
            aten.uniform_.default: self._uniform_,
            aten.bernoulli_.float: self._bernoulli_,
            aten.native_dropout.default: self._native_dropout,
            aten.randperm.default: self._randperm,
            aten.randperm.generator: self._randperm,
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._answers.get(func, func)(*args, **(kwargs or {}))

    def _normal_(self, tensor: torch.Tensor, mean: float = 0, std: float = 1, **_: Any) -> torch.Tensor:
        z = self.generator.normal(tuple(tensor.shape), 0, 1, _numpy(tensor))
        return self._fill(tensor, z).mul_(std).add_(mean)

    def _uniform_(self, tensor: torch.Tensor, low: float = 0, high: float = 1, **_: Any) -> torch.Tensor:
        u = self.generator.uniform(tuple(tensor.shape), 0, 1, _numpy(tensor))
        return self._fill(tensor, u).mul_(high - low).add_(low)

    def _bernoulli_(self, tensor: torch.Tensor, p: float = 0.5, **_: Any) -> torch.Tensor:
        return self._fill(tensor, self.generator.bernoulli(tuple(tensor.shape), p, _numpy(tensor)))

    def _native_dropout(self, x: torch.Tensor, p: float, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        # The fused kernel of CUDA: it returns x·mask/(1−p) and the mask.
        mask = self._bernoulli_(torch.empty_like(x), 1 - p)
        return x * mask * (1 / (1 - p)), mask.bool()

    def _randperm(self, n: int, *, generator: Any = None, **_: Any) -> torch.Tensor:
        # After the order of an epoch, RandomSampler asks its generator for a second permutation, to take
        # the first num_samples % n = 0 entries of it. That one is nobody's draw.
        if generator is not None and self._shuffled == (generator, n):
            self._shuffled = None
            return torch.arange(n)
        self._shuffled = (generator, n)
        return torch.from_numpy(self.generator.randperm(n))

    @staticmethod
    def _fill(tensor: torch.Tensor, values: Any) -> torch.Tensor:
        return tensor.copy_(torch.from_numpy(values))


def _numpy(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
