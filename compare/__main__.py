"""python -m compare"""

import gc
import os
import signal
import sys
from types import FrameType


def start() -> int:
    """The command line, with one line instead of a traceback also while PyTorch is still being imported."""
    try:
        from compare.cli import main

        return main()
    except ModuleNotFoundError as error:
        print(f"error: {error}: install the requirements with `pip install -e .`", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as after an error, so that unfinished files and child processes go too."""
    sys.exit(128 + number)


def _leave_out_the_current_folder() -> None:
    """Where `python -m` looks first: a scratch.py or a random.py of somebody's own is not what we import."""
    home = os.path.dirname(
        os.path.dirname(os.path.abspath(__file__))
    )  # links in it are as they are in the path
    if not sys.flags.safe_path and os.path.abspath(sys.path[0]) != home:
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
