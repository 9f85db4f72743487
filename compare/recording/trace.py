"""Where two recorded runs part, by how much, and why."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compare.measure import Difference, compare_arrays
from compare.recording.cause import Cause, causes, update_causes
from compare.recording.pairing import Pairing, pair_up
from compare.recording.replay import Operation, Runs, judged, updates
from compare.recording.store import Recording

EQUAL = 64.0  # rounding units, up to which two tensors are called equal
JUMP = 1e3  # times as far apart as anything before: a parting, where nothing can be replayed
REPLAYED = 60  # steps, of many
SHOWN = 4  # causes, and faults


@dataclass(frozen=True)
class Fault:
    """Something of mine that does not follow from my own numbers, or a number that is given another one."""

    step: int
    position: int  # in the order of computation
    tensor: str  # by their name
    mine: str
    difference: Difference
    what: str  # the operation, or that it is given
    causes: Sequence[Cause] = ()


@dataclass
class Trace:
    """What comparing two recordings gave."""

    mine: Recording
    theirs: Recording
    pairing: Pairing
    steps: list[int]
    units: dict[int, dict[str, float]] = field(default_factory=dict)  # step → their tensor → how far apart
    faults: list[Fault] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    kinks: str = ""
    replayed: int = 0  # operations

    @property
    def parted(self) -> bool:
        """Whether there is a difference that is no rounding."""
        return bool(self.faults)

    @property
    def worst(self) -> float:
        """The furthest that two tensors are apart, in rounding units."""
        return max((max(each.values(), default=0.0) for each in self.units.values()), default=0.0)

    @property
    def verdict(self) -> str:
        """In one line."""
        if self.parted:
            first = self.faults[0]
            return f"parted at step {first.step} in {_names(first)}"
        if self.worst <= EQUAL:
            return f"the same: equal to {self.worst:.2g} rounding units in {len(self.steps)} steps"
        growth = self.growth
        faster = f", {growth:.3g} times as far each step" if growth else ""
        drift = f"rounding drifts to {self.worst:.2g} units{faster}"
        return f"right: every step follows from the one before; {drift}"

    @property
    def described(self) -> list[str]:
        """Both recordings, a line each."""
        both = (("mine", self.mine), ("theirs", self.theirs))
        return [f"{whose}: {_described(recording)}" for whose, recording in both]

    def where(self, fault: Fault) -> str:
        """Step, tensor and index."""
        index = fault.difference.index
        return f"step {fault.step}, {_names(fault)}{list(index) if index else ''}"

    def numbers(self, fault: Fault) -> str:
        """What stands there, and what should."""
        d = fault.difference
        shown = f"yours {d.scratch:.9g}, should be {d.torch:.9g}, {d.units:.2g} rounding units"
        return d.problem or shown

    @property
    def growth(self) -> float:
        """By how much the distance grows from step to step, where it does."""
        far = [max(each.values(), default=0.0) for each in self.units.values()]
        steps = [step for step, each in zip(self.units, far, strict=True) if each > 0 and np.isfinite(each)]
        logs = [np.log(each) for each in far if each > 0 and np.isfinite(each)]
        return float(np.exp(np.polyfit(steps, logs, 1)[0])) if len(steps) > 2 else 0.0

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self.described
        how = {pair.how for pair in self.pairing.pairs}
        pairs = ", ".join(map(str, self.pairing.pairs))
        yield f"{len(self.pairing.pairs)} tensors are paired ({', '.join(sorted(how))}): {pairs}"
        for whose, names in (("mine", self.pairing.only_mine), ("theirs", self.pairing.only_theirs)):
            if names:
                yield f"only {whose}: {', '.join(names)}"
        for name, several in self.pairing.ambiguous.items():
            yield f"which is {name}? --map {name}=… one of {', '.join(several)}"
        if self.assumed:
            yield f"not recorded by mine, and taken from theirs: {', '.join(self.assumed)}"
        yield ""
        yield self.verdict
        for fault in self.faults[:SHOWN]:
            yield from self._told(fault)
        if not self.parted and self.kinks:
            yield self.kinks

    def _told(self, fault: Fault) -> Iterator[str]:
        yield ""
        yield f"{self.where(fault)}: {self.numbers(fault)}"
        before = [
            units
            for step, each in self.units.items()
            for name, units in each.items()
            if (step, self._position(name)) < (fault.step, fault.position)
        ]
        if fault is self.faults[0]:
            yield (
                f"  everything before it is equal, to {max(before):.2g} units"
                if before
                else "  it is the first of all"
            )
        yield f"  {fault.what}"
        for cause in fault.causes:
            yield f"  why: {cause.text}"
            yield from (f"      {line}" for line in cause.diff.splitlines())
        if not fault.causes:
            yield "  why: nothing in the catalogue gives these numbers"

    def _position(self, tensor: str) -> int:
        order = self._order
        return order.get(tensor, len(order))

    @property
    def _order(self) -> dict[str, int]:
        return {pair.theirs: i for i, pair in enumerate(self.pairing.pairs)}

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _names(fault: Fault) -> str:
    return fault.mine if fault.mine == fault.tensor else f"{fault.mine} ({fault.tensor})"


def _described(recording: Recording) -> str:
    about = recording.about
    library = "PyTorch " + about["torch"] if recording.kind == "torch" else "NumPy " + about["numpy"]
    optimizer = f", {about['optimizer']['class']}" if "optimizer" in about else ""
    compiled = "; compiled: the outputs of its modules are not recorded" if about.get("compiled") else ""
    ending = f"; {recording.ending}" if recording.ending else ""
    return f"{recording.folder}, {len(recording.steps)} steps of {library}{optimizer}{compiled}{ending}"


def trace(mine: str | Path, theirs: str | Path, map: Mapping[str, str] | None = None) -> Trace:
    """Compare two recordings, of which the second is the reference

    Args:
        mine: folder that `Recorder` or `record` has written
        theirs: another one
        map: my name → theirs, with .T for a transpose, where names, values and shapes leave it open

    Raises:
        ValueError: a folder that is no whole recording, no step in common, or a name that is not there.
    """
    a, b = Recording(mine), Recording(theirs)
    if a.kind == "torch" and b.kind == "numpy":
        # The operations are known of PyTorch's run alone: it is the reference.
        a, b = b, a
        map = {v.removesuffix(".T"): k + (".T" if v.endswith(".T") else "") for k, v in (map or {}).items()}
    pairing = pair_up(a, b, map)
    runs = Runs(a, b, pairing)
    found = Trace(a, b, pairing, runs.steps)
    for step in runs.steps:
        found.units[step] = _distances(runs, step)
    faults = [*_given(runs), *_replayed(runs, found), *_updated(runs, found), *_jumps(runs, found)]
    found.faults = sorted(faults, key=lambda fault: (fault.step, fault.position))
    found.assumed = sorted(runs.assumed)
    found.kinks = _kinks(runs)
    return found


def _distances(runs: Runs, step: int) -> dict[str, float]:
    """How far each pair is apart, in rounding units of the coarser dtype."""
    return {pair.theirs: _difference(runs, step, pair.theirs).units for pair in runs.pairing.pairs}


def _difference(runs: Runs, step: int, tensor: str, right: Any = None) -> Difference:
    mine = runs.of_mine(step, tensor)
    theirs = runs.of_theirs(step, tensor) if right is None else np.asarray(right)
    if mine is None or theirs is None:
        return Difference(tensor)
    if mine.shape != theirs.shape:
        return Difference(tensor, np.inf, problem=f"yours has the shape {mine.shape}, theirs {theirs.shape}")
    kinds = {mine.dtype.kind, theirs.dtype.kind}
    if "f" not in kinds:
        return compare_arrays(tensor, mine.astype(np.int64), theirs.astype(np.int64))
    dtype = min((a.dtype for a in (mine, theirs) if a.dtype.kind == "f"), key=lambda d: d.itemsize)
    with np.errstate(all="ignore"):
        zero = np.zeros((), dtype)
        return compare_arrays(tensor, mine.astype(dtype) + zero, theirs.astype(dtype) + zero)


# What a run is given: data, first parameters, learning rate, mode


def _given(runs: Runs) -> Iterator[Fault]:
    first = runs.steps[0]
    for pair in runs.pairing.pairs:
        if pair.theirs.endswith(".before"):
            difference = _difference(runs, first, pair.theirs)
            if difference.units > EQUAL:
                mine, theirs = runs.of_mine(first, pair.theirs), runs.of_theirs(first, pair.theirs)
                why = [Cause(_start(mine, theirs))]
                yield Fault(
                    first,
                    -1,
                    pair.theirs,
                    pair.mine,
                    difference,
                    "the runs start from different numbers",
                    why,
                )
        elif pair.theirs.startswith("input") or pair.theirs.startswith("loss.targets"):
            yield from _data(runs, pair.theirs, pair.mine)
    yield from _rates(runs)


def _start(mine: Any, theirs: Any) -> str:
    a, b = np.asarray(mine, float), np.asarray(theirs, float)
    if a.shape == b.shape[::-1] and np.allclose(a.T, b):
        return "yours is the transpose."
    if a.size > 20 and a.std() > 0 and b.std() > 0:
        ratio = a.std() / b.std()
        if 0.8 < ratio < 1.25:
            return (
                "the spread is the same, the numbers are others: another seed, or another order of drawing."
            )
        return f"the spread is {ratio:.3g} times theirs: another initialisation, or another scale of it."
    return "another start."


def _data(runs: Runs, tensor: str, mine: str) -> Iterator[Fault]:
    for step in runs.steps:
        difference = _difference(runs, step, tensor)
        if difference.units > EQUAL:
            a, b = runs.of_mine(step, tensor), runs.of_theirs(step, tensor)
            yield Fault(
                step,
                0,
                tensor,
                mine,
                difference,
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
                return "the same examples, shifted and scaled by feature: one side is standardised otherwise."
    return "other examples: another order of the whole set, or another seed of it."


def _rates(runs: Runs) -> Iterator[Fault]:
    """My learning rate against that of the first group."""
    rates = {}
    for step in runs.steps:
        groups = runs.step(1, step).facts.get("groups")
        if not groups or not runs.rates:
            return
        rates[step] = runs.rate(step, 0, groups[0]["lr"]), groups[0]["lr"]
    wrong = [step for step, (mine, theirs) in rates.items() if not np.isclose(mine, theirs, rtol=1e-6)]
    if not wrong:
        return
    mine, theirs = rates[wrong[0]]
    difference = Difference(
        "lr", abs(mine - theirs) / np.finfo(float).eps / max(theirs, 1e-300), 0, (), mine, theirs
    )
    why = [Cause(_of_rates(list(rates.values())))]
    yield Fault(
        wrong[0], 10**6, "lr", runs.rates[0], difference, "the runs have different learning rates", why
    )  # fmt: skip


def _of_rates(rates: Sequence[tuple[float, float]]) -> str:
    mine, theirs = (np.array(each) for each in zip(*rates, strict=True))
    for shift, when in ((1, "one step late"), (-1, "one step early")):
        a, b = (mine[1:], theirs[:-1]) if shift == 1 else (mine[:-1], theirs[1:])
        if len(a) > 1 and np.allclose(a, b, rtol=1e-6) and np.ptp(b):
            whose = "before" if shift == 1 else "after"
            return f"your schedule is {when}: the rate of a step is theirs of the one {whose}."
    ratio = mine / theirs
    if np.ptp(ratio) <= 1e-6 * abs(ratio[0]):
        return f"yours is {ratio[0]:.6g} times theirs throughout."
    changes = [int((np.abs(np.diff(each)) > 1e-12 * each[0]).sum()) for each in (mine, theirs)]
    times = f"yours changes {changes[0]} times in {len(mine)} steps, theirs {changes[1]} times"
    return f"{times}: decay by step and by epoch, or another decay."


# What follows from a run's own numbers


def _chosen(steps: Sequence[int]) -> list[int]:
    if len(steps) <= REPLAYED:
        return list(steps)
    return sorted(
        {*steps[:20], *(steps[i] for i in np.linspace(0, len(steps) - 1, REPLAYED - 20).astype(int))}
    )


def _replayed(runs: Runs, found: Trace) -> Iterator[Fault]:
    """The results of forward and backward passes that do not follow, each at its first step."""
    if runs.theirs.kind != "torch":
        return
    steps = _chosen(runs.steps)
    held: dict[tuple[int, str], bool] = {}

    def holds(step: int, tensor: str) -> bool:
        if (step, tensor) not in held:
            held[step, tensor] = runs.replay(step, 1).off.get(tensor, np.inf) <= 1
        return held[step, tensor]

    first: dict[str, int] = {}
    for step in steps:
        for tensor, off in runs.replay(step, 0).off.items():
            found.replayed += 1
            if off > 1 and tensor not in first and holds(step, tensor):
                first[tensor] = step
    order = {name: i for i, name in enumerate(runs.step(1, runs.steps[0]).order)}
    for tensor, step in sorted(first.items(), key=lambda item: (item[1], order.get(item[0], 0))):
        replay = runs.replay(step, 0)
        pair = runs.pair_of.get(tensor) or runs.pair_of[f"{tensor}.before"]
        operation, _ = replay.made_by[tensor]
        difference = _difference(runs, step, tensor, replay.expected[tensor])
        why = causes(runs, tensor, [s for s in steps if s >= step], holds)
        what = f"{operation.name} gives something else for your own inputs"
        yield Fault(step, found._position(pair.theirs), tensor, pair.mine, difference, what, why[:SHOWN])


def _updated(runs: Runs, found: Trace) -> Iterator[Fault]:
    """The parameters that do not go where my own gradients bring them."""
    if runs.theirs.kind != "torch":
        return
    right = {o.case.name for o in updates(runs, 1) if max(judged(runs, o, 1).values(), default=np.inf) <= 1}
    wrong: list[tuple[Operation, str]] = []
    for operation in updates(runs, 0):
        if operation.case.name not in right:
            continue
        off = judged(runs, operation, 0)
        found.replayed += len(off)
        if bad := [result for result, units in off.items() if units > 1]:
            wrong.append((operation, bad[0]))
    if not wrong:
        return
    operation, result = min(wrong, key=lambda each: each[0].outputs[each[1]][0])
    step, tensor = operation.outputs[result]
    pair = runs.pair_of.get(tensor) or runs.pair_of[f"{tensor}.before"]
    difference = _difference(runs, step, tensor, operation.expected()[result])
    why = update_causes(runs, [each for each, _ in wrong])
    rule = operation.name.partition("(")[2][:-1]
    what = f"{len(wrong)} of {len(right)} parameters do not go where {rule} brings them by your own gradients"
    yield Fault(step, found._position(pair.theirs), tensor, pair.mine, difference, what, why[:SHOWN])


def _jumps(runs: Runs, found: Trace) -> Iterator[Fault]:
    """Where nothing can be replayed: what is suddenly a thousand times as far apart as anything before."""
    known: set[str] = set()
    if runs.theirs.kind == "torch":
        known = {t for step in _chosen(runs.steps) for t in runs.replay(step, 0).off}
        known |= {o.case.name for o in updates(runs, 0)}
        known |= {pair.theirs for pair in runs.pairing.pairs if pair.theirs.endswith(".before")}
    furthest = 1.0
    for step in runs.steps:
        for pair in runs.pairing.pairs:
            units = found.units[step][pair.theirs]
            given = pair.theirs.startswith(("input", "loss.targets"))
            if units > JUMP * furthest and pair.theirs not in known and not given:
                difference = _difference(runs, step, pair.theirs)
                what = "it can not be computed from what is recorded; all before it is as good as equal"
                yield Fault(step, found._position(pair.theirs), pair.theirs, pair.mine, difference, what)
                return
            if np.isfinite(units):
                furthest = max(furthest, units)


def _kinks(runs: Runs) -> str:
    """The first step in which a ReLU lets something through in one run only."""
    if runs.theirs.kind != "torch":
        return ""
    relus = [name for name, of in runs.theirs.about.get("modules", {}).items() if of["class"] == "ReLU"]
    for step in runs.steps:
        for name in relus:
            a, b = (get(step, f"{name}.output") for get in (runs.of_mine, runs.of_theirs))
            if a is not None and b is not None and (flipped := int(((a > 0) != (b > 0)).sum())):
                share = f"{flipped} of {a.size} units of {name}"
                return f"at step {step} {share} are on the other side of the ReLU's kink"
    return ""
