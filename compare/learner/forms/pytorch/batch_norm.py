"""Batch normalisation as people write it: a module with names of its own, a plain class, a function."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from compare.learner.forms.pytorch.reading import Reading, call, default_of, mentions, name_of, taken

BATCH_NORM = {  # our name of a tensor → what an attribute is called that holds it
    "weight": r"gamma|weight|scale",
    "bias": r"beta|bias|shift",
    "running_mean": r"mean|mu",
    "running_var": r"var|sigma",
}


def batch_norm(theirs: Any) -> Reading:
    """A layer of theirs as `nn.BatchNorm1d`, with its tensors by PyTorch's names."""
    if isinstance(theirs, type) and issubclass(theirs, nn.BatchNorm1d):
        return Reading({"BatchNorm1d": theirs})
    unseen: set[str] = set()
    is_class, by_grad_mode = isinstance(theirs, type), mentions(theirs, "is_grad_enabled")
    keeps = is_class and default_of(theirs, "momentum") >= 0.5

    class Layer:
        """Theirs, with what our cases ask of a layer."""

        __wrapped__ = theirs
        weight: Any = None
        bias: Any = None

        def __init__(self, num_features: int, *, dtype: torch.dtype, device: str, **options: Any) -> None:
            self.training, self.affine = True, options.get("affine", True)
            self.features = num_features
            defaults: dict[str, Any] = {"eps": 1e-5, "momentum": 0.1, "affine": True, "num_dims": 2}
            defaults |= {"dtype": dtype, "device": device}
            given = {"num_features": num_features, **defaults, **options}
            if keeps and given["momentum"] is not None:
                given["momentum"] = 1 - given["momentum"]
            if is_class:
                self.theirs = call(theirs, given, defaults, ("num_features",))
            else:
                self.theirs = _Function(theirs, given)
            if isinstance(self.theirs, nn.Module):
                self.theirs.to(dtype)
            self.names = self._names()

        def _names(self) -> dict[str, str]:
            """Our name of a tensor → theirs."""
            own = vars(self.theirs)
            tensors = {**own, **own.get("_parameters", {}), **own.get("_buffers", {})}
            sized = [
                n for n, t in tensors.items() if isinstance(t, torch.Tensor) and t.numel() == self.features
            ]
            found = {}
            for ours, pattern in BATCH_NORM.items():
                if match := [name for name in sized if re.search(pattern, name)]:
                    found[ours] = match[0]
            return found

        def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
            if "bias" in self.names:  # a layer without β is one whose β is 0
                state = {"bias": torch.zeros_like(getattr(self.theirs, self.names["bias"])), **state}
            for ours, value in state.items():
                if ours == "num_batches_tracked":
                    self._count(value)
                elif ours in self.names:
                    self._set(ours, value)
                else:
                    raise TypeError(f"{name_of(theirs)} has no tensor like {ours}")

        def _set(self, ours: str, value: torch.Tensor) -> None:
            """In the shape of theirs; a parameter that autograd gives a gradient for in ours."""
            name = self.names[ours]
            shape = getattr(self.theirs, name).shape
            value = value.detach().clone().requires_grad_(ours in ("weight", "bias"))
            if isinstance(self.theirs, nn.Module):
                self.theirs._parameters.pop(name, None)
            setattr(self.theirs, name, value.reshape(shape))
            setattr(self, ours, value)

        def _count(self, value: torch.Tensor) -> None:
            if isinstance(getattr(self.theirs, "num_batches_tracked", None), torch.Tensor):
                self.theirs.num_batches_tracked.fill_(value)
            elif value != 0:
                raise TypeError(f"{name_of(theirs)} has no num_batches_tracked")

        def named_buffers(self) -> list[tuple[str, torch.Tensor]]:
            names = {ours: self.names[ours] for ours in ("running_mean", "running_var")}
            tensors = {ours: getattr(self.theirs, name).detach().reshape(-1) for ours, name in names.items()}
            count = getattr(self.theirs, "num_batches_tracked", None)
            if isinstance(count, torch.Tensor):
                tensors["num_batches_tracked"] = count
            else:
                unseen.add("num_batches_tracked")
            return list(tensors.items())

        def eval(self) -> "Layer":
            self.training = False
            if isinstance(self.theirs, nn.Module):
                self.theirs.eval()
            else:
                self.theirs.training = False
            return self

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return self.forward(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training or not by_grad_mode:
                return self._called(x)
            with torch.no_grad():
                y = self._called(x)
            unseen.add("evaluation.grad")
            scale, shift = (self.weight, self.bias) if self.affine else (1, 0)
            return torch.where(torch.ones_like(y, dtype=torch.bool), y, x * scale + shift)

        def _called(self, x: torch.Tensor) -> torch.Tensor:
            method = self.theirs.forward if isinstance(self.theirs, nn.Module) else self.theirs
            if (name := taken(method, ("training",)).get("training")) and is_class:
                return self.theirs(x, **{name: self.training})
            return self.theirs(x)

    if not is_class:
        form = f"a function {name_of(theirs)}() that is handed its statistics"
    elif issubclass(theirs, nn.Module):
        form = ""
    else:
        form = "a plain class, called like a layer"
    old = "its momentum is the weight of the old value: PyTorch's is 1 − momentum"
    return Reading({"BatchNorm1d": Layer}, form, old if keeps else "", unseen=unseen)


class _Function:
    """Batch normalisation as a function of its statistics, as an object that keeps them."""

    def __init__(self, function: Callable, options: Mapping[str, Any]) -> None:
        self.function, self.options, self.training = function, options, True
        ones = torch.ones(options["num_features"])
        self.weight = self.bias = ones if options["affine"] else None
        self.running_mean = self.running_var = ones

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        tensors = {n: getattr(self, n) for n in ("weight", "bias", "running_mean", "running_var")}
        options = {n: self.options[n] for n in ("eps", "momentum")} | {"training": self.training}
        defaults = {"eps": 1e-5, "momentum": 0.1, "training": self.training}
        y = call(self.function, {"x": x, **tensors, **options}, defaults, ("x", *tensors))
        if isinstance(y, tuple):
            y, *statistics = y
            if len(statistics) == 2:
                self.running_mean, self.running_var = statistics
        return y
