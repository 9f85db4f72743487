"""Regularization: what its page says of the project's own data, and the published figures on the course's."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from compare import cli, environment
from compare.experiments import regularization, run
from compare.experiments.experiment import Options
from compare.experiments.published import compare_accuracies, compare_costs
from compare.experiments.recipe import RecipeMasks
from compare.experiments.regularization import COURSE_PUBLISHED, METHODS, OWN
from compare.experiments.train import SIDES, train
from compare.training import data
from compare.training.data import NOISE, mat_file, noisy_classes, parabola

VARIABLE = "SCRATCH_VS_TORCH_DATA"
BESIDE = Path(__file__).parents[2] / "shared" / "published" / "data.mat"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the workers of an experiment."""
    with environment.one_thread():
        yield


@pytest.fixture(scope="module")
def course() -> regularization.Part:
    """The part on the course's data, which is not ours to ship."""
    path = Path(os.environ.get(VARIABLE, BESIDE))
    if VARIABLE not in os.environ and not path.exists():
        pytest.skip(
            f"needs the course's data.mat, which has no licence to be shipped under: {VARIABLE} does not name"
            " your copy, and there is none at ../shared/published/data.mat"
        )
    return regularization.parts(Options(data=path))[1]


@pytest.fixture(scope="module")
def own():
    """Each method on the project's own data, to the end."""
    return {method: train(OWN.recipe(method), "scratch", noisy_classes()) for method in METHODS}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """A file's content that has the form of the course's."""
    rng = np.random.default_rng(0)
    return {
        "X": rng.standard_normal((21, 2)),
        "y": np.arange(21)[:, np.newaxis] % 2,
        "Xval": rng.standard_normal((20, 2)),
        "yval": np.arange(20, dtype=np.uint8)[:, np.newaxis] % 2,
    }


def shares(of):
    return of.final[0] / 200, of.final[1] / 600


def test_one_label_in_ten_is_wrong():
    points = noisy_classes()
    for x, targets in ((points.x_train, points.targets_train), (points.x_test, points.targets_test)):
        above = x[:, 1] > parabola(x[:, 0])
        wrong = np.mean(above != (targets[:, 0] == 1))
        assert abs(wrong - NOISE) < 3 * np.sqrt(NOISE * (1 - NOISE) / len(x))


def test_the_unregularised_network_overfits_and_regularization_helps(own):
    train_share, test_share = shares(own["none"])
    assert train_share - test_share > 0.06
    for method in ("l2", "dropout"):
        regularised_train, regularised_test = shares(own[method])
        assert regularised_train - regularised_test < 0.03
        assert regularised_test > test_share + 0.04


def test_with_the_frozen_mask_training_prints_far_less_than_the_weights_cost_without_it(own):
    points = noisy_classes()
    train_cost, test_cost = regularization._losses(own["frozen"], points)
    assert own["frozen"].cost[-1] < train_cost / 5
    assert test_cost > 2 * regularization._losses(own["none"], points)[1]
    honest_train, honest_test = regularization._losses(own["dropout"], points)
    assert np.mean(own["dropout"].cost[-regularization.LAST :]) > honest_train  # masks only disturb
    assert honest_test < regularization._losses(own["none"], points)[1]


def test_l2_keeps_the_weights_small(own):
    norms = {
        method: np.linalg.norm(regularization.all_weights(of, of.recipe.epochs)) for method, of in own.items()
    }
    assert norms["l2"] < norms["dropout"] < norms["none"]


def test_a_frozen_mask_is_the_first_fresh_one_again_and_again():
    frozen, fresh = (RecipeMasks(OWN.recipe(method)) for method in ("frozen", "dropout"))
    first = [frozen.dropout_mask(np.ones(shape), 0.14) for shape in ((5, 20), (5, 3))]
    for mask, shape in zip(first, ((5, 20), (5, 3)), strict=True):
        np.testing.assert_array_equal(fresh.dropout_mask(np.ones(shape), 0.14), mask)
    np.testing.assert_array_equal(frozen.dropout_mask(np.ones((5, 20)), 0.14), first[0])
    assert (fresh.dropout_mask(np.ones((5, 20)), 0.14) != first[0]).any()


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_agree(method):
    recipe = replace(OWN.recipe(method), epochs=50)
    runs = {side: train(recipe, side, noisy_classes()) for side in SIDES}
    rows = compare_costs(runs, shown=range(50)) + compare_accuracies(runs, noisy_classes())
    assert len(rows) == 52
    assert all(row.agrees for row in rows)


@pytest.mark.parametrize("held", [10000, 2])
def test_a_file_gets_tables_and_figures_of_its_own(held, tmp_path, arrays, monkeypatch):
    """Figures published of other points do not come out of these, and are called what they are."""
    path = tmp_path / "data.mat"
    scipy.io.savemat(path, arrays)
    monkeypatch.setattr(regularization, "check_course_data", mat_file)
    monkeypatch.setattr(regularization, "HELD", held)
    monkeypatch.setattr(Options, "shortened", lambda self, recipe, by=20: replace(recipe, epochs=4))
    options = Options(data=path)
    tasks = regularization.tasks(options)
    results = {(t.key, t.side): train(t.recipe, t.side, t.data(), **t.options) for t in tasks}
    section = regularization.report(options, results)
    names = [figure.name for figure in section.figures]
    assert [name for name in names if "course" in name] == [
        f"regularization-course-{what}"
        for what in ("gaps", "boundaries", "costs", "weights", *(["parting"] if held == 2 else []))
    ]
    for figure in section.figures:
        assert [*figure.files] == [f"{figure.name}.png", f"{figure.name}.svg"]
    assert len({*names}) == len(names)
    assert len(section.tables) == 2 * 2
    assert len(section.diagnoses) == 2 * len(METHODS)
    wrong = {row.run for row in section.comparisons if not row.agrees}
    assert wrong == {f"{METHODS[method]['name']}, course's data" for method in COURSE_PUBLISHED}


WRONG_FILES = {
    "no such file": None,
    "a folder": "folder",
    "text": b"x1,x2,y\n0.1,0.2,1\n",
    "nothing": b"",
    "truncated": "truncated",
    "an array is missing": {"Xval": None},
    "three columns": {"X": np.ones((21, 3))},
    "a target too few": {"y": np.ones((20, 1))},
    "targets 1 and 2": {"y": np.ones((21, 1)) + 1},
    "text in an array": {"X": np.array(["ab", "cd"])},
    "not a number": {"Xval": np.full((20, 2), np.nan)},
    "other points": {},
}


@pytest.mark.parametrize("content", WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_one_line_before_any_training(content, tmp_path, arrays, monkeypatch, capsys):
    path = tmp_path / "data.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        changes = {} if content == "truncated" else content
        scipy.io.savemat(path, {name: a for name, a in (arrays | changes).items() if a is not None})
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-200])

    def train(*arguments):
        raise AssertionError("nothing may be trained")

    monkeypatch.setattr(run, "run_tasks", train)
    monkeypatch.setattr("compare.environment.prepare", lambda device: None)
    out = tmp_path / "out"
    assert cli.main(["experiments", "regularization", "--data", str(path), "--out", str(out)]) == 2
    printed, error = capsys.readouterr()
    assert printed == ""
    assert error.startswith(f"error: {path}: ")
    assert error.count("\n") == 1
    assert not out.exists() or not any(out.iterdir())


def test_the_courses_points_are_known_by_their_numbers_however_they_are_saved(tmp_path, arrays, monkeypatch):
    path = tmp_path / "data.mat"
    numbers = b"".join(arrays[name].astype("<f8").tobytes() for name in ("X", "y", "Xval", "yval"))
    monkeypatch.setattr(data, "COURSE_DIGEST", hashlib.sha256(numbers).hexdigest())
    for compressed in (True, False):
        scipy.io.savemat(path, {**arrays, "others": np.ones(3)}, do_compression=compressed)
        data.check_course_data(path)
    arrays["X"][0, 0] = np.nextafter(arrays["X"][0, 0], 1)
    scipy.io.savemat(path, arrays)
    with pytest.raises(ValueError, match="not the course's points"):
        data.check_course_data(path)


@pytest.mark.parametrize("method", COURSE_PUBLISHED)
def test_published_figures_on_the_courses_data(method, course):
    points = course.data()
    runs = {"scratch": train(course.recipe(method), "scratch", points)}
    rows = compare_costs(runs) + compare_accuracies(runs, points)
    assert [row.published is None for row in rows] == [False] * 5
    assert [row for row in rows if not row.agrees] == []


@pytest.mark.parametrize(("method", "epochs"), [("none", 1), ("l2", 10001), ("frozen", 1)])
def test_published_costs_on_the_courses_data_in_torch(method, epochs, course):
    recipe = replace(course.recipe(method), epochs=epochs)
    rows = compare_costs({"torch": train(recipe, "torch", course.data())})
    assert len(rows) == 1 + epochs // 10000
    assert all(row.agrees for row in rows)
