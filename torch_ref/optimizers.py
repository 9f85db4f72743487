"""Optimizers: `torch.optim`, with the checks that `scratch` makes.

Each is the class of that name in `torch.optim`; `Momentum`, the textbook's form, is `torch.optim.SGD` at
another learning rate. `step` hands over gradients that did not come from autograd.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from torch_ref.checks import check_floating, check_not_negative, check_shape


class SGD(torch.optim.SGD):
    """Gradient descent, momentum (b ← μ·b + (1−d)·g, θ ← θ − lr·b, b = g at first), Nesterov."""

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        params = _checked(params, lr)
        check_not_negative(momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        _check_nesterov(nesterov, momentum, dampening)
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov)


class Momentum(torch.optim.SGD):
    """The textbook's momentum, by `torch.optim.SGD`.

        textbook:  v ← β·v + (1−β)·g, from v = 0;         θ ← θ − lr·v
        PyTorch:   b ← β·b + g, with b = g at the first;  θ ← θ − lr·b

    By induction v = (1−β)·b at every step, so PyTorch at the learning rate lr·(1−β) takes the same steps.
    `param_groups` keep the textbook's lr, so that a schedule sets what it means; the factor is put on
    within `step`. `velocity` gives v.

    `dampening=β` is not the same, although b ← β·b + (1−β)·g looks like it: PyTorch does not dampen the
    first gradient, b = g and not (1−β)·g, and the first step is 1/(1−β) times too long.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float, beta: float = 0.9) -> None:
        params = _checked(params, lr)
        _check_decay_rate("beta", beta)
        super().__init__(params, lr, momentum=beta)
        for param in params:  # v starts at 0, and so does b: a copy of the first gradient would keep its −0
            self.state[param]["momentum_buffer"] = torch.zeros_like(param)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take the step of `torch.optim.SGD` at the learning rate lr·(1−β)."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= 1 - group["momentum"]
        try:
            return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    def velocity(self, param: torch.Tensor) -> torch.Tensor:
        """v = (1−β)·b"""
        (beta,) = (g["momentum"] for g in self.param_groups if any(p is param for p in g["params"]))
        if beta == 0 and param.grad is not None:  # PyTorch then leaves the buffer alone
            return param.grad
        return (1 - beta) * self.state[param]["momentum_buffer"]


class RMSprop(torch.optim.RMSprop):
    """RMSProp with ε outside the root: g/(√s + ε).

    Centered, the root is taken of s − a². Where all gradients so far are equal and α is small, or after
    many steps, nothing is left of it but rounding, and where that is negative PyTorch's result is NaN.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        params = _checked(params, lr)
        _check_decay_rate("alpha", alpha)
        check_not_negative(eps=eps, weight_decay=weight_decay, momentum=momentum)
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


class Adam(torch.optim.Adam):
    """Adam with ε outside the corrected root: m̂/(√v̂ + ε); AMSGrad with the largest uncorrected v."""

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        params = _checked(params, lr)
        _check_adam(betas, eps, weight_decay)
        super().__init__(params, lr, (float(betas[0]), float(betas[1])), eps, weight_decay, amsgrad)


class AdamW(torch.optim.AdamW):
    """Adam after θ ← (1 − lr·λ)·θ."""

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        params = _checked(params, lr)
        _check_adam(betas, eps, weight_decay)
        super().__init__(params, lr, (float(betas[0]), float(betas[1])), eps, weight_decay, amsgrad)


def step(optimizer: torch.optim.Optimizer, grads: Sequence[torch.Tensor]) -> None:
    """Set each parameter's gradient, as `backward` would, and take a step.

    Raises:
        TypeError: a gradient of another dtype.
        ValueError: a gradient of another shape, or another number of them.
    """
    params = [param for group in optimizer.param_groups for param in group["params"]]
    if len(grads) != len(params):
        raise ValueError(f"grads: expected {len(params)}, one for each parameter, got {len(grads)}")
    for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
        check_floating(**{f"params[{i}]": param, f"grads[{i}]": grad})
        check_shape(f"grads[{i}]", grad, param.shape)
        param.grad = grad
    optimizer.step()


def _checked(params: Iterable[torch.Tensor], lr: float) -> list[torch.Tensor]:
    if isinstance(params, torch.Tensor):
        raise TypeError("params: expected a list of arrays, got a single one")
    params = list(params)
    if not params:
        raise ValueError("params: expected at least one array, got an empty list")
    for i, param in enumerate(params):
        check_floating(**{f"params[{i}]": param})
    check_not_negative(lr=lr)
    return params


def _check_nesterov(nesterov: bool, momentum: float, dampening: float) -> None:
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError(
            "nesterov: expected momentum > 0 and dampening = 0, "
            f"got momentum {momentum} and dampening {dampening}"
        )


def _check_adam(betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    if len(betas) != 2:
        raise ValueError(f"betas: expected two numbers, got {betas}")
    for i, beta in enumerate(betas):
        _check_decay_rate(f"betas[{i}]", beta)
    check_not_negative(eps=eps, weight_decay=weight_decay)


def _check_decay_rate(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}: expected a number >= 0 and < 1, got {value}")
