"""Where random numbers come from: a generator object that is passed in, never global state.

`TorchGenerator(seed)` draws what PyTorch draws after `torch.manual_seed(seed)`, bit for bit, so that the
same seed gives the same weights, the same dropout masks and the same order of examples on both sides.
`NumpyGenerator(seed)` is NumPy's own modern stream.

What is drawn is float32 or float64, the `dtype`. The generators raise

    TypeError: another dtype, or something that should be an integer and is not one
    ValueError: a negative size, or a number out of the range that is said below
"""

import copy
import os
import platform
import struct
import threading
import warnings
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scratch.checks import check_choice, expects
from scratch.random.box_muller import VARIANTS, fma, normal_block, normal_pairs
from scratch.random.philox import CudaGenerator
from scratch.random.shared import (
    Out,
    Size,
    check_bounds,
    check_integers,
    check_range,
    check_seed,
    check_size,
    check_state,
    in_memory_order,
    one_at_a_time,
)

PIECE = 16 * 4096  # numbers that are transformed at a time: what lies between stays in the cache


class Generator(Protocol):
    """What initialisers, dropout and mini-batches ask of a source of randomness."""

    def uniform(self, size: tuple[int, ...], low: float, high: float, dtype: Any) -> np.ndarray:
        """Return numbers spread evenly over [low, high)."""

    def normal(self, size: tuple[int, ...], mean: float, std: float, dtype: Any) -> np.ndarray:
        """Return normally distributed numbers."""

    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """Return 0 with probability `p`, else 1, in the shape, dtype and memory layout of x."""

    def epoch_order(self, n: int) -> np.ndarray:
        """Return 0 … n-1 in the random order of one epoch, int64."""

    def get_state(self) -> np.ndarray:
        """Return the state as bytes (uint8): equal states go on to equal draws."""


class TorchGenerator:
    """PyTorch's random stream on a CPU, from the first bit to the last

    The engine is the Mersenne Twister MT19937 in 32-bit words, seeded by

        s₀ = seed mod 2³²,  sⱼ = 1812433253·(sⱼ₋₁ ⊕ (sⱼ₋₁ ≫ 30)) + j  (mod 2³²)

    which is what `np.random.RandomState` does too (`np.random.default_rng` is another engine). **Only the
    low 32 bits of the seed count**: seeds 0 and 2³² give the same numbers. A negative seed is seed + 2⁶⁴.

    PyTorch's functions differ in how many words they take for a number, and in what they make of them;
    each method says so. The stream goes on from call to call: draw in PyTorch's order to get its numbers.
    As there, threads may share a generator: what each of them gets depends on who comes first, and is one
    piece of the stream. (`random` lets one in at a time, and so does what calls it twice.) A copy goes on
    from the same state by itself.

    Integers, uniform numbers, masks and permutations are equal on every machine. Normal numbers depend on
    the arithmetic that PyTorch was built with, the `variant`:

        avx      x86-64 with AVX2 or AVX-512: logarithm, sine and cosine of its own
        scalar   aarch64: those of glibc
        default  x86-64 without AVX2 (or ATEN_CPU_CAPABILITY=default): those of glibc, no fused multiply-add

    Args:
        seed: integer from −2⁶³ to 2⁶⁴ − 1
        device: "cpu"; "cuda" makes a `scratch.random.philox.CudaGenerator`, with the arguments that it takes
        variant: avx, scalar or default; None for that of this machine. Where none of them was verified
            (macOS, Windows), it is scalar, and a warning says how far off that may be.

    Matsumoto and Nishimura 1998, https://doi.org/10.1145/272991.272995
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/core/MT19937RNGEngine.h
    """

    def __new__(cls, seed: int, device: str = "cpu", **options: Any) -> Any:
        """Make a generator of the device."""
        kind, number, index = device.partition(":") if isinstance(device, str) else (device, "", "")
        if kind == "cuda" and (not number or index.isdecimal()):
            return CudaGenerator(seed, **options)
        check_choice("device", device, ("cpu", "cuda"))
        return super().__new__(cls)

    def __init__(self, seed: int, device: str = "cpu", *, variant: str | None = None) -> None:
        self.seed = check_seed(seed)
        self.variant = platform_variant() if variant is None else variant
        check_choice("variant", self.variant, VARIANTS)
        self._engine = np.random.RandomState(self.seed & 0xFFFFFFFF)
        self._fresh = True  # no word of this seed drawn yet
        self._cached_normal: float | None = None
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple:
        """How copies and pickles are made: from the state."""
        return partial(type(self), 0, variant=self.variant), (), self.get_state()

    def __setstate__(self, state: np.ndarray) -> None:
        """Go on from there."""
        self.set_state(state)

    @one_at_a_time
    @expects()
    def random(self, n: int) -> np.ndarray:
        """n raw words of 32 bits (uint32): what everything below is made of."""
        check_size(n, np.uint32, dtypes=(np.uint32,))
        if n:
            self._fresh = False
        return self._engine.randint(0, 1 << 32, size=n, dtype=np.uint32)

    @expects()
    def random64(self, n: int) -> np.ndarray:
        """n words of 64 bits (uint64), each of two drawn words: the first is the high half."""
        high, low = self.random(2 * n).astype(np.uint64).reshape(n, 2).T
        return (high << np.uint64(32)) | low

    def rand(self, size: Size, dtype: Any = np.float32) -> np.ndarray:
        """`torch.rand`: uniform on [0, 1)

        float32: (w mod 2²⁴)·2⁻²⁴ of one word w.  float64: (w mod 2⁵³)·2⁻⁵³ of a 64-bit word.
        """
        return self.uniform(size, 0.0, 1.0, dtype)

    @expects()
    def uniform(
        self, size: Size, low: float = 0.0, high: float = 1.0, dtype: Any = np.float32, *, out: Out = None
    ) -> np.ndarray:
        """`Tensor.uniform_`: u·(high − low) + low, with u from `rand`

        The bounds, finite and low ≤ high, are rounded to `dtype` first. Product and sum are one fused
        operation, rounded once; where the result rounds up to `high`, it becomes `low`.
        """
        array = check_size(size, dtype, out)
        dtype = array.dtype.type
        low, high = check_bounds(low, high, dtype)
        values = self._unit(array.size, dtype)
        if (low, high) != (0, 1):
            for start in range(0, len(values), PIECE):
                u = values[start : start + PIECE]
                u[...] = fma(u, high - low, low) if self.variant != "default" else u * (high - low) + low
                u[u == high] = low
        return in_memory_order(array, values)

    def randn(self, size: Size, dtype: Any = np.float32) -> np.ndarray:
        """`torch.randn`: normal with mean 0 and standard deviation 1; see `normal`"""
        return self.normal(size, 0.0, 1.0, dtype)

    @one_at_a_time
    @expects(std=">= 0 or infinite")
    def normal(
        self, size: Size, mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32, *, out: Out = None
    ) -> np.ndarray:
        """`Tensor.normal_`: z·std + mean, with z from the transform of Box and Muller

            z₁ = √(−2·ln(1 − u₁))·cos 2πu₂,   z₂ = √(−2·ln(1 − u₁))·sin 2πu₂

        A contiguous array of 16 numbers or more is filled with n uniform numbers, then transformed in blocks
        of 16: u₁ the first eight of a block, u₂ the last. If 16 does not divide n, the **last 16** numbers
        are drawn anew and transformed as one more block, over part of what was there.

        Smaller or non-contiguous arrays go in pairs, in float64 whatever the dtype: u₂ is drawn first, z₁
        is used, and z₂ is kept for the next call of this kind, even if `rand` is called in between.

        Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645
        https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/DistributionTemplates.h
        """
        array = check_size(size, dtype, out)
        if array.size >= 16 and array.flags.c_contiguous:
            self._normal_blocks(array.reshape(-1), mean, std)
            return array
        return in_memory_order(array, self._normal_pairs(array.size, mean, std))

    @expects(p="probability")
    def bernoulli(self, size: Size, p: float, dtype: Any = np.float32, *, out: Out = None) -> np.ndarray:
        """`Tensor.bernoulli_(p)`: 1 where u < p, else 0; u is float64 for every dtype, hence two words each

        (PyTorch before 2.7 drew from another engine here, MKL's MCG31, if it was built with it.)
        """
        array = check_size(size, dtype, out)
        return in_memory_order(array, self._unit(array.size, np.float64) < p)

    @expects(x="*shape", p="probability")
    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """The mask of `F.dropout(x, p)`: 0 with probability p, else 1

        It is `bernoulli` of the keep probability 1 − p, not its complement with p. It is drawn in the order
        in which x lies in memory: transposed, x gets other zeros. For p = 0 and p = 1 nothing is drawn.
        """
        mask = np.empty_like(x, order="C" if 0 in x.strides else "K")
        if p in (0, 1):
            mask[...] = 1 - p
            return mask
        return self.bernoulli(x.shape, 1 - p, x.dtype, out=mask)

    def randint(self, low: int, high: int, size: Size) -> np.ndarray:
        """`torch.randint`: w mod (high − low) + low, int64; w has 64 bits if high − low ≥ 2²⁸, else 32

        `low` and `high` are 64-bit integers, low < high. (PyTorch 2.6 and older changed over at 2³².)
        """
        array = check_size(size, np.int64, dtypes=(np.int64,))
        check_range(low, high)
        words = self.random64(array.size) if high - low >= 1 << 28 else self.random(array.size)
        remainders = words.astype(np.uint64) % np.uint64(high - low)
        return in_memory_order(array, (remainders + np.uint64(low % 2**64)).view(np.int64))

    def randperm(self, n: int) -> np.ndarray:
        """`torch.randperm`: 0 … n−1 in random order, int64

        Fisher and Yates: for i = 0 … n−2, swap element i with element i + w mod (n − i), w one word. From
        n = 214 748 364 on, where PyTorch changes to another rule, it is refused.
        """
        check_integers(n=n)
        if not 0 <= n < 214_748_364:
            raise ValueError(f"n: expected an integer from 0 to 214748363, got {n}")
        left = np.arange(n, 1, -1, dtype=np.uint32)  # n − i
        return _swapped(np.arange(n), self.random(len(left)) % left)

    @expects(n=">= 1")
    def epoch_order(self, n: int) -> np.ndarray:
        """The order in which `DataLoader(data, shuffle=True)` visits n ≥ 1 examples in one epoch

        The loader draws one 63-bit number as seed for worker processes, then its sampler draws another and
        permutes with a new generator of that seed. (With `DataLoader(…, generator=g)` the order is
        `g.randperm(n)`, after the 63-bit number for the workers; at the end of the epoch the sampler draws
        one more `g.randperm(n)` and does not use it.)
        """
        _, seed = self.random64(2) & np.uint64(2**63 - 1)
        return TorchGenerator(int(seed), variant=self.variant).randperm(n)

    @one_at_a_time
    def get_state(self) -> np.ndarray:
        """The state in PyTorch's form, 5056 bytes (uint8): `torch.set_rng_state(torch.from_numpy(state))`"""
        engine: Any = self._engine.get_state()
        _, words, position, *_ = engine
        drawn = 0 if self._fresh else position  # words drawn of the current 624
        left = 1 if self._fresh else 625 - drawn
        kept = self._cached_normal
        normal = 0.0, 0.0 if kept is None else kept, 0.0, kept is not None
        packed = _STATE.pack(self.seed, left, 1, drawn, *words.tolist(), *normal, 0.0, False)
        return np.frombuffer(packed, np.uint8).copy()

    @one_at_a_time
    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of `get_state`, or from PyTorch's: `torch.get_rng_state().numpy()`

        It is 5056 bytes of this engine (that of a CUDA generator has 16).
        """
        check_state(state, _STATE.size)
        seed, left, seeded, drawn, *rest = _STATE.unpack(state.tobytes())
        words, (_, cached_normal, _, cached, _, _) = rest[:624], rest[624:]
        fresh = (left, drawn) == (1, 0)
        if seeded != 1 or not (fresh or (0 < drawn <= 624 and left == 625 - drawn)) or max(words) >> 32:
            raise ValueError("state: expected that of a Mersenne Twister that has been seeded, got another")
        self.seed, self._fresh = seed, fresh
        self._engine.set_state(("MT19937", np.array(words, np.uint32), 624 if fresh else drawn, 0, 0.0))
        self._cached_normal = cached_normal if cached else None

    def _unit(self, n: int, dtype: Any) -> np.ndarray:
        """Uniform on [0, 1): 24 bits of a word for float32, 53 bits of a 64-bit word for float64."""
        if dtype == np.float32:
            return (self.random(n) & np.uint32(2**24 - 1)).astype(dtype) * dtype(2**-24)
        return (self.random64(n) & np.uint64(2**53 - 1)).astype(dtype) * 2**-53

    def _normal_blocks(self, values: np.ndarray, mean: float, std: float) -> None:
        n, dtype = len(values), values.dtype.type
        mean, std = dtype(mean), dtype(std)
        for start in range(0, n, PIECE):
            u = self._unit(min(PIECE, n - start), dtype)
            whole = u[: len(u) - len(u) % 16]
            values[start : start + len(whole)] = self._normal_block(whole, mean, std)
        if n % 16:
            values[-16:] = self._normal_block(self._unit(16, dtype), mean, std)

    def _normal_block(self, u: np.ndarray, mean: Any, std: Any) -> np.ndarray:
        """Of 16 uniform numbers the first eight are u₁ and the last u₂; of the normal ones z₁ and z₂."""
        u1, u2 = u.reshape(-1, 2, 8).swapaxes(0, 1)  # (blocks, 8)
        z1, z2 = normal_block(1 - u1, u2, self.variant)
        z = np.stack([z1, z2], axis=1).reshape(-1)
        if mean:
            return fma(z, std, mean)
        z *= std
        z += mean  # + 0: it makes 0 of −0
        return z

    def _normal_pairs(self, n: int, mean: float, std: float) -> np.ndarray:
        left_over = [] if self._cached_normal is None else [self._cached_normal]
        pairs = (n - len(left_over) + 1) // 2
        u = self._unit(2 * pairs, np.float64).reshape(pairs, 2)
        z = np.concatenate([left_over, normal_pairs(angle=u[:, 0], length=u[:, 1])])
        if n:
            self._cached_normal = float(z[n]) if len(z) > n else None
        z = z[:n]
        if self.variant == "default":
            return z * std + mean
        return fma(z, np.float64(std), np.float64(mean))


class NumpyGenerator:
    """NumPy's own stream (PCG64) behind the methods of `Generator`, from an integer seed ≥ 0

    Standard draws are made in float64, rounded to `dtype`, then scaled in `dtype`.
    """

    @expects(seed=">= 0")
    def __init__(self, seed: int) -> None:
        check_integers(seed=seed)
        self._generator = np.random.default_rng(seed)

    def __copy__(self) -> "NumpyGenerator":
        """A generator of its own, like every other kind of copy."""
        return copy.deepcopy(self)

    @expects(dtype="floating")
    def uniform(
        self, size: tuple[int, ...], low: float = 0.0, high: float = 1.0, dtype: Any = np.float32
    ) -> np.ndarray:
        """low + (high − low)·u with u from [0, 1)."""
        u = self._generator.random(size).astype(dtype)
        return u * (high - low) + low

    @expects(dtype="floating")
    def normal(
        self, size: tuple[int, ...], mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32
    ) -> np.ndarray:
        """mean + std·z with z from N(0, 1)."""
        z = self._generator.standard_normal(size).astype(dtype)
        return z * std + mean

    @expects(dtype="floating")
    def bernoulli(self, size: tuple[int, ...], p: float, dtype: Any = np.float32) -> np.ndarray:
        """1 where u < p, else 0."""
        return np.asarray(self._generator.random(size) < p, dtype)

    @expects(x="*shape", p="probability")
    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """0 with probability p, else 1."""
        return self.bernoulli(x.shape, 1 - p, x.dtype)

    @expects()
    def epoch_order(self, n: int) -> np.ndarray:
        """A permutation of 0 … n-1."""
        return self._generator.permutation(n)

    def get_state(self) -> np.ndarray:
        """The state of the engine, 40 bytes (uint8): counter, increment, and half a word kept for later."""
        engine: Any = self._generator.bit_generator.state
        whole = [engine["state"][key].to_bytes(16, "little") for key in ("state", "inc")]
        half = [engine[key].to_bytes(4, "little") for key in ("has_uint32", "uinteger")]
        return np.frombuffer(b"".join([*whole, *half]), np.uint8)

    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of `get_state`."""
        check_state(state, 40)
        counter, increment, kept, half = (
            int.from_bytes(state[part].tobytes(), "little")
            for part in (slice(16), slice(16, 32), slice(32, 36), slice(36, 40))
        )
        if kept > 1:  # a flag
            raise ValueError("state: expected one of NumPy's own generator, got another")
        self._generator.bit_generator.state = {
            "bit_generator": "PCG64", "state": {"state": counter, "inc": increment},
            "has_uint32": kept, "uinteger": half,
        }  # fmt: skip


# seed, words left, seeded, words drawn | 624 words | Box-Muller: x, y (the cached one), ρ, cached | unused
_STATE = struct.Struct("<QiiQ 624Q 3di4x f?3x")


def _swapped(order: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Swap order[i] with order[i + steps[i]], for i = 0, 1, 2, … in turn; changes `order`, and returns it.

    A swap depends on those before it only where they touch the same places. In a block that is short beside
    what is left most of them touch places that no other one does: these are done at once, then all others in
    turn, and so is the end, where no block is short.
    """
    n, first = len(order), 0
    last_to = np.zeros(n, np.int64)  # of a place: the last swap that goes there
    while (length := (n - first) // 32) > 64:
        here = np.arange(first, first + length)
        there = here + steps[here]
        last_to[there] = here
        overtaken = last_to[there] != here
        last_to[there[overtaken]] = -1
        shared = last_to[there] < 0
        shared[there[there < first + length] - first] = True
        alone, other = here[~shared], there[~shared]
        order[alone], order[other] = order[other], order[alone]
        for i, j in zip(here[shared].tolist(), there[shared].tolist(), strict=True):
            order[i], order[j] = order[j], order[i]
        first += length
    end = order[first:].tolist()
    for i, step in enumerate(steps[first:].tolist()):
        end[i], end[i + step] = end[i + step], end[i]
    order[first:] = end
    return order


@cache
def platform_variant() -> str:
    """Which arithmetic PyTorch's normal numbers have on this machine; warns, once, where that is a guess."""
    machine = platform.machine().lower()
    if platform.system() == "Linux" and machine in ("x86_64", "amd64"):
        forced = os.environ.get("ATEN_CPU_CAPABILITY") == "default"  # PyTorch obeys this spelling alone
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
        return "avx" if {"avx2", "fma"} <= set(flags) and not forced else "default"
    if not (platform.system() == "Linux" and machine in ("aarch64", "arm64")):
        warnings.warn(
            f"PyTorch's normal numbers have not been verified on {platform.system()} {platform.machine()}: "
            "expect differences of up to 2.3e-6 in float32; everything else is exact",
            stacklevel=3,
        )
    return "scalar"
