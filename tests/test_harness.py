"""The harness is broken on purpose, in one place at a time, and the suite must notice.

A test that can not fail proves nothing. Each sabotage of sabotages.toml changes one file of `compare/` in a
copy of the project, and the test that it names, which stands in another file, runs there: it must fail.
"""

import gc
import multiprocessing
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
# What every copy imports that is no part of it: loaded once, inherited by every process.
LIBRARIES = [
    *["click", "hypothesis", "jinja2", "matplotlib.figure", "numpy", "pygments.lexers", "rich.console"],
    *["rich.progress", "rich.syntax", "rich.table", "scipy.io", "sklearn.datasets", "threadpoolctl"],
    *["sklearn.model_selection", "torch", "torch._dynamo", "torch._inductor", "torch.utils.data"],
]


class Sabotage(NamedTuple):
    """One thing that somebody could break without meaning to."""

    name: str
    says: str
    file: str  # in compare/
    before: str  # occurs exactly once in it
    after: str
    test: str  # in tests/; it must fail


with open(Path(__file__).with_name("sabotages.toml"), "rb") as file:
    SABOTAGES = [Sabotage(name, **sabotage) for name, sabotage in tomllib.load(file).items()]


@pytest.fixture(scope="module")
def forks():
    """Processes that start with all libraries loaded, and nothing of this project."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_suite_notices(sabotage: Sabotage, forks, tmp_path):
    copy(tmp_path / "copy")
    change(tmp_path / "copy", sabotage)
    status, output = run_tests(forks, tmp_path, [sabotage.test])
    assert status == pytest.ExitCode.TESTS_FAILED, output
    assert "\nFAILED tests/" in output, output  # and not an error of collection or of a fixture


def test_without_sabotage_the_same_tests_pass(forks, tmp_path):
    copy(tmp_path / "copy")
    tests = list(dict.fromkeys(sabotage.test for sabotage in SABOTAGES))
    status, output = run_tests(forks, tmp_path, tests)
    assert status == pytest.ExitCode.OK, output


def test_every_sabotage_changes_one_place_and_is_another_one():
    for sabotage in SABOTAGES:
        text = (ROOT / "compare" / sabotage.file).read_text(encoding="utf-8")
        assert text.count(sabotage.before) == 1, f"{sabotage.name}: {sabotage.file} has changed: adapt it"
    assert len({(sabotage.file, sabotage.before, sabotage.after) for sabotage in SABOTAGES}) == len(SABOTAGES)


def copy(folder: Path) -> None:
    """The project, in links."""
    folder.mkdir()
    for name in ("compare", "scratch", "torch_ref", "tests", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)


def change(folder: Path, sabotage: Sabotage) -> None:
    """Put a changed copy of the file in the place of its link."""
    path = folder / "compare"
    for part in Path(sabotage.file).parts:
        contents = list(path.resolve().iterdir())
        path.unlink()
        path.mkdir()
        for item in contents:
            (path / item.name).symlink_to(item)
        path /= part
    text = path.read_text(encoding="utf-8")
    path.unlink()
    path.write_text(text.replace(sabotage.before, sabotage.after), encoding="utf-8")
    os.utime(path, (1, 1))  # else it could be as old as the compiled original, and that would run


def run_tests(forks, folder: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    process = forks.Process(target=_run_tests, args=(folder, tests))
    process.start()
    process.join(300)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, (folder / "output").read_text(encoding="utf-8", errors="replace")


def _run_tests(folder: Path, tests: Sequence[str]) -> None:
    """In a process of its own: `python -m pytest` in the copy."""
    gc.freeze()  # what was inherited is not looked through again and again
    with open(folder / "output", "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    here = folder / "copy"
    os.chdir(here)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    sys.dont_write_bytecode = True  # through the links it would land beside the originals
    sys.path[:] = [str(here), *(p for p in sys.path if p and Path(p) not in (ROOT, ROOT / "tests"))]
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(here),
        "--basetemp",
        str(folder / "temp"),
    ]
    status = pytest.main([*options, *(f"tests/{test}" for test in tests)])
    assert Path(sys.modules["compare"].__file__ or "").parent == here / "compare"
    sys.stdout.flush()
    os._exit(int(status))
