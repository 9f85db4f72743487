"""The data: breast cancer and digits of scikit-learn, split once and for all and standardised; toy sets.

scikit-learn and SciPy take longer to import than PyTorch: only what needs them does.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scratch.standardization import Standardizer

NOISE = 0.1  # the share of wrong labels in `noisy_classes`
COURSE_DIGEST = "bf37b381f5fa285b2f3d016cca1ae6600f7aee3001d0d977f5d3859a2d781674"  # SHA-256 of the numbers


@dataclass(frozen=True)
class Data:
    """Training and test set; x (examples, features), targets as the loss wants them."""

    x_train: np.ndarray
    targets_train: np.ndarray
    x_test: np.ndarray
    targets_test: np.ndarray


@cache
def digits(dtype: Any) -> Data:
    """1797 images of 8×8 pixels, ten classes; every fifth image, stratified, is for testing."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _prepare(x, y, dtype)


def digit_pictures() -> tuple[np.ndarray, np.ndarray]:
    """The images of `digits` as they were drawn, from 0 (white) to 16: training and test set, (images, 64)"""
    from sklearn.datasets import load_digits

    x_train, x_test, _, _ = _split(*load_digits(return_X_y=True))
    return x_train, x_test


@cache
def breast_cancer(dtype: Any) -> Data:
    """569 patients with 30 measurements each, benign (1) or malignant (0); one logit, float targets."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return _prepare(x, y[:, np.newaxis].astype(dtype), dtype)


def _prepare(x: np.ndarray, targets: np.ndarray, dtype: Any) -> Data:
    x_train, x_test, targets_train, targets_test = _split(x.astype(dtype), targets)
    standardizer = Standardizer().fit(x_train)
    return Data(standardizer.transform(x_train), targets_train, standardizer.transform(x_test), targets_test)


def _split(x: np.ndarray, targets: np.ndarray) -> Any:
    from sklearn.model_selection import train_test_split

    return train_test_split(x, targets, test_size=0.2, stratify=targets, random_state=0)


@cache
def circles() -> Data:
    """300 and 100 points on two noisy rings, one inside the other; float64, targets (examples, 1)."""
    from sklearn.datasets import make_circles

    return _two_dimensional(
        make_circles(300, noise=0.05, random_state=1), make_circles(100, noise=0.05, random_state=2)
    )


@cache
def moons() -> Data:
    """300 points on two noisy half-moons, float64, targets (examples, 1); the test set is empty."""
    from sklearn.datasets import make_moons

    x, y = make_moons(300, noise=0.2, random_state=3)
    return _two_dimensional((x, y), (x[:0], y[:0]))


@cache
def noisy_classes() -> Data:
    """200 and 600 points of two classes, parted by a parabola that the noise of the labels covers up.

    One label in ten is wrong (`NOISE`): on points that it has not seen, nothing can be right about more than
    nine in ten, and a network that is right about more of its training set has learnt the noise.
    """
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (800, 2))
    above = x[:, 1] > parabola(x[:, 0])
    y = np.where(rng.rand(800) < NOISE, ~above, above).astype(int)
    return _two_dimensional((x[:200], y[:200]), (x[200:], y[200:]))


def parabola(first: np.ndarray) -> np.ndarray:
    """The second coordinate at which the classes of `noisy_classes` part, x₁² − 0.4"""
    return first**2 - 0.4


def checkerboard(n: int) -> Data:
    """`n` ≤ 2000 points on a board of 3×3 squares, and 1000 others that are the same for every n.

    One label in twenty is wrong, and no model can know which: 5 % is the error of the best one.
    """
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (3000, 2))
    inside = np.cos(1.5 * np.pi * x).prod(axis=1) > 0
    y = np.where(rng.rand(3000) < 0.05, ~inside, inside).astype(int)
    train, others = slice(1000, 1000 + n), slice(1000)
    return _two_dimensional((x[train], y[train]), (x[others], y[others]))


def mat_file(path: Path) -> Data:
    """The reader's own copy of the course's data: X, y (training) and Xval, yval (test) of a MATLAB file.

    Raises:
        ValueError: no file that can be read, not a MATLAB file, or one without these arrays.
    """
    import scipy.io

    names = ("X", "y", "Xval", "yval")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: can not be read: {error.strerror or error}") from None
    try:
        arrays = scipy.io.loadmat(io.BytesIO(content), variable_names=names)
    except Exception as error:  # whatever it is that SciPy stumbles over in a damaged file
        raise ValueError(f"{path}: no MATLAB file, or a damaged one: {error}") from None
    for name in names:
        if name not in arrays:
            raise ValueError(f"{path}: expected arrays {', '.join(names)}, found no {name}")
        array = arrays[name]
        is_real = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
        if not is_real or not np.isfinite(array).all():
            raise ValueError(f"{path}: expected finite numbers in {name}")
    x, y, x_test, y_test = (arrays[name].astype(np.float64) for name in names)
    for name, points, targets in (("X", x, y), ("Xval", x_test, y_test)):
        if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
            raise ValueError(f"{path}: expected {name} (examples, 2), got {points.shape}")
        if targets.size != len(points) or not np.isin(targets, (0, 1)).all():
            raise ValueError(f"{path}: expected a target, 0 or 1, for each row of {name}")
    return _two_dimensional((x, y.ravel()), (x_test, y_test.ravel()))


def check_course_data(path: Path) -> None:
    """Raise ValueError unless `mat_file(path)` gives the points to which the published figures belong."""
    data = mat_file(path)
    arrays = (data.x_train, data.targets_train, data.x_test, data.targets_test)
    content = b"".join(array.astype("<f8").tobytes() for array in arrays)
    if hashlib.sha256(content).hexdigest() != COURSE_DIGEST:
        raise ValueError(f"{path}: not the course's points: the published figures do not belong to these")


def _two_dimensional(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Data:
    (x, y), (x_test, y_test) = train, test
    return Data(x, y[:, np.newaxis].astype(np.float64), x_test, y_test[:, np.newaxis].astype(np.float64))
