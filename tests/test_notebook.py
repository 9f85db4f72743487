"""In a notebook: objects that it draws, the cell magic, and notebooks as files."""

import importlib.util
import json
import re
import warnings
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import compare
import scratch.activations
from compare import check, exercise, show
from compare.cases import all_components
from compare.cli import main
from compare.learner import cells
from compare.learner.child_process import FileError, check_file
from compare.learner.notebook import UsageError

ROOT = Path(__file__).resolve().parents[1]
MISSING = [name for name in ("nbclient", "nbformat", "ipykernel") if importlib.util.find_spec(name) is None]
with_a_kernel = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")

RIGHT = """import numpy as np
def relu_forward(x): y = np.where(x < 0, 0, x); return y, y
def relu_backward(dy, y): return np.where(y <= 0, 0, dy).astype(dy.dtype)
"""
WRONG = RIGHT.replace("np.where(y <= 0, 0, dy).astype(dy.dtype)", "dy")


def relu_unmasked(dy, y):
    return dy


class Text(HTMLParser):
    """The text of a page, the classes in it, and whether all that was opened was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.classes, self.open = "", set(), []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag != "wbr":
            self.open.append(tag)
        self.classes |= set((dict(attrs).get("class") or "").split())

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def drawn(value: Any) -> Text:
    return Text(value._repr_html_())


# ---- objects


def test_right_is_green_wrong_is_red_with_the_mistake_and_less_than_everything_amber():
    right = check(scratch.activations.relu_forward, scratch.activations.relu_backward)
    assert right.right
    assert repr(right).splitlines()[-1] == "1 right"
    assert drawn(right).classes & {"right", "partly", "wrong", "open"} == {"right"}

    wrong = check(scratch.activations.relu_forward, relu_backward=relu_unmasked)
    assert not wrong.right
    page = drawn(wrong)
    assert {"wrong"} <= page.classes - {"partly", "open"}
    assert "this is “gradient not masked”" in page.text
    assert "+ return dy\n" not in page.text.partition("all that was found")[0].partition("+ return dy")[2]
    assert "this is “gradient not masked”" in repr(wrong)

    partly = check(relu_forward=lambda x: (x * (x > 0), x * (x > 0)))
    assert partly.right
    assert "partly" in drawn(partly).classes
    assert "not handled: NaN and infinity" in drawn(partly).text


def test_what_the_functions_print_is_folded_away(capfd):
    def relu_forward(x):
        print("<b>loud</b>")
        warnings.warn("louder", stacklevel=1)
        return scratch.activations.relu_forward(x)

    checked = check(relu_forward)
    assert capfd.readouterr() == ("", "")
    assert "<b>loud</b>" in checked.printed
    assert "UserWarning: louder" in checked.printed
    assert f"{len(checked.printed)} lines printed by the functions" in drawn(checked).text
    assert "<b>loud" not in checked._repr_html_()


def test_an_exception_shows_its_line():
    def tanh_forward(x):
        return x.nothing

    text = drawn(check(tanh_forward)).text
    assert "AttributeError: 'numpy.ndarray' object has no attribute 'nothing'" in text
    assert re.search(r"line \d+: return x\.nothing", text)


def test_a_function_that_is_still_to_write_is_told_so():
    def relu_forward(x):
        raise NotImplementedError

    assert "– relu  not written yet" in repr(check(relu_forward))
    assert "open" in drawn(check(relu_forward)).classes


@pytest.mark.parametrize("component", all_components().values(), ids=lambda component: component.name)
def test_every_component_can_be_shown_and_filled_in(component):
    shown = show(component.name)
    page = drawn(shown)
    for side in (f"scratch/{component.topic}", f"torch_ref/{component.topic}"):
        assert side in page.text
        assert side in repr(shown)
    for mistake in component.mistakes:
        assert f"mistake: {mistake.name}" in page.text
    text = repr(exercise(component.name))
    assert "raise NotImplementedError" in text
    assert text in drawn(exercise(component.name)).text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(check), "functions: expected at least one"),
        (
            partial(check, "relu"),
            r"check: expected functions, as in check\(relu_forward\), got the text 'relu'",
        ),
        (partial(check, np.zeros(2)), "functions: expected functions with a name, got a ndarray"),
        (partial(check, print), "functions: no component has one called print"),
        (partial(check, relu_unmasked, component="rellu"), "component: expected the name of one, got rellu"),
        (partial(show, "leaky_rellu"), r"show: unknown component 'leaky_rellu': did you mean leaky_relu\?"),
        (
            partial(show, relu_unmasked),
            'show: expected the name of a component, as in "relu", got a function',
        ),
        (
            partial(exercise, "optimisers"),
            r"exercise: unknown component 'optimisers': did you mean optimizers\?",
        ),
    ],
)
def test_wrong_usage_is_one_clear_error_without_a_traceback(call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert caught.value._render_traceback_() == [f"UsageError: {caught.value}"]


def test_nothing_else_is_importable_from_the_front_door():
    offered = {"Recorder", "assert_matches", "check", "exercise", "record", "show", "trace"}
    assert offered == set(compare.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        compare.nothing  # noqa: B018


# ---- files


def notebook(path: Path, *sources: str | tuple[str, str]) -> Path:
    """A file with these code cells, or cells of (kind, source)."""
    path.write_text(
        cells.write([s if isinstance(s, tuple) else ("code", s) for s in sources]), encoding="utf-8"
    )
    return path


MAGICS = """%matplotlib inline
import numpy as np
!pip install nothing
if True:
    %time 1 + 1
files = !ls
np.zeros?
remainder = (7
% 4)
"""


def test_a_notebook_is_read_as_a_module_without_what_is_not_python(tmp_path, capsys):
    path = notebook(
        tmp_path / "day.ipynb",
        ("markdown", "%%no code"),
        MAGICS.replace("%matplotlib inline\n", ""),
        "%%bash\necho 'def tanh_forward(x)'",
        "%%check\ndef tanh_forward(x):\n    return np.tanh(x), np.tanh(x)",
        "%%time\ndef tanh_backward(dy, y): return dy * (1 - y * y)",
    )
    assert main(["check", str(path)]) == 0
    assert "✓ tanh  right" in capsys.readouterr().out


def test_a_line_that_begins_with_percent_may_be_python(tmp_path):
    path = notebook(tmp_path / "day.ipynb", "remainder = (7\n% 4)\n", MAGICS)
    lines = cells.read(path).text.splitlines()
    assert lines[:2] == ["remainder = (7", "% 4)"]
    assert lines[2:6] == ["pass", "import numpy as np", "pass", "if True:"]
    assert lines[6:11] == ["    pass", "pass", "pass", "remainder = (7", "% 4)"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("x = 1\ny = 1 / 0", "cell 2, line 2: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef f(:", "cell 2, line 3: SyntaxError"),
    ],
)
def test_an_error_in_a_notebook_is_told_with_cell_and_line(bad, message, tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", "import numpy as np", ("markdown", "text"), bad)
    assert main(["check", str(path)]) == 2
    assert f"error: {path}: {message}" in capsys.readouterr().err


FAILS = [
    ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("print(images.shape)", "NameError: name 'images' is not defined"),
    ("def sigmoid_forward(x:", "SyntaxError: "),
    ("return 1", "SyntaxError: 'return' outside function"),
    ("exit()", "SystemExit: None"),
]


@pytest.mark.parametrize(("bad", "message"), FAILS)
def test_what_fails_in_a_notebook_is_passed_over_and_the_rest_is_judged(bad, message, tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", "import numpy as np", f"\n{bad}", RIGHT)
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    (told,) = (line for line in out if "passed over" in line)
    assert told.startswith(f"cell 2, line 2 failed and was passed over: {message}")
    assert "day.ipynb" not in told
    assert (out[0][:6], out[-1]) == ("✓ relu", "1 right")
    assert main(["check", str(path), "--json"]) == 0
    (relu,) = json.loads(capsys.readouterr().out)
    assert relu["passed_over"] == [told]
    path = notebook(path, "import numpy as np", bad, WRONG)
    assert main(["check", str(path)]) == 1
    assert "this is “gradient not masked”" in capsys.readouterr().out


def test_below_what_fails_its_cell_goes_on(tmp_path, capsys):
    cell = f"from __future__ import annotations\nimport no_such_module\n{RIGHT}\nx: nothing\nassert y"
    path = notebook(tmp_path / "day.ipynb", cell, *["y.shape"] * 4, "x: nothing")
    assert main(["check", str(path)]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "passed over" in line] == [
        "cell 1, line 2 failed and was passed over: ModuleNotFoundError: No module named 'no_such_module'",
        "cell 1, line 8 failed and was passed over: NameError: name 'y' is not defined",
        "cell 2, line 1 failed and was passed over: NameError: name 'y' is not defined",
        "3 more statements failed and were passed over, the first in cell 3, line 1",
    ]


@pytest.mark.parametrize("bad", ["def relu_backward(dy, y:", "relu_backward = jit(relu_backward)"])
def test_what_a_later_cell_was_to_define_anew_is_not_judged_as_it_was(bad, tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", RIGHT, bad)
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "½ relu  half written: 1 of 2 functions" in out
    assert "cell 2, line 1 failed and was passed over: " in out
    assert main(["check", str(notebook(path, RIGHT, bad, RIGHT))]) == 0


def test_what_is_ours_stays_so_where_naming_it_anew_fails(tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", "from scratch.activations import *", "relu_forward = mine")
    assert main(["check", str(path)]) == 2
    assert f"{path}: cell 2, line 1: NameError: name 'mine' is not defined\n" in capsys.readouterr().err


def test_a_class_below_a_cell_that_does_not_parse_has_its_text(tmp_path, capsys):
    book = "class Relu:\n    def forward(self, x):\n        self.x = x\n        return x * (x > 0)\n"
    book += "    def backward(self, dout):\n        raise NotImplementedError\n"
    path = notebook(tmp_path / "day.ipynb", "def f(:", "import inspect", book, "inspect.getsource(Relu)")
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.count("passed over") == 1


def test_where_nothing_is_left_the_first_that_failed_is_told(tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", "import no_such_module", "def relu_forwards(x): return x", "y")
    assert main(["check", str(path)]) == 2
    err = capsys.readouterr().err
    assert "cell 1, line 1: ModuleNotFoundError: No module named 'no_such_module'; no function of ours" in err
    assert "did you mean relu_forward" in err
    path = notebook(path, RIGHT, "y")
    assert main(["check", str(path), "tanh"]) == 2
    assert "no function of tanh in it; cell 2, line 1 failed and was" in capsys.readouterr().err


def test_a_notebook_that_does_not_end_is_ended(tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", RIGHT, "try:\n    while True: pass\nexcept: pass")
    assert main(["check", str(path), "--timeout", "3"]) == 2
    assert "loading the file: not finished after 3 s" in capsys.readouterr().err


def test_an_exception_in_a_notebook_is_told_with_cell_and_line(tmp_path, capsys):
    path = notebook(tmp_path / "day.ipynb", RIGHT, "def tanh_forward(x):\n    y = x.nothing\n    return y, y")
    assert main(["check", str(path)]) == 1
    assert "      cell 2, line 2: y = x.nothing\n" in capsys.readouterr().out
    assert main(["check", str(path), "--json"]) == 1
    *_, tanh = json.loads(capsys.readouterr().out)
    assert (tanh["error"]["cell"], tanh["error"]["line"]) == (2, 2)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": 3}', '{"worksheets": []}', "[" * 9999])
def test_what_is_no_notebook_is_one_line(text, tmp_path):
    path = tmp_path / "day.ipynb"
    path.write_text(text)
    with pytest.raises(FileError, match="not a notebook of nbformat 4"):
        list(check_file(path, 60))


def test_the_study_day_as_a_notebook(tmp_path, capsys):
    path = tmp_path / "day.ipynb"
    assert main(["exercise", "all", "--out", str(path)]) == 0
    document = json.loads(path.read_text(encoding="utf-8"))
    if not MISSING:
        import nbformat

        nbformat.validate(document)
    sources = ["".join(cell["source"]) for cell in document["cells"]]
    kinds = [cell["cell_type"] for cell in document["cells"]]
    assert sources[0].startswith("# The study day")
    assert kinds == ["markdown", "code"] * (len(kinds) // 2)
    own = dict(zip((s.split("\n")[0] for s in sources[2::2]), sources[3::2], strict=True))
    assert all(source.startswith("%%check\n") for source in own.values())
    assert "def relu_backward" in own["## relu"]
    assert main(["check", str(path)]) == 1
    assert re.search(r"\b0 of \d+ done; not written yet: relu, ", capsys.readouterr().out)


# ---- in a kernel


def run(folder: Path, *sources: str, monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Execute a notebook with these cells; of each, its HTML, its text and its error."""
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    document = nbformat.read(notebook(folder / "run.ipynb", *sources), as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's packages
        nbclient.NotebookClient(document, timeout=300, allow_errors=True, resources=resources).execute()
    found = []
    for cell in document.cells:
        html = "".join(o["data"].get("text/html", "") for o in cell.outputs if "data" in o)
        text = "".join(o["data"].get("text/plain", "") for o in cell.outputs if "data" in o)
        printed = "".join(o["text"] for o in cell.outputs if o.output_type == "stream")
        errors = [o for o in cell.outputs if o.output_type == "error"]
        found.append(SimpleNamespace(html=html, text=text, printed=printed, errors=errors))
    return found


@with_a_kernel
def test_in_a_kernel_right_is_green_and_wrong_is_red_with_its_name(tmp_path, monkeypatch):
    start, right, wrong, called, shown, unknown, broken, nothing, other = run(
        tmp_path,
        "%load_ext compare\nfrom compare import check, show",
        f"%%check\nprint('once')\n{RIGHT}",
        f"%%check\n{WRONG}",
        "check(relu_forward, relu_backward)",
        "show('relu')",
        "show('rellu')",
        "%%check\ndef tanh_forward(x:",
        "%%check\nx = 1",
        f"%%check\n{RIGHT.splitlines()[2]}",
        monkeypatch=monkeypatch,
    )
    assert start.errors == []
    assert Text(right.html).classes & {"right", "wrong"} == {"right"}
    assert right.text == repr(check(scratch.activations.relu_forward, scratch.activations.relu_backward))
    assert right.printed == "once\n"
    for cell in (wrong, called):
        page = Text(cell.html)
        assert "wrong" in page.classes
        assert "this is “gradient not masked”" in page.text
        assert "this is “gradient not masked”" in cell.text
    assert "torch_ref/activations.py" in Text(shown.html).text
    for cell, message in (
        (unknown, "show: unknown component 'rellu'"),
        (nothing, "%%check: no function of ours"),
    ):
        (error,) = cell.errors
        (line,) = error["traceback"]
        assert line.startswith(f"UsageError: {message}")
    said = broken.printed + "".join(error["ename"] for error in broken.errors)
    assert "SyntaxError" in said or "_IncompleteInputError" in said  # one of its kind, in newer Pythons
    assert broken.html == ""
    assert "✓ relu" in Text(other.html).text  # with the forward pass of another cell


@with_a_kernel
def test_in_a_kernel_the_study_day_runs_as_it_was_written(tmp_path, monkeypatch):
    path = tmp_path / "relu.ipynb"
    assert main(["exercise", "relu", "--out", str(path)]) == 0
    code = [
        "".join(cell["source"])
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    _, relu = run(tmp_path, *code, monkeypatch=monkeypatch)
    assert "not written yet" in Text(relu.html).text
