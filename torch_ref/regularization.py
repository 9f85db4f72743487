"""Against overfitting: the L2 penalty, as a term of the cost or as `weight_decay`, and `F.dropout`."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from torch_ref.checks import check_floating, check_not_negative, check_probability


def l2_penalty(weights: Iterable[torch.Tensor], l2: float, m: int) -> torch.Tensor | float:
    """(λ/2m)·Σ‖W‖², to be added to the cost; autograd then adds (λ/m)·W to each weight's gradient

    Args:
        weights: the weight matrices, any number of them; no biases, no γ and β of batch normalisation
        l2: λ ≥ 0
        m: the number of examples that the cost is averaged over, ≥ 1

    Raises:
        TypeError: weights that are not floating, or not all of one dtype.
        ValueError: λ negative or not finite, or m below 1.
    """
    weights = list(weights)
    check_floating(**{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    check_l2(l2, m)
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

    Args:
        weights: the parameters to decay, with λ/m
        others: the parameters to leave alone: biases, γ and β
        lr: learning rate
        l2: λ ≥ 0
        m: the number of examples that the cost is averaged over, ≥ 1

    Raises:
        ValueError: λ negative or not finite, or m below 1.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    check_l2(l2, m)
    groups = [
        {"params": list(weights), "weight_decay": l2 / m},
        {"params": list(others), "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=lr)


def dropout(x: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
    """Inverted dropout: x·mask/(1 − p) in training, where mask is 0 with probability p; x in evaluation

    PyTorch's p is the probability of being zeroed; course notes often give the one of being kept,
    keep_prob = 1 − p.

    Args:
        x: of any shape
        p: the probability that an element is zeroed, 0 … 1
        training: False for evaluation

    Raises:
        TypeError: `x` is not floating.
        ValueError: p is not a probability.
    """
    check_floating(x=x)
    check_probability("p", p)
    return F.dropout(x, p, training)


class Dropout(nn.Dropout):
    """`nn.Dropout`, with its argument checked

    Args:
        p: the probability that an element is zeroed, 0 … 1

    Raises:
        ValueError: p is not a probability.
    """

    def __init__(self, p: float) -> None:
        check_probability("p", p)
        super().__init__(p)


def check_l2(l2: float, m: int) -> None:
    """Raise ValueError unless λ is a finite number ≥ 0 and m ≥ 1."""
    check_not_negative(l2=l2)
    if m < 1:
        raise ValueError(f"m: expected an integer >= 1, got {m}")
