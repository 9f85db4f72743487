"""Where two recorded runs part, by how much, and why."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from compare.recording.cause import Cause, causes
from compare.recording.clip import bound, clipped
from compare.recording.fault import EQUAL, Fault, difference
from compare.recording.given import given
from compare.recording.inferred import Inferred
from compare.recording.masks import masks
from compare.recording.pairing import Pairing, pair_up, parameter_of
from compare.recording.penalty import penalties
from compare.recording.replay import Runs
from compare.recording.rules import judged, updates
from compare.recording.store import Recording
from compare.recording.update_cause import update_causes

JUMP = 1e3  # times as far apart as anything before: a parting, where nothing can be replayed
REPLAYED = 60  # steps, of many
SHOWN = 4  # causes, and faults


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
    inferred: str = ""  # of a reference in NumPy, what it computes
    convention: str = ""
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
        if d.problem:
            return d.problem
        if d.scratch is None:
            return "not recorded by both"
        return f"yours {d.scratch:.9g}, should be {d.torch:.9g}, {d.units:.2g} rounding units"

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
        if self.inferred:
            yield self.inferred
        if self.convention:
            yield self.convention
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
        if fault.also:
            yield f"  so {'is' if len(fault.also) == 1 else 'are'} {', '.join(fault.also)}"
        for cause in fault.causes[:SHOWN]:
            yield f"  why: {cause.text}"
            yield from (f"      {line}" for line in cause.diff.splitlines())
        if more := [cause.name for cause in fault.causes[SHOWN:]]:
            yield f"  the same numbers come from: {', '.join(more)}"
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
    elif b.kind == "numpy":
        b = Inferred(theirs)
    pairing = pair_up(a, b, map)
    runs = Runs(a, b, pairing)
    runs.find_convention()
    found = Trace(a, b, pairing, runs.steps)
    for step in runs.steps:
        found.units[step] = _distances(runs, step)
    faults = [*given(runs), *_replayed(runs, found), *_updated(runs, found)]
    faults += clipped(runs, _chosen(runs.steps))
    faults += penalties(runs, _chosen(runs.steps))
    dropout = any(fault.component == "dropout" for fault in faults)
    # After a mistake in dropout the next masks are others, too.
    faults += [f for f in masks(runs, _chosen(runs.steps)) if not dropout or f.causes[0].name]
    kink, found.kinks = _kinks(runs)
    first = min(((fault.step, fault.position) for fault in faults), default=None)
    explained = {(fault.step, name) for fault in faults for name in (fault.mine, *fault.also)}
    # What comes after a fault may be its consequence.
    faults += [
        jump
        for jump in _jumps(runs, found, kink)
        if first is None or ((jump.step, jump.position) < first and (jump.step, jump.mine) not in explained)
    ]
    faults = _merged(faults)
    found.faults = sorted(faults, key=lambda fault: (fault.step, fault.position))
    if runs.undivided:
        by = runs.undivided
        found.convention = (
            f"your dZ are theirs times {by}, divided out in the parameters' gradients: the same"
        )
    found.assumed = sorted(runs.assumed)
    found.inferred = b.described
    return _by_own_names(found, b.called) if b.called else found


def _by_own_names(found: Trace, called: Mapping[str, str]) -> Trace:
    """With what its user calls the tensors of theirs."""

    def own(name: str) -> str:
        return called.get(name, name)

    pairs = [replace(pair, theirs=own(pair.theirs)) for pair in found.pairing.pairs]
    only = [own(name) for name in found.pairing.only_theirs if " of the step " not in own(name)]
    several = {name: [own(each) for each in fitting] for name, fitting in found.pairing.ambiguous.items()}
    return replace(
        found,
        pairing=Pairing(pairs, found.pairing.only_mine, only, several),
        units={s: {own(n): far for n, far in each.items()} for s, each in found.units.items()},
        faults=[replace(fault, tensor=own(fault.tensor)) for fault in found.faults],
        assumed=[own(name) for name in found.assumed],
    )


def _merged(faults: Sequence[Fault]) -> list[Fault]:
    """One mistake in several layers is one fault: that which explains them all."""
    found: list[Fault] = []
    for fault in sorted(faults, key=lambda fault: (fault.step, fault.position)):
        for i, earlier in enumerate(found):
            both = [cause for cause in earlier.causes if cause in fault.causes]
            named = [cause for cause in both if cause.name] or (
                both if earlier.causes == fault.causes else []
            )
            if named and earlier.component == fault.component:
                plain = [c for c in earlier.causes if not c.name and all(n.name for n in named)]
                found[i] = replace(
                    earlier, causes=[*plain, *named], also=[*earlier.also, fault.mine, *fault.also]
                )
                break
            if earlier.tensor == fault.tensor and earlier.causes and not any(c.name for c in fault.causes):
                break  # something more of what is known already
        else:
            found.append(fault)
    return found


def _distances(runs: Runs, step: int) -> dict[str, float]:
    """How far each pair is apart, in rounding units of the coarser dtype."""
    return {pair.theirs: difference(runs, step, pair.theirs).units for pair in runs.pairing.pairs}


# What follows from a run's own numbers


def _chosen(steps: Sequence[int]) -> list[int]:
    if len(steps) <= REPLAYED:
        return list(steps)
    return sorted(
        {*steps[:20], *(steps[i] for i in np.linspace(0, len(steps) - 1, REPLAYED - 20).astype(int))}
    )


def _replayed(runs: Runs, found: Trace) -> Iterator[Fault]:
    """The results of forward and backward passes that do not follow, each at its first step."""
    steps = _chosen(runs.steps)
    held: dict[tuple[int, str], bool] = {}
    clips = bound(runs, steps, 1) is not None

    def holds(step: int, tensor: str) -> bool:
        if (step, tensor) not in held:
            held[step, tensor] = runs.replay(step, 1).off.get(tensor, np.inf) <= 1
            if clips and tensor.endswith(".grad") and f"{tensor[:-5]}.before" in runs.step(1, step):
                held[step, tensor] = False  # see `clipped`
        return held[step, tensor]

    first: dict[str, int] = {}
    for step in steps:
        for tensor, off in runs.replay(step, 0).off.items():
            found.replayed += 1
            if off > 1 and tensor not in first and holds(step, tensor):
                first[tensor] = step
    by_operation: dict[str, list[str]] = {}
    order = {name: i for i, name in enumerate(runs.step(1, runs.steps[0]).order)}
    for tensor in sorted(first, key=lambda tensor: (first[tensor], order.get(tensor, 0))):
        by_operation.setdefault(runs.replay(first[tensor], 0).made_by[tensor][0].name, []).append(tensor)
    for operation, faulty in by_operation.items():
        tensor, step = faulty[0], first[faulty[0]]
        why = causes(runs, faulty, [s for s in steps if s >= step], holds)
        what = f"{operation} gives something else for your own inputs"
        replay = runs.replay(step, 0)
        component = replay.made_by[tensor][0].component.name
        yield _fault(found, runs, step, faulty, replay.expected[tensor], what, why, component)


def _fault(
    found: Trace, runs: Runs, step: int, tensors: Sequence[str], right: Any, what: str, why: Sequence[Cause],
    component: str,
) -> Fault:  # fmt: skip
    """Of the first of these tensors, which should have been `right`."""
    mine = [(runs.pair_of.get(tensor) or runs.pair_of[f"{tensor}.before"]) for tensor in tensors]
    apart = difference(runs, step, tensors[0], right)
    also = [pair.mine for pair in mine[1:]]
    position = found._position(mine[0].theirs)
    return Fault(step, position, tensors[0], mine[0].mine, apart, what, why, also, component)


def _updated(runs: Runs, found: Trace) -> Iterator[Fault]:
    """The parameters that do not go where my own gradients bring them."""
    right = {o.case.name for o in updates(runs, 1) if max(judged(runs, o, 1).values(), default=np.inf) <= 1}
    wrong: dict[str, str] = {}  # parameter → its first wrong result
    operations, matrices = [], set()
    for operation in updates(runs, 0):
        if operation.case.name not in right:
            continue
        if operation.case["param.0"].ndim > 1:
            matrices.add(operation.case.name)
        off = judged(runs, operation, 0)
        found.replayed += len(off)
        bad = [result for result, units in off.items() if units > 1]
        if bad and not _only_told_otherwise(runs, found, operation.case.name):
            wrong[operation.case.name] = bad[0]
            operations.append(operation)
    for group, why in update_causes(runs, operations) if operations else ():
        first = min(group, key=lambda o: o.outputs[wrong[o.case.name]][0])
        result = wrong[first.case.name]
        step, tensor = first.outputs[result]
        rule = first.name.rpartition("(")[2][:-1]
        share = f"{len(group)} of {len(right)} parameters"
        if matrices and not matrices & wrong.keys():
            share += ", all but the matrices,"
        what = f"{share} do not go where {rule} brings them by your own gradients"
        tensors = [tensor, *(o.case.name for o in group if o is not first)]
        yield _fault(found, runs, step, tensors, first.expected()[result], what, why, rule)


def _only_told_otherwise(runs: Runs, found: Trace, parameter: str) -> bool:
    """Whether a parameter stays the same with a gradient that is not: it has what the optimizer adds, say."""
    steps = _chosen(runs.steps)
    other = any(runs.replay(step, 0).off.get(f"{parameter}.grad", 0.0) > 1 for step in steps)
    return other and all(
        found.units[step].get(name, 0.0) <= EQUAL
        for step in runs.steps
        for name in (parameter, f"{parameter}.before")
    )


def _jumps(runs: Runs, found: Trace, kink: float) -> Iterator[Fault]:
    """Where nothing can be replayed: what is suddenly a thousand times as far apart as anything before

    From the step of a `kink` on, gradients may be others.
    """
    followed, wrong = set[str](), set[str]()  # what follows from mine, and what does not from theirs
    for step in _chosen(runs.steps):
        followed |= runs.replay(step, 0).off.keys()
        wrong |= {tensor for tensor, off in runs.replay(step, 1).off.items() if off > 1}
    known = followed - wrong
    right = {o.case.name for o in updates(runs, 1) if max(judged(runs, o, 1).values(), default=np.inf) <= 1}
    moved = right & {o.case.name for o in updates(runs, 0)}
    largest: dict[str, float] = {}  # so far: what vanishes is what rounding has left
    furthest = 1.0
    for i, step in enumerate(runs.steps):
        for pair in runs.pairing.pairs:
            kind, size = _kind(pair.theirs), _size(runs.of_theirs(step, pair.theirs))
            largest[kind] = max(largest.get(kind, 0.0), size)
        soon = [found.units[each] for each in runs.steps[i : i + 2]]
        for pair in runs.pairing.pairs:
            tensor, parameter = pair.theirs, parameter_of(pair.theirs)
            units = found.units[step][tensor]
            given = tensor.startswith(("input", "loss.targets")) or "num_batches_tracked" in tensor
            given |= tensor.endswith(".before") or pair.mine in runs.rates or tensor in known
            if parameter in moved:
                # What an update brings follows from its gradient. That has to come from somewhere itself;
                # one that leads to the same parameters is told in another way.
                leads = [each.get(name, 0.0) for each in soon for name in (parameter, f"{parameter}.before")]
                given |= not tensor.endswith(".grad") or step >= kink or max(leads) <= JUMP
            if tensor not in known and units > furthest:
                units = difference(runs, step, tensor, scale=largest[_kind(tensor)]).units
            if units > JUMP * furthest and not given:
                apart = difference(runs, step, tensor)
                what = "it can not be computed from what is recorded; all before it is as good as equal"
                yield Fault(step, found._position(tensor), tensor, pair.mine, apart, what)
                return
            if np.isfinite(units):
                furthest = max(furthest, units)


def _kind(tensor: str) -> str:
    """What is of one size: all gradients, or a tensor by itself."""
    return "gradients" if tensor.endswith(".grad") else tensor


def _size(array: np.ndarray | None) -> float:
    return 0.0 if array is None else np.abs(array[np.isfinite(array)]).max(initial=0.0)


def _kinks(runs: Runs) -> tuple[float, str]:
    """The first step in which a ReLU lets something through in one run only; ∞ if there is none."""
    relus = [name for name, of in runs.theirs.about.get("modules", {}).items() if of["class"] == "ReLU"]
    for step in runs.steps:
        for name in relus:
            a, b = (get(step, f"{name}.output") for get in (runs.of_mine, runs.of_theirs))
            if a is not None and b is not None and (flipped := int(((a > 0) != (b > 0)).sum())):
                share = f"{flipped} of {a.size} units of {name}"
                return step, f"at step {step} {share} are on the other side of the ReLU's kink"
    return np.inf, ""
