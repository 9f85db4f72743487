"""Optimizers: gradient descent, momentum, Nesterov, Adagrad, RMSProp, Adam, AdamW, NAdam, Lion.

A rule is a plain function. It changes `param` (θ in the formulas) and its state in place; `grad` (g) it
only reads; all these arrays have one shape and one dtype. t, the argument `step`, counts from 1. With weight
decay λ the rules use g + λθ, the gradient of the cost plus (λ/2)‖θ‖², in place of g; AdamW and Lion do not.

A class keeps the state and runs its rule, with the constructor of its PyTorch twin; `params` may be groups,
and `maximize` goes uphill. All classes raise

    TypeError: `params` is not a list of floating-point arrays, or of groups of such
    ValueError: no parameters, or a hyperparameter that is unknown or out of range
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.optimizer import Optimizer


@expects()
def sgd_step(param: np.ndarray, grad: np.ndarray, *, lr: float, weight_decay: float = 0) -> None:
    """θ ← θ − lr·g

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    param -= lr * grad


@expects()
def momentum_step(
    param: np.ndarray, grad: np.ndarray, velocity: np.ndarray, *, lr: float, beta: float
) -> None:
    """v ← β·v + (1−β)·g,  θ ← θ − lr·v

    The textbook's form: v, which starts at 0, is an average of the gradients.
    """
    velocity *= beta
    velocity += (1 - beta) * grad
    param -= lr * velocity


@expects()
def sgd_momentum_step(
    param: np.ndarray, grad: np.ndarray, momentum_buffer: np.ndarray,
    *, step: int, lr: float, momentum: float, dampening: float = 0, weight_decay: float = 0,
) -> None:  # fmt: skip
    """b ← μ·b + (1−d)·g,  θ ← θ − lr·b,  where b = g at the first step

    PyTorch's form: b is a sum of the gradients, 1/(1−μ) times as large as the textbook's average. The
    first gradient is copied, whatever the dampening d.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    if step == 1:
        momentum_buffer[...] = grad
    else:
        momentum_buffer *= momentum
        momentum_buffer += (1 - dampening) * grad
    param -= lr * momentum_buffer


@expects()
def nesterov_step(
    param: np.ndarray, grad: np.ndarray, momentum_buffer: np.ndarray,
    *, step: int, lr: float, momentum: float, weight_decay: float = 0,
) -> None:  # fmt: skip
    """b ← μ·b + g,  θ ← θ − lr·(g + μ·b),  where b = g at the first step

    Nesterov takes the gradient where momentum is about to carry θ. Here θ itself is that point, looking
    ahead by −lr·μ·b, so that g is an ordinary gradient at θ.

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    if step == 1:
        momentum_buffer[...] = grad
    else:
        momentum_buffer *= momentum
        momentum_buffer += grad
    param -= lr * (grad + momentum * momentum_buffer)


@expects()
def adagrad_step(
    param: np.ndarray, grad: np.ndarray, sum: np.ndarray,
    *, step: int, lr: float, eps: float, lr_decay: float = 0, weight_decay: float = 0,
) -> None:  # fmt: skip
    """s ← s + g²,  θ ← θ − lr/(1 + (t−1)·η) · g/(√s + ε)

    s is called `sum`, as in PyTorch. It only grows, so that the steps shrink like 1/√t by themselves;
    η = `lr_decay` shrinks them further, from the second one on.

    Duchi et al., Adaptive subgradient methods for online learning and stochastic optimization, 2011;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html
    """
    if weight_decay != 0:
        grad = grad + weight_decay * param
    sum += grad * grad
    param -= lr / (1 + (step - 1) * lr_decay) * grad / (np.sqrt(sum) + eps)


@expects()
def rmsprop_step(
    param: np.ndarray, grad: np.ndarray,
    square_avg: np.ndarray, grad_avg: np.ndarray | None = None, momentum_buffer: np.ndarray | None = None,
    *, lr: float, alpha: float, eps: float, weight_decay: float = 0, momentum: float = 0,
) -> None:  # fmt: skip
    """s ← α·s + (1−α)·g²,  θ ← θ − lr · g/(√s + ε)

    Centered, with `grad_avg`: a ← α·a + (1−α)·g, and √(s − a²), the deviation from the mean, in place of √s.
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


@expects()
def adam_step(
    param: np.ndarray, grad: np.ndarray,
    exp_avg: np.ndarray, exp_avg_sq: np.ndarray, max_exp_avg_sq: np.ndarray | None = None,
    *, step: int, lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0,
) -> None:  # fmt: skip
    """m ← β₁·m + (1−β₁)·g,  v ← β₂·v + (1−β₂)·g²,  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ),  θ ← θ − lr·m̂/(√v̂ + ε)

    m and v start at 0, so that they are averages with weights that add up to 1−βᵗ only: the division by
    it makes up for that. AMSGrad, with `max_exp_avg_sq`: the largest v so far, uncorrected, in place of v.

    Kingma and Ba, Adam, 2015; Reddi et al., On the convergence of Adam and beyond, 2018;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
    """
    beta1, beta2 = betas
    correction1 = 1 - beta1**step
    correction2 = 1 - beta2**step
    if weight_decay != 0:
        grad = grad + weight_decay * param
    _average(exp_avg, grad, beta1)
    exp_avg_sq *= beta2
    square = (1 - beta2) * grad  # here and below in place: a new array for each operation takes time
    square *= grad
    exp_avg_sq += square
    if max_exp_avg_sq is not None:
        exp_avg_sq = np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
    denominator = np.sqrt(exp_avg_sq)
    denominator /= correction2**0.5
    denominator += eps
    change = lr / correction1 * exp_avg
    change /= denominator
    param -= change


@expects()
def adamw_step(
    param: np.ndarray, grad: np.ndarray,
    exp_avg: np.ndarray, exp_avg_sq: np.ndarray, max_exp_avg_sq: np.ndarray | None = None,
    *, step: int, lr: float, betas: tuple[float, float], eps: float, weight_decay: float,
) -> None:  # fmt: skip
    """θ ← (1 − lr·λ)·θ, then Adam without weight decay

    The decay does not pass through m and v, so that √v does not divide it.

    Loshchilov and Hutter, Decoupled weight decay regularization, 2019;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """
    param *= 1 - lr * weight_decay
    adam_step(param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, step=step, lr=lr, betas=betas, eps=eps)


@expects()
def nadam_step(
    param: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray, exp_avg_sq: np.ndarray, mu_product: np.ndarray,
    *, step: int, lr: float, betas: tuple[float, float], eps: float, momentum_decay: float,
    weight_decay: float = 0, decoupled_weight_decay: bool = False,
) -> None:  # fmt: skip
    """θ ← θ − lr · ((1−μₜ)·g/(1−Π) + μₜ₊₁·m/(1−Π·μₜ₊₁)) / (√(v/(1−β₂ᵗ)) + ε)

    Adam's m and v, with Nesterov's look-ahead: m already weighs as it will in the next step, by a momentum
    that grows from β₁/2 to β₁, μₜ = β₁·(1 − ½·0.96^(tψ)) with ψ = `momentum_decay`. The correction has the
    product of all of them, Π = μ₁·…·μₜ, for β₁ᵗ; `mu_product`, an array without dimensions, keeps it from 1.
    With `decoupled_weight_decay`, first θ ← (1 − lr·λ)·θ, as in AdamW, in place of g + λθ.

    Dozat, Incorporating Nesterov momentum into Adam, 2016;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """
    beta1, beta2 = betas
    mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    if weight_decay != 0 and decoupled_weight_decay:
        param *= 1 - lr * weight_decay
    elif weight_decay != 0:
        grad = grad + weight_decay * param
    mu_product *= mu
    product = mu_product.item()
    _average(exp_avg, grad, beta1)
    exp_avg_sq *= beta2
    exp_avg_sq += (1 - beta2) * grad * grad
    denominator = np.sqrt(exp_avg_sq / (1 - beta2**step)) + eps
    param -= lr * (1 - mu) / (1 - product) * grad / denominator
    param -= lr * mu_next / (1 - product * mu_next) * exp_avg / denominator


@expects()
def lion_step(
    param: np.ndarray, grad: np.ndarray, exp_avg: np.ndarray,
    *, lr: float, betas: tuple[float, float], weight_decay: float = 0,
) -> None:  # fmt: skip
    """θ ← (1 − lr·λ)·θ − lr · sign(β₁·m + (1−β₁)·g),  then m ← β₂·m + (1−β₂)·g

    Every element takes a step of the same length, lr, or none where the sign is 0. With β₁ < β₂ the step
    gives the last gradient more weight than the average does that is kept.

    Chen et al., Symbolic discovery of optimization algorithms, 2023, https://arxiv.org/abs/2302.06675
    """
    beta1, beta2 = betas
    param *= 1 - lr * weight_decay
    param -= lr * np.sign(beta1 * exp_avg + (1 - beta1) * grad)
    exp_avg *= beta2
    exp_avg += (1 - beta2) * grad


def _average(average: np.ndarray, value: np.ndarray, beta: float) -> None:
    """a ← β·a + (1−β)·x

    Written as a step from whichever of the two weighs more, as `torch.lerp` does, so that β = 0 leaves
    exactly x, and an infinite average and a finite x give NaN or infinity where PyTorch has them.
    """
    if beta > 0.5:
        change = value - average
        change *= 1 - beta
        average += change
    else:
        average[...] = value - beta * (value - average)


class SGD(Optimizer):
    """Gradient descent; with `momentum` μ PyTorch's form of momentum; with `nesterov` Nesterov's.

    Momentum 0 keeps no buffer. Nesterov's needs a momentum, and no `dampening` d.
    """

    kept = ()

    @expects(momentum=">= 0", dampening=">= 0", weight_decay=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        _check_nesterov(nesterov, momentum, dampening)
        rule: Callable[..., None] = sgd_step
        takes = ["weight_decay"]
        if nesterov:
            rule, takes = nesterov_step, [*takes, "momentum"]
        elif momentum != 0:
            rule, takes = sgd_momentum_step, [*takes, "momentum", "dampening"]
        super().__init__(
            params, lr, rule, ["momentum_buffer"] if momentum != 0 else [], takes=takes, counts=momentum != 0,
            momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize,
        )  # fmt: skip


class Momentum(Optimizer):
    """The textbook's momentum; `SGD` has PyTorch's."""

    kept = ()

    @expects(beta=">= 0, < 1")
    def __init__(self, params: Sequence[Any], lr: float, beta: float = 0.9) -> None:
        super().__init__(params, lr, momentum_step, ["velocity"], takes=["beta"], counts=False, beta=beta)


class Adagrad(Optimizer):
    """Adagrad, whose sum of squares starts at `initial_accumulator_value`."""

    @expects(lr_decay=">= 0", weight_decay=">= 0", initial_accumulator_value=">= 0", eps=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        takes: dict[str, Any] = {"eps": eps, "lr_decay": lr_decay, "weight_decay": weight_decay}
        super().__init__(
            params, lr, adagrad_step, ["sum"], takes=[*takes], counts=True,
            starts={"sum": initial_accumulator_value}, **takes,
            initial_accumulator_value=initial_accumulator_value, maximize=maximize,
        )  # fmt: skip


class RMSprop(Optimizer):
    """RMSProp; with `momentum` μ also a buffer; `centered` divides by the deviation from the mean."""

    @expects(alpha=">= 0, < 1", eps=">= 0", weight_decay=">= 0", momentum=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        kept = {"square_avg": True, "grad_avg": centered, "momentum_buffer": momentum != 0}
        buffers = [name for name, is_kept in kept.items() if is_kept]
        takes: dict[str, Any] = {
            "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
        }  # fmt: skip
        super().__init__(
            params, lr, rmsprop_step, buffers, takes=[*takes], counts=False, **takes, centered=centered,
            maximize=maximize,
        )  # fmt: skip


class Adam(Optimizer):
    """Adam; `amsgrad` divides by the root of the largest second moment so far."""

    @expects(betas=">= 0, < 1", eps=">= 0", weight_decay=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        buffers = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else [])]
        takes: dict[str, Any] = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(
            params, lr, adam_step, buffers, takes=[*takes], counts=True, **takes, amsgrad=amsgrad,
            maximize=maximize,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 unless given."""

    @expects(betas=">= 0, < 1", eps=">= 0", weight_decay=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
        self.rule = adamw_step


class NAdam(Optimizer):
    """Adam with Nesterov's look-ahead, and a momentum that grows."""

    @expects(betas=">= 0, < 1", eps=">= 0", weight_decay=">= 0", momentum_decay=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        takes: dict[str, Any] = {
            "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(
            params, lr, nadam_step, ["exp_avg", "exp_avg_sq", "mu_product"], takes=[*takes], counts=True,
            starts={"mu_product": 1.0}, numbers=["mu_product"], **takes, maximize=maximize,
        )  # fmt: skip


class Lion(Optimizer):
    """Steps by the sign of an average of the gradients; PyTorch has it not."""

    kept = ()

    @expects(betas=">= 0, < 1", weight_decay=">= 0")
    def __init__(
        self, params: Sequence[Any], lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, lion_step, ["exp_avg"], takes=["betas", "weight_decay"], counts=False,
            betas=betas, weight_decay=weight_decay, maximize=maximize,
        )  # fmt: skip


def _check_nesterov(nesterov: bool, momentum: float, dampening: float) -> None:
    """Raise ValueError unless Nesterov's form has a momentum and no dampening."""
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError(
            "nesterov: expected momentum > 0 and dampening = 0, "
            f"got momentum {momentum} and dampening {dampening}"
        )
