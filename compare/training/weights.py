"""Carries weights between the two sides: `.npz` of `scratch.files`, `.pt` of `torch_ref.network`."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import scratch.files
from compare.files import write_whole


def to_torch(state: Mapping[str, np.ndarray], device: str = "cpu") -> dict[str, torch.Tensor]:
    """A state dict of NumPy arrays as a state dict of tensors (copies)."""
    return {name: torch.from_numpy(array.copy()).to(device) for name, array in state.items()}


def to_scratch(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A state dict of tensors, on any device, as a state dict of NumPy arrays (copies)."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a .pt file by name, on the CPU. Nothing that a stranger puts into it is run.

    Raises:
        ValueError: not a .pt file, a damaged one, or one with something else than tensors by name in it.
        OSError: the file can not be read.
    """
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file) and zipfile.ZipFile(file).testzip():  # PyTorch checks no checksums
                raise ValueError
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # PyTorch's own message may say how to run the stranger's code all the same
            raise ValueError(f"{path}: expected a .pt file of tensors by name, and a whole one") from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        for name, tensor in state.items()
    ):
        raise ValueError(f"{path}: expected a .pt file of tensors by name, and of nothing else")
    return state


def convert(source: str | Path, target: str | Path) -> None:
    """Write the weights in `source` to `target`, each an `.npz` or a `.pt` file.

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
            torch.save(to_torch(scratch.files.read_state(source)), content)
        else:
            np.savez(content, **to_scratch(read_state(source)))  # type: ignore[arg-type]
    except TypeError as error:  # a dtype that the other side does not have
        raise ValueError(f"{source}: {error}") from None
    write_whole({Path(target).name: content.getvalue()}, Path(target).parent)
