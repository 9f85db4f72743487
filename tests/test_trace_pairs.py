"""Which tensor is which, what is asked for, and what the command says."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import columns

from compare.cli import main
from compare.recording.numpy_side import Recorder
from compare.recording.store import RecordingError
from compare.recording.torch_side import record
from compare.recording.trace import Trace, trace

F = torch.nn.functional


def network(
    folder: Path, names: Any, *, lr: float = 0.1, dtype: torch.dtype = torch.float64, **limits: Any
) -> None:
    """Two layers of one shape, in a module that `names` makes of them."""
    torch.manual_seed(0)
    model = names(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)).to(dtype)
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    torch.manual_seed(1)
    with record(model, sgd, folder, **limits):
        for _ in range(6):
            x, y = torch.randn(2, 5, 4, dtype=torch.float64).to(dtype)
            sgd.zero_grad()
            F.mse_loss(model(x), y).backward()
            sgd.step()


class Named(torch.nn.Module):
    """The same network by other names, with a function between its modules."""

    def __init__(self, first: torch.nn.Module, second: torch.nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(torch.tanh(self.encoder(x)))


def stacked(first: torch.nn.Module, second: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.Sequential(first, torch.nn.Tanh(), second)


def paired(found: Trace) -> dict[str, str]:
    return {pair.mine: pair.theirs + (".T" if pair.turned else "") for pair in found.pairing.pairs}


def test_other_names(tmp_path: Path) -> None:
    network(tmp_path / "mine", stacked)
    network(tmp_path / "theirs", Named)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)
    assert paired(found)["2.weight"] == "decoder.weight"
    assert paired(found)["0.bias.grad"] == "encoder.bias.grad"


def test_other_names_and_a_fault(tmp_path: Path) -> None:
    network(tmp_path / "mine", stacked, lr=0.2)
    network(tmp_path / "theirs", Named)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert [fault.tensor for fault in found.faults] == ["encoder.weight"], str(found)
    assert "2 times as long" in str(found)


def test_limits(tmp_path: Path) -> None:
    network(tmp_path / "mine", stacked, every=2)
    network(tmp_path / "theirs", stacked, first=5)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert found.steps == [0, 2, 4]
    assert not found.parted, str(found)


def test_bfloat16(tmp_path: Path) -> None:
    network(tmp_path / "mine", stacked, dtype=torch.bfloat16)
    network(tmp_path / "theirs", stacked, dtype=torch.bfloat16)
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted
    network(tmp_path / "mine", stacked, dtype=torch.bfloat16, lr=0.2)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert found.faults[0].tensor == "0.weight", str(found)


def loop(folder: Path, keep: tuple[str, ...], *, lr: float = 0.1, sign: float = 1.0) -> None:
    """The same network in NumPy, of which only some names are recorded."""
    torch.manual_seed(0)
    first, second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    P, p, Q, q = (a.detach().numpy().astype(float) for layer in (first, second) for a in layer.parameters())
    torch.manual_seed(1)
    with Recorder(folder, only=keep) as run:
        for _ in range(6):
            x, y = torch.randn(2, 5, 4, dtype=torch.float64).numpy()
            h = np.tanh(x @ P.T + p)
            out = h @ Q.T + q
            g = sign * 2 * (out - y) / y.size
            k = (g @ Q) * (1 - h * h)
            G, H = g.T @ h, k.T @ x
            P, p, Q, q = P - lr * H, p - lr * k.sum(axis=0), Q - lr * G, q - lr * g.sum(axis=0)
            run.step(cost=((out - y) ** 2).mean(), G=G, H=H, P=P, p=p, Q=Q, q=q)


@pytest.mark.parametrize("keep", [("cost", "P", "p", "Q", "q"), ("G", "H"), ("cost",), ("*",)])
def test_few_names(tmp_path: Path, keep: tuple[str, ...]) -> None:
    network(tmp_path / "theirs", stacked)
    loop(tmp_path / "mine", keep)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)
    assert not found.pairing.only_mine


def test_ambiguous_is_asked_for(tmp_path: Path) -> None:
    """Two layers of one shape whose first step is wrong already: neither values nor names tell."""
    network(tmp_path / "theirs", stacked)
    loop(tmp_path / "mine", ("P", "Q"), lr=3.0, sign=-1.7)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert paired(found) == {}
    assert "which is P? --map P=… one of 0.weight, 2.weight" in str(found)
    found = trace(tmp_path / "mine", tmp_path / "theirs", {"P": "0.weight", "Q": "2.weight"})
    assert paired(found) == {"P": "0.weight", "Q": "2.weight"}
    assert found.parted
    with pytest.raises(RecordingError, match=r"--map P=1\.weight: expected a recorded name, got '1\.weight'"):
        trace(tmp_path / "mine", tmp_path / "theirs", {"P": "1.weight"})


def test_two_numpy_recordings(tmp_path: Path) -> None:
    loop(tmp_path / "a", ("*",))
    loop(tmp_path / "b", ("*",))
    assert not trace(tmp_path / "a", tmp_path / "b").parted
    loop(tmp_path / "a", ("*",), sign=-1.0)
    found = trace(tmp_path / "a", tmp_path / "b")
    assert (found.faults[0].step, found.faults[0].mine) == (0, "G"), str(found)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns.theirs(tmp_path / "theirs")
    columns.mine(tmp_path / "mine")
    both = [str(tmp_path / "mine"), str(tmp_path / "theirs")]
    assert main(["trace", *both]) == 0
    assert "the same: equal" in capsys.readouterr().out
    columns.mine(tmp_path / "mine", "times the activation")
    page = tmp_path / "page.html"
    assert main(["trace", *both, "--html", str(page), "--map", "W1=hidden.weight"]) == 1
    assert "multiplied by the output" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == text.count("</svg>") == 2
    assert "multiplied by the output" in text
    assert "<pre>" in trace(*both)._repr_html_()
    for arguments, words in (
        ([both[0], str(tmp_path)], "expected the folder of a recording"),
        ([*both, "--map", "W1"], "--map W1: expected MINE=THEIRS"),
        ([*both, "--map", "W1=score.weight"], "expected shapes that fit"),
    ):
        assert main(["trace", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert len(error.strip().splitlines()) == 1


def test_drift_is_right(tmp_path: Path) -> None:
    """Over 2,000 steps in float32 rounding adds up, and nothing else."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 3)).astype(np.float32)
    y = np.sin(x[:, :1])
    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    w1, b1, w2, b2 = (p.detach().numpy().copy() for p in net.parameters())
    sgd = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    with record(net, sgd, tmp_path / "theirs"):
        for _ in range(2000):
            sgd.zero_grad()
            F.mse_loss(net(torch.from_numpy(x)), torch.from_numpy(y)).backward()
            sgd.step()
    kept = [np.zeros_like(p) for p in (w1, b1, w2, b2)]
    with Recorder(tmp_path / "mine") as run:
        for _ in range(2000):
            z = x @ w1.T + b1
            a = np.maximum(z, 0)
            out = a @ w2.T + b2
            dout = 2 * (out - y) / np.float32(len(x))
            dz = (dout @ w2) * (z > 0)
            grads = (dz.T @ x, dz.sum(axis=0), dout.T @ a, dout.sum(axis=0))
            for param, velocity, grad in zip((w1, b1, w2, b2), kept, grads, strict=True):
                velocity *= np.float32(0.9)
                velocity += grad
                param -= np.float32(0.2) * velocity
            loss = ((out - y) ** 2).mean()
            run.step(x=x, y=y, z=z, a=a, out=out, loss=loss, dout=dout, dz=dz, w1=w1, b1=b1, w2=w2, b2=b2)
    start = time.process_time()
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)
    assert found.verdict.startswith("right: every step follows from the one before; rounding drifts"), (
        found.verdict
    )
    assert time.process_time() - start < 60
