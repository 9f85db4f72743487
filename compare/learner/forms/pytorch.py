"""What people write in PyTorch, read as `torch_ref/` writes it: other names, fewer arguments, plain classes

What can not be had from such a version (an optimizer's buffers, say, or a history that it does not return) is
noted in `unseen` and not compared. An option that it does not take raises TypeError where a case asks for it.
"""

import contextlib
import functools
import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from compare.component import Case, Component
from scratch import optimizers as scratch_optimizers
from torch_ref import optimizers as torch_optimizers
from torch_ref import regularization, training


@dataclass(frozen=True)
class Reading:
    """Functions by our names, callable as ours are, and what is to be said of them."""

    functions: Mapping[str, Callable]
    form: str = ""
    convention: str = ""
    without: tuple[str, ...] = ()  # of WITHOUT
    unseen: set[str] = field(default_factory=set)  # parts of names of arrays that the last case did not show


OTHER_FUNCTIONS = {  # of another name
    "dropout": ("dropout_layer",),
    "BatchNorm1d": ("BatchNorm1D", "BatchNorm", "batch_norm"),
}
OTHER_NAMES = {  # of arguments
    "x": ("X", "input", "inputs", "x_train", "X_train", "features"),
    "training": ("is_training", "train", "mode"),
    "p": ("dropout", "rate", "prob", "drop_prob", "dropout_rate", "p_drop"),
    "weight": ("gamma",),
    "bias": ("beta",),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_var",),
    "eps": ("epsilon",),
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
WITHOUT: dict[str, tuple[str, Callable[[Case], dict[str, Any]]]] = {
    # what a training loop is not given: what that makes of it, and of the options of a case
    "optimizer": (
        "makes its own optimizer: held against plain SGD at a constant rate",
        lambda case: {"momentum": 0.0, "decay_rate": 0.0},
    ),
    "scheduler": ("has no schedule: held against a constant rate", lambda case: {"decay_rate": 0.0}),
    "batch_size": ("has no mini-batches", lambda case: {"batch_size": max(len(case["x"]), 1)}),
}
BATCH_NORM = {  # our name of a tensor → what an attribute is called that holds it
    "weight": r"gamma|weight|scale",
    "bias": r"beta|bias|shift",
    "running_mean": r"mean|mu",
    "running_var": r"var|sigma",
}
BUFFERS: dict[str, tuple[str, ...]] = {  # likewise, of optimizers
    "momentum_buffer": ("momentum_buffers", "velocity", "velocities", "v", "buf", "buffer", "buffers", "m"),
    "exp_avg": ("exp_avgs", "m", "ms", "first_moment", "moment1"),
    "exp_avg_sq": ("exp_avg_sqs", "v", "vs", "s", "second_moment", "moment2"),
    "max_exp_avg_sq": ("max_exp_avg_sqs", "v_max", "vmax", "max_v"),
    "square_avg": ("square_avgs", "s", "v", "r", "sq", "cache"),
    "grad_avg": ("grad_avgs", "g_avg"),
}
BUFFERS["velocity"] = ("momentum_buffer", *BUFFERS["momentum_buffer"])
HISTORY = {  # what a training loop returns of our history
    "cost": ("costs", "loss", "losses", "train_loss", "train_losses"),
    "learning_rate": ("learning_rates", "lr", "lrs"),
    "accuracy": ("accuracies", "acc", "train_acc"),
}


def written(component: Component, namespace: Mapping[str, Any]) -> dict[str, Callable]:
    """What stands in a namespace for each of our functions, under our name or another one."""
    found = {}
    for name in component.reference:
        if callable(namespace.get(name)) and _speaks_of(namespace[name]) != {"numpy"}:
            found[name] = namespace[name]
        else:
            others = [namespace.get(other) for other in OTHER_FUNCTIONS.get(name, ())]
            if others := [other for other in others if callable(other) and uses_torch(other)]:
                found[name] = others[0]
    return found if component.topic != "optimizers" or _are_asked(component, found) else {}


def _are_asked(component: Component, optimizers: Mapping[str, Callable]) -> bool:
    """Whether they take the options without which nothing of the component is left: momentum, say."""
    cases = component.cases(np.random.default_rng(0), np.float64)
    case = next((case for case in cases if case.options["optimizer"] in optimizers), None)
    if case is None:
        return False
    asked = case.options.keys() - {"optimizer", "rates"}
    return asked <= taken(optimizers[case.options["optimizer"]], asked).keys()


def uses_torch(function: Any) -> bool:
    """Whether a function or class speaks of PyTorch and not of NumPy."""
    return _speaks_of(function) == {"torch"}


def _speaks_of(function: Any) -> set[str]:
    """Of which of the two libraries: in its bases and annotations, else in its code, else in its file."""
    if any(base.__module__.startswith("torch.") for base in getattr(function, "__mro__", ())):
        return {"torch"}
    if "torch" in str(getattr(function, "__annotations__", "")):
        return {"torch"}
    functions = _plain_functions(function)
    of_code = _packages(f.__globals__.get(name) for f in functions for name in f.__code__.co_names)
    of_file = _packages(value for f in functions for value in list(f.__globals__.values()))
    return of_code or of_file


def _packages(values: Iterable[Any]) -> set[str]:
    """Which of the two libraries modules, functions and classes are of."""
    names = [getattr(v, "__name__" if isinstance(v, types.ModuleType) else "__module__", "") for v in values]
    return {str(name).split(".")[0] for name in names} & {"torch", "numpy"}


def _plain_functions(function: Any) -> list[types.FunctionType]:
    """The function, or the methods of the class, that have code to look at."""
    several = vars(function).values() if isinstance(function, type) else [function]
    unwrapped = [inspect.unwrap(f) for f in several if isinstance(f, types.FunctionType)]
    return [f for f in unwrapped if isinstance(f, types.FunctionType)]


def _mentions(function: Any, name: str) -> bool:
    """Whether a function or class, or a function that it calls, uses this name."""
    own = _plain_functions(function)
    called = [f.__globals__.get(n) for f in own for n in f.__code__.co_names]
    return any(name in f.__code__.co_names for f in [*own, *(f for c in called for f in _plain_functions(c))])


def taken(theirs: Callable, ours: Iterable[str], in_order: Sequence[str] = ()) -> dict[str, str]:
    """Of our arguments, what theirs are called: the same, another word for it, or the next that has to be."""
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
        given, defaults = _betas_apart(given), _betas_apart(defaults)
    names = taken(theirs, given, in_order)
    for name, value in given.items():
        if name not in names and not (name in defaults and value == defaults[name]):
            raise TypeError(f"{_name(theirs)}() has no argument {name}")
    return theirs(**{names[name]: value for name, value in given.items() if name in names})


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _betas_apart(options: Mapping[str, Any]) -> dict[str, Any]:
    beta1, beta2 = options["betas"]
    others = {name: value for name, value in options.items() if name != "betas"}
    return {**others, "beta1": beta1, "beta2": beta2}


def read(component: Component, functions: Mapping[str, Callable]) -> Reading:
    """Functions as `written` finds them, each read by what it is of."""
    if component.topic == "optimizers":
        return _optimizers(functions)
    readers = {"BatchNorm1d": _batch_norm, "dropout": _dropout, "minibatches": _minibatches, "train": _train}
    for name, reader in readers.items():
        if name in functions and component.reference == (name,):
            return reader(functions[name])
    if component.topic in ("activations", "linear", "losses", "regularization"):
        functions = {name: _on_copies(function) for name, function in functions.items()}
    return Reading(functions)


def _on_copies(function: Callable) -> Callable:
    """The function on tensors that it may write to, as it may to those of a network: not to leaves

    What it has written is there afterwards.
    """
    if isinstance(function, type):
        return function

    @functools.wraps(function)
    def on_copies(*args: Any, **kwargs: Any) -> Any:
        pairs = [(a, _copy(a)) for a in args], {key: (a, _copy(a)) for key, a in kwargs.items()}
        result = function(
            *(copy for _, copy in pairs[0]), **{key: copy for key, (_, copy) in pairs[1].items()}
        )
        for original, copy in (*pairs[0], *pairs[1].values()):
            if copy is not original:
                original.data.copy_(copy.data)
        return result

    return on_copies


def _copy(value: Any) -> Any:
    is_leaf = isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf
    return value.clone() if is_leaf else value


# ---- batch normalisation


def _batch_norm(theirs: Any) -> Reading:
    if isinstance(theirs, type) and issubclass(theirs, nn.BatchNorm1d):
        return Reading({"BatchNorm1d": theirs})
    unseen: set[str] = set()
    is_class, by_grad_mode = isinstance(theirs, type), _mentions(theirs, "is_grad_enabled")
    keeps = is_class and _default(theirs, "momentum") >= 0.5

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
            for ours, value in state.items():
                if ours == "num_batches_tracked":
                    self._count(value)
                elif ours in self.names:
                    self._set(ours, value)
                else:
                    raise TypeError(f"{_name(theirs)} has no tensor like {ours}")

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
                raise TypeError(f"{_name(theirs)} has no num_batches_tracked")

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
        form = f"a function {_name(theirs)}() that is handed its statistics"
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


def _default(theirs: Callable, name: str) -> float:
    """What an argument is unless it is given, or 0 where that is no number."""
    parameter = inspect.signature(theirs).parameters.get(name)
    return parameter.default if parameter is not None and isinstance(parameter.default, float) else 0.0


# ---- optimizers


def _optimizers(functions: Mapping[str, Callable]) -> Reading:
    unseen: set[str] = set()
    kinds: set[str] = set()
    read_: dict[str, Callable] = {}
    for name, theirs in functions.items():
        ours = getattr(torch_optimizers, name)
        base = ours.__mro__[1] if name == "Momentum" else ours
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
            self.buffers = list(ours([np.zeros(1)], lr, **options).state)
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
            """What it keeps for a parameter: tensors of the parameter's shape, by name."""
            own = vars(self.theirs)
            inside = [value for value in own.values() if isinstance(value, dict)]
            named = {**own, **{key: v for d in inside for key, v in d.items() if isinstance(key, str)}}
            found = {key: self._of(value, i, param) for key, value in named.items()}
            state = self._of(own.get("state"), i, param)
            found |= state if isinstance(state, dict) else {}
            sized = {key: t for key, t in found.items() if getattr(t, "shape", None) == param.shape}
            return {str(key).strip("_").lower(): t for key, t in sized.items() if isinstance(t, torch.Tensor)}

        def _of(self, kept: Any, i: int, param: torch.Tensor) -> Any:
            """What stands for one parameter in a list, or in a dictionary by parameter, number or id."""
            if isinstance(kept, dict):
                return next((kept[key] for key in (param, i, id(param)) if key in kept), None)
            return kept[i] if isinstance(kept, list | tuple) and len(kept) == len(self.params) else None

        def velocity(self, param: torch.Tensor) -> torch.Tensor:
            return self.state[param].get("velocity", torch.zeros_like(param))

    return Optimizer


def _finite_sum(tensors: Iterable[torch.Tensor]) -> float:
    return sum(float(tensor[tensor.isfinite()].sum()) for tensor in tensors)


LR = ("lr", *OTHER_NAMES["lr"])
SIGNED = ("momentum_buffer", "velocity")


def _with_defaults(
    parameters: Iterable[inspect.Parameter], theirs: Callable, defaults: Mapping[str, Any]
) -> list[inspect.Parameter]:
    """Our parameters with the defaults of theirs, where they have them."""
    own = inspect.signature(theirs).parameters
    split = {**defaults, **(_betas_apart(defaults) if "betas" in defaults else {})}
    names = taken(theirs, split)
    values = {ours: own[name].default for ours, name in names.items() if name in own}
    values = {ours: value for ours, value in values.items() if value is not inspect.Parameter.empty}
    if {"beta1", "beta2"} <= values.keys():
        values["betas"] = (values["beta1"], values["beta2"])
    return [p.replace(default=values.get(p.name, p.default)) for p in parameters]


# ---- dropout


def _dropout(theirs: Any) -> Reading:
    """With the draws of `F.dropout`, whichever function of PyTorch draws, and whichever end is kept."""
    if isinstance(theirs, type):
        return Reading({"dropout": theirs})
    unseen: set[str] = set()
    in_order = ("x", "p")
    has_mode = "training" in taken(theirs, ("x", "p", "training"), in_order)
    seeds = _mentions(theirs, "manual_seed")  # its mask is the same at every call

    def once(x: torch.Tensor, p: float, training: bool, draws: Any) -> tuple[torch.Tensor, torch.Tensor]:
        copy = _copy(x)
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


class _Draws(TorchDispatchMode):
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


# ---- training


class _Loader:
    """Batches anew at every pass, as those of a DataLoader, from a function that gives them for one epoch."""

    def __init__(self, make: Callable[[], Iterable]) -> None:
        self.make = make

    def __iter__(self) -> Iterator:
        return iter(self.make())


def _minibatches(theirs: Any) -> Reading:
    @functools.wraps(theirs)
    def minibatches(x: Any, targets: Any, batch_size: int, generator: Any = None) -> _Loader:
        given = {"x": x, "targets": targets, "batch_size": batch_size, "generator": generator}
        return _Loader(lambda: call(theirs, given, {"generator": None}, ("x", "targets", "batch_size")))

    minibatches.__signature__ = inspect.signature(training.minibatches)  # type: ignore[attr-defined]
    return Reading({"minibatches": minibatches})


def _train(theirs: Any) -> Reading:
    """A loop over epochs, or one epoch, with an optimizer and a loss that it is given or makes itself."""
    unseen: set[str] = set()
    ours = inspect.signature(training.train).parameters
    takes = taken(theirs, (*ours, "loss", "loader", "held_out", "lr", "momentum"))
    without = [name for name in ("optimizer",) if name not in takes]
    without += [name for name in ("scheduler",) if name not in takes and "epochs" in takes and not without]
    without += [name for name in ("batch_size",) if name not in takes and "loader" not in takes]

    @functools.wraps(theirs)
    def train(
        network: Any, optimizer: Any, x: Any, targets: Any, *, epochs: int, batch_size: int,
        generator: Any = None, scheduler: Any = None,
    ) -> training.History:  # fmt: skip
        loader = training.minibatches(x, targets, batch_size, generator)
        group = optimizer.param_groups[0]
        given = {"network": network, "optimizer": optimizer, "x": x, "targets": targets, "epochs": epochs}
        given |= {"batch_size": batch_size, "generator": generator, "scheduler": scheduler}
        given |= {"loss": network.cost, "loader": loader, "held_out": [(x, targets)]}
        given |= {"lr": group["lr"], "momentum": group["momentum"]}
        given = {name: value for name, value in given.items() if name in takes}
        returned = []
        for _ in range(1 if "epochs" in takes else epochs):
            returned.append(call(theirs, given, {}))
            if scheduler and not {"epochs", "scheduler"} & takes.keys():
                scheduler.step()
        return _history(returned, epochs, epochs * len(loader), unseen)

    train.__signature__ = inspect.signature(training.train)  # type: ignore[attr-defined]
    said = [WITHOUT[name][0] for name in without]
    said += ["is called for each epoch"] if "epochs" not in takes else []
    form = f"a loop that {' and '.join(said)}" if said else ""
    return Reading({"train": train}, form, without=tuple(without), unseen=unseen)


def _history(returned: Sequence[Any], epochs: int, steps: int, unseen: set[str]) -> training.History:
    """What can be read from what was returned; a list of other lengths (means of epochs, say) can not

    Where there are as many steps as epochs, nobody knows of which a plain list is.
    """
    history = training.History()
    for name, others in HISTORY.items():
        found: list[float] | None = []
        certain = True
        for value in returned:
            value = value if isinstance(value, Mapping) else getattr(value, "__dict__", {"loss": value})
            certain = certain and name in value
            numbers = _numbers(next((value[n] for n in (name, *others) if n in value), None))
            found = None if found is None or numbers is None else found + numbers
        right = found is not None and len(found) == (steps if name == "cost" else epochs)
        if found is not None and (certain or (right and (name != "cost" or steps != epochs))):
            getattr(history, name).extend(found)
        else:
            unseen.add(name)
    return history


def _numbers(value: Any) -> list[float] | None:
    """A list of numbers as such, or the first of several lists."""
    if isinstance(value, tuple) and value and isinstance(value[0], list):
        value = value[0]
    try:
        return [float(number) for number in value]
    except (TypeError, ValueError, RuntimeError):
        return None
