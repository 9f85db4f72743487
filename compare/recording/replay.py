"""Each operation of a step by itself: from the numbers that a run recorded, what should have come out of it.

PyTorch's recording says which operations there were: modules, a loss function, an optimizer. Each one becomes
a case of its component, on the recorded inputs of either run, and `scratch` computes in float64 what follows.
So an error is found where it is made: what came in is taken as it was. An operation counts only if PyTorch's
own numbers follow from it, which a penalty in the loss, say, or a tensor that is used twice, rule out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from compare import cases, run
from compare.cases.limits import unsigned_zeros
from compare.component import Case, Component
from compare.measure import compare_arrays
from compare.recording.calls import Between, between, understood
from compare.recording.pairing import Pairing
from compare.recording.store import Recording, Step

ALLOWED = 64.0  # rounding units, and four budgets: what one operation may be off
RATES = ("lr", "learning_rate", "alpha", "eta")
MOST_STEPS = 20  # of an optimizer, replayed from its start


@dataclass(frozen=True)
class Operation:
    """One operation: a case of a component, and which of its results is which tensor."""

    name: str  # 0 (Linear), loss (cross_entropy), 0.weight (Adam)
    component: Component
    case: Case
    outputs: Mapping[str, tuple[int, str]]  # result → step and tensor
    chosen: np.ndarray | None = None  # the elements of each tensor that it is of, where it is not all
    coarse: np.ndarray | None = None  # of parameters: the magnitude of what their start was computed from

    def expected(self, functions: Mapping[str, Callable] | None = None, **options: Any) -> Any:
        """What comes out: by our own functions, or by others, with other options if they are given."""
        case = replace(self.case, options={**self.case.options, **options})
        return run.run_scratch(self.component, case, functions)

    def of(self, array: np.ndarray | None) -> np.ndarray | None:
        """The elements of a tensor that the operation is of."""
        return array if array is None or self.chosen is None else array.ravel()[self.chosen]

    @cached_property
    def beginning(self) -> "Operation | None":
        """Of the steps of an optimizer those until two results are recorded; None, if these are all."""
        first = dict(list(self.outputs.items())[:2])
        count = max(int(result.partition(".")[0].removeprefix("step")) for result in first)
        rates = self.case.options["rates"]
        if count >= len(rates):
            return None
        case = self.case.but(self.name, {"grads.0": self.case["grads.0"][:count]}, rates=rates[:count])
        return replace(self, case=case, outputs=first)

    @cached_property
    def scales(self) -> Mapping[str, Any]:
        """In which its rounding units are counted."""
        with np.errstate(all="ignore"):
            scales = self.component.magnitude(self.case)
        coarse = self.of(self.coarse)
        return scales if coarse is None else {name: scales[name] + coarse for name in self.outputs}


class Runs:
    """Two recordings and their pairs: my numbers by PyTorch's names, lying as PyTorch's do."""

    def __init__(self, mine: Recording, theirs: Recording, pairing: Pairing) -> None:
        self.mine, self.theirs, self.pairing = mine, theirs, pairing
        both = set(theirs.steps)
        self.steps = [step for step in mine.steps if step in both]
        self.pair_of = {pair.theirs: pair for pair in pairing.pairs}
        order = mine.step(self.steps[0]).order
        self.rates = [name for name in order if name.lower() in RATES]  # my learning rate
        self.assumed: set[str] = set()  # what was not recorded, and taken from theirs
        self._opened: dict[tuple[int, int], Step] = {}
        self._replays: dict[tuple[int, int, str], Replay] = {}
        self._between: Between | None = None
        self.undivided = ""  # by what my gradients of outputs are still to be divided, as in a course

    def calls(self, step: int) -> list[Mapping[str, Any]]:
        """Those of their step, and of functions between modules."""
        calls = self.step(1, step).facts.get("calls", ())
        if self._between is None:
            self._between = between(
                calls, self.step(1, step).order, lambda name: self.of_theirs(step, name), _activated
            )
        return self._between.calls(calls)

    def step(self, side: int, step: int) -> Step:
        """A step of mine (0) or theirs (1); the last few stay open."""
        if (side, step) not in self._opened:
            if len(self._opened) > 2 * MOST_STEPS + 8:
                self._opened.clear()
            self._opened[side, step] = (self.mine, self.theirs)[side].step(step)
        return self._opened[side, step]

    def replay(self, step: int, side: int) -> "Replay":
        """A step's operations on one run's numbers; kept."""
        asked = step, side, self.undivided
        if asked not in self._replays:
            self._replays[asked] = Replay(self, step, side)
        return self._replays[asked]

    def of(self, side: int, step: int, name: str) -> np.ndarray | None:
        """A tensor of mine (0) or theirs (1), by its name in theirs."""
        return self.of_theirs(step, name) if side else self.of_mine(step, name)

    def own_start(self, parameter: str) -> bool:
        """Whether I have recorded what a parameter was before the first step."""
        return self._paired(self.steps[0], f"{parameter}.before") is not None

    def of_theirs(self, step: int, name: str) -> np.ndarray | None:
        """A tensor of theirs."""
        return self._of(1, step, name)

    def of_mine(self, step: int, name: str) -> np.ndarray | None:
        """A tensor of mine; where it is not recorded, what else says it

        A parameter before an update is what it was after the one before, and the other way round; before the
        first one, and of the data, it is taken from theirs.
        """
        found = self._paired(step, name)
        if found is not None:
            return found
        parameter, before, _ = name.partition(".before")
        if before:
            found = self._paired(step - 1, parameter) if step - 1 in self.steps else None
            if found is None and step == self.steps[0] and parameter in self.pair_of:
                found = self._assumed(step, name)
        elif f"{name}.before" in self.pair_of:
            found = self._paired(step + 1, f"{name}.before") if step + 1 in self.steps else None
        elif name.startswith(("input", "loss.targets", "loss.weight", "loss.pos_weight")):
            found = self._assumed(step, name)
        return found

    def gradient(self, step: int, side: int, parameter: str) -> np.ndarray | None:
        """That of a parameter: recorded, or what follows."""
        found = self.of(side, step, f"{parameter}.grad")
        return self.replay(step, side).get(f"{parameter}.grad") if found is None else found

    def training(self, step: int, side: int, call: Mapping[str, Any]) -> bool:
        """The mode that a module is called in: of mine, where PyTorch has recorded it."""
        pair = self.pair_of.get(call["output"]) if side == 0 and "output" in call else None
        calls = self.step(0, step).facts.get("calls", ()) if pair else ()
        own = [each for each in calls if pair and each.get("output") == pair.mine and "training" in each]
        return bool((own or [call])[0].get("training", True))

    def coarser(self, step: int, side: int, tensor: str) -> float:
        """How many rounding units of the array are one of the recorded dtype: of bfloat16, 65536."""
        name: str | None = tensor
        if side == 0:
            pair = self.pair_of.get(tensor) or self.pair_of.get(f"{tensor}.before")
            name = pair.mine if pair else None
        opened = self.step(side, step)
        dtype = opened.dtype(name) if name is not None and name in opened else ""
        return {"bfloat16": 2.0**16, "float16": 2.0**13}.get(dtype, 1.0)

    def position(self, tensor: str) -> int:
        """Of one of their tensors, in the order of computation."""
        order = self.step(1, self.steps[0]).order
        return order.index(tensor) if tensor in order else len(order)

    def number(self, step: int, name: str) -> float | None:
        """One of mine that is a single number, by my own name."""
        found = self._of(0, step, name)
        return found.item() if found is not None and found.size == 1 else None

    def rate(self, step: int, side: int, theirs: float) -> float:
        """The learning rate: mine, if it is recorded, or theirs."""
        mine = None if side else next((self.number(step, name) for name in self.rates), None)
        return theirs if mine is None else mine

    def _paired(self, step: int, name: str) -> np.ndarray | None:
        pair = self.pair_of.get(name)
        found = None if pair is None else self._of(0, step, pair.mine)
        theirs = self._of(1, step, name)
        if pair is None or found is None or theirs is None:
            return None
        found = pair.as_theirs(found, theirs.shape)
        if self.undivided and name.endswith(".grad") and f"{name[:-5]}.before" not in self.step(1, step):
            return found / self.sizes(step)[self.undivided]
        return found

    def sizes(self, step: int) -> dict[str, int]:
        """What a mean may be over, by what the loss of a step is given."""
        for call in self.step(1, step).facts.get("calls", ()):
            if "loss" in call:
                x = self.of_theirs(step, call["inputs"][0])
                if x is not None and x.ndim:
                    each = x.size // max(len(x), 1)
                    return {"the batch": len(x), "all elements": x.size, "the outputs": each}
        return {"the batch": 1, "all elements": 1, "the outputs": 1}

    def find_convention(self) -> None:
        """Whether my gradients become means with those of the parameters only: dZ = A − Y, dW = dZ·Aᵀ/m

        They do if less is wrong then.
        """
        wrong: dict[str, int] = {}
        for self.undivided in ("", "the batch", "all elements"):
            offs = [self.replay(step, 0).off for step in self.steps[:2]]
            wrong[self.undivided] = sum(off > 1 for each in offs for off in each.values())
            if not wrong[self.undivided]:
                return
        self.undivided = min(wrong, key=lambda name: wrong[name])

    def _of(self, side: int, step: int, name: str) -> np.ndarray | None:
        return self.step(side, step).get(name)

    def _assumed(self, step: int, name: str) -> np.ndarray | None:
        found = self.of_theirs(step, name)
        if found is not None:
            self.assumed.add(name)
        return found


@cache
def components() -> Mapping[str, Component]:
    """All of them, by name."""
    return cases.all_components()


def _activated(component: str, x: np.ndarray) -> Any:
    case = Case("", {"x": x.astype(np.float64), "dy": np.zeros(x.shape)}, dtype=np.float64, finite=False)
    return run.run_scratch(components()[component], case)["output"]


@dataclass(frozen=True)
class Change:
    """What one operation is replayed with instead: other functions of scratch, other options."""

    operation: str
    functions: Mapping[str, Callable] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Replay:
    """Forward and backward passes of one step, on one run's numbers (mine: 0, theirs: 1)

    What the run did not record is filled in with what follows. `off` says of each recorded result how far it
    is from that, in what one operation may be off; `made_by` which operation it is of, and which result.
    """

    runs: Runs
    step: int
    side: int
    change: Change | None = None
    off: dict[str, float] = field(default_factory=dict)
    made_by: dict[str, tuple[Operation, str]] = field(default_factory=dict)
    expected: dict[str, np.ndarray] = field(default_factory=dict)  # of what is recorded
    filled: dict[str, np.ndarray] = field(default_factory=dict)
    filling: set[str] = field(default_factory=set)  # the operations that something was filled in from
    operations: dict[str, list[Operation]] = field(default_factory=dict)  # by name: its two passes

    def __post_init__(self) -> None:
        calls = self.runs.calls(self.step)
        for call in calls:
            self._run(call, backward=False)
        for call in reversed(calls):
            self._run(call, backward=True)

    def get(self, name: str) -> np.ndarray | None:
        """A tensor: recorded, or what follows; None for one of which a sample alone is known."""
        recorded = self.recorded(name)
        return self.filled.get(name) if recorded is None else recorded

    def recorded(self, name: str) -> np.ndarray | None:
        """A tensor as this run has recorded it, the whole of it."""
        if name in self.runs.step(1, self.step).sampled:
            return None
        return self.runs.of(self.side, self.step, name)

    def _run(self, call: Any, *, backward: bool) -> None:
        found = understood(call, self, backward=backward)
        if found is None or found.component not in components():
            return
        name = found.name
        made = {result: (self.step, tensor) for result, tensor in found.outputs.items()}
        operation = Operation(name, components()[found.component], found.case(), made)
        self.operations.setdefault(name, []).append(operation)
        change = self.change if self.change and self.change.operation == name else Change(name)
        try:
            expected = operation.expected(change.functions, **change.options)
        except Exception:  # shapes that do not fit, an edited version that breaks down
            return
        for result, tensor in found.outputs.items():
            recorded = self.recorded(tensor)
            if recorded is not None:
                self.off[tensor] = units(operation, result, expected[result], recorded)
                self.off[tensor] /= self.runs.coarser(self.step, self.side, tensor)
                self.made_by[tensor] = operation, result
                self.expected[tensor] = np.asarray(expected[result])
                continue
            self.filling.add(name)
            # The gradient of what is used twice is a sum.
            self.filled[tensor] = expected[result] + (self.filled.get(tensor, 0) if backward else 0)


# How far what was recorded is from what follows


def units(operation: Operation, result: str, expected: Any, recorded: np.ndarray) -> float:
    """In rounding units of the recorded dtype, over what one operation may be off: above 1 it is an error."""
    dtype = recorded.dtype if recorded.dtype.kind == "f" else np.dtype(np.float64)
    expected = np.asarray(expected)
    if expected.shape != recorded.shape:
        if expected.size not in (1, recorded.size) or (
            squeezed(expected) != squeezed(recorded) and expected.size > 1
        ):
            return np.inf
        expected = expected.reshape(recorded.shape if expected.size > 1 else ()) + np.zeros(recorded.shape)
    with np.errstate(all="ignore"):
        narrow = unsigned_zeros(np.asarray(expected.astype(dtype)))
        recorded = unsigned_zeros(recorded.astype(dtype))
        if recorded.tobytes() == narrow.tobytes():  # half of them: no scale has to be computed
            return 0.0
        found = compare_arrays(result, recorded, narrow, operation.scales.get(result))
        allowed = max(ALLOWED, 4 * operation.component.budget.allowed(operation.case, "cpu"))
    return found.units / allowed


def squeezed(array: np.ndarray) -> tuple[int, ...]:
    """Its shape without axes of length 1."""
    return tuple(n for n in array.shape if n != 1)
