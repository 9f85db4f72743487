"""One component more is three files more: all else picks it up from there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = {  # of a topic that there is not
    "scratch": '''\
"""A smooth ReLU."""

import numpy as np

from scratch.checks import expects


@expects(x="*shape")
def smooth_relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = log(1 + eˣ)"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x


@expects(cache={"x": "*shape"}, dy="*shape")
def smooth_relu_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy/(1 + e⁻ˣ)"""
    x = cache
    e = np.exp(-np.abs(x))
    return dy * (np.where(x < 0, e, x.dtype.type(1)) / (1 + e))
''',
    "torch_ref": '''\
"""A smooth ReLU, differentiated by autograd."""

import torch
from torch.nn import functional as F


def smooth_relu(x: torch.Tensor) -> torch.Tensor:
    """y = log(1 + eˣ), beyond x = 20 as x"""
    return F.softplus(x)
''',
    "compare/cases": '''\
"""A smooth ReLU: both tails, and the middle."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.cases.autograd import differentiable, gradients
from compare.cases.choices import any_shape, floats
from compare.cases.inputs import SIZES, normal
from compare.cases.limits import FLOAT64, LARGEST, edge, elementwise
from compare.component import Budget, Case, Choose, Component, Departure, Edge, Edges, Mistake, Results
from torch_ref import smooth_relu as reference


def cases(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Of both signs."""
    for name, shape in SIZES.items():
        yield Case(name, {"x": 3 * normal(rng, shape, dtype), "dy": normal(rng, shape, dtype)}, dtype=dtype)


def random_case(choose: Choose, dtype: Any) -> Case:
    """Of any size."""
    shape = any_shape(choose)
    x = floats(choose, shape, dtype, (-3, 0))
    return Case("random", {"x": x, "dy": floats(choose, shape, dtype)}, dtype=dtype)


def refused(rng: np.random.Generator, dtype: Any) -> Iterator[Case]:
    """Integers."""
    yield Case("integers", {"x": np.arange(3), "dy": np.ones(3, dtype)}, dtype=dtype)


def edges(base: Case) -> Iterator[Edge]:
    """Beyond PyTorch's threshold."""
    yield from elementwise(base)
    yield edge(base, "beyond the threshold", arrays={"x": np.full_like(base["x"], 21)})


def run_scratch(case: Case, f: Any) -> Results:
    """Both passes."""
    y, cache = f.smooth_relu_forward(case["x"])
    return {"output": y, "grad.x": f.smooth_relu_backward(case["dy"], cache)}


def run_torch(case: Case) -> Results:
    """Autograd."""
    x = differentiable(case["x"])
    y = reference.smooth_relu(x)
    return {"output": y, **gradients(y, case["dy"], x=x)}


COMPONENTS = (
    Component(
        name="smooth_relu",
        topic="smooth_relu",
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html",
        functions=("smooth_relu_forward", "smooth_relu_backward"),
        reference=("smooth_relu",),
        cases=cases,
        random_case=random_case,
        run_scratch=run_scratch,
        run_torch=run_torch,
        budget=Budget(4, "element by element, two exponentials or a logarithm"),
        mistakes=(
            Mistake(
                "derivative of the output",
                "σ(y) instead of σ(x): the cache holds the result where it should hold the input.",
                [("np.log1p(np.exp(-np.abs(x))), x", "np.log1p(np.exp(-np.abs(x))), np.maximum(x, 0)")],
            ),
            Mistake(
                "the ReLU's derivative",
                "1 for x > 0: the slope of the function that it is a smooth form of.",
                [("np.where(x < 0, e, x.dtype.type(1)) / (1 + e)", "x > 0")],
            ),
        ),
        refused=refused,
        edges=Edges(rows=("x", "dy"), others=edges),
        departures=(
            Departure(("beyond the threshold",), ("",), "Beyond x = 20 PyTorch takes x for y.", FLOAT64),
            Departure(LARGEST, ("dy", "one of dy"), "PyTorch multiplies dy by eˣ first, which overflows."),
        ),
    ),
)
''',
}
RIGHT = FILES["scratch"]
WRONG = RIGHT.replace("(np.where(x < 0, e, x.dtype.type(1)) / (1 + e))", "(x > 0)")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project with the three files."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("compare", "scratch", "torch_ref", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, text in FILES.items():
        (folder / name / "smooth_relu.py").write_text(text, encoding="utf-8")
    (folder / "right.py").write_text(RIGHT, encoding="utf-8")
    (folder / "wrong.py").write_text(WRONG, encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of `python -m …` in the copy, and what it prints."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


def test_it_is_in_the_table_the_report_and_the_page_of_a_run(copy):
    status, text = run(copy, "compare", "--only", "smooth_relu", "--out", "out")
    assert (status, "equal: 1 component, 12 cases" in text) == (0, True), text
    (component,) = json.loads((copy / "out" / "report.json").read_text(encoding="utf-8"))["components"]
    assert (component["name"], component["topic"], len(component["mistakes"])) == (
        "smooth_relu",
        "smooth_relu",
        2,
    )
    page = (copy / "out" / "components" / "smooth_relu.html").read_text(encoding="utf-8")
    assert "<h1" in page
    assert "σ(y) instead of σ(x)" in page


def test_it_is_listed_last_and_shown(copy):
    status, text = run(copy, "compare", "list")
    assert (status, text.index("minibatches") < text.index("smooth_relu")) == (0, True), text
    status, text = run(copy, "compare", "show", "smooth_relu")
    assert status == 0, text
    assert all(
        part in text for part in ("def smooth_relu_forward", "def smooth_relu(x", "the ReLU's derivative")
    )


def test_its_edges_and_departures_are_in_the_table(copy):
    status, text = run(copy, "compare", "edges", "smooth_relu")
    assert (status, "as declared: 86 probes of 1 component" in text) == (0, True), text
    assert "Beyond x = 20 PyTorch takes x for y." in text


def test_it_can_be_written_as_an_exercise(copy):
    status, text = run(copy, "compare", "exercise", "smooth_relu", "--out", "exercise.py")
    assert status == 0, text
    exercise = (copy / "exercise.py").read_text(encoding="utf-8")
    assert "def smooth_relu_forward" in exercise
    assert "def smooth_relu_backward" in exercise
    assert "np.log1p" not in exercise


def test_a_right_file_passes_and_the_mistake_of_a_wrong_one_is_named(copy):
    status, text = run(copy, "compare", "check", "right.py")
    assert (status, "smooth_relu" in text) == (0, True), text
    status, text = run(copy, "compare", "check", "wrong.py")
    assert (status, "the ReLU's derivative" in text) == (1, True), text


def test_the_tests_run_on_it(copy):
    """On random cases, on large ones, on its mistakes; its gradients without PyTorch."""
    files = ("properties", "components", "mistakes", "gradient_truth", "size", "edges", "architecture")
    tests = [f"tests/test_{name}.py" for name in files]
    status, text = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-k", "smooth_relu", *tests)
    assert (status, "30 random cases in 2 tests" in text) == (0, True), text
