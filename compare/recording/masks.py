"""What two runs drop: whether it is the same, and if not, what mine is."""

from collections.abc import Iterator, Sequence

import numpy as np

from compare.measure import Difference
from compare.recording.calls import kept_in_gradient
from compare.recording.cause import Candidate, Cause
from compare.recording.fault import Fault
from compare.recording.replay import Runs, components

DROPS = "the runs drop different units"
CHANCE = 1e-6  # of saying that something is no chance when it is


def masks(runs: Runs, steps: Sequence[int]) -> Iterator[Fault]:
    """A fault for each dropout in which other units are dropped."""
    modules = runs.theirs.about.get("modules", {})
    for call in runs.calls(steps[0]):
        of = modules.get(call.get("module"), {})
        if of.get("class") == "Dropout" and call["training"] and 0 < of["options"]["p"] < 1:
            yield from _of_one(runs, steps, call["inputs"][0], call["output"], of["options"]["p"])


def _of_one(runs: Runs, steps: Sequence[int], given: str, output: str, p: float) -> Iterator[Fault]:
    pair = runs.pair_of.get(output)
    both = [
        (step, _kept(runs, step, given, output, 0), _kept(runs, step, given, output, 1)) for step in steps
    ]
    known = [(step, a, b) for step, a, b in both if a is not None and b is not None]
    if pair is None or not known:
        return
    wrong = [step for step, (a, x), (b, y) in known if ((a != b) & x & y).any()]
    if all((a | ~x).all() for _, (a, x), _ in known):
        if wrong and all(runs.training(step, 0, {"output": output}) for step, *_ in known):
            why = Cause("yours drops nothing: as in evaluation mode.")
            apart = Difference(output, np.inf, problem="nothing is dropped")
            yield Fault(wrong[0], runs.position(output), output, pair.mine, apart, DROPS, [why])
        return
    name = _what(runs, known, given, output, p)
    if not wrong and not name:
        return
    mistakes = {mistake.name: mistake for mistake in components()["dropout"].mistakes}
    why = Cause("another seed of the masks, or another order of drawing.")
    if name:
        why = Candidate("dropout", (mistakes[name],)).cause({})
    step = wrong[0] if wrong else known[0][0]
    apart = Difference(output, np.inf, problem="other units are dropped")
    yield Fault(step, runs.position(output), output, pair.mine, apart, DROPS, [why])


Kept = tuple[np.ndarray, np.ndarray]  # what was kept, and where that can be told


def _kept(runs: Runs, step: int, given: str, output: str, side: int) -> Kept | None:
    replay = runs.replay(step, side)
    x, y = replay.get(given), replay.recorded(output)
    return None if x is None or y is None or x.shape != y.shape else (y != 0, x != 0)


def _what(runs: Runs, known: Sequence[tuple[int, Kept, Kept]], given: str, output: str, p: float) -> str:
    """The mistake of the catalogue that my masks show."""
    opposite = [(a != b)[x & y] for _, (a, x), (b, y) in known]
    if all(each.all() for each in opposite) and sum(each.size for each in opposite) > 20:
        return "mask the other way round"
    if all(_one_row(a, x) for _, (a, x), _ in known) and not all(_one_row(b, y) for _, _, (b, y) in known):
        return "one mask for the whole batch"
    asked = dropped = 0
    for step, (_, x), _ in known:
        replay = runs.replay(step, 0)
        flows, dy = kept_in_gradient(replay.recorded(f"{given}.grad")), replay.get(f"{output}.grad")
        if flows is None or dy is None:
            return ""
        asked += int((~x & (dy != 0)).sum())
        dropped += int((~x & (dy != 0) & ~flows).sum())
    return "mask read off the output" if asked == dropped and p**asked < CHANCE else ""


def _one_row(kept: np.ndarray, told: np.ndarray) -> bool:
    """Whether all examples keep the same units."""
    some, every = (kept & told).any(axis=0), (kept | ~told).all(axis=0)
    return bool(len(kept) > 1 and (~some | every).all())
