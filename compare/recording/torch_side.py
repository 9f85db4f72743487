"""The PyTorch side: hooks on a model and its optimizer, and nothing else to write in the loop

Of every step, in order of computation:

    fc1.weight.before                   every parameter, as the forward pass has it
    input, fc1.output, …, output        what goes in, and what every submodule gives; again: fc1.output@2
    fc2.input                           what goes into one, where it is not recorded already
    loss.input, loss.targets, loss      what the loss function takes, and that on which `backward` is called
    fc1.output.grad, fc1.weight.grad    gradients of the loss
    fc1.weight.exp_avg, …               the optimizer's state
    fc1.weight, bn1.running_mean        parameters and buffers after the update
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.loss import _Loss
from torch.utils.weak import WeakTensorKeyDictionary

from compare.recording.store import LARGEST, Kept, Limits, Writer

LOSSES = ("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss")
SIMPLE = (int, float, str, bool, type(None))
LONGEST = 64  # list among a module's options


@dataclass(eq=False)
class _Pass:
    """One call of the model, or of a loss function."""

    tensors: list["_Tensor"] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    differentiable: bool = False
    used: bool = False  # a backward pass came back through it


@dataclass(eq=False)
class _Tensor:
    """Of the forward pass; which one of its name it is, is known at the end of the step."""

    name: str
    kept: Kept | None
    of: _Pass


class record:  # noqa: N801  # it reads as the verb that it is
    """Records the training of a model, as it is

        with record(model, optimizer, "theirs"):
            for x, y in loader:
                …
                optimizer.step()

    A step ends with `optimizer.step()`. Recorded is what its gradients come from: no forward pass without a
    backward pass, none from before the gradients were set to zero, no loss of another model. Within a module
    that `torch.compile` has compiled PyTorch calls no hooks: only what goes in and comes out is recorded, and
    the index says which these are. Loss functions are seen where they are called as `F.…` or as a module.

    Args:
        model: whose submodules are recorded
        optimizer: of its parameters
        folder: is made; an older recording in it is replaced
        every, first, only, largest, seed: as in `Recorder`

    Raises:
        TypeError: no model, or no optimizer.
        ValueError: a limit below 1, meta tensors; RecordingError, which is one: a folder with other files, or
            that can not be written.
    """

    _modules: Mapping[str, torch.nn.Module] = {}

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: str | Path,
        *, every: int = 1, first: int | None = None, only: Any = ("*",), largest: int = LARGEST,
        seed: int | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"optimizer: expected a torch.optim.Optimizer, got {type(optimizer).__name__}")
        while isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        self._model, self._optimizer = model, optimizer
        modules = list(model.named_modules())
        compiled = {name: module for name, module in modules if _is_compiled(module)}
        inside = {inner for module in compiled.values() for inner in list(module.modules())[1:]}
        unseen = (_Loss, torch.jit.ScriptModule)  # seen where it calls F; takes no hooks
        self._modules = {_name(n): m for n, m in modules if m not in inside and not isinstance(m, unseen)}
        tensors = {**self._parameters(), **{_name(name): buffer for name, buffer in model.named_buffers()}}
        if meta := [name for name, tensor in tensors.items() if tensor.is_meta]:
            raise ValueError(f"model: expected numbers to record, got meta tensors, {', '.join(meta[:3])}")
        names = {id(param): name for name, param in self._parameters().items()}
        about = {
            "modules": {_name(name): _described(module) for name, module in modules},
            "tied": {_name(n): names[id(p)] for n, p in _all_parameters(model) if names[id(p)] != _name(n)},
            "optimizer": {
                "class": type(optimizer).__name__,
                "groups": [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups],
            },
            "compiled": [_name(name) for name in compiled],
        }
        self._writer = Writer(folder, "torch", Limits(every, first, only, largest), seed=seed, **about)
        self._undo: list[Callable[[], Any]] = []
        self._in_backward = False
        self._begin()

    def _begin(self) -> None:
        self._before: dict[str, Kept | None] = {}  # None for what is not wanted
        self._passes: list[_Pass] = []
        self._backward: list[tuple[_Tensor, Kept | None]] = []
        self._gradients: dict[str, Kept | None] = {}
        self._open: list[list[_Tensor] | None] = []  # what went into the modules that are being called
        self._origin = WeakTensorKeyDictionary()  # tensor → as what, and in which version, it was recorded
        self._handles: list[Any] = []
        self._updating = False

    # Hooks

    def __enter__(self) -> Self:
        for name, module in self._modules.items():
            self._watch(name, module)
        before = self._optimizer.register_step_pre_hook(lambda _, *given: self._before_update(*given))
        after = self._optimizer.register_step_post_hook(lambda _, *given: self._after_update(*given))
        self._undo += [before.remove, after.remove]
        for name in LOSSES:
            self._replace(F, name, self._loss_of(name, getattr(F, name)))
        self._replace(torch.autograd, "backward", self._backward_of(torch.autograd.backward))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        while self._undo:
            self._undo.pop()()
        self._writer.close(error)

    def __reduce__(self) -> Any:
        return object.__new__, (record,)  # a model that is copied or saved on the way is not recorded

    def _watch(self, name: str, module: torch.nn.Module) -> None:
        compiled = module._compiled_call_impl
        if compiled is None:
            before = functools.partial(self._before_call, name)
            after = functools.partial(self._after_call, name)
            handles = [
                module.register_forward_pre_hook(before, with_kwargs=True),
                module.register_forward_hook(after, with_kwargs=True, always_call=True),
            ]
            self._undo += [handle.remove for handle in handles]
            return

        def call(*args: Any, **kwargs: Any) -> Any:  # hooks would be compiled with it
            y = None
            self._before_call(name, module, args, kwargs)
            try:
                y = compiled(*args, **kwargs)
            finally:
                self._after_call(name, module, args, kwargs, y)
            return y

        self._replace(module, "_compiled_call_impl", call)

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        self._undo.append(functools.partial(setattr, owner, name, getattr(owner, name)))
        setattr(owner, name, new)

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._begin()

    @property
    def _recorded(self) -> bool:
        wanted = self._writer.limits.want(self._writer.step)
        return wanted and torch.is_grad_enabled() and not self._in_backward

    def _sees(self, name: str, module: torch.nn.Module) -> bool:
        return self._modules.get(name) is module and not torch.compiler.is_compiling()

    def _before_call(self, name: str, module: Any, args: tuple, kwargs: Mapping[str, Any]) -> None:
        if not self._sees(name, module):
            return
        inputs = None
        if self._recorded:
            self._begin_pass()
            given = _tensors([*args, *kwargs.values()])
            names = [f"{name}.input" if name else "input"] * len(given)
            if len(given) > 1:
                names = [f"{each}.{i}" for i, each in enumerate(names)]
            look = self._named if name else self._keep
            inputs = [look(each, tensor) for each, tensor in zip(names, given, strict=True)]
        self._open.append(inputs)

    def _after_call(self, name: str, module: Any, args: tuple, kwargs: Mapping[str, Any], y: Any) -> None:
        if not self._sees(name, module):
            return
        inputs = self._open.pop() if self._open else None
        if inputs is None:
            return
        outputs = _tensors([y])
        prefix = f"{name}.output" if name else "output"
        for i, tensor in enumerate(outputs):
            inner = self._recorded_as(tensor) if any(True for _ in module.children()) else None
            output = inner or self._keep(prefix if len(outputs) == 1 else f"{prefix}.{i}", tensor)
            if tensor.requires_grad and not inner:
                output.of.differentiable = True
                self._handles.append(tensor.register_hook(functools.partial(self._gradient, output)))
            self._passes[-1].calls.append(
                {"module": name, "inputs": inputs, "output": output, "training": module.training}
            )

    def _gradient(self, output: _Tensor, gradient: torch.Tensor) -> None:
        output.of.used = True
        self._backward.append((output, self._copy(f"{output.name}.grad", gradient)))

    def _loss_of(self, kind: str, function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        @functools.wraps(function)
        def recorded(*args: Any, **kwargs: Any) -> torch.Tensor:
            loss = function(*args, **kwargs)
            if not torch.compiler.is_compiling() and self._recorded and self._reaches(loss):
                given = inspect.signature(function).bind(*args, **kwargs)
                given.apply_defaults()
                self._loss(kind, loss, dict(given.arguments))
            return loss

        return recorded

    def _loss(self, kind: str, loss: torch.Tensor, given: dict[str, Any]) -> None:
        self._begin_pass()
        names = {"input": "loss.input", "target": "loss.targets"}
        call: dict[str, Any] = {"loss": kind}
        call["inputs"] = [self._named(new, given.pop(name)) for name, new in names.items()]
        for name in ("weight", "pos_weight"):
            if isinstance(given.get(name), torch.Tensor):
                call[name] = self._named(f"loss.{name}", given[name])
        call["options"] = {k: v for k, v in given.items() if isinstance(v, SIMPLE) and v is not None}
        this = self._passes[-1]
        this.calls.append(call)
        this.differentiable = True

        def used(_: torch.Tensor) -> None:
            this.used = True

        self._handles.append(loss.register_hook(used))

    def _backward_of(self, backward: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(backward)
        def recorded(tensors: Any, *args: Any, **kwargs: Any) -> None:
            if torch.compiler.is_compiling() or not self._recorded:
                return backward(tensors, *args, **kwargs)
            losses = [tensor for tensor in _tensors([tensors]) if self._reaches(tensor)]
            if losses and self._starts_anew():
                self._backward.clear()
                for each in self._passes:
                    each.used = False
            for loss in losses:
                self._begin_pass()
                of = self._keep("loss", loss).of
                of.used = of.differentiable = True
            self._in_backward = True  # what is computed once more there (checkpoints), is recorded already
            try:
                return backward(tensors, *args, **kwargs)
            finally:
                self._in_backward = False

        return recorded

    def _starts_anew(self) -> bool:
        """Whether the gradients were set to zero after an earlier backward pass of this step."""
        if self._updating or not any(each.used for each in self._passes):
            return False
        gradients = [param.grad for param in self._parameters().values() if param.grad is not None]
        return not any(grad._nnz() if grad.is_sparse else grad.count_nonzero() for grad in gradients)

    def _reaches(self, loss: torch.Tensor) -> bool:
        """Whether it is computed from a parameter of this model."""
        params = {id(param) for param in self._parameters().values()}
        seen: set[Any] = set()
        todo = [loss.grad_fn]
        while todo:
            node = todo.pop()
            if node is None or node in seen:
                continue
            if id(getattr(node, "variable", None)) in params:
                return True
            seen.add(node)
            todo += [before for before, _ in node.next_functions]
        return id(loss) in params

    def _before_update(self, args: tuple, kwargs: Mapping[str, Any]) -> None:
        self._updating = True
        if self._writer.limits.want(self._writer.step):
            params = self._parameters()
            self._before = {f"{n}.before": self._copy(f"{n}.before", p) for n, p in params.items()}
            if not _closure(args, kwargs):
                self._take_gradients()

    def _after_update(self, args: tuple, kwargs: Mapping[str, Any]) -> None:
        if self._writer.limits.want(self._writer.step):
            if _closure(args, kwargs):
                self._take_gradients()
            self._write()
        self._writer.step += 1
        self._forget()

    def _take_gradients(self) -> None:
        gradients = {f"{name}.grad": param.grad for name, param in self._parameters().items()}
        self._gradients = {n: self._copy(n, grad) for n, grad in gradients.items() if grad is not None}

    # What is kept

    def _begin_pass(self) -> None:
        """Unless within a call; what needs no gradient (a frozen part) belongs to what follows."""
        if not self._passes or (not self._open and self._passes[-1].differentiable):
            self._passes.append(_Pass())

    def _keep(self, name: str, tensor: torch.Tensor) -> _Tensor:
        kept = _Tensor(name, self._copy(name, tensor), self._passes[-1])
        kept.of.tensors.append(kept)
        self._origin[tensor] = kept, _version(tensor)
        return kept

    def _recorded_as(self, tensor: torch.Tensor) -> _Tensor | None:
        kept, version = self._origin.get(tensor, (None, None))
        return kept if version == _version(tensor) else None

    def _named(self, name: str, tensor: torch.Tensor) -> _Tensor:
        """As what a tensor was recorded; else it is recorded now."""
        return self._recorded_as(tensor) or self._keep(name, tensor)

    def _copy(self, name: str, tensor: torch.Tensor) -> Kept | None:
        limits = self._writer.limits
        return Kept.of(tensor, limits.largest) if limits.keep(name) else None

    def _parameters(self) -> dict[str, torch.Tensor]:
        """Of the model and of the optimizer, each once."""
        params: dict[str, torch.Tensor] = {_name(name): p for name, p in self._model.named_parameters()}
        known = {id(param) for param in params.values()}
        for i, param in enumerate(p for group in self._optimizer.param_groups for p in group["params"]):
            if id(param) not in known:
                params[f"optimizer.{i}"] = param
        return params

    def _write(self) -> None:
        """In order of computation; the gradients of parameters come after that of their module's output."""
        params, last = self._parameters(), {}
        for name, param in params.items():
            for key, value in self._optimizer.state.get(param, {}).items():
                if isinstance(value, int | float | torch.Tensor):
                    last[f"{name}.{key}"] = torch.as_tensor(value)
        last |= {**params, **{_name(name): buffer for name, buffer in self._model.named_buffers()}}
        names = _Names({*self._before, *self._gradients, *last})

        calls = [call for each in self._passes if each.used for call in each.calls]
        needed = {tensor for call in calls for value in call.values() for tensor in _listed(value)}
        unique = {
            tensor: names.new(tensor.name)
            for each in self._passes for tensor in each.tensors if each.used or tensor in needed
        }  # fmt: skip
        tensors = {**self._before, **{name: tensor.kept for tensor, name in unique.items()}}
        of_module: dict[str, list[str]] = {}
        for name in self._gradients:
            of_module.setdefault(name.removesuffix(".grad").rpartition(".")[0], []).append(name)
        for tensor, gradient in self._backward:
            tensors[names.new(f"{unique[tensor]}.grad")] = gradient
            for name in of_module.pop(tensor.name.rpartition(".output")[0], ()):
                tensors[name] = self._gradients[name]
        tensors |= self._gradients | {name: self._copy(name, tensor) for name, tensor in last.items()}

        facts = self._facts()
        facts["calls"] = [{key: _as_named(value, unique) for key, value in call.items()} for call in calls]
        self._writer.write({name: kept for name, kept in tensors.items() if kept is not None}, facts)

    def _facts(self) -> dict[str, Any]:
        groups = [
            {key: _plain(value) for key, value in group.items() if key != "params"}
            for group in self._optimizer.param_groups
        ]
        facts = {"groups": groups, "training": self._model.training}
        without = [n for n, p in self._parameters().items() if p.requires_grad and p.grad is None]
        return facts | ({"no_gradient": without} if without else {})


class _Names(set):
    """Those that are taken."""

    def new(self, name: str) -> str:
        """The name itself, or with @2, @3, … the next time."""
        unique, number = name, 2
        while unique in self:
            unique, number = f"{name}@{number}", number + 1
        self.add(unique)
        return unique


def _as_named(value: Any, names: Mapping[_Tensor, str]) -> Any:
    if isinstance(value, list):
        return [names[each] for each in value]
    return names[value] if isinstance(value, _Tensor) else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, _Tensor) else []


def _name(name: str) -> str:
    """Without what `torch.compile` put in."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _is_compiled(module: torch.nn.Module) -> bool:
    scripted = isinstance(module, torch.jit.ScriptModule)
    return scripted or "_orig_mod" in module._modules or module._compiled_call_impl is not None


def _all_parameters(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return model.named_parameters(remove_duplicate=False)


def _closure(args: tuple, kwargs: Mapping[str, Any]) -> bool:
    """Whether the loss is computed within `optimizer.step`."""
    return any(callable(each) for each in (*args[1:], *kwargs.values()))


def _version(tensor: torch.Tensor) -> int:
    """How often it has been changed in place."""
    return 0 if tensor.is_inference() else tensor._version


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
        return [_plain(each) for each in value] if len(value) <= LONGEST else None
    return value if isinstance(value, SIMPLE) else None
