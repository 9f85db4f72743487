"""The study day: its steps, and where in it a component stands. The texts are in day.toml."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compare.component import Component

LAST = "random"  # the topic that comes after the day


@dataclass(frozen=True)
class Step:
    """One step of the day.

    Args:
        number: from 1
        title, text: what it is about
        components: names of components or topics
        experiments: names
    """

    number: int
    title: str
    text: str
    components: Sequence[str]
    experiments: Sequence[str]

    @property
    def anchor(self) -> str:
        """Its id on the first page."""
        return f"step-{self.number}"


with open(Path(__file__).with_name("day.toml"), "rb") as file:
    STEPS = [Step(number, **said) for number, said in enumerate(tomllib.load(file)["step"], 1)]


def step_of(component: Component) -> Step | None:
    """The step that names the component, or else its topic; None after the day."""
    for name in (component.name, component.topic):
        for step in STEPS:
            if name in step.components:
                return step
    return None


def step_of_experiment(name: str) -> Step | None:
    """The step that an experiment belongs to."""
    return next((step for step in STEPS if name in step.experiments), None)


def in_order(components: Iterable[Component]) -> list[Component]:
    """As they come, but the random streams last."""
    return sorted(components, key=lambda component: component.topic == LAST)
