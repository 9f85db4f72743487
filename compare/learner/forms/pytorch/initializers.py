"""Initialisers, which fill the tensor that they are given: looked at is that tensor, whatever they return."""

import functools
from collections.abc import Callable
from typing import Any

import torch

from compare.learner.forms.form import first_argument, tried
from compare.learner.forms.pytorch.reading import name_of
from compare.learner.running import ReturnedError

MARK = {torch.float32: (torch.int32, 0x7FC5C0DE), torch.float64: (torch.int64, 0x7FF8000005C0FFEE)}


def filling(theirs: Callable) -> Callable:
    """The function on a tensor full of one certain NaN, of which nothing may be left."""
    if tried(first_argument, theirs) in ("shape", "size"):
        return _of_shape(theirs)

    @functools.wraps(theirs)
    def fill(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        integer, mark = MARK[tensor.dtype]
        bits = tensor.view(integer).fill_(mark)
        returned = theirs(tensor, *args, **kwargs)
        left = int((bits == mark).sum())
        if left:
            how = "a new one is returned, and " if _is_new(returned, tensor) else ""
            what = (
                "it is as it was"
                if left == tensor.numel()
                else f"{left} of {tensor.numel()} numbers are as they were"
            )
            message = f"{name_of(theirs)} must fill the tensor that it is given: {how}{what}"
            raise ReturnedError(theirs, message)
        return tensor

    return fill


def _of_shape(theirs: Callable) -> Callable:
    """The same of one that is given a shape and returns a new tensor, in the dtype that is the default."""

    @functools.wraps(theirs)
    def fill(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        before = torch.get_default_dtype()
        torch.set_default_dtype(tensor.dtype)
        try:
            return theirs(tuple(tensor.shape), *args, **kwargs)
        finally:
            torch.set_default_dtype(before)

    return fill


def _is_new(returned: Any, tensor: torch.Tensor) -> bool:
    return isinstance(returned, torch.Tensor) and returned.data_ptr() != tensor.data_ptr()
