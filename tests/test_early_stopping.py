"""What only a test can ask of early stopping: another way to say it, and what it does in `train`."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from laws import seeded

import scratch.early_stopping
import scratch.network
import scratch.optimizers
import scratch.training
import torch_ref.early_stopping
import torch_ref.network
import torch_ref.training
from compare.draws import SharedDraws
from scratch.random import NumpyGenerator

RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((40, 5)), RNG.integers(0, 3, 40)
HELD_OUT = RNG.standard_normal((15, 5)), RNG.integers(0, 3, 15)
OPTIONS = {"widths": (5, 8, 3), "batch_norm": True, "dropout": 0.2, "l2": 0.1, "activation": "tanh"}
SIDES = {"scratch": scratch, "torch": torch_ref}
each_side = pytest.mark.parametrize("side", SIDES)


class Run:
    """One side's network and optimizer, on the same weights and draws."""

    def __init__(self, side: str, **options) -> None:
        self.side, self.library = side, SIDES[side]
        self.generator = NumpyGenerator(0)
        ours = scratch.network.Network(generator=self.generator, dtype=np.float64, **{**OPTIONS, **options})
        self.network = ours
        self.optimizer = scratch.optimizers.SGD(ours.parameters(), 0.5)
        if side == "torch":
            self.network = torch_ref.network.Network(dtype=torch.float64, **{**OPTIONS, **options})
            self.network.load_state_dict(
                {n: torch.from_numpy(a.copy()) for n, a in ours.state_dict().items()}
            )
            self.optimizer = torch.optim.SGD(self.network.parameters(), 0.5)

    def data(self, x, targets):
        return (x, targets) if self.side == "scratch" else (torch.from_numpy(x), torch.from_numpy(targets))

    def train(self, epochs=12, validation=HELD_OUT, **more):
        if validation is not None:
            more["validation"] = self.data(*validation)
        data, recipe = self.data(X, TARGETS), {"epochs": epochs, "batch_size": 8}
        if self.side == "scratch":
            more = {"generator": self.generator, **more}
            return scratch.training.train(self.network, self.optimizer, *data, **recipe, **more)
        with SharedDraws(self.generator):
            return torch_ref.training.train(self.network, self.optimizer, *data, **recipe, **more)

    def stopping(self, **options):
        return self.library.early_stopping.EarlyStopping(**options)

    def state(self):
        return {n: np.array(np.asarray(a)) for n, a in self.network.state_dict().items()}

    def mean_loss(self):
        return self.library.training.mean_loss(self.network, *self.data(*HELD_OUT))


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def epoch_of_the_end(metrics, patience, min_delta):
    """By looking back from each epoch at all before it: nothing better in the last `patience` ones."""
    records = [0 if math.isinf(metrics[0]) else 1]
    best = [metrics[0]]
    for metric in metrics[1:]:
        records.append(int(metric < best[-1] - min_delta))
        best.append(metric if records[-1] else best[-1])
    for end in range(patience, len(metrics) + 1):
        if not any(records[end - patience : end]):
            return end
    return None


@seeded
@pytest.mark.parametrize("mode", ["min", "max"])
@given(
    metrics=st.lists(st.integers(-5, 5), min_size=1, max_size=15),
    patience=st.integers(1, 5),
    min_delta=st.integers(0, 3),
)
def test_it_stops_where_the_last_epochs_hold_no_improvement(mode, metrics, patience, min_delta):
    sign = 1 if mode == "min" else -1
    for side in SIDES:
        run = Run(side)
        stopping = run.stopping(patience=patience, min_delta=min_delta, mode=mode)
        stops = [stopping.step(float(sign * metric), run.network) for metric in metrics]
        assert (stops.index(True) + 1 if True in stops else None) == epoch_of_the_end(
            metrics, patience, min_delta
        )


@each_side
def test_training_stops_and_ends_with_the_best_weights(side):
    """Those of a run without early stopping, at the best epoch; statistics too, and in training mode."""
    watched, free = Run(side), Run(side)
    costs, states = [], []
    for _ in range(12):
        costs += free.train(1).validation_cost
        states.append(free.state())
    stopping = watched.stopping(patience=3)
    history = watched.train(12, early_stopping=stopping)
    best = int(np.argmin(costs[: len(history.validation_cost)]))
    assert history.validation_cost == costs[: best + 4]
    assert len(history.learning_rate) == len(history.validation_accuracy) == best + 4 < 12
    assert (history.stopped, history.best_epoch) == (True, best)
    assert watched.mean_loss() == min(history.validation_cost) == stopping.best
    assert watched.network.training
    same(watched.state(), states[best])
    assert watched.train(5, early_stopping=stopping).cost == []


def test_both_sides_stop_at_the_same_epoch_with_the_same_history():
    runs = [Run(side) for side in SIDES]
    ours, theirs = (run.train(early_stopping=run.stopping(patience=2, mode="max")) for run in runs)
    for name, values in vars(theirs).items():
        np.testing.assert_allclose(getattr(ours, name), values, rtol=1e-9, err_msg=name)


@each_side
def test_validation_leaves_no_trace(side):
    """Neither in the running statistics nor in what is drawn"""
    with_it, without = Run(side), Run(side)
    costs = [run.train(3, validation).cost for run, validation in ((with_it, HELD_OUT), (without, None))]
    assert costs[0] == costs[1]
    same(with_it.state(), without.state())


@each_side
def test_the_validation_cost_is_a_mean_loss_without_a_penalty(side):
    run = Run(side, l2=0.0)
    penalised = Run(side, l2=100.0)
    assert run.mean_loss() == penalised.mean_loss()
    logits = np.asarray(run.network.eval()(run.data(*HELD_OUT)[0]).tolist())
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -log_p[np.arange(15), HELD_OUT[1]].mean()
    assert run.mean_loss() == pytest.approx(expected, rel=1e-12)
    assert type(run.mean_loss()) is float


@each_side
def test_a_nan_stops_training_and_the_weights_before_it_come_back(side):
    run = Run(side)
    stopping = run.stopping(patience=5)
    run.train(2, early_stopping=stopping)
    good = run.state()
    broken = HELD_OUT[0].copy()
    broken[0, 0] = np.nan
    history = run.train(5, (broken, HELD_OUT[1]), early_stopping=stopping)
    assert len(history.validation_cost) == 1
    assert math.isnan(history.validation_cost[0])
    assert history.stopped
    if stopping.best_epoch == 1:
        same(run.state(), good)


class Plateau:
    """A scheduler that wants to know how well it goes; PyTorch's is one of `torch.optim.lr_scheduler`."""

    def __init__(self, optimizer, mode="min"):
        self.optimizer, self.mode, self.seen = optimizer, mode, []

    def step(self, metric):
        self.seen.append(metric)
        self.optimizer.lr /= 2


def test_a_scheduler_that_takes_a_metric_gets_that_of_the_validation_set():
    for mode, name in (("min", "validation_cost"), ("max", "validation_accuracy")):
        run, other = Run("scratch"), Run("torch")
        scheduler = Plateau(run.optimizer, mode)
        history = run.train(3, scheduler=scheduler)
        assert scheduler.seen == getattr(history, name)
        assert history.learning_rate == [0.5, 0.25, 0.125]
        reduce = torch.optim.lr_scheduler.ReduceLROnPlateau(other.optimizer, mode=mode, patience=0)
        history = other.train(6, scheduler=reduce)
        assert reduce.best == (min if mode == "min" else max)(getattr(history, name))
        assert len(set(history.learning_rate)) > 1
    with pytest.raises(ValueError, match="validation: expected examples and targets for scheduler, got None"):
        run.train(3, None, scheduler=Plateau(run.optimizer))


@each_side
@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "pickle"])
def test_a_run_that_pauses_goes_on_counting(side, way):
    whole, paused = Run(side), Run(side)
    watching = whole.stopping(patience=3, restore_best=False)
    whole.train(12, early_stopping=watching)
    stopping = paused.stopping(patience=3, restore_best=False)
    paused.train(watching.best_epoch + 2, early_stopping=stopping)
    if way == "state_dict":
        kept = stopping.state_dict()
        stopping = paused.stopping(patience=3, restore_best=False)
        stopping.load_state_dict(kept)
    else:
        stopping = (copy.deepcopy if way == "deepcopy" else lambda o: pickle.loads(pickle.dumps(o)))(stopping)
    history = paused.train(12, early_stopping=stopping)
    assert history.stopped
    assert history.best_epoch == watching.best_epoch
    same(paused.state(), whole.state())
    for run, stopped in ((whole, watching), (paused, stopping)):
        stopped.restore(run.network)
    same(paused.state(), whole.state())


def test_what_is_no_state_of_early_stopping_is_refused():
    stopping = scratch.early_stopping.EarlyStopping(2)
    with pytest.raises(
        ValueError, match="state: expected best, best_epoch, wait, epoch, stopped, best_weights"
    ):
        stopping.load_state_dict({"best": 1.0})
    with pytest.raises(ValueError, match=r"state: expected best, .*, got .*, mode"):
        stopping.load_state_dict({**stopping.state_dict(), "mode": "min"})
    with pytest.raises(TypeError, match="metric: expected a number, got str"):
        stopping.step("0.5", Run("scratch").network)
    with pytest.raises(TypeError, match="metric: expected a number, got str"):
        stopping.improves("0.5")


@each_side
@pytest.mark.parametrize(("mode", "better"), [("min", 0.0), ("max", 2.0)])
def test_who_goes_on_after_the_end_is_told_so_until_there_is_an_improvement(mode, better, side):
    run = Run(side)
    stopping = run.stopping(patience=300, mode="".join(list(mode)))  # which says the same in another string
    stops = [stopping.step(metric, run.network) for metric in [1.0] * 303 + [better]]
    assert stops == [False] * 300 + [True] * 3 + [False]


@each_side
def test_the_validation_cost_is_of_the_network_s_own_loss(side):
    smoothed = Run(side, loss_options={"label_smoothing": 0.3}, l2=0.0)
    logits = smoothed.network.eval()(smoothed.data(*HELD_OUT)[0])
    cost = smoothed.network.cost(logits, smoothed.data(*HELD_OUT)[1])
    assert smoothed.mean_loss() == float(cost.detach() if side == "torch" else cost)
    assert smoothed.mean_loss() != Run(side, l2=0.0).mean_loss()
