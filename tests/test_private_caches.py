"""A cache is private: who changes an argument or a result of a forward pass in place changes no gradient."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from laws import random_cases, seeded

from compare.cases import all_components
from compare.component import DTYPES, Case, copy_with_strides
from compare.run import cases_of, run_scratch
from scratch.activations import ACTIVATIONS, Activation
from scratch.batch_norm import BatchNorm1d
from scratch.layer import Layer, one_pass
from scratch.layer_norm import LayerNorm, RMSNorm
from scratch.linear import Linear
from scratch.network import LOSSES, Network
from scratch.optimizers import Adam
from scratch.random import NumpyGenerator
from scratch.regularization import Dropout
from scratch.training import train_step

FORWARD = {
    name: forward
    for name, component in all_components().items()
    if (forward := [function for function in component.functions if function.endswith("_forward")])
}


def spoil(value: Any) -> None:
    """Change every array in place."""
    if isinstance(value, np.ndarray):
        value[...] = 7
    elif isinstance(value, tuple):
        for part in value:
            spoil(part)


def lent(value: Any) -> Any:
    """A copy of an array in its layout; anything else as it is."""
    return copy_with_strides(value) if isinstance(value, np.ndarray) else value


def with_lent(forward: Callable[..., tuple], spoil: Callable[[Any], None]) -> Callable[..., tuple]:
    """A forward pass whose arguments and results, but for the cache, are spoiled before it is used."""

    def run(*args: Any, **kwargs: Any) -> tuple:
        args, kwargs = tuple(map(lent, args)), {name: lent(value) for name, value in kwargs.items()}
        y, cache, *others = forward(*args, **kwargs)
        kept = lent(y), cache, *[tuple(map(lent, other)) for other in others]
        spoil((y, *others, *args, *kwargs.values()))
        return kept

    return run


@pytest.mark.parametrize("name", FORWARD)
def test_nothing_outside_reaches_into_a_cache(name: str):
    component = all_components()[name]
    functions = component.implementation()
    passes = {each: getattr(functions, each) for each in FORWARD[name]}
    spoiled = {each: with_lent(function, spoil) for each, function in passes.items()}
    unspoiled = {each: with_lent(function, lambda value: None) for each, function in passes.items()}

    def look(case: Case) -> None:
        np.testing.assert_equal(
            run_scratch(component, case, spoiled), run_scratch(component, case, unspoiled)
        )

    seeded(given(random_cases(name))(look))()
    for dtype in DTYPES.values():
        for case in cases_of(component, 0, dtype):
            look(case)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose results may not be its arguments, nor parts of them."""

    def run(*args: Any, **kwargs: Any) -> Any:
        results = function(*args, **kwargs)
        for array in results[:1] if isinstance(results, tuple) else (results,):
            for argument in (*args, *kwargs.values()):
                assert not (isinstance(argument, np.ndarray) and np.shares_memory(array, argument))
        return results

    return run


@pytest.mark.parametrize("name", FORWARD)
def test_a_result_is_no_argument(name: str):
    component = all_components()[name]
    functions = component.implementation()
    passes = {each: apart(getattr(functions, each)) for each in component.functions if "ward" in each}
    for case in cases_of(component, 0, np.float64):
        run_scratch(component, case, passes)


def layers() -> dict[str, Layer]:
    generator = NumpyGenerator(0)
    found: dict[str, Layer] = {name: Activation(name) for name in ACTIVATIONS}
    found |= {"linear": Linear(4, 4, generator), "linear without bias": Linear(4, 4, generator, bias=False)}
    found |= {f"dropout {p}": Dropout(p, NumpyGenerator(0)) for p in (0.0, 0.5, 1.0)}
    for affine in (True, False):
        found[f"batch norm, affine {affine}"] = BatchNorm1d(4, affine=affine)
        found[f"layer norm, affine {affine}"] = LayerNorm(4, elementwise_affine=affine)
        found[f"RMS norm, affine {affine}"] = RMSNorm(4, elementwise_affine=affine)
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", layers())
def test_nor_into_a_layer(name: str, training: bool):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((5, 4), np.float32) for _ in range(2))

    def gradients(spoiled: bool) -> list[np.ndarray]:
        layer, given = layers()[name], x.copy()
        layer.training = training
        y = layer.forward(given)
        if spoiled:
            spoil((given, y, *layer.parameters.values()))
        return [layer.backward(dy), *layer.gradients.values()]

    np.testing.assert_equal(gradients(spoiled=True), gradients(spoiled=False))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nor_into_a_network(activation: str, batch_norm: bool, dropout: float, loss: str):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4), np.float32)
    targets = np.array([0, 1, 2, 0, 1]) if loss == "cross_entropy" else rng.random((5, 3), np.float32)

    def gradients(spoiled: bool) -> list[np.ndarray | None]:
        network = Network(
            (4, 6, 5, 3), NumpyGenerator(0), activation=activation, batch_norm=batch_norm, dropout=dropout,
            loss=loss,
        )  # fmt: skip
        given, wanted = x.copy(), targets.copy()
        logits = network.forward(given)
        network.cost(logits, wanted)
        if spoiled:
            given[...], logits[...], wanted[...] = 7, 7, 1
            network.flat_parameters[...] = 7
        return [network.backward(input_gradient=True), *network.gradients()]

    np.testing.assert_equal(gradients(spoiled=True), gradients(spoiled=False))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_training_step_does_without_copies_and_is_the_same(
    activation: str, batch_norm: bool, dropout: float, loss: str
):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 4), np.float32)
    targets = np.array([0, 1, 2, 0, 1]) if loss == "cross_entropy" else rng.random((5, 3), np.float32)
    untouched = x.copy(), targets.copy()

    def network() -> tuple[Network, Adam]:
        made = Network(
            (4, 6, 5, 3), NumpyGenerator(0), activation=activation, batch_norm=batch_norm, dropout=dropout,
            loss=loss, l2=0.1,
        )  # fmt: skip
        return made, Adam(made.parameters())

    (one, optimizer), (other, others_optimizer) = network(), network()
    for _ in range(2):
        cost = other.cost(other.forward(x), targets)
        other.backward()
        others_optimizer.step(other.gradients())
        assert train_step(one, optimizer, x, targets) == cost
        np.testing.assert_equal(one.state_dict(), other.state_dict())
    np.testing.assert_equal((x, targets), untouched)


def small() -> tuple[Network, np.ndarray, np.ndarray]:
    network = Network((4, 6, 3), NumpyGenerator(0), batch_norm=True, dropout=0.3)
    return network, np.random.default_rng(0).standard_normal((5, 4), np.float32), np.array([0, 1, 2, 0, 1])


def test_training_steps_leave_alone_what_a_caller_holds():
    network, x, targets = small()
    held = [network.forward(x), network.predict_proba(x)]
    held += [layer.cache for layer in network.layers.values()]
    before = [[np.copy(array) for array in each if array is not None] for each in held]
    for _ in range(2):
        train_step(network, Adam(network.parameters()), x, targets)
    np.testing.assert_equal([[array for array in each if array is not None] for each in held], before)


@pytest.mark.parametrize("targets", [np.array([0, 1, 2, 0, 1]), np.array([0, 1, 2, 0, 3])])
def test_no_backward_pass_follows_a_training_step_which_has_changed_what_it_needs(targets: np.ndarray):
    network, x, _ = small()
    network.cost(network.forward(x), np.array([0, 1, 2, 0, 1]))
    if targets.max() < 3:
        train_step(network, Adam(network.parameters()), x, targets)
    else:  # not even where it came to nothing
        with pytest.raises(ValueError, match="targets"):
            train_step(network, Adam(network.parameters()), x, targets)
    with pytest.raises(RuntimeError, match="expected a cost before it"):
        network.backward()
    for layer in network.layers.values():
        with pytest.raises(RuntimeError, match="expected a forward pass"):
            layer.backward(x)
    network.forward(x)
    for layer in network.layers.values():
        assert not any(np.shares_memory(x, array) for array in layer.cache if array is not None)


def test_a_pass_without_copies_is_that_of_its_thread_alone():
    layer, x = Linear(4, 4, NumpyGenerator(0)), np.ones((5, 4), np.float32)
    with one_pass():
        layer.forward(x)
        assert layer.cache[0] is x
        other = threading.Thread(target=layer.forward, args=(x,))
        other.start()
        other.join()
        assert layer.cache[0] is not x


def test_dropout_leaves_the_generators_array_alone():
    mask = np.array([[1, 0, 1]], np.float32)

    class Same(NumpyGenerator):
        def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
            return mask

    Dropout(0.5, Same(0)).forward(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(mask, [[1, 0, 1]])
