"""A recording: a folder with a file of tensors for each step, and an index.

    mine/index.json                   what was recorded, with which versions and limits, how it ended
    mine/step-00000000.safetensors    the tensors of a step by name, and its facts (learning rate, mode, …)

A file gets its name when it is whole, and says which one in a row it is: what was recorded is readable
whatever ends the run, and a file that is missing is noticed. Tensors beyond the limit are kept as a sample of
their rows and columns, with their norm.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from compare.files import unfinished_name, write_whole

FORMAT = "scratch-vs-torch recording 1"
INDEX = "index.json"
LARGEST = 16384  # elements of a tensor that is kept whole


class RecordingError(ValueError):
    """A folder that is no recording, or not a whole one; in one line."""


@dataclass(frozen=True)
class Limits:
    """What is recorded: every so many steps, of the first so many, the names that fit, so many elements."""

    every: int = 1
    first: int | None = None
    only: Sequence[str] = ("*",)
    largest: int = LARGEST

    def __post_init__(self) -> None:
        for name in ("every", "first", "largest"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
        if isinstance(self.only, str):
            object.__setattr__(self, "only", (self.only,))

    def want(self, step: int) -> bool:
        """Whether this step is recorded."""
        return step % self.every == 0 and (self.first is None or step < self.first)

    def keep(self, name: str) -> bool:
        """Whether a tensor of this name is."""
        return any(fnmatchcase(name, pattern) for pattern in self.only)


class Writer:
    """Writes a recording, a step at a time."""

    def __init__(self, folder: str | Path, kind: str, limits: Limits, **about: Any) -> None:
        self.folder, self.limits, self.step, self.written = Path(folder), limits, 0, 0
        self.about = {"format": FORMAT, "kind": kind, "limits": asdict(limits), **_versions(), **about}
        self._prepare()
        self._write_index(finished=False)

    def _prepare(self) -> None:
        """An empty folder; what an older recording left there goes."""
        if self.folder.exists() and any(self.folder.iterdir()):
            if not (self.folder / INDEX).exists():
                raise RecordingError(
                    f"{self.folder}: expected a new folder or an old recording, got one with other files"
                )
            for path in [*self.folder.glob("step-*.safetensors"), self.folder / INDEX]:
                path.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, tensors: Mapping[str, "Kept"], facts: Mapping[str, Any]) -> None:
        """Write what was kept of this step, in order of computation."""
        kept = {name: each.tensor for name, each in tensors.items()}
        sampled = {n: {"shape": k.shape, "norm": k.norm} for n, k in tensors.items() if k.norm is not None}
        about = {"step": self.step, "number": self.written, "order": list(kept), "sampled": sampled}
        metadata = {"recording": json.dumps({**about, "facts": dict(facts)})}
        path = self.folder / f"step-{self.step:08}.safetensors"
        unfinished = unfinished_name(path)
        try:
            safetensors.torch.save_file(kept, unfinished, metadata)
            os.replace(unfinished, path)
        except (OSError, safetensors.SafetensorError) as error:
            raise RecordingError(f"{path}: step {self.step} can not be written: {error}") from None
        finally:
            unfinished.unlink(missing_ok=True)
        self.written += 1

    def close(self, error: BaseException | None = None, **about: Any) -> None:
        """Write the index; `error` is what ended the run, if anything did."""
        self.about |= about
        ended = {} if error is None else {"ended_by": f"{type(error).__name__}: {error}"}
        self._write_index(finished=True, steps=self.step, written=self.written, **ended)

    def _write_index(self, **ending: Any) -> None:
        text = json.dumps({**self.about, **ending}, indent=1, ensure_ascii=False)
        write_whole({INDEX: (text + "\n").encode()}, self.folder)


def _versions() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "machine": platform.machine(),
        "system": sys.platform,
    }


@dataclass(frozen=True)
class Kept:
    """A copy of a tensor; of a large one that of some of its rows and columns, its shape, and its norm."""

    tensor: torch.Tensor
    shape: tuple[int, ...] = ()
    norm: float | None = None

    @classmethod
    def of(cls, tensor: torch.Tensor, largest: int) -> "Kept":
        """Copied now, so that later changes in place do not reach it."""
        tensor = tensor.detach()
        if tensor.numel() <= largest:
            return cls(tensor.to("cpu", copy=True).contiguous())
        wide = torch.promote_types(tensor.dtype, torch.float32)
        norm = torch.linalg.vector_norm(tensor.to(wide) if tensor.dtype != wide else tensor).item()
        shape = tuple(tensor.shape)
        for axis, kept in enumerate(sampled_axes(shape, largest)):
            if len(kept) < shape[axis]:
                tensor = tensor.index_select(axis, torch.as_tensor(kept, device=tensor.device))
        return cls(tensor.to("cpu", copy=True).contiguous(), shape, norm)


def sampled_axes(shape: tuple[int, ...], largest: int) -> list[np.ndarray]:
    """Which indices of each axis are kept: evenly spaced, by the length of the axes alone

    So the sample of a transpose is the transpose of the sample.
    """
    share = (largest / np.prod(shape, dtype=float)) ** (1 / max(1, sum(n > 1 for n in shape)))
    return [np.linspace(0, n - 1, max(1, int(n * share))).astype(np.int64) for n in shape]


@dataclass
class Step:
    """One step of a recording: its tensors by name, read when they are asked for."""

    path: Path
    number: int
    order: list[str]
    sampled: Mapping[str, Any]
    facts: Mapping[str, Any]
    read: dict[str, np.ndarray] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.order

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.read:
            with safetensors.safe_open(self.path, "pt") as file:
                tensor = file.get_tensor(name)
            self.dtypes[name] = str(tensor.dtype).removeprefix("torch.")
            if tensor.dtype in (torch.bfloat16, torch.float16):
                tensor = tensor.float()
            self.read[name] = tensor.numpy()
        return self.read[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the whole tensor, also where a sample of it is kept."""
        return tuple(self.sampled[name]["shape"]) if name in self.sampled else self[name].shape

    def dtype(self, name: str) -> str:
        """As it was recorded, bfloat16 too."""
        self[name]
        return self.dtypes[name]


class Recording:
    """A recording that is read: what its index says, and its steps."""

    def __init__(self, folder: str | Path) -> None:
        """Raise RecordingError unless the folder is a recording with at least one step, and none missing."""
        self.folder = Path(folder)
        self.about = _index(self.folder)
        self.kind: str = self.about["kind"]
        paths = sorted(self.folder.glob("step-*.safetensors"))
        if not paths:
            raise RecordingError(f"{self.folder}: expected at least one recorded step, got none")
        self._paths: dict[int, Path] = {}
        for expected, path in enumerate(paths):
            number, step = _number_and_step(path)
            if number != expected:
                raise RecordingError(f"{self.folder}: a recorded step is missing before {path.name}")
            self._paths[step] = path
        if self.about.get("finished") and self.about["written"] != len(paths):
            raise RecordingError(
                f"{self.folder}: expected {self.about['written']} steps as {INDEX} says, got {len(paths)}"
            )

    @property
    def steps(self) -> list[int]:
        """Their numbers, from 0, in order."""
        return list(self._paths)

    @property
    def ending(self) -> str:
        """How it ended, if not as it should."""
        if "ended_by" in self.about:
            return f"ended by {self.about['ended_by']}"
        return "" if self.about.get("finished") else "never finished"

    def step(self, step: int) -> Step:
        """Open one."""
        about = _metadata(self._paths[step])
        return Step(self._paths[step], step, about["order"], about["sampled"], about["facts"])


def _index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise RecordingError(f"{folder}: expected the folder of a recording, got none")
    try:
        about = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        known = isinstance(about, dict) and about.get("format") == FORMAT and about["kind"] in KINDS
    except FileNotFoundError:
        raise RecordingError(
            f"{folder}: expected the folder of a recording, got one without {INDEX}"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise RecordingError(f"{folder / INDEX}: can not be read: {error}") from None
    if not known:
        raise RecordingError(f"{folder / INDEX}: expected the index of a “{FORMAT}”, got something else")
    return about


KINDS = ("numpy", "torch")


def _metadata(path: Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["recording"])
            if sorted(file.keys()) != sorted(about["order"]):
                raise KeyError("order")
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        raise RecordingError(f"{path}: is damaged, or of something else: {error}") from None
    return about


def _number_and_step(path: Path) -> tuple[int, int]:
    about = _metadata(path)
    return about["number"], about["step"]
