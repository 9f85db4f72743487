"""What the terminal shows: the tables of a run, the list, and two versions side by side."""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from compare.cases import bad_input
from compare.component import Case, Component, Mistake, path_of
from compare.learner.check import Verdict, explain
from compare.measure import units_text
from compare.report.conventions import Convention, number_texts, numbers, of_component
from compare.report.report import Report, Summary, last_loss, ulp_text
from compare.report.sources import source_of
from compare.run import cases_of
from compare.training.lockstep import RUNS, TrainingResult, steps

SIDE_BY_SIDE = 120  # columns that two versions need beside each other
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


def _mark(equal: bool) -> Text:
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
    return [*map(Text, texts), _mark(summary.equal)]


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
            table.add_row(name, *["–"] * len(shown), _mark(run.equal))
            continue
        cells = {
            "loss": f"{last_loss(run, run.loss_scratch):.6f}\n{last_loss(run, run.loss_torch):.6f}",
            "train": f"{run.train_accuracy_scratch[-1]:.2%}\n{run.train_accuracy_torch[-1]:.2%}",
            "test": f"{run.test_accuracy_scratch[-1]:.2%}\n{run.test_accuracy_torch[-1]:.2%}",
            "one step": f"{units_text(max(run.one_step))}{'*' if run.kinks else ''}\nof {run.budget:g}",
            "drift": f"{run.drift[-1]:.1e}",
            "differ": f"{run.different_predictions}\nof {run.test_samples}",
        }
        table.add_row(name, *(cells[header] for header in shown), _mark(run.equal))
    return table


def print_list(console: Console, components: Iterable[Component]) -> None:
    """Topic by topic, a line each: name, number of cases, budget and its reason."""
    console.print(Text(f"{'':34} cases     units  because", "bold"))
    topic = ""
    for component in components:
        if component.topic != topic:
            topic = component.topic
            console.print(Text(topic, "bold"))
        cases = cases_of(component, 0, np.float64)
        units = budget_text(component, cases)
        _print_line(console, f"  {component.name:32} {len(cases):5} {units:>9}  {component.budget.reason}")
    console.print(Text("training runs", "bold"))
    for name in RUNS:
        _print_line(console, f"  {name:32} {steps(name):5} steps of both sides from one seed")


def _print_line(console: Console, line: str) -> None:
    """Cut to the width of a terminal; whole in a pipe."""
    whole = not console.is_terminal
    console.print(Text(line), no_wrap=True, overflow="ignore" if whole else "ellipsis", crop=not whole)


def budget_text(component: Component, cases: Iterable[Case]) -> str:
    """The budget as a number, or as the range of its formula over the cases."""
    allowed = [component.budget.allowed(case, "cpu") for case in cases]
    lowest, highest = units_text(min(allowed)), units_text(max(allowed))
    return lowest if lowest == highest else f"{lowest}–{highest}"


def print_component(console: Console, component: Component) -> None:
    """The two versions, then budget, source and classic mistakes."""
    names = {"scratch": component.functions, "torch_ref": component.reference}
    modules = [importlib.import_module(f"{package}.{component.topic}") for package in names]
    paths = [path_of(module) for module in modules]
    codes = [source_of(module, names) for module, names in zip(modules, names.values(), strict=True)]
    if console.is_terminal and console.width >= SIDE_BY_SIDE:
        table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1, 0, 0))
        for path in paths:
            table.add_column(path, ratio=1, overflow="fold")
        table.add_row(*(_highlighted(console, code, console.width // 2 - 3) for code in codes))
        console.print(table)
    else:
        for path, code in zip(paths, codes, strict=True):
            console.print(Rule(f"[bold]{path}", align="left", style="default"))
            text = _highlighted(console, code, console.width) if console.is_terminal else Text(code)
            console.print(text, end="\n\n", soft_wrap=True)
    console.print(_notes(component))


def print_verdict(console: Console, verdict: Verdict) -> None:
    """One component of somebody's file: equal, or what differs and why."""
    mark, style = ("✓", "green") if verdict.equal else ("✗", "bold red")
    if verdict.status == "unwritten":
        mark, style = "–", ""
    units = f"  {units_text(verdict.units)} of {units_text(verdict.budget)} units" if verdict.equal else ""
    cases = f"  {verdict.cases} cases" if verdict.cases else ""
    status = STATUS[verdict.status]
    console.print(
        Text.assemble((f"{mark} ", style), (verdict.component, "bold"), f"  {status}{units}{cases}")
    )
    diffs = [line for mistake in verdict.mistakes for line in mistake["diff"].splitlines()]
    colours = {f"    {line}": _colour(line) for line in diffs}
    for line in explain(verdict):
        console.print(Text(f"    {line}", colours.get(line, "")), soft_wrap=True)


STATUS = {
    "equal": "equal",
    "different": "differs",
    "raises": "raises an exception",
    "unwritten": "not written yet",
    "not here": "not compared",
    "timeout": "takes too long",
    "crash": "crashes",
}


def print_check(console: Console, verdicts: Sequence[Verdict]) -> None:
    """The verdict on a file in one line."""
    wrong = [v.component for v in verdicts if not v.equal and v.status != "unwritten"]
    unwritten = sum(v.status == "unwritten" for v in verdicts)
    equal = sum(v.equal for v in verdicts)
    parts = [f"{equal} equal", *([f"{len(wrong)} not: {', '.join(wrong)}"] if wrong else [])]
    parts += [f"{unwritten} not written yet"] if unwritten else []
    console.print(Text("; ".join(parts), "bold red" if wrong else "bold green"), soft_wrap=True)


def _highlighted(console: Console, code: str, width: int) -> Text:
    """The code in colours; what does not fit goes on below, further to the right."""
    lines = []
    for line in Syntax(code, "python", theme="ansi_dark").highlight(code).split("\n"):
        if line.cell_len > width:
            indent = len(line.plain) - len(line.plain.lstrip())
            pieces = line[indent:].wrap(console, max(width - indent - 8, 20))
            line = Text(" " * indent) + Text("\n" + " " * (indent + 8)).join(pieces)
        lines.append(line)
    return Text("\n").join(lines)


def _notes(component: Component) -> Group:
    budget = component.budget
    allowed = budget_text(component, cases_of(component, 0, np.float64))
    lines = [
        Text.assemble(("budget    ", "bold"), f"{allowed} rounding units: {budget.reason}"),
        Text.assemble(("source    ", "bold"), component.source),
    ]
    if budget.cuda_units is not None:
        lines.insert(1, Text.assemble(("on CUDA   ", "bold"), f"{budget.cuda_units:g}: {budget.cuda_reason}"))
    if component.mistakes:
        signs = ": the right line (-) and the wrong one (+)"
        lines.append(Text.assemble(("\nclassic mistakes", "bold"), signs))
    items = [
        Text.assemble(
            (f"• {m.name}: ", "italic"),
            _explained(m),
            *[(f"\n  {line}", _colour(line)) for line in m.diff.splitlines()],
        )
        for m in component.mistakes
    ]
    blocks: list[Text | Padding] = [*lines, *(Padding(item, (0, 0, 0, 2)) for item in items)]
    differing = of_component(component.name)
    if differing:
        blocks.append(Text("\nwhere the conventions differ", "bold"))
    blocks += (Padding(_convention(convention), (0, 0, 0, 2)) for convention in differing)
    return Group(*blocks, *_bad_input(component))


def _bad_input(component: Component) -> Iterator[Text | Padding]:
    """What PyTorch does with what scratch refuses."""
    taken, refused = bad_input.taken(component.name), bad_input.refused_too(component.name)
    if taken or refused:
        yield Text(
            f"\nbad input: scratch refuses it, PyTorch {bad_input.record()['torch']} does this", "bold"
        )
    lines = [*taken.values(), *([f"It refuses too: {' · '.join(refused)}"] if refused else [])]
    yield from (Padding(Text(f"• {line}"), (0, 0, 0, 2)) for line in lines)


def _explained(mistake: Mistake) -> str:
    elsewhere = f" Right elsewhere: {mistake.convention}." if mistake.convention else ""
    return mistake.explanation + elsewhere


def _colour(line: str) -> str:
    """Of a line of a diff: the right one is the one that the mistake takes away."""
    return {"-": "green", "+": "red"}.get(line[:1], "dim")


def _convention(convention: Convention) -> Text:
    textbook, pytorch = number_texts(numbers(convention))
    return Text.assemble(
        (f"• {convention.word}: ", "italic"),
        f"{convention.quantity}\n  {convention.who}: {convention.textbook} gives {textbook}"
        f"\n  PyTorch: {convention.pytorch} gives {pytorch}\n  To map: {convention.mapping}",
    )
