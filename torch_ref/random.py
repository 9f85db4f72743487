"""Random numbers as a PyTorch user draws them: from a `torch.Generator`, seeded by `manual_seed`.

Without the argument `generator`, each of these draws from PyTorch's default generator, the one that
`torch.manual_seed` seeds. `F.dropout` takes no generator, and a `DataLoader` with one visits the examples in
another order than without: `as_default` puts a generator in the default one's place.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

Size = int | tuple[int, ...]


def rand(size: Size, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """`torch.rand`: uniform on [0, 1)"""
    return torch.rand(size, generator=generator, dtype=dtype, device=generator.device)


def uniform(tensor: torch.Tensor, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """`Tensor.uniform_`: uniform on [low, high), in place"""
    return tensor.uniform_(low, high, generator=generator)


def randn(size: Size, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """`torch.randn`: normal with mean 0 and standard deviation 1"""
    return torch.randn(size, generator=generator, dtype=dtype, device=generator.device)


def normal(tensor: torch.Tensor, mean: float, std: float, generator: torch.Generator) -> torch.Tensor:
    """`Tensor.normal_`: normal with this mean and standard deviation, in place"""
    return tensor.normal_(mean, std, generator=generator)


def bernoulli(tensor: torch.Tensor, p: float, generator: torch.Generator) -> torch.Tensor:
    """`Tensor.bernoulli_`: 1 with probability p, else 0, in place"""
    return tensor.bernoulli_(p, generator=generator)


def dropout_mask(x: torch.Tensor, p: float, generator: torch.Generator) -> torch.Tensor:
    """What `F.dropout(x, p)` keeps: 0 with probability p, else 1, read off a tensor of ones in x's layout"""
    with as_default(generator):
        kept = F.dropout(torch.ones_like(x), p) != 0
    return kept.to(x.dtype)


def randint(low: int, high: int, size: Size, generator: torch.Generator) -> torch.Tensor:
    """`torch.randint`: integers from low to high − 1, int64"""
    shape = (size,) if isinstance(size, int) else size  # the one function that takes no bare integer
    return torch.randint(low, high, shape, generator=generator, device=generator.device)


def randperm(n: int, generator: torch.Generator) -> torch.Tensor:
    """`torch.randperm`: 0 … n−1 in random order, int64"""
    return torch.randperm(n, generator=generator, device=generator.device)


def epoch_order(n: int, generator: torch.Generator) -> torch.Tensor:
    """The order in which `DataLoader(data, shuffle=True)` visits n examples in one epoch

    The loader draws from the default generator; given `generator=…`, it would use that one in another way.
    """
    with as_default(generator):
        return torch.cat(list(DataLoader(range(n), shuffle=True, batch_size=32)))  # type: ignore[arg-type]


@contextmanager
def as_default(generator: torch.Generator) -> Iterator[None]:
    """While active, PyTorch's default generator of the device draws what `generator` would."""
    cpu = generator.device.type == "cpu"
    default = torch.default_generator if cpu else torch.cuda.default_generators[generator.device.index]
    outer = default.get_state()
    default.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(default.get_state())
        default.set_state(outer)
