"""Trains both networks side by side from the same seed, and compares them after every step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.training
import torch_ref.network
import torch_ref.optimizers
import torch_ref.schedules
import torch_ref.training
from compare import environment
from compare.component import DTYPES, Case
from compare.environment import undisturbed
from compare.measure import Difference, compare_arrays, compare_results, to_numpy
from compare.training import data
from compare.training.weights import to_torch

BUDGET = 64  # rounding units of one whole step: forward, cost, backward and update


@dataclass(frozen=True)
class Run:
    """A network and how it is trained."""

    data: Callable[[Any], data.Data]
    network: Mapping[str, Any]
    epochs: int
    batch_size: int
    lr: float
    decay_rate: float

    @property
    def description(self) -> str:
        """The network and its training in one line."""
        options = self.network
        widths = "-".join(map(str, options["widths"]))
        return (
            f"{widths} {options['activation']}, {options['init']}, batch norm, dropout {options['dropout']},"
            f" L2 {options['l2']}, {options['loss']}; Adam, lr {self.lr}/(1 + {self.decay_rate}·epoch),"
            f" {self.epochs} epochs of batches of {self.batch_size}"
        )


_DIGITS = Run(
    data=data.digits,
    network={
        "widths": (64, 64, 32, 10),
        "activation": "relu",
        "batch_norm": True,
        "dropout": 0.2,
        "init": "kaiming_normal",
        "loss": "cross_entropy",
        "l2": 0.05,
    },
    epochs=5,
    batch_size=64,
    lr=0.01,
    decay_rate=0.5,
)
_RUNS = {
    "digits": _DIGITS,
    "breast_cancer": replace(
        _DIGITS,
        data=data.breast_cancer,
        network={
            **_DIGITS.network,
            "widths": (30, 16, 8, 1),
            "loss": "binary_cross_entropy_with_logits",
        },
        batch_size=32,
    ),
}
RUNS = tuple(_RUNS)


def steps(name: str) -> int:
    """How many steps a run takes."""
    run = _RUNS[name]
    examples = len(run.data(np.float32).x_train)
    return run.epochs * -(-examples // run.batch_size)


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


class ScratchSide:
    """The NumPy network with its optimizer, and everything that one seed draws for it."""

    def __init__(self, run: Run, case: Case) -> None:
        self.run = run
        self.generator = case.generator()
        self.network = scratch.network.Network(generator=self.generator, dtype=case.dtype, **run.network)
        self.optimizer = scratch.optimizers.Adam(self.network.parameters(), lr=run.lr)
        self.upstream = record_upstream(self.network)

    def start_epoch(self, epoch: int, x: np.ndarray, targets: np.ndarray) -> list:
        """Set the learning rate and draw the batches."""
        self.optimizer.lr = scratch.schedules.inverse_time(self.run.lr, epoch, decay_rate=self.run.decay_rate)
        return list(scratch.training.minibatches(x, targets, self.run.batch_size, self.generator))

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        """One training step; returns the cost."""
        return scratch.training.train_step(self.network, self.optimizer, x, targets)

    def relu_outputs(self) -> dict[str, np.ndarray]:
        """What every ReLU returned in the last step."""
        layers = self.network.layers.items()
        return {name: layer.cache for name, layer in layers if name.startswith("relu")}

    def moments(self, moment: str) -> dict[str, np.ndarray]:
        """`exp_avg` or `exp_avg_sq` of every parameter."""
        return self.network.named(self.optimizer.state[moment][0])

    def state(self) -> dict[str, np.ndarray]:
        """Every parameter, running statistic and moment by name."""
        state = dict(self.network.state_dict())
        for moment in ("exp_avg", "exp_avg_sq"):
            state |= {f"{name}.{moment}": array for name, array in self.moments(moment).items()}
        return state

    def magnitudes(self) -> dict[str, Any]:
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
        adam = self.optimizer
        (beta1, beta2), eps, t = adam.hyperparameters["betas"], adam.hyperparameters["eps"], adam.steps
        gradients = self.network.named(self.network.flat_gradients)
        parameters = self.network.named(self.network.flat_parameters)
        exp_avg, exp_avg_sq = self.moments("exp_avg"), self.moments("exp_avg_sq")
        scales: dict[str, Any] = {}
        for name, terms in gradient_terms(self.network, self.upstream).items():
            g, m = np.abs(gradients[name]).astype(np.float64), np.abs(exp_avg[name]).astype(np.float64)
            root_v = np.sqrt(exp_avg_sq[name].astype(np.float64))
            m_hat, root_v_hat = m / (1 - beta1**t), root_v / np.sqrt(1 - beta2**t)
            denominator = root_v_hat + eps
            through_v = np.divide(g, root_v_hat, out=np.zeros_like(g), where=root_v_hat > 0)
            sensitivity = (1 - beta1) / (1 - beta1**t) + m_hat / denominator * through_v * (1 - beta2) / (
                1 - beta2**t
            )
            scales[f"{name}.exp_avg"] = m.max() + (1 - beta1) * terms
            scales[f"{name}.exp_avg_sq"] = (root_v**2).max() + 2 * (1 - beta2) * g.max() * terms
            scales[name] = np.abs(parameters[name]).max() + adam.lr * sensitivity / denominator * terms
        return scales


class TorchSide:
    """The PyTorch network with its optimizer and scheduler, and its draws."""

    def __init__(self, run: Run, case: Case) -> None:
        self.run = run
        self.device = case.device
        self.draws: Any = case.torch_draws()
        with self.draws:
            self.network = torch_ref.network.Network(
                dtype=getattr(torch, np.dtype(case.dtype).name), device=case.device, **run.network
            )
        self.optimizer = torch_ref.optimizers.Adam(self.network.parameters(), lr=run.lr)
        self.scheduler = torch_ref.schedules.inverse_time(self.optimizer, decay_rate=run.decay_rate)
        self.outputs: dict[str, torch.Tensor] = {}
        for name, layer in self.network.named_children():
            if isinstance(layer, torch.nn.ReLU):
                layer.register_forward_hook(partial(self._record, name))

    def _record(self, name: str, layer: Any, inputs: Any, output: torch.Tensor) -> None:
        self.outputs[name] = output.detach()

    def start_epoch(self, epoch: int, x: np.ndarray, targets: np.ndarray) -> list:
        """Step the scheduler (after each epoch) and draw the batches."""
        if epoch:
            self.scheduler.step()
        with self.draws:
            loader = torch_ref.training.minibatches(
                torch.from_numpy(x), torch.from_numpy(targets), self.run.batch_size
            )
            return [(batch_x.to(self.device), batch_y.to(self.device)) for batch_x, batch_y in loader]

    def step(self, x: torch.Tensor, targets: torch.Tensor) -> float:
        """One training step; returns the cost."""
        with self.draws:
            return torch_ref.training.train_step(self.network, self.optimizer, x, targets)

    def state(self) -> dict[str, torch.Tensor]:
        """Every parameter, running statistic and moment by name."""
        state = dict(self.network.state_dict())
        for moment in ("exp_avg", "exp_avg_sq"):
            for name, parameter in self.network.named_parameters():
                state[f"{name}.{moment}"] = self.optimizer.state[parameter][moment]
        return state

    def take_over(self, side: ScratchSide) -> None:
        """Become what `side` is now: parameters, statistics, moments, learning rate, draws to come."""
        self.draws.take_over(side.generator)
        state = to_torch(side.state(), self.device)
        self.network.load_state_dict({name: state[name] for name in self.network.state_dict()})
        self.optimizer.param_groups[0]["lr"] = side.optimizer.lr
        if side.optimizer.steps:
            for name, parameter in self.network.named_parameters():
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(side.optimizer.steps)),
                    "exp_avg": state[f"{name}.exp_avg"],
                    "exp_avg_sq": state[f"{name}.exp_avg_sq"],
                }


@environment.one_thread()
@undisturbed()
def train_in_lockstep(
    name: str,
    dtype: str,
    device: str,
    seed: int,
    progress: Callable[[], None] = lambda: None,
    *,
    draws: str = "shared",
) -> TrainingResult:
    """Train both sides on the run called `name`; `progress` is called after every step."""
    run = _RUNS[name]
    examples = run.data(DTYPES[dtype])
    case = Case(name, seed=seed, dtype=DTYPES[dtype], device=device, draws=draws)
    ours = ScratchSide(run, case)
    free, follower = (TorchSide(run, case) for _ in range(2))
    x, targets = examples.x_train, examples.targets_train
    result = TrainingResult(
        name,
        run.description,
        dtype,
        device,
        seed,
        BUDGET,
        steps_per_epoch=steps(name) // run.epochs,
        test_samples=len(examples.x_test),
    )
    for epoch in range(run.epochs):
        batches = zip(ours.start_epoch(epoch, x, targets), free.start_epoch(epoch, x, targets), strict=True)
        result.learning_rate.append(ours.optimizer.lr)
        rate = free.optimizer.param_groups[0]["lr"]
        _compare_exact(result, epoch, "learning rate", np.asarray(ours.optimizer.lr), np.asarray(rate))
        for (our_x, our_targets), (their_x, their_targets) in batches:
            follower.take_over(ours)
            cost = ours.step(our_x, our_targets), follower.step(their_x, their_targets)
            kinks = crossed_kinks(ours.relu_outputs(), follower.outputs)
            _compare_step(result, epoch, ours, follower, cost, kinks)
            result.loss_scratch.append(cost[0])
            result.loss_torch.append(free.step(their_x, their_targets))
            result.drift.append(_distance(ours.network, free.network))
            parted = crossed_kinks(ours.relu_outputs(), free.outputs, within=np.inf)
            if parted and not result.parted:
                result.parted = f"epoch {epoch}, step {len(result.drift) - 1}: {parted[0]}"
            progress()
        _record_accuracy(result, ours.network, free.network, examples)
        _compare_exact(result, epoch, "generator state", ours.generator.get_state(), free.draws.get_state())
    return result


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
    kinks: list[str],
) -> None:
    step = len(result.one_step)
    our_cost, their_cost = (np.asarray(value, DTYPES[result.dtype]) for value in cost)
    differences = compare_results(
        {"cost": our_cost, **ours.state()}, {"cost": their_cost, **follower.state()}, ours.magnitudes()
    )
    result.one_step.append(max(difference.units for difference in differences))
    if kinks:
        result.kinks.append(f"epoch {epoch}, step {step}: {'; '.join(kinks)}")
    elif result.one_step[-1] > BUDGET and result.breach is None:
        result.breach = _breach(epoch, step, next(d for d in differences if d.units > BUDGET))


def _breach(epoch: int, step: int, found: Difference) -> Breach:
    return Breach(epoch, step, found.array, found.units, BUDGET, found.index, found.scratch, found.torch)


def _distance(ours: scratch.network.Network, theirs: torch_ref.network.Network) -> float:
    named = ours.named(ours.flat_parameters)
    return max(
        float(np.abs(named[name] - to_numpy(parameter)).max())
        for name, parameter in theirs.named_parameters()
    )


def _record_accuracy(
    result: TrainingResult,
    ours: scratch.network.Network,
    theirs: torch_ref.network.Network,
    examples: data.Data,
) -> None:
    device = result.device
    for part in ("train", "test"):
        x, targets = getattr(examples, f"x_{part}"), getattr(examples, f"targets_{part}")
        our_classes = ours.predict(x)
        their_classes = to_numpy(theirs.predict(torch.from_numpy(x).to(device)))
        truth = targets.reshape(len(x))
        getattr(result, f"{part}_accuracy_scratch").append(float(np.mean(our_classes == truth)))
        getattr(result, f"{part}_accuracy_torch").append(float(np.mean(their_classes == truth)))
    result.different_predictions = int(np.sum(our_classes != their_classes))


def record_upstream(network: scratch.network.Network) -> dict[str, np.ndarray]:
    """From now on, keep the upstream gradient that every layer with parameters was given last."""
    upstream: dict[str, np.ndarray] = {}

    def recording(name: str, backward: Callable) -> Callable:
        def record(dy: np.ndarray, **options: Any) -> np.ndarray:
            upstream[name] = dy
            return backward(dy, **options)

        return record

    for name, layer in network.layers.items():
        if layer.parameters:
            layer.backward = recording(name, layer.backward)
    return upstream


def gradient_terms(network: scratch.network.Network, upstream: Mapping[str, np.ndarray]) -> dict[str, float]:
    """√Σ(terms²) of the sum over the batch that each parameter's gradient is, the largest of the tensor."""
    terms = {}
    for name, dy in upstream.items():
        layer = network.layers[name]
        dy2, x2 = dy.astype(np.float64) ** 2, layer.cache[0].astype(np.float64) ** 2  # x, or x̂ of batch norm
        per_weight = dy2.T @ x2 if layer.parameters["weight"].ndim == 2 else (dy2 * x2).sum(axis=0)
        terms[f"{name}.weight"] = float(np.sqrt(per_weight.max()))
        if "bias" in layer.parameters:
            terms[f"{name}.bias"] = float(np.sqrt(dy2.sum(axis=0).max()))
    return terms


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
