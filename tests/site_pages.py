"""A site to test: every component, some of them measured, a training run, an experiment with figures."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from test_report import training

from compare.cases import all_components
from compare.cases.activations import COMPONENTS
from compare.edges.table import examine, grouped
from compare.experiments import drawn
from compare.experiments.figures import COLOURS, drawing
from compare.experiments.page import Comparison, Listing, Section, Table, with_announced
from compare.report.report import Report
from compare.report.site import Site, write
from compare.run import run_component

ALL = all_components()


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.current: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "a":
            self.links.append(found["href"])
            if found.get("aria-current") == "page":
                self.current.append(found["href"])


def anchors(text: str) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', text)


def pages_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))


def experiment() -> Section:
    with drawing(1, 2) as (figure, axes):
        for i, colour in enumerate(COLOURS):
            axes[0].plot([0, 1, 2], [i, 2, 1], color=colour, label=f"curve {i}")
        axes[0].set(title="costs", xlabel="epoch", ylabel="cost")
        axes[0].legend()
        axes[1].imshow(np.eye(3))
    return Section(
        "optimizers",
        "Optimizers",
        ["What is done."],
        comparisons=[Comparison("a run", "cost", "1.0", {"scratch": "1.0", "torch": "1.0"}, True, "to 1e-6")],
        tables=[Table("Accuracies", ["rule", "share"], [["adam", "94 %"]])],
        listings=[Listing("A step", [("forward", {"scratch": "y = x @ W.T", "torch": "y = layer(x)"})])],
        figures=[drawn.with_caption("optimizers-test", figure, "Seven curves.")],
        notes=["A note."],
        diagnoses=["adam: done"],
        recipe=["data: none"],
    )


def made(folder: Path) -> Path:
    """Write the site into a folder."""
    results = [r for c in COMPONENTS for r in run_component(c, "cpu", ["float32", "float64"], [0])]
    options = {"device": "cpu", "dtypes": ["float32", "float64"], "seeds": [0], "only": None}
    edges = {name: grouped(examine(ALL[name], ["float32"])) for name in ("relu", "batch_norm", "adam")}
    runs = [training("float32"), training()]
    report = Report({"PyTorch": "2"}, options, list(ALL.values()), results, runs, edges=edges)
    section = experiment()
    said = {"sides": "scratch and torch", "quick": True, "data": None}
    write(Site(report, with_announced([section]), options=said), folder)
    return folder
