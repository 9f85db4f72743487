"""What only a test can ask of the activations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from laws import allowed, changed, each_side, in_any_dtype, run, seeded

import scratch.activations as ours
import torch_ref.activations as theirs
from compare.cases.activations import COMPONENTS, leaky_random_case, random_case

NAMES = tuple(component.name for component in COMPONENTS)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match=r"activation: expected one of relu, leaky_relu, .* got swish"):
        ours.Activation("swish")


def test_the_layer_has_the_slope_of_pytorchs_layer():
    x = np.array([-2.0, 3.0])
    layer = ours.Activation("".join(["leaky_", "relu"]))  # which is the name, if not the same string
    assert layer.forward(x).tolist() == torch.nn.LeakyReLU()(torch.from_numpy(x)).tolist() == [-0.02, 3.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_relu_lets_gradients_through_as_they_are_or_not_at_all(dtype):
    """Infinities, NaN and signs of zeros too, in numbers of any length."""
    dy = np.array([1.5, -1.5, np.inf, -np.inf, np.nan, 0.0, -0.0], dtype)
    for off in (False, True):
        dx = ours.relu_backward(dy, ours.relu_forward(np.full(7, -1.0 if off else 1.0, dtype))[1])
        expected = np.zeros(7, dtype) if off else dy
        np.testing.assert_array_equal(dx, expected)
        np.testing.assert_array_equal(np.signbit(dx), np.signbit(expected))
        assert dx.dtype == dtype


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_relu_is_idempotent_and_splits_x_and_its_gradient_in_two(side, case):
    x, here, there = case["x"], run(side, "relu", case), run(side, "relu", case, x=-case["x"])
    again = run(side, "relu", case, x=here["output"])
    np.testing.assert_array_equal(again["output"], here["output"])
    np.testing.assert_array_equal(again["grad.x"], here["grad.x"])
    np.testing.assert_array_equal(here["output"] - there["output"], x)
    np.testing.assert_array_equal(here["grad.x"] + there["grad.x"], np.where(x == 0, 0, case["dy"]))


@each_side
@seeded
@given(case=in_any_dtype(leaky_random_case))
def test_leaky_relu_is_two_relus(side, case):
    """relu(x) − a·relu(−x), and at the kink the slope of the left side"""
    slope, x, dy = case.dtype(case.options.get("negative_slope", 0.01)), case["x"], case["dy"]
    leaky, plain = run(side, "leaky_relu", case), replace(case, options={})
    positive, negative = (run(side, "relu", plain, x=sign * x) for sign in (1, -1))
    np.testing.assert_array_equal(leaky["output"], positive["output"] - slope * negative["output"])
    left = np.where(x == 0, dy, negative["grad.x"])
    np.testing.assert_array_equal(leaky["grad.x"], positive["grad.x"] + slope * left)


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_tanh_is_odd_and_its_slope_even(side, case):
    here, there = run(side, "tanh", case), run(side, "tanh", case, x=-case["x"])
    np.testing.assert_array_equal(there["output"], -here["output"])
    np.testing.assert_array_equal(there["grad.x"], here["grad.x"])
    assert (np.abs(here["output"]) <= 1).all()


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_the_sigmoids_of_x_and_minus_x_add_up_to_1(side, case):
    here, there = run(side, "sigmoid", case)["output"], run(side, "sigmoid", case, x=-case["x"])["output"]
    unit = np.finfo(case.dtype).eps
    np.testing.assert_allclose(here + there, np.ones_like(here), rtol=0, atol=2 * unit)


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_the_sigmoid_is_a_tanh_of_half_the_width(side, case):
    """σ(x) = (1 + tanh(x/2))/2, each within its budget, and 1 + tanh rounded once"""
    sigmoid, half = run(side, "sigmoid", case), run(side, "tanh", case, x=case["x"] / 2)
    unit = np.finfo(case.dtype).eps
    np.testing.assert_allclose(sigmoid["output"], (1 + half["output"]) / 2, rtol=0, atol=8 * unit)
    dy = np.abs(case["dy"])
    assert (np.abs(sigmoid["grad.x"] - half["grad.x"] / 4) <= 8 * unit * dy).all()


@each_side
@pytest.mark.parametrize("name", ["gelu", "silu", "softplus"])
@seeded
@given(case=in_any_dtype(random_case))
def test_a_smooth_relu_splits_x_and_its_gradient_in_two(side, name, case):
    """y(x) − y(−x) = x, as max(x, 0) − max(−x, 0), each within its budget; and the slopes add up to 1"""
    if name == "softplus":  # to the last digit, which PyTorch's shortcut above 20 is not
        case = case.but(case.name, threshold=60.0)
    there = changed(case, x=-case["x"])
    off = {of: sum(allowed(name, one, of) for one in (case, there)) for of in ("output", "grad.x")}
    unit = np.finfo(case.dtype).eps
    one, other = run(side, name, case), run(side, name, there)
    split = one["output"].astype(np.longdouble) - other["output"]
    assert (np.abs(split - case["x"]) <= off["output"] + 4 * unit * np.abs(case["x"])).all()
    slopes = one["grad.x"].astype(np.longdouble) + other["grad.x"]
    assert (np.abs(slopes - case["dy"]) <= off["grad.x"] + 4 * unit * np.abs(case["dy"])).all()


@pytest.mark.parametrize("side", [ours, theirs], ids=["scratch", "torch"])
def test_the_approximation_of_gelu_is_off_by_half_a_thousandth_and_that_by_a_sigmoid_by_a_fiftieth(side):
    x = np.linspace(-6, 6, 4001)
    if side is ours:
        exact, approximate = (ours.gelu_forward(x, how)[0] for how in ("none", "tanh"))
    else:
        exact, approximate = (theirs.gelu(torch.from_numpy(x), how).numpy() for how in ("none", "tanh"))
    assert 4e-4 < np.abs(exact - approximate).max() < 5e-4
    assert 0.02 < np.abs(exact - x / (1 + np.exp(-1.702 * x))).max() < 0.021


@each_side
@pytest.mark.parametrize("name", NAMES)
@seeded
@given(case=in_any_dtype(random_case))
def test_the_backward_pass_is_linear_in_the_upstream_gradient(side, name, case):
    """Exactly so for powers of two, as long as nothing is subnormal"""
    once, twice = (run(side, name, case, dy=factor * case["dy"])["grad.x"] for factor in (1, -4))
    # An intermediate of silu, σ(x), is smaller than its product with x.
    small = np.abs(once) < np.finfo(case.dtype).tiny * (1 + np.abs(case["x"]))
    np.testing.assert_array_equal(twice[~small], -4 * once[~small])
