"""Mini-batches, and a short training run with its history."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import scratch.network
import scratch.training
from compare.component import Budget, Case, Component, Mistake, Results
from compare.draws import SharedDraws
from compare.inputs import fortran, normal, strided
from scratch import optimizers, schedules
from torch_ref import network as torch_network
from torch_ref import optimizers as torch_optimizers
from torch_ref import schedules as torch_schedules
from torch_ref import training as reference

EPOCHS = 3
DECAY_RATE = 0.5


def batch_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Sizes that do and do not divide; every example is recognisable."""

    def case(name: str, examples: int, batch_size: int, layout: Callable = np.asarray) -> Case:
        arrays = {"x": layout(normal(rng, (examples, 3), dtype)), "targets": np.arange(examples)}
        return Case(name, arrays, {"batch_size": batch_size}, int(rng.integers(2**31)), dtype)

    yield case("typical: last batch smaller", 300, 64)
    yield case("divides", 128, 32)
    yield case("smallest", 2, 1)
    yield case("odd", 129, 13)
    yield case("one batch", 7, 7)
    yield case("batch larger than the set", 7, 13)
    yield case("large", 1024, 100)
    yield case("fortran order", 13, 7, fortran)
    yield case("not contiguous", 13, 7, strided)


def run_batches_scratch(case: Case, f: Any) -> Results:
    """Every batch of several epochs."""
    generator = case.generator()
    batches = [
        batch
        for _ in range(EPOCHS)
        for batch in f.minibatches(case["x"], case["targets"], case.options["batch_size"], generator)
    ]
    return _named(batches)


def run_batches_torch(case: Case) -> Results:
    """Every batch of several passes over one DataLoader."""
    with SharedDraws(case.generator()):
        loader = reference.minibatches(case["x"], case["targets"], case.options["batch_size"])
        return _named([batch for _ in range(EPOCHS) for batch in loader])


def _named(batches: list) -> Results:
    return {
        f"batch {i}.{name}": array
        for i, batch in enumerate(batches)
        for name, array in zip(("x", "targets"), batch, strict=True)
    }


def _wrong_batches(rows: Callable[[int, int, Any], Iterator]) -> dict[str, Callable]:
    """minibatches() over other rows: (examples, batch size, generator) → row numbers of each batch."""

    def minibatches(x: np.ndarray, targets: np.ndarray, batch_size: int, generator: Any) -> Iterator[tuple]:
        for of_x, of_targets in rows(len(x), batch_size, generator):
            yield x[of_x], targets[of_targets]

    return {"minibatches": minibatches}


def _split(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _last_dropped(n: int, size: int, generator: Any) -> Iterator:
    return ((rows, rows) for rows in _split(generator.randperm(n), size) if len(rows) == size)


def _targets_left_behind(n: int, size: int, generator: Any) -> Iterator:
    return zip(_split(generator.randperm(n), size), _split(np.arange(n), size), strict=True)


def _not_shuffled(n: int, size: int, generator: Any) -> Iterator:
    return ((rows, rows) for rows in _split(np.arange(n), size))


def _with_replacement(n: int, size: int, generator: Any) -> Iterator:
    order = (generator.uniform((n,), 0.0, 1.0, np.float64) * n).astype(np.int64)
    return ((rows, rows) for rows in _split(order, size))


def training_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Smooth networks and momentum, so that rounding errors grow slowly over the steps of a run."""
    smooth = {"activation": "tanh", "init": "xavier_normal"}
    descriptions: dict[str, dict[str, Any]] = {
        "typical": {"widths": (7, 5, 3), **smooth},
        "everything": {"widths": (7, 5, 3), "batch_norm": True, "dropout": 0.2, "l2": 0.3, **smooth},
        "one logit": {"widths": (7, 5, 1), "loss": "binary_cross_entropy_with_logits", **smooth},
    }
    for name, network in descriptions.items():
        targets = (
            rng.integers(0, 3, 29) if "loss" not in network else rng.integers(0, 2, (29, 1)).astype(dtype)
        )
        arrays = {"x": normal(rng, (29, 7), dtype), "targets": targets}
        yield Case(name, arrays, network, int(rng.integers(2**31)), dtype)


def run_training_scratch(case: Case, f: Any) -> Results:
    """Three epochs of four batches."""
    generator = case.generator()
    network = scratch.network.Network(generator=generator, dtype=case.dtype, **case.options)
    optimizer = optimizers.SGD(network.parameters(), lr=0.1, momentum=0.9)
    history = f.train(
        network,
        optimizer,
        case["x"],
        case["targets"],
        epochs=EPOCHS,
        batch_size=8,
        generator=generator,
        schedule=lambda lr, epoch: schedules.inverse_time(lr, epoch, decay_rate=DECAY_RATE),
    )
    results: Results = {
        "cost": np.array(history.cost, case.dtype),
        "learning_rate": np.array(history.learning_rate),
        "accuracy": np.array(history.accuracy),
    }
    return results | network.state_dict()


def run_training_torch(case: Case) -> Results:
    """The same with DataLoader, autograd and LambdaLR."""
    with SharedDraws(case.generator()):
        network = torch_network.Network(dtype=case.dtype, device=case.device, **case.options)
        optimizer = torch_optimizers.SGD(network.parameters(), lr=0.1, momentum=0.9)
        history = reference.train(
            network,
            optimizer,
            case["x"],
            case["targets"],
            epochs=EPOCHS,
            batch_size=8,
            scheduler=torch_schedules.inverse_time(optimizer, decay_rate=DECAY_RATE),
        )
    results: Results = {
        "cost": torch.tensor(history.cost, dtype=case.dtype),
        "learning_rate": np.array(history.learning_rate),
        "accuracy": np.array(history.accuracy),
    }
    return results | network.state_dict()


def _one_epoch_ahead(*args: Any, schedule: Any, **kwargs: Any) -> scratch.training.History:
    return scratch.training.train(*args, schedule=lambda lr, epoch: schedule(lr, epoch + 1), **kwargs)


def _decay_piles_up(network: Any, optimizer: Any, *args: Any, schedule: Any, **kwargs: Any) -> Any:
    return scratch.training.train(
        network, optimizer, *args, schedule=lambda lr, epoch: schedule(optimizer.lr, epoch), **kwargs
    )


class _AlwaysTheSame:
    """A generator that is seeded anew for every epoch."""

    def __init__(self, generator: Any) -> None:
        self.order = generator.randperm

    def randperm(self, n: int) -> np.ndarray:
        if callable(self.order):
            self.order = self.order(n)
        return self.order


def _same_order_every_epoch(*args: Any, generator: Any, **kwargs: Any) -> scratch.training.History:
    once: Any = _AlwaysTheSame(generator)
    return scratch.training.train(*args, generator=once, **kwargs)


def _left_in_evaluation(network: Any, *args: Any, **kwargs: Any) -> scratch.training.History:
    network.eval()
    network.train = lambda mode=True: network
    return scratch.training.train(network, *args, **kwargs)


COMPONENTS = (
    Component(
        name="minibatches",
        topic="training",
        source="https://docs.pytorch.org/docs/stable/data.html",
        functions=("minibatches",),
        reference=("minibatches",),
        cases=batch_cases,
        run_scratch=run_batches_scratch,
        run_torch=run_batches_torch,
        budget=Budget(0, "rows are moved, not computed"),
        mistakes=(
            Mistake(
                "last batch dropped",
                "The remainder that does not fill a batch is never trained on.",
                _wrong_batches(_last_dropped),
            ),
            Mistake(
                "targets left behind",
                "The examples are shuffled, their targets are not.",
                _wrong_batches(_targets_left_behind),
            ),
            Mistake(
                "not shuffled",
                "Every epoch sees the examples in the order of the file.",
                _wrong_batches(_not_shuffled),
            ),
            Mistake(
                "with replacement",
                "Random rows instead of a permutation: some examples come twice, some never.",
                _wrong_batches(_with_replacement),
            ),
        ),
        arbiter=False,
    ),
    Component(
        name="train",
        topic="training",
        source="https://docs.pytorch.org/docs/stable/optim.html",
        functions=("train",),
        reference=("train",),
        cases=training_cases,
        run_scratch=run_training_scratch,
        run_torch=run_training_torch,
        budget=Budget(
            32 + 4 * EPOCHS * 4, "the 32 of one step, and 4 more for what each of the 12 steps inherits"
        ),
        mistakes=(
            Mistake(
                "one epoch ahead",
                "The rate is decayed before the first epoch: epoch e runs at the rate of e + 1.",
                {"train": _one_epoch_ahead},
            ),
            Mistake(
                "decay piles up",
                "The schedule is applied to the decayed rate instead of the initial one.",
                {"train": _decay_piles_up},
            ),
            Mistake(
                "same order every epoch",
                "The generator is seeded anew for every epoch, so the batches never change.",
                {"train": _same_order_every_epoch},
            ),
            Mistake(
                "left in evaluation mode",
                "After a prediction the network never goes back to training: no dropout, frozen statistics.",
                {"train": _left_in_evaluation},
            ),
        ),
        arbiter=False,
    ),
)
