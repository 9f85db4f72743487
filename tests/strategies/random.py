"""Random streams: any seed, sizes around the borders of blocks and of the engine, any layout and argument."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from compare.cases.random import Call, make_case
from compare.component import Case
from strategies.arrays import NAME, Inputs, sizes

SEEDS = st.integers(-(2**63), 2**64 - 1)
BORDERS = [0, 1, 2, 15, 16, 17, 31, 32, 33, 311, 312, 313, 623, 624, 625]  # blocks of 16, 624 words
LENGTHS = st.sampled_from(BORDERS) | st.integers(0, 700)
DTYPES = st.sampled_from(["", "float32", "float64"])  # "": that of the case
PROBABILITIES = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)
Calls = Callable[[Any], SearchStrategy[Call]]  # dtype of the case → a call


def of_case(chosen: str, dtype: Any) -> Any:
    """The dtype that a call will have."""
    return np.dtype(chosen or dtype).type


def shapes(*lengths: int) -> SearchStrategy[tuple[int, ...]]:
    """A shape of so many lengths."""
    return st.tuples(*[sizes(0, most) for most in lengths])


SIZES = LENGTHS | shapes() | shapes(40, 20) | shapes(9, 9, 9)


@st.composite
def layouts(draw: Any) -> tuple[Any, str]:
    """The size of a base, and what is looked at of it."""
    view = draw(st.sampled_from(["", "transposed", "every other column", "axes swapped"]))
    if view == "":
        return draw(SIZES), view
    return draw(shapes(9, 9, 9) if view == "axes swapped" else shapes(30, 30)), view


def plain(method: str) -> Calls:
    """`rand` and `randn`, which know no arguments"""
    return lambda dtype: st.builds(Call, st.just(method), SIZES, dtype=DTYPES)


def of_length(method: str, lengths: SearchStrategy[int]) -> Calls:
    """`randperm` and `epoch_order`"""
    return lambda dtype: st.builds(Call, st.just(method), arguments=st.tuples(lengths))


@st.composite
def fills(draw: Any, dtype: Any, method: str, arguments: Callable[[Any], SearchStrategy[tuple]]) -> Call:
    """A method that fills an array, whatever its layout."""
    (size, view), chosen = draw(layouts()), draw(DTYPES)
    return Call(method, size, draw(arguments(of_case(chosen, dtype))), view, chosen)


def numbers(dtype: Any, least: float | None = None) -> SearchStrategy[float]:
    """Of any size up to a tenth of the largest: 6.8 standard deviations must not overflow; often near 1."""
    most = float(dtype(np.finfo(dtype).max / 10))
    width = 8 * np.dtype(dtype).itemsize
    low, near = (-most, -3.0) if least is None else (least, least)
    return st.floats(near, 3) | st.floats(low, most, width=width)  # type: ignore[arg-type]


def bounds(dtype: Any) -> SearchStrategy[tuple[float, float]]:
    """low ≤ high"""
    return st.tuples(numbers(dtype), numbers(dtype)).map(lambda pair: (min(pair), max(pair)))


def moments(dtype: Any) -> SearchStrategy[tuple[float, float]]:
    """Mean and standard deviation"""
    return st.tuples(numbers(dtype), numbers(dtype, 0.0))


def probabilities(dtype: Any) -> SearchStrategy[tuple[float]]:
    """p"""
    return st.tuples(PROBABILITIES)


@st.composite
def integers(draw: Any, dtype: Any) -> Call:
    """Widths of every order of magnitude, anywhere in the range of an int64."""
    bits = draw(st.integers(0, 63) | st.sampled_from([28, 32]))
    width = min(2**bits + draw(st.integers(-1, 2**bits)), 2**64 - 1)
    low = draw(st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1))
    low = max(min(low, 2**63 - 1 - width), -(2**63))
    high = min(low + max(width, 1), 2**63 - 1)
    return Call("randint", arguments=(low, high, draw(SIZES)))


METHODS: dict[str, Calls] = {
    "rand": plain("rand"),
    "uniform": lambda dtype: fills(dtype, "uniform", bounds),
    "randn": plain("randn"),
    "normal": lambda dtype: fills(dtype, "normal", moments),
    "bernoulli": lambda dtype: fills(dtype, "bernoulli", probabilities),
    "dropout_mask": lambda dtype: fills(dtype, "dropout_mask", probabilities),
    "randint": integers,
    "randperm": of_length("randperm", LENGTHS),
    "epoch_order": of_length("epoch_order", st.integers(1, 100)),
}


def of_one(method: str) -> Callable[[Any], SearchStrategy[Case]]:
    """A few calls of one method, from anywhere between the words of the engine."""

    @st.composite
    def cases(draw: Any, dtype: Any) -> Case:
        before = Call("rand", draw(LENGTHS), dtype="float32")
        calls = draw(st.lists(METHODS[method](dtype), min_size=1, max_size=3))
        return make_case(NAME, [before, *calls], draw(SEEDS), dtype)

    return cases


@st.composite
def of_all(draw: Any, dtype: Any) -> Case:
    """Calls of all methods, one after the other, PyTorch and NumPy taking turns."""
    calls, ours = [], True
    any_call = st.one_of([method(dtype) for method in METHODS.values()])
    for step in draw(st.lists(st.sampled_from(["draw", "draw", "hand over", "elsewhere"]), max_size=6)):
        if step == "draw":
            calls.append(draw(any_call))
        elif step == "hand over":
            calls.append(Call("to PyTorch" if ours else "to NumPy"))
            ours = not ours
        else:
            calls.append(Call("elsewhere"))
    return make_case(NAME, calls, draw(SEEDS), dtype)


INPUTS: Inputs = {**{method: of_one(method) for method in METHODS}, "generator_state": of_all}
