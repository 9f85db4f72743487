"""Which schedule the learning rates of a run follow, and which known mistake of it gives the other run's."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.recording.cause import Candidate, Cause, number
from compare.recording.replay import components

EVERY_BATCH = "stepped after every mini-batch"
NAMES = ("exponential", "inverse_time", "inverse_sqrt", "staircase", "fixed_interval", "milestones")
MOST = 40  # epochs that a warm-up or a cosine is looked for in


@dataclass(frozen=True)
class Schedule:
    """One with its settings, stepped after so many steps."""

    component: str
    lr: float
    options: Mapping[str, Any]
    steps: int  # of an epoch

    def rates(
        self, count: int, functions: Mapping[str, Callable] | None = None, steps: int = 0
    ) -> np.ndarray:
        """Of the first steps."""
        function = (functions or vars(components()[self.component].implementation()))[self.component]
        epochs = [step // (steps or self.steps) for step in range(count)]
        return np.array([function(self.lr, epoch, **self.options) for epoch in epochs], float)

    def __str__(self) -> str:
        options = ", ".join(f"{k} = {number(v)}" for k, v in self.options.items())
        return f"{self.component} with {options}" if options else self.component


def schedule_causes(mine: Sequence[float], theirs: Sequence[float]) -> list[Cause]:
    """The mistakes of the schedule that their rates follow which give mine; rates of all steps from 0 on."""
    found: dict[str, Cause] = {}
    for schedule in _schedules(np.asarray(theirs, float)):
        for mistake in components()[schedule.component].mistakes:
            ways: list[tuple[Any, int]] = [(mistake.functions, schedule.steps)]
            if mistake.name == EVERY_BATCH:  # of this run's epochs, and not of the catalogue's alone
                ways.append((None, 1))
            if any(_same(schedule, mine, *way) for way in ways):
                cause = Candidate(schedule.component, (mistake,)).cause({})
                text = f"theirs is {schedule}; {cause.text}"
                found.setdefault(mistake.name, Cause(text, mistake.name, cause.diff))
    return list(found.values())


def _same(schedule: Schedule, mine: Sequence[float], functions: Any, steps: int) -> bool:
    try:
        rates = schedule.rates(len(mine), functions, steps)
    except Exception:  # an edited version that breaks down, an epoch that the schedule refuses
        return False
    return np.allclose(rates, mine, rtol=1e-9, atol=0)


def _schedules(rates: np.ndarray) -> Iterator[Schedule]:
    """Those that give these rates."""
    for steps in range(1, len(rates)):
        by_epoch = rates[::steps]
        if np.array_equal(np.repeat(by_epoch, steps)[: len(rates)], rates) and len(by_epoch) > 1:
            yield from (
                s for s in _of_epochs(by_epoch, steps) if np.allclose(s.rates(len(rates)), rates, rtol=1e-9)
            )


def _of_epochs(rates: np.ndarray, steps: int) -> Iterator[Schedule]:
    """Candidates, whose settings the first changes give."""
    lr = float(rates[0])
    changes = np.flatnonzero(np.diff(rates)) + 1
    if lr == 0 or not len(changes):
        return
    first = int(changes[0])
    ratio = round(float(rates[first]) / lr, 12)
    every: dict[str, dict[str, Any]] = {
        "exponential": {"gamma": ratio},
        "inverse_time": {"decay_rate": round(1 / ratio - 1, 12)},
        "staircase": {"step_size": first, "gamma": ratio},
        "fixed_interval": {"decay_rate": round(1 / ratio - 1, 12), "interval": first},
        "milestones": {"milestones": [int(epoch) for epoch in changes], "gamma": ratio},
    }
    for name, options in every.items():
        if ratio > 0 and (ratio <= 1 or name in ("exponential", "staircase", "milestones")):
            yield Schedule(name, lr, options, steps)
    for k in (1.0, 0.1, 0.2, 0.25, 0.5, 0.7, 0.75, 0.9, 2.0, 5.0, 10.0):
        yield Schedule("inverse_sqrt", lr / k, {"k": k}, steps)
    top = float(rates.max())
    for warmup in range(min(len(rates), MOST)):
        if warmup and not np.isclose(lr, top / warmup):
            continue
        for total in range(max(len(rates), warmup + 1), warmup + MOST):
            for low in (0.0, *(top * 10.0**-k for k in (1, 2, 3))):
                options = {"warmup_epochs": warmup, "total_epochs": total, "lr_min": low}
                yield Schedule("cosine_with_warmup", top, options, steps)


def shifted(mine: np.ndarray, theirs: np.ndarray, rtol: float = 1e-6) -> str:
    """Whether my rates are theirs of a step, or of an epoch, before or after."""
    for steps, late in itertools.product(range(1, len(mine) // 2 + 1), (True, False)):
        a, b = (mine[steps:], theirs[:-steps]) if late else (mine[:-steps], theirs[steps:])
        if len(a) > 1 and np.allclose(a, b, rtol=rtol, atol=0) and np.ptp(b):
            far = "one step" if steps == 1 else f"{steps} steps"
            when, whose = ("late", "before") if late else ("early", "after")
            return f"your schedule is {far} {when}: the rate of a step is theirs of {far} {whose}."
    return ""
