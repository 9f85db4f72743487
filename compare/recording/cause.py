"""Why an operation gives something else: the known variant that turns its inputs into what was recorded.

A cause is named only if it fits to rounding in every step that is looked at. Tried are, in this order: what
needs no catalogue (a factor, a term too many); the component's mistakes and other options; both together, and
two mistakes. It has to explain all results of the operation, the right ones too, or else the wrong ones.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import Mistake
from compare.recording.plain import plain
from compare.recording.replay import Change, Replay, Runs, components, units

MOST = 1500  # candidates that are tried for one operation: a number and no time, so that the answer is one
STEPS = 6  # that a cause must fit
FITS = 1.0  # see `replay.units`
SMALL = tuple(10.0**-k for k in range(1, 17))
SHARES = (0.0, 0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
DECAYS = (0.0, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1)
KNOWN = {  # (component, option, value) → whose default that is
    ("adam", "eps", 1e-7): "the default of Keras and TensorFlow",
    ("rmsprop", "eps", 1e-7): "the default of Keras and TensorFlow",
    ("rmsprop", "alpha", 0.9): "the default of Keras and TensorFlow",
    ("adam", "eps", 1e-6): "BERT's",
    ("batch_norm", "eps", 1e-3): "the default of Keras and TensorFlow",
    ("batch_norm", "momentum", 0.01): "the default of Keras and TensorFlow, 0.99, the other way round",
    ("batch_norm", "momentum", 0.9): "PyTorch's 0.1 the other way round",
    ("layer_norm", "eps", 1e-3): "the default of Keras and TensorFlow",
    ("leaky_relu", "negative_slope", 0.2): "the default of tf.nn.leaky_relu",
    ("leaky_relu", "negative_slope", 0.3): "the default of Keras's LeakyReLU",
}


@dataclass(frozen=True)
class Cause:
    """One that fits: in a sentence, with the changed lines where it is a mistake of the catalogue."""

    text: str
    name: str = ""
    diff: str = ""


@dataclass(frozen=True)
class Candidate:
    """A change of one component's functions, of its options, or of both."""

    component: str
    mistakes: tuple[Mistake, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def functions(self) -> Mapping[str, Callable] | None:
        """Ours after the edits; raises ValueError or SyntaxError where two of them meet."""
        edits = tuple(edit for mistake in self.mistakes for edit in mistake.edits)
        text = components()[self.component].text
        return text.functions(edits) if edits else None

    def cause(self, given: Mapping[str, Any]) -> Cause:
        """In words, with the options of theirs beside."""
        sentences = [f"{mistake.name}: {mistake.explanation}" for mistake in self.mistakes]
        sentences += [_option(self.component, *option, given) for option in self.options.items()]
        edits = tuple(edit for mistake in self.mistakes for edit in mistake.edits)
        text = components()[self.component].text
        name = " and ".join([m.name for m in self.mistakes] + [f"{k} {v}" for k, v in self.options.items()])
        return Cause(" ".join(sentences), name, text.diff(edits) if edits else "")


def _option(component: str, name: str, value: Any, given: Mapping[str, Any]) -> str:
    whose = f" ({KNOWN[component, name, value]})" if (component, name, value) in KNOWN else ""
    theirs = given.get(name, USUAL.get((component, name), "none"))
    return f"yours behaves like {name} = {number(value)}{whose}, theirs has {number(theirs)}."


USUAL: dict[tuple[str, str], Any] = {("batch_norm", "momentum"): 0.1}


def number(value: Any) -> str:
    """As it is written in a program."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(number, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


# Forward and backward passes


def causes(
    runs: Runs, faulty: Sequence[str], steps: Sequence[int], counts: Callable[[int, str], bool]
) -> list[Cause]:
    """Why one operation's results are not what follows from my own numbers

    `faulty` are its wrong results, `steps` those from the first wrong one on; `counts` says whether a result
    can be judged in a step.
    """
    steps = [s for s in steps if faulty[0] in runs.replay(s, 0).expected and counts(s, faulty[0])]
    spread = sorted({steps[i] for i in np.linspace(0, len(steps) - 1, min(STEPS, len(steps))).astype(int)})
    replays = {step: runs.replay(step, 0) for step in spread}
    found = [Cause(text) for text in plain(runs, faulty[0], replays)]
    named = _named(replays, faulty, counts)
    if not named and len(faulty) > 1:  # several faults in one operation
        each = [(_named(replays, [tensor], counts), tensor) for tensor in faulty]
        named = list(dict.fromkeys(cause for causes, _ in each for cause in causes))
    return [*found, *named]


def _named(
    replays: Mapping[int, Replay], faulty: Sequence[str], counts: Callable[[int, str], bool]
) -> list[Cause]:
    """The known variants that explain all of these results."""
    first = next(iter(replays.values()))
    name = first.made_by[faulty[0]][0].name
    every = [t for t, (operation, _) in first.made_by.items() if operation.name == name]
    for tried in [name, *sorted(first.filling - {name})]:
        operation = first.operations[tried][0]
        component, given = operation.component.name, operation.case.options
        options = [Candidate(component, options=o) for o in _other_ways(component, given)]
        # A loss that is right has to stay so: then it is its gradient alone that is wrong.
        right = [t for t, (o, _) in first.made_by.items() if o.name == tried != name and first.off[t] <= 1]
        for tensors in [every, faulty] if len(every) > len(faulty) > 0 else [every]:

            def fits(
                candidate: Candidate, tried: str = tried, tensors: Sequence[str] = (*tensors, *right)
            ) -> bool:
                judge = _alone if tried == name and tried not in first.filling else _whole
                return all(
                    judge(replay, Change(tried, candidate.functions(), candidate.options), t) <= FITS
                    for replay in replays.values()
                    for t in tensors
                    if t in replay.off and counts(replay.step, t)
                )

            if named := search(options, component, fits):
                return [each.cause(given) for each in named]
    return []


def _alone(replay: Replay, change: Change, tensor: str) -> float:
    """How far a result is off with the changed operation, by itself."""
    operation, result = replay.made_by[tensor]
    try:
        expected = operation.expected(change.functions, **change.options)
    except Exception:  # a version that breaks down
        return np.inf
    recorded = replay.recorded(tensor)
    assert recorded is not None
    if result not in expected:
        return np.inf
    coarser = replay.runs.coarser(replay.step, replay.side, tensor)
    return units(operation, result, expected[result], recorded) / coarser


def _whole(replay: Replay, change: Change, tensor: str) -> float:
    """The same, where what the operation gives goes into others before anything is recorded."""
    return Replay(replay.runs, replay.step, 0, change).off.get(tensor, np.inf)


def search(
    options: Sequence[Candidate], component: str, fits: Callable[[Candidate], bool]
) -> list[Candidate]:
    """The candidates that fit, of the simplest kind of which any does

    Of an option that fits with several values (an ε too small to matter) the first value.
    """
    listed = [Candidate(component, (m,)) for m in components()[component].mistakes]
    kinds: list[Iterator[Candidate]] = [
        iter([*listed, *options]),
        (replace(a, options=b.options) for b, a in itertools.product(_usual_first(options), listed)),
        (Candidate(component, (*a.mistakes, *b.mistakes)) for a, b in itertools.combinations(listed, 2)),
    ]
    tried = 0
    for kind in kinds:
        found: dict[Any, Candidate] = {}
        for candidate in kind:
            tried += 1
            key = (*(mistake.name for mistake in candidate.mistakes), *candidate.options)
            try:
                if key not in found and fits(candidate):
                    found[key] = candidate
            except (ValueError, SyntaxError):  # two edits of one place
                continue
            if found and kind is not kinds[0]:
                break
            if tried > MOST:
                return list(found.values())
        if found:
            return list(found.values())
    return []


def _usual_first(options: Sequence[Candidate]) -> list[Candidate]:
    """Somebody's defaults first."""
    return sorted(options, key=lambda c: not all((c.component, *o) in KNOWN for o in c.options.items()))


def _other_ways(component: str, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Other values of its options."""
    ways: dict[str, Sequence[Any]] = {}
    if component in ("batch_norm", "layer_norm", "rms_norm"):
        ways["eps"] = (*SMALL, 0.0)
    if component == "batch_norm":
        ways["momentum"] = (*SHARES[1:], *(round(1 - share, 4) for share in SHARES), 1.0)
    if component == "leaky_relu":
        ways["negative_slope"] = (*SMALL, 0.2, 0.3, 0.25, 0.0)
    if component == "gelu":
        ways["approximate"] = ("none", "tanh")
    if component in ("softmax", "log_softmax"):
        ways["dim"] = (0, 1)
    if "reduction" in given:
        ways["reduction"] = ("mean", "sum")
    if component == "cross_entropy":
        ways["label_smoothing"] = (0.0, 0.01, 0.05, 0.1, 0.2)
    for name, values in ways.items():
        for value in dict.fromkeys(values):
            if value != given.get(name):
                yield {name: value}
