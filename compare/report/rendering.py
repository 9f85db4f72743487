"""Templates: what they can call, and the parts of a page that all pages share."""

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from compare.measure import units_text
from compare.report.docstrings import formula
from compare.report.formulas import typeset
from compare.report.listings import highlighted
from compare.report.report import share, ulp_text

STATIC = Path(__file__).with_name("static")


@functools.cache
def templates() -> jinja2.Environment:
    """The templates of the site."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("compare.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "units": units_text,
        "ulp": ulp_text,
        "share": share,
        "title": title,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "breakable": breakable,
        "typeset": typeset,
        "formula": formula,
        "code": lambda text: Markup("\n").join(highlighted(text)),
        "anchor": anchor,
    }
    return environment


def render(template: str, **values: Any) -> str:
    """A template with these values."""
    return templates().get_template(template).render(**values)


def breakable(text: str) -> Markup:
    """A text whose names may be broken after an underscore, and whose numbers not after a minus sign."""
    signs = re.sub(r"-(?=\d|inf)", "-\N{WORD JOINER}", text)
    return escape(signs).replace("_", Markup("_<wbr>"))


def title(name: str) -> str:
    """A name as a heading."""
    return name[:1].upper() + name[1:].replace("_", " ")


def anchor(word: str) -> str:
    """The id of a convention."""
    return "convention-" + re.sub(r"\W+", "-", word.lower())


@functools.cache
def static(name: str) -> Markup:
    """A style or a script, to be written into the page."""
    return Markup((STATIC / name).read_text(encoding="utf-8"))


def policy(scripts: Sequence[str]) -> str:
    """What a page may do: run these scripts, which stand in it, and ask nobody for anything."""
    hashes = " ".join(f"'sha256-{_hash(static(name))}'" for name in scripts)
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {hashes}"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
