"""What only a test can ask of standardisation: errors, constant features, and scikit-learn's opinion."""

import numpy as np
import pytest
import torch
from hypothesis import given
from laws import allowed, changed, each_side, random_cases, run, seeded, times
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler

from scratch import standardization as ours
from torch_ref import standardization as theirs

X = np.arange(12.0).reshape(4, 3)
SPOILT = X.copy()
SPOILT[0, 0], SPOILT[3, 2] = np.nan, -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_features_are_reported_and_become_exactly_zero(dtype):
    x = np.random.default_rng(0).standard_normal((13, 4)).astype(dtype)
    x[:, 1], x[:, 3] = 0.1, -1e4 / 3
    for side, array in ((ours, x), (theirs, torch.from_numpy(x))):
        standardizer = side.Standardizer().fit(array)
        assert standardizer.constant_features.tolist() == [1, 3]
        assert standardizer.std[[1, 3]].tolist() == [1, 1]
        assert not standardizer.transform(array)[:, [1, 3]].any()


def test_the_mean_of_a_constant_feature_is_its_first_number():
    """To the sign of zero, which is equal to the other one"""
    x = np.array([[0.0], [-0.0]])
    assert not np.signbit(ours.standardize_fit(x)[0]).any()
    assert not torch.signbit(theirs.standardize_fit(torch.from_numpy(x))[0]).any()


@pytest.mark.parametrize("first", [1, 1 + np.finfo(float).eps])
def test_neighbouring_numbers_are_not_a_constant(first):
    """Their mean is rounded to the lower one, to the upper one: nothing lies above that."""
    eps = np.finfo(float).eps
    x = np.array([[first], [first + eps]])
    for side, array in ((ours, x), (theirs, torch.from_numpy(x))):
        standardizer = side.Standardizer().fit(array)
        assert standardizer.constant_features.tolist() == []
        assert eps / 2 <= standardizer.std[0] < eps


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


@each_side
@seeded
@given(case=random_cases("standardization"))
def test_back_from_the_standardised_numbers_is_where_they_came_from(side, case):
    """Within a rounding of each number and one of the mean; a constant feature comes back whole"""
    kind, array = (ours, np.asarray) if side == "scratch" else (theirs, torch.from_numpy)
    x = case["x_train"].copy()
    standardizer = kind.Standardizer()
    y = standardizer.fit_transform(array(x))
    np.testing.assert_array_equal(np.asarray(y), np.asarray(standardizer.fit(array(x)).transform(array(x))))
    back = np.asarray(standardizer.inverse_transform(y))
    unit = np.finfo(case.dtype).eps
    scale = np.abs(x) + np.abs(np.asarray(standardizer.mean)) + np.finfo(case.dtype).tiny
    assert (np.abs(back - x) <= 4 * unit * scale).all()


def test_what_can_not_be_brought_back_is_refused():
    with pytest.raises(ValueError, match="standardizer: expected fit before inverse_transform"):
        ours.Standardizer().inverse_transform(X)
    fitted = ours.Standardizer().fit(X)
    with pytest.raises(ValueError, match=r"y: expected shape \(any, 3\), got \(4, 2\)"):
        fitted.inverse_transform(X[:, :2])
    with pytest.raises(TypeError, match="y: expected float64 like mean, got float32"):
        fitted.inverse_transform(X.astype(np.float32))


@each_side
@seeded
@given(case=random_cases("standardization"))
def test_the_training_set_gets_mean_0_and_spread_1_and_stays_so(side, case):
    train, tolerance = run(side, "standardization", case)["train"], allowed("standardization", case, "train")
    tolerance = tolerance.max(axis=0)
    varied = ~(case["x_train"] == case["x_train"][0]).all(axis=0)
    wide = train.astype(np.longdouble)
    assert (np.abs(wide.mean(axis=0)) <= tolerance).all()
    assert (np.abs(wide.std(axis=0) - varied) <= tolerance).all()
    twice = run(side, "standardization", changed(case, x_train=train))["train"]
    known = tolerance < 0.01  # elsewhere the spread may be rounding alone
    assert (np.abs(twice - train) <= 2 * (1 + np.abs(train)) * tolerance)[:, known].all()


@each_side
@seeded
@given(case=random_cases("standardization"))
def test_other_units_of_measurement_make_no_difference(side, case):
    """Exactly so for powers of two, and with the other sign"""
    here, there = (
        run(side, "standardization", case, **{key: times(factor, case[key]) for key in ("x_train", "x_test")})
        for factor in (1, -8)
    )
    varied = ~(case["x_train"] == case["x_train"][0]).all(axis=0)
    np.testing.assert_array_equal(there["mean"], -8 * here["mean"])
    np.testing.assert_array_equal(there["std"][varied], 8 * here["std"][varied])
    np.testing.assert_array_equal(there["train"], -here["train"])
    np.testing.assert_array_equal(there["test"][:, varied], -here["test"][:, varied])


def test_every_feature_that_is_not_finite_is_named():
    x = np.ones((4, 5))
    x[0, 1], x[3, 4] = np.nan, np.inf
    with pytest.raises(
        ValueError, match=r"x: expected finite numbers, got NaN or infinity in features \[1, 4\]"
    ):
        ours.standardize_fit(x)
