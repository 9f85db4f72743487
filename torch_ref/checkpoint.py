"""A run that stops and goes on: network, optimizer, scheduler, random stream and epoch in one .pt file."""

import os
from pathlib import Path

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from torch_ref.averages import AveragedModel
from torch_ref.early_stopping import EarlyStopping
from torch_ref.network import Network


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
    optimizer.load_state_dict(checkpoint["optimizer"])
    (generator or torch.default_generator).set_state(checkpoint["generator"])
    if scheduler:
        scheduler.load_state_dict(checkpoint["scheduler"])
    if early_stopping:
        early_stopping.load_state_dict(checkpoint["early_stopping"])
    if averaged:
        averaged.load_state_dict(checkpoint["averaged"])
    return checkpoint["epoch"]
