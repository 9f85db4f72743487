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
from compare.cases import all_components
from compare.component import DTYPES, Case, Component
from compare.measure import to_numpy
from compare.run import cases_of, run_scratch
from scratch.batch_norm import update_running_statistics
from scratch.network import Network
from scratch.optimizers import SGD
from scratch.random import NumpyGenerator
from scratch.regularization import sgd_step_with_l2

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
    for module in pkgutil.walk_packages(scratch.__path__, "scratch."):
        if module.name in ("scratch.checks", "scratch.random.box_muller"):  # what the others use
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
FUNCTIONS = {
    f"{module.name}.{name}": function
    for module in pkgutil.walk_packages(scratch.__path__, "scratch.")
    for name, function in vars(importlib.import_module(module.name)).items()
    if inspect.isfunction(function) and function.__module__ == module.name
    if not name.startswith(("_", "check_"))
    and module.name.rpartition(".")[2] not in ("random", "box_muller", "philox", "training", "checks")
}
VECTORS = {"bias", "gamma", "beta", "mean", "std", "running_mean", "running_var", "variance"}
X = np.ones((3, 2))


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


NO_ARRAY = (None, "x", [1.0, 2.0], 3, np.ones((2, 2), int))


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name, function in FUNCTIONS.items()
        if not name.endswith("_step") and "cache" not in inspect.signature(function).parameters
        for argument, parameter in inspect.signature(function).parameters.items()
        if parameter.annotation is np.ndarray and argument != "num_batches_tracked"
    ],
)
def test_what_is_no_array_is_named(name: str, argument: str):
    """Beside others of a shape that fits. (Rules of optimizers check no arrays: their class does.)"""
    function = FUNCTIONS[name]
    for value in NO_ARRAY:
        if argument == "targets" and isinstance(value, np.ndarray):
            continue  # of classes, integers are right
        arguments = {
            n: value if n == argument else np.ones(2) if n in VECTORS else np.ones((2, 2))
            for n, p in inspect.signature(function).parameters.items()
            if p.annotation in (np.ndarray, np.ndarray | None)
        }
        others = {"batch_size": 3, "num_batches_tracked": np.array(0), "f": np.sum, "l2": 0.1, "m": 3}
        others |= {"p": 0.5, "generator": NumpyGenerator(0)}
        parameters = inspect.signature(function).parameters
        arguments |= {n: other for n, other in others.items() if n in parameters}
        with pytest.raises(TypeError, match=rf"^{argument}: expected "):
            function(**arguments)


@pytest.mark.parametrize("options", [{"dtype": int}, {"dtype": "x"}, {"dtype": None}, {"widths": 5}])
def test_a_description_of_no_network_is_named(options):
    (name,) = options
    with pytest.raises(TypeError, match=f"^{name}: expected "):
        Network(**{"widths": (2, 2), "generator": NumpyGenerator(0), **options})


@pytest.mark.parametrize("value", [None, 3, "x"])
def test_no_list_of_arrays_and_no_arrays_by_name_are_named(value):
    with pytest.raises(TypeError, match=r"^params(\[0\])?: expected a (list|floating-point array)"):
        SGD(value, 0.1)
    with pytest.raises((TypeError, ValueError), match=r"^grads: expected"):
        SGD([np.ones(3), np.ones(2)], 0.1).step(value)
    with pytest.raises(TypeError, match=r"^grads\[0\]: expected a floating-point array, got "):
        SGD([np.ones(3)], 0.1).step([value])
    with pytest.raises(TypeError, match=r"^state: expected arrays by name"):
        Network((2, 2), NumpyGenerator(0)).load_state_dict(value)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lr": -0.1}, ValueError, r"lr: expected a finite number >= 0, got -0.1"),
        ({"gradients": {"weight": X}}, ValueError, r"gradients: expected those of \['bias', 'weight'\]"),
        (
            {"gradients": {"weight": X.T, "bias": X[0]}},
            ValueError,
            r"gradients\[weight\]: expected shape \(3, 2\)",
        ),
        (
            {"gradients": {"weight": X.astype(np.float32), "bias": X[0]}},
            TypeError,
            r"gradients\[weight\]: expected float64",
        ),
    ],
)
def test_a_step_with_l2_looks_at_gradients_and_rate(change, error, message):
    arguments = {
        "parameters": {"weight": X, "bias": X[0]},
        "gradients": {"weight": X, "bias": X[0]},
        "lr": 0.1,
        "l2": 0.1,
        "m": 3,
    }
    with pytest.raises(error, match=message):
        sgd_step_with_l2(**{**arguments, **change})


@pytest.mark.parametrize("batch_size", [0, 1])
def test_running_statistics_take_no_variance_of_one(batch_size):
    running = np.zeros(3), np.ones(3), np.array(0)
    with pytest.raises(ValueError, match=f"batch_size: expected an integer >= 2, got {batch_size}"):
        update_running_statistics(*running, np.ones(3), np.ones(3), batch_size)
    assert [array.tolist() for array in running] == [[0, 0, 0], [1, 1, 1], 0]


def test_there_are_many():
    assert len(PUBLIC) > 40
