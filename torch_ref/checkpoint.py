"""A run that stops and goes on: network, optimizer, scheduler, random stream and epoch in one .pt file."""

import os
from pathlib import Path

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from torch_ref.network import Network


def save_checkpoint(
    path: str | Path,
    network: Network,
    optimizer: Optimizer,
    generator: torch.Generator | None,
    epoch: int,
    scheduler: LRScheduler | None = None,
) -> None:
    """Write a run, whole or not at all; None stands for PyTorch's default generator."""
    checkpoint = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": (generator or torch.default_generator).get_state(),
        "epoch": epoch,
        "scheduler": scheduler.state_dict() if scheduler else {"last_epoch": epoch},
    }
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
) -> int:
    """Read what `save_checkpoint` wrote into a run that was made anew; returns how many epochs have run."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(checkpoint["network"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    (generator or torch.default_generator).set_state(checkpoint["generator"])
    if scheduler:
        scheduler.load_state_dict(checkpoint["scheduler"])
    return checkpoint["epoch"]
