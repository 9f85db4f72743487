"""The still figures of the playground: each widget as it starts, computed by `scratch/`."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from compare.report.plots import COLOURS, SUPERSCRIPT, to_svg
from scratch import schedules
from scratch.batch_norm import batch_norm_forward
from scratch.gradient_check import PASSES, numerical_gradient, relative_error
from scratch.network import Network
from scratch.optimizers import SGD, Adam, RMSprop
from scratch.random import TorchGenerator
from scratch.training import train_step

INK, RULE, *CURVES = COLOURS


def _optimizers(axes: Axes) -> None:
    """The ravine ½(x² + 50y²), forty steps from (−3.5, 1)."""
    x, y = np.meshgrid(np.linspace(-4, 4, 81), np.linspace(-1.5, 1.5, 81))
    axes.contour(x, y, np.log((x * x + 50 * y * y) / 2 + 0.05), levels=10, colors=RULE, linewidths=0.7)
    makers: dict[str, Callable] = {
        "gradient descent": partial(SGD, lr=0.025),
        "momentum": partial(SGD, lr=0.025, momentum=0.9),
        "Nesterov": partial(SGD, lr=0.025, momentum=0.9, nesterov=True),
        "RMSProp": partial(RMSprop, lr=0.1),
        "Adam": partial(Adam, lr=0.1),
    }
    for (label, make), colour, marker in zip(makers.items(), CURVES, "os^Dx", strict=False):
        theta = np.array([-3.5, 1.0])
        optimizer, path = make([theta]), [theta.copy()]
        for _ in range(40):
            optimizer.step([theta * [1, 50]])
            path.append(theta.copy())
        axes.plot(*np.array(path).T, color=colour, marker=marker, markevery=10, markersize=5, label=label)
    axes.set_xlim(-4, 4)
    axes.set_ylim(-1.5, 1.5)
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def rings(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n points on two rings, with normal noise, (n, 2), and 1 for those of the inner ring, (n, 1)."""
    k = np.arange(n)
    radius, angle = np.where(k % 2, 0.45, 1.0), 2 * math.pi * k / n
    around = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x = around + TorchGenerator(seed).normal((n, 2), 0.0, noise, np.float64)
    return x, (k % 2).astype(np.float64)[:, None]


def network_on_rings(widths: tuple[int, ...], seed: int, **options: Any) -> Network:
    """A network for the two rings, as both widgets make it."""
    loss = "binary_cross_entropy_with_logits"
    return Network(widths, TorchGenerator(seed), loss=loss, dtype=np.float64, **options)


def _start(axes: Axes) -> None:
    """The orders of magnitude of four layers' activations, by He's initialisation."""
    network = network_on_rings((2, 12, 12, 12, 12, 1), 0)
    x, _ = rings(80, 0.08, 1)
    depth = 0
    for name, layer in network.layers.items():
        x = layer.forward(x)
        if name.startswith("relu"):
            size = np.log10(x[x > 0])
            axes.hist(
                size, bins=60, range=(-8, 4), histtype="step", color=CURVES[depth], label=f"layer {depth + 1}"
            )
            depth += 1
    axes.set_xlabel("power of ten of the activation")
    axes.set_ylabel("how many")


def _schedules(axes: Axes) -> None:
    rules: dict[str, Callable[[int], float]] = {
        "exponential": lambda epoch: schedules.exponential(0.1, epoch, gamma=0.95),
        "staircase": lambda epoch: schedules.staircase(0.1, epoch, step_size=15, gamma=0.5),
        "cosine with warm-up": lambda epoch: schedules.cosine_with_warmup(
            0.1, epoch, warmup_epochs=5, total_epochs=60
        ),
        "cosine with restarts": lambda epoch: schedules.cosine_with_restarts(0.1, epoch, T_0=10, T_mult=2),
        "one cycle": lambda epoch: schedules.one_cycle(0.1, epoch, total_steps=60),
    }
    for (label, rule), colour, style in zip(rules.items(), CURVES, ["-", "--", ":", "-.", "-"], strict=False):
        axes.step(
            range(60), [rule(t) for t in range(60)], where="post", color=colour, linestyle=style, label=label
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")


def _regularization(axes: Axes) -> None:
    """The boundary of a network that has learned its forty examples by heart."""
    network = network_on_rings((2, 24, 24, 1), 0)
    x, targets = rings(40, 0.25, 1)
    optimizer = Adam(network.parameters(), lr=0.02)
    for _ in range(200):
        train_step(network, optimizer, x, targets)
    line = np.linspace(-1.7, 1.7, 101)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    axes.contour(line, line, network.forward(grid).reshape(101, 101), levels=[0], colors=INK)
    for (target, label), colour, marker in zip(
        [(0, "outer ring"), (1, "inner ring")], CURVES, "o^", strict=False
    ):
        axes.plot(*x[targets[:, 0] == target].T, color=colour, marker=marker, linestyle="", label=label)
    axes.set_aspect("equal")


def _batch_norm(axes: Axes) -> None:
    x = 2 + 1.5 * TorchGenerator(0).normal((8, 1), dtype=np.float64)
    y, *_ = batch_norm_forward(x, None, None)
    for before, after in zip(x[:, 0], y[:, 0], strict=True):
        axes.plot([before, after], [1, 0], color=RULE, linewidth=1)
    axes.plot(x[:, 0], np.ones(8), "o", color=CURVES[0], label="x")
    axes.plot(y[:, 0], np.zeros(8), "s", color=CURVES[1], label="normalised")
    axes.set_yticks([])
    axes.set_xlabel("value")


def _backward(axes: Axes) -> None:
    """The gradients of the parameters, as the widget starts."""
    network = network_on_rings((2, 2, 1), 0, activation="tanh")
    network.flat_parameters[...] = BACKWARD
    x, targets = np.array([[1, -0.5], [0.3, 0.8]]), np.array([[1.0], [0.0]])
    network.cost(network.forward(x), targets)
    network.backward()
    axes.bar(BACKWARD_NAMES, network.flat_gradients, color=CURVES[1])
    axes.axhline(0, color=INK, linewidth=1)
    axes.set_ylabel("gradient")


def _powers(axes: Axes) -> None:
    """Powers of ten at the ticks, as text: what matplotlib sets as a formula takes long."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: "10" + str(round(math.log10(value))).translate(SUPERSCRIPT))
    axes.minorticks_off()


def _gradient_check(axes: Axes) -> None:
    sizes, x = 10.0 ** np.arange(-16, 0.01, 0.1), np.array([0.7])
    right = -2 * x / (1 + x * x) ** 2
    errors = [
        float(relative_error(right, numerical_gradient(lambda x: (1 / (1 + x * x))[0], x, eps)))
        for eps in sizes
    ]
    axes.loglog(sizes, np.maximum(np.array(errors), 1e-16), color=CURVES[0], label="two-sided, float64")
    axes.axhline(PASSES, color=INK, linestyle=":", label="passes below")
    _powers(axes)
    axes.set_xlabel("step size ε")
    axes.set_ylabel("relative error")


def _floating_point(axes: Axes) -> None:
    sizes = 10.0 ** np.linspace(-44, 38, 300)
    axes.loglog(sizes, np.spacing(sizes.astype(np.float32)), color=CURVES[0], label="float32")
    axes.loglog(sizes, np.spacing(sizes), color=CURVES[1], linestyle="--", label="float64")
    _powers(axes)
    axes.set_xlabel("size of the number")
    axes.set_ylabel("rounding unit")


def _seed(axes: Axes) -> None:
    drawn = TorchGenerator(42, variant="avx").randn(1000)
    axes.hist(drawn, bins=40, range=(-4, 4), color=CURVES[0])
    axes.set_xlabel("torch.randn(1000) after torch.manual_seed(42)")
    axes.set_ylabel("how many")


# What the small network of `backward` starts with, and what its parameters are called.
BACKWARD = [0.5, -0.3, 0.8, 0.2, 0.1, -0.1, 0.7, -0.6, 0.2]
BACKWARD_NAMES = ["W₁₁", "W₁₂", "W₂₁", "W₂₂", "b₁", "b₂", "V₁", "V₂", "c"]


def _still(name: str, alternative: str, draw: Callable[[Axes], None]) -> Callable[[], Markup]:
    return partial(to_svg, f"playground-{name}", alternative, draw, size=(8, 4))


STILLS: dict[str, Callable[[], Markup]] = {
    name: _still(name, words, draw)
    for name, words, draw in [
        ("optimizers", "Forty steps of five optimizers over the level lines of a ravine", _optimizers),
        ("start", "Activations of four layers after He's initialisation: their sizes stay alike", _start),
        ("schedules", "Five schedules of the learning rate over sixty epochs", _schedules),
        ("regularization", "The boundary of an overfitted network between two noisy rings", _regularization),
        ("batch_norm", "Eight examples before and after batch normalisation", _batch_norm),
        ("backward", "The gradients of the nine parameters of a small network", _backward),
        (
            "gradient_check",
            "The valley of the difference quotient's error over the step size",
            _gradient_check,
        ),
        ("floating_point", "The rounding unit of float32 and float64 over the size", _floating_point),
        ("seed", "Histogram of a thousand normal numbers", _seed),
    ]
}
