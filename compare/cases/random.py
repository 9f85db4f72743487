"""One seed, the same bits: what `TorchGenerator(seed)` draws, and what PyTorch draws of the same seed."""

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from compare.cases.choices import any_size, chance
from compare.cases.limits import BAD, FLOAT32, FUSION, setting
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from compare.draws import older_streams, why_not_own
from scratch.random import CudaGenerator, TorchGenerator
from torch_ref import random as reference

SEEDS = {
    "0": 0,
    "1": 1,
    "42": 42,
    "2³¹": 2**31,
    "2³²−1": 2**32 - 1,
    "2³²+5": 2**32 + 5,
    "2⁶⁴−1": 2**64 - 1,
    "−1": -1,
}
SIZES = (0, 1, 15, 16, 17, 31, 32, 100, 4096)  # normal numbers go in pairs below 16, then in blocks of 16
VIEWS: dict[str, Callable[[Any], Any]] = {  # for arrays and tensors alike
    "": lambda base: base,
    "transposed": lambda base: base.T,
    "every other column": lambda base: base[:, ::2],
    "axes swapped": lambda base: base.swapaxes(0, 2),
}
LAYOUTS = {  # name of a case → shape of a base, and what is looked at of it
    "two dimensions": ((13, 7), ""),
    "transposed": ((13, 7), "transposed"),
    "transposed, below 16": ((3, 5), "transposed"),
    "transposed, one row": ((20, 1), "transposed"),
    "every other column": ((8, 12), "every other column"),
    "axes swapped": ((2, 5, 3), "axes swapped"),
}
FILLS = ("uniform", "normal", "bernoulli")  # methods that can fill an array, whatever its layout
NORMALS = ("randn", "normal")
ON_GPU = ("rand", "randn", *FILLS, "dropout_mask", "randint", "randperm")


@dataclass(frozen=True)
class Call:
    """One call of a generator's method: of either library, since the names are the same."""

    method: str
    size: int | tuple[int, ...] = ()
    arguments: tuple[Any, ...] = ()
    view: str = ""
    dtype: str = ""  # by default that of the case

    def __str__(self) -> str:
        given = [f"size={self.size}"] if self.size != () else []
        return f"{self.method}({', '.join([*given, *map(str, self.arguments), *filter(None, [self.view])])})"


def make_case(name: str, calls: Iterable[Call], seed: int, dtype: Any) -> Case:
    """Calls of one generator, one after the other; on the CPU where a GPU's stream is not known."""
    calls = tuple(replace(call, dtype=call.dtype or np.dtype(dtype).name) for call in calls)
    gpu = all(
        call.method in ON_GPU and not call.view and not (call.method in NORMALS and call.dtype == "float64")
        for call in calls
    )
    return Case(name, options={"calls": calls, "gpu": gpu}, seed=seed, dtype=dtype)


def cases_of(
    call: Callable[[int], Call],
    others: Mapping[str, Iterable[Call]] | None = None,
    sizes: Iterable[int] = SIZES,
) -> Callable[[np.random.Generator, Any], Iterator[Case]]:
    """For every seed the sizes in turn, from one generator; then the other cases."""

    def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        for label, seed in {**SEEDS, "of the run": int(rng.integers(2**63))}.items():
            yield make_case(f"seed {label}", map(call, sizes), seed, dtype)
        for name, calls in (others or {}).items():
            yield make_case(name, calls, int(rng.integers(2**63)), dtype)

    return cases


def layouts(method: str, *arguments: Any) -> dict[str, list[Call]]:
    """A case for each layout; twice, since a normal number may be left over."""
    return {name: [Call(method, size, arguments, view)] * 2 for name, (size, view) in LAYOUTS.items()}


Draws = dict[str, list[Call]]  # edge → the calls


def edges_of(draws: Draws) -> Edges:
    """Of seed 42."""
    return Edges(
        others=lambda base: [
            Edge(name, "", make_case(name, calls, 42, base.dtype)) for name, calls in draws.items()
        ]
    )


def edge_calls(method: str, sizes: Mapping[str, Any], arguments: Mapping[str, tuple] | None = None) -> Draws:
    """One call each: with every size, and with every argument."""
    usual = next(iter(arguments.values())) if arguments else ()
    draws = {edge: [Call(method, size, usual)] for edge, size in sizes.items()}
    return draws | {edge: [Call(method, 40, given)] for edge, given in (arguments or {}).items()}


EDGE_SIZES = {"size 0": 0, "size (0, 3)": (0, 3), "size 1": 1, "size ()": (), "size −1": -1}
EMPTY = {"size 0": 0}
LENGTHS = (0, 1, 2, -1)
LARGEST = float(np.finfo(np.float32).max)
EDGE_BOUNDS = {
    "low = high": (0.3, 0.3),
    "low = high = −0": (-0.0, -0.0),
    "low = −0": (-0.0, 1.0),
    "low > high": (1.0, 0.0),
    "low NaN": (math.nan, 1.0),
    "high +∞": (0.0, math.inf),
    "0 to the smallest subnormal": (0.0, 1.5e-45),
    "0 to the largest float32": (0.0, LARGEST),
    "−largest to largest float32": (-LARGEST, LARGEST),
    "−largest to largest float64": (float(np.finfo(np.float64).min), float(np.finfo(np.float64).max)),
}
EDGE_MOMENTS = {
    "std 0": (1.5, 0.0),
    "mean −0, std 0": (-0.0, 0.0),
    "mean −0": (-0.0, 1.0),
    "std negative": (0.0, -1.0),
    "std NaN": (0.0, math.nan),
    "std +∞": (0.0, math.inf),
    "mean NaN": (math.nan, 1.0),
    "mean +∞": (math.inf, 1.0),
    "std the smallest subnormal": (0.0, 1.5e-45),
    "std the largest float32": (0.0, LARGEST),
}
EDGE_CHANCES = {
    "p = 0": (0.0,),
    "p = −0": (-0.0,),
    "p = 1": (1.0,),
    "p = 5e−324": (5e-324,),
    "p = 1 − 2⁻⁵³": (1 - 2**-53,),
    **{f"p {name}": (value,) for name, value in (*BAD, ("above 1", 1.1))},
}
EDGE_RANGES = {
    "high = low + 1": (7, 8),
    "high = low": (7, 7),
    "high < low": (8, 7),
    "all but one of the 64-bit integers": (-(2**63), 2**63 - 1),
    "high = 2⁶³": (0, 2**63),
    "low < −2⁶³": (-(2**63) - 1, 0),
    "across 0": (-3, 4),
}

BORDERS = (0, 1, 2, 15, 16, 17, 31, 32, 33, 311, 312, 313, 623, 624, 625)  # of blocks of 16, and of 624 words


def any_length(choose: Choose) -> int:
    """Around the borders of blocks and of the engine, or anywhere."""
    return choose.integer(0, 700) if chance(choose) else choose.one_of(BORDERS)


def any_call_size(choose: Choose) -> int | tuple[int, ...]:
    """One length, or a shape."""
    match choose.one_of(("a length", "a number", "two dimensions", "three dimensions")):
        case "a length":
            return any_length(choose)
        case "a number":
            return ()
        case "two dimensions":
            return any_size(choose, 0, 40), any_size(choose, 0, 20)
    return any_size(choose, 0, 9), any_size(choose, 0, 9), any_size(choose, 0, 9)


def any_argument(choose: Choose, dtype: Any, least: float = -np.inf) -> float:
    """Of any size up to a tenth of the largest: 6.8 standard deviations must not overflow; often near 1."""
    most = float(dtype(np.finfo(dtype).max / 10))
    if chance(choose):
        return choose.number(max(least, -most), most, dtype)
    return choose.number(max(least, -3), 3)


def any_bounds(choose: Choose, dtype: Any) -> tuple[float, ...]:
    """low ≤ high"""
    return tuple(sorted((any_argument(choose, dtype), any_argument(choose, dtype))))


def any_range(choose: Choose) -> tuple[int, int]:
    """Widths of every order of magnitude, anywhere in the range of an int64."""
    bits = choose.one_of((28, 32)) if chance(choose) else choose.integer(0, 63)
    width = min(2**bits + choose.integer(-1, 2**bits), 2**64 - 1)
    low = choose.integer(-(2**63), 2**63 - 1) if chance(choose) else choose.integer(-5, 5)
    low = max(min(low, 2**63 - 1 - width), -(2**63))
    return low, min(low + max(width, 1), 2**63 - 1)


def random_call(choose: Choose, method: str, dtype: Any) -> Call:
    """Any size, layout, dtype and argument."""
    match method:
        case "randint":
            return Call(method, arguments=(*any_range(choose), any_call_size(choose)))
        case "randperm":
            return Call(method, arguments=(any_length(choose),))
        case "epoch_order":
            return Call(method, arguments=(choose.integer(1, 100),))
    chosen = choose.one_of(("", "float32", "float64"))  # "": that of the case
    if method in ("rand", "randn"):
        return Call(method, any_call_size(choose), dtype=chosen)
    dtype = np.dtype(chosen or dtype).type
    match method:
        case "uniform":
            arguments = any_bounds(choose, dtype)
        case "normal":
            arguments = any_argument(choose, dtype), any_argument(choose, dtype, 0)
        case _:
            arguments = (choose.number(0, 1) if chance(choose) else choose.one_of((0.0, 0.5, 1.0)),)
    view = choose.one_of(tuple(VIEWS))
    dimensions = {"": 0, "axes swapped": 3}.get(view, 2)
    shape = tuple(any_size(choose, 0, 9 if dimensions == 3 else 30) for _ in range(dimensions))
    return Call(method, shape if view else any_call_size(choose), arguments, view, chosen)


def any_random_seed(choose: Choose) -> int:
    """Of 64 bits, with a sign or without."""
    return choose.integer(-(2**63), 2**64 - 1)


def random_calls(method: str) -> Callable[[Choose, Any], Case]:
    """A few calls of one method, from anywhere between the words of the engine."""

    def random_case(choose: Choose, dtype: Any) -> Case:
        before = Call("rand", any_length(choose), dtype="float32")
        calls = [random_call(choose, method, dtype) for _ in range(choose.integer(1, 3))]
        return make_case("random", [before, *calls], any_random_seed(choose), dtype)

    return random_case


def random_states(choose: Choose, dtype: Any) -> Case:
    """Calls of all methods, one after the other, PyTorch and NumPy taking turns."""
    calls, ours = [], True
    methods = (*ON_GPU, "epoch_order")
    for _ in range(choose.integer(0, 6)):
        step = choose.one_of(("draw", "draw", "hand over", "elsewhere"))
        if step == "draw":
            calls.append(random_call(choose, choose.one_of(methods), dtype))
        elif step == "hand over":
            calls.append(Call("to PyTorch" if ours else "to NumPy"))
            ours = not ours
        else:
            calls.append(Call("elsewhere"))
    return make_case("random", calls, any_random_seed(choose), dtype)


def run_scratch(case: Case, f: Any) -> Results:
    """Every call, and the state after it; half-way the stream may be handed to PyTorch and back."""
    ours = generator = _scratch_generator(case, f)
    if "state" in case.arrays:
        ours.set_state(case["state"])
    results: Results = {"0. state": generator.get_state()}
    for i, call in enumerate(case.options["calls"], start=1):
        match call.method:
            case "to PyTorch":
                generator = torch.Generator()
                generator.set_state(torch.from_numpy(ours.get_state()))
            case "to NumPy":
                ours.set_state(generator.get_state().numpy())
                generator = ours
            case "elsewhere":
                f.TorchGenerator(3).random(5)
            case _:
                results[f"{i}. {call}"] = draw(call, generator)
        results[f"{i}. state"] = generator.get_state()
    return results


def run_torch(case: Case) -> Results:
    """The same calls of one torch.Generator."""
    generator = torch.Generator(_device(case)).manual_seed(case.seed)
    if "state" in case.arrays:
        generator.set_state(case["state"].cpu())
    results: Results = {"0. state": generator.get_state()}
    for i, call in enumerate(case.options["calls"], start=1):
        if call.method not in ("to PyTorch", "to NumPy", "elsewhere"):
            results[f"{i}. {call}"] = draw(call, generator)
        results[f"{i}. state"] = generator.get_state()
    return results


def _device(case: Case) -> str:
    return case.device if case.options["gpu"] else "cpu"


def _scratch_generator(case: Case, f: Any) -> Any:
    """scratch's generator; on CUDA its stream depends on the size of the card."""
    device = _device(case)
    if device == "cpu":
        return f.TorchGenerator(case.seed)
    card = torch.cuda.get_device_properties(device)
    return f.TorchGenerator(
        case.seed,
        device="cuda",
        multiprocessors=card.multi_processor_count,
        threads_per_multiprocessor=card.max_threads_per_multi_processor,
    )


def draw(call: Call, generator: Any) -> Any:
    """Make the call, of scratch's generator or of PyTorch's."""
    if isinstance(generator, torch.Generator):
        return _draw_torch(call, generator)
    return _draw_scratch(call, generator)


def _draw_scratch(call: Call, generator: Any) -> np.ndarray:
    method = getattr(generator, call.method)
    if call.method in FILLS:
        out = VIEWS[call.view](np.empty(call.size, call.dtype))
        return method(out.shape, *call.arguments, call.dtype, **({"out": out} if call.view else {}))
    if call.method == "dropout_mask":
        return method(VIEWS[call.view](np.ones(call.size, call.dtype)), *call.arguments)
    return method(call.size, call.dtype) if call.method in ("rand", "randn") else method(*call.arguments)


def _draw_torch(call: Call, generator: torch.Generator) -> torch.Tensor:
    function, dtype = getattr(reference, call.method), getattr(torch, call.dtype)
    if call.method in (*FILLS, "dropout_mask"):
        tensor = VIEWS[call.view](torch.ones(call.size, dtype=dtype, device=generator.device))
        return function(tensor, *call.arguments, generator)
    if call.method in ("rand", "randn"):
        return function(call.size, generator, dtype)
    return function(*call.arguments, generator)


def normal_magnitude(case: Case) -> dict[str, Any]:
    """|mean| + std: sine and cosine err by a share of 1, however small they are themselves."""
    scales = {}
    for i, call in enumerate(case.options["calls"], start=1):
        if call.method in NORMALS:
            mean, std = call.arguments or (0.0, 1.0)
            scales[f"{i}. {call}"] = abs(mean) + std
    return scales


INTEGERS = Budget(0, "integers, from the same words of the same engine")
EXACT = Budget(0, "the same bits of the same words, scaled and rounded once on both sides")
# √(−2·ln 2⁻³³) ≤ 6.8, times what sine and cosine may be off. On the GPU: 2⁻²¹·² in −π … π by the vendor's
# table, here allowed twice that for 0 … 2π, and 6.8·2⁻²⁰·² / 2⁻²³ < 64 units. Of another build: 2π rounded,
# then the product, 2⁻²²·⁶ + 2⁻²² on one side and 2⁻²² on the other; 6.8·2⁻²⁰·⁵ / 2⁻²³ < 64 too.
NORMAL = Budget(
    lambda case: 64 if case.dtype == np.float32 and why_not_own("cpu") else 0,
    "logarithm, sine and cosine of PyTorch's own build, written out to the last bit",
    cuda_units=64,
    cuda_reason="the hardware's sine and cosine are off by up to 2⁻²⁰, and the radius is up to 6.8",
)


ENGINES = (
    Mistake(
        "default_rng taken for MT19937",
        "np.random.default_rng is PCG64: another engine, no number in common.",
        [
            (
                "self._fresh = True",
                "self._pcg64 = np.random.default_rng(self.seed)\n        self._fresh = True",
            ),
            ("self._engine.randint(0,", "self._pcg64.integers(0,"),
        ],
    ),
    Mistake(
        "seeded through SeedSequence",
        "np.random.MT19937(seed) is the right engine, but hashes the seed before it seeds.",
        [("RandomState(self.seed & 0xFFFFFFFF)", "RandomState(np.random.MT19937(self.seed & 0xFFFFFFFF))")],
    ),
    Mistake(
        "seeded by an array",
        "RandomState([seed]) and Python's random.seed mix the seed in by another rule.",
        [("RandomState(self.seed & 0xFFFFFFFF)", "RandomState([self.seed & 0xFFFFFFFF])")],
    ),
)


def _refused(method: str, *several: tuple[Any, ...]) -> Callable:
    """One bad call each, with these arguments of `Call`. PyTorch refuses in words of its own."""

    def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
        for arguments in several:
            call = Call(method, *arguments)
            yield make_case(str(call), [call], 3, dtype)

    return refused


def state_at(left: int, seeded: int, drawn: int) -> np.ndarray:
    """The state of seed 3, saying of its 624 words how many are left and drawn, and whether it was seeded."""
    state = TorchGenerator(3).get_state()
    state[8:24] = np.frombuffer(struct.pack("<iiQ", left, seeded, drawn), np.uint8)
    return state


def no_states(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """States of another length or dtype, not seeded, and at a place that does not exist."""
    good = make_case("", [], 3, dtype).but("", gpu=False)
    state = TorchGenerator(3).get_state()
    for name, other in {
        "too short": state[:-1],
        "too long": np.append(state, state[:1]),
        "signed bytes": state.view(np.int8),
        "numbers": state.astype(np.float32),
        "nothing but zeros": np.zeros_like(state),
    }.items():
        yield good.but(f"state: {name}", {"state": other})
    for name, left, seeded, drawn in (
        ("not seeded", 1, 0, 0),
        ("0 words left", 0, 1, 625),
        ("−1 words left", -1, 1, 626),
        ("625 words left", 625, 1, 0),
        ("625 words drawn", 1, 1, 625),
    ):
        yield good.but(f"state: {name}", {"state": state_at(left, seeded, drawn)})


def end_of_a_range() -> str:
    """Why the upper ends of ranges differ; empty for a PyTorch that puts `low` in the place of `high`."""
    numbers = torch.empty(64).uniform_(1, 1 + 2**-23, generator=torch.Generator().manual_seed(0))
    taken = f"PyTorch {torch.__version__} draws the upper end of a range too, where a number rounds to it"
    return taken if bool((numbers > 1).any()) else ""


def other_grid(device: str) -> str:
    """Why the streams of a GPU differ; empty for a PyTorch that spreads numbers over threads as scratch does

    To have all four words of a thread used, https://github.com/pytorch/pytorch/pull/194828, not merged by
    November 2026, takes a quarter of the threads for a small draw. Then 512 numbers come from 256 threads, as
    now on a card that has no more of them.
    """
    if not device.startswith("cuda"):
        return ""
    drawn = torch.rand(512, generator=torch.Generator(device).manual_seed(0), device=device).cpu().numpy()
    small_card = CudaGenerator(0, multiprocessors=1, threads_per_multiprocessor=256)
    if not np.array_equal(drawn, small_card.rand(512)):
        return ""
    return f"PyTorch {torch.__version__} spreads small draws over threads anew (its pull request 194828)"


def other_permutations(device: str) -> str:
    """Why the permutations of a GPU differ: for their keys' sake, which are integers of 32 bits."""
    return other_grid(device) or ("" if device == "cpu" else older_streams())


def _logical(values: str) -> Mistake:
    return Mistake(
        "logical instead of memory order",
        "Row by row, whatever the strides: right for contiguous arrays only.",
        [
            (
                f"return in_memory_order(array, {values})",
                f"array[...] = ({values}).reshape(array.shape)\n        return array",
            )
        ],
    )


# Lines of scratch/random that several mistakes change, or that are long.
UNIT = """\
if dtype == np.float32:
            return (self.random(n) & np.uint32(2**24 - 1)).astype(dtype) * dtype(2**-24)
        return (self.random64(n) & np.uint64(2**53 - 1)).astype(dtype) * 2**-53"""
FUSED = 'fma(u, high - low, low) if self.variant != "default" else u * (high - low) + low'
BLOCKS = """\
        if array.size >= 16 and array.flags.c_contiguous:
            self._normal_blocks(array.reshape(-1), mean, std)
            return array
"""
TAIL = """\
        if n % 16:
            values[-16:] = self._normal_block(self._unit(16, dtype), mean, std)
"""
WORDS = "self.random64(array.size) if high - low >= 1 << 28 else self.random(array.size)"
SHUFFLE = """\
left = np.arange(n, 1, -1, dtype=np.uint32)  # n − i
        return _swapped(np.arange(n), self.random(len(left)) % left)"""


def _shuffled(words: str, swap: str) -> str:
    """Another shuffle, in a loop."""
    return f"""\
left = np.arange(n, 1, -1, dtype=np.uint32)
        order = list(range(n))
        for i, j in enumerate(({words}).tolist()):
            {swap}
        return np.array(order, np.int64)"""


TWO_SEEDS = """\
_, seed = self.random64(2) & np.uint64(2**63 - 1)
        return TorchGenerator(int(seed), variant=self.variant).randperm(n)"""
RESTORED = """\
self.seed, self._fresh = seed, fresh
        self._engine.set_state(("MT19937", np.array(words, np.uint32), 624 if fresh else drawn, 0, 0.0))
        self._cached_normal = cached_normal if cached else None"""

_component = partial(Component, topic="random", run_scratch=run_scratch, run_torch=run_torch, arbiter=False)

COMPONENTS = (
    _component(
        name="rand",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.rand.html",
        functions=tuple(f"TorchGenerator.{name}" for name in ("rand", "random", "random64", "_unit")),
        reference=("rand",),
        random_case=random_calls("rand"),
        edges=edges_of(edge_calls("rand", EDGE_SIZES)),
        cases=cases_of(
            lambda n: Call("rand", n),
            {
                "two dimensions": [Call("rand", (13, 7))] * 2,
                "three dimensions": [Call("rand", (2, 5, 3))] * 2,
                "float64, then float32": [
                    Call("rand", 5, dtype="float64"),
                    Call("rand", 5, dtype="float32"),
                ],
            },
        ),
        refused=_refused("rand", (-1,), ((2, -1),), (1.5,), ((2, 1.5),)),
        budget=EXACT,
        mistakes=(
            *ENGINES,
            Mistake(
                "low half first",
                "The first word drawn is the high half of a 64-bit number: float64 only.",
                [("high, low = self.random(", "low, high = self.random(")],
            ),
            Mistake(
                "53 bits from the wrong word",
                "The upper 53 bits, all of the first word and part of the second: PyTorch takes the lower.",
                [
                    ("(self.random(n) & np.uint32(2**24 - 1))", "(self.random(n) >> np.uint32(8))"),
                    ("(self.random64(n) & np.uint64(2**53 - 1))", "(self.random64(n) >> np.uint64(11))"),
                ],
            ),
            Mistake(
                "NumPy's own float64",
                "27 bits of one word and 26 of the next.",
                [(UNIT, "return self._engine.random_sample(n).astype(dtype)")],
                convention="NumPy's RandomState.random",
            ),
            Mistake(
                "one word for a float64",
                "32 random bits where 53 belong, and a stream that falls behind.",
                [(UNIT, "return self.random(n).astype(dtype) * dtype(2**-32)")],
            ),
        ),
    ),
    _component(
        name="uniform",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.Tensor.uniform_.html",
        functions=("TorchGenerator.uniform",),
        reference=("uniform",),
        random_case=random_calls("uniform"),
        edges=edges_of(edge_calls("uniform", EMPTY, EDGE_BOUNDS)),
        cases=cases_of(
            lambda n: Call("uniform", n, (-0.0357, 0.0357)),
            layouts("uniform", -2.0, 3.1)
            | {
                f"from {low} to {high}": [Call("uniform", 100, (low, high))]
                for low, high in (
                    (0.1, 0.7),
                    (-5.3, -1.1),
                    (1e5, 1e5 + 1),
                    (-1e-30, 3e30),
                    (0.3, 0.3),
                    (0, 2),
                    (-1, 1),
                    (1, 1),
                    (0, 0),
                    (1, 1 + 2**-23),  # neighbours in float32, and in float64:
                    (2**52, 2**52 + 1),
                )
            },
        ),
        refused=_refused(
            "uniform", (3, (1, 0)), (3, (0, math.inf)), (3, (math.nan, 1)), (3, (-2e308, 2e308))
        ),
        not_here=end_of_a_range(),
        budget=Budget(0, "product and sum fused, rounded once, as in the builds of PyTorch"),
        mistakes=(
            Mistake(
                "rounded twice",
                "u·(high − low), rounded, plus low, rounded again: half the numbers differ in the last bit.",
                [(FUSED, "u * (high - low) + low")],
            ),
            Mistake(
                "scaled by high",
                "u·high + low: runs to low + high.",
                [(FUSED, "u * high + low")],
            ),
            _logical("values"),
        ),
    ),
    _component(
        name="randn",
        not_on=other_grid,
        source="https://doi.org/10.1214/aoms/1177706645",
        functions=("TorchGenerator._normal_blocks", "TorchGenerator._normal_pairs"),
        reference=("randn",),
        random_case=random_calls("randn"),
        edges=edges_of(edge_calls("randn", EDGE_SIZES)),
        cases=cases_of(
            lambda n: Call("randn", n),
            {
                "five, and five again": [Call("randn", 5)] * 3,
                "two dimensions": [Call("randn", (13, 7))] * 2,
                "two dimensions, below 16": [Call("randn", (5, 3))] * 2,
            },
        ),
        refused=_refused("randn", (-1,), ((2, -1),), (1.5,)),
        budget=NORMAL,
        magnitude=normal_magnitude,
        mistakes=(
            Mistake(
                "sine and cosine swapped",
                "The first eight numbers of a block are the cosines.",
                [("np.stack([z1, z2]", "np.stack([z2, z1]")],
            ),
            Mistake(
                "1 − u forgotten",
                "ln u instead of ln(1 − u): as normal, but other numbers, and infinite where u is 0.",
                [("normal_block(1 - u1, u2", "normal_block(u1, u2")],
            ),
            Mistake(
                "radius and angle swapped",
                "The first eight uniform numbers of a block make the radius, the last eight the angle.",
                [("u1, u2 = u.reshape", "u2, u1 = u.reshape")],
            ),
            Mistake(
                "neighbours paired",
                "u₁ and u₂ stand eight apart, not beside each other.",
                [("u.reshape(-1, 2, 8).swapaxes(0, 1)", "u.reshape(-1, 8, 2).transpose(2, 0, 1)")],
            ),
            Mistake(
                "tail of n mod 16 not redrawn",
                "Whole blocks, cut to size: the last 16 numbers come from words that were drawn anew.",
                [
                    ("self._normal_block(whole, mean, std)", "self._normal_block(u, mean, std)[: n - start]"),
                    ("min(PIECE, n - start)", "min(PIECE, n - start + -n % 16)"),
                    ("values[start : start + len(whole)]", "values[start : start + PIECE]"),
                    (TAIL, ""),
                ],
            ),
            Mistake(
                "pairs at every size",
                "From 16 numbers on, PyTorch changes to blocks of 16.",
                [(BLOCKS, "")],
            ),
            Mistake(
                "blocks at every size",
                "Below 16 numbers, PyTorch draws pair by pair, in float64.",
                [
                    (
                        "        return in_memory_order(array, self._normal_pairs(array.size, mean, std))",
                        "        values = np.empty(array.size + -array.size % 16)\n"
                        "        self._normal_blocks(values, mean, std)\n"
                        "        return in_memory_order(array, values[: array.size])",
                    )
                ],
            ),
            Mistake(
                "cached normal lost",
                "The second number of a pair opens the next call.",
                [("[] if self._cached_normal is None else [self._cached_normal]", "[]")],
            ),
        ),
    ),
    _component(
        name="normal",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.Tensor.normal_.html",
        functions=("TorchGenerator.normal",),
        reference=("normal",),
        random_case=random_calls("normal"),
        edges=edges_of(
            edge_calls("normal", EMPTY, EDGE_MOMENTS)
            | {f"{edge}, 5 numbers": [Call("normal", 5, moments)] for edge, moments in EDGE_MOMENTS.items()}
        ),
        departures=(
            Departure(
                ("std the smallest subnormal",),
                ("",),
                "The addition of a mean of 0 is left out of the fused multiply-add, since it shows only here:"
                " PyTorch has −0 where z·std is below the smallest number.",
                FLOAT32,
                depends_on=FUSION,
            ),
        ),
        cases=cases_of(
            lambda n: Call("normal", n, (0.3, 1.7)),
            layouts("normal", -0.7, 0.3)
            | {
                f"mean {mean}, std {std}": [Call("normal", size, (mean, std)) for size in (7, 100)]
                for mean, std in (
                    (0.0, 0.123),
                    (0.0, math.sqrt(2 / 784)),
                    (1e5, 1e-3),
                    (-3.3, 0.0),
                    (0.0, 0.0),
                )
            },
        ),
        refused=_refused("normal", (3, (0, -1)), (3, (0, -1e-9))),
        budget=NORMAL,
        magnitude=normal_magnitude,
        mistakes=(
            Mistake(
                "std taken for the variance",
                "z·√std: normal_ asks for the standard deviation.",
                [(BLOCKS, "        std = std**0.5\n" + BLOCKS)],
            ),
            Mistake(
                "mean added before scaling",
                "(z + mean)·std.",
                [(BLOCKS, "        mean = mean * std\n" + BLOCKS)],
            ),
            Mistake(
                "rounded twice",
                "z·std, rounded, plus mean, rounded again: PyTorch's builds fuse the two.",
                [
                    (
                        "self._normal_blocks(array.reshape(-1), mean, std)",
                        "self._normal_blocks(array.reshape(-1), 0.0, 1.0)\n"
                        "            array *= std\n"
                        "            array += mean",
                    ),
                    (
                        "_normal_pairs(array.size, mean, std)",
                        "_normal_pairs(array.size, 0.0, 1.0) * std + mean",
                    ),
                ],
            ),
            _logical("self._normal_pairs(array.size, mean, std)"),
        ),
    ),
    _component(
        name="bernoulli",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.Tensor.bernoulli_.html",
        functions=("TorchGenerator.bernoulli",),
        reference=("bernoulli",),
        random_case=random_calls("bernoulli"),
        edges=edges_of(edge_calls("bernoulli", EMPTY, EDGE_CHANCES)),
        cases=cases_of(
            lambda n: Call("bernoulli", n, (0.3,)),
            layouts("bernoulli", 0.3)
            | {f"p = {p}": [Call("bernoulli", 100, (p,))] for p in (0, 0.3, 0.5, 0.999, 1)},
        ),
        refused=_refused("bernoulli", (3, (-0.1,)), (3, (1.1,)), (3, (math.nan,))),
        not_here=older_streams(),
        budget=INTEGERS,
        mistakes=(
            Mistake(
                "one word for an element",
                "u has 53 bits, of two words, for every dtype.",
                [("_unit(array.size, np.float64) < p", "_unit(array.size, np.float32) < p")],
            ),
            Mistake(
                "compared from the other end",
                "1 where u ≥ 1 − p: as probable, elsewhere.",
                [("_unit(array.size, np.float64) < p", "_unit(array.size, np.float64) >= 1 - p")],
            ),
            Mistake(
                "nothing drawn for 0 and 1",
                "F.dropout draws nothing for them; bernoulli_ does, and the stream moves on.",
                [
                    (
                        "return in_memory_order(array, self._unit(array.size, np.float64) < p)",
                        "if p in (0, 1):\n"
                        "            return np.full_like(array, p)\n"
                        "        return in_memory_order(array, self._unit(array.size, np.float64) < p)",
                    )
                ],
            ),
            _logical("self._unit(array.size, np.float64) < p"),
        ),
    ),
    _component(
        name="dropout_mask",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html",
        functions=("TorchGenerator.dropout_mask",),
        reference=("dropout_mask", "as_default"),
        random_case=random_calls("dropout_mask"),
        edges=edges_of(edge_calls("dropout_mask", EMPTY, EDGE_CHANCES)),
        cases=cases_of(
            lambda n: Call("dropout_mask", n, (0.3,)),
            layouts("dropout_mask", 0.3)
            | {f"p = {p}": [Call("dropout_mask", (13, 7), (p,))] * 2 for p in (0, 0.3, 0.5, 0.999, 1)},
        ),
        refused=_refused("dropout_mask", (3, (-0.1,)), (3, (1.1,))),
        not_here=older_streams(),
        budget=INTEGERS,
        mistakes=(
            Mistake(
                "mask compared with p instead of 1 − p",
                "1 where u < p: p is the share that is dropped, so this drops what should be kept.",
                [("mask[...] = 1 - p", "mask[...] = p"), ("(x.shape, 1 - p,", "(x.shape, p,")],
            ),
            Mistake(
                "complement of p",
                "1 where u ≥ p: right in its share, wrong in its places.",
                [("return self.bernoulli(x.shape, 1 - p,", "return 1 - self.bernoulli(x.shape, p,")],
            ),
            Mistake(
                "one word for a mask element",
                "u has 53 bits, of two words, for every dtype.",
                [("_unit(array.size, np.float64) < p", "_unit(array.size, np.float32) < p")],
            ),
            Mistake(
                "drawn where nothing depends on chance",
                "For p = 0 and p = 1, F.dropout leaves the stream where it is.",
                [
                    (
                        "        if p in (0, 1):\n            mask[...] = 1 - p\n            return mask\n",
                        "",
                    )
                ],
            ),
            _logical("self._unit(array.size, np.float64) < p"),
        ),
    ),
    _component(
        name="randint",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.randint.html",
        functions=("TorchGenerator.randint",),
        reference=("randint",),
        random_case=random_calls("randint"),
        edges=edges_of(
            {edge: [Call("randint", (), (*bounds, 20))] for edge, bounds in EDGE_RANGES.items()}
            | {edge: [Call("randint", (), (0, 7, size))] for edge, size in (("size 0", 0), ("size −1", -1))}
        ),
        cases=cases_of(
            lambda n: Call("randint", arguments=(-5, 1000, n)),
            {
                f"{name} numbers": [Call("randint", arguments=(low, high, 50))] * 2
                for name, low, high in (
                    ("one", 7, 8),
                    ("2²⁸ − 1", 0, 2**28 - 1),
                    ("2²⁸", 0, 2**28),
                    ("2³⁰", 3, 2**30 + 3),
                    ("2⁶² and more", -(2**40), 2**62),
                    ("all but one", -(2**63), 2**63 - 1),
                )
            }
            | {"two dimensions": [Call("randint", arguments=(0, 10, (13, 7)))]},
        ),
        refused=_refused("randint", ((), (3, 3, 2)), ((), (3, 2, 2)), ((), (0, 2**63, 2)), ((), (0, 3, -2))),
        not_here=older_streams(),
        budget=INTEGERS,
        mistakes=(
            Mistake(
                "high included",
                "PyTorch's and NumPy's integers end before high.",
                [("np.uint64(high - low)", "np.uint64(high - low + 1)")],
                convention="Python's random.randint",
            ),
            Mistake(
                "scaled instead of the remainder",
                "⌊w·(high − low)·2⁻³²⌋: as fair, other numbers.",
                [
                    (WORDS, "self.random(array.size)"),
                    ("% np.uint64(high - low)", "* np.uint64((high - low) % 2**32) >> np.uint64(32)"),
                ],
                convention="NumPy's Generator.integers",
            ),
            Mistake(
                "always one word",
                "From 2²⁸ numbers on, PyTorch takes two words.",
                [(WORDS, "self.random(array.size)")],
            ),
            Mistake(
                "always two words",
                "Below 2²⁸ numbers, PyTorch takes one word.",
                [(WORDS, "self.random64(array.size)")],
            ),
            Mistake(
                "two words from 2³² on",
                "PyTorch changes over at 2²⁸.",
                [("1 << 28", "1 << 32")],
                convention="PyTorch 2.6",
            ),
        ),
    ),
    _component(
        name="randperm",
        not_on=other_permutations,
        source="https://docs.pytorch.org/docs/stable/generated/torch.randperm.html",
        functions=("TorchGenerator.randperm",),
        reference=("randperm",),
        random_case=random_calls("randperm"),
        edges=edges_of({setting("n", n): [Call("randperm", (), (n,))] for n in LENGTHS}),
        cases=cases_of(lambda n: Call("randperm", arguments=(n,)), sizes=(*SIZES[:-1], 2, 3, 1000, 3000)),
        refused=_refused("randperm", ((), (-1,)), ((), (2.5,))),
        budget=INTEGERS,
        mistakes=(
            Mistake(
                "swap with w mod n",
                "Every element may go anywhere at every step: a biased shuffle, n^(n−1) ways to n! orders.",
                [
                    (
                        SHUFFLE,
                        _shuffled("self.random(len(left)) % n", "order[i], order[j] = order[j], order[i]"),
                    )
                ],
            ),
            Mistake(
                "from the end",
                "i = n−1 … 1, swapped with w mod (i + 1): as fair, another order.",
                [
                    (
                        SHUFFLE,
                        _shuffled(
                            "self.random(len(left)) % left",
                            "order[-1 - i], order[j] = order[j], order[-1 - i]",
                        ),
                    )
                ],
                convention="Knuth, and NumPy's shuffle",
            ),
            Mistake(
                "a word for the last element too",
                "It has nowhere to go: n − 1 words are drawn, not n.",
                [("np.arange(n, 1, -1,", "np.arange(n, 0, -1,")],
            ),
            Mistake(
                "sorted by random keys",
                "argsort of n random words: fair, another order.",
                [(SHUFFLE, 'return np.argsort(self.random(n), kind="stable")')],
            ),
            Mistake(
                "RandomState.permutation",
                "NumPy's engine is the same, its shuffle is not.",
                [(SHUFFLE, "return self._engine.permutation(n)")],
            ),
        ),
    ),
    _component(
        name="epoch_order",
        source="https://docs.pytorch.org/docs/stable/data.html",
        functions=("TorchGenerator.epoch_order",),
        reference=("epoch_order", "as_default"),
        random_case=random_calls("epoch_order"),
        edges=edges_of({setting("n", n): [Call("epoch_order", (), (n,))] for n in LENGTHS}),
        cases=cases_of(lambda n: Call("epoch_order", arguments=(n,)), sizes=(1, 2, 16, 100, 100, 1000)),
        budget=INTEGERS,
        mistakes=(
            Mistake(
                "drawn straight from the stream",
                "randperm of the generator itself: the loader draws two 63-bit numbers and permutes with"
                " a generator that the second one seeds.",
                [(TWO_SEEDS, "return self.randperm(n)")],
            ),
            Mistake(
                "number for the workers not drawn",
                "The loader draws a seed for worker processes even if it has none. Two seeds of one word "
                "each come to the same, since the low half of a 64-bit number is its second word.",
                [("_, seed = self.random64(2)", "(seed,) = self.random64(1)")],
            ),
            Mistake(
                "permuted with the workers' number",
                "The first of the two numbers is not the sampler's.",
                [("_, seed = self", "seed, _ = self")],
            ),
            Mistake(
                "high half of the seed",
                "The low 32 bits of a seed count: the second word of the number, not the first.",
                [("& np.uint64(2**63 - 1)", ">> np.uint64(32)")],
            ),
        ),
    ),
    _component(
        name="generator_state",
        not_on=other_grid,
        source="https://docs.pytorch.org/docs/stable/generated/torch.Generator.html",
        functions=("TorchGenerator.get_state", "TorchGenerator.set_state"),
        reference=("as_default",),
        random_case=random_states,
        edges=edges_of(
            {
                "nothing drawn": [],
                "only empty draws": [Call("rand", 0), Call("randn", 0), Call("randperm", (), (0,))],
                "624 words, the whole state": [Call("rand", 624, dtype="float32")],
                "625 words, one more": [Call("rand", 625, dtype="float32")],
            }
        ),
        cases=cases_of(
            lambda n: Call("normal", n, (0.3, 1.7)),
            {
                "cached normal survives": [
                    Call("randn", 3),
                    Call("rand", 4),
                    Call("bernoulli", 5, (0.3,)),
                    Call("randn", 20),
                    Call("randperm", arguments=(10,)),
                    Call("randn", 2),
                ],
                "cached normal of another dtype": [
                    Call("normal", 3, (0.3, 1.7), dtype="float32"),
                    Call("randn", 2, dtype="float64"),
                    Call("randn", 2, dtype="float32"),
                ],
                "to PyTorch and back": [
                    Call("randn", 3),
                    Call("to PyTorch"),
                    Call("randn", 3),
                    Call("rand", 700),
                    Call("randn", 1),
                    Call("to NumPy"),
                    Call("randn", 2),
                    Call("epoch_order", arguments=(20,)),
                    Call("to PyTorch"),
                    Call("dropout_mask", (5, 7), (0.3,), "transposed"),
                    Call("to NumPy"),
                    Call("rand", 3),
                ],
                "to PyTorch before the first draw": [
                    Call("to PyTorch"),
                    Call("rand", 0),
                    Call("to NumPy"),
                    Call("rand", 3),
                ],
                "at the end of 624 words": [
                    Call("rand", 624, dtype="float32"),
                    Call("to PyTorch"),
                    Call("to NumPy"),
                    Call("to PyTorch"),
                    Call("rand", 1),
                    Call("rand", 312, dtype="float64"),
                    Call("to NumPy"),
                    Call("rand", 1),
                ],
                "another generator draws in between": [
                    Call("rand", 3),
                    Call("elsewhere"),
                    Call("rand", 3),
                ],
            },
        ),
        refused=no_states,
        not_here=older_streams(),
        budget=NORMAL,
        magnitude=normal_magnitude,
        mistakes=(
            Mistake(
                "global state used",
                "np.random.seed seeds one engine for the whole program: whoever else draws disturbs it.",
                [
                    ("    def __new__(", "    _engine = np.random.RandomState()\n\n    def __new__("),
                    ("self._engine = np.random.RandomState(self.seed", "self._engine.seed(self.seed"),
                ],
            ),
            Mistake(
                "cached normal not in the state",
                "Who continues from the state draws a pair where one number was left over.",
                [("kept = self._cached_normal", "kept = None")],
            ),
            Mistake(
                "cached normal cleared by rand",
                "Only manual_seed clears it: it waits for the next normal number.",
                [
                    (
                        "return self.uniform(size, 0.0, 1.0, dtype)",
                        "self._cached_normal = None\n        return self.uniform(size, 0.0, 1.0, dtype)",
                    )
                ],
            ),
            Mistake(
                "cached normal scaled",
                "z₂ is kept, not z₂·std + mean: the next call may ask for another mean and std.",
                [("float(z[n])", "float(z[n] * std + mean)")],
            ),
            Mistake(
                "cached normal in float32",
                "z₂ is kept in float64 whatever the dtype of the call.",
                [("float(z[n])", "float(np.float32(z[n]))")],
            ),
            Mistake(
                "restored from the seed alone",
                "A state is 624 words and a position: the seed begins at the beginning.",
                [(RESTORED, "self.__init__(seed, variant=self.variant)")],
            ),
        ),
    ),
)
