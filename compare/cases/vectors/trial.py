"""What a test of other people's becomes: a case of a component, and what has to come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.component import Case
from compare.draws import SharedDraws


@dataclass(frozen=True)
class Trial:
    """A case of a component, and those of its results that the test knows."""

    case: Case
    expected: Mapping[str, np.ndarray]


def rows(array: np.ndarray, axis: int = 1) -> np.ndarray:
    """(batch, features), with `axis` as the features."""
    return np.ascontiguousarray(np.moveaxis(array, axis, -1)).reshape(-1, array.shape[axis])


@dataclass(frozen=True)
class Masked:
    """A generator whose next dropout mask is known."""

    mask: np.ndarray

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """Return the mask to scratch."""
        return self.mask.astype(x.dtype)

    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any) -> np.ndarray:
        """Return the mask to PyTorch."""
        return self.mask.astype(dtype)


@dataclass(frozen=True)
class MaskedCase(Case):
    """A case of dropout with the mask of its test."""

    mask: Any = None

    def generator(self) -> Any:
        """Scratch's draws."""
        return Masked(self.mask)

    def torch_draws(self) -> Any:
        """PyTorch's draws."""
        return SharedDraws(self.generator())
