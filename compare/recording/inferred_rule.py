"""Which optimizer's rule a NumPy recording's own parameters follow, from their recorded gradients

Of every rule the direction of a step is known from the gradients alone; the learning rate is how far the
parameters have gone along it, and has to be the same for all of their elements.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any

import numpy as np

from compare import run
from compare.component import Case
from compare.recording.cause import DECAYS, SHARES
from compare.recording.replay import ALLOWED, components
from compare.recording.rules import class_of, component_of

STEPS = 8  # in which a rule is looked for
EPSILONS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-10, 1e-15, 1e-3, 1e-12, 0.0)
BETAS = [(0.9, 0.999), (0.9, 0.99), (0.9, 0.98), (0.9, 0.95), (0.5, 0.999), (0.8, 0.999), (0.95, 0.999)]


@dataclass(frozen=True)
class Moved:
    """A parameter's path: before and after each step, as far as that is known, and its gradients."""

    name: str
    before: Sequence[np.ndarray | None]
    after: Sequence[np.ndarray | None]
    grads: Sequence[np.ndarray]
    eps: float  # of its dtype


@dataclass(frozen=True)
class Rule:
    """An optimizer by PyTorch's name, its options, and the learning rate of each step."""

    optimizer: str
    options: Mapping[str, Any]
    rates: Sequence[float]
    of: Sequence[str]  # parameters


def rules(moved: Sequence[Moved], said: Sequence[float] | None, first: Sequence[Rule] = ()) -> list[Rule]:
    """The rule of one class that brings parameters where they go, the usual settings first

    `said` are learning rates that are known, and `first` is what is tried before all else.
    """
    best: list[Rule] = []
    left = list(moved)
    known = ((rule.optimizer, rule.options) for rule in first)
    for optimizer, options in chain(known, _candidates(), _decaying(moved)):
        classes = {optimizer, *(rule.optimizer for rule in best)}
        if len(classes) > 1 and classes != {"Adam", "AdamW"}:
            continue
        if rule := _fitted(left, optimizer, options, said):
            best.append(rule)
            left = [each for each in left if each.name not in rule.of]
        if not left:
            break
    return best


def _fitted(
    moved: Sequence[Moved], optimizer: str, options: Mapping[str, Any], said: Sequence[float] | None
) -> Rule | None:
    fitting = {}
    for path in moved:
        own = _rates(path, optimizer, options)
        if own is not None:
            fitting[path.name] = own
    if not fitting:
        return None
    count = len(moved[0].grads)
    along = [[rates[i] for rates in fitting.values() if i in rates] for i in range(count)]
    rates = [float(np.median(each)) if each else np.nan for each in along]
    rates = _round(rates) if said is None else list(said)
    names = [
        name
        for name, own in fitting.items()
        if all(abs(rate - rates[i]) <= 1e-4 * abs(rates[i]) for i, rate in own.items())
    ]
    chosen = [path for path in moved if path.name in names]
    several = max((path.grads[0].size for path in chosen), default=0) > 1
    sure = said is not None or len(set(rates)) == 1 or several
    return Rule(optimizer, options, rates, names) if chosen and sure else None


def _round(rates: Sequence[float]) -> list[float]:
    """As a program says them, if they are the same all along; else as they are."""
    known = [rate for rate in rates if rate == rate]
    if np.ptp(known) <= 1e-5 * abs(known[0]):
        middle = float(np.median(known))
        short = float(f"{middle:.4g}")
        return [short if abs(short - middle) <= 1e-7 * abs(middle) else middle] * len(rates)
    return list(rates)


def _rates(moved: Moved, optimizer: str, options: Mapping[str, Any]) -> dict[int, float] | None:
    """How far it goes along the rule's direction in each step; None where that is not its direction."""
    directions = _directions(moved, optimizer, options)
    if directions is None:
        return None
    found = {}
    for i, (a, b) in enumerate(zip(moved.before, moved.after, strict=True)):
        if a is None or b is None or i >= len(directions):
            continue
        size = float((directions[i] ** 2).sum())
        rate = float(((b - a) * directions[i]).sum()) / size if size else 0.0
        allowed = ALLOWED * moved.eps * max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
        if not np.abs(b - a - rate * directions[i]).max(initial=0) <= allowed or rate < 0:
            return None
        if size:
            found[i] = rate
    return found if any(found.values()) and len(found) > (1 if moved.grads[0].size == 1 else 0) else None


def _directions(moved: Moved, optimizer: str, options: Mapping[str, Any]) -> list[Any] | None:
    """The steps of the rule at a learning rate of 1."""
    decay = options.get("weight_decay", 0.0)
    rest = {key: value for key, value in options.items() if key != "weight_decay"}
    optimizer, decoupled = optimizer.replace("AdamW", "Adam"), optimizer == "AdamW"
    component = component_of(optimizer, rest)
    if component is None:
        return None
    grads = [g.astype(np.float64) for g in moved.grads[:STEPS]]
    shrinks: Sequence[Any] = [0.0] * len(grads)
    if decay:
        terms = [None if each is None else decay * each for each in moved.before[: len(grads)]]
        if decoupled or not rest:
            shrinks = terms
        elif any(term is None for term in terms):
            return None  # what it keeps of the first one is not known
        else:
            grads = [g + term for g, term in zip(grads, terms, strict=True) if term is not None]
    arrays = {"param.0": np.zeros(grads[0].shape), "grads.0": np.stack(grads)}
    given = {"optimizer": class_of(component, rest), "rates": (1.0,) * len(grads), **rest}
    case = Case("", arrays, given, dtype=np.float64, finite=False)
    made = run.run_scratch(components()[component], case)
    updates = [np.asarray(made[f"step{t + 1}.update.0"]) for t in range(len(grads))]
    return [None if s is None else u - s for u, s in zip(updates, shrinks, strict=True)]


def _candidates() -> Iterator[tuple[str, dict[str, Any]]]:
    """The usual first."""
    plain: list[tuple[str, dict[str, Any]]] = [("SGD", {})]
    for share in SHARES[1:]:
        plain += [("Momentum", {"beta": share}), ("SGD", {"momentum": share})]
        plain += [("SGD", {"momentum": share, "nesterov": True})]
    plain += [("Adam", {"betas": b, "eps": e}) for b, e in product(BETAS, EPSILONS)]
    plain += [("RMSprop", {"alpha": a, "eps": e}) for a, e in product(SHARES[1:], EPSILONS)]
    plain += [("Adagrad", {"eps": e}) for e in (1e-10, *EPSILONS)]
    plain += [("Adam", {"betas": BETAS[0], "eps": 1e-8, "amsgrad": True})]
    for options in ({"momentum": 0.9}, {"centered": True}, {"momentum": 0.9, "centered": True}):
        plain += [("RMSprop", {"alpha": share, "eps": 1e-8, **options}) for share in (0.99, 0.9)]
    yield from plain
    for optimizer, options in plain:
        usual = {"momentum": 0.9, "betas": BETAS[0], "eps": 1e-8}
        if optimizer != "Momentum" and all(usual.get(k, v) == v for k, v in options.items()):
            for decay in DECAYS[1:]:
                yield optimizer, {**options, "weight_decay": decay}
                if optimizer == "Adam":
                    yield "AdamW", {**options, "weight_decay": decay}


def _decaying(moved: Sequence[Moved]) -> Iterator[tuple[str, dict[str, Any]]]:
    """With the decay that one step of a parameter says, where it is none of the usual."""
    for path in moved:
        for optimizer, options in (("SGD", {}), *(("Adam", {"betas": b, "eps": 1e-8}) for b in BETAS)):
            directions = _directions(path, optimizer, options) or []
            for a, b, d in zip(path.before, path.after, directions, strict=False):
                if a is not None and b is not None and a.size > 2:
                    terms = np.stack([d.ravel(), -a.ravel()], axis=1)
                    (rate, shrink), *_ = np.linalg.lstsq(terms, (b - a).ravel(), rcond=None)
                    if rate > 0 and shrink > 0:
                        decay = float(f"{shrink / rate:.4g}")
                        yield optimizer.replace("Adam", "AdamW"), {**options, "weight_decay": decay}
                    break


def started(rule: Rule, moved: Moved) -> np.ndarray | None:
    """A parameter before the first step, of which only what it was after that is recorded."""
    after = moved.after[0]
    decay = rule.options.get("weight_decay", 0.0)
    if after is None or (decay and rule.optimizer not in ("SGD", "AdamW")):
        return None
    plain = {key: value for key, value in rule.options.items() if key != "weight_decay"}
    directions = _directions(moved, rule.optimizer, plain)
    if directions is None:
        return None
    rate = rule.rates[0]
    if rate != rate:
        return None
    return np.asarray((after - rate * directions[0]) / (1 - rate * decay))
