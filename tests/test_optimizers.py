"""What only a test can ask of the optimizers: errors, layouts, schedules, and conventions that differ."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from laws import allowed, changed, each_side, in_any_dtype, random_cases, run, seeded

from compare.cases.choices import any_seed, any_size, power
from compare.cases.optimizers import COMPONENTS, any_share
from compare.component import Case
from scratch import optimizers as scratch
from scratch.optimizer import BLOCK
from torch_ref import optimizers as reference

NAMES = ("SGD", "Momentum", "Adagrad", "RMSprop", "Adam", "AdamW", "NAdam", "Lion")


def test_a_single_array_is_no_list_of_parameters():
    with pytest.raises(TypeError, match="params: expected a list of arrays, got a single one"):
        scratch.SGD(np.ones(3), lr=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_come_one_by_one(name):
    arrays = [np.ones(3), np.ones((2, 2))]
    kind = getattr(scratch, name)
    for params in (iter(arrays), [{"params": iter(arrays)}], ({"params": [array]} for array in arrays)):
        optimizer = kind(params, lr=0.1)
        assert all(one is other for one, other in zip(optimizer.params, arrays, strict=True))


@pytest.mark.parametrize("grads", [[[1.0] * 3], [None], [1.0], ["x"]], ids=str)
def test_a_gradient_that_is_no_array_is_named(grads):
    given = type(grads[0]).__name__
    with pytest.raises(TypeError, match=rf"^grads\[0\]: expected a floating-point array, got {given}$"):
        scratch.SGD([np.ones(3)], lr=0.1).step(grads)


@pytest.mark.parametrize("name", NAMES)
def test_bad_gradients_change_nothing(name):
    params = [np.ones(3), np.ones((3, 2))]
    optimizer = getattr(scratch, name)(params, lr=0.1)
    with pytest.raises(ValueError, match=r"grads\[1\]: expected shape \(3, 2\), got \(2, 3\)"):
        optimizer.step([np.ones(3), np.ones((2, 3))])
    assert optimizer.steps == 0
    assert all((param == 1).all() for param in params)


RULES = {  # rule → what it must be given
    "sgd_step": {},
    "sgd_momentum_step": {"momentum_buffer": np.ones(3), "step": 2, "momentum": 0.9},
    "nesterov_step": {"momentum_buffer": np.ones(3), "step": 2, "momentum": 0.9},
    "adagrad_step": {"sum": np.ones(3), "step": 2, "eps": 0.1},
    "rmsprop_step": {"square_avg": np.ones(3), "momentum_buffer": np.ones(3), "alpha": 0.9, "eps": 0.1},
    "adam_step": {
        "exp_avg": np.ones(3),
        "exp_avg_sq": np.ones(3),
        "step": 2,
        "betas": (0.9, 0.9),
        "eps": 0.1,
    },
    "nadam_step": {
        "exp_avg": np.ones(3),
        "exp_avg_sq": np.ones(3),
        "mu_product": np.full((), 0.5),
        "step": 2,
        "betas": (0.9, 0.9),
        "eps": 0.1,
        "momentum_decay": 0.5,
    },
    "lion_step": {"exp_avg": np.ones(3), "betas": (0.9, 0.9)},
}
DECOUPLED = {
    "lion_step": {},
    "nadam_step": {"decoupled_weight_decay": True},
}  # rule → what makes the decay so


def ruled(rule, grad, **options):
    param = np.array([1.0, 2.0, 3.0])
    given = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in RULES[rule].items()}
    getattr(scratch, rule)(param, grad, lr=0.1, **{**given, **options})
    return param


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_is_not_given_is_zero(rule):
    parameters = inspect.signature(getattr(scratch, rule)).parameters
    zeros = dict.fromkeys(
        {"weight_decay", "dampening", "momentum", "lr_decay"} & parameters.keys() - RULES[rule].keys(), 0
    )
    assert zeros
    grad = np.array([0.5, -1.0, 2.0])
    np.testing.assert_array_equal(ruled(rule, grad), ruled(rule, grad, **zeros))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "lion_step"])
@pytest.mark.parametrize("decay", [0.25, -0.25])
def test_weight_decay_of_either_sign_is_a_gradient(rule, decay):
    grad = np.array([0.5, -1.0, 2.0])
    decayed = ruled(rule, grad + decay * np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(ruled(rule, grad, weight_decay=decay), decayed)


@pytest.mark.parametrize(("rule", "options"), DECOUPLED.items())
@pytest.mark.parametrize("decay", [0.25, -0.25, 1, -1, 0])
def test_a_decoupled_decay_of_either_sign_is_a_factor(rule, options, decay):
    grad, start = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    step = ruled(rule, grad, **options) - start
    found = ruled(rule, grad, weight_decay=decay, **options)
    np.testing.assert_allclose(found, (1 - 0.1 * decay) * start + step, rtol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_keeps_all_that_its_optimizer_was_made_with(name):
    kind = getattr(scratch, name)
    (group,) = kind([np.ones(2)], lr=0.1).param_groups
    assert group.keys() == inspect.signature(kind).parameters.keys()


def test_the_factors_of_nadam_are_rounded_once_when_they_meet_the_array():
    """As in PyTorch: μ and Π are Python's numbers, also beside float32."""
    grad = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    param, exp_avg, exp_avg_sq = np.zeros((3, 1000), np.float32)
    product = np.full((), 0.7, np.float32)
    options = {"step": 3, "lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "momentum_decay": 0.004}
    scratch.nadam_step(param, grad, exp_avg, exp_avg_sq, product, **options)
    mu, mu_next = (0.9 * (1 - 0.5 * 0.96 ** (step * 0.004)) for step in (3, 4))
    denominator = np.sqrt(exp_avg_sq / (1 - 0.99**3)) + 1e-8

    def moved(product):
        found = -(0.1 * (1 - mu) / (1 - product) * grad / denominator)
        return found - 0.1 * mu_next / (1 - product * mu_next) * exp_avg / denominator

    np.testing.assert_array_equal(param, moved(product.item()))
    assert (param != moved(product)).any()


def test_three_hundred_parameters_have_three_hundred_gradients():
    params = list(np.ones((300, 1)))
    scratch.SGD(params, lr=1.0).step(list(np.ones((300, 1))))
    assert not any(params)


@pytest.mark.parametrize("layout", ["C", "F", "every other row", "transposed slice"])
@pytest.mark.parametrize("gradient_layout", ["C", "F"])
def test_no_layout_loses_an_update(layout, gradient_layout):
    values = np.random.default_rng(0).standard_normal((300, 200))
    grad = np.asarray(np.random.default_rng(1).standard_normal((300, 200)), order=gradient_layout)
    plain = values.copy()
    scratch.Adam([plain]).step([grad])
    if layout == "every other row":
        param = np.zeros((600, 200))[::2]
    elif layout == "transposed slice":
        param = np.zeros((250, 300))[:200].T
    else:
        param = np.zeros((300, 200), order=layout)
    param[...] = values
    scratch.Adam([param]).step([grad])
    np.testing.assert_array_equal(param, plain)


@pytest.mark.parametrize("name", NAMES)
def test_one_flat_buffer_is_the_same_as_its_parts(name):
    """A network hands over one buffer of all its parameters: blocks end anywhere in it."""
    rng = np.random.default_rng(0)
    flat, grads = rng.standard_normal(2 * BLOCK + 7), rng.standard_normal((3, 2 * BLOCK + 7))
    cuts = [5, 1000, BLOCK + 3]
    parts = np.split(flat.copy(), cuts)
    whole, split = getattr(scratch, name)([flat], lr=0.1), getattr(scratch, name)(parts, lr=0.1)
    for grad in grads:
        whole.step([grad])
        split.step(np.split(grad, cuts))
    np.testing.assert_array_equal(flat, np.concatenate(parts))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_the_number_of_a_parameter_is_changed_once_however_many_blocks_it_has(size):
    optimizer = scratch.NAdam([np.ones(size)], momentum_decay=0.0)
    for _ in range(2):
        optimizer.step([np.ones(size)])
    (product,) = optimizer.state["mu_product"]
    assert product.shape == ()
    assert product == pytest.approx(0.45**2, rel=1e-15)


def test_centered_rmsprop_can_lose_its_variance_to_rounding():
    """With α = 0 the variance s − a² is rounding alone; PyTorch's root of it is NaN for many elements."""
    grad = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    param = np.zeros(1000, np.float32)
    scratch.RMSprop([param], alpha=0.0, centered=True).step([grad])
    assert np.isfinite(param).all()  # g² − g², rounded alike, is exactly 0; a fused multiply-add is not


def with_options(case, **options):
    return case.but(case.name, **options)


def plain_adam(choose, dtype) -> Case:
    """Without weight decay, θ from 0, gradients of one order of magnitude in each case"""
    betas = any_share(choose), choose.number(0.01, 0.999)
    rates = tuple(choose.one_of([0.125, 1.0, 4.0]) for _ in range(choose.integer(1, 6)))
    n, rng = any_size(choose), np.random.default_rng(any_seed(choose))
    grads = rng.standard_normal((len(rates), n)) * 2.0 ** choose.integer(-9, 9)
    arrays = {"param.0": np.zeros(n, dtype), "grads.0": grads.astype(dtype)}
    options = {"optimizer": "Adam", "rates": rates, "betas": betas, "eps": 0.0}
    return Case("plain Adam", arrays, options, dtype=dtype)


def longest_step(betas: tuple[float, float], t: int) -> float:
    """The largest |m̂|/√v̂ of any gradients, by Cauchy and Schwarz: √c₂/c₁ · √Σ wᵢ²/uᵢ

    wᵢ = (1−β₁)·β₁ⁱ and uᵢ = (1−β₂)·β₂ⁱ are the weights that m and v give to the gradient of i steps ago. It
    is 1 at the first step, whatever the betas; with time it may grow to what the paper says, (1−β₁)/√(1−β₂),
    and by 1/√(1 − β₁²/β₂) beyond.
    """
    beta1, beta2 = betas
    ratio = sum(((1 - beta1) * beta1**i) ** 2 / ((1 - beta2) * beta2**i) for i in range(t))
    return (ratio * (1 - beta2**t)) ** 0.5 / (1 - beta1**t)


@each_side
@seeded
@given(case=in_any_dtype(plain_adam), amsgrad=st.booleans(), eps=st.sampled_from([0.0, 1e-8, 1e-3]))
def test_no_step_of_adam_is_longer_than_its_bound(side, case, amsgrad, eps):
    case = with_options(case, amsgrad=amsgrad, eps=eps)
    results = run(side, "adam", case)
    for t, lr in enumerate(case.options["rates"], start=1):
        name, bound = f"step{t}.update.0", lr * longest_step(case.options["betas"], t)
        assert (np.abs(results[name]) <= bound + allowed("adam", case, name)).all()


@each_side
@seeded
@given(case=in_any_dtype(plain_adam))
def test_adams_bound_is_reached_where_gradients_grow_like_the_weights(side, case):
    """By gᵢ ∝ wᵢ/uᵢ; so no factor can be missing in either moment, nor in its correction."""
    betas, rates = case.options["betas"], case.options["rates"]
    assume(betas[0] > 0.001)
    last, name = len(rates), f"step{len(rates)}.update.0"
    ages = np.arange(last)[::-1, np.newaxis]
    case = changed(case, **{"grads.0": np.sign(case["grads.0"][0]) * (betas[0] / betas[1]) ** ages})
    longest = rates[-1] * longest_step(betas, last)
    off = np.abs(run(side, "adam", case)[name] + longest * np.sign(case["grads.0"][0]))
    assert (off <= allowed("adam", case, name)).all()


@each_side
@seeded
@given(
    case=in_any_dtype(plain_adam),
    power=st.integers(-9, 9),
    name=st.sampled_from(["adam", "adamw", "rmsprop"]),
)
def test_without_epsilon_the_size_of_the_gradients_does_not_matter(side, case, power, name):
    """To the last bit, if it is a power of two that they are multiplied with."""
    if name == "rmsprop":
        case = replace(case, options={"optimizer": "RMSprop", "rates": case.options["rates"], "eps": 0.0})
    elif name == "adamw":
        case = with_options(case, optimizer="AdamW")
    larger = changed(case, **{"grads.0": case["grads.0"] * case.dtype(2.0**power)})
    results, scaled = run(side, name, case), run(side, name, larger)
    for key in results:
        if "update" in key or "param" in key:
            np.testing.assert_array_equal(results[key], scaled[key])


@each_side
@pytest.mark.parametrize("name", [component.name for component in COMPONENTS])
@seeded
@given(data=st.data())
def test_mirrored_parameters_and_gradients_take_mirrored_steps(side, name, data):
    case = data.draw(random_cases(name))
    results = run(side, name, case)
    mirrored = run(side, name, changed(case, **{key: -array for key, array in case.arrays.items()}))
    for key, array in results.items():
        squares = any(part in key for part in ("_sq.", "square_avg", "sum.", "mu_product"))
        np.testing.assert_array_equal(mirrored[key], array if squares else -array)


@each_side
@pytest.mark.parametrize("name", [component.name for component in COMPONENTS])
@seeded
@given(data=st.data())
def test_a_rate_of_zero_moves_the_state_but_no_parameter(side, name, data):
    case = data.draw(random_cases(name))
    case = with_options(case, rates=(0.0,) * len(case.options["rates"]))
    results = run(side, name, case)
    for key, array in results.items():
        if ".param." in key:
            np.testing.assert_array_equal(array, case[key.partition(".")[2]])
        elif ".update." not in key and key.startswith("step1"):
            _, buffer, i = key.split(".")
            if buffer == "mu_product":
                assert array < 1
                continue
            moved = case[f"grads.{i}"][0] != 0
            assert (array[moved] != 0).all() or case.options.get("weight_decay") or "grad_avg" in key


def one_push(choose, dtype) -> Case:
    """Whole numbers and powers of two: nothing is rounded. A gradient at one step, and none at the others"""
    n, rng, steps = any_size(choose), np.random.default_rng(any_seed(choose)), choose.integer(1, 6)
    arrays = {"param.0": rng.integers(-99, 100, n), "grads.0": np.zeros((steps, n))}
    push = choose.integer(0, steps - 1)
    arrays["grads.0"][push] = rng.integers(-9, 10, n)
    options = {"rates": (choose.one_of([0.125, 0.5, 1.0, 2.0]),) * steps, "push": push}
    return Case("one push", {k: a.astype(dtype) for k, a in arrays.items()}, options, dtype=dtype)


HALVES = 0.5 ** np.arange(7)


@each_side
@pytest.mark.parametrize(
    ("name", "options", "updates", "later"),  # in units of lr·g; how much of a later push counts
    [
        ("sgd", {"optimizer": "SGD"}, [1, 0, 0, 0, 0, 0], 1),
        ("momentum", {"optimizer": "Momentum", "beta": 0.5}, HALVES / 2, 1),
        ("momentum", {"optimizer": "SGD", "momentum": 0.5}, HALVES, 1),
        ("momentum", {"optimizer": "SGD", "momentum": 0.5, "dampening": 0.25}, HALVES, 3 / 4),
        ("nesterov", {"optimizer": "SGD", "momentum": 0.5, "nesterov": True}, [3 / 2, *HALVES[2:]], 1),
    ],
)
@seeded
@given(case=in_any_dtype(one_push))
def test_one_push_is_all_of_a_step_and_dies_away_geometrically_with_momentum(
    side, name, options, updates, later, case
):
    """Σ of the textbook's updates is lr·g, of PyTorch's and Nesterov's lr·g/(1−μ), once all have come."""
    push = case.options["push"]
    case = replace(case, options={"rates": case.options["rates"], **options})
    results = run(side, name, case)
    step = case.options["rates"][0] * case["grads.0"][push] * (later if push else 1)
    for t in range(len(case.options["rates"])):
        expected = -updates[t - push] * step if t >= push else 0 * step
        np.testing.assert_array_equal(results[f"step{t + 1}.update.0"], expected)


def constant_gradients(choose, dtype) -> Case:
    """The same gradient at every step, of any size beside ε"""
    n, rng, steps = any_size(choose), np.random.default_rng(any_seed(choose)), choose.integer(1, 5)
    grad = rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-6, 1, n)
    arrays = {"param.0": np.zeros(n, dtype), "grads.0": np.tile(grad, (steps, 1)).astype(dtype)}
    options = {"rates": (0.1,) * steps, "eps": power(choose, -10, 0)}
    return Case("constant gradient", arrays, options, dtype=dtype)


@each_side
@seeded
@given(
    case=in_any_dtype(constant_gradients),
    betas=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),  # not so near 1 that 1 − βᵗ loses digits
    amsgrad=st.booleans(),
)
def test_adam_goes_by_the_rate_as_long_as_the_gradient_stays_the_same(side, case, betas, amsgrad):
    """lr·g/(|g| + ε), whatever the betas: m̂ = g and v̂ = g² from the first step on"""
    case = with_options(case, optimizer="Adam", betas=betas, amsgrad=amsgrad)
    results, g = run(side, "adam", case), case["grads.0"][0].astype(np.float64)
    for t in range(1, len(case.options["rates"]) + 1):
        name = f"step{t}.update.0"
        off = np.abs(results[name] + 0.1 * g / (np.abs(g) + case.options["eps"]))
        assert (off <= allowed("adam", case, name)).all()


@each_side
@seeded
@given(
    case=in_any_dtype(constant_gradients),
    alpha=st.floats(0.3, 0.99),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    centered=st.booleans(),
)
def test_rmsprop_under_a_constant_gradient(side, case, alpha, momentum, centered):
    """s = (1−αᵗ)·g² and a = (1−αᵗ)·g, so that s − a² = αᵗ·(1−αᵗ)·g²; the buffer adds up g/(√· + ε)"""
    case = with_options(case, optimizer="RMSprop", alpha=alpha, momentum=momentum, centered=centered)
    results, g, b = run(side, "rmsprop", case), case["grads.0"][0].astype(np.float64), 0
    for t in range(1, len(case.options["rates"]) + 1):
        root = np.abs(g) * ((1 - alpha**t) * (alpha**t if centered else 1)) ** 0.5
        b = momentum * b + g / (root + case.options["eps"])
        name = f"step{t}.update.0"
        assert (np.abs(results[name] + 0.1 * b) <= allowed("rmsprop", case, name)).all()


@each_side
@seeded
@given(
    case=in_any_dtype(constant_gradients),
    lr_decay=st.floats(0, 2),
    start=st.sampled_from([0.0, 1e-6, 0.1]),
)
def test_adagrad_under_a_constant_gradient(side, case, lr_decay, start):
    """s = s₀ + t·g², so that the steps shrink like 1/√t"""
    options = {"lr_decay": lr_decay, "initial_accumulator_value": start}
    case = with_options(case, optimizer="Adagrad", **options)
    results, g = run(side, "adagrad", case), case["grads.0"][0].astype(np.float64)
    for t in range(1, len(case.options["rates"]) + 1):
        lr, name = 0.1 / (1 + (t - 1) * lr_decay), f"step{t}.update.0"
        off = np.abs(results[name] + lr * g / (np.sqrt(start + t * g**2) + case.options["eps"]))
        assert (off <= allowed("adagrad", case, name)).all()


@each_side
@seeded
@given(case=in_any_dtype(constant_gradients), beta2=st.floats(0, 0.9), psi=st.sampled_from([0.0, 4e-3, 1.0]))
def test_nadam_without_momentum_is_adam_without_it(side, case, beta2, psi):
    case = with_options(case, betas=(0.0, beta2))
    plain = run(side, "adam", with_options(case, optimizer="Adam"))
    case = with_options(case, optimizer="NAdam", momentum_decay=psi)
    for name, update in run(side, "nadam", case).items():
        if "update" in name:
            assert (np.abs(update - plain[name]) <= 2 * allowed("nadam", case, name)).all()


@each_side
@seeded
@given(case=in_any_dtype(constant_gradients), beta1=st.floats(0.01, 0.9))
def test_nadam_goes_further_than_the_rate_by_what_it_knows_of_the_next_step(side, case, beta1):
    """Of a constant momentum μ, lr·((1−μ)/(1−μᵗ) + μ·(1−β₁ᵗ)/(1−μᵗ⁺¹)): PyTorch averages by β₁, not by μ"""
    case = with_options(case, optimizer="NAdam", betas=(beta1, 0.5), momentum_decay=0.0)
    results, g, mu = run(side, "nadam", case), case["grads.0"][0].astype(np.float64), beta1 / 2
    for t in range(1, len(case.options["rates"]) + 1):
        ahead = (1 - mu) / (1 - mu**t) + mu * (1 - beta1**t) / (1 - mu ** (t + 1))
        name = f"step{t}.update.0"
        off = np.abs(results[name] + 0.1 * ahead * g / (np.abs(g) + case.options["eps"]))
        assert (off <= allowed("nadam", case, name)).all()


@each_side
@seeded
@given(case=in_any_dtype(one_push), betas=st.sampled_from([(0.5, 0.75), (0.0, 0.5), (0.5, 0.0)]))
def test_every_step_of_lion_is_as_long_as_the_rate_or_there_is_none(side, case, betas):
    """After a push it goes on in its direction, unless the average has forgotten it."""
    push, lr = case.options["push"], case.options["rates"][0]
    case = replace(case, options={"rates": case.options["rates"], "optimizer": "Lion", "betas": betas})
    case = changed(case, **{"param.0": 0 * case["param.0"]})
    results, signs = run(side, "lion", case), np.sign(case["grads.0"][push])
    for t in range(len(case.options["rates"])):
        moves = t == push or (t > push and betas[0] > 0 and (betas[1] > 0 or t == push + 1))
        np.testing.assert_array_equal(results[f"step{t + 1}.update.0"], -lr * signs * moves)


def whole_numbers(choose, dtype) -> Case:
    """One step of whole numbers, rates and decays that are powers of two: no sum and no product is rounded"""
    n, rng = any_size(choose), np.random.default_rng(any_seed(choose))
    arrays = {"param.0": rng.integers(-99, 100, n), "grads.0": rng.integers(-9, 10, (1, n))}
    options = {"rates": (choose.one_of([0.125, 0.5]),), "weight_decay": 0.25}
    return Case("whole numbers", {k: a.astype(dtype) for k, a in arrays.items()}, options, dtype=dtype)


@each_side
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sgd", {"optimizer": "SGD"}),
        ("momentum", {"optimizer": "SGD", "momentum": 0.5}),
        ("nesterov", {"optimizer": "SGD", "momentum": 0.5, "nesterov": True}),
        ("rmsprop", {"optimizer": "RMSprop"}),
        ("adam", {"optimizer": "Adam"}),
        ("adamw", {"optimizer": "AdamW"}),
        ("adagrad", {"optimizer": "Adagrad"}),
        ("nadam", {"optimizer": "NAdam"}),
        ("nadam", {"optimizer": "NAdam", "decoupled_weight_decay": True}),
        ("lion", {"optimizer": "Lion"}),
    ],
)
@seeded
@given(case=in_any_dtype(whole_numbers))
def test_weight_decay_is_a_gradient_or_a_factor(side, name, options, case):
    """A step with g and λ is one with g + λθ and none; or, decoupled, one from (1 − lr·λ)·θ"""
    case, decay = with_options(case, **options), case.options["weight_decay"]
    if name in ("adamw", "lion") or "decoupled_weight_decay" in options:
        plainly = {"param.0": (1 - case.options["rates"][0] * decay) * case["param.0"]}
    else:
        plainly = {"grads.0": case["grads.0"] + decay * case["param.0"]}
    without = with_options(changed(case, **plainly), weight_decay=0.0)
    there, here = (run(side, name, c)["step1.param.0"] for c in (without, case))
    np.testing.assert_array_equal(here, there)


def test_pytorch_loses_the_digits_of_a_small_beta_where_the_average_is_much_larger_than_the_gradient():
    """`torch.lerp` has 1 − (1 − β) for β: 1e-7 is 1.19e-7 in float32."""
    average, grad = np.ones(1, np.float32), np.zeros(1, np.float32)
    theirs = torch.from_numpy(average.copy()).lerp(torch.from_numpy(grad), 1 - 1e-7).item()
    scratch._average(average, grad, 1e-7)
    assert average[0] == np.float32(1e-7)
    assert theirs == 2.0**-23


def test_every_velocity_starts_at_zero_and_not_at_a_gradient_of_minus_zero():
    params = [torch.ones(2), torch.ones(2)]
    for groups in (params, [{"params": [param]} for param in params]):
        optimizer = reference.Momentum(groups, 0.1)
        assert all((optimizer.velocity(param) == 0).all() for param in params)
        reference.step(optimizer, [torch.zeros(2), torch.tensor([-0.0, -0.0])])
        assert not any(torch.signbit(optimizer.velocity(param)).any() for param in params)


def test_without_momentum_the_velocity_is_the_gradient():
    param = torch.ones(2)
    optimizer = reference.Momentum([param], 0.1, beta=0.0)
    assert optimizer.velocity(param).tolist() == [0, 0]
    reference.step(optimizer, [torch.tensor([3.0, -2.0])])
    assert optimizer.velocity(param).tolist() == [3, -2]


def test_lion_passes_over_a_parameter_without_a_gradient():
    params = [torch.ones(2), torch.ones(2)]
    params[1].grad = torch.ones(2)
    reference.Lion(params, lr=0.5).step()
    assert [param.tolist() for param in params] == [[1, 1], [0.5, 0.5]]


def test_a_step_of_momentum_calls_its_closure_and_returns_what_that_returns():
    param = torch.ones(2)
    optimizer = reference.Momentum([param], 0.1)

    def closure() -> float:
        param.grad = torch.ones(2)
        return 7.0

    assert optimizer.step(closure) == 7.0
    assert (param != 1).all()


def test_a_step_takes_the_gradients_of_all_groups_in_their_order():
    params = [torch.ones(2), torch.ones(3)]
    optimizer = reference.SGD([params[0]], 0.1)
    optimizer.add_param_group({"params": [params[1]], "lr": 1.0})
    reference.step(optimizer, [torch.ones(2), torch.ones(3)])
    assert [param[0].item() for param in params] == [pytest.approx(0.9), 0.0]


KINDS = {
    "gradient descent": ("SGD", {"weight_decay": 0.1}),
    "momentum": ("SGD", {"momentum": 0.9, "dampening": 0.2}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "RMSProp": ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    "Adam": ("Adam", {"weight_decay": 0.1}),
    "AMSGrad": ("Adam", {"amsgrad": True}),
    "AdamW": ("AdamW", {}),
    "Adagrad": ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.1}),
    "NAdam": ("NAdam", {"weight_decay": 0.1}),
    "Lion": ("Lion", {}),
}


def stepped(side: str, kind: str, groups: list[dict] | None = None, sign: int = 1, **options) -> list:
    """Three parameters after five steps, in groups of two and one if these are given."""
    rng = np.random.default_rng(0)
    params = [rng.standard_normal(shape) for shape in ((3, 2), (2,), (4,))]
    grads = [[sign * rng.standard_normal(param.shape) for param in params] for _ in range(5)]
    module, (name, given) = (scratch if side == "scratch" else reference), KINDS[kind]
    params = params if side == "scratch" else [torch.from_numpy(param) for param in params]
    several = [
        {"params": part, **own} for part, own in zip((params[:2], params[2:]), groups or [], strict=False)
    ]
    optimizer = getattr(module, name)(several or params, lr=0.1, **given, **options)
    for grad in grads:
        if side == "scratch":
            optimizer.step(grad)
        else:
            reference.step(optimizer, list(map(torch.from_numpy, grad)))
    return [np.asarray(param) for param in params]


@each_side
@pytest.mark.parametrize("kind", KINDS)
def test_to_maximize_is_to_go_against_the_other_gradient(side, kind):
    for up, down in zip(stepped(side, kind, maximize=True), stepped(side, kind, sign=-1), strict=True):
        np.testing.assert_array_equal(up, down)


@pytest.mark.parametrize("kind", KINDS)
def test_groups_have_hyperparameters_of_their_own_on_both_sides(kind):
    groups = [{"lr": 0.01, "weight_decay": 0.3}, {"maximize": True}]
    ours, theirs = (stepped(side, kind, groups) for side in ("scratch", "torch"))
    without = stepped("scratch", kind)
    for a, b, c in zip(ours, theirs, without, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
        assert not np.allclose(a, c, rtol=1e-3)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"lr": -1.0}], r"param_groups\[0\]: lr: expected a finite number >= 0, got -1"),
        ([{}, {"weight_decay": np.nan}], r"param_groups\[1\]: weight_decay: expected a finite number >= 0"),
        ([{}, {"amsgrad": True}], r"params\[1\]: expected params, lr, betas, .*, got amsgrad"),
        ([{"weight_dekay": 0.1}], r"params\[0\]: expected params, lr, betas, .*, got weight_dekay"),
        ([{"betas": (0.9, 1.0)}], r"param_groups\[0\]: betas\[1\]: expected a number >= 0 and < 1, got 1"),
    ],
)
def test_a_group_with_something_else_in_it_is_refused(groups, message):
    groups = [{"params": [np.ones(2)], **own} for own in groups]
    with pytest.raises(ValueError, match=message):
        scratch.Adam(groups)


def test_every_parameter_is_a_floating_point_array_and_every_group_a_dict():
    good = np.ones(2)
    for params, wrong in (
        ([good, np.arange(3)], r"params\[1\]: expected a floating-point array, got int64"),
        ([{"params": [good]}, good], r"params\[0\]: expected a floating-point array, got dict"),
        ([{"params": [good, [1.0]]}], r"params\[1\]: expected a floating-point array, got list"),
    ):
        with pytest.raises(TypeError, match=f"^{wrong}$"):
            scratch.SGD(params, lr=0.1)


def test_a_group_without_parameters_is_refused():
    with pytest.raises(ValueError, match="params: expected at least one array, got an empty list"):
        scratch.SGD([{"lr": 0.1}])


def test_a_state_brings_the_initial_rates_and_is_refused_for_any_of_its_groups():
    groups = [{"params": [np.ones(2)]}, {"params": [np.ones(3)]}]
    saved = scratch.Adam(groups, lr=0.1).state_dict()
    saved["param_groups"][1] |= {"initial_lr": 0.5, "foreach": None}
    optimizer = scratch.Adam(groups, lr=0.1)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[1]["initial_lr"] == 0.5
    assert "foreach" not in optimizer.param_groups[1], "which only PyTorch knows"
    saved["param_groups"][1]["eps"] = -1.0
    with pytest.raises(
        ValueError, match=r"^param_groups\[1\]: eps: expected a finite number >= 0, got -1.0$"
    ):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[1]["eps"] == 1e-8


def test_a_momentum_of_pytorch_which_counts_no_steps_has_taken_its_first():
    parameter = torch.nn.Parameter(torch.ones(2))
    theirs = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    parameter.grad = torch.ones(2)
    for _ in range(3):
        theirs.step()
    ours = scratch.SGD([np.ones(2, np.float32)], lr=0.1, momentum=0.9)
    state = {name: tensor.numpy() for name, tensor in theirs.state[parameter].items()}
    ours.load_state_dict({**theirs.state_dict(), "state": {0: state}})
    assert ours.steps == 1
    np.testing.assert_array_equal(ours.state["momentum_buffer"][0], state["momentum_buffer"])


def test_the_rate_is_that_of_the_first_group_and_is_set_for_all():
    optimizer = scratch.SGD([{"params": [np.ones(2)], "lr": 0.3}, {"params": [np.ones(3)]}], lr=0.1)
    assert optimizer.lr == 0.3
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_without_steps_is_that_of_an_optimizer_made_anew(kind):
    name, options = KINDS[kind]
    optimizer, fresh = (getattr(scratch, name)([np.ones(2)], 0.1, **options) for _ in range(2))
    optimizer.step([np.ones(2)])
    optimizer.load_state_dict(fresh.state_dict())
    assert optimizer.steps == 0
    for buffer, (array,) in optimizer.state.items():
        np.testing.assert_array_equal(array, fresh.state[buffer][0])


def test_what_pytorchs_adagrad_keeps_before_its_first_step_is_taken_over():
    theirs = reference.Adagrad([torch.ones(2, dtype=torch.float64)], initial_accumulator_value=0.3)
    state = {0: {"step": 0, "sum": theirs.state_dict()["state"][0]["sum"].numpy()}}
    ours = scratch.Adagrad([np.ones(2)])
    ours.load_state_dict({**ours.state_dict(), "state": state})
    assert ours.steps == 0
    np.testing.assert_array_equal(ours.state["sum"][0], 0.3)


def test_pytorch_begins_the_product_of_nadams_momenta_in_float32_and_ours_does_not():
    """Beside float64 parameters, until `load_state_dict` makes it a float64."""
    params = [torch.ones(2, dtype=torch.float64) for _ in range(2)]
    plain, ours = torch.optim.NAdam(params[:1]), reference.NAdam(params[1:])
    for optimizer in (plain, ours):
        reference.step(optimizer, [torch.ones(2, dtype=torch.float64)])
    assert plain.state[params[0]]["mu_product"].dtype == torch.float32
    assert ours.state[params[1]]["mu_product"].dtype == torch.float64
    plain.load_state_dict(plain.state_dict())
    assert plain.state[params[0]]["mu_product"].dtype == torch.float64


def test_a_parameter_group_that_is_added_to_nadam_has_its_state():
    params = [torch.ones(2), torch.ones(3)]
    optimizer = reference.NAdam(params[:1])
    optimizer.add_param_group({"params": params[1:]})
    reference.step(optimizer, [torch.ones(2), torch.ones(3)])
    assert all((param < 1).all() for param in params)


def test_lion_calls_its_closure_and_passes_over_what_has_no_gradient():
    params = [torch.ones(2), torch.ones(3)]
    optimizer = reference.Lion(params, 0.5)

    def closure() -> float:
        params[0].grad = torch.tensor([2.0, 0.0])
        return 7.0

    assert optimizer.step(closure) == 7.0
    assert [param.tolist() for param in params] == [[0.5, 1.0], [1.0, 1.0, 1.0]]


def test_the_momentum_of_pytorch_is_not_thrown_away():
    """Its state has no number of steps; the buffer says that the first one is over."""
    theirs = torch.optim.SGD([torch.ones(2, dtype=torch.float64)], lr=0.1, momentum=0.9)
    ours = scratch.SGD([np.ones(2)], lr=0.1, momentum=0.9)
    reference.step(theirs, [torch.ones(2, dtype=torch.float64)])
    state = theirs.state_dict()["state"]
    ours.load_state_dict(
        {**ours.state_dict(), "state": {0: {"momentum_buffer": state[0]["momentum_buffer"].numpy()}}}
    )
    ours.step([np.ones(2)])
    np.testing.assert_array_equal(ours.state["momentum_buffer"][0], 1.9)
