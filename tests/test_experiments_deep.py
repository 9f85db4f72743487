"""Vanishing gradients: what its page says is what its networks do."""

import math
from dataclasses import replace

import numpy as np
import pytest

from compare import environment
from compare.experiments import vanishing_gradients as experiment
from compare.experiments.experiment import Options
from compare.experiments.train import SIDES, train
from compare.training.data import circles


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the workers of an experiment."""
    with environment.one_thread():
        yield


@pytest.fixture(scope="module")
def looks():
    """(activation, start) → thirty layers, on scratch's side."""
    return {
        (activation, start): experiment.look_on_scratch(experiment.recipe(activation, start, 30))
        for activation in experiment.ACTIVATIONS
        for start in experiment.STARTS
    }


@pytest.mark.parametrize("side", SIDES)
def test_the_gradient_of_an_activation_is_that_of_the_cost(side):
    recipe = experiment.recipe("tanh", "1", 5)
    looked = experiment.LOOKS[side](recipe)
    data, network = circles(), experiment.build(recipe, "scratch")
    network.load(recipe.weights())
    after = list(network.network.layers.values())[6:]  # what follows the third activation

    def cost(activation):
        for layer in after:
            activation = layer.forward(activation)
        return network.network.cost(activation, data.targets_train)

    step = np.zeros_like(looked.activations[2])
    step[7, 4] = 1e-6
    numerical = (cost(looked.activations[2] + step) - cost(looked.activations[2] - step)) / 2e-6
    assert looked.gradients[2][7, 4] == pytest.approx(numerical, rel=1e-6)


def test_the_three_fates_are_what_the_text_explains(looks):
    left = {key: layers.left for key, layers in looks.items()}
    for activation, kept in (("tanh", "1/√fan_in"), ("relu", "√(2/fan_in)")):
        assert 0.1 < left[activation, kept] < 1
        assert left[activation, "0.01"] < experiment.GONE < 1 / experiment.GONE < left[activation, "1"]
    assert all(left["sigmoid", start] < experiment.GONE for start in experiment.SCALES)
    assert left["relu", "1/√fan_in"] == pytest.approx(
        left["relu", "√(2/fan_in)"] / math.sqrt(2) ** 29, rel=0.05
    )
    for activation in experiment.ACTIVATIONS:
        assert 1 < left[activation, "0.01 and batch norm"] < 1 / experiment.GONE
    examples = looks["sigmoid", "1/√fan_in"].activations[-1]
    assert 0.3 < examples.mean() < 0.7
    assert np.ptp(examples, axis=0).max() < 1e-12  # all examples look alike


def test_the_sentence_on_fates_follows_the_figures():
    said = experiment.passing({("tanh", "1"): 0.5, ("relu", "1"): 1e5})
    assert said == (
        "It explodes, to more than 10000 times its size, in ReLU from 1 (1e+05)."
        " It comes through in tanh from 1 (0.5)."
    )
    assert "vanishes" in experiment.passing({("tanh", "1"): 1e-5, ("relu", "1"): 1.0})


def test_the_sentence_on_learning_follows_the_figures():
    assert experiment.learning({"a": [0.7, 0.1, 0.4], "b": [0.7, 0.6], "c": [0.7, 0.6931]}) == (
        "The cost has come to less than half of that of guessing, ln 2, in a; is on its way in b; has never"
        " been below that of guessing in c."
    )
    assert experiment.learning({"a": [0.7, 0.1]}).endswith("ln 2, in a.")


def test_the_sentence_on_clipping_follows_the_figures():
    clipped = [9.0, 4.0, 0.5], [30.0, 20.0, 10.0]
    said = experiment.clipping(([9.0, 70.0, math.inf], [30.0, 99.0, math.nan]), clipped)
    assert "from 9 to 70, and it is no number after 2 steps." in said
    assert said.endswith("from 9 to 0.5 in 3 steps.")
    assert "and it is 3 in the end" in experiment.clipping(([9.0, 70.0, 3.0], [30.0, 99.0, 9.0]), clipped)


@pytest.mark.parametrize("side", SIDES)
def test_clipping_rescues_a_step_that_explodes(side):
    plain, _ = experiment.descend(side, math.inf, 20)
    clipped, norms = experiment.descend(side, experiment.MAX_NORM, 100)
    assert plain[1] > 4 * plain[0]
    assert not math.isfinite(plain[-1])
    assert clipped[-1] < clipped[0] / 20
    assert norms[0] > 100 * experiment.MAX_NORM


def test_a_first_look_says_what_the_whole_says():
    """The stuck are the same, and nobody is said to have learnt who has not in the end."""
    quick = Options(quick=True)
    stuck = {"tanh from 0.01", "sigmoid from 1/√fan_in", "ReLU from 0.01"}
    runs = {task.recipe.name: task for task in experiment.tasks(quick) if task.side == "scratch"}
    costs = {name: train(task.recipe, "scratch", task.data()).cost for name, task in runs.items()}
    assert {name for name, cost in costs.items() if experiment.is_stuck(cost)} == stuck
    whole = replace(runs["ReLU from √(2/fan_in)"].recipe, epochs=experiment.BASE.epochs)
    assert min(train(whole, "scratch", circles()).cost) < math.log(2) / 2
    assert "ReLU from 0.01 and batch norm;" in experiment.learning(costs)
