"""What only a test can ask of the initialisers: their statistics, their errors, and PyTorch's defaults."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from laws import each_side, random_cases, run, seeded
from torch import nn

import scratch.initializers as ours
import torch_ref.initializers as theirs
from compare.draws import why_not_own
from scratch.random import NumpyGenerator

NAMES = tuple(ours.INITIALIZERS)


def test_both_sides_have_the_same_names():
    assert tuple(theirs.INITIALIZERS) == tuple(ours.INITIALIZERS)


@pytest.mark.parametrize("nonlinearity", ours.NONLINEARITIES)
@pytest.mark.parametrize("a", [0.0, 0.01, 0.3])
def test_gains_are_equal(nonlinearity, a):
    assert ours.calculate_gain(nonlinearity, a) == theirs.calculate_gain(nonlinearity, a)
    default = nn.init.calculate_gain(nonlinearity)
    assert ours.calculate_gain(nonlinearity) == theirs.calculate_gain(nonlinearity) == default


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_draws_what_the_default_one_would_and_leaves_that_one_alone(name):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        by_default = theirs.INITIALIZERS[name](torch.empty(4, 3))
        outer, generator = torch.get_rng_state(), torch.Generator().manual_seed(7)
        assert torch.equal(theirs.INITIALIZERS[name](torch.empty(4, 3), generator=generator), by_default)
        assert torch.equal(torch.get_rng_state(), outer)


def test_pytorch_defaults_to_leaky_relu_of_slope_0_which_is_relu_until_a_is_set():
    def fill(**options):
        return nn.init.kaiming_normal_(
            torch.empty(4, 3), generator=torch.Generator().manual_seed(0), **options
        )

    assert torch.equal(fill(), fill(nonlinearity="relu"))
    assert not torch.equal(fill(a=1), fill(a=1, nonlinearity="relu"))
    # and in the gain's own function the default slope is another one
    assert nn.init.calculate_gain("leaky_relu") != nn.init.calculate_gain("leaky_relu", 0)


@pytest.mark.parametrize("shape", [np.array([3, 4]), (3, 4.0), (3.0, 4), "34", 5, None])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_pair_of_integers_is_no_shape(name, shape):
    with pytest.raises(TypeError, match=r"^shape: expected \(fan_out, fan_in\), two integers, got "):
        ours.INITIALIZERS[name](shape, NumpyGenerator(0))


@pytest.mark.parametrize("dtype", [int, "x", None])
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_floating(name, dtype):
    with pytest.raises(TypeError, match=r"^dtype: expected "):
        ours.INITIALIZERS[name]((3, 4), NumpyGenerator(0), dtype=dtype)


GAIN_SQUARED = {  # the textbooks' table
    "linear": lambda a: 1,
    "sigmoid": lambda a: 1,
    "tanh": lambda a: 25 / 9,
    "relu": lambda a: 2,
    "leaky_relu": lambda a: 2 / (1 + a * a),
}


FIXED = {"zeros": 0, "large_random": 100}


def variance_of(name: str, shape: tuple[int, int], options) -> float:
    """He: gain²/fan; Glorot: 2·gain²/(fan_in + fan_out)"""
    if name in FIXED:
        return FIXED[name]
    fan_out, fan_in = shape
    if name.startswith("xavier"):
        return 2 * options.get("gain", 1.0) ** 2 / (fan_in + fan_out)
    gain2 = GAIN_SQUARED[options.get("nonlinearity", "relu")](options.get("a", 0.0))
    return gain2 / (fan_in if options.get("mode", "fan_in") == "fan_in" else fan_out)


@each_side
@pytest.mark.parametrize("draws", ["shared"] if why_not_own("cpu") else ["shared", "own"])
@pytest.mark.parametrize("name", NAMES)
@seeded
@given(data=st.data(), fans=st.tuples(st.integers(20, 80), st.integers(20, 80)))
def test_the_variance_is_that_of_the_paper_whatever_the_options(side, draws, name, data, fans):
    """Within six standard errors: of n normal numbers √(2/n) of the variance, of n uniform ones √(0.8/n)

    That of the mean is √(variance/n). The seeds are always the same; of others, one in 10⁸ may fail.
    """
    case = data.draw(random_cases(name).filter(lambda case: case.options.get("gain", 1) > 1e-6))
    case = replace(case, options={**case.options, "shape": fans}, draws=draws)
    weight = run(side, name, case)["weight"].astype(np.float64)
    n, variance = weight.size, variance_of(name, fans, case.options)
    kurtosis = 0.8 if name.endswith("uniform") else 2
    assert abs((weight**2).mean() - variance) <= 6 * variance * math.sqrt(kurtosis / n)
    assert abs(weight.mean()) <= 6 * math.sqrt(variance / n)
    if name.endswith("uniform"):
        assert np.abs(weight).max() <= math.sqrt(3 * variance) * (1 + 4 * np.finfo(case.dtype).eps)


@each_side
@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform"])
@seeded
@given(data=st.data())
def test_a_transposed_weight_has_the_other_fan(side, name, data):
    """Equal seeds give equal numbers, row by row: what differs is the standard deviation."""
    case = data.draw(random_cases(name).filter(lambda case: case.options.get("gain", 1) > 1e-6))
    shape = case.options["shape"]
    turned = replace(case, options={**case.options, "shape": shape[::-1]})
    weight, other = (run(side, name, c)["weight"].ravel() for c in (case, turned))
    std, std_of_other = (math.sqrt(variance_of(name, s, case.options)) for s in (shape, shape[::-1]))
    np.testing.assert_allclose(weight / std, other / std_of_other, rtol=0, atol=16 * np.finfo(case.dtype).eps)
