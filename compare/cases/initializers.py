"""Initialisers, on the same draws: what remains to compare is fan, gain, root, range and order."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from compare.component import Budget, Case, Component, Mistake, Results
from scratch.initializers import INITIALIZERS, calculate_gain
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


def _component(
    name: str, source: str, options: list[dict[str, Any]], mistakes: tuple[Mistake, ...]
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
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=Budget(0, "the same draws times the same number, rounded once on both sides"),
        mistakes=mistakes,
        refused=kaiming_refused if name.startswith("kaiming") else refused,
        arbiter=False,
    )


def _fan(shape: tuple[int, ...], mode: str) -> int:
    return shape[1] if mode == "fan_in" else shape[0]


def _kaiming(name: str, std: Callable[[float, int], float]) -> dict[str, Callable]:
    """He with another standard deviation: `std(gain, fan)`."""

    def wrong(
        shape: tuple[int, ...],
        generator: Any,
        *,
        mode: str = "fan_in",
        nonlinearity: str = "relu",
        a: float = 0.0,
        dtype: Any = np.float32,
    ) -> np.ndarray:
        s = std(calculate_gain(nonlinearity, a), _fan(shape, mode))
        if name == "kaiming_normal":
            return generator.normal(shape, 0.0, s, dtype)
        return generator.uniform(shape, -math.sqrt(3) * s, math.sqrt(3) * s, dtype)

    return {name: wrong}


def _other_mode(name: str) -> dict[str, Callable]:
    def wrong(shape: tuple[int, ...], generator: Any, *, mode: str = "fan_in", **options: Any) -> np.ndarray:
        other = "fan_out" if mode == "fan_in" else "fan_in"
        return INITIALIZERS[name](shape, generator, mode=other, **options)

    return {name: wrong}


def _xavier(name: str, std: Callable[[float, int, int], float]) -> dict[str, Callable]:
    """Glorot with another standard deviation: `std(gain, fan_in, fan_out)`."""

    def wrong(
        shape: tuple[int, ...], generator: Any, *, gain: float = 1.0, dtype: Any = np.float32
    ) -> np.ndarray:
        s = std(gain, shape[1], shape[0])
        if name == "xavier_normal":
            return generator.normal(shape, 0.0, s, dtype)
        return generator.uniform(shape, -math.sqrt(3) * s, math.sqrt(3) * s, dtype)

    return {name: wrong}


def _transposed(name: str) -> Mistake:
    """Drawn the other way round: the fan is right, the order of the draws is not."""
    kaiming = name.startswith("kaiming")

    def wrong(shape: tuple[int, ...], generator: Any, *, mode: str = "fan_in", **options: Any) -> np.ndarray:
        if kaiming:
            options["mode"] = "fan_out" if mode == "fan_in" else "fan_in"
        return INITIALIZERS[name](shape[::-1], generator, **options).T

    return Mistake(
        "drawn as (fan_in, fan_out)",
        "Drawn in the layout of a textbook and transposed: right in distribution, but equal seeds no longer "
        "give equal weights.",
        {name: wrong},
        convention="Keras and flax, whose weights are (fan_in, fan_out)",
    )


def _range(name: str, low: float, high: float) -> dict[str, Callable]:
    """The right bound b, but numbers from [low·b, high·b)."""

    def wrong(shape: tuple[int, ...], generator: Any, **options: Any) -> np.ndarray:
        moved = SimpleNamespace(
            uniform=lambda size, _, bound, dtype: generator.uniform(size, low * bound, high * bound, dtype)
        )
        return INITIALIZERS[name](shape, moved, **options)

    return {name: wrong}


def _uniform_numbers(name: str) -> Mistake:
    def wrong(shape: tuple[int, ...], generator: Any, **options: Any) -> np.ndarray:
        moved = SimpleNamespace(normal=lambda size, _, std, dtype: generator.uniform(size, 0.0, std, dtype))
        return INITIALIZERS[name](shape, moved, **options)

    return Mistake(
        "uniform numbers",
        "`rand` for `randn`: std times numbers from [0, 1), all positive, so that units look alike.",
        {name: wrong},
    )


def _kaiming_mistakes(name: str) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "the other fan",
            "fan_out where fan_in was asked for: the shape is read wrongly.",
            _other_mode(name),
        ),
        Mistake(
            "divided by the fan",
            "gain/fan instead of gain/√fan: signals die from layer to layer.",
            _kaiming(name, lambda gain, fan: gain / fan),
        ),
        Mistake(
            "√(1/fan)",
            "The gain is left out, as if no ReLU threw half of the variance away.",
            _kaiming(name, lambda gain, fan: 1 / math.sqrt(fan)),
            convention="LeCun's initialiser, for tanh and SELU",
        ),
        Mistake(
            "variance as standard deviation",
            "gain²/fan is the variance; its root is the standard deviation.",
            _kaiming(name, lambda gain, fan: gain**2 / fan),
        ),
        Mistake(
            "gain always √2",
            "√(2/fan) whatever follows: between linear layers, signals grow by √2 a layer.",
            _kaiming(name, lambda gain, fan: math.sqrt(2) / math.sqrt(fan)),
        ),
        _transposed(name),
    )


def _xavier_mistakes(name: str) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "fan_in only",
            "√(1/fan_in) instead of √(2/(fan_in + fan_out)): half of the idea.",
            _xavier(name, lambda gain, fan_in, fan_out: gain * math.sqrt(1 / fan_in)),
            convention="Caffe's XavierFiller, and the course, which calls it Xavier's",
        ),
        Mistake(
            "2 forgotten",
            "√(1/(fan_in + fan_out)): the two fans are added, so the mean of them needs the 2.",
            _xavier(name, lambda gain, fan_in, fan_out: gain * math.sqrt(1 / (fan_in + fan_out))),
        ),
        Mistake(
            "variance as standard deviation",
            "2/(fan_in + fan_out) is the variance; its root is the standard deviation.",
            _xavier(name, lambda gain, fan_in, fan_out: gain * 2 / (fan_in + fan_out)),
        ),
        Mistake(
            "gain forgotten",
            "√(2/(fan_in + fan_out)) whatever gain was asked for.",
            _xavier(name, lambda gain, fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out))),
        ),
        _transposed(name),
    )


def _uniform_mistakes(name: str) -> tuple[Mistake, ...]:
    root = 1 / math.sqrt(3)
    return (
        Mistake(
            "bound without the √3",
            "Uniform on ±std: the standard deviation then is std/√3.",
            _range(name, -root, root),
        ),
        Mistake(
            "positive only",
            "Uniform on [0, b) instead of [−b, b): the mean is no longer 0.",
            _range(name, 0, 1),
        ),
    )


def _normal_mistakes(name: str, std: dict[str, Callable]) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "uniform bound for a normal",
            "√3 times too large: √(6/…) is the bound of the uniform version, not a standard deviation.",
            std,
        ),
        _uniform_numbers(name),
    )


HE = "https://arxiv.org/abs/1502.01852"
GLOROT = "https://proceedings.mlr.press/v9/glorot10a.html"
INIT = "https://docs.pytorch.org/docs/stable/nn.init.html"

COMPONENTS = (
    _component(
        "zeros",
        INIT,
        [],
        (
            Mistake(
                "ones",
                "Ones are as symmetric as zeros, and make the outputs grow with the fan.",
                {"zeros": lambda shape, generator=None, dtype=np.float32: np.ones(shape, dtype)},
            ),
            Mistake(
                "small random numbers",
                "Nearly zero is another method: it breaks the symmetry.",
                {"zeros": lambda shape, generator, dtype=np.float32: generator.normal(shape, 0, 0.01, dtype)},
            ),
        ),
    ),
    _component(
        "large_random",
        INIT,
        [],
        (
            Mistake(
                "×10 forgotten",
                "Standard normal numbers: large all the same, but not so large that everything saturates.",
                {"large_random": lambda shape, generator, dtype: generator.normal(shape, 0.0, 1.0, dtype)},
            ),
            Mistake(
                "×0.01 for ×10",
                "The small start of shallow networks: in a deep one, signals die instead of exploding.",
                {"large_random": lambda shape, generator, dtype: generator.normal(shape, 0.0, 0.01, dtype)},
            ),
            Mistake(
                "10 as the variance",
                "A variance of 10 is a standard deviation of √10: a third of the size that was asked for.",
                {
                    "large_random": lambda shape, generator, dtype: generator.normal(
                        shape, 0.0, 10**0.5, dtype
                    )
                },
            ),
            Mistake(
                "uniform numbers",
                "`rand` for `randn`: ten times numbers from [0, 1), all positive.",
                {"large_random": lambda shape, generator, dtype: generator.uniform(shape, 0.0, 10.0, dtype)},
            ),
            _transposed("large_random"),
        ),
    ),
    _component(
        "kaiming_normal",
        HE,
        KAIMING_OPTIONS,
        (
            *_kaiming_mistakes("kaiming_normal"),
            *_normal_mistakes(
                "kaiming_normal", _kaiming("kaiming_normal", lambda gain, fan: gain * math.sqrt(3 / fan))
            ),
        ),
    ),
    _component(
        "kaiming_uniform",
        HE,
        KAIMING_OPTIONS,
        (*_kaiming_mistakes("kaiming_uniform"), *_uniform_mistakes("kaiming_uniform")),
    ),
    _component(
        "xavier_normal",
        GLOROT,
        XAVIER_OPTIONS,
        (
            *_xavier_mistakes("xavier_normal"),
            *_normal_mistakes(
                "xavier_normal",
                _xavier(
                    "xavier_normal", lambda gain, fan_in, fan_out: gain * math.sqrt(6 / (fan_in + fan_out))
                ),
            ),
        ),
    ),
    _component(
        "xavier_uniform",
        GLOROT,
        XAVIER_OPTIONS,
        (*_xavier_mistakes("xavier_uniform"), *_uniform_mistakes("xavier_uniform")),
    ),
)
