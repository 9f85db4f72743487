"""Why a result is wrong, where plain numbers say it: a factor, a term too many, zeros, NaN."""

from collections.abc import Iterator, Mapping

import numpy as np

from compare.recording.replay import ALLOWED, Replay, Runs


def plain(runs: Runs, tensor: str, replays: Mapping[int, Replay]) -> Iterator[str]:
    """What can be said of a wrong result without knowing how it was made."""
    mine = {step: runs.of_mine(step, tensor) for step in replays}
    got = {s: np.asarray(a, float) for s, a in mine.items() if a is not None}
    right = {s: np.asarray(replays[s].expected[tensor], float) for s in got}
    if not got:
        return
    eps = {s: float(np.finfo(a.dtype).eps) for s, a in mine.items() if a is not None and a.dtype.kind == "f"}
    eps = {s: each * runs.coarser(s, 0, tensor) for s, each in eps.items()}

    def near(step: int, a: np.ndarray, b: np.ndarray) -> bool:
        size = np.abs(b).max(initial=0)
        return bool(np.abs(a - b).max(initial=0) <= 4 * ALLOWED * eps.get(step, 0) * size)

    if any(np.isnan(a).any() and not np.isnan(right[s]).any() for s, a in got.items()):
        first = next(s for s, a in got.items() if np.isnan(a).any())
        yield f"yours is NaN from step {first} on, from finite numbers."
        return
    if all(not a.any() for a in got.values()) and any(b.any() for b in right.values()):
        yield "yours is 0 throughout: it is never computed, or cut off."
        return
    if all(_is_float32(mine[s], right[s]) for s in got):
        yield "yours, in float64, has a float32's digits alone: something is cast to float32 on the way."
        return
    factors = {s: float((got[s] * right[s]).sum() / max((right[s] ** 2).sum(), 1e-300)) for s in got}
    if all(near(s, got[s], factors[s] * right[s]) and factors[s] != 0 for s in got):
        factor = _factor(runs, factors)
        if max(a.size for a in got.values()) > 1 or "times a factor of its own" not in factor:
            yield factor
        return
    previous = {s: runs.of_mine(s - 1, tensor) if s - 1 in runs.steps else None for s in got}
    added = [s for s in got if previous[s] is not None]
    if tensor.endswith(".grad") and added and all(near(s, got[s], right[s] + previous[s]) for s in added):
        yield "yours is this step's gradient plus all those before: it is not set to zero between the steps."
        return
    parameter = tensor.removesuffix(".grad")
    if parameter != tensor:
        decay = {}
        for s in got:
            weight = runs.of_mine(s, f"{parameter}.before")
            if weight is not None and weight.any():
                rest = got[s] - right[s]
                share = float((rest * weight).sum() / (np.asarray(weight, float) ** 2).sum())
                if near(s, right[s] + share * weight, got[s]):
                    decay[s] = share
        values = list(decay.values())
        if len(decay) == len(got) and np.ptp(values) <= 1e-4 * abs(values[0]):
            times = f"{values[0]:.4g} times the parameter"
            yield f"yours has {times} more: an L2 penalty in its gradient."


def _is_float32(mine: np.ndarray | None, right: np.ndarray) -> bool:
    """Whether these float64 numbers are float32 ones, and close to the right ones as such."""
    if mine is None or mine.dtype != np.float64 or not mine.any():
        return False
    with np.errstate(over="ignore"):
        narrow = mine.astype(np.float32)
    far = np.abs(mine - right).max(initial=0)
    return bool(np.array_equal(narrow, mine) and far <= ALLOWED * 2.0**-23 * np.abs(right).max(initial=0))


def _factor(runs: Runs, factors: Mapping[int, float]) -> str:
    """What a factor is, if that can be told."""
    sizes = {s: runs.sizes(s) for s in factors}
    first = next(iter(factors))
    for name in sizes[first]:
        for power, words in ((1, "times"), (-1, "divided by")):
            if all(np.isclose(factors[s], float(sizes[s][name]) ** power, rtol=1e-4) for s in factors):
                if len({sizes[s][name] for s in factors}) == 1 and sizes[first][name] == 1:
                    continue
                meaning = {
                    ("the batch", 1): "a sum over the batch where theirs is a mean",
                    ("the batch", -1): "a mean over the batch where theirs is a sum, or divided by it twice",
                    ("all elements", 1): "a sum over all elements where theirs is a mean",
                    ("all elements", -1): "a mean over all elements where theirs is a sum",
                    ("the outputs", 1): "a mean over the batch where theirs is over all elements",
                    ("the outputs", -1): "a mean over all elements where theirs is over the batch",
                }[name, power]
                return f"yours is theirs {words} {name} ({sizes[first][name]}) in every step: {meaning}."
    usual = max(sizes[s]["the batch"] for s in factors)
    if len({f"{f:.6g}" for f in factors.values()}) > 1:
        shares = {s: sizes[s]["the batch"] / usual for s in factors}
        if min(shares.values()) < 1 and all(np.isclose(factors[s], shares[s], rtol=1e-4) for s in factors):
            return f"yours is divided by {usual} also in the smaller last batch."
        shown = ", ".join(f"{f:.4g}" for f in factors.values())
        return f"yours is theirs times a factor of its own in every step ({shown})."
    factor = factors[first]
    known = {2.0: "the square without its ½", 0.5: "the square with a ½", -1.0: "the sign is reversed"}
    meaning = next((words for value, words in known.items() if np.isclose(factor, value, rtol=1e-5)), "")
    return f"yours is {factor:.6g} times theirs in every step{f': {meaning}' if meaning else ''}."
