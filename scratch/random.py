"""Where random numbers come from: a generator object that is passed in, never global state.

Every function of this package that needs chance asks one of these four of the generator it is given.
Any object that has them will do.
"""

from typing import Any, Protocol

import numpy as np


class Generator(Protocol):
    """What initialisers, dropout and mini-batches ask of a source of randomness."""

    def uniform(self, size: tuple[int, ...], low: float, high: float, dtype: Any) -> np.ndarray:
        """Return numbers spread evenly over [low, high)."""
        ...

    def normal(self, size: tuple[int, ...], mean: float, std: float, dtype: Any) -> np.ndarray:
        """Return normally distributed numbers."""
        ...

    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any) -> np.ndarray:
        """Return ones with probability `p`, zeros otherwise."""
        ...

    def randperm(self, n: int) -> np.ndarray:
        """Return 0 … n-1 in random order, int64."""
        ...


class NumpyGenerator:
    """NumPy's own stream (PCG64) behind the four methods of `Generator`.

    Standard draws are made in float64, rounded to `dtype`, then scaled in `dtype`.

    Args:
        seed: integer ≥ 0; equal seeds give equal draws.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is negative.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise TypeError(f"seed: expected an integer, got {type(seed).__name__}")
        if seed < 0:
            raise ValueError(f"seed: expected an integer >= 0, got {seed}")
        self._generator = np.random.default_rng(seed)

    def uniform(
        self, size: tuple[int, ...], low: float = 0.0, high: float = 1.0, dtype: Any = np.float32
    ) -> np.ndarray:
        """low + (high − low)·u with u from [0, 1)."""
        u = self._generator.random(size).astype(dtype)
        return u * (high - low) + low

    def normal(
        self, size: tuple[int, ...], mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32
    ) -> np.ndarray:
        """mean + std·z with z from N(0, 1)."""
        z = self._generator.standard_normal(size).astype(dtype)
        return z * std + mean

    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any = np.float32) -> np.ndarray:
        """1 where u < p, else 0."""
        return (self._generator.random(size) < p).astype(dtype)

    def randperm(self, n: int) -> np.ndarray:
        """A permutation of 0 … n-1."""
        return self._generator.permutation(n)
