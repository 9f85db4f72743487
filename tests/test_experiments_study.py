"""A first look at every experiment; what the pages of the first three claim."""

import inspect
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from threadpoolctl import threadpool_limits

from compare.experiments import (
    bias_variance,
    drawn,
    from_scratch,
    input_normalization,
    optimizers,
    registry,
    run,
)
from compare.experiments.diagnosis import BIAS, VARIANCE, diagnose
from compare.experiments.experiment import Options
from compare.experiments.figures import drawing
from compare.experiments.page import Comparison, Section
from compare.experiments.train import SIDES, train
from compare.experiments.two_weights import PATHS, TwoWeights
from compare.training.data import checkerboard, circles
from scratch.standardization import Standardizer


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """As in the workers of an experiment."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize(
    ("train_error", "dev_error", "base_error", "name"),
    [
        (0.01, 0.11, 0, "high variance"),
        (0.15, 0.16, 0, "high bias"),
        (0.15, 0.30, 0, "high bias and high variance"),
        (0.005, 0.01, 0, "neither"),
        (0.15, 0.16, 0.15, "neither"),
        (0.15, 0.20, 0.10, "neither"),  # a gap of the margin is not yet high, though 0.2 − 0.15 rounds up
    ],
)
def test_the_lectures_examples_are_diagnosed_as_in_the_lecture(train_error, dev_error, base_error, name):
    assert diagnose(train_error, dev_error, base_error).name == name


def test_bias_is_dealt_with_first_and_nothing_is_tried_twice():
    both = diagnose(0.15, 0.30)
    assert both.next_steps == (*BIAS, *VARIANCE[:2])
    assert str(both).startswith("high bias and high variance: try a bigger network, then training for longer")
    assert diagnose(0.01, 0.11).next_steps == VARIANCE
    assert str(diagnose(0.0, 0.01)) == "neither: done"


@pytest.mark.parametrize("errors", [(-0.1, 0), (0, 1.1), (0, 0, 15), (float("nan"), 0), (0, 0, 0, -1)])
def test_an_error_in_percent_or_below_zero_is_refused(errors):
    with pytest.raises(ValueError, match="expected a share from 0 to 1"):
        diagnose(*errors)


def test_the_checkerboard_has_its_base_error_and_one_development_set():
    small, large = checkerboard(200), checkerboard(2000)
    np.testing.assert_array_equal(small.x_test, large.x_test)
    np.testing.assert_array_equal(small.x_train, large.x_train[:200])
    board = np.cos(1.5 * np.pi * large.x_train).prod(axis=1) > 0
    wrong = np.mean(board != (large.targets_train[:, 0] == 1))
    assert abs(wrong - bias_variance.BASE_ERROR) < 0.01


# Their networks have other troubles than bias and variance, are too many, or are none.
WITHOUT_DIAGNOSES = ("vanishing_gradients", "random_search", "weighted_averages")


@pytest.mark.parametrize("name", registry.NAMES)
@pytest.mark.parametrize("sides", [SIDES, ("scratch",), ("torch",)], ids="-".join)
def test_a_first_look_agrees_and_is_drawn_on_whatever_sides_there_are(
    name, sides, runs, tmp_path, monkeypatch
):
    if name not in ("from_scratch", "bias_variance", "input_normalization"):
        monkeypatch.setattr(Options, "shortened", lambda self, recipe, by=20: replace(recipe, epochs=5))
        monkeypatch.setattr(optimizers, "ADAM", replace(optimizers.ADAM, epochs=20))
    experiment, options = registry.experiment(name), Options(sides, quick=True)
    section = experiment.report(
        options, {(task.key, task.side): runs(task) for task in experiment.tasks(options)}
    )
    assert section.name == name
    assert section.agrees
    assert all(tuple(comparison.values) == sides for comparison in section.comparisons)
    assert bool(section.diagnoses) == (name not in WITHOUT_DIAGNOSES)
    if sides == SIDES:
        (tmp_path / "index.html").touch()  # of a site that is there
        page = run.write_pages([section], options, tmp_path)
        text = page.read_text(encoding="utf-8")
        assert page == tmp_path / "experiments" / f"{name}.html"
        assert section.title in text
        assert len(text.encode()) < 1_500_000
        assert text.count('<svg role="img"') == len(section.figures)
        assert all((page.parent / f"{figure.name}.png").stat().st_size > 5000 for figure in section.figures)


@pytest.fixture(scope="module")
def runs():
    kept = {}

    def run(task):
        key = task.key, task.side, task.recipe.name
        if key not in kept:
            kept[key] = train(task.recipe, task.side, task.data(), **task.options)
        return kept[key]

    return run


@pytest.mark.parametrize(
    "step", [from_scratch.step_on_scratch, from_scratch.step_on_torch], ids=lambda step: step.__name__
)
def test_the_shapes_beside_the_five_steps_are_those_of_the_arrays(step):
    data, tensors = circles(), step is from_scratch.step_on_torch
    arrays = [torch.from_numpy(a) if tensors else a for a in (data.x_train, data.targets_train)]
    found = {}

    def look(frame, event, argument):
        if event == "return" and frame.f_code is step.__code__:
            found.update(frame.f_locals)

    sys.setprofile(look)
    try:
        step(*arrays)
    finally:
        sys.setprofile(None)
    said = re.findall(r"^    ([\w, ]+) = .*  # (\(.*\))$", inspect.getsource(step), flags=re.MULTILINE)
    assert len(said) >= 7
    for names, shapes in said:
        kept = [name for name in names.split(", ") if name != "_"]
        for name, shape in zip(
            kept, re.findall(r"\([\d, ]+\)", shapes), strict=False
        ):  # a cache has no shape
            assert str(tuple(found[name].shape)) == shape, name


def test_every_step_is_shown_on_both_sides():
    for step in (from_scratch.step_on_scratch, from_scratch.step_on_torch):
        codes = from_scratch.steps_of(step)
        assert list(codes) == list(from_scratch.WHAT_FOR)
        assert all(codes.values())
        assert not any("return" in code or "ignore" in code for code in codes.values())


@pytest.mark.parametrize(
    ("key", "epochs"),
    [("line", 1000), ("small", 1000), ("large", 1000), *((key, 250) for key in bias_variance.MODELS)],
)
def test_all_four_answers_come_out(key, epochs):
    model = bias_variance.MODELS[key]
    run = train(replace(model.recipe, epochs=epochs), "scratch", model.data())
    assert bias_variance._errors(key, run).diagnosis.name == model.expected


def test_the_knobs_show_what_the_runs_give():
    runs = {
        key: {"scratch": train(replace(model.recipe, epochs=250), "scratch", model.data())}
        for key, model in bias_variance.MODELS.items()
    }
    fit, gap, chance, _ = bias_variance._knobs(runs).rows
    train_error = {
        key: 1 - run["scratch"].final[0] / bias_variance.MODELS[key].examples for key, run in runs.items()
    }
    assert train_error["large"] < train_error["small"] < train_error["line"]
    assert fit[2].endswith(
        f"2-1: {train_error['line']:.1%}, 2-4-1: {train_error['small']:.1%}, 2-32-32-1: 7.0%"
    )
    assert gap[2] == "gap with 200 examples 7.9 points, with 2000 -0.3"
    assert chance[2].startswith("of 1000 answers 1.7 points")
    assert bias_variance.learnt(0.01) == "99.0% of the training set right, wrong labels included"
    assert bias_variance.learnt(0.07) == "93.0% of the training set right"


def test_standardised_by_either_side_the_test_set_keeps_the_training_sets_statistics():
    raw = input_normalization.stretched_moons()
    standardizer = Standardizer().fit(raw.x_train)
    for side in SIDES:
        data = input_normalization.stretched_moons("standardised", side)
        np.testing.assert_allclose(data.x_train.std(axis=0), 1, rtol=1e-12)
        np.testing.assert_allclose(data.x_test, standardizer.transform(raw.x_test), rtol=1e-12, atol=1e-12)
        assert np.abs(data.x_test.mean(axis=0)).max() > 0.01


@pytest.fixture(scope="module")
def valley():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 2)) * [3, 1]
    return TwoWeights(x, x @ [[1.0], [-2.0]] + rng.standard_normal((50, 1)))


@pytest.mark.parametrize("side", SIDES)
def test_the_best_rate_shrinks_the_distance_as_the_condition_number_says(side, valley):
    path = PATHS[side](valley, valley.best_rate, 60)
    assert path.shape == (61, 2)
    np.testing.assert_allclose(path[-1], valley.minimum, atol=1e-3)
    distance = np.linalg.norm(path - valley.minimum, axis=1)
    shrinks = (valley.condition - 1) / (valley.condition + 1)
    np.testing.assert_allclose(distance[1:] / distance[:-1], shrinks, rtol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_descent_diverges_beyond_the_largest_rate_only(side, valley):
    for factor, grows in ((0.99, False), (1.01, True)):
        path = PATHS[side](valley, factor * valley.largest_rate, 300)
        assert (valley.excess(path[-1]) > 1) is np.bool_(grows)


def test_dividing_by_the_variance_swaps_the_scales_and_helps_nothing():
    raw = input_normalization.stretched_moons()
    x = raw.x_train - raw.x_train.mean(axis=0)
    condition = {
        power: TwoWeights(x / x.std(axis=0) ** power, raw.targets_train).condition for power in (0, 1, 2)
    }
    assert condition[1] < 3
    assert condition[2] == pytest.approx(condition[0], rel=1e-9)


@pytest.mark.parametrize("agreeing", [(True, True), (True, False), (False, True)])
def test_one_figure_that_does_not_come_out_is_the_verdict(agreeing, tmp_path, monkeypatch, capsys):
    def section(name, agrees):
        row = Comparison("a run", "cost", "1.0", {"scratch": "1.0"}, agrees, "to within 0")
        return Section(name, name, [], comparisons=[row])

    made = {f"experiment {i}": section(f"experiment {i}", agrees) for i, agrees in enumerate(agreeing)}
    monkeypatch.setattr(
        run.registry,
        "experiment",
        lambda name: SimpleNamespace(tasks=lambda o: [], report=lambda o, results: made[name]),
    )
    sections = run.run_experiments(list(made), Options())
    run.print_sections(Console(), sections)
    assert [section.agrees for section in sections] == list(agreeing)
    assert ("NOT all figures agree" in capsys.readouterr().out) == (not all(agreeing))


def test_a_drawing_is_laid_out_when_it_is_made():
    """To its edges, once: in whatever form it is drawn, also by another process, it stays as it is."""
    with drawing(2, 2) as (figure, axes):
        for each in axes.ravel():
            each.plot([0, 1], [1e-3, 1])
            each.set(title="cost", xlabel="epoch", ylabel="nats per example")
    filled = figure.get_tightbbox()
    assert filled.width / figure.get_figwidth() > 0.95
    assert filled.height / figure.get_figheight() > 0.95
    texts = [each.get_tightbbox() for each in axes.ravel()]
    assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
    places = [each.get_position().bounds for each in axes.ravel()]
    drawn.with_caption("some", figure, "")
    assert [each.get_position().bounds for each in figure.axes] == places
