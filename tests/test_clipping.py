"""What only a test can ask of gradient clipping."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from laws import each_side, random_cases, run, seeded
from test_batch_norm import wide

import scratch.clipping as ours
from compare.cases import all_components
from compare.component import Case
from compare.measure import sum_units


def joined(arrays: dict[str, np.ndarray], kind: str) -> np.ndarray:
    return wide(np.concatenate([array.ravel() for name, array in arrays.items() if name.startswith(kind)]))


def norm_of(x: np.ndarray, case: Case) -> float:
    return np.linalg.norm(x, case.options.get("norm_type", 2.0)) if x.size else 0.0


@each_side
@seeded
@given(random_cases("clip_grad_norm"))
def test_no_norm_is_above_the_bound_and_the_direction_stays(side, case):
    """Each but for rounding: the norm that is returned is that of all numbers before."""
    results, before = run(side, "clip_grad_norm", case), joined(dict(case.arrays), "gradient")
    after, bound, unit = joined(results, "clipped"), case.options["max_norm"], np.finfo(case.dtype).eps
    slack = 1 + sum_units(max(before.size, 1)) * unit
    norm = norm_of(before, case)
    assume(norm > 1e-30)
    assert norm / slack <= results["total_norm"] <= norm * slack
    assert norm_of(after, case) <= min(bound, norm) * slack
    factor = norm_of(after, case) / norm
    assert (np.abs(after - factor * before) <= 4 * slack * unit * np.abs(before) * factor + 1e-30).all()
    if norm < bound / 2:
        np.testing.assert_array_equal(after, before)


@each_side
@seeded
@given(random_cases("clip_grad_norm"))
def test_it_makes_no_difference_into_how_many_arrays_the_numbers_are_divided(side, case):
    every = np.concatenate([array.ravel() for array in case.arrays.values()])
    assume(every.size)
    component = all_components()["clip_grad_norm"]
    whole = Case("whole", {"gradient1": every}, case.options, dtype=case.dtype)
    one, other = run(side, component.name, whole), run(side, component.name, case)
    tolerance = 2 * sum_units(every.size) * np.finfo(case.dtype).eps
    np.testing.assert_allclose(joined(other, "clipped"), joined(one, "clipped"), rtol=tolerance, atol=1e-30)


@each_side
@seeded
@given(random_cases("clip_grad_value"))
def test_clipping_twice_is_clipping_once_and_nothing_is_beyond_the_bound(side, case):
    once = run(side, "clip_grad_value", case)
    again = {name.replace("clipped", "gradient"): array for name, array in once.items()}
    twice = run(side, "clip_grad_value", case, **again)
    for name, array in once.items():
        np.testing.assert_array_equal(twice[name], array)
        assert (np.abs(array) <= case.dtype(case.options["clip_value"])).all()


def test_what_is_refused_is_left_as_it_is():
    gradients = [np.array([1.0, 2.0]), np.array([np.inf])]
    with pytest.raises(ValueError, match="gradients: expected a finite norm, got inf"):
        ours.clip_grad_norm_(gradients, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(gradients[0], [1, 2])
    for call, message in [
        (lambda: ours.clip_grad_norm_([], 1.0), "gradients: expected at least one array, got none"),
        (
            lambda: ours.clip_grad_value_([np.ones(2), np.ones(2, np.float32)], 1.0),
            r"gradients\[1\]: expected",
        ),
        (lambda: ours.clip_grad_norm_(gradients, 1.0, 0), "norm_type: expected a number > 0, got 0"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            call()


def test_the_norm_of_infinity_is_the_largest_and_arrays_may_come_one_by_one():
    gradients = [np.array([3.0, -4.0]), np.array([0.5])]
    assert ours.clip_grad_norm_((g for g in gradients), 2.0, math.inf) == 4
    np.testing.assert_allclose(gradients[0], [1.5, -2], rtol=1e-6)
    small = [np.zeros(0), np.array([0.5, -0.25])]  # PyTorch takes no array without numbers here
    assert ours.clip_grad_norm_(small, 0.25, math.inf) == 0.5
    np.testing.assert_allclose(small[1], [0.25, -0.125], rtol=1e-5)
    assert ours.clip_grad_norm_([np.zeros(0)], 0.25, math.inf) == 0
