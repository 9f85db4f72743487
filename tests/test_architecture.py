"""The arrows of the design: scratch/ is NumPy alone, torch_ref/ is PyTorch alone, neither knows the other."""

import ast
import sys
from pathlib import Path

import pytest

from compare.cases import TOPICS

ROOT = Path(__file__).parent.parent
ALLOWED = {"scratch": {"numpy", "scratch"}, "torch_ref": {"torch", "torch_ref"}}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_each_side_imports_its_own_library_alone(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert imported(file) - sys.stdlib_module_names <= ALLOWED[package], file.name


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_one_file_or_package_of_its_name_everywhere(topic):
    for path in (f"scratch/{topic}", f"torch_ref/{topic}", f"compare/cases/{topic}", f"tests/test_{topic}"):
        assert (ROOT / f"{path}.py").is_file() or (ROOT / path / "__init__.py").is_file(), path


def test_no_component_draws_from_global_state():
    """A generator is made and passed on; NumPy's and PyTorch's own ones are neither seeded nor asked."""
    made = {"default_rng", "RandomState", "Generator"}
    for package in ALLOWED:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    called = ast.unparse(node.func)
                    assert called != "torch.manual_seed", f"{file.name}:{node.lineno}"
                    if called.startswith("np.random."):
                        assert node.func.attr in made, f"{file.name}:{node.lineno} calls {called}"
