"""Standardisation of the inputs, fitted on the training set."""

from typing import Self

import torch


def standardize_fit(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and biased standard deviation of each feature of x (examples, features)

    `torch.std` divides by m − 1 unless told otherwise, σ = √(1/(m − 1) Σ (x − μ)²); with `correction=0` by
    m, σ = √(1/m Σ (x − μ)²), as in batch normalisation and scikit-learn. A feature with one value only gets
    that value as its mean and σ = 1.
    """
    constant = is_constant(x)
    mean = torch.where(constant, x[0], x.mean(dim=0))
    centred = x - mean
    span = torch.where(constant, 1, centred.abs().amax(dim=0))
    std = span * torch.std(centred / span, dim=0, correction=0)  # squares within ±1: none under- or overflows
    return mean, torch.where(constant, 1, std)


def standardize(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """y = (x − μ)/σ for any set, with the statistics of the training set; NaN and infinities pass through"""
    return (x - mean) / std


def is_constant(x: torch.Tensor) -> torch.Tensor:
    """Which features have one value only, (features,)"""
    return (x == x[0]).all(dim=0)


class Standardizer:
    """Keeps `mean`, `std` and `constant_features` (indices) of the training set."""

    def fit(self, x: torch.Tensor) -> Self:
        """Take mean and standard deviation from `x`, and return the standardizer itself."""
        self.mean, self.std = standardize_fit(x)
        self.constant_features = is_constant(x).nonzero().flatten()
        return self

    def fit_transform(self, x: torch.Tensor) -> torch.Tensor:
        """`fit` to the training set, and `transform` it."""
        return self.fit(x).transform(x)

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """(x − mean)/std"""
        return standardize(x, self.mean, self.std)

    def inverse_transform(self, y: torch.Tensor) -> torch.Tensor:
        """y·std + mean: back to what `transform` was given"""
        return y * self.std + self.mean
