"""The figures as files, and as part of a page: in its colours, with what they show in words."""

import html
import io
import re
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from compare.experiments.figures import CLASSES, COLOURS, POINTS, STYLE
from compare.experiments.page import TEXTS, Figure

INK, RULE = "#000000", "#e6e6e6"
VARIABLES = {INK: "var(--ink)", RULE: "var(--rule)", "#ffffff": "var(--paper)"}
VARIABLES |= {colour: f"var(--line{i})" for i, colour in enumerate(COLOURS) if colour != INK}
VARIABLES |= {colour: f"var(--class{i})" for i, colour in enumerate(CLASSES)}
VARIABLES |= {colour: f"var(--point{i})" for i, colour in enumerate(POINTS)}


def figure(name: str, drawing: Drawing, *, file: str = "", **values: Any) -> Figure:
    """A drawing, drawn, with the caption that texts.toml has for it; its files may have another name."""
    experiment = name.partition("-")[0]
    return with_caption(file or name, drawing, TEXTS[experiment]["captions"][name].format(**values))


def with_caption(name: str, drawing: Drawing, caption: str) -> Figure:
    """A drawing, drawn: as part of a page, and as PNG and SVG."""
    files = {f"{name}.{kind}": _drawn(drawing, kind) for kind in ("png", "svg")}
    return Figure(name, caption, _inline(name, drawing), files)


def _drawn(drawing: Drawing, kind: str, **style: Any) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}  # the same drawing is the same file
    whole: Any = {**STYLE, **style}
    with matplotlib.rc_context(whole):  # the salt of the ids counts when they are written
        drawing.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _inline(name: str, drawing: Drawing) -> Markup:
    """As an <svg> element without a ground of its own; black and grey are those of the page."""
    salt = {"svg.hashsalt": name, "svg.fonttype": "none"}
    visible = [(patch, patch.get_visible()) for patch in (drawing.patch, *(a.patch for a in drawing.axes))]
    try:
        for ground, _ in visible:
            ground.set_visible(False)
        svg = _drawn(drawing, "svg", **salt).decode()
    finally:
        for ground, before in visible:
            ground.set_visible(before)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    label = html.escape(in_words(drawing))
    return Markup(svg.replace("<svg", f'<svg role="img" fill="currentColor" aria-label="{label}"', 1))


def in_words(drawing: Drawing) -> str:
    """What a drawing shows: of each panel its title, its axes, and where each curve begins and ends."""
    panels = [panel for axes in drawing.axes if (panel := _panel(axes))]
    head = f"{len(panels)} panels. " if len(panels) > 1 else ""
    return head + " ".join(panels)


def _panel(axes: Axes) -> str:
    if not axes.axison or not axes.get_visible():
        return f"{axes.get_title()}." if axes.get_title() else ""
    of = " over ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))
    handles, labels = axes.get_legend_handles_labels()
    curves = [_curve(handle, label) for handle, label in zip(handles, labels, strict=True)]
    text = ": ".join(filter(None, (axes.get_title(), of, "; ".join(filter(None, curves)))))
    return f"{re.sub(r'[$]|mathdefault', '', text)}." if text else ""


def _curve(handle: Any, label: str) -> str:
    values = np.asarray(getattr(handle, "get_ydata", list)(), float)
    values = values[np.isfinite(values)] if values.ndim == 1 else values[:0]
    if len(values) < 2:
        return label
    return f"{label} from {values[0]:.3g} to {values[-1]:.3g}"
