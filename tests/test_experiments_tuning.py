"""What is chosen rather than learnt: what the pages on it say is what their runs do."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from compare import environment
from compare.experiments import early_stopping, mini_batches, random_search, weighted_averages
from compare.experiments.experiment import Options
from compare.experiments.train import SIDES, build, train
from compare.training.data import noisy_classes


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the workers of an experiment."""
    with environment.one_thread():
        yield


def first_looks(experiment):
    """Scratch's runs of a first look, by key"""
    tasks = experiment.tasks(Options(("scratch",), quick=True))
    return {task.key: train(task.recipe, "scratch", task.data(), **task.options) for task in tasks}


@pytest.fixture(scope="module")
def batches():
    return first_looks(mini_batches)


@pytest.mark.parametrize("side", SIDES)
def test_the_gradient_of_a_batch_is_that_of_the_step(side):
    recipe, data = mini_batches.RECIPES["16"], mini_batches.DATA()
    x, targets = data.x_train[:16], data.targets_train[:16]
    trainer = build(recipe, side)
    trainer.load(recipe.weights())
    gradient = mini_batches.gradient_of(trainer, x, targets)
    before = trainer.weights()
    trainer.step(trainer.array(x), trainer.array(targets))
    after = trainer.weights()
    step = np.concatenate([(before[name] - after[name]).ravel() for name in before])
    np.testing.assert_allclose(recipe.lr * gradient, step, rtol=1e-10, atol=1e-15)


def test_the_noise_falls_as_drawing_without_replacement_says(batches):
    of_one = mini_batches.noise(batches["1"], 1)
    for size in (16, 64):
        measured = mini_batches.noise(batches["1"], size)
        assert measured == pytest.approx(mini_batches.expected_noise(of_one, size), rel=0.1)
    assert mini_batches.noise(batches["1"], mini_batches.EXAMPLES) < 1e-12


def test_small_batches_lead_at_first_and_all_at_once_is_last_also_in_a_first_look(batches):
    costs = {key: run.cost for key, run in batches.items()}
    assert min(costs, key=lambda key: costs[key][0]) == "1"
    assert max(costs, key=lambda key: costs[key][-1]) == str(mini_batches.EXAMPLES)
    steps = [mini_batches.steps_of_epoch(run.recipe) for run in batches.values()]
    assert steps == [1024, 64, 16, 4, 1, 1]


def test_the_sentences_on_batches_follow_the_figures():
    def run(name, *cost, seconds=1.0):
        return SimpleNamespace(recipe=SimpleNamespace(name=name), cost=cost, seconds=seconds)

    runs = {"1": run("a", 0.3, 0.2, seconds=9.0), "64": run("b", 0.4, 0.1), "3": run("c", 0.5, 0.3)}
    assert mini_batches.ranking(runs) == (
        "In the first epoch the cost is lowest for a (0.300), then b (0.400); last c (0.500)."
        " In the last one it is lowest for b (0.100), then a (0.200); last c (0.300)."
    )
    runs["1"].cost = (0.3, 0.05)
    assert "it is still lowest for a (0.050)" in mini_batches.ranking(runs)
    assert mini_batches.seconds(runs) == "in batches of 1, 9 times as long as in batches of 64"


def test_a_grid_tries_four_values_of_each_and_a_draw_sixteen():
    for points, values in ((random_search.grid_points(), 4), (random_search.random_points(0), 16)):
        assert len(points) == 16
        rates, betas = zip(*points, strict=True)
        assert len({round(lr, 9) for lr in rates}) == len({round(beta, 9) for beta in betas}) == values
        assert random_search.LR[0] * 0.999 <= min(rates) <= max(rates) <= random_search.LR[1] * 1.001
        assert min(betas) >= random_search.BETA[0]
        assert max(betas) <= random_search.BETA[1] + 1e-12


def test_even_in_the_logarithm_is_as_many_in_each_decade():
    draws = random_search.log_draws(*random_search.LR)
    counts, _ = np.histogram(draws, np.geomspace(*random_search.LR, 5))
    assert abs(counts - len(draws) / 4).max() < 50
    assert random_search.share_below(random_search.linear_draws(*random_search.LR), 1) < 0.12


def test_a_draw_finds_more_than_the_grid_also_in_a_first_look():
    right = {}
    for key, run in first_looks(random_search).items():
        right.setdefault(key.rpartition(" ")[0], []).append(run.final[1])
    assert [len(counts) for counts in right.values()] == [16] * 3
    assert random_search.outcome(right).endswith("of 2 draws twice more than the grid, never less.")


def test_the_sentence_on_the_searches_follows_the_figures():
    assert random_search.outcome({"grid": [300, 540], "a": [540, 9], "b": [480, 9], "c": [9, 570]}) == (
        "The best point of the grid is right about 90.0% of the development set, the best of a random draw"
        " about 80.0% to 95.0%: of 3 draws once more than the grid, once less."
    )
    assert "about 80.0%: of 1 draws never more than" in random_search.outcome({"grid": [540], "a": [480]})


@pytest.mark.parametrize(
    ("costs", "best", "stop"),
    [
        ([9, 8, 7, 8, 8, 8, 8, 8, 1], 2, 7),  # what comes later is never seen
        ([9, 8, 7, 8, 8, 8, 8, 6, 7, 7], 7, 9),
        ([9, 8, 7], 2, 2),
        ([7, 7, 7, 7, 7, 7, 7], 0, 5),  # as low is not lower
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_it_stops_when_patience_ends(side, costs, best, stop):
    assert early_stopping.stops(side, costs) == (best, stop)


@pytest.fixture(scope="module")
def courses():
    runs = first_looks(early_stopping)
    return {float(key): early_stopping.course(run, noisy_classes()) for key, run in runs.items()}


def test_stopping_comes_out_as_the_text_explains_also_in_a_first_look(courses):
    plain = courses[0.0]
    assert plain.epochs[plain.stop] < plain.epochs[-1]
    assert plain.dev[plain.best] < plain.dev[-1]
    assert plain.train[plain.best] > plain.train[-1]
    norms = [course.norm[-1] for course in courses.values()]
    assert norms == sorted(norms, reverse=True)
    assert plain.norm[plain.best] < plain.norm[-1]
    best = min(courses, key=lambda l2: courses[l2].dev[-1])
    assert 0 < best < max(courses)


def test_the_sentences_on_stopping_follow_the_figures(courses):
    plain = courses[0.0]
    said = early_stopping.stopping(plain)
    assert f"after {plain.epochs[plain.best]} iterations" in said
    assert f"after {plain.epochs[plain.stop]}, training stops" in said
    falling = replace(plain, dev=sorted(plain.dev, reverse=True))
    assert early_stopping.stopping(falling).endswith("patience did not come to its end.")
    assert "as many answers right." in early_stopping.stopping(replace(plain, right=[9] * len(plain.right)))
    assert "less than early stopping" in early_stopping.penalties(courses)
    worse = {l2: replace(of, dev=[*of.dev[:-1], 9.0 + l2]) for l2, of in courses.items()}
    assert early_stopping.penalties(worse).startswith("Trained to the end, λ = 0 has")
    assert "9.000: no less than early stopping" in early_stopping.penalties(worse)
    assert f"{plain.train[plain.best]:.3f} where it stopped" in early_stopping.coupling(plain)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("beta", weighted_averages.BETAS)
def test_an_average_is_the_weighted_sum_that_the_text_says(side, beta):
    days = weighted_averages.season() + weighted_averages.weather()
    found = weighted_averages.smooth(side, beta)
    for t in (1, 2, 40, 365):
        weights = (1 - beta) * beta ** np.arange(t)  # by age
        assert found.plain[t - 1] == pytest.approx(weights @ days[:t][::-1], rel=1e-11)
        assert found.corrected[t - 1] == pytest.approx(found.plain[t - 1] / (1 - beta**t), rel=1e-12)
    assert found.noise == pytest.approx(weighted_averages.noise_left(beta), rel=0.25)
    assert found.late <= beta / (1 - beta)
    assert beta**found.window == pytest.approx(np.exp(-1), rel=0.35)


def test_a_large_beta_is_calm_and_late():
    found = [weighted_averages.smooth("scratch", beta) for beta in weighted_averages.BETAS]
    assert [of.late for of in found] == sorted({of.late for of in found})
    assert [of.noise for of in found] == sorted({of.noise for of in found}, reverse=True)


def test_the_sentences_on_averages_follow_the_figures():
    found = {beta: weighted_averages.smooth("scratch", beta) for beta in (0.5, 0.9)}
    said = weighted_averages.following(found)
    assert said.startswith(
        "β = 0.5 averages over some 2 days, is 1 day late and leaves 55% of the weather; β = 0.9"
    )
    assert said.endswith("Nearest to the season is β = 0.9.")
    exact = replace(found[0.5], corrected=weighted_averages.season())
    said = weighted_averages.following({**found, 0.5: exact})
    assert "is 0 days late" in said
    assert said.endswith("Nearest to the season is β = 0.5.")
    assert "is 10.0 without the correction and 20.0 with it" in weighted_averages.start(
        replace(found[0.5], plain=np.full(10, 10.0), corrected=np.full(10, 20.0)), 20.0
    )
