"""Is a backward pass right? Two-sided differences, and `torch.autograd.gradcheck`."""

from collections.abc import Callable

import torch

from torch_ref.checks import check_floating, check_shape, dtype_name


@torch.no_grad()
def numerical_gradient(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, eps: float = 1e-6
) -> torch.Tensor:
    """∂f/∂xᵢ ≈ (f(x + ε·eᵢ) − f(x − ε·eᵢ))/(2ε), one element after the other

    Args:
        f: from a tensor of the shape of x to a number
        x: float64, of any shape, where f is smooth within ±ε
        eps: ε > 0

    Raises:
        TypeError: x is float32, in which the difference of two f is mostly rounding error.
        ValueError: ε is not a positive number.
    """
    check_precision(x)
    check_eps(eps)
    steps = eps * torch.eye(x.numel(), dtype=x.dtype, device=x.device).reshape(-1, *x.shape)
    differences = torch.stack([f(x + step) - f(x - step) for step in steps])
    return (differences / (2 * eps)).reshape(x.shape)


def relative_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """‖a − b‖/(‖a‖ + ‖b‖): 0 where they are equal, even if zero, and 1 at most

    Args:
        a: of any shape
        b: of the same shape

    Raises:
        TypeError: not floating, or not of one dtype.
        ValueError: two shapes.
    """
    check_floating(a=a, b=b)
    check_shape("b", b, a.shape)
    size = a.norm() + b.norm()
    return (a - b).norm() / size if size > 0 else size


def gradient_check(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, gradient: torch.Tensor, eps: float = 1e-6
) -> torch.Tensor:
    """The relative error of `gradient`, f's gradient at x, against the numerical one

    Arguments and errors as `numerical_gradient`; also ValueError for a gradient of another shape than x.
    """
    check_precision(x)
    check_floating(x=x, gradient=gradient)
    check_shape("gradient", gradient, x.shape)
    return relative_error(gradient, numerical_gradient(f, x, eps))


def gradcheck(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, eps: float = 1e-6) -> bool:
    """PyTorch's own verdict on autograd's gradient of f at x

    `torch.autograd.gradcheck` compares element by element and asks that

        |analytical − numerical| ≤ atol + rtol·|numerical|,        atol = 1e-5, rtol = 1e-3

    while the textbook's criterion is one number for the whole gradient, ‖a − b‖/(‖a‖ + ‖b‖) < 1e-7. A
    gradient that is wrong by less than a thousandth passes PyTorch's and fails the textbook's. PyTorch only
    warns where x is float32; here it is an error.

    Args:
        f: from a tensor of the shape of x to a number
        x: float64, of any shape
        eps: ε > 0

    Raises:
        TypeError: x is float32.
        ValueError: ε is not a positive number.

    https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """
    check_precision(x)
    check_eps(eps)
    return torch.autograd.gradcheck(f, x.detach().requires_grad_(), eps=eps, raise_exception=False)


def check_precision(x: torch.Tensor) -> None:
    """Raise TypeError unless x is float64."""
    check_floating(x=x)
    if x.dtype.itemsize < 8:
        raise TypeError(f"x: expected float64 or longer, got {dtype_name(x)}")


def check_eps(eps: float) -> None:
    """Raise ValueError unless ε is a positive number."""
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps: expected a finite number > 0, got {eps}")
