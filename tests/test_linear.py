"""What only a test can ask of the affine layer: its errors, on both sides alike."""

import numpy as np
import pytest
import torch

import scratch.linear as ours
import torch_ref.linear as theirs
from scratch.linear import linear_backward, linear_forward
from scratch.random import NumpyGenerator
from torch_ref.linear import linear

BAD = [
    ({"x": np.ones((3, 4), np.float32)}, TypeError, r"weight: expected float32 like x, got float64"),
    ({"x": np.ones((3, 4), np.int64)}, TypeError, r"x: expected a floating-point array, got int64"),
    ({"x": np.ones((3, 5))}, ValueError, r"x: expected shape \(any, 4\), got \(3, 5\)"),
    ({"weight": np.ones(4)}, ValueError, r"weight: expected shape \(any, any\), got \(4,\)"),
    ({"bias": np.ones(3)}, ValueError, r"bias: expected shape \(2,\), got \(3,\)"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named_alike_on_both_sides(change, error, message):
    arrays = {"x": np.ones((3, 4)), "weight": np.ones((2, 4)), "bias": np.ones(2)} | change
    with pytest.raises(error, match=message):
        linear_forward(**arrays)
    with pytest.raises(error, match=message):
        linear(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def test_upstream_gradient_of_the_wrong_shape_is_refused():
    _, cache = linear_forward(np.ones((3, 4)), np.ones((2, 4)), None)
    with pytest.raises(ValueError, match=r"dy: expected shape \(3, 2\), got \(3, 4\)"):
        linear_backward(np.ones((3, 4)), cache)


@pytest.mark.parametrize(("sizes", "name"), [((0, 3), "in_features"), ((3, 0), "out_features")])
def test_a_layer_without_features_is_refused_on_both_sides(sizes, name):
    for build in (lambda: ours.Linear(*sizes, NumpyGenerator(0)), lambda: theirs.Linear(*sizes)):
        with pytest.raises(ValueError, match=f"{name}: expected an integer >= 1, got 0"):
            build()
