"""Changes of a source that cosmic-ray's operators do not make: something is left out."""

import ast
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Edit:
    """One change: what stands from `start` to `end` (line, byte), replaced."""

    kind: str
    start: tuple[int, int]
    end: tuple[int, int]
    text: str

    def applied_to(self, source: str) -> str:
        """The whole source, changed."""
        data = source.encode()
        lines = [0, *(i + 1 for i, byte in enumerate(data) if byte == ord("\n"))]
        first, last = (lines[row - 1] + column for row, column in (self.start, self.end))
        return (data[:first] + self.text.encode() + data[last:]).decode()


def edits(source: str) -> list[Edit]:
    """All of them, always in the same order.

    argument    a keyword argument of a call, or its last other one: where the callee has a default
    method      a method called without arguments, `x.copy()` → `x`
    statement   a call whose value is not used, an assignment that changes what was there before
    loop        ends after the first round: of many layers or groups, one is looked at
    finally     does nothing where an exception comes through
    """
    found = [edit for node in nodes(ast.parse(source)) for edit in edits_of(node)]
    statements = {(edit.start, edit.end) for edit in found if edit.kind == "statement"}
    # A call that is a whole statement is left out already.
    return [edit for edit in found if edit.kind != "method" or (edit.start, edit.end) not in statements]


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All but decorators, which cosmic-ray drops, and f-strings: before Python 3.12, parts have no place."""
    yield node
    decorators = getattr(node, "decorator_list", [])
    for child in ast.iter_child_nodes(node):
        if child not in decorators and not isinstance(child, ast.JoinedStr):
            yield from nodes(child)


def edits_of(node: ast.AST) -> Iterator[Edit]:
    if isinstance(node, ast.Call):
        named = [keyword for keyword in node.keywords if keyword.arg]
        for keyword in named:
            others = [other for other in node.keywords if other is not keyword]
            yield edit("argument", node, ast.unparse(ast.Call(node.func, node.args, others)))
        if node.args and not isinstance(node.args[-1], ast.Starred):
            yield edit("argument", node, ast.unparse(ast.Call(node.func, node.args[:-1], node.keywords)))
        if isinstance(node.func, ast.Attribute) and not (node.args or node.keywords):
            yield edit("method", node, ast.unparse(node).removesuffix(f".{node.func.attr}()"))
    if is_effect(node):
        yield edit("statement", node, "pass")
    if isinstance(node, ast.For | ast.comprehension):
        yield edit("loop", node.iter, f"list({ast.unparse(node.iter)})[:1]")
    if isinstance(node, ast.Try) and node.finalbody:
        body = textwrap.indent("\n".join(map(ast.unparse, node.finalbody)), " " * (node.col_offset + 8))
        text = f"if __import__('sys').exc_info()[0] is None:\n{body}"
        yield Edit("finally", place(node.finalbody[0])[0], place(node.finalbody[-1])[1], text)


def is_effect(node: ast.AST) -> bool:
    """Whether the statement only changes something: without it, no name is missing."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) or node.value is None:
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    assigned = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
    used = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    stored = any(isinstance(n, ast.Attribute | ast.Subscript) for target in targets for n in ast.walk(target))
    return isinstance(node, ast.AugAssign) or stored or bool(assigned & used)


def edit(kind: str, node: Any, text: str) -> Edit:
    return Edit(kind, *place(node), text)


def place(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
