"""Initializers: any fans, modes, slopes, gains and seeds."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from compare.component import Case
from scratch.initializers import MODES, NONLINEARITIES
from strategies.arrays import NAME, SEEDS, Inputs, shapes

KAIMING = {
    "mode": st.sampled_from(MODES),
    "nonlinearity": st.sampled_from(NONLINEARITIES),
    "a": st.floats(-3, 3) | st.floats(-1e3, 1e3),
}
XAVIER = {"gain": st.floats(0, 3) | st.floats(0, 1e3)}


def of(**optional: SearchStrategy[float | str]) -> Any:
    """Cases with some of the options, or all, or none."""

    @st.composite
    def cases(draw: Any, dtype: Any) -> Case:
        options = draw(st.fixed_dictionaries({"shape": shapes()}, optional=optional))
        return Case(NAME, {}, options, draw(SEEDS), dtype)

    return cases


INPUTS: Inputs = {
    "zeros": of(),
    "large_random": of(),
    "kaiming_normal": of(**KAIMING),
    "kaiming_uniform": of(**KAIMING),
    "xavier_normal": of(**XAVIER),
    "xavier_uniform": of(**XAVIER),
}
