"""Causes beyond the catalogue, each put into a training run of PyTorch beside one without it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from compare.recording.torch_side import record
from compare.recording.trace import Trace, trace
from torch_ref.optimizers import NAdam

F = torch.nn.functional
STEPS, EPOCH = 9, 3
Optimizer = Callable[[Any], torch.optim.Optimizer]


def sgd(**options: Any) -> Optimizer:
    return partial(torch.optim.SGD, **{"lr": 0.1, **options})


def adam(**options: Any) -> Optimizer:
    return partial(torch.optim.Adam, lr=0.01, **options)


def rmsprop(**options: Any) -> Optimizer:
    return partial(torch.optim.RMSprop, lr=0.01, **options)


SGD, ADAM = sgd(), adam()


def run(
    folder: Path, optimizer: Optimizer = SGD, *, middle: Callable[[], torch.nn.Module] = torch.nn.Tanh,
    seed: int = 0, reduction: str = "mean", clear: bool = True, evaluate: bool = False,
    order: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
    before: Callable[[int, torch.nn.Module], None] = lambda step, model: None,
    dtype: torch.dtype = torch.double,
) -> None:  # fmt: skip
    """Train a small network on batches that differ from step to step."""
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(5, 7), middle(), torch.nn.Linear(7, 2)]
    model = torch.nn.Sequential(*layers).to(dtype)
    if evaluate:
        model.eval()
    chosen = optimizer(model.parameters())
    torch.manual_seed(100)
    batches = [(torch.randn(6, 5).to(dtype), torch.randn(6, 2).to(dtype)) for _ in range(STEPS)]
    with record(model, chosen, folder):
        for step, (x, y) in enumerate(batches):
            if clear:
                chosen.zero_grad()
            F.mse_loss(model(order(x)), order(y), reduction=reduction).backward()
            before(step, model)
            chosen.step()


def traced(tmp_path: Path, mine: dict[str, Any], theirs: dict[str, Any] | None = None) -> Trace:
    run(tmp_path / "mine", **mine)
    run(tmp_path / "theirs", **(theirs or {}))
    return trace(tmp_path / "mine", tmp_path / "theirs")


@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        (sgd(lr=0.01), SGD, "0.1 times as long: a learning rate of 0.01"),
        (adam(eps=1e-7), ADAM, "eps = 1e-07 (the default of Keras and TensorFlow)"),
        (adam(betas=(0.9, 0.99)), ADAM, "betas = (0.9, 0.99)"),
        (adam(betas=(0.999, 0.9)), ADAM, "betas swapped"),
        (sgd(momentum=0.8), sgd(momentum=0.9), "momentum = 0.8"),
        (sgd(momentum=0.9), SGD, "momentum with momentum = 0.9"),
        (SGD, sgd(momentum=0.9), "the steps of sgd"),
        (sgd(weight_decay=1e-3), SGD, "weight_decay = 0.001"),
        (sgd(weight_decay=2e-2), sgd(weight_decay=1e-2), "weight decay doubled"),
        (adam(weight_decay=0.01), partial(torch.optim.AdamW, lr=0.01), "weight decay in the gradient"),
        (rmsprop(alpha=0.9), rmsprop(), "alpha = 0.9"),
    ],
)
def test_hyperparameters(tmp_path: Path, mine: Optimizer, theirs: Optimizer, words: str) -> None:
    found = traced(tmp_path, {"optimizer": mine}, {"optimizer": theirs})
    assert len(found.faults) == 1, str(found)
    assert (found.faults[0].step, found.faults[0].tensor) in [(0, "0.weight"), (1, "0.weight")], str(found)
    assert words in str(found), str(found)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.AdamW, weight_decay=0),
        partial(NAdam, momentum_decay=0),
        partial(torch.optim.Adam, eps=0),
        partial(torch.optim.RMSprop, alpha=0),
        partial(torch.optim.Adam, betas=(0.0, 0.9)),
        partial(torch.optim.SGD, momentum=0.9, dampening=0, weight_decay=0),
    ],
)
def test_an_option_of_0_is_not_its_default(tmp_path: Path, optimizer: Optimizer) -> None:
    mine, theirs = (partial(optimizer, lr=lr) for lr in (0.005, 0.01))
    found = traced(tmp_path, {"optimizer": mine}, {"optimizer": theirs})
    assert "0.5 times as long: a learning rate of 0.005" in str(found)


@pytest.mark.parametrize("theirs", [sgd(), sgd(momentum=0.9), rmsprop()])
def test_who_moves_a_little_is_not_said_to_stand_still(tmp_path: Path, theirs: Optimizer) -> None:
    small = {"optimizer": sgd(lr=1e-6), "dtype": torch.float32}
    found = traced(tmp_path, small, {"optimizer": theirs, "dtype": torch.float32})
    assert found.faults[0].tensor == "0.weight", str(found)
    assert "lost in a new array" not in str(found)


def test_sum_for_mean(tmp_path: Path) -> None:
    found = traced(tmp_path, {"reduction": "sum"})
    assert "summed, not averaged" in str(found)
    assert [fault.tensor for fault in found.faults] == ["loss"]


def test_order_of_examples(tmp_path: Path) -> None:
    found = traced(tmp_path, {"order": lambda x: x.flip(0)})
    assert found.faults[0].tensor == "input"
    assert "the same examples in another order within the batch" in str(found)


def test_gradients_pile_up(tmp_path: Path) -> None:
    found = traced(tmp_path, {"clear": False})
    assert (found.faults[0].step, found.faults[0].tensor) == (1, "2.weight.grad"), str(found)
    assert "not set to zero" in str(found)
    assert len(found.faults) == 1, str(found)


def test_another_seed(tmp_path: Path) -> None:
    found = traced(tmp_path, {"seed": 1})
    assert found.faults[0].step == 0
    assert found.faults[0].tensor == "0.weight.before"
    assert "another seed" in str(found)


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (
            lambda w: torch.nn.init.kaiming_normal_(w),
            "Yours is 0.199, like √(2/fan_in), theirs is 0.143, like √(1/fan_in)",
        ),
        (lambda w: torch.nn.init.normal_(w, std=0.01), "the spread is 0.0695 times theirs"),
        (lambda w: torch.nn.init.uniform_(w, -0.2449, 0.2449), "yours looks uniform, theirs normal"),
        (lambda w: torch.nn.init.normal_(w, std=0.1414), "another seed"),
    ],
)
def test_another_initialisation(tmp_path: Path, mine: Any, words: str) -> None:
    """Of 1,500 weights the spread is known to some per cent, and this is said."""
    for folder, fill in (("theirs", lambda w: torch.nn.init.normal_(w, std=50**-0.5)), ("mine", mine)):
        torch.manual_seed(2)
        model = torch.nn.Linear(50, 30).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(3 if folder == "mine" else 4)
        fill(model.weight.data)
        x, y = torch.ones(4, 50).double(), torch.zeros(4, 30).double()
        with record(model, optimizer, tmp_path / folder):
            for _ in range(3):
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert (found.faults[0].step, found.faults[0].tensor) == (0, "weight.before"), str(found)
    assert words in str(found), str(found)


@pytest.mark.parametrize(
    ("mine", "tensors", "words"),
    [
        (0.01, [], "the same"),
        (0.0, ["loss"], "yours has none."),
        (0.02, ["loss"], "yours has 2 times as much: 0.02·Σw²"),
        ("no gradient", ["2.weight.grad"], "yours has none of it."),
    ],
)
def test_penalty_in_the_loss(tmp_path: Path, mine: Any, tensors: list[str], words: str) -> None:
    for folder, share in (("theirs", 0.01), ("mine", mine)):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2)).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with record(model, optimizer, tmp_path / folder):
            for _ in range(4):
                optimizer.zero_grad()
                x, y = torch.randn(6, 5).double(), torch.randn(6, 2).double()
                squares = torch.stack([(p**2).sum() for p in model.parameters() if p.dim() > 1]).sum()
                by_hand = share == "no gradient"
                penalty = 0.01 * squares.detach() if by_hand else share * squares
                (F.mse_loss(model(x), y) + penalty).backward()
                optimizer.step()
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert [fault.tensor for fault in found.faults] == tensors, str(found)
    assert words in str(found), str(found)


@pytest.mark.parametrize("mine", ["n − 1", "n"])
def test_standardised_otherwise(tmp_path: Path, mine: str) -> None:
    raw = 3 + 2 * torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).double()
    for folder, ddof in (("theirs", mine == "n"), ("mine", mine != "n")):
        x = (raw - raw.mean(dim=0)) / raw.std(dim=0, correction=int(ddof))
        torch.manual_seed(0)
        model = torch.nn.Linear(5, 2).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with record(model, optimizer, tmp_path / folder):
            for start in (0, 10):
                optimizer.zero_grad()
                F.mse_loss(model(x[start : start + 10]), torch.zeros(10, 2).double()).backward()
                optimizer.step()
    found = trace(tmp_path / "mine", tmp_path / "theirs")
    assert [(fault.step, fault.tensor) for fault in found.faults] == [(0, "input")], str(found)
    assert f"Your standard deviation divides by {mine}, theirs by" in str(found), str(found)
    assert "of 20 examples" in str(found), str(found)


def test_evaluation_mode(tmp_path: Path) -> None:
    mine = {"middle": partial(torch.nn.BatchNorm1d, 7), "evaluate": True}
    found = traced(tmp_path, mine, {"middle": partial(torch.nn.BatchNorm1d, 7)})
    assert (found.faults[0].step, found.faults[0].tensor) == (0, "1.output"), str(found)
    assert "in evaluation mode" in str(found), str(found)


def test_dropout_in_evaluation_mode(tmp_path: Path) -> None:
    mine = {"middle": partial(torch.nn.Dropout, 0.4), "evaluate": True}
    found = traced(tmp_path, mine, {"middle": partial(torch.nn.Dropout, 0.4)})
    assert found.faults[0].tensor == "1.output", str(found)
    assert "in evaluation mode" in str(found), str(found)


def test_dead_gradient(tmp_path: Path) -> None:
    def cut(step: int, model: torch.nn.Module) -> None:
        model.get_parameter("0.weight").grad.zero_()

    found = traced(tmp_path, {"before": cut})
    assert (found.faults[0].step, found.faults[0].tensor) == (0, "0.weight.grad"), str(found)
    assert "0 throughout" in str(found)


def test_decay_once_an_epoch(tmp_path: Path) -> None:
    def decay(step: int, model: torch.nn.Module) -> None:
        if step % EPOCH == EPOCH - 1:
            with torch.no_grad():
                for param in model.parameters():
                    param *= 1 - 0.1 * 1e-2

    found = traced(tmp_path, {"before": decay}, {"optimizer": sgd(weight_decay=1e-2)})
    assert found.faults[0].step == 0
    assert "in every 3rd step" in str(found), str(found)


def test_float32_in_the_middle(tmp_path: Path) -> None:
    class Narrow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x.float()).double()

    class Tanh(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x)

    found = traced(tmp_path, {"middle": Narrow}, {"middle": torch.nn.Tanh})
    assert (found.faults[0].step, found.faults[0].tensor) == (0, "1.output"), str(found)
    assert "cast to float32 on the way" in found.faults[0].causes[0].text, str(found)


def test_nan_from_some_step_on(tmp_path: Path) -> None:
    def spoil(step: int, model: torch.nn.Module) -> None:
        if step == 4:
            model.get_parameter("2.bias").grad[0] = torch.nan

    found = traced(tmp_path, {"before": spoil})
    assert (found.faults[0].step, found.faults[0].tensor) == (4, "2.bias.grad"), str(found)
    assert "NaN from step 4 on" in str(found), str(found)
    assert len(found.faults) == 1, str(found)


def test_two_faults(tmp_path: Path) -> None:
    found = traced(tmp_path, {"reduction": "sum", "optimizer": sgd(lr=0.01)})
    assert [fault.tensor for fault in found.faults] == ["loss", "0.weight"], str(found)
