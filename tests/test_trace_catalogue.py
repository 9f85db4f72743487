"""Every mistake of the catalogue that a training run can contain is put into one, found there, and named.

The NumPy side of a small network runs with a mistake's functions, the PyTorch side as it is. A mistake that
gives the same numbers in one setting is tried in the next; MISSED says of each one that no setting shows why.
"""

from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import COMPONENTS
from runs.small_network import Setting, record_mine, record_theirs

from compare.component import Mistake
from compare.recording.store import RecordingError
from compare.recording.trace import Trace, trace

SQUARE = {"features": 4, "hidden": 4, "batch": 4, "classes": 4}
WEIGHT = [[0.5] * 3, [1] * 3, [2.0] * 3, [1] * 3, [3] * 3]
DECAY = {"weight_decay": 0.1}
LOGITS, BCE = "binary_cross_entropy_with_logits", "binary_cross_entropy"
SCHEDULES = {
    "inverse_time": {"decay_rate": 0.3},
    "fixed_interval": {"decay_rate": 0.3, "interval": 2},
    "exponential": {"gamma": 0.8},
    "inverse_sqrt": {"k": 0.7},
    "staircase": {"step_size": 2, "gamma": 0.5},
    "milestones": {"milestones": [1, 3, 4], "gamma": 0.5},
    "cosine_with_warmup": {"warmup_epochs": 2, "total_epochs": 7, "lr_min": 0.005},
}
SETTINGS = {
    "relu": [Setting("relu"), Setting("relu", zeros=True)],
    "leaky_relu": [
        Setting("leaky_relu"),
        Setting("leaky_relu", zeros=True),
        Setting("leaky_relu", {"negative_slope": 1.5}),
    ],
    "tanh": [Setting("tanh"), Setting("tanh", spread=2000)],
    "sigmoid": [Setting("sigmoid")],
    "gelu": [Setting("gelu"), Setting("gelu", {"approximate": "tanh"})],
    "silu": [Setting("silu")],
    "softplus": [
        Setting("softplus"),
        Setting("softplus", {"beta": 2.0, "threshold": 1.5}),
        Setting("softplus", spread=3000),
    ],
    "softmax": [Setting("softmax"), Setting("softmax", {"dim": 0}), Setting("softmax", spread=2000)],
    "log_softmax": [
        Setting("log_softmax"),
        Setting("log_softmax", {"dim": 0}),
        Setting("log_softmax", spread=2000),
    ],
    "linear": [Setting(), Setting(**SQUARE)],
    LOGITS: [
        Setting(loss=LOGITS),
        Setting(loss=LOGITS, weights={"weight": WEIGHT, "pos_weight": [2.5] * 3}),
        Setting("relu", loss=LOGITS, spread=2000),
    ],
    BCE: [
        Setting(loss=BCE),
        Setting(loss=BCE, weights={"weight": WEIGHT}),
        Setting("relu", loss=BCE, spread=20),
        Setting("relu", loss=BCE, spread=2000),
    ],
    "cross_entropy": [
        Setting(),
        Setting(**SQUARE),
        Setting("relu", spread=2000),
        Setting(weights={"weight": [0.5, 1.0, 3.0]}, loss_options={"label_smoothing": 0.1}),
        Setting(weights={"weight": [0.5, 1.0, 3.0]}),
        Setting(loss_options={"label_smoothing": 0.1, "ignore_index": 1}),
    ],
    "mse_loss": [Setting(loss="mse_loss"), Setting(loss="mse_loss", weights={"weight": WEIGHT})],
    "dropout": [Setting(p=0.3), Setting("relu", p=0.3)],
    "batch_norm": [
        Setting(norm="batch_norm"),
        Setting(norm="batch_norm", **SQUARE),
        Setting(norm="batch_norm", shift=1e6),
    ],
    "layer_norm": [
        Setting(norm="layer_norm"),
        Setting(norm="layer_norm", **SQUARE),
        Setting(norm="layer_norm", shift=1e6),
    ],
    "rms_norm": [
        Setting(norm="rms_norm"),
        Setting(norm="rms_norm", **SQUARE),
        Setting(norm="rms_norm", zeros=True),
    ],
    "clip_grad_norm": [Setting(clip=("clip_grad_norm", 0.5))],
    "clip_grad_value": [Setting(clip=("clip_grad_value", 0.02))],
    "sgd": [Setting(options=DECAY)],
    "momentum": [
        Setting(options={"momentum": 0.9, "dampening": 0.1, **DECAY}, falling=True),
        Setting(options={"momentum": 0.9}, mine="Momentum", mine_options={"beta": 0.9}, falling=True),
    ],
    "nesterov": [Setting(options={"momentum": 0.9, "nesterov": True, **DECAY}, falling=True)],
    "rmsprop": [
        Setting(optimizer="RMSprop", options={"momentum": 0.9, "centered": True, **DECAY}, falling=True),
        Setting(optimizer="RMSprop", lr=0.01),
    ],
    "adam": [
        Setting(optimizer="Adam", options=DECAY, falling=True),
        Setting(optimizer="Adam", options={"amsgrad": True, **DECAY}),
    ],
    "adamw": [
        Setting(optimizer="AdamW", options=DECAY, falling=True),
        Setting(optimizer="AdamW", options={"amsgrad": True, **DECAY}),
    ],
    **{name: [Setting(schedule=(name, options), steps=12)] for name, options in SCHEDULES.items()},
}
SAME = "without NaN, infinity, zeros or such large numbers as no training has, the numbers are the same"
ONE = "the loss is what `backward` begins with: the gradient from above is 1"
EVALUATION = "a training run makes no pass in evaluation mode"
ROWS = "with two axes the first is all but the last"
MISSED = {  # (component, mistake) → why no setting shows it
    ("relu", "maximum along an axis"): "the next layer can not take the result",
    ("relu", "NaN swallowed"): SAME,
    ("sigmoid", "e⁻ˣ overflows"): "NumPy warns, and 1/(1 + ∞) is 0, as it should be",
    ("silu", "e⁻ˣ overflows"): "NumPy warns, and x/(1 + ∞) is 0, as it should be",
    ("softplus", "exponential overflows"): "NumPy warns, and the threshold takes x in its place",
    ("linear", "bias gradient with a row too many"): "broadcasting takes the row away in the update",
    ("linear", "bias gradient over the first axis only"): ROWS,
    ("linear", "weight gradient for each sequence"): ROWS,
    ("linear", "weight gradient averaged over the sequences"): ROWS,
    **{(name, "upstream gradient ignored"): ONE for name in (LOGITS, BCE, "cross_entropy", "mse_loss")},
    ("cross_entropy", "rows cut from the wrong axis"): ROWS,
    ("cross_entropy", "the most probable class alone"): "the targets are classes",
    ("cross_entropy", "divided by the sum of the probabilities' weights"): "the targets are classes",
    (BCE, "log(1 − p) for log1p(−p)"): "of a sum with larger losses nothing is seen",
    ("dropout", "rescaled in evaluation too"): EVALUATION,
    ("dropout", "active in evaluation"): EVALUATION,
    ("dropout", "NaN swallowed"): SAME,
    ("dropout", "0/0 at p = 1"): "nothing is trained at p = 1",
    ("batch_norm", "batch statistics in evaluation"): EVALUATION,
    ("batch_norm", "running statistics updated in evaluation"): EVALUATION,
    ("batch_norm", "γ and β forgotten in evaluation"): EVALUATION,
    ("batch_norm", "training gradient in evaluation"): EVALUATION,
    ("layer_norm", "variance as a difference"): "it takes a mean far larger than the spread of an example",
    ("layer_norm", "γ's and β's gradients over the first axis"): ROWS,
    ("rms_norm", "γ's gradient over the first axis"): ROWS,
    ("momentum", "sum instead of average"): "the textbook's sum is PyTorch's own form",
    ("clip_grad_norm", "always the 2-norm"): "the norm is the 2-norm",
    ("inverse_sqrt", "epoch counted from 0 under the root"): "it divides by 0 in its first epoch",
}


@cache
def recorded(setting_of: tuple[str, int], folder: Path) -> Setting:
    """The PyTorch side, once for all mistakes."""
    name, number = setting_of
    setting = SETTINGS[name][number]
    record_theirs(setting, folder)
    return setting


def outcome(name: str, mistake: Mistake, tmp_path: Path) -> tuple[str, Trace | None]:
    """named, unnamed, unseen or breaks down, the best of all settings, with the trace of it."""
    best, shown = "breaks down", None
    for number in range(len(SETTINGS[name])):
        theirs = tmp_path / f"theirs{number}"
        setting = recorded((name, number), theirs)
        with suppress(ValueError, ZeroDivisionError):  # shapes that do not fit, 1/√0: such a program ends
            record_mine(setting, tmp_path / "mine", mistake.functions)
        try:
            found = trace(tmp_path / "mine", theirs)
        except RecordingError:  # in its first step
            continue
        if not found.parted:
            best = "unseen" if best == "breaks down" else best
            continue
        names = [cause.name for fault in found.faults for cause in fault.causes]
        if any(mistake.name in each for each in names):
            return "named", found
        best, shown = "unnamed", found
    return best, shown


@pytest.mark.parametrize("name", SETTINGS)
def test_each_mistake_is_named(name: str, tmp_path: Path) -> None:
    with np.errstate(all="ignore"):
        found = {mistake.name: outcome(name, mistake, tmp_path) for mistake in COMPONENTS[name].mistakes}
    missed = {(name, mistake): what for mistake, (what, _) in found.items() if what != "named"}
    assert missed.keys() == {key for key in MISSED if key[0] == name}, missed
    for _, run in found.values():
        if run is not None:
            assert len(run.faults) == 1, str(run)


@pytest.mark.parametrize("name", SETTINGS)
def test_right_is_right(name: str, tmp_path: Path) -> None:
    for setting in SETTINGS[name]:
        if setting.mine:  # another rule
            continue
        record_theirs(setting, tmp_path / "theirs")
        record_mine(setting, tmp_path / "mine")
        found = trace(tmp_path / "mine", tmp_path / "theirs")
        assert not found.parted, str(found)
