"""Optimizers as people write them: plain classes with `step()`, subclasses that lack options."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from compare.learner.forms.pytorch.reading import OTHER_NAMES, Reading, betas_apart, call, taken
from scratch import optimizers as scratch_optimizers
from torch_ref import optimizers as torch_optimizers

BUFFERS: dict[str, tuple[str, ...]] = {  # likewise, of optimizers
    "momentum_buffer": ("momentum_buffers", "velocity", "velocities", "v", "buf", "buffer", "buffers", "m"),
    "exp_avg": ("exp_avgs", "m", "ms", "first_moment", "moment1"),
    "exp_avg_sq": ("exp_avg_sqs", "v", "vs", "s", "second_moment", "moment2"),
    "max_exp_avg_sq": ("max_exp_avg_sqs", "v_max", "vmax", "max_v"),
    "square_avg": ("square_avgs", "s", "v", "r", "sq", "cache"),
    "grad_avg": ("grad_avgs", "g_avg"),
    "sum": ("sums", "sum_of_squares", "accumulator", "acc", "square_sum", "s", "G", "g2", "cache", "v", "r"),
    "mu_product": ("mu_products", "mu_prod", "u_product", "product"),
}

BUFFERS["velocity"] = ("momentum_buffer", *BUFFERS["momentum_buffer"])

LR = ("lr", *OTHER_NAMES["lr"])

SIGNED = ("momentum_buffer", "velocity")


def optimizers(functions: Mapping[str, Callable]) -> Reading:
    """Each class as PyTorch's: with `param_groups`, and with its buffers by PyTorch's names."""
    unseen: set[str] = set()
    kinds: set[str] = set()
    read_: dict[str, Callable] = {}
    for name, theirs in functions.items():
        ours = getattr(torch_optimizers, name)
        base = ours.__mro__[1] if name in ("Momentum", "NAdam") else ours
        if not isinstance(theirs, type) or theirs is ours or issubclass(theirs, base):
            read_[name] = theirs
            continue
        read_[name] = _optimizer(name, theirs, unseen)
        if not issubclass(theirs, torch.optim.Optimizer):
            kinds.add("a plain class with step()")
    return Reading(read_, " and ".join(kinds), unseen=unseen)


def _optimizer(name: str, theirs: type, unseen: set[str]) -> type:
    ours = getattr(scratch_optimizers, name)
    parameters = inspect.signature(ours).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}

    class Optimizer:
        """Theirs, with what our cases ask of an optimizer."""

        __wrapped__ = theirs
        __signature__ = inspect.Signature(_with_defaults(parameters.values(), theirs, defaults))

        def __init__(self, params: Iterable[torch.Tensor], lr: float, **options: Any) -> None:
            self.params = list(params)
            given = {**defaults, "params": self.params, "lr": lr, **options}
            self.theirs = call(theirs, given, defaults, ("params", "lr"))
            self.param_groups: list[dict[str, Any]] = [{"params": self.params, "lr": lr}]
            self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {param: {} for param in self.params}
            optimizer = ours([np.zeros(1)], lr, **options)
            self.buffers, self.numbers = list(optimizer.state), optimizer.numbers
            self.signs: dict[str, int] = {}  # as the first step shows them

        def step(self) -> None:
            self._set_rate(self.param_groups[0]["lr"])
            before = [param.clone() for param in self.params]
            self.theirs.step()
            found = [self._found(i, param) for i, param in enumerate(self.params)]
            for buffer in self.buffers:
                names = (buffer, *BUFFERS[buffer])
                there = [
                    kept[next(n for n in names if n in kept)] for kept in found if {*names} & kept.keys()
                ]
                if len(there) < len(found):
                    unseen.add(buffer)
                    continue
                if buffer not in self.signs:
                    updates = [param - old for param, old in zip(self.params, before, strict=True)]
                    self.signs[buffer] = -1 if buffer in SIGNED and self._along(there, updates) else 1
                for param, tensor in zip(self.params, there, strict=True):
                    self.state[param][buffer] = self.signs[buffer] * tensor

        def _along(self, buffers: list[torch.Tensor], updates: list[torch.Tensor]) -> bool:
            """Whether they have the sign of the updates: v ← μ·v − g, θ ← θ + lr·v is the same momentum."""
            along = _finite_sum([a * b for a, b in zip(buffers, updates, strict=True)])
            if along == 0:  # nothing but rounding is left of so small a step
                grads = [param.grad if param.grad is not None else 0 for param in self.params]
                along = -_finite_sum([a * b for a, b in zip(buffers, grads, strict=True)])
            return along > 0

        def _set_rate(self, rate: float) -> None:
            for group in getattr(self.theirs, "param_groups", []):
                group.update({key: rate for key in LR if key in group})
            for key in vars(self.theirs):
                if key.strip("_") in LR:
                    setattr(self.theirs, key, rate)

        def _found(self, i: int, param: torch.Tensor) -> dict[str, torch.Tensor]:
            """What it keeps for a parameter: tensors of the parameter's shape, or numbers, by name."""
            own = vars(self.theirs)
            inside = [value for value in own.values() if isinstance(value, dict)]
            named = {**own, **{key: v for d in inside for key, v in d.items() if isinstance(key, str)}}
            found = {key: self._of(value, i, param) for key, value in named.items()}
            state = self._of(own.get("state"), i, param)
            found |= state if isinstance(state, dict) else {}
            tensors = {str(k).strip("_").lower(): t for k, t in found.items() if isinstance(t, torch.Tensor)}
            numbers = {name for number in self.numbers for name in (number, *BUFFERS[number])}
            return {k: t for k, t in tensors.items() if t.shape == (() if k in numbers else param.shape)}

        def _of(self, kept: Any, i: int, param: torch.Tensor) -> Any:
            """What stands for one parameter in a list, or in a dictionary by parameter, number or id."""
            if isinstance(kept, dict):
                return next((kept[key] for key in (param, i, id(param)) if key in kept), None)
            return kept[i] if isinstance(kept, list | tuple) and len(kept) == len(self.params) else None

        def velocity(self, param: torch.Tensor) -> torch.Tensor:
            return self.state[param].get("velocity", torch.zeros_like(param))

    return Optimizer


def _with_defaults(
    parameters: Iterable[inspect.Parameter], theirs: Callable, defaults: Mapping[str, Any]
) -> list[inspect.Parameter]:
    """Our parameters with the defaults of theirs, where they have them."""
    own = inspect.signature(theirs).parameters
    split = {**defaults, **(betas_apart(defaults) if "betas" in defaults else {})}
    names = taken(theirs, split)
    values = {ours: own[name].default for ours, name in names.items() if name in own}
    values = {ours: value for ours, value in values.items() if value is not inspect.Parameter.empty}
    if {"beta1", "beta2"} <= values.keys():
        values["betas"] = (values["beta1"], values["beta2"])
    return [p.replace(default=values.get(p.name, p.default)) for p in parameters]


def _finite_sum(tensors: Iterable[torch.Tensor]) -> float:
    return sum(float(tensor[tensor.isfinite()].sum()) for tensor in tensors)
