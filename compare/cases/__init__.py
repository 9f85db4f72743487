"""The components, a file a topic: every one there is, in the order of the study day."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

import scratch
from compare.cases.names import STUDY_DAY

if TYPE_CHECKING:
    from compare.component import Component

TOPICS = sorted(  # the files that have one of the same name in scratch/; what is not of the study day, last
    {file.name for file in pkgutil.iter_modules(__path__)}
    & {file.name for file in pkgutil.iter_modules(scratch.__path__)},
    key=lambda topic: (topic not in STUDY_DAY, STUDY_DAY.index(topic) if topic in STUDY_DAY else topic),
)


def all_components() -> dict[str, "Component"]:
    """Name → component."""
    components = [
        component
        for topic in TOPICS
        for component in importlib.import_module(f"compare.cases.{topic}").COMPONENTS
    ]
    return {component.name: component for component in components}


def select(names: str | None) -> list["Component"]:
    """The components that a comma-separated list names (a topic names all of its own); all for None

    In teaching order, whatever the order of the names.

    Raises:
        ValueError: a name that is neither a component nor a topic.
    """
    components = all_components()
    if names is None:
        return list(components.values())
    chosen: set[str] = set()
    for name in filter(None, (part.strip() for part in names.split(","))):
        found = [c for c in components.values() if name in (c.name, c.topic)]
        if not found:
            raise ValueError(f"unknown component {name!r}: `python -m compare list` names them all")
        chosen |= {component.name for component in found}
    if not chosen:
        raise ValueError("no component named: `python -m compare list` names them all")
    return [component for component in components.values() if component.name in chosen]
