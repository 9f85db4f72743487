"""How a function of somebody's is called with our arguments, and what is to be said of it."""

import contextlib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Reading:
    """Functions by our names, callable as ours are, and what is to be said of them."""

    functions: Mapping[str, Callable]
    form: str = ""
    convention: str = ""
    without: tuple[str, ...] = ()  # of WITHOUT
    defaults: tuple[str, ...] = ()  # where they are others than ours
    unseen: set[str] = field(default_factory=set)  # parts of names of arrays that the last case did not show


OTHER_NAMES = {  # of arguments
    "x": ("X", "input", "inputs", "x_train", "X_train", "features"),
    "training": ("is_training", "train", "mode"),
    "p": ("dropout", "rate", "prob", "drop_prob", "dropout_rate", "p_drop"),
    "weight": ("gamma",),
    "bias": ("beta",),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_var",),
    "eps": ("epsilon",),
    "dim": ("axis",),
    "negative_slope": ("slope", "alpha", "leak", "a"),
    "params": ("parameters",),
    "lr": ("learning_rate", "alpha", "eta", "step_size"),
    "beta": ("momentum", "mu", "rho", "gamma"),
    "momentum": ("beta", "mu", "rho", "gamma"),
    "alpha": ("rho", "decay", "decay_rate", "beta", "gamma"),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "weight_decay": ("wd", "l2", "lambda_"),
    "network": ("model", "net"),
    "optimizer": ("opt", "optim", "trainer", "updater"),
    "targets": ("y", "Y", "labels", "target", "y_train", "Y_train"),
    "epochs": ("num_epochs", "n_epochs"),
    "batch_size": ("bs",),
    "generator": ("rng",),
    "scheduler": ("lr_scheduler", "sched"),
    "loss": ("loss_fn", "criterion", "loss_func", "cost"),
    "loader": ("dataloader", "data_loader", "train_loader", "train_dataloader", "train_iter", "data_iter"),
    "held_out": ("test_loader", "val_loader", "valid_loader", "test_iter", "test_dataloader"),
}


def taken(theirs: Callable, ours: Iterable[str], in_order: Sequence[str] = ()) -> dict[str, str]:
    """Of our arguments, what theirs are called: the same, another word for it, or the next that has to be."""
    if getattr(theirs, "__init__", None) is nn.Module.__init__:  # a class that has none of its own
        return {}
    try:
        parameters = inspect.signature(theirs).parameters
    except (TypeError, ValueError):
        return {name: name for name in ours}
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return {name: name for name in ours}
    found = {name: name for name in ours if name in parameters}
    for name in ours:
        others = [n for n in OTHER_NAMES.get(name, ()) if n in parameters and n not in found.values()]
        if name not in found and others:
            found[name] = others[0]
    left = [name for name, p in parameters.items() if p.default is p.empty and name not in found.values()]
    return found | dict(zip((name for name in in_order if name not in found), left, strict=False))


def call(
    theirs: Callable, given: Mapping[str, Any], defaults: Mapping[str, Any], in_order: Sequence[str] = ()
) -> Any:
    """Their result for our arguments; one that they do not take may only have its default."""
    if "betas" in given and "betas" not in taken(theirs, given):
        given, defaults = betas_apart(given), betas_apart(defaults)
    names = taken(theirs, given, in_order)
    for name, value in given.items():
        if name not in names and not (name in defaults and value == defaults[name]):
            raise TypeError(f"{name_of(theirs)}() has no argument {name}")
    return theirs(**{names[name]: value for name, value in given.items() if name in names})


def betas_apart(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with beta1 and beta2 in the place of betas."""
    beta1, beta2 = options["betas"]
    others = {name: value for name, value in options.items() if name != "betas"}
    return {**others, "beta1": beta1, "beta2": beta2}


def name_of(function: Any) -> str:
    """What a function, a class or an object that can be called is called."""
    return getattr(function, "__name__", type(function).__name__)


def mentions(function: Any, name: str) -> bool:
    """Whether a function or class, or a function that it calls, uses this name."""
    own = plain_functions(function)
    called = [f.__globals__.get(n) for f in own for n in f.__code__.co_names]
    return any(name in f.__code__.co_names for f in [*own, *(f for c in called for f in plain_functions(c))])


def plain_functions(function: Any) -> list[types.FunctionType]:
    """The function, or the methods of the class, that have code to look at."""
    several = vars(function).values() if isinstance(function, type) else [function]
    found: list[Any] = []
    for f in several:
        with contextlib.suppress(ValueError):  # one that wraps itself
            own = inspect.unwrap(f) if isinstance(f, types.FunctionType) else None
            found += plain_functions(own) if isinstance(own, type) else [own]
    return [f for f in found if isinstance(f, types.FunctionType)]


def copy_of_leaf(value: Any) -> Any:
    """A tensor that may be written to; what is no leaf of autograd's is given as it is."""
    is_leaf = isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf
    return value.clone() if is_leaf else value


def default_of(theirs: Callable, name: str) -> float:
    """What an argument is unless it is given, or 0 where that is no number."""
    parameter = inspect.signature(theirs).parameters.get(name)
    return parameter.default if parameter is not None and isinstance(parameter.default, float) else 0.0
