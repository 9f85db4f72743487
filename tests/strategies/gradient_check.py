"""The gradient check: layers, losses and networks at random places, random steps, planted errors."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import scratch.network
from compare.cases.gradient_check import FUNCTIONS, NETWORKS, UNITS, magnitude
from compare.cases.inputs import normal
from compare.component import Case
from scratch.gradient_check import PASSES
from scratch.random import NumpyGenerator
from strategies.arrays import NAME, SEEDS, Inputs, laid_out, sizes

LOSSES = [name for name in FUNCTIONS if "entropy" in name or name == "mse_loss"]
LAYERS = [name for name in FUNCTIONS if name not in (*LOSSES, *NETWORKS)]
SMALL = ("network, smallest", "network, one logit", "network, regression")  # the others take a second
STEPS = st.floats(-6.5, -5.5).map(lambda exponent: 10.0**exponent)  # ε


def numbers(draw: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Between 0.1 and 1.5, of either sign: away from the kink of leaky ReLU, and no gradient nearly 0."""
    rng = np.random.default_rng(draw(SEEDS))
    return laid_out(draw, (rng.uniform(0.1, 1.5, shape) * rng.choice([-1, 1], shape)).astype(dtype))


@st.composite
def layers(draw: Any, dtype: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and options of a layer, or of a gradient with a planted error."""
    function = draw(st.sampled_from(LAYERS))
    batch = draw(sizes(4 if function == "batch_norm" else 1, 6))
    features = draw(sizes(1, 4))
    arrays = {"x": numbers(draw, (batch, features), dtype)}
    if function == "linear":
        arrays |= {name: numbers(draw, (3, features)[:n], dtype) for name, n in (("weight", 2), ("bias", 1))}
    if function.startswith("batch_norm"):  # contiguous: see test_gradient_check on PyTorch's strided γ
        names = ("gamma", "beta", "running_mean", "running_var")
        arrays |= {name: np.ascontiguousarray(numbers(draw, (features,), dtype)) for name in names}
        arrays["running_var"] = np.exp(arrays["running_var"])
    arrays["dy"] = numbers(draw, (batch, 3 if function == "linear" else features), dtype)
    options = {"function": function}
    if function == "wrong":
        options["factor"] = draw(st.floats(-3, 0.98) | st.floats(1.02, 3))
    return arrays, options


@st.composite
def losses(draw: Any, dtype: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predictions and targets."""
    function, batch, classes = draw(st.sampled_from(LOSSES)), draw(sizes(1, 5)), draw(sizes(2, 4))
    rng = np.random.default_rng(draw(SEEDS))
    x = numbers(draw, (batch, classes), dtype)
    if function == "binary_cross_entropy":
        x = np.asarray(rng.uniform(0.1, 0.9, x.shape), dtype)
    if function == "cross_entropy":
        targets = rng.integers(0, classes, batch)
    else:
        targets = rng.random(x.shape).astype(dtype)
    return {"x": x, "targets": targets}, {"function": function}


@st.composite
def networks(draw: Any, dtype: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """All parameters of a network, a batch and its targets."""
    function = draw(st.sampled_from(SMALL))
    widths, batch = NETWORKS[function]["widths"], draw(sizes(2, 5))
    rng = np.random.default_rng(draw(SEEDS))
    network = scratch.network.Network(generator=NumpyGenerator(0), dtype=dtype, **NETWORKS[function])
    flat = network.flat_parameters
    if "loss" in NETWORKS[function]:
        targets = rng.integers(0, 2, (batch, widths[-1])).astype(dtype)
    else:
        targets = rng.integers(0, widths[-1], batch)
    arrays = {
        "x": flat + 0.3 * normal(rng, flat.shape, dtype),
        "inputs": laid_out(draw, normal(rng, (batch, widths[0]), dtype)),
        "targets": targets,
    }
    return arrays, {"function": function}


@st.composite
def cases(draw: Any, dtype: Any) -> Case:
    """In float32 the relative error alone, of a gradient that is exact.

    A right gradient is so large that rounding alone, as `magnitude` derives it, does not make it fail.
    """
    if dtype == np.float32:
        shape = draw(sizes(1, 6)), draw(sizes(1, 4))
        arrays = {name: numbers(draw, shape, dtype) for name in ("x", "dy", "other")}
        return Case(NAME, arrays, {"function": "leaky_relu"}, draw(SEEDS), dtype)
    arrays, options = draw(layers(dtype) | losses(dtype) | networks(dtype))
    if draw(st.booleans()):
        options["eps"] = draw(STEPS)
    case = Case(NAME, arrays, options, draw(SEEDS), dtype)
    assume(magnitude(case).get("relative_error", 0) * UNITS * np.finfo(np.float64).eps < PASSES)
    return case


INPUTS: Inputs = {"gradient_check": cases}
