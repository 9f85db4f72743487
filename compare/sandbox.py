"""Checks somebody's file in a child process, so that an endless loop or a crash is reported, not suffered."""

import contextlib
import dataclasses
import importlib.util
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from compare.check import Verdict
from compare.environment import deaf_to_interrupts, end_with_parent, one_thread

LOADING = "loading the file"


class FileError(Exception):
    """The file can not be used: it does not load, or has no function of ours in it."""


def check_file(
    path: Path, seconds: float, announce: Callable[[str], None] = lambda what: None
) -> Iterator[Verdict]:
    """Check every component that the file attempts, a child process for as many as it survives

    Args:
        path: a Python file
        seconds: how long one component may take
        announce: called with what is going on, for a progress line

    Yields:
        A verdict for each component, in teaching order.

    Raises:
        FileError: a file that can not be loaded, or that attempts nothing; the message is one line.
    """
    done: list[str] = []
    context = multiprocessing.get_context("spawn")
    while True:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(str(path), done, seconds, sender), daemon=True)
        with deaf_to_interrupts():
            child.start()
        sender.close()
        current, case = LOADING, ""
        try:
            while True:
                if not receiver.poll(seconds):
                    yield _ended(current, case, "timeout", f"not finished after {seconds:g} s")
                    break
                kind, content = receiver.recv()
                if kind == "failed":
                    raise FileError(content)
                if kind == "finished":
                    return
                if kind == "start":
                    current, case = content, ""
                    announce(current)
                elif kind == "case":
                    case = content
                else:
                    done.append(current)
                    yield Verdict(**content)
        except EOFError:
            child.join()
            yield _ended(current, case, "crash", f"the process ended with exit status {child.exitcode}")
        finally:
            child.kill()
            child.join()
            receiver.close()
        done.append(current)


def _ended(component: str, case: str, status: str, message: str) -> Verdict:
    if component == LOADING:
        raise FileError(f"{LOADING}: {message}")
    where = f" in the case “{case}”" if case else ""
    return Verdict(component, [], "", status, error={"message": f"{message}{where}"})


def _child(path: str, done: list[str], seconds: float, connection: Connection) -> None:
    from compare.check import check, find

    end_with_parent()
    with one_thread(), contextlib.redirect_stdout(sys.stderr):  # what the learner prints is not our output
        try:
            attempts = find(own_definitions(_load(path)))
        except BaseException as error:
            connection.send(("failed", _one_line(error, path)))
            return
        if not attempts:
            message = "no function of ours in it; `python -m compare exercise NAME` writes a file to fill in"
            connection.send(("failed", message))
            return
        for attempt in attempts:
            if attempt.component.name not in done:
                connection.send(("start", attempt.component.name))
                verdict = check(
                    attempt,
                    seconds=seconds / 2,
                    announce=lambda case: connection.send(("case", case)),
                )
                connection.send(("verdict", dataclasses.asdict(verdict)))
        connection.send(("finished", None))


def own_definitions(module: ModuleType) -> dict[str, Any]:
    """What a module defines itself: a function that it imports is nobody's attempt."""
    return {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("attempt", path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["attempt"] = module
    sys.path.insert(0, str(Path(path).resolve().parent))
    spec.loader.exec_module(module)
    return module


def _one_line(error: BaseException, path: str) -> str:
    """The error, with the line of the file where it happened."""
    message = f"{type(error).__name__}: {error}".splitlines()[0]
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"line {line}: {message}" if line else message
