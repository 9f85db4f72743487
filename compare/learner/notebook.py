"""In a notebook: `check`, `show` and `exercise` give objects that it draws, and `%%check` checks a cell.

    from compare import check, exercise, show

    check(relu_forward, relu_backward)

The functions run in the notebook's own process, as with `assert_matches`: one that never ends is interrupted
as any other cell. `%load_ext compare` adds the cell magic `%%check`, which runs the cell and then checks the
components that it defines functions of, together with what other cells have defined of them.
"""

import ast
import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from rich.console import Console

from compare.cases import all_components
from compare.cases.names import component_or_topic, entries, named, names_of, suggestion
from compare.component import Component
from compare.files import visible
from compare.learner import check as checking
from compare.learner import exercise as exercises
from compare.learner import show as terminal
from compare.learner.check import Verdict, explain
from compare.learner.finding import find
from compare.report.conventions import number_texts, numbers, of_component
from compare.report.listings import as_diff, highlighted, sides

SHOWN = 200  # lines of what the functions print


class UsageError(ValueError):
    """Wrong usage, of which a notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True, repr=False)
class Checked:
    """The verdicts on some functions.

    Args:
        verdicts: one for each component
        printed: the lines that the functions printed, warnings among them
    """

    verdicts: list[Verdict]
    printed: list[str]

    @property
    def right(self) -> bool:
        """Whether all of them are right for all ordinary inputs."""
        return all(verdict.equal for verdict in self.verdicts)

    def __repr__(self) -> str:
        def write(console: Console) -> None:
            for verdict in self.verdicts:
                terminal.print_verdict(console, verdict)
            terminal.print_check(console, self.verdicts)

        return _plain(write)

    def _repr_html_(self) -> str:
        parts = [_verdict(verdict) for verdict in self.verdicts]
        if self.printed:
            title = f"{len(self.printed)} line{'s' * (len(self.printed) > 1)} printed by the functions"
            parts.append(_folded(title, _block("\n".join(self.printed[:SHOWN]))))
        return _page(*parts)


@dataclass(frozen=True, repr=False)
class Shown:
    """The two versions of a component, and what goes wrong with it."""

    component: Component

    def __repr__(self) -> str:
        return _plain(lambda console: terminal.print_component(console, self.component))

    def _repr_html_(self) -> str:
        return _page(_component(self.component))


@dataclass(frozen=True, repr=False)
class Exercise:
    """What to fill in."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return _page(_listing(self.text))


def check(*functions: Callable, component: str | None = None, **named: Callable) -> Checked:
    """Hold functions against ours, and say which mistake it is; the arguments are those of `assert_matches`

    Raises:
        UsageError: what can not be checked.
    """
    if texts := [function for function in functions if isinstance(function, str)]:
        raise UsageError(f"check: expected functions, as in check(relu_forward), got the text {texts[0]!r}")
    try:
        with _listening() as printed:
            return Checked(list(checking.check_functions(functions, named, component)), printed)
    except ValueError as error:
        raise UsageError(str(error)) from None


def show(name: str) -> Shown:
    """The two versions of a component, side by side

    Raises:
        UsageError: no component of that name.
    """
    if not isinstance(name, str) or name not in entries():
        raise UsageError(f"show: {_unknown(name, entries())}")
    return Shown(all_components()[name])


def exercise(name: str, *, hints: str = "some", form: str = "scratch") -> Exercise:
    """The functions of a component (or topic) to fill in

    Args:
        name: of the component or topic
        hints: none (shapes alone), some (formulas of forward passes) or all
        form: scratch, torch, coursera or cs231n

    Raises:
        UsageError: neither a component nor a topic, or no such hints, or a form that does not have it.
    """
    if not isinstance(name, str) or not named(name):
        raise UsageError(f"exercise: {_unknown(name, component_or_topic())}")
    for word, given, known in (("hints", hints, exercises.HINTS), ("form", form, exercises.FORMS)):
        if given not in known:
            raise UsageError(f"exercise: expected {word} {', '.join(known)}, got {visible(str(given))}")
    try:
        return Exercise(exercises.stubs(named(name), hints, form))
    except exercises.NoStubError as error:
        raise UsageError(f"exercise: {error}") from None


def load_ipython_extension(shell: Any) -> None:
    """Add the cell magic `%%check`; called by `%load_ext compare`."""

    def check_cell(line: str, cell: str) -> Checked | None:
        """Run the cell, then check the components that it defines functions of; or those that are named."""
        names = set(line.split())
        if unknown := sorted(names - entries().keys()):
            raise UsageError(f"%%check: {_unknown(unknown[0], entries())}")
        if not shell.run_cell(cell).success:
            return None  # the error has been shown
        own = {k: v for k, v in shell.user_ns.items() if getattr(v, "__module__", None) == "__main__"}
        defined = _defined(shell.transform_cell(cell))
        own |= {name: shell.user_ns[name] for name in defined & shell.user_ns.keys()}
        attempts = [
            attempt
            for attempt in find(own)
            if attempt.component.name in names or (not names and defined & {*names_of(attempt.component)})
        ]
        if not attempts:
            raise UsageError(
                '%%check: no function of ours in this cell; exercise("relu") shows what to fill in'
            )
        with _listening() as printed:
            return Checked([checking.check(attempt) for attempt in attempts], printed)

    shell.register_magic_function(check_cell, "cell", "check")


def _defined(code: str) -> set[str]:
    """The names that a cell binds, without those that it imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _unknown(name: Any, names: Iterable[str]) -> str:
    if not isinstance(name, str):
        return f'expected the name of a component, as in "relu", got a {visible(type(name).__name__)}'
    return f"unknown component {visible(name)!r}: {suggestion(name, names)}"


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect the lines that are printed, and warnings, for one line instead of hundreds."""
    lines: list[str] = []
    text = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("default")
            yield lines
    finally:
        lines += text.getvalue().splitlines()
        lines += [f"{w.category.__name__}: {w.message}" for w in caught]


def _plain(write: Callable[[Console], None]) -> str:
    text = io.StringIO()
    write(Console(file=text, width=110, highlight=False, force_terminal=False, force_jupyter=False))
    return text.getvalue().rstrip("\n")


# As HTML


def _page(*parts: Markup) -> str:
    return str(Markup('<div class="svt">{}{}</div>').format(STYLE, Markup("").join(parts)))


def _verdict(verdict: Verdict) -> Markup:
    """In colour: what to know at once; folded, all that was found."""
    mark = "–" if verdict.status == "not here" else terminal.mark(verdict)
    if mark in "–?":
        kind = "open"
    elif verdict.status == "right" and mark == "✓":
        kind = "right"
    else:
        kind = "partly" if verdict.equal else "wrong"
    head = Markup("<p><b>{} {}</b> {}</p>").format(mark, verdict.component, terminal.headline(verdict))
    lines = explain(verdict)
    body = Markup("").join(_first_words(verdict)) if not verdict.equal else Markup("")
    more = _folded("all that was found", _block("\n".join(lines))) if lines else Markup("")
    return Markup('<div class="{}">{}{}{}</div>').format(kind, head, body, more)


def _first_words(verdict: Verdict) -> Iterator[Markup]:
    """Which mistake it is; else the exception, or where it first differs."""
    for mistake in verdict.mistakes:
        yield Markup("<p>this is <b>“{name}”</b>: {explanation}</p>").format(**mistake)
        if mistake["convention"]:
            yield Markup("<p>right elsewhere: {}</p>").format(mistake["convention"])
        if mistake["diff"]:
            yield Markup("<p>the right line (-) and the wrong one (+), in our words:</p>")
            yield Markup("<pre>{}</pre>").format(as_diff(mistake["diff"]))
    if verdict.error:
        cell = f"cell {verdict.error['cell']}, " if "cell" in verdict.error else ""
        source = verdict.error.get("source")
        line = f"{cell}line {verdict.error.get('line')}: {source}" if source else ""
        yield Markup("<p>{}</p>").format(verdict.error["message"])
        yield _block(line) if line else Markup("")
    elif not verdict.mistakes and verdict.first:
        first = verdict.first
        for symptom in verdict.symptoms:
            yield Markup("<p>{}</p>").format(symptom)
        index = f"[{', '.join(map(str, first['index']))}]" if first.get("index") else ""
        differs = (
            f"{first.get('array', '')}{index} is {first.get('yours')!r}, should be {first.get('right')!r}"
        )
        if "yours" in first:
            yield Markup("<p>{}: <code>{}</code></p>").format(first["case"], differs)


def _component(component: Component) -> Markup:
    versions = [
        Markup("<div><p><b>{}</b></p>{}</div>").format(
            side.path, _listing("\n\n\n".join(definition.code for definition in side.definitions))
        )
        for side in sides(component)
    ]
    parts = [
        Markup("<p><b>{}</b></p>").format(component.name),
        Markup('<div class="sides">{}</div>').format(Markup("").join(versions)),
    ]
    for mistake in component.mistakes:
        elsewhere = f" Right elsewhere: {mistake.convention}." if mistake.convention else ""
        text = Markup("<p>{}{}</p><pre>{}</pre>").format(
            mistake.explanation, elsewhere, as_diff(mistake.diff)
        )
        parts.append(_folded(f"mistake: {mistake.name}", text))
    for row in of_component(component.name):
        textbook, pytorch = number_texts(numbers(row))
        text = Markup("<p>{}</p><p>{}: {} gives {}</p><p>PyTorch: {} gives {}</p><p>To map: {}</p>").format(
            row.quantity, row.who, row.textbook, textbook, row.pytorch, pytorch, row.mapping
        )
        parts.append(_folded(f"convention: {row.word}", text))
    return Markup("").join(parts)


def _listing(code: str) -> Markup:
    return Markup("<pre>{}</pre>").format(Markup("\n").join(highlighted(code)))


def _block(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(text)


def _folded(title: str, content: Markup) -> Markup:
    return Markup("<details><summary>{}</summary>{}</details>").format(title, content)


# Mixed with the colour of the text around them, which is dark on light, or light on dark.
STYLE = Markup("""<style>
.svt { --green: #278848; --red: #d6423d; --amber: #a36c0d; }
.svt p, .svt pre { margin: .3em 0; background: none; color: inherit; }
.svt pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.svt .right, .svt .partly, .svt .wrong, .svt .open { --of: currentColor; }
.svt div.right, .svt div.partly, .svt div.wrong, .svt div.open {
  margin: .4em 0; padding: .2em .8em; border-left: .3em solid var(--of); }
.svt .right { --of: var(--green); } .svt .wrong { --of: var(--red); } .svt .partly { --of: var(--amber); }
.svt div.right > p:first-child b, .svt div.partly > p:first-child b, .svt div.wrong > p:first-child b,
.svt span.right, .svt span.wrong { color: var(--of); color: color-mix(in srgb, var(--of) 70%, currentColor); }
.svt summary { cursor: pointer; }
.svt .sides { display: flex; flex-wrap: wrap; gap: 0 2em; }
.svt .sides > div { flex: 1 1 30em; min-width: 0; }
.svt .k { font-weight: bold; } .svt .d, .svt .c { font-style: italic; opacity: .75; }
</style>""")
