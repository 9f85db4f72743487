"""What PyTorch does by itself with bad input: the record is true of its own version, and told in words."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from compare import cases, cli
from compare.cases import bad_input
from compare.component import DTYPES, Case
from compare.edges import table
from compare.edges.table import REFUSED, STRICTER, examine
from compare.environment import one_thread
from compare.run import cases_of, refused_of, run_both, run_case
from scratch import activations, schedules

ALL = cases.all_components()
CASE = Case("", {"x": np.ones(3)})
each_component = pytest.mark.parametrize("name", ALL)
as_recorded = pytest.mark.skipif(
    not bad_input.same_versions(), reason=f"the record is of {bad_input.record()['torch']}; see the news"
)


@each_component
def test_every_bad_input_is_in_the_record_and_nothing_else_is(name):
    recorded = bad_input.recorded(bad_input.CASES, name)
    found = {(case.name, dtype) for dtype in DTYPES for case in refused_of(ALL[name], 0, DTYPES[dtype])}
    assert {(case, dtype) for case, by_dtype in recorded.items() for dtype in by_dtype} == found


@as_recorded
@each_component
def test_pytorch_does_what_is_recorded(name):
    assert bad_input.news([ALL[name]]) == []


@as_recorded
@each_component
def test_pytorch_does_what_is_recorded_at_the_edges(name):
    """What it gives there may depend on a kernel's order of adding: whether it gives anything does not."""
    with one_thread():
        found = [outcome for outcome in examine(ALL[name]) if outcome.kind in (REFUSED, STRICTER)]
    recorded = bad_input.recorded(bad_input.PROBES, name)
    assert {(o.probe.name, o.probe.dtype) for o in found} == {(c, d) for c in recorded for d in recorded[c]}
    for outcome in found:
        before = recorded[outcome.probe.name][outcome.probe.dtype]
        assert before | {"takes": ""} == {**outcome.torch} | {"takes": ""}, outcome.probe.name
        assert ("takes" in before) == ("takes" in outcome.torch)


def test_the_components_are_those_of_the_record():
    for kind in (bad_input.CASES, bad_input.PROBES):
        assert {*bad_input.record()[kind]} <= {*ALL}


@pytest.mark.parametrize("name", ["batch_norm", "adam", "dropout", "network"])
def test_what_bad_input_leaves_behind_changes_no_result(name):
    """PyTorch goes on after it as before, and does the same with it again."""
    first, second = (bad_input.examine(ALL[name]) for _ in range(2))
    assert first == second
    assert run_case(ALL[name], cases_of(ALL[name], 0, np.float64)[0], arbiter=False).equal
    assert not torch.is_warn_always_enabled()


def tried(run, case: Case = CASE) -> dict[str, str]:
    component = replace(ALL["relu"], run_torch=lambda case: run())
    with bad_input.listening() as caught:
        found = run_both(component, case)
    return {**bad_input.entry(found.torch, caught, case)}


def raising(error: Exception):
    raise error


def test_an_exception_is_told_by_its_first_sentence():
    message = "Invalid size at 0x7ffe1234abcd. You may set it otherwise.\nSee C++"
    assert tried(lambda: raising(ValueError(message))) == {"raises": "ValueError: Invalid size at 0x…"}
    several = "Error(s) in loading:\n\tsize mismatch for weight\n\tand more"
    assert tried(lambda: raising(RuntimeError(several))) == {
        "raises": "RuntimeError: Error(s) in loading: size mismatch for weight"
    }
    assert tried(lambda: raising(KeyError())) == {"raises": "KeyError: "}
    assert tried(lambda: raising(ValueError("32x19 and 20x10"))) == {"raises": "ValueError: 32x19 and 20x10"}
    assert tried(lambda: raising(ValueError("a" * 300))) == {"raises": "ValueError: " + "a" * 200 + "…"}


def test_results_are_told_by_their_first_numbers():
    def told(**results):
        return tried(lambda: {name: torch.tensor(value) for name, value in results.items()})["takes"]

    assert told(weight=[1.0, 2.0, 1 / 3, 4.0]) == "weight 1, 2, 0.333, …"
    assert told(weight=[1.0, 2.0], loss=float("nan")) == "loss nan"
    assert told(output=[0.0] * 4, grad=[1.0, float("inf")], bias=[float("nan")]) == (
        "output 0, 0, 0, …; grad 1, inf"
    )
    assert told(rate=[0.1] * 4 + [float("nan")]) == "rate 0.1, 0.1, 0.1, …, nan, …"
    assert told(output=[]) == "output of shape (0,)"
    assert told(output=1.0, weight=[[]]) == "output 1; weight of shape (1, 0)"


def test_dtypes_are_told_where_there_are_several():
    mixed = Case("", {"x": np.ones(3), "y": np.ones(3, np.float32)})
    results = {"loss": torch.ones(()), "grad": torch.ones(1, dtype=torch.float64)}
    assert tried(lambda: results, mixed) == {"takes": "loss 1 in float32; grad 1 in float64"}


def test_a_warning_is_told_every_time_and_shown_to_nobody():
    def warn():
        warnings.warn("Broadcast. (Triggered internally at /somewhere/a.cpp:12.)", stacklevel=1)
        return {"output": torch.ones(1)}

    for _ in range(2):
        assert tried(warn) == {"takes": "output 1", "warns": "UserWarning: Broadcast."}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"takes": "loss 1.04, …"}, {"takes": "loss 1.041, …"}, True),
        ({"takes": "loss 1.04"}, {"takes": "loss 1.2"}, False),
        ({"takes": "update 0.002, 7.28e-11"}, {"takes": "update 0.002, 7.63e-11"}, True),
        ({"takes": "loss 1.04"}, {"takes": "loss nan"}, False),
        ({"takes": "loss 1.04"}, {"takes": "cost 1.04"}, False),
        ({"takes": "loss 1 in float32"}, {"takes": "loss 1 in float64"}, False),
        ({"takes": "step1.param.0 5"}, {"takes": "step2.param.0 5"}, False),
        ({"takes": "loss 1.04"}, {"takes": "loss 1.04", "warns": "UserWarning: x"}, False),
        ({"takes": "loss 1"}, {"takes": "loss 1, 1"}, False),
        ({"raises": "ValueError: 5056 bytes"}, {"raises": "ValueError: 5057 bytes"}, False),
        ({"raises": "ValueError: x"}, {"takes": "ValueError: x"}, False),
    ],
)
def test_entries_are_the_same_but_for_the_last_digits(one, other, same):
    assert bad_input.same(one, other) == bad_input.same(other, one) == same


def test_it_is_told_in_plain_words():
    bce = bad_input.taken("binary_cross_entropy_with_logits")
    assert bce["a target of 1.5"] == "PyTorch takes “a target of 1.5” without a word: loss 1.04"
    assert bad_input.taken("kaiming_normal")["shape (0, 3)"] == (
        "PyTorch takes “shape (0, 3)” with a warning (UserWarning: Initializing zero-element tensors is a "
        "no-op): weight of shape (0, 3)"
    )
    refused = bad_input.refused_too("binary_cross_entropy")
    assert refused["a target of 1.5"] == "RuntimeError: all elements of target should be between 0 and 1"
    assert not {*bce} & {*bad_input.refused_too("binary_cross_entropy_with_logits")}


def test_what_depends_on_the_dtype_is_told_with_it(monkeypatch):
    entry = {"float32": {"raises": "ValueError: x"}, "float64": {"takes": "loss 1"}}
    monkeypatch.setattr(bad_input, "record", lambda: {bad_input.CASES: {"relu": {"much": entry}}})
    assert bad_input.taken("relu") == {"much": "PyTorch takes “much” in float64 without a word: loss 1"}
    assert bad_input.refused_too("relu") == {}


def test_show_tells_it(capsys):
    assert cli.main(["show", "binary_cross_entropy_with_logits"]) == 0
    out = capsys.readouterr().out
    assert "bad input: scratch refuses it, PyTorch" in out
    assert "PyTorch takes “a target of 1.5” without a word: loss 1.04" in out
    assert "It refuses too: unknown reduction" in out


@pytest.fixture
def another_version(monkeypatch):
    """A record of another PyTorch, which refused integers."""
    changed = json.loads(bad_input.FILE.read_text(encoding="utf-8"))
    changed["torch"] = "1.0.0"
    changed[bad_input.CASES]["relu"]["int64"] = {"raises": "ValueError: integers"}
    monkeypatch.setattr(bad_input, "record", lambda: changed)


@as_recorded
@pytest.mark.usefixtures("another_version")
def test_what_another_version_does_is_news_and_no_failure(capsys, tmp_path):
    assert not bad_input.same_versions()
    assert cli.main(["edges", "relu"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "News, and no failure: PyTorch does otherwise with 2 bad inputs than PyTorch 1.0.0 with" in out
    assert "relu, int64, float32: takes output 0, 1, 2; it was: raises ValueError: integers" in out
    assert cli.main(["run", "--only", "relu", "--out", str(tmp_path)]) == 0
    assert "`python -m compare edges` names them" in " ".join(capsys.readouterr().out.split())


def test_what_scratch_refuses_unlike_before_is_a_finding(monkeypatch):
    """The record is also the list of what is refused at the edges."""
    probes = table.probes(ALL["relu"], "float64")
    nan = next(probe for probe in probes if (probe.edge, probe.what) == ("NaN", "x"))
    assert table.outcome(nan).ok

    def refuse(x):
        raise ValueError("x: expected numbers, got NaN")

    monkeypatch.setattr(activations, "relu_forward", refuse)
    outcome = table.outcome(nan)
    assert (outcome.kind, outcome.ok) == (STRICTER, False)
    assert outcome.finding.startswith("relu, NaN, x, float64: refused, but not in the record: x: expected")


def test_what_scratch_no_longer_refuses_is_a_finding(monkeypatch):
    probes = table.probes(ALL["inverse_sqrt"], "float64")
    (probe,) = [probe for probe in probes if probe.edge == "k = NaN"]
    assert table.outcome(probe).ok
    monkeypatch.setattr(schedules, "inverse_sqrt", lambda lr, epoch, *, k: k / (epoch + 1) ** 0.5 * lr)
    outcome = table.outcome(probe)
    assert (outcome.kind, outcome.ok) == (table.AS_PYTORCH, False)
    assert outcome.finding == "inverse_sqrt, k = NaN, , float64: refused in the record, but as PyTorch"


@as_recorded
def test_the_record_can_be_written_anew(monkeypatch, tmp_path, capsys):
    names = ("relu", "batch_norm", "gradient_check")
    old = {
        kind: {n: bad_input.recorded(kind, n) for n in names} for kind in (bad_input.CASES, bad_input.PROBES)
    }
    monkeypatch.setattr(cases, "all_components", lambda: {name: ALL[name] for name in names})
    monkeypatch.setattr(bad_input, "FILE", tmp_path / "record.json")
    try:
        assert cli.main(["edges", "--record"]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'record.json'}\n"
        assert bad_input.same_versions()
        for kind, components in old.items():
            for name, entries in components.items():
                new = bad_input.recorded(kind, name)
                assert [*new] == [*entries]
                for case, by_dtype in entries.items():
                    assert all(bad_input.same(new[case][dtype], by_dtype[dtype]) for dtype in by_dtype)
    finally:
        bad_input.record.cache_clear()


def test_the_record_is_of_all_components_or_of_none(capsys, monkeypatch):
    assert cli.main(["edges", "--record", "relu"]) == 2
    assert "--record: is of all components, and not of relu alone" in capsys.readouterr().err
    relu = replace(ALL["relu"], not_here="another stream")
    monkeypatch.setattr(cases, "all_components", lambda: {"relu": relu})
    assert cli.main(["edges", "--record"]) == 2
    assert "--record: this PyTorch can not be asked for relu" in capsys.readouterr().err
