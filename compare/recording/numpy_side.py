"""The NumPy side: any loop, which says at each step what it has computed."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from compare.recording.store import LARGEST, Kept, Limits, Writer


class Recorder:
    """Records a loop that is written in NumPy, or in anything else whose numbers NumPy takes

        with Recorder("mine") as run:
            for t in range(steps):
                …
                run.step(x=x, z1=z1, loss=loss, dW1=dW1, W1=W1, lr=lr)

    `step` is called once in every step, with whatever there is, in order of computation: arrays and numbers
    by any names; names that are no identifiers in a dict, `run.step({"layer.1/W": W})`; and lists of arrays,
    which become W.0, W.1, …. Text (`mode="train"`) is kept as a fact.

    Args:
        folder: is made; an older recording in it is replaced
        every: record every so many steps
        first: record the first so many steps alone
        only: names, with * and ?, that are recorded
        largest: elements of an array that is kept whole; of a larger one a sample, and its norm
        seed: is noted

    Raises:
        ValueError: a folder with other files, or a limit below 1.
    """

    def __init__(
        self, folder: str | Path, *, every: int = 1, first: int | None = None, only: Any = ("*",),
        largest: int = LARGEST, seed: int | None = None,
    ) -> None:  # fmt: skip
        self._writer = Writer(folder, "numpy", Limits(every, first, only, largest), seed=seed)

    def step(self, tensors: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Record one step

        Raises:
            TypeError: what is no array, number, text or list of such.
        """
        writer = self._writer
        if writer.limits.want(writer.step):
            found: dict[str, torch.Tensor] = {}
            facts: dict[str, Any] = {}
            for name, value in {**(tensors or {}), **named}.items():
                _add(found, facts, name, value)
            limits = writer.limits
            kept = {n: Kept.of(tensor, limits.largest) for n, tensor in found.items() if limits.keep(n)}
            writer.write(kept, facts)
        writer.step += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close(error)


def _add(found: dict[str, torch.Tensor], facts: dict[str, Any], name: str, value: Any) -> None:
    """Of one name: a tensor, several, or a fact."""
    if value is None:
        return
    if isinstance(value, str | bool):
        facts[name] = value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _add(found, facts, f"{name}.{key}", each)
    elif isinstance(value, list | tuple) and not all(isinstance(each, int | float) for each in value):
        for i, each in enumerate(value):
            _add(found, facts, f"{name}.{i}", each)
    else:
        array = value if isinstance(value, torch.Tensor) else np.asarray(value)
        if isinstance(array, np.ndarray):
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{name}: expected an array or a number, got {type(value).__name__}")
            if array.dtype == np.longdouble and np.longdouble is not np.float64:
                array = array.astype(np.float64)
            array = torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
        found[name] = array
