"""Two recorded runs: the step, the tensor and the cause are named."""

from pathlib import Path

import pytest
from runs import clipping, columns, decay, keras_form, last_batch, schedules

from compare.recording.trace import Trace, trace


def told(found: Trace, step: int, mine: str, *words: str) -> None:
    """The first fault is there, and these words are in what is said of it."""
    first = found.faults[0]
    assert (first.step, first.mine) == (step, mine), str(found)
    for word in words:
        assert word in str(found), str(found)


def test_keras_adam(tmp_path: Path) -> None:
    keras_form.theirs(tmp_path / "theirs", normalise=False)
    keras_form.mine(tmp_path / "mine", normalise=False, keras_adam=True)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "kernel1", "ε before the bias correction", "eps = 1e-07", "Keras")
    assert len(found.faults) == 1


def test_keras_batch_norm(tmp_path: Path) -> None:
    keras_form.theirs(tmp_path / "theirs", normalise=True)
    keras_form.mine(tmp_path / "mine", normalise=True, keras_adam=False)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "h", "biased running variance", "eps = 0.001", "momentum = 0.01", "Keras")
    assert len(found.faults) == 1


@pytest.mark.parametrize(
    ("how", "tensor", "cause"),
    [
        ("sum", "cost", "summed, not averaged"),
        ("usual", "cost", "divided by 8 also in the smaller last batch"),
    ],
)
def test_last_batch(tmp_path: Path, how: str, tensor: str, cause: str) -> None:
    last_batch.theirs(tmp_path / "theirs")
    last_batch.mine(tmp_path / "mine", how)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, {"sum": 0, "usual": 2}[how], tensor, cause)
    assert [fault.also for fault in found.faults] == [["error"]], str(found)


def test_last_batch_right(tmp_path: Path) -> None:
    last_batch.theirs(tmp_path / "theirs")
    last_batch.mine(tmp_path / "mine", "mean")
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted


@pytest.mark.parametrize("recorded_with_it", [False, True])
def test_decay_in_the_gradient(tmp_path: Path, recorded_with_it: bool) -> None:
    decay.theirs(tmp_path / "theirs")
    decay.mine(tmp_path / "mine", recorded_with_it=recorded_with_it)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    if recorded_with_it:
        told(found, 0, "dW", "0.02 times the parameter more", "weight decay forgotten")
    else:
        told(found, 0, "W", "weight decay in the gradient")
        assert len(found.faults) == 1


def test_decay_right(tmp_path: Path) -> None:
    decay.theirs(tmp_path / "theirs")
    decay.mine(tmp_path / "mine", decay_in_gradient=False)
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted


@pytest.mark.parametrize("ahead", [1, -1])
@pytest.mark.parametrize("say", [True, False])
def test_schedule_off_by_one(tmp_path: Path, ahead: int, say: bool) -> None:
    schedules.theirs(tmp_path / "theirs")
    schedules.mine(tmp_path / "mine", ahead=ahead, say=say)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    when = "early" if ahead == 1 else "late"
    step = 0 if ahead == 1 else 1
    told(found, step, "lr" if say else "w1", f"one step {when}")
    assert len(found.faults) == 1


def test_columns_right(tmp_path: Path) -> None:
    columns.theirs(tmp_path / "theirs")
    columns.mine(tmp_path / "mine")
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)


@pytest.mark.parametrize(
    ("bug", "tensor", "cause"),
    [
        ("dW2 not divided by m", "dW2", "times the batch (9)"),
        ("times the activation", "dZ1", "multiplied by the output"),
        ("db1 in one number", "db1", "bias gradient in one number"),
    ],
)
def test_columns_wrong(tmp_path: Path, bug: str, tensor: str, cause: str) -> None:
    columns.theirs(tmp_path / "theirs")
    columns.mine(tmp_path / "mine", bug)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, tensor, cause)
    assert len(found.faults) == 1


def test_clipping(tmp_path: Path) -> None:
    clipping.theirs(tmp_path / "theirs")
    clipping.mine(tmp_path / "mine")
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted
    clipping.mine(tmp_path / "mine", small=0.0)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "dw", "without 10⁻⁶")


@pytest.mark.parametrize(("log", "words"), [("after", "after clipping"), ("late", "of the step before")])
def test_logged_norm(tmp_path: Path, log: str, words: str) -> None:
    clipping.theirs(tmp_path / "theirs")
    clipping.mine(tmp_path / "mine", log=log)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert [(fault.mine, words in str(found)) for fault in found.faults] == [("grad_norm", True)], str(found)
