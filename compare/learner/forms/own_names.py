"""Our own names, written in ways that belong to no course: as methods, or returning what ours writes to."""

import functools
import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from compare.learner.forms.form import tried
from compare.learner.forms.pytorch.training import history_of

COUNT = "num_batches_tracked"


def methods(namespace: Mapping[str, Any], names: Collection[str]) -> dict[str, Callable]:
    """The methods of these names that need no object: static, or of a class without a constructor."""
    found: dict[str, Callable] = {}
    for value in namespace.values():
        if isinstance(value, type):
            for name in names & vars(value).keys():
                kind = vars(value)[name]
                if isinstance(kind, staticmethod | classmethod):
                    found[name] = getattr(value, name)
                elif isinstance(kind, types.FunctionType) and value.__init__ is object.__init__:  # type: ignore[misc]
                    made = tried(value)
                    if made is not None:
                        found[name] = getattr(made, name)
    return found


def returning_history(train: Callable, ours: Callable, unseen: set[str]) -> Callable:
    """A training loop that may return a list of losses, or nothing, as one that returns a history."""
    signature = inspect.signature(ours)

    @functools.wraps(train)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        returned = train(*args, **kwargs)
        if hasattr(returned, "cost"):
            return returned
        batches = len(given["x"]) / given["batch_size"]
        steps = given["epochs"] * (math.floor if given.get("drop_last") else math.ceil)(batches)
        return history_of([returned], given["epochs"], steps, unseen, "validation" in given)

    return call


def perhaps_counting(update: Callable, ours: Callable, unseen: set[str]) -> Callable:
    """An update of the running statistics which may leave the number of batches as it is: nobody needs it

    But for momentum=None, where ours divides by it.
    """
    signature = inspect.signature(ours)

    @functools.wraps(update)
    def call(*args: Any, **kwargs: Any) -> Any:
        count = signature.bind(*args, **kwargs).arguments[COUNT]
        before = count.copy()
        update(*args, **kwargs)
        if np.array_equal(count, before):
            unseen.add(COUNT)

    return call


def writing_back(function: Callable, ours: Callable) -> Callable:
    """A function that may return new arrays, callable as one of ours that writes to those it is given

    They are expected in the order of the arguments: the parameter, then its state.
    """
    names = [p.name for p in inspect.signature(ours).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> None:
        returned = function(*args, **kwargs)
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        written_to = [given[name] for name in names if name != "grad" and given.get(name) is not None]
        new = returned if isinstance(returned, tuple | list) else () if returned is None else (returned,)
        for array, value in zip(written_to, new, strict=False):
            if value is not array:
                array[...] = value

    return call
