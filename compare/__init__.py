"""Drives `scratch/` and `torch_ref/` from the same cases and seeds and proves that they agree."""

import importlib
from typing import Any

_ROOMS = {
    "assert_matches": "learner.check",
    "check": "learner.notebook",
    "exercise": "learner.notebook",
    "load_ipython_extension": "learner.notebook",
    "show": "learner.notebook",
    "Recorder": "recording.numpy_side",
    "record": "recording.torch_side",
    "trace": "recording.trace",
}
__all__ = ["Recorder", "assert_matches", "check", "exercise", "record", "show", "trace"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command line must be able to say that PyTorch is missing.
    if name in _ROOMS:
        return getattr(importlib.import_module(f"compare.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
