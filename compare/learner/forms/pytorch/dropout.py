"""Dropout as people write it, whichever function of PyTorch draws, and whichever end is kept."""

import contextlib
import functools
import inspect
from collections.abc import Sequence
from typing import Any

import torch

from compare.draws import Dispatch
from compare.learner.forms.pytorch.reading import (
    Reading,
    call,
    copy_of_leaf,
    mentions,
    taken,
)
from torch_ref import regularization


def dropout(theirs: Any) -> Reading:
    """With the draws of `F.dropout`, whichever function of PyTorch draws, and whichever end is kept."""
    if isinstance(theirs, type):
        return Reading({"dropout": theirs})
    unseen: set[str] = set()
    in_order = ("x", "p")
    has_mode = "training" in taken(theirs, ("x", "p", "training"), in_order)
    seeds = mentions(theirs, "manual_seed")  # its mask is the same at every call

    def once(x: torch.Tensor, p: float, training: bool, draws: Any) -> tuple[torch.Tensor, torch.Tensor]:
        copy = copy_of_leaf(x)
        with draws:
            given = {"x": copy, "p": p, "training": training}
            return call(theirs, given, {"training": True}, in_order), copy

    @functools.wraps(theirs)
    def dropout(x: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
        if not training and not has_mode:
            unseen.add("evaluation")
            return x.clone()
        draws = _Draws(x.dtype)
        y, copy = once(x, p, training, contextlib.nullcontext() if seeds else draws)
        if draws.numbers and not _is_kept(y, x, keep := draws.numbers[0] < 1 - p):
            other, copy_of_other = once(x, p, training, _Draws(x.dtype, [1 - u for u in draws.numbers]))
            if _is_kept(other, x, keep):
                y, copy = other, copy_of_other
        x.data.copy_(copy.data)
        # A constant, such as zeros for p = 1, has a gradient of 0 and not none.
        return y if y.requires_grad else torch.where(torch.ones_like(x, dtype=torch.bool), y, x)

    dropout.__signature__ = inspect.signature(regularization.dropout)  # type: ignore[attr-defined]
    form = "" if has_mode else "a function for training alone"
    return Reading({"dropout": dropout}, form, unseen=unseen)


def _is_kept(y: torch.Tensor, x: torch.Tensor, keep: torch.Tensor) -> bool:
    """Whether y is 0 where x is dropped, and nowhere else."""
    tells = (x != 0) & x.isfinite()
    return y.shape == x.shape == keep.shape and torch.equal((y != 0)[tells], keep[tells])


aten = torch.ops.aten


class _Draws(Dispatch):
    """While active, all that draws uniform numbers or zeros and ones draws what the case gives `uniform_`."""

    def __init__(self, dtype: torch.dtype, again: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.dtype, self.again = dtype, list(again)
        self.numbers: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (aten.bernoulli_.float, aten.bernoulli_.Tensor):
            return args[0].copy_(self._next(args[0]) < (args[1] if len(args) == 2 else 0.5))
        if func is aten.uniform_.default:
            low, high = args[1:] if len(args) == 3 else (0, 1)
            return args[0].copy_(self._next(args[0]) * (high - low) + low)
        result = func(*args, **(kwargs or {}))
        if func in (aten.rand.default, aten.rand.generator, aten.rand_like.default):
            return result.copy_(self._next(result))
        if func in (aten.bernoulli.default, aten.bernoulli.p):
            return result.copy_(self._next(result) < args[-1])
        return result

    def _next(self, like: torch.Tensor) -> torch.Tensor:
        u = self.again.pop(0) if self.again else torch.empty(like.shape, dtype=self.dtype).uniform_()
        self.numbers.append(u)
        return u
