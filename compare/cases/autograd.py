"""How PyTorch is asked for the gradients that scratch computes by hand."""

import torch


def differentiable(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, now one that autograd gives a gradient for: of integers there is none."""
    return tensor.requires_grad_() if tensor.is_floating_point() or tensor.is_complex() else tensor


def gradients(
    output: torch.Tensor, upstream: torch.Tensor | None = None, **inputs: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Autograd's gradients of `output` under the names that the scratch side uses: grad.<input>

    Those of Σ y·dy are those of y for the upstream gradient dy, to the bit. Asked for with dy itself, PyTorch
    first imports a library for symbols, which takes as long as all the rest: so it refuses what does not fit.
    """
    inputs = {name: tensor for name, tensor in inputs.items() if tensor.requires_grad}
    if not inputs:
        return {}
    fits = upstream is not None and (upstream.shape, upstream.dtype) == (output.shape, output.dtype)
    if upstream is not None and fits and output.is_floating_point():
        output, upstream = (output * upstream).sum(), None
    found = torch.autograd.grad(output, list(inputs.values()), upstream)
    return {f"grad.{name}": gradient for name, gradient in zip(inputs, found, strict=True)}
