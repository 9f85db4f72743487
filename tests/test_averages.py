"""What only a test can ask of averages: what they are in closed form, and what an averaged network shares."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from laws import each_side, random_cases, run, seeded

import scratch.averages
import torch_ref.averages
import torch_ref.network
from scratch.network import Network
from scratch.optimizers import SGD
from scratch.random import NumpyGenerator
from scratch.training import minibatches, train_step

RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((20, 5)), RNG.integers(0, 3, 20)
OPTIONS = {"widths": (5, 4, 3), "batch_norm": True, "dropout": 0.3}


def network(**options) -> Network:
    return Network(generator=NumpyGenerator(0), dtype=np.float64, **{**OPTIONS, **options})


def both(**options):
    ours = network(**options)
    theirs = torch_ref.network.Network(dtype=torch.float64, **{**OPTIONS, **options})
    theirs.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in ours.state_dict().items()})
    return ours, theirs


@each_side
@seeded
@given(case=random_cases("exponentially_weighted_average"))
def test_the_weight_of_a_value_is_a_power_of_beta_and_with_the_correction_they_add_up_to_1(side, case):
    x, beta = case["x"].astype(np.float64), case.options["beta"]
    found = run(side, "exponentially_weighted_average", case)["averages"]
    for t in range(1, len(x) + 1):
        weights = beta ** np.arange(t - 1, -1, -1.0) * (1 - beta)
        if case.options.get("bias_correction", True):
            weights /= weights.sum()
        tolerance = 1e3 * np.finfo(found.dtype).eps * (weights * np.abs(x[:t])).sum()
        np.testing.assert_allclose(found[t - 1], weights @ x[:t], rtol=0, atol=tolerance + 1e-300)


def test_what_is_constant_stays_what_it_is_to_the_bit():
    network_, decay = network(), 0.999
    averaged = scratch.averages.AveragedModel(network_, decay)
    for _ in range(1000):
        averaged.update_parameters(network_)
    np.testing.assert_array_equal(averaged.module.flat_parameters, network_.flat_parameters)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_an_average_is_what_numpy_makes_of_all_the_weights(decay):
    network_ = network()
    averaged = scratch.averages.AveragedModel(network_, decay)
    seen = []
    for step in range(7):
        network_.flat_parameters[...] = RNG.standard_normal(network_.flat_parameters.shape)
        averaged.update_parameters(network_)
        seen.append(network_.flat_parameters.copy())
        weights = np.full(step + 1, 1 / (step + 1))
        if decay is not None:
            weights = (1 - decay) * decay ** np.arange(step, -1.0, -1)
            weights[0] /= 1 - decay  # the first one was copied
        np.testing.assert_allclose(averaged.module.flat_parameters, weights @ np.array(seen), rtol=1e-12)
    assert averaged.n_averaged == 7


def test_the_network_is_left_alone_and_the_copy_has_arrays_of_its_own():
    network_ = network()
    before = copy.deepcopy(network_.state_dict())
    averaged = scratch.averages.AveragedModel(network_, 0.5)
    averaged.update_parameters(network_)
    averaged.module.flat_parameters += 1
    for name, array in before.items():
        np.testing.assert_array_equal(network_.state_dict()[name], array)


def test_the_copy_draws_from_the_networks_own_generator_as_in_pytorch():
    """Else its masks would be those that the network is about to draw"""
    network_ = network()
    averaged = scratch.averages.AveragedModel(network_)
    (generator,) = {id(layer.generator) for layer in network_.layers.values() if hasattr(layer, "generator")}
    copied = averaged.module.layers.values()
    assert {id(layer.generator) for layer in copied if hasattr(layer, "generator")} == {generator}
    again = pickle.loads(pickle.dumps((network_, averaged)))
    np.testing.assert_array_equal(again[0].forward(X), network_.forward(X))
    np.testing.assert_array_equal(again[1].forward(X), averaged.forward(X))


@pytest.mark.parametrize("decay", [None, 0.9])
def test_both_sides_say_the_same_of_x_and_keep_the_same_state(decay):
    ours, theirs = both(dropout=0.0)
    one, other = scratch.averages.AveragedModel(ours, decay), torch_ref.averages.AveragedModel(theirs, decay)
    for _ in range(3):
        ours.flat_parameters[...] = RNG.standard_normal(ours.flat_parameters.shape)
        theirs.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in ours.state_dict().items()})
        one.update_parameters(ours)
        other.update_parameters(theirs)
    x = torch.from_numpy(X)
    assert list(one.state_dict()) == list(other.state_dict())
    np.testing.assert_array_equal(one.predict(X), other.predict(x))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(x), rtol=1e-12)
    for mode in (True, False):
        assert one.train(mode).training is other.train(mode).training is mode
        np.testing.assert_allclose(one(X), other(x).detach(), rtol=1e-10)
    assert one.eval().train().training is True
    assert one.train().eval().training is False


def test_a_state_goes_on_in_another_averaged_model():
    network_ = network()
    whole = scratch.averages.AveragedModel(network_, 0.9)
    weights = RNG.standard_normal((6, *network_.flat_parameters.shape))
    for i, flat in enumerate(weights):
        if i == 3:
            resumed = scratch.averages.AveragedModel(network(), 0.9)
            resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
        network_.flat_parameters[...] = flat
        whole.update_parameters(network_)
        if i >= 3:
            resumed.update_parameters(network_)
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(resumed.state_dict()[name], array)
    with pytest.raises(ValueError, match="state: expected the arrays of this averaged model, missing"):
        resumed.load_state_dict(network_.state_dict())
    for refused in (
        scratch.averages.AveragedModel,
        whole.update_parameters,
        lambda model: scratch.averages.update_bn([X], model),
    ):
        with pytest.raises(TypeError, match=r"model: expected a network of scratch\.network, got list"):
            refused([])


def test_new_statistics_are_those_of_the_batches_on_both_sides():
    ours, theirs = both(dropout=0.0)
    for model, averaged_of, update, batches in (
        (ours, scratch.averages.AveragedModel, scratch.averages.update_bn, X.reshape(4, 5, 5)),
        (
            theirs,
            torch_ref.averages.AveragedModel,
            torch_ref.averages.update_bn,
            torch.from_numpy(X.reshape(4, 5, 5)),
        ),
    ):
        averaged = averaged_of(model).eval()
        update(batches, averaged)
        state = {name: np.asarray(array) for name, array in averaged.module.state_dict().items()}
        inputs = X @ state["linear1.weight"].T
        mean = inputs.mean(axis=0)
        variance = inputs.reshape(4, 5, -1).var(axis=1, ddof=1).mean(axis=0)
        np.testing.assert_allclose(state["batch_norm1.running_mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(state["batch_norm1.running_var"], variance, rtol=1e-12)
        assert state["batch_norm1.num_batches_tracked"] == 4
        assert averaged.training is False


def test_no_batch_leaves_the_statistics_of_a_new_layer_on_both_sides():
    ours, theirs = both()
    for model, update in ((ours, scratch.averages.update_bn), (theirs, torch_ref.averages.update_bn)):
        update([X] if model is ours else [torch.from_numpy(X)], model)
        update([], model)
        state = {name: np.asarray(array) for name, array in model.state_dict().items()}
        assert not state["batch_norm1.running_mean"].any()
        assert (state["batch_norm1.running_var"] == 1).all()
        assert state["batch_norm1.num_batches_tracked"] == 0


@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("counts", [(10, 20, 41, 7), (2**24, 2**24 + 3, 2**24 + 9, 5)])
def test_a_count_is_averaged_as_pytorch_does_it(counts, decay):
    """In float32, where the numbers from 2²⁴ on have gaps."""
    ours, theirs = both()
    one = scratch.averages.AveragedModel(ours, decay, use_buffers=True)
    other = torch_ref.averages.AveragedModel(theirs, decay, use_buffers=True)
    for count in counts:
        ours.state_dict()["batch_norm1.num_batches_tracked"][...] = count
        theirs.state_dict()["batch_norm1.num_batches_tracked"].fill_(count)
        one.update_parameters(ours)
        other.update_parameters(theirs)
        name = "module.batch_norm1.num_batches_tracked"
        assert one.state_dict()[name] == other.state_dict()[name].item()


def test_a_batch_that_does_not_fit_leaves_mode_and_momentum_as_they_were():
    network_ = network().eval()
    with pytest.raises(ValueError, match="x: expected batch >= 2, got 1"):
        scratch.averages.update_bn([X, X[:1]], network_)
    assert network_.training is False
    assert network_.layers["batch_norm1"].momentum == 0.1


def test_averaged_weights_need_new_statistics():
    """Those of the network's weights normalise the activations of others: the cost is higher with them."""
    network_ = network(dropout=0.0)
    optimizer, averaged = SGD(network_.parameters(), lr=1.0), scratch.averages.AveragedModel(network_, 0.9)
    generator = NumpyGenerator(1)
    for _ in range(20):
        for batch in minibatches(X, TARGETS, 10, generator):
            train_step(network_, optimizer, *batch)
            averaged.update_parameters(network_)
    costs = []
    for update in (False, True):
        if update:
            scratch.averages.update_bn([X], averaged)
        costs.append(averaged.module.cost(averaged.eval()(X), TARGETS))
    assert costs[1] < costs[0]
