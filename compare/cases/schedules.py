"""Learning-rate schedules: the rate of every epoch, with the scheduler stepped after each.

Rates are Python floats on both sides, so that the dtype of a case makes no difference. ReduceLROnPlateau is
told a metric after each epoch; its rates are those that it leaves there.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from compare.cases.choices import chance, power, some_of
from compare.cases.limits import at, bad, edge
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from scratch.optimizers import SGD
from torch_ref import schedules as reference

BATCHES = 10  # an epoch, for the mistake of counting them


def inverse_time_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Rates of decay from none to more than the rate itself."""
    case = _case(rng, dtype)
    yield case("typical", 20, decay_rate=1.0)
    yield case("slow", 200, decay_rate=0.01)
    yield case("random", 50, decay_rate=float(rng.random()))
    yield case("fast", 10, decay_rate=7.3)
    yield case("no decay", 5, decay_rate=0.0)
    yield case("one epoch", 1, decay_rate=1.0)
    yield case("rate 0", 5, lr=0.0, decay_rate=1.0)


def fixed_interval_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Intervals that divide the number of epochs, that do not, and that are longer."""
    case = _case(rng, dtype)
    yield case("typical", 20, decay_rate=1.0, interval=5)
    yield case("odd", 29, decay_rate=0.3, interval=7)
    yield case("random", 50, decay_rate=float(rng.random()), interval=int(rng.integers(2, 20)))
    yield case("every epoch", 10, decay_rate=0.5, interval=1)
    yield case("longer than the training", 10, decay_rate=0.5, interval=100)
    yield case("no decay", 10, decay_rate=0.0, interval=3)


def exponential_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Factors that are powers of two, to be equal to the bit, and others."""
    case = _case(rng, dtype)
    yield case("typical", 30, gamma=0.95)
    yield case("long", 300, gamma=0.99)
    yield case("random", 50, gamma=float(0.5 + rng.random() / 2))
    yield case("power of two", 60, gamma=0.5)
    yield case("no decay", 10, gamma=1.0)
    yield case("growing", 20, gamma=1.1)
    yield case("one epoch", 1, gamma=0.9)


def inverse_sqrt_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """k is never 1 alone: it would hide where it stands."""
    case = _case(rng, dtype)
    yield case("typical", 30, k=1.0)
    yield case("k above 1", 30, k=3.0)
    yield case("random", 100, k=float(0.1 + rng.random()))
    yield case("one epoch", 1, k=0.5)


def staircase_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Steps that divide the number of epochs, that do not, and that are longer."""
    case = _case(rng, dtype)
    yield case("typical", 20, step_size=5, gamma=0.1)
    yield case("odd", 29, step_size=7, gamma=0.7)
    yield case("random", 50, step_size=int(rng.integers(2, 20)), gamma=float(rng.random()))
    yield case("power of two", 40, step_size=3, gamma=0.25)
    yield case("every epoch", 30, step_size=1, gamma=0.9)
    yield case("longer than the training", 10, step_size=100, gamma=0.1)


def milestones_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """A milestone at the first epoch, neighbouring ones, one past the end, none."""
    case = _case(rng, dtype)
    yield case("typical", 20, milestones=(5, 15), gamma=0.1)
    yield case("random", 50, milestones=tuple(np.flatnonzero(rng.random(50) < 0.2).tolist()), gamma=0.9)
    yield case("power of two", 20, milestones=(3, 9, 17), gamma=0.5)
    yield case("neighbours", 10, milestones=(4, 5, 6), gamma=0.3)
    yield case("first epoch", 10, milestones=(0, 4), gamma=0.3)
    yield case("last epoch and beyond", 10, milestones=(9, 30), gamma=0.3)
    yield case("none", 5, milestones=(), gamma=0.1)


def cosine_with_warmup_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """With and without warm-up and a smallest rate; up to the epoch that reaches it, and far beyond."""
    case = _case(rng, dtype)
    yield case("typical", 31, warmup_epochs=5, total_epochs=30)
    yield case("smallest rate", 31, lr=0.1, warmup_epochs=5, total_epochs=30, lr_min=0.01)
    total = int(rng.integers(20, 60))
    yield case("random", total, warmup_epochs=int(rng.integers(2, 15)), total_epochs=total)
    yield case("no warm-up", 21, warmup_epochs=0, total_epochs=20, lr_min=1e-5)
    yield case("one epoch of warm-up", 13, warmup_epochs=1, total_epochs=13)
    yield case("one epoch of cosine", 8, warmup_epochs=7, total_epochs=8)
    yield case("long", 300, warmup_epochs=10, total_epochs=300)
    yield case("down, up and down again", 40, warmup_epochs=3, total_epochs=14)


def cosine_with_restarts_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Cycles of one length and of growing ones, to the epoch and beyond; cycles of one epoch."""
    case = _case(rng, dtype)
    yield case("typical", 70, T_0=10, T_mult=2)
    yield case("smallest rate", 35, lr=0.1, T_0=7, T_mult=2, eta_min=0.01)
    yield case("equal cycles", 35, T_0=7)
    yield case("threefold", 130, T_0=3, T_mult=3, eta_min=1e-4)
    yield case("random", 60, T_0=int(rng.integers(2, 9)), T_mult=int(rng.integers(1, 4)))
    yield case("cycles of one epoch", 5, T_0=1)
    yield case("from one epoch on", 20, T_0=1, T_mult=2)
    yield case("one cycle", 10, T_0=50)


def one_cycle_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Every step of a cycle: both strategies, two phases and three, with a peak at a step and between two."""
    case = _case(rng, dtype)
    yield case("typical", 30, total_steps=30)
    yield case("linear", 30, total_steps=30, anneal_strategy="linear")
    yield case("three phases", 30, total_steps=30, three_phase=True)
    yield case("three phases, linear", 41, total_steps=41, three_phase=True, anneal_strategy="linear")
    yield case("peak between two steps", 27, total_steps=27, pct_start=0.25)
    yield case("other factors", 30, total_steps=30, div_factor=10.0, final_div_factor=100.0)
    steps = int(rng.integers(10, 60))
    yield case("random", steps, total_steps=steps, pct_start=float(rng.uniform(0.1, 0.9)))
    yield case("no way up", 10, total_steps=10, pct_start=0.0)
    yield case("no way down", 10, total_steps=10, pct_start=1.0)
    yield case("stopped early", 13, total_steps=100)
    yield case("one step", 1, total_steps=1)


def plateau_cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Costs that fall and stall, accuracies that rise and stall, both kinds of threshold, NaN, infinity."""

    def case(name: str, metrics: Any, lr: tuple[float, ...] = (0.5,), **options: Any) -> Case:
        metrics = tuple(float(metric) for metric in metrics)
        return Case(name, {}, {"lr": lr, "metrics": metrics, **options}, dtype=dtype)

    falling = 1 / np.arange(1, 11)
    stalling = np.concatenate([falling, 0.1 + 0.02 * rng.random(25)])
    steps = np.repeat([1.0, 0.5, 0.25, 0.125], [4, 5, 6, 9])
    yield case("typical", stalling, patience=3)
    yield case("accuracies", 1 - stalling, patience=3, mode="max")
    yield case("no patience", stalling, patience=0, factor=0.5)
    yield case("defaults", np.concatenate([falling, np.full(40, 0.1)]))
    yield case("stairs", steps, patience=4)
    yield case("the same again and no threshold", steps, patience=2, threshold=0.0, factor=0.5)
    yield case("cooldown", np.ones(30), patience=2, cooldown=3, factor=0.5)
    yield case("cooldown, falling again", np.tile(falling, 4), patience=1, cooldown=2, factor=0.5)
    yield case("relative threshold", 0.97 ** np.arange(30), patience=2, threshold=0.1)
    slowly = 10 - 0.03 * np.arange(30)
    yield case("absolute threshold", slowly, patience=2, threshold=0.1, threshold_mode="abs")
    yield case("accuracies, absolute", -slowly, patience=2, threshold=0.1, threshold_mode="abs", mode="max")
    yield case("accuracies, relative", 1.03 ** np.arange(30), patience=2, threshold=0.1, mode="max")
    yield case("smallest rate", np.ones(30), patience=1, min_lr=0.01)
    yield case("small reductions", np.ones(30), patience=1, eps=0.004)
    yield case("groups", stalling, lr=(0.5, 0.1), patience=2, min_lr=(0.01, 0.02))
    waving = 1 + np.sin(np.arange(40))
    yield case("up and down", waving + 0.01 * rng.random(40), patience=4, factor=0.5)
    yield case("costs below 0", -waving - 1, patience=4, threshold=0.01)
    broken = waving.copy()
    broken[[3, 4, 12, 20]] = np.nan, np.inf, np.nan, -np.inf
    yield case("nan and infinity", broken, patience=3, factor=0.5)


def inverse_time_edges(base: Case) -> Iterator[Edge]:
    """Any rate of the decay."""
    yield from at(base, "decay_rate", 0.0, 5e-324, 1e308, math.nan, math.inf, -0.1)


def fixed_interval_edges(base: Case) -> Iterator[Edge]:
    """And intervals of one epoch and of none."""
    yield from inverse_time_edges(base)
    yield from at(base, "interval", 1, 0, -1)


def exponential_edges(base: Case) -> Iterator[Edge]:
    """Any γ."""
    yield from _gammas(base)
    for gamma, epochs in ((0.5, 1100), (0.1, 400), (10.0, 320)):
        yield _out_of_range(base, gamma, epochs)


def inverse_sqrt_edges(base: Case) -> Iterator[Edge]:
    """Any k."""
    yield from at(base, "k", 5e-324, 1e308, 0.0, math.nan, math.inf)


def staircase_edges(base: Case) -> Iterator[Edge]:
    """Any γ; steps of one epoch, of none and of more than there are."""
    yield from _gammas(base)
    yield from at(base, "step_size", 1, 0, -1, 10**9)
    for gamma, epochs in ((0.1, 400), (10.0, 320)):
        yield _out_of_range(base, gamma, epochs, step_size=1)


def milestones_edges(base: Case) -> Iterator[Edge]:
    """Any γ; no milestones, one at every epoch, and those that are none."""
    yield from _gammas(base)
    several = ((), (0,), (0, 1, 2, 3, 4), (3, 3), (5, 2), (-1,), (10**9,))
    yield from at(base, "milestones", *several)
    for gamma, epochs in ((0.1, 400), (10.0, 320)):
        yield _out_of_range(base, gamma, epochs + 1, milestones=tuple(range(1, epochs + 1)))


def cosine_with_warmup_edges(base: Case) -> Iterator[Edge]:
    """Of one epoch; no warm-up and nothing else; far beyond the end; and any smallest rate."""
    yield edge(base, "epoch 0", epochs=1)
    yield from at(base, "warmup_epochs", 0, 1, 29, 30, -1, epochs=31)
    yield from at(base, "total_epochs", 1, 0, epochs=3, warmup_epochs=0)
    yield edge(base, "ten periods beyond the last epoch", epochs=300)
    yield from at(base, "lr_min", 0.0, 0.3, 0.5, math.nan, math.inf, -0.1, epochs=31)


def cosine_with_restarts_edges(base: Case) -> Iterator[Edge]:
    """Cycles of one epoch and of none, that do not grow or shrink, and any smallest rate."""
    yield from at(base, "T_0", 1, 0, -1, 10**9)
    yield from at(base, "T_mult", 1, 0, -1, 10**9, epochs=25)
    yield from at(base, "eta_min", 0.0, 0.3, 0.5, math.nan, math.inf, -0.1, epochs=25)


def one_cycle_edges(base: Case) -> Iterator[Edge]:
    """Peaks at the first step, at the last one and beyond; a cycle that is over; factors of 1 and below."""
    yield from at(base, "total_steps", 1, 0, -1, epochs=1)
    yield edge(base, "the step after the last one", epochs=31)
    yield edge(base, "a step further", epochs=32)
    yield from at(base, "pct_start", 0.0, 0.01, 1.0, math.nan, -0.1, 1.1, epochs=30)
    yield from at(base, "pct_start", 0.0, 0.01, 0.5, 0.8, 1.0, three_phase=True, epochs=30)
    for three_phase in (False, True):
        yield edge(
            base, "no way up", f"three phases {three_phase}", pct_start=1 / 30, three_phase=three_phase
        )
    yield edge(base, "no way down, and over", pct_start=1.0, epochs=31)
    yield edge(base, "no third phase, and over", total_steps=2, pct_start=0.75, three_phase=True, epochs=3)
    for option in ("div_factor", "final_div_factor"):
        yield from at(base, option, 1.0, 0.5, 0.0, math.nan, math.inf, -1.0)


def plateau_edges(base: Case) -> Iterator[Edge]:
    """Any setting; metrics that are no numbers, and all the same; none at all."""
    yield from at(base, "patience", 0, -1, 10**9)
    yield from at(base, "cooldown", 0, -1, 10**9)
    yield from at(base, "factor", 0.0, 5e-324, 1.0, math.nan, -0.1)
    for mode in ("rel", "abs"):
        several = (0.0, 1.0, 2.0, 1e308, math.nan, math.inf, -0.1)
        yield from at(base, "threshold", *several, threshold_mode=mode)
    yield from at(base, "min_lr", 0.0, 0.5, 1.0, (0.1,), (0.1, 0.2), math.nan, -0.1)
    yield from at(base, "eps", 0.0, 1.0, math.nan, -0.1)
    yield from at(base, "mode", "max", "largest")
    yield from at(base, "threshold_mode", "share")
    for name, metric in (("NaN", math.nan), ("+∞", math.inf), ("−∞", -math.inf), ("0", 0.0)):
        yield edge(base, f"metrics {name}", metrics=(metric,) * 20)
    yield edge(base, "no epoch", metrics=())
    for rate in (0.0, 5e-324, 1e308):
        yield edge(base, f"lr = {rate:g}".replace("-", "−").replace("+", ""), lr=(rate,))


def _gammas(base: Case) -> Iterator[Edge]:
    yield from at(base, "gamma", 1.0, 0.0, 5e-324, 1e308, math.nan, math.inf, -0.5)


def _out_of_range(base: Case, gamma: float, epochs: int, **others: Any) -> Edge:
    name = f"rate {'under' if gamma < 1 else 'over'}flows"
    return edge(base, name, f"gamma {gamma:g}", gamma=gamma, epochs=epochs, **others)


RATE = (
    "γⁿ overflows in Python with an exception, where PyTorch multiplies on with an infinite rate: an error is"
    " the better answer."
)
HALVED = "Below the smallest normal number PyTorch rounds at every epoch, γⁿ·lr is rounded once."
NO_LENGTH = "A phase without a step: PyTorch divides by its length, which is zero; here it is over."
RATE_OVERFLOWS = Departure(("rate overflows",), ("gamma 10",), RATE)


def any_rate(choose: Choose) -> float:
    """Of the first epoch."""
    return power(choose, -8, 2) if chance(choose) else 0.0


def any_decay(choose: Choose) -> float:
    """The rate of a decay."""
    return choose.number(0, 2) if chance(choose) else power(choose, -6, 6)


def any_gamma(choose: Choose) -> float:
    """Growth too; of powers of two, nothing is rounded."""
    match choose.one_of(("near 1", "any size", "a power of two")):
        case "near 1":
            return choose.number(0.5, 1.5)
        case "any size":
            return power(choose, -12, 1)
    return choose.one_of((0.5, 1.0, 2.0))


def any_interval(choose: Choose) -> int:
    """Of one epoch, or longer than the training."""
    return choose.integer(1, 50)


def any_milestones(choose: Choose) -> tuple[int, ...]:
    """Some epochs, or none."""
    return tuple(sorted({choose.integer(0, 60) for _ in range(choose.integer(0, 8))}))


def _random_case(**options: Callable[[Choose], Any]) -> Callable[[Choose, Any], Case]:
    """Rates, decays and lengths over many orders of magnitude."""

    def random_case(choose: Choose, dtype: Any) -> Case:
        chosen = {name: option(choose) for name, option in options.items()}
        chosen = {"lr": any_rate(choose), "epochs": choose.integer(1, 40), **chosen}
        return Case("random", {}, chosen, dtype=dtype)

    return random_case


def random_cosine_with_warmup(choose: Choose, dtype: Any) -> Case:
    """Before, at and after the epoch of the smallest rate, which may be larger than the first."""
    warmup = choose.integer(0, 20)
    total = warmup + choose.integer(1, 40)
    epochs = choose.integer(1, choose.one_of((total + 1, 100)))
    options = {"lr": any_rate(choose), "epochs": epochs, "warmup_epochs": warmup, "total_epochs": total}
    return Case("random", {}, {**options, **some_of(choose, lr_min=any_rate)}, dtype=dtype)


def any_cycle(choose: Choose) -> int:
    """The length of a cycle, or how much longer the next one is."""
    return choose.integer(1, choose.one_of((3, 30)))


def random_one_cycle(choose: Choose, dtype: Any) -> Case:
    """To the last step or not so far, with a peak anywhere but in the first step"""
    steps = choose.integer(1, 60)
    options = some_of(
        choose,
        pct_start=lambda choose: choose.number(0, 1),
        anneal_strategy=lambda choose: choose.one_of(("cos", "linear")),
        div_factor=lambda choose: power(choose, -1, 3),
        final_div_factor=lambda choose: power(choose, -1, 6),
        three_phase=chance,
    )
    choose.assume(options.get("pct_start", 0.3) * steps != 1)  # where PyTorch divides by 0
    options = {"lr": any_rate(choose), "epochs": choose.integer(1, steps), "total_steps": steps, **options}
    return Case("random", {}, options, dtype=dtype)


def random_plateau(choose: Choose, dtype: Any) -> Case:
    """Of few different metrics, so that many are as good as the best; now and then one that is no number."""
    metrics = [choose.integer(-3, 9) / 8 for _ in range(choose.integer(0, 40))]
    if chance(choose):
        odd = choose.one_of((math.nan, math.inf, -math.inf))
        metrics = [odd if choose.integer(0, 9) == 0 else metric for metric in metrics]
    options = some_of(
        choose,
        mode=lambda choose: choose.one_of(("min", "max")),
        factor=lambda choose: choose.number(0, 0.99),
        patience=lambda choose: choose.integer(0, 5),
        threshold=lambda choose: choose.one_of((0.0, 0.125, 1.0)) if chance(choose) else power(choose, -6, 1),
        threshold_mode=lambda choose: choose.one_of(("rel", "abs")),
        cooldown=lambda choose: choose.integer(0, 5),
        min_lr=any_rate,
        eps=any_rate,
    )
    rates = tuple(any_rate(choose) for _ in range(choose.integer(1, 2)))
    return Case("random", {}, {"lr": rates, "metrics": tuple(metrics), **options}, dtype=dtype)


REFUSED: dict[str, dict[str, tuple[Any, ...]]] = {  # schedule → option → what it may not be
    "inverse_time": {"decay_rate": (-1.0, np.nan, np.inf)},
    "fixed_interval": {"decay_rate": (-1.0, np.nan), "interval": (0, -3, 2.0)},
    "exponential": {"gamma": (0.0, -0.5, np.nan, np.inf)},
    "inverse_sqrt": {"k": (0.0, -1.0, np.nan, np.inf)},
    "staircase": {"step_size": (0, 2.5), "gamma": (0, -1, np.nan, np.inf)},
    "milestones": {"milestones": ((3, 2), (2, 2), (-1,), (0.5,)), "gamma": (0, -1, np.nan, np.inf)},
    "cosine_with_warmup": {
        "warmup_epochs": (-1, 30, 31, 1.5),
        "total_epochs": (0, 1.5),
        "lr_min": (-0.1, np.nan, np.inf),
    },
    "cosine_with_restarts": {
        "T_0": (0, -1, 2.5),
        "T_mult": (0, -1, 1.5),
        "eta_min": (-0.1, np.nan, np.inf),
    },
    "one_cycle": {
        "epochs": (32,),
        "total_steps": (0, -1, 30.0),
        "pct_start": (-0.1, 1.1, np.nan),
        "anneal_strategy": ("cosine", None),
        "div_factor": (0.0, -1.0, np.nan, np.inf),
        "final_div_factor": (0.0, -1.0, np.nan, np.inf),
    },
    "reduce_lr_on_plateau": {
        "mode": ("largest", None),
        "factor": (-0.1, 1.0, np.nan),
        "patience": (-1, 2.5),
        "threshold": (-0.1, np.nan, np.inf),
        "threshold_mode": ("share",),
        "cooldown": (-1, 2.5),
        "min_lr": (-0.1, np.nan, (0.1, 0.1), (-0.1,), "0"),
        "eps": (-0.1, np.nan),
        "metrics": (("better",),),
    },
}


def _refused(name: str, cases: Callable[[np.random.Generator, Any], Iterator[Case]]) -> Callable:
    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        good = next(iter(cases(rng, dtype)))
        for option, values in REFUSED[name].items():
            for value in values:
                yield good.but(f"{option} {value}", **{option: value})

    return refused


def _case(rng: np.random.Generator, dtype: Any) -> Callable[..., Case]:
    def case(name: str, epochs: int, lr: float | None = None, **options: Any) -> Case:
        if lr is None:
            lr = float(10 ** rng.uniform(-4, 0))
        return Case(name, {}, {"lr": lr, "epochs": epochs, **options}, dtype=dtype)

    return case


def _component(
    name: str,
    scheduler: str,
    cases: Callable[[np.random.Generator, Any], Iterator[Case]],
    random_case: Callable[[Choose, Any], Case],
    edges: Callable[[Case], Iterator[Edge]],
    budget: Budget,
    mistakes: tuple[Mistake, ...],
    magnitude: Callable[[Case], dict[str, Any]] = lambda case: {},
    arbiter: bool = False,
    departures: tuple[Departure, ...] = (),
) -> Component:
    def arguments(case: Case) -> tuple[Any, Any, dict[str, Any]]:
        options = dict(case.options)
        return options.pop("lr"), options.pop("epochs"), options

    def run_scratch(case: Case, f: Any) -> Results:
        lr, epochs, options = arguments(case)
        return {"learning_rate": np.array([getattr(f, name)(lr, e, **options) for e in range(epochs)])}

    def run_torch(case: Case) -> Results:
        lr, epochs, options = arguments(case)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
        scheduler = getattr(reference, name)(optimizer, **options)
        rates = []
        for epoch in range(epochs):
            if epoch:
                optimizer.step()
                scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
        return {"learning_rate": torch.tensor(rates, dtype=torch.float64)}

    def all_edges(base: Case) -> Iterator[Edge]:
        """Any first rate, epoch by epoch; distant epochs, by PyTorch's own jump; then settings."""
        yield from at(base, "lr", 0.0, 5e-324, 1e308)
        yield from bad(base, "lr")
        if scheduler != "CosineAnnealingLR":  # here in a SequentialLR, which can not jump
            for label, epoch in (("0", 0), ("10⁶", 10**6), ("10¹⁵", 10**15)):
                case = base.but("", epochs=epoch)
                yield Edge(f"epoch {label}", "", case, jump_scratch, jump_torch)
        yield from edges(base)

    def jump_scratch(case: Case, f: Any) -> Results:
        lr, epoch, options = arguments(case)
        return {"learning_rate": np.array(getattr(f, name)(lr, epoch, **options))}

    def jump_torch(case: Case) -> Results:
        lr, epoch, options = arguments(case)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
        scheduler: Any = getattr(reference, name)(optimizer, **options)
        scheduler.step(epoch)
        return {"learning_rate": torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)}

    return Component(
        name=name,
        topic="schedules",
        source=f"https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.{scheduler}.html",
        functions=(name,),
        reference=(name,),
        cases=cases,
        rare={"down, up and down again": "epochs beyond total_epochs"},
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=budget,
        magnitude=magnitude,
        mistakes=mistakes,
        refused=_refused(name, cases),
        edges=Edges(others=all_edges, prepared=lambda case: case.but("", lr=0.3, epochs=5)),
        departures=departures,
        arbiter=arbiter,
    )


def run_plateau(case: Case, f: Any) -> Results:
    """The rates of all groups after each epoch."""
    options = dict(case.options)
    groups: list[dict[str, Any]] = [{"params": [np.zeros(1)], "lr": lr} for lr in options.pop("lr")]
    metrics, optimizer = options.pop("metrics"), SGD(groups, 0.1)
    scheduler = f.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append([group["lr"] for group in optimizer.param_groups])
    return {"learning_rate": np.array(rates, np.float64)}


def run_torch_plateau(case: Case) -> Results:
    """The same of PyTorch's."""
    options = dict(case.options)
    groups: list[dict[str, Any]] = [{"params": [torch.zeros(1)], "lr": lr} for lr in options.pop("lr")]
    metrics, optimizer = options.pop("metrics"), torch.optim.SGD(groups, 0.1)
    scheduler = reference.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append([group["lr"] for group in optimizer.param_groups])
    return {"learning_rate": torch.tensor(rates, dtype=torch.float64)}


def decays(case: Case) -> np.ndarray:
    """How often γ has been multiplied into the rate, at each epoch."""
    epochs = np.arange(case.options["epochs"])
    if "milestones" in case.options:
        return np.searchsorted(case.options["milestones"], epochs, side="right")
    return epochs // case.options.get("step_size", 1)


def decayed_magnitude(case: Case) -> dict[str, Any]:
    """Each rate is counted in itself: beside the first one, errors in the last would go unseen."""
    return {"learning_rate": case.options["lr"] * case.options["gamma"] ** decays(case)}


def cosine_magnitude(case: Case) -> dict[str, Any]:
    """Both ends of the curve are terms of every rate: lr_min + ½(lr − lr_min)(1 + cos …)"""
    return {"learning_rate": max(case.options["lr"], case.options.get("lr_min", 0))}


def decayed_units(case: Case) -> float:
    """Nothing for a power of two; else a half for each of PyTorch's products, two for γⁿ and its product."""
    power_of_two = math.frexp(case.options["gamma"])[0] == 0.5
    return 0 if power_of_two else 0.5 * int(decays(case).max()) + 2


def cosine_units(case: Case) -> float:
    """Three an epoch, and all of them grow where the rate rises again

    Each rate is lr_min + q·(the one before − lr_min) with q = (1 + cos(πe/N))/(1 + cos(π(e − 1)/N)) and
    N = T − w; errors are multiplied by q too. q < 1 up to epoch N, where it is 0. From there on the rate
    rises to lr again, by a factor of 2/(1 − cos(π/N)) from epoch N + 1 to 2N.
    """
    epochs, length = case.options["epochs"], case.options["total_epochs"] - case.options["warmup_epochs"]
    rises = epochs > case.options["total_epochs"] + 2
    return 3 * epochs * (2 / (1 - math.cos(math.pi / length)) if rises else 1)


SAME_EXPRESSION = Budget(0, "LambdaLR: the same expression in Python floats on both sides")
PYTHONS_FLOATS = Budget(0, "the same expression in Python floats on both sides")
MULTIPLIED = Budget(
    decayed_units,
    "PyTorch multiplies the rate by γ at each of n decays, half a unit each; γⁿ itself and its product are"
    " two: n/2 + 2, and 0 where γ is a power of two",
)
RECURSIVE_COSINE = Budget(
    cosine_units,
    "PyTorch computes each rate from the one before: two cosines, a quotient, a product, a difference and a"
    " sum are at most three units of the largest rate an epoch; beyond T, where the rate rises again,"
    " 2/(1 − cos(π/(T − w))) times as many",
)


def _epoch_from_1(line: str, convention: str = "") -> Mistake:
    return Mistake(
        "epochs counted from 1",
        "Every rate comes one epoch early: the initial one is never used.",
        [(line, f"epoch += 1\n    {line}")],
        convention,
    )


def _every_batch(line: str) -> Mistake:
    return Mistake(
        "stepped after every mini-batch",
        f"Each of the {BATCHES} mini-batches of an epoch counts as an epoch.",
        [(line, f"epoch *= {BATCHES}\n    {line}")],
        convention="Keras and optax, whose schedules count steps",
    )


def _compounded(line: str) -> Mistake:
    rate = line.removeprefix("return ").replace("epoch", "earlier")
    return Mistake(
        "applied to the decayed rate",
        "Every epoch starts from the rate of the epoch before, where the formula wants the initial one.",
        [(line, f"for earlier in range(epoch + 1):\n        lr = {rate}\n    return lr")],
    )


INVERSE_TIME = "return lr * (1 / (1 + decay_rate * epoch))"
FIXED_INTERVAL = "return lr * (1 / (1 + decay_rate * (epoch // interval)))"
EXPONENTIAL = "return lr * gamma**epoch"
INVERSE_SQRT = "return lr * (k / math.sqrt(epoch + 1))"
STAIRCASE = "return lr * gamma ** (epoch // step_size)"
MILESTONES = "return lr * gamma ** sum(milestone <= epoch for milestone in milestones)"
COSINE = "if epoch < warmup_epochs:"
RESTARTS = "    length = T_0\n"
CYCLE = "    _check_cycle(epoch, total_steps)\n"
BETTER = "self.best, self.num_bad_epochs = metrics, 0"
REDUCED = "self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0"
COOLDOWN = "            self.cooldown_counter -= 1\n            self.num_bad_epochs = 0\n"
PEAK = "pct_start * total_steps - 1, lr"

RESTARTS_MISTAKES = (
    Mistake(
        "restart one epoch late",
        "> where ≥ belongs: a cycle is T + 1 epochs long, and its last one runs at the smallest rate.",
        [("epoch >= length", "epoch > length"), ("epoch % length", "epoch")],
    ),
    Mistake(
        "cycles that do not grow",
        "T_mult is not used: every cycle is T_0 epochs long.",
        [("while T_mult > 1 and epoch", "while False and epoch")],
    ),
    Mistake(
        "cycles longer by as much",
        "T_0, 2·T_0, 3·T_0 …: with T_mult = 2 it is T_0, 2·T_0, 4·T_0.",
        [("length * T_mult", "length + (T_mult - 1) * T_0")],
    ),
    Mistake(
        "never restarted",
        "The cosine goes on: the rate rises again as slowly as it fell.",
        [("while T_mult > 1 and epoch", "while False and epoch"), ("epoch % length", "epoch")],
    ),
    Mistake(
        "smallest rate in the last epoch",
        "Divided by T − 1: η in the last epoch of a cycle, which PyTorch's never quite reaches.",
        [("(epoch % length) / length", "(epoch % length) / max(length - 1, 1)")],
    ),
    Mistake(
        "half forgotten",
        "1 + cos runs from 2 to 0: each cycle starts at twice lr.",
        [("(epoch % length) / length)) / 2", "(epoch % length) / length))")],
    ),
    Mistake(
        "smallest rate on top",
        "η is added to the whole curve, which then starts at lr + η.",
        [("(lr - eta_min) * (1", "lr * (1")],
    ),
    Mistake(
        "smallest rate as a share",
        "η·lr, as if `eta_min` were a share of the first rate.",
        [(RESTARTS, f"    eta_min *= lr\n{RESTARTS}")],
        convention="Keras: alpha of CosineDecayRestarts",
    ),
    _epoch_from_1("length = T_0\n"),
    _every_batch("length = T_0\n"),
)

ONE_CYCLE_MISTAKES = (
    Mistake(
        "peak one step late",
        "pct_start·T: counted from 0, the last step of the way up is one before that.",
        [(PEAK, "pct_start * total_steps, lr")],
    ),
    Mistake(
        "end one step late",
        "T for T − 1: the smallest rate comes when the training is over.",
        [("(total_steps - 1, last)", "(total_steps, last)")],
    ),
    Mistake(
        "always linear",
        "Straight lines, whatever the strategy.",
        [('if anneal_strategy == "linear":', "if True:")],
    ),
    Mistake(
        "always a cosine",
        "Half a cosine, whatever the strategy.",
        [('if anneal_strategy == "linear":', "if False:")],
    ),
    Mistake(
        "quarter of a cosine",
        "cos(½π·p): steep where the curve should flatten out, at its end.",
        [("(a - b) / 2 * (1 + math.cos(math.pi * progress))", "(a - b) * math.cos(math.pi / 2 * progress)")],
    ),
    Mistake(
        "half forgotten",
        "(a − b)(1 + cos) is twice the way: the rate begins beyond a.",
        [("(a - b) / 2 *", "(a - b) *")],
    ),
    Mistake(
        "last rate by the largest",
        "lr/f, where the last rate is the first one divided by f: lr/(d·f).",
        [("lr / div_factor / final_div_factor", "lr / final_div_factor")],
        convention="fastai: div_final",
    ),
    Mistake(
        "back to the first rate",
        "The last rate is lr/d again: the long tail, in which the cost falls once more, is missing.",
        [("lr / div_factor / final_div_factor", "lr / div_factor")],
    ),
    Mistake(
        "lr for the first rate",
        "From lr up to d·lr: lr is the largest rate, and training at d times as much diverges.",
        [(CYCLE, f"{CYCLE}    lr = lr * div_factor\n")],
    ),
    Mistake(
        "third phase forgotten",
        "Down from the peak at once to the smallest rate, also if three phases are asked for.",
        [("if three_phase:", "if False:")],
    ),
    Mistake(
        "way back one step longer",
        "2·pct_start·T − 1: each of both ways has a step less than its share.",
        [("2 * pct_start * total_steps - 2", "2 * pct_start * total_steps - 1")],
    ),
    _epoch_from_1("first, last = "),
)

PLATEAU_MISTAKES = (
    Mistake(
        "one epoch too early",
        "≥ where > belongs: `patience` bad epochs are borne, and it is one more that is not.",
        [("self.num_bad_epochs > self.patience", "self.num_bad_epochs >= self.patience")],
        convention="Keras",
    ),
    Mistake(
        "threshold absolute",
        "best ∓ threshold in both modes: of a cost of 100, 10⁻⁴ is no difference.",
        [('relative = self.threshold_mode == "rel"', "relative = False")],
        convention="Keras: min_delta",
    ),
    Mistake(
        "threshold relative",
        "best·(1 ∓ threshold) in both modes.",
        [('relative = self.threshold_mode == "rel"', "relative = True")],
    ),
    Mistake(
        "threshold on the wrong side",
        "best·(1 + threshold) for a cost: a little worse is good enough, and no plateau is seen.",
        [("1 + sign * self.threshold", "1 - sign * self.threshold")],
    ),
    Mistake(
        "threshold forgotten",
        "Any improvement counts, be it of the last digit.",
        [
            (
                "self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold",
                "self.best",
            )
        ],
    ),
    Mistake(
        "as good is better",
        "≤ where < belongs: without a threshold, the same cost again and again is no plateau.",
        [
            (
                'metrics > bar if self.mode == "max" else metrics < bar',
                'metrics >= bar if self.mode == "max" else metrics <= bar',
            )
        ],
    ),
    Mistake(
        "NaN is better",
        "“not worse” for “better”: no comparison with NaN is true, and once it is best, nothing is worse.",
        [
            (
                'metrics > bar if self.mode == "max" else metrics < bar',
                'not metrics <= bar if self.mode == "max" else not metrics >= bar',
            )
        ],
    ),
    Mistake(
        "smaller is always better",
        "The mode is not looked at: of an accuracy, the first epoch is the best.",
        [('metrics > bar if self.mode == "max" else metrics < bar', "metrics < bar")],
    ),
    Mistake(
        "best not updated",
        "Every epoch is better than what the first one had to beat: the rate is never reduced.",
        [(BETTER, "self.num_bad_epochs = 0")],
    ),
    Mistake(
        "compared with the epoch before",
        "The last metric for the best one: a cost that goes up and down seems to improve.",
        [
            (
                "            self.num_bad_epochs += 1\n",
                "            self.num_bad_epochs += 1\n            self.best = metrics\n",
            )
        ],
    ),
    Mistake(
        "bad epochs not forgotten",
        "A better epoch does not set the count to 0: bad ones add up over the whole training.",
        [(BETTER, "self.best = metrics")],
    ),
    Mistake(
        "count not reset after a reduction",
        "Once it is out of patience, it reduces the rate after every further epoch.",
        [(REDUCED, "self.cooldown_counter = self.cooldown")],
    ),
    Mistake(
        "no cooldown",
        "The epochs right after a reduction count like all others.",
        [(REDUCED, "self.num_bad_epochs = 0")],
    ),
    Mistake(
        "counted during the cooldown",
        "The bad epochs of the cooldown count as soon as it is over.",
        [
            (COOLDOWN, "            self.cooldown_counter -= 1\n"),
            ("if self.num_bad_epochs > self.patience", "elif self.num_bad_epochs > self.patience"),
        ],
    ),
    Mistake(
        "cooldown one epoch short",
        "Counted down first and looked at then: its last epoch counts already.",
        [
            (
                COOLDOWN,
                "            self.cooldown_counter -= 1\n"
                "            self.num_bad_epochs *= self.cooldown_counter == 0\n",
            )
        ],
        convention="Keras",
    ),
    Mistake(
        "reduced by the factor",
        "(1 − factor)·lr: with factor = 0.1 a tenth is taken off, where a tenth should be left.",
        [('group["lr"] * self.factor', 'group["lr"] * (1 - self.factor)')],
    ),
    Mistake(
        "smallest rate forgotten",
        "The rate falls below min_lr, and on towards 0.",
        [('max(group["lr"] * self.factor, min_lr)', 'group["lr"] * self.factor')],
    ),
    Mistake(
        "small reductions too",
        "`eps` is not used: rates that no longer matter are reduced on and on.",
        [('if group["lr"] - lr > self.eps:', "if True:")],
    ),
    Mistake(
        "first group alone",
        "The rates of the other groups stay.",
        [
            (
                "zip(self.optimizer.param_groups, self.min_lrs, strict=True)",
                "zip(self.optimizer.param_groups[:1], self.min_lrs, strict=False)",
            )
        ],
    ),
    Mistake(
        "best starts at 0",
        "No cost is below 0: every epoch is a bad one, the first ones too.",
        [('self.best = math.inf if mode == "min" else -math.inf', "self.best = 0.0")],
    ),
)

COMPONENTS = (
    _component(
        "inverse_time",
        "LambdaLR",
        inverse_time_cases,
        _random_case(decay_rate=any_decay),
        inverse_time_edges,
        SAME_EXPRESSION,
        (
            _epoch_from_1(INVERSE_TIME, "the course's lecture, whose first epoch is number 1"),
            _every_batch(INVERSE_TIME),
            _compounded(INVERSE_TIME),
            Mistake(
                "linear decay",
                "1 − k·epoch, the beginning of the series of 1/(1 + k·epoch): negative after 1/k epochs.",
                [("1 / (1 + decay_rate * epoch)", "1 - decay_rate * epoch")],
            ),
        ),
    ),
    _component(
        "fixed_interval",
        "LambdaLR",
        fixed_interval_cases,
        _random_case(decay_rate=any_decay, interval=any_interval),
        fixed_interval_edges,
        SAME_EXPRESSION,
        (
            _epoch_from_1(FIXED_INTERVAL),
            _every_batch(FIXED_INTERVAL),
            _compounded(FIXED_INTERVAL),
            Mistake(
                "integer division forgotten",
                "epoch/interval without ⌊ ⌋: the rate falls a little every epoch and not in steps.",
                [("epoch // interval", "epoch / interval")],
                convention="Keras: InverseTimeDecay, unless staircase=True",
            ),
            Mistake(
                "decay every epoch",
                "The interval is ignored: the rate falls interval times too fast.",
                [("(epoch // interval)", "epoch")],
            ),
            Mistake(
                "at the interval's epochs only",
                "Decayed where epoch is a multiple of the interval, and back at the initial rate in between.",
                [(FIXED_INTERVAL, f"{FIXED_INTERVAL} if epoch % interval == 0 else lr")],
            ),
        ),
    ),
    _component(
        "exponential",
        "ExponentialLR",
        exponential_cases,
        _random_case(gamma=any_gamma),
        exponential_edges,
        MULTIPLIED,
        (
            _epoch_from_1(EXPONENTIAL),
            _every_batch(EXPONENTIAL),
            _compounded(EXPONENTIAL),
            Mistake(
                "multiplied, not raised to the power",
                "γ·epoch where γ^epoch belongs: 0 in epoch 0, and growing.",
                [("gamma**epoch", "gamma * epoch")],
            ),
            Mistake(
                "decayed once",
                "γ·lr in every epoch after the first: the power is forgotten.",
                [("gamma**epoch", "(gamma if epoch else 1)")],
            ),
            Mistake(
                "e to the −γ",
                "e^(−γ·epoch): another parametrisation, whose γ is −log of this one.",
                [("gamma**epoch", "math.exp(-gamma * epoch)")],
                convention="CS231n",
            ),
        ),
        magnitude=decayed_magnitude,
        arbiter=True,
        departures=(
            Departure(("gamma = 1e308", "rate overflows"), ("", "gamma 10"), RATE),
            Departure(("rate underflows",), ("gamma 0.5",), HALVED),
        ),
    ),
    _component(
        "inverse_sqrt",
        "LambdaLR",
        inverse_sqrt_cases,
        _random_case(k=lambda choose: power(choose, -6, 6)),
        inverse_sqrt_edges,
        SAME_EXPRESSION,
        (
            Mistake(
                "epoch counted from 0 under the root",
                "k/√epoch divides by zero in the first epoch.",
                [("math.sqrt(epoch + 1)", "math.sqrt(epoch)")],
            ),
            Mistake(
                "first epoch twice",
                "k/√max(epoch, 1) avoids the division by zero, and comes one epoch late ever after.",
                [("math.sqrt(epoch + 1)", "math.sqrt(max(epoch, 1))")],
            ),
            Mistake(
                "k under the root",
                "1/√(k·t): the same for k = 1 only.",
                [("(k / math.sqrt(epoch + 1))", "(1 / math.sqrt(k * (epoch + 1)))")],
            ),
            Mistake(
                "root forgotten",
                "k/t, which falls far faster: training stops before it has arrived.",
                [("math.sqrt(epoch + 1)", "(epoch + 1)")],
            ),
            _every_batch(INVERSE_SQRT),
            _compounded(INVERSE_SQRT),
        ),
    ),
    _component(
        "staircase",
        "StepLR",
        staircase_cases,
        _random_case(step_size=any_interval, gamma=any_gamma),
        staircase_edges,
        MULTIPLIED,
        (
            _epoch_from_1(STAIRCASE),
            _every_batch(STAIRCASE),
            _compounded(STAIRCASE),
            Mistake(
                "integer division forgotten",
                "γ^(epoch/step_size): a smooth curve through the corners of the stairs.",
                [("epoch // step_size", "epoch / step_size")],
                convention="Keras: ExponentialDecay, unless staircase=True",
            ),
            Mistake(
                "decay every epoch",
                "The step size is ignored: the rate falls step_size times too fast.",
                [("(epoch // step_size)", "epoch")],
            ),
            Mistake(
                "multiplied, not raised to the power",
                "γ·⌊epoch/step_size⌋: 0 until the first step.",
                [("gamma ** (epoch", "gamma * (epoch")],
            ),
        ),
        magnitude=decayed_magnitude,
        arbiter=True,
        departures=(RATE_OVERFLOWS,),
    ),
    _component(
        "milestones",
        "MultiStepLR",
        milestones_cases,
        _random_case(milestones=any_milestones, gamma=any_gamma),
        milestones_edges,
        MULTIPLIED,
        (
            Mistake(
                "one epoch late",
                "< where ≤ belongs: the milestone itself still runs at the old rate.",
                [("milestone <= epoch", "milestone < epoch")],
            ),
            _epoch_from_1(MILESTONES),
            _every_batch(MILESTONES),
            _compounded(MILESTONES),
            Mistake(
                "multiplied, not raised to the power",
                "γ times the number of milestones: 0 before the first one.",
                [("gamma ** sum(", "gamma * sum(")],
            ),
            Mistake(
                "decayed once",
                "γ·lr from the first milestone on, whatever follows.",
                [("gamma ** sum(", "gamma ** any(")],
            ),
            Mistake(
                "at the milestones only",
                "The lower rate is used in the milestone's epoch, and the initial one again after it.",
                [("sum(milestone <= epoch for milestone in milestones)", "(epoch in milestones)")],
            ),
        ),
        magnitude=decayed_magnitude,
        arbiter=True,
        departures=(RATE_OVERFLOWS,),
    ),
    _component(
        "cosine_with_warmup",
        "CosineAnnealingLR",
        cosine_with_warmup_cases,
        random_cosine_with_warmup,
        cosine_with_warmup_edges,
        RECURSIVE_COSINE,
        (
            Mistake(
                "warm-up from zero",
                "epoch/w: the first epoch runs at rate 0 and learns nothing.",
                [("(epoch + 1) / warmup_epochs", "epoch / warmup_epochs")],
                convention="Hugging Face: get_cosine_schedule_with_warmup, which counts steps",
            ),
            Mistake(
                "half forgotten",
                "1 + cos runs from 2 to 0: the rate starts at twice lr.",
                [("math.cos(math.pi * progress)) / 2", "math.cos(math.pi * progress))")],
            ),
            Mistake(
                "cosine counted from epoch 0",
                "The epochs of the warm-up are not subtracted: the curve starts below lr, with a jump.",
                [("(epoch - warmup_epochs) / (total_epochs - warmup_epochs)", "epoch / total_epochs")],
            ),
            Mistake(
                "cosine over all epochs",
                "The denominator is T where T − w belongs: the curve does not reach the smallest rate.",
                [("/ (total_epochs - warmup_epochs)", "/ total_epochs")],
            ),
            Mistake(
                "smallest rate on top",
                "lr_min is added to the whole curve, which then starts at lr + lr_min.",
                [("(lr - lr_min) * (1 + math.cos", "lr * (1 + math.cos")],
            ),
            Mistake(
                "smallest rate in the last epoch",
                "Divided by T − w − 1: lr_min in epoch T − 1, where PyTorch reaches it in T.",
                [("/ (total_epochs - warmup_epochs)", "/ max(total_epochs - warmup_epochs - 1, 1)")],
            ),
            _epoch_from_1(COSINE),
            _every_batch(COSINE),
        ),
        magnitude=cosine_magnitude,  # no arbiter: math.cos knows float64 only
    ),
    _component(
        "cosine_with_restarts",
        "CosineAnnealingWarmRestarts",
        cosine_with_restarts_cases,
        _random_case(T_0=any_cycle, T_mult=any_cycle, eta_min=any_rate),
        cosine_with_restarts_edges,
        PYTHONS_FLOATS,
        RESTARTS_MISTAKES,
    ),
    _component(
        "one_cycle",
        "OneCycleLR",
        one_cycle_cases,
        random_one_cycle,
        one_cycle_edges,
        PYTHONS_FLOATS,
        ONE_CYCLE_MISTAKES,
        magnitude=lambda case: {"learning_rate": case.options["lr"]},  # a term of every rate
        departures=(
            Departure(("no way up",), ("*",), NO_LENGTH),
            Departure(("no way down, and over", "no third phase, and over"), ("",), NO_LENGTH),
        ),
    ),
    Component(
        name="reduce_lr_on_plateau",
        topic="schedules",
        source="https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html",
        functions=("ReduceLROnPlateau",),
        reference=("ReduceLROnPlateau",),
        cases=plateau_cases,
        random_case=random_plateau,
        run_scratch=run_plateau,
        run_torch=run_torch_plateau,
        budget=PYTHONS_FLOATS,
        mistakes=PLATEAU_MISTAKES,
        refused=_refused("reduce_lr_on_plateau", plateau_cases),
        edges=Edges(others=plateau_edges),
        arbiter=False,
    ),
)
