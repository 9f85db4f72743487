"""Hostile surroundings: files from strangers, full disks, signals, odd paths, poor terminals, no display."""

import ast
import contextlib
import fcntl
import importlib
import json
import os
import pickle
import pty
import py_compile
import random
import re
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
import tomllib
import zipfile
from functools import partial
from pathlib import Path
from py_compile import PycInvalidationMode
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import torch

import scratch.network
import torch_ref.checkpoint
import torch_ref.network
from compare import assert_matches
from compare.cases import TOPICS, all_components
from compare.cli import main
from compare.experiments import figures
from compare.experiments.drawn import with_caption
from compare.experiments.page import Section
from compare.files import path_text, write_whole
from compare.learner import cells
from compare.learner.check import Verdict, check, explain
from compare.learner.child_process import FileError, _File, _unpacked, check_file, load, own_definitions
from compare.learner.finding import find
from compare.learner.trial import all_cases
from compare.training.weights import convert, read_state
from scratch.random import NumpyGenerator

ROOT = Path(__file__).resolve().parents[1]
with open(ROOT / "tests" / "hostile.toml", "rb") as toml:
    FILES = tomllib.load(toml)
BEGINNINGS = FILES["beginnings"]


# Files from strangers


def ours() -> scratch.network.Network:
    return scratch.network.Network((3, 2), NumpyGenerator(0))


def theirs() -> torch_ref.network.Network:
    return torch_ref.network.Network((3, 2), torch.Generator().manual_seed(0))


class Bomb:
    """What is unpickled into a side effect."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def bombs(folder: Path) -> dict[str, list[Path]]:
    """By side: files that make the folder `trace` when they are unpickled."""
    bomb = Bomb(folder / "trace")
    np.savez(folder / "object.npz", **{"linear1.weight": np.array([bomb], object)})
    np.save(folder / "object.npy", np.array([bomb], object), allow_pickle=True)
    torch.save({"linear1.weight": bomb}, folder / "zip.pt")
    torch.save({"linear1.weight": bomb}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    for name in ("plain.npz", "plain.pt"):
        (folder / name).write_bytes(pickle.dumps(bomb))
    return {
        "scratch": [folder / name for name in ("object.npz", "object.npy", "plain.npz")],
        "torch": [folder / name for name in ("zip.pt", "legacy.pt", "plain.pt")],
    }


def load_trustingly(path: Path, side: str) -> None:
    """What the project does not do."""
    with contextlib.suppress(Exception):
        if side == "torch":
            torch.load(path, weights_only=False)
        else:
            loaded = np.load(path, allow_pickle=True)
            dict(loaded)


def refuse(path: Path, side: str, message: str) -> None:
    """The file is refused by its name when it is read or converted, and changes no network."""
    network = ours()
    before = network.flat_parameters.copy()
    pattern = re.escape(str(path)) + ".*" + message
    with pytest.raises(ValueError, match=pattern) as caught:
        network.load(path) if side == "scratch" else read_state(path)
    assert "weights_only" not in str(caught.value)
    np.testing.assert_array_equal(network.flat_parameters, before)
    if path.suffix in (".npz", ".pt"):
        target = path.parent / ("target.pt" if side == "scratch" else "target.npz")
        with pytest.raises(ValueError, match=pattern):
            convert(path, target)
        assert not target.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("side", ["scratch", "torch"])
def test_a_strangers_file_runs_no_code(side, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # for whoever does not say what to load
    for path in bombs(tmp_path)[side]:
        refuse(path, side, "expected an? .* file of")
        if side == "torch":
            with pytest.raises(pickle.UnpicklingError):
                theirs().load(path)
            with pytest.raises(pickle.UnpicklingError):
                torch_ref.checkpoint.load_checkpoint(path, theirs(), torch.optim.SGD([torch.zeros(1)]))
        assert not (tmp_path / "trace").exists()
        load_trustingly(path, side)
        (tmp_path / "trace").rmdir()  # it is a bomb


@pytest.mark.parametrize(("side", "suffix"), [("scratch", ".npz"), ("torch", ".pt")])
def test_a_damaged_file_is_named(side, suffix, tmp_path):
    whole = tmp_path / f"whole{suffix}"
    (ours() if side == "scratch" else theirs()).save(whole)
    content = whole.read_bytes()
    broken = tmp_path / f"broken{suffix}"
    for size in [*range(0, len(content), max(1, len(content) // 40)), len(content) - 1]:
        broken.write_bytes(content[:size])
        refuse(broken, side, "expected an? .* file of")
    broken.write_bytes(b"\0" * 1000)
    refuse(broken, side, "expected an? .* file of")
    # A bit that flips in the numbers themselves: the checksum of the archive knows.
    values = (ours() if side == "scratch" else theirs()).state_dict()["linear1.weight"]
    place = content.index(np.asarray(values).tobytes())
    broken.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    refuse(broken, side, "Bad CRC-32" if side == "scratch" else "and a whole one")


@pytest.mark.parametrize("side", ["scratch", "torch"])
def test_a_file_that_is_not_there_or_a_folder(side, tmp_path):
    network = ours() if side == "scratch" else theirs()
    with pytest.raises(FileNotFoundError, match="nosuch"):
        network.load(tmp_path / "nosuch")
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        network.load(tmp_path)


def test_what_is_no_set_of_weights(tmp_path):
    np.save(tmp_path / "one.npy", np.ones(3))
    refuse(tmp_path / "one.npy", "scratch", "expected an .npz file")
    np.savez(tmp_path / "words.npz", **{"linear1.weight": np.ones((2, 3)), "linear1.bias": np.array(["a"])})
    refuse(tmp_path / "words.npz", "scratch", "linear1.bias: expected an array of numbers")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("linear1.weight", "hello")
    refuse(tmp_path / "text.npz", "scratch", "linear1.weight: expected an array of numbers")
    for content in ([torch.ones(2)], {1: torch.ones(2)}, {"linear1.weight": "a"}, torch.ones(2), {"a": None}):
        torch.save(content, tmp_path / "other.pt")
        refuse(tmp_path / "other.pt", "torch", "expected a .pt file of tensors by name, and of nothing else")
    torch.save({"linear1.weight": torch.ones(2, 3).to_sparse()}, tmp_path / "sparse.pt")
    refuse(tmp_path / "sparse.pt", "torch", "tensors by name, and of nothing else")


def test_names_shapes_and_dtypes_are_told_with_the_file(tmp_path):
    weights = {"linear1.weight": np.ones((2, 3), np.float32), "linear1.bias": np.ones(2, np.float32)}
    for change, error, message in (
        ({"extra": np.ones(1)}, ValueError, r"unknown \['extra'\]"),
        ({"linear1.bias": np.ones(3, np.float32)}, ValueError, r"linear1.bias: expected shape \(2,\)"),
        ({"linear1.bias": np.ones(2)}, TypeError, "linear1.bias: expected float32, got float64"),
    ):
        np.savez(tmp_path / "a.npz", **(weights | change))
        with pytest.raises(error, match=re.escape(str(tmp_path / "a.npz")) + f".*{message}"):
            ours().load(tmp_path / "a.npz")


def test_nan_travels_and_a_dtype_that_numpy_lacks_does_not(tmp_path):
    network = ours()
    network.flat_parameters[:] = np.nan
    network.save(tmp_path / "nan.npz")
    convert(tmp_path / "nan.npz", tmp_path / "nan.pt")
    torch_network = theirs()
    torch_network.load(tmp_path / "nan.pt")
    assert torch_network.linear1.weight.isnan().all()
    torch.save({"linear1.weight": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "half.pt")
    with pytest.raises(ValueError, match=r"half\.pt: .*BFloat16"):
        convert(tmp_path / "half.pt", tmp_path / "half.npz")
    assert not (tmp_path / "half.npz").exists()


@pytest.mark.parametrize("kind", ["empty", "pickle", "cut", "cells", "folder", "missing"])
def test_a_bad_mat_file_is_one_line_and_status_2(kind, tmp_path, capsys):
    path = tmp_path / "data.mat"
    if kind == "folder":
        path.mkdir()
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind != "missing":
        cells = np.array([[1, "a"]], object)
        arrays = {
            "X": np.ones((9, 2)),
            "y": np.ones((9, 1)),
            "Xval": np.ones((9, 2)),
            "yval": np.ones((9, 1)),
        }
        scipy.io.savemat(path, arrays | ({"X": cells} if kind == "cells" else {}))
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:300])
    command = [
        "experiments",
        "regularization",
        "--quick",
        "--data",
        str(path),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {path}: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "trace").exists()
    assert list((tmp_path / "out").iterdir()) == []


# Disks


@contextlib.contextmanager
def small_disk(size: int):
    """No file may grow beyond `size` bytes: a real short write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


WRITERS = {
    "run": ["--only", "relu", "--dtype", "float32"],
    "site": ["site", "--no-measure"],
    "experiments": ["experiments", "from_scratch", "--quick", "--side", "scratch"],
    "exercise": ["exercise", "all", "--force"],
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_disk_that_fills_up_is_one_line_and_leaves_what_was_there(command, tmp_path, capsys, monkeypatch):
    with figures.drawing() as (drawing, _):
        section = Section("one", "One", ["text"], figures=[with_caption("one", drawing, "caption")])
    monkeypatch.setattr("compare.experiments.run.run_experiments", lambda names, options: [section])
    out = tmp_path / ("out.py" if command == "exercise" else "out")
    old = {}
    if command == "exercise":
        out.write_text("mine")
        old = {out.name: b"mine"}
    elif command == "run":
        out.mkdir()
        old = {"report.json": b"old", "index.html": b"old"}
        for name, content in old.items():
            (out / name).write_bytes(content)
    with small_disk(4096):
        assert main([*WRITERS[command], "--out", str(out)]) == 2
    assert capsys.readouterr() == ("", f"error: --out {out}: can not write there: File too large\n")
    folder = tmp_path if command == "exercise" else out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == old


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_weights_on_a_disk_that_fills_up(suffix, tmp_path):
    target = tmp_path / f"target{suffix}"
    target.write_bytes(b"old")
    ours().save(tmp_path / "source.npz")
    write = partial(convert, tmp_path / "source.npz") if suffix == ".pt" else ours().save
    with small_disk(200), pytest.raises(OSError, match="File too large"):
        write(target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["source.npz", target.name])


@pytest.mark.parametrize("command", WRITERS)
def test_an_empty_out_is_an_error(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*WRITERS[command], "--out", ""]) == 2
    message = "error: Invalid value for '--out': expected a path, got an empty text.\n"
    assert capsys.readouterr() == ("", message)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_writing_is_interrupted(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole({"a": b"new", "b": b"new"}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


# Signals


def wait_for(happened, seconds: float = 120):
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie, whom only its parent can bury, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "compare", *arguments]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, start_new_session=True, **pipes)
    finally:
        signal.signal(signal.SIGINT, before)


# Files that `check` runs


RIGHT = "import numpy as np\ndef tanh_forward(x): y = np.tanh(x); return y, y\n"
WRONG = "import numpy as np\ndef tanh_forward(x): y = np.sinh(x); return y, y\n"


def test_bytecode_of_another_text_is_not_run_and_none_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = "import helper\n" + RIGHT.replace("np.tanh", "helper.f")
    texts = {"helper.py": "import numpy as np\nf = np.tanh\n", "mine.py": mine}
    modes = {"helper.py": PycInvalidationMode.TIMESTAMP, "mine.py": PycInvalidationMode.UNCHECKED_HASH}
    for name, text in texts.items():
        Path(name).write_text(text)
        py_compile.compile(name, invalidation_mode=modes[name], doraise=True)
    py_compile.compile("helper.py", "gone.pyc", invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    before = Path("helper.py").stat()
    Path("helper.py").write_text(texts["helper.py"].replace("tanh", "sinh"))
    os.utime("helper.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    files = sorted(tmp_path.rglob("*"))
    (verdict,) = check_file(Path("mine.py"), 60)
    assert verdict.status == "different", "a helper of the same size and time"
    Path("mine.py").write_text("import os; import gone\n")
    with pytest.raises(FileError, match="line 1: ModuleNotFoundError: No module named 'gone': it is neither"):
        list(check_file(Path("mine.py"), 60))
    Path("mine.py").write_text("import colorsys, subprocess, sys; " + WRONG)
    (verdict,) = check_file(Path("mine.py"), 60)
    assert verdict.status == "different", "a hash that nobody checks"
    assert sorted(tmp_path.rglob("*")) == files
    # Processes that it starts write none either.
    Path("other.py").write_text("import sys\nsys.path.insert(0, '.')\nimport new\n")
    Path("new.py").write_text("")
    files = sorted(tmp_path.rglob("*"))
    start = "import subprocess, sys; subprocess.run([sys.executable, 'other.py'], check=True)\n"
    Path("mine.py").write_text(start + RIGHT)
    assert [v.status for v in check_file(Path("mine.py"), 60)] == ["right"]
    assert sorted(tmp_path.rglob("*")) == files


def test_what_is_installed_is_known_before_a_file_is_loaded(tmp_path, monkeypatch):
    """To ask imports modules by itself, in Python 3.14: in the midst of another import, that failed."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/helper.py").write_text("")
    asks = "import sys, sysconfig; sysconfig.get_paths = None; sys.path.insert(0, 'folder'); import helper\n"
    Path("mine.py").write_text(asks + RIGHT)
    assert [v.status for v in check_file(Path("mine.py"), 60)] == ["right"]


BESIDE = {
    "compare.py": "raise RuntimeError('compare')\n",
    "torch_ref.py": "raise RuntimeError('torch_ref')\n",
    "sympy.py": "raise RuntimeError('sympy')\n",
    "random.py": "import scratch\nHALF = scratch.HALF\n",
    "scratch/__init__.py": "from scratch.numbers import HALF\n",
    "scratch/numbers.py": "HALF = 0.5\n",
    "activations.py": "from scratch.numbers import HALF\ndef relu(x): return x * (x > 0)\n",
    "mine.py": """import random
import scratch
import numpy as np
from activations import relu
assert random.HALF == scratch.numbers.HALF == 0.5

def relu_forward(x):
    import scratch.numbers
    y = relu(x) * scratch.numbers.HALF * 2
    return y, y

def relu_backward(dy, y):
    return np.where(y <= 0, 0, dy).astype(dy.dtype)

def tanh_forward(x):
    from random import HALF
    return np.tanh(x) * 2 * HALF, np.tanh(x)

def tanh_backward(dy, y):
    return dy * (1 - y * y)
""",
}


@pytest.mark.parametrize("inside", [True, False])
def test_modules_of_our_names_beside_a_file_are_its_own_and_we_keep_ours(inside, tmp_path):
    for name, text in BESIDE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if inside:  # the folder that `python -m` looks into first; of its own compare.py nothing can be said
        (tmp_path / "compare.py").unlink()
    command = [sys.executable, "-m", "compare", "check", "mine.py" if inside else str(tmp_path / "mine.py")]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    folder = tmp_path if inside else ROOT
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, *_ = (line for line in done.stdout.splitlines() if line.startswith("✓"))
    assert first.startswith("✓ relu  right")
    assert done.stdout.endswith("2 right\n")


def test_a_file_in_our_own_folder_imports_what_we_do(tmp_path):
    for name in ("compare", "scratch", "torch_ref"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = "import scratch.activations, torch_ref\nfrom scratch.layer import Layer\n" + RIGHT
    text += "def tanh_backward(dy, y): return dy * (1 - y * y)\n"
    (tmp_path / "mine.py").write_text(text + "assert Layer is scratch.layer.Layer\n")
    command = [sys.executable, "-m", "compare", "check", "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:6]) == (0, "✓ tanh"), done.stderr


def test_the_time_limit_is_one_of_the_component_and_what_was_found_is_told(tmp_path):
    source = f"""
        import time
        {WRONG.replace("y = ", "time.sleep(0.7); y = ")}
        def relu_forward(x): time.sleep(0.7); return np.maximum(x, 0), np.maximum(x, 0)
    """.replace("\n" + "def tanh", "\n        def tanh")
    began, seen = time.monotonic(), {}
    (tmp_path / "mine.py").write_text(textwrap.dedent(source))
    ends = {}
    for verdict in check_file(tmp_path / "mine.py", 3, lambda name: seen.setdefault(name, time.monotonic())):
        ends[verdict.component] = time.monotonic() - seen[verdict.component]
        assert verdict.status == "timeout"
        assert 2 <= verdict.cases <= 4
        text = "\n".join(explain(verdict))
        assert "not finished after 3 s in the case “" in text
        assert ("first difference" in text) == (verdict.component == "tanh")
    assert began < seen["relu"]
    assert max(ends.values()) < 6, ends


def test_in_process_too_no_case_begins_after_the_time():
    def tanh_forward(x):
        time.sleep(0.5)
        return np.tanh(x), np.tanh(x)

    (attempt,) = find({"tanh_forward": tanh_forward})
    began = time.monotonic()
    verdict = check(attempt, seconds=2)
    assert (verdict.status, 1 <= verdict.cases <= 4) == ("timeout", True)
    assert time.monotonic() - began < 6


UGLY = "\x1b[2J\r\b\x9b2J\u202e\u2028[bold red]✓ relu  right\n✓ relu  right"


def drawn(text: str) -> None:
    """Nothing in it draws, and no line of it looks like one of ours."""
    assert [c for c in text if not (c.isprintable() or c == "\n")] == []
    assert [line for line in text.splitlines() if line.startswith(("✓", "1 right"))] == []


@pytest.mark.parametrize("name", FILES["ugly"])
def test_what_comes_from_a_file_is_shown_and_draws_nothing(name, tmp_path, capfd, monkeypatch):
    file = tmp_path / f"{UGLY}.py"
    text = FILES["ugly"][name]
    file.write_text(f"import numpy as np\nUGLY = {UGLY!a}\n{text}", encoding="utf-8")
    loads = not text.startswith("raise")
    verdicts: list[Verdict] = []

    def kept(*arguments):
        for verdict in check_file(*arguments):
            verdicts.append(verdict)
            yield verdict

    monkeypatch.setattr("compare.learner.child_process.check_file", kept)
    assert main(["check", str(file), "--verbose"]) == (1 if loads else 2)
    out, err = capfd.readouterr()
    drawn(out)
    drawn(err)
    assert name in ("no message", "results") or "\\x1b[2J" in out + err
    assert [line for line in err.splitlines() if not line.startswith(("| ", "error: "))] == []
    monkeypatch.setattr("compare.learner.child_process.check_file", lambda *arguments: iter(verdicts))
    if loads:
        assert main(["check", str(file), "--json"]) == 1
        out, err = capfd.readouterr()
        drawn(out)
        assert len(json.loads(out)) == len(verdicts) > 0


def test_what_failed_in_a_notebook_is_shown_and_draws_nothing(tmp_path, capfd):
    file = tmp_path / f"{UGLY}.ipynb"
    bad = f"raise type({UGLY!a}, (BaseException,), {{}})({UGLY!a})"
    file.write_text(cells.write([("code", RIGHT), ("code", bad)]), encoding="utf-8")
    for arguments in ((), ("--json",), ("relu",)):
        assert main(["check", str(file), *arguments]) == (2 if "relu" in arguments else 1)
        out, err = capfd.readouterr()
        drawn(out)
        drawn(err)
        assert "cell 2, line 1 failed and was passed over: \\x1b[2J" in (out + err).replace("\\\\", "\\")


@pytest.mark.parametrize(
    "passed_over", [3, "text", {"line": 1}, [3], [{"line": "1", "said": ""}], [{"line": 1}]]
)
def test_what_was_passed_over_is_a_list_of_lines_and_texts(passed_over, tmp_path):
    answer = {"attempts": [], "asked": {}, "passed_over": passed_over}
    process = SimpleNamespace(ask=lambda deadline, **request: (answer, b""))
    with pytest.raises(FileError, match="loading the file: the process wrote something that is no answer"):
        _File(process, tmp_path / "mine.py").load(60)


def test_what_comes_from_a_function_draws_nothing_in_a_test_either():
    def relu_forward(x):
        raise type(UGLY, (ValueError,), {"__str__": lambda self: type("", (str,), {"__iter__": None})(UGLY)})

    with pytest.raises(AssertionError, match=r"relu: raises\n\\x1b\[2J\\r\\x08.*right\\n✓") as caught:
        assert_matches(relu_forward=relu_forward)
    drawn(str(caught.value))
    with pytest.raises(ValueError, match="no component has one called") as unknown:
        assert_matches(**{UGLY: relu_forward})
    drawn(str(unknown.value))


ANSWER: dict = {
    "arrays": [["y", "<f8", [2]]],
    "error": {},
    "changed": {},
    "called": [],
    "ours": [],
    "unseen": [],
    "drawn": "",
}


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({}, 15),
        ({}, 17),
        ({"arrays": [["y", "|O", [2]]]}, 16),
        ({"arrays": [["y", "O,O", [1]]]}, 16),
        ({"arrays": [["y", "<f8", [-2]]]}, 16),
        ({"arrays": [["y", "<f8", [2.0]]]}, 16),
        ({"arrays": [["y", "<f8", [2**70, 0]]]}, 0),
        ({"arrays": [["y", None, [2**70]]]}, 0),
        ({"arrays": [[1, "<f8", [2]]]}, 16),
        ({"arrays": None}, 0),
        ({"error": []}, 16),
        ({"error": {"kind": "E"}}, 16),
        ({"error": {"kind": "E", "message": "", "line": "3", "source": ""}}, 16),
        ({"error": {"kind": "E", "message": 1}}, 16),
        ({"changed": {"x": 1}}, 16),
        ({"changed": ["x"]}, 16),
        ({"called": [1]}, 16),
        ({"called": {"x": "y"}}, 16),
        ({"ours": [1]}, 16),
        ({"ours": "relu_forward"}, 16),
        ({"unseen": {"x": "y"}}, 16),
        ({"unseen": [1]}, 16),
        ({"drawn": ["x"]}, 16),
    ],
)
def test_an_answer_that_is_not_one_is_refused(change, size):
    np.testing.assert_array_equal(_unpacked(ANSWER, bytes(16)).results["y"], [0, 0])
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError, OverflowError)):
        _unpacked({**ANSWER, **change}, bytes(size))


@pytest.mark.parametrize("component", FILES["put_back"])
def test_an_input_that_is_changed_is_told_with_its_function_even_if_it_is_put_back(component, tmp_path):
    source, said = FILES["put_back"][component].values()
    file = tmp_path / "mine.py"
    file.write_text("import numpy as np\n" + source, encoding="utf-8")
    (attempt,) = [a for a in find(own_definitions(load(str(file)))) if a.component.name == component]
    verdict = check(attempt, seconds=30)
    assert (verdict.status, verdict.wrong) == ("in place", []), explain(verdict)
    assert said in "\n".join(explain(verdict))


@pytest.mark.parametrize("package", ["scratch", "torch_ref"])
def test_ours_change_nothing_but_what_they_are_meant_to(package):
    tried = 0
    for topic in TOPICS:
        for attempt in find(vars(importlib.import_module(f"{package}.{topic}"))):
            if attempt.component.topic != topic or attempt.component.not_here:
                continue
            tried += 1
            cases = sorted(all_cases(attempt.component), key=lambda c: sum(map(np.size, c.arrays.values())))
            for case in cases[:6]:
                outcome = attempt.run(case, np.inf)
                assert (outcome.error, outcome.changed) == ({}, {}), (attempt.component.name, case.name)
    assert tried == sum(not component.not_here for component in all_components().values())


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_check_and_the_file_that_it_runs(number, tmp_path):
    (tmp_path / "mine.py").write_text(BEGINNINGS["endless"])
    process = start("check", str(tmp_path / "mine.py"))
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = int((tmp_path / "pid").read_text())
    if number == signal.SIGINT:  # the terminal sends it to all
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    # CPython ends as if by the signal where the interrupt fell into code that was compiled at run time.
    expected = {signal.SIGINT: (130, -2), signal.SIGKILL: (-9,)}
    assert process.returncode in expected[number]
    assert (out, err) == ("", "interrupted\n" if number == signal.SIGINT else "")
    wait_for(lambda: not is_alive(child), 20)


def offspring(folder: Path) -> dict[str, int]:
    names = ("child", "session", "daemon", "itself")
    wait_for(lambda: all((folder / f"{name}.pid").exists() for name in names))
    return {name: int((folder / f"{name}.pid").read_text()) for name in names}


@LINUX
@pytest.mark.parametrize(
    "end", ["return y, y", "os._exit(3)", "while True: pass", "os.kill(os.getpid(), 9)", "sys.exit()"]
)
def test_what_a_file_starts_ends_with_it_and_holds_no_output_open(end, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(BEGINNINGS["offspring"] + f"def tanh_forward(x):\n    y = np.tanh(x)\n    {end}\n")
    command = shlex.join([sys.executable, "-m", "compare", "check", "--timeout", "9", str(file)])
    command += " 2>&1 | cat"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=100, check=False)
    assert ("agrees to" in done.stdout) == (end == "return y, y"), done.stdout
    assert {n: pid for n, pid in offspring(tmp_path).items() if is_alive(pid)} == {}
    assert not (tmp_path / "atexit.pid").exists()


@LINUX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_file_starts_ends_with_us(number, tmp_path):
    (tmp_path / "mine.py").write_text(BEGINNINGS["offspring"] + "time.sleep(1000)")
    process = start("check", str(tmp_path / "mine.py"))
    started = offspring(tmp_path)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert out == ""
    wait_for(lambda: not any(map(is_alive, started.values())), 20)


@LINUX
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", FILES["behaviour"])
def test_a_file_that_behaves_badly_is_not_equal_and_nothing_of_it_runs_here(name, tmp_path):
    behaviour = FILES["behaviour"][name]
    loading, calling, status = (behaviour.get(key, "") for key in ("loading", "calling", "status"))
    source = (
        BEGINNINGS["tools"]
        + loading
        + "\n"
        + WRONG.replace("y = ", calling + "; y = " if calling else "y = ")
    )
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    here = os.getcwd(), torch.get_default_dtype(), sys.stdout, np.geterr(), random.getstate()
    if status == "does not load":
        with pytest.raises(FileError, match="the process ended with exit status 1"):
            list(check_file(tmp_path / "mine.py", 20))
    else:
        found = [verdict.status for verdict in check_file(tmp_path / "mine.py", 20)]
        assert found in ([[status]] if status else [["different"], ["raises"], ["crash"]])
    assert (os.getcwd(), torch.get_default_dtype(), sys.stdout, np.geterr(), random.getstate()) == here
    assert not (tmp_path / "mine.py.trace").exists()


COMPARISON = pytest.param(  # with one core there are no other processes
    ("run", "--dtype", "float32"), marks=pytest.mark.skipif(os.cpu_count() == 1, reason="needs two cores")
)


@LINUX
@pytest.mark.parametrize("command", [("experiments", "regularization"), COMPARISON])
def test_a_signal_in_the_middle_of_a_run_leaves_nothing(command, tmp_path):
    process = start(*command, "--out", str(tmp_path))
    workers = wait_for(lambda: len(found := children(process.pid)) > 1 and found)
    time.sleep(1)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert (out, err) == ("", "")
    assert list(tmp_path.iterdir()) == []
    wait_for(lambda: not any(map(is_alive, workers)), 20)


# Surroundings


def test_a_checkout_in_an_odd_place_a_poor_locale_and_no_display(tmp_path):
    place = tmp_path / "Ordner mit Leerzeichen" / "Größe 数"
    for package in ("scratch", "torch_ref", "compare"):
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "PYTHONIOENCODING", "PYTHONPATH")}
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MPLBACKEND": "nosuch"}
    command = [sys.executable, "-m", "compare", "--only", "relu,breast_cancer", "--dtype", "float32"]
    done = subprocess.run(
        [*command, "--out", "Bericht 数"], cwd=place, env={**kept, **poor}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode("ascii")
    assert re.search(r"^equal: 1 component, \d+ cases, 1 training run$", said, re.MULTILINE)
    written = {path.name for path in (place / "Bericht 数").iterdir()}
    assert written >= {"index.html", "agreement.html", "report.json"}
    document = json.loads((place / "Bericht 数" / "report.json").read_text(encoding="utf-8"))
    assert document["verdict"]["equal"]


def test_a_name_that_the_locale_can_not_read_is_written_down_as_text():
    name = os.fsdecode("Übung 数".encode() + b"\xff.py")
    assert path_text(Path(name)) == "Übung 数\ufffd.py"
    path_text(Path(name)).encode()


@pytest.mark.parametrize("name", ["Übung 数 x.py", 'a"""b.py', "back\\slash\\N.py", "it's.py"])
def test_an_exercise_keeps_a_name_that_is_odd(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "relu", "--out", name]) == 0
    told = capsys.readouterr().out.partition("`")[2].rstrip("`\n")
    source = Path(name).read_text(encoding="utf-8")
    docstring = ast.get_docstring(compile(source, name, "exec", ast.PyCF_ONLY_AST))
    assert told in docstring
    assert shlex.split(told) == ["python", "-m", "compare", "check", name]


def in_terminal(*arguments: str, columns: int = 60, **environment: str) -> tuple[int, str]:
    """Exit status and output in a terminal of so many columns."""
    ours = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    surroundings = {name: value for name, value in os.environ.items() if name not in ours}
    surroundings |= {"TERM": "xterm-256color", **environment}
    pid, file = pty.fork()
    if pid == 0:  # not execv: readline, which pytest imports, sets COLUMNS behind the back of os.environ
        os.execve(sys.executable, [sys.executable, "-m", "compare", *arguments], surroundings)
    fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    output = b""
    with contextlib.suppress(OSError):  # Linux' way of saying that the other end is closed
        while piece := os.read(file, 65536):
            output += piece
    os.close(file)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, output.decode().replace("\r\n", "\n")


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")
def test_in_a_terminal_of_60_columns_nothing_is_cut_off(tmp_path):
    command = ["--only", "adam,breast_cancer", "--dtype", "float32", "--out", str(tmp_path)]
    status, output = in_terminal(*command)
    assert status == 0
    assert COLOUR.search(output)
    lines = [line.rpartition("\r")[2] for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).split("\n")]
    assert max(map(len, lines[:-2])) <= 60
    assert "…" not in output
    assert [line for line in lines if line.startswith("breast_cancer ")]
    assert [line for line in lines if line.startswith("  float32, seed 0 ")]


@pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")
def test_no_colour_where_none_is_wanted():
    status, output = in_terminal("show", "relu", NO_COLOR="1")
    assert status == 0
    assert "def relu_forward" in output
    assert [code for code in COLOUR.findall(output) if re.search(r"[349]\d", code)] == []
