"""Standardisation of the inputs: every feature brought to mean 0 and standard deviation 1.

Fitted on the training set, and applied as it is to every other set: a test set standardised by its own
statistics is another input than the network was trained for.
"""

from typing import Self

import numpy as np

from scratch.checks import check_floating, check_shape


def standardize_fit(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """μ = 1/m Σᵢ xᵢ,  σ = √(1/m Σᵢ (xᵢ − μ)²)  for each feature

    The variance is the biased one, divided by m and not by m − 1, as in scikit-learn's StandardScaler.
    A feature with one value only gets that value as its mean and σ = 1, and so becomes 0.

    Args:
        x: (examples, features), the training set

    Returns:
        mean (features,), std (features,)

    Raises:
        TypeError: not floating.
        ValueError: not two-dimensional, no examples, or NaN or infinity among the values (the features are
            named): one of them would make the whole feature NaN.

    https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html
    """
    _check_training_set(x)
    constant = is_constant(x)
    one = x.dtype.type(1)
    mean = np.where(constant, x[0], x.sum(axis=0) / len(x))  # (features,)
    centred = x - mean  # (examples, features)
    span = np.where(constant, one, np.abs(centred).max(axis=0))
    scaled = centred / span  # within ±1: the square of a very small or large number is 0 or infinite
    std = span * ((scaled * scaled).sum(axis=0) / len(x)) ** 0.5
    return mean, np.where(constant, one, std)


def standardize(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """y = (x − μ)/σ

    NaN and infinities pass through: they spoil their own example only.

    Args:
        x: (examples, features), any set
        mean: (features,), from `standardize_fit` of the training set
        std: (features,), likewise

    Returns:
        y (examples, features)

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: shapes that do not fit.
    """
    check_floating(x=x, mean=mean, std=std)
    check_shape("x", x, (None, None))
    check_shape("mean", mean, x.shape[1:])
    check_shape("std", std, x.shape[1:])
    return (x - mean) / std


def is_constant(x: np.ndarray) -> np.ndarray:
    """Which features have one value only, (features,)

    Asked of the values and not of σ: the mean of equal numbers is rounded, so that their σ is rarely 0.
    """
    check_floating(x=x)
    return (x == x[0]).all(axis=0)


class Standardizer:
    """Keeps the statistics of the training set: `fit` on that one, `transform` on every one.

    Attributes (after `fit`):
        mean, std: (features,)
        constant_features: indices of the features with one value only, which tell examples nowhere apart
    """

    mean: np.ndarray
    std: np.ndarray
    constant_features: np.ndarray

    def fit(self, x: np.ndarray) -> Self:
        """Take mean and standard deviation from `x`, and return the standardizer itself."""
        self.mean, self.std = standardize_fit(x)
        self.constant_features = np.flatnonzero(is_constant(x))
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(x − mean)/std"""
        if not hasattr(self, "mean"):
            raise ValueError("standardizer: expected fit before transform")
        return standardize(x, self.mean, self.std)


def _check_training_set(x: np.ndarray) -> None:
    check_floating(x=x)
    check_shape("x", x, (None, None))
    if len(x) == 0:
        raise ValueError("x: expected at least one example, got 0")
    finite = np.isfinite(x).all(axis=0)
    if not finite.all():
        features = np.flatnonzero(~finite).tolist()
        raise ValueError(f"x: expected finite numbers, got NaN or infinity in features {features}")
