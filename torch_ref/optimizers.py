"""Optimizers: those of `torch.optim`, and Lion, which it has not.

`Momentum`, the textbook's form, is `torch.optim.SGD` at another learning rate. `step` hands over gradients
that did not come from autograd.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

SGD = torch.optim.SGD
"""Gradient descent, momentum (b ← μ·b + (1−d)·g, θ ← θ − lr·b, b = g at first), Nesterov"""

Adagrad = torch.optim.Adagrad
"""Adagrad with ε outside the root: lr/(1 + (t−1)·lr_decay) · g/(√s + ε)"""

RMSprop = torch.optim.RMSprop
"""RMSProp with ε outside the root: g/(√s + ε)

Centered, the root is taken of s − a². Where all gradients so far are equal and α is small, or after
many steps, nothing is left of it but rounding, and where that is negative PyTorch's result is NaN.
"""

Adam = torch.optim.Adam
"""Adam with ε outside the corrected root: m̂/(√v̂ + ε); AMSGrad with the largest uncorrected v"""

AdamW = torch.optim.AdamW
"""Adam after θ ← (1 − lr·λ)·θ"""


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
        super().__init__(params, lr, momentum=beta)
        for group in self.param_groups:
            for param in group["params"]:  # v starts at 0, and so does b: a copy of g would keep its −0
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


class NAdam(torch.optim.NAdam):
    """Adam with Nesterov's look-ahead, whose momenta's product has the dtype of the parameters

    PyTorch begins it as a float32, beside parameters in float64 too, until `load_state_dict` converts it to
    theirs: there a run that goes on from a checkpoint is not quite the run that never stopped.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Give the parameters of a group their state at once."""
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            self.state[param] = {
                "step": torch.tensor(0.0),
                "mu_product": torch.ones((), dtype=param.dtype),
                "exp_avg": torch.zeros_like(param),
                "exp_avg_sq": torch.zeros_like(param),
            }


class Lion(torch.optim.Optimizer):
    """θ ← (1 − lr·λ)·θ − lr · sign(β₁·m + (1−β₁)·g),  then m ← β₂·m + (1−β₂)·g"""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step with the gradients that there are, or that the closure leaves."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for param in group["params"]:
                if param.grad is None:
                    continue
                grad = -param.grad if group["maximize"] else param.grad
                if param not in self.state:
                    self.state[param]["exp_avg"] = torch.zeros_like(param)
                exp_avg = self.state[param]["exp_avg"]
                param.mul_(1 - group["lr"] * group["weight_decay"])
                param.add_((exp_avg * beta1 + grad * (1 - beta1)).sign(), alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)
        return loss


def step(optimizer: torch.optim.Optimizer, grads: Sequence[torch.Tensor]) -> None:
    """Set each parameter's gradient, as `backward` would, and take a step."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad
    optimizer.step()
