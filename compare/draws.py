"""The random numbers of a comparison: each side draws its own from one seed, or both share NumPy's.

`torch_ref/` asks PyTorch for random numbers as anyone would: `nn.init.kaiming_normal_`, `nn.Dropout`,
`DataLoader(shuffle=True)`. With own draws that is after `torch.manual_seed(seed)`, and nothing is handed
across: `scratch.random.TorchGenerator(seed)` gives scratch/ the same numbers, bit for bit. With shared draws,
for machines and devices where the bits are not known to be the same, the few kernels that draw (below
autograd, so that gradients are PyTorch's own) are answered by a generator of `scratch.random`; fan, gain,
scaling, rescaling and order all remain PyTorch's.
"""

import copy
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scratch.random import NumpyGenerator, TorchGenerator


def older_streams() -> str:
    """What the installed PyTorch draws unlike newer ones; empty from 2.7 on."""
    if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 7):
        return ""
    return f"PyTorch {torch.__version__} draws masks and large integers unlike newer ones"


def why_not_own(device: str) -> str:
    """Why the two sides' own draws can not be expected to be equal to the bit here; empty if they can."""
    machine = f"{platform.system()} {platform.machine()}"
    if device != "cpu":
        return "PyTorch's normal numbers on a GPU come from hardware approximations"
    if older := older_streams():
        return older
    if machine not in ("Linux x86_64", "Linux aarch64"):
        return f"PyTorch's normal numbers have not been verified on {machine}"
    return ""


class OwnDraws:
    """While active, PyTorch draws what follows `torch.manual_seed(seed)`; its state is put back."""

    def __init__(self, seed: int) -> None:
        self._state = torch.Generator().manual_seed(seed).get_state()

    def __enter__(self) -> "OwnDraws":
        self._outer = torch.get_rng_state()
        torch.set_rng_state(self._state)
        return self

    def __exit__(self, *_: object) -> None:
        self._state = torch.get_rng_state()
        torch.set_rng_state(self._outer)

    def take_over(self, generator: TorchGenerator) -> None:
        """Continue from where scratch's generator is now."""
        self._state = torch.from_numpy(generator.get_state())

    def get_state(self) -> np.ndarray:
        """PyTorch's state of the stream, outside of the context."""
        return self._state.numpy()


class Widened:
    """Draws made in a narrower dtype, widened to the one asked for: the arbiter's, equal to both sides'."""

    def __init__(self, generator: Any, dtype: Any) -> None:
        self._generator, self._dtype = generator, dtype

    def uniform(self, size: tuple[int, ...], low: float, high: float, dtype: Any) -> np.ndarray:
        """Draw in the narrower dtype."""
        return self._generator.uniform(size, float(low), float(high), self._dtype).astype(dtype)

    def normal(self, size: tuple[int, ...], mean: float, std: float, dtype: Any) -> np.ndarray:
        """Draw in the narrower dtype."""
        return self._generator.normal(size, float(mean), float(std), self._dtype).astype(dtype)

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """Zeros and ones are the same in every dtype."""
        return self._generator.dropout_mask(x.astype(self._dtype), float(p)).astype(x.dtype)

    def epoch_order(self, n: int) -> np.ndarray:
        """Integers are drawn as they are."""
        return self._generator.epoch_order(n)

    def get_state(self) -> np.ndarray:
        """The state of the generator inside."""
        return self._generator.get_state()


aten = torch.ops.aten


class Dispatch(TorchDispatchMode):
    """What is asked of every operation of PyTorch while active

    To keep its compiler out of `__torch_dispatch__`, PyTorch would import it: more than a second, and twice
    the time of every operation. Nothing is compiled here.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class SharedDraws(Dispatch):
    """While active, PyTorch's random kernels return the draws of `generator`."""

    def __init__(self, generator: NumpyGenerator) -> None:
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

    def take_over(self, generator: NumpyGenerator) -> None:
        """Continue from where scratch's generator is now."""
        self.generator = copy.deepcopy(generator)

    def get_state(self) -> np.ndarray:
        """The state of the generator."""
        return self.generator.get_state()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawing = args and not getattr(args[0], "is_meta", False)  # a tensor of no numbers takes none
        return (self._answers.get(func, func) if drawing else func)(*args, **(kwargs or {}))

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
        return torch.from_numpy(self.generator.epoch_order(n))

    @staticmethod
    def _fill(tensor: torch.Tensor, values: Any) -> torch.Tensor:
        return tensor.copy_(torch.from_numpy(np.asarray(values)))  # a number, where the shape is ()


def _numpy(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
