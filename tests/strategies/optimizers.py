"""Optimizers: hyperparameters over their whole ranges, rates that change, gradients of mixed scale."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from compare.cases.optimizers import problem
from compare.component import Case
from strategies.arrays import NAME, SEEDS, Inputs, laid_out, sizes

SHAPES = st.just(()) | st.tuples(sizes(0)) | st.tuples(sizes(0, 9), sizes(0, 9))
RATES = st.floats(-6, 0).map(lambda exponent: 10.0**exponent) | st.sampled_from([0.0, 0.1, 0.1])
SHARES = st.floats(0, 0.999) | st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999])  # β, α
MOMENTA = SHARES | st.floats(0, 1.2)
EPSILONS = st.floats(-12, -1).map(lambda exponent: 10.0**exponent) | st.sampled_from([0.0, 1e-8])
DECAYS = st.floats(0, 1) | st.sampled_from([0.0, 0.01])
Options = dict[str, SearchStrategy[Any]]


def of(optimizer: str, required: Options, optional: Options) -> Callable[[Any], SearchStrategy[Case]]:
    """Cases of one optimizer: a few parameters of any layout, one to five steps."""

    @st.composite
    def cases(draw: Any, dtype: Any) -> Case:
        options = draw(st.fixed_dictionaries(required, optional=optional))
        rates = draw(st.lists(RATES, min_size=1, max_size=5))
        shapes = draw(st.lists(SHAPES, min_size=1, max_size=2))
        arrays = problem(np.random.default_rng(draw(SEEDS)), dtype, shapes, len(rates))
        arrays = {name: laid_out(draw, array) for name, array in arrays.items()}
        return Case(NAME, arrays, {"optimizer": optimizer, "rates": tuple(rates), **options}, dtype=dtype)

    return cases


@st.composite
def rmsprop_cases(draw: Any, dtype: Any) -> Case:
    """Centered only where αᵗ ≥ 10⁻³: so much of s at least, the weight of the start, is left of s − a²

    Of less, what is left may be mostly rounding, and its root NaN.
    """
    case = draw(of("RMSprop", {}, RMSPROP)(dtype))
    least = 10 ** (-3 / len(case.options["rates"]))
    if draw(st.booleans()):
        centered = {"alpha": draw(st.floats(least, 0.999)), "centered": True}
        case = replace(case, options={**case.options, **centered})
    return case


RMSPROP = {"alpha": SHARES, "eps": EPSILONS, "momentum": MOMENTA, "weight_decay": DECAYS}
ADAM = {
    "betas": st.tuples(SHARES, SHARES),
    "eps": EPSILONS,
    "weight_decay": DECAYS,
    "amsgrad": st.booleans(),
}
NOT_ZERO = MOMENTA.filter(bool)

INPUTS: Inputs = {
    "sgd": of("SGD", {}, {"weight_decay": DECAYS}),
    "momentum": lambda dtype: (
        of("Momentum", {}, {"beta": SHARES})(dtype)
        | of("SGD", {"momentum": NOT_ZERO}, {"dampening": st.floats(0, 1.5), "weight_decay": DECAYS})(dtype)
    ),
    "nesterov": of("SGD", {"momentum": NOT_ZERO, "nesterov": st.just(True)}, {"weight_decay": DECAYS}),
    "rmsprop": rmsprop_cases,
    "adam": of("Adam", {}, ADAM),
    "adamw": of("AdamW", {}, ADAM),
}
