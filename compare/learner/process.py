"""The process that runs somebody's file, seen from here: it imports PyTorch while whoever starts it does."""

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Self

from compare.files import visible

LARGEST = 2**30  # bytes of one answer
NO_ANSWER = "the process wrote something that is no answer of ours"


class StoppedError(Exception):
    """An attempt that can not be tried any further."""

    def __init__(self, status: str, message: str = "") -> None:
        super().__init__(message)
        self.status = status  # timeout or crash


class Printed:
    """What the file prints: counted, and repeated on our stderr where that is asked for."""

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        self.lines = 0

    def __call__(self, line: str) -> None:
        """One line more; repeated, it can be recognised as not ours."""
        self.lines += 1
        if self.verbose:
            print(f"| {visible(line, 8192)}", file=sys.stderr)


class Process:
    """Runs the file, and answers when it is asked."""

    def __init__(self, printed: Printed) -> None:
        self.printed = printed
        command = [sys.executable, "-c", _python("compare.learner.child_process", "serve()")]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _python("compare.learner.supervisor", f"supervise({command!a})")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for us, who end it
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.answers: queue.Queue[bytes | None] = queue.Queue(1)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._receive, self._listen)]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process and all that it has started."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        until = time.monotonic() + 1
        while self.threads[0].is_alive() and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self.answers.get(timeout=0.05)  # nobody asks any more
        for thread, stream in zip(self.threads, (self.process.stdout, self.process.stderr), strict=True):
            thread.join(1)
            if not thread.is_alive():  # else something that we can not end holds the other side open
                stream.close()  # type: ignore[union-attr]

    def ask(self, deadline: float, **request: str) -> tuple[dict[str, Any], bytes]:
        """The answer to one request: plain data, and bytes that go with it

        It has to repeat a number that nobody could know before: what the file writes by itself, knowing
        neither that nor the lengths, is taken for no answer.
        """
        token = secrets.token_hex(16)
        line = json.dumps({"token": token, **request}).encode() + b"\n"
        with contextlib.suppress(OSError):  # the end of the process shows below
            self.process.stdin.write(line)  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
        try:
            message = self.answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise StoppedError("timeout") from None
        if message is None:
            raise StoppedError("crash", f"the process ended with exit status {self._status()}")
        head, _, numbers = message.partition(b"\n")
        try:
            answer = json.loads(head)
            if answer.pop("token") == token:
                return answer, numbers
        except Exception:
            pass
        raise StoppedError("crash", NO_ANSWER)

    def _status(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(10)
            with contextlib.suppress(ValueError):
                return f"{status} ({signal.Signals(status - 128).name})"
            return str(status)
        return "unknown"

    def _receive(self) -> None:
        """Answers: a length in 8 bytes, and so many bytes."""
        stream: Any = self.process.stdout
        while len(head := stream.read(8)) == 8:
            size = int.from_bytes(head)
            self.answers.put(stream.read(size) if size <= LARGEST else b"")
        self.answers.put(None)

    def _listen(self) -> None:
        stream: Any = self.process.stderr
        for line in iter(lambda: stream.readline(8192), b""):
            with contextlib.suppress(OSError, ValueError):  # nobody reads
                self.printed(line.decode(errors="replace").rstrip("\r\n"))


def _python(module: str, call: str) -> str:
    # What is imported stays: `serve` looks for garbage only afterwards. (The supervisor makes none.)
    name = call.partition("(")[0]
    return f"import gc, sys; gc.disable(); sys.path[:] = {sys.path!a}; from {module} import {name}; {call}"
