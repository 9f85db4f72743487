"""python -m compare"""

import gc
import os
import signal
import sys
from importlib.util import find_spec
from types import FrameType

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # links in it are as they are in the path


def start() -> int:
    """The command line, with one line instead of a traceback also while PyTorch is still being imported."""
    try:
        from compare.cli import main

        return main()
    except ModuleNotFoundError as error:
        print(f"error: {error}: {_where_it_is_installed()}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as after an error, so that unfinished files and child processes go too."""
    sys.exit(128 + number)


def _where_it_is_installed() -> str:
    """What to type where a package is missing; nobody who has a PyTorch is sent for another one."""
    python = os.path.join(HOME, ".venv", "bin", "python")
    if os.path.exists(python) and os.path.abspath(sys.executable) != python:
        return f"{python} has what is needed; run it, or activate .venv"
    if find_spec("torch"):
        return "install the requirements with `python -m pip install -e .`, which keeps this PyTorch"
    return 'run `make compare`, or `python -m pip install -c constraints.txt -e ".[dev]"`, as the README says'


def _leave_out_the_current_folder() -> None:
    """Where `python -m` looks first: a scratch.py or a random.py of somebody's own is not what we import."""
    if not sys.flags.safe_path and os.path.abspath(sys.path[0]) != HOME:
        del sys.path[0]


if __name__ == "__main__":
    _leave_out_the_current_folder()
    # What is imported stays: to look through hundreds of thousands of objects for garbage, again and again
    # while more are made, is time that everybody waits for.
    gc.set_threshold(100_000, 50, 100)
    os.environ["MPLBACKEND"] = "agg"  # figures become files: no display is asked for
    for name in ("SIGTERM", "SIGHUP"):  # Windows lacks the latter
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    sys.exit(start())
