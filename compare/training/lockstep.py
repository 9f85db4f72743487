"""Trains both networks side by side from the same seed, and compares them after every step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch.network
from compare import environment
from compare.component import DTYPES, Case
from compare.environment import undisturbed
from compare.measure import Difference, compare_arrays, compare_results, to_numpy
from compare.training import data
from compare.training.sides import ScratchSide, Setup, TorchSide
from compare.training.weights import to_torch

BUDGET = 64  # rounding units of one whole step: forward, cost, backward and update


@dataclass(frozen=True)
class Run:
    """What is trained, on what and for how long."""

    data: Callable[[Any], data.Data]
    setup: Setup
    epochs: int
    batch_size: int

    @property
    def description(self) -> str:
        """The network and its training in one line."""
        options, decay_rate = self.setup.network, self.setup.schedule_options["decay_rate"]
        widths = "-".join(map(str, options["widths"]))
        return (
            f"{widths} {options['activation']}, {options['init']}, batch norm, dropout {options['dropout']},"
            f" L2 {options['l2']}, {options['loss']}; Adam, lr {self.setup.lr}/(1 + {decay_rate}·epoch),"
            f" {self.epochs} epochs of batches of {self.batch_size}"
        )


def _run(examples: Callable[[Any], data.Data], batch_size: int, **network: Any) -> Run:
    network |= {
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.2,
        "init": "kaiming_normal",
        "l2": 0.05,
    }
    setup = Setup(network, lr=0.01, schedule="inverse_time", schedule_options={"decay_rate": 0.5})
    return Run(examples, setup, epochs=5, batch_size=batch_size)


_RUNS = {
    "digits": _run(data.digits, 64, widths=(64, 64, 32, 10), loss="cross_entropy"),
    "breast_cancer": _run(
        data.breast_cancer, 32, widths=(30, 16, 8, 1), loss="binary_cross_entropy_with_logits"
    ),
}
RUNS = tuple(_RUNS)


@dataclass(frozen=True)
class Breach:
    """The first place where one step from identical state gave different results."""

    epoch: int
    step: int  # counted from 0 over the whole run
    tensor: str  # such as linear2.weight or linear2.weight.exp_avg
    units: float
    budget: float
    index: tuple[int, ...]
    scratch: Any
    torch: Any


@dataclass
class TrainingResult:
    """A whole training run on both sides.

    One-step error: PyTorch is given scratch's state, both take the same step, and the cost, every parameter,
    moment and running statistic is compared. Drift: both run free from the same start.
    """

    name: str  # digits, breast_cancer
    description: str  # the network and its training in one line
    dtype: str
    device: str
    seed: int
    budget: float  # allowed one-step error, in rounding units
    steps_per_epoch: int
    one_step: list[float] = field(default_factory=list)  # rounding units, the worst tensor of each step
    drift: list[float] = field(default_factory=list)  # max |difference| of the parameters at each step
    loss_scratch: list[float] = field(default_factory=list)  # at each step
    loss_torch: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)  # of each epoch
    train_accuracy_scratch: list[float] = field(default_factory=list)  # after each epoch
    train_accuracy_torch: list[float] = field(default_factory=list)
    test_accuracy_scratch: list[float] = field(default_factory=list)
    test_accuracy_torch: list[float] = field(default_factory=list)
    test_samples: int = 0
    different_predictions: int = 0  # of the test samples, after the last epoch
    kinks: list[str] = field(default_factory=list)  # steps with a unit within rounding of a ReLU's kink
    parted: str = ""  # where the free runs first disagree about which side of a kink a unit is on
    breach: Breach | None = None
    error: str = ""

    @property
    def equal(self) -> bool:
        """No breach, no exception and, in float64, the same class for every test sample."""
        predictions = self.dtype != "float64" or self.different_predictions == 0
        return not self.error and self.breach is None and predictions


@environment.one_thread()
@undisturbed()
def train_in_lockstep(
    name: str,
    dtype: str,
    device: str,
    seed: int,
    *,
    draws: str = "shared",
) -> TrainingResult:
    """Train both sides on the run called `name`."""
    run = _RUNS[name]
    examples = run.data(DTYPES[dtype])
    case = Case(name, seed=seed, dtype=DTYPES[dtype], device=device, draws=draws)
    ours = ScratchSide(run.setup, case.generator(), dtype=case.dtype)
    free, follower = (
        TorchSide(run.setup, case.torch_draws(), dtype=case.dtype, device=device) for _ in range(2)
    )
    passes = record_passes(ours.network)
    free_outputs, follower_outputs = record_relus(free.network), record_relus(follower.network)
    x, targets = examples.x_train, examples.targets_train
    steps = -(-len(x) // run.batch_size)
    result = TrainingResult(name, run.description, dtype, device, seed, BUDGET, steps)
    result.test_samples = len(examples.x_test)
    for epoch in range(run.epochs):
        batches = zip(*(side.minibatches(x, targets, run.batch_size) for side in (ours, free)), strict=True)
        result.learning_rate.append(ours.lr)
        _compare_exact(result, epoch, "learning rate", np.asarray(ours.lr), np.asarray(free.lr))
        for (our_x, our_targets), (their_x, their_targets) in batches:
            hand_over(ours, follower)
            cost = ours.step(our_x, our_targets), follower.step(their_x, their_targets)
            outputs = {layer: passes[layer][1] for layer in ours.network.layers if "relu" in layer}
            kinks = crossed_kinks(outputs, follower_outputs)
            _compare_step(result, epoch, ours, follower, cost, passes, kinks)
            result.loss_scratch.append(cost[0])
            result.loss_torch.append(free.step(their_x, their_targets))
            result.drift.append(_distance(ours, free))
            parted = crossed_kinks(outputs, free_outputs, within=np.inf)
            if parted and not result.parted:
                result.parted = f"epoch {epoch}, step {len(result.drift) - 1}: {parted[0]}"
        _record_accuracy(result, ours, free, examples)
        _compare_exact(result, epoch, "generator state", ours.draws.get_state(), free.draws.get_state())
        ours.end_epoch()
        free.end_epoch()
    return result


def hand_over(ours: ScratchSide, follower: TorchSide) -> None:
    """Make `follower` what `ours` is now: weights, moments, learning rate, draws to come."""
    follower.draws.take_over(ours.draws)
    follower.load(ours.weights())
    follower.optimizer.param_groups[0]["lr"] = ours.lr
    state, steps = to_torch(ours.state(), follower.device), torch.tensor(float(ours.optimizer.steps))
    for name, parameter in follower.network.named_parameters():
        moments = {moment: state[f"{name}.{moment}"] for moment in ours.optimizer.state}
        follower.optimizer.state[parameter] = {"step": steps.clone(), **moments}


def _compare_exact(result: TrainingResult, epoch: int, name: str, ours: Any, theirs: Any) -> None:
    found = compare_arrays(name, ours, theirs)
    if found.units > 0 and result.breach is None:
        result.breach = replace(_breach(epoch, len(result.one_step), found), budget=0)


def _compare_step(
    result: TrainingResult,
    epoch: int,
    ours: ScratchSide,
    follower: TorchSide,
    cost: tuple[float, float],
    passes: Mapping[str, tuple],
    kinks: list[str],
) -> None:
    step = len(result.one_step)
    our_cost, their_cost = (np.asarray(value, DTYPES[result.dtype]) for value in cost)
    state = ours.state()
    differences = compare_results(
        {"cost": our_cost, **state},
        {"cost": their_cost, **follower.state()},
        magnitudes(ours, state, passes),
    )
    result.one_step.append(max(difference.units for difference in differences))
    if kinks:
        result.kinks.append(f"epoch {epoch}, step {step}: {'; '.join(kinks)}")
    elif result.one_step[-1] > BUDGET and result.breach is None:
        result.breach = _breach(epoch, step, next(d for d in differences if d.units > BUDGET))


def _breach(epoch: int, step: int, found: Difference) -> Breach:
    return Breach(epoch, step, found.array, found.units, BUDGET, found.index, found.scratch, found.torch)


def _distance(ours: ScratchSide, theirs: TorchSide) -> float:
    a, b = ours.weights(), theirs.weights()
    return max(float(np.abs(a[name] - b[name]).max()) for name in ours.network.shapes)


def _record_accuracy(
    result: TrainingResult, ours: ScratchSide, theirs: TorchSide, examples: data.Data
) -> None:
    for part in ("train", "test"):
        x, targets = getattr(examples, f"x_{part}"), getattr(examples, f"targets_{part}")
        our_classes, their_classes = ours.predict(x), theirs.predict(x)
        truth = targets.reshape(len(x))
        getattr(result, f"{part}_accuracy_scratch").append(float(np.mean(our_classes == truth)))
        getattr(result, f"{part}_accuracy_torch").append(float(np.mean(their_classes == truth)))
    result.different_predictions = int(np.sum(our_classes != their_classes))


def record_passes(network: scratch.network.Network) -> dict[str, tuple[np.ndarray, Any]]:
    """From now on, keep the upstream gradient and the cache of every layer's last backward pass."""
    passes: dict[str, tuple[np.ndarray, Any]] = {}

    def recording(name: str, layer: Any, backward: Callable) -> Callable:
        def record(dy: np.ndarray, **options: Any) -> np.ndarray:
            passes[name] = dy, layer.cache
            return backward(dy, **options)

        return record

    for name, layer in network.layers.items():
        layer.backward = recording(name, layer, layer.backward)
    return passes


def magnitudes(
    side: ScratchSide, state: Mapping[str, np.ndarray], passes: Mapping[str, tuple]
) -> dict[str, Any]:
    """The scale in which the rounding units of one step are counted, by tensor.

    A gradient g is a sum over the batch, Σ dy·x for a weight, Σ dy for a bias, Σ dy·x̂ for γ. Its
    terms cancel, so what is rounded is as large as G = √Σ(dy·x)², whatever g is. From there:

        m = β₁m + (1−β₁)g            is off by (1−β₁)·δ where g is off by δ
        v = β₂v + (1−β₂)g²           by 2(1−β₂)|g|·δ
        θ −= lr·m̂/(√v̂ + ε)           by lr·[(1−β₁)/(1−β₁ᵗ) + |m̂|/(√v̂+ε)·(1−β₂)|g|/((1−β₂ᵗ)√v̂)]/(√v̂+ε)·δ

    The last factor is large where a gradient is much smaller than its terms: in the first step
    m̂/√v̂ is the sign of g, and the sign of a number near 0 is anybody's guess. With δ = G these
    are added to the magnitudes of the tensors themselves.
    """
    adam = side.optimizer
    (beta1, beta2), eps, t = adam.param_groups[0]["betas"], adam.param_groups[0]["eps"], adam.steps
    gradients = side.network.named(side.network.flat_gradients)
    scales: dict[str, Any] = {}
    for name, terms in gradient_terms(side.network, passes).items():
        g = np.abs(gradients[name]).astype(np.float64)
        m = np.abs(state[f"{name}.exp_avg"]).astype(np.float64)
        root_v = np.sqrt(state[f"{name}.exp_avg_sq"].astype(np.float64))
        m_hat, root_v_hat = m / (1 - beta1**t), root_v / np.sqrt(1 - beta2**t)
        denominator = root_v_hat + eps
        through_v = np.divide(g, root_v_hat, out=np.zeros_like(g), where=root_v_hat > 0)
        sensitivity = (1 - beta1) / (1 - beta1**t) + m_hat / denominator * through_v * (1 - beta2) / (
            1 - beta2**t
        )
        scales[f"{name}.exp_avg"] = m.max() + (1 - beta1) * terms
        scales[f"{name}.exp_avg_sq"] = (root_v**2).max() + 2 * (1 - beta2) * g.max() * terms
        scales[name] = np.abs(state[name]).max() + adam.lr * sensitivity / denominator * terms
    return scales


def gradient_terms(network: scratch.network.Network, passes: Mapping[str, tuple]) -> dict[str, float]:
    """√Σ(terms²) of the sum over the batch that each parameter's gradient is, the largest of the tensor."""
    terms = {}
    for name, (dy, cache) in passes.items():
        layer = network.layers[name]
        if not layer.parameters:
            continue
        dy2, x2 = dy.astype(np.float64) ** 2, cache[0].astype(np.float64) ** 2  # x, or x̂ of batch norm
        per_weight = dy2.T @ x2 if layer.parameters["weight"].ndim == 2 else (dy2 * x2).sum(axis=0)
        terms[f"{name}.weight"] = float(np.sqrt(per_weight.max()))
        if "bias" in layer.parameters:
            terms[f"{name}.bias"] = float(np.sqrt(dy2.sum(axis=0).max()))
    return terms


def record_relus(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """From now on, keep what every ReLU returned last."""
    outputs: dict[str, torch.Tensor] = {}

    def record(name: str, layer: Any, inputs: Any, output: torch.Tensor) -> None:
        outputs[name] = output.detach()

    for name, layer in network.named_children():
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(partial(record, name))
    return outputs


def crossed_kinks(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, torch.Tensor], within: float = BUDGET
) -> list[str]:
    """Where a unit is on in one network and off in the other, though both values are close to 0.

    Close is `within` rounding units of the layer's largest value. At its kink ReLU has no derivative: on
    which side a value of a few rounding units falls decides whether the gradient passes. Both sides are
    right there, and no budget can bound the difference.
    """
    found = []
    for name, y in ours.items():
        y_torch = to_numpy(theirs[name])
        rounding = within * np.finfo(y.dtype).eps * np.abs(y).max()
        crossed = ((y > 0) != (y_torch > 0)) & (np.maximum(y, y_torch) <= rounding)
        for row, unit in np.argwhere(crossed):
            found.append(
                f"{name}[{row}, {unit}] is {y[row, unit]:.3g} in scratch, {y_torch[row, unit]:.3g} in torch"
            )
    return found
