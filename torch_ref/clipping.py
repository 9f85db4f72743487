"""Gradient clipping: `torch.nn.utils`, on the `grad` of parameters, in place."""

from collections.abc import Iterable

import torch
from torch import nn


def clip_grad_norm_(
    parameters: Iterable[torch.Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> torch.Tensor:
    """g ← g·min(1, max_norm/(‖g‖ + 10⁻⁶)), with the norm of all gradients together, which is returned

    TensorFlow's `clip_by_global_norm` and optax have no 10⁻⁶; Keras' `clipnorm` is the norm of each array by
    itself, its `global_clipnorm` that of all.
    """
    return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


def clip_grad_value_(parameters: Iterable[torch.Tensor], clip_value: float) -> None:
    """g ← min(max(g, −clip_value), clip_value), number by number"""
    nn.utils.clip_grad_value_(parameters, clip_value)
