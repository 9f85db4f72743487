"""What only a test can ask of batch normalisation: the layer, its errors, and whose convention is whose."""

import inspect
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from laws import allowed, each_side, in_any_dtype, run, seeded, times

import scratch.batch_norm as ours
import torch_ref.batch_norm as theirs
from compare.cases.batch_norm import COMPONENTS, random_case, run_scratch
from compare.run import cases_of


def test_what_does_not_fit_is_named():
    x, two, three = np.ones((3, 2)), np.ones(2), np.ones(3)
    _, cache, _ = ours.batch_norm_forward(x, None, None)
    layer = ours.BatchNorm1d(2, dtype=np.float64)
    for call, message in [
        (lambda: ours.batch_norm_backward(three, cache), r"dy: expected shape \(3, 2\), got \(3,\)"),
        (
            lambda: ours.update_running_statistics(two, two, np.array(0), three, three, 3),
            r"mean: expected shape \(2,\), got \(3,\)",
        ),
        (
            lambda: ours.batch_norm_inference_forward(x, None, None, two, three),
            r"running_var: expected shape \(2,\), got \(3,\)",
        ),
        (lambda: layer.forward(np.ones((3, 4))), r"x: expected shape \(any, 2\), got \(3, 4\)"),
        (lambda: layer.forward(two), r"x: expected shape \(any, 2\), got \(2,\)"),
        (lambda: layer.forward(x.astype(np.float32)), "x: expected float64 like running_mean, got float32"),
        (lambda: ours.BatchNorm1d(0), "num_features: expected an integer >= 1, got 0"),
        (lambda: ours.BatchNorm1d(2, eps=0.0), "eps: expected a finite number > 0, got 0.0"),
        (
            lambda: ours.BatchNorm1d(2, momentum=1.1),
            "momentum: expected None or a number from 0 to 1, got 1.1",
        ),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


WITHOUT_BETA = "bias" in inspect.signature(theirs.BatchNorm1d).parameters  # PyTorch 2.6 has none
OPTIONS = [
    {},
    {"affine": False},
    *([{"bias": False}, {"affine": False, "bias": False}] if WITHOUT_BETA else []),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_fresh_layer_is_pytorchs(options):
    layer, twin = ours.BatchNorm1d(3, **options), theirs.BatchNorm1d(3, **options)
    state = {**layer.parameters, **layer.buffers}
    assert list(state) == list(twin.state_dict())
    for name, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(state[name], tensor.numpy(), strict=True)
    assert (layer.eps, layer.momentum, layer.training) == (twin.eps, twin.momentum, twin.training)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_layer_is_its_functions(dtype):
    for case in cases_of(COMPONENTS[0], 0, dtype):
        layer = ours.BatchNorm1d(
            case["x"].shape[1],
            case.options.get("eps", 1e-5),
            case.options.get("momentum", 0.1),
            case.options.get("affine", True),
            bias="beta" in case.arrays,
            dtype=dtype,
        )
        for name, parameter in zip(layer.parameters, ("gamma", "beta"), strict=False):
            layer.parameters[name][...] = case[parameter]
        for name, buffer in layer.buffers.items():
            buffer[...] = case.arrays.get(name, case.options.get(name, 0))
        gradients, buffers = dict(layer.gradients), dict(layer.buffers)
        got = {}
        with np.errstate(all="ignore"):
            expected = run_scratch(case, ours)
            got |= {"output": layer.forward(case["x"]), "grad.x": layer.backward(case["dy"])}
            got |= {f"grad.{name}": value.copy() for name, value in gradients.items()}
            got["next.output"] = layer.forward(case["next_x"])
            layer.training = False
            got["evaluation.output"] = layer.forward(case["x"])
            got["evaluation.grad.x"] = layer.backward(case["dy"])
        got |= {f"evaluation.grad.{name}": value for name, value in gradients.items()}  # written in place
        got |= {f"state.{name}": value for name, value in buffers.items()}
        for name, value in got.items():
            twin = name.replace("weight", "gamma").replace("bias", "beta")
            np.testing.assert_array_equal(value, expected[twin], err_msg=f"{case.name}: {name}")


def test_the_derivation_of_the_docstring_gives_the_formula_of_the_code():
    rng = np.random.default_rng(0)
    x, dy, gamma = rng.standard_normal((6, 3)), rng.standard_normal((6, 3)), rng.standard_normal(3)
    _, cache, (mean, variance) = ours.batch_norm_forward(x, gamma, None, eps=1e-3)
    dx, dgamma, dbeta = ours.batch_norm_backward(dy, cache)
    m, s = len(x), np.sqrt(variance + 1e-3)
    dx_hat = gamma * dy
    dvariance = (dx_hat * (x - mean) * -0.5 * s**-3).sum(axis=0)
    np.testing.assert_allclose(dvariance, -0.5 * gamma * dgamma / s**2)
    dmean = (-dx_hat / s).sum(axis=0)
    np.testing.assert_allclose(dmean, -gamma * dbeta / s)
    np.testing.assert_allclose(dx_hat / s + dvariance * 2 * (x - mean) / m + dmean / m, dx)


def test_evaluation_changes_nothing_and_takes_any_batch():
    layer = ours.BatchNorm1d(3, dtype=np.float64)
    layer.forward(np.random.default_rng(0).standard_normal((5, 3)))
    before = {name: value.copy() for name, value in layer.buffers.items()}
    layer.training = False
    for batch in (0, 1, 4):
        assert layer.forward(np.ones((batch, 3))).shape == (batch, 3)
        assert theirs.BatchNorm1d(3).eval()(torch.ones(batch, 3)).shape == (batch, 3)
    assert all(np.array_equal(layer.buffers[name], value) for name, value in before.items())


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_the_output_has_mean_beta_and_a_variance_of_almost_gamma_squared(side, case):
    """γ²·σ²/(σ² + ε), each within the budget of the output: a value off by δ moves the mean by δ at most, and
    the root of the variance likewise
    """
    y, off = wide(run(side, "batch_norm", case)["output"]), allowed("batch_norm", case, "output").max(axis=0)
    gamma, beta = case.arrays.get("gamma", np.ones(1)), case.arrays.get("beta", np.zeros(1))
    sigma2 = wide(case["x"]).var(axis=0)
    spread = np.abs(gamma) * np.sqrt(sigma2 / (sigma2 + case.options.get("eps", 1e-5)))
    assert (np.abs(y.mean(axis=0) - beta) <= off).all()
    assert (np.abs(y.std(axis=0) - spread) <= off).all()


@each_side
@seeded
@given(case=in_any_dtype(random_case), k=st.integers(-5, 5))
def test_other_units_of_measurement_make_no_difference_with_epsilon_in_their_square(side, case, k):
    """Exactly so for powers of two: y(2ᵏ·x, 4ᵏ·ε) = y(x, ε), and dx is 2ᵏ times smaller"""
    eps, unit = case.options.get("eps", 1e-5), 2.0**k
    here = run(side, "batch_norm", case, x=times(1, case["x"]))
    rescaled = replace(case, options={**case.options, "eps": eps * unit**2})
    there = run(side, "batch_norm", rescaled, x=times(unit, case["x"]))
    np.testing.assert_array_equal(there["output"], here["output"])
    np.testing.assert_array_equal(there["grad.x"] * unit, here["grad.x"])
    for name in here.keys() & {"grad.gamma", "grad.beta"}:
        np.testing.assert_array_equal(there[name], here[name])


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_the_gradient_knows_that_shifts_and_scales_of_a_batch_do_not_count(side, case):
    """Σ dx = 0, and Σ dx·(x − μ) = γ·dγ·ε/(σ² + ε), which is 0 but for ε"""
    results, x = run(side, "batch_norm", case), wide(case["x"])
    dx, off = wide(results["grad.x"]), allowed("batch_norm", case, "grad.x")
    assert (np.abs(dx.sum(axis=0)) <= off.sum(axis=0)).all()
    if case.options["affine"]:
        centred, eps = x - x.mean(axis=0), case.options.get("eps", 1e-5)
        share = eps / (x.var(axis=0) + eps)
        expected = case["gamma"] * results["grad.gamma"] * share
        off_dgamma = np.abs(case["gamma"]) * share * allowed("batch_norm", case, "grad.gamma")
        slack = (off * np.abs(centred)).sum(axis=0) + off_dgamma
        assert (np.abs((dx * centred).sum(axis=0) - expected) <= slack).all()


@each_side
@seeded
@given(case=in_any_dtype(random_case))
def test_without_a_momentum_the_running_statistics_are_plain_averages(side, case):
    """Of the means of both batches, and of their unbiased variances, whatever was there before"""
    case = replace(case, options={**case.options, "momentum": None, "num_batches_tracked": 0})
    results, batches = run(side, "batch_norm", case), [wide(case[name]) for name in ("x", "next_x")]
    for name, statistic in (("running_mean", np.mean), ("running_var", partial(np.var, ddof=1))):
        average = sum(statistic(batch, axis=0) for batch in batches) / 2
        off = np.abs(results[f"state.{name}"] - average)
        assert (off <= allowed("batch_norm", case, f"state.{name}")).all()


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.longdouble)
