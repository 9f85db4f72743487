"""What the search box of every page finds: components, their mistakes, conventions, experiments and pages.

What learners call them is in search.toml.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from compare.component import Component
from compare.report.conventions import Convention
from compare.report.rendering import anchor

COMMON = {"the", "and", "for", "with", "that", "its", "from", "one", "are", "not", "this"}
with open(Path(__file__).with_name("search.toml"), "rb") as file:
    SOUGHT: dict[str, list[str]] = tomllib.load(file)


def index(
    components: Sequence[Component],
    conventions: Iterable[Convention],
    experiments: Iterable[tuple[str, str]],
    parts: Iterable[tuple[str, str]],
) -> Markup:
    """The index as JSON, to stand in a <script>

    Args:
        components: each with what it is called on both sides, words of its formulas, and its mistakes
        conventions: by their words
        experiments: (name, title)
        parts: (address, title) of the other pages
    """
    found: dict[str, Any] = {
        "parts": [*parts],
        "components": [_component(component) for component in components],
        "conventions": [[row.word, anchor(row.word), " ".join(row.components)] for row in conventions],
        "experiments": [*experiments],
        "called": _called(components),
    }
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _component(component: Component) -> list[Any]:
    texts = [text.split("\n\n")[0] for text in component.docstrings.values()]
    said = " ".join([component.topic, *component.functions, *component.reference, *texts])
    known = set(re.findall(r"\w+", component.name.lower()))
    words = dict.fromkeys(word for word in re.findall(r"[^\W\d]\w+", said.lower()) if word not in known)
    mistakes = [mistake.name for mistake in component.mistakes]
    return [component.name, " ".join(word for word in words if word not in COMMON), mistakes]


def _called(components: Iterable[Component]) -> dict[str, list[str]]:
    """Address → what learners call what is there."""
    mistakes = {
        f"components/{component.name}.html: {mistake.name}": f"components/{component.name}.html#mistake-{i}"
        for component in components
        for i, mistake in enumerate(component.mistakes, 1)
    }
    called: dict[str, list[str]] = {}
    for words, places in SOUGHT.items():
        for place in places:
            called.setdefault(mistakes.get(place, place), []).extend(words.split(", "))
    return called
