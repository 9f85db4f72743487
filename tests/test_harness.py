"""The harness is broken on purpose, in one place at a time, and the suite must notice.

A test that can not fail proves nothing. Each sabotage below changes one file of `compare/` in a copy of the
project, and the tests that it names, which stand in the other files, run there: at least one must fail.
"""

import gc
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
# What every copy imports that is no part of it: loaded once, inherited by every process.
LIBRARIES = [
    *["click", "hypothesis", "jinja2", "matplotlib.figure", "numpy", "pygments.lexers", "rich.console"],
    *["rich.progress", "rich.syntax", "rich.table", "scipy.io", "sklearn.datasets", "threadpoolctl"],
    *["sklearn.model_selection", "torch", "torch._dynamo", "torch._inductor", "torch.utils.data"],
]


class Sabotage(NamedTuple):
    """One thing that somebody could break without meaning to."""

    name: str
    says: str
    file: str  # in compare/
    old: str  # occurs exactly once in it
    new: str
    tests: Sequence[str]  # in tests/; one of them must fail


MEASURE = "test_measure.py::"
PARITY = "test_parity.py::"
LOCKSTEP = "test_lockstep.py::"
REPORT = "test_report.py::"
CLI = "test_cli.py::"
CHECK = "test_check.py::"
HOSTILE = "test_hostile.py::"
COMPONENTS = "test_components.py::"
DRAWS = "test_draws.py::"
BAD_INPUT = "test_bad_input.py::"

SABOTAGES = (
    # --- bad input
    Sabotage(
        "a breakdown is a refusal",
        "Whatever scratch stumbles over counts as a word to the reader.",
        "run.py",
        'return isinstance(error, TypeError | ValueError) and ": expected " in str(error)',
        "return isinstance(error, TypeError | ValueError)",
        [PARITY + "test_scratch_refuses_in_its_own_words_and_does_not_just_break_down"],
    ),
    Sabotage(
        "what is taken is refused",
        "Bad input that scratch takes is no finding.",
        "run.py",
        'problem = "scratch takes it"',
        'problem = ""',
        [COMPONENTS + "test_what_is_taken_is_not_refused"],
    ),
    Sabotage(
        "the record is always right",
        "PyTorch may do anything else than what is recorded.",
        "cases/bad_input.py",
        'return near and NUMBER.sub("", ours) == NUMBER.sub("", theirs)',
        "return True",
        [BAD_INPUT + "test_entries_are_the_same_but_for_the_last_digits"],
    ),
    Sabotage(
        "a refusal at the edges is always right",
        "Scratch may refuse an edge value that PyTorch takes, and nobody has said so.",
        "edges/table.py",
        "if (self.kind in (REFUSED, STRICTER)) != self.in_the_record:",
        "if False:",
        [BAD_INPUT + "test_what_scratch_refuses_unlike_before_is_a_finding"],
    ),
    # --- the yardstick
    Sabotage(
        "units of a millionth",
        "Every distance counts as a millionth of what it is.",
        "measure.py",
        "units = distance / (float(info.eps) * np.maximum(scale, floor))",
        "units = 1e-6 * distance / (float(info.eps) * np.maximum(scale, floor))",
        [MEASURE + "test_one_rounding_unit_of_the_largest_element_is_one_unit"],
    ),
    Sabotage(
        "infinite scale",
        "On the scale of infinity nothing is far apart.",
        "measure.py",
        "scale = np.abs(torch[finite]).max(initial=0)",
        "scale = float(np.finfo(np.float64).max)",
        [MEASURE + "test_one_rounding_unit_of_the_largest_element_is_one_unit"],
    ),
    Sabotage(
        "a scale that is no number allows everything",
        "A magnitude that came out as NaN or infinity turns the comparison off.",
        "measure.py",
        "np.where(np.isfinite(scale), units, np.inf)",
        "np.where(np.isfinite(scale), units, 0)",
        [PARITY + "test_a_scale_that_is_no_number_is_no_agreement"],
    ),
    Sabotage(
        "NaN units",
        "NaN <= budget is false, but the worst of 0 and NaN is 0.",
        "measure.py",
        "np.where(np.isfinite(scale), units, np.inf)",
        "units",
        [PARITY + "test_a_scale_that_is_no_number_is_no_agreement"],
    ),
    Sabotage(
        "the component's scale is not used",
        "Everything is measured on its largest value, whatever cancelled.",
        "measure.py",
        "scale = (scales or {}).get(array)",
        "scale = None",
        [MEASURE + "test_the_scale_decides_what_a_unit_is"],
    ),
    Sabotage(
        "an array compared with itself",
        "The difference of scratch and scratch.",
        "measure.py",
        "np.abs(scratch - torch)",
        "np.abs(scratch - scratch)",
        [MEASURE + "test_one_rounding_unit_of_the_largest_element_is_one_unit"],
    ),
    Sabotage(
        "shape not compared",
        "What broadcasts is compared element by element.",
        "measure.py",
        "if scratch.shape != torch.shape or scratch.dtype != torch.dtype:",
        "if scratch.dtype != torch.dtype:",
        [MEASURE + "test_shape_dtype_and_integers_must_agree_exactly"],
    ),
    Sabotage(
        "dtype not compared",
        "A float32 may have become a float64.",
        "measure.py",
        "if scratch.shape != torch.shape or scratch.dtype != torch.dtype:",
        "if scratch.shape != torch.shape:",
        [MEASURE + "test_shape_dtype_and_integers_must_agree_exactly"],
    ),
    Sabotage(
        "integers not compared",
        "Masks, orders and generator states pass unseen.",
        "measure.py",
        "_first_where(scratch != torch, array,",
        "_first_where(scratch != scratch, array,",
        [MEASURE + "test_shape_dtype_and_integers_must_agree_exactly"],
    ),
    Sabotage(
        "NaN equals anything",
        "Where one side is NaN nothing is compared.",
        "measure.py",
        "(np.isnan(scratch) != np.isnan(torch))",
        "(np.isnan(scratch) != np.isnan(scratch))",
        [MEASURE + "test_patterns_must_agree_exactly"],
    ),
    Sabotage(
        "infinity equals anything",
        "Where one side is infinite nothing is compared.",
        "measure.py",
        "~(scratch == torch) & ~np.isnan(scratch)",
        "np.isnan(scratch) & np.isnan(torch)",
        [MEASURE + "test_patterns_must_agree_exactly"],
    ),
    Sabotage(
        "sign of zero ignored",
        "0 and −0 are one number.",
        "measure.py",
        "(np.signbit(scratch) != np.signbit(torch))",
        "(np.signbit(scratch) != np.signbit(scratch))",
        [MEASURE + "test_patterns_must_agree_exactly"],
    ),
    Sabotage(
        "only the first array",
        "The others are not looked at.",
        "measure.py",
        "    return differences\n",
        "    return differences[:1]\n",
        [PARITY + "test_every_array_counts_whatever_it_is_called_and_wherever_it_stands"],
    ),
    Sabotage(
        "gradients skipped",
        "Arrays called grad.… are not compared.",
        "measure.py",
        "    return differences\n",
        '    return [d for d in differences if not d.array.startswith("grad.")]\n',
        [PARITY + "test_every_array_counts_whatever_it_is_called_and_wherever_it_stands"],
    ),
    Sabotage(
        "state skipped",
        "Arrays called state.… are not compared.",
        "measure.py",
        "    return differences\n",
        '    return [d for d in differences if not d.array.startswith("state.")]\n',
        [PARITY + "test_every_array_counts_whatever_it_is_called_and_wherever_it_stands"],
    ),
    Sabotage(
        "a missing array passed over",
        "What one side does not return is not compared.",
        "measure.py",
        'differences.append(Difference(array, np.inf, problem=f"only {only} returns it"))',
        'differences.append(Difference(array, problem=f"only {only} returns it"))',
        [PARITY + "test_an_array_of_one_side_only_is_a_difference"],
    ),
    Sabotage(
        "an extra array of PyTorch's passed over",
        "Only what scratch returns is compared.",
        "measure.py",
        "list(scratch) + [name for name in torch if name not in scratch]",
        "list(scratch)",
        [MEASURE + "test_a_missing_or_an_extra_array_is_a_difference"],
    ),
    Sabotage(
        "no distance from the truth",
        "The arbiter finds both sides right, always.",
        "measure.py",
        "return float(_in_units(distance, result.dtype, scale).max())",
        "return 0.0",
        [MEASURE + "test_the_distance_to_the_truth_is_in_units_of_the_results_own_dtype"],
    ),
    # --- a component's cases on both sides
    Sabotage(
        "budget of a million",
        "A case may lie a million times further apart than its budget says.",
        "run.py",
        "self.units <= self.budget",
        "self.units <= 1e6 * self.budget",
        [PARITY + "test_the_whole_budget_is_equal_and_one_unit_more_is_not"],
    ),
    Sabotage(
        "the best array decides",
        "The one that is closest, not the one that is furthest apart.",
        "run.py",
        "return max(self.differences, key=lambda d: d.units, default=None)",
        "return min(self.differences, key=lambda d: d.units, default=None)",
        [PARITY + "test_every_array_counts_whatever_it_is_called_and_wherever_it_stands"],
    ),
    Sabotage(
        "nothing compared is equal",
        "A case in which neither side returned anything counts as equal.",
        "run.py",
        "self.worst.units if self.worst else np.inf",
        "self.worst.units if self.worst else 0.0",
        [PARITY + "test_two_sides_that_return_nothing_are_not_equal"],
    ),
    Sabotage(
        "scratch compared with itself",
        "PyTorch's arrays are computed and not used.",
        "run.py",
        "differences = compare_results(scratch, torch, scales)",
        "differences = compare_results(scratch, scratch, scales)",
        [COMPONENTS + "test_every_mistake_is_rejected_in_float64[relu-gradient 1 at zero]"],
    ),
    Sabotage(
        "PyTorch's side run by scratch",
        "Both sides are scratch: the right one, so that even the mistakes are told from it.",
        "run.py",
        "lambda: run_torch(component, case)",
        "lambda: run_scratch(component, case)",
        [PARITY + "test_each_side_computes_for_itself_once_from_the_same_numbers"],
    ),
    Sabotage(
        "scratch's side run by PyTorch",
        "Both sides are PyTorch.",
        "run.py",
        "lambda: run_scratch(component, case, replaced)",
        "lambda: run_torch(component, case)",
        [PARITY + "test_each_side_computes_for_itself_once_from_the_same_numbers"],
    ),
    Sabotage(
        "an exception of scratch's swallowed",
        "PyTorch's arrays stand in for those that scratch could not compute.",
        "run.py",
        "return Outcome(scratch, torch)",
        "return Outcome(torch if isinstance(scratch, Exception) else scratch, torch)",
        [PARITY + "test_an_exception_of_either_side_or_of_both_is_a_difference"],
    ),
    Sabotage(
        "an exception of PyTorch's swallowed",
        "Scratch's arrays stand in for those that PyTorch could not compute.",
        "run.py",
        "return Outcome(scratch, torch)",
        "return Outcome(scratch, scratch if isinstance(torch, Exception) else torch)",
        [PARITY + "test_an_exception_of_either_side_or_of_both_is_a_difference"],
    ),
    Sabotage(
        "both raising counted as equal",
        "Two sides that fail alike have agreed.",
        "run.py",
        "        return replace(result, error=outcome.error)",
        "        if isinstance(outcome.scratch, Exception) and isinstance(outcome.torch, Exception):\n"
        '            return replace(result, differences=[Difference("both raise")])\n'
        "        return replace(result, error=outcome.error)",
        [PARITY + "test_an_exception_of_either_side_or_of_both_is_a_difference"],
    ),
    Sabotage(
        "an error does not count",
        "Only the arrays decide.",
        "run.py",
        "return not self.error and self.units <= self.budget",
        "return self.units <= self.budget",
        [PARITY + "test_an_error_outweighs_equal_arrays"],
    ),
    Sabotage(
        "NumPy's warnings ignored",
        "Scratch may overflow or divide by zero on the way to a finite result.",
        "run.py",
        '"raise" if case.finite else "ignore"',
        '"ignore" if case.finite else "ignore"',
        [PARITY + "test_a_warning_of_numpy_is_an_error_where_all_is_meant_to_be_finite"],
    ),
    Sabotage(
        "mistakes not installed",
        "The tests of the classic mistakes run with the right functions.",
        "component.py",
        "return SimpleNamespace(**{**functions, **(replaced or {})})",
        "return SimpleNamespace(**functions)",
        [PARITY + "test_a_replaced_function_is_called_in_the_place_of_scratchs"],
    ),
    Sabotage(
        "the last case dropped",
        "One case of every component does not run.",
        "run.py",
        "for case in cases_of(component, seed, DTYPES[dtype]):",
        "for case in cases_of(component, seed, DTYPES[dtype])[:-1]:",
        [PARITY + "test_every_case_runs_in_every_dtype_for_every_seed_from_numbers_of_its_own"],
    ),
    Sabotage(
        "one dtype dropped",
        "float32 does not run.",
        "run.py",
        "    for dtype in dtypes:\n",
        '    for dtype in [name for name in dtypes if name != "float32"]:\n',
        [PARITY + "test_every_case_runs_in_every_dtype_for_every_seed_from_numbers_of_its_own"],
    ),
    Sabotage(
        "float64 is a float32",
        "What is called float64 runs in float32.",
        "component.py",
        '"float64": np.float64}',
        '"float64": np.float32}',
        [PARITY + "test_every_case_runs_in_every_dtype_for_every_seed_from_numbers_of_its_own"],
    ),
    Sabotage(
        "all seeds the same",
        "Every seed makes the cases of seed 0.",
        "run.py",
        "np.random.default_rng([seed, zlib.crc32(component.name.encode())])",
        "np.random.default_rng([0, zlib.crc32(component.name.encode())])",
        [PARITY + "test_a_seed_gives_the_same_cases_again_and_another_seed_others"],
    ),
    Sabotage(
        "only the first seed",
        "--seeds 20 runs one.",
        "run.py",
        "        for seed in seeds:\n",
        "        for seed in seeds[:1]:\n",
        [PARITY + "test_every_case_runs_in_every_dtype_for_every_seed_from_numbers_of_its_own"],
    ),
    Sabotage(
        "the GPU not asked",
        "Whatever --device says, PyTorch runs on the CPU.",
        "run.py",
        "case = replace(case, device=device, draws=draws)\n    budget",
        'device = "cpu"\n    case = replace(case, device=device, draws=draws)\n    budget',
        [PARITY + "test_the_device_and_the_draws_get_to_both_sides"],
    ),
    Sabotage(
        "draws always shared",
        "--draws own compares what it was to prove by handing it across.",
        "run.py",
        "case = replace(case, device=device, draws=draws)\n    budget",
        'case = replace(case, device=device, draws="shared")\n    budget',
        [PARITY + "test_the_device_and_the_draws_get_to_both_sides"],
    ),
    Sabotage(
        "the arbiter is PyTorch",
        "The truth is what PyTorch says.",
        "run.py",
        "truth = run_scratch(component, case.in_higher_precision(wider), replaced)",
        "truth = {name: to_numpy(value) for name, value in torch.items()}",
        [PARITY + "test_the_arbiter_is_scratch_in_higher_precision"],
    ),
    Sabotage(
        "the arbiter is no better",
        "The truth is computed in the precision that it is to judge.",
        "run.py",
        "truth = run_scratch(component, case.in_higher_precision(wider), replaced)",
        "truth = run_scratch(component, case, replaced)",
        [PARITY + "test_the_arbiter_sees_what_scratch_rounds"],
    ),
    # --- what a case hands to each side
    Sabotage(
        "inputs that can be written to",
        "A function of scratch that changes its inputs is not found out.",
        "component.py",
        "view.flags.writeable = False",
        "view.flags.writeable = array.flags.writeable",
        [PARITY + "test_scratch_can_not_write_to_its_inputs"],
    ),
    Sabotage(
        "memory shared with PyTorch",
        "What PyTorch writes to its inputs, the scales and the arbiter see.",
        "component.py",
        "name: torch.from_numpy(copy_with_strides(array)).to(device)",
        "name: torch.from_numpy(array).to(device)",
        [PARITY + "test_what_torch_writes_to_its_inputs_stays_there"],
    ),
    Sabotage(
        "every layout contiguous",
        "PyTorch never sees the strides that scratch sees.",
        "component.py",
        "name: torch.from_numpy(copy_with_strides(array)).to(device)",
        "name: torch.from_numpy(np.array(array, order='C')).to(device)",
        [PARITY + "test_torch_sees_the_layout_that_scratch_sees"],
    ),
    Sabotage(
        "own draws replaced by shared ones",
        "Both sides are given the same mask where each was to draw its own.",
        "component.py",
        'return OwnDraws(self.seed) if self.draws == "own" else SharedDraws(NumpyGenerator(self.seed))',
        "return SharedDraws(self.generator())",
        [PARITY + "test_own_draws_are_what_each_library_draws_from_the_seed"],
    ),
    Sabotage(
        "one seed for every draw",
        "Both sides draw from seed 0, whatever the case says.",
        "component.py",
        'return OwnDraws(self.seed) if self.draws == "own" else SharedDraws(NumpyGenerator(self.seed))',
        'return OwnDraws(0) if self.draws == "own" else SharedDraws(NumpyGenerator(0))',
        [PARITY + "test_own_draws_are_what_each_library_draws_from_the_seed"],
    ),
    Sabotage(
        "PyTorch's stream not kept apart",
        "Own draws go on from wherever PyTorch's global generator is.",
        "draws.py",
        "        torch.set_rng_state(self._state)\n",
        "",
        [DRAWS + "test_own_draws_follow_the_seed_and_leave_the_outer_stream_alone"],
    ),
    Sabotage(
        "own draws never asked for",
        "Everywhere there is a reason why not.",
        "draws.py",
        '        return f"PyTorch\'s normal numbers have not been verified on {machine}"\n    return ""',
        '        return f"PyTorch\'s normal numbers have not been verified on {machine}"\n    return machine',
        [DRAWS + "test_own_draws_are_asked_for_only_where_they_are_exact[cpu-2.7.0-Linux-]"],
    ),
    Sabotage(
        "the GPU's budget everywhere",
        "On the CPU too, what only another order of reduction excuses is allowed.",
        "component.py",
        'if device.startswith("cuda") and self.cuda_units is not None:',
        "if self.cuda_units is not None:",
        [PARITY + "test_a_budget_is_a_number_or_a_formula_and_another_on_a_gpu_where_it_says_so"],
    ),
    # --- budgets, scales and components
    Sabotage(
        "a component's budget of a million",
        "Where one component says how far apart, four millions stand.",
        "cases/activations.py",
        "ELEMENTWISE = Budget(4,",
        "ELEMENTWISE = Budget(4e6,",
        [COMPONENTS + "test_every_array_is_held_to_a_budget_that_rejects_what_is_close[float64-tanh]"],
    ),
    Sabotage(
        "sums may do as they please",
        "The budget of a sum is a million times too large.",
        "measure.py",
        "return max(32, math.sqrt(terms) / 4 * math.log(sums / FALSE_ALARM))",
        "return 1e6 * max(32, math.sqrt(terms) / 4 * math.log(sums / FALSE_ALARM))",
        ["test_rounding.py::test_short_sums_are_left_at_32_units"],
    ),
    Sabotage(
        "scales of a million in a network",
        "The error analysis says that everything is a million times as large.",
        "cases/error_analysis.py",
        "name: np.sqrt(np.where(np.isfinite(v), np.maximum(v, np.finfo(np.float64).tiny), 0))",
        "name: 1e6 * np.sqrt(np.where(np.isfinite(v), np.maximum(v, np.finfo(np.float64).tiny), 0))",
        [COMPONENTS + "test_every_array_is_held_to_a_budget_that_rejects_what_is_close[float64-network]"],
    ),
    Sabotage(
        "a topic forgotten",
        "The components of one file are not registered.",
        "cases/__init__.py",
        '    "losses",\n',
        "",
        [COMPONENTS + "test_no_file_of_scratch_and_no_function_in_it_goes_uncompared"],
    ),
    Sabotage(
        "a component forgotten",
        "One component of every file is not registered.",
        "cases/__init__.py",
        'importlib.import_module(f"compare.cases.{topic}").COMPONENTS\n',
        'importlib.import_module(f"compare.cases.{topic}").COMPONENTS[:-1] or ()\n',
        [COMPONENTS + "test_no_file_of_scratch_and_no_function_in_it_goes_uncompared"],
    ),
    Sabotage(
        "no mistakes",
        "The tests of the classic mistakes run on none.",
        "cases/__init__.py",
        "return {component.name: component for component in components}",
        "from dataclasses import replace\n"
        "    return {component.name: replace(component, mistakes=()) for component in components}",
        [COMPONENTS + "test_it_is_described"],
    ),
    Sabotage(
        "no cases",
        "A component without cases agrees with everything.",
        "run.py",
        "return list(component.cases(_rng(component, seed), dtype))",
        'return [] if component.name == "relu" else list(component.cases(_rng(component, seed), dtype))',
        [COMPONENTS + "test_there_are_cases_in_the_dtype_and_of_the_seed_that_were_asked_for[float64-relu]"],
    ),
    # --- training in lockstep
    Sabotage(
        "a million units a step",
        "A step may be wrong in the eighth digit.",
        "training/lockstep.py",
        "elif result.one_step[-1] > BUDGET and",
        "elif result.one_step[-1] > 1e6 * BUDGET and",
        [LOCKSTEP + "test_a_tensor_that_is_wrong_in_the_tenth_digit_is_a_breach[linear3.bias]"],
    ),
    Sabotage(
        "a step compared with itself",
        "PyTorch takes the step, and scratch's state is looked at twice.",
        "training/lockstep.py",
        '{"cost": their_cost, **follower.state()}',
        '{"cost": our_cost, **to_torch(ours.state())}',
        [LOCKSTEP + "test_a_wrong_cost_is_a_breach[2-float64]"],
    ),
    Sabotage(
        "running statistics left out",
        "Only what the optimizer changes is compared.",
        "training/lockstep.py",
        "    result.one_step.append(max(",
        '    differences = [d for d in differences if "running" not in d.array]\n'
        "    result.one_step.append(max(",
        [LOCKSTEP + "test_a_tensor_that_is_wrong_in_the_tenth_digit_is_a_breach[batch_norm2.running_mean]"],
    ),
    Sabotage(
        "moments left out",
        "What the optimizer keeps is not compared.",
        "training/lockstep.py",
        "    result.one_step.append(max(",
        '    differences = [d for d in differences if ".exp_avg" not in d.array]\n'
        "    result.one_step.append(max(",
        [
            LOCKSTEP
            + "test_a_tensor_that_is_wrong_in_the_tenth_digit_is_a_breach[batch_norm2.weight.exp_avg_sq]"
        ],
    ),
    Sabotage(
        "a step's scales a million times too large",
        "Rounding of the gradients' terms excuses everything.",
        "training/lockstep.py",
        'terms[f"{name}.weight"] = float(np.sqrt(per_weight.max()))',
        'terms[f"{name}.weight"] = 1e9 * float(np.sqrt(per_weight.max()))',
        [LOCKSTEP + "test_a_tensor_that_is_wrong_in_the_tenth_digit_is_a_breach[batch_norm2.weight]"],
    ),
    Sabotage(
        "every step at a kink",
        "A step with a unit at a kink is not held to the budget: here all of them.",
        "training/lockstep.py",
        "crossed = ((y > 0) != (y_torch > 0)) & (np.maximum(y, y_torch) <= rounding)",
        "crossed = np.maximum(y, y_torch) <= rounding",
        [LOCKSTEP + "test_a_kink_is_told_from_an_error"],
    ),
    Sabotage(
        "a breach does not count",
        "A training run is equal whatever its steps gave.",
        "training/lockstep.py",
        "return not self.error and self.breach is None and predictions",
        "return not self.error and predictions",
        [LOCKSTEP + "test_a_breach_and_an_exception_are_a_difference"],
    ),
    Sabotage(
        "an exception while training does not count",
        "A training run that never ended is equal.",
        "training/lockstep.py",
        "return not self.error and self.breach is None and predictions",
        "return self.breach is None and predictions",
        [LOCKSTEP + "test_a_breach_and_an_exception_are_a_difference"],
    ),
    Sabotage(
        "predictions do not count",
        "The trained networks may tell other classes.",
        "training/lockstep.py",
        "return not self.error and self.breach is None and predictions",
        "return not self.error and self.breach is None",
        [LOCKSTEP + "test_float32_may_disagree_on_a_prediction_but_float64_may_not"],
    ),
    Sabotage(
        "predictions compared with themselves",
        "The classes that scratch tells are those that scratch tells.",
        "training/lockstep.py",
        "result.different_predictions = int(np.sum(our_classes != their_classes))",
        "result.different_predictions = int(np.sum(our_classes != our_classes))",
        [LOCKSTEP + "test_other_classes_for_the_test_samples_are_a_difference"],
    ),
    Sabotage(
        "the accuracy of PyTorch is scratch's",
        "One network is asked twice.",
        "training/lockstep.py",
        "float(np.mean(their_classes == truth))",
        "float(np.mean(our_classes == truth))",
        [LOCKSTEP + "test_other_classes_for_the_test_samples_are_a_difference"],
    ),
    Sabotage(
        "drift of what is put right",
        "The distance of the network that starts every step from scratch's state.",
        "training/lockstep.py",
        "result.drift.append(_distance(ours.network, free.network))",
        "result.drift.append(_distance(ours.network, follower.network))",
        [LOCKSTEP + "test_both_run_free_from_the_start_and_nobody_is_put_right"],
    ),
    Sabotage(
        "the free run is put right",
        "Both of PyTorch's networks start every step from scratch's state.",
        "training/lockstep.py",
        "            follower.take_over(ours)\n",
        "            follower.take_over(ours)\n            free.take_over(ours)\n",
        [LOCKSTEP + "test_both_run_free_from_the_start_and_nobody_is_put_right"],
    ),
    Sabotage(
        "one training for every seed",
        "Both networks start from seed 0.",
        "training/lockstep.py",
        "case = Case(name, seed=seed, dtype",
        "case = Case(name, seed=0, dtype",
        [LOCKSTEP + "test_every_seed_is_another_training[shared]"],
    ),
    # --- the verdict
    Sabotage(
        "training does not count",
        "The verdict is that of the components.",
        "report/report.py",
        "        unequal += [run.name for run in self.training if not run.equal]\n",
        "",
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "components do not count",
        "The verdict is that of the training runs.",
        "report/report.py",
        "unequal = [result.component for result in self.results if not result.equal]",
        "unequal: list[str] = []",
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "equal, always",
        "The report finds no difference.",
        "report/report.py",
        "return not self.different\n",
        "return True\n",
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "report.json with another verdict",
        "The file says equal, whatever the terminal says.",
        "report/report.py",
        '"equal": report.equal,',
        '"equal": True,',
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "every component of report.json equal",
        "The verdict is right, and no component is to blame.",
        "report/report.py",
        '"equal": component.name not in report.different,',
        '"equal": True,',
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "every case of report.json equal",
        "The component differs, and none of its cases does.",
        "report/report.py",
        '"equal": result.equal}',
        '"equal": True}',
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "every training run of report.json equal",
        "A run differs, and the file says that it does not.",
        "report/report.py",
        '{"equal": run.equal}',
        '{"equal": True}',
        [REPORT + "test_one_difference_anywhere_is_the_verdict_everywhere"],
    ),
    Sabotage(
        "one equal case is enough",
        "The table ticks a component of which any case is equal.",
        "report/report.py",
        "return all(result.equal for result in self.results)",
        "return any(result.equal for result in self.results)",
        [REPORT + "test_a_summary_is_as_good_as_its_worst_case"],
    ),
    Sabotage(
        "the mildest case shown",
        "The page shows of several seeds the one that is closest.",
        "report/report.py",
        "share(result) > share(row[result.dtype])",
        "share(result) < share(row[result.dtype])",
        [REPORT + "test_of_several_seeds_the_worst_is_shown"],
    ),
    Sabotage(
        "a tick for everything",
        "The table of the terminal ticks what differs.",
        "report/terminal.py",
        'return Text("✓", "green") if equal else Text("✗", "bold red")',
        'return Text("✓", "green")',
        [CLI + "test_a_difference_is_named_and_located"],
    ),
    # --- the command line
    Sabotage(
        "status 0, always",
        "The command prints NOT equal and ends as if all were well.",
        "cli.py",
        'console.print(f"report: {page}", markup=False, soft_wrap=True)\n    return 0 if report.equal else 1',
        'console.print(f"report: {page}", markup=False, soft_wrap=True)\n    return 0',
        [CLI + "test_a_training_run_that_differs_is_the_verdict"],
    ),
    Sabotage(
        "status 0 of main, always",
        "No command can say that something differs.",
        "cli.py",
        "status = cli.invoke(context) or 0",
        "status = cli.invoke(context) and 0",
        [CLI + "test_every_command_that_compares_says_so_by_its_status"],
    ),
    Sabotage(
        "status 0 of the page",
        "`site` measures, and ends as if all were well.",
        "cli.py",
        'page: {page}")\n    return 0 if report.equal else 1',
        'page: {page}")\n    return 0',
        [CLI + "test_every_command_that_compares_says_so_by_its_status"],
    ),
    Sabotage(
        "status 0 of the experiments",
        "No figure needs to come out.",
        "cli.py",
        "return 0 if all(section.agrees for section in sections) else 1",
        "return 0",
        [CLI + "test_every_command_that_compares_says_so_by_its_status"],
    ),
    Sabotage(
        "status 0 of the seeds",
        "No bit needs to be the same.",
        "cli.py",
        "return 0 if run_seeds(terminal.Terminal(highlight=False), seed) else 1",
        "return 0 if run_seeds(terminal.Terminal(highlight=False), seed) else 0",
        [CLI + "test_every_command_that_compares_says_so_by_its_status"],
    ),
    Sabotage(
        "one right function is enough",
        "`check` ends with 0 if anything in the file is right.",
        "cli.py",
        "return 0 if all(verdict.equal for verdict in verdicts) else 1",
        "return 0 if any(verdict.equal for verdict in verdicts) else 1",
        [CLI + "test_every_command_that_compares_says_so_by_its_status"],
    ),
    Sabotage(
        "an exception while training forgotten",
        "A run that could not be made is not in the report.",
        "cli.py",
        'return TrainingResult(name, "", dtype, device, seed, lockstep.BUDGET, 1, error=text)',
        "return TrainingResult(name, text, dtype, device, seed, lockstep.BUDGET, 1)",
        [CLI + "test_an_exception_while_training_is_a_difference"],
    ),
    Sabotage(
        "--only runs nothing",
        "What was named is not compared, and nothing differs.",
        "cli.py",
        'return cases.select(None if only is None else ",".join(others)), runs',
        'return cases.select(None if only is None else ",".join(others))[:0], runs',
        [CLI + "test_what_is_asked_for_is_what_is_compared"],
    ),
    Sabotage(
        "one seed of training",
        "--seeds 20 trains one.",
        "cli.py",
        "rounds = list(itertools.product(dtypes, seeds))",
        "rounds = list(itertools.product(dtypes, seeds[:1]))",
        [CLI + "test_what_is_asked_for_is_what_is_compared"],
    ),
    Sabotage(
        "training on the CPU",
        "--device cuda is for the components alone.",
        "cli.py",
        "_train(name, dtype, device, seed, draws, lambda: bar.advance(task))",
        '_train(name, dtype, "cpu", seed, draws, lambda: bar.advance(task))',
        [CLI + "test_what_is_asked_for_is_what_is_compared"],
    ),
    # --- somebody's own version
    Sabotage(
        "check: equal, always",
        "Every attempt is right.",
        "learner/check.py",
        "return kept and all(d.units <= self.budget for d in self.differences)",
        "return True",
        [CHECK + "test_what_is_wrong_in_one_place_only_is_wrong[in float64 alone]"],
    ),
    Sabotage(
        "check: budget of a million",
        "An attempt may be wrong in the eighth digit.",
        "learner/check.py",
        "ANOTHER_ORDER = 8  #",
        "ANOTHER_ORDER = 8e6  #",
        [CHECK + "test_what_is_wrong_in_one_place_only_is_wrong[in the tenth digit]"],
    ),
    Sabotage(
        "check: an exception is no difference",
        "An attempt that raises is right.",
        "learner/check.py",
        "kept = not self.outcome.error and not self.outcome.changed",
        "kept = not self.outcome.changed",
        [CHECK + "test_what_is_wrong_in_one_place_only_is_wrong[in an exception for one case]"],
    ),
    Sabotage(
        "check: inputs may be changed",
        "A function that returns what is right and spoils what it was given is right.",
        "learner/check.py",
        "kept = not self.outcome.error and not self.outcome.changed",
        "kept = not self.outcome.error",
        [CHECK + "test_right_results_do_not_excuse_an_input_that_was_changed"],
    ),
    Sabotage(
        "check: float64 alone",
        "Nobody looks at an attempt in float32.",
        "learner/check.py",
        'for dtype in ("float64", "float32"):',
        'for dtype in ("float64",):',
        [CHECK + "test_what_is_wrong_in_one_place_only_is_wrong[in float32 alone]"],
    ),
    Sabotage(
        "check: large cases left out",
        "Whatever is slow is not tried.",
        "learner/check.py",
        "if trials and _elements(case) > SLOW and _would_take(trials, case) > left - seconds / 2:",
        "if _elements(case) > SLOW:",
        [CHECK + "test_what_is_wrong_in_one_place_only_is_wrong[for a large batch]"],
    ),
    Sabotage(
        "check: PyTorch's attempt not installed",
        "The reference is held against itself.",
        "run.py",
        "            setattr(module, name, function)\n        yield",
        "            pass\n        yield",
        [CHECK + "test_a_slightly_wrong_version_is_wrong_in_pytorch_too"],
    ),
    Sabotage(
        "check: inputs looked at in the end",
        "An input may be changed if it is put back.",
        "learner/check.py",
        "                self.look(name)\n",
        "",
        [HOSTILE + "test_an_input_that_is_changed_is_told_with_its_function_even_if_it_is_put_back[relu]"],
    ),
    Sabotage(
        "check: no end",
        "An attempt takes all the time it likes.",
        "learner/check.py",
        "            if left < 0:",
        "            if False:",
        [HOSTILE + "test_in_process_too_no_case_begins_after_the_time"],
    ),
    Sabotage(
        "check: text as it comes",
        "A message draws on the terminal.",
        "learner/check.py",
        "c if c.isprintable() else",
        "c if c else",
        [HOSTILE + "test_what_comes_from_a_function_draws_nothing_in_a_test_either"],
    ),
    Sabotage(
        "check: bytecode is run",
        "The text that was there before is checked.",
        "learner/child_process.py",
        "    def get_code(self,",
        "    def get_no_code(self,",
        [HOSTILE + "test_bytecode_of_another_text_is_not_run_and_none_is_written"],
    ),
    Sabotage(
        "check: whatever answers",
        "What the file writes into our pipe is an answer.",
        "learner/child_process.py",
        'if answer.pop("token") == token:',
        'if answer.pop("token"):',
        [
            HOSTILE
            + "test_a_file_that_behaves_badly_is_not_equal_and_nothing_of_it_runs_here[says that it is equal]"
        ],
    ),
    Sabotage(
        "check: orphans stay",
        "What a file leaves running in a session of its own runs on.",
        "learner/supervisor.py",
        "        _end_descendants()\n",
        "        pass\n",
        [HOSTILE + "test_what_a_file_starts_ends_with_it_and_holds_no_output_open[return y, y]"],
    ),
    Sabotage(
        "check: any mistake fits",
        "A mistake is named by guessing.",
        "learner/check.py",
        "d.units <= max(trial.budget, SAME_MISTAKE * to_right.get(d.array, 0.0))",
        "d.units <= np.inf",
        [CHECK + "test_what_is_on_no_list_gets_no_name_but_is_described[a factor]"],
    ),
    Sabotage(
        "assert_matches never raises",
        "The test that a learner writes can not fail.",
        "learner/check.py",
        "        if not verdict.equal:\n            raise",
        '        if verdict.status == "no such status":\n            raise',
        [CHECK + "test_assert_matches_takes_functions_and_says_what_is_wrong"],
    ),
    # --- seeds and experiments
    Sabotage(
        "bits not compared",
        "Two draws of one shape are the same.",
        "training/one_seed.py",
        "return a.view(unsigned) == b.view(unsigned)",
        "return a.view(unsigned) == a.view(unsigned)",
        ["test_seeds.py::test_first_difference"],
    ),
    Sabotage(
        "one figure is enough",
        "The experiments agree if any of them does.",
        "experiments/run.py",
        "wrong = [section.name for section in sections if not section.agrees]",
        "wrong = [] if any(section.agrees for section in sections) else [sections[0].name]",
        ["test_experiments_study.py::test_one_figure_that_does_not_come_out_is_the_verdict"],
    ),
)


@pytest.fixture(scope="module")
def forks():
    """Processes that start with all libraries loaded, and nothing of this project."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_suite_notices(sabotage: Sabotage, forks, tmp_path):
    copy(tmp_path / "copy")
    change(tmp_path / "copy", sabotage)
    status, output = run_tests(forks, tmp_path, sabotage.tests)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert "\nFAILED tests/" in output, output  # and not an error of collection or of a fixture


def test_without_sabotage_the_same_tests_pass(forks, tmp_path):
    copy(tmp_path / "copy")
    tests = list(dict.fromkeys(test for sabotage in SABOTAGES for test in sabotage.tests))
    status, output = run_tests(forks, tmp_path, tests)
    assert status == pytest.ExitCode.OK, output


def test_every_sabotage_is_another_one():
    assert len({sabotage.name for sabotage in SABOTAGES}) == len(SABOTAGES)
    assert len({(sabotage.file, sabotage.old, sabotage.new) for sabotage in SABOTAGES}) == len(SABOTAGES)
    assert all(sabotage.says.endswith(".") and sabotage.tests for sabotage in SABOTAGES)


def copy(folder: Path) -> None:
    """The project, in links."""
    folder.mkdir()
    for name in ("compare", "scratch", "torch_ref", "tests", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)


def change(folder: Path, sabotage: Sabotage) -> None:
    """Put a changed copy of the file in the place of its link."""
    path = folder / "compare"
    for part in Path(sabotage.file).parts:
        contents = list(path.resolve().iterdir())
        path.unlink()
        path.mkdir()
        for item in contents:
            (path / item.name).symlink_to(item)
        path /= part
    text = path.read_text(encoding="utf-8")
    assert text.count(sabotage.old) == 1, f"{sabotage.file} has changed: adapt the sabotage to it"
    path.unlink()
    path.write_text(text.replace(sabotage.old, sabotage.new), encoding="utf-8")
    os.utime(path, (1, 1))  # else it could be as old as the compiled original, and that would run


def run_tests(forks, folder: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    process = forks.Process(target=_run_tests, args=(folder, tests))
    process.start()
    process.join(300)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, (folder / "output").read_text(encoding="utf-8", errors="replace")


def _run_tests(folder: Path, tests: Sequence[str]) -> None:
    """In a process of its own: `python -m pytest` in the copy."""
    gc.freeze()  # what was inherited is not looked through again and again
    with open(folder / "output", "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    here = folder / "copy"
    os.chdir(here)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    sys.dont_write_bytecode = True  # through the links it would land beside the originals
    sys.path[:] = [str(here), *(p for p in sys.path if p and Path(p) not in (ROOT, ROOT / "tests"))]
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(here),
        "--basetemp",
        str(folder / "temp"),
    ]
    status = pytest.main([*options, *(f"tests/{test}" for test in tests)])
    assert Path(sys.modules["compare"].__file__ or "").parent == here / "compare"
    sys.stdout.flush()
    os._exit(int(status))
