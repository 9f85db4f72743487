"""The optimizer: each parameter's steps from the first one on, by a run's own gradients

All of them, since what it keeps is what the gradients before have left.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from compare.component import Case
from compare.recording.replay import MOST_STEPS, Operation, Runs, components, units

CLASSES = {
    "SGD": "sgd",
    "Adam": "adam",
    "AdamW": "adamw",
    "RMSprop": "rmsprop",
    "Adagrad": "adagrad",
    "NAdam": "nadam",
}
HYPERPARAMETERS = (
    "momentum", "dampening", "weight_decay", "nesterov", "alpha", "eps", "centered", "betas", "amsgrad",
    "maximize", "beta", "lr_decay", "initial_accumulator_value", "momentum_decay",
)  # fmt: skip

OF_ANOTHER_DEFAULT = ("weight_decay", "eps", "alpha", "momentum_decay")  # where 0 is not as good as not given


def component_of(optimizer: str, options: Mapping[str, Any]) -> str | None:
    """What we call an optimizer with these options."""
    if optimizer == "Momentum":
        return "momentum"
    if optimizer == "SGD" and options.get("momentum"):
        return "nesterov" if options.get("nesterov") else "momentum"
    name = CLASSES.get(optimizer)
    return name if name in components() else None


def updates(runs: Runs, side: int, steps: int = MOST_STEPS) -> Iterator[Operation]:
    """The update of every parameter over the first steps, on one run's own gradients."""
    chosen = runs.steps[:steps]
    if chosen[:1] != [0] or chosen != list(range(len(chosen))):
        return  # what it has kept from the steps before is not known
    about = runs.theirs.about.get("optimizer", {})
    for number, group in enumerate(about.get("groups", ())):
        facts = [runs.step(1, step).facts["groups"][number] for step in chosen]
        options = {k: facts[0][k] for k in HYPERPARAMETERS if facts[0].get(k) is not None}
        options = {k: v for k, v in options.items() if v or k in OF_ANOTHER_DEFAULT}
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        decoupled = about["class"] == "Adam" and facts[0].get("decoupled_weight_decay")
        component = component_of("AdamW" if decoupled else about["class"], options)
        for name in group if component else ():
            rates = [runs.rate(step, side, f["lr"]) for step, f in zip(chosen, facts, strict=True)]
            yield from _update(runs, side, name, component, options, dict(zip(chosen, rates, strict=True)))


def _update(
    runs: Runs, side: int, name: str, component: Any, options: Mapping[str, Any], rates: Mapping[int, float]
) -> Iterator[Operation]:
    steps = list(rates)
    start = runs.of(side, steps[0], f"{name}.before")
    grads: list[np.ndarray] = []
    for step in steps:
        if (grad := runs.gradient(step, side, name)) is None:
            break
        grads.append(grad)
    if start is None or not grads:
        return
    arrays = {"param.0": start.astype(np.float64), "grads.0": np.stack(grads).astype(np.float64)}
    outputs = {f"step{t + 1}.param.0": (steps[t], name) for t in range(len(grads))}
    outputs = {k: v for k, v in outputs.items() if runs.of(side, *v) is not None}
    used = tuple(rates.values())[: len(grads)]
    case_options = {"optimizer": class_of(component, options), "rates": used, **options}
    case = Case(name, arrays, case_options, dtype=np.float64, finite=False)
    coarse = None if side or runs.own_start(name) else runs.theirs.computed_from.get(name)
    called = f"{name} ({class_of(component, options)})"
    yield Operation(called, components()[component], case, outputs, coarse=coarse)


CLASS_OF = {
    **{component: name for name, component in CLASSES.items()},
    "momentum": "SGD",
    "nesterov": "SGD",
}


def class_of(component: str, options: Mapping[str, Any]) -> str:
    """Scratch's class; of momentum the one that takes a β, where it has one."""
    return "Momentum" if component == "momentum" and "beta" in options else CLASS_OF[component]


def judged(
    runs: Runs,
    operation: Operation,
    side: int,
    functions: Mapping[str, Callable] | None = None,
    **options: Any,
) -> dict[str, float]:
    """How far each result of an operation is from what was recorded."""
    expected = operation.expected(functions, **options)
    found = {}
    for result, (step, tensor) in operation.outputs.items():
        array = operation.of(runs.of(side, step, tensor))
        if array is not None and result in expected:
            found[result] = units(operation, result, expected[result], array) / runs.coarser(
                step, side, tensor
            )
            if functions is not None and found[result] > 1:
                break  # it does not fit: no more is asked
    return found
