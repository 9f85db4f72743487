"""Every mistake can be told from every other one of its component: without that, none could be named."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from compare.cases import all_components
from compare.component import Case, Component, Mistake, Results
from compare.measure import compare_results, to_numpy
from compare.run import cases_of, run_scratch

COMPONENTS_BY_NAME = all_components()
COMPONENTS = list(COMPONENTS_BY_NAME.values())
each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)


@each_component
def test_every_pair_of_mistakes_is_told_apart_in_float64(component: Component):
    """In a finite case, by more than twice the budget: then nothing lies within the budget of both."""
    finite = [case for case in cases_of(component, 0, np.float64) if case.finite]
    alike = list(combinations(component.mistakes, 2))
    for case in sorted(finite, key=size):  # the large ones only for pairs that all others leave alike
        if alike:
            alike = alike_in(component, case, alike)
    assert [f"{one.name} / {other.name}" for one, other in alike] == []


@each_component
def test_no_mistake_breaks_down_in_every_case(component: Component):
    """That is rejected as well, but no version that runs is ever found to be it. Dividing by 0 may be one."""
    cases = sorted(cases_of(component, 0, np.float64), key=size)
    for mistake in component.mistakes:
        outcomes = (outcome(component, case, mistake) for case in cases)
        runs = (not isinstance(one, Exception) or isinstance(one, ArithmeticError) for one in outcomes)
        assert any(runs), f"{mistake.name}: {outcome(component, cases[0], mistake)!r}"


@each_component
def test_names_are_unique(component: Component):
    names = [mistake.name for mistake in component.mistakes]
    assert len(set(names)) == len(names)


def test_a_convention_says_in_a_few_words_where_it_is_right():
    conventions = [m.convention for c in COMPONENTS for m in c.mistakes if m.convention]
    assert len(conventions) >= 12
    assert all(len(text) <= 90 and not text.endswith(".") for text in conventions)


def alike_in(
    component: Component, case: Case, pairs: list[tuple[Mistake, Mistake]]
) -> list[tuple[Mistake, Mistake]]:
    """The pairs that this case leaves alike; each mistake runs once."""
    scales, allowed = component.magnitude(case), 2 * component.budget.allowed(case, "cpu")
    outcomes = {m.name: outcome(component, case, m) for m in {m.name: m for p in pairs for m in p}.values()}

    def alike(one: Results | Exception, other: Results | Exception) -> bool:
        if isinstance(one, Exception) or isinstance(other, Exception):
            return type(one) is type(other)
        # Without a scale of the component, that of the second one counts: here the larger of both.
        return any(
            all(d.units <= allowed for d in compare_results(a, b, scales))
            for a, b in ((one, other), (other, one))
        )

    return [pair for pair in pairs if alike(*(outcomes[mistake.name] for mistake in pair))]


def outcome(component: Component, case: Case, mistake: Mistake) -> Results | Exception:
    """What the mistake gives, with 0 for −0: nobody's version is wrong for the sign of a zero."""
    try:
        results = run_scratch(component, case, mistake.functions)
    except Exception as error:
        return error
    arrays = {name: np.array(to_numpy(value)) for name, value in results.items()}
    return {name: array + 0.0 if array.dtype.kind == "f" else array for name, array in arrays.items()}


def size(case: Case) -> int:
    """How many numbers go in."""
    return sum(np.size(array) for array in case.arrays.values())


def test_an_edit_of_what_stands_nowhere_or_twice_is_named():
    text = COMPONENTS_BY_NAME["tanh"].text
    with pytest.raises(ValueError, match=r"scratch/activations: tanh_forward.* found it 0 times"):
        text.edit([("np.sinh(x)", "x")])
    with pytest.raises(ValueError, match=r"'y' exactly once, found it \d\d times"):
        text.edit([("y", "x")])
    with pytest.raises(ValueError, match="overlapping"):
        text.edit([("np.tanh(x)", "x"), ("= np.tanh", "= np.cosh")])


def test_an_edit_changes_a_copy_and_is_shown_as_a_diff():
    component = COMPONENTS_BY_NAME["tanh"]
    mistake = next(m for m in component.mistakes if m.name == "1 − y")
    x = np.array([0.5])
    assert list(mistake.functions) == ["tanh_backward"]
    assert mistake.functions["tanh_backward"](x, x) == 0.25
    assert component.implementation().tanh_backward(x, x) == 0.375
    assert mistake.diff.splitlines()[-2:] == ["- return dy * (1 - y * y)", "+ return dy * (1 - y)"]


def test_a_mistake_whose_line_is_another_one_today_has_no_diff():
    mistake, *_ = COMPONENTS_BY_NAME["relu"].mistakes
    assert mistake.diff
    assert replace(mistake, edits=[("no such line", "")]).diff == ""
