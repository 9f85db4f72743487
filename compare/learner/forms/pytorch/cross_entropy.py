"""Cross-entropy as the book *Dive into Deep Learning* has it: of probabilities, one loss for each example."""

from collections.abc import Callable
from typing import Any

import torch

from compare.learner.forms.form import stands_for, tried
from compare.learner.forms.pytorch.reading import Reading

CONVENTION = (
    "it takes probabilities and gives a loss for each example: F.cross_entropy(logits, y) is the mean of it"
    " for softmax(logits, 1)"
)


def of_probabilities(theirs: Callable) -> Reading | None:
    """L = −log p of the right class, for each example, with our softmax and mean; None if it is not that."""
    p, classes = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]), torch.tensor([1, 0])
    expected = -torch.log(torch.tensor([0.3, 0.6]))
    losses = tried(theirs, p, classes)
    if not isinstance(losses, torch.Tensor) or losses.shape != (2,) or not torch.allclose(losses, expected):
        return None

    def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, reduction: str = "mean") -> Any:
        losses = theirs(torch.softmax(logits, min(1, logits.ndim - 1)), targets)
        return losses if reduction == "none" else getattr(losses, reduction)()

    function = stands_for(theirs)(cross_entropy)
    return Reading({"cross_entropy": function}, "a loss of probabilities, one for each example", CONVENTION)
