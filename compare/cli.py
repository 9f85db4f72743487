"""The command line: python -m compare.

A command imports what it needs when it runs: PyTorch takes a second, and a list of names no time at all.
"""

import contextlib
import dataclasses
import difflib
import functools
import importlib
import inspect
import itertools
import json
import os
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compare.cases.names import RUNS, Entry, component_or_topic, entries, named, suggestion
from compare.files import path_text, visible, write_whole

if TYPE_CHECKING:
    from compare.cases.vectors import Vectors
    from compare.component import Component
    from compare.learner.process import Process
    from compare.run import CaseResult
    from compare.training.lockstep import TrainingResult

DTYPES = ("float32", "float64")
WATCHED = 0.3  # seconds between two looks at a file


class FilePath(click.Path):
    """A path, and not the empty text, which would silently be the current folder."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The text as a Path."""
        if not os.fspath(value):
            self.fail("expected a path, got an empty text.", parameter, context)
        return super().convert(value, parameter, context)


def _out(default: str, what: str) -> Callable:
    return click.option("--out", type=FilePath(path_type=Path), default=default, show_default=True, help=what)


def computes(*, one_thread: bool) -> Callable[[Callable], Callable]:
    """Of a command that computes: under the settings of `environment`."""

    def decorated(command: Callable) -> Callable:
        @functools.wraps(command)
        def call(*args: Any, **options: Any) -> Any:
            from compare import environment

            environment.leave_out_compiler()
            with environment.undisturbed(), warnings.catch_warnings():
                # OpenBLAS reports invalid values where there are none: see `_raise_invalid` in run.py.
                warnings.filterwarnings("ignore", "invalid value encountered in matmul", RuntimeWarning)
                return (environment.one_thread()(command) if one_thread else command)(*args, **options)

        return call

    return decorated


class DefaultGroup(click.Group):
    """A group whose command `run` needs not be named."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Put `run` in front of options that are not the group's own."""
        if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("--help", "-h")):
            arguments = ["run", *arguments]
        return super().parse_args(context, arguments)


@click.group(cls=DefaultGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Prove that scratch/ (NumPy, by hand) and torch_ref/ (PyTorch) are equal.

    Without a command: run. Its options work without its name, as in
    `python -m compare --device cuda --only relu`; `run --help` describes them.

    Exit status: 0 equal, 1 a difference, 2 bad usage or environment.
    """


@cli.command()
@click.option(
    "--device", default="cpu", show_default=True, metavar="cpu|cuda[:N]", help="Where PyTorch runs."
)
@click.option(
    "--dtype", type=click.Choice([*DTYPES, "both"]), default="both", show_default=True, help="Precision."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="First seed.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many seeds.")
@click.option(
    "--draws",
    type=click.Choice(["own", "shared"]),
    help="Each side draws for itself from the seed, or both share NumPy's draws.  "
    "[default: own where that is exact, else shared]",
)
@click.option(
    "--only",
    metavar="NAME,...",
    multiple=True,
    callback=lambda context, option, given: ",".join(given) if given else None,
    help="Components, topics or training runs; see `list`.",
)
@_out("report", "Folder of the report.")
@computes(one_thread=True)
def run(
    device: str, dtype: str, seed: int, seeds: int, draws: str | None, only: str | None, out: Path
) -> int:
    """Compare every component, and train both sides in lockstep."""
    from compare import environment
    from compare.cases import bad_input, vectors
    from compare.report import terminal
    from compare.report.report import Report
    from compare.report.site import Site, check_folder, write

    components, runs = _select(only)
    try:
        environment.prepare(device)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    components = [component.on(device) for component in components]
    draws = _draws(draws, device)
    _usable(out, lambda: check_folder(out))
    dtypes = list(DTYPES) if dtype == "both" else [dtype]
    all_seeds = list(range(seed, seed + seeds))
    # Reading PyTorch's tests takes longer than comparing a few components.
    sources = ("ONNX",) if only else tuple(vectors.SOURCES)
    found = _compare(components, runs, device, dtypes, all_seeds, draws, sources)
    options = {"device": device, "dtypes": dtypes, "seeds": all_seeds, "draws": draws, "only": only}
    report = Report(environment.describe(device), options, components, *found)
    known, there = ([], {}) if only is not None else _experiments(out)
    page = _usable(out, lambda: write(Site(report, known, settled=there), out, with_json=True))
    with _whoever_reads():
        console = terminal.Terminal(highlight=False)
        terminal.print_report(console, report)
        if not bad_input.same_versions() and (news := bad_input.news(report.compared)):
            console.print(f"{bad_input.headline(news)}; `python -m compare edges` names them")
        console.print(f"report: {page}", markup=False, soft_wrap=True)
    return 0 if report.equal else 1


@cli.command("list")
def list_() -> None:
    """Name the components and the training runs, a line each."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for topic, group in itertools.groupby(entries().values(), key=lambda entry: entry.topic):
        click.secho(topic, bold=True)
        module = importlib.import_module(f"scratch.{topic}")
        for entry in group:
            formula = (inspect.getdoc(getattr(module, entry.functions[0])) or "").split("\n")[0]
            click.echo(f"  {entry.name:32}  {formula}"[:width])
    click.secho("training runs", bold=True)
    for name, what in RUNS.items():
        click.echo(f"  {name:32}  {what}"[:width])


@cli.command("show")
@click.argument("name")
@computes(one_thread=False)
def show_(name: str) -> None:
    """Show the two versions of a component side by side."""
    if name not in entries():
        raise click.ClickException(f"unknown component {name!r}: {suggestion(name, entries())}")
    from compare.cases import all_components
    from compare.learner import show
    from compare.report import terminal

    show.print_component(terminal.Terminal(highlight=False), all_components()[name])


@cli.command()
@click.option(
    "--measure/--no-measure", default=True, help="Compare both sides first, or write the pages alone."
)
@_out("report/site", "Folder of the site.")
@computes(one_thread=True)
def site(measure: bool, out: Path) -> int:
    """Write the site to read: the study day, a page for each component and experiment, the conventions.

    It is the site of `run`, without the training runs, and with the tables of edge values.
    """
    from compare import cases, environment
    from compare.edges.table import examined
    from compare.report.report import Report
    from compare.report.site import Site, check_folder, write

    components = list(cases.all_components().values())
    environment.prepare("cpu")
    draws = _draws(None, "cpu")
    _usable(out, lambda: check_folder(out))
    dtypes = list(DTYPES)
    results, *_ = _compare(components if measure else [], [], "cpu", dtypes, [0], draws, ())
    asked = [component for component in components if measure and not component.not_here]
    found = _of_each(asked, examined, "edge values of")
    edge_values = {name: of_one.groups for name, of_one in found.items()}
    options = {"device": "cpu", "dtypes": dtypes, "seeds": [0], "draws": draws, "only": None}
    report = Report(environment.describe("cpu"), options, components, results, [], edges=edge_values)
    known, there = _experiments(out)
    page = _usable(out, lambda: write(Site(report, known, settled=there), out))
    with _whoever_reads():
        print(f"{report.verdict}\npage: {page}")
    return 0 if report.equal else 1


@cli.command()
@click.argument("seed", type=int, default=42)
@computes(one_thread=False)
def seeds(seed: int) -> int:
    """Show that NumPy draws what `torch.manual_seed(SEED)` draws, bit by bit."""
    from compare import environment
    from compare.report import terminal
    from compare.training.one_seed import run_seeds
    from scratch.random.shared import check_seed

    try:
        check_seed(seed)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    environment.prepare("cpu")
    return 0 if run_seeds(terminal.Terminal(highlight=False), seed) else 1


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--record",
    is_flag=True,
    help="Write anew what PyTorch does by itself with what scratch refuses, and show nothing.",
)
@computes(one_thread=True)
def edges(names: tuple[str, ...], record: bool) -> int:
    """Show what both sides make of NaN, ±∞, ±0, subnormals, empty batches, p = 0, eps = 0 and the like.

    An overview, and the departures from PyTorch with their reasons; every row of components that are named.
    """
    from compare import environment
    from compare.cases import bad_input
    from compare.edges.show import print_edges
    from compare.edges.table import examined, write_record
    from compare.report import terminal

    if record and names:
        raise click.ClickException(f"--record: is of all components, and not of {', '.join(names)} alone")
    from compare.cases import all_components

    components = all_components()
    if names:
        components = {entry.name: components[entry.name] for name in names for entry in _entries(name)}
    environment.prepare("cpu")
    if record:
        missing = [component.name for component in components.values() if component.not_here]
        if missing:
            raise click.ClickException(f"--record: this PyTorch can not be asked for {', '.join(missing)}")
        print(_usable(bad_input.FILE, lambda: write_record(list(components.values()))))
        return 0
    left_out = {name: component.not_here for name, component in components.items() if component.not_here}
    asked = [component for name, component in components.items() if name not in left_out]
    found = _of_each(asked, examined, "edge values of")
    news = _of_each(asked, lambda component: bad_input.news([component]), "bad input of")
    lines = [line for of_one in news.values() for line in of_one]
    console = terminal.Terminal(highlight=False)
    return 0 if print_edges(console, found, lines, left_out, whole=bool(names)) else 1


@cli.command()
@click.argument("mine", type=FilePath(path_type=Path))
@click.argument("theirs", type=FilePath(path_type=Path))
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="MINE=THEIRS",
    help="What is what, where names, values and shapes leave it open; .T for a transpose.",
)
@click.option("--html", type=FilePath(path_type=Path), metavar="FILE", help="Write a page, too.")
@computes(one_thread=True)
def trace(mine: Path, theirs: Path, pairs: tuple[str, ...], html: Path | None) -> int:
    """Say where two recorded runs part, by how much, and why; THEIRS is the reference.

    `compare.Recorder` records a loop in NumPy, `compare.record` one in PyTorch.
    """
    from compare.recording.page import page
    from compare.recording.store import RecordingError
    from compare.recording.trace import trace as compare_runs

    given = {}
    for pair in pairs:
        name, equals, other = pair.partition("=")
        if not equals or not name or not other:
            raise click.ClickException(f"--map {pair}: expected MINE=THEIRS")
        given[name] = other
    try:
        found = compare_runs(mine, theirs, given)
    except RecordingError as error:
        raise click.ClickException(str(error)) from None
    if html:
        _usable(html, lambda: write_whole({html.name: page(found).encode()}, html.parent))
    with _whoever_reads():
        print(found)
        if html:
            print(f"\npage: {path_text(html)}")
    return 1 if found.parted else 0


@cli.command()
@click.argument("name", required=False)
@click.option("--side", type=click.Choice(["scratch", "torch", "both"]), default="both", show_default=True)
@click.option("--quick", is_flag=True, help="A part of the training, for a first look.")
@click.option(
    "--data",
    type=FilePath(path_type=Path),
    metavar="FILE.mat",
    help="Your copy of the course's data, for the regularization experiment.",
)
@_out("report", "Folder of the site.")
@computes(one_thread=True)
def experiments(name: str | None, side: str, quick: bool, data: Path | None, out: Path) -> int:
    """Run the study day's experiments, or the one called NAME, and draw their figures."""
    from compare import environment
    from compare.experiments import registry as known
    from compare.experiments.experiment import SIDES, Options
    from compare.experiments.run import print_sections, run_experiments, write_pages
    from compare.report import terminal
    from compare.report.site import check_folder

    if name is not None and name not in known.NAMES:
        close = difflib.get_close_matches(name, known.NAMES)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known.NAMES)}"
        raise click.ClickException(f"unknown experiment {name!r}: {hint}")
    if data is not None and name not in (None, "regularization"):
        raise click.ClickException(f"--data {data}: the {name} experiment reads no file, regularization does")
    options = Options(SIDES if side == "both" else (side,), quick, data)
    _usable(out, lambda: check_folder(out))
    environment.prepare("cpu")
    try:
        sections = run_experiments([name] if name else list(known.NAMES), options)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    page = _usable(out, lambda: write_pages(sections, options, out))
    with _whoever_reads():
        print_sections(terminal.Terminal(), sections)
        print(f"page: {page}")
    return 0 if all(section.agrees for section in sections) else 1


@cli.command("exercise")
@click.argument("name")
@click.option("--out", type=FilePath(path_type=Path), help="The file to write.  [default: NAME.py]")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option(
    "--hints",
    type=click.Choice(["none", "some", "all"]),
    default="some",
    show_default=True,
    help="Shapes alone; formulas of the forward pass, too; or everything that our functions say.",
)
@click.option(
    "--form",
    type=click.Choice(["scratch", "torch", "coursera", "cs231n"]),
    default="scratch",
    show_default=True,
    help="Whose signatures: ours in NumPy, ours in PyTorch, or those of a course.",
)
@click.option("--with-random", is_flag=True, help="With `all`: the random streams, too.")
def exercise_(name: str, out: Path | None, force: bool, hints: str, form: str, with_random: bool) -> int:
    """Write a file to fill in: the functions of a component (or topic, or `all`), without their bodies

    With `--out NAME.ipynb` a notebook, whose cells check themselves.
    """
    from compare.learner import cells
    from compare.learner.exercise import NoStubError, day, exercise

    found = _entries(name)
    if name == "all" and not with_random:
        found = [entry for entry in found if entry.topic != "random"]
    path = out or Path(f"{name}.py")
    if path.exists() and not force:
        raise click.ClickException(f"--out {path}: is there already; --force overwrites it")
    quoted = shlex.quote(path_text(path))
    try:
        text = (day if path.suffix == cells.SUFFIX else exercise)(found, quoted, hints, form)
    except NoStubError as error:
        raise click.ClickException(str(error)) from None
    _usable(path, lambda: write_whole({path.name: text.encode()}, path.parent))
    print(f"{path}: fill it in, then `python -m compare check {quoted}`")
    return 0


@cli.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that one component may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
@click.option(
    "--strict", is_flag=True, help="Ask for NaN, infinity and every option too, not to be told only."
)
@click.option("--watch", is_flag=True, help="Check again whenever the file is saved; Ctrl-C ends it.")
@click.option("-v", "--verbose", is_flag=True, help="Repeat what the file prints, too.")
def check_(file: Path, names: tuple[str, ...], watch: bool, verbose: bool, **options: Any) -> int:
    """Hold the functions of FILE (Python, or a notebook) against ours, and say which mistake yours is.

    All that it has, or those of the components (or topics) NAME alone. Ordinary inputs decide: with them
    right, the exit status is 0.
    """
    from compare.learner.process import Printed, Process

    only = list(dict.fromkeys(entry.name for name in names for entry in _entries(name)))
    process = Process(Printed(verbose))  # imports PyTorch while we do
    while True:
        saved = _saved(file)
        try:
            with process:
                status = _check(process, file, only, **options)
        except click.ClickException as error:
            if not watch:
                raise
            status = _complain(error)
        if not watch:
            return status
        process = Process(Printed(verbose))  # ready when it is saved
        try:
            while _saved(file) in (saved, None):
                time.sleep(WATCHED)
        except KeyboardInterrupt:
            process.end()
            return status
        click.clear()


def _saved(file: Path) -> Any:
    """What changes when a file is saved; None while it is not there."""
    with contextlib.suppress(OSError):
        return file.stat().st_mtime_ns, file.stat().st_size


@computes(one_thread=False)
def _check(
    process: "Process", file: Path, only: list[str], timeout: float, as_json: bool, strict: bool
) -> int:
    from rich.console import Console

    from compare.learner import show
    from compare.learner.child_process import FileError, check_file
    from compare.report import terminal

    verdicts = []
    console = terminal.Terminal(highlight=False)
    try:
        with Console(stderr=True).status("loading the file") as status:  # shown in a terminal only
            for verdict in check_file(file, timeout, status.update, process, only):
                verdicts.append(verdict)
                if not as_json and verdict.status != "unwritten":
                    with _whoever_reads():
                        show.print_verdict(console, verdict, strict)
    except FileError as error:
        raise click.ClickException(f"{file}: {error}") from None
    finally:
        if (lines := process.printed.lines) and not process.printed.verbose:
            plural = "s" if lines > 1 else ""
            print(f"{lines} line{plural} printed by the file: --verbose shows them", file=sys.stderr)
    with _whoever_reads():
        if as_json:
            document = [dataclasses.asdict(verdict) for verdict in verdicts]
            print(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            show.print_check(console, verdicts, strict)
    judged = [verdict for verdict in verdicts if verdict.counts(strict)]
    return 0 if judged and all(verdict.passes(strict) for verdict in judged) else 1


@cli.command()
@click.option("--tools", is_flag=True, help="How long these commands take, against `import torch`.")
@computes(one_thread=False)
def bench(tools: bool) -> None:
    """Time scratch against PyTorch."""
    from compare.report import terminal

    if tools:
        from compare.training.bench_tools import run_bench_tools as run
    else:
        from compare.training.bench import run_bench as run
    run(terminal.Terminal(highlight=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; every error of usage or environment is one line and status 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ✓ gets a ?
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    status = 0
    try:
        with cli.make_context("python -m compare", arguments) as context:
            status = cli.invoke(context) or 0
        sys.stdout.flush()
    except click.exceptions.Exit as finished:  # --help
        return finished.exit_code
    except click.ClickException as error:
        return _complain(error)
    except BrokenPipeError:
        _discard_output()
    except OSError as error:  # such as a full disk behind stdout
        _discard_output()
        print("error:", error, file=sys.stderr)
        return 2
    return status


def _complain(error: click.ClickException) -> int:
    print("error:", visible(" ".join(error.format_message().split()), most=2000), file=sys.stderr)
    return 2


def _select(only: str | None) -> tuple[list["Component"], list[str]]:
    """The components and the training runs that --only names; all for None."""
    from compare import cases

    names = [name.strip() for name in only.split(",")] if only is not None else []
    runs = [name for name in RUNS if only is None or name in names]
    others = [name for name in names if name and name not in runs]
    if runs and only is not None and not others:
        return [], runs
    known = {*cases.all_components(), *cases.TOPICS}
    for name in others:
        if name not in known:
            hint = suggestion(name, known.union(RUNS))
            raise click.ClickException(f"--only: unknown component {name!r}: {hint}")
    try:
        return cases.select(None if only is None else ",".join(others)), runs
    except ValueError as error:
        raise click.ClickException(f"--only: {error}") from None


def _draws(asked: str | None, device: str) -> str:
    """Whose draws to compare with: `asked`, or own ones where they are exact."""
    from compare.draws import why_not_own

    reason = why_not_own(device)
    if asked == "own" and reason:
        raise click.ClickException(f"--draws own: {reason}; --draws shared compares all the same")
    return asked or ("shared" if reason else "own")


def _experiments(out: Path) -> tuple[list[Any], dict[str, bool]]:
    """The experiments for a site: what is said of each, and those whose pages `out` has already."""
    from compare.experiments.page import settled, with_announced

    return with_announced(), settled(out)


def _entries(name: str) -> list[Entry]:
    found = list(entries().values()) if name == "all" else named(name)
    if not found:
        raise click.ClickException(f"unknown component {name!r}: {suggestion(name, component_or_topic())}")
    return found


def _compare(
    components: list["Component"],
    runs: list[str],
    device: str,
    dtypes: list[str],
    seeds: list[int],
    draws: str,
    sources: Sequence[str],
) -> tuple[list["CaseResult"], list["TrainingResult"], "Vectors"]:
    """Others' tests, all cases and training runs."""
    from compare.cases import vectors
    from compare.run import CaseResult, in_words, run_component

    def case_results(component: "Component", dtype: str, seed: int) -> list["CaseResult"]:
        try:
            return list(run_component(component, device, [dtype], [seed], draws=draws))
        except Exception as error:  # of a function of scratch's that its inputs are made by
            return [CaseResult(component.name, "making the cases", dtype, seed, 0, error=in_words(error))]

    compared = [component for component in components if not component.not_here]
    rounds = list(itertools.product(dtypes, seeds))
    # What takes longest comes first.
    training = [functools.partial(_train, name, device, draws, *of) for name in runs for of in rounds]
    others = functools.partial(vectors.run, compared, device, sources)
    cases = [functools.partial(case_results, component, *of) for component in compared for of in rounds]
    parts: list[Callable[[], Any]] = [others, *training, *cases]
    names = ["others' tests", *(name for name in runs for _ in rounds)]
    names += [component.name for component in compared for _ in rounds]
    held, *results = _with_progress(parts, [f"compared {name}" for name in names], device)
    trained, groups = results[: len(training)], results[len(training) :]
    return [*itertools.chain.from_iterable(groups)], trained, held


def _of_each(components: list["Component"], find: Callable[["Component"], Any], said: str) -> dict[str, Any]:
    """Component → what is found of it, under a progress bar that says what of which."""
    names = [component.name for component in components]
    parts = [functools.partial(find, component) for component in components]
    return dict(zip(names, _with_progress(parts, [f"{said} {name}" for name in names], "cpu"), strict=True))


def _with_progress(parts: Sequence[Callable[[], Any]], names: Sequence[str], device: str) -> list[Any]:
    """What all parts return, on all cores, under a progress bar where stderr is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from compare.environment import spread

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("comparing", total=len(parts))
        return spread(parts, device, lambda i: bar.update(task, advance=1, description=names[i]))


def _train(name: str, device: str, draws: str, dtype: str, seed: int) -> "TrainingResult":
    from compare.run import in_words
    from compare.training import lockstep

    try:
        return lockstep.train_in_lockstep(name, dtype, device, seed, draws=draws)
    except Exception as error:  # as with a case: a failure of either side is a finding about this run
        said = in_words(error)
        return lockstep.TrainingResult(name, "", dtype, device, seed, lockstep.BUDGET, 1, error=said)


def _usable(out: Path, write: Callable[[], Any]) -> Any:
    try:
        return write()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise click.ClickException(f"--out {out}: can not write there: {reason}") from None


@contextmanager
def _whoever_reads() -> Iterator[None]:
    """The verdict stands, and so does the exit status, when somebody stops reading (`| head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
