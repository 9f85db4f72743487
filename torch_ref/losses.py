"""Loss functions: `torch.nn.functional`, differentiated by autograd.

`reduction="mean"` is over all elements for the binary losses and the squared error, 1/(batch·outputs) ΣΣ,
where many textbooks divide by the batch size only, 1/m ΣΣ; over the batch for the softmax cross-entropy.
"""

from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812


def binary_cross_entropy_with_logits(
    logits: torch.Tensor, targets: torch.Tensor, reduction: str = "mean",
    *, weight: torch.Tensor | None = None, pos_weight: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """L = −q·y log σ(x) − (1 − y) log(1 − σ(x)), with q = `pos_weight` or 1, for targets from 0 to 1

    PyTorch takes any targets here: labels −1 and 1 silently train something else.
    """
    return F.binary_cross_entropy_with_logits(logits, targets, weight, None, None, reduction, pos_weight)


def binary_cross_entropy(
    probabilities: torch.Tensor, targets: torch.Tensor, reduction: str = "mean",
    *, weight: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """L = −y log p − (1 − y) log(1 − p), for probabilities and targets from 0 to 1

    PyTorch replaces log p by max(log p, −100) and, in the gradient (p − y)/(p(1 − p)), the denominator by
    max(p(1 − p), ε) with ε = 10⁻¹² rounded to float32, for float64 too; the textbook's loss and gradient are
    infinite where p is 0 or 1 and y is not. On CUDA a p outside [0, 1] is an assertion that leaves the device
    unusable.
    """
    return F.binary_cross_entropy(probabilities, targets, weight, reduction=reduction)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, reduction: str = "mean",
    *, weight: torch.Tensor | None = None, ignore_index: int = -100, label_smoothing: float = 0.0,
) -> torch.Tensor:  # fmt: skip
    """L = −log softmax(x)[y], for logits (batch, classes, …) and integer targets (batch, …)

    Floating-point targets, in the shape of the logits, are probabilities. Among classes `ignore_index` does
    not count; a mean of none that count is NaN. The mean divides by the sum of the weights of the classes,
    but of probabilities by their number.
    """
    return F.cross_entropy(
        logits,
        targets,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def mse_loss(
    input: torch.Tensor, targets: torch.Tensor, reduction: str = "mean", *, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """L = (x − t)², without the ½ of many textbooks

    With a `weight` of each element the mean is Σ w·L/Σ w; in the binary losses it is Σ w·L/n.
    """
    options: Any = {} if weight is None else {"weight": weight}  # PyTorch 2.6 has none
    return F.mse_loss(input, targets, reduction=reduction, **options)
