"""What only a test can ask of the losses: errors on both sides alike, and where conventions differ."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import assume, given
from hypothesis import strategies as st
from laws import allowed, changed, each_side, random_cases, run, seeded, times
from torch.nn import functional as F  # noqa: N812

from compare.cases import all_components
from compare.cases.choices import any_seed
from compare.cases.losses import COMPONENTS
from compare.component import Case
from scratch import losses as ours
from torch_ref import losses as theirs

LOGITS, PROBABILITIES = "binary_cross_entropy_with_logits", "binary_cross_entropy"
CLASSES, SQUARES = "cross_entropy", "mse_loss"
HALF = np.full((3, 2), 0.5)
LABELS = np.array([0, 2, 1])
SCORES = np.array([[0.1, 0.2, 0.3, 0.4]] * 3)
GOOD = {
    LOGITS: (HALF - 1, HALF),
    PROBABILITIES: (HALF / 2, HALF),
    CLASSES: (SCORES, LABELS),
    SQUARES: (HALF, 3 * HALF),
}


def counted(case: Case) -> float:
    """What the mean of the losses of classes divides by."""
    logits, targets = case["logits"], case["targets"]
    if targets.dtype.kind == "f":
        return logits.size / logits.shape[min(1, logits.ndim - 1)]
    weight = case.arrays.get("weight", np.ones(logits.shape[min(1, logits.ndim - 1)]))
    counting = targets[targets != case.options.get("ignore_index", -100)]
    return weight[counting].sum()


def reduced(name: str) -> st.SearchStrategy[Case]:
    """Random cases whose loss is one number."""

    def to_one(case: Case) -> Case:
        if case.options["reduction"] != "none":
            return case
        return changed(case.but(case.name, reduction="sum"), dloss=0.7)

    return random_cases(name).map(to_one)


@pytest.mark.parametrize("name", GOOD)
def test_upstream_gradient_of_another_dtype_is_refused(name):
    prediction, targets = (a.astype(np.float32) if a.dtype.kind == "f" else a for a in GOOD[name])
    _, cache = getattr(ours, f"{name}_forward")(prediction, targets)
    with pytest.raises(TypeError, match=r"dloss: expected float32 like .*, got float64"):
        getattr(ours, f"{name}_backward")(np.float64(1.0), cache)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_loss_and_gradient_keep_the_dtype_with_a_python_number_as_upstream(name, dtype):
    prediction, targets = (a.astype(dtype) if a.dtype.kind == "f" else a for a in GOOD[name])
    loss, cache = getattr(ours, f"{name}_forward")(prediction, targets)
    gradient = getattr(ours, f"{name}_backward")(1.0, cache)
    np.testing.assert_array_equal(getattr(ours, f"{name}_backward")(1, cache), gradient)
    assert loss.shape == ()
    assert loss.dtype == gradient.dtype == dtype


@pytest.mark.parametrize("reduction", ours.REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
@pytest.mark.parametrize("name", [LOGITS, PROBABILITIES, SQUARES])
def test_losses_of_elements_take_any_shape_as_pytorch_does(name, shape, reduction):
    rng = np.random.default_rng(0)
    prediction, targets, full = (np.asarray(rng.random(shape)) for _ in range(3))
    for weight in (None, full, *([] if name == SQUARES else [full[..., :1] if shape else full])):
        loss, cache = getattr(ours, f"{name}_forward")(prediction, targets, reduction, weight=weight)
        dloss = np.asarray(rng.standard_normal(loss.shape))
        x, tensor = (
            torch.tensor(prediction, requires_grad=True),
            weight if weight is None else torch.tensor(weight),
        )
        right = getattr(theirs, name)(x, torch.tensor(targets), reduction, weight=tensor)
        (gradient,) = torch.autograd.grad(right, x, torch.tensor(dloss))
        np.testing.assert_allclose(loss, right.detach().numpy(), rtol=1e-13, strict=True)
        found = getattr(ours, f"{name}_backward")(dloss, cache)
        np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-12, strict=True)


@pytest.mark.parametrize("name", ["cross_entropy", LOGITS, PROBABILITIES, SQUARES])
def test_pytorchs_defaults_are_kept(name):
    x = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, -100, 2, 1]) if name == "cross_entropy" else x.flip(0)
    assert torch.equal(getattr(theirs, name)(x, targets), getattr(torch.nn.functional, name)(x, targets))


def test_pytorch_keeps_its_epsilon_in_float32_even_for_float64():
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(F.binary_cross_entropy(p, torch.ones_like(p)), p)
    assert -1 / gradient.item() == ours.EPSILON != 1e-12


@each_side
@pytest.mark.parametrize("name", [component.name for component in COMPONENTS])
@seeded
@given(data=st.data())
def test_a_loss_is_not_negative_and_its_mean_is_its_sum_divided(side, name, data):
    case = data.draw(reduced(name))
    assume("weight" not in case.arrays or (case["weight"] >= 0).all())
    averaged, whole = (case.but(case.name, reduction=reduction) for reduction in ("mean", "sum"))
    mean, total = run(side, name, averaged), run(side, name, whole)
    scales = all_components()[name].magnitude(whole)
    slack = {array: allowed(name, whole, array) for array in scales}
    assert total["loss"] >= -slack.get("loss", 0)
    prediction = next(iter(case.arrays))
    n = counted(case) if name == CLASSES else case["targets"].size
    if n:
        for array in ("loss", f"grad.{prediction}"):
            off = np.abs(n * mean[array] - total[array])
            assert (off <= 8 * unit(case) * np.abs(total[array]) + slack.get(array, 0) + tiny(case)).all()


@each_side
@seeded
@given(case=reduced(CLASSES))
def test_the_gradients_of_an_examples_logits_add_up_to_0(side, case):
    gradient = run(side, CLASSES, case)["grad.logits"].astype(np.longdouble)
    axis = min(1, gradient.ndim - 1)
    assert (np.abs(gradient.sum(axis=axis)) <= allowed(CLASSES, case, "grad.logits").sum(axis=axis)).all()


@each_side
@seeded
@given(case=reduced(CLASSES), shift=st.integers(-1000, 1000))
def test_a_number_added_to_all_logits_of_an_example_changes_nothing(side, case, shift):
    logits = np.round(np.clip(case["logits"], -64, 64) * 8) / 8  # so that no sum is rounded
    here, there = run(side, CLASSES, case, logits=logits), run(side, CLASSES, case, logits=logits + shift)
    for array in here:
        np.testing.assert_array_equal(there[array], here[array])


@each_side
@seeded
@given(case=reduced(LOGITS))
def test_two_classes_are_one_binary_choice(side, case):
    """−log softmax([0, x])₁ = −log σ(x), and −log softmax([0, x])₀ = −log(1 − σ(x))"""
    x, hard = case["logits"].ravel(), (case["targets"].ravel() > 0.5).astype(np.int64)
    arrays = {"logits": np.stack([0 * x, x], axis=1), "targets": hard, "dloss": case["dloss"]}
    classes = replace(case, arrays=arrays)
    binary = replace(case, arrays={"logits": x, "targets": hard.astype(case.dtype), "dloss": case["dloss"]})
    two, one = run(side, CLASSES, classes), run(side, LOGITS, binary)
    if x.size:
        assert abs(two["loss"] - one["loss"]) <= sum_of_allowed("loss", (CLASSES, classes), (LOGITS, binary))
    tolerance = allowed(CLASSES, classes, "grad.logits")[:, 1] + allowed(LOGITS, binary, "grad.logits")
    tolerance += tiny(case)  # where PyTorch's σ is 0, its softmax is not
    assert (np.abs(two["grad.logits"][:, 1] - one["grad.logits"]) <= tolerance).all()


@each_side
@seeded
@given(case=reduced(LOGITS))
def test_the_other_class_is_the_other_sign(side, case):
    """L(x, y) = L(−x, 1 − y), for targets of which 1 − y is not rounded"""
    x, y = case["logits"], np.round(case["targets"] * 8) / 8
    here, mirror = (changed(case, logits=sign * x, targets=t) for sign, t in ((1, y), (-1, 1 - y)))
    one, other = run(side, LOGITS, here), run(side, LOGITS, mirror)
    if x.size:
        assert abs(one["loss"] - other["loss"]) <= sum_of_allowed("loss", (LOGITS, here), (LOGITS, mirror))
    tolerance = allowed(LOGITS, here, "grad.logits") + allowed(LOGITS, mirror, "grad.logits")
    assert (np.abs(one["grad.logits"] + other["grad.logits"]) <= tolerance).all()


@each_side
@seeded
@given(case=reduced(LOGITS))
def test_cross_entropy_of_the_sigmoid_is_that_of_the_logit(side, case):
    """p = σ(x) is known to half a rounding unit of 1, which the logarithm magnifies by up to 1 + e^|x|."""
    x = np.clip(case["logits"], -4, 4)
    p = np.asarray(1 / (1 + np.exp(-x.astype(np.float64))), case.dtype)
    from_logits = changed(case, logits=x)
    arrays = {"probabilities": p, "targets": case["targets"], "dloss": case["dloss"]}
    logit = run(side, LOGITS, from_logits)
    probability = run(side, PROBABILITIES, replace(case, arrays=arrays))
    magnified = unit(case) * (1 + np.exp(np.abs(x)))  # of p, relatively; of the gradient's p − y, absolutely
    n = 1 if case.options["reduction"] == "sum" else x.size
    if x.size:
        tolerance = allowed(LOGITS, from_logits, "loss") + 8 * unit(case) * probability["loss"]
        assert abs(logit["loss"] - probability["loss"]) <= tolerance + magnified.sum() / n
    slope = probability["grad.probabilities"] * (p * (1 - p))
    tolerance = allowed(LOGITS, from_logits, "grad.logits") + magnified * np.abs(case["dloss"]) / max(n, 1)
    assert (np.abs(logit["grad.logits"] - slope) <= tolerance).all()


@each_side
@seeded
@given(case=reduced(SQUARES))
def test_squared_errors_are_symmetric_and_quadratic(side, case):
    """Exactly so: the sign is not rounded, and no power of two"""
    x, t = case["input"], case["targets"]
    here = run(side, SQUARES, case)
    swapped = run(side, SQUARES, replace(case, arrays={**case.arrays, "input": t, "targets": x}))
    doubled = run(side, SQUARES, case, input=times(2, x), targets=times(2, t))
    np.testing.assert_array_equal(swapped["grad.input"], -here["grad.input"])
    np.testing.assert_array_equal(doubled["grad.input"], 2 * here["grad.input"])
    np.testing.assert_allclose(swapped["loss"], here["loss"], rtol=8 * unit(case), atol=tiny(case))
    np.testing.assert_allclose(doubled["loss"], 4 * here["loss"], rtol=8 * unit(case), atol=tiny(case))


@each_side
@seeded
@given(case=reduced(SQUARES), seed=made(any_seed))
def test_the_gradient_of_the_squares_is_their_slope(side, case, seed):
    """L(x + v) − L(x − v) = 2·⟨∇L(x), v⟩, exactly so for a quadratic L and whole numbers"""
    x, t, v = np.random.default_rng(seed).integers(-9, 10, (3, *case["input"].shape))
    case = replace(changed(case, targets=t, dloss=1), options={"reduction": "sum"})
    here, ahead, behind = (run(side, SQUARES, case, input=value) for value in (x, x + v, x - v))
    assert ahead["loss"] - behind["loss"] == 2 * (here["grad.input"] * v).sum()


def test_the_softmax_is_summed_as_exactly_in_fortran_order():
    """1 + 33·e⁻¹⁶·⁶: one after the other, each of the small terms would be rounded up to twice its size."""
    logits = np.zeros((3, 34), np.float32)
    logits[:, 0] = 16.6
    losses = [ours.cross_entropy_forward(x, np.zeros(3, int))[0] for x in (logits, np.asfortranarray(logits))]
    assert losses[0] == losses[1]
    assert abs(losses[1] - np.log1p(33 * np.exp(-16.6))) < 4 * np.finfo(np.float32).eps


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("shape", [(7, 5), (5,), (3, 4, 6), (2, 4, 3, 5)])
def test_every_combination_of_options_is_pytorchs(shape, probabilities):
    rng, axis = np.random.default_rng(0), min(1, len(shape) - 1)
    x, classes, labels = rng.standard_normal(shape), shape[axis], shape[:axis] + shape[axis + 1 :]
    for ignored, weighted, smoothing, reduction in product(
        [None] if probabilities else [None, -100, 2], [False, True], [0.0, 0.1, 1.0], ours.REDUCTIONS
    ):
        targets = rng.random(shape) if probabilities else rng.integers(0, classes, labels)
        weight = rng.random(classes) + 0.1 if weighted else None
        options = {"reduction": reduction, "label_smoothing": smoothing}
        if ignored is not None:
            options["ignore_index"] = ignored
            targets.flat[1::2] = ignored
            targets.flat[0] = 0
        loss, cache = ours.cross_entropy_forward(x, targets, weight=weight, **options)
        dloss = np.asarray(rng.standard_normal(loss.shape))
        logits = torch.tensor(x, requires_grad=True)
        tensor = torch.tensor(weight) if weighted else None
        right = theirs.cross_entropy(logits, torch.tensor(targets), weight=tensor, **options)
        (gradient,) = torch.autograd.grad(right, logits, torch.tensor(dloss))
        np.testing.assert_allclose(loss, right.detach().numpy(), rtol=1e-13, atol=1e-14, strict=True)
        found = ours.cross_entropy_backward(dloss, cache)
        np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-12, atol=1e-14, strict=True)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"weight": np.arange(1.0, 5)}])
def test_further_axes_are_more_examples(options):
    """To the bit: the classes of each in a row of their own, the rows in the order of the targets"""
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((3, 4, 2, 5)), rng.integers(0, 4, (3, 2, 5))
    rows = np.moveaxis(x, 1, -1).reshape(-1, 4)
    loss, cache = ours.cross_entropy_forward(x, targets, **options)
    of_rows, cache_of_rows = ours.cross_entropy_forward(rows, targets.ravel(), **options)
    assert loss == of_rows
    gradient = np.moveaxis(ours.cross_entropy_backward(0.7, cache), 1, -1).reshape(-1, 4)
    np.testing.assert_array_equal(gradient, ours.cross_entropy_backward(0.7, cache_of_rows))


def test_a_mean_of_targets_none_of_which_counts_is_refused_and_their_sum_is_0():
    ignored, zeros = np.full(3, -100), np.zeros(4)
    for targets, weight in ((ignored, None), (LABELS, zeros), (ignored, zeros + 1)):
        for smoothing in (0.0, 0.1):
            options = {"weight": weight, "label_smoothing": smoothing}
            with pytest.raises(ValueError, match="targets: expected at least one that counts in a mean"):
                ours.cross_entropy_forward(SCORES, targets, **options)
            loss, cache = ours.cross_entropy_forward(SCORES, targets, "sum", **options)
            assert loss == 0
            np.testing.assert_array_equal(ours.cross_entropy_backward(1.0, cache), 0 * SCORES)
            tensors = [torch.tensor(array) for array in (SCORES, targets)]
            tensor = None if weight is None else torch.tensor(weight)
            assert theirs.cross_entropy(*tensors, weight=tensor, label_smoothing=smoothing).isnan()


def test_ignored_examples_are_as_if_they_were_not_there():
    rng, targets = np.random.default_rng(0), np.array([0, -100, 3, -100, 1])
    x = rng.standard_normal((5, 4))
    x[[1, 3]] = np.nan
    kept = targets >= 0
    for reduction in ("mean", "sum"):
        loss, cache = ours.cross_entropy_forward(x, targets, reduction)
        alone, cache_alone = ours.cross_entropy_forward(x[kept], targets[kept], reduction)
        assert loss == pytest.approx(alone, rel=1e-15)
        gradient = ours.cross_entropy_backward(0.7, cache)
        np.testing.assert_allclose(gradient[kept], ours.cross_entropy_backward(0.7, cache_alone), rtol=1e-14)


def test_probabilities_of_one_class_are_that_class_and_smoothed_labels_a_mixture():
    rng = np.random.default_rng(0)
    x, targets, weight = rng.standard_normal((6, 4)), rng.integers(0, 4, 6), rng.random(4)
    one_hot, options = np.eye(4)[targets], {"reduction": "none", "weight": weight}

    def both(targets, **smoothing):
        losses, cache = ours.cross_entropy_forward(x, targets, **options, **smoothing)
        return losses, ours.cross_entropy_backward(np.arange(1.0, 7), cache)

    np.testing.assert_equal(both(targets), both(one_hot))
    np.testing.assert_equal(both(targets, label_smoothing=0.3), both(0.7 * one_hot + 0.3 / 4))


def unit(case: Case) -> float:
    return float(np.finfo(case.dtype).eps)


def tiny(case: Case) -> float:
    return float(np.finfo(case.dtype).tiny)


def sum_of_allowed(array: str, *cases: tuple[str, Case]) -> float:
    return sum(allowed(name, case, array) for name, case in cases)


@pytest.mark.parametrize(
    ("targets", "given"),
    [
        (np.ones((3, 4), bool), r"bool \(3, 4\)"),
        (np.ones((3, 4, 2)), r"float64 \(3, 4, 2\)"),
        (np.ones(3), r"float64 \(3,\)"),
        ([0, 2, 1], "list"),
    ],
)
def test_what_is_neither_a_class_nor_a_probability_is_named(targets, given):
    expected = r"targets: expected integer classes \(3,\) or probabilities \(3, 4\)"
    with pytest.raises(TypeError, match=f"{expected}, got {given}"):
        ours.cross_entropy_forward(SCORES, targets)


@pytest.mark.parametrize(("targets", "ignored"), [([-200, 0, 1], -100), ([-5, 2, 1], 1)])
def test_a_class_below_the_one_that_is_ignored_is_refused(targets, ignored):
    with pytest.raises(ValueError, match=f"targets: expected classes from 0 to 3, got {targets[0]} to"):
        ours.cross_entropy_forward(SCORES, np.array(targets), ignore_index=ignored)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 3), (1, 3, 2)])
def test_a_weight_of_the_positive_labels_has_to_fit_also_without_another_one(shape):
    with pytest.raises(ValueError, match=r"pos_weight: expected a shape that broadcasts to \(3, 2\)"):
        ours.binary_cross_entropy_with_logits_forward(*GOOD[LOGITS], pos_weight=np.ones(shape))


def test_a_mean_may_divide_by_a_sum_of_weights_below_0():
    weight, dloss = np.array([-1.0, 0.5, -2.0, 1.0]), 0.7
    loss, cache = ours.cross_entropy_forward(SCORES, LABELS, weight=weight)
    logits = torch.tensor(SCORES, requires_grad=True)
    right = theirs.cross_entropy(logits, torch.tensor(LABELS), weight=torch.tensor(weight))
    assert loss == pytest.approx(right.item(), rel=1e-14)
    (gradient,) = torch.autograd.grad(dloss * right, logits)
    np.testing.assert_allclose(ours.cross_entropy_backward(dloss, cache), gradient.numpy(), rtol=1e-13)


def test_of_no_examples_there_is_a_gradient():
    with np.errstate(invalid="ignore"):
        loss, cache = ours.cross_entropy_forward(SCORES[:0], LABELS[:0])
    assert np.isnan(loss)  # the mean of nothing
    assert ours.cross_entropy_backward(1.0, cache).shape == (0, 4)
