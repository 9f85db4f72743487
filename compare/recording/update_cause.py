"""Why parameters do not go where my own gradients and the other run's rule would bring them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from compare.recording.cause import DECAYS, FITS, SHARES, SMALL, Candidate, Cause, number, search
from compare.recording.clip import norm, norm_bound
from compare.recording.replay import ALLOWED, Operation, Runs, components
from compare.recording.rules import class_of, judged, updates
from compare.recording.schedule import shifted

ELEMENTS = 256  # of a parameter that a rule is looked for with
MISSED = 0.1  # of the way that mine has gone, at most, by a rule that is said to be mine


def update_causes(runs: Runs, wrong: Sequence[Operation]) -> list[tuple[Sequence[Operation], list[Cause]]]:
    """Why these parameters do not go where my own gradients and theirs' rule would bring them

    One cause for all of them, or else one for matrices and another for the rest, or one for each.
    """
    matrices = [o for o in wrong if o.case["param.0"].ndim > 1]
    others = [o for o in wrong if o.case["param.0"].ndim <= 1]
    for groups in ([wrong], [matrices, others], [[o] for o in wrong]):
        found = [(group, _causes(runs, group)) for group in groups if group]
        if all(each for _, each in found):
            return found
    return [(wrong, [])]


def _causes(runs: Runs, wrong: Sequence[Operation]) -> list[Cause]:
    wrong = [_short(operation) for operation in wrong]
    component, given = wrong[0].component.name, wrong[0].case.options
    if average := _average(runs, wrong, component, given):
        return [Cause(average)]
    found = [Cause(text) for text in _plain(runs, wrong)]

    def fits(candidate: Candidate) -> bool:
        functions = candidate.functions()
        return all(_fits(runs, operation, functions, candidate.options) for operation in wrong)

    options = [Candidate(component, options=o) for o in _other_hyperparameters(component, given)]
    found += [candidate.cause(given) for candidate in search(options, component, fits)]
    forms = component == "momentum" and "beta" not in given  # two, which give the same steps
    if not found or forms:
        found += _by_other_rules(runs, wrong, component, given)
    if not found and "beta" in given and runs.theirs.kind == "numpy":  # which of the forms, nobody said
        return _causes(runs, [_as_sum(operation) for operation in wrong])
    return found


def _average(runs: Runs, wrong: Sequence[Operation], component: str, given: Mapping[str, Any]) -> str:
    """Whether my velocity is the textbook's average, with the β and the rates of theirs, which is a sum."""
    beta, rates = given.get("momentum"), given["rates"]
    others = [value for name, value in given.items() if name not in ("optimizer", "rates", "momentum")]
    if component != "momentum" or not beta or any(others):
        return ""
    changed = [_as(operation, "momentum", {"beta": beta}) for operation in wrong]
    functions = Candidate("momentum").functions()
    if not all(_fits(runs, operation, functions, {}) for operation in changed):
        return ""
    rate = f"{number(round(rates[0] / (1 - beta), 12))}{', …' if len({*rates}) > 1 else ''}"
    return (
        f"your velocity is an average, v ← βv + (1 − β)g, theirs a sum, b ← βb + g: your steps are "
        f"{number(round(1 - beta, 12))} times as long. With a learning rate of {rate} they are the same."
    )


def _as_sum(operation: Operation) -> Operation:
    """v ← βv + (1 − β)g at a rate r is b ← βb + g at (1 − β)r."""
    beta = operation.case.options["beta"]
    rates = tuple(rate * (1 - beta) for rate in operation.case.options["rates"])
    scaled = replace(operation, case=operation.case.but("", rates=rates))
    return _as(scaled, "momentum", {"momentum": beta})


def _by_other_rules(
    runs: Runs, wrong: Sequence[Operation], component: str, given: Mapping[str, Any]
) -> list[Cause]:
    """The rules, right or with a mistake, that take my steps; those with the same settings."""
    found = []
    for other, values in _other_rules(component, given):
        changed = [_as(operation, other, values) for operation in wrong]
        shown = " with ".join([other, ", ".join(f"{k} = {number(v)}" for k, v in values.items())])
        text = f"yours takes the steps of {shown.removesuffix(' with ')}, theirs those of {component}."
        for candidate in (Candidate(other), *(Candidate(other, (m,)) for m in components()[other].mistakes)):
            functions = candidate.functions()
            fits = all(_fits(runs, operation, functions, {}) for operation in changed)
            if fits and not (candidate.mistakes and all(_idle(each, functions) for each in changed)):
                name = " and ".join([other, *(mistake.name for mistake in candidate.mistakes)])
                more = candidate.cause({})
                found.append(Cause(f"{text} {more.text}".strip(), name, more.diff))
    return found


def _plain(runs: Runs, wrong: Sequence[Operation]) -> Iterator[str]:
    """What needs no catalogue."""
    if rate := _rate(runs, wrong):
        yield rate
    elif decay := _decay(runs, wrong):
        yield decay


def _decay(runs: Runs, wrong: Sequence[Operation]) -> str:
    """Whether my steps are those without weight decay, but for a decay in some of them."""
    shares: dict[int, list[float]] = {}
    for operation in wrong:
        if operation.component.name not in ("sgd", "adamw", "adam") or not operation.case["param.0"].any():
            return ""
        without = replace(operation, case=operation.case.but("", weight_decay=0.0))
        before = operation.case["param.0"]
        for t, (step, (mine, right, floor)) in enumerate((_moved(runs, without) or {}).items()):
            share = float(((right - mine) * before).sum() / max((before**2).sum(), 1e-300))
            if np.abs(mine - right + share * before).max() > 4 * ALLOWED * floor:
                return ""
            shares.setdefault(step, []).append(share / operation.case.options["rates"][t])
            before = before + mine
    if not shares or any(np.ptp(each) > 1e-6 * max(1e-9, max(each)) + 1e-9 for each in shares.values()):
        return ""
    decays = {step: each[0] if abs(each[0]) > 1e-9 else 0.0 for step, each in shares.items()}
    some = [step for step, decay in decays.items() if decay]
    gaps = set(np.diff(some))
    if len(gaps) != 1 or gaps == {1}:
        return ""
    every, decay = _ordinal(int(gaps.pop())), number(round(decays[some[0]], 9))
    return f"yours decays in every {every} step only, by {decay} times the rate: once an epoch?"


def _ordinal(n: int) -> str:
    return f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10 if n % 100 not in (11, 12, 13) else 0, 'th') }"


def _short(operation: Operation) -> Operation:
    """Of a large parameter some elements: rules take each by itself."""
    arrays = operation.case.arrays
    size = arrays["param.0"].size
    if size <= ELEMENTS:
        return operation
    chosen = np.linspace(0, size - 1, ELEMENTS).astype(int)
    grads = arrays["grads.0"].reshape(len(arrays["grads.0"]), -1)[:, chosen]
    case = operation.case.but(
        operation.case.name, {"param.0": arrays["param.0"].ravel()[chosen], "grads.0": grads}
    )
    return replace(operation, case=case, chosen=chosen)


def _fits(runs: Runs, operation: Operation, functions: Any, options: Mapping[str, Any]) -> bool:
    try:
        for part in filter(None, (operation.beginning, operation)):  # most rules part at once
            off = judged(runs, part, 0, functions, **options)
            if not off or max(off.values()) > FITS:
                return False
        return _brings_there(runs, operation, functions, options)
    except Exception:  # a version that breaks down
        return False


def _idle(operation: Operation, functions: Any) -> bool:
    """Whether a mistake changes nothing here: a weight decay forgotten where there is none."""
    try:
        right, wrong = operation.expected(), operation.expected(functions)
    except Exception:  # a version that breaks down
        return False
    return all(np.array_equal(right[result], wrong.get(result)) for result in operation.outputs)


def _brings_there(runs: Runs, operation: Operation, functions: Any, options: Mapping[str, Any]) -> bool:
    """Whether a rule explains the way that mine has gone: a budget may be larger than the whole way."""
    expected, start = operation.expected(functions, **options), operation.case["param.0"]
    for result, (step, tensor) in operation.outputs.items():
        mine = operation.of(runs.of(0, step, tensor))
        if mine is not None and result in expected:
            way = np.abs(mine - start).max(initial=0)
            if np.abs(expected[result] - mine).max(initial=0) > MISSED * way:
                return False
    return True


def _as(operation: Operation, component: str, values: Mapping[str, Any]) -> Operation:
    rates = operation.case.options["rates"]
    options = {"optimizer": class_of(component, values), "rates": rates, **values}
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
    if "beta" in given:
        ways = {"beta": SHARES[1:]}
    elif component in ("momentum", "nesterov", "sgd"):
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
        if other not in components():
            continue
        for values in variants:
            own = dict(values)
            if other == component and "beta" not in own:
                continue
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
    if not any(values):
        return "your parameters never change."
    steps = list(each)
    by = ""
    if steps == list(range(len(steps))):
        by = shifted(np.array(list(implied.values())), np.array(rates[: len(steps)]), rtol=1e-3)
    if np.ptp(values) <= 1e-3 * abs(values[0]):
        rate = implied[next(iter(each))]
        times = f"your steps are {values[0]:.4g} times as long"
        what = f"{times}: a learning rate of {rate:.4g}, or gradients scaled by as much."
        return f"{by} Or else {what}" if by else what
    if by:
        return by
    shown = ", ".join(f"{implied[s]:.4g}" for s in steps[:6])
    theirs = ", ".join(f"{r:.4g}" for r in rates[:6])
    clipped = _clipped(runs, each)
    return clipped or f"your steps are those of the learning rates {shown}, …, where theirs are {theirs}, …."


def _moved(runs: Runs, operation: Operation) -> dict[int, tuple[np.ndarray, np.ndarray, float]] | None:
    """At each step: how far I moved, how far the rule moves from where I was, and the rounding of that

    Only for rules without a state of the steps' own lengths: what they have kept is of gradients alone.
    """
    expected = operation.expected()
    moved = {}
    before = operation.case["param.0"]
    coarse = 0.0 if operation.coarse is None else operation.coarse.max(initial=0)  # of the first step only
    for t, (step, tensor) in enumerate(operation.outputs.values(), start=1):
        after = operation.of(runs.of_mine(step, tensor))
        update = expected.get(f"step{t}.update.0")
        if after is None or update is None:
            return None
        eps = float(np.finfo(after.dtype).eps) if after.dtype.kind == "f" else 0.0
        eps *= runs.coarser(step, 0, tensor)
        moved[step] = (
            np.asarray(after, float) - before,
            np.asarray(update, float),
            eps * float(max(np.abs(after).max(initial=0), coarse)),
        )
        before, coarse = np.asarray(after, float), 0.0
    return moved


def _clipped(runs: Runs, factors: Mapping[int, float]) -> str:
    """Whether the factors are those of clipping by the global norm."""
    names = [operation.case.name for operation in updates(runs, 0)]
    norms = {}
    for step in factors:
        gradients = [runs.gradient(step, 0, name) for name in names]
        known = [np.asarray(gradient, float) for gradient in gradients if gradient is not None]
        if len(known) < len(gradients):
            return ""
        norms[step] = norm(known)
    most = norm_bound(norms, factors, 1e-3)
    return f"your gradients are clipped to a global norm of {most:.4g} before the step." if most else ""
