"""Softmax regression: its minimum, its pictures, and the sentence on its mistakes."""

from types import SimpleNamespace

import numpy as np
import pytest

from compare import environment
from compare.experiments import softmax_regression as experiment
from compare.experiments.experiment import Options
from compare.experiments.train import SIDES, train
from compare.training.data import digit_pictures
from scratch.standardization import Standardizer


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the workers of an experiment."""
    with environment.one_thread():
        yield


@pytest.fixture(scope="module")
def data():
    return experiment.DATA()


@pytest.fixture(scope="module")
def runs():
    """A first look, on each side"""
    tasks = experiment.tasks(Options(quick=True))
    return {task.side: train(task.recipe, task.side, task.data(), **task.options) for task in tasks}


@pytest.mark.parametrize("side", SIDES)
def test_from_zeros_it_learns_and_its_pictures_add_up_to_nothing(side, runs, data):
    assert runs[side].cost[0] == pytest.approx(np.log(10), abs=1e-14)
    assert runs[side].final[1] > 0.95 * len(data.x_test)
    assert np.abs(experiment.weights_of(runs[side]).sum(axis=0)).max() < 1e-13


def test_it_goes_where_another_solver_goes(runs, data):
    weight, bias = experiment.minimum(data)
    least = experiment.cost_of(weight, bias, data)
    run = runs["scratch"]
    state = run.snapshots[run.recipe.epochs]
    reached = experiment.cost_of(state["linear1.weight"], state["linear1.bias"], data)
    assert least < reached < run.cost[-1] < least + 1e-4
    rows = experiment._compare_minimum(runs, weight, least)
    assert [row.agrees for row in rows] == [False, False]  # a fifth of the training does not get there


def test_the_pictures_are_those_that_were_standardised(data):
    training, testing = digit_pictures()
    standardizer = Standardizer().fit(training)
    np.testing.assert_array_equal(standardizer.transform(training), data.x_train)
    np.testing.assert_array_equal(standardizer.transform(testing), data.x_test)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([8, 8, 8, 3], "None is taken for another."),
        ([1, 8, 8, 3], "No mistake is made twice."),
        ([1, 1, 8, 9], "Most often, 2 times, 8 is taken for 1."),
    ],
)
def test_the_sentence_on_mistakes_follows_the_answers(answers, said):
    run = SimpleNamespace(test_logits=np.eye(10)[answers])
    assert experiment.mistakes(run, SimpleNamespace(targets_test=np.array([8, 8, 8, 3]))) == said
