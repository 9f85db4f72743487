"""The pair of trainers: both take the same steps, and evaluating is no step."""

import numpy as np
import pytest

from compare.draws import SharedDraws
from compare.training.sides import ScratchSide, Setup, TorchSide
from scratch.random import NumpyGenerator

NETWORK = {"widths": (4, 6, 3), "batch_norm": True, "dropout": 0.3, "l2": 0.1}
RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((20, 4)), RNG.integers(0, 3, 20)


def sides(**options) -> tuple[ScratchSide, TorchSide]:
    setup = Setup(NETWORK, lr=0.01, schedule="exponential", schedule_options={"gamma": 0.5}, **options)
    draws = NumpyGenerator(0), SharedDraws(NumpyGenerator(0))
    return ScratchSide(setup, draws[0], dtype=np.float64), TorchSide(setup, draws[1], dtype=np.float64)


def test_both_have_the_same_methods():
    ours, theirs = ({name for name in vars(side) if name[0] != "_"} for side in (ScratchSide, TorchSide))
    assert ours == theirs


@pytest.mark.parametrize(
    ("optimizer", "hyperparameters"),
    [
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {"alpha": 0.8, "eps": 0.1}),
        ("Adam", {"betas": (0.5, 0.6), "eps": 0.1}),
    ],
)
def test_both_take_the_same_steps(optimizer, hyperparameters):
    ours, theirs = sides(optimizer=optimizer, hyperparameters=hyperparameters)
    for epoch in range(3):
        assert ours.lr == theirs.lr == 0.01 * 0.5**epoch
        for batch, their_batch in zip(
            *(side.minibatches(X, TARGETS, 8) for side in (ours, theirs)), strict=True
        ):
            assert ours.step(*batch) == pytest.approx(theirs.step(*their_batch), rel=1e-12)
        ours.end_epoch()
        theirs.end_epoch()
    expected = theirs.state()
    assert expected.keys() == ours.state().keys() > ours.weights().keys() > ours.parameters().keys()
    for name, array in ours.state().items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("i", [0, 1], ids=["scratch", "torch"])
def test_evaluation_changes_nothing(i):
    alone, watched = sides()[i], sides()[i]
    for _ in range(3):
        for side in (alone, watched):
            side.step(side.array(X), side.array(TARGETS))
        logits = watched.logits(X)
        np.testing.assert_allclose(
            watched.logits(X[:5]), logits[:5], rtol=1e-12
        )  # no batch statistics, no masks
        np.testing.assert_array_equal(watched.predict(X), logits.argmax(axis=1))
    for name, array in alone.state().items():
        np.testing.assert_array_equal(watched.state()[name], array, err_msg=name)


def test_one_side_goes_on_from_the_weights_of_the_other():
    ours, theirs = sides()
    ours.step(X, TARGETS)
    before = theirs.weights()
    theirs.load({"linear1.weight": ours.weights()["linear1.weight"]})
    for name, array in theirs.weights().items():
        np.testing.assert_array_equal(array, (ours.weights() if name == "linear1.weight" else before)[name])
    theirs.load(ours.weights())
    np.testing.assert_allclose(theirs.logits(X), ours.logits(X), rtol=1e-12)
