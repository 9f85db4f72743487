"""What only a test can ask of the affine layer: its errors, on both sides alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import each_side, in_any_dtype, run, seeded
from strategies.arrays import SEEDS, laid_out, sizes

import scratch.linear as ours
from compare.component import Case
from scratch.linear import linear_backward, linear_forward
from scratch.random import NumpyGenerator

BAD = [
    ({"x": np.ones((3, 4), np.float32)}, TypeError, r"weight: expected float32 like x, got float64"),
    ({"x": np.ones((3, 4), np.int64)}, TypeError, r"x: expected a floating-point array, got int64"),
    ({"x": np.ones((3, 5))}, ValueError, r"x: expected shape \(any, 4\), got \(3, 5\)"),
    ({"weight": np.ones(4)}, ValueError, r"weight: expected shape \(any, any\), got \(4,\)"),
    ({"bias": np.ones(3)}, ValueError, r"bias: expected shape \(2,\), got \(3,\)"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    arrays = {"x": np.ones((3, 4)), "weight": np.ones((2, 4)), "bias": np.ones(2)} | change
    with pytest.raises(error, match=message):
        linear_forward(**arrays)


def test_a_dtype_that_says_more_about_its_numbers_is_still_the_same():
    x, weight = np.ones((3, 4)), np.ones((2, 4))
    y, _ = linear_forward(x, weight.astype(np.dtype(float, metadata={"unit": "volt"})), None)
    np.testing.assert_array_equal(y, linear_forward(x, weight, None)[0])


def test_upstream_gradient_of_the_wrong_shape_is_refused():
    _, cache = linear_forward(np.ones((3, 4)), np.ones((2, 4)), None)
    with pytest.raises(ValueError, match=r"dy: expected shape \(3, 2\), got \(3, 4\)"):
        linear_backward(np.ones((3, 4)), cache)


@pytest.mark.parametrize(("sizes", "name"), [((0, 3), "in_features"), ((3, 0), "out_features")])
def test_a_layer_without_features_is_refused(sizes, name):
    with pytest.raises(ValueError, match=f"{name}: expected an integer >= 1, got 0"):
        ours.Linear(*sizes, NumpyGenerator(0))


@st.composite
def whole_numbers(draw, dtype) -> Case:
    """Small whole numbers: no sum and no product of them is rounded, so that laws hold exactly"""
    batch, fan_in, fan_out = draw(sizes(0)), draw(sizes()), draw(sizes())
    shapes = {"x": (batch, fan_in), "weight": (fan_out, fan_in), "bias": (fan_out,), "dy": (batch, fan_out)}
    rng = np.random.default_rng(draw(SEEDS))
    arrays = {key: laid_out(draw, rng.integers(-9, 10, shape).astype(dtype)) for key, shape in shapes.items()}
    return Case("whole numbers", arrays, dtype=dtype)


@each_side
@seeded
@given(case=in_any_dtype(whole_numbers))
def test_the_layer_is_linear(side, case):
    x, z = case["x"], case["x"][::-1]
    zero, here, there, mixed = (
        run(side, "linear", case, x=value)["output"] for value in (0 * x, x, z, 3 * x - 2 * z)
    )
    np.testing.assert_array_equal(zero, np.broadcast_to(case["bias"], zero.shape))
    np.testing.assert_array_equal(mixed - zero, 3 * (here - zero) - 2 * (there - zero))


@each_side
@seeded
@given(case=in_any_dtype(whole_numbers))
def test_every_gradient_is_the_adjoint_of_the_forward_pass(side, case):
    """⟨dy, x Wᵀ⟩ = ⟨dx, x⟩ = ⟨dW, W⟩ and ⟨dy, b⟩ = ⟨db, b⟩: the pass is linear in each of the three"""
    results = run(side, "linear", case)
    product = (case["dy"] * (results["output"] - case["bias"])).sum()
    assert (results["grad.x"] * case["x"]).sum() == product
    assert (results["grad.weight"] * case["weight"]).sum() == product
    assert (results["grad.bias"] * case["bias"]).sum() == (case["dy"] * case["bias"]).sum()
