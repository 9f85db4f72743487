"""Runs somebody's functions in the place of ours, and says in plain data what came of it."""

import ast
import contextlib
import copy
import functools
import importlib
import inspect
import re
import textwrap
import traceback
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from compare.component import Case, Component, Results, copy_with_strides
from compare.files import visible
from compare.learner.forms.stand_ins import drawing_from, is_drawing
from compare.learner.misfit import misfit
from compare.measure import to_numpy
from compare.run import runner


class ReturnedError(TypeError):
    """A function that returns something else than ours, and where it stands."""

    def __init__(self, function: Callable, message: str, at: Collection[str] = ()) -> None:
        """The function; and the names of what the line calls that is shown, where it is not its head."""
        super().__init__(message)
        self.where = line_with(underlying(function), at) or line_with(underlying(function))


def line_with(function: Any, names: Collection[str] = (), *, of_arguments: bool = True) -> dict[str, Any]:
    """The first line of a function that calls what has one of these names: its number, its text

    Without names, its first line; nothing where there is none.

    Args:
        function: one that `underlying` gives
        names: of functions and methods
        of_arguments: whether the methods of an argument count
    """
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, ValueError, SyntaxError):
        return {}
    nodes: Any = [*ast.walk(tree)]
    arguments = set() if of_arguments else {node.arg for node in nodes if isinstance(node, ast.arg)}
    found = [node.end_lineno for node in nodes if _used_in(node, arguments) in names]
    if names and not found:
        return {}
    line = min(found, default=1)
    return {"line": first + line - 1, "source": lines[line - 1].strip()}


def _used_in(node: ast.AST, arguments: Collection[str]) -> str:
    """The name that is called, or that of an attribute which is no function: of a tensor, data."""
    if isinstance(node, ast.Call):
        of = node.func
        own = isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name) and of.value.id in arguments
        return "" if own else getattr(of, "attr", getattr(of, "id", ""))
    return "data" if isinstance(node, ast.Attribute) and node.attr == "data" else ""


@dataclass(frozen=True)
class Answer:
    """What one case gave: named arrays, or the exception that came instead; in plain data

    The one door for all that comes from somebody's functions: text in here is one line that can be shown.
    """

    results: Results = field(default_factory=dict)  # arrays of numbers; of None where it was something else
    # Of an exception kind, message; line, source where it is known; call, where only that does not fit
    error: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)  # input that was not left alone → function
    called: Sequence[str] = ()  # the functions that ran
    ours: Sequence[str] = ()  # functions of ours that ran in the place of what is not written
    unseen: Sequence[str] = ()  # parts of the names of arrays that can not be had from what was written
    drawn: str = ""  # the line that draws from NumPy, where it is not the case's generator that is drawn from

    def __post_init__(self) -> None:
        error = {key: visible(value) if key != "line" else value for key, value in self.error.items()}
        changed = {visible(name): visible(function) for name, function in self.changed.items()}
        object.__setattr__(self, "error", error)
        object.__setattr__(self, "changed", changed)
        object.__setattr__(self, "called", [visible(name) for name in self.called])
        object.__setattr__(self, "ours", [visible(name) for name in self.ours])
        object.__setattr__(self, "unseen", [visible(name) for name in self.unseen])
        object.__setattr__(self, "drawn", visible(self.drawn))
        object.__setattr__(self, "results", {visible(name): array for name, array in self.results.items()})

    def seen(self, results: Results) -> Results:
        """Those of some results that can be compared with what was written: “cost”, or “step1.exp_avg.0”."""
        return {
            name: array
            for name, array in results.items()
            if not any(f".{part}." in f".{name}." for part in self.unseen)
        }


def run(
    component: Component,
    side: str,
    functions: Mapping[str, Callable],
    case: Case,
    deadline: float = np.inf,
    *,
    missing: Collection[str] = (),
    unseen: set[str] | None = None,
    draws: str = "",
) -> Answer:
    """Functions in the place of ours, on arrays that they can write to: one that does is found out

    Ours stand in for those that are missing, and a backward pass of ours gets the cache of ours.
    What of the results can not be had from theirs they add to `unseen`. Of `draws`, see `drawing`.
    """
    unseen = unseen if unseen is not None else set()
    unseen.clear()
    writable = {name: copy_with_strides(array) for name, array in case.arrays.items()}
    own = case.for_torch("cpu") if side == "torch" else replace(case, arrays=writable, finite=False)
    module = importlib.import_module(f"{'torch_ref' if side == 'torch' else 'scratch'}.{component.topic}")
    watch = Watch(component, side, case, own)
    try:
        watched = {name: watch.over(name, f, getattr(module, name, None)) for name, f in functions.items()}
        for name in missing:
            if name in functions:  # what the form of the others needs
                watched[name] = watch.standing_in(name, functions[name])
                continue
            ours = getattr(module, name)
            forward = name.replace("_backward", "_forward")
            if forward in functions and forward != name:
                watched[forward] = _with_our_cache(watched[forward], getattr(module, forward))
            watched[name] = ours if isinstance(ours, type) else watch.standing_in(name, ours)
        with drawing(case, functions, draws):
            results = kept(runner(component, side, watched)(own))
    except (Exception, SystemExit) as error:
        name = next(iter(watch.called[-1:] or functions)).partition(".")[0]
        theirs, ours = underlying(functions[name]), getattr(module, name, None)
        told = failure(error, files := _files(functions))
        if call := misfit(component, name, theirs, ours, error, files):
            told["call"] = call
        return Answer(error=told, called=watch.called, ours=watch.ours)
    if side == "scratch":  # of PyTorch's, an optimizer that was returned may change what it was given
        watch.look(" or ".join(functions))
    answer = Answer(
        results,
        changed=watch.changed,
        called=watch.called,
        ours=watch.ours,
        unseen=sorted(unseen),
        drawn=_drawn(functions) if side == "scratch" and component.stream else "",
    )
    return replace(answer, results=answer.seen(results))


DRAWS = ("the case's", "the case's, mirrored")
OF_NUMPY = {"rand", "randn", "random", "random_sample", "uniform", "normal", "standard_normal", "binomial"}
OF_NUMPY |= {"randint", "integers", "choice", "permutation", "shuffle"}


def drawing(case: Case, functions: Mapping[str, Callable], draws: str) -> contextlib.AbstractContextManager:
    """Of `DRAWS`, what NumPy's own functions draw within; or what they draw anyway."""
    if not draws:
        return contextlib.nullcontext()
    found = [getattr(underlying(function), "__globals__", {}) for function in functions.values()]
    known = {id(namespace): namespace for namespace in found}
    return drawing_from(case.generator(), mirrored=draws == DRAWS[1], known=known.values())


def _drawn(functions: Mapping[str, Callable]) -> str:
    """The first line of these functions that draws from NumPy and not from what it is given."""
    for function in map(underlying, functions.values()):
        known = getattr(function, "__globals__", {})
        theirs = {name for name, value in known.items() if is_drawing(value)}
        if line := line_with(function, OF_NUMPY | theirs, of_arguments=False):
            return line["source"]
    return ""


def _with_our_cache(forward: Callable, ours: Callable) -> Callable:
    """A forward pass as it is, but for the cache that it hands on."""

    def call(*args: Any, **kwargs: Any) -> Any:
        args_again, kwargs_again = copy.deepcopy((args, kwargs))  # a generator draws the same twice
        y, _, *others = forward(*args, **kwargs)
        return y, ours(*args_again, **kwargs_again)[1], *others

    return call


class Watch:
    """Finds the function that changes an input, even if another one puts it back."""

    def __init__(self, component: Component, side: str, before: Case, after: Case) -> None:
        self.component, self.side, self.before, self.after = component, side, before, after
        self.lent: list[tuple[str, str, np.ndarray, Any]] = []  # function, argument, as it was, as it is
        self.changed: dict[str, str] = {}  # input → the function that changed it first
        self.called: list[str] = []  # the functions that ran
        self.ours: list[str] = []  # functions of ours that ran in the place of what is not written

    def over(self, name: str, function: Callable, ours: Callable | None) -> Callable:
        """The function (or the class: its public methods), watched at every call."""
        if isinstance(function, type):
            methods = {
                key: self.over(f"{name}.{key}", method, None)
                for key, method in vars(function).items()
                if isinstance(method, types.FunctionType) and not key.startswith("_")
            }
            return type(function)(function.__name__, (function,), methods)
        signature = inspect.signature(ours) if ours is not None else None
        parts = returned(ours) if isinstance(ours, types.FunctionType) and self.side == "scratch" else ()
        gives_tensor = signature is not None and "Tensor" in str(signature.return_annotation)
        gives_tensor &= self.component.topic != "gradient_check"  # no graph goes through its quotients

        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in self.called:
                self.called.append(name)
            given = signature.bind(*args, **kwargs).arguments if signature else {}
            lent = {k: self._lent(name, k, v) for k, v in given.items() if self._is_input(name, k, v)}
            in_place = [lent.get(k, v) for k, v in zip(given, args, strict=False)] if signature else args
            try:
                result = function(*in_place, **{k: lent.get(k, v) for k, v in kwargs.items()})
            finally:
                self.look(name)
            if parts and (problem := _not_in_parts(result, parts)):
                raise ReturnedError(function, f"{name} must return {problem}")
            if gives_tensor and (problem := _without_graph(result, given)):
                raise ReturnedError(function, f"{name} returns {problem}", CUTS)
            return result

        return call

    def standing_in(self, name: str, ours: Callable) -> Callable:
        """A function of ours, which is noted when it runs."""

        @functools.wraps(ours)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.ours.append(name)
            return ours(*args, **kwargs)

        return call

    def _lent(self, function: str, argument: str, value: Any) -> Any:
        """What a function is given: a copy, so that a change of it is found out and spoils nothing else."""
        if self.side == "torch" or self.component.topic == "gradient_check":  # x is what f looks at
            self.lent.append((function, argument, np.array(to_numpy(value)), value))
            return value
        lent = copy_with_strides(value)
        self.lent.append((function, argument, value.copy(), lent))
        return lent

    def look(self, function: str) -> None:
        """Compare all inputs with what they were; the function is who ran last."""
        for lent_to, argument, before, after in self.lent:
            self._note(argument, before, after, lent_to)
        for key, array in self.before.arrays.items():
            # PyTorch's optimizers hold the parameters themselves, scratch's a copy.
            if not (self.component.topic == "optimizers" and key.startswith("param")):
                self._note(key, array, self.after[key], function)

    def _note(self, key: str, before: np.ndarray, after: Any, function: str) -> None:
        after = to_numpy(after)
        if not np.array_equal(before, after, equal_nan=before.dtype.kind == after.dtype.kind == "f"):
            self.changed.setdefault(key, function)

    def _is_input(self, function: str, argument: str, value: Any) -> bool:
        """Whether an argument is an array that the function has to leave alone."""
        if not isinstance(value, np.ndarray | torch.Tensor):
            return False
        if self.side == "torch" and any(value is a for a in self.after.arrays.values()):
            return False  # `look` looks at them
        if argument in ("cache", "tensor"):  # what a forward pass kept for itself; what is to be filled
            return False
        if self.component.topic == "optimizers":
            return argument == "grad"
        return function != "update_running_statistics" or argument in ("mean", "variance")


@functools.cache
def returned(function: Callable) -> tuple[str, ...]:
    """What one of our functions returns, by name: (y, cache); nothing where it returns None."""
    definition = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    values = [node.value for node in ast.walk(definition) if isinstance(node, ast.Return) and node.value]
    if not values or any(isinstance(node, ast.Yield) for node in ast.walk(definition)):
        return ()
    annotation = inspect.signature(function).return_annotation
    if not isinstance(values[-1], ast.Tuple):
        return ("one array",) if annotation is np.ndarray else ()
    names = [ast.unparse(part) for part in values[-1].elts]
    if function.__name__.endswith("_forward"):
        return "y" if annotation.__args__[0] is np.ndarray else "loss", "cache", *names[2:]
    return tuple(name if name.isidentifier() else re.findall(r"\w+", name)[-1] for name in names)


def _not_in_parts(result: Any, parts: tuple[str, ...]) -> str:
    """What is expected and what came instead, if it has not as many parts as ours; else nothing."""
    if len(parts) == 1:
        if isinstance(result, np.ndarray | np.generic | int | float):
            return ""
    elif isinstance(result, tuple | list) and len(result) == len(parts):
        return ""
    wanted = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
    got = f"a {type(result).__name__} of {len(result)}" if isinstance(result, tuple | list) else "one array"
    if not isinstance(result, tuple | list | np.ndarray):
        got = _a(result)
    return f"{wanted}, got {got}"


CUTS = ("item", "detach", "data", "numpy", "tolist", "no_grad", "inference_mode", "float")


def _without_graph(result: Any, given: Mapping[str, Any]) -> str:
    """What came that autograd can not follow back to the tensors that were given; nothing if it can."""
    tensors = {name: [value] if isinstance(value, torch.Tensor) else value for name, value in given.items()}
    wanted = {
        name: {id(tensor) for tensor in several if getattr(tensor, "requires_grad", False)}
        for name, several in tensors.items()
        if isinstance(several, Iterable)
    }
    if not any(wanted.values()):
        return ""
    if not isinstance(result, torch.Tensor):
        return f"{_a(result)}, where a tensor is meant: {NO_GRAPH}"
    reached = _leaves(result)
    lost = [name for name, leaves in wanted.items() if not leaves <= reached]
    return f"a tensor from which no gradient flows back to {' and '.join(lost)}: {NO_GRAPH}" if lost else ""


def _leaves(tensor: torch.Tensor) -> set[int]:
    """The leaves of autograd's graph, by id."""
    reached, seen, waiting = {id(tensor)}, set(), [tensor.grad_fn]
    while waiting:
        if (node := waiting.pop()) is not None and node not in seen:
            seen.add(node)
            reached.add(id(getattr(node, "variable", None)))
            waiting += [further for further, _ in node.next_functions]
    return reached


NO_GRAPH = ".item(), .detach(), .data, no_grad() and NumPy cut the graph off"


def _a(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def kept(results: Results) -> Results:
    """Copies, with 0 for −0: nobody's version is wrong for the sign of a zero."""
    arrays = {name: _plain(value) for name, value in results.items()}
    return {name: array + 0.0 if array.dtype.kind == "f" else array for name, array in arrays.items()}


def _plain(value: Any) -> np.ndarray:
    """An array of numbers and of no class of its own; of anything else, only its shape."""
    array = np.array(to_numpy(value))
    return array if array.dtype.kind in "biufc" else np.broadcast_to(np.array(None), array.shape)


def _files(functions: Mapping[str, Callable]) -> set[str]:
    """The files that the functions stand in."""
    files = set()
    for function in functions.values():
        with contextlib.suppress(TypeError, ValueError):
            files.add(inspect.getsourcefile(underlying(function)) or "")
    return files


def underlying(function: Any) -> Any:
    """The definition behind a partial object, a wrapper such as a cache, or a callable object."""
    for _ in range(20):  # deep enough for people, and an end for what wraps itself
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, np.vectorize):
            function = function.pyfunc
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not isinstance(function, type) and isinstance(type(function).__call__, types.FunctionType):
            return type(function).__call__
    return function


def failure(error: BaseException, files: Collection[str]) -> dict[str, Any]:
    """An exception in plain data, whatever its class makes of itself: kind, message, line in these files."""
    kind = type.__dict__["__name__"].__get__(type(error))
    try:
        message, frames = str(error), traceback.extract_tb(error.__traceback__)
    except Exception:
        return {"kind": kind, "message": "its own message can not be had"}
    own = [frame for frame in frames if frame.filename in files]
    where = {"line": own[-1].lineno, "source": (own[-1].line or "").strip()} if own else {}
    if type(error) is ReturnedError:
        return {"kind": "", "message": message, **error.where}
    return {"kind": kind, "message": message, **where}
