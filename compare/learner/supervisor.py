"""Runs one command and ends, with it, everything that it started; started with `python -c`, as a process.

It stands between us and a stranger's file. Whoever starts it holds its standard input: when that closes,
because the work is done or because its holder was killed, the command is killed. Once the command has ended,
in whatever way, so is all that it left behind: on Linux every descendant, also in sessions of their own,
because the kernel hands orphans to this process; elsewhere, the command's process group.

It can not end what the command has asked another service of the machine to start (at, cron, a container), nor
anything once the command has killed this process on purpose.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def supervise(command: Sequence[str]) -> None:
    """Pass our standard input on to a command, wait for it, end what is left, and exit with its status."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the end of our input is the one sign that counts
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: None)  # SIG_IGN would be inherited
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)

    def pass_on() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, 65536):
                child.stdin.write(data)  # type: ignore[union-attr]  # it is a pipe
        child.kill()

    threading.Thread(target=pass_on, daemon=True).start()
    status = child.wait()
    if LINUX:
        _end_descendants()
    elif hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    os._exit(status if status >= 0 else 128 - status)  # of a signal, as a shell says it


def end_with_parent() -> None:
    """Let the kernel kill this process when the one that started it is gone; on Linux."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end_descendants() -> None:
    """Kill our children, and theirs, whom we inherit, until there are none."""
    while True:
        for pid in _children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(file.read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(file.parent.name))
    return found
