"""The arrays of a NumPy recording as tables of numbers, and when two of them are the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from compare.recording.store import Recording, Step

MOST = 60  # steps that are looked at, of many
CLOSE = 2.0**10  # rounding units, of the largest number, up to which something is said to follow


@dataclass(frozen=True)
class Ref:
    """One of the recording's own arrays: as it lies or as its transpose, of this step or of another."""

    own: str
    turned: bool = False
    shift: int = 0  # −1: of the step before; 1: of the one after
    flat: bool = False  # as a vector
    whole: bool = False  # as whole numbers: classes
    by: str = ""  # a gradient that is no mean yet, and is to be divided by its rows or its size

    def lying(self, array: np.ndarray) -> np.ndarray:
        """As PyTorch's would lie: examples in rows, a vector of them as one column."""
        array = array.reshape(-1, 1) if array.ndim < 2 else array
        array = array.T if self.turned else array
        if self.by:
            array = array / (array.size if self.by == "size" else len(array))
        array = array.ravel() if self.flat else array
        return array.astype(np.int64) if self.whole else array


Values = list[np.ndarray | None]  # one for each step; None where it is not known


class Numbers:
    """What a recording holds, of up to 60 of its steps."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        every = recording.steps
        chosen = {*every[:20], *(every[i] for i in np.linspace(0, len(every) - 1, MOST - 20).astype(int))}
        self.steps = sorted(chosen) if len(every) > MOST else every
        first = self._step(self.steps[0])
        self.order = first.order
        sampled = {name for step in self.steps for name in self._step(step).sampled}
        self.names = [n for n in first.order if n not in sampled and first[n].dtype.kind in "fiu"]
        self.floats = [name for name in self.names if first[name].dtype.kind == "f"]
        eps = [float(np.finfo(first[name].dtype).eps) for name in self.floats]
        self.close = CLOSE * max(eps, default=0.0)
        self._values = cache(self._read)

    def _step(self, step: int) -> Step:
        if step not in self._open:
            self._open[step] = self.recording.step(step)
        return self._open[step]

    @cached_property
    def _open(self) -> dict[int, Step]:
        return {}

    def raw(self, name: str) -> list[np.ndarray]:
        """As recorded, in the first step and those that follow; only where each has it."""
        return [self._step(s)[name] for s in self.steps if name in self._step(s)]

    def of(self, ref: Ref) -> Values:
        """Its numbers in float64."""
        return self._values(ref)

    def _read(self, ref: Ref) -> Values:
        known = set(self.recording.steps)
        found: Values = []
        for step in self.steps:
            there = step + ref.shift in known and ref.own in self._step(step + ref.shift)
            array = self._step(step + ref.shift)[ref.own] if there else None
            found.append(None if array is None else ref.lying(array.astype(np.float64)))
        return found

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The same in every step; None if it is not."""
        shapes = {array.shape for array in self.raw(name)}
        return shapes.pop() if len(shapes) == 1 else None

    def views(self, names: Sequence[str], *, shift: int = 0) -> Iterator[Ref]:
        """Each as it lies, and its transpose."""
        for name in names:
            yield Ref(name, shift=shift)
            if self._step(self.steps[0])[name].ndim in (1, 2):
                yield Ref(name, turned=True, shift=shift)

    def same(self, a: Values, b: Values, sizes: Values | None = None) -> bool:
        """Whether they are equal in all steps in which both are known, and not 0 in all of them."""
        asked = False
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if x is None or y is None:
                continue
            if x.shape != y.shape:
                return False
            given = None if sizes is None else sizes[i]
            size = y if given is None else given
            with np.errstate(all="ignore"):
                if not np.abs(x - y).max(initial=0) <= self.close * np.abs(size).max(initial=0):
                    return False
            asked |= bool(y.any())
        return asked
