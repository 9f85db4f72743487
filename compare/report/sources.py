"""Source code to show: a component's functions as they stand in the files."""

from collections.abc import Iterable
from types import ModuleType

from compare.component import Definition, definitions


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
