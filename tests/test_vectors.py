"""ONNX's vectors: each is held against both sides or says why it is none of ours, and each can fail."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compare import cases
from compare.cases import vectors
from compare.cases.vectors import OPERATORS, Trial, collect, hold, run
from compare.cli import main
from compare.component import Component, Mistake
from compare.report.report import Report, as_json

onnx = pytest.importorskip("onnx", reason="the package onnx, of the extra dev, has the vectors")

COMPONENTS = cases.all_components()
# Their mistakes are in the backward pass, in kinks, in slopes above 1 and in saturated tails.
BLIND = {"relu", "leaky_relu", "tanh", "sigmoid"}


@pytest.fixture(scope="module")
def everything():
    return run(list(COMPONENTS.values()), "cpu")


def test_both_sides_meet_every_vector(everything):
    assert [held for held in everything.held if not held.equal] == []
    assert everything.different == []
    assert len(everything.held) >= 50
    assert everything.text.startswith(
        f"other people's vectors: {len(everything.held)} ONNX tests on both sides"
    )


@pytest.mark.cuda
def test_both_sides_meet_every_vector_on_cuda(cuda: str):
    assert run(list(COMPONENTS.values()), cuda).different == []


def test_every_operator_is_held(everything):
    operator = {vector.name: vector.operator for vector in collect(list(OPERATORS))}
    assert {operator[held.name] for held in everything.held} == OPERATORS.keys()
    assert {held.component for held in everything.held} == {o.component for o in OPERATORS.values()}


def test_no_vector_of_these_operators_is_unaccounted_for(everything):
    """Counted in the package's own source, not by the reader that is tested."""
    folder = Path(onnx.__file__).parent / "backend/test/case/node"
    sources = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    for name, operator in OPERATORS.items():
        assert [m for m, text in sources.items() if f"class {name}(Base)" in text] == [operator.module]
    written = {n for o in OPERATORS.values() for n in re.findall(r'name="(test_\w+)"', sources[o.module])}
    accounted = [held.name for held in everything.held] + list(everything.not_ours)
    assert len(set(accounted)) == len(accounted)
    recorded = {path.parent.name for path in (folder.parents[1] / "data").glob("*/*/model.onnx")}
    assert written <= set(accounted)
    built = tuple(
        n for o in OPERATORS.values() for n in re.findall(r'name = f"(test_\w+)', sources[o.module])
    )
    assert {name for name in set(accounted) - written if not name.startswith(built)} <= recorded


def test_reasons_are_a_line_each_and_none_is_that_we_do_not_understand(everything):
    for reason in everything.not_ours.values():
        assert 10 < len(reason) <= 100
        assert not reason.startswith("not understood")
        assert not reason.endswith(".")


def test_what_is_left_out_has_the_numbers_of_what_is_taken():
    collect(list(OPERATORS))
    tests = {test.name: test for test in sys.modules["onnx.backend.test.case.node"]._NodeTestCases}
    expanded = [name for name in tests if "_expanded" in name]
    assert len(expanded) >= 10
    for name in expanded:
        original = tests[re.sub(r"_expanded.*", "", name)]
        for ours, theirs in zip(tests[name].data_sets[0], original.data_sets[0], strict=True):
            assert all(a is b for a, b in zip(ours, theirs, strict=True))


def test_collecting_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    collect(["Relu"])
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_vector_that_is_a_little_off_is_met_by_neither_side(operator: str):
    """Off by four budgets (or four units) in the scale of its component, in one element of one array."""
    component = COMPONENTS[OPERATORS[operator].component]
    trials = [trial for v in collect([operator]) if isinstance(trial := OPERATORS[operator].trial(v), Trial)]
    for trial in trials:
        scales = component.magnitude(trial.case)
        allowed = max(component.budget.allowed(trial.case, "cpu"), 1)
        for name, right in trial.expected.items():
            scale = np.broadcast_to(scales.get(name, np.abs(right).max()), right.shape)
            largest = np.unravel_index(np.argmax(scale), right.shape)
            wrong = np.array(right)
            wrong[largest] += 4 * allowed * np.finfo(right.dtype).eps * scale[largest]
            held = hold(replace(trial, expected={**trial.expected, name: wrong}), component, "cpu")
            assert all(found.units > held.budget for found in held.worst.values()), (held.name, name)


@pytest.mark.parametrize("name", sorted({o.component for o in OPERATORS.values()} - BLIND))
def test_a_mistake_of_scratch_is_exposed(name: str, monkeypatch):
    component = COMPONENTS[name]
    assert any(exposed(component, mistake, monkeypatch) for mistake in component.mistakes)


def exposed(component: Component, mistake: Mistake, monkeypatch) -> bool:
    with monkeypatch.context() as patch:
        for name, function in mistake.functions.items():
            patch.setattr(f"scratch.{component.topic}.{name}", function)
        found = run([component], "cpu")
    assert all(held.worst["torch"].units <= held.budget for held in found.held)
    return bool(found.different)


def test_a_mistake_of_torch_is_exposed(monkeypatch):
    monkeypatch.setattr("torch_ref.activations.relu", torch.abs)
    found = run([COMPONENTS["relu"]], "cpu")
    assert found.different[:2] == ["test_relu", "test_ReLU"]
    assert all(held.worst["scratch"].units == 0 for held in found.held)


def test_a_form_that_is_not_known_is_not_ours_and_an_exception_is_a_difference(monkeypatch):
    def unknown(vector):
        raise KeyError("new")

    monkeypatch.setitem(vectors.OPERATORS, "Relu", replace(OPERATORS["Relu"], trial=unknown))
    assert set(run([COMPONENTS["relu"]], "cpu").not_ours.values()) == {"not understood: KeyError: 'new'"}
    monkeypatch.setattr("scratch.activations.tanh_forward", unknown)
    assert [held.error for held in run([COMPONENTS["tanh"]], "cpu").held] == ["KeyError: 'new'"] * 3


def test_the_command_counts_them_and_a_failure_is_the_verdict(tmp_path, capsys, monkeypatch):
    arguments = ["--only", "relu", "--dtype", "float64", "--out", str(tmp_path)]
    assert main(arguments) == 0
    line = "other people's vectors: 3 ONNX tests on both sides, 0 not ours"
    assert line in capsys.readouterr().out.splitlines()
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["vectors"]["text"] == line
    assert "Other people&#39;s vectors: 3 ONNX" in (tmp_path / "index.html").read_text(encoding="utf-8")

    right = OPERATORS["Relu"].trial
    wrong = replace(OPERATORS["Relu"], trial=lambda v: right(replace(v, outputs=[v.outputs[0] + 1])))
    monkeypatch.setitem(vectors.OPERATORS, "Relu", wrong)
    assert main(arguments) == 1
    *_, verdict, _ = capsys.readouterr().out.splitlines()
    assert verdict == "NOT equal: ONNX's test_relu, ONNX's test_ReLU, ONNX's test_single_relu_model"
    assert "ONNX&#39;s test_relu" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_a_failure_is_located(monkeypatch):
    monkeypatch.setattr("scratch.activations.relu_forward", lambda x: (np.maximum(x, x.dtype.type(0.5)), x))
    report = Report({}, {}, [], [], [], run([COMPONENTS["relu"]], "cpu"))
    finding = report.findings()[0]
    assert finding.where == "relu, ONNX's test_relu"
    (line,) = finding.lines
    assert re.fullmatch(r"output\[\d, \d, \d\]: scratch 0.5, should be 0(.\d+)?: \S+ units, budget 0", line)
    assert json.loads(as_json(report))["verdict"]["equal"] is False


def test_training_runs_alone_have_no_vectors():
    assert run([], "cpu").text == ""
    assert Report({}, {}, [], [], []).vectors.text == ""


WITHOUT = """
import sys
from compare.cli import main
assert main(["show", "relu"]) == 0
assert "onnx" not in sys.modules
sys.modules["onnx"] = None
assert main(["--only", "relu", "--dtype", "float32", "--out", sys.argv[1]]) == 0
"""


def test_without_the_package_the_comparison_runs_and_says_so_and_showing_does_not_load_it(tmp_path):
    command = [sys.executable, "-c", WITHOUT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ONNX's vectors: not run (the package onnx is not installed)" in done.stdout.splitlines()
