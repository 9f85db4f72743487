"""What only a test can ask of standardisation: errors, constant features, and scikit-learn's opinion."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler

from scratch import standardization as ours
from torch_ref import standardization as theirs

X = np.arange(12.0).reshape(4, 3)
SPOILT = X.copy()
SPOILT[0, 0], SPOILT[3, 2] = np.nan, -np.inf

BAD_TRAINING_SETS = [
    (X.astype(int), TypeError, "x: expected a floating-point array, got int64"),
    (X[0], ValueError, r"x: expected shape \(any, any\), got \(3,\)"),
    (X[:0], ValueError, "x: expected at least one example, got 0"),
    (SPOILT, ValueError, r"x: expected finite numbers, got NaN or infinity in features \[0, 2\]"),
]
BAD_SETS = [
    ({"x": X[0]}, ValueError, r"x: expected shape \(any, any\), got \(3,\)"),
    ({"mean": np.zeros(2)}, ValueError, r"mean: expected shape \(3,?\), got \(2,\)"),
    ({"std": np.ones((1, 3))}, ValueError, r"std: expected shape \(3,?\), got \(1, 3\)"),
    ({"std": np.ones(3, np.float32)}, TypeError, "std: expected float64 like x, got float32"),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD_TRAINING_SETS)
def test_a_bad_training_set_is_named_alike_on_both_sides(x, error, message):
    for fit, array in ((ours, x), (theirs, torch.from_numpy(x))):
        with pytest.raises(error, match=message):
            fit.standardize_fit(array)
        with pytest.raises(error, match=message):
            fit.Standardizer().fit(array)


@pytest.mark.parametrize(("change", "error", "message"), BAD_SETS)
def test_bad_input_is_named_alike_on_both_sides(change, error, message):
    arrays = {"x": X, "mean": np.zeros(3), "std": np.ones(3)} | change
    with pytest.raises(error, match=message):
        ours.standardize(**arrays)
    with pytest.raises(error, match=message):
        theirs.standardize(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def test_transform_before_fit_is_refused_alike_on_both_sides():
    for side, x in ((ours, X), (theirs, torch.from_numpy(X))):
        with pytest.raises(ValueError, match="standardizer: expected fit before transform"):
            side.Standardizer().transform(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_features_are_reported_and_become_exactly_zero(dtype):
    x = np.random.default_rng(0).standard_normal((13, 4)).astype(dtype)
    x[:, 1], x[:, 3] = 0.1, -1e4 / 3
    for side, array in ((ours, x), (theirs, torch.from_numpy(x))):
        standardizer = side.Standardizer().fit(array)
        assert standardizer.constant_features.tolist() == [1, 3]
        assert standardizer.std[[1, 3]].tolist() == [1, 1]
        assert not standardizer.transform(array)[:, [1, 3]].any()


def test_neighbouring_numbers_are_not_a_constant():
    x = np.array([[1.0], [np.nextafter(1.0, 2)]])
    for side, array in ((ours, x), (theirs, torch.from_numpy(x))):
        assert side.Standardizer().fit(array).constant_features.tolist() == []


def test_the_standard_deviation_of_equal_numbers_is_not_always_zero():
    """Why a constant feature is known by its values."""
    assert np.full(13, 0.1).std() > 0


def test_pytorch_divides_by_one_less_unless_told_otherwise():
    x = torch.from_numpy(X)
    assert torch.allclose(torch.std(x, dim=0), theirs.standardize_fit(x)[1] * (4 / 3) ** 0.5)


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits])
def test_it_is_scikit_learns_standard_scaler(load):
    x = load().data
    train, test = x[::2], x[1::2]
    scaler = StandardScaler().fit(train)
    for side, array in ((ours, np.asarray), (theirs, torch.from_numpy)):
        standardizer = side.Standardizer().fit(array(train))
        for part in (train, test):
            mine = np.asarray(standardizer.transform(array(part)))
            np.testing.assert_allclose(mine, scaler.transform(part), rtol=1e-10, atol=1e-12)
        assert standardizer.constant_features.tolist() == np.flatnonzero(np.ptp(train, axis=0) == 0).tolist()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_that_leave_the_range_of_float32_do_no_harm(scale):
    x = (scale * np.random.default_rng(0).standard_normal((13, 3))).astype(np.float32)
    y = ours.Standardizer().fit(x).transform(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-6)
