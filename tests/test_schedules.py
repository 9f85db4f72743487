"""What only a test can ask of the schedules: errors, which epoch gets which rate, and PyTorch's rounding."""

import inspect
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import given
from hypothesis import strategies as st
from laws import allowed, each_side, random_cases, run, seeded

import torch_ref.network
import torch_ref.training
from compare.cases.schedules import any_decay, any_gamma, any_interval
from compare.component import Case
from compare.draws import SharedDraws
from scratch import schedules as ours
from scratch.network import Network
from scratch.optimizers import SGD
from scratch.random import NumpyGenerator
from scratch.training import train
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
    "cosine_with_restarts": {"T_0": 2, "T_mult": 2},
    "one_cycle": {"total_steps": 5, "pct_start": 0.6, "div_factor": 4.0, "final_div_factor": 10.0},
}
FIRST_RATES = {  # of epochs 0 to 4, from a rate of 1
    "inverse_time": [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5],
    "fixed_interval": [1, 1, 1 / 2, 1 / 2, 1 / 3],
    "exponential": [1, 0.5, 0.25, 0.125, 0.0625],
    "inverse_sqrt": [1, 2**-0.5, 3**-0.5, 0.5, 5**-0.5],
    "staircase": [1, 1, 0.1, 0.1, 0.01],
    "milestones": [1, 1, 0.5, 0.25, 0.25],
    "cosine_with_warmup": [0.5, 1, 1, 0.5 + 0.125**0.5, 0.5],
    "cosine_with_restarts": [1, 0.5, 1, 0.5 + 0.125**0.5, 0.5],
    "one_cycle": [0.25, 0.625, 1, 0.5125, 0.025],
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


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"cosine_with_restarts"}))  # whose `step` is its own
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
@seeded
@given(case=random_cases("cosine_with_restarts"))
def test_every_cycle_is_the_first_one_stretched(side, case):
    """It begins at lr; every T_mult-th rate of the second cycle is one of the first."""
    length, times = case.options["T_0"], case.options["T_mult"]
    case = replace(case, options={**case.options, "epochs": length * (1 + times + times**2)})
    rates = run(side, "cosine_with_restarts", case)["learning_rate"]
    first, second, third = np.split(rates, [length, length * (1 + times)])
    for cycle, stretched in ((second, times), (third, times**2)):
        np.testing.assert_allclose(cycle[::stretched], first, rtol=1e-14, atol=1e-300)
    assert (first <= max(case.options["lr"], case.options["eta_min"]) * (1 + 1e-14)).all()


@each_side
@seeded
@given(case=random_cases("one_cycle"))
def test_a_cycle_goes_up_to_lr_and_down_to_the_last_rate_and_is_nowhere_above(side, case):
    lr, steps = case.options["lr"], case.options["total_steps"]
    factors = [case.options.get(f"{name}div_factor", d) for name, d in (("", 25.0), ("final_", 1e4))]
    case = replace(case, options={**case.options, "epochs": steps})
    rates, ends = run(side, "one_cycle", case)["learning_rate"], [lr / factors[0], lr / math.prod(factors)]
    off = 1e-14 * max(lr, *ends)
    assert (rates <= max(lr, *ends) + off).all()
    assert (rates >= min(lr, *ends) - off).all()
    peak = case.options.get("pct_start", 0.3) * steps - 1
    if peak > 0:
        assert abs(rates[0] - ends[0]) <= off
    if peak >= 0 and peak == int(peak):
        assert abs(rates[int(peak)] - lr) <= off
    back = 2 * peak if case.options.get("three_phase") else peak
    if back < steps - 1:
        assert abs(rates[-1] - ends[1]) <= off


def test_the_step_after_the_last_one_of_a_cycle_is_the_end_of_it():
    scheduler = ours.Scheduler(SGD([np.ones(2)], 1.0), partial(ours.one_cycle, total_steps=3))
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="epoch: expected at most total_steps = 3, got 4"):
        scheduler.step()


METRICS = st.lists(st.sampled_from([1.0, 0.5, 0.25, 0.75, np.nan, np.inf, -np.inf, -1.0]), max_size=30)


@seeded
@given(
    metrics=METRICS,
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    patience=st.integers(0, 3),
    cooldown=st.integers(0, 3),
)
def test_a_plateau_is_counted_as_pytorch_counts_it(metrics, **options):
    """Not the rates alone: what is kept of a state, and a scheduler that goes on from it."""
    optimizers = [SGD([np.ones(2)], 1.0) for _ in range(2)]
    scheduler, other = (ours.ReduceLROnPlateau(o, factor=0.5, **options) for o in optimizers)
    reference = theirs.ReduceLROnPlateau(optimizer(), factor=0.5, **options)
    for metric in metrics:
        reference.step(metric)
        scheduler.step(metric)
        other.load_state_dict(scheduler.state_dict())
        scheduler, other = other, scheduler
        scheduler.optimizer.lr = other.optimizer.lr
        assert scheduler.optimizer.lr == reference.optimizer.param_groups[0]["lr"]
        assert {name: getattr(reference, name) for name in scheduler.state_dict()} == scheduler.state_dict()


@seeded
@given(metrics=METRICS, threshold=st.floats(0, 1), patience=st.integers(0, 3), cooldown=st.integers(0, 3))
def test_a_cost_that_falls_is_an_accuracy_that_rises(metrics, threshold, patience, cooldown):
    rates = []
    for mode, sign in (("min", 1), ("max", -1)):
        sgd = SGD([np.ones(2)], 1.0)
        options = {"threshold": threshold, "threshold_mode": "abs", "cooldown": cooldown}
        scheduler = ours.ReduceLROnPlateau(sgd, mode, patience=patience, **options)
        rates.append([(scheduler.step(sign * metric), sgd.lr)[1] for metric in metrics])
    assert rates[0] == rates[1]


def test_a_plateau_of_equal_costs_is_left_after_patience_and_one_more():
    """Of the first epoch, which is the best so far, and patience + 1 that are no better."""
    sgd = SGD([np.ones(2)], 1.0)
    scheduler = ours.ReduceLROnPlateau(sgd, factor=0.5, patience=2, cooldown=1)
    rates = []
    for _ in range(10):
        scheduler.step(np.float32(1.0))
        rates.append(sgd.lr)
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_training_reduces_its_rate_on_the_same_plateaus_on_both_sides(mode):
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    held_out = rng.standard_normal((15, 5)), rng.integers(0, 3, 15)
    network = Network((5, 8, 3), NumpyGenerator(0), dtype=np.float64)
    other = torch_ref.network.Network((5, 8, 3), dtype=torch.float64)
    other.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in network.state_dict().items()})
    sgd, their_sgd = SGD(network.parameters(), 0.5), torch.optim.SGD(other.parameters(), 0.5)
    options = {"mode": mode, "patience": 1, "factor": 0.5, "cooldown": 1}
    recipe = {"epochs": 20, "batch_size": 8}
    history = train(
        network, sgd, x, targets, **recipe, generator=NumpyGenerator(1), validation=held_out,
        scheduler=ours.ReduceLROnPlateau(sgd, **options),
    )  # fmt: skip
    with SharedDraws(NumpyGenerator(1)):
        theirs_too = torch_ref.training.train(
            other, their_sgd, *map(torch.from_numpy, (x, targets)), **recipe,
            validation=tuple(map(torch.from_numpy, held_out)),
            scheduler=theirs.ReduceLROnPlateau(their_sgd, **options),
        )  # fmt: skip
    assert history.learning_rate == theirs_too.learning_rate
    assert len(set(history.learning_rate)) > 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mode": "lowest"}, ValueError, "mode: expected one of min, max, got lowest"),
        ({"min_lr": [0.1, 0.2]}, ValueError, "min_lr: expected 1, one for each group, got 2"),
        ({"min_lr": [-0.1]}, ValueError, "min_lr: expected a finite number >= 0, got -0.1"),
        ({"min_lr": []}, ValueError, "min_lr: expected 1, one for each group, got 0"),
        ({"min_lr": float("inf")}, ValueError, "min_lr: expected a finite number >= 0, got inf"),
        ({"min_lr": np.nan}, ValueError, "min_lr: expected a finite number >= 0, got nan"),
        ({"min_lr": ["0"]}, TypeError, "min_lr: expected a number, got str"),
        ({"patience": 1.5}, TypeError, "patience: expected an integer, got float"),
    ],
)
def test_a_plateau_that_is_described_wrongly_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        ours.ReduceLROnPlateau(SGD([np.ones(2)], 1.0), **options)


def test_a_plateau_is_described_as_in_pytorch_where_nothing_is_said():
    own, reference = (
        {name: p.default for name, p in inspect.signature(kind).parameters.items() if name != "optimizer"}
        for kind in (ours.ReduceLROnPlateau, torch.optim.lr_scheduler.ReduceLROnPlateau)
    )
    assert own == reference


def test_a_smallest_rate_may_be_a_scalar_of_numpy_and_each_is_looked_at():
    sgd = SGD([{"params": [np.ones(2)]}, {"params": [np.ones(2)]}], 1.0)
    scheduler = ours.ReduceLROnPlateau(sgd, factor=0.0, patience=0, min_lr=[np.array(0.5), np.float32(0.25)])
    assert [(rate, type(rate)) for rate in scheduler.min_lrs] == [(0.5, float), (0.25, float)]
    with pytest.raises(ValueError, match=r"^min_lr: expected a finite number >= 0, got -1$"):
        ours.ReduceLROnPlateau(sgd, min_lr=[0.1, -1])


def test_of_many_groups_each_has_its_smallest_rate():
    groups = [{"params": [np.ones(1)]} for _ in range(300)]
    smallest = [i / 300 for i in range(300)]
    sgd = SGD(groups, 1.0)
    scheduler = ours.ReduceLROnPlateau(sgd, factor=0.0, patience=0, min_lr=smallest)
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert [group["lr"] for group in sgd.param_groups] == smallest


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("eps", [0.0, 0.2, 0.25, 0.3])
def test_a_plateau_in_words_put_together_is_that_of_pytorch(mode, threshold_mode, eps):
    """Metrics that meet the bar and no more; rates that fall by as much as eps and no more."""
    words = {"mode": "".join(list(mode)), "threshold_mode": "".join(list(threshold_mode))}
    options = {"patience": 0, "threshold": 0.5, "factor": 0.5, "eps": eps}
    sgd = SGD([np.ones(2)], 1.0)
    scheduler = ours.ReduceLROnPlateau(sgd, **words, **options)
    reference = theirs.ReduceLROnPlateau(optimizer(), mode, threshold_mode=threshold_mode, **options)
    for metric in (2.0, 1.25, 2.75, 1.0, 3.0, 1.5, 0.5, 0.25, 2.0, 2.25, 4.0, 0.125, 0.125):
        scheduler.step(metric)
        reference.step(metric)
        assert sgd.lr == reference.optimizer.param_groups[0]["lr"]
    assert sgd.lr < 1


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("pct_start", [0.0, 0.3, 0.4, 0.5, 0.65, 0.8])
@pytest.mark.parametrize("anneal_strategy", ["cos", "linear"])
def test_a_cycle_whose_phases_end_anywhere_is_that_of_pytorch(three_phase, pct_start, anneal_strategy):
    """Before they begin, too: with three of them and more than half of the cycle on the way up."""
    options = {"total_steps": 5, "pct_start": pct_start, "three_phase": three_phase}
    sgd = optimizer()
    reference = torch.optim.lr_scheduler.OneCycleLR(
        sgd, 1.0, anneal_strategy=anneal_strategy, cycle_momentum=False, **options
    )
    words = {"anneal_strategy": "".join(list(anneal_strategy))}
    for epoch in range(6):  # the step after the last one is allowed
        given = sgd.param_groups[0]["lr"]
        assert ours.one_cycle(1.0, epoch, **options, **words) == pytest.approx(given, rel=1e-12), epoch
        if epoch < 5:
            sgd.step()
            reference.step()


def test_a_phase_of_no_length_is_over():
    """Where PyTorch divides by its length."""
    assert ours.one_cycle(1.0, 0, total_steps=5, pct_start=0.2) == 1
    assert ours.one_cycle(1.0, 5, total_steps=5, pct_start=1.0) == pytest.approx(1 / 25 / 1e4)
    sgd = optimizer()
    with pytest.raises(ZeroDivisionError):
        torch.optim.lr_scheduler.OneCycleLR(sgd, 1.0, total_steps=5, pct_start=0.2, cycle_momentum=False)


def test_a_metric_is_a_number():
    scheduler = ours.ReduceLROnPlateau(SGD([np.ones(2)], 1.0))
    with pytest.raises(TypeError, match="metrics: expected a number, got str"):
        scheduler.step("better")
    assert scheduler.last_epoch == 0


@each_side
@pytest.mark.parametrize("name", OPTIONS)
@seeded
@given(data=st.data())
def test_every_rate_is_proportional_to_the_first(side, name, data):
    case = data.draw(random_cases(name))
    rates = ("lr", "lr_min", "eta_min")
    doubled = {key: 2 * value if key in rates else value for key, value in case.options.items()}
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
