"""What only a test can ask of the penalty and of dropout."""

import numpy as np
import pytest
import torch

import scratch.regularization as ours
import torch_ref.regularization as theirs
from compare.draws import SharedDraws
from scratch.random import NumpyGenerator

BAD_PENALTY = [
    ({"l2": -0.1}, ValueError, r"l2: expected a finite number >= 0, got -0.1"),
    ({"l2": float("inf")}, ValueError, r"l2: expected a finite number >= 0, got inf"),
    ({"m": 0}, ValueError, r"m: expected an integer >= 1, got 0"),
    ({"weights": [np.arange(3)]}, TypeError, r"weights\[0\]: expected a floating-point array, got int64"),
    (
        {"weights": [np.ones(3), np.ones(3, np.float32)]},
        TypeError,
        r"weights\[1\]: expected float64 like weights\[0\], got float32",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_PENALTY)
def test_bad_input_of_the_penalty_is_named_alike_on_both_sides(change, error, message):
    arguments = {"weights": [np.ones((2, 3))], "l2": 0.1, "m": 5} | change
    with pytest.raises(error, match=message):
        ours.l2_penalty(**arguments)
    arguments["weights"] = [torch.from_numpy(weight) for weight in arguments["weights"]]
    with pytest.raises(error, match=message):
        theirs.l2_penalty(**arguments)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_p_that_is_no_probability_is_named_alike_on_both_sides(p):
    message = f"p: expected a probability from 0 to 1, got {p}"
    for make in (lambda: ours.Dropout(p, NumpyGenerator(0)), lambda: theirs.Dropout(p)):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(ValueError, match=message):
        ours.dropout_forward(np.ones(3), p, NumpyGenerator(0))
    with pytest.raises(ValueError, match=message):
        theirs.dropout(torch.ones(3), p)


def test_an_integer_array_is_refused_alike_on_both_sides():
    message = "x: expected a floating-point array, got int64"
    with pytest.raises(TypeError, match=message):
        ours.dropout_forward(np.arange(3), 0.5, NumpyGenerator(0))
    with pytest.raises(TypeError, match=message):
        theirs.dropout(torch.arange(3), 0.5)


def test_upstream_gradient_of_another_shape_is_refused():
    _, cache = ours.dropout_forward(np.ones((2, 3)), 0.5, NumpyGenerator(0))
    with pytest.raises(ValueError, match=r"dy: expected shape \(2, 3\), got \(3,\)"):
        ours.dropout_backward(np.ones(3), cache)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (1.0, True), (0.5, False)])
def test_nothing_is_drawn_where_nothing_depends_on_chance(p, training):
    x, dry = np.ones((2, 3)), None
    ours.dropout_forward(x, p, dry, training)
    with SharedDraws(dry):
        theirs.dropout(torch.from_numpy(x), p, training)


def test_layers_agree_and_start_in_training():
    x = np.random.default_rng(0).standard_normal((13, 7))
    layer, twin = ours.Dropout(0.3, NumpyGenerator(1)), theirs.Dropout(0.3)
    with SharedDraws(NumpyGenerator(1)):
        for training in (True, False, True):
            layer.training = training
            y = twin.train(training)(torch.from_numpy(x))
            np.testing.assert_array_equal(layer.forward(x), y.numpy())
            np.testing.assert_array_equal(layer.backward(x), y.numpy())  # dy = x: the same products
    assert ours.Dropout(0.3, NumpyGenerator(1)).training
    assert layer.parameters == layer.gradients == {}


def test_rescaling_keeps_the_expectation():
    n, p = 100_000, 0.8
    y, _ = ours.dropout_forward(np.ones(n), p, NumpyGenerator(0))
    standard_error = np.sqrt(p / (1 - p) / n)
    assert abs(y.mean() - 1) < 5 * standard_error
    assert abs(y.mean() - 1 / (1 - p)) > 5 * standard_error  # what keeping everything would give


def adam(weight_decay: float, optimizer: type[torch.optim.Optimizer]) -> torch.Tensor:
    """One step of size 0.1 from W = 3 with the gradient 0.5 of the cost without penalty."""
    weight = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor([0.5], dtype=torch.float64)
    optimizer([weight], lr=0.1, weight_decay=weight_decay, eps=0.1).step()
    return weight.detach()


def test_weight_decay_is_the_penalty_for_adam_and_not_for_adamw():
    l2, m = 0.7, 4
    weight = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    (0.5 * weight.sum() + theirs.l2_penalty([weight], l2, m)).backward()
    torch.optim.Adam([weight], lr=0.1, eps=0.1).step()
    torch.testing.assert_close(weight.detach(), adam(l2 / m, torch.optim.Adam), rtol=1e-15, atol=0)
    assert abs(weight - adam(l2 / m, torch.optim.AdamW)) > 1e-3
    assert abs(weight - adam(l2, torch.optim.Adam)) > 1e-3
