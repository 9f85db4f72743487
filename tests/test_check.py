"""Somebody's own version: equal, or the mistake named; and never a mistake that it is not."""

import inspect
import json
import re
import subprocess
import sys
import textwrap
import tomllib
import warnings
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import formulas
import numpy as np
import pytest
import torch

import scratch.activations
from compare import assert_matches
from compare.cases import all_components
from compare.cases.names import entries
from compare.cli import main
from compare.component import DTYPES
from compare.learner.check import Verdict, check, explain
from compare.learner.child_process import FileError, check_file, load, own_definitions
from compare.learner.diagnosis import same
from compare.learner.exercise import HINTS, exercise
from compare.learner.finding import close_names, find
from compare.learner.ordinary import apart, beyond
from compare.learner.running import Answer
from compare.learner.show import headline
from compare.learner.trial import LARGE, Question, Trial, remembered
from compare.run import cases_of

ROOT = Path(__file__).parents[1]
TYPED = find(vars(formulas))
HEADER = "import numpy as np\n"
with open(Path(__file__).with_name("attempts.toml"), "rb") as toml:
    ATTEMPTS = tomllib.load(toml)


def verdict_on(source: str, tmp_path, component: str | None = None, seconds: float = 60) -> Verdict:
    file = tmp_path / "mine.py"
    file.write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
    attempts = [a for a in find(vars(load(str(file)))) if component in (None, a.component.name)]
    (attempt,) = attempts
    return check(attempt, seconds=seconds)


@pytest.mark.parametrize("source", ATTEMPTS["right"].values(), ids=ATTEMPTS["right"])
def test_a_right_version_is_right_whatever_its_style(source, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "right", explain(verdict)
    assert 0 <= verdict.units <= verdict.budget


@pytest.mark.parametrize("body", ATTEMPTS["slightly_wrong"].values(), ids=ATTEMPTS["slightly_wrong"])
def test_what_is_wrong_in_one_place_only_is_wrong(body, tmp_path):
    verdict = verdict_on(f"def tanh_backward(dy, y):\n    {body}", tmp_path, seconds=600)
    assert not verdict.equal
    assert verdict.status in ("different", "raises")
    assert verdict.first["case"]
    tanh = all_components()["tanh"]
    assert verdict.cases == sum(len(cases_of(tanh, 0, dtype)) for dtype in DTYPES.values())


@pytest.mark.parametrize("name", ATTEMPTS["right_but"])
def test_ordinary_inputs_decide_and_what_else_there_is_gets_a_name(name, tmp_path):
    source, not_handled, handled = ATTEMPTS["right_but"][name].values()
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "right but", explain(verdict)
    assert verdict.equal
    assert set(not_handled) <= set(verdict.not_handled)
    assert set(handled) <= set(verdict.handled)
    assert f"not handled: {', '.join(verdict.not_handled)}" in explain(verdict)


WITHOUT_A_FORMULA = {"standardization", "gradient_check", "network", "minibatches", "train"} | {
    "averaged_model",
    "early_stopping",
    "update_bn",
    "reduce_lr_on_plateau",
}  # of one line


def test_every_formula_is_typed_in():
    wanted = {c.name for c in all_components().values() if c.topic != "random"} - WITHOUT_A_FORMULA
    assert {attempt.component.name for attempt in TYPED} >= wanted


@pytest.mark.parametrize("attempt", TYPED, ids=lambda attempt: attempt.component.name)
def test_the_formula_of_the_docstring_typed_in_is_right(attempt):
    verdict = check(attempt)
    assert verdict.equal, explain(verdict)


def test_every_component_has_ordinary_cases_and_its_first_one_is():
    for component in all_components().values():
        for dtype in DTYPES.values():
            first, *others = cases_of(component, 0, dtype)
            assert beyond(component, first, first) == ()
            assert any(not beyond(component, first, case) for case in others) or len(others) < 2, (
                component.name
            )


def test_equal_exceptions_are_no_equal_results():
    case = cases_of(all_components()["tanh"], 0, np.float64)[0]
    raised = Answer(error={"kind": "ValueError", "message": "no"})
    assert not same(Trial(case, {}, raised, {}, 1.0, [], 0.0), raised)


def test_of_two_mistakes_that_fit_none_is_named(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def tanh_backward(dy, y): return dy * (1 - y)", encoding="utf-8")
    (attempt,) = find(vars(load(str(file))))
    (mistake,) = (m for m in attempt.component.mistakes if m.name == "1 − y")
    alike = replace(attempt.component, mistakes=(mistake, replace(mistake, name="the same again")))
    assert check(replace(attempt, component=alike)).mistakes == []
    assert [m["name"] for m in check(attempt).mistakes] == ["1 − y"]


def test_of_two_mistakes_each_has_to_be_needed(tmp_path):
    """One of two that fit is not made the certain one by a third that changes nothing."""
    file = tmp_path / "mine.py"
    file.write_text("def tanh_backward(dy, y): return dy * (1 - y)", encoding="utf-8")
    (attempt,) = find(vars(load(str(file))))
    (mistake,) = (m for m in attempt.component.mistakes if m.name == "1 − y")
    idle = replace(mistake, name="idle", edits=[("y = cache", "y = cache + 0")])
    lines = "y = cache\n    return dy * (1 - y * y)", "y = cache + 0\n    return dy * (1 - y)"
    both = replace(mistake, name="both", edits=[lines])
    alike = (mistake, both, idle)
    assert check(replace(attempt, component=replace(attempt.component, mistakes=alike))).mistakes == []


def test_a_candidate_that_tells_the_gradients_too_is_preferred_in_pytorch(tmp_path):
    source = """
        import torch
        def cross_entropy(z, y, reduction="mean"):
            return torch.nn.functional.cross_entropy(torch.softmax(z, 1), y, reduction=reduction)
    """
    assert [mistake["name"] for mistake in verdict_on(source, tmp_path).mistakes] == ["softmax twice"]


def test_the_first_case_that_ran_has_to_be_right_whatever_it_asks(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def tanh_backward(dy, y): return 2 * dy", encoding="utf-8")
    (attempt,) = find(vars(load(str(file))))
    made = attempt.component.cases
    alone = replace(attempt.component, cases=lambda rng, dtype: [c for c in made(rng, dtype) if not c.finite])
    attempt = replace(attempt, component=alone, run=partial(attempt.run.func, alone, *attempt.run.args[1:]))
    assert check(attempt).status == "different"


def test_right_results_do_not_excuse_an_input_that_was_changed(tmp_path):
    verdict = verdict_on("def tanh_forward(x): y = np.tanh(x); x *= 0; return y, y", tmp_path)
    assert (verdict.status, verdict.wrong) == ("in place", [])
    assert not verdict.equal
    assert "the input x was modified in place by tanh_forward" in explain(verdict)


def test_a_changed_input_is_told_beside_a_mistake(tmp_path):
    source = "def tanh_backward(dy, y): dx = dy * (1 - y); dy *= 0; return dx"
    verdict = verdict_on(source, tmp_path)
    assert [mistake["name"] for mistake in verdict.mistakes] == ["1 − y"]
    assert "the input dy was modified in place by tanh_backward" in explain(verdict)
    nothing_else = verdict_on("def tanh_forward(x): np.tanh(x, out=x); x *= 2; return x, x", tmp_path)
    assert nothing_else.mistakes == []
    assert "the input x was modified in place by tanh_forward" in explain(nothing_else)


def test_a_lambda_is_a_function_that_has_been_written(tmp_path):
    verdict = verdict_on("tanh_forward = lambda x: (np.tanh(x), np.tanh(x))", tmp_path)
    assert verdict.status == "right"


def test_an_optimizer_in_pytorch_changes_the_parameters_that_it_is_given(tmp_path):
    verdict = verdict_on("from torch.optim import SGD", tmp_path, "sgd")
    assert (verdict.side, verdict.status) == ("torch", "right")


def test_a_slightly_wrong_version_is_wrong_in_pytorch_too(tmp_path):
    source = "import torch\ndef tanh(x: torch.Tensor): return torch.tanh(x) * (1 + 1e-10)"
    verdict = verdict_on(source, tmp_path)
    assert (verdict.side, verdict.status) == ("torch", "different")


@pytest.mark.parametrize("mistake", ATTEMPTS["mistakes"])
def test_a_classic_mistake_is_named_in_other_words_and_another_style(mistake, tmp_path):
    component, source = ATTEMPTS["mistakes"][mistake].values()
    verdict = verdict_on(source, tmp_path, component)
    assert verdict.status in ("different", "raises")
    assert [found["name"] for found in verdict.mistakes] == [mistake], explain(verdict)
    text = "\n".join(explain(verdict))
    assert f"this is “{mistake}”" in text
    assert "first difference: case" in text


@pytest.mark.parametrize(
    ("gradient", "status"),
    [
        ("dloss / p.size * (1 - y) / (1 - p) - dloss / p.size * y / p", "right but"),
        ("dloss / p.size * (p - y) / (p * (1 - p) + 1e-9)", "different"),
        ("dloss / p.size * ((1 - y) / (1 - p) - y / (p + 1e-9))", "different"),
    ],
)
def test_a_gradient_may_be_the_difference_of_two_terms(gradient, status, tmp_path):
    """Each of them is rounded, which shows where the two are equal."""
    source = f"""
        def binary_cross_entropy_forward(p, y):
            with np.errstate(divide="ignore"):
                return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), (p, y)
        def binary_cross_entropy_backward(dloss, cache):
            p, y = cache
            return {gradient}
    """
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == status, explain(verdict)


def test_float64_for_float32_is_told_and_no_fault(tmp_path):
    source = """
        def relu_forward(x): return np.maximum(0, x), x > 0
        def relu_backward(dy, active): return dy * active.astype(int)
    """
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "right but", explain(verdict)
    assert "float32 (it comes back as float64)" in verdict.not_handled
    assert "from an array of integers" in "".join(verdict.symptoms)


@pytest.mark.parametrize("name", ATTEMPTS["unlisted"])
def test_what_is_on_no_list_gets_no_name_but_is_described(name, tmp_path):
    source, said = ATTEMPTS["unlisted"][name].values()
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "different"
    assert verdict.mistakes == [], explain(verdict)
    assert any(said in symptom for symptom in verdict.symptoms), verdict.symptoms


@pytest.mark.parametrize(
    ("kept", "step", "mistake"),
    [
        ("beta * v + lr * g", "p -= v", "learning rate inside the sum"),
        ("beta * v - lr * g", "p += v", "learning rate and sign inside the sum"),
    ],
)
def test_a_velocity_that_is_the_step_is_right_elsewhere(kept, step, mistake, tmp_path):
    verdict = verdict_on(f"def momentum_step(p, g, v, *, lr, beta): v[...] = {kept}; {step}", tmp_path)
    assert verdict.status == "convention"
    assert [found["name"] for found in verdict.mistakes] == [mistake]


def test_a_mistake_is_named_in_pytorch_too(tmp_path):
    source = """
        import torch
        def mse_loss(input: torch.Tensor, target: torch.Tensor, reduction="mean"):
            loss = (input - target).abs()
            return loss.mean() if reduction == "mean" else loss.sum()
    """
    verdict = verdict_on(source, tmp_path)
    assert verdict.side == "torch"
    assert [mistake["name"] for mistake in verdict.mistakes] == ["absolute value"], explain(verdict)


def test_a_convention_of_elsewhere_says_where(tmp_path):
    source = "def momentum_step(p, g, v, *, lr, beta): v *= beta; v += lr * (1 - beta) * g; p -= v"
    text = "\n".join(explain(verdict_on(source, tmp_path)))
    assert "this is “learning rate inside the velocity”" in text


def test_two_mistakes_at_once_are_both_named(tmp_path):
    source = """
        def l2_penalty(weights, l2, m): return l2 / m * sum((w * w).sum() for w in weights)
        def l2_gradient(weight, l2, m): return l2 * weight
    """
    names = {mistake["name"] for mistake in verdict_on(source, tmp_path).mistakes}
    assert names == {"½ forgotten", "gradient not divided by m"}


def test_an_exception_shows_the_learners_own_line(tmp_path):
    verdict = verdict_on("def tanh_forward(x):\n    y = x.no_such_thing\n    return y, y", tmp_path)
    assert verdict.status == "raises"
    assert verdict.error["source"] == "y = x.no_such_thing"
    assert verdict.error["line"] == 3


def test_what_mistakes_of_ours_warn_of_is_not_told(tmp_path):
    """The mean of no examples, for one."""
    functions = formulas.softmax_forward, formulas.softmax_backward
    right = "y * (dy - (dy * y).sum(axis=dim, keepdims=True))"
    source = "".join(map(inspect.getsource, functions)).replace(right, "dy * y * (1 - y)")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = verdict_on(source, tmp_path)
    assert [mistake["name"] for mistake in found.mistakes] == ["diagonal of the Jacobian alone"]
    assert [str(warning.message) for warning in caught if "edited" in warning.filename] == []


def test_an_answer_is_remembered_for_the_same_question_alone():
    tanh, sigmoid = all_components()["tanh"], all_components()["sigmoid"]
    case = next(case for case in cases_of(tanh, 0, np.float64) if case["x"].ndim == 2)
    asked = []

    @remembered
    def answer(question: Question) -> int:
        asked.append(question)
        return len(asked)

    again = replace(case, arrays={name: array.copy() for name, array in case.arrays.items()})
    assert answer(Question(tanh, case)) == answer(Question(tanh, again)) == 1
    x = case["x"]
    others = [
        Question(sigmoid, case),
        Question(tanh, case, known_by="a mistake"),
        Question(tanh, case.but(case.name, {"x": x + 1})),
        Question(tanh, case.but(case.name, {"x": np.asfortranarray(x)})),
        Question(tanh, case.but(case.name, {"x": x.reshape(x.shape[::-1])})),
        Question(tanh, case.but(case.name, {"x": x.view(np.int64)})),
        Question(tanh, case.but(case.name, slope=1)),
        Question(tanh, replace(case, seed=1)),
        Question(tanh, replace(case, draws="own")),
        Question(tanh, replace(case, finite=False)),
    ]
    assert [answer(question) for question in others] == list(range(2, len(others) + 2))
    large = Question(tanh, case.but(case.name, {"x": np.zeros(LARGE + 1)}))
    assert answer(large) < answer(large), "it takes room and is asked anew"


def test_sign_of_zero_is_nobodys_mistake(tmp_path):
    source = """
        def relu_backward(dy, y):
            return np.where(np.isnan(y), dy, dy * (y > 0))
    """
    assert verdict_on(source, tmp_path).status == "right"


def test_assert_matches_takes_functions_and_says_what_is_wrong():
    assert_matches(scratch.activations.tanh_forward, scratch.activations.tanh_backward)

    def tanh_backward(dy, y):
        return dy * (1 - y)

    with pytest.raises(AssertionError, match=r"tanh: different\n(.|\n)*this is “1 − y”"):
        assert_matches(tanh_backward)

    def nothing_of_ours(x):
        return x

    with pytest.raises(ValueError, match="functions: no component has one called nothing_of_ours"):
        assert_matches(nothing_of_ours)


# ---- the file, in its child process


def test_a_loop_without_end_and_a_crash_are_reported_and_the_rest_is_checked(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        HEADER + "import os\n"
        "def relu_forward(x):\n    while True: pass\n"
        "def tanh_forward(x): os._exit(3)\n"
        "def sigmoid_forward(x): raise NotImplementedError\n"
        "def rate(lr, epoch, *, decay_rate, by):\n    print('hello')\n"
        "    return lr / (by + decay_rate * epoch)\n"
        "import functools\ninverse_time = functools.partial(rate, by=1)\n"
    )
    verdicts = {v.component: v for v in check_file(file, 8)}
    assert {name: v.status for name, v in verdicts.items()} == {
        "relu": "timeout",
        "tanh": "crash",
        "sigmoid": "unwritten",
        "inverse_time": "right",
    }
    assert "not finished after 8 s in the case" in verdicts["relu"].error["message"]
    assert "exit status 3" in verdicts["tanh"].error["message"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from scratch.activations import relu_forward", "no function of ours in it"),
        ("def f(:", "line 1: SyntaxError"),
        ("\nx = 1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("import no_such_module", "line 1: ModuleNotFoundError"),
        ("x = 1", "no function of ours in it"),
        ("raise SystemExit", "line 1: SystemExit"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_line_and_status_2(text, message, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {file}: {message}")
    assert err.count("\n") == 1
    with pytest.raises(FileError):
        list(check_file(file, 30))


def test_json_and_status_of_the_command(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        HEADER + "def tanh_backward(dy, y): return dy * (1 - y)\n"
        "def inverse_time(lr, e, *, decay_rate): return lr / (1 + decay_rate * e)\n"
    )
    assert main(["check", str(file), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(v["component"], v["status"]) for v in document] == [
        ("tanh", "different"),
        ("inverse_time", "right"),
    ]
    assert document[0]["mistakes"][0]["name"] == "1 − y"
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "✗ tanh  half written: 1 of 2 functions, wrong  18 of 22 cases" in out
    assert "✓ inverse_time  right" in out
    assert out.endswith("1 right; 1 not: tanh\n")


PREPARED = (
    HEADER
    + """import functools
def forward(x, *, shift=0, times=1): y = np.tanh(x) * times + shift; return y, y
"""
)


@pytest.mark.parametrize("name", ATTEMPTS["callables"])
def test_whatever_can_be_called_is_found_by_the_name_it_is_bound_to(name, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PREPARED + ATTEMPTS["callables"][name], encoding="utf-8")
    (attempt,) = find(own_definitions(load(str(file))))
    verdict = check(attempt)
    expected = {"a builtin": "raises", "a vectorized function": "right but"}.get(name, "right")
    assert verdict.status == expected, explain(verdict)
    if name == "a vectorized function":
        assert verdict.not_handled == ["float32 (it comes back as float64)"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from scratch.activations import tanh_forward, relu_forward as tanh_backward", []),
        ("from scratch.activations import *", []),
        ("import scratch.activations as ours\ntanh_forward = ours.tanh_forward", ["tanh_forward"]),
        ("from functools import partial as tanh_forward", []),
        ("try: from no import relu_forward\nexcept ImportError: relu_forward = abs", ["relu_forward"]),
        ("relu_forward = abs\nfrom scratch.activations import relu_forward", []),
        ("(relu_forward := abs)", ["relu_forward"]),
        ("for relu_forward in [abs]: pass", ["relu_forward"]),
        ("class relu_forward: pass", ["relu_forward"]),
    ],
)
def test_what_a_file_imports_is_not_its_own(text, names, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    own = own_definitions(load(str(file)))
    assert [name for name in own if name.startswith(("tanh", "relu"))] == names


def test_assert_matches_takes_what_has_no_name_by_keyword(tmp_path):
    def leaky(x, slope):
        return np.where(x > 0, x, x * x.dtype.type(slope)), x

    right = partial(leaky, slope=0.5)
    for nameless in (right, lambda x: x, 3):
        kind = type(nameless).__name__
        with pytest.raises(ValueError, match=f"functions: expected functions with a name, got a {kind}: "):
            assert_matches(nameless)
    assert_matches(tanh_forward=lambda x: (np.tanh(x), np.tanh(x)))
    with pytest.raises(AssertionError, match="relu: different"):
        assert_matches(relu_forward=right)
    with pytest.raises(ValueError, match="relu_forward: expected a function, got a int"):
        assert_matches(relu_forward=3)


def test_a_partial_of_what_is_still_to_do_is_still_to_do(tmp_path):
    source = """
        from functools import partial
        def undone(x, times): raise NotImplementedError
        tanh_forward = partial(undone, times=1)
    """
    assert verdict_on(source, tmp_path).status == "unwritten"


def test_the_library_is_that_of_what_stands_behind(tmp_path):
    source = """
        import functools, torch
        def decayed(optimizer, rate): return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: rate ** e)
        exponential = functools.partial(decayed)
        class Network(torch.nn.Module): pass
    """
    file = tmp_path / "mine.py"
    file.write_text(HEADER + textwrap.dedent(source), encoding="utf-8")
    found = {a.component.name: a.side for a in find(own_definitions(load(str(file))))}
    assert found == {"exponential": "torch", "network": "torch"}


# ---- exercises


FORMS_AND_HINTS = [*((hints, "scratch") for hints in HINTS), *((hints, "torch") for hints in HINTS)]


@pytest.mark.parametrize(("hints", "form"), FORMS_AND_HINTS)
def test_every_exercise_loads_and_has_everything_still_to_do(hints, form, tmp_path):
    for entry in entries().values():
        file = tmp_path / f"{entry.name}.py"
        file.write_text(exercise([entry], "mine.py", hints, form), encoding="utf-8")
        attempts = {a.component.name: a for a in find(own_definitions(load(str(file))))}
        assert entry.name in attempts, entry.name
        assert check(attempts[entry.name]).status == "unwritten", entry.name


@pytest.mark.parametrize(("hints", "form"), [*FORMS_AND_HINTS, ("some", "coursera"), ("some", "cs231n")])
def test_an_exercise_has_no_name_that_is_not_defined_in_it(hints, form, tmp_path):
    file = tmp_path / "all.py"
    file.write_text(exercise(entries().values(), "all.py", hints, form), encoding="utf-8")
    rules = ["--select", "F,E9,E501", "--line-length", "110"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rules, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_exercise_gives_away_as_much_as_it_is_asked_for():
    batch_norm = [entries()["batch_norm"]]
    none, some, all_ = (exercise(batch_norm, "mine.py", hints) for hints in HINTS)
    for text in (none, some):
        assert "Returns dx (batch, features), dγ (features,) and dβ (features,)." in text
        assert "eps: ε, a small number" in text
        assert "dy·x̂" not in text
    assert "√(σ² + ε)" not in none
    assert "y = γ·x̂ + β with x̂ = (x − μ)/√(σ² + ε)" in some
    assert "μ = 1/m·Σ_batch x" in some
    assert "dγ  = Σ dy·x̂" in all_
    assert "generator.normal(shape, mean, std, dtype)" in exercise([entries()["kaiming_normal"]], "mine.py")
    assert "generator.epoch_order(n)" in exercise([entries()["minibatches"]], "mine.py", "none")


def test_what_an_exercise_says_is_of_functions_and_arguments_that_there_are():
    with open(ROOT / "compare" / "learner" / "exercise.toml", "rb") as toml:
        words = tomllib.load(toml)
    arguments = set()
    told = [entry for entry in entries().values() if entry.topic != "random"]
    for entry in told:
        for name in entry.functions:
            ours = getattr(import_module(f"scratch.{entry.topic}"), name)
            if inspect.isfunction(inspect.unwrap(ours)):
                own = set(inspect.signature(ours).parameters)
                assert words["functions"][name].get("arguments", {}).keys() <= own, name
                arguments |= own
    assert words["functions"].keys() == {name for entry in told for name in entry.functions}
    assert words["arguments"].keys() <= arguments


def test_the_forms_of_courses_are_there_where_they_are_published(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "adam", "--form", "coursera"]) == 0
    assert "def update_parameters_with_adam(" in (tmp_path / "adam.py").read_text(encoding="utf-8")
    assert main(["exercise", "all", "--form", "cs231n"]) == 0
    assert "def batchnorm_backward(dout, cache):" in (tmp_path / "all.py").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["exercise", "staircase", "--form", "cs231n"]) == 2
    assert capsys.readouterr().err.startswith("error: form cs231n: there is none of staircase; it has relu, ")


def test_the_whole_day_is_in_teaching_order_and_a_file_is_never_overwritten(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "all", "--with-random"]) == 0
    assert "python -m compare check all.py" in capsys.readouterr().out
    text = (tmp_path / "all.py").read_text(encoding="utf-8")
    places = [
        text.index(name)
        for name in ("def relu_forward", "def zeros", "def adam_step", "def minibatches", "class TorchG")
    ]
    assert places == sorted(places)
    assert main(["exercise", "all", "--force"]) == 0
    assert "TorchGenerator" not in (tmp_path / "all.py").read_text(encoding="utf-8")
    (tmp_path / "all.py").write_text("mine")
    assert main(["exercise", "all"]) == 2
    assert "is there already; --force overwrites it" in capsys.readouterr().err
    assert (tmp_path / "all.py").read_text() == "mine"
    assert main(["exercise", "adam", "--out", "all.py", "--force"]) == 0
    assert "def adam_step" in (tmp_path / "all.py").read_text(encoding="utf-8")
    assert main(["exercise", "adm"]) == 2
    assert "unknown component 'adm': did you mean adam" in capsys.readouterr().err
    assert main(["exercise", "adam", "--out", "no/such/folder.py"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_filled_in_exercise_is_right(tmp_path):
    text = exercise([entries()["tanh"]], "tanh.py")
    bodies = iter(["y = np.tanh(x); return y, y", "return dy * (1 - cache**2)"])
    parts = text.split("raise NotImplementedError")
    filled = parts[0] + "".join(body + part for body, part in zip(bodies, parts[1:], strict=True))
    file = tmp_path / "tanh.py"
    file.write_text(filled, encoding="utf-8")
    (verdict,) = check_file(file, 30)
    assert verdict.status == "right"
    assert np.isfinite(verdict.units)


def test_strict_asks_for_everything(tmp_path, capsys):
    file = tmp_path / "mine.py"
    forward = "def relu_forward(x): return x * (x > 0), x\n"
    file.write_text(f"{HEADER}{forward}def relu_backward(dy, x): return dy * (x > 0)\n")
    assert main(["check", str(file)]) == 0
    assert "✓ relu  right, but for NaN and infinity" in capsys.readouterr().out
    assert main(["check", str(file), "--strict"]) == 1
    assert "✗ relu  right, but for NaN and infinity" in capsys.readouterr().out


def test_what_is_half_written_is_not_told_off_unless_it_is_wrong(tmp_path, capsys):
    file = tmp_path / "mine.py"
    for sign, strict, said in (
        ("", [], "half written: relu"),
        ("", ["--strict"], "1 not: relu"),
        ("-", [], "1 not: relu"),
    ):
        file.write_text(f"{HEADER}def relu_forward(x): return {sign}x * (x > 0), 'mine'\n")
        assert main(["check", str(file), *strict]) == 1
        assert capsys.readouterr().out.endswith(f"0 right; {said}\n")


def test_a_function_that_is_not_written_is_never_passed_over(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(f"{HEADER}def relu_forward(x): return x * (x > 0), 'mine'\n")
    assert main(["check", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "½ relu  half written: 1 of 2 functions, right, but for NaN and infinity" in shown
    assert "✓ relu_forward\n" in shown
    assert shown.endswith("0 right; half written: relu\n")
    assert "– not written, so that ours stood in: relu_backward\n" in shown
    assert "relu_backwards" not in shown
    file.write_text(file.read_text() + "def relu_backwards(dy, cache): return dy\ndef helper(): pass\n")
    assert main(["check", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "relu_backwards: did you mean relu_backward? It was not looked at." in shown
    assert "helper" not in shown


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "relu_backwards": "relu_backward",
        "reluForward": "relu_forward",
        "my_relu": "relu_forward",
        "relu_deriv": "relu_backward",
        "batchnorm": "batch_norm_forward",
        "tanh_forwrd": "tanh_forward",
        "he": "kaiming_normal",
        "my_softmax": "softmax_forward",
        "logSoftmax": "log_softmax_forward",
        "softmax_loss": "cross_entropy_forward",
        "adam": "adam_step",
        "predict": "",
        "forward": "",
        "relu_forward": "",
        "one_hot": "",
        "f": "",
    }.items(),
)
def test_a_name_that_is_almost_ours_is_asked_about(theirs, ours, tmp_path, capsys):
    assert close_names({theirs: len}, []) == ({theirs: ours} if ours else {})
    file = tmp_path / "mine.py"
    file.write_text(f"def {theirs}(x): return x\n")
    if ours:
        assert main(["check", str(file)]) == 2
        assert re.search(rf"did you mean {ours}(, which returns .*,)? by {theirs}\?", capsys.readouterr().err)
        with pytest.raises(ValueError, match=f"{theirs} may mean {ours}"):
            assert_matches(**{theirs: len})


@pytest.mark.parametrize(
    ("theirs", "meant"),
    {
        "my_softmax": "softmax_forward, which returns (y, cache)",
        "mse": "mse_loss_forward, which returns (loss, cache)",
        "linear_grad": "linear_backward, which returns (dx, dweight, dbias)",
        "relu_grad": "relu_backward",
    }.items(),
)
def test_a_question_says_what_ours_returns_where_that_is_more_than_one_value(theirs, meant, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(f"def {theirs}(x): return x\n")
    assert main(["check", str(tmp_path / "mine.py")]) == 2
    comma = "," * ("," in meant)
    assert f"in it: did you mean {meant}{comma} by {theirs}?\n" in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"{theirs} may mean {re.escape(meant)}$"):
        assert_matches(**{theirs: len})
    asked = Verdict("softmax", [], "scratch", "asked", asked={theirs: meant.partition(",")[0]})
    assert explain(asked) == [f"{theirs}: did you mean {meant}? It was not looked at."]


@pytest.mark.parametrize(
    ("source", "message"),
    {
        "def relu_forward(x): return np.maximum(x, 0)": "relu_forward must return (y, cache), got one array",
        "def relu_forward(x): pass": "relu_forward must return (y, cache), got None",
        "def relu_forward(x): return x, x, x": "relu_forward must return (y, cache), got a tuple of 3",
        "def tanh_backward(dy, y): return list(dy)": "tanh_backward must return one array, got a list",
        "def mse_loss_forward(x, y): return 'x'": "mse_loss_forward must return (loss, cache), got a str",
        "def linear_backward(dy, c): return dy": "must return (dx, dweight, dbias), got one array",
    }.items(),
)
def test_what_is_returned_instead_is_told_in_a_sentence(source, message, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "raises"
    assert message in verdict.error["message"]
    assert verdict.error["source"] == source


NOT_CALLED = {  # a source that is right, called in another way than ours → what is said of that
    "the sizes of a layer in the place of a shape": (
        "def xavier_normal(fan_in, fan_out): return np.random.normal(0, (2 / (fan_in + fan_out)) ** 0.5)",
        "tried as xavier_normal(shape, generator, gain, dtype), its signature is xavier_normal(fan_in, fan",
    ),
    "a number in the place of a course's dictionary": (
        """
        def batchnorm_forward(x, gamma, beta, eps=1e-5):
            normed = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
            return gamma * normed + beta, (normed, gamma)
        """,
        "tried as batchnorm_forward(x, gamma, beta, bn_param), its signature is batchnorm_forward(x, gamma,",
    ),
    "another method": (
        """
        class EarlyStopping:
            def __init__(self, patience): self.patience = patience
            def is_enough(self, losses): return min(losses) < min(losses[-self.patience:])
        """,
        "its signature is EarlyStopping(patience) with is_enough(losses)",
    ),
    "a loss of a model": (
        """
        import torch
        def mse_loss(model, x, y): return ((model(x) - y) ** 2).mean()
        """,
        "tried as mse_loss(input, targets, reduction, weight), its signature is mse_loss(model, x, y)",
    ),
}


@pytest.mark.parametrize(("source", "said"), NOT_CALLED.values(), ids=NOT_CALLED)
def test_what_is_called_in_another_way_is_neither_right_nor_wrong(source, said, tmp_path):
    verdict = verdict_on(source, tmp_path)
    lines = "\n".join(explain(verdict))
    assert headline(verdict) == "not looked at", lines
    assert not verdict.equal
    assert said in lines
    assert f"`python -m compare exercise {verdict.component}" in lines


@pytest.mark.parametrize(
    "source",
    [
        "def softmax_forward(x, y, z): return x, y",
        "def softmax_forward(): pass",
        "def sgd_step(params): pass",
        "def tanh_forward(x): return np.tanh(x, {'a': x}), x",
        "def dropout_forward(x, p, training, generator): return x * generator, generator > p",
        "def dropout_forward(x, p, training, rng): return x * rng.rand(*x.shape), x",
        "def batchnorm_forward(x, gamma, beta, bn_param): return (x - x.mean(0)) / (x.var(0) + bn_param), x",
        """
        class Adam:
            def __init__(self, lr=0.001, beta1=0.9, beta2=0.999): self.lr, self.m = lr, {}
            def update(self, params, grads):
                for i, name in enumerate(params):
                    self.m[i] += grads[name]
        """,
        """
        import torch
        def softmax(x): return x.exp() / x.exp().sum({})
        """,
        """
        import torch
        def softmax(x): return x.probabilities()
        """,
    ],
)
def test_a_call_of_the_right_interface_that_raises_is_wrong(source, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "raises", explain(verdict)


def test_what_is_called_in_another_way_counts_where_it_is_asked_strictly(tmp_path, capsys):
    file = tmp_path / "mine.py"
    other, right = NOT_CALLED["another method"][0], "def relu_forward(x): return x * (x > 0), x > 0"
    file.write_text(HEADER + textwrap.dedent(other))
    assert main(["check", str(file)]) == 1, "nothing was looked at"
    assert capsys.readouterr().out.endswith("0 right; not looked at: early_stopping\n")
    right += "\ndef relu_backward(dy, positive): return np.where(positive, dy, 0)"
    file.write_text(HEADER + textwrap.dedent(other) + textwrap.dedent(right))
    assert main(["check", str(file)]) == 0
    assert "? early_stopping  not looked at" in capsys.readouterr().out
    assert main(["check", str(file), "--strict"]) == 1


def test_pytorch_code_is_asked_about_by_pytorchs_names():
    class Linear(torch.nn.Module):
        pass

    def my_relu(x):
        return torch.clamp(x, min=0)

    assert close_names({"Linear": Linear, "my_relu": my_relu}, []) == {"Linear": "linear", "my_relu": "relu"}


def test_a_default_of_its_own_is_told_as_such(tmp_path):
    source = "def numerical_gradient(f, x, eps=1e-4):\n" + textwrap.indent(CENTRAL, "    ")
    verdict = verdict_on(source, tmp_path)
    assert verdict.equal, explain(verdict)
    assert "another default: eps=0.0001 unless told otherwise, ours 1e-06" in explain(verdict)


CENTRAL = """
gradient = np.zeros(x.shape, x.dtype)
for i in np.ndindex(x.shape):
    value = x[i]
    x[i] = value + eps; plus = f(x)
    x[i] = value - eps; minus = f(x)
    x[i] = value
    gradient[i] = (plus - minus) / (2 * eps)
return gradient
"""


LOOP = """
def train(network, optimizer, x, targets, *, epochs, batch_size, generator, scheduler=None):
    losses = []
    for epoch in range(epochs):
        order = generator.epoch_order(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            losses.append(float(network.cost(network.forward(x[rows]), targets[rows])))
            network.backward()
            optimizer.step(network.gradients())
        if scheduler:
            scheduler.step()
    return losses
"""


def test_a_loop_may_return_a_list_of_losses(tmp_path):
    verdict = verdict_on(LOOP, tmp_path)
    assert verdict.equal, explain(verdict)
    assert verdict.unseen == ["accuracy", "learning_rate"]
    unmoved = verdict_on(LOOP.replace("network.backward()", "network.backward(); network.eval()"), tmp_path)
    assert not unmoved.equal


@pytest.mark.parametrize(
    ("source", "said"),
    {
        "def minibatches(x, y, n, generator): return [(x[:n], y[:n])]": "there are other results",
        "def minibatches(x, y, n, generator):\n"
        "    return [(x[i:i + n], y[i:i + n]) for i in range(0, len(x), n)]": "not shuffled",
        "def minibatches(x, y, n, generator):\n"
        "    o = np.random.RandomState(0).permutation(len(x))\n"
        "    return [(x[o[i:i + n]], y[o[i:i + n]]) for i in range(0, len(x), n)]": "the same order",
        "def kaiming_normal(shape, generator, dtype):\n"
        "    z = np.random.RandomState(1).standard_normal(shape)\n"
        "    return (z * np.sqrt(2 / shape[1])).astype(dtype)": "the same is drawn at every call",
    }.items(),
)
def test_draws_of_another_stream_have_to_be_draws(source, said, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "different"
    assert said in "\n".join(explain(verdict))


@pytest.mark.parametrize(
    "source",
    [
        "def xavier_normal(shape, rng): return np.random.randn(*shape) * np.sqrt(2 / sum(shape))",
        "def kaiming_uniform(shape):\n"
        "    bound = (6 / shape[1]) ** 0.5\n    return np.random.uniform(-bound, bound, shape)",
        "def minibatches(x, y, n, generator):\n"
        "    o = np.random.permutation(len(x))\n"
        "    return [(x[o[i:i + n]], y[o[i:i + n]]) for i in range(0, len(x), n)]",
        "def dropout_forward(x, p, rng, training=True):\n"
        "    if not training or p == 0: return x, 1\n"
        "    mask = ((np.random.rand(*x.shape) > p) / (1 - p)).astype(x.dtype)\n"
        "    return x * mask, mask\n"
        "def dropout_backward(dy, mask): return dy * mask",
    ],
)
def test_right_draws_of_another_stream_are_right_in_distribution(source, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "distribution", explain(verdict)
    assert "draws the same bits" in explain(verdict)[0]


DROPOUT = """
def dropout_forward(x, p, rng=None, training=True):
    if not training or p == 0: return x, None
    mask = {mask}
    return x * mask, mask
def dropout_backward(dy, mask): return {dx}
"""
THROUGH = "dy if mask is None else dy * mask"
AGAIN = "dy if mask is None else dy * (np.random.rand(*dy.shape) > 0.3) / 0.7"


@pytest.mark.parametrize(
    ("source", "mistakes"),
    [
        (DROPOUT.format(mask="np.random.rand(*x.shape) > p", dx=THROUGH), {"no rescaling"}),
        (DROPOUT.format(mask="np.random.uniform(size=x.shape) < 1 - p", dx=THROUGH), {"no rescaling"}),
        (
            DROPOUT.format(mask="np.random.binomial(1, 1 - p, x.shape).astype(x.dtype) / p", dx=THROUGH),
            {"divided by p"},
        ),
        (
            DROPOUT.format(mask="(rng_.random(x.shape) < p).astype(x.dtype) / p", dx=THROUGH).replace(
                "or p == 0", ""
            )
            + "rng_ = np.random.default_rng(0)",
            {"p taken as the keep probability"},
        ),
        (
            DROPOUT.format(mask="(np.random.rand(*x.shape) > p) / (1 - p)", dx="dy"),
            {"mask forgotten in the backward pass"},
        ),
        (
            "def kaiming_normal(shape): return np.random.randn(*shape) / np.sqrt(shape[1])",
            {"√(1/fan)"},
        ),
        (
            "from numpy.random import standard_normal as z\ndef large_random(shape): return 0.01 * z(shape)",
            {"×0.01 for ×10"},
        ),
        (
            "def minibatches(x, y, n, generator=None):\n"
            "    rows = np.random.choice(len(x), len(x), replace=False)\n"
            "    return [(x[rows[i:i + n]], y[rows[i:i + n]]) for i in range(0, len(x) - n + 1, n)]",
            {"last batch dropped"},
        ),
        (
            "def minibatches(x, y, n, generator=None):\n"
            "    rows = np.random.randint(0, len(x), len(x))\n"
            "    return [(x[rows[i:i + n]], y[rows[i:i + n]]) for i in range(0, len(x), n)]",
            {"with replacement"},
        ),
    ],
)
def test_a_mistake_is_named_whatever_stream_it_draws_from(source, mistakes, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert not verdict.equal or verdict.status == "convention"
    assert mistakes <= {found["name"] for found in verdict.mistakes} <= mistakes | {"0/0 at p = 1"}, explain(
        verdict
    )
    assert "read as drawn from NumPy, whose numbers are replaced by ours" in explain(verdict)


def test_numpys_generators_are_back_after_a_mistake_was_looked_for(tmp_path):
    file = tmp_path / "mine.py"
    source = DROPOUT.format(mask="rng_.random(x.shape) > p", dx=THROUGH)
    file.write_text(f"{HEADER}rng_ = np.random.default_rng(0)\n{source}", encoding="utf-8")
    module = load(str(file))
    before = module.rng_, np.random.rand
    (attempt,) = find(vars(module))
    assert check(attempt).mistakes
    assert (module.rng_, np.random.rand) == before


UPDATE = """
def update_running_statistics({arguments}):
    running_mean[...] = {mean}
    running_var[...] = (1 - momentum) * running_var + momentum * variance * m / (m - 1)
"""
MEAN = "(1 - momentum) * running_mean + momentum * mean"
ARGUMENTS = [
    "running_mean, running_var, num_batches_tracked, mean, variance, m, momentum=0.1",
    "running_mean, running_var, mean, variance, m, momentum=0.1",
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_nobody_has_to_count_the_batches(arguments, tmp_path):
    verdict = verdict_on(UPDATE.format(arguments=arguments, mean=MEAN), tmp_path)
    assert verdict.status == "right but", explain(verdict)
    assert verdict.not_handled == ["momentum=None", "num_batches_tracked"]
    assert verdict.unseen == ["num_batches_tracked"]
    wrong = UPDATE.format(arguments=arguments, mean="momentum * running_mean + (1 - momentum) * mean")
    assert not verdict_on(
        wrong.replace("(1 - momentum) * running_var + m", "running_var + m"), tmp_path
    ).equal
    swapped = wrong.replace(
        "(1 - momentum) * running_var + momentum", "momentum * running_var + (1 - momentum)"
    )
    verdict = verdict_on(swapped, tmp_path)
    assert [mistake["name"] for mistake in verdict.mistakes] == ["momentum the other way round"]
    assert "  PyTorch's line (-) and yours (+), in our words:" in explain(verdict)
    assert headline(verdict).endswith(f"right in another convention  {verdict.cases} cases")


def test_whoever_counts_the_batches_counts_them_right(tmp_path):
    source = UPDATE.format(arguments=ARGUMENTS[0], mean=f"{MEAN}; num_batches_tracked += m")
    verdict = verdict_on(source, tmp_path)
    assert verdict.wrong == ["first.num_batches_tracked", "state.num_batches_tracked"]


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("def sgd_step(p, g, *, lr, weight_decay=0): p -= lr * (g - weight_decay * p)", "different"),
        ("def sgd_step(p, g, *, lr, weight_decay=0): p -= lr * (g + weight_decay)", "different"),
        ("def sgd_step(p, g, *, lr, weight_decay=0): p -= lr * g", "right but"),
        ("def sgd_step(p, g, *, lr): p -= lr * g", "right but"),
    ],
)
def test_an_option_that_is_there_and_wrong_is_no_option_that_is_not_handled(source, status, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == status, explain(verdict)
    if verdict.equal:
        assert "weight_decay" in verdict.not_handled


def test_two_numbers_beta_may_stand_in_the_place_of_one_argument(tmp_path):
    source = """
        def adam_step(w, dw, m, v, t, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
            m[:] = beta1 * m + (1 - beta1) * dw
            v[:] = beta2 * v + (1 - beta2) * dw**2
            w -= lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    """
    verdict = verdict_on(source, tmp_path)
    assert verdict.status == "right but", explain(verdict)
    assert "betas" in verdict.handled


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            "def cross_entropy_forward(z, y, reduction='mean'):\n"
            "    p = np.exp(z - z.max(axis=1, keepdims=True)); p /= p.sum(axis=1, keepdims=True)\n"
            "    losses = -np.log(p[np.arange(len(z)), y] + 1e-5)\n"
            "    return (losses.mean() if reduction == 'mean' else losses.sum()), None",
            {"ε inside the logarithm"},
        ),
        (
            "def cross_entropy_forward(z, y, reduction='mean'):\n"
            "    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)\n"
            "    losses = -np.log(p[np.arange(len(z)), y] + 1e-5)\n"
            "    return (losses.mean() if reduction == 'mean' else losses.sum()), None",
            {"ε inside the logarithm", "largest logit not subtracted"},  # which shows in large numbers only
        ),
        (
            "def mse_loss_forward(x, t): return ((x - t)**2).mean(), (x, t)\n"
            "def mse_loss_backward(dloss, cache): return (cache[1] - cache[0]) / cache[0].size",
            {"target minus prediction", "2 forgotten", "upstream gradient ignored"},
        ),
    ],
)
def test_constants_are_fitted_and_three_mistakes_at_once_are_named(source, found, tmp_path):
    verdict = verdict_on(source, tmp_path)
    assert {mistake["name"] for mistake in verdict.mistakes} == found, explain(verdict)


def test_numbers_in_which_a_second_mistake_is_seen_are_not_handled(tmp_path):
    source = """
        def cross_entropy_forward(z, y, reduction='mean'):
            e = np.exp(z - z.max())
            losses = -np.log((e / e.sum(axis=1, keepdims=True))[np.arange(len(z)), y] + 1e-7)
            return (losses.mean() if reduction == 'mean' else losses.sum()), None
    """
    verdict = verdict_on(source, tmp_path)
    assert [mistake["name"] for mistake in verdict.mistakes][1:] == ["largest logit of the batch"]
    assert "  (seen in: very large numbers)" in explain(verdict)
    assert "very small numbers" in verdict.handled
    assert "very large numbers" not in verdict.handled


def test_of_a_right_version_the_right_cases_are_counted_of_a_wrong_one_the_wrong_ones(tmp_path):
    right = verdict_on("def relu_forward(x): return np.where(x > 0, x, 0), None", tmp_path)
    assert (right.status, right.failed) == ("right but", 2)  # where x is NaN
    assert headline(right).endswith(f"  {right.cases - 2} of {right.cases} cases")
    wrong = verdict_on("def relu_forward(x): return np.where(x > 1, x, 0), None", tmp_path)
    assert 2 < wrong.failed < wrong.cases
    assert headline(wrong).endswith(f"wrong  {wrong.failed} of {wrong.cases} cases")


def test_a_choice_that_is_taken_for_another_is_not_handled_and_no_fault(tmp_path: Path):
    """A loss that knows mean and sum returns one number where all losses are asked for."""
    text = """
import numpy as np
def mse_loss_forward(input, targets, reduction="mean"):
    difference = input - targets
    n = difference.size if reduction == "mean" else 1
    return (difference**2).sum() / n, (difference, n)
def mse_loss_backward(dloss, cache):
    difference, n = cache
    return 2 * difference / n * dloss
"""
    verdict = verdict_on(text, tmp_path)
    assert verdict.status == "right but"
    assert verdict.not_handled == ["reduction=none", "weight"]


def test_what_is_not_handled_is_named_once():
    failed = {("weight", "ignored"), ("weight", "ignored", "smoothed")}
    missing, fine = apart([("smoothed",), *failed], failed)
    assert missing == ["weight with ignored"]
    assert fine == ["smoothed"]
