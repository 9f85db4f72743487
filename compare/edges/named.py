"""Shapes and hyperparameters at their limits, named by hand, component by component."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from compare.cases.optimizers import problem
from compare.cases.random import Call, make_case
from compare.component import DTYPES, Case, Component, Results
from compare.edges.probe import ELEMENTS, STEPS, Probe
from scratch import optimizers as scratch
from torch_ref import optimizers as reference
from torch_ref import schedules

Cases = Iterator[tuple[str, str, Case]]  # edge, what of it, and the input
Settings = list[tuple[str, str, dict[str, Any]]]  # edge, what of it, and the options that are changed
Draws = dict[str, list[Call]]  # edge → the calls

BATCHES: dict[str, tuple[str, ...]] = {  # arrays with a row for each example
    "standardization": ("x_train", "x_test"),
    **dict.fromkeys(("relu", "leaky_relu", "tanh", "sigmoid", "dropout"), ("x", "dy")),
    "linear": ("x", "dy"),
    "binary_cross_entropy_with_logits": ("logits", "targets"),
    "binary_cross_entropy": ("probabilities", "targets"),
    "cross_entropy": ("logits", "targets"),
    "mse_loss": ("input", "targets"),
    "batch_norm": ("x", "next_x", "dy"),
    "gradient_check": ("x", "dy", "other"),
    **dict.fromkeys(("network", "minibatches", "train"), ("x", "targets")),
}


def named_probes(component: Component, dtype: str, bases: Sequence[Case]) -> Iterator[Probe]:
    """Every row that is not about a value in an array."""
    shapes = _SHAPES[component.name](bases[0]) if component.name in _SHAPES else ()
    for edge, what, case in [*_batches(BATCHES.get(component.name, ()), bases), *shapes]:
        yield Probe(component, edge, what, replace(case, finite=False))
    yield from _settings(component, bases[0])
    if component.topic == "random":
        for edge, calls in _DRAWS[component.name].items():
            yield Probe(component, edge, "", make_case(edge, calls, 42, DTYPES[dtype]))
    if component.topic == "optimizers":
        yield from _late_steps(component, dtype)
    if component.topic == "schedules":
        yield from _rates(component, bases[0])


def _batches(arrays: Sequence[str], bases: Sequence[Case]) -> Cases:
    """No example, one, and two that are the same."""
    for base in bases:
        names = [name for name in arrays if name in base.arrays]
        what = base.name if len(bases) > 1 else ""
        for edge, rows in (("no examples", []), ("one example", [0]), ("two equal examples", [0, 0])):
            if names:
                yield edge, what, _changed(base, **{name: base[name][rows] for name in names})


# --- shapes and targets -----------------------------------------------------------------------------------


def _elementwise(base: Case) -> Cases:
    for edge, shape in (("a single number", ()), ("an empty vector", (0,)), ("no features", (3, 0))):
        yield edge, "", replace(base, arrays={name: np.full(shape, 0.7, base.dtype) for name in base.arrays})


def _linear(base: Case) -> Cases:
    x, weight, dy = (base[name] for name in ("x", "weight", "dy"))
    none_in = {**base.arrays, "x": x[:, :0], "weight": weight[:, :0]}
    none_out = {**base.arrays, "weight": weight[:0], "dy": dy[:, :0], "bias": base["bias"][:0]}
    yield "no input features", "", replace(base, arrays=none_in)
    yield "no output features", "", replace(base, arrays=none_out)
    yield "no bias", "", replace(base, arrays={"x": x, "weight": weight, "dy": dy})


def _targets(base: Case) -> Cases:
    prediction = next(iter(base.arrays))
    for value in (0.0, 1.0, 0.5):
        yield f"all targets {value:g}", "", _changed(base, targets=np.full_like(base["targets"], value))
    for value in (0.0, 1.0):
        found = np.full_like(base[prediction], value)
        yield (
            "predictions equal the targets",
            f"{value:g}",
            _changed(base, **{prediction: found, "targets": found}),
        )
    yield "sum over no examples", "", _summed(_changed(base, **{prediction: found[:0], "targets": found[:0]}))
    yield "targets of another shape", "", _changed(base, targets=base["targets"][:, :1])


def _classes(base: Case) -> Cases:
    logits, targets = base["logits"], base["targets"]
    rows, classes = logits.shape
    for edge, value in (("class 0", 0), ("class K − 1", classes - 1), ("class K", classes), ("class −1", -1)):
        yield f"all targets {edge}", "", _changed(base, targets=np.full_like(targets, value))
    yield "target −100", "PyTorch's ignore_index", _changed(base, targets=np.full_like(targets, -100))
    yield "one class", "", _changed(base, logits=logits[:, :1], targets=np.zeros_like(targets))
    yield "no classes", "", _changed(base, logits=logits[:, :0], targets=np.zeros_like(targets))
    yield "no classes", "no examples", _changed(base, logits=logits[:0, :0], targets=targets[:0])
    for edge, value in (("all logits equal", 3.0), ("all logits −∞", -np.inf), ("all logits +∞", np.inf)):
        yield edge, "", _changed(base, logits=np.full_like(logits, value))
    masked = np.full_like(logits, -np.inf)
    masked[np.arange(rows), targets] = 0.5
    yield "all but the target −∞", "", _changed(base, logits=masked)
    yield "the target −∞", "", _changed(base, logits=np.where(masked == 0.5, -np.inf, logits))
    yield "sum over no examples", "", _summed(_changed(base, logits=logits[:0], targets=targets[:0]))


def _batch_norm(base: Case) -> Cases:
    for value in (0.0, 0.1, 3e5):
        yield "zero variance", f"all {value:g}", _changed(base, x=np.full_like(base["x"], value))
    zeros = np.zeros_like(base["running_var"])
    yield "running variance 0", "", _changed(base, running_var=zeros)
    yield "running variance 0", "momentum 0", _with(_changed(base, running_var=zeros), momentum=0.0)
    yield (
        "running variance negative",
        "momentum 0",
        _with(_changed(base, running_var=zeros - 1), momentum=0.0),
    )


def _standardization(base: Case) -> Cases:
    for value in (0.0, 0.1, float(np.finfo(base.dtype).max)):
        yield (
            "zero variance",
            f"all {value:.3g}",
            _changed(base, x_train=np.full_like(base["x_train"], value)),
        )
    yield "no features", "", _changed(base, x_train=base["x_train"][:, :0], x_test=base["x_test"][:, :0])


def _no_parameters(base: Case) -> Cases:
    yield "no parameters", "", replace(base, arrays={})
    steps = len(base.options["rates"])
    empty = {"param.0": np.zeros((0, 3), base.dtype), "grads.0": np.zeros((steps, 0, 3), base.dtype)}
    yield "an empty parameter", "", replace(base, arrays=empty)
    single = problem(np.random.default_rng(0), base.dtype, ((),), steps)
    yield "a single number", "", replace(base, arrays=single)
    mixed = {"param.0": base["param.0"], "grads.0": base["grads.0"][:, :-1]}
    yield "a gradient of another shape", "", replace(base, arrays=mixed)


def _no_weights(base: Case) -> Cases:
    weights = {name: array[:0] for name, array in base.arrays.items() if array.ndim}
    yield "empty weights", "", replace(base, arrays={**weights, "dy": base["dy"]})


_SHAPES: dict[str, Callable[[Case], Cases]] = {
    **dict.fromkeys(("relu", "leaky_relu", "tanh", "sigmoid", "dropout"), _elementwise),
    "linear": _linear,
    **dict.fromkeys(("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss"), _targets),
    "cross_entropy": _classes,
    "batch_norm": _batch_norm,
    "standardization": _standardization,
    **dict.fromkeys(("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"), _no_parameters),
    **dict.fromkeys(("l2_penalty", "weight_decay"), _no_weights),
}


# --- hyperparameters --------------------------------------------------------------------------------------


def _settings(component: Component, case: Case) -> Iterator[Probe]:
    """The options of the first base case, one of them at a limit."""
    if component.topic == "optimizers":
        case = replace(case, options={name: case.options[name] for name in ("optimizer", "rates")})
    for edge, what, options in _SETTINGS.get(component.name, ()):
        huge = any(isinstance(value, float) and abs(value) > HUGE for value in options.values())
        huge |= max(options.get("rates", (0,))) > HUGE
        scales = component.magnitude(case) if huge else {}
        yield Probe(component, edge, what, replace(_with(case, **options), finite=False), scales)


HUGE = 1e100  # a setting that makes infinities and leaves no scale as it was
BAD = (("NaN", math.nan), ("+∞", math.inf), ("negative", -0.1))


def _bad(name: str, **others: Any) -> Settings:
    """What no hyperparameter may be."""
    return [(f"{name} {label}", "", {name: value, **others}) for label, value in BAD]


def _at(name: str, *values: Any, **others: Any) -> Settings:
    return [(_label(name, value), "", {name: value, **others}) for value in values]


def _label(name: str, value: Any) -> str:
    return f"{name} = {value}".replace("e+", "e").replace("-", "−").replace("nan", "NaN").replace("inf", "∞")


PROBABILITIES = [*_at("p", 0.0, 1.0, 5e-324, 1 - 2**-53, -0.0, 1.1), *_bad("p")]
L2 = [*_at("l2", 0.0, 5e-324, 1e308), *_at("m", 0, 1, 10**6), *_bad("l2")]
RATES = {"lr = 0.0": 0.0, "lr = 1e308": 1e308, **{f"lr {label}": value for label, value in BAD}}
LR = [(edge, "", {"rates": (rate,) * STEPS}) for edge, rate in RATES.items()]
DECAY = [*LR, *_at("weight_decay", 0.0, 5e-324, 1e308), *_bad("weight_decay")]
EPS = [*_at("eps", 0.0, 5e-324, 1e308), *_bad("eps")]
BETAS = [
    *_at("betas", (0.0, 0.0), (0.0, 0.999), (0.9, 0.0), (1.0, 0.999), (0.9, 1.0), (1 - 2**-53, 1 - 2**-53)),
    *_at("betas", (math.nan, 0.9), (-0.1, 0.9)),
]
INITIALIZER = [*_at("shape", (1, 1), (1, 20), (20, 1), (0, 3), (3, 0), (3,), (2, 3, 4), ())]
KAIMING = [
    *INITIALIZER,
    *_at("a", 0.0, 1.0, 1e154, 1e155, math.inf, math.nan, nonlinearity="leaky_relu"),
    *_at("mode", "fan"),
    *_at("nonlinearity", "swish"),
]
XAVIER = [*INITIALIZER, *_at("gain", 0.0, -1.0, 1e308, math.inf, math.nan)]

_SETTINGS: dict[str, Settings] = {
    **dict.fromkeys(("zeros", "large_random"), INITIALIZER),
    **dict.fromkeys(("kaiming_normal", "kaiming_uniform"), KAIMING),
    **dict.fromkeys(("xavier_normal", "xavier_uniform"), XAVIER),
    "leaky_relu": _at("negative_slope", 0.0, -0.0, 5e-324, 1e308, math.inf, -math.inf, math.nan),
    **dict.fromkeys(
        ("binary_cross_entropy_with_logits", "binary_cross_entropy", "cross_entropy", "mse_loss"),
        _at("reduction", "sum", "none"),
    ),
    **dict.fromkeys(("l2_penalty", "weight_decay"), L2),
    "dropout": PROBABILITIES,
    "batch_norm": [
        *_at("eps", 0.0, 5e-324, 1e308, -1e-5, math.nan, math.inf),
        *_at("momentum", 0.0, 1.0, None, 1.1, -0.1, math.nan),
        ("2⁶³ − 1 batches counted", "momentum 0.1", {"num_batches_tracked": 2**63 - 2}),
        ("2⁶³ − 1 batches counted", "momentum None", {"num_batches_tracked": 2**63 - 2, "momentum": None}),
    ],
    "sgd": DECAY,
    "momentum": [
        *((*row[:2], {"beta": 0.9, **row[2]}) for row in LR),
        *_at("beta", 0.0, 1.0, 1 - 2**-53),
        *_bad("beta"),
        *_at("momentum", 1.0, 2.0, 5e-324, optimizer="SGD"),
        *_bad("momentum", optimizer="SGD"),
        *_at("dampening", 0.0, 1.0, 2.0, optimizer="SGD", momentum=0.9),
        *_bad("dampening", optimizer="SGD", momentum=0.9),
    ],
    "nesterov": [
        *((*row[:2], {"nesterov": True, "momentum": 0.9, **row[2]}) for row in DECAY),
        *_at("momentum", 0.0, 1.0, 5e-324, nesterov=True),
        ("nesterov with dampening", "", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    ],
    "rmsprop": [
        *DECAY,
        *EPS,
        *_at("alpha", 0.0, 1.0, 1 - 2**-53),
        *_bad("alpha"),
        *_at("momentum", 0.0, 1.0),
    ],
    "adam": [*DECAY, *EPS, *BETAS],
    "adamw": [*DECAY, *EPS, *BETAS],
    "gradient_check": _at("eps", 0.0, 1e-300, 1e-17, math.nan, math.inf, -1e-6),
    "network": [
        *_at("dropout", 0.0, 1.0, 1.1),
        *_at("l2", 0.0, -1.0),
        *_at("widths", (20,), (20, 0), ()),
        *_at("activation", "swish"),
    ],
    "minibatches": _at("batch_size", 1, 12, 13, 14, 10**9, 0, -1),
    "train": [*_at("dropout", 0.0, 1.0), *_at("l2", 0.0)],
}


# --- draws ------------------------------------------------------------------------------------------------


def _calls(method: str, sizes: Mapping[str, Any], arguments: Mapping[str, tuple] | None = None) -> Draws:
    """One call each: with every size, and with every argument."""
    usual = next(iter(arguments.values())) if arguments else ()
    draws = {edge: [Call(method, size, usual)] for edge, size in sizes.items()}
    return draws | {edge: [Call(method, 40, given)] for edge, given in (arguments or {}).items()}


_SIZES = {"size 0": 0, "size (0, 3)": (0, 3), "size 1": 1, "size ()": (), "size −1": -1}
_EMPTY = {"size 0": 0}
_BOUNDS = {
    "low = high": (0.3, 0.3),
    "low = high = −0": (-0.0, -0.0),
    "low = −0": (-0.0, 1.0),
    "low > high": (1.0, 0.0),
    "low NaN": (math.nan, 1.0),
    "high +∞": (0.0, math.inf),
    "0 to the smallest subnormal": (0.0, 1.5e-45),
    "0 to the largest float32": (0.0, float(np.finfo(np.float32).max)),
    "−largest to largest float32": (float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)),
    "−largest to largest float64": (float(np.finfo(np.float64).min), float(np.finfo(np.float64).max)),
}
_MOMENTS = {
    "std 0": (1.5, 0.0),
    "mean −0, std 0": (-0.0, 0.0),
    "mean −0": (-0.0, 1.0),
    "std negative": (0.0, -1.0),
    "std NaN": (0.0, math.nan),
    "std +∞": (0.0, math.inf),
    "mean NaN": (math.nan, 1.0),
    "mean +∞": (math.inf, 1.0),
    "std the smallest subnormal": (0.0, 1.5e-45),
    "std the largest float32": (0.0, float(np.finfo(np.float32).max)),
}
_CHANCES = {
    **{
        "p = 0": (0.0,),
        "p = −0": (-0.0,),
        "p = 1": (1.0,),
        "p = 5e−324": (5e-324,),
        "p = 1 − 2⁻⁵³": (1 - 2**-53,),
    },
    **{f"p {label}": (value,) for label, value in (*BAD, ("above 1", 1.1))},
}
_RANGES = {
    "high = low + 1": (7, 8),
    "high = low": (7, 7),
    "high < low": (8, 7),
    "all but one of the 64-bit integers": (-(2**63), 2**63 - 1),
    "high = 2⁶³": (0, 2**63),
    "low < −2⁶³": (-(2**63) - 1, 0),
    "across 0": (-3, 4),
}

_DRAWS: dict[str, Draws] = {
    "rand": _calls("rand", _SIZES),
    "randn": _calls("randn", _SIZES),
    "uniform": _calls("uniform", _EMPTY, _BOUNDS),
    "normal": _calls("normal", _EMPTY, _MOMENTS)
    | {f"{edge}, 5 numbers": [Call("normal", 5, moments)] for edge, moments in _MOMENTS.items()},
    "bernoulli": _calls("bernoulli", _EMPTY, _CHANCES),
    "dropout_mask": _calls("dropout_mask", _EMPTY, _CHANCES),
    "randint": {edge: [Call("randint", (), (*bounds, 20))] for edge, bounds in _RANGES.items()}
    | {edge: [Call("randint", (), (0, 7, size))] for edge, size in (("size 0", 0), ("size −1", -1))},
    "randperm": {_label("n", n): [Call("randperm", (), (n,))] for n in (0, 1, 2, -1)},
    "epoch_order": {_label("n", n): [Call("epoch_order", (), (n,))] for n in (0, 1, 2, -1)},
    "generator_state": {
        "nothing drawn": [],
        "only empty draws": [Call("rand", 0), Call("randn", 0), Call("randperm", (), (0,))],
        "624 words, the whole state": [Call("rand", 624, dtype="float32")],
        "625 words, one more": [Call("rand", 625, dtype="float32")],
    },
}


# --- late in training -------------------------------------------------------------------------------------

BEFORE = {  # edge → steps taken before
    "step 1": 0,
    "step 2": 1,
    "step 7 000: 0.9ᵗ is subnormal": 6_999,
    "step 7 100: 0.9ᵗ is 0": 7_099,
    "step 10⁶": 10**6 - 1,
    "step 2²⁴": 2**24 - 1,
    "step 2²⁴ + 10⁶": 2**24 + 10**6 - 1,
}
LATE: dict[str, list[dict[str, Any]]] = {
    "sgd": [{}],
    "momentum": [{"momentum": 0.9, "dampening": 0.5}],
    "nesterov": [{"momentum": 0.9, "nesterov": True}],
    "rmsprop": [{}, {"momentum": 0.5, "centered": True}],
    "adam": [{}, {"amsgrad": True}, {"betas": (0.9, 1 - 1e-8)}, {"eps": 0.0, "gradient": 0.0}],
    "adamw": [{}, {"weight_decay": 0.0}],
}


def _late_steps(component: Component, dtype: str) -> Iterator[Probe]:
    """One step of optimizers that have taken many, with the state that these would have left

    The counter is set and not counted up: nothing depends on it but Adam's corrections, and what is done at
    the first step. All numbers have one sign, so that nothing cancels: each result is counted in itself.
    """
    rng = np.random.default_rng(0)
    names = (
        "param",
        "grad",
        "momentum_buffer",
        "square_avg",
        "exp_avg",
        "exp_avg_sq",
        "max_exp_avg_sq",
        "grad_avg",
    )
    arrays = {name: rng.uniform(0.5, 1, ELEMENTS).astype(dtype) for name in names}
    zero = np.zeros(ELEMENTS, dtype)
    arrays |= {"param": zero, "grad_avg": arrays["grad_avg"] / 10}
    for edge, before in BEFORE.items():
        for options in LATE[component.name]:
            given = {name: value for name, value in options.items() if name != "gradient"}
            zeros = dict.fromkeys(("grad", "exp_avg", "exp_avg_sq") if "gradient" in options else (), zero)
            options_of_case = {"before": before, "given": given, "class": component.reference[-1]}
            case = Case(edge, {**arrays, **zeros}, options_of_case, dtype=DTYPES[dtype])
            what = ", ".join(f"{name} {value}" for name, value in options.items())
            yield Probe(component, edge, what, case, run_scratch=_late_scratch, run_torch=_late_torch)


def _late_scratch(case: Case, f: Any) -> Results:
    param = case["param"].copy()
    optimizer = getattr(scratch, case.options["class"])([param], 0.1, **case.options["given"])
    optimizer.rule = getattr(f, optimizer.rule.__name__)
    optimizer.steps = case.options["before"]
    if optimizer.steps:
        optimizer.state = {name: [case[name].copy()] for name in optimizer.state}
    optimizer.step([case["grad"]])
    return {name: arrays[0] for name, arrays in optimizer.state.items()} | {"param": param}


def _late_torch(case: Case) -> Results:
    """The counter is a float32, which 1 does not bring beyond 2²⁴."""
    param = case["param"]
    optimizer = getattr(reference, case.options["class"])([param], 0.1, **case.options["given"])
    names = getattr(scratch, case.options["class"])([np.zeros(1)], 0.1, **case.options["given"]).state
    if case.options["before"]:
        optimizer.state[param] = {name: case[name] for name in names}
        optimizer.state[param]["step"] = torch.tensor(float(min(case.options["before"], 2**24)))
    reference.step(optimizer, [case["grad"]])
    return {name: optimizer.state[param][name] for name in names} | {"param": param}


def _rates(component: Component, base: Case) -> Iterator[Probe]:
    """Rates at their limits, epoch by epoch; at distant epochs by PyTorch's own jump, `step(epoch)`."""
    for edge, what, options in _RATES[component.name]:
        case = _with(base, lr=0.3, **options) if "lr" not in options else _with(base, **options)
        runners = (_jump(component.name), _jump_torch(component.name)) if "epoch" in options else (None, None)
        yield Probe(component, edge, what, case, {}, *runners)


def _split(case: Case) -> tuple[float, int, dict[str, Any]]:
    options = dict(case.options)
    del options["epochs"]
    return options.pop("lr"), options.pop("epoch"), options


def _jump(name: str) -> Callable[[Case, Any], Results]:
    def run(case: Case, f: Any) -> Results:
        lr, epoch, options = _split(case)
        return {"learning_rate": np.array(getattr(f, name)(lr, epoch, **options))}

    return run


def _jump_torch(name: str) -> Callable[[Case], Results]:
    def run(case: Case) -> Results:
        lr, epoch, options = _split(case)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
        scheduler: Any = getattr(schedules, name)(optimizer, **options)
        scheduler.step(epoch)
        return {"learning_rate": torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)}

    return run


_LR = [*_at("lr", 0.0, 5e-324, 1e308, epochs=5), *_bad("lr")]
_FAR = [
    (f"epoch {name}", "", {"epoch": epoch}) for name, epoch in (("0", 0), ("10⁶", 10**6), ("10¹⁵", 10**15))
]
_GAMMA = [*_at("gamma", 1.0, 0.0, 5e-324, 1e308, math.nan, math.inf, -0.5, epochs=5)]
_DECAY_RATE = [*_at("decay_rate", 0.0, 5e-324, 1e308, math.nan, math.inf, -0.1, epochs=5)]

_RATES: dict[str, Settings] = {
    "inverse_time": [*_LR, *_FAR, *_DECAY_RATE],
    "fixed_interval": [*_LR, *_FAR, *_DECAY_RATE, *_at("interval", 1, 0, -1, epochs=5)],
    "exponential": [
        *_LR,
        *_FAR,
        *_GAMMA,
        ("rate underflows", "gamma 0.5", {"gamma": 0.5, "epochs": 1100}),
        ("rate underflows", "gamma 0.1", {"gamma": 0.1, "epochs": 400}),
        ("rate overflows", "gamma 10", {"gamma": 10.0, "epochs": 320}),
    ],
    "inverse_sqrt": [*_LR, *_FAR, *_at("k", 5e-324, 1e308, 0.0, math.nan, math.inf, epochs=5)],
    "staircase": [
        *_LR,
        *_FAR,
        *_GAMMA,
        *_at("step_size", 1, 0, -1, 10**9, epochs=5),
        ("rate underflows", "gamma 0.1", {"gamma": 0.1, "step_size": 1, "epochs": 400}),
        ("rate overflows", "gamma 10", {"gamma": 10.0, "step_size": 1, "epochs": 320}),
    ],
    "milestones": [
        *_LR,
        *_FAR,
        *_GAMMA,
        *_at("milestones", (), (0,), (0, 1, 2, 3, 4), (3, 3), (5, 2), (-1,), (10**9,), epochs=5),
        ("rate underflows", "gamma 0.1", {"gamma": 0.1, "milestones": tuple(range(1, 401)), "epochs": 401}),
        ("rate overflows", "gamma 10", {"gamma": 10.0, "milestones": tuple(range(1, 321)), "epochs": 321}),
    ],
    "cosine_with_warmup": [
        *_LR,
        ("epoch 0", "", {"epochs": 1}),
        *_at("warmup_epochs", 0, 1, 29, 30, -1, epochs=31),
        *_at("total_epochs", 1, 0, epochs=3, warmup_epochs=0),
        ("ten periods beyond the last epoch", "", {"epochs": 300}),
        *_at("lr_min", 0.0, 0.3, 0.5, math.nan, math.inf, -0.1, epochs=31),
    ],
}


def _changed(case: Case, **arrays: Any) -> Case:
    return replace(case, arrays={**case.arrays, **arrays})


def _with(case: Case, **options: Any) -> Case:
    return replace(case, options={**case.options, **options})


def _summed(case: Case) -> Case:
    return _with(case, reduction="sum")
