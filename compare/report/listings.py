"""Source code to show: both versions of a component, its mistakes as diffs, in the colours of the page."""

import functools
import importlib
from dataclasses import dataclass

from markupsafe import Markup, escape
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

from compare.component import Component, Definition, path_of
from compare.report.sources import with_what_they_call


@dataclass(frozen=True)
class Side:
    """One of the two versions of a component."""

    package: str
    path: str
    definitions: list[Definition]

    @property
    def first_lines(self) -> dict[str, int]:
        """Where each definition begins in its file."""
        return {definition.name: definition.first for definition in self.definitions}


def sides(component: Component) -> list[Side]:
    """Both versions: what is compared, and what it calls."""
    names = {"scratch": component.functions, "torch_ref": component.reference}
    modules = {package: importlib.import_module(f"{package}.{component.topic}") for package in names}
    return [
        Side(package, path_of(module), with_what_they_call(module, names[package]))
        for package, module in modules.items()
    ]


def as_diff(text: str) -> Markup:
    """A diff, line by line: the right one, which the mistake takes away, and the wrong one."""
    kinds = {"-": "right", "+": "wrong"}
    lines = text.splitlines()
    shown = [Markup('<span class="{}">{}</span>').format(kinds.get(line[:1], "same"), line) for line in lines]
    return Markup("\n").join(shown)


def listing(definition: Definition, prefix: str) -> Markup:
    """The lines of a definition, numbered as in its file; each can be linked to."""
    line = Markup(
        '<span class="line" id="{prefix}{number}" style="--indent:{indent}">'
        '<a href="#{prefix}{number}" tabindex="-1" aria-hidden="true" data-line="{number}"></a>'
        "{code}\n</span>"
    )
    return Markup("").join(
        line.format(prefix=prefix, number=number, indent=len(plain) - len(plain.lstrip()), code=code)
        for number, (plain, code) in enumerate(
            zip(definition.code.split("\n"), highlighted(definition.code), strict=True), definition.first
        )
    )


_LEXER = PythonLexer(stripnl=False, ensurenl=False)
_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Keyword, "k"),
    (String.Doc, "d"),
    (String, "s"),
    (Number, "m"),
    (Comment, "c"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Builtin, "b"),
    (Name.Decorator, "b"),
)


@functools.cache
def highlighted(code: str) -> list[Markup]:
    """The lines of Python code, with <span>s for the kinds of word that have a colour."""
    lines = [""]
    for token, text in _LEXER.get_tokens(code):
        kind = _kind(token)
        for i, piece in enumerate(text.split("\n")):
            if i:
                lines.append("")
            if piece:
                shown = str(escape(piece))
                if "://" in piece:
                    shown = shown.replace("/", "/<wbr>")
                lines[-1] += f'<span class="{kind}">{shown}</span>' if kind else shown
    return [Markup(line) for line in lines]


@functools.cache
def _kind(token: _TokenType) -> str:
    return next((kind for type_, kind in _CLASSES if token in type_), "")
