"""Why an operation gives something else: the known variant that turns its inputs into what was recorded.

A cause is named only if it fits to rounding in every step that is looked at. Tried are, in this order: a
factor; a term too many; the component's mistakes; other options; both together, and two mistakes; and for an
optimizer other rules.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.component import Mistake
from compare.recording.replay import (
    ALLOWED,
    CLASS_OF,
    Change,
    Operation,
    Replay,
    Runs,
    components,
    judged,
    updates,
)

SECONDS = 6.0  # of work, for all pairs of one operation
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
    ("leaky_relu", "negative_slope", 0.2): "the default of older Keras layers",
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
    return f"yours behaves like {name} = {_number(value)}{whose}, theirs has {_number(theirs)}."


USUAL: dict[tuple[str, str], Any] = {("batch_norm", "momentum"): 0.1}


def _number(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_number, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)


# Forward and backward passes


def causes(runs: Runs, tensor: str, steps: Sequence[int], held: Callable[[int, str], bool]) -> list[Cause]:
    """Why a tensor of mine is not what follows from my own numbers; `held`: whether it counts in a step."""
    steps = [s for s in steps if tensor in runs.replay(s, 0).expected and held(s, tensor)]
    spread = sorted({steps[i] for i in np.linspace(0, len(steps) - 1, min(STEPS, len(steps))).astype(int)})
    replays = {step: runs.replay(step, 0) for step in spread}
    mine = {step: runs.of_mine(step, tensor) for step in spread}
    if plain := [Cause(text) for text in _plain(runs, tensor, replays, mine)]:
        return plain
    first = replays[spread[0]]
    operation = first.made_by[tensor][0]
    tried = [operation.name, *sorted(first.filling - {operation.name})]

    def fits(change: Change) -> bool:
        for step in spread:
            replay = Replay(runs, step, 0, change)
            if not replay.off.get(tensor, np.inf) <= FITS:
                return False
        return True

    by_name = {o.name: o for o, _ in first.made_by.values()}
    by_name.setdefault(operation.name, operation)
    for name in tried:
        component = by_name[name].component.name if name in by_name else _component(first, name)
        if component is None:
            continue
        given = by_name[name].case.options if name in by_name else {}
        candidates = [Candidate(component, options=o) for o in _other_ways(component, given)]
        if found := _first(
            candidates,
            component,
            given,
            lambda c, n=name: fits(Change(n, c.functions(), c.options)),  # type: ignore[misc]
        ):
            return [c.cause(given) for c in found]
    return []


def _component(replay: Replay, name: str) -> str | None:
    return replay.components.get(name)


def _first(
    options: Sequence[Candidate], component: str, given: Mapping[str, Any], fits: Callable[[Candidate], bool]
) -> list[Candidate]:
    """The one candidate that fits, of the simplest kind of which one does; several are none."""
    listed = [Candidate(component, (m,)) for m in components()[component].mistakes]
    kinds: list[Iterator[Candidate]] = [
        iter([*listed, *options]),
        (replace(a, options=b.options) for a, b in itertools.product(listed, options)),
        (Candidate(component, (*a.mistakes, *b.mistakes)) for a, b in itertools.combinations(listed, 2)),
    ]
    budget = time.process_time() + SECONDS
    for kind in kinds:
        found: list[Candidate] = []
        for candidate in kind:
            if time.process_time() > budget:
                return found
            try:
                if fits(candidate):
                    found.append(candidate)
            except (ValueError, SyntaxError):  # two edits of one place
                continue
        if found:
            return found[:2]
    return []


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


def _plain(
    runs: Runs, tensor: str, replays: Mapping[int, Replay], mine: Mapping[int, np.ndarray | None]
) -> Iterator[str]:
    """What needs no catalogue."""
    got = {s: np.asarray(a, float) for s, a in mine.items() if a is not None}
    right = {s: np.asarray(replays[s].expected[tensor], float) for s in got}
    if not got:
        return
    eps = {s: float(np.finfo(a.dtype).eps) for s, a in mine.items() if a is not None and a.dtype.kind == "f"}

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
    factors = {s: float((got[s] * right[s]).sum() / max((right[s] ** 2).sum(), 1e-300)) for s in got}
    if all(near(s, got[s], factors[s] * right[s]) and factors[s] != 0 for s in got):
        yield _factor(runs, tensor, factors, replays)
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


def _factor(runs: Runs, tensor: str, factors: Mapping[int, float], replays: Mapping[int, Replay]) -> str:
    """What a factor is, if that can be told."""
    sizes = {s: _sizes(runs, s) for s in factors}
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
        if all(np.isclose(f, sizes[s]["the batch"] / usual, rtol=1e-4) for s, f in factors.items()):
            return f"yours is divided by {usual} also in the smaller last batch."
        shown = ", ".join(f"{f:.4g}" for f in factors.values())
        return f"yours is theirs times a factor of its own in every step ({shown})."
    factor = factors[first]
    known = {2.0: "the square without its ½", 0.5: "the square with a ½", -1.0: "the sign is reversed"}
    meaning = next((words for value, words in known.items() if np.isclose(factor, value, rtol=1e-5)), "")
    return f"yours is {factor:.6g} times theirs in every step{f': {meaning}' if meaning else ''}."


def _sizes(runs: Runs, step: int) -> dict[str, int]:
    for call in runs.step(1, step).facts.get("calls", ()):
        if "loss" in call:
            x = runs.of_theirs(step, call["inputs"][0])
            if x is not None and x.ndim:
                return {"the batch": len(x), "all elements": x.size, "the outputs": x.size // max(len(x), 1)}
    return {"the batch": 1, "all elements": 1, "the outputs": 1}


# Updates


def update_causes(runs: Runs, wrong: Sequence[Operation]) -> list[Cause]:
    """Why these parameters do not go where my own gradients and theirs' rule would bring them."""
    component, given = wrong[0].component.name, wrong[0].case.options
    if factor := _rate(runs, wrong):
        return [Cause(factor)]

    def fits(candidate: Candidate) -> bool:
        functions = candidate.functions()
        return all(_fits(runs, operation, functions, candidate.options) for operation in wrong)

    options = [Candidate(component, options=o) for o in _other_hyperparameters(component, given)]
    if found := _first(options, component, given, fits):
        return [candidate.cause(given) for candidate in found]
    for other, values in _other_rules(component, given):
        changed = [_as(operation, other, values) for operation in wrong]
        for candidate in (Candidate(other), *(Candidate(other, (m,)) for m in components()[other].mistakes)):
            functions = candidate.functions()
            if all(_fits(runs, operation, functions, {}) for operation in changed):
                shown = " with ".join([other, ", ".join(f"{k} = {_number(v)}" for k, v in values.items())])
                text = (
                    f"yours takes the steps of {shown.removesuffix(' with ')}, theirs those of {component}."
                )
                more = candidate.cause({})
                return [Cause(f"{text} {more.text}".strip(), other, more.diff)]
    return []


def _fits(runs: Runs, operation: Operation, functions: Any, options: Mapping[str, Any]) -> bool:
    try:
        off = judged(runs, operation, 0, functions, **options)
    except Exception:  # a version that breaks down
        return False
    return bool(off) and max(off.values()) <= FITS


def _as(operation: Operation, component: str, values: Mapping[str, Any]) -> Operation:
    rates = operation.case.options["rates"]
    name = "Momentum" if component == "momentum" and "beta" in values else CLASS_OF[component]
    options = {"optimizer": name, "rates": rates, **values}
    return replace(
        operation, component=components()[component], case=replace(operation.case, options=options)
    )


def _other_hyperparameters(component: str, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    ways: dict[str, Sequence[Any]] = {"weight_decay": DECAYS}
    if component in ("adam", "adamw", "nadam"):
        first, second = given.get("betas", (0.9, 0.999))
        ways["betas"] = [
            (second, first),
            *((b, second) for b in SHARES),
            *((first, b) for b in SHARES),
            (0.9, 0.99),
            (0.5, 0.999),
        ]
        ways["eps"] = (*SMALL, 0.0)
        ways["amsgrad"] = (True, False)
    if component == "rmsprop":
        ways |= {"alpha": SHARES, "eps": (*SMALL, 0.0), "momentum": SHARES, "centered": (True, False)}
    if component == "adagrad":
        ways |= {"eps": (*SMALL, 0.0), "initial_accumulator_value": (0.0, 0.1, 1.0)}
    if component in ("momentum", "nesterov", "sgd"):
        ways |= {"momentum": SHARES[1:], "nesterov": (True, False), "dampening": SHARES}
    usual = {"betas": (0.9, 0.999), "weight_decay": 0.0, "momentum": 0.0, "dampening": 0.0}
    for name, values in ways.items():
        for value in dict.fromkeys(values):
            if value != given.get(name, usual.get(name, False if isinstance(value, bool) else None)):
                yield {name: value}
    if component in ("adam", "adamw"):
        for eps in (1e-7, 1e-6):
            for decay in DECAYS:
                yield {"eps": eps, "weight_decay": decay}


def _other_rules(component: str, given: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    decay = given.get("weight_decay", 0)
    known: dict[str, list[dict[str, Any]]] = {
        "sgd": [{}],
        "momentum": [{"momentum": m} for m in SHARES[1:]] + [{"beta": m} for m in SHARES[1:]],
        "nesterov": [{"momentum": m, "nesterov": True} for m in SHARES[1:]],
        "rmsprop": [{"alpha": a} for a in SHARES[1:]],
        "adam": [{}],
        "adamw": [{"weight_decay": 0.01}],
        "adagrad": [{}],
        "nadam": [{}],
    }
    kept = {k: v for k, v in given.items() if k in ("betas", "eps")}
    for other, variants in known.items():
        if other == component or other not in components():
            continue
        for values in variants:
            own = dict(values)
            if other in ("adam", "adamw", "nadam") and component in ("adam", "adamw", "nadam"):
                own |= kept
            yield other, own
            if decay and "beta" not in own:
                yield other, {**own, "weight_decay": decay}


def _rate(runs: Runs, wrong: Sequence[Operation]) -> str:
    """Whether each of my steps is theirs times a number: another learning rate, or scaled gradients."""
    factors: dict[int, list[float]] = {}
    for operation in wrong:
        moved = _moved(runs, operation)
        if moved is None:
            return ""
        for step, (mine, right, floor) in moved.items():
            size = float((right**2).sum())
            if size == 0:
                continue
            factor = float((mine * right).sum() / size)
            if np.abs(mine - factor * right).max() > 4 * ALLOWED * floor:
                return ""
            factors.setdefault(step, []).append(factor)
    if not factors:
        return ""
    each = {step: float(np.mean(values)) for step, values in factors.items()}
    if any(np.ptp(values) > 1e-3 * abs(each[s]) + 1e-6 for s, values in factors.items()):
        return ""
    rates = wrong[0].case.options["rates"]
    implied = {step: each[step] * rates[i] for i, step in enumerate(each)}
    values = list(each.values())
    if np.ptp(values) <= 1e-3 * abs(values[0]):
        rate = implied[next(iter(each))]
        times = f"your steps are {values[0]:.4g} times as long"
        return f"{times}: a learning rate of {rate:.4g}, or gradients scaled by as much."
    steps = list(each)
    for shift in (1, -1):
        pairs = [(implied[s], rates[i - shift]) for i, s in enumerate(steps) if 0 <= i - shift < len(rates)]
        if pairs and all(np.isclose(a, b, rtol=1e-3) for a, b in pairs):
            when = "a step late" if shift == 1 else "a step early"
            return f"your learning rate is theirs {when}: the schedule is off by one."
    shown = ", ".join(f"{implied[s]:.4g}" for s in steps[:6])
    theirs = ", ".join(f"{r:.4g}" for r in rates[:6])
    clipped = _clipped(runs, wrong, each)
    return clipped or f"your steps are those of the learning rates {shown}, …, where theirs are {theirs}, …."


def _moved(runs: Runs, operation: Operation) -> dict[int, tuple[np.ndarray, np.ndarray, float]] | None:
    """At each step: how far I moved, how far the rule moves from where I was, and the rounding of that

    Only for rules without a state of the steps' own lengths: what they have kept is of gradients alone.
    """
    expected = operation.expected()
    moved = {}
    before = operation.case["param.0"]
    for t, (step, tensor) in enumerate(operation.outputs.values(), start=1):
        after = runs.of_mine(step, tensor)
        update = expected.get(f"step{t}.update.0")
        if after is None or update is None:
            return None
        eps = float(np.finfo(after.dtype).eps) if after.dtype.kind == "f" else 0.0
        moved[step] = (
            np.asarray(after, float) - before,
            np.asarray(update, float),
            eps * float(np.abs(after).max(initial=0)),
        )
        before = np.asarray(after, float)
    return moved


def _clipped(runs: Runs, wrong: Sequence[Operation], factors: Mapping[int, float]) -> str:
    """Whether the factors are those of clipping by the global norm."""
    norms = {}
    for step in factors:
        squares = 0.0
        for operation in updates(runs, 0):
            name = operation.case.name
            grad = runs.of_mine(step, f"{name}.grad")
            grad = runs.replay(step, 0).get(f"{name}.grad") if grad is None else grad
            if grad is None:
                return ""
            squares += float((np.asarray(grad, float) ** 2).sum())
        norms[step] = squares**0.5
    clipped = {s: f for s, f in factors.items() if f < 1 - 1e-6}
    if not clipped:
        return ""
    most = [clipped[s] * norms[s] for s in clipped]
    if np.ptp(most) <= 1e-3 * most[0] and all(
        norms[s] <= most[0] * (1 + 1e-3) for s in factors if s not in clipped
    ):
        return f"your gradients are clipped to a global norm of {most[0]:.4g} before the step."
    return ""
