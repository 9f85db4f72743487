"""Mini-batches of any size, and short training runs of any network."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from compare.cases.training import training_budget, training_magnitude
from compare.component import Case
from strategies.arrays import NAME, SEEDS, Inputs, floats, sizes
from strategies.network import descriptions, targets_of

INITS = ("kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform", "zeros", "default")


@st.composite
def batches(draw: Any, dtype: Any) -> Case:
    """Every example is recognisable."""
    examples = draw(sizes(1, 40))
    arrays = {"x": draw(floats((examples, draw(sizes(0, 5))), dtype)), "targets": np.arange(examples)}
    return Case(NAME, arrays, {"batch_size": draw(sizes(1, 50))}, draw(SEEDS), dtype)


@st.composite
def runs(draw: Any, dtype: Any) -> Case:
    """A few epochs of few examples, in which no rounding grows to a tenth, as `training_magnitude` derives it

    It would where runs diverge, or where batch norm sees a nearly constant feature, as it often does in three
    examples or fewer; of one it takes no variance at all. The accuracy wants one target for each example.
    """
    options = draw(descriptions(INITS, outputs=1))
    normalised = options.get("batch_norm", False)
    least = 4 if normalised else 1
    batch_size = draw(sizes(least, 12))
    examples = draw(st.integers(0, 2)) * batch_size + draw(st.integers(least, batch_size))
    largest = -2 if options.get("loss") == "mse_loss" else -0.5
    recipe = {
        "epochs": st.integers(1, 3),
        "lr": st.floats(-6, largest).map(lambda exponent: 10.0**exponent),
        "momentum": st.floats(0, 0.95),
        "decay_rate": st.floats(0, 2),
    }
    options |= {"batch_size": batch_size, **draw(st.fixed_dictionaries(recipe))}
    seed = draw(SEEDS)
    arrays = {
        "x": draw(floats((examples, options["widths"][0]), dtype, (-3, 0))),
        "targets": targets_of(np.random.default_rng(seed), options, examples, dtype),
    }
    case = Case(NAME, arrays, options, seed, dtype)
    unit = training_budget(case) * np.finfo(dtype).eps
    scales = [scale for name, scale in training_magnitude(case).items() if name != "accuracy"]
    assume(all(0 < scale.max() * unit < 0.1 for scale in map(np.asarray, scales)))
    return case


INPUTS: Inputs = {"minibatches": batches, "train": runs}
