"""Drives `scratch/` and `torch_ref/` from the same cases and seeds and proves that they agree."""

from typing import Any

__all__ = ["assert_matches"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command line must be able to say that PyTorch is missing.
    if name == "assert_matches":
        from compare.learner.check import assert_matches

        return assert_matches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
