"""Both sides agree on random cases too: any shape, layout, scale, hyperparameter and seed.

The ordinary suite runs the same few of them every time. `FUZZ=100000 pytest tests/test_properties.py` runs
that many in all, other ones each time; what fails is shrunk, and printed with what brings it back.
"""

import os
from dataclasses import replace

import numpy as np
import pytest
from choices import made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.cases import all_components
from compare.component import DTYPES
from compare.draws import why_not_own
from compare.run import run_case

COMPONENTS = all_components()
DRAWS = ["shared"] if why_not_own("cpu") else ["own", "shared"]

FUZZ = int(os.environ.get("FUZZ") or 0)
EXAMPLES = -(-FUZZ // (len(COMPONENTS) * len(DTYPES))) or 15  # of each test
random_cases = settings(
    max_examples=EXAMPLES,
    derandomize=not FUZZ,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # of a busy machine
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COMPONENTS)
def test_both_sides_agree_on_random_cases(name: str, dtype: str, record_property):
    component, ran = COMPONENTS[name], 0

    @random_cases
    @given(made(component.random_case, DTYPES[dtype]), st.sampled_from(DRAWS))
    def agree(case, draws):
        nonlocal ran
        ran += 1
        result = run_case(component, case, arbiter=False, draws=draws)
        beyond = [d for d in result.differences if not d.units <= result.budget]
        assert result.equal, "\n".join(map(str, [replace(result, differences=[]), *beyond]))

    with np.printoptions(threshold=50):
        agree()
    assert ran >= EXAMPLES
    record_property("examples", ran)
