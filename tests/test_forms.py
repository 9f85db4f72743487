"""Somebody's version in the form of a course: checked as it stands, and told in which form it was read."""

import importlib
import re
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest

from compare import assert_matches
from compare.cases import all_components
from compare.cases.names import top_level
from compare.learner.check import Verdict, check, explain
from compare.learner.child_process import FileError, check_file, load, own_definitions
from compare.learner.finding import Attempt, almost_in_a_form, find
from compare.learner.forms import FORMS
from compare.learner.forms.form import fits
from compare.learner.forms.stand_ins import drawing_from, with_epsilon
from scratch.random import NumpyGenerator

HEADER = "import numpy as np\n"
with open(Path(__file__).with_name("forms.toml"), "rb") as toml:
    PROGRAMS = tomllib.load(toml)


def definitions(source: str, tmp_path) -> dict:
    file = tmp_path / "mine.py"
    file.write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
    return own_definitions(load(str(file)))


def attempt_of(program: dict, tmp_path) -> Attempt:
    attempts = find(definitions(program["source"], tmp_path))
    (attempt,) = (a for a in attempts if a.component.name == program["component"])
    return attempt


def told(verdict: Verdict) -> str:
    return "\n".join(explain(verdict))


@pytest.mark.parametrize("program", PROGRAMS["right"].values(), ids=PROGRAMS["right"])
def test_a_right_version_is_right_in_the_form_of_its_course(program, tmp_path):
    attempt = attempt_of(program, tmp_path)
    verdict = check(attempt)
    assert verdict.equal, told(verdict)
    assert bool(attempt.convention) == program.get("convention", False)
    assert (verdict.status == "convention") == bool(attempt.convention), told(verdict)
    assert list(attempt.missing) == program.get("missing", [m for m in attempt.missing if "_step" in m])
    assert set(program.get("handled", [])) <= set(verdict.handled)
    assert set(program.get("not_handled", [])) <= set(verdict.not_handled)
    assert program.get("said", "") in told(verdict)
    assert verdict.changed == {}


@pytest.mark.parametrize("name", PROGRAMS["wrong"])
def test_a_fault_is_found_and_named_in_the_form_of_its_course(name, tmp_path):
    program = PROGRAMS["wrong"][name]
    verdict = check(attempt_of(program, tmp_path))
    assert verdict.equal == program.get("equal", False)
    assert {mistake["name"] for mistake in verdict.mistakes} == set(program.get("mistakes", [])), told(
        verdict
    )
    assert program.get("said", "") in told(verdict)
    assert program.get("error", "") in verdict.error.get("message", "")
    assert verdict.form or ":" not in name


COURSES = {
    "Coursera": ("the form of the course Neural", "the form of the course Improving"),
    "CS231n": "the form of the course CS231n",
    "the book": "the form of the book",
}


@pytest.mark.parametrize("name", [name for name in PROGRAMS["right"] if name.split(":")[0] in COURSES])
def test_the_course_is_told(name, tmp_path):
    attempt = attempt_of(PROGRAMS["right"][name], tmp_path)
    assert attempt.form.startswith(COURSES[name.split(":")[0]])


def test_every_form_has_a_program():
    sources = [program["source"] for kind in ("right", "wrong") for program in PROGRAMS[kind].values()]
    written = set(re.findall(r"^(?:def|class) (\w+)", "\n".join(sources), re.MULTILINE))
    assert {name for form in FORMS for name in form.signatures} <= written


def test_a_form_stands_for_functions_of_ours():
    for form in FORMS:
        assert form.component in all_components()
        assert form.words


@pytest.mark.parametrize(("source", "expected"), PROGRAMS["almost"].items())
def test_what_is_almost_a_form_is_told_what_is_missing(source, expected, tmp_path):
    name, said = expected
    written = definitions(source, tmp_path)
    assert said in dict(almost_in_a_form(written))[name]
    if not find(written):
        with pytest.raises(FileError, match=name):
            list(check_file(tmp_path / "mine.py", 60))


@pytest.mark.parametrize("program", PROGRAMS["right"].values(), ids=PROGRAMS["right"])
def test_nothing_is_almost_a_form_where_it_is_one(program, tmp_path):
    assert almost_in_a_form(definitions(program["source"], tmp_path)) == []


def test_nothing_of_ours_is_almost_a_form():
    for topic in {component.topic for component in all_components().values()}:
        assert almost_in_a_form(vars(importlib.import_module(f"scratch.{topic}"))) == []
        assert almost_in_a_form(vars(importlib.import_module(f"torch_ref.{topic}"))) == []


def test_ours_is_read_as_ours():
    for topic in {component.topic for component in all_components().values()}:
        for attempt in find(vars(importlib.import_module(f"scratch.{topic}"))):
            assert (attempt.form, attempt.convention) == ("", "")


def test_the_other_process_tells_the_form_too(tmp_path):
    definitions(PROGRAMS["right"]["Coursera: linear"]["source"], tmp_path)
    (verdict,) = check_file(tmp_path / "mine.py", 60)
    assert verdict.status == "convention"
    assert verdict.form.endswith("columns are examples, 1/m in linear_backward")


def test_our_own_form_is_not_taken_for_that_of_a_course(tmp_path):
    source = """
        def linear_forward(A, W, b): return A @ W.T + (0 if b is None else b), (A, W)
        def linear_backward(dZ, cache): return dZ @ cache[1], dZ.T @ cache[0], dZ.sum(axis=0)
        def sigmoid_forward(Z): return 1 / (1 + np.exp(-Z)), Z
        def sigmoid_backward(dA, Z): return dA * np.exp(-Z) / (1 + np.exp(-Z)) ** 2
    """
    attempts = {a.component.name: a for a in find(definitions(source, tmp_path))}
    assert attempts["linear"].form == attempts["sigmoid"].form == ""
    assert len(attempts["sigmoid"].functions) == 2


def test_an_error_is_told_of_the_learners_line(tmp_path):
    source = "def affine_forward(x, w, b):\n    return x @ w.T + b, None"
    verdict = check(attempt_of({"component": "linear", "source": source}, tmp_path))
    assert verdict.error["source"] == "return x @ w.T + b, None"


def test_a_form_can_be_asserted():
    def update_lr(learning_rate0, epoch_num, decay_rate):
        return learning_rate0 / (1 + decay_rate * epoch_num)

    assert_matches(update_lr)
    with pytest.raises(ValueError, match="affine"):
        assert_matches(update_lr, affine=update_lr)


def test_an_option_that_the_course_has_not_is_not_handled(tmp_path):
    verdict = check(attempt_of(PROGRAMS["right"]["Coursera: Adam"], tmp_path))
    assert {"weight_decay", "amsgrad"} <= set(verdict.not_handled)


def test_every_component_of_a_file_in_two_forms(tmp_path):
    names = ("Coursera: linear", "Coursera: relu", "CS231n: adam", "the book: Momentum")
    source = "\n".join(PROGRAMS["right"][name]["source"] for name in names)
    found = [a.component.name for a in find(definitions(source, tmp_path))]
    assert set(found) == {"linear", "relu", "adam", "momentum"}


def test_ε_is_found_wherever_it_is_written():
    def root(x):
        return (x + 1e-7) ** 0.5

    assert with_epsilon(root, 1.0)(0.0) == 1.0
    assert root(0.0) == 1e-7**0.5


def test_numpys_own_draws_are_back_afterwards():
    legacy = np.random
    before = legacy.rand
    with drawing_from(NumpyGenerator(0)):
        legacy.seed(1)
        first, second = legacy.rand(2), legacy.default_rng(1).random(2)
    assert np.array_equal([*first, *second], NumpyGenerator(0).uniform((4,), dtype=np.float64))
    assert legacy.rand is before


def test_a_signature_fits_with_fewer_or_more_options():
    assert fits("f(a, b)", lambda x, y, z=0: 0)
    assert fits("f(a, b=1)", lambda x: 0)
    assert fits("f(a)", lambda x, *, named: 0)
    assert not fits("f(a, b)", lambda x: 0)
    assert not fits("f(a)", lambda x, y: 0)
    assert not fits("f(a)", None)


def test_every_function_that_a_form_names_is_one_of_its_component(tmp_path):
    for program in PROGRAMS["right"].values():
        attempt = attempt_of(program, tmp_path)
        assert {*attempt.functions, *attempt.missing} == {*top_level(attempt.component.functions)}


@pytest.mark.parametrize(("theirs", "meant"), [("Momemtum", "Momentum"), ("AdaGrd", "AdaGrad"), ("SGDM", "")])
def test_an_optimizer_that_is_almost_the_book_s_is_asked_about(theirs, meant, tmp_path):
    sgd = PROGRAMS["right"]["the book: SGD"]["source"]
    definitions(sgd + sgd.replace("SGD", theirs), tmp_path)
    first, *others = check_file(tmp_path / "mine.py", 60)
    assert first.component == "sgd"
    assert [verdict.asked for verdict in others] == ([{theirs: meant}] if meant else [])


def test_an_optimizer_of_the_book_s_is_one_in_other_letters_too(tmp_path):
    source = PROGRAMS["right"]["the book: RMSprop"]["source"].replace("RMSprop", "RMSProp")
    assert_matches(definitions(source, tmp_path)["RMSProp"])
