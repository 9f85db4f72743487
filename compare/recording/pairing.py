"""Which tensor of one recording is which of another.

In this order: what the map says; equal names; equal values in the first steps, whichever way a matrix lies;
what a name says of one that is paired already (W1 is fc1.weight: dW1 is its gradient, b1 its bias); the only
shape that fits. Where several fit equally well, none is taken.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from compare.recording.calls import ACTIVATIONS, NORMALISATIONS
from compare.recording.store import Recording, RecordingError, Step

FIRST = 3  # steps whose values are looked at
CLOSE = 1e-2  # distance, in the size of the tensor, up to which values may say that two are the same
CLEARLY = 10.0  # times as far away is any other
SAME = 1e-5
USUAL = {  # what people call what PyTorch has no name for
    "loss": ("loss", "cost", "j", "l", "losses", "costs"),
    "input": ("x", "inputs", "input", "xb", "x_batch", "batch_x", "a0"),
    "loss.targets": ("y", "targets", "target", "labels", "t", "yb", "y_batch", "batch_y", "y_true"),
}
GRADIENT = (
    r"[dg∂]_?(.+)",
    r"(?:del|nabla)_?(.+)",
    r"grad(?:s|ient|ients)?[_.]?d?(.+)",
    r"(.+)[_.](?:g|grad|gradient)",
)
NUMBERED = {  # W1, z1, a1, … → of modules of which classes what
    "z": (("Linear",), "output"),
    "w": (("Linear",), "weight"),
    "b": (("Linear",), "bias"),
    "a": (tuple(ACTIVATIONS), "output"),
    "h": (tuple(ACTIVATIONS), "output"),
    **dict.fromkeys(("d", "drop", "dropout"), (("Dropout",), "output")),
    **dict.fromkeys(("n", "bn", "ln", "norm"), (tuple(NORMALISATIONS), "output")),
}
BIAS = (("W", "b"), ("w", "b"), ("weight", "bias"), ("kernel", "bias"), ("gamma", "beta"))
RUNNING = {  # an average of which, by its name → PyTorch's
    r"(run|mov|avg|ema).*mean|mean_?(run|mov|avg|ema)": "running_mean",
    r"(run|mov|avg|ema).*var|var(iance)?_?(run|mov|avg|ema)": "running_var",
}


@dataclass(frozen=True)
class Pair:
    """Two names for one tensor, and how that is known; `turned`: mine is the transpose."""

    mine: str
    theirs: str
    how: str
    turned: bool = False

    def as_theirs(self, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """My array, lying as theirs does."""
        array = array.T if self.turned else array
        return array if array.shape == shape else array.reshape(shape)

    def __str__(self) -> str:
        return f"{self.mine} = {self.theirs}{'.T' if self.turned else ''}"


@dataclass
class Pairing:
    """What is paired, and what is not."""

    pairs: list[Pair] = field(default_factory=list)
    only_mine: list[str] = field(default_factory=list)
    only_theirs: list[str] = field(default_factory=list)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)  # mine → theirs that fit equally well

    def of(self, theirs: str) -> Pair | None:
        """The pair of one of their tensors."""
        return next((pair for pair in self.pairs if pair.theirs == theirs), None)


def pair_up(mine: Recording, theirs: Recording, given: Mapping[str, str] | None = None) -> Pairing:
    """Pair what two recordings have at the steps that both have

    Raises:
        RecordingError: no step in common, or a map that names what is not there.
    """
    common = [step for step in mine.steps if step in set(theirs.steps)]
    if not common:
        raise RecordingError(
            f"{mine.folder} and {theirs.folder}: expected a step that both recorded, got none"
        )
    steps = [(mine.step(s), theirs.step(s)) for s in common[:FIRST]]
    return _Search(steps, theirs).run(given or {})


class _Search:
    def __init__(self, steps: Sequence[tuple[Step, Step]], theirs: Recording) -> None:
        self.steps, self.modules = steps, theirs.about.get("modules", {})
        self.own = {own: name for name, own in theirs.called.items()}  # what theirs calls it → its name here
        self.turned = theirs.turned
        a, b = steps[0]
        self.mine, self.theirs = list(a.order), list(b.order)
        self.found = Pairing()

    def run(self, given: Mapping[str, str]) -> Pairing:
        self._given(given)
        everything = set(self.steps[0][0].order)
        for name in list(self.mine):
            theirs = self._of_own_name(name)
            if theirs in self.theirs and (turns := self._turns(name, theirs)):
                turned = min(turns, key=lambda turn: self._distance(name, theirs, turn) or 0.0)
                if gradient_of(name) & everything and self.turned.get(theirs, False) in turns:
                    turned = self.turned.get(theirs, False)  # a wrong one may equal the transpose
                self._take(name, theirs, "same name", turned)
        searches: list[Callable[[], bool]] = [
            lambda: self._by_value(SAME, gradients=False),
            self._by_name,
            self._by_usual_name,
            self._by_number,
            self._by_running,
            lambda: self._by_value(SAME),
            self._by_proportion,
            lambda: self._by_value(CLOSE),
            self._by_shape,
        ]
        while any(search() for search in searches):
            pass
        self.found.only_mine, self.found.only_theirs = self.mine, self.theirs
        self.found.ambiguous = {n: c for n in self.mine if len(c := self._ambiguous(n)) > 1}
        self.found.pairs.sort(key=lambda pair: self.steps[0][1].order.index(pair.theirs))
        return self.found

    def _of_own_name(self, name: str) -> str:
        """Theirs that is called so, or the same of before the step, if that is what mine says."""
        theirs = self.own.get(name, name)
        others = [f"{theirs}.before", theirs.removesuffix(".before")]
        if others[0] not in self.theirs and others[1] == theirs:
            return theirs
        rounding = 16 * max(self._eps(name, 0), self._eps(theirs, 1)) if theirs in self.theirs else 0.0
        for other in (theirs, *others):
            turns = self._turns(name, other) if other in self.theirs else []
            if any((self._distance(name, other, turn) or 0.0) <= rounding for turn in turns):
                return other
        return theirs

    def _given(self, given: Mapping[str, str]) -> None:
        for name, theirs in given.items():
            turned = theirs.endswith(".T") and self.own.get(theirs, theirs) not in self.theirs
            theirs = theirs.removesuffix(".T") if turned else theirs
            theirs = self.own.get(theirs, theirs)
            for side, known in ((name, self.mine), (theirs, self.theirs)):
                if side not in known:
                    raise RecordingError(f"--map {name}={theirs}: expected a recorded name, got {side!r}")
            if turned not in self._turns(name, theirs):
                a, b = (step.shape(n) for step, n in zip(self.steps[0], (name, theirs), strict=True))
                raise RecordingError(f"--map {name}={theirs}: expected shapes that fit, got {a} and {b}")
            self._take(name, theirs, "by the map", turned)

    def _take(self, mine: str, theirs: str, how: str, turned: bool) -> None:
        self.found.pairs.append(Pair(mine, theirs, how, turned))
        self.mine.remove(mine)
        self.theirs.remove(theirs)

    # What fits

    def _turns(self, mine: str, theirs: str) -> list[bool]:
        """As it lies, as its transpose, both or neither: by shape, axes of length 1 apart."""
        a, b = self.steps[0][0].shape(mine), self.steps[0][1].shape(theirs)
        short_a, short_b = ([n for n in shape if n != 1] for shape in (a, b))
        turns = [short_a == short_b, short_a == short_b[::-1]]
        return [turn for turn in (False, True) if turns[turn] and (not turn or len(short_b) > 1)]

    def _distance(self, mine: str, theirs: str, turned: bool) -> float | None:
        """In the first step in which they are not all zeros, in the size of theirs; None if there is none.

        Later steps say less: what parts in one differs in all that follow.
        """
        for a, b in self.steps:
            if mine not in a or theirs not in b:
                continue
            x, y = a[mine].astype(float), b[theirs].astype(float)
            if x.size != y.size:
                return np.inf
            x = Pair(mine, theirs, "", turned).as_theirs(x, y.shape)
            size = np.abs(y[np.isfinite(y)]).max(initial=0)
            if size or x.any():
                far = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0, np.abs(x - y)).max(initial=0)
                return float(far / size) if size and not np.isnan(far) else np.inf
        return None

    def _candidates(self, name: str) -> list[tuple[float, str, bool]]:
        """Those of theirs that are close to it in value, the closest first."""
        found = [
            (distance, theirs, turned)
            for theirs in self.theirs
            for turned in self._turns(name, theirs)
            if (distance := self._distance(name, theirs, turned)) is not None and distance <= CLOSE
        ]
        return sorted(found, key=lambda candidate: candidate[0])

    def _by_value(self, close: float, *, gradients: bool = True) -> bool:
        """The closest; first of what is no gradient by its name, since wrong gradients may equal others."""
        found = False
        everything = set(self.steps[0][0].order)
        for name in list(self.mine):
            if not gradients and gradient_of(name) & everything:
                continue
            candidates = self._candidates(name)
            if candidates and candidates[0][0] <= close:
                best, theirs, turned = candidates[0]
                others = [c for c in candidates[1:] if not self._alike(theirs, c[1]) and c[1] != theirs]
                if best <= SAME and (first := self._first_of(name, candidates)):
                    theirs, turned = first
                    others = []
                rounding = 64 * max(self._eps(name, 0), self._eps(theirs, 1))
                if all(distance > CLEARLY * max(best, rounding) for distance, *_ in others):
                    self._take(name, theirs, "equal values", turned)
                    found = True
        return found

    def _by_proportion(self) -> bool:
        """Equal but for a factor: a sum for a mean, a sign."""
        for name in list(self.mine):
            found = [
                (theirs, turned)
                for theirs in self.theirs
                for turned in self._turns(name, theirs)
                if self._proportional(name, theirs, turned)
            ]
            if found and all(self._alike(found[0][0], theirs) for theirs, _ in found):
                theirs, turned = found[0]
                self._take(name, theirs, "equal but for a factor", turned)
                return True
        return False

    def _proportional(self, name: str, theirs: str, turned: bool) -> bool:
        a, b = self.steps[0]
        x, y = a[name].astype(float), b[theirs].astype(float)
        if (
            x.size != y.size
            or x.size < 3
            or not np.isfinite(x).all()
            or not np.isfinite(y).all()
            or not y.any()
        ):
            return False
        x = Pair(name, theirs, "", turned).as_theirs(x, y.shape)
        factor = (x * y).sum() / (y * y).sum()
        rounding = 64 * max(self._eps(name, 0), self._eps(theirs, 1))
        return bool(
            factor != 0 and np.ptp(y) > 0 and np.abs(x - factor * y).max() <= rounding * np.abs(x).max()
        )

    def _eps(self, name: str, side: int) -> float:
        dtype = self.steps[0][side][name].dtype
        return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0

    def _first_of(self, name: str, candidates: Sequence[tuple[float, str, bool]]) -> tuple[str, bool] | None:
        """Of those that are equal to it, and so to each other, the first; else None."""
        equal = [(theirs, turned) for distance, theirs, turned in candidates if distance <= SAME]
        first, *rest = equal
        return first if all(self._alike(first[0], theirs) for theirs, _ in rest) else None

    def _alike(self, a: str, b: str) -> bool:
        """Whether two of theirs are the same numbers in every step looked at."""
        return all(
            x[a].shape == x[b].shape and np.array_equal(x[a], x[b], equal_nan=True)
            for _, x in self.steps
            if a in x and b in x
        )

    def _by_name(self) -> bool:
        """What a name says of one that is paired already."""
        for pair in list(self.found.pairs):
            parameter = pair.theirs.removesuffix(".before")
            for name in list(self.mine):
                for theirs in self._said(name, pair.mine, parameter):
                    turns = self._turns(name, theirs) if theirs in self.theirs else []
                    if turns:
                        turned = pair.turned if pair.turned in turns else turns[0]
                        self._take(name, theirs, "by its name", turned)
                        return True
        return False

    def _said(self, name: str, paired: str, theirs: str) -> Iterator[str]:
        if paired in gradient_of(name):
            yield f"{theirs}.grad"
        for weight, bias in BIAS:
            if weight in paired and name == paired.replace(weight, bias) and theirs.endswith("weight"):
                yield self._before_or_after(name, theirs.removesuffix("weight") + "bias")

    def _before_or_after(self, name: str, parameter: str) -> str:
        """Of a parameter that has not started from 0, what the first step says."""
        before = f"{parameter}.before"
        if before in self.theirs and parameter in self.theirs:
            first = copy(self)
            first.steps = self.steps[:1]
            as_before, as_after = (
                min(first._distance(name, theirs, turn) or 0.0 for turn in first._turns(name, parameter))
                for theirs in (before, parameter)
            )
            exact = 64 * max(self._eps(name, 0), self._eps(parameter, 1))
            return before if as_before <= exact and as_before < as_after else parameter
        return before if before in self.theirs else parameter

    def _by_usual_name(self) -> bool:
        for theirs, names in USUAL.items():
            for name in list(self.mine):
                if theirs in self.theirs and name.lower() in names and (turns := self._turns(name, theirs)):
                    self._take(name, theirs, "by its name", turns[0])
                    return True
        return False

    def _by_running(self) -> bool:
        """Moving averages of a normalisation, where one alone has that shape."""
        for pattern, what in RUNNING.items():
            named = [name for name in self.mine if re.search(pattern, name.lower())]
            for name in named:
                fitting = [t for t in self.theirs if t.endswith(what) and self._turns(name, t)]
                rivals = [other for other in named if fitting and self._turns(other, fitting[0])]
                if rivals == [name] and len(fitting) == 1:
                    self._take(name, fitting[0], "by its name", False)
                    return True
        return False

    def _by_number(self) -> bool:
        """z1, z2, … are what the first, the second, … linear module gives, W1, W2, … its weights."""
        for kind, (classes, what) in NUMBERED.items():
            modules = [name for name, of in self.modules.items() if of["class"] in classes]
            counted = {f"{kind}{i}": f"{name}.{what}" for i, name in enumerate(modules, start=1)}
            paired = {pair.mine.lower(): pair.theirs.removesuffix(".before") for pair in self.found.pairs}
            if any(paired.get(name, theirs) != theirs for name, theirs in counted.items()):
                continue  # they are counted otherwise
            for name in list(self.mine):
                theirs = counted.get(name.lower(), "")
                if theirs in self.theirs and (turns := self._turns(name, theirs)):
                    theirs = theirs if what == "output" else self._before_or_after(name, theirs)
                    if theirs in self.theirs:
                        self._take(name, theirs, "by its name", turns[0])
                        return True
        return False

    def _by_shape(self) -> bool:
        """Where one parameter alone has that shape: mine, and its gradient as the names say."""
        for name in list(self.mine):
            fitting = [theirs for theirs in self.theirs if self._turns(name, theirs)]
            of = {parameter_of(theirs) for theirs in fitting}
            if len(of) != 1 or not self.steps[0][0].shape(name):
                continue
            parameter = of.pop()
            if f"{parameter}.before" not in self.steps[0][1]:
                continue
            rivals = [other for other in self.mine if self._turns(other, fitting[0])]
            if gradient := [other for other in rivals if gradient_of(other) & {*rivals}]:
                theirs = f"{parameter}.grad"
                name, *more = gradient
            else:
                theirs = self._before_or_after(name, parameter)
                name, *more = rivals
            if not more and theirs in self.theirs:
                turned = self._turns(name, theirs)[0]
                self._take(name, theirs, "the only one of its shape", turned)
                return True
        return False

    def _ambiguous(self, name: str) -> list[str]:
        """Those as close as each other, or else the parameters of its shape: which one, its user must say."""
        close = [theirs for _, theirs, _ in self._candidates(name)]
        if len(close) > 1 or not self.steps[0][0].shape(name):
            return close
        parameters = [theirs for theirs in self.theirs if f"{theirs}.before" in self.steps[0][1]]
        return [theirs for theirs in parameters if self._turns(name, theirs)]


def gradient_of(name: str) -> set[str]:
    """What this may be the gradient of, by its name."""
    found = (re.fullmatch(pattern, name) for pattern in GRADIENT)
    return {match[1] for match in found if match}


def parameter_of(theirs: str) -> str:
    """fc1.weight of fc1.weight.before, of its gradient and of what an optimizer keeps of it."""
    kept = r"\.(before|grad|momentum_buffer|exp_avg|exp_avg_sq|max_exp_avg_sq|square_avg|grad_avg|sum|step)$"
    return re.sub(kept, "", theirs)
