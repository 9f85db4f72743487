"""Standardisation of the inputs: every feature brought to mean 0 and standard deviation 1.

Fitted on the training set, and applied as it is to every other set: a test set standardised by its own
statistics is another input than the network was trained for.

All raise TypeError for arrays that are not floating or not of one dtype, and ValueError for shapes that do
not fit.
"""

from typing import Self

import numpy as np

from scratch.checks import check_floating, check_shape, expects


@expects(x="examples>=1 features")
def standardize_fit(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """μ = 1/m Σᵢ xᵢ,  σ = √(1/m Σᵢ (xᵢ − μ)²)  for each feature

    The variance is the biased one, divided by m and not by m − 1, as in scikit-learn's StandardScaler.
    A feature with one value only gets that value as its mean and σ = 1, and so becomes 0.

    NaN or infinity in x, the training set, is a ValueError that names the features: one of them would make
    the whole feature NaN. Returns mean (features,) and std (features,).

    https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html
    """
    _check_finite(x)
    constant = is_constant(x)
    one = x.dtype.type(1)
    mean = np.where(constant, x[0], x.sum(axis=0) / len(x))  # (features,)
    centred = x - mean  # (examples, features)
    span = np.where(constant, one, np.abs(centred).max(axis=0))
    scaled = centred / span  # within ±1: the square of a very small or large number is 0 or infinite
    std = span * ((scaled * scaled).sum(axis=0) / len(x)) ** 0.5
    return mean, np.where(constant, one, std)


@expects(x="examples features", mean="features", std="features")
def standardize(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """y = (x − μ)/σ

    x is any set, μ and σ are those of the training set. NaN and infinities pass through: they spoil their own
    example only.
    """
    return (x - mean) / std


@expects(x="examples features")
def is_constant(x: np.ndarray) -> np.ndarray:
    """Which features have one value only, (features,)

    Asked of the values and not of σ: the mean of equal numbers is rounded, so that their σ is rarely 0.
    """
    return (x == x[0]).all(axis=0)


class Standardizer:
    """Keeps the statistics of the training set: `fit` on that one, `transform` on every one.

    Attributes (after `fit`):
        mean, std: (features,)
        constant_features: indices of the features with one value only, which tell examples nowhere apart
    """

    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    constant_features: np.ndarray | None = None

    def fit(self, x: np.ndarray) -> Self:
        """Take mean and standard deviation from `x`, and return the standardizer itself."""
        self.mean, self.std = standardize_fit(x)
        self.constant_features = np.flatnonzero(is_constant(x))
        return self

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        """`fit` to the training set, and `transform` it."""
        return self.fit(x).transform(x)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """(x − mean)/std"""
        return standardize(x, *self._statistics("transform"))

    def inverse_transform(self, y: np.ndarray) -> np.ndarray:
        """y·std + mean: back to what `transform` was given"""
        mean, std = self._statistics("inverse_transform")
        check_floating(mean=mean, y=y)
        check_shape("y", y, (None, len(mean)))
        return y * std + mean

    def _statistics(self, asked: str) -> tuple[np.ndarray, np.ndarray]:
        if self.mean is None or self.std is None:
            raise ValueError(f"standardizer: expected fit before {asked}")
        return self.mean, self.std


def _check_finite(x: np.ndarray) -> None:
    finite = np.isfinite(x).all(axis=0)
    if not finite.all():
        features = np.flatnonzero(~finite).tolist()
        raise ValueError(f"x: expected finite numbers, got NaN or infinity in features {features}")
