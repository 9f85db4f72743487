"""The NumPy side: any loop, which says at each step what it has computed."""

from collections.abc import Mapping
from numbers import Number
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
    which become W.0, W.1, …. Text and truth values (`mode="train"`) are kept as facts, None is left out.

    Args:
        folder: is made; an older recording in it is replaced
        every: record every so many steps
        first: record the first so many steps alone
        only: names, with * and ?, that are recorded
        largest: elements of an array that is kept whole; of a larger one a sample, and its norm
        seed: is noted

    Raises:
        ValueError: a limit below 1; RecordingError, which is one: a folder with other files, or that can not
            be written.
    """

    def __init__(
        self, folder: str | Path, *, every: int = 1, first: int | None = None, only: Any = ("*",),
        largest: int = LARGEST, seed: int | None = None,
    ) -> None:  # fmt: skip
        self._writer = Writer(folder, "numpy", Limits(every, first, only, largest), seed=seed)

    def step(self, tensors: Mapping[Any, Any] | None = None, /, **named: Any) -> None:
        """Record one step

        Raises:
            TypeError: what is no array, number, text or list of such.
            ValueError: two values of the same name.
            RecordingError: as above, or after the recording has ended.
        """
        writer = self._writer
        if tensors is not None and not isinstance(tensors, Mapping):
            raise TypeError(f"step: expected a dict, or arrays by name, x=x; got {type(tensors).__name__}")
        if writer.limits.want(writer.step):
            found: dict[str, Any] = {}
            for name, value in (*(tensors or {}).items(), *named.items()):
                _add(found, str(name), value)
            kept = {
                name: Kept.of(tensor, writer.limits.largest)
                for name, tensor in found.items()
                if isinstance(tensor, torch.Tensor) and writer.limits.keep(name)
            }
            writer.write(kept, {n: each for n, each in found.items() if not isinstance(each, torch.Tensor)})
        writer.step += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close(error)


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    """Of one name: a tensor, several, or a fact."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            _add(found, f"{name}.{key}", each)
    elif isinstance(value, list | tuple) and not all(isinstance(each, Number | np.bool_) for each in value):
        for i, each in enumerate(value):
            _add(found, f"{name}.{i}", each)
    elif name in found:
        raise ValueError(f"{name}: expected one value of each name, got two")
    elif isinstance(value, str | bool | np.bool_):
        found[name] = value.item() if isinstance(value, np.generic) else value
    else:
        found[name] = value if isinstance(value, torch.Tensor) else _tensor(name, value)


def _tensor(name: str, value: Any) -> torch.Tensor:
    """Of the same memory, where PyTorch can read it."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"{name}: expected an array or a number, got {type(value).__name__} of {array.dtype}")
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16):
        dtype = np.dtype(np.float64 if dtype.kind == "f" else np.complex128)  # a longdouble
    plain = array.flags.writeable and dtype == array.dtype
    plain = plain and all(stride >= 0 and stride % dtype.itemsize == 0 for stride in array.strides)
    return torch.from_numpy(array if plain else array.astype(dtype, order="C"))
