"""The report in a terminal: the table of components, the training runs, what was found; and the list."""

from collections.abc import Iterable
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.component import Case, Component
from compare.measure import units_text
from compare.report.report import Report, Summary, last_loss, ulp_text
from compare.training.lockstep import TrainingResult

WHOLE_TRAINING = 74  # columns of the table of training runs; in fewer, two of them are left to the report


class Terminal(Console):
    """A console whose reader may leave early (`| head`): the caller decides what that means."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that rich would turn into exit status 1, which means a difference."""
        raise


def print_report(console: Console, report: Report) -> None:
    """The tables, the differences, and the verdict."""
    if report.components:
        console.print("Worst case, in rounding units of its budget; to truth: scratch · torch", style="bold")
        console.print(_component_table(report), "")
        for reason in dict.fromkeys(filter(None, (component.not_here for component in report.components))):
            names = [component.name for component in report.components if component.not_here == reason]
            console.print(Text(f"{', '.join(names)}: not compared, for {reason}\n"))
    if report.training:
        console.print("Training runs in lockstep: scratch above, torch below", style="bold")
        console.print(_training_table(report.training, console.width), "")
        if any(run.kinks for run in report.training):
            console.print(_KINKS)
        for run in report.training:
            if run.parted:
                console.print(
                    f"{run.name}, {run.dtype}: the free runs part at a kink in {run.parted}\n", markup=False
                )
    if report.vectors.text:
        console.print(Text(f"{report.vectors.text}\n"))
    for finding in report.findings():
        console.print(Text(f"✗ {finding.where}", "bold red"), soft_wrap=True)
        for line in finding.lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print(Text(report.verdict, "bold green" if report.equal else "bold red"), soft_wrap=True)


_KINKS = (
    "* In some steps an input of a ReLU lies within rounding of 0, on the left in one network and on the"
    " right in the other. ReLU has no derivative there and both are right: such steps are not held to the"
    " budget.\n"
)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def mark(equal: bool) -> Text:
    """A tick, or a cross."""
    return Text("✓", "green") if equal else Text("✗", "bold red")


def _component_table(report: Report) -> Table:
    table = _table()
    table.add_column("component", overflow="fold")
    table.add_column("dtype", no_wrap=True)
    for header in ("of budget", "ULP", "to truth"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    for topic, components in groupby(report.components, key=lambda component: component.topic):
        table.add_row(Text(topic, "bold"))
        for component in components:
            if component.not_here:
                table.add_row(f" {component.name}\n   not compared")
                continue
            summaries = report.summaries(component)
            name = f" {component.name}\n   {sum(summary.count for summary in summaries)} cases"
            table.add_row(name, *map(_stacked, zip(*map(_summary_cells, summaries), strict=True)))
    return table


def _summary_cells(summary: Summary) -> list[Text]:
    worst = summary.worst
    truth = " · ".join(map(units_text, summary.to_truth)) if summary.to_truth else "–"
    texts = [
        summary.dtype,
        f"{units_text(worst.units)} of {units_text(worst.budget)}",
        ulp_text(summary.ulp),
        truth,
    ]
    return [*map(Text, texts), mark(summary.equal)]


def _stacked(lines: Iterable[Text]) -> Text:
    return Text("\n").join(lines)


def _training_table(training: list[TrainingResult], width: int) -> Table:
    table = _table()
    table.add_column("run", overflow="fold")
    headers = ("loss", "train", "test", "one step", "drift", "differ")
    shown = [header for header in headers if width >= WHOLE_TRAINING or header not in ("train", "differ")]
    for header in shown:
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("")
    for run in training:
        name = f"{run.name}\n  {run.dtype}, seed {run.seed}"
        if run.error or not run.one_step:
            table.add_row(name, *["–"] * len(shown), mark(run.equal))
            continue
        cells = {
            "loss": f"{last_loss(run, run.loss_scratch):.6f}\n{last_loss(run, run.loss_torch):.6f}",
            "train": f"{run.train_accuracy_scratch[-1]:.2%}\n{run.train_accuracy_torch[-1]:.2%}",
            "test": f"{run.test_accuracy_scratch[-1]:.2%}\n{run.test_accuracy_torch[-1]:.2%}",
            "one step": f"{units_text(max(run.one_step))}{'*' if run.kinks else ''}\nof {run.budget:g}",
            "drift": f"{run.drift[-1]:.1e}",
            "differ": f"{run.different_predictions}\nof {run.test_samples}",
        }
        table.add_row(name, *(cells[header] for header in shown), mark(run.equal))
    return table


def budget_text(component: Component, cases: Iterable[Case]) -> str:
    """The budget as a number, or as the range of its formula over the cases."""
    allowed = [component.budget.allowed(case, "cpu") for case in cases]
    lowest, highest = units_text(min(allowed)), units_text(max(allowed))
    return lowest if lowest == highest else f"{lowest}–{highest}"
