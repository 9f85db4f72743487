"""How far the rounding errors of a network reach: the scales of all that it computes.

A running error analysis: beside each value stands V, the square of its error in rounding units u. Every
operation hands on the errors of what it is given and adds its own, as squares, since the signs of rounding
errors are as good as random. For y = f(a, b)

    V_y = (∂f/∂a)²·V_a + (∂f/∂b)²·V_b + (what this operation itself rounds)²

A product a·b has a²·V_b and b²·V_a, and the product of both errors, which is all that there is where a and b
are 0 but for rounding: no error is larger than the budget allows, so a² counts as a² + (budget·u)²·V_a.

An addition rounds a partial sum: those grow to √Σ(terms²) where the signs of the terms are random, and to the
total where they are not, so a sum itself rounds Σ(terms²) + total². √V is the scale in which a result is
compared: what was rounded on the way to it, each times the condition number of the rest of the way.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from compare.cases.batch_norm import training_scales
from compare.cases.losses import binary_logits_magnitude, classes_magnitude, squares_magnitude
from compare.component import Case
from scratch.activations import Activation, sigmoid_forward
from scratch.batch_norm import BatchNorm1d
from scratch.linear import Linear
from scratch.network import Network

LOSSES = {  # → name of the prediction, its scales, and the second derivative of the loss of one element
    "cross_entropy": ("logits", classes_magnitude),
    "binary_cross_entropy_with_logits": ("logits", binary_logits_magnitude),
    "mse_loss": ("input", squares_magnitude),
}


class ErrorAnalysis:
    """A float64 network of scratch/ that follows its own rounding errors through forward, cost and backward.

    Args:
        network: with the parameters of the case; it computes, by its own layers
        loss: the name of its loss
        dtype: in which the two sides that are compared computed
        budget: of the comparison, in rounding units
    """

    def __init__(self, network: Network, loss: str, dtype: Any, budget: float) -> None:
        self.network = network
        self.unit = float(np.finfo(dtype).eps)
        self.budget = budget
        self.floor = float(np.finfo(dtype).tiny) / self.unit  # what is smaller is no longer rounded less
        self.dtype = dtype
        self.loss = loss
        self.state = {name: np.zeros(a.shape) for name, a in network.state_dict().items()}  # V of each
        self.gradients: dict[str, np.ndarray] = {}  # V of each

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The logits and their V."""
        variance = np.zeros_like(x)
        self.passed = {}
        for name, layer in self.network.layers.items():
            y = layer.forward(x)
            variance_y = self._forward(name, layer, x, variance, y)
            self.passed[name] = (x, variance, y, variance_y)
            x, variance = y, variance_y
        return x, variance

    def _forward(self, name: str, layer: Any, x: np.ndarray, v: np.ndarray, y: np.ndarray) -> np.ndarray:
        own = self._own(name)
        if isinstance(layer, Linear):  # y = x Wᵀ + b
            weight2, bias2 = (_square(layer.parameters.get(key, 0.0)) for key in ("weight", "bias"))
            inherited = (x**2 + v) @ weight2.T + self._size2(x, v) @ own["weight"].T + own.get("bias", 0)
            return inherited + bias2 + y**2
        if isinstance(layer, BatchNorm1d):  # y = γ·x̂ + β
            gamma = layer.parameters["weight"]
            x_hat, s, _ = layer.cache
            if not layer.training:  # x̂ = (x − running mean)/s, s² = running variance + ε
                mean2 = layer.buffers["running_mean"] ** 2
                v_x_hat = (x**2 + mean2 + v + own["running_mean"]) / s**2
                v_x_hat += x_hat**2 * own["running_var"] / (2 * s**2) ** 2
                fresh = layer.parameters["bias"] ** 2
            else:
                fresh = self._scales(layer, x)["output"] ** 2
                v_x_hat = _centred(x_hat, v) / s**2
                self._running_statistics(name, layer, x, v)
            own_gamma = self._size2(x_hat, v_x_hat) * own["weight"]
            return gamma**2 * v_x_hat + own_gamma + own["bias"] + fresh + y**2
        if isinstance(layer, Activation):
            slope = layer.backward(np.ones_like(y))
            return _times(slope**2, v) + self._rounded(name, x, y) ** 2
        return _times(np.broadcast_to(_noise(layer), x.shape) ** 2, v) + y**2  # dropout: y = x·noise

    def cost(self, logits: np.ndarray, variance: np.ndarray, targets: np.ndarray) -> float:
        """V of the cost; of the gradient at the logits, what `backward` starts from."""
        network, m = self.network, len(logits)
        cost = network.cost(logits, targets)
        prediction, magnitude = LOSSES[self.loss]
        arrays = {prediction: logits, "targets": targets, "dloss": np.float64(1)}
        options = {"reduction": "mean", **network.loss_options}
        scales = magnitude(Case("", arrays, options, dtype=self.dtype))
        self.dlogits = network._loss_backward(1.0, network._loss_cache)
        if self.loss == "cross_entropy":  # d²L: p_j·([j = k] − p_k)/m
            p = network._loss_cache[0]
            second = p**2 * (variance + (p**2 * variance).sum(axis=1, keepdims=True)) / m**2
        elif self.loss == "mse_loss":  # 2/n
            second = 4 / logits.size**2 * variance
        else:  # σ(1 − σ)/n
            e = np.exp(-np.abs(logits))
            second = (e / (1 + e) ** 2 / logits.size) ** 2 * variance
        self.variance_dlogits = second + scales[f"grad.{prediction}"] ** 2
        inherited = (self.dlogits**2 * variance).sum()
        for name, layer in self._penalised():
            decay = network.l2 / m * layer.parameters["weight"]
            inherited += (decay**2 * self._own(name)["weight"]).sum()
        return inherited + scales.get("loss", 0) ** 2 + cost**2

    def backward(self) -> np.ndarray:
        """V of the gradient with respect to x; those of the parameters are in `gradients`."""
        dy, v = self.dlogits, self.variance_dlogits
        m = len(dy)
        for name, layer in reversed(self.network.layers.items()):
            dx = layer.backward(dy)
            v = self._backward(name, layer, dy, v, dx)
            dy = dx
        for name, layer in self._penalised():
            decay, weight = (self.network.l2 / m) ** 2, layer.parameters["weight"]
            layer.gradients["weight"] += self.network.l2 / m * weight
            self.gradients[f"{name}.weight"] += decay * (weight**2 + self._own(name)["weight"])
        return v

    def _backward(self, name: str, layer: Any, dy: np.ndarray, v: np.ndarray, dx: np.ndarray) -> np.ndarray:
        x, v_x, _, _ = self.passed[name]
        own, given = self._own(name), dy**2 + v
        if isinstance(layer, Linear):  # dW = dyᵀ x, db = Σ dy, dx = dy W
            weight = layer.parameters["weight"]
            v_weight = given.T @ x**2 + self._size2(dy, v).T @ v_x
            self._found(name, layer, weight=v_weight, bias=given.sum(axis=0))
            return given @ weight**2 + self._size2(dy, v) @ own["weight"] + dx**2
        if isinstance(layer, BatchNorm1d):
            return self._batch_norm_backward(name, layer, dy, v)
        if isinstance(layer, Activation):
            return self._activation_backward(name, layer, dy, v, dx)
        return _times(np.broadcast_to(_noise(layer), dy.shape) ** 2, v) + dx**2

    def _rounded(self, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The scale of what an activation rounds, see `compare.cases.activations`"""
        if name.startswith("gelu"):
            return x
        return np.abs(y) + np.abs(x) * self.floor if name.startswith("silu") else y

    def _activation_backward(
        self, name: str, layer: Any, dy: np.ndarray, v: np.ndarray, dx: np.ndarray
    ) -> np.ndarray:
        """dx = dy·f′(x), where f′ is computed from y, or rounded and its error in x times f″.

        At a kink f′ jumps: where x is within its error of 0, dx may be anything between both sides' slopes.
        """
        x, v_x, y, v_y = self.passed[name]
        slope = layer.backward(np.ones_like(dy))
        variance = _times(slope**2, v) + dx**2
        if name.startswith("tanh"):  # f′ = 1 − y², which rounds 1
            return variance + dy**2 * (1 + 4 * y**2 * v_y)
        if name.startswith("sigmoid"):  # f′ = y·(1 − y), which rounds y
            return variance + dy**2 * (y**2 + (1 - 2 * y) ** 2 * v_y)
        if name.startswith("gelu"):
            density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
            return variance + dy**2 * (1 + ((2 - x**2) * density) ** 2 * v_x)
        if name.startswith(("silu", "softplus")):
            sigmoid = np.maximum(sigmoid_forward(x)[0], self.floor)
            rounded, bend = sigmoid, sigmoid * (1 - sigmoid)
            if name.startswith("silu"):
                rounded, bend = sigmoid * (1 + np.abs(x)), bend * (2 + x * (1 - 2 * sigmoid))
            return variance + dy**2 * (rounded**2 + bend**2 * v_x)
        tolerance = self.budget * self.unit
        jump = (1 - layer._options.get("negative_slope", 0.0)) * dy / tolerance
        return variance + np.where(np.abs(x) < tolerance * np.sqrt(v_x), jump, 0) ** 2

    def _batch_norm_backward(self, name: str, layer: Any, dy: np.ndarray, v: np.ndarray) -> np.ndarray:
        """dx = γ·d with d = (dy − mean(dy) − x̂·c)/s and c = mean(dy·x̂); dγ = Σ dy·x̂; dβ = Σ dy

        Its own rounding is that of batch norm alone, see `compare.cases.batch_norm`. It hands on the errors
        of dy; those of x̂, directly and by way of c; and those of s, where δs = mean(x̂·δx).
        """
        x, v_x, _, _ = self.passed[name]
        x_hat, s, gamma = layer.cache
        m, own, scales = len(x), self._own(name), self._scales(layer, x, dy)
        v_x_hat = _centred(x_hat, v_x) / s**2
        c = (dy * x_hat).mean(axis=0)
        d = (dy - dy.mean(axis=0) - x_hat * c) / s
        self._found(
            name,
            layer,
            weight=(x_hat**2 * v + self._size2(dy, v) * v_x_hat).sum(axis=0) + scales["grad.gamma"] ** 2,
            bias=v.sum(axis=0) + scales["grad.beta"] ** 2,
        )
        inherited = _centred(x_hat, v) + c**2 * v_x_hat + x_hat**2 * (dy**2 * v_x_hat).sum(axis=0) / m**2
        v_s = (x_hat**2 * v_x).sum(axis=0) / m**2
        v_d = inherited / s**2 + d**2 * v_s / s**2
        return gamma**2 * v_d + d**2 * own["weight"] + scales["grad.x"] ** 2

    def _running_statistics(self, name: str, layer: Any, x: np.ndarray, v: np.ndarray) -> None:
        """running ← (1 − momentum)·running + momentum·batch, with δμ = mean(δx), δσ² = 2·mean((x − μ)·δx)"""
        new, m, own, scales = layer.momentum, len(x), self._own(name), self._scales(layer, x)
        batch = {
            "running_mean": v.sum(axis=0) / m**2 + scales["mean"] ** 2,
            "running_var": 4 * ((x - x.mean(axis=0)) ** 2 * v).sum(axis=0) / m**2 + scales["variance"] ** 2,
        }
        for key, v_batch in batch.items():
            self.state[f"{name}.{key}"] = (
                (1 - new) ** 2 * own[key] + new**2 * v_batch + layer.buffers[key] ** 2
            )

    def _scales(self, layer: Any, x: np.ndarray, dy: Any = 0.0) -> dict[str, Any]:
        gamma, beta = np.abs(layer.parameters["weight"]), np.abs(layer.parameters["bias"])
        return training_scales(x, dy, gamma, beta, layer.eps, self.unit)

    def _size2(self, value: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """a² and the square of the largest error of a: the factor of another's V in a product"""
        return value**2 + (self.budget * self.unit) ** 2 * variance

    def _own(self, name: str) -> dict[str, np.ndarray]:
        """V of what a layer keeps."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): v for key, v in self.state.items() if key.startswith(prefix)}

    def _found(self, name: str, layer: Any, **variances: np.ndarray) -> None:
        for key, gradient in layer.gradients.items():
            self.gradients[f"{name}.{key}"] = variances[key] + gradient**2

    def _penalised(self) -> list[tuple[str, Linear]]:
        layers = self.network.layers.items() if self.network.l2 else ()
        return [(name, layer) for name, layer in layers if isinstance(layer, Linear)]


def scales(variances: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """√V, and 0 where an infinity or NaN has spread: there only the pattern is compared

    At least 10⁻¹⁵⁴, whose square is the smallest normal number.
    """
    return {
        name: np.sqrt(np.where(np.isfinite(v), np.maximum(v, np.finfo(np.float64).tiny), 0))
        for name, v in variances.items()
    }


def _centred(x_hat: np.ndarray, v: np.ndarray) -> np.ndarray:
    """V of δ − mean(δ) − x̂·mean(x̂·δ), where δ has V = v

    The factor of another row's δ is (1 + x̂_i·x̂_j)/m, its square at most (1 + x̂_i²)(1 + x̂_j²)/m².
    """
    size = 1 + x_hat**2
    return v + size * (size * v).sum(axis=0) / len(v) ** 2


def _times(factor2: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.where(factor2 == 0, 0, factor2 * v)  # a unit that is off hands on nothing, not even infinity


def _noise(layer: Any) -> Any:
    return 1.0 if layer.cache is None else layer.cache


def _square(array: Any) -> Any:
    return np.asarray(array) ** 2
