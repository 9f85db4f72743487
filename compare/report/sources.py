"""Source code to show: a component's functions as they stand in the files, and the wrong versions of them."""

import ast
import functools
import importlib
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from compare.component import Component, Definition, Mistake, definitions


def source_of(module: ModuleType, names: Iterable[str]) -> str:
    """The definitions called `names`, one below the other."""
    found = definitions(module)
    codes = (found[name].code if name in found else f"{name}: see {module.__name__}" for name in names)
    return "\n\n\n".join(dict.fromkeys(codes))


def with_what_they_call(module: ModuleType, names: Iterable[str]) -> list[Definition]:
    """The definitions called `names`, then the functions and classes of the same file that these call

    Checks of arguments are left out: nothing is computed in them. Of a class's other methods, the private
    ones belong to what calls them.
    """
    found = definitions(module)
    shown = {name: found[name] for name in names if name in found}
    classes = {name.partition(".")[0] for name in shown}  # a method is shown, not the class around it
    waiting = list(shown.values())
    while waiting:
        called = [
            found[name] for name in waiting.pop(0).calls if name in found and name not in {*shown, *classes}
        ]
        for definition in sorted(called, key=lambda definition: definition.first):
            _, dot, method = definition.name.rpartition(".")
            check = method.lstrip("_").startswith("check")
            if definition.is_code and not check and (not dot or method.startswith("_")):
                shown[definition.name] = definition
                waiting.append(definition)
    return list(shown.values())


# Wrong versions. Many are made by a function that puts a few expressions into one common frame.


@dataclass(frozen=True)
class WrongVersions:
    """The code of a component's mistakes: of each what is its own, and once what they share."""

    own: Mapping[str, str]  # name of the mistake → code
    shared: list[str]  # the frames that expressions are put into, and what is called


def wrong_versions(component: Component) -> WrongVersions:
    """What the mistakes put in the place of the component's functions."""
    replaced = {mistake.name: _replaced(mistake) for mistake in component.mistakes if not mistake.diff}
    every = [f for functions in replaced.values() for f in _with_inner(functions.values())]
    users = Counter((f.__code__, name, _key(value)) for f in every for name, value in _closure(f).items())
    frames = Counter(f.__code__ for f in every)
    own: dict[str, str] = {}
    shared: list[str] = []

    def lines(name: str, function: Any) -> Iterator[str]:
        """The function, or the frame it is made of and what of its variables differs from its like."""
        varied = {
            inner: value
            for inner, value in _closure(function).items()
            if (_is_own(value) and users[function.__code__, inner, _key(value)] == 1)
            or (
                not callable(value)
                and users[function.__code__, inner, repr(value)] < frames[function.__code__]
            )
        }
        if varied:
            shared.append(_assignment(name, function))
            for inner, value in varied.items():
                yield from lines(inner, value)
        else:
            yield _assignment(name, function)

    for mistake, functions in replaced.items():
        codes = (line for name, function in functions.items() for line in lines(name, function))
        own[mistake] = "\n".join(dict.fromkeys(codes))
    shared += _helpers(component.topic, [*own.values(), *shared])
    return WrongVersions(own, list(dict.fromkeys(shared)))


def _replaced(mistake: Mistake) -> dict[str, Callable]:
    """The functions; of a class that was made on the spot, its methods."""
    found: dict[str, Callable] = {}
    for name, function in mistake.functions.items():
        module = importlib.import_module(function.__module__)
        if isinstance(function, type) and vars(module).get(function.__name__) is not function:
            found |= {n: f for n, f in vars(function).items() if inspect.isfunction(f)}
        else:
            found[name] = function
    return found


def _with_inner(functions: Iterable[Any]) -> Iterator[Any]:
    for function in functions:
        if inspect.isfunction(function):
            yield function
            yield from _with_inner(_closure(function).values())


def _closure(function: Any) -> dict[str, Any]:
    """The variables that a function brought along from where it was made, and what is in them by name."""
    if not inspect.isfunction(function):
        return {}
    found: dict[str, Any] = {}
    for name, value in inspect.getclosurevars(function).nonlocals.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def _key(value: Any) -> Any:
    return id(value) if callable(value) else repr(value)


def _is_own(value: Any) -> bool:
    return callable(value) and not _module(value).startswith("scratch.")


def _module(value: Any) -> str:
    return getattr(value, "__module__", "numpy")  # the ufuncs of NumPy 2.0 have none


def _helpers(topic: str, codes: Iterable[str]) -> list[str]:
    """The private functions of the cases that stand in the codes."""
    found = definitions(importlib.import_module(f"compare.cases.{topic}"))
    names = dict.fromkeys(name for code in codes for name in re.findall(r"\b_\w+(?=\()", code))
    called = [found[name].code for name in names if name in found]
    return [code for code in called if not any(code in shown for shown in codes)]


def _assignment(name: str, value: Any) -> str:
    if not callable(value):
        return f"{name} = {value!r}"
    if not _module(value).startswith("compare."):
        qualified = getattr(value, "__qualname__", value.__name__)
        return f"{name} = {_module(value)}.{qualified}".replace("builtins.", "")
    source = _source(value)
    return f"{name} = {source}" if source.startswith("lambda") else source


def _source(function: Callable) -> str:
    if function.__name__ != "<lambda>":
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    code = function.__code__
    column = next((column for _, _, column, _ in code.co_positions() if column), 0)  # where its body begins
    candidates = [
        node
        for node in _lambdas(importlib.import_module(function.__module__))
        if node.lineno == code.co_firstlineno
        and {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        == {*inspect.signature(function).parameters}
    ]
    nearest = max(candidates, key=lambda node: node.body.col_offset if node.body.col_offset <= column else -1)
    return ast.unparse(nearest)


@functools.cache
def _lambdas(module: ModuleType) -> list[ast.Lambda]:
    return [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Lambda)]
