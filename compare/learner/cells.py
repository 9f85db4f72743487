"""Notebook files (.ipynb, nbformat 4): the code in them, and exercises as one."""

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIX = ".ipynb"
NOT_PARSED = (
    SyntaxError,
    ValueError,
    RecursionError,
    MemoryError,
)  # the last three of what nobody wrote by hand
NOT_PYTHON = re.compile(r"(\s*)(?:(?:\w+\s*=\s*)?(?:%{1,2}[a-zA-Z]|!)|\?|[\w.]+\?{1,2}\s*$)")  # IPython's own
PYTHON_MAGICS = {"check", "time", "timeit", "capture", "prun"}  # what is below them is Python
DEFINED = re.compile(r"^(?:(?:async )?def|class) +(\w+)|^(\w+) *=", re.MULTILINE)  # in what does not parse


@dataclass(frozen=True)
class Step:
    """What runs or fails as one: a statement, or the error of a cell that does not parse.

    Args:
        line: in the module
        names: that it is to define
    """

    line: int
    names: set[str]
    code: ast.stmt | Exception


@dataclass(frozen=True)
class Code:
    """The code cells of a notebook, one below the other, as a module.

    Args:
        text: the module, where a cell that does not parse is as many empty lines
        places: of each line, the number of the code cell, and that of the line in it
        steps: what there is to run, in order
    """

    text: str
    places: list[tuple[int, int]]
    steps: list[Step]


def read(path: Path) -> Code:
    """The code in a notebook, without what is not Python: magics, and commands of a shell

    The code cells count from 1: those are their numbers in the notebook too, after “Restart and run all”.

    Raises:
        ValueError: no notebook of nbformat 4.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("not a notebook of nbformat 4") from None
    lines: list[str] = []
    places: list[tuple[int, int]] = []
    steps: list[Step] = []
    for cell, source in enumerate(sources, 1):
        code = _python(source).split("\n")
        try:
            tree = ast.increment_lineno(ast.parse("\n".join(code), str(path)), len(lines))
            steps += [Step(statement.lineno, _names(statement), statement) for statement in tree.body]
        except NOT_PARSED as error:
            names = {name for found in DEFINED.findall("\n".join(code)) for name in found if name}
            line = min(getattr(error, "lineno", None) or 1, len(code))
            steps.append(Step(len(lines) + line, names, error))
            code = [""] * len(code)
        lines += code
        places += [(cell, line) for line in range(1, len(code) + 1)]
    return Code("\n".join(lines) + "\n", places, steps)


def _names(statement: ast.stmt) -> set[str]:
    """Those that a statement defines or assigns to."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}


def _python(source: str) -> str:
    """A cell of as many lines; what Python can read is left as it is, also a line that begins with %."""
    lines = source.splitlines()
    if lines and lines[0].startswith("%%"):
        magic = re.match(r"\w*", lines[0][2:])
        lines[0] = ""
        if magic is None or magic[0] not in PYTHON_MAGICS:
            return "\n" * (len(lines) - 1)
    try:
        ast.parse("\n".join(lines))
    except NOT_PARSED:
        lines = [f"{found[1]}pass" if (found := NOT_PYTHON.match(line)) else line for line in lines]
    return "\n".join(lines)


def write(cells: Iterable[tuple[str, str]]) -> str:
    """The text of a notebook file, without results

    Args:
        cells: kind (markdown or code) and source of each
    """
    document: dict[str, Any] = {
        "cells": [_cell(number, *cell) for number, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source.splitlines(True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
