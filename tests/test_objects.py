"""Laws of everything that keeps a state: networks, layers, optimizers, schedulers, generators, on both sides.

A component's cases ask what one call returns. These laws ask what a call leaves behind: for the next one, for
a copy, for a file, for another object. FAULTS shows that they notice what breaks them.
"""

import copy
import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scratch.batch_norm
import scratch.layer_norm
import scratch.linear
import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.standardization
import scratch.training
import torch_ref.initializers
import torch_ref.network
import torch_ref.optimizers
import torch_ref.random
import torch_ref.schedules
import torch_ref.standardization
import torch_ref.training
from compare.cases import all_components
from compare.component import Case, Component
from compare.draws import SharedDraws, why_not_own
from compare.measure import to_numpy
from compare.run import cases_of, run_scratch
from scratch.activations import Activation
from scratch.random import NumpyGenerator, TorchGenerator
from scratch.regularization import Dropout

ROOT = Path(__file__).parent.parent
SIDES = ("scratch", "torch")
WIDTHS = (5, 4, 3)
EVERYTHING = {"batch_norm": True, "dropout": 0.3, "l2": 0.7}
RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((11, 5)), RNG.integers(0, 3, 11)
OTHER_X = RNG.standard_normal((7, 5))
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient descent": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "the textbook's momentum": ("Momentum", {"beta": 0.8}),
    "RMSProp": ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    "Adam": ("Adam", {"weight_decay": 0.1}),
    "AMSGrad": ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    "AdamW": ("AdamW", {}),
    "Adagrad": ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    "NAdam": ("NAdam", {"weight_decay": 0.1}),
}
every_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS)
each_side = pytest.mark.parametrize("side", SIDES)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def duplicates() -> dict[str, Callable]:
    return {"deepcopy": copy.deepcopy, "pickle": lambda value: pickle.loads(pickle.dumps(value))}


WITH_MODES = (scratch.batch_norm.BatchNorm1d, Dropout, torch.nn.BatchNorm1d, torch.nn.Dropout)
each_copy = pytest.mark.parametrize("way", duplicates())


class Side:
    """One side's network and optimizer behind the same few calls, on NumPy arrays."""

    def __init__(self, side: str, dtype: Any = np.float64, kind: str = "Adam", **options: Any) -> None:
        self.side, self.dtype = side, np.dtype(dtype)
        name, hyperparameters = OPTIMIZERS[kind]
        options = {"widths": WIDTHS, **options}
        self.generator = NumpyGenerator(0)
        ours = scratch.network.Network(generator=self.generator, dtype=dtype, **options)
        if side == "scratch":
            self.network: Any = ours
            self.optimizer = getattr(scratch.optimizers, name)(ours.parameters(), 0.01, **hyperparameters)
        else:
            self.network = torch_ref.network.Network(dtype=getattr(torch, self.dtype.name), **options)
            with torch.no_grad():
                for key, tensor in self.network.state_dict().items():
                    tensor.copy_(torch.from_numpy(np.asarray(ours.state_dict()[key])))
            parameters = self.network.parameters()
            self.optimizer = getattr(torch_ref.optimizers, name)(parameters, 0.01, **hyperparameters)

    def array(self, x: np.ndarray) -> Any:
        x = x.astype(self.dtype) if x.dtype.kind == "f" else x
        return x if self.side == "scratch" else torch.from_numpy(x)

    def cost(self, x: np.ndarray = X, targets: np.ndarray = TARGETS) -> float:
        """Forward and cost, remembered for `gradients`."""
        torch.manual_seed(3)
        forward = self.network.forward
        self.last: Any = self.network.cost(forward(self.array(x)), self.array(targets))
        return self.last if self.side == "scratch" else self.last.item()

    def gradients(self) -> dict[str, np.ndarray]:
        """Backward."""
        if self.side == "scratch":
            self.network.backward()
            return {n: a.copy() for n, a in self.network.named(self.network.flat_gradients).items()}
        self.optimizer.zero_grad()
        self.last.backward(retain_graph=True)
        return {n: p.grad.numpy().copy() for n, p in self.network.named_parameters()}

    def step(self) -> None:
        """An update with the gradients that are there."""
        self.optimizer.step(*([self.network.gradients()] if self.side == "scratch" else []))

    def predict(self, x: np.ndarray = OTHER_X) -> np.ndarray:
        return np.asarray(self.network.predict(self.array(x)))

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and running statistics, copied."""
        return {n: to_numpy(a).copy() for n, a in self.items()}

    def items(self) -> Any:
        return self.network.state_dict().items()

    def modes(self) -> list[bool]:
        """Of the network and of each of its layers."""
        layers = self.network.layers.values() if self.side == "scratch" else self.network.children()
        return [self.network.training, *(layer.training for layer in layers if hasattr(layer, "training"))]

    def train(self, epochs: int, **options: Any) -> Any:
        """A run of its own over X."""
        torch.manual_seed(4)
        kind = scratch.training if self.side == "scratch" else torch_ref.training
        generator = {"generator": self.generator} if self.side == "scratch" else {}
        x, targets = self.array(X), self.array(TARGETS)
        return kind.train(
            self.network, self.optimizer, x, targets, epochs=epochs, batch_size=4, **generator, **options
        )

    def buffers(self) -> dict[str, np.ndarray]:
        """What the optimizer keeps of each parameter (the arrays themselves), under PyTorch's names."""
        if self.side == "scratch":
            named, names = self.network.named, self.network.shapes
            return {
                f"{n}.{b}": a
                for b, (flat,) in self.optimizer.state.items()
                for n, a in (named(flat) if flat.ndim else dict.fromkeys(names, flat)).items()
            }
        kept = {n: self.optimizer.state[p] for n, p in self.network.named_parameters()}
        return {f"{n}.{b}": a.numpy() for n, state in kept.items() for b, a in state.items() if b != "step"}

    def raw_gradients(self) -> dict[str, np.ndarray]:
        """The gradients that are there (the arrays themselves)."""
        if self.side == "scratch":
            return self.network.named(self.network.flat_gradients)
        return {n: p.grad.numpy() for n, p in self.network.named_parameters()}

    def scheduler(self) -> Any:
        if self.side == "torch":
            return torch_ref.schedules.inverse_time(self.optimizer, decay_rate=1.0)
        schedule = partial(scratch.schedules.inverse_time, decay_rate=1.0)
        return scratch.schedules.Scheduler(self.optimizer, schedule)


def same(found: Any, expected: Any) -> None:
    """To the bit, dtype and all."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# --- once = twice, before = after ---------------------------------------------------------------------------


@each_side
def test_a_prediction_in_between_changes_nothing(side):
    """Neither the gradients to come, nor any mode, nor a statistic, nor what is drawn; nor if it fails."""
    plain, disturbed = Side(side, dropout=0.3, batch_norm=True), Side(side, dropout=0.3, batch_norm=True)
    frozen = list(disturbed.network.layers.values() if side == "scratch" else disturbed.network)[1]
    for one in (plain, disturbed):
        one.cost()
    before, drawn = disturbed.state(), stream(disturbed)
    for training, layer_training in itertools.product([True, False], repeat=2):
        disturbed.network.train(training)
        frozen.training = layer_training
        modes = disturbed.modes()
        disturbed.predict()
        with pytest.raises((ValueError, RuntimeError)):
            disturbed.predict(X[:, 1:])
        assert disturbed.modes() == modes
    same(disturbed.state(), before)
    assert stream(disturbed) == drawn
    same(disturbed.gradients(), plain.gradients())


def stream(one: Side) -> bytes:
    """Where the random numbers are that its dropout draws."""
    return (one.generator.get_state() if one.side == "scratch" else torch.get_rng_state().numpy()).tobytes()


def test_a_prediction_of_pytorch_keeps_no_graph():
    network, graphs = Side("torch").network, []
    network.linear1.register_forward_hook(lambda *_: graphs.append(torch.is_grad_enabled()))
    network.predict(torch.from_numpy(X))
    assert graphs == [False]


@each_side
def test_every_layer_of_a_deep_network_goes_along_into_evaluation_and_back(side):
    """Where an example's logits no longer depend on chance, nor on the rest of the batch."""
    one = Side(side, widths=(5, 4, 4, 4, 4, 4, 3), **EVERYTHING)
    for mode in (True, False, True):
        (one.network.train if mode else one.network.eval)()
        assert set(one.modes()) == {mode}
        logits, again = (to_numpy(one.network.forward(one.array(x))) for x in (X, X[::2]))
        assert np.allclose(again, logits[::2]) != mode


@each_side
def test_training_begins_by_switching_to_training(side):
    plain, evaluating = Side(side, **EVERYTHING), Side(side, **EVERYTHING)
    evaluating.network.eval()
    histories = [one.train(2) for one in (plain, evaluating)]
    assert histories[0] == histories[1]
    same(evaluating.state(), plain.state())
    assert all(evaluating.modes())


@each_side
def test_a_second_backward_pass_adds_nothing_and_none_changes_a_parameter(side):
    one = Side(side, **EVERYTHING)
    one.cost()
    before = one.state()
    same(one.gradients(), one.gradients())
    same(one.state(), before)


def test_a_backward_pass_goes_back_where_the_last_forward_pass_came_from_or_says_that_it_can_not():
    network = Side("scratch").network
    with pytest.raises(RuntimeError, match="backward: expected a cost before it, got none"):
        network.backward()
    first, second = network.forward(X), network.forward(OTHER_X)
    network.cost(first, TARGETS)
    with pytest.raises(RuntimeError, match="backward: expected the cost of the last forward pass"):
        network.backward()
    network.cost(second, TARGETS[:7])
    network.backward()
    network.load_state_dict(copy.deepcopy(network.state_dict()))
    with pytest.raises(RuntimeError, match="backward: expected the cost of the last forward pass"):
        network.backward()
    with pytest.raises(ValueError, match="x: expected shape"):
        network.forward(X[:, 1:])
    with pytest.raises(RuntimeError, match="backward: expected the cost of the last forward pass"):
        network.backward()


@pytest.mark.parametrize(
    "layer",
    [
        scratch.linear.Linear(5, 4, NumpyGenerator(0)),
        Activation("relu"),
        scratch.batch_norm.BatchNorm1d(5),
        scratch.layer_norm.LayerNorm(5),
        scratch.layer_norm.RMSNorm(5),
        Dropout(0.5, NumpyGenerator(0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_says_that_it_has_nowhere_to_go_back_to(layer):
    with pytest.raises(RuntimeError, match=f"expected a forward pass of this {type(layer).__name__} before"):
        layer.backward(X)


def test_the_penalty_counts_in_evaluation_too():
    """It is part of the cost and not of the mode: on both sides, in the cost and in the gradients."""
    found = {}
    for side, l2 in itertools.product(SIDES, (0.0, 3.0)):
        one = Side(side, l2=l2)
        one.network.eval()
        found[side, l2] = {"cost": np.array(one.cost()), **one.gradients()}
    weights = [a for n, a in Side("scratch").state().items() if n.endswith("weight")]
    extra = 3.0 / (2 * len(X)) * sum((w * w).sum() for w in weights)
    for name, array in found["scratch", 3.0].items():
        np.testing.assert_allclose(array, found["torch", 3.0][name], rtol=0, atol=1e-13)
        assert name.endswith("bias") or np.abs(array - found["scratch", 0.0][name]).max() > 1e-3
    for side in SIDES:
        assert found[side, 3.0]["cost"] - found[side, 0.0]["cost"] == pytest.approx(extra, rel=1e-12)


# --- long = short, again and again --------------------------------------------------------------------------


def long_run(kind: str, side: str, steps: int, pause: int = 0) -> dict[str, np.ndarray]:
    """Many steps with gradients of mixed scale; at `pause` a copy takes over."""
    name, hyperparameters = OPTIMIZERS[kind]
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((steps, 4)) * np.array([1, 1e-2, 1e-4, 1e-7])
    if side == "scratch":
        params: list[Any] = [np.ones(4)]
        optimizer = getattr(scratch.optimizers, name)(params, 1e-3, **hyperparameters)
        for t, gradient in enumerate(gradients):
            if t == pause:
                params, optimizer = copy.deepcopy((params, optimizer))
            optimizer.step([gradient])
        return {"param": params[0], **{buffer: arrays[0] for buffer, arrays in optimizer.state.items()}}
    params = [torch.ones(4, dtype=torch.float64)]
    optimizer = getattr(torch_ref.optimizers, name)(params, 1e-3, **hyperparameters)
    for gradient in torch.from_numpy(gradients):
        params[0].grad = gradient
        optimizer.step()
    buffers = {n: a.numpy() for n, a in optimizer.state[params[0]].items() if n != "step"}
    if name == "Momentum":
        buffers = {"velocity": optimizer.velocity(params[0]).numpy()}
    return {"param": params[0].numpy(), **buffers}


@every_optimizer
def test_thousands_of_steps_are_like_the_first_ones(kind):
    """On both sides alike, and so is a run that a copy takes over in the middle."""
    whole, theirs = (long_run(kind, side, 2100) for side in SIDES)
    for name, array in theirs.items():
        np.testing.assert_allclose(whole[name], array, rtol=1e-9, atol=0, err_msg=name)
    same(long_run(kind, "scratch", 2100, pause=1050), whole)


@every_optimizer
def test_a_run_of_many_epochs_is_the_same_on_both_sides(kind):
    """With dropout, batch normalisation, a penalty and a schedule: its history, and whatever it leaves."""
    ours, theirs = (Side(side, kind=kind, **EVERYTHING) for side in SIDES)
    draws = SharedDraws(copy.deepcopy(ours.generator))
    history = ours.train(8, scheduler=ours.scheduler())
    with draws:
        expected = theirs.train(8, scheduler=theirs.scheduler())
    for name, values in vars(expected).items():
        np.testing.assert_allclose(getattr(history, name), values, rtol=1e-6, err_msg=name)
    found = {**ours.state(), **ours.buffers()}
    for name, array in {**theirs.state(), **theirs.buffers()}.items():
        if kind == "the textbook's momentum" and name.endswith("momentum_buffer"):
            name, array = name.replace("momentum_buffer", "velocity"), (1 - 0.8) * array
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-9, err_msg=name)
    assert (ours.generator.get_state() == draws.get_state()).all()


SCHEDULES: dict[str, dict[str, Any]] = {
    "inverse_time": {"decay_rate": 0.1},
    "fixed_interval": {"decay_rate": 0.1, "interval": 7},
    "exponential": {"gamma": 0.99},
    "inverse_sqrt": {"k": 0.9},
    "staircase": {"step_size": 13, "gamma": 0.9},
    "milestones": {"milestones": [3, 99, 251, 500], "gamma": 0.5},
    "cosine_with_warmup": {"warmup_epochs": 9, "total_epochs": 700},
    "cosine_with_restarts": {"T_0": 9, "T_mult": 2, "eta_min": 0.01},
    "one_cycle": {"total_steps": 700, "three_phase": True},
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_for_hundreds_of_epochs_and_every_optimizer_has_its_own(name):
    """On both sides, with two at a time."""
    schedule = partial(getattr(scratch.schedules, name), **SCHEDULES[name])
    ours = [scratch.optimizers.SGD([np.ones(1)], lr) for lr in (0.1, 0.7)]
    schedulers: list[Any] = [scratch.schedules.Scheduler(optimizer, schedule) for optimizer in ours]
    theirs = [torch_ref.optimizers.SGD([torch.ones(1)], lr) for lr in (0.1, 0.7)]
    schedulers += [getattr(torch_ref.schedules, name)(optimizer, **SCHEDULES[name]) for optimizer in theirs]
    for epoch in range(600):
        rates = [optimizer.lr for optimizer in ours]
        np.testing.assert_allclose(rates, [schedule(lr, epoch) for lr in (0.1, 0.7)], rtol=1e-12)
        np.testing.assert_allclose(rates, [o.param_groups[0]["lr"] for o in theirs], rtol=1e-9)
        for scheduler in schedulers:
            scheduler.step()


@each_side
@pytest.mark.parametrize("again", ["the same scheduler", "another scheduler"])
def test_training_twice_decays_the_initial_rate(side, again):
    """A scheduler goes on where it was; another one begins again, with the initial rate."""
    one = Side(side, **EVERYTHING)
    scheduler = one.scheduler()
    rates = one.train(3, scheduler=scheduler).learning_rate
    np.testing.assert_allclose(rates, [0.01 / (1 + epoch) for epoch in range(3)], rtol=1e-12)
    if again == "another scheduler":
        scheduler = one.scheduler()
    start = 3 if again == "the same scheduler" else 0
    rates = one.train(2, scheduler=scheduler).learning_rate
    np.testing.assert_allclose(rates, [0.01 / (1 + epoch) for epoch in range(start, start + 2)], rtol=1e-12)


@each_side
def test_no_epoch_is_like_another(side):
    """Of twelve, each has a rate of its own and an order of its own."""
    one = Side(side)
    rates = one.train(12, scheduler=one.scheduler()).learning_rate
    np.testing.assert_allclose(rates, [0.01 / (1 + epoch) for epoch in range(12)], rtol=1e-12)
    orders = {tuple(order) for order in orders_of(side, 12)}
    assert len(orders) == 12
    assert all(sorted(order) == list(range(20)) for order in orders)


def orders_of(side: str, epochs: int) -> Iterator[list[int]]:
    x, generator = np.arange(20.0)[:, np.newaxis], NumpyGenerator(0)
    loader = torch_ref.training.minibatches(torch.from_numpy(x), torch.from_numpy(x), 7)
    for _ in range(epochs):
        batches = scratch.training.minibatches(x, x, 7, generator) if side == "scratch" else loader
        yield [int(row) for batch, _ in batches for row in batch[:, 0]]


@each_side
def test_a_run_of_five_epochs_is_one_of_two_and_one_of_three(side):
    """Without dropout, and with one scheduler for both; each run has a history of its own."""
    whole, halves = Side(side, batch_norm=True), Side(side, batch_norm=True)
    scheduler = halves.scheduler()
    history = vars(whole.train(5, scheduler=whole.scheduler()))
    first = halves.train(2, scheduler=scheduler)
    before = copy.deepcopy(vars(first))
    with pytest.MonkeyPatch.context() as patch:  # the stream goes on
        patch.setattr(torch, "manual_seed", lambda seed: None)
        second = vars(halves.train(3, scheduler=scheduler))
    assert vars(first) == before
    lists = [name for name, values in before.items() if isinstance(values, list)]
    assert {name: before[name] + second[name] for name in lists} == {name: history[name] for name in lists}
    same(halves.state(), whole.state())


@each_side
def test_training_leaves_the_data_alone_and_whoever_gets_a_batch_may_write_to_it(side):
    x, targets = X.copy(), TARGETS.copy()
    one = Side(side)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "X", x)
        patch.setattr(sys.modules[__name__], "TARGETS", targets)
        patch.setattr(one, "array", np.asarray if side == "scratch" else torch.from_numpy)
        one.train(2)
        one.predict(x)
    for size in (1, 4, len(x), 2 * len(x)):
        generator = (NumpyGenerator(0),) if side == "scratch" else ()
        kind = scratch.training if side == "scratch" else torch_ref.training
        seen = []
        for batch, classes in kind.minibatches(one.array(x), one.array(targets), size, *generator):
            seen += [*zip(*to_numpy(batch).T, to_numpy(classes), strict=True)]
            batch[...], classes[...] = 7, 7
        assert sorted(seen) == sorted(zip(*X.T, TARGETS, strict=True))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(targets, TARGETS)


# --- copies, files, neighbours ------------------------------------------------------------------------------


@each_copy
@each_side
@every_optimizer
def test_a_copied_run_goes_on_like_the_original_and_leaves_it_alone(side, kind, way):
    original = Side(side, kind=kind, **EVERYTHING)
    original.cost()
    original.gradients()
    original.step()
    if side == "torch":  # the optimizer's copy is PyTorch's own, by its state
        duplicate = copy.copy(original)
        duplicate.network = duplicates()[way](original.network)
        name, hyperparameters = OPTIMIZERS[kind]
        duplicate.optimizer = getattr(torch_ref.optimizers, name)(
            duplicate.network.parameters(), 0.01, **hyperparameters
        )
        duplicate.optimizer.load_state_dict(copy.deepcopy(original.optimizer.state_dict()))
    else:
        duplicate = duplicates()[way](original)
    before = original.state()
    runs = []
    for one in (duplicate, original):
        costs = []
        for _ in range(3):
            costs.append(one.cost())
            one.gradients()
            one.step()
        runs.append((costs, one.state()))
        if one is duplicate:
            same(original.state(), before)
    assert runs[0][0] == runs[1][0]
    same(runs[0][1], runs[1][1])
    assert len(set(runs[0][0])) == 3  # it learns


@each_copy
@each_side
@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_a_copy_has_every_mode_of_the_original(side, way, frozen):
    """The layers' one by one, and what follows from them."""
    one = Side(side, widths=(5, 4, 4, 3), **EVERYTHING)
    one.network.train()
    layers = list(one.network.layers.values() if side == "scratch" else one.network)
    for layer in [layer for layer in layers if isinstance(layer, WITH_MODES)][frozen:]:
        layer.training = False
    duplicate = copy.copy(one)
    duplicate.network = duplicates()[way](one.network)
    assert duplicate.modes() == one.modes()
    assert duplicate.cost() == one.cost()


@each_side
def test_a_network_that_was_loaded_has_arrays_of_its_own(side):
    giving, taking = Side(side, **EVERYTHING), Side(side, **EVERYTHING)
    giving.train(1)
    taking.network.load_state_dict(giving.network.state_dict())
    same(taking.state(), giving.state())
    before = giving.state()
    taking.train(1)
    same(giving.state(), before)


@each_copy
def test_a_copied_network_backs_its_layers(way):
    network = duplicates()[way](Side("scratch", **EVERYTHING).network)
    network.flat_parameters[...] = 7
    network.flat_gradients[...] = 8
    for layer in network.layers.values():
        assert all((array == 7).all() for array in layer.parameters.values())
        assert all((array == 8).all() for array in layer.gradients.values())


@each_copy
def test_a_copied_scheduler_goes_on_for_the_copied_optimizer_and_leaves_the_original_alone(way):
    one = Side("scratch")
    scheduler = one.scheduler()
    scheduler.step()
    duplicate, of_the_duplicate = duplicates()[way]((one, scheduler))
    for _ in range(3):
        of_the_duplicate.step()
    assert (one.optimizer.lr, scheduler.last_epoch) == (0.01 / 2, 1)
    assert (duplicate.optimizer.lr, of_the_duplicate.last_epoch) == (0.01 / 5, 4)
    duplicate.scheduler()
    assert duplicate.optimizer.lr == 0.01


@each_copy
def test_a_copied_layer_goes_on_like_the_original(way):
    layers = [
        scratch.linear.Linear(5, 4, NumpyGenerator(0), dtype=np.float64),
        Activation("tanh"),
        scratch.batch_norm.BatchNorm1d(5, dtype=np.float64),
        scratch.layer_norm.LayerNorm(5, dtype=np.float64),
        scratch.layer_norm.RMSNorm(5, dtype=np.float64),
        Dropout(0.5, TorchGenerator(0)),
    ]
    for layer in layers:
        y = layer.forward(X)
        duplicate = duplicates()[way](layer)
        dy = np.cos(y)
        np.testing.assert_array_equal(duplicate.backward(dy), layer.backward(dy))
        same(duplicate.gradients, layer.gradients)
        for _ in range(2):
            np.testing.assert_array_equal(duplicate.forward(OTHER_X), layer.forward(OTHER_X))
        same(getattr(duplicate, "buffers", {}), getattr(layer, "buffers", {}))


GENERATORS: dict[str, Callable[[], Any]] = {
    "TorchGenerator": lambda: TorchGenerator(5),
    "default": lambda: TorchGenerator(5, variant="default"),
    "CudaGenerator": lambda: TorchGenerator(5, "cuda", multiprocessors=3, threads_per_multiprocessor=2048),
    "NumpyGenerator": lambda: NumpyGenerator(5),
}


@pytest.mark.parametrize("way", [*duplicates(), "copy"])
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_copied_generator_draws_what_the_original_draws_and_leaves_it_alone(kind, way):
    def begun() -> Any:
        generator = GENERATORS[kind]()
        generator.normal((3,), 0.0, 1.0, np.float32)  # an odd number: one is kept for the next call
        return generator

    original, duplicated = begun(), {**duplicates(), "copy": copy.copy}[way]
    duplicate = duplicated(original)
    duplicated(original).normal((7,), 0.0, 1.0, np.float32)
    for generator in (duplicate, original):
        alone = begun()
        for size in ((7,), (50, 200)):  # more than a small card has threads
            assert (generator.get_state() == alone.get_state()).all()
            expected = alone.normal(size, 0.0, 1.0, np.float32)
            np.testing.assert_array_equal(generator.normal(size, 0.0, 1.0, np.float32), expected)


@each_side
@each_dtype
def test_what_is_saved_and_loaded_is_what_it_was_to_the_bit(side, dtype, tmp_path):
    """Parameters, running statistics, and the number of batches, into another network."""
    saved, loaded = Side(side, dtype, **EVERYTHING), Side(side, dtype, **EVERYTHING)
    saved.train(2)
    for name, array in saved.items():
        if array.dtype in (np.float64, torch.float64):
            array[...] *= 1 + 1e-13  # digits that a narrower file would lose
        assert (to_numpy(array) != loaded.state()[name]).any()
    for one in (saved, loaded):
        (one.network.save if one is saved else one.network.load)(tmp_path / "weights")
    same(loaded.state(), saved.state())
    assert int(loaded.state()["batch_norm1.num_batches_tracked"]) == 6


@each_side
@every_optimizer
def test_two_networks_and_their_optimizers_do_not_know_each_other(side, kind):
    """Not even with a whole forward pass of the one within a step of the other."""
    alone = Side(side, kind=kind, **EVERYTHING)
    for _ in range(3):
        alone.cost()
        alone.gradients()
        alone.step()
    expected = {**alone.state(), **copy.deepcopy(alone.buffers())}
    first, second = (Side(side, kind=kind, **EVERYTHING) for _ in range(2))
    second.cost()  # its masks are others
    for _ in range(3):
        first.cost()
        second.cost(-X)
        first.gradients()
        second.gradients()
        first.step()
        second.step()
    same({**first.state(), **first.buffers()}, expected)


@each_side
@every_optimizer
def test_a_step_leaves_the_gradients_alone_and_keeps_none_of_them(side, kind):
    one = Side(side, kind=kind)
    for _ in range(2):
        one.cost()
        before = one.gradients()
        one.step()
        same(one.raw_gradients(), before)
    kept = {**one.state(), **{name: array.copy() for name, array in one.buffers().items()}}
    for gradient in one.raw_gradients().values():
        gradient[...] = 7
    same({**one.state(), **one.buffers()}, kept)


def test_parameters_of_several_groups_go_on_as_if_alone():
    """The factor of the textbook's momentum belongs to each group's own β, and only while a step lasts."""
    together = [torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    optimizer = torch_ref.optimizers.Momentum([together[0]], 0.1, 0.9)
    optimizer.add_param_group({"params": [together[1]], "lr": 0.2, "momentum": 0.5})
    optimizer.state[together[1]]["momentum_buffer"] = torch.zeros(3, dtype=torch.float64)
    alone = [np.ones(3), np.ones(3)]
    ours = [
        scratch.optimizers.Momentum([param], lr, beta)
        for param, lr, beta in zip(alone, (0.1, 0.2), (0.9, 0.5), strict=True)
    ]
    for t in range(3):
        for i, param in enumerate(together):
            param.grad = torch.full((3,), float(t + i + 1), dtype=torch.float64)
            ours[i].step([param.grad.numpy()])
        optimizer.step()
        for i, param in enumerate(together):
            np.testing.assert_allclose(alone[i], param, rtol=1e-13)
            np.testing.assert_allclose(ours[i].state["velocity"][0], optimizer.velocity(param), rtol=1e-13)

    def fails() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(fails)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]


@pytest.mark.parametrize("name", [n for n in torch_ref.initializers.INITIALIZERS if n != "zeros"])
def test_an_initializer_of_pytorch_draws_from_the_generator_that_it_is_given(name):
    def weights(seed: int, of_the_default: int) -> list[torch.Tensor]:
        torch.manual_seed(of_the_default)
        before, generator = torch.get_rng_state(), torch.Generator().manual_seed(seed)
        alone = torch.empty(4, 5)
        torch_ref.initializers.INITIALIZERS[name](alone, generator=generator)
        assert torch.equal(torch.get_rng_state(), before)
        network = torch_ref.network.Network(WIDTHS, generator, init=name)
        return [alone, network.linear1.weight, network.linear2.weight]

    for a, b, c in zip(weights(1, 0), weights(1, 9), weights(2, 0), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


FROM_A_GENERATOR: dict[str, Callable[[Any], torch.Tensor]] = {
    "rand": lambda g: torch_ref.random.rand((3, 4), g, torch.float64),
    "uniform": lambda g: torch_ref.random.uniform(torch.empty(7), -1.0, 2.0, g),
    "randn": lambda g: torch_ref.random.randn(7, g, torch.float32),
    "normal": lambda g: torch_ref.random.normal(torch.empty(17), 1.0, 2.0, g),
    "bernoulli": lambda g: torch_ref.random.bernoulli(torch.empty(40), 0.3, g),
    "dropout_mask": lambda g: torch_ref.random.dropout_mask(torch.ones(40), 0.3, g),
    "randint": lambda g: torch_ref.random.randint(-5, 100, (7,), g),
    "randperm": lambda g: torch_ref.random.randperm(13, g),
    "epoch_order": lambda g: torch_ref.random.epoch_order(13, g),
}


@pytest.mark.parametrize("name", FROM_A_GENERATOR)
def test_pytorch_goes_on_with_the_generator_that_it_is_given_and_leaves_the_default_one_alone(name):
    def draws(seed: int, of_the_default: int) -> list[list]:
        torch.manual_seed(of_the_default)
        before, generator = torch.get_rng_state(), torch.Generator().manual_seed(seed)
        found = [FROM_A_GENERATOR[name](generator).tolist() for _ in range(3)]
        assert torch.equal(torch.get_rng_state(), before)
        return found

    first = draws(1, 0)
    assert first == draws(1, 9) != draws(2, 0)
    assert first[0] != first[1] != first[2]


def test_a_generator_is_the_default_one_only_while_it_is_meant_to_be():
    torch.manual_seed(0)
    before, generator = torch.get_rng_state(), torch.Generator().manual_seed(1)

    def fails() -> None:
        with torch_ref.random.as_default(generator):
            torch.rand(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert torch.equal(torch.get_rng_state(), before)
    drawn = torch.Generator().manual_seed(1)
    torch.rand(3, generator=drawn)
    assert torch.equal(generator.get_state(), drawn.get_state())


def test_a_run_of_pytorch_has_the_order_of_the_generator_that_it_is_given():
    def costs(seed: int, of_the_default: int) -> list[float]:
        one, generator = Side("torch"), torch.Generator().manual_seed(seed)
        with pytest.MonkeyPatch.context() as patch:
            torch.manual_seed(of_the_default)
            patch.setattr(torch, "manual_seed", lambda seed: None)
            return one.train(2, generator=generator).cost

    assert costs(1, 0) == costs(1, 9) != costs(2, 0)


# --- functions ----------------------------------------------------------------------------------------------


def small_cases(component: Component) -> list[Case]:
    cases = cases_of(component, 0, np.float64)
    return [case for case in cases if case.finite and sum(map(np.size, case.arrays.values())) < 5000]


BACKWARD = [c for c in all_components().values() if any(name.endswith("_backward") for name in c.functions)]


@pytest.mark.parametrize("component", BACKWARD, ids=lambda component: component.name)
def test_a_backward_pass_leaves_what_it_was_given_alone(component):
    """The same pass again gives the same: neither the cache nor the upstream gradient was written to."""

    def again(function: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            first = copy.deepcopy(function(*args, **kwargs))
            second = function(*args, **kwargs)
            np.testing.assert_equal(second, first)
            return second

        return call

    own = vars(component.implementation()).items()
    twice = {name: again(function) for name, function in own if name.endswith("_backward")}
    for case in small_cases(component):
        run_scratch(component, case, twice)


@pytest.mark.parametrize("component", all_components().values(), ids=lambda component: component.name)
def test_pytorchs_side_leaves_its_inputs_alone(component):
    """But for the parameters of an optimizer. (Scratch's inputs are read-only in every comparison.)"""
    steps = component.topic == "optimizers" or component.name == "weight_decay"
    for case in small_cases(component):
        given = case.for_torch("cpu")
        component.run_torch(given)
        for name, tensor in given.arrays.items():
            if steps and name.startswith(("param", "weight", "bias")):
                continue
            np.testing.assert_array_equal(tensor.detach().numpy(), case[name], err_msg=f"{case.name}: {name}")


@each_side
def test_a_standardizer_knows_its_last_training_set_and_nothing_else(side):
    kind = scratch.standardization if side == "scratch" else torch_ref.standardization
    given = [X.copy(), 3 * X[:7] + 1, OTHER_X.copy()]
    first, second, other = given if side == "scratch" else map(torch.from_numpy, given)
    kept, one, another = copy.deepcopy(given), kind.Standardizer(), kind.Standardizer()
    assert one.fit(first) is one
    another.fit(second)
    expected = (kept[2] - kept[0].mean(axis=0)) / kept[0].std(axis=0)
    for _ in range(2):
        np.testing.assert_allclose(one.transform(other), expected, rtol=1e-12)
    for array, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, before)
    statistics = [to_numpy(one.mean).copy(), to_numpy(one.std).copy()]
    first[...] = 7
    np.testing.assert_array_equal([to_numpy(one.mean), to_numpy(one.std)], statistics)
    one.fit(second)
    np.testing.assert_array_equal(one.transform(second), another.transform(second))


# --- several at a time --------------------------------------------------------------------------------------


@pytest.mark.skipif(bool(why_not_own("cpu")), reason=why_not_own("cpu"))
@pytest.mark.parametrize("kind", ["TorchGenerator", "CudaGenerator"])
def test_threads_share_a_generator_piece_by_piece(kind):
    """Whoever comes first: each call has a piece of the stream to itself, as in PyTorch."""
    generator, alone = GENERATORS[kind](), GENERATORS[kind]()
    calls, pieces = 60, []
    start = threading.Barrier(4)

    def draw() -> None:
        start.wait()
        for _ in range(calls):
            pieces.append(generator.normal((1003,), 0.0, 1.0, np.float32))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {alone.normal((1003,), 0.0, 1.0, np.float32).tobytes() for _ in range(4 * calls)}
    assert {piece.tobytes() for piece in pieces} == expected


def test_saving_to_a_path_in_the_middle_of_saving_to_it_leaves_a_whole_file(tmp_path, monkeypatch):
    """The one that ends last is there: no unfinished file is anybody else's."""
    first, second, loaded = Side("scratch"), Side("scratch"), Side("scratch")
    second.train(1)
    replace, waiting = os.replace, [lambda: second.network.save(tmp_path / "weights")]

    def after_the_other(source: Path, target: Path) -> None:
        while waiting:
            waiting.pop()()
        replace(source, target)

    monkeypatch.setattr(os, "replace", after_the_other)
    first.network.save(tmp_path / "weights")
    loaded.network.load(tmp_path / "weights")
    same(loaded.state(), first.state())
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


SAVE_AND_LOAD = """
import os, sys
from scratch.network import Network
from scratch.random import NumpyGenerator
path = sys.argv[1]
network = Network((60, 50, 3), NumpyGenerator(0))

def save_and_load(number):
    for array in network.state_dict().values():
        array[...] = number
    network.save(path)
    network.load(path)
    found = {float(value) for array in network.state_dict().values() for value in array.flatten()}
    assert len(found) == 1 and found <= set(range(8)), found

save_and_load(0)
for number in range(8):
    if not os.fork():
        for _ in range(15):
            save_and_load(number)
        os._exit(0)  # an exception does not come this far
assert [os.wait()[1] for _ in range(8)] == [0] * 8
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="eight processes by fork, which Windows does not have")
def test_eight_processes_save_to_one_path_and_whoever_loads_finds_a_whole_file(tmp_path):
    command = [sys.executable, "-c", SAVE_AND_LOAD, str(tmp_path / "weights.npz")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]
