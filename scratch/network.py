"""The L-layer network: initialise → forward → cost → backward → update.

    x → [linear → batch norm → activation → dropout] for each hidden layer → linear → logits → cost

All parameters lie in one flat buffer and all gradients in another, and each layer's arrays are views of
them: an optimizer updates the whole network as if it were one long vector.
"""

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from scratch.activations import ACTIVATIONS, Activation, sigmoid_forward
from scratch.batch_norm import BatchNorm1d
from scratch.checks import check_floating, check_shape, check_state, expects
from scratch.files import read_state, write_state
from scratch.initializers import INITIALIZERS, NONLINEARITIES
from scratch.layer import one_pass
from scratch.linear import Linear
from scratch.losses import (
    binary_cross_entropy_with_logits_backward,
    binary_cross_entropy_with_logits_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    mse_loss_backward,
    mse_loss_forward,
)
from scratch.random import Generator
from scratch.regularization import Dropout, l2_gradient, l2_penalty
from scratch.softmax import softmax_forward

LOSSES: dict[str, tuple[Callable, Callable]] = {
    "cross_entropy": (cross_entropy_forward, cross_entropy_backward),
    "binary_cross_entropy_with_logits": (
        binary_cross_entropy_with_logits_forward,
        binary_cross_entropy_with_logits_backward,
    ),
    "mse_loss": (mse_loss_forward, mse_loss_backward),
}


class Network:
    """A fully connected network.

    Args:
        widths: features of the input, of each hidden layer, and of the output
        generator: draws the initial weights and, in training, the dropout masks
        activation: a name of `scratch.activations`, after every hidden layer
        negative_slope: of leaky_relu
        batch_norm: normalise in front of every activation; the linear layer then has no bias, since
            subtracting the batch mean would cancel it. `{"eps": 1e-3, "momentum": 0.01}` says how
        dropout: probability with which a hidden activation is zeroed in training, or a list of one for each
            hidden layer
        init: how weights start (a name of `scratch.initializers`; He's has the gain of the activation, that
            of relu for gelu, silu and softplus, for which PyTorch names none; Glorot's a gain of 1), with
            biases of 0; "default" keeps what the layers start with, weight and bias uniform on ±1/√fan_in
        loss: cross_entropy (targets: integer classes), binary_cross_entropy_with_logits or mse_loss
            (targets: floats of the shape of the output)
        loss_options: what the loss takes by name but a reduction, such as `{"label_smoothing": 0.1}` or
            `{"weight": …}` of each class
        l2: λ of the penalty (λ/2m)·Σ‖W‖² on the weights of the linear layers, m the size of the batch
        dtype: of everything

    Raises:
        ValueError: an argument out of its range, or a name that does not exist.

    PyTorch's twin is `torch.nn.Sequential`; parameters and running statistics have its names. A copy
    (`copy.deepcopy`, `pickle`) has buffers of its own; an optimizer that is copied together with its network,
    in one call, goes on with the copy.
    """

    @expects(
        generator="draws", activation=tuple(ACTIVATIONS), init=(*INITIALIZERS, "default"),
        loss=tuple(LOSSES), l2=">= 0",
    )  # fmt: skip
    def __init__(
        self, widths: Sequence[int], generator: Generator,
        *, activation: str = "relu", negative_slope: float = 0.01,
        batch_norm: bool | Mapping[str, Any] = False, dropout: float | Sequence[float] = 0.0,
        init: str = "kaiming_normal", loss: str = "cross_entropy",
        loss_options: Mapping[str, Any] | None = None, l2: float = 0.0, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        widths = checked_widths(widths)
        self._inputs = widths[0]
        self.l2 = l2
        self.training = True
        self._logits: np.ndarray | None = None  # of the last forward pass
        self._cost_of: np.ndarray | None = None  # the logits of the last cost
        self.loss = loss
        self._loss_forward, self._loss_backward = LOSSES[loss]
        self.loss_options = _loss_options(loss, loss_options or {})
        self.layers: dict[str, Any] = {}
        last = len(widths) - 1
        dropouts = _dropouts(dropout, last - 1)
        normalised = bool(batch_norm) or batch_norm == {}
        options = batch_norm if isinstance(batch_norm, Mapping) else {}
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
            hidden = i < last
            bias = not (hidden and normalised)
            self.layers[f"linear{i}"] = Linear(fan_in, fan_out, generator, bias=bias, dtype=dtype)
            if hidden and normalised:
                self.layers[f"batch_norm{i}"] = BatchNorm1d(fan_out, dtype=dtype, **options)
            if hidden:
                self.layers[f"{activation}{i}"] = Activation(activation, negative_slope)
            if hidden and dropouts[i - 1] > 0:
                self.layers[f"dropout{i}"] = Dropout(dropouts[i - 1], generator)
        if init != "default":
            nonlinearity = activation if activation in NONLINEARITIES else "relu"
            gain = {"nonlinearity": nonlinearity, "a": negative_slope} if init.startswith("kaiming") else {}
            self._initialise(init, generator, gain)
        self._move_into_one_buffer()

    def _initialise(self, init: str, generator: Generator, gain: Mapping[str, Any]) -> None:
        for linear in self._linear_layers():
            weight = linear.parameters["weight"]
            weight[...] = INITIALIZERS[init](weight.shape, generator, dtype=weight.dtype, **gain)
            if "bias" in linear.parameters:
                linear.parameters["bias"][...] = 0

    def _move_into_one_buffer(self) -> None:
        arrays = dict(self.named_parameters())
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.flat_parameters = np.concatenate([array.ravel() for array in arrays.values()])
        self.flat_gradients = np.zeros_like(self.flat_parameters)
        self._make_views()

    def _make_views(self) -> None:
        parameters, gradients = self.named(self.flat_parameters), self.named(self.flat_gradients)
        for name, layer in self.layers.items():
            for parameter in layer.parameters:
                layer.parameters[parameter] = parameters[f"{name}.{parameter}"]
                layer.gradients[parameter] = gradients[f"{name}.{parameter}"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copied arrays no longer share memory: make the layers' views of the buffers again."""
        self.__dict__ |= state
        self._make_views()

    def named(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a buffer that is laid out like `flat_parameters`, by name: "linear1.weight", …"""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            views[name] = flat[start : start + size].reshape(shape)
            start += size
        return views

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`forward`"""
        return self.forward(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Logits (batch, widths[-1]) of x (batch, widths[0]); each layer remembers what `backward` needs."""
        self._check_input(x)
        self._logits = None
        for layer in self.layers.values():
            x = layer.forward(x)
        self._logits = x
        return x

    def cost(self, logits: np.ndarray, targets: np.ndarray, *, batch: int | None = None) -> float:
        """Mean loss of the batch + (λ/2m)·Σ‖W‖²; m is `batch` where these are a part of one alone"""
        loss, self._loss_cache = self._loss_forward(logits, targets, **self.loss_options)
        self._cost_of = logits
        self._batch = batch or len(logits)
        if self.l2:
            weights = [linear.parameters["weight"] for linear in self._linear_layers()]
            loss = loss + l2_penalty(weights, self.l2, self._batch)
        return float(loss)

    def counted(self, targets: np.ndarray) -> float:
        """What the mean loss of a batch divides by, but for the outputs of an example

        The number of the examples; of classes the sum of their weights, without those that are ignored.
        """
        if targets.dtype.kind == "f":  # no classes
            return len(targets)
        classes = targets[targets != self.loss_options.get("ignore_index", -100)]
        weight = self.loss_options.get("weight")
        return len(classes) if weight is None else float(weight[classes].sum())

    def backward(self, *, input_gradient: bool = False) -> np.ndarray | None:
        """Fill `flat_gradients` with the gradient of the last `cost`; return dx if it is asked for.

        Raises:
            RuntimeError: the last `cost` was not that of the last `forward`, which is the one that the layers
                remember, or a state has been loaded since. (PyTorch's autograd remembers every pass.)
        """
        self._check_cost()
        dy = self._loss_backward(1.0, self._loss_cache)
        first, *later = self.layers.values()
        for layer in reversed(later):
            dy = layer.backward(dy)
        dx = first.backward(dy, input_gradient=input_gradient)
        if self.l2:
            for linear in self._linear_layers():
                weight = linear.parameters["weight"]
                linear.gradients["weight"] += l2_gradient(weight, self.l2, self._batch)
        return dx

    @one_pass()
    def cost_and_gradients(self, x: np.ndarray, targets: np.ndarray, *, batch: int | None = None) -> float:
        """`forward`, `cost` and `backward` at one go, for a training step: the gradients are filled

        The layers remember no copies, and forget them at the end: another `backward` needs another `forward`.
        """
        try:
            cost = self.cost(self.forward(x), targets, batch=batch)
            self.backward()
            return cost
        finally:
            self._forget()

    def parameters(self) -> list[np.ndarray]:
        """What an optimizer updates: the one flat buffer."""
        return [self.flat_parameters]

    def named_parameters(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every parameter with its PyTorch name, for groups: views of the flat buffer."""
        return (
            (f"{n}.{p}", array) for n, layer in self.layers.items() for p, array in layer.parameters.items()
        )

    def gradients(self, params: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """What an optimizer steps with: a gradient for each of its `params`

        These are `parameters()`, or arrays of `named_parameters()` in any order.

        Raises:
            ValueError: an array that is no parameter of this network.
        """
        if params is None or (len(params) == 1 and params[0] is self.flat_parameters):
            return [self.flat_gradients]
        gradients = self.named(self.flat_gradients)
        own = {id(array): gradients[name] for name, array in self.named_parameters()}
        for i, param in enumerate(params):
            if id(param) not in own:
                raise ValueError(
                    f"params[{i}]: expected one of network.named_parameters(), got another array"
                )
        return [own[id(param)] for param in params]

    def train(self, mode: bool = True) -> "Network":
        """Batch statistics and dropout on (or, with False, running statistics and no dropout)."""
        self.training = mode
        for layer in self.layers.values():
            layer.training = mode
        return self

    def eval(self) -> "Network":
        """The mode for predictions: running statistics, no dropout."""
        return self.train(False)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """What the network says of x, in evaluation mode, by its loss

        cross_entropy                       the class with the largest logit, (batch,)
        binary_cross_entropy_with_logits    1 where a logit is > 0, else 0, (batch, outputs); of one
                                            output (batch,)
        mse_loss                            the outputs, (batch, outputs)
        """
        logits = self._evaluate(x)
        if self.loss == "mse_loss":
            return logits
        if self.loss == "cross_entropy":
            return logits.argmax(axis=1)
        return ((logits[:, 0] if logits.shape[1] == 1 else logits) > 0).astype(np.int64)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """How probable each class is, or each label, in evaluation mode: (batch, outputs)

        Raises ValueError for a squared error, whose outputs are no probabilities.
        """
        if self.loss == "mse_loss":
            raise ValueError("predict_proba: expected a network that tells classes, got one with mse_loss")
        logits = self._evaluate(x)
        return softmax_forward(logits)[0] if self.loss == "cross_entropy" else sigmoid_forward(logits)[0]

    @one_pass()
    def _evaluate(self, x: np.ndarray) -> np.ndarray:
        """Logits in evaluation mode; the layers keep their mode, and what `backward` needs."""
        self._check_input(x)
        for layer in self.layers.values():
            evaluating = copy.copy(layer)
            evaluating.training = False
            x = evaluating.forward(x)
        return x

    def state_dict(self) -> dict[str, np.ndarray]:
        """Every parameter and running statistic by its PyTorch name (the arrays themselves, no copies)."""
        state = {}
        for name, layer in self.layers.items():
            for key, array in {**layer.parameters, **layer.buffers}.items():
                state[f"{name}.{key}"] = array
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy the arrays of `state` into the network.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs; nothing is copied then.
            TypeError: no arrays by name, or a dtype differs; nothing is copied then.
        """
        own = self.state_dict()
        check_state(state, own, "network")
        for name, array in own.items():
            array[...] = state[name]
        self._logits = None  # what the layers remember belongs to other parameters

    def save(self, path: str | Path) -> None:
        """Write `state_dict()` to an .npz file, whole or not at all."""
        write_state(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        """Read what `save` wrote, here or by way of `compare.training.weights` from PyTorch.

        Raises:
            ValueError, TypeError: as `load_state_dict`; ValueError also for no such file (see `read_state`).
            OSError: the file cannot be read.
        """
        state = read_state(path)
        try:
            self.load_state_dict(state)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path}: {error}") from None

    def _forget(self) -> None:
        """Let no `backward` go back through arrays that others may change from now on."""
        self._logits = self._cost_of = None
        for layer in self.layers.values():
            layer.cache = NotImplemented

    def _linear_layers(self) -> Iterator[Linear]:
        return (layer for layer in self.layers.values() if isinstance(layer, Linear))

    def _check_input(self, x: np.ndarray) -> None:
        """Raise unless x is (batch, features), of the network's dtype; names take time, so only in need."""
        if not isinstance(x, np.ndarray) or x.dtype != self.flat_parameters.dtype:
            check_floating(parameters=self.flat_parameters, x=x)
        if x.ndim != 2 or x.shape[1] != self._inputs:
            check_shape("x", x, (None, self._inputs))

    def _check_cost(self) -> None:
        """Raise RuntimeError unless the last `cost` is that of the last `forward`."""
        if self._cost_of is None:
            raise RuntimeError("backward: expected a cost before it, got none")
        if self._cost_of is not self._logits:
            raise RuntimeError(
                "backward: expected the cost of the last forward pass, got that of other logits or weights "
                "(`predict` is no such pass; another `forward` is)"
            )


def checked_widths(widths: Sequence[int]) -> list[int]:
    """As Python's integers; raise unless there are at least an input and an output width, each ≥ 1."""
    if not isinstance(widths, Sequence | np.ndarray) or isinstance(widths, str):
        raise TypeError(f"widths: expected at least two integers >= 1, got {widths!r}")
    if len(widths) < 2 or not all(isinstance(width, Integral) and width >= 1 for width in widths):
        raise ValueError(f"widths: expected at least two integers >= 1, got {tuple(widths)}")
    return [int(width) for width in widths]


def _loss_options(loss: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Raise ValueError for options that the loss does not take by name."""
    taken = [
        name for name, p in inspect.signature(LOSSES[loss][0]).parameters.items() if p.kind is p.KEYWORD_ONLY
    ]
    if unknown := options.keys() - taken:
        raise ValueError(
            f"loss_options: expected some of {', '.join(taken)}, got {', '.join(sorted(unknown))}"
        )
    return dict(options)


def _dropouts(dropout: float | Sequence[float], hidden: int) -> list[float]:
    """One probability for each hidden layer; raise unless there is one for all of them, or as many."""
    if np.ndim(dropout) == 0:
        return [_probability(dropout)] * hidden  # type: ignore[arg-type]
    each = [_probability(p) for p in dropout]  # type: ignore[union-attr]
    if len(each) != hidden:
        raise ValueError(f"dropout: expected {hidden} numbers, one for each hidden layer, got {len(each)}")
    return each


@expects(dropout="probability")
def _probability(dropout: float) -> float:
    return dropout
