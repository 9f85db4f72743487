"""Against overfitting: the L2 penalty on the weights, and inverted dropout."""

from collections.abc import Iterable, Mapping

import numpy as np

from scratch.checks import (
    check_floating,
    check_not_negative,
    check_probability,
    check_ran,
    check_shape,
    plain_numbers,
)
from scratch.random import Generator


@plain_numbers
def l2_penalty(weights: Iterable[np.ndarray], l2: float, m: int) -> np.floating | float:
    """(λ/2m)·Σ‖W‖², what large weights add to the cost

    Args:
        weights: the weight matrices, any number of them; biases and batch normalisation's γ and β are
            left out, since they do not make the function any steeper or are too few to overfit with
        l2: λ ≥ 0
        m: the number of examples that the cost is averaged over, ≥ 1

    Raises:
        TypeError: weights that are not floating, or not all of one dtype.
        ValueError: λ negative or not finite, or m below 1.

    Krogh and Hertz 1991, https://papers.nips.cc/paper/563-a-simple-weight-decay-can-improve-generalization
    """
    weights = list(weights)
    check_floating(**{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    check_l2(l2, m)
    return sum((weight * weight).sum() for weight in weights) * l2 / (2 * m)


@plain_numbers
def l2_gradient(weight: np.ndarray, l2: float, m: int) -> np.ndarray:
    """(λ/m)·W, what the penalty adds to the gradient of one weight matrix

    To be used as `dweight += l2_gradient(weight, l2, m)`. It is ∂(λ/2m·Σ W²_ij)/∂W_ij = λ/2m·2·W_ij: the ½ is
    there to cancel the 2.

    Args:
        weight: of any shape
        l2: λ ≥ 0
        m: the number of examples that the cost is averaged over, ≥ 1

    Raises:
        TypeError: `weight` is not floating.
        ValueError: λ negative or not finite, or m below 1.
    """
    check_floating(weight=weight)
    check_l2(l2, m)
    return weight * (l2 / m)


@plain_numbers
def sgd_step_with_l2(
    parameters: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], *, lr: float, l2: float, m: int
) -> dict[str, np.ndarray]:
    """One step of gradient descent on cost + penalty: W ← W − lr·(dW + λ/m·W), and b ← b − lr·db

    Only weight matrices, which have two dimensions, are penalised; biases, γ and β have one. The step is
    also W ← (1 − lr·λ/m)·W − lr·dW, from which the name weight decay comes.

    Args:
        parameters: by name
        gradients: of the cost without the penalty, by the same names
        lr: learning rate
        l2: λ ≥ 0
        m: the number of examples that the cost is averaged over, ≥ 1

    Returns:
        The parameters after the step; what came in is left as it is.

    Raises:
        TypeError: not floating, or not all of one dtype.
        ValueError: other names or shapes of gradients than of parameters, lr or λ negative or not finite, or
            m below 1.
    """
    if gradients.keys() != parameters.keys():
        raise ValueError(f"gradients: expected those of {sorted(parameters)}, got {sorted(gradients)}")
    check_floating(**parameters, **{f"gradients[{name}]": gradients[name] for name in parameters})
    check_not_negative(lr=lr)
    check_l2(l2, m)
    stepped = {}
    for name, parameter in parameters.items():
        gradient = gradients[name]
        check_shape(f"gradients[{name}]", gradient, parameter.shape)
        if parameter.ndim == 2:
            gradient = gradient + l2_gradient(parameter, l2, m)
        stepped[name] = parameter - gradient * lr
    return stepped


@plain_numbers
def dropout_forward(
    x: np.ndarray, p: float, generator: Generator, training: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inverted dropout: y = x·mask/(1 − p) in training, where mask is 0 with probability p, else 1

    Dividing by the keep probability 1 − p leaves the expectation of y at x, so that nothing need be done
    in evaluation: there y = x. (Course notes often name the keep probability: keep_prob = 1 − p.)

    With p = 0, as in evaluation, nothing is drawn; with p = 1 everything is multiplied by zero and
    nothing is drawn either. (0·NaN is NaN and 0·(−1) is −0, as in PyTorch.)

    Args:
        x: of any shape
        p: the probability that an element is zeroed, 0 … 1
        generator: draws the mask
        training: False for evaluation

    Returns:
        y in the shape of x, and the cache for `dropout_backward`: mask/(1 − p), or None where y = x.

    Raises:
        TypeError: `x` is not floating.
        ValueError: p is not a probability.

    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    check_floating(x=x)
    check_probability("p", p)
    if not training or p == 0:
        return x, None
    if p == 1:
        noise = np.zeros_like(x)
    else:
        noise = generator.dropout_mask(x, p)
        noise /= 1 - p
    return x * noise, noise


def dropout_backward(dy: np.ndarray, cache: np.ndarray | None) -> np.ndarray:
    """The gradient of the same pass, through the same mask: dx = dy·mask/(1 − p), or dy where y = x

    Args:
        dy: in the shape of x, the gradient of the cost with respect to y
        cache: from `dropout_forward`

    Raises:
        TypeError: `dy` has another dtype than the forward pass.
        ValueError: `dy` has the wrong shape.
    """
    noise = cache
    if noise is None:
        check_floating(dy=dy)
        return dy
    check_floating(x=noise, dy=dy)
    check_shape("dy", dy, noise.shape)
    return dy * noise


class Dropout:
    """A dropout layer; `training` says whether it drops anything, and starts True.

    Args:
        p: the probability that an element is zeroed, 0 … 1
        generator: draws the masks

    Raises:
        ValueError: p is not a probability.
    """

    @plain_numbers
    def __init__(self, p: float, generator: Generator) -> None:
        check_probability("p", p)
        self.p = p
        self.generator = generator
        self.training = True
        self.parameters: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Drop elements of x, with a new mask, and remember it for `backward`."""
        y, self.cache = dropout_forward(x, self.p, self.generator, self.training)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Return dx, through the mask of the last `forward`."""
        check_ran(self)
        return dropout_backward(dy, self.cache)


def check_l2(l2: float, m: int) -> None:
    """Raise ValueError unless λ is a finite number ≥ 0 and m ≥ 1."""
    check_not_negative(l2=l2)
    if m < 1:
        raise ValueError(f"m: expected an integer >= 1, got {m}")
