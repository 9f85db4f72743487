"""Runs experiments: trains what they ask for, prints what came out, and writes their pages."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from compare import environment
from compare.cases import all_components
from compare.component import Component
from compare.experiments import registry
from compare.experiments.experiment import Options, run_tasks
from compare.experiments.page import Section, settled, with_announced
from compare.experiments.train import SIDES
from compare.files import path_text
from compare.report.report import Report
from compare.report.site import FIRST, Site, pages, write_files
from compare.report.terminal import mark

OPTIONS = {"device": "cpu", "dtypes": ["float64"], "seeds": [0], "draws": None, "only": None}


def run_experiments(names: Sequence[str], options: Options) -> list[Section]:
    """Run the experiments of these names.

    Raises:
        ValueError: the reader's data file is not what it should be.
    """
    chosen = {name: registry.experiment(name) for name in names}
    tasks = [(name, task) for name, experiment in chosen.items() for task in experiment.tasks(options)]
    with _progress() as progress:
        results = run_tasks(tasks, progress)
        reports = [partial(e.report, options, results.get(name, {})) for name, e in chosen.items()]
        bar = progress.add_task("what came out", total=len(reports))
        last_first = environment.spread(reports[::-1], progress=lambda _: progress.advance(bar))
        return last_first[::-1]  # the last one takes longest: nobody should wait for it alone


def _progress() -> Progress:
    """Bars on a terminal, which are gone when the work is done."""
    stderr = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


def write_pages(sections: Sequence[Section], options: Options, folder: Path) -> Path:
    """Write the pages of these experiments and their figures into the site, and return the first page

    What the folder lacks of the site is written with it.
    """
    said = {
        "sides": " and ".join(options.sides),
        "quick": options.quick,
        "data": options.data and path_text(Path(options.data.name)),
    }
    site = Site(
        Report(environment.describe("cpu"), OPTIONS, _components(folder), [], []),
        with_announced(sections),
        settled(folder, {section.name for section in sections}),
        said,
    )
    texts = pages(site, only_experiments=(folder / FIRST).exists())
    contents = {name: text.encode() for name, text in texts.items()}
    for section in sections:
        for figure in section.figures:
            contents |= {f"experiments/{name}": content for name, content in figure.files.items()}
    write_files(contents, folder)
    one = f"experiments/{sections[0].name}.html" if len(sections) == 1 else "experiments.html"
    return folder / one


def _components(folder: Path) -> list[Component]:
    """Those that the site in the folder has; all, where there is none."""
    found = list(all_components().values())
    here = [component for component in found if (folder / "components" / f"{component.name}.html").exists()]
    return here if (folder / FIRST).exists() else found


def print_sections(console: Console, sections: Sequence[Section]) -> None:
    """Every section, and the verdict."""
    for section in sections:
        print_section(console, section)
    count = sum(len(section.comparisons) for section in sections)
    wrong = [section.name for section in sections if not section.agrees]
    verdict = f"NOT all figures agree: see {', '.join(wrong)}" if wrong else f"all {count} figures agree"
    console.print(Text(verdict, "bold red" if wrong else "bold green"))


def print_section(console: Console, section: Section) -> None:
    """Title, the figures side by side, and the diagnosis of each model."""
    console.print(Text(f"\n{section.title}", "bold"))
    if section.comparisons:
        sides = [side for side in SIDES if any(side in row.values for row in section.comparisons)]
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for column in ("", "published", *sides, ""):
            table.add_column(column, overflow="fold")
        for run, rows in groupby(section.comparisons, key=lambda row: row.run):
            table.add_row(Text(run, "bold"))
            for row in rows:
                values = [row.values.get(side, "–") for side in sides]
                table.add_row(f" {row.what}", row.published or "–", *values, mark(row.agrees))
        console.print(table)
        for row in section.comparisons:
            if not row.agrees:
                console.print(Text(f"✗ {row.run}, {row.what}: {row.why}", "bold red"))
    for further in section.tables:
        table = Table(title=further.caption, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
        for column in further.header:
            table.add_column(column)
        for cells in further.rows:
            table.add_row(*cells)
        console.print(table)
    for line in section.diagnoses:
        console.print(Text(f"  {line}"))
