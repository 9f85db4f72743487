"""A run that stops and goes on is the run that never stopped, and may go on on the other side."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import scratch.averages
import scratch.checkpoint
import scratch.early_stopping
import scratch.network
import scratch.optimizers
import scratch.schedules
import scratch.training
import torch_ref.averages
import torch_ref.checkpoint
import torch_ref.early_stopping
import torch_ref.network
import torch_ref.optimizers
import torch_ref.schedules
import torch_ref.training
from compare.measure import to_numpy
from compare.training.weights import convert
from scratch.files import read_state, write_state
from scratch.random import NumpyGenerator, TorchGenerator

RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((23, 5)), RNG.integers(0, 3, 23)
DESCRIPTION = {"widths": (5, 6, 4, 3), "activation": "tanh", "batch_norm": True, "dropout": 0.3, "l2": 0.1}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient descent": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "dampening": 0.1}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "RMSProp": ("RMSprop", {"momentum": 0.5, "centered": True}),
    "Adam": ("Adam", {"weight_decay": 0.1}),
    "AMSGrad": ("Adam", {"amsgrad": True, "maximize": True}),
    "AdamW": ("AdamW", {}),
    "Adagrad": ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    "NAdam": ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "Lion": ("Lion", {"weight_decay": 0.1, "maximize": True}),
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "exponential": {"gamma": 0.5},
    "cosine_with_warmup": {"warmup_epochs": 3, "total_epochs": 9},
    "cosine_with_restarts": {"T_0": 2, "T_mult": 2, "eta_min": 0.001},
    "one_cycle": {"total_steps": 9},
}
EPOCHS = 4


class Ours:
    """A run of scratch on PyTorch's stream."""

    suffix = ".npz"

    def __init__(self, kind: str, groups: bool = False, seed: int = 0, schedule: str = "exponential") -> None:
        name, options = OPTIMIZERS[kind]
        self.generator: Any = TorchGenerator(seed)
        self.network = scratch.network.Network(generator=self.generator, dtype=np.float64, **DESCRIPTION)
        params: Any = self.network.parameters()
        if groups:
            params = grouped(self.network.named_parameters())
        self.optimizer = getattr(scratch.optimizers, name)(params, 0.01, **options)
        function = partial(getattr(scratch.schedules, schedule), **SCHEDULES[schedule])
        self.scheduler = scratch.schedules.Scheduler(self.optimizer, function)

    def train(self, epochs: int) -> None:
        scratch.training.train(
            self.network, self.optimizer, X, TARGETS, epochs=epochs, batch_size=8,
            generator=self.generator, scheduler=self.scheduler,
        )  # fmt: skip

    def save(self, path: Path, epoch: int) -> None:
        scratch.checkpoint.save_checkpoint(
            path, self.network, self.optimizer, self.generator, epoch, self.scheduler
        )

    def load(self, path: Path) -> int:
        return scratch.checkpoint.load_checkpoint(
            path, self.network, self.optimizer, self.generator, self.scheduler
        )

    def state(self) -> dict[str, np.ndarray]:
        """Weights and the buffers of the optimizer by number, as PyTorch numbers them; the rates."""
        state_dict = scratch.checkpoint._by_parameter(
            self.optimizer.state_dict(), self.network, self.optimizer
        )
        return everything(self.network.state_dict(), state_dict, self.generator.get_state())


class Theirs:
    """The same run of PyTorch, on its default generator."""

    suffix = ".pt"

    def __init__(self, kind: str, groups: bool = False, seed: int = 0, schedule: str = "exponential") -> None:
        name, options = OPTIMIZERS[kind]
        torch.manual_seed(seed)
        self.network = torch_ref.network.Network(dtype=torch.float64, **DESCRIPTION)
        params: Any = self.network.parameters()
        if groups:
            params = grouped(self.network.named_parameters())
        self.optimizer = getattr(torch_ref.optimizers, name)(params, 0.01, **options)
        self.scheduler = getattr(torch_ref.schedules, schedule)(self.optimizer, **SCHEDULES[schedule])

    def train(self, epochs: int) -> None:
        data = torch.from_numpy(X), torch.from_numpy(TARGETS)
        torch_ref.training.train(
            self.network, self.optimizer, *data, epochs=epochs, batch_size=8, scheduler=self.scheduler
        )

    def save(self, path: Path, epoch: int) -> None:
        torch_ref.checkpoint.save_checkpoint(path, self.network, self.optimizer, None, epoch, self.scheduler)

    def load(self, path: Path) -> int:
        return torch_ref.checkpoint.load_checkpoint(
            path, self.network, self.optimizer, scheduler=self.scheduler
        )

    def state(self) -> dict[str, np.ndarray]:
        state_dict = self.optimizer.state_dict()
        return everything(self.network.state_dict(), state_dict, torch.get_rng_state())


def grouped(named: Any) -> list[dict[str, Any]]:
    """No decay of biases, γ and β."""
    named = list(named)
    decayed = [p for name, p in named if "linear" in name and name.endswith("weight")]
    others = [p for name, p in named if not ("linear" in name and name.endswith("weight"))]
    return [{"params": decayed, "weight_decay": 0.2}, {"params": others, "weight_decay": 0.0, "lr": 0.02}]


def everything(weights: Any, optimizer: Any, stream: Any) -> dict[str, np.ndarray]:
    found = {name: to_numpy(value) for name, value in weights.items()} | {"stream": to_numpy(stream)}
    for i, buffers in optimizer["state"].items():
        found |= {f"{i}.{name}": np.asarray(value) for name, value in buffers.items()}
    for i, group in enumerate(optimizer["param_groups"]):
        found |= {f"group {i}: {name}": np.asarray(group[name]) for name in ("lr", "initial_lr", "params")}
    return {name: value.copy() for name, value in found.items()}


def equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)


each_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS)
with_groups = pytest.mark.parametrize("groups", [False, True], ids=["one group", "two groups"])
each_side = pytest.mark.parametrize("side", [Ours, Theirs], ids=["scratch", "torch"])


@each_optimizer
@with_groups
@each_side
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(side, kind, groups, at, tmp_path):
    whole, first, second = side(kind, groups), None, None
    whole.train(EPOCHS)
    expected = whole.state()
    first = side(kind, groups)
    first.train(at)
    first.save(tmp_path / f"run{side.suffix}", at)
    second = side(kind, groups, seed=7)
    epoch = second.load(tmp_path / f"run{side.suffix}")
    assert epoch == at
    second.train(EPOCHS - epoch)
    equal(second.state(), expected)


@each_optimizer
@with_groups
@pytest.mark.parametrize(("here", "there"), [(Ours, Theirs), (Theirs, Ours)], ids=["to torch", "to scratch"])
def test_a_run_goes_on_on_the_other_side(here, there, kind, groups, tmp_path):
    """From the same state to the bit; and comes out where it would have come out here."""
    stopped = here(kind, groups)
    stopped.train(2)
    expected = stopped.state()
    stopped.save(tmp_path / f"here{here.suffix}", 2)
    convert(tmp_path / f"here{here.suffix}", tmp_path / f"there{there.suffix}")
    other = there(kind, groups, seed=7)
    assert other.load(tmp_path / f"there{there.suffix}") == 2
    equal(other.state(), expected)
    other.train(2)
    found = other.state()
    whole = here(kind, groups)
    whole.train(4)
    close(found, whole.state())


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("at", [0, 2, 4, 6])
@pytest.mark.parametrize("here", [Ours, Theirs], ids=["from scratch", "from torch"])
@pytest.mark.parametrize("there", [Ours, Theirs], ids=["to scratch", "to torch"])
def test_every_schedule_goes_on_with_the_rate_of_the_next_epoch(here, there, schedule, at, tmp_path):
    """A warm-up that is over, a second cycle, a rate that falls again: on either side, from either side."""
    stopped, other = (side("gradient descent", True, schedule=schedule) for side in (here, there))
    for _ in range(at):
        stopped.scheduler.step()
    name = save_and_convert(stopped, there, tmp_path, at)
    assert other.load(name) == at
    for _ in range(3):
        rates = [[group["lr"] for group in side.optimizer.param_groups] for side in (stopped, other)]
        np.testing.assert_allclose(rates[1], rates[0], rtol=1e-12)
        stopped.scheduler.step()
        other.scheduler.step()


def save_and_convert(run: Any, there: Any, folder: Path, epoch: int) -> Path:
    """The file for the other side, or for its own."""
    saved, file = folder / f"here{run.suffix}", folder / f"there{there.suffix}"
    run.save(saved, epoch)
    if saved.suffix == file.suffix:
        return saved
    convert(saved, file)
    return file


@pytest.mark.parametrize("here", [Ours, Theirs], ids=["from scratch", "from torch"])
@pytest.mark.parametrize("there", [Ours, Theirs], ids=["to scratch", "to torch"])
def test_a_plateau_is_counted_on(here, there, tmp_path):
    """From any epoch on either side: the best cost, the bad epochs and the cooldown come with the file."""
    costs = [1.0, 0.9, 0.9, 0.9, np.nan, 0.95, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]
    expected = plateau(here)
    whole = [(expected.scheduler.step(cost), rate_of(expected))[1] for cost in costs]
    assert len({*whole}) == 5
    for at in range(len(costs)):
        stopped, other = plateau(here), plateau(there)
        for cost in costs[:at]:
            stopped.scheduler.step(cost)
        assert other.load(save_and_convert(stopped, there, tmp_path, at)) == at
        assert [(other.scheduler.step(cost), rate_of(other))[1] for cost in costs[at:]] == whole[at:]


def plateau(side: Any) -> Any:
    run = side("gradient descent")
    module = scratch.schedules if side is Ours else torch_ref.schedules
    for group in run.optimizer.param_groups:
        group["lr"] = 0.5
    run.scheduler = module.ReduceLROnPlateau(run.optimizer, factor=0.5, patience=1, cooldown=1)
    return run


def rate_of(run: Any) -> float:
    return run.optimizer.param_groups[0]["lr"]


def test_a_plateau_does_not_go_on_from_a_file_without_its_counts(tmp_path):
    run = Ours("gradient descent")
    run.train(1)
    run.save(tmp_path / "run.npz", 1)
    other = plateau(Ours)
    other.scheduler.step(0.5)
    before = other.state(), other.scheduler.state_dict()
    with pytest.raises(ValueError, match=r"run\.npz: scheduler: expected .*, found no best, num_bad_epochs"):
        other.load(tmp_path / "run.npz")
    equal(other.state(), before[0])
    assert other.scheduler.state_dict() == before[1]


def without(*names: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda arrays: {name: array for name, array in arrays.items() if not name.startswith(names)}


def with_one(name: str, array: Any) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda arrays: arrays | {name: np.asarray(array)}


DAMAGES: dict[str, tuple[Callable, str]] = {
    "weights alone": (
        lambda arrays: {n.removeprefix("network."): a for n, a in arrays.items() if n.startswith("network.")},
        r"linear1\.weight: expected a name of a checkpoint",
    ),
    "no epoch": (without("epoch"), "expected a checkpoint, found no epoch in it"),
    "no stream": (without("generator"), "expected a checkpoint, found no generator in it"),
    "another stream": (with_one("generator", np.zeros(16, np.uint8)), "state: expected"),
    "a weight is missing": (without("network.linear2.weight"), r"missing \['linear2\.weight'\]"),
    "a moment is missing": (without("optimizer.state.3.exp_avg_sq"), "exp_avg_sq of "),
    "a moment of another shape": (
        with_one("optimizer.state.3.exp_avg", np.zeros(9)),
        "exp_avg of .*: expected",
    ),
    "a moment in float32": (
        with_one("optimizer.state.0.exp_avg", np.zeros((6, 5), np.float32)),
        "expected float64, got float32",
    ),
    "another optimizer's buffer": (
        with_one("optimizer.state.0.square_avg", np.zeros((6, 5))),
        "square_avg of ",
    ),
    "two numbers of steps": (with_one("optimizer.state.0.step", 7), "expected one number of steps"),
    "no groups": (without("optimizer.param_groups"), r"param_groups: expected groups of \["),
    "a group too many": (
        with_one("optimizer.param_groups.2.params", [10, 11]),
        r"param_groups: expected groups of \[",
    ),
    "a parameter too many": (
        with_one("optimizer.param_groups.0.params", list(range(11))),
        r"param_groups: expected groups of \[",
    ),
    "a rate below 0": (with_one("optimizer.param_groups.0.lr", -1.0), "lr: expected a finite number >= 0"),
    "an average that never moves": (
        with_one("optimizer.param_groups.0.betas", [0.9, 1.0]),
        r"betas\[1\]: expected a number >= 0 and < 1",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@with_groups
def test_what_is_no_checkpoint_of_this_run_is_refused_and_changes_nothing(groups, damage, tmp_path):
    change, message = DAMAGES[damage]
    saved = Ours("Adam", groups)
    saved.train(1)
    saved.save(tmp_path / "run.npz", 1)
    write_state(tmp_path / "run.npz", change(read_state(tmp_path / "run.npz")))
    run = Ours("Adam", groups, seed=7)
    run.train(2)
    before = run.state()
    with pytest.raises((TypeError, ValueError), match=rf"run\.npz: .*{message}"):
        run.load(tmp_path / "run.npz")
    equal(run.state(), before)
    assert run.scheduler.last_epoch == 2


def test_one_buffer_of_all_parameters_has_one_product_of_momenta(tmp_path):
    saved, run = Ours("NAdam"), Ours("NAdam", seed=7)
    saved.train(1)
    saved.save(tmp_path / "run.npz", 1)
    arrays = read_state(tmp_path / "run.npz")
    write_state(tmp_path / "run.npz", arrays | {"optimizer.state.3.mu_product": np.full((), 0.25)})
    before = run.state()
    with pytest.raises(ValueError, match=r"mu_product: expected one number for all parameters, got \[0\.0"):
        run.load(tmp_path / "run.npz")
    equal(run.state(), before)


def test_numpys_own_stream_goes_on_too():
    """With the half word that it keeps of a permutation."""
    one, other = NumpyGenerator(3), NumpyGenerator(4)
    one.epoch_order(7)
    other.set_state(one.get_state())
    for _ in range(3):
        np.testing.assert_array_equal(one.epoch_order(7), other.epoch_order(7))
        np.testing.assert_array_equal(one.normal((3,)), other.normal((3,)))
    with pytest.raises(ValueError, match="state: expected"):
        one.set_state(TorchGenerator(0).get_state())


def test_the_textbooks_momentum_stays_on_its_side(tmp_path):
    network = scratch.network.Network((2, 2), NumpyGenerator(0))
    optimizer = scratch.optimizers.Momentum(network.parameters(), 0.1)
    optimizer.step(network.gradients())
    scratch.checkpoint.save_checkpoint(tmp_path / "a.npz", network, optimizer, NumpyGenerator(0), 1)
    with pytest.raises(ValueError, match="velocity: the textbook's momentum has no state of PyTorch's"):
        convert(tmp_path / "a.npz", tmp_path / "b.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@each_side
def test_nothing_is_left_behind_when_a_checkpoint_can_not_be_written(side, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        side("Adam").save(tmp_path / "taken", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


class Watched:
    """A run with early stopping and an average of its weights after every epoch."""

    def __init__(self, side: Any, seed: int = 0) -> None:
        self.run, library = side("Adam", seed=seed), scratch if side is Ours else torch_ref
        self.stopping = library.early_stopping.EarlyStopping(patience=3, min_delta=0.01, restore_best=False)
        self.averaged = library.averages.AveragedModel(self.run.network, 0.9)
        self.checkpoint = library.checkpoint
        self.training = library.training

    def train(self, epochs: int) -> None:
        run = self.run
        data = (X, TARGETS) if isinstance(run, Ours) else (torch.from_numpy(X), torch.from_numpy(TARGETS))
        generator = {"generator": run.generator} if isinstance(run, Ours) else {}
        for _ in range(epochs):
            self.training.train(
                run.network, run.optimizer, *data, epochs=1, batch_size=8, scheduler=run.scheduler,
                validation=data, early_stopping=self.stopping, **generator,
            )  # fmt: skip
            self.averaged.update_parameters(run.network)

    def arguments(self) -> tuple[Any, ...]:
        return self.run.network, self.run.optimizer, getattr(self.run, "generator", None)

    def save(self, path: Path) -> None:
        watching = self.run.scheduler, self.stopping, self.averaged
        self.checkpoint.save_checkpoint(path, *self.arguments(), 2, *watching)

    def load(self, path: Path) -> None:
        watching = self.run.scheduler, self.stopping, self.averaged
        assert self.checkpoint.load_checkpoint(path, *self.arguments(), *watching) == 2

    def state(self) -> dict[str, np.ndarray]:
        stopping = self.stopping.state_dict()
        best = {f"best {name}": to_numpy(array) for name, array in stopping.pop("best_weights").items()}
        counts = {name: np.asarray(value) for name, value in stopping.items()}
        averaged = {name: to_numpy(array).copy() for name, array in self.averaged.state_dict().items()}
        return {**self.run.state(), **best, **counts, **averaged}


@each_side
def test_early_stopping_and_averages_go_on_with_the_run(side, tmp_path):
    whole = Watched(side)
    whole.train(5)
    expected = whole.state()
    first = Watched(side)
    first.train(2)
    first.save(tmp_path / f"run{side.suffix}")
    second = Watched(side, seed=7)
    second.load(tmp_path / f"run{side.suffix}")
    second.train(3)
    equal(second.state(), expected)


@pytest.mark.parametrize(("here", "there"), [(Ours, Theirs), (Theirs, Ours)], ids=["to torch", "to scratch"])
def test_early_stopping_and_averages_go_on_on_the_other_side(here, there, tmp_path):
    stopped = Watched(here)
    stopped.train(2)
    expected = stopped.state()
    stopped.save(tmp_path / f"here{here.suffix}")
    convert(tmp_path / f"here{here.suffix}", tmp_path / f"there{there.suffix}")
    other = Watched(there, seed=7)
    other.load(tmp_path / f"there{there.suffix}")
    equal(other.state(), expected)
    other.train(3)
    stopped.train(3)
    close(other.state(), stopped.state())


def test_a_long_schedule_of_scratch_is_caught_up_with():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    torch_ref.checkpoint._load_schedule(scheduler, {"last_epoch": 300})
    assert scheduler.last_epoch == 300
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.99**300)


def test_what_was_written_on_a_card_is_read_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    saved, run = Theirs("Adam"), Theirs("Adam", seed=7)
    saved.train(2)
    saved.save(tmp_path / "run.pt", 2)
    run.load(tmp_path / "run.pt")
    equal(run.state(), saved.state())


def refused_and_nothing_changed(path: Path, message: str) -> None:
    """By a run that watches, and has run on its own."""
    run = Watched(Ours, seed=7)
    run.train(1)
    before = run.state()
    with pytest.raises(ValueError, match=rf"run\.npz: {message}"):
        run.load(path)
    equal(run.state(), before)


def test_a_checkpoint_without_what_is_to_go_on_is_refused_and_changes_nothing(tmp_path):
    saved = Ours("Adam")
    saved.train(1)
    saved.save(tmp_path / "run.npz", 2)
    refused_and_nothing_changed(tmp_path / "run.npz", "expected a checkpoint, found no early_stopping in it")


def test_what_breaks_off_last_changes_nothing_of_what_was_read_before_it(tmp_path):
    saved = Watched(Ours)
    saved.train(2)
    saved.save(tmp_path / "run.npz")
    arrays = read_state(tmp_path / "run.npz")
    write_state(tmp_path / "run.npz", without("scheduler")(arrays) | {"scheduler.best": np.array(0.5)})
    refused_and_nothing_changed(tmp_path / "run.npz", ".*last_epoch")


@pytest.mark.parametrize("epoch", [-1, 0.5])
def test_an_epoch_that_there_can_not_be_is_refused_and_nothing_written(epoch, tmp_path):
    with pytest.raises((TypeError, ValueError), match="epoch: expected an integer"):
        Ours("Adam").save(tmp_path / "run.npz", epoch)
    assert list(tmp_path.iterdir()) == []


def test_read_back_it_is_nested_as_pytorch_nests_it_in_whatever_order_the_names_come():
    run = Watched(Ours)
    run.train(1)
    checkpoint = {
        "optimizer": run.run.optimizer.state_dict(),
        "early_stopping": run.stopping.state_dict(),
        "network": run.run.network.state_dict(),
    }
    arrays = scratch.checkpoint.flattened(checkpoint)
    for names in (list(arrays), list(arrays)[::-1]):
        found = scratch.checkpoint.nested({name: arrays[name] for name in names})
        assert found["optimizer"]["param_groups"] == checkpoint["optimizer"]["param_groups"]
        assert type(found["optimizer"]["param_groups"][0]["betas"]) is tuple
        assert type(found["optimizer"]["state"][0]["step"]) is int
        assert found["early_stopping"]["best_epoch"] == run.stopping.best_epoch
        equal(found["early_stopping"]["best_weights"], run.stopping.best_weights)
