"""Layer and RMS normalisation as people write them: a module with names of its own, or a plain class."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from compare.learner.forms.pytorch.reading import Reading, call, default_of, name_of, taken

PARAMETERS = {  # our name of a tensor → what an attribute is called that holds it
    "weight": re.compile(r"gamma|weight|scale|gain|^g$|^a_?\d?$"),
    "bias": re.compile(r"beta|bias|shift|^b_?\d?$"),
}


def layer_norm(name: str, theirs: Any) -> Reading:
    """A layer of theirs as `nn.LayerNorm` or `nn.RMSNorm`, with its tensors by PyTorch's names."""
    if not isinstance(theirs, type) or issubclass(theirs, nn.LayerNorm | nn.RMSNorm):
        return Reading({name: theirs})
    is_module = issubclass(theirs, nn.Module)
    has_beta = name == "LayerNorm"

    class Layer:
        """Theirs, with what our cases ask of a layer."""

        __wrapped__ = theirs
        weight: Any = None
        bias: Any = None

        def __init__(
            self, normalized_shape: torch.Size, *, dtype: torch.dtype, device: str, **options: Any
        ) -> None:
            eps = 1e-5 if has_beta else torch.finfo(dtype).eps
            defaults = {"elementwise_affine": True, "bias": True, "dtype": dtype, "device": device}
            given = {"normalized_shape": normalized_shape, "eps": eps, **defaults, **options}
            takes = taken(theirs, given, ("normalized_shape",))
            if "shape" not in takes.get("normalized_shape", ""):  # a number of features
                given["normalized_shape"] = normalized_shape[0]
            if "eps" not in takes:
                eps = given.pop("eps")
            self.theirs = call(theirs, given, defaults, ("normalized_shape",))
            if "eps" not in takes and isinstance(getattr(self.theirs, "eps", None), float):
                self.theirs.eps = eps
            elif "eps" not in takes and "eps" in options:
                raise TypeError(f"{name_of(theirs)}() has no argument eps")
            if is_module:
                self.theirs.to(dtype)

        def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
            """In the shape of theirs, as parameters that autograd gives a gradient for in ours."""
            own = vars(self.theirs)
            tensors = {**own, **own.get("_parameters", {})}
            for ours, value in state.items():
                named = [n for n, t in tensors.items() if isinstance(t, torch.Tensor)]
                found = [n for n in named if PARAMETERS[ours].search(n) and tensors[n].numel() == len(value)]
                if not found:
                    raise TypeError(f"{name_of(theirs)} has no tensor like {ours}")
                parameter = value.detach().clone().requires_grad_()
                if is_module:
                    self.theirs._parameters.pop(found[0], None)
                setattr(self.theirs, found[0], parameter.reshape(tensors[found[0]].shape))
                setattr(self, ours, parameter)

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return self.theirs(x) if is_module or not hasattr(theirs, "forward") else self.theirs.forward(x)

    eps = taken(theirs, ("eps",)).get("eps", "")
    own, usual = default_of(theirs, eps), "1e-05" if has_beta else "that of the dtype"
    told = (f"{eps}={own:g} unless told otherwise, ours {usual}",) if own and f"{own:g}" != usual else ()
    return Reading({name: Layer}, "" if is_module else "a plain class, called like a layer", defaults=told)
