"""The experiments on optimizers, learning-rate decay and batch norm: short runs, figures published early."""

from dataclasses import replace

import numpy as np
import pytest

from compare import environment
from compare.experiments import batch_normalization, learning_rate_decay, optimizers
from compare.experiments.published import compare_costs
from compare.experiments.train import SIDES, train
from compare.training.data import circles, moons


@pytest.fixture(autouse=True)
def one_thread():
    """As in the experiments: networks this small only wait for further threads."""
    with environment.one_thread():
        yield


def both(recipe, data, epochs, **options):
    return {side: train(replace(recipe, epochs=epochs), side, data, **options) for side in SIDES}


def assert_agree(comparisons):
    assert comparisons
    assert not [row for row in comparisons if not row.agrees]


@pytest.mark.parametrize("key", optimizers.RECIPES)
def test_the_first_epoch_of_each_optimizer(key):
    assert_agree(compare_costs(both(optimizers.RECIPES[key], moons(), 3), shown=(0, 2)))


def test_adam_reaches_the_published_cost_of_epoch_1000():
    run = train(replace(optimizers.RECIPES["adam"], epochs=1001), "scratch", moons())
    rows = compare_costs({"scratch": run})
    assert [row.published for row in rows] == ["0.702166", "0.167845", "0.690552", "0.185567"]
    assert_agree(rows)


@pytest.mark.parametrize("key", optimizers.MISTAKES)
def test_wrong_figures_in_circulation_come_from_these_mistakes(key):
    corrected, recipe = optimizers.MISTAKES[key]

    def rule(*arrays, **hyperparameters):
        optimizers.wrong_adam_step(corrected, *arrays, **hyperparameters)

    assert_agree(compare_costs({"scratch": train(recipe, "scratch", moons(), rule=rule)}))


def test_pytorchs_form_of_momentum_takes_the_same_steps():
    textbook = train(replace(optimizers.RECIPES["momentum"], epochs=20), "scratch", moons())
    for run in both(optimizers.PYTORCHS_FORM, moons(), 20).values():
        np.testing.assert_allclose(run.cost, textbook.cost, rtol=1e-12)


def test_the_rate_of_an_epoch_is_that_of_the_one_before():
    for key, rates in (
        ("gd, inverse time", (0.1, 0.1, 0.1 / 2, 0.1 / 3)),
        ("gd, fixed interval", (0.1, 0.1, 0.1, 0.1)),
    ):
        for run in both(learning_rate_decay.RECIPES[key], moons(), 4).values():
            np.testing.assert_allclose(run.learning_rate, rates, rtol=1e-15)
    for run in both(learning_rate_decay.EARLY, moons(), 4).values():
        np.testing.assert_allclose(run.learning_rate, (0.1, 0.1 / 2, 0.1 / 3, 0.1 / 4), rtol=1e-15)


@pytest.mark.parametrize(("key", "cost"), [("gd, inverse time", 0.661884), ("early", 0.666696)])
def test_late_and_early_rates_end_elsewhere(key, cost):
    recipe = {**learning_rate_decay.RECIPES, "early": learning_rate_decay.EARLY}[key]
    run = train(replace(recipe, epochs=1001), "scratch", moons())
    assert run.cost[1000] == pytest.approx(cost, abs=5e-7)


def test_batch_norm_steps_alike_at_the_rate_where_rounding_grows():
    recipe = replace(batch_normalization.RECIPES[batch_normalization.AMPLIFYING], epochs=80)
    snapshots = tuple(t + i for t in range(0, 80, 2) for i in (0, 1))
    run = train(recipe, "torch", circles(), snapshot_at=snapshots)
    errors = batch_normalization.one_step_errors(run)
    assert len(errors) == 40
    assert max(errors.values()) < 1e-14
    assert run.cost[-1] < run.cost[0] / 5


def test_batch_norm_learns_sooner():
    costs = {
        batch_norm: train(replace(recipe, epochs=200), "scratch", circles()).cost[-1]
        for (rate, batch_norm), recipe in batch_normalization.RECIPES.items()
        if rate == 1
    }
    assert costs[True] < 0.1 < 0.5 < costs[False]


def test_pre_activations_are_those_of_the_network():
    recipe = replace(batch_normalization.RECIPES[0.1, True], epochs=3)
    run = train(recipe, "scratch", circles())
    z = batch_normalization.preactivations(run, 3)
    assert [name for name in z if name.startswith("batch_norm")] == [f"batch_norm{i}" for i in (1, 2, 3, 4)]
    state = run.snapshots[3]
    np.testing.assert_allclose(z["linear1"], circles().x_train @ state["linear1.weight"].T, rtol=1e-13)
    gamma, beta = state["batch_norm2.weight"], state["batch_norm2.bias"]
    np.testing.assert_allclose(z["batch_norm2"].mean(axis=0), beta, atol=1e-12)
    np.testing.assert_allclose(z["batch_norm2"].std(axis=0), gamma, rtol=1e-2)
