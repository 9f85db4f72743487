"""PyTorch's random stream on a CUDA GPU: Philox4x32-10, a hash of a counter instead of a chain of states.

Thread t of a kernel hashes the counter (number of its call, t) into four words of 32 bits, so that any word
can be had at any time. Which element of a tensor takes which word of which thread depends on how many threads
run at once, so on the card: up to `multiprocessors · threads_per_multiprocessor` elements, all cards agree.

Written from PyTorch's and cuRAND's source; docs/cuda.md says what of it real cards confirm. Errors are those
of `scratch.random`.
"""

import math
import struct
import threading
from functools import partial
from typing import Any

import numpy as np

from scratch.checks import expects
from scratch.random.box_muller import fma
from scratch.random.shared import (
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

BLOCK = 256  # threads of a block
_STATE = struct.Struct("<QQ")  # seed, offset


@expects()
def philox4x32(counter: np.ndarray, key: np.ndarray, rounds: int = 10) -> np.ndarray:
    """Ten rounds of multiply, swap and add

        hi₀·2³² + lo₀ = 0xD2511F53·c₀,   hi₁·2³² + lo₁ = 0xCD9E8D57·c₂
        c ← (hi₁ ⊕ c₁ ⊕ k₀, lo₁, hi₀ ⊕ c₃ ⊕ k₁, lo₀),   k ← k + (0x9E3779B9, 0xBB67AE85)

    It turns a counter (4, n) and a key (2,), which moves on between rounds, into words (4, n), all uint32.

    Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
    """
    c0, c1, c2, c3 = counter.astype(np.uint64)
    k0, k1 = key.astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(rounds):
        first, second = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (second >> 32) ^ c1 ^ k0, second & low, (first >> 32) ^ c3 ^ k1, first & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


class CudaGenerator:
    """What `torch.manual_seed(seed)` draws on a CUDA GPU

    Integers, permutations, uniform numbers and masks to the bit; normal ones to about 1e-6, since the GPU's
    sine and cosine are approximations in hardware. Here all 64 bits of the seed count. `DataLoader` draws its
    orders on the CPU.

    Args:
        seed: integer from −2⁶³ to 2⁶⁴ − 1
        multiprocessors: of the card, `torch.cuda.get_device_properties(0).multi_processor_count`
        threads_per_multiprocessor: `….max_threads_per_multi_processor`, at least 256, a block

    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cuda/DistributionTemplates.h
    """

    @expects(multiprocessors=">= 1", threads_per_multiprocessor=f">= {BLOCK}")
    def __init__(self, seed: int, *, multiprocessors: int, threads_per_multiprocessor: int) -> None:
        self.seed = check_seed(seed)
        self.offset = 0
        self._most_blocks = multiprocessors * (threads_per_multiprocessor // BLOCK)
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple:
        """How copies and pickles are made: from the state."""
        card = {"multiprocessors": self._most_blocks, "threads_per_multiprocessor": BLOCK}
        return partial(type(self), 0, **card), (), self.get_state()

    def __setstate__(self, state: np.ndarray) -> None:
        """Go on from there."""
        self.set_state(state)

    @one_at_a_time
    @expects()
    def random(self, n: int) -> np.ndarray:
        """The words (uint32) of a kernel that takes one for each of n elements."""
        words, (call, slot, thread) = self._draw(n, unroll=4)
        return words[slot, call, thread]

    def rand(self, size: Size, dtype: Any = np.float32) -> np.ndarray:
        """`torch.rand`: uniform on [0, 1)

        float32: w·2⁻³² + 2⁻³³, rounded once; it may round to 1, which becomes 0.
        float64: (w₁ ⊕ w₂·2²¹)·2⁻⁵³ + 2⁻⁵⁴ of two words.
        """
        return self.uniform(size, 0.0, 1.0, dtype)

    @one_at_a_time
    @expects()
    def uniform(self, size: Size, low: float = 0.0, high: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
        """`Tensor.uniform_`: u·(high − low) + low, rounded once, u in (0, 1]; `high` itself becomes `low`."""
        array = check_size(size, dtype)
        dtype = array.dtype.type
        low, high = check_bounds(low, high, dtype)
        values = fma(self._unit(array.size, dtype), high - low, low)
        return np.where(values == high, low, values).reshape(array.shape)

    def randn(self, size: Size, dtype: Any = np.float32) -> np.ndarray:
        """`torch.randn` in float32 or float16, to about 1e-6; see `normal`"""
        return self.normal(size, 0.0, 1.0, dtype)

    @one_at_a_time
    @expects(std=">= 0 or infinite")
    def normal(self, size: Size, mean: float = 0.0, std: float = 1.0, dtype: Any = np.float32) -> np.ndarray:
        """`Tensor.normal_`: √(−2·ln u)·(sin v, cos v), of two words: u as in `rand`, v = 2π·u

        In float32, and in float16 the same number, times std plus mean, rounded at the end. Not in float64:
        cuRAND's double normals were not looked into.
        """
        if np.dtype(dtype) not in (np.float16, np.float32):
            raise TypeError(f"dtype: expected float16 or float32, got {np.dtype(dtype)}")
        array = check_size(size, dtype, dtypes=(np.float16, np.float32))
        words, (call, slot, thread) = self._draw(array.size, unroll=4)
        u, y = _unit_float32(words[0::2]), words[1::2].astype(np.float32)
        turn = np.float32(2**-32) * np.float32(2 * math.pi)
        v = fma(y, turn, turn / 2)
        radius = np.sqrt(-2 * np.log(u))
        z = np.stack([radius * np.sin(v), radius * np.cos(v)], axis=1).reshape(words.shape)
        values = fma(z[slot, call, thread], np.float32(std), np.float32(mean))
        with np.errstate(over="ignore"):  # beyond 65504 a float16 is infinite
            return values.astype(array.dtype).reshape(array.shape)

    @one_at_a_time
    @expects(p="probability")
    def bernoulli(self, size: Size, p: float, dtype: Any = np.float32) -> np.ndarray:
        """`Tensor.bernoulli_(p)`: 1 where u < p, else 0, with u and p in `dtype`."""
        array = check_size(size, dtype)
        dtype = array.dtype.type
        return (self._unit(array.size, dtype) < dtype(p)).astype(dtype).reshape(array.shape)

    @one_at_a_time
    @expects(x="*shape", p="probability")
    def dropout_mask(self, x: np.ndarray, p: float) -> np.ndarray:
        """The mask of `F.dropout(x, p)`, whose fused kernel reads, and so draws, four elements at a time

        Two where x is float64, and fewer where their number does not divide that of the elements. u is
        float32 in any case. (The kernel then multiplies by float32(1/(1 − p)), where the CPU divides the
        mask.) For p = 0 and p = 1 nothing is drawn.

        https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cuda/Dropout.cu
        """
        mask = np.empty_like(x, order="C" if 0 in x.strides else "K")
        if p in (0, 1):
            mask[...] = 1 - p
            return mask
        check_size(x.shape, x.dtype, mask)
        width = 16 // x.dtype.itemsize
        while x.size % width:
            width //= 2
        words, (call, slot, thread) = self._draw(x.size, unroll=4, width=width)
        kept = _unit_float32(words[slot, call, thread]) < np.float32(1 - p)
        return in_memory_order(mask, kept)

    @one_at_a_time
    def randint(self, low: int, high: int, size: Size) -> np.ndarray:
        """`torch.randint`: w mod (high − low) + low, int64; w has 64 bits if high − low ≥ 2²⁸, else 32

        Of the four words of a thread, 64 bits are the first two or the last two, high half first. (PyTorch
        2.6 and older changed over at 2³².)

        https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cuda/DistributionTemplates.h
        """
        array = check_size(size, np.int64, dtypes=(np.int64,))
        check_range(low, high)
        if high - low >= 1 << 28:
            first, second = self._pairs(array.size)
            words = (first << np.uint64(32)) | second
        else:
            words = self.random(array.size).astype(np.uint64)
        integers = words % np.uint64(high - low) + np.uint64(low % 2**64)  # mod 2⁶⁴
        return integers.view(np.int64).reshape(array.shape)

    @one_at_a_time
    def randperm(self, n: int) -> np.ndarray:
        """`torch.randperm`: 0 … n−1, sorted by random keys, int64

        The keys are `randint` over the whole of int32, or of int64 where more than 32 bits of them count.
        As many of their low bits count as make them all different with a probability of 9 in 10:

            bits = ⌈log₂(n − (6n² + 1)/(12·ln 0.9))⌉

        Numbers whose keys are equal remain in order, and are then shuffled among themselves; see
        `_shuffle_equal`. From n = 2³⁰ on, where PyTorch's arithmetic comes to its limits, it is refused.

        https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cuda/Randperm.cu
        """
        check_integers(n=n)
        if not 0 <= n < 2**30:
            raise ValueError(f"n: expected an integer from 0 to {2**30 - 1}, got {n}")
        if n == 0:
            return np.arange(0)
        bits = math.ceil(math.log2(n - (6 * n**2 + 1) / (12 * math.log(0.9))))
        width = 32 if bits <= 32 else 64
        keys = self.randint(-(2 ** (width - 1)), 2 ** (width - 1) - 1, n)
        if bits < width:  # with all bits, negative keys come first
            keys &= 2**bits - 1
        order = np.argsort(keys, kind="stable")
        self._shuffle_equal(order, keys[order])
        return order

    @expects()
    def epoch_order(self, n: int) -> np.ndarray:
        """Not here: `DataLoader` draws its orders from the CPU's generator."""
        raise ValueError(
            "generator: expected one of the CPU, which draws DataLoader's orders, got one of CUDA"
        )

    @one_at_a_time
    def get_state(self) -> np.ndarray:
        """The state in PyTorch's form, 16 bytes (uint8): the seed, and how far the counter has come."""
        return np.frombuffer(_STATE.pack(self.seed, self.offset), np.uint8).copy()

    @one_at_a_time
    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of `get_state`, or from PyTorch's: `torch.cuda.get_rng_state().numpy()`

        It is 16 bytes (that of a CPU generator has 5056), the offset a multiple of 4.
        """
        check_state(state, _STATE.size)
        seed, offset = _STATE.unpack(state.tobytes())
        if offset % 4:
            raise ValueError(f"state: expected an offset that is a multiple of 4, got {offset}")
        self.seed, self.offset = seed, offset

    def _unit(self, n: int, dtype: Any) -> np.ndarray:
        if dtype == np.float32:
            words, (call, slot, thread) = self._draw(n, unroll=4)
            return _unit_float32(words[slot, call, thread])
        first, second = self._pairs(n)
        return (first ^ (second << np.uint64(21))) * 2**-53 + 2**-54

    def _pairs(self, n: int) -> np.ndarray:
        """Two words (uint64) for each of n elements, (2, n)."""
        words, (call, slot, thread) = self._draw(n, unroll=2)
        return np.stack([words[2 * slot, call, thread], words[2 * slot + 1, call, thread]]).astype(np.uint64)

    def _shuffle_equal(self, order: np.ndarray, keys: np.ndarray) -> None:
        """Shuffle those entries of `order` that stand side by side with equal `keys`, which are sorted

        Fisher and Yates from the end: for i = length − 1 … 1, swap entry i with w mod (i + 1). The words
        are those of thread t, where t is the place of the first of them; the counter moves on by n.
        """
        like_last = np.concatenate([[False], keys[1:] == keys[:-1]])
        like_next = np.append(like_last[1:], False)
        firsts, lasts = np.flatnonzero(like_next & ~like_last), np.flatnonzero(like_last & ~like_next)
        for first, last in zip(firsts, lasts, strict=True):
            equal = order[first : last + 1]
            words = self._words(np.arange(-(-(last - first) // 4)), np.array([first])).T.reshape(-1)
            for i, word in zip(range(last - first, 0, -1), words.tolist(), strict=False):
                j = word % (i + 1)
                equal[i], equal[j] = equal[j], equal[i]
        self.offset += -(-len(order) // 4) * 4

    def _draw(self, n: int, *, unroll: int, width: int = 1) -> tuple[np.ndarray, tuple]:
        """All words (4, calls, T) that a kernel draws for n elements, and where those of each element are

        T threads go over the tensor in strides: T elements (each thread `width` neighbouring ones), then the
        next T, and one call of a thread is enough for `unroll` strides. The place of an element is its call,
        its slot (0 … unroll − 1) and its thread.
        """
        threads = BLOCK * min(self._most_blocks, -(-n // BLOCK)) or BLOCK
        i = np.arange(n)
        if width == 1:
            call, slot, thread = i // (threads * unroll), i % (threads * unroll) // threads, i % threads
        else:
            call, slot, thread = i // (threads * width), i % width, i % (threads * width) // width
        words = self._words(np.arange(int(call[-1]) + 1 if n else 0), np.arange(threads))
        if n:
            self.offset += ((n - 1) // (threads * unroll) + 1) * 4
        return words, (call, slot, thread)

    def _words(self, calls: np.ndarray, threads: np.ndarray) -> np.ndarray:
        """What these threads get from these calls, counted from the offset: (4, calls, threads)."""
        counter = np.zeros((4, len(calls), len(threads)), np.uint32)
        counter[0:2] = _halves(self.offset // 4 + calls.astype(np.uint64))[:, :, np.newaxis]
        counter[2] = threads
        return philox4x32(counter.reshape(4, -1), _halves(np.uint64(self.seed))).reshape(counter.shape)


def _halves(x: np.ndarray | np.uint64) -> np.ndarray:
    """Low and high 32 bits."""
    return np.stack([x & np.uint64(0xFFFFFFFF), x >> np.uint64(32)]).astype(np.uint32)


def _unit_float32(words: np.ndarray) -> np.ndarray:
    """w·2⁻³² + 2⁻³³, in (0, 1]."""
    return fma(words.astype(np.float32), np.float32(2**-32), np.float32(2**-33))
