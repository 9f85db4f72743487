"""Files to fill in: the signature and docstring of a component's functions, and no body."""

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterable

from compare.component import Component

HEADER = '''"""{title}

Fill in the functions, then hold them against the reference:

    python -m compare check {file}
"""

from __future__ import annotations

import numpy as np
'''


def exercise(components: Iterable[Component], file: str) -> str:
    """The text of an exercise file on these components, in their order

    Args:
        components: what to write oneself
        file: the name of the file, which its first lines tell, as a shell reads it
    """
    file = file.replace("\\", "\\\\").replace('"', '\\"')
    components = list(components)
    title = ", ".join(component.name for component in components) + "."
    if len(components) > 3:
        title = f"The study day: {len(components)} components, in teaching order."
    done: set[tuple[str, str]] = set()
    parts = []
    for component in components:
        for name in top_level(component.functions):
            if (component.topic, name) not in done:
                done.add((component.topic, name))
                parts.append(stub(component.topic, name))
    return HEADER.format(title=title, file=file) + "".join(f"\n\n{part}\n" for part in parts)


def top_level(functions: Iterable[str]) -> list[str]:
    """The functions and classes behind names that may be Class.method, each once."""
    return list(dict.fromkeys(name.partition(".")[0] for name in functions))


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
