"""What only a test can ask of the activations."""

import numpy as np
import pytest
import torch

import scratch.activations as ours
import torch_ref.activations as theirs

NAMES = tuple(ours.ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_an_integer_array_is_refused_alike_on_both_sides(name):
    message = "x: expected a floating-point array, got int64"
    with pytest.raises(TypeError, match=message):
        getattr(ours, f"{name}_forward")(np.arange(3))
    with pytest.raises(TypeError, match=message):
        getattr(theirs, name)(torch.arange(3))


@pytest.mark.parametrize("name", NAMES)
def test_upstream_gradient_of_another_shape_or_dtype_is_refused(name):
    _, cache = getattr(ours, f"{name}_forward")(np.ones((2, 3)))
    backward = getattr(ours, f"{name}_backward")
    with pytest.raises(ValueError, match=r"dy: expected shape \(2, 3\), got \(3,\)"):
        backward(np.ones(3), cache)
    with pytest.raises(TypeError, match="dy: expected float64 like x, got float32"):
        backward(np.ones((2, 3), np.float32), cache)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_saturates_without_a_warning(dtype):
    with np.errstate(all="raise", under="ignore"):
        y, _ = ours.sigmoid_forward(np.array([-1000, 0, 1000], dtype))
    assert y.tolist() == [0.0, 0.5, 1.0]


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match=r"activation: expected one of relu, leaky_relu, .* got swish"):
        ours.Activation("swish")
