"""The real data: breast cancer and digits of scikit-learn, split once and for all and standardised."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from scratch.standardization import Standardizer


@dataclass(frozen=True)
class Data:
    """Training and test set; x (examples, features), targets as the loss wants them."""

    x_train: np.ndarray
    targets_train: np.ndarray
    x_test: np.ndarray
    targets_test: np.ndarray


def digits(dtype: Any) -> Data:
    """1797 images of 8×8 pixels, ten classes; every fifth image, stratified, is for testing."""
    x, y = load_digits(return_X_y=True)
    return _prepare(x, y, dtype)


def breast_cancer(dtype: Any) -> Data:
    """569 patients with 30 measurements each, benign (1) or malignant (0); one logit, float targets."""
    x, y = load_breast_cancer(return_X_y=True)
    return _prepare(x, y[:, np.newaxis].astype(dtype), dtype)


def _prepare(x: np.ndarray, targets: np.ndarray, dtype: Any) -> Data:
    x_train, x_test, targets_train, targets_test = train_test_split(
        x.astype(dtype), targets, test_size=0.2, stratify=targets, random_state=0
    )
    standardizer = Standardizer().fit(x_train)
    return Data(standardizer.transform(x_train), targets_train, standardizer.transform(x_test), targets_test)
