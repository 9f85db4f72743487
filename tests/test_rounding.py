"""The derived budgets and scales: wide enough for right answers, not wide enough for wrong ones."""

import numpy as np
import pytest

from compare.cases.network import DESCRIPTIONS
from compare.error_analysis import ErrorAnalysis
from compare.parity import cases_of, run_case
from compare.registry import all_components
from compare.rounding import sum_units
from scratch.network import Network
from scratch.random import NumpyGenerator

COMPONENTS = all_components()


@pytest.mark.parametrize("terms", [300, 3000])
def test_sums_one_after_the_other_stay_within_the_budget_and_use_some_of_it(terms):
    x = np.random.default_rng(0).standard_normal((terms, 3000)).astype(np.float32)
    one_after_the_other = np.add.accumulate(x, axis=0)[-1]
    error = np.abs(one_after_the_other - x.sum(axis=0, dtype=np.float64))
    units = error / (np.finfo(np.float32).eps * np.sqrt((x**2.0).sum(axis=0)))
    assert sum_units(terms, 3000) / 8 < units.max() < sum_units(terms, 3000)


def test_short_sums_are_left_at_32_units():
    assert sum_units(1) == sum_units(20) == 32


@pytest.mark.parametrize("seed", [9, 14, 20, 28, 33])
def test_seeds_at_which_right_networks_were_once_rejected(seed):
    network = COMPONENTS["network"]
    for dtype in (np.float32, np.float64):
        for case in cases_of(network, seed, dtype):
            assert run_case(network, case, arbiter=False).equal, case.name


def test_the_scales_of_a_network_leave_no_room_for_a_gradient_that_is_wrong_in_the_tenth_digit():
    class Slightly(Network):
        def backward(self, *, input_gradient=False):
            dx = super().backward(input_gradient=input_gradient)
            self.flat_gradients *= 1 + 1e-10
            return dx

    network = COMPONENTS["network"]
    for case in cases_of(network, 0, np.float64):
        result = run_case(network, case, replaced={"Network": Slightly}, arbiter=False)
        if case.name != "zero logits":  # its gradients are all 0
            assert not (case.finite and result.equal), case.name


def test_at_a_kink_either_slope_is_right_and_next_to_it_only_one():
    def scale(first: float) -> float:
        network = Network((1, 1, 1), NumpyGenerator(0), loss="mse_loss", init="zeros", dtype=np.float64)
        network.flat_parameters[...] = [1, -1, 1, 0]  # ReLU(x − 1)
        analysis = ErrorAnalysis(network, "mse_loss", np.float64, 32)
        analysis.cost(*analysis.forward(np.array([[first]])), np.array([[2.0]]))
        return float(np.sqrt(analysis.backward().max()))

    assert scale(1 + 1e-15) > 1e13
    assert scale(1.1) < 100


def test_every_description_of_a_network_is_compared():
    assert set(DESCRIPTIONS) < {case.name for case in cases_of(COMPONENTS["network"], 0, np.float64)}
