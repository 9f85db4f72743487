"""The table of edge values in a terminal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.cases import bad_input
from compare.edges.table import AS_PYTORCH, DEPARTS, KINDS, Examined, Group
from compare.report.terminal import mark

STYLES = {AS_PYTORCH: "green", DEPARTS: "yellow"}


def print_edges(
    console: Console,
    of: Mapping[str, Examined],
    news: Sequence[str],
    left_out: Mapping[str, str],
    *,
    whole: bool,
) -> bool:
    """Print what came of the probes, and the news; return whether all is as declared

    Args:
        console: where to
        of: component → what was found
        news: a line each
        left_out: component → why it was not examined
        whole: every row; else an overview, and the departures with their reasons
    """
    for name, why in left_out.items():
        console.print(Text(f"{name}: not examined, for {why}\n"))
    for name, found in of.items() if whole else ():
        console.print(Text(name, "bold"), _rows(found.groups), "", sep="\n")
    if not whole:
        console.print(_overview(of), "", Text("Departures", "bold"), sep="\n")
        for line in _departures(of):
            console.print(line)
        console.print("Every row of one: python -m compare edges NAME\n")
    if news:
        console.print(Text(bad_input.headline(news)), *(Text(f"  {line}") for line in news), "", sep="\n")
    wrong = [finding for found in of.values() for finding in found.wrong]
    for finding in wrong:
        console.print(Text(f"✗ {finding}", "bold red"), soft_wrap=True)
    count = sum(group.count for found in of.values() for group in found.groups)
    verdict = f"NOT as declared: {len(wrong)} of" if wrong else "as declared:"
    text = f"{verdict} {count} probes of {len(of)} component{'s' * (len(of) != 1)}"
    console.print(Text(text, "bold red" if wrong else "bold green"), soft_wrap=True)
    return not wrong


def _rows(groups: Sequence[Group]) -> Table:
    """What came out, and where."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column(no_wrap=True, width=max(map(len, KINDS)))
    table.add_column(overflow="fold")
    for group in groups:
        text = Text(" · ".join(group.entries))
        for line in filter(None, (group.text, group.example)):
            text.append(f"\n{line}", "dim" if line == group.example else "italic")
        style = STYLES.get(group.kind, "") if group.ok else "bold red"
        table.add_row(Text(group.kind, style), text)
    return table


def _overview(of: Mapping[str, Examined]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("probes of", overflow="fold")
    for kind in KINDS:
        table.add_column(kind.replace(" ", "\n"), justify="right")
    table.add_column("")
    for name, found in of.items():
        counts: Counter[str] = Counter()
        for group in found.groups:
            counts[group.kind] += group.count
        table.add_row(name, *(str(counts[kind]) for kind in KINDS), mark(not found.wrong))
    return table


def _departures(of: Mapping[str, Examined]) -> Iterable[Text]:
    """Reason by reason, whose it is."""
    reasons: dict[str, list[str]] = {}
    for name, found in of.items():
        for group in found.groups:
            if group.kind == DEPARTS and group.ok:
                reasons.setdefault(group.text, []).append(f"{name}: {' · '.join(group.entries)}")
    for reason, where in reasons.items():
        yield Text.assemble((f"{reason}\n", "italic"), *(f"  {line}\n" for line in where))
