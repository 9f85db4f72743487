"""Clipping, which stands between the backward pass and the update, and the norm that a run logs

PyTorch's recording has the gradients that its optimizer was given. Where they are not what the backward pass
gives, but all of them the same number times that, or cut off at one number, they were clipped; the numbers
tell the bound.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from compare.component import Case
from compare.measure import Difference
from compare.recording.cause import Candidate, Cause, search
from compare.recording.fault import Fault, difference
from compare.recording.replay import Operation, Runs, components

CLOSE = 1e-4  # relative, up to which a bound is the same in every step


def raw(runs: Runs, step: int, side: int) -> dict[str, np.ndarray]:
    """The gradients of all parameters as the backward pass gives them; nothing if one is not known."""
    found = {}
    replay = runs.replay(step, side)
    for name in runs.step(1, step).order:
        parameter = name.removesuffix(".grad")
        if name == parameter or f"{parameter}.before" not in runs.step(1, step):
            continue
        gradient = replay.expected.get(name, replay.filled.get(name))
        if gradient is None:
            return {}
        found[name] = np.asarray(gradient, float)
    return found


def norm(gradients: Sequence[np.ndarray]) -> float:
    """Of all of them together."""
    return float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))


def norm_bound(
    norms: Mapping[int, float], factors: Mapping[int, float], close: float = CLOSE
) -> float | None:
    """The global norm at which these factors clip, if they do: those below 1 say it, the rest are within."""
    short = {step: factor for step, factor in factors.items() if factor < 1 - close}
    bounds = [factor * (norms[step] + 1e-6) for step, factor in short.items()]
    if not bounds or min(bounds) <= 0 or np.ptp(bounds) > close * bounds[0]:
        return None
    most = float(np.median(bounds))
    rest = {step: factor for step, factor in factors.items() if step not in short}
    within = all(norms[step] <= most * (1 + close) and factor <= 1 + close for step, factor in rest.items())
    return most if within else None


def bound(runs: Runs, steps: Sequence[int], side: int) -> tuple[str, float] | None:
    """How a run clips its gradients, and at what: the component and the bound, where both can be told."""
    norms, factors, by_value = {}, {}, []
    for step in steps:
        gradients = raw(runs, step, side)
        recorded = {name: runs.replay(step, side).recorded(name) for name in gradients}
        if not gradients or any(each is None for each in recorded.values()):
            return None
        before = np.concatenate([gradient.ravel() for gradient in gradients.values()])
        after = np.concatenate([np.asarray(recorded[name], float).ravel() for name in gradients])
        close = CLOSE * np.abs(before).max(initial=0)
        norms[step], factors[step] = norm([before]), 1.0
        if np.allclose(before, after, rtol=CLOSE, atol=1e-300):
            continue
        factor = float((before * after).sum() / (before**2).sum())
        factors[step] = factor if np.abs(after - factor * before).max() <= close else np.nan
        most = np.abs(after).max()
        if np.abs(after - np.clip(before, -most, most)).max() <= close:
            by_value.append(float(most))
    if (most := norm_bound(norms, factors)) is not None and "clip_grad_norm" in components():
        return "clip_grad_norm", most
    if len(by_value) > 1 and np.ptp(by_value) <= CLOSE * by_value[0] and "clip_grad_value" in components():
        return "clip_grad_value", float(np.median(by_value))
    return None


def clipped(runs: Runs, steps: Sequence[int]) -> Iterator[Fault]:
    """My gradients that are not what theirs' clipping makes of them; a norm that is logged."""
    if how := bound(runs, steps, 1):
        yield from _otherwise(runs, steps, *how)
    yield from _logged(runs, steps)


def _otherwise(runs: Runs, steps: Sequence[int], component: str, at: float) -> Iterator[Fault]:
    option = {"clip_grad_norm": "max_norm", "clip_grad_value": "clip_value"}[component]
    operations = [found for step in steps if (found := _operation(runs, step, component, {option: at}))]
    wrong = [operation for operation in operations if _off(runs, operation, Candidate(component)) > 1]
    if not wrong:
        return
    options = [Candidate(component, options={option: at * share}) for share in (10, 5, 2, 0.5, 0.2, 0.1)]
    if component == "clip_grad_norm":
        options += [Candidate(component, options={"norm_type": p}) for p in (1.0, np.inf)]

    def fits(candidate: Candidate) -> bool:
        return all(_off(runs, operation, candidate) <= 1 for operation in operations)

    why = [candidate.cause({option: at}) for candidate in search(options, component, fits)]
    first = wrong[0]
    result, (step, tensor) = next(iter(first.outputs.items()))
    right = first.expected()[result]
    apart = difference(runs, step, tensor, right)
    what = f"theirs clips gradients ({component}, at {at:.4g}), and yours are not what that makes of your own"
    yield Fault(step, runs.position(tensor), tensor, runs.pair_of[tensor].mine, apart, what, why)


def _operation(runs: Runs, step: int, component: str, options: dict[str, float]) -> Operation | None:
    gradients = raw(runs, step, 0)
    known = [name for name in gradients if runs.of_mine(step, name) is not None]
    if not gradients or not known:
        return None
    arrays = {f"gradient{i}": gradient for i, gradient in enumerate(gradients.values())}
    outputs = {f"clipped{i}": (step, name) for i, name in enumerate(gradients) if name in known}
    case = Case(component, arrays, options, dtype=np.float64, finite=False)
    return Operation(component, components()[component], case, outputs)


def _off(runs: Runs, operation: Operation, candidate: Candidate) -> float:
    """How far the furthest of my gradients is off."""
    try:
        expected = operation.expected(candidate.functions(), **candidate.options)
    except Exception:  # a version that breaks down
        return np.inf
    found = []
    for result, (step, name) in operation.outputs.items():
        mine = runs.of_mine(step, name)
        assert mine is not None
        size = np.abs(np.asarray(expected[result])).max(initial=0)
        # What goes in is a replay, and the bound is read off: some digits are lost.
        eps = float(np.finfo(mine.dtype).eps) if mine.dtype.kind == "f" else 0.0
        found.append(float(np.abs(mine - expected[result]).max(initial=0) / max(2**12 * eps * size, 1e-300)))
    return max(found)


def _logged(runs: Runs, steps: Sequence[int]) -> Iterator[Fault]:
    """A number of mine with “norm” in its name that is the gradients' norm at another time."""
    for name in runs.pairing.only_mine:
        values = {step: runs.number(step, name) for step in steps}
        logged = {step: value for step, value in values.items() if value is not None}
        if "norm" not in name.lower() or len(logged) < 3:
            continue
        meanings: dict[str, dict[int, float]] = {"": {}, "after clipping": {}}
        for step in logged:
            if gradients := raw(runs, step, 0):
                meanings[""][step] = norm(list(gradients.values()))
            given = [runs.of_mine(step, each) for each in gradients]
            if gradients and all(each is not None for each in given):
                meanings["after clipping"][step] = norm([np.asarray(each, float) for each in given])
        for meaning in list(meanings):
            late = f"{meaning}, of the step before".removeprefix(", ")
            meanings[late] = {step + 1: value for step, value in meanings[meaning].items()}
        for meaning, expected in meanings.items():
            both = [step for step in logged if step in expected]
            if len(both) > 2 and all(np.isclose(logged[s], expected[s], rtol=1e-5) for s in both):
                wrong = [
                    s
                    for s in both
                    if s in meanings[""] and not np.isclose(logged[s], meanings[""][s], rtol=1e-5)
                ]
                if wrong:
                    right = meanings[""][wrong[0]]
                    apart = Difference(name, np.inf, 0, (), logged[wrong[0]], right)
                    what = "the norm that you record is not that of the gradients before clipping"
                    why = [Cause(f"it is the norm {meaning}.", f"norm {meaning}")]
                    yield Fault(wrong[0], 10**6, name, name, apart, what, why)
                break
