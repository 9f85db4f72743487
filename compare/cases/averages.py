"""Averages: of sequences, of weights that change from update to update, and running statistics taken anew."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import scratch.network
from compare.cases.choices import any_seed, any_size, chance, floats, some_of
from compare.cases.error_analysis import ErrorAnalysis, scales
from compare.cases.inputs import SPECIAL, fortran, normal, other, strided, subnormals
from compare.cases.limits import ADDITION, FUSION, LARGEST, OVERFLOW, at, bad
from compare.cases.network import random_description, with_positive_zeros
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.measure import sum_units
from scratch.random import NumpyGenerator
from torch_ref import averages as reference
from torch_ref import network as torch_network

# A sequence.


def sequence_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Noise around a level that is not 0, short and long memories, with the correction and without."""

    def case(name: str, steps: int, beta: float, layout: Callable = np.asarray, **options: Any) -> Case:
        x = layout(3 + normal(rng, (steps,), dtype))
        return Case(name, {"x": x}, {"beta": beta, **options}, dtype=dtype)

    yield case("typical", 20, 0.9)
    yield case("uncorrected", 20, 0.9, bias_correction=False)
    yield case("of two", 2, 0.98)
    yield case("one value", 1, 0.9)
    yield case("short memory", 13, 0.5)
    yield case("no memory", 7, 0.0)
    yield case("long memory", 40, 0.999)
    yield case("long memory, uncorrected", 40, 0.999, bias_correction=False)
    yield case("long", 3000, 0.98)
    yield case("not contiguous", 13, 0.9, strided)
    constant = case("constant", 30, 0.95)
    constant["x"][...] = constant["x"][0]
    yield constant
    for name, values, finite in (
        ("values of 1e3", [1e3, -1e3, 1e3, 3e3], True),
        ("zeros and subnormals", [0.0, -0.0, *subnormals(dtype)], True),
        ("nan and infinity", [1.0, *SPECIAL], False),
    ):
        special = np.array(values, dtype)
        yield Case(name, {"x": special}, {"beta": 0.9}, dtype=dtype, finite=finite)


def sequence_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """β that is none, and what is no sequence of numbers."""
    good = next(sequence_cases(rng, dtype))
    for beta in (-0.1, 1.0, 1.1, np.nan):
        yield good.but(f"beta {beta}", beta=beta)
    yield good.but("integers", {"x": np.arange(5)})
    yield good.but("two axes", {"x": good["x"][:, None]})
    yield good.but("a number", {"x": np.array(1.0, dtype)})


def random_sequence(choose: Choose, dtype: Any) -> Case:
    """Of any length, with any memory."""
    options: dict[str, Any] = {"beta": choose.number(0, 0.999), **some_of(choose, bias_correction=chance)}
    return Case("random", {"x": floats(choose, (any_size(choose, 0),), dtype)}, options, dtype=dtype)


def edges_of_sequences(base: Case) -> Iterator[Edge]:
    """No memory, and one that never forgets."""
    yield from at(base, "beta", 0.0, -0.0, 5e-324, 1 - 2**-53, 1.0, 1.1)
    yield from bad(base, "beta")


def run_sequence_scratch(case: Case, f: Any) -> Results:
    """The averages."""
    return {"averages": f.exponentially_weighted_average(case["x"], **case.options)}


def run_sequence_torch(case: Case) -> Results:
    """The averages."""
    return {"averages": reference.exponentially_weighted_average(case["x"], **case.options)}


def sequence_magnitude(case: Case) -> dict[str, Any]:
    """The same average of the absolute values: the terms that are added up have these sizes

    The correction 1 − βᵗ is a difference, which is computed in float64: its condition number is βᵗ/(1 − βᵗ).
    """
    beta = float(case.options["beta"])
    of_float64 = np.finfo(np.float64).eps / np.finfo(case.dtype).eps
    size, found = 0.0, []
    for t, value in enumerate(np.abs(case["x"].astype(np.float64)), start=1):
        size = beta * size + (1 - beta) * (float(value) if np.isfinite(value) else 0.0)
        if case.options.get("bias_correction", True):
            weights = 1 - beta**t
            found.append(size / weights * (1 + of_float64 * beta**t / weights))
        else:
            found.append(size)
    return {"averages": np.array(found)}


def _memory(case: Case, decay: float | None, updates: int) -> float:
    """Roundings that have not been forgotten: three of each of the values in memory, and four more."""
    remembered = updates if decay is None else min(updates, 1 / max(1 - float(decay), 1e-9))
    return 4 + 3 * remembered


# The weights of a network.


def model_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Weights that are others at every update; every running statistic too."""

    def case(name: str, updates: int = 5, widths: tuple[int, ...] = (5, 4, 3), **options: Any) -> Case:
        description = {"widths": widths, "batch_norm": True}
        arrays = _updates(description, updates, dtype, lambda shape: 1 + normal(rng, shape, dtype))
        return Case(name, arrays, {**description, **options}, int(rng.integers(2**31)), dtype)

    yield case("typical", decay=0.9)
    yield case("equal average")
    yield case("with statistics", decay=0.9, use_buffers=True)
    yield case("equal average with statistics", use_buffers=True)
    yield case("one update", 1, decay=0.9)
    yield case("two updates", 2, decay=0.999)
    yield case("short memory", decay=0.3, use_buffers=True)
    yield case("no memory", decay=0.0)
    yield case("first weights for ever", decay=1.0)
    yield case("many updates", 60, decay=0.95)
    yield case("many updates, equal", 60)
    yield case("no hidden layer", 4, (3, 2), decay=0.9)
    yield case("deep", 4, (3, 4, 5, 4, 2), decay=0.7, use_buffers=True)
    yield case("large", 4, (129, 64, 10), decay=0.99)
    yield case("evaluating", decay=0.9, evaluating=True)
    fresh = case("", decay=0.9)
    laid_out = {name: fortran(array) for name, array in fresh.arrays.items()}
    yield fresh.but("fortran order", laid_out)
    for name, values, finite in (
        ("values of 1e3", [1e3, -1e3], True),
        ("zeros and subnormals", [0.0, -0.0, *subnormals(dtype)], True),
        ("nan and infinity", SPECIAL, False),
    ):
        special = case(name, decay=0.9)
        weight = special["steps.linear1.weight"]
        weight[...] = np.resize(np.array(values, dtype), weight.shape)
        yield Case(name, special.arrays, special.options, special.seed, dtype, finite=finite)


def _updates(
    description: dict[str, Any], updates: int, dtype: Any, draw: Callable[[tuple[int, ...]], np.ndarray]
) -> dict[str, np.ndarray]:
    """Of every array of the network's state, what it is at each update; counts go up by threes."""
    network = scratch.network.Network(generator=NumpyGenerator(0), dtype=dtype, **description)
    return {
        f"steps.{name}": draw((updates, *array.shape)) if array.ndim else 2 + 3 * np.arange(updates)
        for name, array in network.state_dict().items()
    }


def model_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """A decay that is none, and the weights of another network."""
    good = next(model_cases(rng, dtype))
    for decay in (-0.1, 1.1, np.nan):
        yield good.but(f"decay {decay}", decay=decay)
    yield good.but("another network", other_widths=(5, 6, 3))
    yield good.but("a deeper network", other_widths=(5, 4, 4, 3))
    yield good.but("another dtype", other_dtype=other(dtype))


def random_model(choose: Choose, dtype: Any) -> Case:
    """Any network, any memory, up to nine updates."""
    description = random_description(choose, outputs=3)
    updates = any_size(choose, 1, 9)
    arrays = _updates(description, updates, dtype, lambda shape: floats(choose, shape, dtype))
    options = some_of(choose, decay=lambda choose: choose.number(0, 1), use_buffers=chance)
    return Case("random", arrays, {**description, **options}, any_seed(choose), dtype)


def edges_of_models(base: Case) -> Iterator[Edge]:
    """Nothing remembered, and nothing learned."""
    yield from at(base, "decay", 0.0, 1.0, 1.1, 5e-324)
    yield from bad(base, "decay")


NOT_OF_THE_NETWORK = (
    "decay",
    "use_buffers",
    "evaluating",
    "other_widths",
    "other_dtype",
    "loader",
    "batch_size",
)


def _network_options(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.options.items() if name not in NOT_OF_THE_NETWORK}


def _averaging(case: Case) -> dict[str, Any]:
    return {name: case.options[name] for name in ("decay", "use_buffers") if name in case.options}


def run_model_scratch(case: Case, f: Any) -> Results:
    """The averages after each update, and the network, which is none of them."""
    build = partial(scratch.network.Network, generator=case.generator())
    network = build(dtype=case.dtype, **_network_options(case))
    averaged = f.AveragedModel(network.train(not case.options.get("evaluating")), **_averaging(case))
    if {"other_widths", "other_dtype"} & case.options.keys():
        changed = {**_network_options(case), "dtype": case.options.get("other_dtype", case.dtype)}
        network = build(**{**changed, "widths": case.options.get("other_widths", changed["widths"])})
        averaged.update_parameters(network)
    return _averages(case, network, averaged, lambda array: array.copy())


def run_model_torch(case: Case) -> Results:
    """The same with torch.optim.swa_utils."""
    with case.torch_draws():
        network = torch_network.Network(dtype=case.dtype, device=case.device, **_network_options(case))
    averaged = reference.AveragedModel(network.train(not case.options.get("evaluating")), **_averaging(case))
    if {"other_widths", "other_dtype"} & case.options.keys():
        widths = case.options.get("other_widths", case.options["widths"])
        network = torch_network.Network(**{**_network_options(case), "widths": widths})
        averaged.update_parameters(network.to(case.dtype))
    return _averages(case, network, averaged, lambda tensor: tensor.clone())


def _averages(case: Case, network: Any, averaged: Any, copied: Callable) -> Results:
    def state(of: Any, name: str) -> Results:
        return {f"{name}.{key}": copied(value) for key, value in of.state_dict().items()}

    results = state(averaged, "initial")
    updates = len(next(iter(case.arrays.values())))
    for t in range(updates):
        network.load_state_dict({n.removeprefix("steps."): array[t] for n, array in case.arrays.items()})
        averaged.update_parameters(network)
        if t < 5 or t == updates - 1:
            results |= state(averaged, f"update {t + 1}")
    results |= state(network, "network")
    return with_positive_zeros(results | {"training": np.array(averaged.module.training)})


def model_magnitude(case: Case) -> dict[str, Any]:
    """The largest size that each number has had so far: what is averaged is no larger"""
    found = {}
    for name, array in case.arrays.items():
        sizes = np.maximum.accumulate(np.where(np.isfinite(array), np.abs(array.astype(np.float64)), 0))
        for t, size in enumerate(sizes, start=1):
            found[f"update {t}.module.{name.removeprefix('steps.')}"] = size
    return found


# Running statistics taken anew.


def statistics_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Networks that have trained: no running statistic is what it was at first."""

    def case(
        name: str, examples: int = 29, batch_size: int = 8, layout: Callable = np.asarray, **more: Any
    ) -> Case:
        options = {"widths": (7, 5, 3), "batch_norm": True, "batch_size": batch_size, **more}
        seed = int(rng.integers(2**31))
        x = layout(normal(rng, (examples, options["widths"][0]), dtype))
        return Case(name, {"x": x, **_trained(rng, options, seed, dtype)}, options, seed, dtype)

    smooth: dict[str, Any] = {"widths": (7, 6, 5, 3), "activation": "tanh"}
    yield case("typical")
    yield case("divides", 32)
    yield case("one batch", 13, 13)
    yield case("smallest", 2, 2, widths=(1, 1, 1))
    yield case("two layers", **smooth)
    yield case("batches alone", **smooth, loader="x")
    yield case("dropout", **smooth, dropout=0.3)
    yield case("evaluating", **smooth, evaluating=True)
    yield case("another momentum", **{**smooth, "batch_norm": {"momentum": 0.4, "eps": 0.01}})
    yield case("no batch norm", batch_norm=False)
    yield case("large", 200, 64, widths=(129, 64, 10), activation="tanh")
    yield case("fortran order", layout=fortran)
    yield case("not contiguous", layout=strided)
    for name, scale in (("values of 1e3", 1e3), ("values of 1e-3", 1e-3)):
        yield case(name, layout=lambda x, scale=scale: (scale * x).astype(x.dtype))
    broken = case("nan and infinity")
    np.fill_diagonal(broken["x"][:3], SPECIAL[2:])
    yield Case(broken.name, broken.arrays, broken.options, broken.seed, dtype, finite=False)


def _trained(
    rng: np.random.Generator, options: dict[str, Any], seed: int, dtype: Any
) -> dict[str, np.ndarray]:
    description = _network_options(Case("", options=options))
    network = scratch.network.Network(generator=NumpyGenerator(seed), dtype=dtype, **description)
    for array in network.state_dict().values():
        array[...] += rng.uniform(0.1, 0.5, array.shape).astype(dtype) if array.ndim else 7
    return {f"state.{name}": array for name, array in network.state_dict().items()}


def statistics_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """A batch of one, and examples of another kind."""
    good = next(statistics_cases(rng, dtype))
    yield good.but("a last batch of one", batch_size=7)
    yield good.but("a feature too few", {"x": good["x"][:, 1:]})
    yield good.but("another dtype", {"x": good["x"].astype(other(dtype))})
    yield good.but("integers", {"x": np.ones((29, 7), np.int64)})


def random_statistics(choose: Choose, dtype: Any) -> Case:
    """A network with a hidden layer or two, and batches of at least four."""
    seed = any_seed(choose)
    batch_size = any_size(choose, 4, 20)
    examples = choose.integer(0, 2) * batch_size + choose.integer(4, batch_size)
    widths = tuple(any_size(choose, 1, 9) for _ in range(choose.integer(3, 4)))
    options: dict[str, Any] = {"widths": widths, "batch_norm": True, "batch_size": batch_size}
    options |= some_of(choose, dropout=lambda choose: choose.number(0.01, 0.9), evaluating=chance)
    options["activation"] = choose.one_of(("tanh", "sigmoid", "relu"))
    x = floats(choose, (examples, widths[0]), dtype, (-3, 1))
    state = _trained(np.random.default_rng(seed), options, seed, dtype)
    case = Case("random", {"x": x, **state}, options, seed, dtype)
    unit = statistics_budget(case) * np.finfo(dtype).eps
    choose.assume(all(np.max(scale) * unit < 0.1 for scale in statistics_magnitude(case).values()))
    return case


def _state(case: Case) -> dict[str, Any]:
    return {n.removeprefix("state."): array for n, array in case.arrays.items() if n.startswith("state.")}


def _loader(case: Case) -> list[Any]:
    size, x = case.options["batch_size"], case["x"]
    batches = [x[start : start + size] for start in range(0, len(x), size)]
    return batches if case.options.get("loader") == "x" else [(batch, None) for batch in batches]


def run_statistics_scratch(case: Case, f: Any) -> Results:
    """All that a network keeps, its mode and its momenta, after a pass over the batches."""
    network = scratch.network.Network(generator=case.generator(), dtype=case.dtype, **_network_options(case))
    network.load_state_dict(_state(case))
    f.update_bn(_loader(case), network.train(not case.options.get("evaluating")))
    return network.state_dict() | _kept(network, network.layers)


def run_statistics_torch(case: Case) -> Results:
    """The same with torch.optim.swa_utils."""
    with case.torch_draws():
        network = torch_network.Network(dtype=case.dtype, device=case.device, **_network_options(case))
        network.load_state_dict(_state(case))
        reference.update_bn(_loader(case), network.train(not case.options.get("evaluating")))
    return network.state_dict() | _kept(network, dict(network.named_children()))


def _kept(network: Any, layers: dict[str, Any]) -> Results:
    momenta = {
        f"{name}.momentum": np.array(layer.momentum) for name, layer in layers.items() if "norm" in name
    }
    return {"training": np.array(network.training), **momenta}


def statistics_budget(case: Case) -> float:
    """Every layer adds sums over its inputs and over the batch."""
    widths = case.options["widths"]
    return sum_units(max(case.options["batch_size"], *widths), sum(widths))


def statistics_magnitude(case: Case) -> dict[str, Any]:
    """`ErrorAnalysis` follows every batch; the k-th one enters with a momentum of 1/k, on from 0 and 1"""
    wide = case.in_higher_precision(np.float64)
    network = scratch.network.Network(generator=wide.generator(), dtype=np.float64, **_network_options(wide))
    network.load_state_dict(_state(wide))
    analysis = ErrorAnalysis(network, "cross_entropy", case.dtype, statistics_budget(case))
    layers = {name: layer for name, layer in network.layers.items() if "norm" in name}
    for layer in layers.values():
        layer.buffers["running_mean"][...], layer.buffers["running_var"][...] = 0, 1
    with np.errstate(all="ignore"):
        for k, (x, _) in enumerate(_loader(wide.but(wide.name, loader="pairs")), start=1):
            for layer in layers.values():
                layer.momentum = 1 / k
            analysis.forward(x)
    statistics = {n: v for n, v in analysis.state.items() if n.endswith(("running_mean", "running_var"))}
    return scales(statistics)


UNDERFLOW = (
    "The kernel multiplies and adds in one operation: a product that underflows never becomes −0, which would"
    " be lost in 0 + (−0), but a sum below 0, which is rounded to −0."
)
STEP = "average = average + (1 - beta) * (value - average)"
CORRECTED = "average / (1 - beta**t) if bias_correction else average"
FIRST = "if self.n_averaged == 0 or not kept:"
EMA = "return _step(average, value, self.decay)"
SWA = "return average + (value - average) / (int(self.n_averaged) + 1)"
COPY = "copy.deepcopy(model, {id(generator): generator for generator in generators})"
RESET = """\
        for array, start in zip(layer.buffers.values(), (0, 1, 0), strict=True):
            array[...] = start
"""
WITH_NONE = "        layer.momentum = None  # the plain average\n"

COMPONENTS = (
    Component(
        name="exponentially_weighted_average",
        topic="averages",
        source="https://arxiv.org/abs/1412.6980",
        functions=("exponentially_weighted_average",),
        reference=("exponentially_weighted_average",),
        cases=sequence_cases,
        random_case=random_sequence,
        run_scratch=run_sequence_scratch,
        run_torch=run_sequence_torch,
        magnitude=sequence_magnitude,
        refused=sequence_refused,
        edges=Edges(rows=("x",), others=edges_of_sequences),
        departures=(Departure(("−smallest subnormal",), ("x",), UNDERFLOW, depends_on=FUSION),),
        budget=Budget(
            lambda case: _memory(case, case.options["beta"], len(case["x"])),
            "three roundings of each of the last 1/(1 − β) values, and four of the correction",
        ),
        mistakes=(
            Mistake(
                "no bias correction",
                "The average starts at 0 and takes 1/(1 − β) values to get where they are.",
                [(CORRECTED, "average")],
            ),
            Mistake(
                "always corrected",
                "`bias_correction` is not looked at.",
                [(CORRECTED, "average / (1 - beta**t)")],
            ),
            Mistake(
                "starts at the first value",
                "v_1 = x_1, of which the weight stays βᵗ⁻¹: too much, as that of 0 was too little.",
                [
                    ("average = x.dtype.type(0)", "average = x[:1].sum()"),
                    (CORRECTED, "average"),
                ],
                convention="pandas' ewm with adjust=False",
            ),
            Mistake(
                "t from 0",
                "1 − βᵗ with the t of the value before: a division by 0 at first, and too much after that.",
                [("(1 - beta**t)", "np.float64(1 - beta ** (t - 1)).astype(x.dtype)")],
            ),
            Mistake(
                "1 − β for β",
                "β is the weight of the new value here: the average remembers nothing.",
                [("(1 - beta) * (value", "beta * (value"), ("(1 - beta**t)", "(1 - (1 - beta)**t)")],
                convention="the α of pandas and of exponential smoothing",
            ),
            Mistake(
                "1 − β left out",
                "v ← β·v + x is a sum: it grows to 1/(1 − β) times the values.",
                [(STEP, "average = beta * average + value")],
            ),
            Mistake(
                "corrected in place",
                "The next average goes on from the corrected one, which is corrected again.",
                [
                    (
                        f"averages[t - 1] = {CORRECTED}",
                        "average = average / (1 - beta**t) if bias_correction else average\n"
                        "        averages[t - 1] = average",
                    )
                ],
            ),
            Mistake(
                "one step behind",
                "The average is told before the value has come in.",
                [
                    (f"        {STEP}\n", ""),
                    (
                        f"averages[t - 1] = {CORRECTED}\n",
                        f"averages[t - 1] = {CORRECTED}\n        {STEP}\n",
                    ),
                ],
            ),
            Mistake(
                "correction of the last step",
                "1 − β to the number of all values: early averages stay too small.",
                [("(1 - beta**t)", "(1 - beta**len(x))")],
            ),
            Mistake(
                "multiplied instead of divided",
                "v·(1 − βᵗ) makes what is too small smaller.",
                [("average / (1", "average * (1")],
            ),
            Mistake(
                "root of the correction",
                "√(1 − βᵗ) belongs to the root of a second moment.",
                [("(1 - beta**t)", "(1 - beta**t) ** 0.5")],
            ),
        ),
    ),
    Component(
        name="averaged_model",
        topic="averages",
        source="https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema",
        functions=("AveragedModel",),
        reference=("AveragedModel",),
        cases=model_cases,
        everyday=("batch_norm",),
        random_case=random_model,
        run_scratch=run_model_scratch,
        run_torch=run_model_torch,
        magnitude=model_magnitude,
        refused=model_refused,
        edges=Edges(
            ("typical", "equal average with statistics"),
            ("steps.linear1.weight", "steps.batch_norm1.running_var"),
            others=edges_of_models,
        ),
        budget=Budget(
            lambda case: _memory(case, case.options.get("decay"), len(next(iter(case.arrays.values())))),
            "three roundings at each update that is not forgotten, and four more",
        ),
        mistakes=(
            Mistake(
                "initial weights counted",
                "The weights before training are the first of the average, and stay in it.",
                [(FIRST, "if not kept:"), ("(int(self.n_averaged) + 1)", "(int(self.n_averaged) + 2)")],
                convention="TensorFlow's ExponentialMovingAverage",
            ),
            Mistake(
                "starts at 0",
                "Without a correction the average is too near 0 until it has forgotten where it began.",
                [
                    (FIRST, "if not kept:"),
                    (
                        "self.n_averaged = np.array(0, np.int64)",
                        "self.n_averaged = np.array(0, np.int64)\n"
                        "        self.module.flat_parameters[...] = 0",
                    ),
                ],
            ),
            Mistake(
                "1 − decay for decay",
                "The weight of the new value is 0.9 instead of 0.1: nothing is averaged.",
                [(EMA, "return average + self.decay * (value - average)")],
            ),
            Mistake(
                "always exponential",
                "An equal average was asked for, and old weights are forgotten.",
                [(SWA, "return average + 0.1 * (value - average)")],
            ),
            Mistake(
                "divided by n",
                "n counts the values so far, without the new one: the second one replaces the first.",
                [("(int(self.n_averaged) + 1)", "int(self.n_averaged)")],
            ),
            Mistake(
                "decay warmed up",
                "min(decay, (1 + n)/(10 + n)): the average forgets faster at first.",
                [
                    (
                        EMA,
                        "n = int(self.n_averaged)\n"
                        "        decay = min(self.decay, (1 + n) / (10 + n))\n"
                        "        return average + (1 - decay) * (value - average)",
                    )
                ],
                convention="TensorFlow's ExponentialMovingAverage, given num_updates",
            ),
            Mistake(
                "statistics left behind",
                "Only parameters are looked at: the copy normalises with statistics of an untrained network.",
                [("return value\n        if", "return value if kept else average\n        if")],
            ),
            Mistake(
                "statistics always averaged",
                "`use_buffers` is not looked at.",
                [("in self.module.shapes or self.use_buffers", "in self.module.shapes or True")],
                convention="those who average the whole state_dict",
            ),
            Mistake(
                "statistics never averaged",
                "They are those of the network, `use_buffers` or not.",
                [("in self.module.shapes or self.use_buffers", "in self.module.shapes")],
            ),
            Mistake(
                "no copy",
                "The average and the network are one: whatever is averaged, both change.",
                [(COPY, "model")],
            ),
            Mistake(
                "updates not counted",
                "n stays 0: every update copies.",
                [("        self.n_averaged += 1\n", "")],
            ),
            Mistake(
                "sum of the weights",
                "Nothing divides by how many there were.",
                [(SWA, "return average + value")],
            ),
        ),
    ),
    Component(
        name="update_bn",
        topic="averages",
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.swa_utils.update_bn.html",
        functions=("update_bn",),
        reference=("update_bn",),
        cases=statistics_cases,
        everyday=("batch_norm", "batch_size", "widths"),
        random_case=random_statistics,
        run_scratch=run_statistics_scratch,
        run_torch=run_statistics_torch,
        magnitude=statistics_magnitude,
        refused=statistics_refused,
        edges=Edges(arrays=("x", "state.linear1.weight"), rows=("x",)),
        departures=(Departure(LARGEST, ("x",), OVERFLOW, depends_on=ADDITION),),
        budget=Budget(
            statistics_budget,
            "N sums of n terms in another order: ¼·√n·ln(10⁶·N) units, at least 32, of what every layer"
            " rounds and inherits",
        ),
        mistakes=(
            Mistake(
                "old statistics kept",
                "Without a reset the average goes on from those of other weights.",
                [(RESET, "")],
            ),
            Mistake(
                "momentum of training",
                "Running averages with 0.1: the last batches count most, and where they began stays in them.",
                [(WITH_NONE, "")],
            ),
            Mistake(
                "statistics of the last batch",
                "A momentum of 1 forgets every batch but the last one.",
                [(WITH_NONE, WITH_NONE.replace("None", "1.0"))],
            ),
            Mistake(
                "in evaluation mode",
                "The pass takes no statistics: they are 0 and 1 afterwards.",
                [("        network.train()\n", "        network.eval()\n")],
            ),
            Mistake(
                "left in training mode",
                "Predictions that follow use batch statistics and dropout, and move the new statistics.",
                [("network.train(training)", "network.train()")],
            ),
            Mistake(
                "left in evaluation mode",
                "Training that follows has frozen statistics and no dropout.",
                [("network.train(training)", "network.eval()")],
            ),
            Mistake(
                "momentum left at None",
                "Training that follows averages over all batches from now on.",
                [("            layer.momentum = momentum\n", "            pass\n")],
            ),
            Mistake(
                "first batch alone",
                "The loop ends after one batch.",
                [
                    (
                        "network.forward(batch[0] if isinstance(batch, list | tuple) else batch)\n",
                        "network.forward(batch[0] if isinstance(batch, list | tuple) else batch)\n"
                        "            break\n",
                    )
                ],
            ),
        ),
    ),
)
