"""The loop over every component: what must hold for each, whatever it computes."""

from dataclasses import replace

import numpy as np
import pytest

from compare.component import Case, Component
from compare.draws import why_not_own
from compare.parity import DTYPES, cases_of, refused_of, run_case, run_refused, run_scratch
from compare.registry import TOPICS, all_components

COMPONENTS = list(all_components().values())
each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@each_component
@each_dtype
@pytest.mark.parametrize(("seed", "draws"), [(0, "own"), (1, "own"), (2, "shared")])
def test_both_sides_agree(component: Component, dtype: str, seed: int, draws: str):
    if draws == "own" and (reason := why_not_own("cpu")):
        pytest.skip(reason)
    cases = cases_of(component, seed, DTYPES[dtype])
    results = [run_case(component, case, arbiter=False, seed=seed, draws=draws) for case in cases]
    assert [r for r in results if not r.equal] == []
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"


@each_component
@each_dtype
def test_both_sides_refuse_the_same_in_the_same_words(component: Component, dtype: str):
    cases = refused_of(component, 0, DTYPES[dtype])
    assert [r for r in (run_refused(component, case) for case in cases) if not r.equal] == []
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"


@each_component
def test_what_is_taken_is_not_refused(component: Component):
    for case in cases_of(component, 0, np.float64)[:2]:
        assert not run_refused(component, case).equal


@pytest.mark.cuda
@each_component
@each_dtype
def test_both_sides_agree_on_cuda(component: Component, dtype: str, cuda: str):
    cases = cases_of(component, 0, DTYPES[dtype])
    assert [r for c in cases if not (r := run_case(component, c, cuda, arbiter=False)).equal] == []


@pytest.mark.parametrize(
    ("component", "mistake"),
    [(c, m) for c in COMPONENTS for m in c.mistakes],
    ids=lambda value: value.name,
)
def test_every_mistake_is_rejected_in_float64(component: Component, mistake):
    cases = cases_of(component, 0, np.float64)
    assert not all(run_case(component, c, replaced=mistake.functions, arbiter=False).equal for c in cases)


@each_component
def test_results_keep_the_dtype_that_came_in(component: Component):
    for dtype in DTYPES.values():
        for case in cases_of(component, 0, dtype):
            watched = watch(case)
            with np.errstate(all="ignore"):
                run_scratch(component, watched, component.implementation())


@each_component
def test_it_is_described(component: Component):
    assert component.topic in TOPICS
    assert component.budget.reason
    assert component.source.startswith("http")
    assert component.mistakes, "no wrong version to tell from the right one"
    assert all(mistake.explanation.endswith(".") for mistake in component.mistakes)


class Watched(np.ndarray):
    """A float32 array that fails when any operation on it yields float64."""

    def __array_finalize__(self, source):
        if source is not None and type(source) is Watched and source.dtype == np.float32:
            assert self.dtype != np.float64 or self.ndim == 0, "float32 was promoted to float64"


def watch(case: Case) -> Case:
    arrays = {
        name: array.view(Watched) if array.dtype == np.float32 else array
        for name, array in case.arrays.items()
    }
    return replace(case, arrays=arrays)
