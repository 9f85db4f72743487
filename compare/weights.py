"""Carries weights between the two sides: `.npz` of `scratch.network`, `.pt` of `torch_ref.network`."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch


def to_torch(state: Mapping[str, np.ndarray], device: str = "cpu") -> dict[str, torch.Tensor]:
    """A state dict of NumPy arrays as a state dict of tensors (copies)."""
    return {name: torch.from_numpy(array.copy()).to(device) for name, array in state.items()}


def to_scratch(state: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A state dict of tensors, on any device, as a state dict of NumPy arrays (copies)."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def convert(source: str | Path, target: str | Path) -> None:
    """Write the weights in `source` to `target`, each an `.npz` or a `.pt` file.

    Raises:
        ValueError: not one `.npz` and one `.pt`.
    """
    kinds = Path(source).suffix, Path(target).suffix
    partial = Path(f"{target}.partial")
    try:
        if kinds == (".npz", ".pt"):
            with np.load(source) as state:
                torch.save(to_torch(state), partial)
        elif kinds == (".pt", ".npz"):
            with partial.open("wb") as file:
                np.savez(file, **to_scratch(torch.load(source, map_location="cpu", weights_only=True)))  # type: ignore[arg-type]
        else:
            raise ValueError(f"target: expected .npz to .pt or .pt to .npz, got {kinds[0]} to {kinds[1]}")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
