"""Logistic regression in mini-batches, of which the last of an epoch is smaller."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

M, BATCH, EPOCHS, RATE = 22, 8, 2, 0.1


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two epochs in the order in which the data stand."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((M, 3))
    y = (x.sum(axis=1, keepdims=True) > 0.2).astype(float)
    for _ in range(EPOCHS):
        for start in range(0, M, BATCH):
            yield x[start : start + BATCH], y[start : start + BATCH]


def start() -> torch.nn.Linear:
    """Weights of both sides."""
    torch.manual_seed(6)
    return torch.nn.Linear(3, 1).double()


def theirs(folder: Path) -> None:
    """PyTorch's mean."""
    unit = start()
    sgd = torch.optim.SGD(unit.parameters(), lr=RATE)
    criterion = torch.nn.BCEWithLogitsLoss()
    with record(unit, sgd, folder):
        for x, y in batches():
            loss = criterion(unit(torch.from_numpy(x)), torch.from_numpy(y))
            sgd.zero_grad()
            loss.backward()
            sgd.step()


def mine(folder: Path, how: str) -> None:
    """Sum, mean, or what is divided by the usual size of a batch."""
    unit = start()
    w, b = unit.weight.detach().numpy().T.copy(), unit.bias.detach().numpy().copy()
    with Recorder(folder) as run:
        for x, y in batches():
            n = {"sum": 1, "mean": len(x), "usual": BATCH}[how]
            logit = x @ w + b
            cost = (np.logaddexp(0, logit) - y * logit).sum() / n
            error = (1 / (1 + np.exp(-logit)) - y) / n
            dw, db = x.T @ error, error.sum(axis=0)
            w, b = w - RATE * dw, b - RATE * db
            run.step(x=x, y=y, logit=logit, cost=cost, error=error, dw=dw, db=db, w=w, b=b)
