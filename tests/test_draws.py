"""Shared draws: PyTorch's random kernels answer with NumPy's numbers, and nothing else changes."""

import numpy as np
import pytest
import torch
from torch import nn

from compare.draws import SharedDraws
from scratch.random import NumpyGenerator


def test_initialisers_dropout_and_permutations_take_the_shared_draws():
    ours = NumpyGenerator(3)
    with SharedDraws(NumpyGenerator(3)):
        weight = nn.init.normal_(torch.empty(4, 3), 1, 2)
        uniform = nn.init.uniform_(torch.empty(2, 2, dtype=torch.float64), -1, 1)
        dropped = nn.functional.dropout(torch.ones(5, 4), 0.25)
        order = torch.randperm(9)
    np.testing.assert_array_equal(weight, ours.normal((4, 3), 1, 2, np.float32))
    np.testing.assert_array_equal(uniform, ours.uniform((2, 2), -1, 1, np.float64))
    np.testing.assert_array_equal(dropped, ours.bernoulli((5, 4), 0.75) / np.float32(0.75))
    np.testing.assert_array_equal(order, ours.randperm(9))


def test_pytorchs_own_stream_is_left_alone():
    state = torch.get_rng_state()
    with SharedDraws(NumpyGenerator(0)):
        nn.functional.dropout(torch.ones(100), 0.5)
    assert torch.equal(torch.get_rng_state(), state)


def test_autograd_sees_the_mask():
    x = torch.ones(50, requires_grad=True)
    with SharedDraws(NumpyGenerator(1)):
        y = nn.functional.dropout(x, 0.5)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, "seed: expected an integer >= 0, got -1"),
        (1.5, TypeError, "seed: expected an integer, got float"),
        (True, TypeError, "seed: expected an integer, got bool"),
    ],
)
def test_a_bad_seed_is_named(seed, error, message):
    with pytest.raises(error, match=message):
        NumpyGenerator(seed)


def test_the_fused_dropout_of_cuda_takes_the_shared_mask():
    x = torch.linspace(-1, 1, 40, requires_grad=True)
    with SharedDraws(NumpyGenerator(2)):
        y, mask = torch.native_dropout(x, 0.25, True)
    kept = NumpyGenerator(2).bernoulli((40,), 0.75).astype(bool)
    np.testing.assert_array_equal(mask, kept)
    np.testing.assert_allclose(y.detach(), np.where(kept, x.detach() / 0.75, 0), rtol=1e-6)
    (dx,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(dx, kept / 0.75, rtol=1e-6)
