"""The same ingredients as an expert writes them in PyTorch: built-ins and autograd.

One topic a file, under the same names as in `scratch/`. Where PyTorch's convention differs from the
textbook's, the docstring gives both formulas and how one maps onto the other.

`from torch_ref import Adam, Network, train` has what a training takes, by the names of `FILES`.
"""

import importlib
from typing import Any

FILES = {
    "Network": "network",
    "train": "training",
    "minibatches": "training",
    "accuracy": "training",
    "mean_loss": "training",
    "EarlyStopping": "early_stopping",
    "SGD": "optimizers",
    "Momentum": "optimizers",
    "Adagrad": "optimizers",
    "RMSprop": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "NAdam": "optimizers",
    "Lion": "optimizers",
    "ReduceLROnPlateau": "schedules",
    "Standardizer": "standardization",
    "AveragedModel": "averages",
    "update_bn": "averages",
    "save_checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import the file of a name when it is asked for."""
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{FILES[name]}"), name)
