"""How far apart two arrays are, in rounding units.

    units = max |a − b| / (ε(dtype) · scale)

The scale is the magnitude of what was combined, not of what is left after cancellation: by default the
largest magnitude of the reference tensor. NaN, infinities and the sign of zero must agree exactly, and so
must shape and dtype. The sign of zero is open only where the scale is positive, but below four times the
smallest normal number: of what underflows, another order of operations may lose the sign, and a fused one
keep it. (Four, since of a difference a − b the scale is |a| + |b|, and the last bit of a is half a unit.)
Beside the units, for the reader, the largest element-wise ULP distance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.component import Results

FALSE_ALARM = 1e-6  # the chance that a budget leaves to right answers


@dataclass(frozen=True)
class Difference:
    """What comparing one named array gave."""

    array: str
    units: float = 0.0  # rounding units; infinite where the patterns differ
    ulp: int = 0  # element-wise distance in representable numbers
    index: tuple[int, ...] = ()  # where it is largest
    scratch: Any = None  # the two values there
    torch: Any = None
    problem: str = ""  # why the two can not even be measured


def compare_arrays(array: str, scratch: np.ndarray, torch: np.ndarray, scale: Any = None) -> Difference:
    """Measure one array; `scale` is the magnitude that rounding units are counted in."""
    if scratch.shape != torch.shape or scratch.dtype != torch.dtype:
        return Difference(
            array,
            np.inf,
            problem=f"scratch is {scratch.dtype}{scratch.shape}, torch is {torch.dtype}{torch.shape}",
        )
    if scratch.size == 0:
        return Difference(array)
    if scratch.dtype.kind != "f":
        return _first_where(scratch != torch, array, scratch, torch, "different values") or Difference(array)
    if scratch.tobytes() == torch.tobytes():
        return Difference(array, 0.0, 0, (0,) * scratch.ndim, scratch.item(0), torch.item(0))
    with np.errstate(all="ignore"):
        equal, finite = scratch == torch, np.isfinite(scratch) & np.isfinite(torch)
        unlike = equal & (np.signbit(scratch) != np.signbit(torch))  # of 0
        if scale is not None:
            unlike &= (scale <= 0) | ~(scale < 4 * np.finfo(scratch.dtype).tiny)
        if not finite.all():
            unlike |= ~(finite | equal | (np.isnan(scratch) & np.isnan(torch)))
        pattern = _first_where(unlike, array, scratch, torch, "NaN, infinity or sign of zero differs")
        if pattern:
            return pattern
        distance = np.where(finite, np.abs(scratch - torch), 0)
        if scale is None:
            scale = np.abs(torch[finite]).max(initial=0)
        units = _in_units(distance, scratch.dtype, scale)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(units), units.shape))
    return Difference(
        array,
        units=float(units[index]),
        ulp=_ulp_distance(scratch[finite], torch[finite]),
        index=index,
        scratch=scratch[index].item(),
        torch=torch[index].item(),
    )


def compare_results(
    scratch: Results, torch: Results, scales: Mapping[str, Any] | None = None
) -> list[Difference]:
    """Measure every named array; a missing or an extra one is a difference too."""
    differences = []
    for array in list(scratch) + [name for name in torch if name not in scratch]:
        if array not in torch or array not in scratch:
            only = "scratch" if array in scratch else "torch"
            differences.append(Difference(array, np.inf, problem=f"only {only} returns it"))
        else:
            scale = (scales or {}).get(array)
            differences.append(compare_arrays(array, to_numpy(scratch[array]), to_numpy(torch[array]), scale))
    return differences


def to_numpy(value: Any) -> np.ndarray:
    """A NumPy array from an array, a tensor on any device, or a Python number."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def distance_to_truth(result: np.ndarray, truth: np.ndarray, scale: Any = None) -> float:
    """How far `result` lies from the same quantity in higher precision, in units of its own dtype."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(result) & np.isfinite(truth)
        if result.dtype.kind != "f" or not finite.any():
            return 0.0
        distance = np.where(finite, np.abs(result.astype(truth.dtype) - truth), 0)
        if scale is None:
            scale = np.abs(truth[finite]).max(initial=0)
        return float(_in_units(distance, result.dtype, scale).max())


def _in_units(distance: np.ndarray, dtype: np.dtype, scale: Any) -> np.ndarray:
    # Below the smallest normal number digits are lost one by one and kernels may flush to zero: an error
    # of that size is one unit at most.
    # A scale that is infinite or no number would let everything pass: it allows nothing instead.
    info = np.finfo(dtype)
    floor = float(info.tiny) / float(info.eps)
    units = distance / (float(info.eps) * np.maximum(scale, floor))
    counted = np.isfinite(scale)
    return units if counted.all() else np.where(distance == 0, 0, np.where(counted, units, np.inf))


def _first_where(
    unlike: np.ndarray, array: str, scratch: np.ndarray, torch: np.ndarray, problem: str
) -> Difference | None:
    if not unlike.any():
        return None
    index = tuple(int(i) for i in np.argwhere(unlike)[0])
    return Difference(array, np.inf, 0, index, scratch[index].item(), torch[index].item(), problem)


def _ulp_distance(a: np.ndarray, b: np.ndarray) -> int:
    """The largest number of representable values between two elements (0 and −0 are one value)."""
    if a.size == 0 or a.dtype.itemsize not in (4, 8):
        return 0
    integers = np.int32 if a.dtype.itemsize == 4 else np.int64

    def position(x: np.ndarray) -> np.ndarray:
        bits: Any = np.ascontiguousarray(x).view(integers)
        return np.where(bits < 0, np.iinfo(integers).min - bits, bits)

    pa, pb = position(a), position(b)
    return int((np.maximum(pa, pb).astype(np.uint64) - np.minimum(pa, pb).astype(np.uint64)).max())


def difference_text(
    difference: Difference, budget: float, dtype: str, sides: tuple[str, str] = ("scratch", "torch")
) -> str:
    """A difference in a line: where, what stands there on the two sides, and how far apart that is."""
    if difference.problem and not difference.index:
        return f"{difference.array}: {difference.problem}"
    index = list(difference.index) if difference.index else ""
    both = zip(sides, (difference.scratch, difference.torch), strict=True)
    values = ", ".join(f"{side} {value_text(value, dtype)}" for side, value in both)
    distance = difference.problem or f"{units_text(difference.units)} units"
    return f"{difference.array}{index}: {values}: {distance}, budget {units_text(budget)}"


def units_text(units: float) -> str:
    """Rounding units: one decimal is enough to see the margin."""
    if math.isinf(units) or math.isnan(units):
        return "∞"
    if 0 < units < 0.05:
        return "<0.1"
    return f"{units:.1f}".removesuffix(".0") if units < 10_000 else f"{units:.0e}"


def value_text(value: Any, dtype: str) -> str:
    """A number with all the digits that its dtype has."""
    return f"{value:.{9 if dtype == 'float32' else 17}g}" if isinstance(value, float) else str(value)


def sum_units(terms: int, sums: int = 1) -> float:
    """How far two sums of the same n terms may lie apart, in units u·√Σ(terms²): ¼·√n·ln(10⁶·N), or 32

    Each of the n additions rounds a partial sum s_k by at most u/2·|s_k|, evenly distributed, which is
    u/√12·|s_k| in the root mean square. Both are random walks, one driven by the other:

    - With terms of random sign, s_k is a walk that ends at about T = √Σ(terms²). Its mean square over the
      n steps is (2a/π)²·T² but for a chance of e^(−a²/2); 4/π² is the largest eigenvalue of the
      covariance min(s, t) of a walk.
    - The roundings have random signs too: they add up to b·√n times their root mean square, but for a chance
      of e^(−b²/2).

    So a sum is off by a·b·(2/π)·√(n/12)·u·T. Of all a and b that occur together with the chance
    q = e^(−(a² + b²)/2), a·b is largest at a = b, where it is ln(1/q). Two sums are √2 times as far from each
    other as from the truth, and √2·(2/π)/√12 is about ¼. Of N sums none shall exceed the bound but for a
    chance of one in a million: q = 10⁻⁶/N. Whatever the order of the additions: blocks and fused products
    only round less. For short sums the few other roundings count for more, and 32 is the least.

    Args:
        terms: n, the longest of the sums
        sums: N, how many there are
    """
    return max(32, math.sqrt(terms) / 4 * math.log(sums / FALSE_ALARM))
