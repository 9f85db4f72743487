"""What the topics share of their edges: how a case is taken to one, and why the two sides part at some."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from compare.component import Case, Edge, Results

BAD = (("NaN", math.nan), ("+∞", math.inf), ("negative", -0.1))  # what no hyperparameter may be

SUBNORMAL = ("smallest subnormal", "−smallest subnormal")
LARGEST = ("largest float", "−largest float")
INFINITE = ("+∞", "−∞")
FLOAT32, FLOAT64 = ("float32",), ("float64",)

# What a departure may depend on:
ADDITION = "the order in which the kernel of a matrix product adds"
FUSION = "whether PyTorch's kernel multiplies and adds in one operation"
ROOT = "how a library rounds the last digit of a square root"
AVX512 = "whether PyTorch's kernel computes with AVX-512"
AVX2 = "whether PyTorch's kernel computes with AVX2 at most"

OVERFLOW = (
    "Partial sums overflow to +∞ and −∞ in the order in which a kernel adds, and ∞ − ∞ is NaN: each library"
    " has its own order."
)
BEYOND = "The number is beyond float32: PyTorch refuses to convert it, NumPy makes it infinite."


def edge(
    base: Case, name: str, what: str = "", arrays: Mapping[str, Any] | None = None, **options: Any
) -> Edge:
    """The base with some arrays and options changed."""
    return Edge(name, what, base.but(base.name, arrays, **options))


def at(base: Case, option: str, *values: Any, **others: Any) -> Iterator[Edge]:
    """An option at each of the values."""
    for value in values:
        yield edge(base, setting(option, value), **{option: value, **others})


def bad(base: Case, option: str, **others: Any) -> Iterator[Edge]:
    """An option that is no number, infinite and negative."""
    for name, value in BAD:
        yield edge(base, f"{option} {name}", **{option: value, **others})


def setting(option: str, value: Any) -> str:
    """eps = 5e−324"""
    return (
        f"{option} = {value}".replace("e+", "e").replace("-", "−").replace("nan", "NaN").replace("inf", "∞")
    )


def unsigned_zeros(array: Any) -> Any:
    """0 for −0, where it is a product with a sum that is 0 but for rounding: so the sign is a rounding's."""
    return array + 0


def without_signs(results: Results) -> Results:
    """The same of every array: of differences, sums and what is multiplied with them."""
    return {name: unsigned_zeros(array) for name, array in results.items()}


def elementwise(base: Case) -> Iterator[Edge]:
    """Of functions of single numbers: shapes of one number, and of none."""
    for name, shape in (("a single number", ()), ("an empty vector", (0,)), ("no features", (3, 0))):
        yield edge(base, name, arrays={name: np.full(shape, 0.7, base.dtype) for name in base.arrays})
