"""What an experiment leaves behind: a section of text, tables and figures, for its page of the site."""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from compare.experiments.registry import NAMES


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
    """What was drawn, as part of a page and as files, with a caption that says what to see in it."""

    name: str
    caption: str
    inline: Markup
    files: Mapping[str, bytes]  # by name


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

    @property
    def ran(self) -> bool:
        """Whether it has results, and not only what is said of it beforehand."""
        return bool(self.comparisons or self.tables or self.figures)


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


def announced(experiment: str) -> Section:
    """The section of an experiment that did not run: its texts, with “…” for what it would fill in."""
    said = TEXTS[experiment]
    text = [paragraph for paragraph in map(_open, said["text"]) if paragraph != "…"]
    recipe = [f"{name}: {_open(line)}" for name, line in said["recipe"].items()]
    return Section(experiment, said["title"], text, notes=[*map(_open, said["notes"])], recipe=recipe)


def with_announced(sections: Sequence[Section] = ()) -> list[Section]:
    """A section for every experiment in the order of the day: these, and the texts of the others."""
    there = {section.name: section for section in sections}
    return [there.get(name) or announced(name) for name in NAMES]


def settled(folder: Path, anew: Collection[str] = ()) -> dict[str, bool]:
    """Of the experiments but those that ran anew: whose page in the folder has results → do they agree?"""
    found = {}
    for name in {*NAMES} - {*anew}:
        page = folder / "experiments" / f"{name}.html"
        text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
        if said := re.search(r'<meta name="figures" content="(agree|differ)">', text[:20_000]):
            found[name] = said[1] == "agree"
    return found


def _open(text: str) -> str:
    return re.sub(r"…([ .]*…)+", "…", re.sub(r"\{[^{}]*\}", "…", text)).replace("….", "…").strip()


def remarks(said: Mapping[str, Any], **values: Any) -> dict[str, list[str]]:
    """The notes and the recipe of a table of texts.toml."""
    return {
        "notes": [note.format(**values) for note in said["notes"]],
        "recipe": [f"{name}: {line.format(**values)}" for name, line in said["recipe"].items()],
    }
