"""The tests with other versions of Python and PyTorch than the pinned ones: `make test-versions`

Every version has an environment of its own in .nox; all other packages are those of constraints.txt. What is
not to be had is skipped, with the reason: an interpreter that is not installed, a PyTorch that no package
index has. On Linux only builds for the CPU are installed, since the others bring gigabytes along;
TORCH_BUILD= (empty) takes what the index has.
"""

import os
import sys
from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TORCHES = ("2.13.0", "2.14.1", "2.15.0")
TESTS = ("test_random", "test_components", "test_parity", "test_vectors", "test_cards")
BUILD = os.environ.get("TORCH_BUILD", "+cpu" if sys.platform == "linux" else "")
INDEX = "https://download.pytorch.org/whl/cpu"

nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS)
@nox.parametrize("torch", TORCHES)
def tests(session: nox.Session, torch: str) -> None:
    """The tests that are named after --, else those of both sides, of the streams and of others' vectors."""
    pinned = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    others = Path(session.create_tmp()) / "constraints.txt"
    others.write_text("\n".join(line for line in pinned if not line.startswith("torch==")), encoding="utf-8")
    session.env["PIP_CONSTRAINT"] = str(others)
    try:
        session.install(f"torch=={torch}{BUILD}", *(("--extra-index-url", INDEX) if BUILD else ()))
    except nox.command.CommandFailed:
        session.skip(f"pip finds no torch {torch}{BUILD} for Python {session.python}; see above")
    session.install("--editable", ".[dev]")
    chosen = session.posargs or [f"tests/{name}.py" for name in TESTS]
    session.run("python", "-m", "pytest", "-n", "auto", *chosen)
