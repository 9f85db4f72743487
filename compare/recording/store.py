"""A recording: a folder with a file of tensors for each step, and an index.

    mine/index.json                   what was recorded, with which versions and limits, how it ended
    mine/step-00000000.safetensors    the tensors of a step by name, and its facts (learning rate, mode, …)

A file gets its name when it is whole, and says which one in a row it is: what was recorded is readable
whatever ends the run, and a file that is missing is noticed. Tensors beyond the limit are kept as a sample of
their rows and columns, with their norm; complex ones as pairs of real numbers.
"""

import json
import math
import os
import platform
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from compare.files import unfinished_name, visible, write_whole

FORMAT = "scratch-vs-torch recording 1"
INDEX = "index.json"
KINDS = ("numpy", "torch")
LARGEST = 16384  # elements of a tensor that is kept whole
CHUNK = 32768  # elements that are added up at once: PyTorch's float32 norm of 10⁷ has three digits
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # index_select does not take them


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
            if not ((isinstance(value, int) and value >= 1) or (name == "first" and value is None)):
                raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
        only = (self.only,) if isinstance(self.only, str) else tuple(self.only)
        for pattern in only:
            if not isinstance(pattern, str):
                raise ValueError(f"only: expected names, with * and ?, got {pattern!r}")
        object.__setattr__(self, "only", only)

    def want(self, step: int) -> bool:
        """Whether this step is recorded."""
        return step % self.every == 0 and (self.first is None or step < self.first)

    def keep(self, name: str) -> bool:
        """Whether a tensor of this name is."""
        return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in self.only)


class Writer:
    """Writes a recording, a step at a time; RecordingError where the folder can not be written."""

    def __init__(self, folder: str | Path, kind: str, limits: Limits, **about: Any) -> None:
        self.folder, self.limits, self.step, self.written = Path(folder), limits, 0, 0
        self.closed = False
        self.run = uuid.uuid4().hex
        self.about = {"format": FORMAT, "kind": kind, "run": self.run, "limits": asdict(limits)}
        self.about |= {**_versions(), **about}
        with _writing(self.folder):
            self._prepare()
            self._write_index(finished=False)

    def _prepare(self) -> None:
        """An empty folder; what an older recording left there goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / INDEX).exists():
            _index(self.folder)  # nobody else's is removed
        ours = [*self.folder.glob("step-*.safetensors"), *self.folder.glob(".step-*.safetensors.*.tmp")]
        ours += self.folder.glob(f".{INDEX}.*.tmp")
        if not (self.folder / INDEX).exists() and set(self.folder.iterdir()) - set(ours):
            raise RecordingError(
                f"{self.folder}: expected a new folder or an old recording, got one with other files"
            )
        for path in ours:
            path.unlink()

    def write(self, tensors: Mapping[str, "Kept"], facts: Mapping[str, Any]) -> None:
        """Write what was kept of this step, in order of computation."""
        if self.closed:
            raise RecordingError(f"{self.folder}: this recording has ended, step {self.step} came after it")
        if "__metadata__" in tensors:
            raise RecordingError("__metadata__: expected another name, safetensors has this one for itself")
        kept = {name: each.tensor for name, each in tensors.items()}
        pairs = [name for name, tensor in kept.items() if tensor.is_complex()]
        sampled = {n: {"shape": k.shape, "norm": k.norm} for n, k in tensors.items() if k.norm is not None}
        about = {
            "run": self.run, "step": self.step, "number": self.written, "order": list(kept),
            "sampled": sampled, "complex": pairs, "facts": dict(facts),
        }  # fmt: skip
        kept |= {name: torch.view_as_real(kept[name]) for name in pairs}
        path = self.folder / f"step-{self.step:08}.safetensors"
        unfinished = unfinished_name(path)
        with _writing(path):
            try:
                safetensors.torch.save_file(kept, unfinished, {"recording": json.dumps(about)})
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
            self.written += 1
            if self.written == 1:
                self.about["tensors"] = {name: _dtype(each.tensor) for name, each in tensors.items()}
                self._write_index(finished=False)

    def close(self, error: BaseException | None = None) -> None:
        """Write the index; `error` is what ended the run, if anything did."""
        self.closed = True
        ended = {} if error is None else {"ended_by": _words(error)}
        try:
            with _writing(self.folder / INDEX):
                self._write_index(finished=True, steps=self.step, written=self.written, **ended)
        except RecordingError:
            if error is None:  # else that is what the user has to see
                raise

    def _write_index(self, **ending: Any) -> None:
        text = json.dumps({**self.about, **ending}, indent=1)
        write_whole({INDEX: (text + "\n").encode()}, self.folder)


def _words(error: BaseException) -> str:
    """In one line, whatever it says."""
    return visible(f"{type(error).__name__}: {error}".removesuffix(": "))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"{path}: can not be written: {visible(words)}") from None


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
        if tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        if tensor.numel() <= largest:
            return cls(_copied(tensor))
        # As it lies in memory: the sum and the choice are then cheap, whatever its axes are.
        order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        flat = tensor.permute(order).reshape(-1)
        steps = {axis: math.prod(tensor.shape[a] for a in order[i + 1 :]) for i, axis in enumerate(order)}
        axes = np.ix_(*sampled_axes(tuple(tensor.shape), largest))
        chosen = torch.from_numpy(sum(steps[axis] * kept for axis, kept in enumerate(axes)))
        chosen = chosen.to(flat.device)
        if flat.dtype in UNSIGNED:
            sample = flat[chosen]
        else:  # this does not wait for a second thread
            sample = flat.index_select(0, chosen.reshape(-1)).reshape(chosen.shape)
        return cls(_copied(sample), tuple(tensor.shape), _norm(flat))


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("cpu", copy=True).resolve_conj().resolve_neg().contiguous()


def _norm(flat: torch.Tensor) -> float:
    """√Σ|x|², a part at a time: to float32's digits, and without a second tensor of this size."""
    parts = flat.split(CHUNK) if flat.is_cpu else (flat,)

    def norm(least: torch.dtype) -> float:
        wide = least if flat.element_size() < 4 else torch.promote_types(flat.dtype, least)
        norms = torch.stack([torch.linalg.vector_norm(part.to(wide)) for part in parts])
        return torch.linalg.vector_norm(norms.double()).item()

    found = norm(torch.float32)
    return found if 1e-15 < found < 1e15 else norm(torch.float64)  # squares that float32 does not hold


def sampled_axes(shape: tuple[int, ...], largest: int) -> list[np.ndarray]:
    """Which indices of each axis are kept: evenly spaced, of each axis as many as of the others, or all

    So the sample of a transpose is the transpose of the sample.
    """
    left, most = largest, largest
    for axes, n in zip(range(len(shape), 0, -1), sorted(shape), strict=True):
        most = int(left ** (1 / axes) + 1e-9)
        if n > most:
            break
        left //= max(1, n)
    return [np.linspace(0, n - 1, min(n, most)).astype(np.int64) for n in shape]


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
    pairs: Collection[str] = ()  # the complex ones
    _file: Any = None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.order)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.read:
            if name not in self:
                raise KeyError(f"{self.path}: no tensor {name}")
            with _reading(self.path):
                if self._file is None:
                    self._file = safetensors.safe_open(self.path, "pt")  # mapped, not read
                tensor = self._file.get_tensor(name)
            if name in self.pairs:
                tensor = torch.view_as_complex(tensor)
            self.dtypes[name] = _dtype(tensor)
            narrow = tensor.is_floating_point() and tensor.element_size() < 4
            self.read[name] = (tensor.float() if narrow else tensor).numpy()
        return self.read[name]

    def get(self, name: str) -> np.ndarray | None:
        """A tensor; None, if there is none of this name."""
        if name not in self:
            return None
        return self[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the whole tensor, also where a sample of it is kept."""
        return tuple(self.sampled[name]["shape"]) if name in self.sampled else self[name].shape

    def dtype(self, name: str) -> str:
        """As it was recorded, bfloat16 too."""
        self[name]
        return self.dtypes[name]


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class Recording:
    """A recording that is read: what its index says, and its steps."""

    def __init__(self, folder: str | Path) -> None:
        """Raise RecordingError unless the folder is a recording with at least one step, and none missing."""
        self.folder = Path(folder)
        self.about = _index(self.folder)
        self.kind: str = self.about["kind"]
        paths = sorted(self.folder.glob("step-*.safetensors"), key=lambda path: (len(path.name), path.name))
        if not paths:
            raise RecordingError(f"{self.folder}: expected at least one recorded step, got none")
        self._paths: dict[int, Path] = {}
        for expected, path in enumerate(paths):
            about = _metadata(path)
            if about["run"] != self.about["run"]:
                raise RecordingError(f"{path}: is of another recording than {INDEX}")
            if about["number"] != expected:
                raise RecordingError(f"{self.folder}: a recorded step is missing before {path.name}")
            self._paths[about["step"]] = path
        if self.about.get("finished") and self.about["written"] != len(paths):
            raise RecordingError(
                f"{self.folder}: expected {self.about['written']} steps as {INDEX} says, got {len(paths)}"
            )

    @property
    def described(self) -> str:
        """What it computes, where that is found in its numbers."""
        return ""

    @property
    def called(self) -> Mapping[str, str]:
        """What its user calls a tensor, where that is another name."""
        return {}

    @property
    def computed_from(self) -> Mapping[str, np.ndarray]:
        """Of parameters whose start is not recorded and was computed: the magnitude of its terms."""
        return {}

    @property
    def turned(self) -> Mapping[str, bool]:
        """Which of these its user has as transposes."""
        return {}

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
        path = self._paths[step]
        about = _metadata(path)
        return Step(
            path, step, about["order"], about["sampled"], about["facts"], pairs=frozenset(about["complex"])
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise RecordingError(f"{path}: is damaged, or of something else: {_words(error)}") from None


def _index(folder: Path) -> dict[str, Any]:
    """What the index says; RecordingError unless it is one."""
    path = folder / INDEX
    if not path.is_file():
        what = f"one without {INDEX}" if folder.is_dir() else "a file" if folder.exists() else "none"
        raise RecordingError(f"{folder}: expected the folder of a recording, got {what}")
    with _reading(path):
        about = json.loads(path.read_text(encoding="utf-8"))
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise RecordingError(f"{path}: expected the index of a “{FORMAT}”, got {visible(repr(found))}")
    if about.get("kind") not in KINDS or not isinstance(about.get("run"), str):
        raise RecordingError(f"{path}: is damaged: expected kind and run, got {visible(repr(about), 100)}")
    return about


def _metadata(path: Path) -> dict[str, Any]:
    """What a step says of itself; RecordingError if it is none."""
    with _reading(path), safetensors.safe_open(path, "pt") as file:
        about = json.loads((file.metadata() or {})["recording"])
        if sorted(file.keys()) != sorted(about["order"]) or path.stem != f"step-{about['step']:08}":
            raise ValueError("its tensors or its number are not those that it was written with")
        return {key: about[key] for key in ("run", "step", "number", "order", "sampled", "complex", "facts")}
