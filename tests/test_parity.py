"""The comparison itself, on made-up components: what it must reject, and what it hands to each side."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from compare.cases.inputs import fortran, strided
from compare.component import DTYPES, Budget, Case, Component, Results, higher_precision
from compare.draws import OwnDraws, SharedDraws
from compare.run import cases_of, run_case, run_component, run_refused
from scratch.random import NumpyGenerator, TorchGenerator

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def three_cases(rng: np.random.Generator, dtype) -> Iterator[Case]:
    for name in ("first", "middle", "last"):
        yield Case(name, {"x": rng.standard_normal(5).astype(dtype)}, dtype=dtype)


def component(
    ours: Callable = lambda case: {"y": case["x"]},
    theirs: Callable = lambda case: {"y": case["x"]},
    budget: float = 4.0,
    **fields,
) -> Component:
    """A component in which both sides return what came in, or what else they are told to."""
    return Component(
        name="made up",
        topic="linear",
        source="",
        functions=(),
        reference=(),
        cases=three_cases,
        random_case=lambda choose, dtype: Case("random", dtype=dtype),
        run_scratch=lambda case, f: ours(case),
        run_torch=theirs,
        budget=Budget(budget, "as the test wants it"),
        **fields,
    )


def run(component: Component, *, dtype=np.float64, x=(1.0, 0.5), case: dict | None = None, **options):
    made = Case("one", {"x": np.array(x, dtype)}, dtype=dtype, **(case or {}))
    return run_case(component, made, **options)


def off_by(units: float) -> Callable[[Case], Results]:
    """Away from [1, …] by that many of its rounding units."""
    return lambda case: {"y": case["x"] + case["x"].dtype.type(units * np.finfo(case.dtype).eps)}


@each_dtype
def test_the_whole_budget_is_equal_and_one_unit_more_is_not(dtype):
    within, beyond = (run(component(off_by(units)), dtype=dtype) for units in (4, 5))
    assert (within.units, within.equal) == (4, True)
    assert (beyond.units, beyond.equal) == (5, False)
    assert within.budget == beyond.budget == 4


def test_a_budget_of_nothing_allows_nothing():
    assert run(component(budget=0)).equal
    assert not run(component(off_by(1), budget=0)).equal


NAMES = ("output", "grad.x", "grad.weight", "state.running_mean", "step2.param.0")


@pytest.mark.parametrize("wrong", NAMES)
def test_every_array_counts_whatever_it_is_called_and_wherever_it_stands(wrong):
    def theirs(case: Case) -> Results:
        return {name: case["x"] * (2 if name == wrong else 1) for name in NAMES}

    result = run(component(lambda case: dict.fromkeys(NAMES, case["x"]), theirs))
    assert not result.equal
    assert [difference.array for difference in result.differences] == list(NAMES)
    assert result.worst.array == wrong


@pytest.mark.parametrize("name", ["more", "grad.more", "state.more"])
def test_an_array_of_one_side_only_is_a_difference(name):
    def more(case: Case) -> Results:
        return {"y": case["x"], name: case["x"]}

    assert not run(component(ours=more)).equal
    assert not run(component(theirs=more)).equal


def test_two_sides_that_return_nothing_are_not_equal():
    assert not run(component(lambda case: {}, lambda case: {})).equal


@pytest.mark.parametrize("place", [0, 1])
def test_a_scale_that_is_no_number_is_no_agreement(place):
    names = ["y", "z"]

    def ours(case: Case) -> Results:
        return {name: off_by(1)(case)["y"] if name == names[place] else case["x"] for name in names}

    def theirs(case: Case) -> Results:
        return dict.fromkeys(names, case["x"])

    assert run(component(ours, theirs)).equal
    assert not run(component(ours, theirs, magnitude=lambda case: {names[place]: np.nan})).equal
    assert not run(component(ours, theirs, magnitude=lambda case: {names[place]: np.inf})).equal


def raising(case: Case) -> Results:
    raise RuntimeError("it broke")


@pytest.mark.parametrize(
    "sides", [{"ours": raising}, {"theirs": raising}, {"ours": raising, "theirs": raising}]
)
def test_an_exception_of_either_side_or_of_both_is_a_difference(sides):
    result = run(component(**sides), arbiter=False)  # who runs scratch again
    assert not result.equal
    assert result.error == "RuntimeError: it broke"


@pytest.mark.parametrize("finite", [True, False])
def test_what_breaks_down_in_a_scale_or_in_higher_precision_is_a_difference_too(finite):
    def in_float64_only(case: Case) -> Results:
        if case["x"].dtype != np.float64:
            raise RuntimeError("it broke")
        return {"y": case["x"]}

    result = run(component(in_float64_only), case={"finite": finite})
    assert result.error == ("RuntimeError: it broke" if finite and higher_precision(np.float64) else "")
    assert run(component(magnitude=raising), case={"finite": finite}).error == "RuntimeError: it broke"


def test_an_error_outweighs_equal_arrays():
    result = run(component())
    assert result.equal
    assert not replace(result, error="RuntimeError: it broke").equal


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("operation", [lambda x: x / 0, lambda x: np.log(-x), lambda x: np.exp(1e3 * x)])
def test_a_warning_of_numpy_is_an_error_where_all_is_meant_to_be_finite(operation, finite):
    def ours(case: Case) -> Results:
        operation(case["x"])
        return {"y": case["x"]}

    result = run(component(ours), case={"finite": finite})
    assert result.equal != finite
    assert result.error.startswith("FloatingPointError: ") == finite


def test_numpy_s_words_are_kept():
    result = run(component(lambda case: {"y": np.sqrt(-case["x"])}))
    assert result.error == "FloatingPointError: invalid value encountered in sqrt"


def test_an_invalid_product_of_matrices_is_for_the_comparison_to_notice_an_overflow_is_an_error():
    """OpenBLAS reports invalid values where there are none"""

    def product(case: Case, largest: float) -> Results:
        return {"y": np.matmul(np.full((2, 2), largest, case["x"].dtype), case["x"] * np.array([1, -8]))}

    spurious = run(component(lambda case: {**product(case, np.inf), "y": case["x"]}))
    assert spurious.equal
    nan = run(component(lambda case: product(case, np.inf)))
    assert not nan.error
    assert not nan.equal
    overflow = run(component(lambda case: product(case, 1e308)))
    assert overflow.error == "FloatingPointError: overflow encountered in matmul"


# --- what each side is given ------------------------------------------------------------------------------


def test_each_side_computes_for_itself_once_from_the_same_numbers():
    seen = []

    def ours(case: Case) -> Results:
        seen.append(case["x"])
        return {"y": case["x"]}

    def theirs(case: Case) -> Results:
        seen.append(case["x"])
        return {"y": case["x"]}

    assert run(component(ours, theirs), arbiter=False).equal
    array, tensor = seen
    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    assert tensor.tolist() == array.tolist() == [1.0, 0.5]
    assert not np.shares_memory(array, tensor.numpy())


def test_scratch_can_not_write_to_its_inputs():
    def ours(case: Case) -> Results:
        case["x"][0] = 1.0
        return {"y": case["x"]}

    assert "read-only" in run(component(ours)).error


def test_what_torch_writes_to_its_inputs_stays_there():
    def theirs(case: Case) -> Results:
        return {"y": case["x"].mul_(2)}

    x = np.array([1.0, 0.5])
    result = run_case(component(lambda case: {"y": 2 * case["x"]}, theirs), Case("one", {"x": x}))
    assert result.equal
    assert x.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("layout", [np.ascontiguousarray, fortran, strided])
def test_torch_sees_the_layout_that_scratch_sees(layout):
    x = layout(np.arange(12.0).reshape(4, 3))
    tensor = Case("one", {"x": x}).for_torch("cpu")["x"]
    assert tensor.stride() == tuple(stride // 8 for stride in x.strides)
    assert tensor.tolist() == x.tolist()


@pytest.mark.parametrize("draws", ["own", "shared"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_device_and_the_draws_get_to_both_sides(device, draws):
    seen = []

    def theirs(case: Case) -> Results:
        assert case["x"].device.type == case.device == device
        seen.append(case.draws)
        return {"y": torch.tensor([1.0, 0.5], dtype=case.dtype)}

    def ours(case: Case) -> Results:
        seen.append(case.draws)
        return {"y": case["x"]}

    assert run(component(ours, theirs), device=device, draws=draws, arbiter=False).error == ""
    assert seen == [draws, draws]


@pytest.mark.parametrize("seed", [0, 5])
def test_own_draws_are_what_each_library_draws_from_the_seed(seed):
    case = Case("one", seed=seed, draws="own")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = torch.rand(20)
    with case.torch_draws() as draws:
        assert torch.equal(torch.rand(20), expected)
    assert type(draws) is OwnDraws
    assert type(case.generator()) is TorchGenerator
    np.testing.assert_array_equal(case.generator().rand(20), expected)


@pytest.mark.parametrize("seed", [0, 5])
def test_shared_draws_are_numpys_of_the_seed(seed):
    case = Case("one", seed=seed, draws="shared")
    expected = NumpyGenerator(seed).uniform((20,), 0, 1, np.float64)
    with case.torch_draws() as draws:
        np.testing.assert_array_equal(torch.empty(20, dtype=torch.float64).uniform_(), expected)
    assert type(draws) is SharedDraws
    assert type(case.generator()) is NumpyGenerator
    np.testing.assert_array_equal(case.generator().uniform((20,), 0, 1, np.float64), expected)


def test_a_replaced_function_is_called_in_the_place_of_scratchs():
    def linear_forward(x, weight, bias):
        raise RuntimeError("the replaced one")

    made = replace(component(), functions=("linear_forward",))
    assert made.implementation({"linear_forward": linear_forward}).linear_forward is linear_forward
    called = replace(made, run_scratch=lambda case, f: f.linear_forward(1, 2, 3))
    assert run(called, replaced={"linear_forward": linear_forward}).error == "RuntimeError: the replaced one"


# --- the arbiter ------------------------------------------------------------------------------------------


@each_dtype
def test_the_arbiter_is_scratch_in_higher_precision(dtype):
    if higher_precision(dtype) is None:
        pytest.skip("float64 has no arbiter on this platform")
    seen = []

    def ours(case: Case) -> Results:
        seen.append((np.dtype(case.dtype), case["x"].dtype, type(case.options["rate"])))
        return {"y": case["x"] * case.options["rate"]}

    def theirs(case: Case) -> Results:
        return {"y": case["x"] * case.options["rate"] + 3 * np.finfo(dtype).eps}

    result = run(component(ours, theirs), dtype=dtype, case={"options": {"rate": 1.0}})
    wider = higher_precision(dtype)
    assert np.finfo(wider).eps < np.finfo(dtype).eps
    assert seen == [(dtype, dtype, float), (wider, wider, wider)]
    assert (result.scratch_to_truth, result.torch_to_truth) == (0, 3)


@each_dtype
def test_the_arbiter_sees_what_scratch_rounds(dtype):
    if higher_precision(dtype) is None:
        pytest.skip("float64 has no arbiter on this platform")
    result = run(component(lambda case: {"y": case["x"] / 3}, lambda case: {"y": case["x"] / 3}), dtype=dtype)
    assert result.units == 0
    assert 0 < result.scratch_to_truth == result.torch_to_truth <= 1


@pytest.mark.parametrize(
    ("fields", "case", "options"),
    [({"arbiter": False}, {}, {}), ({}, {"finite": False}, {}), ({}, {}, {"arbiter": False})],
)
def test_there_is_no_arbiter_where_there_is_nothing_to_arbitrate(fields, case, options):
    result = run(component(**fields), case=case, **options)
    assert (result.scratch_to_truth, result.torch_to_truth) == (None, None)
    assert result.equal


# --- which cases ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ValueError("x: expected a batch of 2, got 1"), True),
        (TypeError("x: expected float32, got float64"), True),
        (ValueError("operands could not be broadcast together"), False),
        (RuntimeError("x: expected a batch of 2, got 1"), False),
        (ZeroDivisionError("division by zero"), False),
        (None, False),
    ],
)
def test_scratch_refuses_in_its_own_words_and_does_not_just_break_down(error, refused):
    """Whatever the other side does: it is not asked."""

    def ours(case: Case) -> Results:
        if error:
            raise error
        return {"y": case["x"]}

    result = run_refused(component(ours, raising), Case("one", {"x": np.ones(2)}))
    assert result.equal == refused
    if not refused:
        assert str(error) in result.worst.problem if error else result.worst.problem == "scratch takes it"


def test_every_case_runs_in_every_dtype_for_every_seed_from_numbers_of_its_own():
    seen = []

    def ours(case: Case) -> Results:
        seen.append(tuple(case["x"]))
        return {"y": case["x"]}

    made = component(ours)
    results = list(run_component(made, "cpu", list(DTYPES), [3, 4], arbiter=False))
    assert [(result.dtype, result.seed, result.case) for result in results] == [
        (dtype, seed, name)
        for dtype in ("float32", "float64")
        for seed in (3, 4)
        for name in ("first", "middle", "last")
    ]
    assert all(result.equal for result in results)
    assert len(set(seen)) == len(results) == 12
    assert [result.dtype for result in run_component(made, "cpu", ["float64"], [3])] == ["float64"] * 3


def test_the_device_and_the_draws_get_to_every_case():
    seen = []

    def theirs(case: Case) -> Results:
        seen.append((case.device, case.draws))
        return {"y": torch.zeros(5, dtype=case.dtype)}

    list(run_component(component(theirs=theirs), "meta", ["float32"], [0], draws="own"))
    assert seen == 3 * [("meta", "own")]


def test_a_seed_gives_the_same_cases_again_and_another_seed_others():
    first, again, other = (
        [case["x"].tolist() for case in cases_of(component(), seed, np.float64)] for seed in (0, 0, 1)
    )
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_budget_is_a_number_or_a_formula_and_another_on_a_gpu_where_it_says_so():
    case = SimpleNamespace(size=7)
    plain, formula = Budget(4, ""), Budget(lambda case: 2 * case.size, "")
    gpu = Budget(4, "", cuda_units=9, cuda_reason="")
    assert [budget.allowed(case, "cpu") for budget in (plain, formula, gpu)] == [4, 14, 4]
    assert [budget.allowed(case, "cuda:1") for budget in (plain, formula, gpu)] == [4, 14, 9]
