"""Laws of arguments: NumPy's scalars count as Python's numbers, and what is no number is named."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import pytest

import scratch
from compare.component import Case, Component
from compare.measure import to_numpy
from compare.parity import DTYPES, cases_of, run_scratch
from compare.registry import all_components

COMPONENTS = list(all_components().values())
SMALL = 5000  # elements
SCALARS = {
    "float64": np.float64,
    "longdouble": np.longdouble,
    "without dimensions": lambda value: np.array(value, np.float64),
}
OF_THE_CASE = ("factor",)  # what a function that is only there to be checked multiplies by
NO_NUMBERS = (None, "0.9", 1j, [0.9], np.ones(2), object())
NUMBERS = {float: False, int: False, float | None: True, tuple[float, float]: False}  # whether None is meant


def with_scalars(case: Case, scalar: Any) -> Case:
    """The same case, every number among its options as a scalar of NumPy's."""

    def change(value: Any) -> Any:
        if isinstance(value, tuple) and all(isinstance(item, float) for item in value):
            return tuple(map(change, value))
        if isinstance(value, bool) or not isinstance(value, Real):
            return value
        return np.int64(value) if isinstance(value, Integral) else scalar(value)

    options = {n: value if n in OF_THE_CASE else change(value) for n, value in case.options.items()}
    return replace(case, options=options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_a_scalar_of_numpy_gives_what_the_number_gives(component: Component, dtype: str):
    """In every case with a number among its options, to the bit: above all no other dtype."""
    cases = [
        case
        for case in cases_of(component, 0, DTYPES[dtype])
        if sum(np.size(array) for array in case.arrays.values()) < SMALL
    ]
    for case in cases:
        expected = run_scratch(component, case, component.implementation())
        for name, scalar in SCALARS.items():
            if name == "longdouble" and not any(np.size(array) for array in case.arrays.values()):
                continue  # of numbers alone it is the widest that counts
            changed = with_scalars(case, scalar)
            if repr(changed.options) == repr(case.options):
                break
            found = run_scratch(component, changed, component.implementation())
            for key, value in expected.items():
                array, right = to_numpy(found[key]), to_numpy(value)
                assert array.dtype == right.dtype, (case.name, name, key)
                np.testing.assert_array_equal(array, right, err_msg=f"{case.name}, {name}, {key}")


def public() -> Iterator[tuple[str, Any]]:
    """Functions, constructors and methods of scratch that have numbers among their arguments."""
    for module in pkgutil.iter_modules(scratch.__path__, "scratch."):
        if module.name in (
            "scratch.checks",
            "scratch.box_muller",
        ):  # what the others are checked with, or use
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith(("_", "check_")) or getattr(value, "__module__", "") != module.name:
                continue
            members = vars(value).items() if inspect.isclass(value) else [(name, value)]
            for member, function in members:
                if not inspect.isfunction(function) or (member.startswith("_") and member != "__init__"):
                    continue
                annotations = [p.annotation for p in inspect.signature(function).parameters.values()]
                if any(a in NUMBERS for a in annotations) and not getattr(value, "_is_protocol", False):
                    yield f"{module.name}.{name}{'' if value is function else '.' + member}", function


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_no_number_is_named(name: str):
    """Before anything else is looked at: the other arguments are nonsense here."""
    function = PUBLIC[name]
    parameters = inspect.signature(function).parameters
    for wrong, parameter in parameters.items():
        if parameter.annotation not in NUMBERS:
            continue
        for value in NO_NUMBERS:
            if value is None and NUMBERS[parameter.annotation]:
                continue
            if parameter.annotation == tuple[float, float] and isinstance(value, list | np.ndarray):
                continue
            arguments = {
                n: value if n == wrong else (0.5, 0.5) if p.annotation == tuple[float, float] else 1
                for n, p in parameters.items()
                if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            }
            if "self" in arguments:
                arguments["self"] = object.__new__(type("Nobody", (), {"_lock": NoLock()}))
            with pytest.raises(TypeError, match=rf"^{wrong}(\[0\])?: expected "):
                function(**arguments)


class NoLock:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass


def test_there_are_many():
    assert len(PUBLIC) > 40
