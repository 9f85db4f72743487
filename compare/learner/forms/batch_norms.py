"""What the batch normalisations of courses share: one function updates the running statistics and normalises.

Ours hands the statistics of a batch from the forward pass to `update_running_statistics`. In their place an
adapter hands on the batch itself, for the course's function to update with.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from compare.learner.forms.form import is_close, stands_for, tried

Statistics = tuple[Any, Any]  # a running mean and a running variance


def scale_and_shift(x: np.ndarray, gamma: Any, beta: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 and 0 where there is no γ and no β: courses have both."""
    ones, zeros = np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    return (ones if gamma is None else gamma), (zeros if beta is None else beta)


def is_biased(variance_of: Callable[[np.ndarray], Any]) -> bool:
    """Whether the running variance takes σ²: all that courses do, unless it is seen that one does not."""
    return not is_close(tried(variance_of, np.array([[-1.0], [1.0]])), 2.0)


def updating(theirs: Callable, updated: Callable[..., Statistics], *, biased: bool) -> Callable:
    """Our `update_running_statistics`, calling the course's, with its two conventions undone

    Its momentum is 1 − ours. And a batch whose deviations are √(m/(m − 1)) times as large has, as its biased
    variance, the unbiased one of this batch.

    Args:
        theirs: the function or class that was written
        updated: (batch, running mean, running variance, momentum of the old value, and what the forward pass
            has handed on beside the batch) → both statistics after the batch
        biased: whether the second convention is there
    """

    @stands_for(theirs)
    def update_running_statistics(
        running_mean: np.ndarray, running_var: np.ndarray, num_batches_tracked: np.ndarray,
        mean: Any, variance: Any, batch_size: int, momentum: float | None = 0.1,
    ) -> None:  # fmt: skip
        x, settings = mean, variance  # what the forward pass has handed on
        if momentum is None:
            raise TypeError("no argument momentum=None")
        m = len(x)
        spread = (x - x.mean(axis=0)) * x.dtype.type(np.sqrt(m / (m - 1)) if biased else 1)
        after = [
            updated(batch, running_mean.copy(), running_var.copy(), 1 - momentum, *settings)
            for batch in (x, spread)
        ]
        running_mean[...], running_var[...] = after[0][0], after[1][1]
        num_batches_tracked += 1

    return update_running_statistics
