"""A NumPy recording, read as PyTorch would have recorded the same training

PyTorch's recording says which operations there were; of a NumPy one they are found in its numbers (see
`operations` and `inferred_rule`). Its arrays then have PyTorch's names, and lie as PyTorch's do: z1 = x·W1 +
b1 is a module z1 with z1.weight, z1.bias and z1.output. What is in none of them keeps its own name.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from compare.recording.cause import number
from compare.recording.inferred_rule import Moved, Rule, rules, started
from compare.recording.numbers import Numbers, Ref, Values
from compare.recording.operations import Operations
from compare.recording.pairing import Pairing, gradient_of
from compare.recording.replay import RATES, Replay, Runs
from compare.recording.store import Recording, Step


class Inferred(Recording):
    """A recording whose operations were found in its numbers."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.numbers = Numbers(Recording(folder))
        self.operations = Operations(self.numbers)
        self.operations.find()
        self.refs: dict[str, Ref] = dict(self.operations.refs)
        self.start: dict[str, np.ndarray] = {}
        self.rules: list[Rule] = []
        self.about = {**self.about, "modules": self.modules}
        self._parameters()
        self._gradients()
        self._update()
        used = {ref.own for ref in self.refs.values() if not ref.shift}
        self.refs |= {n: Ref(n) for n in self.numbers.order if n not in used and n not in self.refs}

    @property
    def called(self) -> Mapping[str, str]:
        """Its own names."""
        return {name: _called(ref) for name, ref in self.refs.items()}

    @property
    def turned(self) -> Mapping[str, bool]:
        """Which of its arrays lie otherwise."""
        return {name: ref.turned for name, ref in self.refs.items()}

    @cached_property
    def computed_from(self) -> Mapping[str, np.ndarray]:
        """θ₀ = θ₁ − Δθ₁, so that even a 0 is rounded in the last digits of θ₁."""
        first = self.step(self.steps[0])
        names = {name.removesuffix(".before"): start for name, start in self.start.items()}
        return {name: np.abs(start) + np.abs(first[name]) for name, start in names.items()}

    @property
    def described(self) -> str:
        """What it computes, as far as that is known."""
        words = dict(self.called)
        parts = []
        for call in self.operations.calls:
            kind = call.get("loss") or self.modules[call["module"]]["class"]
            made = f"{kind} of {' and '.join(words[name] for name in call['inputs'])}"
            output = call.get("output", "loss")
            if output in words:
                parts.append(f"{words[output]} = {made}")
            else:  # not recorded
                words[output] = f"({made})"
        for rule in self.rules:
            options = ", ".join(f"{key} = {number(value)}" for key, value in rule.options.items())
            parameters = ", ".join(self.refs[name].own for name in rule.of)
            parts.append(f"{rule.optimizer}{f' with {options}' if options else ''} moves {parameters}")
        if not parts:
            return "of theirs no operation is known: nothing that it recorded follows from the rest of it"
        return f"what theirs computes, by its own numbers: {'; '.join(parts)}"

    @property
    def modules(self) -> Mapping[str, Any]:
        """As in a recording of PyTorch."""
        return self.operations.modules

    def step(self, step: int) -> Step:
        """One, under PyTorch's names."""
        near = {n - step: Recording.step(self, n) for n in (step - 1, step, step + 1) if n in self._paths}
        own = near[0]
        read, dtypes, sampled = dict[str, np.ndarray](), dict[str, str](), dict[str, Any]()
        for name in self._order():
            ref = self.refs.get(name)
            of = near.get(ref.shift) if ref else None
            if ref is None or of is None or ref.own not in of:
                if name in self.start and step == self.steps[0]:
                    read[name], dtypes[name] = self.start[name], str(self.start[name].dtype)
                continue
            array = of[ref.own]
            read[name] = array if ref == Ref(name) else ref.lying(array)
            dtypes[name] = of.dtype(ref.own)
            if ref.own in of.sampled:
                sampled[name] = of.sampled[ref.own]
        for module in self.operations.tracked:
            read[f"{module}.num_batches_tracked"] = np.array(step + 1)
        facts = {**own.facts, "calls": self.operations.calls, "groups": self._groups(own)}
        return Step(own.path, step, list(read), sampled, facts, read, dtypes, own.pairs)

    def _groups(self, step: Step) -> list[dict[str, Any]]:
        said = self._rate_name
        groups = []
        for rule in self.rules:
            rate = rule.rates[step.number] if step.number < len(rule.rates) else np.nan
            if len(set(rule.rates)) == 1:
                rate = rule.rates[0]
            rate = float(step[said]) if said else rate
            groups.append({"lr": rate, "decoupled_weight_decay": rule.optimizer == "AdamW", **rule.options})
        return groups

    def _order(self) -> list[str]:
        """What is before the step, then as it was recorded, then what is after it."""
        place = {name: i for i, name in enumerate(self.numbers.order)}
        before = [name for name in (*self.refs, *self.start) if name.endswith(".before")]
        rest = sorted((n for n in self.refs if n not in before), key=lambda n: place[self.refs[n].own])
        after = [name for name in rest if f"{name}.before" in before]
        return [*dict.fromkeys(before), *(name for name in rest if name not in after), *after]

    def _parameters(self) -> None:
        """Each as it is before a step and after it: what is recorded of the one is the other of the next."""
        for name, ref in self.operations.params.items():
            self._parameter(name, ref)
        for name in self.numbers.floats:  # of no operation that is known
            taken = {ref.own for ref in self.refs.values()}
            if name not in taken and any(name in gradient_of(other) for other in self.numbers.names):
                self._parameter(name, Ref(name))

    def _parameter(self, name: str, ref: Ref) -> None:
        before, after = ref, Ref(ref.own, ref.turned, ref.shift + 1, ref.flat)
        other = self._copy(before), self._copy(after)
        self.refs[f"{name}.before"] = other[0] if before.shift and other[0] else before
        self.refs[name] = other[1] if after.shift and other[1] else after

    def _copy(self, ref: Ref) -> Ref | None:
        """The same numbers as another array of the same step."""
        for name in self.numbers.floats:
            other = Ref(name, ref.turned, 0, ref.flat)
            if name != ref.own and self.numbers.same(self.numbers.of(ref), self.numbers.of(other)):
                return other
        return None

    def _gradients(self) -> None:
        """Those that follow from the loss, as they are or still to be divided."""
        if not any("loss" in call for call in self.operations.calls):
            return
        runs = Runs(self, self, Pairing())
        replays = {step: Replay(runs, step, 1) for step in self.numbers.steps}
        taken = {ref.own for ref in self.refs.values()}
        wanted = dict.fromkeys(n for replay in replays.values() for n in replay.filled if n.endswith(".grad"))
        for name in reversed(wanted):  # the last say most: behind a ReLU a dropout's mask is not seen
            made = [replays[step].filled.get(name) for step in self.numbers.steps]
            hidden = self._hidden_by_dropout(name.removesuffix(".grad"))
            for ref in self._gradients_like(name, taken):
                given = self.numbers.of(ref)
                if hidden:
                    given = [_but(a, x) for a, x in zip(given, hidden, strict=True)]
                if self.numbers.same(given, made):
                    self.refs[name] = ref
                    taken.add(ref.own)
                    break

    def _hidden_by_dropout(self, tensor: str) -> Values:
        """What a dropout is given: where it is 0, its mask is not seen."""
        for call in self.operations.calls:
            dropout = self.modules.get(call.get("module", ""), {}).get("class") == "Dropout"
            if dropout and call["inputs"] == [tensor]:
                return self.operations.values[tensor]
        return []

    def _gradients_like(self, name: str, taken: set[str]) -> Iterator[Ref]:
        of = name.removesuffix(".grad")
        like = self.refs.get(f"{of}.before") or self.refs.get(of)
        turned = like.turned if like else self.operations.turned.get(of, False)
        flat = bool(like and like.flat)
        parameter = f"{of}.before" in self.refs
        for by in ("",) if parameter else ("", "rows", "size"):
            for own in self.numbers.floats:
                if own not in taken:
                    yield Ref(own, turned, 0, flat, by=by)

    def _update(self) -> None:
        steps = self.numbers.steps
        if steps[0] != 0 or steps[:2] != list(range(min(2, len(steps)))):
            return
        count = next((i for i, step in enumerate(steps) if step != i), len(steps))
        moved: list[Moved] = []
        rates, known = self._said(count), list[Rule]()
        names = [n for n in self.refs if f"{n}.before" in self.refs]
        for name in sorted(names, key=lambda n: -self.numbers.raw(self.refs[n].own)[0].size):
            for ref in self._updated_by(name):
                grads = [each for each in self.numbers.of(ref)[:count] if each is not None]
                path = self._moved(name, grads, count)
                if len(grads) == count and (found := rules([path], rates, known)):
                    self.refs[f"{name}.grad"] = ref
                    moved.append(path)
                    rates, known = rates or found[0].rates, [*known, *found]
                    break
        if not moved:
            return
        self.rules = rules(moved, rates, known)
        classes = {rule.optimizer for rule in self.rules}
        groups = [list(rule.of) for rule in self.rules]
        self.about["optimizer"] = {"class": "Adam" if len(classes) > 1 else classes.pop(), "groups": groups}
        for rule in self.rules:
            for path in moved:
                if path.name in rule.of and path.before[0] is None:
                    start = started(rule, path)
                    if start is not None:
                        dtype = self.numbers.raw(self.refs[path.name].own)[0].dtype
                        self.start[f"{path.name}.before"] = start.astype(dtype)

    def _moved(self, name: str, grads: list[np.ndarray], count: int) -> Moved:
        before, after = (self.numbers.of(self.refs[n])[:count] for n in (f"{name}.before", name))
        dtype = self.numbers.raw(self.refs[name].own)[0].dtype
        return Moved(name, before, after, grads, float(np.finfo(dtype).eps))

    def _updated_by(self, name: str) -> list[Ref]:
        """The gradients that it may be updated by: what its name says, what follows from the loss."""
        ref, from_loss = self.refs[name], self.refs.get(f"{name}.grad")
        shape = self.numbers.shape(ref.own)
        taken = {r.own for n, r in self.refs.items() if n != f"{name}.grad"}
        like = [n for n in self.numbers.floats if self.numbers.shape(n) == shape and n not in taken]
        named = [Ref(own, ref.turned, 0, ref.flat) for own in like if ref.own in gradient_of(own)]
        return [*named, from_loss] if from_loss else named

    @property
    def _rate_name(self) -> str:
        """What the learning rate is recorded as, if it is."""
        names = (n for n in self.numbers.order if n.lower() in RATES and self.numbers.shape(n) == ())
        return next(names, "")

    def _said(self, count: int) -> Sequence[float] | None:
        name = self._rate_name
        return [float(rate) for rate in self.numbers.raw(name)[:count]] if name else None


def _but(array: np.ndarray | None, x: np.ndarray | None) -> np.ndarray | None:
    """Without what is where x is 0."""
    if array is None or x is None or array.shape != x.shape:
        return None
    return np.where(x == 0, 0.0, array)


def _called(ref: Ref) -> str:
    when = {-1: " of the step before", 1: " of the step after"}
    return ref.own + when.get(ref.shift, "")
