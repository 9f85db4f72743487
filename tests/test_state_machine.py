"""Networks, optimizers, schedulers and generators through any sequence of calls, both sides in step.

Hypothesis makes the sequences up; after every call the two sides must be in the same state. What a single
call does to the last bit is the components' business: here it is what one call leaves behind for another.
"""

import copy
import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.training
import torch_ref.network
import torch_ref.optimizers
import torch_ref.schedules
import torch_ref.training
from compare.component import Case
from compare.draws import why_not_own

EXAMPLES, INPUTS, CLASSES = 11, 5, 3
TOLERANCE = 1e-8  # of float64's 16 digits, half: rounding grows, a fault of meaning is there at once
NETWORKS = st.fixed_dictionaries(
    {"activation": st.sampled_from(["relu", "tanh"])},
    optional={
        "batch_norm": st.just(True),
        "dropout": st.sampled_from([0.3, 1.0]),
        "l2": st.just(0.5),
        "init": st.just("default"),
    },
)
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient descent": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "dampening": 0.1}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "the textbook's momentum": ("Momentum", {"beta": 0.8}),
    "RMSProp": ("RMSprop", {"eps": 1e-3, "momentum": 0.5, "centered": True}),
    "Adam": ("Adam", {"eps": 1e-3, "weight_decay": 0.1}),
    "AMSGrad": ("Adam", {"eps": 1e-3, "amsgrad": True}),
    "AdamW": ("AdamW", {"eps": 1e-3}),
    "Adagrad": ("Adagrad", {"eps": 1e-3, "lr_decay": 0.1}),
    "NAdam": ("NAdam", {"eps": 1e-3, "weight_decay": 0.1}),
}
BATCHES = st.lists(st.integers(0, EXAMPLES - 1), min_size=2, max_size=EXAMPLES)


class TwoSides(RuleBasedStateMachine):
    """The same calls on both sides."""

    @initialize(options=NETWORKS, optimizer=st.sampled_from(list(OPTIMIZERS)), seed=st.integers(0, 99))
    def build(self, options: dict, optimizer: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((EXAMPLES, INPUTS))
        self.targets = np.resize(np.arange(CLASSES), EXAMPLES)
        self.description = {"widths": (INPUTS, 4, CLASSES), **options}
        self.kind, self.hyperparameters = OPTIMIZERS[optimizer]
        case = Case("", seed=seed, draws="shared" if why_not_own("cpu") else "own")
        generator, self.draws = case.generator(), case.torch_draws()
        network = scratch.network.Network(generator=generator, dtype=np.float64, **self.description)
        ours = getattr(scratch.optimizers, self.kind)(network.parameters(), 0.02, **self.hyperparameters)
        schedule = partial(scratch.schedules.inverse_time, decay_rate=0.3)
        self.ours = network, ours, scratch.schedules.Scheduler(ours, schedule), generator
        with self.draws:
            theirs = torch_ref.network.Network(dtype=torch.float64, **self.description)
        self.theirs = theirs, *self.trainer(theirs)
        self.cost: Any = None  # PyTorch's, of the last forward pass
        self.backed = False  # whether its gradients are there
        self.others: list[tuple] = []  # copies that were left behind, with the state that they were in

    def trainer(self, network: Any) -> tuple:
        """An optimizer of PyTorch and its scheduler."""
        optimizer = getattr(torch_ref.optimizers, self.kind)(
            network.parameters(), 0.02, **self.hyperparameters
        )
        return optimizer, torch_ref.schedules.inverse_time(optimizer, decay_rate=0.3)

    @rule(rows=BATCHES)
    def forward(self, rows: list[int]) -> None:
        x, targets = self.x[rows], self.targets[rows]
        with self.draws:
            logits = self.theirs[0](torch.from_numpy(x))
            self.cost = self.theirs[0].cost(logits, torch.from_numpy(targets))
        found = self.ours[0].forward(x)
        close("logits", found, logits)
        close("cost", self.ours[0].cost(found, targets), self.cost)
        self.backed = False

    @precondition(lambda self: self.cost is not None)
    @rule()
    def backward(self) -> None:
        self.theirs[1].zero_grad()
        self.cost.backward(retain_graph=True)
        self.ours[0].backward()
        self.backed = True

    @precondition(lambda self: self.backed)
    @rule()
    def step(self) -> None:
        self.ours[1].step(self.ours[0].gradients())
        self.theirs[1].step()
        self.cost = None  # of parameters that are no more

    @rule(rows=BATCHES)
    def predict(self, rows: list[int]) -> None:
        classes = self.theirs[0].predict(torch.from_numpy(self.x[rows]))
        np.testing.assert_array_equal(self.ours[0].predict(self.x[rows]), classes)

    @rule()
    def predict_what_can_not_be(self) -> None:
        with pytest.raises(ValueError, match="x: expected shape"):
            self.ours[0].predict(self.x[:, 1:])
        with pytest.raises((ValueError, RuntimeError)):
            self.theirs[0].predict(torch.from_numpy(self.x[:, 1:]))

    @rule(mode=st.booleans())
    def train(self, mode: bool) -> None:
        for network in (self.ours[0], self.theirs[0]):
            network.train(mode)

    @precondition(lambda self: self.backed)
    @rule()
    def next_epoch(self) -> None:
        """After a step: PyTorch warns of an epoch without any."""
        self.step()
        for _, _, scheduler, *_ in (self.ours, self.theirs):
            scheduler.step()

    @rule(epochs=st.integers(1, 2))
    def epochs(self, epochs: int) -> None:
        (network, optimizer, scheduler, generator), (their_network, their_optimizer, theirs) = (
            self.ours,
            self.theirs,
        )
        recipe = {"epochs": epochs, "batch_size": 4}
        history = scratch.training.train(
            network,
            optimizer,
            self.x,
            self.targets,
            generator=generator,
            scheduler=scheduler,
            **recipe,
        )
        with self.draws:
            expected = torch_ref.training.train(
                their_network,
                their_optimizer,
                torch.from_numpy(self.x),
                torch.from_numpy(self.targets),
                scheduler=theirs,
                **recipe,
            )
        for name in ("cost", "learning_rate", "accuracy"):
            close(name, getattr(history, name), np.array(getattr(expected, name)))
        self.cost, self.backed = None, True

    @rule(way=st.sampled_from(["deepcopy", "pickle"]))
    def go_on_with_a_copy(self, way: str) -> None:
        """What is left behind must stay as it is."""
        duplicate = copy.deepcopy if way == "deepcopy" else lambda value: pickle.loads(pickle.dumps(value))
        self.others.append((self.ours, self.theirs, snapshot(self.ours), their_snapshot(self.theirs)))
        self.ours, before = duplicate(self.ours), self.theirs
        network = duplicate(before[0])
        self.theirs = network, *self.trainer(network)
        self.theirs[2].load_state_dict(copy.deepcopy(before[2].state_dict()))
        self.theirs[1].load_state_dict(copy.deepcopy(before[1].state_dict()))
        self.draws, self.cost, self.backed = copy.deepcopy(self.draws), None, False
        self.theirs[1].zero_grad()

    @rule()
    def save_and_load(self) -> None:
        """Into networks that were changed beyond recognition in between."""
        saved = copy.deepcopy(self.ours[0].state_dict())
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "weights.npz"), Path(folder, "weights.pt")
            for (network, *_), file in zip((self.ours, self.theirs), files, strict=True):
                network.save(file)
                for array in network.state_dict().values():
                    array[...] = 7
                network.load(file)
        for name, array in self.ours[0].state_dict().items():
            np.testing.assert_array_equal(array, saved[name])
            assert array.dtype == saved[name].dtype
        self.cost, self.backed = None, False

    @rule(n=st.integers(1, 40))
    def draw(self, n: int) -> None:
        """In between, by the program around them."""
        with self.draws:
            theirs = torch.empty(n, dtype=torch.float64).normal_()
        np.testing.assert_array_equal(self.ours[3].normal((n,), 0.0, 1.0, np.float64), theirs)

    @invariant()
    def the_two_sides_agree(self) -> None:
        if not hasattr(self, "ours"):
            return
        ours, theirs = snapshot(self.ours), their_snapshot(self.theirs)
        for name in ours.keys() & theirs.keys():
            close(name, ours[name], theirs[name])
        assert ours["modes"] == theirs["modes"]
        np.testing.assert_array_equal(self.ours[3].get_state(), self.draws.get_state())
        if self.backed:
            for name, gradient in self.ours[0].named(self.ours[0].flat_gradients).items():
                close(f"{name}.grad", gradient, self.theirs[0].get_parameter(name).grad)

    @invariant()
    def what_was_copied_is_what_it_was(self) -> None:
        for ours, theirs, of_ours, of_theirs in getattr(self, "others", ()):
            for found, kept in ((snapshot(ours), of_ours), (their_snapshot(theirs), of_theirs)):
                for name, value in kept.items():
                    np.testing.assert_array_equal(found[name], value, err_msg=name)


def snapshot(side: tuple) -> dict[str, Any]:
    """All that scratch keeps, copied, under PyTorch's names."""
    network, optimizer, scheduler, generator = side
    state = {name: array.copy() for name, array in network.state_dict().items()}
    for buffer, (flat,) in optimizer.state.items():
        named = network.named(flat) if flat.ndim else dict.fromkeys(network.shapes, flat)
        state |= {f"{name}.{buffer}": array.copy() for name, array in named.items()}
    layers = [layer.training for layer in network.layers.values() if hasattr(layer, "training")]
    modes = {network.training, *layers}
    return state | {
        "lr": optimizer.lr,
        "last_epoch": scheduler.last_epoch,
        "modes": sorted(modes),
        "generator": generator.get_state(),
    }


def their_snapshot(side: tuple) -> dict[str, Any]:
    """All that PyTorch keeps, copied."""
    network, optimizer, scheduler = side
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        buffers = dict(optimizer.state[parameter])
        if isinstance(optimizer, torch_ref.optimizers.Momentum):
            buffers = {"velocity": (1 - 0.8) * buffers["momentum_buffer"]}
        state |= {f"{name}.{buffer}": value.clone() for buffer, value in buffers.items() if buffer != "step"}
    return state | {
        "lr": optimizer.param_groups[0]["lr"],
        "last_epoch": scheduler.last_epoch,
        "modes": sorted({module.training for module in network.modules()}),
    }


def close(name: str, ours: Any, theirs: Any) -> None:
    """Equal but for rounding, in shape and dtype too."""
    ours, theirs = np.asarray(ours), np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
    assert ours.shape == theirs.shape, name
    assert ours.dtype == theirs.dtype, name
    scale = 1 + np.abs(theirs).max(initial=0)
    distance = np.abs(np.subtract(ours, theirs, dtype=np.float64)).max(initial=0)
    assert distance <= TOLERANCE * scale, f"{name}: {ours} is not {theirs}"


TwoSides.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTwoSides = TwoSides.TestCase
