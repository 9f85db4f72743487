"""Initialisers, on the same draws: what remains to compare is fan, gain, root, range and order."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from compare.cases.choices import any_seed, any_size, chance, some_of
from compare.cases.limits import at
from compare.component import (
    OUR_DRAWS,
    SEEDED,
    Budget,
    Case,
    Choose,
    Component,
    Edge,
    Edges,
    Mistake,
    Results,
    Stream,
)
from scratch.initializers import MODES, NONLINEARITIES
from torch_ref import initializers as reference

SHAPES = {  # name of a case → (fan_out, fan_in), no two alike when turned round
    "typical": (10, 2),
    "smallest": (1, 2),
    "odd": (7, 13),
    "odd, tall": (129, 7),
    "large": (512, 1024),
}
KAIMING_OPTIONS = [
    {"mode": mode, "nonlinearity": nonlinearity, "a": a}
    for mode, (nonlinearity, a) in product(
        ("fan_in", "fan_out"),
        [
            ("relu", 0.0),
            ("leaky_relu", 0.0),
            ("leaky_relu", 0.2),
            ("tanh", 0.0),
            ("sigmoid", 0.0),
            ("linear", 0.0),
        ],
    )
]
KAIMING_OPTIONS += [{"nonlinearity": "leaky_relu"}]
XAVIER_OPTIONS = [{"gain": 5 / 3}, {"gain": math.sqrt(2)}, {"gain": 0.1}]
Options = dict[str, Callable[[Choose], Any]]
ANY_KAIMING: Options = {
    "mode": lambda choose: choose.one_of(MODES),
    "nonlinearity": lambda choose: choose.one_of(NONLINEARITIES),
    "a": lambda choose: choose.number(-1e3, 1e3) if chance(choose) else choose.number(-3, 3),
}
# No gain with which z·std is below the smallest number: its sign is a departure of `normal`.
ANY_XAVIER: Options = {"gain": lambda choose: choose.number(1e-30, choose.one_of((3, 1e3)))}


def _cases(options: list[dict[str, Any]]) -> Callable[[np.random.Generator, Any], Iterator[Case]]:
    """Every shape with the defaults, and every option on one shape."""

    def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        def case(name: str, shape: tuple[int, int], **chosen: Any) -> Case:
            seed = int(rng.integers(2**31))
            for key in {"mode", "nonlinearity"} & set(chosen):
                chosen[key] = "".join(chosen[key])  # an object of its own: only == finds it equal
            return Case(name, {}, {"shape": shape, **chosen}, seed=seed, dtype=dtype)

        for name, shape in SHAPES.items():
            yield case(name, shape)
        for chosen in options:
            yield case(", ".join(f"{key} {value}" for key, value in chosen.items()), (7, 13), **chosen)

    return cases


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Shapes that have no fans."""
    for shape in ((0, 3), (3, 0), (5,), (), (2, 3, 4)):
        yield Case(f"shape {shape}", {}, {"shape": shape}, dtype=dtype)


def kaiming_refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """These too, and names that are unknown."""
    yield from refused(rng, dtype)
    yield Case("unknown mode", {}, {"shape": (2, 3), "mode": "fan_avg"}, dtype=dtype)
    yield Case("unknown nonlinearity", {}, {"shape": (2, 3), "nonlinearity": "swish"}, dtype=dtype)


def _random_case(options: Options) -> Callable[[Choose, Any], Case]:
    """Any fans and seed, with some of the options, or all, or none."""

    def random_case(choose: Choose, dtype: Any) -> Case:
        chosen = {"shape": (any_size(choose), any_size(choose)), **some_of(choose, **options)}
        return Case("random", {}, chosen, any_seed(choose), dtype)

    return random_case


def edges(base: Case) -> Iterator[Edge]:
    """Fans of 1 and of 0, and shapes that have none."""
    yield from at(base, "shape", (1, 1), (1, 20), (20, 1), (0, 3), (3, 0), (3,), (2, 3, 4), ())


def kaiming_edges(base: Case) -> Iterator[Edge]:
    """And any slope; names that are unknown."""
    yield from edges(base)
    yield from at(base, "a", 0.0, 1.0, 1e154, 1e155, math.inf, math.nan, nonlinearity="leaky_relu")
    yield from at(base, "mode", "fan")
    yield from at(base, "nonlinearity", "swish")


def xavier_edges(base: Case) -> Iterator[Edge]:
    """And any gain."""
    yield from edges(base)
    yield from at(base, "gain", 0.0, -1.0, 1e308, math.inf, math.nan)


def against_draws(cases: Sequence[Case], results: Sequence[Results], expected: Sequence[Results]) -> str:
    """What speaks against weights of the same mean, spread and distribution: six standard errors, or more."""
    from scipy import stats  # takes half as long as PyTorch to import

    for case, mine, right in zip(cases, results, expected, strict=True):
        a, b = mine["weight"], right["weight"]
        error = 6 * math.sqrt(2 / a.size)
        ratio = float(a.std() / b.std())
        if a.size < 100:  # too few to tell
            continue
        if a.std() and abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) > 0.5:
            return OUR_DRAWS
        if abs(a.mean() - b.mean()) > error * b.std():
            return f"the mean is {a.mean():.3g} in the case “{case.name}”, not about 0"
        if abs(ratio - 1) > error:
            return f"the spread is {ratio:.3g} times what it should be in the case “{case.name}”"
        if stats.ks_2samp(a.ravel(), b.ravel()).pvalue < 1e-8:
            return f"they are distributed otherwise in the case “{case.name}”: normal for uniform, or so"
    several = [mine["weight"].ravel() for mine in results if mine["weight"].size > 1]
    ratios = {round(float(weight[0] / weight[1]), 6) for weight in several}  # whatever the spread
    return SEEDED if len(ratios) == 1 < len(several) else ""


def _component(
    name: str,
    source: str,
    options: list[dict[str, Any]],
    random: Options,
    edges: Callable[[Case], Iterator[Edge]],
    mistakes: tuple[Mistake, ...],
) -> Component:
    def run_scratch(case: Case, f: Any) -> Results:
        return {"weight": getattr(f, name)(generator=case.generator(), dtype=case.dtype, **case.options)}

    def run_torch(case: Case) -> Results:
        options = {key: value for key, value in case.options.items() if key != "shape"}
        weight = torch.empty(case.options["shape"], dtype=case.dtype, device=case.device)
        with case.torch_draws():
            return {"weight": getattr(reference, name)(weight, **options)}

    return Component(
        name=name,
        topic="initializers",
        source=source,
        functions=(name,),
        reference=(name,),
        cases=_cases(options),
        random_case=_random_case(random),
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=Budget(0, "the same draws times the same number, rounded once on both sides"),
        mistakes=mistakes,
        refused=kaiming_refused if name.startswith("kaiming") else refused,
        stream=Stream(f"generator.{'uniform' if name.endswith('uniform') else 'normal'}", against_draws),
        arbiter=False,
        edges=Edges(others=edges),
    )


def _kaiming_mistakes(drawn: Mistake) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "the other fan",
            "fan_out where fan_in was asked for: the shape is read wrongly.",
            [('fan_in if mode == "fan_in" else fan_out', 'fan_out if mode == "fan_in" else fan_in')],
        ),
        Mistake(
            "divided by the fan",
            "gain/fan instead of gain/√fan: signals die from layer to layer.",
            [("/ math.sqrt(fan)", "/ fan")],
        ),
        Mistake(
            "√(1/fan)",
            "The gain is left out, as if no ReLU threw half of the variance away.",
            [("calculate_gain(nonlinearity, a) / math.sqrt(fan)", "1 / math.sqrt(fan)")],
            convention="LeCun's initialiser, for tanh and SELU",
        ),
        Mistake(
            "variance as standard deviation",
            "gain²/fan is the variance; its root is the standard deviation.",
            [
                (
                    "calculate_gain(nonlinearity, a) / math.sqrt(fan)",
                    "calculate_gain(nonlinearity, a) ** 2 / fan",
                )
            ],
        ),
        Mistake(
            "gain always √2",
            "√(2/fan) whatever follows: between linear layers, signals grow by √2 a layer.",
            [("calculate_gain(nonlinearity, a) / math.sqrt(fan)", "math.sqrt(2) / math.sqrt(fan)")],
        ),
        drawn,
    )


def _xavier_mistakes(drawn: Mistake) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "fan_in only",
            "√(1/fan_in) instead of √(2/(fan_in + fan_out)): half of the idea.",
            [("math.sqrt(2 / (fan_in + fan_out))", "math.sqrt(1 / fan_in)")],
            convention="Caffe's XavierFiller, and the course, which calls it Xavier's",
        ),
        Mistake(
            "2 forgotten",
            "√(1/(fan_in + fan_out)): the two fans are added, so the mean of them needs the 2.",
            [("math.sqrt(2 / (fan_in + fan_out))", "math.sqrt(1 / (fan_in + fan_out))")],
        ),
        Mistake(
            "variance as standard deviation",
            "2/(fan_in + fan_out) is the variance; its root is the standard deviation.",
            [("math.sqrt(2 / (fan_in + fan_out))", "2 / (fan_in + fan_out)")],
        ),
        Mistake(
            "gain forgotten",
            "√(2/(fan_in + fan_out)) whatever gain was asked for.",
            [("gain * math.sqrt(2", "math.sqrt(2")],
        ),
        drawn,
    )


def _transposed(*edits: tuple[str, str]) -> Mistake:
    """Drawn the other way round: the fan is right, the order of the draws is not."""
    return Mistake(
        "drawn as (fan_in, fan_out)",
        "Drawn in the layout of a textbook and transposed: right in distribution, but equal seeds no longer "
        "give equal weights.",
        edits,
        convention="Keras and flax, whose weights are (fan_in, fan_out)",
    )


def _uniform_bound(before: str, after: str) -> Mistake:
    return Mistake(
        "uniform bound for a normal",
        "√3 times too large: √(6/…) is the bound of the uniform version, not a standard deviation.",
        [(before, after)],
    )


UNIFORM_NUMBERS = Mistake(
    "uniform numbers",
    "`rand` for `randn`: std times numbers from [0, 1), all positive, so that units look alike.",
    [("generator.normal(", "generator.uniform(")],
)
UNIFORM_TRANSPOSED = _transposed(("(shape, -bound, bound, dtype)", "(shape[::-1], -bound, bound, dtype).T"))
UNIFORM_MISTAKES = (
    Mistake(
        "bound without the √3",
        "Uniform on ±std: the standard deviation then is std/√3.",
        [("bound = math.sqrt(3) * ", "bound = ")],
    ),
    Mistake(
        "positive only",
        "Uniform on [0, b) instead of [−b, b): the mean is no longer 0.",
        [("-bound, bound", "0.0, bound")],
    ),
)

HE = "https://arxiv.org/abs/1502.01852"
GLOROT = "https://proceedings.mlr.press/v9/glorot10a.html"
INIT = "https://docs.pytorch.org/docs/stable/nn.init.html"

COMPONENTS = (
    _component(
        "zeros",
        INIT,
        [],
        {},
        edges,
        (
            Mistake(
                "ones",
                "Ones are as symmetric as zeros, and make the outputs grow with the fan.",
                [("np.zeros(shape, dtype)", "np.ones(shape, dtype)")],
            ),
            Mistake(
                "small random numbers",
                "Nearly zero is another method: it breaks the symmetry.",
                [("np.zeros(shape, dtype)", "generator.normal(shape, 0.0, 0.01, dtype)")],
            ),
        ),
    ),
    _component(
        "large_random",
        INIT,
        [],
        {},
        edges,
        (
            Mistake(
                "×10 forgotten",
                "Standard normal numbers: large all the same, but not so large that everything saturates.",
                [("0.0, 10.0, dtype", "0.0, 1.0, dtype")],
            ),
            Mistake(
                "×0.01 for ×10",
                "The small start of shallow networks: in a deep one, signals die instead of exploding.",
                [("0.0, 10.0, dtype", "0.0, 0.01, dtype")],
            ),
            Mistake(
                "10 as the variance",
                "A variance of 10 is a standard deviation of √10: a third of the size that was asked for.",
                [("0.0, 10.0, dtype", "0.0, math.sqrt(10.0), dtype")],
            ),
            Mistake(
                "uniform numbers",
                "`rand` for `randn`: ten times numbers from [0, 1), all positive.",
                [("generator.normal(", "generator.uniform(")],
            ),
            _transposed(("(shape, 0.0, 10.0, dtype)", "(shape[::-1], 0.0, 10.0, dtype).T")),
        ),
    ),
    _component(
        "kaiming_normal",
        HE,
        KAIMING_OPTIONS,
        ANY_KAIMING,
        kaiming_edges,
        (
            *_kaiming_mistakes(
                _transposed(("normal(shape,", "normal(shape[::-1],"), ("a), dtype)", "a), dtype).T"))
            ),
            _uniform_bound("/ math.sqrt(fan)", "* math.sqrt(3 / fan)"),
            UNIFORM_NUMBERS,
        ),
    ),
    _component(
        "kaiming_uniform",
        HE,
        KAIMING_OPTIONS,
        ANY_KAIMING,
        kaiming_edges,
        (*_kaiming_mistakes(UNIFORM_TRANSPOSED), *UNIFORM_MISTAKES),
    ),
    _component(
        "xavier_normal",
        GLOROT,
        XAVIER_OPTIONS,
        ANY_XAVIER,
        xavier_edges,
        (
            *_xavier_mistakes(
                _transposed(("normal(shape,", "normal(shape[::-1],"), ("gain), dtype)", "gain), dtype).T"))
            ),
            _uniform_bound("math.sqrt(2 / (", "math.sqrt(6 / ("),
            UNIFORM_NUMBERS,
        ),
    ),
    _component(
        "xavier_uniform",
        GLOROT,
        XAVIER_OPTIONS,
        ANY_XAVIER,
        xavier_edges,
        (*_xavier_mistakes(UNIFORM_TRANSPOSED), *UNIFORM_MISTAKES),
    ),
)
