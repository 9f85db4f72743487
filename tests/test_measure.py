"""The yardstick itself: what it must see, and what it must let pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.measure import compare_arrays, compare_results

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_rounding_unit_of_the_largest_element_is_one_unit(dtype):
    a = np.array([1.0, 0.25], dtype)
    b = a + np.array([0, np.finfo(dtype).eps], dtype)
    difference = compare_arrays("a", b, a)
    assert difference.units == 1
    assert difference.index == (1,)
    assert difference.ulp == 4  # at 0.25 numbers lie four times as close as at 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_scale_decides_what_a_unit_is(dtype):
    a = np.array([1.0], dtype)
    b = a + np.finfo(dtype).eps
    assert compare_arrays("a", a, b, scale=1000.0).units == pytest.approx(1e-3)
    assert compare_arrays("a", a, b, scale=np.array([0.5])).units == 2
    assert compare_arrays("a", a, b, scale=0.0).units > 1e15


@pytest.mark.parametrize(
    ("a", "b"),
    [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (np.nan, np.inf), (0.0, -0.0)],
)
def test_patterns_must_agree_exactly(a, b):
    difference = compare_arrays("a", np.array([1.0, a]), np.array([1.0, b]))
    assert difference.units == np.inf
    assert difference.index == (1,)
    assert "differs" in difference.problem


def test_equal_patterns_pass():
    a = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0])
    assert compare_arrays("a", a, a.copy()).units == 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros(3), np.zeros((3, 1))),
        (np.zeros(3), np.zeros(3, np.float32)),
        (np.array([1, 2]), np.array([1, 3])),
    ],
)
def test_shape_dtype_and_integers_must_agree_exactly(a, b):
    assert compare_arrays("a", a, b).units == np.inf


def test_a_missing_or_an_extra_array_is_a_difference():
    one = np.ones(1)
    found = compare_results({"y": one, "dx": one}, {"y": one, "dw": one})
    assert [(d.array, d.problem) for d in found[1:]] == [
        ("dx", "only scratch returns it"),
        ("dw", "only torch returns it"),
    ]


@given(st.floats(allow_nan=False, width=32), st.integers(0, 1000))
def test_ulp_distance_counts_representable_numbers(start, steps):
    a = b = np.float32(start)
    with np.errstate(all="ignore"):  # the largest number may be passed
        for _ in range(steps % 20):
            b = np.nextafter(b, np.float32(np.inf))
        difference = compare_arrays("a", np.array([a]), np.array([b]), scale=np.float64(1e300))
    if np.isfinite(a) and np.isfinite(b) and not difference.problem:
        assert difference.ulp == steps % 20 if a != 0 else difference.ulp <= steps % 20


@pytest.mark.parametrize(("scale", "units"), [(None, np.inf), (0.0, np.inf), (1e-320, 0), (1.0, np.inf)])
def test_the_sign_of_zero_is_open_only_where_something_underflows(scale, units):
    assert compare_arrays("a", np.array([0.0]), np.array([-0.0]), scale).units == units
    assert compare_arrays("a", np.array([0.0]), np.array([-0.0]), scale and np.array([scale])).units == units
