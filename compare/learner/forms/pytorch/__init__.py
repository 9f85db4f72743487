"""What people write in PyTorch, read as `torch_ref/` writes it: other names, fewer arguments, plain classes

What can not be had from such a version (an optimizer's buffers, say, or a history that it does not return) is
noted in `unseen` and not compared. An option that it does not take raises TypeError where a case asks for it.
"""

import functools
import importlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compare.component import Component
from compare.learner.forms.pytorch.batch_norm import batch_norm
from compare.learner.forms.pytorch.cross_entropy import of_probabilities
from compare.learner.forms.pytorch.dropout import dropout
from compare.learner.forms.pytorch.initializers import filling
from compare.learner.forms.pytorch.layer_norm import layer_norm
from compare.learner.forms.pytorch.modules import as_function, class_of
from compare.learner.forms.pytorch.optimizers import optimizers
from compare.learner.forms.pytorch.reading import Reading, copy_of_leaf, plain_functions, taken
from compare.learner.forms.pytorch.training import WITHOUT, minibatches, train

__all__ = ["WITHOUT", "Reading", "read", "uses_torch", "written"]

OTHER_FUNCTIONS = {"dropout": "dropout_layer", "BatchNorm1d": "batch_norm"}  # of another name


def written(component: Component, namespace: Mapping[str, Any]) -> dict[str, Callable]:
    """What stands in a namespace for each of our functions, under our name or another one."""
    found = {}
    for name in component.reference:
        if callable(namespace.get(name)) and _speaks_of(namespace[name]) != {"numpy"}:
            found[name] = namespace[name]
        else:
            others: list[Any] = [class_of(name, namespace), namespace.get(OTHER_FUNCTIONS.get(name, ""))]
            if others := [other for other in others if callable(other) and uses_torch(other)]:
                found[name] = others[0]
    asked = not found or component.topic != "optimizers" or _are_asked(component, found)
    return found if asked else {}


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
    functions = plain_functions(function)
    of_code = _packages(f.__globals__.get(name) for f in functions for name in f.__code__.co_names)
    of_file = _packages(value for f in functions for value in list(f.__globals__.values()))
    return of_code or of_file


def _packages(values: Iterable[Any]) -> set[str]:
    """Which of the two libraries modules, functions and classes are of."""
    names = [getattr(v, "__name__" if isinstance(v, types.ModuleType) else "__module__", "") for v in values]
    return {str(name).split(".")[0] for name in names} & {"torch", "numpy"}


def read(component: Component, functions: Mapping[str, Callable]) -> Reading:
    """Functions as `written` finds them, each read by what it is of."""
    if component.topic == "optimizers":
        return optimizers(functions)
    if component.topic == "initializers":
        return Reading({name: filling(function) for name, function in functions.items()})
    if component.topic == "layer_norm" and functions:
        ((name, theirs),) = functions.items()
        return layer_norm(name, theirs)
    for name, theirs in functions.items():
        ours: Any = getattr(importlib.import_module(f"torch_ref.{component.topic}"), name, None)
        # Where ours is a class, theirs stands for it as it is.
        if isinstance(theirs, type) and not isinstance(ours, type) and component.reference == (name,):
            reading = as_function(name, theirs, ours)
            further = read(component, reading.functions)
            return replace(further, form=reading.form, convention=reading.convention)
    if "cross_entropy" in functions and (of_them := of_probabilities(functions["cross_entropy"])):
        return of_them
    readers = {"BatchNorm1d": batch_norm, "dropout": dropout, "minibatches": minibatches, "train": train}
    for name, reader in readers.items():
        if name in functions and component.reference == (name,):
            return reader(functions[name])
    if component.topic in ("activations", "softmax", "linear", "losses", "regularization"):
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
        pairs = [(a, copy_of_leaf(a)) for a in args], {key: (a, copy_of_leaf(a)) for key, a in kwargs.items()}
        result = function(
            *(copy for _, copy in pairs[0]), **{key: copy for key, (_, copy) in pairs[1].items()}
        )
        for original, copy in (*pairs[0], *pairs[1].values()):
            if copy is not original:
                original.data.copy_(copy.data)
        return result

    return on_copies
