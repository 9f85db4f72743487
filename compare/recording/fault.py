"""A fault, and how far two tensors are apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compare.cases.limits import unsigned_zeros
from compare.measure import Difference, compare_arrays
from compare.recording.cause import Cause
from compare.recording.replay import Runs, squeezed

EQUAL = 64.0  # rounding units, up to which two tensors are called equal


@dataclass(frozen=True)
class Fault:
    """Something of mine that does not follow from my own numbers, or a number that is given another one."""

    step: int
    position: int  # in the order of computation
    tensor: str  # by their name
    mine: str
    difference: Difference
    what: str  # the operation, or that it is given
    causes: Sequence[Cause] = ()
    also: Sequence[str] = ()  # my other tensors of which the same holds
    component: str = ""  # of the operation


def difference(runs: Runs, step: int, tensor: str, right: Any = None, scale: Any = None) -> Difference:
    """Between mine and theirs, or what mine should be, in rounding units of the coarser dtype, at a scale."""
    mine = runs.of_mine(step, tensor)
    theirs = runs.of_theirs(step, tensor) if right is None else np.asarray(right)
    if mine is None or theirs is None:
        return Difference(tensor)
    if squeezed(mine) == squeezed(theirs):
        mine = mine.reshape(theirs.shape)
    if mine.shape != theirs.shape:
        return Difference(tensor, np.inf, problem=f"yours has the shape {mine.shape}, theirs {theirs.shape}")
    kinds = {mine.dtype.kind, theirs.dtype.kind}
    if "f" not in kinds:
        return compare_arrays(tensor, mine.astype(np.int64), theirs.astype(np.int64))
    dtype = min((a.dtype for a in (mine, theirs) if a.dtype.kind == "f"), key=lambda d: d.itemsize)
    with np.errstate(all="ignore"):
        scale = _scale(runs, step, tensor) if right is None and scale is None else scale
        mine, theirs = (unsigned_zeros(array.astype(dtype)) for array in (mine, theirs))
        found = compare_arrays(tensor, mine, theirs, scale)
    return replace(found, units=found.units / max(runs.coarser(step, side, tensor) for side in (0, 1)))


def _scale(runs: Runs, step: int, tensor: str) -> Any:
    """Of a bias's gradient that of its terms, which a normalisation cancels; else the usual one."""
    module, bias, _ = tensor.partition(".bias.grad")
    terms = runs.of_theirs(step, f"{module}.output.grad") if bias else None
    return (
        None
        if terms is None or terms.ndim < 2
        else np.abs(terms).sum(axis=tuple(range(terms.ndim - 1))).max()
    )
