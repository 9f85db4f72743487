"""Gradients clipped to a global norm, by hand and by PyTorch, and the norm that is logged."""

from pathlib import Path

import numpy as np
import torch

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

STEPS, BOUND, RATE = 10, 1.0, 0.1


def start() -> tuple[list[tuple[np.ndarray, np.ndarray]], torch.nn.Linear]:
    """A batch for each step, some of them with large targets, and the layer."""
    torch.manual_seed(13)
    rng = np.random.default_rng(13)
    data = [
        (rng.standard_normal((6, 3)), rng.choice((0.5, 6.0)) * rng.standard_normal((6, 2)))
        for _ in range(STEPS)
    ]
    return data, torch.nn.Linear(3, 2).double()


def theirs(folder: Path) -> None:
    """`clip_grad_norm_`."""
    data, layer = start()
    sgd = torch.optim.SGD(layer.parameters(), lr=RATE)
    with record(layer, sgd, folder):
        for x, y in data:
            sgd.zero_grad()
            torch.nn.functional.mse_loss(layer(torch.tensor(x)), torch.tensor(y)).backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), BOUND)
            sgd.step()


def mine(folder: Path, *, small: float = 1e-6, log: str = "before") -> None:
    """`small` is what is added to the norm; `log` says which norm is recorded: before, after, late."""
    data, layer = start()
    w, b = layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
    last = 0.0
    with Recorder(folder) as run:
        for x, y in data:
            yhat = x @ w.T + b
            dyhat = 2 * (yhat - y) / y.size
            dw, db = dyhat.T @ x, dyhat.sum(axis=0)
            norm = np.sqrt((dw**2).sum() + (db**2).sum())
            scale = min(1.0, BOUND / (norm + small))
            dw, db = dw * scale, db * scale
            logged = {"before": norm, "after": norm * scale, "late": last}[log]
            last = norm
            w, b = w - RATE * dw, b - RATE * db
            loss = ((yhat - y) ** 2).mean()
            run.step(x=x, y=y, yhat=yhat, loss=loss, dyhat=dyhat, grad_norm=logged, dw=dw, db=db, w=w, b=b)
