"""Loss functions: `torch.nn.functional`, differentiated by autograd.

The arguments and the errors are those of `scratch/losses.py`. `reduction="mean"` is over all elements for the
binary losses and the squared error, 1/(batch·outputs) ΣΣ, where many textbooks divide by the batch size only,
1/m ΣΣ; over the batch for the softmax cross-entropy.
"""

import torch
from torch.nn import functional as F  # noqa: N812

from torch_ref.checks import check_choice, check_floating, check_shape, check_targets


def binary_cross_entropy_with_logits(
    logits: torch.Tensor, targets: torch.Tensor, reduction: str = "mean"
) -> torch.Tensor:
    """L = −y log σ(x) − (1 − y) log(1 − σ(x)), for targets from 0 to 1

    PyTorch itself accepts any targets here; labels −1 and 1 would silently train something else.
    """
    _check_elementwise(logits=logits, targets=targets, reduction=reduction)
    _check_unit_interval("targets", targets)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)


def binary_cross_entropy(
    probabilities: torch.Tensor, targets: torch.Tensor, reduction: str = "mean"
) -> torch.Tensor:
    """L = −y log p − (1 − y) log(1 − p), for probabilities and targets from 0 to 1

    PyTorch replaces log p by max(log p, −100) and, in the gradient (p − y)/(p(1 − p)), the denominator by
    max(p(1 − p), ε) with ε = 10⁻¹² rounded to float32, for float64 too; the textbook's loss and gradient are
    infinite where p is 0 or 1 and y is not. PyTorch refuses values outside [0, 1] too, but on CUDA with an
    assertion that leaves the device unusable: here they are refused before.
    """
    _check_elementwise(probabilities=probabilities, targets=targets, reduction=reduction)
    _check_unit_interval("probabilities", probabilities)
    _check_unit_interval("targets", targets)
    return F.binary_cross_entropy(probabilities, targets, reduction=reduction)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """L = −log softmax(x)[y], for logits (batch, classes) and integer targets (batch,)

    PyTorch itself passes over a target of −100 (`ignore_index`); here every target must be a class.
    """
    check_floating(logits=logits)
    check_shape("logits", logits, (None, None))
    check_targets(targets, *logits.shape)
    check_choice("reduction", reduction, ("mean", "sum"))
    return F.cross_entropy(logits, targets.long(), reduction=reduction)


def mse_loss(input: torch.Tensor, targets: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """L = (x − t)², without the ½ of many textbooks, and without broadcasting"""
    _check_elementwise(input=input, targets=targets, reduction=reduction)
    return F.mse_loss(input, targets, reduction=reduction)


def _check_elementwise(*, reduction: str, **arrays: torch.Tensor) -> None:
    check_floating(**arrays)
    prediction, targets = arrays.values()
    check_shape("targets", targets, prediction.shape)
    check_choice("reduction", reduction, ("mean", "sum"))


def _check_unit_interval(name: str, array: torch.Tensor) -> None:
    if array.numel() and not (array.min() >= 0 and array.max() <= 1):
        low, high = array.min().item(), array.max().item()
        raise ValueError(f"{name}: expected numbers from 0 to 1, got {low} to {high}")
