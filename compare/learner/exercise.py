"""Files to fill in: the signature and docstring of a component's functions, and no body."""

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence

from compare.cases.names import Entry
from compare.learner import cells

HEADER = '''"""{title}

Fill in the functions, then hold them against the reference:

    python -m compare check {file}
"""

from __future__ import annotations

import numpy as np
'''

NOTEBOOK = """Fill in the functions. Running a cell says what is right, or which mistake it is;
`python -m compare check {file}` checks them all."""

IMPORTS = """from __future__ import annotations

import numpy as np
%load_ext compare"""


def exercise(components: Iterable[Entry], file: str) -> str:
    """The text of an exercise file on these components, in their order

    Args:
        components: what to write oneself
        file: the name of the file, which its first lines tell, as a shell reads it
    """
    file = file.replace("\\", "\\\\").replace('"', '\\"')
    components = list(components)
    return HEADER.format(title=_title(components), file=file) + f"\n\n{stubs(components)}\n"


def day(components: Iterable[Entry], file: str) -> str:
    """The text of the same as a notebook: for each component a heading, and a cell that checks itself."""
    components = list(components)
    start = f"# {_title(components)}\n\n{NOTEBOOK.format(file=file)}"
    parts = [("markdown", start), ("code", IMPORTS)]
    for component, own in _shared_out(components):
        parts.append(("markdown", f"## {component.name}"))
        parts.append(("code", "\n\n\n".join(["%%check", *own])))
    return cells.write(parts)


def stubs(components: Iterable[Entry]) -> str:
    """The functions of these components, one below the other, to fill in."""
    return "\n\n\n".join(part for _, own in _shared_out(components) for part in own)


def _shared_out(components: Iterable[Entry]) -> Iterator[tuple[Entry, list[str]]]:
    """Each component with what is to be filled in for it, and was not for one before it."""
    done: set[tuple[str, str]] = set()
    for component in components:
        names = [(component.topic, name) for name in component.functions]
        if own := [stub(*name) for name in names if name not in done]:
            yield component, own
        done.update(names)


def _title(components: Sequence[Entry]) -> str:
    if len(components) > 3:
        return f"The study day: {len(components)} components, in teaching order."
    return ", ".join(component.name for component in components) + "."


def stub(topic: str, name: str) -> str:
    """The source of a definition of `scratch.<topic>` with `raise NotImplementedError` for every body."""
    source = inspect.getsource(importlib.import_module(f"scratch.{topic}"))
    definition = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    )
    return "\n".join(_stub(source.splitlines(), definition))


def _stub(lines: list[str], node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    decorators = []
    for decorator in node.decorator_list:
        code = lines[decorator.lineno - 1 : decorator.end_lineno]
        is_python = hasattr(builtins, ast.unparse(decorator))  # our own is there to be read
        decorators += code if is_python else [re.sub(r"\S", r"# \g<0>", line, count=1) for line in code]
    start = node.body[0]
    has_docstring = isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant)
    head_ends = start.end_lineno if has_docstring else start.lineno - 1
    head = [*decorators, *lines[node.lineno - 1 : head_ends]]
    if isinstance(node, ast.FunctionDef):
        return [*head, " " * start.col_offset + "raise NotImplementedError"]
    methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    public = [method for method in methods if not method.name.startswith("_") or method.name == "__init__"]
    return [*head, *(line for method in public for line in ["", *_stub(lines, method)])]
