"""Every ingredient of a well-trained deep network in NumPy, with the backward pass derived by hand.

One topic a file. Functions are the mathematics (`..._forward` returns the result and a cache,
`..._backward` takes the upstream gradient and that cache); small classes keep the state.

Layout as in PyTorch: `x` is (batch, features), `weight` is (out_features, in_features). What comes in
as float32 stays float32; float64 and `numpy.longdouble` work too.

`from scratch import Adam, Network, NumpyGenerator, train` has what a training takes, by the names of `FILES`.
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
    "Scheduler": "schedules",
    "ReduceLROnPlateau": "schedules",
    "Standardizer": "standardization",
    "AveragedModel": "averages",
    "update_bn": "averages",
    "NumpyGenerator": "random",
    "TorchGenerator": "random",
    "save_checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Import the file of a name when it is asked for: `import scratch.linear` loads no more than that."""
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{FILES[name]}"), name)
