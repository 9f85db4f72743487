"""What the mutation run leans on: our own changes, and the list of mutants that nothing can tell apart."""

import ast
import tomllib
from pathlib import Path

import numpy as np
import pytest
from edits import edits
from reach import watching

from scratch.activations import relu_forward

ROOT = Path(__file__).parent.parent


def path_of(side: str, module: str) -> Path:
    path = ROOT / side / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


with open(ROOT / "tests" / "equivalent_mutants.toml", "rb") as file:
    LISTED = [
        (path_of(side, module), entry)
        for side, modules in tomllib.load(file).items()
        for module, group in modules.items()
        for entry in group
    ]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("argument", "y = f(x, p=p)", ["y = f(x)", "y = f(p=p)"]),
        ("argument", "y = f(*x, **p)", []),
        ("argument", "y = f(f'{g(x)}')", ["y = f()"]),
        ("method", "y = (a + b).copy().sum()", ["y = (a + b).copy()", "y = (a + b).sum()"]),
        ("method", "a.eval().run()", ["a.run()"]),
        ("method", "a.run()", []),
        ("statement", "a.run()\n'text'", ["pass\n'text'"]),
        ("statement", "a.b = c", ["pass"]),
        ("statement", "a, b[0] = c", ["pass"]),
        ("statement", "a.b: int = c", ["pass"]),
        ("statement", "a += b", ["pass"]),
        ("statement", "a = f(a)", ["pass"]),
        ("statement", "a = b", []),
        ("loop", "for a, ü in b:\n    pass", ["for a, ü in list(b)[:1]:\n    pass"]),
        ("loop", "ü = [a for a in b + c]", ["ü = [a for a in list(b + c)[:1]]"]),
        (
            "finally",
            "try:\n    f()\nfinally:\n    g()",
            ["try:\n    f()\nfinally:\n    if __import__('sys').exc_info()[0] is None:\n        g()"],
        ),
    ],
)
def test_each_kind_of_edit_leaves_out_what_it_says(kind, before, after):
    changed = [edit.applied_to(before) for edit in edits(before) if edit.kind == kind]
    assert sorted(changed) == sorted(after)


@pytest.mark.parametrize("side", ["scratch", "torch_ref"])
def test_every_edit_gives_another_program(side):
    kinds = set()
    for name in ("network", "files") if side == "scratch" else ("network",):
        source = (ROOT / side / f"{name}.py").read_text(encoding="utf-8")
        found = edits(source)
        kinds |= {edit.kind for edit in found}
        original = ast.dump(ast.parse(source))
        assert original not in [ast.dump(ast.parse(edit.applied_to(source))) for edit in found]
    assert kinds == {"argument", "method", "statement", "loop", "finally"}


def test_what_runs_is_seen_function_by_function():
    path = ROOT / "scratch" / "activations.py"
    x = np.ones(3)
    with watching() as places:
        relu_forward(x)
    with watching() as nothing:
        x.sum()
    lines = path.read_text(encoding="utf-8").splitlines()
    of_the_file = sorted(line for file, line in places if file == str(path))
    assert [lines[line - 1] for line in of_the_file[1:]] == ['@expects(x="*shape")']
    assert lines[of_the_file[1]].startswith("def relu_forward(")
    assert of_the_file[0] == 0  # what stands outside of all functions
    assert not nothing


def test_what_refuses_its_arguments_counts_as_run():
    with watching() as places, pytest.raises(TypeError):
        relu_forward("x")
    assert {line for file, line in places if file.endswith("activations.py")} > {0}


def test_every_listed_mutant_changes_lines_that_are_there():
    for path, entry in LISTED:
        source = path.read_text(encoding="utf-8")
        assert entry["before"] in " ".join(line.strip() for line in source.splitlines())
        assert entry["after"]
        assert entry["before"] not in entry["after"]


def test_every_listed_mutant_has_a_proof_of_one_line():
    assert {key for _, entry in LISTED for key in entry} == {"before", "after", "why"}  # no table in another
    for _, entry in LISTED:
        assert entry["why"].endswith(".")
        assert "\n" not in entry["why"]
