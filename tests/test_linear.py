"""What only a test can ask of the affine layer: its errors, on both sides alike."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from laws import each_side, in_any_dtype, run, seeded

from compare.cases.choices import any_seed, any_size, laid_out
from compare.component import Case
from scratch.linear import Linear, linear_backward, linear_forward
from scratch.random import NumpyGenerator


def test_a_dtype_that_says_more_about_its_numbers_is_still_the_same():
    x, weight = np.ones((3, 4)), np.ones((2, 4))
    y, _ = linear_forward(x, weight.astype(np.dtype(float, metadata={"unit": "volt"})), None)
    np.testing.assert_array_equal(y, linear_forward(x, weight, None)[0])


def test_a_gradient_of_the_input_that_nobody_wants_is_left_out():
    layer, x = Linear(4, 2, NumpyGenerator(0)), np.ones((3, 4), np.float32)
    wanted = layer.backward(layer.forward(x)), *(gradient.copy() for gradient in layer.gradients.values())
    unwanted = layer.backward(layer.forward(x), input_gradient=False), *layer.gradients.values()
    assert unwanted[0] is None
    np.testing.assert_equal(unwanted[1:], wanted[1:])


@pytest.mark.parametrize("front", [(), (1,), (6,), (2, 3), (2, 1, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_axes_in_front_are_pytorchs_and_their_examples_the_rows_of_one_matrix(front, bias):
    rng = np.random.default_rng(0)
    x, dy, weight = (rng.standard_normal(shape) for shape in ((*front, 4), (*front, 3), (3, 4)))
    b = rng.standard_normal(3) if bias else None
    y, cache = linear_forward(x, weight, b)
    gradients = linear_backward(dy, cache)
    inputs = [torch.tensor(array, requires_grad=True) for array in (x, weight, b) if array is not None]
    right = torch.nn.functional.linear(*inputs)
    expected = torch.autograd.grad(right, inputs, torch.tensor(dy))
    np.testing.assert_allclose(y, right.detach().numpy(), rtol=1e-14, atol=1e-14, strict=True)
    for found, of_torch in zip(gradients, expected, strict=False):
        np.testing.assert_allclose(found, of_torch.numpy(), rtol=1e-13, atol=1e-14, strict=True)
    rows = math.prod(front)
    _, cache_of_rows = linear_forward(x.reshape(rows, 4), weight, b)
    _, dweight, dbias = linear_backward(dy.reshape(rows, 3), cache_of_rows)
    np.testing.assert_array_equal(gradients[1], dweight)
    np.testing.assert_array_equal(gradients[2], dbias)


def test_a_layer_takes_sequences_and_sums_the_gradients_of_all_steps():
    layer, twin = Linear(4, 2, NumpyGenerator(0)), Linear(4, 2, NumpyGenerator(0))
    x = np.random.default_rng(0).standard_normal((3, 5, 4), np.float32)
    dy = np.random.default_rng(1).standard_normal((3, 5, 2), np.float32)
    layer.forward(x)
    dx = layer.backward(dy)
    twin.forward(x.reshape(15, 4))
    np.testing.assert_allclose(dx.reshape(15, 4), twin.backward(dy.reshape(15, 2)), rtol=1e-6)
    np.testing.assert_equal(layer.gradients, twin.gradients)


@pytest.mark.parametrize(
    ("x", "dy", "message"),
    [
        ((), (3,), r"x: expected shape \(4,\), got \(\)"),
        ((3,), (3,), r"x: expected shape \(4,\), got \(3,\)"),
        ((2, 3, 4), (6, 3), r"dy: expected shape \(2, 3, 3\), got \(6, 3\)"),
        ((2, 3, 4), (3, 2, 3), r"dy: expected shape \(2, 3, 3\), got \(3, 2, 3\)"),
        ((4,), (1, 3), r"dy: expected shape \(3,\), got \(1, 3\)"),
    ],
)
def test_other_axes_than_those_of_the_input_are_named(x, dy, message):
    with pytest.raises(ValueError, match=message):
        linear_backward(np.ones(dy), linear_forward(np.ones(x), np.ones((3, 4)), None)[1])


def whole_numbers(choose, dtype) -> Case:
    """Small whole numbers: no sum and no product of them is rounded, so that laws hold exactly"""
    batch, fan_in, fan_out = any_size(choose, 0), any_size(choose), any_size(choose)
    shapes = {"x": (batch, fan_in), "weight": (fan_out, fan_in), "bias": (fan_out,), "dy": (batch, fan_out)}
    rng = np.random.default_rng(any_seed(choose))
    arrays = {
        key: laid_out(choose, rng.integers(-9, 10, shape).astype(dtype)) for key, shape in shapes.items()
    }
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
