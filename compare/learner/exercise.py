"""Files to fill in: what a component's functions are called, take and give back, and no body.

How much the file gives away is for whoever fills it in to say: `none` tells what a function computes, `some`
its formula if it is a forward pass (a backward pass is there to be derived), `all` our whole docstring. The
words stand in exercise.toml. Other forms than ours are those of `torch_ref/`, read from there, and published
ones, whose stubs stand in published_stubs.toml.
"""

import ast
import builtins
import functools
import importlib
import inspect
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from compare.cases.names import Entry
from compare.learner import cells

HINTS = ("none", "some", "all")
PUBLISHED = ("coursera", "cs231n")
FORMS = ("scratch", "torch", *PUBLISHED)
WIDTH = 105
INDENT = "    "
HEADER = '''"""{title}

Fill in the functions, then hold them against the reference:

    python -m compare check {file}
"""
'''
NOTEBOOK = """Fill in the functions. Running a cell says what is right, or which mistake it is;
`python -m compare check {file}` checks them all."""


class NoStubError(ValueError):
    """Nothing to fill in: the published form has none of these components."""


def exercise(entries: Iterable[Entry], file: str, hints: str = "some", form: str = "scratch") -> str:
    """The text of an exercise file on these components, in their order

    Args:
        entries: what to write oneself
        file: the name of the file, which its first lines tell, as a shell reads it
        hints: none, some or all
        form: scratch, torch, or a published one

    Raises:
        NoStubError: the form has none of them.
    """
    file = file.replace("\\", "\\\\").replace('"', '\\"')
    parts = _parts(list(entries), hints, form)
    title = _title([entry for entry, _ in parts])
    own = "\n\n\n".join(stub for _, stubs in parts for stub in stubs)
    return "\n".join([HEADER.format(title=title, file=file), *_imports(own)]) + f"\n\n\n{own}\n"


def day(entries: Iterable[Entry], file: str, hints: str = "some", form: str = "scratch") -> str:
    """The text of the same as a notebook: for each component a heading, and a cell that checks itself."""
    parts = _parts(list(entries), hints, form)
    own = "\n\n\n".join(stub for _, stubs in parts for stub in stubs)
    title = _title([entry for entry, _ in parts])
    found = [
        ("markdown", f"# {title}\n\n{NOTEBOOK.format(file=file)}"),
        ("code", "\n".join([*_imports(own), "%load_ext compare"])),
    ]
    for entry, stubs in parts:
        found.append(("markdown", f"## {entry.name}"))
        found.append(("code", "\n\n\n".join(["%%check", *stubs])))
    return cells.write(found)


def stubs(entries: Iterable[Entry], hints: str = "some", form: str = "scratch") -> str:
    """The functions of these components, one below the other, to fill in."""
    return "\n\n\n".join(stub for _, own in _parts(list(entries), hints, form) for stub in own)


def _parts(entries: Sequence[Entry], hints: str, form: str) -> list[tuple[Entry, list[str]]]:
    parts = list(_published(entries, form) if form in PUBLISHED else _shared_out(entries, hints, form))
    if not parts:
        names = ", ".join(entry.name for entry in entries)
        raise NoStubError(f"form {form}: there is none of {names}; it has {', '.join(_stubs()[form])}")
    return parts


def _shared_out(entries: Iterable[Entry], hints: str, form: str) -> Iterator[tuple[Entry, list[str]]]:
    """Each component with what is to be filled in for it, and was not for one before it."""
    done: set[tuple[str, str]] = set()
    for entry in entries:
        package, functions = (
            ("torch_ref", entry.reference) if form == "torch" else ("scratch", entry.functions)
        )
        names = [(entry.topic, name) for name in functions]
        if own := [_stub(package, *name, hints) for name in names if name not in done]:
            yield entry, own
        done.update(names)


def _published(entries: Iterable[Entry], form: str) -> Iterator[tuple[Entry, list[str]]]:
    for entry in entries:
        if text := _stubs()[form].get(entry.name):
            yield entry, [text.strip()]


def _title(entries: Sequence[Entry]) -> str:
    if len(entries) > 3:
        return f"The study day: {len(entries)} components, in teaching order."
    return ", ".join(entry.name for entry in entries) + "."


def _imports(code: str) -> list[str]:
    """What the stubs themselves need."""
    tree = ast.parse(code)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [text for name, text in IMPORTS.items() if name in used]


IMPORTS = {"np": "import numpy as np", "torch": "import torch"}


def _stub(package: str, topic: str, name: str, hints: str) -> str:
    """A definition of `<package>.<topic>` with `raise NotImplementedError` for every body."""
    if package == "torch_ref" and name in _stubs()["torch"]:
        return _stubs()["torch"][name].strip()
    source = inspect.getsource(importlib.import_module(f"{package}.{topic}"))
    definition = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    )
    if isinstance(definition, ast.FunctionDef):
        return _function(source, definition, _text(package, definition, hints))
    methods = [child for child in definition.body if isinstance(child, ast.FunctionDef)]
    public = [method for method in methods if not method.name.startswith("_") or method.name == "__init__"]
    bases = ", ".join(ast.unparse(base) for base in definition.bases if _is_known(base))
    head = f"class {name}({bases}):" if bases else f"class {name}:"
    parts = [*_docstring(ast.get_docstring(definition) or "")]
    parts += [f"\n{_function(source, method, ast.get_docstring(method) or '')}" for method in public]
    return "\n".join([head, *(textwrap.indent(part, INDENT) for part in parts)])


def _function(source: str, node: ast.FunctionDef, text: str) -> str:
    """The signature, without the names that a file to fill in would not have, and the docstring."""
    decorators = [f"@{ast.unparse(d)}" for d in node.decorator_list if _is_known(d)]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and _is_known(node.returns) else ""
    arguments = list(_arguments(source, node.args))
    head = f"def {node.name}({', '.join(arguments)}){returns}:"
    if len(head) > WIDTH:
        lines = textwrap.wrap(" ".join(f"{a},".replace(" ", "\0") for a in arguments), WIDTH - len(INDENT))
        wrapped = "\n".join(f"{INDENT}{line}" for line in lines).replace("\0", " ")
        head = f"def {node.name}(\n{wrapped}\n){returns}:"
    body = [*_docstring(text), "raise NotImplementedError"]
    return "\n".join([*decorators, head, *(textwrap.indent(part, INDENT) for part in body)])


def _arguments(source: str, arguments: ast.arguments) -> Iterator[str]:
    in_place = [*arguments.posonlyargs, *arguments.args]
    missing = [None] * (len(in_place) - len(arguments.defaults))
    for argument, default in zip(in_place, [*missing, *arguments.defaults], strict=True):
        yield _argument(source, argument, default)
    if arguments.vararg:
        yield f"*{_argument(source, arguments.vararg, None)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(source, argument, default)
    if arguments.kwarg:
        yield f"**{_argument(source, arguments.kwarg, None)}"


def _argument(source: str, argument: ast.arg, default: ast.expr | None) -> str:
    is_known = argument.annotation is not None and _is_known(argument.annotation)
    text = f"{argument.arg}: {ast.unparse(argument.annotation)}" if is_known else argument.arg  # type: ignore[arg-type]
    if default is None:
        return text
    return f"{text}{' = ' if is_known else '='}{ast.get_source_segment(source, default)}"


def _text(package: str, node: ast.FunctionDef, hints: str) -> str:
    """What a function's docstring says."""
    ours = ast.get_docstring(node) or ""
    if package == "torch_ref":  # formulas of forward passes
        return "" if hints == "none" else ours
    if hints == "all" or node.name not in _words()["functions"]:
        return ours
    about = _words()["functions"][node.name]
    parts = [_line(about["does"])]
    if hints == "some" and not node.name.endswith(("_backward", "_gradient")):
        formula, *others = ours.split("\n\n")
        parts += [formula, *(block for block in others[:1] if block.startswith(INDENT))]
    known = _words()["arguments"] | about.get("arguments", {})
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    parts.append("\n".join(["Args:", *(_line(f"{INDENT}{name}: {known[name]}") for name in names)]))
    return "\n\n".join([*parts, _line(f"Returns {about['returns']}.")])


def _docstring(text: str) -> Iterator[str]:
    if text:
        yield f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def _line(text: str) -> str:
    margin = text[: len(text) - len(text.lstrip())]
    return "\n".join(textwrap.wrap(text, WIDTH - len(INDENT), subsequent_indent=margin + INDENT))


def _is_known(node: ast.expr) -> bool:
    """Whether a file that imports NumPy and PyTorch alone knows all the names."""
    names = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    quoted = any(isinstance(child, ast.Constant) and isinstance(child.value, str) for child in ast.walk(node))
    return not quoted and names <= {*IMPORTS, *vars(builtins)}


@functools.cache
def _words() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("exercise.toml").read_text(encoding="utf-8"))


@functools.cache
def _stubs() -> dict[str, dict[str, str]]:
    """Form → component (of torch, name in torch_ref) → stub, where it is not read from the source."""
    return tomllib.loads(Path(__file__).with_name("published_stubs.toml").read_text(encoding="utf-8"))
