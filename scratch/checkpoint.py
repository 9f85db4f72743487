"""A run that stops and goes on: network, optimizer, schedule, random stream and epoch in one .npz file.

What goes on is equal to a run that never stopped, to the last bit. The names in the file are those of
PyTorch's nested checkpoint, joined by dots:

    network.linear1.weight …          every parameter and running statistic
    optimizer.state.0.exp_avg …       of each parameter, by its number in the optimizer's groups
    optimizer.param_groups.0.lr …     the hyperparameters of a group, and the numbers of its `params`
    scheduler.last_epoch, generator, epoch; of ReduceLROnPlateau, scheduler.best and its counts too
    early_stopping.best, early_stopping.best_weights.linear1.weight …
    averaged.n_averaged, averaged.module.linear1.weight …
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratch.averages import AveragedModel
from scratch.checks import check_state, expects
from scratch.early_stopping import EarlyStopping
from scratch.files import read_state, write_state
from scratch.network import Network
from scratch.optimizer import Optimizer, buffers_and_steps
from scratch.random import NumpyGenerator, TorchGenerator
from scratch.schedules import ReduceLROnPlateau, Scheduler


@expects(epoch=">= 0")
def save_checkpoint(
    path: str | Path, network: Network, optimizer: Optimizer, generator: NumpyGenerator | TorchGenerator,
    epoch: int, scheduler: Scheduler | ReduceLROnPlateau | None = None,
    early_stopping: EarlyStopping | None = None, averaged: AveragedModel | None = None,
) -> None:  # fmt: skip
    """Write a run, whole or not at all.

    Args:
        path: of the .npz file
        network: what is trained
        optimizer: built on `network.parameters()`, or on groups of `network.named_parameters()`
        generator: draws the orders and the dropout masks
        epoch: how many have run
        scheduler: changes the learning rate
        early_stopping: watches the run
        averaged: averages its weights

    Raises TypeError or ValueError for an epoch that is no integer >= 0.
    """
    checkpoint: dict[str, Any] = {
        "network": network.state_dict(),
        "optimizer": _by_parameter(optimizer.state_dict(), network, optimizer),
        "generator": generator.get_state(),
        "epoch": epoch,
        "scheduler": scheduler.state_dict() if scheduler else {"last_epoch": epoch},
        "early_stopping": early_stopping.state_dict() if early_stopping else {},
        "averaged": averaged.state_dict() if averaged else {},
    }
    write_state(path, flattened(checkpoint))


def load_checkpoint(
    path: str | Path, network: Network, optimizer: Optimizer, generator: NumpyGenerator | TorchGenerator,
    scheduler: Scheduler | ReduceLROnPlateau | None = None, early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
) -> int:  # fmt: skip
    """Read what `save_checkpoint` wrote, here or by way of `compare.training.weights` from PyTorch.

    Network, optimizer, generator and the others are made as for a new run. Returns how many epochs have run.
    A run with early stopping that is to go on has restore_best=False, and `restore` at its end.

    Raises:
        ValueError, TypeError: no checkpoint, or that of another run; nothing is changed then.
        OSError: the file cannot be read.
    """
    watching = {"early_stopping": early_stopping, "averaged": averaged}
    others = {name: one for name, one in watching.items() if one is not None}
    before = copy.deepcopy((network.state_dict(), optimizer.state_dict(), generator.get_state()))
    others_before = {name: copy.deepcopy(one.state_dict()) for name, one in others.items()}
    try:
        checkpoint = nested(read_state(path))
        epoch, schedule = int(checkpoint["epoch"]), checkpoint["scheduler"]
        network.load_state_dict(checkpoint["network"])
        optimizer.load_state_dict(_by_buffer(checkpoint["optimizer"], network, optimizer))
        generator.set_state(checkpoint["generator"])
        for name, one in others.items():
            one.load_state_dict(checkpoint[name])
        if scheduler:
            scheduler.load_state_dict(schedule)
    except Exception as error:
        network.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
        generator.set_state(before[2])
        for name, one in others.items():
            one.load_state_dict(others_before[name])
        if isinstance(error, KeyError):
            raise ValueError(f"{path}: expected a checkpoint, found no {error.args[0]} in it") from None
        raise type(error)(f"{path}: {error}") from None
    return epoch


def flattened(nested: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """Arrays and numbers by their names joined by dots; of lists, the numbers of their items."""
    return dict(_named("", nested))


def _named(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield from _named(name, dict(enumerate(value)))
    else:
        yield name, np.asarray(value)


def nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The same as PyTorch nests it: groups in a list, hyperparameters as Python's numbers."""
    checkpoint: dict[str, Any] = {"network": {}, "optimizer": {"state": {}, "param_groups": []}}
    groups: dict[int, dict[str, Any]] = {}
    for name, array in arrays.items():
        match name.split("."):
            case ["network", *rest]:
                checkpoint["network"][".".join(rest)] = array
            case ["optimizer", "state", number, buffer]:
                state = checkpoint["optimizer"]["state"].setdefault(int(number), {})
                state[buffer] = array.item() if buffer == "step" else array
            case ["optimizer", "param_groups", number, option]:
                value = array.tolist()
                groups.setdefault(int(number), {})[option] = tuple(value) if option == "betas" else value
            case ["early_stopping", "best_weights", *rest]:
                stopping = checkpoint.setdefault("early_stopping", {"best_weights": {}})
                stopping["best_weights"][".".join(rest)] = array
            case ["early_stopping", count]:
                checkpoint.setdefault("early_stopping", {"best_weights": {}})[count] = array.item()
            case ["averaged", *rest]:
                checkpoint.setdefault("averaged", {})[".".join(rest)] = array
            case ["scheduler", kept]:
                checkpoint.setdefault("scheduler", {})[kept] = array.item()
            case ["epoch"]:
                checkpoint["epoch"] = array.item()
            case ["generator"]:
                checkpoint["generator"] = array
            case _:
                raise ValueError(f"{name}: expected a name of a checkpoint")
    checkpoint["optimizer"]["param_groups"] = [groups[number] for number in sorted(groups)]
    return checkpoint


def _by_parameter(state_dict: dict[str, Any], network: Network, optimizer: Optimizer) -> dict[str, Any]:
    """The state of the one flat buffer as that of the parameters in it."""
    if optimizer.params[0] is not network.flat_parameters:
        return state_dict
    state: dict[int, dict[str, Any]] = {i: {} for i in range(len(network.shapes))}
    for buffer, value in state_dict["state"].get(0, {}).items():
        views = network.named(value).values() if np.ndim(value) else [value] * len(state)
        for of_one, view in zip(state.values(), views, strict=True):
            of_one[buffer] = view
    groups = [{**state_dict["param_groups"][0], "params": list(state)}]
    return {"state": {i: of_one for i, of_one in state.items() if of_one}, "param_groups": groups}


def _by_buffer(state_dict: dict[str, Any], network: Network, optimizer: Optimizer) -> dict[str, Any]:
    """And back; raise unless each parameter has a state of its shape, or none has."""
    if optimizer.params[0] is not network.flat_parameters:
        return state_dict
    names, groups = list(network.shapes), state_dict["param_groups"]
    sizes = [len(group["params"]) for group in groups]
    if sizes != [len(names)]:
        raise ValueError(f"param_groups: expected groups of {[len(names)]} parameters, got {sizes}")
    flat = {buffer: np.zeros_like(of_all) for buffer, (of_all,) in optimizer.state.items()}
    own = {
        f"{buffer} of {name}": view
        for buffer, array in flat.items()
        for name, view in (network.named(array) if array.ndim else dict.fromkeys(names, array)).items()
    }
    given, steps = buffers_and_steps(state_dict["state"], names)
    if given:
        check_state(given, own, "optimizer")
        for name, view in own.items():
            view[...] = given[name]
        for buffer in optimizer.numbers:
            if len(found := {given[f"{buffer} of {name}"].item() for name in names}) > 1:
                raise ValueError(f"{buffer}: expected one number for all parameters, got {sorted(found)}")
    state = {0: {"step": steps, **flat}} if given else {}
    return {"state": state, "param_groups": [{**groups[0], "params": [0]}]}
