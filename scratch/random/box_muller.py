"""From uniform to normal numbers, in the arithmetic of PyTorch's builds, to the last bit.

    z₁ = √(−2·ln(1 − u₁))·cos 2πu₂,   z₂ = √(−2·ln(1 − u₁))·sin 2πu₂

The formula fits on one line. The bits do not: nothing prescribes the last bit of a logarithm, sine or cosine,
and PyTorch takes those of float32 from its own vector code (avx) or from the C library (scalar, default).
Both are short polynomials, written out here. The rounding that matters most is that of 2πu₂: in float32 it
is off by up to 2⁻²³·2π, and near the zeros of sine and cosine nothing is left of the result but that error.
So the most accurate evaluation is the one that differs most.
"""

import math
from typing import Any

import numpy as np

VARIANTS = ("avx", "scalar", "default")


def normal_block(not_u1: np.ndarray, u2: np.ndarray, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """z₁ and z₂ from 1 − u₁, above 0 and up to 1, and u₂; in float64 every variant uses the C library."""
    if u2.dtype == np.float64:
        radius, (sin, cos) = np.sqrt(-2 * _each(math.log, not_u1)), _sincos(2 * math.pi * u2)
    elif variant == "avx":
        radius, (sin, cos) = np.sqrt(-2 * log_avx(not_u1)), sincos_avx(np.float32(2 * math.pi) * u2)
    else:
        theta = (2 * math.pi * u2.astype(np.float64)).astype(np.float32)
        radius, (sin, cos) = np.sqrt(-2 * log_glibc(not_u1)), sincos_glibc(theta)
    return radius * cos, radius * sin


def normal_pairs(angle: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Pairs z₁, z₂ of float64 numbers u₁ (`length`) and u₂ (`angle`), one pair after the other."""
    radius = np.sqrt(-2 * _each(math.log1p, -length))
    sin, cos = _sincos(2 * math.pi * angle)
    return np.stack([radius * cos, radius * sin], axis=1).reshape(-1)


def fma(x: np.ndarray, y: Any, z: Any) -> np.ndarray:
    """x·y + z, rounded once, as the fused multiply-add of a processor does

    float32: the product is exact in float64. Their sum is rounded twice, there and to float32, which is once
    unless the first rounding has made a tie; there, and where the result is subnormal, it is rounded to odd,
    so that the second rounding sees on which side it was. float64: product and sums are kept as a rounded
    part and its exact error, and the smallest parts are added with rounding to odd. A subnormal result has
    fewer digits: adding it to 2⁵² times the last of them rounds it to these.

    Boldo and Melquiond 2008, https://doi.org/10.1109/TC.2007.70819
    """
    if not np.all(np.isfinite(y) & np.isfinite(z) & (y != 0)):
        return x * y + z  # exact for y = 0, and −0 where it should be
    if x.dtype == np.float32:
        product = x.astype(np.float64) * np.float64(y)
        total = np.asarray(product + z)
        is_tie = total.view(np.int64) & (2**29 - 1) == 2**28  # of the 29 bits that float32 has not
        doubtful = is_tie | (np.abs(total) < 2.0**-126)
        if doubtful.any():
            z = np.broadcast_to(np.float64(z), total.shape)
            total[doubtful] = _sum_rounded_to_odd(product[doubtful], z[doubtful])
        return total.astype(np.float32)
    _, exponent = np.frexp(np.maximum(np.abs(y), np.abs(z)))  # far from overflow and underflow
    product, product_error = _two_product(x, np.ldexp(y, -exponent))
    low, low_error = _two_sum(np.ldexp(z, -exponent), product_error)
    high, high_error = _two_sum(product, low)
    low = _sum_rounded_to_odd(high_error, low_error)
    value = high + low
    if np.all(exponent > -900):
        return np.ldexp(value, exponent)
    coarse = np.copysign(np.ldexp(2.0**52, -1074 - exponent), value)
    total, error = _two_sum(coarse, high)
    rounded = np.copysign(total + _sum_rounded_to_odd(error, low) - coarse, value)
    return np.ldexp(np.where(np.abs(value) < np.ldexp(1.0, -1022 - exponent), rounded, value), exponent)


def log_avx(x: np.ndarray) -> np.ndarray:
    """ln x = ln m + e·ln 2, x = m·2ᵉ with m within √½ … √2, by a polynomial in m − 1 (Cephes `logf`)

    ln 2 is split in two parts, of which the large one times e is exact: there a sum is rounded once anyway.
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/avx_mathfun.h
    """
    bits = np.ascontiguousarray(x).view(np.int32)
    offset = bits - 0x3F3504F3  # the bits of √½
    e = (offset >> 23).astype(np.float32)
    m = (bits - (offset & -0x800000)).view(np.float32) - 1
    square = m * m
    y = _polynomial(m.astype(np.float64), _LOG) * m
    y = _fused(square, y, e * np.float32(-2.12194440e-4))
    y = y - square * np.float32(0.5)
    return m + y + e * np.float32(0.693359375)


def sincos_avx(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of x ≥ 0, less the nearest even multiple j of π/4, which leaves ±π/4 at most (Cephes)

    π/4 is split in three parts, so that x − j·π/4 keeps its digits; the first two times j are exact.
    """
    j = ((x * np.float32(1.27323954473516)).astype(np.int32) + 1) & ~1
    octants = j.astype(np.float32)
    x = x + octants * _PI_4[0] + octants * _PI_4[1]
    x = _fused(octants, _PI_4[2], x)
    z = x * x
    wide = z.astype(np.float64)
    cosine = _polynomial(wide, _COS) * z
    cosine = _fused(wide, cosine, z * np.float32(-0.5)) + 1
    sine = _polynomial(wide, _SIN) * z
    sine = _fused(sine, x, x)
    return _by_quadrant(j >> 1, sine, cosine)


def log_glibc(x: np.ndarray) -> np.ndarray:
    """ln x = ln(z·1/c) + ln c + k·ln 2, x = z·2ᵏ, with c one of 16 numbers close to z, in float64 throughout

    https://sourceware.org/git/?p=glibc.git;a=blob;f=sysdeps/ieee754/flt-32/e_logf.c
    """
    bits = np.ascontiguousarray(x).view(np.int32)
    offset = bits - 0x3F330000
    i, k = (offset >> 19) & 15, offset >> 23
    z = (bits - (offset & -0x800000)).view(np.float32).astype(np.float64)
    r = z * _INVERSE_C[i] - 1
    r2 = r * r
    y = _LOG_GLIBC[1] * r + _LOG_GLIBC[2]
    y = _LOG_GLIBC[0] * r2 + y
    return (y * r2 + (_LOG_C[i] + k * math.log(2) + r)).astype(np.float32)


def sincos_glibc(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of x ≥ 0, less the nearest multiple of π/2, in float64 throughout

    https://sourceware.org/git/?p=glibc.git;a=blob;f=sysdeps/ieee754/flt-32/s_sincosf.h
    """
    wide = x.astype(np.float64)
    quadrant = ((wide * (2 / math.pi * 2**24)).astype(np.int32) + 2**23) >> 24
    wide = wide - quadrant * (math.pi / 2)
    z = wide * wide
    cube, fourth = wide * z, z * z
    sine = wide + cube * _SIN_GLIBC[0] + cube * z * (_SIN_GLIBC[1] + z * _SIN_GLIBC[2])
    cosine = 1 + z * _COS_GLIBC[0] + fourth * _COS_GLIBC[1]
    cosine = cosine + fourth * z * (_COS_GLIBC[2] + z * _COS_GLIBC[3])
    return _by_quadrant(quadrant, sine.astype(np.float32), cosine.astype(np.float32))


def _by_quadrant(quadrant: np.ndarray, sine: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin and cos of q·π/2 + x from those of x: each quarter turn makes (sin, cos) into (cos, −sin)."""
    sin, cos = sine.view(np.int32), cosine.view(np.int32)  # `np.where` is slow where the choice is random
    swapped = (sin ^ cos) & -(quadrant & 1)
    sin = sin ^ swapped ^ (quadrant & 2) << 30
    cos = cos ^ swapped ^ (quadrant + 1 & 2) << 30
    return sin.view(np.float32), cos.view(np.float32)


def _polynomial(z: np.ndarray, coefficients: tuple) -> np.ndarray:
    """Horner's rule in float32, `_fused` in every step; z has been made float64."""
    y, rounded = np.full_like(z, coefficients[0]), np.empty(z.shape, np.float32)
    for coefficient in coefficients[1:]:
        y *= z
        y += coefficient
        rounded[...] = y
        y[...] = rounded
    return rounded


def _fused(x: np.ndarray, y: Any, z: Any) -> np.ndarray:
    """x·y + z in float64, rounded to float32: the same as `fma` for every argument that occurs here."""
    total = np.multiply(x, y, dtype=np.float64)
    total += z
    return total.astype(np.float32)


def _sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _each(math.sin, x), _each(math.cos, x)


def _each(function: Any, x: np.ndarray) -> np.ndarray:
    """The C library's function, element by element: NumPy's own may differ from it in the last bit."""
    return np.fromiter(map(function, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and its error, exactly (Knuth)."""
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)


def _two_product(a: np.ndarray, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """a·b rounded, and its error, exactly (Dekker)."""
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    product = a * b
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(a: Any) -> tuple[Any, Any]:
    """A number as a sum of two with half the digits each (Veltkamp)."""
    scaled = a * (2.0**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high


def _sum_rounded_to_odd(a: Any, b: Any) -> np.ndarray:
    """a + b in float64; where it is not exact, whichever of its two neighbours ends in a 1."""
    total, error = _two_sum(a, b)
    bits = np.asarray(total).view(np.int64)
    away_from_zero = np.where((error > 0) == (total > 0), 1, -1)
    return np.where((error != 0) & (bits & 1 == 0), bits + away_from_zero, bits).view(np.float64)


def _float32(*values: float) -> tuple:
    return tuple(map(np.float32, values))


def _float64(*values: str) -> tuple[float, ...]:
    return tuple(map(float.fromhex, values))


_LOG = _float32(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_COS = _float32(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = _float32(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_PI_4 = _float32(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)

_LOG_GLIBC = _float64("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2")
_SIN_GLIBC = _float64("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")
_COS_GLIBC = _float64(
    "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16"
)
_INVERSE_C = np.array(
    _float64(
        *("0x1.661ec79f8f3bep+0", "0x1.571ed4aaf883dp+0", "0x1.49539f0f010bp+0", "0x1.3c995b0b80385p+0"),
        *("0x1.30d190c8864a5p+0", "0x1.25e227b0b8eap+0", "0x1.1bb4a4a1a343fp+0", "0x1.12358f08ae5bap+0"),
        *("0x1.0953f419900a7p+0", "0x1p+0", "0x1.e608cfd9a47acp-1", "0x1.ca4b31f026aap-1"),
        *("0x1.b2036576afce6p-1", "0x1.9c2d163a1aa2dp-1", "0x1.886e6037841edp-1", "0x1.767dcf5534862p-1"),
    )
)
_LOG_C = np.array(
    _float64(
        *("-0x1.57bf7808caadep-2", "-0x1.2bef0a7c06ddbp-2", "-0x1.01eae7f513a67p-2", "-0x1.b31d8a68224e9p-3"),
        *("-0x1.6574f0ac07758p-3", "-0x1.1aa2bc79c81p-3", "-0x1.a4e76ce8c0e5ep-4", "-0x1.1973c5a611cccp-4"),
        *("-0x1.252f438e10c1ep-5", "0x0p+0", "0x1.aa5aa5df25984p-5", "0x1.c5e53aa362eb4p-4"),
        *("0x1.526e57720db08p-3", "0x1.bc2860d22477p-3", "0x1.1058bc8a07ee1p-2", "0x1.4043057b6ee09p-2"),
    )
)
