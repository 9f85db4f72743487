"""Every experiment, in the order of the study day."""

import importlib

from compare.experiments.experiment import Experiment

NAMES = (
    "from_scratch",
    "bias_variance",
    "input_normalization",
    "initialization",
    "regularization",
    "optimizers",
    "learning_rate_decay",
    "batch_normalization",
)


def experiment(name: str) -> Experiment:
    """The experiment called `name`, one of `NAMES`."""
    return importlib.import_module(f"compare.experiments.{name}").EXPERIMENT
