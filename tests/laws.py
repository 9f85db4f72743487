"""What the tests of mathematical laws share: one side alone, run on a random case or on a changed one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from choices import made
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from compare.cases import all_components
from compare.component import DTYPES, Case, Choose, copy_with_strides
from compare.measure import to_numpy
from compare.run import run_scratch

each_side = pytest.mark.parametrize("side", ["scratch", "torch"])
seeded = settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # of a busy machine
)


def in_any_dtype(random_case: Callable[[Choose, Any], Case]) -> st.SearchStrategy[Case]:
    """Random cases in float32 or in float64."""
    return st.one_of([made(random_case, dtype) for dtype in DTYPES.values()])


def random_cases(name: str) -> st.SearchStrategy[Case]:
    """Those of a component."""
    return in_any_dtype(all_components()[name].random_case)


def run(side: str, name: str, case: Case, **changes: Any) -> dict[str, np.ndarray]:
    """What one side of a component returns for a case, with some of its arrays changed."""
    component, case = all_components()[name], changed(case, **changes)
    if side == "scratch":
        results = run_scratch(component, case)
    else:
        results = component.run_torch(case.for_torch("cpu"))
    return {key: to_numpy(value) for key, value in results.items()}


def changed(case: Case, **changes: Any) -> Case:
    """The case with other arrays, in its dtype."""
    arrays = {key: np.asarray(value, case.arrays[key].dtype) for key, value in changes.items()}
    return replace(case, arrays={**case.arrays, **arrays})


def times(factor: float, array: np.ndarray) -> np.ndarray:
    """The product in the same layout, on which the order of a sum may hang: only then is it exactly so."""
    product = copy_with_strides(array)
    product *= factor
    return product


def allowed(name: str, case: Case, array: str) -> np.ndarray:
    """How far an array of a component may lie from the truth: its budget times its magnitude."""
    component = all_components()[name]
    unit = float(np.finfo(case.dtype).eps)
    return component.budget.allowed(case, "cpu") * unit * component.magnitude(case)[array]
