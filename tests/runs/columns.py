"""Examples in columns, as a well-known course has them, against an nn.Module."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

M, STEPS, RATE = 9, 8, 0.3


class Classifier(nn.Module):
    """Two layers; the functions between them are called, and are no modules."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.score = nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Probabilities."""
        return torch.sigmoid(self.score(torch.relu(self.hidden(x))))


def start() -> tuple[np.ndarray, np.ndarray, Classifier]:
    """X (features, m), Y (1, m) and the network."""
    torch.manual_seed(21)
    rng = np.random.default_rng(21)
    x = rng.standard_normal((4, M))
    return x, (x[:1] * x[1:2] > 0).astype(float), Classifier().double()


def theirs(folder: Path) -> None:
    """Examples in rows."""
    x, y, net = start()
    sgd = torch.optim.SGD(net.parameters(), lr=RATE)
    with record(net, sgd, folder):
        for _ in range(STEPS):
            sgd.zero_grad()
            nn.functional.binary_cross_entropy(net(torch.tensor(x.T)), torch.tensor(y.T)).backward()
            sgd.step()


def mine(folder: Path, bug: str = "") -> None:
    """W (out, in), b (out, 1)."""
    x, y, net = start()
    w1, b1, w2, b2 = (p.detach().numpy().copy().reshape(len(p), -1) for p in net.parameters())
    with Recorder(folder) as run:
        for _ in range(STEPS):
            z1 = w1 @ x + b1
            a1 = np.maximum(0, z1)
            z2 = w2 @ a1 + b2
            a2 = 1 / (1 + np.exp(-z2))
            cost = -(y * np.log(a2) + (1 - y) * np.log(1 - a2)).sum() / M
            dz2 = a2 - y  # not divided by m: that comes with the parameters
            dw2 = dz2 @ a1.T / (1 if bug == "dW2 not divided by m" else M)
            db2 = dz2.sum(axis=1, keepdims=True) / M
            dz1 = w2.T @ dz2 * (a1 if bug == "times the activation" else z1 > 0)
            dw1 = dz1 @ x.T / M
            db1 = dz1.sum(axis=1, keepdims=True) / M
            if bug == "db1 in one number":
                db1 = np.full_like(b1, dz1.sum() / M)
            w1, b1, w2, b2 = (p - RATE * g for p, g in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)))
            run.step(
                X=x, Y=y, Z1=z1, A1=a1, Z2=z2, A2=a2, cost=cost, dZ2=dz2, dW2=dw2, db2=db2,
                dZ1=dz1, dW1=dw1, db1=db1, W1=w1, b1=b1, W2=w2, b2=b2,
            )  # fmt: skip
