"""Adam and batch normalisation as Keras has them, against PyTorch's own."""

from pathlib import Path

import numpy as np
import torch

from compare.recording.numpy_side import Recorder
from compare.recording.torch_side import record

EXAMPLES, WIDTHS, STEPS = 12, (5, 7, 3), 10


def data() -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes."""
    rng = np.random.default_rng(11)
    targets = rng.integers(0, 3, EXAMPLES)
    return rng.standard_normal((EXAMPLES, 5)) + targets[:, None], targets


def model(*, normalise: bool) -> torch.nn.Sequential:
    """Dense, perhaps normalised, ReLU, dense."""
    torch.manual_seed(1)
    middle = [torch.nn.BatchNorm1d(WIDTHS[1])] if normalise else []
    first, last = torch.nn.Linear(*WIDTHS[:2]), torch.nn.Linear(*WIDTHS[1:])
    return torch.nn.Sequential(first, *middle, torch.nn.ReLU(), last).double()


def theirs(folder: Path, *, normalise: bool) -> None:
    """PyTorch."""
    net = model(normalise=normalise)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, targets = map(torch.tensor, data())
    with record(net, adam, folder):
        for _ in range(STEPS):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(x), targets).backward()
            adam.step()


def mine(folder: Path, *, normalise: bool, keras_adam: bool) -> None:
    """Keras's formulas: kernels (in, out), ε outside of the corrected root, moving statistics by 0.99."""
    kernel = {name: p.detach().numpy().copy() for name, p in model(normalise=normalise).named_parameters()}
    last = "3" if normalise else "2"
    k1, b1, k2, b2 = (kernel[n] for n in ("0.weight", "0.bias", f"{last}.weight", f"{last}.bias"))
    params = {"kernel1": k1.T.copy(), "bias1": b1, "kernel2": k2.T.copy(), "bias2": b2}
    if normalise:
        params |= {"gamma": kernel["1.weight"], "beta": kernel["1.bias"]}
    m, v = ({name: np.zeros_like(p) for name, p in params.items()} for _ in range(2))
    moving_mean, moving_variance = np.zeros(WIDTHS[1]), np.ones(WIDTHS[1])
    x, targets = data()
    with Recorder(folder) as run:
        for t in range(1, STEPS + 1):
            z = x @ params["kernel1"] + params["bias1"]
            h = z
            if normalise:
                mean, variance = z.mean(axis=0), z.var(axis=0)
                s = np.sqrt(variance + 1e-3)
                z_hat = (z - mean) / s
                h = params["gamma"] * z_hat + params["beta"]
                moving_mean = 0.99 * moving_mean + 0.01 * mean
                moving_variance = 0.99 * moving_variance + 0.01 * variance
            a = np.maximum(h, 0)
            logits = a @ params["kernel2"] + params["bias2"]
            e = np.exp(logits - logits.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            loss = -np.log(p[np.arange(EXAMPLES), targets]).mean()
            dlogits = p.copy()
            dlogits[np.arange(EXAMPLES), targets] -= 1
            dlogits /= EXAMPLES
            grads = {"kernel2": a.T @ dlogits, "bias2": dlogits.sum(axis=0)}
            dh = (dlogits @ params["kernel2"].T) * (h > 0)
            dz = dh
            if normalise:
                grads |= {"gamma": (dh * z_hat).sum(axis=0), "beta": dh.sum(axis=0)}
                g = dh * params["gamma"]
                dz = (g - g.mean(axis=0) - z_hat * (g * z_hat).mean(axis=0)) / s
            grads |= {"kernel1": x.T @ dz, "bias1": dz.sum(axis=0)}
            for name, g in grads.items():
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g * g
                rate = 1e-3 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                if keras_adam:
                    params[name] = params[name] - rate * m[name] / (np.sqrt(v[name]) + 1e-7)
                else:
                    corrected = np.sqrt(v[name] / (1 - 0.999**t))
                    params[name] = params[name] - 1e-3 * m[name] / (1 - 0.9**t) / (corrected + 1e-8)
            run.step(
                x=x, y=targets, z=z, h=h, a=a, logits=logits, loss=loss, dlogits=dlogits, dh=dh, dz=dz,
                **{f"d{name}": g for name, g in grads.items()}, **params,
                **({"moving_mean": moving_mean, "moving_variance": moving_variance} if normalise else {}),
            )  # fmt: skip
