"""Against overfitting: the L2 penalty, as a term of the cost or as `weight_decay`, and `F.dropout`."""

from collections.abc import Iterable

import torch
from torch.nn import functional as F  # noqa: N812


def l2_penalty(weights: Iterable[torch.Tensor], l2: float, m: int) -> torch.Tensor | float:
    """(λ/2m)·Σ‖W‖², to be added to the cost; autograd then adds (λ/m)·W to each weight's gradient

    `weights` are the weight matrices, without biases and without γ and β of batch normalisation; m is the
    number of examples that the cost is averaged over.
    """
    return sum(weight.square().sum() for weight in weights) * l2 / (2 * m)


def sgd_with_weight_decay(
    weights: Iterable[torch.Tensor], others: Iterable[torch.Tensor], *, lr: float, l2: float, m: int
) -> torch.optim.SGD:
    """The same regularisation without a term in the cost: an optimizer that decays the weights

    PyTorch's `weight_decay` is no λ: its step is

        g ← g + weight_decay·W          against          g ← g + (λ/m)·W

    so weight_decay = λ/m. It decays **every** parameter of its group, biases and batch normalisation's γ
    and β too: hence the two groups. `torch.optim.Adam` couples weight_decay to the gradient in the same way
    and equals the penalty too; `torch.optim.AdamW` does not: it shrinks W ← W − lr·weight_decay·W, past
    its running averages.
    """
    groups = [
        {"params": list(weights), "weight_decay": l2 / m},
        {"params": list(others), "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=lr)


def dropout(x: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
    """Inverted dropout: x·mask/(1 − p) in training, where mask is 0 with probability p; x in evaluation

    PyTorch's p is the probability of being zeroed; course notes often give the one of being kept,
    keep_prob = 1 − p.
    """
    return F.dropout(x, p, training)
