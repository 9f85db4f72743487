"""From gradient descent to Adam, NAdam and Lion: every buffer and every update, step by step."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from compare.cases.choices import any_seed, any_size, chance, laid_out, power, some_of
from compare.cases.inputs import SPECIAL, fortran, other, strided, subnormals
from compare.cases.limits import BAD, BEYOND, FLOAT32, FLOAT64, FUSION, LARGEST, ROOT, at, bad, edge
from compare.component import (
    Budget,
    Case,
    Choose,
    Component,
    Departure,
    Edge,
    Edges,
    Mistake,
    Results,
    copy_with_strides,
)
from scratch import optimizers as scratch
from torch_ref import optimizers as reference

SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {  # name of a case → the shapes of its parameters
    "typical": ((13, 7), (7,), ()),
    "smallest": ((1,),),
    "odd": ((7, 129), (13,)),
}
LARGE: dict[str, tuple[tuple[int, ...], ...]] = {"block edges": ((32767,), (32769,)), "large": ((129, 1024),)}
RATES = (0.01, 0.01, 0.002, 0.002, 0.05)  # changed in between: lr inside or outside the velocity shows
STARTS = (0.0, 1e-3, 1.0)  # scales of the parameters: 0 shows the first update to its last digit
SIGNED = [0.0, -0.0, 1.0, np.inf, -np.inf]  # no NaN: its sign is NaN in NumPy, 0 in PyTorch
GRADIENTS = (1.0, 1e-4, 1e-7, 1e-8)  # scales of the gradients: the small ones show every place of ε


def problem(rng: np.random.Generator, dtype: Any, shapes: Any, steps: int = len(RATES)) -> dict[str, Any]:
    """Parameters and a new gradient for every step.

    The scale of the gradient stays the same in half of the elements, and changes at every step in the other
    half, so that second moments shrink as well as grow.
    """
    arrays: dict[str, Any] = {}
    for i, shape in enumerate(shapes):
        scales = rng.choice(GRADIENTS, (steps, *shape))
        scales = np.where(rng.random(shape) < 0.5, scales[0], scales)
        arrays[f"param.{i}"] = np.asarray(rng.standard_normal(shape) * rng.choice(STARTS, shape), dtype)
        arrays[f"grads.{i}"] = (rng.standard_normal(scales.shape) * scales).astype(dtype)
    return arrays


Variants = Mapping[str, Mapping[str, Any]]  # name of a case → options


def cases(rng: np.random.Generator, dtype: Any, optimizer: str, variants: Variants) -> Iterator[Case]:
    """Every size, layout and special value with the first variant; every variant at the typical size."""
    first = next(iter(variants.values()))

    def case(name: str, arrays: Mapping[str, Any], variant: Mapping[str, Any] = first, **kwargs: Any) -> Case:
        options = {"optimizer": optimizer, "rates": RATES, **variant}
        if variant.get("betas") == (0.0, 0.0):
            # No −0: for it `torch.lerp` at weight 1 gives −0 in whole vectors where it gives +0 in the
            # elements left over, and the other way round.
            arrays = {key: np.where(array == 0, 0, array) for key, array in arrays.items()}
        return Case(name, arrays, options, dtype=dtype, **kwargs)

    for name, shapes in SHAPES.items():
        yield case(name, problem(rng, dtype, shapes))
    for name, shapes in LARGE.items():
        yield case(name, problem(rng, dtype, shapes, 2), {**first, "rates": RATES[1:3]})
    for name, variant in variants.items():
        yield case(name, problem(rng, dtype, SHAPES["typical"]), variant)
        broken = problem(rng, dtype, ((5,), (5, 3)))
        special, *steps = (SIGNED, -1, -1) if optimizer == "Lion" else (SPECIAL, 0, 2)
        broken["grads.0"][steps[0]] = broken["grads.1"][steps[1], :, 0] = special
        yield case(f"{name}: nan and infinity", broken, variant, finite=False)
    for name, layout in (("fortran order", fortran), ("not contiguous", strided)):
        arrays = problem(rng, dtype, ((13, 7), (7, 3)))
        # One gradient is laid out as its parameter is, the other as NumPy lays out by default.
        yield case(name, {key: value if key == "grads.1" else layout(value) for key, value in arrays.items()})
    zeros = problem(rng, dtype, ((8,),))
    zeros["param.0"][...] = [0.0, -0.0, 1.0, -1.0] * 2
    zeros["grads.0"][...] = [0.0, 0.0, 0.0, 0.0, -0.0, -0.0, -0.0, -0.0]
    yield case("zeros", zeros)
    # Not at parameters of 0: PyTorch rounds θ − lr·g once (a fused multiply-add), so that there an lr·g
    # below the smallest number leaves −0, where two roundings leave +0.
    tiny = problem(rng, dtype, ((6,),))
    tiny["param.0"][...] = [1.0, -1.0, 1e-3, -1e-3, 1e-30, -1e-30]
    tiny["grads.0"][...] = subnormals(dtype) * 2
    yield case("subnormal", tiny)
    huge = problem(rng, dtype, ((4,),))
    huge["grads.0"] *= dtype(np.finfo(dtype).max ** 0.5)
    yield case("square near overflow", huge, finite=False)
    yield case("defaults", problem(rng, dtype, SHAPES["smallest"]), {**first, "defaults": True})


ADAM_VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "betas 0.5 and 0.9": {"betas": (0.5, 0.9)},
    "betas 0": {"betas": (0.0, 0.0)},
    "large eps": {"eps": 1e-3},
    "eps 0": {"eps": 0.0},
    "weight decay": {"weight_decay": 0.1},
    "amsgrad": {"betas": (0.9, 0.5), "amsgrad": True},
    "all": {"betas": (0.5, 0.9), "eps": 1e-6, "weight_decay": 0.1, "amsgrad": True},
}


ADAGRAD_VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rate decay": {"lr_decay": 0.5},
    "start": {"initial_accumulator_value": 0.1},
    "large eps": {"eps": 1e-3},
    "eps 0": {"eps": 0.0},
    "weight decay": {"weight_decay": 0.1},
    "all": {"lr_decay": 0.1, "initial_accumulator_value": 1e-6, "eps": 1e-6, "weight_decay": 0.1},
}
NADAM_VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "betas 0.5 and 0.9": {"betas": (0.5, 0.9)},
    "betas 0": {"betas": (0.0, 0.0)},
    "fast momentum decay": {"momentum_decay": 1.0},
    "constant momentum": {"momentum_decay": 0.0},
    "large eps": {"eps": 1e-3},
    "eps 0": {"eps": 0.0},
    "weight decay": {"weight_decay": 0.1},
    "decoupled weight decay": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "all": {"betas": (0.5, 0.9), "eps": 1e-6, "weight_decay": 0.1, "momentum_decay": 0.5},
}
LION_VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "betas 0.5 and 0.9": {"betas": (0.5, 0.9)},
    "betas 0": {"betas": (0.0, 0.0)},
    "equal betas": {"betas": (0.9, 0.9)},
    "weight decay": {"weight_decay": 0.1},
}


STEPS, ELEMENTS = 2, 19  # at edges: one parameter that fills two vectors of a processor and begins a third
BEFORE = {  # edge → steps taken before
    "step 1": 0,
    "step 2": 1,
    "step 7 000: 0.9ᵗ is subnormal": 6_999,
    "step 7 100: 0.9ᵗ is 0": 7_099,
    "step 10⁶": 10**6 - 1,
    "step 2²⁴": 2**24 - 1,
    "step 2²⁴ + 10⁶": 2**24 + 10**6 - 1,
}


def _short(case: Case) -> Case:
    arrays = problem(np.random.default_rng(0), case.dtype, ((ELEMENTS,),), STEPS)
    return replace(case, arrays=arrays, options={**case.options, "rates": case.options["rates"][:STEPS]})


def no_parameters(base: Case) -> Iterator[Edge]:
    """None, an empty one, a single number, and a gradient of another shape."""
    yield Edge("no parameters", "", replace(base, arrays={}))
    empty = {"param.0": np.zeros((0, 3), base.dtype), "grads.0": np.zeros((STEPS, 0, 3), base.dtype)}
    yield Edge("an empty parameter", "", replace(base, arrays=empty))
    single = problem(np.random.default_rng(0), base.dtype, ((),), STEPS)
    yield Edge("a single number", "", replace(base, arrays=single))
    yield edge(base, "a gradient of another shape", arrays={"grads.0": base["grads.0"][:, :-1]})


def late_steps(base: Case, optimizer: str, several: Sequence[Mapping[str, Any]]) -> Iterator[Edge]:
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
        "sum",
    )
    arrays = {name: rng.uniform(0.5, 1, ELEMENTS).astype(base.dtype) for name in names}
    zero = np.zeros(ELEMENTS, base.dtype)
    arrays |= {"param": zero, "grad_avg": arrays["grad_avg"] / 10, "mu_product": np.full((), 0.3, base.dtype)}
    for name, before in BEFORE.items():
        for options in several:
            given = {option: value for option, value in options.items() if option != "gradient"}
            zeros = dict.fromkeys(("grad", "exp_avg", "exp_avg_sq") if "gradient" in options else (), zero)
            options_of_case = {"before": before, "given": given, "class": optimizer}
            case = Case(name, {**arrays, **zeros}, options_of_case, dtype=base.dtype)
            what = ", ".join(f"{option} {value}" for option, value in options.items())
            yield Edge(name, what, case, _late_scratch, _late_torch)


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


def rate_edges(base: Case) -> Iterator[Edge]:
    """Any learning rate."""
    for name, rate in (("= 0.0", 0.0), ("= 1e308", 1e308), *BAD):
        yield edge(base, f"lr {name}", rates=(rate,) * STEPS)


def sgd_edges(base: Case) -> Iterator[Edge]:
    """And any weight decay."""
    yield from rate_edges(base)
    yield from at(base, "weight_decay", 0.0, 5e-324, 1e308)
    yield from bad(base, "weight_decay")


def momentum_edges(base: Case) -> Iterator[Edge]:
    """Both forms, with any β, momentum and dampening."""
    yield from rate_edges(base.but("", beta=0.9))
    yield from at(base, "beta", 0.0, 1.0, 1 - 2**-53)
    yield from bad(base, "beta")
    base = base.but("", optimizer="SGD")
    yield from at(base, "momentum", 1.0, 2.0, 5e-324)
    yield from bad(base, "momentum")
    yield from at(base, "dampening", 0.0, 1.0, 2.0, momentum=0.9)
    yield from bad(base, "dampening", momentum=0.9)


def nesterov_edges(base: Case) -> Iterator[Edge]:
    """Any momentum; dampening is not for it."""
    base = base.but("", nesterov=True, momentum=0.9)
    yield from sgd_edges(base)
    yield from at(base, "momentum", 0.0, 1.0, 5e-324)
    yield edge(base, "nesterov with dampening", dampening=0.1)


def eps_edges(base: Case) -> Iterator[Edge]:
    """Any rate, decay and ε."""
    yield from sgd_edges(base)
    yield from at(base, "eps", 0.0, 5e-324, 1e308)
    yield from bad(base, "eps")


def rmsprop_edges(base: Case) -> Iterator[Edge]:
    """And any α and momentum."""
    yield from eps_edges(base)
    yield from at(base, "alpha", 0.0, 1.0, 1 - 2**-53)
    yield from bad(base, "alpha")
    yield from at(base, "momentum", 0.0, 1.0)


def adam_edges(base: Case) -> Iterator[Edge]:
    """And any betas."""
    yield from eps_edges(base)
    almost = 1 - 2**-53
    yield from at(
        base, "betas", (0.0, 0.0), (0.0, 0.999), (0.9, 0.0), (1.0, 0.999), (0.9, 1.0), (almost, almost)
    )
    yield from at(base, "betas", (math.nan, 0.9), (-0.1, 0.9))


def adagrad_edges(base: Case) -> Iterator[Edge]:
    """And any decay of the rate and start of the sum."""
    yield from eps_edges(base)
    for option in ("lr_decay", "initial_accumulator_value"):
        yield from at(base, option, 0.0, 5e-324, 1e308)
        yield from bad(base, option)


def nadam_edges(base: Case) -> Iterator[Edge]:
    """And any decay of the momentum."""
    yield from adam_edges(base)
    yield from at(base, "momentum_decay", 0.0, 5e-324, 1e3, 1e308)
    yield from bad(base, "momentum_decay")


def lion_edges(base: Case) -> Iterator[Edge]:
    """Any rate, decay and betas."""
    yield from sgd_edges(base)
    almost = 1 - 2**-53
    yield from at(
        base, "betas", (0.0, 0.0), (0.0, 0.99), (0.9, 0.0), (1.0, 0.99), (0.9, 1.0), (almost, almost)
    )
    yield from at(base, "betas", (math.nan, 0.9), (-0.1, 0.9))


FUSED = (
    "PyTorch multiplies and adds in one operation that is rounded once: a product below the smallest number"
    " leaves −0 in a sum with 0, where two roundings leave +0."
)
FUSED_SQUARE = (
    "PyTorch subtracts a² from s in one operation, in which a² does not overflow; by itself it does, and"
    " ∞ − ∞ is NaN."
)
TEXTBOOK = (
    "PyTorch's buffer, from which the textbook's velocity is read off, is 1/(1 − β) times as large: it"
    " overflows first, and is a zero later."
)
COUNTER = (
    "PyTorch counts steps in a float32, which stops at 2²⁴ = 16 777 216; ours counts on, which shows while βᵗ"
    " is not yet 0, and in a rate that decays with the count."
)
SIGN_OF_NAN = (
    "The sign of NaN is 0 in PyTorch and NaN in NumPy: a gradient that is no number leaves the parameter"
    " alone there, and shows here."
)
NO_SCALE = (
    "Steps of 1e308 nearly cancel, and their size, in whose rounding units the rest would be counted, is"
    " beyond float64: it is counted in its own."
)
FUSED_STEP = Departure(
    ("smallest subnormal",), ("grads.0", "weight decay: grads.0"), FUSED, depends_on=FUSION
)
TOO_LARGE = Departure(("lr = 1e308", "weight_decay = 1e308"), ("",), BEYOND, FLOAT32)
CANCELLED = Departure(("lr = 1e308",), ("",), NO_SCALE, FLOAT64, depends_on=FUSION)


def any_rate(choose: Choose) -> float:
    """Of learning."""
    return choose.one_of((0.0, 0.1, 0.1)) if chance(choose) else power(choose, -6, 0)


def any_share(choose: Choose) -> float:
    """β or α."""
    return choose.one_of((0.0, 0.5, 0.9, 0.99, 0.999)) if chance(choose) else choose.number(0, 0.999)


def any_momentum(choose: Choose) -> float:
    """Of a sum of gradients, which may grow."""
    return choose.number(0, 1.2) if chance(choose) else any_share(choose)


def any_eps(choose: Choose) -> float:
    """0 too."""
    return choose.one_of((0.0, 1e-8)) if chance(choose) else power(choose, -12, -1)


def any_decay(choose: Choose) -> float:
    """Of weights."""
    return choose.one_of((0.0, 0.01)) if chance(choose) else choose.number(0, 1)


RANDOM_RMSPROP: dict[str, Callable[[Choose], Any]] = {
    "alpha": any_share,
    "eps": any_eps,
    "momentum": any_momentum,
    "weight_decay": any_decay,
}
RANDOM_ADAM: dict[str, Callable[[Choose], Any]] = {
    "betas": lambda choose: (any_share(choose), any_share(choose)),
    "eps": any_eps,
    "weight_decay": any_decay,
    "amsgrad": chance,
}
RANDOM_ADAGRAD: dict[str, Callable[[Choose], Any]] = {
    "lr_decay": any_decay,
    "initial_accumulator_value": lambda choose: power(choose, -12, 1),
    "eps": any_eps,
    "weight_decay": any_decay,
}
RANDOM_NADAM: dict[str, Callable[[Choose], Any]] = {
    "betas": lambda choose: (any_share(choose), any_share(choose)),
    "eps": any_eps,
    "weight_decay": any_decay,
    "momentum_decay": lambda choose: choose.one_of((0.0, 0.004)) if chance(choose) else power(choose, -4, 2),
    "decoupled_weight_decay": chance,
}
RANDOM_LION: dict[str, Callable[[Choose], Any]] = {
    "betas": lambda choose: (any_share(choose), any_share(choose)),
    "weight_decay": any_decay,
}


def random_case(choose: Choose, dtype: Any, optimizer: str, **options: Any) -> Case:
    """A few parameters of any layout, one to five steps of any rates, gradients of mixed scale."""
    rates = tuple(any_rate(choose) for _ in range(choose.integer(1, 5)))
    shapes = [_any_shape(choose) for _ in range(choose.integer(1, 2))]
    arrays = problem(np.random.default_rng(any_seed(choose)), dtype, shapes, len(rates))
    arrays = {name: laid_out(choose, array) for name, array in arrays.items()}
    return Case("random", arrays, {"optimizer": optimizer, "rates": rates, **options}, dtype=dtype)


def _any_shape(choose: Choose) -> tuple[int, ...]:
    dimensions = choose.integer(0, 2)
    return tuple(any_size(choose, 0, 9 if dimensions == 2 else 70) for _ in range(dimensions))


def _random(optimizer: str, **options: Callable[[Choose], Any]) -> Callable[[Choose, Any], Case]:
    """With some of the options, or all, or none."""
    return lambda choose, dtype: random_case(choose, dtype, optimizer, **some_of(choose, **options))


def random_momentum(choose: Choose, dtype: Any) -> Case:
    """The textbook's form, or PyTorch's: a momentum of 0 is none."""
    if not chance(choose):
        return random_case(choose, dtype, "Momentum", **some_of(choose, beta=any_share))
    options = some_of(choose, dampening=lambda choose: choose.number(0, 1.5), weight_decay=any_decay)
    return random_case(choose, dtype, "SGD", momentum=any_momentum(choose) or 0.9, **options)


def random_nesterov(choose: Choose, dtype: Any) -> Case:
    """A momentum of 0 is refused."""
    options = some_of(choose, weight_decay=any_decay)
    return random_case(choose, dtype, "SGD", momentum=any_momentum(choose) or 0.9, nesterov=True, **options)


def random_rmsprop(choose: Choose, dtype: Any) -> Case:
    """Centered only where αᵗ ≥ 10⁻³: so much of s at least, the weight of the start, is left of s − a²

    Of less, what is left may be mostly rounding, and its root NaN.
    """
    case = random_case(choose, dtype, "RMSprop", **some_of(choose, **RANDOM_RMSPROP))
    if not chance(choose):
        return case
    least = 10 ** (-3 / len(case.options["rates"]))
    return case.but("random", alpha=choose.number(least, 0.999), centered=True)


NOT_NEGATIVE = (-0.1, float("nan"), float("inf"))
NOT_BELOW_1 = (-0.1, 1.0, 1.5, float("nan"))
MOMENTUM: dict[str, tuple[Any, ...]] = dict.fromkeys(("momentum", "dampening"), NOT_NEGATIVE)
ADAM: dict[str, tuple[Any, ...]] = {
    "betas": (
        *((beta, 0.999) for beta in NOT_BELOW_1),
        *((0.9, beta) for beta in NOT_BELOW_1),
        (0.9,),
        (0.9,) * 3,
    ),
    "eps": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
}
REFUSED: dict[str, dict[str, tuple[Any, ...]]] = {  # optimizer → option → what it may not be
    "SGD": {**MOMENTUM, "weight_decay": NOT_NEGATIVE},
    "Momentum": {"beta": NOT_BELOW_1},
    "RMSprop": {
        "alpha": NOT_BELOW_1,
        **dict.fromkeys(("eps", "momentum", "weight_decay"), NOT_NEGATIVE),
    },
    "Adam": ADAM,
    "AdamW": ADAM,
    "Adagrad": dict.fromkeys(("lr_decay", "weight_decay", "initial_accumulator_value", "eps"), NOT_NEGATIVE),
    "NAdam": {**ADAM, "momentum_decay": NOT_NEGATIVE},
    "Lion": {name: values for name, values in ADAM.items() if name != "eps"},
}


def _refused(optimizers: Mapping[str, Variants]) -> Callable:
    """Of the first case of each: options out of their range, gradients that do not fit."""

    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        for optimizer, variants in optimizers.items():
            good = next(iter(cases(rng, dtype, optimizer, variants)))
            for rate in NOT_NEGATIVE:
                yield good.but(f"{optimizer}: rate {rate}", rates=(rate,))
            for option, values in REFUSED[optimizer].items():
                for value in values:
                    yield good.but(f"{optimizer}: {option} {value}", **{option: value})
            if optimizer == "SGD":
                for momentum, dampening in ((0.0, 0.0), (0.9, 0.1)):
                    options: dict[str, Any] = {"momentum": momentum, "dampening": dampening}
                    yield good.but(f"nesterov with momentum {momentum}", nesterov=True, **options)
            grad = good["grads.0"]
            yield good.but(f"{optimizer}: a gradient too many", {"grads.9": grad})
            fewer = dict(list(good.arrays.items())[:-1])
            yield replace(good, name=f"{optimizer}: a gradient too few", arrays=fewer)
            yield replace(good, name=f"{optimizer}: no parameters", arrays={})
            yield good.but(f"{optimizer}: integers", {"param.0": good["param.0"].astype(np.int64)})
            yield good.but(f"{optimizer}: gradient transposed", {"grads.0": grad.swapaxes(1, 2)})
            yield good.but(f"{optimizer}: gradient of another dtype", {"grads.0": grad.astype(other(dtype))})

    return refused


def run_scratch(case: Case, f: Any) -> Results:
    """The class of scratch, with the rule that `f` holds."""
    options = dict(case.options)
    optimizer_class, rates = getattr(scratch, options.pop("optimizer")), options.pop("rates")
    results: Results = {}
    if options.pop("defaults", False):
        results["defaults"] = _defaults(optimizer_class, optimizer_class)
    params, grads = _params_and_grads({name: copy_with_strides(array) for name, array in case.arrays.items()})
    optimizer = optimizer_class(params, rates[0], **options)
    optimizer.rule = getattr(f, optimizer.rule.__name__)
    for t, rate in enumerate(rates):
        optimizer.lr = rate
        before = [param.copy() for param in params]
        optimizer.step([grad[t, ...] for grad in grads])
        for i, param in enumerate(params):
            buffers = {name: arrays[i] for name, arrays in optimizer.state.items()}
            _record(results, t, i, {**buffers, "update": param - before[i], "param": param}, np.copy)
    return results


def run_torch(case: Case) -> Results:
    """The class of torch.optim."""
    options = dict(case.options)
    name, rates = options.pop("optimizer"), options.pop("rates")
    optimizer_class = getattr(reference, name)
    results: Results = {}
    if options.pop("defaults", False):
        results["defaults"] = torch.from_numpy(_defaults(optimizer_class, getattr(scratch, name)))
    params, grads = _params_and_grads(case.arrays)
    optimizer = optimizer_class(params, rates[0], **options)
    for t, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        before = [param.clone() for param in params]
        reference.step(optimizer, [grad[t, ...] for grad in grads])
        for i, param in enumerate(params):
            buffers = {name: value for name, value in optimizer.state[param].items() if name != "step"}
            if isinstance(optimizer, reference.Momentum):
                buffers = {"velocity": optimizer.velocity(param)}
            _record(
                results, t, i, {**buffers, "update": param - before[i], "param": param}, lambda x: x.clone()
            )
    return results


def _defaults(optimizer_class: type, ours: type) -> np.ndarray:
    """What each of our hyperparameters is if it is not given, one after the other."""
    parameters = inspect.signature(optimizer_class).parameters
    given = [n for n, p in inspect.signature(ours).parameters.items() if p.default is not p.empty]
    return np.hstack([np.array(parameters[name].default, float) for name in given])


def _params_and_grads(arrays: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """In the order in which they stand in the case."""
    params, grads = (
        [array for name, array in arrays.items() if name.startswith(kind)] for kind in ("param.", "grads.")
    )
    return params, grads


def _record(results: Results, t: int, i: int, arrays: Mapping[str, Any], copy: Callable) -> None:
    results |= {f"step{t + 1}.{name}.{i}": copy(array) for name, array in arrays.items()}


# --- how large the combined terms are ---------------------------------------------------------------------
#
# The size of a value is what its error is counted in: the error is at most τ times it, where τ is the budget
# times the rounding unit. Sums and products with constants hand that on as they are linear: their size is
# that of their terms, each taken as positive. Where something is not linear, it is said how the error goes on
# to its end, not to first order only: of a value that nearly cancels, its error is the larger part.
#
# One function per family: it brings the sizes of the buffers from one step to the next, and returns that of
# the update. `p` and `g` are the sizes of the parameter and of the gradient with its decay; `true` gives the
# reference's float64 value of a buffer at this step; `tolerance` is τ, and 0 is to first order.

Sizes = dict[str, Any]
UNITS = 16


def sgd_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """Sums: B = μB + |1−d|G; U = lr·B, with Nesterov lr·(G + μB).

    The textbook's form is the one with d = β from the first step on.
    """
    if o.get("optimizer") == "Momentum":
        beta = dampening = o.get("beta", 0.9)
    else:
        beta, dampening = o.get("momentum", 0), o.get("dampening", 0) if t > 1 else 0
    b = beta * size.get("velocity", 0) + abs(1 - dampening) * g
    size["velocity"] = size["momentum_buffer"] = b
    return lr * (g + beta * b if o.get("nesterov") else b)


def rmsprop_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """S = αS + (1−α)G² and A = αA + (1−α)G; the quotient's size is that of `_quotient_size`

    √s is a norm of the gradients, a weighted one, and a norm of sums differs by no more than the norm of what
    was added: errors of τG in every g make one of τ√S in √s, and one of up to twice τ·√S·(√s + τ√S) in s. The
    deviation √w, w = s − a², is such a norm too. The difference rounds s besides, which makes s/√w in √w.
    Since w ≤ s ≤ S, neither is more than √(s·S)/√w.

    Nothing that a quotient g/√s can be is larger than 1/√(1−α), since s ≥ (1−α)g². In w, g has the weight
    1 − α and the start, which is 0, αᵗ: w is least if all others are the mean, and then
    g²/w = 1/(1−α) + 1/αᵗ.
    """
    alpha, eps, momentum = o.get("alpha", 0.99), o.get("eps", 1e-8), o.get("momentum", 0)
    squares = size["squares"] = alpha * size.get("squares", 0) + (1 - alpha) * g * g
    root, root_size, most = np.sqrt(true("square_avg")), np.sqrt(squares), 1 / (1 - alpha)
    size["square_avg"] = root_size * (root + tolerance * root_size)
    size["grad_avg"] = _average_size(size.get("grad_avg", 0), g, alpha)
    if o.get("centered"):
        deviation = np.sqrt(true("square_avg") - true("grad_avg") ** 2)
        root, root_size = deviation, root_size * root / np.maximum(deviation, 1e-300)
        most += 1 / alpha**t
    quotient = _quotient_size(g, true("gradient"), root, root_size, eps, np.sqrt(most), tolerance)
    size["momentum_buffer"] = momentum * size.get("momentum_buffer", 0) + quotient
    return lr * size["momentum_buffer"]


def adam_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """M = β₁M + (1−β₁)G and V = β₂V + (1−β₂)G²; the update m/c₁ / (√v/√c₂ + ε) is a quotient

    √v is a norm, as in RMSProp: the sizes are √V, and √V·(√v + τ√V) of v. AMSGrad takes the largest v.
    """
    (beta1, beta2), eps = o.get("betas", (0.9, 0.999)), o.get("eps", 1e-8)
    c1, c2 = 1 - beta1**t, 1 - beta2**t
    m = size["exp_avg"] = _average_size(size.get("exp_avg", 0), g, beta1)
    squares = size["squares"] = beta2 * size.get("squares", 0) + (1 - beta2) * g * g
    root, root_size = np.sqrt(true("exp_avg_sq")), np.sqrt(squares)
    size["exp_avg_sq"] = root_size * (root + tolerance * root_size)
    if o.get("amsgrad"):
        squares = size["largest"] = np.maximum(size.get("largest", 0), squares)
        root, root_size = np.sqrt(true("max_exp_avg_sq")), np.sqrt(squares)
        size["max_exp_avg_sq"] = root_size * (root + tolerance * root_size)
    most = np.sqrt(c2) * _longest(beta1, beta2, t) if tolerance else np.inf
    # Each root by itself: v/c₂ may overflow where √v/√c₂ does not.
    root, root_size = root / np.sqrt(c2), root_size / np.sqrt(c2)
    return lr / c1 * _quotient_size(m, true("exp_avg"), root, root_size, eps, most, tolerance)


def _longest(beta1: float, beta2: float, t: int) -> Any:
    """What m/√v can be at step t, if both started at 0

    By Cauchy and Schwarz, the root of Σ ((1−β₁)β₁ᵏ)² / ((1−β₂)β₂ᵏ) over k < t: the gradients are as the
    weights of m over those of v.
    """
    ratio = np.divide(beta1**2, beta2) if beta1 else 0.0
    return (1 - beta1) * np.sqrt(np.sum(ratio ** np.arange(t)) / (1 - beta2))


def adamw_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """As Adam, and the decay lr·λ·P."""
    return lr * o.get("weight_decay", 0.01) * p + adam_sizes(size, p, g, true, t, lr, o, tolerance)


def adagrad_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """S = S + G², and the quotient g/(√s + ε), which is never larger than 1

    √s is a norm, as in RMSProp.
    """
    start, eps, decay = (
        o.get(name, default)
        for name, default in (("initial_accumulator_value", 0), ("eps", 1e-10), ("lr_decay", 0))
    )
    squares = size["squares"] = size.get("squares", start) + g * g
    root, root_size = np.sqrt(true("sum")), np.sqrt(squares)
    size["sum"] = root_size * (root + tolerance * root_size)
    quotient = _quotient_size(g, true("gradient"), root, root_size, eps, 1, tolerance)
    return lr / (1 + (t - 1) * decay) * quotient


def nadam_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """Adam's M and V; the update is a quotient of a·g + b·m, and a decay lr·λ·P that is decoupled

    a = (1−μ)/(1−Π), where Π has an error of its own size: that of a is a/(1−Π). So for b = μ′/(1−Πμ′).
    """
    (beta1, beta2), eps, psi = (
        o.get(name, default)
        for name, default in (("betas", (0.9, 0.999)), ("eps", 1e-8), ("momentum_decay", 4e-3))
    )
    mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (step * psi)) for step in (t, t + 1))
    product = size["mu_product"] = size.get("mu_product", 1) * mu
    m = size["exp_avg"] = _average_size(size.get("exp_avg", 0), g, beta1)
    squares = size["squares"] = beta2 * size.get("squares", 0) + (1 - beta2) * g * g
    root, root_size = np.sqrt(true("exp_avg_sq")), np.sqrt(squares)
    size["exp_avg_sq"] = root_size * (root + tolerance * root_size)
    a, b = (1 - mu) / (1 - product), mu_next / (1 - product * mu_next)
    correction = np.sqrt(1 - beta2**t)
    most = correction * (a / np.sqrt(1 - beta2) + b * _longest(beta1, beta2, t)) if tolerance else np.inf
    numerator = a * np.abs(true("gradient")) + b * np.abs(true("exp_avg"))
    terms = a / (1 - product) * g + b / (1 - product * mu_next) * m
    update = _quotient_size(terms, numerator, root / correction, root_size / correction, eps, most, tolerance)
    decoupled = o.get("weight_decay", 0) if o.get("decoupled_weight_decay") else 0
    return lr * (update + (decoupled * p if decoupled else 0))


def lion_sizes(
    size: Sizes, p: Any, g: Any, true: Callable[[str], Any], t: int, lr: Any, o: Any, tolerance: float = 0
) -> Any:
    """M = β₂M + (1−β₂)G; a step is lr long, and lr·λ·P

    It goes either way where u = β₁m + (1−β₁)g is no larger than its error, τU: there two right steps part by
    2·lr.
    """
    beta1, beta2 = o.get("betas", (0.9, 0.99))
    u = beta1 * size.get("average", 0) + (1 - beta1) * true("gradient")
    u_size = beta1 * size.get("exp_avg", 0) + (1 - beta1) * g
    size["exp_avg"], size["average"] = beta2 * size.get("exp_avg", 0) + (1 - beta2) * g, true("exp_avg")
    sure = np.abs(u) >= tolerance * u_size
    return lr * (o.get("weight_decay", 0) * p + np.where(sure, 1, 2 / tolerance if tolerance else np.inf))


def _average_size(average: Any, g: Any, beta: float) -> Any:
    """βA + (1−β)G, and where β < ½ as much as half a unit of g − a besides

    `torch.lerp` steps back from g there, by 1 − w times g − a. Its weight w = 1 − β has been rounded: of a
    small β few digits are left in 1 − w, and where a is much larger than g, they matter.
    """
    return beta * average + (1 - beta) * g + (0.5 * (average + g) if beta < 0.5 else 0)


def _quotient_size(
    size: Any, numerator: Any, root: Any, root_size: Any, eps: float, most: Any, tolerance: float
) -> Any:
    """Of n/d with d = √w + ε, where n has the size N and d the size D: (N + |n/d|·D)/(d − τD)

    With hats on what was computed, n̂/d̂ − n/d = ((n̂ − n) − n/d·(d̂ − d))/d̂, and d̂ may be as small as
    d − τD. That is N/d and |n|·D/d² unless weight decay nearly cancels the gradient. Where it does so to the
    last digits, either quotient may be anything up to ± `most`, and they part by no more than twice that.
    """
    d, d_size = root + eps, root_size + eps
    least = d - tolerance * d_size
    found = np.where(least < 0, np.inf, (size + np.abs(numerator) / d * d_size) / least)
    return np.minimum(found, 2 * most / tolerance) if tolerance else found


def magnitude(case: Case, sizes: Callable) -> dict[str, Any]:
    """How large the terms of every buffer, update and parameter are, element by element.

    Element by element, because gradients of 1 and of 1e-8 stand side by side, and on one scale for all no
    difference in the small ones would ever count. The terms of the gradient are G = |g| + λP; those of the
    parameter add up over the steps, P = |θ₀| + U₁ + U₂ + …

    The update is read off as a difference of two parameters. It has its own size U, and the last digit of the
    parameter that was computed: θ is rounded where it is stored. That one is not |θ|, which steps of +0.1 and
    −0.1 may cancel to 0, but with its error up to |θ| + τP, and a small step from there is seen no better.
    """
    wide = case.in_higher_precision(np.float64)
    truth = {name: value.numpy() for name, value in run_torch(wide.for_torch("cpu")).items()}
    o, rates = wide.options, wide.options["rates"]
    tolerance = UNITS * float(np.finfo(case.dtype).eps)
    decoupled = o["optimizer"] in ("AdamW", "Lion") or o.get("decoupled_weight_decay")
    decay = 0 if decoupled else o.get("weight_decay", 0)
    scales: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        for i in range(len(wide.arrays) // 2):
            param = wide[f"param.{i}"]
            p: Any = np.abs(param)
            size: Sizes = {}
            for t, lr in enumerate(rates, start=1):
                grad = wide[f"grads.{i}"][t - 1]
                g = np.abs(grad) + (decay * p if decay else 0)  # p may be NaN
                truth[f"step{t}.gradient.{i}"] = grad + (decay * param if decay else 0)
                param = truth[f"step{t}.param.{i}"]
                true = partial(lambda name, t, i: truth[f"step{t}.{name}.{i}"], t=t, i=i)
                update = sizes(size, p, g, true, t, lr, o, tolerance)
                p = p + update
                size |= {"param": p, "update": update + np.abs(param) + tolerance * p}
                # A square or a product below the smallest number is not the exact 0 that a size of 0 means.
                moved = np.any(wide[f"grads.{i}"][:t] != 0, axis=0) * np.finfo(np.float64).tiny
                number = size.pop("mu_product", None)
                scales |= {f"step{t}.{name}.{i}": value + moved for name, value in size.items()}
                if number is not None:
                    size["mu_product"] = scales[f"step{t}.mu_product.{i}"] = number
    return scales


# --- classic mistakes -------------------------------------------------------------------------------------

Edits = list[tuple[str, str]]

DECAY_FORGOTTEN = Mistake(
    "weight decay forgotten",
    "The gradient is used without λθ: nothing is regularised.",
    [("    if weight_decay != 0:\n        grad = grad + weight_decay * param\n", "")],
)


def _step_lost(edits: Edits, whose: str = "") -> Mistake:
    return Mistake(
        f"{whose}step lost in a new array",
        "param = param − … binds the name to a new array: the parameter that was handed in never changes.",
        edits,
    )


def _state_lost(state: str, edits: Edits) -> Mistake:
    return Mistake(
        f"{state} lost in new arrays",
        "A new array under the old name: what was handed in stays 0, and every step is a first one.",
        edits,
    )


def _state_not_kept(state: str, edits: Edits) -> Mistake:
    return Mistake(
        f"{state} not kept between steps",
        "Set to 0 at the beginning of every step: nothing is averaged.",
        edits,
    )


def _uphill(step: str, whose: str = "") -> Mistake:
    right, wrong = f"param -= {step}", f"param += {step}"
    return Mistake(f"{whose}uphill", "The gradient is added: the cost grows.", [(right, wrong)])


SGD_MISTAKES = (
    _uphill("lr * grad"),
    replace(DECAY_FORGOTTEN, explanation="θ − lr·g, whatever λ: nothing is regularised."),
    Mistake(
        "weight decay without the learning rate",
        "θ − lr·g − λ·θ: the decay is part of the gradient, lr multiplies it too.",
        [("grad = grad + weight_decay * param", "param -= weight_decay * param")],
        convention="SGDW (Loshchilov and Hutter 2019)",
    ),
    Mistake(
        "weight decay doubled",
        "The gradient of λ‖θ‖² is 2λθ; the penalty that PyTorch means is (λ/2)‖θ‖².",
        [("grad + weight_decay * param", "grad + 2 * weight_decay * param")],
        convention="Keras: regularizers.L2, whose penalty is λ‖θ‖²",
    ),
    Mistake(
        "decay after the step",
        "First θ ← θ − lr·g, then the decay of the new θ instead of the old one.",
        [
            *DECAY_FORGOTTEN.edits,
            ("param -= lr * grad", "param -= lr * grad\n    param -= lr * weight_decay * param"),
        ],
    ),
    Mistake(
        "learning rate forgotten",
        "θ − g: the step is as long as the gradient.",
        [("param -= lr * grad", "param -= grad")],
    ),
    _step_lost([("param -= lr * grad", "param = param - lr * grad")]),
)

BUFFER_LOST = _state_lost(
    "buffer",
    [
        ("momentum_buffer[...] = grad", "momentum_buffer = grad"),
        ("momentum_buffer *= momentum", "momentum_buffer = momentum_buffer * momentum"),
    ],
)
BUFFER_NOT_KEPT = _state_not_kept("buffer", [("momentum_buffer *= momentum", "momentum_buffer[...] = 0")])

MOMENTUM_MISTAKES = (
    _uphill("lr * velocity"),
    _uphill("lr * momentum_buffer", "PyTorch's step "),
    Mistake(
        "sum instead of average",
        "v ← β·v + g: at the textbook's learning rate 1/(1−β) times too fast.",
        [("velocity += (1 - beta) * grad", "velocity += grad")],
        convention="PyTorch and d2l.ai",
    ),
    Mistake(
        "weights swapped",
        "v ← (1−β)·v + β·g: with β = 0.9 nearly the last gradient alone.",
        [
            ("velocity *= beta", "velocity *= 1 - beta"),
            ("velocity += (1 - beta) * grad", "velocity += beta * grad"),
        ],
    ),
    Mistake(
        "learning rate inside the velocity",
        "v ← β·v + (1−β)·lr·g, θ ← θ − v: the same until the rate changes, which then acts with delay.",
        [("(1 - beta) * grad", "(1 - beta) * lr * grad"), ("param -= lr * velocity", "param -= velocity")],
    ),
    Mistake(
        "learning rate inside the sum",
        "v ← β·v + lr·g, θ ← θ − v: a sum of the steps, which are 1/(1−β) times those of an average.",
        [("(1 - beta) * grad", "lr * grad"), ("param -= lr * velocity", "param -= velocity")],
        convention="Sutskever et al. 2013, Keras and Lasagne",
    ),
    Mistake(
        "learning rate and sign inside the sum",
        "v ← β·v − lr·g, θ ← θ + v: a sum of the steps, which are 1/(1−β) times those of an average.",
        [
            ("velocity += (1 - beta) * grad", "velocity -= lr * grad"),
            ("param -= lr * velocity", "param += velocity"),
        ],
        convention="Sutskever et al. 2013, CS231n, Keras and Deep Learning from Scratch",
    ),
    Mistake(
        "first gradient undampened",
        "v = g at the first step, 1/(1−β) times what it should be, and remembered for long.",
        [("(1 - beta) * grad", "(1 - beta) * grad if velocity.any() else grad")],
        convention="torch.optim.SGD with dampening=β",
    ),
    Mistake(
        "step with the old velocity",
        "θ ← θ − lr·v before v is brought up to date: one gradient late.",
        [
            ("velocity *= beta", "param -= lr * velocity\n    velocity *= beta"),
            ("    param -= lr * velocity\n", ""),
        ],
    ),
    Mistake(
        "step with the gradient",
        "The velocity is kept but not used: θ ← θ − lr·g.",
        [("param -= lr * velocity", "param -= lr * grad")],
    ),
    _step_lost([("param -= lr * velocity", "param = param - lr * velocity")]),
    _state_lost("velocity", [("velocity *= beta", "velocity = velocity * beta")]),
    _state_not_kept("velocity", [("velocity *= beta", "velocity[...] = 0")]),
    Mistake(
        "first step dampened",
        "b = (1−d)·g at the first step: PyTorch copies the first gradient as it is.",
        [("momentum_buffer[...] = grad", "momentum_buffer[...] = (1 - dampening) * grad")],
    ),
    Mistake(
        "dampening forgotten",
        "b ← μ·b + g, whatever d: the steps are up to 1/(1−d) times too long.",
        [("(1 - dampening) * grad", "grad")],
    ),
    Mistake(
        "dampening at the momentum",
        "b ← (1−d)·μ·b + g: the dampening belongs to the gradient.",
        [
            ("momentum_buffer *= momentum", "momentum_buffer *= (1 - dampening) * momentum"),
            ("(1 - dampening) * grad", "grad"),
        ],
    ),
    Mistake(
        "learning rate inside PyTorch's buffer",
        "b ← μ·b + lr·g, θ ← θ − b: the same until the rate changes.",
        [
            ("    if step == 1:", "    grad = lr * grad\n    if step == 1:"),
            ("param -= lr * momentum_buffer", "param -= momentum_buffer"),
        ],
        convention="Sutskever et al. 2013, Keras and Lasagne",
    ),
    Mistake(
        "learning rate and sign inside PyTorch's buffer",
        "b ← μ·b − lr·g, θ ← θ + b: the same until the rate changes.",
        [
            ("    if step == 1:", "    grad = -lr * grad\n    if step == 1:"),
            ("param -= lr * momentum_buffer", "param += momentum_buffer"),
        ],
        convention="Sutskever et al. 2013, CS231n, Keras and Deep Learning from Scratch",
    ),
    Mistake(
        "learning rate on the old buffer too",
        "b ← lr·(μ·b + g), θ ← θ − b: what was gathered is scaled down anew in every step.",
        [("param -= lr * momentum_buffer", "momentum_buffer *= lr\n    param -= momentum_buffer")],
    ),
    Mistake(
        "average instead of sum",
        "b ← μ·b + (1−μ)·g from the first step on: at PyTorch's learning rate 1/(1−μ) times too slow.",
        [("(1 - dampening) * grad", "(1 - momentum) * grad")],
        convention="the course and most textbooks",
    ),
    Mistake(
        "weight decay outside the buffer",
        "θ ← θ − lr·(b + λθ): decoupled, as in SGDW; PyTorch's decay gathers in the buffer.",
        [
            *DECAY_FORGOTTEN.edits,
            ("param -= lr * momentum_buffer", "param -= lr * (momentum_buffer + weight_decay * param)"),
        ],
    ),
    DECAY_FORGOTTEN,
    _step_lost([("param -= lr * momentum_buffer", "param = param - lr * momentum_buffer")], "PyTorch's "),
    replace(BUFFER_LOST, name=f"PyTorch's {BUFFER_LOST.name}"),
    replace(BUFFER_NOT_KEPT, name=f"PyTorch's {BUFFER_NOT_KEPT.name}"),
)

NESTEROV_MISTAKES = (
    _uphill("lr * (grad + momentum * momentum_buffer)"),
    Mistake(
        "no look-ahead",
        "θ ← θ − lr·b: plain momentum; so is g + μ·b with the b of the step before.",
        [("(grad + momentum * momentum_buffer)", "momentum_buffer")],
    ),
    Mistake(
        "gradient forgotten",
        "θ ← θ − lr·μ·b: the look-ahead without the gradient.",
        [("(grad + momentum * momentum_buffer)", "momentum * momentum_buffer")],
    ),
    Mistake(
        "momentum forgotten in the look-ahead",
        "g + b instead of g + μ·b: it looks further ahead than momentum will carry it.",
        [("(grad + momentum * momentum_buffer)", "(grad + momentum_buffer)")],
    ),
    Mistake(
        "average instead of sum",
        "b ← μ·b + (1−μ)·g, the textbook's average, in PyTorch's update.",
        [
            ("momentum_buffer[...] = grad", "momentum_buffer[...] = (1 - momentum) * grad"),
            ("momentum_buffer += grad", "momentum_buffer += (1 - momentum) * grad"),
        ],
    ),
    DECAY_FORGOTTEN,
    Mistake(
        "learning rate inside the buffer",
        "b ← μ·b + lr·g, θ ← θ − (lr·g + μ·b): the same until the rate changes.",
        [
            ("    if step == 1:", "    grad = lr * grad\n    if step == 1:"),
            ("lr * (grad + momentum * momentum_buffer)", "grad + momentum * momentum_buffer"),
        ],
        convention="Keras and Lasagne",
    ),
    Mistake(
        "learning rate and sign inside the buffer",
        "b ← μ·b − lr·g, θ ← θ + μ·b − lr·g: the same until the rate changes.",
        [
            ("    if step == 1:", "    grad = -lr * grad\n    if step == 1:"),
            (
                "param -= lr * (grad + momentum * momentum_buffer)",
                "param += grad + momentum * momentum_buffer",
            ),
        ],
        convention="CS231n",
    ),
    _step_lost([("param -= lr * (grad +", "param = param - lr * (grad +")]),
    BUFFER_LOST,
    BUFFER_NOT_KEPT,
)

RMSPROP_MISTAKES = (
    Mistake(
        "uphill",
        "The gradient is added: the cost grows.",
        [
            ("param -= lr * grad / denominator", "param += lr * grad / denominator"),
            ("param -= lr * momentum_buffer", "param += lr * momentum_buffer"),
        ],
    ),
    Mistake(
        "ε inside the root",
        "g/√(s + ε): with ε = 1e-8 the floor of the denominator is 1e-4.",
        [("np.sqrt(variance) + eps", "np.sqrt(variance + eps)")],
        convention="TensorFlow, Keras, Lasagne, and optax with eps_in_sqrt=True, its default",
    ),
    Mistake(
        "ε forgotten",
        "g/√s: 0/0 where no gradient has come yet.",
        [("np.sqrt(variance) + eps", "np.sqrt(variance)")],
    ),
    Mistake(
        "ε as a lower bound",
        "g/max(√s, ε): differs where √s is about as small as ε.",
        [("np.sqrt(variance) + eps", "np.maximum(np.sqrt(variance), eps)")],
    ),
    Mistake(
        "weights swapped",
        "s ← (1−α)·s + α·g²: nearly the last gradient alone.",
        [
            ("square_avg *= alpha", "square_avg *= 1 - alpha"),
            ("(1 - alpha) * grad * grad", "alpha * grad * grad"),
            ("_average(grad_avg, grad, alpha)", "_average(grad_avg, grad, 1 - alpha)"),
        ],
    ),
    Mistake(
        "gradient not squared",
        "s averages |g|: the step grows with √|g|, and its size no longer depends on lr alone.",
        [("(1 - alpha) * grad * grad", "(1 - alpha) * np.abs(grad)")],
    ),
    Mistake(
        "sum of squares",
        "s ← s + g²: that is Adagrad; the steps shrink for ever.",
        [("    square_avg *= alpha\n", ""), ("(1 - alpha) * grad * grad", "grad * grad")],
    ),
    Mistake(
        "no root",
        "g/(s + ε): the smaller the gradient, the longer the step.",
        [("np.sqrt(variance) + eps", "variance + eps")],
    ),
    Mistake(
        "not centered",
        "The average gradient is kept, but its square is not subtracted.",
        [("square_avg - grad_avg * grad_avg", "square_avg")],
    ),
    Mistake(
        "mean not squared",
        "s − |a| for the variance, held at 0 from below: the variance is s − a².",
        [("square_avg - grad_avg * grad_avg", "np.maximum(square_avg - np.abs(grad_avg), 0)")],
    ),
    Mistake(
        "momentum unused",
        "The buffer is kept, but the step is taken by g/(√s + ε) alone.",
        [("param -= lr * momentum_buffer", "param -= lr * grad / denominator")],
    ),
    Mistake(
        "momentum as an average",
        "b ← μ·b + (1−μ)·g/(√s + ε): the buffer is a sum.",
        [("momentum_buffer += grad", "momentum_buffer += (1 - momentum) * grad")],
    ),
    Mistake(
        "learning rate inside the buffer",
        "b ← μ·b + lr·g/(√s + ε): the same until the rate changes.",
        [
            ("momentum_buffer += grad", "momentum_buffer += lr * grad"),
            ("param -= lr * momentum_buffer", "param -= momentum_buffer"),
        ],
        convention="TensorFlow and Keras",
    ),
    Mistake(
        "weight decay decoupled",
        "θ ← (1 − lr·λ)·θ apart from the gradient, as in AdamW.",
        [("grad = grad + weight_decay * param", "param *= 1 - lr * weight_decay")],
    ),
    DECAY_FORGOTTEN,
    _step_lost(
        [
            ("param -= lr * grad / denominator", "param = param - lr * grad / denominator"),
            ("param -= lr * momentum_buffer", "param = param - lr * momentum_buffer"),
        ]
    ),
    _state_lost(
        "averages",
        [
            ("square_avg *= alpha", "square_avg = square_avg * alpha"),
            ("_average(grad_avg, grad, alpha)", "grad_avg = alpha * grad_avg + (1 - alpha) * grad"),
            ("momentum_buffer *= momentum", "momentum_buffer = momentum_buffer * momentum"),
        ],
    ),
    _state_not_kept(
        "averages",
        [
            ("square_avg *= alpha", "square_avg[...] = 0"),
            ("_average(grad_avg, grad, alpha)", "grad_avg[...] = (1 - alpha) * grad"),
            ("momentum_buffer *= momentum", "momentum_buffer[...] = 0"),
        ],
    ),
)

CORRECTED = "    denominator /= correction2**0.5\n"
EPSILON = "    denominator += eps\n"
ADAM_AND_ADAMW_MISTAKES = (
    _uphill("change"),
    Mistake(
        "no bias correction",
        "m/(√v + ε): at the first step (1−β₁)/√(1−β₂) ≈ 3.2 times too far.",
        [(CORRECTED, ""), ("lr / correction1 * exp_avg", "lr * exp_avg")],
        convention="BERT's own optimizer, and MLX by default",
    ),
    Mistake(
        "second moment not corrected",
        "m̂/(√v + ε): at the first step 1/√(1−β₂) ≈ 32 times too far.",
        [(CORRECTED, "")],
    ),
    Mistake(
        "first moment not corrected",
        "m/(√v̂ + ε): the first steps are 1/(1−β₁) = 10 times too short.",
        [("lr / correction1 * exp_avg", "lr * exp_avg")],
        convention="AdamD (St John 2021)",
    ),
    Mistake(
        "multiplied by the correction",
        "m·(1−β₁ᵗ) and v·(1−β₂ᵗ): the first steps are made shorter still, where they should grow.",
        [("/= correction2**0.5", "*= correction2**0.5"), ("lr / correction1", "lr * correction1")],
    ),
    Mistake(
        "corrected moments kept",
        "m ← m/(1−β₁ᵗ) overwrites the moment: the next step corrects what has been corrected already.",
        [
            (
                "exp_avg_sq += square",
                "exp_avg_sq += square\n    exp_avg /= correction1\n    exp_avg_sq /= correction2",
            ),
            (CORRECTED, ""),
            ("lr / correction1 * exp_avg", "lr * exp_avg"),
        ],
    ),
    Mistake(
        "t forgotten in the correction",
        "1−β instead of 1−βᵗ: right in the first step, and far too large a step ever after.",
        [("beta1**step", "beta1"), ("beta2**step", "beta2")],
    ),
    Mistake(
        "β·t for βᵗ",
        "1 − β·t is right in the first step and negative from the second on: √v̂ is NaN.",
        [
            ("beta1**step", "beta1 * step"),
            ("beta2**step", "beta2 * step"),
            ("np.sqrt(exp_avg_sq)", "np.sqrt(exp_avg_sq / correction2)"),
            (CORRECTED, ""),
        ],
    ),
    Mistake(
        "root of the correction forgotten",
        "√v/(1−β₂ᵗ): outside of the root, it makes the first step 1/√(1−β₂) ≈ 32 times too short.",
        [("correction2**0.5", "correction2")],
    ),
    Mistake(
        "ε inside the root",
        "m̂/√(v̂ + ε): the floor of the denominator is 1e-4 instead of 1e-8.",
        [("np.sqrt(exp_avg_sq)", "np.sqrt(exp_avg_sq / correction2 + eps)"), (CORRECTED + EPSILON, "")],
        convention="optax, whose eps_root stands there",
    ),
    Mistake(
        "ε forgotten",
        "m̂/√v̂: 0/0 where no gradient has come yet.",
        [(EPSILON, "")],
    ),
    Mistake(
        "ε before the bias correction",
        "lr·√c₂/c₁ · m/(√v + ε): seen in small gradients and in the first steps only.",
        [(CORRECTED + EPSILON, EPSILON + CORRECTED)],
        convention="the end of the paper's section 2 (ε̂), TensorFlow, Keras, and PyTorch until 2019",
    ),
    Mistake(
        "t one too small",
        "The count is raised after the step; held at 1 from below, lest the first step divide by 0.",
        [("beta1**step", "beta1 ** max(step - 1, 1)"), ("beta2**step", "beta2 ** max(step - 1, 1)")],
    ),
    Mistake(
        "t one too large",
        "The count starts at 2: the first steps are corrected too little.",
        [("beta1**step", "beta1 ** (step + 1)"), ("beta2**step", "beta2 ** (step + 1)")],
    ),
    Mistake(
        "betas swapped",
        "β₂ for the first moment and β₁ for the second: m lags far behind, v hardly averages.",
        [("beta1, beta2 = betas", "beta2, beta1 = betas")],
    ),
    Mistake(
        "sum instead of average",
        "m ← β₁·m + g, as in PyTorch's momentum: the steps are 1/(1−β₁) = 10 times too long.",
        [("_average(exp_avg, grad, beta1)", "exp_avg[...] = beta1 * exp_avg + grad")],
    ),
    Mistake(
        "learning rate inside the first moment",
        "m ← β₁·m + (1−β₁)·lr·g: the same until the rate changes.",
        [
            ("_average(exp_avg, grad, beta1)", "_average(exp_avg, lr * grad, beta1)"),
            ("lr / correction1 * exp_avg", "exp_avg / correction1"),
        ],
    ),
    Mistake(
        "gradient not squared",
        "v averages |g|: the step grows with √|g|, and its size no longer depends on lr alone.",
        [("square *= grad", "square = np.abs(square)")],
    ),
    Mistake(
        "first moment squared",
        "v averages m² instead of g²: where gradients change sign, the step is too long.",
        [
            ("square = (1 - beta2) * grad", "square = (1 - beta2) * exp_avg"),
            ("square *= grad", "square *= exp_avg"),
        ],
    ),
    Mistake(
        "no root",
        "m̂/(v̂ + ε): the smaller the gradient, the longer the step.",
        [("np.sqrt(exp_avg_sq)", "exp_avg_sq / correction2"), (CORRECTED, "")],
    ),
    Mistake(
        "AMSGrad of the corrected moment",
        "The largest v/(1−β₂ᵗ), which is that of the first steps: PyTorch corrects the largest v.",
        [
            (
                "np.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)",
                "correction2 * np.maximum(max_exp_avg_sq, exp_avg_sq / correction2, out=max_exp_avg_sq)",
            )
        ],
        convention="optax.amsgrad",
    ),
    Mistake(
        "AMSGrad forgotten",
        "The largest v is kept, but the last one is used: plain Adam.",
        [("exp_avg_sq = np.maximum(", "np.maximum(")],
    ),
    _state_lost(
        "moments",
        [
            ("_average(exp_avg, grad, beta1)", "exp_avg = beta1 * exp_avg + (1 - beta1) * grad"),
            ("exp_avg_sq *= beta2", "exp_avg_sq = exp_avg_sq * beta2"),
            (", out=max_exp_avg_sq", ""),
        ],
    ),
    _state_not_kept(
        "moments",
        [
            ("_average(exp_avg, grad, beta1)", "exp_avg[...] = (1 - beta1) * grad"),
            ("exp_avg_sq *= beta2", "exp_avg_sq[...] = 0"),
            ("np.maximum(max_exp_avg_sq, exp_avg_sq,", "np.maximum(0, exp_avg_sq,"),
        ],
    ),
)

ADAM_MISTAKES = (
    *ADAM_AND_ADAMW_MISTAKES,
    _step_lost([("param -= change", "param = param - change")]),
    Mistake(
        "weight decay decoupled",
        "θ ← (1 − lr·λ)·θ apart from the gradient: that is AdamW.",
        [("grad = grad + weight_decay * param", "param *= 1 - lr * weight_decay")],
    ),
    DECAY_FORGOTTEN,
)

ADAMW_MISTAKES = (
    *ADAM_AND_ADAMW_MISTAKES,
    _step_lost([("param *= 1 - lr * weight_decay", "param = param * (1 - lr * weight_decay)")]),
    Mistake(
        "weight decay in the gradient",
        "g + λθ, which √v then divides: where gradients are large, weights hardly decay.",
        [("    param *= 1 - lr * weight_decay\n", ""), ("eps=eps)", "eps=eps, weight_decay=weight_decay)")],
        convention="weight_decay of torch.optim.Adam",
    ),
    Mistake(
        "decay after the step",
        "θ ← (1 − lr·λ)·θ with the θ that the step has already changed.",
        [
            ("    param *= 1 - lr * weight_decay\n", ""),
            ("eps=eps)", "eps=eps)\n    param *= 1 - lr * weight_decay"),
        ],
    ),
    Mistake(
        "decay without the learning rate",
        "θ ← (1 − λ)·θ: with PyTorch's λ, 1/lr times too strong.",
        [("param *= 1 - lr * weight_decay", "param *= 1 - weight_decay")],
        convention="the paper, which multiplies λ by the schedule only, and TensorFlow Addons",
    ),
    Mistake(
        "decay with the corrected rate",
        "lr/(1−β₁ᵗ)·λ: the bias correction belongs to m alone.",
        [("param *= 1 - lr * weight_decay", "param *= 1 - lr / (1 - betas[0] ** step) * weight_decay")],
    ),
    Mistake(
        "weight decay forgotten",
        "Adam without any: nothing is regularised.",
        [("    param *= 1 - lr * weight_decay\n", "")],
    ),
)


ADAGRAD_MISTAKES = (
    _uphill("lr / (1 + (step - 1) * lr_decay) * grad"),
    Mistake(
        "ε inside the root",
        "g/√(s + ε): with ε = 1e-10 the floor of the denominator is 1e-5.",
        [("(np.sqrt(sum) + eps)", "np.sqrt(sum + eps)")],
        convention="Keras, optax and d2l.ai",
    ),
    Mistake(
        "ε forgotten",
        "g/√s: 0/0 where no gradient has come yet.",
        [("(np.sqrt(sum) + eps)", "np.sqrt(sum)")],
    ),
    Mistake(
        "average instead of sum",
        "s ← 0.9·s + 0.1·g²: that is RMSProp, which forgets; Adagrad's steps only shrink.",
        [("sum += grad * grad", "sum *= 0.9\n    sum += 0.1 * grad * grad")],
    ),
    Mistake(
        "step with the old sum",
        "θ is changed before g² is added: the first step divides by ε alone.",
        [
            ("    sum += grad * grad\n", ""),
            ("(np.sqrt(sum) + eps)", "(np.sqrt(sum) + eps)\n    sum += grad * grad"),
        ],
    ),
    Mistake(
        "gradient not squared",
        "s adds up |g|: the steps depend on the size of the gradients.",
        [("sum += grad * grad", "sum += np.abs(grad)")],
    ),
    Mistake(
        "no root",
        "g/(s + ε): the smaller the gradient, the longer the step.",
        [("(np.sqrt(sum) + eps)", "(sum + eps)")],
    ),
    Mistake(
        "rate decayed one step early",
        "1 + t·η: t counts from 1, so that the first step is not at lr.",
        [("(step - 1) * lr_decay", "step * lr_decay")],
    ),
    Mistake(
        "rate not decayed",
        "lr whatever η: the steps shrink by √s alone.",
        [("lr / (1 + (step - 1) * lr_decay)", "lr")],
    ),
    Mistake(
        "learning rate inside the sum",
        "s ← s + (lr·g)²: √s takes the rate out again, and a step is no longer than 1, whatever lr.",
        [("sum += grad * grad", "sum += (lr * grad) * (lr * grad)")],
    ),
    Mistake(
        "weight decay decoupled",
        "θ ← (1 − lr·λ)·θ apart from the gradient, as in AdamW.",
        [("grad = grad + weight_decay * param", "param *= 1 - lr * weight_decay")],
    ),
    DECAY_FORGOTTEN,
    _step_lost([("param -= lr / (1", "param = param - lr / (1")]),
    _state_lost("sum", [("sum += grad * grad", "sum = sum + grad * grad")]),
    _state_not_kept("sum", [("sum += grad * grad", "sum[...] = grad * grad")]),
)

NADAM_MISTAKES = (
    Mistake(
        "uphill",
        "The gradient is added: the cost grows.",
        [
            ("param -= lr * (1 - mu)", "param += lr * (1 - mu)"),
            ("param -= lr * mu_next", "param += lr * mu_next"),
        ],
    ),
    Mistake(
        "product of the momenta forgotten",
        "1−μₜ and 1−μₜ·μₜ₊₁ for 1−Π and 1−Π·μₜ₊₁: right in the first step only.",
        [("product = mu_product.item()", "product = mu")],
    ),
    Mistake(
        "power instead of the product",
        "1−β₁ᵗ as in Adam: the momenta are smaller than β₁, and so is their product.",
        [("product = mu_product.item()", "product = beta1**step")],
    ),
    Mistake(
        "product with the step's momentum missing",
        "Π is used before μₜ is multiplied in: 1/(1−1) in the first step.",
        [
            ("    mu_product *= mu\n", ""),
            ("product = mu_product.item()", "product = mu_product.item()\n    mu_product *= mu"),
        ],
    ),
    Mistake(
        "next step's momentum not used",
        "μₜ·m/(1−Π): without μₜ₊₁ there is no look-ahead.",
        [("mu_next / (1 - product * mu_next)", "mu / (1 - product)")],
    ),
    Mistake(
        "momentum not scheduled",
        "μ = β₁ from the start: the first steps trust an average that has seen nothing yet.",
        [
            ("mu = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))", "mu = beta1"),
            ("mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))", "mu_next = beta1"),
        ],
        convention="optax.nadam",
    ),
    Mistake(
        "momentum decay forgotten",
        "0.96ᵗ for 0.96^(tψ): with ψ = 0.004 the momentum grows 250 times too fast.",
        [
            ("0.96 ** (step * momentum_decay)", "0.96**step"),
            ("0.96 ** ((step + 1) * momentum_decay)", "0.96 ** (step + 1)"),
        ],
        convention="Keras",
    ),
    Mistake(
        "momentum one step late",
        "0.96^((t−1)ψ): t counts from 1, as everywhere.",
        [
            ("0.96 ** (step * momentum_decay)", "0.96 ** ((step - 1) * momentum_decay)"),
            ("0.96 ** ((step + 1) * momentum_decay)", "0.96 ** (step * momentum_decay)"),
        ],
    ),
    Mistake(
        "gradient forgotten",
        "Only the average counts: that is Adam, one momentum ahead.",
        [("    param -= lr * (1 - mu) / (1 - product) * grad / denominator\n", "")],
    ),
    Mistake(
        "second moment not corrected",
        "√v + ε: the first step is 1/√(1−β₂) ≈ 32 times too long.",
        [("exp_avg_sq / (1 - beta2**step)", "exp_avg_sq")],
    ),
    Mistake(
        "root of the correction forgotten",
        "√v/(1−β₂ᵗ): outside of the root, it makes the first step 1/√(1−β₂) ≈ 32 times too short.",
        [("np.sqrt(exp_avg_sq / (1 - beta2**step))", "np.sqrt(exp_avg_sq) / (1 - beta2**step)")],
    ),
    Mistake(
        "ε inside the root",
        "√(v̂ + ε): the floor of the denominator is 1e-4 instead of 1e-8.",
        [("np.sqrt(exp_avg_sq / (1 - beta2**step)) + eps", "np.sqrt(exp_avg_sq / (1 - beta2**step) + eps)")],
    ),
    Mistake(
        "ε forgotten",
        "√v̂ alone: 0/0 where no gradient has come yet.",
        [("np.sqrt(exp_avg_sq / (1 - beta2**step)) + eps", "np.sqrt(exp_avg_sq / (1 - beta2**step))")],
    ),
    Mistake(
        "betas swapped",
        "β₂ for the first moment and β₁ for the second: m lags far behind, v hardly averages.",
        [("beta1, beta2 = betas", "beta2, beta1 = betas")],
    ),
    Mistake(
        "average by the scheduled momentum",
        "m ← μₜ·m + (1−μₜ)·g: PyTorch averages by β₁, and only the step goes by μₜ.",
        [("_average(exp_avg, grad, beta1)", "_average(exp_avg, grad, mu)")],
    ),
    Mistake(
        "gradient not squared",
        "v averages |g|: the step grows with √|g|, and its size no longer depends on lr alone.",
        [("(1 - beta2) * grad * grad", "(1 - beta2) * np.abs(grad)")],
    ),
    Mistake(
        "decay always in the gradient",
        "g + λθ even if the decay is to be decoupled, so that √v divides it.",
        [("if weight_decay != 0 and decoupled_weight_decay:", "if False:")],
    ),
    Mistake(
        "decay always decoupled",
        "θ ← (1 − lr·λ)·θ whatever is asked for: AdamW's decay.",
        [("if weight_decay != 0 and decoupled_weight_decay:", "if weight_decay != 0:")],
    ),
    replace(
        DECAY_FORGOTTEN,
        edits=[("    elif weight_decay != 0:\n        grad = grad + weight_decay * param\n", "")],
    ),
    _step_lost(
        [
            ("param *= 1 - lr * weight_decay", "param = param * (1 - lr * weight_decay)"),
            ("param -= lr * (1 - mu)", "param = param - lr * (1 - mu)"),
        ]
    ),
    _state_lost(
        "moments",
        [
            ("mu_product *= mu", "mu_product = mu_product * mu"),
            ("_average(exp_avg, grad, beta1)", "exp_avg = beta1 * exp_avg + (1 - beta1) * grad"),
            ("exp_avg_sq *= beta2", "exp_avg_sq = exp_avg_sq * beta2"),
        ],
    ),
    _state_not_kept(
        "moments",
        [
            ("mu_product *= mu", "mu_product[...] = mu"),
            ("_average(exp_avg, grad, beta1)", "exp_avg[...] = (1 - beta1) * grad"),
            ("exp_avg_sq *= beta2", "exp_avg_sq[...] = 0"),
        ],
    ),
)

SIGN = "np.sign(beta1 * exp_avg + (1 - beta1) * grad)"
NEW_AVERAGE = "    exp_avg *= beta2\n    exp_avg += (1 - beta2) * grad\n"
LION_DECAY = "    param *= 1 - lr * weight_decay\n"

LION_MISTAKES = (
    _uphill("lr * np.sign"),
    Mistake(
        "sign forgotten",
        "The step is as long as the interpolation: that is momentum.",
        [(SIGN, "(beta1 * exp_avg + (1 - beta1) * grad)")],
    ),
    Mistake(
        "sign of the old average",
        "The last gradient has no say in its own step: the first one goes nowhere.",
        [(SIGN, "np.sign(exp_avg)")],
    ),
    Mistake(
        "sign of the gradient",
        "signSGD: the average is kept, but not used.",
        [(SIGN, "np.sign(grad)")],
    ),
    Mistake(
        "average updated before the step",
        "The gradient counts twice in the step: once in m, by β₂, and once beside it.",
        [
            (NEW_AVERAGE, ""),
            (LION_DECAY, f"{LION_DECAY}{NEW_AVERAGE}"),
        ],
    ),
    Mistake(
        "one average for both",
        "m ← β₂·m + (1−β₂)·g, θ ← θ − lr·sign(m): the step follows an average that hardly moves.",
        [(NEW_AVERAGE, ""), (LION_DECAY, f"{LION_DECAY}{NEW_AVERAGE}"), (SIGN, "np.sign(exp_avg)")],
        convention="Signum (Bernstein et al. 2018)",
    ),
    Mistake(
        "betas swapped",
        "β₂ in the step and β₁ in the average: the step hardly hears the last gradient.",
        [("beta1, beta2 = betas", "beta2, beta1 = betas")],
    ),
    Mistake(
        "weights of the step swapped",
        "(1−β₁)·m + β₁·g: nearly the last gradient alone.",
        [("beta1 * exp_avg + (1 - beta1) * grad", "(1 - beta1) * exp_avg + beta1 * grad")],
    ),
    Mistake(
        "sum instead of average",
        "m ← β₂·m + g: beside such a sum, 1/(1−β₂) = 100 times as large, the gradient does not count.",
        [("exp_avg += (1 - beta2) * grad", "exp_avg += grad")],
    ),
    Mistake(
        "sign of 0 is 1",
        "Where no gradient has come yet, the parameter walks away all the same.",
        [(SIGN, f"np.where({SIGN[7:]} >= 0, 1, -1)")],
    ),
    Mistake(
        "weight decay in the gradient",
        "g + λθ: the sign keeps nothing of its size, and small weights do not decay less than large ones.",
        [(LION_DECAY, "    grad = grad + weight_decay * param\n")],
    ),
    Mistake(
        "decay without the learning rate",
        "θ ← (1 − λ)·θ: with this λ, 1/lr times too strong.",
        [("param *= 1 - lr * weight_decay", "param *= 1 - weight_decay")],
    ),
    Mistake(
        "decay after the step",
        "θ ← (1 − lr·λ)·θ with the θ that the step has already changed.",
        [(LION_DECAY, ""), (NEW_AVERAGE, f"{LION_DECAY}{NEW_AVERAGE}")],
    ),
    Mistake(
        "weight decay forgotten",
        "The sign alone: nothing is regularised.",
        [(LION_DECAY, "")],
    ),
    _step_lost([("param *= 1 - lr * weight_decay", "param = param * (1 - lr * weight_decay)")]),
    _state_lost("average", [("exp_avg *= beta2", "exp_avg = exp_avg * beta2")]),
    _state_not_kept("average", [("exp_avg *= beta2", "exp_avg[...] = 0")]),
)


def _component(
    name: str,
    page: str,
    optimizers: Mapping[str, Variants],
    random_case: Callable[[Choose, Any], Case],
    sizes: Callable,
    mistakes: tuple[Mistake, ...],
    rules: tuple[str, ...],
    bases: tuple[str, ...],
    settings: Callable[[Case], Iterator[Edge]],
    late: Sequence[Mapping[str, Any]],
    departures: tuple[Departure, ...],
) -> Component:
    def all_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        """Of every optimizer: the second one is PyTorch's form of the first."""
        for i, (optimizer, variants) in enumerate(optimizers.items()):
            for case in cases(rng, dtype, optimizer, variants):
                yield replace(case, name=f"PyTorch: {case.name}") if i else case

    def edges(base: Case) -> Iterator[Edge]:
        yield from no_parameters(base)
        yield from settings(
            replace(base, options={name: base.options[name] for name in ("optimizer", "rates")})
        )
        yield from late_steps(base, [*optimizers][-1], late)

    return Component(
        name=name,
        topic="optimizers",
        source=page
        if "/" in page
        else f"https://docs.pytorch.org/docs/stable/generated/torch.optim.{page}.html",
        functions=rules,
        reference=tuple(optimizers),
        cases=all_cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=Budget(UNITS, "element by element, some ten roundings of ½ unit at each of five steps"),
        magnitude=lambda case: magnitude(case, sizes),
        mistakes=mistakes,
        refused=_refused(optimizers),
        edges=Edges(bases, others=edges, prepared=_short),
        departures=departures,
    )


COMPONENTS = (
    _component(
        "sgd",
        "SGD",
        {"SGD": {"plain": {}, "weight decay": {"weight_decay": 0.1}}},
        _random("SGD", weight_decay=any_decay),
        sgd_sizes,
        SGD_MISTAKES,
        ("sgd_step",),
        ("plain", "weight decay"),
        sgd_edges,
        ({},),
        (FUSED_STEP, TOO_LARGE),
    ),
    _component(
        "momentum",
        "SGD",
        {
            "Momentum": {"beta 0.9": {"beta": 0.9}, "beta 0.5": {"beta": 0.5}},
            "SGD": {
                "momentum": {"momentum": 0.9},
                "dampening": {"momentum": 0.9, "dampening": 0.5},
                "dampening as large as momentum": {"momentum": 0.9, "dampening": 0.9},
                "weight decay": {"momentum": 0.5, "dampening": 0.1, "weight_decay": 0.1},
            },
        },
        random_momentum,
        sgd_sizes,
        MOMENTUM_MISTAKES,
        ("momentum_step", "sgd_momentum_step"),
        ("beta 0.9", "PyTorch: weight decay"),
        momentum_edges,
        ({"momentum": 0.9, "dampening": 0.5},),
        (
            Departure(LARGEST, ("grads.0",), TEXTBOOK),
            Departure(("−smallest subnormal",), ("grads.0",), TEXTBOOK),
            Departure(
                ("smallest subnormal",),
                ("grads.0", "PyTorch: weight decay: grads.0"),
                FUSED,
                depends_on=FUSION,
            ),
            Departure(("lr = 1e308",), ("",), BEYOND, FLOAT32),
        ),
    ),
    _component(
        "nesterov",
        "SGD",
        {
            "SGD": {
                "nesterov": {"momentum": 0.9, "nesterov": True},
                "momentum 0.5": {"momentum": 0.5, "nesterov": True},
                "weight decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            }
        },
        random_nesterov,
        sgd_sizes,
        NESTEROV_MISTAKES,
        ("nesterov_step",),
        ("nesterov", "weight decay"),
        nesterov_edges,
        ({"momentum": 0.9, "nesterov": True},),
        (FUSED_STEP, TOO_LARGE),
    ),
    _component(
        "adagrad",
        "Adagrad",
        {"Adagrad": ADAGRAD_VARIANTS},
        _random("Adagrad", **RANDOM_ADAGRAD),
        adagrad_sizes,
        ADAGRAD_MISTAKES,
        ("adagrad_step",),
        ("plain", "eps 0", "all"),
        adagrad_edges,
        ({}, {"lr_decay": 0.1}),
        (
            TOO_LARGE,
            Departure(("initial_accumulator_value = 1e308",), ("",), BEYOND, FLOAT32),
            replace(CANCELLED, depends_on=ROOT),
            Departure(("step 2²⁴ + 10⁶",), ("lr_decay *",), COUNTER),
        ),
    ),
    _component(
        "rmsprop",
        "RMSprop",
        {
            "RMSprop": {
                "plain": {},
                "alpha 0.5": {"alpha": 0.5},
                "large eps": {"eps": 1e-3},
                "eps 0": {"eps": 0.0},
                "centered": {"centered": True},
                "momentum": {"momentum": 0.9},
                "weight decay": {"weight_decay": 0.1},
                "all": {"alpha": 0.9, "centered": True, "momentum": 0.5, "weight_decay": 0.1},
            }
        },
        random_rmsprop,
        rmsprop_sizes,
        RMSPROP_MISTAKES,
        ("rmsprop_step",),
        ("plain", "eps 0", "all"),
        rmsprop_edges,
        ({}, {"momentum": 0.5, "centered": True}),
        (
            TOO_LARGE,
            Departure(("−smallest subnormal",), ("all: grads.0",), FUSED, depends_on=FUSION),
            Departure(LARGEST, ("all: *",), FUSED_SQUARE, depends_on=FUSION),
        ),
    ),
    _component(
        "adam",
        "Adam",
        {"Adam": ADAM_VARIANTS},
        _random("Adam", **RANDOM_ADAM),
        adam_sizes,
        ADAM_MISTAKES,
        ("adam_step",),
        ("plain", "eps 0", "all"),
        adam_edges,
        ({}, {"amsgrad": True}, {"betas": (0.9, 1 - 1e-8)}, {"eps": 0.0, "gradient": 0.0}),
        (
            Departure(("−smallest subnormal",), ("grads.0", "eps 0: grads.0"), FUSED, depends_on=FUSION),
            Departure(("weight_decay = 1e308",), ("",), BEYOND, FLOAT32),
            Departure(("step 2²⁴ + 10⁶",), ("betas *",), COUNTER),
        ),
    ),
    _component(
        "adamw",
        "AdamW",
        {"AdamW": {**ADAM_VARIANTS, "no decay": {"weight_decay": 0.0}}},
        _random("AdamW", **RANDOM_ADAM),
        adamw_sizes,
        ADAMW_MISTAKES,
        ("adamw_step",),
        ("plain", "no decay"),
        adam_edges,
        ({}, {"weight_decay": 0.0}),
        (Departure(("−smallest subnormal",), ("grads.0", "no decay: grads.0"), FUSED, depends_on=FUSION),),
    ),
    _component(
        "nadam",
        "NAdam",
        {"NAdam": NADAM_VARIANTS},
        _random("NAdam", **RANDOM_NADAM),
        nadam_sizes,
        NADAM_MISTAKES,
        ("nadam_step",),
        ("plain", "eps 0", "all"),
        nadam_edges,
        ({}, {"momentum_decay": 0.0}),
        (
            Departure(("−smallest subnormal",), ("grads.0", "eps 0: grads.0"), FUSED, depends_on=FUSION),
            TOO_LARGE,
            CANCELLED,
        ),
    ),
    _component(
        "lion",
        "https://arxiv.org/abs/2302.06675",
        {"Lion": LION_VARIANTS},
        _random("Lion", **RANDOM_LION),
        lion_sizes,
        LION_MISTAKES,
        ("lion_step",),
        ("plain", "weight decay"),
        lion_edges,
        ({}, {"weight_decay": 0.1}),
        (
            Departure(("NaN",), ("*grads.0",), SIGN_OF_NAN),
            Departure(
                ("−smallest subnormal",), ("grads.0", "weight decay: grads.0"), FUSED, depends_on=FUSION
            ),
            Departure(("lr = 1e308",), ("",), BEYOND, FLOAT32),
        ),
    ),
)
