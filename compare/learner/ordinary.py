"""Which cases anybody's version has to get right, and what the others ask beyond that.

The first case of a component is as ordinary as they come: finite numbers, and no option that its functions do
without. Whatever differs from it in nothing but sizes, numbers and the layout of arrays is ordinary too. The
others are known by what they ask: infinite numbers, say, or an option that no course teaches.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from compare.component import Case, Component

ORDINARY, FINITE = "for ordinary inputs", "NaN and infinity aside"
VERY_LARGE, VERY_SMALL, NO_EXAMPLES = "very large numbers", "very small numbers", "no examples"
NUMBERS = (VERY_LARGE, VERY_SMALL, NO_EXAMPLES)
LARGE = 80  # e⁸⁰ is almost as large as float32 goes
SMALL = 1e-9  # 1 − 10⁻⁹ has lost half its digits


def beyond(component: Component, first: Case, case: Case) -> tuple[str, ...]:
    """What a case asks beyond an ordinary one, in words; nothing of an ordinary one."""
    if case.name in component.rare:
        return (component.rare[case.name],)
    arrays = [array for array in case.arrays.values() if array.dtype.kind == "f"]
    if any(not np.isfinite(array).all() for array in arrays):
        return ("NaN and infinity",)
    if any(array.size == 0 for array in case.arrays.values()):
        return (NO_EXAMPLES,)
    if not case.finite or any((np.abs(array) > LARGE).any() for array in arrays):
        return (VERY_LARGE,)
    if _smallest(case) < SMALL <= _smallest(first):
        return (VERY_SMALL,)
    options = {name: value for name, value in case.options.items() if name not in component.everyday}
    asked = [_option(name, value) for name, value in options.items() if _asks(first, name, value)]
    if case.options.get("function") == first.options.get("function"):  # else it has arrays of its own
        asked += sorted(f"{name}=None" for name in _kinds(first) - _kinds(case))
        asked += sorted(_kinds(case) - _kinds(first))
    return tuple(asked)


def apart(
    asked: Sequence[tuple[str, ...]], failed: Collection[tuple[str, ...]]
) -> tuple[list[str], list[str]]:
    """Of what cases ask, one by one where that can be told: what is not handled, and what is."""
    fine = {name for what in asked if what not in failed for name in what}
    missing: list[str] = []
    for what in sorted(failed, key=len):
        unexplained = [name for name in what if name not in fine and name not in missing]
        if unexplained or fine.issuperset(what):
            missing.append(" with ".join(unexplained or what))
    return list(dict.fromkeys(missing)), [
        name for name in dict.fromkeys(n for what in asked for n in what) if name in fine
    ]


def _smallest(case: Case) -> float:
    """Its smallest number but 0."""
    arrays = [np.abs(array[array != 0]) for array in case.arrays.values() if array.dtype.kind == "f"]
    return min((float(array.min()) for array in arrays if array.size), default=np.inf)


def _asks(first: Case, name: str, value: Any) -> bool:
    """Whether an option is one that the first case does without, or a choice that it does not make."""
    if name == "function":
        return False
    if name not in first.options:
        return True
    chosen = isinstance(value, str | bool) or value is None
    return chosen and value != first.options[name] and name != "optimizer"


def _option(name: str, value: Any) -> str:
    return f"{name}={value}" if isinstance(value, str) or value is None else name


def _kinds(case: Case) -> set[str]:
    """The names of its arrays, without the numbers of layers."""
    return {re.sub(r"\.?\d+$", "", name) for name in case.arrays}
