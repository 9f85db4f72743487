"""What a run is given: first parameters, data, learning rates."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from compare.measure import Difference
from compare.recording.cause import Cause
from compare.recording.fault import EQUAL, Fault, difference
from compare.recording.replay import Runs
from compare.recording.schedule import schedule_causes, shifted


def given(runs: Runs) -> Iterator[Fault]:
    """Where my start, data or learning rates are others than theirs."""
    first = runs.steps[0]
    for pair in runs.pairing.pairs:
        if pair.theirs.endswith(".before"):
            apart = difference(runs, first, pair.theirs)
            if apart.units > EQUAL:
                mine, theirs = runs.of_mine(first, pair.theirs), runs.of_theirs(first, pair.theirs)
                why = [Cause(_start(mine, theirs))]
                yield Fault(
                    first,
                    -1,
                    pair.theirs,
                    pair.mine,
                    apart,
                    "the runs start from different numbers",
                    why,
                )
        elif pair.theirs.startswith("input") or pair.theirs.startswith("loss.targets"):
            yield from _data(runs, pair.theirs, pair.mine)
    yield from _rates(runs)
    yield from _modes(runs)


def _start(mine: Any, theirs: Any) -> str:
    a, b = np.asarray(mine, float), np.asarray(theirs, float)
    if a.shape == b.shape[::-1] and np.allclose(a.T, b):
        return "yours is the transpose."
    if a.size > 20 and a.std() > 0 and b.std() > 0:
        ratio, error = a.std() / b.std(), 1 / np.sqrt(a.size)
        shapes = ["uniform" if np.abs(x).max() <= 1.8 * x.std() else "normal" for x in (a, b)]
        if abs(np.log(ratio)) > min(0.22, 3 * error):
            return (
                f"the spread is {ratio:.3g} times theirs: another initialisation, or another scale of it. "
                f"Yours {_spread(a)}, theirs {_spread(b)}, as far as {a.size} numbers tell (to ±{error:.0%})."
            )
        if a.size > 100 and shapes[0] != shapes[1]:
            return f"the spread is the same, but yours looks {shapes[0]}, theirs {shapes[1]}."
        return "the spread is the same, the numbers are others: another seed, or another order of drawing."
    return "another start."


def _spread(weight: np.ndarray) -> str:
    """What a weight's standard deviation fits, by chance too: it is known to 1/√(2n) of itself."""
    found = f"is {weight.std():.3g}"
    if weight.ndim != 2:
        return found
    fan_out, fan_in = weight.shape
    usual = {
        "√(1/fan_in)": 1 / fan_in,
        "√(2/fan_in)": 2 / fan_in,
        "√(2/(fan_in + fan_out))": 2 / (fan_in + fan_out),
        "√(1/(3·fan_in)), nn.Linear's own": 1 / (3 * fan_in),
        "√(1/fan_out)": 1 / fan_out,
        "√(2/fan_out)": 2 / fan_out,
    }
    off = {name: abs(np.log(weight.std() / np.sqrt(of))) for name, of in usual.items()}
    fits = [name for name, far in off.items() if far <= 3 / np.sqrt(2 * weight.size)]
    return f"{found}, like {' or '.join(fits)}" if 0 < len(fits) < 3 else found


def _data(runs: Runs, tensor: str, mine: str) -> Iterator[Fault]:
    for step in runs.steps:
        apart = difference(runs, step, tensor)
        if apart.units > EQUAL:
            a, b = runs.of_mine(step, tensor), runs.of_theirs(step, tensor)
            yield Fault(
                step,
                0,
                tensor,
                mine,
                apart,
                "the runs are given different data",
                [Cause(_of_data(a, b))],
            )
            return


def _of_data(mine: Any, theirs: Any) -> str:
    a, b = np.asarray(mine, float), np.asarray(theirs, float)
    if a.shape == b.shape and a.ndim and len(a):
        rows_a, rows_b = (
            np.sort(x.reshape(len(x), -1).view([("", x.dtype)] * x[0].size), axis=0) for x in (a, b)
        )
        if np.array_equal(rows_a, rows_b):
            return "the same examples in another order within the batch."
        if a.ndim == 2 and len(a) > 3:
            centred = [x - x.mean(axis=0) for x in (a, b)]
            scale = (centred[0] * centred[1]).sum(axis=0) / np.maximum((centred[1] ** 2).sum(axis=0), 1e-300)
            if np.allclose(centred[0], scale * centred[1], rtol=1e-3, atol=1e-6 * np.abs(a).max()):
                by = "the same examples, shifted and scaled by feature: one side is standardised otherwise."
                return f"{by}{_of_scales(scale)}"
    return "other examples: another order of the whole set, or another seed of it."


def _of_scales(scales: np.ndarray) -> str:
    """Whether the standard deviations are those of n and of n − 1."""
    scale = float(scales.mean())
    if np.ptp(scales) > 1e-6 * scale or not 0 < abs(scale - 1) < 0.5:
        return ""
    n = 1 / (1 - min(scale, 1 / scale) ** 2)
    if abs(n - round(n)) > 1e-3 * n:
        return f" Every feature by {scale:.6g}."
    mine, theirs = ("n − 1", "n") if scale < 1 else ("n", "n − 1")
    return f" Your standard deviation divides by {mine}, theirs by {theirs}, of {round(n)} examples."


def _rates(runs: Runs) -> Iterator[Fault]:
    """My learning rate against that of the first group."""
    rates = {}
    for step in runs.steps:
        groups = runs.step(1, step).facts.get("groups")
        if not groups or not runs.rates:
            return
        if groups[0]["lr"] == groups[0]["lr"]:  # it is known
            rates[step] = runs.rate(step, 0, groups[0]["lr"]), groups[0]["lr"]
    wrong = [step for step, (mine, theirs) in rates.items() if not np.isclose(mine, theirs, rtol=1e-6)]
    if not wrong:
        return
    mine, theirs = rates[wrong[0]]
    apart = Difference(
        "lr", abs(mine - theirs) / np.finfo(float).eps / max(theirs, 1e-300), 0, (), mine, theirs
    )
    why = [Cause(_of_rates(list(rates.values())))]
    if runs.steps == list(range(len(runs.steps))):
        why += schedule_causes(*zip(*rates.values(), strict=True))
    what = "the runs have different learning rates"
    yield Fault(wrong[0], 10**6, "lr", runs.rates[0], apart, what, why)


def _of_rates(rates: Sequence[tuple[float, float]]) -> str:
    mine, theirs = (np.array(each) for each in zip(*rates, strict=True))
    if by := shifted(mine, theirs):
        return by
    ratio = mine / theirs
    if np.ptp(ratio) <= 1e-6 * abs(ratio[0]):
        return f"yours is {ratio[0]:.6g} times theirs throughout."
    changes = [int((np.abs(np.diff(each)) > 1e-12 * each[0]).sum()) for each in (mine, theirs)]
    times = f"yours changes {changes[0]} times in {len(mine)} steps, theirs {changes[1]} times"
    return f"{times}: decay by step and by epoch, or another decay."


def _modes(runs: Runs) -> Iterator[Fault]:
    """Modules that are in training in one run and in evaluation mode in the other."""
    seen: set[str] = set()
    for step in runs.steps:
        for call in runs.step(1, step).facts.get("calls", ()):
            name = call.get("module")
            if not name or name in seen or call["output"] not in runs.pair_of:
                continue
            kind = runs.theirs.about["modules"][name]["class"]
            mine, theirs = (runs.training(step, side, call) for side in (0, 1))
            if mine != theirs and ("Norm" in kind or "Dropout" in kind):
                seen.add(name)
                pair = runs.pair_of[call["output"]]
                apart = Difference(pair.theirs, np.inf, problem="another mode")
                modes = ["in training" if each else "in evaluation mode" for each in (mine, theirs)]
                why = [
                    Cause(
                        f"yours is {modes[0]}, theirs {modes[1]}: model.train() or model.eval() is missing."
                    )
                ]
                what = f"{name} ({kind}) is called in another mode"
                yield Fault(step, runs.position(pair.theirs), pair.theirs, pair.mine, apart, what, why)
