"""Checks somebody's file in another process, so that an endless loop or a crash is reported, not suffered.

Three processes: ours, a supervisor (see `supervisor`), and the one that loads the file. That one is told
which case to run, and says what came out: names, numbers and text, never a pickle. What is right is reckoned
here, where the file never ran, and compared here: whatever the file changes in NumPy, in PyTorch or in this
project, or writes in place of an answer, a wrong result is not equal.

What this does not defend against: a file may do all that its user may do (write and delete files, use the
network, kill processes by their number), and it may get right results by any way, such as calling ours. That
it left its inputs alone, and which functions it has, is what its own process says.
"""

import ast
import builtins
import codeop
import functools
import gc
import importlib.machinery
import importlib.util
import io
import json
import linecache
import math
import os
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from compare.cases import all_components
from compare.cases.names import names_of, top_level
from compare.component import Case, Component
from compare.environment import leave_out_compiler, one_thread
from compare.files import visible
from compare.learner import cells
from compare.learner.check import Verdict, check
from compare.learner.finding import (
    Attempt,
    almost_in_a_form,
    close_names,
    find,
    is_stub,
    names_in_forms,
    with_results,
)
from compare.learner.forms import pytorch
from compare.learner.process import NO_ANSWER, Printed, Process, StoppedError
from compare.learner.running import Answer, failure
from compare.learner.supervisor import end_with_parent
from compare.learner.trial import all_cases

PLAIN = ("error", "changed", "called", "ours", "unseen", "drawn")  # of an answer, beside its arrays
LOADING = "loading the file"
STARTING = 300.0  # seconds for importing PyTorch on a busy machine
FEW = 3  # statements that failed, of which each is told
NOT_THERE = "it is neither installed here nor beside the file"
NOTHING = "no function of ours in it; `python -m compare exercise NAME` writes a file to fill in"


class FileError(Exception):
    """The file can not be used: it does not load, or has no function of ours in it."""


def check_file(
    path: Path,
    seconds: float,
    announce: Callable[[str], None] = lambda component: None,
    process: Process | None = None,
    only: Collection[str] = (),
) -> Iterator[Verdict]:
    """Check every component that the file attempts, a process for as many as it survives

    Args:
        path: a Python file or a notebook
        seconds: how long one component may take, the first of a process with the loading of the file (but
            without that of PyTorch); it is ended then, and what was found until then is told
        announce: called with the name of the component that comes next, for a progress line
        process: the first one, if it has been started
        only: the components to check, if it is not all

    Yields:
        A verdict for each component, in teaching order.

    Raises:
        FileError: a file that can not be loaded, or that attempts nothing; the message is one line.
    """
    done: set[str] = set()
    process = process or Process(Printed())
    while True:
        with process:
            file = _File(process, path)
            began, attempts, asked = file.load(seconds)
            attempts = [a for a in attempts if not only or a.component.name in only]
            if not attempts:
                raise FileError("; ".join([f"no function of {', '.join(only)} in it", *file.passed_over]))
            for attempt in attempts:
                name = attempt.component.name
                if name in done:
                    continue
                announce(name)
                known = {*attempt.functions, *attempt.missing, *names_in_forms(attempt.component)}
                about = {theirs: ours for theirs, ours in asked.items() if ours in known}
                verdict = replace(check(attempt, seconds=seconds, began=began), asked=about)
                verdict = file.placed(verdict)
                done.add(name)
                stopped = verdict.status in ("timeout", "crash")
                if stopped:
                    process.end()
                yield verdict
                if stopped:
                    process = Process(process.printed)
                    break
                began = time.monotonic()
            else:
                others = _not_looked_at(asked, [*done])
                yield from (file.placed(v) for v in others if not only or v.component in only)
                return


def _not_looked_at(asked: dict[str, str], done: Collection[str]) -> Iterator[Verdict]:
    """Of each component that nobody was asked for, the names that may mean its functions."""
    for component in all_components().values():
        known = {*names_of(component), *names_in_forms(component)}
        about = {theirs: meant for theirs, meant in asked.items() if meant in known}
        if about and component.name not in done:
            yield Verdict(component.name, [], "scratch", "asked", asked=about)


class _File:
    """A file in its process."""

    def __init__(self, process: Process, path: Path) -> None:
        self.process = process
        self.path = path
        self.places = _places(path)  # of a notebook: of each line, the cell and the line in it
        self.passed_over: list[str] = []  # of it: what failed, in lines of text

    def load(self, seconds: float) -> tuple[float, list[Attempt], dict[str, str]]:
        """When loading began, what the file attempts, and which other names are almost ours."""
        try:
            self.process.ask(time.monotonic() + STARTING, do="start")
            began = time.monotonic()
            answer, _ = self.process.ask(began + seconds, do="load", path=str(self.path))
        except StoppedError as error:
            message = f"not finished after {seconds:g} s" if error.status == "timeout" else str(error)
            raise FileError(f"{LOADING}: {message}") from None
        try:
            if "failed" in answer:
                raise FileError(visible(self._at(answer["line"], ": ") + answer["failed"]))
            failed = answer["passed_over"]
            first = [visible(self._at(one["line"], ": ") + one["said"]) for one in failed[:1]]
            self.passed_over = self._passed_over(failed)
            if "nothing" in answer:
                raise FileError("; ".join([*first, visible(answer["nothing"])]))
            attempts = [self._attempt(**attempt) for attempt in answer["attempts"]]
            asked = {visible(theirs): visible(ours) for theirs, ours in answer["asked"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise FileError(f"{LOADING}: {NO_ANSWER}") from None
        if not attempts:
            questions = (f"did you mean {with_results(asked[name], ',')} by {name}?" for name in asked)
            meant = "; ".join(questions)
            why = [f"no function of ours in it: {meant}"] if meant else []
            raise FileError("; ".join([*first, *why]) or NOTHING)
        return began, attempts, asked

    def placed(self, verdict: Verdict) -> Verdict:
        """The verdict on a notebook: what was passed over, and the cell and the line in it of an error."""
        verdict = replace(verdict, passed_over=self.passed_over)
        line = verdict.error.get("line", 0)
        if not 0 < line <= len(self.places):
            return verdict
        cell, line = self.places[line - 1]
        return replace(verdict, error={**verdict.error, "cell": cell, "line": line})

    def _passed_over(self, failed: Sequence[Mapping[str, Any]]) -> list[str]:
        """A line for each of the first ones, and one for all others."""
        lines = [f"{self._at(one['line'])} failed and was passed over: {one['said']}" for one in failed[:FEW]]
        if more := failed[FEW:]:
            were = "s failed and were passed over, the first" if more[1:] else " failed and was passed over,"
            lines.append(f"{len(more)} more statement{were} in {self._at(more[0]['line'])}")
        return [visible(line) for line in lines]

    def _at(self, line: int | None, then: str = "") -> str:
        if line is None:
            return ""
        if 0 < line <= len(self.places):
            return "cell {}, line {}".format(*self.places[line - 1]) + then
        return f"line {line:d}{then}"

    def _attempt(
        self,
        component: str,
        functions: list[str],
        side: str,
        missing: list[str],
        defaults: list[str],
        without: list[str],
        **form: Any,
    ) -> Attempt:
        ours = all_components()[component]
        known = {"scratch": top_level(ours.functions), "torch": ours.reference}[side]
        if not {*functions, *missing} <= {*known} or not {*without} <= pytorch.WITHOUT.keys():
            raise ValueError
        run = functools.partial(self._run, ours, side)
        written: dict[str, Any] = {key: visible(text) for key, text in form.items()}
        told = tuple(map(visible, defaults))
        return Attempt(
            ours, tuple(functions), side, run, tuple(missing), told, **written, without=tuple(without)
        )

    def _run(self, component: Component, side: str, case: Case, deadline: float, draws: str = "") -> Answer:
        about = {"component": component.name, "side": side, "case": case.name, "draws": draws}
        dtype = np.dtype(case.dtype).name
        answer, numbers = self.process.ask(deadline, do="run", dtype=dtype, **about)
        try:
            return _unpacked(answer, numbers)
        except Exception as error:  # of whatever kind: it is what a stranger wrote
            raise StoppedError("crash", NO_ANSWER) from error


def _places(path: Path) -> list[tuple[int, int]]:
    try:
        return cells.read(path).places if path.suffix == cells.SUFFIX else []
    except (OSError, ValueError):
        return []  # the other process says so


def _unpacked(answer: dict[str, Any], numbers: bytes) -> Answer:
    """What `_packed` packed; raises something where it is anything else."""
    results, start = {}, 0
    for name, kind, shape in answer["arrays"]:
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(shape)
        if kind is None:
            results[name] = np.broadcast_to(np.array(None), shape)
            continue
        dtype = np.dtype(kind)
        if dtype.kind not in "biufc":
            raise ValueError(kind)
        results[name] = np.ndarray(shape, dtype, numbers, start).copy()
        start += math.prod(shape) * dtype.itemsize
    error, changed, called, ours, unseen, drawn = (answer[key] for key in PLAIN)
    texts = [*results, *changed, *changed.values(), *called, *ours, *unseen, drawn]
    texts += [error[key] for key in error if key != "line"]
    lists = all(type(names) is list for names in (called, ours, unseen))
    if start != len(numbers) or not lists or not all(type(text) is str for text in texts):
        raise ValueError(texts)
    if error and not {"kind", "message"} <= error.keys() <= {"kind", "message", "line", "source", "call"}:
        raise ValueError(error)
    if ("line" in error) != ("source" in error) or type(error.get("line", 0)) is not int:
        raise ValueError(error)
    return Answer(results, error, changed, called, ours, unseen, drawn)


# In the process that runs the file


def serve() -> None:
    """Load the file that we are told of, and run the cases that we are told; ask no more of us."""
    end_with_parent()
    process = os.getpid()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the file prints is no answer
    sys.stdout = sys.stderr
    sys.stderr.reconfigure(encoding="utf-8", write_through=True)  # type: ignore[union-attr]
    leave_out_compiler()
    all_components()
    gc.enable()  # off since the process began, see `Process`: what has been imported stays
    _installed()
    sys.path_hooks.insert(0, _from_source)
    sys.path_importer_cache.clear()
    path = ""
    attempts: list[Attempt] = []
    try:
        with one_thread():
            for line in requests:
                request = json.loads(line)
                token, do = request.pop("token"), request.pop("do")
                answer: dict[str, Any] = {}
                numbers = b""
                if do == "load":
                    sys.argv = [path := request["path"]]
                    answer, attempts = _loaded(path)
                elif do == "run":
                    answer, numbers = _packed(_ran(attempts, path, **request))
                if os.getpid() != process:  # the file has made a copy of this process: one is enough
                    break
                message = json.dumps({"token": token, **answer}).encode() + b"\n" + numbers
                answers.write(len(message).to_bytes(8) + message)
                answers.flush()
    except OSError:  # the file has closed what we talk through
        pass
    except Exception:
        traceback.print_exc()
    os._exit(1)  # waits for no thread of the file's, and runs nothing that it has registered


def _loaded(path: str) -> tuple[dict[str, Any], list[Attempt]]:
    try:
        builtins.__import__ = _Beside(path)
        module = load(path)
        loader: Any = module.__loader__
        definitions = own_definitions(module)
        attempts = find(definitions)
        written = {n: value for n, value in definitions.items() if not (callable(value) and is_stub(value))}
        asked = close_names(written, attempts)
        if not attempts and not asked and (notes := almost_in_a_form(definitions)):
            almost = "; ".join(f"{name}: {why}" for name, why in notes)
            return {"nothing": f"{NOTHING}; almost: {almost}", "passed_over": loader.failed}, []
    except BaseException as error:
        said = failure(error, {path})
        line = error.lineno if isinstance(error, SyntaxError) else said.get("line")
        not_there = f": {NOT_THERE}" if isinstance(error, ModuleNotFoundError) else ""
        return {"failed": _in_a_line(said) + not_there, "line": line}, []
    told = [
        {
            "component": a.component.name,
            "functions": a.functions,
            "side": a.side,
            "missing": a.missing,
            "defaults": a.defaults,
            "form": a.form,
            "convention": a.convention,
            "without": a.without,
        }
        for a in attempts
    ]
    return {"attempts": told, "asked": asked, "passed_over": loader.failed}, attempts


def _in_a_line(said: Mapping[str, Any]) -> str:
    return f"{said['kind']}: {said['message']}".removesuffix(": ")


def _ran(
    attempts: list[Attempt], path: str, component: str, side: str, case: str, dtype: str, draws: str
) -> Answer:
    (attempt,) = (a for a in attempts if (a.component.name, a.side) == (component, side))
    try:
        return attempt.run(attempt.asked(_cases(component)[case, dtype]), math.inf, draws=draws)
    except BaseException as error:  # of those kinds that end a program
        return Answer(error=failure(error, {path}))


@functools.lru_cache(1)
def _cases(component: str) -> dict[tuple[str, str], Case]:
    """By name and dtype: the same as where the comparison is made."""
    return {(c.name, np.dtype(c.dtype).name): c for c in all_cases(all_components()[component])}


def _packed(outcome: Answer) -> tuple[dict[str, Any], bytes]:
    """Names, numbers and text; of an array that is not of numbers, the shape."""
    arrays, numbers = [], io.BytesIO()
    for name, value in outcome.results.items():
        array = np.asarray(value)
        is_plain = array.dtype.kind in "biufc"
        arrays.append((name, array.dtype.str if is_plain else None, array.shape))
        numbers.write(array.tobytes() if is_plain else b"")
    plain = {key: getattr(outcome, key) for key in PLAIN}
    return {"arrays": arrays, **plain}, numbers.getvalue()


def load(path: str) -> ModuleType:
    """The file as a module, which finds those in its own folder."""
    suffix = Path(path).suffix
    if suffix not in (*importlib.machinery.SOURCE_SUFFIXES, cells.SUFFIX):
        raise ImportError("not a Python file, nor a notebook")
    sys.path.append(str(Path(path).resolve().parent))
    loader = FromNotebook("attempt", path) if suffix == cells.SUFFIX else FromSource("attempt", path)
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("attempt", loader, origin=path))
    module.__file__ = path
    sys.modules["attempt"] = module
    loader.exec_module(module)
    return module


class _Beside:
    """`__import__` for a file that has a scratch.py or a random.py of its own beside it

    The file and the modules beside it get what is beside them, as if the folder came first in `sys.path`;
    everybody else gets what there was, also by the same name.
    """

    def __init__(self, path: str) -> None:
        self.folder = Path(path).resolve().parent
        self.importers = {"attempt"}  # top-level names of the modules in the folder that have been imported
        self.theirs: dict[str, ModuleType] = {}  # those of a name that somebody else's module has
        self.original = builtins.__import__

    def __call__(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        """As the builtin."""
        top = name.partition(".")[0]
        if level or not self._is_from_here(globals) or not self._has(top):
            return self.original(name, globals, locals, fromlist, level)
        self.importers.add(top)
        ours = _modules(sys.modules, top)
        if ours and top not in self.theirs and self._is_here(sys.modules[top]):
            return self.original(name, globals, locals, fromlist, level)
        for module in ours:
            del sys.modules[module]
        sys.modules.update(_modules(self.theirs, top))
        sys.path.insert(0, str(self.folder))
        try:
            return self.original(name, globals, locals, fromlist, level)
        finally:
            sys.path.remove(str(self.folder))
            if ours:
                self.theirs |= (found := _modules(sys.modules, top))
                for module in found:
                    del sys.modules[module]
                sys.modules.update(ours)

    def _is_from_here(self, namespace: Any) -> bool:
        namespace = namespace or {}
        top = str(namespace.get("__name__")).partition(".")[0]
        return top in self.importers and self._is_inside(namespace.get("__file__"))

    def _is_here(self, module: ModuleType) -> bool:
        return self._is_inside(getattr(module, "__file__", None))

    def _is_inside(self, file: Any) -> bool:
        return isinstance(file, str) and Path(file).resolve().is_relative_to(self.folder)

    def _has(self, top: str) -> bool:
        return (self.folder / f"{top}.py").is_file() or (self.folder / top / "__init__.py").is_file()


def _modules(among: Mapping[str, ModuleType], top: str) -> dict[str, ModuleType]:
    return {name: module for name, module in among.items() if name.partition(".")[0] == top}


class FromSource(importlib.machinery.SourceFileLoader):
    """Compiles the text that is there: bytecode may be that of another one, of the same size and time."""

    failed: Sequence[dict[str, Any]] = ()  # what of it was passed over
    lost: Collection[str] = ()  # names of which the last definition was

    def get_code(self, fullname: str) -> Any:
        """Neither look for bytecode nor write any."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def tree(self) -> ast.Module:
        """What ran, in a module that has been loaded."""
        return ast.parse(self.get_source(self.name) or "")


class FromNotebook(FromSource):
    """Runs the code in a notebook, and passes over what fails

    That is a cell where it does not parse, else a statement: below an import that fails there are others,
    and functions. (A notebook of IPython's that is told to go on after errors leaves out the rest of a cell.)
    """

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, path)
        self.ran: list[ast.stmt] = []
        self.failed: list[dict[str, Any]] = []  # of each that failed, its line and what was said
        self.lost: set[str] = set()  # names whose last definition failed: what they name is an older one

    def exec_module(self, module: ModuleType) -> None:
        """Run it step by step; its text is from now on what inspect and traceback show too."""
        code = cells.read(Path(self.path))
        linecache.cache[self.path] = len(code.text), None, code.text.splitlines(True), self.path
        compiled: Any = codeop.Compile()  # which remembers what is imported from __future__
        for step in code.steps:
            try:
                if isinstance(step.code, Exception):
                    raise step.code
                exec(compiled(ast.Module([step.code], []), self.path, "exec"), vars(module))
            except BaseException as error:
                self.failed.append({"line": step.line, "said": self._said(error)})
                self.lost |= step.names
            else:
                self.ran.append(step.code)
                self.lost -= step.names

    def tree(self) -> ast.Module:
        """What ran."""
        return ast.Module(self.ran, [])

    def _said(self, error: BaseException) -> str:
        """In one line, and without the number of a line in the module, which nobody sees."""
        if isinstance(error, SyntaxError) and error.filename == self.path:
            return f"{type(error).__name__}: {error.msg}"
        return _in_a_line(failure(error, {self.path}))


@functools.cache
def _installed() -> set[Path]:
    """The folders of installed packages. (Asked for once before an import needs it: it imports, itself.)"""
    paths = sysconfig.get_paths()
    return {Path(paths[kind]).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")}


def _from_source(folder: str) -> Any:
    """Finds modules in folders other than those of installed packages."""
    if _installed() & {Path(folder).resolve(), *Path(folder).resolve().parents}:
        raise ImportError("an installed package", path=folder)
    machinery = importlib.machinery
    extensions = (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES)
    return machinery.FileFinder.path_hook(extensions, (FromSource, machinery.SOURCE_SUFFIXES))(folder)


def own_definitions(module: ModuleType) -> dict[str, Any]:
    """What a file defines itself: what it imports is nobody's attempt

    Functions and classes say where they come from. Of other callables (a partial object, say) the text does:
    whether the last statement to bind the name assigns or imports.
    """
    loader: Any = module.__loader__
    nodes = [node for node in ast.walk(loader.tree()) if isinstance(node, ast.Name | ast.alias)]
    assigned: dict[str, bool] = {}
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        if isinstance(node, ast.alias):
            assigned[node.asname or node.name] = False
        elif isinstance(node.ctx, ast.Store):
            assigned[node.id] = True
    return {
        name: value
        for name, value in vars(module).items()
        if name not in loader.lost
        and (getattr(value, "__module__", None) == module.__name__ or assigned.get(name))
    }
