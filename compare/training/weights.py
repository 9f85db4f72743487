"""Carries weights and checkpoints between the two sides: `.npz` of scratch/, `.pt` of torch_ref/."""

import io
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import scratch.files
from compare.files import write_whole
from scratch.checkpoint import flattened, nested

SCHEDULER = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")  # what scratch keeps of a schedule
CHECKPOINT = {"network", "optimizer", "generator", "epoch", "scheduler"}
WATCHING = {"early_stopping", "averaged"}  # of a checkpoint that has them


def to_torch(state: Mapping[str, np.ndarray], device: str = "cpu") -> dict[str, torch.Tensor]:
    """A state dict of NumPy arrays as a state dict of tensors (copies)."""
    return {name: torch.from_numpy(array.copy()).to(device) for name, array in state.items()}


def to_scratch(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A state dict of tensors, on any device, as a state dict of NumPy arrays (copies)."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def read_state(path: str | Path) -> dict[str, Any]:
    """The tensors of a .pt file by name, or its checkpoint, on the CPU. Nothing of a stranger in it is run.

    Raises:
        ValueError: not a .pt file, a damaged one, or one with something else than tensors by name in it.
        OSError: the file can not be read.
    """
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file) and zipfile.ZipFile(file).testzip():  # PyTorch checks no checksums
                raise ValueError
            file.seek(0)
            with warnings.catch_warnings(action="ignore"):  # PyTorch 2.14, of sparse tensors
                state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # PyTorch's own message may say how to run the stranger's code all the same
            raise ValueError(f"{path}: expected a .pt file of tensors by name, and a whole one") from None
    if isinstance(state, dict) and state.keys() - WATCHING == CHECKPOINT:
        return state
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        for name, tensor in state.items()
    ):
        raise ValueError(f"{path}: expected a .pt file of tensors by name, and of nothing else")
    return state


def checkpoint_to_torch(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint of scratch, nested, as `torch_ref.checkpoint` writes it

    Raises:
        ValueError: the textbook's momentum, whose v is another number than the buffer that PyTorch keeps.
    """
    state = checkpoint["optimizer"]["state"]
    if any("velocity" in of_one for of_one in state.values()):
        raise ValueError("velocity: the textbook's momentum has no state of PyTorch's")
    tensors = {
        i: {
            n: torch.tensor(float(v)) if n == "step" else torch.from_numpy(v.copy())
            for n, v in of_one.items()
        }
        for i, of_one in state.items()
    }
    return {
        "network": to_torch(checkpoint["network"]),
        "optimizer": {"state": tensors, "param_groups": checkpoint["optimizer"]["param_groups"]},
        "generator": torch.from_numpy(checkpoint["generator"].copy()),
        "epoch": checkpoint["epoch"],
        "scheduler": checkpoint["scheduler"],
        **_watching(checkpoint, to_torch),
    }


def checkpoint_to_scratch(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint of PyTorch as scratch nests it; what scratch does not know of a group stays behind."""
    state = checkpoint["optimizer"]["state"]
    arrays = {
        i: {n: int(t) if n == "step" else t.cpu().numpy() for n, t in of_one.items() if t is not None}
        for i, of_one in state.items()
    }
    groups = [
        {name: float(v) if isinstance(v, torch.Tensor) else v for name, v in group.items() if v is not None}
        for group in checkpoint["optimizer"]["param_groups"]
    ]
    for group in groups:
        if "max_lr" in group:  # of OneCycleLR: the rate that scratch/ begins with
            group["initial_lr"] = group["max_lr"]
    return {
        "network": to_scratch(checkpoint["network"]),
        "optimizer": {"state": arrays, "param_groups": groups},
        "generator": checkpoint["generator"].numpy(),
        "epoch": checkpoint["epoch"],
        "scheduler": {name: value for name, value in checkpoint["scheduler"].items() if name in SCHEDULER},
        **_watching(checkpoint, to_scratch),
    }


def _watching(checkpoint: Mapping[str, Any], carried: Callable[[Any], Any]) -> dict[str, Any]:
    """What a checkpoint may have besides, its arrays carried over."""
    found = {"averaged": carried(checkpoint["averaged"])} if "averaged" in checkpoint else {}
    if "early_stopping" in checkpoint:
        stopping = checkpoint["early_stopping"]
        found["early_stopping"] = {**stopping, "best_weights": carried(stopping["best_weights"])}
    return found


def convert(source: str | Path, target: str | Path) -> None:
    """Write the weights or the checkpoint in `source` to `target`, each an `.npz` or a `.pt` file.

    Raises:
        ValueError: not one `.npz` and one `.pt`; a damaged `source`, or something else than weights in it.
        OSError: a file that can not be read, or written.
    """
    kinds = Path(source).suffix, Path(target).suffix
    if kinds not in ((".npz", ".pt"), (".pt", ".npz")):
        raise ValueError(f"target: expected .npz to .pt or .pt to .npz, got {kinds[0]} to {kinds[1]}")
    content = io.BytesIO()
    try:
        if kinds == (".npz", ".pt"):
            arrays = scratch.files.read_state(source)
            is_checkpoint = "epoch" in arrays
            torch.save(checkpoint_to_torch(nested(arrays)) if is_checkpoint else to_torch(arrays), content)
        else:
            state = read_state(source)
            is_checkpoint = "epoch" in state
            arrays = flattened(checkpoint_to_scratch(state)) if is_checkpoint else to_scratch(state)
            np.savez(content, **arrays)  # type: ignore[arg-type]
    except (KeyError, TypeError, AttributeError) as error:  # what the other side does not have
        raise ValueError(f"{source}: {error}") from None
    write_whole({Path(target).name: content.getvalue()}, Path(target).parent)
