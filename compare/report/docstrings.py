"""What the pages quote of docstrings: the formulas they begin with, and their prose."""

import functools
import importlib
import inspect
import re

from markupsafe import Markup

from compare.component import Component
from compare.report.formulas import math, typeset


@functools.cache
def introduction(topic: str, package: str) -> Markup:
    """What the file of a topic says of itself."""
    return prose(inspect.getdoc(importlib.import_module(f"{package}.{topic}")) or "")


def formulas(component: Component) -> list[tuple[str, Markup]]:
    """The functions that stand in `scratch/`, each with the formulas of its docstring."""
    return [(name, formula(text)) for name, text in component.docstrings.items() if text]


@functools.cache
def formula(docstring: str) -> Markup:
    """What a docstring begins with, a formula a line, and the blocks of formulas that it derives it by."""
    first, *others = _paragraphs(docstring)
    lines = (typeset(line, display=True) for line in re.split(r",  +", first))
    shown = [Markup('<p class="formula">{}</p>').format(line) for line in lines]
    before = ""
    for paragraph in others:
        if paragraph.startswith("    "):
            shown += [Markup("<p>{}</p>").format(typeset(before))] if before.endswith(":") else []
            shown.append(_derivation(paragraph))
        before = paragraph
    return Markup("\n").join(shown)


def prose(docstring: str) -> Markup:
    """A docstring's paragraphs, with the formulas in them."""
    return Markup("\n").join(
        _derivation(paragraph)
        if paragraph.startswith("    ")
        else Markup("<p>{}</p>").format(typeset(" ".join(paragraph.split())))
        for paragraph in _paragraphs(docstring)
    )


def _paragraphs(docstring: str) -> list[str]:
    """Up to the arguments, which only a programmer needs."""
    text = re.split(r"\n\n(?:Args|Returns|Raises):\n|\n\n>>> ", docstring)[0]
    return [paragraph for paragraph in text.split("\n\n") if paragraph]


def _derivation(block: str) -> Markup:
    """Indented lines as a table: what is to the left of the first relation, the rest, and a remark."""
    rows = []
    for line in block.splitlines():
        main, *remarks = re.split(r" {2,}", re.sub(r"(?<=\S) +(?==|←)", " ", line.strip()))
        relation = re.search("[=←]|$", main)
        assert relation is not None
        left, right = main[: relation.start()].strip(), main[relation.start() :]
        cells = [left, right] if right else ["", left]
        formulas = [math(cell, display=True) if cell else "" for cell in cells]
        rows.append(Markup("<td>{}</td>" * 3).format(*formulas, typeset("  ".join(remarks), display=True)))
    body = Markup("").join(Markup("<tr>{}</tr>\n").format(row) for row in rows)
    return Markup(
        '<div class="scroll"><table class="derivation" role="presentation">{}</table></div>'
    ).format(body)
