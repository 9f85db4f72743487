"""Exponentially weighted averages: a noisy year, smoothed by three β, and what is wrong at its start."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import scratch.averages
import torch_ref.averages
from compare.experiments import figures
from compare.experiments.drawn import figure
from compare.experiments.experiment import Options, Results, Task
from compare.experiments.page import Comparison, Figure, Section, Table, texts

DAYS = 365
NOISE = 4.0  # standard deviation of a day, in degrees
BETAS = (0.5, 0.9, 0.98)
TOLERANCE = 1e-12  # of a temperature: each average rounds a few times, and forgets
SETTLED = 120  # days after which the start has no weight any more
SHOWN_DAYS = (1, 2, 5, 10, 50, 200)


def season() -> np.ndarray:
    """The temperature that each day of the made-up year has without weather, in degrees"""
    return 12 + 9 * np.sin(2 * np.pi * np.arange(DAYS) / 365)


def weather() -> np.ndarray:
    """What the weather adds, day by day, each by itself."""
    return NOISE * np.random.RandomState(0).randn(DAYS)


def average_on_scratch(x: np.ndarray, beta: float, corrected: bool) -> np.ndarray:
    """In NumPy"""
    return scratch.averages.exponentially_weighted_average(x, beta, corrected)


def average_on_torch(x: np.ndarray, beta: float, corrected: bool) -> np.ndarray:
    """The same in PyTorch"""
    averages = torch_ref.averages.exponentially_weighted_average(torch.from_numpy(x), beta, corrected)
    return averages.numpy()


AVERAGES: dict[str, Callable[[np.ndarray, float, bool], np.ndarray]] = {
    "scratch": average_on_scratch,
    "torch": average_on_torch,
}


@dataclass(frozen=True)
class Smoothed:
    """What one β does, on one side."""

    beta: float
    plain: np.ndarray  # each day, without the correction
    corrected: np.ndarray
    noise: float  # standard deviation of what is left of the weather, as a multiple of what it was

    @property
    def window(self) -> float:
        """1/(1 − β)"""
        return 1 / (1 - self.beta)

    @property
    def late(self) -> int:
        """The days by which the season has to be shifted to lie nearest to the average."""
        averages, truth = self.corrected[SETTLED:], season()
        return min(range(100), key=lambda days: np.sum((averages - truth[SETTLED - days : DAYS - days]) ** 2))

    @property
    def distance(self) -> float:
        """From the season, once settled: root mean square, in degrees"""
        return float(np.sqrt(np.mean((self.corrected - season())[SETTLED:] ** 2)))


def smooth(side: str, beta: float) -> Smoothed:
    """The average of the year on one side, and of its weather alone."""
    days, average = season() + weather(), AVERAGES[side]
    left = average(weather(), beta, True)[SETTLED:].std() / weather()[SETTLED:].std()
    return Smoothed(beta, average(days, beta, False), average(days, beta, True), float(left))


def tasks(options: Options) -> list[Task]:
    """Nothing is trained."""
    return []


def report(options: Options, results: Results) -> Section:
    """The year and its averages, their start with and without correction, and what a value weighs."""
    found = {beta: {side: smooth(side, beta) for side in options.sides} for beta in BETAS}
    one = {beta: next(iter(sides.values())) for beta, sides in found.items()}
    return Section(
        **texts(
            "weighted_averages",
            following=following(one),
            start=start(one[BETAS[-1]], float((season() + weather())[0])),
            days=DAYS,
            noise=NOISE,
        ),
        comparisons=[row for beta, sides in found.items() for row in _compare(beta, sides)],
        tables=[_trade(one), _start(one)],
        figures=[_year(found), _starts(found), _weights()],
    )


def following(averages: Mapping[float, Smoothed]) -> str:
    """How late each average is, how calm, and which is nearest to the season"""
    each = [
        f"β = {beta:g} averages over some {found.window:.0f} days, is {found.late}"
        f" day{'s' * (found.late != 1)} late and leaves {found.noise:.0%} of the weather"
        for beta, found in averages.items()
    ]
    nearest = min(averages.values(), key=lambda found: found.distance)
    return f"{'; '.join(each)}. Nearest to the season is β = {nearest.beta:g}."


def start(found: Smoothed, first_day: float) -> str:
    """The first average, with the correction and without it"""
    day = SHOWN_DAYS[3]
    return (
        f"On the first day, of {first_day:.1f} degrees, the average with β = {found.beta:g} is"
        f" {found.plain[0]:.1f} without the correction and {found.corrected[0]:.1f} with it; after {day} days"
        f" it is {found.plain[day - 1]:.1f} and {found.corrected[day - 1]:.1f}."
    )


def noise_left(beta: float) -> float:
    """√((1 − β)/(1 + β)): what an average leaves of values that have nothing to do with each other"""
    return math.sqrt((1 - beta) / (1 + beta))


def _compare(beta: float, sides: Mapping[str, Smoothed]) -> list[Comparison]:
    one, *others = sides.values()
    rows = []
    for kind, what in (("plain", "without correction"), ("corrected", "with correction")):
        agrees = all(np.abs(getattr(one, kind) - getattr(other, kind)).max() <= TOLERANCE for other in others)
        for day in (1, DAYS):
            values = {side: f"{getattr(found, kind)[day - 1]:.16g}" for side, found in sides.items()}
            why = f"all {DAYS} days, to within {TOLERANCE:g}"
            rows.append(Comparison(f"β = {beta:g}", f"{what}, day {day}", None, values, agrees, why))
    return rows


def _trade(averages: Mapping[float, Smoothed]) -> Table:
    rows = [
        (
            f"{beta:g}",
            f"{found.window:.0f}",
            f"{found.late}",
            f"{beta / (1 - beta):.0f}",
            f"{found.noise:.2f}",
            f"{noise_left(beta):.2f}",
            f"{found.distance:.2f}",
        )
        for beta, found in averages.items()
    ]
    header = (
        "β",
        "1/(1 − β)",
        "days late",
        "mean age, β/(1 − β)",
        "weather left",
        "√((1 − β)/(1 + β))",
        "degrees from the season",
    )
    return Table("Calm or in time: what each β comes to, and what formulas say of it", header, rows)


def _start(averages: Mapping[float, Smoothed]) -> Table:
    found = averages[BETAS[-1]]
    rows = [
        (
            f"{day}",
            f"{1 - found.beta**day:.4f}",
            f"{found.plain[day - 1]:.2f}",
            f"{found.corrected[day - 1]:.2f}",
        )
        for day in SHOWN_DAYS
    ]
    header = ("day t", "sum of the weights, 1 − βᵗ", "without correction", "with it")
    return Table(f"The start with β = {found.beta:g}, in degrees", header, rows)


def _year(found: Mapping[float, Mapping[str, Smoothed]]) -> Figure:
    days = np.arange(1, DAYS + 1)
    with figures.drawing(height=3.8) as (drawing, axes):
        axes.plot(days, season() + weather(), ".", color="0.75", ms=4, label="days")
        axes.plot(days, season(), color="0.4", lw=0.9, label="season")
        _plot(axes, found, "corrected")
        axes.set(xlabel="day", ylabel="degrees")
        figures.legend_below(drawing, axes, columns=5)
    return figure("weighted_averages-year", drawing)


def _starts(found: Mapping[float, Mapping[str, Smoothed]]) -> Figure:
    days = np.arange(1, DAYS + 1)
    with figures.drawing(columns=2, sharey=True) as (drawing, axes):
        for one, (kind, title) in zip(
            axes, (("plain", "without correction"), ("corrected", "with correction")), strict=True
        ):
            one.plot(days, season() + weather(), ".", color="0.75", ms=4, label="days")
            _plot(one, found, kind)
            one.set(title=title, xlabel="day", xlim=(0, 100))
        axes[0].set(ylabel="degrees")
        figures.legend_below(drawing, axes[0], columns=4)
    return figure("weighted_averages-start", drawing)


def _weights() -> Figure:
    ages = np.arange(0, 120)
    with figures.drawing() as (drawing, axes):
        for i, beta in enumerate(BETAS, start=1):
            style = figures.side_style(i, "", ())
            axes.plot(ages, (1 - beta) * beta**ages, label=f"β = {beta:g}", **style)
            window = 1 / (1 - beta)
            axes.plot(window, (1 - beta) * beta**window, "o", color=style["color"])
        axes.set(xlabel="age of the value, days", ylabel="its weight", yscale="log", ylim=(1e-4, 1))
        axes.legend()
    return figure("weighted_averages-weights", drawing)


def _plot(axes: Any, found: Mapping[float, Mapping[str, Smoothed]], kind: str) -> None:
    days = np.arange(1, DAYS + 1)
    for i, (beta, sides) in enumerate(found.items(), start=1):
        for side, smoothed in sides.items():
            label = "_" if figures.is_wide(side, sides) else f"β = {beta:g}"
            axes.plot(days, getattr(smoothed, kind), label=label, **figures.side_style(i, side, sides))
