"""What only a test can ask of the schedules: errors, which epoch gets which rate, and PyTorch's rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import given
from hypothesis import strategies as st
from laws import allowed, each_side, random_cases, run, seeded

from compare.cases.schedules import any_decay, any_gamma, any_interval
from compare.component import Case
from scratch import schedules as ours
from scratch.optimizers import SGD
from torch_ref import schedules as theirs

COSINE = {"warmup_epochs": 2, "total_epochs": 6}
OPTIONS = {
    "inverse_time": {"decay_rate": 1.0},
    "fixed_interval": {"decay_rate": 1.0, "interval": 2},
    "exponential": {"gamma": 0.5},
    "inverse_sqrt": {"k": 1.0},
    "staircase": {"step_size": 2, "gamma": 0.1},
    "milestones": {"milestones": (2, 3), "gamma": 0.5},
    "cosine_with_warmup": COSINE,
}
FIRST_RATES = {  # of epochs 0 to 4, from a rate of 1
    "inverse_time": [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5],
    "fixed_interval": [1, 1, 1 / 2, 1 / 2, 1 / 3],
    "exponential": [1, 0.5, 0.25, 0.125, 0.0625],
    "inverse_sqrt": [1, 2**-0.5, 3**-0.5, 0.5, 5**-0.5],
    "staircase": [1, 1, 0.1, 0.1, 0.01],
    "milestones": [1, 1, 0.5, 0.25, 0.25],
    "cosine_with_warmup": [0.5, 1, 1, 0.5 + 0.125**0.5, 0.5],
}


def optimizer(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_epoch_is_an_integer_from_0(name):
    with pytest.raises(ValueError, match="epoch: expected an integer >= 0, got -1"):
        getattr(ours, name)(0.1, -1, **OPTIONS[name])
    with pytest.raises(TypeError, match="epoch: expected an integer, got float"):
        getattr(ours, name)(0.1, 1.0, **OPTIONS[name])


@pytest.mark.parametrize(
    ("milestones", "error", "message"),
    [
        ((2, 3.0), TypeError, "expected an integer, got float"),
        ((2, -1), ValueError, "expected an integer >= 0, got -1"),
        ((2, 3, 3), ValueError, r"expected epochs in increasing order, got \[2, 3, 3\]"),
    ],
)
def test_every_milestone_is_looked_at(milestones, error, message):
    with pytest.raises(error, match=f"milestones: {message}"):
        ours.milestones(0.1, 0, milestones=milestones, gamma=0.5)


def test_a_scheduler_changes_the_rate_of_every_group():
    groups = [{"params": [np.ones(2)]}, {"params": [np.ones(2)], "lr": 0.5}]
    optimizer = SGD(groups, 1.0)
    ours.Scheduler(optimizer, lambda lr, epoch: ours.exponential(lr, epoch, gamma=0.5)).step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]


@pytest.mark.parametrize("name", OPTIONS)
def test_which_epoch_gets_which_rate(name):
    rates = [getattr(ours, name)(1.0, epoch, **OPTIONS[name]) for epoch in range(5)]
    assert rates == pytest.approx(FIRST_RATES[name], rel=1e-15)
    assert all(type(rate) is float for rate in rates)


@pytest.mark.parametrize("name", OPTIONS)
def test_pytorch_still_warns_of_a_step_before_the_optimizers(name):
    scheduler = getattr(theirs, name)(optimizer(), **OPTIONS[name])
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()


def test_every_parameter_group_keeps_its_own_rate():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.01)]
    sgd = torch.optim.SGD(groups, 1.0)
    scheduler = theirs.cosine_with_warmup(sgd, **COSINE)
    for _ in range(3):
        sgd.step()
        scheduler.step()
    expected = [ours.cosine_with_warmup(lr, 3, **COSINE) for lr in (0.1, 0.01)]
    assert [group["lr"] for group in sgd.param_groups] == pytest.approx(expected, rel=1e-14)


def test_numpy_integers_are_epochs_too():
    assert ours.staircase(1.0, np.int64(4), step_size=np.int64(2), gamma=0.5) == 0.25


def rates_of(side: str, name: str, **options) -> np.ndarray:
    """The rates of so many epochs, by one side."""
    return run(side, name, Case("law", {}, {"lr": 1.0, "epochs": 40, **options}))["learning_rate"]


FALLING = ("inverse_time", "fixed_interval", "inverse_sqrt", "exponential", "staircase", "milestones")


@each_side
@pytest.mark.parametrize("name", FALLING)
@seeded
@given(data=st.data())
def test_a_decay_never_rises_and_stays_between_0_and_the_first_rate(side, name, data):
    """With γ > 1 it is growth instead, and never falls; a few rounding units aside, for γⁿ is not exact"""
    case = data.draw(random_cases(name))
    rates, gamma = run(side, name, case)["learning_rate"], case.options.get("gamma", 1)
    ratios = 1 + 4 * np.finfo(np.float64).eps
    first = case.options["lr"] * case.options.get("k", 1)
    if gamma > 1:
        assert (rates[1:] * ratios >= rates[:-1]).all()
        assert (rates * ratios >= first).all()
    else:
        assert (rates[1:] <= rates[:-1] * ratios).all()
        assert (rates <= first * ratios).all()
        assert (rates >= 0).all()


@each_side
@seeded
@given(case=random_cases("cosine_with_warmup"))
def test_the_warm_up_rises_to_the_peak_and_the_cosine_falls_from_it_as_it_arrives(side, case):
    """Up by equal steps, to lr exactly; then between both ends, and alike from either: a + b = lr + lr_min"""
    lr, low, warmup, total = (
        case.options.get(k, 0) for k in ("lr", "lr_min", "warmup_epochs", "total_epochs")
    )
    case = replace(case, options={**case.options, "epochs": total + 1})
    rates = run(side, "cosine_with_warmup", case)["learning_rate"]
    rising, falling = rates[:warmup], rates[warmup:]
    np.testing.assert_allclose(rising, lr * np.arange(1, warmup + 1) / max(warmup, 1), rtol=1e-15)
    if warmup:
        assert rising[-1] == lr
    off = allowed("cosine_with_warmup", case, "learning_rate")
    assert abs(falling[0] - lr) <= off
    assert abs(falling[-1] - low) <= off
    assert (falling <= max(lr, low) + off).all()
    assert (falling >= min(lr, low) - off).all()
    assert (np.abs(falling + falling[::-1] - lr - low) <= 2 * off).all()
    assert (np.diff(falling) * np.sign(low - lr) >= -2 * off).all()


@each_side
@pytest.mark.parametrize("name", OPTIONS)
@seeded
@given(data=st.data())
def test_every_rate_is_proportional_to_the_first(side, name, data):
    case = data.draw(random_cases(name))
    doubled = {key: 2 * value if key in ("lr", "lr_min") else value for key, value in case.options.items()}
    rates, twice = (run(side, name, c)["learning_rate"] for c in (case, replace(case, options=doubled)))
    np.testing.assert_array_equal(twice[rates > 1e-300], 2 * rates[rates > 1e-300])


@each_side
@seeded
@given(gamma=made(any_gamma), decay_rate=made(any_decay), k=st.floats(0.1, 10), interval=made(any_interval))
def test_each_schedule_in_steps_is_a_smooth_one_that_waits(side, gamma, decay_rate, k, interval):
    """And 1/√t is half as large at 4t"""

    def rates(name, **options):
        return rates_of(side, name, **options)

    same = np.testing.assert_array_equal
    smooth, powers = rates("inverse_time", decay_rate=decay_rate), rates("exponential", gamma=gamma)
    same(rates("fixed_interval", decay_rate=decay_rate, interval=1), smooth)
    same(rates("fixed_interval", decay_rate=decay_rate, interval=interval), smooth.repeat(interval)[:40])
    same(rates("staircase", gamma=gamma, step_size=interval), powers.repeat(interval)[:40])
    multiples = tuple(range(interval, 40, interval))
    same(rates("milestones", gamma=gamma, milestones=multiples), powers.repeat(interval)[:40])
    roots = rates("inverse_sqrt", k=k)
    same(roots[3::4], roots[:10] / 2)
