"""Laws of arguments: NumPy's scalars count as Python's numbers, and what is no number is named."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import pytest

import scratch
from compare.cases import all_components
from compare.component import DTYPES, Case, Component
from compare.measure import to_numpy
from compare.run import cases_of, run_scratch
from scratch.activations import leaky_relu_forward, relu_forward
from scratch.batch_norm import update_running_statistics
from scratch.checks import expects
from scratch.initializers import INITIALIZERS
from scratch.linear import Linear
from scratch.losses import mse_loss_backward, mse_loss_forward
from scratch.network import Network
from scratch.optimizers import SGD, Adam
from scratch.random import NumpyGenerator
from scratch.regularization import Dropout, dropout_forward, sgd_step_with_l2
from scratch.schedules import exponential
from scratch.training import minibatches, train

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
        expected = run_scratch(component, case)
        for name, scalar in SCALARS.items():
            if name == "longdouble" and not any(np.size(array) for array in case.arrays.values()):
                continue  # of numbers alone it is the widest that counts
            changed = with_scalars(case, scalar)
            if repr(changed.options) == repr(case.options):
                break
            found = run_scratch(component, changed)
            for key, value in expected.items():
                if (name, key) == ("longdouble", "learning_rate"):
                    continue  # made of numbers alone
                array, right = to_numpy(found[key]), to_numpy(value)
                assert array.dtype == right.dtype, (case.name, name, key)
                np.testing.assert_array_equal(array, right, err_msg=f"{case.name}, {name}, {key}")


def test_a_longdouble_keeps_its_digits_among_its_like_and_alone():
    third = np.longdouble(1) / 3
    kept, _ = leaky_relu_forward(-np.ones(2, np.longdouble), third)
    np.testing.assert_array_equal(kept, [-third] * 2)
    rounded, _ = leaky_relu_forward(-np.ones(2), third)
    assert rounded.dtype == np.float64
    assert exponential(third, 0, gamma=0.5) == third


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_a_word_is_what_it_says_and_not_an_object(component: Component):
    """One that is put together at run time is another object than the one in the code."""
    for case in cases_of(component, 0, np.float64):
        words = {n: "".join(list(value)) for n, value in case.options.items() if isinstance(value, str)}
        if words and sum(np.size(array) for array in case.arrays.values()) < SMALL:
            found = run_scratch(component, replace(case, options={**case.options, **words}))
            np.testing.assert_equal(found, run_scratch(component, case))


USED_BY_OTHERS = ("scratch.checks", "scratch.random.box_muller", "scratch.random.shared")


def public() -> Iterator[tuple[str, Any]]:
    """Functions, constructors and methods of scratch that have numbers among their arguments."""
    for module in pkgutil.walk_packages(scratch.__path__, "scratch."):
        if module.name in USED_BY_OTHERS:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith(("_", "check_")) or getattr(value, "__module__", "") != module.name:
                continue
            if is_dataclass(value):
                continue  # a record of what happened, which nobody makes but we
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
    and module.name not in (*USED_BY_OTHERS, "scratch.random", "scratch.random.philox", "scratch.training")
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
        for value in (*NO_NUMBERS, *([2.0, np.float64(2)] if parameter.annotation is int else [])):
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


@pytest.mark.parametrize("betas", [0.9, np.array(0.9), range(2), {0.9: 0.99}, "01"])
def test_what_is_no_pair_of_numbers_is_named(betas: Any):
    with pytest.raises(TypeError, match=r"^betas: expected two numbers, got "):
        Adam([np.ones(3)], betas=betas)


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


BACKWARD = [(c, name) for c in COMPONENTS for name in c.functions if name.endswith("_backward")]


@pytest.mark.parametrize(("component", "name"), BACKWARD, ids=lambda value: getattr(value, "name", value))
def test_a_backward_pass_wants_a_gradient_like_the_result_of_its_forward_pass(
    component: Component, name: str
):
    """In every case: no array, another dtype, an axis too many, another length."""
    backward = getattr(component.implementation(), name)
    argument = next(iter(inspect.signature(backward).parameters))
    asked = 0

    def asking(dy: Any, cache: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        dtype = np.float32 if np.asarray(dy).dtype == np.float64 else np.float64
        unlike = [np.ones_like(dy, dtype), np.ones((*np.shape(dy), 1)), np.ones(77)]
        for value in (None, "x", *(unlike if cache is not None else [])):  # of dropout in evaluation
            with pytest.raises((TypeError, ValueError), match=f"^{argument}: expected "):
                backward(value, cache, **options)
        return backward(dy, cache, **options)

    for case in cases_of(component, 0, np.float64):
        run_scratch(component, case, {name: asking})
    assert asked


@pytest.mark.parametrize(("component", "name"), BACKWARD, ids=lambda value: getattr(value, "name", value))
def test_a_backward_pass_wants_the_cache_of_its_forward_pass(component: Component, name: str):
    """Not that of another function, with a part more or less: the course's holds the bias too."""
    backward = getattr(component.implementation(), name)
    several = None

    def asking(dy: Any, cache: Any, **options: Any) -> Any:
        nonlocal several
        several = isinstance(cache, tuple)
        others = [(*cache, dy), cache[:-1], list(cache), cache[0]] if several else [(cache,)]
        for other in (*others, 3, "x", *(() if "dropout" in name else [None])):  # in evaluation it has none
            with pytest.raises(TypeError) as caught:
                backward(dy, other, **options)
            if several:
                given = len(other) if isinstance(other, tuple) else type(other).__name__
                forward = name.replace("_backward", "_forward")
                expected = f"cache: expected the {len(cache)} parts that {forward} returned, got {given}"
            else:
                expected = f"x: expected a floating-point array, got {type(other).__name__}"
            assert str(caught.value) == expected
        return backward(dy, cache, **options)

    for case in cases_of(component, 0, np.float64)[:3]:
        run_scratch(component, case, {name: asking})
    assert several is not None


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
        (
            {"gradients": {"weight": X, "bias": X[0], "gamma": X[0]}},
            ValueError,
            r"gradients: expected those of \['bias', 'weight'\], got \['bias', 'gamma', 'weight'\]",
        ),
        ({"gradients": {"weight": X, "bias": X}}, ValueError, r"gradients\[bias\]: expected shape \(2,\)"),
        (
            {"gradients": {"weight": X, "bias": X[0].astype(np.float32)}},
            TypeError,
            r"gradients\[bias\]: expected float64",
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


@expects(
    x="batch features", share="batch features: 0 to 1", bias="features",
    eps="> 0", momentum="0 to 1", betas=">= 0, < 1", m=">= 2", reduction=("mean", "sum"), dtype="floating",
)  # fmt: skip
def everything(
    x: np.ndarray, share: np.ndarray, bias: np.ndarray | None, eps: float,
    momentum: float | None, betas: tuple[float, float], m: int, reduction: str, dtype: Any = np.float32,
) -> tuple:  # fmt: skip
    return x, share, bias, eps, momentum, betas, m, reduction, dtype


RIGHT: dict[str, Any] = {
    "x": np.ones((2, 3)),
    "share": np.ones((2, 3)) / 2,
    "bias": np.ones(3),
    "eps": 0.1,
    "momentum": 0.2,
    "betas": (0.3, 0.4),
    "m": 5,
    "reduction": "sum",
    "dtype": np.float64,
}


def test_what_is_declared_of_an_argument_is_asked_of_it_in_these_words():
    one, two = np.ones(1), np.ones((2, 3))
    for arguments, error, message in [
        ({"x": one}, ValueError, "x: expected shape (any, any), got (1,)"),
        ({"bias": one}, ValueError, "bias: expected shape (3,), got (1,)"),
        ({"bias": np.ones(3, np.float32)}, TypeError, "bias: expected float64 like x, got float32"),
        ({"share": two.T}, ValueError, "share: expected shape (2, 3), got (3, 2)"),
        ({"share": two * 2}, ValueError, "share: expected numbers from 0 to 1, got 2.0 to 2.0"),
        ({"share": two * np.nan}, ValueError, "share: expected numbers from 0 to 1, got nan to nan"),
        ({"eps": 0}, ValueError, "eps: expected a finite number > 0, got 0"),
        ({"eps": np.inf}, ValueError, "eps: expected a finite number > 0, got inf"),
        ({"momentum": 2.0}, ValueError, "momentum: expected None or a number from 0 to 1, got 2.0"),
        ({"betas": (0.5, 1.0)}, ValueError, "betas[1]: expected a number >= 0 and < 1, got 1.0"),
        ({"m": 1}, ValueError, "m: expected an integer >= 2, got 1"),
        ({"reduction": "Mean"}, ValueError, "reduction: expected one of mean, sum, got Mean"),
        ({"dtype": int}, TypeError, "dtype: expected a floating-point dtype, got <class 'int'>"),
    ]:
        for _ in range(2):  # nothing is remembered as right that was not
            with pytest.raises(error, match=f"^{re.escape(message)}$"):
                everything(**{**RIGHT, **arguments})


def test_what_is_as_declared_reaches_the_function_however_it_is_handed_over():
    for positional in range(len(RIGHT) + 1):
        values = list(RIGHT.items())
        found = everything(*(v for _, v in values[:positional]), **dict(values[positional:]))
        assert all(a is b for a, b in zip(found, RIGHT.values(), strict=True))
    changed = everything(**{**RIGHT, "eps": np.float32(0.5), "bias": None, "momentum": None})
    assert (changed[2], changed[3], type(changed[3]), changed[4]) == (None, 0.5, float, None)
    for arguments, message in [((), "missing 8 required"), ((*RIGHT.values(), 1), "takes from 8 to 9")]:
        with pytest.raises(TypeError, match=message):
            everything(*arguments)
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        everything(**RIGHT, y=1)


def test_a_gradient_must_be_like_what_its_cache_begins_with():
    @expects(dy="batch out", cache={"x": "batch in", "weight": "out in", "parts": 3})
    def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
        return dy

    cache = (np.ones((2, 3)), np.ones((4, 3)), "and more")
    assert backward(np.ones((2, 4)), cache).shape == (2, 4)
    with pytest.raises(ValueError, match=r"^dy: expected shape \(2, 4\), got \(2, 3\)$"):
        backward(np.ones((2, 3)), cache=cache)
    with pytest.raises(TypeError, match=r"^dy: expected float64 like x, got float32$"):
        backward(dy=np.ones((2, 4), np.float32), cache=cache)
    with pytest.raises(TypeError, match=r"^cache: expected the 3 parts that forward returned, got NoneType$"):
        backward(np.ones((2, 4)), None)


def test_a_number_may_stand_where_an_array_may():
    _, cache = mse_loss_forward(X, X - 1)
    for one in (1, 1.0, np.float64(1), np.array(1.0)):
        np.testing.assert_array_equal(mse_loss_backward(one, cache), X / 3)
    with pytest.raises(TypeError, match=r"^x: expected a floating-point array, got int$"):
        relu_forward(3)


@expects(x="any: 0 to 1", y="*shape", betas="0 to 1", eps="0 to 1", m=">=1", dtype="floating")
def several(
    x: np.ndarray, y: np.ndarray | None, betas: tuple[float, float], eps: float, m: int, dtype: Any,
    *others: Any, **named: Any,
) -> tuple:  # fmt: skip
    return betas, eps, m


def test_axes_in_front_of_the_named_ones_are_none_where_there_are_too_few():
    @expects(x="*batch rows columns depth")
    def last(x: np.ndarray) -> tuple:
        return x.shape[-3:]

    assert last(np.ones((5, 4, 3, 2))) == last(np.ones((4, 3, 2))) == (4, 3, 2)
    for shape in ((), (2,), (3, 2)):
        wrong = f"x: expected shape (any, any, any), got {shape}"
        with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
            last(np.ones(shape))


def test_numbers_reach_a_function_as_pythons():
    betas, eps, m = several(X, None, [0.5, 0.25], np.float32(0.5), np.int64(3), float)
    assert (betas, type(betas), type(eps), type(m)) == ((0.5, 0.25), tuple, float, int)
    assert several(X, None, np.array([0.5, 1]), 1, True, np.float32)[2] is True
    eps = several(X, None, (0.5, 0.5), np.int64(1), 3, float)[1]
    assert (eps, type(eps)) == (1, int)


@pytest.mark.parametrize("dtype", ["x", int, None, 3, {"names": ["a"]}, ("f4", -1)], ids=str)
def test_what_is_no_floating_point_dtype_is_named(dtype: Any):
    with pytest.raises(TypeError, match=r"^dtype: expected a floating-point dtype, got "):
        several(X, None, (0.5, 0.5), 0.5, 1, dtype)


def test_a_longdouble_keeps_its_digits_where_all_arrays_are_longdouble():
    """Wherever these are, and the dtype asked for; an array without axes is a number too."""
    third, one, x = np.longdouble(1) / 3, np.float64(1), X.astype(np.longdouble)
    for among in ((), ([x],), ((x, x),), ({"x": x},), ({"x": x}.values(),), (one,), (np.array(1.0),)):
        betas, eps, _ = several(x, x, (third, one), third, 3, np.longdouble, *among)
        assert (betas[0], eps) == (third, third), among
        assert several(x, x, (third, 1), third, 3, dtype=np.longdouble, among=among)[1] == third
    for among in ((X,), ([x, X],), ((X, x),), ({"x": X},), ({"x": X}.values(),), (np.float32,)):
        betas, eps, _ = several(x, x, (third, one), third, 3, np.longdouble, *among)
        assert (type(betas[0]), type(eps)) == (float, float), among
        assert type(several(x, x, (third, 1), third, 3, dtype=np.longdouble, among=among)[1]) is float


def test_a_dtype_with_something_noted_is_the_same_dtype():
    noted = np.ones(3, np.dtype(float, metadata={"unit": "m"}))
    assert several(np.ones(3), noted, (0.5, 0.5), 0.5, 1, float) == ((0.5, 0.5), 0.5, 1)


def test_there_are_many():
    assert len(PUBLIC) > 40


SEEDS = (0, None, np.random.default_rng(0), np.random.RandomState(0), np.random)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: type(seed).__name__)
def test_what_is_no_generator_of_ours_is_named(seed: Any):
    """Wherever one is asked for: a seed, NumPy's own generators, or none where something must be drawn."""
    x, network = np.ones((4, 3), np.float32), Network((3, 2), NumpyGenerator(0))
    optimizer, targets = SGD(network.parameters()), np.zeros(4, int)
    asking = [
        *(partial(draw, (2, 3), seed) for name, draw in INITIALIZERS.items() if name != "zeros"),
        lambda: Network((3, 2), seed),
        lambda: Linear(3, 2, seed),
        lambda: Dropout(0.5, seed),
        lambda: dropout_forward(x, 0.5, seed),
        lambda: minibatches(x, targets, 2, seed),
        lambda: train(network, optimizer, x, targets, epochs=1, batch_size=2, generator=seed),
    ]
    for ask in asking:
        with pytest.raises(TypeError, match=r"generator: expected one of scratch\.random, such as Numpy"):
            ask()
