"""A learning rate that falls: by a scheduler of PyTorch, and by hand."""

from pathlib import Path

import numpy as np
import torch

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

STEPS, FIRST, FACTOR = 12, 0.2, 0.9


def start() -> tuple[np.ndarray, np.ndarray, torch.nn.Sequential]:
    """Data, and a network of two layers."""
    torch.manual_seed(4)
    rng = np.random.default_rng(4)
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    return rng.standard_normal((10, 3)), rng.standard_normal((10, 1)), net.double()


def theirs(folder: Path) -> None:
    """ExponentialLR after every step."""
    x, y, net = start()
    sgd = torch.optim.SGD(net.parameters(), lr=FIRST)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(sgd, FACTOR)
    with record(net, sgd, folder):
        for _ in range(STEPS):
            sgd.zero_grad()
            torch.nn.functional.mse_loss(net(torch.tensor(x)), torch.tensor(y)).backward()
            sgd.step()
            scheduler.step()


def mine(folder: Path, *, ahead: int, say: bool) -> None:
    """The rate of t + ahead; `say`: it is recorded."""
    x, y, net = start()
    w1, b1, w2, b2 = (p.detach().numpy().copy() for p in net.parameters())
    with Recorder(folder) as run:
        for t in range(STEPS):
            rate = FIRST * FACTOR ** max(t + ahead, 0)
            a = np.tanh(x @ w1.T + b1)
            guess = a @ w2.T + b2
            d2 = 2 * (guess - y) / y.size
            d1 = (d2 @ w2) * (1 - a * a)
            grads = d1.T @ x, d1.sum(axis=0), d2.T @ a, d2.sum(axis=0)
            for param, grad in zip((w1, b1, w2, b2), grads, strict=True):
                param -= rate * grad
            run.step(
                x=x, y=y, a=a, guess=guess, loss=((guess - y) ** 2).mean(), lr=rate if say else None,
                w1=w1, b1=b1, w2=w2, b2=b2,
                **dict(zip(("grad_w1", "grad_b1", "grad_w2", "grad_b2"), grads, strict=True)),
            )  # fmt: skip
