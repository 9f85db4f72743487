"""Losses: hard and soft targets, predictions that are certain, right or wrong, and batches of none."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from compare.component import Case
from strategies.arrays import ANY_SHAPE, NAME, SEEDS, Inputs, floats, laid_out, sizes


@st.composite
def probabilities(draw: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """From 0 to 1: zeros and ones only, evenly spread, or crowded at either end"""
    rng = np.random.default_rng(draw(SEEDS))
    kind, power = draw(st.sampled_from(["hard", "soft", "near 0", "near 1"])), draw(st.integers(1, 12))
    p = np.asarray(rng.random(shape))
    if kind == "hard":
        p = np.round(p)
    elif kind == "near 0":
        p = p**power
    elif kind == "near 1":
        p = 1 - p**power
    return laid_out(draw, np.asarray(p, dtype))


@st.composite
def binary_logits_cases(draw: Any, dtype: Any) -> Case:
    """Any logits; in a third of all cases, targets near the minimum of the loss"""
    logits = draw(floats(draw(ANY_SHAPE), dtype, (-6, 3)))
    if draw(st.sampled_from([False, False, True])):
        wide = np.asarray(logits, np.float64)
        targets = laid_out(draw, np.asarray(np.exp(-np.logaddexp(0, -wide)), dtype))
    else:
        targets = draw(probabilities(logits.shape, dtype))
    return _case(draw, dtype, logits=logits, targets=targets)


@st.composite
def probability_cases(draw: Any, dtype: Any) -> Case:
    """Any probabilities; in a third of all cases, targets that are equal to them or nearly so"""
    p = draw(probabilities(draw(ANY_SHAPE), dtype))
    if draw(st.sampled_from([False, False, True])):
        targets = laid_out(draw, np.asarray(p * dtype(1 - draw(st.sampled_from([0, 1e-5, 1e-3]))), dtype))
    else:
        targets = draw(probabilities(p.shape, dtype))
    return _case(draw, dtype, probabilities=p, targets=targets)


@st.composite
def classes_cases(draw: Any, dtype: Any) -> Case:
    """Any number of classes, one among them"""
    logits = draw(floats((draw(sizes(0, 300)), draw(sizes())), dtype, (-6, 3)))
    logits[...] += dtype(draw(st.sampled_from([0, 0, 1, -30, 1e3])))
    rng = np.random.default_rng(draw(SEEDS))
    targets = rng.integers(0, logits.shape[1], len(logits), draw(st.sampled_from([np.int64, np.int32])))
    return _case(draw, dtype, logits=logits, targets=laid_out(draw, targets))


@st.composite
def squares_cases(draw: Any, dtype: Any) -> Case:
    """Any two arrays; in a third of all cases, nearly the same ones"""
    x = draw(floats(draw(ANY_SHAPE), dtype, (-6, 6)))
    targets = draw(floats(x.shape, dtype, (-6, 6)))
    if draw(st.sampled_from([False, False, True])):
        targets[...] = x * dtype(1 - draw(st.sampled_from([0, 1e-6, 1e-3])))
    return _case(draw, dtype, input=x, targets=targets)


def _case(draw: Any, dtype: Any, **arrays: np.ndarray) -> Case:
    dloss = draw(
        floats((), dtype, zeros=False)
    )  # near the minimum, only rounding decides on the sign of 0·dx
    options = {"reduction": draw(st.sampled_from(["mean", "sum"]))}
    finite = all(array.size for array in arrays.values())  # the mean of no numbers is NaN
    return Case(NAME, {**arrays, "dloss": dloss}, options, dtype=dtype, finite=finite)


INPUTS: Inputs = {
    "binary_cross_entropy_with_logits": binary_logits_cases,
    "binary_cross_entropy": probability_cases,
    "cross_entropy": classes_cases,
    "mse_loss": squares_cases,
}
