"""A small network, recorded on both sides, whose NumPy functions may be others: a mistake's

    input → fc1 → (norm) → activation → (drop) → fc2 → loss

The NumPy side keeps PyTorch's layout and says everything that it computes, under names of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from conftest import COMPONENTS

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record
from scratch import optimizers
from scratch.random import TorchGenerator

MODULES = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
    "softmax": torch.nn.Softmax,
    "log_softmax": torch.nn.LogSoftmax,
    "batch_norm": torch.nn.BatchNorm1d,
    "layer_norm": torch.nn.LayerNorm,
    "rms_norm": torch.nn.RMSNorm,
}


@dataclass(frozen=True)
class Setting:
    """What the network is made of, and how it is trained."""

    activation: str = "tanh"
    activation_options: Mapping[str, Any] = field(default_factory=dict)
    norm: str = ""
    p: float = 0.0  # of dropout
    loss: str = "cross_entropy"
    optimizer: str = "SGD"
    options: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 0.05
    falling: bool = False  # the learning rate, from step to step
    schedule: tuple[str, Mapping[str, Any]] | None = None  # and its settings; an epoch has two steps
    mine: str = ""  # scratch's optimizer, where it is another one
    mine_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 8
    classes: int = 3
    features: int = 4
    hidden: int = 6
    batch: int = 5
    spread: float = 1.0  # of the data
    shift: float = 0.0
    zeros: bool = False  # an example of zeros in every batch, and biases that start there
    weights: Mapping[str, Any] = field(default_factory=dict)  # weight and pos_weight of the loss
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    clip: tuple[str, float] | None = None  # clip_grad_norm or clip_grad_value, and the bound

    @property
    def outputs(self) -> int:
        """Of the network."""
        return self.classes

    @cached_property
    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """x and targets of every step."""
        rng = np.random.default_rng(7)
        found = []
        for _ in range(self.steps):
            x = self.shift + self.spread * rng.standard_normal((self.batch, self.features))
            if self.zeros:
                x[0] = 0
            found.append((x, self._targets(rng)))
        return found

    def _targets(self, rng: np.random.Generator) -> np.ndarray:
        if self.loss == "cross_entropy":
            return rng.integers(0, self.classes, self.batch)
        if self.loss == "mse_loss":
            return rng.standard_normal((self.batch, self.classes))
        return rng.integers(0, 2, (self.batch, self.classes)).astype(float)

    def rate(self, step: int, f: Any = None) -> float:
        """The learning rate."""
        if self.schedule:
            name, options = self.schedule
            return getattr(f or COMPONENTS[name].implementation(), name)(self.lr, step // 2, **options)
        return self.lr * (0.8**step if self.falling else 1)

    def model(self) -> torch.nn.Module:
        """The PyTorch side, which both start from."""
        torch.manual_seed(3)
        layers: list[tuple[str, torch.nn.Module]] = [("fc1", torch.nn.Linear(self.features, self.hidden))]
        if self.norm:
            layers.append(("norm", MODULES[self.norm](self.hidden)))
        dim: dict[str, Any] = {"dim": -1} if "softmax" in self.activation else {}
        layers.append(("act", MODULES[self.activation](**dim | dict(self.activation_options))))
        if self.p:
            layers.append(("drop", torch.nn.Dropout(self.p)))
        layers.append(("fc2", torch.nn.Linear(self.hidden, self.outputs)))
        if self.loss == "binary_cross_entropy":
            layers.append(("out", torch.nn.Sigmoid()))
        model = torch.nn.Sequential(OrderedDict(layers)).double()
        if self.zeros:
            torch.nn.init.zeros_(model.fc1.bias)
        if self.norm:  # γ and β that are no 1 and 0
            with torch.no_grad():
                for param in model.norm.parameters():
                    param += 0.3 * torch.randn_like(param)
        return model


def record_theirs(setting: Setting, folder: Path) -> None:
    """The PyTorch side."""
    model = setting.model()
    optimizer = getattr(torch.optim, setting.optimizer)(model.parameters(), setting.lr, **setting.options)
    torch.manual_seed(5)
    weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in setting.weights.items()}
    with record(model, optimizer, folder):
        for t, (x, targets) in enumerate(setting.batches):
            optimizer.param_groups[0]["lr"] = setting.rate(t)
            optimizer.zero_grad()
            loss = getattr(torch.nn.functional, setting.loss)(
                model(torch.tensor(x)), torch.tensor(targets), **weights, **setting.loss_options
            )
            loss.backward()
            if setting.clip:
                clip = {"clip_grad_norm": "clip_grad_norm_", "clip_grad_value": "clip_grad_value_"}[
                    setting.clip[0]
                ]
                getattr(torch.nn.utils, clip)(model.parameters(), setting.clip[1])
            optimizer.step()


def record_mine(setting: Setting, folder: Path, replaced: Mapping[str, Callable] | None = None) -> None:
    """The NumPy side, with other functions in the place of some."""
    functions: dict[str, Any] = {}
    for component in COMPONENTS.values():
        functions |= vars(component.implementation())
    f = SimpleNamespace(**functions | dict(replaced or {}))
    params = {name: param.detach().numpy().copy() for name, param in setting.model().named_parameters()}
    optimizer = _optimizer(setting, list(params.values()), f)
    running = [np.zeros(setting.hidden), np.ones(setting.hidden), np.array(0)]
    generator = TorchGenerator(5)
    weights = {name: np.array(value, float) for name, value in setting.weights.items()}
    w1, b1, *norm, w2, b2 = params.values()
    with Recorder(folder) as run, np.errstate(all="ignore"):
        for t, (x, targets) in enumerate(setting.batches):
            optimizer.lr = setting.rate(t, f)
            kept: dict[str, Any] = {"x": x, "targets": targets, "lr": optimizer.lr}
            z1, cache1 = f.linear_forward(x, w1, b1)
            kept["z1"] = h = z1
            if setting.norm == "batch_norm":
                h, norm_cache, statistics = f.batch_norm_forward(z1, *norm)
                f.update_running_statistics(*running, *statistics, len(x))
            elif setting.norm:
                h, norm_cache = getattr(f, f"{setting.norm}_forward")(z1, *norm)
            if setting.norm:
                kept["n1"] = h
            h, act_cache = getattr(f, f"{setting.activation}_forward")(h, **setting.activation_options)
            kept["a1"] = h
            if setting.p:
                h, drop_cache = f.dropout_forward(h, setting.p, generator)
                kept["d1"] = h
            z2, cache2 = f.linear_forward(h, w2, b2)
            kept["z2"] = y = z2
            if setting.loss == "binary_cross_entropy":
                y, out_cache = f.sigmoid_forward(z2)
                kept["out"] = y
            kept["loss"], loss_cache = getattr(f, f"{setting.loss}_forward")(
                y, targets, **weights, **setting.loss_options
            )
            dy = getattr(f, f"{setting.loss}_backward")(1.0, loss_cache)
            if setting.loss == "binary_cross_entropy":
                kept["dout"] = dy
                dy = f.sigmoid_backward(dy, out_cache)
            kept["dz2"] = dy
            dh, dw2, db2 = f.linear_backward(dy, cache2)
            if setting.p:
                kept["dd1"] = dh
                dh = f.dropout_backward(dh, drop_cache)
            kept["da1"] = dh
            dh = getattr(f, f"{setting.activation}_backward")(dh, act_cache)
            dnorm: list[np.ndarray] = []
            if setting.norm:
                kept["dn1"] = dh
                dh, *dnorm = getattr(f, f"{setting.norm}_backward")(dh, norm_cache)
            kept["dz1"] = dh
            _, dw1, db1 = f.linear_backward(dh, cache1)
            grads = [np.array(g) for g in (dw1, db1, *dnorm, dw2, db2)]
            grads = [_like(grad, param) for grad, param in zip(grads, params.values(), strict=True)]
            names = ["W1", "b1", *["gamma", "beta"][: len(norm)], "W2", "b2"]
            kept |= {f"{n}_before": p.copy() for n, p in zip(names, params.values(), strict=True)}
            if setting.clip:
                kept |= {f"raw_d{n}": g.copy() for n, g in zip(names, grads, strict=True)}
                kept["norm"] = getattr(f, f"{setting.clip[0]}_")(grads, setting.clip[1])
            kept |= {f"d{n}": g for n, g in zip(names, grads, strict=True)}
            optimizer.step(grads)
            kept |= dict(zip(names, params.values(), strict=True))
            if setting.norm == "batch_norm":
                kept |= {"running_mean": running[0], "running_var": running[1]}
            run.step(kept)


def _like(grad: np.ndarray, param: np.ndarray) -> np.ndarray:
    """As `param -= lr * grad` would take it."""
    return np.broadcast_to(grad if grad.size < 2 else grad.reshape(param.shape), param.shape).copy()


def _optimizer(setting: Setting, params: list[np.ndarray], f: Any) -> Any:
    """Scratch's class with the rule of f; the recorded parameters are those that it changes."""
    optimizer = getattr(optimizers, setting.mine or setting.optimizer)(
        params, setting.lr, **setting.mine_options or setting.options
    )
    optimizer.rule = getattr(f, optimizer.rule.__name__)
    return optimizer
