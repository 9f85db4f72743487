"""What a learner sees in the terminal: two versions side by side, and verdicts."""

import importlib
from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from compare.cases import bad_input
from compare.component import Component, Mistake, path_of
from compare.learner.check import Verdict, explain
from compare.learner.ordinary import beyond
from compare.report.conventions import Convention, number_texts, numbers, of_component
from compare.report.sources import source_of
from compare.report.terminal import budget_text
from compare.run import cases_of

SIDE_BY_SIDE = 120  # columns that two versions need beside each other
NEXT = 5  # components still to write that are named


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


def print_verdict(console: Console, verdict: Verdict, strict: bool = False) -> None:
    """One component of somebody's file: right, or what is wrong and why."""
    sign = mark(verdict, strict)
    console.print(
        Text.assemble((f"{sign} ", MARKS[sign]), (verdict.component, "bold"), f"  {headline(verdict)}"),
        soft_wrap=True,
    )
    diffs = [line for mistake in verdict.mistakes for line in mistake["diff"].splitlines()]
    colours = {f"    {line}": _colour(line) for line in diffs}
    for line in explain(verdict):
        console.print(Text(f"    {line}", colours.get(line, "")), soft_wrap=True)


MARKS = {"✓": "green", "½": "bold yellow", "✗": "bold red", "–": "", "?": "bold yellow"}


def mark(verdict: Verdict, strict: bool = False) -> str:
    """Right enough, as far as it is written, or not; or nothing was looked at."""
    if verdict.status in (unseen := {"unwritten": "–", "asked": "?", "not called": "?"}):
        return unseen[verdict.status]
    return "✓" if verdict.passes(strict) else "½" if verdict.right_so_far(strict) else "✗"


def headline(verdict: Verdict) -> str:
    """The verdict in a few words, with how many of the cases that were tried are right, or are wrong."""
    parts = [STATUS[verdict.status]]
    if verdict.status == "right but":
        parts[0] += f" {', '.join(verdict.not_handled)}"
    if verdict.missing:
        number = len(verdict.functions)
        parts[0] = f"half written: {number} of {number + len(verdict.missing)} functions, {parts[0]}"
    if verdict.equal and not verdict.mistakes and verdict.status != "distribution":
        digits = "every digit" if verdict.digits is None else f"{verdict.digits} digits"
        parts.append(f"agrees to {digits}")
    if verdict.cases and verdict.status != "distribution":
        mapped = verdict.status == "convention" and verdict.mistakes  # right, where it is read as it is meant
        told = verdict.cases - verdict.failed if verdict.equal else verdict.failed
        some = f"{told} of " if verdict.failed and not mapped else ""
        parts.append(f"{some}{verdict.cases} cases")
    return "  ".join(parts)


STATUS = {
    "right": "right",
    "right but": "right, but for",
    "distribution": "right in distribution",
    "convention": "right in another convention",
    "in place": "right numbers, but it changes its input",
    "different": "wrong",
    "raises": "raises an exception",
    "unwritten": "not written yet",
    "asked": "not looked at",
    "not called": "not looked at",
    "not here": "not compared",
    "timeout": "takes too long",
    "crash": "crashes",
}


def print_check(console: Console, verdicts: Sequence[Verdict], strict: bool = False) -> None:
    """The verdict on a file in one line, below what was passed over in it."""
    for line in verdicts[0].passed_over if verdicts else ():
        console.print(Text(line), soft_wrap=True)
    told = [v for v in verdicts if v.counts(strict=True)]
    wrong, half, unwritten = ([v.component for v in told if mark(v, strict) == sign] for sign in "✗½–")
    unknown = [v.component for v in told if v.status == "not called"]
    right = sum(v.passes(strict) for v in verdicts)
    parts = [f"{right} of {len(told)} done" if unwritten else f"{right} right"]
    parts += [f"{len(wrong)} not: {', '.join(wrong)}"] if wrong else []
    parts += [f"half written: {', '.join(half)}"] if half else []
    parts += [f"not looked at: {', '.join(unknown)}"] if unknown else []
    more = f" and {len(unwritten) - NEXT} more" if len(unwritten) > NEXT else ""
    parts += [f"not written yet: {', '.join(unwritten[:NEXT])}{more}"] if unwritten else []
    style = "bold red" if wrong else "bold" if half or unwritten or unknown else "bold green"
    console.print(Text("; ".join(parts), style), soft_wrap=True)


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
        Text.assemble(("ordinary  ", "bold"), _ordinary(component)),
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


def _ordinary(component: Component) -> str:
    """What `check` asks of everybody, and what only of those who handle it."""
    first, *others = cases_of(component, 0, np.float64)
    asked = [(case, beyond(component, first, case)) for case in others]
    names = ", ".join(f"“{case.name}”" for case in (first, *(case for case, what in asked if not what)))
    rest = list(dict.fromkeys(name for _, what in asked for name in what))
    return f"to `check`: {names}" + (f"; beyond them: {', '.join(rest)}" if rest else "")


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
