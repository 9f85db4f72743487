"""The derived budgets and scales: wide enough for right answers, not wide enough for wrong ones."""

import numpy as np
import pytest

from compare.cases import all_components
from compare.cases.error_analysis import ErrorAnalysis
from compare.cases.network import DESCRIPTIONS
from compare.cases.optimizers import _quotient_size, adam_sizes, rmsprop_sizes
from compare.component import Case
from compare.measure import sum_units
from compare.run import cases_of, run_case
from scratch.network import Network
from scratch.optimizers import adam_step, rmsprop_step
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


@pytest.mark.parametrize("seed", [777006, 777038])
def test_seeds_at_which_a_right_rmsprop_was_once_rejected(seed):
    rmsprop = COMPONENTS["rmsprop"]
    for case in cases_of(rmsprop, seed, np.float32):
        if case.name.startswith("eps 0"):
            assert run_case(rmsprop, case, arbiter=False).equal, case.name


CANCELLING = {  # the optimizers whose last step is as small as the last gradient
    "sgd": {"optimizer": "SGD"},
    "momentum": {"optimizer": "Momentum", "beta": 1e-9},
    "nesterov": {"optimizer": "SGD", "momentum": 1e-9, "nesterov": True},
    "rmsprop": {"optimizer": "RMSprop", "eps": 0.0},
}


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_small_step_of_a_parameter_that_earlier_steps_cancelled_is_seen_to_its_rounding(name, dtype):
    rng, component = np.random.default_rng(0), COMPONENTS[name]
    small = float(np.finfo(dtype).eps) / 1000
    gradients = rng.uniform(0.5, 2, (5, 2000)) * np.array([1, -1, 1, small, small])[:, None]
    options = {**CANCELLING[name], "rates": (0.01, 0.02, 0.01, 0.01, 0.01)}
    arrays = {"param.0": np.zeros(2000, dtype), "grads.0": gradients.astype(dtype)}
    case = Case("from 0", arrays, options, dtype=dtype)
    there = component.run_torch(case.in_higher_precision(np.float64).for_torch("cpu"))["step3.param.0"]
    arrays["param.0"] = -there.numpy().astype(dtype)
    result = run_case(component, case, arbiter=False)
    assert result.equal, result.worst


DECAYING = {
    "rmsprop": {"optimizer": "RMSprop"},
    "rmsprop, centered": {"optimizer": "RMSprop", "centered": True, "alpha": 0.9, "eps": 1e-12},
    "rmsprop, momentum": {"optimizer": "RMSprop", "momentum": 0.9},
    "adam": {"optimizer": "Adam"},
    "adam, amsgrad": {"optimizer": "Adam", "amsgrad": True, "betas": (0.5, 0.9), "eps": 1e-12},
}


def nearly_cancelled(options, shares, dtype, steps=3) -> Case:
    """A weight decay that leaves such shares of the first gradient, and later gradients as they come."""
    rng = np.random.default_rng(1)
    param = rng.uniform(0.5, 2, len(shares)).astype(dtype)
    gradients = rng.standard_normal((steps, len(shares)))
    gradients[0] = -0.1 * param * (1 - shares)
    options = {**options, "weight_decay": 0.1, "rates": (0.01,) * steps}
    return Case("", {"param.0": param, "grads.0": gradients.astype(dtype)}, options, dtype=dtype)


@pytest.mark.parametrize("name", DECAYING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_weight_decay_cancels_the_gradient_an_optimizer_may_be_as_wrong_as_its_error(name, dtype):
    component, unit = COMPONENTS[name.partition(",")[0]], float(np.finfo(dtype).eps)
    case = nearly_cancelled(DECAYING[name], np.geomspace(unit / 100, 1, 4000), dtype)
    result = run_case(component, case, arbiter=False)
    assert result.equal, result.worst


@pytest.mark.parametrize("name", DECAYING)
def test_and_a_thousand_units_from_there_it_may_not(name):
    """To first order, the condition number: 1/0.01, and twice that of a quotient."""
    component = COMPONENTS[name.partition(",")[0]]
    case = nearly_cancelled(DECAYING[name], np.array([0.01, 0.02]), np.float64, steps=1)
    update = component.run_torch(case.for_torch("cpu"))["step1.update.0"].numpy()
    scale = component.magnitude(case)["step1.update.0"] - case["param.0"]  # whose last digit it has
    assert np.all(scale < 500 * np.abs(update))


def test_the_size_of_a_quotient_is_what_its_terms_can_make_of_it_and_no_more():
    rng, tolerance, most = np.random.default_rng(2), 1e-3, 3.0
    n, root, size, root_size = rng.standard_normal((4, 5000)) * 10.0 ** rng.uniform(-3, 0, (4, 5000))
    n, root, size = n / 1000, np.abs(root), np.abs(size)
    root_size = np.maximum(np.abs(root_size), root)
    root = np.maximum(root, np.abs(n) / most)
    scale = _quotient_size(size, n, root, root_size, 1e-8, most, tolerance)
    worst = np.zeros(5000)
    for up, down in ((1, -1), (-1, -1), (1, 1), (-1, 1)):
        wrong = (n + up * tolerance * size) / (root + 1e-8 + down * tolerance * (root_size + 1e-8))
        valid = root > tolerance * root_size  # a root is not negative
        part = np.abs(np.clip(wrong, -most, most) - n / (root + 1e-8))
        worst = np.maximum(worst, np.where(valid, part, 0))
    assert np.all(worst <= tolerance * scale * (1 + 1e-9))
    assert np.median(worst[worst > 0] / (tolerance * scale)[worst > 0]) > 0.9


LONGEST = {  # → the gradients whose last step is the longest
    "rmsprop": (rmsprop_sizes, rmsprop_step, {"alpha": 0.9}, lambda k: 1e-12**k),
    "rmsprop, centered": (
        rmsprop_sizes,
        rmsprop_step,
        {"alpha": 0.9, "centered": True},
        lambda k: np.where(k == 0, 1, 0.1 / (0.1 + 0.9**5)),
    ),
    "adam": (adam_sizes, adam_step, {"betas": (0.9, 0.999)}, lambda k: (0.9 / 0.999) ** k),
    "adam, betas 0": (adam_sizes, adam_step, {"betas": (0.0, 0.0)}, lambda k: 1e-12**k),
}


@pytest.mark.parametrize("name", LONGEST)
def test_no_step_is_longer_than_the_longest(name):
    sizes, rule, options, longest = LONGEST[name]
    gradients = np.random.default_rng(3).standard_normal((5, 5000))
    gradients[:, 0] = longest(np.arange(5)[::-1])
    options = {**options, "eps": 0.0}
    size: dict = {}
    for t in range(1, 6):  # so large an error that nothing else is known of a step
        either_way = sizes(size, 0, np.ones(1), lambda _: np.full(1, 0.5), t, 1.0, options, tolerance=100.0)
    given = {name: value for name, value in options.items() if name != "centered"}
    buffers = [np.zeros(5000) for _ in range(1 if rule is rmsprop_step and "centered" not in options else 2)]
    for t, gradient in enumerate(gradients, start=1):
        param = np.zeros(5000)
        count = {} if rule is rmsprop_step else {"step": t}
        rule(param, gradient, *buffers, lr=1.0, **count, **given)
    most = 100 * either_way[0] / 2
    assert np.abs(param).max() <= most * (1 + 1e-9)
    assert np.abs(param[0]) >= most * (1 - 1e-9)


def test_every_description_of_a_network_is_compared():
    assert set(DESCRIPTIONS) < {case.name for case in cases_of(COMPONENTS["network"], 0, np.float64)}
