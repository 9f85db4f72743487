"""What only a test can ask of the gradient check."""

import doctest

import numpy as np
import pytest
import torch

import scratch.gradient_check as ours
import torch_ref.gradient_check as theirs
from scratch.network import Network
from scratch.random import NumpyGenerator


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
def test_bad_input_is_named_alike_on_both_sides(change, error, message):
    arguments = {"x": np.ones(3), "gradient": np.ones(3), "eps": 1e-6} | change
    with pytest.raises(error, match=message):
        ours.gradient_check(cube, **arguments)
    tensors = {name: torch.tensor(value) if name != "eps" else value for name, value in arguments.items()}
    with pytest.raises(error, match=message):
        theirs.gradient_check(cube, **tensors)


def test_pytorch_only_warns_about_float32_where_we_refuse():
    x = torch.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="not a double precision"):
        torch.autograd.gradcheck(cube, x, raise_exception=False)
    with pytest.raises(TypeError, match="x: expected float64 or longer, got float32"):
        theirs.gradcheck(cube, x)


def test_two_wrong_shapes_have_no_relative_error():
    with pytest.raises(ValueError, match=r"b: expected shape \(3,\), got \(1, 3\)"):
        ours.relative_error(np.ones(3), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"b: expected shape \(3,\), got \(1, 3\)"):
        theirs.relative_error(torch.ones(3), torch.ones(1, 3))


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


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_whole_network_passes_by_way_of_its_flat_parameters(batch_norm):
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
    network = Network(
        (5, 4, 3), NumpyGenerator(0), activation="tanh", batch_norm=batch_norm, l2=0.5, dtype=np.float64
    )
    network.flat_parameters += 0.1 * rng.standard_normal(network.flat_parameters.shape)
    network.cost(network.forward(x), targets)
    network.backward()
    gradient = network.flat_gradients.copy()

    def cost(_):
        return network.cost(network.forward(x), targets)

    assert ours.gradient_check(cost, network.flat_parameters, gradient) < ours.PASSES
    assert ours.gradient_check(cost, network.flat_parameters, gradient * 1.001) > ours.PASSES


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(ours) == (0, 3)
