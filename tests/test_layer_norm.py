"""What only a test can ask of layer normalisation: the layers, their errors, and the laws."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from laws import allowed, each_side, random_cases, run, seeded, times
from test_batch_norm import wide

import scratch.layer_norm as ours
import torch_ref.layer_norm as theirs
from compare.cases.layer_norm import COMPONENTS, run_scratch
from compare.run import cases_of

LAYERS = {"layer_norm": (ours.LayerNorm, theirs.LayerNorm), "rms_norm": (ours.RMSNorm, theirs.RMSNorm)}
each_layer = pytest.mark.parametrize("name", LAYERS)


@each_layer
@pytest.mark.parametrize("affine", [True, False])
def test_a_fresh_layer_is_pytorchs(name, affine):
    layer, twin = (make(3, elementwise_affine=affine) for make in LAYERS[name])
    assert list(layer.parameters) == list(twin.state_dict())
    for key, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(layer.parameters[key], tensor.numpy(), strict=True)
    assert (layer.eps, layer.training) == (twin.eps, twin.training)
    assert list(LAYERS[name][0](3).parameters) == list(LAYERS[name][1](3).state_dict())
    assert list(ours.LayerNorm(3, bias=False).parameters) == list(
        theirs.LayerNorm(3, bias=False).state_dict()
    )


@each_layer
def test_a_layer_is_its_functions(name):
    (component,) = (c for c in COMPONENTS if c.name == name)
    for case in cases_of(component, 0, np.float64):
        keys = {"gamma": "weight", "beta": "bias"}
        given = {keys[key]: case[key] for key in keys if key in case.arrays}
        options = {"bias": False} if list(given) == ["weight"] and name == "layer_norm" else {}
        options |= {"elementwise_affine": bool(given), "dtype": np.float64, **case.options}
        layer = LAYERS[name][0](case["x"].shape[-1], **options)
        for key, value in given.items():
            layer.parameters[key][...] = value
        with np.errstate(all="ignore"):
            expected = run_scratch(name, case, ours)
            got = {"output": layer.forward(case["x"]), "grad.x": layer.backward(case["dy"])}
        got |= {f"grad.{key}": layer.gradients[keys[key]] for key in keys if key in case.arrays}
        for key, value in got.items():
            np.testing.assert_array_equal(value, expected[key], err_msg=f"{case.name}: {key}")


def test_what_does_not_fit_is_named():
    x, three = np.ones((2, 3)), np.ones(3)
    layer = ours.LayerNorm(3, dtype=np.float64)
    bare = ours.RMSNorm(3, elementwise_affine=False, dtype=np.float64)
    for call, message in [
        (lambda: layer.forward(np.ones((2, 4))), r"x: expected shape \(2, 3\), got \(2, 4\)"),
        (lambda: bare.forward(np.ones((2, 4))), r"x: expected shape \(2, 3\), got \(2, 4\)"),
        (lambda: layer.forward(x.astype(np.float32)), "x: expected float64 like weight, got float32"),
        (lambda: ours.LayerNorm(0), "normalized_shape: expected an integer >= 1, got 0"),
        (lambda: ours.RMSNorm(3, eps=0.0), "eps: expected None or a finite number > 0, got 0.0"),
        (lambda: ours.layer_norm_forward(x, three, np.ones(4)), r"beta: expected shape \(3,\), got \(4,\)"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


@each_side
@each_layer
def test_an_example_does_not_know_which_others_there_are(side, name):
    @seeded
    @given(random_cases(name))
    def law(case):
        assume(case["x"].ndim == 2 and case["x"].size)
        one = {key: case[key][:1] for key in ("x", "dy")}
        alone, together = run(side, name, case, **one), run(side, name, case)
        for key in ("output", "grad.x"):
            difference = np.abs(wide(alone[key]) - together[key][:1])
            assert (difference <= 2 * allowed(name, case, key)[:1]).all()

    law()


@each_side
@each_layer
def test_other_units_of_measurement_make_no_difference_with_epsilon_in_their_square(side, name):
    """Exactly so for powers of two: y(2ᵏ·x, 4ᵏ·ε) = y(x, ε), and dx is 2ᵏ times smaller"""

    @seeded
    @given(random_cases(name))
    def law(case):
        eps = case.options.get("eps", 1e-5)
        here, there = (
            run(side, name, case.but("", eps=eps * unit**2), x=times(unit, case["x"])) for unit in (1, 8)
        )
        np.testing.assert_array_equal(there["output"], here["output"])
        np.testing.assert_array_equal(there["grad.x"] * 8, here["grad.x"])

    law()


@each_side
@seeded
@given(random_cases("layer_norm"))
def test_the_gradient_knows_that_a_shift_of_an_example_does_not_count(side, case):
    """Σ dx = 0 over the features."""
    dx, off = wide(run(side, "layer_norm", case)["grad.x"]), allowed("layer_norm", case, "grad.x")
    assert (np.abs(dx.sum(axis=-1)) <= off.sum(axis=-1)).all()


def test_rms_norm_of_what_has_the_mean_0_is_layer_norm():
    x = np.random.default_rng(0).standard_normal((4, 6))
    x -= x.mean(axis=1, keepdims=True)
    y = ours.layer_norm_forward(x, None, None, 1e-3)[0]
    np.testing.assert_allclose(ours.rms_norm_forward(x, None, 1e-3)[0], y, rtol=1e-12)


def test_epsilon_is_that_of_the_dtype():
    for dtype, kind in ((np.float32, torch.float32), (np.float64, torch.float64)):
        rms = partial(ours.rms_norm_forward, np.full((1, 2), 1e-9, dtype), None)
        np.testing.assert_array_equal(rms()[0], rms(torch.finfo(kind).eps)[0])
