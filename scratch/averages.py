"""Averages: of a noisy sequence of numbers, and of the weights that a network had on its way.

An average that is exponentially weighted forgets: of a value that is k steps old the weight is (1 − β)·βᵏ, so
that it is about one over the last 1/(1 − β) values. All are written as a step towards the new value,

    v ← v + (1 − β)·(x − v), which is v ← β·v + (1 − β)·x,

since then what is constant stays as it is, to the bit.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from scratch.batch_norm import BatchNorm1d
from scratch.checks import check_state, expects
from scratch.network import Network
from scratch.regularization import Dropout


@expects(x="steps", beta=">= 0, < 1")
def exponentially_weighted_average(x: np.ndarray, beta: float, bias_correction: bool = True) -> np.ndarray:
    """v̂_t = v_t/(1 − βᵗ), of v_t = β·v_(t−1) + (1 − β)·x_t with v_0 = 0 and t from 1

    Without the correction v starts near 0, whatever x is: the weights of t values add up to 1 − βᵗ instead of
    1. That is what the division makes up for; it fades as t grows.

    Returns the average after each of the values, (steps,), with the correction or, without it, v itself.

    Kingma and Ba 2014, https://arxiv.org/abs/1412.6980, section 3
    """
    averages = np.empty_like(x)
    average = x.dtype.type(0)
    for t, value in enumerate(x, start=1):
        average = average + (1 - beta) * (value - average)
        averages[t - 1] = average / (1 - beta**t) if bias_correction else average
    return averages


class AveragedModel:
    """A copy of a network whose parameters are averages of those that the network had at each update

        with a decay    a ← decay·a + (1 − decay)·θ    exponentially weighted (EMA)
        without one     a ← a + (θ − a)/(n + 1)        all n + 1 alike: stochastic weight averaging (SWA)

    The first update copies. An update belongs after the optimizer's step: before it, the newest weights are
    missing. The running statistics of batch normalisation are copied from the network, or averaged too with
    `use_buffers`, where PyTorch cuts the average of their counts to an integer. Those of the copy belong to
    the network's weights: `update_bn` takes new ones.

    Args:
        model: a network; it stays as it is
        decay: weight of the old average, from 0 to 1; None for an equal average
        use_buffers: whether the running statistics are averaged as well

    Attributes:
        module: the copy; its dropout draws from the network's generator
        n_averaged: how many updates there were, int64, shape ()

    Polyak and Juditsky 1992; Izmailov et al. 2018, https://arxiv.org/abs/1803.05407
    https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema
    """

    @expects(decay="0 to 1")
    def __init__(self, model: Network, decay: float | None = None, use_buffers: bool = False) -> None:
        _check_network(model)
        generators = [layer.generator for layer in model.layers.values() if isinstance(layer, Dropout)]
        self.module = copy.deepcopy(model, {id(generator): generator for generator in generators})
        self.decay = decay
        self.use_buffers = use_buffers
        self.n_averaged = np.array(0, np.int64)

    def update_parameters(self, model: Network) -> None:
        """Take the network's present parameters into the average.

        Raises ValueError or TypeError for another network than that of the copy.
        """
        _check_network(model)
        averages, values = self.module.state_dict(), model.state_dict()
        check_state(values, averages, "averaged model")
        self.module.load_state_dict(
            {name: self._averaged(name, average, values[name]) for name, average in averages.items()}
        )
        self.n_averaged += 1

    def _averaged(self, name: str, average: np.ndarray, value: np.ndarray) -> np.ndarray:
        kept = name in self.module.shapes or self.use_buffers
        if self.n_averaged == 0 or not kept:
            return value
        if value.dtype.kind != "f":
            return _averaged_count(average, value, self.decay, int(self.n_averaged))
        if self.decay is None:
            return average + (value - average) / (int(self.n_averaged) + 1)
        return _step(average, value, self.decay)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`forward`"""
        return self.forward(x)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The logits of the averaged network, in its mode."""
        return self.module.forward(x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """What the averaged network says of x, see `Network.predict`"""
        return self.module.predict(x)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """How probable the averaged network holds each class, see `Network.predict_proba`"""
        return self.module.predict_proba(x)

    @property
    def training(self) -> bool:
        """The mode of the averaged network."""
        return self.module.training

    def train(self, mode: bool = True) -> "AveragedModel":
        """Put the averaged network into training mode, or with False into evaluation mode."""
        self.module.train(mode)
        return self

    def eval(self) -> "AveragedModel":
        """The mode for predictions."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The count, and the averages under the network's names with `module.` in front (no copies)."""
        averages = {f"module.{name}": array for name, array in self.module.state_dict().items()}
        return {"n_averaged": self.n_averaged, **averages}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy the arrays of `state`; raise ValueError or TypeError, and copy nothing, if they do not fit."""
        own = self.state_dict()
        check_state(state, own, "averaged model")
        self.n_averaged[...] = state["n_averaged"]
        self.module.load_state_dict({name: state[f"module.{name}"] for name in self.module.state_dict()})


def update_bn(loader: Iterable[Any], model: Network | AveragedModel) -> None:
    """Take new running statistics: the mean over the batches of μ and of σ²·m/(m − 1), in one pass over them

    Averaged weights give other activations than those that the statistics were taken from. Every batch counts
    the same, a smaller last one too. The mode of the network is what it was; dropout draws as in training.

    Args:
        loader: batches of examples (batch, features), or tuples that begin with one, as `minibatches` gives
        model: a network, whose running statistics are changed in place; without any, nothing happens

    Raises:
        ValueError, TypeError: batches of one example, or that the network can not take.

    https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.update_bn.html
    """
    network = model.module if isinstance(model, AveragedModel) else model
    _check_network(network)
    layers = [layer for layer in network.layers.values() if isinstance(layer, BatchNorm1d)]
    if not layers:
        return
    training, momenta = network.training, [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = None  # the plain average
        for array, start in zip(layer.buffers.values(), (0, 1, 0), strict=True):
            array[...] = start
    try:
        network.train()
        for batch in loader:
            network.forward(batch[0] if isinstance(batch, list | tuple) else batch)
    finally:
        network.train(training)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


@expects()
def _step(average: np.ndarray, value: np.ndarray, beta: float) -> np.ndarray:
    """v + (1 − β)·(x − v)"""
    return average + (1 - beta) * (value - average)


def _averaged_count(average: np.ndarray, value: np.ndarray, decay: float | None, n: int) -> np.ndarray:
    """Of an integer, as PyTorch averages one: in float32, and then without its decimals."""
    single = np.float32
    if decay is None:
        found = single(average) + single(value - average) / single(n + 1)
    else:
        found = single(average) * single(decay) + single(value) * single(1 - decay)
    return np.asarray(found).astype(np.int64)


def _check_network(model: Any) -> None:
    if not isinstance(model, Network):
        raise TypeError(f"model: expected a network of scratch.network, got {type(model).__name__}")
