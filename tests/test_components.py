"""The loop over every component: what must hold for each, whatever it computes."""

import importlib
import inspect
import os
import re
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from compare.cases import TOPICS, all_components, select
from compare.component import DTYPES, Case, Component, Results
from compare.draws import older_streams, why_not_own
from compare.measure import to_numpy
from compare.report.sources import with_what_they_call
from compare.run import CaseResult, cases_of, refused_of, run_case, run_refused, run_scratch

COMPONENTS = list(all_components().values())
each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.name)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

HELPERS = {"__init__", "__pycache__", "checks", "layer", "files", "optimizer", "checkpoint"}  # no topics
SMALL = 5_000  # elements
SWEEP = [  # seeds, as in SWEEP=0:200,777000:777200
    seed
    for part in filter(None, os.environ.get("SWEEP", "").split(","))
    for seed in range(*map(int, part.split(":")))
]
with open(Path(__file__).with_name("refusals.toml"), "rb") as file:
    WORDS = tomllib.load(file)
ARITHMETIC = ("FloatingPointError", "ZeroDivisionError")
NUDGE = 10_000  # rounding units: 2·10⁻¹² in float64, a thousandth in float32


def test_no_file_of_scratch_and_no_function_in_it_goes_uncompared():
    files = {path.stem for path in (Path(__file__).parent.parent / "scratch").iterdir()}
    assert set(TOPICS) == files - HELPERS == {component.topic for component in COMPONENTS}
    assert list(DTYPES.items()) == [("float32", np.float32), ("float64", np.float64)]
    assert select(None) == COMPONENTS
    for topic in TOPICS:
        module = importlib.import_module(f"scratch.{topic}")
        names = [name for component in COMPONENTS if component.topic == topic for name in component.functions]
        compared = {definition.name for definition in with_what_they_call(module, names)}
        public = {
            name
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__ == module.__name__ and not name.startswith(("_", "check"))
        }
        assert public <= compared


@pytest.mark.skipif(bool(older_streams()), reason=older_streams())
def test_none_is_left_out():
    assert [component.name for component in COMPONENTS if component.not_here] == []


@each_component
@each_dtype
def test_there_are_cases_in_the_dtype_and_of_the_seed_that_were_asked_for(component: Component, dtype: str):
    cases, others = (cases_of(component, seed, DTYPES[dtype]) for seed in (0, 1))
    assert len(cases) >= (1 if component.name == "gradient_check" and dtype == "float32" else 4)
    assert any(case.finite for case in cases)
    assert {np.dtype(case.dtype).name for case in cases} == {dtype}
    inputs, other_inputs = (
        [(c.seed, *map(str, c.arrays.values())) for c in made] for made in (cases, others)
    )
    assert (inputs == other_inputs) == (component.topic == "schedules"), "they have nothing to draw"


@each_component
@each_dtype
def test_every_array_is_held_to_a_budget_that_rejects_what_is_close(component: Component, dtype: str):
    """In some case each, a change of its largest element by 10,000 of its own rounding units, or by 1."""
    unnoticed: set[str] = set()
    noticed: set[str] = set()
    for case in cases_of(component, 0, DTYPES[dtype]):
        if not case.finite:
            continue
        ours = {name: to_numpy(array) for name, array in run_scratch(component, case).items()}
        theirs = component.run_torch(case.for_torch("cpu"))
        for name, array in ours.items():
            if name not in noticed and array.size and np.isfinite(array).all():
                nudge = returning(component, {**ours, name: nudged(array)}, theirs)
                equal = run_case(nudge, case, arbiter=False).equal
                (unnoticed if equal else noticed).add(name)
    assert noticed
    assert unnoticed - noticed == set()


def returning(component: Component, ours: Results, theirs: Results) -> Component:
    return replace(component, run_scratch=lambda case, f: ours, run_torch=lambda case: theirs)


def nudged(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    index = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    if array.dtype.kind == "f":
        nudge = array.dtype.type(NUDGE * np.finfo(array.dtype).eps)
        changed[index] = changed[index] * (1 - nudge) if changed[index] else nudge
    else:
        changed[index] ^= 1
    return changed


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
@pytest.mark.parametrize("seed", range(3, 11))
def test_both_sides_agree_on_the_small_cases_of_more_seeds(component: Component, seed: int):
    """In one dtype each; the large cases would take three quarters as long again."""
    draws = "shared" if why_not_own("cpu") else "own"
    cases = [case for case in cases_of(component, seed, dtype_of(seed)) if size(case) <= SMALL]
    results = [run_case(component, case, arbiter=False, seed=seed, draws=draws) for case in cases]
    assert [r for r in results if not r.equal] == []


def size(case: Case) -> int:
    return sum(np.size(array) for array in case.arrays.values())


def dtype_of(seed: int):
    return list(DTYPES.values())[seed % 2]


@pytest.mark.skipif(not SWEEP, reason="a quarter of a minute a seed: make sweep")
@each_component
@each_dtype
def test_both_sides_agree_on_every_seed_of_a_sweep(component: Component, dtype: str, record_property):
    """Cases and refusals. The large cases, which take as long as all others, at every tenth seed."""
    draws = ["shared"] if why_not_own("cpu") else ["own", "shared"]
    results = []
    for seed in SWEEP:
        options = {"seed": seed, "draws": draws[seed % len(draws)]}
        for case in cases_of(component, seed, DTYPES[dtype]):
            if size(case) <= SMALL or seed % 10 == 0:
                results.append(summary(run_case(component, case, arbiter=False, **options)))
        for case in refused_of(component, seed, DTYPES[dtype]):
            results.append(summary(run_refused(component, case, **options)))
    share, where = max(results, default=(0.0, "nothing"))
    red = [where for share, where in results if share > 1]
    record_property(
        "sweep",
        f"{component.name:33}{dtype}  {len(SWEEP)} seeds  {len(results):7} runs  {len(red)} red  "
        f"at worst {share:.2f} of the budget: {where}",
    )
    assert red == []


def summary(result: CaseResult) -> tuple[float, str]:
    """The share of the budget, infinite where nothing is allowed or could be measured; and where."""
    worst, budget = result.worst, result.budget
    share = result.units / budget if budget else 0.0
    where = f"seed {result.seed}, {result.case}: {worst.array if worst else result.error}"
    return share if result.equal or share > 1 else np.inf, where


@each_component
@each_dtype
def test_scratch_refuses_in_its_own_words(component: Component, dtype: str):
    cases = refused_of(component, 0, DTYPES[dtype])
    assert [r for r in (run_refused(component, case) for case in cases) if not r.equal] == []
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"


@pytest.mark.parametrize("name", WORDS)
def test_scratch_refuses_in_these_words(name: str):
    component = all_components()[name]
    words = {}
    for case in refused_of(component, 0, np.float64):
        with pytest.raises((TypeError, ValueError)) as caught:
            run_scratch(component, case)
        text = f"{type(caught.value).__name__}: {caught.value}"
        words[case.name] = re.sub(r"\d\.\d{6,}", "…", text)  # numbers that were drawn
    assert words == WORDS[name]


@each_component
def test_scratch_refuses_for_every_seed(component: Component):
    """The command line takes any seed: two hundred of them, in one dtype each."""
    for seed in range(200):
        cases = refused_of(component, seed, dtype_of(seed))
        results = [run_refused(component, case, seed=seed) for case in cases]
        assert [r for r in results if not r.equal] == []


class Alike:
    """A source of draws that are all the same: the lowest that can come, the highest, or one in between."""

    def __init__(self, share: float, normal: float):
        self.share, self.normal = share, normal

    def random(self, size=()):
        return np.full(size, self.share)

    def standard_normal(self, size=()):
        return np.full(size, self.normal)

    def uniform(self, low, high, size=()):
        return low + (high - low) * self.random(size)

    def integers(self, low, high=None, size=()):
        low, high = (0, low) if high is None else (low, high)
        return low + np.floor((high - low) * self.random(size)).astype(np.int64)

    def choice(self, values, size=()):
        return np.asarray(values)[self.integers(len(values), size=size)]


@each_component
@each_dtype
@pytest.mark.parametrize(("share", "normal"), [(0.0, -8.0), (0.5, 0.0), (1 - 2.0**-53, 8.0)])
def test_a_refusal_depends_on_nothing_that_was_drawn(component: Component, dtype: str, share, normal):
    cases = list(component.refused(Alike(share, normal), DTYPES[dtype]))
    assert [r for r in (run_refused(component, case) for case in cases) if not r.equal] == []


@each_component
def test_what_is_taken_is_not_refused(component: Component):
    for case in cases_of(component, 0, np.float64)[:2]:
        assert not run_refused(component, case).equal


@pytest.mark.cuda
@each_component
@each_dtype
def test_both_sides_agree_on_cuda(component: Component, dtype: str, cuda: str):
    if reason := component.on(cuda).not_here:
        pytest.skip(reason)
    cases = cases_of(component, 0, DTYPES[dtype])
    assert [r for c in cases if not (r := run_case(component, c, cuda, arbiter=False)).equal] == []


@pytest.mark.parametrize(
    ("component", "mistake"),
    [(c, m) for c in COMPONENTS for m in c.mistakes],
    ids=lambda value: value.name,
)
def test_every_mistake_is_rejected_in_float64(component: Component, mistake):
    cases = cases_of(component, 0, np.float64)
    run = partial(run_case, component, replaced=mistake.functions, arbiter=False)
    first = run(cases[0])
    assert first.error.partition(":")[0] in ("", *ARITHMETIC), "it computes, and something else"
    assert not (first.equal and all(run(case).equal for case in cases[1:]))


@each_component
def test_results_keep_the_dtype_that_came_in(component: Component):
    for dtype in DTYPES.values():
        for case in cases_of(component, 0, dtype):
            watched = watch(case)
            with np.errstate(all="ignore"):
                run_scratch(component, watched)


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
