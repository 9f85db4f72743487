"""Every experiment, in the order of the study day."""

import importlib
from typing import Any

NAMES = (
    "from_scratch",
    "softmax_regression",
    "bias_variance",
    "input_normalization",
    "initialization",
    "vanishing_gradients",
    "regularization",
    "early_stopping",
    "mini_batches",
    "weighted_averages",
    "optimizers",
    "learning_rate_decay",
    "random_search",
    "batch_normalization",
)


def experiment(name: str) -> Any:
    """The module called `name`, one of `NAMES`

    Its `tasks(options)` are the trainings that it needs, its `report(options, results)` is its section.
    """
    return importlib.import_module(f"compare.experiments.{name}")
