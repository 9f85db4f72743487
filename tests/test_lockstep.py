"""Lockstep training: equal when both are right, and the first breach located when one is not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import compare.lockstep as lockstep
import scratch.network
import scratch.schedules
from compare.draws import why_not_own


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("draws", ["own", "shared"])
@pytest.mark.parametrize("name", lockstep.RUNS)
def test_both_sides_train_alike(name, draws, dtype):
    if draws == "own" and (reason := why_not_own("cpu")):
        pytest.skip(reason)
    ticks = []
    result = lockstep.train_in_lockstep(name, dtype, "cpu", 0, lambda: ticks.append(1), draws=draws)
    assert result.equal, result.breach or result.different_predictions
    assert len(ticks) == lockstep.steps(name) == len(result.one_step) == len(result.drift)
    assert result.test_accuracy_scratch[-1] > 0.93
    assert result.loss_scratch[-1] < result.loss_scratch[0]
    assert max(result.drift) > 0, "free-running sides that never part have not been compared"


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
def test_a_wrong_cost_is_a_breach(monkeypatch, dtype):
    cost = scratch.network.Network.cost
    monkeypatch.setattr(scratch.network.Network, "cost", lambda self, *args: 2 * cost(self, *args))
    result = lockstep.train_in_lockstep("breast_cancer", dtype, "cpu", 0)
    assert (result.breach.epoch, result.breach.step, result.breach.tensor) == (0, 0, "cost")


def test_a_rate_that_does_not_decay_is_a_breach(monkeypatch):
    monkeypatch.setattr(scratch.schedules, "inverse_time", lambda lr, epoch, **_: lr)
    result = lockstep.train_in_lockstep("breast_cancer", "float32", "cpu", 0)
    assert not result.equal
    assert (result.breach.epoch, result.breach.tensor, result.breach.budget) == (1, "learning rate", 0)


def test_an_extra_draw_of_one_side_is_a_breach(monkeypatch):
    if reason := why_not_own("cpu"):
        pytest.skip(reason)
    monkeypatch.setattr(
        lockstep, "_record_accuracy", lambda result, ours, *_: ours.layers["dropout1"].generator.random(1)
    )
    result = lockstep.train_in_lockstep("breast_cancer", "float32", "cpu", 0, draws="own")
    assert (result.breach.epoch, result.breach.tensor) == (0, "generator state")


def test_a_kink_is_told_from_an_error():
    ours = {"relu1": np.array([[0.0, 3e-16], [5.0, 1.0]])}
    assert lockstep.crossed_kinks(ours, {"relu1": torch.tensor([[1e-16, 0.0], [5.0, 1.0]]).double()}) == [
        "relu1[0, 0] is 0 in scratch, 1e-16 in torch",
        "relu1[0, 1] is 3e-16 in scratch, 0 in torch",
    ]
    assert lockstep.crossed_kinks(ours, {"relu1": torch.tensor([[0.1, 3e-16], [5.0, 0.0]]).double()}) == []


def test_float32_may_disagree_on_a_prediction_but_float64_may_not():
    one_off = SimpleNamespace(error="", breach=None, different_predictions=1)
    equal = lockstep.TrainingResult.equal.fget
    assert equal(SimpleNamespace(**vars(one_off), dtype="float32"))
    assert not equal(SimpleNamespace(**vars(one_off), dtype="float64"))
