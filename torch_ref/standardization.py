"""Standardisation of the inputs, fitted on the training set."""

from typing import Self

import torch

from torch_ref.checks import check_floating, check_shape


def standardize_fit(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and biased standard deviation of each feature of x (examples, features)

    `torch.std` divides by m − 1 unless told otherwise, σ = √(1/(m − 1) Σ (x − μ)²); with `correction=0` by
    m, σ = √(1/m Σ (x − μ)²), as in batch normalisation and scikit-learn. A feature with one value only gets
    that value as its mean and σ = 1.

    Raises:
        TypeError: not floating.
        ValueError: not two-dimensional, no examples, or NaN or infinity among the values.
    """
    _check_training_set(x)
    constant = is_constant(x)
    mean = torch.where(constant, x[0], x.mean(dim=0))
    centred = x - mean
    span = torch.where(constant, 1, centred.abs().amax(dim=0))
    std = span * torch.std(centred / span, dim=0, correction=0)  # squares within ±1: none under- or overflows
    return mean, torch.where(constant, 1, std)


def standardize(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """y = (x − μ)/σ for any set, with the statistics of the training set; NaN and infinities pass through"""
    check_floating(x=x, mean=mean, std=std)
    check_shape("x", x, (None, None))
    check_shape("mean", mean, x.shape[1:])
    check_shape("std", std, x.shape[1:])
    return (x - mean) / std


def is_constant(x: torch.Tensor) -> torch.Tensor:
    """Which features have one value only, (features,)"""
    return (x == x[0]).all(dim=0)


class Standardizer:
    """Keeps `mean`, `std` and `constant_features` (indices) of the training set."""

    mean: torch.Tensor
    std: torch.Tensor
    constant_features: torch.Tensor

    def fit(self, x: torch.Tensor) -> Self:
        """Take mean and standard deviation from `x`, and return the standardizer itself."""
        self.mean, self.std = standardize_fit(x)
        self.constant_features = is_constant(x).nonzero().flatten()
        return self

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """(x − mean)/std"""
        if not hasattr(self, "mean"):
            raise ValueError("standardizer: expected fit before transform")
        return standardize(x, self.mean, self.std)


def _check_training_set(x: torch.Tensor) -> None:
    check_floating(x=x)
    check_shape("x", x, (None, None))
    if len(x) == 0:
        raise ValueError("x: expected at least one example, got 0")
    finite = torch.isfinite(x).all(dim=0)
    if not finite.all():
        features = (~finite).nonzero().flatten().tolist()
        raise ValueError(f"x: expected finite numbers, got NaN or infinity in features {features}")
