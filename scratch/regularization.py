"""Against overfitting: the L2 penalty on the weights, and inverted dropout.

λ, `l2`, is a strength ≥ 0, and m the number of examples that the cost is averaged over.

All raise TypeError for arrays that are not floating or not of one dtype, and ValueError for shapes that do
not fit and for numbers out of range.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from scratch.checks import check_floating, check_shape, expects
from scratch.layer import Layer
from scratch.random import Generator


@expects(l2=">= 0", m=">= 1")
def l2_penalty(weights: Iterable[np.ndarray], l2: float, m: int) -> np.floating | float:
    """(λ/2m)·Σ‖W‖², what large weights add to the cost

    The W are the weight matrices, any number of them; biases and batch normalisation's γ and β are left out,
    since they do not make the function any steeper or are too few to overfit with.

    Krogh and Hertz 1991, https://papers.nips.cc/paper/563-a-simple-weight-decay-can-improve-generalization
    """
    weights = list(weights)
    check_floating(**{f"weights[{i}]": weight for i, weight in enumerate(weights)})
    squares = sum((weight * weight).sum() for weight in weights)
    return squares * l2 / (2 * m)


@expects(weight="*shape", l2=">= 0", m=">= 1")
def l2_gradient(weight: np.ndarray, l2: float, m: int) -> np.ndarray:
    """(λ/m)·W, what the penalty adds to the gradient of one weight matrix

    To be used as `dweight += l2_gradient(weight, l2, m)`. It is ∂(λ/2m·Σ W²_ij)/∂W_ij = λ/2m·2·W_ij: the ½ is
    there to cancel the 2.
    """
    return weight * (l2 / m)


@expects(lr=">= 0", l2=">= 0", m=">= 1")
def sgd_step_with_l2(
    parameters: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], *, lr: float, l2: float, m: int
) -> dict[str, np.ndarray]:
    """One step of gradient descent on cost + penalty: W ← W − lr·(dW + λ/m·W), and b ← b − lr·db

    Only weight matrices, which have two dimensions, are penalised; biases, γ and β have one. The step is
    also W ← (1 − lr·λ/m)·W − lr·dW, from which the name weight decay comes.

    The gradients are those of the cost without the penalty, by the names of the parameters. Returns the
    parameters after the step; what came in is left as it is.
    """
    _check_gradients(parameters, gradients)
    stepped = {}
    for name, parameter in parameters.items():
        gradient = gradients[name]
        if parameter.ndim == 2:
            gradient = gradient + l2_gradient(parameter, l2, m)
        stepped[name] = parameter - gradient * lr
    return stepped


@expects(x="*shape", p="probability", generator="draws")
def dropout_forward(
    x: np.ndarray, p: float, generator: Generator, training: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inverted dropout: y = x·mask/(1 − p) in training, where mask is 0 with probability p, else 1

    Dividing by the keep probability 1 − p leaves the expectation of y at x, so that nothing need be done
    in evaluation: there y = x. (Course notes often name the keep probability: keep_prob = 1 − p.)

    With p = 0, as in evaluation, nothing is drawn; with p = 1 everything is multiplied by zero and
    nothing is drawn either. (0·NaN is NaN and 0·(−1) is −0, as in PyTorch.)

    Returns y in the shape of x, and the cache for `dropout_backward`: mask/(1 − p), or None where y = x.

    Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """
    if not training or p == 0:
        return x.copy(), None
    if p == 1:
        noise = np.zeros_like(x)
    else:
        noise = generator.dropout_mask(x, p)
        noise = noise / (1 - p)
    return x * noise, noise


@expects(cache={"x": "*shape"}, dy="*shape")
def dropout_backward(dy: np.ndarray, cache: np.ndarray | None) -> np.ndarray:
    """The gradient of the same pass, through the same mask: dx = dy·mask/(1 − p), or dy where y = x"""
    noise = cache
    if noise is None:
        return dy.copy()
    return dy * noise


class Dropout(Layer):
    """A dropout layer; `training` says whether it drops anything."""

    @expects(p="probability", generator="draws")
    def __init__(self, p: float, generator: Generator) -> None:
        super().__init__()
        self.p = p
        self.generator = generator

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Drop elements of x, with a new mask, and remember it for `backward`."""
        y, self.cache = dropout_forward(x, self.p, self.generator, self.training)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Return dx, through the mask of the last `forward`."""
        self.check_ran()
        return dropout_backward(dy, self.cache)


def _check_gradients(parameters: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> None:
    """Raise unless there is one gradient for each parameter, of its shape, and all are of one dtype."""
    if gradients.keys() != parameters.keys():
        raise ValueError(f"gradients: expected those of {sorted(parameters)}, got {sorted(gradients)}")
    check_floating(**parameters, **{f"gradients[{name}]": gradients[name] for name in parameters})
    for name, parameter in parameters.items():
        check_shape(f"gradients[{name}]", gradients[name], parameter.shape)
