"""The L-layer network as a `torch.nn.Sequential`; autograd is its backward pass."""

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torch_ref.activations import ACTIVATIONS
from torch_ref.initializers import INITIALIZERS
from torch_ref.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch_ref.regularization import l2_penalty

LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "mse_loss": mse_loss,
}


class Network(nn.Sequential):
    """A fully connected network, from the description that `scratch.network.Network` takes

    `generator` draws the initial weights; None stands for PyTorch's default one, which `nn.Dropout` uses
    in any case. `init="default"` keeps what `nn.Linear` starts with, biases included; else these start at 0.
    A tensor among the `loss_options` is on the device of the logits.
    """

    def __init__(
        self,
        widths: Sequence[int],
        generator: torch.Generator | None = None,
        *,
        activation: str = "relu",
        negative_slope: float = 0.01,
        batch_norm: bool | Mapping[str, Any] = False,
        dropout: float | Sequence[float] = 0.0,
        init: str = "kaiming_normal",
        loss: str = "cross_entropy",
        loss_options: Mapping[str, Any] | None = None,
        l2: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        where: dict[str, Any] = {"dtype": dtype, "device": device}
        last = len(widths) - 1
        normalised = bool(batch_norm) or batch_norm == {}
        options = batch_norm if isinstance(batch_norm, Mapping) else {}
        dropouts = dropout if isinstance(dropout, Sequence) else [dropout] * (last - 1)
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
            hidden = i < last
            bias = not (hidden and normalised)
            layers[f"linear{i}"] = linear_layer(fan_in, fan_out, generator, bias=bias, **where)
            if hidden and normalised:
                layers[f"batch_norm{i}"] = nn.BatchNorm1d(fan_out, **options, **where)
            if hidden:
                slope = [negative_slope] if activation == "leaky_relu" else []
                layers[f"{activation}{i}"] = ACTIVATIONS[activation](*slope)
            if hidden and dropouts[i - 1]:
                layers[f"dropout{i}"] = nn.Dropout(dropouts[i - 1])
        super().__init__(layers)
        self.loss = LOSSES[loss]
        self.loss_options = dict(loss_options or {})
        self.l2 = l2
        if init != "default":
            smooth = activation in ("gelu", "silu", "softplus")  # PyTorch names no gain for them
            nonlinearity = "relu" if smooth else activation
            gain = {"nonlinearity": nonlinearity, "a": negative_slope} if init.startswith("kaiming") else {}
            for layer in self.linear_layers():
                INITIALIZERS[init](layer.weight, generator=generator, **gain)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def linear_layers(self) -> list[nn.Linear]:
        """The layers whose weights the penalty is about."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]

    def counted(self, targets: torch.Tensor) -> float:
        """What the mean loss of a batch divides by: its examples, or what its classes weigh."""
        if self.loss is not cross_entropy or targets.is_floating_point():
            return len(targets)
        classes = targets[targets != self.loss_options.get("ignore_index", -100)]
        weight = self.loss_options.get("weight")
        return len(classes) if weight is None else weight[classes].sum().item()

    def cost(self, logits: torch.Tensor, targets: torch.Tensor, *, batch: int | None = None) -> torch.Tensor:
        """Mean loss of the batch + (λ/2m)·Σ‖W‖²; m is `batch` where these are a part of one alone."""
        loss = self.loss(logits, targets, **self.loss_options)
        if self.l2:
            weights = [layer.weight for layer in self.linear_layers()]
            loss = loss + l2_penalty(weights, self.l2, batch or len(logits))
        return loss

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """The class of each row, 0 or 1 for each of several labels, or the outputs: by the loss."""
        logits = self.evaluate(x)
        if self.loss is mse_loss:
            return logits
        if self.loss is cross_entropy:
            return logits.argmax(dim=1)
        return (logits.squeeze(dim=1) > 0).long()

    def predict_proba(self, x: torch.Tensor) -> torch.Tensor:
        """How probable each class is, or each label, in evaluation mode."""
        logits = self.evaluate(x)
        return logits.softmax(dim=1) if self.loss is cross_entropy else logits.sigmoid()

    @torch.no_grad()
    def evaluate(self, x: torch.Tensor) -> torch.Tensor:
        """Logits in evaluation mode; each module keeps its mode."""
        modes = {module: module.training for module in self.modules()}
        try:
            return self.eval()(x)
        finally:
            for module, training in modes.items():
                module.training = training

    def save(self, path: str | Path) -> None:
        """Write `state_dict()` to a .pt file."""
        torch.save(self.state_dict(), path)

    def load(self, path: str | Path) -> None:
        """Read what `save` wrote; nothing else that a stranger may have put into the file is run."""
        self.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def linear_layer(
    in_features: int, out_features: int, generator: torch.Generator | None, *, bias: bool, **options: Any
) -> nn.Linear:
    """An `nn.Linear` that starts as it does by itself, but from a generator of one's own"""
    layer = nn.utils.skip_init(nn.Linear, in_features, out_features, bias=bias, **options)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if bias:
        bound = 1 / math.sqrt(in_features)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
