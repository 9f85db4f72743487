"""Layers and losses written as classes: `nn.Module`, a plain class, or `autograd.Function`."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from compare.learner.forms.form import takes, tried
from compare.learner.forms.pytorch.reading import Reading, call, mentions, name_of

CLASSES = {  # of ours → what the class is called, without capitals and without what `OWN` drops
    "relu": ("relu",),
    "leaky_relu": ("leakyrelu",),
    "tanh": ("tanh",),
    "sigmoid": ("sigmoid",),
    "gelu": ("gelu",),
    "silu": ("silu", "swish"),
    "softplus": ("softplus",),
    "softmax": ("softmax",),
    "log_softmax": ("logsoftmax",),
    "linear": ("linear", "affine"),
    "binary_cross_entropy_with_logits": ("bcewithlogits", "binarycrossentropywithlogits"),
    "binary_cross_entropy": ("bce", "binarycrossentropy"),
    "cross_entropy": ("ce", "crossentropy", "softmaxcrossentropy"),
    "mse_loss": ("mse", "meansquarederror"),
    "dropout": ("dropout",),
    "BatchNorm1d": ("batchnorm1d", "batchnorm"),
    "LayerNorm": ("layernorm", "layernormalization"),
    "RMSNorm": ("rmsnorm", "rmsnormalization"),
    "SGD": ("sgd",),
    "Momentum": ("momentum",),
    "RMSprop": ("rmsprop",),
    "Adam": ("adam",),
    "AdamW": ("adamw",),
    "Adagrad": ("adagrad",),
    "NAdam": ("nadam",),
    "Lion": ("lion",),
}
OWN = re.compile(
    r"^(my|own|custom|simple|manual|scratch)+|(layer|loss|function|optimizer|fromscratch|scratch)+$"
)
SIZES = ("in_features", "out_features")
WEIGHTS, BIASES = ("w", "W", "weight", "weights"), ("b", "bias", "biases")


def class_of(name: str, namespace: Mapping[str, Any]) -> type | None:
    """The class that stands for one of ours, a module rather than another one."""
    found = [
        value
        for key, value in namespace.items()
        if isinstance(value, type)
        and OWN.sub("", key.replace("_", "").lower()) in CLASSES.get(name, ())
        and {"forward", "__call__", "step"} & _defined(value)
    ]
    return min(found, key=lambda value: not issubclass(value, nn.Module), default=None)


def _defined(value: type) -> set[str]:
    bases = (base for base in value.__mro__ if base not in (object, nn.Module, torch.autograd.Function))
    return {name for base in bases for name in vars(base)}


def as_function(name: str, theirs: type, ours: Callable) -> Reading:
    """Their class, called as our function is: the layer gets the tensors, its constructor what is none."""
    signature = inspect.signature(ours)
    usual = {p.name: p.default for p in signature.parameters.values() if p.default is not p.empty}
    usual = {**usual, "p": 0.5} if name == "dropout" else usual
    usual.pop("training", None)
    knows_its_mode = issubclass(theirs, nn.Module) or mentions(theirs, "training")
    if not knows_its_mode:
        signature = signature.replace(
            parameters=[p for p in signature.parameters.values() if p.name != "training"]
        )
    own = _Linear(theirs) if name == "linear" and not _is_autograds(theirs) else None

    @functools.wraps(theirs, updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        tensors = {key: value for key, value in bound.arguments.items() if key not in (*usual, "training")}
        options = {key: bound.arguments[key] for key in usual}
        if _is_autograds(theirs):
            return _applied(theirs, list(tensors.values()), options, usual)
        if own is not None:
            return own(**tensors)
        layer = call(theirs, options, usual)
        if knows_its_mode and isinstance(layer, nn.Module):
            layer.train(bound.arguments.get("training", True))
        elif knows_its_mode:
            layer.training = bound.arguments.get("training", True)
        return call(_forward(layer), tensors, {}, tuple(tensors))

    function.__signature__ = signature  # type: ignore[attr-defined]
    if _is_autograds(theirs):
        form = "a function of autograd, with a backward pass of its own"
    else:
        form = "" if issubclass(theirs, nn.Module) else "a plain class, called like a layer"
    convention = ""
    if own is not None and own.transposed:
        form = f"{form or 'a layer'}, whose weight is (in_features, out_features)"
        convention = "PyTorch's weight is the transpose, (out_features, in_features): y = x Wᵀ + b"
    return Reading({name: function}, form, convention)


def _is_autograds(theirs: type) -> bool:
    return issubclass(theirs, torch.autograd.Function)


def _forward(layer: Any) -> Callable:
    return layer.forward if callable(getattr(layer, "forward", None)) else layer


def _applied(theirs: Any, tensors: list, options: Mapping[str, Any], usual: Mapping[str, Any]) -> Any:
    """What their `apply` gives; of options it may have none, or all."""
    context = theirs.setup_context is torch.autograd.Function.setup_context
    if takes(theirs.forward, len(tensors) + len(options) + context):
        return theirs.apply(*tensors, *options.values())
    if options != usual:
        raise TypeError(f"{name_of(theirs)} has no argument {', '.join(options)}")
    return theirs.apply(*tensors)


class _Linear:
    """An affine layer of theirs, with the weight and the bias that it is given."""

    def __init__(self, theirs: type) -> None:
        self.theirs = theirs
        parameters: Any = getattr(tried(inspect.signature, theirs), "parameters", ())
        first, second, *_ = [*list(parameters), "", ""]
        self.is_given = first in WEIGHTS and second in BIASES  # the tensors themselves, not their sizes
        if self.is_given:
            x, weight, bias = torch.ones(4, 3), torch.ones(2, 3), torch.ones(2)
            fits = [tried(lambda w=w: _forward(theirs(w, bias))(x)) is not None for w in (weight, weight.T)]
            self.transposed = fits == [False, True]
            return
        sized = self._tensors(tried(lambda: self._made(3, 2, bias=True)))
        weights = [name for name, tensor in sized.items() if sorted(tensor.shape) == [2, 3]]
        biases = [name for name, tensor in sized.items() if tensor.numel() == 2]
        self.weight, self.bias = (next(iter(names), "") for names in (weights, biases))
        self.transposed = bool(self.weight) and sized[self.weight].shape == (3, 2)

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
        if self.is_given:
            return _forward(self.theirs(weight.T if self.transposed else weight, bias))(x)
        layer = self._made(weight.shape[1], weight.shape[0], bias=bias is not None)
        own = self._tensors(layer)
        given = {self.weight: weight.T if self.transposed else weight}
        if bias is not None and self.bias in own:
            given[self.bias] = bias.reshape(own[self.bias].shape)
        if not isinstance(layer, nn.Module):
            for name in given:
                setattr(layer, name, given[name])
            return _forward(layer)(x)
        parameters = dict(layer.named_parameters())
        for name in given.keys() - parameters.keys():
            setattr(layer, name, given[name])
        return functional_call(layer, {n: t for n, t in given.items() if n in parameters}, (x,))

    def _made(self, fan_in: int, fan_out: int, *, bias: bool) -> Any:
        given = {**dict(zip(SIZES, (fan_in, fan_out), strict=True)), "bias": bias}
        return call(self.theirs, given, {"bias": True}, SIZES)

    def _tensors(self, layer: Any) -> dict[str, torch.Tensor]:
        named = dict(layer.named_parameters()) if isinstance(layer, nn.Module) else {}
        named |= {} if layer is None else vars(layer)
        return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
