"""A training step in JAX, which is no dependency, for a comparison of speeds where it is installed."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def jax_step(weights: Mapping[str, np.ndarray], x: np.ndarray, targets: np.ndarray) -> Callable[[], float]:
    """A function that takes one more step of Adam from `weights`, and returns the cost

    Forward, backward and update are compiled as one program, which overwrites what it gets (donated buffers).
    """
    jax: Any = importlib.import_module("jax")
    jnp = jax.numpy
    inputs, classes = jnp.asarray(x), jnp.asarray(targets)
    layers = list(dict.fromkeys(name.partition(".")[0] for name in weights))

    def cost(parameters: Any) -> Any:
        y = inputs
        for layer in layers:
            y = y @ parameters[f"{layer}.weight"].T + parameters[f"{layer}.bias"]
            y = y if layer == layers[-1] else jax.nn.relu(y)
        return -jax.nn.log_softmax(y)[jnp.arange(len(classes)), classes].mean()

    def step(parameters: Any, m: Any, v: Any, t: Any) -> tuple:
        loss, gradient = jax.value_and_grad(cost)(parameters)
        m = jax.tree.map(lambda m, g: m + (1 - 0.9) * (g - m), m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + (1 - 0.999) * g * g, v, gradient)

        def update(theta: Any, m: Any, v: Any) -> Any:
            return theta - 1e-3 / (1 - 0.9**t) * m / (jnp.sqrt(v) / jnp.sqrt(1 - 0.999**t) + 1e-8)

        return loss, jax.tree.map(update, parameters, m, v), m, v, t + 1

    compiled = jax.jit(step, donate_argnums=(0, 1, 2, 3))
    zeros = [{name: jnp.zeros_like(array) for name, array in weights.items()} for _ in range(2)]
    state = [{name: jnp.asarray(array) for name, array in weights.items()}, *zeros, jnp.float32(1)]

    def one_more() -> float:
        loss, *state[:] = compiled(*state)
        return float(loss)

    return one_more
