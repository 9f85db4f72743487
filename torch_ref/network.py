"""The L-layer network as a `torch.nn.Sequential`; autograd is its backward pass."""

import itertools
import os
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from torch_ref.activations import ACTIVATIONS
from torch_ref.checks import check_choice, check_not_negative, check_probability, check_shape, dtype_name
from torch_ref.initializers import INITIALIZERS
from torch_ref.linear import Linear
from torch_ref.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch_ref.regularization import l2_penalty

LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "mse_loss": mse_loss,
}


class Network(nn.Sequential):
    """A fully connected network, from a description.

    Args:
        widths: features of the input, of each hidden layer, and of the output
        generator: draws the initial weights (None: PyTorch's default one, which `nn.Dropout` uses too)
        activation: relu, leaky_relu, tanh or sigmoid, after every hidden layer
        batch_norm: normalise in front of every activation; the linear layer then has no bias
        dropout: probability with which a hidden activation is zeroed in training
        init: how weights start (a name of `torch_ref.initializers`), biases being 0; "default" keeps
            what `nn.Linear` starts with
        loss: cross_entropy, binary_cross_entropy_with_logits or mse_loss
        l2: λ of the penalty (λ/2m)·Σ‖W‖² on the weights of the linear layers, m the size of the batch
        dtype, device: of everything

    Raises:
        ValueError: an argument out of its range, or a name that does not exist.
    """

    def __init__(
        self,
        widths: Sequence[int],
        generator: torch.Generator | None = None,
        *,
        activation: str = "relu",
        batch_norm: bool = False,
        dropout: float = 0.0,
        init: str = "kaiming_normal",
        loss: str = "cross_entropy",
        l2: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        check_widths(widths)
        check_choice("activation", activation, tuple(ACTIVATIONS))
        check_probability("dropout", dropout)
        check_choice("init", init, (*INITIALIZERS, "default"))
        check_choice("loss", loss, tuple(LOSSES))
        check_not_negative(l2=l2)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        last = len(widths) - 1
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
            hidden = i < last
            bias = not (hidden and batch_norm)
            layers[f"linear{i}"] = Linear(fan_in, fan_out, bias=bias, dtype=dtype, device=device)
            if hidden and batch_norm:
                layers[f"batch_norm{i}"] = nn.BatchNorm1d(fan_out, dtype=dtype, device=device)
            if hidden:
                layers[f"{activation}{i}"] = ACTIVATIONS[activation]()
            if hidden and dropout > 0:
                layers[f"dropout{i}"] = nn.Dropout(dropout)
        super().__init__(layers)
        self.loss = LOSSES[loss]
        self.l2 = l2
        if init != "default":
            for linear in self.linear_layers():
                INITIALIZERS[init](linear.weight, generator=generator)
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)

    def linear_layers(self) -> list[Linear]:
        """The layers whose weights the penalty is about."""
        return [layer for layer in self if isinstance(layer, Linear)]

    def cost(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of the batch + (λ/2m)·Σ‖W‖²; `.backward()` on it gives all gradients."""
        loss = self.loss(logits, targets)
        if self.l2:
            weights = [linear.weight for linear in self.linear_layers()]
            loss = loss + l2_penalty(weights, self.l2, len(logits))
        return loss

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """The class of each row, in evaluation mode: the largest logit, or logit > 0 if there is one."""
        modes = {module: module.training for module in self.modules()}
        try:
            logits = self.eval()(x)
        finally:
            for module, training in modes.items():
                module.training = training
        return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)

    def save(self, path: str | Path) -> None:
        """Write `state_dict()` to a .pt file, whole or not at all."""
        partial = Path(f"{path}.{uuid.uuid4().hex}.partial")  # nobody else's
        try:
            with partial.open("wb") as file:  # given a path, PyTorch 2.6 says nothing of a full disk
                torch.save(self.state_dict(), file)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def load(self, path: str | Path) -> None:
        """Read what `save` wrote, here or by way of `compare.training.weights` from NumPy.

        Raises:
            ValueError: no such file of weights (see `read_state`), a name is missing or unknown, or a shape
                differs; nothing is copied then.
            TypeError: a dtype differs (`load_state_dict` would convert it silently).
            OSError: the file can not be read.
        """
        own, state = self.state_dict(), read_state(path)
        if own.keys() != state.keys():
            raise ValueError(
                f"{path}: state: expected the arrays of this network, "
                f"missing {sorted(own.keys() - state.keys())}, unknown {sorted(state.keys() - own.keys())}"
            )
        for name, tensor in own.items():
            check_shape(f"{path}: {name}", state[name], tensor.shape)
            if state[name].dtype != tensor.dtype:
                raise TypeError(
                    f"{path}: {name}: expected {dtype_name(tensor)}, got {dtype_name(state[name])}"
                )
        self.load_state_dict(state)


def read_state(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a .pt file by name, on the CPU. Nothing that a stranger puts into it is run.

    Raises:
        ValueError: not a .pt file, a damaged one, or one with something else than tensors by name in it.
        OSError: the file can not be read.
    """
    with open(path, "rb") as file:
        try:
            if zipfile.is_zipfile(file) and zipfile.ZipFile(file).testzip():  # PyTorch checks no checksums
                raise ValueError
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # PyTorch's own message may say how to run the stranger's code all the same
            raise ValueError(f"{path}: expected a .pt file of tensors by name, and a whole one") from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        for name, tensor in state.items()
    ):
        raise ValueError(f"{path}: expected a .pt file of tensors by name, and of nothing else")
    return state


def check_widths(widths: Sequence[int]) -> None:
    """Raise ValueError unless there are at least an input and an output width, each an integer ≥ 1."""
    if len(widths) < 2 or not all(isinstance(width, int) and width >= 1 for width in widths):
        raise ValueError(f"widths: expected at least two integers >= 1, got {tuple(widths)}")
