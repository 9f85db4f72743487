"""What an experiment leaves behind: a section of text, tables and figures, and the page of all sections."""

import base64
import io
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import matplotlib
from matplotlib.figure import Figure as Drawing

from compare.experiments.figures import STYLE
from compare.files import write_whole


@dataclass(frozen=True)
class Comparison:
    """One figure, and whether it came out: published (None where nobody published it), and of each side.

    `agrees` is the verdict; `why` says by what measure, or what a reader should know.
    """

    run: str  # of which training run; rows of one run follow each other
    what: str
    published: str | None
    values: dict[str, str]  # side → as text
    agrees: bool
    why: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with the name of its files and a caption that says what to see in it."""

    name: str
    drawing: Drawing
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text; numbers are set to the right."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Listing:
    """Code of the sides, beside each other, step by step."""

    caption: str
    steps: Sequence[tuple[str, dict[str, str]]]  # (name of the step, side → code)


@dataclass(frozen=True)
class Section:
    """What the page says of an experiment, in this order."""

    name: str
    title: str
    text: Sequence[str]  # paragraphs: what is done, and what to look for
    comparisons: Sequence[Comparison] = ()
    tables: Sequence[Table] = ()
    listings: Sequence[Listing] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()  # what people stumble over here
    diagnoses: Sequence[str] = ()  # of each trained model: bias, variance, and what to try next
    recipe: Sequence[str] = field(default_factory=tuple)  # the settings, a line each

    @property
    def agrees(self) -> bool:
        """Whether everything came out as it should."""
        return all(comparison.agrees for comparison in self.comparisons)


with open(Path(__file__).with_name("texts.toml"), "rb") as file:
    TEXTS = tomllib.load(file)


def texts(experiment: str, **values: Any) -> dict[str, Any]:
    """What texts.toml says of an experiment, for its section; `values` fill its braces."""
    said = TEXTS[experiment]
    return {
        "name": experiment,
        "title": said["title"],
        "text": [paragraph.format(**values) for paragraph in said["text"]],
        **remarks(said, **values),
    }


def remarks(said: Mapping[str, Any], **values: Any) -> dict[str, list[str]]:
    """The notes and the recipe of a table of texts.toml."""
    return {
        "notes": [note.format(**values) for note in said["notes"]],
        "recipe": [f"{name}: {line.format(**values)}" for name, line in said["recipe"].items()],
    }


def figure(name: str, drawing: Drawing, **values: Any) -> Figure:
    """A drawing with the caption that texts.toml has for it."""
    experiment = name.partition("-")[0]
    return Figure(name, drawing, TEXTS[experiment]["captions"][name].format(**values))


def write(
    sections: Sequence[Section], environment: dict[str, Any], options: dict[str, Any], folder: Path
) -> Path:
    """Write every figure as PNG and SVG, and the page with all of them inside; return the page's path.

    Everything is drawn before anything is written; each file gets its name only when it is whole.
    """
    files: dict[str, bytes] = {}
    for section in sections:
        for figure in section.figures:
            for kind in ("png", "svg"):
                files[f"{figure.name}.{kind}"] = _drawn(figure.drawing, kind)
    loader = jinja2.PackageLoader("compare.report")
    jinja = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    jinja.filters["groupby_in_order"] = lambda rows: groupby(rows, key=lambda row: row.run)
    images = {name: _data_uri(content) for name, content in files.items() if name.endswith(".svg")}
    page = jinja.get_template("experiments.html").render(
        sections=sections, environment=environment, options=options, images=images
    )
    files["experiments.html"] = page.encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(files, folder)
    return folder / "experiments.html"


def _drawn(drawing: Drawing, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}  # the same drawing is the same file
    with matplotlib.rc_context(STYLE):  # the salt of the ids counts when they are written
        drawing.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _data_uri(svg: bytes) -> markupsafe.Markup:
    return markupsafe.Markup("data:image/svg+xml;base64," + base64.b64encode(svg).decode())
