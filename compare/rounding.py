"""How many rounding units a sum makes inevitable."""

import math

FALSE_ALARM = 1e-6  # the chance that a budget leaves to right answers


def sum_units(terms: int, sums: int = 1) -> float:
    """How far two sums of the same n terms may lie apart, in units u·√Σ(terms²): ¼·√n·ln(10⁶·N), or 32

    Each of the n additions rounds a partial sum s_k by at most u/2·|s_k|, evenly distributed, which is
    u/√12·|s_k| in the root mean square. Both are random walks, one driven by the other:

    - With terms of random sign, s_k is a walk that ends at about T = √Σ(terms²). Its mean square over the
      n steps is (2a/π)²·T² but for a chance of e^(−a²/2); 4/π² is the largest eigenvalue of the
      covariance min(s, t) of a walk.
    - The roundings have random signs too: they add up to b·√n times their root mean square, but for a chance
      of e^(−b²/2).

    So a sum is off by a·b·(2/π)·√(n/12)·u·T. Of all a and b that occur together with the chance
    q = e^(−(a² + b²)/2), a·b is largest at a = b, where it is ln(1/q). Two sums are √2 times as far from each
    other as from the truth, and √2·(2/π)/√12 is about ¼. Of N sums none shall exceed the bound but for a
    chance of one in a million: q = 10⁻⁶/N. Whatever the order of the additions: blocks and fused products
    only round less. For short sums the few other roundings count for more, and 32 is the least.

    Args:
        terms: n, the longest of the sums
        sums: N, how many there are
    """
    return max(32, math.sqrt(terms) / 4 * math.log(sums / FALSE_ALARM))
