"""A run that stops and goes on: network, optimizer, scheduler, random stream and epoch in one .pt file."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from torch_ref.averages import AveragedModel
from torch_ref.early_stopping import EarlyStopping
from torch_ref.network import Network

CYCLE = ("initial_lr", "max_lr", "min_lr")  # what OneCycleLR keeps in a group


def save_checkpoint(
    path: str | Path,
    network: Network,
    optimizer: Optimizer,
    generator: torch.Generator | None,
    epoch: int,
    scheduler: LRScheduler | None = None,
    early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
) -> None:
    """Write a run, whole or not at all; None stands for PyTorch's default generator."""
    checkpoint = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": (generator or torch.default_generator).get_state(),
        "epoch": epoch,
        "scheduler": scheduler.state_dict() if scheduler else {"last_epoch": epoch},
    }
    if early_stopping:
        checkpoint["early_stopping"] = early_stopping.state_dict()
    if averaged:
        checkpoint["averaged"] = averaged.state_dict()
    partial = f"{path}.partial"
    try:
        torch.save(checkpoint, partial)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def load_checkpoint(
    path: str | Path,
    network: Network,
    optimizer: Optimizer,
    generator: torch.Generator | None = None,
    scheduler: LRScheduler | None = None,
    early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
) -> int:
    """Read what `save_checkpoint` wrote into a run that was made anew; returns how many epochs have run."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(checkpoint["network"])
    if scheduler:
        _load_schedule(scheduler, checkpoint["scheduler"])
    cycles = [{name: group[name] for name in CYCLE if name in group} for group in optimizer.param_groups]
    optimizer.load_state_dict(checkpoint["optimizer"])
    for group, cycle in zip(optimizer.param_groups, cycles, strict=True):
        if "max_lr" in cycle:  # scratch/ has no such names, and another initial_lr
            group.update(cycle)
    (generator or torch.default_generator).set_state(checkpoint["generator"])
    if early_stopping:
        early_stopping.load_state_dict(checkpoint["early_stopping"])
    if averaged:
        averaged.load_state_dict(checkpoint["averaged"])
    return checkpoint["epoch"]


def _load_schedule(scheduler: LRScheduler, state: Mapping[str, Any]) -> None:
    """From scratch/ comes the epoch alone, and some schedulers count more than that: they step there."""
    if state.keys() != {"last_epoch"}:
        scheduler.load_state_dict(dict(state))
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer has taken no step
        while scheduler.last_epoch < state["last_epoch"]:
            scheduler.step()
