"""What only a test can ask of the penalty and of dropout."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import given
from laws import allowed, changed, each_side, in_any_dtype, random_cases, run, seeded

import scratch.regularization as ours
import torch_ref.regularization as theirs
from compare.cases.choices import any_seed, any_size
from compare.component import Case
from compare.draws import SharedDraws, why_not_own
from scratch.random import NumpyGenerator

each_draw = pytest.mark.parametrize("draws", ["shared"] if why_not_own("cpu") else ["shared", "own"])


def test_a_bad_factor_of_the_penalty_is_named():
    with pytest.raises(ValueError, match=r"l2: expected a finite number >= 0, got -0.1"):
        ours.l2_penalty([np.ones(3)], -0.1, 5)


def test_the_weights_may_come_one_after_the_other():
    weights = [np.arange(1.0, 4), np.array([[4.0]])]
    for side, arrays in ((ours, weights), (theirs, map(torch.from_numpy, weights))):
        assert side.l2_penalty(iter(arrays), 0.5, 3) == 0.5 / 6 * (1 + 4 + 9 + 16)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (1.0, True), (0.5, False)])
def test_nothing_is_drawn_where_nothing_depends_on_chance(p, training):
    x, generator = np.ones((2, 3)), NumpyGenerator(0)
    ours.dropout_forward(x, p, generator, training)
    with SharedDraws(generator):
        theirs.dropout(torch.from_numpy(x), p, training)
    np.testing.assert_array_equal(generator.get_state(), NumpyGenerator(0).get_state())


def test_layers_agree_and_start_in_training():
    x = np.random.default_rng(0).standard_normal((13, 7))
    layer, twin = ours.Dropout(0.3, NumpyGenerator(1)), torch.nn.Dropout(0.3)
    with SharedDraws(NumpyGenerator(1)):
        for training in (True, False, True):
            layer.training = training
            y = twin.train(training)(torch.from_numpy(x))
            np.testing.assert_array_equal(layer.forward(x), y.numpy())
            np.testing.assert_array_equal(layer.backward(x), y.numpy())  # dy = x: the same products
    assert ours.Dropout(0.3, NumpyGenerator(1)).training
    assert layer.parameters == layer.gradients == {}


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


def whole_numbers(choose, dtype) -> Case:
    """Weights, a λ and an m of which no product is rounded, so that laws hold exactly"""
    rng, m = np.random.default_rng(any_seed(choose)), choose.one_of([1, 2, 8, 64])
    shapes = [(any_size(choose, 0), any_size(choose, 0)) for _ in range(choose.integer(1, 3))]
    arrays = {f"weight{i}": rng.integers(-9, 10, shape).astype(dtype) for i, shape in enumerate(shapes)}
    arrays["dy"] = np.array(1, dtype)
    return Case("whole numbers", arrays, {"l2": choose.one_of([0.0, 0.5, 2.0, 8.0]), "m": m}, dtype=dtype)


@each_side
@seeded
@given(case=in_any_dtype(whole_numbers), seed=made(any_seed))
def test_the_gradient_of_the_penalty_is_its_slope(side, case, seed):
    """P(W + V) − P(W − V) = 2·⟨∇P(W), V⟩, exactly so for a quadratic P"""
    rng, weights = np.random.default_rng(seed), {key: w for key, w in case.arrays.items() if key != "dy"}
    direction = {key: rng.integers(-9, 10, w.shape) for key, w in weights.items()}
    ahead, behind = (
        run(side, "l2_penalty", case, **{key: w + sign * direction[key] for key, w in weights.items()})
        for sign in (1, -1)
    )
    here = run(side, "l2_penalty", case)
    slope = sum((here[f"grad.{key}"] * direction[key]).sum() for key in weights)
    assert ahead["output"] - behind["output"] == 2 * slope
    assert here["output"] >= 0


@each_side
@seeded
@given(case=random_cases("weight_decay"))
def test_without_a_gradient_weights_decay_and_biases_stay(side, case):
    still = changed(case, **{key: 0 * array for key, array in case.arrays.items() if key.startswith("d")})
    results = run(side, "weight_decay", still)
    kept = 1 - 0.3 * case.options["l2"] / case.options["m"]
    for name, before in case.arrays.items():
        if name.startswith("bias"):
            np.testing.assert_array_equal(results[f"param.{name}"], before)
        elif name.startswith("weight"):
            off = np.abs(results[f"param.{name}"] - kept * before.astype(np.float64))
            assert (off <= allowed("weight_decay", still, f"param.{name}")).all()


@each_side
@each_draw
@seeded
@given(case=random_cases("dropout"))
def test_dropout_zeroes_or_scales_exactly_and_passes_back_the_same(side, draws, case):
    x, p = case["x"], case.options["p"]
    case = replace(changed(case, dy=x), draws=draws)
    results = run(side, "dropout", case)
    scaled = x if p == 0 else 0 * x if p == 1 else x * (np.ones_like(x) / (1 - p))
    for name in ("training", "again"):
        y = results[f"{name}.output"]
        assert ((y == 0) | (y == scaled)).all()
        np.testing.assert_array_equal(results[f"{name}.grad.x"], y)
    np.testing.assert_array_equal(results["evaluation.output"], x)
    np.testing.assert_array_equal(results["evaluation.grad.x"], x)


@each_side
@each_draw
@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_mean(side, draws, p, dtype):
    """Of n ones, each is 1/(1 − p) with probability 1 − p: the mean is 1, give or take √(p/(1 − p)/n)

    Five standard errors leave a chance of one in two million, and the seed is always the same.
    """
    n = 100_000
    case = Case("ones", {"x": np.ones(n, dtype), "dy": np.ones(n, dtype)}, {"p": p}, 0, dtype, draws=draws)
    results = run(side, "dropout", case)
    for y in (results["training.output"], results["again.output"]):
        if p == 1:
            assert not y.any()
        else:
            assert abs(y.mean(dtype=np.float64) - 1) <= 5 * (p / (1 - p) / n) ** 0.5 + np.finfo(dtype).eps
    if 0 < p < 1:
        assert (results["training.output"] != results["again.output"]).any(), "one mask for two passes"
