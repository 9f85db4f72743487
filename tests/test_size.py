"""A large case of every component in both dtypes: more than 1024 rows, 2²⁰ terms of a sum, 10⁶ draws.

What is right for a dozen rows may be wrong beyond a block, a buffer or an integer. The rows are drawn from
those of an ordinary case, for which the component's budget is meant; drawn, since repeated in turn they would
hide a row that takes the place of another, and stretched a little, since many equal terms are
not rounded at random.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compare.cases import STUDY_DAY, all_components
from compare.component import DTYPES, Case, Component
from compare.run import cases_of, run_case

MANY = 2**20 + 77
STRETCHED = {"x", "dy", "next_x", "x_train", "logits", "input"}
BATCH = {"x", "dy", "next_x", "x_train", "inputs", "logits", "input", "probabilities", "targets"}


def rows(case: Case, n: int, names: set[str] = BATCH) -> Case:
    """The case with n rows, drawn from its own; everything that is laid out by rows gets the same ones."""
    rng = np.random.default_rng(n)
    index = rng.integers(0, min(len(case[name]) for name in names & set(case.arrays)), n)
    arrays = {name: array[index] for name, array in case.arrays.items() if name in names}
    for name in arrays.keys() & STRETCHED:
        arrays[name] *= rng.uniform(0.5, 1.5, arrays[name].shape).astype(case.dtype)
    return case.but(f"{case.name}, {n} rows", arrays)


def columns(case: Case, names: list[str]) -> Case:
    """The first column alone of a case."""
    return case.but(case.name, {name: case[name][..., :1].copy() for name in names})


def large(component: Component, dtype: Any) -> Iterator[Case]:
    cases = {case.name: case for case in cases_of(component, 0, dtype)}
    name = component.name
    match component.topic:
        case "random":
            yield from (draws(case) for case in list(cases.values())[8:9])
        case "initializers":
            yield cases["typical"].but("large", shape=(1027, 1031))
        case "schedules" if name == "reduce_lr_on_plateau":
            yield cases["typical"].but("long", metrics=cases["typical"].options["metrics"] * 150)
        case "schedules":
            total = {"total_steps": 5000} if name == "one_cycle" else {}
            yield cases["typical"].but("long", epochs=5000, **total)
        case "linear":
            yield rows(cases["typical"], 3001)
            yield rows(cases["smallest"], MANY)
        case "standardization" | "batch_norm":
            yield rows(cases["typical"], 3001)
            one = columns(cases["typical"], [n for n, a in cases["typical"].arrays.items() if a.ndim])
            yield rows(one, MANY)
        case "regularization" if name != "dropout":
            names = {key for key in cases["large"].arrays if key.endswith("1")}
            yield rows(cases["large"], 1027, names)
        case "clipping":
            yield rows(cases["large"], 1027, {"gradient1"})
        case "optimizers":
            for case in cases.values():
                if case.name.removeprefix("PyTorch: ") == "large":
                    taken = np.random.default_rng(0).integers(0, len(case["param.0"]), 1027)
                    arrays = {"param.0": case["param.0"][taken], "grads.0": case["grads.0"][:, taken]}
                    yield case.but("large", arrays)
        case "early_stopping":
            epochs = {n: np.resize(a, (3000, *a.shape[1:])) for n, a in cases["typical"].arrays.items()}
            falling = np.linspace(1, 0, 3000).astype(dtype)
            yield cases["typical"].but("long", {**epochs, "metrics": falling}, min_delta=2e-4, patience=9)
        case "averages" if name == "averaged_model":
            yield wider(cases["large"], (700, 1500))
        case "averages" if name == "update_bn":
            yield rows(cases["typical"], 52_433, {"x"}).but("large", batch_size=700)
        case "network":
            for kind in ("typical", "everything"):
                yield rows(cases[kind], 3001)
        case "training" if name == "minibatches":
            yield rows(cases["typical: last batch smaller"], 70_001).but("large", batch_size=1025)
        case "training":
            for kind in ("typical", "everything"):
                yield rows(cases[kind], 3001).but(f"large, {kind}", batch_size=700)
        case "gradient_check":
            if dtype == np.float64:
                yield rows(columns(cases["tanh"], ["x", "dy"]), 1027)
        case _ if component.edges.rows:
            yield rows(next(iter(cases.values())), MANY // 20 + 1, set(component.edges.rows))


def wider(case: Case, shape: tuple[int, int]) -> Case:
    """A case of averages whose first layer has weights of that shape, of its numbers again and again."""
    hidden, inputs = shape
    long = {n: np.resize(a, (len(a), hidden)) for n, a in case.arrays.items() if "norm" in n and a.ndim > 1}
    long["steps.linear1.weight"] = np.resize(case["steps.linear1.weight"], (4, hidden, inputs))
    long["steps.linear2.weight"] = np.resize(case["steps.linear2.weight"], (4, 10, hidden))
    return case.but("wider", long, widths=(inputs, hidden, 10))


def draws(case: Case) -> Case:
    """One call of each kind, more than a million numbers long."""
    call, numbers = case.options["calls"][-1], 1_000_003
    if call.method in ("randint", "randperm", "epoch_order"):
        call = replace(call, arguments=(*call.arguments[:-1], numbers))
    else:
        call = replace(call, size=numbers)
    return case.but("large", calls=(call, call))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("component", all_components().values(), ids=lambda component: component.name)
def test_both_sides_agree_on_what_is_large(component: Component, dtype: str):
    results = [run_case(component, case, arbiter=False) for case in large(component, DTYPES[dtype])]
    has_rows = component.edges.rows or component.topic in STUDY_DAY
    assert results or not has_rows or (component.name, dtype) == ("gradient_check", "float32")
    assert [result for result in results if not result.equal] == []
