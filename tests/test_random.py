"""PyTorch's random streams: every bit, every state, and what remains true where PyTorch is not at hand."""

import copy
import ctypes
import hashlib
import itertools
import math
import os
import platform
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from choices import made
from hypothesis import given
from hypothesis import strategies as st
from laws import each_side, seeded

import scratch.random
import torch_ref.random as theirs
from compare.cases.random import (
    COMPONENTS,
    SEEDS,
    SIZES,
    Call,
    any_bounds,
    any_random_seed,
    draw,
    other_grid,
    state_at,
)
from compare.draws import why_not_own
from scratch.random import NumpyGenerator, TorchGenerator, platform_variant
from scratch.random.box_muller import VARIANTS, fma, log_glibc, sincos_glibc
from scratch.random.philox import CudaGenerator, philox4x32

NAMED = tuple(SEEDS.values())
DTYPES = ("float32", "float64")
ANY_SEED = made(any_random_seed)
LINUX_X86 = (platform.system(), platform.machine()) == ("Linux", "x86_64")
GLIBC = platform.libc_ver()[0] == "glibc"
exact = pytest.mark.skipif(bool(why_not_own("cpu")), reason=why_not_own("cpu"))
fuzz = pytest.mark.skipif(not os.environ.get("FUZZ"), reason="the whole grid takes minutes: make fuzz")


def to_bytes(array) -> bytes:
    return np.asarray(array).tobytes()


def assert_same(what, array, tensor, generator, twin) -> None:
    assert array.shape == tuple(tensor.shape), what
    assert array.dtype.name == str(tensor.dtype).removeprefix("torch."), what
    assert to_bytes(array) == to_bytes(tensor), f"{what}: other numbers"
    assert to_bytes(generator.get_state()) == to_bytes(twin.get_state()), f"{what}: another state"


# Every bit


def calls(n: int, dtype: str):
    """Everything that draws, contiguous and transposed."""
    yield Call("rand", n, dtype=dtype)
    yield Call("randn", n, dtype=dtype)
    fills = (
        ("uniform", (-0.0357, 1.3)),
        ("normal", (0.3, 1.7)),
        ("bernoulli", (0.3,)),
        ("dropout_mask", (0.3,)),
    )
    for method, arguments in fills:
        yield Call(method, n, arguments, dtype=dtype)
        yield Call(method, (-(-n // 3), 3), arguments, "transposed", dtype)
    yield Call("randint", arguments=(-5, 1000, n), dtype=dtype)
    yield Call("randint", arguments=(-5, 2**60, n), dtype=dtype)
    yield Call("randperm", arguments=(n,), dtype=dtype)
    if 0 < n <= 4096:
        yield Call("epoch_order", arguments=(n,), dtype=dtype)


def assert_one_stream(seed: int, sizes: tuple[int, ...], dtype: str) -> None:
    """One generator through all sizes: what a call leaves behind is what the next one meets."""
    generator, twin = TorchGenerator(seed), torch.Generator().manual_seed(seed)
    for n in sizes:
        for call in calls(n, dtype):
            assert_same(f"seed {seed}, {call}", draw(call, generator), draw(call, twin), generator, twin)


@pytest.mark.parametrize("scale", [1, -1, 2.0**-9, -(2.0**-9), 2.0**9, -(2.0**9)])
@pytest.mark.parametrize(
    ("k", "m", "z"),  # (1 + 2k·u)·(1 + m·u)·u + z, with u = 2⁻²⁴, is a hair
    [
        (1, -2, 1 + 2**-23),  # below the middle of two float32 numbers
        (1984, -3967, 1),  # below the first float64 above it
        (1916, -3831, 1),  # below the second one
        (724, -1448, 1 + 2**-23),  # above the second float64 below it
    ],
)
def test_a_sum_beside_the_middle_of_two_float32_numbers_is_rounded_once(k, m, z, scale):
    x, y = np.float32([1 + k * 2**-23]), np.float32((1 + m * 2**-24) * 2**-24 * scale)
    assert fma(x, y, np.float32(z * scale)) == scale * (1 + 2**-23)


def state_that_draws(words: np.ndarray) -> np.ndarray:
    """A state whose next words are these, 623 at most: what the Mersenne Twister does to a word, undone."""
    y = words ^ words >> 18
    y ^= y << 15 & 0xEFC60000
    undone = y
    for _ in range(4):  # seven more bits are right each time
        undone = y ^ (undone << 7 & 0x9D2C5680)
    y = undone
    for _ in range(2):
        undone = y ^ undone >> 11
    state = state_at(left=624, seeded=1, drawn=1)
    state[32 : 32 + 8 * len(words)] = undone.astype("<u8").view(np.uint8)
    return state


def normals_of(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides' normal numbers, of these words: 8 for lengths, 8 for angles, and so on."""
    generator, twin = TorchGenerator(0), torch.Generator()
    generator.set_state(state_that_draws(words))
    twin.set_state(torch.from_numpy(generator.get_state()))
    ours, theirs = generator.randn(len(words)), torch.randn(len(words), generator=twin).numpy()
    return ours.view(np.uint32), theirs.view(np.uint32)


@exact
def test_the_normal_numbers_where_logarithm_sine_and_cosine_change_their_branch():
    around = np.arange(-2, 3)
    lengths = [2**24 - (round(math.sqrt(0.5) * 2.0**k) + around) for k in range(1, 25)]
    angles = [eighth * 2**21 + around for eighth in range(9)]
    borders = np.unique(np.clip(np.concatenate([*lengths, *angles]), 0, 2**24 - 1)).astype(np.uint64)
    rng = np.random.default_rng(0)
    for _ in range(50):
        np.testing.assert_array_equal(*normals_of(rng.choice(borders, 608)))


@exact
@fuzz
def test_every_length_and_every_angle_that_a_normal_number_can_have():
    """All 2²⁴ uniform numbers of float32, each as one and as the other"""
    numbers = np.arange(2**24, dtype=np.uint64).reshape(-1, 8)
    pairs = np.concatenate([numbers, numbers[::-1]], axis=1).ravel()  # of 8 lengths and 8 angles
    for start in range(0, len(pairs), 608):
        ours, theirs = normals_of(pairs[start : start + 608])
        assert (ours == theirs).all()


@exact
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", NAMED)
def test_every_bit_of_every_stream(seed, dtype):
    assert_one_stream(seed, SIZES, dtype)


@exact
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_bit_of_a_long_stream(dtype):
    assert_one_stream(42, (65_537,), dtype)


@exact
@fuzz
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", NAMED)
def test_every_bit_of_the_whole_grid(seed, dtype):
    assert_one_stream(seed, (*SIZES, 65_537, 1_000_003), dtype)


@exact
@pytest.mark.skipif(not LINUX_X86, reason="PyTorch has one build of its kernels here")
def test_every_bit_of_a_processor_without_vector_instructions():
    """The environment variable is read once, when PyTorch starts: hence a process of its own."""
    chosen = "test_every_bit_of_every_stream or long_stream or pytorch_is_as_recorded or this_machine"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", chosen],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.skipif(not LINUX_X86, reason="PyTorch has one build of its kernels here")
def test_the_variant_is_that_of_this_machine():
    assert platform_variant() == (
        "default" if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else "avx"
    )


@pytest.mark.skipif(not LINUX_X86, reason="PyTorch has one build of its kernels here")
@pytest.mark.parametrize("spelling", ["default", "DEFAULT", " default", "", "avx2", "AVX2", "bogus", "vsx"])
def test_the_variant_is_read_as_pytorch_reads_it(spelling):
    """PyTorch obeys the exact word alone, and warns of any other one."""
    if spelling == "avx2" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch would take instructions that this processor may not have")
    program = (
        "import torch; from scratch.random import TorchGenerator, platform_variant;"
        "print(torch.backends.cpu.get_cpu_capability() == 'DEFAULT', platform_variant() == 'default');"
        "torch.manual_seed(0); ours = TorchGenerator(0).normal(1000);"
        "print((torch.randn(1000).numpy() == ours).all())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "ATEN_CPU_CAPABILITY": spelling},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split()[0] == run.stdout.split()[1], run.stderr
    assert run.stdout.split()[2] == "True"
    assert ("ignoring invalid value" in run.stderr) == (spelling not in ("default", "avx2"))


LAYOUTS = {
    "row": lambda a: a.reshape(60, 1).T,
    "permuted": lambda a: a.reshape(4, 3, 5).permute(2, 0, 1),
    "strided": lambda a: a.reshape(4, 15)[:, ::2],
    "strided and permuted": lambda a: a.reshape(2, 6, 5)[:, ::2, ::3].permute(2, 0, 1),
    "axis of length 1": lambda a: a.reshape(3, 5, 1, 4).permute(3, 2, 1, 0),
    "broadcast": lambda a: a.reshape(1, 60).expand(3, 60),
    "broadcast, transposed": lambda a: a.reshape(60, 1).expand(60, 4).T,
    "broadcast, strided": lambda a: a.reshape(3, 5, 4).expand(2, 3, 5, 4)[..., ::2],
    "empty": lambda a: a.reshape(6, 10)[:, :0],
    "no axis": lambda a: a[0],
}


@exact
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_of_every_layout(layout, p):
    x, generator = LAYOUTS[layout](torch.ones(60)), TorchGenerator(5)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for _ in range(2):
            kept = torch.nn.functional.dropout(x, p) != 0
            np.testing.assert_array_equal(generator.dropout_mask(x.numpy(), p), kept)
            np.testing.assert_array_equal(generator.get_state(), torch.get_rng_state())


@exact
def test_the_twins_are_what_one_writes_after_manual_seed():
    with torch.random.fork_rng():
        torch.manual_seed(7)
        kept = torch.nn.functional.dropout(torch.ones(5, 3), 0.4) != 0
        loader = torch.utils.data.DataLoader(range(50), shuffle=True, batch_size=8)
        epochs = [torch.cat(list(loader)) for _ in range(2)]
        outer, twin = torch.get_rng_state(), torch.Generator().manual_seed(7)
        assert torch.equal(theirs.dropout_mask(torch.ones(5, 3), 0.4, twin), kept.float())
        for order in epochs:
            assert torch.equal(theirs.epoch_order(50, twin), order)
        assert torch.equal(torch.get_rng_state(), outer), "the default generator was not put back"


def test_a_loader_with_a_generator_uses_it_in_another_way():
    """As the docstring of `epoch_order` says."""
    generator, twin = TorchGenerator(7), torch.Generator().manual_seed(7)
    loader = torch.utils.data.DataLoader(range(20), shuffle=True, generator=twin)
    for _ in range(3):
        order = [int(i) for i in loader]
        generator.random64(1)
        np.testing.assert_array_equal(generator.randperm(20), order)
        generator.randperm(20)
        np.testing.assert_array_equal(generator.get_state(), twin.get_state())


# What is on record: the hash of each stream, so that NumPy's side is tested whatever PyTorch does


STREAMS = {
    "rand": lambda n, dtype: Call("rand", n, dtype=dtype),
    "uniform": lambda n, dtype: Call("uniform", n, (-0.3, 0.8), dtype=dtype),
    "normal": lambda n, dtype: Call("normal", n, (0.3, 1.7), dtype=dtype),
    "bernoulli": lambda n, dtype: Call("bernoulli", n, (0.3,), dtype=dtype),
    "dropout_mask": lambda n, dtype: Call("dropout_mask", (n, 3), (0.3,), "transposed", dtype=dtype),
    "randint": lambda n, dtype: Call("randint", arguments=(-5, 1000, n), dtype=dtype),
    "large randint": lambda n, dtype: Call("randint", arguments=(-5, 2**60, n), dtype=dtype),
    "randperm": lambda n, dtype: Call("randperm", arguments=(n,), dtype=dtype),
    "epoch_order": lambda n, dtype: Call("epoch_order", arguments=(n,), dtype=dtype),
}


def hash_of(make, stream: str, dtype: str) -> str:
    """Three seeds, each with the rules of small, whole and broken blocks, and the integers of the state."""
    sha = hashlib.sha256()
    for generator in map(make, (0, 42, -1)):
        for n in (7, 16, 1003):
            sha.update(to_bytes(draw(STREAMS[stream](n, dtype), generator)))
            sha.update(to_bytes(generator.get_state())[:5016])
    return sha.hexdigest()[:16]


def toy_card(seed: int) -> CudaGenerator:
    """So small that 1003 elements and 3·1003 take several rounds."""
    return TorchGenerator(seed, device="cuda", multiprocessors=1, threads_per_multiprocessor=256)


ANY = " ".join(VARIANTS)


RECORDED = {  # stream, dtype, variants → hash
    ("rand", "float32", ANY): "c88d91a64a991c5e",
    ("rand", "float64", ANY): "b6bf537edc45b5ea",
    ("uniform", "float32", "avx scalar"): "2c242c283256ea83",
    ("uniform", "float32", "default"): "8bd0966243d3323d",
    ("uniform", "float64", "avx scalar"): "2bb86c85715ce3fa",
    ("uniform", "float64", "default"): "3a085f6d2992e000",
    ("normal", "float32", "avx"): "47e634406bd18024",
    ("normal", "float32", "scalar default"): "71c12a9238501f48",
    ("normal", "float64", "avx scalar"): "551960c85c10feca",
    ("normal", "float64", "default"): "1e912a918da53af5",
    ("bernoulli", "float32", ANY): "079099a267bad241",
    ("bernoulli", "float64", ANY): "a73086f824e7e410",
    ("dropout_mask", "float32", ANY): "a6a3b0aacf9af680",
    ("dropout_mask", "float64", ANY): "cca72ff57f31b434",
    ("randint", "int64", ANY): "c4d49f354baf824d",
    ("large randint", "int64", ANY): "59d5c41aa2cc4c65",
    ("randperm", "int64", ANY): "25630b3b7b247c88",
    ("epoch_order", "int64", ANY): "8d1f6ef5ed81190c",
    ("rand", "float32", "cuda"): "110e0fc40c717480",
    ("rand", "float64", "cuda"): "0c884d7af40c9438",
    ("uniform", "float32", "cuda"): "3b420054abae096f",
    ("uniform", "float64", "cuda"): "c18a8b2e6714048b",
    ("bernoulli", "float32", "cuda"): "444e225285b8c7ca",
    ("bernoulli", "float64", "cuda"): "ae3143fbdef6a6b9",
    ("dropout_mask", "float32", "cuda"): "7608e947b68c2264",
    ("dropout_mask", "float64", "cuda"): "c2c80dcfeba965bf",
    ("randint", "int64", "cuda"): "56382f195f0d6bd1",
    ("large randint", "int64", "cuda"): "40d5b1ef402c1649",
    ("randperm", "int64", "cuda"): "a4f814fc54c6e045",
}


def on_record(for_torch: bool = False) -> list:
    of_torch = [platform_variant()] if for_torch and not why_not_own("cpu") else []
    return [
        pytest.param(variant, stream, dtype, recorded, id=f"{stream}-{dtype}-{variant}")
        for (stream, dtype, variants), recorded in RECORDED.items()
        for variant in variants.split()
        if not for_torch or variant in of_torch
    ]


def numpy_hash(variant: str, stream: str, dtype: str) -> str:
    if stream == "normal" and dtype == "float64" and not GLIBC:
        pytest.skip("the float64 logarithm, sine and cosine are those of the C library, recorded with glibc")
    make = toy_card if variant == "cuda" else lambda seed: TorchGenerator(seed, variant=variant)
    return hash_of(make, stream, "float64" if dtype == "int64" else dtype)


@pytest.mark.parametrize(("variant", "stream", "dtype", "recorded"), on_record())
def test_numpy_is_as_recorded(variant, stream, dtype, recorded):
    assert numpy_hash(variant, stream, dtype) == recorded, "NumPy's stream has changed"


@exact
@pytest.mark.parametrize(("variant", "stream", "dtype", "recorded"), on_record(for_torch=True))
def test_pytorch_is_as_recorded(variant, stream, dtype, recorded):
    assert numpy_hash(variant, stream, dtype) == recorded, "NumPy's stream has changed"
    drawn = hash_of(
        lambda seed: torch.Generator().manual_seed(seed), stream, "float64" if dtype == "int64" else dtype
    )
    assert drawn == recorded, (
        f"NumPy's stream is as recorded, PyTorch's has changed (now {torch.__version__})"
    )


# The arithmetic


def rounded(value: Fraction, digits: int) -> float:
    """The nearest number of so many binary digits, of two the even one."""
    if not value:
        return 0.0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - digits + 1)
    return float(round(value / unit) * unit)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("dtype", "x", "y", "below"),
    [
        (np.float32, 1 + 2**-12, 1 + 2**-12, 1 + 2**-11),
        (np.float64, 1 + 2**-26, 1 + 2**-27, 1 + 2**-26 + 2**-27),
    ],
)
def test_fma_sees_on_which_side_of_a_tie_the_sum_lies(dtype, x, y, below, sign):
    x, y, below, tiny = dtype(x), dtype(y), dtype(below), dtype(2**-70)
    above = np.nextafter(below, dtype(2))
    middle = (Fraction(float(below)) + Fraction(float(above))) / 2
    assert Fraction(float(x)) * Fraction(float(y)) == middle
    assert fma(np.array([sign * x]), y, sign * tiny)[0] == sign * above
    assert fma(np.array([sign * x]), y, -sign * tiny)[0] == sign * below


@pytest.mark.parametrize("k", [65, 129, 257, 513, 1025, 4097, 2**22 + 1])
def test_fma_rounds_a_subnormal_of_float32_once_too(k):
    """x·y is about half of the last digit of z: in float64 the sum is a tie, or nearly one."""
    twice_rounded = 0
    for m in range(1, 40):
        x, y = (np.float32((1 + sign * m * 2**-23) * 2**-75) for sign in (1, -1))
        for z in np.float32([k * 2**-149, -k * 2**-149]):
            digits = round((Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))) * 2**149)
            expected = np.float32(float(digits) * 2.0**-149)
            assert fma(np.array([x]), y, z)[0] == expected, m
            twice_rounded += int(np.float32(np.float64(x) * np.float64(y) + np.float64(z)) != expected)
    assert twice_rounded > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_of_what_is_not_finite_or_zero_is_product_and_sum(dtype):
    x = np.array([0.5, 0.0, 1.0, -0.0, -0.5], dtype)
    values = [dtype(value) for value in (0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -1.5)]
    for y, z in itertools.product(values, values):
        if y != 0 and np.isfinite(y) and np.isfinite(z):
            continue
        with np.errstate(invalid="ignore"):
            found, expected = fma(x, y, z), x * y + z
        np.testing.assert_array_equal(found, expected, err_msg=f"{y}, {z}")
        finite = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[finite], np.signbit(expected)[finite], f"{y}, {z}")


def test_fma_rounds_a_subnormal_once_too():
    """float() of a fraction is rounded once, subnormal or not"""
    rng = np.random.default_rng(0)
    x, twice_rounded = rng.standard_normal(50), 0
    for exponent in range(-1080, -1015, 2):
        y, z = (np.float64(np.ldexp(rng.standard_normal(), exponent)) for _ in range(2))
        for addend in (z, -x[7] * y, np.float64(0)):
            exact = [Fraction(a) * Fraction(float(y)) + Fraction(float(addend)) for a in x]
            expected = np.array([float(value) for value in exact])
            found = fma(x, y, addend)
            np.testing.assert_array_equal(found, expected)
            signs = np.array([value < 0 for value in exact])
            np.testing.assert_array_equal(
                np.signbit(found)[signs | (found != 0)], signs[signs | (found != 0)]
            )
            twice_rounded += int((x * y + addend != expected).sum())
    assert twice_rounded > 50, "the examples do not tell one rounding from two"


def halves(number: int) -> tuple[int, int]:
    return number % 2**32, number // 2**32


def kernel(seed: int, offset: int, n: int, threads: int, width: int) -> np.ndarray:
    """The word of each element, thread by thread, as a kernel goes over the tensor

    With width 1 a thread has the elements t, t + T, t + 2T and t + 3T of a call, else `width` neighbours.
    """
    words = np.zeros(n, np.uint32)
    for t in range(threads):
        calls = range(-(-n // (threads * (4 if width == 1 else width))))
        counter = np.array([[*halves(offset // 4 + call), t, 0] for call in calls], np.uint32).T
        drawn = philox4x32(counter, np.array(halves(seed), np.uint32))
        for call in calls:
            for slot in range(4 if width == 1 else width):
                i = (4 * call + slot) * threads + t if width == 1 else (call * threads + t) * width + slot
                if i < n:
                    words[i] = drawn[slot, call]
    return words


@pytest.mark.parametrize("n", [1, 300, 1024, 5000, 9000])
def test_a_gpu_draws_what_its_threads_would(n):
    seed, offset = 5 * 2**32 + 2**31 + 7, 4 * (2**32 + 2**31 + 3)
    card = CudaGenerator(seed, multiprocessors=2, threads_per_multiprocessor=512)  # 1024 threads at most
    card.offset = offset
    threads = min(1024, -(-n // 256) * 256)
    expected = [kernel(seed, at, n, threads, 1) for at in (offset, offset + 4 * -(-n // (4 * threads)))]
    np.testing.assert_array_equal(card.random(n), expected[0])
    np.testing.assert_array_equal(card.random(n), expected[1])
    for method, dtype, of_a_call in (
        ("randn", np.float32, 4),
        ("rand", np.float32, 4),
        ("rand", np.float64, 2),
    ):
        card = CudaGenerator(seed, multiprocessors=2, threads_per_multiprocessor=512)
        assert getattr(card, method)(n, dtype).shape == (n,)
        assert card.offset == 4 * -(-n // (of_a_call * threads))
    for dtype, most in ((np.float32, 4), (np.float64, 2)):
        width = next(width for width in (most, most // 2, 1) if n % width == 0)
        card = CudaGenerator(seed, multiprocessors=2, threads_per_multiprocessor=512)
        u = kernel(seed, 0, n, threads, width).astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        np.testing.assert_array_equal(card.dropout_mask(np.ones(n, dtype), 0.3), u < np.float32(0.7))


def pairs(seed: int, offset: int, n: int, threads: int) -> list[int]:
    """The 64 bits of each element, as a kernel takes them: two words of four, high half first."""
    found = [0] * n
    for t in range(min(threads, n)):
        for call in range(-(-n // (threads * 2))):
            counter = np.array([*halves(offset // 4 + call), t, 0], np.uint32).reshape(4, 1)
            x, y, z, w = philox4x32(counter, np.array(halves(seed), np.uint32)).ravel().tolist()
            for slot, word in enumerate((x << 32 | y, z << 32 | w)):
                if (i := (2 * call + slot) * threads + t) < n:
                    found[i] = word
    return found


CARD_SEED = 5 * 2**32 + 2**31 + 7


@pytest.mark.parametrize("n", [1, 300, 5000])
@pytest.mark.parametrize(
    ("low", "high"),
    [(-5, 1000), (0, 2**28 - 1), (0, 2**28), (-(2**40), 2**62), (-(2**63), 2**63 - 1)],
)
def test_a_gpus_integers_are_remainders_of_its_words(n, low, high):
    card = CudaGenerator(CARD_SEED, multiprocessors=2, threads_per_multiprocessor=512)
    threads, offset = min(1024, -(-n // 256) * 256), 0
    for _ in range(2):
        if high - low < 2**28:
            words, in_a_call = kernel(CARD_SEED, offset, n, threads, 1).tolist(), 4
        else:
            words, in_a_call = pairs(CARD_SEED, offset, n, threads), 2
        integers = card.randint(low, high, n)
        assert integers.dtype == np.int64
        assert integers.tolist() == [word % (high - low) + low for word in words]
        offset += 4 * -(-n // (in_a_call * threads))
        assert card.offset == offset


# How many bits of a key count, by the formula in 60 digits; the first four are around the borders of 32 bits.
KEY_BITS = {21272: 31, 21273: 32, 30083: 32, 30084: 33, 1: 3, 2: 5, 10: 9, 1000: 23, 300: 19}


@pytest.mark.parametrize("n", KEY_BITS)
def test_a_gpus_permutation_is_sorted_by_its_keys(n):
    """Keys as signed integers, of which a sort by the low bits sees these alone; equal keys: see below."""
    card = CudaGenerator(CARD_SEED, multiprocessors=8, threads_per_multiprocessor=512)
    bits, width = KEY_BITS[n], 32 if KEY_BITS[n] <= 32 else 64
    words = pairs(CARD_SEED, 0, n, min(4096, -(-n // 256) * 256))
    keys = [word % (2**width - 1) - 2 ** (width - 1) for word in words]
    seen = keys if bits == width else [key % 2**bits for key in keys]
    order, expected = card.randperm(n), sorted(range(n), key=seen.__getitem__)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    assert [seen[i] for i in order] == [seen[i] for i in expected]
    if len(set(seen)) == n:
        assert order.tolist() == expected
    assert card.offset == 4 * -(-n // (2 * min(4096, -(-n // 256) * 256))) + -(-n // 4) * 4


@pytest.mark.parametrize("seed", [CARD_SEED, CARD_SEED + 1, CARD_SEED + 2])
@pytest.mark.parametrize("call", [0, 7])
def test_equal_keys_of_a_gpus_permutation_are_shuffled_by_the_thread_of_the_first(seed, call):
    lengths = (6, 1, 2, 1, 3, 9, 2, 21, 5)
    keys, size = np.repeat(np.arange(9), lengths), sum(lengths)
    card = CudaGenerator(seed, multiprocessors=2, threads_per_multiprocessor=512)
    card.offset = 4 * call
    order, expected = np.arange(100, 100 + size), list(range(100, 100 + size))
    card._shuffle_equal(order, keys)
    for first, length in zip(np.cumsum([0, *lengths[:-1]]).tolist(), lengths, strict=True):
        counter = np.array([[call + i, 0, first, 0] for i in range(6)], np.uint32).T
        words = iter(philox4x32(counter, np.array(halves(seed), np.uint32)).T.ravel().tolist())
        for i in range(length - 1, 0, -1):
            j = next(words) % (i + 1)
            a, b = first + i, first + j
            expected[a], expected[b] = expected[b], expected[a]
    assert order.tolist() == expected
    assert card.offset == 4 * call + 52  # 50 numbers, rounded up to a multiple of 4


class AskedError(Exception):
    """For a permutation that would be too long to make: its keys are asked for."""


@pytest.mark.parametrize(("n", "width"), [(1000, 32), (30083, 32), (30084, 64), (2**29, 64), (2**30 - 1, 64)])
def test_the_keys_of_a_gpus_permutation_are_drawn_from_all_integers_of_their_width(monkeypatch, n, width):
    def randint(*arguments):
        raise AskedError(*arguments)

    card = toy_card(3)
    monkeypatch.setattr(card, "randint", randint)
    with pytest.raises(AskedError) as asked:
        card.randperm(n)
    assert asked.value.args == (-(2 ** (width - 1)), 2 ** (width - 1) - 1, n)


@pytest.mark.parametrize("n", [-1, 2**30, 2**30 + 1])
def test_a_gpus_permutation_has_a_length_that_pytorchs_arithmetic_has(n):
    with pytest.raises(ValueError, match=rf"^n: expected an integer from 0 to {2**30 - 1}, got {n}$"):
        toy_card(3).randperm(n)


def test_every_bit_of_a_key_that_counts_does(monkeypatch):
    """Of ten numbers nine bits count, the lowest one too; what is above them does not."""
    card = toy_card(3)
    keys = np.array([3, 2, 512 + 1, 0, 5, 4, -512 + 7, 6, 9, 8])
    monkeypatch.setattr(card, "randint", lambda *arguments: keys.copy())
    assert card.randperm(10).tolist() == [3, 2, 1, 0, 5, 4, 7, 6, 9, 8]


def test_no_other_thread_draws_between_the_keys_of_a_permutation_and_their_shuffling(monkeypatch):
    card, held = toy_card(3), []
    monkeypatch.setattr(card, "_shuffle_equal", lambda order, keys: held.append(card._lock._is_owned()))
    card.randperm(5)
    assert held == [True]


def test_equal_keys_of_a_gpus_permutation_remain_in_order_until_they_are_shuffled(monkeypatch):
    card, keys = toy_card(3), np.random.default_rng(0).integers(0, 5, 1000)
    monkeypatch.setattr(card, "randint", lambda *arguments: keys.copy())
    monkeypatch.setattr(card, "_shuffle_equal", lambda order, keys: None)
    assert card.randperm(1000).tolist() == sorted(range(1000), key=keys.__getitem__)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_state_may_lie_in_memory_as_it_likes_but_is_an_array(device):
    generator = toy_card(3) if device == "cuda" else TorchGenerator(3)
    state = generator.get_state()
    expected = generator.random(5)
    generator.set_state(np.repeat(state, 2)[::2])
    np.testing.assert_array_equal(generator.random(5), expected)
    with pytest.raises(TypeError, match=r"^state: expected an array of uint8, got list$"):
        generator.set_state(state.tolist())


def test_bounds_are_refused_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for low, high in ((np.inf, np.inf), (-np.inf, np.inf), (0.0, 1e39), (np.nan, 1.0)):
            with pytest.raises(
                ValueError, match=r"^low, high: expected low <= high, a finite distance apart, got "
            ):
                TorchGenerator(0).uniform(3, low, high)


def test_what_is_no_array_is_not_filled():
    with pytest.raises(TypeError, match=r"^out: expected an array, got list$"):
        TorchGenerator(0).uniform(3, out=[0.0] * 3)


ONE_AT_A_TIME = {
    "random": (3,), "uniform": (3,), "normal": (3,), "bernoulli": (3, 0.5), "dropout_mask": (np.ones(3), 0.5),
    "randint": (0, 2**40, 3), "randperm": (3,), "get_state": (), "set_state": (), "epoch_order": (3,),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_AT_A_TIME)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_while_one_thread_draws_the_others_wait(device, name):
    if (device, name) == ("cuda", "epoch_order"):
        return  # refused there
    generator = toy_card(3) if device == "cuda" else TorchGenerator(3)
    arguments = (generator.get_state(),) if name == "set_state" else ONE_AT_A_TIME[name]
    other = threading.Thread(target=getattr(generator, name), args=arguments)
    with generator._lock:
        other.start()
        other.join(0.05)
        assert other.is_alive(), "it did not wait"
    other.join(20)
    assert not other.is_alive()


def test_no_permutation_moves_the_counter_of_a_gpu():
    card = toy_card(3)
    assert card.randperm(0).tolist() == []
    assert card.randint(0, 5, 0).tolist() == []
    assert card.offset == 0


def test_a_gpus_float16_is_rounded_at_the_end():
    numbers = toy_card(3).normal(1000, 0.3, 1.7)
    halves = toy_card(3).normal(1000, 0.3, 1.7, np.float16)
    np.testing.assert_array_equal(halves, torch.from_numpy(numbers).half().numpy())
    assert toy_card(3).randn((2, 3), np.float16).dtype == np.float16
    assert np.isinf(toy_card(3).normal(1000, 0.0, 65504.0, np.float16)).any()


def test_a_gpus_normal_numbers_are_sine_and_cosine_of_its_words():
    """Of the four words of a thread the first is a length and the second an angle, and so on; two calls."""
    n = 2**20  # of 2¹⁷ threads
    cards = [CudaGenerator(3, multiprocessors=256, threads_per_multiprocessor=512) for _ in range(3)]
    drawn = cards[0].rand(n), cards[1].random(n), cards[2].randn(n)
    u, words, z = (
        array.reshape(2, 2, 2, -1).astype(np.float64) for array in drawn
    )  # call, pair, of it, thread
    radius, v = np.sqrt(-2 * np.log(u[:, :, 0])), 2 * math.pi * (words[:, :, 1] + 0.5) * 2.0**-32
    np.testing.assert_allclose(z[:, :, 0], radius * np.sin(v), rtol=0, atol=3e-6)
    np.testing.assert_allclose(z[:, :, 1], radius * np.cos(v), rtol=0, atol=3e-6)
    small = (words[:, :, 1] < 2**22) & (u[:, :, 0] < 0.99)
    assert small.sum() > 100
    np.testing.assert_allclose(z[:, :, 0][small], (radius * np.sin(v))[small], rtol=1e-6)


@pytest.mark.parametrize("make", [TorchGenerator, toy_card])
def test_the_mask_of_an_array_that_repeats_itself_is_that_of_its_copy(make):
    x = np.broadcast_to(np.ones((1, 4), np.float32), (9, 4))
    np.testing.assert_array_equal(make(3).dropout_mask(x, 0.5), make(3).dropout_mask(x.copy(), 0.5))


def test_a_gpus_uniform_number_that_rounds_to_the_upper_end_becomes_the_lower_one():
    numbers = toy_card(3).uniform(1000, 1, 1 + 2**-23)
    assert (numbers == 1).all()


def test_a_gpus_number_that_is_the_probability_itself_is_a_zero():
    p = float(toy_card(3).rand(1)[0])
    assert toy_card(3).bernoulli(1, p) == 0
    assert toy_card(3).bernoulli(1, math.nextafter(p, 1) + 2**-24) == 1
    assert toy_card(3).dropout_mask(np.ones(1, np.float32), 1 - p) == 0


@pytest.mark.parametrize("make", [TorchGenerator, toy_card])
def test_the_defaults_are_those_of_pytorch(make):
    for size in (5, 40):
        np.testing.assert_array_equal(make(3).uniform(size), make(3).rand(size))
        np.testing.assert_array_equal(make(3).normal(size), make(3).randn(size))
        assert make(3).bernoulli(size, 0.5).dtype == np.float32


def test_which_spreads_a_gpus_normal_numbers_may_have():
    np.testing.assert_array_equal(toy_card(3).normal(3, 1.5, 0.0), np.full(3, 1.5, np.float32))
    for std in (-1.0, math.nan):
        with pytest.raises(ValueError, match=f"std: expected a number >= 0, got {std}"):
            toy_card(3).normal(3, 0.0, std)


def test_a_gpu_may_draw_more_than_the_upper_end(monkeypatch):
    """high − low is rounded up, u may be 1, and PyTorch asks only whether the sum is `high` itself."""
    card = toy_card(3)
    monkeypatch.setattr(card, "_unit", lambda n, dtype: np.ones(n, dtype))
    assert card.uniform(1, -1, 0.75 * 2**-23) == 2**-23


def test_a_gpus_counter_moves_by_four_for_each_call_of_its_threads():
    generator = TorchGenerator(0, device="cuda", multiprocessors=2, threads_per_multiprocessor=256)
    for n, offset in ((2048, 4), (2049, 12), (1, 16), (0, 16)):  # 2·256 threads, four words a call
        generator.random(n)
        assert generator.offset == offset


@pytest.mark.parametrize(
    "card", [{}, {"device": "cuda", "multiprocessors": 2, "threads_per_multiprocessor": 256}]
)
def test_the_distance_of_bounds_may_not_overflow(card):
    generator = TorchGenerator(0, **card)
    with pytest.raises(ValueError, match="low, high: expected low <= high, a finite distance apart"):
        generator.uniform(3, -3e38, 3e38)


@pytest.mark.parametrize(("p", "kept"), [(0, 1), (1, 0)])
def test_a_gpu_draws_nothing_for_a_mask_without_chance(p, kept):
    generator = TorchGenerator(0, device="cuda", multiprocessors=2, threads_per_multiprocessor=256)
    np.testing.assert_array_equal(generator.dropout_mask(np.ones((3, 4)), p), np.full((3, 4), kept))
    assert generator.offset == 0


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float64", 53)])
def test_fma_is_rounded_once(dtype, digits):
    """Sums that cancel, sums just beside the middle of two numbers, and sums of very unequal terms."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(40).astype(dtype)
    x[:3] = 0.5, 1, 1 - np.finfo(dtype).epsneg
    twice_rounded = 0
    for i in range(120):
        y = rng.standard_normal(1).astype(dtype)[0]
        z = [-x[i % 40] * y, y * np.ldexp(x.dtype.type(1), i - 60), np.ldexp(1 + np.finfo(dtype).eps, i % 60)]
        for addend in np.array(z, dtype):
            expected = [
                rounded(Fraction(float(a)) * Fraction(float(y)) + Fraction(float(addend)), digits) for a in x
            ]
            np.testing.assert_array_equal(fma(x, y, addend), np.array(expected, dtype))
            twice_rounded += int((x * y + addend != np.array(expected, dtype)).sum())
    assert twice_rounded > 1000, "the examples do not tell one rounding from two"


@pytest.mark.skipif(
    platform.system() != "Linux" or not GLIBC, reason="compares with glibc's logf, sinf and cosf"
)
def test_the_c_librarys_functions_to_the_bit():
    library = ctypes.CDLL("libm.so.6")
    rng = np.random.default_rng(0)
    powers, borders = 2 ** np.arange(25), np.arange(1, 512) << 15  # where logf takes another row of its table
    k = np.unique(np.concatenate([rng.integers(1, 2**24, 30_000), powers, 2**24 - powers[:-1], borders]))
    unit = (k * 2.0**-24).astype(np.float32)  # every argument that occurs is such a number
    theta = (2 * math.pi * unit.astype(np.float64)).astype(np.float32)
    for name, argument, found in (
        ("logf", unit, log_glibc(unit)),
        ("sinf", theta, sincos_glibc(theta)[0]),
        ("cosf", theta, sincos_glibc(theta)[1]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
        np.testing.assert_array_equal(found, np.array([*map(function, argument.tolist())], np.float32), name)


# The seed and the state


def test_all_of_a_seed_counts_on_a_gpu():
    """On a CPU its low half, as the cases show."""
    assert TorchGenerator(-1).seed == TorchGenerator(2**64 - 1).seed == 2**64 - 1
    assert TorchGenerator(-(2**63)).seed == TorchGenerator(2**63).seed == 2**63
    np.testing.assert_array_equal(toy_card(-1).rand(20), toy_card(2**64 - 1).rand(20))
    assert not np.array_equal(toy_card(5).rand(20), toy_card(2**32 + 5).rand(20))


def test_a_state_is_a_copy():
    for generator in (TorchGenerator(3), toy_card(3)):
        generator.rand(5)
        state, following = generator.get_state(), generator.rand(5)
        generator.set_state(state)
        state[:] = 0
        np.testing.assert_array_equal(generator.rand(5), following)


def test_the_state_of_numpys_generator_is_its_counter_its_increment_and_half_a_word():
    generator, other = NumpyGenerator(3), NumpyGenerator(4)
    state = {"state": 2**127 + 3, "inc": 2**126 + 5}
    engine = {"bit_generator": "PCG64", "state": state, "has_uint32": 1, "uinteger": 2**31 + 7}
    generator._generator.bit_generator.state = engine
    zeros, packed = "00" * 14, generator.get_state()
    assert packed.tobytes().hex() == f"03{zeros}80" + f"05{zeros}40" + "01000000" + "07000080"
    other.set_state(NumpyGenerator(3).get_state())  # of which no half is kept
    assert other._generator.bit_generator.state == NumpyGenerator(3)._generator.bit_generator.state
    other.set_state(packed)
    assert other._generator.bit_generator.state == engine
    for length in (39, 41):
        with pytest.raises(ValueError, match=rf"^state: expected 40 bytes, got shape \({length},\)$"):
            other.set_state(np.zeros(length, np.uint8))
    for place, value in ((32, 2), (35, 1)):
        wrong = packed.copy()
        wrong[place] = value
        with pytest.raises(ValueError, match=r"^state: expected one of NumPy's own generator, got another$"):
            other.set_state(wrong)
    assert other._generator.bit_generator.state == engine


def test_raw_words_are_uint32_and_no_negative_number_of_them():
    assert TorchGenerator(0).random(3).dtype == np.uint32
    with pytest.raises(ValueError, match=r"^size: expected lengths >= 0, got \(-1,\)$"):
        TorchGenerator(0).random(-1)


# Laws


def drawn(side: str, seed: int, calls: list[Call], dtype: str = "float32") -> list[np.ndarray]:
    """What one generator of the seed gives, call by call."""
    generator = TorchGenerator(seed) if side == "scratch" else torch.Generator().manual_seed(seed)
    return [np.asarray(draw(replace(call, dtype=call.dtype or dtype), generator)) for call in calls]


@each_side
@seeded
@given(seed=ANY_SEED, n=st.integers(1, 700))
def test_a_permutation_is_one(side, seed, n):
    once, again, epoch = drawn(
        side,
        seed,
        [
            Call("randperm", arguments=(n,)),
            Call("randperm", arguments=(n,)),
            Call("epoch_order", arguments=(n,)),
        ],
    )
    for order in (once, again, epoch):
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
    if n > 20:
        assert (once != again).any()


@each_side
@pytest.mark.parametrize(("dtype", "digits"), [("float32", 24), ("float64", 53)])
@seeded
@given(seed=ANY_SEED, n=st.integers(1, 700))
def test_uniform_numbers_are_multiples_of_one_power_of_two_below_1(side, dtype, digits, seed, n):
    (u,) = drawn(side, seed, [Call("rand", n)], dtype)
    scaled = u * 2.0**digits
    assert ((u >= 0) & (u < 1) & (scaled == np.floor(scaled))).all()


@each_side
@pytest.mark.parametrize("dtype", DTYPES)
@seeded
@given(seed=ANY_SEED, data=st.data())
def test_uniform_numbers_stay_within_any_bounds(side, dtype, seed, data):
    low, high = data.draw(made(any_bounds, np.dtype(dtype).type))
    low, high = (np.dtype(dtype).type(bound) for bound in (low, high))
    (u,) = drawn(side, seed, [Call("uniform", 700, (float(low), float(high)))], dtype)
    assert (u >= low).all()
    assert (u < high).all() or low == high


@each_side
@seeded
@given(seed=ANY_SEED, low=st.integers(-(2**63), 2**63 - 2), data=st.data())
def test_integers_stay_within_any_bounds(side, seed, low, data):
    high = data.draw(st.integers(low + 1, min(low + 9, 2**63 - 1)) | st.integers(low + 1, 2**63 - 1))
    (numbers,) = drawn(side, seed, [Call("randint", arguments=(low, high, 300))])
    assert low <= int(numbers.min())
    assert int(numbers.max()) < high
    if high - low < 10:
        assert len(np.unique(numbers)) == high - low, "300 numbers miss one of 9 with a chance of 10⁻¹⁴"


@each_side
@pytest.mark.parametrize("method", ["bernoulli", "dropout_mask"])
@seeded
@given(seed=ANY_SEED, probabilities=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_what_is_kept_is_kept_at_every_greater_probability_too(side, method, seed, probabilities):
    """One u for both: 1 where u < p. A mask drops with probability p, and keeps the complement"""
    less, more = (drawn(side, seed, [Call(method, 300, (p,))])[0] for p in probabilities)
    assert set(np.unique([less, more])) <= {0, 1}
    if method == "dropout_mask":
        less, more = more, less
    assert (less <= more).all()


@each_side
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["rand", "bernoulli", "randint"])
@seeded
@given(seed=ANY_SEED, n=st.integers(0, 700), m=st.integers(0, 700))
def test_two_calls_go_on_where_one_would(side, method, dtype, seed, n, m):
    def call(size):
        if method == "randint":
            return Call("randint", arguments=(-5, 2**30, size))
        return Call(method, size, (0.3,) if method == "bernoulli" else ())

    first, second = drawn(side, seed, [call(n), call(m)], dtype)
    (whole,) = drawn(side, seed, [call(n + m)], dtype)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


# Bad input


SEED = r"seed: expected an integer from -2\*\*63 to 2\*\*64 - 1, got "
BAD_SEEDS = [
    (2**65, ValueError, SEED + "36893488147419103232"),
    (2**64, ValueError, SEED + "18446744073709551616"),
    (-(2**63) - 1, ValueError, SEED + "-9223372036854775809"),
    (1.5, TypeError, "seed: expected an integer, got float"),
    (True, TypeError, "seed: expected an integer, got bool"),
    ("1", TypeError, "seed: expected an integer, got str"),
    (None, TypeError, "seed: expected an integer, got NoneType"),
]


@pytest.mark.parametrize(("seed", "error", "message"), BAD_SEEDS)
def test_a_bad_seed_is_refused_by_both(seed, error, message):
    for device in ("cpu", "cuda"):
        card = {"multiprocessors": 1, "threads_per_multiprocessor": 256} if device == "cuda" else {}
        with pytest.raises(error, match=message):
            TorchGenerator(seed, device, **card)
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        torch.Generator().manual_seed(seed)


BAD_CALLS = [  # beside those of the components
    (Call("rand", True), TypeError, "size: expected an integer, got bool"),
    (Call("rand", None), TypeError, "size: expected an integer, got NoneType"),
    (Call("rand", 3, dtype="int64"), TypeError, "dtype: expected float32 or float64, got int64"),
    (Call("randn", 3, dtype="int64"), TypeError, "dtype: expected float32 or float64, got int64"),
    (Call("uniform", 3, (1, 0)), ValueError, "low, high: expected low <= high, a finite distance apart"),
    (
        Call("uniform", 3, (-3e38, 3e38)),
        ValueError,
        "low, high: expected low <= high, a finite distance apart",
    ),
    (Call("normal", 3, (0, math.nan)), ValueError, "std: expected a number >= 0, got nan"),
    (Call("bernoulli", 3, (1.1,)), ValueError, "p: expected a probability from 0 to 1, got 1.1"),
    (Call("dropout_mask", 3, (1.1,)), ValueError, "p: expected a probability from 0 to 1, got 1.1"),
    (Call("randint", arguments=(-(2**63) - 1, 0, 2)), ValueError, "low, high: expected 64-bit integers"),
    (Call("randint", arguments=(0.5, 3, 2)), TypeError, "low: expected an integer, got float"),
    (Call("randint", arguments=(0, 2.5, 2)), TypeError, "high: expected an integer, got float"),
    (Call("randperm", arguments=(True,)), TypeError, "n: expected an integer, got bool"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS, ids=lambda value: str(value))
def test_a_bad_argument_is_refused_by_both_and_draws_nothing(call, error, message):
    generator, twin = TorchGenerator(3), torch.Generator().manual_seed(3)
    state = generator.get_state()
    if not call.dtype:
        call = Call(call.method, call.size, call.arguments, dtype="float32")
    with pytest.raises(error, match=message), np.errstate(over="ignore"):
        draw(call, generator)
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        draw(call, twin)
    np.testing.assert_array_equal(generator.get_state(), state)


def word_too_long() -> np.ndarray:
    state = TorchGenerator(3).get_state()
    state[32 + 4] = 1  # the first word is now 2³² and more
    return state


BAD_STATES = {  # beside those of the component; the last three PyTorch takes
    "another shape": np.zeros((1, 5056), np.uint8),
    "ones": np.full(5056, 255, np.uint8),
    "a word of 2³² and more": word_too_long(),
    "renewed too early": state_at(left=622, seeded=1, drawn=2),
    "renewed too late": state_at(left=624, seeded=1, drawn=2),
    "seeded twice": state_at(left=623, seeded=2, drawn=2),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_bad_state_is_refused_and_changes_nothing(name):
    generator, state = TorchGenerator(3), BAD_STATES[name]
    before = generator.get_state()
    message = "5056 bytes, got shape" if name == "another shape" else "that of a Mersenne Twister"
    with pytest.raises(ValueError, match=f"state: expected {message}"):
        generator.set_state(state)
    np.testing.assert_array_equal(generator.get_state(), before)
    if name in ("renewed too early", "renewed too late", "seeded twice"):
        torch.Generator().set_state(torch.from_numpy(state))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "mps"}, "device: expected one of cpu, cuda, got mps"),
        ({"device": "cuda:first"}, "device: expected one of cpu, cuda, got cuda:first"),
        ({"device": None}, "device: expected one of cpu, cuda, got None"),
        ({"variant": "neon"}, "variant: expected one of avx, scalar, default, got neon"),
        (
            {"device": "cuda", "multiprocessors": 0, "threads_per_multiprocessor": 2048},
            "multiprocessors: expected an integer >= 1, got 0",
        ),
        (
            {"device": "cuda", "multiprocessors": 1, "threads_per_multiprocessor": 128},
            "threads_per_multiprocessor: expected an integer >= 256, got 128",
        ),
    ],
)
def test_a_machine_that_there_is_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        TorchGenerator(0, **arguments)


def test_a_variant_is_a_matter_of_equality_and_not_of_identity():
    for variant in VARIANTS:
        one, other = (TorchGenerator(5, variant=name) for name in (variant, "".join(list(variant))))
        for size in (15, 15, 15, 5000):  # below 16 by pairs, in float64
            for dtype in (np.float32, np.float64):
                numbers = (make.normal(size, 0.3, 1.7, dtype) for make in (one, other))
                np.testing.assert_array_equal(*numbers)
            np.testing.assert_array_equal(one.uniform(size, 0.3, 1.7), other.uniform(size, 0.3, 1.7))


def test_a_card_may_be_numbered():
    card = {"multiprocessors": 2, "threads_per_multiprocessor": 1024}
    numbered, plain = TorchGenerator(5, "cuda:1", **card), TorchGenerator(5, "cuda", **card)
    np.testing.assert_array_equal(numbered.rand(9), plain.rand(9))


def test_what_the_gpus_stream_does_not_have_is_said():
    card = toy_card(0)
    with pytest.raises(ValueError, match="state: expected 16 bytes"):
        card.set_state(TorchGenerator(0).get_state())
    with pytest.raises(ValueError, match="state: expected an offset that is a multiple of 4, got 3"):
        card.set_state(np.array([0, 3], "<u8").view(np.uint8))
    for dtype in (np.float64, np.int64):
        with pytest.raises(TypeError, match=f"dtype: expected float16 or float32, got {np.dtype(dtype)}"):
            card.randn(3, dtype)
    with pytest.raises(TypeError, match="dtype: expected float32 or float64, got float16"):
        card.dropout_mask(np.ones(16, np.float16), 0.5)
    for low, high in ((3, 3), (4, 3), (0, 2**63), (-(2**63) - 1, 0)):
        with pytest.raises(ValueError, match="low, high: expected 64-bit integers, low < high, got"):
            card.randint(low, high, 2)
    for n in (-1, 2**30):
        with pytest.raises(ValueError, match=f"n: expected an integer from 0 to 1073741823, got {n}"):
            card.randperm(n)
    with pytest.raises(TypeError, match="n: expected an integer, got float"):
        card.randperm(2.5)
    with pytest.raises(ValueError, match="generator: expected one of the CPU"):
        card.epoch_order(3)


def test_an_array_to_fill_must_fit():
    for size, right, wrong in (
        (4, np.float32, np.float32),
        (2, np.float32, np.float32),
        (3, np.float64, np.float32),
        (3, np.float32, np.float64),
    ):
        with pytest.raises(ValueError, match=r"out: expected float(32|64)\(3,\), got"):
            TorchGenerator(0).uniform(3, 0, 1, right, out=np.empty(size, wrong))


def test_a_number_that_is_the_probability_itself_is_a_zero_on_both_sides():
    p = float(TorchGenerator(3).rand(1, np.float64)[0])
    twin = torch.Generator().manual_seed(3)
    assert TorchGenerator(3).bernoulli(1, p) == torch.empty(1).bernoulli_(p, generator=twin).numpy() == 0
    assert TorchGenerator(3).bernoulli(1, math.nextafter(p, 1)) == 1


def test_the_longest_permutation(monkeypatch):
    class Allowed(Exception):  # noqa: N818
        pass

    def begin(*arguments, **options):
        raise Allowed

    monkeypatch.setattr(np, "arange", begin)
    with pytest.raises(Allowed):
        TorchGenerator(0).randperm(214_748_363)
    for n in (214_748_364, 214_748_365):
        with pytest.raises(ValueError, match=f"n: expected an integer from 0 to 214748363, got {n}"):
            TorchGenerator(0).randperm(n)


def test_which_seeds_numpys_own_stream_has():
    assert NumpyGenerator(3).get_state().shape == (40,)
    for seed in (0, 1, 2**70):
        NumpyGenerator(seed)
    with pytest.raises(ValueError, match="seed: expected an integer >= 0, got -1"):
        NumpyGenerator(-1)
    for seed in (1.0, True):
        with pytest.raises(TypeError, match=f"seed: expected an integer, got {type(seed).__name__}"):
            NumpyGenerator(seed)


def test_numpys_own_stream_is_scaled_like_pytorchs():
    draws = [NumpyGenerator(3) for _ in range(8)]
    u, z = draws[0].uniform((50,), 0, 1, np.float64), draws[1].normal((50,), 0, 1, np.float64)
    np.testing.assert_array_equal(draws[2].uniform((50,), dtype=np.float64), u)
    np.testing.assert_array_equal(draws[3].normal((50,), dtype=np.float64), z)
    np.testing.assert_array_equal(draws[4].uniform((50,), -0.5, 3.0, np.float64), u * 3.5 - 0.5)
    np.testing.assert_array_equal(draws[5].normal((50,), 0.7, 3.0, np.float64), z * 3.0 + 0.7)
    np.testing.assert_array_equal(draws[6].bernoulli((50,), float(u[7]), np.float64), u < u[7])
    np.testing.assert_array_equal(draws[7].dropout_mask(u, 0.3), u < 0.7)


@pytest.fixture
def unknown():
    """The variant as if it had not been asked for yet."""
    platform_variant.cache_clear()
    yield
    platform_variant.cache_clear()


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
@pytest.mark.parametrize("machine", ["arm64", "x86_64", "AMD64"])
def test_an_unverified_platform_is_named_once(unknown, monkeypatch, system, machine):
    monkeypatch.setattr(scratch.random.platform, "system", lambda: system)
    monkeypatch.setattr(scratch.random.platform, "machine", lambda: machine)
    message = rf"not been verified on {system} {machine}: expect .* up to 2\.3e-6"
    with pytest.warns(UserWarning, match=message) as record:
        assert TorchGenerator(0).variant == "scalar"
    assert record[0].filename == __file__  # the caller's line, not ours
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TorchGenerator(0).variant == "scalar"


@pytest.mark.parametrize(
    ("machine", "flags", "forced", "variant"),
    [
        ("x86_64", "fma avx2", "", "avx"),
        ("AMD64", "fma avx2", "", "avx"),
        ("x86_64", "fma avx2", "default", "default"),
        ("x86_64", "fma avx2", "avx2", "avx"),
        ("x86_64", "fma avx2", "vsx", "avx"),
        ("x86_64", "fma avx2", "DEFAULT", "avx"),
        ("x86_64", "fma avx2", " default", "avx"),
        ("x86_64", "avx2", "", "default"),  # PyTorch asks for both
        ("x86_64", "sse4_2", "", "default"),
        ("aarch64", "asimd", "", "scalar"),
    ],
)
def test_the_variant_of_a_platform(unknown, monkeypatch, machine, flags, forced, variant):
    monkeypatch.setattr(scratch.random.platform, "system", lambda: "".join(["Lin", "ux"]))
    monkeypatch.setattr(scratch.random.platform, "machine", lambda: machine)
    monkeypatch.setattr(scratch.random.Path, "read_text", lambda *_, **__: f"flags : {flags}\n")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", forced)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert platform_variant() == variant


def test_a_variant_that_is_given_is_not_asked_of_the_platform(unknown, monkeypatch):
    monkeypatch.setattr(scratch.random.platform, "system", lambda: "Darwin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy.copy(TorchGenerator(0, variant="scalar")).epoch_order(5)


def test_the_name_of_a_processor_may_be_no_utf_8(unknown, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_bytes(b"model name : R\xff\nflags : avx2 fma\n")
    monkeypatch.setattr(scratch.random, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(scratch.random.platform, "system", lambda: "Linux")
    monkeypatch.setattr(scratch.random.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    assert platform_variant() == "avx"


# CUDA


KNOWN_ANSWERS = [  # Random123's kat_vectors: rounds, counter, key, answer
    (10, "00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (10, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (10, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    (7, "00000000 00000000 00000000 00000000", "00000000 00000000", "5f6fb709 0d893f64 4f121f81 4f730a48"),
    (7, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "5207ddc2 45165e59 4d8ee751 8c52f662"),
    (7, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "4dfccaba 190a87f0 c47362ba b6b5242a"),
]


@pytest.mark.parametrize(("rounds", "counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(rounds, counter, key, answer):
    counter, key, answer = (
        np.array([int(word, 16) for word in words.split()], np.uint32) for words in (counter, key, answer)
    )
    counters = np.stack([counter, np.zeros_like(counter)], axis=1)
    np.testing.assert_array_equal(philox4x32(counters, key, rounds)[:, 0], answer)


def test_normal_numbers_that_were_published():
    """torch.manual_seed(42); torch.randn(4, device="cuda"), as in https://github.com/pytorch/pytorch/issues/158398"""
    for multiprocessors in (1, 108):
        card = CudaGenerator(42, multiprocessors=multiprocessors, threads_per_multiprocessor=2048)
        np.testing.assert_allclose(card.randn(4), [0.1940, 2.1614, -0.1721, 0.8491], atol=5e-5)


def test_small_tensors_are_the_same_on_every_card():
    small, large = toy_card(3), CudaGenerator(3, multiprocessors=132, threads_per_multiprocessor=2048)
    np.testing.assert_array_equal(small.rand(256), large.rand(256))
    assert not np.array_equal(small.rand(257), large.rand(257))


@pytest.mark.cuda
@pytest.mark.parametrize("seed", [0, 42, 2**32 + 5, -1])
def test_every_bit_of_a_real_gpu(seed, cuda):
    card = torch.cuda.get_device_properties(cuda)
    size = card.multi_processor_count, card.max_threads_per_multi_processor
    if reason := other_grid(cuda):
        pytest.skip(reason)
    generator = CudaGenerator(seed, multiprocessors=size[0], threads_per_multiprocessor=size[1])
    twin, threads = torch.Generator(cuda).manual_seed(seed), math.prod(size)
    for n in (
        0,
        1,
        255,
        257,
        4096,
        65_537,
        threads,
        threads + 1,
        4 * threads,
        4 * threads + 4,
        10 * threads + 3,
    ):
        for dtype in DTYPES:
            for call in (
                Call("rand", n, dtype=dtype),
                Call("uniform", n, (-0.0357, 1.3), dtype=dtype),
                Call("bernoulli", n, (0.3,), dtype=dtype),
                Call("dropout_mask", n, (0.3,), dtype=dtype),
            ):
                assert_same(
                    f"seed {seed}, {call}", draw(call, generator), draw(call, twin).cpu(), generator, twin
                )
        for arguments in ((-5, 1000, n), (-5, 2**60, n)):
            call = Call("randint", arguments=arguments, dtype="int64")
            assert_same(
                f"seed {seed}, {call}", draw(call, generator), draw(call, twin).cpu(), generator, twin
            )
        call = Call("randperm", arguments=(n,), dtype="int64")
        assert_same(f"seed {seed}, {call}", draw(call, generator), draw(call, twin).cpu(), generator, twin)
        for dtype, off in (("float32", 8e-6), ("float16", 8e-3)):
            call = Call("randn", n, dtype=dtype)
            np.testing.assert_allclose(draw(call, generator), draw(call, twin).cpu(), rtol=0, atol=off)
            np.testing.assert_array_equal(generator.get_state(), twin.get_state())


@pytest.fixture
def a_gpu_that_draws(monkeypatch):
    """Let `torch.rand` on cuda:0 return these numbers, and a generator of it be made, without a GPU."""

    def draws(numbers: np.ndarray) -> None:
        monkeypatch.setattr(torch, "Generator", lambda device: SimpleNamespace(manual_seed=lambda seed: None))
        monkeypatch.setattr(torch, "rand", lambda n, **_: torch.from_numpy(numbers[:n]))

    return draws


def test_a_pytorch_with_another_grid_is_named(a_gpu_that_draws):
    """By pull request 194828, 512 numbers are the first two words of 256 threads, not one of 512."""
    a_gpu_that_draws(CudaGenerator(0, multiprocessors=132, threads_per_multiprocessor=2048).rand(512))
    assert {component.on("cuda:0").not_here for component in COMPONENTS} == {""}
    counter = np.zeros((4, 256), np.uint32)
    counter[2] = np.arange(256)
    words = philox4x32(counter, np.zeros(2, np.uint32))[:2].reshape(-1)
    a_gpu_that_draws((words.astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)).astype(np.float32))
    reasons = {component.name: component.on("cuda:0").not_here for component in COMPONENTS}
    told = f"PyTorch {torch.__version__} spreads small draws over threads anew (its pull request 194828)"
    assert {name for name, reason in reasons.items() if not reason} == {"dropout_mask", "epoch_order"}
    assert set(reasons.values()) == {"", told}
    assert {component.on("cpu").not_here for component in COMPONENTS} == {""}


def test_an_older_pytorch_has_other_permutations_on_a_gpu(a_gpu_that_draws, monkeypatch):
    a_gpu_that_draws(CudaGenerator(0, multiprocessors=132, threads_per_multiprocessor=2048).rand(512))
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    (randperm,) = (component for component in COMPONENTS if component.name == "randperm")
    assert randperm.on("cuda").not_here == "PyTorch 2.6.0 draws masks and large integers unlike newer ones"
    assert randperm.on("cpu").not_here == ""


@pytest.mark.cuda
def test_integers_are_drawn_on_the_gpu(cuda):
    generator = torch.Generator(cuda)
    assert theirs.randint(0, 9, 5, generator).is_cuda
    assert theirs.randperm(5, generator).is_cuda


# In the harness


EVERY_GENERATOR = {
    "NumPy": lambda: NumpyGenerator(3),
    "CUDA": lambda: CudaGenerator(3, multiprocessors=132, threads_per_multiprocessor=2048),
    **{variant: partial(TorchGenerator, 3, variant=variant) for variant in VARIANTS},
}
SCALED = {"uniform": (-0.3, 0.7), "normal": (0.3, 1.7), "bernoulli": (0.3,)}


DRAWN = [
    pytest.param(make, method, dtype, id=f"{name}, {method}, {dtype.__name__}")
    for name, make in EVERY_GENERATOR.items()
    for method in SCALED
    for dtype in (np.float32, np.float64)
    if (name, method, dtype) != ("CUDA", "normal", np.float64)  # a GPU's normal numbers are float32
]


@pytest.mark.parametrize("size", [(), (0,), (3,), (40,)], ids=str)
@pytest.mark.parametrize(("make", "method", "dtype"), DRAWN)
def test_the_dtype_that_is_asked_for_is_what_comes_whatever_the_numbers_are(make, method, dtype, size):
    plain = getattr(make(), method)(size, *SCALED[method], dtype)
    assert plain.dtype == dtype
    for kind in (np.float64, np.longdouble):  # np.sqrt(…) of Python's numbers, and of longer ones
        drawn = getattr(make(), method)(size, *map(kind, SCALED[method]), dtype)
        assert drawn.dtype == dtype
        np.testing.assert_array_equal(drawn, plain)
    assert getattr(make(), method)(size, *map(np.float32, SCALED[method]), dtype).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", EVERY_GENERATOR.values(), ids=EVERY_GENERATOR)
def test_a_mask_has_the_dtype_of_its_array_whatever_the_probability_is(make, dtype):
    mask = make().dropout_mask(np.ones((3, 5), dtype), np.float64(0.3))
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, make().dropout_mask(np.ones((3, 5), dtype), 0.3))


@pytest.mark.parametrize("n", [0, 1, 2, 64, 2047, 2079, 2080, 2081, 2144, 5000, 70_000])
def test_swaps_in_blocks_are_those_one_by_one(n):
    words = np.random.default_rng(n).integers(0, 2**32, max(n - 1, 0), dtype=np.uint32)
    for steps in (words % np.arange(n, 1, -1, dtype=np.uint32), words * 0, words % 2 * (n > 2)):
        steps = np.minimum(steps, np.arange(n - 1, 0, -1, dtype=np.uint32))
        order = list(range(n))
        for i, step in enumerate(steps.tolist()):
            order[i], order[i + step] = order[i + step], order[i]
        assert scratch.random._swapped(np.arange(n), steps).tolist() == order
