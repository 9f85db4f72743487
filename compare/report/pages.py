"""The page: every component with its formula, both sources, what was measured, and what goes wrong with it.

One file that needs a browser and nothing else: no script, no request to any host.
"""

import importlib
import inspect
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

from compare.cases import bad_input
from compare.component import Component, Definition, path_of
from compare.files import unfinished_name, write_whole
from compare.measure import units_text
from compare.report import conventions
from compare.report.formulas import math, typeset
from compare.report.report import Report, as_json, last_loss, share, ulp_text, worst_of_cases
from compare.report.sources import with_what_they_call
from compare.training.lockstep import TrainingResult


def _figures(runs: list[TrainingResult]) -> list[tuple[str, Markup]]:
    from compare.report.plots import figures  # with matplotlib, which takes half as long as PyTorch

    return figures(runs)


def as_html(report: Report) -> str:
    """The page of a report; of one without results, the page that says so."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("compare.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "units": units_text,
        "ulp": ulp_text,
        "share": share,
        "title": lambda name: name[:1].upper() + name[1:].replace("_", " "),
        "sentence": lambda text: text[:1].upper() + text[1:],
        "breakable": lambda name: escape(name).replace("_", Markup("_<wbr>")),
        "typeset": typeset,
        "code": lambda text: Markup("\n").join(highlighted(text)),
        "anchor": anchor,
    }
    shown = {component.name for component in report.components}
    runs: dict[tuple[str, int], list[TrainingResult]] = {}
    for run in report.training:
        runs.setdefault((run.name, run.seed), []).append(run)
    return templates.get_template("site.html").render(
        report=report,
        topics=[(t, list(group)) for t, group in groupby(report.components, key=lambda c: c.topic)],
        runs=runs,
        introduction=introduction,
        formula=formula,
        formulas=formulas,
        sides=sides,
        listing=listing,
        bad_input=bad_input,
        as_diff=as_diff,
        worst_of_cases=worst_of_cases,
        conventions=[row for row in conventions.CONVENTIONS if shown & {*row.components}],
        conventions_of=conventions.of_component,
        number_texts=conventions.number_texts,
        numbers=conventions.numbers,
        getsource=inspect.getsource,
        figures=_figures,
        last_loss=last_loss,
    )


# What docstrings say


def introduction(topic: str, package: str) -> Markup:
    """What the file of a topic says of itself."""
    return prose(inspect.getdoc(importlib.import_module(f"{package}.{topic}")) or "")


def formulas(component: Component) -> list[tuple[str, Markup]]:
    """The functions that stand in `scratch/`, each with the formulas of its docstring."""
    return [(name, formula(text)) for name, text in component.docstrings.items() if text]


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


# Source code


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
        '<a href="#{prefix}{number}" tabindex="-1" data-line="{number}"></a>{code}\n</span>'
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


def highlighted(code: str) -> list[Markup]:
    """The lines of Python code, with <span>s for the kinds of word that have a colour."""
    lines = [Markup("")]
    for token, text in _LEXER.get_tokens(code):
        kind = next((kind for type_, kind in _CLASSES if token in type_), "")
        for i, piece in enumerate(text.split("\n")):
            if i:
                lines.append(Markup(""))
            if piece:
                shown = escape(piece).replace("/", Markup("/<wbr>")) if "://" in piece else piece
                lines[-1] += Markup('<span class="{}">{}</span>').format(kind, shown) if kind else shown
    return lines


def anchor(word: str) -> str:
    """The id of a convention."""
    return "convention-" + re.sub(r"\W+", "-", word.lower())


# Writing


def check_folder(folder: Path) -> None:
    """Make the folder of the report, and raise OSError unless files can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = unfinished_name(folder / "probe")
    probe.touch()
    probe.unlink()


def write(report: Report, folder: Path) -> Path:
    """Write report.json and index.html; return the path of the page."""
    _write({"report.json": as_json(report), "index.html": as_html(report)}, folder)
    return folder / "index.html"


def write_site(report: Report, folder: Path) -> Path:
    """Write the page alone, and return its path."""
    _write({"index.html": as_html(report)}, folder)
    return folder / "index.html"


def _write(texts: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole({name: text.encode() for name, text in texts.items()}, folder)
