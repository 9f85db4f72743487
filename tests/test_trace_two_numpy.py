"""Two recordings in NumPy: what the reference computes is found in its numbers, and mine is judged by it."""

import functools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COMPONENTS
from runs import clipping, columns, decay, keras_form, last_batch, schedules
from runs.small_network import Setting, record_mine
from test_trace_catalogue import MISSED, SETTINGS

from compare.recording import plain
from compare.recording import trace as tracing
from compare.recording.inferred import Inferred
from compare.recording.numpy_side import Recorder
from compare.recording.pairing import gradient_of
from compare.recording.store import RecordingError
from compare.recording.torch_side import record
from compare.recording.trace import Trace, trace


def told(found: Trace, step: int, mine: str, *words: str) -> None:
    """One fault is there, and these words are in what is said of it."""
    assert [(fault.step, fault.mine) for fault in found.faults] == [(step, mine)], str(found)
    for word in words:
        assert word in str(found), str(found)


def test_columns(tmp_path: Path) -> None:
    columns.mine(tmp_path / "theirs")
    columns.mine(tmp_path / "mine")
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted
    for bug, tensor, cause in (
        ("dW2 not divided by m", "dW2", "times the batch (9)"),
        ("times the activation", "dZ1", "multiplied by the output"),
        ("db1 in one number", "db1", "bias gradient in one number"),
    ):
        columns.mine(tmp_path / "mine", bug)
        found = trace(tmp_path / "mine", tmp_path / "theirs")
        told(found, 0, tensor, cause, "Z1 = Linear of X; A1 = ReLU of Z1", "SGD moves")
        assert found.faults[0].tensor == tensor  # by their name, and not by PyTorch's


def test_keras_adam(tmp_path: Path) -> None:
    keras_form.mine(tmp_path / "theirs", normalise=False, keras_adam=False)
    keras_form.mine(tmp_path / "mine", normalise=False, keras_adam=True)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "kernel1", "ε before the bias correction", "eps = 1e-07", "Keras", "Adam with betas")


@pytest.mark.parametrize(
    ("how", "step", "cause"), [("sum", 0, "summed, not averaged"), ("usual", 2, "divided by 8 also")]
)
def test_last_batch(tmp_path: Path, how: str, step: int, cause: str) -> None:
    last_batch.mine(tmp_path / "theirs", "mean")
    last_batch.mine(tmp_path / "mine", how)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), step, "cost", cause)


def test_decay_in_the_gradient(tmp_path: Path) -> None:
    decay.mine(tmp_path / "theirs", decay_in_gradient=False)
    decay.mine(tmp_path / "mine")
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "W", "weight decay in the gradient", "AdamW with")


@pytest.mark.parametrize(("ahead", "when"), [(1, "early"), (-1, "late")])
def test_schedule_off_by_one(tmp_path: Path, ahead: int, when: str) -> None:
    schedules.mine(tmp_path / "theirs", ahead=0, say=True)
    schedules.mine(tmp_path / "mine", ahead=ahead, say=True)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0 if ahead > 0 else 1, "lr", f"one step {when}")


def test_clipping(tmp_path: Path) -> None:
    clipping.mine(tmp_path / "theirs")
    clipping.mine(tmp_path / "mine")
    assert not trace(tmp_path / "mine", tmp_path / "theirs").parted
    clipping.mine(tmp_path / "mine", small=0.0)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "dw", "without 10⁻⁶")


def test_clipping_after_the_gradients_are_recorded(tmp_path: Path) -> None:
    for folder, most in (("theirs", np.inf), ("mine", 1.0)):
        rng = np.random.default_rng(0)
        w, b = rng.standard_normal((4, 3)), np.zeros(3)
        with Recorder(tmp_path / folder) as run:
            for _ in range(6):
                x, y = rng.standard_normal((6, 4)), rng.choice((0.5, 6.0)) * rng.standard_normal((6, 3))
                z = x @ w + b
                dz = 2 * (z - y) / y.size
                dw, db = x.T @ dz, dz.sum(axis=0)
                scale = min(1.0, most / np.sqrt((dw**2).sum() + (db**2).sum()))
                run.step(x=x, y=y, w=w, b=b, z=z, loss=((z - y) ** 2).mean(), dz=dz, dw=dw, db=db)
                w, b = w - 0.1 * scale * dw, b - 0.1 * scale * db
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "w", "your gradients are clipped to a global norm of 1 before the step")


def test_what_does_not_follow_is_no_operation(tmp_path: Path) -> None:
    """An activation and a rule that nobody knows: where the runs part is told, and that nothing says why."""
    for folder, power in (("theirs", 3), ("mine", 5)):
        rng = np.random.default_rng(0)
        w, b = rng.standard_normal((4, 3)), np.zeros(3)
        with Recorder(tmp_path / folder) as run:
            for _ in range(5):
                x, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
                z = x @ w + b
                a = z**power
                dz = (a - y) * power * z ** (power - 1)
                dw, db = x.T @ dz, dz.sum(axis=0)
                run.step(x=x, y=y, w=w.copy(), b=b.copy(), z=z, a=a, dz=dz, dw=dw, db=db)
                w -= 0.001 * np.sin(dw)
                b -= 0.001 * np.sin(db)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "a", "it can not be computed", "nothing in the catalogue gives these numbers")
    assert "by its own numbers: z = Linear of x\n" in str(found), str(found)


def gradient_alone(folder: Path, change: Any = lambda gradient, step: gradient, *, rate: float = 0.1) -> None:
    """Neither targets nor dp are recorded: nobody can compute dw. Of db a mean leaves rounding alone."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((32, 3)), np.zeros((3, 1)), np.zeros(1)
    targets = x @ [[1.0], [-2.0], [0.5]]
    with Recorder(folder) as run:
        for step in range(12):
            p = x @ w + b
            centred = p - targets - (p - targets).mean()
            dw, db = change(2 * x.T @ centred / len(x), step), np.array([centred.sum()])
            w, b = w - rate * dw, b - rate * db
            run.step(x=x, p=p, dw=dw, db=db, w=w, b=b)


@pytest.mark.parametrize("begins", [0, 4])
def test_a_gradient_that_nothing_recorded_gives_has_to_be_the_same(begins: int, tmp_path: Path) -> None:
    """The parameters go where their gradients bring them, in both runs; the gradients are others."""

    def one_sign(gradient: np.ndarray, step: int) -> np.ndarray:
        return gradient * [[1.0], [-1.0 if step >= begins else 1.0], [1.0]]

    gradient_alone(tmp_path / "theirs")
    gradient_alone(tmp_path / "mine", one_sign)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, begins, "dw", "it can not be computed from what is recorded", "SGD moves w")


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_rounding_of_a_gradient_that_vanishes_is_no_parting(rate: float, tmp_path: Path) -> None:
    """All digits of db are rounding from the start, and those of dw after a few steps."""

    def in_another_order(gradient: np.ndarray, step: int) -> np.ndarray:
        return gradient * (1 + 4e-16) + 1e-17

    gradient_alone(tmp_path / "theirs", rate=rate)
    gradient_alone(tmp_path / "mine", in_another_order, rate=rate)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)


def test_a_penalty_in_the_gradient_or_in_the_step_leads_to_the_same(tmp_path: Path) -> None:
    for folder, inside in (("theirs", False), ("mine", True)):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((32, 3)), rng.standard_normal((3, 1))
        targets = x @ [[1.0], [-2.0], [0.5]]
        with Recorder(tmp_path / folder) as run:
            for _ in range(8):
                p = x @ w
                dw = 2 * x.T @ (p - targets) / len(x)
                w, dw = w - 0.1 * (dw + 0.2 * w), dw + 0.2 * w * inside
                run.step(x=x, p=p, dw=dw, w=w)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert "dw" not in {fault.mine for fault in found.faults}, str(found)


def test_a_penalty_in_the_gradient_in_the_place_of_weight_decay_forgets_nothing(tmp_path: Path) -> None:
    """The gradient is another one, and that is all: the weights are the same."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.randn(32, 3, dtype=torch.float64)
    targets = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.05)
    w = model.weight.detach().numpy().T.copy()
    with record(model, optimizer, tmp_path / "theirs"):
        for _ in range(8):
            optimizer.zero_grad()
            torch.nn.MSELoss()(model(x), targets).backward()
            optimizer.step()
    with Recorder(tmp_path / "mine") as run:
        for _ in range(8):
            p = x.numpy() @ w
            dw = 2 * x.numpy().T @ (p - targets.numpy()) / 32 + 0.05 * w
            w = w - 0.1 * dw
            run.step(x=x.numpy(), p=p, dw=dw, w=w)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "dw", "0.05 times the parameter more: an L2 penalty in its gradient")
    assert "forgotten" not in str(found)


def test_a_loss_that_is_right_is_no_sum(tmp_path: Path) -> None:
    """It is recorded and a mean, as theirs: its gradient alone is not divided."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 4, bias=False).double()
    x, targets = torch.randn(32, 3, dtype=torch.float64), torch.arange(32) % 4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    w = model.weight.detach().numpy().T.copy()
    loss = torch.nn.CrossEntropyLoss()
    with record(model, optimizer, tmp_path / "theirs"):
        for _ in range(5):
            optimizer.zero_grad()
            loss(model(x), targets).backward()
            optimizer.step()
    with Recorder(tmp_path / "mine") as run:
        for _ in range(5):
            z = x.numpy() @ w
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            cost = -np.log(p[np.arange(32), targets]).mean()
            dw = x.numpy().T @ (p - np.eye(4)[targets])
            w = w - 0.1 * dw
            run.step(x=x.numpy(), z=z, loss=cost, dw=dw, w=w)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "dw", "theirs times the batch (32) in every step", "gradient not averaged")
    assert "summed, not averaged" not in str(found)
    assert "reduction = sum" not in str(found)


def test_biases_that_alone_do_not_decay(tmp_path: Path) -> None:
    for folder, of_bias in (("theirs", 0.01), ("mine", 0.0)):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
        w, b = rng.standard_normal((4, 3)), rng.standard_normal(3)
        with Recorder(tmp_path / folder) as run:
            for _ in range(6):
                z = x @ w + b
                dz = 2 * (z - y) / z.size
                dw, db = x.T @ dz, dz.sum(axis=0)
                run.step(x=x, y=y, w=w, b=b, z=z, loss=((z - y) ** 2).mean(), dz=dz, dw=dw, db=db)
                w, b = w - 0.1 * (dw + 0.01 * w), b - 0.1 * (db + of_bias * b)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(
        found,
        0,
        "b",
        "1 of 2 parameters, all but the matrices, do not go where SGD",
        "weight decay forgotten",
    )


def test_an_average_where_pytorch_has_a_sum_is_told_as_that_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.randn(32, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    w = model.weight.detach().numpy().T.copy()
    with record(model, optimizer, tmp_path / "theirs"):
        for _ in range(8):
            optimizer.zero_grad()
            torch.nn.MSELoss()(model(x), torch.ones(32, 1, dtype=torch.float64)).backward()
            optimizer.step()
    v = 0 * w
    with Recorder(tmp_path / "mine") as run:
        for _ in range(8):
            p = x.numpy() @ w
            dw = 2 * x.numpy().T @ (p - 1) / 32
            v = 0.9 * v + 0.1 * dw
            w = w - 0.1 * v
            run.step(x=x.numpy(), p=p, dw=dw, w=w)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "w", "an average, v ← βv + (1 − β)g", "With a learning rate of 1 they are the same.")
    assert str(found).count("why:") == 1


@pytest.mark.parametrize("name", ["dW", "d_W", "gW", "gradW", "grad_dW", "nabla_W", "delW", "W_g", "W_grad"])
def test_what_people_call_a_gradient(name: str) -> None:
    assert "W" in gradient_of(name)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_number_may_be_an_array_of_one_element(shape: tuple[int, ...], tmp_path: Path) -> None:
    for folder, rate in (("theirs", 0.01), ("mine", 0.02)):
        x, w = np.arange(6.0).reshape(3, 2), np.zeros((2, 1))
        with Recorder(tmp_path / folder) as run:
            for _ in range(4):
                p = x @ w
                dw = x.T @ (p - 1)
                w = w - rate * dw
                own = {"extra": np.full(shape, ((p - 1) ** 2).sum()), "lr": np.full(shape, rate)}
                run.step(x=x, p=p, dw=dw, w=w, **(own if folder == "mine" else {}))
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "lr", "yours is 2 times theirs throughout")


def test_parameters_before_the_update(tmp_path: Path) -> None:
    """Recorded as the forward pass has them; z is not recorded, but what tanh makes of it."""
    for folder, beta in (("theirs", 0.9), ("mine", 0.8)):
        rng = np.random.default_rng(0)
        w, b, v, c = rng.standard_normal((4, 3)), np.zeros(3), 0.0, 0.0
        with Recorder(tmp_path / folder) as run:
            for _ in range(6):
                x, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
                a = np.tanh(x @ w + b)
                dz = 2 * (a - y) / y.size * (1 - a * a)
                dw, db = x.T @ dz, dz.sum(axis=0)
                run.step(x=x, y=y, w=w, b=b, a=a, loss=((a - y) ** 2).mean(), dw=dw, db=db)
                v, c = beta * v + (1 - beta) * dw, beta * c + (1 - beta) * db
                w, b = w - 0.1 * v, b - 0.1 * c
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(
        found,
        0,
        "w",
        "2 of 2 parameters do not go where",
        "a = Tanh of (Linear of x)",
        "beta = 0.8, theirs has 0.9",
    )


SAMPLE = (
    "linear",
    "relu",
    "tanh",
    "sigmoid",
    "dropout",
    "sgd",
    "adam",
    "clip_grad_value",
    "exponential",
)


@pytest.mark.parametrize("name", SAMPLE)
def test_mistakes_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As against PyTorch: what is named there is named here."""
    monkeypatch.setattr(tracing, "Inferred", functools.cache(Inferred))
    missed: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        for mistake in COMPONENTS[name].mistakes:
            for number, setting in enumerate(SETTINGS[name]):
                theirs = tmp_path / f"theirs{number}"
                if not theirs.exists():
                    record_mine(replace(setting, mine="", mine_options={}), theirs)
                with suppress(ValueError, ZeroDivisionError):
                    record_mine(setting, tmp_path / "mine", mistake.functions)
                with suppress(RecordingError):
                    found = trace(tmp_path / "mine", theirs)
                    names = [cause.name for fault in found.faults for cause in fault.causes]
                    if any(mistake.name in each for each in names):
                        break
            else:
                missed[mistake.name] = name
    assert missed.keys() <= {mistake for component, mistake in MISSED if component == name}, missed


@pytest.mark.parametrize("name", ["linear", "batch_norm", "dropout", "adam", "clip_grad_norm"])
def test_right_is_right(name: str, tmp_path: Path) -> None:
    setting: Setting = SETTINGS[name][0]
    for folder in ("mine", "theirs"):
        record_mine(setting, tmp_path / folder)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert not found.parted, str(found)
    assert found.worst == 0


def small_start(
    folder: Path,
    rule: str = "adam",
    bug: str = "",
    rate: float = 0.02,
    size: float = 1e-3,
    dtype: Any = float,
) -> None:
    """Biases from 0 and weights from near it, of which only what they are after each step is recorded."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((16, 3))
    x, y = x.astype(dtype), (x @ np.array([[1.0], [2.0], [-1.0]])).astype(dtype)
    w1, b1 = (size * rng.standard_normal((3, 5))).astype(dtype), np.zeros(5, dtype)
    w2, b2 = (size * rng.standard_normal((5, 1))).astype(dtype), np.zeros(1, dtype)
    m, v = [0.0] * 4, [0.0] * 4
    with Recorder(folder) as run:
        for t in range(1, 9):
            z = x @ w1 + b1
            h = np.tanh(z)
            o = h @ w2 + b2
            do = 2 * (o - y) / y.size
            dz = do @ w2.T * (1 - h * h)
            grads = {"dw1": x.T @ dz, "db1": dz.sum(axis=0), "dw2": h.T @ do, "db2": do.sum(axis=0)}
            if bug in grads:
                grads[bug] = 0 * grads[bug]
            moves = []
            for i, g in enumerate(grads.values()):
                m[i], v[i] = (0.8 if bug == "mu" else 0.9) * m[i] + g, 0.999 * v[i] + 0.001 * g * g
                adam = 0.1 * m[i] / (1 - 0.9**t) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
                ahead = 0.9 * m[i] + g if bug == "nesterov" else m[i]
                moves.append(rate * (ahead if rule == "momentum" else adam))
            w1, b1, w2, b2 = (p - move for p, move in zip((w1, b1, w2, b2), moves, strict=True))
            loss = ((o - y) ** 2).sum() / (1 if bug == "loss" else y.size)
            run.step(x=x, y=y, z=z, h=h, o=o, loss=loss, do=do, dz=dz, w1=w1, b1=b1, w2=w2, b2=b2, **grads)


@pytest.mark.parametrize("rule", ["adam", "momentum"])
@pytest.mark.parametrize("gradient", ["dw1", "db1", "dw2"])
def test_a_start_that_is_computed_back_accuses_nobody(tmp_path: Path, rule: str, gradient: str) -> None:
    """With a gradient of 0 the parameter stays where it was: 0, where θ₁ − Δθ₁ is some 1e-18."""
    small_start(tmp_path / "theirs", rule)
    small_start(tmp_path / "mine", rule, gradient)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, gradient, "yours is 0 throughout")


@pytest.mark.parametrize("rule", ["adam", "momentum"])
def test_tiny_steps_from_a_start_that_is_computed_back(tmp_path: Path, rule: str) -> None:
    small_start(tmp_path / "theirs", rule)
    small_start(tmp_path / "mine", rule, rate=2e-6)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "w1", "0.0001 times as long")


@pytest.mark.parametrize(
    ("bug", "step", "cause"),
    [
        ("mu", 1, "yours behaves like momentum = 0.8, theirs has 0.9"),
        ("nesterov", 0, "nesterov with momentum = 0.9"),
    ],
)
def test_momentum_as_a_sum(tmp_path: Path, bug: str, step: int, cause: str) -> None:
    """Its steps are those of the textbook's average at ten times the rate, as long as β is the same."""
    small_start(tmp_path / "theirs", "momentum")
    small_start(tmp_path / "mine", "momentum", bug)
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, step, "w1", cause)
    assert cause in found.faults[0].causes[0].text
    assert not any("weight decay" in each.text for each in found.faults[0].causes)  # there is none


def test_what_hardly_moves_is_not_taken_for_what_was_before(tmp_path: Path) -> None:
    """In float32, 2e-6 of a weight of 0.5 are some 40 rounding units: it has moved."""
    for folder, rate in (("theirs", 0.02), ("mine", 2e-6)):
        small_start(tmp_path / folder, rate=rate, size=0.5, dtype=np.float32)
    told(trace(tmp_path / "mine", tmp_path / "theirs"), 0, "w1", "0.0001 times as long", "w1 = w1.T")


def test_a_loss_is_one_number_in_any_shape(tmp_path: Path) -> None:
    """It is read as a table of one row: that is no other shape."""
    small_start(tmp_path / "theirs")
    small_start(tmp_path / "mine", bug="loss")
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    told(found, 0, "loss", "a sum over the batch", "step 0, loss: yours ", ", should be ")


@pytest.mark.parametrize(("last", "cause"), [(4, "the smaller last batch"), (8, "a factor of its own")])
def test_only_where_a_batch_is_smaller_it_is_divided_by_the_others(last: int, cause: str) -> None:
    sizes = {0: 8, 1: last}
    runs: Any = SimpleNamespace(
        sizes=lambda step: {"the batch": sizes[step], "all elements": 3 * sizes[step], "the outputs": 3}
    )
    assert cause in plain._factor(runs, {0: 1.00001, 1: last / 8})
