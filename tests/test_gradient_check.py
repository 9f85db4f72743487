"""What only a test can ask of the gradient check."""

import doctest

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import given
from hypothesis import strategies as st
from laws import each_side, seeded

import scratch.gradient_check as ours
import torch_ref.gradient_check as theirs
from compare.cases.choices import any_seed, any_size, floats, laid_out


def cube(x):
    return (x**3).sum()


BAD = [
    ({"x": np.ones(3, np.float32)}, TypeError, r"x: expected float64 or longer, got float32"),
    ({"x": np.ones(3, np.int64)}, TypeError, r"x: expected a floating-point array, got int64"),
    ({"gradient": np.ones(3, np.float32)}, TypeError, r"gradient: expected float64 like x, got float32"),
    ({"gradient": np.ones((1, 3))}, ValueError, r"gradient: expected shape \(3,\), got \(1, 3\)"),
    ({"eps": 0.0}, ValueError, r"eps: expected a finite number > 0, got 0.0"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    arguments = {"x": np.ones(3), "gradient": np.ones(3), "eps": 1e-6} | change
    with pytest.raises(error, match=message):
        ours.gradient_check(cube, **arguments)


def test_of_float32_there_is_no_numerical_gradient():
    with pytest.raises(TypeError, match=r"x: expected float64 or longer, got float32"):
        ours.numerical_gradient(cube, np.ones(3, np.float32))


def test_two_wrong_shapes_have_no_relative_error():
    with pytest.raises(ValueError, match=r"b: expected shape \(3,\), got \(1, 3\)"):
        ours.relative_error(np.ones(3), np.ones((1, 3)))


def test_x_is_restored_even_when_f_fails():
    x = np.array([0.1, 0.2])

    def fails(x):
        raise RuntimeError("no value")

    with pytest.raises(RuntimeError, match="no value"):
        ours.numerical_gradient(fails, x)
    assert x.tolist() == [0.1, 0.2]


def test_two_sides_are_exact_for_a_square_and_longdouble_is_closer():
    x = np.array([0.5, -2.0])
    np.testing.assert_allclose(ours.numerical_gradient(lambda x: (x**2).sum(), x, 0.5), 2 * x)
    long = x.astype(np.longdouble)
    gradient = ours.numerical_gradient(cube, long)
    assert gradient.dtype == np.longdouble
    if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
        assert ours.relative_error(gradient, 3 * long**2) < ours.relative_error(
            ours.numerical_gradient(cube, x), 3 * x**2
        )


def test_nothing_is_recorded_or_asked_of_the_tensors_that_f_uses():
    x, weight = torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64, requires_grad=True)

    def f(x):
        return (weight * x**3).sum()

    assert not theirs.numerical_gradient(f, x).requires_grad
    assert theirs.gradcheck(f, x)
    assert not x.requires_grad


def test_the_step_of_pytorchs_check_is_the_one_given():
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    assert theirs.gradcheck(cube, x)
    assert not theirs.gradcheck(cube, x, eps=0.5)  # two-sided differences of a cube are off by eps²


def test_the_numerical_gradient_is_taken_where_x_lies():
    x = torch.ones(3, dtype=torch.float64, device="meta")  # a device that every machine has, without memory
    assert theirs.numerical_gradient(cube, x).is_meta


def test_a_gradient_wrong_by_less_than_a_thousandth_passes_pytorchs_check_only():
    class Slightly(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, dy):
            return dy * (1 + 1e-4)

    x = np.array([0.5, -2.0, 3.0])
    assert theirs.gradcheck(lambda x: cube(Slightly.apply(x)), torch.from_numpy(x))
    assert ours.gradient_check(cube, x, 3 * x**2 * (1 + 1e-4)) > ours.PASSES


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(ours) == (0, 3)


def quadratics(choose):
    """½·xᵀAx + bᵀx at some x, and ε: whole numbers and a power of two, so that nothing is rounded"""
    n, rng = any_size(choose, 1, 6), np.random.default_rng(any_seed(choose))
    half, b, x = (rng.integers(-9, 10, shape).astype(np.float64) for shape in ((n, n), n, n))
    return half + half.T, b, laid_out(choose, x), 2.0 ** choose.integer(-20, 6)


def numerical(side, f, x, eps):
    if side == "scratch":
        return ours.numerical_gradient(f, x.copy(order="K"), eps)
    return theirs.numerical_gradient(f, torch.from_numpy(x.copy()), eps).numpy()


@each_side
@seeded
@given(made(quadratics))
def test_two_sides_are_exact_for_every_quadratic_whatever_the_step(side, problem):
    a, b, x, eps = problem

    def f(x):
        matrix, vector = (a, b) if side == "scratch" else (torch.from_numpy(a), torch.from_numpy(b))
        return (x @ matrix @ x) / 2 + vector @ x

    np.testing.assert_array_equal(numerical(side, f, x, eps), a @ x + b)


@each_side
@seeded
@given(made(quadratics))
def test_for_a_cube_two_sides_are_off_by_the_square_of_the_step(side, problem):
    """((x + ε)³ − (x − ε)³)/(2ε) = 3x² + ε²: exactly so for whole numbers and a power of two not too small"""
    _, _, x, _ = problem
    for eps in (2.0**-10, 0.5, 4.0):
        np.testing.assert_array_equal(numerical(side, cube, x, eps), 3 * x**2 + eps**2)


@each_side
@seeded
@given(a=st.integers(0, 2).flatmap(lambda n: made(floats, (3,) * n, np.float64)), seed=made(any_seed))
def test_the_relative_error_is_a_relative_error(side, a, seed):
    """Between 0 and 1, symmetric, and the same in any unit of measure"""

    def error(a, b):
        if side == "scratch":
            return float(ours.relative_error(a, b))
        return float(theirs.relative_error(*(torch.from_numpy(np.array(value)) for value in (a, b))))

    b = np.asarray(np.random.default_rng(seed).standard_normal(a.shape))
    assert 0 <= error(a, b) <= 1 + 1e-15
    assert error(a, b) == error(b, a) == error(a * 1024, b * 1024)
    assert error(a, a) == 0
    assert error(b, -b) == pytest.approx(1, rel=1e-15)
    assert error(b, 0 * b) == 1
    assert error(b, b * 3) == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("training", [True, False])
def test_the_check_finds_a_mistake_of_pytorchs(training):
    """Its batch norm, on a CPU, reads a γ that is every other element of an array as if it were contiguous

    (running statistics too), in the backward pass alone. What `BatchNorm1d` makes for itself is contiguous.
    """
    rng = np.random.default_rng(0)
    x, dy, gamma = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((4, 3), (4, 3), (6,)))
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)

    def f(gamma):
        def value(x):
            return (dy * torch.nn.functional.batch_norm(x, mean, variance, gamma, None, training)).sum()

        return value

    assert theirs.gradcheck(f(gamma[::2].contiguous()), x)
    assert not theirs.gradcheck(f(gamma[::2]), x)
    eps = 1e-5
    mu, var = (x.numpy().mean(0), x.numpy().var(0)) if training else (mean.numpy(), variance.numpy())
    by_hand = gamma[::2].numpy() * (x.numpy() - mu) / np.sqrt(var + eps)
    strided = torch.nn.functional.batch_norm(x, mean, variance, gamma[::2], None, training)
    np.testing.assert_allclose(strided, by_hand, rtol=1e-12)  # the forward pass is right
