"""Shared draws: PyTorch's random kernels answer with NumPy's numbers, and nothing else changes."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import compare.draws
from compare.draws import OwnDraws, SharedDraws, Widened, why_not_own
from scratch.random import NumpyGenerator, TorchGenerator


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
    np.testing.assert_array_equal(order, ours.epoch_order(9))


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


def test_the_fused_dropout_of_cuda_takes_the_shared_mask():
    x = torch.linspace(-1, 1, 40, requires_grad=True)
    with SharedDraws(NumpyGenerator(2)):
        y, mask = torch.native_dropout(x, 0.25, True)
    kept = NumpyGenerator(2).bernoulli((40,), 0.75).astype(bool)
    np.testing.assert_array_equal(mask, kept)
    np.testing.assert_allclose(y.detach(), np.where(kept, x.detach() / 0.75, 0), rtol=1e-6)
    (dx,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(dx, kept / 0.75, rtol=1e-6)


def test_own_draws_follow_the_seed_and_leave_the_outer_stream_alone():
    outer, ours, draws = torch.get_rng_state(), TorchGenerator(7), OwnDraws(7)
    for n in (3, 20):  # the second time the stream goes on
        with draws:
            drawn = torch.rand(n)
        np.testing.assert_array_equal(drawn, ours.rand(n))
    np.testing.assert_array_equal(draws.get_state(), ours.get_state())
    assert torch.equal(torch.get_rng_state(), outer)


def test_either_kind_of_draws_continues_from_scratchs_generator():
    for draws, ours in (
        (OwnDraws(0), TorchGenerator(5)),
        (SharedDraws(NumpyGenerator(0)), NumpyGenerator(5)),
    ):
        ours.uniform((3,), 0, 1, np.float32)
        draws.take_over(ours)
        with draws:
            np.testing.assert_array_equal(torch.empty(4).uniform_(), ours.uniform((4,), 0, 1, np.float32))
        np.testing.assert_array_equal(draws.get_state(), ours.get_state())


def test_the_arbiter_sees_the_draws_of_the_narrower_dtype():
    narrow, wide = TorchGenerator(1), Widened(TorchGenerator(1), np.float32)
    for size in ((4,), (20,)):
        expected = narrow.normal(size, 0, 2, np.float32)
        np.testing.assert_array_equal(wide.normal(size, 0, 2, np.longdouble), expected)
        np.testing.assert_array_equal(wide.uniform(size, 0, 2, np.longdouble), narrow.uniform(size, 0, 2))
    x = np.ones((3, 4))
    np.testing.assert_array_equal(wide.dropout_mask(x, 0.3), narrow.dropout_mask(x, 0.3))
    np.testing.assert_array_equal(wide.epoch_order(9), narrow.epoch_order(9))


@pytest.mark.parametrize(
    ("device", "version", "system", "reason"),
    [
        ("cpu", "2.13.0+cpu", "Linux", ""),
        ("cpu", "2.7.0", "Linux", ""),
        (
            "cpu",
            "2.6.0+cu124",
            "Linux",
            "PyTorch 2.6.0.cu124 draws masks and large integers unlike newer ones",
        ),
        ("cpu", "2.13.0", "Darwin", "have not been verified on Darwin x86_64"),
        ("cuda", "2.13.0", "Linux", "hardware approximations"),
    ],
)
def test_own_draws_are_asked_for_only_where_they_are_exact(monkeypatch, device, version, system, reason):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(compare.draws.platform, "system", lambda: system)
    monkeypatch.setattr(compare.draws.platform, "machine", lambda: "x86_64")
    assert bool(why_not_own(device)) == bool(reason)
    assert re.search(reason, why_not_own(device))
