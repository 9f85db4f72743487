"""Mini-batches, and a short training run with its history."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import scratch.network
import scratch.training
from compare.cases.choices import any_seed, any_size, floats, power, some_of
from compare.cases.error_analysis import ErrorAnalysis, scales
from compare.cases.inputs import SPECIAL, fortran, normal, strided, subnormals, zeros_and_subnormals
from compare.cases.limits import ADDITION, LARGEST, OVERFLOW, at
from compare.cases.network import random_description, random_targets, with_positive_zeros
from compare.component import (
    OUR_DRAWS,
    Budget,
    Case,
    Choose,
    Component,
    Departure,
    Edge,
    Edges,
    Mistake,
    Results,
    Stream,
)
from compare.measure import sum_units
from scratch import early_stopping, optimizers, schedules
from torch_ref import early_stopping as torch_early_stopping
from torch_ref import network as torch_network
from torch_ref import optimizers as torch_optimizers
from torch_ref import schedules as torch_schedules
from torch_ref import training as reference

EPOCHS = 3
RECIPE = {
    "epochs": EPOCHS,
    "batch_size": 8,
    "lr": 0.1,
    "momentum": 0.9,
    "decay_rate": 0.5,
    "drop_last": False,
    "micro_batch_size": None,
    "max_norm": None,
}
STOPPING = ("patience", "min_delta", "mode", "restore_best")  # arguments of EarlyStopping


def batch_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Sizes that do and do not divide; every example is recognisable."""

    def case(
        name: str, examples: int, batch_size: int, layout: Callable = np.asarray, features: int = 3
    ) -> Case:
        arrays = {"x": layout(normal(rng, (examples, features), dtype)), "targets": np.arange(examples)}
        return Case(name, arrays, {"batch_size": batch_size}, int(rng.integers(2**31)), dtype)

    yield case("typical: last batch smaller", 300, 64)
    yield case("divides", 128, 32)
    yield case("smallest", 2, 1)
    yield case("odd", 129, 13)
    yield case("one batch", 7, 7)
    yield case("batch larger than the set", 7, 13)
    yield case("large", 512, 100, features=1024)
    yield case("last batch dropped", 300, 64).but("last batch dropped", drop_last=True)
    yield case("nothing to drop", 128, 32).but("nothing to drop", drop_last=True)
    for name, values in (
        ("values of 1e3", [1e3, -1e3]),
        ("zeros and subnormals", [0.0, -0.0, *subnormals(dtype)]),
        ("nan and infinity", SPECIAL),
    ):
        special = case(name, 13, 5)
        special["x"][:, 1:] = np.resize(np.array(values, dtype), (13, 2))
        yield special
    yield case("fortran order", 13, 7, fortran)
    yield case("not contiguous", 13, 7, strided)


def batches_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """No examples, other targets, no batch."""
    good = next(iter(batch_cases(rng, dtype)))
    yield good.but("no examples", {"x": good["x"][:0], "targets": good["targets"][:0]})
    yield good.but("a target too few", {"targets": good["targets"][1:]})
    yield good.but("a target too many", {"targets": np.resize(good["targets"], len(good["x"]) + 1)})
    for size in (0, -1):
        yield good.but(f"batch size {size}", batch_size=size)
    yield good.but("not one whole batch, and the last dropped", batch_size=301, drop_last=True)


def training_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """No examples, and other targets."""
    good = next(iter(training_cases(rng, dtype)))
    yield good.but("epochs -1", epochs=-1)
    yield good.but("no examples", {"x": good["x"][:0], "targets": good["targets"][:0]})
    yield good.but("a target too few", {"targets": good["targets"][1:]})
    yield good.but("batch norm, and a last batch of one", batch_norm=True, batch_size=7)
    yield good.but("batch norm, and batches of one", batch_norm=True, batch_size=1, drop_last=True)
    for size in (0, -1, 1.5):
        yield good.but(f"micro-batches of {size}", micro_batch_size=size)
    yield good.but("batch norm, and micro-batches of one", batch_norm=True, micro_batch_size=1)
    yield good.but("batch norm, and a last micro-batch of one", batch_norm=True, micro_batch_size=7)
    for max_norm in (-1.0, np.nan):
        yield good.but(f"max_norm {max_norm}", max_norm=max_norm)
    yield good.but("early stopping without a validation set", patience=1)
    few = {"x_validation": good["x"][:3], "targets_validation": good["targets"][:3]}
    yield good.but("a validation target too few", {**few, "targets_validation": good["targets"][:2]})
    yield good.but("no validation examples", {name: array[:0] for name, array in few.items()})
    numbers = {"targets": normal(rng, (29, 1), dtype), "targets_validation": normal(rng, (3, 1), dtype)}
    regression = {**DESCRIPTIONS["regression"], "patience": 1, "mode": "max"}
    yield good.but("an accuracy of a squared error", {**few, **numbers}, **regression)


def run_batches_scratch(case: Case, f: Any) -> Results:
    """Every batch of several epochs."""
    generator = case.generator()
    batches = [
        batch
        for _ in range(EPOCHS)
        for batch in f.minibatches(case["x"], case["targets"], generator=generator, **case.options)
    ]
    return _named(batches)


def run_batches_torch(case: Case) -> Results:
    """Every batch of several passes over one DataLoader."""
    with case.torch_draws():
        loader = reference.minibatches(case["x"], case["targets"], **case.options)
        return _named([batch for _ in range(EPOCHS) for batch in loader])


def _named(batches: list) -> Results:
    return {
        f"batch {i}.{name}": array
        for i, batch in enumerate(batches)
        for name, array in zip(("x", "targets"), batch, strict=True)
    }


SMOOTH = {"activation": "tanh", "init": "xavier_normal"}
EVERYTHING = {"batch_norm": True, "dropout": 0.2, "l2": 0.3, **SMOOTH}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "typical": {"widths": (7, 5, 3), **SMOOTH},
    "everything": {"widths": (7, 5, 3), **EVERYTHING},
    "one logit": {"widths": (7, 5, 1), "loss": "binary_cross_entropy_with_logits", **SMOOTH},
    "several labels": {"widths": (7, 5, 3), "loss": "binary_cross_entropy_with_logits", **SMOOTH},
    "regression": {"widths": (7, 5, 1), "loss": "mse_loss", **SMOOTH},
    "regression, two outputs": {"widths": (7, 5, 2), "loss": "mse_loss", **SMOOTH},
    "smallest": {"widths": (1, 2)},
    "odd": {"widths": (7, 129, 13), **SMOOTH},
    "large": {"widths": (512, 64, 10), **EVERYTHING},
    "relu": {"widths": (7, 5, 3)},
    "batch norm": {"widths": (7, 5, 3), "batch_norm": True, **SMOOTH},
    "penalty": {"widths": (7, 5, 3), "l2": 2.0, **SMOOTH},
}
EXAMPLES = {"smallest": 2, "odd": 129, "large": 69}  # of the others: 29, whose last batch has 5


def training_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Mostly smooth networks, and momentum: what a step does wrong grows over those that follow."""

    def case(name: str, kind: str, change: Callable[[np.ndarray], Any] = np.asarray, **kwargs: Any) -> Case:
        network, examples = DESCRIPTIONS[kind], EXAMPLES.get(name, 29)
        width_in, *_, width_out = network["widths"]
        arrays = {"x": change(normal(rng, (examples, width_in), dtype))}
        if "loss" not in network:
            arrays["targets"] = rng.integers(0, width_out, examples)
        else:
            arrays["targets"] = rng.integers(0, 2, (examples, width_out)).astype(dtype)
        return Case(name, arrays, network, int(rng.integers(2**31)), dtype, **kwargs)

    def mostly_tiny(x: np.ndarray) -> np.ndarray:
        x[::2] = zeros_and_subnormals(x[::2].shape, dtype)
        return x

    def broken(x: np.ndarray) -> np.ndarray:
        np.fill_diagonal(x[:3], SPECIAL[2:])
        return x

    for name in DESCRIPTIONS:
        yield case(name, name)
    yield case("", "everything").but("last batch dropped", batch_size=9, drop_last=True)
    yield case("values of 1e3", "everything", lambda x: 1e3 * x)
    yield case("zeros and subnormals", "typical", mostly_tiny)
    yield case("nan and infinity", "typical", broken, finite=False)
    yield case("", "typical").but("no epochs", epochs=0)
    yield case("fortran order", "everything", fortran)
    yield case("not contiguous", "everything", strided)
    yield from _validated(case)
    yield from _in_parts(case)


def _in_parts(case: Callable[..., Case]) -> Iterator[Case]:
    """Micro-batches that divide the batches and that do not, and gradients that are too large."""
    yield case("", "typical").but("micro-batches", micro_batch_size=3)
    yield case("", "typical").but(
        "micro-batches that divide", batch_size=6, micro_batch_size=3, drop_last=True
    )
    yield case("", "typical").but("micro-batches of one", micro_batch_size=1)
    yield case("", "typical").but("one micro-batch", micro_batch_size=100)
    yield case("", "regression, two outputs").but("micro-batches, regression", micro_batch_size=5)
    yield case("", "penalty").but("micro-batches, penalty", micro_batch_size=3)
    yield case("", "everything").but("micro-batches, everything", batch_size=12, micro_batch_size=8)
    for max_norm in (0.05, 1e3, 0.0):
        yield case("", "typical").but(f"max_norm {max_norm:g}", max_norm=max_norm)
    yield case("", "penalty").but("max_norm, micro-batches", micro_batch_size=3, max_norm=0.1)
    yield case("", "everything").but("max_norm, everything", max_norm=0.1)


def _validated(case: Callable[..., Case]) -> Iterator[Case]:
    """The last examples are held out; where training stops, a cost or an accuracy is best early on."""

    def held_out(name: str, kind: str, **options: Any) -> Case:
        whole = case("", kind)
        parts = {f"{key}_validation": array[20:] for key, array in whole.arrays.items()}
        return whole.but(name, {**{k: a[:20] for k, a in whole.arrays.items()}, **parts}, **options)

    yield held_out("validation", "typical")
    yield held_out("validation, everything", "everything")
    yield held_out("validation, regression", "regression")
    fast = {"epochs": 12, "lr": 0.5, "decay_rate": 0.0}
    yield held_out("early stopping", "typical", patience=2, **fast)
    yield held_out("early stopping, everything", "everything", patience=2, **fast)
    yield held_out("early stopping, last weights", "typical", patience=2, restore_best=False, **fast)
    yield held_out("early stopping, min_delta", "regression", patience=2, min_delta=0.05, **fast)
    yield held_out("early stopping, accuracy", "typical", patience=3, mode="max", **fast)
    yield held_out("early stopping that never stops", "typical", patience=9)


def random_batches(choose: Choose, dtype: Any) -> Case:
    """Batches of any size, in which every example is recognisable."""
    examples = any_size(choose, 1, 40)
    x = floats(choose, (examples, any_size(choose, 0, 5)), dtype)
    options = {"batch_size": any_size(choose, 1, 50)}
    return Case("random", {"x": x, "targets": np.arange(examples)}, options, any_seed(choose), dtype)


INITS = ("kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform", "zeros", "default")


def random_training(choose: Choose, dtype: Any) -> Case:
    """A few epochs of few examples, in which no rounding grows to a tenth, as `training_magnitude` derives it

    It would where runs diverge, or where batch norm sees a nearly constant feature, as it often does in three
    examples or fewer; of one it takes no variance at all.
    """
    options = random_description(choose, INITS)
    least = 4 if options.get("batch_norm") else 1
    batch_size = any_size(choose, least, 12)
    examples = choose.integer(0, 2) * batch_size + choose.integer(least, batch_size)
    options |= {
        "batch_size": batch_size,
        "epochs": choose.integer(1, 3),
        "lr": power(choose, -6, -2 if options.get("loss") == "mse_loss" else -0.5),
        "momentum": choose.number(0, 0.95),
        "decay_rate": choose.number(0, 2),
    }
    sizes = {batch_size, examples % batch_size or batch_size} if examples > batch_size else {examples}
    more = some_of(
        choose,
        micro_batch_size=lambda choose: any_size(choose, least, 12),
        max_norm=lambda choose: power(choose, -3, 1),
    )
    if size := more.get("micro_batch_size"):
        choose.assume(all(n % size == 0 or n % size >= least for n in sizes))
    options |= more
    seed = any_seed(choose)
    arrays = {
        "x": floats(choose, (examples, options["widths"][0]), dtype, (-3, 0)),
        "targets": random_targets(np.random.default_rng(seed), options, examples, dtype),
    }
    case = Case("random", arrays, options, seed, dtype)
    unit = training_budget(case) * np.finfo(dtype).eps
    scales = [np.asarray(scale) for name, scale in training_magnitude(case).items() if name != "accuracy"]
    choose.assume(all(0 < scale.max() * unit < 0.1 for scale in scales))
    return case


def edges_of_batches(base: Case) -> Iterator[Edge]:
    """Batches of one example, of nearly all, of all and of more than there are."""
    yield from at(base, "batch_size", 1, 12, 13, 14, 10**9, 0, -1)


def edges_of_training(base: Case) -> Iterator[Edge]:
    """Dropout of none and of all, and no penalty."""
    yield from at(base, "dropout", 0.0, 1.0)
    yield from at(base, "l2", 0.0)


def _recipe(case: Case) -> tuple[dict[str, Any], SimpleNamespace]:
    """The description of the network, and how it is trained: options other than those of `RECIPE`."""
    options = dict(case.options)
    recipe = {name: options.pop(name, default) for name, default in RECIPE.items()}
    stopping = {name: options.pop(name) for name in STOPPING if name in options}
    return options, SimpleNamespace(**recipe, stopping=stopping)


def _more(case: Case, stopping: Any) -> dict[str, Any]:
    """The arguments of `train` that only some cases have."""
    found: dict[str, Any] = {}
    if "x_validation" in case.arrays:
        found["validation"] = (case["x_validation"], case["targets_validation"])
    steps = {n: case.options[n] for n in ("micro_batch_size", "max_norm") if n in case.options}
    return found | steps | ({"early_stopping": stopping} if stopping else {})


def _told(history: Any, stopping: Any, given: dict[str, Any]) -> Results:
    names = ["learning_rate", "accuracy"]
    names += ["validation_cost", "validation_accuracy"] if "validation" in given else []
    told = {name: np.array(getattr(history, name)) for name in names}
    if stopping:
        told |= {"stopped": np.array(stopping.stopped), "best_epoch": np.array(stopping.best_epoch)}
    return told


def run_training_scratch(case: Case, f: Any) -> Results:
    """Three epochs of four batches, unless the case wants others."""
    description, recipe = _recipe(case)
    generator = case.generator()
    network = scratch.network.Network(generator=generator, dtype=case.dtype, **description)
    optimizer = optimizers.SGD(network.parameters(), lr=recipe.lr, momentum=recipe.momentum)
    stopping = early_stopping.EarlyStopping(**recipe.stopping) if recipe.stopping else None
    more = _more(case, stopping)
    history = f.train(
        network,
        optimizer,
        case["x"],
        case["targets"],
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        generator=generator,
        scheduler=schedules.Scheduler(
            optimizer, partial(schedules.inverse_time, decay_rate=recipe.decay_rate)
        ),
        **more,
    )
    results: Results = {"cost": np.array(history.cost, case.dtype), **_told(history, stopping, more)}
    return _in_dtype(with_positive_zeros(results | network.state_dict()), case.dtype)


def run_training_torch(case: Case) -> Results:
    """The same with DataLoader, autograd and LambdaLR."""
    description, recipe = _recipe(case)
    with case.torch_draws():
        network = torch_network.Network(dtype=case.dtype, device=case.device, **description)
        optimizer = torch_optimizers.SGD(network.parameters(), lr=recipe.lr, momentum=recipe.momentum)
        stopping = torch_early_stopping.EarlyStopping(**recipe.stopping) if recipe.stopping else None
        more = _more(case, stopping)
        history = reference.train(
            network,
            optimizer,
            case["x"],
            case["targets"],
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            drop_last=recipe.drop_last,
            scheduler=torch_schedules.inverse_time(optimizer, decay_rate=recipe.decay_rate),
            **more,
        )
    results: Results = {
        "cost": torch.tensor(history.cost, dtype=case.dtype),
        **_told(history, stopping, more),
    }
    dtype = np.dtype(str(case.dtype).removeprefix("torch."))
    return _in_dtype(with_positive_zeros(results | network.state_dict()), dtype)


def _in_dtype(results: Results, dtype: Any) -> Results:
    """Costs in the dtype that they were computed in, as a history's are Python's numbers."""
    costs = {name: results[name].astype(dtype) for name in ("validation_cost",) if name in results}
    return results | costs


def training_budget(case: Case) -> float:
    """Every step adds sums over the inputs of a layer and over the batch."""
    description, recipe = _recipe(case)
    widths = description["widths"]
    return sum_units(max(recipe.batch_size, *widths), sum(a * b for a, b in pairwise(widths)))


def training_magnitude(case: Case) -> dict[str, Any]:
    """What all steps so far have rounded, times the condition number of those that follow

    `ErrorAnalysis` follows every step from the errors of the parameters to those of the gradients. From
    there the velocity v ← μ·v + g and the parameter θ ← θ − lr·v hand on errors that are of one origin and
    may be of one sign, so their scales and not the squares of these are added:

        E_v ← μ·E_v + E_g,        E_θ ← E_θ + lr·E_v,        and θ itself is rounded once a step.

    The accuracy is exact, but where the two largest logits are closer than their errors either class is
    right: k such rows among n, and it may be off by k/n.
    """
    wide = case.in_higher_precision(np.float64)
    description, recipe = _recipe(wide)
    generator = wide.generator()
    network = scratch.network.Network(generator=generator, dtype=np.float64, **description)
    optimizer = optimizers.SGD(network.parameters(), lr=recipe.lr, momentum=recipe.momentum)
    allowed = training_budget(case)
    loss = description.get("loss", "cross_entropy")
    analysis = ErrorAnalysis(network, loss, case.dtype, allowed)
    parameters = network.named(network.flat_parameters)
    velocity = {name: np.zeros(array.shape) for name, array in parameters.items()}
    found: dict[str, list[float]] = {name: [] for name in ("cost", "accuracy")}
    stopping = early_stopping.EarlyStopping(**recipe.stopping) if recipe.stopping else None
    best, validation = dict(analysis.state), _more(wide, None).get("validation")
    if validation:
        found |= {"validation_cost": [], "validation_accuracy": []}

    def evaluate(prefix: str, x: np.ndarray, targets: np.ndarray) -> None:
        """The error of an accuracy and, of a validation set, of its mean loss."""
        network.eval()
        if loss != "mse_loss":
            unit = allowed * np.finfo(case.dtype).eps
            undecided = _undecided(*analysis.forward(x), unit, classes=loss == "cross_entropy")
            found[f"{prefix}accuracy"].append((1 + undecided / unit) ** 2)
        if prefix:
            network.l2, l2 = 0.0, network.l2
            found[f"{prefix}cost"].append(analysis.cost(*analysis.forward(x), targets))
            network.l2 = l2
        network.train()

    with np.errstate(all="ignore"):  # NaN and infinities: only their pattern is compared
        for epoch in range(recipe.epochs):
            optimizer.lr = schedules.inverse_time(recipe.lr, epoch, decay_rate=recipe.decay_rate)
            batches = scratch.training.minibatches(
                wide["x"], wide["targets"], recipe.batch_size, generator, drop_last=recipe.drop_last
            )
            for x, targets in batches:
                found["cost"].append(_accumulated(analysis, x, targets, recipe.micro_batch_size))
                if recipe.max_norm is not None:
                    _clipped(analysis, recipe.max_norm)
                optimizer.step(network.gradients(optimizer.params))
                for name, parameter in parameters.items():
                    velocity[name] = recipe.momentum * velocity[name] + np.sqrt(analysis.gradients[name])
                    carried = np.sqrt(analysis.state[name]) + optimizer.lr * velocity[name]
                    analysis.state[name] = carried**2 + parameter**2
            evaluate("", wide["x"], wide["targets"])
            if validation:
                evaluate("validation_", *validation)
            if stopping and validation:
                history = scratch.training.History()
                scratch.training._validate(history, network, *validation)
                stop = stopping.step(history.metric(stopping.mode), network)
                best = dict(analysis.state) if stopping.wait == 0 else best
                if stop:
                    break
    kept = best if stopping and stopping.restore_best else analysis.state
    measured = {name: np.array(values) for name, values in found.items()}
    return scales(measured | kept) | {"learning_rate": recipe.lr}


def _accumulated(analysis: ErrorAnalysis, x: np.ndarray, targets: np.ndarray, size: int | None) -> float:
    """V of the cost, and in `gradients` that of the gradient: Σ (nₖ/n)²·Vₖ of the micro-batches, and a sum"""
    if size is None:
        variance = analysis.cost(*analysis.forward(x), targets)
        analysis.backward()
        return variance
    network, l2 = analysis.network, analysis.network.l2
    gradient, variance, cost = np.zeros_like(network.flat_gradients), 0.0, 0.0
    variances = {name: np.zeros(shape) for name, shape in network.shapes.items()}
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        share = network.counted(targets[part]) / network.counted(targets)
        network.l2 = l2 * len(x[part]) / len(x)  # λ/2m with the m of the whole batch
        logits, variance_logits = analysis.forward(x[part])
        variance += share**2 * analysis.cost(logits, variance_logits, targets[part])
        cost += share * network.cost(logits, targets[part])
        analysis.backward()
        gradient += share * network.flat_gradients
        for name, v in analysis.gradients.items():
            variances[name] += share**2 * v
    network.l2 = l2
    network.flat_gradients[...] = gradient
    analysis.gradients = {n: variances[n] + g**2 for n, g in network.named(gradient).items()}
    return variance + cost**2


def _clipped(analysis: ErrorAnalysis, max_norm: float) -> None:
    """g ← c·g with c = max_norm/‖g‖, whose error is that of the norm, Σ g²·V/‖g‖², relative to it"""
    gradients = analysis.network.named(analysis.network.flat_gradients)
    norm2 = sum(float((g**2).sum()) for g in gradients.values())
    factor = max_norm / (np.sqrt(norm2) + 1e-6)
    if factor < 1:
        of_norm = sum(float((g**2 * analysis.gradients[n]).sum()) for n, g in gradients.items()) / norm2**2
        for name, g in gradients.items():
            g *= factor
            analysis.gradients[name] = factor**2 * analysis.gradients[name] + g**2 * (of_norm + 1)


def _undecided(logits: np.ndarray, variances: np.ndarray, tolerance: float, *, classes: bool) -> float:
    """The share of rows whose class, or of labels that, depend on a rounding."""
    if not classes:
        lead, variance = np.abs(logits), variances
    else:
        two = np.argsort(logits, axis=1)[:, -2:]
        (second, first), (v2, v1) = (np.take_along_axis(a, two, axis=1).T for a in (logits, variances))
        lead, variance = first - second, v1 + v2
    return float(np.mean(lead < tolerance * np.sqrt(variance)))


FORWARD = "    if micro_batch_size is None:\n"
AFTER_AN_EPOCH = "        if scheduler:\n"
STEP = "    optimizer.step(gradients)\n"
SHARE = "share = network.counted(targets[part]) / counted"
ALL_GRADIENTS = "    gradients = network.gradients(optimizer.params)\n"


def against_orders(cases: Sequence[Case], results: Sequence[Results], expected: Sequence[Results]) -> str:
    """What speaks against orders of its own, another one each epoch, in which each example comes once."""
    told = dict.fromkeys(("the examples are not shuffled", "each epoch has the same order"), True)
    ours = True
    for case, mine, right in zip(cases, results, expected, strict=True):
        order, m = _rows(mine), len(case["x"])
        epochs = [order[start : start + m] for start in range(0, len(order), m)]
        data = [tuple(row) for row in np.c_[case["x"], case["targets"]]]
        if any(sorted(epoch) != sorted(data) for epoch in epochs):
            return f"not every example comes once an epoch, with its target, in the case “{case.name}”"
        told["the examples are not shuffled"] &= all(epoch in (data, data[::-1]) for epoch in epochs)
        told["each epoch has the same order"] &= all(epoch == epochs[0] for epoch in epochs)
        ours &= order == _rows(right)
    return OUR_DRAWS if ours else next((reason for reason, holds in told.items() if holds), "")


def _rows(batches: Results) -> list[tuple[float, ...]]:
    numbers = range(len(batches) // 2)
    pairs = [np.c_[batches[f"batch {i}.x"], batches[f"batch {i}.targets"]] for i in numbers]
    return [tuple(row) for row in np.concatenate(pairs)]


COMPONENTS = (
    Component(
        name="minibatches",
        topic="training",
        source="https://docs.pytorch.org/docs/stable/data.html",
        functions=("minibatches",),
        reference=("minibatches",),
        stream=Stream("generator.epoch_order(m)", against_orders),
        cases=batch_cases,
        random_case=random_batches,
        run_scratch=run_batches_scratch,
        run_torch=run_batches_torch,
        refused=batches_refused,
        edges=Edges(rows=("x", "targets"), others=edges_of_batches),
        budget=Budget(0, "rows are moved, not computed"),
        mistakes=(
            Mistake(
                "last batch dropped",
                "The remainder that does not fill a batch is never trained on.",
                [("if drop_last else len(x)", "if True else len(x)")],
                convention="PyTorch's DataLoader with drop_last=True",
            ),
            Mistake(
                "last of each batch skipped",
                "order[start : start + size − 1]: a slice ends before its end already.",
                [("start + batch_size]", "start + batch_size - 1]")],
            ),
            Mistake(
                "targets left behind",
                "The examples are shuffled, their targets are not: there is nothing left to learn.",
                [
                    ("order = generator.epoch_order(len(x))", "x = x[generator.epoch_order(len(x))]"),
                    ("order[start : start + batch_size]", "slice(start, start + batch_size)"),
                ],
            ),
            Mistake(
                "shuffled apart",
                "Examples and targets are shuffled in two different orders: there is nothing left to learn.",
                [
                    (
                        "order = generator.epoch_order(len(x))",
                        "x = x[generator.epoch_order(len(x))]\n"
                        "    targets = targets[generator.epoch_order(len(x))]",
                    ),
                    ("order[start : start + batch_size]", "slice(start, start + batch_size)"),
                ],
            ),
            Mistake(
                "not shuffled",
                "Every epoch sees the examples in the order of the file.",
                [("generator.epoch_order(len(x))", "np.arange(len(x))")],
            ),
            Mistake(
                "with replacement",
                "Random rows instead of a permutation: some examples come twice, some never.",
                [
                    (
                        "generator.epoch_order(len(x))",
                        "(generator.uniform((len(x),), 0.0, 1.0, np.float64) * len(x)).astype(int)",
                    )
                ],
            ),
        ),
        arbiter=False,
    ),
    Component(
        name="train",
        topic="training",
        source="https://docs.pytorch.org/docs/stable/optim.html",
        functions=("train",),
        reference=("train",),
        cases=training_cases,
        everyday=("batch_norm",),
        random_case=random_training,
        run_scratch=run_training_scratch,
        run_torch=run_training_torch,
        refused=training_refused,
        edges=Edges(("typical",), rows=("x", "targets"), others=edges_of_training),
        departures=(Departure(LARGEST, ("x",), OVERFLOW, depends_on=ADDITION),),
        magnitude=training_magnitude,
        budget=Budget(
            training_budget,
            "N sums of n terms in another order: ¼·√n·ln(10⁶·N) units, at least 32, of what every step"
            " rounds and inherits",
        ),
        mistakes=(
            Mistake(
                "one epoch ahead",
                "The rate is decayed before the first epoch: epoch e runs at the rate of e + 1.",
                [
                    (
                        "        history.learning_rate.append",
                        "        if scheduler:\n"
                        "            scheduler.step()\n"
                        "        history.learning_rate.append",
                    ),
                    (AFTER_AN_EPOCH, "        if False:\n"),
                ],
            ),
            Mistake(
                "decay every iteration",
                "The scheduler steps after every mini-batch: the rate decays as if each were an epoch.",
                [
                    (
                        "batch_targets, **how))\n",
                        "batch_targets, **how))\n"
                        "            if scheduler:\n"
                        "                scheduler.step()\n",
                    ),
                    (AFTER_AN_EPOCH, "        if False:\n"),
                ],
            ),
            Mistake(
                "decay piles up",
                "The schedule is applied to the decayed rate instead of the initial one.",
                [
                    (
                        AFTER_AN_EPOCH,
                        "        if scheduler:\n"
                        "            optimizer.param_groups[0]['initial_lr'] = optimizer.lr\n",
                    )
                ],
            ),
            Mistake(
                "same order every epoch",
                "The batches are drawn once, in front of the loop, so they never change.",
                [
                    (
                        "    for _ in range(epochs):",
                        "    options = {'drop_last': drop_last}\n"
                        "    batches = list(minibatches(x, targets, batch_size, generator, **options))\n"
                        "    for _ in range(epochs):",
                    ),
                    ("in minibatches(x, targets, batch_size, generator, drop_last=drop_last)", "in batches"),
                ],
            ),
            Mistake(
                "left in evaluation mode",
                "After a prediction the network never goes back to training: no dropout, frozen statistics.",
                [
                    (
                        "history.accuracy.append(accuracy(network, x, targets))",
                        "history.accuracy.append(accuracy(network.eval(), x, targets))",
                    )
                ],
            ),
            Mistake(
                "never in evaluation mode",
                "The accuracy is taken without eval(): with dropout, and it moves the running statistics.",
                [
                    (
                        "told = network.predict(x)",
                        "logits = network.forward(x)\n"
                        "    classes = network.loss == 'cross_entropy'\n"
                        "    told = logits.argmax(axis=1) if classes else 1 * (logits > 0)",
                    )
                ],
            ),
            Mistake(
                "gradients never cleared",
                "Every step is taken with the sum of all gradients so far, as without zero_grad().",
                [
                    (FORWARD, "    earlier = network.flat_gradients.copy()\n" + FORWARD),
                    (ALL_GRADIENTS, "    network.flat_gradients += earlier\n" + ALL_GRADIENTS),
                ],
            ),
            Mistake(
                "no step",
                "Of step() and backward() one is missing, or zero_grad() comes between: nothing is learned.",
                [(STEP, "")],
            ),
            Mistake(
                "step before the backward pass",
                "Every step is taken with the gradient of the batch before, and the first one with none.",
                [(FORWARD, ALL_GRADIENTS + STEP + FORWARD), (STEP, "")],
            ),
            Mistake(
                "optimizer made anew every epoch",
                "Built inside the loop, it forgets its velocity whenever an epoch begins.",
                [
                    (
                        "        history.learning_rate.append",
                        "        group = scheduler.optimizer.param_groups[0]\n"
                        "        options = {name: group[name] for name in optimizer.takes}\n"
                        "        optimizer = type(optimizer)(network.parameters(), **options)\n"
                        "        history.learning_rate.append",
                    )
                ],
            ),
            Mistake(
                "validated in training mode",
                "With dropout and the statistics of the validation set, which also move the running ones.",
                [("network._evaluate(x)", "network.forward(x)")],
            ),
            Mistake(
                "penalty in the validation cost",
                "It falls with the weights, whatever becomes of the examples, and the best epoch is another.",
                [
                    (
                        "float(forward(network._evaluate(x), targets, **network.loss_options)[0])",
                        "network.cost(network._evaluate(x), targets)",
                    )
                ],
            ),
            Mistake(
                "validated on the training set",
                "What is looked at is what is trained on: it goes on getting better.",
                [("_validate(history, network, *validation)", "_validate(history, network, x, targets)")],
            ),
            Mistake(
                "last weights kept",
                "The best ones are not put back when training ends.",
                [("        early_stopping.restore(network)\n", "        pass\n")],
            ),
            Mistake(
                "does not stop",
                "Nobody looks at what early stopping says.",
                [("if early_stopping and early_stopping.stopped:", "if False:")],
            ),
            Mistake(
                "training cost watched",
                "Early stopping is told the cost of the last batch, which falls when the network overfits.",
                [("history.metric(early_stopping.mode)", "history.cost[-1]")],
            ),
            Mistake(
                "mean of the means",
                "The last micro-batch is smaller: its examples count more than all others.",
                [(SHARE, "share = 1 / -(-len(x) // micro_batch_size)")],
                convention="Keras and Lightning, whose micro-batches all count alike",
            ),
            Mistake(
                "sum of the means",
                "Not divided by the number of micro-batches: the step is as many times too long.",
                [(SHARE, "share = 1")],
            ),
            Mistake(
                "micro-batches not added up",
                "The gradient is cleared before each of them: only the last one counts.",
                [("gradient += share", "gradient = share")],
            ),
            Mistake(
                "penalty of every micro-batch",
                "λ/2m with the m of a micro-batch: as many times too strong as there are micro-batches.",
                [("batch=len(x)", "batch=None")],
            ),
            Mistake(
                "cost of the last micro-batch",
                "What is told is the cost of a part of the batch.",
                [("cost += share * network.", "cost = network.")],
            ),
            Mistake(
                "micro-batches not looked at",
                "The batch is taken at once, which takes the memory that there is not.",
                [(FORWARD, "    if True:\n")],
            ),
            Mistake(
                "not clipped",
                "`max_norm` is not looked at, or the gradients are clipped after the step.",
                [("    if max_norm is not None:\n", "    if False:\n")],
            ),
            Mistake(
                "cost of the last batch",
                "One cost an epoch, that of its last and smallest batch: the curve jumps without a reason.",
                [
                    (
                        "history.cost.append(train_step(network, optimizer, batch_x, batch_targets, **how))",
                        "cost = train_step(network, optimizer, batch_x, batch_targets, **how)\n"
                        "        history.cost.append(cost)",
                    )
                ],
                convention="the course's notebooks of 2017",
            ),
        ),
        arbiter=False,
    ),
)
