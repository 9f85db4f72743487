"""Gradient clipping: what is done to gradients that are too large, between the backward pass and the step.

Both change the arrays in place, as the underscore of PyTorch's names says; they take PyTorch's names and the
gradients themselves, not the parameters that have them. Both raise TypeError for arrays that are not floating
or not of one dtype, and ValueError for numbers out of range.
"""

import math
from collections.abc import Iterable

import numpy as np

from scratch.checks import check_floating, expects


@expects(max_norm=">= 0 or infinite")
def clip_grad_norm_(
    gradients: Iterable[np.ndarray], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> np.floating:
    """g ← g·min(1, max_norm/(‖g‖ + 10⁻⁶)), with the norm ‖g‖ = (Σ|g|ᵖ)^(1/p) of all gradients together

    All are scaled by one factor, so that the direction of the step stays what it is. p is `norm_type`, a
    number > 0; for infinity the norm is the largest |g|. Returns the norm before clipping.

    Raises:
        ValueError: the norm is infinite or NaN, with `error_if_nonfinite`; else all becomes 0 or NaN.

    Pascanu, Mikolov and Bengio 2013, https://arxiv.org/abs/1211.5063
    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
    """
    if not norm_type > 0:
        raise ValueError(f"norm_type: expected a number > 0, got {norm_type}")
    gradients = _checked(gradients)
    norms = np.array([_norm(gradient, norm_type) for gradient in gradients])
    total_norm = _norm(norms, norm_type)  # the norm of the norms is that of all numbers
    if error_if_nonfinite and not np.isfinite(total_norm):
        raise ValueError(f"gradients: expected a finite norm, got {total_norm}")
    coefficient = np.minimum(1, max_norm / (total_norm + 1e-6))
    for gradient in gradients:
        gradient *= coefficient
    return total_norm


@expects(clip_value=">= 0 or infinite")
def clip_grad_value_(gradients: Iterable[np.ndarray], clip_value: float) -> None:
    """g ← min(max(g, −clip_value), clip_value), number by number: the direction of the step changes

    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html
    """
    for gradient in _checked(gradients):
        np.clip(gradient, -clip_value, clip_value, out=gradient)


def _norm(x: np.ndarray, p: float) -> np.floating:
    size = np.abs(x)
    return size.max(initial=0) if p == math.inf else (size**p).sum() ** (1 / p)


def _checked(gradients: Iterable[np.ndarray]) -> list[np.ndarray]:
    found = list(gradients)
    if not found:
        raise ValueError("gradients: expected at least one array, got none")
    check_floating(**{f"gradients[{i}]": gradient for i, gradient in enumerate(found)})
    return found
