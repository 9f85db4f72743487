"""leaky_relu.

Fill in the functions, then hold them against the reference:

    python -m compare check leaky_relu.py
"""

from __future__ import annotations

import numpy as np


def leaky_relu_forward(x: np.ndarray, negative_slope: float = 0.01) -> tuple[np.ndarray, tuple]:
    """y = x for x > 0, else a·x, with a = `negative_slope`

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.leaky_relu.html
    """
    raise NotImplementedError


def leaky_relu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy where x > 0, else a·dy

    At the kink, x = 0, PyTorch takes the slope of the left side, a.
    """
    raise NotImplementedError
