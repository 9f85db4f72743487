"""python -m compare"""

import sys


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


if __name__ == "__main__":
    sys.exit(start())
