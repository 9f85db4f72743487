"""Mutation testing: change one thing in scratch/ or torch_ref/ at a time, and see who notices.

    python tests/mutation.py [SIDE | TOPIC | SIDE/TOPIC …]

cosmic-ray makes the mutants: another operator, comparison or number, a condition negated, a loop that does
not run, … To these come those of edits.py, where something is left out. Each is judged **by the comparison
alone**: the cases of the components and the inputs that they refuse, in both dtypes, and no test written by
hand. What survives that is judged by the tests that run the changed function (reach.py finds them).
What survives both must be listed in tests/equivalent_mutants.toml, with a proof that nothing can tell it from
the original.

Verdicts are kept in report/mutation/, so that a run goes on where the last one stopped; a changed file starts
anew, and what survived is asked of the suite again. JOBS=1 judges one at a time; otherwise it is as many as
there are cores. `--comparison-only` leaves the suite out. Exits with 1 if an unlisted mutant survived.
"""

import ast
import gc
import hashlib
import importlib
import os
import resource
import signal
import sys
import time
import tomllib
import types
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
import numpy as np
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult
from edits import edits
from reach import ROOT, SIDES, Place, function_at, watching, what_tests_run
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

sys.path.insert(0, str(ROOT))
FOLDER = ROOT / "report" / "mutation"
JOBS = int(os.environ.get("JOBS") or os.cpu_count() or 1)
DTYPES = (np.float32, np.float64)
DRAWS = ("own", "shared")
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}  # others are plain errors, of floats
OPPOSITE = {  # of integers every operator does something: there, one is put in the place of each
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Add",
    "Div": "Mul",
    "FloorDiv": "Mul",
    "Mod": "FloorDiv",
    "Pow": "Mul",
    "LShift": "RShift",
    "RShift": "LShift",
    "BitAnd": "BitOr",
    "BitOr": "BitAnd",
    "BitXor": "BitOr",
}
COMPARISON, SUITE, EQUIVALENT, SURVIVED = "comparison", "suite", "equivalent", "survived"
CPU_SECONDS = 60  # of a comparison or of one test: what computes for longer never ends, which is noticed
WAITING = 600  # seconds without any computation: it waits for itself
MEMORY = 12 * 2**30
RUN_BY_IMPORTS: set[Place] = set()  # filled by what_components_run()
# Asked beside the tests of the topics: what asks something of more than one topic, and of files that are no
# topics. All else is about the harness and the programs around it.
GENERAL = (
    "arguments",
    "objects",
    "private_caches",
    "components.py::test_scratch_refuses_in_these_words",
    "gradient_truth",
    "published",
    "properties",
    "state_machine",
    "edges.py::test_every_row_is_as_declared",
    "bad_input.py::test_pytorch_does_what_is_recorded",
    "bad_input.py::test_pytorch_does_what_is_recorded_at_the_edges",
    "vectors.py::test_both_sides_meet_every_test",
    "components.py::test_results_keep_the_dtype_that_came_in",
    "components.py::test_both_sides_agree_on_the_small_cases_of_more_seeds",
    "size",
    "checkpoint",
    "hostile.py::test_a_damaged_file_is_named",
    "hostile.py::test_what_is_no_set_of_weights",
    "hostile.py::test_a_strangers_file_runs_no_code",
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    job: str
    path: Path
    mutation: MutationSpec

    @property
    def side(self) -> str:
        return self.path.relative_to(ROOT).parts[0]

    @property
    def module(self) -> str:
        return module_of(self.path)

    @property
    def topic(self) -> str:
        return self.module.partition(".")[0]

    @property
    def place(self) -> Place:
        """The function that is changed; of one that importing a file runs, whose results stay, the file."""
        place = str(self.path), function_at(str(self.path), self.mutation.start_pos[0])
        return (str(self.path), 0) if place in RUN_BY_IMPORTS else place

    def source(self) -> str:
        """The whole file, changed."""
        if self.mutation.operator_name.startswith("edits/"):
            return edits(read(self.path))[self.mutation.occurrence].applied_to(read(self.path))
        operator = cosmic_ray.plugins.get_operator(self.mutation.operator_name)(**self.mutation.operator_args)
        return mutate_code(read(self.path), operator, self.mutation.occurrence)

    def change(self) -> tuple[str, str]:
        """The lines that differ, before and after, without their indentation."""
        before, after = read(self.path).splitlines(), self.source().splitlines()
        start = next(i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
        end = next(i for i, (a, b) in enumerate(zip(before[::-1], after[::-1], strict=False)) if a != b)
        return joined(before[start : len(before) - end]), joined(after[start : len(after) - end])


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def module_of(path: Path) -> str:
    """Its name below its side: "linear", "random" for random/__init__.py, "random.philox"."""
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(part for part in parts if part != "__init__")


# The mutants


def session(path: Path) -> Path:
    """Where the verdicts on one state of one file are kept."""
    digest = hashlib.sha256((read(path) + read(ROOT / "tests" / "edits.py")).encode()).hexdigest()
    return FOLDER / f"{path.relative_to(ROOT).parts[0]}-{module_of(path)}-{digest[:12]}.sqlite"


def mutants_of(path: Path, work: WorkDB) -> list[Mutant]:
    """Those that are worth a run, made on the first call: no annotations, no operators of another kind."""
    if not work.num_work_items:
        init([path], work, {})
        ours = [
            MutationSpec(path, f"edits/{edit.kind}", i, edit.start, edit.end)
            for i, edit in enumerate(edits(read(path)))
        ]
        work.add_work_items([WorkItem.single(uuid.uuid4().hex, mutation) for mutation in ours])
    notes = annotations(ast.parse(read(path)))
    found = [Mutant(item.job_id, path, item.mutations[0]) for item in work.work_items]
    lines = read(path).splitlines()

    def worthwhile(mutation: MutationSpec) -> bool:
        row, column = mutation.start_pos
        star = lines[row - 1].startswith("*,", column)  # where keyword arguments begin: no product
        annotation = any(start <= (row, column) < end for start, end in notes)
        kind, *operators = mutation.operator_name.removeprefix("core/").split("_")
        if kind == "ReplaceBinaryOperator":
            before, after = operators
            integers = module_of(path).startswith("random")
            sensible = OPPOSITE[before] == after if integers else after in ARITHMETIC
        return not (star or annotation) and (kind != "ReplaceBinaryOperator" or sensible)

    return [mutant for mutant in found if worthwhile(mutant.mutation)]


def annotations(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where the annotations go."""
    nodes: list[Any] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            nodes.append(node.returns)
        if isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if n is not None]


# The two judges, each in a process of its own


def install(mutant: Mutant) -> None:
    """Whoever imports the module from now on gets the changed one."""
    name = f"{mutant.side}.{mutant.module}"

    class Changed(SourceFileLoader):
        def get_code(self, fullname: str) -> types.CodeType:
            return compile(mutant.source(), str(mutant.path), "exec")

    class Finder:
        @staticmethod
        def find_spec(fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            loader = Changed(name, str(mutant.path))
            return spec_from_file_location(name, mutant.path, loader=loader) if fullname == name else None

    sys.meta_path.insert(0, Finder)
    importlib.import_module(name)


def forget() -> None:
    """Our own packages, as if they had never been imported; what they need stays."""
    for name in [name for name in sys.modules if name.split(".")[0] in (*SIDES, "compare")]:
        del sys.modules[name]


@dataclass
class Original:
    """What one component does with one kind of draws: the functions that each side runs, and its results."""

    places: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    digests: dict[tuple[str, np.dtype, str], bytes] = field(default_factory=dict)  # (side, dtype, case) →

    @property
    def all_places(self) -> set[Place]:
        return set().union(*self.places.values())


def comparison_notices(mutant: Mutant, originals: dict[tuple[str, str], Original]) -> str:
    """The first component that is red, '' if all are green; only those that run the changed function."""
    install(mutant)
    from compare.cases import all_components
    from compare.run import cases_of, refused_of, run_case, run_refused

    runs = [
        (component, draws, dtype)
        for draws in DRAWS
        for component in sorted(all_components().values(), key=lambda c: c.topic != mutant.topic)
        if mutant.place in originals[component.name, draws].all_places
        if draws == "own"
        or originals[component.name, "own"].places != originals[component.name, draws].places
        for dtype in DTYPES
    ]
    for component, draws, dtype in runs:  # refusals first, which take no time
        for case in refused_of(component, 0, dtype):
            if not run_refused(component, case, draws=draws).equal:
                return component.name
    for component, draws, dtype in runs:
        arbiter = component.topic == mutant.topic and mutant.side == "scratch"
        original = originals[component.name, draws]
        for case in cases_of(component, 0, dtype):
            if gives_the_same(mutant, component, replace(case, draws=draws), original, arbiter):
                continue
            if not run_case(component, case, arbiter=arbiter, draws=draws).equal:
                return component.name
    return ""


def gives_the_same(mutant: Mutant, component: Any, case: Any, original: Original, arbiter: bool) -> bool:
    """Whether the changed side gives what it gave before, to the bit, and the other one does not run it

    Then the case is as equal as it was, which a quarter of the time tells.
    """
    from compare.component import higher_precision
    from compare.environment import undisturbed
    from compare.run import run_scratch, run_torch

    run, other = (run_scratch, "torch_ref") if mutant.side == "scratch" else (run_torch, "scratch")
    if mutant.place in original.places[other]:
        return False
    try:
        with undisturbed():
            if digest(run(component, case)) != original.digests[mutant.side, case.dtype, case.name]:
                return False
            if arbiter and component.arbiter and case.finite and (wider := higher_precision(case.dtype)):
                run(component, case.in_higher_precision(wider))
    except Exception:  # which the comparison says
        return False
    return True


def digest(results: dict[str, Any]) -> bytes:
    """Of all that one side returned."""
    from compare.measure import to_numpy

    found = hashlib.blake2b()
    for name, result in sorted(results.items()):
        array = to_numpy(result)
        found.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return found.digest()


def suite_notices(mutant: Mutant, run_by: dict[str, tuple[float, set[Place]]]) -> str:
    """The first test that is red, the quick ones first; only those that run the changed function."""
    import pytest

    install(mutant)
    seconds = {test: seconds for test, (seconds, places) in run_by.items() if mutant.place in places}
    files = dict.fromkeys(str(ROOT / test.partition("::")[0]) for test in seconds)
    asked = Asked(seconds)
    without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "randomly", "unraisableexception", "xdist")]
    if seconds and (code := pytest.main(["-x", "-q", *without, *files], [asked])):
        return asked.red or f"pytest: {code}"
    return ""


def suite() -> list[str]:
    """All tests that any mutant is asked about."""
    topics = [path.stem for path in sorted((ROOT / "torch_ref").glob("*.py")) if module_of(path)]
    names = dict.fromkeys([*GENERAL, *topics])
    return [str(ROOT / "tests" / f"test_{name if '.py' in name else name + '.py'}") for name in names]


class Asked:
    """A plugin of pytest: which tests are asked, and which one of them is red."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.red = ""

    def pytest_collection_modifyitems(self, items: list) -> None:
        known = [item for item in items if item.nodeid in self.seconds]
        items[:] = sorted(known, key=lambda item: self.seconds[item.nodeid])

    def pytest_runtest_logstart(self) -> None:
        limit_cpu_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.red = self.red or report.nodeid


def what_components_run() -> dict[tuple[str, str], Original]:
    """(component, draws) → what it runs and gives."""
    with watching() as imported:
        from compare.cases import all_components
        from compare.environment import undisturbed
        from compare.run import cases_of, refused_of, run_refused, run_scratch, run_torch

        all_components()
    RUN_BY_IMPORTS.update(imported)
    found: dict[tuple[str, str], Original] = defaultdict(Original)
    for name, component in all_components().items():
        for draws in DRAWS:
            original = found[name, draws]
            for dtype in DTYPES:
                for case in cases_of(component, 0, dtype):
                    for side, run in zip(SIDES, (run_scratch, run_torch), strict=True):
                        with undisturbed(), watching() as places:
                            results = run(component, replace(case, draws=draws))
                        original.places[side] |= places
                        original.digests[side, case.dtype, case.name] = digest(results)
                with watching() as places:
                    for case in refused_of(component, 0, dtype):
                        run_refused(component, case, draws=draws)
                original.places["scratch"] |= places
    return found


# Many at a time


def judge(judged_by: str, mutant: Mutant, run_by: dict, pipe: connection.Connection) -> None:
    """In a forked process: who notices, '' if nobody does."""
    limit_cpu_time()
    end_if_it_waits()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        os.dup2(nowhere.fileno(), 2)
        try:
            notices = comparison_notices if judged_by == COMPARISON else suite_notices
            noticed = notices(mutant, run_by)
        except BaseException as error:  # the mutant does not even start
            noticed = type(error).__name__
    pipe.send(noticed)


def limit_cpu_time() -> None:
    """Not by the clock, so that a busy machine makes no verdict."""
    seconds = int(time.process_time()) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def end_if_it_waits() -> None:
    """End a process that has stopped computing: it waits for a lock that nobody gives back."""
    used = 0.0

    def look(*_: Any) -> None:
        nonlocal used
        if sum(os.times()[:4]) - used < 0.1:
            os._exit(1)
        used = sum(os.times()[:4])

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, WAITING, WAITING)


def judgements(judged_by: str, mutants: list[Mutant], run_by: dict) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with who noticed it, JOBS at a time."""
    fork, waiting, running = get_context("fork"), list(reversed(mutants)), {}
    while waiting or running:
        while waiting and len(running) < JOBS:
            mutant = waiting.pop()
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=judge, args=(judged_by, mutant, run_by, sender))
            process.start()
            sender.close()
            running[receiver] = mutant, process
        for receiver in connection.wait(list(running)):
            mutant, process = running.pop(receiver)
            try:
                noticed = receiver.recv()
            except EOFError:  # it never ends, or was killed for its memory
                noticed = "killed"
            process.join()
            yield mutant, noticed


def listed() -> dict[Path, set[tuple[str, str]]]:
    """The changes of each file that nothing can tell from the original: (before, after)."""
    with open(ROOT / "tests" / "equivalent_mutants.toml", "rb") as file:
        entries = tomllib.load(file)
    found: dict[Path, set[tuple[str, str]]] = defaultdict(set)
    for side, modules in entries.items():
        for module, group in modules.items():
            changes = {(entry["before"], after) for entry in group for after in entry["after"]}
            path = ROOT / side / module.replace(".", "/")
            found[path / "__init__.py" if path.is_dir() else path.with_suffix(".py")] = changes
    return found


def keep(work: WorkDB, mutant: Mutant, judged_by: str, noticed: str) -> None:
    """Write a verdict down, so that the next run need not ask again."""
    outcome = TestOutcome.KILLED if noticed else TestOutcome.SURVIVED
    work.set_result(mutant.job, WorkResult(WorkerOutcome.NORMAL, f"{judged_by}: {noticed}", outcome))


def verdicts_of(
    path: Path, work: WorkDB, judges: dict[str, dict], equivalent: dict, bar: Progress
) -> Counter[str]:
    """How many mutants of one file who noticed; tells those that nobody did."""
    mutants, file = mutants_of(path, work), str(path.relative_to(ROOT))
    known = {job: result.output.partition(":")[0] for job, result in work.results if result.is_killed}
    verdicts = Counter(known[m.job] for m in mutants if m.job in known)
    unnoticed = {job for job, result in work.results if not result.is_killed}  # by the comparison
    pending = [mutant for mutant in mutants if mutant.job not in known]
    for judged_by, run_by in judges.items():
        task = bar.add_task(f"{file}: {judged_by}", total=len(pending))
        survivors = [m for m in pending if judged_by == COMPARISON and m.job in unnoticed]
        asked = [m for m in pending if m not in survivors]
        for mutant, noticed in judgements(judged_by, asked, run_by):
            bar.advance(task)
            keep(work, mutant, judged_by, noticed)
            if noticed:
                verdicts[judged_by] += 1
            else:
                survivors.append(mutant)
        pending = [m for m in survivors if m.change() not in equivalent[path]]
        verdicts[EQUIVALENT] += len(survivors) - len(pending)
        bar.remove_task(task)
    for mutant in sorted(pending, key=lambda m: m.mutation.start_pos):
        before, after = mutant.change()
        print(f"survived: {file}:{mutant.mutation.start_pos[0]}\n  - {before}\n  + {after}", flush=True)
    verdicts[SURVIVED] = len(pending)
    return verdicts


def main() -> int:
    import torch

    torch.set_num_threads(1)
    chosen = {argument for argument in sys.argv[1:] if argument != "--comparison-only"}
    paths = [path for side in SIDES for path in sorted((ROOT / side).rglob("*.py")) if module_of(path)]
    names = {
        path: {side, module_of(path), f"{side}/{module_of(path)}"}
        for path in paths
        for side in path.relative_to(ROOT).parts[:1]
    }
    if unknown := chosen.difference(*names.values()):
        raise SystemExit(f"expected sides and topics, got {', '.join(sorted(unknown))}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    equivalent, start = listed(), time.monotonic()
    judges: dict[str, dict] = {COMPARISON: what_components_run()}
    if "--comparison-only" not in sys.argv:
        judges[SUITE] = what_tests_run(suite(), JOBS)
    forget()
    gc.freeze()  # else each of the processes to come looks through all of this, and copies what it looks at
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    table: dict[Path, Counter[str]] = {}
    for path in paths:
        if not chosen or names[path] & chosen:
            print(path.relative_to(ROOT), file=sys.stderr)
            with use_db(str(session(path))) as work, Progress(*columns, console=Console(stderr=True)) as bar:
                table[path] = verdicts_of(path, work, judges, equivalent, bar)
    lines = []
    for side in SIDES:
        rows = {
            module_of(path): counts
            for path, counts in table.items()
            if path.relative_to(ROOT).parts[0] == side
        }
        if not rows:
            continue
        lines += [
            f"| {side}/ | mutants | noticed by the comparison alone | by the suite | equivalent | survived |",
            "|---|--:|--:|--:|--:|--:|",
            *(row(f"`{module}`", counts) for module, counts in rows.items()),
            row("all", sum(rows.values(), Counter[str]())),
            "",
        ]
    minutes = (time.monotonic() - start) / 60
    text = "\n".join(
        [*lines, f"{date.today()}, python tests/mutation.py {' '.join(sys.argv[1:])}".strip(), ""]
    )
    print(f"\n{text}({minutes:.0f} minutes)")
    if not sys.argv[1:]:
        (FOLDER / "score.md").write_text(text, encoding="utf-8")
    return any(counts[SURVIVED] for counts in table.values())


def row(name: str, counts: Counter[str]) -> str:
    cells = [counts.total(), *(counts[v] for v in (COMPARISON, SUITE, EQUIVALENT, SURVIVED))]
    return f"| {name} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
