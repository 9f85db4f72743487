"""Arrays by name in an .npz file: written whole or not at all, and read without running what is in it."""

import io
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_state(path: str | Path, state: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name."""
    content, partial = io.BytesIO(), Path(f"{path}.{uuid.uuid4().hex}.partial")  # nobody else's
    np.savez(content, **state)  # type: ignore[arg-type]
    try:
        partial.write_bytes(content.getvalue())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """Read arrays by name.

    Raises:
        ValueError: not an .npz file, a damaged one, or one that contains something other than numbers.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                state = dict(arrays)
        except Exception as error:  # whatever NumPy stumbles over in a damaged file
            raise ValueError(f"{path}: expected an .npz file of arrays, and a whole one: {error}") from None
    for name, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name}: expected an array of numbers")
    return state
