"""The network: any depth, widths, activation, loss, start and regularization; no parameter is 0 or 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import scratch.network
from compare.component import Case
from scratch.activations import ACTIVATIONS
from scratch.initializers import INITIALIZERS
from scratch.network import LOSSES
from scratch.random import NumpyGenerator
from strategies.arrays import NAME, SEEDS, Inputs, floats, sizes

INITS = (*INITIALIZERS, "default")
DESCRIPTIONS = {
    "activation": st.sampled_from(list(ACTIVATIONS)),
    "batch_norm": st.booleans(),
    "dropout": st.floats(0.01, 0.95) | st.sampled_from([0.0, 0.5, 1.0]),
    "loss": st.sampled_from(list(LOSSES)),
    "l2": st.floats(0, 10),
}


@st.composite
def descriptions(draw: Any, inits: Sequence[str] = INITS, outputs: int = 5) -> dict[str, Any]:
    """What a network is made from: at most so many outputs, at least two where they are classes."""
    options = draw(st.fixed_dictionaries({}, optional={"init": st.sampled_from(inits), **DESCRIPTIONS}))
    classes = options.get("loss", "cross_entropy") == "cross_entropy"
    hidden = draw(st.lists(sizes(1, 20), max_size=3))
    return {
        "widths": (draw(sizes(1, 20)), *hidden, draw(sizes(2, 5) if classes else sizes(1, outputs))),
        **options,
    }


def targets_of(rng: np.random.Generator, options: dict[str, Any], batch: int, dtype: Any) -> np.ndarray:
    """What the loss wants."""
    shape = (batch, options["widths"][-1])
    match options.get("loss", "cross_entropy"):
        case "cross_entropy":
            return rng.integers(0, shape[1], batch)
        case "mse_loss":
            return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """Batch norm wants two examples: of one, PyTorch refuses to take the variance."""
    options, seed = draw(descriptions()), draw(SEEDS)
    batch = draw(sizes(2 if options.get("batch_norm") else 1, 20))
    rng = np.random.default_rng(seed)
    state = scratch.network.Network(generator=NumpyGenerator(seed), dtype=dtype, **options).state_dict()
    for array in state.values():
        if array.ndim == 1:
            array[...] += rng.uniform(0.1, 0.5, array.shape).astype(dtype)
    arrays = {
        "x": draw(floats((batch, options["widths"][0]), dtype)),
        "targets": targets_of(rng, options, batch, dtype),
        **{f"state.{name}": array for name, array in state.items()},
    }
    return Case(NAME, arrays, options, seed, dtype)


INPUTS: Inputs = {"network": cases}
