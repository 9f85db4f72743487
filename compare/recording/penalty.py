"""An L2 penalty that is in the loss: c·Σw² in what `backward` is called on, 2c·w in the gradients

The loss function alone does not give such numbers; c is read off them, and has to be the same in every step.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from compare.recording.cause import Cause
from compare.recording.fault import Fault, difference
from compare.recording.replay import Runs

CLOSE = 1e-4  # relative, up to which c is the same in every step
NAME = "loss and gradient of the penalty"


def penalties(runs: Runs, steps: Sequence[int]) -> Iterator[Fault]:
    """Where theirs has a penalty in its loss, and mine has another one, or none."""
    weights = [n for n in runs.step(1, runs.steps[0]).order if _is_weight(runs, n)]
    theirs = _in_loss(runs, steps, weights, 1)
    if not theirs:
        return
    in_gradients = _in_gradients(runs, steps, weights, 1)
    if any(not np.isclose(share, 2 * theirs, rtol=CLOSE) for share in in_gradients.values()):
        return
    first = steps[0]
    mine = _in_loss(runs, steps, weights, 0)
    said = f"theirs has a penalty in its loss, {theirs:.4g}·Σw² of all matrices"
    if mine is not None and not np.isclose(mine, theirs, rtol=CLOSE):
        apart = difference(runs, first, "loss")
        times = f"{mine / theirs:.4g} times as much: {mine:.4g}·Σw²" if mine else "none"
        why = Cause(f"yours has {times}.", NAME)
        yield Fault(first, runs.position("loss"), "loss", runs.pair_of["loss"].mine, apart, said, [why])
    right = [2 * theirs, 2 * (theirs if mine is None else mine)]  # that of my own loss is told above
    for weight, share in _in_gradients(runs, steps, weights, 0).items():
        if weight in in_gradients and not np.isclose(share, right, rtol=CLOSE).any():
            tensor = f"{weight}.grad"
            apart = difference(runs, first, tensor)
            what = f"{said}, {2 * theirs:.4g}·w in each gradient"
            why = Cause(f"yours has {share:.4g}·w in it." if share else "yours has none of it.", NAME)
            yield Fault(first, runs.position(tensor), tensor, runs.pair_of[tensor].mine, apart, what, [why])


def _is_weight(runs: Runs, name: str) -> bool:
    order = runs.step(1, runs.steps[0])
    return f"{name}.before" in order and len(order.shape(name)) > 1


def _in_loss(runs: Runs, steps: Sequence[int], weights: Sequence[str], side: int) -> float | None:
    """c, 0 where there is none; None if it can not be told."""
    shares = []
    for step in steps:
        replay = runs.replay(step, side)
        loss, before = replay.recorded("loss"), [replay.get(f"{name}.before") for name in weights]
        if (
            loss is None
            or loss.size != 1
            or "loss" not in replay.expected
            or any(each is None for each in before)
        ):
            return None
        squares = sum(float((np.asarray(each, float) ** 2).sum()) for each in before)
        rest = loss.item() - replay.expected["loss"].item()
        shares.append(rest / squares if replay.off["loss"] > 1 and squares else 0.0)
    return _same(shares)


def _in_gradients(runs: Runs, steps: Sequence[int], weights: Sequence[str], side: int) -> Mapping[str, float]:
    """Of each weight how much of it is in its gradient beyond what follows."""
    found = {}
    for name in weights:
        shares = []
        for step in steps:
            replay = runs.replay(step, side)
            tensor, before = f"{name}.grad", replay.get(f"{name}.before")
            recorded = replay.recorded(tensor)
            if recorded is None or before is None or tensor not in replay.expected:
                break
            rest, weight = np.asarray(recorded, float) - replay.expected[tensor], np.asarray(before, float)
            share = float((rest * weight).sum() / max((weight**2).sum(), 1e-300))
            far = np.abs(rest - share * weight).max(initial=0)
            shares.append(share if far <= 1e-6 * np.abs(recorded).max(initial=0) else np.nan)
            if replay.off[tensor] <= 1:
                shares[-1] = 0.0
        else:
            if (share_of := _same(shares)) is not None:
                found[name] = share_of
    return found


def _same(shares: Sequence[float]) -> float | None:
    if not shares or not np.ptp(shares) <= CLOSE * abs(shares[0]):
        return None
    return float(np.median(shares))
