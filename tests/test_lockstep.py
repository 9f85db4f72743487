"""Lockstep training: equal when both are right, and the first breach located when one is not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import compare.training.lockstep as lockstep
import scratch.network
import scratch.schedules
import scratch.training
from compare.draws import why_not_own


@pytest.fixture
def short(monkeypatch) -> int:
    """One epoch of breast_cancer, and how many steps that is."""
    run = lockstep._RUNS["breast_cancer"]
    monkeypatch.setitem(lockstep._RUNS, "breast_cancer", replace(run, epochs=1))
    return steps("breast_cancer")


def steps(name: str) -> int:
    """How many steps a run takes."""
    run = lockstep._RUNS[name]
    return run.epochs * -(-len(run.data(np.float32).x_train) // run.batch_size)


def test_these_are_the_runs():
    assert lockstep.RUNS == ("digits", "breast_cancer")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("draws", ["own", "shared"])
@pytest.mark.parametrize("name", lockstep.RUNS)
def test_both_sides_train_alike(name, draws, dtype):
    if draws == "own" and (reason := why_not_own("cpu")):
        pytest.skip(reason)
    result = lockstep.train_in_lockstep(name, dtype, "cpu", 0, draws=draws)
    assert result.equal, result.breach or result.different_predictions
    assert steps(name) == len(result.one_step) == len(result.drift)
    assert result.test_accuracy_scratch[-1] > 0.93
    assert result.loss_scratch[-1] < result.loss_scratch[0]
    assert max(result.drift) > 0, "free-running sides that never part have not been compared"
    assert (max(result.drift) < 1e-10) == (dtype == "float64"), "not computed in the dtype that was asked for"
    assert result.test_samples == {"digits": 360, "breast_cancer": 114}[name]


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", lockstep.RUNS)
def test_both_sides_train_alike_on_cuda(name, dtype, cuda):
    result = lockstep.train_in_lockstep(name, dtype, cuda, 0)
    assert result.equal, result.breach or result.different_predictions


def test_the_first_breach_is_located(monkeypatch):
    backward = scratch.network.Network.backward
    calls = []

    def wrong_from_the_third_step(self, **kwargs):
        backward(self, **kwargs)
        calls.append(1)
        if len(calls) >= 3:
            self.named(self.flat_gradients)["linear2.weight"][3, 5] *= -1

    monkeypatch.setattr(scratch.network.Network, "backward", wrong_from_the_third_step)
    result = lockstep.train_in_lockstep("breast_cancer", "float64", "cpu", 0)
    assert not result.equal
    assert (result.breach.epoch, result.breach.step) == (0, 2)
    assert result.breach.tensor.startswith("linear2.weight")
    assert result.breach.index == (3, 5)
    assert result.breach.scratch != result.breach.torch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [2, np.nan, np.inf])
def test_a_wrong_cost_is_a_breach(monkeypatch, dtype, factor, short):
    cost = scratch.network.Network.cost
    monkeypatch.setattr(
        scratch.network.Network, "cost", lambda self, *args, **options: factor * cost(self, *args, **options)
    )
    result = lockstep.train_in_lockstep("breast_cancer", dtype, "cpu", 0)
    assert not result.equal
    assert (result.breach.epoch, result.breach.step, result.breach.tensor) == (0, 0, "cost")


TENSORS = ("weight", "running_mean", "running_var", "weight.exp_avg", "weight.exp_avg_sq")


@pytest.mark.parametrize("tensor", ["linear3.bias", *(f"batch_norm2.{tensor}" for tensor in TENSORS)])
def test_a_tensor_that_is_wrong_in_the_tenth_digit_is_a_breach(monkeypatch, tensor, short):
    state = lockstep.ScratchSide.state
    calls = []

    def wrong_after_the_third_step(self):
        found = state(self)
        calls.append(1)
        if len(calls) == 6:  # in every step, once to hand it over and once to compare
            found[tensor] = found[tensor] * (1 + 1e-10)
        return found

    monkeypatch.setattr(lockstep.ScratchSide, "state", wrong_after_the_third_step)
    result = lockstep.train_in_lockstep("breast_cancer", "float64", "cpu", 0)
    assert not result.equal
    assert (result.breach.epoch, result.breach.step, result.breach.tensor) == (0, 2, tensor)
    assert result.breach.units == result.one_step[2] > result.breach.budget == 64
    assert len(result.one_step) == short


def test_both_run_free_from_the_start_and_nobody_is_put_right(monkeypatch, short):
    step = scratch.training.train_step
    calls = []

    def moved_after_the_first_step(network, *arguments):
        cost = step(network, *arguments)
        if not calls:
            network.flat_parameters += 1e-3
        calls.append(1)
        return cost

    monkeypatch.setattr(scratch.training, "train_step", moved_after_the_first_step)
    result = lockstep.train_in_lockstep("breast_cancer", "float64", "cpu", 0)
    assert result.breach.step == 0
    assert max(result.one_step[1:]) < 64 < result.one_step[0]
    assert min(result.drift) > 1e-4
    assert result.loss_scratch[0] == pytest.approx(result.loss_torch[0], rel=1e-12)
    assert abs(result.loss_scratch[1] - result.loss_torch[1]) > 1e-6


def test_other_classes_for_the_test_samples_are_a_difference(monkeypatch, short):
    predict = scratch.network.Network.predict
    monkeypatch.setattr(scratch.network.Network, "predict", lambda self, x: 1 - predict(self, x))
    result = lockstep.train_in_lockstep("breast_cancer", "float64", "cpu", 0)
    assert result.breach is None
    assert result.different_predictions == result.test_samples == 114
    assert not result.equal
    for part in ("train", "test"):
        ours, theirs = (getattr(result, f"{part}_accuracy_{side}")[-1] for side in ("scratch", "torch"))
        assert theirs > 0.8
        assert ours == pytest.approx(1 - theirs)


@pytest.mark.parametrize("draws", ["own", "shared"])
def test_every_seed_is_another_training(draws, short):
    if draws == "own" and (reason := why_not_own("cpu")):
        pytest.skip(reason)
    results = [
        lockstep.train_in_lockstep("breast_cancer", "float64", "cpu", seed, draws=draws) for seed in (0, 1, 0)
    ]
    for side in ("loss_scratch", "loss_torch", "drift"):
        first, other, again = (getattr(result, side) for result in results)
        assert first == again
        assert first != other
    assert [result.seed for result in results] == [0, 1, 0]


def test_a_rate_that_does_not_decay_is_a_breach(monkeypatch):
    monkeypatch.setattr(scratch.schedules, "inverse_time", lambda lr, epoch, **_: lr)
    result = lockstep.train_in_lockstep("breast_cancer", "float32", "cpu", 0)
    assert not result.equal
    assert (result.breach.epoch, result.breach.tensor, result.breach.budget) == (1, "learning rate", 0)


def test_an_extra_draw_of_one_side_is_a_breach(monkeypatch):
    if reason := why_not_own("cpu"):
        pytest.skip(reason)
    monkeypatch.setattr(lockstep, "_record_accuracy", lambda result, ours, *_: ours.draws.random(1))
    result = lockstep.train_in_lockstep("breast_cancer", "float32", "cpu", 0, draws="own")
    assert (result.breach.epoch, result.breach.tensor) == (0, "generator state")


def test_a_kink_is_told_from_an_error():
    ours = {"relu1": np.array([[0.0, 3e-16], [5.0, 1.0]])}
    assert lockstep.crossed_kinks(ours, {"relu1": torch.tensor([[1e-16, 0.0], [5.0, 1.0]]).double()}) == [
        "relu1[0, 0] is 0 in scratch, 1e-16 in torch",
        "relu1[0, 1] is 3e-16 in scratch, 0 in torch",
    ]
    assert lockstep.crossed_kinks(ours, {"relu1": torch.tensor([[0.1, 3e-16], [5.0, 0.0]]).double()}) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_breach_an_exception_and_in_float64_another_class_are_a_difference(dtype):
    right = lockstep.TrainingResult("digits", "", dtype, "cpu", 0, 64, 1)
    breach = lockstep.Breach(0, 0, "cost", 65.0, 64, (), 1.0, 2.0)
    assert right.equal
    assert not replace(right, breach=breach).equal
    assert not replace(right, error="FloatingPointError: overflow").equal
    assert replace(right, different_predictions=1).equal is (dtype == "float32")
