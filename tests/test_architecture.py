"""The arrows of the design: scratch/ is NumPy alone, torch_ref/ is PyTorch alone, neither knows the other."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from compare.cases import TOPICS

ROOT = Path(__file__).parent.parent


def test_the_contracts_on_imports_are_kept(monkeypatch):
    """Of scratch/, of torch_ref/ and of the rooms of compare/: they stand in pyproject.toml."""
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True, show_timings=False) == 0


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_one_file_or_package_of_its_name_everywhere(topic):
    for path in (f"scratch/{topic}", f"torch_ref/{topic}", f"compare/cases/{topic}"):
        assert (ROOT / f"{path}.py").is_file() or (ROOT / path / "__init__.py").is_file(), path


def test_no_component_draws_from_global_state():
    """A generator is made and passed on; NumPy's and PyTorch's own ones are neither seeded nor asked."""
    made = {"default_rng", "RandomState", "Generator"}
    for package in ("scratch", "torch_ref"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    called = ast.unparse(node.func)
                    assert called != "torch.manual_seed", f"{file.name}:{node.lineno}"
                    if called.startswith("np.random."):
                        assert node.func.attr in made, f"{file.name}:{node.lineno} calls {called}"


def test_what_a_reader_opens_fits_on_a_screen():
    """Functions, and classes of few methods, with their docstrings."""
    for package in ("scratch", "torch_ref"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                small = isinstance(node, ast.ClassDef) and len(node.body) < 7
                if isinstance(node, ast.FunctionDef) or small:
                    lines = (node.end_lineno or 0) - node.lineno + 1
                    assert lines <= 60, f"{file.name}:{node.lineno} {node.name}: {lines} lines"
