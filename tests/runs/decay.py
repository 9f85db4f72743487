"""Adam with an L2 penalty in its gradient, against AdamW."""

from pathlib import Path

import numpy as np
import torch

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

STEPS, DECAY, RATE = 9, 0.02, 0.01


def start() -> tuple[np.ndarray, np.ndarray, torch.nn.Linear]:
    """Data, and the layer that both fit to it."""
    torch.manual_seed(8)
    rng = np.random.default_rng(8)
    return rng.standard_normal((16, 4)), rng.standard_normal((16, 2)), torch.nn.Linear(4, 2).double()


def theirs(folder: Path) -> None:
    """Decoupled."""
    x, y, layer = start()
    adamw = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    with record(layer, adamw, folder):
        for _ in range(STEPS):
            adamw.zero_grad()
            torch.nn.functional.mse_loss(layer(torch.tensor(x)), torch.tensor(y)).backward()
            adamw.step()


def mine(folder: Path, *, decay_in_gradient: bool = True, recorded_with_it: bool = False) -> None:
    """Through the gradient; recorded before the penalty's part is added, or after."""
    x, y, layer = start()
    theta = {"W": layer.weight.detach().numpy().copy(), "b": layer.bias.detach().numpy().copy()}
    first, second = ({name: np.zeros_like(a) for name, a in theta.items()} for _ in range(2))
    with Recorder(folder) as run:
        for t in range(STEPS):
            out = x @ theta["W"].T + theta["b"]
            loss = ((out - y) ** 2).mean()
            dout = 2 * (out - y) / y.size
            grads = {"W": dout.T @ x, "b": dout.sum(axis=0)}
            whole = {name: g + DECAY * theta[name] if decay_in_gradient else g for name, g in grads.items()}
            for name, g in whole.items():
                first[name] += 0.1 * (g - first[name])
                second[name] += 0.001 * (g * g - second[name])
                if not decay_in_gradient:
                    theta[name] = theta[name] * (1 - RATE * DECAY)
                mean, square = first[name] / (1 - 0.9 ** (t + 1)), second[name] / (1 - 0.999 ** (t + 1))
                theta[name] = theta[name] - RATE * mean / (np.sqrt(square) + 1e-8)
            shown = whole if recorded_with_it else grads
            run.step(x=x, y=y, out=out, loss=loss, dout=dout, dW=shown["W"], db=shown["b"], **theta)
