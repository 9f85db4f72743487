"""Other people's tests: each is held against both sides or says why it is none of ours, and each can fail."""

import importlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import scratch.optimizers
from compare import cases
from compare.cases.vectors import Vectors, hold, onnx_tests, run, torch_tests
from compare.cases.vectors.onnx_tests import OPERATORS, collect
from compare.cases.vectors.trial import Trial
from compare.cli import main
from compare.component import Component, Mistake
from compare.report.report import Report, as_json

onnx = pytest.importorskip("onnx", reason="the package onnx, of the extra dev, has the vectors")

COMPONENTS = cases.all_components()
TOPICS_WITH_SAMPLES = ("activations", "softmax", "linear", "losses", "batch_norm", "layer_norm", "optimizers")
WITHOUT_SAMPLES = {"lion"}
# Their mistakes are in the backward pass, in kinks, in slopes above 1 and in saturated tails.
BLIND = {"relu", "leaky_relu", "tanh", "sigmoid"}


@pytest.fixture(scope="module")
def everything():
    return run(list(COMPONENTS.values()), "cpu")


@pytest.fixture(scope="module")
def samples() -> dict[str, list[tuple[str, Trial | str]]]:
    """Component → PyTorch's samples."""
    found: dict[str, list[tuple[str, Trial | str]]] = {}
    for name, component, trial in torch_tests.trials(COMPONENTS.keys()):
        found.setdefault(component, []).append((name, trial))
    return found


def of(source: str, everything: Vectors) -> tuple[list, dict[str, str]]:
    """The held ones, and the reasons of the others by name."""
    start = f"{source}'s "
    others = {n.removeprefix(start): why for n, why in everything.not_ours.items() if n.startswith(start)}
    return [held for held in everything.held if held.source == source], others


def test_both_sides_meet_every_test(everything):
    assert [held for held in everything.held if not held.equal] == []
    assert everything.different == []
    assert everything.not_run == {}
    counts = {source: tuple(map(len, of(source, everything))) for source in ("ONNX", "PyTorch")}
    assert counts["ONNX"][0] >= 110
    assert counts["PyTorch"][0] >= 700
    assert everything.text == "other people's tests: " + "; ".join(
        f"{held} of {source}'s on both sides, {others} not ours" for source, (held, others) in counts.items()
    )


def test_less_than_5_percent_of_pytorchs_samples_are_not_ours(everything):
    held, others = of("PyTorch", everything)
    assert len(others) < 0.05 * (len(held) + len(others))


def test_no_sample_of_pytorch_is_left_out(everything, samples):
    """Counted in PyTorch's own lists, by the names that PyTorch has for what is ours."""
    functions = importlib.import_module("torch.testing._internal.common_methods_invocations").op_db
    modules = importlib.import_module("torch.testing._internal.common_modules").module_db
    optimizers = importlib.import_module("torch.testing._internal.common_optimizers").optim_db
    expected = 0
    for dtype in torch_tests.DTYPES:
        for info in functions:
            functions_of_ours = {operator.function for operator in torch_tests.OPERATORS.values()}
            if info.name in functions_of_ours and info.supports_dtype(dtype, "cpu"):
                expected += sum(1 for _ in info.sample_inputs("cpu", dtype))
        for info in modules:
            if info.module_cls.__name__ in {operator.module for operator in torch_tests.OPERATORS.values()}:
                for training in (True, False) if info.train_and_eval_differ else (True,):
                    given = {"device": "cpu", "dtype": dtype, "requires_grad": False, "training": training}
                    expected += len(info.module_inputs_func(info, **given))
        for info in optimizers:
            if hasattr(scratch.optimizers, info.optim_cls.__name__):
                expected += len(info.optim_inputs_func(device="cpu"))
    names = [name for each in samples.values() for name, _ in each]
    assert len(names) == len(set(names)) == expected
    held, others = of("PyTorch", everything)
    assert {one.name.removeprefix("PyTorch's ") for one in held} | others.keys() == set(names)


def test_what_we_share_with_pytorch_has_samples(samples):
    """All of these topics but what PyTorch does not have."""
    ours = {c.name for c in COMPONENTS.values() if c.topic in TOPICS_WITH_SAMPLES}
    assert ours - samples.keys() == WITHOUT_SAMPLES


@pytest.mark.cuda
def test_both_sides_meet_every_vector_on_cuda(cuda: str):
    assert run(list(COMPONENTS.values()), cuda).different == []


def test_every_operator_is_held(everything):
    held, _ = of("ONNX", everything)
    operator = {f"ONNX's {vector.name}": vector.operator for vector in collect(list(OPERATORS))}
    assert {operator[one.name] for one in held} == OPERATORS.keys()
    assert {one.component for one in held} == {o.component for o in OPERATORS.values()}


def test_no_vector_of_these_operators_is_unaccounted_for(everything):
    """Counted in the package's own source, not by the reader that is tested."""
    folder = Path(onnx.__file__).parent / "backend/test/case/node"
    sources = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    for name, operator in OPERATORS.items():
        assert [m for m, text in sources.items() if f"class {name}(Base)" in text] == [operator.module]
    written = {n for o in OPERATORS.values() for n in re.findall(r'name="(test_\w+)"', sources[o.module])}
    held, others = of("ONNX", everything)
    accounted = [one.name.removeprefix("ONNX's ") for one in held] + list(others)
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


def assert_can_fail(trial: Trial, component: Component) -> None:
    """Off by four budgets (or four units) in the scale of its component, in one element of one array."""
    scales = component.magnitude(trial.case)
    allowed = max(component.budget.allowed(trial.case, "cpu"), 1)
    for name, right in trial.expected.items():
        if right.size == 0 or right.dtype.kind != "f":
            continue
        scale = np.broadcast_to(scales.get(name, np.abs(right).max()), right.shape)
        largest = np.unravel_index(np.argmax(scale), right.shape)
        wrong = np.array(right)
        wrong[largest] += 4 * allowed * np.finfo(right.dtype).eps * scale[largest]
        held = hold(replace(trial, expected={**trial.expected, name: wrong}), component, "cpu")
        if scale[largest] > np.finfo(right.dtype).tiny:  # else nothing but zeros was added up
            assert all(found.units > held.budget for found in held.worst.values()), (held.name, name)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_vector_that_is_a_little_off_is_met_by_neither_side(operator: str):
    component = COMPONENTS[OPERATORS[operator].component]
    trials = [trial for v in collect([operator]) if isinstance(trial := OPERATORS[operator].trial(v), Trial)]
    for trial in trials:
        assert_can_fail(trial, component)


@pytest.mark.parametrize("name", sorted(torch_tests.COMPONENTS))
def test_a_sample_that_is_a_little_off_is_met_by_neither_side(name: str, samples):
    for trial in [trial for _, trial in samples[name] if isinstance(trial, Trial)][::7]:
        assert_can_fail(trial, COMPONENTS[name])


@pytest.mark.parametrize("name", sorted({o.component for o in OPERATORS.values()} - BLIND))
def test_a_mistake_of_scratch_is_exposed(name: str, monkeypatch):
    component = COMPONENTS[name]
    assert any(exposed(component, mistake, monkeypatch) for mistake in component.mistakes)


def exposed(component: Component, mistake: Mistake, monkeypatch) -> bool:
    with monkeypatch.context() as patch:
        for name, function in mistake.functions.items():
            patch.setattr(f"scratch.{component.topic}.{name}", function)
        found = run([component], "cpu")
    assert all(held.worst["torch"].units <= held.budget for held in found.held if not held.error)
    return bool(found.different)


def test_a_mistake_of_torch_is_exposed(monkeypatch):
    monkeypatch.setattr("torch_ref.activations.relu", torch.abs)
    found = run([COMPONENTS["relu"]], "cpu")
    assert found.different[:2] == ["ONNX's test_relu", "ONNX's test_ReLU"]
    assert "PyTorch's nn.ReLU 2, float64" in found.different
    assert all(held.worst["scratch"].units == 0 for held in found.held)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 3), (2, 4, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_weight_of_one_axis_is_one_output_feature(shape, bias):
    """PyTorch 2.15 tests `F.linear` with such weights; older ones do not take all of these."""
    torch.manual_seed(0)
    arguments = {"input": torch.randn(shape), "weight": torch.randn(3)}
    if bias:
        arguments["bias"] = torch.randn(())

    def linear(input, weight, bias=0.0):
        return (input * weight).sum(-1) + bias

    sample = torch_tests._called("linear 0", linear, arguments, arguments)
    trial = torch_tests.OPERATORS["linear"].trial(sample)
    assert trial.case["weight"].shape == (1, 3)
    assert trial.expected["output"].shape == (*shape[:-1], 1)
    assert hold(trial, COMPONENTS["linear"], "cpu").equal


def test_a_form_that_is_not_known_is_not_ours_and_an_exception_is_a_difference(monkeypatch):
    def unknown(vector):
        raise KeyError("new")

    monkeypatch.setitem(onnx_tests.OPERATORS, "Relu", replace(OPERATORS["Relu"], trial=unknown))
    assert set(run([COMPONENTS["relu"]], "cpu").not_ours.values()) == {"not understood: KeyError: 'new'"}
    monkeypatch.setattr("scratch.activations.tanh_forward", unknown)
    held, _ = of("ONNX", run([COMPONENTS["tanh"]], "cpu"))
    assert [one.error for one in held] == ["KeyError: 'new'"] * 3


def test_the_command_counts_them_and_a_failure_is_the_verdict(tmp_path, capsys, monkeypatch):
    arguments = ["--only", "relu", "--dtype", "float64", "--out", str(tmp_path)]
    assert main(arguments) == 0
    line = "other people's tests: 3 of ONNX's on both sides, 0 not ours"
    assert line in capsys.readouterr().out.splitlines()
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["vectors"]["text"] == line
    assert "Other people&#39;s tests: 3 of ONNX&#39;s" in (tmp_path / "agreement.html").read_text(
        encoding="utf-8"
    )

    right = OPERATORS["Relu"].trial
    wrong = replace(OPERATORS["Relu"], trial=lambda v: right(replace(v, outputs=[v.outputs[0] + 1])))
    monkeypatch.setitem(onnx_tests.OPERATORS, "Relu", wrong)
    assert main(arguments) == 1
    verdict = "NOT equal: ONNX's test_relu, ONNX's test_ReLU, ONNX's test_single_relu_model"
    assert verdict in capsys.readouterr().out.splitlines()
    assert "ONNX&#39;s test_relu" in (tmp_path / "agreement.html").read_text(encoding="utf-8")


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
    line = "other people's tests: ONNX's not run (the package onnx is not installed)"
    assert line in done.stdout.splitlines()


HARMLESS = """
import json, os, sys
import torch
from compare import cases
from compare.cases.vectors import torch_tests
def state():
    flags = [torch.backends.flags_frozen(), torch.get_default_dtype(), torch.get_num_threads()]
    return flags, dict(os.environ), sys.path[:], torch.get_rng_state().tolist()
before = state()
assert list(torch_tests.trials(["relu"]))
assert state() == before
"""


def test_reading_pytorchs_tests_changes_nothing_of_the_process():
    done = subprocess.run([sys.executable, "-c", HARMLESS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
