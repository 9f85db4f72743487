"""Is a backward pass right? Two-sided differences, and `torch.autograd.gradcheck`."""

from collections.abc import Callable

import torch


@torch.no_grad()
def numerical_gradient(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, eps: float = 1e-6
) -> torch.Tensor:
    """∂f/∂xᵢ ≈ (f(x + ε·eᵢ) − f(x − ε·eᵢ))/(2ε), one element after the other

    x should be float64: in float32 the difference of two f is mostly rounding error.
    """
    steps = eps * torch.eye(x.numel(), dtype=x.dtype, device=x.device).reshape(-1, *x.shape)
    differences = torch.stack([f(x + step) - f(x - step) for step in steps])
    return (differences / (2 * eps)).reshape(x.shape)


def relative_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """‖a − b‖/(‖a‖ + ‖b‖): 0 where they are equal, even if zero, and 1 at most"""
    size = a.norm() + b.norm()
    return (a - b).norm() / size if size > 0 else size


def gradient_check(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, gradient: torch.Tensor, eps: float = 1e-6
) -> torch.Tensor:
    """The relative error of `gradient`, f's gradient at x, against the numerical one"""
    return relative_error(gradient, numerical_gradient(f, x, eps))


def gradcheck(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, eps: float = 1e-6) -> bool:
    """PyTorch's own verdict on autograd's gradient of f at x

    `torch.autograd.gradcheck` compares element by element and asks that

        |analytical − numerical| ≤ atol + rtol·|numerical|,        atol = 1e-5, rtol = 1e-3

    while the textbook's criterion is one number for the whole gradient, ‖a − b‖/(‖a‖ + ‖b‖) < 1e-7. A
    gradient that is wrong by less than a thousandth passes PyTorch's and fails the textbook's.
    """
    return torch.autograd.gradcheck(f, x.detach().requires_grad_(), eps=eps, raise_exception=False)
