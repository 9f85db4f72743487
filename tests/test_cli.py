"""The command line: its exit status, its one-line errors, and what it prints into a pipe."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import compare.__main__
from compare import cases, cli, environment
from compare.__main__ import start
from compare.cases import activations, names, vectors
from compare.cases.vectors import Vectors
from compare.cli import main
from compare.component import DTYPES
from compare.draws import why_not_own
from compare.experiments.page import Comparison, Section
from compare.learner.check import Verdict, check, explain
from compare.learner.finding import find
from compare.measure import Difference
from compare.report.report import as_json
from compare.run import CaseResult, cases_of, refused_of
from compare.training import lockstep
from compare.training.lockstep import TrainingResult

EQUAL = Verdict("relu", [], "scratch", "right")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """One topic, training runs of two steps, and PyTorch's settings put back."""
    monkeypatch.setattr(cases, "TOPICS", ("activations",))
    monkeypatch.setattr(lockstep, "RUNS", ("digits", "breast_cancer"))
    monkeypatch.setattr(lockstep, "train_in_lockstep", train)
    monkeypatch.setenv("COLUMNS", "80")
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(deterministic)


def train(name, dtype, device, seed, *, draws) -> TrainingResult:
    losses, accuracy = [1.0, 0.5], [0.9]
    return TrainingResult(
        name, "a network", dtype, device, seed, 64, 2, [0.0, 1.0], [0.0, 1e-16], losses, losses,
        [0.1], accuracy, accuracy, accuracy, accuracy, 100,
    )  # fmt: skip


def fail(*arguments, **options):
    raise AssertionError("this must not be reached")


def read(folder) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_what_the_installed_pytorch_does_otherwise_is_left_out_and_said(tmp_path, capsys, monkeypatch):
    relu, *others = activations.COMPONENTS
    relu = dataclasses.replace(relu, not_here="PyTorch 2.6 does it otherwise", run_torch=fail)
    monkeypatch.setattr(activations, "COMPONENTS", (relu, *others))
    assert main(["--only", "activations", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"relu +\n +not compared", out)
    assert "relu: not compared, for PyTorch 2.6 does it otherwise\n" in out
    assert "equal: 6 components, " in out
    found = read(tmp_path / "run")
    assert found["verdict"]["components"] == 6
    assert [c["not_here"] for c in found["components"] if not c["cases"]] == [relu.not_here]
    page = (tmp_path / "run" / "components" / "relu.html").read_text(encoding="utf-8")
    assert "Not compared: PyTorch 2.6 does it otherwise." in page

    assert main(["edges", "relu"]) == 0
    out = capsys.readouterr().out
    assert "relu: not examined, for PyTorch 2.6 does it otherwise" in out
    assert "0 probes of 0 components" in out

    (attempt,) = find({"relu_forward": lambda x: (x, x), "relu_backward": lambda dy, y: dy})
    assert check(attempt).status == "not here"
    assert explain(check(attempt)) == [relu.not_here]


def test_equal(tmp_path, capsys):
    assert main(["--seed", "3", "--seeds", "2", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    document = read(tmp_path)
    count = sum(
        len(cases_of(component, seed, dtype)) + len(refused_of(component, seed, dtype))
        for component in cases.all_components().values()
        for seed in (3, 4)
        for dtype in DTYPES.values()
    )
    assert document["verdict"]["cases"] == count > 100
    lines = out.splitlines()
    assert f"equal: 7 components, {count} cases, 8 training runs" in lines
    assert lines[-1] == f"report: {tmp_path / 'index.html'}"
    assert document["options"]["seeds"] == [3, 4]
    assert document["environment"]["PyTorch"] == torch.__version__
    assert {path.name for path in tmp_path.iterdir()} == {
        *("index.html", "print.html", "components", "conventions.html", "playground.html", "agreement.html"),
        *("experiments.html", "experiments", "report.json"),
    }


@pytest.fixture
def no_page(monkeypatch):
    """report.json alone: the page takes longer than all else."""

    def alone(site, with_json):
        return {"report.json": as_json(site.report)}

    monkeypatch.setattr("compare.report.site.pages", alone)


def test_what_is_asked_for_is_what_is_compared(tmp_path, monkeypatch, no_page):
    asked = []

    def compare(component, device, dtypes, seeds, *, draws):
        asked.append((component.name, device, dtypes, seeds, draws))
        for dtype in dtypes:
            yield from (CaseResult(component.name, "one", dtype, s, 0, [Difference("y")]) for s in seeds)

    def train_too(name, dtype, device, seed, *, draws):
        asked.append((name, device, dtype, seed, draws))
        return train(name, dtype, device, seed, draws=draws)

    monkeypatch.setattr("compare.run.run_component", compare)
    monkeypatch.setattr(lockstep, "train_in_lockstep", train_too)
    monkeypatch.setattr(environment, "prepare", lambda device: asked.append(("prepared", device)))
    monkeypatch.setattr(environment, "describe", lambda device: {"device": device})
    monkeypatch.setattr(
        vectors, "run", lambda components, device, sources: asked.append(("vectors", device)) or Vectors()
    )
    options = ["--device", "cuda:1", "--dtype", "float64", "--seed", "5", "--seeds", "2"]
    assert main([*options, "--only", "relu,digits", "--out", str(tmp_path)]) == 0
    assert asked == [
        ("prepared", "cuda:1"),
        ("vectors", "cuda:1"),
        ("digits", "cuda:1", "float64", 5, "shared"),
        ("digits", "cuda:1", "float64", 6, "shared"),
        ("relu", "cuda:1", ["float64"], [5], "shared"),
        ("relu", "cuda:1", ["float64"], [6], "shared"),
    ]


BREACH = lockstep.Breach(0, 1, "linear1.weight", 65.0, 64, (0, 0), 1.0, 2.0)


@pytest.mark.parametrize("wrong", [{"breach": BREACH}, {"different_predictions": 1}, {"error": "E"}])
def test_a_training_run_that_differs_is_the_verdict(wrong, tmp_path, capsys, monkeypatch, no_page):
    def wrong_in_float64(name, dtype, *arguments, **options):
        result = train(name, dtype, *arguments, **options)
        return dataclasses.replace(result, **wrong) if dtype == "float64" else result

    monkeypatch.setattr(lockstep, "train_in_lockstep", wrong_in_float64)
    assert main(["--only", "digits", "--dtype", "float32", "--out", str(tmp_path)]) == 0
    assert main(["--only", "digits", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-2] == "NOT equal: digits"
    assert read(tmp_path)["verdict"]["different"] == ["digits"]


@pytest.mark.parametrize("command", ["site", "experiments", "seeds", "check", "check --json"])
def test_every_command_that_compares_says_so_by_its_status(command, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text("")
    arguments = {"site": ["--out", str(tmp_path)], "experiments": ["--out", str(tmp_path)], "seeds": []}
    asked = [*command.split(), *arguments.get(command, [str(tmp_path / "mine.py")])]
    monkeypatch.setattr("compare.report.site.write", lambda site, out: out)
    monkeypatch.setattr("compare.experiments.run.write_pages", lambda sections, options, out: out)
    for right in (True, False):
        result = CaseResult("relu", "one", "float64", 0, 4, [Difference("y", units=0.0 if right else 5.0)])
        verdicts = [Verdict("tanh", [], "scratch", "right" if right else "different"), EQUAL, EQUAL]
        row = Comparison("a run", "cost", "1", {"scratch": "1"}, right, "to within 0")
        section = Section("optimizers", "Optimizers", [], comparisons=[row])
        stubs = {
            "cli._compare": ([result], []),
            "training.one_seed.run_seeds": right,
            "experiments.run.run_experiments": [section],
            "learner.child_process.check_file": verdicts,
        }
        for name, gives in stubs.items():
            monkeypatch.setattr(f"compare.{name}", lambda *arguments, gives=gives: gives)
        capsys.readouterr()
        assert main(asked) == (0 if right else 1)
        if command == "check --json":
            assert json.loads(capsys.readouterr().out)[0]["status"] == verdicts[0].status


def test_of_an_invalid_product_of_matrices_no_command_warns():
    """It may be none, as OpenBLAS reports them; of all else NumPy warns as ever"""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cli.computes(one_thread=False)(lambda: np.matmul([[np.inf]], [[0.0]]))()
        with pytest.raises(RuntimeWarning, match="invalid value encountered in sqrt"):
            cli.computes(one_thread=False)(lambda: np.sqrt(-1.0))()


def gradient_1_at_0(dy, y):
    return np.where(y < 0, dy.dtype.type(0), dy)


def test_a_difference_is_named_and_located(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("scratch.activations.relu_backward", gradient_1_at_0)
    assert main(["run", "--only", "activations", "--dtype", "float32", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "\nNOT equal: relu\n" in out
    marks = [line.rstrip()[-1] for line in out.splitlines() if " float32 " in line]
    assert "".join(marks[:7]) == "✗✓✓✓✓✓✓", "the table: relu, leaky_relu, tanh, sigmoid, gelu, silu, softplus"
    assert "✗ relu, case “typical”, float32, seed 0\n  grad.x[" in out
    assert read(tmp_path)["verdict"]["different"] == ["relu"]


def test_an_exception_while_the_cases_are_made_is_a_difference(tmp_path, capsys, monkeypatch, no_page):
    def broken(*arguments, **options):
        raise NameError("weihgt")

    monkeypatch.setattr("compare.run.cases_of", broken)
    assert main(["--only", "relu", "--dtype", "float32", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "✗ relu, case “making the cases”, float32, seed 0\n  NameError: weihgt" in out
    assert read(tmp_path)["verdict"]["different"][0] == "relu"


def test_an_exception_while_training_is_a_difference(tmp_path, capsys, monkeypatch):
    def broken(*arguments, **options):
        raise FloatingPointError("overflow")

    monkeypatch.setattr(lockstep, "train_in_lockstep", broken)
    assert main(["--only", "digits", "--dtype", "float64", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "✗ training digits, float64, seed 0\n  FloatingPointError: overflow" in out
    assert out.splitlines()[-2] == "NOT equal: digits"


@pytest.mark.parametrize(
    ("only", "components", "runs"),
    [
        (["--only", "relu"], ["relu"], []),
        (["--only", "digits"], [], ["digits"]),
        (
            ["--only", "activations,breast_cancer"],
            [c.name for c in activations.COMPONENTS],
            ["breast_cancer"],
        ),
        (["--only", "relu", "--only", "digits"], ["relu"], ["digits"]),
    ],
)
def test_only_takes_what_it_names(only, components, runs, tmp_path):
    assert main([*only, "--dtype", "float32", "--out", str(tmp_path)]) == 0
    document = read(tmp_path)
    assert [component["name"] for component in document["components"]] == components
    assert [run["name"] for run in document["training"]] == runs


BAD = [
    (["--only", "rellu"], "--only: unknown component 'rellu': did you mean relu"),
    (["--only", "relu,zzz"], "'zzz': `python -m compare list` names them all"),
    (["--only", ","], "--only: no component named"),
    (["nosuch"], "nosuch"),
    (["--nosuch"], "--nosuch"),
    (["run", "surplus"], "surplus"),
    (["--device"], "--device"),
    (["--device", "tpu"], "--device tpu: expected cpu, cuda or cuda:N"),
    (["--device", "cuda:x"], "--device cuda:x: expected cpu, cuda or cuda:N"),
    (["--dtype", "float16"], "float16"),
    (["--seeds", "0"], "--seeds"),
    (["--seeds", "-1"], "--seeds"),
    (["--seed", "-1"], "--seed"),
    (["--seed", "x"], "--seed"),
    (["--draws", "mine"], "--draws"),
    (["seeds", "x"], "'x' is not a valid integer"),
    (["seeds", str(2**64)], "seed: expected an integer from -2**63 to 2**64 - 1, got 18446744073709551616"),
    (["show"], "NAME"),
    (["show", "sigmoidd"], "unknown component 'sigmoidd': did you mean sigmoid?"),
    (["exercise", "he"], "unknown component 'he': did you mean kaiming_normal?"),
    (["show", "softmaxloss"], "unknown component 'softmaxloss': did you mean cross_entropy?"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: " ".join(value)[:30])
def test_bad_usage_is_one_line_and_status_2(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr("compare.run.run_component", fail)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert message in err


def test_own_draws_are_refused_where_they_are_not_exact_and_shared_ones_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("compare.draws.why_not_own", lambda device: "they are not")
    assert main(["--draws", "own", "--out", str(tmp_path)]) == 2
    message = "error: --draws own: they are not; --draws shared compares all the same\n"
    assert capsys.readouterr().err == message
    assert main(["--only", "relu", "--out", str(tmp_path)]) == 0
    assert read(tmp_path)["options"]["draws"] == "shared"


@pytest.mark.parametrize("draws", ["own", "shared"])
def test_draws_are_taken_as_asked_for(draws, tmp_path):
    if draws == "own" and (reason := why_not_own("cpu")):
        pytest.skip(reason)
    assert main(["--only", "relu", "--draws", draws, "--out", str(tmp_path)]) == 0
    assert read(tmp_path)["options"]["draws"] == draws


@pytest.mark.parametrize(
    ("device", "count", "message"),
    [
        ("cuda", 0, f"--device cuda: this PyTorch ({torch.__version__}) sees no CUDA GPU"),
        ("cuda:7", 0, f"--device cuda:7: this PyTorch ({torch.__version__}) sees no CUDA GPU"),
        ("cuda:7", 1, "--device cuda:7: this PyTorch sees cuda:0 alone"),
        ("cuda:7", 2, "--device cuda:7: this PyTorch sees cuda:0 to cuda:1"),
    ],
)
def test_a_device_that_is_not_there(device, count, message, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert main(["--device", device]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_report_that_can_not_be_written_is_told_before_the_run(below, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("compare.run.run_component", fail)
    file = tmp_path / "file"
    file.write_text("mine")
    assert main(["--out", str(file / below)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: --out {file / below}: can not write there: ")
    assert err.count("\n") == 1
    assert file.read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom a mode can keep out")
def test_a_folder_that_may_not_be_written_to(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert main(["--out", str(tmp_path)]) == 2
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("made", "torch_there", "advice"),
    [
        (True, True, "{}/.venv/bin/python has what is needed; run it, or activate .venv"),
        (True, False, "{}/.venv/bin/python has what is needed; run it, or activate .venv"),
        (False, True, "install the requirements with `python -m pip install -e .`, which keeps this PyTorch"),
        (False, False, 'run `make compare`, or `python -m pip install -c constraints.txt -e ".[dev]"`,'),
    ],
)
def test_who_lacks_a_package_is_told_which_python_has_it(made, torch_there, advice, tmp_path):
    (tmp_path / "compare").mkdir()
    shutil.copy(compare.__main__.__file__, tmp_path / "compare")
    (tmp_path / "compare" / "cli.py").write_text("import a_package_that_nobody_has\n")
    if made:
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").touch()
    if torch_there:
        (tmp_path / "torch.py").touch()
    command = [sys.executable, "-S", "-m", "compare"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    error = "error: No module named 'a_package_that_nobody_has': "
    assert done.stderr.startswith(error + advice.format(tmp_path))
    assert done.stderr.count("\n") == 1


def test_interrupted(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("compare.run.run_component", interrupted)
    monkeypatch.setattr(sys, "argv", ["compare", "--out", str(tmp_path)])
    assert start() == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_requirement_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "compare.cli", None)
    assert start() == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_reader_who_leaves_early_gets_no_traceback():
    command = f"{shlex.quote(sys.executable)} -m compare show relu | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line_and_status_2():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "compare", "show", "relu"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_reader_who_leaves_early_does_not_change_the_verdict(tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise BrokenPipeError

    monkeypatch.setattr("compare.report.terminal.print_report", broken)
    monkeypatch.setattr(cli, "_discard_output", lambda: None)
    assert main(["--only", "relu", "--out", str(tmp_path / "equal")]) == 0
    monkeypatch.setattr("scratch.activations.relu_backward", gradient_1_at_0)
    assert main(["--only", "relu", "--out", str(tmp_path / "different")]) == 1


TANH = """import numpy as np
print("loading")
def tanh_forward(x): y = np.tanh(x); return y, y
def tanh_backward(dy, y): return dy * (1 - y * y)
def relu_forward(x): return x, x
def sigmoid_forward(x): raise NotImplementedError
"""


def test_check_takes_names_counts_what_is_printed_and_what_is_still_to_write(tmp_path, capfd):
    file = tmp_path / "mine.py"
    file.write_text(TANH)
    assert main(["check", str(file), "tanh"]) == 0
    out = capfd.readouterr().out
    assert out.endswith("\n1 right\n")
    assert "relu" not in out
    assert main(["check", str(file), "activations"]) == 1
    out, err = capfd.readouterr()
    assert out.endswith("\n1 of 3 done; 1 not: relu; not written yet: sigmoid\n")
    assert "sigmoid  not" not in out
    assert err == "1 line printed by the file: --verbose shows them\n"
    assert main(["check", str(file), "sigmoid", "--verbose"]) == 1
    assert capfd.readouterr() == ("0 of 1 done; not written yet: sigmoid\n", "| loading\n")
    assert main(["check", str(file), "adam", "linear"]) == 2
    assert f"error: {file}: no function of adam, linear in it\n" in capfd.readouterr().err
    assert main(["check", str(file), "sigmoidd"]) == 2
    assert capfd.readouterr().err == "error: unknown component 'sigmoidd': did you mean sigmoid?\n"


def test_check_watches_a_file_until_it_is_interrupted(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "compare", "check", str(file), "tanh", "--watch"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
    with subprocess.Popen(command, env=environ, start_new_session=True, **pipes) as process:
        signal.signal(signal.SIGINT, before)
        assert "no function of ours in it" in process.stdout.readline()
        file.write_text(TANH.replace("y = np.tanh(x)", "y = np.sinh(x)"))
        assert next(line for line in process.stdout if line.startswith("✗ tanh  wrong"))
        assert next(line for line in process.stdout if line == "0 right; 1 not: tanh\n")
        file.unlink()
        time.sleep(1)
        file.write_text(TANH)
        assert next(line for line in process.stdout if line.startswith("✓ tanh  right"))
        assert next(line for line in process.stdout if line == "1 right\n")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_help_is_the_groups_own(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "Exit status: 0 equal, 1 a difference, 2 bad usage or environment" in " ".join(out.split())
    assert {"run", "list", "show", "bench"} <= set(out.split())


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first_words = [line.split()[0] for line in lines[1:]]
    assert {"relu", "leaky_relu", "tanh", "sigmoid", "digits", "breast_cancer"} <= set(first_words)
    relu = next(line for line in lines if line.split()[0] == "relu")
    assert relu.endswith("  y = x for x > 0, else 0")
    assert max(map(len, lines)) > 80  # whole in a pipe


def test_the_names_are_those_of_what_there_is():
    components = {
        c.name: c for topic in cases.STUDY_DAY for c in import_module(f"compare.cases.{topic}").COMPONENTS
    }
    assert list(names.entries()) == list(components)
    for name, entry in names.entries().items():
        component = components[name]
        assert entry.topic == component.topic
        assert list(entry.functions) == names.top_level(component.functions)
        assert entry.reference == component.reference
    assert tuple(names.RUNS) == lockstep.RUNS


HEAVY = {"torch", "sklearn", "scipy", "matplotlib", "sympy"}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--help", set()),
        ("check --help", set()),
        ("list", set()),
        ("exercise adam --out mine.py", set()),
        ("show relu", {"torch"}),
        ("check tanh.py", {"torch"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(command, needed, tmp_path):
    (tmp_path / "tanh.py").write_text("\n".join([TANH.splitlines()[0], *TANH.splitlines()[2:4]]))
    code = (
        "import sys\nfrom compare.cli import main\nstatus = main(sys.argv[1:])\n"
        f"print(status, sorted({HEAVY} & sys.modules.keys()), file=sys.stderr)"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code, *command.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)
    assert done.stderr.splitlines()[-1:] == [f"0 {sorted(needed)}"], done.stderr


def test_show_has_both_sides_and_what_goes_wrong(capsys):
    assert main(["show", "tanh"]) == 0
    out = capsys.readouterr().out
    assert out.index("scratch/activations.py") < out.index("def tanh_backward") < out.index("torch_ref/")
    assert out.index("torch_ref/activations.py") < out.index("def tanh(x: torch.Tensor)")
    assert "1 − x² instead of 1 − tanh² x" in " ".join(out.split())
    assert "\x1b" not in out


def test_the_environment_is_described_and_nobody_named():
    described = environment.describe("cpu")
    assert {"Python", "NumPy", "PyTorch", "platform", "processor"} <= set(described)
    assert not [value for value in map(str, described.values()) if "/" in value or os.sep in value]


def test_prepare_makes_float32_a_float32(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    environment.prepare("cpu")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    else:
        assert not torch.backends.cuda.matmul.allow_tf32
