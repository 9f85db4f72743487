"""The pair of trainers: both take the same steps, and evaluating is no step."""

import numpy as np
import pytest

from compare.draws import SharedDraws
from compare.training.sides import ScratchSide, Setup, TorchSide
from scratch.random import NumpyGenerator

RNG = np.random.default_rng(0)
X, TARGETS = RNG.standard_normal((20, 4)), RNG.integers(0, 3, 20)


def sides(*optimizer) -> tuple[ScratchSide, TorchSide]:
    network = {"widths": (4, 6, 3), "batch_norm": True, "dropout": 0.3, "l2": 0.1}
    setup = Setup(network, *optimizer, schedule="exponential", schedule_options={"gamma": 0.5})
    ours, theirs = NumpyGenerator(0), SharedDraws(NumpyGenerator(0))
    return ScratchSide(setup, ours, dtype=np.float64), TorchSide(setup, theirs, dtype=np.float64)


@pytest.mark.parametrize(("optimizer", "options"), [("SGD", {"momentum": 0.9}), ("RMSprop", {"eps": 0.1})])
def test_both_take_the_same_steps(optimizer, options):
    both = sides(optimizer, 0.01, options)
    for epoch in range(3):
        assert [side.lr for side in both] == [0.01 * 0.5**epoch] * 2
        for batches in zip(*(side.minibatches(X, TARGETS, 8) for side in both), strict=True):
            ours, theirs = (side.step(*batch) for side, batch in zip(both, batches, strict=True))
            assert ours == pytest.approx(theirs, rel=1e-12)
        for side in both:
            side.end_epoch()
    ours, theirs = (side.state() for side in both)
    assert ours.keys() == theirs.keys() > both[0].weights().keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-10, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("i", [0, 1], ids=["scratch", "torch"])
def test_evaluation_changes_nothing(i):
    alone, watched = sides()[i], sides()[i]
    for _ in range(3):
        for side in (alone, watched):
            side.step(side.array(X), side.array(TARGETS))
        logits = watched.logits(X)
        np.testing.assert_allclose(watched.logits(X[:5]), logits[:5], rtol=1e-12)  # no batch statistics
        np.testing.assert_array_equal(watched.predict(X), logits.argmax(axis=1))
    for name, array in alone.state().items():
        np.testing.assert_array_equal(watched.state()[name], array, err_msg=name)
