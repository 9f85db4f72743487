"""Which functions of scratch/ and torch_ref/ run: in a block of code or, as a plugin of pytest, in a test."""

import ast
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parent.parent
SIDES = ("scratch", "torch_ref")
INSIDE = tuple(f"{ROOT / side}{os.sep}" for side in SIDES)
Place = tuple[str, int]  # a file, and the line where a function begins; 0: the file itself


@cache
def functions(path: str) -> list[tuple[int, int]]:
    """The first line of each function or method of a file, with its decorators, and the last one."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    bodies = [tree.body, *[node.body for node in tree.body if isinstance(node, ast.ClassDef)]]
    return [
        (min([f.lineno, *[d.lineno for d in f.decorator_list]]), f.end_lineno or 0)
        for body in bodies
        for f in body
        if isinstance(f, ast.FunctionDef)
    ]


@cache
def function_at(path: str, line: int) -> int:
    """Where the outermost function around a line begins; 0 outside of all."""
    return next((first for first, last in functions(path) if first <= line <= last), 0)


@contextmanager
def watching() -> Iterator[set[Place]]:
    """Fill the set, at the end, with what the block ran in this thread."""
    seen: set[Place] = set()
    places: set[Place] = set()

    def watch(frame, event, argument) -> None:
        codes = [frame.f_code] if frame.f_code.co_filename.startswith(INSIDE) else []
        if codes and "function" in frame.f_code.co_freevars:  # `expects`, which may refuse before it runs
            codes.append(inspect.unwrap(frame.f_locals["function"]).__code__)
        seen.update((code.co_filename, code.co_firstlineno) for code in codes)

    sys.settrace(watch)  # returns nothing: it is told of calls, not of lines
    try:
        yield places
    finally:
        sys.settrace(None)
        for file, line in seen:
            places.update([(file, function_at(file, line)), (file, 0)])


# As a plugin


RUN: dict[str, tuple[float, list[Place]]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    start = time.perf_counter()
    with watching() as places:
        result = yield
    RUN[item.nodeid] = time.perf_counter() - start, sorted(places)
    return result


def pytest_sessionfinish() -> None:
    """Each process writes down what its tests ran; what_tests_run() reads it."""
    if RUN:
        Path(f"{os.environ['REACH']}-{os.getpid()}.json").write_text(json.dumps(RUN), encoding="utf-8")


def what_tests_run(names: list[str], jobs: int) -> dict[str, tuple[float, set[Place]]]:
    """Test → the seconds that it takes and what it runs; exits if one is red."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", str(jobs), "-p", "reach", *names]
        path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        surroundings = os.environ | {"REACH": str(Path(folder) / "reach"), "PYTHONPATH": path}
        if subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode:
            raise SystemExit("a test is red without any change: it would notice every mutant")
        parts = [json.loads(part.read_text(encoding="utf-8")) for part in sorted(Path(folder).iterdir())]
    return {
        test: (seconds, {(file, line) for file, line in places})
        for part in parts
        for test, (seconds, places) in part.items()
    }
