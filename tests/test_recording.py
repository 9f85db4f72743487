"""A recording holds what a training run computed, changes nothing of it, and says so where it is none."""

import contextlib
import copy
import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from compare import Recorder, record
from compare.files import unfinished_name
from compare.recording import store
from compare.recording.store import INDEX, Kept, Recording, RecordingError

X, Y = torch.linspace(-1, 1, 20).reshape(4, 5), torch.tensor([0, 2, 1, 0])


def mlp(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(3)
    layers = {"fc1": nn.Linear(5, 6), "relu": nn.ReLU(inplace=True), "fc2": nn.Linear(6, 3)}
    return nn.Sequential(OrderedDict(layers)).to(dtype)


def sgd(model: nn.Module, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, **options})


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 2, x: torch.Tensor = X) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), Y).backward()
        optimizer.step()


def recorded(folder: Path, model: nn.Module, loop: Callable | None = None, optimizer=None, **limits):
    """The first step of a loop(model, optimizer)."""
    optimizer = optimizer or sgd(model)
    with record(model, optimizer, folder, **limits):
        (loop or train)(model, optimizer)
    return Recording(folder).step(0)


def same(a: Any, b: torch.Tensor) -> bool:
    return np.array_equal(a, b.detach().numpy(), equal_nan=True)


# What is recorded


def test_a_step_in_order_of_computation(tmp_path):
    model = mlp()
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.25)
    with record(model, optimizer, tmp_path / "r", seed=3):
        train(model, optimizer, 1)
    recording = Recording(tmp_path / "r")
    step = recording.step(0)
    state = [f"{n}.{key}" for n, _ in model.named_parameters() for key in ("step", "exp_avg", "exp_avg_sq")]
    assert step.order == [
        *(f"{name}.before" for name in before),
        "input", "fc1.output", "relu.output", "fc2.output", "loss.targets", "loss",
        "fc2.output.grad", "fc2.weight.grad", "fc2.bias.grad", "relu.output.grad",
        "fc1.output.grad", "fc1.weight.grad", "fc1.bias.grad",
        *state, *before,
    ]  # fmt: skip
    assert all(same(step[f"{name}.before"], value) for name, value in before.items())
    for name, param in model.named_parameters():
        assert same(step[name], param)
        assert same(step[f"{name}.grad"], param.grad)
        assert same(step[f"{name}.exp_avg"], optimizer.state[param]["exp_avg"])
    logits = torch.from_numpy(step["fc2.output"]).requires_grad_()
    F.cross_entropy(logits, Y).backward()
    assert same(step["fc2.output.grad"], logits.grad)
    assert same(step["loss"], F.cross_entropy(logits, Y))
    assert step.facts["groups"][0]["lr"] == 0.25
    assert step.facts["training"] is True
    assert [call.get("module", call.get("loss")) for call in step.facts["calls"]] == [
        "fc1", "relu", "fc2", "", "cross_entropy",
    ]  # fmt: skip
    assert step.facts["calls"][-1]["inputs"] == ["fc2.output", "loss.targets"]
    about = recording.about
    assert about["optimizer"] == {"class": "Adam", "groups": [list(before)]}
    assert list(about["tensors"]) == step.order
    assert (about["tensors"]["loss"], about["tensors"]["loss.targets"]) == ("float32", "int64")
    assert (about["seed"], about["torch"], about["finished"]) == (3, torch.__version__, True)
    assert about["modules"]["fc1"] == {"class": "Linear", "options": {"in_features": 5, "out_features": 6}}
    assert recording.ending == ""


def test_an_inplace_activation_does_not_reach_what_was_recorded_before_it(tmp_path):
    model = mlp()
    with torch.no_grad():
        before = F.linear(X, model.fc1.weight, model.fc1.bias)
    step = recorded(tmp_path / "r", model)
    assert same(step["fc1.output"], before)
    assert same(step["relu.output"], before.relu())


class Inplace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu, self.out = nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc(x)
        h += 1
        y = self.out(self.relu(h))
        y += 2
        return y


def test_what_is_changed_in_place_between_modules_is_another_tensor(tmp_path):
    step = recorded(tmp_path / "r", Inplace())
    assert np.array_equal(step["relu.input"], step["fc.output"] + 1)
    assert np.array_equal(step["output"], step["out.output"] + 2)
    assert step.facts["calls"][1]["inputs"] == ["relu.input"]
    assert step.facts["calls"][3]["output"] == "output"


def test_gradient_accumulation_numbers_the_passes(tmp_path):
    def loop(model, optimizer):
        for x, y in ((X[:2], Y[:2]), (X[2:], Y[2:])):
            (F.cross_entropy(model(x), y) / 2).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", mlp(), loop)
    names = ["input", "fc1.output", "fc2.output", "loss.targets", "loss", "fc2.output.grad"]
    halves = {"input": X, "loss.targets": Y}
    for name in names:
        second = name.replace(".grad", "@2.grad") if name.endswith("grad") else f"{name}@2"
        assert name in step
        assert second in step
        if name in halves:
            assert same(np.concatenate([step[name], step[second]]), halves[name])
    both = step["fc2.output.grad"].sum(0) + step["fc2.output@2.grad"].sum(0)
    np.testing.assert_allclose(step["fc2.bias.grad"], both, rtol=1e-5)
    assert step.facts["calls"][-1]["inputs"] == ["fc2.output@2", "loss.targets@2"]


def test_a_module_that_is_called_twice(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.out = nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.out(self.fc(torch.tanh(self.fc(x))))

    step = recorded(tmp_path / "r", Twice())
    assert {"fc.output", "fc.output@2", "fc.input", "fc.output.grad", "fc.output@2.grad"} <= {*step.order}
    weight, bias = (torch.from_numpy(step[f"fc.{name}.before"]) for name in ("weight", "bias"))
    second = F.linear(torch.from_numpy(step["fc.input"]), weight, bias)
    np.testing.assert_allclose(step["fc.output@2"], second.numpy(), rtol=1e-5)


def test_tied_weights_are_recorded_once_and_the_index_says_so(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x))

    words = torch.tensor([1, 3, 6, 3])
    step = recorded(tmp_path / "r", Tied(), lambda model, optimizer: train(model, optimizer, 1, words))
    assert [name for name in step.order if "weight" in name] == [
        "embed.weight.before", "embed.weight.grad", "embed.weight",
    ]  # fmt: skip
    assert Recording(tmp_path / "r").about["tied"] == {"head.weight": "embed.weight"}
    assert same(step["input"], words)


def test_groups_frozen_parameters_and_those_without_gradient(tmp_path):
    model = mlp()
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    model.fc1.bias.requires_grad_(False)
    other = nn.Parameter(torch.zeros(()))
    groups = [
        {"params": model.fc1.parameters()},
        {"params": [*model.fc2.parameters(), model.unused, other], "lr": torch.tensor(0.5), "momentum": 0.9},
    ]
    step = recorded(tmp_path / "r", model, optimizer=torch.optim.SGD(groups, lr=0.1))
    assert [group["lr"] for group in step.facts["groups"]] == [0.1, 0.5]
    assert Recording(tmp_path / "r").about["optimizer"]["groups"] == [
        ["fc1.weight", "fc1.bias"], ["fc2.weight", "fc2.bias", "unused", "optimizer.5"],
    ]  # fmt: skip
    assert step.facts["no_gradient"] == ["unused", "optimizer.5"]
    assert "fc1.bias.grad" not in step
    assert "fc2.bias.momentum_buffer" in step
    assert step["optimizer.5"].shape == ()


def test_a_parameter_group_that_is_added_on_the_way(tmp_path):
    model, late = mlp(), nn.Parameter(torch.ones(1))
    optimizer = sgd(model)

    def loop(model, optimizer):
        train(model, optimizer, 1)
        optimizer.add_param_group({"params": [late]})
        train(model, optimizer, 1)

    recorded(tmp_path / "r", model, loop, optimizer)
    assert "optimizer.4" in Recording(tmp_path / "r").step(1)


def test_a_frozen_part_that_is_called_by_itself_belongs_to_what_follows(tmp_path):
    model = mlp().requires_grad_(False)
    model.fc2.requires_grad_(True)

    def loop(model, optimizer):
        F.cross_entropy(model.fc2(model.relu(model.fc1(X))), Y).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", model, loop)
    assert {"fc1.input", "fc1.output", "relu.output", "fc2.output", "fc2.output.grad"} <= {*step.order}
    assert "fc1.output.grad" not in step


def test_buffers_mode_and_schedule(tmp_path):
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    with record(model, optimizer, tmp_path / "r"):
        for mode in (True, False):
            model.train(mode)
            train(model, optimizer, 1)
            schedule.step()
    first, second = map(Recording(tmp_path / "r").step, (0, 1))
    assert same(second["1.running_mean"], model[1].running_mean)
    assert first["1.num_batches_tracked"] == 1
    assert (first.facts["training"], second.facts["training"]) == (True, False)
    assert second.facts["calls"][1]["training"] is False
    assert [step.facts["groups"][0]["lr"] for step in (first, second)] == [0.1, 0.05]


def test_modules_that_return_tuples_and_dicts(tmp_path):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x, *, scale):
            y, (_, c) = self.lstm(x[:, None])
            return {"logits": self.out(y[:, 0]) * scale, "cell": (c, None)}

    def loop(model, optimizer):
        F.cross_entropy(model(X, scale=torch.tensor(2.0))["logits"], Y).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", Recurrent(), loop)
    assert {"input.0", "input.1", "lstm.input", "lstm.output.0", "lstm.output.2", "output.0"} <= {*step.order}
    assert step.facts["calls"][-1]["inputs"] == ["output.0", "loss.targets"]
    assert step["input.1"] == 2
    assert same(step["lstm.output.0"][:, 0], torch.from_numpy(step["lstm.output.1"][0]))


def test_parameters_by_the_names_of_the_recording(tmp_path):
    class Names(nn.Module):
        def __init__(self):
            super().__init__()
            self.output, self.loss = nn.Parameter(torch.ones(3)), nn.Linear(5, 3)
            self.add_module("a/b", nn.Linear(3, 3))
            self.output_layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.output_layer(getattr(self, "a/b")(self.loss(x))) * self.output

    model = Names()
    step = recorded(tmp_path / "r", model, lambda m, o: train(m, o, 1))
    assert same(step["output"], model.output)
    assert {"output@2", "loss.output", "loss.weight.grad", "loss", "a/b.weight.grad"} <= {*step.order}
    order = step.order
    assert order.index("output_layer.weight.grad") == order.index("output_layer.output.grad") + 1


def test_dtypes_and_layouts(tmp_path):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.low = nn.Linear(5, 3, dtype=torch.bfloat16)
            self.wave = nn.Parameter(torch.ones(3, dtype=torch.complex128) * (1 + 2j))
            self.none = nn.Parameter(torch.ones(0, 4))
            self.register_buffer("spread", torch.ones(3, 1).expand(3, 2))
            self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).T)
            self.register_buffer("flag", torch.tensor(True))

        def forward(self, x):
            return self.low(x.bfloat16()).double() * (self.wave * self.wave.conj()).real + self.none.sum()

    model = Mixed()
    step = recorded(tmp_path / "r", model, lambda m, o: train(m, o, 1), largest=5)
    assert step.dtype("low.bias") == "bfloat16"
    assert step["low.bias"].dtype == np.float32
    assert same(step["low.bias"], model.low.bias.float())
    assert step["wave"].dtype == np.complex128
    assert same(step["wave"], model.wave)
    assert step["wave.grad"].imag.any()
    assert (step["none"].shape, step["flag"].shape, step["flag"].dtype) == ((0, 4), (), bool)
    assert step.sampled["turned"]["norm"] == pytest.approx(55**0.5)
    assert (step.sampled["spread"]["shape"], step["spread"].shape[0] <= 3) == ([3, 2], True)


def test_double_and_autocast(tmp_path):
    step = recorded(tmp_path / "64", mlp(torch.float64), lambda m, o: train(m, o, 1, X.double()))
    assert {step[name].dtype for name in step.order if name != "loss.targets"} == {np.dtype(np.float64)}

    def loop(model, optimizer):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(X), Y)
        loss.backward()
        optimizer.step()

    step = recorded(tmp_path / "16", mlp(), loop)
    assert [step.dtype(f"fc1.{name}") for name in ("output", "output.grad", "weight")] == [
        "bfloat16", "bfloat16", "float32",
    ]  # fmt: skip


def test_sparse_gradients_and_integer_inputs(tmp_path):
    model = nn.Sequential(nn.Embedding(9, 3, sparse=True))
    step = recorded(tmp_path / "r", model, lambda m, o: train(m, o, 1, torch.tensor([1, 1, 2, 8])))
    assert same(step["0.weight.grad"], model[0].weight.grad.to_dense())
    assert step["input"].dtype == np.int64


def test_nan_from_some_step_on(tmp_path):
    def loop(model, optimizer):
        train(model, optimizer, 1)
        train(model, optimizer, 1, X * torch.nan)

    recorded(tmp_path / "r", mlp(), loop, largest=8)
    steps = [Recording(tmp_path / "r").step(t) for t in (0, 1)]
    assert [np.isnan(step["loss"]) for step in steps] == [False, True]
    assert np.isnan(steps[1].sampled["fc1.weight"]["norm"])


def test_closures_give_the_gradients_of_their_own_step(tmp_path):
    def loop(model, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(X), Y)
            loss.backward()
            return loss

        for _ in range(2):
            optimizer.step(closure)

    model = mlp()
    step = recorded(tmp_path / "sgd", model, loop)
    assert [name for name in step.order if "loss" in name] == ["loss.targets", "loss"]
    assert np.array_equal(step["fc2.bias.grad"], step["fc2.output.grad"].sum(0))
    assert "no_gradient" not in step.facts

    model = mlp()
    step = recorded(tmp_path / "lbfgs", model, loop, torch.optim.LBFGS(model.parameters(), max_iter=3))
    assert [name for name in step.order if name.startswith("loss@")] == ["loss@2", "loss@3"]
    assert step["fc1.weight.func_evals"] == 3
    np.testing.assert_allclose(step["fc2.bias.grad"], step["fc2.output@3.grad"].sum(0), rtol=1e-5)
    first = F.linear(X, *(torch.from_numpy(step[f"fc1.{name}.before"]) for name in ("weight", "bias")))
    assert same(step["fc1.output"], first)


def test_a_scaled_loss_and_a_step_that_is_left_out(tmp_path):
    def loop(model, optimizer):
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        for x in (X, X * torch.inf, X):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), Y)).backward()
            scaler.step(optimizer)
            scaler.update()

    recorded(tmp_path / "r", mlp(), loop)
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0, 1]
    for step in map(recording.step, recording.steps):
        assert not [name for name in step.order if "@" in name]
        assert same(step["input"], X)
        assert np.isfinite(step["fc2.bias.grad"]).all()


def test_activation_checkpoints_are_recorded_once(tmp_path):
    def loop(model, optimizer):
        y = torch.utils.checkpoint.checkpoint(model, X, use_reentrant=False)
        F.cross_entropy(y, Y).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", mlp(), loop)
    assert not [name for name in step.order if "@" in name]
    assert "fc1.weight.grad" in step


@pytest.mark.parametrize("form", ["model", "model.compile()", "a part", "part.compile()", "the step"])
def test_within_what_is_compiled_nothing_is_recorded(tmp_path, form):
    torch._dynamo.reset()
    plain, model = mlp(), mlp()
    loop: Callable = lambda m, o: train(m, o, 2)  # noqa: E731
    if form == "model":
        model = torch.compile(model, backend="eager")
    elif form == "model.compile()":
        model.compile(backend="eager")
    elif form == "a part":
        model.fc1 = torch.compile(model.fc1, backend="eager")
    elif form == "part.compile()":
        model.fc1.compile(backend="eager")
    else:
        loss = torch.compile(lambda x: F.cross_entropy(model(x), Y), backend="eager")

        def loop(model, optimizer):
            loss(X).backward()
            optimizer.step()

    with record(plain, sgd(plain), tmp_path / "plain"):
        train(plain, sgd(plain), 0)
    expected = recorded(tmp_path / "expected", plain)
    step = recorded(tmp_path / "r", model, loop)
    about = Recording(tmp_path / "r").about
    assert all(np.array_equal(step[name], expected[name]) for name in step.order if name in expected)
    assert {"fc1.weight.before", "fc1.weight.grad", "fc2.bias", "loss"} <= {*step.order}
    assert ("fc1.output" in step, "output" in step) == {
        "model": (False, True), "model.compile()": (False, True), "the step": (False, False),
        "a part": (True, False), "part.compile()": (True, False),
    }[form]  # fmt: skip
    assert about["compiled"] == {"model": [""], "model.compile()": [""], "the step": []}.get(form, ["fc1"])
    assert {"fc1", "relu", "fc2"} <= {*about["modules"]}
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is not supported")  # with Python 3.14
def test_a_scripted_model_takes_no_hooks(tmp_path):
    model = torch.jit.script(mlp())
    step = recorded(tmp_path / "r", model)
    assert Recording(tmp_path / "r").about["compiled"][0] == ""
    assert {"fc1.weight.before", "loss.input", "loss", "fc1.weight.grad", "fc2.bias"} <= {*step.order}
    assert "fc1.output" not in step


def test_a_model_that_is_wrapped_has_its_own_names(tmp_path):
    model = nn.DataParallel(mlp())
    step = recorded(tmp_path / "r", model)
    assert "fc1.output" in step
    assert not [name for name in step.order if "module" in name]


# What is not


def test_forward_passes_that_train_nothing_are_not_recorded(tmp_path):
    model = mlp()

    def loop(model, optimizer):
        with torch.no_grad():
            F.cross_entropy(model(X), Y)
        F.cross_entropy(model(X * 2), Y)  # validated with gradients, and never back
        F.mse_loss(torch.ones(2, requires_grad=True), torch.ones(2))  # of something else
        optimizer.zero_grad()
        F.cross_entropy(model(X * 3), Y).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", model, loop)
    assert not [name for name in step.order if "@" in name]
    assert same(step["input"], X * 3)
    assert [call["loss"] for call in step.facts["calls"] if "loss" in call] == ["cross_entropy"]


@pytest.mark.parametrize("to_none", [True, False])
def test_the_gradients_are_set_to_zero_at_any_time(tmp_path, to_none):
    def late(model, optimizer):
        for x in (X, X * 2):
            loss = F.cross_entropy(model(x), Y)
            optimizer.zero_grad(to_none)
            loss.backward()
            optimizer.step()

    def thrown_away(model, optimizer):
        F.cross_entropy(model(X * 5), Y).backward()
        model.zero_grad(to_none)
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
        optimizer.zero_grad(to_none)

    for loop in (late, thrown_away):
        step = recorded(tmp_path / loop.__name__, mlp(), loop)
        assert not [name for name in step.order if "@" in name]
        assert same(step["input"], X)
        assert np.array_equal(step["fc2.bias.grad"], step["fc2.output.grad"].sum(0))


def test_two_backward_passes_through_one_graph(tmp_path):
    def loop(model, optimizer):
        loss = F.cross_entropy(model(X), Y)
        loss.backward(retain_graph=True)
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        (2 * loss).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", mlp(), loop)
    assert [name for name in step.order if name.startswith("fc2.output")] == [
        "fc2.output", "fc2.output.grad", "fc2.output.grad@2",
    ]  # fmt: skip
    assert [name for name in step.order if name.startswith("loss")] == ["loss.targets", "loss", "loss@2"]
    assert np.array_equal(step["fc2.output.grad"] * 2, step["fc2.output.grad@2"])


def test_two_models_in_one_loop_keep_to_themselves(tmp_path):
    torch.manual_seed(0)
    g, d = nn.Sequential(nn.Linear(2, 5)), nn.Sequential(nn.Linear(5, 1))
    of_g, of_d = sgd(g), sgd(d)
    real, fake = torch.ones(4, 1), torch.zeros(4, 1)
    with record(g, of_g, tmp_path / "g"), record(d, of_d, tmp_path / "d"):
        for _ in range(3):
            z = torch.randn(4, 2)
            of_d.zero_grad()
            F.binary_cross_entropy_with_logits(d(X), real).backward()
            F.binary_cross_entropy_with_logits(d(g(z).detach()), fake).backward()
            of_d.step()
            of_g.zero_grad()
            F.binary_cross_entropy_with_logits(d(g(z)), real).backward()
            of_g.step()
    for t in range(3):
        step = Recording(tmp_path / "d").step(t)
        assert same(step["input"], X)
        assert {"input@2", "loss@2"} <= {*step.order}
        assert "input@3" not in step
        np.testing.assert_allclose(
            step["0.bias.grad"], (step["0.output.grad"] + step["0.output@2.grad"]).sum(0), rtol=1e-5
        )
        step = Recording(tmp_path / "g").step(t)
        assert not [name for name in step.order if "@" in name]
        assert step["input"].shape == (4, 2)
        assert step["loss.input"].shape == (4, 1)


def test_the_training_is_the_same_to_the_bit_and_everything_is_gone_afterwards(tmp_path):
    patched = {name: getattr(F, name) for name in ("cross_entropy", "mse_loss")}
    backward = torch.autograd.backward, torch.Tensor.backward
    ends = []
    for folder in (None, tmp_path / "r"):
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(True), nn.Linear(8, 3)
        )
        model[0].compile(backend="eager")
        compiled = model[0]._compiled_call_impl
        optimizer = torch.optim.AdamW(model.parameters())
        stop = record(model, optimizer, folder) if folder else contextlib.nullcontext()
        kept: list[torch.Tensor] = []

        def loop(model=model, optimizer=optimizer, stop=stop, kept=kept):
            with stop:
                train(model, optimizer, 3)
                kept.append(model(X))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            loop()
        assert not kept[0]._backward_hooks
        for module in model.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
        assert model[0]._compiled_call_impl is compiled
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
        ends.append([*model.state_dict().values(), torch.rand(3)])
        train(model, optimizer, 1)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert patched == {name: getattr(F, name) for name in patched}
    assert backward == (torch.autograd.backward, torch.Tensor.backward)
    assert Recording(tmp_path / "r").steps == [0, 1, 2]


def test_a_copy_of_the_model_is_another_model(tmp_path):
    copies = []

    def loop(model, optimizer):
        loss = F.cross_entropy(model(X), Y)
        copies.append(copy.deepcopy(model))
        torch.save(model, tmp_path / "model.pt")
        copies.append(torch.load(tmp_path / "model.pt", weights_only=False))
        for each in copies:
            F.cross_entropy(each(X * 2), Y).backward()
        loss.backward()
        optimizer.step()

    model = mlp()
    step = recorded(tmp_path / "r", model, loop)
    assert not [name for name in step.order if "@" in name]
    assert same(step["input"], X)
    assert all(torch.equal(each.fc1.weight, torch.from_numpy(step["fc1.weight.before"])) for each in copies)


def test_weights_of_a_loss_that_were_seen_in_a_pass_that_does_not_count(tmp_path):
    weight = torch.tensor([1.0, 2.0, 3.0])

    def loop(model, optimizer):
        F.cross_entropy(model(X * 2), Y, weight)
        F.cross_entropy(model(X), Y, weight=weight, label_smoothing=0.1).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", mlp(), loop)
    assert step.facts["calls"][-1] == {
        "loss": "cross_entropy", "inputs": ["fc2.output", "loss.targets"], "weight": "loss.weight",
        "options": {"ignore_index": -100, "reduction": "mean", "label_smoothing": 0.1},
    }  # fmt: skip
    assert same(step["loss.weight"], weight)
    assert same(step["input"], X)


def test_a_model_that_computes_its_loss_itself(tmp_path):
    class WithLoss(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.loss = mlp(), nn.CrossEntropyLoss()

        def forward(self, x, y):
            return self.loss(self.net(x), y)

    def loop(model, optimizer):
        model(X, Y).backward()
        optimizer.step()

    step = recorded(tmp_path / "r", WithLoss(), loop)
    assert step.facts["calls"][-2]["inputs"] == ["net.fc2.output", "input.1"]
    assert step["output"] == step["loss"]
    assert "output.grad" in step


def test_one_recording_within_another(tmp_path):
    model = mlp()
    optimizer = sgd(model)
    with record(model, optimizer, tmp_path / "a"):
        train(model, optimizer, 1)
        with record(model, optimizer, tmp_path / "b"):
            train(model, optimizer, 1)
        train(model, optimizer, 1)
    a, b = Recording(tmp_path / "a"), Recording(tmp_path / "b")
    assert (a.steps, b.steps) == ([0, 1, 2], [0])
    assert a.step(1).order == b.step(0).order
    assert np.array_equal(a.step(1)["loss"], b.step(0)["loss"])


def test_limits(tmp_path):
    model = mlp()
    optimizer = sgd(model)
    only = (name for name in ("fc?.output", "*.weight.grad"))
    with record(model, optimizer, tmp_path / "r", every=2, first=5, only=only, largest=16):
        train(model, optimizer, 8)
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0, 2, 4]
    step = recording.step(4)
    assert step.order == ["fc1.output", "fc2.output", "fc2.weight.grad", "fc1.weight.grad"]
    assert step.sampled["fc1.output"]["shape"] == [4, 6]
    assert step["fc1.output"].size <= 16
    assert "fc2.output" not in step.sampled
    assert recording.about["steps"] == 8


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"every": 0}, "every: expected an integer >= 1, got 0"),
        ({"every": None}, "every: expected an integer >= 1, got None"),
        ({"first": 2.0}, "first: expected an integer >= 1, got 2.0"),
        ({"largest": -1}, "largest: expected an integer >= 1, got -1"),
        ({"only": [1]}, "only: expected names, with [*] and [?], got 1"),
    ],
)
def test_limits_that_are_none(tmp_path, limit, message):
    with pytest.raises(ValueError, match=message):
        Recorder(tmp_path / "r", **limit)
    assert not (tmp_path / "r").exists()


def test_no_model_and_no_optimizer(tmp_path):
    model = mlp()
    with pytest.raises(TypeError, match=r"model: expected a torch.nn.Module, got SGD"):
        record(sgd(model), model, tmp_path / "r")
    with pytest.raises(TypeError, match=r"optimizer: expected a torch.optim.Optimizer, got Linear"):
        record(model, model.fc1, tmp_path / "r")


def test_a_model_without_numbers(tmp_path):
    model = mlp().to("meta")
    with pytest.raises(
        ValueError, match=r"^model: expected numbers to record, got meta tensors, fc1\.weight, "
    ):
        record(model, sgd(model), tmp_path / "r")
    assert not (tmp_path / "r").exists()


# Samples


def test_the_sample_of_a_transpose_is_the_transpose_of_the_sample():
    x = torch.arange(6000.0).reshape(60, 100)
    sample, turned = Kept.of(x, 100), Kept.of(x.T, 100)
    assert torch.equal(sample.tensor.T, turned.tensor)
    assert sample.tensor.numel() <= 100
    assert (sample.shape, turned.shape) == ((60, 100), (100, 60))
    assert sample.norm == turned.norm == pytest.approx(torch.linalg.vector_norm(x.double()).item(), 1e-6)


@pytest.mark.parametrize(
    "shape", [(2, 100_000), (512, 512, 3, 3), (7, 7, 7), (1, 3000), (5, 1, 300, 2), (300, 300), (100_000,)]
)
@pytest.mark.parametrize("largest", [1, 2, 100, 16384])
def test_a_sample_has_as_many_elements_as_allowed_at_most(shape, largest):
    lengths = [len(kept) for kept in store.sampled_axes(shape, largest)]
    assert min(math.prod(shape), max(1, largest / 2**4)) <= math.prod(lengths) <= largest
    assert [len(kept) for kept in store.sampled_axes(shape[::-1], largest)] == lengths[::-1]


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "uint64", "bool", "float8_e5m2", "complex128"]
)
def test_samples_of_other_dtypes(dtype):
    x = torch.ones(30, 40).to(getattr(torch, dtype))
    kept = Kept.of(x, 50)
    assert (kept.tensor.dtype, kept.tensor.shape) == (x.dtype, (7, 7))
    assert kept.norm == pytest.approx(1200**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64])
@pytest.mark.parametrize("value", [1.0, 2.0**100, 2.0**-100, 0.0])
def test_a_norm_is_right_to_its_digits(dtype, value):
    if value not in (0, 1) and dtype in (torch.float16, torch.int64):
        value = 3.0
    x = torch.full((100, 3000), value, dtype=dtype)
    assert Kept.of(x, 10).norm == pytest.approx(value * 300000**0.5, rel=1e-6)
    assert Kept.of(x[:, ::2], 10).norm == pytest.approx(value * 150000**0.5, rel=1e-6)


def test_a_copy_does_not_change_with_what_it_was_copied_from():
    for x in (torch.ones(4, 5), torch.ones(40, 50), torch.ones(5).expand(4, 5), torch.ones(4, 5).conj()):
        kept = Kept.of(x, 100)
        x.mul_(0) if x.stride()[0] else None
        assert bool((kept.tensor == 1).all())
        assert kept.tensor.is_contiguous()


# NumPy


def numpy_step(folder: Path, *args: Any, **named: Any) -> store.Step:
    with Recorder(folder) as run:
        run.step(*args, **named)
    return Recording(folder).step(0)


def test_any_names_and_values_of_numpy(tmp_path):
    W = np.arange(6.0).reshape(2, 3)
    read_only = np.broadcast_to(np.float32(2), (2, 2))
    step = numpy_step(
        tmp_path / "r",
        {"layer.1/W": W, "params": {"b": [np.ones(2), np.zeros(3)], 7: 1}, 0: 2.5},
        W=[W, (W, W)], loss=np.float32(0.5), n=3, z=1 + 2j, mode="train", early=False, late=np.True_,
        nothing=None, lr=[0.1, 0.2], scalars=[np.float32(1), np.float32(2)], half=np.float16([1, 2]),
        wide=np.longdouble([1, 2]), wider=np.ones(2, np.clongdouble), mask=W > 2,
        bytes=np.arange(3, dtype="u1"), zero=np.ones(()), empty=np.ones((0, 3)),
        fortran=np.asfortranarray(W), turned=W.T, strided=W[:, ::2], reversed=W[::-1], read_only=read_only,
        big=W.astype(">f4"), field=np.array([(1, 2.5)], "i1,f8")["f1"],
        tensor=torch.ones(2, requires_grad=True),
    )  # fmt: skip
    assert step.order[:4] == ["layer.1/W", "params.b.0", "params.b.1", "params.7"]
    assert step.facts == {"mode": "train", "early": False, "late": True}
    expected = {
        "0": 2.5, "W.0": W, "W.1.0": W, "loss": 0.5, "n": 3, "z": 1 + 2j, "lr": [0.1, 0.2], "scalars": [1, 2],
        "half": [1, 2], "wide": [1, 2], "wider": [1, 1], "mask": W > 2, "bytes": [0, 1, 2], "fortran": W,
        "turned": W.T, "strided": W[:, ::2], "reversed": W[::-1], "read_only": read_only, "big": W,
        "field": [2.5], "zero": 1, "empty": np.ones((0, 3)), "tensor": [1, 1],
    }  # fmt: skip
    assert {name for name in expected if not np.array_equal(step[name], expected[name])} == set()
    assert [step.dtype(name) for name in ("loss", "half", "wide", "mask", "n", "z")] == [
        "float32", "float16", "float64", "bool", "int64", "complex128",
    ]  # fmt: skip
    assert "nothing" not in step


def test_arrays_that_change_after_the_step(tmp_path):
    small, large = np.ones(3), np.ones((300, 300))
    with Recorder(tmp_path / "r") as run:
        run.step(small=small, large=large)
        small *= 2
        large *= 2
        run.step()
    first, second = map(Recording(tmp_path / "r").step, (0, 1))
    assert (first["small"].max(), first["large"].max(), first.sampled["large"]["norm"]) == (1, 1, 300)
    assert second.order == []


@pytest.mark.parametrize(
    ("args", "named", "error", "message"),
    [
        (
            (),
            {"a": np.array([None, 1])},
            TypeError,
            "^a: expected an array or a number, got ndarray of object$",
        ),
        ((), {"a": [np.ones(2), object()]}, TypeError, "^a.1: expected an array or a number, got object of "),
        ((), {"a": 2**70}, TypeError, "^a: expected an array or a number, got int of object$"),
        (
            (),
            {"a": {"b": np.array("x")}},
            TypeError,
            "^a.b: expected an array or a number, got ndarray of <U1$",
        ),
        ((), {"a": np.array(["2026"], "M8[Y]")}, TypeError, "^a: expected an array or a number, got ndarray"),
        (({"a": 1},), {"a": 2}, ValueError, "^a: expected one value of each name, got two$"),
        (({"a.0": 1},), {"a": [np.ones(1)]}, ValueError, "^a.0: expected one value of each name, got two$"),
        ((np.ones(2),), {}, TypeError, "^step: expected a dict, or arrays by name, x=x; got ndarray$"),
        (({"__metadata__": 1.0},), {}, RecordingError, "__metadata__"),
    ],
)
def test_values_that_can_not_be_recorded(tmp_path, args, named, error, message):
    run = Recorder(tmp_path / "r")
    run.step(x=1.0)
    with pytest.raises(error, match=message), run:
        run.step(*args, **named)
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0]
    assert recording.ending.startswith(f"ended by {error.__name__}: ")


def test_limits_of_numpy(tmp_path):
    with Recorder(tmp_path / "r", every=3, only="W[?]", seed=0) as run:
        for t in range(5):
            run.step({"W[0]": t, "W0": t})
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0, 3]
    assert recording.step(3).order == ["W[0]"]
    assert recording.about["seed"] == 0
    assert recording.about["kind"] == "numpy"


# Runs that end otherwise, and folders that are none


def test_an_exception_ends_the_run_and_the_index_says_which(tmp_path):
    model = mlp()

    def loop(model, optimizer):
        train(model, optimizer, 2)
        model(X.T)

    with pytest.raises(RuntimeError, match="shapes"):
        recorded(tmp_path / "r", model, loop)
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0, 1]
    assert re.match("ended by RuntimeError: .*mat1 and mat2 shapes cannot be multiplied", recording.ending)
    for error, words in (
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError("x\n\udcff"), r"ValueError: x\n\udcff"),
    ):
        run = Recorder(tmp_path / type(error).__name__)
        run.step(x=1)
        with pytest.raises(type(error)), run:
            raise error
        assert Recording(tmp_path / type(error).__name__).ending == f"ended by {words}"


def test_a_model_whose_forward_pass_failed_once_is_recorded_as_before(tmp_path):
    def loop(model, optimizer):
        for _ in range(2):
            with pytest.raises(RuntimeError):
                model(X.T)
            F.cross_entropy(model(X * 2), Y)
            train(model, optimizer, 1)

    recorded(tmp_path / "r", mlp(), loop)
    step = Recording(tmp_path / "r").step(1)
    assert not [name for name in step.order if "@" in name]
    assert same(step["input"], X)


def test_a_run_that_is_killed_is_readable(tmp_path):
    program = (
        "import os, signal, sys; from compare import Recorder\n"
        "with Recorder(sys.argv[1]) as run:\n"
        "    run.step(x=1.0); run.step(x=2.0); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "r")], check=False)
    assert ended.returncode == -signal.SIGKILL
    recording = Recording(tmp_path / "r")
    assert (recording.steps, recording.ending) == ([0, 1], "never finished")
    assert recording.step(1)["x"] == 2


def test_a_recording_that_has_ended_takes_no_more(tmp_path):
    with Recorder(tmp_path / "r") as run:
        run.step(x=1)
    with pytest.raises(RecordingError, match="r: this recording has ended, step 1 came after it"):
        run.step(x=1)
    assert Recording(tmp_path / "r").steps == [0]


def full(*args: Any) -> None:
    Path(args[1]).write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk(tmp_path, monkeypatch):
    def loop(model, optimizer):
        train(model, optimizer, 1)
        monkeypatch.setattr(safetensors.torch, "save_file", full)
        train(model, optimizer, 1)

    model = mlp()
    with pytest.raises(RecordingError, match=r"step-00000001\.safetensors: can not be written: .*No space"):
        recorded(tmp_path / "r", model, loop)
    assert not model._forward_hooks
    assert {path.name for path in (tmp_path / "r").iterdir()} == {INDEX, "step-00000000.safetensors"}
    recording = Recording(tmp_path / "r")
    assert recording.steps == [0]
    assert recording.ending.startswith("ended by RecordingError: ")


def test_an_index_that_can_not_be_written(tmp_path, monkeypatch):
    def no_index(*_: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    run = Recorder(tmp_path / "r")
    run.step(x=1)
    monkeypatch.setattr(store, "write_whole", no_index)
    with pytest.raises(RecordingError, match=r"r: can not be written: .*Permission denied"):
        Recorder(tmp_path / "other")
    with pytest.raises(RecordingError, match=r"index\.json: can not be written: .*Permission denied"), run:
        pass
    with pytest.raises(ZeroDivisionError), run:  # what ended the loop is what is seen
        raise ZeroDivisionError
    assert Recording(tmp_path / "r").ending == "never finished"


def test_folders_that_are_not_recorded_into(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / INDEX).write_text('{"pages": []}')
    for folder, message in {
        "file": "file: can not be written: .*File exists",
        "file/r": "can not be written: .*Not a directory",
        "mine": "mine: expected a new folder or an old recording, got one with other files",
        "site": "index.json: expected the index of a “scratch-vs-torch recording 1”, got None",
    }.items():
        with pytest.raises(RecordingError, match=message) as error:
            Recorder(tmp_path / folder)
        assert "\n" not in str(error.value)
    assert [path.read_text() for path in (tmp_path / "mine").iterdir()] == ["mine"]
    assert (tmp_path / "site" / INDEX).read_text() == '{"pages": []}'


def test_an_older_recording_is_replaced_and_nothing_else(tmp_path):
    numpy_step(tmp_path, x=1)
    with Recorder(tmp_path) as run:
        for t in range(3):
            run.step(x=t)
    (tmp_path / "notes.txt").write_text("mine")
    unfinished_name(tmp_path / "step-00000003.safetensors").write_text("half")
    unfinished_name(tmp_path / INDEX).write_text("half")
    numpy_step(tmp_path, y=1)
    assert {path.name for path in tmp_path.iterdir()} == {INDEX, "step-00000000.safetensors", "notes.txt"}
    (tmp_path / "killed").mkdir()
    unfinished_name(tmp_path / "killed" / INDEX).write_text("half")  # the first thing that is written
    assert numpy_step(tmp_path / "killed", y=1)["y"] == 1


def test_two_runs_into_one_folder_are_noticed(tmp_path):
    first = Recorder(tmp_path / "r")
    with Recorder(tmp_path / "r") as second:
        first.step(x=1)
        first.step(x=1)
        second.step(x=1)
    with pytest.raises(RecordingError, match=r"step-00000001.* is of another recording than index\.json"):
        Recording(tmp_path / "r")


def change(index: Path, **changed: Any) -> None:
    index.write_text(json.dumps({**json.loads(index.read_text()), **changed}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def foreign(path: Path) -> None:
    safetensors.torch.save_file({"x": torch.ones(1)}, path)


def other_facts(path: Path) -> None:
    safetensors.torch.save_file({"x": torch.ones(1)}, path, {"recording": '{"order": ["x"], "step": 1}'})


FIRST, STEP, LAST = (f"step-{t:08}.safetensors" for t in range(3))
DAMAGED = "is damaged, or of something else"
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing in the middle": (lambda r: (r / STEP).unlink(), f"r: a recorded step is missing before {LAST}"),
    "missing at the start": (lambda r: (r / FIRST).unlink(), f"r: a recorded step is missing before {STEP}"),
    "missing at the end": (lambda r: (r / LAST).unlink(), "expected 3 steps as index.json says, got 2"),
    "no steps": (lambda r: [p.unlink() for p in r.glob("step-*")], "at least one recorded step, got none"),
    "cut": (lambda r: cut(r / STEP), f"{STEP}: {DAMAGED}"),
    "empty": (lambda r: (r / STEP).write_bytes(b""), f"{STEP}: {DAMAGED}"),
    "foreign": (lambda r: foreign(r / STEP), f"{STEP}: {DAMAGED}: KeyError: 'recording'"),
    "half of the facts": (lambda r: other_facts(r / STEP), f"{STEP}: {DAMAGED}: KeyError"),
    "renamed": (lambda r: (r / LAST).rename(r / "step-00000007.safetensors"), f"step-00000007.*: {DAMAGED}"),
    "another file": (lambda r: (r / "step-x.safetensors").write_text("x"), f"step-x.safetensors: {DAMAGED}"),
    "no index": (lambda r: (r / INDEX).unlink(), "r: expected the folder of a recording, got one without"),
    "broken JSON": (lambda r: (r / INDEX).write_text('{"format": '), f"index.json: {DAMAGED}: JSONDecode"),
    "not UTF-8": (lambda r: (r / INDEX).write_bytes(b"\xff"), f"index.json: {DAMAGED}: UnicodeDecodeError"),
    "a list": (lambda r: (r / INDEX).write_text("[]"), "index.json: expected the index of a “.*”, got None"),
    "version 2": (
        lambda r: change(r / INDEX, format="scratch-vs-torch recording 2"),
        "expected the index of a “scratch-vs-torch recording 1”, got 'scratch-vs-torch recording 2'",
    ),
    "another kind": (lambda r: change(r / INDEX, kind="jax"), "index.json: is damaged: expected kind and"),
    "no count": (lambda r: change(r / INDEX, written=None), "expected None steps as index.json says, got 3"),
    "no folder": (lambda r: r.rename(r.with_name("s")), "r: expected the folder of a recording, got none"),
    "a file": (lambda r: [r.rename(r.with_name("s")), r.write_text("x")], "of a recording, got a file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_whole_recording_is_refused_in_one_line(tmp_path, damage):
    with Recorder(tmp_path / "r") as run:
        for t in range(3):
            run.step(x=float(t))
    act, message = DAMAGE[damage]
    act(tmp_path / "r")
    with pytest.raises(RecordingError, match=message) as error:
        Recording(tmp_path / "r")
    assert str(tmp_path / "r") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_step_is_read_when_it_is_asked_for(tmp_path):
    with Recorder(tmp_path / "r", largest=10**6) as run:
        run.step(x=np.ones(500_000), y=np.zeros(500_000))
    step = Recording(tmp_path / "r").step(0)
    path = tmp_path / "r" / "step-00000000.safetensors"
    content = path.read_bytes()
    with path.open("r+b") as file:  # y comes last
        file.seek(len(content) - 8)
        file.write(np.float64(7).tobytes())
    assert step["x"].all()
    assert list(step.read) == ["x"]
    assert step["y"][-1] == 7
    with pytest.raises(KeyError, match="no tensor z"):
        step["z"]
    path.unlink()
    step = Recording.__new__(Recording)
    step._paths = {0: path}
    with pytest.raises(RecordingError, match="is damaged, or of something else: FileNotFoundError"):
        step.step(0)
