"""Vanishing and exploding gradients: what many layers do to a signal and to a gradient, and what helps."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch.clipping
import torch_ref.clipping
from compare.experiments import figures
from compare.experiments.batch_normalization import compare_one_step, moments_of
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task
from compare.experiments.from_scratch import steps_of
from compare.experiments.page import Comparison, Figure, Listing, Section, Table, texts
from compare.experiments.published import compare_accuracies, compare_costs, sides_of
from compare.experiments.recipe import Published, Recipe
from compare.experiments.train import Sides, build, costs_of, first
from compare.training.data import circles
from scratch.losses import (
    binary_cross_entropy_with_logits_backward,
    binary_cross_entropy_with_logits_forward,
)

DEPTHS, WIDTH = (5, 10, 30), 32
TOLERANCE = (
    1e-6  # of an activation or gradient; thirty layers from large weights make rounding grow 1e7 times
)
SCALES = {"0.01": "small", "1/√fan_in": "inverse_sqrt", "√(2/fan_in)": "he", "1": "standard_normal"}
ACTIVATIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "ReLU"}
STARTS = {  # what is done to each activation: the scale of the weights, batch norm
    **{name: (scale, False) for name, scale in SCALES.items()},
    "0.01 and batch norm": ("small", True),
}
GONE = 1e-4  # the share of a gradient below which it has vanished; above 1/GONE it has exploded
GUESSING = math.log(2)

BASE = Recipe(
    "", (2, *[16] * 10, 1), "he", lr=0.05, epochs=500, published=Published(cost_tolerance=TOLERANCE)
)
TRAINED = {
    (activation, start): replace(
        BASE,
        name=f"{ACTIVATIONS[activation]} from {start}",
        activation=activation,
        scale=scale,
        batch_norm=batch_norm,
    )
    for activation, start, (scale, batch_norm) in (
        ("tanh", "0.01", STARTS["0.01"]),
        ("tanh", "1/√fan_in", STARTS["1/√fan_in"]),
        ("sigmoid", "1/√fan_in", STARTS["1/√fan_in"]),
        ("sigmoid", "1/√fan_in and batch norm", ("inverse_sqrt", True)),
        ("relu", "0.01", STARTS["0.01"]),
        ("relu", "√(2/fan_in)", STARTS["√(2/fan_in)"]),
        ("relu", "0.01 and batch norm", STARTS["0.01 and batch norm"]),
    )
}
AMPLIFYING = [
    ("tanh", "1/√fan_in"),
    *(key for key, of in TRAINED.items() if of.batch_norm),
]  # rounding, until seen
EXPLODING = Recipe("ReLU, 1", (2, *[16] * 6, 1), "standard_normal", lr=0.1, epochs=400)
MAX_NORM = 1.0
CLIPPING = {"as they are": math.inf, f"clipped to the norm {MAX_NORM:g}": MAX_NORM}
WHAT_FOR = {
    "forward": "logits and cost, as ever",
    "backward": "the gradients of all weights, however large",
    "clip": "all of them times min(1, max_norm/‖g‖): shorter, in the same direction",
    "update": "a step with what is left",
}


@dataclass(frozen=True)
class Layers:
    """Of each hidden layer of one network, before any training."""

    activations: Sequence[np.ndarray]  # (examples, units)
    gradients: Sequence[np.ndarray]  # of the cost, with respect to these

    @property
    def signal(self) -> np.ndarray:
        """How far the examples differ: the standard deviation of a unit over them, root mean square."""
        return np.array([np.sqrt(a.var(axis=0).mean()) for a in self.activations])

    @property
    def gradient(self) -> np.ndarray:
        """The size of the gradient: root mean square"""
        return np.array([np.sqrt((g * g).mean()) for g in self.gradients])

    @property
    def left(self) -> float:
        """The gradient in the first layer, as a multiple of that in the last"""
        return float(self.gradient[0] / self.gradient[-1])


def recipe(activation: str, start: str, depth: int) -> Recipe:
    """A network of so many hidden layers that is looked at before any training."""
    scale, batch_norm = STARTS[start]
    widths = (2, *[WIDTH] * depth, 1)
    name = f"{ACTIVATIONS[activation]}, {start}, {depth} layers"
    return replace(
        BASE, name=name, widths=widths, activation=activation, scale=scale, batch_norm=batch_norm, epochs=0
    )


def look_on_scratch(recipe: Recipe) -> Layers:
    """Forward through the layers and back, by hand."""
    data, side = circles(), build(recipe, "scratch")
    side.load(recipe.weights())
    x, activations, gradients = data.x_train, [], []
    for name, layer in side.network.layers.items():
        x = layer.forward(x)
        if name.startswith(recipe.activation):
            activations.append(x)
    _, loss = binary_cross_entropy_with_logits_forward(x, data.targets_train)
    dy = binary_cross_entropy_with_logits_backward(1.0, loss)
    for name, layer in reversed(side.network.layers.items()):
        if name.startswith(recipe.activation):
            gradients.append(dy)
        dy = layer.backward(dy)
    return Layers(activations, gradients[::-1])


def look_on_torch(recipe: Recipe) -> Layers:
    """The same by autograd."""
    data, side = circles(), build(recipe, "torch")
    side.load(recipe.weights())
    x, activations = side.array(data.x_train), []
    for name, layer in side.network.named_children():
        x = layer(x)
        if name.startswith(recipe.activation):
            x.retain_grad()
            activations.append(x)
    side.network.cost(x, side.array(data.targets_train)).backward()
    return Layers([a.detach().numpy() for a in activations], [a.grad.numpy() for a in activations])


def clipped_step_on_scratch(
    network: Any, optimizer: Any, x: np.ndarray, targets: np.ndarray, max_norm: float
) -> tuple[float, float]:
    """One step in NumPy: the cost, and the norm of the gradients before they are clipped."""
    clip_grad_norm_ = scratch.clipping.clip_grad_norm_
    # forward
    cost = network.cost(network.forward(x), targets)
    # backward
    network.backward()
    gradients = network.gradients()
    # clip
    norm = clip_grad_norm_(gradients, max_norm)
    # update
    optimizer.step(gradients)
    return cost, float(norm)


def clipped_step_on_torch(
    network: Any, optimizer: Any, x: torch.Tensor, targets: torch.Tensor, max_norm: float
) -> tuple[float, float]:
    """One step in PyTorch: the cost, and the norm of the gradients before they are clipped."""
    clip_grad_norm_ = torch_ref.clipping.clip_grad_norm_
    # forward
    cost = network.cost(network(x), targets)
    # backward
    optimizer.zero_grad()
    cost.backward()
    # clip
    norm = clip_grad_norm_(network.parameters(), max_norm)
    # update
    optimizer.step()
    return cost.item(), norm.item()


LOOKS: dict[str, Callable[[Recipe], Layers]] = {"scratch": look_on_scratch, "torch": look_on_torch}
STEPS: dict[str, Callable[..., Any]] = {"scratch": clipped_step_on_scratch, "torch": clipped_step_on_torch}


def tasks(options: Options) -> list[Task]:
    """Ten layers, trained from some of the starts on each side."""
    found = []
    for key, recipe in TRAINED.items():
        shortened = options.shortened(recipe, 3)
        moments = [t + i for t in moments_of(shortened) for i in (0, 1)] if key in AMPLIFYING else []
        at = {"snapshot_at": tuple(moments)}
        found += [Task(_key(*key), shortened, side, circles, at) for side in options.sides]
    return found


def report(options: Options, results: Results) -> Section:
    """Signals and gradients layer by layer, what is learnt from such starts, and clipped steps."""
    data = circles()
    looks = {
        (activation, start, depth): {
            side: LOOKS[side](recipe(activation, start, depth)) for side in options.sides
        }
        for activation in ACTIVATIONS
        for start in STARTS
        for depth in DEPTHS
    }
    runs = {_key(*key): sides_of(results, _key(*key)) for key in TRAINED}
    clipped = {
        name: {
            side: descend(side, max_norm, options.shortened(EXPLODING, 4).epochs) for side in options.sides
        }
        for name, max_norm in CLIPPING.items()
    }
    comparisons = [_compare_layers(recipe(*key).name, sides) for key, sides in looks.items()]
    for key in TRAINED:
        sides = runs[_key(*key)]
        epochs = first(sides).recipe.epochs
        if key in AMPLIFYING:
            comparisons += compare_costs(sides, shown=(0,))
            if len(sides) > 1:
                comparisons.append(compare_one_step(sides["torch"]))
        else:
            comparisons += compare_costs(sides, shown=(0, epochs // 2, epochs - 1))
            if not is_stuck(first(sides).cost):  # logits that are all 0 but for rounding
                comparisons += compare_accuracies(sides, data)
    comparisons += [row for name, sides in clipped.items() for row in _compare_descents(name, sides)]
    lefts = {key[:2]: next(iter(sides.values())).left for key, sides in looks.items() if key[2] == DEPTHS[-1]}
    return Section(
        **texts(
            "vanishing_gradients",
            depth=DEPTHS[-1],
            width=WIDTH,
            passing=passing(lefts),
            learning=learning({first(sides).recipe.name: first(sides).cost for sides in runs.values()}),
            clipping=clipping(*(next(iter(sides.values())) for sides in clipped.values())),
            epochs=options.shortened(BASE, 3).epochs,
            lr=BASE.lr,
            clipped_lr=EXPLODING.lr,
        ),
        comparisons=comparisons,
        tables=[_table(looks)],
        listings=[_listing(options)],
        figures=[_layers(looks), _costs(runs), _clipped(clipped)],
    )


def _key(activation: str, start: str) -> str:
    return f"{activation}, {start}"


Descent = tuple[list[float], list[float]]  # of each step: the cost, and the norm of the gradients


def descend(side: str, max_norm: float, steps: int) -> Descent:
    """Gradient descent from weights of size 1, with clipped gradients."""
    data, trainer = circles(), build(EXPLODING, side)
    trainer.load(EXPLODING.weights())
    x, targets = trainer.array(data.x_train), trainer.array(data.targets_train)
    step = partial(STEPS[side], trainer.network, trainer.optimizer, x, targets, max_norm)
    with np.errstate(all="ignore"):  # what overflows is what is shown
        costs, norms = zip(*(step() for _ in range(steps)), strict=True)
    return list(costs), list(norms)


def passing(lefts: Mapping[tuple[str, str], float]) -> str:
    """What becomes of the gradient, by (activation, start): a sentence for each fate that occurs."""
    fates = {
        f"It vanishes, to less than {GONE:g} times its size, in": lambda left: left < GONE,
        f"It explodes, to more than {1 / GONE:g} times its size, in": lambda left: left > 1 / GONE,
        "It comes through in": lambda left: GONE <= left <= 1 / GONE,
    }
    said = []
    for fate, is_so in fates.items():
        found = [
            f"{ACTIVATIONS[activation]} from {start} ({left:.1g})"
            for (activation, start), left in lefts.items()
            if is_so(left)
        ]
        if found:
            said.append(f"{fate} {_listed(found)}.")
    return " ".join(said)


def is_stuck(cost: Sequence[float]) -> bool:
    """Whether the cost was never below that of guessing"""
    return min(cost) > GUESSING - 1e-3


def learning(costs: Mapping[str, Sequence[float]]) -> str:
    """Who has learnt, who is about to and who never has, by name"""
    ends = {
        "has come to less than half of that of guessing, ln 2, in": lambda cost: min(cost) < GUESSING / 2,
        "is on its way in": lambda cost: not is_stuck(cost) and min(cost) >= GUESSING / 2,
        "has never been below that of guessing in": is_stuck,
    }
    said = {end: [name for name, cost in costs.items() if is_so(cost)] for end, is_so in ends.items()}
    return f"The cost {'; '.join(f'{end} {_listed(names)}' for end, names in said.items() if names)}."


def clipping(plain: Descent, clipped: Descent) -> str:
    """What the two descents came to."""
    lost = np.flatnonzero(~np.isfinite(plain[0]))
    end = f"is no number after {lost[0]} steps" if lost.size else f"is {plain[0][-1]:.2g} in the end"
    return (
        f"the first gradient has the norm {plain[1][0]:.0f}; the first step takes the cost from"
        f" {plain[0][0]:.0f} to {plain[0][1]:.0f}, and it {end}. Clipped to the norm {MAX_NORM:g}, no step is"
        f" longer than the learning rate: the cost goes from {clipped[0][0]:.0f} to {clipped[0][-1]:.2g}"
        f" in {len(clipped[0])} steps."
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _compare_layers(name: str, sides: Mapping[str, Layers]) -> Comparison:
    one, *others = sides.values()
    pairs = [
        (a, b)
        for other in others
        for a, b in zip(
            (*one.activations, *one.gradients), (*other.activations, *other.gradients), strict=True
        )
    ]
    agrees = all(np.abs(a - b).max() <= TOLERANCE * np.abs(a).max() for a, b in pairs)
    values = {side: f"{layers.gradient[0]:.10g}" for side, layers in sides.items()}
    why = f"so do all activations and gradients, to within {TOLERANCE:g} of the largest in the layer"
    return Comparison(name, "gradient in the first layer", None, values, agrees, why)


def _compare_descents(name: str, sides: Mapping[str, Descent]) -> list[Comparison]:
    found = {side: np.array(cost) for side, (cost, _) in sides.items()}
    one, *others = found.values()
    return [
        Comparison(
            f"{EXPLODING.name}, gradients {name}",
            f"cost, step {step}",
            None,
            {side: f"{cost[step]:.10g}" for side, cost in found.items()},
            all(
                np.allclose(one[step], other[step], rtol=TOLERANCE, atol=0, equal_nan=True)
                for other in others
            ),
            f"to within {TOLERANCE:g} of it",
        )
        for step in sorted({0, 1, 10, len(one) - 1})
        if step < len(one)
    ]


def _table(looks: Mapping[tuple[str, str, int], Mapping[str, Layers]]) -> Table:
    rows = []
    for activation, shown in ACTIVATIONS.items():
        for start in STARTS:
            found = [next(iter(looks[activation, start, depth].values())) for depth in DEPTHS]
            deepest = found[-1]
            factor = deepest.left ** (1 / (DEPTHS[-1] - 1))
            signal = deepest.signal[-1] / deepest.signal[0]
            rows.append(
                (
                    shown,
                    start,
                    f"{signal:.1e}",
                    *(f"{layers.left:.1e}" for layers in found),
                    f"{factor:.2f}",
                )
            )
    header = (
        "activation",
        "weights from",
        f"signal in the last of {DEPTHS[-1]} layers",
        *(f"gradient in the first of {depth}" for depth in DEPTHS),
        "gradient, factor of a layer",
    )
    return Table(
        "The signal as a multiple of that in the first layer, the gradient of that in the last", header, rows
    )


def _listing(options: Options) -> Listing:
    codes = {side: steps_of(STEPS[side]) for side in options.sides}
    steps = [(f"{n}: {why}", {side: code[n] for side, code in codes.items()}) for n, why in WHAT_FOR.items()]
    return Listing("A step with clipped gradients, as it runs", steps)


def _layers(looks: Mapping[tuple[str, str, int], Mapping[str, Layers]]) -> Figure:
    with figures.drawing(rows=2, columns=3, height=3.1, sharex=True, sharey=True) as (drawing, axes):
        for (above, below), (activation, shown) in zip(axes.T, ACTIVATIONS.items(), strict=True):
            for i, start in enumerate(STARTS):
                sides = looks[activation, start, DEPTHS[-1]]
                for side, layers in sides.items():
                    label = "_" if figures.is_wide(side, sides) else start
                    style = figures.side_style(i, side, sides)
                    numbers = np.arange(1, DEPTHS[-1] + 1)
                    above.plot(numbers, layers.signal, label=label, **style)
                    below.plot(numbers, layers.gradient, label=label, **style)
            above.set_title(shown)
            below.set_xlabel("layer")
        axes[0, 0].set(yscale="log", ylim=(1e-20, 1e20), ylabel="signal: how far examples differ")
        axes[1, 0].set_ylabel("gradient of the activations")
        figures.legend_below(drawing, axes[0, 0], columns=5)
    return figure("vanishing_gradients-layers", drawing, depth=DEPTHS[-1])


def _costs(runs: Mapping[str, Sides]) -> Figure:
    with figures.drawing(columns=3, height=3.6, sharey=True) as (drawing, axes):
        for one, (activation, shown) in zip(axes, ACTIVATIONS.items(), strict=True):
            named = {start: costs_of(runs[_key(of, start)]) for of, start in TRAINED if of == activation}
            figures.curves(one, named, name_sides=False)
            one.axhline(GUESSING, color="0.6", lw=0.8, zorder=0)
            one.set(title=shown, xlabel="iteration")
            one.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
        axes[0].set(ylabel="cost (nats per example)", ylim=(0, 0.8))
    return figure("vanishing_gradients-costs", drawing)


def _clipped(clipped: Mapping[str, Mapping[str, Descent]]) -> Figure:
    with figures.drawing(columns=2) as (drawing, axes):
        for one, of in zip(axes, (0, 1), strict=True):
            named = {
                name: {side: _finite(descent[of]) for side, descent in sides.items()}
                for name, sides in clipped.items()
            }
            figures.curves(one, named, name_sides=False)
            one.set(xlabel="step", yscale="log", xlim=(-4, 200))
        axes[0].set(ylabel="cost (nats per example)", ylim=(0.1, 1e6))
        axes[1].set(ylabel="norm of the gradients", ylim=(0.1, 1e6))
        figures.legend_below(drawing, axes[0])
    return figure("vanishing_gradients-clipping", drawing, max_norm=MAX_NORM)


def _finite(values: Sequence[float]) -> list[float]:
    return [value if math.isfinite(value) else math.nan for value in values]
