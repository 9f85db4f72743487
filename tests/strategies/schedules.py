"""Schedules: rates, decays and lengths over many orders of magnitude."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from compare.component import Case
from strategies.arrays import NAME, Inputs

EPOCHS = st.integers(1, 40)
LONG = st.integers(1, 50)  # an interval: of one epoch, or longer than the training


def positive(low: float, high: float) -> SearchStrategy[float]:
    """Spread over the orders of magnitude between two powers of ten."""
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


RATES = positive(-8, 2) | st.just(0.0)
DECAYS = positive(-6, 6) | st.floats(0, 2)
GAMMAS = st.floats(0.5, 1.5) | positive(-12, 1) | st.sampled_from([0.5, 1.0, 2.0])


def of(**options: SearchStrategy[Any]) -> Any:
    """Cases with these options."""

    @st.composite
    def cases(draw: Any, dtype: Any) -> Case:
        drawn = draw(st.fixed_dictionaries({"lr": RATES, "epochs": EPOCHS, **options}))
        return Case(NAME, {}, drawn, dtype=dtype)

    return cases


@st.composite
def cosine_cases(draw: Any, dtype: Any) -> Case:
    """Before, at and after the epoch of the smallest rate, which may be larger than the first."""
    warmup = draw(st.integers(0, 20))
    total = warmup + draw(st.integers(1, 40))
    epochs = draw(st.integers(1, total + 1) | st.integers(1, 100))
    options = {"lr": draw(RATES), "epochs": epochs, "warmup_epochs": warmup, "total_epochs": total}
    if draw(st.booleans()):
        options["lr_min"] = draw(RATES)
    return Case(NAME, {}, options, dtype=dtype)


INPUTS: Inputs = {
    "inverse_time": of(decay_rate=DECAYS),
    "fixed_interval": of(decay_rate=DECAYS, interval=LONG),
    "exponential": of(gamma=GAMMAS),
    "inverse_sqrt": of(k=positive(-6, 6)),
    "staircase": of(step_size=LONG, gamma=GAMMAS),
    "milestones": of(milestones=st.sets(st.integers(0, 60), max_size=8).map(sorted).map(tuple), gamma=GAMMAS),
    "cosine_with_warmup": cosine_cases,
}
