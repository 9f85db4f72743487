"""What the batch normalisations of courses share: one function updates the running statistics and normalises.

Ours hands the statistics of a batch from the forward pass to `update_running_statistics`. In their place an
adapter hands on the batch itself, for the course's function to update with.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from compare.learner.forms.form import is_close, tried

Statistics = tuple[Any, Any]  # a running mean and a running variance


def scale_and_shift(x: np.ndarray, gamma: Any, beta: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 and 0 where there is no γ and no β: courses have both."""
    ones, zeros = np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    return (ones if gamma is None else gamma), (zeros if beta is None else beta)


def is_biased(variance_of: Callable[[np.ndarray], Any]) -> bool:
    """Whether the running variance takes σ²: all that courses do, unless it is seen that one does not."""
    return not is_close(tried(variance_of, np.array([[-1.0], [1.0]])), 2.0)


def update(
    updated: Callable[[np.ndarray, Any, Any, float], Statistics], x: np.ndarray, momentum: float | None,
    running_mean: np.ndarray, running_var: np.ndarray, num_batches_tracked: np.ndarray, *, biased: bool,
) -> None:  # fmt: skip
    """Write the statistics after a batch, with the course's two conventions undone

    Its momentum is 1 − ours. And a batch whose deviations are √(m/(m − 1)) times as large has, as its biased
    variance, the unbiased one of this batch.

    Args:
        updated: (batch, running mean, running variance, momentum of the old value) → both after the batch
        x: the batch
        momentum: ours
        running_mean: updated
        running_var: updated
        num_batches_tracked: counted up
        biased: whether the second convention is there
    """
    if momentum is None:
        raise TypeError("no argument momentum=None")
    m = len(x)
    spread = (x - x.mean(axis=0)) * x.dtype.type(np.sqrt(m / (m - 1)) if biased else 1)
    mean, _ = updated(x, running_mean.copy(), running_var.copy(), 1 - momentum)
    _, variance = updated(spread, running_mean.copy(), running_var.copy(), 1 - momentum)
    running_mean[...], running_var[...] = mean, variance
    num_batches_tracked += 1
