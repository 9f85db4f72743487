"""Runs experiments: trains what they ask for, prints what came out, and writes their page."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from compare import environment
from compare.experiments import registry
from compare.experiments.experiment import Options, run_tasks
from compare.experiments.page import Section, write
from compare.experiments.train import SIDES
from compare.files import path_text
from compare.report.terminal import mark


def run_experiments(names: Sequence[str], options: Options) -> list[Section]:
    """Run the experiments of these names.

    Raises:
        ValueError: the reader's data file is not what it should be.
    """
    chosen = {name: registry.experiment(name) for name in names}
    tasks = [(name, task) for name, experiment in chosen.items() for task in experiment.tasks(options)]
    stderr = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        results = run_tasks(tasks, progress)
    return [experiment.report(options, results.get(name, {})) for name, experiment in chosen.items()]


def write_page(sections: Sequence[Section], options: Options, folder: Path) -> Path:
    """Write the figures and the page, and return its path."""
    said = {
        "sides": ", ".join(options.sides),
        "quick": options.quick,
        "data": options.data and path_text(Path(options.data.name)),
    }
    return write(sections, environment.describe("cpu"), said, folder)


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
