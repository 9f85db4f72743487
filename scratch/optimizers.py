"""Optimizers: gradient descent, momentum, Nesterov, RMSProp, Adam, AdamW.

A rule is a plain function. It changes `param` (θ in the formulas) and its state in place; `grad` (g) it
only reads; all these arrays have one shape and one dtype. t, the argument `step`, counts from 1. With weight
decay λ the rules use g + λθ, the gradient of the cost plus (λ/2)‖θ‖², in place of g; AdamW alone does not.

A class keeps the state and runs its rule, with the constructor of its PyTorch twin.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from scratch.checks import check_floating, check_not_negative, check_shape, plain_numbers

BLOCK = 32768  # elements; the few arrays of a rule, a block each, stay in the cache from one line to the next


@plain_numbers
def sgd_step(param: np.ndarray, grad: np.ndarray, *, lr: float, weight_decay: float = 0) -> None:
    """θ ← θ − lr·g

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    param -= lr * grad


@plain_numbers
def momentum_step(
    param: np.ndarray, grad: np.ndarray, velocity: np.ndarray, *, lr: float, beta: float
) -> None:
    """v ← β·v + (1−β)·g,  θ ← θ − lr·v

    The textbook's form: v, which starts at 0, is an average of the gradients.
    """
    velocity *= beta
    velocity += (1 - beta) * grad
    param -= lr * velocity


@plain_numbers
def sgd_momentum_step(
    param: np.ndarray,
    grad: np.ndarray,
    momentum_buffer: np.ndarray,
    *,
    step: int,
    lr: float,
    momentum: float,
    dampening: float = 0,
    weight_decay: float = 0,
) -> None:
    """b ← μ·b + (1−d)·g,  θ ← θ − lr·b,  where b = g at the first step

    PyTorch's form: b is a sum of the gradients, 1/(1−μ) times as large as the textbook's average. The
    first gradient is copied, dampening d or not.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    _accumulate(momentum_buffer, grad, step, momentum, dampening)
    param -= lr * momentum_buffer


@plain_numbers
def nesterov_step(
    param: np.ndarray,
    grad: np.ndarray,
    momentum_buffer: np.ndarray,
    *,
    step: int,
    lr: float,
    momentum: float,
    weight_decay: float = 0,
) -> None:
    """b ← μ·b + g,  θ ← θ − lr·(g + μ·b),  where b = g at the first step

    Nesterov takes the gradient where momentum is about to carry θ. Here θ itself is that point, looking
    ahead by −lr·μ·b, so that g is an ordinary gradient at θ.

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    _accumulate(momentum_buffer, grad, step, momentum)
    param -= lr * (grad + momentum * momentum_buffer)


@plain_numbers
def rmsprop_step(
    param: np.ndarray,
    grad: np.ndarray,
    square_avg: np.ndarray,
    grad_avg: np.ndarray | None = None,
    momentum_buffer: np.ndarray | None = None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0,
    momentum: float = 0,
) -> None:
    """s ← α·s + (1−α)·g²,  θ ← θ − lr · g/(√s + ε)

    Centered, with `grad_avg`: a ← α·a + (1−α)·g, and √(s − a²), the deviation about the mean, in place of √s.
    With `momentum_buffer`: b ← μ·b + g/(√s + ε), θ ← θ − lr·b.

    Hinton, Neural Networks for Machine Learning, lecture 6, 2012;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    square_avg *= alpha
    square_avg += (1 - alpha) * grad * grad
    variance = square_avg
    if grad_avg is not None:
        _average(grad_avg, grad, alpha)
        variance = square_avg - grad_avg * grad_avg
    denominator = np.sqrt(variance) + eps
    if momentum_buffer is None:
        param -= lr * grad / denominator
    else:
        momentum_buffer *= momentum
        momentum_buffer += grad / denominator
        param -= lr * momentum_buffer


@plain_numbers
def adam_step(
    param: np.ndarray,
    grad: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    max_exp_avg_sq: np.ndarray | None = None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float = 0,
) -> None:
    """m ← β₁·m + (1−β₁)·g,  v ← β₂·v + (1−β₂)·g²,  θ ← θ − lr · m/(1−β₁ᵗ) / (√v/√(1−β₂ᵗ) + ε)

    m and v start at 0; the two factors 1−βᵗ, the weights handed out so far, correct them for it.
    AMSGrad, with `max_exp_avg_sq`: the largest v so far, uncorrected, in place of v under the root.

    Kingma and Ba, Adam, 2015; Reddi et al., On the convergence of Adam and beyond, 2018;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """
    beta1, beta2 = betas
    correction1, correction2 = 1 - beta1**step, 1 - beta2**step
    if weight_decay != 0:
        grad = grad + weight_decay * param
    _average(exp_avg, grad, beta1)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * grad * grad
    if max_exp_avg_sq is not None:
        exp_avg_sq = np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
    denominator = np.sqrt(exp_avg_sq) / correction2**0.5 + eps
    param -= lr / correction1 * exp_avg / denominator


@plain_numbers
def adamw_step(
    param: np.ndarray,
    grad: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    max_exp_avg_sq: np.ndarray | None = None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """θ ← (1 − lr·λ)·θ, then Adam without weight decay

    The decay does not pass through m and v, so that √v does not divide it.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2019;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """
    param *= 1 - lr * weight_decay
    adam_step(param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, step=step, lr=lr, betas=betas, eps=eps)


def _accumulate(
    momentum_buffer: np.ndarray, grad: np.ndarray, step: int, momentum: float, dampening: float = 0
) -> None:
    """b ← μ·b + (1−d)·g, and b = g at the first step."""
    if step == 1:
        momentum_buffer[...] = grad
    else:
        momentum_buffer *= momentum
        momentum_buffer += (1 - dampening) * grad


def _average(average: np.ndarray, value: np.ndarray, beta: float) -> None:
    """a ← β·a + (1−β)·x

    Written as a step from the one of the two that weighs more, as `torch.lerp` does, so that β = 0 leaves
    exactly x, and an infinite average and a finite x give NaN or infinity where PyTorch has them.
    """
    if beta > 0.5:
        average += (1 - beta) * (value - average)
    else:
        average[...] = value - beta * (value - average)


class Optimizer:
    """What all optimizers share: parameters, state, and `step`.

    `rule` is the function that changes one block; `state` maps PyTorch's name of each buffer to a list of
    arrays, one for each parameter; `steps` counts the calls of `step`; `lr` may be changed between them, and
    `initial_lr` is what it was before a scheduler did (None if there is none).
    """

    rule: Callable[..., None]

    @plain_numbers
    def __init__(self, params: Sequence[np.ndarray], lr: float, buffers: Sequence[str]) -> None:
        if isinstance(params, np.ndarray):
            raise TypeError("params: expected a list of arrays, got a single one")
        if not isinstance(params, Iterable):
            raise TypeError(f"params: expected a list of arrays, got {type(params).__name__}")
        self.params = list(params)
        if not self.params:
            raise ValueError("params: expected at least one array, got an empty list")
        for i, param in enumerate(self.params):
            check_floating(**{f"params[{i}]": param})
        check_not_negative(lr=lr)
        self.lr = lr
        self.initial_lr: float | None = None
        self.steps = 0
        self.state = {name: [np.zeros_like(param) for param in self.params] for name in buffers}

    def step(self, grads: Sequence[np.ndarray]) -> None:
        """Change every parameter in place.

        Args:
            grads: a gradient for each parameter, of its shape and dtype

        Raises:
            TypeError: a gradient that is None or of another dtype. (PyTorch leaves out a parameter whose
                gradient is None.)
            ValueError: a gradient of another shape, or another number of them.
        """
        if not isinstance(grads, list | tuple):
            raise TypeError(f"grads: expected a list of arrays, got {type(grads).__name__}")
        if len(grads) != len(self.params):
            raise ValueError(f"grads: expected {len(self.params)}, one for each parameter, got {len(grads)}")
        for i, (param, grad) in enumerate(zip(self.params, grads, strict=True)):
            check_floating(**{f"params[{i}]": param, f"grads[{i}]": grad})
            check_shape(f"grads[{i}]", grad, param.shape)
        self.steps += 1
        for arrays in zip(self.params, grads, *self.state.values(), strict=True):
            for param, grad, *state in _blocks(arrays):
                self.update(param, grad, **dict(zip(self.state, state, strict=True)))

    def update(self, param: np.ndarray, grad: np.ndarray, **state: np.ndarray) -> None:
        """Apply the rule, with this optimizer's hyperparameters, to one block."""
        raise NotImplementedError


def _blocks(arrays: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
    """The same stretch of every array, one after the other, as views.

    All in one where an array is not contiguous: `ravel` would copy it, and the update would be lost.
    """
    if not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.ravel() for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield [array[start : start + BLOCK] for array in flat]


class SGD(Optimizer):
    """Gradient descent; with `momentum`, PyTorch's form of momentum; with `nesterov`, Nesterov's.

    Args:
        params: arrays, changed in place
        lr: learning rate, ≥ 0
        momentum: μ ≥ 0; 0 keeps no buffer
        dampening: d ≥ 0
        weight_decay: λ ≥ 0
        nesterov: needs a momentum and no dampening

    Raises:
        TypeError: `params` is not a list of floating-point arrays.
        ValueError: no parameters, or a hyperparameter out of range.
    """

    @plain_numbers
    def __init__(
        self,
        params: Sequence[np.ndarray],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr, ["momentum_buffer"] if momentum != 0 else [])
        check_not_negative(momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                "nesterov: expected momentum > 0 and dampening = 0, "
                f"got momentum {momentum} and dampening {dampening}"
            )
        self.hyperparameters: dict[str, Any] = {"weight_decay": weight_decay}
        self.rule = sgd_step
        if nesterov:
            self.rule = nesterov_step
            self.hyperparameters |= {"momentum": momentum}
        elif momentum != 0:
            self.rule = sgd_momentum_step
            self.hyperparameters |= {"momentum": momentum, "dampening": dampening}

    def update(self, param: np.ndarray, grad: np.ndarray, **state: np.ndarray) -> None:
        """Apply the rule to one block; plain gradient descent has no first step to treat apart."""
        count = {"step": self.steps} if state else {}
        self.rule(param, grad, **state, **count, lr=self.lr, **self.hyperparameters)


class Momentum(Optimizer):
    """The textbook's momentum; `SGD` has PyTorch's.

    Args:
        params: arrays, changed in place
        lr: learning rate, ≥ 0
        beta: β, from 0 to below 1

    Raises:
        TypeError: `params` is not a list of floating-point arrays.
        ValueError: no parameters, or a hyperparameter out of range.
    """

    @plain_numbers
    def __init__(self, params: Sequence[np.ndarray], lr: float, beta: float = 0.9) -> None:
        super().__init__(params, lr, ["velocity"])
        self.rule = momentum_step
        _check_decay_rate("beta", beta)
        self.beta = beta

    def update(self, param: np.ndarray, grad: np.ndarray, **state: np.ndarray) -> None:
        """Apply the rule to one block."""
        self.rule(param, grad, **state, lr=self.lr, beta=self.beta)


class RMSprop(Optimizer):
    """RMSProp, also centered and with momentum.

    Args:
        params: arrays, changed in place
        lr: learning rate, ≥ 0
        alpha: α, from 0 to below 1
        eps: ε ≥ 0, added outside the root
        weight_decay: λ ≥ 0
        momentum: μ ≥ 0; 0 keeps no buffer
        centered: divide by the deviation about the mean

    Raises:
        TypeError: `params` is not a list of floating-point arrays.
        ValueError: no parameters, or a hyperparameter out of range.
    """

    @plain_numbers
    def __init__(
        self,
        params: Sequence[np.ndarray],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        wanted = {"square_avg": True, "grad_avg": centered, "momentum_buffer": momentum != 0}
        super().__init__(params, lr, [name for name in wanted if wanted[name]])
        self.rule = rmsprop_step
        _check_decay_rate("alpha", alpha)
        check_not_negative(eps=eps, weight_decay=weight_decay, momentum=momentum)
        self.hyperparameters: dict[str, Any] = {
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
        }

    def update(self, param: np.ndarray, grad: np.ndarray, **state: np.ndarray) -> None:
        """Apply the rule to one block."""
        self.rule(param, grad, **state, lr=self.lr, **self.hyperparameters)


class Adam(Optimizer):
    """Adam, also AMSGrad.

    Args:
        params: arrays, changed in place
        lr: learning rate, ≥ 0
        betas: β₁ and β₂, each from 0 to below 1
        eps: ε ≥ 0, added outside the root
        weight_decay: λ ≥ 0
        amsgrad: divide by the largest second moment so far

    Raises:
        TypeError: `params` is not a list of floating-point arrays.
        ValueError: no parameters, or a hyperparameter out of range.
    """

    @plain_numbers
    def __init__(
        self,
        params: Sequence[np.ndarray],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])])
        self.rule = adam_step
        for i, beta in enumerate(betas):
            _check_decay_rate(f"betas[{i}]", beta)
        check_not_negative(eps=eps, weight_decay=weight_decay)
        self.hyperparameters: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}

    def update(self, param: np.ndarray, grad: np.ndarray, **state: np.ndarray) -> None:
        """Apply the rule to one block."""
        self.rule(param, grad, **state, step=self.steps, lr=self.lr, **self.hyperparameters)


class AdamW(Adam):
    """Adam with decoupled weight decay: the same arguments and errors, and a `weight_decay` of 0.01."""

    @plain_numbers
    def __init__(
        self,
        params: Sequence[np.ndarray],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
        self.rule = adamw_step


def _check_decay_rate(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number >= 0 and < 1, got {value}")
