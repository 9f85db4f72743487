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
    conventions: Sequence[Convention],
    experiments: Sequence[tuple[str, str]],
    parts: Sequence[tuple[str, str]],
    widgets: Sequence[tuple[str, str]],
) -> Markup:
    """The index as JSON, to stand in a <script>

    Args:
        components: each with what it is called on both sides, words of its formulas, and its mistakes
        conventions: by their words
        experiments: (name, title)
        parts: (address, title) of the other pages
        widgets: (address, title)
    """
    others = [address for address, _ in [*parts, *widgets]]
    others += [f"experiments/{name}.html" for name, _ in experiments]
    others += [f"conventions.html#{anchor(row.word)}" for row in conventions]
    found: dict[str, Any] = {
        "parts": [*parts],
        "widgets": [*widgets],
        "components": [_component(component) for component in components],
        "conventions": [[row.word, anchor(row.word), " ".join(row.components)] for row in conventions],
        "experiments": [*experiments],
        "called": _called(components, others),
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


def _called(components: Iterable[Component], others: Iterable[str]) -> dict[str, list[str]]:
    """Address → what learners call what is there; `others` are the addresses that belong to no component."""
    known = {address: address for address in others}
    for component in components:
        page = f"components/{component.name}.html"
        known[page] = page
        for i, mistake in enumerate(component.mistakes, 1):
            known[f"{page}: {mistake.name}"] = f"{page}#mistake-{i}"
    called: dict[str, list[str]] = {}
    for words, places in SOUGHT.items():
        for place in places:
            if place in known:  # a site of some components alone has not all of them
                called.setdefault(known[place], []).extend(words.split(", "))
    return called
