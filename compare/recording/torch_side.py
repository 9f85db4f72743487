"""The PyTorch side: hooks on a model and its optimizer, and nothing else to write in the loop

Of every step, in order of computation:

    fc1.weight.before                   every parameter, as the forward pass has it
    input, fc1.output, …, output        what goes in, and what every submodule gives; again: fc1.output@2
    loss.input, loss.targets, loss      what the loss function takes, and that on which `backward` is called
    fc1.output.grad, fc1.weight.grad    gradients of the loss
    fc1.weight.exp_avg, …               the optimizer's state
    fc1.weight, bn1.running_mean        parameters and buffers after the update
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.nn import functional as F  # noqa: N812
from torch.utils.weak import WeakTensorKeyDictionary

from compare.recording.store import LARGEST, Kept, Limits, Writer

LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss")
SIMPLE = (int, float, str, bool, type(None))


class record:  # noqa: N801  # it reads as the verb that it is
    """Records the training of a model, as it is

        with record(model, optimizer, "theirs"):
            for x, y in loader:
                …
                optimizer.step()

    A step ends with `optimizer.step()`. Forward passes without gradients are not recorded. Within a module
    that `torch.compile` has compiled PyTorch calls no hooks: only what goes in and comes out is recorded.

    Args:
        model: whose submodules are recorded
        optimizer: of its parameters
        folder: is made; an older recording in it is replaced
        every, first, only, largest, seed: as in `Recorder`

    Raises:
        ValueError: a folder with other files, or a limit below 1.
    """

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: str | Path,
        *, every: int = 1, first: int | None = None, only: Any = ("*",), largest: int = LARGEST,
        seed: int | None = None,
    ) -> None:  # fmt: skip
        self._model, self._optimizer = model, optimizer
        compiled = isinstance(model, torch._dynamo.eval_frame.OptimizedModule)
        self._names = {id(p): _name(n) for n, p in model.named_parameters(remove_duplicate=False)}
        for i, param in enumerate(self._params()):
            self._names.setdefault(id(param), f"optimizer.{i}")
        modules = {_name(name): module for name, module in model.named_modules()}
        self._modules = {"": model} if compiled else modules
        about = {
            "modules": {name: _described(module) for name, module in modules.items()},
            "optimizer": {
                "class": type(optimizer).__name__,
                "groups": [[self._names[id(p)] for p in g["params"]] for g in optimizer.param_groups],
            },
            "compiled": compiled,
        }
        self._writer = Writer(folder, "torch", Limits(every, first, only, largest), seed=seed, **about)
        self._undo: list[Callable[[], Any]] = []
        self._begin()

    def _begin(self) -> None:
        # Names in order; None for what is not wanted.
        self._before: dict[str, Kept | None] = {}
        self._forward: dict[str, Kept | None] = {}
        self._backward: dict[str, Kept | None] = {}
        self._gradients: dict[str, Kept | None] = {}
        self._calls: list[dict[str, Any]] = []
        self._origin = WeakTensorKeyDictionary()  # tensor → the name by which it was recorded

    def _params(self) -> Iterator[torch.Tensor]:
        return (param for group in self._optimizer.param_groups for param in group["params"])

    # Hooks

    def __enter__(self) -> Self:
        for name, module in self._modules.items():
            handle = module.register_forward_hook(
                functools.partial(self._after_forward, name), with_kwargs=True
            )
            self._undo.append(handle.remove)
        root = self._model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
        before = self._optimizer.register_step_pre_hook(lambda *_: self._before_update())
        after = self._optimizer.register_step_post_hook(lambda *_: self._after_update())
        self._undo += [root.remove, before.remove, after.remove]
        for name in LOSSES:
            self._replace(F, name, functools.partial(self._loss, name, getattr(F, name)))
        self._replace(torch.Tensor, "backward", self._backward_of(torch.Tensor.backward))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._undo:
            self._undo.pop()()
        self._writer.close(error)

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._undo.append(functools.partial(setattr, owner, name, getattr(owner, name)))
        setattr(owner, name, new)

    @property
    def _recorded(self) -> bool:
        return self._writer.limits.want(self._writer.step) and torch.is_grad_enabled()

    def _before_forward(self, module: Any, args: tuple, kwargs: Mapping[str, Any]) -> None:
        if self._recorded:
            given = _tensors([*args, *kwargs.values()])
            for i, tensor in enumerate(given):
                self._keep("input" if len(given) == 1 else f"input.{i}", tensor)

    def _after_forward(self, name: str, module: Any, args: tuple, kwargs: Mapping[str, Any], y: Any) -> None:
        if not self._recorded:
            return
        prefix = f"{name}." if name else ""
        inputs = [self._named(f"{prefix}input", x) for x in _tensors([*args, *kwargs.values()])]
        outputs = _tensors([y])
        for i, tensor in enumerate(outputs):
            inner = self._origin.get(tensor) if any(True for _ in module.children()) else None
            output = inner or self._keep(prefix + ("output" if len(outputs) == 1 else f"output.{i}"), tensor)
            if tensor.requires_grad and not inner:
                tensor.register_hook(functools.partial(self._gradient, f"{output}.grad"))
            call = {"module": name, "inputs": inputs, "output": output, "training": module.training}
            self._calls.append(call)

    def _loss(self, kind: str, function: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        if self._recorded:
            given = inspect.signature(function).bind(*args, **kwargs)
            given.apply_defaults()
            arguments = dict(given.arguments)
            x, target = arguments.pop("input"), arguments.pop("target")
            call: dict[str, Any] = {
                "loss": kind,
                "inputs": [self._named("loss.input", x), self._named("loss.targets", target)],
            }
            for name in ("weight", "pos_weight"):
                if isinstance(arguments.get(name), torch.Tensor):
                    call[name] = self._named(f"loss.{name}", arguments[name])
            call["options"] = {k: v for k, v in arguments.items() if isinstance(v, SIMPLE) and v is not None}
            self._calls.append(call)
        return function(*args, **kwargs)

    def _backward_of(self, backward: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(backward)
        def recorded(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> None:
            if self._recorded:
                self._keep("loss", tensor)
            backward(tensor, *args, **kwargs)

        return recorded

    def _gradient(self, name: str, gradient: torch.Tensor) -> None:
        self._backward[name] = self._copy(name, gradient)

    def _before_update(self) -> None:
        if not self._writer.limits.want(self._writer.step):
            return
        for name, param in self._parameters():
            self._before[f"{name}.before"] = self._copy(f"{name}.before", param)
            if param.grad is not None:
                gradient = param.grad.to_dense() if param.grad.is_sparse else param.grad
                self._gradients[f"{name}.grad"] = self._copy(f"{name}.grad", gradient)

    def _after_update(self) -> None:
        if self._writer.limits.want(self._writer.step):
            self._writer.write(self._tensors_of_the_step(), self._facts())
        self._writer.step += 1
        self._begin()

    # What is kept

    def _keep(self, name: str, tensor: torch.Tensor) -> str:
        """Under this name, or with @2, @3 … the next time; returns it."""
        number = 2
        unique = name
        while unique in self._forward:
            unique, number = f"{name}@{number}", number + 1
        self._origin[tensor] = unique
        self._forward[unique] = self._copy(unique, tensor)
        return unique

    def _named(self, name: str, tensor: torch.Tensor) -> str:
        """The name by which a tensor was recorded; else it is recorded now."""
        return self._origin.get(tensor) or self._keep(name, tensor)

    def _copy(self, name: str, tensor: torch.Tensor) -> Kept | None:
        limits = self._writer.limits
        return Kept.of(tensor, limits.largest) if limits.keep(name) else None

    def _parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Of the model and of the optimizer, each once."""
        seen = set()
        for param in (*self._model.parameters(), *self._params()):
            if id(param) not in seen:
                seen.add(id(param))
                yield self._names[id(param)], param

    def _tensors_of_the_step(self) -> dict[str, Kept]:
        """In order of computation; the gradients of parameters come after that of their module's output."""
        tensors = {**self._before, **self._forward}
        for name, gradient in self._backward.items():
            tensors[name] = gradient
            module = name.partition("output")[0]
            tensors |= {n: g for n, g in self._gradients.items() if module and _owner(n) == module}
        tensors |= self._gradients
        for name, param in self._parameters():
            for key, value in self._optimizer.state.get(param, {}).items():
                if isinstance(value, int | float | torch.Tensor):
                    tensors[f"{name}.{key}"] = self._copy(f"{name}.{key}", torch.as_tensor(value))
        after = [*self._parameters(), *((_name(n), buffer) for n, buffer in self._model.named_buffers())]
        tensors |= {name: self._copy(name, tensor) for name, tensor in after}
        return {name: kept for name, kept in tensors.items() if kept is not None}

    def _facts(self) -> dict[str, Any]:
        groups = [
            {key: _plain(value) for key, value in group.items() if key != "params"}
            for group in self._optimizer.param_groups
        ]
        without = [n for n, p in self._parameters() if p.requires_grad and p.grad is None]
        facts = {"groups": groups, "training": self._model.training, "calls": self._calls}
        return facts | ({"no_gradient": without} if without else {})


def _name(name: str) -> str:
    """Without what wrappers put in front."""
    return name.replace("_orig_mod.", "").replace("_orig_mod", "")


def _owner(gradient: str) -> str:
    """Of fc1.weight.grad: fc1., as the name of its module's output begins."""
    return gradient.removesuffix(".grad").rpartition(".")[0] + "."


def _tensors(values: Any) -> list[torch.Tensor]:
    """Those among what a module takes or returns, in order."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
        elif isinstance(value, Mapping):
            found += _tensors(value.values())
    return found


def _described(module: torch.nn.Module) -> dict[str, Any]:
    """The class of a module, and its options."""
    options = {k: _plain(v) for k, v in vars(module).items() if not k.startswith("_") and k != "training"}
    options = {key: value for key, value in options.items() if value is not None}
    return {"class": type(module).__name__, "options": options}


def _plain(value: Any) -> Any:
    """As JSON has it; None for what it has not."""
    if isinstance(value, torch.Tensor):
        return value.item() if value.numel() == 1 else None
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, SIMPLE) else None
