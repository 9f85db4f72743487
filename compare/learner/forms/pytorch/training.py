"""Mini-batches and training loops as people write them, with fewer arguments and other results."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from compare.component import Case
from compare.learner.forms.pytorch.reading import Reading, call, name_of, taken
from torch_ref import training

WITHOUT: dict[str, tuple[str, Callable[[Case], dict[str, Any]]]] = {
    # what a training loop is not given: what that makes of it, and of the options of a case
    "optimizer": (
        "makes its own optimizer: held against plain SGD at a constant rate",
        lambda case: {"momentum": 0.0, "decay_rate": 0.0},
    ),
    "scheduler": ("has no schedule: held against a constant rate", lambda case: {"decay_rate": 0.0}),
    "batch_size": ("has no mini-batches", lambda case: {"batch_size": max(len(case["x"]), 1)}),
}

HISTORY = {  # what a training loop returns of our history
    "cost": ("costs", "loss", "losses", "train_loss", "train_losses"),
    "learning_rate": ("learning_rates", "lr", "lrs"),
    "accuracy": ("accuracies", "acc", "train_acc"),
}
OF_VALIDATION = {
    "validation_cost": ("validation_loss", "val_loss", "val_losses", "valid_loss"),
    "validation_accuracy": ("val_accuracy", "val_acc", "val_accuracies", "valid_acc"),
}


def minibatches(theirs: Any) -> Reading:
    """A function that gives the batches of one epoch."""

    @functools.wraps(theirs)
    def minibatches(
        x: Any, targets: Any, batch_size: int, generator: Any = None, *, drop_last: bool = False
    ) -> _Loader:
        given = {"x": x, "targets": targets, "batch_size": batch_size, "generator": generator}
        given |= {"drop_last": drop_last}
        defaults = {"generator": None, "drop_last": False}
        return _Loader(lambda: call(theirs, given, defaults, ("x", "targets", "batch_size")))

    minibatches.__signature__ = inspect.signature(training.minibatches)  # type: ignore[attr-defined]
    return Reading({"minibatches": minibatches})


class _Loader:
    """Batches anew at every pass, as those of a DataLoader, from a function that gives them for one epoch."""

    def __init__(self, make: Callable[[], Iterable]) -> None:
        self.make = make

    def __iter__(self) -> Iterator:
        return iter(self.make())


def train(theirs: Any) -> Reading:
    """A loop over epochs, or one epoch, with an optimizer and a loss that it is given or makes itself."""
    unseen: set[str] = set()
    ours = inspect.signature(training.train).parameters
    takes = taken(theirs, (*ours, "loss", "loader", "held_out", "lr", "momentum"))
    without = [name for name in ("optimizer",) if name not in takes]
    without += [name for name in ("scheduler",) if name not in takes and "epochs" in takes and not without]
    without += [name for name in ("batch_size",) if name not in takes and "loader" not in takes]

    @functools.wraps(theirs)
    def train(
        network: Any, optimizer: Any, x: Any, targets: Any, *, epochs: int, batch_size: int,
        generator: Any = None, scheduler: Any = None, drop_last: bool = False, **asked: Any,
    ) -> training.History:  # fmt: skip
        loader = training.minibatches(x, targets, batch_size, generator, drop_last=drop_last)
        group = optimizer.param_groups[0]
        given = {"network": network, "optimizer": optimizer, "x": x, "targets": targets, "epochs": epochs}
        given |= {"batch_size": batch_size, "generator": generator, "scheduler": scheduler}
        given |= {"loss": network.cost, "loader": loader, "held_out": [(x, targets)]}
        given |= {"drop_last": drop_last, **asked}
        asked_for = [*asked, *(["drop_last"] if drop_last and "loader" not in takes else [])]
        if missing := [name for name in asked_for if name not in takes]:
            raise TypeError(f"{name_of(theirs)}() has no argument {missing[0]}")
        given |= {"lr": group["lr"], "momentum": group["momentum"]}
        given = {name: value for name, value in given.items() if name in takes}
        returned = []
        for _ in range(1 if "epochs" in takes else epochs):
            returned.append(call(theirs, given, {}))
            if scheduler and not {"epochs", "scheduler"} & takes.keys():
                scheduler.step()
        return history_of(returned, epochs, epochs * len(loader), unseen, "validation" in asked)

    train.__signature__ = inspect.signature(training.train)  # type: ignore[attr-defined]
    said = [WITHOUT[name][0] for name in without]
    said += ["is called for each epoch"] if "epochs" not in takes else []
    form = f"a loop that {' and '.join(said)}" if said else ""
    return Reading({"train": train}, form, without=tuple(without), unseen=unseen)


def history_of(
    returned: Sequence[Any], epochs: int, steps: int, unseen: set[str], validated: bool = False
) -> training.History:
    """What can be read from what was returned; a list of other lengths (means of epochs, say) can not

    Where there are as many steps as epochs, nobody knows of which a plain list is.
    """
    history = training.History()
    for name, others in (HISTORY | (OF_VALIDATION if validated else {})).items():
        found: list[float] | None = []
        certain = True
        for value in returned:
            value = value if isinstance(value, Mapping) else getattr(value, "__dict__", {"loss": value})
            certain = certain and name in value
            numbers = _numbers(next((value[n] for n in (name, *others) if n in value), None))
            found = None if found is None or numbers is None else found + numbers
        right = found is not None and len(found) == (steps if name == "cost" else epochs)
        if found is not None and (certain or (right and (name != "cost" or steps != epochs))):
            getattr(history, name).extend(found)
        else:
            unseen.add(name)
    return history


def _numbers(value: Any) -> list[float] | None:
    """A list of numbers as such, or the first of several lists."""
    if isinstance(value, tuple) and value and isinstance(value[0], list):
        value = value[0]
    try:
        return [float(number) for number in value]
    except (TypeError, ValueError, RuntimeError):
        return None
