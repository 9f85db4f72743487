"use strict";
// PyTorch's random stream on a CPU, as in scratch.random: MT19937, and the ways from its words to numbers.
// Normal numbers of float32 have the arithmetic of x86-64 with AVX2, bit for bit; Math.fround rounds to float32.

class TorchStream {
  // Only the low 32 bits of the seed count.
  constructor(seed) {
    const words = new Uint32Array(624);
    words[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let j = 1; j < 624; j++) words[j] = Math.imul(1812433253, words[j - 1] ^ (words[j - 1] >>> 30)) + j;
    Object.assign(this, { words, at: 624, kept: null });
  }

  // A word of 32 bits; after 624 of them the state is made anew.
  word() {
    const { words } = this;
    if (this.at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
        words[i] = words[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.at = 0;
    }
    let y = words[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  unit32() { return (this.word() & 0xffffff) * 2 ** -24; }

  unit64() {
    const high = this.word() & 0x1fffff;
    return (high * 2 ** 32 + this.word()) * 2 ** -53;
  }

  // Of float64, like `normal` and `bernoulli`.
  uniform(n, low, high) {
    return Float64Array.from({ length: n }, () => {
      const value = this.unit64() * (high - low) + low;
      return value === high ? low : value;
    });
  }

  normal(n, std = 1) {
    const z = n >= 16 ? this.blocks(n, () => this.unit64(), Transform.float64) : this.pairs(n);
    return z.map(value => value * std + 0);
  }

  // torch.randn(n), in float32.
  randn(n) {
    const z = n >= 16 ? this.blocks(n, () => this.unit32(), Transform.float32) : this.pairs(n);
    return Float32Array.from(z, value => value + 0);
  }

  // Blocks of 16: u₁ the first eight, u₂ the last. If 16 does not divide n, the last 16 are drawn anew.
  blocks(n, unit, transform) {
    const values = Float64Array.from({ length: n }, unit);
    const change = start => {
      for (let i = start; i < start + 8; i++) [values[i], values[i + 8]] = transform(values[i], values[i + 8]);
    };
    for (let start = 0; start + 16 <= n; start += 16) change(start);
    if (n % 16) {
      for (let i = n - 16; i < n; i++) values[i] = unit();
      change(n - 16);
    }
    return values;
  }

  // Fewer than 16: in pairs, of which the second is kept for the next call.
  pairs(n) {
    const values = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      if (this.kept !== null) {
        [values[i], this.kept] = [this.kept, null];
        continue;
      }
      const angle = 2 * Math.PI * this.unit64(), radius = Math.sqrt(-2 * Math.log1p(-this.unit64()));
      [values[i], this.kept] = [radius * Math.cos(angle), radius * Math.sin(angle)];
    }
    return values;
  }

  bernoulli(n, p) { return Float64Array.from({ length: n }, () => this.unit64() < p ? 1 : 0); }

  dropoutMask(n, p) { return p === 0 || p === 1 ? new Float64Array(n).fill(1 - p) : this.bernoulli(n, 1 - p); }
}

// Box and Muller: z₁ = √(−2·ln(1 − u₁))·cos 2πu₂ and z₂, with the sine, each in the arithmetic of its dtype.
const Transform = (() => {
  const f = Math.fround, all = (...values) => values.map(f);
  const LOG = all(-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1);
  const COS = all(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2);
  const SIN = all(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1);
  const PI_4 = all(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8);
  const bits = new Uint32Array(1), floats = new Float32Array(bits.buffer);

  const fused = (x, y, z) => f(x * y + z);  // the product of two float32 is exact in float64
  const polynomial = (z, [first, ...others]) => others.reduce((y, coefficient) => fused(z, y, coefficient), first);

  // ln x = ln m + e·ln 2 with m from √½ to √2, by a polynomial in m − 1.
  function log(x) {
    floats[0] = x;
    let e = (bits[0] >>> 23) - 126;
    bits[0] = (bits[0] & 0x7fffff) | (126 << 23);
    let m = floats[0];  // from ½ to below 1
    if (m < f(0.707106781186547524)) [e, m] = [e - 1, f(f(m - 1) + m)];
    else m = f(m - 1);
    const square = f(m * m);
    let y = f(7.0376836292e-2);
    for (const coefficient of LOG) y = fused(m, y, coefficient);
    y = f(y * m);
    y = fused(square, y, f(e * f(-2.12194440e-4)));
    y = fused(square, -0.5, y);
    return fused(e, 0.693359375, f(m + y));
  }

  // Sine and cosine of x ≥ 0, less the nearest even multiple of π/4.
  function sincos(x) {
    const j = (Math.trunc(f(x * f(1.27323954473516))) + 1) & ~1;
    for (const part of PI_4) x = fused(j, part, x);
    const z = f(x * x);
    const cosine = f(fused(f(polynomial(z, COS) * z), z, -f(z * 0.5)) + 1);
    const sine = fused(f(polynomial(z, SIN) * z), x, x);
    const quarter = j >> 1, [sin, cos] = quarter & 1 ? [cosine, sine] : [sine, cosine];
    return [quarter & 2 ? -sin : sin, (quarter + 1) & 2 ? -cos : cos];
  }

  function float32(u1, u2) {
    const radius = f(Math.sqrt(f(-2 * log(f(1 - u1))))), [sin, cos] = sincos(f(f(2 * Math.PI) * u2));
    return [f(radius * cos), f(radius * sin)];
  }

  function float64(u1, u2) {
    const radius = Math.sqrt(-2 * Math.log(1 - u1)), angle = 2 * Math.PI * u2;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  }

  return { float32, float64, log, sincos };
})();
