"""What only a test can ask of the softmax and its logarithm."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from laws import allowed, changed, each_side, in_any_dtype, run, seeded

import scratch.softmax as ours
from compare.cases.softmax import random_case
from torch_ref.losses import cross_entropy
from torch_ref.softmax import softmax


def dim_of(case) -> int:
    return case.options.get("dim", -1)


def off(name: str, case, array: str) -> np.ndarray:
    """The budget of a sum along the axis: no sum is off by more than all of its terms together."""
    return allowed(name, case, array).sum(axis=dim_of(case))


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_probabilities_add_up_to_1(side, case):
    assume(case["x"].size)
    y = run(side, "softmax", case)["output"]
    assert (y >= 0).all()
    total = y.sum(axis=dim_of(case), dtype=np.longdouble)
    assert (np.abs(total - 1) <= off("softmax", case, "output")).all()
    logs = run(side, "log_softmax", case)["output"]
    assert (logs <= 0).all()
    assert (np.abs(np.exp(np.float64(logs)) - y) <= allowed("softmax", case, "output") * 2).all()


@each_side
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@seeded
@given(case=in_any_dtype(random_case))
def test_a_shift_of_all_numbers_changes_nothing_and_gets_no_gradient(side, name, case):
    """Σ dx = 0 along the axis; and y(x + c) = y(x), exactly so where x + c is not rounded."""
    assume(case["x"].size)
    dx = run(side, name, case)["grad.x"].sum(axis=dim_of(case), dtype=np.longdouble)
    assert (np.abs(dx) <= off(name, case, "grad.x")).all()
    whole = changed(case, x=np.round(np.clip(case["x"], -100, 100)))
    here, there = (run(side, name, whole, x=whole["x"] + shift)["output"] for shift in (0, 64))
    np.testing.assert_array_equal(there, here)


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_the_order_of_the_numbers_does_not_count(side, case):
    """But for rounding: the sum is added up in another order."""
    assume(case["x"].size)
    turned = {name: np.flip(array, dim_of(case)) for name, array in case.arrays.items()}
    here, there = run(side, "softmax", case), run(side, "softmax", case, **turned)
    for name in ("output", "grad.x"):
        difference = np.abs(np.flip(there[name], dim_of(case)) - here[name])
        assert (difference <= allowed("softmax", case, name)).all()


def test_two_classes_are_a_sigmoid_and_one_row_of_the_logarithm_is_the_cross_entropy():
    x = np.random.default_rng(0).standard_normal((5, 2))
    y, _ = ours.softmax_forward(x)
    np.testing.assert_allclose(y[:, 0], 1 / (1 + np.exp(x[:, 1] - x[:, 0])), rtol=1e-14)
    logs, _ = ours.log_softmax_forward(x)
    classes = torch.tensor([0, 1, 1, 0, 1])
    loss = cross_entropy(torch.from_numpy(x), classes, "sum").item()
    np.testing.assert_allclose(-logs[np.arange(5), classes.numpy()].sum(), loss, rtol=1e-14)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_what_comes_in_and_goes_out_may_be_changed_before_the_backward_pass(name):
    forward, backward = (getattr(ours, f"{name}_{way}") for way in ("forward", "backward"))
    x, dy = np.random.default_rng(0).standard_normal((2, 3, 4))
    expected = backward(dy, forward(x)[1])
    y, cache = forward(x)
    x *= 0
    y *= 0
    np.testing.assert_array_equal(backward(dy, cache), expected)


def test_masks_and_what_pytorch_takes_without_an_axis():
    y, _ = ours.softmax_forward(np.array([0.0, -np.inf, 0.0]))
    np.testing.assert_array_equal(y, [0.5, 0, 0.5])
    assert float(softmax(torch.tensor(3.0))) == 1
    with pytest.raises(ValueError, match=r"dim: expected an axis of x, which has the shape \(\), got -1"):
        ours.softmax_forward(np.array(3.0))


@pytest.mark.parametrize("dim", [2, 3, -3])
def test_an_axis_that_there_is_not_is_named(dim):
    with pytest.raises(
        ValueError, match=rf"dim: expected an axis of x, which has the shape \(2, 3\), got {dim}"
    ):
        ours.softmax_forward(np.ones((2, 3)), dim)
