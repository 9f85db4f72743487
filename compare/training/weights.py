"""Carries weights between the two sides: `.npz` of `scratch.files`, `.pt` of `torch_ref.network`."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import scratch.files
import torch_ref.network
from compare.files import write_whole


def to_torch(state: Mapping[str, np.ndarray], device: str = "cpu") -> dict[str, torch.Tensor]:
    """A state dict of NumPy arrays as a state dict of tensors (copies)."""
    return {name: torch.from_numpy(array.copy()).to(device) for name, array in state.items()}


def to_scratch(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A state dict of tensors, on any device, as a state dict of NumPy arrays (copies)."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


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
            np.savez(content, **to_scratch(torch_ref.network.read_state(source)))  # type: ignore[arg-type]
    except TypeError as error:  # a dtype that the other side does not have
        raise ValueError(f"{source}: {error}") from None
    write_whole({Path(target).name: content.getvalue()}, Path(target).parent)
