"""The table of edge values in a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.cases import bad_input
from compare.component import Component
from compare.edges.table import AS_PYTORCH, DEPARTS, KINDS, Probed, examine, grouped
from compare.report.terminal import mark

STYLES = {AS_PYTORCH: "green", DEPARTS: "yellow"}


def run_edges(console: Console, components: Sequence[Component], *, whole: bool) -> bool:
    """Examine and print, component by component; return whether all is as declared

    `whole` prints every row; else an overview, and the departures with their reasons.
    """
    progress = Console(stderr=True)
    outcomes: dict[str, list[Probed]] = {}
    with progress.status("") as status:  # shown in a terminal only
        for component in components:
            if component.not_here:
                console.print(Text(f"{component.name}: not examined, for {component.not_here}\n"))
                continue
            status.update(component.name)
            outcomes[component.name] = examine(component)
            if whole:
                console.print(Text(component.name, "bold"), _rows(outcomes[component.name]), "", sep="\n")
    if not whole:
        console.print(_overview(outcomes), "", Text("Departures", "bold"), sep="\n")
        for line in _departures(outcomes):
            console.print(line)
        console.print("Every row of one: python -m compare edges NAME\n")
    news = bad_input.news(component for component in components if not component.not_here)
    if news:
        console.print(Text(bad_input.headline(news)), *(Text(f"  {line}") for line in news), "", sep="\n")
    found = [outcome for of_one in outcomes.values() for outcome in of_one]
    wrong = [outcome for outcome in found if not outcome.ok]
    for outcome in wrong:
        console.print(Text(f"✗ {outcome.finding}", "bold red"), soft_wrap=True)
    verdict = f"NOT as declared: {len(wrong)} of" if wrong else "as declared:"
    text = f"{verdict} {len(found)} probes of {len(outcomes)} component{'s' * (len(outcomes) != 1)}"
    console.print(Text(text, "bold red" if wrong else "bold green"), soft_wrap=True)
    return not wrong


def _rows(outcomes: Sequence[Probed]) -> Table:
    """What came out, and where."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column(no_wrap=True, width=max(map(len, KINDS)))
    table.add_column(overflow="fold")
    for group in grouped(outcomes):
        text = Text(" · ".join(group.entries))
        for line in filter(None, (group.text, group.example)):
            text.append(f"\n{line}", "dim" if line == group.example else "italic")
        style = STYLES.get(group.kind, "") if group.ok else "bold red"
        table.add_row(Text(group.kind, style), text)
    return table


def _overview(outcomes: dict[str, list[Probed]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("probes of", overflow="fold")
    for kind in KINDS:
        table.add_column(kind.replace(" ", "\n"), justify="right")
    table.add_column("")
    for name, found in outcomes.items():
        counts = Counter(outcome.kind for outcome in found)
        ok = all(outcome.ok for outcome in found)
        table.add_row(name, *(str(counts[kind]) for kind in KINDS), mark(ok))
    return table


def _departures(outcomes: dict[str, list[Probed]]) -> Iterable[Text]:
    """Reason by reason, whose it is."""
    reasons: dict[str, list[str]] = {}
    for name, found in outcomes.items():
        for group in grouped(found):
            if group.kind == DEPARTS and group.ok:
                reasons.setdefault(group.text, []).append(f"{name}: {' · '.join(group.entries)}")
    for reason, where in reasons.items():
        yield Text.assemble((f"{reason}\n", "italic"), *(f"  {line}\n" for line in where))
